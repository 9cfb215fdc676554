/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include "floor.h"

/*
 * A place in the ring is a slot, and the wrap counter in bit 15. Whatever is taken is answered before
 * the next look, in order: used entries go where the chains began, and there is but one place.
 */
#define PLACE_WRAP 0x8000u

#define F_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define F_USED  (1u << VRING_PACKED_DESC_F_USED)

struct chain {
	const struct vring_packed_desc *table;
	uint32_t nb; /* descriptors in it */
	uint32_t first;
	uint16_t place;
	uint16_t id;
};

static struct vring_packed_desc *
packed_desc(const struct floor_ring *ring, uint16_t place)
{
	return (struct vring_packed_desc *)(void *)ring->desc + (place & (ring->size - 1));
}

static uint16_t
place_forth(const struct floor_ring *ring, uint16_t place, uint32_t slots)
{
	uint32_t slot = (place & (ring->size - 1)) + slots;

	return (slot & (ring->size - 1)) | ((slot < ring->size ? place : ~place) & PLACE_WRAP);
}

/* Finds the chain at a place. @return how many slots it has; 0: none; -1: the driver broke a rule. */
static int
chain_find(const struct floor *floor, const struct floor_ring *ring, uint16_t place,
		struct chain *chain)
{
	const struct vring_packed_desc *desc = packed_desc(ring, place);
	/* Pairs with the driver's release: the chain is whole when these flags are seen. */
	uint16_t flags = __atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE);
	uint32_t len, slots = 1;

	if ((flags & (F_AVAIL | F_USED)) != (place & PLACE_WRAP ? F_AVAIL : F_USED))
		return 0;
	chain->place = place;
	if (flags & VRING_DESC_F_INDIRECT) {
		len = desc->len;
		chain->id = desc->id;
		chain->table = floor_at(floor, desc->addr, len);
		chain->nb = len / sizeof(*desc);
		chain->first = 0;
		return chain->table != NULL && chain->nb > 0 && len % sizeof(*desc) == 0 ? 1 : -1;
	}
	while (flags & VRING_DESC_F_NEXT) {
		if (slots == ring->size)
			return -1;
		desc = packed_desc(ring, place + slots++);
		flags = desc->flags;
	}
	chain->id = desc->id;
	chain->table = packed_desc(ring, 0);
	chain->nb = slots;
	chain->first = place & (ring->size - 1);
	return slots;
}

static const struct vring_packed_desc *
chain_desc(const struct floor_ring *ring, const struct chain *chain, uint32_t i)
{
	uint32_t at = chain->first + i;

	/* In a table nothing goes round. */
	return &chain->table[chain->table == packed_desc(ring, 0) ? at & (ring->size - 1) : at];
}

static bool
chain_read(struct floor *floor, const struct floor_ring *ring, const struct chain *chain)
{
	uint32_t i;

	floor->nb_in = 0;
	floor->nb_out = 0;
	for (i = 0; i < chain->nb; i++) {
		const struct vring_packed_desc *desc = chain_desc(ring, chain, i);

		if (!floor_add(floor, desc->addr, desc->len, desc->flags))
			return false;
	}
	return true;
}

/* As in a split ring: the first two buffers are what is touched first. */
static void
burst_prefetch(const struct floor *floor, const struct floor_ring *ring, const struct chain *chain,
		unsigned int nb)
{
	unsigned int i;
	uint32_t j;

	for (i = 0; i < nb; i++)
		__builtin_prefetch(chain_desc(ring, &chain[i], 0));
	for (i = 0; i < nb; i++) {
		for (j = 0; j < 2 && j < chain[i].nb; j++) {
			const void *at = floor_at(floor, chain_desc(ring, &chain[i], j)->addr, 1);

			if (at != NULL)
				__builtin_prefetch(at);
		}
	}
}

/* Does the driver want to be told of what was used, up to the ring's place now? */
static bool
ring_wants(const struct floor *floor, const struct floor_ring *ring, uint32_t slots)
{
	uint32_t wish;
	uint16_t event;

	/* Pairs with the driver's fence between asking for an interrupt and its last look. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wish = __atomic_load_n((const uint32_t *)(const void *)ring->avail, __ATOMIC_RELAXED);
	if (wish >> 16 == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (wish >> 16 != VRING_PACKED_EVENT_FLAG_DESC || (floor->features & FE_F_EVENT_IDX) == 0)
		return true;
	event = wish & ~PLACE_WRAP;
	if ((wish ^ ring->last_avail) & PLACE_WRAP)
		event -= ring->size;
	return (uint16_t)((ring->last_avail & ~PLACE_WRAP) - event - 1) < slots;
}

/* Answers what was found. @return how many; *held are the flags that show the driver all of them. */
static unsigned int
burst_answer(struct floor *floor, struct floor_ring *ring, const struct chain *chain,
		unsigned int nb, uint16_t *held)
{
	unsigned int i;

	for (i = 0; i < nb; i++) {
		struct vring_packed_desc *desc = packed_desc(ring, chain[i].place);
		uint16_t flags = chain[i].place & PLACE_WRAP ? F_AVAIL | F_USED : 0;
		uint32_t len;

		if (!chain_read(floor, ring, &chain[i])) {
			ring->broken = true;
			break;
		}
		len = floor_answer(floor);
		desc->id = chain[i].id;
		desc->len = len;
		flags |= len > 0 ? VRING_DESC_F_WRITE : 0;
		/* It looks at no entry behind one that it does not see. */
		if (i == 0)
			*held = flags;
		else
			__atomic_store_n(&desc->flags, flags, __ATOMIC_RELAXED);
	}
	return i;
}

unsigned int
floor_poll_packed(struct floor *floor, struct floor_ring *ring)
{
	struct chain chain[FLOOR_BURST];
	uint16_t place = ring->last_avail;
	uint16_t held = 0;
	unsigned int nb = 0;
	uint32_t slots = 0;

	while (nb < FLOOR_BURST) {
		int rc = chain_find(floor, ring, place, &chain[nb]);

		if (rc == 0)
			break;
		if (rc < 0 || slots + rc > ring->size) {
			ring->broken = true;
			return 0;
		}
		place = place_forth(ring, place, rc);
		slots += rc;
		nb++;
	}
	if (nb == 0)
		return 0;
	burst_prefetch(floor, ring, chain, nb);
	if (burst_answer(floor, ring, chain, nb, &held) < nb)
		return 0;
	/* Pairs with the driver's acquire: answers are whole when it sees these flags. */
	__atomic_store_n(&packed_desc(ring, ring->last_avail)->flags, held, __ATOMIC_RELEASE);
	ring->last_avail = place;
	if (ring_wants(floor, ring, slots))
		floor_call(ring);
	return nb;
}
