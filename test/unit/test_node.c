/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The key index and the end of nodes, with threads of our own in the place of workers. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <rte_common.h>

#include "node.h"

#define MAX_NODES  4096
#define NB_THREADS 3
#define NB_KEYS    61 /* few, so that threads meet */
#define NB_ROUNDS  200000

struct priv {
	uint64_t key;
	_Atomic uint32_t alive; /* set by init, taken back by fini */
};

static struct rte_rcu_qsbr *qsbr;
static struct fsdev_nodes *nodes;
static unsigned int nb_pokes;
static _Atomic unsigned int nb_inits;
static unsigned int nb_finis;

static struct priv *
priv_of(struct weir_node *node)
{
	return (struct priv *)(node + 1);
}

static void
count_fini(void *arg, struct weir_node *node)
{
	assert_ptr_equal(arg, &nb_pokes);
	assert_int_equal(priv_of(node)->key, node->key[0]);
	assert_int_equal(atomic_exchange(&priv_of(node)->alive, 0), 1);
	nb_finis++;
}

static void
count_poke(void *arg)
{
	__atomic_fetch_add((unsigned int *)arg, 1, __ATOMIC_RELAXED);
}

static int
fill(struct weir_node *node, void *arg)
{
	struct priv *priv = priv_of(node);

	assert_int_equal(priv->key, 0);
	priv->key = node->key[0];
	atomic_store(&priv->alive, 1);
	atomic_fetch_add(&nb_inits, 1);
	return 0;
}

static int
refuse(struct weir_node *node, void *arg)
{
	return -EMFILE;
}

static int
setup(void **state)
{
	size_t size = RTE_ALIGN_CEIL(rte_rcu_qsbr_get_memsize(NB_THREADS), RTE_CACHE_LINE_SIZE);
	const struct fsdev_nodes_cfg cfg = {
		.name = "test",
		.priv_size = sizeof(struct priv),
		.max_nodes = MAX_NODES,
		.qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, size),
		.fini = count_fini,
		.poke = count_poke,
		.arg = &nb_pokes,
	};

	qsbr = cfg.qsbr;
	nb_pokes = 0;
	atomic_store(&nb_inits, 0);
	nb_finis = 0;
	if (qsbr == NULL || rte_rcu_qsbr_init(qsbr, NB_THREADS) != 0)
		return -1;
	return fsdev_nodes_create(&cfg, &nodes);
}

static int
teardown(void **state)
{
	while (fsdev_nodes_clear(nodes, NULL))
		;
	fsdev_nodes_destroy(nodes);
	free(qsbr);
	return 0;
}

static struct weir_node *
make(uint64_t key, bool *made)
{
	const uint64_t k[2] = { key, 7 };
	struct weir_node *node;

	assert_int_equal(fsdev_nodes_make(nodes, k, S_IFREG, fill, NULL, &node, made), 0);
	assert_int_equal(node->key[0], key);
	assert_int_equal(node->type, S_IFREG);
	return node;
}

static void
node_is_found_by_its_key_while_it_lives(void **state)
{
	const uint64_t key[2] = { 5, 7 }, other[2] = { 7, 5 };
	struct weir_node *node;
	bool made;

	assert_null(fsdev_nodes_find(nodes, key));
	node = make(5, &made);
	assert_null(fsdev_nodes_find(nodes, other));
	assert_ptr_equal(fsdev_nodes_find(nodes, key), node);
	/* What was found came with a reference of its own. */
	fsdev_nodes_put(nodes, node);
	assert_ptr_equal(fsdev_nodes_find(nodes, key), node);
	fsdev_nodes_put(nodes, node);
	fsdev_nodes_put(nodes, node);
	assert_null(fsdev_nodes_find(nodes, key));
	assert_int_equal(atomic_load(&nb_inits), 1);
}

static void
node_made_twice_is_one(void **state)
{
	struct weir_node *first, *second;
	uint64_t id;
	bool made;

	first = make(5, &made);
	assert_true(made);
	second = make(5, &made);
	assert_false(made);
	assert_ptr_equal(first, second);
	assert_int_equal(atomic_load(&nb_inits), 1);

	id = fsdev_nodes_id(nodes, first);
	fsdev_nodes_put(nodes, second);
	assert_ptr_equal(fsdev_nodes_get(nodes, id), first);
	assert_int_equal(fsdev_nodes_live(nodes), 1);
}

static void
node_with_another_second_half_of_the_key_is_another(void **state)
{
	const uint64_t a[2] = { 1, 1 }, b[2] = { 1, 2 };
	struct weir_node *first, *second;
	bool made;

	assert_int_equal(fsdev_nodes_make(nodes, a, S_IFREG, fill, NULL, &first, &made), 0);
	assert_int_equal(fsdev_nodes_make(nodes, b, S_IFDIR, fill, NULL, &second, &made), 0);
	assert_true(made);
	assert_ptr_not_equal(first, second);
	assert_int_equal(second->type, S_IFDIR);
}

static void
node_without_references_ends_after_the_grace_period(void **state)
{
	struct weir_node *node;
	uint64_t id;
	bool made;

	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	node = make(5, &made);
	id = fsdev_nodes_id(nodes, node);
	fsdev_nodes_put(nodes, node);
	assert_null(fsdev_nodes_get(nodes, id));
	assert_int_equal(fsdev_nodes_live(nodes), 0);

	/* We may still be looking at it. */
	fsdev_nodes_maintain(nodes);
	fsdev_nodes_maintain(nodes);
	assert_int_equal(nb_finis, 0);
	rte_rcu_qsbr_quiescent(qsbr, 0);
	fsdev_nodes_maintain(nodes);
	assert_int_equal(nb_finis, 1);
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
}

static void
node_made_while_the_old_one_waits_is_new(void **state)
{
	struct weir_node *old, *young;
	bool made;

	old = make(5, &made);
	fsdev_nodes_put(nodes, old);
	young = make(5, &made);
	assert_true(made);
	assert_ptr_not_equal(old, young);

	/* Only the dead one leaves the index. */
	fsdev_nodes_maintain(nodes);
	fsdev_nodes_maintain(nodes);
	assert_int_equal(nb_finis, 1);
	assert_ptr_equal(make(5, &made), young);
	assert_false(made);
}

static void
node_in_the_middle_of_a_chain_is_unlinked(void **state)
{
	struct weir_node *all[MAX_NODES / 2];
	unsigned int i;
	bool made;

	/* Two a bucket on average: every position in a chain occurs. */
	for (i = 0; i < RTE_DIM(all); i++) {
		all[i] = make(i, &made);
		fsdev_nodes_maintain(nodes);
	}
	for (i = 0; i < RTE_DIM(all); i += 3)
		fsdev_nodes_put(nodes, all[i]);
	fsdev_nodes_maintain(nodes);
	fsdev_nodes_maintain(nodes);
	assert_int_equal(nb_finis, (RTE_DIM(all) + 2) / 3);
	for (i = 0; i < RTE_DIM(all); i++) {
		assert_int_equal(make(i, &made) == all[i] && !made, i % 3 != 0);
		fsdev_nodes_maintain(nodes);
	}
}

static void
node_whose_init_fails_leaves_nothing(void **state)
{
	const uint64_t key[2] = { 5, 7 };
	struct weir_node *node = NULL;
	bool made = true;

	assert_int_equal(
			fsdev_nodes_make(nodes, key, S_IFREG, refuse, NULL, &node, &made), -EMFILE);
	assert_null(node);
	assert_int_equal(fsdev_nodes_live(nodes), 0);
	fsdev_nodes_maintain(nodes);
	fsdev_nodes_maintain(nodes);
	assert_int_equal(nb_finis, 0);
	make(5, &made);
	assert_true(made);
}

static uint64_t guess;

static int
fill_under_attack(struct weir_node *node, void *arg)
{
	guess = fsdev_nodes_id(nodes, node);
	assert_null(fsdev_nodes_get(nodes, guess));
	return fill(node, arg);
}

static void
node_in_the_making_cannot_be_had_by_a_guessed_handle(void **state)
{
	const uint64_t key[2] = { 5, 7 };
	struct weir_node *node;
	bool made;

	assert_int_equal(fsdev_nodes_make(nodes, key, S_IFREG, fill_under_attack, NULL, &node,
					 &made),
			0);
	assert_ptr_equal(fsdev_nodes_get(nodes, guess), node);
}

static void
nodes_full_are_refused_and_recover(void **state)
{
	struct weir_node *all[MAX_NODES];
	const uint64_t key[2] = { MAX_NODES, 7 };
	unsigned int i;
	bool made;

	for (i = 0; i < MAX_NODES; i++) {
		fsdev_nodes_maintain(nodes);
		all[i] = make(i, &made);
	}
	assert_int_equal(
			fsdev_nodes_make(nodes, key, S_IFREG, fill, NULL, &all[0], &made), -ENFILE);
	fsdev_nodes_put(nodes, all[1]);
	fsdev_nodes_maintain(nodes);
	fsdev_nodes_maintain(nodes);
	make(MAX_NODES, &made);
	assert_true(made);
}

static void
nodes_cleared_at_the_end_are_all_reported_but_the_one_kept(void **state)
{
	struct weir_node *root, *dying;
	bool made;

	root = make(1, &made);
	make(2, &made);
	dying = make(3, &made);
	fsdev_nodes_put(nodes, dying);
	fsdev_nodes_maintain(nodes);
	fsdev_nodes_put(nodes, make(4, &made));
	while (fsdev_nodes_clear(nodes, root))
		;
	assert_int_equal(nb_finis, 3);
}

/* One thread's view of the storm; main reads it when the thread has ended. */
struct storm {
	pthread_t thread;
	unsigned int index;
	unsigned int nb_wrong;
	unsigned int nb_made;
};

/* Who holds what at this moment: set after a node was made, cleared before it is put. */
static _Atomic(struct weir_node *) held[NB_KEYS][NB_THREADS];
static _Atomic unsigned int nb_running;

static bool
storm_is_right(struct weir_node *node, uint64_t key, unsigned int thread)
{
	struct weir_node *other;
	unsigned int i;

	if (node->key[0] != key || priv_of(node)->key != key ||
			atomic_load(&priv_of(node)->alive) != 1)
		return false;
	for (i = 0; i < NB_THREADS; i++) {
		other = atomic_load(&held[key][i]);
		if (i != thread && other != NULL && other != node)
			return false;
	}
	return true;
}

static void *
storm_main(void *arg)
{
	struct storm *storm = arg;
	unsigned int seed = storm->index + 1, i;
	struct weir_node *node;
	uint64_t key[2] = { 0, 7 };
	bool made;

	rte_rcu_qsbr_thread_register(qsbr, storm->index);
	rte_rcu_qsbr_thread_online(qsbr, storm->index);
	for (i = 0; i < NB_ROUNDS; i++) {
		key[0] = (unsigned int)rand_r(&seed) % NB_KEYS;
		node = atomic_load(&held[key[0]][storm->index]);
		if (node != NULL) {
			storm->nb_wrong += !storm_is_right(node, key[0], storm->index);
			atomic_store(&held[key[0]][storm->index], NULL);
			fsdev_nodes_put(nodes, node);
		} else if (fsdev_nodes_make(nodes, key, S_IFREG, fill, NULL, &node, &made) == 0) {
			storm->nb_made += made;
			atomic_store(&held[key[0]][storm->index], node);
			storm->nb_wrong += !storm_is_right(node, key[0], storm->index);
		} else {
			sched_yield();
		}
		rte_rcu_qsbr_quiescent(qsbr, storm->index);
	}
	rte_rcu_qsbr_thread_offline(qsbr, storm->index);
	rte_rcu_qsbr_thread_unregister(qsbr, storm->index);
	atomic_fetch_sub(&nb_running, 1);
	return NULL;
}

static void
nodes_in_a_storm_are_one_a_key_and_all_end(void **state)
{
	struct storm storms[NB_THREADS] = { 0 };
	unsigned int i, k, nb_made = 0;

	atomic_store(&nb_running, NB_THREADS);
	for (i = 0; i < NB_THREADS; i++) {
		storms[i].index = i;
		assert_int_equal(
				pthread_create(&storms[i].thread, NULL, storm_main, &storms[i]), 0);
	}
	while (atomic_load(&nb_running) > 0) {
		fsdev_nodes_maintain(nodes);
		sched_yield();
	}
	for (i = 0; i < NB_THREADS; i++) {
		pthread_join(storms[i].thread, NULL);
		assert_int_equal(storms[i].nb_wrong, 0);
		nb_made += storms[i].nb_made;
		for (k = 0; k < NB_KEYS; k++) {
			if (held[k][i] != NULL)
				fsdev_nodes_put(nodes, held[k][i]);
			held[k][i] = NULL;
		}
	}
	fsdev_nodes_maintain(nodes);
	fsdev_nodes_maintain(nodes);
	assert_int_equal(fsdev_nodes_live(nodes), 0);
	assert_true(nb_made > NB_KEYS);
	assert_true(nb_made <= atomic_load(&nb_inits));
	assert_int_equal(nb_finis, atomic_load(&nb_inits));
}

#define NODE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NODE_TEST(node_is_found_by_its_key_while_it_lives),
		NODE_TEST(node_made_twice_is_one),
		NODE_TEST(node_with_another_second_half_of_the_key_is_another),
		NODE_TEST(node_without_references_ends_after_the_grace_period),
		NODE_TEST(node_made_while_the_old_one_waits_is_new),
		NODE_TEST(node_in_the_middle_of_a_chain_is_unlinked),
		NODE_TEST(node_whose_init_fails_leaves_nothing),
		NODE_TEST(node_in_the_making_cannot_be_had_by_a_guessed_handle),
		NODE_TEST(nodes_full_are_refused_and_recover),
		NODE_TEST(nodes_cleared_at_the_end_are_all_reported_but_the_one_kept),
		NODE_TEST(nodes_in_a_storm_are_one_a_key_and_all_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
