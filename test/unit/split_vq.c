/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ring_check.h"
#include "split_vq.h"

struct guest_ring ring;
struct weir_vq vq;
struct weir_chain chain;
struct weir_seg segs[MAX_SEGS];

int
split_setup(void **state)
{
	guest_ring_create(&ring);
	return 0;
}

int
split_teardown(void **state)
{
	guest_ring_destroy(&ring);
	return 0;
}

void WEIR_ON_WORKER
split_start(uint32_t size, uint64_t features, uint16_t base)
{
	guest_ring_reset(&ring, size, features, base);
	memset(&vq, 0, sizeof(vq));
	assert_int_equal(weir_vq_start(&vq, ring.map, &ring.cfg), 0);
}

void
split_fill(void)
{
	for (uint32_t i = 0; i < ring.cfg.size; i++)
		guest_ring_put(&ring.desc[i], GUEST_DATA_GPA + i * 64, 64, W, 0);
}

int WEIR_ON_WORKER
split_pop(void)
{
	return weir_vq_pop(&vq, &chain, segs, MAX_SEGS);
}

void WEIR_ON_WORKER
split_pop_fails(enum weir_vq_error error)
{
	ring_check_breaks(&vq, &ring, error);
}
