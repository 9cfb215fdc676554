/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_pause.h>

#include "weir_log.h"

#include "worker.h"

WEIR_LOG_TYPE(worker);

/* More than there can be requests in the pools, so that a sender never finds it full. */
#define MAILBOX_SIZE  65536
#define MAILBOX_BURST 64
static struct {
	struct weir_worker *worker[WEIR_MAX_WORKERS];
	unsigned int nb;
	struct rte_rcu_qsbr *qsbr;
} workers;

static __thread struct weir_worker *worker_self;

static void
worker_free(struct weir_worker *w)
{
	if (w == NULL)
		return;
	rte_ring_free(w->mailbox);
	if (w->epfd >= 0)
		close(w->epfd);
	if (w->wakefd >= 0)
		close(w->wakefd);
	rte_free(w);
}

static int
worker_watch(struct weir_worker *w, int fd, uint32_t events, struct weir_poller *poller)
{
	struct epoll_event ev = { .events = events | EPOLLET, .data.ptr = poller };

	return epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int
worker_new(unsigned int lcore, const struct weir_workers_cfg *cfg, struct weir_worker **out)
{
	char name[RTE_RING_NAMESIZE];
	struct weir_worker *w;
	int rc = -ENOMEM;

	w = rte_zmalloc_socket(
			NULL, sizeof(*w), RTE_CACHE_LINE_SIZE, rte_lcore_to_socket_id(lcore));
	if (w == NULL)
		return -ENOMEM;
	w->index = workers.nb;
	w->lcore = lcore;
	w->socket = rte_lcore_to_socket_id(lcore);
	w->due_tsc = UINT64_MAX;
	TAILQ_INIT(&w->active);
	TAILQ_INIT(&w->timed);
	idle_set(w, cfg);

	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	w->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epfd < 0 || w->wakefd < 0) {
		rc = -errno;
		goto fail;
	}
	rc = worker_watch(w, w->wakefd, EPOLLIN, NULL);
	if (rc < 0)
		goto fail;
	snprintf(name, sizeof(name), "weir_mail_%u", w->index);
	/*
	 * Relaxed tail: senders are threads that can be preempted in the middle of an enqueue, and
	 * nobody, least of all another worker, may have to wait until they run again.
	 */
	w->mailbox = rte_ring_create(
			name, MAILBOX_SIZE, w->socket, RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
	if (w->mailbox == NULL) {
		rc = -rte_errno;
		goto fail;
	}
	*out = w;
	return 0;

fail:
	worker_free(w);
	return rc;
}

static int WEIR_ON_WORKER
worker_deliver(struct weir_worker *w)
{
	void *box[MAILBOX_BURST];
	unsigned int n = rte_ring_dequeue_burst(w->mailbox, box, RTE_DIM(box), NULL);

	for (unsigned int i = 0; i < n; i++) {
		struct weir_msg *msg = box[i];

		msg->fn(msg);
	}
	if (n > 0)
		weir_counter_add(&w->messages, n);
	return (int)n;
}

/* Bounded: who is made active is polled in this round, but nobody is parked twice in one. */
int WEIR_ON_WORKER
worker_round(struct weir_worker *w)
{
	int work = worker_deliver(w), n;
	struct weir_poller *p;

	w->cursor = TAILQ_FIRST(&w->active);
	while ((p = w->cursor) != NULL) {
		n = p->poll(p);
		work += n;
		/* Where it has removed itself, it is not ours any more. */
		if (unlikely(w->cursor != p))
			continue;
		w->cursor = TAILQ_NEXT(p, next);
		if (n > 0)
			p->work_tsc = w->last_tsc;
		else if (weir_counter_get(&w->nb_active) > POLLERS_KEPT)
			poller_rest(w, p);
	}
	return work;
}

static int
worker_main(void *arg)
{
	struct weir_worker *w = arg;
	uint64_t now;

	weir_role_assume_worker();
	worker_self = w;
	rte_rcu_qsbr_thread_register(workers.qsbr, w->index);
	rte_rcu_qsbr_thread_online(workers.qsbr, w->index);
	w->last_tsc = rte_rdtsc();
	w->work_tsc = w->last_tsc;

	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		int work = worker_round(w);

		rte_rcu_qsbr_quiescent(workers.qsbr, w->index);
		now = rte_rdtsc();
		weir_counter_add(&w->rounds, 1);
		if (work > 0) {
			weir_counter_add(&w->rounds_busy, 1);
			weir_counter_add(&w->cycles_busy, now - w->last_tsc);
			w->work_tsc = now;
		} else {
			weir_counter_add(&w->cycles_idle, now - w->last_tsc);
			rte_pause();
		}
		w->last_tsc = now;
		if (weir_counter_get(&w->nb_parked) > 0 && now >= w->look_tsc)
			pollers_look(w);
		if (now - w->work_tsc > w->spin_cycles)
			idle_enter(w);
	}
	while (worker_deliver(w) > 0)
		;
	rte_rcu_qsbr_thread_offline(workers.qsbr, w->index);
	rte_rcu_qsbr_thread_unregister(workers.qsbr, w->index);
	worker_self = NULL;
	return 0;
}

static void
workers_warn_shared_cpus(void)
{
	unsigned int main_lcore = rte_get_main_lcore();
	rte_cpuset_t main_cpus = rte_lcore_cpuset(main_lcore);

	for (unsigned int i = 0; i < workers.nb; i++) {
		rte_cpuset_t cpus = rte_lcore_cpuset(workers.worker[i]->lcore);
		rte_cpuset_t both;

		CPU_AND(&both, &main_cpus, &cpus);
		if (CPU_COUNT(&both) > 0)
			weir_log(worker, WARNING,
					"lcore %u: shares a CPU with the main lcore %u; control and data "
					"path will disturb each other",
					workers.worker[i]->lcore, main_lcore);
	}
}

static int
workers_alloc(const struct weir_workers_cfg *cfg)
{
	unsigned int lcore;
	size_t size;
	int rc;

	RTE_LCORE_FOREACH_WORKER(lcore) {
		if (workers.nb == WEIR_MAX_WORKERS)
			return -E2BIG;
		rc = worker_new(lcore, cfg, &workers.worker[workers.nb]);
		if (rc < 0)
			return rc;
		workers.nb++;
	}
	if (workers.nb == 0) {
		weir_log(worker, ERR, "EAL has no worker lcore: give it two lcores at least");
		return -ENODEV;
	}
	size = rte_rcu_qsbr_get_memsize(workers.nb);
	workers.qsbr = rte_zmalloc(NULL, size, RTE_CACHE_LINE_SIZE);
	if (workers.qsbr == NULL)
		return -ENOMEM;
	rte_rcu_qsbr_init(workers.qsbr, workers.nb);
	return 0;
}

static void
workers_free(void)
{
	while (workers.nb > 0)
		worker_free(workers.worker[--workers.nb]);
	rte_free(workers.qsbr);
	workers.qsbr = NULL;
}

int
weir_workers_start(const struct weir_workers_cfg *cfg)
{
	const char *lacks = weir_idle_lacks(cfg->idle);
	int rc;

	if (lacks != NULL) {
		weir_log(worker, ERR, "idle policy %s: this CPU lacks %s",
				weir_idle_policy_names[cfg->idle], lacks);
		return -ENOTSUP;
	}
	rc = workers_alloc(cfg);
	if (rc < 0) {
		workers_free();
		return rc;
	}
	workers_warn_shared_cpus();
	for (unsigned int i = 0; i < workers.nb; i++) {
		rc = rte_eal_remote_launch(
				worker_main, workers.worker[i], workers.worker[i]->lcore);
		if (rc < 0) {
			weir_workers_stop();
			return rc;
		}
	}
	return 0;
}

static void
worker_wake(struct weir_worker *w)
{
	uint64_t one = 1;

	if (write(w->wakefd, &one, sizeof(one)) < 0) {
		/* EAGAIN: the counter is full, so the worker wakes anyway. */
	}
}

void
weir_workers_stop(void)
{
	for (unsigned int i = 0; i < workers.nb; i++) {
		struct weir_worker *w = workers.worker[i];

		atomic_store(&w->stop, true);
		worker_wake(w);
		rte_eal_wait_lcore(w->lcore);
	}
	workers_free();
}

unsigned int
weir_workers_count(void)
{
	return workers.nb;
}

struct weir_worker *
weir_worker_at(unsigned int i)
{
	return workers.worker[i];
}

struct weir_worker *
weir_worker_self(void)
{
	return worker_self;
}

unsigned int
weir_worker_index(const struct weir_worker *worker)
{
	return worker->index;
}

unsigned int
weir_worker_lcore(const struct weir_worker *worker)
{
	return worker->lcore;
}

int
weir_worker_socket(const struct weir_worker *worker)
{
	return worker->socket;
}

struct rte_rcu_qsbr *
weir_workers_qsbr(void)
{
	return workers.qsbr;
}

void
weir_worker_stats_get(const struct weir_worker *worker, struct weir_worker_stats *out)
{
	out->cycles_busy = weir_counter_get(&worker->cycles_busy);
	out->cycles_idle = weir_counter_get(&worker->cycles_idle);
	out->cycles_asleep = weir_counter_get(&worker->cycles_asleep);
	out->rounds = weir_counter_get(&worker->rounds);
	out->rounds_busy = weir_counter_get(&worker->rounds_busy);
	out->sleeps = weir_counter_get(&worker->sleeps);
	out->wakes_spurious = weir_counter_get(&worker->wakes_spurious);
	out->messages = weir_counter_get(&worker->messages);
	out->parks = weir_counter_get(&worker->parks);
	out->nb_active = weir_counter_get(&worker->nb_active);
	out->nb_parked = weir_counter_get(&worker->nb_parked);
}

int
weir_worker_fd_add(int fd, struct weir_poller *poller)
{
	return worker_watch(worker_self, fd, EPOLLIN, poller);
}

int
weir_worker_fd_add_inout(int fd, struct weir_poller *poller)
{
	return worker_watch(worker_self, fd, EPOLLIN | EPOLLOUT, poller);
}

void
weir_worker_fd_del(int fd)
{
	epoll_ctl(worker_self->epfd, EPOLL_CTL_DEL, fd, NULL);
}

void
weir_worker_send(struct weir_worker *worker, struct weir_msg *msg)
{
	while (rte_ring_enqueue(worker->mailbox, msg) < 0)
		rte_pause();
	weir_worker_wake(worker);
}

void
weir_worker_wake(struct weir_worker *worker)
{
	atomic_thread_fence(memory_order_seq_cst); /* pairs with idle_sleep() */
	if (atomic_load_explicit(&worker->asleep, memory_order_relaxed))
		worker_wake(worker);
}

struct worker_sync {
	struct weir_msg msg;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void WEIR_ON_WORKER
worker_sync_run(struct weir_msg *msg)
{
	struct worker_sync *sync = container_of(msg, struct worker_sync, msg);

	sync->fn(sync->arg);
	sem_post(&sync->done);
}

void
weir_worker_sync(struct weir_worker *worker, void (*fn)(void *arg), void *arg)
{
	struct worker_sync sync = { .msg.fn = worker_sync_run, .fn = fn, .arg = arg };
	struct timespec until;

	RTE_ASSERT(worker_self == NULL);
	sem_init(&sync.done, 0, 0);
	weir_worker_send(worker, &sync.msg);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 10;
	while (sem_clockwait(&sync.done, CLOCK_MONOTONIC, &until) < 0) {
		if (errno != ETIMEDOUT)
			continue;
		weir_log(worker, ERR, "lcore %u: has not answered for 10 s; this is a bug of weir",
				worker->lcore);
		until.tv_sec += 10;
	}
	sem_destroy(&sync.done);
}

static void
worker_call_done(struct weir_post *post)
{
	struct weir_worker_call *call = container_of(post, struct weir_worker_call, post);

	call->done(call);
}

static void WEIR_ON_WORKER
worker_call_run(struct weir_msg *msg)
{
	struct weir_worker_call *call = container_of(msg, struct weir_worker_call, msg);

	call->fn(call);
	weir_loop_post(&call->post);
}

void
weir_worker_call(struct weir_worker *worker, struct weir_worker_call *call)
{
	call->msg.fn = worker_call_run;
	call->post.fn = worker_call_done;
	weir_worker_send(worker, &call->msg);
}
