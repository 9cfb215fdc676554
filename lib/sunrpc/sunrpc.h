/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef SUNRPC_H
#define SUNRPC_H

/**
 * @file
 * What the files of the RPC client share. client.c: life, poller, timers. conn.c: one connection and
 * what happens on it. call.c: messages and how calls end. header.c: the RPC header's bytes.
 */

#include <stdatomic.h>

#include "weir_sunrpc.h"
#include "weir_trace.h"
#include "weir_xprt_driver.h"

/** Bytes of an RPC call's header with the largest credential. */
#define SUNRPC_NAME_MAX 16
#define SUNRPC_HEADER_MAX                                                                          \
	(6 * 4 + 8 + 4 + 4 + SUNRPC_NAME_MAX + 3 * 4 + 4 * WEIR_SUNRPC_MAX_GROUPS + 8)

enum sunrpc_msg_state {
	SUNRPC_FREE,
	SUNRPC_PREPARED,
	SUNRPC_WAITING, /**< in client->waiting, for a connection with room */
	SUNRPC_ON_CONN, /**< in conn->msgs: sent, or to be sent again */
	SUNRPC_ENDED, /**< in client->ended, for the poller to call done */
};

/** A message, from prepare until its call is done. */
struct sunrpc_msg {
	struct weir_xprt_msg out;
	struct weir_xdr_enc enc;
	struct weir_sunrpc_client *client;
	struct weir_sunrpc_call *call;
	struct sunrpc_conn *conn; /**< SUNRPC_ON_CONN: whose */
	TAILQ_ENTRY(sunrpc_msg) next; /**< free, waiting, on a connection, ended: by submission */
	uint64_t submit_tsc;
	uint64_t sent_tsc; /**< first sending; 0: never was sent */
	uint32_t xid;
	uint32_t proc;
	uint64_t weight; /**< its share of conn->load */
	uint32_t rx_len; /**< payload that the reply may have */
	enum sunrpc_msg_state state;
	int rc; /**< SUNRPC_ENDED */
	bool detached;
	uint8_t *big; /**< head buffer of the pool of big ones; NULL: small */
	uint8_t small[WEIR_XPRT_HEADROOM + SUNRPC_HEADER_MAX + WEIR_SUNRPC_ARGS_SMALL];
};

TAILQ_HEAD(sunrpc_msgs, sunrpc_msg);

enum sunrpc_conn_state {
	SUNRPC_DOWN, /**< until retry_tsc */
	SUNRPC_OPENING,
	SUNRPC_UP,
};

struct sunrpc_conn {
	struct weir_sunrpc_client *client;
	struct weir_xprt *xprt;
	enum sunrpc_conn_state state;
	bool was_up; /**< once or more */
	bool more; /**< messages are queued that the socket has not taken */
	uint32_t nb_calls; /**< messages in msgs */
	uint64_t load; /**< bytes that they are about to move, roughly */
	struct sunrpc_msgs msgs;
	struct sunrpc_msg *replying; /**< whose reply is coming in just now */
	uint32_t reply_len; /**< payload that it announced */
	int reply_rc; /**< what its head was found to be */
	uint32_t backoff_ms; /**< of the next attempt */
	uint64_t retry_tsc; /**< DOWN: when to connect. UP: when to flush again */
	uint64_t overtaken_tsc; /**< since when later calls than the first of msgs have been
					 answered; 0: none has been */
	uint64_t heard_tsc; /**< OPENING: since when. UP: when the server last owed or sent something */
};

struct weir_sunrpc_client {
	/* Set once by create. */
	struct weir_sunrpc_cfg cfg;
	char machine[SUNRPC_NAME_MAX];
	uint32_t machine_len;
	uint64_t tsc_per_ms;
	uint64_t ns_per_ktick; /**< nanoseconds of 1024 TSC cycles */
	struct sunrpc_msg *pool;
	uint8_t *bigs;
	uint32_t nb_big, xid_mask;

	/* The worker's. */
	struct weir_poller poller;
	uint8_t header[SUNRPC_HEADER_MAX]; /**< of the last call */
	uint32_t header_len; /**< 0: none yet */
	struct weir_sunrpc_cred header_cred; /**< whose it is */
	struct sunrpc_msg **by_xid; /**< at xid & xid_mask; NULL: no such call */
	uint8_t **big_free;
	uint32_t nb_big_free, next_xid, turn;
	struct sunrpc_msgs free, waiting, ended;
	uint64_t now, tick_tsc;
	bool stopped;
	struct sunrpc_conn conns[WEIR_SUNRPC_MAX_CONNECTS];

	/* Written by the worker, read by anybody. */
	_Atomic enum weir_sunrpc_state state;
	_Atomic int error;
	weir_counter reconnects;
	struct weir_sunrpc_proc_stats *stats;
};

const struct weir_xprt_driver *sunrpc_xprt_find(const char *name);

/** Encodes a call's header. Any thread. */
void sunrpc_header_put(struct weir_xdr_enc *enc, uint32_t xid, uint32_t program, uint32_t version,
		uint32_t proc);
/** The numbers in a header that differ from call to call of one caller. */
#define SUNRPC_HEADER_XID  0
#define SUNRPC_HEADER_PROC 20
/** Encodes credential and verifier; cred NULL: AUTH_NONE. Any thread. */
void sunrpc_cred_put(struct weir_xdr_enc *enc, const struct weir_sunrpc_cred *cred,
		const char *machine, uint32_t machine_len);
/**
 * Decodes a reply's header: nb bytes from the xid on. Any thread.
 * @return 0: the results start at *off; -EAGAIN: it goes on behind nb; -EACCES, -EPROTONOSUPPORT,
 *   -EBADMSG, -EIO as for weir_sunrpc_call.done.
 */
int sunrpc_header_get(const uint8_t *buf, uint32_t nb, uint32_t *off);

/** What start does without a worker, and its poller; separate for who has no worker (the fuzzer). */
void WEIR_ON_WORKER sunrpc_client_init(struct weir_sunrpc_client *client);
int WEIR_ON_WORKER sunrpc_client_poll(struct weir_sunrpc_client *client);
/** Derives the client's state from those of its connections. */
void WEIR_ON_WORKER sunrpc_client_note(struct weir_sunrpc_client *client, int error);

/** Ends a call that is in no list any more: gives the message back, then calls done. */
void WEIR_ON_WORKER sunrpc_msg_done(struct sunrpc_msg *msg, int rc, struct weir_xdr_dec *results);
/** Has the poller end such a call later. */
void WEIR_ON_WORKER sunrpc_msg_end(struct sunrpc_msg *msg, int rc);

static inline uint64_t
sunrpc_client_ns(const struct weir_sunrpc_client *client, uint64_t tsc)
{
	return tsc * client->ns_per_ktick / 1024;
}

extern const struct weir_xprt_events sunrpc_conn_events;

/** Starts to connect. */
void WEIR_ON_WORKER sunrpc_conn_open(struct sunrpc_conn *conn);
/** Gives the connection up: it will be made anew, after a pause if it was of no use. */
void WEIR_ON_WORKER sunrpc_conn_break(struct sunrpc_conn *conn, int error);
/** Sends a message that was waiting. */
void WEIR_ON_WORKER sunrpc_conn_send(struct sunrpc_conn *conn, struct sunrpc_msg *msg);
/** Lets go of a message's payload; ends the call where nothing of it is under way. */
void WEIR_ON_WORKER sunrpc_conn_detach(struct sunrpc_conn *conn, struct sunrpc_msg *msg);
/** Ends all calls whose time is over. */
void WEIR_ON_WORKER sunrpc_conn_expire(struct sunrpc_conn *conn, uint64_t before_tsc);
/** Closes for good and ends all calls. */
void WEIR_ON_WORKER sunrpc_conn_stop(struct sunrpc_conn *conn);

#endif /* SUNRPC_H */
