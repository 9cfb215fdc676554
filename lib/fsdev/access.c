/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What users and drivers see of a file system, and of its nodes through it. */

#include <errno.h>

#include <rte_common.h>

#include "fsdev.h"

int WEIR_ON_CONTROL
weir_fsdev_node(const struct weir_fsdev *dev)
{
	return dev->numa_node;
}

void WEIR_ON_CONTROL
weir_fsdev_node_set(struct weir_fsdev *dev, int node)
{
	dev->numa_node = node;
}

const char *
weir_fsdev_name(const struct weir_fsdev *dev)
{
	return dev->name;
}

bool
weir_fsdev_has(const struct weir_fsdev *dev, enum weir_fsop op)
{
	return (unsigned int)op < WEIR_NB_FSOPS && dev->driver->ops->op[op] != NULL;
}

const struct weir_fsdev_limits *
weir_fsdev_limits(const struct weir_fsdev *dev)
{
	return &dev->limits;
}

const struct weir_fsdev_common *
weir_fsdev_common(const struct weir_fsdev *dev)
{
	return &dev->common;
}

uint32_t
weir_fsdev_file_size(const struct weir_fsdev *dev)
{
	return sizeof(struct weir_file) + dev->driver->file_priv_size;
}

void WEIR_ON_CONTROL
weir_fsdev_limits_set(struct weir_fsdev *dev, const struct weir_fsdev_limits *limits)
{
	dev->limits = *limits;
}

void *
weir_fsdev_priv(const struct weir_fsdev *dev)
{
	return dev->priv;
}

const void *
weir_fsdev_params(const struct weir_fsdev *dev)
{
	return dev->params;
}

struct weir_fsdev *
weir_channel_fsdev(const struct weir_channel *chan)
{
	return chan->dev;
}

void *
weir_channel_priv(const struct weir_channel *chan)
{
	return (void *)(uintptr_t)chan->priv;
}

struct weir_worker *
weir_channel_worker(const struct weir_channel *chan)
{
	return weir_worker_at(chan->worker);
}

struct weir_channel *
weir_fsdev_channel_at(const struct weir_fsdev *dev, unsigned int worker)
{
	return dev->chans[worker];
}

struct weir_node *WEIR_ON_CONTROL
weir_fsdev_root_create(struct weir_fsdev *dev, const uint64_t key[2], uint32_t type)
{
	struct weir_node *node;
	bool made;

	/* No worker knows the file system yet, so control may make a node itself. */
	if (fsdev_nodes_make(dev->nodes, key, type, NULL, NULL, &node, &made) < 0)
		return NULL;
	dev->root = node;
	return node;
}

struct weir_node *
weir_fsdev_root(struct weir_fsdev *dev)
{
	return dev->root;
}

int WEIR_ON_WORKER
weir_node_make(struct weir_fsdev *dev, const uint64_t key[2], uint32_t type,
		int (*init)(struct weir_node *node, void *arg), void *arg, struct weir_node **out,
		bool *made)
{
	return fsdev_nodes_make(dev->nodes, key, type, init, arg, out, made);
}

struct weir_node *WEIR_ON_WORKER
weir_node_find(struct weir_fsdev *dev, const uint64_t key[2])
{
	return fsdev_nodes_find(dev->nodes, key);
}

uint64_t
weir_node_id(const struct weir_fsdev *dev, const struct weir_node *node)
{
	return fsdev_nodes_id(dev->nodes, node);
}

struct weir_node *
weir_node_get(struct weir_fsdev *dev, uint64_t id)
{
	return fsdev_nodes_get(dev->nodes, id);
}

struct weir_node *
weir_node_at(const struct weir_fsdev *dev, uint64_t id)
{
	return fsdev_nodes_at(dev->nodes, id);
}

void
weir_node_ref(struct weir_fsdev *dev, struct weir_node *node)
{
	fsdev_nodes_ref(dev->nodes, node);
}

void
weir_node_put(struct weir_fsdev *dev, struct weir_node *node)
{
	fsdev_nodes_put(dev->nodes, node);
}

uint32_t
weir_fsdev_nodes(const struct weir_fsdev *dev)
{
	return fsdev_nodes_live(dev->nodes);
}

uint32_t
weir_fsdev_max_nodes(const struct weir_fsdev *dev)
{
	return FSDEV_MAX_NODES;
}
