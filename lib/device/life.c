/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Start, stop, modify and destroy: control operations that wait for workers, for the transport or
 * for a backend, one at a time for a device. Each is a chain of steps that ends in device_op_end().
 *
 *   start:   sweep(run)                                  where the socket is there already
 *            set up -> transport's ready -> sweep(run)   the first time
 *   stop:    sweep(pause)
 *   destroy: transport's gone -> end of the session's resets and of moves -> sweep(quiet) -> last
 *            reset -> freed
 *
 * Where a backend keeps requests, destroy answers its caller after a while and goes on behind: the
 * guest has long lost its device.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "device.h"

/* Callers wait this long for a backend; clients give up after 55 s at the earliest. */
#define PATIENCE_MS 5000

static void WEIR_ON_CONTROL
device_op_begin(struct device *dev, const char *what, device_op_done done, void *arg)
{
	dev->op_what = what;
	dev->op_done = done;
	dev->op_arg = arg;
}

static void __rte_format_printf(3, 4) WEIR_ON_CONTROL
		device_op_end(struct device *dev, int rc, const char *fmt, ...)
{
	device_op_done done = dev->op_done;
	char text[512] = "";
	va_list ap;

	dev->op_what = NULL;
	dev->op_done = NULL;
	if (done == NULL)
		return;
	if (fmt != NULL) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
	}
	done(dev->op_arg, rc, text);
}

/* @return false, and done was called, when another operation is under way. */
static bool WEIR_ON_CONTROL
device_op_admit(struct device *dev, device_op_done done, void *arg)
{
	char text[DEVICE_NAME_MAX + 128];

	if (dev->op_what == NULL && !dev->destroying)
		return true;
	snprintf(text, sizeof(text), "Device or resource busy: %s: %s is under way", dev->name,
			dev->destroying ? "destroy" : dev->op_what);
	done(arg, -EBUSY, text);
	return false;
}

/* Frees what device_setup() made. Nothing of the device is in use any more. */
static void WEIR_ON_CONTROL
device_teardown(struct device *dev)
{
	pthread_rwlock_wrlock(&devices_lock);
	weir_fuse_session_destroy(dev->sess);
	rte_free(dev->queues);
	device_plan_free(dev->plan);
	free(dev->op_sweep.calls);
	free(dev->reset_sweep.calls);
	dev->sess = NULL;
	dev->queues = NULL;
	dev->plan = NULL;
	dev->nb_queues = 0;
	dev->op_sweep.calls = NULL;
	dev->reset_sweep.calls = NULL;
	pthread_rwlock_unlock(&devices_lock);
	if (dev->fsdev != NULL)
		weir_fsdev_put(dev->fsdev, dev->name);
	dev->fsdev = NULL;
}

/* Until its ring comes up a queue has any worker, as there is nobody else to ask about it. */
static struct device_queue *
device_queues_new(struct device *dev, uint32_t nb)
{
	static uint32_t turn;
	struct device_queue *queues;

	queues = rte_zmalloc(NULL, nb * sizeof(*queues), RTE_CACHE_LINE_SIZE);
	if (queues == NULL)
		return NULL;
	for (uint32_t i = 0; i < nb; i++)
		device_queue_init(&queues[i], dev, i, turn + i);
	turn++;
	return queues;
}

static int WEIR_ON_CONTROL
device_setup(struct device *dev, struct weir_fsdev *fsdev)
{
	uint32_t nb = dev->conf.num_request_queues + 1;
	const struct weir_fuse_cfg cfg = {
		.name = dev->name,
		.ring_size = WEIR_VQ_MAX_SIZE,
		.uid_map = dev->conf.uid_map,
		.gid_map = dev->conf.gid_map,
	};
	struct weir_fuse_session *sess;
	struct device_queue *queues;
	int rc;

	rc = weir_fuse_session_create(&cfg, fsdev, &sess);
	if (rc < 0)
		return rc;
	weir_fsdev_get(fsdev, dev->name);
	dev->fsdev = fsdev;
	rc = device_plan_new(
			dev->conf.spread, dev->conf.weights, weir_fsdev_node(fsdev), &dev->plan);
	queues = rc == 0 ? device_queues_new(dev, nb) : NULL;

	pthread_rwlock_wrlock(&devices_lock);
	dev->sess = sess;
	dev->queues = queues;
	dev->nb_queues = queues != NULL ? nb : 0;
	dev->op_sweep.calls = calloc(nb, sizeof(*dev->op_sweep.calls));
	dev->reset_sweep.calls = calloc(nb, sizeof(*dev->reset_sweep.calls));
	pthread_rwlock_unlock(&devices_lock);
	if (queues == NULL || dev->op_sweep.calls == NULL || dev->reset_sweep.calls == NULL) {
		device_teardown(dev);
		return -ENOMEM;
	}
	return 0;
}

static void WEIR_ON_WORKER
device_run_queue(struct weir_worker_call *call)
{
	device_queue_pause(device_call_queue(call), 0, QUEUE_PAUSED_STOP);
}

static void WEIR_ON_WORKER
device_pause_queue(struct weir_worker_call *call)
{
	device_queue_pause(device_call_queue(call), QUEUE_PAUSED_STOP, 0);
}

static void WEIR_ON_CONTROL
device_started(struct device *dev)
{
	dev->state = DEVICE_RUNNING;
	weir_log(device, NOTICE, "%s: running", dev->name);
	device_op_end(dev, 0, NULL);
}

static void
device_ready(void *arg, struct weir_tdev *tdev, int rc, const char *message)
{
	struct device *dev = arg;

	weir_role_assume_control();
	if (rc < 0) {
		device_teardown(dev);
		device_op_end(dev, rc, "%s: %s", dev->name, message);
		return;
	}
	dev->tdev = tdev;
	device_started(dev);
}

void
device_start(struct device *dev, device_op_done done, void *arg)
{
	struct weir_tdev_cfg cfg = {
		.name = dev->name,
		.nb_queues = dev->conf.num_request_queues + 1,
		.queue_size = dev->conf.queue_size,
		.tag = dev->conf.tag,
		.packed_vq = dev->conf.packed_vq,
		.events = &device_events,
		.dev = dev,
	};
	struct weir_fsdev *fsdev = weir_fsdev_find(dev->conf.fsdev);
	int rc;

	if (!device_op_admit(dev, done, arg))
		return;
	device_op_begin(dev, "start", done, arg);
	if (dev->state == DEVICE_RUNNING) {
		device_op_end(dev, 0, NULL);
		return;
	}
	if (dev->tdev != NULL) {
		device_sweep(dev, &dev->op_sweep, device_run_queue, device_started);
		return;
	}
	if (dev->conf.tag[0] == '\0') {
		device_op_end(dev, -EINVAL, "%s: tag is not set", dev->name);
		return;
	}
	if (dev->conf.fsdev[0] == '\0') {
		device_op_end(dev, -EINVAL, "%s: fsdev is not set", dev->name);
		return;
	}
	if (fsdev == NULL) {
		device_op_end(dev, -ENODEV, "No such device: %s (fsdev of %s)", dev->conf.fsdev,
				dev->name);
		return;
	}
	rc = device_setup(dev, fsdev);
	if (rc == -EOPNOTSUPP) {
		device_op_end(dev, rc,
				"%s: uid_map and gid_map go only with an fsdev without ACLs, whose ids "
				"would not be mapped: %s has them",
				dev->name, dev->conf.fsdev);
		return;
	}
	if (rc < 0) {
		device_op_end(dev, rc, "%s: %s", dev->name, rte_strerror(-rc));
		return;
	}
	/* Until here no ring is up, so the queues are not paused for the first start. */
	dev->tport->driver->ops->dev_create(&cfg, device_ready);
}

static void WEIR_ON_CONTROL
device_stopped(struct device *dev)
{
	dev->state = DEVICE_STOPPED;
	weir_log(device, NOTICE, "%s: stopped", dev->name);
	device_op_end(dev, 0, NULL);
}

void
device_stop(struct device *dev, device_op_done done, void *arg)
{
	if (!device_op_admit(dev, done, arg))
		return;
	device_op_begin(dev, "stop", done, arg);
	if (dev->state == DEVICE_RUNNING)
		device_sweep(dev, &dev->op_sweep, device_pause_queue, device_stopped);
	else
		device_op_end(dev, 0, NULL);
}

/*
 * Takes a device down to what it was before its first start: the transport first, then the session.
 */
static void
device_down_end(void *arg)
{
	struct device *dev = arg;

	weir_role_assume_control();
	weir_timer_cancel(&dev->patience);
	device_teardown(dev);
	if (!dev->destroying) {
		device_op_end(dev, 0, NULL);
		return;
	}
	weir_log(device, NOTICE, "%s: destroyed", dev->name);
	device_op_end(dev, 0, NULL);
	device_free(dev);
}

static void WEIR_ON_CONTROL
device_down_quiet(struct device *dev)
{
	weir_fuse_session_reset(dev->sess, device_down_end, dev);
}

/* The call comes back, through its post, when the queue's requests have left the backend. */
static void WEIR_ON_CONTROL
device_down_quiet_one(struct weir_worker_call *call)
{
	struct device_queue *q = device_call_queue(call);
	struct device_sweep *sweep = &q->dev->op_sweep;

	if (--sweep->left == 0)
		device_down_quiet(q->dev);
}

static void
device_quiet_post(struct weir_post *post)
{
	weir_role_assume_control();
	device_down_quiet_one(container_of(post, struct weir_worker_call, post));
}

static void WEIR_ON_WORKER
device_quiet_msg(struct weir_msg *msg)
{
	struct weir_worker_call *call = container_of(msg, struct weir_worker_call, msg);

	if (!device_queue_passed_on(device_call_queue(call), msg))
		device_queue_quiet(device_call_queue(call), call);
}

static void WEIR_ON_CONTROL
device_down_reset(struct device *dev)
{
	dev->op_sweep.left = dev->nb_queues;
	for (uint32_t i = 0; i < dev->nb_queues; i++) {
		struct device_queue_call *qc = &dev->op_sweep.calls[i];

		qc->queue = &dev->queues[i];
		qc->sweep = &dev->op_sweep;
		qc->call.msg.fn = device_quiet_msg;
		qc->call.post.fn = device_quiet_post;
		weir_worker_send(atomic_load(&qc->queue->worker), &qc->call.msg);
	}
}

/* No ring is up, so a queue that was to move has moved or will not: its message is on the way. */
static void WEIR_ON_CONTROL
device_down_wait(struct device *dev)
{
	if (device_is_resetting(dev))
		dev->after_reset = device_down_wait;
	else if (dev->nb_moves > 0)
		dev->after_moves = device_down_wait;
	else
		device_down_reset(dev);
}

static void
device_down_gone(void *arg)
{
	struct device *dev = arg;

	weir_role_assume_control();
	dev->tdev = NULL;
	device_down_wait(dev);
}

static unsigned int
device_stuck(const struct device *dev)
{
	unsigned int stuck = 0;

	for (uint32_t i = 0; i < dev->nb_queues; i++) {
		const struct queue_counters *c = &dev->queues[i].counters;

		stuck += weir_counter_get(&c->detached) - weir_counter_get(&c->released);
	}
	return stuck;
}

/* The change is made, but the device stays busy until the old file system has let go of it. */
static void WEIR_ON_CONTROL
device_modify_impatient(struct weir_timer *timer)
{
	struct device *dev = container_of(timer, struct device, patience);
	device_op_done done = dev->op_done;
	char text[DEVICE_NAME_MAX + 128];

	snprintf(text, sizeof(text),
			"Connection timed out: %s is changed, but %u requests are still in its fsdev",
			dev->name, device_stuck(dev));
	dev->op_done = NULL;
	done(dev->op_arg, -ETIMEDOUT, text);
}

void
device_modify(struct device *dev, const struct device_conf *conf, device_op_done done, void *arg)
{
	if (!device_op_admit(dev, done, arg))
		return;
	device_op_begin(dev, "modify", done, arg);
	pthread_rwlock_wrlock(&devices_lock);
	dev->conf = *conf;
	pthread_rwlock_unlock(&devices_lock);
	if (dev->tdev == NULL) {
		device_op_end(dev, 0, NULL);
		return;
	}
	/* No front end is connected: the next start sets everything up from the new values. */
	dev->patience.expired = device_modify_impatient;
	weir_timer_arm(&dev->patience, PATIENCE_MS);
	dev->tport->driver->ops->dev_destroy(dev->tdev, device_down_gone);
}

static void WEIR_ON_CONTROL
device_destroy_impatient(struct weir_timer *timer)
{
	struct device *dev = container_of(timer, struct device, patience);

	weir_log(device, WARNING,
			"%s: gone for its guest; %u requests are still in fsdev %s, which stays in use "
			"until they end",
			dev->name, device_stuck(dev), dev->conf.fsdev);
	device_op_end(dev, 0, NULL);
}

void
device_destroy(struct device *dev, device_op_done done, void *arg)
{
	if (!device_op_admit(dev, done, arg))
		return;
	device_op_begin(dev, "destroy", done, arg);
	dev->destroying = true;
	if (dev->tdev == NULL) {
		device_down_end(dev);
		return;
	}
	dev->patience.expired = device_destroy_impatient;
	weir_timer_arm(&dev->patience, PATIENCE_MS);
	dev->tport->driver->ops->dev_destroy(dev->tdev, device_down_gone);
}

void
devices_left(unsigned int *nb_devices, unsigned int *nb_stuck)
{
	struct device *dev;

	*nb_devices = 0;
	*nb_stuck = 0;
	TAILQ_FOREACH(dev, &devices, next) {
		(*nb_devices)++;
		*nb_stuck += device_stuck(dev);
	}
}
