/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FE_PACKED_H
#define FE_PACKED_H

/**
 * @file
 * The driver's side of a packed virtqueue (virtio 1.2, section 2.8), behind the functions of
 * fe_ring.h whose names these have.
 */

#include "fe_ring.h"

/** Where a ring starts whose first turn begins: slot 0, with the wrap counter in bit 15. */
#define FE_PACKED_BASE 0x8000U

int fe_packed_place(struct fe_ring *ring, struct fe_mem *mem);
void fe_packed_reset(struct fe_ring *ring);
int fe_packed_add(struct fe_ring *ring, const struct fe_sg *sg, unsigned int nb_read,
		unsigned int nb_write, const struct fe_buf *table, void *token);
int
fe_packed_add_table(struct fe_ring *ring, const struct fe_buf *table, unsigned int nb, void *token);
/** @return true when the device wants a kick for what was shown. */
bool fe_packed_publish(struct fe_ring *ring);
int fe_packed_pop(struct fe_ring *ring, void **token, uint32_t *len);
bool fe_packed_ready(const struct fe_ring *ring);
/** Asks for an interrupt at the next used entry. */
void fe_packed_want(struct fe_ring *ring);

#endif /* FE_PACKED_H */
