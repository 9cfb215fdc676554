/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_XPRT_DRIVER_H
#define WEIR_XPRT_DRIVER_H

/**
 * @file
 * The transport contract of lib/sunrpc: one connection to one server, owned by one worker. A
 * transport moves whole messages and payloads; it knows no xid but what it is handed, no procedure
 * and no time-out of a call. TCP (RFC 5531, section 11) frames records; RDMA (RFC 8166) will
 * describe the cursors as chunks: therefore payload comes as cursors, beside the head.
 *
 * All functions run on the worker, but create and destroy (control). Between an event and the
 * return to the transport, the engine may call send and detach, nothing else.
 *
 *   CLOSED --open--> OPENING --connected--> OPEN --closed, or close--> CLOSED
 *                       '--------closed, or close-----------------------'
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <rte_common.h>

#include "weir_iov.h"
#include "weir_role.h"
#include "weir_stats.h"

struct weir_poller;

/** Bytes before a message's head that are the transport's: TCP's record mark. */
#define WEIR_XPRT_HEADROOM 4

enum weir_xprt_msg_state {
	WEIR_XPRT_IDLE, /**< not with the transport */
	WEIR_XPRT_QUEUED, /**< none of it has left */
	WEIR_XPRT_BEGUN, /**< some of it has left */
	WEIR_XPRT_SENT, /**< all is with the kernel or the card */
};

/**
 * A message on its way out; embedded in the engine's. The transport borrows it from send until its
 * reply has come, or close, or detach, if that leaves it IDLE or SENT. It changes none but its own
 * part, so that the same message can be sent again on a new connection.
 */
struct weir_xprt_msg {
	uint8_t *head; /**< RPC header and arguments, WEIR_XPRT_HEADROOM bytes before it */
	uint32_t head_len; /**< a multiple of 4 */
	struct weir_iov payload; /**< behind the head, padded to four bytes on the wire; left 0: none */
	struct weir_iov sink; /**< where the reply's payload will go; RDMA announces it */
	/* The transport's from send to close. */
	enum weir_xprt_msg_state state; /**< the engine makes it idle when the reply or the end of
					     the connection has come */
	STAILQ_ENTRY(weir_xprt_msg) next;
};

/** Whose reply it is and where its payload stands. */
struct weir_xprt_reply {
	struct weir_xprt_msg *msg; /**< NULL: nobody's; the record is thrown away */
	uint32_t off; /**< of the payload in the record, from the xid on */
	uint32_t len; /**< of the payload; 0: none. What msg->sink does not hold goes nowhere */
};

/** What the engine does for the transport; all on the worker, and only from inside poll. */
struct weir_xprt_events {
	void (*connected)(void *arg);
	/** Once for each connection or attempt that ended by itself; it is closed then. error: -errno. */
	void (*closed)(void *arg, int error);
	/**
	 * A reply begins: nb contiguous bytes of it, from the xid on; total is the length of the
	 * record where that is known, else 0. Called again with more after -EAGAIN.
	 *
	 * @return 0: *out is filled in; -EAGAIN: come again with more bytes (never when nb is total).
	 */
	int (*reply_head)(void *arg, const uint8_t *buf, uint32_t nb, uint32_t total,
			struct weir_xprt_reply *out);
	/**
	 * A reply is complete: head is all of it but payload and padding, placed how many bytes of
	 * payload came. nb 0: the head was longer than reply_max and is lost.
	 */
	void (*reply)(void *arg, struct weir_xprt_msg *msg, const uint8_t *head, uint32_t nb,
			uint32_t placed);
};

struct weir_xprt_cfg {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	bool reserved_port;
	uint32_t max_payload; /**< bytes of a message's payload or sink at most */
	uint32_t reply_max; /**< bytes of a reply without payload at most */
	uint32_t timeo_ms; /**< after which unacknowledged bytes end the connection */
	const struct weir_xprt_events *events;
	void *arg;
	struct weir_poller *poller; /**< to be woken by the descriptors of the connection */
};

/** One connection; the first member of the driver's own structure. */
struct weir_xprt {
	const struct weir_xprt_ops *ops;
	uint32_t credits; /**< calls that may be in flight; the driver writes, the engine obeys */
	weir_counter port_changes; /**< connections from another local port than the one before; the
					driver counts, anybody reads */
	uint32_t nb_bulk; /**< replies to come with sinks of WEIR_XPRT_BULK bytes or more: how to
			       receive best; the engine writes */
};

struct weir_xprt_ops {
	/** Control: all memory that it will ever need. Sets ops and credits. @return 0 or -errno. */
	int (*create)(const struct weir_xprt_cfg *cfg, struct weir_xprt **out);
	/** Control; the connection is closed. */
	void (*destroy)(struct weir_xprt *xprt);
	/** Starts to connect; connected() or closed() follows, from poll. The local port of an earlier
	 * connection is used again where that can be had. */
	void (*open)(struct weir_xprt *xprt);
	/** Closes at once; closed() is not called. Nothing of any message is touched any more. */
	void (*close)(struct weir_xprt *xprt);
	/** Queues a message on an open connection; nothing leaves before flush. */
	void (*send)(struct weir_xprt *xprt, struct weir_xprt_msg *msg);
	/**
	 * Sends what is queued, bounded, as far as the peer takes it now.
	 * A connection that is broken is found so by the next poll.
	 * @return 0: all has left; -EAGAIN: the peer takes no more, and the worker's sleep ends when it
	 *   does; 1: go on in the next round.
	 */
	int (*flush)(struct weir_xprt *xprt);
	/**
	 * Receives, bounded, while open; sees how the attempt goes, while opening.
	 * @return how many times something arrived; 0: nothing.
	 */
	int (*poll)(struct weir_xprt *xprt);
	/**
	 * Lets go of a message's payload and sink, whatever its state: they are touched no more, also
	 * if its reply is just coming in. One that is QUEUED becomes IDLE and does not leave; one that
	 * is BEGUN goes on from a private copy of its payload, its head stays borrowed until it is SENT.
	 */
	void (*detach)(struct weir_xprt *xprt, struct weir_xprt_msg *msg);
};

/** Bytes of a sink from which on it is filled directly, at the cost of a system call. */
#define WEIR_XPRT_BULK 4096

struct weir_xprt_driver {
	const char *name; /**< "tcp" */
	const struct weir_xprt_ops *ops;
	TAILQ_ENTRY(weir_xprt_driver) next;
};

/** Adds a transport; panics if the name is taken. Constructors only. */
void weir_xprt_driver_register(struct weir_xprt_driver *driver);

#define WEIR_XPRT_REGISTER(driver)                                                                 \
	RTE_INIT(driver##_register)                                                                \
	{                                                                                          \
		weir_xprt_driver_register(&(driver));                                              \
	}

#endif /* WEIR_XPRT_DRIVER_H */
