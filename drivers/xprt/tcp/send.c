/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>

#include <rte_byteorder.h>

#include "tcp.h"

#define MARK_LAST (1u << 31)
/* Bytes of one system call: it copies them, and others wait meanwhile. */
#define SEND_MAX (1u << 20)

/* Everything is to be sent; puts the record's mark before its head. */
static void
rest_init(struct tcp_rest *rest, const struct weir_xprt_msg *msg)
{
	uint32_t pad = -(uint32_t)msg->payload.left % 4;
	rte_be32_t mark = rte_cpu_to_be_32(
			MARK_LAST | (msg->head_len + (uint32_t)msg->payload.left + pad));

	memcpy(msg->head - WEIR_XPRT_HEADROOM, &mark, sizeof(mark));
	*rest = (struct tcp_rest){
		.head = msg->head - WEIR_XPRT_HEADROOM,
		.head_left = msg->head_len + WEIR_XPRT_HEADROOM,
		.pad_left = pad,
		.payload = msg->payload,
	};
}

static size_t
rest_left(const struct tcp_rest *rest)
{
	return rest->head_left + rest->payload.left + rest->copy_left + rest->pad_left;
}

static void
rest_advance(struct tcp_rest *rest, size_t n)
{
	size_t k = RTE_MIN(n, (size_t)rest->head_left);

	rest->head += k;
	rest->head_left -= (uint32_t)k;
	n -= k;
	n -= weir_iov_skip(&rest->payload, n);
	k = RTE_MIN(n, rest->copy_left);
	rest->copy += k;
	rest->copy_left -= k;
	n -= k;
	rest->pad_left -= (uint32_t)n;
}

/* Describes what is left, as far as max entries go. @return the entries; *bytes is added to. */
static unsigned int
rest_export(const struct tcp_rest *rest, struct iovec *vec, unsigned int max, size_t *bytes)
{
	static const uint8_t zeroes[4];
	unsigned int nb = 0;
	size_t n;

	if (max < 4)
		return 0;
	if (rest->head_left > 0) {
		vec[nb++] = (struct iovec){ .iov_base = (void *)(uintptr_t)rest->head,
			.iov_len = rest->head_left };
		*bytes += rest->head_left;
	}
	if (rest->payload.left > 0) {
		nb += weir_iov_export(
				&rest->payload, vec + nb, max - nb - 1, rest->payload.left, &n);
		*bytes += n;
		if (n < rest->payload.left)
			return nb;
	}
	if (rest->copy_left > 0) {
		vec[nb++] = (struct iovec){ .iov_base = (void *)(uintptr_t)rest->copy,
			.iov_len = rest->copy_left };
		*bytes += rest->copy_left;
	}
	if (rest->pad_left > 0) {
		vec[nb++] = (struct iovec){ .iov_base = (void *)(uintptr_t)zeroes,
			.iov_len = rest->pad_left };
		*bytes += rest->pad_left;
	}
	return nb;
}

void
tcp_send(struct weir_xprt *xprt, struct weir_xprt_msg *msg)
{
	struct tcp_conn *conn = container_of(xprt, struct tcp_conn, xprt);

	if (STAILQ_EMPTY(&conn->out))
		rest_init(&conn->rest, msg);
	msg->state = WEIR_XPRT_QUEUED;
	STAILQ_INSERT_TAIL(&conn->out, msg, next);
}

/* The first message is gone, one way or the other. */
static void WEIR_ON_WORKER
send_next(struct tcp_conn *conn, enum weir_xprt_msg_state state)
{
	struct weir_xprt_msg *msg = STAILQ_FIRST(&conn->out);

	STAILQ_REMOVE_HEAD(&conn->out, next);
	msg->state = state;
	msg = STAILQ_FIRST(&conn->out);
	if (msg != NULL)
		rest_init(&conn->rest, msg);
}

static void WEIR_ON_WORKER
send_done(struct tcp_conn *conn, size_t n)
{
	while (n > 0) {
		size_t k = RTE_MIN(n, rest_left(&conn->rest));

		rest_advance(&conn->rest, k);
		n -= k;
		if (rest_left(&conn->rest) == 0)
			send_next(conn, WEIR_XPRT_SENT);
		else
			STAILQ_FIRST(&conn->out)->state = WEIR_XPRT_BEGUN;
	}
}

static unsigned int WEIR_ON_WORKER
send_export(struct tcp_conn *conn, size_t *bytes)
{
	struct weir_xprt_msg *msg = STAILQ_FIRST(&conn->out);
	unsigned int nb = rest_export(&conn->rest, conn->out_vec, RTE_DIM(conn->out_vec), bytes), n;
	size_t all = rest_left(&conn->rest);
	struct tcp_rest rest;

	while (*bytes == all && *bytes < SEND_MAX && !conn->careful) {
		msg = STAILQ_NEXT(msg, next);
		if (msg == NULL)
			break;
		rest_init(&rest, msg);
		n = rest_export(&rest, conn->out_vec + nb, RTE_DIM(conn->out_vec) - nb, bytes);
		nb += n;
		all += rest_left(&rest);
	}
	return nb;
}

/* What is left of the first message's payload goes on from memory of our own. */
static void WEIR_ON_WORKER
send_from_copy(struct tcp_conn *conn)
{
	struct tcp_rest *rest = &conn->rest;

	if (rest->payload.left == 0)
		return;
	rest->copy_left = weir_iov_read(&rest->payload, conn->copy, rest->payload.left);
	rest->copy = conn->copy;
}

/*
 * The kernel could not read from a guest's pages: that guest has truncated its memory. It must not
 * take the others' calls with it. The call that it was is found by sending single ones, and gets
 * what weir_iov_read() finds there, which survives.
 */
static int WEIR_ON_WORKER
send_fault(struct tcp_conn *conn)
{
	if (conn->careful)
		send_from_copy(conn);
	conn->careful = true;
	return 1;
}

int
tcp_flush(struct weir_xprt *xprt)
{
	struct tcp_conn *conn = container_of(xprt, struct tcp_conn, xprt);
	struct msghdr hdr = { .msg_iov = conn->out_vec };
	size_t bytes = 0;
	ssize_t n;

	if (conn->error < 0 || STAILQ_EMPTY(&conn->out))
		return 0;
	hdr.msg_iovlen = send_export(conn, &bytes);
	n = sendmsg(conn->fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno == EFAULT)
		return send_fault(conn);
	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
		/* Replies may have come before: poll reads them, then closes. */
		conn->error = -errno;
		return 0;
	}
	if (n > 0)
		send_done(conn, (size_t)n);
	if (n > 0 && conn->careful)
		conn->careful = false;
	if (n < (ssize_t)bytes)
		return -EAGAIN;
	return STAILQ_EMPTY(&conn->out) ? 0 : 1;
}

void
tcp_send_detach(struct tcp_conn *conn, struct weir_xprt_msg *msg)
{
	if (msg->state == WEIR_XPRT_BEGUN) {
		send_from_copy(conn);
	} else if (msg->state == WEIR_XPRT_QUEUED && msg == STAILQ_FIRST(&conn->out)) {
		send_next(conn, WEIR_XPRT_IDLE);
	} else if (msg->state == WEIR_XPRT_QUEUED) {
		STAILQ_REMOVE(&conn->out, msg, weir_xprt_msg, next);
		msg->state = WEIR_XPRT_IDLE;
	}
}
