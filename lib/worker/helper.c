/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_common.h>
#include <rte_lcore.h>

#include "weir_helper.h"
#include "weir_trace.h"

#define HELPERS_MAX 1024

struct weir_helpers {
	/* Set at create. */
	char name[16];
	unsigned int nb_threads;

	/* Written by submitters, taken by helpers: newest first. ready counts jobs not yet taken. */
	_Atomic(struct weir_job *) inbox;
	sem_t ready;

	/* The helpers', under lock: jobs in order, oldest first. */
	pthread_mutex_t lock;
	struct weir_job *first, *last;
	unsigned int refs; /* threads, and the creator */
	bool stopping;
	_Atomic unsigned int queued, running;
};

static cpu_set_t process_cpus;

/* EAL pins the main thread, so the process's CPUs must be read before it starts. */
RTE_INIT(helper_cpus_init)
{
	if (sched_getaffinity(0, sizeof(process_cpus), &process_cpus) < 0)
		CPU_ZERO(&process_cpus);
}

static void
helper_affinity_set(void)
{
	cpu_set_t cpus = process_cpus;

	for (unsigned int i = 0; i < weir_workers_count(); i++) {
		rte_cpuset_t used = rte_lcore_cpuset(weir_worker_lcore(weir_worker_at(i)));
		cpu_set_t shared;

		CPU_AND(&shared, &cpus, &used);
		CPU_XOR(&cpus, &cpus, &shared);
	}
	if (CPU_COUNT(&cpus) == 0)
		cpus = process_cpus;
	if (CPU_COUNT(&cpus) > 0)
		pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

/* Under lock. Moves what arrived since the last time behind what is queued, in order of arrival. */
static struct weir_job *
helpers_take(struct weir_helpers *h)
{
	struct weir_job *job;

	if (h->first == NULL) {
		struct weir_job *newest = atomic_exchange(&h->inbox, NULL);

		h->last = newest;
		while (newest != NULL) {
			struct weir_job *older = newest->next;

			newest->next = h->first;
			h->first = newest;
			newest = older;
		}
	}
	job = h->first;
	if (job != NULL) {
		h->first = job->next;
		atomic_fetch_sub(&h->queued, 1);
	}
	return job;
}

static void
helpers_unref(struct weir_helpers *h)
{
	unsigned int refs;

	pthread_mutex_lock(&h->lock);
	refs = --h->refs;
	pthread_mutex_unlock(&h->lock);
	if (refs > 0)
		return;
	sem_destroy(&h->ready);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static void WEIR_ON_WORKER
job_done_on_worker(struct weir_msg *msg)
{
	struct weir_job *job = container_of(msg, struct weir_job, msg);

	job->done(job);
}

static void WEIR_ON_CONTROL
job_done_on_control(struct weir_post *post)
{
	struct weir_job *job = container_of(post, struct weir_job, post);

	job->done(job);
}

static void
job_finish(struct weir_job *job)
{
	if (job->home != NULL) {
		job->msg.fn = job_done_on_worker;
		weir_worker_send(job->home, &job->msg);
	} else {
		job->post.fn = job_done_on_control;
		weir_loop_post(&job->post);
	}
}

static void *
helper_main(void *arg)
{
	struct weir_helpers *h = arg;
	struct weir_job *job;
	bool stopping;

	weir_role_assume_helper();
	pthread_setname_np(pthread_self(), h->name);
	helper_affinity_set();
	for (;;) {
		while (sem_wait(&h->ready) < 0)
			;
		pthread_mutex_lock(&h->lock);
		stopping = h->stopping;
		job = stopping ? NULL : helpers_take(h);
		if (job != NULL)
			atomic_fetch_add(&h->running, 1);
		pthread_mutex_unlock(&h->lock);
		if (stopping)
			break;
		if (job == NULL)
			continue;
		weir_trace(helper_begin, h->name, job);
		job->run(job);
		weir_trace(helper_end, h->name, job);

		/* Once the pool is stopping, the job's owner may be gone: nobody is told. */
		pthread_mutex_lock(&h->lock);
		atomic_fetch_sub(&h->running, 1);
		if (!h->stopping)
			job_finish(job);
		pthread_mutex_unlock(&h->lock);
	}
	helpers_unref(h);
	return NULL;
}

/* Signals are for the main thread; faults in guest memory must stay deliverable. */
static int
helper_spawn(struct weir_helpers *h)
{
	sigset_t block, old;
	pthread_t thread;
	int rc;

	sigfillset(&block);
	sigdelset(&block, SIGBUS);
	sigdelset(&block, SIGSEGV);
	sigdelset(&block, SIGFPE);
	sigdelset(&block, SIGILL);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	rc = pthread_create(&thread, NULL, helper_main, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		pthread_detach(thread);
	return -rc;
}

int
weir_helpers_create(const char *name, unsigned int nb_threads, struct weir_helpers **out)
{
	struct weir_helpers *h;
	int rc;

	if (nb_threads == 0 || nb_threads > HELPERS_MAX)
		return -EINVAL;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	snprintf(h->name, sizeof(h->name), "%s", name);
	sem_init(&h->ready, 0, 0);
	pthread_mutex_init(&h->lock, NULL);
	h->refs = 1;
	for (unsigned int i = 0; i < nb_threads; i++) {
		pthread_mutex_lock(&h->lock);
		h->refs++;
		pthread_mutex_unlock(&h->lock);
		rc = helper_spawn(h);
		if (rc < 0) {
			helpers_unref(h);
			weir_helpers_destroy(h, NULL, NULL);
			return rc;
		}
		h->nb_threads++;
	}
	*out = h;
	return 0;
}

unsigned int
weir_helpers_destroy(
		struct weir_helpers *h, void (*orphan)(struct weir_job *job, void *arg), void *arg)
{
	struct weir_job *job;
	unsigned int running;

	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	running = atomic_load(&h->running);
	pthread_mutex_unlock(&h->lock);

	/* No helper takes a job any more, so the queue is ours. */
	while ((job = helpers_take(h)) != NULL) {
		if (orphan != NULL)
			orphan(job, arg);
	}
	for (unsigned int i = 0; i < h->nb_threads; i++)
		sem_post(&h->ready);
	helpers_unref(h);
	return running;
}

void
weir_helper_submit(struct weir_helpers *h, struct weir_job *job)
{
	struct weir_job *head = atomic_load_explicit(&h->inbox, memory_order_relaxed);

	job->home = weir_worker_self();
	atomic_fetch_add(&h->queued, 1);
	do
		job->next = head;
	while (!atomic_compare_exchange_weak_explicit(
			&h->inbox, &head, job, memory_order_release, memory_order_relaxed));
	sem_post(&h->ready);
}

void
weir_helpers_load(const struct weir_helpers *h, unsigned int *queued, unsigned int *running)
{
	*queued = atomic_load_explicit(&h->queued, memory_order_relaxed);
	*running = atomic_load_explicit(&h->running, memory_order_relaxed);
}
