/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* One request between workers, detached at each step of its way, and rings that are full. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_common.h>
#include <rte_pause.h>

#include "handoff_user.h"

static void
roles_lead_to_backend_workers(void **state)
{
	const uint8_t order[] = { 2, 1, 2 };
	struct weir_route route = { .workers = order, .nb = RTE_DIM(order), .next = 1 };
	struct weir_handoff_cfg none = { 0 };

	weir_role_assume_control();
	assert_int_equal(weir_handoff_start(&none), -EINVAL);
	assert_int_equal(weir_frontends_count(), 2);
	assert_int_equal(weir_backends_count(), 3);
	assert_ptr_equal(weir_frontend_at(1), weir_worker_at(3));
	assert_ptr_equal(weir_backend_at(0), weir_worker_at(1));
	assert_ptr_equal(weir_worker_backend(weir_worker_at(0)), weir_worker_at(1));
	assert_ptr_equal(weir_worker_backend(weir_worker_at(3)), weir_worker_at(3));
	weir_role_assume_worker();
	assert_ptr_equal(weir_fsdev_channel_by(slow_dev, &route),
			weir_fsdev_channel_at(slow_dev, 1));
	assert_ptr_equal(weir_fsdev_channel_by(slow_dev, &route),
			weir_fsdev_channel_at(slow_dev, 2));
	assert_ptr_equal(weir_fsdev_channel_by(slow_dev, &route),
			weir_fsdev_channel_at(slow_dev, 2));
	assert_ptr_equal(weir_fsdev_channel_by(slow_dev, &route),
			weir_fsdev_channel_at(slow_dev, 1));
}

static void
request_runs_there_and_is_done_here(void **state)
{
	struct weir_handoff_stats before = stats_of(HOME), after;
	struct call call;

	call_init(&call, WEIR_FSOP_READ, 0, HOME, BACKEND);
	call_submit(&call);
	assert_int_equal(call_wait(&call), 5);
	assert_int_equal(atomic_load(&slow.runs[BACKEND]), 1);
	call_init(&call, WEIR_FSOP_READ, 3, HOME, 2);
	call_submit(&call);
	assert_int_equal(call_wait(&call), 0);
	assert_int_equal(atomic_load(&slow.runs[2]), 1);
	call_init(&call, WEIR_FSOP_WRITE, 4, HOME, 2);
	call_submit(&call);
	assert_int_equal(call_wait(&call), 5);
	assert_int_equal(atomic_load(&slow.runs[2]), 6);
	call_init(&call, WEIR_FSOP_LOOKUP, 0, HOME, 2);
	call_submit(&call);
	assert_int_equal(call_wait(&call), -ENOSYS);
	after = stats_of(HOME);
	assert_int_equal(after.requests_sent - before.requests_sent, 4);
	assert_int_equal(after.answers_received - before.answers_received, 4);
	assert_int_equal(after.requests_received, before.requests_received);
}

static void
request_of_a_worker_that_is_both_is_not_handed_over(void **state)
{
	struct weir_handoff_stats before = stats_of(3);
	struct call call;

	call_init(&call, WEIR_FSOP_READ, 0, 3, 3);
	call_submit(&call);
	assert_int_equal(call_wait(&call), 5);
	assert_int_equal(stats_of(3).requests_sent, before.requests_sent);
	assert_int_equal(stats_of(3).requests_received, before.requests_received);
}

/* On the home worker: submitted and detached before it can leave. */
struct early {
	struct call call;
	struct weir_msg msg;
	_Atomic bool detached, let_go;
};

static void
early_there(struct weir_msg *msg)
{
	struct early *e = container_of(msg, struct early, msg);

	weir_role_assume_worker();
	e->call.req.chan = e->call.chan;
	weir_fsdev_submit(&e->call.req);
	weir_fsdev_detach(&e->call.req, call_fenced);
	atomic_store(&e->detached, true);
	while (!atomic_load(&e->let_go))
		rte_pause();
}

static void
request_detached_on_its_way_there_never_runs(void **state)
{
	struct early e = { .msg.fn = early_there };

	call_init(&e.call, WEIR_FSOP_READ, 0, HOME, BACKEND);
	weir_worker_send(weir_worker_at(HOME), &e.msg);
	while (!atomic_load(&e.detached))
		fsc_poll();
	/* The fence is the backend worker's to give, and this is behind its message. */
	assert_false(e.call.fenced);
	wait_round(BACKEND);
	atomic_store(&e.let_go, true);
	assert_int_equal(call_wait(&e.call), -ECANCELED);
	assert_true(e.call.fenced);
	assert_int_equal(e.call.guest.touched, 0);
	assert_int_equal(atomic_load(&slow.runs[BACKEND]), 0);
	assert_int_equal(atomic_load(&slow.detaches), 0);
}

static void
request_detached_in_the_driver_is_fenced_there(void **state)
{
	struct call call;

	call_init(&call, WEIR_FSOP_READ, UINT64_MAX, HOME, BACKEND);
	call_submit(&call);
	wait_for(&slow.runs[BACKEND], 1);
	call_detach(&call);
	while (!atomic_load(&call.is_fenced))
		fsc_poll();
	assert_int_equal(atomic_load(&slow.detaches), 1);
	assert_false(atomic_load(&call.done));
	atomic_store(&slow.let_go, true);
	assert_int_equal(call_wait(&call), 0);
}

static void
request_whose_fence_and_answer_come_together_is_fenced_first(void **state)
{
	struct call call;

	atomic_store(&slow.fence_late, true);
	call_init(&call, WEIR_FSOP_READ, UINT64_MAX, HOME, BACKEND);
	call_submit(&call);
	wait_for(&slow.runs[BACKEND], 1);
	call_detach(&call);
	wait_for(&slow.detaches, 1);
	assert_false(atomic_load(&call.is_fenced));
	atomic_store(&slow.let_go, true);
	assert_int_equal(call_wait(&call), 0);
	assert_true(call.fenced);
}

static void
request_detached_between_two_tries_ends_without_the_driver(void **state)
{
	struct call call;

	call_init(&call, WEIR_FSOP_WRITE, UINT64_MAX, HOME, BACKEND);
	call_submit(&call);
	wait_for(&slow.runs[BACKEND], 2);
	call_detach(&call);
	assert_int_equal(call_wait(&call), -ECANCELED);
	assert_true(call.fenced);
	assert_int_equal(atomic_load(&slow.detaches), 0);
}

/* On the home worker: what was submitted is detached when its answer waits in the ring. */
struct crossing {
	struct call call;
	struct weir_msg msg;
	uint64_t sent; /* bursts of the backend worker's before */
};

static void
crossing_there(struct weir_msg *msg)
{
	struct crossing *c = container_of(msg, struct crossing, msg);

	weir_role_assume_worker();
	while (stats_of(BACKEND).bursts_sent == c->sent)
		rte_pause();
	weir_fsdev_detach(&c->call.req, call_fenced);
}

static void
request_detached_when_its_answer_is_on_the_way_is_fenced_first(void **state)
{
	const uint64_t flushed = stats_of(HOME).bursts_sent;
	struct crossing c;
	struct hold hold;

	hold_begin(&hold, BACKEND);
	c.sent = stats_of(BACKEND).bursts_sent;
	c.msg.fn = crossing_there;
	call_init(&c.call, WEIR_FSOP_READ, 0, HOME, BACKEND);
	call_submit(&c.call);
	while (stats_of(HOME).bursts_sent == flushed)
		fsc_poll();
	weir_worker_send(weir_worker_at(HOME), &c.msg);
	hold_end(&hold, BACKEND);
	assert_int_equal(call_wait(&c.call), 5);
	assert_true(c.call.fenced);
	assert_int_equal(c.call.guest.touched, 1);
	assert_int_equal(atomic_load(&slow.detaches), 0);
}

static void
request_between_workers_holds_deletion_off(void **state)
{
	char message[512];
	struct hold hold;
	struct call call;

	hold_begin(&hold, BACKEND);
	call_init(&call, WEIR_FSOP_READ, UINT64_MAX, HOME, BACKEND);
	call_submit(&call);
	wait_round(HOME);
	assert_int_equal(delete_slow(message), -EBUSY);
	assert_non_null(strstr(message, "has not answered 1 requests"));
	hold_end(&hold, BACKEND);
	wait_for(&slow.runs[BACKEND], 1);
	assert_int_equal(delete_slow(message), -EBUSY);
	atomic_store(&slow.let_go, true);
	call_wait(&call);
}

static void
ring_that_is_full_loses_nothing(void **state)
{
	const unsigned int nb = 10000;
	struct call *calls = calloc(nb, sizeof(*calls));
	const uint64_t full = stats_of(HOME).full;
	struct call other;
	unsigned int i;
	struct hold hold;

	assert_non_null(calls);
	hold_begin(&hold, BACKEND);
	for (i = 0; i < nb; i++) {
		call_init(&calls[i], WEIR_FSOP_READ, 0, HOME, BACKEND);
		call_submit(&calls[i]);
	}
	while (stats_of(HOME).full == full)
		fsc_poll();
	/* Nobody else's requests wait behind it. */
	call_init(&other, WEIR_FSOP_READ, 0, HOME, 2);
	call_submit(&other);
	assert_int_equal(call_wait(&other), 5);
	hold_end(&hold, BACKEND);
	for (i = 0; i < nb; i++)
		assert_int_equal(call_wait(&calls[i]), 5);
	wait_round(HOME);
	free(calls);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, handoff_setup, handoff_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(roles_lead_to_backend_workers),
		TEST(request_runs_there_and_is_done_here),
		TEST(request_of_a_worker_that_is_both_is_not_handed_over),
		TEST(request_detached_on_its_way_there_never_runs),
		TEST(request_detached_in_the_driver_is_fenced_there),
		TEST(request_whose_fence_and_answer_come_together_is_fenced_first),
		TEST(request_detached_between_two_tries_ends_without_the_driver),
		TEST(request_detached_when_its_answer_is_on_the_way_is_fenced_first),
		TEST(request_between_workers_holds_deletion_off),
		TEST(ring_that_is_full_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return handoff_main(run);
}
