/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuse.h"

/*
 * The ledger: how often the guest looked up each node, by node index. It is a memory file, so that
 * pages of nodes that this guest never met cost nothing and go away with it. Invariant: as long as
 * count is above 0 the ledger owns one reference to the node, so the index is not reused and id,
 * which whoever counts up writes first, stays what it is.
 */

/*
 * What a guest has forgotten it may ask for again by the number alone: open_by_handle_at(2), and
 * servers in the guest, look up "." on it. So of the nodes that it forgets the last ones are kept
 * where file systems allow it: in buckets, each of which a new one leaves to the next.
 */

#define LEDGER_OFFSET 4096
/* Entries that control drops before it looks at its other events. */
#define LEDGER_SLICE (4096 * sizeof(struct fuse_lookups))
static_assert(sizeof(struct fuse_shared) <= LEDGER_OFFSET, "parameters in front of the ledger");

int WEIR_ON_CONTROL
fuse_ledger_create(struct weir_fuse_session *sess)
{
	char name[64];
	void *map;
	int rc;

	snprintf(name, sizeof(name), "weir_fuse_%.48s", sess->name);
	sess->max_nodes = weir_fsdev_max_nodes(sess->dev);
	sess->map_size = LEDGER_OFFSET + sess->max_nodes * sizeof(struct fuse_lookups);
	sess->map_fd = memfd_create(name, MFD_CLOEXEC);
	if (sess->map_fd < 0)
		return -errno;
	if (ftruncate(sess->map_fd, (off_t)sess->map_size) < 0)
		goto fail;
	map = mmap(NULL, sess->map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			sess->map_fd, 0);
	if (map == MAP_FAILED)
		goto fail;
	sess->shared = map;
	sess->ledger = (void *)((uint8_t *)map + LEDGER_OFFSET);
	return 0;

fail:
	rc = -errno;
	close(sess->map_fd);
	return rc;
}

void WEIR_ON_CONTROL
fuse_ledger_destroy(struct weir_fuse_session *sess)
{
	munmap(sess->shared, sess->map_size);
	close(sess->map_fd);
}

void
fuse_node_put(struct weir_fuse_session *sess, struct weir_node *node)
{
	if (node != sess->root)
		weir_node_put(sess->dev, node);
}

static struct fuse_lookups *
fuse_lookups(struct weir_fuse_session *sess, uint64_t id)
{
	RTE_ASSERT(weir_table_index(id) < sess->max_nodes);
	return &sess->ledger[weir_table_index(id)];
}

static bool
fuse_node_is_known(struct weir_fuse_session *sess, uint64_t nodeid)
{
	return atomic_load_explicit(&fuse_lookups(sess, nodeid)->count, memory_order_relaxed) > 0;
}

struct weir_node *WEIR_ON_WORKER
fuse_node_get(struct weir_fuse_session *sess, uint64_t nodeid)
{
	struct weir_node *node;

	if (nodeid == FUSE_NODEID_ROOT)
		return sess->root;
	node = weir_node_get(sess->dev, nodeid);
	if (node != NULL) {
		/* Another guest's node is none of this one's. */
		if (fuse_node_is_known(sess, nodeid))
			return node;
		weir_node_put(sess->dev, node);
	}
	fuse_stats_fault(sess, FUSE_FAULT_NODE);
	return NULL;
}

static struct fuse_idle *
idle_bucket(struct weir_fuse_session *sess, uint64_t nodeid)
{
	/* Indexes come in strides. */
	uint32_t hash = weir_table_index(nodeid) * UINT32_C(0x9e3779b9);

	return &sess->idle[(hash >> 16) % FUSE_IDLE_BUCKETS];
}

static bool
idle_has(const struct fuse_idle *idle, uint64_t nodeid)
{
	for (unsigned int i = 0; i < FUSE_IDLE_WAYS; i++)
		if (atomic_load_explicit(&idle->id[i], memory_order_relaxed) == nodeid)
			return true;
	return false;
}

struct weir_node *WEIR_ON_WORKER
fuse_node_get_idle(struct weir_fuse_session *sess, uint64_t nodeid)
{
	struct weir_node *node;

	if (nodeid == FUSE_NODEID_ROOT)
		return sess->root;
	node = weir_node_get(sess->dev, nodeid);
	if (node == NULL)
		return NULL;
	/* Its place may go to another node now, but this one has a reference of ours. */
	if (fuse_node_is_known(sess, nodeid) || idle_has(idle_bucket(sess, nodeid), nodeid))
		return node;
	weir_node_put(sess->dev, node);
	return NULL;
}

/* Puts id, or 0, into a place; what was there loses the reference of the place. */
static void
idle_put(struct weir_fuse_session *sess, _Atomic uint64_t *place, uint64_t id)
{
	struct weir_node *node;

	id = atomic_exchange_explicit(place, id, memory_order_acq_rel);
	if (id == 0)
		return;
	node = weir_node_get(sess->dev, id);
	RTE_ASSERT(node != NULL);
	weir_node_put(sess->dev, node);
	weir_node_put(sess->dev, node);
}

/* Takes over a reference. */
static void WEIR_ON_WORKER
idle_add(struct weir_fuse_session *sess, struct weir_node *node, uint64_t nodeid)
{
	struct fuse_idle *idle = idle_bucket(sess, nodeid);
	uint64_t i;

	if (idle_has(idle, nodeid)) {
		weir_node_put(sess->dev, node);
		return;
	}
	i = atomic_fetch_add_explicit(&idle->next, 1, memory_order_relaxed);
	idle_put(sess, &idle->id[i % FUSE_IDLE_WAYS], nodeid);
}

void WEIR_ON_CONTROL
fuse_idle_drop(struct weir_fuse_session *sess)
{
	for (unsigned int i = 0; i < FUSE_IDLE_BUCKETS * FUSE_IDLE_WAYS; i++)
		idle_put(sess, &sess->idle[i / FUSE_IDLE_WAYS].id[i % FUSE_IDLE_WAYS], 0);
}

uint64_t WEIR_ON_WORKER
fuse_node_learn(struct weir_fuse_session *sess, struct weir_node *node)
{
	uint64_t id = weir_node_id(sess->dev, node);
	struct fuse_lookups *known = fuse_lookups(sess, id);

	if (node == sess->root) {
		weir_node_put(sess->dev, node);
		return FUSE_NODEID_ROOT;
	}
	atomic_store_explicit(&known->id, id, memory_order_relaxed);
	/* Release pairs with the acquire in fuse_ledger_drop_slice(), which reads id. */
	if (atomic_fetch_add_explicit(&known->count, 1, memory_order_release) == 0)
		atomic_fetch_add_explicit(&sess->nb_nodes, 1, memory_order_relaxed);
	else
		weir_node_put(sess->dev, node);
	return id;
}

/* Takes over the ledger's reference. */
static void WEIR_ON_WORKER
fuse_node_unlearn(struct weir_fuse_session *sess, struct weir_node *node, uint64_t nodeid)
{
	atomic_fetch_sub_explicit(&sess->nb_nodes, 1, memory_order_relaxed);
	if (sess->dots)
		idle_add(sess, node, nodeid);
	else
		weir_node_put(sess->dev, node);
}

void WEIR_ON_WORKER
fuse_node_forget(struct weir_fuse_session *sess, uint64_t nodeid, uint64_t nlookup)
{
	struct fuse_lookups *known;
	struct weir_node *node;
	uint64_t count, n;

	if (nodeid == FUSE_NODEID_ROOT)
		return;
	node = weir_node_get(sess->dev, nodeid);
	if (node == NULL) {
		fuse_stats_fault(sess, FUSE_FAULT_NODE);
		return;
	}
	known = fuse_lookups(sess, nodeid);
	count = atomic_load_explicit(&known->count, memory_order_relaxed);
	do {
		n = RTE_MIN(count, nlookup);
	} while (!atomic_compare_exchange_weak_explicit(&known->count, &count, count - n,
			memory_order_acq_rel, memory_order_relaxed));
	if (n < nlookup)
		fuse_stats_fault(sess, FUSE_FAULT_FORGET);
	if (n > 0 && n == count)
		fuse_node_unlearn(sess, node, nodeid);
	weir_node_put(sess->dev, node);
}

static void WEIR_ON_CONTROL
fuse_lookups_drop(struct weir_fuse_session *sess, struct fuse_lookups *known)
{
	struct weir_node *node;

	if (atomic_exchange_explicit(&known->count, 0, memory_order_acquire) == 0)
		return;
	node = weir_node_get(sess->dev, atomic_load_explicit(&known->id, memory_order_relaxed));
	RTE_ASSERT(node != NULL);
	atomic_fetch_sub_explicit(&sess->nb_nodes, 1, memory_order_relaxed);
	weir_node_put(sess->dev, node);
	weir_node_put(sess->dev, node);
}

bool WEIR_ON_CONTROL
fuse_ledger_drop_slice(struct weir_fuse_session *sess)
{
	uint8_t *map = (uint8_t *)sess->shared;
	off_t pos, end;

	/* Reading a hole would fill it. */
	pos = lseek(sess->map_fd, LEDGER_OFFSET + sess->ledger_pos, SEEK_DATA);
	if (pos < 0)
		return false;
	end = RTE_MIN(pos + (off_t)LEDGER_SLICE, (off_t)sess->map_size);
	for (off_t off = pos; off < end; off += sizeof(struct fuse_lookups))
		fuse_lookups_drop(sess, (void *)(map + off));
	/* Everything in it is 0 now, so nothing is lost if the pages stay. */
	(void)fallocate(sess->map_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, end - pos);
	sess->ledger_pos = end - LEDGER_OFFSET;
	return end < (off_t)sess->map_size;
}
