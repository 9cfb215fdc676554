/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Names in directories, where no open file is in the way (see silly.c), and what follows from a
 * name: servers need not say what they have found or made, so it may take more calls to know.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "nfs.h"

int
nfs_name_check(const struct weir_channel *chan, const char *name)
{
	const struct nfs_chan *nchan = weir_channel_priv(chan);

	/* Where a name leads out of the export, only the server would know. */
	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
			strchr(name, '/') != NULL)
		return -EINVAL;
	/* Before it is mounted the limit is not known; the server will say. */
	if (atomic_load(&nchan->fs->mounted) && strlen(name) > nchan->fs->name_max)
		return -ENAMETOOLONG;
	return 0;
}

static void
name_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_name(enc, &nfs_node_of(req->node)->fh, req->name);
}

static int WEIR_ON_WORKER
lookup_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_found *found = &nfs_ctx_of(req)->found;

	if (rc == 0)
		rc = nfs3_get_lookup(dec, &found->obj);
	return rc < 0 ? rc : nfs_found_go(req);
}

static const struct nfs_step lookup_step = { NFSPROC3_LOOKUP, name_args, lookup_result };

static void
found_fh_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_fh(enc, &nfs_ctx_of(req)->found.obj.fh);
}

static int WEIR_ON_WORKER
found_getattr_result(
		struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs3_post_attr *post = &nfs_ctx_of(req)->found.obj.attr;

	if (rc == 0)
		rc = nfs3_get_getattr(dec, &post->attr);
	post->there = true;
	return rc < 0 ? rc : nfs_found_go(req);
}

static const struct nfs_step found_getattr_step = { NFSPROC3_GETATTR, found_fh_args,
	found_getattr_result, .found = true };

/* Where an EXCLUSIVE create keeps its verifier (the times, as a rule) is for the server to know. */
static void
found_setattr_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	const struct nfs_found *found = &nfs_ctx_of(req)->found;
	struct nfs3_sattr sattr = { 0 };

	if (found->exclusive) {
		sattr.set_mode = true;
		sattr.mode = req->in.create.mode & ~req->in.create.umask & 07777;
		nfs_sattr_server_times(&sattr);
	} else {
		sattr.set_size = true;
	}
	nfs3_put_setattr(enc, &found->obj.fh, &sattr);
}

static int WEIR_ON_WORKER
found_setattr_result(
		struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_found *found = &nfs_ctx_of(req)->found;

	if (rc == 0)
		rc = nfs3_get_wcc(dec, &found->obj.attr);
	found->exclusive = false;
	found->truncate = false;
	return rc < 0 ? rc : nfs_found_go(req);
}

static const struct nfs_step found_setattr_step = { NFSPROC3_SETATTR, found_setattr_args,
	found_setattr_result, .found = true };

static uint32_t
found_access_bits(const struct weir_fsreq *req)
{
	const uint32_t mode = req->file->flags & O_ACCMODE;

	return nfs_access_bits(
			S_IFREG, (mode != O_WRONLY ? R_OK : 0) | (mode != O_RDONLY ? W_OK : 0));
}

static void
found_access_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_access(enc, &nfs_ctx_of(req)->found.obj.fh, found_access_bits(req));
}

static int WEIR_ON_WORKER
found_access_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	const uint32_t wanted = found_access_bits(req);
	struct nfs3_access_res res;

	if (rc == 0)
		rc = nfs3_get_access(dec, &res);
	if (rc < 0)
		return rc;
	nfs_ctx_of(req)->found.check = false;
	return (res.access & wanted) == wanted ? nfs_found_go(req) : -EACCES;
}

static const struct nfs_step found_access_step = { NFSPROC3_ACCESS, found_access_args,
	found_access_result, .found = true };

static void WEIR_ON_WORKER
found_again(struct weir_fsreq *req)
{
	nfs_end(req, weir_fsreq_detached(req) ? -ECANCELED : nfs_found_go(req));
}

/* CREATE has found a name that somebody else made since the guest looked. */
static int
found_openable(const struct nfs3_attr *attr)
{
	switch (attr->type) {
	case NFS3_REG:
		return 0;
	case NFS3_DIR:
		return -EISDIR;
	case NFS3_LNK:
		return -ELOOP;
	default:
		return -ENXIO;
	}
}

int WEIR_ON_WORKER
nfs_found_go(struct weir_fsreq *req)
{
	struct nfs_found *found = &nfs_ctx_of(req)->found;
	struct nfs_chan *chan = nfs_chan_of(req);
	struct weir_node *node;
	int rc;

	if (!found->obj.has_fh)
		return nfs_call(req, &lookup_step);
	if (found->exclusive)
		return nfs_call(req, &found_setattr_step);
	if (!found->obj.attr.there)
		return nfs_call(req, &found_getattr_step);
	if (found->made)
		return nfs_made_check(req);
	if (req->op == WEIR_FSOP_CREATE) {
		rc = found_openable(&found->obj.attr.attr);
		if (rc < 0)
			return rc;
	}
	if (found->check)
		return nfs_call(req, &found_access_step);
	if (found->truncate)
		return nfs_call(req, &found_setattr_step);
	rc = nfs_node_get(chan, &found->obj.fh, &found->obj.attr.attr, &node);
	if (rc == -EAGAIN) {
		weir_fsreq_retry(req, found_again);
		return -EINPROGRESS;
	}
	if (rc < 0)
		return rc;
	nfs_entry(chan->fs, node, &found->obj.attr.attr, &req->out.entry);
	if (req->op == WEIR_FSOP_CREATE)
		nfs_file_opened(req, node);
	return 0;
}

int WEIR_ON_WORKER
nfs_op_lookup(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct nfs_ctx *ctx = nfs_begin(req);
	int rc;

	ctx->found = (struct nfs_found){ 0 };
	if (strcmp(req->name, ".") == 0) {
		ctx->found.obj.has_fh = true;
		ctx->found.obj.fh = nfs_node_of(req->node)->fh;
		return nfs_found_go(req);
	}
	/* A directory may have been moved out of the export, where the way up leads anywhere. */
	if (strcmp(req->name, "..") == 0)
		return -ESTALE;
	rc = nfs_name_check(chan, req->name);
	return rc < 0 ? rc : nfs_call(req, &lookup_step);
}

/*
 * A name that is gone when the call was sent twice was there the first time: the guest has looked.
 */
static int WEIR_ON_WORKER
remove_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	return rc == -ENOENT && call->resent ? 0 : rc;
}

static const struct nfs_step remove_step = { NFSPROC3_REMOVE, name_args, remove_result };
static const struct nfs_step rmdir_step = { NFSPROC3_RMDIR, name_args, remove_result };

int WEIR_ON_WORKER
nfs_unlink_plain(struct weir_fsreq *req)
{
	return nfs_call(req, &remove_step);
}

int WEIR_ON_WORKER
nfs_op_rmdir(struct weir_channel *chan, struct weir_fsreq *req)
{
	int rc = nfs_name_check(chan, req->name);

	nfs_begin(req);
	return rc < 0 ? rc : nfs_call(req, &rmdir_step);
}

static void
rename_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_rename(enc, &nfs_node_of(req->node)->fh, req->name, &nfs_node_of(req->newnode)->fh,
			req->newname);
}

static void
newname_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_name(enc, &nfs_node_of(req->newnode)->fh, req->newname);
}

static int WEIR_ON_WORKER
renamed_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	return rc;
}

static const struct nfs_step renamed_step = { NFSPROC3_LOOKUP, newname_args, renamed_result };

/* Sent twice and nothing there to rename: done the first time if the new name is there. */
static int WEIR_ON_WORKER
rename_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	return rc == -ENOENT && call->resent ? nfs_call(req, &renamed_step) : rc;
}

static const struct nfs_step rename_step = { NFSPROC3_RENAME, rename_args, rename_result };

int WEIR_ON_WORKER
nfs_rename_plain(struct weir_fsreq *req)
{
	return nfs_call(req, &rename_step);
}

static void
link_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_link(enc, &nfs_node_of(req->newnode)->fh, &nfs_node_of(req->node)->fh, req->name);
}

static int WEIR_ON_WORKER
linked_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_found *found = &nfs_ctx_of(req)->found;
	const struct nfs3_fh *fh = &nfs_node_of(req->newnode)->fh;

	if (rc == 0)
		rc = nfs3_get_lookup(dec, &found->obj);
	if (rc < 0)
		return rc == -ENOENT ? -EEXIST : rc;
	if (found->obj.fh.len != fh->len || memcmp(found->obj.fh.data, fh->data, fh->len) != 0)
		return -EEXIST;
	return nfs_found_go(req);
}

static const struct nfs_step linked_step = { NFSPROC3_LOOKUP, name_args, linked_result };

/* Sent twice and the name there: made the first time if it leads to our file. */
static int WEIR_ON_WORKER
link_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_found *found = &nfs_ctx_of(req)->found;

	if (rc == -EEXIST && call->resent)
		return nfs_call(req, &linked_step);
	if (rc == 0)
		rc = nfs3_get_link(dec, &found->obj.attr);
	if (rc < 0)
		return rc;
	found->obj.has_fh = true;
	found->obj.fh = nfs_node_of(req->newnode)->fh;
	return nfs_found_go(req);
}

static const struct nfs_step link_step = { NFSPROC3_LINK, link_args, link_result };

int WEIR_ON_WORKER
nfs_op_link(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct nfs_ctx *ctx = nfs_begin(req);
	int rc = nfs_name_check(chan, req->name);

	ctx->found = (struct nfs_found){ 0 };
	return rc < 0 ? rc : nfs_call(req, &link_step);
}
