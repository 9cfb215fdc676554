/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What each operation asks the file system, and what it tells the guest. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fuse_guest.h"

static void
assert_attr(const struct fuse_attr *attr, uint32_t type)
{
	assert_int_equal(attr->mode, type | 0640);
	assert_int_equal(attr->size, 12345);
	assert_int_equal(attr->blocks, 32);
	assert_int_equal(attr->atime, UINT64_MAX);
	assert_int_equal(attr->mtime, 2);
	assert_int_equal(attr->ctime, 3);
	assert_int_equal(attr->atimensec, 4);
	assert_int_equal(attr->mtimensec, 5);
	/* The file system said more than a second. */
	assert_int_equal(attr->ctimensec, 999999999);
	assert_int_equal(attr->nlink, 7);
	assert_int_equal(attr->uid, 8);
	assert_int_equal(attr->gid, 9);
	assert_int_equal(attr->rdev, 0x1234);
	assert_int_equal(attr->blksize, 512);
	assert_int_equal(attr->flags, 0);
}

static void
assert_entry(const struct fuse_entry_out *out, uint32_t type)
{
	assert_true(out->nodeid > UINT32_MAX);
	assert_int_equal(out->generation, 0);
	assert_int_equal(out->entry_valid, 1);
	assert_int_equal(out->entry_valid_nsec, 500000000);
	assert_int_equal(out->attr_valid, 2);
	assert_int_equal(out->attr_valid_nsec, 1);
	assert_attr(&out->attr, type);
}

static void
lookup_answers_the_entry(void **state)
{
	struct fuse_entry_out out;

	assert_int_equal(guest_call_names(FUSE_LOOKUP, 1, NULL, 0, "file", NULL, &out, sizeof(out)),
			sizeof(out));
	assert_entry(&out, S_IFREG);
	assert_int_equal(fake.last.op, WEIR_FSOP_LOOKUP);
	assert_int_equal(fake.last.node_key, 1);
	assert_string_equal(fake.last.name, "file");
}

static void
lookup_of_what_is_not_there_is_an_error_or_a_negative_entry(void **state)
{
	struct fuse_entry_out out;

	assert_int_equal(guest_call_names(FUSE_LOOKUP, 1, NULL, 0, "x", NULL, &out, sizeof(out)),
			-ENOENT);
	assert_int_equal(guest_call_names(FUSE_LOOKUP, 1, NULL, 0, "n", NULL, &out, sizeof(out)),
			sizeof(out));
	assert_int_equal(out.nodeid, 0);
	assert_int_equal(out.entry_valid, 1);
}

static void
lookup_of_dots_stays_below_the_root(void **state)
{
	uint64_t dir = guest_lookup(1, "dir");

	assert_int_equal(guest_lookup(1, "."), FUSE_NODEID_ROOT);
	assert_int_equal(guest_lookup(1, ".."), FUSE_NODEID_ROOT);
	assert_string_equal(fake.last.name, ".");
	assert_int_equal(guest_lookup(dir, "."), dir);
	guest_lookup(dir, "..");
	assert_string_equal(fake.last.name, "..");
	guest_sess->dots = false;
	assert_int_equal(guest_call_names(FUSE_LOOKUP, dir, NULL, 0, "..", NULL, NULL, 0), -EINVAL);
}

static void
makers_pass_mode_and_umask_and_answer_the_entry(void **state)
{
	const struct fuse_mknod_in mknod = { .mode = S_IFIFO | 04666, .umask = 022, .rdev = 77 };
	const struct fuse_mkdir_in mkdir = { .mode = 01777, .umask = 077 };
	struct fuse_entry_out out;

	assert_int_equal(guest_call_names(FUSE_MKNOD, 1, &mknod, sizeof(mknod), "a", NULL, &out,
					 sizeof(out)),
			sizeof(out));
	assert_entry(&out, S_IFIFO);
	assert_int_equal(fake.last.op, WEIR_FSOP_MKNOD);
	assert_int_equal(fake.last.mode, S_IFIFO | 04666);
	assert_int_equal(fake.last.umask, 022);
	assert_int_equal(fake.last.rdev, 77);

	assert_int_equal(guest_call_names(FUSE_MKDIR, 1, &mkdir, sizeof(mkdir), "b", NULL, &out,
					 sizeof(out)),
			sizeof(out));
	assert_entry(&out, S_IFDIR);
	assert_int_equal(fake.last.op, WEIR_FSOP_MKDIR);
	assert_int_equal(fake.last.mode, S_IFDIR | 01777);
	assert_int_equal(fake.last.umask, 077);

	assert_int_equal(guest_call_names(FUSE_SYMLINK, 1, NULL, 0, "c", "../x", &out, sizeof(out)),
			sizeof(out));
	assert_entry(&out, S_IFLNK);
	assert_string_equal(fake.last.name, "c");
	assert_string_equal(fake.last.newname, "../x");
}

static void
mknod_of_what_is_no_node_is_refused(void **state)
{
	struct fuse_mknod_in in = { .mode = S_IFDIR | 0755 };

	assert_int_equal(guest_call_names(FUSE_MKNOD, 1, &in, sizeof(in), "a", NULL, NULL, 0),
			-EINVAL);
	in.mode = S_IFLNK | 0777;
	assert_int_equal(guest_call_names(FUSE_MKNOD, 1, &in, sizeof(in), "a", NULL, NULL, 0),
			-EINVAL);
	in.mode = 0600;
	assert_int_equal(guest_call_names(FUSE_MKNOD, 1, &in, sizeof(in), "a", NULL, NULL, 0),
			sizeof(struct fuse_entry_out));
	assert_int_equal(fake.last.mode, S_IFREG | 0600);
}

static void
maker_without_a_node_is_a_fault_of_the_backend(void **state)
{
	const struct fuse_mkdir_in in = { .mode = 0755 };

	fake.no_node = true;
	assert_int_equal(
			guest_call_names(FUSE_MKDIR, 1, &in, sizeof(in), "b", NULL, NULL, 0), -EIO);
	assert_int_equal(guest_faults(FUSE_FAULT_BACKEND), 1);
}

static void
removers_pass_the_name(void **state)
{
	uint64_t dir = guest_lookup(1, "dir");

	assert_int_equal(guest_call_names(FUSE_UNLINK, dir, NULL, 0, "a", NULL, NULL, 0), 0);
	assert_int_equal(fake.last.op, WEIR_FSOP_UNLINK);
	assert_string_equal(fake.last.name, "a");
	assert_int_equal(guest_call_names(FUSE_RMDIR, dir, NULL, 0, "b", NULL, NULL, 0), 0);
	assert_int_equal(fake.last.op, WEIR_FSOP_RMDIR);
	assert_string_equal(fake.last.name, "b");
}

static void
rename_passes_both_directories(void **state)
{
	uint64_t dir = guest_lookup(1, "dir");
	uint64_t file = guest_lookup(1, "file");
	struct fuse_rename2_in in = { .newdir = dir, .flags = RENAME_NOREPLACE };

	assert_int_equal(guest_call_names(FUSE_RENAME2, 1, &in, sizeof(in), "a", "b", NULL, 0), 0);
	assert_int_equal(fake.last.op, WEIR_FSOP_RENAME);
	assert_int_equal(fake.last.node_key, 1);
	assert_int_not_equal(fake.last.newnode_key, 1);
	assert_string_equal(fake.last.name, "a");
	assert_string_equal(fake.last.newname, "b");
	assert_int_equal(fake.last.rename_flags, RENAME_NOREPLACE);
	assert_int_equal(guest_call_names(FUSE_RENAME, dir, &dir, sizeof(dir), "a", "b", NULL, 0),
			0);
	assert_int_equal(fake.last.rename_flags, 0);

	in.flags = 8;
	assert_int_equal(guest_call_names(FUSE_RENAME2, 1, &in, sizeof(in), "a", "b", NULL, 0),
			-EINVAL);
	in.flags = 0;
	in.newdir = file;
	assert_int_equal(guest_call_names(FUSE_RENAME2, 1, &in, sizeof(in), "a", "b", NULL, 0),
			-ENOTDIR);
	in.newdir = 4711;
	assert_int_equal(guest_call_names(FUSE_RENAME2, 1, &in, sizeof(in), "a", "b", NULL, 0),
			-ESTALE);
}

static void
link_passes_the_file_and_answers_its_entry(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	uint64_t dir = guest_lookup(1, "dir");
	uint64_t none = 4711;
	struct fuse_entry_out out;

	assert_int_equal(guest_call_names(FUSE_LINK, 1, &file, sizeof(file), "b", NULL, &out,
					 sizeof(out)),
			sizeof(out));
	assert_int_equal(out.nodeid, file);
	assert_int_equal(fake.last.node_key, 1);
	assert_int_equal(out.attr.ino, fake.last.newnode_key);
	assert_int_equal(guest_call_names(FUSE_LINK, 1, &dir, sizeof(dir), "b", NULL, NULL, 0),
			-EPERM);
	assert_int_equal(guest_call_names(FUSE_LINK, 1, &none, sizeof(none), "b", NULL, NULL, 0),
			-ESTALE);
}

static void
getattr_goes_by_node_or_by_file(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	struct fuse_getattr_in in = { .fh = 99 };
	struct fuse_attr_out out;

	assert_int_equal(guest_call(FUSE_GETATTR, file, &in, sizeof(in), &out, sizeof(out)),
			sizeof(out));
	assert_attr(&out.attr, S_IFREG);
	assert_int_equal(out.attr_valid, 3);
	assert_int_equal(out.attr_valid_nsec, 2);
	assert_false(fake.last.has_file);

	in.getattr_flags = FUSE_GETATTR_FH;
	assert_int_equal(
			guest_call(FUSE_GETATTR, file, &in, sizeof(in), &out, sizeof(out)), -EBADF);
	in.fh = guest_open(file, O_RDWR);
	assert_int_equal(guest_call(FUSE_GETATTR, file, &in, sizeof(in), &out, sizeof(out)),
			sizeof(out));
	assert_true(fake.last.has_file);
	assert_int_equal(
			guest_call(FUSE_GETATTR, 4711, &in, sizeof(in), &out, sizeof(out)), -EBADF);
	in.getattr_flags = 0;
	assert_int_equal(guest_call(FUSE_GETATTR, 4711, &in, sizeof(in), &out, sizeof(out)),
			-ESTALE);
}

static void
setattr_maps_each_bit(void **state)
{
	static const struct {
		uint32_t wire, set;
	} bits[] = {
		{ 0, 0 },
		{ FUSE_FATTR_MODE, WEIR_SET_MODE },
		{ FUSE_FATTR_UID, WEIR_SET_UID },
		{ FUSE_FATTR_GID, WEIR_SET_GID },
		{ FUSE_FATTR_SIZE, WEIR_SET_SIZE },
		{ FUSE_FATTR_ATIME, WEIR_SET_ATIME },
		{ FUSE_FATTR_MTIME, WEIR_SET_MTIME },
		{ FUSE_FATTR_CTIME, WEIR_SET_CTIME },
		{ FUSE_FATTR_ATIME | FUSE_FATTR_ATIME_NOW, WEIR_SET_ATIME_NOW },
		{ FUSE_FATTR_MTIME | FUSE_FATTR_MTIME_NOW, WEIR_SET_MTIME_NOW },
		{ FUSE_FATTR_LOCKOWNER | FUSE_FATTR_KILL_SUGID, 0 },
		{ FUSE_FATTR_ALL & ~FUSE_FATTR_FH,
				WEIR_SET_MODE | WEIR_SET_UID | WEIR_SET_GID | WEIR_SET_SIZE |
						WEIR_SET_CTIME | WEIR_SET_ATIME_NOW |
						WEIR_SET_MTIME_NOW },
	};
	struct fuse_setattr_in in = {
		.size = 1,
		.atime = UINT64_MAX,
		.mtime = 3,
		.ctime = 4,
		.atimensec = 5,
		.mtimensec = 6,
		.ctimensec = 7,
		.mode = S_IFREG | 04711,
		.uid = 8,
		.gid = 9,
	};
	uint64_t file = guest_lookup(1, "file");
	struct fuse_attr_out out;

	for (unsigned int i = 0; i < RTE_DIM(bits); i++) {
		in.valid = bits[i].wire;
		assert_int_equal(guest_call(FUSE_SETATTR, file, &in, sizeof(in), &out, sizeof(out)),
				sizeof(out));
		assert_int_equal(fake.last.setattr_valid, bits[i].set);
	}
	assert_attr(&out.attr, S_IFREG);
	assert_int_equal(fake.last.setattr.size, 1);
	assert_int_equal(fake.last.setattr.atime, -1);
	assert_int_equal(fake.last.setattr.mtime, 3);
	assert_int_equal(fake.last.setattr.ctime, 4);
	assert_int_equal(fake.last.setattr.atime_ns, 5);
	assert_int_equal(fake.last.setattr.mtime_ns, 6);
	assert_int_equal(fake.last.setattr.ctime_ns, 7);
	assert_int_equal(fake.last.setattr.mode, 04711);
	assert_int_equal(fake.last.setattr.uid, 8);
	assert_int_equal(fake.last.setattr.gid, 9);
}

static void
setattr_out_of_range_is_refused(void **state)
{
	static const struct fuse_setattr_in bad[] = {
		{ .valid = 1u << 12 },
		{ .valid = 1u << 31 },
		{ .valid = FUSE_FATTR_UID, .uid = UINT32_MAX },
		{ .valid = FUSE_FATTR_GID, .gid = UINT32_MAX },
		{ .valid = FUSE_FATTR_SIZE, .size = (uint64_t)INT64_MAX + 1 },
		{ .valid = FUSE_FATTR_ATIME, .atimensec = 1000000000 },
		{ .valid = FUSE_FATTR_MTIME, .mtimensec = UINT32_MAX },
		{ .valid = FUSE_FATTR_CTIME, .ctimensec = 1000000000 },
	};
	struct fuse_setattr_in size = { .valid = FUSE_FATTR_SIZE };
	uint64_t file = guest_lookup(1, "file");
	uint64_t pipe = guest_lookup(1, "pipe");

	for (unsigned int i = 0; i < RTE_DIM(bad); i++)
		assert_int_equal(guest_call(FUSE_SETATTR, file, &bad[i], sizeof(bad[i]), NULL, 0),
				-EINVAL);
	assert_int_equal(guest_call(FUSE_SETATTR, 1, &size, sizeof(size), NULL, 0), -EISDIR);
	assert_int_equal(guest_call(FUSE_SETATTR, pipe, &size, sizeof(size), NULL, 0), -EINVAL);
	size.valid |= FUSE_FATTR_FH;
	assert_int_equal(guest_call(FUSE_SETATTR, file, &size, sizeof(size), NULL, 0), -EBADF);
	assert_int_equal(fake.calls[WEIR_FSOP_SETATTR], 0);
	size.fh = guest_open(file, O_RDWR);
	assert_int_equal(guest_call(FUSE_SETATTR, file, &size, sizeof(size), NULL, 0),
			sizeof(struct fuse_attr_out));
	assert_true(fake.last.has_file);
}

static void
readlink_answers_the_target(void **state)
{
	uint64_t link = guest_lookup(1, "link");
	char target[64] = "";

	assert_int_equal(guest_call(FUSE_READLINK, link, NULL, 0, target, sizeof(target)),
			strlen(FAKE_TARGET));
	assert_string_equal(target, FAKE_TARGET);
	assert_int_equal(guest_call(FUSE_READLINK, 1, NULL, 0, NULL, 0), -EINVAL);
	fake.set_res = true;
	fake.res = FUSE_TARGET_MAX + 1;
	assert_int_equal(guest_call(FUSE_READLINK, link, NULL, 0, NULL, 0), -EIO);
}

static void
statfs_answers_what_it_was_told(void **state)
{
	struct fuse_statfs_out out;

	assert_int_equal(guest_call(FUSE_STATFS, 1, NULL, 0, &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.blocks, 1);
	assert_int_equal(out.bfree, 2);
	assert_int_equal(out.bavail, 3);
	assert_int_equal(out.files, 4);
	assert_int_equal(out.ffree, 5);
	assert_int_equal(out.bsize, 6);
	assert_int_equal(out.namelen, 7);
	assert_int_equal(out.frsize, 8);
}

static void
access_passes_the_mask(void **state)
{
	struct fuse_access_in in = { .mask = 5 };

	assert_int_equal(guest_call(FUSE_ACCESS, 1, &in, sizeof(in), NULL, 0), 0);
	assert_int_equal(fake.last.op, WEIR_FSOP_ACCESS);
	assert_int_equal(fake.last.mask, 5);
	in.mask = 8;
	assert_int_equal(guest_call(FUSE_ACCESS, 1, &in, sizeof(in), NULL, 0), -EINVAL);
}

static void
interrupt_is_not_found_or_not_answered(void **state)
{
	const struct fuse_interrupt_in in = { .unique = 1 };
	struct guest_req *r = calloc(1, sizeof(*r));

	assert_int_equal(guest_call(FUSE_INTERRUPT, 0, &in, sizeof(in), NULL, 0), -EAGAIN);
	guest_prepare(r, 0, FUSE_INTERRUPT, 0, &in, sizeof(in), 0);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(r->completed, 1);
	assert_int_equal(r->bytes, 0);
	free(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lookup_answers_the_entry),
		TEST(lookup_of_what_is_not_there_is_an_error_or_a_negative_entry),
		TEST(lookup_of_dots_stays_below_the_root),
		TEST(makers_pass_mode_and_umask_and_answer_the_entry),
		TEST(mknod_of_what_is_no_node_is_refused),
		TEST(maker_without_a_node_is_a_fault_of_the_backend),
		TEST(removers_pass_the_name),
		TEST(rename_passes_both_directories),
		TEST(link_passes_the_file_and_answers_its_entry),
		TEST(getattr_goes_by_node_or_by_file),
		TEST(setattr_maps_each_bit),
		TEST(setattr_out_of_range_is_refused),
		TEST(readlink_answers_the_target),
		TEST(statfs_answers_what_it_was_told),
		TEST(access_passes_the_mask),
		TEST(interrupt_is_not_found_or_not_answered),
	};

	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
