/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_pause.h>
#include <rte_ring.h>

#include "weir_log.h"
#include "weir_stats.h"
#include "weir_worker.h"

WEIR_LOG_TYPE(worker);

/* More than there can be requests in the pools, so that a sender never finds it full. */
#define MAILBOX_SIZE  65536
#define MAILBOX_BURST 64
/* Descriptors reported at once; which ones is of no interest, any of them ends the sleep. */
#define WAKE_EVENTS 8

struct weir_worker {
	/* Set before the lcore starts, read by all. */
	unsigned int index;
	unsigned int lcore;
	int socket;
	int epfd;
	int wakefd;
	uint64_t spin_cycles;
	enum weir_idle_policy idle;
	struct rte_ring *mailbox;

	/* Written by the worker, read by senders, who write stop. */
	RTE_MARKER shared __rte_cache_aligned;
	_Atomic bool asleep;
	_Atomic bool stop;

	/* The worker's own. */
	RTE_MARKER own __rte_cache_aligned;
	TAILQ_HEAD(, weir_poller) pollers;
	struct weir_poller *cursor; /* the poller to run next; moved on when that one is removed */
	uint64_t last_tsc;
	uint64_t work_tsc; /* when a round last found work */

	/* Written by the worker, read by anybody. */
	RTE_MARKER counters __rte_cache_aligned;
	weir_counter cycles_busy, cycles_idle, cycles_asleep;
	weir_counter rounds, rounds_busy, sleeps, wakes_spurious, messages;
};

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
worker_watch(struct weir_worker *w, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events | EPOLLET };

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
	w->idle = cfg->idle;
	w->spin_cycles = rte_get_tsc_hz() / 1000000 * cfg->spin_us;
	TAILQ_INIT(&w->pollers);

	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	w->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epfd < 0 || w->wakefd < 0) {
		rc = -errno;
		goto fail;
	}
	rc = worker_watch(w, w->wakefd, EPOLLIN);
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

static int WEIR_ON_WORKER
worker_round(struct weir_worker *w)
{
	struct weir_poller *p;
	int work = worker_deliver(w);

	for (p = TAILQ_FIRST(&w->pollers); p != NULL; p = w->cursor) {
		w->cursor = TAILQ_NEXT(p, next);
		work += p->poll(p);
	}
	return work;
}

/* Disarms the pollers before end; all of them when end is NULL. */
static void WEIR_ON_WORKER
worker_disarm(struct weir_worker *w, const struct weir_poller *end)
{
	struct weir_poller *p;

	TAILQ_FOREACH(p, &w->pollers, next) {
		if (p == end)
			return;
		if (p->disarm != NULL)
			p->disarm(p);
	}
}

static bool WEIR_ON_WORKER
worker_arm(struct weir_worker *w)
{
	struct weir_poller *p;

	TAILQ_FOREACH(p, &w->pollers, next) {
		if (p->arm != NULL && p->arm(p)) {
			worker_disarm(w, TAILQ_NEXT(p, next));
			return false;
		}
	}
	return true;
}

/* How long the pollers let the worker sleep, as epoll_wait() wants it. */
static int WEIR_ON_WORKER
worker_sleep_ms(struct weir_worker *w)
{
	uint64_t wake_tsc = UINT64_MAX, now = rte_rdtsc(), ms;
	struct weir_poller *p;

	TAILQ_FOREACH(p, &w->pollers, next)
		if (p->wake_tsc != 0)
			wake_tsc = RTE_MIN(wake_tsc, p->wake_tsc);
	if (wake_tsc == UINT64_MAX)
		return -1;
	if (wake_tsc <= now)
		return 0;
	/* Upwards: a worker that woke a little early would sleep again, and again, for 0 ms. */
	ms = (wake_tsc - now) / (rte_get_tsc_hz() / MS_PER_S) + 1;
	return (int)RTE_MIN(ms, (uint64_t)INT_MAX);
}

/*
 * Nothing is lost: asleep is set before the mailbox is looked at, and a sender fills the mailbox
 * before it looks at asleep (both fences are seq_cst), so at least one of the two sees the other.
 * For the descriptors the same holds between arm() and the peer's own rule.
 */
static void WEIR_ON_WORKER
worker_sleep(struct weir_worker *w)
{
	struct epoll_event ev[WAKE_EVENTS];
	uint64_t woken;
	bool slept = false;

	atomic_store_explicit(&w->asleep, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst); /* pairs with weir_worker_send() */
	if (rte_ring_empty(w->mailbox) && !atomic_load_explicit(&w->stop, memory_order_relaxed) &&
			worker_arm(w)) {
		rte_rcu_qsbr_thread_offline(workers.qsbr, w->index);
		epoll_wait(w->epfd, ev, RTE_DIM(ev), worker_sleep_ms(w));
		rte_rcu_qsbr_thread_online(workers.qsbr, w->index);
		worker_disarm(w, NULL);
		slept = true;
	}
	atomic_store_explicit(&w->asleep, false, memory_order_relaxed);
	w->work_tsc = w->last_tsc;
	if (!slept)
		return;

	woken = rte_rdtsc();
	weir_counter_add(&w->cycles_asleep, woken - w->last_tsc);
	weir_counter_add(&w->sleeps, 1);
	w->last_tsc = woken;
	/* A wake-up that brings no work must not start another spin. */
	if (worker_round(w) > 0)
		w->work_tsc = woken;
	else
		weir_counter_add(&w->wakes_spurious, 1);
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
		if (w->idle == WEIR_IDLE_ADAPTIVE && now - w->work_tsc > w->spin_cycles)
			worker_sleep(w);
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
	int rc = workers_alloc(cfg);

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
}

void
weir_poller_add(struct weir_poller *poller)
{
	TAILQ_INSERT_TAIL(&worker_self->pollers, poller, next);
}

void
weir_poller_del(struct weir_poller *poller)
{
	struct weir_worker *w = worker_self;

	if (w->cursor == poller)
		w->cursor = TAILQ_NEXT(poller, next);
	TAILQ_REMOVE(&w->pollers, poller, next);
}

int
weir_worker_fd_add(int fd)
{
	return worker_watch(worker_self, fd, EPOLLIN);
}

int
weir_worker_fd_add_inout(int fd)
{
	return worker_watch(worker_self, fd, EPOLLIN | EPOLLOUT);
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
	atomic_thread_fence(memory_order_seq_cst); /* pairs with worker_sleep() */
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
