/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What a name or a descriptor is: attributes, and the identity by which its node is found. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

#define FIND_STATX (STATX_BASIC_STATS | STATX_MNT_ID)

/* FNV-1a, with a last mix since the table takes it as it is. */
static uint64_t
hash_bytes(uint64_t h, const void *data, size_t n)
{
	const uint8_t *byte = data;
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ byte[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

/* Inode numbers of other file systems under the folder are kept apart by their upper bits. */
uint64_t
aio_ino(const struct aio_fs *fs, uint64_t dev, uint64_t ino)
{
	if (dev == fs->root_dev)
		return ino;
	return ino ^ hash_bytes(UINT64_C(0xcbf29ce484222325), &dev, sizeof(dev)) << 40;
}

static uint32_t
dev_encode(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

static void
attr_fill(const struct aio_fs *fs, const struct statx *sx, struct weir_attr *attr)
{
	const uint64_t dev = makedev(sx->stx_dev_major, sx->stx_dev_minor);

	*attr = (struct weir_attr){
		.ino = aio_ino(fs, dev, sx->stx_ino),
		.size = sx->stx_size,
		.blocks = sx->stx_blocks,
		.atime = sx->stx_atime.tv_sec,
		.mtime = sx->stx_mtime.tv_sec,
		.ctime = sx->stx_ctime.tv_sec,
		.atime_ns = sx->stx_atime.tv_nsec,
		.mtime_ns = sx->stx_mtime.tv_nsec,
		.ctime_ns = sx->stx_ctime.tv_nsec,
		.mode = sx->stx_mode,
		.nlink = sx->stx_nlink,
		.uid = sx->stx_uid,
		.gid = sx->stx_gid,
		.rdev = dev_encode(sx->stx_rdev_major, sx->stx_rdev_minor),
		.blksize = sx->stx_blksize,
	};
}

static int
fd_statx(int fd, int flags, struct statx *sx)
{
	return statx(fd, "", AT_EMPTY_PATH | flags, FIND_STATX, sx) < 0 ? -errno : 0;
}

int
aio_fd_attr(struct aio_fs *fs, int fd, int flags, struct weir_attr *attr)
{
	struct statx sx;
	int rc = fd_statx(fd, flags, &sx);

	if (rc == 0)
		attr_fill(fs, &sx, attr);
	return rc;
}

/* Fills the handle; none where the file system has none or it is too long. */
static int
identify_handle(const struct aio_fs *fs, int fd, struct aio_node *node)
{
	union aio_handle h = { .fh.handle_bytes = AIO_HANDLE_MAX };
	int mount;

	node->handle_bytes = 0;
	if (fs->mount_fd < 0 || !node->local)
		return 0;
	if (name_to_handle_at(fd, "", &h.fh, &mount, AT_EMPTY_PATH) < 0)
		return errno == EOPNOTSUPP || errno == EOVERFLOW ? 0 : -errno;
	node->handle_type = h.fh.handle_type;
	node->handle_bytes = (uint8_t)h.fh.handle_bytes;
	memcpy(node->handle, h.fh.f_handle, h.fh.handle_bytes);
	return 0;
}

int
aio_identify(struct aio_fs *fs, int fd, int flags, struct aio_found *found, struct weir_attr *attr)
{
	struct aio_node *node = &found->node;
	struct statx sx;
	int rc;

	rc = fd_statx(fd, flags, &sx);
	if (rc < 0)
		return rc;
	attr_fill(fs, &sx, attr);
	memset(node, 0, sizeof(*node));
	node->dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	node->local = fs->local && sx.stx_mnt_id == fs->root_mount;
	rc = identify_handle(fs, fd, node);
	if (rc < 0)
		return rc;
	/* The handle has the inode's generation: a number that is used again is another node. */
	found->key[0] = hash_bytes(node->dev, node->handle, node->handle_bytes);
	found->key[1] = sx.stx_ino;
	found->type = sx.stx_mode & S_IFMT;
	return 0;
}

int
aio_found_take(struct aio_fs *fs, struct aio_found *found)
{
	int rc = aio_fd_take(&fs->fds, &found->slot);

	if (rc == 0)
		return 0;
	/* A node with a handle does without. */
	found->slot = 0;
	return fs->mount_fd >= 0 ? 0 : rc;
}

void WEIR_ON_HELPER
aio_found_drop(struct aio_fs *fs, struct aio_found *found)
{
	aio_fd_put_now(&fs->fds, found->slot);
	found->slot = 0;
}

/* rc is what aio_identify() said: without it nothing is known about the descriptor. */
static void
found_set(struct aio_fs *fs, struct aio_found *found, int rc, int fd)
{
	if (rc == 0 && found->node.local && fs->in_memory)
		aio_fd_set_in_memory(&fs->fds, found->slot, fd);
	else
		aio_fd_set(&fs->fds, found->slot, fd);
}

int WEIR_ON_HELPER
aio_find(struct aio_fs *fs, int dirfd, const char *name, struct aio_found *found,
		struct weir_attr *attr)
{
	int fd, rc;

	fd = aio_openat(dirfd, name, O_PATH, 0, 0);
	if (fd < 0) {
		aio_found_drop(fs, found);
		return fd;
	}
	rc = aio_identify(fs, fd, 0, found, attr);
	if (rc == 0 && found->slot == 0 && found->node.handle_bytes == 0)
		rc = -ENFILE;
	if (found->slot != 0)
		found_set(fs, found, rc, fd);
	else
		close(fd);
	if (rc < 0)
		aio_found_drop(fs, found);
	return rc;
}

int WEIR_ON_WORKER
aio_find_cached(struct aio_fs *fs, int dirfd, const char *name, struct aio_found *found,
		struct weir_attr *attr)
{
	const uint64_t cached = fs->in_memory ? 0 : RESOLVE_CACHED;
	int fd, rc;

	/* First the slot: with it a helper can close the descriptor, whatever happens. */
	if (aio_fd_take(&fs->fds, &found->slot) < 0)
		return -EAGAIN;
	fd = aio_openat(dirfd, name, O_PATH, 0, cached | RESOLVE_NO_XDEV);
	if (fd < 0) {
		aio_fd_put(&fs->fds, found->slot);
		return fd == -EXDEV ? -EAGAIN : fd;
	}
	rc = aio_identify(fs, fd, AT_STATX_DONT_SYNC, found, attr);
	found_set(fs, found, rc, fd);
	if (rc < 0)
		aio_fd_put(&fs->fds, found->slot);
	return rc;
}
