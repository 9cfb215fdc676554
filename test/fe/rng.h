/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef RNG_H
#define RNG_H

/**
 * @file
 * A seeded source of numbers, and of those among them that break things.
 */

#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline void
rng_seed(struct rng *rng, uint64_t seed)
{
	rng->state = seed * 0x9e3779b97f4a7c15ULL | 1;
}

/** xorshift64*. */
static inline uint64_t
rng_next(struct rng *rng)
{
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return rng->state * 0x2545f4914f6cdd1dULL;
}

/** 0 to n - 1. */
static inline uint32_t
rng_below(struct rng *rng, uint32_t n)
{
	return (rng_next(rng) >> 32) % n;
}

/** A number near a power of two, near a limit of a type, small, or any. */
static inline uint64_t
rng_junk(struct rng *rng)
{
	uint64_t near = rng_below(rng, 5);

	switch (rng_below(rng, 6)) {
	case 0:
		return near;
	case 1:
		return (1ULL << rng_below(rng, 64)) + near - 2;
	case 2:
		return UINT64_MAX - near;
	case 3:
		return (uint64_t)INT64_MAX + near - 2;
	case 4:
		return (uint64_t)UINT32_MAX + near - 2;
	default:
		return rng_next(rng);
	}
}

#endif /* RNG_H */
