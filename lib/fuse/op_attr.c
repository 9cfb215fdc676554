/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse.h"

/* What is known of a node: attributes, permissions, a link's target, the space around it. */

#define NSEC_PER_SEC 1000000000u

/* Servers send what they like; a guest's clock arithmetic wants less than a second. */
static uint32_t
fuse_nsec(uint32_t ns)
{
	return RTE_MIN(ns, NSEC_PER_SEC - 1);
}

void
fuse_fill_attr(const struct weir_fuse_session *sess, struct fuse_attr *out,
		const struct weir_attr *attr)
{
	*out = (struct fuse_attr){
		.ino = attr->ino,
		.size = attr->size,
		.blocks = attr->blocks,
		.atime = (uint64_t)attr->atime,
		.mtime = (uint64_t)attr->mtime,
		.ctime = (uint64_t)attr->ctime,
		.atimensec = fuse_nsec(attr->atime_ns),
		.mtimensec = fuse_nsec(attr->mtime_ns),
		.ctimensec = fuse_nsec(attr->ctime_ns),
		.mode = attr->mode,
		.nlink = attr->nlink,
		.uid = attr->uid,
		.gid = attr->gid,
		.rdev = attr->rdev,
		.blksize = attr->blksize,
		.flags = attr->submount ? FUSE_ATTR_SUBMOUNT : 0,
	};
	if (unlikely(sess->maps != NULL))
		fuse_idmap_out(sess->maps, &out->uid, &out->gid);
}

int WEIR_ON_WORKER
fuse_attr_reply(struct weir_fuse_req *req, int res)
{
	struct fuse_attr_out out = {
		.attr_valid = req->io.out.attr.valid_ns / NSEC_PER_SEC,
		.attr_valid_nsec = req->io.out.attr.valid_ns % NSEC_PER_SEC,
	};

	(void)res;
	fuse_fill_attr(req->sess, &out.attr, &req->io.out.attr.attr);
	return fuse_body(req, &out, sizeof(out));
}

/* By the open file, which is good even for a node that the guest has forgotten, or by the node. */
static int WEIR_ON_WORKER
fuse_use_either(struct weir_fuse_req *req, bool by_file, uint64_t fh)
{
	return by_file ? fuse_use_file(req, fh, false) : fuse_use_node(req);
}

int WEIR_ON_WORKER
fuse_getattr(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_getattr_in *in = arg;
	int rc;

	rc = fuse_use_either(req, (in->getattr_flags & FUSE_GETATTR_FH) != 0, in->fh);
	if (rc < 0)
		return rc;
	return fuse_start_io(req, WEIR_FSOP_GETATTR);
}

int WEIR_ON_WORKER
fuse_statx(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_statx_in *in = arg;
	int rc;

	rc = fuse_use_either(req, (in->getattr_flags & FUSE_GETATTR_FH) != 0, in->fh);
	if (rc < 0)
		return rc;
	req->io.in.statx.flags = in->sx_flags & (AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC);
	req->io.in.statx.mask = in->sx_mask & (STATX_BASIC_STATS | STATX_BTIME);
	return fuse_start_io(req, WEIR_FSOP_STATX);
}

static struct fuse_sx_time
fuse_sx_time(int64_t sec, uint32_t ns)
{
	return (struct fuse_sx_time){ .tv_sec = sec, .tv_nsec = fuse_nsec(ns) };
}

/* Guests since Linux 6.6 take the time of birth from here, and all else from GETATTR. */
int WEIR_ON_WORKER
fuse_statx_reply(struct weir_fuse_req *req, int res)
{
	const struct weir_statx *st = &req->io.out.statx.stat;
	const struct weir_attr *attr = &st->attr;
	struct fuse_statx_out out = {
		.attr_valid = req->io.out.statx.valid_ns / NSEC_PER_SEC,
		.attr_valid_nsec = req->io.out.statx.valid_ns % NSEC_PER_SEC,
		.stat = {
			.mask = STATX_BASIC_STATS | (st->has_btime ? STATX_BTIME : 0),
			.blksize = attr->blksize,
			.attributes = st->attributes & st->attributes_mask,
			.nlink = attr->nlink,
			.uid = attr->uid,
			.gid = attr->gid,
			.mode = (uint16_t)attr->mode,
			.ino = attr->ino,
			.size = attr->size,
			.blocks = attr->blocks,
			.attributes_mask = st->attributes_mask,
			.atime = fuse_sx_time(attr->atime, attr->atime_ns),
			.btime = fuse_sx_time(st->btime, st->btime_ns),
			.ctime = fuse_sx_time(attr->ctime, attr->ctime_ns),
			.mtime = fuse_sx_time(attr->mtime, attr->mtime_ns),
			/* new_encode_dev(), taken apart. */
			.rdev_major = attr->rdev >> 8 & 0xfff,
			.rdev_minor = (attr->rdev & 0xff) | (attr->rdev >> 12 & 0xfff00),
		},
	};

	(void)res;
	if (unlikely(req->sess->maps != NULL))
		fuse_idmap_out(req->sess->maps, &out.stat.uid, &out.stat.gid);
	return fuse_body(req, &out, sizeof(out));
}

/* A time that is to be now has only its NOW bit set. */
static uint32_t
fuse_setattr_valid(uint32_t valid)
{
	static const struct {
		uint32_t wire, set;
	} bits[] = {
		{ FUSE_FATTR_MODE, WEIR_SET_MODE },
		{ FUSE_FATTR_UID, WEIR_SET_UID },
		{ FUSE_FATTR_GID, WEIR_SET_GID },
		{ FUSE_FATTR_SIZE, WEIR_SET_SIZE },
		{ FUSE_FATTR_ATIME, WEIR_SET_ATIME },
		{ FUSE_FATTR_MTIME, WEIR_SET_MTIME },
		{ FUSE_FATTR_CTIME, WEIR_SET_CTIME },
		{ FUSE_FATTR_ATIME_NOW, WEIR_SET_ATIME_NOW },
		{ FUSE_FATTR_MTIME_NOW, WEIR_SET_MTIME_NOW },
	};
	uint32_t set = 0;

	for (unsigned int i = 0; i < RTE_DIM(bits); i++)
		if ((valid & bits[i].wire) != 0)
			set |= bits[i].set;
	if ((set & WEIR_SET_ATIME_NOW) != 0)
		set &= ~WEIR_SET_ATIME;
	if ((set & WEIR_SET_MTIME_NOW) != 0)
		set &= ~WEIR_SET_MTIME;
	return set;
}

static bool
fuse_setattr_is_sane(const struct fuse_setattr_in *in, uint32_t set)
{
	if ((in->valid & ~FUSE_FATTR_ALL) != 0)
		return false;
	/* chown() takes -1 for "leave it". */
	if (((set & WEIR_SET_UID) != 0 && in->uid == UINT32_MAX) ||
			((set & WEIR_SET_GID) != 0 && in->gid == UINT32_MAX))
		return false;
	/* utimensat() has nanoseconds with a meaning of their own. */
	if (((set & WEIR_SET_ATIME) != 0 && in->atimensec >= NSEC_PER_SEC) ||
			((set & WEIR_SET_MTIME) != 0 && in->mtimensec >= NSEC_PER_SEC) ||
			((set & WEIR_SET_CTIME) != 0 && in->ctimensec >= NSEC_PER_SEC))
		return false;
	return (set & WEIR_SET_SIZE) == 0 || in->size <= INT64_MAX;
}

/* The owner that a file is to get is one of the host's. */
static int WEIR_ON_WORKER
fuse_map_owner(struct weir_fuse_req *req)
{
	const struct fuse_idmaps *maps = req->sess->maps;
	const uint32_t set = req->io.in.setattr.valid;
	struct weir_attr *attr = &req->io.in.setattr.attr;

	if (((set & WEIR_SET_UID) != 0 && !fuse_idmap_uid_in(maps, &attr->uid)) ||
			((set & WEIR_SET_GID) != 0 && !fuse_idmap_gid_in(maps, &attr->gid)))
		return -EPERM;
	return 0;
}

int WEIR_ON_WORKER
fuse_setattr(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_setattr_in *in = arg;
	uint32_t set = fuse_setattr_valid(in->valid);
	int rc;

	if (!fuse_setattr_is_sane(in, set))
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	rc = fuse_use_either(req, (in->valid & FUSE_FATTR_FH) != 0, in->fh);
	if (rc < 0)
		return rc;
	if ((set & WEIR_SET_SIZE) != 0 && !S_ISREG(req->io.node->type))
		return S_ISDIR(req->io.node->type) ? -EISDIR : -EINVAL;

	if ((in->valid & FUSE_FATTR_KILL_SUGID) != 0)
		req->io.flags |= WEIR_FSREQ_KILLPRIV;
	req->io.in.setattr.valid = set;
	req->io.in.setattr.attr = (struct weir_attr){
		.size = in->size,
		.atime = (int64_t)in->atime,
		.mtime = (int64_t)in->mtime,
		.ctime = (int64_t)in->ctime,
		.atime_ns = in->atimensec,
		.mtime_ns = in->mtimensec,
		.ctime_ns = in->ctimensec,
		.mode = in->mode & 07777,
		.uid = in->uid,
		.gid = in->gid,
	};
	if (unlikely(req->sess->maps != NULL)) {
		rc = fuse_map_owner(req);
		if (rc < 0)
			return rc;
	}
	return fuse_start_io(req, WEIR_FSOP_SETATTR);
}

int WEIR_ON_WORKER
fuse_readlink(struct weir_fuse_req *req, const void *arg)
{
	(void)arg;
	if (!S_ISLNK(req->io.node->type))
		return -EINVAL;
	req->io.in.io.len = fuse_body_room(req, FUSE_TARGET_MAX, &req->io.iov);
	return fuse_start_io(req, WEIR_FSOP_READLINK);
}

int WEIR_ON_WORKER
fuse_access(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_access_in *in = arg;

	if ((in->mask & ~(uint32_t)(R_OK | W_OK | X_OK)) != 0)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	if (fuse_is_readonly(req->sess) && (in->mask & W_OK) != 0 &&
			(S_ISREG(req->io.node->type) || S_ISDIR(req->io.node->type) ||
					S_ISLNK(req->io.node->type)))
		return -EROFS;
	req->io.in.access.mask = in->mask;
	return fuse_start_io(req, WEIR_FSOP_ACCESS);
}

int WEIR_ON_WORKER
fuse_statfs(struct weir_fuse_req *req, const void *arg)
{
	(void)arg;
	return fuse_start_io(req, WEIR_FSOP_STATFS);
}

int WEIR_ON_WORKER
fuse_statfs_reply(struct weir_fuse_req *req, int res)
{
	const struct weir_statfs *st = &req->io.out.statfs;
	const struct fuse_statfs_out out = {
		.blocks = st->blocks,
		.bfree = st->bfree,
		.bavail = st->bavail,
		.files = st->files,
		.ffree = st->ffree,
		.bsize = st->bsize,
		.namelen = st->namelen,
		.frsize = st->frsize,
	};

	(void)res;
	return fuse_body(req, &out, sizeof(out));
}
