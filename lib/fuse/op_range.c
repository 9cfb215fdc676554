/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fuse.h"

/* Ranges of open files: space, holes, copies within the file system. */

/* A copy's result is a number of bytes; a guest comes again for what is left. */
#define COPY_MAX (1u << 30)

/*
 * A guest that leaves set-id bits to us does not say here when they fall: we take it that its root may
 * keep them, as everywhere else.
 */
static uint32_t WEIR_ON_WORKER
fuse_range_flags(const struct weir_fuse_req *req)
{
	const uint64_t agreed =
			atomic_load_explicit(&req->sess->shared->flags, memory_order_relaxed);

	return (agreed & FUSE_HANDLE_KILLPRIV_V2) != 0 && req->io.cred.uid != 0 ?
			WEIR_FSREQ_KILLPRIV :
			0;
}

int WEIR_ON_WORKER
fuse_fallocate(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_fallocate_in *in = arg;

	if (in->length == 0 || in->offset > INT64_MAX || in->length > INT64_MAX - in->offset)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	if ((req->io.file->flags & O_ACCMODE) == O_RDONLY)
		return fuse_fail(req, FUSE_FAULT_FILE, -EBADF);
	req->io.in.fallocate.off = in->offset;
	req->io.in.fallocate.len = in->length;
	req->io.in.fallocate.mode = in->mode;
	req->io.flags |= fuse_range_flags(req);
	return fuse_start_io(req, WEIR_FSOP_FALLOCATE);
}

/* Guests know the other forms of lseek(2) themselves. */
int WEIR_ON_WORKER
fuse_lseek(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_lseek_in *in = arg;

	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	if (in->offset > INT64_MAX)
		return -ENXIO;
	req->io.in.lseek.off = in->offset;
	req->io.in.lseek.whence = in->whence;
	return fuse_start_io(req, WEIR_FSOP_LSEEK);
}

int WEIR_ON_WORKER
fuse_lseek_reply(struct weir_fuse_req *req, int res)
{
	const struct fuse_lseek_out out = { .offset = req->io.out.off };

	(void)res;
	return fuse_body(req, &out, sizeof(out));
}

int WEIR_ON_WORKER
fuse_copy_file_range(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_copy_file_range_in *in = arg;
	struct weir_fsreq *io = &req->io;
	int rc;

	if (in->flags != 0 || in->len > INT64_MAX || in->off_in > INT64_MAX - in->len ||
			in->off_out > INT64_MAX - in->len)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	rc = fuse_newfile_get(req, in->nodeid_out, in->fh_out);
	if (rc < 0)
		return rc;
	if ((io->file->flags & O_ACCMODE) == O_WRONLY ||
			(io->newfile->flags & O_ACCMODE) == O_RDONLY)
		return fuse_fail(req, FUSE_FAULT_FILE, -EBADF);
	io->in.io.off = in->off_in;
	io->in.io.newoff = in->off_out;
	io->in.io.len = (uint32_t)RTE_MIN(in->len, (uint64_t)COPY_MAX);
	io->in.io.flags = 0;
	fuse_body_room(req, 0, &io->iov);
	io->flags |= fuse_range_flags(req);
	return fuse_start_io(req, WEIR_FSOP_COPY_FILE_RANGE);
}

int WEIR_ON_WORKER
fuse_copy_file_range_64_reply(struct weir_fuse_req *req, int res)
{
	const struct fuse_copy_file_range_out out = { .bytes_copied = (uint64_t)res };

	req->payload = (uint32_t)res;
	return fuse_body(req, &out, sizeof(out));
}
