/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_debug.h>

#include "sunrpc.h"

/*
 * xids count up, so that one comes again only after 2^32 calls, long after servers have forgotten
 * it. The table has twice as many places as there are messages: a free one is near, and a reply is
 * found, or known to be nobody's, by one look.
 */
static uint32_t WEIR_ON_WORKER
xid_take(struct weir_sunrpc_client *client, struct sunrpc_msg *msg)
{
	while (client->by_xid[client->next_xid & client->xid_mask] != NULL)
		client->next_xid++;
	client->by_xid[client->next_xid & client->xid_mask] = msg;
	return client->next_xid++;
}

static void WEIR_ON_WORKER
msg_free(struct sunrpc_msg *msg)
{
	struct weir_sunrpc_client *client = msg->client;

	client->by_xid[msg->xid & client->xid_mask] = NULL;
	if (msg->big != NULL)
		client->big_free[client->nb_big_free++] = msg->big;
	msg->state = SUNRPC_FREE;
	/* The one used last is the one in the cache. */
	TAILQ_INSERT_HEAD(&client->free, msg, next);
}

static bool
cred_same(const struct weir_sunrpc_cred *a, const struct weir_sunrpc_cred *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->nb_groups == b->nb_groups &&
			memcmp(a->groups, b->groups, a->nb_groups * sizeof(a->groups[0])) == 0;
}

static void WEIR_ON_WORKER
msg_header(struct sunrpc_msg *msg, const struct weir_sunrpc_cred *cred)
{
	struct weir_sunrpc_client *client = msg->client;
	struct weir_xdr_enc *enc = &msg->enc;
	rte_be32_t be;

	/* Most calls are the last caller's again: then only two numbers differ. */
	if (cred != NULL && client->header_len > 0 && cred_same(cred, &client->header_cred)) {
		memcpy(enc->buf, client->header, client->header_len);
		be = rte_cpu_to_be_32(msg->xid);
		memcpy(enc->buf + SUNRPC_HEADER_XID, &be, sizeof(be));
		be = rte_cpu_to_be_32(msg->proc);
		memcpy(enc->buf + SUNRPC_HEADER_PROC, &be, sizeof(be));
		enc->len = client->header_len;
		return;
	}
	sunrpc_header_put(enc, msg->xid, client->cfg.program, client->cfg.version, msg->proc);
	sunrpc_cred_put(enc, cred, client->machine, client->machine_len);
	if (cred == NULL || cred->nb_groups > WEIR_SUNRPC_MAX_GROUPS)
		return;
	memcpy(client->header, enc->buf, enc->len);
	client->header_len = enc->len;
	client->header_cred = *cred;
}

struct weir_xdr_enc *
weir_sunrpc_prepare(struct weir_sunrpc_client *client, struct weir_sunrpc_call *call, uint32_t proc,
		const struct weir_sunrpc_cred *cred, uint32_t args_max)
{
	struct sunrpc_msg *msg = TAILQ_FIRST(&client->free);
	bool big = args_max > WEIR_SUNRPC_ARGS_SMALL;

	RTE_ASSERT(proc < client->cfg.nb_procs);
	if (msg == NULL || client->stopped || (big && client->nb_big_free == 0))
		return NULL;
	TAILQ_REMOVE(&client->free, msg, next);
	*call = (struct weir_sunrpc_call){ .msg = msg };
	msg->call = call;
	msg->state = SUNRPC_PREPARED;
	msg->xid = xid_take(client, msg);
	msg->proc = proc;
	msg->sent_tsc = 0;
	msg->detached = false;
	msg->big = big ? client->big_free[--client->nb_big_free] : NULL;
	msg->out.head = (big ? msg->big : msg->small) + WEIR_XPRT_HEADROOM;
	msg->out.state = WEIR_XPRT_IDLE;
	msg->enc = (struct weir_xdr_enc){
		.buf = msg->out.head,
		.size = SUNRPC_HEADER_MAX + (big ? WEIR_SUNRPC_ARGS_MAX : WEIR_SUNRPC_ARGS_SMALL),
	};
	msg_header(msg, cred);
	return &msg->enc;
}

void
weir_sunrpc_cancel(struct weir_sunrpc_call *call)
{
	RTE_ASSERT(call->msg->state == SUNRPC_PREPARED);
	msg_free(call->msg);
}

void
weir_sunrpc_submit(struct weir_sunrpc_call *call)
{
	struct sunrpc_msg *msg = call->msg;
	struct weir_sunrpc_client *client = msg->client;

	RTE_ASSERT(msg->state == SUNRPC_PREPARED);
	weir_counter_add(&client->stats[msg->proc].calls, 1);
	msg->submit_tsc = rte_rdtsc();
	if (msg->enc.failed || call->tx.left > client->cfg.max_payload ||
			call->rx.left > client->cfg.max_payload) {
		sunrpc_msg_end(msg, -EINVAL);
		return;
	}
	msg->out.head_len = msg->enc.len;
	msg->out.payload = call->tx;
	msg->out.sink = call->rx;
	msg->rx_len = (uint32_t)call->rx.left;
	msg->state = SUNRPC_WAITING;
	TAILQ_INSERT_TAIL(&client->waiting, msg, next);
	weir_poller_wake(&client->poller);
}

void
weir_sunrpc_detach(struct weir_sunrpc_call *call, void (*fenced)(struct weir_sunrpc_call *call))
{
	struct sunrpc_msg *msg = call->msg;

	msg->detached = true;
	if (msg->state == SUNRPC_WAITING) {
		TAILQ_REMOVE(&msg->client->waiting, msg, next);
		sunrpc_msg_end(msg, -ECANCELED);
	} else if (msg->state == SUNRPC_ON_CONN) {
		sunrpc_conn_detach(msg->conn, msg);
	}
	fenced(call);
}

void
sunrpc_msg_end(struct sunrpc_msg *msg, int rc)
{
	msg->state = SUNRPC_ENDED;
	msg->rc = rc;
	TAILQ_INSERT_TAIL(&msg->client->ended, msg, next);
	weir_poller_wake(&msg->client->poller);
}

void
sunrpc_msg_done(struct sunrpc_msg *msg, int rc, struct weir_xdr_dec *results)
{
	struct weir_sunrpc_proc_stats *stats = &msg->client->stats[msg->proc];
	struct weir_sunrpc_call *call = msg->call;

	weir_trace(rpc_end, msg->xid, msg->proc, rc);
	weir_counter_add(rc == 0 ? &stats->replies : &stats->errors, 1);
	if (msg->detached)
		call->placed = 0;
	/* First, so that done finds a message free even where this one was the last. */
	msg_free(msg);
	call->done(call, rc, results);
}
