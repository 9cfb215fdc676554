/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FSDEV_NODE_H
#define FSDEV_NODE_H

/*
 * The nodes of one file system: a handle table and a key index over it. Knows nothing of channels,
 * drivers or the control loop, so that a test can drive it with threads of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_rcu_qsbr.h>

#include "weir_fsdev.h"

struct fsdev_nodes;

struct fsdev_nodes_cfg {
	const char *name;
	uint32_t priv_size; /* behind each node */
	uint32_t max_nodes;
	struct rte_rcu_qsbr *qsbr; /* every thread that calls fsdev_nodes_make() is registered */
	void (*fini)(void *arg, struct weir_node *node); /* on control; may be NULL */
	void (*poke)(void *arg); /* any thread: maintenance is due */
	void *arg;
};

/* Control. 0, -ENOMEM or an errno of the table. */
int fsdev_nodes_create(const struct fsdev_nodes_cfg *cfg, struct fsdev_nodes **out);
/* Control, when nobody uses the nodes and fsdev_nodes_clear() has returned false. */
void fsdev_nodes_destroy(struct fsdev_nodes *nodes);

/* As weir_node_make(). */
int fsdev_nodes_make(struct fsdev_nodes *nodes, const uint64_t key[2], uint32_t type,
		int (*init)(struct weir_node *node, void *arg), void *arg, struct weir_node **out,
		bool *made);

/* As weir_node_find(). */
struct weir_node *fsdev_nodes_find(struct fsdev_nodes *nodes, const uint64_t key[2]);

/* As weir_node_id(), weir_node_get(), weir_node_at(), weir_node_ref() and weir_node_put(). */
uint64_t fsdev_nodes_id(const struct fsdev_nodes *nodes, const struct weir_node *node);
struct weir_node *fsdev_nodes_get(struct fsdev_nodes *nodes, uint64_t id);
struct weir_node *fsdev_nodes_at(const struct fsdev_nodes *nodes, uint64_t id);
void fsdev_nodes_ref(struct fsdev_nodes *nodes, struct weir_node *node);
void fsdev_nodes_put(struct fsdev_nodes *nodes, struct weir_node *node);

/*
 * Control: one bounded step of growing the table and reclaiming dead nodes. Returns whether there
 * are so many of them that the next step should follow at once.
 */
bool fsdev_nodes_maintain(struct fsdev_nodes *nodes);

/*
 * Control, at the end, when no worker uses the nodes: one bounded step of reporting all that are
 * left but keep through fini. Returns whether there is more to do.
 */
bool fsdev_nodes_clear(struct fsdev_nodes *nodes, const struct weir_node *keep);

/* Nodes with a reference; exact when nobody changes them. */
uint32_t fsdev_nodes_live(const struct fsdev_nodes *nodes);

#endif /* FSDEV_NODE_H */
