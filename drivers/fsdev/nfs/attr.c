/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What is known of a node: attributes, permissions, a link's target, the space around it. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include "nfs.h"

/* FSSTAT counts bytes; guests want blocks. */
#define STATFS_BLOCK 4096

static void
fh_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_fh(enc, &nfs_node_of(req->node)->fh);
}

static int WEIR_ON_WORKER
attr_reply(struct weir_fsreq *req, const struct nfs3_attr *attr)
{
	struct nfs_fs *fs = nfs_chan_of(req)->fs;

	if (nfs_mode_type(attr) != req->node->type)
		return -ESTALE;
	nfs_attr(fs, req->node, attr, &req->out.attr.attr);
	req->out.attr.valid_ns = fs->attr_valid_ns;
	return 0;
}

static int WEIR_ON_WORKER
getattr_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs3_attr attr;

	if (rc == 0)
		rc = nfs3_get_getattr(dec, &attr);
	return rc < 0 ? rc : attr_reply(req, &attr);
}

static const struct nfs_step getattr_step = { NFSPROC3_GETATTR, fh_args, getattr_result };

int WEIR_ON_WORKER
nfs_op_getattr(struct weir_channel *chan, struct weir_fsreq *req)
{
	nfs_begin(req);
	return nfs_call(req, &getattr_step);
}

/* Times on the wire are unsigned and have 32 bits. */
static struct nfs3_time
sattr_time(int64_t sec, uint32_t nsec)
{
	if (sec < 0)
		return (struct nfs3_time){ 0 };
	if (sec > UINT32_MAX)
		return (struct nfs3_time){ .sec = UINT32_MAX };
	return (struct nfs3_time){ .sec = (uint32_t)sec, .nsec = nsec };
}

static enum nfs3_time_how
sattr_time_how(uint32_t valid, uint32_t set, uint32_t now)
{
	if ((valid & now) != 0)
		return NFS3_TIME_SERVER;
	return (valid & set) != 0 ? NFS3_TIME_CLIENT : NFS3_TIME_KEEP;
}

void
nfs_sattr_server_times(struct nfs3_sattr *sattr)
{
	sattr->atime_how = NFS3_TIME_SERVER;
	sattr->mtime_how = NFS3_TIME_SERVER;
}

static void
setattr_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	const struct weir_attr *attr = &req->in.setattr.attr;
	const uint32_t valid = req->in.setattr.valid;
	const struct nfs3_sattr sattr = {
		.set_mode = (valid & WEIR_SET_MODE) != 0,
		.set_uid = (valid & WEIR_SET_UID) != 0,
		.set_gid = (valid & WEIR_SET_GID) != 0,
		.set_size = (valid & WEIR_SET_SIZE) != 0,
		.mode = attr->mode & 07777,
		.uid = attr->uid,
		.gid = attr->gid,
		.size = attr->size,
		.atime_how = sattr_time_how(valid, WEIR_SET_ATIME, WEIR_SET_ATIME_NOW),
		.mtime_how = sattr_time_how(valid, WEIR_SET_MTIME, WEIR_SET_MTIME_NOW),
		.atime = sattr_time(attr->atime, attr->atime_ns),
		.mtime = sattr_time(attr->mtime, attr->mtime_ns),
	};

	nfs3_put_setattr(enc, &nfs_node_of(req->node)->fh, &sattr);
}

/*
 * A server takes the bit from who is not in the file's group, and does not say so. The guest has
 * asked for it, so it knows that its caller is. What cuts the file is not for doing twice.
 */
static bool
setgid_fell(const struct weir_fsreq *req, const struct nfs3_attr *attr)
{
	const uint32_t valid = req->in.setattr.valid & (WEIR_SET_MODE | WEIR_SET_SIZE);

	return valid == WEIR_SET_MODE && (req->in.setattr.attr.mode & S_ISGID) != 0 &&
			(attr->mode & S_ISGID) == 0;
}

static int WEIR_ON_WORKER
setattr_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs3_post_attr post;

	if (rc == 0)
		rc = nfs3_get_wcc(dec, &post);
	if (rc < 0)
		return rc;
	if (post.there && setgid_fell(req, &post.attr) && nfs_call_grouped(call))
		return -EINPROGRESS;
	return post.there ? attr_reply(req, &post.attr) : nfs_call(req, &getattr_step);
}

static const struct nfs_step setattr_step = { NFSPROC3_SETATTR, setattr_args, setattr_result };

/* A server sets ctime itself, whenever anything else changes. */
int WEIR_ON_WORKER
nfs_op_setattr(struct weir_channel *chan, struct weir_fsreq *req)
{
	const uint32_t valid = req->in.setattr.valid;

	nfs_begin(req);
	if ((valid & WEIR_SET_SIZE) != 0) {
		if (req->node->type != S_IFREG)
			return req->node->type == S_IFDIR ? -EISDIR : -EINVAL;
		if (req->in.setattr.attr.size > nfs_chan_of(req)->fs->maxfilesize)
			return -EFBIG;
	}
	if ((valid & ~WEIR_SET_CTIME) == 0)
		return nfs_call(req, &getattr_step);
	return nfs_call(req, &setattr_step);
}

static int WEIR_ON_WORKER
readlink_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs3_readlink_res res;

	if (rc == 0)
		rc = nfs3_get_readlink(dec, &res);
	if (rc < 0)
		return rc;
	if (res.len == 0 || memchr(res.target, '\0', res.len) != NULL)
		return -EIO;
	return (int)weir_iov_write(&req->iov, res.target, res.len);
}

static const struct nfs_step readlink_step = { NFSPROC3_READLINK, fh_args, readlink_result };

int WEIR_ON_WORKER
nfs_op_readlink(struct weir_channel *chan, struct weir_fsreq *req)
{
	nfs_begin(req);
	return req->node->type == S_IFLNK ? nfs_call(req, &readlink_step) : -EINVAL;
}

static int WEIR_ON_WORKER
statfs_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs3_fsstat_res res;

	if (rc == 0)
		rc = nfs3_get_fsstat(dec, &res);
	if (rc < 0)
		return rc;
	req->out.statfs = (struct weir_statfs){
		.blocks = res.tbytes / STATFS_BLOCK,
		.bfree = res.fbytes / STATFS_BLOCK,
		.bavail = res.abytes / STATFS_BLOCK,
		.files = res.tfiles,
		.ffree = res.afiles,
		.bsize = STATFS_BLOCK,
		.frsize = STATFS_BLOCK,
		.namelen = nfs_chan_of(req)->fs->name_max,
	};
	return 0;
}

static const struct nfs_step statfs_step = { NFSPROC3_FSSTAT, fh_args, statfs_result };

int WEIR_ON_WORKER
nfs_op_statfs(struct weir_channel *chan, struct weir_fsreq *req)
{
	nfs_begin(req);
	return nfs_call(req, &statfs_step);
}

uint32_t
nfs_access_bits(uint32_t type, uint32_t mask)
{
	const bool dir = type == S_IFDIR;
	uint32_t bits = 0;

	if ((mask & R_OK) != 0)
		bits |= NFS3_ACCESS_READ;
	if ((mask & W_OK) != 0)
		bits |= NFS3_ACCESS_MODIFY | NFS3_ACCESS_EXTEND | (dir ? NFS3_ACCESS_DELETE : 0);
	if ((mask & X_OK) != 0)
		bits |= dir ? NFS3_ACCESS_LOOKUP : NFS3_ACCESS_EXECUTE;
	return bits;
}

static void
access_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_access(enc, &nfs_node_of(req->node)->fh,
			nfs_access_bits(req->node->type, req->in.access.mask));
}

static int WEIR_ON_WORKER
access_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	const uint32_t wanted = nfs_access_bits(req->node->type, req->in.access.mask);
	struct nfs3_access_res res;

	if (rc == 0)
		rc = nfs3_get_access(dec, &res);
	if (rc < 0)
		return rc;
	if ((res.access & wanted) == wanted)
		return 0;
	return nfs_call_grouped(call) ? -EINPROGRESS : -EACCES;
}

static const struct nfs_step access_step = { NFSPROC3_ACCESS, access_args, access_result };

int WEIR_ON_WORKER
nfs_op_access(struct weir_channel *chan, struct weir_fsreq *req)
{
	nfs_begin(req);
	return nfs_call(req, &access_step);
}
