/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef VQ_H
#define VQ_H

/*
 * What both layouts of a ring share, and what packed.c does for vq.c, which is the way in for both.
 * The walks are inlined into each layout: they are most of what a request costs here.
 */

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir_virtio.h"

/* What a walk collects; the limits are the caller's. */
struct vq_walk {
	struct weir_chain *chain;
	struct weir_seg *segs;
	uint32_t max_segs;
	uint32_t nb_descs;
	uint64_t bytes;
	bool full; /* there were more segments than max_segs */
};

static inline bool
vq_memory_broken(const struct weir_vq *vq)
{
	return atomic_load_explicit(&vq->map->broken, memory_order_relaxed);
}

static inline int
vq_fail(struct weir_vq *vq, enum weir_vq_error error)
{
	/* The zeroes that stand in for memory taken away look like any other broken rule. */
	if (vq_memory_broken(vq))
		error = WEIR_VQ_BROKEN_MEMORY;
	vq->error = error;
	vq->stats.errors[error]++;
	return -EPROTO;
}

static inline enum weir_vq_error
vq_add_buffer(const struct weir_vq *vq, struct vq_walk *walk, uint64_t gpa, uint32_t left,
		uint16_t flags)
{
	bool writable = flags & VRING_DESC_F_WRITE;
	struct weir_chain *chain = walk->chain;
	uint32_t *bytes = writable ? &chain->out_bytes : &chain->in_bytes;
	uint32_t *nb = writable ? &chain->nb_out : &chain->nb_in;
	struct weir_seg seg;

	/* A chain holds at most 2^32 - 1 bytes (2.7.4.2 allows one more), so that its sums fit. */
	walk->bytes += left;
	if (left == 0 || walk->bytes > UINT32_MAX)
		return WEIR_VQ_BAD_LENGTH;
	if (!writable && chain->out_bytes > 0)
		return WEIR_VQ_BAD_ORDER;

	*bytes += left;
	for (; left > 0; left -= seg.len, gpa += seg.len) {
		if (weir_memmap_translate(vq->map, gpa, left, &seg) < 0)
			return WEIR_VQ_BAD_ADDRESS;
		walk->full = chain->nb_in + chain->nb_out == walk->max_segs;
		if (walk->full)
			return WEIR_VQ_OK;
		walk->segs[chain->nb_in + chain->nb_out] = seg;
		*nb += 1;
	}
	return WEIR_VQ_OK;
}

/*
 * An indirect table has to lie in one region. Drivers allocate it as one piece of kernel memory,
 * which never crosses the border of two memory banks. Descriptors of both layouts are as long.
 */
static inline enum weir_vq_error
vq_indirect_table(const struct weir_vq *vq, uint64_t gpa, uint32_t len, uint16_t flags,
		const uint8_t **table, uint32_t *nb)
{
	struct weir_seg seg;

	if (!vq->indirect || flags & VRING_DESC_F_NEXT)
		return WEIR_VQ_BAD_INDIRECT;
	if (len == 0 || len % sizeof(struct vring_desc) != 0)
		return WEIR_VQ_BAD_LENGTH;
	if (weir_memmap_translate(vq->map, gpa, len, &seg) < 0 || seg.len != len)
		return WEIR_VQ_BAD_ADDRESS;

	*table = weir_memmap_addr(vq->map, &seg);
	*nb = len / sizeof(struct vring_desc);
	return WEIR_VQ_OK;
}

/* packed.c; each as the function of weir_virtio.h whose name it has. */
bool packed_bases_are_good(const struct weir_vring_cfg *cfg);
/* How far avail_base is ahead of used_base, in slots. */
uint32_t packed_distance(const struct weir_vring_cfg *cfg);
int WEIR_ON_WORKER packed_pop(struct weir_vq *vq, struct vq_walk *walk);
void WEIR_ON_WORKER packed_unpop(struct weir_vq *vq);
void WEIR_ON_WORKER packed_push(struct weir_vq *vq, uint16_t id, uint32_t bytes);
/* There is something to publish. */
void WEIR_ON_WORKER packed_publish(struct weir_vq *vq);
/* For any of the nb_untold slots. */
bool WEIR_ON_WORKER packed_wants_interrupt(const struct weir_vq *vq);
/* Asks for the kick. @return true when there are entries already. */
bool WEIR_ON_WORKER packed_arm(struct weir_vq *vq);
void packed_suppress_kicks(const struct weir_vq *vq);
void packed_monitor(const struct weir_vq *vq, struct rte_power_monitor_cond *cond);

#endif /* VQ_H */
