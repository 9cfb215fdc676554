/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What the options that every file system has make of a session: flags, time-outs, refusals. */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fuse_guest.h"

/* Open flags of an answer to OPEN or OPENDIR; the file stays open until the test's end. */
static uint32_t
opened(uint32_t opcode, uint64_t nodeid, uint32_t flags)
{
	const struct fuse_open_in in = { .flags = flags };
	struct fuse_open_out out;

	assert_int_equal(guest_call(opcode, nodeid, &in, sizeof(in), &out, sizeof(out)),
			sizeof(out));
	return out.open_flags;
}

static uint32_t
created(const char *name)
{
	const struct fuse_create_in in = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;

	assert_int_equal(guest_call_names(FUSE_CREATE, 1, &in, sizeof(in), name, NULL, &out,
					 sizeof(out)),
			sizeof(out));
	return out.open.open_flags;
}

static void
each_mode_says_what_is_kept(void **state)
{
	static const struct {
		const char *options;
		uint32_t file, dir;
		bool plus;
	} modes[] = {
		{ "{\"cache\": \"never\"}", FUSE_FOPEN_DIRECT_IO, 0, false },
		{ "{}", 0, 0, true },
		{ "{\"cache\": \"auto\", \"keep_cache\": true}", FUSE_FOPEN_KEEP_CACHE, 0, true },
		{ "{\"cache\": \"always\"}", FUSE_FOPEN_KEEP_CACHE,
				FUSE_FOPEN_KEEP_CACHE | FUSE_FOPEN_CACHE_DIR, true },
		{ "{\"cache\": \"always\", \"keep_cache\": false, \"readdirplus\": false}", 0,
				FUSE_FOPEN_KEEP_CACHE | FUSE_FOPEN_CACHE_DIR, false },
		{ "{\"cache\": \"metadata\"}", FUSE_FOPEN_DIRECT_IO,
				FUSE_FOPEN_KEEP_CACHE | FUSE_FOPEN_CACHE_DIR, true },
		{ "{\"direct_io\": \"force\"}", FUSE_FOPEN_DIRECT_IO, 0, true },
		{ "{\"direct_io\": \"strip\"}", 0, 0, true },
	};
	struct fuse_init_out out;
	uint64_t file;

	for (unsigned int i = 0; i < RTE_DIM(modes); i++) {
		guest_remake(modes[i].options, &out);
		assert_int_equal((out.flags & FUSE_DO_READDIRPLUS) != 0, modes[i].plus);
		assert_int_equal(out.flags & FUSE_WRITEBACK_CACHE, 0);
		assert_int_equal(out.flags2 & FUSE_DIRECT_IO_ALLOW_MMAP >> 32, 0);
		file = guest_lookup(1, "file");
		assert_int_equal(opened(FUSE_OPEN, file, O_RDWR), modes[i].file);
		assert_int_equal(opened(FUSE_OPENDIR, 1, 0), modes[i].dir);
		assert_int_equal(created("new"), modes[i].file);
	}
}

static void
o_direct_is_passed_on_unless_stripped(void **state)
{
	struct fuse_init_out out;

	guest_remake("{\"cache\": \"never\"}", &out);
	opened(FUSE_OPEN, guest_lookup(1, "file"), O_RDWR | O_DIRECT);
	assert_int_equal(fake.last.file_flags, O_RDWR | O_DIRECT);
	guest_remake("{\"direct_io\": \"strip\"}", &out);
	opened(FUSE_OPEN, guest_lookup(1, "file"), O_RDWR | O_DIRECT);
	assert_int_equal(fake.last.file_flags, O_RDWR);
}

static void
shared_mappings_of_direct_files_are_allowed_by_option(void **state)
{
	struct fuse_init_out out;

	guest_remake("{\"cache\": \"never\", \"allow_mmap\": true}", &out);
	assert_int_not_equal(out.flags2 & FUSE_DIRECT_IO_ALLOW_MMAP >> 32, 0);
}

static uint64_t
entry_valid_ns(const char *name)
{
	struct fuse_entry_out out;

	assert_int_equal(guest_call_names(FUSE_LOOKUP, 1, NULL, 0, name, NULL, &out, sizeof(out)),
			sizeof(out));
	assert_int_equal(out.attr_valid, 2);
	return out.entry_valid * UINT64_C(1000000000) + out.entry_valid_nsec;
}

static void
close_to_open_makes_the_guest_ask_for_files(void **state)
{
	struct fuse_init_out out;

	guest_remake("{\"close_to_open\": true}", &out);
	assert_int_equal(entry_valid_ns("file"), 0);
	assert_int_equal(entry_valid_ns("dir"), 1500000000);
	assert_int_equal(entry_valid_ns("link"), 1500000000);
	guest_remake("{\"close_to_open\": false}", &out);
	assert_int_equal(entry_valid_ns("file"), 1500000000);
}

static void
absent_name_is_remembered_by_option(void **state)
{
	struct fuse_entry_out entry;
	struct fuse_init_out out;

	guest_remake("{\"negative_valid_ms\": 2500}", &out);
	fake.set_res = true;
	fake.res = -ENOENT;
	assert_int_equal(
			guest_call_names(FUSE_LOOKUP, 1, NULL, 0, "a", NULL, &entry, sizeof(entry)),
			sizeof(entry));
	assert_int_equal(entry.nodeid, 0);
	assert_int_equal(entry.entry_valid, 2);
	assert_int_equal(entry.entry_valid_nsec, 500000000);
	/* Of a name only, and only that it is absent. */
	assert_int_equal(guest_call_names(FUSE_UNLINK, 1, NULL, 0, "a", NULL, NULL, 0), -ENOENT);
	fake.res = -EACCES;
	assert_int_equal(guest_call_names(FUSE_LOOKUP, 1, NULL, 0, "a", NULL, NULL, 0), -EACCES);
	guest_remake("{}", &out);
	fake.set_res = true;
	fake.res = -ENOENT;
	assert_int_equal(guest_call_names(FUSE_LOOKUP, 1, NULL, 0, "a", NULL, NULL, 0), -ENOENT);
}

static uint32_t
flags_of_a_write(uint64_t file, uint64_t fh, uint32_t flags)
{
	struct {
		struct fuse_write_in in;
		uint8_t data[10];
	} in = { .in = { .fh = fh, .size = 10, .flags = flags } };
	struct fuse_write_out out;

	assert_int_equal(guest_call(FUSE_WRITE, file, &in, sizeof(in.in) + 10, &out, sizeof(out)),
			sizeof(out));
	return fake.last.io_flags;
}

static void
write_back_cache_may_read_and_appends_itself(void **state)
{
	struct fuse_read_in read = { .size = 10 };
	struct fuse_init_out out;
	uint64_t file;

	guest_remake("{\"enable_writeback_cache\": true}", &out);
	assert_true((out.flags & FUSE_WRITEBACK_CACHE) != 0);
	file = guest_lookup(1, "file");
	read.fh = guest_open(file, O_WRONLY | O_APPEND | O_SYNC);
	assert_int_equal(fake.last.file_flags, O_RDWR | O_SYNC);
	assert_int_equal(guest_call(FUSE_READ, file, &read, sizeof(read), NULL, 0), 10);
	assert_int_equal(flags_of_a_write(file, read.fh, O_WRONLY | O_APPEND), O_WRONLY);

	/* A guest that does not want it is served as ever. */
	assert_int_equal(guest_init(39, 0, &out), sizeof(out));
	file = guest_lookup(1, "file");
	read.fh = guest_open(file, O_WRONLY | O_APPEND);
	assert_int_equal(fake.last.file_flags, O_WRONLY | O_APPEND);
	assert_int_equal(guest_call(FUSE_READ, file, &read, sizeof(read), NULL, 0), -EBADF);
	assert_int_equal(flags_of_a_write(file, read.fh, O_WRONLY | O_APPEND), O_WRONLY | O_APPEND);
}

static void
readonly_refuses_every_change(void **state)
{
	static const uint32_t changes[] = { FUSE_SETATTR, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR,
		FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME, FUSE_LINK, FUSE_WRITE, FUSE_SETXATTR,
		FUSE_REMOVEXATTR, FUSE_CREATE, FUSE_FALLOCATE, FUSE_RENAME2, FUSE_COPY_FILE_RANGE,
		FUSE_TMPFILE, FUSE_COPY_FILE_RANGE_64 };
	const uint64_t none = 0;
	struct fuse_init_out out;
	uint64_t seen = 0;

	guest_remake("{\"readonly\": true}", &out);
	for (unsigned int i = 0; i < RTE_DIM(changes); i++) {
		assert_int_equal(guest_call(changes[i], 1, &none, sizeof(none), NULL, 0), -EROFS);
		seen |= UINT64_C(1) << changes[i];
	}
	for (uint32_t op = 1; op < FUSE_NB_OPCODES; op++)
		assert_int_equal((fuse_ops[op].flags & FUSE_OP_CHANGES) != 0, seen >> op & 1);
	for (unsigned int i = 0; i < WEIR_NB_FSOPS; i++)
		assert_int_equal(fake.calls[i], 0);
}

static void
readonly_opens_for_reading_only(void **state)
{
	static const uint32_t writing[] = { O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC };
	struct fuse_access_in access = { .mask = R_OK | W_OK };
	struct fuse_ioctl_in ioc = { .cmd = FS_IOC_SETFLAGS };
	struct fuse_init_out out;
	uint64_t file;

	guest_remake("{\"readonly\": true}", &out);
	file = guest_lookup(1, "file");
	for (unsigned int i = 0; i < RTE_DIM(writing); i++) {
		const struct fuse_open_in in = { .flags = writing[i] };

		assert_int_equal(guest_call(FUSE_OPEN, file, &in, sizeof(in), NULL, 0), -EROFS);
	}
	assert_int_equal(fake.calls[WEIR_FSOP_OPEN], 0);
	/* Nor do times of last access change by what the guest reads. */
	ioc.fh = guest_open(file, O_RDONLY);
	assert_int_equal(fake.last.file_flags, O_RDONLY | O_NOATIME);
	guest_opendir(1);
	assert_int_equal(fake.last.file_flags, O_DIRECTORY | O_NOATIME);

	assert_int_equal(guest_call(FUSE_ACCESS, file, &access, sizeof(access), NULL, 0), -EROFS);
	assert_int_equal(guest_call(FUSE_ACCESS, guest_lookup(1, "pipe"), &access, sizeof(access),
					 NULL, 0),
			0);
	access.mask = R_OK;
	assert_int_equal(guest_call(FUSE_ACCESS, file, &access, sizeof(access), NULL, 0), 0);
	assert_int_equal(guest_call(FUSE_IOCTL, file, &ioc, sizeof(ioc), NULL, 0), -EROFS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_mode_says_what_is_kept),
		TEST(o_direct_is_passed_on_unless_stripped),
		TEST(shared_mappings_of_direct_files_are_allowed_by_option),
		TEST(close_to_open_makes_the_guest_ask_for_files),
		TEST(absent_name_is_remembered_by_option),
		TEST(write_back_cache_may_read_and_appends_itself),
		TEST(readonly_refuses_every_change),
		TEST(readonly_opens_for_reading_only),
	};

	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
