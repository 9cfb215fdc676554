/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Requests between workers: worker 0 submits, workers 1 and 2 have the channels; worker 3, which is
 * both, joins in at the end.
 */

#include <errno.h>
#include <sched.h>
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
#include <rte_pause.h>

#include "weir_fsdev_driver.h"
#include "weir_handoff.h"
#include "weir_rpc.h"

#include "fs_client.h"

#define HOME    0 /* frontend worker of most tests */
#define BACKEND 1

/* ---- a driver that answers at once, or in its own time ---- */

struct slow_ctx {
	TAILQ_ENTRY(slow_ctx) next;
	uint64_t rounds; /* until it is answered; UINT64_MAX: when told */
	void (*fenced)(struct weir_fsreq *req);
};

TAILQ_HEAD(slow_list, slow_ctx);

struct slow_chan {
	struct weir_poller poller;
	struct slow_list list;
};

static struct {
	_Atomic unsigned int runs[4]; /* verbs begun, by worker */
	_Atomic unsigned int detaches;
	_Atomic bool let_go; /* those that wait to be told may end */
	_Atomic bool fence_late; /* a detached request is fenced when it ends */
} slow;

/* What is in guest memory: written while the driver may, on the channel's worker. */
struct guest {
	unsigned int touched;
};

static struct guest *
guest_of(struct weir_fsreq *req)
{
	return (void *)(uintptr_t)req->name;
}

static void WEIR_ON_WORKER
slow_end(struct slow_chan *chan, struct slow_ctx *ctx)
{
	struct weir_fsreq *req = weir_fsreq_of(ctx);

	TAILQ_REMOVE(&chan->list, ctx, next);
	if (ctx->fenced != NULL)
		ctx->fenced(req);
	weir_fsreq_complete(req, 0);
}

static int
slow_poll(struct weir_poller *poller)
{
	struct slow_chan *chan = container_of(poller, struct slow_chan, poller);
	struct slow_ctx *ctx, *next;
	int nb = 0;

	weir_role_assume_worker();
	for (ctx = TAILQ_FIRST(&chan->list); ctx != NULL; ctx = next) {
		struct weir_fsreq *req = weir_fsreq_of(ctx);

		next = TAILQ_NEXT(ctx, next);
		if (!weir_fsreq_detached(req) || ctx->fenced != NULL)
			guest_of(req)->touched++;
		if (ctx->rounds == UINT64_MAX ? !atomic_load(&slow.let_go) : ctx->rounds-- > 0)
			continue;
		slow_end(chan, ctx);
		nb++;
	}
	return nb;
}

static bool
slow_arm(struct weir_poller *poller)
{
	struct slow_chan *chan = container_of(poller, struct slow_chan, poller);

	return !TAILQ_EMPTY(&chan->list);
}

static int WEIR_ON_WORKER
slow_chan_start(struct weir_channel *chan)
{
	struct slow_chan *priv = weir_channel_priv(chan);

	assert_true(weir_worker_is_backend(weir_worker_self()));
	TAILQ_INIT(&priv->list);
	priv->poller = (struct weir_poller){ .name = "slow", .poll = slow_poll, .arm = slow_arm };
	weir_poller_add(&priv->poller);
	return 0;
}

static void WEIR_ON_WORKER
slow_chan_stop(struct weir_channel *chan)
{
	struct slow_chan *priv = weir_channel_priv(chan);

	assert_true(TAILQ_EMPTY(&priv->list));
	weir_poller_del(&priv->poller);
}

static void WEIR_ON_WORKER
slow_begin(struct weir_channel *chan)
{
	assert_ptr_equal(weir_channel_worker(chan), weir_worker_self());
	atomic_fetch_add(&slow.runs[weir_worker_index(weir_worker_self())], 1);
}

/* in.io.off says in how many rounds. */
static int WEIR_ON_WORKER
slow_read(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct slow_chan *priv = weir_channel_priv(chan);
	struct slow_ctx *ctx = weir_fsreq_ctx(req);

	slow_begin(chan);
	guest_of(req)->touched++;
	if (req->in.io.off == 0)
		return (int)req->in.io.len;
	ctx->rounds = req->in.io.off;
	ctx->fenced = NULL;
	TAILQ_INSERT_TAIL(&priv->list, ctx, next);
	return -EINPROGRESS;
}

/* As many tries as in.io.off says, each in a round of its own. */
static int WEIR_ON_WORKER
slow_write(struct weir_channel *chan, struct weir_fsreq *req)
{
	slow_begin(chan);
	guest_of(req)->touched++;
	if (req->in.io.off-- == 0)
		return (int)req->in.io.len;
	weir_fsreq_retry(req, NULL);
	return -EINPROGRESS;
}

static int WEIR_ON_WORKER
slow_succeed(struct weir_channel *chan, struct weir_fsreq *req)
{
	return 0;
}

static void WEIR_ON_WORKER
slow_detach(struct weir_channel *chan, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req))
{
	struct slow_ctx *ctx = weir_fsreq_ctx(req);

	assert_ptr_equal(weir_channel_worker(chan), weir_worker_self());
	assert_true(weir_fsreq_detached(req));
	atomic_fetch_add(&slow.detaches, 1);
	if (atomic_load(&slow.fence_late))
		ctx->fenced = fenced;
	else
		fenced(req);
}

static void WEIR_ON_CONTROL
slow_create(struct weir_fsdev *dev, const void *params)
{
	const uint64_t key[2] = { 1 };

	assert_non_null(weir_fsdev_root_create(dev, key, S_IFDIR));
	weir_fsdev_created(dev, 0, NULL);
}

static void WEIR_ON_CONTROL
slow_destroy(struct weir_fsdev *dev)
{
}

static const struct weir_fsdev_ops slow_ops = {
	.create = slow_create,
	.destroy = slow_destroy,
	.chan_start = slow_chan_start,
	.chan_stop = slow_chan_stop,
	.detach = slow_detach,
	.op = {
		[WEIR_FSOP_READ] = slow_read,
		[WEIR_FSOP_WRITE] = slow_write,
		[WEIR_FSOP_FLUSH] = slow_succeed,
		[WEIR_FSOP_FSYNC] = slow_succeed,
	},
};

static struct weir_fsdev_driver slow_driver = {
	.name = "slow",
	.help = "answers in its own time",
	.ops = &slow_ops,
	.chan_priv_size = sizeof(struct slow_chan),
};
WEIR_FSDEV_REGISTER(slow_driver)

/* ---- its user ---- */

static struct weir_fsdev *slow_dev;

struct call {
	struct weir_fsreq req;
	struct weir_msg msg;
	struct guest guest;
	struct weir_worker *home;
	struct weir_channel *chan;

	/* The home worker's, until done. */
	bool fenced;
	unsigned int touched; /* when it was fenced */
	int res;
	unsigned int nb_done;
	_Atomic bool done;
	_Atomic bool is_fenced;
};

static void
call_done(struct weir_fsreq *req, int res)
{
	struct call *call = container_of(req, struct call, req);

	assert_ptr_equal(weir_worker_self(), call->home);
	assert_int_equal(++call->nb_done, 1);
	if (call->fenced)
		assert_int_equal(call->touched, call->guest.touched);
	call->res = res;
	atomic_store(&call->done, true);
}

static void
call_fenced(struct weir_fsreq *req)
{
	struct call *call = container_of(req, struct call, req);

	assert_ptr_equal(weir_worker_self(), call->home);
	assert_false(call->fenced);
	assert_int_equal(call->nb_done, 0);
	call->fenced = true;
	call->touched = call->guest.touched;
	atomic_store(&call->is_fenced, true);
}

static void
call_init(struct call *call, enum weir_fsop op, uint64_t off, unsigned int home,
		unsigned int backend)
{
	*call = (struct call){
		.home = weir_worker_at(home),
		.chan = weir_fsdev_channel_at(slow_dev, backend),
	};
	call->req.op = op;
	call->req.done = call_done;
	call->req.name = (void *)&call->guest;
	call->req.in.io.off = off;
	call->req.in.io.len = 5;
}

static void
call_submit_there(struct weir_msg *msg)
{
	struct call *call = container_of(msg, struct call, msg);

	weir_role_assume_worker();
	call->req.chan = call->chan;
	weir_fsdev_submit(&call->req);
}

static void
call_submit(struct call *call)
{
	call->msg.fn = call_submit_there;
	weir_worker_send(call->home, &call->msg);
}

static void
call_detach_there(void *arg)
{
	struct call *call = arg;

	weir_role_assume_worker();
	if (call->nb_done == 0)
		weir_fsdev_detach(&call->req, call_fenced);
}

static void
call_detach(struct call *call)
{
	weir_worker_sync(call->home, call_detach_there, call);
}

static int
call_wait(struct call *call)
{
	while (!atomic_load(&call->done))
		sched_yield();
	return call->res;
}

static void
wait_for(const _Atomic unsigned int *what, unsigned int nb)
{
	while (atomic_load(what) < nb)
		fsc_poll();
}

/* Keeps a worker from its rounds until it is let go. */
struct hold {
	struct weir_msg msg;
	_Atomic bool held, let_go;
};

static void
hold_there(struct weir_msg *msg)
{
	struct hold *hold = container_of(msg, struct hold, msg);

	atomic_store(&hold->held, true);
	while (!atomic_load(&hold->let_go))
		rte_pause();
}

static void
hold_begin(struct hold *hold, unsigned int worker)
{
	*hold = (struct hold){ .msg.fn = hold_there };
	weir_worker_send(weir_worker_at(worker), &hold->msg);
	while (!atomic_load(&hold->held))
		fsc_poll();
}

static void
nothing(void *arg)
{
}

static void
hold_end(struct hold *hold, unsigned int worker)
{
	atomic_store(&hold->let_go, true);
	weir_worker_sync(weir_worker_at(worker), nothing, NULL);
}

static struct weir_handoff_stats
stats_of(unsigned int worker)
{
	struct weir_handoff_stats stats;

	weir_handoff_stats_get(weir_worker_at(worker), &stats);
	return stats;
}

static int
delete_slow(char message[512])
{
	return fsc_rpc("fsdev_slow_delete", "{\"name\": \"s0\"}", message);
}

static int
setup(void **state)
{
	char message[512];

	memset(&slow, 0, sizeof(slow));
	assert_int_equal(fsc_rpc("fsdev_slow_create", "{\"name\": \"s0\"}", message), 0);
	weir_role_assume_control();
	slow_dev = weir_fsdev_find("s0");
	return 0;
}

static int
teardown(void **state)
{
	char message[512];

	assert_int_equal(delete_slow(message), 0);
	return 0;
}

/* ---- tests ---- */

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
	weir_worker_sync(weir_worker_at(BACKEND), nothing, NULL);
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
	weir_worker_sync(call.home, nothing, NULL);
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
	weir_worker_sync(weir_worker_at(HOME), nothing, NULL);
	free(calls);
}

/* ---- many at a time, detached at random ---- */

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
		weir_worker_sync(weir_worker_at(storms[i].home), nothing, NULL);
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
		weir_worker_sync(call.home, nothing, NULL);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
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
		TEST(storm_of_requests_and_detaches_ends_each_once),
		TEST(storm_with_late_fences_ends_each_once),
		TEST(sleeping_workers_are_woken),
	};
	const struct weir_handoff_cfg roles = {
		.frontend = { [HOME] = true, [3] = true },
		.backend = { [1] = true, [2] = true, [3] = true },
	};
	int rc;

	/* Four workers on the CPUs there are, which may be one. */
	if (fsc_start("0@0,1@0-1,2@0-1,3@0-1,4@0-1") < 0)
		return 77;
	weir_role_assume_control();
	if (weir_handoff_start(&roles) < 0)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	weir_role_assume_control();
	weir_handoff_stop();
	fsc_stop();
	return rc;
}
