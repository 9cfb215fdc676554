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
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "weir_virtio.h"

/* What a walk collects; the limits are the caller's. Not seen by anybody else, it is in registers. */
struct vq_walk {
	struct weir_seg *segs; /* the next to fill */
	struct weir_seg *end;
	uint64_t bytes;
	/* Where to look first: the region of the buffer before. */
	uint64_t gpa;
	uint64_t size;
	uint16_t region;
	bool full; /* there were more segments than there is room for */
	/* Of the first writable buffer, or NULL: its segment, and the bytes before it. */
	struct weir_seg *out;
	uint64_t in_bytes;
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

/*
 * Translates a buffer. @return how many segments it is, room + 1 for more than there is room for;
 * -EFAULT.
 */
int vq_translate(const struct weir_vq *vq, uint64_t gpa, uint32_t len, struct weir_seg *segs,
		uint32_t room);

static inline void
vq_look_first(const struct weir_vq *vq, struct vq_walk *walk, uint16_t region)
{
	walk->gpa = vq->map->regions[region].gpa;
	walk->size = vq->map->regions[region].size;
	walk->region = region;
}

static inline void
vq_walk_begin(const struct weir_vq *vq, struct vq_walk *walk, struct weir_seg *segs,
		uint32_t max_segs)
{
	*walk = (struct vq_walk){ .segs = segs, .end = segs + max_segs };
	vq_look_first(vq, walk, vq->region);
}

/* weir_memmap_in_region() of the region to look in first. */
static inline bool
vq_is_there(const struct vq_walk *walk, uint64_t gpa, uint32_t len)
{
	return len <= walk->size && gpa - walk->gpa <= walk->size - len;
}

static inline enum weir_vq_error
vq_add_buffer(const struct weir_vq *vq, struct vq_walk *walk, uint64_t gpa, uint32_t len,
		uint16_t flags)
{
	struct weir_seg *seg = walk->segs;
	uint32_t room;
	int nb;

	if (!(flags & VRING_DESC_F_WRITE)) {
		if (unlikely(walk->out != NULL))
			return WEIR_VQ_BAD_ORDER;
	} else if (walk->out == NULL) {
		walk->out = seg;
		walk->in_bytes = walk->bytes;
	}
	if (unlikely(len == 0))
		return WEIR_VQ_BAD_LENGTH;
	walk->bytes += len;

	if (likely(vq_is_there(walk, gpa, len) && seg < walk->end)) {
		/* One by one: all of it at once would be cleared first. */
		seg->off = gpa - walk->gpa;
		seg->len = len;
		seg->region = walk->region;
		walk->segs++;
		return WEIR_VQ_OK;
	}
	room = walk->end - seg;
	nb = vq_translate(vq, gpa, len, seg, room);
	if (nb < 0)
		return WEIR_VQ_BAD_ADDRESS;
	walk->full = (uint32_t)nb > room;
	walk->segs += RTE_MIN((uint32_t)nb, room);
	if (!walk->full)
		vq_look_first(vq, walk, seg->region);
	return WEIR_VQ_OK;
}

/* What a good walk has found from segs on, but for the head; nothing where that is not all. */
static inline enum weir_vq_error
vq_walk_end(const struct vq_walk *walk, const struct weir_seg *segs, struct weir_chain *chain)
{
	const struct weir_seg *out = walk->out == NULL ? walk->segs : walk->out;
	uint64_t in_bytes = walk->out == NULL ? walk->bytes : walk->in_bytes;

	/* A chain holds at most 2^32 - 1 bytes (2.7.4.2 allows one more), so that its sums fit. */
	if (unlikely(walk->bytes > UINT32_MAX))
		return WEIR_VQ_BAD_LENGTH;
	chain->nb_in = out - segs;
	chain->nb_out = walk->segs - out;
	chain->in_bytes = (uint32_t)in_bytes;
	chain->out_bytes = (uint32_t)(walk->bytes - in_bytes);
	if (unlikely(walk->full))
		*chain = (struct weir_chain){ .head = 0 };
	return WEIR_VQ_OK;
}

/*
 * An indirect table has to lie in one region. Drivers allocate it as one piece of kernel memory,
 * which never crosses the border of two memory banks. Descriptors of both layouts are as long.
 */
static inline enum weir_vq_error
vq_indirect_table(const struct weir_vq *vq, const struct vq_walk *walk, uint64_t gpa, uint32_t len,
		uint16_t flags, const uint8_t **table, uint32_t *nb)
{
	struct weir_seg seg;

	if (!vq->indirect || flags & VRING_DESC_F_NEXT)
		return WEIR_VQ_BAD_INDIRECT;
	if (len == 0 || len % sizeof(struct vring_desc) != 0)
		return WEIR_VQ_BAD_LENGTH;

	*nb = len / sizeof(struct vring_desc);
	if (likely(vq_is_there(walk, gpa, len))) {
		*table = vq->map->regions[walk->region].addr + (gpa - walk->gpa);
		return WEIR_VQ_OK;
	}
	if (weir_memmap_translate(vq->map, gpa, len, &seg) < 0 || seg.len != len)
		return WEIR_VQ_BAD_ADDRESS;
	*table = weir_memmap_addr(vq->map, &seg);
	return WEIR_VQ_OK;
}

/* A descriptor that a pop will come to soon: where it leads, the table is fetched. Only a hint. */
static inline void
vq_prefetch_table(const struct weir_vq *vq, const void *desc)
{
	struct vring_desc hint;
	struct weir_seg seg;

	memcpy(&hint, desc, sizeof(hint));
	if (hint.flags & VRING_DESC_F_INDIRECT &&
			weir_memmap_in_region(vq->map, vq->region, hint.addr, 1, &seg))
		rte_prefetch0(weir_memmap_addr(vq->map, &seg));
}

/* packed.c; each as the function of weir_virtio.h whose name it has. */
bool packed_bases_are_good(const struct weir_vring_cfg *cfg);
/* How far avail_base is ahead of used_base, in slots. */
uint32_t packed_distance(const struct weir_vring_cfg *cfg);
unsigned int WEIR_ON_WORKER packed_look(const struct weir_vq *vq, unsigned int max);
int WEIR_ON_WORKER packed_pop(struct weir_vq *vq, struct weir_chain *chain, struct weir_seg *segs,
		uint32_t max_segs);
void WEIR_ON_WORKER packed_unpop(struct weir_vq *vq, uint16_t id);
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
