/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <rte_common.h>

#include "guest_ring.h"
#include "ring_random.h"

/* xorshift64 */
static uint64_t state;

void
ring_random_seed(uint64_t seed)
{
	state = seed;
}

uint64_t
rnd(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

bool
one_in(uint64_t n)
{
	return rnd(n) == 0;
}

uint64_t
any_gpa(void)
{
	static const uint64_t borders[] = {
		0,
		GUEST_GPA0,
		GUEST_GPA1,
		GUEST_GPA1 + GUEST_SIZE1,
		GUEST_GPA2,
		GUEST_GPA2 + GUEST_SIZE2,
		1ULL << 32,
		1ULL << 63,
		UINT64_MAX,
	};

	if (one_in(100))
		return borders[rnd(RTE_DIM(borders))] + rnd(65) - 32;
	return GUEST_TABLE_GPA + rnd(GUEST_SIZE0 + GUEST_SIZE1 - 0x11000);
}

uint32_t
any_len(void)
{
	if (one_in(200))
		return one_in(2) ? 0 : UINT32_MAX - rnd(3);
	return one_in(100) ? rnd(UINT32_MAX) : 1 + rnd(4096);
}
