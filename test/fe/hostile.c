/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fe_hist.h"
#include "hostile.h"

#define HOSTILE_QUEUES    8
#define HOSTILE_MAX_IO    (128u << 10)
#define HOSTILE_SPARE     (1u << 20)
#define HOSTILE_WAIT_NS   20000000000ULL
#define FAULTS_SHOWN      20
#define CONTROL_PERIOD_NS 1000000

/* The well-behaved guest of another device: it must be served all the time. */
struct control {
	struct fe_fs fs;
	pthread_t thread;
	_Atomic bool stop;
	uint64_t nb_ops;
	uint64_t max_ns;
	int rc;
};

unsigned int
hostile_cat_add(struct hostile *h, const char *layer, const char *name)
{
	if (h->nb_cats == HOSTILE_MAX_CATS)
		abort();
	h->cat[h->nb_cats].layer = layer;
	h->cat[h->nb_cats].name = name;
	return h->nb_cats++;
}

void
hostile_count(struct hostile *h, unsigned int cat, enum hostile_outcome outcome)
{
	h->cat[cat].count[outcome]++;
}

void
hostile_fault(struct hostile *h, const char *fmt, ...)
{
	va_list args;

	if (h->nb_faults++ >= FAULTS_SHOWN)
		return;
	fprintf(stderr, "weir-fe: fault: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
}

int
hostile_connect(struct hostile *h, enum hostile_how how)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	uint64_t end = fe_now_ns() + HOSTILE_WAIT_NS;
	int rc;

	h->nb_connects++;
	for (;;) {
		/* While the last connection is cleaned up the device may close the new one. */
		rc = how == HOSTILE_MOUNT ? fe_fs_mount(&h->fs, &h->opts) :
					    fe_fs_connect(&h->fs, &h->opts);
		if (rc == 0) {
			h->connected = true;
			return 0;
		}
		if (fe_now_ns() > end)
			break;
		nanosleep(&nap, NULL);
	}
	hostile_fault(h, "the device cannot be mounted any more: %s", strerror(-rc));
	return rc;
}

void
hostile_disconnect(struct hostile *h)
{
	if (h->connected)
		fe_fs_close(&h->fs);
	h->connected = false;
}

static void *
control_run(void *arg)
{
	const struct timespec nap = { .tv_nsec = CONTROL_PERIOD_NS };
	struct control *control = arg;
	struct fe_queue *q = &control->fs.queue[1];
	struct fuse_kstatfs st;
	struct fuse_attr attr;

	while (!atomic_load(&control->stop) && control->rc == 0) {
		uint64_t start = fe_now_ns();
		uint64_t took;

		control->rc = fe_getattr(q, FE_ROOT, &attr);
		if (control->rc == 0)
			control->rc = fe_statfs(q, FE_ROOT, &st);
		took = fe_now_ns() - start;
		if (took > control->max_ns)
			control->max_ns = took;
		control->nb_ops += 2;
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static int
control_start(struct control *control, const struct cli *cli)
{
	struct fe_opts opts;
	int rc;

	fe_opts_init(&opts);
	opts.socket = cli->control;
	opts.depth = 4;
	opts.max_io = 65536;
	rc = fe_fs_mount(&control->fs, &opts);
	if (rc < 0)
		return rc;
	return -pthread_create(&control->thread, NULL, control_run, control);
}

/* @return 0 when it was served without an error to the end. */
static int
control_stop(struct control *control)
{
	atomic_store(&control->stop, true);
	pthread_join(control->thread, NULL);
	if (control->rc == 0 && control->fs.fault[0] != '\0')
		control->rc = -EPROTO;
	if (control->rc < 0)
		fprintf(stderr, "weir-fe: fault: the other device failed: %s %s\n",
				strerror(-control->rc), control->fs.fault);
	fe_fs_close(&control->fs);
	return control->rc;
}

static void
report_text(const struct hostile *h, const struct control *control)
{
	uint64_t sum[HOSTILE_NB_OUTCOMES] = { 0 };
	unsigned int i, j;

	printf("%-6s %-24s %9s %9s %9s %9s\n", "layer", "category", "sent", "past", "refused",
			"silent");
	for (i = 0; i < h->nb_cats; i++) {
		const uint64_t *count = h->cat[i].count;

		printf("%-6s %-24s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "\n",
				h->cat[i].layer, h->cat[i].name, count[0] + count[1] + count[2],
				count[0], count[1], count[2]);
		for (j = 0; j < HOSTILE_NB_OUTCOMES; j++)
			sum[j] += count[j];
	}
	printf("%-31s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "\n", "all",
			sum[0] + sum[1] + sum[2], sum[0], sum[1], sum[2]);
	printf("%" PRIu64 " connections, %" PRIu64 " faults\n", h->nb_connects, h->nb_faults);
	if (h->cli->control != NULL)
		printf("the other device answered %" PRIu64 " requests, two took %.1f ms at most\n",
				control->nb_ops, control->max_ns / 1e6);
}

static void
report_json(const struct hostile *h, const struct control *control)
{
	uint64_t total = 0;
	unsigned int i;

	printf("{\"seed\": %" PRIu64 ", \"categories\": [", h->cli->seed);
	for (i = 0; i < h->nb_cats; i++) {
		const uint64_t *count = h->cat[i].count;

		printf("%s{\"layer\": \"%s\", \"name\": \"%s\", \"sent\": %" PRIu64
		       ", \"past\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"silent\": %" PRIu64
		       "}",
				i > 0 ? ", " : "", h->cat[i].layer, h->cat[i].name,
				count[0] + count[1] + count[2], count[0], count[1], count[2]);
		total += count[0] + count[1] + count[2];
	}
	printf("], \"sent\": %" PRIu64 ", \"connects\": %" PRIu64 ", \"faults\": %" PRIu64, total,
			h->nb_connects, h->nb_faults);
	if (h->cli->control != NULL)
		printf(", \"control\": {\"ops\": %" PRIu64 ", \"max_ms\": %.3f, \"error\": %d}",
				control->nb_ops, control->max_ns / 1e6, control->rc);
	printf("}\n");
}

/* One layer after the other; a small part of all inputs needs a connection each. */
static int
hostile_run(struct hostile *h, const char *only)
{
	bool packed = h->opts.ring_flags & FE_RING_PACKED;
	uint64_t nb = h->cli->count, nb_ring = only != NULL ? nb : nb * 30 / 100;
	int rc = 0;

	if (only == NULL || cli_listed(only, "fuse"))
		rc = hostile_fuse(h, only != NULL ? nb : nb * 66 / 100);
	if (rc == 0 && (only == NULL || cli_listed(only, "ring")))
		rc = packed ? hostile_packed(h, nb_ring) : hostile_ring(h, nb_ring);
	if (rc == 0 && (only == NULL || cli_listed(only, "vhost")))
		rc = hostile_vhost(h, only != NULL ? nb : nb * 4 / 100 + 1);
	hostile_disconnect(h);
	/* After all that the device serves a guest as it did before. */
	if (rc == 0)
		rc = hostile_connect(h, HOSTILE_MOUNT);
	hostile_disconnect(h);
	return rc;
}

int
cmd_hostile(struct cli *cli)
{
	struct hostile *h = calloc(1, sizeof(*h));
	struct control *control = calloc(1, sizeof(*control));
	int rc = h == NULL || control == NULL ? -ENOMEM : 0;

	if (rc == 0) {
		h->cli = cli;
		h->opts = cli->fe;
		h->opts.max_io = HOSTILE_MAX_IO;
		h->opts.depth = HOSTILE_DEPTH;
		h->opts.spare_bytes = HOSTILE_SPARE;
		h->opts.wait_ms = 1000;
		if (h->opts.nb_queues == 1)
			h->opts.nb_queues = HOSTILE_QUEUES;
		rng_seed(&h->rng, cli->seed);
		if (cli->control != NULL)
			rc = control_start(control, cli);
	}
	if (rc < 0) {
		fprintf(stderr, "weir-fe: hostile: %s\n", strerror(-rc));
		free(h);
		free(control);
		return 1;
	}

	rc = hostile_run(h, cli->only);
	if (cli->control != NULL && control_stop(control) < 0)
		rc = -1;
	if (cli->json)
		report_json(h, control);
	else
		report_text(h, control);
	rc = rc < 0 || h->nb_faults > 0;
	free(h);
	free(control);
	return rc;
}
