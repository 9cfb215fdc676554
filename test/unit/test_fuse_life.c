/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* How long things live: nodes by lookups, files by references, requests by their backend. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fuse_guest.h"

static uint64_t
known_nodes(void)
{
	return atomic_load(&guest_sess->nb_nodes);
}

static int
getattr(uint64_t nodeid)
{
	const struct fuse_getattr_in in = { 0 };

	return guest_call(FUSE_GETATTR, nodeid, &in, sizeof(in), NULL, 0);
}

static void
node_lives_for_as_many_forgets_as_lookups(void **state)
{
	uint64_t file = guest_lookup(1, "file");

	for (unsigned int i = 0; i < 9; i++)
		assert_int_equal(guest_lookup(1, "file"), file);
	assert_int_equal(known_nodes(), 1);
	guest_forget(file, 3);
	guest_forget(file, 0);
	guest_forget(file, 6);
	assert_int_equal(getattr(file), sizeof(struct fuse_attr_out));
	guest_forget(file, 1);
	assert_int_equal(getattr(file), -ESTALE);
	assert_int_equal(known_nodes(), 0);
	assert_int_equal(guest_faults(FUSE_FAULT_FORGET), 0);
}

static void
forget_of_more_than_was_looked_up_is_counted(void **state)
{
	uint64_t file = guest_lookup(1, "file");

	guest_forget(file, UINT64_MAX);
	assert_int_equal(guest_faults(FUSE_FAULT_FORGET), 1);
	assert_int_equal(known_nodes(), 0);
	assert_int_equal(getattr(file), -ESTALE);
	guest_forget(file, 1);
	guest_forget(4711, 1);
	guest_forget(UINT64_MAX, UINT64_MAX);
	assert_int_equal(known_nodes(), 0);
	assert_int_not_equal(guest_lookup(1, "file"), 0);
	assert_int_equal(known_nodes(), 1);
}

static int
lookup_itself(uint64_t nodeid)
{
	return guest_call_names(FUSE_LOOKUP, nodeid, NULL, 0, ".", NULL, NULL, 0);
}

/* As open_by_handle_at() has it. */
static void
forgotten_node_is_found_by_its_number(void **state)
{
	uint64_t file = guest_lookup(1, "file");

	for (unsigned int i = 0; i < 3; i++) {
		guest_forget(file, 1);
		assert_int_equal(known_nodes(), 0);
		/* For nothing else. */
		assert_int_equal(getattr(file), -ESTALE);
		assert_int_equal(guest_lookup(file, "."), file);
		assert_int_equal(known_nodes(), 1);
		assert_int_equal(getattr(file), sizeof(struct fuse_attr_out));
	}
	assert_int_equal(guest_lookup(file, "."), file);
	guest_forget(file, 2);
	assert_int_equal(known_nodes(), 0);
	assert_int_equal(guest_nodes(), 2);
	assert_int_equal(lookup_itself(4711), -ESTALE);
}

static void
forgotten_nodes_are_kept_up_to_a_number_and_the_last_ones(void **state)
{
	static uint64_t files[2 * FUSE_IDLE_BUCKETS * FUSE_IDLE_WAYS];
	char name[16];

	for (unsigned int i = 0; i < RTE_DIM(files); i++) {
		snprintf(name, sizeof(name), "f%u", i);
		files[i] = guest_lookup(1, name);
	}
	assert_int_equal(guest_nodes(), RTE_DIM(files) + 1);
	for (unsigned int i = 0; i < RTE_DIM(files); i++)
		guest_forget(files[i], 1);
	/* They are spread well over the buckets. */
	assert_in_range(guest_nodes(), RTE_DIM(files) / 3, RTE_DIM(files) / 2 + 1);
	assert_int_equal(lookup_itself(files[0]), -ESTALE);
	assert_int_equal(guest_lookup(files[RTE_DIM(files) - 1], "."), files[RTE_DIM(files) - 1]);
}

static void
forgotten_nodes_go_with_their_guest(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	struct fuse_init_out out;

	guest_forget(file, 1);
	assert_int_equal(guest_nodes(), 2);
	guest_reset();
	assert_int_equal(guest_nodes(), 1);
	assert_int_equal(guest_init(39, ~UINT64_C(0), &out), sizeof(out));
	assert_int_equal(lookup_itself(file), -ESTALE);
	/* Where they might cost more than memory none are kept. */
	guest_sess->dots = false;
	guest_forget(guest_lookup(1, "file"), 1);
	assert_int_equal(guest_nodes(), 1);
}

static void
root_cannot_be_forgotten(void **state)
{
	guest_forget(FUSE_NODEID_ROOT, UINT64_MAX);
	guest_forget(guest_sess->root_id, UINT64_MAX);
	assert_int_equal(getattr(FUSE_NODEID_ROOT), sizeof(struct fuse_attr_out));
	assert_int_equal(getattr(guest_sess->root_id), -ESTALE);
}

static void
batch_forget(const struct fuse_forget_one *one, uint32_t nb, uint32_t count)
{
	const struct fuse_batch_forget_in in = { .count = count };
	struct guest_req *r = calloc(1, sizeof(*r));
	uint8_t arg[8 + 4097 * sizeof(*one)];

	memcpy(arg, &in, sizeof(in));
	memcpy(arg + sizeof(in), one, nb * sizeof(*one));
	guest_prepare(r, 0, FUSE_BATCH_FORGET, 0, arg, sizeof(in) + nb * sizeof(*one), 0);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(r->completed, 1);
	assert_int_equal(r->bytes, 0);
	free(r);
}

static void
batch_forget_is_many_forgets(void **state)
{
	static struct fuse_forget_one many[4097];
	struct fuse_forget_one one[3] = {
		{ guest_lookup(1, "a"), 1 },
		{ 4711, 1 },
		{ guest_lookup(1, "b"), 1 },
	};

	/* A count that is not the chain's does nothing at all, nor does one that is too high. */
	batch_forget(one, 3, 2);
	batch_forget(one, 3, 4);
	batch_forget(one, 3, UINT32_MAX);
	batch_forget(many, 4097, 4097);
	assert_int_equal(known_nodes(), 2);
	assert_int_equal(guest_faults(FUSE_FAULT_ARGS), 4);
	batch_forget(one, 3, 3);
	assert_int_equal(known_nodes(), 0);
	batch_forget(one, 0, 0);
	assert_int_equal(guest_faults(FUSE_FAULT_ARGS), 4);
}

static void
node_of_another_guest_is_stale(void **state)
{
	const struct fuse_setattr_in in = { 0 };
	const struct fuse_rename_in rename = { .newdir = guest_lookup(1, "dir") };
	struct weir_fuse_session *first = guest_sess;
	uint64_t file = guest_lookup(1, "file");

	weir_role_assume_control();
	assert_int_equal(guest_setup(NULL), 0);
	assert_int_equal(getattr(file), -ESTALE);
	assert_int_equal(lookup_itself(file), -ESTALE);
	assert_int_equal(guest_call(FUSE_SETATTR, file, &in, sizeof(in), NULL, 0), -ESTALE);
	assert_int_equal(guest_call_names(FUSE_RENAME, 1, &rename, sizeof(rename), "a", "b", NULL,
					 0),
			-ESTALE);
	assert_int_equal(guest_call_names(FUSE_LINK, 1, &file, sizeof(file), "b", NULL, NULL, 0),
			-ESTALE);
	guest_forget(file, 1);
	/* Both may know it; then each forgets for itself. */
	assert_int_equal(guest_lookup(1, "file"), file);
	guest_reset();
	weir_fuse_session_destroy(guest_sess);
	guest_sess = first;
	assert_int_equal(getattr(file), sizeof(struct fuse_attr_out));
}

static int
read_file(uint64_t nodeid, uint64_t fh)
{
	const struct fuse_read_in in = { .fh = fh, .size = 100 };

	return guest_call(FUSE_READ, nodeid, &in, sizeof(in), NULL, 0);
}

/* FORGET travels on a queue of its own and may overtake RELEASE. */
static void
open_file_outlives_the_lookup_of_its_node(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	uint64_t fh = guest_open(file, O_RDWR);

	guest_forget(file, 1);
	assert_int_equal(getattr(file), -ESTALE);
	assert_int_equal(guest_nodes(), 2);
	assert_int_equal(read_file(file, fh), 100);
	assert_int_equal(guest_release(FUSE_RELEASE, file, fh), 0);
	assert_int_equal(fake.open, 0);
}

static void
file_is_released_once(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	uint64_t fh = guest_open(file, O_RDWR);
	uint64_t dir = guest_opendir(1);

	assert_int_equal(guest_release(FUSE_RELEASEDIR, file, fh), -EBADF);
	assert_int_equal(guest_release(FUSE_RELEASE, 1, dir), -EBADF);
	assert_int_equal(guest_release(FUSE_RELEASE, file, fh), 0);
	assert_int_equal(guest_release(FUSE_RELEASE, file, fh), -EBADF);
	assert_int_equal(read_file(file, fh), -EBADF);
	assert_int_equal(guest_release(FUSE_RELEASEDIR, 1, dir), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 1);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASEDIR], 1);
}

static void
release_while_the_file_is_in_use_waits_for_the_last_user(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_read_in in = { .fh = guest_open(file, O_RDWR), .size = 100 };
	struct guest_req *r = calloc(2, sizeof(*r));

	fake.hold = true;
	for (unsigned int i = 0; i < 2; i++) {
		guest_prepare(&r[i], 1 + i, FUSE_READ, file, &in, sizeof(in), GUEST_ROOM);
		assert_int_equal(guest_submit(&r[i]), 0);
	}
	assert_int_equal(guest_release(FUSE_RELEASE, file, in.fh), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 0);
	assert_int_equal(read_file(file, in.fh), -EBADF);
	assert_int_equal(guest_release(FUSE_RELEASE, file, in.fh), -EBADF);

	guest_on_worker(0, fake_go_on);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(guest_answer(&r[i], NULL), 100);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 1);
	assert_int_equal(fake.open, 0);
	free(r);
}

/* Starts a request that the backend holds. */
static void
start_held(struct guest_req *r, unsigned int slot, uint32_t opcode, uint64_t nodeid,
		const void *arg, size_t len)
{
	fake.hold = true;
	guest_prepare(r, slot, opcode, nodeid, arg, len, GUEST_ROOM);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(r->completed, 0);
}

/* Requests on a file have no reference of their own to its node. */
static void
file_in_use_keeps_its_node(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_read_in in = { .fh = guest_open(file, O_RDWR), .size = 100 };
	struct guest_req *r = calloc(1, sizeof(*r));

	guest_sess->dots = false;
	assert_int_equal(read_file(file, in.fh), 100);
	start_held(r, 1, FUSE_READ, file, &in, sizeof(in));
	guest_forget(file, 1);
	assert_int_equal(guest_release(FUSE_RELEASE, file, in.fh), 0);
	assert_int_equal(guest_nodes(), 2);
	guest_on_worker(0, fake_go_on);
	assert_int_equal(guest_answer(r, NULL), 100);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 1);
	assert_int_equal(guest_nodes(), 1);
	free(r);
}

static void
assert_nothing_answered(struct guest_req *r)
{
	struct weir_iov out = r->fuse.out;
	uint8_t byte;

	while (weir_iov_read(&out, &byte, 1) == 1)
		assert_int_equal(byte, 0xee);
	assert_int_equal(r->completed, 0);
}

struct detach_case {
	uint32_t opcode;
	const char *name;
	size_t fixed; /* bytes in front of the name */
};

static const struct detach_case detach_cases[] = {
	{ FUSE_LOOKUP, "file", 0 },
	{ FUSE_MKDIR, "dir", sizeof(struct fuse_mkdir_in) },
	{ FUSE_CREATE, "new", sizeof(struct fuse_create_in) },
	{ FUSE_UNLINK, "file", 0 },
	{ FUSE_OPENDIR, NULL, sizeof(struct fuse_open_in) },
	{ FUSE_STATFS, NULL, 0 },
};

static size_t
detach_case_arg(const struct detach_case *c, uint8_t arg[64])
{
	memset(arg, 0, 64);
	if (c->name == NULL)
		return c->fixed;
	memcpy(arg + c->fixed, c->name, strlen(c->name) + 1);
	return c->fixed + strlen(c->name) + 1;
}

static bool
nothing_is_left(void *arg)
{
	return guest_nodes() == 1;
}

static void
detached_request_leaves_nothing_behind(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	uint8_t arg[64];

	for (unsigned int i = 0; i < RTE_DIM(detach_cases); i++) {
		size_t len = detach_case_arg(&detach_cases[i], arg);

		start_held(r, 0, detach_cases[i].opcode, 1, arg, len);
		guest_detach(r);
		assert_int_equal(r->fenced, 1);
		assert_int_equal(r->released, 0);
		guest_on_worker(0, fake_go_on);
		assert_int_equal(r->released, 1);
		assert_nothing_answered(r);
		assert_int_equal(fake.open, 0);
		assert_int_equal(known_nodes(), 0);
		assert_int_equal(weir_table_used(guest_sess->files), 0);
		guest_until(nothing_is_left, NULL);
	}
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 1);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASEDIR], 1);
	free(r);
}

static void
detached_request_that_fails_leaves_nothing_behind(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	uint8_t arg[64];

	for (unsigned int i = 0; i < RTE_DIM(detach_cases); i++) {
		size_t len = detach_case_arg(&detach_cases[i], arg);

		start_held(r, 0, detach_cases[i].opcode, 1, arg, len);
		guest_detach(r);
		fake.set_res = true;
		fake.res = -EIO;
		guest_on_worker(0, fake_go_on);
		fake.set_res = false;
		assert_int_equal(r->released, 1);
		assert_nothing_answered(r);
		assert_int_equal(weir_table_used(guest_sess->files), 0);
	}
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASEDIR], 0);
	free(r);
}

static void
detached_request_is_released_after_its_fence(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));

	start_held(r, 0, FUSE_STATFS, 1, NULL, 0);
	fake.hold_fence = true;
	guest_detach(r);
	assert_int_equal(r->fenced, 0);
	/* The backend ends it before it fences it. */
	guest_on_worker(0, fake_go_on);
	assert_int_equal(r->released, 0);
	guest_on_worker(0, fake_fence);
	assert_int_equal(r->fenced, 1);
	assert_int_equal(r->released, 1);
	assert_nothing_answered(r);
	free(r);
}

static void
detached_readdir_takes_no_more_entries(void **state)
{
	const struct fuse_read_in in = { .fh = guest_opendir(1), .size = 4096 };
	struct guest_req *r = calloc(1, sizeof(*r));

	fake.nb_entries = 10;
	start_held(r, 0, FUSE_READDIRPLUS, 1, &in, sizeof(in));
	guest_detach(r);
	guest_on_worker(0, fake_go_on);
	assert_int_equal(r->released, 1);
	assert_int_equal(fake.emitted_late, 0);
	assert_int_equal(known_nodes(), 0);
	assert_nothing_answered(r);
	free(r);
}

static void
request_detached_while_it_closes_its_file_is_released_after_that(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_release_in in = { .fh = guest_open(file, O_RDWR) };
	struct guest_req *r = calloc(1, sizeof(*r));

	fake.hold_release = true;
	guest_prepare(r, 0, FUSE_RELEASE, file, &in, sizeof(in), GUEST_ROOM);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(r->completed, 0);
	guest_detach(r);
	assert_int_equal(r->fenced, 1);
	assert_int_equal(r->released, 0);
	guest_on_worker(0, fake_go_on);
	assert_int_equal(r->released, 1);
	assert_int_equal(r->completed, 0);
	assert_int_equal(fake.open, 0);
	assert_int_equal(weir_table_used(guest_sess->files), 0);
	free(r);
}

/* An answer that comes when its session is over is an error, and undone. */
static void
answer_of_an_ended_session_is_undone(void **state)
{
	struct guest_req *r = calloc(RTE_DIM(detach_cases), sizeof(*r));
	struct fuse_init_out out;
	uint8_t arg[64];

	for (unsigned int i = 0; i < RTE_DIM(detach_cases); i++) {
		size_t len = detach_case_arg(&detach_cases[i], arg);

		start_held(&r[i], 1 + i, detach_cases[i].opcode, 1, arg, len);
	}
	fake.hold = false;
	assert_int_equal(guest_call(FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
	assert_int_equal(guest_init(39, 0, &out), sizeof(out));
	guest_on_worker(0, fake_go_on);
	for (unsigned int i = 0; i < RTE_DIM(detach_cases); i++) {
		guest_wait(&r[i]);
		assert_int_equal(guest_answer(&r[i], NULL), -ENOTCONN);
	}
	assert_int_equal(fake.open, 0);
	assert_int_equal(known_nodes(), 0);
	assert_int_equal(weir_table_used(guest_sess->files), 0);
	guest_until(nothing_is_left, NULL);
	free(r);
}

static void
reset_leaves_files_in_use_to_their_last_user(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_read_in in = { .fh = guest_open(file, O_RDWR), .size = 100 };
	struct guest_req *r = calloc(1, sizeof(*r));

	start_held(r, 0, FUSE_READ, file, &in, sizeof(in));
	guest_reset();
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 0);
	assert_int_equal(known_nodes(), 0);
	assert_int_equal(guest_nodes(), 2);
	guest_on_worker(0, fake_go_on);
	/* The data is there, but nobody is told of it. */
	assert_int_equal(r->completed, 1);
	assert_int_equal(r->bytes, sizeof(struct fuse_out_header));
	assert_int_equal(r->fuse.error, -ENOTCONN);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 1);
	guest_until(nothing_is_left, NULL);
	free(r);
}

static void
is_reset(void *arg)
{
	*(bool *)arg = true;
}

static bool
some_are_held(void *arg)
{
	bool *done = arg;

	return *done || fake.nb_held > 0;
}

static void
reset_with_slow_closes_does_them_a_few_at_a_time(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	unsigned int rounds = 0;
	bool done = false;

	weir_role_assume_control();
	for (unsigned int i = 0; i < 60; i++)
		guest_open(file, O_RDONLY);
	fake.hold_release = true;
	weir_fuse_session_reset(guest_sess, is_reset, &done);
	while (!done) {
		guest_until(some_are_held, &done);
		assert_true(fake.nb_held <= FUSE_NB_CLOSERS);
		guest_on_worker(weir_worker_index(guest_sess->home), fake_go_on);
		rounds++;
	}
	assert_true(rounds >= 60 / FUSE_NB_CLOSERS);
	assert_int_equal(fake.open, 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 60);
}

static void
reset_of_a_session_that_never_began_is_fine(void **state)
{
	guest_reset();
	guest_reset();
	assert_false(weir_fuse_session_is_mounted(guest_sess));
}

#define RACE_ROUNDS 3000

/* One worker's share of the race; all completes inline. */
static void WEIR_ON_WORKER
race_submit(struct guest_req *r, uint32_t opcode, uint64_t nodeid, const void *arg, size_t len)
{
	guest_prepare(r, r->slot, opcode, nodeid, arg, len, opcode == FUSE_FORGET ? 0 : GUEST_ROOM);
	while (weir_fuse_submit(guest_sess, &r->fuse) == -EAGAIN)
		;
}

static void
race_lookup_and_forget(void *arg)
{
	const struct fuse_forget_in forget = { .nlookup = 1 };
	struct guest_req *r = arg;
	uint64_t nodeid = guest_head(r)->nodeid;

	weir_role_assume_worker();
	for (unsigned int i = 0; i < RACE_ROUNDS; i++) {
		race_submit(r, FUSE_LOOKUP, 1, "file", 5);
		race_submit(r, FUSE_FORGET, nodeid, &forget, sizeof(forget));
	}
}

static void *
race_run(void *arg)
{
	struct guest_req *r = arg;

	weir_worker_sync(weir_worker_at(r->slot), race_lookup_and_forget, r);
	return NULL;
}

/* Each worker looks up and forgets the node that both know: in the end the first lookup is left. */
static void
two_workers_count_lookups_together(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	struct guest_req *r = calloc(2, sizeof(*r));
	pthread_t thread[2];

	fake.quiet = true;
	for (unsigned int i = 0; i < 2; i++) {
		guest_prepare(&r[i], i, FUSE_LOOKUP, file, NULL, 0, GUEST_ROOM);
		assert_int_equal(pthread_create(&thread[i], NULL, race_run, &r[i]), 0);
	}
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	fake.quiet = false;
	assert_int_equal(guest_faults(FUSE_FAULT_FORGET) + guest_faults(FUSE_FAULT_NODE), 0);
	assert_int_equal(known_nodes(), 1);
	guest_forget(file, 1);
	assert_int_equal(guest_faults(FUSE_FAULT_FORGET), 0);
	assert_int_equal(getattr(file), -ESTALE);
	free(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(node_lives_for_as_many_forgets_as_lookups),
		TEST(forget_of_more_than_was_looked_up_is_counted),
		TEST(forgotten_node_is_found_by_its_number),
		TEST(forgotten_nodes_are_kept_up_to_a_number_and_the_last_ones),
		TEST(forgotten_nodes_go_with_their_guest),
		TEST(root_cannot_be_forgotten),
		TEST(batch_forget_is_many_forgets),
		TEST(node_of_another_guest_is_stale),
		TEST(open_file_outlives_the_lookup_of_its_node),
		TEST(file_is_released_once),
		TEST(release_while_the_file_is_in_use_waits_for_the_last_user),
		TEST(file_in_use_keeps_its_node),
		TEST(detached_request_leaves_nothing_behind),
		TEST(detached_request_that_fails_leaves_nothing_behind),
		TEST(detached_request_is_released_after_its_fence),
		TEST(detached_readdir_takes_no_more_entries),
		TEST(request_detached_while_it_closes_its_file_is_released_after_that),
		TEST(answer_of_an_ended_session_is_undone),
		TEST(reset_leaves_files_in_use_to_their_last_user),
		TEST(reset_with_slow_closes_does_them_a_few_at_a_time),
		TEST(reset_of_a_session_that_never_began_is_fine),
		TEST(two_workers_count_lookups_together),
	};

	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
