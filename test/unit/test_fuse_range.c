/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Ranges of open files: space, holes, and copies, which use two files at a time. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fuse_guest.h"

static int
send(uint32_t opcode, uint64_t nodeid, const void *arg, size_t len)
{
	return guest_call(opcode, nodeid, arg, len, NULL, 0);
}

static void
fallocate_carries_mode_and_range(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_fallocate_in in = { .fh = guest_open(file, O_WRONLY),
		.offset = 10,
		.length = INT64_MAX - 10,
		.mode = UINT32_MAX };

	assert_int_equal(send(FUSE_FALLOCATE, file, &in, sizeof(in)), 0);
	assert_int_equal(fake.last.op, WEIR_FSOP_FALLOCATE);
	assert_true(fake.last.has_file);
	assert_int_equal(fake.last.in.fallocate.off, 10);
	assert_int_equal(fake.last.in.fallocate.len, INT64_MAX - 10);
	assert_int_equal(fake.last.in.fallocate.mode, UINT32_MAX);
}

static void
fallocate_of_what_is_no_range_or_not_writable_is_refused(void **state)
{
	static const uint64_t bad[][2] = {
		{ 0, 0 },
		{ 11, INT64_MAX - 10 },
		{ (uint64_t)INT64_MAX + 1, 1 },
		{ 0, (uint64_t)INT64_MAX + 1 },
		{ UINT64_MAX, 2 },
		{ 2, UINT64_MAX },
		{ UINT64_MAX, UINT64_MAX },
	};
	uint64_t file = guest_lookup(1, "file");
	struct fuse_fallocate_in in = { .fh = guest_open(file, O_RDWR) };

	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		in.offset = bad[i][0];
		in.length = bad[i][1];
		assert_int_equal(send(FUSE_FALLOCATE, file, &in, sizeof(in)), -EINVAL);
	}
	in = (struct fuse_fallocate_in){ .fh = guest_open(file, O_RDONLY), .length = 1 };
	assert_int_equal(send(FUSE_FALLOCATE, file, &in, sizeof(in)), -EBADF);
	in.fh = guest_opendir(1);
	assert_int_equal(send(FUSE_FALLOCATE, 1, &in, sizeof(in)), -EBADF);
	in.fh = 0;
	assert_int_equal(send(FUSE_FALLOCATE, file, &in, sizeof(in)), -EBADF);
	assert_int_equal(fake.calls[WEIR_FSOP_FALLOCATE], 0);
}

static uint32_t
killpriv_as(uint32_t uid, uint64_t file, const struct fuse_fallocate_in *in)
{
	struct guest_req *r = calloc(1, sizeof(*r));

	guest_prepare(r, 0, FUSE_FALLOCATE, file, in, sizeof(*in), GUEST_ROOM);
	guest_head(r)->uid = uid;
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(guest_answer(r, NULL), 0);
	free(r);
	return fake.last.flags & WEIR_FSREQ_KILLPRIV;
}

static void
fallocate_takes_set_id_bits_unless_root_asks_or_the_guest_does_it(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_fallocate_in in = { .fh = guest_open(file, O_WRONLY), .length = 1 };

	assert_int_equal(killpriv_as(1000, file, &in), WEIR_FSREQ_KILLPRIV);
	assert_int_equal(killpriv_as(0, file, &in), 0);
	atomic_store(&guest_sess->shared->flags, 0);
	assert_int_equal(killpriv_as(1000, file, &in), 0);
}

static void
lseek_asks_for_data_and_holes_only(void **state)
{
	static const uint32_t others[] = { SEEK_SET, SEEK_CUR, SEEK_END, 5, UINT32_MAX };
	uint64_t file = guest_lookup(1, "file");
	struct fuse_lseek_in in = { .fh = guest_open(file, O_RDONLY), .offset = INT64_MAX };
	struct fuse_lseek_out out;

	for (unsigned int i = 0; i < RTE_DIM(others); i++) {
		in.whence = others[i];
		assert_int_equal(send(FUSE_LSEEK, file, &in, sizeof(in)), -EINVAL);
	}
	in.whence = SEEK_HOLE;
	in.offset = (uint64_t)INT64_MAX + 1;
	assert_int_equal(send(FUSE_LSEEK, file, &in, sizeof(in)), -ENXIO);
	assert_int_equal(fake.calls[WEIR_FSOP_LSEEK], 0);

	in.offset = 100;
	assert_int_equal(guest_call(FUSE_LSEEK, file, &in, sizeof(in), &out, sizeof(out)),
			sizeof(out));
	assert_int_equal(out.offset, 111);
	assert_int_equal(fake.last.in.lseek.whence, SEEK_HOLE);
	in.whence = SEEK_DATA;
	assert_int_equal(send(FUSE_LSEEK, file, &in, sizeof(in)), sizeof(out));
	assert_int_equal(fake.last.in.lseek.whence, SEEK_DATA);
	in.fh = guest_opendir(1);
	assert_int_equal(send(FUSE_LSEEK, 1, &in, sizeof(in)), -EBADF);
}

/* A file to copy from, one to copy to, and the arguments that do it. */
struct copy {
	uint64_t from, to;
	struct fuse_copy_file_range_in in;
};

static void
copy_setup(struct copy *c)
{
	c->from = guest_lookup(1, "from");
	c->to = guest_lookup(1, "to");
	c->in = (struct fuse_copy_file_range_in){
		.fh_in = guest_open(c->from, O_RDONLY),
		.off_in = 3,
		.nodeid_out = c->to,
		.fh_out = guest_open(c->to, O_WRONLY),
		.off_out = 4,
		.len = 1000,
	};
	fake_clear();
}

static int
copy(const struct copy *c)
{
	return send(FUSE_COPY_FILE_RANGE, c->from, &c->in, sizeof(c->in));
}

static void
copy_carries_both_files(void **state)
{
	struct fuse_copy_file_range_out out64;
	struct fuse_write_out out;
	struct copy c;

	copy_setup(&c);
	assert_int_equal(guest_call(FUSE_COPY_FILE_RANGE, c.from, &c.in, sizeof(c.in), &out,
					 sizeof(out)),
			sizeof(out));
	assert_int_equal(out.size, 1000);
	assert_int_equal(fake.last.in.io.off, 3);
	assert_int_equal(fake.last.in.io.newoff, 4);
	assert_int_equal(fake.last.in.io.len, 1000);
	assert_int_equal(fake.last.in.io.flags, 0);
	assert_int_equal(fake.last.iov_left, 0);
	assert_int_equal(fake.last.file_flags, O_RDONLY);
	assert_int_equal(fake.last.newfile_flags, O_WRONLY);
	assert_int_not_equal(fake.last.node_key, fake.last.newnode_key);

	/* No more at a time than fits a result, and the other answer has the same number. */
	c.in.len = (uint64_t)INT64_MAX - 4;
	assert_int_equal(guest_call(FUSE_COPY_FILE_RANGE_64, c.from, &c.in, sizeof(c.in), &out64,
					 sizeof(out64)),
			sizeof(out64));
	assert_int_equal(out64.bytes_copied, 1 << 30);
	fake.set_res = true;
	fake.res = 1001;
	c.in.len = 1000;
	assert_int_equal(copy(&c), -EIO);
	fake.res = 0;
	assert_int_equal(copy(&c), sizeof(out));
}

static void
copy_of_what_is_no_range_is_refused(void **state)
{
	struct copy c;

	copy_setup(&c);
	c.in.flags = 1;
	assert_int_equal(copy(&c), -EINVAL);
	c.in.flags = 0;
	c.in.len = UINT64_MAX;
	assert_int_equal(copy(&c), -EINVAL);
	c.in.len = (uint64_t)INT64_MAX - 3;
	assert_int_equal(copy(&c), -EINVAL);
	c.in.len = 1;
	c.in.off_in = INT64_MAX;
	assert_int_equal(copy(&c), -EINVAL);
	c.in.off_in = UINT64_MAX;
	assert_int_equal(copy(&c), -EINVAL);
	c.in.off_in = 0;
	c.in.off_out = UINT64_MAX;
	assert_int_equal(copy(&c), -EINVAL);
	assert_int_equal(fake.calls[WEIR_FSOP_COPY_FILE_RANGE], 0);
}

static void
copy_with_a_forged_or_wrong_file_is_refused(void **state)
{
	struct copy good, c;
	uint64_t dir;

	copy_setup(&good);
	dir = guest_opendir(1);
	fake_clear();
	c = good;
	c.in.fh_out = UINT64_MAX;
	assert_int_equal(copy(&c), -EBADF);
	c.in.fh_out = 0;
	assert_int_equal(copy(&c), -EBADF);
	c.in.fh_out = good.in.fh_in; /* open, but not on that node */
	assert_int_equal(copy(&c), -EBADF);
	c.in.nodeid_out = c.from; /* open on it, but not for writing */
	assert_int_equal(copy(&c), -EBADF);
	c = good;
	c.in.nodeid_out = UINT64_MAX;
	assert_int_equal(copy(&c), -EBADF);
	c.in.nodeid_out = FUSE_NODEID_ROOT;
	c.in.fh_out = dir;
	assert_int_equal(copy(&c), -EBADF);
	c = good;
	c.in.fh_in = dir;
	c.from = FUSE_NODEID_ROOT;
	assert_int_equal(copy(&c), -EBADF);
	c = good; /* from what is open for writing only */
	c.from = c.to;
	c.in.fh_in = c.in.fh_out;
	assert_int_equal(copy(&c), -EBADF);
	assert_int_equal(fake.calls[WEIR_FSOP_COPY_FILE_RANGE], 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 0);
	assert_int_equal(guest_faults(FUSE_FAULT_FILE), 8);
	assert_int_equal(copy(&good), sizeof(struct fuse_write_out));
}

static void
copy_held(struct guest_req *r, const struct copy *c)
{
	fake.hold = true;
	guest_prepare(r, 1, FUSE_COPY_FILE_RANGE, c->from, &c->in, sizeof(c->in), GUEST_ROOM);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(r->completed, 0);
}

static void
assert_all_released(unsigned int nb)
{
	assert_int_equal(fake.open, 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], nb);
	assert_int_equal(weir_table_used(guest_sess->files), 0);
}

/* which: bit 0 for the file that is copied from, bit 1 for the other one. */
static void
release_some(const struct copy *c, unsigned int which)
{
	if ((which & 1) != 0)
		assert_int_equal(guest_release(FUSE_RELEASE, c->from, c->in.fh_in), 0);
	if ((which & 2) != 0)
		assert_int_equal(guest_release(FUSE_RELEASE, c->to, c->in.fh_out), 0);
}

static void
copy_keeps_the_files_that_are_released_meanwhile(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	struct copy c;

	guest_sess->dots = false;
	for (unsigned int which = 0; which < 4; which++) {
		copy_setup(&c);
		copy_held(r, &c);
		release_some(&c, which);
		guest_forget(c.from, 1);
		guest_forget(c.to, 1);
		assert_int_equal(fake.open, 2);
		assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 0);
		assert_int_equal(guest_nodes(), 3);
		guest_on_worker(0, fake_go_on);
		assert_int_equal(guest_answer(r, NULL), sizeof(struct fuse_write_out));
		assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], (which & 1) + (which >> 1));
		release_some(&c, 3 & ~which);
		assert_all_released(2);
		assert_int_equal(guest_nodes(), 1);
	}
	free(r);
}

static void
copy_within_one_open_file_releases_it_once(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	struct copy c;

	copy_setup(&c);
	release_some(&c, 3);
	c.to = c.in.nodeid_out = c.from;
	c.in.fh_in = c.in.fh_out = guest_open(c.from, O_RDWR);
	fake_clear();
	copy_held(r, &c);
	release_some(&c, 1);
	assert_int_equal(guest_release(FUSE_RELEASE, c.from, c.in.fh_in), -EBADF);
	guest_on_worker(0, fake_go_on);
	assert_int_equal(guest_answer(r, NULL), sizeof(struct fuse_write_out));
	assert_all_released(1);
	free(r);
}

/* Both releases take their time, one after the other. */
static void
copy_is_answered_when_both_files_are_closed(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	struct copy c;

	copy_setup(&c);
	copy_held(r, &c);
	release_some(&c, 3);
	fake.hold_release = true;
	for (unsigned int i = 1; i <= 2; i++) {
		guest_on_worker(0, fake_go_on);
		assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], i);
		assert_int_equal(r->completed, 0);
	}
	guest_on_worker(0, fake_go_on);
	assert_int_equal(guest_answer(r, NULL), sizeof(struct fuse_write_out));
	assert_all_released(2);
	free(r);
}

static void
copy_outlives_the_reset_of_its_session(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	struct copy c;

	copy_setup(&c);
	copy_held(r, &c);
	guest_reset();
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 0);
	assert_int_equal(guest_nodes(), 3);
	guest_on_worker(0, fake_go_on);
	assert_int_equal(r->completed, 1);
	assert_int_equal(r->fuse.error, -ENOTCONN);
	assert_all_released(2);
	assert_int_equal(guest_nodes(), 1);
	free(r);
}

static void
copy_that_is_detached_closes_both_files(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	struct copy c;

	for (unsigned int i = 0; i < 3; i++) {
		copy_setup(&c);
		copy_held(r, &c);
		if (i == 0)
			release_some(&c, 3);
		guest_detach(r);
		assert_int_equal(r->fenced, 1);
		if (i == 1)
			release_some(&c, 3);
		fake.hold_release = i == 1;
		guest_on_worker(0, fake_go_on);
		assert_int_equal(r->released, i != 1);
		/* While it closes one file after the other. */
		if (i == 1) {
			guest_on_worker(0, fake_go_on);
			assert_int_equal(r->released, 0);
			guest_on_worker(0, fake_go_on);
			assert_int_equal(r->released, 1);
			fake.hold_release = false;
		}
		if (i == 2)
			release_some(&c, 3);
		assert_int_equal(r->completed, 0);
		assert_all_released(2);
	}
	free(r);
}

/* A detach and a reset while the last user of two files is closing the first one. */
static void
copy_detached_and_reset_while_it_closes_ends_once(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	struct copy c;

	copy_setup(&c);
	copy_held(r, &c);
	release_some(&c, 3);
	fake.hold_release = true;
	guest_on_worker(0, fake_go_on);
	guest_detach(r);
	assert_int_equal(r->fenced, 1);
	guest_reset();
	fake.hold_release = false;
	guest_on_worker(0, fake_go_on);
	assert_int_equal(r->released, 1);
	assert_int_equal(r->completed, 0);
	assert_all_released(2);
	free(r);
}

static void
verbs_that_a_driver_has_not_are_not_implemented(void **state)
{
	struct fuse_fallocate_in fallocate = { .length = 1 };
	struct fuse_lseek_in lseek = { .whence = SEEK_DATA };
	struct copy c;

	copy_setup(&c);
	fallocate.fh = c.in.fh_out;
	lseek.fh = c.in.fh_in;
	fake_without(WEIR_FSOP_FALLOCATE);
	fake_without(WEIR_FSOP_LSEEK);
	fake_without(WEIR_FSOP_COPY_FILE_RANGE);
	assert_int_equal(send(FUSE_FALLOCATE, c.to, &fallocate, sizeof(fallocate)), -ENOSYS);
	assert_int_equal(send(FUSE_LSEEK, c.from, &lseek, sizeof(lseek)), -ENOSYS);
	assert_int_equal(copy(&c), -ENOSYS);
	assert_int_equal(send(FUSE_COPY_FILE_RANGE_64, c.from, &c.in, sizeof(c.in)), -ENOSYS);
	release_some(&c, 3);
	assert_all_released(2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fallocate_carries_mode_and_range),
		TEST(fallocate_of_what_is_no_range_or_not_writable_is_refused),
		TEST(fallocate_takes_set_id_bits_unless_root_asks_or_the_guest_does_it),
		TEST(lseek_asks_for_data_and_holes_only),
		TEST(copy_carries_both_files),
		TEST(copy_of_what_is_no_range_is_refused),
		TEST(copy_with_a_forged_or_wrong_file_is_refused),
		TEST(copy_keeps_the_files_that_are_released_meanwhile),
		TEST(copy_within_one_open_file_releases_it_once),
		TEST(copy_is_answered_when_both_files_are_closed),
		TEST(copy_outlives_the_reset_of_its_session),
		TEST(copy_that_is_detached_closes_both_files),
		TEST(copy_detached_and_reset_while_it_closes_ends_once),
		TEST(verbs_that_a_driver_has_not_are_not_implemented),
	};

	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
