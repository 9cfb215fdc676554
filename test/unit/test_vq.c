/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_common.h>

#include "split_vq.h"

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
	split_start(16, 0, 7);
	assert_int_equal(split_pop(), 0);
	assert_int_equal(vq.error, WEIR_VQ_OK);
}

static void WEIR_ON_WORKER
vq_pop_direct_chain_gives_both_parts(void **state)
{
	split_start(16, 0, 0);
	guest_ring_put(&ring.desc[5], GUEST_DATA_GPA, 40, N, 2);
	guest_ring_put(&ring.desc[2], GUEST_DATA_GPA + 0x1000, 100, N, 9);
	guest_ring_put(&ring.desc[9], GUEST_GPA2, 16, N | W, 0);
	guest_ring_put(&ring.desc[0], GUEST_GPA1 + 8, 4096, W, 77);
	guest_ring_offer(&ring, 5);

	assert_int_equal(split_pop(), 1);
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
	assert_int_equal(split_pop(), 0);
}

static void WEIR_ON_WORKER
vq_pop_indirect_table_is_followed(void **state)
{
	struct vring_desc *table;

	split_start(4, INDIRECT, 0);
	/* A table need not be aligned, nor be used in order, nor be smaller than the ring. */
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	guest_ring_put(&table[0], GUEST_DATA_GPA, 40, N, 6);
	guest_ring_put(&table[6], GUEST_DATA_GPA + 64, 8, N, 1);
	guest_ring_put(&table[1], GUEST_DATA_GPA + 128, 16, W, 0);
	guest_ring_put(&ring.desc[3], GUEST_TABLE_GPA, 7 * sizeof(*table), I, 0);
	guest_ring_offer(&ring, 3);
	assert_int_equal(split_pop(), 1);
	assert_int_equal(chain.head, 3);
	assert_int_equal(chain.nb_in, 2);
	assert_int_equal(chain.nb_out, 1);

	memmove((uint8_t *)table + 3, table, 7 * sizeof(*table));
	guest_ring_put(&ring.desc[3], GUEST_TABLE_GPA + 3, 7 * sizeof(*table), I, 0);
	guest_ring_offer(&ring, 3);
	assert_int_equal(split_pop(), 1);
	assert_int_equal(chain.in_bytes, 48);
	assert_int_equal(chain.out_bytes, 16);
}

/* 2.7.5.3.2: direct descriptors may come before the indirect one, whose write flag is ignored. */
static void WEIR_ON_WORKER
vq_pop_indirect_behind_direct_is_followed(void **state)
{
	struct vring_desc *table;

	split_start(16, INDIRECT, 0);
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 40, N, 1);
	guest_ring_put(&ring.desc[1], GUEST_TABLE_GPA, 2 * sizeof(*table), I | W, 0);
	guest_ring_put(&table[0], GUEST_DATA_GPA + 64, 8, N, 1);
	guest_ring_put(&table[1], GUEST_DATA_GPA + 128, 16, W, 0);
	guest_ring_offer(&ring, 0);
	assert_int_equal(split_pop(), 1);
	assert_int_equal(chain.nb_in, 2);
	assert_int_equal(chain.nb_out, 1);
}

static void WEIR_ON_WORKER
vq_pop_buffer_across_regions_is_split(void **state)
{
	split_start(16, 0, 0);
	guest_ring_put(&ring.desc[0], GUEST_GPA1 - 100, 1000, W, 0);
	guest_ring_offer(&ring, 0);
	assert_int_equal(split_pop(), 1);
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

	split_start(32, 0, 0);
	for (i = 0; i < MAX_SEGS; i++)
		guest_ring_put(&ring.desc[i], GUEST_DATA_GPA, 8, N | W, i + 1);
	guest_ring_put(&ring.desc[MAX_SEGS - 1], GUEST_GPA1 - 8, 16, W, 0);
	guest_ring_put(&ring.desc[MAX_SEGS], GUEST_DATA_GPA, 8, W, 0);
	guest_ring_offer(&ring, 0);
	guest_ring_offer(&ring, 1);
	guest_ring_offer(&ring, MAX_SEGS);

	assert_int_equal(split_pop(), -ENOBUFS);
	assert_int_equal(chain.head, 0);
	assert_int_equal(chain.nb_in + chain.nb_out, 0);
	assert_int_equal(split_pop(), 1);
	assert_int_equal(chain.nb_out, MAX_SEGS);
	assert_int_equal(split_pop(), 1);
	assert_int_equal(chain.head, MAX_SEGS);
	weir_vq_push(&vq, 0, 0);
	assert_true(weir_vq_flush(&vq));
	assert_int_equal(ring.used->ring[0].len, 0);
}

static void WEIR_ON_WORKER
vq_indices_wrap_around_16_bits(void **state)
{
	uint32_t i;

	split_start(16, EVENT, 0xfff0);
	split_fill();
	for (i = 0; i < 64; i++) {
		*guest_ring_used_event(&ring) = ring.used->idx;
		guest_ring_offer(&ring, i % 16);
		assert_int_equal(split_pop(), 1);
		assert_int_equal(chain.head, i % 16);
		assert_int_equal(split_pop(), 0);
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

	split_start(16, 0, 0xfff8);
	split_fill();
	for (i = 0; i < 16; i++)
		guest_ring_offer(&ring, i);
	for (i = 0; i < 16; i++)
		assert_int_equal(split_pop(), 1);
	assert_int_equal(split_pop(), 0);
}

static void WEIR_ON_WORKER
vq_unpop_reads_the_chain_anew(void **state)
{
	split_start(16, 0, 0xffff);
	split_fill();
	guest_ring_offer(&ring, 3);
	assert_int_equal(split_pop(), 1);
	weir_vq_unpop(&vq, chain.head);
	assert_int_equal(vq.stats.chains, 0);
	guest_ring_put(&ring.desc[3], GUEST_DATA_GPA, 77, 0, 0);
	assert_int_equal(split_pop(), 1);
	assert_int_equal(chain.head, 3);
	assert_int_equal(chain.in_bytes, 77);
	assert_int_equal(vq.stats.chains, 1);
	assert_int_equal(split_pop(), 0);
}

/* What is given back newest first comes again in its order. */
static void WEIR_ON_WORKER
vq_unpop_undoes_several(void **state)
{
	uint16_t i;

	split_start(16, 0, 0xfffe);
	split_fill();
	for (i = 0; i < 4; i++)
		guest_ring_offer(&ring, 3 * i);
	for (i = 0; i < 4; i++)
		assert_int_equal(split_pop(), 1);
	for (i = 4; i-- > 1;)
		weir_vq_unpop(&vq, 3 * i);
	assert_int_equal(vq.stats.chains, 1);
	assert_int_equal(weir_vq_look(&vq, 8), 3);
	for (i = 1; i < 4; i++) {
		assert_int_equal(split_pop(), 1);
		assert_int_equal(chain.head, 3 * i);
	}
	assert_int_equal(split_pop(), 0);
}

static void WEIR_ON_WORKER
vq_look_takes_nothing(void **state)
{
	split_start(16, INDIRECT, 0xffff);
	split_fill();
	assert_int_equal(weir_vq_look(&vq, 8), 0);
	/* A table that is nowhere and a head that there is not are the pop's business. */
	guest_ring_put(&ring.desc[1], 0, 16, I, 0);
	guest_ring_offer(&ring, 0);
	guest_ring_offer(&ring, 1);
	guest_ring_offer(&ring, 16);
	assert_int_equal(weir_vq_look(&vq, 2), 2);
	assert_int_equal(weir_vq_look(&vq, 8), 3);
	assert_int_equal(split_pop(), 1);
	assert_int_equal(weir_vq_look(&vq, 8), 2);
	split_pop_fails(WEIR_VQ_BAD_ADDRESS);

	split_start(16, 0, 0);
	ring.avail->idx = 17;
	assert_int_equal(weir_vq_look(&vq, 8), 1);
	assert_int_equal(vq.error, WEIR_VQ_OK);
	assert_int_equal(split_pop(), -EPROTO);
	assert_int_equal(vq.error, WEIR_VQ_BAD_AVAIL);
	assert_int_equal(weir_vq_look(&vq, 8), 0);
}

static void WEIR_ON_WORKER
vq_stop_says_where_it_stood(void **state)
{
	struct weir_vring_base base;
	uint32_t i;

	split_start(16, 0, 0xfffe);
	split_fill();
	for (i = 0; i < 4; i++)
		guest_ring_offer(&ring, i);
	for (i = 0; i < 3; i++)
		assert_int_equal(split_pop(), 1);
	weir_vq_push(&vq, 1, 0);
	weir_vq_flush(&vq);
	weir_vq_stop(&vq, &base);
	assert_int_equal(base.avail, 1);
	assert_int_equal(base.used, 0xffff);

	/* The next start goes on from there and loses nothing. */
	ring.cfg.avail_base = base.avail;
	ring.cfg.used_base = base.used;
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), 0);
	assert_int_equal(split_pop(), 1);
	assert_int_equal(chain.head, 3);
	assert_int_equal(vq.stats.chains, 4);
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
		cmocka_unit_test(vq_unpop_reads_the_chain_anew),
		cmocka_unit_test(vq_unpop_undoes_several),
		cmocka_unit_test(vq_look_takes_nothing),
		cmocka_unit_test(vq_stop_says_where_it_stood),
	};

	return cmocka_run_group_tests(tests, split_setup, split_teardown);
}
