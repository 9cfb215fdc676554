/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>

#include "device.h"

#define QUEUE_BURST 32
/* So many chains are served before a driver that polls may see the answers. */
#define QUEUE_PUBLISH 8
/* How soon a sleeping worker looks again whether a pool has a request for a chain. */
#define QUEUE_STARVED_MS 1
#define BROKEN_QUIET_NS  60000000000ULL
/*
 *   in the ring -pop-> inflight -complete-> used entry
 *                         |
 *                         '-detach-> gone -released-> pool
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

/* Turns a popped chain into a request and hands it on. @return 0, or -EAGAIN: nothing happened. */
static int WEIR_ON_WORKER
queue_serve(struct device_queue *q, const struct weir_chain *chain, const struct weir_seg *segs)
{
	struct devreq *req = devreq_get(
			weir_worker_socket(weir_worker_self()), chain->nb_in + chain->nb_out);
	struct weir_seg *mine;
	int rc;

	if (req == NULL)
		return -EAGAIN;
	mine = devreq_segs(req);
	memcpy(mine, segs, (chain->nb_in + chain->nb_out) * sizeof(*segs));
	req->queue = q;
	req->mapref = q->mapref;
	req->head = chain->head;
	weir_iov_init(&req->fuse.in, q->mapref->map, mine, chain->nb_in);
	weir_iov_init(&req->fuse.out, q->mapref->map, mine + chain->nb_in, chain->nb_out);
	req->fuse.route = &q->route;
	req->fuse.complete = queue_req_complete;
	req->fuse.released = queue_req_released;

	/* It may complete before submit returns, so it is accounted for first. */
	TAILQ_INSERT_TAIL(&q->inflight, req, next);
	q->nb_inflight++;
	q->mapref->nb_requests++;
	rc = weir_fuse_submit(q->dev->sess, &req->fuse);
	if (rc < 0) {
		TAILQ_REMOVE(&q->inflight, req, next);
		q->nb_inflight--;
		q->mapref->nb_requests--;
		devreq_put(req);
		return rc;
	}
	weir_counter_add(&q->counters.chains, 1);
	return 0;
}

static int WEIR_ON_WORKER
queue_poll(struct weir_poller *poller)
{
	struct device_queue *q = container_of(poller, struct device_queue, poller);
	struct weir_seg segs[WEIR_VQ_MAX_CHAIN];
	struct weir_chain chain;
	int done = 0;

	q->starved = false;
	while (done < QUEUE_BURST && q->nb_inflight < q->limit) {
		int rc = weir_vq_pop(&q->vq, &chain, segs, RTE_DIM(segs));

		if (rc == 0)
			break;
		if (rc == -EPROTO) {
			queue_broken(q);
			break;
		}
		done++;
		if (done % QUEUE_PUBLISH == 0)
			weir_vq_publish(&q->vq);
		if (rc == -ENOBUFS) {
			weir_counter_add(&q->counters.overlong, 1);
			weir_vq_push(&q->vq, chain.head, 0);
			continue;
		}
		if (queue_serve(q, &chain, segs) < 0) {
			weir_counter_add(&q->counters.no_request, 1);
			weir_vq_unpop(&q->vq);
			q->starved = true;
			done--;
			break;
		}
	}
	queue_signal(q);
	return done;
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
