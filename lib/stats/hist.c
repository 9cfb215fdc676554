/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <rte_common.h>

#include "hist.h"

void
weir_hist_add(struct weir_hist *hist, uint64_t ns)
{
	weir_counter_add(&hist->bucket[hist_bucket(ns)], 1);
	weir_counter_add(&hist->sum_ns, ns);
	if (ns > weir_counter_get(&hist->max_ns))
		atomic_store_explicit(&hist->max_ns, ns, memory_order_relaxed);
}

void
weir_hist_collect(const struct weir_hist *hist, struct weir_hist_sum *sum)
{
	unsigned int i;
	uint64_t n;

	for (i = 0; i < WEIR_HIST_BUCKETS; i++) {
		n = weir_counter_get(&hist->bucket[i]);
		sum->bucket[i] += n;
		sum->count += n;
	}
	sum->sum_ns += weir_counter_get(&hist->sum_ns);
	sum->max_ns = RTE_MAX(sum->max_ns, weir_counter_get(&hist->max_ns));
}

uint64_t
weir_hist_percentile_ns(const struct weir_hist_sum *sum, unsigned int per_mille)
{
	/* Of 10 values, the 9th is the p90 and the 10th the p99; split up, as count may be huge. */
	uint64_t rank = sum->count / 1000 * per_mille +
			(sum->count % 1000 * per_mille + 999) / 1000;
	uint64_t seen = 0;
	unsigned int i;

	if (sum->count == 0)
		return 0;
	for (i = 0; i < WEIR_HIST_BUCKETS - 1; i++) {
		seen += sum->bucket[i];
		if (seen >= RTE_MAX(rank, 1u))
			return RTE_MIN(hist_bucket_max(i), sum->max_ns);
	}
	return sum->max_ns;
}

static json_t *
microseconds(uint64_t ns)
{
	return json_real((double)ns / 1000.0);
}

json_t *
weir_hist_json(const struct weir_hist_sum *sum)
{
	uint64_t avg_ns = sum->count == 0 ? 0 : sum->sum_ns / sum->count;

	return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "count", (json_int_t)sum->count,
			"avg", microseconds(avg_ns), "p50",
			microseconds(weir_hist_percentile_ns(sum, 500)), "p90",
			microseconds(weir_hist_percentile_ns(sum, 900)), "p99",
			microseconds(weir_hist_percentile_ns(sum, 990)), "p999",
			microseconds(weir_hist_percentile_ns(sum, 999)), "max",
			microseconds(sum->max_ns));
}
