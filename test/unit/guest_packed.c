/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <string.h>

#include "guest_packed.h"

#define AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1U << VRING_PACKED_DESC_F_USED)

void
guest_packed_reset(struct guest_packed *ring, uint32_t size, uint64_t features, uint16_t base)
{
	uint32_t i;

	guest_ring_reset(&ring->mem, 2, features | WEIR_VIRTIO_F_RING_PACKED, 0);
	ring->mem.cfg.size = size;
	ring->mem.cfg.avail_base = base;
	ring->mem.cfg.used_base = base;
	ring->desc = (void *)ring->mem.desc;
	ring->driver = (void *)ring->mem.avail;
	ring->device = (void *)ring->mem.used;
	memset(ring->driver, 0, sizeof(*ring->driver));
	memset(ring->device, 0, sizeof(*ring->device));
	ring->avail = base;
	ring->used = base;
	/* What a turn before left behind: all of it used. */
	for (i = 0; i < size; i++) {
		bool wrap = base & 0x8000;

		if (i < (base & 0x7fffU) ? wrap : !wrap)
			ring->desc[i].flags = AVAIL | USED;
	}
}

uint16_t
guest_packed_forth(const struct guest_packed *ring, uint16_t place, uint32_t slots)
{
	uint32_t at = (place & 0x7fffU) + slots;
	uint32_t wrap = place & 0x8000U;

	for (; at >= ring->mem.cfg.size; at -= ring->mem.cfg.size)
		wrap ^= 0x8000U;
	return wrap | at;
}

void
guest_packed_offer(struct guest_packed *ring, const struct guest_buf *buf, uint32_t nb, uint16_t id)
{
	struct vring_packed_desc *first = &ring->desc[ring->avail & 0x7fffU];
	uint16_t flags = 0;
	uint32_t i;

	for (i = 0; i < nb; i++) {
		struct vring_packed_desc *desc = &ring->desc[ring->avail & 0x7fffU];
		uint16_t own = buf[i].flags | (ring->avail & 0x8000U ? AVAIL : USED);

		desc->addr = buf[i].gpa;
		desc->len = buf[i].len;
		desc->id = i + 1 == nb ? id : 0xffff;
		if (i == 0)
			flags = own;
		else
			desc->flags = own;
		ring->avail = guest_packed_forth(ring, ring->avail, 1);
	}
	__atomic_store_n(&first->flags, flags, __ATOMIC_RELEASE);
}

bool
guest_packed_kicks(const struct guest_packed *ring, uint32_t nb)
{
	uint16_t at = ring->avail & 0x7fffU, event;
	uint32_t wish;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wish = __atomic_load_n((const uint32_t *)(const void *)ring->device, __ATOMIC_RELAXED);
	if (wish >> 16 != VRING_PACKED_EVENT_FLAG_DESC)
		return wish >> 16 != VRING_PACKED_EVENT_FLAG_DISABLE;
	event = wish & 0x7fffU;
	if ((wish ^ ring->avail) & 0x8000U)
		event -= ring->mem.cfg.size;
	return vring_need_event(event, at, at - nb);
}

void
guest_packed_want(struct guest_packed *ring)
{
	bool event_idx = ring->mem.cfg.features & WEIR_VIRTIO_F_EVENT_IDX;
	uint32_t flags = event_idx ? VRING_PACKED_EVENT_FLAG_DESC : VRING_PACKED_EVENT_FLAG_ENABLE;

	__atomic_store_n((uint32_t *)(void *)ring->driver, flags << 16 | ring->used,
			__ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

const struct vring_packed_desc *
guest_packed_used(const struct guest_packed *ring)
{
	const struct vring_packed_desc *desc = &ring->desc[ring->used & 0x7fffU];
	uint16_t both = ring->used & 0x8000U ? AVAIL | USED : 0;
	uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);

	return (flags & (AVAIL | USED)) == both ? desc : NULL;
}
