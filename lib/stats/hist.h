/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef STATS_HIST_H
#define STATS_HIST_H

#include <assert.h>
#include <stdint.h>

#include "weir_stats.h"

#define HIST_SUB_BITS 2 /* 4 buckets per power of two */
#define HIST_MIN_BITS 6 /* from 64 ns */
#define HIST_MAX_BITS 36 /* the last power of two: 68.7 s */

static_assert(WEIR_HIST_BUCKETS == (HIST_MAX_BITS - HIST_MIN_BITS + 1) << HIST_SUB_BITS,
		"the buckets do not fit the powers of two");

/* The bucket of a value. The first one also has what is less, the last one what is more. */
static inline unsigned int
hist_bucket(uint64_t ns)
{
	unsigned int bits, sub;

	if (ns < UINT64_C(1) << HIST_MIN_BITS)
		return 0;
	bits = 63 - (unsigned int)__builtin_clzll(ns);
	if (bits > HIST_MAX_BITS)
		return WEIR_HIST_BUCKETS - 1;
	sub = (unsigned int)(ns >> (bits - HIST_SUB_BITS)) & ((1u << HIST_SUB_BITS) - 1);
	return ((bits - HIST_MIN_BITS) << HIST_SUB_BITS) + sub;
}

/* The greatest value of a bucket, were the last one like the others. */
static inline uint64_t
hist_bucket_max(unsigned int bucket)
{
	unsigned int bits = HIST_MIN_BITS + (bucket >> HIST_SUB_BITS);
	uint64_t sub = bucket & ((1u << HIST_SUB_BITS) - 1);

	return (((UINT64_C(1) << HIST_SUB_BITS) + sub + 1) << (bits - HIST_SUB_BITS)) - 1;
}

#endif /* STATS_HIST_H */
