/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FE_RING_H
#define FE_RING_H

/**
 * @file
 * The driver's side of a virtqueue, split or packed (virtio 1.2, sections 2.7 and 2.8), with indirect
 * descriptors and event index. One thread uses a ring. What the device writes is checked as a careful driver
 * would: an entry that no request waits for is an error, not a crash.
 */

#include <linux/virtio_ring.h>

#include "fe.h"

struct fe_sg {
	uint64_t gpa;
	uint32_t len;
};

/** What of the ring's abilities is used, and how its thread waits. */
#define FE_RING_INDIRECT  (1u << 0)
#define FE_RING_EVENT_IDX (1u << 1)
#define FE_RING_POLL      (1u << 2) /**< the device is told not to interrupt */
#define FE_RING_PACKED    (1u << 3) /**< the layout; constant once the ring is created */

/** What a buffer id stands for in a packed ring. */
struct fe_ring_id {
	uint16_t next; /**< free id behind this one */
	uint16_t slots; /**< of its chain */
};

/**
 * In a packed ring, avail and used are the two event structures, and the fields that say where
 * something stands hold a slot, with the wrap counter in bit 15.
 */
struct fe_ring {
	uint16_t size;
	uint16_t base; /**< where avail and used begin, for fe_conn_ring_start() */
	unsigned int flags;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t desc_gpa, avail_gpa, used_gpa;

	uint16_t free_head;
	uint16_t nb_free;
	uint16_t avail_idx; /**< next entry to fill */
	uint16_t published; /**< what the device was shown */
	uint16_t last_used; /**< next entry to take back */
	void **token; /**< by head; NULL: not in flight */
	struct fe_ring_id *id; /**< packed */
	uint16_t nb_added; /**< packed: slots that the device was not shown */
	uint16_t first_flags; /**< packed: of the first of them, which show it all */

	int kickfd;
	int callfd;
	uint64_t nb_kicks;
	uint64_t nb_calls;
	uint64_t nb_missed; /**< entries that came without the interrupt that was asked for */
};

/** Lays a ring of size entries out in guest memory and opens its eventfds. @return 0 or -errno. */
int fe_ring_create(struct fe_ring *ring, struct fe_mem *mem, uint16_t size, unsigned int flags);

void fe_ring_destroy(struct fe_ring *ring);

/**
 * Empties the ring as after a device reset. The next entry has the index base; a packed ring always
 * begins with its first turn.
 */
void fe_ring_reset(struct fe_ring *ring, uint16_t base);

/**
 * Adds one chain: first nb_read segments that the device reads, then nb_write that it writes. The
 * device does not see it before fe_ring_publish().
 *
 * @param table  room for nb_read + nb_write indirect descriptors, used where the ring may;
 *   NULL: direct descriptors.
 * @param token  not NULL; comes back with the chain.
 * @return 0, or -ENOSPC.
 */
int fe_ring_add(struct fe_ring *ring, const struct fe_sg *sg, unsigned int nb_read,
		unsigned int nb_write, const struct fe_buf *table, void *token);

/**
 * Adds a chain whose nb descriptors are in an indirect table already, written by fe_ring_add().
 * @return 0, or -ENOSPC.
 */
int
fe_ring_add_table(struct fe_ring *ring, const struct fe_buf *table, unsigned int nb, void *token);

/** Shows the device what was added and kicks it where it asked for that. */
void fe_ring_publish(struct fe_ring *ring);

/** Kicks without asking. */
void fe_ring_kick(struct fe_ring *ring);

/**
 * Takes one used chain back. @return 1: *token and *len are set; 0: none; -EPROTO: the device
 * returned a chain that it did not have, or more than the ring holds.
 */
int fe_ring_pop(struct fe_ring *ring, void **token, uint32_t *len);

/** True when fe_ring_pop() would find something. */
bool fe_ring_ready(const struct fe_ring *ring);

/**
 * Waits for used chains: spinning with FE_RING_POLL, else in poll(2) on the call eventfd.
 * @return 1: there are; 0: timeout_ms went by.
 */
int fe_ring_wait(struct fe_ring *ring, unsigned int timeout_ms);

/** Replaces the call eventfd; fe_conn_ring_call() tells the device. @return 0 or -errno. */
int fe_ring_new_call(struct fe_ring *ring);

#endif /* FE_RING_H */
