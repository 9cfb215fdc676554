/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "insn_meter.h"
#include "insn_recording.h"
#include "insn_replay.h"

#define CONNS_MAX 8
#define BUF_BYTES (8u << 20)
#define MARK_LAST (1u << 31)
#define MOUNT     100005
#define FDS_MAX   1024
/*
 * Bytes that are sent at a time in lockstep: they fit what a socket takes in unread, whatever the
 * kernel. So the client finds the same bytes at each of its reads.
 */
#define STEP_BYTES 32768
#define WAIT_US    20
#define WAIT_S     10

struct conn {
	int fd; /* 0: none */
	int client_fd; /* its other end, which is in this process; -1: not looked for yet */
	uint8_t *in, *out;
	uint32_t in_nb, out_nb, out_sent;
};

static struct {
	struct recording recording;
	int fd;
	uint16_t port;
	uint16_t server_port[2]; /* of NFS and MOUNT */
	int server_fd[2]; /* 0: not connected yet */
	uint64_t nb_calls;
	struct conn conns[CONNS_MAX];
} replay;

static struct sockaddr_in
loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static uint16_t
port_of(int fd, int (*name)(int fd, struct sockaddr *addr, socklen_t *len))
{
	struct sockaddr_in addr = { 0 };
	socklen_t len = sizeof(addr);

	if (name(fd, (struct sockaddr *)&addr, &len) < 0 || addr.sin_family != AF_INET)
		return 0;
	return ntohs(addr.sin_port);
}

void
replay_open(const char *path, uint16_t server_port, uint16_t server_mount_port)
{
	struct sockaddr_in addr = loopback(0);

	recording_load(&replay.recording, path, server_port != 0);
	replay.server_port[0] = server_port;
	replay.server_port[1] = server_mount_port;
	replay.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (replay.fd < 0 || bind(replay.fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
			listen(replay.fd, CONNS_MAX) < 0)
		meter_die("no socket: %s", strerror(errno));
	replay.port = port_of(replay.fd, getsockname);
}

uint16_t
replay_port(void)
{
	return replay.port;
}

static void
send_all(int fd, const uint8_t *buf, size_t nb)
{
	while (nb > 0) {
		ssize_t n = send(fd, buf, nb, MSG_NOSIGNAL);

		if (n <= 0)
			meter_die("the server is gone");
		buf += n;
		nb -= (size_t)n;
	}
}

static void
recv_all(int fd, uint8_t *buf, size_t nb)
{
	if (nb > BUF_BYTES || recv(fd, buf, nb, MSG_WAITALL) != (ssize_t)nb)
		meter_die("the server is gone");
}

static uint32_t
get_u32(const uint8_t *buf)
{
	uint32_t be;

	memcpy(&be, buf, sizeof(be));
	return ntohl(be);
}

static void
put_u32(uint8_t *buf, uint32_t value)
{
	uint32_t be = htonl(value);

	memcpy(buf, &be, sizeof(be));
}

/* Asks the real server; record is a call with its mark. @return bytes of the reply in buf, unmarked. */
static uint32_t
server_ask(bool mount, const uint8_t *record, uint32_t nb, uint8_t *buf)
{
	struct sockaddr_in addr = loopback(replay.server_port[mount]);
	int *fd = &replay.server_fd[mount];
	uint32_t mark, len = 0;
	uint8_t head[4];

	if (*fd == 0) {
		*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(*fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			meter_die("the server does not answer");
	}
	send_all(*fd, record, nb);
	do {
		recv_all(*fd, head, sizeof(head));
		mark = get_u32(head);
		recv_all(*fd, buf + len, mark & ~MARK_LAST);
		len += mark & ~MARK_LAST;
	} while (!(mark & MARK_LAST));
	return len;
}

/* A call, from its mark on. */
static void
conn_answer(struct conn *conn, const uint8_t *record, uint32_t nb)
{
	const struct recorded *known;
	struct recorded call;
	uint8_t *out = conn->out + conn->out_nb;
	uint32_t len;

	if (!recorded_from_call(&call, record + 4, nb - 4))
		meter_die("the client sent what is no call");
	known = recording_find(&replay.recording, &call);
	if (known == NULL && replay.server_port[0] == 0)
		meter_die("program %u, procedure %u: this call is not in the recording; make it "
			  "anew with instructions.py --record",
				call.program, call.procedure);
	if (known == NULL) {
		len = server_ask(call.program == MOUNT, record, nb, out + 4);
		known = recording_add(&replay.recording, &call, out + 8, len - 4);
	}
	put_u32(out, MARK_LAST | (known->reply.nb + 4));
	memcpy(out + 4, record + 4, 4);
	memcpy(out + 8, known->reply.bytes, known->reply.nb);
	conn->out_nb += 8 + known->reply.nb;
	replay.nb_calls++;
}

static void
conn_close(struct conn *conn)
{
	close(conn->fd);
	free(conn->in);
	free(conn->out);
	*conn = (struct conn){ 0 };
}

/* @return false: the client has closed it. */
static bool
conn_take(struct conn *conn)
{
	ssize_t n = recv(conn->fd, conn->in + conn->in_nb, BUF_BYTES - conn->in_nb, MSG_DONTWAIT);
	uint32_t nb, off = 0;

	if (n == 0 || (n < 0 && errno != EAGAIN))
		return false;
	conn->in_nb += n > 0 ? (uint32_t)n : 0;
	/* Both clients send a record in one fragment. */
	while (conn->in_nb - off >= 4) {
		nb = 4 + (get_u32(conn->in + off) & ~MARK_LAST);
		if (conn->in_nb - off < nb)
			break;
		conn_answer(conn, conn->in + off, nb);
		off += nb;
	}
	conn->in_nb -= off;
	memmove(conn->in, conn->in + off, conn->in_nb);
	return true;
}

static void
conn_send(struct conn *conn, uint32_t max)
{
	uint32_t left = RTE_MIN(conn->out_nb - conn->out_sent, max);
	ssize_t n = send(conn->fd, conn->out + conn->out_sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		conn->out_sent += (uint32_t)n;
	if (conn->out_sent == conn->out_nb)
		conn->out_sent = conn->out_nb = 0;
}

static void
conns_accept(void)
{
	const int one = 1;
	int fd = accept4(replay.fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (unsigned int i = 0; i < CONNS_MAX; i++) {
		struct conn *conn = &replay.conns[i];

		if (conn->fd != 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		*conn = (struct conn){
			.fd = fd, .client_fd = -1, .in = malloc(BUF_BYTES), .out = malloc(BUF_BYTES)
		};
		return;
	}
	meter_die("too many connections");
}

void
replay_serve(void)
{
	conns_accept();
	for (unsigned int i = 0; i < CONNS_MAX; i++) {
		struct conn *conn = &replay.conns[i];

		if (conn->fd == 0)
			continue;
		if (!conn_take(conn))
			conn_close(conn);
		else if (conn->out_nb > 0)
			conn_send(conn, UINT32_MAX);
	}
	replay.nb_calls = 0;
}

static struct conn *
conn_only(void)
{
	struct conn *only = NULL;

	for (unsigned int i = 0; i < CONNS_MAX; i++) {
		if (replay.conns[i].fd == 0)
			continue;
		if (only != NULL)
			meter_die("the client has several connections");
		only = &replay.conns[i];
	}
	if (only == NULL)
		meter_die("the client has no connection");
	return only;
}

static uint32_t
conn_unread(struct conn *conn)
{
	uint16_t port = port_of(conn->fd, getpeername);
	int nb = 0;

	for (int fd = 0; conn->client_fd < 0 && fd < FDS_MAX; fd++) {
		if (port_of(fd, getsockname) == port)
			conn->client_fd = fd;
	}
	if (ioctl(conn->client_fd, SIOCINQ, &nb) < 0)
		meter_die("the client's socket is not in this process");
	return (uint32_t)nb;
}

void
replay_step(uint64_t nb_calls)
{
	struct conn *conn = conn_only();
	uint32_t left, tries = 0;

	while (replay.nb_calls < nb_calls) {
		if (!conn_take(conn) || ++tries > WAIT_S * 1000000u / WAIT_US)
			meter_die("the client does not send its calls");
		usleep(WAIT_US);
	}
	left = RTE_MIN(conn->out_nb - conn->out_sent, (uint32_t)STEP_BYTES);
	if (left == 0 || conn_unread(conn) > 0)
		return;
	conn_send(conn, STEP_BYTES);
	for (tries = 0; conn_unread(conn) < left; tries++) {
		if (tries > WAIT_S * 1000000u / WAIT_US)
			meter_die("the client's socket does not take its replies");
		usleep(WAIT_US);
	}
}

void
replay_close(const char *path)
{
	for (unsigned int i = 0; i < CONNS_MAX; i++) {
		if (replay.conns[i].fd != 0)
			conn_close(&replay.conns[i]);
	}
	close(replay.fd);
	if (replay.server_port[0] != 0)
		recording_save(&replay.recording, path);
	recording_free(&replay.recording);
}
