/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <rte_random.h>

#include "weir_worker.h"

#include "tcp.h"

/* Reserved ports, without those that well-known services have: as the Linux client does. */
#define RESERVED_MIN 665
#define RESERVED_MAX 1023
/* How many of them are tried in one attempt to connect. */
#define RESERVED_TRIES 64
/* How often the same local port is asked for again before another one is taken. */
#define PORT_TRIES       4
#define KEEPALIVE_PROBES 3
#define KEEPALIVE_MAX_S  60

static int
option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int
socket_options(int fd, uint32_t timeo_ms)
{
	/*
	 * Whenever we close, we are done with all that this connection carried: a reset makes the
	 * server forget it at once, and leaves nothing here that keeps us from our own port.
	 */
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	int idle_s = (int)RTE_MIN(timeo_ms / 1000 + 1, (uint32_t)KEEPALIVE_MAX_S);
	int rc;

	rc = setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0 ? -errno : 0;
	if (rc == 0)
		rc = option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (rc == 0)
		rc = option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (rc == 0)
		rc = option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
	if (rc == 0)
		rc = option(fd, IPPROTO_TCP, TCP_KEEPINTVL, idle_s / KEEPALIVE_PROBES + 1);
	if (rc == 0)
		rc = option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
	if (rc == 0)
		rc = option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)timeo_ms);
	return rc;
}

static int WEIR_ON_WORKER
socket_bind_to(struct tcp_conn *conn, uint16_t port)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} any = { .sa.sa_family = conn->cfg.addr.ss_family };

	if (any.sa.sa_family == AF_INET6)
		any.in6.sin6_port = htons(port);
	else
		any.in.sin_port = htons(port);
	if (bind(conn->fd, &any.sa, conn->cfg.addr_len) < 0) /* worker-may: does not block */
		return -errno;
	return 0;
}

static int WEIR_ON_WORKER
socket_bind_reserved(struct tcp_conn *conn)
{
	uint32_t nb = RESERVED_MAX - RESERVED_MIN + 1, start = (uint32_t)rte_rand_max(nb), i;
	int rc = -EADDRINUSE;

	for (i = 0; i < RESERVED_TRIES && rc == -EADDRINUSE; i++)
		rc = socket_bind_to(conn, (uint16_t)(RESERVED_MIN + (start + i) % nb));
	return rc;
}

static int WEIR_ON_WORKER
socket_bind(struct tcp_conn *conn)
{
	int rc = 0;

	if (conn->port != 0 && conn->port_tries < PORT_TRIES) {
		rc = option(conn->fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (rc == 0)
			rc = socket_bind_to(conn, conn->port);
	} else if (conn->cfg.reserved_port) {
		rc = socket_bind_reserved(conn);
	}
	return rc;
}

/* Keeps in mind from which port, for the next time. */
static void WEIR_ON_WORKER
socket_note_port(struct tcp_conn *conn)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	uint16_t before = conn->port;

	conn->port_tries = 0;
	if (getsockname(conn->fd, (struct sockaddr *)&addr, &len) < 0)
		return;
	conn->port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port :
							((struct sockaddr_in *)&addr)->sin_port);
	if (before != 0 && conn->port != before)
		weir_counter_add(&conn->xprt.port_changes, 1);
}

/*
 * The old port is worth waiting for, since the server knows our calls by it. But somebody else may
 * have it for good: after a few attempts another one must do.
 */
static int WEIR_ON_WORKER
socket_fail(struct tcp_conn *conn, int rc)
{
	tcp_socket_close(conn);
	if (rc == -EADDRINUSE || rc == -EADDRNOTAVAIL)
		conn->port_tries++;
	return rc;
}

int
tcp_socket_open(struct tcp_conn *conn)
{
	int rc;

	conn->fd = socket(conn->cfg.addr.ss_family, /* worker-may: waits for nothing */
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (conn->fd < 0)
		return -errno;
	rc = socket_options(conn->fd, conn->cfg.timeo_ms);
	if (rc == 0)
		rc = socket_bind(conn);
	if (rc == 0)
		rc = weir_worker_fd_add_inout(conn->fd, conn->cfg.poller);
	if (rc < 0)
		return socket_fail(conn, rc);
	rc = tcp_socket_connect(conn);
	return rc == -EINPROGRESS ? 0 : rc;
}

/* The first call starts, the later ones ask: connect() answers as poll() would. */
int
tcp_socket_connect(struct tcp_conn *conn)
{
	const struct sockaddr *addr = (const struct sockaddr *)&conn->cfg.addr;

	if (connect(conn->fd, addr, conn->cfg.addr_len) == 0 || /* worker-may: does not block */
			errno == EISCONN) {
		socket_note_port(conn);
		return 0;
	}
	if (errno == EINPROGRESS || errno == EALREADY || errno == EINTR)
		return -EINPROGRESS;
	return socket_fail(conn, -errno);
}

void
tcp_socket_close(struct tcp_conn *conn)
{
	if (conn->fd < 0)
		return;
	weir_worker_fd_del(conn->fd);
	close(conn->fd); /* worker-may: a reset, so that nothing is waited for */
	conn->fd = -1;
}
