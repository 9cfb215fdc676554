/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Ranges of regular files: space that is taken or given back, what is data, copies. */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inode.h"

/* Pages that one call fills: no more work than a large write. */
#define SLICE_PAGES 256

static uint64_t
page_of(uint64_t off)
{
	return off / MEMFS_PAGE_SIZE;
}

static void
range_changed(struct memfs_inode *inode)
{
	inode->mtime = memfs_now();
	inode->ctime = inode->mtime;
}

/* Zeroes bytes of one page, where it is there. */
static void
range_zero(struct memfs *fs, struct memfs_inode *inode, uint64_t off, uint64_t len)
{
	uint32_t page = memfs_map_find(fs, inode, page_of(off));
	uint8_t *bytes;

	if (page == 0)
		return;
	bytes = mem_pool_at(&fs->pages, page);
	memset(bytes + off % MEMFS_PAGE_SIZE, 0, len);
}

/* Gives whole pages back and zeroes the rest. */
static void
range_punch(struct memfs *fs, struct memfs_inode *inode, uint64_t off, uint64_t end)
{
	uint64_t first = page_of(off + MEMFS_PAGE_SIZE - 1), last = page_of(end);

	if (first > last) {
		range_zero(fs, inode, off, end - off);
		return;
	}
	range_zero(fs, inode, off, first * MEMFS_PAGE_SIZE - off);
	if (end % MEMFS_PAGE_SIZE != 0)
		range_zero(fs, inode, last * MEMFS_PAGE_SIZE, end % MEMFS_PAGE_SIZE);
	if (first < last)
		memfs_map_punch(fs, inode, first, last);
}

/* Takes a page for each hole, from *pos on. 0, or -EAGAIN after a slice. */
static int
range_fill(struct memfs *fs, struct memfs_inode *inode, uint64_t off, uint64_t end, uint64_t *pos)
{
	uint64_t index = page_of(off + *pos), last = page_of(end + MEMFS_PAGE_SIZE - 1);
	uint64_t stop = RTE_MIN(last, index + SLICE_PAGES);

	/* What cannot fit fails before it takes all that others could have. */
	if (*pos == 0 && last - index > inode->nb_pages + fs->pages.nb_recs - fs->pages.nb_used)
		return -ENOSPC;
	for (; index < stop; index++)
		if (memfs_map_page(fs, inode, index) == NULL)
			return -ENOSPC;
	*pos = index * MEMFS_PAGE_SIZE - off;
	return index < last ? -EAGAIN : 0;
}

int
memfs_fallocate(struct memfs *fs, uint32_t ino, uint32_t mode, uint64_t off, uint64_t len,
		uint64_t *pos)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);
	uint32_t what = mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE;
	bool keep = (mode & FALLOC_FL_KEEP_SIZE) != 0;
	uint64_t end = off + len;
	int rc = 0;

	if (what != 0 && what != FALLOC_FL_ZERO_RANGE && (what != FALLOC_FL_PUNCH_HOLE || !keep))
		return -EOPNOTSUPP;
	if (end > MEMFS_MAX_FILE_SIZE)
		return -EFBIG;
	if (what != 0 && *pos == 0)
		range_punch(fs, inode, off, end);
	if (what != FALLOC_FL_PUNCH_HOLE)
		rc = range_fill(fs, inode, off, end, pos);
	if (rc == 0 && !keep)
		inode->size = RTE_MAX(inode->size, end);
	range_changed(inode);
	return rc;
}

/* One piece within a page of each file. 0 or -ENOSPC. */
static int
copy_piece(struct memfs *fs, struct memfs_inode *from, uint64_t off, struct memfs_inode *to,
		uint64_t newoff, uint32_t n)
{
	uint32_t page = memfs_map_find(fs, from, page_of(off));
	const uint8_t *bytes;
	uint8_t *dest;

	if (page == 0) {
		range_zero(fs, to, newoff, n);
		return 0;
	}
	dest = memfs_map_page(fs, to, page_of(newoff));
	if (dest == NULL)
		return -ENOSPC;
	bytes = mem_pool_at(&fs->pages, page);
	memcpy(dest + newoff % MEMFS_PAGE_SIZE, bytes + off % MEMFS_PAGE_SIZE, n);
	return 0;
}

static bool
copy_overlaps(const struct memfs_copy *copy)
{
	return copy->ino == copy->newino && copy->off < copy->newoff + copy->len &&
			copy->newoff < copy->off + copy->len;
}

int
memfs_copy(struct memfs *fs, const struct memfs_copy *copy, uint64_t *pos)
{
	struct memfs_inode *from = memfs_inode(fs, copy->ino), *to = memfs_inode(fs, copy->newino);
	uint64_t left = from->size - RTE_MIN(copy->off, from->size), off, newoff, n;
	unsigned int pieces = 0;
	int rc = 0;

	if (copy_overlaps(copy))
		return -EINVAL;
	left = RTE_MIN(left, copy->len);
	if (left > 0 && copy->newoff >= MEMFS_MAX_FILE_SIZE)
		return -EFBIG;
	left = RTE_MIN(left, MEMFS_MAX_FILE_SIZE - copy->newoff);
	while (rc == 0 && *pos < left) {
		if (pieces++ == SLICE_PAGES)
			return -EAGAIN;
		off = copy->off + *pos;
		newoff = copy->newoff + *pos;
		n = MEMFS_PAGE_SIZE - RTE_MAX(off % MEMFS_PAGE_SIZE, newoff % MEMFS_PAGE_SIZE);
		n = RTE_MIN(n, left - *pos);
		rc = copy_piece(fs, from, off, to, newoff, (uint32_t)n);
		if (rc < 0)
			break;
		*pos += n;
		to->size = RTE_MAX(to->size, newoff + n);
	}
	if (*pos == 0)
		return rc;
	memfs_accessed(from);
	range_changed(to);
	return (int)*pos;
}

int
memfs_seek(struct memfs *fs, uint32_t ino, uint64_t off, uint32_t whence, uint64_t *out)
{
	const struct memfs_inode *inode = memfs_inode(fs, ino);
	bool data = whence == SEEK_DATA;
	uint64_t end, found;

	if (off >= inode->size)
		return -ENXIO;
	end = page_of(inode->size + MEMFS_PAGE_SIZE - 1);
	found = memfs_map_next(fs, inode, page_of(off), end, data);
	if (data && found == end)
		return -ENXIO;
	/* The end of a file counts as a hole. */
	found = RTE_MAX(found * MEMFS_PAGE_SIZE, off);
	*out = RTE_MIN(found, inode->size);
	return 0;
}
