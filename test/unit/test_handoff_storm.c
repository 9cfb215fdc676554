/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Many requests between workers at a time, detached at random; and workers that sleep. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_common.h>

#include "handoff_user.h"

#define STORM_CALLS 64
#define STORM_TURNS 400 /* of each call */

struct storm {
	struct weir_msg msg;
	struct weir_poller poller;
	unsigned int home;
	uint32_t seed;
	unsigned int nb_left;
	unsigned int nb_detached;
	_Atomic bool over;
	struct call calls[STORM_CALLS];
	unsigned int turns[STORM_CALLS];
	bool detached[STORM_CALLS];
};

static uint32_t
storm_random(struct storm *s, uint32_t below)
{
	s->seed = s->seed * 1664525u + 1013904223u;
	return (s->seed >> 8) % below;
}

static void WEIR_ON_WORKER
storm_begin_one(struct storm *s, unsigned int i)
{
	bool retries = storm_random(s, 3) == 0;

	call_init(&s->calls[i], retries ? WEIR_FSOP_WRITE : WEIR_FSOP_READ, storm_random(s, 6),
			s->home, 1 + storm_random(s, 3));
	s->detached[i] = false;
	s->calls[i].req.chan = s->calls[i].chan;
	weir_fsdev_submit(&s->calls[i].req);
}

/* A call that ended begins its next turn; one of the others may lose its guest. */
static int
storm_poll(struct weir_poller *poller)
{
	struct storm *s = container_of(poller, struct storm, poller);
	unsigned int i;
	int nb = 0;

	weir_role_assume_worker();
	for (i = 0; i < STORM_CALLS; i++) {
		struct call *call = &s->calls[i];

		if (call->nb_done > 0 && s->turns[i] > 0) {
			assert_true(!s->detached[i] || call->fenced);
			if (--s->turns[i] > 0)
				storm_begin_one(s, i);
			else
				s->nb_left--;
			nb++;
		}
	}
	i = storm_random(s, STORM_CALLS);
	if (s->calls[i].nb_done == 0 && !s->detached[i]) {
		s->detached[i] = true;
		s->nb_detached++;
		weir_fsdev_detach(&s->calls[i].req, call_fenced);
	}
	if (s->nb_left == 0) {
		weir_poller_del(poller);
		atomic_store(&s->over, true);
	}
	return nb;
}

static void
storm_there(struct weir_msg *msg)
{
	struct storm *s = container_of(msg, struct storm, msg);

	weir_role_assume_worker();
	s->nb_left = STORM_CALLS;
	for (unsigned int i = 0; i < STORM_CALLS; i++) {
		s->turns[i] = STORM_TURNS;
		storm_begin_one(s, i);
	}
	weir_poller_add(&s->poller);
}

static void
storm(bool fence_late)
{
	struct storm *storms = calloc(2, sizeof(*storms));

	assert_non_null(storms);
	atomic_store(&slow.fence_late, fence_late);
	for (unsigned int i = 0; i < 2; i++) {
		storms[i].home = i == 0 ? HOME : 3;
		storms[i].seed = i;
		storms[i].msg.fn = storm_there;
		storms[i].poller.name = "storm";
		storms[i].poller.poll = storm_poll;
		weir_worker_send(weir_worker_at(storms[i].home), &storms[i].msg);
	}
	for (unsigned int i = 0; i < 2; i++) {
		while (!atomic_load(&storms[i].over))
			fsc_poll();
		wait_round(storms[i].home);
		assert_true(storms[i].nb_detached > 0);
	}
	free(storms);
}

static void
storm_of_requests_and_detaches_ends_each_once(void **state)
{
	storm(false);
}

static void
storm_with_late_fences_ends_each_once(void **state)
{
	storm(true);
}

/* Each one alone, so that both workers fall asleep between two: a lost wake-up would end here. */
static void
sleeping_workers_are_woken(void **state)
{
	struct call call;

	for (unsigned int i = 0; i < 500; i++) {
		call_init(&call, WEIR_FSOP_READ, 0, HOME, 1 + i % 3);
		call_submit(&call);
		assert_int_equal(call_wait(&call), 5);
		wait_round(HOME);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, handoff_setup, handoff_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(storm_of_requests_and_detaches_ends_each_once),
		TEST(storm_with_late_fences_ends_each_once),
		TEST(sleeping_workers_are_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return handoff_main(run);
}
