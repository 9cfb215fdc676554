/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_debug.h>

#include "weir_table.h"

#define TABLE_MAX_REC_SIZE   (1u << 20)
#define TABLE_DEF_CHUNK_SIZE (1u << 20)
/* Memory goes back while more than so many chunks' worth of records are free. */
#define TABLE_KEEP_CHUNKS 3u
/* In one round of maintenance, so that control is not held up. */
#define TABLE_MAX_LOOKED_AT 64u
#define TABLE_MAX_RECLAIMED 4u
/* Headers in a cache line. */
#define TABLE_LANES (RTE_CACHE_LINE_SIZE / (uint32_t)sizeof(struct table_header))

/*
 * The file holds struct table_shared, the chunks, the headers and the records, in this order: all
 * that changes, and no pointer. Headers keep their memory for ever, so that a generation is never
 * forgotten and a free list may be followed by a worker that comes too late.
 */
struct table_shared {
	/* Written by all who allocate and free. */
	_Atomic uint32_t nb_used;
	_Atomic uint32_t first; /* a hint: the chunks before it have nothing free */

	/* Written by control, read by all. */
	_Atomic uint32_t nb_chunks __rte_cache_aligned; /* used so far */
	_Atomic uint32_t nb_ready; /* records that have memory */
};

/*
 * Each chunk has its own free list, so that control can take one chunk away while workers go on
 * with the others. Workers prefer the first chunk with a free record, so the last ones drain.
 */
struct table_chunk {
	/* tag << 32 | index + 1 of the first free record. The tag counts removals: a record that
	 * was taken and came back meanwhile is told from one that never left. */
	_Atomic uint64_t free;
	_Atomic uint32_t nb_used;
	uint32_t ready; /* control's: has memory */
} __rte_cache_aligned;

struct table_header {
	_Atomic uint64_t state; /* generation << 32 | references */
	_Atomic uint32_t next; /* in the free list: index + 1, 0 ends it */
	uint32_t reserved;
};

struct weir_table {
	struct table_shared *shared; /* the start of the file */
	struct table_chunk *chunks;
	struct table_header *headers;
	uint8_t *recs;
	uint32_t rec_size; /* odd << rec_shift, and rec_inverse is that of odd, modulo 2^64 */
	uint32_t rec_shift;
	uint64_t rec_inverse;
	uint32_t max_recs;
	uint32_t max_chunks;
	uint32_t chunk_recs; /* 1 << chunk_shift */
	uint32_t chunk_shift;
	uint32_t reclaim_at; /* control's: the chunk looked at last */
	size_t page;
	size_t size;
	int fd;
};

static void *
table_rec(const struct weir_table *table, uint32_t index)
{
	return table->recs + (size_t)index * table->rec_size;
}

static uint32_t
table_index(const struct weir_table *table, const void *rec)
{
	uint64_t off = (uint64_t)((const uint8_t *)rec - table->recs);

	/* Records lie at multiples of rec_size, so that this division is a multiplication. */
	return (uint32_t)((off >> table->rec_shift) * table->rec_inverse);
}

static struct table_header *
table_header(const struct weir_table *table, const void *rec)
{
	return &table->headers[table_index(table, rec)];
}

static uint32_t
table_chunk_recs(const struct weir_table *table, uint32_t c)
{
	return RTE_MIN(table->chunk_recs, table->max_recs - (c << table->chunk_shift));
}

/* Free records. The two counts are not read at once, so it may be off, below 0 even. */
static int64_t
table_nb_free(const struct weir_table *table)
{
	uint32_t ready = atomic_load_explicit(&table->shared->nb_ready, memory_order_relaxed);

	return (int64_t)ready - weir_table_used(table);
}

/* Takes the first free record of a chunk. Returns its index + 1, 0 when there is none. */
static uint32_t
table_pop(struct weir_table *table, struct table_chunk *chunk)
{
	uint64_t head = atomic_load_explicit(&chunk->free, memory_order_acquire);
	uint64_t rest;
	uint32_t next;

	do {
		if ((uint32_t)head == 0)
			return 0;
		/* Not ours yet: it may be taken and change now, and then the exchange fails. */
		next = atomic_load_explicit(
				&table->headers[(uint32_t)head - 1].next, memory_order_relaxed);
		rest = ((head >> 32) + 1) << 32 | next;
	} while (!atomic_compare_exchange_weak_explicit(
			&chunk->free, &head, rest, memory_order_acquire, memory_order_acquire));
	return (uint32_t)head;
}

/* Takes all free records of a chunk. Returns the index + 1 of the first, 0 when there is none. */
static uint32_t
table_take(struct table_chunk *chunk)
{
	uint64_t head = atomic_load_explicit(&chunk->free, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(&chunk->free, &head, ((head >> 32) + 1) << 32,
			memory_order_acquire, memory_order_relaxed))
		;
	return (uint32_t)head;
}

/* Gives a chunk the free records from first to last, which are linked already. */
static void
table_push(struct weir_table *table, uint32_t c, uint32_t first, uint32_t last)
{
	_Atomic uint32_t *next = &table->headers[last].next;
	struct table_chunk *chunk = &table->chunks[c];
	uint64_t head = atomic_load_explicit(&chunk->free, memory_order_relaxed);
	uint32_t hint;

	do
		atomic_store_explicit(next, (uint32_t)head, memory_order_relaxed);
	/* Pairs with table_pop() and table_take(). */
	while (!atomic_compare_exchange_weak_explicit(&chunk->free, &head,
			(head >> 32) << 32 | (first + 1), memory_order_release,
			memory_order_relaxed));

	hint = atomic_load_explicit(&table->shared->first, memory_order_relaxed);
	while (c < hint &&
			!atomic_compare_exchange_weak_explicit(&table->shared->first, &hint, c,
					memory_order_relaxed, memory_order_relaxed))
		;
}

/* Gives the pages around a part of the file memory, now and not at a worker's first access. */
static int
table_populate(struct weir_table *table, void *addr, size_t len)
{
	uint8_t *base = (uint8_t *)table->shared;
	size_t off = (size_t)((uint8_t *)addr - base);
	size_t end = RTE_ALIGN_CEIL(off + len, table->page);

	off = RTE_ALIGN_FLOOR(off, table->page);
	if (madvise(base + off, end - off, MADV_POPULATE_WRITE) == 0)
		return 0;
	/* Linux before 5.14: the pages are there, a worker only has to map them. */
	if (errno == EINVAL && fallocate(table->fd, 0, (off_t)off, (off_t)(end - off)) == 0)
		return 0;
	return -ENOMEM;
}

/*
 * Links the records of a fresh chunk so that those allocated one after the other are neighbours in no
 * cache line: two files in use by two workers would slow each other down. Returns the last one; it is
 * for table_push() to end the list there.
 */
static uint32_t
table_link(struct weir_table *table, uint32_t first, uint32_t nb)
{
	struct table_header *header = &table->headers[first];
	const uint32_t lane = RTE_MIN(TABLE_LANES, nb) - 1;
	uint32_t i, next;

	for (i = 0; i < nb; i++) {
		next = i + TABLE_LANES < nb ? i + TABLE_LANES : i % TABLE_LANES + 1;
		atomic_store_explicit(&header[i].next, first + next + 1, memory_order_relaxed);
	}
	return first + RTE_ALIGN_FLOOR(nb - 1 - lane, TABLE_LANES) + lane;
}

/* Gives a chunk memory and its records to the workers. */
static int
table_extend(struct weir_table *table, uint32_t c)
{
	uint32_t first = c << table->chunk_shift, nb = table_chunk_recs(table, c), i;
	struct table_header *header = &table->headers[first];
	struct table_shared *shared = table->shared;

	if (table_populate(table, header, nb * sizeof(*header)) < 0)
		return -ENOMEM;
	if (table_populate(table, table_rec(table, first), (size_t)nb * table->rec_size) < 0)
		return -ENOMEM;

	for (i = 0; i < nb; i++) {
		if (atomic_load_explicit(&header[i].state, memory_order_relaxed) == 0)
			atomic_store_explicit(&header[i].state, 1ull << 32, memory_order_relaxed);
	}
	table->chunks[c].ready = 1;
	atomic_fetch_add_explicit(&shared->nb_ready, nb, memory_order_relaxed);
	/* Pairs with weir_table_end(): below it all headers are good. */
	if (c == atomic_load_explicit(&shared->nb_chunks, memory_order_relaxed))
		atomic_store_explicit(&shared->nb_chunks, c + 1, memory_order_release);
	table_push(table, c, first, table_link(table, first, nb));
	return 0;
}

/* The chunk to extend next: one that gave its memory back, else a fresh one; max_chunks: none. */
static uint32_t
table_unready(const struct weir_table *table)
{
	uint32_t c, nb = atomic_load_explicit(&table->shared->nb_chunks, memory_order_relaxed);

	for (c = 0; c < nb && table->chunks[c].ready; c++)
		;
	return c;
}

/* Gives the memory of a chunk back if nobody uses any of its records. Returns 1 if it did. */
static unsigned int
table_reclaim(struct weir_table *table, uint32_t c)
{
	uint32_t i, first, last = 0, nb = 0, all = table_chunk_recs(table, c);
	struct table_chunk *chunk = &table->chunks[c];
	size_t off = (size_t)c * table->chunk_recs * table->rec_size;

	if (!chunk->ready || atomic_load_explicit(&chunk->nb_used, memory_order_relaxed) != 0)
		return 0;

	/* What is off the list cannot be allocated: if that is all of it, the chunk is ours. */
	first = table_take(chunk);
	for (i = first; i != 0; nb++) {
		last = i - 1;
		i = atomic_load_explicit(&table->headers[last].next, memory_order_relaxed);
	}
	off += (size_t)(table->recs - (uint8_t *)table->shared);
	if (nb == all &&
			fallocate(table->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
					(off_t)table->chunk_recs * table->rec_size) == 0) {
		chunk->ready = 0;
		atomic_fetch_sub_explicit(&table->shared->nb_ready, nb, memory_order_relaxed);
		return 1;
	}
	if (nb > 0)
		table_push(table, c, first - 1, last);
	return 0;
}

static void
table_give_back(struct weir_table *table)
{
	const int64_t keep = (int64_t)TABLE_KEEP_CHUNKS * table->chunk_recs;
	uint32_t nb = atomic_load_explicit(&table->shared->nb_chunks, memory_order_relaxed);
	uint32_t looked_at = RTE_MIN(nb, TABLE_MAX_LOOKED_AT);
	unsigned int done = 0;

	while (looked_at-- > 0 && done < TABLE_MAX_RECLAIMED && table_nb_free(table) > keep) {
		table->reclaim_at = (table->reclaim_at > 0 ? table->reclaim_at : nb) - 1;
		done += table_reclaim(table, table->reclaim_at);
	}
}

int
weir_table_maintain(struct weir_table *table)
{
	uint32_t c;
	int rc;

	while (table_nb_free(table) < table->chunk_recs) {
		c = table_unready(table);
		if (c == table->max_chunks)
			return 0;
		rc = table_extend(table, c);
		if (rc < 0)
			return rc;
	}
	table_give_back(table);
	return 0;
}

/* Newton's iteration: an odd number is its own inverse modulo 8, and each step doubles the bits. */
static void
table_size_recs(struct weir_table *table, uint32_t rec_size)
{
	uint64_t odd, inverse;

	table->rec_size = RTE_ALIGN_CEIL(rec_size, 8u);
	table->rec_shift = rte_bsf32(table->rec_size);
	odd = table->rec_size >> table->rec_shift;
	for (inverse = odd; odd * inverse != 1; inverse *= 2 - odd * inverse)
		;
	table->rec_inverse = inverse;
}

/* A chunk is a power of two of records, for the index arithmetic, and whole pages, for giving back. */
static void
table_size_chunks(struct weir_table *table, uint32_t wanted)
{
	size_t lowest_bit = table->rec_size & -table->rec_size;
	uint32_t least = (uint32_t)(table->page / RTE_MIN(table->page, lowest_bit));

	if (wanted == 0)
		wanted = TABLE_DEF_CHUNK_SIZE / table->rec_size;
	wanted = RTE_MIN(wanted, table->max_recs);
	wanted = RTE_MIN(wanted, 1u << 30);
	table->chunk_recs = RTE_MAX(rte_align32pow2(wanted), least);
	table->chunk_shift = rte_bsf32(table->chunk_recs);
	table->max_chunks = (table->max_recs - 1) / table->chunk_recs + 1;
}

static int
table_map(struct weir_table *table, const char *name)
{
	size_t nb_recs = (size_t)table->max_chunks * table->chunk_recs;
	size_t headers_at, recs_at;
	uint8_t *base;

	headers_at = RTE_ALIGN_CEIL(sizeof(struct table_shared) +
					table->max_chunks * sizeof(struct table_chunk),
			table->page);
	recs_at = RTE_ALIGN_CEIL(headers_at + nb_recs * sizeof(struct table_header), table->page);
	table->size = recs_at + nb_recs * table->rec_size;

	table->fd = memfd_create(name, MFD_CLOEXEC);
	if (table->fd < 0)
		return -errno;
	/* All is sparse: only what control populates takes memory. */
	if (ftruncate(table->fd, (off_t)table->size) < 0)
		return -errno;
	base = mmap(NULL, table->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			table->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	table->shared = (struct table_shared *)base;
	table->chunks = (struct table_chunk *)(base + sizeof(struct table_shared));
	table->headers = (struct table_header *)(base + headers_at);
	table->recs = base + recs_at;
	return table_populate(table, base, headers_at);
}

int
weir_table_create(const struct weir_table_cfg *cfg, struct weir_table **out)
{
	struct weir_table *table;
	int rc;

	if (cfg->rec_size == 0 || cfg->rec_size > TABLE_MAX_REC_SIZE)
		return -EINVAL;
	if (cfg->max_recs == 0 || cfg->max_recs > INT32_MAX)
		return -EINVAL;
	table = calloc(1, sizeof(*table));
	if (table == NULL)
		return -ENOMEM;

	table->fd = -1;
	table->page = (size_t)sysconf(_SC_PAGESIZE);
	table_size_recs(table, cfg->rec_size);
	table->max_recs = cfg->max_recs;
	table_size_chunks(table, cfg->chunk_recs);
	rc = table_map(table, cfg->name);
	if (rc == 0)
		rc = table_extend(table, 0);
	if (rc < 0) {
		weir_table_destroy(table);
		return rc;
	}
	*out = table;
	return 0;
}

void
weir_table_destroy(struct weir_table *table)
{
	if (table == NULL)
		return;
	if (table->shared != NULL)
		munmap(table->shared, table->size);
	if (table->fd >= 0)
		close(table->fd);
	free(table);
}

int
weir_table_fd(const struct weir_table *table)
{
	return table->fd;
}

/* Takes a free record of any chunk, the hinted one first. Returns its index + 1, 0: none. */
static uint32_t
table_find_free(struct weir_table *table)
{
	struct table_shared *shared = table->shared;
	uint32_t hint = atomic_load_explicit(&shared->first, memory_order_relaxed);
	uint32_t nb = atomic_load_explicit(&shared->nb_chunks, memory_order_acquire);
	uint32_t c = hint, i, taken;

	for (i = 0; i < nb; i++) {
		taken = table_pop(table, &table->chunks[c]);
		if (taken != 0) {
			/* May hide a record that comes free before c just now, from the hint only. */
			if (c != hint)
				atomic_compare_exchange_strong_explicit(&shared->first, &hint, c,
						memory_order_relaxed, memory_order_relaxed);
			return taken;
		}
		c = c + 1 < nb ? c + 1 : 0;
	}
	return 0;
}

int
weir_table_alloc(struct weir_table *table, uint64_t *handle, void **rec)
{
	uint32_t index, taken = 0;
	_Atomic uint64_t *state;
	uint64_t generation;

	if (table_nb_free(table) > 0)
		taken = table_find_free(table);
	if (taken == 0)
		return weir_table_used(table) >= table->max_recs ? -ENFILE : -EAGAIN;

	index = taken - 1;
	atomic_fetch_add_explicit(&table->chunks[index >> table->chunk_shift].nb_used, 1,
			memory_order_relaxed);
	atomic_fetch_add_explicit(&table->shared->nb_used, 1, memory_order_relaxed);
	*rec = table_rec(table, index);
	memset(*rec, 0, table->rec_size);

	/* From here on it can be found. Pairs with table_try_get(). */
	state = &table->headers[index].state;
	generation = atomic_load_explicit(state, memory_order_relaxed) >> 32;
	atomic_store_explicit(state, generation << 32 | 1, memory_order_release);
	*handle = generation << 32 | index;
	return 0;
}

void
weir_table_free(struct weir_table *table, void *rec)
{
	uint32_t index = table_index(table, rec), c = index >> table->chunk_shift;
	_Atomic uint64_t *state = &table->headers[index].state;
	uint32_t generation = (uint32_t)(atomic_load_explicit(state, memory_order_relaxed) >> 32);

	/* Without a reference nobody else changes the state. Generation 0 is left out. */
	generation = generation < UINT32_MAX ? generation + 1 : 1;
	atomic_store_explicit(state, (uint64_t)generation << 32, memory_order_relaxed);
	/* Before the record can be taken again, so that no count goes below 0. */
	atomic_fetch_sub_explicit(&table->chunks[c].nb_used, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&table->shared->nb_used, 1, memory_order_relaxed);
	table_push(table, c, index, index);
}

/* One more reference unless there is none. A count at its top stays there for good. */
static bool
table_try_get(_Atomic uint64_t *state, uint64_t seen)
{
	uint64_t generation = seen >> 32;

	while ((uint32_t)seen != 0 && seen >> 32 == generation) {
		if ((uint32_t)seen == UINT32_MAX)
			return true;
		if (atomic_compare_exchange_weak_explicit(state, &seen, seen + 1,
				    memory_order_acquire, memory_order_relaxed))
			return true;
	}
	return false;
}

void *
weir_table_get(struct weir_table *table, uint64_t handle)
{
	uint32_t index = weir_table_index(handle);
	_Atomic uint64_t *state;
	uint64_t seen;

	if (index >= weir_table_end(table))
		return NULL;
	state = &table->headers[index].state;
	seen = atomic_load_explicit(state, memory_order_acquire);
	if (seen >> 32 != handle >> 32 || !table_try_get(state, seen))
		return NULL;
	return table_rec(table, index);
}

void *
weir_table_get_index(struct weir_table *table, uint32_t index)
{
	_Atomic uint64_t *state;

	if (index >= weir_table_end(table))
		return NULL;
	state = &table->headers[index].state;
	if (!table_try_get(state, atomic_load_explicit(state, memory_order_acquire)))
		return NULL;
	return table_rec(table, index);
}

void
weir_table_ref(struct weir_table *table, void *rec)
{
	_Atomic uint64_t *state = &table_header(table, rec)->state;
	bool held = table_try_get(state, atomic_load_explicit(state, memory_order_relaxed));

	RTE_ASSERT(held);
	RTE_SET_USED(held);
}

bool
weir_table_put(struct weir_table *table, void *rec)
{
	_Atomic uint64_t *state = &table_header(table, rec)->state;
	uint64_t seen = atomic_load_explicit(state, memory_order_relaxed);

	do {
		RTE_ASSERT((uint32_t)seen != 0);
		if ((uint32_t)seen == UINT32_MAX)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
			state, &seen, seen - 1, memory_order_acq_rel, memory_order_relaxed));
	return (uint32_t)seen == 1;
}

uint64_t
weir_table_handle(const struct weir_table *table, const void *rec)
{
	uint32_t index = table_index(table, rec);
	uint64_t state = atomic_load_explicit(&table->headers[index].state, memory_order_relaxed);

	return state >> 32 << 32 | index;
}

void *
weir_table_at(const struct weir_table *table, uint32_t index)
{
	return table_rec(table, index);
}

uint32_t
weir_table_end(const struct weir_table *table)
{
	uint32_t nb = atomic_load_explicit(&table->shared->nb_chunks, memory_order_acquire);

	return RTE_MIN(nb << table->chunk_shift, table->max_recs);
}

uint32_t
weir_table_used(const struct weir_table *table)
{
	return atomic_load_explicit(&table->shared->nb_used, memory_order_relaxed);
}

bool
weir_table_is_low(const struct weir_table *table)
{
	uint32_t ready = atomic_load_explicit(&table->shared->nb_ready, memory_order_relaxed);

	return ready < table->max_recs && table_nb_free(table) <= table->chunk_recs / 2;
}
