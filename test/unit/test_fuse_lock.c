/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Who may ask for a lock, how many may wait for one, and what ends their wait. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fuse_guest.h"

/* A file that is open, and the arguments for a lock on all of it. */
struct locking {
	uint64_t file;
	struct fuse_lk_in in;
};

static void
locking_setup(struct locking *l, uint32_t flags)
{
	l->file = guest_lookup(1, "file");
	l->in = (struct fuse_lk_in){
		.fh = guest_open(l->file, flags),
		.owner = 7,
		.lk = { .end = INT64_MAX, .type = F_WRLCK },
	};
	fake_clear();
}

static int
lock(struct locking *l, uint32_t opcode, uint32_t type, uint32_t flags)
{
	l->in.lk.type = type;
	l->in.lk_flags = flags;
	return guest_call(opcode, l->file, &l->in, sizeof(l->in), NULL, 0);
}

static void
lock_takes_a_file_that_is_open_for_it(void **state)
{
	struct locking l;

	locking_setup(&l, O_RDONLY);
	assert_int_equal(lock(&l, FUSE_SETLK, F_WRLCK, 0), -EBADF);
	assert_int_equal(lock(&l, FUSE_SETLKW, F_WRLCK, 0), -EBADF);
	assert_int_equal(fake.calls[WEIR_FSOP_SETLK], 0);
	assert_int_equal(lock(&l, FUSE_SETLK, F_RDLCK, 0), 0);
	assert_int_equal(lock(&l, FUSE_SETLK, F_UNLCK, 0), 0);
	assert_int_equal(lock(&l, FUSE_SETLK, F_WRLCK, FUSE_LK_FLOCK), 0);
	assert_int_equal(lock(&l, FUSE_GETLK, F_WRLCK, 0), sizeof(struct fuse_lk_out));
	locking_setup(&l, O_WRONLY);
	assert_int_equal(lock(&l, FUSE_SETLK, F_RDLCK, 0), -EBADF);
	assert_int_equal(fake.calls[WEIR_FSOP_SETLK], 0);
	assert_int_equal(lock(&l, FUSE_SETLK, F_WRLCK, 0), 0);
	assert_int_equal(lock(&l, FUSE_SETLK, F_UNLCK, 0), 0);
	assert_int_equal(lock(&l, FUSE_SETLK, F_RDLCK, FUSE_LK_FLOCK), 0);
}

/* A request of its own on a worker, which waits for a lock on l. */
static struct guest_req *
wait_for_lock(struct locking *l, unsigned int worker)
{
	struct guest_req *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	l->in.lk.type = F_WRLCK;
	l->in.lk_flags = 0;
	guest_prepare(r, 1, FUSE_SETLKW, l->file, &l->in, sizeof(l->in), GUEST_ROOM);
	r->worker = worker;
	fake.hold = true;
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(r->completed, 0);
	fake.hold = false;
	return r;
}

static void
ends_with(struct guest_req *r, int error)
{
	const void *body;

	guest_wait(r);
	assert_int_equal(guest_answer(r, &body), error);
	assert_int_equal(r->completed, 1);
	free(r);
}

/* What would be one too many asks once, and is told that it could not wait. */
static void
does_not_wait(struct locking *l)
{
	uint64_t faults = guest_faults(FUSE_FAULT_WAITERS);

	assert_int_equal(lock(l, FUSE_SETLKW, F_WRLCK, 0), 0);
	assert_int_equal(fake.last.in.lock.flags, 0);
	fake.set_res = true;
	fake.res = -EAGAIN;
	assert_int_equal(lock(l, FUSE_SETLKW, F_WRLCK, FUSE_LK_FLOCK), -ENOLCK);
	assert_int_equal(fake.last.in.lock.flags, WEIR_LOCK_FLOCK);
	/* It never waited, so it was not its wait that ended. */
	assert_int_equal(lock(l, FUSE_SETLK, F_WRLCK, 0), -EAGAIN);
	fake.res = -EDEADLK;
	assert_int_equal(lock(l, FUSE_SETLKW, F_WRLCK, 0), -EDEADLK);
	fake.set_res = false;
	assert_int_equal(guest_faults(FUSE_FAULT_WAITERS), faults + 3);
}

static void
only_so_many_of_a_guest_wait(void **state)
{
	struct guest_req *r;
	struct locking l;

	locking_setup(&l, O_RDWR);
	weir_fuse_session_waiters_set(guest_sess, 1);
	r = wait_for_lock(&l, 0);
	assert_int_equal(fake.last.in.lock.flags, WEIR_LOCK_WAIT);
	does_not_wait(&l);
	assert_int_equal(atomic_load(&guest_sess->nb_waiters), 1);
	guest_on_worker(r->worker, fake_go_on);
	ends_with(r, 0);
	/* There is room again, also behind one that failed. */
	fake.set_res = true;
	fake.res = -EAGAIN;
	assert_int_equal(lock(&l, FUSE_SETLKW, F_WRLCK, 0), -EAGAIN);
	fake.set_res = false;
	assert_int_equal(lock(&l, FUSE_SETLKW, F_WRLCK, 0), 0);
	assert_int_equal(fake.last.in.lock.flags, WEIR_LOCK_WAIT);
	assert_int_equal(atomic_load(&guest_sess->nb_waiters), 0);
}

static void
only_so_many_of_all_guests_wait(void **state)
{
	struct guest_req *r;
	struct locking l;

	locking_setup(&l, O_RDWR);
	weir_role_assume_control();
	weir_fuse_waiters_set(1);
	r = wait_for_lock(&l, 0);
	does_not_wait(&l);
	/* Those that could not wait are not counted among the guest's own. */
	assert_int_equal(atomic_load(&guest_sess->nb_waiters), 1);
	weir_role_assume_control();
	weir_fuse_waiters_set(UINT32_MAX);
	guest_on_worker(r->worker, fake_go_on);
	ends_with(r, 0);
	assert_int_equal(atomic_load(&guest_sess->nb_waiters), 0);
}

static void
release_ends_the_waits_for_locks_through_its_file(void **state)
{
	struct locking l, other;
	struct guest_req *r;

	locking_setup(&other, O_RDWR);
	locking_setup(&l, O_RDWR);
	r = wait_for_lock(&l, 0);
	assert_int_equal(guest_release(FUSE_RELEASE, other.file, other.in.fh), 0);
	/* Nobody has ever waited there. */
	assert_int_equal(fake.calls[WEIR_FSOP_ENDWAIT], 0);
	assert_int_equal(r->completed, 0);
	assert_int_equal(guest_release(FUSE_RELEASE, l.file, l.in.fh), 0);
	ends_with(r, -EINTR);
	assert_int_equal(fake.calls[WEIR_FSOP_ENDWAIT], 1);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 2);
	assert_int_equal(fake.open, 0);
}

/* That nobody waits any more, or that nobody can, is no error of a guest that closes its file. */
static void
release_where_nobody_waits_any_more_succeeds(void **state)
{
	struct locking l;

	locking_setup(&l, O_RDWR);
	assert_int_equal(lock(&l, FUSE_SETLKW, F_WRLCK, 0), 0);
	assert_int_equal(guest_release(FUSE_RELEASE, l.file, l.in.fh), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_ENDWAIT], 1);
	locking_setup(&l, O_RDWR);
	fake_without(WEIR_FSOP_ENDWAIT);
	assert_int_equal(lock(&l, FUSE_SETLKW, F_WRLCK, 0), 0);
	assert_int_equal(guest_release(FUSE_RELEASE, l.file, l.in.fh), 0);
	assert_int_equal(fake.open, 0);
}

static int
interrupt(uint64_t unique)
{
	const struct fuse_interrupt_in in = { .unique = unique };

	return guest_call(FUSE_INTERRUPT, 0, &in, sizeof(in), NULL, 0);
}

static void
interrupt_ends_the_wait_that_it_names(void **state)
{
	struct guest_req *r;
	struct locking l;

	locking_setup(&l, O_RDWR);
	r = wait_for_lock(&l, 0);
	assert_int_equal(interrupt(r->fuse.unique + 1000), -EAGAIN);
	assert_int_equal(fake.calls[WEIR_FSOP_ENDWAIT], 1);
	/* 0 would mean all of them. */
	assert_int_equal(interrupt(0), -EAGAIN);
	assert_int_equal(fake.calls[WEIR_FSOP_ENDWAIT], 1);
	assert_int_equal(r->completed, 0);
	assert_int_equal(interrupt(r->fuse.unique), 0);
	ends_with(r, -EINTR);
	fake_without(WEIR_FSOP_ENDWAIT);
	assert_int_equal(interrupt(1), -EAGAIN);
}

static void
reset_ends_all_waits(void **state)
{
	struct guest_req *r;
	struct locking l;

	locking_setup(&l, O_RDWR);
	/* The fake file system ends what waits on the worker that says so. */
	r = wait_for_lock(&l, weir_worker_index(guest_sess->home));
	guest_reset();
	ends_with(r, -EINTR);
	assert_int_equal(fake.open, 0);
	assert_int_equal(atomic_load(&guest_sess->nb_waiters), 0);
}

/* Who hears of the end of a reset may delete the file system: the fixture does so at once. */
static void
reset_ends_when_its_last_request_has(void **state)
{
	struct fuse_init_out out;

	for (unsigned int i = 0; i < 100; i++)
		guest_remake("{}", &out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lock_takes_a_file_that_is_open_for_it),
		TEST(only_so_many_of_a_guest_wait),
		TEST(only_so_many_of_all_guests_wait),
		TEST(release_ends_the_waits_for_locks_through_its_file),
		TEST(release_where_nobody_waits_any_more_succeeds),
		TEST(interrupt_ends_the_wait_that_it_names),
		TEST(reset_ends_all_waits),
		TEST(reset_ends_when_its_last_request_has),
	};

	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
