/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WORKER_H
#define WORKER_H

/**
 * @file
 * Private to lib/worker. worker.c: life, rounds and messages. poller.c: which pollers a round polls
 * and which are parked. idle.c: what a worker does that has found nothing for a while.
 */

#include <stdatomic.h>
#include <sys/epoll.h>

#include <rte_common.h>
#include <rte_cpuflags.h>
#include <rte_ring.h>

#include "weir_stats.h"
#include "weir_trace.h"
#include "weir_worker.h"

/* Idle pollers that a round polls all the same: what a worker has few of is never parked. */
#define POLLERS_KEPT 8
/* Descriptors reported at once; the others are reported the next time. */
#define WORKER_EVENTS 64

TAILQ_HEAD(poller_list, weir_poller);

struct weir_worker {
	/* Set before the lcore starts, read by all. */
	unsigned int index;
	unsigned int lcore;
	int socket;
	int epfd;
	int wakefd;
	struct rte_ring *mailbox;

	/* Written by the worker, read by senders, who write stop. */
	RTE_MARKER shared __rte_cache_aligned;
	_Atomic bool asleep;
	_Atomic bool stop;

	/* The worker's own. */
	RTE_MARKER own __rte_cache_aligned;
	struct poller_list active; /* polled in each round */
	struct poller_list timed; /* parked, and to be polled at their wake_tsc */
	struct weir_poller *cursor; /* the poller that runs; moved on when that one is removed */
	uint64_t last_tsc; /* when the last round ended */
	uint64_t work_tsc; /* when a round last found work */
	uint64_t spin_cycles; /* without work, before the idle policy takes over */
	uint64_t park_cycles; /* without work, before a poller may be parked */
	uint64_t look_cycles; /* between two looks for parked pollers, and of a doze at most */
	uint64_t look_tsc; /* the next look */
	uint64_t due_tsc; /* no timed poller is due before it */
	struct rte_cpu_intrinsics cpu; /* the power policy's */

	/* Written by the worker, read by anybody. */
	RTE_MARKER counters __rte_cache_aligned;
	weir_counter nb_active, nb_parked;
	weir_counter cycles_busy, cycles_idle, cycles_asleep;
	weir_counter rounds, rounds_busy, sleeps, wakes_spurious, messages, parks;
	_Atomic uint32_t idle; /* enum weir_idle_policy */
	_Atomic uint32_t spin_us;
};

/* ---- worker.c ---- */

/* Messages, then every active poller once. @return how many things were done. */
int WEIR_ON_WORKER worker_round(struct weir_worker *w);

/* ---- poller.c ---- */

/* poller has found nothing in this round, and there are more active ones than are kept. */
void WEIR_ON_WORKER poller_rest(struct weir_worker *w, struct weir_poller *poller);
/* poller is armed: takes it off the active ones. */
void WEIR_ON_WORKER poller_park(struct weir_worker *w, struct weir_poller *poller);
/* Makes active what n events are for; n < 0: none. Nothing else may run since epoll_wait(). */
void WEIR_ON_WORKER pollers_ready(struct weir_worker *w, const struct epoll_event *ev, int n);
/* Makes active the parked pollers whose wake_tsc has come. */
void WEIR_ON_WORKER pollers_due(struct weir_worker *w);
/* Looks, without waiting, whether any parked poller has work. */
void WEIR_ON_WORKER pollers_look(struct weir_worker *w);

/* ---- idle.c ---- */

/* From the worker, or before it runs. */
void idle_set(struct weir_worker *w, const struct weir_workers_cfg *cfg);
/* Nothing was found for spin_cycles. */
void WEIR_ON_WORKER idle_enter(struct weir_worker *w);

#endif /* WORKER_H */
