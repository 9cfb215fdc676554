/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The lock service, by way of the mem driver: guests that wait, on two workers. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_lock.h"

#include "fs_client.h"

#define FILES 3

static struct fs_client fsc;
static struct weir_node *nodes[FILES];
static struct weir_file *files[FILES];
static char message[512];

static int
setup_with(const char *params)
{
	static const char *const names[FILES] = { "a", "b", "c" };
	struct weir_entry entry;

	if (fsc_rpc("fsdev_mem_create", params, message) != 0)
		return -1;
	weir_role_assume_control();
	fsc_open_session(&fsc, weir_fsdev_find("m"));
	for (unsigned int i = 0; i < FILES; i++) {
		if (fsc_create(&fsc, weir_fsdev_root(fsc.dev), names[i], O_RDWR, S_IFREG | 0600,
				    &entry, &files[i]) != 0)
			return -1;
		nodes[i] = entry.node;
	}
	return 0;
}

static int
setup(void **state)
{
	return setup_with("{\"name\": \"m\", \"size\": 1048576}");
}

static int
setup_hasty(void **state)
{
	return setup_with("{\"name\": \"m\", \"size\": 1048576, \"lock_wait_ms\": 1}");
}

/* What was set through a file ends with it. */
static int
teardown(void **state)
{
	int rc = 0;

	fsc.worker = 0;
	for (unsigned int i = 0; i < FILES; i++)
		rc |= fsc_release(&fsc, WEIR_FSOP_RELEASE, nodes[i], files[i]);
	rc |= (int)fsc_info("m", "locks_held") | (int)fsc_info("m", "lock_waiters");
	for (unsigned int i = 0; i < FILES; i++)
		fsc_put(&fsc, nodes[i]);
	fsc_close_session(&fsc);
	return rc | fsc_rpc("fsdev_mem_delete", "{\"name\": \"m\"}", message);
}

static void
call_init(struct fsc_call *call, enum weir_fsop op, unsigned int file, uint64_t guest,
		uint64_t owner, uint32_t type)
{
	memset(call, 0, sizeof(*call));
	call->req.op = op;
	call->req.node = nodes[file];
	call->req.file = files[file];
	call->req.in.lock = (struct weir_lock){
		.guest = guest,
		.owner = owner,
		.end = INT64_MAX,
		.type = type,
		.unique = 100 + owner,
	};
}

static int
run(enum weir_fsop op, unsigned int file, uint64_t guest, uint64_t owner, uint32_t type)
{
	struct fsc_call call;

	call_init(&call, op, file, guest, owner, type);
	return fsc_run(&fsc, &call);
}

/* Returns when all the requests that were begun so far, and are not answered, wait. */
static void
begin(struct fsc_call *call, unsigned int file, uint64_t guest, uint64_t owner, uint32_t type,
		int64_t waiters)
{
	call_init(call, WEIR_FSOP_SETLK, file, guest, owner, type);
	call->req.in.lock.flags = WEIR_LOCK_WAIT;
	fsc_submit(&fsc, call);
	while (fsc_info("m", "lock_waiters") < waiters)
		fsc_poll();
}

static void
guests_exclude_each_other_until_they_flush_or_release(void **state)
{
	struct fsc_call get;

	assert_int_equal(run(WEIR_FSOP_FLUSH, 0, 1, 1, F_UNLCK), 0);
	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 1, 1, F_WRLCK), 0);
	fsc.worker = 1;
	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 2, 1, F_RDLCK), -EAGAIN);
	call_init(&get, WEIR_FSOP_GETLK, 0, 2, 1, F_RDLCK);
	assert_int_equal(fsc_run(&fsc, &get), 0);
	assert_int_equal(get.req.out.lock.type, F_WRLCK);
	assert_int_equal(run(WEIR_FSOP_FLUSH, 0, 2, 1, F_UNLCK), 0);
	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 2, 1, F_RDLCK), -EAGAIN);
	assert_int_equal(run(WEIR_FSOP_FLUSH, 0, 1, 1, F_UNLCK), 0);
	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 2, 1, F_RDLCK), 0);
}

static void
who_waits_is_granted_in_order(void **state)
{
	struct fsc_call wait[3];

	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 1, 1, F_WRLCK), 0);
	begin(&wait[0], 0, 2, 1, F_WRLCK, 1);
	fsc.worker = 1;
	begin(&wait[1], 0, 2, 2, F_RDLCK, 2);
	fsc.worker = 0;
	begin(&wait[2], 0, 3, 1, F_RDLCK, 3);

	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 1, 1, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait[0]), 0);
	assert_int_equal(fsc_info("m", "lock_waiters"), 2);
	assert_false(atomic_load(&wait[1].done));
	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 2, 1, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait[1]), 0);
	assert_int_equal(fsc_wait(&wait[2]), 0);
}

static void
who_waits_in_a_circle_is_told(void **state)
{
	struct fsc_call wait[2], last;

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(run(WEIR_FSOP_SETLK, i, i, i, F_WRLCK), 0);
	begin(&wait[0], 1, 0, 0, F_WRLCK, 1);
	begin(&wait[1], 2, 1, 1, F_RDLCK, 2);
	call_init(&last, WEIR_FSOP_SETLK, 0, 2, 2, F_RDLCK);
	last.req.in.lock.flags = WEIR_LOCK_WAIT;
	assert_int_equal(fsc_run(&fsc, &last), -EDEADLK);
	/* Whoever it was gives way. */
	assert_int_equal(run(WEIR_FSOP_FLUSH, 2, 2, 2, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait[1]), 0);
	assert_int_equal(run(WEIR_FSOP_FLUSH, 1, 1, 1, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait[0]), 0);
}

/*
 * One that waits comes to stand in the way of another when it is granted: if who waits for it has what
 * its owner waits for elsewhere, there is a circle that was none when each of them began.
 */
static void
circle_that_a_grant_closes_is_told(void **state)
{
	struct fsc_call wait[3];

	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 1, 1, F_WRLCK), 0);
	assert_int_equal(run(WEIR_FSOP_SETLK, 1, 3, 3, F_WRLCK), 0);
	/* Two threads of the second guest, and the third one behind them. */
	begin(&wait[0], 0, 2, 2, F_WRLCK, 1);
	begin(&wait[1], 1, 2, 2, F_WRLCK, 2);
	begin(&wait[2], 0, 3, 3, F_WRLCK, 3);
	assert_int_equal(run(WEIR_FSOP_FLUSH, 0, 1, 1, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait[0]), 0);
	assert_int_equal(fsc_wait(&wait[2]), -EDEADLK);
	assert_false(atomic_load(&wait[1].done));
	assert_int_equal(run(WEIR_FSOP_FLUSH, 1, 3, 3, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait[1]), 0);
}

/* Two who read and both want to write; one of them has to give way. */
static void
circle_of_two_who_upgrade_is_told(void **state)
{
	struct fsc_call wait, last;

	for (uint64_t guest = 1; guest <= 2; guest++)
		assert_int_equal(run(WEIR_FSOP_SETLK, 0, guest, 1, F_RDLCK), 0);
	begin(&wait, 0, 1, 1, F_WRLCK, 1);
	call_init(&last, WEIR_FSOP_SETLK, 0, 2, 1, F_WRLCK);
	last.req.in.lock.flags = WEIR_LOCK_WAIT;
	assert_int_equal(fsc_run(&fsc, &last), -EDEADLK);
	/* What it had it has still. */
	assert_int_equal(fsc_info("m", "locks_held"), 2);
	assert_false(atomic_load(&wait.done));
	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 2, 1, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait), 0);
}

static void
wait_ends_at_its_limit(void **state)
{
	struct fsc_call wait;

	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 1, 1, F_WRLCK), 0);
	call_init(&wait, WEIR_FSOP_SETLK, 0, 2, 1, F_WRLCK);
	wait.req.in.lock.flags = WEIR_LOCK_WAIT;
	assert_int_equal(fsc_run(&fsc, &wait), -EAGAIN);
	assert_int_equal(fsc_info("m", "lock_waiters"), 0);
}

static void
wait_ends_when_it_is_detached(void **state)
{
	struct fsc_call wait[2];

	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 1, 1, F_WRLCK), 0);
	begin(&wait[0], 0, 2, 1, F_WRLCK, 1);
	fsc.worker = 1;
	begin(&wait[1], 0, 3, 1, F_WRLCK, 2);
	fsc_detach(&wait[1]);
	assert_true(atomic_load(&wait[1].fenced));
	assert_int_equal(fsc_wait(&wait[1]), -EAGAIN);
	assert_int_equal(fsc_info("m", "lock_waiters"), 1);
	assert_int_equal(run(WEIR_FSOP_FLUSH, 0, 1, 1, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait[0]), 0);
}

static void
interrupt(void *arg)
{
	struct fsc_call *call = arg;

	weir_role_assume_worker();
	weir_fsdev_interrupt(&call->req);
}

static void
wait_ends_when_its_submitter_asks(void **state)
{
	struct fsc_call wait;

	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 1, 1, F_WRLCK), 0);
	begin(&wait, 0, 2, 1, F_WRLCK, 1);
	weir_worker_sync(wait.worker, interrupt, &wait);
	assert_int_equal(fsc_wait(&wait), -EAGAIN);
}

/* One by its name, those through one file, all of a guest. */
static void
waits_end_that_are_named(void **state)
{
	struct fsc_call wait[4], end;

	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(run(WEIR_FSOP_SETLK, i, 1, 1, F_WRLCK), 0);
	begin(&wait[0], 0, 2, 1, F_WRLCK, 1);
	begin(&wait[1], 0, 2, 2, F_WRLCK, 2);
	begin(&wait[2], 1, 2, 3, F_WRLCK, 3);
	begin(&wait[3], 1, 3, 1, F_WRLCK, 4);

	call_init(&end, WEIR_FSOP_ENDWAIT, 0, 2, 2, 0);
	end.req.node = NULL;
	end.req.file = NULL;
	assert_int_equal(fsc_run(&fsc, &end), 0);
	assert_int_equal(fsc_wait(&wait[1]), -EINTR);
	end.req.in.lock.unique = 99;
	assert_int_equal(fsc_run(&fsc, &end), -EAGAIN);

	end.req.in.lock.unique = 0;
	end.req.file = files[1];
	assert_int_equal(fsc_run(&fsc, &end), 0);
	assert_int_equal(fsc_wait(&wait[2]), -EINTR);
	end.req.file = NULL;
	assert_int_equal(fsc_run(&fsc, &end), 0);
	assert_int_equal(fsc_wait(&wait[0]), -EINTR);
	assert_int_equal(fsc_info("m", "lock_waiters"), 1);
	assert_int_equal(run(WEIR_FSOP_FLUSH, 1, 1, 1, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait[3]), 0);
}

/* A read lock where a write lock was lets others read; a flock that is converted lets go. */
static void
lock_that_is_weakened_lets_others_in(void **state)
{
	struct fsc_call wait, other;

	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 1, 1, F_WRLCK), 0);
	begin(&wait, 0, 2, 1, F_RDLCK, 1);
	assert_int_equal(run(WEIR_FSOP_SETLK, 0, 1, 1, F_RDLCK), 0);
	assert_int_equal(fsc_wait(&wait), 0);

	for (uint64_t guest = 1; guest <= 2; guest++) {
		call_init(&other, WEIR_FSOP_SETLK, 0, guest, 9, F_RDLCK);
		other.req.in.lock.flags = WEIR_LOCK_FLOCK;
		assert_int_equal(fsc_run(&fsc, &other), 0);
	}
	call_init(&wait, WEIR_FSOP_SETLK, 0, 1, 9, F_WRLCK);
	wait.req.in.lock.flags = WEIR_LOCK_FLOCK | WEIR_LOCK_WAIT;
	fsc_submit(&fsc, &wait);
	while (fsc_info("m", "lock_waiters") < 1)
		fsc_poll();
	call_init(&other, WEIR_FSOP_SETLK, 0, 2, 9, F_WRLCK);
	other.req.in.lock.flags = WEIR_LOCK_FLOCK | WEIR_LOCK_WAIT;
	fsc_submit(&fsc, &other);
	assert_int_equal(fsc_wait(&wait), 0);
	call_init(&wait, WEIR_FSOP_SETLK, 0, 1, 9, F_UNLCK);
	wait.req.in.lock.flags = WEIR_LOCK_FLOCK;
	assert_int_equal(fsc_run(&fsc, &wait), 0);
	assert_int_equal(fsc_wait(&other), 0);
}

#define STORM_CALLS  24
#define STORM_ROUNDS 4000

/* Whatever comes in whatever order, each request is answered once, and nothing is left. */
static void
storm_of_requests_is_answered(void **state)
{
	static const uint32_t types[] = { F_RDLCK, F_WRLCK, F_WRLCK, F_UNLCK };
	static struct fsc_call call[STORM_CALLS];
	static bool busy[STORM_CALLS];

	srandom(815);
	memset(busy, 0, sizeof(busy));
	for (unsigned int i = 0; i < STORM_ROUNDS; i++) {
		unsigned int n = (unsigned int)random() % STORM_CALLS;

		if (busy[n]) {
			if (!atomic_load(&call[n].done) && random() % 2 == 0)
				fsc_detach(&call[n]);
			else if (!atomic_load(&call[n].done))
				continue;
			fsc_wait(&call[n]);
		}
		call_init(&call[n], WEIR_FSOP_SETLK, (unsigned int)random() % FILES,
				(uint64_t)random() % 2, (uint64_t)random() % 3,
				types[random() % 4]);
		call[n].req.in.lock.start = (uint64_t)random() % 8;
		call[n].req.in.lock.end = call[n].req.in.lock.start + (uint64_t)random() % 8;
		call[n].req.in.lock.flags = (uint32_t)random() % 4;
		if (random() % 4 == 0)
			call[n].req.op = WEIR_FSOP_FLUSH;
		fsc.worker = (unsigned int)random() % 2;
		fsc_submit(&fsc, &call[n]);
		busy[n] = true;
	}
	for (unsigned int i = 0; i < STORM_CALLS; i++) {
		if (busy[i] && !atomic_load(&call[i].done))
			fsc_detach(&call[i]);
		if (busy[i])
			fsc_wait(&call[i]);
	}
}

/* However its thread is just going about, nothing is touched that was freed. */
static void
service_ends_at_any_time(void **state)
{
	const struct weir_locks_cfg cfg = { .name = "s", .max_locks = 16 };
	struct weir_locks *locks;

	weir_role_assume_control();
	for (unsigned int i = 0; i < 1000; i++) {
		assert_int_equal(weir_locks_create(&cfg, &locks), 0);
		for (unsigned int k = 0; k < i % 40; k++)
			weir_locks_interrupt(locks);
		weir_locks_destroy(locks);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
				guests_exclude_each_other_until_they_flush_or_release, setup,
				teardown),
		cmocka_unit_test_setup_teardown(who_waits_is_granted_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(who_waits_in_a_circle_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
				circle_that_a_grant_closes_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(circle_of_two_who_upgrade_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(wait_ends_at_its_limit, setup_hasty, teardown),
		cmocka_unit_test_setup_teardown(wait_ends_when_it_is_detached, setup, teardown),
		cmocka_unit_test_setup_teardown(wait_ends_when_its_submitter_asks, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_end_that_are_named, setup, teardown),
		cmocka_unit_test_setup_teardown(
				lock_that_is_weakened_lets_others_in, setup, teardown),
		cmocka_unit_test_setup_teardown(storm_of_requests_is_answered, setup, teardown),
		cmocka_unit_test(service_ends_at_any_time),
	};
	int rc;

	if (fsc_start("0@0,1@1,2@0") < 0)
		return 77;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fsc_stop();
	return rc;
}
