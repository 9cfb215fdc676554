/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Open files. NFSv3 knows none, so what weir does at OPEN is to ask whether the caller may: the
 * guest's kernel has judged by mode bits, the server may know better (squashing, access lists).
 */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "nfs.h"

static void WEIR_ON_WORKER
open_count(struct weir_fsreq *req, struct weir_node *node)
{
	atomic_fetch_add(&nfs_chan_of(req)->fs->nb_open, 1);
	atomic_fetch_add(&nfs_node_of(node)->nb_open, 1);
}

/* @return what is to be done to the node for that. */
static uint32_t WEIR_ON_WORKER
open_uncount(struct weir_fsreq *req)
{
	struct nfs_node *node = nfs_node_of(req->node);

	atomic_fetch_sub(&nfs_chan_of(req)->fs->nb_open, 1);
	/* Sequentially consistent, as in nfs_silly_settle(): one of the two sees the other. */
	if (atomic_fetch_sub(&node->nb_open, 1) == 1 && atomic_load(&node->silly) == NFS_SILLY_DONE)
		return NFS_TODO_REMOVE;
	return 0;
}

void WEIR_ON_WORKER
nfs_open_failed(struct weir_fsreq *req)
{
	uint32_t todo = open_uncount(req);

	nfs_ctx_of(req)->opening = false;
	if (todo != 0)
		nfs_todo(nfs_chan_of(req), req->node, todo);
}

/* An OPEN has counted its node before it asked, so that nobody removes the file meanwhile. */
void WEIR_ON_WORKER
nfs_file_opened(struct weir_fsreq *req, struct weir_node *node)
{
	struct nfs_file *file = nfs_file_of(req->file);

	nfs_cred_squash(nfs_chan_of(req)->fs->params, &req->cred, &file->uid, &file->gid);
	atomic_store(&file->lost, atomic_load(&nfs_node_of(node)->lost));
	if (!nfs_ctx_of(req)->opening)
		open_count(req, node);
}

static uint32_t
open_mask(const struct weir_fsreq *req)
{
	switch (req->file->flags & O_ACCMODE) {
	case O_RDONLY:
		return R_OK;
	case O_WRONLY:
		return W_OK;
	default:
		return R_OK | W_OK;
	}
}

static void
open_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	/* Who may execute a file is allowed to read it, for that is how it is done. */
	nfs3_put_access(enc, &nfs_node_of(req->node)->fh,
			nfs_access_bits(S_IFREG, open_mask(req) | X_OK));
}

static int WEIR_ON_WORKER
open_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	uint32_t wanted = nfs_access_bits(S_IFREG, open_mask(req));
	struct nfs3_access_res res;

	if (rc == 0)
		rc = nfs3_get_access(dec, &res);
	if (rc < 0)
		return rc;
	if ((res.access & NFS3_ACCESS_EXECUTE) != 0)
		wanted &= ~NFS3_ACCESS_READ;
	if ((res.access & wanted) != wanted)
		return nfs_call_grouped(call) ? -EINPROGRESS : -EACCES;
	nfs_file_opened(req, req->node);
	return 0;
}

static const struct nfs_step open_step = { NFSPROC3_ACCESS, open_args, open_result };

static void
truncate_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	const struct nfs3_sattr sattr = { .set_size = true };

	nfs3_put_setattr(enc, &nfs_node_of(req->node)->fh, &sattr);
}

static int WEIR_ON_WORKER
truncate_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	if (rc < 0)
		return rc;
	nfs_file_opened(req, req->node);
	return 0;
}

static const struct nfs_step truncate_step = { NFSPROC3_SETATTR, truncate_args, truncate_result };

int WEIR_ON_WORKER
nfs_op_open(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct nfs_ctx *ctx = nfs_begin(req);
	int rc;

	switch (req->node->type) {
	case S_IFREG:
		break;
	case S_IFDIR:
		return -EISDIR;
	case S_IFLNK:
		return -ELOOP;
	default:
		return -ENXIO;
	}
	open_count(req, req->node);
	ctx->opening = true;
	rc = nfs_call(req, (req->file->flags & O_TRUNC) != 0 ? &truncate_step : &open_step);
	if (rc != -EINPROGRESS)
		nfs_open_failed(req);
	return rc;
}

int WEIR_ON_WORKER
nfs_op_release(struct weir_channel *chan, struct weir_fsreq *req)
{
	const struct nfs_file *file = nfs_file_of(req->file);
	struct nfs_node *node = nfs_node_of(req->node);
	struct nfs_chan *nchan = nfs_chan_of(req);
	uint32_t todo = 0;

	if (nfs_is_unstable(node)) {
		atomic_store(&node->writer, (uint64_t)file->uid << 32 | file->gid);
		todo |= NFS_TODO_COMMIT;
	}
	todo |= open_uncount(req);
	if (todo == 0)
		return 0;
	nfs_todo(nchan, req->node, todo);
	return nfs_todo_wait(req);
}

int WEIR_ON_WORKER
nfs_op_opendir(struct weir_channel *chan, struct weir_fsreq *req)
{
	return req->node->type == S_IFDIR ? 0 : -ENOTDIR;
}

int WEIR_ON_WORKER
nfs_op_releasedir(struct weir_channel *chan, struct weir_fsreq *req)
{
	return 0;
}

/* A server has stored a change of a directory before it answers. */
int WEIR_ON_WORKER
nfs_op_fsyncdir(struct weir_channel *chan, struct weir_fsreq *req)
{
	return 0;
}
