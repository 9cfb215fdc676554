/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef GUEST_PACKED_H
#define GUEST_PACKED_H

/**
 * @file
 * The driver's side of one packed ring, for tests, in the memory of guest_ring.h. A place is a slot
 * with the wrap counter in bit 15.
 */

#include "guest_ring.h"

#define GUEST_FIRST_TURN 0x8000U

struct guest_packed {
	struct guest_ring mem; /* its split ring is not used */
	struct vring_packed_desc *desc;
	struct vring_packed_desc_event *driver; /* where interrupts are asked for */
	struct vring_packed_desc_event *device; /* where kicks are */
	uint16_t avail; /* place of the next descriptor to offer */
	uint16_t used; /* place of the next used entry */
};

struct guest_buf {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags; /* NEXT is the caller's, too */
};

/** An empty ring that stands at base. The memory is made by guest_ring_create(&ring->mem). */
void guest_packed_reset(struct guest_packed *ring, uint32_t size, uint64_t features, uint16_t base);

/** Place that many slots further. */
uint16_t guest_packed_forth(const struct guest_packed *ring, uint16_t place, uint32_t slots);

/** Offers nb descriptors in a row, the last with id; the first one's flags come last. */
void guest_packed_offer(
		struct guest_packed *ring, const struct guest_buf *buf, uint32_t nb, uint16_t id);

/** Does an offer of nb slots that has just been made ask for a kick? */
bool guest_packed_kicks(const struct guest_packed *ring, uint32_t nb);

/** Asks for an interrupt at the next used entry, by event index or for any. */
void guest_packed_want(struct guest_packed *ring);

/** The next used entry, or NULL; the caller moves ring->used by what it took. */
const struct vring_packed_desc *guest_packed_used(const struct guest_packed *ring);

#endif /* GUEST_PACKED_H */
