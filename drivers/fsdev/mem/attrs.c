/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The verbs on what is known of a file beside its data, as the home worker does them. */

#include <errno.h>
#include <linux/fs.h>

#include "mem.h"

int WEIR_ON_WORKER
mem_statx(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	memfs_statx(mem->fs, mem_ino(req->node), &req->out.statx.stat);
	req->out.statx.valid_ns = mem->attr_valid_ns;
	return 0;
}

static int WEIR_ON_WORKER
mem_set_xflags(struct mem_fsdev *mem, const struct weir_fsreq *req)
{
	const struct weir_fsxattr *attr = &req->in.ioctl.fsxattr;
	uint32_t iflags = 0;

	if ((attr->xflags & ~(uint32_t)(FS_XFLAG_NODUMP | FS_XFLAG_NOATIME)) != 0 ||
			attr->extsize != 0 || attr->projid != 0 || attr->cowextsize != 0)
		return -EOPNOTSUPP;
	if ((attr->xflags & FS_XFLAG_NODUMP) != 0)
		iflags |= FS_NODUMP_FL;
	if ((attr->xflags & FS_XFLAG_NOATIME) != 0)
		iflags |= FS_NOATIME_FL;
	return memfs_set_iflags(mem->fs, mem_ino(req->node), iflags);
}

int WEIR_ON_WORKER
mem_ioctl(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	uint32_t iflags = memfs_iflags(mem->fs, mem_ino(req->node));

	switch (req->in.ioctl.cmd) {
	case WEIR_IOCTL_GETFLAGS:
		req->out.ioctl.iflags = iflags;
		return 0;
	case WEIR_IOCTL_SETFLAGS:
		return memfs_set_iflags(mem->fs, mem_ino(req->node), req->in.ioctl.iflags);
	case WEIR_IOCTL_GETFSXATTR:
		req->out.ioctl.fsxattr = (struct weir_fsxattr){
			.xflags = ((iflags & FS_NODUMP_FL) != 0 ? FS_XFLAG_NODUMP : 0) |
					((iflags & FS_NOATIME_FL) != 0 ? FS_XFLAG_NOATIME : 0),
		};
		return 0;
	case WEIR_IOCTL_SETFSXATTR:
		return mem_set_xflags(mem, req);
	}
	return -ENOTTY;
}

/* Where an answer goes to, or NULL where its size is asked for. */
static struct weir_iov *
mem_xattr_room(struct weir_fsreq *req)
{
	return (req->flags & WEIR_FSREQ_SIZE) != 0 ? NULL : &req->iov;
}

int WEIR_ON_WORKER
mem_getxattr(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	if (!mem->xattr)
		return -ENOSYS;
	return memfs_getxattr(mem->fs, mem_ino(req->node), req->name, mem_xattr_room(req),
			req->in.io.len);
}

/* Those of the namespace trusted are told to the superuser only. */
int WEIR_ON_WORKER
mem_listxattr(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	if (!mem->xattr)
		return -ENOSYS;
	return memfs_listxattr(mem->fs, mem_ino(req->node), req->cred.uid == 0, mem_xattr_room(req),
			req->in.io.len);
}

int WEIR_ON_WORKER
mem_setxattr(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	if (!mem->xattr)
		return -ENOSYS;
	return memfs_setxattr(mem->fs, mem_ino(req->node), req->name, &req->iov, req->in.io.len,
			req->in.io.flags);
}

int WEIR_ON_WORKER
mem_removexattr(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	if (!mem->xattr)
		return -ENOSYS;
	return memfs_removexattr(mem->fs, mem_ino(req->node), req->name);
}
