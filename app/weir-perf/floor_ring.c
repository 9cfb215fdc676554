/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <unistd.h>

#include "floor.h"

struct table {
	const struct vring_desc *desc;
	uint32_t nb;
	uint32_t first;
};

/* Where the descriptors of a chain are. */
static bool
table_find(const struct floor *floor, const struct floor_ring *ring, uint16_t head,
		struct table *table)
{
	struct vring_desc desc = ring->desc[head];

	if ((desc.flags & VRING_DESC_F_INDIRECT) == 0) {
		*table = (struct table){ .desc = ring->desc, .nb = ring->size, .first = head };
		return true;
	}
	if (desc.len % sizeof(desc) != 0 || desc.len == 0 || desc.addr % sizeof(desc) != 0)
		return false;
	table->desc = floor_at(floor, desc.addr, desc.len);
	table->nb = desc.len / sizeof(desc);
	table->first = 0;
	return table->desc != NULL;
}

/* Takes a chain apart into what the driver wrote and room for the answer. */
static bool
chain_read(struct floor *floor, const struct table *table)
{
	uint32_t at = table->first;
	struct vring_desc desc;
	unsigned int nb;

	floor->nb_in = 0;
	floor->nb_out = 0;
	for (nb = 0; nb < table->nb; nb++) {
		desc = table->desc[at];
		if (!floor_add(floor, desc.addr, desc.len, desc.flags))
			return false;
		if ((desc.flags & VRING_DESC_F_NEXT) == 0)
			return true;
		at = desc.next;
		if (at >= table->nb)
			return false;
	}
	return false;
}

void
floor_call(const struct floor_ring *ring)
{
	const uint64_t one = 1;

	/* A full counter of the eventfd has told enough. */
	if (ring->callfd >= 0 && write(ring->callfd, &one, sizeof(one)) < 0)
		return;
}

static void
ring_notify(const struct floor *floor, const struct floor_ring *ring, uint16_t old)
{
	uint16_t event;
	bool wanted;

	/* Pairs with the driver's fence between asking for an interrupt and its last look. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (floor->features & FE_F_EVENT_IDX) {
		event = __atomic_load_n(&ring->avail->ring[ring->size], __ATOMIC_RELAXED);
		wanted = vring_need_event(event, ring->used_idx, old);
	} else {
		wanted = (__atomic_load_n(&ring->avail->flags, __ATOMIC_RELAXED) &
					 VRING_AVAIL_F_NO_INTERRUPT) == 0;
	}
	if (wanted)
		floor_call(ring);
}

/* Looks ahead: what the driver wrote is in another CPU's cache. */
static void
burst_prefetch(struct table *table, unsigned int nb, const struct floor *floor)
{
	unsigned int i;

	for (i = 0; i < nb; i++)
		__builtin_prefetch(table[i].desc + table[i].first);
	for (i = 0; i < nb; i++) {
		const struct vring_desc *desc = table[i].desc + table[i].first;
		const void *head = floor_at(floor, desc->addr, 1);

		if (head != NULL)
			__builtin_prefetch(head);
		if ((desc->flags & VRING_DESC_F_NEXT) == 0 || desc->next >= table[i].nb)
			continue;
		head = floor_at(floor, table[i].desc[desc->next].addr, 1);
		if (head != NULL)
			__builtin_prefetch(head);
	}
}

unsigned int
floor_poll_split(struct floor *floor, struct floor_ring *ring)
{
	uint16_t idx = __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE);
	unsigned int nb = (uint16_t)(idx - ring->last_avail);
	uint16_t mask = ring->size - 1;
	uint16_t old = ring->used_idx;
	struct table table[FLOOR_BURST];
	uint16_t head[FLOOR_BURST];
	unsigned int i;

	if (nb == 0)
		return 0;
	if (nb > ring->size) {
		ring->broken = true;
		return 0;
	}
	if (nb > FLOOR_BURST)
		nb = FLOOR_BURST;
	for (i = 0; i < nb; i++) {
		head[i] = ring->avail->ring[(ring->last_avail + i) & mask];
		if (head[i] >= ring->size || !table_find(floor, ring, head[i], &table[i])) {
			ring->broken = true;
			return 0;
		}
	}
	burst_prefetch(table, nb, floor);
	for (i = 0; i < nb; i++) {
		struct vring_used_elem *elem = &ring->used->ring[ring->used_idx & mask];

		if (!chain_read(floor, &table[i])) {
			ring->broken = true;
			break;
		}
		elem->id = head[i];
		elem->len = floor_answer(floor);
		ring->used_idx++;
	}
	ring->last_avail += i;
	/* Pairs with the driver's acquire: answers are whole when it sees the index. */
	__atomic_store_n(&ring->used->idx, ring->used_idx, __ATOMIC_RELEASE);
	ring_notify(floor, ring, old);
	return i;
}
