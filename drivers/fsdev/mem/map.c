/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The content of regular files: a tree of page tables that grows at its root, with holes where
 * nothing was written. Bytes behind the end of the file in its last page are always zero.
 */

#include <errno.h>
#include <string.h>

#include "inode.h"

#define MAP_BITS  10
#define MAP_SLOTS (1u << MAP_BITS) /* of a uint32_t each: one page */

/* Pages under a table that has depth levels below it, itself included. */
static uint64_t
map_span(uint32_t depth)
{
	return UINT64_C(1) << (MAP_BITS * depth);
}

uint32_t
memfs_map_find(const struct memfs *fs, const struct memfs_inode *inode, uint64_t index)
{
	uint32_t depth = inode->map.depth;
	uint32_t page = inode->map.root;
	const uint32_t *table;

	if (index >= map_span(depth))
		return 0;
	for (; depth > 0 && page != 0; depth--) {
		table = mem_pool_at(&fs->pages, page);
		page = table[index >> (MAP_BITS * (depth - 1)) & (MAP_SLOTS - 1)];
	}
	return page;
}

static uint32_t
map_alloc_table(struct memfs *fs)
{
	uint32_t page = mem_pool_alloc(&fs->pages);

	if (page != 0)
		memset(mem_pool_at(&fs->pages, page), 0, MEMFS_PAGE_SIZE);
	return page;
}

/* Adds levels on top until index is within. Tables that were made stay when space runs out. */
static int
map_raise(struct memfs *fs, struct memfs_inode *inode, uint64_t index)
{
	uint32_t *table;
	uint32_t page;

	while (index >= map_span(inode->map.depth)) {
		if (inode->map.root != 0) {
			page = map_alloc_table(fs);
			if (page == 0)
				return -ENOSPC;
			table = mem_pool_at(&fs->pages, page);
			table[0] = inode->map.root;
			inode->map.root = page;
		}
		inode->map.depth++;
	}
	return 0;
}

/* Where the number of a page stands; the number is 0 in a hole. NULL when space runs out. */
static uint32_t *
map_slot(struct memfs *fs, struct memfs_inode *inode, uint64_t index)
{
	uint32_t *slot = &inode->map.root;
	uint32_t *table;
	uint32_t depth;

	if (map_raise(fs, inode, index) < 0)
		return NULL;
	for (depth = inode->map.depth; depth > 0; depth--) {
		if (*slot == 0)
			*slot = map_alloc_table(fs);
		if (*slot == 0)
			return NULL;
		table = mem_pool_at(&fs->pages, *slot);
		slot = &table[index >> (MAP_BITS * (depth - 1)) & (MAP_SLOTS - 1)];
	}
	return slot;
}

static bool
map_is_empty(const uint32_t *table)
{
	for (unsigned int i = 0; i < MAP_SLOTS; i++)
		if (table[i] != 0)
			return false;
	return true;
}

/*
 * Frees the pages from the from-th to before the to-th below a slot, and tables without any. So a
 * file has no more tables than pages, times its levels, and what is sought is not far.
 */
static void
map_cut(struct memfs *fs, struct memfs_inode *inode, uint32_t *slot, uint32_t depth, uint64_t from,
		uint64_t to)
{
	uint32_t *table = NULL;
	uint64_t span, i;

	if (*slot == 0 || from >= map_span(depth))
		return;
	if (depth > 0) {
		span = map_span(depth - 1);
		table = mem_pool_at(&fs->pages, *slot);
		for (i = from / span; i < MAP_SLOTS && i * span < to; i++)
			map_cut(fs, inode, &table[i], depth - 1, i == from / span ? from % span : 0,
					to - i * span);
	}
	if ((from > 0 || to < map_span(depth)) && !map_is_empty(table))
		return;
	mem_pool_free(&fs->pages, *slot);
	*slot = 0;
	if (depth == 0)
		inode->nb_pages--;
}

void
memfs_map_punch(struct memfs *fs, struct memfs_inode *inode, uint64_t from, uint64_t to)
{
	map_cut(fs, inode, &inode->map.root, inode->map.depth, from, to);
	if (inode->map.root == 0)
		inode->map.depth = 0;
}

uint64_t
memfs_map_next(const struct memfs *fs, const struct memfs_inode *inode, uint64_t index,
		uint64_t end, bool data)
{
	uint32_t page, depth;
	const uint32_t *table;

	while (index < end && index < map_span(inode->map.depth)) {
		page = inode->map.root;
		for (depth = inode->map.depth; depth > 0 && page != 0; depth--) {
			table = mem_pool_at(&fs->pages, page);
			page = table[index >> (MAP_BITS * (depth - 1)) & (MAP_SLOTS - 1)];
		}
		if ((page != 0) == data)
			return index;
		/* A hole is as long as what the missing table would have under it. */
		index = (index / map_span(depth) + 1) * map_span(depth);
	}
	return data ? end : RTE_MIN(index, end);
}

void
memfs_map_resize(struct memfs *fs, struct memfs_inode *inode, uint64_t size)
{
	uint32_t tail = size % MEMFS_PAGE_SIZE;
	uint32_t page;

	if (size <= inode->size) {
		memfs_map_punch(fs, inode, (size + MEMFS_PAGE_SIZE - 1) / MEMFS_PAGE_SIZE,
				UINT64_MAX);
		page = tail > 0 ? memfs_map_find(fs, inode, size / MEMFS_PAGE_SIZE) : 0;
		if (page != 0)
			memset((uint8_t *)mem_pool_at(&fs->pages, page) + tail, 0,
					MEMFS_PAGE_SIZE - tail);
	}
	inode->size = size;
}

int
memfs_read(struct memfs *fs, uint32_t ino, uint64_t off, uint32_t len, struct weir_iov *iov)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);
	uint64_t left = inode->size - RTE_MIN(off, inode->size);
	uint32_t done, n, in, page;
	const uint8_t *from;

	left = RTE_MIN(left, iov->left);
	len = (uint32_t)RTE_MIN(len, left);
	for (done = 0; done < len; done += n, off += n) {
		in = off % MEMFS_PAGE_SIZE;
		n = RTE_MIN(len - done, MEMFS_PAGE_SIZE - in);
		page = memfs_map_find(fs, inode, off / MEMFS_PAGE_SIZE);
		if (page == 0) {
			weir_iov_zero(iov, n);
		} else {
			from = mem_pool_at(&fs->pages, page);
			weir_iov_write(iov, from + in, n);
		}
	}
	memfs_accessed(inode);
	return (int)len;
}

uint8_t *
memfs_map_page(struct memfs *fs, struct memfs_inode *inode, uint64_t index)
{
	uint32_t *slot = map_slot(fs, inode, index);
	uint8_t *bytes;

	if (slot != NULL && *slot != 0)
		return mem_pool_at(&fs->pages, *slot);
	if (slot != NULL)
		*slot = mem_pool_alloc(&fs->pages);
	if (slot == NULL || *slot == 0) {
		/* The tables that were made for it go again. */
		memfs_map_punch(fs, inode, index, index + 1);
		return NULL;
	}
	inode->nb_pages++;
	bytes = mem_pool_at(&fs->pages, *slot);
	memset(bytes, 0, MEMFS_PAGE_SIZE);
	return bytes;
}

int
memfs_write(struct memfs *fs, uint32_t ino, uint64_t off, uint32_t len, struct weir_iov *iov)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);
	uint32_t done, n, in;
	uint8_t *to;

	len = (uint32_t)RTE_MIN(len, iov->left);
	if (len == 0)
		return 0;
	if (off >= MEMFS_MAX_FILE_SIZE)
		return -EFBIG;
	len = (uint32_t)RTE_MIN(len, MEMFS_MAX_FILE_SIZE - off);
	for (done = 0; done < len; done += n, off += n) {
		in = off % MEMFS_PAGE_SIZE;
		n = RTE_MIN(len - done, MEMFS_PAGE_SIZE - in);
		to = memfs_map_page(fs, inode, off / MEMFS_PAGE_SIZE);
		if (to == NULL)
			break;
		weir_iov_read(iov, to + in, n);
	}
	if (done == 0)
		return -ENOSPC;
	inode->size = RTE_MAX(inode->size, off);
	inode->mtime = memfs_now();
	inode->ctime = inode->mtime;
	return (int)done;
}
