/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fuse.h"

/*
 * SYNCFS where the file system has no verb for it: FSYNC of each file that the guest has open for
 * writing, one after the other; what it has closed was stored then. Before the next file the request
 * waits for a message of its own, so that neither the stack nor a round of the worker grows with
 * the number of files.
 *
 *   NEW --> IN_BACKEND (FSYNC) --> CLOSING, if nobody else has the file any more --> WAITING --> NEW
 */

#define SYNC_SLICE 16

static void WEIR_ON_WORKER sync_next(struct weir_fuse_req *req);

static void
sync_go_on(struct weir_msg *msg)
{
	struct weir_fuse_req *req = container_of(msg, struct weir_fuse_req, msg);

	weir_role_assume_worker();
	fuse_req_step(req, FUSE_REQ_WAITING, FUSE_REQ_NEW);
	sync_next(req);
}

static void WEIR_ON_WORKER
sync_wait(struct weir_fuse_req *req)
{
	req->state = FUSE_REQ_WAITING;
	req->msg.fn = sync_go_on;
	weir_worker_send(req->worker, &req->msg);
}

static void WEIR_ON_WORKER
sync_closed(struct weir_fsreq *io, int res)
{
	struct weir_fuse_req *req = container_of(io, struct weir_fuse_req, io);

	(void)res; /* as with any RELEASE */
	fuse_file_free(req->sess, req->file);
	req->file = NULL;
	io->node = NULL;
	io->file = NULL;
	sync_wait(req);
}

/* Lets go of the file. False: it is to be closed first, and the request goes on after that. */
static bool WEIR_ON_WORKER
sync_leave(struct weir_fuse_req *req)
{
	struct weir_fuse_session *sess = req->sess;
	struct fuse_file *file = req->file;

	req->io.node = NULL;
	req->io.file = NULL;
	if (fuse_file_put(sess, file)) {
		req->state = FUSE_REQ_CLOSING;
		fuse_file_release(sess, file, &req->io,
				weir_fsdev_channel_by(sess->dev, req->route), sync_closed);
		return false;
	}
	req->file = NULL;
	return true;
}

static void WEIR_ON_WORKER
sync_done(struct weir_fsreq *io, int res)
{
	struct weir_fuse_req *req = container_of(io, struct weir_fuse_req, io);

	if (res < 0)
		req->error = res >= -FUSE_ERRNO_MAX ? res : -EIO;
	if (sync_leave(req))
		sync_wait(req);
}

static bool
sync_wants(const struct weir_fuse_session *sess, const struct fuse_file *file)
{
	/* Acquire pairs with the release in fuse_file_opened(). */
	return atomic_load_explicit(&file->state, memory_order_acquire) == FUSE_FILE_OPEN &&
			(file->base.flags & O_ACCMODE) != O_RDONLY &&
			S_ISREG(fuse_file_node(sess, file)->type);
}

static void WEIR_ON_WORKER
sync_file(struct weir_fuse_req *req)
{
	req->io.node = fuse_file_node(req->sess, req->file);
	req->io.file = &req->file->base;
	req->io.flags = WEIR_FSREQ_SYNCFS;
	fuse_start_io_for(req, WEIR_FSOP_FSYNC, sync_done);
}

static void WEIR_ON_WORKER
sync_next(struct weir_fuse_req *req)
{
	struct weir_table *files = req->sess->files;
	const uint32_t end = weir_table_end(files);

	for (unsigned int i = 0; i < SYNC_SLICE && req->fh < end && fuse_req_is_live(req); i++) {
		req->file = weir_table_get_index(files, (uint32_t)req->fh++);
		if (req->file == NULL)
			continue;
		if (sync_wants(req->sess, req->file)) {
			sync_file(req);
			return;
		}
		if (!sync_leave(req))
			return;
	}
	if (!fuse_req_is_live(req))
		fuse_finish(req, -ENOTCONN);
	else if (req->fh < end)
		sync_wait(req);
	else
		fuse_finish(req, req->error);
}

int WEIR_ON_WORKER
fuse_syncfs(struct weir_fuse_req *req, const void *arg)
{
	struct weir_fuse_session *sess = req->sess;

	(void)arg;
	if (weir_fsdev_has(sess->dev, WEIR_FSOP_SYNCFS))
		return fuse_start_io(req, WEIR_FSOP_SYNCFS);
	if (!weir_fsdev_has(sess->dev, WEIR_FSOP_FSYNC))
		return -ENOSYS;
	/* From here on its node is the file's. */
	fuse_node_put(sess, req->io.node);
	req->io.node = NULL;
	req->flags |= FUSE_REQ_BORROWS;
	req->fh = 0;
	req->error = 0;
	sync_next(req);
	return 0;
}
