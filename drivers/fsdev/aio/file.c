/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Open files. */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

/* What direct I/O most often wants where the kernel does not say; if it is wrong, io.c notices. */
#define FILE_ALIGN_GUESS 512

/*
 * Without O_APPEND: each WRITE says for itself whether it appends, since a guest also writes pages
 * back by such a file, and may change its mind. O_NONBLOCK keeps a lease or a special file from
 * holding the helper.
 */
int
aio_open_flags(uint32_t flags)
{
	return ((int)flags & (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME)) | O_CLOEXEC | O_NOCTTY |
			O_NONBLOCK;
}

static void WEIR_ON_HELPER
file_align(struct aio_file *priv, int fd)
{
	struct statx sx;

	priv->mem_align = FILE_ALIGN_GUESS;
	priv->off_align = FILE_ALIGN_GUESS;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) < 0 ||
			(sx.stx_mask & STATX_DIOALIGN) == 0 || sx.stx_dio_offset_align == 0 ||
			sx.stx_dio_mem_align == 0)
		return;
	priv->mem_align = sx.stx_dio_mem_align;
	priv->off_align = sx.stx_dio_offset_align;
}

int WEIR_ON_HELPER
aio_file_take(struct aio_fs *fs, struct weir_file *file)
{
	uint64_t *slot = &aio_file_of(file)->slot;

	if (aio_fd_take(&fs->fds, slot) == 0)
		return 0;
	if (!aio_may_wait())
		return -EAGAIN;
	aio_cache_drop(fs);
	return aio_fd_take(&fs->fds, slot);
}

int WEIR_ON_HELPER
aio_file_set(struct aio_fs *fs, const struct aio_node *node, struct weir_file *file, int fd)
{
	struct aio_file *priv = aio_file_of(file);
	int flags;

	if (fd < 0) {
		aio_fd_put_now(&fs->fds, priv->slot);
		priv->slot = 0;
		return fd;
	}
	/* Memory is as direct as can be, and nothing that is done to it looks at O_NONBLOCK. */
	if (fs->in_memory && node->local) {
		aio_fd_set_in_memory(&fs->fds, priv->slot, fd);
		return 0;
	}
	flags = fcntl(fd, F_GETFL) & ~O_NONBLOCK;
	/* A file system that has no direct I/O says so here; the file is as good without. */
	if ((file->flags & O_DIRECT) != 0 && fcntl(fd, F_SETFL, flags | O_DIRECT) == 0)
		file_align(priv, fd);
	else
		(void)fcntl(fd, F_SETFL, flags);
	aio_fd_set(&fs->fds, priv->slot, fd);
	return 0;
}

void WEIR_ON_WORKER
aio_file_drop(struct aio_fs *fs, struct weir_file *file)
{
	struct aio_file *priv = aio_file_of(file);

	aio_fd_put(&fs->fds, priv->slot);
	priv->slot = 0;
}

/* Opens what a path descriptor names. Set-id bits go with what is cut off, if the guest says so. */
static int WEIR_ON_HELPER
open_fd(const struct weir_fsreq *req, int path)
{
	const int trunc = (int)req->file->flags & O_TRUNC;
	const int flags = aio_open_flags(req->file->flags);
	char name[16];
	int fd;

	aio_fd_name(path, name);
	fd = openat(aio_proc_fd, name, flags | trunc);
	/* That a time stays as it was is the owner's to ask for. */
	if (fd < 0 && errno == EPERM && (flags & O_NOATIME) != 0)
		fd = openat(aio_proc_fd, name, (flags & ~O_NOATIME) | trunc);
	return fd < 0 ? -errno : fd;
}

static int WEIR_ON_HELPER
open_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ref ref;
	int fd;

	fd = aio_file_take(fs, req->file);
	if (fd < 0)
		return fd;
	fd = aio_node_open(fs, req->node, &ref);
	if (fd == 0) {
		fd = open_fd(req, ref.fd);
		aio_ref_put_now(fs, &ref);
	}
	return aio_file_set(fs, weir_node_priv(req->node), req->file, fd);
}

int WEIR_ON_WORKER
aio_open(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	/* A guest opens its special files itself; weir never does. */
	switch (req->node->type) {
	case S_IFREG:
		/* Freeing what was in the file may take long. */
		if ((req->file->flags & O_TRUNC) != 0)
			return aio_defer(chan, req, open_run, NULL);
		return aio_run(chan, req, open_run, NULL);
	case S_IFDIR:
		return -EISDIR;
	case S_IFLNK:
		return -ELOOP;
	default:
		return -ENXIO;
	}
}

int WEIR_ON_WORKER
aio_release(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_fs *fs = aio_fs_of(chan);
	struct aio_ref own;

	aio_begin(req);
	if (req->file == NULL)
		return 0;
	if (aio_node_in_memory(fs, req->node) && aio_node_peek(fs, req->node, &own) == 0) {
		aio_fd_put_beside(&fs->fds, aio_file_of(req->file)->slot, own.slot);
		aio_file_of(req->file)->slot = 0;
	} else {
		aio_file_drop(fs, req->file);
	}
	return 0;
}

/* Remote file systems report write errors when one of the descriptors of a file is closed. */
static int WEIR_ON_HELPER
flush_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const uint64_t slot = aio_file_of(req->file)->slot;
	int fd = aio_fd_get(&fs->fds, slot);
	int copy, rc;

	if (fd < 0)
		return fd;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	rc = copy < 0 || close(copy) < 0 ? -errno : 0;
	aio_fd_put_now(&fs->fds, slot);
	return rc;
}

int WEIR_ON_WORKER
aio_flush(struct weir_channel *chan, struct weir_fsreq *req)
{
	const struct aio_node *node = weir_node_priv(req->node);

	aio_begin(req);
	if (req->file == NULL)
		return -EBADF;
	return node->local ? 0 : aio_defer(chan, req, flush_run, NULL);
}

static int WEIR_ON_HELPER
fsync_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const int fd = aio_ctx_of(req)->io.fd;
	int rc;

	rc = (req->flags & WEIR_FSREQ_DATASYNC) != 0 ? fdatasync(fd) : fsync(fd);
	return rc < 0 ? -errno : 0;
}

static int WEIR_ON_WORKER
fsync_finish(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_ctx *ctx = aio_ctx_of(req);

	aio_fd_put(&aio_fs_of(chan)->fds, ctx->io.slot);
	return ctx->res;
}

int WEIR_ON_WORKER
aio_fsync(struct weir_channel *chan, struct weir_fsreq *req)
{
	const struct aio_node *node = weir_node_priv(req->node);
	struct aio_chan *achan = weir_channel_priv(chan);
	struct aio_ctx *ctx = aio_begin(req);
	struct io_uring_sqe *sqe = NULL;

	if (req->file == NULL)
		return -EBADF;
	ctx->io.slot = aio_file_of(req->file)->slot;
	ctx->io.fd = aio_fd_get(&aio_fs_of(chan)->fds, ctx->io.slot);
	if (ctx->io.fd < 0)
		return ctx->io.fd;
	if (node->local && achan->has_ring && !achan->fs->in_memory)
		sqe = aio_ring_sqe(achan);
	if (sqe == NULL)
		return aio_run(chan, req, fsync_run, fsync_finish);
	io_uring_prep_fsync(sqe, ctx->io.fd,
			(req->flags & WEIR_FSREQ_DATASYNC) != 0 ? IORING_FSYNC_DATASYNC : 0);
	return aio_ring_send(achan, sqe, req, fsync_finish);
}

/* A guest asks at the root of what it has mounted; path descriptors cannot. */
static int WEIR_ON_HELPER
syncfs_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ref ref;
	int fd, rc;

	rc = aio_node_open(fs, req->node, &ref);
	if (rc < 0)
		return rc;
	fd = aio_openat(ref.fd, ".", O_RDONLY | O_DIRECTORY, 0, 0);
	aio_ref_put_now(fs, &ref);
	if (fd < 0)
		return fd;
	rc = syncfs(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int WEIR_ON_WORKER
aio_syncfs(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	return req->node->type == S_IFDIR ? aio_defer(chan, req, syncfs_run, NULL) : -EINVAL;
}
