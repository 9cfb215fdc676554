/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * A message that was given to a connection stays with it until its call ends: only from the same
 * local port does the server recognise it when it comes again.
 *
 *   DOWN --retry_tsc--> OPENING --connected--> UP --closed, silent, forgetful--> DOWN
 *                          '----closed, late------------------------------------'
 *
 * Forgetful: a server may drop a single call. Linux's does when a call comes again while the first
 * one is still being carried out, which is what a connection that broke in the middle leads to.
 */

#include <errno.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>

#include "sunrpc.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 2000
/* What a call weighs beside its payload when the least loaded connection is looked for. */
#define CALL_WEIGHT 512
/* Bytes of results within which a reply's payload begins. */
#define SPLIT_MAX (WEIR_SUNRPC_REPLY_MAX / 2)
#define RPC_REPLY 1

static uint64_t
conn_weight(const struct sunrpc_msg *msg)
{
	return CALL_WEIGHT + msg->out.payload.left + msg->rx_len;
}

static bool
msg_is_bulk(const struct sunrpc_msg *msg)
{
	return msg->rx_len >= WEIR_XPRT_BULK;
}

static void WEIR_ON_WORKER
conn_remove(struct sunrpc_conn *conn, struct sunrpc_msg *msg)
{
	if (msg == TAILQ_FIRST(&conn->msgs))
		conn->overtaken_tsc = 0;
	TAILQ_REMOVE(&conn->msgs, msg, next);
	conn->nb_calls--;
	conn->load -= msg->weight;
	if (conn->state == SUNRPC_UP && msg_is_bulk(msg))
		conn->xprt->nb_bulk--;
}

/* Gives a message to the transport, which is connected. */
static void WEIR_ON_WORKER
conn_hand(struct sunrpc_conn *conn, struct sunrpc_msg *msg)
{
	struct weir_sunrpc_proc_stats *stats = &conn->client->stats[msg->proc];

	if (msg->sent_tsc == 0) {
		msg->sent_tsc = conn->client->now;
	} else {
		msg->call->resent = true;
		weir_counter_add(&stats->retransmissions, 1);
	}
	weir_counter_add(&stats->bytes_sent, msg->out.head_len + msg->out.payload.left);
	if (msg_is_bulk(msg))
		conn->xprt->nb_bulk++;
	conn->more = true;
	weir_trace(rpc_call, msg->xid, msg->proc, msg->call->resent);
	conn->xprt->ops->send(conn->xprt, &msg->out);
}

void
sunrpc_conn_send(struct sunrpc_conn *conn, struct sunrpc_msg *msg)
{
	/* The server's silence begins with the first call that it owes an answer to. */
	if (conn->nb_calls++ == 0)
		conn->heard_tsc = conn->client->now;
	msg->conn = conn;
	msg->state = SUNRPC_ON_CONN;
	msg->weight = conn_weight(msg);
	conn->load += msg->weight;
	TAILQ_INSERT_TAIL(&conn->msgs, msg, next);
	conn_hand(conn, msg);
}

void
sunrpc_conn_open(struct sunrpc_conn *conn)
{
	conn->state = SUNRPC_OPENING;
	conn->heard_tsc = conn->client->now;
	conn->client->tick_tsc = 0; /* it may have failed already, of which only poll tells */
	conn->xprt->ops->open(conn->xprt);
}

/* After the transport closed. Calls without a guest are not worth a second sending. */
static void WEIR_ON_WORKER
conn_down(struct sunrpc_conn *conn, int error)
{
	struct weir_sunrpc_client *client = conn->client;
	struct sunrpc_msg *msg, *next;

	/* Servers close what has been idle for minutes: that says nothing against them. */
	if (conn->state == SUNRPC_UP && conn->nb_calls == 0 &&
			client->now - conn->heard_tsc > BACKOFF_MAX_MS * client->tsc_per_ms)
		conn->backoff_ms = 0;
	weir_trace(connection_down, conn, error, conn->nb_calls);
	conn->state = SUNRPC_DOWN;
	conn->replying = NULL;
	conn->more = false;
	conn->overtaken_tsc = 0;
	conn->xprt->nb_bulk = 0;
	for (msg = TAILQ_FIRST(&conn->msgs); msg != NULL; msg = next) {
		next = TAILQ_NEXT(msg, next);
		if (msg->out.state == WEIR_XPRT_QUEUED)
			msg->sent_tsc = 0;
		msg->out.state = WEIR_XPRT_IDLE;
		if (msg->detached) {
			conn_remove(conn, msg);
			sunrpc_msg_end(msg, -ECANCELED);
		}
	}
	/* At once after a connection that was of use, then ever more slowly. */
	conn->retry_tsc = client->now + conn->backoff_ms * client->tsc_per_ms;
	conn->backoff_ms = conn->backoff_ms == 0 ? BACKOFF_MIN_MS : conn->backoff_ms * 2;
	conn->backoff_ms = RTE_MIN(conn->backoff_ms, (uint32_t)BACKOFF_MAX_MS);
	sunrpc_client_note(client, error);
}

void
sunrpc_conn_break(struct sunrpc_conn *conn, int error)
{
	conn->xprt->ops->close(conn->xprt);
	conn_down(conn, error);
}

void
sunrpc_conn_stop(struct sunrpc_conn *conn)
{
	struct sunrpc_msg *msg;

	conn->xprt->ops->close(conn->xprt);
	conn_down(conn, 0);
	while ((msg = TAILQ_FIRST(&conn->msgs)) != NULL) {
		conn_remove(conn, msg);
		sunrpc_msg_end(msg, -ECANCELED);
	}
}

void
sunrpc_conn_detach(struct sunrpc_conn *conn, struct sunrpc_msg *msg)
{
	if (conn->state == SUNRPC_UP)
		conn->xprt->ops->detach(conn->xprt, &msg->out);
	msg->out.payload = (struct weir_iov){ 0 };
	msg->out.sink = (struct weir_iov){ 0 };
	if (msg->out.state != WEIR_XPRT_IDLE)
		return;
	conn_remove(conn, msg);
	sunrpc_msg_end(msg, -ECANCELED);
}

void
sunrpc_conn_expire(struct sunrpc_conn *conn, uint64_t before_tsc)
{
	struct sunrpc_msg *msg;

	while ((msg = TAILQ_FIRST(&conn->msgs)) != NULL && msg->submit_tsc < before_tsc) {
		/* One that is half way, out or in, takes the connection with it. */
		if (msg->out.state == WEIR_XPRT_BEGUN || conn->replying == msg) {
			sunrpc_conn_break(conn, -ETIMEDOUT);
			continue;
		}
		if (conn->state == SUNRPC_UP)
			conn->xprt->ops->detach(conn->xprt, &msg->out);
		conn_remove(conn, msg);
		sunrpc_msg_end(msg, -ETIMEDOUT);
	}
}

static void
conn_connected(void *arg)
{
	struct sunrpc_conn *conn = arg;
	struct sunrpc_msg *msg;

	weir_role_assume_worker();
	weir_trace(connection_up, conn, conn->nb_calls);
	conn->state = SUNRPC_UP;
	conn->heard_tsc = conn->client->now;
	conn->retry_tsc = 0;
	if (conn->was_up)
		weir_counter_add(&conn->client->reconnects, 1);
	conn->was_up = true;
	TAILQ_FOREACH(msg, &conn->msgs, next)
		conn_hand(conn, msg);
	sunrpc_client_note(conn->client, 0);
}

static void
conn_closed(void *arg, int error)
{
	weir_role_assume_worker();
	conn_down(arg, error);
}

/* Whose reply it is. Who has not even sent his call cannot have one. */
static struct sunrpc_msg *WEIR_ON_WORKER
conn_find(const struct sunrpc_conn *conn, uint32_t xid)
{
	struct sunrpc_msg *msg = conn->client->by_xid[xid & conn->client->xid_mask];

	if (msg == NULL || msg->xid != xid || msg->state != SUNRPC_ON_CONN || msg->conn != conn ||
			msg->out.state != WEIR_XPRT_SENT)
		return NULL;
	return msg;
}

/* Finds the payload. @return 0: *out says; -EAGAIN: more is needed; else the call's end. */
static int WEIR_ON_WORKER
conn_split(const struct sunrpc_msg *msg, const uint8_t *buf, uint32_t nb, uint32_t total,
		struct weir_xprt_reply *out)
{
	uint32_t header = 0, off = 0, len = 0;
	int rc;

	rc = sunrpc_header_get(buf, nb, &header);
	if (rc == 0)
		rc = msg->call->split(msg->call, buf + header, nb - header, &off, &len);
	if (rc == -EAGAIN && (nb == total || nb > SPLIT_MAX))
		rc = -EBADMSG;
	if (rc < 0 || len == 0)
		return rc;
	if (len > msg->rx_len || off > SPLIT_MAX)
		return -EBADMSG;
	if (total != 0 && (uint64_t)header + off + len > total)
		return -EBADMSG;
	out->off = header + off;
	out->len = len;
	return 0;
}

static int
conn_reply_head(void *arg, const uint8_t *buf, uint32_t nb, uint32_t total,
		struct weir_xprt_reply *out)
{
	struct weir_xdr_dec dec = { .buf = buf, .len = nb };
	uint32_t xid = weir_xdr_get_u32(&dec), type = weir_xdr_get_u32(&dec);
	struct sunrpc_conn *conn = arg;
	struct sunrpc_msg *msg;
	int rc = 0;

	weir_role_assume_worker();
	*out = (struct weir_xprt_reply){ 0 };
	if (dec.failed)
		return nb == total ? 0 : -EAGAIN;
	msg = conn_find(conn, xid);
	if (msg == NULL || type != RPC_REPLY)
		return 0;
	if (msg->call->split != NULL)
		rc = conn_split(msg, buf, nb, total, out);
	if (rc == -EAGAIN)
		return rc;
	conn->replying = msg;
	conn->reply_rc = rc;
	conn->reply_len = out->len;
	out->msg = &msg->out;
	return 0;
}

static void
conn_reply(void *arg, struct weir_xprt_msg *out, const uint8_t *head, uint32_t nb, uint32_t placed)
{
	struct sunrpc_msg *msg = container_of(out, struct sunrpc_msg, out);
	struct weir_xdr_dec results = { 0 };
	struct sunrpc_conn *conn = arg;
	struct weir_sunrpc_client *client = conn->client;
	struct weir_sunrpc_proc_stats *stats = &client->stats[msg->proc];
	uint32_t header = 0;
	int rc = conn->reply_rc;

	weir_role_assume_worker();
	conn->replying = NULL;
	conn->backoff_ms = 0;
	if (conn->overtaken_tsc == 0)
		conn->overtaken_tsc = client->now;
	conn_remove(conn, msg);
	weir_counter_add(&stats->bytes_received, (uint64_t)nb + placed);
	weir_hist_add(&stats->rtt, sunrpc_client_ns(client, rte_rdtsc() - msg->sent_tsc));
	if (rc == 0)
		rc = sunrpc_header_get(head, nb, &header);
	if (rc == -EAGAIN || (rc == 0 && placed != conn->reply_len))
		rc = -EBADMSG;
	if (rc == 0) {
		msg->call->placed = placed;
		results = (struct weir_xdr_dec){ .buf = head + header, .len = nb - header };
	}
	sunrpc_msg_done(msg, rc, rc == 0 ? &results : NULL);
}

const struct weir_xprt_events sunrpc_conn_events = {
	.connected = conn_connected,
	.closed = conn_closed,
	.reply_head = conn_reply_head,
	.reply = conn_reply,
};
