/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>

#include "fuse.h"

/* What ends other things: lookups, and requests under way. */

/* Nodes in one BATCH_FORGET: a guest must not keep a worker busy for long. */
#define BATCH_MAX 4096

int WEIR_ON_WORKER
fuse_forget(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_forget_in *in = arg;

	fuse_node_forget(req->sess, req->nodeid, in->nlookup);
	fuse_finish_silent(req);
	return 0;
}

int WEIR_ON_WORKER
fuse_batch_forget(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_batch_forget_in *in = arg;
	struct fuse_forget_one one;

	if (in->count > BATCH_MAX || in->count * sizeof(one) != req->in.left)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	for (uint32_t i = 0; i < in->count; i++) {
		if (weir_iov_read(&req->in, &one, sizeof(one)) < sizeof(one))
			break;
		fuse_node_forget(req->sess, one.nodeid, one.nlookup);
	}
	fuse_finish_silent(req);
	return 0;
}

/*
 * Only who waits for a lock can be interrupted: any other request will be answered in its own time.
 * -EAGAIN says "not found"; Linux guests never send INTERRUPT.
 */
int WEIR_ON_WORKER
fuse_interrupt(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_interrupt_in *in = arg;

	if (in->unique != 0 && weir_fsdev_has(req->sess->dev, WEIR_FSOP_ENDWAIT))
		return fuse_end_waits(req, in->unique, fuse_io_done);
	fuse_finish(req, -EAGAIN);
	return 0;
}
