/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * New objects. Made GUARDED, so that a name of somebody else's is noticed; only O_EXCL is made
 * EXCLUSIVE, which a server can tell from another's even if it has started anew in between. All
 * other calls that were sent twice and meet an object take it for their own if it is as they would
 * have made it.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "nfs.h"

static struct nfs3_sattr
make_sattr(const struct weir_fsreq *req)
{
	return (struct nfs3_sattr){
		.set_mode = true,
		.mode = req->in.create.mode & ~req->in.create.umask & 07777,
	};
}

static void
mkdir_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	const struct nfs3_sattr sattr = make_sattr(req);

	nfs3_put_mkdir(enc, &nfs_node_of(req->node)->fh, req->name, &sattr);
}

static void
symlink_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	const struct nfs3_sattr sattr = { .set_mode = true, .mode = 0777 };

	nfs3_put_symlink(enc, &nfs_node_of(req->node)->fh, req->name, &sattr, req->newname);
}

/* As Linux has it in struct fuse_mknod_in: new_encode_dev(). */
static uint32_t
rdev_major(uint32_t rdev)
{
	return (rdev >> 8) & 0xfff;
}

static uint32_t
rdev_minor(uint32_t rdev)
{
	return (rdev & 0xff) | ((rdev >> 12) & 0xfff00);
}

static enum nfs3_type
mknod_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFCHR:
		return NFS3_CHR;
	case S_IFBLK:
		return NFS3_BLK;
	case S_IFSOCK:
		return NFS3_SOCK;
	case S_IFIFO:
		return NFS3_FIFO;
	default:
		return NFS3_REG;
	}
}

static void
mknod_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	const struct nfs3_sattr sattr = make_sattr(req);
	const uint32_t rdev = req->in.create.rdev;

	nfs3_put_mknod(enc, &nfs_node_of(req->node)->fh, req->name, mknod_type(req->in.create.mode),
			&sattr, rdev_major(rdev), rdev_minor(rdev));
}

static void
guarded_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	const struct nfs3_sattr sattr = make_sattr(req);

	nfs3_put_create(enc, &nfs_node_of(req->node)->fh, req->name, NFS3_GUARDED, &sattr);
}

static void
exclusive_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_create_exclusive(enc, &nfs_node_of(req->node)->fh, req->name,
			nfs_ctx_of(req)->found.verifier);
}

static uint32_t
make_type(const struct weir_fsreq *req)
{
	switch (req->op) {
	case WEIR_FSOP_MKDIR:
		return NFS3_DIR;
	case WEIR_FSOP_SYMLINK:
		return NFS3_LNK;
	default:
		return mknod_type(req->in.create.mode);
	}
}

static void
made_fh_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_fh(enc, &nfs_ctx_of(req)->found.obj.fh);
}

static int WEIR_ON_WORKER
made_readlink_result(
		struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs3_readlink_res res;

	if (rc == 0)
		rc = nfs3_get_readlink(dec, &res);
	if (rc < 0)
		return rc;
	if (res.len != strlen(req->newname) || memcmp(res.target, req->newname, res.len) != 0)
		return -EEXIST;
	return nfs_found_go(req);
}

static const struct nfs_step made_readlink_step = { NFSPROC3_READLINK, made_fh_args,
	made_readlink_result, .found = true };

/* Symbolic links are made for locks too: another one's target is another. */
int WEIR_ON_WORKER
nfs_made_check(struct weir_fsreq *req)
{
	struct nfs_found *found = &nfs_ctx_of(req)->found;
	const struct nfs3_attr *attr = &found->obj.attr.attr;
	const uint32_t type = make_type(req), rdev = req->in.create.rdev;

	found->made = false;
	if (attr->type != type)
		return -EEXIST;
	if ((type == NFS3_CHR || type == NFS3_BLK) &&
			(attr->major != rdev_major(rdev) || attr->minor != rdev_minor(rdev)))
		return -EEXIST;
	return type == NFS3_LNK ? nfs_call(req, &made_readlink_step) : nfs_found_go(req);
}

static void
made_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_name(enc, &nfs_node_of(req->node)->fh, req->name);
}

static int WEIR_ON_WORKER
made_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_found *found = &nfs_ctx_of(req)->found;

	if (rc == 0)
		rc = nfs3_get_lookup(dec, &found->obj);
	if (rc < 0)
		return rc == -ENOENT ? -EEXIST : rc;
	found->made = true;
	return nfs_found_go(req);
}

static const struct nfs_step made_step = { NFSPROC3_LOOKUP, made_args, made_result };

static int WEIR_ON_WORKER
make_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_found *found = &nfs_ctx_of(req)->found;

	if (rc == -EEXIST && call->resent)
		return nfs_call(req, &made_step);
	if (rc == 0)
		rc = nfs3_get_create(dec, &found->obj);
	return rc < 0 ? rc : nfs_found_go(req);
}

static const struct nfs_step mkdir_step = { NFSPROC3_MKDIR, mkdir_args, make_result };
static const struct nfs_step symlink_step = { NFSPROC3_SYMLINK, symlink_args, make_result };
static const struct nfs_step mknod_step = { NFSPROC3_MKNOD, mknod_args, make_result };
static const struct nfs_step mkfile_step = { NFSPROC3_CREATE, guarded_args, make_result };

static int WEIR_ON_WORKER
make(struct weir_channel *chan, struct weir_fsreq *req, const struct nfs_step *step)
{
	struct nfs_ctx *ctx = nfs_begin(req);
	int rc = nfs_name_check(chan, req->name);

	ctx->found = (struct nfs_found){ 0 };
	nfs_cred_make(req);
	return rc < 0 ? rc : nfs_call(req, step);
}

int WEIR_ON_WORKER
nfs_op_mkdir(struct weir_channel *chan, struct weir_fsreq *req)
{
	return make(chan, req, &mkdir_step);
}

int WEIR_ON_WORKER
nfs_op_symlink(struct weir_channel *chan, struct weir_fsreq *req)
{
	return make(chan, req, &symlink_step);
}

int WEIR_ON_WORKER
nfs_op_mknod(struct weir_channel *chan, struct weir_fsreq *req)
{
	switch (req->in.create.mode & S_IFMT) {
	case 0:
	case S_IFREG:
		return make(chan, req, &mkfile_step);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFSOCK:
	case S_IFIFO:
		return make(chan, req, &mknod_step);
	default:
		return -EINVAL;
	}
}

/*
 * Somebody else's file, or ours from a call that was sent twice: opened as such. Whoever has made a
 * file may write to it whatever its mode, which ACCESS does not know; the server judges each call.
 */
static int WEIR_ON_WORKER
create_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_found *found = &nfs_ctx_of(req)->found;

	if (rc == -EEXIST) {
		if ((req->file->flags & O_EXCL) != 0)
			return call->resent ? nfs_call(req, &made_step) : rc;
		found->check = !call->resent;
		found->truncate = (req->file->flags & O_TRUNC) != 0;
		return nfs_found_go(req);
	}
	if (rc == 0)
		rc = nfs3_get_create(dec, &found->obj);
	return rc < 0 ? rc : nfs_found_go(req);
}

static const struct nfs_step create_step = { NFSPROC3_CREATE, guarded_args, create_result };

static int WEIR_ON_WORKER
exclusive_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_found *found = &nfs_ctx_of(req)->found;

	if (rc == -EOPNOTSUPP)
		return nfs_call(req, &create_step);
	if (rc == 0)
		rc = nfs3_get_create(dec, &found->obj);
	found->exclusive = true;
	return rc < 0 ? rc : nfs_found_go(req);
}

static const struct nfs_step exclusive_step = { NFSPROC3_CREATE, exclusive_args, exclusive_result };

int WEIR_ON_WORKER
nfs_op_create(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct nfs_ctx *ctx = nfs_begin(req);
	int rc = nfs_name_check(chan, req->name);

	if (rc < 0)
		return rc;
	ctx->found = (struct nfs_found){ 0 };
	nfs_cred_make(req);
	if ((req->file->flags & O_EXCL) == 0)
		return nfs_call(req, &create_step);
	ctx->found.verifier = atomic_fetch_add(&nfs_chan_of(req)->fs->next_verifier, 1);
	return nfs_call(req, &exclusive_step);
}
