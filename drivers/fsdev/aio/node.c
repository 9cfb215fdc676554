/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What a node stands for. In a folder whose file system has file handles that hold for ever, a node
 * keeps the handle, and a path descriptor in a bounded cache as long as there is room. Everywhere
 * else (other file systems, what is mounted inside the folder) a node holds its path descriptor,
 * which keeps the inode and so its number.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

#define NODE_CACHE_WAYS 4

int aio_proc_fd = -1;

void
aio_fd_name(int fd, char name[16])
{
	snprintf(name, 16, "%d", fd);
}

/* lib/fuse has looked at names already; what goes to the kernel is looked at here once more. */
int
aio_name_check(const char *name)
{
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
			strchr(name, '/') != NULL)
		return -EINVAL;
	return strlen(name) <= NAME_MAX ? 0 : -ENAMETOOLONG;
}

int
aio_openat(int dirfd, const char *name, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	const struct open_how how = {
		.flags = flags | O_NOFOLLOW | O_CLOEXEC,
		.mode = mode,
		.resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* The places for a node's path descriptor: NODE_CACHE_WAYS of them. */
static _Atomic uint64_t *
node_cache(struct aio_fs *fs, const struct weir_node *node)
{
	return &fs->cache[(node->key[0] ^ node->key[1]) & fs->cache_mask & ~(NODE_CACHE_WAYS - 1u)];
}

bool
aio_node_has_room(struct aio_fs *fs, const struct weir_node *node)
{
	const _Atomic uint64_t *set = node_cache(fs, node);
	unsigned int i;

	for (i = 0; i < NODE_CACHE_WAYS; i++) {
		if (atomic_load_explicit(&set[i], memory_order_relaxed) == 0)
			return true;
	}
	return false;
}

/* Puts a slot where there is room, else in the place of another one, which it returns. */
static uint64_t
node_cache_swap(struct aio_fs *fs, const struct weir_node *node, uint64_t slot)
{
	_Atomic uint64_t *set = node_cache(fs, node);
	uint64_t none;
	unsigned int i;

	for (i = 0; i < NODE_CACHE_WAYS; i++) {
		none = 0;
		if (atomic_compare_exchange_strong(&set[i], &none, slot))
			return 0;
	}
	return atomic_exchange(&set[(slot ^ slot >> 32) % NODE_CACHE_WAYS], slot);
}

/* Takes a slot out, if it is there. */
static bool
node_cache_take(struct aio_fs *fs, const struct weir_node *node, uint64_t slot)
{
	_Atomic uint64_t *set = node_cache(fs, node);
	uint64_t mine;
	unsigned int i;

	for (i = 0; i < NODE_CACHE_WAYS; i++) {
		mine = slot;
		if (atomic_compare_exchange_strong(&set[i], &mine, 0))
			return true;
	}
	return false;
}

/* Offers the cache a path descriptor of a node with a handle; it takes a reference of its own. */
static uint64_t
node_cache_put(struct aio_fs *fs, struct weir_node *node, uint64_t slot)
{
	struct aio_node *priv = weir_node_priv(node);
	uint64_t old = atomic_load(&priv->slot);

	/* Who finds the old one still alive, or comes second, leaves the cache as it is. */
	if (aio_fd_get(&fs->fds, old) >= 0)
		return old;
	if (!atomic_compare_exchange_strong(&priv->slot, &old, slot))
		return 0;
	aio_fd_ref(&fs->fds, slot);
	return node_cache_swap(fs, node, slot);
}

void WEIR_ON_HELPER
aio_cache_drop(struct aio_fs *fs)
{
	uint32_t i;

	for (i = 0; i <= fs->cache_mask; i++) {
		if (atomic_load(&fs->cache[i]) != 0)
			aio_fd_put_now(&fs->fds, atomic_exchange(&fs->cache[i], 0));
	}
}

static int
node_init(struct weir_node *node, void *arg)
{
	struct aio_node *priv = weir_node_priv(node);
	struct aio_found *found = arg;

	*priv = found->node;
	if (priv->handle_bytes == 0) {
		atomic_init(&priv->slot, found->slot);
		found->slot = 0;
	}
	return 0;
}

bool
aio_node_has_handle(const struct aio_node *node, const struct aio_node *other)
{
	return node->handle_bytes > 0 && node->handle_bytes == other->handle_bytes &&
			node->handle_type == other->handle_type &&
			memcmp(node->handle, other->handle, node->handle_bytes) == 0;
}

/*
 * The first node of a number has it for a key. When one is met that is another inode, the flag goes
 * up before the first key by handle is used, and who made a node by number meanwhile gives it up.
 */
static int WEIR_ON_WORKER
node_make_by_number(struct aio_fs *fs, struct weir_fsdev *dev, struct aio_found *found,
		struct weir_node **out)
{
	bool made = false;
	int rc = 0;

	if (atomic_load(&fs->numbers_return))
		*out = weir_node_find(dev, found->key);
	else
		rc = weir_node_make(dev, found->key, found->type, node_init, found, out, &made);
	if (rc < 0 || (made && !atomic_load(&fs->numbers_return)))
		return rc;
	if (!made && *out != NULL && aio_node_has_handle(weir_node_priv(*out), &found->node))
		return 0;
	if (*out != NULL)
		weir_node_put(dev, *out);
	atomic_store(&fs->numbers_return, true);
	aio_key_by_handle(found);
	return weir_node_make(dev, found->key, found->type, node_init, found, out, &made);
}

int WEIR_ON_WORKER
aio_node_adopt(struct aio_fs *fs, struct weir_fsdev *dev, struct aio_found *found,
		struct weir_node **out)
{
	struct aio_ref own;
	bool made;
	int rc;

	if (fs->by_number && found->node.handle_bytes > 0)
		rc = node_make_by_number(fs, dev, found, out);
	else
		rc = weir_node_make(dev, found->key, found->type, node_init, found, out, &made);
	if (rc == -EAGAIN)
		return rc;
	if (rc == 0 && found->slot != 0 && found->node.local &&
			aio_node_peek(fs, *out, &own) == 0) {
		aio_fd_put_beside(&fs->fds, found->slot, own.slot);
	} else {
		if (rc == 0 && found->slot != 0 && found->node.handle_bytes > 0)
			aio_fd_put(&fs->fds, node_cache_put(fs, *out, found->slot));
		aio_fd_put(&fs->fds, found->slot);
	}
	found->slot = 0;
	return rc;
}

bool
aio_node_is_held(struct aio_fs *fs, struct weir_node *node)
{
	struct aio_node *priv = weir_node_priv(node);

	return aio_fd_is_open(&fs->fds, atomic_load(&priv->slot));
}

int
aio_node_peek(struct aio_fs *fs, struct weir_node *node, struct aio_ref *ref)
{
	struct aio_node *priv = weir_node_priv(node);
	uint64_t slot = atomic_load(&priv->slot);
	int fd = aio_fd_get(&fs->fds, slot);

	if (fd < 0)
		return -EAGAIN;
	*ref = (struct aio_ref){ .fd = fd, .slot = slot };
	return 0;
}

int WEIR_ON_HELPER
aio_handle_open(const struct aio_fs *fs, const struct aio_node *node)
{
	union aio_handle h = { .fh.handle_type = node->handle_type };
	int fd;

	if (node->handle_bytes == 0)
		return -ESTALE;
	h.fh.handle_bytes = node->handle_bytes;
	memcpy(h.fh.f_handle, node->handle, node->handle_bytes);
	fd = open_by_handle_at(fs->mount_fd, &h.fh, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int WEIR_ON_HELPER
aio_node_open(struct aio_fs *fs, struct weir_node *node, struct aio_ref *ref)
{
	uint64_t slot;
	int fd;

	if (aio_node_peek(fs, node, ref) == 0)
		return 0;
	fd = aio_handle_open(fs, weir_node_priv(node));
	if (fd < 0)
		return fd;
	*ref = (struct aio_ref){ .fd = fd };
	if (aio_fd_take(&fs->fds, &slot) == 0) {
		if (aio_node_in_memory(fs, node))
			aio_fd_set_in_memory(&fs->fds, slot, fd);
		else
			aio_fd_set(&fs->fds, slot, fd);
		ref->slot = slot;
		aio_fd_put_now(&fs->fds, node_cache_put(fs, node, slot));
	}
	return 0;
}

void WEIR_ON_HELPER
aio_ref_put_now(struct aio_fs *fs, struct aio_ref *ref)
{
	if (ref->slot != 0)
		aio_fd_put_now(&fs->fds, ref->slot);
	else
		close(ref->fd);
}

void WEIR_ON_CONTROL
aio_node_fini(struct weir_fsdev *dev, struct weir_node *node)
{
	struct aio_fs *fs = *(struct aio_fs **)weir_fsdev_priv(dev);
	struct aio_node *priv = weir_node_priv(node);
	uint64_t slot = atomic_exchange(&priv->slot, 0);

	/* The reference is the node's own, or the cache's if it is still there. */
	if (slot != 0 && (priv->handle_bytes == 0 || node_cache_take(fs, node, slot)))
		aio_fd_put(&fs->fds, slot);
}
