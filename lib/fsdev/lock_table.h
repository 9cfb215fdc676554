/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef LOCK_TABLE_H
#define LOCK_TABLE_H

/*
 * The locks that the guests of one file system hold: of each node its owners, of each owner its
 * ranges. POSIX locks of an owner are split and merged as fcntl(2) has it; a flock(2) is an owner of
 * its own with one range, the whole file. It has one user, the lock service (lock.c), and may
 * allocate. Whatever is granted or ended here was so on the host before, where there is one
 * (weir_locks_host).
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "weir_lock.h"

#define LOCK_BUCKETS 1024

/* Of its owner: in order, neither overlapping nor touching one of the same type. */
struct lock_range {
	uint64_t start, end;
	uint32_t type;
	uint32_t pid;
	const struct weir_file *file; /* through which it was set: it ends with that */
	TAILQ_ENTRY(lock_range) next;
};
TAILQ_HEAD(lock_ranges, lock_range);

/* A guest with locks. */
struct lock_guest {
	uint64_t guest;
	uint32_t nb_owners, nb_ranges;
	LIST_ENTRY(lock_guest) next;
};

struct lock_owner {
	struct lock_guest *of;
	uint64_t guest, owner;
	uint32_t kind; /* WEIR_LOCK_FLOCK or 0 */
	struct weir_lock_host host;
	struct lock_ranges ranges;
	TAILQ_ENTRY(lock_owner) next;
};

/* A node with locks. */
struct lock_node {
	struct weir_node *node;
	TAILQ_HEAD(, lock_owner) owners;
	LIST_ENTRY(lock_node) next;
};

struct lock_table {
	LIST_HEAD(, lock_node) buckets[LOCK_BUCKETS];
	LIST_HEAD(, lock_guest) guests;
	uint32_t max_ranges;
	_Atomic uint32_t nb_ranges; /* read by anybody */
	const struct weir_locks_host *host; /* NULL: there is none */
	void *host_arg;
};

void lock_table_init(struct lock_table *table);
/* Forgets what is left, without a word to the host. */
void lock_table_fini(struct lock_table *table);

/*
 * Sets lock on node through file, or ends what it covers (F_UNLCK). freed is set, never cleared, if
 * others may now get what they could not before.
 *
 * 0; -EAGAIN: another owner here has what is in the way; -EBUSY: another program of the host has;
 * -ENOLCK: there is no room, or what is left is for other guests; or an errno of the host.
 */
int lock_table_set(struct lock_table *table, struct weir_node *node, const struct weir_file *file,
		const struct weir_lock *lock, bool *freed);

/*
 * Ends a flock that is to be one of another type: it is let go first, as on Linux, so that two who
 * share one can both want it for themselves. Did it?
 */
bool
lock_table_leave(struct lock_table *table, struct weir_node *node, const struct weir_lock *lock);

/* The first lock that is in the way of lock, or type F_UNLCK. 0 or an errno of the host. */
int lock_table_get(struct lock_table *table, struct weir_node *node, const struct weir_file *file,
		const struct weir_lock *lock, struct weir_lock *out);

/* The first owner that has a lock on node that is in the way of lock, and the next one; or NULL. */
const struct lock_owner *lock_table_in_way(struct lock_table *table, const struct weir_node *node,
		const struct weir_lock *lock);
const struct lock_owner *
lock_table_in_way_next(const struct lock_owner *owner, const struct weir_lock *lock);

/* Ends all POSIX locks of an owner on node; all locks that were set through file. Any ended? */
bool lock_table_end_owner(
		struct lock_table *table, struct weir_node *node, uint64_t guest, uint64_t owner);
bool
lock_table_end_file(struct lock_table *table, struct weir_node *node, const struct weir_file *file);

static inline bool
lock_is_owner(const struct lock_owner *owner, const struct weir_lock *lock)
{
	return owner->guest == lock->guest && owner->owner == lock->owner &&
			owner->kind == (lock->flags & WEIR_LOCK_FLOCK);
}

static inline uint32_t
lock_hash(uint64_t key)
{
	return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

#endif /* LOCK_TABLE_H */
