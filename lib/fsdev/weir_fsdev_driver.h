/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_FSDEV_DRIVER_H
#define WEIR_FSDEV_DRIVER_H

/**
 * @file
 * The contract that a file-system driver implements: one const table of operations, its create
 * parameters as data, and private bytes in every object. The library makes the RPC methods
 * fsdev_<driver>_create and fsdev_<driver>_delete out of it, and the driver's part of
 * fsdev_get_fsdevs.
 *
 * A verb op runs on the channel's worker and returns a result (0 or a count), a negative errno, or
 * -EINPROGRESS, in which case the driver calls weir_fsreq_complete() later, on the same worker,
 * exactly once. An absent verb is answered -ENOSYS, which a guest remembers until it mounts anew:
 * leave out only what the driver can never do. A driver that has write must have fsync and flush;
 * registration panics otherwise.
 */

#include <jansson.h>

#include "weir_fsdev.h"
#include "weir_param.h"

typedef int (*weir_fsop_fn)(struct weir_channel *chan, struct weir_fsreq *req);

struct weir_fsdev_ops {
	/**
	 * Control. params is the decoded argument struct of the driver's table and stays valid for
	 * the life of dev. Sets weir_fsdev_limits and the root node (weir_fsdev_set_root). Calls
	 * weir_fsdev_created(dev, rc, message) exactly once, now or later; until then dev is unseen.
	 * On failure it has undone its own work before: destroy is not called then.
	 */
	void (*create)(struct weir_fsdev *dev, const void *params);
	/**
	 * Control, at the end of the process, while create has not called weir_fsdev_created() yet:
	 * calls it now, with -ECANCELED, and abandons what hangs. NULL where create never waits.
	 */
	void (*cancel)(struct weir_fsdev *dev);
	/**
	 * Control; no device uses dev, all channels are gone, all nodes but the root were reported
	 * through node_fini. Frees what create made. Bounded: abandons helpers that hang.
	 */
	void (*destroy)(struct weir_fsdev *dev);
	/** Control, any time: the driver's members of module_specific. New reference or NULL. */
	json_t *(*info)(const struct weir_fsdev *dev);

	/** On each backend worker, after create; 0 or -errno (fsdev creation then fails). May make
	 * system calls; memory comes from control through chan_priv_size. */
	int (*chan_start)(struct weir_channel *chan);
	/** On the worker; no request is left. */
	void (*chan_stop)(struct weir_channel *chan);

	/** Control, after the grace period: releases what the node's private bytes name. Called
	 * once for every node whose init returned 0, also one that lost a race and was never seen;
	 * not for the root. May be NULL. Must not block: use a helper where a release could. */
	void (*node_fini)(struct weir_fsdev *dev, struct weir_node *node);

	/** The worker's fence, see weir_fsdev_detach(); NULL where no request is ever in progress. */
	void (*detach)(struct weir_channel *chan, struct weir_fsreq *req,
			void (*fenced)(struct weir_fsreq *req));

	/** Some requests have been interrupted, see weir_fsdev_interrupt(): those that wait for a
	 * lock end. Any worker; NULL where no request waits for one. */
	void (*interrupt)(struct weir_fsdev *dev);

	weir_fsop_fn op[WEIR_NB_FSOPS]; /**< [WEIR_FSOP_READ] = x_read */
};

/** What a driver prefers of the options that every file system has (struct weir_fsdev_common). */
struct weir_fsdev_defaults {
	uint32_t valid_ms; /**< names and attributes with cache=auto */
	bool close_to_open;
	bool readdirplus;
};

struct weir_fsdev_driver {
	const char *name; /**< "aio": module_name, and fsdev_aio_create */
	const char *help;
	const struct weir_fsdev_ops *ops;
	/** The create parameters beside "name" and those of struct weir_fsdev_common, which the
	 * library adds; of struct of params_size. */
	const struct weir_param *params;
	uint32_t nb_params;
	uint32_t params_size;
	struct weir_fsdev_defaults defaults;
	uint32_t priv_size; /**< per fsdev */
	uint32_t chan_priv_size; /**< per channel */
	uint32_t node_priv_size; /**< behind each struct weir_node */
	uint32_t file_priv_size; /**< behind each struct weir_file */
	TAILQ_ENTRY(weir_fsdev_driver) next;
};

void weir_fsdev_driver_register(struct weir_fsdev_driver *driver);

#define WEIR_FSDEV_REGISTER(driver)                                                                \
	RTE_INIT(driver##_register)                                                                \
	{                                                                                          \
		weir_fsdev_driver_register(&(driver));                                             \
	}

/** @name For create, on control
 * @{ */

/**
 * Ends create: rc 0, or -errno with a text that names what was wrong (fmt may be NULL). What follows
 * from it happens in a later round of the control loop, so dev stays valid for the caller.
 */
void WEIR_ON_CONTROL weir_fsdev_created(struct weir_fsdev *dev, int rc, const char *fmt, ...)
		__rte_format_printf(3, 4);
void WEIR_ON_CONTROL weir_fsdev_limits_set(
		struct weir_fsdev *dev, const struct weir_fsdev_limits *limits);
/**
 * The NUMA node that the channels are best on, such as that of a network interface; a device that
 * starts later sends its requests there where it has the choice. Also after create; not set:
 * WEIR_FSDEV_NO_NODE.
 */
void WEIR_ON_CONTROL weir_fsdev_node_set(struct weir_fsdev *dev, int node);
/** Makes the root node: key and type. @return the node, for its private bytes; NULL: no memory. */
struct weir_node *WEIR_ON_CONTROL weir_fsdev_root_create(
		struct weir_fsdev *dev, const uint64_t key[2], uint32_t type);

/** @}
 * @name Private bytes; the caller casts
 * @{ */
void *weir_fsdev_priv(const struct weir_fsdev *dev);
const void *weir_fsdev_params(const struct weir_fsdev *dev);

/** How long a guest may believe attributes and names: for struct weir_entry and its like. */
static inline uint64_t
weir_fsdev_attr_valid_ns(const struct weir_fsdev *dev)
{
	return weir_fsdev_common(dev)->attr_valid_ms * UINT64_C(1000000);
}

static inline uint64_t
weir_fsdev_entry_valid_ns(const struct weir_fsdev *dev)
{
	return weir_fsdev_common(dev)->entry_valid_ms * UINT64_C(1000000);
}

struct weir_fsdev *weir_channel_fsdev(const struct weir_channel *chan);
void *weir_channel_priv(const struct weir_channel *chan);
/** The worker that a channel belongs to. */
struct weir_worker *weir_channel_worker(const struct weir_channel *chan);
/** The channel of dev on worker i: for messages between channels. Where that is no backend worker
 * its private bytes are zero and it is never started. */
struct weir_channel *weir_fsdev_channel_at(const struct weir_fsdev *dev, unsigned int worker);

static inline void *
weir_node_priv(const struct weir_node *node)
{
	return (void *)((uintptr_t)node + sizeof(*node));
}

static inline void *
weir_file_priv(const struct weir_file *file)
{
	return (void *)((uintptr_t)file + sizeof(*file));
}

static inline void *
weir_fsreq_ctx(struct weir_fsreq *req)
{
	return req->ctx;
}

/** The request of a context; ctx is the first thing that the driver put there. */
static inline struct weir_fsreq *
weir_fsreq_of(void *ctx)
{
	return (struct weir_fsreq *)((uintptr_t)ctx - offsetof(struct weir_fsreq, ctx));
}

/** @}
 * @name Requests, on the channel's worker
 * @{ */

/** Ends a request whose verb returned -EINPROGRESS. */
void WEIR_ON_WORKER weir_fsreq_complete(struct weir_fsreq *req, int res);

static inline bool
weir_fsreq_detached(const struct weir_fsreq *req)
{
	return (req->flags & WEIR_FSREQ_DETACHED) != 0;
}

/** @}
 * @name Nodes, on workers
 * @{ */

/**
 * Finds the node of a key, or makes it. Lock-free; two workers that race get the same node.
 *
 * @param made  receives whether the node is new: its private bytes are zero and init, called before
 *   anybody else can find it, must fill them (arg is passed on). init returns 0 or -errno.
 * @return 0 with *out holding one reference; -EAGAIN: the table waits for control (the library has
 *   poked it; the request should be retried, see weir_fsreq_retry); -ENFILE: the table is full.
 */
int WEIR_ON_WORKER weir_node_make(struct weir_fsdev *dev, const uint64_t key[2], uint32_t type,
		int (*init)(struct weir_node *node, void *arg), void *arg, struct weir_node **out,
		bool *made);

/** The node of a key, with a reference; NULL where there is none. Lock-free. */
struct weir_node *WEIR_ON_WORKER weir_node_find(struct weir_fsdev *dev, const uint64_t key[2]);

/**
 * Runs fn(req) on this worker a little later (next round): for what found a table or pool empty.
 * With fn NULL the verb itself runs anew, unless the request was detached by then: it ends there.
 * Where fn is given and the request was detached, fn must not touch iov nor call emit.
 * Uses the request's ctx no more than the driver does: the link is the library's.
 */
void WEIR_ON_WORKER weir_fsreq_retry(struct weir_fsreq *req, void (*fn)(struct weir_fsreq *req));

/** @} */

#endif /* WEIR_FSDEV_DRIVER_H */
