/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_SUNRPC_H
#define WEIR_SUNRPC_H

/**
 * @file
 * An ONC RPC client (RFC 5531) for polling workers. A client is one program of one server as one
 * worker reaches it, over one or more connections of a transport (weir_xprt_driver.h). Payload is
 * never copied into a message: a call names cursors over guest memory, which TCP reads and writes
 * directly and RDMA lets the server read and write.
 *
 * Everything is the worker's but create and destroy. Nothing is allocated after create: messages
 * come from a pool made there, and a call that finds it empty is told so.
 *
 * A call ends exactly once. It is sent again, the same bytes with the same xid, on a new connection
 * after the old one broke, and never on a living one. Connections are made anew with back-off, from
 * the same local port as before, so that the server's duplicate request cache knows the call.
 *
 *   prepare -> submit -> (waits for a connection with room) -> in flight -> done
 *      '-> cancel
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "weir_iov.h"
#include "weir_role.h"
#include "weir_stats.h"
#include "weir_worker.h"
#include "weir_xdr.h"

struct weir_sunrpc_client;
struct weir_sunrpc_call;
struct sunrpc_msg;

/** Groups that an AUTH_SYS credential has room for. */
#define WEIR_SUNRPC_MAX_GROUPS 16

/** AUTH_SYS credential (RFC 5531, appendix A). */
struct weir_sunrpc_cred {
	uint32_t uid, gid;
	uint32_t nb_groups; /**< at most WEIR_SUNRPC_MAX_GROUPS */
	uint32_t groups[WEIR_SUNRPC_MAX_GROUPS];
};

/** Bytes of arguments (without payload) that a call may have at most. */
#define WEIR_SUNRPC_ARGS_MAX 7680
/** Bytes of arguments that most calls keep within; longer ones share a few big buffers. */
#define WEIR_SUNRPC_ARGS_SMALL 512
/** Bytes of a reply at most, its payload not counted. Ask servers for less. */
#define WEIR_SUNRPC_REPLY_MAX (64 * 1024)
/** Connections of a client at most. */
#define WEIR_SUNRPC_MAX_CONNECTS 16

/**
 * Where in a reply the payload stands, so that it can go elsewhere than the rest. Called with what
 * has arrived of the results of a call that was accepted and executed; again with more after
 * -EAGAIN. Must read at its own bounds: the bytes are the server's.
 *
 * @return 0: payload starts *off bytes into the results and is *len bytes long (0: this reply has
 *   none, as one that carries an error status); -EAGAIN: more bytes are needed to tell; -EBADMSG:
 *   the reply is malformed, the call ends so.
 */
typedef int (*weir_sunrpc_split_fn)(struct weir_sunrpc_call *call, const uint8_t *results,
		uint32_t nb, uint32_t *off, uint32_t *len);

/**
 * One call; embedded in its owner. The owner sets tx, rx, split and done between prepare and
 * submit (prepare clears them), and leaves all alone from then until done.
 */
struct weir_sunrpc_call {
	struct weir_iov tx; /**< payload behind the arguments (WRITE); its length word is the
					 last of the arguments, its padding is not in it */
	struct weir_iov rx; /**< where the reply's payload goes (READ): as much as was asked
					 for, a reply with more ends the call with -EBADMSG */
	weir_sunrpc_split_fn split; /**< finds it; NULL: the reply has no payload */

	/**
	 * The end, exactly once, on the client's worker, from its poller or from stop. The call may
	 * be used anew or freed in there, other calls may be prepared, submitted and detached; the
	 * client must not be stopped. rc is 0, or
	 * -ETIMEDOUT (soft client), -ECANCELED (client stopped; detached and not answered),
	 * -EACCES (the server denied the credential), -EPROTONOSUPPORT (program, version or
	 * procedure not there), -EINVAL (what was encoded did not fit), -EBADMSG (the reply cannot
	 * be understood, or the server could not understand the call), -EIO (its system error).
	 *
	 * @param results  rc 0: the reply behind its RPC header, without the payload and its
	 *   padding; valid during the call. Otherwise NULL.
	 */
	void (*done)(struct weir_sunrpc_call *call, int rc, struct weir_xdr_dec *results);
	uint32_t placed; /**< rc 0: bytes of payload that are in rx; 0 if detached */
	/** At done: it was sent more than once, so the server may have carried it out before. */
	bool resent;

	struct sunrpc_msg *msg; /**< the library's */
};

struct weir_sunrpc_cfg {
	const char *name; /**< of the file system, for the statistics of its worker; borrowed */
	const char *xprt; /**< "tcp" */
	struct sockaddr_storage addr;
	socklen_t addr_len;
	uint32_t program, version;
	uint32_t nb_procs; /**< procedures are 0 to nb_procs - 1 */
	uint32_t nconnect; /**< connections, 1 to WEIR_SUNRPC_MAX_CONNECTS */
	uint32_t max_calls; /**< calls in progress at most, 1 to 65536; sizes the pools */
	uint32_t max_payload; /**< bytes of tx or rx at most, to 16 MiB */
	uint32_t timeo_ms; /**< how long a server may be silent, or answer later calls only, before
				   a connection on which it owes answers is given up; at least 10 */
	uint32_t retrans; /**< soft: a call fails after (retrans + 1) * timeo_ms */
	bool hard; /**< calls wait for the server for ever */
	bool reserved_port; /**< bind a local port below 1024 */
};

enum weir_sunrpc_state {
	WEIR_SUNRPC_CONNECTING, /**< never had a connection */
	WEIR_SUNRPC_CONNECTED, /**< has at least one */
	WEIR_SUNRPC_RECONNECTING, /**< has none any more */
};

/**
 * Makes a client; it connects once weir_sunrpc_client_start() ran on its worker. Control.
 * @return 0, -EINVAL (a member of cfg is out of bounds), -ENOMEM, -ENOENT (no such transport), or
 *   an errno of the transport (-EAFNOSUPPORT: it cannot reach such an address).
 */
int WEIR_ON_CONTROL weir_sunrpc_client_create(
		const struct weir_sunrpc_cfg *cfg, struct weir_sunrpc_client **out);
/** Frees a client that was stopped or never started. NULL is allowed. Control. */
void WEIR_ON_CONTROL weir_sunrpc_client_destroy(struct weir_sunrpc_client *client);

/** Starts to poll and to connect, on the calling worker, which is the client's from now on. */
void WEIR_ON_WORKER weir_sunrpc_client_start(struct weir_sunrpc_client *client);
/**
 * Closes the connections; calls in progress end with -ECANCELED before it returns. From then on
 * nothing can be prepared; what is prepared already is the caller's to cancel.
 */
void WEIR_ON_WORKER weir_sunrpc_client_stop(struct weir_sunrpc_client *client);

/**
 * Takes a message for a call and encodes the RPC header; the caller encodes the arguments behind it
 * with the encoder it gets, and then submits or cancels.
 *
 * @param proc      procedure, below nb_procs.
 * @param cred      copied; NULL: AUTH_NONE.
 * @param args_max  bytes that the arguments will take at most: chooses the pool. An encoder holds
 *   WEIR_SUNRPC_ARGS_SMALL bytes at least.
 * @return the encoder, valid until submit; NULL: no message is free, come again when one may be.
 */
struct weir_xdr_enc *WEIR_ON_WORKER weir_sunrpc_prepare(struct weir_sunrpc_client *client,
		struct weir_sunrpc_call *call, uint32_t proc, const struct weir_sunrpc_cred *cred,
		uint32_t args_max);
/** Gives the message of a prepared call back. */
void WEIR_ON_WORKER weir_sunrpc_cancel(struct weir_sunrpc_call *call);
/** Queues a prepared call; all calls of a round leave together. done comes later, not from inside. */
void WEIR_ON_WORKER weir_sunrpc_submit(struct weir_sunrpc_call *call);

/**
 * Detaches a submitted call: from the moment fenced is called, on the same worker and possibly
 * before return, tx and rx are touched no more. done still comes once, later: with the results if
 * the reply comes on the connection that the call is on, with -ECANCELED if it was not sent or that
 * connection breaks. What of the payload the socket has not yet taken is copied first.
 */
void WEIR_ON_WORKER weir_sunrpc_detach(
		struct weir_sunrpc_call *call, void (*fenced)(struct weir_sunrpc_call *call));

/** Whether it can reach its server just now. Any thread. */
enum weir_sunrpc_state weir_sunrpc_client_state(const struct weir_sunrpc_client *client);
/** Why the last connection ended or attempt failed: -errno; 0: none did. Any thread. */
int weir_sunrpc_client_error(const struct weir_sunrpc_client *client);
/** Connections made after the first one of each. Any thread. */
uint64_t weir_sunrpc_reconnects(const struct weir_sunrpc_client *client);

/**
 * Those of them that came from another local port than the one before, which somebody else had
 * taken: calls sent again there were new to the server. Any thread.
 */
uint64_t weir_sunrpc_port_changes(const struct weir_sunrpc_client *client);

/** Statistics of one procedure, written by the worker, read by anybody. */
struct weir_sunrpc_proc_stats {
	weir_counter calls; /**< submitted */
	weir_counter replies; /**< understood: ended with rc 0 */
	weir_counter errors; /**< ended otherwise */
	weir_counter retransmissions; /**< sent again on a new connection */
	weir_counter bytes_sent, bytes_received; /**< RPC messages with their payload */
	struct weir_hist rtt; /**< from the first sending to the reply, resendings included */
};
/** Of procedure proc, below nb_procs. Any thread. */
const struct weir_sunrpc_proc_stats *
weir_sunrpc_stats(const struct weir_sunrpc_client *client, uint32_t proc);

#endif /* WEIR_SUNRPC_H */
