/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * An open file must outlive its last name, which NFSv3 servers know nothing about. So a name that
 * is to go while somebody has its file open is exchanged for one of ours, in the same directory,
 * which a task removes after the last close:
 *
 *   UNLINK:       LOOKUP name -> open? RENAME name to ours : REMOVE
 *   RENAME onto:  LOOKUP new name -> open? LINK it to ours (or RENAME, where links are not to be
 *                 had) -> RENAME.  A link does not let the new name be missing meanwhile.
 *
 * One name of ours is enough for a file. The LOOKUP is spared while nothing at all is open.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "nfs.h"

/* Nothing else is called so: the number is the server's, the rest ours. */
static void
silly_name(const struct nfs_node *node, char name[NFS_SILLY_NAME_MAX])
{
	snprintf(name, NFS_SILLY_NAME_MAX, ".nfs%016" PRIx64 "%08" PRIx32, node->fileid,
			node->silly_seq);
}

/* The directory and the name whose object may be open. */
static struct weir_node *
target_dir(const struct weir_fsreq *req)
{
	return req->op == WEIR_FSOP_RENAME ? req->newnode : req->node;
}

static const char *
target_name(const struct weir_fsreq *req)
{
	return req->op == WEIR_FSOP_RENAME ? req->newname : req->name;
}

static int WEIR_ON_WORKER
silly_plain(struct weir_fsreq *req)
{
	return req->op == WEIR_FSOP_RENAME ? nfs_rename_plain(req) : nfs_unlink_plain(req);
}

/* Makes the request the one that takes the name away. False: somebody else has. */
static bool WEIR_ON_WORKER
silly_claim(struct weir_fsreq *req, struct weir_node *node)
{
	struct weir_fsdev *dev = weir_channel_fsdev(req->chan);
	struct nfs_node *priv = nfs_node_of(node);
	struct weir_node *dir = target_dir(req);
	struct nfs_fs *fs = nfs_chan_of(req)->fs;
	uint8_t none = NFS_SILLY_NONE;

	if (!atomic_compare_exchange_strong(&priv->silly, &none, NFS_SILLY_PENDING))
		return false;
	weir_node_ref(dev, dir);
	priv->silly_dir = weir_node_id(dev, dir);
	priv->silly_seq = atomic_fetch_add(&fs->next_silly, 1);
	nfs_cred_squash(fs->params, &req->cred, &priv->silly_uid, &priv->silly_gid);
	nfs_ctx_of(req)->target = node;
	return true;
}

static void WEIR_ON_WORKER
silly_put_dir(struct nfs_chan *chan, const struct nfs_node *priv)
{
	struct weir_fsdev *dev = weir_channel_fsdev(chan->chan);
	struct weir_node *dir = weir_node_get(dev, priv->silly_dir);

	weir_node_put(dev, dir);
	weir_node_put(dev, dir);
}

void WEIR_ON_WORKER
nfs_silly_settle(struct weir_fsreq *req, enum nfs_silly silly)
{
	struct nfs_chan *chan = nfs_chan_of(req);
	struct nfs_ctx *ctx = nfs_ctx_of(req);
	struct weir_node *node = ctx->target;
	struct nfs_node *priv = nfs_node_of(node);

	ctx->target = NULL;
	if (silly == NFS_SILLY_NONE)
		silly_put_dir(chan, priv);
	/* Sequentially consistent, as in nfs_op_release(): one of the two sees the other. */
	atomic_store(&priv->silly, silly);
	if (silly == NFS_SILLY_DONE && atomic_load(&priv->nb_open) == 0)
		nfs_todo(chan, node, NFS_TODO_REMOVE);
	nfs_node_put(chan, node);
}

static void
silly_rename_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	const struct nfs3_fh *dir = &nfs_node_of(target_dir(req))->fh;
	char name[NFS_SILLY_NAME_MAX];

	silly_name(nfs_node_of(nfs_ctx_of(req)->target), name);
	nfs3_put_rename(enc, dir, target_name(req), dir, name);
}

/* Sent twice and nothing there to rename: done the first time, for nobody else knows our name. */
static int WEIR_ON_WORKER
silly_rename_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	if (rc == -ENOENT && call->resent)
		rc = 0;
	nfs_silly_settle(req, rc == 0 ? NFS_SILLY_DONE : NFS_SILLY_NONE);
	return rc == 0 && req->op == WEIR_FSOP_RENAME ? nfs_rename_plain(req) : rc;
}

static const struct nfs_step silly_rename_step = { NFSPROC3_RENAME, silly_rename_args,
	silly_rename_result };

static void
silly_link_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	const struct nfs_node *priv = nfs_node_of(nfs_ctx_of(req)->target);
	char name[NFS_SILLY_NAME_MAX];

	silly_name(priv, name);
	nfs3_put_link(enc, &priv->fh, &nfs_node_of(target_dir(req))->fh, name);
}

static int WEIR_ON_WORKER
silly_link_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	if (rc < 0 && !(rc == -EEXIST && call->resent))
		return nfs_call(req, &silly_rename_step);
	nfs_silly_settle(req, NFS_SILLY_DONE);
	return nfs_rename_plain(req);
}

static const struct nfs_step silly_link_step = { NFSPROC3_LINK, silly_link_args,
	silly_link_result };

/* Our own names are not for guests to remove while they are needed. */
static bool
silly_is_name(const struct weir_fsreq *req, const struct nfs_node *priv)
{
	char name[NFS_SILLY_NAME_MAX];

	if (atomic_load(&priv->silly) != NFS_SILLY_DONE)
		return false;
	silly_name(priv, name);
	return strcmp(name, target_name(req)) == 0;
}

static int WEIR_ON_WORKER
target_found(struct weir_fsreq *req, struct weir_node *node)
{
	const struct nfs_node *priv = nfs_node_of(node);
	struct nfs_chan *chan = nfs_chan_of(req);

	if (atomic_load(&priv->nb_open) > 0) {
		if (silly_is_name(req, priv)) {
			nfs_node_put(chan, node);
			return -EBUSY;
		}
		if (silly_claim(req, node))
			return nfs_call(req,
					req->op == WEIR_FSOP_RENAME ? &silly_link_step :
								      &silly_rename_step);
	}
	nfs_node_put(chan, node);
	return silly_plain(req);
}

static int WEIR_ON_WORKER
target_known(struct weir_fsreq *req)
{
	const struct nfs3_obj *obj = &nfs_ctx_of(req)->found.obj;
	struct weir_node *node;
	int rc;

	if (obj->attr.attr.type != NFS3_REG)
		return silly_plain(req);
	rc = nfs_node_get(nfs_chan_of(req), &obj->fh, &obj->attr.attr, &node);
	if (rc == -EAGAIN) {
		weir_fsreq_retry(req, NULL);
		return -EINPROGRESS;
	}
	return rc < 0 ? rc : target_found(req, node);
}

static void
target_fh_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_fh(enc, &nfs_ctx_of(req)->found.obj.fh);
}

/* Gone since LOOKUP: so it is nothing that could be kept. */
static int WEIR_ON_WORKER
target_getattr_result(
		struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	if (rc == -ESTALE)
		return silly_plain(req);
	if (rc == 0)
		rc = nfs3_get_getattr(dec, &nfs_ctx_of(req)->found.obj.attr.attr);
	return rc < 0 ? rc : target_known(req);
}

static const struct nfs_step target_getattr_step = { NFSPROC3_GETATTR, target_fh_args,
	target_getattr_result };

static void
target_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_name(enc, &nfs_node_of(target_dir(req))->fh, target_name(req));
}

static int WEIR_ON_WORKER
target_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs3_obj *obj = &nfs_ctx_of(req)->found.obj;

	if (rc == -ENOENT)
		return req->op == WEIR_FSOP_RENAME ? silly_plain(req) : rc;
	if (rc == 0)
		rc = nfs3_get_lookup(dec, obj);
	if (rc < 0)
		return rc;
	return obj->attr.there ? target_known(req) : nfs_call(req, &target_getattr_step);
}

static const struct nfs_step target_step = { NFSPROC3_LOOKUP, target_args, target_result };

static int WEIR_ON_WORKER
silly_or_plain(struct weir_fsreq *req)
{
	if (atomic_load(&nfs_chan_of(req)->fs->nb_open) == 0)
		return silly_plain(req);
	return nfs_call(req, &target_step);
}

int WEIR_ON_WORKER
nfs_op_unlink(struct weir_channel *chan, struct weir_fsreq *req)
{
	int rc = nfs_name_check(chan, req->name);

	nfs_begin(req);
	return rc < 0 ? rc : silly_or_plain(req);
}

/* NFSv3 has no flags, and to look first would promise what nothing keeps. */
int WEIR_ON_WORKER
nfs_op_rename(struct weir_channel *chan, struct weir_fsreq *req)
{
	int rc = nfs_name_check(chan, req->name);

	nfs_begin(req);
	if (rc == 0)
		rc = nfs_name_check(chan, req->newname);
	if (rc == 0 && req->in.rename.flags != 0)
		rc = -EINVAL;
	return rc < 0 ? rc : silly_or_plain(req);
}

static void
silly_remove_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	struct weir_fsdev *dev = weir_channel_fsdev(req->chan);
	const struct nfs_node *priv = nfs_node_of(req->node);
	struct weir_node *dir = weir_node_get(dev, priv->silly_dir);
	char name[NFS_SILLY_NAME_MAX];

	silly_name(priv, name);
	nfs3_put_name(enc, &nfs_node_of(dir)->fh, name);
	weir_node_put(dev, dir);
}

/* Whatever the answer is, nothing more can be done. */
static int WEIR_ON_WORKER
silly_remove_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_node *priv = nfs_node_of(req->node);

	silly_put_dir(nfs_chan_of(req), priv);
	atomic_store(&priv->silly, NFS_SILLY_NONE);
	return 0;
}

static const struct nfs_step silly_remove_step = { NFSPROC3_REMOVE, silly_remove_args,
	silly_remove_result };

int WEIR_ON_WORKER
nfs_silly_remove(struct weir_fsreq *req)
{
	struct nfs_node *priv = nfs_node_of(req->node);
	uint8_t done = NFS_SILLY_DONE;

	/* Another task may be at it. Opened anew meanwhile, it keeps its name until it is closed. */
	if (atomic_load(&priv->nb_open) > 0 ||
			!atomic_compare_exchange_strong(&priv->silly, &done, NFS_SILLY_PENDING))
		return 0;
	req->cred.uid = priv->silly_uid;
	req->cred.gid = priv->silly_gid;
	return nfs_call(req, &silly_remove_step);
}
