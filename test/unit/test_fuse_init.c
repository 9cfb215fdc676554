/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* INIT, DESTROY, and INIT again, on rings that stay. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuse_guest.h"

#define LINUX_FLAGS (~UINT64_C(0))

static void
assert_same_everywhere(const struct fuse_init_out *out)
{
	assert_int_equal(out->major, 7);
	assert_int_equal(out->max_write, FAKE_MAX_WRITE);
	assert_int_equal(out->max_readahead, FAKE_MAX_READAHEAD);
	assert_int_equal(out->max_background, 65535);
	assert_int_equal(out->congestion_threshold, 49149);
	assert_int_equal(out->time_gran, 1);
	assert_int_equal(out->map_alignment, 0);
	for (unsigned int i = 0; i < RTE_DIM(out->unused); i++)
		assert_int_equal(out->unused[i], 0);
}

static void
init_any_minor_negotiates_down(void **state)
{
	static const struct {
		uint32_t theirs, ours;
	} minors[] = { { 27, 27 }, { 31, 31 }, { 38, 38 }, { 39, 39 }, { 45, 39 }, { 9999, 39 } };
	struct fuse_init_out out;

	for (unsigned int i = 0; i < RTE_DIM(minors); i++) {
		assert_int_equal(guest_init(minors[i].theirs, LINUX_FLAGS, &out), sizeof(out));
		assert_int_equal(out.minor, minors[i].ours);
		assert_same_everywhere(&out);
		assert_true(weir_fuse_session_is_mounted(guest_sess));
		assert_int_equal(guest_call(FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
		assert_false(weir_fuse_session_is_mounted(guest_sess));
	}
}

static void
init_flags_are_what_both_sides_offer(void **state)
{
	const uint64_t ours = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT |
			FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_HAS_IOCTL_DIR |
			FUSE_AUTO_INVAL_DATA | FUSE_SETXATTR_EXT | FUSE_DO_READDIRPLUS |
			FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
			FUSE_HANDLE_KILLPRIV | FUSE_HANDLE_KILLPRIV_V2 | FUSE_MAX_PAGES |
			FUSE_SUBMOUNTS | FUSE_INIT_EXT;
	struct fuse_init_out out;

	assert_int_equal(guest_init(39, LINUX_FLAGS, &out), sizeof(out));
	assert_int_equal(out.flags, ours);
	assert_int_equal((uint64_t)out.flags2 << 32, FUSE_SECURITY_CTX | FUSE_CREATE_SUPP_GROUP);
	assert_int_equal(out.max_pages, FAKE_MAX_WRITE / 4096);

	assert_int_equal(guest_init(39, FUSE_ASYNC_READ | FUSE_BIG_WRITES, &out), sizeof(out));
	assert_int_equal(out.flags, FUSE_ASYNC_READ | FUSE_BIG_WRITES);
	assert_int_equal(out.max_pages, 0);
}

static void
init_small_ring_limits_max_pages(void **state)
{
	struct fuse_init_out out;

	guest_sess->ring_size = 16;
	assert_int_equal(guest_init(39, LINUX_FLAGS, &out), sizeof(out));
	assert_int_equal(out.max_pages, 12);
}

static int
init_with(uint32_t major, uint32_t minor, size_t len, struct fuse_init_out *out)
{
	struct fuse_init_in in[2] = { { .major = major, .minor = minor } };

	return guest_call(FUSE_INIT, 0, in, len, out, sizeof(*out));
}

static void
init_too_old_or_short_is_refused(void **state)
{
	struct fuse_init_out out;

	assert_int_equal(init_with(7, 26, 64, &out), -EPROTO);
	assert_int_equal(init_with(6, 39, 64, &out), -EPROTO);
	assert_int_equal(init_with(0, 0, 64, &out), -EPROTO);
	assert_int_equal(init_with(7, 39, 15, &out), -EINVAL);
	assert_int_equal(init_with(7, 39, 0, &out), -EINVAL);
	assert_false(weir_fuse_session_is_mounted(guest_sess));
	assert_int_equal(init_with(7, 39, 16, &out), sizeof(out));
	assert_true(weir_fuse_session_is_mounted(guest_sess));
}

static void
init_longer_than_known_is_accepted(void **state)
{
	struct fuse_init_out out;

	assert_int_equal(init_with(7, 45, 128, &out), sizeof(out));
	assert_true(weir_fuse_session_is_mounted(guest_sess));
}

static void
init_newer_major_is_told_ours_and_comes_again(void **state)
{
	struct fuse_init_out out;

	assert_int_equal(init_with(8, 0, 64, &out), sizeof(out));
	assert_int_equal(out.major, 7);
	assert_int_equal(out.minor, 39);
	assert_int_equal(out.flags, 0);
	assert_false(weir_fuse_session_is_mounted(guest_sess));
	assert_int_equal(init_with(7, 39, 64, &out), sizeof(out));
	assert_true(weir_fuse_session_is_mounted(guest_sess));
}

static void
before_init_everything_else_is_refused(void **state)
{
	uint8_t arg[512];

	memset(arg, 'a', sizeof(arg));
	for (uint32_t op = 1; op < FUSE_NB_OPCODES; op++) {
		if (fuse_ops[op].start == NULL || (fuse_ops[op].flags & FUSE_OP_EARLY) != 0 ||
				(fuse_ops[op].flags & FUSE_OP_NO_REPLY) != 0)
			continue;
		assert_int_equal(guest_call(op, 1, arg, fuse_ops[op].arg_min, NULL, 0), -ENOTCONN);
	}
	guest_forget(1, 1);
	assert_int_equal(guest_faults(FUSE_FAULT_NODE), 0);
	for (unsigned int i = 0; i < WEIR_NB_FSOPS; i++)
		assert_int_equal(fake.calls[i], 0);
}

static void
destroy_unmounted_answers(void **state)
{
	assert_int_equal(guest_call(FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
}

static void
destroy_gives_back_nodes_and_files(void **state)
{
	struct fuse_init_out out;
	uint64_t file, fh;

	guest_init(39, LINUX_FLAGS, &out);
	file = guest_lookup(1, "file");
	guest_lookup(1, "dir");
	for (unsigned int i = 0; i < 40; i++)
		guest_open(file, 2);
	fh = guest_opendir(1);
	assert_int_equal(fake.open, 41);
	assert_int_equal(guest_nodes(), 3);

	assert_int_equal(guest_call(FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
	assert_int_equal(fake.open, 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 40);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASEDIR], 1);
	assert_int_equal(weir_table_used(guest_sess->files), 0);

	/* The next guest on the same rings knows nothing of the last one's. */
	assert_int_equal(guest_init(38, LINUX_FLAGS, &out), sizeof(out));
	assert_int_equal(guest_release(FUSE_RELEASEDIR, 1, fh), -EBADF);
	assert_int_equal(guest_call_names(FUSE_UNLINK, file, NULL, 0, "a", NULL, NULL, 0), -ESTALE);
}

static void
init_again_without_destroy_forgets_the_last_guest(void **state)
{
	struct fuse_init_out out;
	uint64_t file;

	guest_init(39, LINUX_FLAGS, &out);
	file = guest_lookup(1, "file");
	guest_open(file, 0);
	assert_int_equal(guest_init(31, LINUX_FLAGS, &out), sizeof(out));
	assert_int_equal(out.minor, 31);
	assert_int_equal(fake.open, 0);
	assert_int_equal(guest_call_names(FUSE_LOOKUP, file, NULL, 0, "a", NULL, NULL, 0), -ESTALE);
	assert_int_not_equal(guest_lookup(1, "file"), 0);
}

static bool
all_completed(void *arg)
{
	struct guest_req *r = arg;

	for (unsigned int i = 0; i < 8; i++)
		if (atomic_load(&r[i].completed) == 0)
			return false;
	return true;
}

static void
inits_and_destroys_at_once_are_all_answered(void **state)
{
	const struct fuse_init_in in = { .major = 7, .minor = 39 };
	struct guest_req *r = calloc(8, sizeof(*r));

	for (unsigned int i = 0; i < 8; i++) {
		bool init = i % 4 != 3;

		guest_prepare(&r[i], i, init ? FUSE_INIT : FUSE_DESTROY, 0, &in,
				init ? sizeof(in) : 0, GUEST_ROOM);
		r[i].worker = i % 2;
		assert_int_equal(guest_submit(&r[i]), 0);
	}
	guest_until(all_completed, r);
	for (unsigned int i = 0; i < 8; i++)
		assert_true(guest_answer(&r[i], NULL) >= 0);
	free(r);
}

static void
init_that_waits_is_not_answered_after_detach(void **state)
{
	const struct fuse_init_in in = { .major = 7, .minor = 39 };
	struct guest_req *r = calloc(1, sizeof(*r));
	struct fuse_init_out out;

	guest_init(39, LINUX_FLAGS, &out);
	guest_prepare(r, 0, FUSE_INIT, 0, &in, sizeof(in), GUEST_ROOM);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(r->completed, 0);
	guest_detach(r);
	assert_int_equal(r->fenced, 1);
	guest_reset();
	/* The worker's message was sent before done was called, so it is handled by now. */
	guest_on_worker(0, fake_clear);
	assert_int_equal(r->released, 1);
	assert_int_equal(r->completed, 0);
	assert_false(weir_fuse_session_is_mounted(guest_sess));
	free(r);
}

static void
negotiated_is_told_as_json(void **state)
{
	struct fuse_init_out out;
	json_t *obj;

	obj = weir_fuse_session_negotiated(guest_sess);
	assert_true(json_is_null(obj));
	json_decref(obj);
	guest_init(31, FUSE_ASYNC_READ | FUSE_MAX_PAGES, &out);
	obj = weir_fuse_session_negotiated(guest_sess);
	assert_int_equal(json_integer_value(json_object_get(obj, "minor")), 31);
	assert_int_equal(json_integer_value(json_object_get(obj, "max_pages")), 32);
	assert_int_equal(json_integer_value(json_object_get(obj, "max_write")), FAKE_MAX_WRITE);
	assert_int_equal(json_array_size(json_object_get(obj, "flags")), 2);
	json_decref(obj);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup_unmounted, guest_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(init_any_minor_negotiates_down),
		TEST(init_flags_are_what_both_sides_offer),
		TEST(init_small_ring_limits_max_pages),
		TEST(init_too_old_or_short_is_refused),
		TEST(init_longer_than_known_is_accepted),
		TEST(init_newer_major_is_told_ours_and_comes_again),
		TEST(before_init_everything_else_is_refused),
		TEST(destroy_unmounted_answers),
		TEST(destroy_gives_back_nodes_and_files),
		TEST(init_again_without_destroy_forgets_the_last_guest),
		TEST(inits_and_destroys_at_once_are_all_answered),
		TEST(init_that_waits_is_not_answered_after_detach),
		TEST(negotiated_is_told_as_json),
	};

	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
