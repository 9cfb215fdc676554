/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Data. A request becomes calls of at most rsize or wsize bytes, all at once; a short answer is
 * followed by a call for the rest. Each call moves its bytes between socket and guest memory by a
 * cursor of its own. What counts in the end is how far the data go without a gap.
 */

#include <errno.h>
#include <fcntl.h>

#include <rte_common.h>

#include "nfs.h"

static int WEIR_ON_WORKER io_pump(struct weir_channel *chan, struct weir_fsreq *req);

/* The guest's memory that a call fills or empties. */
static struct weir_iov
io_cursor(const struct weir_fsreq *req, const struct nfs_call *call)
{
	struct weir_iov iov = req->iov;

	weir_iov_skip(&iov, call->off - req->in.io.off);
	weir_iov_limit(&iov, call->len);
	return iov;
}

/* Nothing counts from off on. */
static void
io_stop(struct nfs_ctx *ctx, uint64_t off, int error)
{
	if (off >= ctx->io.stop)
		return;
	ctx->io.stop = off;
	ctx->io.error = error;
}

/* A call has moved count bytes; whether it goes on with the others. */
static bool
io_advance(struct nfs_ctx *ctx, struct nfs_call *call, uint32_t count)
{
	call->off += count;
	call->len -= count;
	if (count == 0)
		io_stop(ctx, call->off, -EIO);
	return call->len > 0 && call->off < ctx->io.stop;
}

static int
read_split(struct weir_sunrpc_call *rpc, const uint8_t *results, uint32_t nb, uint32_t *off,
		uint32_t *len)
{
	return nfs3_find_read_data(results, nb, off, len);
}

static void
read_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_read(enc, &nfs_node_of(req->node)->fh, call->off, call->len);
	call->rpc.rx = io_cursor(req, call);
	call->rpc.split = read_split;
}

static int WEIR_ON_WORKER
read_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_ctx *ctx = nfs_ctx_of(req);
	struct nfs3_read_res res;

	if (rc == 0)
		rc = nfs3_get_read(dec, &res);
	if (rc == 0 &&
			(res.count > call->len || res.count != res.len ||
					res.count != call->rpc.placed))
		rc = -EBADMSG;
	if (rc < 0)
		io_stop(ctx, call->off, rc);
	else if (res.eof)
		io_stop(ctx, call->off + res.count, 0);
	else if (io_advance(ctx, call, res.count)) {
		nfs_call_again(call);
		return -EINPROGRESS;
	}
	return io_pump(req->chan, req);
}

static const struct nfs_step read_step = { NFSPROC3_READ, read_args, read_result };

/* A guest that will ask for stable storage at once is spared the COMMIT. */
static enum nfs3_stable
write_stable(const struct weir_fsreq *req)
{
	const uint32_t flags = req->in.io.flags;
	const enum nfs3_stable stable = nfs_chan_of(req)->fs->params->write_mode;

	if ((flags & O_SYNC) == O_SYNC)
		return NFS3_FILE_SYNC;
	if ((flags & O_DSYNC) != 0 && stable == NFS3_UNSTABLE)
		return NFS3_DATA_SYNC;
	return stable;
}

static void
write_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	nfs3_put_write(enc, &nfs_node_of(req->node)->fh, call->off, call->len, write_stable(req));
	call->rpc.tx = io_cursor(req, call);
}

static int WEIR_ON_WORKER
write_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_ctx *ctx = nfs_ctx_of(req);
	struct nfs3_write_res res;

	if (rc == 0)
		rc = nfs3_get_write(dec, &res);
	if (rc == 0 && res.count > call->len)
		rc = -EBADMSG;
	if (rc == 0 && res.committed == NFS3_UNSTABLE)
		nfs_written(nfs_chan_of(req), nfs_node_of(req->node), res.verifier);
	if (rc < 0)
		io_stop(ctx, call->off, rc);
	else if (io_advance(ctx, call, res.count)) {
		nfs_call_again(call);
		return -EINPROGRESS;
	}
	return io_pump(req->chan, req);
}

static const struct nfs_step write_step = { NFSPROC3_WRITE, write_args, write_result };

/* Makes the calls that are still to be made, and ends the request with the last one's answer. */
static int WEIR_ON_WORKER
io_pump(struct weir_channel *chan, struct weir_fsreq *req)
{
	const bool reads = req->op == WEIR_FSOP_READ;
	const struct nfs_fs *fs = nfs_chan_of(req)->fs;
	struct nfs_ctx *ctx = nfs_ctx_of(req);
	struct nfs_call *call;
	uint64_t res;

	while (ctx->io.next < ctx->io.stop) {
		call = nfs_call_get(req, reads ? &read_step : &write_step);
		if (call == NULL)
			return TAILQ_EMPTY(&ctx->calls) ? nfs_wait(req, io_pump) : -EINPROGRESS;
		call->off = ctx->io.next;
		call->len = (uint32_t)RTE_MIN(
				ctx->io.stop - call->off, reads ? fs->rsize : fs->wsize);
		ctx->io.next += call->len;
		nfs_call_send(call);
	}
	if (!TAILQ_EMPTY(&ctx->calls))
		return -EINPROGRESS;
	res = ctx->io.stop - req->in.io.off;
	return res > 0 ? (int)res : ctx->io.error;
}

static int WEIR_ON_WORKER
io_start(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct nfs_ctx *ctx = nfs_begin(req);

	if (req->file == NULL)
		return -EBADF;
	if (req->node->type != S_IFREG)
		return req->node->type == S_IFDIR ? -EISDIR : -EINVAL;
	ctx->io.next = req->in.io.off;
	ctx->io.stop = req->in.io.off + req->in.io.len;
	ctx->io.error = 0;
	return io_pump(chan, req);
}

int WEIR_ON_WORKER
nfs_op_read(struct weir_channel *chan, struct weir_fsreq *req)
{
	return io_start(chan, req);
}

int WEIR_ON_WORKER
nfs_op_write(struct weir_channel *chan, struct weir_fsreq *req)
{
	const uint64_t max = nfs_chan_of(req)->fs->maxfilesize;

	if (req->in.io.off > max || req->in.io.len > max - req->in.io.off)
		return -EFBIG;
	return io_start(chan, req);
}
