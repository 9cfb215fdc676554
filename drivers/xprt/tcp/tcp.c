/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * TCP over non-blocking kernel sockets. Payload is copied once, by the kernel, between the socket
 * and the guest's pages; only payload of less than a page that came together with other replies is
 * copied a second time. doc/performance.md has what that costs.
 */

#include <errno.h>
#include <stdlib.h>

#include "tcp.h"

/* What one poll does at most, so that others on the worker get their turn. */
#define POLL_CALLS 8
#define POLL_BYTES (1u << 20)

static struct tcp_conn *
tcp_conn_of(struct weir_xprt *xprt)
{
	return container_of(xprt, struct tcp_conn, xprt);
}

static void WEIR_ON_CONTROL
tcp_free(struct tcp_conn *conn)
{
	tcp_stream_fini(&conn->in);
	free(conn->copy);
	free(conn);
}

static void
tcp_destroy(struct weir_xprt *xprt)
{
	weir_role_assume_control();
	tcp_free(tcp_conn_of(xprt));
}

static void WEIR_ON_WORKER
tcp_drop(struct tcp_conn *conn)
{
	tcp_socket_close(conn);
	conn->state = TCP_CLOSED;
	conn->error = 0;
	conn->careful = false;
	STAILQ_INIT(&conn->out);
	conn->in_nb = 0;
	tcp_stream_reset(&conn->in);
}

static void
tcp_close(struct weir_xprt *xprt)
{
	weir_role_assume_worker();
	tcp_drop(tcp_conn_of(xprt));
}

static void
tcp_open(struct weir_xprt *xprt)
{
	struct tcp_conn *conn = tcp_conn_of(xprt);

	weir_role_assume_worker();
	conn->error = tcp_socket_open(conn);
	conn->state = conn->error < 0 ? TCP_FAILED : TCP_OPENING;
}

static void WEIR_ON_WORKER
tcp_lost(struct tcp_conn *conn, int error)
{
	tcp_drop(conn);
	conn->cfg.events->closed(conn->cfg.arg, error);
}

static int WEIR_ON_WORKER
tcp_poll_opening(struct tcp_conn *conn)
{
	int rc = tcp_socket_connect(conn);

	if (rc == -EINPROGRESS)
		return 0;
	if (rc < 0) {
		tcp_lost(conn, rc);
		return 1;
	}
	conn->state = TCP_OPEN;
	conn->cfg.events->connected(conn->cfg.arg);
	return 1;
}

/* Where the next bytes go; found out anew only when some have come, or what is expected changes. */
static void WEIR_ON_WORKER
tcp_room(struct tcp_conn *conn)
{
	if (conn->in_nb > 0 && conn->in_bulk == (conn->xprt.nb_bulk > 0))
		return;
	conn->in_bulk = conn->xprt.nb_bulk > 0;
	conn->in_nb = tcp_stream_room(
			&conn->in, conn->in_vec, RTE_DIM(conn->in_vec), conn->in_bulk);
}

/* One read. @return bytes; 0: nothing is there; or why the connection is over. */
static ssize_t WEIR_ON_WORKER
tcp_read(struct tcp_conn *conn)
{
	struct iovec *vec = conn->in_vec;
	ssize_t n;

	tcp_room(conn);
	n = conn->in_nb == 1 ? recv(conn->fd, vec->iov_base, vec->iov_len, 0) :
			       readv(conn->fd, vec, (int)conn->in_nb);
	if (n > 0)
		return n;
	if (n == 0)
		return conn->error < 0 ? conn->error : -ECONNRESET;
	/* The guest has truncated its memory; its reply goes nowhere, and others' still come. */
	if (errno == EFAULT && conn->in.sink.left > 0) {
		conn->in_nb = 0;
		tcp_stream_detach(&conn->in, NULL);
		return 0;
	}
	if (errno == EAGAIN || errno == EINTR)
		return conn->error;
	return -errno;
}

static int WEIR_ON_WORKER
tcp_poll_open(struct tcp_conn *conn)
{
	size_t room, bytes = 0;
	int nb = 0, rc;
	ssize_t n;

	do {
		n = tcp_read(conn);
		if (n == 0)
			return nb;
		nb++;
		room = conn->in.room;
		conn->in_nb = 0;
		rc = n < 0 ? (int)n : tcp_stream_got(&conn->in, (size_t)n);
		if (rc < 0) {
			tcp_lost(conn, rc);
			return nb;
		}
		bytes += (size_t)n;
	} while ((size_t)n == room && nb < POLL_CALLS && bytes < POLL_BYTES);
	return nb;
}

static int
tcp_poll(struct weir_xprt *xprt)
{
	struct tcp_conn *conn = tcp_conn_of(xprt);

	weir_role_assume_worker();
	switch (conn->state) {
	case TCP_CLOSED:
		return 0;
	case TCP_FAILED:
		tcp_lost(conn, conn->error);
		return 1;
	case TCP_OPENING:
		return tcp_poll_opening(conn);
	case TCP_OPEN:
		return tcp_poll_open(conn);
	}
	return 0;
}

static void
tcp_detach(struct weir_xprt *xprt, struct weir_xprt_msg *msg)
{
	struct tcp_conn *conn = tcp_conn_of(xprt);

	weir_role_assume_worker();
	tcp_send_detach(conn, msg);
	conn->in_nb = 0;
	tcp_stream_detach(&conn->in, msg);
}

static int tcp_create(const struct weir_xprt_cfg *cfg, struct weir_xprt **out);

static const struct weir_xprt_ops tcp_ops = {
	.create = tcp_create,
	.destroy = tcp_destroy,
	.open = tcp_open,
	.close = tcp_close,
	.send = tcp_send,
	.flush = tcp_flush,
	.poll = tcp_poll,
	.detach = tcp_detach,
};

static int
tcp_create(const struct weir_xprt_cfg *cfg, struct weir_xprt **out)
{
	struct tcp_conn *conn;

	weir_role_assume_control();
	if (cfg->addr.ss_family != AF_INET && cfg->addr.ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	conn = calloc(1, sizeof(*conn));
	if (conn == NULL)
		return -ENOMEM;
	conn->xprt = (struct weir_xprt){ .ops = &tcp_ops, .credits = TCP_CREDITS };
	conn->cfg = *cfg;
	conn->fd = -1;
	STAILQ_INIT(&conn->out);
	conn->copy = calloc(1, RTE_MAX(cfg->max_payload, 1u));
	if (tcp_stream_init(&conn->in, cfg) < 0 || conn->copy == NULL) {
		tcp_free(conn);
		return -ENOMEM;
	}
	*out = &conn->xprt;
	return 0;
}

static struct weir_xprt_driver tcp_driver = {
	.name = "tcp",
	.ops = &tcp_ops,
};
WEIR_XPRT_REGISTER(tcp_driver)
