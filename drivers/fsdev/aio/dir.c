/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Directories. A READDIR seeks, reads a buffer of entries and forgets them: the kernel's cookies
 * are the guest's, so nothing is kept between two requests but the descriptor.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

struct dir_entry {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};
#define DIR_ENTRY_HEAD offsetof(struct dir_entry, name)
/* The largest entry there is. */
#define DIR_ENTRY_MAX RTE_ALIGN_CEIL(DIR_ENTRY_HEAD + NAME_MAX + 1, 8)
/* With attributes an entry takes the guest at least so many times the bytes it takes here. */
#define DIR_PLUS_RATIO 5

/* READDIRPLUS: what an entry was found to be, in the second part of the buffer. */
struct dir_plus {
	int rc;
	struct aio_found found;
	struct weir_attr attr;
};
#define DIR_MAX_PLUS ((AIO_BUF_MIN - AIO_DIR_BYTES) / sizeof(struct dir_plus))

static struct dir_plus *
dir_plus(const struct aio_ctx *ctx, uint32_t index)
{
	return (struct dir_plus *)((uintptr_t)ctx->piece + AIO_DIR_BYTES) + index;
}

/* The entry at pos, complete within the bytes read; NULL at their end. */
static const struct dir_entry *
dir_entry_at(const struct aio_ctx *ctx, uint32_t pos)
{
	const uint32_t left = (uint32_t)ctx->res - pos;
	const struct dir_entry *entry = (const void *)((uintptr_t)ctx->piece + pos);

	if (left <= DIR_ENTRY_HEAD || entry->reclen <= DIR_ENTRY_HEAD || entry->reclen > left)
		return NULL;
	return entry;
}

static bool
dir_entry_is_dot(const struct dir_entry *entry)
{
	return strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0;
}

/* Opens a directory itself, of which a path descriptor is given. */
static int
opendir_at(const struct weir_fsreq *req, int path, uint64_t resolve)
{
	const uint64_t flags = O_RDONLY | O_DIRECTORY | (req->file->flags & O_NOATIME);
	int fd = aio_openat(path, ".", flags, 0, resolve);

	if (fd == -EPERM && (flags & O_NOATIME) != 0)
		fd = aio_openat(path, ".", O_RDONLY | O_DIRECTORY, 0, resolve);
	return fd;
}

static int WEIR_ON_HELPER
opendir_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ref ref;
	int fd;

	fd = aio_file_take(fs, req->file);
	if (fd < 0)
		return fd;
	fd = aio_node_open(fs, req->node, &ref);
	if (fd == 0) {
		fd = opendir_at(req, ref.fd, 0);
		aio_ref_put_now(fs, &ref);
	}
	return aio_file_set(fs, weir_node_priv(req->node), req->file, fd);
}

static int WEIR_ON_WORKER
opendir_cached(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_file *priv = aio_file_of(req->file);
	struct aio_ref ref;
	uint64_t slot;
	int fd;

	if (aio_fd_take(&fs->fds, &slot) < 0)
		return -EAGAIN;
	fd = aio_node_peek(fs, req->node, &ref);
	if (fd == 0) {
		fd = opendir_at(req, ref.fd, RESOLVE_CACHED);
		aio_fd_put(&fs->fds, ref.slot);
	}
	if (fd < 0) {
		aio_fd_put(&fs->fds, slot);
		return fd;
	}
	if (fs->in_memory)
		aio_fd_set_in_memory(&fs->fds, slot, fd);
	else
		aio_fd_set(&fs->fds, slot, fd);
	priv->slot = slot;
	return 0;
}

int WEIR_ON_WORKER
aio_opendir(struct weir_channel *chan, struct weir_fsreq *req)
{
	const struct aio_node *node = weir_node_priv(req->node);
	int rc = -EAGAIN;

	aio_begin(req);
	if (req->node->type != S_IFDIR)
		return -ENOTDIR;
	if (node->local)
		rc = opendir_cached(aio_fs_of(chan), req);
	return rc == -EAGAIN ? aio_defer(chan, req, opendir_run, NULL) : rc;
}

static void WEIR_ON_HELPER
readdir_find(struct aio_fs *fs, struct aio_ctx *ctx, int fd)
{
	const struct dir_entry *entry;
	struct dir_plus *plus;
	uint32_t pos = 0, i;

	for (i = 0; i < DIR_MAX_PLUS; i++, pos += entry->reclen) {
		entry = dir_entry_at(ctx, pos);
		if (entry == NULL)
			return;
		plus = dir_plus(ctx, i);
		plus->rc = dir_entry_is_dot(entry) ? -ENOENT : aio_found_take(fs, &plus->found);
		if (plus->rc == 0)
			plus->rc = aio_find(fs, fd, entry->name, &plus->found, &plus->attr);
	}
	/* What was not looked up, the guest asks for next. */
	ctx->res = (int)pos;
}

/* The position belongs to the descriptor, which several requests of one guest may share. */
static ssize_t WEIR_ON_HELPER
readdir_read(struct aio_fs *fs, const struct weir_fsreq *req, int fd, void *buf)
{
	pthread_mutex_t *lock = &fs->dir_lock[(unsigned int)fd % AIO_DIR_LOCKS];
	size_t bytes = req->in.io.len;
	ssize_t n;

	if ((req->flags & WEIR_FSREQ_PLUS) != 0)
		bytes /= DIR_PLUS_RATIO;
	bytes = RTE_MAX(bytes, DIR_ENTRY_MAX);
	bytes = RTE_MIN(bytes, (size_t)AIO_DIR_BYTES);
	pthread_mutex_lock(lock);
	n = lseek(fd, (off_t)req->in.io.off, SEEK_SET);
	if (n >= 0)
		n = syscall(SYS_getdents64, fd, buf, bytes);
	n = n < 0 ? -errno : n;
	pthread_mutex_unlock(lock);
	return n;
}

static int WEIR_ON_HELPER
readdir_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const uint64_t slot = aio_file_of(req->file)->slot;
	struct aio_ctx *ctx = aio_ctx_of(req);
	int fd;

	fd = aio_fd_get(&fs->fds, slot);
	if (fd < 0)
		return fd;
	ctx->res = (int)readdir_read(fs, req, fd, ctx->piece);
	if (ctx->res > 0 && (req->flags & WEIR_FSREQ_PLUS) != 0)
		readdir_find(fs, ctx, fd);
	aio_fd_put_now(&fs->fds, slot);
	return ctx->res;
}

/* The guest's view of the entry: 0, -ENOSPC, or -EAGAIN when the node table must grow first. */
static int WEIR_ON_WORKER
readdir_emit(struct weir_channel *chan, struct weir_fsreq *req, const struct dir_entry *entry,
		struct dir_plus *plus)
{
	struct weir_fsdev *dev = weir_channel_fsdev(chan);
	const struct aio_node *dir = weir_node_priv(req->node);
	struct aio_fs *fs = aio_fs_of(chan);
	struct weir_entry found = { .entry_valid_ns = fs->entry_valid_ns,
		.attr_valid_ns = fs->attr_valid_ns };
	struct weir_dirent dirent = {
		.name = entry->name,
		.name_len = (uint32_t)strnlen(entry->name, entry->reclen - DIR_ENTRY_HEAD),
		.type = entry->type,
		.ino = aio_ino(fs, dir->dev, entry->ino),
		.next_off = (uint64_t)entry->off,
	};
	int rc;

	if (plus != NULL && plus->rc == 0) {
		rc = aio_node_adopt(fs, dev, &plus->found, &found.node);
		if (rc == -EAGAIN)
			return rc;
		plus->rc = -ENOENT;
		found.attr = plus->attr;
		dirent.ino = plus->attr.ino;
		dirent.entry = rc == 0 ? &found : NULL;
	}
	/* What is above the folder is nobody's business. */
	if (req->node == weir_fsdev_root(dev) && strcmp(entry->name, "..") == 0)
		dirent.ino = req->node->key[1];
	rc = req->emit(req, &dirent);
	if (rc < 0 && dirent.entry != NULL)
		weir_node_put(dev, found.node);
	return rc;
}

static void WEIR_ON_WORKER
readdir_drop(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ctx *ctx = aio_ctx_of(req);
	const struct dir_entry *entry;
	uint32_t pos = 0, i;

	if ((req->flags & WEIR_FSREQ_PLUS) == 0)
		return;
	for (i = 0; (entry = dir_entry_at(ctx, pos)) != NULL; i++, pos += entry->reclen) {
		if (dir_plus(ctx, i)->rc == 0)
			aio_fd_put(&fs->fds, dir_plus(ctx, i)->found.slot);
	}
}

static int WEIR_ON_WORKER readdir_finish(struct weir_channel *chan, struct weir_fsreq *req);

static void WEIR_ON_WORKER
readdir_again(struct weir_fsreq *req)
{
	aio_end(req, readdir_finish(req->chan, req));
}

static int WEIR_ON_WORKER
readdir_finish(struct weir_channel *chan, struct weir_fsreq *req)
{
	const bool with_plus = (req->flags & WEIR_FSREQ_PLUS) != 0;
	struct aio_ctx *ctx = aio_ctx_of(req);
	const struct dir_entry *entry;
	uint32_t pos = 0, i;
	int rc = RTE_MIN(ctx->res, 0);

	for (i = 0; ctx->res > 0 && !weir_fsreq_detached(req); i++, pos += entry->reclen) {
		entry = dir_entry_at(ctx, pos);
		if (entry == NULL)
			break;
		rc = readdir_emit(chan, req, entry, with_plus ? dir_plus(ctx, i) : NULL);
		if (rc < 0)
			break;
	}
	if (rc == -EAGAIN && ctx->res > 0 && i == 0) {
		weir_fsreq_retry(req, readdir_again);
		return -EINPROGRESS;
	}
	if (ctx->res > 0) {
		readdir_drop(aio_fs_of(chan), req);
		/* As getdents() says when not even one entry fits. */
		rc = rc < 0 && i == 0 ? -EINVAL : 0;
	}
	aio_pool_put(req);
	return rc;
}

static int WEIR_ON_WORKER
readdir_resume(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_chan *achan = weir_channel_priv(chan);
	int rc;

	if (weir_fsreq_detached(req)) {
		aio_pool_put(req);
		return -ECANCELED;
	}
	rc = aio_pool_get(&achan->bufs, req, readdir_resume);
	return rc < 0 ? rc : aio_defer(chan, req, readdir_run, readdir_finish);
}

int WEIR_ON_WORKER
aio_readdir(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	return req->file != NULL ? readdir_resume(chan, req) : -EBADF;
}
