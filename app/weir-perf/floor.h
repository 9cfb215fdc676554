/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FLOOR_H
#define FLOOR_H

/**
 * @file
 * The floor: a server that does nothing but rings and FUSE. It shows what a request costs before
 * any file system has done anything: one thread polls all rings of one connection and answers like
 * weir's null file system, a directory of endless files. It shares no code with weir.
 */

#include <linux/fuse.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fe.h"

#define FLOOR_MAX_QUEUES 256
#define FLOOR_MAX_SIZE   32768u /**< entries of a ring */
#define FLOOR_MAX_SEGS   2048u /**< of one chain */

struct floor_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user_addr;
	uint8_t *va;
};

struct floor_ring {
	uint32_t size;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_avail;
	uint16_t used_idx;
	int kickfd;
	int callfd;
	bool enabled;
	bool broken; /**< the driver broke a rule; it is not polled any more */
};

struct floor {
	int fd; /**< the connection */
	uint64_t features;
	uint64_t protocol;
	unsigned int nb_regions;
	struct floor_region region[FE_MAX_REGIONS];
	unsigned int nb_rings; /**< the highest that was named, and one */
	struct floor_ring ring[FLOOR_MAX_QUEUES];
	/* The chain in work. */
	unsigned int nb_in, nb_out;
	struct iovec in[FLOOR_MAX_SEGS];
	struct iovec out[FLOOR_MAX_SEGS];
};

/** Listens at path and serves one connection after the other. @return enum perf_exit. */
int floor_serve(const char *path);

/** One message of the front end. @return 1; 0: it has gone; -errno: it made no sense. */
int floor_message(struct floor *floor);

/** Gives everything back that a connection had. */
void floor_reset(struct floor *floor);

/** Our address of guest memory, all of it in one region; NULL: there is none. */
void *floor_at(const struct floor *floor, uint64_t gpa, uint64_t len);

/** Serves what is in a ring. @return how many chains. */
unsigned int floor_poll(struct floor *floor, struct floor_ring *ring);

/** Answers the chain in work. @return bytes written. */
uint32_t floor_answer(struct floor *floor);

#endif /* FLOOR_H */
