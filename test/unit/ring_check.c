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

#include "ring_check.h"

void WEIR_ON_WORKER
ring_check_breaks(struct weir_vq *vq, const struct guest_ring *mem, enum weir_vq_error error)
{
	struct weir_seg segs[16];
	struct weir_vring_base base;
	struct weir_chain chain;

	assert_int_equal(weir_vq_pop(vq, &chain, segs, RTE_DIM(segs)), -EPROTO);
	assert_int_equal(vq->error, error);
	assert_int_equal(vq->stats.errors[error], 1);
	/* Broken is found once, stays, asks for nothing, and ends with the next start. */
	assert_int_equal(weir_vq_pop(vq, &chain, segs, RTE_DIM(segs)), 0);
	assert_false(weir_vq_arm(vq));
	assert_int_equal(vq->stats.errors[error], 1);
	weir_vq_stop(vq, &base);
	assert_int_equal(weir_vq_start(vq, mem->map, &mem->cfg), 0);
	assert_int_equal(vq->error, WEIR_VQ_OK);
}

void
ring_check_segments(const struct weir_memmap *map, const struct weir_chain *chain,
		const struct weir_seg *segs, uint32_t max)
{
	uint64_t bytes[2] = { 0, 0 };

	assert_in_range(chain->nb_in + chain->nb_out, 1, max);
	for (uint32_t i = 0; i < chain->nb_in + chain->nb_out; i++) {
		const struct weir_seg *seg = &segs[i];
		const struct weir_mem_region *region = &map->regions[seg->region];

		assert_true(seg->region < map->nb_regions);
		assert_true(seg->len > 0 && seg->len <= region->size);
		assert_true(seg->off <= region->size - seg->len);
		bytes[i >= chain->nb_in] += seg->len;
	}
	assert_int_equal(bytes[0], chain->in_bytes);
	assert_int_equal(bytes[1], chain->out_bytes);
}
