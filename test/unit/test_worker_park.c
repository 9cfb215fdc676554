/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* A crowd of pollers on one worker: those without work are parked, and none is forgotten. */

#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>
#include <rte_cycles.h>

#include "weir_loop.h"
#include "weir_worker.h"

#include "eal.h"

#define NB_CROWD 3000
#define NB_FDS   200 /* so many of them, the first ones, have a descriptor */
#define NB_KEPT  8 /* that stay active without work */
#define NB_KICKS 2000

/* What a virtqueue is to a worker, and what polls itself only when told to look (a socket is so). */
struct member {
	struct weir_poller poller;
	int kickfd;
	bool stubborn; /* cannot be armed */
	bool lazy; /* finds work only after disarm() */
	bool look;
	uint64_t wake_after; /* cycles, from arm() on; 0: no timer */
	uint64_t late_tsc; /* timer: when it was due */
	unsigned int taken;
	unsigned int disarms;
	_Atomic unsigned int polls;
	_Atomic unsigned int offered;
	_Atomic bool want_kick;
	sem_t served;
};

static struct member crowd[NB_CROWD];
static uint64_t nb_polls; /* the worker's */

static int
member_poll(struct weir_poller *poller)
{
	struct member *m = container_of(poller, struct member, poller);
	unsigned int offered = atomic_load_explicit(&m->offered, memory_order_acquire);
	int work;

	nb_polls++;
	atomic_fetch_add(&m->polls, 1);
	if (m->late_tsc != 0 && rte_rdtsc() >= m->late_tsc) {
		m->late_tsc = 0;
		m->wake_after = 0;
		m->poller.wake_tsc = 0;
		sem_post(&m->served);
		return 1;
	}
	if (m->lazy && !m->look)
		return 0;
	m->look = false;
	work = (int)(offered - m->taken);
	m->taken = offered;
	if (work > 0)
		sem_post(&m->served);
	return work;
}

static bool
member_arm(struct weir_poller *poller)
{
	struct member *m = container_of(poller, struct member, poller);

	if (m->wake_after != 0) {
		if (m->late_tsc == 0)
			m->late_tsc = rte_rdtsc() + m->wake_after;
		poller->wake_tsc = m->late_tsc;
	}
	atomic_store(&m->want_kick, true);
	if (m->lazy)
		return m->look;
	return atomic_load(&m->offered) != m->taken || m->stubborn;
}

static void
member_disarm(struct weir_poller *poller)
{
	struct member *m = container_of(poller, struct member, poller);

	atomic_store(&m->want_kick, false);
	m->look = true;
	m->disarms++;
}

static void
member_add(struct member *m)
{
	weir_role_assume_worker();
	if (m->kickfd >= 0)
		assert_int_equal(weir_worker_fd_add(m->kickfd, &m->poller), 0);
	weir_poller_add(&m->poller);
}

static void
member_del(struct member *m)
{
	weir_role_assume_worker();
	weir_poller_del(&m->poller);
	if (m->kickfd >= 0)
		weir_worker_fd_del(m->kickfd);
}

static void
crowd_add(void *arg)
{
	for (unsigned int i = 0; i < NB_CROWD; i++)
		member_add(&crowd[i]);
}

static void
crowd_del(void *arg)
{
	for (unsigned int i = 0; i < NB_CROWD; i++)
		if (crowd[i].poller.state != WEIR_POLLER_NONE)
			member_del(&crowd[i]);
}

static void
run(void (*fn)(void *arg), void *arg)
{
	weir_worker_sync(weir_worker_at(0), fn, arg);
}

static void
policy_run(void *arg)
{
	const struct weir_workers_cfg cfg = { .idle = *(enum weir_idle_policy *)arg,
		.spin_us = 20 };

	weir_role_assume_worker();
	weir_worker_idle_set(&cfg);
}

static void
policy_set(enum weir_idle_policy policy)
{
	run(policy_run, &policy);
}

static struct weir_worker_stats
stats(void)
{
	struct weir_worker_stats s;

	weir_worker_stats_get(weir_worker_at(0), &s);
	return s;
}

/* The policies that this CPU has. */
static unsigned int
nb_policies(void)
{
	return weir_idle_lacks(WEIR_IDLE_POWER) == NULL ? 3 : 2;
}

/* Until all but a few are parked. */
static void
wait_parked(unsigned int nb_awake)
{
	while (stats().nb_active > nb_awake)
		sched_yield();
}

/* Ten seconds stand for "never". */
static void
wait_for(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 10;
	assert_int_equal(sem_clockwait(sem, CLOCK_MONOTONIC, &until), 0);
}

static void
kick(struct member *m)
{
	uint64_t one = 1;

	atomic_fetch_add(&m->offered, 1);
	if (atomic_load(&m->want_kick))
		assert_int_equal(write(m->kickfd, &one, sizeof(one)), sizeof(one));
}

static int
crowd_setup(void **state)
{
	for (unsigned int i = 0; i < NB_CROWD; i++) {
		crowd[i] = (struct member){
			.poller = { .name = "member",
					.poll = member_poll,
					.arm = member_arm,
					.disarm = member_disarm,
					.parks = true },
			.kickfd = i < NB_FDS ? eventfd(0, EFD_NONBLOCK) : -1,
		};
		assert_true(i >= NB_FDS || crowd[i].kickfd >= 0);
		sem_init(&crowd[i].served, 0, 0);
	}
	policy_set(WEIR_IDLE_POLL);
	return 0;
}

static int
crowd_teardown(void **state)
{
	run(crowd_del, NULL);
	for (unsigned int i = 0; i < NB_FDS; i++)
		close(crowd[i].kickfd);
	assert_int_equal(stats().nb_active, 0);
	assert_int_equal(stats().nb_parked, 0);
	return 0;
}

struct count {
	uint64_t polls;
	uint64_t rounds;
};

static void
count_take(void *arg)
{
	*(struct count *)arg = (struct count){ .polls = nb_polls, .rounds = stats().rounds };
}

static void
parked_pollers_are_not_polled(void **state)
{
	struct count before, after;

	run(crowd_add, NULL);
	wait_parked(NB_KEPT);
	assert_int_equal(stats().nb_active, NB_KEPT);
	assert_int_equal(stats().nb_parked, NB_CROWD - NB_KEPT);
	run(count_take, &before);
	do
		run(count_take, &after);
	while (after.rounds < before.rounds + 1000);
	assert_int_equal(after.polls - before.polls, (after.rounds - before.rounds) * NB_KEPT);
}

static void
parked_poller_never_loses_a_kick(void **state)
{
	unsigned int seed = 1;

	run(crowd_add, NULL);
	for (unsigned int policy = 0; policy < nb_policies(); policy++) {
		policy_set((enum weir_idle_policy)policy);
		wait_parked(NB_KEPT);
		for (unsigned int i = 0; i < NB_KICKS; i++) {
			struct member *m = &crowd[(seed = seed * 1103515245 + 12345) % NB_FDS];

			/* Now and then it is certain that all are parked. */
			if (i % 100 == 0)
				wait_parked(NB_KEPT);
			kick(m);
			wait_for(&m->served);
		}
	}
}

static void
parked_pollers_with_events_all_at_once_are_served(void **state)
{
	run(crowd_add, NULL);
	for (unsigned int policy = 0; policy < nb_policies(); policy++) {
		policy_set((enum weir_idle_policy)policy);
		wait_parked(NB_KEPT);
		for (unsigned int i = 0; i < NB_FDS; i++)
			kick(&crowd[i]);
		for (unsigned int i = 0; i < NB_FDS; i++)
			wait_for(&crowd[i].served);
	}
}

/* Switching back and forth is no reason to forget anybody. */
static void
kicks_survive_a_change_of_policy(void **state)
{
	run(crowd_add, NULL);
	for (unsigned int i = 0; i < 500; i++) {
		kick(&crowd[i % NB_FDS]);
		policy_set((enum weir_idle_policy)(i % nb_policies()));
		wait_for(&crowd[i % NB_FDS].served);
	}
}

static void
wake_first_without_descriptor(void *arg)
{
	weir_role_assume_worker();
	atomic_fetch_add(&crowd[NB_FDS].offered, 1);
	weir_poller_wake(&crowd[NB_FDS].poller);
}

static void
parked_poller_is_woken_by_a_call(void **state)
{
	run(crowd_add, NULL);
	for (unsigned int policy = 0; policy < nb_policies(); policy++) {
		policy_set((enum weir_idle_policy)policy);
		wait_parked(NB_KEPT);
		run(wake_first_without_descriptor, NULL);
		wait_for(&crowd[NB_FDS].served);
	}
}

static void
parked_pollers_timers_go_off(void **state)
{
	for (unsigned int policy = 0; policy < nb_policies(); policy++) {
		policy_set((enum weir_idle_policy)policy);
		for (unsigned int i = 0; i < 100; i++)
			crowd[i].wake_after = rte_get_tsc_hz() / 1000 * (1 + i);
		run(crowd_add, NULL);
		for (unsigned int i = 0; i < 100; i++)
			wait_for(&crowd[i].served);
		run(crowd_del, NULL);
	}
	assert_true(stats().parks > 0);
}

struct removal {
	struct member *m;
	unsigned int disarms; /* that removing it has made */
	enum weir_poller_state state;
};

static void
removal_run(void *arg)
{
	struct removal *r = arg;

	r->state = r->m->poller.state;
	r->disarms = r->m->disarms;
	/* The descriptor stays watched for now: it may still have events. */
	weir_role_assume_worker();
	weir_poller_del(&r->m->poller);
	r->disarms = r->m->disarms - r->disarms;
}

static void
fd_del_run(void *arg)
{
	weir_role_assume_worker();
	weir_worker_fd_del(((struct member *)arg)->kickfd);
}

static void
nothing(void *arg)
{
}

static void
parked_poller_is_removed_disarmed_and_hears_nothing(void **state)
{
	for (unsigned int policy = 0; policy < nb_policies(); policy++) {
		/* One whose descriptor nobody has written yet: it would be ready at once. */
		struct member *m = &crowd[2 * policy];
		struct removal r = { .m = m };
		unsigned int polls;
		uint64_t one = 1;

		policy_set((enum weir_idle_policy)policy);
		run(crowd_add, NULL);
		wait_parked(NB_KEPT);
		run(removal_run, &r);
		assert_int_equal(r.state, WEIR_POLLER_PARKED);
		assert_int_equal(r.disarms, 1);
		assert_int_equal(stats().nb_parked, NB_CROWD - NB_KEPT - 1);

		polls = atomic_load(&m->polls);
		assert_int_equal(write(m->kickfd, &one, sizeof(one)), sizeof(one));
		kick(m + 1);
		wait_for(&m[1].served);
		run(nothing, NULL);
		assert_int_equal(atomic_load(&m->polls), polls);
		run(fd_del_run, m);
		run(crowd_del, NULL);
	}
}

/* Takes two parked ones and itself away from inside its own poll. */
static int
remover_poll(struct weir_poller *poller)
{
	struct member *m = container_of(poller, struct member, poller);

	if (atomic_load(&m->offered) == 0)
		return 0;
	member_del(&crowd[0]);
	member_del(&crowd[1]);
	member_del(m);
	sem_post(&m->served);
	return 1;
}

static void
parked_pollers_may_be_removed_by_a_poll(void **state)
{
	struct member *remover = &crowd[NB_CROWD - 1];

	remover->poller.poll = remover_poll;
	run(crowd_add, NULL);
	wait_parked(NB_KEPT);
	atomic_store(&remover->offered, 1);
	wait_for(&remover->served);
	assert_int_equal(stats().nb_active + stats().nb_parked, NB_CROWD - 3);
}

static void
pollers_that_cannot_be_parked_go_on(void **state)
{
	struct count before, after;

	for (unsigned int i = 0; i < 50; i++)
		crowd[i].stubborn = true;
	for (unsigned int i = 50; i < 100; i++)
		crowd[i].poller.parks = false;
	run(crowd_add, NULL);
	wait_parked(100);
	run(count_take, &before);
	do
		run(count_take, &after);
	while (after.rounds < before.rounds + 1000);
	assert_int_equal(stats().nb_active, 100);
	assert_int_equal(after.polls - before.polls, (after.rounds - before.rounds) * 100);
	/* Their kicks need no descriptor. */
	for (unsigned int i = 0; i < 100; i++)
		atomic_fetch_add(&crowd[i].offered, 1);
	for (unsigned int i = 0; i < 100; i++)
		wait_for(&crowd[i].served);
}

/* A look for parked ones takes the events of active ones off the descriptor, too. */
static void
events_of_active_pollers_are_not_swallowed(void **state)
{
	struct member *lazy = &crowd[0];
	uint64_t one = 1;

	lazy->poller.parks = false;
	lazy->lazy = true;
	run(crowd_add, NULL);
	wait_parked(NB_KEPT);
	for (unsigned int i = 0; i < 200; i++) {
		atomic_fetch_add(&lazy->offered, 1);
		assert_int_equal(write(lazy->kickfd, &one, sizeof(one)), sizeof(one));
		wait_for(&lazy->served);
	}
}

static int
group_setup(void **state)
{
	const struct weir_workers_cfg cfg = { .idle = WEIR_IDLE_ADAPTIVE, .spin_us = 20 };

	weir_role_assume_control();
	return weir_workers_start(&cfg);
}

static int
group_teardown(void **state)
{
	weir_role_assume_control();
	weir_workers_stop();
	weir_loop_fini();
	return 0;
}

#define crowd_test(name) cmocka_unit_test_setup_teardown(name, crowd_setup, crowd_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		crowd_test(parked_pollers_are_not_polled),
		crowd_test(parked_poller_never_loses_a_kick),
		crowd_test(parked_pollers_with_events_all_at_once_are_served),
		crowd_test(kicks_survive_a_change_of_policy),
		crowd_test(parked_poller_is_woken_by_a_call),
		crowd_test(parked_pollers_timers_go_off),
		crowd_test(parked_poller_is_removed_disarmed_and_hears_nothing),
		crowd_test(parked_pollers_may_be_removed_by_a_poll),
		crowd_test(pollers_that_cannot_be_parked_go_on),
		crowd_test(events_of_active_pollers_are_not_swallowed),
	};
	int rc;

	if (weir_loop_init() < 0 || test_eal_init("(0-1)@0") < 0)
		return 77;
	rc = cmocka_run_group_tests(tests, group_setup, group_teardown);
	test_eal_fini();
	return rc;
}
