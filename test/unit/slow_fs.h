/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef SLOW_FS_H
#define SLOW_FS_H

/* A driver that answers at once, or in its own time. */

#include <stdatomic.h>

#include "weir_fsdev_driver.h"

/*
 * A READ ends after in.io.off rounds of its channel's worker, or when let go for UINT64_MAX; a WRITE
 * after in.io.off tries, each in a round of its own.
 */
struct slow_fs {
	_Atomic unsigned int runs[4]; /* verbs begun, by worker */
	_Atomic unsigned int detaches;
	_Atomic bool let_go; /* those that wait to be told may end */
	_Atomic bool fence_late; /* a detached request is fenced when it ends */
};

extern struct slow_fs slow;

/*
 * What is in guest memory, at req->name: written while the driver may, on the channel's worker.
 */
struct guest {
	unsigned int touched;
};

#endif /* SLOW_FS_H */
