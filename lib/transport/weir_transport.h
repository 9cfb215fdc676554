/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_TRANSPORT_H
#define WEIR_TRANSPORT_H

/**
 * @file
 * The transport contract: how a device reaches its guest. A transport owns life cycle, descriptors
 * and the way to interrupt; it hands over rings, kick descriptors and memory maps, and never looks
 * into a ring. The core (lib/device) implements the events.
 *
 * Rings start and stop one by one: a guest may set up fewer than the device has, in any order.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_common.h>

#include "weir_memmap.h"
#include "weir_role.h"
#include "weir_virtio.h"

/** One transport's side of a device; each transport embeds it in its own. */
struct weir_tdev;

/** A ring that the guest has set up. */
struct weir_vq_start {
	/** Whose vq_call() to use: a ring may start before ready() has told control of its tdev. */
	struct weir_tdev *tdev;
	uint16_t index;
	int kickfd; /**< eventfd of the transport's, open until vq_stop() has returned; -1: polling */
	struct weir_vring_cfg ring;
	struct weir_memmap *map; /**< borrowed for the call; the core takes its own reference */
};

/**
 * What a transport tells the core; all on the transport's thread, one at a time for one device.
 * They return when every worker has let go, which takes microseconds, and for vq_stop and
 * disconnected as long as a fence (weir_fsdev_detach) takes.
 */
struct weir_transport_events {
	void (*connected)(void *dev);
	/** All rings were stopped before. The guest is gone: its session ends. */
	void (*disconnected)(void *dev);
	/** @return 0 or -errno: the ring is not usable and stays stopped. */
	int (*vq_start)(void *dev, const struct weir_vq_start *start);
	/** Stops and detaches what is in progress on this ring. *base says where it stood. */
	void (*vq_stop)(void *dev, uint16_t index, struct weir_vring_base *base);
	/**
	 * The memory table changed while rings run: from the return on, rings and new requests go
	 * through map. Requests in progress finish through their old snapshot.
	 * @return 0, or -EFAULT when a running ring is outside the new map; it was stopped as broken.
	 */
	int (*mem_changed)(void *dev, struct weir_memmap *map);
};

struct weir_tdev_cfg {
	const char *name; /**< of the device */
	uint32_t nb_queues; /**< hiprio and request queues: the limit for the guest */
	uint32_t queue_size; /**< the limit for the guest */
	const char *tag; /**< at most 36 bytes */
	bool packed_vq; /**< offer packed rings; the guest chooses */
	const struct weir_transport_events *events;
	void *dev; /**< first argument of every event */
};

struct weir_transport_ops {
	/** Once, when the transport starts. socket_dir exists. @return 0 or -errno. Control. */
	int (*start)(const char *socket_dir);
	/** No device is left. Control. */
	void (*stop)(void);

	/**
	 * Makes the device visible to front ends. Control; ready(dev, rc, message) comes later on
	 * control, exactly once; after an error the tdev is gone.
	 */
	void (*dev_create)(const struct weir_tdev_cfg *cfg,
			void (*ready)(void *dev, struct weir_tdev *tdev, int rc,
					const char *message));
	/**
	 * Takes the device away: a connected front end is disconnected (its events come first).
	 * Control; gone(dev) comes later on control, exactly once.
	 */
	void (*dev_destroy)(struct weir_tdev *tdev, void (*gone)(void *dev));

	/** What an operator may want to know: {"socket": path, ...}. Control. New reference. */
	json_t *(*dev_info)(const struct weir_tdev *tdev);

	/** Interrupts the guest for one ring. Worker; lock-free; never blocks. */
	void (*vq_call)(struct weir_tdev *tdev, uint16_t index);
};

struct weir_transport {
	const char *name; /**< on the wire, "VHOST_USER" */
	const char *help;
	const struct weir_transport_ops *ops;
	uint32_t max_queues; /**< hiprio included */
	TAILQ_ENTRY(weir_transport) next;
};

void weir_transport_register(struct weir_transport *transport);

#define WEIR_TRANSPORT_REGISTER(transport)                                                         \
	RTE_INIT(transport##_register)                                                             \
	{                                                                                          \
		weir_transport_register(&(transport));                                             \
	}

/** By name, case ignored. NULL when there is none. */
struct weir_transport *weir_transport_find(const char *name);

/** The first of all registered transports, for lists; NULL ends. */
struct weir_transport *weir_transport_next(struct weir_transport *prev);

#endif /* WEIR_TRANSPORT_H */
