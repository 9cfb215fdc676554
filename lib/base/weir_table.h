/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_TABLE_H
#define WEIR_TABLE_H

/**
 * @file
 * A table of fixed-size records that are named by handles: an index and a generation, so that a
 * stale or forged handle is told from a good one. It is a virtual range reserved at create over a
 * memory file; control extends it chunk by chunk ahead of the workers, which never allocate, and
 * gives unused chunks back. Records therefore hold no pointer and no descriptor number.
 *
 * A record lives as long as its reference count is above 0. Its generation changes when it is
 * freed, so weir_table_get() with an old handle fails. All functions marked "lock-free" may be
 * called from any thread, several at a time.
 *
 * A handle is generation << 32 | index, the generation is never 0: no valid handle is below 2^32.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir_role.h"

struct weir_table;

struct weir_table_cfg {
	const char *name; /**< for the memory file, copied */
	uint32_t rec_size; /**< bytes of one record, at most 1 MiB, rounded up to 8 */
	uint32_t max_recs; /**< most records ever, below 2^31; only address space is reserved */
	/** Records by which the table grows; 0: a good default. Rounded up to a power of two and to
	 * whole pages. */
	uint32_t chunk_recs;
};

/** Reserves the range and fills the first chunk. Control. @return 0, -EINVAL, -ENOMEM or errno. */
int weir_table_create(const struct weir_table_cfg *cfg, struct weir_table **out);

/** Unmaps all. Nobody uses the table any more. Control. NULL is allowed. */
void weir_table_destroy(struct weir_table *table);

/**
 * The memory file, for a process that mirrors the table or takes it over. It stays the table's. All
 * that changes is in it; its layout follows from the configuration.
 */
int weir_table_fd(const struct weir_table *table);

/**
 * Takes a free record, zeroed, with one reference. Lock-free.
 *
 * It can be found from here on, by a walker or by a handle that somebody guessed: what must not be
 * seen half made needs a mark of its own in the record.
 *
 * @param handle  receives its handle. @param rec  receives its address.
 * @return 0; -EAGAIN when control has not extended the table yet (try again after
 *   weir_table_maintain() ran); -ENFILE when max_recs are in use.
 */
int weir_table_alloc(struct weir_table *table, uint64_t *handle, void **rec);

/**
 * The record of a handle, with one more reference; NULL when the handle names none. Lock-free.
 * A record that was given 2^32 - 1 references at once stays for good.
 */
void *weir_table_get(struct weir_table *table, uint64_t handle);

/** One more reference to a record that the caller already has one of. Lock-free. */
void weir_table_ref(struct weir_table *table, void *rec);

/**
 * Drops a reference. Lock-free.
 *
 * @return true when it was the last one: the record can no longer be found, its contents are still
 *   there, and the caller must call weir_table_free() when it is done with them.
 */
bool weir_table_put(struct weir_table *table, void *rec);

/** Gives a record back whose last reference weir_table_put() reported. Lock-free. */
void weir_table_free(struct weir_table *table, void *rec);

/** The handle of a record, valid while the caller has a reference. */
uint64_t weir_table_handle(const struct weir_table *table, const void *rec);

/** Index part of a handle: below max_recs for every valid handle. */
static inline uint32_t
weir_table_index(uint64_t handle)
{
	return (uint32_t)handle;
}

/** The record at an index with one more reference, or NULL where none lives. For walkers. */
void *weir_table_get_index(struct weir_table *table, uint32_t index);

/**
 * The address of a record by index, referenced or not. Takes no reference: the caller knows that
 * the record was allocated and not given back by weir_table_free() yet, by its own means (it holds
 * the last word on freeing, or is inside an RCU section that began before). Lock-free.
 */
void *weir_table_at(const struct weir_table *table, uint32_t index);

/** Indexes from this on have never been used: where a walk may end. */
uint32_t weir_table_end(const struct weir_table *table);

/** Records in use. */
uint32_t weir_table_used(const struct weir_table *table);

/**
 * Extends the table when few records are free, and gives memory of wholly free chunks back when
 * many are. Control calls it often (the control loop's tick); it costs nothing when nothing is due.
 *
 * @return 0, or -ENOMEM when the system gave no memory (workers then see -EAGAIN).
 */
int weir_table_maintain(struct weir_table *table);

/**
 * True when few free records are left: workers poke control to run weir_table_maintain() soon.
 * Lock-free.
 */
bool weir_table_is_low(const struct weir_table *table);

#endif /* WEIR_TABLE_H */
