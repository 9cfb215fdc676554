/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "pool.h"

int
mem_pool_init(struct mem_pool *pool, size_t rec_size, uint32_t nb_recs)
{
	void *base = mmap(NULL, rec_size * nb_recs, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return -errno;
	*pool = (struct mem_pool){
		.base = base,
		.rec_size = rec_size,
		.nb_recs = nb_recs,
		.end = 1,
	};
	return 0;
}

void
mem_pool_fini(struct mem_pool *pool)
{
	if (pool->base != NULL)
		munmap(pool->base, pool->rec_size * pool->nb_recs);
	pool->base = NULL;
}

uint32_t
mem_pool_alloc(struct mem_pool *pool)
{
	uint32_t index = pool->free;

	if (index != 0)
		memcpy(&pool->free, mem_pool_at(pool, index), sizeof(pool->free));
	else if (pool->end <= pool->nb_recs)
		index = pool->end++;
	else
		return 0;
	pool->nb_used++;
	return index;
}

void
mem_pool_free(struct mem_pool *pool, uint32_t index)
{
	memcpy(mem_pool_at(pool, index), &pool->free, sizeof(pool->free));
	pool->free = index;
	pool->nb_used--;
}
