/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What it costs to hand a request over: GETATTRs of the null driver from one worker, carried out
 * there, and on another worker on another CPU; without a virtqueue, whose cost would be the same.
 * Each mode gets its turn for a few hundred microseconds, thousands of times, and what is printed
 * are quartiles of those turns: whatever else runs on the CPUs disturbs some and spares others.
 *
 * handoff-bench FRONTEND_CPU BACKEND_CPU DEPTH TURNS
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "weir_handoff.h"

#include "../unit/fs_client.h"

#define DEPTH_MAX  1024
#define TURN_OPS   32 /* for each of depth */
#define TURNS_MAX  100000
#define NB_MODES   2
#define NB_WORKERS 2
/* Rounds between two turns, so that what a turn did has been counted on both sides. */
#define SETTLE 64

/* As far apart as a device's requests are. */
struct op {
	struct weir_fsreq req;
	struct op *next;
	uint8_t rest[1024];
} __rte_cache_aligned;

static const uint8_t mode_workers[NB_MODES] = { 0, 1 };
static struct weir_route routes[NB_MODES] = {
	{ .workers = &mode_workers[0], .nb = 1 },
	{ .workers = &mode_workers[1], .nb = 1 },
};
static const char *const mode_names[NB_MODES] = { "alone", "over" };

static struct {
	unsigned int depth, nb_turns;
	struct weir_fsdev *dev;
	struct op ops[DEPTH_MAX];

	/* The frontend worker's from here on. */
	struct weir_poller poller;
	struct op *idle;
	unsigned int nb_idle, left, mode, turn, settled;
	uint64_t busy[NB_WORKERS]; /* at the beginning of the turn */
	uint64_t sizes; /* keeps the answers from being ignored */
	_Atomic bool over;

	/* ns per request: of the frontend worker, and of the other one. */
	double ns[NB_MODES][NB_WORKERS][TURNS_MAX];
} bench;

static void
bench_done(struct weir_fsreq *req, int res)
{
	struct op *op = container_of(req, struct op, req);

	/* Somebody looks at the answer, as the FUSE layer does. */
	bench.sizes += req->out.attr.attr.size + req->out.attr.valid_ns + (uint64_t)res;
	op->next = bench.idle;
	bench.idle = op;
	bench.nb_idle++;
}

static void WEIR_ON_WORKER
bench_submit(struct op *op)
{
	struct weir_fsreq *req = &op->req;

	memset(req, 0, offsetof(struct weir_fsreq, ctx));
	req->op = WEIR_FSOP_GETATTR;
	req->node = weir_fsdev_root(bench.dev);
	req->chan = weir_fsdev_channel_by(bench.dev, &routes[bench.mode]);
	req->done = bench_done;
	weir_fsdev_submit(req);
}

static void
bench_busy(uint64_t busy[NB_WORKERS])
{
	struct weir_worker_stats stats;

	for (unsigned int i = 0; i < NB_WORKERS; i++) {
		weir_worker_stats_get(weir_worker_at(i), &stats);
		busy[i] = stats.cycles_busy;
	}
}

static void WEIR_ON_WORKER
bench_turn(void)
{
	uint64_t busy[NB_WORKERS];

	bench_busy(busy);
	if (bench.turn > 0) {
		for (unsigned int i = 0; i < NB_WORKERS; i++)
			bench.ns[bench.mode][i][(bench.turn - 1) / NB_MODES] =
					(double)(busy[i] - bench.busy[i]) * 1e9 /
					(double)rte_get_tsc_hz() / (TURN_OPS * bench.depth);
	}
	memcpy(bench.busy, busy, sizeof(busy));
	bench.mode = bench.turn++ % NB_MODES;
	bench.left = TURN_OPS * bench.depth;
	bench.settled = 0;
}

static int
bench_poll(struct weir_poller *poller)
{
	int nb = 0;

	weir_role_assume_worker();
	if (bench.left == 0 && bench.nb_idle == bench.depth) {
		if (bench.settled++ < SETTLE)
			return 0;
		if (bench.turn > NB_MODES * bench.nb_turns) {
			weir_poller_del(poller);
			atomic_store(&bench.over, true);
			return 0;
		}
		bench_turn();
	}
	/* As many as a queue takes in a round, and not those that come back meanwhile. */
	for (unsigned int n = RTE_MIN(bench.nb_idle, 32u); n > 0 && bench.left > 0; n--, nb++) {
		struct op *op = bench.idle;

		bench.idle = op->next;
		bench.nb_idle--;
		bench.left--;
		bench_submit(op);
	}
	return nb;
}

/* It never sleeps; the other worker does when it has nothing to do for long. */
static bool
bench_arm(struct weir_poller *poller)
{
	return true;
}

static void
bench_begin(void *arg)
{
	weir_role_assume_worker();
	for (unsigned int i = 0; i < bench.depth; i++) {
		bench.ops[i].next = bench.idle;
		bench.idle = &bench.ops[i];
	}
	bench.nb_idle = bench.depth;
	bench.poller = (struct weir_poller){
		.name = "bench", .poll = bench_poll, .arm = bench_arm
	};
	weir_poller_add(&bench.poller);
}

static int
by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
bench_print(void)
{
	printf("{\"depth\": %u", bench.depth);
	for (unsigned int mode = 0; mode < NB_MODES; mode++) {
		printf(", \"%s\": [", mode_names[mode]);
		for (unsigned int i = 0; i < NB_WORKERS; i++) {
			double *ns = bench.ns[mode][i];

			qsort(ns, bench.nb_turns, sizeof(*ns), by_size);
			printf("%s[%.1f, %.1f, %.1f]", i > 0 ? ", " : "", ns[bench.nb_turns / 4],
					ns[bench.nb_turns / 2], ns[bench.nb_turns * 3 / 4]);
		}
		printf("]");
	}
	printf("}\n");
}

static unsigned int
number(const char *text, unsigned int max)
{
	unsigned long value = strtoul(text, NULL, 10);

	if (value > max || (value == 0 && text[0] != '0')) {
		fprintf(stderr, "handoff-bench: %s: not a number up to %u\n", text, max);
		exit(2);
	}
	return (unsigned int)value;
}

int
main(int argc, char **argv)
{
	const struct weir_handoff_cfg roles = { .frontend = { true }, .backend = { true, true } };
	char lcores[64], message[512];

	if (argc != 5) {
		fprintf(stderr, "usage: handoff-bench FRONTEND_CPU BACKEND_CPU DEPTH TURNS\n");
		return 2;
	}
	snprintf(lcores, sizeof(lcores), "0@%u-%u,1@%u,2@%u", 0, number(argv[1], 1023),
			number(argv[1], 1023), number(argv[2], 1023));
	bench.depth = RTE_MAX(number(argv[3], DEPTH_MAX), 1u);
	bench.nb_turns = RTE_MAX(number(argv[4], TURNS_MAX), 4u);
	if (fsc_start(lcores) < 0)
		return 77;
	weir_role_assume_control();
	if (weir_handoff_start(&roles) < 0)
		return 1;
	if (fsc_rpc("fsdev_null_create", "{\"name\": \"null0\"}", message) != 0)
		return 1;
	bench.dev = weir_fsdev_find("null0");
	weir_worker_sync(weir_worker_at(0), bench_begin, NULL);
	while (!atomic_load(&bench.over))
		fsc_poll();
	bench_print();
	fsc_rpc("fsdev_null_delete", "{\"name\": \"null0\"}", message);
	weir_role_assume_control();
	weir_handoff_stop();
	fsc_stop();
	return 0;
}
