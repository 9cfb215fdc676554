/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * READ and WRITE. In a local folder payload goes straight between file and guest pages: inline
 * while the page cache answers, and for ever where it is all there is; then by io_uring, or by a
 * helper where there is none. Elsewhere a
 * server may never answer: there helpers move the payload through buffers of our own, so that guest
 * memory is free at any time.
 *
 *   rw_step --inline--> done
 *      |  ^--> io_uring or helper --> rw_finish --.
 *      '--------------- more to do ---------------'
 *
 * A step does what it can of what is left; short results are continued.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

static int WEIR_ON_WORKER rw_step(struct weir_channel *chan, struct weir_fsreq *req);

static off_t
rw_off(struct weir_fsreq *req)
{
	return (off_t)(req->in.io.off + aio_ctx_of(req)->io.total);
}

static bool
rw_is_read(const struct weir_fsreq *req)
{
	return req->op == WEIR_FSOP_READ;
}

/* A guest's offset is where it thinks that the file ends. The host's kernel knows, at the time. */
static int
rw_flags(const struct weir_fsreq *req)
{
	return !rw_is_read(req) && (req->in.io.flags & O_APPEND) != 0 ? RWF_APPEND : 0;
}

/*
 * Gives back what the request holds and makes its answer. A WRITE's error counts when nothing was
 * written before it; a READ's counts always, since a guest takes a short one for the file's end.
 */
static int WEIR_ON_WORKER
rw_end(struct weir_channel *chan, struct weir_fsreq *req, int res)
{
	struct aio_ctx *ctx = aio_ctx_of(req);

	aio_fd_put(&aio_fs_of(chan)->fds, ctx->io.slot);
	aio_pool_put(req);
	/* A front end has cut its memory file short: the guest's caller passed no bad address. */
	if (res == -EFAULT)
		res = -EIO;
	if (res < 0 && (rw_is_read(req) || ctx->io.total == 0))
		return res;
	return (int)ctx->io.total;
}

static ssize_t
rw_append(int fd, const struct iovec *vec, int nb)
{
	const ssize_t n = pwritev2(fd, vec, nb, 0, RWF_APPEND);

	return n < 0 ? -errno : n;
}

static ssize_t
rw_buffer(const struct weir_fsreq *req, int fd, void *buf, size_t bytes, off_t off)
{
	const struct iovec vec = { .iov_base = buf, .iov_len = bytes };
	ssize_t n;

	if (rw_flags(req) != 0)
		return rw_append(fd, &vec, 1);
	n = rw_is_read(req) ? pread(fd, buf, bytes, off) : pwrite(fd, buf, bytes, off);
	return n < 0 ? -errno : n;
}

static ssize_t
rw_vector(const struct weir_fsreq *req, int fd, const struct aio_ctx *ctx, off_t off)
{
	const int nb = (int)ctx->io.nb;
	ssize_t n;

	if (nb == 1)
		return rw_buffer(req, fd, ctx->io.vec->iov_base, ctx->io.vec->iov_len, off);
	if (rw_flags(req) != 0)
		return rw_append(fd, ctx->io.vec, nb);
	n = rw_is_read(req) ? preadv(fd, ctx->io.vec, nb, off) : pwritev(fd, ctx->io.vec, nb, off);
	return n < 0 ? -errno : n;
}

/* A direct file that must take what is not aligned is opened once more, as others are. */
static int WEIR_ON_HELPER
rw_open_buffered(int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	char name[16];

	if (flags < 0)
		return -errno;
	aio_fd_name(fd, name);
	fd = openat(aio_proc_fd, name,
			(flags & (O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME)) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* On a local file system, in guest memory. */
static int WEIR_ON_HELPER
rw_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const struct aio_file *file = aio_file_of(req->file);
	struct aio_ctx *ctx = aio_ctx_of(req);
	int fd = ctx->io.fd;
	ssize_t n;

	if (ctx->io.buffered && file->off_align > 0) {
		fd = rw_open_buffered(fd);
		if (fd < 0)
			return fd;
	}
	n = rw_vector(req, fd, ctx, rw_off(req));
	if (fd != ctx->io.fd)
		close(fd);
	return (int)n;
}

static int WEIR_ON_WORKER
rw_finish(struct weir_channel *chan, struct weir_fsreq *req)
{
	const struct aio_file *file = aio_file_of(req->file);
	struct aio_ctx *ctx = aio_ctx_of(req);
	const bool direct = file->off_align > 0 && !ctx->io.buffered;
	const int res = ctx->res;

	ctx->guest_memory = false;
	if (weir_fsreq_detached(req))
		return rw_end(chan, req, -ECANCELED);
	/*
	 * The alignment was guessed, or the file system has more to it than that; or io_uring does
	 * not wait for this kind of file. A helper does what there is.
	 */
	if ((res == -EINVAL && direct) || (res == -EAGAIN && !ctx->io.buffered)) {
		ctx->io.buffered = true;
		return rw_step(chan, req);
	}
	if (res <= 0)
		return rw_end(chan, req, res == 0 && !rw_is_read(req) ? -EIO : res);
	weir_iov_skip(&req->iov, (size_t)res);
	ctx->io.total += (uint32_t)res;
	if (ctx->io.total == req->in.io.len)
		return rw_end(chan, req, 0);
	/* Direct reads end in the middle of a block only where the file does. */
	if (direct && rw_is_read(req) && (uint32_t)res % file->off_align != 0)
		return rw_end(chan, req, 0);
	return rw_step(chan, req);
}

/* Describes what is left to the kernel, in the request itself or in a table of the channel's. */
static int WEIR_ON_WORKER
rw_export(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_chan *achan = weir_channel_priv(chan);
	struct aio_ctx *ctx = aio_ctx_of(req);
	const size_t left = req->in.io.len - ctx->io.total;
	int rc;

	if (ctx->piece == NULL) {
		ctx->io.vec = ctx->io.small;
		ctx->io.nb = weir_iov_export(
				&req->iov, ctx->io.vec, AIO_SMALL_SEGS, left, &ctx->io.bytes);
		if (ctx->io.bytes == left)
			return 0;
		rc = aio_pool_get(&achan->vecs, req, rw_step);
		if (rc < 0)
			return rc;
	}
	ctx->io.vec = ctx->piece;
	ctx->io.nb = weir_iov_export(&req->iov, ctx->io.vec, AIO_VEC_SEGS, left, &ctx->io.bytes);
	return 0;
}

static bool
rw_is_aligned(struct weir_fsreq *req)
{
	const struct aio_file *file = aio_file_of(req->file);
	const struct aio_ctx *ctx = aio_ctx_of(req);
	uint32_t i;

	if ((uint64_t)rw_off(req) % file->off_align != 0)
		return false;
	for (i = 0; i < ctx->io.nb; i++) {
		if ((uintptr_t)ctx->io.vec[i].iov_base % file->mem_align != 0 ||
				ctx->io.vec[i].iov_len % file->off_align != 0)
			return false;
	}
	return true;
}

static void WEIR_ON_WORKER
rw_again(struct weir_fsreq *req)
{
	aio_end(req, rw_step(req->chan, req));
}

static int WEIR_ON_WORKER
rw_send(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_chan *achan = weir_channel_priv(chan);
	struct aio_ctx *ctx = aio_ctx_of(req);
	struct io_uring_sqe *sqe;

	if (!achan->has_ring || ctx->io.buffered || (aio_kills(req) && achan->personality < 0)) {
		ctx->guest_memory = true;
		return aio_defer(chan, req, rw_run, rw_finish);
	}
	sqe = aio_ring_sqe(achan);
	if (sqe == NULL) {
		weir_fsreq_retry(req, rw_again);
		return -EINPROGRESS;
	}
	ctx->guest_memory = true;
	if (rw_is_read(req))
		io_uring_prep_readv(
				sqe, ctx->io.fd, ctx->io.vec, ctx->io.nb, (uint64_t)rw_off(req));
	else
		io_uring_prep_writev(
				sqe, ctx->io.fd, ctx->io.vec, ctx->io.nb, (uint64_t)rw_off(req));
	sqe->rw_flags = rw_flags(req);
	if (aio_kills(req))
		sqe->personality = (uint16_t)achan->personality;
	else if (!rw_is_read(req))
		achan->keeps = true;
	return aio_ring_send(achan, sqe, req, rw_finish);
}

/* What the page cache can do now: bytes, 0 at the end of the file, -EAGAIN: not now. */
static ssize_t WEIR_ON_WORKER
rw_cached(struct aio_fs *fs, struct weir_fsreq *req)
{
	const struct aio_ctx *ctx = aio_ctx_of(req);
	_Atomic bool *refused = rw_is_read(req) ? &fs->no_nowait_read : &fs->no_nowait_write;
	const int nb = (int)ctx->io.nb;
	ssize_t n;

	if (!fs->in_memory && atomic_load_explicit(refused, memory_order_relaxed))
		return -EAGAIN;
	weir_role_assume_helper();
	n = aio_cred_begin(req);
	if (n < 0)
		return n;
	if (fs->in_memory)
		return rw_vector(req, ctx->io.fd, ctx, rw_off(req));
	n = rw_is_read(req) ? preadv2(ctx->io.fd, ctx->io.vec, nb, rw_off(req), RWF_NOWAIT) :
			      pwritev2(ctx->io.fd, ctx->io.vec, nb, rw_off(req),
					      RWF_NOWAIT | rw_flags(req));
	if (n >= 0)
		return n;
	if (errno != EOPNOTSUPP)
		return -errno;
	atomic_store_explicit(refused, true, memory_order_relaxed);
	return -EAGAIN;
}

/* On other file systems, in a buffer of ours: as much as there is, up to the end of the file. */
static int WEIR_ON_HELPER
bounce_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const struct aio_file *file = aio_file_of(req->file);
	struct aio_ctx *ctx = aio_ctx_of(req);
	const off_t off = rw_off(req);
	const bool aligned = file->off_align == 0 ||
			((uint64_t)off | ctx->io.bytes) % file->off_align == 0;
	size_t done = 0;
	ssize_t n = 0;
	int fd = ctx->io.fd;

	if (!aligned)
		fd = rw_open_buffered(fd);
	if (fd < 0)
		return fd;
	while (done < ctx->io.bytes) {
		n = rw_buffer(req, fd, RTE_PTR_ADD(ctx->piece, done), ctx->io.bytes - done,
				off + (off_t)done);
		if (n == -EINVAL && file->off_align > 0 && fd == ctx->io.fd) {
			n = fd = rw_open_buffered(fd);
			if (fd >= 0)
				continue;
		}
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (fd >= 0 && fd != ctx->io.fd)
		close(fd);
	return n < 0 && (rw_is_read(req) || done == 0) ? (int)n : (int)done;
}

static int WEIR_ON_WORKER
bounce_finish(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_ctx *ctx = aio_ctx_of(req);

	if (weir_fsreq_detached(req))
		return rw_end(chan, req, -ECANCELED);
	if (ctx->res <= 0)
		return rw_end(chan, req, ctx->res == 0 && !rw_is_read(req) ? -EIO : ctx->res);
	if (rw_is_read(req))
		weir_iov_write(&req->iov, ctx->piece, (size_t)ctx->res);
	ctx->io.total += (uint32_t)ctx->res;
	if (ctx->io.total == req->in.io.len || (size_t)ctx->res < ctx->io.bytes)
		return rw_end(chan, req, 0);
	return rw_step(chan, req);
}

static int WEIR_ON_WORKER
bounce_step(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_chan *achan = weir_channel_priv(chan);
	struct aio_ctx *ctx = aio_ctx_of(req);
	int rc;

	rc = aio_pool_get(&achan->bufs, req, rw_step);
	if (rc < 0)
		return rc;
	ctx->io.bytes = RTE_MIN(req->in.io.len - ctx->io.total, achan->fs->buf_bytes);
	if (!rw_is_read(req))
		ctx->io.bytes = weir_iov_read(&req->iov, ctx->piece, ctx->io.bytes);
	return aio_defer(chan, req, bounce_run, bounce_finish);
}

static int WEIR_ON_WORKER
rw_step(struct weir_channel *chan, struct weir_fsreq *req)
{
	const struct aio_file *file = aio_file_of(req->file);
	const struct aio_node *node = weir_node_priv(req->node);
	struct aio_ctx *ctx = aio_ctx_of(req);
	struct aio_fs *fs = aio_fs_of(chan);
	ssize_t n;
	int rc;

	if (weir_fsreq_detached(req))
		return rw_end(chan, req, -ECANCELED);
	if (!node->local)
		return bounce_step(chan, req);
	for (;;) {
		rc = rw_export(chan, req);
		if (rc < 0)
			return rc;
		if (file->off_align > 0) {
			ctx->io.buffered = ctx->io.buffered || !rw_is_aligned(req);
			return rw_send(chan, req);
		}
		n = rw_cached(fs, req);
		if (n == -EAGAIN)
			return rw_send(chan, req);
		if (n <= 0)
			return rw_end(chan, req, n == 0 && !rw_is_read(req) ? -EIO : (int)n);
		weir_iov_skip(&req->iov, (size_t)n);
		ctx->io.total += (uint32_t)n;
		if (ctx->io.total == req->in.io.len)
			return rw_end(chan, req, 0);
	}
}

int WEIR_ON_WORKER
aio_rw(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_fs *fs = aio_fs_of(chan);
	struct aio_ctx *ctx = aio_begin(req);

	if (req->file == NULL)
		return -EBADF;
	req->in.io.len = (uint32_t)RTE_MIN(req->in.io.len, req->iov.left);
	if (req->in.io.len == 0 || fs->skip_rw)
		return (int)req->in.io.len;
	if (req->in.io.off > (uint64_t)INT64_MAX - req->in.io.len)
		return rw_is_read(req) ? 0 : -EFBIG;
	ctx->io.slot = aio_file_of(req->file)->slot;
	ctx->io.fd = aio_fd_get(&fs->fds, ctx->io.slot);
	if (ctx->io.fd < 0)
		return ctx->io.fd;
	ctx->io.total = 0;
	ctx->io.buffered = false;
	return rw_step(chan, req);
}
