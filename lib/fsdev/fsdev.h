/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FSDEV_H
#define FSDEV_H

#include <stdint.h>
#include <sys/queue.h>

#include "weir_fsdev_driver.h"

#include "node.h"

/* Nodes of one file system at most: memory ends before. Only address space is taken for them. */
#define FSDEV_MAX_NODES (1u << 27)

/* Room for the text of a failed create. */
#define FSDEV_MESSAGE_SIZE 512

struct weir_channel {
	struct weir_fsdev *dev;
	unsigned int worker; /* index */

	/* The worker's. Written there, nb_requests, of those it has submitted, is read by control. */
	uint64_t nb_requests;
	struct weir_poller retry_poller;
	struct weir_fsreq *retry_head; /* chained by link */
	struct weir_fsreq **retry_tail;
	bool retry_polled;

	/* Handed back and forth: the worker's while a call is on its way, else control's. */
	struct weir_worker_call call;
	int rc;
	bool started;

	uint8_t priv[] __rte_cache_aligned;
};

enum fsdev_state {
	FSDEV_CREATING, /* unseen, but the name is taken */
	FSDEV_READY,
	FSDEV_DELETING,
};

typedef void (*fsdev_done_fn)(void *arg, struct weir_fsdev *dev, int rc, const char *message);

struct fsdev_user {
	char name[WEIR_FSDEV_NAME_MAX];
	TAILQ_ENTRY(fsdev_user) next;
};

struct weir_fsdev {
	/* Set before the device is seen, then constant: everybody reads them. */
	char name[WEIR_FSDEV_NAME_MAX];
	const struct weir_fsdev_driver *driver;
	struct weir_fsdev_limits limits;
	struct weir_fsdev_common common;
	struct fsdev_nodes *nodes;
	struct weir_node *root;
	void *params;
	void *priv;
	unsigned int nb_chans;
	struct weir_channel *chans[WEIR_MAX_WORKERS];

	/* Any thread sets poked and posts poke, control clears it. */
	struct weir_post poke __rte_cache_aligned;
	bool poked;

	/* Control's. */
	enum fsdev_state state;
	bool created; /* the driver has told how create ended */
	TAILQ_HEAD(, fsdev_user) users;
	unsigned int nb_users;
	unsigned int nb_calls; /* calls to workers that have not come back */
	struct weir_post step; /* what happens next, outside of the driver's stack */
	int numa_node; /* best for the channels, or WEIR_FSDEV_NO_NODE */
	int rc; /* how create ended */
	char message[FSDEV_MESSAGE_SIZE];
	fsdev_done_fn done;
	void *done_arg;
	TAILQ_ENTRY(weir_fsdev) next;
};

/* The drivers, in order of registration. */
TAILQ_HEAD(fsdev_drivers, weir_fsdev_driver);

/* Makes the RPC methods of a driver; panics where it cannot, as a registration does. */
void fsdev_rpc_register(const struct weir_fsdev_driver *driver);

/*
 * Creates a file system; done comes once with it, or with NULL, -errno and a text, possibly before
 * return. common, which is resolved, and params are copied.
 */
void WEIR_ON_CONTROL fsdev_create(const struct weir_fsdev_driver *driver, const char *name,
		const struct weir_fsdev_common *common, const void *params, fsdev_done_fn done,
		void *arg);

/* Deletes a file system; done comes once: rc 0 and dev gone, or -EBUSY and who uses it. */
void WEIR_ON_CONTROL fsdev_delete(struct weir_fsdev *dev, fsdev_done_fn done, void *arg);

/* The file system after dev, the first one for NULL, of those that are to be seen. */
struct weir_fsdev *WEIR_ON_CONTROL fsdev_next(const struct weir_fsdev *dev);

/* Ends the creation of those whose driver is still at it. */
void WEIR_ON_CONTROL fsdevs_cancel(void);

/* All there are, also those that come or go. */
unsigned int WEIR_ON_CONTROL fsdev_count(void);

/* Prepares a zeroed channel for a worker. */
void fsdev_channel_init(struct weir_channel *chan, struct weir_fsdev *dev, unsigned int worker);

/* common.c */
extern const struct weir_param fsdev_common_params[];
extern const unsigned int fsdev_common_nb_params;

/*
 * Fills in what was left open. Returns 0, or -EINVAL with the key of an option that contradicts
 * another, and why.
 */
int fsdev_common_resolve(struct weir_fsdev_common *common,
		const struct weir_fsdev_defaults *defaults, const char **key, const char **why);

#endif /* FSDEV_H */
