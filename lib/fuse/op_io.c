/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>

#include "fuse.h"

/* Data of open files. Payload stays in guest memory: the driver borrows cursors over it. */

static bool
fuse_range_is_sane(uint64_t off, uint32_t len)
{
	return off <= (uint64_t)INT64_MAX - len;
}

int WEIR_ON_WORKER
fuse_count_reply(struct weir_fuse_req *req, int res)
{
	req->payload = (uint32_t)res;
	return res;
}

int WEIR_ON_WORKER
fuse_read(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_read_in *in = arg;
	struct weir_fsreq *io = &req->io;

	if (in->size > req->sess->max_io || !fuse_range_is_sane(in->offset, in->size))
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	if ((io->file->flags & O_ACCMODE) == O_WRONLY)
		return fuse_fail(req, FUSE_FAULT_FILE, -EBADF);
	io->in.io.off = in->offset;
	io->in.io.len = fuse_body_room(req, in->size, &io->iov);
	io->in.io.flags = in->flags;
	if (io->in.io.len == 0) {
		fuse_finish(req, 0);
		return 0;
	}
	return fuse_start_io(req, WEIR_FSOP_READ);
}

int WEIR_ON_WORKER
fuse_write(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_write_in *in = arg;
	struct weir_fsreq *io = &req->io;

	if (in->size > req->in.left || in->size > req->sess->max_write ||
			!fuse_range_is_sane(in->offset, in->size))
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	if ((io->file->flags & O_ACCMODE) == O_RDONLY)
		return fuse_fail(req, FUSE_FAULT_FILE, -EBADF);
	io->in.io.off = in->offset;
	io->in.io.len = in->size;
	io->in.io.flags = in->flags;
	/*
	 * A page that is written back has its place, whatever its file was opened with; and with a
	 * write-back cache all that is appended has.
	 */
	if ((in->write_flags & FUSE_WRITE_CACHE) != 0 ||
			(unlikely((in->flags & O_APPEND) != 0) &&
					fuse_has(req->sess, FUSE_WRITEBACK_CACHE)))
		io->in.io.flags &= ~(uint32_t)O_APPEND;
	io->flags = (in->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0 ? WEIR_FSREQ_KILLPRIV : 0;
	io->iov = req->in;
	weir_iov_limit(&io->iov, in->size);
	if (in->size == 0) {
		fuse_finish(req, fuse_write_reply(req, 0));
		return 0;
	}
	return fuse_start_io(req, WEIR_FSOP_WRITE);
}

int WEIR_ON_WORKER
fuse_write_reply(struct weir_fuse_req *req, int res)
{
	const struct fuse_write_out out = { .size = (uint32_t)res };

	req->payload = (uint32_t)res;
	return fuse_body(req, &out, sizeof(out));
}

int WEIR_ON_WORKER
fuse_flush(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_flush_in *in = arg;

	req->io.in.lock = (struct weir_lock){
		.guest = (uintptr_t)req->sess,
		.owner = in->lock_owner,
		.end = INT64_MAX,
		.type = F_UNLCK,
	};
	return fuse_start_io(req, WEIR_FSOP_FLUSH);
}

static int WEIR_ON_WORKER
fuse_sync(struct weir_fuse_req *req, const struct fuse_fsync_in *in, enum weir_fsop verb)
{
	if ((in->fsync_flags & FUSE_FSYNC_FDATASYNC) != 0)
		req->io.flags |= WEIR_FSREQ_DATASYNC;
	return fuse_start_io(req, verb);
}

int WEIR_ON_WORKER
fuse_fsync(struct weir_fuse_req *req, const void *arg)
{
	return fuse_sync(req, arg, WEIR_FSOP_FSYNC);
}

int WEIR_ON_WORKER
fuse_fsyncdir(struct weir_fuse_req *req, const void *arg)
{
	return fuse_sync(req, arg, WEIR_FSOP_FSYNCDIR);
}

/* Regular files are always ready, and guests open no others here. They say so themselves from now on. */
int WEIR_ON_WORKER
fuse_poll(struct weir_fuse_req *req, const void *arg)
{
	(void)req;
	(void)arg;
	return -ENOSYS;
}
