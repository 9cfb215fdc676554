/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The way of a request whose channel is on another worker:
 *
 *   submitter                                backend worker
 *   handoff_submit: staged --requests ring--> AWAY -> RUNNING: the driver's
 *   fsreq_finish: done <---answers ring--- staged <- DONE: handoff_answer
 *
 * Staged are lists in the sender, one for each ring it sends to, flushed in bursts at the ends of
 * its turn: so a ring that is full costs order nor memory. place is written on the backend worker
 * alone once the request is away.
 *
 * Detaching takes a message to the backend worker and one back, on the request's own msg, whatever
 * became of the request meanwhile: the message may arrive before the request (then it will not be
 * run), while the driver has it (then the driver fences) or when the answer is on its way. The
 * submitter holds an answer back that overtakes the message, for until that is back the backend
 * worker may still look at the request.
 */

#include <errno.h>
#include <stdio.h>

#include <rte_common.h>
#include <rte_debug.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_power_intrinsics.h>
#include <rte_prefetch.h>
#include <rte_ring.h>

#include "weir_stats.h"
#include "weir_trace.h"

#include "fsdev.h"
#include "handoff.h"

#define HANDOFF_RING_SIZE 4096
#define HANDOFF_BURST     32

enum handoff_place {
	HANDOFF_AWAY, /* not arrived yet */
	HANDOFF_RUNNING,
	HANDOFF_DONE,
};

/* What is to go into one ring of another worker. */
struct handoff_out {
	struct weir_fsreq *head, **tail; /* chained by link */
	struct rte_ring *ring;
	struct weir_worker *peer;
	struct handoff_out *next; /* of those that are not empty */
};

struct handoff {
	/* Set by control before any request, read by all. */
	struct rte_ring *requests, *answers;
	struct rte_ring *only; /* the one that is ever used; NULL: both are */

	/* The worker's. */
	struct weir_msg enable __rte_cache_aligned;
	struct weir_poller poller;
	bool enabled;
	struct handoff_out *busy, **busy_tail;
	struct handoff_out to_backend[WEIR_MAX_WORKERS], to_home[WEIR_MAX_WORKERS];

	/* Written by the worker, read by anybody. */
	weir_counter requests_sent __rte_cache_aligned;
	weir_counter requests_received, answers_sent, answers_received;
	weir_counter bursts_sent, bursts_received, full;
};

static struct handoff *handoffs[WEIR_MAX_WORKERS];
static bool handoffs_enabled; /* control's */

static struct handoff *WEIR_ON_WORKER
handoff_self(void)
{
	return handoffs[weir_worker_index(weir_worker_self())];
}

static void WEIR_ON_WORKER
out_add(struct handoff *h, struct handoff_out *out, struct weir_fsreq *req)
{
	req->link = NULL;
	if (out->head == NULL) {
		out->next = NULL;
		*h->busy_tail = out;
		h->busy_tail = &out->next;
	}
	*out->tail = req;
	out->tail = &req->link;
}

/* @return how many went. Those are no longer ours: their links are read before. */
static unsigned int WEIR_ON_WORKER
out_flush(struct handoff *h, struct handoff_out *out)
{
	void *burst[HANDOFF_BURST];
	struct weir_fsreq *req;
	unsigned int n, sent, all = 0;

	do {
		req = out->head;
		for (n = 0; n < RTE_DIM(burst) && req != NULL; req = req->link)
			burst[n++] = req;
		sent = rte_ring_enqueue_burst(out->ring, burst, n, NULL);
		out->head = sent < n ? burst[sent] : req;
		all += sent;
		weir_counter_add(&h->bursts_sent, sent > 0);
		weir_counter_add(&h->full, sent < n);
	} while (sent == n && out->head != NULL);
	if (out->head == NULL)
		out->tail = &out->head;
	if (all > 0) {
		weir_trace(handoff_send, out->ring->name, all);
		weir_worker_wake(out->peer);
	}
	return all;
}

/* What finds no room waits for the next round, before what comes until then. */
static int WEIR_ON_WORKER
handoff_flush(struct handoff *h)
{
	struct handoff_out *out = h->busy, *next;
	unsigned int all = 0;

	h->busy = NULL;
	h->busy_tail = &h->busy;
	for (; out != NULL; out = next) {
		next = out->next;
		all += out_flush(h, out);
		if (out->head == NULL)
			continue;
		out->next = NULL;
		*h->busy_tail = out;
		h->busy_tail = &out->next;
	}
	return (int)all;
}

static unsigned int WEIR_ON_WORKER
handoff_take(struct handoff *h, struct rte_ring *ring, void *burst[HANDOFF_BURST])
{
	unsigned int n = rte_ring_dequeue_burst(ring, burst, HANDOFF_BURST, NULL);

	for (unsigned int i = 0; i < n; i++)
		rte_prefetch0(burst[i]);
	weir_counter_add(&h->bursts_received, n > 0);
	if (n > 0)
		weir_trace(handoff_take, ring->name, n);
	return n;
}

static int WEIR_ON_WORKER
handoff_take_requests(struct handoff *h)
{
	void *burst[HANDOFF_BURST];
	unsigned int n = handoff_take(h, h->requests, burst);

	for (unsigned int i = 0; i < n; i++) {
		struct weir_fsreq *req = burst[i];

		req->handoff.place = HANDOFF_RUNNING;
		fsreq_run(req);
	}
	weir_counter_add(&h->requests_received, n);
	return (int)n;
}

static int WEIR_ON_WORKER
handoff_take_answers(struct handoff *h)
{
	void *burst[HANDOFF_BURST];
	unsigned int n = handoff_take(h, h->answers, burst);

	for (unsigned int i = 0; i < n; i++) {
		struct weir_fsreq *req = burst[i];

		if (req->handoff.detaching)
			req->handoff.answered = true;
		else
			fsreq_finish(req, req->handoff.res);
	}
	weir_counter_add(&h->answers_received, n);
	return (int)n;
}

/* Requests that the queues of the last round brought go first; answers of this turn go at its end. */
static int
handoff_poll(struct weir_poller *poller)
{
	struct handoff *h = container_of(poller, struct handoff, poller);
	int work = 0;

	weir_role_assume_worker();
	if (h->busy != NULL)
		work += handoff_flush(h);
	work += handoff_take_answers(h);
	work += handoff_take_requests(h);
	if (h->busy != NULL)
		work += handoff_flush(h);
	return work;
}

/* A sender fills a ring before it looks whether we sleep, see weir_worker_wake(). */
static bool
handoff_arm(struct weir_poller *poller)
{
	struct handoff *h = container_of(poller, struct handoff, poller);

	return h->busy != NULL || !rte_ring_empty(h->requests) || !rte_ring_empty(h->answers);
}

static int
ring_has_grown(const uint64_t tail, const uint64_t opaque[RTE_POWER_MONITOR_OPAQUE_SZ])
{
	return tail != opaque[0] ? -1 : 0;
}

/* A CPU can wait for one ring at a time. */
static bool
handoff_monitor(struct weir_poller *poller, struct rte_power_monitor_cond *cond)
{
	struct handoff *h = container_of(poller, struct handoff, poller);

	if (h->only == NULL || h->busy != NULL)
		return false;
	*cond = (struct rte_power_monitor_cond){
		.addr = &h->only->prod.tail,
		.size = sizeof(h->only->prod.tail),
		.fn = ring_has_grown,
		.opaque[0] = h->only->cons.tail,
	};
	return true;
}

void WEIR_ON_WORKER
handoff_submit(struct weir_fsreq *req)
{
	struct handoff *h = handoff_self();
	unsigned int self = weir_worker_index(weir_worker_self());

	req->handoff.home = (uint16_t)(self + 1);
	req->handoff.place = HANDOFF_AWAY;
	req->handoff.detaching = false;
	req->handoff.answered = false;
	out_add(h, &h->to_backend[req->chan->worker], req);
	weir_counter_add(&h->requests_sent, 1);
}

void WEIR_ON_WORKER
handoff_answer(struct weir_fsreq *req, int res)
{
	struct handoff *h = handoff_self();

	req->handoff.place = HANDOFF_DONE;
	req->handoff.res = res;
	out_add(h, &h->to_home[req->handoff.home - 1], req);
	weir_counter_add(&h->answers_sent, 1);
}

/* On the submitter again. Its answer may have come before. */
static void
handoff_fenced(struct weir_msg *msg)
{
	struct weir_fsreq *req = container_of(msg, struct weir_fsreq, handoff.msg);
	bool answered = req->handoff.answered;

	weir_role_assume_worker();
	req->handoff.detaching = false;
	req->handoff.fenced(req);
	if (answered)
		fsreq_finish(req, req->handoff.res);
}

static void WEIR_ON_WORKER
handoff_fence(struct weir_fsreq *req)
{
	req->handoff.msg.fn = handoff_fenced;
	weir_worker_send(weir_worker_at(req->handoff.home - 1u), &req->handoff.msg);
}

/* On the channel's worker. */
static void
handoff_detach_there(struct weir_msg *msg)
{
	struct weir_fsreq *req = container_of(msg, struct weir_fsreq, handoff.msg);

	weir_role_assume_worker();
	if (req->handoff.place == HANDOFF_RUNNING) {
		fsreq_detach(req, handoff_fence);
		return;
	}
	req->flags |= WEIR_FSREQ_DETACHED;
	handoff_fence(req);
}

void WEIR_ON_WORKER
handoff_detach(struct weir_fsreq *req, void (*fenced)(struct weir_fsreq *req))
{
	req->handoff.fenced = fenced;
	req->handoff.detaching = true;
	req->handoff.msg.fn = handoff_detach_there;
	weir_worker_send(weir_channel_worker(req->chan), &req->handoff.msg);
}

/*
 * Relaxed tail: senders are workers that can be preempted in the middle of an enqueue, and no other
 * one may have to wait until they run again.
 */
static struct rte_ring *WEIR_ON_CONTROL
handoff_ring(const char *what, const struct weir_worker *worker)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "weir_%s_%u", what, weir_worker_index(worker));
	return rte_ring_create(name, HANDOFF_RING_SIZE, weir_worker_socket(worker),
			RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
}

static void
handoff_enable(struct weir_msg *msg)
{
	struct handoff *h = container_of(msg, struct handoff, enable);

	weir_role_assume_worker();
	h->enabled = true;
	weir_poller_add(&h->poller);
}

static int WEIR_ON_CONTROL
handoff_new(unsigned int index)
{
	const struct weir_worker *worker = weir_worker_at(index);
	struct handoff *h;

	h = rte_zmalloc_socket(NULL, sizeof(*h), RTE_CACHE_LINE_SIZE, weir_worker_socket(worker));
	if (h == NULL)
		return -ENOMEM;
	handoffs[index] = h;
	h->busy_tail = &h->busy;
	h->enable.fn = handoff_enable;
	h->poller.name = "handoff";
	h->poller.poll = handoff_poll;
	h->poller.arm = handoff_arm;
	h->poller.monitor = handoff_monitor;
	h->requests = handoff_ring("requests", worker);
	h->answers = handoff_ring("answers", worker);
	if (h->requests == NULL || h->answers == NULL)
		return -rte_errno;
	if (!weir_worker_is_frontend(worker))
		h->only = h->requests;
	else if (!weir_worker_is_backend(worker))
		h->only = h->answers;
	return 0;
}

static void
out_init(struct handoff_out *out, struct rte_ring *ring, struct weir_worker *peer)
{
	out->tail = &out->head;
	out->ring = ring;
	out->peer = peer;
}

static void
handoff_disable(void *arg)
{
	struct handoff *h = arg;

	weir_role_assume_worker();
	if (h->enabled)
		weir_poller_del(&h->poller);
}

/* What comes to a worker before the message waits in its rings, or with it. */
void WEIR_ON_CONTROL
weir_handoff_enable(void)
{
	if (handoffs_enabled)
		return;
	handoffs_enabled = true;
	for (unsigned int i = 0; i < weir_workers_count(); i++)
		weir_worker_send(weir_worker_at(i), &handoffs[i]->enable);
}

static void WEIR_ON_CONTROL
handoffs_free(void)
{
	for (unsigned int i = 0; i < weir_workers_count(); i++) {
		if (handoffs[i] == NULL)
			continue;
		rte_ring_free(handoffs[i]->requests);
		rte_ring_free(handoffs[i]->answers);
		rte_free(handoffs[i]);
		handoffs[i] = NULL;
	}
	roles_clear();
}

int WEIR_ON_CONTROL
weir_handoff_start(const struct weir_handoff_cfg *cfg)
{
	unsigned int i, j, nb = weir_workers_count();
	int rc = roles_set(cfg);

	if (rc < 0)
		return rc;
	for (i = 0; i < nb && rc == 0; i++)
		rc = handoff_new(i);
	if (rc < 0) {
		handoffs_free();
		return rc;
	}
	for (i = 0; i < nb; i++) {
		for (j = 0; j < nb; j++) {
			out_init(&handoffs[i]->to_backend[j], handoffs[j]->requests,
					weir_worker_at(j));
			out_init(&handoffs[i]->to_home[j], handoffs[j]->answers, weir_worker_at(j));
		}
	}
	/* Where each worker is both, nothing need ever be handed over. */
	if (weir_frontends_count() < nb || weir_backends_count() < nb)
		weir_handoff_enable();
	return 0;
}

void WEIR_ON_CONTROL
weir_handoff_stop(void)
{
	for (unsigned int i = 0; i < weir_workers_count(); i++)
		weir_worker_sync(weir_worker_at(i), handoff_disable, handoffs[i]);
	handoffs_free();
	handoffs_enabled = false;
}

void
weir_handoff_stats_get(const struct weir_worker *worker, struct weir_handoff_stats *out)
{
	const struct handoff *h = handoffs[weir_worker_index(worker)];

	*out = (struct weir_handoff_stats){ 0 };
	if (h == NULL)
		return;
	out->requests_sent = weir_counter_get(&h->requests_sent);
	out->requests_received = weir_counter_get(&h->requests_received);
	out->answers_sent = weir_counter_get(&h->answers_sent);
	out->answers_received = weir_counter_get(&h->answers_received);
	out->bursts_sent = weir_counter_get(&h->bursts_sent);
	out->bursts_received = weir_counter_get(&h->bursts_received);
	out->full = weir_counter_get(&h->full);
}
