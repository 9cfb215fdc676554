/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_LOCK_H
#define WEIR_LOCK_H

/**
 * @file
 * The locks of one file system, for drivers that keep them: POSIX locks and those of flock(2), of all
 * guests, excluding each other; and, where the driver says how, held on a file of the host as well.
 *
 * One thread of its own per file system has them all. Workers pass it requests as messages and get
 * them back answered; nothing of it is on the way of a file that has no lock. The thread may wait for
 * the host: a folder that hangs holds up its own locks and nobody else's.
 *
 * A request that waits is granted in its turn, in the order of arrival among those that become
 * possible at once, as on Linux. It ends with -EAGAIN at the limit of a wait, and when it is detached or
 * its submitter asks (weir_fsdev_interrupt()); with -EINTR by WEIR_FSOP_ENDWAIT; with -EDEADLK where
 * POSIX locks would wait for each other in a circle (of 64 waiting requests at most), whichever
 * guests they are of: at once, or when another one is granted what closes the circle. What is held by
 * programs of the host is asked for again and again: after 1 ms at first, every 100 ms in the end; for
 * all that wait for it on a file in their order, and before who comes anew.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "weir_fsdev_driver.h"

struct weir_locks;

/** What the host keeps of one owner's locks on one node: the driver's; zero at first. */
struct weir_lock_host {
	uint64_t priv[2];
};

/** How locks are held on the host. Called by the service's thread, one at a time; may block. */
struct weir_locks_host {
	/**
	 * Sets lock, through file, or ends what it covers. Nobody of weir's is in its way, and what
	 * the owner has there already is split and merged as the caller does it.
	 * @return 0; -EAGAIN: a program of the host is in the way; -EBADF: host was made for a file
	 *   that cannot write, so that it is made anew; or another errno, never -EBUSY.
	 */
	int (*set)(void *arg, struct weir_lock_host *host, struct weir_node *node,
			const struct weir_file *file, const struct weir_lock *lock);
	/** What is in the way, or type F_UNLCK. @return 0 or -errno. */
	int (*get)(void *arg, struct weir_lock_host *host, struct weir_node *node,
			const struct weir_file *file, const struct weir_lock *lock,
			struct weir_lock *out);
	/** The owner has no lock on the node any more: whatever it still has on the host ends. */
	void (*end)(void *arg, struct weir_lock_host *host);
};

/** The most of locks that one file system may be made to keep. */
#define WEIR_LOCKS_MAX 65536

/** The create parameters of a driver with locks; of members locks, max_locks, lock_wait_ms of type. */
#define WEIR_LOCK_PARAMS(type)                                                                           \
	WEIR_PARAM(type, locks, WEIR_BOOL, .def = true,                                                  \
			.help = "keep locks here, so that they are everybody's, not in each guest"),     \
			WEIR_PARAM(type, max_locks, WEIR_U32, .def = 32768, .min = 16,                   \
					.max = WEIR_LOCKS_MAX,                                           \
					.help = "ranges of files that may be locked at a time, half of " \
						"them by one guest"),                                    \
			WEIR_PARAM(type, lock_wait_ms, WEIR_U32, .def = 60000,                           \
					.help = "how long a guest may wait for a lock, then it "         \
						"gets EAGAIN; 0: for ever")

struct weir_locks_cfg {
	const char *name; /**< of the file system; copied */
	uint32_t max_locks; /**< ranges in all, and no guest more than are left; else -ENOLCK */
	uint32_t wait_ms; /**< limit of a wait; 0: none */
	const struct weir_locks_host *host; /**< NULL: locks are among guests; borrowed */
	void *host_arg;
};

/** Creates the service. @return 0, -ENOMEM, or the errno of thread creation. */
int WEIR_ON_CONTROL weir_locks_create(const struct weir_locks_cfg *cfg, struct weir_locks **out);

/** Ends it. No request is under way; locks that are left are forgotten. NULL is allowed. */
void WEIR_ON_CONTROL weir_locks_destroy(struct weir_locks *locks);

/** Its part of a request's context; where a verb starts here, the first thing in it. */
struct weir_lock_req {
	struct weir_msg msg;
	struct weir_lock_req *next;
	void (*done)(struct weir_fsreq *req, int res);
	int res;
	uint32_t seen;
	uint64_t until_ns; /**< limit of the wait; 0: none */
	uint64_t retry_ns; /**< when to ask the host again; 0: it waits for a guest */
	uint32_t backoff_ms;
	TAILQ_ENTRY(weir_lock_req) waiting;
	LIST_ENTRY(weir_lock_req) of_owner;
};

/**
 * GETLK, SETLK and ENDWAIT, and what FLUSH and RELEASE mean for locks: has the service do it.
 * done is called on the channel's worker, unless there is nothing to do.
 * @return 0: a FLUSH or RELEASE of a file without locks; or -EINPROGRESS.
 */
int WEIR_ON_WORKER weir_locks_do(struct weir_locks *locks, struct weir_fsreq *req,
		void (*done)(struct weir_fsreq *req, int res));

/** The driver's detach for a request that the service has. */
void WEIR_ON_WORKER weir_locks_detach(struct weir_locks *locks, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req));

/** Some requests have been interrupted: the service looks which. Any thread. */
void weir_locks_interrupt(struct weir_locks *locks);

/** Locks held, and requests that wait for one. Any thread; a snapshot. */
void weir_locks_load(const struct weir_locks *locks, uint32_t *held, uint32_t *waiting);

#endif /* WEIR_LOCK_H */
