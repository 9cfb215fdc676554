/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef LOAD_H
#define LOAD_H

/**
 * @file
 * One run: a mounted device, the files that the load works on, the threads that make the load, and
 * what they counted. A thread owns its queue, its tasks and its counters while it runs; the main
 * thread reads them after it has ended.
 */

#include <stdio.h>

#include "cpu.h"
#include "fe_hist.h"
#include "fe_verbs.h"
#include "opts.h"
#include "trace.h"
#include "verify.h"

#define WORK_NAME_BYTES  64
#define LOAD_ERROR_BYTES 160
#define LOAD_MAX_HANDLES 64 /**< that one stream of a trace has open */
/* Kinds of operation that are told apart: the workloads', or a trace's. */
#define LOAD_NB_KINDS 16

struct load;
struct load_thread;

/** A file for reads and writes. */
struct work_data {
	uint64_t nodeid;
	uint64_t fh;
};

/** The files that the load works on; see setup.c. */
struct work {
	char prefix[WORK_NAME_BYTES / 2]; /**< of all our names in dir */
	uint64_t dir; /**< --dir */
	unsigned int nb_data; /**< one, or one for each queue */
	struct work_data data[FE_MAX_QUEUES];
	uint64_t set_dir; /**< where the set of files is: a directory of our own, or dir */
	unsigned int nb_files; /**< of the set that exist */
	uint64_t *files; /**< their node ids */
	char (*names)[WORK_NAME_BYTES]; /**< their names in set_dir */
	bool has_set_dir;
};

/** What one thread, or all of them, counted of one kind of operation. */
struct load_stats {
	struct fe_hist hist; /**< latencies of all, failed or not */
	uint64_t errors;
	uint64_t bytes;
};

/** A file of a trace that a stream has opened. */
struct load_handle {
	uint32_t file;
	uint64_t fh;
};

/** One operation in flight: the requests that it takes, one after the other. */
struct load_task {
	struct load_thread *thread;
	struct fe_req *req;
	unsigned int kind; /**< enum work_kind; with a trace enum trace_op */
	unsigned int step; /**< how many of its requests have been answered */
	uint64_t start_ns;
	uint32_t bytes; /**< of payload that it moved */
	uint64_t stream; /**< its number in a trace that is recorded */
	uint64_t block; /**< of the data file, counted from the thread's first */
	uint64_t file; /**< of the set */
	uint64_t nodeid, fh, off;
	char name[WORK_NAME_BYTES];
	/* Of a replay. */
	uint64_t line, line_end;
	unsigned int nb_handles;
	struct load_handle *handles;
};

struct load_thread {
	struct load *load;
	struct fe_queue *q;
	unsigned int index;
	pthread_t thread;
	struct load_task *tasks;
	uint64_t kind_rng; /**< of the mix: the same kinds in any run, whatever else is drawn */
	uint64_t rng;
	uint64_t left; /**< operations to begin, with --ops */
	uint64_t next_name; /**< of create-unlink */
	uint64_t next_block; /**< of sequential workloads */
	uint64_t *lookups; /**< by file of the set, to be forgotten */
	struct verify verify;
	uint32_t next_stream; /**< of a replay */
	FILE *record; /**< NULL: nothing is recorded */
	int rc;

	uint64_t begin_ns; /**< of what is measured */
	uint64_t end_ns;
	uint64_t begin_cpu_ns;
	uint64_t cpu_ns;
	uint64_t wait_ns; /**< with nothing to do but wait for the device */
	uint64_t kicks, calls;
	char error[LOAD_ERROR_BYTES]; /**< the first, empty: none */
	struct load_stats *stats; /**< LOAD_NB_KINDS */

	/* The main thread reads these, relaxed. */
	uint64_t live_ops; /**< since the start */
	int phase; /**< enum load_phase as last seen */
};

/** What a run came to. */
struct load_result {
	struct load_stats stats[LOAD_NB_KINDS];
	struct load_stats total;
	uint64_t wall_ns; /**< the longest of the threads' */
	uint64_t generator_cpu_ns;
	uint64_t generator_wait_ns;
	uint64_t generator_wall_ns; /**< sum over the threads */
	uint64_t kicks, calls;
	struct cpu_sample server_cpu;
	bool has_busy;
	uint64_t busy_ns; /**< of weir's workers */
	char error[LOAD_ERROR_BYTES];
};

enum load_phase {
	LOAD_RAMP,
	LOAD_MEASURE,
	LOAD_STOP,
};

struct load {
	const struct perf_opts *opts;
	const char *rpc; /**< weir's RPC socket, or NULL */
	int server_pid; /**< 0: unknown */
	struct fe_fs fs;
	struct work work;
	struct trace *trace; /**< NULL: no replay */
	unsigned int nb_threads;
	struct load_thread *threads;
	int event_fd; /**< threads that have ended */
	int phase; /**< enum load_phase; main writes, threads read, relaxed */
};

/**
 * One run against the device at opts' socket or, if not NULL, socket: mounts, makes the files,
 * loads, removes the files, unmounts. Says what went wrong on standard error.
 *
 * @param pid  the server, whose CPU time counts; 0: whoever listens.
 * @param rpc  weir's RPC socket, or NULL.
 * @return enum perf_exit.
 */
int load_run(const struct perf_opts *opts, const char *socket, int pid, const char *rpc,
		struct load_result *result);

/**
 * What the server's work took, in ns: the CPU time of all threads. Where weir has told how long its
 * workers were busy, that stands for the time of those, which otherwise poll all the time.
 */
uint64_t load_cost_ns(const struct load_result *result);

/** Set when the user wants it to end; a signal handler writes it. */
extern int load_interrupted;

/** Makes a thread ready to run. @return 0 or -errno. */
int thread_create(struct load *load, unsigned int index);
/** What a thread runs; arg is its struct load_thread. */
void *thread_run(void *arg);
/** Gives the requests of all tasks back. */
void threads_release(struct load *load);
void threads_destroy(struct load *load);

/** Makes the files. @return 0 or -errno, which has been said. */
int setup_files(struct load *load);

/** Removes what setup_files() made, as far as the server lets us. */
void setup_clean(struct load *load);

/** Frees the memory of what setup_files() made. */
void setup_free(struct load *load);

/** Results of task_step(), besides a negative errno: the operation failed. */
enum task_result {
	TASK_DONE,
	TASK_SEND, /**< the next request is ready */
};

/** Name of a kind of operation, NULL: it is none. */
const char *load_kind_name(const struct perf_opts *opts, unsigned int kind);

/** Chooses what a task does next. @return false: nothing. */
bool task_begin(struct load_task *task);

/** Judges the answer to the last request and prepares the next. @return enum task_result. */
int task_step(struct load_task *task);

/* The kinds of operation that are not reads and writes. */
int step_getattr(struct load_task *task);
int step_lookup(struct load_task *task);
int step_readdirplus(struct load_task *task, uint64_t nodeid);
int step_create_unlink(struct load_task *task);
int step_open_close(struct load_task *task);

/** As setup_files() and setup_clean(), for the files of a trace. */
int replay_setup(struct load *load);
void replay_clean(struct load *load);
/** As task_begin() and task_step(), for a trace. */
bool replay_begin(struct load_task *task);
int step_replay(struct load_task *task);

/** Writes down the request that a task sends. */
void record_request(const struct load_task *task);
/** Puts the trace together. @return 0 or -errno, which has been said. */
int record_end(struct load *load);

/** 0 to n - 1, by xorshift64* and without a division. */
static inline uint64_t
load_below(uint64_t *rng, uint64_t n)
{
	*rng ^= *rng >> 12;
	*rng ^= *rng << 25;
	*rng ^= *rng >> 27;
	return (uint64_t)(((unsigned __int128)(*rng * 0x2545f4914f6cdd1dULL) * n) >> 64);
}

/** Blocks of the data file that belong to one thread. */
static inline uint64_t
load_blocks(const struct load_thread *t)
{
	const struct perf_opts *opts = t->load->opts;

	return opts->file_size / opts->block / opts->queues;
}

#endif /* LOAD_H */
