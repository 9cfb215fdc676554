/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_STATS_H
#define WEIR_STATS_H

/**
 * @file
 * Statistics: counters and latency histograms that one worker writes without atomics' cost and
 * anybody reads without disturbing it, and one walker that turns declared statistics into the
 * JSON of RPC answers and the data of DPDK telemetry.
 *
 * A counter has one writer; it is a relaxed atomic so that a reader on another core sees whole
 * values. Sums over workers are made by the reader.
 */

#include <jansson.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_telemetry.h>

#include "weir_role.h"

typedef _Atomic uint64_t weir_counter;

static inline void
weir_counter_add(weir_counter *counter, uint64_t n)
{
	/* One writer: no read-modify-write instruction is needed, only untorn accesses. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			memory_order_relaxed);
}

static inline uint64_t
weir_counter_get(const weir_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/**
 * A latency histogram with log-linear buckets: 4 per power of two of nanoseconds, from 64 ns to
 * about 69 s, so a percentile is within 25 % of the truth.
 */
#define WEIR_HIST_BUCKETS 124
struct weir_hist {
	weir_counter bucket[WEIR_HIST_BUCKETS];
	weir_counter sum_ns;
	weir_counter max_ns;
};

/** Counts one value. The histogram's own worker. */
void WEIR_ON_WORKER weir_hist_add(struct weir_hist *hist, uint64_t ns);

/** A private sum of histograms, for readers. */
struct weir_hist_sum {
	uint64_t bucket[WEIR_HIST_BUCKETS];
	uint64_t count, sum_ns, max_ns;
};

/** Adds what hist holds now to sum. Any thread. */
void weir_hist_collect(const struct weir_hist *hist, struct weir_hist_sum *sum);

/**
 * The value that per_mille of the values do not exceed: the upper bound of its bucket, or the
 * greatest value there was, if that is less. 0 when empty.
 */
uint64_t weir_hist_percentile_ns(const struct weir_hist_sum *sum, unsigned int per_mille);

/** {"count","avg","p50","p90","p99","p999","max"} in microseconds with fractions. New reference. */
json_t *weir_hist_json(const struct weir_hist_sum *sum);

/**
 * A provider of statistics: one telemetry command is made of it; an RPC method that reports the
 * same calls fill() itself.
 *
 * fill() returns a new JSON object or array for the object named by param (NULL: all). It runs on
 * control and on telemetry threads, at the same time: it may only read counters and must hold the
 * lock of whatever list it walks. NULL means that there is no such object.
 */
struct weir_stats_provider {
	const char *command; /**< telemetry: "/weir/devices" */
	const char *help;
	json_t *(*fill)(const char *param);
};

/**
 * Registers the provider with DPDK telemetry; it is borrowed for ever. Control, any time. What
 * comes behind the command (/weir/devices,NAME) is passed to fill().
 *
 * @return 0; -EEXIST when the command is registered already; -ENOSPC when there are too many; or
 *   -EINVAL for a command or help that DPDK refuses.
 */
int weir_stats_register(const struct weir_stats_provider *provider);

/**
 * Puts a JSON value into telemetry data as far as that can hold it: an array of anything but
 * strings or numbers becomes a dictionary, by the "name" of its elements or else by their index;
 * reals become strings, booleans 0 or 1; strings are cut at 127 bytes. What telemetry's 16 KiB
 * would cut off anywhere is replaced as a whole by a dictionary that says so.
 *
 * @return 0.
 */
int weir_stats_to_telemetry(const json_t *value, struct rte_tel_data *data);

#endif /* WEIR_STATS_H */
