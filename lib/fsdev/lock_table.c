/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <rte_common.h>

#include "lock_table.h"

/* Ranges that setting one makes more of: itself, and what is behind it of a longer one. */
#define LOCK_GROWTH 2

/* What a change needs is there before it begins, so that it cannot fail half way. */
struct lock_spare {
	struct lock_range *range[LOCK_GROWTH];
};

void
lock_table_init(struct lock_table *table)
{
	for (unsigned int i = 0; i < RTE_DIM(table->buckets); i++)
		LIST_INIT(&table->buckets[i]);
}

static unsigned int
lock_bucket(const struct weir_node *node)
{
	return lock_hash((uintptr_t)node) % LOCK_BUCKETS;
}

static struct lock_node *
lock_node_find(struct lock_table *table, const struct weir_node *node)
{
	struct lock_node *ln;

	LIST_FOREACH(ln, &table->buckets[lock_bucket(node)], next)
		if (ln->node == node)
			return ln;
	return NULL;
}

static struct lock_owner *
lock_owner_find(struct lock_node *ln, const struct weir_lock *lock)
{
	struct lock_owner *owner;

	TAILQ_FOREACH(owner, &ln->owners, next)
		if (lock_is_owner(owner, lock))
			return owner;
	return NULL;
}

/* Workers look at the mark: a FLUSH of what has none need not come here. */
static struct lock_node *
lock_node_make(struct lock_table *table, struct weir_node *node)
{
	struct lock_node *ln = lock_node_find(table, node);

	if (ln != NULL)
		return ln;
	ln = calloc(1, sizeof(*ln));
	if (ln == NULL)
		return NULL;
	ln->node = node;
	TAILQ_INIT(&ln->owners);
	LIST_INSERT_HEAD(&table->buckets[lock_bucket(node)], ln, next);
	__atomic_store_n(&node->locked, 1, __ATOMIC_RELAXED);
	return ln;
}

static void
lock_node_drop(struct lock_node *ln)
{
	if (!TAILQ_EMPTY(&ln->owners))
		return;
	__atomic_store_n(&ln->node->locked, 0, __ATOMIC_RELAXED);
	LIST_REMOVE(ln, next);
	free(ln);
}

/* With one more owner. */
static struct lock_guest *
lock_guest_get(struct lock_table *table, uint64_t guest)
{
	struct lock_guest *of;

	LIST_FOREACH(of, &table->guests, next)
		if (of->guest == guest)
			break;
	if (of == NULL) {
		of = calloc(1, sizeof(*of));
		if (of == NULL)
			return NULL;
		of->guest = guest;
		LIST_INSERT_HEAD(&table->guests, of, next);
	}
	of->nb_owners++;
	return of;
}

static void
lock_guest_put(struct lock_guest *of)
{
	if (--of->nb_owners > 0)
		return;
	LIST_REMOVE(of, next);
	free(of);
}

static struct lock_owner *
lock_owner_make(struct lock_table *table, struct lock_node *ln, const struct weir_lock *lock)
{
	struct lock_owner *owner = lock_owner_find(ln, lock);

	if (owner != NULL)
		return owner;
	owner = calloc(1, sizeof(*owner));
	if (owner == NULL)
		return NULL;
	owner->of = lock_guest_get(table, lock->guest);
	if (owner->of == NULL) {
		free(owner);
		return NULL;
	}
	owner->guest = lock->guest;
	owner->owner = lock->owner;
	owner->kind = lock->flags & WEIR_LOCK_FLOCK;
	TAILQ_INIT(&owner->ranges);
	TAILQ_INSERT_TAIL(&ln->owners, owner, next);
	return owner;
}

static void
lock_range_free(struct lock_table *table, struct lock_owner *owner, struct lock_range *r)
{
	TAILQ_REMOVE(&owner->ranges, r, next);
	owner->of->nb_ranges--;
	atomic_fetch_sub(&table->nb_ranges, 1);
	free(r);
}

/* Ends all that an owner has. */
static void
lock_owner_end(struct lock_table *table, struct lock_node *ln, struct lock_owner *owner)
{
	struct lock_range *r;

	if (table->host != NULL)
		table->host->end(table->host_arg, &owner->host);
	while ((r = TAILQ_FIRST(&owner->ranges)) != NULL)
		lock_range_free(table, owner, r);
	TAILQ_REMOVE(&ln->owners, owner, next);
	lock_guest_put(owner->of);
	free(owner);
}

static void
lock_owner_drop(struct lock_table *table, struct lock_node *ln, struct lock_owner *owner)
{
	if (TAILQ_EMPTY(&owner->ranges))
		lock_owner_end(table, ln, owner);
}

void
lock_table_fini(struct lock_table *table)
{
	struct lock_owner *owner;
	struct lock_node *ln;

	table->host = NULL;
	for (unsigned int i = 0; i < RTE_DIM(table->buckets); i++) {
		while ((ln = LIST_FIRST(&table->buckets[i])) != NULL) {
			while ((owner = TAILQ_FIRST(&ln->owners)) != NULL)
				lock_owner_end(table, ln, owner);
			LIST_REMOVE(ln, next);
			free(ln);
		}
	}
}

/* The first of an owner's ranges that is in the way of a lock of another owner. */
static const struct lock_range *
lock_owner_conflict(const struct lock_owner *owner, const struct weir_lock *lock)
{
	const struct lock_range *r;

	if (owner->kind != (lock->flags & WEIR_LOCK_FLOCK))
		return NULL;
	TAILQ_FOREACH(r, &owner->ranges, next) {
		if (r->start > lock->end)
			return NULL;
		if (r->end >= lock->start && (r->type == F_WRLCK || lock->type == F_WRLCK))
			return r;
	}
	return NULL;
}

/* The first of these owners and those behind it that is in the way. */
static const struct lock_owner *
lock_owner_in_way(const struct lock_owner *owner, const struct weir_lock *lock)
{
	for (; owner != NULL; owner = TAILQ_NEXT(owner, next))
		if (!lock_is_owner(owner, lock) && lock_owner_conflict(owner, lock) != NULL)
			return owner;
	return NULL;
}

const struct lock_owner *
lock_table_in_way(struct lock_table *table, const struct weir_node *node,
		const struct weir_lock *lock)
{
	const struct lock_node *ln = lock_node_find(table, node);

	return ln != NULL ? lock_owner_in_way(TAILQ_FIRST(&ln->owners), lock) : NULL;
}

const struct lock_owner *
lock_table_in_way_next(const struct lock_owner *owner, const struct weir_lock *lock)
{
	return lock_owner_in_way(TAILQ_NEXT(owner, next), lock);
}

static bool
lock_touches(const struct lock_range *r, const struct weir_lock *lock)
{
	return r->end + 1 >= lock->start && r->start <= lock->end + 1;
}

static bool
lock_overlaps(const struct lock_range *r, const struct weir_lock *lock)
{
	return r->end >= lock->start && r->start <= lock->end;
}

static void
lock_spare_free(struct lock_spare *spare)
{
	for (unsigned int i = 0; i < RTE_DIM(spare->range); i++)
		free(spare->range[i]);
}

static int
lock_spare_get(struct lock_spare *spare)
{
	for (unsigned int i = 0; i < RTE_DIM(spare->range); i++)
		spare->range[i] = calloc(1, sizeof(struct lock_range));
	if (spare->range[0] != NULL && spare->range[1] != NULL)
		return 0;
	lock_spare_free(spare);
	return -ENOLCK;
}

static struct lock_range *
lock_spare_take(struct lock_table *table, struct lock_owner *owner, struct lock_spare *spare)
{
	struct lock_range *r = spare->range[0];

	spare->range[0] = spare->range[1];
	spare->range[1] = NULL;
	owner->of->nb_ranges++;
	atomic_fetch_add(&table->nb_ranges, 1);
	return r;
}

/* Ends what lock covers. @return whether there was anything. */
static bool
lock_cut(struct lock_table *table, struct lock_owner *owner, const struct weir_lock *lock,
		struct lock_spare *spare)
{
	struct lock_range *r, *next, *tail;
	bool cut = false;

	for (r = TAILQ_FIRST(&owner->ranges); r != NULL; r = next) {
		next = TAILQ_NEXT(r, next);
		if (!lock_overlaps(r, lock))
			continue;
		cut = true;
		if (r->start < lock->start && r->end > lock->end) {
			tail = lock_spare_take(table, owner, spare);
			*tail = *r;
			tail->start = lock->end + 1;
			r->end = lock->start - 1;
			TAILQ_INSERT_AFTER(&owner->ranges, r, tail, next);
		} else if (r->start < lock->start) {
			r->end = lock->start - 1;
		} else if (r->end > lock->end) {
			r->start = lock->end + 1;
		} else {
			lock_range_free(table, owner, r);
		}
	}
	return cut;
}

/* Whether a write lock of the owner's is where there is going to be a read lock. */
static bool
lock_weakens(const struct lock_owner *owner, const struct weir_lock *lock)
{
	const struct lock_range *r;

	TAILQ_FOREACH(r, &owner->ranges, next)
		if (r->type == F_WRLCK && lock->type == F_RDLCK && lock_overlaps(r, lock))
			return true;
	return false;
}

/* The new range takes in those of its type that it touches. */
static void
lock_insert(struct lock_table *table, struct lock_owner *owner, const struct weir_file *file,
		const struct weir_lock *lock, struct lock_spare *spare)
{
	struct lock_range *new = lock_spare_take(table, owner, spare);
	struct lock_range *r, *next;

	*new = (struct lock_range){
		.start = lock->start,
		.end = lock->end,
		.type = lock->type,
		.pid = lock->pid,
		.file = file,
	};
	for (r = TAILQ_FIRST(&owner->ranges); r != NULL; r = next) {
		next = TAILQ_NEXT(r, next);
		if (r->type != lock->type || !lock_touches(r, lock))
			continue;
		new->start = RTE_MIN(new->start, r->start);
		new->end = RTE_MAX(new->end, r->end);
		lock_range_free(table, owner, r);
	}
	TAILQ_FOREACH(r, &owner->ranges, next)
		if (r->start > new->start)
			break;
	if (r != NULL)
		TAILQ_INSERT_BEFORE(r, new, next);
	else
		TAILQ_INSERT_TAIL(&owner->ranges, new, next);
}

/*
 * What the host keeps for the owner cannot have a write lock, as it came from a file that cannot write.
 * So all that the owner has there are read locks, which may be had twice.
 */
static int
lock_host_renew(struct lock_table *table, struct lock_node *ln, struct lock_owner *owner,
		const struct weir_file *file)
{
	struct weir_lock_host fresh = { 0 };
	const struct lock_range *r;
	int rc = 0;

	TAILQ_FOREACH(r, &owner->ranges, next) {
		const struct weir_lock lock = { .start = r->start, .end = r->end, .type = F_RDLCK };

		if (rc == 0)
			rc = table->host->set(table->host_arg, &fresh, ln->node, file, &lock);
	}
	if (rc < 0) {
		table->host->end(table->host_arg, &fresh);
		return rc;
	}
	table->host->end(table->host_arg, &owner->host);
	owner->host = fresh;
	return 0;
}

static int
lock_host_set(struct lock_table *table, struct lock_node *ln, struct lock_owner *owner,
		const struct weir_file *file, const struct weir_lock *lock)
{
	int rc;

	if (table->host == NULL)
		return 0;
	rc = table->host->set(table->host_arg, &owner->host, ln->node, file, lock);
	if (rc == -EBADF && lock->type == F_WRLCK && !TAILQ_EMPTY(&owner->ranges)) {
		rc = lock_host_renew(table, ln, owner, file);
		if (rc == 0)
			rc = table->host->set(table->host_arg, &owner->host, ln->node, file, lock);
	}
	return rc == -EAGAIN ? -EBUSY : rc;
}

static int
lock_unset(struct lock_table *table, struct lock_node *ln, const struct weir_file *file,
		const struct weir_lock *lock, bool *freed)
{
	struct lock_owner *owner = lock_owner_find(ln, lock);
	const struct lock_range *r;
	struct lock_spare spare;
	int rc;

	if (owner == NULL)
		return 0;
	TAILQ_FOREACH(r, &owner->ranges, next)
		if (r->start < lock->start && r->end > lock->end &&
				atomic_load(&table->nb_ranges) >= table->max_ranges)
			return -ENOLCK;
	rc = lock_spare_get(&spare);
	if (rc < 0)
		return rc;
	rc = lock_host_set(table, ln, owner, file, lock);
	if (rc == 0)
		*freed |= lock_cut(table, owner, lock, &spare);
	lock_spare_free(&spare);
	lock_owner_drop(table, ln, owner);
	return rc;
}

/* A guest has no more than are left, so that whatever it does there is room for the next one. */
static bool
lock_has_room(const struct lock_table *table, const struct lock_guest *of)
{
	return atomic_load(&table->nb_ranges) + of->nb_ranges + LOCK_GROWTH <= table->max_ranges;
}

static int
lock_grant(struct lock_table *table, struct lock_node *ln, const struct weir_file *file,
		const struct weir_lock *lock, bool *freed)
{
	struct lock_owner *owner = lock_owner_make(table, ln, lock);
	struct lock_spare spare;
	int rc;

	if (owner == NULL)
		return -ENOLCK;
	rc = lock_has_room(table, owner->of) ? lock_spare_get(&spare) : -ENOLCK;
	if (rc == 0) {
		rc = lock_host_set(table, ln, owner, file, lock);
		if (rc == 0) {
			*freed |= lock_weakens(owner, lock);
			lock_cut(table, owner, lock, &spare);
			lock_insert(table, owner, file, lock, &spare);
		}
		lock_spare_free(&spare);
	}
	lock_owner_drop(table, ln, owner);
	return rc;
}

bool
lock_table_leave(struct lock_table *table, struct weir_node *node, const struct weir_lock *lock)
{
	struct lock_node *ln = lock_node_find(table, node);
	struct lock_owner *owner = ln != NULL ? lock_owner_find(ln, lock) : NULL;

	if (owner == NULL || TAILQ_FIRST(&owner->ranges)->type == lock->type)
		return false;
	lock_owner_end(table, ln, owner);
	lock_node_drop(ln);
	return true;
}

int
lock_table_set(struct lock_table *table, struct weir_node *node, const struct weir_file *file,
		const struct weir_lock *lock, bool *freed)
{
	struct lock_node *ln = lock_node_make(table, node);
	int rc;

	if (ln == NULL)
		return -ENOLCK;
	if (lock->type == F_UNLCK)
		rc = lock_unset(table, ln, file, lock, freed);
	else if (lock_owner_in_way(TAILQ_FIRST(&ln->owners), lock) != NULL)
		rc = -EAGAIN;
	else
		rc = lock_grant(table, ln, file, lock, freed);
	lock_node_drop(ln);
	return rc;
}

int
lock_table_get(struct lock_table *table, struct weir_node *node, const struct weir_file *file,
		const struct weir_lock *lock, struct weir_lock *out)
{
	const struct lock_owner *by = lock_table_in_way(table, node, lock);
	struct lock_node *ln = lock_node_find(table, node);
	struct weir_lock_host none = { 0 };
	const struct lock_range *r;
	struct lock_owner *own;
	int rc = 0;

	if (by != NULL) {
		r = lock_owner_conflict(by, lock);
		*out = (struct weir_lock){
			.start = r->start,
			.end = r->end,
			.type = r->type,
			.pid = by->guest == lock->guest ? r->pid : 0,
		};
		return 0;
	}
	*out = *lock;
	out->type = F_UNLCK;
	if (table->host != NULL) {
		own = ln != NULL ? lock_owner_find(ln, lock) : NULL;
		rc = table->host->get(table->host_arg, own != NULL ? &own->host : &none, node, file,
				lock, out);
		if (own == NULL)
			table->host->end(table->host_arg, &none);
	}
	return rc;
}

bool
lock_table_end_owner(
		struct lock_table *table, struct weir_node *node, uint64_t guest, uint64_t owner)
{
	const struct weir_lock lock = { .guest = guest, .owner = owner };
	struct lock_node *ln = lock_node_find(table, node);
	struct lock_owner *lo = ln != NULL ? lock_owner_find(ln, &lock) : NULL;

	if (lo == NULL)
		return false;
	lock_owner_end(table, ln, lo);
	lock_node_drop(ln);
	return true;
}

/* The host must let go, too: where it will not, all of the owner's go. */
static bool
lock_owner_end_file(struct lock_table *table, struct lock_node *ln, struct lock_owner *owner,
		const struct weir_file *file)
{
	struct lock_range *r, *next;
	struct weir_lock lock = { .type = F_UNLCK, .flags = owner->kind };
	bool any = false;

	for (r = TAILQ_FIRST(&owner->ranges); r != NULL; r = next) {
		next = TAILQ_NEXT(r, next);
		if (r->file != file)
			continue;
		any = true;
		lock.start = r->start;
		lock.end = r->end;
		if (lock_host_set(table, ln, owner, file, &lock) < 0) {
			lock_owner_end(table, ln, owner);
			return true;
		}
		lock_range_free(table, owner, r);
	}
	lock_owner_drop(table, ln, owner);
	return any;
}

bool
lock_table_end_file(struct lock_table *table, struct weir_node *node, const struct weir_file *file)
{
	struct lock_node *ln = lock_node_find(table, node);
	struct lock_owner *owner, *next;
	bool any = false;

	if (ln == NULL)
		return false;
	for (owner = TAILQ_FIRST(&ln->owners); owner != NULL; owner = next) {
		next = TAILQ_NEXT(owner, next);
		any |= lock_owner_end_file(table, ln, owner, file);
	}
	lock_node_drop(ln);
	return any;
}
