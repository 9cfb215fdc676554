/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * A plan is the order in which backend workers get requests, over and over. All policies are one
 * thing to the workers: a route along a plan; without a policy it is one worker long.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "device.h"

#define SPREAD_MAX_WEIGHT 32

struct device_plan {
	bool shared; /* by all queues; else each keeps to one worker */
	uint32_t nb;
	uint8_t workers[WEIR_MAX_WORKERS * SPREAD_MAX_WEIGHT]; /* indices */
	uint8_t self[WEIR_MAX_WORKERS]; /* what a queue that keeps to one worker has for a plan */
};

/* By number among the backend workers. */
struct spread_weights {
	uint32_t of[WEIR_MAX_WORKERS];
};

/* A number up to max in front of *text, which moves on; -1: none. */
static int
spread_number(const char **text, unsigned long max)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)**text))
		return -1;
	errno = 0;
	value = strtoul(*text, &end, 10);
	if (errno != 0 || value > max)
		return -1;
	*text = end;
	return (int)value;
}

static int
spread_backend_of(unsigned int lcore)
{
	for (unsigned int i = 0; i < weir_backends_count(); i++)
		if (weir_worker_lcore(weir_backend_at(i)) == lcore)
			return (int)i;
	return -1;
}

/* "2=3,4=1". @return NULL, or what is wrong. */
static const char *
spread_parse(const char *text, struct spread_weights *weights)
{
	int lcore, weight, i;

	for (i = 0; i < WEIR_MAX_WORKERS; i++)
		weights->of[i] = 1;
	while (*text != '\0') {
		lcore = spread_number(&text, RTE_MAX_LCORE);
		if (lcore < 0 || *text++ != '=')
			return "must be LCORE=WEIGHT,...";
		weight = spread_number(&text, SPREAD_MAX_WEIGHT);
		if (weight < 0)
			return "a weight is a number from 0 to 32";
		i = spread_backend_of((unsigned int)lcore);
		if (i < 0)
			return "names an lcore that is no backend worker";
		weights->of[i] = (uint32_t)weight;
		if (*text == ',' && text[1] != '\0')
			text++;
		else if (*text != '\0')
			return "must be LCORE=WEIGHT,...";
	}
	for (i = 0; i < (int)weir_backends_count(); i++)
		if (weights->of[i] > 0)
			return NULL;
	return "all weights are 0";
}

const char *
device_weights_refused(uint32_t spread, const char *text)
{
	struct spread_weights weights;

	if (spread != DEVICE_SPREAD_WEIGHTED_RR && text[0] != '\0')
		return "only for the policy weighted_rr";
	return spread_parse(text, &weights);
}

/*
 * Each turn every worker earns its weight, and the richest gets the request and pays for all: those
 * of one worker come as far apart as can be, instead of in a row.
 */
static void
spread_fill(struct device_plan *plan, const struct spread_weights *weights)
{
	int64_t earned[WEIR_MAX_WORKERS] = { 0 };
	unsigned int i, best, nb = weir_backends_count();

	for (i = 0; i < nb; i++)
		plan->nb += weights->of[i];
	for (uint32_t turn = 0; turn < plan->nb; turn++) {
		best = 0;
		for (i = 0; i < nb; i++) {
			earned[i] += weights->of[i];
			if (earned[i] > earned[best])
				best = i;
		}
		earned[best] -= plan->nb;
		plan->workers[turn] = (uint8_t)weir_worker_index(weir_backend_at(best));
	}
}

/* Where there are workers on the node, the others get nothing. */
static void
spread_near(struct spread_weights *weights, int node)
{
	unsigned int i, near = 0, nb = weir_backends_count();

	for (i = 0; i < nb; i++)
		near += weir_worker_socket(weir_backend_at(i)) == node;
	for (i = 0; near > 0 && i < nb; i++)
		weights->of[i] = weir_worker_socket(weir_backend_at(i)) == node;
}

int WEIR_ON_CONTROL
device_plan_new(uint32_t spread, const char *text, int node, struct device_plan **out)
{
	struct device_plan *plan = calloc(1, sizeof(*plan));
	struct spread_weights weights;

	if (plan == NULL)
		return -ENOMEM;
	if (spread_parse(text, &weights) != NULL) {
		free(plan);
		return -EINVAL;
	}
	plan->shared = spread != DEVICE_SPREAD_NONE;
	if (plan->shared)
		weir_handoff_enable();
	else
		spread_near(&weights, node);
	spread_fill(plan, &weights);
	for (unsigned int i = 0; i < weir_workers_count(); i++)
		plan->self[i] = (uint8_t)i;
	*out = plan;
	return 0;
}

void
device_plan_free(struct device_plan *plan)
{
	free(plan);
}

void
device_plan_route(const struct device_plan *plan, uint32_t start, const struct weir_worker *worker,
		struct weir_route *route)
{
	if (plan->shared)
		*route = (struct weir_route){
			.workers = plan->workers,
			.nb = plan->nb,
			.next = start % plan->nb,
		};
	else if (weir_worker_is_backend(worker))
		*route = (struct weir_route){
			.workers = &plan->self[weir_worker_index(worker)],
			.nb = 1,
		};
	else
		*route = (struct weir_route){
			.workers = &plan->workers[start % plan->nb],
			.nb = 1,
		};
}
