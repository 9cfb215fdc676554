/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

static uint64_t
thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

static void
task_send(struct load_task *task)
{
	int rc = fe_req_submit(task->req);

	if (task->thread->record != NULL)
		record_request(task);
	if (rc < 0)
		task->thread->rc = rc;
}

/* Begins a task's next operation, unless there is none. */
static void
task_next(struct load_task *task, uint64_t now)
{
	struct load_thread *t = task->thread;
	int rc;

	if (t->rc < 0 || t->phase == LOAD_STOP || t->left == 0)
		return;
	if (!task_begin(task))
		return;
	t->left--;
	task->bytes = 0;
	task->start_ns = now;
	rc = task_step(task);
	if (rc == TASK_SEND)
		task_send(task);
	else
		t->rc = rc;
}

static void
task_failed(struct load_task *task, int rc)
{
	struct load_thread *t = task->thread;

	t->stats[task->kind].errors++;
	if (t->error[0] == '\0')
		snprintf(t->error, sizeof(t->error), "%s: %s: %s",
				load_kind_name(t->load->opts, task->kind),
				fe_opcode_name(fe_req_in(task->req)->opcode), strerror(-rc));
}

static void
task_answered(struct load_task *task, uint64_t now)
{
	struct load_thread *t = task->thread;
	struct load_stats *stats = &t->stats[task->kind];
	int rc;

	task->step++;
	rc = task_step(task);
	if (rc == TASK_SEND) {
		task_send(task);
		return;
	}
	/* What ends after the time is over is not part of what was measured. */
	if (t->phase != LOAD_STOP) {
		fe_hist_add(&stats->hist, now - task->start_ns);
		if (rc < 0)
			task_failed(task, rc);
		else
			stats->bytes += task->bytes;
	}
	__atomic_store_n(&t->live_ops, t->live_ops + 1, __ATOMIC_RELAXED);
	task_next(task, now);
}

/* Measuring begins or ends. */
static void
thread_enter(struct load_thread *t, int phase, uint64_t now)
{
	struct fe_ring *ring = &t->q->ring;

	if (t->phase == LOAD_RAMP)
		memset(t->stats, 0, LOAD_NB_KINDS * sizeof(*t->stats));
	if (phase == LOAD_MEASURE) {
		t->begin_ns = now;
		t->begin_cpu_ns = thread_cpu_ns();
		t->kicks = ring->nb_kicks;
		t->calls = ring->nb_calls;
	} else if (t->phase == LOAD_MEASURE) {
		t->end_ns = now;
		t->cpu_ns = thread_cpu_ns() - t->begin_cpu_ns;
		t->kicks = ring->nb_kicks - t->kicks;
		t->calls = ring->nb_calls - t->calls;
	}
	__atomic_store_n(&t->phase, phase, __ATOMIC_RELAXED);
}

/* @return as fe_queue_wait(). *now is set. */
static int
thread_wait(struct load_thread *t, uint64_t *now)
{
	uint64_t begin;
	int rc;

	if (fe_ring_ready(&t->q->ring)) {
		*now = fe_now_ns();
		return 1;
	}
	begin = fe_now_ns();
	rc = fe_queue_wait(t->q);
	*now = fe_now_ns();
	if (t->phase == LOAD_MEASURE)
		t->wait_ns += *now - begin;
	return rc;
}

static void
thread_loop(struct load_thread *t)
{
	const struct load *load = t->load;
	uint64_t now = fe_now_ns();
	unsigned int i;
	int rc = 0;

	thread_enter(t, __atomic_load_n(&load->phase, __ATOMIC_RELAXED), now);
	for (i = 0; i < load->opts->depth; i++)
		task_next(&t->tasks[i], now);
	fe_queue_kick(t->q);

	while (t->q->in_flight > 0) {
		struct fe_req *req;
		int phase;

		rc = thread_wait(t, &now);
		if (rc < 0)
			break;
		phase = __atomic_load_n(&load->phase, __ATOMIC_RELAXED);
		if (phase != t->phase)
			thread_enter(t, phase, now);
		while ((rc = fe_queue_reap(t->q, &req)) == 1)
			task_answered((struct load_task *)(uintptr_t)req->priv, now);
		if (rc < 0)
			break;
		fe_queue_kick(t->q);
	}
	if (rc < 0)
		t->rc = rc;
	if (t->phase == LOAD_MEASURE)
		thread_enter(t, LOAD_STOP, now);
}

void *
thread_run(void *arg)
{
	const uint64_t one = 1;
	struct load_thread *t = arg;
	cpu_set_t set;

	if (t->load->opts->nb_cpus > 0) {
		CPU_ZERO(&set);
		CPU_SET(t->load->opts->cpu[t->index % t->load->opts->nb_cpus], &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0)
			t->rc = -errno;
	}
	if (t->rc == 0)
		thread_loop(t);
	if (write(t->load->event_fd, &one, sizeof(one)) < 0)
		t->rc = -errno;
	return NULL;
}

int
thread_create(struct load *load, unsigned int index)
{
	const struct perf_opts *opts = load->opts;
	struct load_thread *t = &load->threads[index];
	unsigned int i;
	int rc = 0;

	t->load = load;
	t->index = index;
	t->q = &load->fs.queue[1 + index];
	t->rng = (opts->seed * 0x9e3779b97f4a7c15ULL + index) | 1;
	t->kind_rng = ~t->rng | 1;
	t->left = UINT64_MAX;
	if (opts->ops > 0)
		t->left = opts->ops / opts->queues + (index < opts->ops % opts->queues);
	t->tasks = calloc(opts->depth, sizeof(*t->tasks));
	t->stats = calloc(LOAD_NB_KINDS, sizeof(*t->stats));
	t->lookups = calloc(load->work.nb_files + 1, sizeof(*t->lookups));
	if (t->tasks == NULL || t->stats == NULL || t->lookups == NULL)
		return -ENOMEM;
	for (i = 0; i < opts->depth; i++) {
		struct load_task *task = &t->tasks[i];

		task->thread = t;
		task->stream = index * opts->depth + i;
		task->req = fe_req_get(t->q);
		task->req->priv = (uintptr_t)task;
		task->handles = calloc(LOAD_MAX_HANDLES, sizeof(*task->handles));
		if (task->handles == NULL)
			return -ENOMEM;
	}
	t->next_stream = index;
	if (opts->record != NULL) {
		t->record = tmpfile();
		if (t->record == NULL)
			return -errno;
	}
	if (opts->verify)
		rc = verify_init(&t->verify, opts->seed, load_blocks(t) * index, load_blocks(t),
				opts->block);
	return rc;
}

void
threads_release(struct load *load)
{
	unsigned int i, j;

	for (i = 0; load->threads != NULL && i < load->opts->queues; i++) {
		struct load_task *tasks = load->threads[i].tasks;

		for (j = 0; tasks != NULL && j < load->opts->depth; j++)
			if (tasks[j].req != NULL)
				fe_req_put(tasks[j].req);
	}
}

void
threads_destroy(struct load *load)
{
	unsigned int i, j;

	for (i = 0; load->threads != NULL && i < load->opts->queues; i++) {
		struct load_thread *t = &load->threads[i];

		for (j = 0; t->tasks != NULL && j < load->opts->depth; j++)
			free(t->tasks[j].handles);
		if (t->record != NULL)
			fclose(t->record);
		verify_fini(&t->verify);
		free(t->tasks);
		free(t->stats);
		free(t->lookups);
	}
	free(load->threads);
	if (load->event_fd >= 0)
		close(load->event_fd);
}
