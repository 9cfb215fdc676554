/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "report.h"

static const struct {
	const char *name;
	unsigned int per_mille;
} percentiles[] = {
	{ "p50", 500 },
	{ "p90", 900 },
	{ "p99", 990 },
	{ "p999", 999 },
};

#define NB_PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

void
report_live(const struct load *load, uint64_t ops, uint64_t ns)
{
	bool tty = isatty(STDERR_FILENO);
	int phase = load->phase;

	if (!tty && !load->opts->progress)
		return;
	fprintf(stderr, "%s%s %12.0f ops/s%s", tty ? "\r" : "",
			phase == LOAD_RAMP ? "ramp   " : "measure", ops * 1e9 / ns,
			tty ? "" : "\n");
}

void
report_live_end(const struct load *load)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%40s\r", "");
}

static double
ratio(double value, double of)
{
	return of > 0 ? value / of : 0;
}

static double
per_s(const struct load_result *r, double value)
{
	return ratio(value * 1e9, r->wall_ns);
}

static double
per_op(const struct load_result *r, double value)
{
	return ratio(value, r->total.hist.count);
}

static void
stats_text(const char *name, const struct load_result *r, const struct load_stats *stats)
{
	unsigned int i;

	printf("%-14s %10.0f ops/s", name, per_s(r, stats->hist.count));
	if (stats->bytes > 0)
		printf(" %8.1f MB/s", per_s(r, stats->bytes) / 1e6);
	for (i = 0; i < NB_PERCENTILES; i++)
		printf("  %s %.1f", percentiles[i].name,
				fe_hist_percentile(&stats->hist, percentiles[i].per_mille) / 1e3);
	printf("  max %.1f us", stats->hist.max / 1e3);
	if (stats->errors > 0)
		printf("  %" PRIu64 " errors", stats->errors);
	putchar('\n');
}

/* Workloads that were asked for, and what a trace had. */
static bool
is_shown(const struct perf_opts *opts, const struct load_result *r, unsigned int kind)
{
	if (opts->replay != NULL)
		return r->stats[kind].hist.count > 0;
	return kind < WORK_NB_KINDS && opts->weight[kind] > 0;
}

void
report_text(const struct perf_opts *opts, const struct load_result *r)
{
	unsigned int kinds = 0, kind, i;

	for (kind = 0; kind < LOAD_NB_KINDS; kind++) {
		if (is_shown(opts, r, kind)) {
			stats_text(load_kind_name(opts, kind), r, &r->stats[kind]);
			kinds++;
		}
	}
	if (kinds > 1)
		stats_text("all", r, &r->total);
	printf("%" PRIu64 " operations in %.3f s, %.3f kicks and %.3f interrupts per operation\n",
			r->total.hist.count, r->wall_ns / 1e9, per_op(r, r->kicks),
			per_op(r, r->calls));
	printf("generator: %.3f us CPU per operation, working %.0f %% of the time\n",
			per_op(r, r->generator_cpu_ns / 1e3),
			100 - 100 * ratio(r->generator_wait_ns, r->generator_wall_ns));
	if (r->has_busy)
		printf("server: %.3f us cost per operation, %.3f us of it busy workers\n",
				per_op(r, load_cost_ns(r) / 1e3), per_op(r, r->busy_ns / 1e3));
	if (r->server_cpu.nb == 0)
		return;
	printf("server: %.3f us CPU per operation\n",
			per_op(r, cpu_sample_total(&r->server_cpu) / 1e3));
	for (i = 0; i < r->server_cpu.nb; i++)
		if (r->server_cpu.thread[i].ns > r->wall_ns / 1000)
			printf("  %-16s %.3f us\n", r->server_cpu.thread[i].name,
					per_op(r, r->server_cpu.thread[i].ns / 1e3));
}

static void
set_real(json_t *object, const char *key, double value)
{
	json_object_set_new(object, key, json_real(value));
}

static json_t *
stats_json(const struct load_result *r, const struct load_stats *stats)
{
	json_t *object = json_object();
	unsigned int i;
	char key[16];

	json_object_set_new(object, "ops", json_integer(stats->hist.count));
	json_object_set_new(object, "errors", json_integer(stats->errors));
	set_real(object, "ops_per_s", per_s(r, stats->hist.count));
	set_real(object, "bytes_per_s", per_s(r, stats->bytes));
	set_real(object, "mean_us", ratio(stats->hist.sum / 1e3, stats->hist.count));
	for (i = 0; i < NB_PERCENTILES; i++) {
		snprintf(key, sizeof(key), "%s_us", percentiles[i].name);
		set_real(object, key,
				fe_hist_percentile(&stats->hist, percentiles[i].per_mille) / 1e3);
	}
	set_real(object, "max_us", stats->hist.max / 1e3);
	return object;
}

static json_t *
server_json(const struct load_result *r)
{
	json_t *object = json_object();
	json_t *threads = json_array();
	unsigned int i;

	set_real(object, "cpu_us_per_op", per_op(r, cpu_sample_total(&r->server_cpu) / 1e3));
	set_real(object, "cost_us_per_op", per_op(r, load_cost_ns(r) / 1e3));
	if (r->has_busy)
		set_real(object, "busy_us_per_op", per_op(r, r->busy_ns / 1e3));
	for (i = 0; i < r->server_cpu.nb; i++)
		json_array_append_new(threads,
				json_pack("{s:s, s:f}", "name", r->server_cpu.thread[i].name,
						"cpu_us_per_op",
						per_op(r, r->server_cpu.thread[i].ns / 1e3)));
	json_object_set_new(object, "threads", threads);
	return object;
}

json_t *
report_json(const struct perf_opts *opts, const struct load_result *r)
{
	json_t *object = stats_json(r, &r->total);
	json_t *works = json_object();
	json_t *generator = json_object();
	unsigned int kind;

	for (kind = 0; kind < LOAD_NB_KINDS; kind++)
		if (is_shown(opts, r, kind))
			json_object_set_new(works, load_kind_name(opts, kind),
					stats_json(r, &r->stats[kind]));
	json_object_set_new(object, "workloads", works);
	json_object_set_new(object, "options",
			json_pack("{s:i, s:i, s:i, s:i, s:b, s:b, s:b, s:b, s:b}", "queues",
					opts->queues, "depth", opts->depth, "bs", opts->block,
					"ring_size", opts->ring_size, "indirect",
					!opts->no_indirect, "event_idx", !opts->no_event_idx,
					"packed", opts->packed, "poll", !opts->event, "verify",
					opts->verify));
	set_real(object, "seconds", r->wall_ns / 1e9);
	set_real(object, "kicks_per_op", per_op(r, r->kicks));
	set_real(object, "interrupts_per_op", per_op(r, r->calls));
	set_real(generator, "cpu_us_per_op", per_op(r, r->generator_cpu_ns / 1e3));
	set_real(generator, "working", 1 - ratio(r->generator_wait_ns, r->generator_wall_ns));
	json_object_set_new(object, "generator", generator);
	if (r->server_cpu.nb > 0 || r->has_busy)
		json_object_set_new(object, "server", server_json(r));
	return object;
}

void
report_print(json_t *object)
{
	json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(object);
}
