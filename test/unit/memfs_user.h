/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef MEMFS_USER_H
#define MEMFS_USER_H

/* A file system in memory for each test, and guest memory for all of them: cmocka's fixtures. */

#include <sys/mman.h>
#include <unistd.h>

#include "../../drivers/fsdev/mem/memfs.h"

#define FS_SIZE   (8u << 20)
#define PAGE      MEMFS_PAGE_SIZE
#define GUEST_MEM (2u << 20)

static struct memfs *fs;
static struct weir_memmap *map;
static uint8_t *guest;

static inline int
setup(void **state)
{
	return memfs_create(FS_SIZE, &fs);
}

static inline int
teardown(void **state)
{
	memfs_destroy(fs);
	return 0;
}

static inline int
group_setup(void **state)
{
	struct weir_memmap_src src = { .size = GUEST_MEM, .fd = memfd_create("guest", 0) };
	int rc;

	if (src.fd < 0 || ftruncate(src.fd, GUEST_MEM) < 0)
		return -1;
	rc = weir_memmap_create(&src, 1, &map);
	close(src.fd);
	guest = rc == 0 ? map->regions[0].addr : NULL;
	return rc;
}

static inline int
group_teardown(void **state)
{
	weir_memmap_put(map);
	return 0;
}

/* The first len bytes of guest memory; good until the next call. */
static inline void
guest_iov(struct weir_iov *iov, uint32_t len)
{
	static struct weir_seg seg;

	seg = (struct weir_seg){ .len = len };
	weir_iov_init(iov, map, &seg, 1);
}

/* Into guest memory, of which len bytes are something else before. */
static inline int
do_read(uint32_t ino, uint64_t off, uint32_t len)
{
	struct weir_iov iov;

	memset(guest, 0xee, len);
	guest_iov(&iov, len);
	return memfs_read(fs, ino, off, len, &iov);
}

static inline int
do_truncate(uint32_t ino, uint64_t size)
{
	const struct weir_attr attr = { .size = size };

	return memfs_setattr(fs, ino, WEIR_SET_SIZE, &attr);
}

static inline struct weir_attr
attr_of(uint32_t ino)
{
	struct weir_attr attr;

	memfs_getattr(fs, ino, &attr);
	return attr;
}

static inline uint64_t
pages_free(void)
{
	struct weir_statfs st;

	memfs_statfs(fs, &st);
	return st.bfree;
}

#endif /* MEMFS_USER_H */
