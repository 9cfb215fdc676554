/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Life of a file system, on control:
 *
 *   create:  CREATING --ops->create--> channels start --> READY, seen by all
 *                     '-- error, or a channel that did not start: unwound, done(-errno)
 *   delete:  READY --> DELETING --> channels stop --> nodes cleared --> ops->destroy --> gone
 *
 * Each arrow is a message that came back, so nothing here waits.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_debug.h>
#include <rte_errno.h>

#include "weir_log.h"

#include "fsdev.h"

WEIR_LOG_TYPE(fsdev);

static struct fsdev_drivers fsdev_drivers = TAILQ_HEAD_INITIALIZER(fsdev_drivers);
static TAILQ_HEAD(, weir_fsdev) fsdevs = TAILQ_HEAD_INITIALIZER(fsdevs);

void
weir_fsdev_driver_register(struct weir_fsdev_driver *driver)
{
	const weir_fsop_fn *op = driver->ops->op;
	const struct weir_fsdev_driver *other;

	TAILQ_FOREACH(other, &fsdev_drivers, next) {
		if (strcmp(other->name, driver->name) == 0)
			rte_panic("file system driver %s is registered twice\n", driver->name);
	}
	/* A guest takes the missing answer for success ever after. */
	if (op[WEIR_FSOP_WRITE] != NULL &&
			(op[WEIR_FSOP_FSYNC] == NULL || op[WEIR_FSOP_FLUSH] == NULL))
		rte_panic("file system driver %s writes but cannot sync\n", driver->name);

	TAILQ_INSERT_TAIL(&fsdev_drivers, driver, next);
	fsdev_rpc_register(driver);
}

static void *
zalloc_aligned(size_t size)
{
	void *p;

	size = RTE_ALIGN_CEIL(RTE_MAX(size, 1ul), RTE_CACHE_LINE_SIZE);
	p = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	if (p != NULL)
		memset(p, 0, size);
	return p;
}

static struct weir_fsdev *
fsdev_by_name(const char *name)
{
	struct weir_fsdev *dev;

	TAILQ_FOREACH(dev, &fsdevs, next) {
		if (strcmp(dev->name, name) == 0)
			return dev;
	}
	return NULL;
}

struct weir_fsdev *WEIR_ON_CONTROL
weir_fsdev_find(const char *name)
{
	struct weir_fsdev *dev = fsdev_by_name(name);

	return dev != NULL && dev->state == FSDEV_READY ? dev : NULL;
}

struct weir_fsdev *WEIR_ON_CONTROL
fsdev_next(const struct weir_fsdev *dev)
{
	struct weir_fsdev *next = dev == NULL ? TAILQ_FIRST(&fsdevs) : TAILQ_NEXT(dev, next);

	while (next != NULL && next->state != FSDEV_READY)
		next = TAILQ_NEXT(next, next);
	return next;
}

void WEIR_ON_CONTROL
fsdevs_cancel(void)
{
	struct weir_fsdev *dev;

	TAILQ_FOREACH(dev, &fsdevs, next) {
		if (dev->state == FSDEV_CREATING && !dev->created &&
				dev->driver->ops->cancel != NULL)
			dev->driver->ops->cancel(dev);
	}
}

unsigned int WEIR_ON_CONTROL
fsdev_count(void)
{
	const struct weir_fsdev *dev;
	unsigned int nb = 0;

	TAILQ_FOREACH(dev, &fsdevs, next)
		nb++;
	return nb;
}

/* Memory of a file system, from outside in; NULL where an allocation had failed. */
static void
fsdev_free(struct weir_fsdev *dev)
{
	unsigned int i;

	for (i = 0; i < dev->nb_chans; i++)
		free(dev->chans[i]);
	fsdev_nodes_destroy(dev->nodes);
	free(dev->priv);
	free(dev->params);
	free(dev);
}

/* The last step of all: the answer goes out when the name is free again. */
static void
fsdev_end(struct weir_fsdev *dev)
{
	fsdev_done_fn done = dev->done;
	void *arg = dev->done_arg;
	char message[FSDEV_MESSAGE_SIZE];
	int rc = dev->rc;

	memcpy(message, dev->message, sizeof(message));
	TAILQ_REMOVE(&fsdevs, dev, next);
	fsdev_free(dev);
	done(arg, NULL, rc, message);
}

static void
fsdev_fail(struct weir_fsdev *dev, int rc, const char *fmt, ...)
{
	va_list ap;

	dev->rc = rc;
	va_start(ap, fmt);
	vsnprintf(dev->message, sizeof(dev->message), fmt, ap);
	va_end(ap);
}

static void
fsdev_step(struct weir_fsdev *dev, void (*fn)(struct weir_post *post))
{
	dev->step.fn = fn;
	weir_loop_post(&dev->step);
}

/* Nodes by the thousand take a while: one batch per round of the loop. */
static void
fsdev_step_clear(struct weir_post *post)
{
	struct weir_fsdev *dev = container_of(post, struct weir_fsdev, step);

	weir_role_assume_control();
	if (fsdev_nodes_clear(dev->nodes, dev->root)) {
		fsdev_step(dev, fsdev_step_clear);
		return;
	}
	dev->driver->ops->destroy(dev);
	if (dev->rc == 0)
		weir_log(fsdev, NOTICE, "%s: deleted", dev->name);
	fsdev_end(dev);
}

static void WEIR_ON_WORKER
channel_stop(struct weir_worker_call *call)
{
	struct weir_channel *chan = container_of(call, struct weir_channel, call);

	if (chan->started && chan->dev->driver->ops->chan_stop != NULL)
		chan->dev->driver->ops->chan_stop(chan);
	chan->started = false;
}

static void WEIR_ON_CONTROL
channel_stopped(struct weir_worker_call *call)
{
	struct weir_fsdev *dev = container_of(call, struct weir_channel, call)->dev;

	if (--dev->nb_calls > 0)
		return;
	/*
	 * Every worker has sent its last poke before this answer of its own, so none is under way
	 * any more. A device's users are gone; what is left of its nodes they have leaked.
	 */
	if (fsdev_nodes_live(dev->nodes) > 1)
		weir_log(fsdev, ERR, "%s: deleted with %u nodes in use", dev->name,
				fsdev_nodes_live(dev->nodes) - 1);
	fsdev_step(dev, fsdev_step_clear);
}

static void
fsdev_channels_call(struct weir_fsdev *dev, void (*fn)(struct weir_worker_call *call),
		void (*done)(struct weir_worker_call *call))
{
	struct weir_channel *chan;
	unsigned int i;

	dev->nb_calls = dev->nb_chans;
	for (i = 0; i < dev->nb_chans; i++) {
		chan = dev->chans[i];
		chan->call = (struct weir_worker_call){ .fn = fn, .done = done };
		weir_worker_call(weir_worker_at(i), &chan->call);
	}
}

static void WEIR_ON_WORKER
channel_start(struct weir_worker_call *call)
{
	struct weir_channel *chan = container_of(call, struct weir_channel, call);

	/* A worker that is no backend has the counts of its requests here, and nothing else. */
	if (!weir_worker_is_backend(weir_worker_self()))
		return;
	if (chan->dev->driver->ops->chan_start != NULL)
		chan->rc = chan->dev->driver->ops->chan_start(chan);
	chan->started = chan->rc == 0;
}

static void WEIR_ON_CONTROL
channel_started(struct weir_worker_call *call)
{
	struct weir_channel *chan = container_of(call, struct weir_channel, call);
	struct weir_fsdev *dev = chan->dev;

	if (chan->rc < 0 && dev->rc == 0)
		fsdev_fail(dev, chan->rc, "cannot start %s on lcore %u: %s", dev->name,
				weir_worker_lcore(weir_worker_at(chan->worker)),
				rte_strerror(-chan->rc));
	if (--dev->nb_calls > 0)
		return;
	if (dev->rc < 0) {
		fsdev_channels_call(dev, channel_stop, channel_stopped);
		return;
	}
	dev->state = FSDEV_READY;
	weir_log(fsdev, NOTICE, "%s: created by driver %s", dev->name, dev->driver->name);
	dev->done(dev->done_arg, dev, 0, "");
}

static void
fsdev_step_created(struct weir_post *post)
{
	struct weir_fsdev *dev = container_of(post, struct weir_fsdev, step);

	weir_role_assume_control();
	if (dev->rc < 0)
		fsdev_end(dev);
	else
		fsdev_channels_call(dev, channel_start, channel_started);
}

void WEIR_ON_CONTROL
weir_fsdev_created(struct weir_fsdev *dev, int rc, const char *fmt, ...)
{
	va_list ap;

	RTE_ASSERT(dev->state == FSDEV_CREATING && (rc < 0 || dev->root != NULL));

	dev->created = true;
	if (rc < 0) {
		fsdev_fail(dev, rc, "cannot create %s: %s", dev->name, rte_strerror(-rc));
		if (fmt != NULL) {
			va_start(ap, fmt);
			vsnprintf(dev->message, sizeof(dev->message), fmt, ap);
			va_end(ap);
		}
	}
	fsdev_step(dev, fsdev_step_created);
}

static void
fsdev_poked(struct weir_post *post)
{
	struct weir_fsdev *dev = container_of(post, struct weir_fsdev, poke);

	__atomic_store_n(&dev->poked, false, __ATOMIC_RELEASE);
	fsdev_nodes_maintain(dev->nodes);
}

static void
fsdev_poke(void *arg)
{
	struct weir_fsdev *dev = arg;

	/* Acquire pairs with the release above: the post is ours again. */
	if (!__atomic_exchange_n(&dev->poked, true, __ATOMIC_ACQUIRE))
		weir_loop_post(&dev->poke);
}

static void
fsdev_node_fini(void *arg, struct weir_node *node)
{
	struct weir_fsdev *dev = arg;

	if (dev->driver->ops->node_fini != NULL)
		dev->driver->ops->node_fini(dev, node);
}

static int
fsdev_alloc_channels(struct weir_fsdev *dev)
{
	struct weir_channel *chan;
	unsigned int i;

	for (i = 0; i < weir_workers_count(); i++) {
		chan = zalloc_aligned(sizeof(*chan) + dev->driver->chan_priv_size);
		if (chan == NULL)
			return -ENOMEM;
		fsdev_channel_init(chan, dev, i);
		dev->chans[dev->nb_chans++] = chan;
	}
	return dev->nb_chans > 0 ? 0 : -ENODEV;
}

static int
fsdev_alloc(const struct weir_fsdev_driver *driver, const char *name, const void *params,
		struct weir_fsdev **out)
{
	struct weir_fsdev *dev = zalloc_aligned(sizeof(*dev));
	const struct fsdev_nodes_cfg nodes_cfg = {
		.name = name,
		.priv_size = driver->node_priv_size,
		.max_nodes = FSDEV_MAX_NODES,
		.qsbr = weir_workers_qsbr(),
		.fini = fsdev_node_fini,
		.poke = fsdev_poke,
		.arg = dev,
	};
	int rc;

	if (dev == NULL)
		return -ENOMEM;
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->driver = driver;
	dev->poke.fn = fsdev_poked;
	TAILQ_INIT(&dev->users);
	dev->priv = zalloc_aligned(driver->priv_size);
	dev->params = zalloc_aligned(driver->params_size);
	rc = -ENOMEM;
	if (dev->priv == NULL || dev->params == NULL)
		goto free_dev;
	if (driver->params_size > 0)
		memcpy(dev->params, params, driver->params_size);
	rc = fsdev_alloc_channels(dev);
	if (rc < 0)
		goto free_dev;
	rc = fsdev_nodes_create(&nodes_cfg, &dev->nodes);
	if (rc < 0)
		goto free_dev;
	*out = dev;
	return 0;

free_dev:
	fsdev_free(dev);
	return rc;
}

void WEIR_ON_CONTROL
fsdev_create(const struct weir_fsdev_driver *driver, const char *name,
		const struct weir_fsdev_common *common, const void *params, fsdev_done_fn done,
		void *arg)
{
	char message[FSDEV_MESSAGE_SIZE];
	struct weir_fsdev *dev;
	int rc;

	if (fsdev_by_name(name) != NULL) {
		snprintf(message, sizeof(message), "File exists: %s", name);
		done(arg, NULL, -EEXIST, message);
		return;
	}
	rc = fsdev_alloc(driver, name, params, &dev);
	if (rc < 0) {
		snprintf(message, sizeof(message), "cannot create %s: %s", name, rte_strerror(-rc));
		done(arg, NULL, rc, message);
		return;
	}
	dev->common = *common;
	dev->numa_node = WEIR_FSDEV_NO_NODE;
	dev->done = done;
	dev->done_arg = arg;
	TAILQ_INSERT_TAIL(&fsdevs, dev, next);
	driver->ops->create(dev, dev->params);
}

/* Requests of all workers that are not answered, detached ones included. */
static uint64_t
fsdev_requests(const struct weir_fsdev *dev)
{
	uint64_t nb = 0;
	unsigned int i;

	/* Acquire pairs with the release in channel_count(). */
	for (i = 0; i < dev->nb_chans; i++)
		nb += __atomic_load_n(&dev->chans[i]->nb_requests, __ATOMIC_ACQUIRE);
	return nb;
}

void WEIR_ON_CONTROL
fsdev_delete(struct weir_fsdev *dev, fsdev_done_fn done, void *arg)
{
	const struct fsdev_user *user = TAILQ_FIRST(&dev->users);
	char message[FSDEV_MESSAGE_SIZE + WEIR_FSDEV_NAME_MAX];
	uint64_t nb = fsdev_requests(dev);

	if (dev->nb_users > 0 || nb > 0) {
		if (dev->nb_users > 0)
			snprintf(message, sizeof(message),
					"Device or resource busy: %s is used by %s", dev->name,
					user != NULL ? user->name : "a device");
		else
			snprintf(message, sizeof(message),
					"Device or resource busy: %s has not answered %" PRIu64
					" requests",
					dev->name, nb);
		done(arg, dev, -EBUSY, message);
		return;
	}
	dev->state = FSDEV_DELETING;
	dev->rc = 0;
	dev->done = done;
	dev->done_arg = arg;
	fsdev_channels_call(dev, channel_stop, channel_stopped);
}

void WEIR_ON_CONTROL
weir_fsdev_get(struct weir_fsdev *dev, const char *user)
{
	struct fsdev_user *entry = calloc(1, sizeof(*entry));

	dev->nb_users++;
	/* Without memory for the name the use still counts, only the message is poorer. */
	if (entry == NULL)
		return;
	snprintf(entry->name, sizeof(entry->name), "%s", user);
	TAILQ_INSERT_TAIL(&dev->users, entry, next);
}

void WEIR_ON_CONTROL
weir_fsdev_put(struct weir_fsdev *dev, const char *user)
{
	struct fsdev_user *entry;

	RTE_ASSERT(dev->nb_users > 0);
	dev->nb_users--;
	TAILQ_FOREACH(entry, &dev->users, next) {
		if (strcmp(entry->name, user) == 0) {
			TAILQ_REMOVE(&dev->users, entry, next);
			free(entry);
			return;
		}
	}
}

bool WEIR_ON_CONTROL
weir_fsdevs_maintain(void)
{
	struct weir_fsdev *dev;
	bool more = false;

	for (dev = fsdev_next(NULL); dev != NULL; dev = fsdev_next(dev))
		more |= fsdev_nodes_maintain(dev->nodes);
	return more;
}
