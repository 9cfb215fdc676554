/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What the transport tells a device; all but the resets' ends runs on the transport's thread. */

#include <errno.h>

#include <rte_errno.h>

#include "device.h"

#define GRACE_NS 100000000ULL
/* Rings that go down within this time of another one's grace do so together with it. */
#define GRACE_APART_NS 1000000000ULL

static void WEIR_ON_TRANSPORT
event_connected(void *arg)
{
	struct device *dev = arg;

	weir_role_assume_transport();
	atomic_store(&dev->connected, true);
}

static int WEIR_ON_TRANSPORT
event_vq_start(void *arg, const struct weir_vq_start *start)
{
	struct device *dev = arg;
	int rc;

	weir_role_assume_transport();
	if (start->index >= dev->nb_queues) {
		weir_log(device, WARNING,
				"%s: the front end sets up queue %u, but the device has %u request "
				"queues; that queue is not served",
				dev->name, start->index, dev->nb_queues - 1);
		return -ENOSPC;
	}
	if (start->ring.size > dev->conf.queue_size && start->index == 1)
		weir_log(device, NOTICE,
				"%s: the front end's rings have %u entries, queue_size is %u",
				dev->name, start->ring.size, dev->conf.queue_size);
	rc = device_queue_up(&dev->queues[start->index], start);
	if (rc < 0)
		weir_log(device, WARNING, "%s: queue %u cannot be served: %s", dev->name,
				start->index, rte_strerror(-rc));
	return rc;
}

/*
 * Rings go down one by one, but the transport's thread serves every device: those of one device that
 * go down together share one short grace for what is nearly done, however many hang in a backend.
 */
static void WEIR_ON_TRANSPORT
event_vq_stop(void *arg, uint16_t index, struct weir_vring_base *base)
{
	struct device *dev = arg;
	uint64_t now = weir_now_ns();

	weir_role_assume_transport();
	if (index >= dev->nb_queues)
		return;
	if (now > dev->grace_until_ns + GRACE_APART_NS)
		dev->grace_until_ns = now + GRACE_NS;
	device_queue_down(&dev->queues[index], dev->grace_until_ns, base);
}

static int WEIR_ON_TRANSPORT
event_mem_changed(void *arg, struct weir_memmap *map)
{
	struct device *dev = arg;
	int rc = 0;

	weir_role_assume_transport();
	for (uint32_t i = 0; i < dev->nb_queues; i++) {
		int err = device_queue_remap(&dev->queues[i], map);

		if (err < 0) {
			weir_log(device, WARNING,
					"%s: queue %u is not in the new memory table, it stays in the "
					"old one: %s",
					dev->name, i, rte_strerror(-err));
			rc = err;
		}
	}
	return rc;
}

/* A guest that left again since then keeps the queue paused: its own reset will resume it. */
static void WEIR_ON_WORKER
events_resume(struct weir_worker_call *call)
{
	struct device_queue *q = device_call_queue(call);

	if (atomic_load(&q->dev->resets) == 0)
		device_queue_pause(q, 0, QUEUE_PAUSED_RESET);
}

static void WEIR_ON_CONTROL
events_resumed(struct device *dev)
{
	void (*after)(struct device * dev) = dev->after_reset;

	if (dev->resume_again) {
		dev->resume_again = false;
		device_sweep(dev, &dev->reset_sweep, events_resume, events_resumed);
	} else if (after != NULL && !device_is_resetting(dev)) {
		dev->after_reset = NULL;
		after(dev);
	}
}

static void
events_reset_done(void *arg)
{
	struct device *dev = arg;

	weir_role_assume_control();
	if (atomic_fetch_sub(&dev->resets_due, 1) > 1) {
		atomic_fetch_sub(&dev->resets, 1);
		weir_fuse_session_reset(dev->sess, events_reset_done, dev);
		return;
	}
	/* Another guest is leaving: its queues are being paused, and its own reset resumes them. */
	if (atomic_fetch_sub(&dev->resets, 1) > 1)
		return;
	if (dev->reset_sweep.left > 0)
		dev->resume_again = true;
	else
		device_sweep(dev, &dev->reset_sweep, events_resume, events_resumed);
}

static void WEIR_ON_CONTROL
events_reset(struct weir_post *post)
{
	struct device *dev = container_of(post, struct device, reset_post);

	weir_fuse_session_reset(dev->sess, events_reset_done, dev);
}

static void
events_pause(void *arg)
{
	struct device_queue *q = arg;

	weir_role_assume_worker();
	device_queue_pause(q, QUEUE_PAUSED_RESET, 0);
}

/*
 * The session ends with its guest. Until control has seen to that, no ring is polled: the next guest
 * may connect at once, and its INIT waits in the ring. resets goes up before the queues are paused,
 * so that an older reset's end does not resume them behind our back; resets_due goes up after it,
 * so that ours does not end before all are paused, and leave some of them so.
 */
static void WEIR_ON_TRANSPORT
event_disconnected(void *arg)
{
	struct device *dev = arg;

	weir_role_assume_transport();
	atomic_store(&dev->connected, false);
	atomic_fetch_add(&dev->resets, 1);
	for (uint32_t i = 0; i < dev->nb_queues; i++)
		device_queue_sync(&dev->queues[i], events_pause, &dev->queues[i]);
	if (atomic_fetch_add(&dev->resets_due, 1) == 0) {
		dev->reset_post.fn = events_reset;
		weir_loop_post(&dev->reset_post);
	}
}

bool
device_is_resetting(const struct device *dev)
{
	return atomic_load(&dev->resets) > 0 || dev->reset_sweep.left > 0;
}

const struct weir_transport_events device_events = {
	.connected = event_connected,
	.disconnected = event_disconnected,
	.vq_start = event_vq_start,
	.vq_stop = event_vq_stop,
	.mem_changed = event_mem_changed,
};
