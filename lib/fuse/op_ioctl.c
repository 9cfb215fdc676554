/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "fuse.h"

/*
 * The ioctls that are questions about a file and not to a driver: inode flags and project ids. Linux
 * asks for them in the form of a 64-bit process, whatever the caller's is. Data that does not fit the
 * command is refused: nothing of a guest's goes into another ioctl.
 */

static const struct {
	uint32_t cmd;
	uint32_t in, out; /* bytes of data */
	enum weir_ioctl verb;
} ioctls[] = {
	{ FS_IOC_GETFLAGS, 0, sizeof(uint32_t), WEIR_IOCTL_GETFLAGS },
	{ FS_IOC_SETFLAGS, sizeof(uint32_t), 0, WEIR_IOCTL_SETFLAGS },
	{ FS_IOC_FSGETXATTR, 0, sizeof(struct fsxattr), WEIR_IOCTL_GETFSXATTR },
	{ FS_IOC_FSSETXATTR, sizeof(struct fsxattr), 0, WEIR_IOCTL_SETFSXATTR },
};

static int WEIR_ON_WORKER
fuse_ioctl_take(struct weir_fuse_req *req, const struct fuse_ioctl_in *in, unsigned int i)
{
	struct weir_fsreq *io = &req->io;
	struct fsxattr attr;
	uint32_t iflags;

	if (in->in_size < ioctls[i].in || in->out_size < ioctls[i].out ||
			req->in.left < ioctls[i].in ||
			req->out_len < sizeof(struct fuse_out_header) +
							sizeof(struct fuse_ioctl_out) +
							ioctls[i].out)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	if (ioctls[i].verb == WEIR_IOCTL_SETFLAGS) {
		weir_iov_read(&req->in, &iflags, sizeof(iflags));
		io->in.ioctl.iflags = iflags;
	} else if (ioctls[i].verb == WEIR_IOCTL_SETFSXATTR) {
		weir_iov_read(&req->in, &attr, sizeof(attr));
		io->in.ioctl.fsxattr = (struct weir_fsxattr){
			.xflags = attr.fsx_xflags,
			.extsize = attr.fsx_extsize,
			.nextents = attr.fsx_nextents,
			.projid = attr.fsx_projid,
			.cowextsize = attr.fsx_cowextsize,
		};
	}
	io->in.ioctl.cmd = ioctls[i].verb;
	return 0;
}

int WEIR_ON_WORKER
fuse_ioctl(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_ioctl_in *in = arg;
	int rc;

	rc = fuse_use_file(req, in->fh, (in->flags & FUSE_IOCTL_DIR) != 0);
	if (rc < 0)
		return rc;
	if ((in->flags & (FUSE_IOCTL_COMPAT | FUSE_IOCTL_UNRESTRICTED | FUSE_IOCTL_32BIT)) != 0)
		return -ENOTTY;
	for (unsigned int i = 0; i < RTE_DIM(ioctls); i++) {
		if (in->cmd != ioctls[i].cmd)
			continue;
		if (fuse_is_readonly(req->sess) &&
				(ioctls[i].verb == WEIR_IOCTL_SETFLAGS ||
						ioctls[i].verb == WEIR_IOCTL_SETFSXATTR))
			return -EROFS;
		rc = fuse_ioctl_take(req, in, i);
		return rc < 0 ? rc : fuse_start_io(req, WEIR_FSOP_IOCTL);
	}
	return -ENOTTY;
}

int WEIR_ON_WORKER
fuse_ioctl_reply(struct weir_fuse_req *req, int res)
{
	const struct weir_fsxattr *attr = &req->io.out.ioctl.fsxattr;
	struct {
		struct fuse_ioctl_out out;
		union {
			uint32_t iflags;
			struct fsxattr fsxattr;
		};
	} answer = { 0 };

	(void)res;
	switch (req->io.in.ioctl.cmd) {
	case WEIR_IOCTL_GETFLAGS:
		answer.iflags = req->io.out.ioctl.iflags;
		return fuse_body(req, &answer, sizeof(answer.out) + sizeof(answer.iflags));
	case WEIR_IOCTL_GETFSXATTR:
		answer.fsxattr = (struct fsxattr){
			.fsx_xflags = attr->xflags,
			.fsx_extsize = attr->extsize,
			.fsx_nextents = attr->nextents,
			.fsx_projid = attr->projid,
			.fsx_cowextsize = attr->cowextsize,
		};
		return fuse_body(req, &answer, sizeof(answer.out) + sizeof(answer.fsxattr));
	default:
		return fuse_body(req, &answer, sizeof(answer.out));
	}
}
