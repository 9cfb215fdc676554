/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_WORKER_H
#define WEIR_WORKER_H

/**
 * @file
 * Workers: one polling loop on each EAL worker lcore. A worker runs pollers (queues, channels),
 * takes messages from other threads off an rte_ring, and, under the adaptive idle policy, sleeps in
 * epoll on the descriptors that its pollers armed and on a mailbox eventfd, without ever losing a
 * kick or a message. Where a worker has many pollers, those without work are parked: armed and not
 * polled until one of their descriptors is ready.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_power_intrinsics.h>
#include <rte_rcu_qsbr.h>

#include "weir_loop.h"
#include "weir_role.h"

#define WEIR_MAX_WORKERS 128

struct weir_worker;

enum weir_idle_policy {
	WEIR_IDLE_POLL, /**< never sleep */
	WEIR_IDLE_ADAPTIVE, /**< spin for spin_us without work, then arm and sleep */
	WEIR_IDLE_POWER, /**< spin for spin_us, then let the CPU wait for memory, 20 us at a time */
};

/** Names of the policies by their number, NULL-terminated. */
extern const char *const weir_idle_policy_names[];

struct weir_workers_cfg {
	enum weir_idle_policy idle;
	uint32_t spin_us; /**< adaptive, power: how long to spin without work */
};

/** The worker's own: where a poller is. */
enum weir_poller_state {
	WEIR_POLLER_NONE, /**< with no worker */
	WEIR_POLLER_ACTIVE, /**< polled in each round */
	WEIR_POLLER_PARKED, /**< armed, not polled */
	WEIR_POLLER_TIMED, /**< parked until wake_tsc at the latest */
};

/**
 * Something that a worker polls; embedded in its owner, who zeroes it before it is first added.
 *
 * A descriptor whose readiness means "there may be work" is watched with weir_worker_fd_add(); it
 * wakes a sleeping worker, or the poller if that is parked, and nothing else: the next round polls.
 */
struct weir_poller {
	const char *name; /**< for statistics; borrowed */

	/** Does what there is to do, bounded. Returns how many things were done; 0: idle round. */
	int (*poll)(struct weir_poller *poller);

	/**
	 * Before the worker sleeps, or before the poller is parked: makes sure that new work will
	 * make a watched descriptor readable, then looks once more. Returns true when there is work
	 * already, or when nothing would tell of it: then it goes on being polled.
	 * NULL where nothing needs arming. Adds and removes neither pollers nor descriptors.
	 */
	bool (*arm)(struct weir_poller *poller);

	/**
	 * It is polled again after arm(), or one of its descriptors had an event: the next poll looks
	 * at everything. Also without arm() before it; then as if there had been one. Before a parked
	 * poller is removed, too. NULL where nothing needs doing. Restricted as arm() is.
	 */
	void (*disarm)(struct weir_poller *poller);

	/**
	 * Names the memory that changes when there is work, and what tells from its value whether it
	 * has changed already: what rte_power_monitor() wants. Returns false where work cannot be told
	 * by that alone. NULL: it never can. Only the power policy asks.
	 */
	bool (*monitor)(struct weir_poller *poller, struct rte_power_monitor_cond *cond);

	/**
	 * The TSC at which a sleeping worker, or one that has parked it, polls again even if nothing
	 * wakes it, to the next millisecond; 0: never. The owner writes it on the worker, last in
	 * arm().
	 */
	uint64_t wake_tsc;

	/**
	 * It may be parked: all its work comes with an event of a descriptor of its, at wake_tsc, or
	 * by a call on its worker that says weir_poller_wake(). Needs arm.
	 */
	bool parks;

	/* The worker's. */
	enum weir_poller_state state;
	uint64_t work_tsc; /**< when it last had work, or became active */
	TAILQ_ENTRY(weir_poller) next;
};

/** A message, embedded in its owner, who must leave it alone until fn was called. */
struct weir_msg {
	void (*fn)(struct weir_msg *msg);
};

/** What a worker has done so far; TSC cycles and counts since start. */
struct weir_worker_stats {
	uint64_t cycles_busy; /**< in rounds that found work */
	uint64_t cycles_idle; /**< in rounds that found none */
	uint64_t cycles_asleep; /**< in epoll, or waiting as the power policy does */
	uint64_t rounds;
	uint64_t rounds_busy;
	uint64_t sleeps;
	uint64_t wakes_spurious; /**< sleeps after which the first round found nothing */
	uint64_t messages;
	uint64_t parks; /**< times that a poller was parked */
	uint64_t nb_active; /**< pollers that each round polls, now */
	uint64_t nb_parked; /**< pollers that are parked, now */
};

/**
 * Starts a worker on every EAL worker lcore and returns when all of them run. Control, once.
 *
 * Warns when the main lcore shares a CPU with a worker; that is allowed on small machines.
 * @return 0; -ENODEV when EAL has no worker lcore; -ENOTSUP when the CPU lacks what the idle policy
 *   needs; -ENOMEM; or an errno of epoll and eventfd.
 */
int WEIR_ON_CONTROL weir_workers_start(const struct weir_workers_cfg *cfg);

/** Ends all worker loops and waits for them. No poller may be registered any more. Control. */
void WEIR_ON_CONTROL weir_workers_stop(void);

/** How many workers run. Any thread. */
unsigned int weir_workers_count(void);

/** Worker i, 0 <= i < weir_workers_count(). Any thread. */
struct weir_worker *weir_worker_at(unsigned int i);

/** The worker that runs the calling thread; NULL on other threads. */
struct weir_worker *weir_worker_self(void);

/** Index of a worker as for weir_worker_at(). */
unsigned int weir_worker_index(const struct weir_worker *worker);
/** EAL lcore of a worker. */
unsigned int weir_worker_lcore(const struct weir_worker *worker);
/** NUMA node of a worker's lcore. */
int weir_worker_socket(const struct weir_worker *worker);

/** Reads the counters; never disturbs the worker. Any thread. */
void weir_worker_stats_get(const struct weir_worker *worker, struct weir_worker_stats *out);

/**
 * What this machine's CPU lacks for a policy, as words that go behind "lacks"; NULL: nothing.
 * Any thread.
 */
const char *weir_idle_lacks(enum weir_idle_policy policy);
/** Sets the calling worker's idle policy from now on. The CPU lacks nothing for it. */
void WEIR_ON_WORKER weir_worker_idle_set(const struct weir_workers_cfg *cfg);
/** Reads a worker's idle policy. Any thread. */
void weir_worker_idle_get(const struct weir_worker *worker, struct weir_workers_cfg *out);

/** Adds a poller to the calling worker. The worker borrows it until weir_poller_del(). */
void WEIR_ON_WORKER weir_poller_add(struct weir_poller *poller);
/** Removes a poller of the calling worker, parked or not; allowed from inside its own poll(). */
void WEIR_ON_WORKER weir_poller_del(struct weir_poller *poller);
/** Makes a parked poller of the calling worker active: it is polled within the next round. */
void WEIR_ON_WORKER weir_poller_unpark(struct weir_poller *poller);
/**
 * A call on the worker has given poller work, which no descriptor of its will tell. Nothing happens
 * to one that is not parked. For pollers of the calling worker.
 */
static inline void WEIR_ON_WORKER
weir_poller_wake(struct weir_poller *poller)
{
	if (poller->state >= WEIR_POLLER_PARKED)
		weir_poller_unpark(poller);
}

/**
 * Makes every new event of fd (EPOLLIN, edge-triggered) wake the calling worker out of its sleep,
 * and poller, if that is parked. The poller need not have been added yet, and its memory stays in
 * place until weir_worker_fd_del().
 * Nobody has to read an eventfd for that, which matters where the peer could make a read block.
 * @return 0 or -errno of epoll_ctl (-EPERM: not a descriptor that can be waited for).
 */
int WEIR_ON_WORKER weir_worker_fd_add(int fd, struct weir_poller *poller);
/**
 * As weir_worker_fd_add(), for a socket: becoming writable after a send found no room, which is how
 * a connect ends too, is an event as well.
 */
int WEIR_ON_WORKER weir_worker_fd_add_inout(int fd, struct weir_poller *poller);
/**
 * Stops watching fd, before it is closed: a descriptor that another process has too stays watched
 * otherwise. Harmless when it was not watched.
 */
void WEIR_ON_WORKER weir_worker_fd_del(int fd);

/**
 * Sends a message to a worker: fn runs there between two rounds. Any thread, lock-free. The mailbox
 * (65536 messages) holds more than the request pools do; a sender that still finds it full spins.
 * Messages of one sender stay in order.
 */
void weir_worker_send(struct weir_worker *worker, struct weir_msg *msg);

/**
 * Makes a worker look again if it sleeps. The caller has just made work visible that one of the
 * worker's pollers looks for in arm(): none is lost between the two. Any thread, lock-free.
 */
void weir_worker_wake(struct weir_worker *worker);

/**
 * Runs fn(arg) on a worker and waits for its return. For the transport thread, for control during
 * start and shutdown, and for tests; never on a worker. An answer that does not come within 10 s is
 * our bug: it is logged as such every 10 s, and the wait goes on.
 */
void weir_worker_sync(struct weir_worker *worker, void (*fn)(void *arg), void *arg);

/** Runs fn on worker and then done on control; both with call. Embedded, as a message is. */
struct weir_worker_call {
	struct weir_msg msg;
	struct weir_post post;
	void (*fn)(struct weir_worker_call *call); /**< on the worker */
	void (*done)(struct weir_worker_call *call); /**< on control; may free call */
};
void weir_worker_call(struct weir_worker *worker, struct weir_worker_call *call);

/**
 * The RCU state of all workers: each reports a quiescent state in every round and is offline while
 * it sleeps. What control unlinked may be freed once rte_rcu_qsbr_check() of a later token says so.
 */
struct rte_rcu_qsbr *weir_workers_qsbr(void);

#endif /* WEIR_WORKER_H */
