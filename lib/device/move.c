/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * A queue goes to another worker while its guest uses it:
 *
 *   control        old worker                       new worker
 *   move_start --> move_begin: not polled any more
 *                  device_queue_leave: nothing of it is in a backend: kicks unwatched --> move_arrive
 *   move_ended <-------------------------------------------------------------------- polled
 *
 * Chains that come meanwhile wait in the ring. Where a backend keeps a request for too long, control
 * cancels: the queue goes on where it is.
 *
 * Whoever has a message for a queue sends it to q->worker. There it waits for the queue, should that
 * still be on its way, and a worker that has given the queue away passes the message on.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

/* How long a backend may take to answer what it has of a queue. */
#define MOVE_PATIENCE_MS 5000

/* Control's, but for what the workers fill in before they send it back. */
struct queue_move {
	struct weir_rpc_call *rpc;
	struct device_queue *q;
	struct weir_worker *to;
	struct weir_timer patience;
	unsigned int nb_out; /* messages that have not come back */
	struct weir_msg msg;
	struct weir_post post;
	struct weir_msg cancel;
	struct weir_post cancel_post;

	/* The workers'. */
	int rc;
	bool unwatched; /* the new worker cannot watch the kicks */
	uint32_t stuck[WEIR_NB_FSOPS]; /* what keeps the queue, by verb */
};

bool
device_queue_passed_on(struct device_queue *q, struct weir_msg *msg)
{
	if (atomic_load(&q->holder) == weir_worker_self())
		return false;
	weir_worker_send(atomic_load(&q->worker), msg);
	return true;
}

/* Once the message is sent, or holder written, the queue is no more to be touched here. */
void
device_queue_give(struct device_queue *q, struct weir_worker *to, struct weir_msg *msg)
{
	atomic_store(&q->holder, NULL);
	atomic_store(&q->worker, to);
	if (msg != NULL)
		weir_worker_send(to, msg);
	else
		atomic_store(&q->holder, to);
}

struct queue_sync {
	struct device_queue *q;
	void (*fn)(void *arg);
	void *arg;
	bool away;
};

static void WEIR_ON_WORKER
queue_sync_run(void *arg)
{
	struct queue_sync *s = arg;

	s->away = atomic_load(&s->q->holder) != weir_worker_self();
	if (!s->away)
		s->fn(s->arg);
}

void
device_queue_sync(struct device_queue *q, void (*fn)(void *arg), void *arg)
{
	struct queue_sync s = { .q = q, .fn = fn, .arg = arg };

	do {
		weir_worker_sync(atomic_load(&q->worker), queue_sync_run, &s);
	} while (s.away);
}

static void WEIR_ON_WORKER
move_end(struct queue_move *m, int rc)
{
	m->rc = rc;
	weir_loop_post(&m->post);
}

/* The queue goes on here. */
static void WEIR_ON_WORKER
move_undo(struct queue_move *m)
{
	struct device_queue *q = m->q;
	const struct devreq *req;

	TAILQ_FOREACH(req, &q->inflight, next)
		m->stuck[req->fuse.io.op]++;
	TAILQ_FOREACH(req, &q->gone, next)
		m->stuck[req->fuse.io.op]++;
	q->move = NULL;
	device_queue_pause(q, 0, QUEUE_PAUSED_MOVE);
	move_end(m, -EBUSY);
}

static void
move_arrive(struct weir_msg *msg)
{
	struct queue_move *m = container_of(msg, struct queue_move, msg);
	struct device_queue *q = m->q;

	weir_role_assume_worker();
	atomic_store(&q->holder, weir_worker_self());
	q->pinned = true;
	device_queue_route(q);
	weir_trace(queue_move, q->dev->name, q->index, weir_worker_lcore(weir_worker_self()));
	if (q->up) {
		device_place_add(q);
		/* A kick that nobody has read is an event again. */
		if (q->kickfd >= 0 && weir_worker_fd_add(q->kickfd, &q->poller) < 0) {
			q->kickfd = -1;
			m->unwatched = true;
		}
	}
	device_queue_pause(q, 0, QUEUE_PAUSED_MOVE);
	move_end(m, 0);
}

void
device_queue_leave(struct device_queue *q)
{
	struct queue_move *m = q->move;

	if (m == NULL)
		return;
	/* What has lost its guest comes back to this worker, and nobody knows when. */
	if (q->nb_detached > 0) {
		move_undo(m);
		return;
	}
	if (q->nb_inflight > 0 || q->waiter != NULL)
		return;
	q->move = NULL;
	if (q->up)
		device_place_remove(q);
	if (q->kickfd >= 0)
		weir_worker_fd_del(q->kickfd);
	m->msg.fn = move_arrive;
	device_queue_give(q, m->to, &m->msg);
}

static void
move_begin(struct weir_msg *msg)
{
	struct queue_move *m = container_of(msg, struct queue_move, msg);
	struct device_queue *q = m->q;

	weir_role_assume_worker();
	if (device_queue_passed_on(q, msg))
		return;
	if (m->to == weir_worker_self()) {
		q->pinned = true;
		move_end(m, 0);
		return;
	}
	q->move = m;
	device_queue_pause(q, QUEUE_PAUSED_MOVE, 0);
	device_queue_hurry(q);
	device_queue_leave(q);
}

static void
move_cancel(struct weir_msg *msg)
{
	struct queue_move *m = container_of(msg, struct queue_move, cancel);

	weir_role_assume_worker();
	if (device_queue_passed_on(m->q, msg))
		return;
	if (m->q->move == m)
		move_undo(m);
	weir_loop_post(&m->cancel_post);
}

static void WEIR_ON_CONTROL
move_refuse(const struct queue_move *m)
{
	const struct device *dev = m->q->dev;
	char text[256] = "";
	size_t len = 0;

	for (unsigned int i = 0; i < WEIR_NB_FSOPS; i++) {
		if (m->stuck[i] > 0 && len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u %s",
					len > 0 ? ", " : "", m->stuck[i],
					weir_fsop_name((enum weir_fsop)i));
	}
	weir_rpc_fail(m->rpc, m->rc,
			"Device or resource busy: %s: queue %u stays on lcore %u: fsdev %s has not "
			"answered its requests (%s)",
			dev->name, m->q->index, weir_worker_lcore(atomic_load(&m->q->worker)),
			dev->conf.fsdev, text);
}

static void WEIR_ON_CONTROL
move_returned(struct queue_move *m)
{
	struct device *dev = m->q->dev;
	void (*after)(struct device * dev) = dev->after_moves;

	if (--m->nb_out > 0)
		return;
	if (m->unwatched)
		weir_log(device, WARNING,
				"%s: queue %u: lcore %u cannot watch its kicks and polls it without rest",
				dev->name, m->q->index, weir_worker_lcore(m->to));
	if (m->rc < 0)
		move_refuse(m);
	else
		weir_rpc_reply_true(m->rpc);
	m->q->moving = false;
	free(m);
	if (--dev->nb_moves == 0 && after != NULL) {
		dev->after_moves = NULL;
		after(dev);
	}
}

static void
move_ended(struct weir_post *post)
{
	struct queue_move *m = container_of(post, struct queue_move, post);

	weir_role_assume_control();
	weir_timer_cancel(&m->patience);
	move_returned(m);
}

static void
move_cancelled(struct weir_post *post)
{
	weir_role_assume_control();
	move_returned(container_of(post, struct queue_move, cancel_post));
}

static void WEIR_ON_CONTROL
move_impatient(struct weir_timer *timer)
{
	struct queue_move *m = container_of(timer, struct queue_move, patience);

	m->nb_out++;
	m->cancel.fn = move_cancel;
	m->cancel_post.fn = move_cancelled;
	weir_worker_send(atomic_load(&m->q->worker), &m->cancel);
}

static void WEIR_ON_CONTROL
move_start(struct weir_rpc_call *rpc, struct device_queue *q, struct weir_worker *to)
{
	struct queue_move *m = calloc(1, sizeof(*m));

	if (m == NULL) {
		weir_rpc_fail(rpc, -ENOMEM, "Cannot allocate memory: move");
		return;
	}
	m->rpc = rpc;
	m->q = q;
	m->to = to;
	m->nb_out = 1;
	m->msg.fn = move_begin;
	m->post.fn = move_ended;
	m->patience.expired = move_impatient;
	q->moving = true;
	q->dev->nb_moves++;
	weir_timer_arm(&m->patience, MOVE_PATIENCE_MS);
	weir_worker_send(atomic_load(&q->worker), &m->msg);
}

struct move_args {
	char dev_name[DEVICE_NAME_MAX];
	uint32_t queue;
	uint32_t lcore;
};

static const struct weir_param move_params[] = {
	WEIR_PARAM(move_args, dev_name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 1,
			.help = "name of a device that has been started"),
	WEIR_PARAM(move_args, queue, WEIR_U32, .flags = WEIR_PARAM_REQUIRED, .position = 2,
			.help = "the queue's number; 0 is the high-priority one"),
	WEIR_PARAM(move_args, lcore, WEIR_U32, .flags = WEIR_PARAM_REQUIRED, .position = 3,
			.help = "lcore of the frontend worker that is to poll it"),
};

/* The frontend worker with an lcore, or NULL after the call was refused. */
static struct weir_worker *WEIR_ON_CONTROL
move_target(struct weir_rpc_call *call, uint32_t lcore)
{
	for (unsigned int i = 0; i < weir_workers_count(); i++) {
		struct weir_worker *worker = weir_worker_at(i);

		if (weir_worker_lcore(worker) != lcore)
			continue;
		if (weir_worker_is_frontend(worker))
			return worker;
		weir_rpc_fail(call, -EINVAL,
				"Invalid argument: lcore %u polls no queues: it is a backend worker only",
				lcore);
		return NULL;
	}
	weir_rpc_fail(call, -ENODEV, "No such device: no worker has lcore %u", lcore);
	return NULL;
}

static void WEIR_ON_CONTROL
move_call(struct weir_rpc_call *call, const void *args)
{
	const struct move_args *a = args;
	struct device *dev = device_find(a->dev_name);
	struct weir_worker *to;

	if (dev == NULL) {
		weir_rpc_fail(call, -ENODEV, "No such device: %s", a->dev_name);
		return;
	}
	to = move_target(call, a->lcore);
	if (to == NULL)
		return;
	if (dev->destroying || dev->op_what != NULL)
		weir_rpc_fail(call, -EBUSY, "Device or resource busy: %s: %s is under way",
				dev->name, dev->destroying ? "destroy" : dev->op_what);
	else if (dev->tdev == NULL)
		weir_rpc_fail(call, -EINVAL,
				"Invalid argument: %s has no queues before its first start",
				dev->name);
	else if (a->queue >= dev->nb_queues)
		weir_rpc_fail(call, -EINVAL, "Invalid argument: %s has queues 0 to %u", dev->name,
				dev->nb_queues - 1);
	else if (dev->queues[a->queue].moving)
		weir_rpc_fail(call, -EBUSY,
				"Device or resource busy: %s: queue %u is being moved already",
				dev->name, a->queue);
	else
		move_start(call, &dev->queues[a->queue], to);
}
WEIR_RPC_METHOD(move, "weir_move_queue",
		"Let another worker poll a queue; it stays there until the device is set up anew",
		struct move_args, move_params)
