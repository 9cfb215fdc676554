/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>

#include "fuse.h"

/* Locks. A guest asks for them here instead of keeping them to itself where the file system has them. */

static int WEIR_ON_WORKER
fuse_lock(struct weir_fuse_req *req, const struct fuse_lk_in *in, enum weir_fsop verb,
		uint32_t flags)
{
	const struct fuse_file_lock *lk = &in->lk;

	if ((lk->type != F_RDLCK && lk->type != F_WRLCK && lk->type != F_UNLCK) ||
			lk->start > lk->end || lk->end > INT64_MAX)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	req->io.in.lock = (struct weir_lock){
		.guest = (uintptr_t)req->sess,
		.owner = in->owner,
		.start = lk->start,
		.end = lk->end,
		.type = lk->type,
		.pid = lk->pid,
		.flags = flags,
	};
	return fuse_start_io(req, verb);
}

int WEIR_ON_WORKER
fuse_getlk(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_lk_in *in = arg;

	/* flock(2) has no such question. */
	if ((in->lk_flags & FUSE_LK_FLOCK) != 0 || in->lk.type == F_UNLCK)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	return fuse_lock(req, in, WEIR_FSOP_GETLK, 0);
}

int WEIR_ON_WORKER
fuse_getlk_reply(struct weir_fuse_req *req, int res)
{
	const struct weir_lock *lock = &req->io.out.lock;
	const struct fuse_lk_out out = { .lk = { .start = lock->start,
							 .end = lock->end,
							 .type = lock->type,
							 .pid = lock->pid } };

	(void)res;
	return fuse_body(req, &out, sizeof(out));
}

static uint32_t
fuse_lock_flags(const struct fuse_lk_in *in)
{
	return (in->lk_flags & FUSE_LK_FLOCK) != 0 ? WEIR_LOCK_FLOCK : 0;
}

int WEIR_ON_WORKER
fuse_setlk(struct weir_fuse_req *req, const void *arg)
{
	return fuse_lock(req, arg, WEIR_FSOP_SETLK, fuse_lock_flags(arg));
}

int WEIR_ON_WORKER
fuse_setlkw(struct weir_fuse_req *req, const void *arg)
{
	return fuse_lock(req, arg, WEIR_FSOP_SETLK, fuse_lock_flags(arg) | WEIR_LOCK_WAIT);
}
