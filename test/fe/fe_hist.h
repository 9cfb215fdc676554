/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FE_HIST_H
#define FE_HIST_H

/**
 * @file
 * A histogram of nanoseconds with 32 buckets for each power of two: percentiles within 3 %.
 */

#include <stdint.h>

#define FE_HIST_SUB     32u
#define FE_HIST_BUCKETS (60u * FE_HIST_SUB)

struct fe_hist {
	uint64_t bucket[FE_HIST_BUCKETS];
	uint64_t count;
	uint64_t sum;
	uint64_t max;
};

void fe_hist_add(struct fe_hist *hist, uint64_t ns);
void fe_hist_merge(struct fe_hist *sum, const struct fe_hist *hist);

/** The value below which per_mille of the values lie, in ns; 0 when there are none. */
uint64_t fe_hist_percentile(const struct fe_hist *hist, unsigned int per_mille);

/** Monotonic clock in ns. */
uint64_t fe_now_ns(void);

#endif /* FE_HIST_H */
