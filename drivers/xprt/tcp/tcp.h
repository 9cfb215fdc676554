/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef TCP_H
#define TCP_H

/**
 * @file
 * What the files of the TCP transport share. tcp.c: the contract. socket.c: addresses, ports and
 * options. send.c: messages out. stream.c: records in, without a socket, so that it can be fuzzed.
 * All of it is the worker's.
 */

#include <sys/uio.h>

#include "weir_xprt_driver.h"

/** Entries of one sendmsg: IOV_MAX of Linux. A 1 MiB payload of single pages has 256. */
#define TCP_OUT_VECS 1024
/** Entries of one readv: 256 KiB of single pages, which is about what a socket has to give at once. */
#define TCP_IN_VECS 65
/** Calls in flight; servers take that many (Linux: as many as fit its socket buffers). */
#define TCP_CREDITS 128

/** The incoming byte stream: where in a record it is, and what is kept of that record. */
struct tcp_stream {
	/* Set once. */
	const struct weir_xprt_events *events;
	void *arg;
	uint32_t reply_max; /**< bytes of a record that are kept at most */
	uint32_t record_max; /**< bytes of a record that is believed at most */
	uint32_t size; /**< of buf */
	uint8_t *buf;

	/* buf: what is kept of this record is in [rec, rec_end), what is not parsed in [pos, end). */
	uint32_t rec, rec_end, pos, end;
	uint32_t frag_left; /**< bytes of this fragment to come */
	uint64_t rec_len; /**< bytes of the record's fragments so far, this one included */
	bool in_record; /**< a record mark was seen */
	bool last; /**< this fragment is the record's last one */
	bool decided; /**< reply_head() has said what it is */
	bool too_long; /**< more than reply_max had to be kept; nothing is */
	struct weir_xprt_msg *msg; /**< decided: whose; NULL: nobody's */
	uint32_t head_left; /**< decided: bytes before the payload */
	uint32_t payload_left;
	uint32_t pad_left;
	uint32_t placed;
	struct weir_iov sink; /**< of the payload to come */
	uint32_t room; /**< bytes that the last tcp_stream_room() had room for */
	uint32_t direct; /**< those of them that are the sink's */
	uint32_t guess; /**< bytes before the payload of the last bulk reply, mark included */
};

/** Sets the stream up; buf is calloc()ed. Control. @return 0 or -ENOMEM. */
int tcp_stream_init(struct tcp_stream *in, const struct weir_xprt_cfg *cfg);
void tcp_stream_fini(struct tcp_stream *in);
/** Forgets everything: a new connection. */
void tcp_stream_reset(struct tcp_stream *in);
/**
 * Where the next bytes go.
 * @param bulk  whether replies with large payload are expected.
 * @return entries of vec used, at least 1.
 */
unsigned int WEIR_ON_WORKER tcp_stream_room(
		struct tcp_stream *in, struct iovec *vec, unsigned int max, uint32_t bulk);
/** n bytes have come, where the last tcp_stream_room() said. @return 0, -EBADMSG: no RPC stream. */
int WEIR_ON_WORKER tcp_stream_got(struct tcp_stream *in, size_t n);
/** Payload that is still to come of the message's reply goes nowhere; NULL: of any. */
void WEIR_ON_WORKER tcp_stream_detach(struct tcp_stream *in, const struct weir_xprt_msg *msg);

/** What is still to be sent of a message. */
struct tcp_rest {
	const uint8_t *head;
	uint32_t head_left;
	uint32_t pad_left;
	struct weir_iov payload;
	const uint8_t *copy; /**< instead of payload, after detach */
	size_t copy_left;
};

enum tcp_state {
	TCP_CLOSED,
	TCP_FAILED, /**< open found that it cannot; poll reports it */
	TCP_OPENING,
	TCP_OPEN,
};

struct tcp_conn {
	struct weir_xprt xprt;
	struct weir_xprt_cfg cfg;
	enum tcp_state state;
	int fd;
	int error; /**< FAILED: why. OPEN: a send failed so; poll reports it */
	uint16_t port; /**< local, of the last connection; 0: none yet */
	uint32_t port_tries; /**< how often that port could not be had since */
	STAILQ_HEAD(, weir_xprt_msg) out;
	struct tcp_rest rest; /**< of the first of out */
	uint8_t *copy; /**< max_payload bytes, not touched before they are needed */
	bool careful; /**< a payload could not be read: find out which */
	struct tcp_stream in;
	uint32_t in_bulk; /**< what it was made for */
	unsigned int in_nb; /**< of in_vec; 0: to be made. Kept while nothing comes */
	struct iovec in_vec[TCP_IN_VECS];
	struct iovec out_vec[TCP_OUT_VECS];
};

/** Makes a socket and starts to connect it. @return 0: under way; or -errno, and fd is -1. */
int WEIR_ON_WORKER tcp_socket_open(struct tcp_conn *conn);
/** @return 0: connected; -EINPROGRESS; or why it cannot be. */
int WEIR_ON_WORKER tcp_socket_connect(struct tcp_conn *conn);
void WEIR_ON_WORKER tcp_socket_close(struct tcp_conn *conn);

void WEIR_ON_WORKER tcp_send(struct weir_xprt *xprt, struct weir_xprt_msg *msg);
int WEIR_ON_WORKER tcp_flush(struct weir_xprt *xprt);
/** The part of detach that concerns what is sent. */
void WEIR_ON_WORKER tcp_send_detach(struct tcp_conn *conn, struct weir_xprt_msg *msg);

#endif /* TCP_H */
