/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "device.h"

#define QUEUE_BURST 32
/*
 * So many chains are taken before the first of them is served, so that the lines of their requests
 * come from the driver's CPU all at once, and published together for a driver that polls.
 */
#define QUEUE_BATCH 8u
/* How soon a sleeping worker looks again whether a pool has a request for a chain. */
#define QUEUE_STARVED_MS 1
#define BROKEN_QUIET_NS  60000000000ULL
/*
 *   in the ring -pop-> batch -submit-> inflight -complete-> used entry
 *        ^---- unpop ----'                |
 *                                         '-detach-> gone -released-> pool
 *
 * A batch does not outlive the call that makes it.
 */

static void WEIR_ON_WORKER
queue_signal(struct device_queue *q)
{
	if (!weir_vq_flush(&q->vq))
		return;
	weir_counter_add(&q->counters.interrupts, 1);
	weir_trace(queue_interrupt, q->dev->name, q->index);
	q->dev->tport->driver->ops->vq_call(q->tdev, q->index);
}

/* The ring comes to rest for the transport that waits: everything is answered or fenced off. */
static void WEIR_ON_WORKER
queue_rest(struct device_queue *q)
{
	struct queue_waiter *waiter = q->waiter;

	if (waiter == NULL || q->nb_inflight > 0 || q->nb_fencing > 0)
		return;
	q->waiter = NULL;
	weir_vq_stop(&q->vq, &waiter->base);
	q->up = false;
	device_place_remove(q);
	mapref_retire(q->mapref);
	q->mapref = NULL;
	sem_post(&waiter->rest);
}

static void WEIR_ON_WORKER
queue_req_complete(struct weir_fuse_req *fuse, uint32_t bytes)
{
	struct devreq *req = container_of(fuse, struct devreq, fuse);
	struct device_queue *q = req->queue;

	TAILQ_REMOVE(&q->inflight, req, next);
	q->nb_inflight--;
	weir_vq_push(&q->vq, req->head, bytes);
	weir_counter_add(&q->counters.used, 1);
	mapref_release(req->mapref);
	devreq_put(req);
	/* A queue that is polled signals once a round. */
	if (q->polled) {
		weir_poller_wake(&q->poller);
	} else {
		queue_signal(q);
		queue_rest(q);
		device_queue_leave(q);
	}
}

static void WEIR_ON_WORKER
queue_req_released(struct weir_fuse_req *fuse)
{
	struct devreq *req = container_of(fuse, struct devreq, fuse);
	struct device_queue *q = req->queue;
	struct weir_worker_call *quiet = q->quiet;

	TAILQ_REMOVE(&q->gone, req, next);
	q->nb_detached--;
	weir_counter_add(&q->counters.released, 1);
	devreq_put(req);
	if (quiet != NULL && q->nb_detached == 0) {
		q->quiet = NULL;
		weir_loop_post(&quiet->post);
	}
}

/* Guest memory is touched no more for this request, whatever becomes of it. */
static void WEIR_ON_WORKER
queue_req_fenced(struct weir_fuse_req *fuse)
{
	struct devreq *req = container_of(fuse, struct devreq, fuse);
	struct device_queue *q = req->queue;

	mapref_release(req->mapref);
	q->nb_fencing--;
	queue_rest(q);
}

void WEIR_ON_WORKER
device_queue_hurry(struct device_queue *q)
{
	struct devreq *req;

	TAILQ_FOREACH(req, &q->inflight, next)
		weir_fuse_interrupt(&req->fuse);
}

static void WEIR_ON_WORKER
queue_detach_all(struct device_queue *q)
{
	struct devreq *req;

	while ((req = TAILQ_FIRST(&q->inflight)) != NULL) {
		TAILQ_REMOVE(&q->inflight, req, next);
		q->nb_inflight--;
		TAILQ_INSERT_TAIL(&q->gone, req, next);
		q->nb_detached++;
		q->nb_fencing++;
		weir_counter_add(&q->counters.detached, 1);
		weir_fuse_detach(&req->fuse, queue_req_fenced);
	}
}

/* A broken ring needs a reset by its guest. A guest that breaks rings on purpose fills no log. */
static void WEIR_ON_CONTROL
queue_report_broken(struct weir_post *post)
{
	struct device_queue *q = container_of(post, struct device_queue, broken_post);
	uint64_t now = weir_now_ns();

	if (now >= q->dev->broken_quiet_until_ns) {
		q->dev->broken_quiet_until_ns = now + BROKEN_QUIET_NS;
		weir_log(device, WARNING,
				"%s: queue %u is broken (%s) and is served again after a reset; further "
				"ones within a minute are only counted",
				q->dev->name, q->index,
				weir_vq_error_name((enum weir_vq_error)atomic_load(&q->error)));
	}
	atomic_store(&q->broken_posted, false);
}

static void WEIR_ON_WORKER
queue_broken(struct device_queue *q)
{
	weir_counter_add(&q->counters.broken, 1);
	weir_trace(queue_broken, q->dev->name, q->index, q->vq.error);
	atomic_store(&q->error, (uint32_t)q->vq.error);
	if (atomic_exchange(&q->broken_posted, true))
		return;
	q->broken_post.fn = queue_report_broken;
	weir_loop_post(&q->broken_post);
}

/* What the request will read of guest memory, and where its answer begins. */
static void WEIR_ON_WORKER
queue_prefetch(const struct weir_memmap *map, const struct weir_seg *segs,
		const struct weir_chain *chain)
{
	uint32_t i, nb = chain->nb_in + chain->nb_out;

	for (i = 0; i < RTE_MIN(chain->nb_in, 2u); i++)
		rte_prefetch0(weir_memmap_addr(map, &segs[i]));
	for (i = chain->nb_in; i < RTE_MIN(nb, chain->nb_in + 2); i++)
		rte_prefetch0_write(weir_memmap_addr(map, &segs[i]));
}

/* The chain stays in the ring until there is a request for it. */
static int WEIR_ON_WORKER
queue_starve(struct device_queue *q)
{
	weir_counter_add(&q->counters.no_request, 1);
	q->starved = true;
	return -EAGAIN;
}

/* A chain has more segments than a request has room for. @return as queue_pop(). */
static int WEIR_ON_WORKER
queue_pop_big(struct device_queue *q, struct devreq *req, struct weir_chain *chain)
{
	weir_vq_unpop(&q->vq, chain->head);
	if (!devreq_grow(req, weir_worker_socket(weir_worker_self())))
		return queue_starve(q);
	return weir_vq_pop(&q->vq, chain, req->big, WEIR_VQ_MAX_CHAIN);
}

/* Takes the next chain. @return as weir_vq_pop(), and -EAGAIN: it waits in the ring. */
static int WEIR_ON_WORKER
queue_pop(struct device_queue *q, struct devreq *req)
{
	const struct weir_memmap *map = q->mapref->map;
	struct weir_chain chain;
	struct weir_seg *segs;
	int rc;

	rc = weir_vq_pop(&q->vq, &chain, req->segs, DEVREQ_SEGS);
	if (unlikely(rc == -ENOBUFS))
		rc = queue_pop_big(q, req, &chain);
	if (rc == 1 || rc == -ENOBUFS)
		req->head = chain.head;
	if (rc != 1)
		return rc;
	segs = devreq_segs(req);
	queue_prefetch(map, segs, &chain);
	weir_iov_set(&req->fuse.in, map, segs, chain.nb_in, chain.in_bytes);
	weir_iov_set(&req->fuse.out, map, segs + chain.nb_in, chain.nb_out, chain.out_bytes);
	return 1;
}

/*
 * Takes up to max chains. One that is longer than any driver sends is answered here, but only in
 * front of the others: what is given back to the ring must be what was taken last.
 * @return how many; *done becomes 1 if one was answered.
 */
static unsigned int WEIR_ON_WORKER
queue_take(struct device_queue *q, struct devreq *batch[QUEUE_BATCH], unsigned int max, int *done)
{
	int socket = weir_worker_socket(weir_worker_self());
	uint64_t now = rte_rdtsc();
	unsigned int nb = 0;
	int rc;

	for (max = weir_vq_look(&q->vq, max); nb < max; nb++) {
		batch[nb] = devreq_get(socket);
		if (batch[nb] == NULL) {
			queue_starve(q);
			break;
		}
		rc = queue_pop(q, batch[nb]);
		if (likely(rc == 1)) {
			batch[nb]->fuse.start_tsc = now;
			continue;
		}
		if (rc == -EPROTO)
			queue_broken(q);
		if (rc == -ENOBUFS && nb > 0) {
			weir_vq_unpop(&q->vq, batch[nb]->head);
		} else if (rc == -ENOBUFS) {
			weir_counter_add(&q->counters.overlong, 1);
			weir_vq_push(&q->vq, batch[nb]->head, 0);
			*done = 1;
		}
		devreq_put(batch[nb]);
		break;
	}
	return nb;
}

/* @return 0, or -EAGAIN: nothing happened. */
static int WEIR_ON_WORKER
queue_serve(struct device_queue *q, struct devreq *req)
{
	int rc;

	req->queue = q;
	req->mapref = q->mapref;
	req->fuse.route = &q->route;
	req->fuse.complete = queue_req_complete;
	req->fuse.released = queue_req_released;

	/* It may complete before submit returns, so it is accounted for first. */
	TAILQ_INSERT_TAIL(&q->inflight, req, next);
	q->nb_inflight++;
	q->mapref->nb_requests++;
	rc = weir_fuse_submit(q->dev->sess, &req->fuse);
	if (unlikely(rc < 0)) {
		TAILQ_REMOVE(&q->inflight, req, next);
		q->nb_inflight--;
		q->mapref->nb_requests--;
	}
	return rc;
}

/* Takes and serves up to max chains. @return how many. */
static unsigned int WEIR_ON_WORKER
queue_batch(struct device_queue *q, unsigned int max)
{
	struct devreq *batch[QUEUE_BATCH];
	unsigned int i, nb;
	int overlong = 0;

	nb = queue_take(q, batch, max, &overlong);
	for (i = 0; i < nb && queue_serve(q, batch[i]) == 0; i++)
		;
	weir_counter_add(&q->counters.chains, i);
	if (unlikely(i < nb)) {
		queue_starve(q);
		while (nb-- > i) {
			weir_vq_unpop(&q->vq, batch[nb]->head);
			devreq_put(batch[nb]);
		}
	}
	return i + overlong;
}

static int WEIR_ON_WORKER
queue_poll(struct weir_poller *poller)
{
	struct device_queue *q = container_of(poller, struct device_queue, poller);
	unsigned int nb, done = 0;

	q->starved = false;
	while (done < QUEUE_BURST && q->nb_inflight < q->limit && !q->starved) {
		nb = queue_batch(q, RTE_MIN(q->limit - q->nb_inflight, QUEUE_BATCH));
		if (nb == 0)
			break;
		done += nb;
		weir_vq_publish(&q->vq);
	}
	queue_signal(q);
	return (int)done;
}

/*
 * Chains that wait in the ring for a request are no reason to stay awake: they would keep the worker
 * spinning for as long as a backend hangs. The end of one of the queue's own requests wakes it; what
 * others give back to a pool does not, so then it looks again after a while.
 */
static bool WEIR_ON_WORKER
queue_arm(struct weir_poller *poller)
{
	struct device_queue *q = container_of(poller, struct device_queue, poller);

	poller->wake_tsc = 0;
	if (q->vq.error != WEIR_VQ_OK || q->nb_inflight >= q->limit)
		return false;
	if (q->starved) {
		poller->wake_tsc = rte_rdtsc() + rte_get_tsc_hz() / MS_PER_S * QUEUE_STARVED_MS;
		return false;
	}
	return weir_vq_arm(&q->vq) || q->kickfd < 0;
}

static void WEIR_ON_WORKER
queue_disarm(struct weir_poller *poller)
{
	struct device_queue *q = container_of(poller, struct device_queue, poller);

	weir_vq_disarm(&q->vq);
}

/* What it waits for must be nothing but the next entry of its ring. */
static bool WEIR_ON_WORKER
queue_monitor(struct weir_poller *poller, struct rte_power_monitor_cond *cond)
{
	struct device_queue *q = container_of(poller, struct device_queue, poller);

	if (q->starved || q->nb_inflight > 0 || q->vq.error != WEIR_VQ_OK)
		return false;
	weir_vq_monitor(&q->vq, cond);
	return true;
}

void
device_queue_init(struct device_queue *q, struct device *dev, uint16_t index, uint32_t turn)
{
	q->dev = dev;
	q->index = index;
	q->turn = turn;
	atomic_store(&q->worker, weir_frontend_at(turn % weir_frontends_count()));
	atomic_store(&q->holder, atomic_load(&q->worker));
	atomic_store(&q->node, DEVICE_NO_NODE);
	q->poller.name = dev->name;
	q->poller.poll = queue_poll;
	q->poller.arm = queue_arm;
	q->poller.disarm = queue_disarm;
	q->poller.monitor = queue_monitor;
	q->poller.parks = true;
	q->limit = devreq_queue_limit();
	q->kickfd = -1;
	TAILQ_INIT(&q->inflight);
	TAILQ_INIT(&q->gone);
}

/* Brings the poller in line with up and paused. A ring without kick descriptor is only polled. */
static void WEIR_ON_WORKER
queue_update(struct device_queue *q)
{
	bool want = q->up && q->waiter == NULL && q->paused == 0;

	if (want == q->polled)
		return;
	q->polled = want;
	if (want) {
		weir_poller_add(&q->poller);
		return;
	}
	weir_poller_del(&q->poller);
	queue_signal(q);
}

struct queue_start {
	struct device_queue *q;
	const struct weir_vq_start *start;
	struct mapref *mapref;
	int rc;
};

static void WEIR_ON_WORKER
queue_up_run(void *arg)
{
	struct queue_start *s = arg;
	struct device_queue *q = s->q;

	if (q->up) {
		s->rc = -EALREADY;
		return;
	}
	if (s->start->kickfd >= 0) {
		s->rc = weir_worker_fd_add(s->start->kickfd, &q->poller);
		if (s->rc < 0)
			return;
	}
	s->rc = weir_vq_start(&q->vq, s->mapref->map, &s->start->ring);
	if (s->rc < 0) {
		weir_worker_fd_del(s->start->kickfd);
		return;
	}
	q->kickfd = s->start->kickfd;
	q->starved = false;
	q->tdev = s->start->tdev;
	q->ring = s->start->ring;
	q->mapref = s->mapref;
	device_queue_route(q);
	q->up = true;
	/* One of them may take three entries of the ring. */
	weir_fuse_session_waiters_set(
			q->dev->sess, devreq_waiters(RTE_MIN(q->ring.size, q->limit)));
	device_place_add(q);
	atomic_store(&q->error, WEIR_VQ_OK);
	queue_update(q);
}

int
device_queue_up(struct device_queue *q, const struct weir_vq_start *start)
{
	struct queue_start s = { .q = q, .start = start, .mapref = mapref_new(start->map) };

	if (s.mapref == NULL)
		return -ENOMEM;
	device_queue_place(q, start);
	device_queue_sync(q, queue_up_run, &s);
	if (s.rc < 0) {
		weir_memmap_put(s.mapref->map);
		free(s.mapref);
	}
	return s.rc;
}

struct queue_stop {
	struct device_queue *q;
	struct queue_waiter waiter;
	bool was_up;
};

static void WEIR_ON_WORKER
queue_down_run(void *arg)
{
	struct queue_stop *s = arg;
	struct device_queue *q = s->q;

	s->was_up = q->up;
	if (!q->up)
		return;
	if (q->kickfd >= 0)
		weir_worker_fd_del(q->kickfd);
	q->kickfd = -1;
	q->waiter = &s->waiter;
	queue_update(q);
	device_queue_hurry(q);
	queue_rest(q);
	device_queue_leave(q);
}

static void WEIR_ON_WORKER
queue_down_detach(void *arg)
{
	struct queue_stop *s = arg;

	/* It may have come to rest meanwhile. */
	if (s->q->waiter == NULL)
		return;
	queue_detach_all(s->q);
	queue_rest(s->q);
	device_queue_leave(s->q);
}

void
device_queue_down(struct device_queue *q, uint64_t grace_until_ns, struct weir_vring_base *base)
{
	struct timespec until = { .tv_sec = grace_until_ns / NS_PER_S,
		.tv_nsec = grace_until_ns % NS_PER_S };
	struct queue_stop s = { .q = q };

	sem_init(&s.waiter.rest, 0, 0);
	device_queue_sync(q, queue_down_run, &s);
	if (s.was_up && sem_clockwait(&s.waiter.rest, CLOCK_MONOTONIC, &until) < 0) {
		device_queue_sync(q, queue_down_detach, &s);
		while (sem_wait(&s.waiter.rest) < 0)
			;
	}
	sem_destroy(&s.waiter.rest);
	*base = s.waiter.base;
}

struct queue_remap {
	struct device_queue *q;
	struct mapref *mapref;
	int rc;
};

/* The ring goes on where it stands, through the new map; requests finish through their own. */
static void WEIR_ON_WORKER
queue_remap_run(void *arg)
{
	struct queue_remap *s = arg;
	struct device_queue *q = s->q;
	struct mapref *old = q->mapref;

	if (!q->up) {
		s->rc = -ENOENT;
		return;
	}
	/* The new ring is not armed. */
	weir_poller_wake(&q->poller);
	queue_signal(q);
	/* After an error it goes on under the old map: the guest must not lose its answers. */
	s->rc = weir_vq_remap(&q->vq, s->mapref->map, &q->ring);
	if (s->rc < 0)
		return;
	q->mapref = s->mapref;
	mapref_retire(old);
}

int
device_queue_remap(struct device_queue *q, struct weir_memmap *map)
{
	struct queue_remap s = { .q = q, .mapref = mapref_new(map) };

	if (s.mapref == NULL)
		return -ENOMEM;
	device_queue_sync(q, queue_remap_run, &s);
	if (s.rc < 0) {
		weir_memmap_put(s.mapref->map);
		free(s.mapref);
	}
	return s.rc == -ENOENT ? 0 : s.rc;
}

void
device_queue_route(struct device_queue *q)
{
	device_plan_route(q->dev->plan, q->turn, weir_worker_self(), &q->route);
}

void
device_queue_pause(struct device_queue *q, uint32_t set, uint32_t clear)
{
	q->paused = (q->paused | set) & ~clear;
	queue_update(q);
}

void
device_queue_quiet(struct device_queue *q, struct weir_worker_call *call)
{
	if (q->nb_detached == 0)
		weir_loop_post(&call->post);
	else
		q->quiet = call;
}
