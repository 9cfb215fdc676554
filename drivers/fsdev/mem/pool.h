/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef MEM_POOL_H
#define MEM_POOL_H

#include <stddef.h>
#include <stdint.h>

/*
 * Records of one size, named by index from 1 on; 0 names none. Records that were never used are
 * zero and take no memory; a record that was freed keeps its memory for the next one.
 */
struct mem_pool {
	uint8_t *base;
	size_t rec_size;
	uint32_t nb_recs;
	uint32_t nb_used;
	uint32_t end; /* records from here on were never used */
	uint32_t free; /* list of freed ones, linked through their first bytes */
};

/* 0, or -errno of mmap. */
int mem_pool_init(struct mem_pool *pool, size_t rec_size, uint32_t nb_recs);
void mem_pool_fini(struct mem_pool *pool);

/* Returns 0 when all are in use. The contents are whatever they were. */
uint32_t mem_pool_alloc(struct mem_pool *pool);
void mem_pool_free(struct mem_pool *pool, uint32_t index);

static inline void *
mem_pool_at(const struct mem_pool *pool, uint32_t index)
{
	return pool->base + (index - 1) * pool->rec_size;
}

static inline uint32_t
mem_pool_index(const struct mem_pool *pool, const void *rec)
{
	return (uint32_t)((size_t)((const uint8_t *)rec - pool->base) / pool->rec_size) + 1;
}

#endif /* MEM_POOL_H */
