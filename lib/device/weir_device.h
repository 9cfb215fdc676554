/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_DEVICE_H
#define WEIR_DEVICE_H

/**
 * @file
 * virtio-fs devices: what joins a transport, rings, a FUSE session and a file system. The library
 * carries its own RPC methods (virtio_fs_*, virtio_fs_doca_*) and statistics; the application only
 * starts and ends it.
 *
 * A device is idle (created), running, or stopped. Its socket appears at its first start and stays
 * until it is destroyed; stopping pauses the queues and keeps connection, session and open files.
 */

#include <stdint.h>

#include "weir_role.h"

struct weir_devices_cfg {
	const char *socket_dir; /**< where device sockets live; exists */
	const char *transport; /**< what the name DOCA stands for, "VHOST_USER" */
	uint32_t nb_requests; /**< requests in the pool of each NUMA node */
	uint32_t nb_big_requests; /**< segment tables for chains over the inline ones */
	const char *const *
			static_vuids; /**< static functions, NULL-terminated; may be NULL: two made up */
	const char *manager; /**< name of the emulation manager, "mlx5_0" */
};

/** Creates pools and registers statistics. @return 0 or -errno. */
int WEIR_ON_CONTROL weir_devices_init(const struct weir_devices_cfg *cfg);

/**
 * Stops and destroys all devices. done comes on control with the number of requests that were still
 * in a backend when timeout_ms had passed (0: clean); what they hold is left to the process's end.
 */
void WEIR_ON_CONTROL weir_devices_shutdown(
		uint32_t timeout_ms, void (*done)(void *arg, unsigned int stuck), void *arg);

/** Frees the pools. After weir_devices_shutdown() reported. */
void WEIR_ON_CONTROL weir_devices_fini(void);

#endif /* WEIR_DEVICE_H */
