/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fuse.h"

/* From OPEN, OPENDIR and CREATE to RELEASE and RELEASEDIR. */

/*
 * With a write-back cache the guest reads what it changes parts of, and has worked out where an append
 * goes before it writes.
 */
static uint32_t
fuse_open_flags(const struct weir_fuse_req *req, uint32_t flags)
{
	flags = (flags & req->sess->open_mask) | req->sess->open_add;
	if (fuse_has(req->sess, FUSE_WRITEBACK_CACHE)) {
		flags &= ~(uint32_t)O_APPEND;
		if ((flags & O_ACCMODE) == O_WRONLY)
			flags ^= O_WRONLY | O_RDWR;
	}
	return flags;
}

/*
 * Cutting a file off is writing to it. A guest that leaves set-id bits to us says when they fall; one
 * that does not lets them stand when it opens, which is not right.
 */
static uint32_t WEIR_ON_WORKER
fuse_trunc_flags(const struct weir_fuse_req *req, uint32_t flags, uint32_t open_flags)
{
	const uint64_t agreed =
			atomic_load_explicit(&req->sess->shared->flags, memory_order_relaxed);
	bool kill;

	if ((flags & O_TRUNC) == 0)
		return 0;
	kill = (agreed & FUSE_HANDLE_KILLPRIV_V2) != 0 ?
			(open_flags & FUSE_OPEN_KILL_SUIDGID) != 0 :
			req->io.cred.uid != 0;
	return kill ? WEIR_FSREQ_KILLPRIV : 0;
}

int WEIR_ON_WORKER
fuse_open(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_open_in *in = arg;
	uint32_t type = req->io.node->type;
	int rc;

	/* Guests open pipes, sockets and devices themselves; here they would block, or worse. */
	if (!S_ISREG(type))
		return S_ISDIR(type) ? -EISDIR : -EINVAL;
	if (fuse_is_readonly(req->sess) &&
			((in->flags & O_ACCMODE) != O_RDONLY || (in->flags & O_TRUNC) != 0))
		return -EROFS;
	rc = fuse_file_new(req, weir_node_id(req->sess->dev, req->io.node),
			fuse_open_flags(req, in->flags));
	if (rc < 0)
		return rc;
	req->io.flags |= fuse_trunc_flags(req, in->flags, in->open_flags);
	return fuse_start_io(req, WEIR_FSOP_OPEN);
}

int WEIR_ON_WORKER
fuse_opendir(struct weir_fuse_req *req, const void *arg)
{
	int rc;

	(void)arg;
	rc = fuse_file_new(req, weir_node_id(req->sess->dev, req->io.node),
			O_DIRECTORY | req->sess->open_add);
	if (rc < 0)
		return rc;
	return fuse_start_io(req, WEIR_FSOP_OPENDIR);
}

int WEIR_ON_WORKER
fuse_open_reply(struct weir_fuse_req *req, int res)
{
	const struct weir_fuse_session *sess = req->sess;
	const struct fuse_open_out out = {
		.fh = req->fh,
		.open_flags = S_ISDIR(req->io.node->type) ? sess->dir_cache : sess->file_cache,
	};

	(void)res;
	fuse_file_opened(req);
	return fuse_body(req, &out, sizeof(out));
}

void WEIR_ON_WORKER
fuse_open_undo(struct weir_fuse_req *req)
{
	fuse_file_unwanted(req->file);
}

static int WEIR_ON_WORKER
fuse_make_file(struct weir_fuse_req *req, const struct fuse_create_in *in, enum weir_fsop verb)
{
	int rc;

	if ((in->mode & S_IFMT) != 0 && !S_ISREG(in->mode))
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	req->io.in.create.mode = S_IFREG | (in->mode & 07777);
	req->io.in.create.umask = in->umask & 0777;
	rc = fuse_file_new(req, 0,
			fuse_open_flags(req, in->flags) | (in->flags & (O_EXCL | O_TRUNC)) |
					O_CREAT);
	if (rc < 0)
		return rc;
	req->io.flags |= fuse_trunc_flags(req, in->flags, in->open_flags) |
			fuse_setgid_flag(req, in->mode);
	return fuse_start_io(req, verb);
}

int WEIR_ON_WORKER
fuse_create(struct weir_fuse_req *req, const void *arg)
{
	return fuse_make_file(req, arg, WEIR_FSOP_CREATE);
}

int WEIR_ON_WORKER
fuse_tmpfile(struct weir_fuse_req *req, const void *arg)
{
	return fuse_make_file(req, arg, WEIR_FSOP_TMPFILE);
}

/* The file takes over a reference to its node; false: the driver gave none. */
static bool WEIR_ON_WORKER
fuse_create_own(struct weir_fuse_req *req, struct weir_node *node)
{
	if (node == NULL || node == req->sess->root || !S_ISREG(node->type))
		return false;
	req->file->base.node = weir_node_id(req->sess->dev, node);
	return true;
}

int WEIR_ON_WORKER
fuse_create_reply(struct weir_fuse_req *req, int res)
{
	const struct weir_entry *entry = &req->io.out.entry;
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = { .open = { .fh = req->fh, .open_flags = req->sess->file_cache } };

	(void)res;
	if (!fuse_create_own(req, entry->node)) {
		fuse_entry_undo(req);
		return fuse_fail(req, FUSE_FAULT_BACKEND, -EIO);
	}
	/* One reference for the file, one for the ledger. */
	weir_node_ref(req->sess->dev, entry->node);
	fuse_fill_entry(req->sess, &out.entry, entry);
	fuse_file_opened(req);
	return fuse_body(req, &out, sizeof(out));
}

void WEIR_ON_WORKER
fuse_create_undo(struct weir_fuse_req *req)
{
	if (fuse_create_own(req, req->io.out.entry.node))
		fuse_file_unwanted(req->file);
	else
		fuse_entry_undo(req);
}

static void WEIR_ON_WORKER
fuse_release_waits_ended(struct weir_fsreq *io, int res)
{
	(void)res; /* the file is closed, whether or not anybody has waited */
	fuse_io_done(io, 0);
}

/* The request's end closes the file, unless others use it still: then theirs does. */
int WEIR_ON_WORKER
fuse_release(struct weir_fuse_req *req, const void *arg)
{
	(void)arg;
	if (!fuse_file_close(req->sess, req->file))
		return fuse_fail(req, FUSE_FAULT_FILE, -EBADF);
	/* Who still waits for a lock would keep it open. */
	if (atomic_load_explicit(&req->file->waited, memory_order_relaxed) != 0)
		return fuse_end_waits(req, 0, fuse_release_waits_ended);
	fuse_finish(req, 0);
	return 0;
}
