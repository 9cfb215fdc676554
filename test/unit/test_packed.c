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

#include "guest_packed.h"
#include "ring_check.h"

#define W VRING_DESC_F_WRITE
#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT

#define EVENT    WEIR_VIRTIO_F_EVENT_IDX
#define INDIRECT WEIR_VIRTIO_F_INDIRECT_DESC
#define TURN     GUEST_FIRST_TURN

#define MAX_SEGS 16

/* One ring, its device side, and what the last pop gave. */
static struct guest_packed ring;
static struct weir_vq vq;
static struct weir_chain chain;
static struct weir_seg segs[MAX_SEGS];

static const struct guest_buf one = { GUEST_DATA_GPA, 64, W };
static const struct guest_buf three[] = { { GUEST_DATA_GPA, 40, N },
	{ GUEST_DATA_GPA + 0x1000, 16, N | W }, { GUEST_GPA1, 4096, W } };

static void WEIR_ON_WORKER
start(uint32_t size, uint64_t features, uint16_t base)
{
	guest_packed_reset(&ring, size, features, base);
	memset(&vq, 0, sizeof(vq));
	assert_int_equal(weir_vq_start(&vq, ring.mem.map, &ring.mem.cfg), 0);
}

static int WEIR_ON_WORKER
pop(void)
{
	return weir_vq_pop(&vq, &chain, segs, MAX_SEGS);
}

static void WEIR_ON_WORKER
assert_pops(uint16_t id, uint32_t nb)
{
	assert_int_equal(pop(), 1);
	assert_int_equal(chain.head, id);
	assert_int_equal(chain.nb_in + chain.nb_out, nb);
}

static void
assert_used(uint16_t id, uint32_t bytes, uint32_t slots)
{
	const struct vring_packed_desc *used = guest_packed_used(&ring);

	assert_non_null(used);
	assert_int_equal(used->id, id);
	assert_int_equal(used->len, bytes);
	assert_int_equal(used->flags & W, bytes > 0 ? W : 0);
	ring.used = guest_packed_forth(&ring, ring.used, slots);
}

static void WEIR_ON_WORKER
assert_pop_fails(enum weir_vq_error error)
{
	ring_check_breaks(&vq, &ring.mem, error);
}

static void WEIR_ON_WORKER
packed_start_checks_size_and_places(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 1025, 65536, 0x80000000 };
	static const struct {
		uint16_t avail, used;
		bool good;
	} bases[] = {
		{ TURN, TURN, true },
		{ 0, 0, true },
		{ TURN | 6, TURN | 6, true },
		{ TURN | 7, TURN | 7, false },
		{ 3, TURN | 3, true }, /* all of it is ours to give back */
		{ 4, TURN | 3, false },
		{ TURN, TURN | 1, false },
		{ TURN | 1, 0, false },
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(sizes); i++) {
		guest_packed_reset(&ring, 7, 0, TURN);
		ring.mem.cfg.size = sizes[i];
		assert_int_equal(weir_vq_start(&vq, ring.mem.map, &ring.mem.cfg), -EINVAL);
	}
	for (i = 0; i < RTE_DIM(bases); i++) {
		guest_packed_reset(&ring, 7, 0, TURN);
		ring.mem.cfg.avail_base = bases[i].avail;
		ring.mem.cfg.used_base = bases[i].used;
		assert_int_equal(weir_vq_start(&vq, ring.mem.map, &ring.mem.cfg),
				bases[i].good ? 0 : -EINVAL);
	}
}

static void WEIR_ON_WORKER
packed_start_checks_where_parts_lie(void **state)
{
	uint64_t end = GUEST_GPA2 + GUEST_SIZE2;
	const struct {
		uint64_t desc, avail, used;
		int rc;
	} cases[] = {
		{ GUEST_DESC_GPA + 8, GUEST_AVAIL_GPA, GUEST_USED_GPA, -EINVAL },
		{ GUEST_DESC_GPA, GUEST_AVAIL_GPA + 2, GUEST_USED_GPA, -EINVAL },
		{ GUEST_DESC_GPA, GUEST_AVAIL_GPA, GUEST_USED_GPA + 2, -EINVAL },
		{ end - 16 * 7, end - 4, end - 4, 0 },
		{ end - 16 * 6, end - 4, end - 4, -EFAULT },
		{ end - 16 * 7, end, end - 4, -EFAULT },
		{ end - 16 * 7, end - 4, end, -EFAULT },
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		guest_packed_reset(&ring, 7, EVENT, TURN);
		ring.mem.cfg.desc_gpa = cases[i].desc;
		ring.mem.cfg.avail_gpa = cases[i].avail;
		ring.mem.cfg.used_gpa = cases[i].used;
		assert_int_equal(weir_vq_start(&vq, ring.mem.map, &ring.mem.cfg), cases[i].rc);
	}
}

static void WEIR_ON_WORKER
packed_pop_direct_chain_gives_both_parts(void **state)
{
	start(8, 0, TURN | 6);
	assert_int_equal(pop(), 0);
	guest_packed_offer(&ring, three, 3, 5);
	assert_pops(5, 3);
	assert_int_equal(chain.nb_in, 1);
	assert_int_equal(chain.in_bytes, 40);
	assert_int_equal(chain.out_bytes, 4112);
	assert_int_equal(segs[0].off, GUEST_DATA_GPA - GUEST_GPA0);
	assert_int_equal(segs[2].region, 1);
	assert_int_equal(pop(), 0);
	assert_int_equal(vq.last_avail, 1);
	assert_int_equal(vq.stats.chains, 1);
}

/* 2.8.7: entries lie in a row, and whatever flags they have besides WRITE mean nothing. */
static void WEIR_ON_WORKER
packed_pop_indirect_table_takes_one_slot(void **state)
{
	const struct guest_buf buf = { GUEST_TABLE_GPA + 8, 3 * 16, I | W };
	struct vring_packed_desc *table;

	start(4, INDIRECT, TURN);
	table = guest_ring_at(&ring.mem, GUEST_TABLE_GPA + 8);
	table[0] = (struct vring_packed_desc){ GUEST_DATA_GPA, 40, 9, I };
	table[1] = (struct vring_packed_desc){ GUEST_DATA_GPA + 64, 8, 9, 0 };
	table[2] = (struct vring_packed_desc){ GUEST_DATA_GPA + 128, 16, 9, W | N };
	guest_packed_offer(&ring, &buf, 1, 2);
	assert_pops(2, 3);
	assert_int_equal(chain.nb_in, 2);
	assert_int_equal(chain.out_bytes, 16);
	assert_int_equal(vq.last_avail, TURN | 1);
	weir_vq_push(&vq, 2, 16);
	assert_true(weir_vq_flush(&vq));
	assert_used(2, 16, 1);
}

/* The id comes behind everything else, so the chain has to be walked to its end all the same. */
static void WEIR_ON_WORKER
packed_pop_too_many_segments_takes_the_chain(void **state)
{
	struct guest_buf buf[MAX_SEGS + 1];
	uint32_t i;

	start(32, 0, TURN | 20);
	for (i = 0; i <= MAX_SEGS; i++)
		buf[i] = (struct guest_buf){ GUEST_DATA_GPA, 8, W | (i < MAX_SEGS ? N : 0) };
	guest_packed_offer(&ring, buf, MAX_SEGS + 1, 31);
	guest_packed_offer(&ring, &one, 1, 0);
	assert_int_equal(pop(), -ENOBUFS);
	assert_int_equal(chain.head, 31);
	assert_int_equal(chain.nb_out, 0);
	assert_pops(0, 1);
	weir_vq_push(&vq, 31, 0);
	assert_true(weir_vq_flush(&vq));
	assert_used(31, 0, MAX_SEGS + 1);
}

/* Sizes that no power of two divides, chains across the end, answers out of order; many turns. */
static void WEIR_ON_WORKER
packed_turns_keep_both_sides_together(void **state)
{
	uint32_t size, i;

	for (size = 4; size < 20; size++) {
		start(size, EVENT, TURN | (size - 1));
		for (i = 0; i < 5 * size; i++) {
			guest_packed_offer(&ring, three, 3, 1);
			guest_packed_offer(&ring, &one, 1, 3);
			assert_pops(1, 3);
			assert_pops(3, 1);
			assert_int_equal(pop(), 0);
			weir_vq_push(&vq, 3, i);
			weir_vq_push(&vq, 1, i + 1);
			weir_vq_flush(&vq);
			assert_used(3, i, 1);
			assert_used(1, i + 1, 3);
			assert_null(guest_packed_used(&ring));
			assert_int_equal(ring.used, ring.avail);
		}
	}
}

/* What is given back newest first comes again in its order, across the end of the ring. */
static void WEIR_ON_WORKER
packed_unpop_undoes_several(void **state)
{
	start(8, 0, TURN | 3);
	assert_int_equal(weir_vq_look(&vq, 8), 0);
	guest_packed_offer(&ring, &one, 1, 5);
	guest_packed_offer(&ring, three, 3, 1);
	guest_packed_offer(&ring, three, 3, 7);
	assert_int_equal(weir_vq_look(&vq, 2), 2);
	assert_int_equal(weir_vq_look(&vq, 8), 7);
	assert_pops(5, 1);
	assert_pops(1, 3);
	assert_pops(7, 3);
	assert_int_equal(weir_vq_look(&vq, 8), 0);
	weir_vq_unpop(&vq, 7);
	weir_vq_unpop(&vq, 1);
	assert_int_equal(vq.nb_taken, 1);
	assert_int_equal(vq.last_avail, TURN | 4);
	assert_pops(1, 3);
	assert_pops(7, 3);
	assert_int_equal(pop(), 0);
	assert_int_equal(vq.stats.chains, 3);
}

static void WEIR_ON_WORKER
packed_batch_is_seen_by_its_first_entry(void **state)
{
	uint16_t i;

	start(4, 0, TURN | 2);
	for (i = 0; i < 4; i++)
		guest_packed_offer(&ring, &one, 1, i);
	for (i = 0; i < 4; i++)
		assert_pops(i, 1);
	for (i = 0; i < 4; i++)
		weir_vq_push(&vq, 3 - i, 10 + i);
	assert_int_equal(pop(), 0);
	assert_null(guest_packed_used(&ring));
	assert_true(weir_vq_flush(&vq));
	for (i = 0; i < 4; i++)
		assert_used(3 - i, 10 + i, 1);
	assert_null(guest_packed_used(&ring));
	assert_false(weir_vq_flush(&vq)); /* nothing staged */
	assert_int_equal(vq.stats.used, 4);
	assert_int_equal(vq.stats.interrupts, 1);
}

/*
 * A driver that polls sees answers early; one that sleeps is told of all of them by the flush, be it
 * that the ring has come round twice and stands where it stood.
 */
static void WEIR_ON_WORKER
packed_publish_tells_nobody(void **state)
{
	uint16_t i;

	start(4, EVENT, TURN | 2);
	ring.driver->off_wrap = TURN | 2;
	ring.driver->flags = VRING_PACKED_EVENT_FLAG_DESC;
	for (i = 0; i < 8; i++) {
		guest_packed_offer(&ring, &one, 1, i % 4);
		assert_pops(i % 4, 1);
		weir_vq_push(&vq, i % 4, i);
		weir_vq_publish(&vq);
		assert_used(i % 4, i, 1);
		assert_null(guest_packed_used(&ring));
		/* The driver sleeps before the last. */
		if (i == 6)
			ring.driver->off_wrap = ring.used;
	}
	assert_true(weir_vq_flush(&vq));
	assert_false(weir_vq_flush(&vq));
	assert_int_equal(vq.stats.interrupts, 1);
}

static void WEIR_ON_WORKER
packed_flush_obeys_driver_event(void **state)
{
	enum {
		ENABLE,
		DISABLE,
		DESC,
		RESERVED
	};
	static const struct {
		uint64_t features;
		uint16_t base, nb, flags, event;
		bool wanted;
	} cases[] = {
		{ 0, TURN, 1, ENABLE, 7, true },
		{ 0, TURN, 1, DISABLE, TURN, false },
		{ 0, TURN, 1, RESERVED, TURN, true },
		{ 0, TURN, 1, DESC, TURN | 5, true }, /* not negotiated */
		{ EVENT, TURN, 1, ENABLE, TURN | 5, true },
		{ EVENT, TURN, 1, DISABLE, TURN, false },
		{ EVENT, TURN, 1, DESC, TURN, true },
		{ EVENT, TURN, 1, DESC, TURN | 1, false },
		{ EVENT, TURN, 1, DESC, 0, false }, /* a turn later */
		{ EVENT, TURN, 1, DESC, 15, false },
		{ EVENT, TURN, 4, DESC, TURN | 3, true },
		{ EVENT, TURN, 4, DESC, TURN | 4, false },
		{ EVENT, TURN | 8, 4, DESC, TURN | 7, false },
		{ EVENT, TURN | 14, 4, DESC, TURN | 13, false },
		{ EVENT, TURN | 14, 4, DESC, TURN | 14, true },
		{ EVENT, TURN | 14, 4, DESC, TURN | 15, true },
		{ EVENT, TURN | 14, 4, DESC, 0, true },
		{ EVENT, TURN | 14, 4, DESC, 1, true },
		{ EVENT, TURN | 14, 4, DESC, 2, false },
		{ EVENT, 14, 4, DESC, TURN, true },
		{ EVENT, 14, 4, DESC, 0, false },
		{ EVENT, TURN, 16, DESC, TURN, true },
		{ EVENT, TURN, 16, DESC, TURN | 15, true },
		{ EVENT, TURN, 16, DESC, 0, false },
	};
	unsigned int i, j;

	for (i = 0; i < RTE_DIM(cases); i++) {
		start(16, cases[i].features, cases[i].base);
		ring.driver->off_wrap = cases[i].event;
		ring.driver->flags = cases[i].flags;
		for (j = 0; j < cases[i].nb; j++) {
			guest_packed_offer(&ring, &one, 1, j);
			assert_pops(j, 1);
			weir_vq_push(&vq, j, 0);
		}
		assert_int_equal(weir_vq_flush(&vq), cases[i].wanted);
		assert_int_equal(vq.stats.suppressed, !cases[i].wanted);
	}
}

static void WEIR_ON_WORKER
packed_kicks_come_only_while_armed(void **state)
{
	static const uint16_t bases[] = { TURN, TURN | 6, TURN | 7, 0, 6, 7 };
	unsigned int i;

	for (i = 0; i < 2 * RTE_DIM(bases); i++) {
		start(8, i % 2 ? EVENT : 0, bases[i / 2]);
		guest_packed_offer(&ring, &one, 1, 0);
		assert_false(guest_packed_kicks(&ring, 1));
		assert_true(weir_vq_arm(&vq)); /* the entry came before the wish */
		weir_vq_disarm(&vq);
		assert_pops(0, 1);
		assert_false(weir_vq_arm(&vq));
		guest_packed_offer(&ring, three, 3, 1);
		assert_true(guest_packed_kicks(&ring, 3));
		/* One kick is enough where the driver counts entries. */
		guest_packed_offer(&ring, &one, 1, 2);
		assert_int_equal(guest_packed_kicks(&ring, 1), i % 2 == 0);
		weir_vq_disarm(&vq);
		assert_false(guest_packed_kicks(&ring, 1));
		assert_pops(1, 3);
		assert_pops(2, 1);
	}
}

static void WEIR_ON_WORKER
packed_monitor_waits_for_the_next_slot(void **state)
{
	struct rte_power_monitor_cond cond;
	unsigned int turn;

	start(2, 0, TURN | 1);
	for (turn = 0; turn < 4; turn++) {
		weir_vq_monitor(&vq, &cond);
		assert_int_equal(cond.size, sizeof(uint16_t));
		assert_int_equal(cond.fn(*(uint16_t *)(uintptr_t)cond.addr, cond.opaque), 0);
		guest_packed_offer(&ring, &one, 1, 0);
		assert_int_equal(cond.fn(*(uint16_t *)(uintptr_t)cond.addr, cond.opaque), -1);
		assert_pops(0, 1);
		weir_vq_push(&vq, 0, 0);
		weir_vq_flush(&vq);
	}
}

static void WEIR_ON_WORKER
packed_more_than_the_ring_breaks_it(void **state)
{
	uint16_t i;

	start(4, 0, TURN);
	for (i = 0; i < 4; i++) {
		guest_packed_offer(&ring, &one, 1, i);
		assert_pops(i, 1);
	}
	guest_packed_offer(&ring, &one, 1, 0);
	assert_pop_fails(WEIR_VQ_BAD_AVAIL);
}

static void WEIR_ON_WORKER
packed_endless_chain_breaks_it(void **state)
{
	const struct guest_buf buf = { GUEST_DATA_GPA, 8, N };
	uint16_t i;

	start(4, 0, TURN | 3);
	for (i = 0; i < 4; i++)
		guest_packed_offer(&ring, &buf, 1, i);
	assert_pop_fails(WEIR_VQ_LOOP);

	/* It ends, but in a slot that was not given back. */
	start(4, 0, TURN | 3);
	guest_packed_offer(&ring, &one, 1, 0);
	assert_pops(0, 1);
	for (i = 0; i < 3; i++)
		guest_packed_offer(&ring, &buf, 1, 1);
	guest_packed_offer(&ring, &one, 1, 1);
	assert_pop_fails(WEIR_VQ_LOOP);
}

static void WEIR_ON_WORKER
packed_bad_id_breaks_it(void **state)
{
	static const uint16_t ids[] = { 7, 0x7fff, 0x8000, 0xffff };
	unsigned int i;

	for (i = 0; i < RTE_DIM(ids); i++) {
		start(7, 0, TURN);
		guest_packed_offer(&ring, three, 3, ids[i]);
		assert_pop_fails(WEIR_VQ_BAD_ID);
	}
	start(7, 0, TURN);
	guest_packed_offer(&ring, three, 3, 6);
	guest_packed_offer(&ring, &one, 1, 6);
	assert_pops(6, 3);
	assert_pop_fails(WEIR_VQ_BAD_ID);

	/* Given back it may be used again, seen by the driver or not. */
	start(7, 0, TURN);
	guest_packed_offer(&ring, three, 3, 6);
	guest_packed_offer(&ring, &one, 1, 6);
	assert_pops(6, 3);
	weir_vq_push(&vq, 6, 0);
	assert_pops(6, 1);
}

static void WEIR_ON_WORKER
packed_bad_buffers_break_it(void **state)
{
	static const struct {
		struct guest_buf buf[2];
		uint64_t features;
		enum weir_vq_error error;
	} cases[] = {
		{ { { GUEST_DATA_GPA, 0, 0 } }, 0, WEIR_VQ_BAD_LENGTH },
		{ { { GUEST_GPA2 + GUEST_SIZE2 - 8, 9, W } }, 0, WEIR_VQ_BAD_ADDRESS },
		{ { { UINT64_MAX - 8, 64, 0 } }, 0, WEIR_VQ_BAD_ADDRESS },
		{ { { GUEST_DATA_GPA, 8, N | W }, { GUEST_DATA_GPA, 8, 0 } }, 0,
				WEIR_VQ_BAD_ORDER },
		{ { { GUEST_TABLE_GPA, 16, I } }, 0, WEIR_VQ_BAD_INDIRECT },
		{ { { GUEST_TABLE_GPA, 16, I | N } }, INDIRECT, WEIR_VQ_BAD_INDIRECT },
		{ { { GUEST_DATA_GPA, 8, N }, { GUEST_TABLE_GPA, 16, I } }, INDIRECT,
				WEIR_VQ_BAD_INDIRECT },
		{ { { GUEST_TABLE_GPA, 17, I } }, INDIRECT, WEIR_VQ_BAD_LENGTH },
		{ { { GUEST_TABLE_GPA, 0, I } }, INDIRECT, WEIR_VQ_BAD_LENGTH },
		{ { { GUEST_GPA1 - 16, 32, I } }, INDIRECT, WEIR_VQ_BAD_ADDRESS },
		{ { { GUEST_TABLE_GPA, WEIR_VQ_MAX_CHAIN * 16, I } }, INDIRECT, WEIR_VQ_LOOP },
		/* The table is empty, and so are its buffers. */
		{ { { GUEST_TABLE_GPA, 16, I } }, INDIRECT, WEIR_VQ_BAD_LENGTH },
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		start(4, cases[i].features, TURN | 3);
		memset(guest_ring_at(&ring.mem, GUEST_TABLE_GPA), 0, 16);
		guest_packed_offer(&ring, cases[i].buf, 1 + (cases[i].buf[0].flags & N), 0);
		assert_pop_fails(cases[i].error);
	}
	start(4, 0, TURN);
	atomic_store(&ring.mem.map->broken, true);
	assert_true(weir_vq_arm(&vq)); /* someone has to find out */
	assert_pop_fails(WEIR_VQ_BROKEN_MEMORY);
}

static void WEIR_ON_WORKER
packed_unpop_reads_the_chain_anew(void **state)
{
	start(4, 0, TURN | 2);
	guest_packed_offer(&ring, three, 3, 3);
	assert_pops(3, 3);
	weir_vq_unpop(&vq, chain.head);
	assert_int_equal(vq.stats.chains, 0);
	assert_int_equal(vq.last_avail, TURN | 2);
	ring.desc[2].len = 77;
	ring.desc[0].id = 1;
	assert_pops(1, 3);
	assert_int_equal(segs[0].len, 77);
	assert_int_equal(pop(), 0);
	weir_vq_push(&vq, 1, 0);
	weir_vq_flush(&vq);
	assert_used(1, 0, 3);
}

static void WEIR_ON_WORKER
packed_stop_says_where_it_stood(void **state)
{
	struct weir_vring_base base;

	start(4, 0, TURN | 3);
	guest_packed_offer(&ring, &one, 1, 0);
	guest_packed_offer(&ring, &one, 1, 1);
	guest_packed_offer(&ring, &one, 1, 2);
	assert_pops(0, 1);
	assert_pops(1, 1);
	weir_vq_push(&vq, 1, 0);
	weir_vq_flush(&vq);
	weir_vq_stop(&vq, &base);
	assert_int_equal(base.avail, 1);
	assert_int_equal(base.used, 0);

	/* The next start goes on from there, and what was not answered still takes its room. */
	ring.mem.cfg.avail_base = base.avail;
	ring.mem.cfg.used_base = base.used;
	assert_int_equal(weir_vq_start(&vq, ring.mem.map, &ring.mem.cfg), 0);
	assert_pops(2, 1);
	guest_packed_offer(&ring, &one, 1, 1);
	assert_pops(1, 1);
	guest_packed_offer(&ring, &one, 1, 3);
	assert_pops(3, 1);
	guest_packed_offer(&ring, &one, 1, 0);
	assert_pop_fails(WEIR_VQ_BAD_AVAIL);
}

/* A new memory table while requests are with the back end: they still find their way back. */
static void WEIR_ON_WORKER
packed_remap_keeps_what_was_popped(void **state)
{
	struct weir_vring_cfg bad;

	start(4, EVENT, TURN | 2);
	guest_packed_offer(&ring, three, 3, 2);
	assert_pops(2, 3);
	assert_false(weir_vq_arm(&vq));
	assert_int_equal(weir_vq_remap(&vq, ring.mem.map, &ring.mem.cfg), 0);
	guest_packed_offer(&ring, &one, 1, 0);
	assert_false(guest_packed_kicks(&ring, 1));
	bad = ring.mem.cfg;
	bad.used_gpa = GUEST_GPA2 + GUEST_SIZE2;
	assert_int_equal(weir_vq_remap(&vq, ring.mem.map, &bad), -EFAULT);
	assert_pops(0, 1);
	weir_vq_push(&vq, 2, 5);
	weir_vq_push(&vq, 0, 6);
	assert_true(weir_vq_flush(&vq));
	assert_used(2, 5, 3);
	assert_used(0, 6, 1);
}

static int
setup(void **state)
{
	guest_ring_create(&ring.mem);
	return 0;
}

static int
teardown(void **state)
{
	guest_ring_destroy(&ring.mem);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_start_checks_size_and_places),
		cmocka_unit_test(packed_start_checks_where_parts_lie),
		cmocka_unit_test(packed_pop_direct_chain_gives_both_parts),
		cmocka_unit_test(packed_pop_indirect_table_takes_one_slot),
		cmocka_unit_test(packed_pop_too_many_segments_takes_the_chain),
		cmocka_unit_test(packed_turns_keep_both_sides_together),
		cmocka_unit_test(packed_batch_is_seen_by_its_first_entry),
		cmocka_unit_test(packed_publish_tells_nobody),
		cmocka_unit_test(packed_flush_obeys_driver_event),
		cmocka_unit_test(packed_kicks_come_only_while_armed),
		cmocka_unit_test(packed_monitor_waits_for_the_next_slot),
		cmocka_unit_test(packed_more_than_the_ring_breaks_it),
		cmocka_unit_test(packed_endless_chain_breaks_it),
		cmocka_unit_test(packed_bad_id_breaks_it),
		cmocka_unit_test(packed_bad_buffers_break_it),
		cmocka_unit_test(packed_unpop_reads_the_chain_anew),
		cmocka_unit_test(packed_unpop_undoes_several),
		cmocka_unit_test(packed_stop_says_where_it_stood),
		cmocka_unit_test(packed_remap_keeps_what_was_popped),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
