/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What a driver may not offer, and memory that fails, break a split ring until its next start. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_common.h>

#include "split_vq.h"

static void WEIR_ON_WORKER
vq_too_many_avail_entries_break_it(void **state)
{
	split_start(16, 0, 0xfff8);
	split_fill();
	ring.avail->idx += 17;
	split_pop_fails(WEIR_VQ_BAD_AVAIL);

	split_start(16, 0, 5);
	ring.avail->idx -= 1;
	split_pop_fails(WEIR_VQ_BAD_AVAIL);
}

/* A ring of 16 has room for 16 chains, given back or not: a driver cannot offer a 17th. */
static void WEIR_ON_WORKER
vq_more_outstanding_than_ring_breaks_it(void **state)
{
	uint32_t i;

	split_start(16, 0, 0);
	split_fill();
	for (i = 0; i < 16; i++) {
		guest_ring_offer(&ring, i);
		assert_int_equal(split_pop(), 1);
	}
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_BAD_AVAIL);
}

static void WEIR_ON_WORKER
vq_head_outside_ring_breaks_it(void **state)
{
	split_start(16, 0, 0);
	guest_ring_offer(&ring, 16);
	split_pop_fails(WEIR_VQ_BAD_HEAD);
}

static void WEIR_ON_WORKER
vq_next_outside_table_breaks_it(void **state)
{
	struct vring_desc *table;

	split_start(16, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 8, N, 16);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_BAD_NEXT);

	/* Inside the ring but outside of the smaller indirect table. */
	split_start(16, INDIRECT, 0);
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, 2 * sizeof(*table), I, 0);
	guest_ring_put(&table[0], GUEST_DATA_GPA, 8, N, 2);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_BAD_NEXT);
}

static void WEIR_ON_WORKER
vq_loop_breaks_it(void **state)
{
	struct vring_desc *table;

	/* Longer than the caller's room is all that is known of this one. */
	split_start(32, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 8, N, 1);
	guest_ring_put(&ring.desc[1], GUEST_DATA_GPA, 8, N, 0);
	guest_ring_offer(&ring, 0);
	assert_int_equal(weir_vq_pop(&vq, &chain, segs, MAX_SEGS), -ENOBUFS);

	split_start(4, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 8, N, 1);
	guest_ring_put(&ring.desc[1], GUEST_DATA_GPA, 8, N, 0);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_LOOP);

	split_start(4, INDIRECT, 0);
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, sizeof(*table), I, 0);
	guest_ring_put(&table[0], GUEST_DATA_GPA, 8, N, 0);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_LOOP);
}

/* A table may be as long as it likes, a chain may not. */
static void WEIR_ON_WORKER
vq_chain_over_the_bound_breaks_it(void **state)
{
	static struct weir_seg many[WEIR_VQ_MAX_CHAIN];
	struct vring_desc *table;
	uint32_t nb = WEIR_VQ_MAX_CHAIN - 1; /* and the one that points to the table */
	uint32_t i;

	split_start(4, INDIRECT, 0);
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
		split_start(16, 0, 0);
		guest_ring_put(&ring.desc[0], bad[i].gpa, bad[i].len, i % 2 ? W : 0, 0);
		guest_ring_offer(&ring, 0);
		split_pop_fails(WEIR_VQ_BAD_ADDRESS);
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
		split_start(16, INDIRECT, 0);
		guest_ring_put(&ring.desc[0], gpas[i], 32, I, 0);
		guest_ring_offer(&ring, 0);
		split_pop_fails(WEIR_VQ_BAD_ADDRESS);
	}
}

static void WEIR_ON_WORKER
vq_bad_length_breaks_it(void **state)
{
	static const uint32_t table_lens[] = { 0, 1, 15, 17, UINT32_MAX };
	struct vring_desc *table;
	unsigned int i;

	split_start(16, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 0, 0, 0);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_BAD_LENGTH);

	for (i = 0; i < RTE_DIM(table_lens); i++) {
		split_start(16, INDIRECT, 0);
		table = guest_ring_at(&ring, GUEST_TABLE_GPA);
		guest_ring_put(&table[0], GUEST_DATA_GPA, 8, 0, 0);
		guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, table_lens[i], I, 0);
		guest_ring_offer(&ring, 0);
		split_pop_fails(WEIR_VQ_BAD_LENGTH);
	}
}

/* Lengths that sum up to more than 32 bits hold, over a region as big as that. */
static void WEIR_ON_WORKER
vq_chain_over_4_gib_breaks_it(void **state)
{
	uint64_t size = ring.map->regions[2].size;

	split_start(16, 0, 0);
	ring.map->regions[2].size = 3ULL << 30; /* never touched */
	guest_ring_put(&ring.desc[0], GUEST_GPA2, 2U << 30, N, 1);
	guest_ring_put(&ring.desc[1], GUEST_GPA2, 2U << 30, W, 0);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_BAD_LENGTH);
	ring.map->regions[2].size = size;
}

static void WEIR_ON_WORKER
vq_bad_indirect_breaks_it(void **state)
{
	struct vring_desc *table;

	/* Not negotiated. */
	split_start(16, 0, 0);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, 16, I, 0);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_BAD_INDIRECT);

	/* Beside NEXT. */
	split_start(16, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, 16, I | N, 1);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_BAD_INDIRECT);

	/* Nested. */
	split_start(16, INDIRECT, 0);
	table = guest_ring_at(&ring, GUEST_TABLE_GPA);
	guest_ring_put(&ring.desc[0], GUEST_TABLE_GPA, 32, I, 0);
	guest_ring_put(&table[0], GUEST_TABLE_GPA + 16, 16, I, 0);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_BAD_INDIRECT);

	/* Nested in itself. */
	split_start(16, INDIRECT, 0);
	guest_ring_put(&ring.desc[0], GUEST_DESC_GPA, 16, I, 0);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_BAD_INDIRECT);
}

static void WEIR_ON_WORKER
vq_readable_behind_writable_breaks_it(void **state)
{
	split_start(16, 0, 0);
	guest_ring_put(&ring.desc[0], GUEST_DATA_GPA, 8, N, 1);
	guest_ring_put(&ring.desc[1], GUEST_DATA_GPA, 8, N | W, 2);
	guest_ring_put(&ring.desc[2], GUEST_DATA_GPA, 8, 0, 0);
	guest_ring_offer(&ring, 0);
	split_pop_fails(WEIR_VQ_BAD_ORDER);
}

static void WEIR_ON_WORKER
vq_broken_memory_breaks_it(void **state)
{
	split_start(16, 0, 0);
	split_fill();
	guest_ring_offer(&ring, 0);
	atomic_store(&ring.map->broken, true);
	assert_true(weir_vq_arm(&vq)); /* someone has to find out */
	split_pop_fails(WEIR_VQ_BROKEN_MEMORY);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests(tests, split_setup, split_teardown);
}
