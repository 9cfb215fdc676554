/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef GUEST_RING_H
#define GUEST_RING_H

/**
 * @file
 * The driver's side of one split ring, for tests: guest memory of three regions between guard
 * pages, and the ring in the first. Regions 0 and 1 touch in guest memory but not in ours; region 2
 * lies alone.
 */

#include <linux/virtio_ring.h>
#include <stdint.h>

#include "weir_virtio.h"

#define GUEST_GPA0  0x100000ULL
#define GUEST_SIZE0 0x40000ULL
#define GUEST_GPA1  (GUEST_GPA0 + GUEST_SIZE0)
#define GUEST_SIZE1 0x10000ULL
#define GUEST_GPA2  0x200000ULL
#define GUEST_SIZE2 0x1000ULL

#define GUEST_DESC_GPA  (GUEST_GPA0 + 0x0)
#define GUEST_AVAIL_GPA (GUEST_GPA0 + 0x8000)
#define GUEST_USED_GPA  (GUEST_GPA0 + 0xc000)
/** Room for indirect tables, and for buffers behind it. */
#define GUEST_TABLE_GPA (GUEST_GPA0 + 0x10000)
#define GUEST_DATA_GPA  (GUEST_GPA0 + 0x20000)

struct guest_ring {
	struct weir_memmap *map;
	struct weir_vring_cfg cfg;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
};

/** Makes the memory. Ends the process when there is none: this is test code. */
void guest_ring_create(struct guest_ring *ring);
void guest_ring_destroy(struct guest_ring *ring);

/** An empty ring whose next avail and used entries are base. */
void guest_ring_reset(struct guest_ring *ring, uint32_t size, uint64_t features, uint16_t base);

/** Address of a guest physical address that has to be valid. */
void *guest_ring_at(struct guest_ring *ring, uint64_t gpa);

/** Writes one descriptor of any table. */
void
guest_ring_put(struct vring_desc *desc, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next);

/** Offers a chain. */
void guest_ring_offer(struct guest_ring *ring, uint16_t head);

/** The driver's two event index fields. */
uint16_t *guest_ring_used_event(struct guest_ring *ring);
uint16_t *guest_ring_avail_event(struct guest_ring *ring);

#endif /* GUEST_RING_H */
