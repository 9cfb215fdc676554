/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <time.h>

#include "fe_hist.h"

/* Values under FE_HIST_SUB have a bucket each; above, the five bits behind the leading one. */
static unsigned int
hist_bucket(uint64_t ns)
{
	unsigned int shift;

	if (ns < FE_HIST_SUB)
		return ns;
	shift = 63 - __builtin_clzll(ns) - 5;
	return (shift + 1) * FE_HIST_SUB + ((ns >> shift) & (FE_HIST_SUB - 1));
}

static uint64_t
hist_upper(unsigned int bucket)
{
	unsigned int shift = bucket / FE_HIST_SUB;

	if (shift == 0)
		return bucket;
	return ((uint64_t)(FE_HIST_SUB + bucket % FE_HIST_SUB + 1) << (shift - 1)) - 1;
}

void
fe_hist_add(struct fe_hist *hist, uint64_t ns)
{
	hist->bucket[hist_bucket(ns)]++;
	hist->count++;
	hist->sum += ns;
	if (ns > hist->max)
		hist->max = ns;
}

void
fe_hist_merge(struct fe_hist *sum, const struct fe_hist *hist)
{
	unsigned int i;

	for (i = 0; i < FE_HIST_BUCKETS; i++)
		sum->bucket[i] += hist->bucket[i];
	sum->count += hist->count;
	sum->sum += hist->sum;
	if (hist->max > sum->max)
		sum->max = hist->max;
}

uint64_t
fe_hist_percentile(const struct fe_hist *hist, unsigned int per_mille)
{
	uint64_t want = (hist->count * per_mille + 999) / 1000;
	uint64_t seen = 0;
	unsigned int i;

	for (i = 0; i < FE_HIST_BUCKETS; i++) {
		seen += hist->bucket[i];
		if (seen >= want && seen > 0)
			return hist_upper(i) < hist->max ? hist_upper(i) : hist->max;
	}
	return 0;
}

uint64_t
fe_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}
