/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_HELPER_H
#define WEIR_HELPER_H

/**
 * @file
 * Helper threads: a bounded pool, one per file system, that may block. A hanging folder exhausts
 * the helpers of its own file system and nobody else's. Their CPU affinity is that of the process
 * at its start less the workers' CPUs (all of it where nothing would be left).
 */

#include <stdint.h>

#include "weir_loop.h"
#include "weir_role.h"
#include "weir_worker.h"

struct weir_helpers;

/** One job, embedded in its owner, who must leave it alone until done was called. */
struct weir_job {
	void (*run)(struct weir_job *job); /**< on a helper; may block */
	void (*done)(struct weir_job *job); /**< on the worker that submitted it, or on control */
	struct weir_worker *home; /**< set by weir_helper_submit(); NULL: control */
	struct weir_msg msg;
	struct weir_post post;
	struct weir_job *next;
};

/**
 * Creates a pool of nb_threads threads (1 to 1024) that carry the name.
 * Control. @return 0, -EINVAL, -ENOMEM, or the errno of thread creation.
 */
int WEIR_ON_CONTROL weir_helpers_create(
		const char *name, unsigned int nb_threads, struct weir_helpers **out);

/**
 * Ends the pool without waiting for a thread that hangs: threads leave when they have no job, the
 * last one frees the pool. Jobs that were queued are not run: their done is not called, the caller
 * gets them back one by one through orphan (may be NULL). The done of a job that is still being run
 * is not called either; its memory must stay as long as run may use it. Control.
 *
 * @return how many threads were still inside a job.
 */
unsigned int WEIR_ON_CONTROL weir_helpers_destroy(struct weir_helpers *helpers,
		void (*orphan)(struct weir_job *job, void *arg), void *arg);

/**
 * Queues a job. Workers and control. Never blocks or allocates; wakes a helper if one sleeps.
 * Jobs start in order.
 */
void weir_helper_submit(struct weir_helpers *helpers, struct weir_job *job);

/** Jobs that wait for a thread, and jobs being run. Any thread; a snapshot. */
void
weir_helpers_load(const struct weir_helpers *helpers, unsigned int *queued, unsigned int *running);

#endif /* WEIR_HELPER_H */
