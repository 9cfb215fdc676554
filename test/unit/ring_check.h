/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef RING_CHECK_H
#define RING_CHECK_H

/* What holds of the device's side of any ring, split or packed, in the memory of guest_ring.h. */

#include "weir_virtio.h"

#include "guest_ring.h"

/* The next pop finds the ring broken by this; it is started again. */
void WEIR_ON_WORKER ring_check_breaks(
		struct weir_vq *vq, const struct guest_ring *mem, enum weir_vq_error error);

/* The chain's 1 to max segments lie in the map, and their lengths add up to what it says. */
void ring_check_segments(const struct weir_memmap *map, const struct weir_chain *chain,
		const struct weir_seg *segs, uint32_t max);

#endif /* RING_CHECK_H */
