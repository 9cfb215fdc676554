/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef MEM_INODE_H
#define MEM_INODE_H

/* What the files of memfs share. */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <rte_common.h>

#include "memfs.h"
#include "pool.h"

struct memfs_inode {
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid, gid;
	uint32_t rdev;
	uint32_t refs;
	uint64_t size;
	uint64_t nb_pages;
	struct timespec atime, mtime, ctime, btime;
	uint32_t iflags; /* FS_..._FL */
	bool linkable; /* without a name, and may get one */
	uint32_t xattrs; /* first page of the extended attributes, 0 for none */
	uint32_t xattrs_len;
	union {
		struct {
			uint32_t parent;
			uint32_t first, last; /* entries, in order of their cookies */
			uint32_t nb_dirs; /* among them */
			uint64_t next_cookie;
		} dir;
		struct {
			uint32_t root; /* page of the top level, 0 for none */
			uint32_t depth; /* levels of page tables above the pages */
		} map;
		uint32_t target; /* page with the text of a symbolic link */
	};

	/* Written by whoever puts later, and by the user when it settles. */
	uint32_t late_puts;
	uint32_t late_next;
};

struct memfs_name {
	uint64_t cookie; /* unique in its directory for all time */
	uint32_t dir;
	uint32_t ino;
	uint32_t prev, next; /* in the directory */
	uint32_t hash_next;
	uint32_t len;
	char text[NAME_MAX + 1];
};

struct memfs {
	struct mem_pool inodes;
	struct mem_pool names;
	struct mem_pool pages;
	uint32_t *buckets; /* names by directory and text */
	uint32_t bucket_mask;
	struct memfs_scratch *scratch;
	uint64_t seed;

	/* Inodes with late_puts: pushed by the one who puts later, taken by the user. */
	uint32_t late __rte_cache_aligned;
};

static inline struct memfs_inode *
memfs_inode(const struct memfs *fs, uint32_t ino)
{
	return mem_pool_at(&fs->inodes, ino);
}

static inline struct timespec
memfs_now(void)
{
	struct timespec now;

	/* Answered by the vDSO, without a system call. */
	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

/* A read happened: moves atime as mount option relatime has it. */
void memfs_accessed(struct memfs_inode *inode);

/* A zeroed inode with times, no name yet and no reference; 0 when there is none left. */
uint32_t memfs_inode_alloc(struct memfs *fs, const struct memfs_new *what);
/* Frees an inode that has neither name nor reference, with its content; others stay. */
void memfs_inode_release(struct memfs *fs, uint32_t ino);

/* Makes a file size bytes long: cuts off pages, also those beyond its end, or leaves a hole. */
void memfs_map_resize(struct memfs *fs, struct memfs_inode *inode, uint64_t size);
/* Frees the pages from the from-th to before the to-th. */
void memfs_map_punch(struct memfs *fs, struct memfs_inode *inode, uint64_t from, uint64_t to);
/* The number of a file's page, 0 in a hole. */
uint32_t memfs_map_find(const struct memfs *fs, const struct memfs_inode *inode, uint64_t index);
/* The bytes of a page, made where there was a hole; NULL when space runs out. */
uint8_t *memfs_map_page(struct memfs *fs, struct memfs_inode *inode, uint64_t index);
/* The first page from index to before end that is there, or is not; end where there is none. */
uint64_t memfs_map_next(const struct memfs *fs, const struct memfs_inode *inode, uint64_t index,
		uint64_t end, bool data);

/* Frees the extended attributes. */
void memfs_xattr_release(struct memfs *fs, struct memfs_inode *inode);

/* Whether the caller is in a group, as far as requests tell. */
static inline bool
memfs_cred_is_in(const struct weir_cred *cred, uint32_t gid)
{
	return cred->gid == gid || (cred->has_group && cred->group == gid);
}

/* What the access ACL says of a caller other than the superuser. 0, -EACCES; -ENODATA: there is none. */
int memfs_acl_access(struct memfs *fs, uint32_t ino, const struct weir_cred *cred, uint32_t mask);
/* Makes the access ACL, if there is one, say what the mode says. */
void memfs_acl_chmod(struct memfs *fs, uint32_t ino);
/*
 * Gives a new file what its directory's default ACL says; takes the umask off where there is none. 0
 * or -ENOSPC.
 */
int memfs_acl_inherit(struct memfs *fs, uint32_t dir, uint32_t ino, uint32_t umask);

#endif /* MEM_INODE_H */
