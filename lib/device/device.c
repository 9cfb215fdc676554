/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>

#include "device.h"

WEIR_LOG_TYPE(device);

struct device_list devices = TAILQ_HEAD_INITIALIZER(devices);
pthread_rwlock_t devices_lock = PTHREAD_RWLOCK_INITIALIZER;

static const char *const state_names[DEVICE_NB_STATES] = {
	[DEVICE_IDLE] = "idle",
	[DEVICE_RUNNING] = "running",
	[DEVICE_STOPPED] = "stopped",
};

const char *
device_state_name(enum device_state state)
{
	return state_names[state];
}

struct device *
device_find(const char *name)
{
	struct device *dev;

	TAILQ_FOREACH(dev, &devices, next) {
		if (strcmp(dev->name, name) == 0)
			return dev;
	}
	return NULL;
}

int
device_new(const char *name, struct tport *tport, const struct device_conf *conf,
		struct device **out)
{
	struct device *dev = calloc(1, sizeof(*dev));

	if (dev == NULL)
		return -ENOMEM;
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->conf = *conf;
	dev->tport = tport;
	tport->nb_devices++;
	pthread_rwlock_wrlock(&devices_lock);
	TAILQ_INSERT_TAIL(&devices, dev, next);
	pthread_rwlock_unlock(&devices_lock);
	*out = dev;
	return 0;
}

void
device_free(struct device *dev)
{
	pthread_rwlock_wrlock(&devices_lock);
	TAILQ_REMOVE(&devices, dev, next);
	pthread_rwlock_unlock(&devices_lock);
	weir_timer_cancel(&dev->patience);
	if (dev->function != NULL)
		dev->function->dev = NULL;
	dev->tport->nb_devices--;
	free(dev);
}

struct device_queue *
device_call_queue(struct weir_worker_call *call)
{
	struct device_queue_call *qc = container_of(call, struct device_queue_call, call);

	return qc->queue;
}

static void WEIR_ON_WORKER
device_sweep_msg(struct weir_msg *msg)
{
	struct weir_worker_call *call = container_of(msg, struct weir_worker_call, msg);

	if (device_queue_passed_on(device_call_queue(call), msg))
		return;
	call->fn(call);
	weir_loop_post(&call->post);
}

static void WEIR_ON_CONTROL
device_sweep_one(struct weir_post *post)
{
	struct device_queue_call *qc = container_of(post, struct device_queue_call, call.post);
	struct device_sweep *sweep = qc->sweep;

	if (--sweep->left == 0)
		sweep->done(qc->queue->dev);
}

void
device_sweep(struct device *dev, struct device_sweep *sweep,
		void (*fn)(struct weir_worker_call *call), void (*done)(struct device *dev))
{
	RTE_ASSERT(sweep->left == 0);
	sweep->left = dev->nb_queues;
	sweep->done = done;
	for (uint32_t i = 0; i < dev->nb_queues; i++) {
		struct device_queue_call *qc = &sweep->calls[i];

		qc->queue = &dev->queues[i];
		qc->sweep = sweep;
		qc->call.fn = fn;
		qc->call.msg.fn = device_sweep_msg;
		qc->call.post.fn = device_sweep_one;
		weir_worker_send(atomic_load(&qc->queue->worker), &qc->call.msg);
	}
}
