/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_debug.h>

#include "weir_virtio.h"

#include "vq.h"

static_assert(RTE_BYTE_ORDER == RTE_LITTLE_ENDIAN, "rings are little-endian, and read as they are");
static_assert(sizeof(struct vring_desc) == 16, "virtio 1.2, 2.7.5");
static_assert(sizeof(struct vring_used_elem) == 8, "virtio 1.2, 2.7.8");

static const char *const error_names[WEIR_VQ_NB_ERRORS] = {
	[WEIR_VQ_OK] = "ok",
	[WEIR_VQ_BAD_AVAIL] = "bad_avail",
	[WEIR_VQ_BAD_HEAD] = "bad_head",
	[WEIR_VQ_BAD_ID] = "bad_id",
	[WEIR_VQ_BAD_NEXT] = "bad_next",
	[WEIR_VQ_LOOP] = "loop",
	[WEIR_VQ_BAD_ADDRESS] = "bad_address",
	[WEIR_VQ_BAD_LENGTH] = "bad_length",
	[WEIR_VQ_BAD_INDIRECT] = "bad_indirect",
	[WEIR_VQ_BAD_ORDER] = "bad_order",
	[WEIR_VQ_BROKEN_MEMORY] = "broken_memory",
};

const char *
weir_vq_error_name(enum weir_vq_error error)
{
	return (unsigned int)error < WEIR_VQ_NB_ERRORS ? error_names[error] : "unknown";
}

/* The field behind avail->ring: the driver wants an interrupt when this used entry is written. */
static const uint16_t *
vq_used_event(const struct weir_vq *vq)
{
	const struct vring_avail *avail = vq->avail;

	return &avail->ring[vq->size];
}

/* The field behind used->ring: we want a kick when this avail entry is written. */
static uint16_t *
vq_avail_event(const struct weir_vq *vq)
{
	struct vring_used *used = vq->used;

	return (uint16_t *)&used->ring[vq->size];
}

/* Whole in one region and aligned for us: a region may start at any byte of its file. */
static int
vq_locate(const struct weir_memmap *map, uint64_t gpa, uint64_t len, uint32_t align, void **addr)
{
	struct weir_seg seg;

	if (gpa % align != 0)
		return -EINVAL;
	if (weir_memmap_translate(map, gpa, len, &seg) < 0 || seg.len != len)
		return -EFAULT;

	*addr = weir_memmap_addr(map, &seg);
	return (uintptr_t)*addr % align == 0 ? 0 : -EINVAL;
}

/* Relaxed: a hint. Where it matters, weir_vq_arm() puts the fence behind it. */
static void
vq_kicks(const struct weir_vq *vq, uint16_t event, uint16_t flags)
{
	struct vring_used *used = vq->used;

	if (vq->event_idx)
		__atomic_store_n(vq_avail_event(vq), event, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&used->flags, flags, __ATOMIC_RELAXED);
}

/* With event index there is no "never": an event just behind us is a whole turn of 2^16 away. */
static void
vq_suppress_kicks(const struct weir_vq *vq)
{
	if (vq->packed)
		packed_suppress_kicks(vq);
	else
		vq_kicks(vq, vq->last_avail - 1, VRING_USED_F_NO_NOTIFY);
}

/* Our addresses of a ring's three parts. */
struct vq_parts {
	void *desc, *avail, *used;
};

static int
vq_find_parts(const struct weir_memmap *map, const struct weir_vring_cfg *cfg,
		struct vq_parts *parts)
{
	uint64_t event = cfg->features & WEIR_VIRTIO_F_EVENT_IDX ? sizeof(uint16_t) : 0;
	uint64_t avail_bytes = sizeof(struct vring_avail) + cfg->size * sizeof(uint16_t) + event;
	uint64_t used_bytes = sizeof(struct vring_used) +
			cfg->size * sizeof(struct vring_used_elem) + event;
	uint32_t avail_align = 2;
	int rc;

	if (cfg->features & WEIR_VIRTIO_F_RING_PACKED) {
		avail_bytes = sizeof(struct vring_packed_desc_event);
		used_bytes = sizeof(struct vring_packed_desc_event);
		avail_align = 4;
	}
	rc = vq_locate(map, cfg->desc_gpa, (uint64_t)cfg->size * sizeof(struct vring_desc), 16,
			&parts->desc);
	if (rc == 0)
		rc = vq_locate(map, cfg->avail_gpa, avail_bytes, avail_align, &parts->avail);
	if (rc == 0)
		rc = vq_locate(map, cfg->used_gpa, used_bytes, 4, &parts->used);
	return rc;
}

static bool
vq_cfg_is_good(const struct weir_vring_cfg *cfg)
{
	if (cfg->size < 2 || cfg->size > WEIR_VQ_MAX_SIZE)
		return false;
	if (cfg->features & WEIR_VIRTIO_F_RING_PACKED)
		return packed_bases_are_good(cfg);
	return rte_is_power_of_2(cfg->size) &&
			(uint16_t)(cfg->avail_base - cfg->used_base) <= cfg->size;
}

/* From here on the ring is read and written through these parts; kicks are suppressed. */
static void
vq_set_parts(struct weir_vq *vq, const struct weir_memmap *map, const struct vq_parts *parts)
{
	struct vring_used *used = parts->used;

	vq->map = map;
	vq->region = 0;
	vq->desc = parts->desc;
	vq->avail = parts->avail;
	vq->used = parts->used;
	/* With event index the flags mean nothing and have to be 0 (2.7.10.1). */
	if (!vq->packed)
		__atomic_store_n(&used->flags, 0, __ATOMIC_RELAXED);
	vq_suppress_kicks(vq);
}

int WEIR_ON_WORKER
weir_vq_start(struct weir_vq *vq, const struct weir_memmap *map, const struct weir_vring_cfg *cfg)
{
	struct vq_parts parts;
	int rc;

	if (!vq_cfg_is_good(cfg))
		return -EINVAL;
	rc = vq_find_parts(map, cfg, &parts);
	if (rc < 0)
		return rc;

	*vq = (struct weir_vq){
		.size = cfg->size,
		.packed = cfg->features & WEIR_VIRTIO_F_RING_PACKED,
		.event_idx = cfg->features & WEIR_VIRTIO_F_EVENT_IDX,
		.indirect = cfg->features & WEIR_VIRTIO_F_INDIRECT_DESC,
		.last_avail = cfg->avail_base,
		.used_idx = cfg->used_base,
		.used_seen = cfg->used_base,
		.avail_seen = cfg->avail_base,
		.stats = vq->stats,
	};
	if (vq->packed)
		vq->nb_taken = packed_distance(cfg);
	vq_set_parts(vq, map, &parts);
	return 0;
}

int WEIR_ON_WORKER
weir_vq_remap(struct weir_vq *vq, const struct weir_memmap *map, const struct weir_vring_cfg *cfg)
{
	struct vq_parts parts;
	int rc;

	rc = vq_find_parts(map, cfg, &parts);
	if (rc < 0)
		return rc;
	/* What was seen of the avail ring was seen through the old map. */
	vq->avail_seen = vq->last_avail;
	vq->error = WEIR_VQ_OK;
	vq->armed = false;
	vq_set_parts(vq, map, &parts);
	return 0;
}

void WEIR_ON_WORKER
weir_vq_stop(struct weir_vq *vq, struct weir_vring_base *base)
{
	base->avail = vq->last_avail;
	base->used = vq->used_seen;
	vq->map = NULL;
	vq->error = WEIR_VQ_OK;
	vq->armed = false;
}

int __rte_noinline
vq_translate(const struct weir_vq *vq, uint64_t gpa, uint32_t len, struct weir_seg *segs,
		uint32_t room)
{
	struct weir_seg seg;
	uint32_t nb;

	for (nb = 0; len > 0; nb++, len -= seg.len, gpa += seg.len) {
		if (weir_memmap_translate(vq->map, gpa, len, &seg) < 0)
			return -EFAULT;
		if (nb == room)
			return (int)room + 1;
		segs[nb] = seg;
	}
	return (int)nb;
}

/*
 * In two words, which stay in registers. The barrier holds the compiler to this one read: what is
 * checked is what is used.
 */
static inline void
vq_copy_desc(struct vring_desc *desc, const uint8_t *from)
{
	uint64_t addr, rest;

	memcpy(&addr, from, sizeof(addr));
	memcpy(&rest, from + sizeof(addr), sizeof(rest));
	atomic_signal_fence(memory_order_seq_cst);
	*desc = (struct vring_desc){
		.addr = addr,
		.len = (uint32_t)rest,
		.flags = (uint16_t)(rest >> 32),
		.next = (uint16_t)(rest >> 48),
	};
}

static inline enum weir_vq_error
vq_walk_chain(const struct weir_vq *vq, uint16_t head, struct vq_walk *walk)
{
	const uint32_t most = RTE_MIN(vq->size, (uint32_t)WEIR_VQ_MAX_CHAIN);
	uint32_t idx = head, nb = vq->size, left = most;
	const uint8_t *table = vq->desc;
	enum weir_vq_error error;
	struct vring_desc desc;
	bool indirect = false;

	for (;;) {
		if (unlikely(left-- == 0))
			return WEIR_VQ_LOOP;
		vq_copy_desc(&desc, table + idx * sizeof(desc));

		if (desc.flags & VRING_DESC_F_INDIRECT) {
			/* The ring's own table may be the one that it leads to. */
			if (indirect)
				return WEIR_VQ_BAD_INDIRECT;
			indirect = true;
			error = vq_indirect_table(
					vq, walk, desc.addr, desc.len, desc.flags, &table, &nb);
			if (error != WEIR_VQ_OK)
				return error;
			left = RTE_MIN(nb, WEIR_VQ_MAX_CHAIN - (most - left));
			idx = 0;
			continue;
		}

		error = vq_add_buffer(vq, walk, desc.addr, desc.len, desc.flags);
		if (error != WEIR_VQ_OK || walk->full || !(desc.flags & VRING_DESC_F_NEXT))
			return error;
		idx = desc.next;
		if (unlikely(idx >= nb))
			return WEIR_VQ_BAD_NEXT;
	}
}

/*
 * Reads avail->idx. The acquire pairs with the driver's write barrier between filling entries and
 * moving the index: entries and descriptors up to it are complete.
 */
static bool
vq_look(struct weir_vq *vq)
{
	const struct vring_avail *avail = vq->avail;

	vq->avail_seen = __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE);
	/* Entries not given back yet still occupy the ring. */
	return (uint16_t)(vq->avail_seen - vq->used_idx) <= vq->size &&
			(uint16_t)(vq->avail_seen - vq->last_avail) <= vq->size;
}

static uint16_t
vq_head(const struct weir_vq *vq, uint16_t idx)
{
	const struct vring_avail *avail = vq->avail;

	return __atomic_load_n(&avail->ring[idx & (vq->size - 1)], __ATOMIC_RELAXED);
}

/* Heads and descriptors are read here for a hint, and once more, to be checked, by the pop. */
static unsigned int WEIR_ON_WORKER
vq_look_ahead(struct weir_vq *vq, unsigned int max)
{
	const struct vring_desc *desc = vq->desc;
	uint16_t i, head, nb = vq->avail_seen - vq->last_avail;

	if (nb < max && unlikely(!vq_look(vq))) {
		/* The pop looks again, and says so. */
		vq->avail_seen = vq->last_avail;
		return 1;
	}
	nb = RTE_MIN((uint16_t)(vq->avail_seen - vq->last_avail), max);
	for (i = 0; i < nb; i++) {
		head = vq_head(vq, vq->last_avail + i);
		rte_prefetch0(&desc[head & (vq->size - 1)]);
	}
	for (i = 0; i < nb; i++) {
		head = vq_head(vq, vq->last_avail + i);
		vq_prefetch_table(vq, &desc[head & (vq->size - 1)]);
	}
	return nb;
}

unsigned int WEIR_ON_WORKER
weir_vq_look(struct weir_vq *vq, unsigned int max)
{
	if (unlikely(vq->error != WEIR_VQ_OK))
		return 0;
	return vq->packed ? packed_look(vq, max) : vq_look_ahead(vq, max);
}

static int WEIR_ON_WORKER
vq_pop(struct weir_vq *vq, struct weir_chain *chain, struct weir_seg *segs, uint32_t max_segs)
{
	enum weir_vq_error error;
	struct vq_walk walk;
	uint16_t head;

	if (vq->avail_seen == vq->last_avail) {
		if (unlikely(!vq_look(vq)))
			return vq_fail(vq, WEIR_VQ_BAD_AVAIL);
		if (vq->avail_seen == vq->last_avail)
			return 0;
	}

	head = vq_head(vq, vq->last_avail);
	if (unlikely(head >= vq->size))
		return vq_fail(vq, WEIR_VQ_BAD_HEAD);
	vq_walk_begin(vq, &walk, segs, max_segs);
	error = vq_walk_chain(vq, head, &walk);
	if (likely(error == WEIR_VQ_OK))
		error = vq_walk_end(&walk, segs, chain);
	if (unlikely(error != WEIR_VQ_OK))
		return vq_fail(vq, error);

	vq->region = segs[0].region;
	vq->last_avail++;
	vq->stats.chains++;
	chain->head = head;
	return likely(!walk.full) ? 1 : -ENOBUFS;
}

int WEIR_ON_WORKER
weir_vq_pop(struct weir_vq *vq, struct weir_chain *chain, struct weir_seg *segs, uint32_t max_segs)
{
	if (unlikely(vq->error != WEIR_VQ_OK))
		return 0;
	if (unlikely(vq_memory_broken(vq)))
		return vq_fail(vq, WEIR_VQ_BROKEN_MEMORY);
	if (vq->packed)
		return packed_pop(vq, chain, segs, max_segs);
	return vq_pop(vq, chain, segs, max_segs);
}

void WEIR_ON_WORKER
weir_vq_unpop(struct weir_vq *vq, uint16_t head)
{
	if (vq->packed) {
		packed_unpop(vq, head);
		return;
	}
	vq->last_avail--;
	vq->stats.chains--;
}

void WEIR_ON_WORKER
weir_vq_push(struct weir_vq *vq, uint16_t head, uint32_t bytes)
{
	struct vring_used *used = vq->used;

	if (vq->packed) {
		packed_push(vq, head, bytes);
		return;
	}
	RTE_ASSERT((uint16_t)(vq->last_avail - vq->used_idx) > 0);
	used->ring[vq->used_idx & (vq->size - 1)] =
			(struct vring_used_elem){ .id = head, .len = bytes };
	vq->used_idx++;
	vq->nb_untold++;
	vq->stats.used++;
}

void WEIR_ON_WORKER
weir_vq_publish(struct weir_vq *vq)
{
	struct vring_used *used = vq->used;

	/* A whole turn of a packed ring would change the wrap counter. */
	if (vq->used_idx == vq->used_seen)
		return;
	/* Pairs with the driver's read barrier behind reading used->idx: entries come first. */
	if (vq->packed)
		packed_publish(vq);
	else
		__atomic_store_n(&used->idx, vq->used_idx, __ATOMIC_RELEASE);
	vq->used_seen = vq->used_idx;
}

/* Does the driver want to be told of what was published since it was asked last? */
static bool
vq_wants_interrupt(const struct weir_vq *vq)
{
	const struct vring_avail *avail = vq->avail;
	uint16_t event;

	if (!vq->event_idx)
		return !(__atomic_load_n(&avail->flags, __ATOMIC_RELAXED) &
				VRING_AVAIL_F_NO_INTERRUPT);
	event = __atomic_load_n(vq_used_event(vq), __ATOMIC_RELAXED);
	return (uint16_t)(vq->used_idx - event - 1) < vq->nb_untold;
}

bool WEIR_ON_WORKER
weir_vq_flush(struct weir_vq *vq)
{
	bool wanted;

	if (vq->nb_untold == 0)
		return false;
	weir_vq_publish(vq);
	/*
	 * Pairs with the driver's full barrier between asking for an interrupt and looking once more
	 * at what was published: it sees our entries, or we see its wish.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	wanted = vq->packed ? packed_wants_interrupt(vq) : vq_wants_interrupt(vq);
	vq->nb_untold = 0;
	if (wanted)
		vq->stats.interrupts++;
	else
		vq->stats.suppressed++;
	return wanted;
}

static bool WEIR_ON_WORKER
vq_arm(struct weir_vq *vq)
{
	const struct vring_avail *avail = vq->avail;

	vq_kicks(vq, vq->last_avail, 0);
	/*
	 * Pairs with the driver's full barrier between moving avail->idx and reading what we just
	 * wrote: it sees our wish and kicks, or we see its entry.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	return __atomic_load_n(&avail->idx, __ATOMIC_RELAXED) != vq->last_avail;
}

bool WEIR_ON_WORKER
weir_vq_arm(struct weir_vq *vq)
{
	bool entries;

	if (vq->error != WEIR_VQ_OK)
		return false;
	vq->armed = true;
	entries = vq->packed ? packed_arm(vq) : vq_arm(vq);
	return entries || vq_memory_broken(vq);
}

void WEIR_ON_WORKER
weir_vq_disarm(struct weir_vq *vq)
{
	if (!vq->armed)
		return;
	vq->armed = false;
	vq_suppress_kicks(vq);
}

/* opaque[0] is the index up to which entries were taken. A race is of no harm: waits are bounded. */
static int
vq_has_entries(const uint64_t avail_idx, const uint64_t opaque[RTE_POWER_MONITOR_OPAQUE_SZ])
{
	return avail_idx == opaque[0] ? 0 : -1;
}

void WEIR_ON_WORKER
weir_vq_monitor(const struct weir_vq *vq, struct rte_power_monitor_cond *cond)
{
	struct vring_avail *avail = vq->avail;

	if (vq->packed) {
		packed_monitor(vq, cond);
		return;
	}
	*cond = (struct rte_power_monitor_cond){
		.addr = &avail->idx,
		.size = sizeof(avail->idx),
		.fn = vq_has_entries,
		.opaque[0] = vq->last_avail,
	};
}
