/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <assert.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_debug.h>

#include "weir_virtio.h"

#include "vq.h"

static_assert(sizeof(struct vring_packed_desc) == 16, "virtio 1.2, 2.8.13");
static_assert(sizeof(struct vring_packed_desc_event) == 4, "virtio 1.2, 2.8.14");

/*
 * One ring for both sides. A place in it is a slot and the wrap counter of the turn, as event
 * structures and vhost-user write it. What a chain occupies is given back as a whole, at the place
 * of the next used entry, which says nothing of how long the chain was: that is kept by its id.
 *
 *          used_seen    used_idx          last_avail
 *   |---------|############|==================|--------|
 *             staged       nb_taken slots      the driver's, or free
 */
#define PLACE_SLOT 0x7fffU
#define PLACE_WRAP 0x8000U

#define F_AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define F_USED  (1U << VRING_PACKED_DESC_F_USED)

static inline uint16_t
place_forth(const struct weir_vq *vq, uint16_t place, uint16_t slots)
{
	uint32_t slot = (place & PLACE_SLOT) + slots;

	if (slot < vq->size)
		return place + slots;
	return (slot - vq->size) | (~place & PLACE_WRAP);
}

static inline uint16_t
place_back(const struct weir_vq *vq, uint16_t place, uint16_t slots)
{
	uint32_t slot = place & PLACE_SLOT;

	if (slot >= slots)
		return place - slots;
	return (slot + vq->size - slots) | (~place & PLACE_WRAP);
}

static struct vring_packed_desc *
packed_desc(const struct weir_vq *vq, uint16_t place)
{
	return (struct vring_packed_desc *)(uintptr_t)vq->desc + (place & PLACE_SLOT);
}

uint32_t
packed_distance(const struct weir_vring_cfg *cfg)
{
	uint32_t turn = (cfg->avail_base ^ cfg->used_base) & PLACE_WRAP ? cfg->size : 0;

	return turn + (cfg->avail_base & PLACE_SLOT) - (cfg->used_base & PLACE_SLOT);
}

bool
packed_bases_are_good(const struct weir_vring_cfg *cfg)
{
	return (cfg->avail_base & PLACE_SLOT) < cfg->size &&
			(cfg->used_base & PLACE_SLOT) < cfg->size &&
			packed_distance(cfg) <= cfg->size;
}

/*
 * Is a slot the driver's to give, and given? 2.8.1: its AVAIL bit is the wrap counter, its USED bit
 * is not. The acquire pairs with the driver's write barrier before it sets the flags of a chain's
 * first descriptor: the rest of the chain is complete.
 */
static bool
packed_given(const struct weir_vq *vq, uint16_t place, uint16_t *flags)
{
	uint16_t given = place & PLACE_WRAP ? F_AVAIL : F_USED;

	*flags = __atomic_load_n(&packed_desc(vq, place)->flags, __ATOMIC_ACQUIRE);
	return (*flags & (F_AVAIL | F_USED)) == given;
}

/* The barrier holds the compiler to this one read: what is checked is what is used. */
static void
packed_copy(struct vring_packed_desc *desc, const void *from)
{
	memcpy(desc, from, sizeof(*desc));
	atomic_signal_fence(memory_order_seq_cst);
}

/* 2.8.7: in a table the write flag is the only one that means anything, and order is the link. */
static enum weir_vq_error
packed_walk_table(const struct weir_vq *vq, struct vq_walk *walk,
		const struct vring_packed_desc *indirect)
{
	enum weir_vq_error error;
	struct vring_packed_desc desc;
	const uint8_t *table;
	uint32_t i, nb;

	error = vq_indirect_table(
			vq, walk, indirect->addr, indirect->len, indirect->flags, &table, &nb);
	if (error != WEIR_VQ_OK)
		return error;
	if (nb >= WEIR_VQ_MAX_CHAIN)
		return WEIR_VQ_LOOP;
	for (i = 0; i < nb && !walk->full; i++) {
		packed_copy(&desc, table + i * sizeof(desc));
		error = vq_add_buffer(vq, walk, desc.addr, desc.len, desc.flags);
		if (error != WEIR_VQ_OK)
			return error;
	}
	return WEIR_VQ_OK;
}

/*
 * A chain lies in a row and its last descriptor has its id, so that one with too many segments is
 * walked to its end all the same. flags are those that said that the first one is available.
 */
static enum weir_vq_error
packed_walk(const struct weir_vq *vq, struct vq_walk *walk, uint16_t flags, uint16_t *id,
		uint16_t *nb_slots)
{
	uint32_t nb_descs, room = vq->size - vq->nb_taken;
	uint16_t place = vq->last_avail;
	struct vring_packed_desc desc;
	enum weir_vq_error error;

	/* What we have not given back cannot be given to us. */
	if (room == 0)
		return WEIR_VQ_BAD_AVAIL;
	packed_copy(&desc, packed_desc(vq, place));
	desc.flags = flags;
	for (nb_descs = 1;; nb_descs++) {
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			/* 2.8.19: alone, not in a chain. */
			if (nb_descs > 1)
				return WEIR_VQ_BAD_INDIRECT;
			error = packed_walk_table(vq, walk, &desc);
		} else {
			error = vq_add_buffer(vq, walk, desc.addr, desc.len, desc.flags);
		}
		if (error != WEIR_VQ_OK)
			return error;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			break;
		if (nb_descs == room)
			return WEIR_VQ_LOOP;
		place = place_forth(vq, place, 1);
		packed_copy(&desc, packed_desc(vq, place));
	}
	*id = desc.id;
	*nb_slots = nb_descs;
	return desc.id < vq->size && vq->slots[desc.id] == 0 ? WEIR_VQ_OK : WEIR_VQ_BAD_ID;
}

/* Where chains begin is not known before they are walked; what is given lies in a row. */
unsigned int WEIR_ON_WORKER
packed_look(const struct weir_vq *vq, unsigned int max)
{
	uint16_t place = vq->last_avail, flags;
	unsigned int i;

	if (!packed_given(vq, place, &flags))
		return 0;
	max = RTE_MIN(max, vq->size);
	for (i = 0; i < max; i++, place = place_forth(vq, place, 1))
		rte_prefetch0(packed_desc(vq, place));
	for (i = 0, place = vq->last_avail; i < max; i++, place = place_forth(vq, place, 1)) {
		if (!packed_given(vq, place, &flags))
			break;
		vq_prefetch_table(vq, packed_desc(vq, place));
	}
	return i;
}

int WEIR_ON_WORKER
packed_pop(struct weir_vq *vq, struct weir_chain *chain, struct weir_seg *segs, uint32_t max_segs)
{
	enum weir_vq_error error;
	uint16_t flags, id = 0, nb_slots = 0;
	struct vq_walk walk;

	if (!packed_given(vq, vq->last_avail, &flags))
		return 0;
	vq_walk_begin(vq, &walk, segs, max_segs);
	error = packed_walk(vq, &walk, flags, &id, &nb_slots);
	if (likely(error == WEIR_VQ_OK))
		error = vq_walk_end(&walk, segs, chain);
	if (unlikely(error != WEIR_VQ_OK))
		return vq_fail(vq, error);

	vq->region = segs[0].region;
	vq->slots[id] = nb_slots;
	vq->nb_taken += nb_slots;
	vq->last_avail = place_forth(vq, vq->last_avail, nb_slots);
	vq->stats.chains++;
	chain->head = id;
	return likely(!walk.full) ? 1 : -ENOBUFS;
}

void WEIR_ON_WORKER
packed_unpop(struct weir_vq *vq, uint16_t id)
{
	uint16_t slots = vq->slots[id];

	vq->slots[id] = 0;
	vq->nb_taken -= slots;
	vq->last_avail = place_back(vq, vq->last_avail, slots);
	vq->stats.chains--;
}

/*
 * A driver reads used entries in their order and no further than to the first that is not there yet.
 * All of a batch but the first may therefore get their flags at once: nobody looks at them before
 * packed_publish() writes those of the first.
 */
void WEIR_ON_WORKER
packed_push(struct weir_vq *vq, uint16_t id, uint32_t bytes)
{
	struct vring_packed_desc *desc = packed_desc(vq, vq->used_idx);
	uint16_t flags = (vq->used_idx & PLACE_WRAP ? F_AVAIL | F_USED : 0) |
			(bytes > 0 ? VRING_DESC_F_WRITE : 0);
	uint16_t slots = vq->slots[id];

	RTE_ASSERT(slots > 0 && slots <= vq->nb_taken);
	desc->id = id;
	desc->len = bytes;
	if (vq->used_idx == vq->used_seen)
		vq->first_flags = flags;
	else
		__atomic_store_n(&desc->flags, flags, __ATOMIC_RELAXED);
	vq->slots[id] = 0;
	vq->nb_taken -= slots;
	vq->nb_untold += slots;
	vq->used_idx = place_forth(vq, vq->used_idx, slots);
	vq->stats.used++;
}

/* 2.8.10: is the place that the driver named among the slots just given back? */
static bool
packed_passed(const struct weir_vq *vq, uint16_t event, uint32_t staged)
{
	uint16_t slot = event & PLACE_SLOT;

	if ((event ^ vq->used_idx) & PLACE_WRAP)
		slot -= vq->size;
	return (uint16_t)((vq->used_idx & PLACE_SLOT) - slot - 1) < staged;
}

void WEIR_ON_WORKER
packed_publish(struct weir_vq *vq)
{
	/* Pairs with the driver's read barrier behind reading these flags: the batch comes first. */
	__atomic_store_n(&packed_desc(vq, vq->used_seen)->flags, vq->first_flags, __ATOMIC_RELEASE);
}

bool WEIR_ON_WORKER
packed_wants_interrupt(const struct weir_vq *vq)
{
	/* Place and flags of the wish are read as one, for it may be changing. */
	uint32_t event = __atomic_load_n((const uint32_t *)vq->avail, __ATOMIC_RELAXED);

	switch (event >> 16 & 3) {
	case VRING_PACKED_EVENT_FLAG_DISABLE:
		return false;
	case VRING_PACKED_EVENT_FLAG_DESC:
		return !vq->event_idx || packed_passed(vq, event, vq->nb_untold);
	default:
		return true;
	}
}

/* Place and flags in one store: the driver reads them as one. */
static void
packed_kicks(const struct weir_vq *vq, uint16_t flags)
{
	__atomic_store_n((uint32_t *)vq->used, (uint32_t)flags << 16 | vq->last_avail,
			__ATOMIC_RELAXED);
}

void
packed_suppress_kicks(const struct weir_vq *vq)
{
	packed_kicks(vq, VRING_PACKED_EVENT_FLAG_DISABLE);
}

bool WEIR_ON_WORKER
packed_arm(struct weir_vq *vq)
{
	uint16_t flags;

	packed_kicks(vq,
			vq->event_idx ? VRING_PACKED_EVENT_FLAG_DESC :
					VRING_PACKED_EVENT_FLAG_ENABLE);
	/*
	 * Pairs with the driver's full barrier between setting a descriptor's flags and reading what
	 * we just wrote: it sees our wish and kicks, or we see its entry.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	return packed_given(vq, vq->last_avail, &flags);
}

/* opaque[0] is what the two bits of an available descriptor are. */
static int
packed_has_entries(const uint64_t flags, const uint64_t opaque[RTE_POWER_MONITOR_OPAQUE_SZ])
{
	return (flags & (F_AVAIL | F_USED)) == opaque[0] ? -1 : 0;
}

void
packed_monitor(const struct weir_vq *vq, struct rte_power_monitor_cond *cond)
{
	struct vring_packed_desc *desc = packed_desc(vq, vq->last_avail);

	*cond = (struct rte_power_monitor_cond){
		.addr = &desc->flags,
		.size = sizeof(desc->flags),
		.fn = packed_has_entries,
		.opaque[0] = vq->last_avail & PLACE_WRAP ? F_AVAIL : F_USED,
	};
}
