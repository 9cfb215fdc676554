/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "cpu.h"
#include "fe_hist.h"

/* Load of one kind on every request queue, one thread each, for a given time. */

enum workload {
	RANDREAD,
	RANDWRITE,
	SEQREAD,
	SEQWRITE,
	GETATTR,
	LOOKUP,
	NB_WORKLOADS,
};

static const char *const workload_names[NB_WORKLOADS] = {
	"randread",
	"randwrite",
	"seqread",
	"seqwrite",
	"getattr",
	"lookup",
};

struct bench {
	struct cli *cli;
	struct fe_fs fs;
	enum workload workload;
	char name[32];
	struct fuse_entry_out entry;
	uint64_t fh;
	uint64_t blocks; /* of the file */
	uint64_t end_ns;
};

struct bench_thread {
	struct bench *bench;
	struct fe_queue *q;
	pthread_t thread;
	uint64_t rng;
	uint64_t next; /* block of the sequential workloads */
	uint64_t errors;
	uint64_t bytes;
	uint64_t cpu_ns;
	int rc;
	struct fe_hist hist;
};

/* xorshift64*: only has to look random to a read-ahead. */
static uint64_t
rng_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static uint64_t
bench_offset(struct bench_thread *t)
{
	const struct bench *b = t->bench;
	uint64_t block;

	if (b->workload == RANDREAD || b->workload == RANDWRITE)
		block = rng_next(&t->rng) % b->blocks;
	else
		block = t->next++ % b->blocks;
	return block * b->cli->block;
}

static void
bench_prepare(struct bench_thread *t, struct fe_req *req)
{
	const struct bench *b = t->bench;
	size_t len;
	void *arg;

	switch (b->workload) {
	case RANDREAD:
	case SEQREAD:
		fe_read_prepare(req, b->entry.nodeid, b->fh, b->cli->block, bench_offset(t));
		break;
	case RANDWRITE:
	case SEQWRITE:
		fe_write_prepare(req, b->entry.nodeid, b->fh, b->cli->block, bench_offset(t));
		break;
	case GETATTR:
		fe_req_init(req, FUSE_GETATTR, b->entry.nodeid, sizeof(struct fuse_getattr_in));
		req->res_room = sizeof(struct fuse_attr_out);
		break;
	default:
		len = strlen(b->name) + 1;
		arg = fe_req_init(req, FUSE_LOOKUP, FE_ROOT, len);
		memcpy(arg, b->name, len);
		req->res_room = sizeof(struct fuse_entry_out);
		break;
	}
}

/* Takes back what is done. @return as fe_queue_reap(). */
static int
bench_reap(struct bench_thread *t)
{
	struct fe_req *req;
	int rc;

	while ((rc = fe_queue_reap(t->q, &req)) == 1) {
		fe_hist_add(&t->hist, fe_now_ns() - req->start_ns);
		if (req->error != 0)
			t->errors++;
		else if (t->bench->workload <= SEQWRITE)
			t->bytes += t->bench->cli->block;
		fe_req_put(req);
	}
	return rc;
}

static int
bench_loop(struct bench_thread *t)
{
	struct fe_req *req;
	uint64_t now;
	int rc = 0;

	do {
		now = fe_now_ns();
		while (now < t->bench->end_ns && (req = fe_req_get(t->q)) != NULL) {
			bench_prepare(t, req);
			req->start_ns = now;
			if (fe_req_submit(req) < 0) {
				fe_req_put(req);
				break;
			}
		}
		fe_queue_kick(t->q);
		if (t->q->in_flight == 0)
			break;
		rc = fe_queue_wait(t->q);
		if (rc > 0)
			rc = bench_reap(t);
	} while (rc >= 0);
	return rc < 0 ? rc : 0;
}

static void *
bench_thread_run(void *arg)
{
	struct bench_thread *t = arg;
	struct timespec ts;

	t->rc = bench_loop(t);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	t->cpu_ns = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
	return NULL;
}

/* The file that all threads work in, written once from end to end. */
static int
bench_make_file(struct bench *b)
{
	struct fe_queue *q = &b->fs.queue[1];
	uint32_t step = fe_fs_max_io(&b->fs);
	uint8_t *buf;
	uint64_t off;
	int rc;

	if (b->cli->block > step) {
		fprintf(stderr, "weir-fe: requests have at most %u bytes (see --ring-size)\n",
				step);
		return -EMSGSIZE;
	}
	snprintf(b->name, sizeof(b->name), "bench-%d", getpid());
	rc = fe_create(q, FE_ROOT, b->name, O_RDWR | O_CREAT, S_IFREG | 0644, &b->entry, &b->fh);
	if (rc < 0)
		return rc;

	buf = calloc(1, step);
	for (off = 0; off < b->cli->file_size && rc >= 0 && buf != NULL; off += step) {
		uint64_t left = b->cli->file_size - off;

		rc = fe_write(q, b->entry.nodeid, b->fh, buf, left < step ? left : step, off);
	}
	free(buf);
	return buf == NULL ? -ENOMEM : rc;
}

struct bench_result {
	struct fe_hist hist;
	struct cpu_sample cpu;
	uint64_t errors, bytes, own_ns, wall_ns;
	uint64_t kicks, calls;
};

static int
bench_run(struct bench *b, struct bench_result *result)
{
	unsigned int nb = b->cli->fe.nb_queues;
	struct bench_thread *threads = calloc(nb, sizeof(*threads));
	struct cpu_sample before = { 0 };
	unsigned int i, started;
	uint64_t start;
	int rc = 0;

	if (threads == NULL)
		return -ENOMEM;
	if (b->cli->server_pid != 0)
		rc = cpu_sample_take(&before, b->cli->server_pid);
	start = fe_now_ns();
	b->end_ns = start + b->cli->seconds * 1000000000ULL;
	for (started = 0; started < nb && rc == 0; started++) {
		struct bench_thread *t = &threads[started];

		t->bench = b;
		t->q = &b->fs.queue[1 + started];
		t->rng = b->cli->seed * 0x9e3779b97f4a7c15ULL + started + 1;
		t->next = b->blocks / nb * started;
		rc = -pthread_create(&t->thread, NULL, bench_thread_run, t);
	}
	for (i = 0; i < started; i++) {
		pthread_join(threads[i].thread, NULL);
		fe_hist_merge(&result->hist, &threads[i].hist);
		result->errors += threads[i].errors;
		result->bytes += threads[i].bytes;
		result->own_ns += threads[i].cpu_ns;
		result->kicks += threads[i].q->ring.nb_kicks;
		result->calls += threads[i].q->ring.nb_calls;
		if (rc == 0)
			rc = threads[i].rc;
	}
	result->wall_ns = fe_now_ns() - start;
	if (b->cli->server_pid != 0 && cpu_sample_take(&result->cpu, b->cli->server_pid) == 0)
		cpu_sample_since(&result->cpu, &before);
	free(threads);
	return rc;
}

static double
per_op(const struct bench_result *r, double value)
{
	return r->hist.count == 0 ? 0 : value / r->hist.count;
}

static double
per_op_us(const struct bench_result *r, uint64_t ns)
{
	return per_op(r, ns / 1000.0);
}

static void
bench_print(const struct bench *b, const struct bench_result *r)
{
	unsigned int i;

	printf("%s: %.0f ops/s, %.1f MB/s, p50 %.1f us, p90 %.1f us, p99 %.1f us, max %.1f us, "
	       "%" PRIu64 " errors, generator %.0f %% CPU\n",
			workload_names[b->workload], r->hist.count * 1e9 / r->wall_ns,
			r->bytes * 1e3 / r->wall_ns, fe_hist_percentile(&r->hist, 500) / 1e3,
			fe_hist_percentile(&r->hist, 900) / 1e3,
			fe_hist_percentile(&r->hist, 990) / 1e3, r->hist.max / 1e3, r->errors,
			r->own_ns * 100.0 / r->wall_ns);
	printf("  %.3f kicks and %.3f interrupts per operation\n", per_op(r, r->kicks),
			per_op(r, r->calls));
	if (r->cpu.nb > 0)
		printf("  server: %.3f us CPU per operation\n",
				per_op_us(r, cpu_sample_total(&r->cpu)));
	for (i = 0; i < r->cpu.nb; i++)
		if (r->cpu.thread[i].ns > r->wall_ns / 1000)
			printf("    %-16s %.3f us\n", r->cpu.thread[i].name,
					per_op_us(r, r->cpu.thread[i].ns));
}

static void
bench_print_json(const struct bench *b, const struct bench_result *r)
{
	const char *comma = "";
	unsigned int i;

	printf("{\"workload\": \"%s\", \"depth\": %u, \"queues\": %u, \"bs\": %u, \"poll\": %s, "
	       "\"ops\": %" PRIu64 ", \"errors\": %" PRIu64 ", \"ops_per_s\": %.0f, "
	       "\"bytes_per_s\": %.0f, \"p50_us\": %.2f, \"p90_us\": %.2f, \"p99_us\": %.2f, "
	       "\"max_us\": %.1f, \"generator_cpu\": %.3f, \"kicks_per_op\": %.4f, "
	       "\"interrupts_per_op\": %.4f",
			workload_names[b->workload], b->cli->fe.depth, b->cli->fe.nb_queues,
			b->cli->block, b->cli->fe.ring_flags & FE_RING_POLL ? "true" : "false",
			r->hist.count, r->errors, r->hist.count * 1e9 / r->wall_ns,
			r->bytes * 1e9 / r->wall_ns, fe_hist_percentile(&r->hist, 500) / 1e3,
			fe_hist_percentile(&r->hist, 900) / 1e3,
			fe_hist_percentile(&r->hist, 990) / 1e3, r->hist.max / 1e3,
			(double)r->own_ns / r->wall_ns, per_op(r, r->kicks), per_op(r, r->calls));
	if (r->cpu.nb > 0) {
		printf(", \"server_cpu_us_per_op\": %.4f, \"server_threads\": [",
				per_op_us(r, cpu_sample_total(&r->cpu)));
		for (i = 0; i < r->cpu.nb; i++) {
			printf("%s{\"name\": \"%s\", \"cpu_us_per_op\": %.4f}", comma,
					r->cpu.thread[i].name, per_op_us(r, r->cpu.thread[i].ns));
			comma = ", ";
		}
		printf("]");
	}
	printf("}\n");
}

static int
bench_find_workload(const char *name)
{
	int i;

	for (i = 0; i < NB_WORKLOADS; i++)
		if (strcmp(name, workload_names[i]) == 0)
			return i;
	return -1;
}

/* Gives back what the lookups took, and the file. */
static void
bench_remove_file(struct bench *b, uint64_t lookups)
{
	struct fe_queue *q = &b->fs.queue[1];

	fe_unlink(q, FE_ROOT, b->name);
	fe_release(q, b->entry.nodeid, b->fh);
	fe_forget(&b->fs, b->entry.nodeid, lookups + 1);
}

int
cmd_bench(struct cli *cli)
{
	struct bench b = { .cli = cli };
	struct bench_result *result;
	int workload = cli->nb_args == 1 ? bench_find_workload(cli->args[0]) : -1;
	int rc;

	if (workload < 0 || cli->block == 0 || cli->file_size < cli->block) {
		fprintf(stderr,
				"weir-fe: bench WORKLOAD, one of randread randwrite seqread seqwrite "
				"getattr lookup\n");
		return 2;
	}
	b.workload = workload;
	b.blocks = cli->file_size / cli->block;
	result = calloc(1, sizeof(*result));
	if (result == NULL || cli_mount(cli, &b.fs) < 0) {
		free(result);
		return 1;
	}

	rc = bench_make_file(&b);
	if (rc >= 0)
		rc = bench_run(&b, result);
	if (rc >= 0) {
		if (cli->json)
			bench_print_json(&b, result);
		else
			bench_print(&b, result);
		bench_remove_file(&b, b.workload == LOOKUP ? result->hist.count : 0);
	} else {
		fprintf(stderr, "weir-fe: bench: %s\n", strerror(-rc));
	}
	rc = cli_unmount(cli, &b.fs, rc < 0 || result->errors > 0);
	free(result);
	return rc;
}
