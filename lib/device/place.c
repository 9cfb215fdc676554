/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Which worker a queue that comes up goes to: by the node of its ring, then by load. */

#include <errno.h>
#include <numaif.h>

#include <rte_cycles.h>

#include "device.h"

/* The high-priority queue carries next to nothing, yet many of them are better spread too. */
#define PLACE_REQUEST_QUEUE 16
#define PLACE_HIPRIO_QUEUE  1
/* What "recent" means in a worker's load. */
#define PLACE_INTERVAL_S 1

static struct {
	/* Its worker's and, in passing, that of a queue that leaves it. Anybody reads. */
	_Atomic uint32_t nb_up, weight;
	/* Control's; anybody reads busy. */
	_Atomic uint32_t busy;
	uint64_t tsc, cycles_busy;
} places[WEIR_MAX_WORKERS];

int
device_memory_node(const struct weir_memmap *map, uint64_t gpa)
{
	struct weir_seg seg;
	int node;

	if (weir_memmap_translate(map, gpa, 1, &seg) < 0)
		return DEVICE_NO_NODE;
	/* Our own mapping is new: only a call that may touch the page knows where it is. */
	if (get_mempolicy(&node, NULL, 0, weir_memmap_addr(map, &seg), MPOL_F_NODE | MPOL_F_ADDR) <
			0)
		return DEVICE_NO_NODE;
	return node;
}

static bool
place_is_better(const struct device_place *a, const struct device_place *b, int node)
{
	if ((a->node == node) != (b->node == node))
		return a->node == node;
	return a->weight != b->weight ? a->weight < b->weight : a->busy < b->busy;
}

unsigned int
device_place_best(const struct device_place *of, unsigned int nb, int node)
{
	unsigned int best = 0;

	for (unsigned int i = 1; i < nb; i++)
		if (place_is_better(&of[i], &of[best], node))
			best = i;
	return best;
}

static struct weir_worker *
place_choose(int node)
{
	struct device_place of[WEIR_MAX_WORKERS];
	unsigned int nb = weir_frontends_count();

	for (unsigned int i = 0; i < nb; i++) {
		const struct weir_worker *worker = weir_frontend_at(i);
		unsigned int index = weir_worker_index(worker);

		of[i].node = weir_worker_socket(worker);
		of[i].weight = atomic_load(&places[index].weight);
		of[i].busy = atomic_load(&places[index].busy);
	}
	return weir_frontend_at(device_place_best(of, nb, node));
}

struct queue_place {
	struct device_queue *q;
	struct weir_worker *to;
};

/* The worker has nothing of a queue that is down. */
static void WEIR_ON_WORKER
queue_place_run(void *arg)
{
	struct queue_place *p = arg;
	struct device_queue *q = p->q;

	if (q->up || q->pinned || q->move != NULL || q->nb_detached > 0)
		return;
	device_queue_give(q, p->to, NULL);
}

void
device_queue_place(struct device_queue *q, const struct weir_vq_start *start)
{
	int node = device_memory_node(start->map, start->ring.desc_gpa);
	struct queue_place p = { .q = q, .to = place_choose(node) };

	atomic_store(&q->node, node);
	device_queue_sync(q, queue_place_run, &p);
}

void
device_place_add(const struct device_queue *q)
{
	unsigned int i = weir_worker_index(weir_worker_self());

	atomic_fetch_add(&places[i].nb_up, 1);
	atomic_fetch_add(&places[i].weight,
			q->index == 0 ? PLACE_HIPRIO_QUEUE : PLACE_REQUEST_QUEUE);
}

void
device_place_remove(const struct device_queue *q)
{
	unsigned int i = weir_worker_index(weir_worker_self());

	atomic_fetch_sub(&places[i].nb_up, 1);
	atomic_fetch_sub(&places[i].weight,
			q->index == 0 ? PLACE_HIPRIO_QUEUE : PLACE_REQUEST_QUEUE);
}

unsigned int
device_place_queues(const struct weir_worker *worker)
{
	return atomic_load(&places[weir_worker_index(worker)].nb_up);
}

double
device_place_busy_percent(const struct weir_worker *worker)
{
	return atomic_load(&places[weir_worker_index(worker)].busy) / 10.0;
}

void
device_places_sample(void)
{
	uint64_t now = rte_rdtsc(), passed, busy;
	struct weir_worker_stats stats;

	for (unsigned int i = 0; i < weir_workers_count(); i++) {
		passed = now - places[i].tsc;
		if (passed < rte_get_tsc_hz() * PLACE_INTERVAL_S)
			continue;
		weir_worker_stats_get(weir_worker_at(i), &stats);
		busy = stats.cycles_busy - places[i].cycles_busy;
		/* A round that lasted counts when it ends, and may have begun in an older interval. */
		atomic_store(&places[i].busy, (uint32_t)(RTE_MIN(busy, passed) * 1000.0 / passed));
		places[i].tsc = now;
		places[i].cycles_busy = stats.cycles_busy;
	}
}
