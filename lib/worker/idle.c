/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <limits.h>

#include <rte_cycles.h>
#include <rte_power_intrinsics.h>

#include "worker.h"

/* A poller without work stays active for this long at most, even where spinning lasts longer. */
#define PARK_US 1000
/*
 * How often a worker that is awake looks for parked pollers. An epoll_wait() that does not wait takes
 * 0.1 to 0.2 us, however many descriptors are watched: 1 % of this time at most. What it adds to the
 * latency of a queue's first request is no more than waking a sleeping worker does. A doze is
 * bounded by it too.
 */
#define LOOK_US 20

const char *const weir_idle_policy_names[] = { "poll", "adaptive", "power", NULL };

void
idle_set(struct weir_worker *w, const struct weir_workers_cfg *cfg)
{
	uint64_t per_us = rte_get_tsc_hz() / 1000000;
	bool spins = cfg->idle == WEIR_IDLE_POLL;

	w->spin_cycles = spins ? UINT64_MAX : per_us * cfg->spin_us;
	w->park_cycles = RTE_MIN(w->spin_cycles, per_us * PARK_US);
	w->look_cycles = per_us * LOOK_US;
	rte_cpu_get_intrinsics_support(&w->cpu);
	atomic_store_explicit(&w->idle, (uint32_t)cfg->idle, memory_order_relaxed);
	atomic_store_explicit(&w->spin_us, cfg->spin_us, memory_order_relaxed);
}

/* Disarms the active pollers before end; all of them when end is NULL. */
static void WEIR_ON_WORKER
idle_disarm(struct weir_worker *w, const struct weir_poller *end)
{
	struct weir_poller *p;

	TAILQ_FOREACH(p, &w->active, next) {
		if (p == end)
			return;
		if (p->disarm != NULL)
			p->disarm(p);
	}
}

/* The parked ones are armed. Of the others only a few are to be disarmed after each sleep. */
static bool WEIR_ON_WORKER
idle_arm(struct weir_worker *w)
{
	struct weir_poller *p, *next;

	for (p = TAILQ_FIRST(&w->active); p != NULL; p = next) {
		next = TAILQ_NEXT(p, next);
		if (p->arm == NULL)
			continue;
		if (p->arm(p)) {
			idle_disarm(w, next);
			return false;
		}
		if (p->parks && weir_counter_get(&w->nb_active) > POLLERS_KEPT)
			poller_park(w, p);
	}
	return true;
}

/* How long the pollers let the worker sleep, as epoll_wait() wants it. */
static int WEIR_ON_WORKER
idle_sleep_ms(struct weir_worker *w)
{
	uint64_t wake_tsc = w->due_tsc, now = rte_rdtsc(), ms;
	struct weir_poller *p;

	TAILQ_FOREACH(p, &w->active, next)
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

/* The time since last_tsc was no round's. What woke the worker is looked for at once. */
static void WEIR_ON_WORKER
idle_leave(struct weir_worker *w, const struct epoll_event *ev, int n)
{
	uint64_t woken = rte_rdtsc();
	uint64_t now;

	weir_counter_add(&w->cycles_asleep, woken - w->last_tsc);
	weir_counter_add(&w->sleeps, 1);
	w->last_tsc = woken;
	idle_disarm(w, NULL);
	pollers_ready(w, ev, n);
	pollers_due(w);
	/* A wake-up that brings no work must not start another spin. */
	if (worker_round(w) == 0) {
		weir_counter_add(&w->wakes_spurious, 1);
		return;
	}
	now = rte_rdtsc();
	weir_counter_add(&w->rounds, 1);
	weir_counter_add(&w->rounds_busy, 1);
	weir_counter_add(&w->cycles_busy, now - woken);
	w->last_tsc = now;
	w->work_tsc = now;
}

/*
 * Nothing is lost: asleep is set before the mailbox is looked at, and a sender fills the mailbox
 * before it looks at asleep (both fences are seq_cst), so at least one of the two sees the other.
 * For the descriptors the same holds between arm() and the peer's own rule.
 */
static void WEIR_ON_WORKER
idle_sleep(struct weir_worker *w)
{
	struct rte_rcu_qsbr *qsbr = weir_workers_qsbr();
	struct epoll_event ev[WORKER_EVENTS];
	bool slept = false;
	int n = 0;

	atomic_store_explicit(&w->asleep, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst); /* pairs with weir_worker_wake() */
	if (rte_ring_empty(w->mailbox) && !atomic_load_explicit(&w->stop, memory_order_relaxed) &&
			idle_arm(w)) {
		const int ms = idle_sleep_ms(w);

		weir_trace(worker_sleep, w->lcore, ms);
		rte_rcu_qsbr_thread_offline(qsbr, w->index);
		n = epoll_wait(w->epfd, ev, RTE_DIM(ev), ms);
		rte_rcu_qsbr_thread_online(qsbr, w->index);
		weir_trace(worker_wake, w->lcore, n);
		slept = true;
	}
	atomic_store_explicit(&w->asleep, false, memory_order_relaxed);
	w->work_tsc = w->last_tsc;
	if (slept)
		idle_leave(w, ev, n);
}

/*
 * The CPU waits until memory changes or the time of the next look has come. Every wait is bounded
 * by that time, so that messages, and pollers that cannot say what memory would change, are late at
 * most by it, and no wake-up is needed to be correct.
 */
static void WEIR_ON_WORKER
idle_doze(struct weir_worker *w)
{
	struct rte_power_monitor_cond cond[POLLERS_KEPT];
	uint64_t now, until = w->last_tsc + w->look_cycles;
	struct weir_poller *p;
	unsigned int nb = 0;

	TAILQ_FOREACH(p, &w->active, next) {
		if (nb == RTE_DIM(cond) || p->monitor == NULL || !p->monitor(p, &cond[nb])) {
			nb = 0;
			break;
		}
		nb++;
	}
	if (nb == 1 && w->cpu.power_monitor)
		rte_power_monitor(&cond[0], until);
	else if (nb > 1 && w->cpu.power_monitor_multi)
		rte_power_monitor_multi(cond, nb, until);
	else
		rte_power_pause(until);

	now = rte_rdtsc();
	weir_counter_add(&w->cycles_asleep, now - w->last_tsc);
	weir_counter_add(&w->sleeps, 1);
	w->last_tsc = now;
}

void WEIR_ON_WORKER
idle_enter(struct weir_worker *w)
{
	if (atomic_load_explicit(&w->idle, memory_order_relaxed) == WEIR_IDLE_POWER)
		idle_doze(w);
	else
		idle_sleep(w);
}

const char *
weir_idle_lacks(enum weir_idle_policy policy)
{
	struct rte_cpu_intrinsics cpu;

	if (policy != WEIR_IDLE_POWER)
		return NULL;
	rte_cpu_get_intrinsics_support(&cpu);
	return cpu.power_pause ? NULL : "an instruction to pause until a given time (x86: WAITPKG)";
}

void
weir_worker_idle_set(const struct weir_workers_cfg *cfg)
{
	idle_set(weir_worker_self(), cfg);
}

void
weir_worker_idle_get(const struct weir_worker *worker, struct weir_workers_cfg *out)
{
	out->idle = atomic_load_explicit(&worker->idle, memory_order_relaxed);
	out->spin_us = atomic_load_explicit(&worker->spin_us, memory_order_relaxed);
}
