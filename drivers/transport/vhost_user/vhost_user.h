/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef VHOST_USER_H
#define VHOST_USER_H

/*
 * The vhost-user transport. librte_vhost owns the sockets, the event thread, the framing of messages
 * and the feature handshake. Everything that touches rings or guest memory is handled here, before
 * the library sees it: it never maps guest memory, knows no ring address and no ring descriptor.
 *
 *   endpoint.c  control, helper   sockets come and go; the transport's operations
 *   conn.c      transport         front ends come and go
 *   message.c   transport         what a front end may say
 *   ring.c      transport         one ring: complete, started, stopped; its descriptors
 *   table.c     any               the memory table: pure functions
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "weir_helper.h"
#include "weir_log.h"
#include "weir_role.h"
#include "weir_transport.h"

#include "table.h"
#include "wire.h"

WEIR_LOG_USE(vhost_user);

/* sun_path with its end. */
#define VU_PATH_MAX 108
/* The library polls 1024 descriptors: a listener and a connection each, and its own pipe. */
#define VU_MAX_DEVICES 500

#define VU_FEATURES                                                                                \
	(WEIR_VIRTIO_F_VERSION_1 | WEIR_VIRTIO_F_INDIRECT_DESC | WEIR_VIRTIO_F_EVENT_IDX |         \
			WIRE_F_PROTOCOL_FEATURES)
/* And what devices have that are made for it. */
#define VU_FEATURES_PACKED (VU_FEATURES | WEIR_VIRTIO_F_RING_PACKED)
/*
 * STATUS (16) is left out because QEMU never reports DRIVER_OK for a file system, CONFIG (9) because
 * QEMU 7.1 to 8.0 crash when a file system offers it. The back channel (5, 10) has nothing to say.
 */
#define VU_PROTOCOL_FEATURES (WIRE_PROTOCOL_F_MQ | WIRE_PROTOCOL_F_REPLY_ACK)

/* A ring as the front end describes it, piece by piece and in any order. The transport thread's. */
struct vu_ring {
	uint32_t size; /* 0: not set, or not one that we serve */
	uint32_t base; /* as the front end writes it, see ring.c */
	bool addressed; /* desc, avail and used are set */
	bool kicked; /* SET_VRING_KICK came since the last stop */
	bool enabled;
	bool running; /* the core has it */
	bool packed; /* it was started as one */
	int kickfd; /* -1: none, or the front end wants polling */
	uint64_t desc, avail, used; /* the front end's addresses, packed: of the events */
};

struct weir_tdev {
	/* Set by control at create, constant. */
	struct weir_tdev_cfg cfg;
	char path[VU_PATH_MAX];

	/* Control's, and while the job runs the helper's. */
	struct weir_job job;
	void (*ready)(void *dev, struct weir_tdev *tdev, int rc, const char *message);
	void (*gone)(void *dev);
	int rc;
	char message[256];
	LIST_ENTRY(weir_tdev) next; /* under the lock of endpoint.c */

	/* The transport thread's; the helper's after unregistration. */
	int vid; /* -1: no front end */
	int connfd; /* the library's, borrowed */
	struct weir_memmap *map;
	struct vu_table table;
	struct vu_ring rings[WIRE_MAX_QUEUES];
	uint64_t log_window_ns;
	uint32_t log_lines;

	/* Written by the transport thread, read by control for reports. */
	_Atomic uint64_t features; /* negotiated; 0 without front end */
	_Atomic bool connected;
	_Atomic uint32_t nb_regions;
	_Atomic uint32_t nb_running;

	/*
	 * Eventfds of the front end, -1: none. Written by the transport thread, which closes an old one
	 * only after all workers have passed a quiescent state; read by workers.
	 */
	_Atomic int callfds[WIRE_MAX_QUEUES];
};

/* A line about a front end's doings: at most some a minute for each device. */
#define vu_log(tdev, level, fmt, ...)                                                              \
	do {                                                                                       \
		if (vu_log_admit(tdev))                                                            \
			weir_log(vhost_user, level, "%s: " fmt, (tdev)->cfg.name, ##__VA_ARGS__);  \
	} while (0)

static inline uint64_t
vu_features(const struct weir_tdev *tdev)
{
	return tdev->cfg.packed_vq ? VU_FEATURES_PACKED : VU_FEATURES;
}

/* conn.c */
bool vu_log_admit(struct weir_tdev *tdev);
extern const struct rte_vhost_device_ops vu_device_ops;
/* Ends a front end's time: rings stop, the core hears of it. */
void WEIR_ON_TRANSPORT vu_disconnect(struct weir_tdev *tdev);
/* The device of a connection, NULL for one that was given up. */
struct weir_tdev *WEIR_ON_TRANSPORT vu_conn_find(int vid);

/* endpoint.c */
struct weir_tdev *vu_endpoint_find(const char *path);

/* message.c */
extern const struct rte_vhost_user_extern_ops vu_extern_ops;

/* ring.c: starts what is complete and stops what is not any more. */
void WEIR_ON_TRANSPORT vu_ring_update(struct weir_tdev *tdev, uint32_t index);
void WEIR_ON_TRANSPORT vu_ring_stop(struct weir_tdev *tdev, uint32_t index);
/* Both take fd, -1 for none. @return 0 or -EINVAL: no eventfd; it is closed. */
int WEIR_ON_TRANSPORT vu_ring_set_kick(struct weir_tdev *tdev, uint32_t index, int fd);
int WEIR_ON_TRANSPORT vu_ring_set_call(struct weir_tdev *tdev, uint32_t index, int fd);
/* Back to the state before SET_VRING_ anything. */
void WEIR_ON_TRANSPORT vu_ring_reset(struct weir_tdev *tdev, uint32_t index);
/* Worker; see struct weir_transport_ops. */
void WEIR_ON_WORKER vu_ring_call(struct weir_tdev *tdev, uint16_t index);

#endif /* VHOST_USER_H */
