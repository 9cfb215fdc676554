/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The key index is a hash of singly linked chains of record indexes. Workers insert and walk,
 * control alone unlinks, and nobody takes a lock. Why that is safe:
 *
 * - A node is complete (key, private bytes, type) before the compare-and-swap that publishes it at
 *   the head of its chain; a walker loads the head with acquire and therefore sees it complete. key
 *   never changes while the node is in the index.
 * - Insertion writes the bucket's head and the new node's own next, nothing else. So once a node is
 *   published only control writes its next, and a predecessor inside a chain cannot change under
 *   the unlinker. At the head the unlinker competes with inserters, by compare-and-swap: if it
 *   loses, its node has got a predecessor and it walks there.
 * - A walker (a worker in one round of its loop) may stand on a node that is unlinked meanwhile. The
 *   node keeps its next and is given back only when every worker has passed a quiescent state after
 *   the unlinking, that is when this walker is done. So all links it can follow lead to nodes that
 *   are not recycled, and the chain behind an unlinked node still holds all nodes that were behind
 *   it when the walk began and are still alive.
 * - For the same reason the inserter's compare-and-swap has no ABA problem: the head it compares
 *   with is not recycled while it runs, so if the head is the same, whatever was in front of it has
 *   been unlinked, hence was dead, and nothing with our key can live in front of it. If the head is
 *   another one, the chain is searched again. Two workers that race for a key thus get one node.
 * - A node dies when its last reference goes. The table hands out no reference to a dead record, so
 *   it does not come back; a new node of the same key may stand beside it in the chain until control
 *   has unlinked it.
 * - A dead node goes onto a list that everybody pushes to and control alone takes, whole, with one
 *   exchange: no ABA there either.
 *
 * A record that is being made can be reached by a guessed handle. Its type is 0 until it is
 * complete, and such nodes are not given out.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_common.h>
#include <rte_random.h>

#include "weir_table.h"

#include "node.h"

/* Dead nodes that one call of maintain or clear deals with: a few milliseconds of control's time. */
#define NODES_BATCH 8192
/*
 * Keys are spread over all buckets, so their pages come with the first nodes: 32 MiB. Chains stay
 * short up to some ten million nodes and are walked, not quite so fast, beyond.
 */
#define NODES_MAX_BUCKETS (1u << 23)

struct fsdev_nodes {
	struct weir_table *table;
	uint32_t *buckets; /* index + 1 of the first node, 0 for none */
	uint32_t bucket_mask;
	uint64_t seed;
	size_t map_size;
	struct rte_rcu_qsbr *qsbr;
	void (*fini)(void *arg, struct weir_node *node);
	void (*poke)(void *arg);
	void *arg;

	/* Written by everybody. */
	uint32_t dead __rte_cache_aligned; /* list through weir_node.dead, index + 1 */
	uint32_t nb_dead; /* in this list and in control's */

	/* Control's. */
	uint32_t taken __rte_cache_aligned; /* off the dead list, still in the index */
	uint32_t waiting; /* out of the index, for the grace period to end */
	uint64_t token; /* of that grace period */
	uint32_t clear_index; /* where clear goes on among the living */
};

static struct weir_node *
nodes_at(const struct fsdev_nodes *nodes, uint32_t link)
{
	return weir_table_at(nodes->table, link - 1);
}

static uint32_t
nodes_link(const struct fsdev_nodes *nodes, const struct weir_node *node)
{
	return weir_table_index(weir_table_handle(nodes->table, node)) + 1;
}

/* The seed keeps a guest that can choose keys from choosing collisions. */
static uint32_t *
nodes_bucket(const struct fsdev_nodes *nodes, const uint64_t key[2])
{
	uint64_t h = nodes->seed;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		h = (h ^ key[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
		h *= UINT64_C(0xd6e8feb86659fd93);
		h ^= h >> 29;
	}
	return &nodes->buckets[h & nodes->bucket_mask];
}

int
fsdev_nodes_create(const struct fsdev_nodes_cfg *cfg, struct fsdev_nodes **out)
{
	char name[200];
	const struct weir_table_cfg table_cfg = {
		.name = name,
		.rec_size = sizeof(struct weir_node) + cfg->priv_size,
		.max_recs = cfg->max_nodes,
	};
	struct fsdev_nodes *nodes;
	uint32_t nb_buckets;
	int rc;

	/* The name of a memory file is for those who look, and has a limit below ours. */
	snprintf(name, sizeof(name), "weir_nodes_%.180s", cfg->name);
	nodes = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*nodes));
	if (nodes == NULL)
		return -ENOMEM;
	nb_buckets = rte_align32pow2(RTE_MAX(cfg->max_nodes / 2, 1u));
	*nodes = (struct fsdev_nodes){
		.bucket_mask = RTE_MIN(nb_buckets, NODES_MAX_BUCKETS) - 1,
		.seed = rte_rand(),
		.qsbr = cfg->qsbr,
		.fini = cfg->fini,
		.poke = cfg->poke,
		.arg = cfg->arg,
	};
	/* Address space for the largest table; pages come as buckets are used. */
	nodes->map_size = (nodes->bucket_mask + 1ul) * sizeof(*nodes->buckets);
	nodes->buckets = mmap(NULL, nodes->map_size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (nodes->buckets == MAP_FAILED) {
		rc = -errno;
		goto free_nodes;
	}
	rc = weir_table_create(&table_cfg, &nodes->table);
	if (rc < 0)
		goto unmap;
	*out = nodes;
	return 0;

unmap:
	munmap(nodes->buckets, nodes->map_size);
free_nodes:
	free(nodes);
	return rc;
}

void
fsdev_nodes_destroy(struct fsdev_nodes *nodes)
{
	if (nodes == NULL)
		return;
	weir_table_destroy(nodes->table);
	munmap(nodes->buckets, nodes->map_size);
	free(nodes);
}

uint64_t
fsdev_nodes_id(const struct fsdev_nodes *nodes, const struct weir_node *node)
{
	return weir_table_handle(nodes->table, node);
}

struct weir_node *
fsdev_nodes_get(struct fsdev_nodes *nodes, uint64_t id)
{
	struct weir_node *node = weir_table_get(nodes->table, id);

	if (node == NULL)
		return NULL;
	/* Acquire pairs with the release in fsdev_nodes_make(). */
	if (__atomic_load_n(&node->type, __ATOMIC_ACQUIRE) == 0) {
		fsdev_nodes_put(nodes, node);
		return NULL;
	}
	return node;
}

struct weir_node *
fsdev_nodes_at(const struct fsdev_nodes *nodes, uint64_t id)
{
	return weir_table_at(nodes->table, weir_table_index(id));
}

void
fsdev_nodes_ref(struct fsdev_nodes *nodes, struct weir_node *node)
{
	weir_table_ref(nodes->table, node);
}

void
fsdev_nodes_put(struct fsdev_nodes *nodes, struct weir_node *node)
{
	uint32_t link, head;

	if (!weir_table_put(nodes->table, node))
		return;

	__atomic_fetch_add(&nodes->nb_dead, 1, __ATOMIC_RELAXED);
	link = nodes_link(nodes, node);
	head = __atomic_load_n(&nodes->dead, __ATOMIC_RELAXED);
	do {
		node->dead = head;
		/* Release pairs with the acquire of the exchange in nodes_take_dead(). */
	} while (!__atomic_compare_exchange_n(
			&nodes->dead, &head, link, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/* The living node of a key in a chain, with a reference. */
static struct weir_node *
nodes_search(struct fsdev_nodes *nodes, uint32_t link, const uint64_t key[2])
{
	struct weir_node *node;

	while (link != 0) {
		node = nodes_at(nodes, link);
		if (node->key[0] == key[0] && node->key[1] == key[1] &&
				weir_table_get_index(nodes->table, link - 1) != NULL)
			return node;
		link = __atomic_load_n(&node->next, __ATOMIC_RELAXED);
	}
	return NULL;
}

struct weir_node *
fsdev_nodes_find(struct fsdev_nodes *nodes, const uint64_t key[2])
{
	/* Acquire shows the whole node, as in fsdev_nodes_make(). */
	return nodes_search(
			nodes, __atomic_load_n(nodes_bucket(nodes, key), __ATOMIC_ACQUIRE), key);
}

/* A complete record of our own, in no chain yet. */
static int
nodes_alloc(struct fsdev_nodes *nodes, const uint64_t key[2], uint32_t type,
		int (*init)(struct weir_node *node, void *arg), void *arg, struct weir_node **out)
{
	struct weir_node *node;
	uint64_t handle;
	void *rec;
	int rc;

	rc = weir_table_alloc(nodes->table, &handle, &rec);
	if (rc == -EAGAIN || weir_table_is_low(nodes->table))
		nodes->poke(nodes->arg);
	if (rc < 0)
		return rc;

	node = rec;
	node->key[0] = key[0];
	node->key[1] = key[1];
	rc = init != NULL ? init(node, arg) : 0;
	if (rc < 0) {
		fsdev_nodes_put(nodes, node);
		return rc;
	}
	/* Release pairs with the acquire in fsdev_nodes_get(). */
	__atomic_store_n(&node->type, type, __ATOMIC_RELEASE);
	*out = node;
	return 0;
}

int
fsdev_nodes_make(struct fsdev_nodes *nodes, const uint64_t key[2], uint32_t type,
		int (*init)(struct weir_node *node, void *arg), void *arg, struct weir_node **out,
		bool *made)
{
	uint32_t *bucket = nodes_bucket(nodes, key);
	struct weir_node *node = NULL, *found;
	uint32_t head;
	int rc;

	head = __atomic_load_n(bucket, __ATOMIC_ACQUIRE);
	while ((found = nodes_search(nodes, head, key)) == NULL) {
		if (node == NULL) {
			rc = nodes_alloc(nodes, key, type, init, arg, &node);
			if (rc < 0)
				return rc;
		}
		node->next = head;
		/*
		 * Release shows the whole node to those who load it with acquire; acquire shows us
		 * the nodes of the others when we have lost and must look again.
		 */
		if (__atomic_compare_exchange_n(bucket, &head, nodes_link(nodes, node), false,
				    __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
			*out = node;
			*made = true;
			return 0;
		}
	}
	if (node != NULL)
		fsdev_nodes_put(nodes, node);
	*out = found;
	*made = false;
	return 0;
}

/* A node that never got into the index (it lost a race, its init failed) is simply not met. */
static void
nodes_unlink(struct fsdev_nodes *nodes, struct weir_node *dead, uint32_t link)
{
	uint32_t *bucket = nodes_bucket(nodes, dead->key);
	uint32_t head = link;
	struct weir_node *node;

	/* Acquire: the walk below looks at what others inserted. Release: they look at ours. */
	if (__atomic_compare_exchange_n(
			    bucket, &head, dead->next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	while (head != 0) {
		node = nodes_at(nodes, head);
		if (node->next == link) {
			/* Relaxed: a successor is older than its predecessor, so whoever sees the
			 * one through the acquired head sees the other. */
			__atomic_store_n(&node->next, dead->next, __ATOMIC_RELAXED);
			return;
		}
		head = node->next;
	}
}

static void
nodes_fini(struct fsdev_nodes *nodes, struct weir_node *node)
{
	if (node->type != 0 && nodes->fini != NULL)
		nodes->fini(nodes->arg, node);
}

static void
nodes_take_dead(struct fsdev_nodes *nodes)
{
	if (nodes->taken == 0)
		nodes->taken = __atomic_exchange_n(&nodes->dead, 0, __ATOMIC_ACQUIRE);
}

static void
nodes_unlink_batch(struct fsdev_nodes *nodes)
{
	struct weir_node *node;
	unsigned int i;
	uint32_t link;

	nodes_take_dead(nodes);
	for (i = 0; i < NODES_BATCH && nodes->taken != 0; i++) {
		link = nodes->taken;
		node = nodes_at(nodes, link);
		nodes->taken = node->dead;
		nodes_unlink(nodes, node, link);
		node->dead = nodes->waiting;
		nodes->waiting = link;
	}
	if (nodes->waiting != 0)
		nodes->token = rte_rcu_qsbr_start(nodes->qsbr);
}

static void
nodes_free_batch(struct fsdev_nodes *nodes)
{
	struct weir_node *node;
	uint32_t nb = 0;

	while (nodes->waiting != 0) {
		node = nodes_at(nodes, nodes->waiting);
		nodes->waiting = node->dead;
		nodes_fini(nodes, node);
		weir_table_free(nodes->table, node);
		nb++;
	}
	__atomic_fetch_sub(&nodes->nb_dead, nb, __ATOMIC_RELAXED);
}

bool
fsdev_nodes_maintain(struct fsdev_nodes *nodes)
{
	/* Without memory workers see -EAGAIN and come again, as do we with the next tick. */
	(void)weir_table_maintain(nodes->table);

	if (nodes->waiting != 0 && rte_rcu_qsbr_check(nodes->qsbr, nodes->token, false) == 1)
		nodes_free_batch(nodes);
	if (nodes->waiting == 0)
		nodes_unlink_batch(nodes);
	/* The batch that waits counts too: a few are left to the next tick. */
	return __atomic_load_n(&nodes->nb_dead, __ATOMIC_RELAXED) > NODES_BATCH / 4;
}

bool
fsdev_nodes_clear(struct fsdev_nodes *nodes, const struct weir_node *keep)
{
	struct weir_node *node;
	unsigned int i;

	/* No walker is left, so there is nothing to unlink from and to wait for. */
	nodes_free_batch(nodes);
	nodes_take_dead(nodes);
	for (i = 0; i < NODES_BATCH && nodes->taken != 0; i++) {
		node = nodes_at(nodes, nodes->taken);
		nodes->taken = node->dead;
		nodes_fini(nodes, node);
	}
	for (; i < NODES_BATCH && nodes->clear_index < weir_table_end(nodes->table); i++) {
		node = weir_table_get_index(nodes->table, nodes->clear_index++);
		if (node != NULL && node != keep)
			nodes_fini(nodes, node);
	}
	return i == NODES_BATCH;
}

uint32_t
fsdev_nodes_live(const struct fsdev_nodes *nodes)
{
	uint32_t dead = __atomic_load_n(&nodes->nb_dead, __ATOMIC_RELAXED);
	uint32_t used = weir_table_used(nodes->table);

	return used - RTE_MIN(used, dead);
}
