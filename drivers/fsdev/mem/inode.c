/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Inodes: their life, their attributes, and the file system that holds them. */

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_random.h>

#include "inode.h"
#include "xattr.h"

static void
memfs_make_root(struct memfs *fs)
{
	const struct memfs_new what = { .mode = S_IFDIR | 0755 };
	uint32_t ino = memfs_inode_alloc(fs, &what);
	struct memfs_inode *root = memfs_inode(fs, ino);

	root->nlink = 1;
	root->refs = 1;
	root->dir.parent = ino;
}

int
memfs_create(uint64_t size, struct memfs **out)
{
	uint32_t nb = (uint32_t)RTE_MIN(size / MEMFS_PAGE_SIZE, UINT32_MAX / 2);
	struct memfs *fs;
	int rc;

	/* At least the root. */
	if (nb == 0)
		return -EINVAL;
	fs = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*fs));
	if (fs == NULL)
		return -ENOMEM;
	*fs = (struct memfs){
		.bucket_mask = rte_align32pow2(nb) - 1,
		.seed = rte_rand(),
	};
	fs->buckets = mmap(NULL, (fs->bucket_mask + 1ul) * sizeof(*fs->buckets),
			PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fs->buckets == MAP_FAILED) {
		rc = -errno;
		goto free_fs;
	}
	fs->scratch = malloc(sizeof(*fs->scratch));
	if (fs->scratch == NULL) {
		rc = -ENOMEM;
		goto unmap;
	}
	rc = mem_pool_init(&fs->inodes, sizeof(struct memfs_inode), nb);
	if (rc < 0)
		goto free_scratch;
	/* A file can have several names. */
	rc = mem_pool_init(&fs->names, sizeof(struct memfs_name), 2 * nb);
	if (rc < 0)
		goto fini_inodes;
	rc = mem_pool_init(&fs->pages, MEMFS_PAGE_SIZE, nb);
	if (rc < 0)
		goto fini_names;
	memfs_make_root(fs);
	*out = fs;
	return 0;

fini_names:
	mem_pool_fini(&fs->names);
fini_inodes:
	mem_pool_fini(&fs->inodes);
free_scratch:
	free(fs->scratch);
unmap:
	munmap(fs->buckets, (fs->bucket_mask + 1ul) * sizeof(*fs->buckets));
free_fs:
	free(fs);
	return rc;
}

void
memfs_destroy(struct memfs *fs)
{
	if (fs == NULL)
		return;
	mem_pool_fini(&fs->pages);
	mem_pool_fini(&fs->names);
	mem_pool_fini(&fs->inodes);
	free(fs->scratch);
	munmap(fs->buckets, (fs->bucket_mask + 1ul) * sizeof(*fs->buckets));
	free(fs);
}

uint32_t
memfs_inode_alloc(struct memfs *fs, const struct memfs_new *what)
{
	uint32_t ino = mem_pool_alloc(&fs->inodes);
	struct timespec now = memfs_now();
	struct memfs_inode *inode;

	if (ino == 0)
		return 0;
	inode = memfs_inode(fs, ino);
	*inode = (struct memfs_inode){
		.mode = what->mode,
		.uid = what->uid,
		.gid = what->gid,
		.rdev = what->rdev,
		.atime = now,
		.mtime = now,
		.ctime = now,
		.btime = now,
	};
	return ino;
}

void
memfs_inode_release(struct memfs *fs, uint32_t ino)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);

	if (inode->nlink > 0 || inode->refs > 0)
		return;
	if (S_ISREG(inode->mode))
		memfs_map_resize(fs, inode, 0);
	else if (S_ISLNK(inode->mode) && inode->target != 0)
		mem_pool_free(&fs->pages, inode->target);
	if (inode->xattrs != 0)
		memfs_xattr_release(fs, inode);
	mem_pool_free(&fs->inodes, ino);
}

void
memfs_get(struct memfs *fs, uint32_t ino)
{
	memfs_inode(fs, ino)->refs++;
}

void
memfs_put(struct memfs *fs, uint32_t ino, uint32_t n)
{
	memfs_inode(fs, ino)->refs -= n;
	memfs_inode_release(fs, ino);
}

/*
 * An inode is on the list exactly while late_puts is not 0: who counts from 0 to 1 pushes it, and
 * the user reads its link before setting the count back.
 */
void
memfs_put_later(struct memfs *fs, uint32_t ino)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);
	uint32_t head;

	/* Acquire pairs with the exchange in memfs_settle(): the link is ours again. */
	if (__atomic_fetch_add(&inode->late_puts, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	head = __atomic_load_n(&fs->late, __ATOMIC_RELAXED);
	do {
		inode->late_next = head;
		/* Release pairs with the acquire in memfs_settle(). */
	} while (!__atomic_compare_exchange_n(
			&fs->late, &head, ino, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

void
memfs_settle(struct memfs *fs)
{
	struct memfs_inode *inode;
	uint32_t ino, next, n;

	if (__atomic_load_n(&fs->late, __ATOMIC_RELAXED) == 0)
		return;
	ino = __atomic_exchange_n(&fs->late, 0, __ATOMIC_ACQUIRE);
	for (; ino != 0; ino = next) {
		inode = memfs_inode(fs, ino);
		next = inode->late_next;
		n = __atomic_exchange_n(&inode->late_puts, 0, __ATOMIC_ACQ_REL);
		memfs_put(fs, ino, n);
	}
}

static bool
is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

void
memfs_accessed(struct memfs_inode *inode)
{
	struct timespec now;

	if ((inode->iflags & FS_NOATIME_FL) != 0)
		return;
	now = memfs_now();
	if (!is_before(&inode->mtime, &inode->atime) || !is_before(&inode->ctime, &inode->atime) ||
			now.tv_sec - inode->atime.tv_sec >= 24 * 60 * 60)
		inode->atime = now;
}

void
memfs_getattr(struct memfs *fs, uint32_t ino, struct weir_attr *attr)
{
	const struct memfs_inode *inode = memfs_inode(fs, ino);

	*attr = (struct weir_attr){
		.ino = ino,
		.size = inode->size,
		.blocks = inode->nb_pages * (MEMFS_PAGE_SIZE / 512),
		.atime = inode->atime.tv_sec,
		.mtime = inode->mtime.tv_sec,
		.ctime = inode->ctime.tv_sec,
		.atime_ns = (uint32_t)inode->atime.tv_nsec,
		.mtime_ns = (uint32_t)inode->mtime.tv_nsec,
		.ctime_ns = (uint32_t)inode->ctime.tv_nsec,
		.mode = inode->mode,
		.nlink = inode->nlink,
		.uid = inode->uid,
		.gid = inode->gid,
		.rdev = inode->rdev,
		.blksize = MEMFS_PAGE_SIZE,
	};
	/* Its own "." and the ".." of each directory in it; none once it is removed. */
	if (S_ISDIR(inode->mode) && inode->nlink > 0)
		attr->nlink = 2 + inode->dir.nb_dirs;
}

void
memfs_statx(struct memfs *fs, uint32_t ino, struct weir_statx *out)
{
	const struct memfs_inode *inode = memfs_inode(fs, ino);

	*out = (struct weir_statx){
		.btime = inode->btime.tv_sec,
		.btime_ns = (uint32_t)inode->btime.tv_nsec,
		.has_btime = true,
		.attributes = (inode->iflags & FS_NODUMP_FL) != 0 ? STATX_ATTR_NODUMP : 0,
		.attributes_mask = STATX_ATTR_NODUMP,
	};
	memfs_getattr(fs, ino, &out->attr);
}

uint32_t
memfs_iflags(const struct memfs *fs, uint32_t ino)
{
	return memfs_inode(fs, ino)->iflags;
}

int
memfs_set_iflags(struct memfs *fs, uint32_t ino, uint32_t iflags)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);

	if ((iflags & ~(uint32_t)(FS_NODUMP_FL | FS_NOATIME_FL)) != 0)
		return -EOPNOTSUPP;
	inode->iflags = iflags;
	inode->ctime = memfs_now();
	return 0;
}

static int
memfs_set_size(struct memfs *fs, struct memfs_inode *inode, uint64_t size)
{
	if (!S_ISREG(inode->mode))
		return S_ISDIR(inode->mode) ? -EISDIR : -EINVAL;
	if (size > MEMFS_MAX_FILE_SIZE)
		return -EFBIG;
	memfs_map_resize(fs, inode, size);
	inode->mtime = memfs_now();
	return 0;
}

int
memfs_setattr(struct memfs *fs, uint32_t ino, uint32_t valid, const struct weir_attr *attr)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);
	struct timespec now = memfs_now();
	int rc;

	if (valid & WEIR_SET_SIZE) {
		rc = memfs_set_size(fs, inode, attr->size);
		if (rc < 0)
			return rc;
	}
	if (valid & WEIR_SET_MODE) {
		inode->mode = (inode->mode & S_IFMT) | (attr->mode & 07777);
		if (inode->xattrs != 0)
			memfs_acl_chmod(fs, ino);
	}
	if (valid & WEIR_SET_UID)
		inode->uid = attr->uid;
	if (valid & WEIR_SET_GID)
		inode->gid = attr->gid;
	if (valid & WEIR_SET_ATIME_NOW)
		inode->atime = now;
	else if (valid & WEIR_SET_ATIME)
		inode->atime = (struct timespec){ attr->atime, attr->atime_ns };
	if (valid & WEIR_SET_MTIME_NOW)
		inode->mtime = now;
	else if (valid & WEIR_SET_MTIME)
		inode->mtime = (struct timespec){ attr->mtime, attr->mtime_ns };
	if (valid & WEIR_SET_CTIME)
		inode->ctime = (struct timespec){ attr->ctime, attr->ctime_ns };
	else
		inode->ctime = now;
	return 0;
}

int
memfs_access(struct memfs *fs, uint32_t ino, const struct weir_cred *cred, uint32_t mask)
{
	const struct memfs_inode *inode = memfs_inode(fs, ino);
	uint32_t granted = inode->mode;
	int rc;

	mask &= R_OK | W_OK | X_OK;
	/* The superuser may all, but execute only what somebody may. */
	if (cred->uid == 0) {
		granted = S_ISDIR(inode->mode) || (inode->mode & 0111) ? 07 : 06;
	} else {
		rc = memfs_acl_access(fs, ino, cred, mask);
		if (rc != -ENODATA)
			return rc;
		if (cred->uid == inode->uid)
			granted >>= 6;
		else if (memfs_cred_is_in(cred, inode->gid))
			granted >>= 3;
	}
	return (mask & ~granted) != 0 ? -EACCES : 0;
}

void
memfs_statfs(struct memfs *fs, struct weir_statfs *out)
{
	uint64_t left = fs->pages.nb_recs - fs->pages.nb_used;

	*out = (struct weir_statfs){
		.blocks = fs->pages.nb_recs,
		.bfree = left,
		.bavail = left,
		.files = fs->inodes.nb_recs,
		.ffree = fs->inodes.nb_recs - fs->inodes.nb_used,
		.bsize = MEMFS_PAGE_SIZE,
		.frsize = MEMFS_PAGE_SIZE,
		.namelen = NAME_MAX,
	};
}
