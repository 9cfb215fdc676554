/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_virtio.h"

#include "guest_ring.h"

#define W VRING_DESC_F_WRITE
#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT

#define EVENT    WEIR_VIRTIO_F_EVENT_IDX
#define INDIRECT WEIR_VIRTIO_F_INDIRECT_DESC

#define MAX_SEGS 16

/* One ring, its device side, and what the last pop gave. */
static struct guest_ring ring;
static struct weir_vq vq;
static struct weir_chain chain;
static struct weir_seg segs[MAX_SEGS];

static void WEIR_ON_WORKER
start(uint32_t size, uint64_t features, uint16_t base)
{
	guest_ring_reset(&ring, size, features, base);
	memset(&vq, 0, sizeof(vq));
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), 0);
}

static int WEIR_ON_WORKER
pop(void)
{
	return weir_vq_pop(&vq, &chain, segs, MAX_SEGS);
}

/* A chain of one writable buffer on every descriptor. */
static void
fill_simple(void)
{
	uint32_t i;

	for (i = 0; i < ring.cfg.size; i++)
		guest_ring_put(&ring.desc[i], GUEST_DATA_GPA + i * 64, 64, W, 0);
}

static void WEIR_ON_WORKER
assert_pop_fails(enum weir_vq_error error)
{
	struct weir_vring_base base;

	assert_int_equal(pop(), -EPROTO);
	assert_int_equal(vq.error, error);
	assert_int_equal(vq.stats.errors[error], 1);
	/* Broken is found once, stays, asks for nothing, and ends with the next start. */
	assert_int_equal(pop(), 0);
	assert_false(weir_vq_arm(&vq));
	assert_int_equal(vq.stats.errors[error], 1);
	weir_vq_stop(&vq, &base);
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), 0);
	assert_int_equal(vq.error, WEIR_VQ_OK);
}

static void WEIR_ON_WORKER
vq_start_bad_size_is_refused(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 3, 48, 2048, 65536, 0x80000000 };
	unsigned int i;

	for (i = 0; i < RTE_DIM(sizes); i++) {
		guest_ring_reset(&ring, 16, 0, 0);
		ring.cfg.size = sizes[i];
		assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EINVAL);
	}
}

static void WEIR_ON_WORKER
vq_start_misaligned_part_is_refused(void **state)
{
	guest_ring_reset(&ring, 16, 0, 0);
	ring.cfg.desc_gpa += 8;
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EINVAL);
	guest_ring_reset(&ring, 16, 0, 0);
	ring.cfg.avail_gpa += 1;
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EINVAL);
	guest_ring_reset(&ring, 16, 0, 0);
	ring.cfg.used_gpa += 2;
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EINVAL);
}

/* Aligned for the guest, but the region itself starts at an odd byte of our mapping. */
static void WEIR_ON_WORKER
vq_start_region_at_odd_address_is_refused(void **state)
{
	guest_ring_reset(&ring, 16, 0, 0);
	ring.map->regions[0].addr += 2;
	ring.map->regions[0].size -= 2;
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EINVAL);
	ring.map->regions[0].addr -= 2;
	ring.map->regions[0].size += 2;
}

static void WEIR_ON_WORKER
vq_start_part_outside_memory_is_refused(void **state)
{
	static const uint64_t gpas[] = {
		0, GUEST_GPA2 + GUEST_SIZE2, /* just behind */
		GUEST_GPA2 + GUEST_SIZE2 - 16, /* the start only */
		GUEST_GPA1 - 16, /* across two regions */
		UINT64_MAX - 15, /* wraps around */
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(gpas); i++) {
		guest_ring_reset(&ring, 16, 0, 0);
		ring.cfg.desc_gpa = gpas[i];
		assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EFAULT);
		guest_ring_reset(&ring, 16, 0, 0);
		ring.cfg.avail_gpa = gpas[i];
		assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EFAULT);
		guest_ring_reset(&ring, 16, 0, 0);
		ring.cfg.used_gpa = gpas[i];
		assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EFAULT);
	}
}

/* The field that event index adds behind a ring is part of it only when negotiated. */
static void WEIR_ON_WORKER
vq_start_event_field_outside_memory_is_refused(void **state)
{
	guest_ring_reset(&ring, 16, 0, 0);
	ring.cfg.used_gpa = GUEST_GPA2 + GUEST_SIZE2 - (4 + 16 * 8);
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), 0);
	ring.cfg.features |= EVENT;
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EFAULT);
}

static void WEIR_ON_WORKER
vq_start_bases_too_far_apart_is_refused(void **state)
{
	guest_ring_reset(&ring, 16, 0, 3);
	ring.cfg.used_base = (uint16_t)(3 - 16);
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), 0);
	ring.cfg.used_base = (uint16_t)(3 - 17);
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EINVAL);
	ring.cfg.used_base = 4;
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), -EINVAL);
}

static void WEIR_ON_WORKER
vq_pop_empty_ring_returns_0(void **state)
{
	start(16, 0, 7);
	assert_int_equal(pop(), 0);
	assert_int_equal(vq.error, WEIR_VQ_OK);
}

static void WEIR_ON_WORKER
vq_pop_direct_chain_gives_both_parts(void **state)
{
	start(16, 0, 0);
	guest_ring_put(&ring.desc[5], GUEST_DATA_GPA, 40, N, 2);
	guest_ring_put(&ring.desc[2], GUEST_DATA_GPA + 0x1000, 100, N, 9);
	guest_ring_put(&ring.desc[9], GUEST_GPA2, 16, N | W, 0);
	guest_ring_put(&ring.desc[0], GUEST_GPA1 + 8, 4096, W, 77);
	guest_ring_offer(&ring, 5);

	assert_int_equal(pop(), 1);
	assert_int_equal(chain.head, 5);
	assert_int_equal(chain.nb_in, 2);
	assert_int_equal(chain.nb_out, 2);
	assert_int_equal(chain.in_bytes, 140);
	assert_int_equal(chain.out_bytes, 4112);
	assert_int_equal(segs[0].off, GUEST_DATA_GPA - GUEST_GPA0);
	assert_int_equal(segs[0].len, 40);
	assert_int_equal(segs[2].region, 2);
	assert_int_equal(segs[3].region, 1);
	assert_int_equal(segs[3].off, 8);
	assert_int_equal(vq.stats.chains, 1);
	assert_int_equal(pop(), 0);
}

static void WEIR_ON_WORKER
vq_pop_indirect_table_is_followed(void **state)
{
	struct vring_desc *table;

	start(4, INDIRECT, 0);
	/* A table need not be aligned, nor be used in order, nor be smaller than the ring. */
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	guest_ring_put(&table[0], GUEST_DATA_GPA, 40, N, 6);
	guest_ring_put(&table[6], GUEST_DATA_GPA + 64, 8, N, 1);
	guest_ring_put(&table[1], GUEST_DATA_GPA + 128, 16, W, 0);
	guest_ring_put(&ring.desc[3], GUEST_TABLE_GPA, 7 * sizeof(*table), I, 0);
	guest_ring_offer(&ring, 3);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.head, 3);
	assert_int_equal(chain.nb_in, 2);
	assert_int_equal(chain.nb_out, 1);

	memmove((uint8_t *)table + 3, table, 7 * sizeof(*table));
	guest_ring_put(&ring.desc[3], GUEST_TABLE_GPA + 3, 7 * sizeof(*table), I, 0);
	guest_ring_offer(&ring, 3);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.in_bytes, 48);
	assert_int_equal(chain.out_bytes, 16);
}

/* 2.7.5.3.2: direct descriptors may come before the indirect one, whose write flag is ignored. */
static void WEIR_ON_WORKER
vq_pop_indirect_behind_direct_is_followed(void **state)
{
	struct vring_desc *table;

	start(16, INDIRECT, 0);
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 40, N, 1);
	guest_ring_put(&ring.desc[1], GUEST_TABLE_GPA, 2 * sizeof(*table), I | W, 0);
	guest_ring_put(&table[0], GUEST_DATA_GPA + 64, 8, N, 1);
	guest_ring_put(&table[1], GUEST_DATA_GPA + 128, 16, W, 0);
	guest_ring_offer(&ring, 0);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.nb_in, 2);
	assert_int_equal(chain.nb_out, 1);
}

static void WEIR_ON_WORKER
vq_pop_buffer_across_regions_is_split(void **state)
{
	start(16, 0, 0);
	guest_ring_put(&ring.desc[0], GUEST_GPA1 - 100, 1000, W, 0);
	guest_ring_offer(&ring, 0);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.nb_out, 2);
	assert_int_equal(chain.out_bytes, 1000);
	assert_int_equal(segs[0].region, 0);
	assert_int_equal(segs[0].len, 100);
	assert_int_equal(segs[1].region, 1);
	assert_int_equal(segs[1].off, 0);
	assert_int_equal(segs[1].len, 900);
}

/* 17 buffers, or 16 one of which is split, for room of 16. */
static void WEIR_ON_WORKER
vq_pop_too_many_segments_takes_the_chain(void **state)
{
	uint16_t i;

	start(32, 0, 0);
	for (i = 0; i < MAX_SEGS; i++)
		guest_ring_put(&ring.desc[i], GUEST_DATA_GPA, 8, N | W, i + 1);
	guest_ring_put(&ring.desc[MAX_SEGS - 1], GUEST_GPA1 - 8, 16, W, 0);
	guest_ring_put(&ring.desc[MAX_SEGS], GUEST_DATA_GPA, 8, W, 0);
	guest_ring_offer(&ring, 0);
	guest_ring_offer(&ring, 1);
	guest_ring_offer(&ring, MAX_SEGS);

	assert_int_equal(pop(), -ENOBUFS);
	assert_int_equal(chain.head, 0);
	assert_int_equal(chain.nb_in + chain.nb_out, 0);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.nb_out, MAX_SEGS);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.head, MAX_SEGS);
	weir_vq_push(&vq, 0, 0);
	assert_true(weir_vq_flush(&vq));
	assert_int_equal(ring.used->ring[0].len, 0);
}

static void WEIR_ON_WORKER
vq_indices_wrap_around_16_bits(void **state)
{
	uint32_t i;

	start(16, EVENT, 0xfff0);
	fill_simple();
	for (i = 0; i < 64; i++) {
		*guest_ring_used_event(&ring) = ring.used->idx;
		guest_ring_offer(&ring, i % 16);
		assert_int_equal(pop(), 1);
		assert_int_equal(chain.head, i % 16);
		assert_int_equal(pop(), 0);
		weir_vq_push(&vq, chain.head, i);
		assert_true(weir_vq_flush(&vq));
		assert_int_equal(ring.used->idx, (uint16_t)(0xfff0 + i + 1));
		assert_int_equal(ring.used->ring[i % 16].id, i % 16);
		assert_int_equal(ring.used->ring[i % 16].len, i);
	}
	assert_int_equal(vq.last_avail, 0x30);
}

static void WEIR_ON_WORKER
vq_full_ring_is_popped_whole(void **state)
{
	uint32_t i;

	start(16, 0, 0xfff8);
	fill_simple();
	for (i = 0; i < 16; i++)
		guest_ring_offer(&ring, i);
	for (i = 0; i < 16; i++)
		assert_int_equal(pop(), 1);
	assert_int_equal(pop(), 0);
}

static void WEIR_ON_WORKER
vq_too_many_avail_entries_break_it(void **state)
{
	start(16, 0, 0xfff8);
	fill_simple();
	ring.avail->idx += 17;
	assert_pop_fails(WEIR_VQ_BAD_AVAIL);

	start(16, 0, 5);
	ring.avail->idx -= 1;
	assert_pop_fails(WEIR_VQ_BAD_AVAIL);
}

/* A ring of 16 has room for 16 chains, given back or not: a driver cannot offer a 17th. */
static void WEIR_ON_WORKER
vq_more_outstanding_than_ring_breaks_it(void **state)
{
	uint32_t i;

	start(16, 0, 0);
	fill_simple();
	for (i = 0; i < 16; i++) {
		guest_ring_offer(&ring, i);
		assert_int_equal(pop(), 1);
	}
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_BAD_AVAIL);
}

static void WEIR_ON_WORKER
vq_head_outside_ring_breaks_it(void **state)
{
	start(16, 0, 0);
	guest_ring_offer(&ring, 16);
	assert_pop_fails(WEIR_VQ_BAD_HEAD);
}

static void WEIR_ON_WORKER
vq_next_outside_table_breaks_it(void **state)
{
	struct vring_desc *table;

	start(16, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 8, N, 16);
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_BAD_NEXT);

	/* Inside the ring but outside of the smaller indirect table. */
	start(16, INDIRECT, 0);
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, 2 * sizeof(*table), I, 0);
	guest_ring_put(&table[0], GUEST_DATA_GPA, 8, N, 2);
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_BAD_NEXT);
}

static void WEIR_ON_WORKER
vq_loop_breaks_it(void **state)
{
	struct vring_desc *table;

	/* Longer than the caller's room is all that is known of this one. */
	start(32, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 8, N, 1);
	guest_ring_put(&ring.desc[1], GUEST_DATA_GPA, 8, N, 0);
	guest_ring_offer(&ring, 0);
	assert_int_equal(weir_vq_pop(&vq, &chain, segs, MAX_SEGS), -ENOBUFS);

	start(4, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 8, N, 1);
	guest_ring_put(&ring.desc[1], GUEST_DATA_GPA, 8, N, 0);
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_LOOP);

	start(4, INDIRECT, 0);
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, sizeof(*table), I, 0);
	guest_ring_put(&table[0], GUEST_DATA_GPA, 8, N, 0);
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_LOOP);
}

/* A table may be as long as it likes, a chain may not. */
static void WEIR_ON_WORKER
vq_chain_over_the_bound_breaks_it(void **state)
{
	static struct weir_seg many[WEIR_VQ_MAX_CHAIN];
	struct vring_desc *table;
	uint32_t nb = WEIR_VQ_MAX_CHAIN - 1; /* and the one that points to the table */
	uint32_t i;

	start(4, INDIRECT, 0);
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	for (i = 0; i <= nb; i++)
		guest_ring_put(&table[i], GUEST_DATA_GPA, 1, N, i + 1);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, (nb + 1) * sizeof(*table), I, 0);

	table[nb - 1].flags = 0;
	guest_ring_offer(&ring, 0);
	assert_int_equal(weir_vq_pop(&vq, &chain, many, RTE_DIM(many)), 1);
	assert_int_equal(chain.nb_in, nb);

	table[nb - 1].flags = N;
	table[nb].flags = 0;
	guest_ring_offer(&ring, 0);
	assert_int_equal(weir_vq_pop(&vq, &chain, many, RTE_DIM(many)), -EPROTO);
	assert_int_equal(vq.error, WEIR_VQ_LOOP);
}

static void WEIR_ON_WORKER
vq_buffer_outside_memory_breaks_it(void **state)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
	} bad[] = {
		{ 0, 1 },
		{ GUEST_GPA0 - 1, 8 },
		{ GUEST_GPA2 + GUEST_SIZE2, 1 },
		{ GUEST_GPA2 + GUEST_SIZE2 - 8, 9 },
		{ GUEST_GPA1 + GUEST_SIZE1 - 8, 9 },
		{ GUEST_GPA1 - 8, UINT32_MAX },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 8, 64 },
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(bad); i++) {
		start(16, 0, 0);
		guest_ring_put(&ring.desc[0], bad[i].gpa, bad[i].len, i % 2 ? W : 0, 0);
		guest_ring_offer(&ring, 0);
		assert_pop_fails(WEIR_VQ_BAD_ADDRESS);
	}
}

static void WEIR_ON_WORKER
vq_indirect_table_outside_memory_breaks_it(void **state)
{
	static const uint64_t gpas[] = {
		0,
		GUEST_GPA2 + GUEST_SIZE2 - 16,
		GUEST_GPA1 - 16, /* across two regions: refused, though mapped */
		UINT64_MAX - 15,
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(gpas); i++) {
		start(16, INDIRECT, 0);
		guest_ring_put(&ring.desc[0], gpas[i], 32, I, 0);
		guest_ring_offer(&ring, 0);
		assert_pop_fails(WEIR_VQ_BAD_ADDRESS);
	}
}

static void WEIR_ON_WORKER
vq_bad_length_breaks_it(void **state)
{
	static const uint32_t table_lens[] = { 0, 1, 15, 17, UINT32_MAX };
	struct vring_desc *table;
	unsigned int i;

	start(16, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 0, 0, 0);
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_BAD_LENGTH);

	for (i = 0; i < RTE_DIM(table_lens); i++) {
		start(16, INDIRECT, 0);
		table = guest_ring_at(&ring, GUEST_TABLE_GPA);
		guest_ring_put(&table[0], GUEST_DATA_GPA, 8, 0, 0);
		guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, table_lens[i], I, 0);
		guest_ring_offer(&ring, 0);
		assert_pop_fails(WEIR_VQ_BAD_LENGTH);
	}
}

/* Lengths that sum up to more than 32 bits hold, over a region as big as that. */
static void WEIR_ON_WORKER
vq_chain_over_4_gib_breaks_it(void **state)
{
	uint64_t size = ring.map->regions[2].size;

	start(16, 0, 0);
	ring.map->regions[2].size = 3ULL << 30; /* never touched */
	guest_ring_put(&ring.desc[0], GUEST_GPA2, 2U << 30, N, 1);
	guest_ring_put(&ring.desc[1], GUEST_GPA2, 2U << 30, W, 0);
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_BAD_LENGTH);
	ring.map->regions[2].size = size;
}

static void WEIR_ON_WORKER
vq_bad_indirect_breaks_it(void **state)
{
	struct vring_desc *table;

	/* Not negotiated. */
	start(16, 0, 0);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, 16, I, 0);
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_BAD_INDIRECT);

	/* Beside NEXT. */
	start(16, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, 16, I | N, 1);
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_BAD_INDIRECT);

	/* Nested. */
	start(16, INDIRECT, 0);
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, 32, I, 0);
	guest_ring_put(&table[0], GUEST_TABLE_GPA + 16, 16, I, 0);
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_BAD_INDIRECT);
}

static void WEIR_ON_WORKER
vq_readable_behind_writable_breaks_it(void **state)
{
	start(16, 0, 0);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 8, N, 1);
	guest_ring_put(&ring.desc[1], GUEST_DATA_GPA, 8, N | W, 2);
	guest_ring_put(&ring.desc[2], GUEST_DATA_GPA, 8, 0, 0);
	guest_ring_offer(&ring, 0);
	assert_pop_fails(WEIR_VQ_BAD_ORDER);
}

static void WEIR_ON_WORKER
vq_broken_memory_breaks_it(void **state)
{
	start(16, 0, 0);
	fill_simple();
	guest_ring_offer(&ring, 0);
	atomic_store(&ring.map->broken, true);
	assert_true(weir_vq_arm(&vq)); /* someone has to find out */
	assert_pop_fails(WEIR_VQ_BROKEN_MEMORY);
}

static void
vq_errors_have_names(void **state)
{
	int i;

	for (i = 0; i < WEIR_VQ_NB_ERRORS; i++)
		assert_string_not_equal(weir_vq_error_name(i), "unknown");
	assert_string_equal(weir_vq_error_name(WEIR_VQ_BAD_NEXT), "bad_next");
	assert_string_equal(weir_vq_error_name(WEIR_VQ_NB_ERRORS), "unknown");
}

static void WEIR_ON_WORKER
vq_unpop_reads_the_chain_anew(void **state)
{
	start(16, 0, 0xffff);
	fill_simple();
	guest_ring_offer(&ring, 3);
	assert_int_equal(pop(), 1);
	weir_vq_unpop(&vq, chain.head);
	assert_int_equal(vq.stats.chains, 0);
	guest_ring_put(&ring.desc[3], GUEST_DATA_GPA, 77, 0, 0);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.head, 3);
	assert_int_equal(chain.in_bytes, 77);
	assert_int_equal(vq.stats.chains, 1);
	assert_int_equal(pop(), 0);
}

/* What is given back newest first comes again in its order. */
static void WEIR_ON_WORKER
vq_unpop_undoes_several(void **state)
{
	uint16_t i;

	start(16, 0, 0xfffe);
	fill_simple();
	for (i = 0; i < 4; i++)
		guest_ring_offer(&ring, 3 * i);
	for (i = 0; i < 4; i++)
		assert_int_equal(pop(), 1);
	for (i = 4; i-- > 1;)
		weir_vq_unpop(&vq, 3 * i);
	assert_int_equal(vq.stats.chains, 1);
	assert_int_equal(weir_vq_look(&vq, 8), 3);
	for (i = 1; i < 4; i++) {
		assert_int_equal(pop(), 1);
		assert_int_equal(chain.head, 3 * i);
	}
	assert_int_equal(pop(), 0);
}

static void WEIR_ON_WORKER
vq_look_takes_nothing(void **state)
{
	start(16, INDIRECT, 0xffff);
	fill_simple();
	assert_int_equal(weir_vq_look(&vq, 8), 0);
	/* A table that is nowhere and a head that there is not are the pop's business. */
	guest_ring_put(&ring.desc[1], 0, 16, I, 0);
	guest_ring_offer(&ring, 0);
	guest_ring_offer(&ring, 1);
	guest_ring_offer(&ring, 16);
	assert_int_equal(weir_vq_look(&vq, 2), 2);
	assert_int_equal(weir_vq_look(&vq, 8), 3);
	assert_int_equal(pop(), 1);
	assert_int_equal(weir_vq_look(&vq, 8), 2);
	assert_pop_fails(WEIR_VQ_BAD_ADDRESS);

	start(16, 0, 0);
	ring.avail->idx = 17;
	assert_int_equal(weir_vq_look(&vq, 8), 1);
	assert_int_equal(vq.error, WEIR_VQ_OK);
	assert_int_equal(pop(), -EPROTO);
	assert_int_equal(vq.error, WEIR_VQ_BAD_AVAIL);
	assert_int_equal(weir_vq_look(&vq, 8), 0);
}

static void WEIR_ON_WORKER
vq_push_is_seen_after_flush(void **state)
{
	uint32_t i;

	start(16, 0, 0);
	fill_simple();
	for (i = 0; i < 3; i++) {
		guest_ring_offer(&ring, i);
		assert_int_equal(pop(), 1);
	}
	weir_vq_push(&vq, 2, 20);
	weir_vq_push(&vq, 0, 10);
	assert_int_equal(ring.used->idx, 0);
	assert_true(weir_vq_flush(&vq));
	assert_int_equal(ring.used->idx, 2);
	assert_int_equal(ring.used->ring[0].id, 2);
	assert_int_equal(ring.used->ring[0].len, 20);
	assert_int_equal(ring.used->ring[1].id, 0);
	assert_false(weir_vq_flush(&vq)); /* nothing staged */
	assert_int_equal(vq.stats.used, 2);
	assert_int_equal(vq.stats.interrupts, 1);
	assert_int_equal(vq.stats.suppressed, 0);
}

/* A driver that polls sees answers early; one that sleeps is told of all of them by the flush. */
static void WEIR_ON_WORKER
vq_publish_tells_nobody(void **state)
{
	uint32_t i;

	start(16, EVENT, 0xfffe);
	fill_simple();
	*guest_ring_used_event(&ring) = 0xfffe;
	for (i = 0; i < 3; i++) {
		guest_ring_offer(&ring, i);
		assert_int_equal(pop(), 1);
		weir_vq_push(&vq, i, 0);
		weir_vq_publish(&vq);
		assert_int_equal(ring.used->idx, (uint16_t)(0xffff + i));
	}
	assert_true(weir_vq_flush(&vq));
	assert_false(weir_vq_flush(&vq));
	assert_int_equal(vq.stats.interrupts, 1);
	assert_int_equal(vq.stats.suppressed, 0);
}

static void WEIR_ON_WORKER
vq_flush_obeys_no_interrupt_flag(void **state)
{
	start(16, 0, 0);
	fill_simple();
	guest_ring_offer(&ring, 0);
	guest_ring_offer(&ring, 1);
	assert_int_equal(pop(), 1);
	assert_int_equal(pop(), 1);
	ring.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	weir_vq_push(&vq, 0, 0);
	assert_false(weir_vq_flush(&vq));
	assert_int_equal(vq.stats.suppressed, 1);
	ring.avail->flags = 0;
	weir_vq_push(&vq, 1, 0);
	assert_true(weir_vq_flush(&vq));
}

/* An interrupt is due when the entry at used_event is among those just published. */
static void WEIR_ON_WORKER
vq_flush_obeys_event_index(void **state)
{
	static const struct {
		uint16_t base, nb, event;
		bool wanted;
	} cases[] = {
		{ 0, 1, 0, true },
		{ 0, 1, 1, false },
		{ 0, 1, 0xffff, false },
		{ 0, 4, 3, true },
		{ 0, 4, 4, false },
		{ 100, 4, 99, false },
		{ 100, 4, 100, true },
		{ 100, 4, 103, true },
		{ 0xfffe, 4, 0xfffd, false },
		{ 0xfffe, 4, 0xfffe, true },
		{ 0xfffe, 4, 0xffff, true },
		{ 0xfffe, 4, 0, true },
		{ 0xfffe, 4, 1, true },
		{ 0xfffe, 4, 2, false },
		{ 0xffff, 1, 0xffff, true },
		{ 0xffff, 1, 0, false },
		{ 0, 4, 0x8000, false },
	};
	unsigned int i, j;

	for (i = 0; i < RTE_DIM(cases); i++) {
		start(16, EVENT, cases[i].base);
		fill_simple();
		ring.avail->flags = VRING_AVAIL_F_NO_INTERRUPT; /* means nothing now */
		*guest_ring_used_event(&ring) = cases[i].event;
		for (j = 0; j < cases[i].nb; j++) {
			guest_ring_offer(&ring, j);
			assert_int_equal(pop(), 1);
			weir_vq_push(&vq, chain.head, 0);
		}
		assert_int_equal(weir_vq_flush(&vq), cases[i].wanted);
	}
}

/* As the driver computes it: does moving avail->idx from old by one entry ask for a kick? */
static bool
driver_kicks(uint16_t old)
{
	return (uint16_t)(old + 1 - *guest_ring_avail_event(&ring) - 1) < 1;
}

static void WEIR_ON_WORKER
vq_event_index_kicks_only_while_armed(void **state)
{
	static const uint16_t bases[] = { 0, 1, 0x7fff, 0xffff };
	unsigned int i;

	for (i = 0; i < RTE_DIM(bases); i++) {
		start(16, EVENT, bases[i]);
		fill_simple();
		assert_int_equal(ring.used->flags, 0);
		assert_false(driver_kicks(bases[i]));
		assert_false(weir_vq_arm(&vq));
		assert_true(driver_kicks(bases[i]));
		weir_vq_disarm(&vq);
		assert_false(driver_kicks(bases[i]));
		guest_ring_offer(&ring, 0);
		assert_true(weir_vq_arm(&vq)); /* the entry came before the wish */
		weir_vq_disarm(&vq);
		assert_int_equal(pop(), 1);
		assert_false(weir_vq_arm(&vq));
		assert_true(driver_kicks(bases[i] + 1));
		assert_int_equal(ring.used->flags, 0);
	}
}

static void WEIR_ON_WORKER
vq_flag_kicks_only_while_armed(void **state)
{
	start(16, 0, 0);
	fill_simple();
	assert_int_equal(ring.used->flags, VRING_USED_F_NO_NOTIFY);
	assert_false(weir_vq_arm(&vq));
	assert_int_equal(ring.used->flags, 0);
	weir_vq_disarm(&vq);
	assert_int_equal(ring.used->flags, VRING_USED_F_NO_NOTIFY);
	guest_ring_offer(&ring, 0);
	assert_true(weir_vq_arm(&vq));
	weir_vq_disarm(&vq);
	assert_int_equal(*guest_ring_avail_event(&ring), 0);
}

static void WEIR_ON_WORKER
vq_stop_says_where_it_stood(void **state)
{
	struct weir_vring_base base;
	uint32_t i;

	start(16, 0, 0xfffe);
	fill_simple();
	for (i = 0; i < 4; i++)
		guest_ring_offer(&ring, i);
	for (i = 0; i < 3; i++)
		assert_int_equal(pop(), 1);
	weir_vq_push(&vq, 1, 0);
	weir_vq_flush(&vq);
	weir_vq_stop(&vq, &base);
	assert_int_equal(base.avail, 1);
	assert_int_equal(base.used, 0xffff);

	/* The next start goes on from there and loses nothing. */
	ring.cfg.avail_base = base.avail;
	ring.cfg.used_base = base.used;
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), 0);
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.head, 3);
	assert_int_equal(vq.stats.chains, 4);
}

static int
setup(void **state)
{
	guest_ring_create(&ring);
	return 0;
}

static int
teardown(void **state)
{
	guest_ring_destroy(&ring);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vq_start_bad_size_is_refused),
		cmocka_unit_test(vq_start_misaligned_part_is_refused),
		cmocka_unit_test(vq_start_region_at_odd_address_is_refused),
		cmocka_unit_test(vq_start_part_outside_memory_is_refused),
		cmocka_unit_test(vq_start_event_field_outside_memory_is_refused),
		cmocka_unit_test(vq_start_bases_too_far_apart_is_refused),
		cmocka_unit_test(vq_pop_empty_ring_returns_0),
		cmocka_unit_test(vq_pop_direct_chain_gives_both_parts),
		cmocka_unit_test(vq_pop_indirect_table_is_followed),
		cmocka_unit_test(vq_pop_indirect_behind_direct_is_followed),
		cmocka_unit_test(vq_pop_buffer_across_regions_is_split),
		cmocka_unit_test(vq_pop_too_many_segments_takes_the_chain),
		cmocka_unit_test(vq_indices_wrap_around_16_bits),
		cmocka_unit_test(vq_full_ring_is_popped_whole),
		cmocka_unit_test(vq_too_many_avail_entries_break_it),
		cmocka_unit_test(vq_more_outstanding_than_ring_breaks_it),
		cmocka_unit_test(vq_head_outside_ring_breaks_it),
		cmocka_unit_test(vq_next_outside_table_breaks_it),
		cmocka_unit_test(vq_loop_breaks_it),
		cmocka_unit_test(vq_chain_over_the_bound_breaks_it),
		cmocka_unit_test(vq_buffer_outside_memory_breaks_it),
		cmocka_unit_test(vq_indirect_table_outside_memory_breaks_it),
		cmocka_unit_test(vq_bad_length_breaks_it),
		cmocka_unit_test(vq_chain_over_4_gib_breaks_it),
		cmocka_unit_test(vq_bad_indirect_breaks_it),
		cmocka_unit_test(vq_readable_behind_writable_breaks_it),
		cmocka_unit_test(vq_broken_memory_breaks_it),
		cmocka_unit_test(vq_errors_have_names),
		cmocka_unit_test(vq_unpop_reads_the_chain_anew),
		cmocka_unit_test(vq_unpop_undoes_several),
		cmocka_unit_test(vq_look_takes_nothing),
		cmocka_unit_test(vq_push_is_seen_after_flush),
		cmocka_unit_test(vq_publish_tells_nobody),
		cmocka_unit_test(vq_flush_obeys_no_interrupt_flag),
		cmocka_unit_test(vq_flush_obeys_event_index),
		cmocka_unit_test(vq_event_index_kicks_only_while_armed),
		cmocka_unit_test(vq_flag_kicks_only_while_armed),
		cmocka_unit_test(vq_stop_says_where_it_stood),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
