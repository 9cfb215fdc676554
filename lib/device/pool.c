/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_lcore.h>

#include "device.h"

#define POOL_CACHE 128

/* One in so many requests may wait for a lock: the others must be able to end such waits. */
#define LOCK_SHARE 8u

/* One set a NUMA node on which there are workers. */
static struct {
	struct rte_mempool *requests;
	struct rte_mempool *big; /* segment tables of WEIR_VQ_MAX_CHAIN entries */
} pools[RTE_MAX_NUMA_NODES];

static uint32_t queue_limit;

static struct rte_mempool *
pool_create(const char *what, int socket, uint32_t nb, size_t size)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	uint32_t cache = RTE_MIN((uint32_t)POOL_CACHE, nb / 2);
	struct rte_mempool *pool;

	snprintf(name, sizeof(name), "weir_%s_%d", what, socket);
	pool = rte_mempool_create(name, nb, size, cache, 0, NULL, NULL, NULL, NULL, socket, 0);
	if (pool == NULL)
		weir_log(device, ERR, "pool %s: no memory for %u objects of %zu bytes: %s", name,
				nb, size, rte_strerror(rte_errno));
	return pool;
}

int
devreq_pools_create(uint32_t nb_requests, uint32_t nb_big)
{
	queue_limit = RTE_MIN((uint32_t)WEIR_VQ_MAX_SIZE, (nb_requests + 1) / 2);
	weir_fuse_waiters_set(devreq_waiters(nb_requests));
	for (unsigned int i = 0; i < weir_workers_count(); i++) {
		int socket = weir_worker_socket(weir_worker_at(i));

		if (pools[socket].requests != NULL)
			continue;
		pools[socket].requests =
				pool_create("req", socket, nb_requests, sizeof(struct devreq));
		pools[socket].big = pool_create(
				"seg", socket, nb_big, WEIR_VQ_MAX_CHAIN * sizeof(struct weir_seg));
		if (pools[socket].requests == NULL || pools[socket].big == NULL) {
			devreq_pools_destroy();
			return -ENOMEM;
		}
	}
	return 0;
}

void
devreq_pools_destroy(void)
{
	for (unsigned int i = 0; i < RTE_DIM(pools); i++) {
		rte_mempool_free(pools[i].requests);
		rte_mempool_free(pools[i].big);
		pools[i].requests = NULL;
		pools[i].big = NULL;
	}
}

uint32_t
devreq_waiters(uint32_t nb)
{
	return nb >= LOCK_SHARE ? nb / LOCK_SHARE : nb > 1;
}

uint32_t
devreq_queue_limit(void)
{
	return queue_limit;
}

struct devreq *
devreq_get(int socket)
{
	struct devreq *req;
	void *obj;

	if (rte_mempool_get(pools[socket].requests, &obj) < 0)
		return NULL;
	req = obj;
	req->big = NULL;
	return req;
}

bool
devreq_grow(struct devreq *req, int socket)
{
	void *obj;

	if (rte_mempool_get(pools[socket].big, &obj) < 0)
		return false;
	req->big = obj;
	return true;
}

void
devreq_put(struct devreq *req)
{
	if (req->big != NULL)
		rte_mempool_put(rte_mempool_from_obj(req->big), req->big);
	rte_mempool_put(rte_mempool_from_obj(req), req);
}

struct mapref *
mapref_new(struct weir_memmap *map)
{
	struct mapref *ref = calloc(1, sizeof(*ref));

	if (ref != NULL)
		ref->map = weir_memmap_get(map);
	return ref;
}

static void WEIR_ON_CONTROL
mapref_free(struct weir_post *post)
{
	struct mapref *ref = container_of(post, struct mapref, post);

	weir_memmap_put(ref->map);
	free(ref);
}

/* The last reference unmaps, which is no work for a worker. */
void
mapref_drop(struct mapref *ref)
{
	ref->post.fn = mapref_free;
	weir_loop_post(&ref->post);
}

void
mapref_retire(struct mapref *ref)
{
	ref->retired = true;
	if (ref->nb_requests == 0)
		mapref_drop(ref);
}
