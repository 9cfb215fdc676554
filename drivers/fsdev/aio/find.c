/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What a name or a descriptor is: attributes, and the identity by which its node is found.
 *
 * Inode numbers of most file systems are given to the next file as soon as one is deleted, while a
 * guest may still know the old one: there the file handle, which has a generation, is in the key.
 * tmpfs counts them up. There the number is the key, and a name whose node is known is found by one
 * statx(), without a descriptor; that the node's inode is not gone is sure as long as its own
 * descriptor is held, and where none is, a second call asks the name for its handle. Since the node
 * was there before, and its handle is there after the statx(), all three meant one inode.
 *
 * A number that did return shows when a node of the same number has another handle. From then on
 * new nodes have handles in their keys there, too.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

#define FIND_STATX (STATX_BASIC_STATS | STATX_MNT_ID)
/* What is true of the inode, and not of the host's mount. */
#define FIND_ATTRIBUTES                                                                            \
	(STATX_ATTR_COMPRESSED | STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP |    \
			STATX_ATTR_ENCRYPTED | STATX_ATTR_VERITY)

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

/* What is mounted on the folder itself, or above it, is no concern of the guest's. */
static bool
stat_is_submount(const struct aio_fs *fs, const struct statx *sx)
{
	return (sx->stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0 && S_ISDIR(sx->stx_mode) &&
			sx->stx_mnt_id != fs->root_mount;
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
		.submount = fs->submounts && stat_is_submount(fs, sx),
	};
}

static int
fd_statx(int fd, int flags, unsigned int mask, struct statx *sx)
{
	return statx(fd, "", AT_EMPTY_PATH | flags, mask, sx) < 0 ? -errno : 0;
}

/* Of all calls that tell attributes this one takes the least. */
static int
fd_stat(const struct aio_fs *fs, int fd, struct weir_attr *attr)
{
	struct stat st;

	if (syscall(SYS_fstat, fd, &st) < 0)
		return -errno;
	*attr = (struct weir_attr){
		.ino = aio_ino(fs, st.st_dev, st.st_ino),
		.size = (uint64_t)st.st_size,
		.blocks = (uint64_t)st.st_blocks,
		.atime = st.st_atim.tv_sec,
		.mtime = st.st_mtim.tv_sec,
		.ctime = st.st_ctim.tv_sec,
		.atime_ns = (uint32_t)st.st_atim.tv_nsec,
		.mtime_ns = (uint32_t)st.st_mtim.tv_nsec,
		.ctime_ns = (uint32_t)st.st_ctim.tv_nsec,
		.mode = st.st_mode,
		.nlink = (uint32_t)st.st_nlink,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.rdev = dev_encode(major(st.st_rdev), minor(st.st_rdev)),
		.blksize = (uint32_t)st.st_blksize,
	};
	return 0;
}

int
aio_fd_attr(struct aio_fs *fs, int fd, int flags, struct weir_attr *attr)
{
	struct statx sx;
	int rc;

	/* It knows no flags, but what is in memory needs none, and helpers set none. */
	if (fs->in_memory)
		return fd_stat(fs, fd, attr);
	rc = fd_statx(fd, flags, FIND_STATX, &sx);
	if (rc == 0)
		attr_fill(fs, &sx, attr);
	return rc;
}

int
aio_fd_statx(const struct aio_fs *fs, int fd, int flags, struct weir_statx *out)
{
	struct statx sx;
	int rc;

	rc = fd_statx(fd, flags, FIND_STATX | STATX_BTIME, &sx);
	if (rc < 0)
		return rc;
	attr_fill(fs, &sx, &out->attr);
	out->has_btime = (sx.stx_mask & STATX_BTIME) != 0;
	out->btime = sx.stx_btime.tv_sec;
	out->btime_ns = sx.stx_btime.tv_nsec;
	out->attributes = sx.stx_attributes & FIND_ATTRIBUTES;
	out->attributes_mask = sx.stx_attributes_mask & FIND_ATTRIBUTES;
	return 0;
}

/* Fills the handle of a name, or of fd itself; none where there is none or it is too long. */
static int
identify_handle(const struct aio_fs *fs, int fd, const char *name, struct aio_node *node)
{
	union aio_handle h = { .fh.handle_bytes = AIO_HANDLE_MAX };
	int mount;

	node->handle_bytes = 0;
	if (fs->mount_fd < 0 || !node->local)
		return 0;
	if (name_to_handle_at(fd, name, &h.fh, &mount, name[0] == '\0' ? AT_EMPTY_PATH : 0) < 0)
		return errno == EOPNOTSUPP || errno == EOVERFLOW ? 0 : -errno;
	if ((uint64_t)mount != fs->root_mount)
		return 0;
	node->handle_type = h.fh.handle_type;
	node->handle_bytes = (uint8_t)h.fh.handle_bytes;
	memcpy(node->handle, h.fh.f_handle, h.fh.handle_bytes);
	return 0;
}

static void
key_by_number(const struct aio_fs *fs, const struct statx *sx, uint64_t key[2])
{
	key[0] = makedev(sx->stx_dev_major, sx->stx_dev_minor);
	/*
	 * What is mounted inside may be the same file system, but it is another way to it. Both numbers
	 * have 32 bits, so no two of these are the same.
	 */
	if (sx->stx_mnt_id != fs->root_mount)
		key[0] |= sx->stx_mnt_id << 32;
	key[1] = sx->stx_ino;
}

void
aio_key_by_handle(struct aio_found *found)
{
	/* The handle has the inode's generation: a number that is used again is another node. */
	found->key[0] = hash_bytes(found->node.dev, found->node.handle, found->node.handle_bytes);
}

int
aio_identify(struct aio_fs *fs, int fd, int flags, struct aio_found *found, struct weir_attr *attr)
{
	struct aio_node *node = &found->node;
	struct statx sx;
	int rc;

	rc = fd_statx(fd, flags, FIND_STATX, &sx);
	if (rc < 0)
		return rc;
	attr_fill(fs, &sx, attr);
	memset(node, 0, sizeof(*node));
	node->dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	node->local = fs->local && sx.stx_mnt_id == fs->root_mount;
	rc = identify_handle(fs, fd, "", node);
	if (rc < 0)
		return rc;
	key_by_number(fs, &sx, found->key);
	if (!fs->by_number && node->handle_bytes > 0)
		aio_key_by_handle(found);
	found->type = sx.stx_mode & S_IFMT;
	return 0;
}

int
aio_identify_made(struct aio_fs *fs, int fd, struct aio_found *found, struct weir_attr *attr)
{
	int rc;

	rc = fd_stat(fs, fd, attr);
	if (rc < 0)
		return rc;
	memset(&found->node, 0, sizeof(found->node));
	found->node.dev = fs->root_dev;
	found->node.local = true;
	found->key[0] = fs->root_dev;
	found->key[1] = attr->ino;
	found->type = attr->mode & S_IFMT;
	return identify_handle(fs, fd, "", &found->node);
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

void
aio_found_set(struct aio_fs *fs, struct aio_found *found, int rc, int fd)
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
		aio_found_set(fs, found, rc, fd);
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
	aio_found_set(fs, found, rc, fd);
	if (rc < 0)
		aio_fd_put(&fs->fds, found->slot);
	return rc;
}

/* Attributes of a name in a folder in memory; -EAGAIN: it is, or may be, in another mount. */
static int
name_statx(const struct aio_fs *fs, int dirfd, const char *name, struct statx *sx)
{
	const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;

	if (!aio_way_is_free(fs))
		return -EAGAIN;
	if (statx(dirfd, name, flags, FIND_STATX, sx) < 0)
		return -errno;
	return sx->stx_mnt_id == fs->root_mount ? 0 : -EAGAIN;
}

int
aio_name_is_small(const struct aio_fs *fs, int dirfd, const char *name)
{
	struct statx sx;
	int rc = name_statx(fs, dirfd, name, &sx);

	return rc == 0 && sx.stx_blocks > AIO_QUICK_BLOCKS ? -EAGAIN : rc;
}

/* Whether a name is the inode of a node, which may have no descriptor. */
static bool
known_is_named(const struct aio_fs *fs, const struct weir_node *node, int dirfd, const char *name)
{
	struct aio_node now = { .local = true };

	return identify_handle(fs, dirfd, name, &now) == 0 &&
			aio_node_has_handle(weir_node_priv(node), &now);
}

/* The node of a number, if it is the inode that a name was just seen to be. */
static struct weir_node *WEIR_ON_WORKER
known_node(struct aio_fs *fs, struct weir_fsdev *dev, int dirfd, const char *name,
		const struct statx *sx)
{
	struct weir_node *node;
	uint64_t key[2];

	key_by_number(fs, sx, key);
	node = weir_node_find(dev, key);
	if (node == NULL || aio_node_is_held(fs, node))
		return node;
	/* One that may get a descriptor now is better off with it. */
	if (!aio_node_has_room(fs, node) && known_is_named(fs, node, dirfd, name))
		return node;
	weir_node_put(dev, node);
	return NULL;
}

int WEIR_ON_WORKER
aio_find_known(struct aio_fs *fs, struct weir_fsdev *dev, int dirfd, const char *name,
		struct weir_node **out, struct weir_attr *attr)
{
	struct weir_node *node;
	struct statx sx;
	int rc;

	rc = name_statx(fs, dirfd, name, &sx);
	if (rc < 0)
		return rc;
	node = known_node(fs, dev, dirfd, name, &sx);
	if (node == NULL)
		return -EAGAIN;
	attr_fill(fs, &sx, attr);
	*out = node;
	return 0;
}
