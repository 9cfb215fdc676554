/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The way of a request that cannot be answered at once:
 *
 *   verb --aio_defer--> QUEUED --helper--> RUNNING --> finish --> answer
 *     |  '--aio_run, in memory: at once ---------------^
 *     |                    '--detach--> CANCELLED -----^
 *     '--aio_pool_get--> WAITING --piece is free, or detach--> resume
 *
 * Helpers use guest memory only in a local folder, and there only while RUNNING. So a detached
 * request is fenced at once in all other states.
 */

#include <errno.h>

#include "aio.h"

static void WEIR_ON_HELPER
job_run(struct weir_job *job)
{
	struct aio_ctx *ctx = container_of(job, struct aio_ctx, job);
	struct weir_fsreq *req = weir_fsreq_of(ctx);
	int state = AIO_QUEUED;

	if (atomic_compare_exchange_strong(&ctx->state, &state, AIO_RUNNING)) {
		ctx->res = aio_cred_begin(req);
		if (ctx->res == 0)
			ctx->res = ctx->run(aio_fs_of(req->chan), req);
	} else {
		ctx->res = -ECANCELED;
	}
}

static void WEIR_ON_WORKER
job_done(struct weir_job *job)
{
	struct aio_ctx *ctx = container_of(job, struct aio_ctx, job);
	struct weir_fsreq *req = weir_fsreq_of(ctx);

	atomic_store(&ctx->state, AIO_IDLE);
	aio_end(req, ctx->finish != NULL ? ctx->finish(req->chan, req) : ctx->res);
}

int WEIR_ON_WORKER
aio_defer(struct weir_channel *chan, struct weir_fsreq *req, aio_run_fn run, weir_fsop_fn finish)
{
	struct aio_ctx *ctx = aio_ctx_of(req);

	ctx->run = run;
	ctx->finish = finish;
	ctx->job.run = job_run;
	ctx->job.done = job_done;
	atomic_store(&ctx->state, AIO_QUEUED);
	weir_helper_submit(aio_fs_of(chan)->helpers, &ctx->job);
	return -EINPROGRESS;
}

int WEIR_ON_WORKER
aio_run(struct weir_channel *chan, struct weir_fsreq *req, aio_run_fn run, weir_fsop_fn finish)
{
	struct aio_fs *fs = aio_fs_of(chan);
	struct aio_ctx *ctx = aio_ctx_of(req);

	if (!aio_node_in_memory(fs, req->node))
		return aio_defer(chan, req, run, finish);
	weir_role_assume_helper();
	ctx->res = aio_cred_begin(req);
	if (ctx->res == 0)
		ctx->res = run(fs, req);
	if (ctx->res == -EAGAIN)
		return aio_defer(chan, req, run, finish);
	return finish != NULL ? finish(chan, req) : ctx->res;
}

void WEIR_ON_WORKER
aio_end(struct weir_fsreq *req, int res)
{
	struct aio_ctx *ctx = aio_ctx_of(req);
	void (*fenced)(struct weir_fsreq * req);

	if (res == -EINPROGRESS)
		return;
	fenced = ctx->fenced;
	ctx->fenced = NULL;
	if (fenced != NULL)
		fenced(req);
	weir_fsreq_complete(req, res);
}

int WEIR_ON_WORKER
aio_pool_get(struct aio_pool *pool, struct weir_fsreq *req, weir_fsop_fn resume)
{
	struct aio_ctx *ctx = aio_ctx_of(req);

	if (ctx->piece != NULL)
		return 0;
	ctx->pool = pool;
	if (pool->nb_free > 0) {
		ctx->piece = pool->free[--pool->nb_free];
		return 0;
	}
	ctx->resume = resume;
	atomic_store(&ctx->state, AIO_WAITING);
	TAILQ_INSERT_TAIL(&pool->waiters, ctx, link);
	return -EINPROGRESS;
}

static void WEIR_ON_WORKER
pool_resume(struct weir_fsreq *req)
{
	aio_end(req, aio_ctx_of(req)->resume(req->chan, req));
}

/* Who waits goes on in the next round: a long queue must not become a deep stack. */
void WEIR_ON_WORKER
aio_pool_put(struct weir_fsreq *req)
{
	struct aio_ctx *ctx = aio_ctx_of(req);
	struct aio_pool *pool = ctx->pool;
	struct aio_ctx *waiter;

	if (ctx->piece == NULL)
		return;
	waiter = TAILQ_FIRST(&pool->waiters);
	if (waiter != NULL) {
		TAILQ_REMOVE(&pool->waiters, waiter, link);
		atomic_store(&waiter->state, AIO_IDLE);
		waiter->piece = ctx->piece;
		weir_fsreq_retry(weir_fsreq_of(waiter), pool_resume);
	} else {
		pool->free[pool->nb_free++] = ctx->piece;
	}
	ctx->piece = NULL;
}

void WEIR_ON_WORKER
aio_detach(struct weir_channel *chan, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req))
{
	struct aio_ctx *ctx = aio_ctx_of(req);
	int state = AIO_QUEUED;

	if (aio_lock_detach(aio_fs_of(chan), req, fenced))
		return;
	/* Only guest memory in use is worth a wait: a RENAME under way may as well go on. */
	if (atomic_load(&ctx->state) == AIO_WAITING) {
		TAILQ_REMOVE(&ctx->pool->waiters, ctx, link);
		atomic_store(&ctx->state, AIO_IDLE);
		ctx->fenced = fenced;
		pool_resume(req);
	} else if (!ctx->guest_memory ||
			atomic_compare_exchange_strong(&ctx->state, &state, AIO_CANCELLED)) {
		fenced(req);
	} else {
		ctx->fenced = fenced;
		if (state == AIO_KERNEL)
			aio_ring_cancel(weir_channel_priv(chan), req);
	}
}
