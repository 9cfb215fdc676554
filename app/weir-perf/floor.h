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
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fe.h"

#define FLOOR_MAX_QUEUES 256
#define FLOOR_MAX_SIZE   32768u /**< entries of a ring */
#define FLOOR_MAX_SEGS   2048u /**< of one chain */
#define FLOOR_BURST      8u /**< chains that are answered before the driver is told */

struct floor_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user_addr;
	uint8_t *va;
};

/**
 * In a packed ring, avail and used are the driver's and the device's event structure, and last_avail
 * is a slot, with the wrap counter in bit 15.
 */
struct floor_ring {
	uint32_t size;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_avail;
	uint16_t used_idx; /**< split */
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
static inline void *
floor_at(const struct floor *floor, uint64_t gpa, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < floor->nb_regions; i++) {
		const struct floor_region *region = &floor->region[i];
		uint64_t off = gpa - region->gpa;

		if (off < region->size && len <= region->size - off)
			return region->va + off;
	}
	return NULL;
}

/** Adds a descriptor to the chain in work. @return false: the driver broke a rule. */
static inline bool
floor_add(struct floor *floor, uint64_t gpa, uint32_t len, uint16_t flags)
{
	struct iovec *iov;

	if (floor->nb_in + floor->nb_out == FLOOR_MAX_SEGS || (flags & VRING_DESC_F_INDIRECT))
		return false;
	if (flags & VRING_DESC_F_WRITE)
		iov = &floor->out[floor->nb_out++];
	else if (floor->nb_out == 0)
		iov = &floor->in[floor->nb_in++];
	else
		return false;
	iov->iov_base = floor_at(floor, gpa, len);
	iov->iov_len = len;
	return iov->iov_base != NULL;
}

/** Serves what is in a split ring. @return how many chains. */
unsigned int floor_poll_split(struct floor *floor, struct floor_ring *ring);

/** Serves what is in a packed ring. @return how many chains. */
unsigned int floor_poll_packed(struct floor *floor, struct floor_ring *ring);

/** Interrupts the driver. */
void floor_call(const struct floor_ring *ring);

/** Answers the chain in work. @return bytes written. */
uint32_t floor_answer(struct floor *floor);

#endif /* FLOOR_H */
