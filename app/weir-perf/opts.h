/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef OPTS_H
#define OPTS_H

/**
 * @file
 * The command line of weir-perf.
 */

#include <stdbool.h>
#include <stdint.h>

#include "fe_fuse.h"

/** What one operation does; the workloads of the command line. */
enum work_kind {
	WORK_RANDREAD,
	WORK_RANDWRITE,
	WORK_SEQREAD,
	WORK_SEQWRITE,
	WORK_GETATTR,
	WORK_LOOKUP,
	WORK_READDIRPLUS,
	WORK_CREATE_UNLINK,
	WORK_OPEN_CLOSE,
	WORK_NB_KINDS,
};

extern const char *const work_names[WORK_NB_KINDS];

/** What the process ends with. */
enum perf_exit {
	PERF_OK,
	PERF_ERRORS, /**< the server answered operations with errors */
	PERF_USAGE,
	PERF_SETUP, /**< no server, no mount, or the files could not be made */
	PERF_BROKEN, /**< the server broke a rule, hung or went away */
	PERF_WRONG_DATA, /**< --verify found other bytes than were written */
	PERF_INTERRUPTED = 130,
};

#define PERF_MAX_CPUS 256

struct perf_opts {
	/* What is loaded. */
	const char *socket;
	const char *server; /**< command line */
	const char *versus;
	const char *serve; /**< socket of the floor; nothing else counts then */
	const char *rpc;
	uint32_t server_pid;
	uint32_t rounds;
	/* The load. */
	unsigned int weight[WORK_NB_KINDS];
	unsigned int weights; /**< their sum */
	uint64_t ops; /**< 0: for run_ms */
	uint64_t run_ms;
	uint64_t ramp_ms;
	uint32_t block;
	uint64_t file_size;
	bool file_each; /**< one for each queue */
	uint32_t files;
	uint64_t seed;
	const char *dir;
	bool verify;
	const char *record; /**< file for a trace of what was done */
	const char *replay; /**< trace to do instead of a workload */
	/* The driver. */
	uint32_t queues;
	uint32_t depth;
	uint32_t ring_size;
	bool no_indirect;
	bool no_event_idx;
	bool packed;
	bool event;
	uint32_t timeout_s;
	unsigned int nb_cpus;
	int cpu[PERF_MAX_CPUS];
	/* What is said. */
	bool json;
	bool progress;
};

/**
 * Reads the command line; says what is wrong with it on standard error.
 * @return 0: go on; 1: all is said (--help); -EINVAL.
 */
int opts_parse(struct perf_opts *opts, int argc, char **argv);

/** The front end's options for a socket. */
void opts_front_end(const struct perf_opts *opts, const char *socket, struct fe_opts *fe);

/** True when a workload of the mix works on the data file. */
bool opts_use_data(const struct perf_opts *opts);

/** True when a workload of the mix works on the set of files. */
bool opts_use_set(const struct perf_opts *opts);

#endif /* OPTS_H */
