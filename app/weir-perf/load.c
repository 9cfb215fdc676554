/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "busy.h"
#include "load.h"
#include "mount.h"
#include "report.h"

#define NS_PER_MS   UINT64_C(1000000)
#define PROGRESS_MS 1000

int load_interrupted;

static bool
is_interrupted(void)
{
	return __atomic_load_n(&load_interrupted, __ATOMIC_RELAXED) != 0;
}

const char *
load_kind_name(const struct perf_opts *opts, unsigned int kind)
{
	if (opts->replay != NULL)
		return kind < TRACE_NB_OPS ? trace_op_names[kind] : NULL;
	return kind < WORK_NB_KINDS ? work_names[kind] : NULL;
}

static uint64_t
load_live(const struct load *load)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < load->nb_threads; i++)
		sum += __atomic_load_n(&load->threads[i].live_ops, __ATOMIC_RELAXED);
	return sum;
}

/*
 * Waits until the time is over, the user interrupts, one thread has ended of those that should not,
 * or all of those that should. @return how many have ended.
 */
static unsigned int
load_watch(struct load *load, uint64_t ms, unsigned int enough)
{
	struct pollfd pfd = { .fd = load->event_fd, .events = POLLIN };
	uint64_t now = fe_now_ns();
	uint64_t end = ms == UINT64_MAX ? UINT64_MAX : now + ms * NS_PER_MS;
	uint64_t last = now;
	uint64_t ops = load_live(load);
	uint64_t nb = 0;
	unsigned int ended = 0;

	while (now < end && ended < enough && !is_interrupted()) {
		uint64_t left = (end - now + NS_PER_MS - 1) / NS_PER_MS;

		if (poll(&pfd, 1, left < PROGRESS_MS ? left : PROGRESS_MS) > 0 &&
				read(load->event_fd, &nb, sizeof(nb)) == sizeof(nb))
			ended += nb;
		now = fe_now_ns();
		if (now - last >= PROGRESS_MS * NS_PER_MS) {
			report_live(load, load_live(load) - ops, now - last);
			ops = load_live(load);
			last = now;
		}
	}
	return ended;
}

/* Begins to measure, once every thread knows. @return how many threads have ended. */
static unsigned int
load_measure(struct load *load)
{
	unsigned int ended = 0;
	unsigned int i;

	__atomic_store_n(&load->phase, LOAD_MEASURE, __ATOMIC_RELAXED);
	for (i = 0; i < load->nb_threads && ended == 0; i++)
		while (ended == 0 && !is_interrupted() &&
				__atomic_load_n(&load->threads[i].phase, __ATOMIC_RELAXED) ==
						LOAD_RAMP)
			ended = load_watch(load, 1, 1);
	return ended;
}

static void
server_sample(const struct load *load, struct cpu_sample *cpu, uint64_t *busy, bool *has_busy)
{
	*has_busy = load->rpc != NULL && busy_ns(load->rpc, busy) == 0;
	if (load->server_pid == 0 || cpu_sample_take(cpu, load->server_pid) < 0)
		cpu->nb = 0;
}

/* Threads start, load and end. @return 0 or -errno of starting them. */
static int
load_phases(struct load *load, struct load_result *result)
{
	const struct perf_opts *opts = load->opts;
	bool by_time = opts->ops == 0 && opts->replay == NULL;
	struct cpu_sample before = { 0 };
	uint64_t busy_before = 0;
	bool had_busy = false;
	unsigned int i, ended = 0;
	sigset_t all, old;
	int rc = 0;

	load->phase = by_time ? LOAD_RAMP : LOAD_MEASURE;
	if (!by_time)
		server_sample(load, &before, &busy_before, &had_busy);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (i = 0; i < opts->queues && rc == 0; i++) {
		rc = -pthread_create(&load->threads[i].thread, NULL, thread_run, &load->threads[i]);
		if (rc == 0)
			load->nb_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);

	if (rc == 0 && by_time) {
		ended = load_watch(load, opts->ramp_ms, 1);
		if (ended == 0)
			ended = load_measure(load);
		server_sample(load, &before, &busy_before, &had_busy);
	}
	if (rc == 0 && ended == 0)
		load_watch(load, by_time ? opts->run_ms : UINT64_MAX, by_time ? 1 : opts->queues);
	server_sample(load, &result->server_cpu, &result->busy_ns, &result->has_busy);
	__atomic_store_n(&load->phase, LOAD_STOP, __ATOMIC_RELAXED);
	for (i = 0; i < load->nb_threads; i++)
		pthread_join(load->threads[i].thread, NULL);

	if (before.nb == 0)
		result->server_cpu.nb = 0;
	cpu_sample_since(&result->server_cpu, &before);
	result->has_busy = result->has_busy && had_busy;
	result->busy_ns -= busy_before;
	report_live_end(load);
	return rc;
}

static void
stats_add(struct load_stats *sum, const struct load_stats *stats)
{
	fe_hist_merge(&sum->hist, &stats->hist);
	sum->errors += stats->errors;
	sum->bytes += stats->bytes;
}

static int
load_sum(const struct load *load, struct load_result *result)
{
	unsigned int i, kind;
	int rc = 0;

	for (i = 0; i < load->nb_threads; i++) {
		const struct load_thread *t = &load->threads[i];
		uint64_t wall = t->end_ns - t->begin_ns;

		for (kind = 0; kind < LOAD_NB_KINDS; kind++) {
			stats_add(&result->stats[kind], &t->stats[kind]);
			stats_add(&result->total, &t->stats[kind]);
		}
		if (wall > result->wall_ns)
			result->wall_ns = wall;
		result->generator_wall_ns += wall;
		result->generator_cpu_ns += t->cpu_ns;
		result->generator_wait_ns += t->wait_ns;
		result->kicks += t->kicks;
		result->calls += t->calls;
		if (result->error[0] == '\0')
			memcpy(result->error, t->error, sizeof(result->error));
		/* Wrong data outweighs whatever else went wrong. */
		if (rc == 0 || t->rc == -EBADMSG) {
			rc = t->rc != 0 ? t->rc : rc;
			if (t->rc == -EBADMSG)
				memcpy(result->error, t->error, sizeof(result->error));
		}
	}
	return rc;
}

uint64_t
load_cost_ns(const struct load_result *result)
{
	static const char worker[] = "rte-worker-"; /* EAL's name of an lcore's thread */
	uint64_t cost = result->has_busy ? result->busy_ns : 0;
	unsigned int i;

	for (i = 0; i < result->server_cpu.nb; i++) {
		const struct cpu_thread *thread = &result->server_cpu.thread[i];

		if (!result->has_busy || strncmp(thread->name, worker, strlen(worker)) != 0)
			cost += thread->ns;
	}
	return cost;
}

/* Who listens at the other end of the connection. */
static int
peer_pid(const struct fe_fs *fs)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	if (getsockopt(fs->conn.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.pid <= 1)
		return 0;
	return cred.pid;
}

static int
load_mount(struct load *load, const char *socket)
{
	struct fe_opts fe;
	int rc;

	opts_front_end(load->opts, socket, &fe);
	if (load->trace != NULL && load->trace->max_io > fe.max_io)
		fe.max_io = (load->trace->max_io + FE_PAGE - 1) & ~(FE_PAGE - 1);
	rc = mount_as_linux(&load->fs, &fe);
	if (rc < 0)
		return rc;
	if (load->server_pid == 0)
		load->server_pid = peer_pid(&load->fs);
	return 0;
}

/* Says what the end was. @return enum perf_exit. */
static int
load_verdict(const struct load *load, const struct load_result *result, int rc)
{
	if (load->fs.fault[0] != '\0') {
		fprintf(stderr, "weir-perf: the server broke a rule: %s\n", load->fs.fault);
		return PERF_BROKEN;
	}
	if (rc == -EBADMSG) {
		fprintf(stderr, "weir-perf: wrong data: %s\n", result->error);
		return PERF_WRONG_DATA;
	}
	if (rc < 0) {
		fprintf(stderr, "weir-perf: the load ended: %s\n", strerror(-rc));
		return PERF_BROKEN;
	}
	if (result->total.errors > 0) {
		fprintf(stderr, "weir-perf: %" PRIu64 " operations failed, the first: %s\n",
				result->total.errors, result->error);
		return PERF_ERRORS;
	}
	return is_interrupted() ? PERF_INTERRUPTED : PERF_OK;
}

/* Makes threads, lets them load. @return enum perf_exit. */
static int
load_threads(struct load *load, struct load_result *result)
{
	const struct perf_opts *opts = load->opts;
	unsigned int i;
	int rc = 0;

	load->threads = calloc(opts->queues, sizeof(*load->threads));
	load->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (load->threads == NULL || load->event_fd < 0)
		rc = -ENOMEM;
	for (i = 0; i < opts->queues && rc == 0; i++)
		rc = thread_create(load, i);
	if (rc == 0)
		rc = load_phases(load, result);
	if (rc == 0)
		rc = load_sum(load, result);
	if (rc == 0 && opts->record != NULL && record_end(load) < 0)
		return PERF_SETUP;
	return load_verdict(load, result, rc);
}

int
load_run(const struct perf_opts *opts, const char *socket, int pid, const char *rpc,
		struct load_result *result)
{
	struct load load = { .opts = opts, .server_pid = pid, .rpc = rpc, .event_fd = -1 };
	int verdict = PERF_SETUP;
	int rc;

	memset(result, 0, sizeof(*result));
	/* A run leaves its marks in a trace, so each has one of its own. */
	if (opts->replay != NULL) {
		load.trace = trace_load(opts->replay);
		if (load.trace == NULL)
			return PERF_USAGE;
	}
	rc = load_mount(&load, socket);
	if (rc < 0) {
		fprintf(stderr, "weir-perf: cannot mount %s: %s\n", socket, strerror(-rc));
		trace_free(load.trace);
		return PERF_SETUP;
	}
	if (setup_files(&load) == 0)
		verdict = load_threads(&load, result);
	threads_release(&load);
	if (verdict == PERF_BROKEN) {
		fe_fs_close(&load.fs);
	} else {
		setup_clean(&load);
		if (fe_fs_unmount(&load.fs) < 0) {
			fprintf(stderr, "weir-perf: cannot unmount %s\n", socket);
			verdict = PERF_BROKEN;
		}
	}
	threads_destroy(&load);
	setup_free(&load);
	trace_free(load.trace);
	return verdict;
}
