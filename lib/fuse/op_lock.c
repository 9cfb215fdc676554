/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>

#include "fuse.h"

/*
 * Locks. A guest asks for them here instead of keeping them to itself where the file system has them.
 *
 * A request that waits keeps its place in the ring and its memory. So that there is room for the one
 * that unlocks, only so many of a session may wait, and of all sessions together.
 */

static _Atomic uint32_t waiters;
static uint32_t max_waiters = UINT32_MAX;

void
weir_fuse_waiters_set(uint32_t max)
{
	max_waiters = max;
}

static bool
fuse_waiter_add(_Atomic uint32_t *nb, uint32_t max)
{
	if (atomic_fetch_add_explicit(nb, 1, memory_order_relaxed) < max)
		return true;
	atomic_fetch_sub_explicit(nb, 1, memory_order_relaxed);
	return false;
}

static bool
fuse_may_wait(struct weir_fuse_session *sess)
{
	if (!fuse_waiter_add(&sess->nb_waiters,
			    atomic_load_explicit(&sess->max_waiters, memory_order_relaxed)))
		return false;
	if (fuse_waiter_add(&waiters, max_waiters))
		return true;
	atomic_fetch_sub_explicit(&sess->nb_waiters, 1, memory_order_relaxed);
	return false;
}

static void WEIR_ON_WORKER
fuse_waiter_done(struct weir_fsreq *io, int res)
{
	const struct weir_fuse_req *req = container_of(io, struct weir_fuse_req, io);

	atomic_fetch_sub_explicit(&req->sess->nb_waiters, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&waiters, 1, memory_order_relaxed);
	fuse_io_done(io, res);
}

/* EAGAIN would say that it need only ask again, and EINTR that it was interrupted: neither is so. */
static void WEIR_ON_WORKER
fuse_no_waiter_done(struct weir_fsreq *io, int res)
{
	fuse_io_done(io, res == -EAGAIN ? -ENOLCK : res);
}

/* fcntl(2): a lock takes a file that is open for what it locks out, or lets in. */
static bool
fuse_lock_is_allowed(const struct weir_fuse_req *req, uint32_t type)
{
	const int mode = (int)req->io.file->flags & O_ACCMODE;

	return type == F_UNLCK || mode == O_RDWR || mode == (type == F_WRLCK ? O_WRONLY : O_RDONLY);
}

static int WEIR_ON_WORKER
fuse_lock(struct weir_fuse_req *req, const struct fuse_lk_in *in, enum weir_fsop verb,
		uint32_t flags)
{
	const struct fuse_file_lock *lk = &in->lk;
	const bool is_flock = (flags & WEIR_LOCK_FLOCK) != 0;

	if ((lk->type != F_RDLCK && lk->type != F_WRLCK && lk->type != F_UNLCK) ||
			lk->start > lk->end || lk->end > INT64_MAX)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	if (verb == WEIR_FSOP_SETLK && !is_flock && !fuse_lock_is_allowed(req, lk->type))
		return fuse_fail(req, FUSE_FAULT_ARGS, -EBADF);
	req->io.in.lock = (struct weir_lock){
		.guest = (uintptr_t)req->sess,
		.owner = in->owner,
		.start = is_flock ? 0 : lk->start,
		.end = is_flock ? INT64_MAX : lk->end,
		.type = lk->type,
		.pid = lk->pid,
		.flags = flags,
		.unique = req->unique,
	};
	if ((flags & WEIR_LOCK_WAIT) == 0)
		return fuse_start_io(req, verb);
	if (fuse_may_wait(req->sess)) {
		atomic_store_explicit(&req->file->waited, 1, memory_order_relaxed);
		return fuse_start_io_for(req, verb, fuse_waiter_done);
	}
	fuse_stats_fault(req->sess, FUSE_FAULT_WAITERS);
	req->io.in.lock.flags &= ~WEIR_LOCK_WAIT;
	return fuse_start_io_for(req, verb, fuse_no_waiter_done);
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
fuse_end_waits(struct weir_fuse_req *req, uint64_t unique,
		void (*done)(struct weir_fsreq *io, int res))
{
	req->io.in.lock = (struct weir_lock){ .guest = (uintptr_t)req->sess, .unique = unique };
	return fuse_start_io_for(req, WEIR_FSOP_ENDWAIT, done);
}

void
weir_fuse_interrupt(struct weir_fuse_req *req)
{
	if (req->state == FUSE_REQ_IN_BACKEND && req->io.op == WEIR_FSOP_SETLK)
		weir_fsdev_interrupt(&req->io);
}

int WEIR_ON_WORKER
fuse_setlkw(struct weir_fuse_req *req, const void *arg)
{
	return fuse_lock(req, arg, WEIR_FSOP_SETLK, fuse_lock_flags(arg) | WEIR_LOCK_WAIT);
}
