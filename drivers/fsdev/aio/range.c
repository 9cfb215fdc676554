/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Ranges of open files: FALLOCATE, LSEEK, COPY_FILE_RANGE. No length is short enough to be sure that
 * they are quick, in memory neither, so helpers make all of them.
 */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

/* A helper that copies is held no longer than this takes; the guest comes again for the rest. */
#define RANGE_COPY_MAX (16u << 20)

/*
 * What changes a file takes its set-id bits, unless the caller may keep them. A process that cannot
 * act for others may not keep them itself.
 */
static void WEIR_ON_HELPER
range_take_cred(const struct weir_fsreq *req)
{
	(void)aio_cred_take_able(req);
}

static int WEIR_ON_HELPER
fallocate_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const uint64_t slot = aio_file_of(req->file)->slot;
	const int fd = aio_fd_get(&fs->fds, slot);
	int rc;

	if (fd < 0)
		return fd;
	range_take_cred(req);
	rc = fallocate(fd, (int)req->in.fallocate.mode, (off_t)req->in.fallocate.off,
			(off_t)req->in.fallocate.len);
	rc = rc < 0 ? -errno : 0;
	aio_cred_drop();
	aio_fd_put_now(&fs->fds, slot);
	return rc;
}

int WEIR_ON_WORKER
aio_fallocate(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	return aio_defer(chan, req, fallocate_run, NULL);
}

/* The position that this leaves behind is nobody's: reads and writes have their own. */
static int WEIR_ON_HELPER
lseek_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const uint64_t slot = aio_file_of(req->file)->slot;
	const int fd = aio_fd_get(&fs->fds, slot);
	off_t off;
	int rc;

	if (fd < 0)
		return fd;
	off = lseek(fd, (off_t)req->in.lseek.off, (int)req->in.lseek.whence);
	rc = off < 0 ? -errno : 0;
	if (rc == 0)
		req->out.off = (uint64_t)off;
	aio_fd_put_now(&fs->fds, slot);
	return rc;
}

int WEIR_ON_WORKER
aio_lseek(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	return aio_defer(chan, req, lseek_run, NULL);
}

/* Ends that are not aligned are beyond direct files; guests take this answer as "copy yourself". */
static int
copy_error(const struct weir_fsreq *req, int error)
{
	const bool direct = aio_file_of(req->file)->off_align > 0 ||
			aio_file_of(req->newfile)->off_align > 0;

	return error == EINVAL && direct ? -EOPNOTSUPP : -error;
}

static int WEIR_ON_HELPER
copy_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const uint64_t from = aio_file_of(req->file)->slot;
	const uint64_t to = aio_file_of(req->newfile)->slot;
	off_t off = (off_t)req->in.io.off, newoff = (off_t)req->in.io.newoff;
	ssize_t n = -EBADF;
	int fd, newfd;

	fd = aio_fd_get(&fs->fds, from);
	if (fd < 0)
		return fd;
	newfd = aio_fd_get(&fs->fds, to);
	if (newfd < 0)
		goto put_from;
	range_take_cred(req);
	n = copy_file_range(fd, &off, newfd, &newoff, RTE_MIN(req->in.io.len, RANGE_COPY_MAX), 0);
	n = n < 0 ? copy_error(req, errno) : n;
	aio_cred_drop();
	aio_fd_put_now(&fs->fds, to);
put_from:
	aio_fd_put_now(&fs->fds, from);
	return (int)n;
}

int WEIR_ON_WORKER
aio_copy_file_range(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	return aio_defer(chan, req, copy_run, NULL);
}
