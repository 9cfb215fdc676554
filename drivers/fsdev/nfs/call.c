/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The way of a step:
 *
 *   nfs_call --call--> sent --answer--> result: the next step, or the end
 *      |                 |'-JUKEBOX, no message free--> delayed -^ (sent, with another xid)
 *      |                 |'-denied--> sent, with another xid and the groups that may help; once
 *      |                 '--detach--> orphan: its answer goes nowhere
 *      '--no call is free, not mounted--> waiting -^
 *
 * Detaching ends a request at once, whatever it waits for.
 */

#include <errno.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "nfs.h"

#define DELAY_FIRST_MS 100
#define DELAY_MAX_MS   15000

/* Bytes of arguments beside names: two handles, attributes, numbers. */
#define ARGS_FIXED 256

struct nfs_ctx *WEIR_ON_WORKER
nfs_begin(struct weir_fsreq *req)
{
	struct nfs_ctx *ctx = nfs_ctx_of(req);

	TAILQ_INIT(&ctx->calls);
	ctx->fenced = NULL;
	ctx->nb_fences = 0;
	ctx->list = NULL;
	ctx->task = false;
	ctx->opening = false;
	ctx->grouped = false;
	ctx->target = NULL;
	return ctx;
}

static uint32_t
call_args_max(const struct weir_fsreq *req)
{
	size_t n = ARGS_FIXED;

	if (req->name != NULL)
		n += strlen(req->name);
	if (req->newname != NULL)
		n += strlen(req->newname);
	return (uint32_t)n;
}

struct nfs_call *WEIR_ON_WORKER
nfs_call_get(struct weir_fsreq *req, const struct nfs_step *step)
{
	struct nfs_chan *chan = nfs_chan_of(req);
	struct nfs_call *call = TAILQ_FIRST(&chan->free);

	if (call == NULL || chan->client == NULL)
		return NULL;
	TAILQ_REMOVE(&chan->free, call, list);
	call->step = step;
	call->req = req;
	call->fencing = NULL;
	call->delay_ms = 0;
	call->delayed_ms = 0;
	call->delayed = false;
	call->resent = false;
	call->grouped = false;
	TAILQ_INSERT_TAIL(&nfs_ctx_of(req)->calls, call, link);
	return call;
}

static void WEIR_ON_WORKER
call_put(struct nfs_call *call)
{
	TAILQ_INSERT_HEAD(&call->chan->free, call, list);
	/* Somebody may wait for it. */
	weir_poller_wake(&call->chan->poller);
}

static void WEIR_ON_WORKER
call_delay(struct nfs_call *call, uint64_t due_tsc)
{
	call->delayed = true;
	call->due_tsc = due_tsc;
	TAILQ_INSERT_TAIL(&call->chan->delayed, call, list);
	weir_poller_wake(&call->chan->poller);
}

/* The server asks for patience. False where a soft mount has none left. */
static bool WEIR_ON_WORKER
call_jukebox(struct nfs_call *call)
{
	const struct nfs_params *params = call->chan->fs->params;
	uint64_t patience_ms = (uint64_t)params->timeo_ms * (params->retrans + 1);

	if (!params->hard && call->delayed_ms >= patience_ms)
		return false;
	call->delay_ms = call->delay_ms == 0 ? DELAY_FIRST_MS :
					       RTE_MIN(call->delay_ms * 2, (uint32_t)DELAY_MAX_MS);
	call->delayed_ms += call->delay_ms;
	call_delay(call, rte_rdtsc() + call->delay_ms * call->chan->tsc_per_ms);
	return true;
}

/* How a call can end without an answer, as the guest may see it. */
static int
call_errno(int rc)
{
	switch (rc) {
	case -EACCES:
		return rc;
	case -EPROTONOSUPPORT:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

static void WEIR_ON_WORKER
call_done(struct weir_sunrpc_call *rpc, int rc, struct weir_xdr_dec *dec)
{
	struct nfs_call *call = container_of(rpc, struct nfs_call, rpc);
	struct weir_fsreq *req = call->req;
	int res;

	call->chan->silent &= rc != 0;
	call->status = rc == 0 ? weir_xdr_get_u32(dec) : NFS3STAT_OK;
	if (rc == 0 && dec->failed)
		rc = -EBADMSG;
	if (call->status != NFS3STAT_OK)
		weir_counter_add(&call->chan->errors[nfs_error_index(call->status)], 1);
	if (req == NULL) {
		call_put(call);
		return;
	}
	/* What is sent after JUKEBOX is a new call to the server, but not to us. */
	call->resent |= rpc->resent;
	if (call->status == NFS3STAT_JUKEBOX && call_jukebox(call))
		return;
	if ((call->status == NFS3STAT_PERM || call->status == NFS3STAT_ACCES) &&
			nfs_cred_again(call)) {
		nfs_call_send(call);
		return;
	}
	rc = rc < 0 ? call_errno(rc) : nfs_errno(call->status);
	call->kept = false;
	TAILQ_REMOVE(&nfs_ctx_of(req)->calls, call, link);
	res = call->step->result(req, call, rc == -EAGAIN ? -EIO : rc, dec);
	if (!call->kept)
		call_put(call);
	nfs_end(req, res);
}

void WEIR_ON_WORKER
nfs_call_send(struct nfs_call *call)
{
	struct weir_sunrpc_cred cred;
	struct weir_xdr_enc *enc = NULL;

	nfs_cred(call, &cred);
	if (call->chan->client != NULL)
		enc = weir_sunrpc_prepare(call->chan->client, &call->rpc, call->step->proc, &cred,
				call_args_max(call->req));
	if (enc == NULL) {
		call_delay(call, 0);
		return;
	}
	call->rpc.done = call_done;
	call->step->args(call->req, call, enc);
	weir_sunrpc_submit(&call->rpc);
}

void WEIR_ON_WORKER
nfs_call_again(struct nfs_call *call)
{
	call->kept = true;
	TAILQ_INSERT_TAIL(&nfs_ctx_of(call->req)->calls, call, link);
	nfs_call_send(call);
}

bool WEIR_ON_WORKER
nfs_call_grouped(struct nfs_call *call)
{
	if (!nfs_cred_again(call))
		return false;
	nfs_call_again(call);
	return true;
}

static int WEIR_ON_WORKER
call_resume(struct weir_channel *chan, struct weir_fsreq *req)
{
	return nfs_call(req, nfs_ctx_of(req)->step);
}

int WEIR_ON_WORKER
nfs_call(struct weir_fsreq *req, const struct nfs_step *step)
{
	struct nfs_call *call = nfs_call_get(req, step);

	if (call == NULL) {
		nfs_ctx_of(req)->step = step;
		return nfs_wait(req, call_resume);
	}
	nfs_call_send(call);
	return -EINPROGRESS;
}

int WEIR_ON_WORKER
nfs_wait(struct weir_fsreq *req, weir_fsop_fn resume)
{
	struct nfs_chan *chan = nfs_chan_of(req);
	struct nfs_ctx *ctx = nfs_ctx_of(req);

	/* Nothing limits how long an export that never was mounted can take. */
	if (chan->stopped || (chan->client == NULL && !chan->fs->params->hard))
		return -EIO;
	ctx->resume = resume;
	nfs_list_add(ctx, &chan->waiting);
	weir_poller_wake(&chan->poller);
	return -EINPROGRESS;
}

void WEIR_ON_WORKER
nfs_end(struct weir_fsreq *req, int res)
{
	if (res == -EINPROGRESS)
		return;
	if (res == -EBADMSG)
		res = -EIO;
	if (nfs_ctx_of(req)->opening && res < 0)
		nfs_open_failed(req);
	if (nfs_ctx_of(req)->task)
		nfs_task_end(req, res);
	else
		weir_fsreq_complete(req, res);
}

static void WEIR_ON_WORKER
fence_put(struct weir_fsreq *req)
{
	struct nfs_ctx *ctx = nfs_ctx_of(req);

	if (--ctx->nb_fences > 0)
		return;
	ctx->fenced(req);
	nfs_end(req, -ECANCELED);
}

static void WEIR_ON_WORKER
call_fenced(struct weir_sunrpc_call *rpc)
{
	struct nfs_call *call = container_of(rpc, struct nfs_call, rpc);

	fence_put(call->fencing);
}

void WEIR_ON_WORKER
nfs_detach(struct weir_channel *chan, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req))
{
	struct nfs_chan *nchan = weir_channel_priv(chan);
	struct nfs_ctx *ctx = nfs_ctx_of(req);
	struct nfs_call *call;

	ctx->fenced = fenced;
	ctx->nb_fences = 1;
	nfs_list_del(ctx);
	while ((call = TAILQ_FIRST(&ctx->calls)) != NULL) {
		TAILQ_REMOVE(&ctx->calls, call, link);
		call->req = NULL;
		if (call->delayed) {
			TAILQ_REMOVE(&nchan->delayed, call, list);
			call_put(call);
			continue;
		}
		call->fencing = req;
		ctx->nb_fences++;
		weir_sunrpc_detach(&call->rpc, call_fenced);
	}
	/* Whether the name was taken away is unknown; if it was, it must not stay for ever. */
	if (ctx->target != NULL)
		nfs_silly_settle(req, NFS_SILLY_DONE);
	fence_put(req);
}

static int WEIR_ON_WORKER
poll_delayed(struct nfs_chan *chan)
{
	struct nfs_calls due = TAILQ_HEAD_INITIALIZER(due);
	struct nfs_call *call, *next;
	uint64_t now = rte_rdtsc();
	int nb = 0;

	for (call = TAILQ_FIRST(&chan->delayed); call != NULL; call = next) {
		next = TAILQ_NEXT(call, list);
		if (call->due_tsc > now)
			continue;
		TAILQ_REMOVE(&chan->delayed, call, list);
		TAILQ_INSERT_TAIL(&due, call, list);
	}
	while ((call = TAILQ_FIRST(&due)) != NULL) {
		TAILQ_REMOVE(&due, call, list);
		call->delayed = false;
		nfs_call_send(call);
		nb += !call->delayed;
	}
	return nb;
}

/* Whoever comes to the end of the list while it is worked on waits for the next round. */
static int WEIR_ON_WORKER
poll_waiting(struct nfs_chan *chan)
{
	struct nfs_ctx *last = TAILQ_LAST(&chan->waiting, nfs_ctxs);
	struct nfs_ctx *ctx;
	struct weir_fsreq *req;
	int nb = 0;

	while ((ctx = TAILQ_FIRST(&chan->waiting)) != NULL && !TAILQ_EMPTY(&chan->free)) {
		nfs_list_del(ctx);
		req = weir_fsreq_of(ctx);
		nfs_end(req, ctx->resume(req->chan, req));
		nb++;
		if (ctx == last)
			break;
	}
	return nb;
}

int WEIR_ON_WORKER
nfs_chan_poll(struct nfs_chan *chan)
{
	int nb = 0;

	if (!TAILQ_EMPTY(&chan->delayed))
		nb += poll_delayed(chan);
	if (!TAILQ_EMPTY(&chan->waiting))
		nb += poll_waiting(chan);
	nb += nfs_tasks_start(chan);
	return TAILQ_EMPTY(&chan->closing) ? nb : nb + nfs_todo_poll(chan);
}

/* Who waits for a message or a call is woken by the answer that frees one. */
bool WEIR_ON_WORKER
nfs_chan_arm(struct nfs_chan *chan)
{
	const struct nfs_call *call;
	uint64_t wake_tsc = 0;

	TAILQ_FOREACH(call, &chan->delayed, list) {
		if (call->due_tsc > 0 && (wake_tsc == 0 || call->due_tsc < wake_tsc))
			wake_tsc = call->due_tsc;
	}
	/* Another worker's task may be what they wait for. */
	if (!TAILQ_EMPTY(&chan->closing))
		wake_tsc = rte_rdtsc() + chan->tsc_per_ms;
	chan->poller.wake_tsc = wake_tsc;
	return (!TAILQ_EMPTY(&chan->waiting) && !TAILQ_EMPTY(&chan->free)) ||
			(chan->todo_head != 0 && !SLIST_EMPTY(&chan->tasks));
}

void WEIR_ON_WORKER
nfs_chan_cancel(struct nfs_chan *chan)
{
	struct weir_fsreq *req;
	struct nfs_call *call;
	struct nfs_ctx *ctx;

	while ((call = TAILQ_FIRST(&chan->delayed)) != NULL) {
		TAILQ_REMOVE(&chan->delayed, call, list);
		req = call->req;
		TAILQ_REMOVE(&nfs_ctx_of(req)->calls, call, link);
		call->kept = false;
		nfs_end(req, call->step->result(req, call, -EIO, NULL));
	}
	while ((ctx = TAILQ_FIRST(&chan->waiting)) != NULL) {
		nfs_list_del(ctx);
		nfs_end(weir_fsreq_of(ctx), -EIO);
	}
}
