/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>

#include "fe_packed.h"

#define AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1U << VRING_PACKED_DESC_F_USED)

#define SLOT 0x7fffU
#define WRAP 0x8000U

static struct vring_packed_desc *
packed_desc(const struct fe_ring *ring, uint16_t place)
{
	return (struct vring_packed_desc *)(void *)ring->desc + (place & SLOT);
}

static uint16_t
packed_forth(const struct fe_ring *ring, uint16_t place, uint16_t slots)
{
	unsigned int slot = (place & SLOT) + slots;

	if (slot < ring->size)
		return place + slots;
	return (slot - ring->size) | (~place & WRAP);
}

int
fe_packed_place(struct fe_ring *ring, struct fe_mem *mem)
{
	struct fe_buf desc, driver, device;
	int rc;

	rc = fe_mem_alloc(mem, ring->size * sizeof(struct vring_packed_desc), 16, &desc);
	if (rc == 0)
		rc = fe_mem_alloc(mem, sizeof(struct vring_packed_desc_event), 4, &driver);
	if (rc == 0)
		rc = fe_mem_alloc(mem, sizeof(struct vring_packed_desc_event), 4, &device);
	if (rc < 0)
		return rc;

	ring->desc = desc.va;
	ring->avail = driver.va;
	ring->used = device.va;
	ring->desc_gpa = desc.gpa;
	ring->avail_gpa = driver.gpa;
	ring->used_gpa = device.gpa;
	return 0;
}

void
fe_packed_reset(struct fe_ring *ring)
{
	uint32_t flags = ring->flags & FE_RING_POLL ? VRING_PACKED_EVENT_FLAG_DISABLE :
						      VRING_PACKED_EVENT_FLAG_ENABLE;
	uint16_t i;

	memset(ring->desc, 0, ring->size * sizeof(struct vring_packed_desc));
	for (i = 0; i < ring->size; i++) {
		ring->id[i].next = i + 1;
		ring->token[i] = NULL;
	}
	ring->base = FE_PACKED_BASE;
	ring->free_head = 0;
	ring->nb_free = ring->size;
	ring->avail_idx = FE_PACKED_BASE;
	ring->published = FE_PACKED_BASE;
	ring->last_used = FE_PACKED_BASE;
	ring->nb_added = 0;
	*(uint32_t *)(void *)ring->used = 0;
	*(uint32_t *)(void *)ring->avail = flags << 16;
}

/*
 * One descriptor in the next slot. The device stops at the first one that is not available yet, so
 * that the flags of a batch's first descriptor show it all of the batch.
 */
static void
packed_put(struct fe_ring *ring, uint64_t gpa, uint32_t len, uint16_t id, uint16_t flags)
{
	struct vring_packed_desc *desc = packed_desc(ring, ring->avail_idx);

	flags |= ring->avail_idx & WRAP ? AVAIL : USED;
	desc->addr = gpa;
	desc->len = len;
	desc->id = id;
	if (ring->nb_added == 0)
		ring->first_flags = flags;
	else
		__atomic_store_n(&desc->flags, flags, __ATOMIC_RELAXED);
	ring->nb_added++;
	ring->nb_free--;
	ring->avail_idx = packed_forth(ring, ring->avail_idx, 1);
}

/* There are no fewer ids than slots. */
static uint16_t
packed_take_id(struct fe_ring *ring, uint16_t slots, void *token)
{
	uint16_t id = ring->free_head;

	ring->free_head = ring->id[id].next;
	ring->id[id].slots = slots;
	ring->token[id] = token;
	return id;
}

int
fe_packed_add_table(struct fe_ring *ring, const struct fe_buf *table, unsigned int nb, void *token)
{
	if (ring->nb_free < 1)
		return -ENOSPC;
	packed_put(ring, table->gpa, nb * sizeof(struct vring_packed_desc),
			packed_take_id(ring, 1, token), VRING_DESC_F_INDIRECT);
	return 0;
}

int
fe_packed_add(struct fe_ring *ring, const struct fe_sg *sg, unsigned int nb_read,
		unsigned int nb_write, const struct fe_buf *table, void *token)
{
	unsigned int nb = nb_read + nb_write, i;
	uint16_t id;

	if (table != NULL && nb > 1 && (ring->flags & FE_RING_INDIRECT)) {
		struct vring_packed_desc *entry = table->va;

		if (nb > table->len / sizeof(*entry))
			return -ENOSPC;
		for (i = 0; i < nb; i++)
			entry[i] = (struct vring_packed_desc){ sg[i].gpa, sg[i].len, 0,
				i < nb_read ? 0 : VRING_DESC_F_WRITE };
		return fe_packed_add_table(ring, table, nb, token);
	}

	if (ring->nb_free < nb)
		return -ENOSPC;
	id = packed_take_id(ring, nb, token);
	for (i = 0; i < nb; i++)
		packed_put(ring, sg[i].gpa, sg[i].len, id,
				(i < nb_read ? 0 : VRING_DESC_F_WRITE) |
						(i + 1 < nb ? VRING_DESC_F_NEXT : 0));
	return 0;
}

bool
fe_packed_publish(struct fe_ring *ring)
{
	uint16_t at = ring->avail_idx & SLOT, nb = ring->nb_added, event;
	uint32_t wish;

	if (nb == 0)
		return false;
	/* Pairs with the device's read of these flags: it sees the whole batch behind them. */
	__atomic_store_n(&packed_desc(ring, ring->published)->flags, ring->first_flags,
			__ATOMIC_RELEASE);
	ring->published = ring->avail_idx;
	ring->nb_added = 0;

	/* Pairs with the device's fence between asking for kicks and its last look at the flags. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wish = __atomic_load_n((const uint32_t *)(const void *)ring->used, __ATOMIC_RELAXED);
	if (wish >> 16 != VRING_PACKED_EVENT_FLAG_DESC)
		return wish >> 16 != VRING_PACKED_EVENT_FLAG_DISABLE;
	event = wish & SLOT;
	if ((wish ^ ring->avail_idx) & WRAP)
		event -= ring->size;
	return vring_need_event(event, at, at - nb);
}

bool
fe_packed_ready(const struct fe_ring *ring)
{
	uint16_t both = ring->last_used & WRAP ? AVAIL | USED : 0;

	/* Pairs with the device's release of these flags: answers are whole when they are seen. */
	return (__atomic_load_n(&packed_desc(ring, ring->last_used)->flags, __ATOMIC_ACQUIRE) &
			       (AVAIL | USED)) == both &&
			ring->nb_free < ring->size;
}

int
fe_packed_pop(struct fe_ring *ring, void **token, uint32_t *len)
{
	const struct vring_packed_desc *desc;
	uint16_t id;

	if (!fe_packed_ready(ring))
		return 0;
	desc = packed_desc(ring, ring->last_used);
	id = desc->id;
	if (id >= ring->size || ring->token[id] == NULL)
		return -EPROTO;

	*token = ring->token[id];
	*len = desc->flags & VRING_DESC_F_WRITE ? desc->len : 0;
	ring->token[id] = NULL;
	ring->last_used = packed_forth(ring, ring->last_used, ring->id[id].slots);
	ring->nb_free += ring->id[id].slots;
	ring->id[id].next = ring->free_head;
	ring->free_head = id;
	return 1;
}

void
fe_packed_want(struct fe_ring *ring)
{
	uint32_t flags = ring->flags & FE_RING_EVENT_IDX ? VRING_PACKED_EVENT_FLAG_DESC :
							   VRING_PACKED_EVENT_FLAG_ENABLE;

	__atomic_store_n((uint32_t *)(void *)ring->avail, flags << 16 | ring->last_used,
			__ATOMIC_RELAXED);
}
