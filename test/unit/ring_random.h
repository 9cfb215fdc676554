/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef RING_RANDOM_H
#define RING_RANDOM_H

/* What a hostile driver puts into a ring in the memory of guest_ring.h: the same in every run. */

#include <stdbool.h>
#include <stdint.h>

void ring_random_seed(uint64_t seed);

/* @return a number below; true once in n times. */
uint64_t rnd(uint64_t below);
bool one_in(uint64_t n);

/* Mostly good, so that faults are also met deep inside chains; else at and around every border. */
uint64_t any_gpa(void);
uint32_t any_len(void);

#endif /* RING_RANDOM_H */
