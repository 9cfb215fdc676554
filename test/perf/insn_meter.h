/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef INSN_METER_H
#define INSN_METER_H

/**
 * @file
 * Counts a worker's instructions while it works on a load, under callgrind. A poller of the meter's
 * comes first in each round: in it nothing counts, so there the load looks at what came back and
 * prepares what comes next. All else that the worker does in its rounds counts, and nothing that
 * other threads do. Control stands still meanwhile, but for the rests that a load asks for.
 *
 * Without valgrind the programs run as well, and count nothing.
 */

#include <stdbool.h>

#include <rte_common.h>

/** What a load wants next. */
enum meter_next {
	METER_ROUND, /**< a round that counts */
	METER_REST, /**< control catches up with what is due, and no round counts until it has */
	METER_END,
};

struct meter_load {
	/** In no count. Called again after METER_ROUND and METER_REST. */
	enum meter_next (*next)(struct meter_load *load);
	/** Counts; ahead of the round's other pollers. NULL: they are all there is. */
	void (*go)(struct meter_load *load);
	/** What control does in a rest beside its loop; may be NULL. */
	void (*rest)(struct meter_load *load);
};

/** EAL with one worker, which polls, and control on the same CPU; the loop; random numbers that are
 * the same each time. Ends the process when that cannot be. */
void meter_start(void);
void meter_stop(void);

/** Runs a load that counts nothing. Control. */
void meter_warm(struct meter_load *load);

/** Runs a load and writes what it took under that name, for nb_ops operations. Control. */
void meter_run(struct meter_load *load, const char *name, unsigned long nb_ops);

/** Runs fn(arg) on a thread of its own and control's loop until it returns. Control. */
void meter_beside(void (*fn)(void *arg), void *arg);

/** Invokes an RPC method, printf-like JSON; ends the process when that fails. Control. */
void meter_rpc(const char *method, const char *fmt, ...) __rte_format_printf(2, 3);

void meter_die(const char *fmt, ...) __rte_noreturn __rte_format_printf(1, 2);

#endif /* INSN_METER_H */
