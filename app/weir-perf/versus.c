/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <stdio.h>
#include <stdlib.h>

#include "report.h"
#include "run.h"

enum metric {
	METRIC_OPS,
	METRIC_P50,
	METRIC_P99,
	METRIC_CPU,
	METRIC_COST,
	METRIC_WORKING,
	NB_METRICS,
};

static const struct {
	const char *key;
	const char *title;
	int digits;
} metrics[NB_METRICS] = {
	[METRIC_OPS] = { "ops_per_s", "operations per second", 0 },
	[METRIC_P50] = { "p50_us", "median latency, us", 2 },
	[METRIC_P99] = { "p99_us", "99th percentile, us", 2 },
	[METRIC_CPU] = { "cpu_us_per_op", "CPU per operation, us", 3 },
	[METRIC_COST] = { "cost_us_per_op", "cost (see --help), us", 3 },
	[METRIC_WORKING] = { "generator_working", "generator working", 2 },
};

#define NB_SIDES 2

static const char *const side_keys[NB_SIDES] = { "server", "versus" };

/* One side's values, by metric and round. */
struct side {
	const char *command;
	double *value[NB_METRICS];
};

struct spread {
	double median, min, max;
};

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct spread
spread_of(const double *value, unsigned int nb, double *sorted)
{
	unsigned int i;

	for (i = 0; i < nb; i++)
		sorted[i] = value[i];
	qsort(sorted, nb, sizeof(*sorted), compare);
	return (struct spread){
		.median = (sorted[(nb - 1) / 2] + sorted[nb / 2]) / 2,
		.min = sorted[0],
		.max = sorted[nb - 1],
	};
}

static double
quotient(double a, double b)
{
	return b != 0 ? a / b : 0;
}

/* The quotient of the medians, between those of the single rounds. */
static struct spread
spread_ratio(const struct side *side, enum metric m, unsigned int nb, double *scratch)
{
	double a = spread_of(side[0].value[m], nb, scratch).median;
	double b = spread_of(side[1].value[m], nb, scratch).median;
	struct spread ratio = { .median = quotient(a, b) };
	unsigned int i;

	for (i = 0; i < nb; i++) {
		double each = quotient(side[0].value[m][i], side[1].value[m][i]);

		ratio.min = i == 0 || each < ratio.min ? each : ratio.min;
		ratio.max = i == 0 || each > ratio.max ? each : ratio.max;
	}
	return ratio;
}

static void
side_take(struct side *side, unsigned int round, const struct load_result *r)
{
	double ops = r->total.hist.count;

	side->value[METRIC_OPS][round] = quotient(ops * 1e9, r->wall_ns);
	side->value[METRIC_P50][round] = fe_hist_percentile(&r->total.hist, 500) / 1e3;
	side->value[METRIC_P99][round] = fe_hist_percentile(&r->total.hist, 990) / 1e3;
	side->value[METRIC_CPU][round] = quotient(cpu_sample_total(&r->server_cpu) / 1e3, ops);
	side->value[METRIC_COST][round] = quotient(load_cost_ns(r) / 1e3, ops);
	side->value[METRIC_WORKING][round] =
			1 - quotient(r->generator_wait_ns, r->generator_wall_ns);
}

static json_t *
spread_json(struct spread spread)
{
	return json_pack("{s:f, s:f, s:f}", "median", spread.median, "min", spread.min, "max",
			spread.max);
}

static void
versus_json(const struct side *side, unsigned int nb, double *scratch)
{
	json_t *object = json_pack("{s:i}", "rounds", nb);
	json_t *ratio = json_object();
	unsigned int i, m;

	for (i = 0; i < NB_SIDES; i++) {
		json_t *values = json_object();

		for (m = 0; m < NB_METRICS; m++)
			json_object_set_new(values, metrics[m].key,
					spread_json(spread_of(side[i].value[m], nb, scratch)));
		json_object_set_new(object, side_keys[i], values);
	}
	for (m = 0; m < NB_METRICS; m++)
		json_object_set_new(ratio, metrics[m].key,
				spread_json(spread_ratio(side, m, nb, scratch)));
	json_object_set_new(object, "ratio", ratio);
	report_print(object);
}

static void
versus_text(const struct side *side, unsigned int nb, double *scratch)
{
	unsigned int i, m;

	printf("%u rounds: median (min to max)\n%-24s", nb, "");
	for (i = 0; i < NB_SIDES; i++)
		printf("%-34s", side_keys[i]);
	printf("server / versus\n");
	for (m = 0; m < NB_METRICS; m++) {
		char text[64];
		struct spread s;

		printf("%-24s", metrics[m].title);
		for (i = 0; i < NB_SIDES; i++) {
			s = spread_of(side[i].value[m], nb, scratch);
			snprintf(text, sizeof(text), "%.*f (%.*f to %.*f)", metrics[m].digits,
					s.median, metrics[m].digits, s.min, metrics[m].digits,
					s.max);
			printf("%-34s", text);
		}
		s = spread_ratio(side, m, nb, scratch);
		printf("%.2f (%.2f to %.2f)\n", s.median, s.min, s.max);
	}
}

static int
versus_rounds(const struct perf_opts *opts, struct side *side, struct load_result *result)
{
	unsigned int round, i;
	int verdict;

	for (round = 0; round < opts->rounds; round++) {
		for (i = 0; i < NB_SIDES; i++) {
			/* The order changes each round, so that nobody is always the first. */
			unsigned int which = (round + i) % NB_SIDES;

			verdict = run_once(opts, side[which].command, result);
			if (verdict != PERF_OK) {
				fprintf(stderr, "weir-perf: that was %s in round %u\n",
						side_keys[which], round + 1);
				return verdict;
			}
			side_take(&side[which], round, result);
		}
	}
	return PERF_OK;
}

int
run_versus(const struct perf_opts *opts)
{
	struct side side[NB_SIDES] = { { .command = opts->server }, { .command = opts->versus } };
	struct load_result *result = calloc(1, sizeof(*result));
	double *values = calloc((NB_SIDES * NB_METRICS + 1) * opts->rounds, sizeof(*values));
	double *scratch = values;
	unsigned int i, m;
	int verdict = PERF_SETUP;

	if (values != NULL && result != NULL) {
		for (i = 0; i < NB_SIDES; i++)
			for (m = 0; m < NB_METRICS; m++)
				side[i].value[m] = values + (1 + i * NB_METRICS + m) * opts->rounds;
		verdict = versus_rounds(opts, side, result);
	}
	if (verdict == PERF_OK && opts->json)
		versus_json(side, opts->rounds, scratch);
	else if (verdict == PERF_OK)
		versus_text(side, opts->rounds, scratch);
	free(values);
	free(result);
	return verdict;
}
