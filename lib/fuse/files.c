/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse.h"

/*
 * Open files. A record has a reference for the guest, from a successful open to RELEASE or reset,
 * and one for each request that uses it. Whoever drops the last one tells the file system, so that
 * no verb on the file is under way then. The record has a reference to its node; none where that
 * is the root. A request that uses the file does without one of its own to the node: the file is
 * there for as long as the request, and with it the file's reference.
 */

static void
fuse_files_low(struct weir_fuse_session *sess)
{
	if (!atomic_exchange_explicit(&sess->low_posted, true, memory_order_acq_rel))
		weir_loop_post(&sess->low_post);
}

int WEIR_ON_WORKER
fuse_file_new(struct weir_fuse_req *req, uint64_t id, uint32_t flags)
{
	struct weir_fuse_session *sess = req->sess;
	struct fuse_file *file;
	void *rec;
	int rc;

	rc = weir_table_alloc(sess->files, &req->fh, &rec);
	if (rc == -EAGAIN || weir_table_is_low(sess->files))
		fuse_files_low(sess);
	if (rc < 0)
		return rc;
	file = rec;
	file->base.node = id;
	file->base.flags = flags;
	if (id != 0 && req->io.node != sess->root)
		weir_node_ref(sess->dev, req->io.node);
	req->file = file;
	req->io.file = &file->base;
	return 0;
}

/* Acquire pairs with the release in fuse_file_opened(): node and private bytes are there. */
static bool
fuse_file_is(const struct weir_fuse_session *sess, struct fuse_file *file, uint64_t nodeid)
{
	uint64_t id = nodeid != FUSE_NODEID_ROOT ? nodeid : sess->root_id;

	return file != NULL &&
			atomic_load_explicit(&file->state, memory_order_acquire) ==
			FUSE_FILE_OPEN &&
			file->base.node == id;
}

int WEIR_ON_WORKER
fuse_file_get(struct weir_fuse_req *req, uint64_t fh)
{
	/* Kept even if it is refused: ours may be the last reference, which the request's end drops. */
	req->file = weir_table_get(req->sess->files, fh);
	if (fuse_file_is(req->sess, req->file, req->nodeid))
		return 0;
	return fuse_fail(req, FUSE_FAULT_FILE, -EBADF);
}

int WEIR_ON_WORKER
fuse_newfile_get(struct weir_fuse_req *req, uint64_t nodeid, uint64_t fh)
{
	struct weir_node *node;

	req->newfile = weir_table_get(req->sess->files, fh);
	if (req->newfile == NULL)
		return fuse_fail(req, FUSE_FAULT_FILE, -EBADF);
	req->flags |= FUSE_REQ_NEWFILE;
	if (!fuse_file_is(req->sess, req->newfile, nodeid))
		return fuse_fail(req, FUSE_FAULT_FILE, -EBADF);
	node = fuse_file_node(req->sess, req->newfile);
	if (!S_ISREG(node->type))
		return fuse_fail(req, FUSE_FAULT_FILE, -EBADF);
	weir_node_ref(req->sess->dev, node);
	req->io.newnode = node;
	req->io.newfile = &req->newfile->base;
	return 0;
}

void
fuse_file_opened(struct weir_fuse_req *req)
{
	atomic_store_explicit(&req->file->state, FUSE_FILE_OPEN, memory_order_release);
	/* The request's reference becomes the guest's. */
	req->file = NULL;
}

void
fuse_file_unwanted(struct fuse_file *file)
{
	atomic_store_explicit(&file->state, FUSE_FILE_CLOSED, memory_order_release);
}

bool
fuse_file_close(struct weir_fuse_session *sess, struct fuse_file *file)
{
	uint32_t state = FUSE_FILE_OPEN;
	bool last;

	if (!atomic_compare_exchange_strong_explicit(&file->state, &state, FUSE_FILE_CLOSED,
			    memory_order_acq_rel, memory_order_relaxed))
		return false;
	last = weir_table_put(sess->files, file);
	RTE_ASSERT(!last);
	RTE_SET_USED(last);
	return true;
}

struct weir_node *
fuse_file_node(const struct weir_fuse_session *sess, const struct fuse_file *file)
{
	return weir_node_at(sess->dev, file->base.node);
}

void
fuse_file_free(struct weir_fuse_session *sess, struct fuse_file *file)
{
	if (file->base.node != 0)
		fuse_node_put(sess, fuse_file_node(sess, file));
	weir_table_free(sess->files, file);
}

bool
fuse_file_put(struct weir_fuse_session *sess, struct fuse_file *file)
{
	if (!weir_table_put(sess->files, file))
		return false;
	if (atomic_load_explicit(&file->state, memory_order_acquire) != FUSE_FILE_OPENING)
		return true;
	fuse_file_free(sess, file);
	return false;
}

void WEIR_ON_WORKER
fuse_file_release(struct weir_fuse_session *sess, struct fuse_file *file, struct weir_fsreq *io,
		struct weir_channel *chan, void (*done)(struct weir_fsreq *io, int res))
{
	const struct weir_cred cred = io->cred;
	struct weir_node *node = fuse_file_node(sess, file);

	memset(io, 0, offsetof(struct weir_fsreq, ctx));
	io->op = S_ISDIR(node->type) ? WEIR_FSOP_RELEASEDIR : WEIR_FSOP_RELEASE;
	io->chan = chan;
	io->cred = cred;
	io->node = node;
	io->file = &file->base;
	io->done = done;
	/* The file's reference keeps the node until the file is freed, after done. */
	weir_fsdev_submit(io);
}
