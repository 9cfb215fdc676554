/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Workers and helpers on real lcores; three lcores share whatever CPUs there are. */

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_cycles.h>

#include "weir_helper.h"
#include "weir_loop.h"
#include "weir_worker.h"

#include "eal.h"

#define NB_SENDERS  3
#define NB_MESSAGES 20000
#define NB_KICKS    3000

static void
sync_note_self(void *arg)
{
	*(struct weir_worker **)arg = weir_worker_self();
}

static void
worker_sync_runs_on_that_worker(void **state)
{
	for (unsigned int i = 0; i < weir_workers_count(); i++) {
		struct weir_worker *self = NULL;

		weir_worker_sync(weir_worker_at(i), sync_note_self, &self);
		assert_ptr_equal(self, weir_worker_at(i));
		assert_int_equal(weir_worker_index(self), i);
	}
	assert_null(weir_worker_self());
}

struct numbered {
	struct weir_msg msg;
	unsigned int sender;
	unsigned int number;
};

static unsigned int next_number[NB_SENDERS];
static unsigned int out_of_order;
static struct numbered numbered[NB_SENDERS][NB_MESSAGES];

static void
numbered_arrive(struct weir_msg *msg)
{
	struct numbered *n = container_of(msg, struct numbered, msg);

	if (n->number != next_number[n->sender]++)
		out_of_order++;
}

static void *
numbered_send(void *arg)
{
	unsigned int sender = (unsigned int)(uintptr_t)arg;

	for (unsigned int i = 0; i < NB_MESSAGES; i++) {
		struct numbered *n = &numbered[sender][i];

		*n = (struct numbered){ .msg.fn = numbered_arrive, .sender = sender, .number = i };
		weir_worker_send(weir_worker_at(0), &n->msg);
	}
	return NULL;
}

static void
worker_many_senders_arrive_complete_and_in_order(void **state)
{
	pthread_t thread[NB_SENDERS];
	struct weir_worker *self;

	for (uintptr_t i = 0; i < NB_SENDERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, numbered_send, (void *)i), 0);
	for (unsigned int i = 0; i < NB_SENDERS; i++)
		pthread_join(thread[i], NULL);
	/* The mailbox is a queue: what was sent before has run when this has. */
	weir_worker_sync(weir_worker_at(0), sync_note_self, &self);
	for (unsigned int i = 0; i < NB_SENDERS; i++)
		assert_int_equal(next_number[i], NB_MESSAGES);
	assert_int_equal(out_of_order, 0);
}

/* A peer as a virtqueue is one: shared counters, a kick descriptor, and a wish for kicks. */
static struct {
	struct weir_poller poller;
	int kickfd, answerfd;
	_Atomic unsigned int offered;
	_Atomic bool want_kick;
	unsigned int taken;
	unsigned int arms;
} ring;

static int
ring_poll(struct weir_poller *poller)
{
	unsigned int offered = atomic_load_explicit(&ring.offered, memory_order_acquire);
	uint64_t n = offered - ring.taken;

	if (n == 0)
		return 0;
	ring.taken = offered;
	assert_int_equal(write(ring.answerfd, &n, sizeof(n)), sizeof(n));
	return (int)n;
}

static bool
ring_arm(struct weir_poller *poller)
{
	ring.arms++;
	atomic_store(&ring.want_kick, true);
	return atomic_load(&ring.offered) != ring.taken;
}

static void
ring_disarm(struct weir_poller *poller)
{
	atomic_store(&ring.want_kick, false);
}

static void
ring_add(void *arg)
{
	weir_role_assume_worker();
	weir_poller_add(&ring.poller);
	assert_int_equal(weir_worker_fd_add(ring.kickfd, &ring.poller), 0);
}

static void
ring_del(void *arg)
{
	weir_role_assume_worker();
	weir_poller_del(&ring.poller);
	weir_worker_fd_del(ring.kickfd);
}

static void
worker_asleep_never_loses_a_kick(void **state)
{
	struct weir_worker_stats before, after;
	uint64_t one = 1, n;

	ring.poller = (struct weir_poller){
		.name = "ring", .poll = ring_poll, .arm = ring_arm, .disarm = ring_disarm
	};
	ring.kickfd = eventfd(0, EFD_NONBLOCK);
	ring.answerfd = eventfd(0, EFD_NONBLOCK);
	weir_worker_stats_get(weir_worker_at(0), &before);
	weir_worker_sync(weir_worker_at(0), ring_add, NULL);

	for (unsigned int i = 0; i < NB_KICKS; i++) {
		struct pollfd pfd = { .fd = ring.answerfd, .events = POLLIN };

		/* Now and then it is certain that the worker has armed the ring. */
		while (i % 50 == 0 && !atomic_load(&ring.want_kick))
			sched_yield();
		atomic_fetch_add(&ring.offered, 1);
		if (atomic_load(&ring.want_kick))
			assert_int_equal(write(ring.kickfd, &one, sizeof(one)), sizeof(one));
		/* Ten seconds stand for "never": a lost kick is not made good by anything. */
		assert_int_equal(poll(&pfd, 1, 10000), 1);
		assert_int_equal(read(ring.answerfd, &n, sizeof(n)), sizeof(n));
	}
	weir_worker_sync(weir_worker_at(0), ring_del, NULL);
	weir_worker_stats_get(weir_worker_at(0), &after);
	assert_int_equal(ring.taken, NB_KICKS);
	assert_true(ring.arms > 0);
	assert_true(after.sleeps > before.sleeps);
	/* Each was one round's work, in the first round after a sleep as in any other. */
	assert_true(after.rounds_busy - before.rounds_busy >= NB_KICKS);
	close(ring.kickfd);
	close(ring.answerfd);
}

static struct {
	struct weir_poller poller;
	uint64_t due_tsc;
	sem_t done;
} alarm_clock;

static int
alarm_poll(struct weir_poller *poller)
{
	weir_role_assume_worker();
	if (rte_rdtsc() < alarm_clock.due_tsc)
		return 0;
	weir_poller_del(poller);
	sem_post(&alarm_clock.done);
	return 1;
}

static bool
alarm_arm(struct weir_poller *poller)
{
	poller->wake_tsc = alarm_clock.due_tsc;
	return false;
}

static void
alarm_add(void *arg)
{
	weir_role_assume_worker();
	alarm_clock.poller = (struct weir_poller){
		.name = "alarm", .poll = alarm_poll, .arm = alarm_arm
	};
	alarm_clock.due_tsc = rte_rdtsc() + rte_get_tsc_hz() / 20;
	weir_poller_add(&alarm_clock.poller);
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
worker_asleep_wakes_when_a_poller_asked_for_it(void **state)
{
	struct weir_worker_stats before, after;

	sem_init(&alarm_clock.done, 0, 0);
	weir_worker_stats_get(weir_worker_at(0), &before);
	weir_worker_sync(weir_worker_at(0), alarm_add, NULL);
	wait_for(&alarm_clock.done);
	weir_worker_stats_get(weir_worker_at(0), &after);
	assert_true(rte_rdtsc() >= alarm_clock.due_tsc);
	/* It slept, and not once for each of the 50 milliseconds. */
	assert_in_range(after.sleeps - before.sleeps, 1, 20);
}

static struct {
	struct weir_poller poller;
	int fd;
	_Atomic bool armed;
	sem_t done;
} pipe_end;

/* Writes until there is no room, and notices when there is room again. */
static int
pipe_poll(struct weir_poller *poller)
{
	static const char bytes[4096];
	bool was_armed = atomic_load(&pipe_end.armed);
	int work = 0;

	weir_role_assume_worker();
	while (write(pipe_end.fd, bytes, sizeof(bytes)) > 0)
		work++;
	if (work == 0 || !was_armed)
		return work;
	weir_worker_fd_del(pipe_end.fd);
	weir_poller_del(poller);
	sem_post(&pipe_end.done);
	return work;
}

static bool
pipe_arm(struct weir_poller *poller)
{
	atomic_store(&pipe_end.armed, true);
	return false;
}

static void
pipe_add(void *arg)
{
	weir_role_assume_worker();
	pipe_end.poller =
			(struct weir_poller){ .name = "pipe", .poll = pipe_poll, .arm = pipe_arm };
	assert_int_equal(weir_worker_fd_add_inout(pipe_end.fd, &pipe_end.poller), 0);
	weir_poller_add(&pipe_end.poller);
}

static void
worker_asleep_wakes_when_a_socket_becomes_writable(void **state)
{
	char bytes[4096];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	pipe_end.fd = fds[0];
	sem_init(&pipe_end.done, 0, 0);
	weir_worker_sync(weir_worker_at(0), pipe_add, NULL);
	while (!atomic_load(&pipe_end.armed))
		sched_yield();
	while (read(fds[1], bytes, sizeof(bytes)) > 0)
		;
	wait_for(&pipe_end.done);
	close(fds[0]);
	close(fds[1]);
}

static struct {
	struct weir_poller first, second;
	unsigned int first_runs, second_runs;
} pair;

static int
pair_first_poll(struct weir_poller *poller)
{
	weir_role_assume_worker();
	pair.first_runs++;
	weir_poller_del(&pair.first);
	weir_poller_del(&pair.second);
	return 1;
}

static int
pair_second_poll(struct weir_poller *poller)
{
	pair.second_runs++;
	return 1;
}

static void
pair_add(void *arg)
{
	weir_role_assume_worker();
	pair.first = (struct weir_poller){ .name = "first", .poll = pair_first_poll };
	pair.second = (struct weir_poller){ .name = "second", .poll = pair_second_poll };
	weir_poller_add(&pair.first);
	weir_poller_add(&pair.second);
}

static void
worker_poller_may_remove_itself_and_the_next(void **state)
{
	struct weir_worker *self;

	weir_worker_sync(weir_worker_at(0), pair_add, NULL);
	weir_worker_sync(weir_worker_at(0), sync_note_self, &self);
	weir_worker_sync(weir_worker_at(0), sync_note_self, &self);
	assert_int_equal(pair.first_runs, 1);
	assert_int_equal(pair.second_runs, 0);
}

struct errand {
	struct weir_job job;
	struct weir_helpers *helpers;
	struct weir_worker *ran_on, *done_on;
	sem_t may_run, done;
	bool on_control;
};

static void
errand_run(struct weir_job *job)
{
	struct errand *e = container_of(job, struct errand, job);

	sem_wait(&e->may_run);
	e->ran_on = weir_worker_self();
}

static void
errand_done(struct weir_job *job)
{
	struct errand *e = container_of(job, struct errand, job);

	e->done_on = weir_worker_self();
	sem_post(&e->done);
}

static void
errand_submit(void *arg)
{
	struct errand *e = arg;

	weir_helper_submit(e->helpers, &e->job);
}

static void
errand_init(struct errand *e, struct weir_helpers *helpers, unsigned int may_run)
{
	*e = (struct errand){ .job = { .run = errand_run, .done = errand_done },
		.helpers = helpers };
	sem_init(&e->may_run, 0, may_run);
	sem_init(&e->done, 0, 0);
}

static void
helper_job_of_a_worker_is_done_there(void **state)
{
	struct weir_helpers *helpers;
	struct errand e;

	weir_role_assume_control();
	assert_int_equal(weir_helpers_create("test", 2, &helpers), 0);
	errand_init(&e, helpers, 1);
	weir_worker_sync(weir_worker_at(1), errand_submit, &e);
	sem_wait(&e.done);
	assert_null(e.ran_on);
	assert_ptr_equal(e.done_on, weir_worker_at(1));
	assert_int_equal(weir_helpers_destroy(helpers, NULL, NULL), 0);
}

static void
helper_job_of_control_is_done_by_its_loop(void **state)
{
	struct weir_helpers *helpers;
	struct errand e;

	weir_role_assume_control();
	assert_int_equal(weir_helpers_create("test", 1, &helpers), 0);
	errand_init(&e, helpers, 1);
	weir_helper_submit(helpers, &e.job);
	while (sem_trywait(&e.done) < 0)
		assert_int_equal(weir_loop_poll(10000), 0);
	assert_int_equal(weir_helpers_destroy(helpers, NULL, NULL), 0);
}

static void
errand_orphan(struct weir_job *job, void *arg)
{
	(*(unsigned int *)arg)++;
}

static void
helper_pool_with_a_hanging_job_ends_without_it(void **state)
{
	static struct errand hung, waiting[3];
	struct weir_helpers *helpers;
	unsigned int orphans = 0, queued, running;

	weir_role_assume_control();
	assert_int_equal(weir_helpers_create("test", 1, &helpers), 0);
	errand_init(&hung, helpers, 0);
	weir_helper_submit(helpers, &hung.job);
	for (unsigned int i = 0; i < 3; i++) {
		errand_init(&waiting[i], helpers, 1);
		weir_helper_submit(helpers, &waiting[i].job);
	}
	do
		weir_helpers_load(helpers, &queued, &running);
	while (running == 0);
	weir_helpers_load(helpers, &queued, &running);
	assert_int_equal(queued, 3);
	assert_int_equal(weir_helpers_destroy(helpers, errand_orphan, &orphans), 1);
	assert_int_equal(orphans, 3);
	/* It ends long after its pool was given up, and nobody is told. */
	sem_post(&hung.may_run);
	assert_int_equal(weir_loop_poll(0), 0);
	assert_int_equal(sem_trywait(&hung.done), -1);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_sync_runs_on_that_worker),
		cmocka_unit_test(worker_many_senders_arrive_complete_and_in_order),
		cmocka_unit_test(worker_asleep_never_loses_a_kick),
		cmocka_unit_test(worker_asleep_wakes_when_a_poller_asked_for_it),
		cmocka_unit_test(worker_asleep_wakes_when_a_socket_becomes_writable),
		cmocka_unit_test(worker_poller_may_remove_itself_and_the_next),
		cmocka_unit_test(helper_job_of_a_worker_is_done_there),
		cmocka_unit_test(helper_job_of_control_is_done_by_its_loop),
		cmocka_unit_test(helper_pool_with_a_hanging_job_ends_without_it),
	};
	int rc;

	if (weir_loop_init() < 0 || test_eal_init("(0-2)@0") < 0)
		return 77;
	rc = cmocka_run_group_tests(tests, group_setup, group_teardown);
	test_eal_fini();
	return rc;
}
