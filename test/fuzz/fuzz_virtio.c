/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Takes the input for what a guest puts into its memory: how a ring of either layout starts, which
 * heads it offers, its descriptors, and behind those the tables that they may point to. Holds: a chain lies in guest
 * memory (which has guard pages around it), adds up, and is one of those offered.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "weir_virtio.h"

#include "../unit/guest_packed.h"
#include "../unit/guest_ring.h"
#include "fuzz.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

#define TABLE_BYTES 4096

struct start {
	uint8_t size_log2;
	uint8_t event_idx;
	uint8_t indirect;
	uint8_t nb_heads;
	uint16_t base;
	uint16_t skew; /* added to avail->idx */
	uint8_t max_segs;
	uint8_t broken;
	uint8_t unpop;
	uint8_t packed;
	uint8_t reserved[4];
};

static struct weir_seg segs[256];

static void
check_chain(const struct guest_ring *ring, const struct weir_chain *chain)
{
	const struct weir_mem_region *region;
	uint64_t bytes[2] = { 0, 0 };
	uint32_t i;

	for (i = 0; i < chain->nb_in + chain->nb_out; i++) {
		CHECK(segs[i].region < ring->map->nb_regions);
		region = &ring->map->regions[segs[i].region];
		CHECK(segs[i].len > 0 && segs[i].off < region->size);
		CHECK(segs[i].len <= region->size - segs[i].off);
		bytes[i >= chain->nb_in] += segs[i].len;
	}
	CHECK(bytes[0] == chain->in_bytes && bytes[1] == chain->out_bytes);
}

static void WEIR_ON_WORKER
serve(struct guest_ring *ring, struct weir_vq *vq, uint32_t max_segs, uint32_t unpops)
{
	struct weir_chain chain;
	uint32_t taken = 0;
	int rc;

	CHECK(weir_vq_look(vq, 8) <= 8);
	while ((rc = weir_vq_pop(vq, &chain, segs, max_segs)) != 0 && rc != -EPROTO) {
		CHECK(rc == 1 || rc == -ENOBUFS);
		CHECK(chain.head < ring->cfg.size && chain.nb_in + chain.nb_out <= max_segs);
		if (rc == 1)
			check_chain(ring, &chain);
		if (unpops > 0) {
			unpops--;
			weir_vq_unpop(vq, chain.head);
			continue;
		}
		/* A packed ring's first slot may be offered twice before it is seen as used. */
		CHECK(++taken <= ring->cfg.size + vq->packed);
		weir_vq_push(vq, chain.head, chain.out_bytes);
		if (taken % 4 == 0)
			weir_vq_publish(vq);
	}
	CHECK((vq->error == WEIR_VQ_OK) == (rc == 0));
	weir_vq_flush(vq);
	CHECK(weir_vq_arm(vq) == false || vq->error == WEIR_VQ_OK);
	weir_vq_disarm(vq);
}

/* Copies up to max bytes off the input. */
static void
take(const uint8_t **data, size_t *size, void *dst, size_t max)
{
	size_t n = RTE_MIN(*size, max);

	memcpy(dst, *data, n);
	*data += n;
	*size -= n;
}

/* Any head, and what avail->idx says of how many there are. */
static void
offer_split(struct guest_ring *ring, const struct start *start, uint32_t entries, uint64_t features,
		const uint8_t *heads)
{
	uint32_t i;

	guest_ring_reset(ring, entries, features, start->base);
	for (i = 0; i < start->nb_heads; i++)
		guest_ring_offer(ring, heads[i]);
	ring->avail->idx += start->skew;
}

/* The bits that make a descriptor available, so that inputs need not find them one by one. */
static void
offer_packed(struct guest_packed *ring, uint32_t nb)
{
	uint16_t avail = 1U << VRING_PACKED_DESC_F_AVAIL, used = 1U << VRING_PACKED_DESC_F_USED;
	uint32_t i;

	for (i = 0; i < nb; i++) {
		struct vring_packed_desc *desc = &ring->desc[ring->avail & 0x7fffU];

		desc->flags &= ~(avail | used);
		desc->flags |= ring->avail & GUEST_FIRST_TURN ? avail : used;
		ring->avail = guest_packed_forth(ring, ring->avail, 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest_packed packed;
	struct guest_ring *ring = &packed.mem;
	struct weir_vring_base base;
	struct start start = { 0 };
	struct weir_vq vq = { 0 };
	uint8_t heads[256] = { 0 };
	uint64_t features;
	uint32_t entries;

	weir_role_assume_worker();
	if (ring->map == NULL)
		guest_ring_create(ring);
	take(&data, &size, &start, sizeof(start));
	take(&data, &size, heads, start.nb_heads);

	entries = 2U << start.size_log2 % 8;
	features = (start.event_idx & 1 ? WEIR_VIRTIO_F_EVENT_IDX : 0) |
			(start.indirect & 1 ? WEIR_VIRTIO_F_INDIRECT_DESC : 0);
	if (start.packed & 1)
		guest_packed_reset(&packed, entries, features,
				start.base % entries | (start.base & GUEST_FIRST_TURN));
	else
		offer_split(ring, &start, entries, features, heads);
	memset(guest_ring_at(ring, GUEST_TABLE_GPA), 0, TABLE_BYTES);
	take(&data, &size, ring->desc, entries * sizeof(ring->desc[0]));
	take(&data, &size, guest_ring_at(ring, GUEST_TABLE_GPA), TABLE_BYTES);
	if (start.packed & 1)
		offer_packed(&packed, start.nb_heads);

	CHECK(weir_vq_start(&vq, ring->map, &ring->cfg) == 0);
	atomic_store(&ring->map->broken, start.broken == 1);
	serve(ring, &vq, 1 + start.max_segs % RTE_DIM(segs), start.unpop);
	weir_vq_stop(&vq, &base);
	if (start.packed & 1)
		CHECK((base.avail & 0x7fffU) < entries && (base.used & 0x7fffU) < entries);
	else
		CHECK((uint16_t)(base.avail - base.used) <= entries);
	return 0;
}
