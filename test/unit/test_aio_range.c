/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What guests of the aio driver ask for seldom: FALLOCATE to IOCTL, TMPFILE, STATX, SYNCFS. */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

#define MIB (1u << 20)

struct opened {
	struct weir_entry entry;
	struct weir_file *file;
};

static struct opened
create(const char *name)
{
	struct opened o;

	assert_int_equal(fsc_create(&fsc, root, name, O_RDWR, 0644, &o.entry, &o.file), 0);
	return o;
}

static void
discard(struct opened *o, const char *name)
{
	fsc_release(&fsc, WEIR_FSOP_RELEASE, o->entry.node, o->file);
	fsc_put(&fsc, o->entry.node);
	unlink(host(name));
}

static int
do_fallocate(const struct opened *o, uint32_t mode, uint64_t off, uint64_t len)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_FALLOCATE, .node = o->entry.node, .file = o->file },
	};

	call.req.in.fallocate.mode = mode;
	call.req.in.fallocate.off = off;
	call.req.in.fallocate.len = len;
	return fsc_run(&fsc, &call);
}

/* The offset, or -errno. */
static int64_t
do_lseek(const struct opened *o, uint64_t off, uint32_t whence)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_LSEEK, .node = o->entry.node, .file = o->file },
	};
	int res;

	call.req.in.lseek.off = off;
	call.req.in.lseek.whence = whence;
	res = fsc_run(&fsc, &call);
	return res < 0 ? res : (int64_t)call.req.out.off;
}

static int
do_copy(const struct opened *from, uint64_t off, const struct opened *to, uint64_t newoff,
		uint32_t len)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_COPY_FILE_RANGE,
				.node = from->entry.node,
				.file = from->file,
				.newnode = to->entry.node,
				.newfile = to->file },
	};

	call.req.in.io.off = off;
	call.req.in.io.newoff = newoff;
	call.req.in.io.len = len;
	return fsc_run(&fsc, &call);
}

static int
do_ioctl(struct weir_node *node, struct weir_file *file, struct fsc_call *call, enum weir_ioctl cmd)
{
	call->req.op = WEIR_FSOP_IOCTL;
	call->req.node = node;
	call->req.file = file;
	call->req.in.ioctl.cmd = cmd;
	return fsc_run(&fsc, call);
}

static void
write_all(const struct opened *o, uint64_t off, uint32_t len, int byte)
{
	memset(fsc.mem, byte, len);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, o->entry.node, o->file, off, len, 0, len),
			(int)len);
}

static void
fallocate_reserves_punches_and_zeroes(void **state)
{
	struct opened o = create("f");
	struct stat st;
	int rc;

	assert_int_equal(do_fallocate(&o, 0, 0, MIB), 0);
	assert_int_equal(stat(host("f"), &st), 0);
	assert_int_equal(st.st_size, MIB);
	assert_true(st.st_blocks >= MIB / 512);
	assert_int_equal(do_fallocate(&o, FALLOC_FL_KEEP_SIZE, MIB, MIB), 0);
	assert_int_equal(stat(host("f"), &st), 0);
	assert_int_equal(st.st_size, MIB);
	assert_true(st.st_blocks >= 2 * MIB / 512);

	write_all(&o, 0, 65536, 'x');
	assert_int_equal(do_fallocate(&o, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192),
			0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, o.entry.node, o.file, 0, 16384, 0, 5000),
			16384);
	assert_int_equal(fsc.mem[4095], 'x');
	assert_int_equal(fsc.mem[4096], 0);
	assert_int_equal(fsc.mem[12287], 0);
	assert_int_equal(fsc.mem[12288], 'x');
	/* What the file system does not have is its own answer. */
	rc = do_fallocate(&o, FALLOC_FL_COLLAPSE_RANGE, 0, 4096);
	assert_true(rc == 0 || rc == -EOPNOTSUPP);
	assert_int_equal(do_fallocate(&o, FALLOC_FL_PUNCH_HOLE, 0, 4096), -EOPNOTSUPP);
	assert_int_equal(do_fallocate(&o, 1u << 30, 0, 4096), -EOPNOTSUPP);
	discard(&o, "f");
}

/* Who may not keep set-id bits loses them, as with a write of their own. */
static void
fallocate_by_a_user_takes_the_set_id_bits(void **state)
{
	struct opened o = create("f");
	struct stat st;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(host("f"), 06777), 0);
	fsc.cred = (struct weir_cred){ .uid = 1234, .gid = 1234 };
	assert_int_equal(do_fallocate(&o, 0, 0, 4096), 0);
	fsc.cred = (struct weir_cred){ 0 };
	assert_int_equal(stat(host("f"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0777);
	discard(&o, "f");
}

static void
lseek_finds_data_and_holes(void **state)
{
	struct opened o = create("f");

	assert_int_equal(do_lseek(&o, 0, SEEK_DATA), -ENXIO);
	write_all(&o, MIB, 4096, 'x');
	assert_int_equal(do_lseek(&o, 0, SEEK_DATA), MIB);
	assert_int_equal(do_lseek(&o, MIB + 1, SEEK_DATA), MIB + 1);
	assert_int_equal(do_lseek(&o, 0, SEEK_HOLE), 0);
	assert_int_equal(do_lseek(&o, MIB, SEEK_HOLE), MIB + 4096);
	assert_int_equal(do_lseek(&o, MIB + 4096, SEEK_HOLE), -ENXIO);
	discard(&o, "f");
}

static void
copy_moves_bytes_between_files(void **state)
{
	struct opened from = create("a"), to = create("b");

	write_all(&from, 0, 10000, 'a');
	write_all(&from, 5000, 5000, 'b');
	assert_int_equal(do_copy(&from, 4000, &to, 100, 3000), 3000);
	/* Up to the end of the file, and nothing behind it. */
	assert_int_equal(do_copy(&from, 9000, &to, 3100, 3000), 1000);
	assert_int_equal(do_copy(&from, 10000, &to, 0, 3000), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, to.entry.node, to.file, 0, 10000, 0, 999),
			4100);
	assert_int_equal(fsc.mem[99], 0);
	assert_int_equal(fsc.mem[100], 'a');
	assert_int_equal(fsc.mem[1099], 'a');
	assert_int_equal(fsc.mem[1100], 'b');
	assert_int_equal(fsc.mem[4099], 'b');
	/* Within one file, where the ranges do not meet. */
	assert_int_equal(do_copy(&from, 0, &from, 5000, 6000), -EINVAL);
	assert_int_equal(do_copy(&from, 0, &from, 20000, 6000), 6000);
	discard(&from, "a");
	discard(&to, "b");
}

/* What Linux says of a copy whose ends are not aligned, by files that are open for direct I/O. */
static int
host_copies_direct(void)
{
	int from = open(host("a"), O_RDWR | O_DIRECT), to = open(host("b"), O_RDWR | O_DIRECT);
	off_t off = 100, newoff = 0;
	int rc = -EINVAL;

	if (from >= 0 && to >= 0)
		rc = (int)copy_file_range(from, &off, to, &newoff, 1000, 0) < 0 ? -errno : 1000;
	close(from);
	close(to);
	return rc;
}

/* A guest takes it as: copy yourself. */
static void
copy_that_direct_files_cannot_do_is_left_to_the_guest(void **state)
{
	struct opened from = create("a"), to = create("b"), direct[2] = { from, to };
	int rc;

	write_all(&from, 0, 10000, 'a');
	for (unsigned int i = 0; i < RTE_DIM(direct); i++)
		assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, direct[i].entry.node,
						 O_RDWR | O_DIRECT, &direct[i].file),
				0);
	rc = host_copies_direct();
	assert_int_equal(do_copy(&direct[0], 100, &direct[1], 0, 1000),
			rc == -EINVAL ? -EOPNOTSUPP : rc);
	for (unsigned int i = 0; i < RTE_DIM(direct); i++)
		fsc_release(&fsc, WEIR_FSOP_RELEASE, direct[i].entry.node, direct[i].file);
	discard(&from, "a");
	discard(&to, "b");
}

static void
copy_of_much_comes_in_parts(void **state)
{
	struct opened from = create("a"), to = create("b");
	unsigned int calls;
	uint64_t off;
	int n = 1;

	assert_int_equal(truncate(host("a"), 40 * MIB), 0);
	write_all(&from, 40 * MIB - 10, 10, 'z');
	for (off = 0, calls = 0; n > 0; calls++) {
		n = do_copy(&from, off, &to, off, 1u << 30);
		assert_true(n >= 0 && n <= (int)(32 * MIB));
		off += (unsigned int)n;
	}
	assert_int_equal(off, 40 * MIB);
	assert_true(calls > 2);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, to.entry.node, to.file, 40 * MIB - 10, 100, 0,
					 100),
			10);
	assert_memory_equal(fsc.mem, "zzzzzzzzzz", 10);
	discard(&from, "a");
	discard(&to, "b");
}

/* Sets flags beside those that are there. */
static int
set_iflags(const struct opened *o, uint32_t more)
{
	struct fsc_call get = { 0 }, set = { 0 };
	int rc;

	rc = do_ioctl(o->entry.node, o->file, &get, WEIR_IOCTL_GETFLAGS);
	if (rc < 0)
		return rc;
	set.req.in.ioctl.iflags = get.req.out.ioctl.iflags ^ more;
	return do_ioctl(o->entry.node, o->file, &set, WEIR_IOCTL_SETFLAGS);
}

static int
host_iflags(const char *name)
{
	const int fd = open(host(name), O_RDONLY);
	long flags = 0;

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
	close(fd);
	return (int)flags;
}

static void
ioctl_sets_flags_of_the_files_own(void **state)
{
	struct opened o = create("f");
	struct fsc_call call = { 0 };
	int rc;

	rc = do_ioctl(o.entry.node, o.file, &call, WEIR_IOCTL_GETFLAGS);
	if (rc == -ENOTTY) {
		/* A file system without flags says so to all. */
		assert_int_equal(do_ioctl(o.entry.node, o.file, &call, WEIR_IOCTL_SETFLAGS), rc);
		discard(&o, "f");
		skip();
	}
	assert_int_equal(rc, 0);
	assert_int_equal(call.req.out.ioctl.iflags, host_iflags("f"));
	assert_int_equal(set_iflags(&o, FS_NODUMP_FL), 0);
	assert_int_not_equal(host_iflags("f") & FS_NODUMP_FL, 0);
	assert_int_equal(set_iflags(&o, FS_IMMUTABLE_FL), -EPERM);
	assert_int_equal(set_iflags(&o, FS_APPEND_FL), -EPERM);
	assert_int_equal(set_iflags(&o, FS_PROJINHERIT_FL), -EPERM);
	assert_int_equal(set_iflags(&o, FS_JOURNAL_DATA_FL), -EOPNOTSUPP);
	assert_int_equal(host_iflags("f") & (FS_IMMUTABLE_FL | FS_APPEND_FL), 0);
	assert_int_equal(set_iflags(&o, FS_NODUMP_FL), 0);
	assert_int_equal(host_iflags("f") & FS_NODUMP_FL, 0);
	discard(&o, "f");
}

static void
ioctl_of_a_directory(void **state)
{
	struct fsc_call call = { 0 };
	struct weir_file *dir;
	int rc;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, root, O_DIRECTORY, &dir), 0);
	rc = do_ioctl(root, dir, &call, WEIR_IOCTL_GETFLAGS);
	assert_true(rc == -ENOTTY || rc == 0);
	if (rc == 0)
		assert_int_equal(call.req.out.ioctl.iflags, host_iflags("."));
	fsc_release(&fsc, WEIR_FSOP_RELEASEDIR, root, dir);
}

static void
ioctl_tells_fsxattr_and_keeps_the_project(void **state)
{
	struct fsc_call get = { 0 }, set = { 0 };
	struct opened o = create("f");
	int rc;

	rc = do_ioctl(o.entry.node, o.file, &get, WEIR_IOCTL_GETFSXATTR);
	if (rc == -ENOTTY) {
		discard(&o, "f");
		skip();
	}
	assert_int_equal(rc, 0);
	set.req.in.ioctl.fsxattr = get.req.out.ioctl.fsxattr;
	set.req.in.ioctl.fsxattr.xflags |= FS_XFLAG_NODUMP;
	assert_int_equal(do_ioctl(o.entry.node, o.file, &set, WEIR_IOCTL_SETFSXATTR), 0);
	assert_int_not_equal(host_iflags("f") & FS_NODUMP_FL, 0);
	set.req.in.ioctl.fsxattr.projid++;
	assert_int_equal(do_ioctl(o.entry.node, o.file, &set, WEIR_IOCTL_SETFSXATTR), -EPERM);
	set.req.in.ioctl.fsxattr.projid--;
	set.req.in.ioctl.fsxattr.xflags |= FS_XFLAG_IMMUTABLE;
	assert_int_equal(do_ioctl(o.entry.node, o.file, &set, WEIR_IOCTL_SETFSXATTR), -EPERM);
	discard(&o, "f");
}

static int
do_tmpfile(struct weir_node *dir, uint32_t flags, struct opened *o)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_TMPFILE, .node = dir, .name = "any/thing" },
	};
	int res;

	call.req.in.create.mode = S_IFREG | 0666;
	call.req.in.create.umask = 022;
	call.req.file = calloc(1, weir_fsdev_file_size(fsc.dev));
	assert_non_null(call.req.file);
	call.req.file->flags = O_CREAT | flags;
	res = fsc_run(&fsc, &call);
	if (res < 0) {
		free(call.req.file);
		return res;
	}
	*o = (struct opened){ .entry = call.req.out.entry, .file = call.req.file };
	return 0;
}

static void
tmpfile_has_no_name_until_it_is_linked(void **state)
{
	struct weir_entry entry;
	struct opened o;
	struct stat st;
	int rc;

	rc = do_tmpfile(root, O_RDWR, &o);
	if (rc == -EOPNOTSUPP)
		skip();
	assert_int_equal(rc, 0);
	assert_int_equal(o.entry.attr.mode, S_IFREG | 0644);
	assert_int_equal(o.entry.attr.nlink, 0);
	write_all(&o, 0, 100, 't');
	assert_int_equal(fsc_link(&fsc, o.entry.node, root, "t"), 0);
	assert_int_equal(stat(host("t"), &st), 0);
	assert_int_equal(st.st_size, 100);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(fsc_lookup(&fsc, root, "t", &entry), 0);
	assert_ptr_equal(entry.node, o.entry.node);
	fsc_put(&fsc, entry.node);
	discard(&o, "t");
}

static void
tmpfile_that_is_exclusive_cannot_be_linked(void **state)
{
	struct opened o;
	int rc;

	rc = do_tmpfile(root, O_RDWR | O_EXCL, &o);
	if (rc == -EOPNOTSUPP)
		skip();
	assert_int_equal(rc, 0);
	assert_int_equal(fsc_link(&fsc, o.entry.node, root, "t"), -ENOENT);
	discard(&o, "t");
	assert_int_equal(do_tmpfile(root, O_RDONLY, &o), -EINVAL);
}

/* On the node and on the open file. */
static void
statx_tells_when_a_file_was_born(void **state)
{
	struct opened o = create("f");
	struct weir_statx *seen;
	struct fsc_call call;
	struct statx sx;
	int rc;

	write_all(&o, 0, 100, 's');
	/* Where there are flags. */
	rc = set_iflags(&o, FS_NODUMP_FL);
	assert_true(rc == 0 || rc == -ENOTTY);
	for (unsigned int i = 0; i < 2; i++) {
		call = (struct fsc_call){ .req = { .op = WEIR_FSOP_STATX, .node = o.entry.node } };
		call.req.file = i > 0 ? o.file : NULL;
		call.req.in.statx.mask = STATX_BASIC_STATS | STATX_BTIME;
		assert_int_equal(fsc_run(&fsc, &call), 0);
		seen = &call.req.out.statx.stat;
		assert_int_equal(
				statx(AT_FDCWD, host("f"), 0, STATX_BASIC_STATS | STATX_BTIME, &sx),
				0);
		assert_int_equal(seen->attr.size, 100);
		assert_int_equal(seen->attr.ino, sx.stx_ino);
		assert_int_equal(seen->has_btime, (sx.stx_mask & STATX_BTIME) != 0);
		assert_int_equal(seen->btime, sx.stx_btime.tv_sec);
		assert_int_equal(seen->btime_ns, sx.stx_btime.tv_nsec);
		assert_int_equal(seen->attributes & STATX_ATTR_NODUMP,
				sx.stx_attributes & STATX_ATTR_NODUMP);
		assert_int_equal(seen->attributes_mask & STATX_ATTR_NODUMP,
				sx.stx_attributes_mask & STATX_ATTR_NODUMP);
		assert_int_equal(seen->attributes_mask & STATX_ATTR_MOUNT_ROOT, 0);
	}
	discard(&o, "f");
}

static void
syncfs_is_of_a_directory(void **state)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_SYNCFS, .node = root } };
	struct opened o = create("f");

	assert_int_equal(fsc_run(&fsc, &call), 0);
	call.req.node = o.entry.node;
	assert_int_equal(fsc_run(&fsc, &call), -EINVAL);
	discard(&o, "f");
}

static const struct CMUnitTest range_tests[] = {
	cmocka_unit_test(fallocate_reserves_punches_and_zeroes),
	cmocka_unit_test(fallocate_by_a_user_takes_the_set_id_bits),
	cmocka_unit_test(lseek_finds_data_and_holes),
	cmocka_unit_test(copy_moves_bytes_between_files),
	cmocka_unit_test(copy_that_direct_files_cannot_do_is_left_to_the_guest),
	cmocka_unit_test(copy_of_much_comes_in_parts),
	cmocka_unit_test(ioctl_sets_flags_of_the_files_own),
	cmocka_unit_test(ioctl_of_a_directory),
	cmocka_unit_test(ioctl_tells_fsxattr_and_keeps_the_project),
	cmocka_unit_test(tmpfile_has_no_name_until_it_is_linked),
	cmocka_unit_test(tmpfile_that_is_exclusive_cannot_be_linked),
	cmocka_unit_test(statx_tells_when_a_file_was_born),
	cmocka_unit_test(syncfs_is_of_a_directory),
};

int
main(void)
{
	return aio_folder_run(range_tests, RTE_DIM(range_tests));
}
