/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>

#include "fuse.h"

/* Extended attributes. Values and lists stay in guest memory, as other data does. */

/* ACLs have ids in them, which are not mapped: where others are, no guest sees or sets one. */
static bool
fuse_xattr_is_refused(const struct weir_fuse_req *req)
{
	static const char acls[] = "system.posix_acl_";

	return unlikely(req->sess->maps != NULL) &&
			strncmp(req->io.name, acls, sizeof(acls) - 1) == 0;
}

/* Size 0 asks how much there is: up to XATTR_SIZE_MAX bytes, of which none is wanted. */
static int WEIR_ON_WORKER
fuse_read_xattr(struct weir_fuse_req *req, uint32_t size, enum weir_fsop verb)
{
	struct weir_fsreq *io = &req->io;

	io->in.io.off = 0;
	io->in.io.flags = 0;
	if (size == 0) {
		if (req->out_len <
				sizeof(struct fuse_out_header) + sizeof(struct fuse_getxattr_out))
			return fuse_fail(req, FUSE_FAULT_ROOM, -EINVAL);
		io->flags |= WEIR_FSREQ_SIZE;
		fuse_body_room(req, 0, &io->iov);
		io->in.io.len = XATTR_SIZE_MAX;
	} else {
		io->in.io.len = fuse_body_room(
				req, RTE_MIN(size, (uint32_t)XATTR_SIZE_MAX), &io->iov);
	}
	return fuse_start_io(req, verb);
}

int WEIR_ON_WORKER
fuse_getxattr(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_getxattr_in *in = arg;

	if (fuse_xattr_is_refused(req))
		return -EOPNOTSUPP;
	return fuse_read_xattr(req, in->size, WEIR_FSOP_GETXATTR);
}

int WEIR_ON_WORKER
fuse_listxattr(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_getxattr_in *in = arg;

	return fuse_read_xattr(req, in->size, WEIR_FSOP_LISTXATTR);
}

int WEIR_ON_WORKER
fuse_getxattr_reply(struct weir_fuse_req *req, int res)
{
	const struct fuse_getxattr_out out = { .size = (uint32_t)res };

	if ((req->io.flags & WEIR_FSREQ_SIZE) != 0)
		return fuse_body(req, &out, sizeof(out));
	return fuse_count_reply(req, res);
}

int WEIR_ON_WORKER
fuse_setxattr(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_setxattr_in *in = arg;
	struct weir_fsreq *io = &req->io;

	if (fuse_xattr_is_refused(req))
		return -EOPNOTSUPP;
	if ((in->flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)) != 0 || in->size > req->in.left)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	if (in->size > XATTR_SIZE_MAX)
		return -E2BIG;
	io->in.io.len = in->size;
	io->in.io.flags = in->flags;
	if ((in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0)
		io->in.io.flags |= WEIR_XATTR_KILL_SGID;
	io->iov = req->in;
	weir_iov_limit(&io->iov, in->size);
	return fuse_start_io(req, WEIR_FSOP_SETXATTR);
}

int WEIR_ON_WORKER
fuse_removexattr(struct weir_fuse_req *req, const void *arg)
{
	(void)arg;
	if (fuse_xattr_is_refused(req))
		return -EOPNOTSUPP;
	return fuse_start_io(req, WEIR_FSOP_REMOVEXATTR);
}
