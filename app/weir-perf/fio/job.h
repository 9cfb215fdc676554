/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef JOB_H
#define JOB_H

/**
 * @file
 * The requests of one fio job in flight. Units are fio's io_u, which nobody here looks into. The
 * job's thread alone uses it.
 */

#include "file.h"

struct io_u;

/** One unit and its request. */
struct slot {
	struct io_u *unit;
	struct fe_req *req;
	bool is_flying; /**< submitted, and not back */
};

struct job {
	struct dev *dev;
	struct lane *lane; /**< NULL before job_start() */
	struct file *files;
	unsigned int nb_slots;
	unsigned int max_slots;
	struct slot *slots;
	unsigned int nb_flying;
	struct io_u **fresh; /**< submitted, and not shown to the device yet */
	unsigned int nb_fresh;
	struct slot **landed; /**< came back, or failed, and not handed back */
	unsigned int nb_landed;
	struct io_u **events; /**< what fio was told of last */
};

/** For depth units in flight; takes the reference to dev. @return NULL: no memory. */
struct job *job_create(struct dev *dev, unsigned int depth);

/** Forgets the files, gives lane and device back. @return as dev_put(). */
int job_destroy(struct job *job);

/** Takes a lane for as long as the job lives. @return 0, -EBUSY: none is free, or dev_rc(). */
int job_start(struct job *job);

/** A slot with a request of its own, after job_start(). @return NULL: more than depth. */
struct slot *job_slot(struct job *job, struct io_u *unit);

/** Lends the request of a slot len bytes in the lane's buffers. @return 0, -EFAULT: not in them. */
int job_lend(struct job *job, struct slot *slot, const void *data, uint64_t len);

/** Submits the request of a slot. @return 0, -EAGAIN: some must come back first, -errno. */
int job_submit(struct job *job, struct slot *slot);

/**
 * Hands back a slot whose request came back or, with req->error set, failed with the device.
 * @return NULL: none is there.
 */
struct slot *job_reap(struct job *job);

/** Waits until there is another one. A device that does not answer fails, and all slots with it. */
void job_wait(struct job *job);

/**
 * To be called when fe_req_call() was used on the lane: keeps what came back meanwhile. When the
 * call's own request did not come back, the device has failed.
 */
void job_called(struct job *job, struct lane *lane, int rc);

#endif /* JOB_H */
