/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_HANDOFF_H
#define WEIR_HANDOFF_H

/**
 * @file
 * What workers are for, and how requests get from one to another. A frontend worker polls virtqueues
 * and submits requests; a backend worker has the channels of file systems. A worker may be both, and
 * without weir_handoff_start() all are.
 *
 * A request whose channel is on another worker is handed over: the submitter gathers what a round
 * brings and puts it into the backend worker's rte_ring in bursts; answers come back through a ring
 * of the submitter's. A full ring is no error: what does not fit waits with its sender, in order.
 */

#include <stdbool.h>
#include <stdint.h>

#include "weir_role.h"
#include "weir_worker.h"

struct weir_fsreq;

/** What each worker is for, by its index. */
struct weir_handoff_cfg {
	bool frontend[WEIR_MAX_WORKERS];
	bool backend[WEIR_MAX_WORKERS];
};

/**
 * Gives the workers their roles and the rings between them. Control, once, after
 * weir_workers_start() and before there is a file system.
 * @return 0; -EINVAL when a worker has no role, or no worker has one of them; -ENOMEM.
 */
int WEIR_ON_CONTROL weir_handoff_start(const struct weir_handoff_cfg *cfg);

/**
 * Makes workers look into their rings. Where all workers are both, they do not before: whoever makes
 * a route that leads to another worker calls this first. Control, between start and stop.
 */
void WEIR_ON_CONTROL weir_handoff_enable(void);

/** Takes rings and roles away. Control, when no file system is left, before weir_workers_stop(). */
void WEIR_ON_CONTROL weir_handoff_stop(void);

/** @name Roles; any thread, constant between start and stop
 * @{ */
unsigned int weir_frontends_count(void);
/** Frontend worker i, 0 <= i < weir_frontends_count(). */
struct weir_worker *weir_frontend_at(unsigned int i);
unsigned int weir_backends_count(void);
/** Backend worker i, 0 <= i < weir_backends_count(). */
struct weir_worker *weir_backend_at(unsigned int i);
bool weir_worker_is_frontend(const struct weir_worker *worker);
bool weir_worker_is_backend(const struct weir_worker *worker);
/** The backend worker of a worker that need not choose: itself where it is one. */
struct weir_worker *weir_worker_backend(const struct weir_worker *worker);
/** @} */

/** Which backend workers the requests of one source go to, in turn. The source's worker's. */
struct weir_route {
	const uint8_t *workers; /**< indices of backend workers; borrowed */
	uint32_t nb; /**< how many, at least 1 */
	uint32_t next; /**< whose turn it is */
};

/** A request on its way between two workers; the library's. */
struct weir_handoff {
	struct weir_msg msg; /**< detaching: to the backend worker and back */
	void (*fenced)(struct weir_fsreq *req); /**< the submitter's */
	int res; /**< the backend worker's, then the submitter's */
	uint16_t home; /**< 1 + index of the submitter; 0: it was not handed over */
	uint8_t place; /**< the backend worker's */
	bool detaching; /**< the submitter's: the fence is awaited */
	bool answered; /**< the submitter's: and the answer has overtaken it */
};

/** What a worker has handed over and been handed, since start. */
struct weir_handoff_stats {
	uint64_t requests_sent, requests_received;
	uint64_t answers_sent, answers_received;
	uint64_t bursts_sent, bursts_received; /**< of both */
	uint64_t full; /**< times that a ring had no room for all of a burst */
};

/** Reads the counters; never disturbs the worker. Any thread. Zeroes before weir_handoff_start(). */
void weir_handoff_stats_get(const struct weir_worker *worker, struct weir_handoff_stats *out);

#endif /* WEIR_HANDOFF_H */
