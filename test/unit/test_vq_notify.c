/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* When answers are seen, and who is told: interrupts, and kicks. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_common.h>

#include "split_vq.h"

static void WEIR_ON_WORKER
vq_push_is_seen_after_flush(void **state)
{
	uint32_t i;

	split_start(16, 0, 0);
	split_fill();
	for (i = 0; i < 3; i++) {
		guest_ring_offer(&ring, i);
		assert_int_equal(split_pop(), 1);
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

	split_start(16, EVENT, 0xfffe);
	split_fill();
	*guest_ring_used_event(&ring) = 0xfffe;
	for (i = 0; i < 3; i++) {
		guest_ring_offer(&ring, i);
		assert_int_equal(split_pop(), 1);
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
	split_start(16, 0, 0);
	split_fill();
	guest_ring_offer(&ring, 0);
	guest_ring_offer(&ring, 1);
	assert_int_equal(split_pop(), 1);
	assert_int_equal(split_pop(), 1);
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
		split_start(16, EVENT, cases[i].base);
		split_fill();
		ring.avail->flags = VRING_AVAIL_F_NO_INTERRUPT; /* means nothing now */
		*guest_ring_used_event(&ring) = cases[i].event;
		for (j = 0; j < cases[i].nb; j++) {
			guest_ring_offer(&ring, j);
			assert_int_equal(split_pop(), 1);
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
		split_start(16, EVENT, bases[i]);
		split_fill();
		assert_int_equal(ring.used->flags, 0);
		assert_false(driver_kicks(bases[i]));
		assert_false(weir_vq_arm(&vq));
		assert_true(driver_kicks(bases[i]));
		weir_vq_disarm(&vq);
		assert_false(driver_kicks(bases[i]));
		guest_ring_offer(&ring, 0);
		assert_true(weir_vq_arm(&vq)); /* the entry came before the wish */
		weir_vq_disarm(&vq);
		assert_int_equal(split_pop(), 1);
		assert_false(weir_vq_arm(&vq));
		assert_true(driver_kicks(bases[i] + 1));
		assert_int_equal(ring.used->flags, 0);
	}
}

static void WEIR_ON_WORKER
vq_flag_kicks_only_while_armed(void **state)
{
	split_start(16, 0, 0);
	split_fill();
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vq_push_is_seen_after_flush),
		cmocka_unit_test(vq_publish_tells_nobody),
		cmocka_unit_test(vq_flush_obeys_no_interrupt_flag),
		cmocka_unit_test(vq_flush_obeys_event_index),
		cmocka_unit_test(vq_event_index_kicks_only_while_armed),
		cmocka_unit_test(vq_flag_kicks_only_while_armed),
	};

	return cmocka_run_group_tests(tests, split_setup, split_teardown);
}
