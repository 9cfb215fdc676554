/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Listing a directory. A guest's position is the server's cookie, so what does not fit is asked for
 * again from where the guest is. The cookie verifier belongs to the open directory; a server that
 * no longer knows it gets the cookie without, and if that is of no use either, is asked from the
 * start, up to the entry that the guest had last.
 */

#include <dirent.h>
#include <errno.h>

#include <rte_common.h>

#include "nfs.h"

/* Bytes of one reply at least and at most. */
#define DIR_BYTES_MIN UINT64_C(4096)
#define DIR_BYTES_MAX UINT64_C(61440)
static_assert(DIR_BYTES_MAX + 4096 <= WEIR_SUNRPC_REPLY_MAX, "room for the RPC header");
/* Replies without an entry for the guest, one after the other: a server must not keep it for ever. */
#define DIR_MAX_ROUNDS 4096

static const struct nfs_step readdir_step;
static const struct nfs_step readdirplus_step;

static bool
dir_is_plus(const struct nfs_call *call)
{
	return call->step->proc == NFSPROC3_READDIRPLUS;
}

static int WEIR_ON_WORKER
dir_ask(struct weir_fsreq *req)
{
	const bool plus = (req->flags & WEIR_FSREQ_PLUS) != 0 &&
			!atomic_load(&nfs_chan_of(req)->fs->no_readdirplus);

	return nfs_call(req, plus ? &readdirplus_step : &readdir_step);
}

/* As much as fills the guest's buffer: on the wire entries are about as long as there. */
static uint32_t
dir_bytes(struct weir_fsreq *req)
{
	const struct nfs_fs *fs = nfs_chan_of(req)->fs;
	uint64_t bytes = req->in.io.len;

	bytes += bytes / 4;
	bytes = RTE_MIN(bytes, fs->dir_bytes);
	bytes = RTE_MAX(bytes, DIR_BYTES_MIN) * nfs_ctx_of(req)->dir.scale;
	return (uint32_t)RTE_MIN(bytes, DIR_BYTES_MAX);
}

static void
readdir_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	const struct nfs3_fh *fh = &nfs_node_of(req->node)->fh;
	uint64_t cookie = nfs_ctx_of(req)->dir.cookie;
	uint64_t verifier = 0;

	if (cookie != 0)
		verifier = atomic_load(&nfs_file_of(req->file)->cookie_verifier);
	if (dir_is_plus(call))
		nfs3_put_readdirplus(enc, fh, cookie, verifier, dir_bytes(req), dir_bytes(req));
	else
		nfs3_put_readdir(enc, fh, cookie, verifier, dir_bytes(req));
}

static unsigned char
dirent_type(const struct nfs3_obj *obj)
{
	return obj->attr.there ? IFTODT(nfs_mode_type(&obj->attr.attr)) : DT_UNKNOWN;
}

static bool
entry_is(const struct nfs3_entry *entry, const char *dots)
{
	return entry->name_len == strlen(dots) && memcmp(entry->name, dots, entry->name_len) == 0;
}

static uint64_t
entry_ino(const struct weir_fsreq *req, const struct nfs3_entry *entry)
{
	const struct nfs_node *dir = nfs_node_of(req->node);
	const struct nfs_fs *fs = nfs_chan_of(req)->fs;

	/* What is above the export is nobody's business. */
	if (req->node == weir_fsdev_root(weir_channel_fsdev(req->chan)) && entry_is(entry, ".."))
		return nfs_ino(fs, dir->fsid, dir->fileid);
	if (entry->obj.attr.there)
		return nfs_ino(fs, entry->obj.attr.attr.fsid, entry->obj.attr.attr.fileid);
	return nfs_ino(fs, dir->fsid, entry->fileid);
}

/* 0, -ENOSPC, or -EAGAIN when the node table must grow first. */
static int WEIR_ON_WORKER
dir_emit(struct weir_fsreq *req, const struct nfs3_entry *entry)
{
	struct nfs_chan *chan = nfs_chan_of(req);
	const struct nfs3_obj *obj = &entry->obj;
	struct weir_entry found = { 0 };
	struct weir_dirent dirent = {
		.name = entry->name,
		.name_len = entry->name_len,
		.type = dirent_type(obj),
		.ino = entry_ino(req, entry),
		.next_off = entry->cookie,
	};
	struct weir_node *node = NULL;
	int rc;

	if (obj->has_fh && obj->attr.there && !entry_is(entry, ".") && !entry_is(entry, "..")) {
		rc = nfs_node_get(chan, &obj->fh, &obj->attr.attr, &node);
		if (rc == -EAGAIN)
			return rc;
		if (rc == 0) {
			nfs_entry(chan->fs, node, &obj->attr.attr, &found);
			dirent.entry = &found;
		}
	}
	rc = req->emit(req, &dirent);
	if (rc < 0 && node != NULL)
		nfs_node_put(chan, node);
	return rc;
}

/* Gives the guest one entry, if it is for guests at all. */
static int WEIR_ON_WORKER
dir_take(struct weir_fsreq *req, const struct nfs3_entry *entry)
{
	struct nfs_ctx *ctx = nfs_ctx_of(req);
	int rc;

	/* A cookie of 0 would send the guest back to the start, for ever. */
	if (entry->cookie == 0)
		return -EBADMSG;
	ctx->dir.cookie = entry->cookie;
	if (ctx->dir.seek) {
		ctx->dir.seek = entry->cookie != ctx->dir.wanted;
		return 0;
	}
	if (entry->name_len == 0 || entry->name_len > NFS3_NAME_MAX)
		return 0;
	rc = dir_emit(req, entry);
	ctx->dir.emitted |= rc == 0;
	return rc;
}

/* What to do when a reply has been gone through, or could not be: rc. */
static int WEIR_ON_WORKER
dir_next(struct weir_fsreq *req, int rc, bool any)
{
	struct nfs_ctx *ctx = nfs_ctx_of(req);

	if (ctx->dir.emitted)
		return 0;
	if (rc == -EAGAIN) {
		weir_fsreq_retry(req, NULL);
		return -EINPROGRESS;
	}
	if (rc < 0)
		return rc == -ENOSPC ? 0 : rc;
	/* Nothing for the guest yet, and more to come. */
	if (!any && ctx->dir.scale * DIR_BYTES_MIN >= DIR_BYTES_MAX)
		return -EIO;
	if (!any)
		ctx->dir.scale *= 2;
	return ctx->dir.rounds++ < DIR_MAX_ROUNDS ? dir_ask(req) : -EIO;
}

static int WEIR_ON_WORKER
dir_bad_cookie(struct weir_fsreq *req)
{
	struct nfs_file *file = nfs_file_of(req->file);
	struct nfs_ctx *ctx = nfs_ctx_of(req);

	/* No server can object to the start. */
	if (ctx->dir.cookie == 0)
		return -EIO;
	if (!ctx->dir.reverified && atomic_exchange(&file->cookie_verifier, 0) != 0) {
		ctx->dir.reverified = true;
		return dir_ask(req);
	}
	if (!ctx->dir.seek)
		ctx->dir.wanted = ctx->dir.cookie;
	ctx->dir.seek = true;
	ctx->dir.cookie = 0;
	return ctx->dir.rounds++ < DIR_MAX_ROUNDS ? dir_ask(req) : -EIO;
}

static int WEIR_ON_WORKER
readdir_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs3_readdir_res res;
	struct nfs3_entry entry;
	bool any = false, eof = false;

	/* Not every server has READDIRPLUS, nor for every directory; entries alone will do. */
	if (rc == -EOPNOTSUPP && dir_is_plus(call)) {
		atomic_store(&nfs_chan_of(req)->fs->no_readdirplus, true);
		return dir_ask(req);
	}
	if (call->status == NFS3STAT_BAD_COOKIE)
		return dir_bad_cookie(req);
	if (call->status == NFS3STAT_TOOSMALL)
		return dir_next(req, 0, false);
	if (rc == 0)
		rc = nfs3_get_readdir(dec, &res);
	if (rc < 0)
		return rc;
	atomic_store(&nfs_file_of(req->file)->cookie_verifier, res.verifier);
	while ((rc = nfs3_get_entry(dec, dir_is_plus(call), &entry, &eof)) == 1) {
		any = true;
		rc = dir_take(req, &entry);
		if (rc < 0)
			break;
	}
	return eof ? 0 : dir_next(req, rc, any);
}

static const struct nfs_step readdir_step = { NFSPROC3_READDIR, readdir_args, readdir_result };
static const struct nfs_step readdirplus_step = { NFSPROC3_READDIRPLUS, readdir_args,
	readdir_result };

int WEIR_ON_WORKER
nfs_op_readdir(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct nfs_ctx *ctx = nfs_begin(req);

	if (req->file == NULL)
		return -EBADF;
	if (req->node->type != S_IFDIR)
		return -ENOTDIR;
	memset(&ctx->dir, 0, sizeof(ctx->dir));
	ctx->dir.cookie = req->in.io.off;
	ctx->dir.scale = 1;
	return dir_ask(req);
}
