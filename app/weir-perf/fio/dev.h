/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef DEV_H
#define DEV_H

/**
 * @file
 * A device that the jobs of one fio process share. A device accepts one front end, so the jobs have
 * one connection, and each that runs has a lane of it: a request queue and shared memory.
 *
 * Any thread may call these; a lane belongs to the thread of the job that took it.
 */

#include "fe_fuse.h"

#define DEV_ERROR_BYTES 256

/** What the jobs of a device need together. */
struct dev_need {
	const char *socket;
	unsigned int nb_jobs; /**< that run at a time */
	unsigned int queues; /**< to set up; 0: as many as nb_jobs, which must all have one */
	unsigned int depth; /**< requests in flight on a queue */
	uint32_t block; /**< largest payload of a request */
	uint64_t buffer_bytes; /**< of a job */
	unsigned int ring_size;
	unsigned int ring_flags; /**< FE_RING_* */
	unsigned int timeout_s; /**< for an answer */
};

struct dev;

/** What one job has of a device. */
struct lane {
	struct dev *dev;
	struct lane *next; /**< free lane behind this one */
	struct fe_queue *q;
	struct fe_buf buffers; /**< buffer_bytes, page-aligned */
	struct fe_buf spare; /**< block bytes, page-aligned */
};

struct dev {
	struct dev *next;
	struct dev_need need;
	unsigned int refs;
	int rc; /**< 0, or the errno of what ended it; atomic */
	char error[DEV_ERROR_BYTES]; /**< why, for the user; constant once rc is set */
	bool was_told; /**< of the error */
	struct fe_fs fs;
	unsigned int nb_lanes;
	struct lane *lanes;
	struct lane *free;
};

/**
 * A reference to the device at need->socket, which the first caller's need mounts; later ones that
 * want other queues, rings or another time make it fail. One that could not be
 * mounted, or that failed, has rc set and stays as it is: it is not tried again.
 * @return NULL: no memory.
 */
struct dev *dev_get(const struct dev_need *need);

/**
 * Gives a reference back; the last one unmounts.
 * @return 0, or dev_rc(): the device failed, now or earlier, and stays for dev_tell().
 */
int dev_put(struct dev *dev);

/** The device is of no use any more: nobody talks to it from here on. The first reason counts. */
void dev_fail(struct dev *dev, int rc);

/** 0, or -errno when the device failed. */
int dev_rc(const struct dev *dev);

/** The error text, the first time only; else NULL. */
const char *dev_tell(struct dev *dev);

/** A free lane, or NULL. */
struct lane *dev_take(struct dev *dev);

/** Takes a lane back, whose requests are all back. */
void dev_give(struct lane *lane);

#endif /* DEV_H */
