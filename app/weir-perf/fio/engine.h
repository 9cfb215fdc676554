/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef ENGINE_H
#define ENGINE_H

/**
 * @file
 * The parts of the engine that see fio's structures. Functions with a thread_data belong to the
 * thread that fio calls them from, which is the job's own once its I/O has begun.
 */

#include "fe_verbs.h"
#include "job.h"

struct fio_file;
struct ioengine_ops;
struct thread_data;

/** The engine's options in a job file; fio fills it. */
struct engine_opts {
	void *td; /**< fio's */
	char *socket;
	unsigned int queues;
	unsigned int ring_size;
	unsigned int packed;
	unsigned int event;
	unsigned int no_indirect;
	unsigned int no_event_idx;
	unsigned int answer_timeout; /**< seconds */
};

extern struct ioengine_ops ioengine;

/**
 * What the engine keeps for a job; made, and its device mounted, when it is asked for first.
 * @return NULL: it has been said why.
 */
struct job *engine_job(struct thread_data *td);

/** Says why a device failed, once. */
void engine_tell(struct dev *dev);

/* For fio's hooks of these names; 0 or what fio takes for an error. */
int engine_file_size(struct thread_data *td, struct fio_file *f);
int engine_file_prepare(struct thread_data *td, struct fio_file *f);
int engine_file_open(struct thread_data *td, struct fio_file *f);
int engine_file_close(struct thread_data *td, struct fio_file *f);
int engine_file_unlink(struct thread_data *td, struct fio_file *f);

#endif /* ENGINE_H */
