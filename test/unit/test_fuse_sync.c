/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* SYNCFS on a file system that can FSYNC files only. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_fs.h"
#include "fuse_guest.h"

static int
syncfs(void)
{
	const struct fuse_syncfs_in in = { 0 };

	return guest_call(FUSE_SYNCFS, 1, &in, sizeof(in), NULL, 0);
}

static void
syncfs_is_fsync_of_files_that_are_written_to(void **state)
{
	static const uint32_t flags[] = { O_RDWR, O_RDONLY, O_WRONLY };
	uint64_t file = guest_lookup(1, "file");

	fake_without(WEIR_FSOP_SYNCFS);
	assert_int_equal(syncfs(), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_FSYNC], 0);
	/* More than are looked at in one go. */
	for (unsigned int i = 0; i < 60; i++)
		guest_open(file, flags[i % 3]);
	assert_int_equal(syncfs(), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_FSYNC], 40);
	fake.set_res = true;
	fake.res = -EIO;
	assert_int_equal(syncfs(), -EIO);
	/* An error of one is no reason to leave the others. */
	assert_int_equal(fake.calls[WEIR_FSOP_FSYNC], 80);
	fake.set_res = false;
	assert_int_equal(weir_table_used(guest_sess->files), 60);
}

/* A SYNCFS that is at the first of two files, in request r. */
static void
syncfs_held(struct guest_req *r, uint64_t file, uint64_t fh[2])
{
	const struct fuse_syncfs_in in = { 0 };

	fake_without(WEIR_FSOP_SYNCFS);
	fh[0] = guest_open(file, O_RDWR);
	fh[1] = guest_open(file, O_RDWR);
	fake.hold = true;
	guest_prepare(r, 1, FUSE_SYNCFS, 1, &in, sizeof(in), GUEST_ROOM);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_FSYNC], 1);
}

static void
syncfs_closes_what_was_closed_meanwhile(void **state)
{
	uint64_t file = guest_lookup(1, "file"), fh[2];
	struct guest_req *r = calloc(1, sizeof(*r));

	syncfs_held(r, file, fh);
	assert_int_equal(guest_release(FUSE_RELEASE, file, fh[0]), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 0);
	guest_on_worker(0, fake_go_on);
	guest_wait(r);
	assert_int_equal(guest_answer(r, NULL), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_FSYNC], 2);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 1);
	assert_int_equal(fake.open, 1);
	assert_int_equal(weir_table_used(guest_sess->files), 1);
	free(r);
}

/* The file system does not know a file that is being opened. */
static void
syncfs_leaves_files_alone_that_are_not_open_yet(void **state)
{
	const struct fuse_open_in in = { .flags = O_RDWR };
	uint64_t file = guest_lookup(1, "file");
	struct guest_req *r = calloc(1, sizeof(*r));

	fake_without(WEIR_FSOP_SYNCFS);
	fake.hold = true;
	guest_prepare(r, 1, FUSE_OPEN, file, &in, sizeof(in), GUEST_ROOM);
	assert_int_equal(guest_submit(r), 0);
	fake.hold = false;
	assert_int_equal(syncfs(), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_FSYNC], 0);
	guest_on_worker(0, fake_go_on);
	assert_int_equal(guest_answer(r, NULL), sizeof(struct fuse_open_out));
	assert_int_equal(syncfs(), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_FSYNC], 1);
	free(r);
}

static void
syncfs_ends_with_its_guest(void **state)
{
	uint64_t file = guest_lookup(1, "file"), fh[2];
	struct guest_req *r = calloc(1, sizeof(*r));

	syncfs_held(r, file, fh);
	assert_int_equal(guest_release(FUSE_RELEASE, file, fh[0]), 0);
	guest_detach(r);
	guest_on_worker(0, fake_go_on);
	guest_reset();
	assert_int_equal(r->released, 1);
	/* The second file is nobody's any more. */
	assert_int_equal(fake.calls[WEIR_FSOP_FSYNC], 1);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 2);
	assert_int_equal(weir_table_used(guest_sess->files), 0);
	free(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(syncfs_is_fsync_of_files_that_are_written_to),
		TEST(syncfs_closes_what_was_closed_meanwhile),
		TEST(syncfs_leaves_files_alone_that_are_not_open_yet),
		TEST(syncfs_ends_with_its_guest),
	};

	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
