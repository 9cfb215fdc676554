/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "fuse.h"

static_assert(sizeof(struct fuse_out_header) == 16 &&
				offsetof(struct fuse_out_header, error) == 4 &&
				offsetof(struct fuse_out_header, unique) == 8,
		"two words, as fuse_write_header() makes them");

/*
 * The one way out. An error is in -511..0: guests take others for restart codes or for byte counts,
 * and those before 6.18 do not check. A length is what was written into the chain.
 */

static void WEIR_ON_WORKER
fuse_ended(struct weir_fuse_req *req)
{
	weir_trace(fuse_end, req->unique, (uint32_t)req->opcode, req->error, req->out_done);
	fuse_stats_end(req);
	req->state = FUSE_REQ_ENDED;
	if ((req->flags & FUSE_REQ_DETACHED) == 0)
		req->complete(req, req->out_done);
	else if ((req->flags & FUSE_REQ_FENCED) != 0)
		req->released(req);
}

static void WEIR_ON_WORKER fuse_close_done(struct weir_fsreq *io, int res);

/* Leaves a file. True: as its last user, who closes it, and goes on in fuse_close_done(). */
static inline bool WEIR_ON_WORKER
fuse_leave_file(struct weir_fuse_req *req, struct fuse_file *file)
{
	struct weir_fuse_session *sess = req->sess;

	if (!fuse_file_put(sess, file))
		return false;
	req->state = FUSE_REQ_CLOSING;
	req->file = file;
	fuse_file_release(sess, file, &req->io, weir_fsdev_channel_by(sess->dev, req->route),
			fuse_close_done);
	return true;
}

/* The same of newfile. */
static bool WEIR_ON_WORKER
fuse_leave_newfile(struct weir_fuse_req *req)
{
	req->flags &= ~FUSE_REQ_NEWFILE;
	return fuse_leave_file(req, req->newfile);
}

static void WEIR_ON_WORKER
fuse_close_done(struct weir_fsreq *io, int res)
{
	struct weir_fuse_req *req = container_of(io, struct weir_fuse_req, io);

	(void)res; /* close() has no error that a guest could act on: FLUSH told it before */
	fuse_file_free(req->sess, req->file);
	req->file = NULL;
	if ((req->flags & FUSE_REQ_NEWFILE) != 0 && fuse_leave_newfile(req))
		return;
	fuse_ended(req);
}

static void WEIR_ON_WORKER
fuse_answered(struct weir_fuse_req *req)
{
	struct fuse_file *file = req->file;

	RTE_ASSERT(req->state == FUSE_REQ_NEW || req->state == FUSE_REQ_IN_BACKEND);
	req->state = FUSE_REQ_ANSWERED;
	req->file = NULL;
	fuse_req_drop(req);
	if (file != NULL && fuse_leave_file(req, file))
		return;
	if (unlikely((req->flags & FUSE_REQ_NEWFILE) != 0) && fuse_leave_newfile(req))
		return;
	fuse_ended(req);
}

void WEIR_ON_WORKER
fuse_finish_silent(struct weir_fuse_req *req)
{
	req->error = 0;
	req->out_done = 0;
	fuse_answered(req);
}

/*
 * In words that are in registers: a struct that was filled in by its members and is then copied as a
 * whole waits for all stores before it, payload and cold lines of guest memory included.
 */
static void WEIR_ON_WORKER
fuse_write_header(struct weir_fuse_req *req)
{
	const uint64_t head[2] = { (uint64_t)(uint32_t)req->error << 32 | req->out_done,
		req->unique };
	struct weir_iov out = req->out;
	uint8_t *addr = weir_iov_take(&out, sizeof(head));

	if (unlikely(addr == NULL)) {
		weir_iov_write(&out, head, sizeof(head));
		return;
	}
	memcpy(addr, &head[0], sizeof(head[0]));
	memcpy(addr + sizeof(head[0]), &head[1], sizeof(head[1]));
}

void WEIR_ON_WORKER
fuse_finish(struct weir_fuse_req *req, int res)
{
	RTE_ASSERT(res >= -FUSE_ERRNO_MAX);
	req->error = RTE_MIN(res, 0);
	req->out_done = 0;
	if ((req->flags & FUSE_REQ_DETACHED) == 0 && (req->op->flags & FUSE_OP_NO_REPLY) == 0 &&
			req->out_len >= sizeof(struct fuse_out_header)) {
		req->out_done = sizeof(struct fuse_out_header) + RTE_MAX(res, 0);
		RTE_ASSERT(req->out_done <= req->out_len);
		fuse_write_header(req);
	}
	fuse_answered(req);
}

/* A verb has failed. Returns 0 where that is an answer, else the error. */
static int WEIR_ON_WORKER
fuse_io_failed(struct weir_fuse_req *req, int error)
{
	/* Entries listed before an error are good, and looked up; the error will come again. */
	if (req->payload > 0)
		return 0;
	/* That a name is absent may be worth an entry. */
	if (error == -ENOENT && req->opcode == FUSE_LOOKUP && req->sess->negative_ns > 0) {
		req->io.out.entry = (struct weir_entry){
			.entry_valid_ns = req->sess->negative_ns,
		};
		return 0;
	}
	return error;
}

void WEIR_ON_WORKER
fuse_io_done(struct weir_fsreq *io, int res)
{
	struct weir_fuse_req *req = container_of(io, struct weir_fuse_req, io);
	const struct fuse_op *op = req->op;
	int limit = (op->flags & FUSE_OP_COUNT) != 0 ? (int)io->in.io.len : 0;

	RTE_ASSERT(req->state == FUSE_REQ_IN_BACKEND);
	if (res < -FUSE_ERRNO_MAX || res > limit) {
		fuse_stats_fault(req->sess, FUSE_FAULT_BACKEND);
		/* What opened or made something has done so; a count that is too high is no data. */
		res = res > 0 && limit == 0 ? 0 : -EIO;
	}
	if (unlikely(res < 0))
		res = fuse_io_failed(req, res);
	if (res >= 0 && !fuse_req_is_live(req)) {
		if (op->undo != NULL)
			op->undo(req);
		res = -ENOTCONN;
	} else if (res >= 0 && op->reply != NULL) {
		res = op->reply(req, res);
	}
	fuse_finish(req, res);
}

int WEIR_ON_WORKER
fuse_start_io_for(struct weir_fuse_req *req, enum weir_fsop verb,
		void (*done)(struct weir_fsreq *io, int res))
{
	req->io.op = verb;
	req->io.chan = weir_fsdev_channel_by(req->sess->dev, req->route);
	req->io.done = done;
	fuse_req_step(req, FUSE_REQ_NEW, FUSE_REQ_IN_BACKEND);
	weir_fsdev_submit(&req->io);
	return 0;
}

int WEIR_ON_WORKER
fuse_start_io(struct weir_fuse_req *req, enum weir_fsop verb)
{
	return fuse_start_io_for(req, verb, fuse_io_done);
}

uint32_t WEIR_ON_WORKER
fuse_body_room(const struct weir_fuse_req *req, uint32_t n, struct weir_iov *out)
{
	*out = req->out;
	if (unlikely(weir_iov_take(out, sizeof(struct fuse_out_header)) == NULL))
		weir_iov_skip(out, sizeof(struct fuse_out_header));
	weir_iov_limit(out, n);
	return out->left;
}

int WEIR_ON_WORKER
fuse_body(struct weir_fuse_req *req, const void *body, size_t n)
{
	struct weir_iov out;

	fuse_body_room(req, n, &out);
	weir_iov_write(&out, body, n);
	return (int)n;
}

void WEIR_ON_WORKER
fuse_req_drop(struct weir_fuse_req *req)
{
	struct weir_fsreq *io = &req->io;

	if (io->node != NULL && (req->flags & FUSE_REQ_BORROWS) == 0)
		fuse_node_put(req->sess, io->node);
	if (io->newnode != NULL)
		fuse_node_put(req->sess, io->newnode);
	io->node = NULL;
	io->newnode = NULL;
	io->file = NULL;
	RTE_ASSERT(req->file == NULL);
	if (req->arg != req->arg_inline) {
		rte_mempool_put(fuse_arg_pool, req->arg);
		req->arg = req->arg_inline;
	}
}
