/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef RUN_H
#define RUN_H

/**
 * @file
 * What one call of weir-perf does: one run, or several of two servers in turn.
 */

#include "load.h"

/**
 * One run.
 * @param command  starts a server for it; NULL: the one at opts->socket.
 * @return enum perf_exit.
 */
int run_once(const struct perf_opts *opts, const char *command, struct load_result *result);

/** --server, or who listens at --socket, and --versus in turn. @return enum perf_exit. */
int run_versus(const struct perf_opts *opts);

#endif /* RUN_H */
