/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The lock service of a file system:
 *
 *   channel's worker               the service's thread
 *   weir_locks_do ---- inbox ----> lock_take: answered, or waiting
 *   lock_came_back <-- message --- lock_answer: at once, or when it was granted or has ended
 *
 * A request is the service's until it is answered. What ends one that waits from outside is a flag in
 * the request, which its submitter may set for as long as it was not answered, and a word to the
 * service that there are such flags. So nobody has to know where it is.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <rte_common.h>

#include "weir_helper.h"
#include "weir_lock.h"
#include "weir_loop.h"

#include "lock_table.h"

#define LOCK_NS_PER_S  1000000000ULL
#define LOCK_NS_PER_MS 1000000ULL

/* How soon the host is asked again for what one of its programs has. */
#define LOCK_BACKOFF_MS     1u
#define LOCK_BACKOFF_MAX_MS 100u

/* Waiting requests that a circle is looked for in. */
#define LOCK_CIRCLE_MAX 64

TAILQ_HEAD(lock_waiters, weir_lock_req);
LIST_HEAD(lock_waits, weir_lock_req);

struct weir_locks {
	/* Set at create. */
	uint64_t wait_ns;
	struct weir_helpers *helpers; /* one */
	struct weir_job job;

	/* Written by workers and taken by the service: newest first. */
	_Atomic(struct weir_lock_req *) inbox;
	_Atomic bool scan; /* some requests were interrupted */
	_Atomic bool stop;
	_Atomic uint32_t refs; /* the service's, and its creator's */
	sem_t ready;
	pthread_mutex_t answering; /* the service is about to wake a worker */

	/* The service's. */
	_Atomic uint32_t nb_waiting; /* read by anybody */
	struct lock_waiters waiters; /* in order of arrival */
	struct lock_waits waits[LOCK_BUCKETS]; /* the same, by owner */
	struct lock_table table;
	uint32_t round; /* of looking for circles */
};

static void
lock_came_back(struct weir_msg *msg)
{
	struct weir_lock_req *lr = container_of(msg, struct weir_lock_req, msg);

	weir_role_assume_worker();
	lr->done(weir_fsreq_of(lr), lr->res);
}

/* The answer may be taken, and be the last one of the file system, before its worker is woken for it. */
static void
lock_answer(struct weir_locks *locks, struct weir_lock_req *lr, int res)
{
	lr->res = res;
	lr->msg.fn = lock_came_back;
	pthread_mutex_lock(&locks->answering);
	weir_worker_send(weir_channel_worker(weir_fsreq_of(lr)->chan), &lr->msg);
	pthread_mutex_unlock(&locks->answering);
}

static struct lock_waits *
lock_waits_of(struct weir_locks *locks, uint64_t guest, uint64_t owner)
{
	return &locks->waits[lock_hash(guest ^ owner) % LOCK_BUCKETS];
}

static void
lock_unpark(struct weir_locks *locks, struct weir_lock_req *lr, int res)
{
	TAILQ_REMOVE(&locks->waiters, lr, waiting);
	LIST_REMOVE(lr, of_owner);
	atomic_fetch_sub(&locks->nb_waiting, 1);
	lock_answer(locks, lr, res);
}

static int
lock_try(struct weir_locks *locks, struct weir_fsreq *req, bool *freed)
{
	return lock_table_set(&locks->table, req->node, req->file, &req->in.lock, freed);
}

/* Sets when to ask the host again, or that it waits for a guest. */
static void
lock_backoff(struct weir_lock_req *lr, int res)
{
	if (res == -EAGAIN) {
		lr->backoff_ms = 0;
		lr->retry_ns = 0;
		return;
	}
	lr->backoff_ms = RTE_MIN(2 * lr->backoff_ms, LOCK_BACKOFF_MAX_MS);
	lr->backoff_ms = RTE_MAX(lr->backoff_ms, LOCK_BACKOFF_MS);
	lr->retry_ns = weir_now_ns() + lr->backoff_ms * LOCK_NS_PER_MS;
}

/* Adds the requests of an owner that wait, each once in a round. @return how many there are then. */
static unsigned int
lock_circle_add(struct weir_locks *locks, const struct lock_owner *owner,
		const struct weir_fsreq *from[LOCK_CIRCLE_MAX], unsigned int nb)
{
	struct weir_lock_req *lr;

	LIST_FOREACH(lr, lock_waits_of(locks, owner->guest, owner->owner), of_owner) {
		if (nb == LOCK_CIRCLE_MAX || lr->seen == locks->round ||
				!lock_is_owner(owner, &weir_fsreq_of(lr)->in.lock))
			continue;
		lr->seen = locks->round;
		from[nb++] = weir_fsreq_of(lr);
	}
	return nb;
}

/* Whether a wait for others' locks would close a circle: breadth first, each waiter once. */
static bool
lock_is_circle(struct weir_locks *locks, const struct weir_fsreq *req)
{
	const struct weir_fsreq *from[LOCK_CIRCLE_MAX] = { req };
	const struct lock_owner *by;
	unsigned int nb = 1;

	if ((req->in.lock.flags & WEIR_LOCK_FLOCK) != 0)
		return false;
	locks->round++;
	for (unsigned int i = 0; i < nb; i++) {
		by = lock_table_in_way(&locks->table, from[i]->node, &from[i]->in.lock);
		for (; by != NULL; by = lock_table_in_way_next(by, &from[i]->in.lock)) {
			if (lock_is_owner(by, &req->in.lock))
				return true;
			nb = lock_circle_add(locks, by, from, nb);
		}
	}
	return false;
}

/*
 * Tries what waits once more. Who has come before it may have got what it waits for, and wait
 * for it. A write lock that becomes a read lock sets others free.
 */
static bool
lock_retry(struct weir_locks *locks, struct weir_lock_req *lr)
{
	struct weir_fsreq *req = weir_fsreq_of(lr);
	bool freed = false;
	int rc = lock_try(locks, req, &freed);

	if (rc == -EAGAIN && lock_is_circle(locks, req))
		rc = -EDEADLK;
	if (rc == -EAGAIN || rc == -EBUSY)
		lock_backoff(lr, rc);
	else
		lock_unpark(locks, lr, rc);
	return freed;
}

/*
 * Something on node was let go, or it is time to ask the host: who waits there is served in order,
 * whoever is in the way of each.
 */
static void
lock_serve(struct weir_locks *locks, const struct weir_node *node)
{
	struct weir_lock_req *lr, *next;
	bool again;

	do {
		again = false;
		for (lr = TAILQ_FIRST(&locks->waiters); lr != NULL; lr = next) {
			next = TAILQ_NEXT(lr, waiting);
			if (weir_fsreq_of(lr)->node == node)
				again |= lock_retry(locks, lr);
		}
	} while (again);
}

static void
lock_park(struct weir_locks *locks, struct weir_lock_req *lr, int res)
{
	struct weir_fsreq *req = weir_fsreq_of(lr);

	/* Who interrupts it after this look sets locks->scan after it, too. */
	if (atomic_load(&req->interrupted)) {
		lock_answer(locks, lr, -EAGAIN);
		return;
	}
	if (res == -EAGAIN && lock_is_circle(locks, req)) {
		lock_answer(locks, lr, -EDEADLK);
		return;
	}
	lr->seen = 0;
	lr->backoff_ms = 0;
	lock_backoff(lr, res);
	lr->until_ns = locks->wait_ns > 0 ? weir_now_ns() + locks->wait_ns : 0;
	TAILQ_INSERT_TAIL(&locks->waiters, lr, waiting);
	LIST_INSERT_HEAD(
			lock_waits_of(locks, req->in.lock.guest, req->in.lock.owner), lr, of_owner);
	atomic_fetch_add(&locks->nb_waiting, 1);
}

/* Who waits for the host has come before, be it that nobody has asked for it since the host let go. */
static void
lock_ask_first(struct weir_locks *locks, const struct weir_node *node)
{
	struct weir_lock_req *lr;

	TAILQ_FOREACH(lr, &locks->waiters, waiting) {
		if (lr->retry_ns != 0 && weir_fsreq_of(lr)->node == node) {
			lock_serve(locks, node);
			return;
		}
	}
}

static void
lock_set(struct weir_locks *locks, struct weir_lock_req *lr)
{
	struct weir_fsreq *req = weir_fsreq_of(lr);
	bool wait = (req->in.lock.flags & WEIR_LOCK_WAIT) != 0;
	struct weir_node *node = req->node;
	bool freed = false;
	int rc;

	if ((req->in.lock.flags & WEIR_LOCK_FLOCK) != 0 &&
			lock_table_leave(&locks->table, node, &req->in.lock))
		lock_serve(locks, node);
	if (req->in.lock.type != F_UNLCK)
		lock_ask_first(locks, node);
	rc = lock_try(locks, req, &freed);
	/* The request is the worker's from its answer on. */
	if (wait && (rc == -EAGAIN || rc == -EBUSY))
		lock_park(locks, lr, rc);
	else
		lock_answer(locks, lr, rc == -EBUSY ? -EAGAIN : rc);
	if (freed)
		lock_serve(locks, node);
}

static bool
lock_is_meant(const struct weir_fsreq *end, const struct weir_fsreq *waiter)
{
	const struct weir_lock *lock = &end->in.lock;

	if (waiter->in.lock.guest != lock->guest)
		return false;
	if (lock->unique != 0)
		return waiter->in.lock.unique == lock->unique;
	return end->file == NULL || waiter->file == end->file;
}

static int
lock_end_wait(struct weir_locks *locks, const struct weir_fsreq *req)
{
	struct weir_lock_req *lr, *next;
	int rc = -EAGAIN;

	for (lr = TAILQ_FIRST(&locks->waiters); lr != NULL; lr = next) {
		next = TAILQ_NEXT(lr, waiting);
		if (!lock_is_meant(req, weir_fsreq_of(lr)))
			continue;
		lock_unpark(locks, lr, -EINTR);
		rc = 0;
	}
	return rc;
}

static void
lock_take(struct weir_locks *locks, struct weir_lock_req *lr)
{
	struct weir_fsreq *req = weir_fsreq_of(lr);
	struct weir_node *node = req->node;
	bool freed = false;
	int rc = 0;

	switch (req->op) {
	case WEIR_FSOP_SETLK:
		lock_set(locks, lr);
		return;
	case WEIR_FSOP_GETLK:
		rc = lock_table_get(&locks->table, node, req->file, &req->in.lock, &req->out.lock);
		break;
	case WEIR_FSOP_ENDWAIT:
		rc = lock_end_wait(locks, req);
		break;
	case WEIR_FSOP_FLUSH:
		freed = lock_table_end_owner(
				&locks->table, node, req->in.lock.guest, req->in.lock.owner);
		break;
	default:
		freed = lock_table_end_file(&locks->table, node, req->file);
	}
	lock_answer(locks, lr, rc);
	if (freed)
		lock_serve(locks, node);
}

/* What arrived, in order of arrival. */
static void
lock_take_inbox(struct weir_locks *locks)
{
	struct weir_lock_req *newest = atomic_exchange(&locks->inbox, NULL);
	struct weir_lock_req *first = NULL, *next;

	for (; newest != NULL; newest = next) {
		next = newest->next;
		newest->next = first;
		first = newest;
	}
	for (; first != NULL; first = next) {
		next = first->next;
		lock_take(locks, first);
	}
}

static void
lock_scan(struct weir_locks *locks)
{
	struct weir_lock_req *lr, *next;

	if (!atomic_exchange(&locks->scan, false))
		return;
	for (lr = TAILQ_FIRST(&locks->waiters); lr != NULL; lr = next) {
		next = TAILQ_NEXT(lr, waiting);
		if (atomic_load(&weir_fsreq_of(lr)->interrupted))
			lock_unpark(locks, lr, -EAGAIN);
	}
}

/* Ends waits at their limit, and asks the host again where it is time. */
static void
lock_due(struct weir_locks *locks)
{
	struct weir_lock_req *lr, *next;
	uint64_t now = weir_now_ns();

	for (lr = TAILQ_FIRST(&locks->waiters); lr != NULL; lr = next) {
		next = TAILQ_NEXT(lr, waiting);
		if (lr->until_ns != 0 && now >= lr->until_ns) {
			lock_unpark(locks, lr, -EAGAIN);
		} else if (lr->retry_ns != 0 && now >= lr->retry_ns) {
			lock_serve(locks, weir_fsreq_of(lr)->node);
			/* Anybody may have been granted; who still waits there is not due any more. */
			next = TAILQ_FIRST(&locks->waiters);
		}
	}
}

/* When something is due, or 0. */
static uint64_t
lock_next_due(const struct weir_locks *locks)
{
	const struct weir_lock_req *lr;
	uint64_t due = UINT64_MAX;

	TAILQ_FOREACH(lr, &locks->waiters, waiting) {
		if (lr->until_ns != 0)
			due = RTE_MIN(due, lr->until_ns);
		if (lr->retry_ns != 0)
			due = RTE_MIN(due, lr->retry_ns);
	}
	return due != UINT64_MAX ? due : 0;
}

static void WEIR_ON_HELPER
lock_sleep(struct weir_locks *locks)
{
	uint64_t due = lock_next_due(locks);
	const struct timespec until = { .tv_sec = due / LOCK_NS_PER_S,
		.tv_nsec = due % LOCK_NS_PER_S };

	/* A signal only makes it look once more. */
	if (due == 0)
		(void)sem_wait(&locks->ready);
	else
		(void)sem_clockwait(&locks->ready, CLOCK_MONOTONIC, &until);
}

/* Creator and service end on their own: who comes last frees. */
static void
locks_unref(struct weir_locks *locks)
{
	if (atomic_fetch_sub(&locks->refs, 1) > 1)
		return;
	lock_table_fini(&locks->table);
	pthread_mutex_destroy(&locks->answering);
	sem_destroy(&locks->ready);
	free(locks);
}

/* All of the service's life is one job, which nobody hears the end of. */
static void WEIR_ON_HELPER
locks_run(struct weir_job *job)
{
	struct weir_locks *locks = container_of(job, struct weir_locks, job);

	while (!atomic_load(&locks->stop)) {
		lock_scan(locks);
		lock_take_inbox(locks);
		lock_due(locks);
		lock_sleep(locks);
	}
	locks_unref(locks);
}

static void
locks_over(struct weir_job *job)
{
	(void)job;
}

int
weir_locks_create(const struct weir_locks_cfg *cfg, struct weir_locks **out)
{
	struct weir_locks *locks = calloc(1, sizeof(*locks));
	char name[16];
	int rc;

	if (locks == NULL)
		return -ENOMEM;
	lock_table_init(&locks->table);
	locks->table.max_ranges = cfg->max_locks;
	locks->table.host = cfg->host;
	locks->table.host_arg = cfg->host_arg;
	locks->wait_ns = cfg->wait_ms * LOCK_NS_PER_MS;
	TAILQ_INIT(&locks->waiters);
	atomic_init(&locks->refs, 1);
	sem_init(&locks->ready, 0, 0);
	pthread_mutex_init(&locks->answering, NULL);
	snprintf(name, sizeof(name), "lock-%s", cfg->name);
	rc = weir_helpers_create(name, 1, &locks->helpers);
	if (rc < 0) {
		locks_unref(locks);
		return rc;
	}
	atomic_init(&locks->refs, 2);
	locks->job.run = locks_run;
	locks->job.done = locks_over;
	weir_helper_submit(locks->helpers, &locks->job);
	*out = locks;
	return 0;
}

/* The thread has not begun yet, and will not. */
static void
locks_orphan(struct weir_job *job, void *arg)
{
	(void)job;
	*(bool *)arg = true;
}

void
weir_locks_destroy(struct weir_locks *locks)
{
	bool orphan = false;

	if (locks == NULL)
		return;
	/* First, so that nothing is done with the job when it has freed itself. */
	weir_helpers_destroy(locks->helpers, locks_orphan, &orphan);
	if (orphan)
		locks_unref(locks);
	atomic_store(&locks->stop, true);
	sem_post(&locks->ready);
	/* All is answered, and from here on the service has done with the workers, which may end. */
	pthread_mutex_lock(&locks->answering);
	pthread_mutex_unlock(&locks->answering);
	locks_unref(locks);
}

int WEIR_ON_WORKER
weir_locks_do(struct weir_locks *locks, struct weir_fsreq *req,
		void (*done)(struct weir_fsreq *req, int res))
{
	bool ends = req->op == WEIR_FSOP_FLUSH || req->op == WEIR_FSOP_RELEASE;
	struct weir_lock_req *lr = weir_fsreq_ctx(req);

	/* The mark was set before the guest was told of its lock. */
	if (ends && __atomic_load_n(&req->node->locked, __ATOMIC_RELAXED) == 0)
		return 0;
	lr->done = done;
	lr->next = atomic_load_explicit(&locks->inbox, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(
			&locks->inbox, &lr->next, lr, memory_order_release, memory_order_relaxed))
		;
	sem_post(&locks->ready);
	return -EINPROGRESS;
}

void
weir_locks_interrupt(struct weir_locks *locks)
{
	atomic_store(&locks->scan, true);
	sem_post(&locks->ready);
}

void WEIR_ON_WORKER
weir_locks_detach(struct weir_locks *locks, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req))
{
	if (req->op == WEIR_FSOP_SETLK) {
		atomic_store(&req->interrupted, true);
		weir_locks_interrupt(locks);
	}
	fenced(req);
}

void
weir_locks_load(const struct weir_locks *locks, uint32_t *held, uint32_t *waiting)
{
	*held = atomic_load(&locks->table.nb_ranges);
	*waiting = atomic_load(&locks->nb_waiting);
}
