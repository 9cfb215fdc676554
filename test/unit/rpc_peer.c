/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_byteorder.h>
#include <rte_common.h>

#include "rpc_peer.h"

#define NEVER_S   10
#define MARK_LAST 0x80000000u

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static socklen_t
address_len(int family)
{
	return family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static void
set_option(int fd, int level, int name, int value)
{
	assert_return_code(setsockopt(fd, level, name, &value, sizeof(value)), errno);
}

static void
limit_waits(int fd)
{
	const struct timeval never = { .tv_sec = NEVER_S };

	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof(never)), errno);
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &never, sizeof(never)), errno);
}

static bool
peer_listen(struct rpc_peer *peer)
{
	union address addr = { .sa.sa_family = (sa_family_t)peer->family };
	socklen_t len = address_len(peer->family);

	if (peer->family == AF_INET6) {
		addr.in6.sin6_addr = in6addr_loopback;
		addr.in6.sin6_port = htons(peer->port);
	} else {
		addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		addr.in.sin_port = htons(peer->port);
	}
	peer->listen_fd = socket(peer->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (peer->listen_fd < 0)
		return false;
	set_option(peer->listen_fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* Small buffers, so that a client's large message does not fit into them. */
	set_option(peer->listen_fd, SOL_SOCKET, SO_RCVBUF, 64 * 1024);
	limit_waits(peer->listen_fd);
	if (bind(peer->listen_fd, &addr.sa, len) < 0) {
		close(peer->listen_fd);
		return false;
	}
	assert_return_code(listen(peer->listen_fd, 16), errno);
	assert_return_code(getsockname(peer->listen_fd, &addr.sa, &len), errno);
	peer->port = ntohs(peer->family == AF_INET6 ? addr.in6.sin6_port : addr.in.sin_port);
	return true;
}

bool
rpc_peer_start(struct rpc_peer *peer, int family)
{
	*peer = (struct rpc_peer){ .family = family };
	return peer_listen(peer);
}

void
rpc_peer_stop(struct rpc_peer *peer)
{
	if (peer->listen_fd >= 0)
		close(peer->listen_fd);
	peer->listen_fd = -1;
}

void
rpc_peer_restart(struct rpc_peer *peer)
{
	assert_true(peer_listen(peer));
}

int
rpc_peer_accept(struct rpc_peer *peer, uint16_t *port)
{
	union address addr;
	socklen_t len = sizeof(addr);
	int fd = accept(peer->listen_fd, &addr.sa, &len);

	assert_return_code(fd, errno);
	limit_waits(fd);
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (port != NULL)
		*port = ntohs(peer->family == AF_INET6 ? addr.in6.sin6_port : addr.in.sin_port);
	return fd;
}

void
rpc_peer_reset(int fd)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), errno);
	close(fd);
}

static void
recv_all(int fd, void *buf, size_t nb)
{
	ssize_t n;

	while (nb > 0) {
		n = recv(fd, buf, nb, 0);
		assert_true(n > 0);
		buf = (uint8_t *)buf + n;
		nb -= (size_t)n;
	}
}

static uint32_t
word(const struct rpc_peer_call *call, size_t i)
{
	rte_be32_t be;

	assert_true(call->raw_len >= 4 * (i + 1));
	memcpy(&be, call->raw + 4 * i, sizeof(be));
	return rte_be_to_cpu_32(be);
}

void
rpc_peer_recv(int fd, struct rpc_peer_call *call)
{
	size_t at = 6, cred;
	rte_be32_t mark;

	memset(call, 0, sizeof(*call));
	recv_all(fd, &mark, sizeof(mark));
	assert_true(rte_be_to_cpu_32(mark) & MARK_LAST);
	call->raw_len = rte_be_to_cpu_32(mark) & ~MARK_LAST;
	assert_int_equal(call->raw_len % 4, 0);
	call->raw = malloc(call->raw_len);
	assert_non_null(call->raw);
	recv_all(fd, call->raw, call->raw_len);
	call->xid = word(call, 0);
	assert_int_equal(word(call, 1), 0); /* a call */
	assert_int_equal(word(call, 2), 2); /* of this RPC version */
	call->program = word(call, 3);
	call->version = word(call, 4);
	call->proc = word(call, 5);
	call->flavor = word(call, at);
	cred = word(call, at + 1) / 4;
	at += 2;
	if (call->flavor == 1) {
		size_t i = at + 1;

		i += 1 + (word(call, i) + 3) / 4;
		call->uid = word(call, i++);
		call->gid = word(call, i++);
		call->nb_groups = word(call, i++);
		assert_true(call->nb_groups <= RTE_DIM(call->groups));
		for (uint32_t g = 0; g < call->nb_groups; g++)
			call->groups[g] = word(call, i++);
		assert_int_equal(i, at + cred);
	}
	at += cred;
	assert_int_equal(word(call, at), 0); /* no verifier */
	assert_int_equal(word(call, at + 1), 0);
	call->args = call->raw + 4 * (at + 2);
	call->args_len = call->raw_len - 4 * (at + 2);
}

void
rpc_peer_expect_close(int fd)
{
	uint8_t byte;

	assert_true(recv(fd, &byte, 1, 0) <= 0);
	assert_int_not_equal(errno, EAGAIN);
	close(fd);
}

size_t
rpc_peer_reply(uint8_t *body, uint32_t xid, const void *results, size_t nb)
{
	const rte_be32_t header[] = { rte_cpu_to_be_32(xid), rte_cpu_to_be_32(1), 0, 0, 0, 0 };

	memcpy(body, header, sizeof(header));
	if (nb > 0)
		memcpy(body + sizeof(header), results, nb);
	return sizeof(header) + nb;
}

size_t
rpc_peer_frame(uint8_t *wire, const uint8_t *body, size_t nb, size_t frag)
{
	size_t at = 0, done = 0, n;
	rte_be32_t mark;

	do {
		n = frag == 0 ? nb : RTE_MIN(frag, nb - done);
		mark = rte_cpu_to_be_32((done + n == nb ? MARK_LAST : 0) | (uint32_t)n);
		memcpy(wire + at, &mark, sizeof(mark));
		memcpy(wire + at + sizeof(mark), body + done, n);
		at += sizeof(mark) + n;
		done += n;
	} while (done < nb);
	return at;
}

void
rpc_peer_send(int fd, const void *bytes, size_t nb, size_t step)
{
	const uint8_t *p = bytes;
	ssize_t n;

	while (nb > 0) {
		n = send(fd, p, step == 0 ? nb : RTE_MIN(step, nb), MSG_NOSIGNAL);
		assert_true(n > 0);
		p += n;
		nb -= (size_t)n;
	}
}

void
rpc_peer_answer(int fd, uint32_t xid, const void *results, size_t nb)
{
	uint8_t *body = malloc(nb + 64), *wire = malloc(nb + 64);

	assert_non_null(body);
	assert_non_null(wire);
	rpc_peer_send(fd, wire,
			rpc_peer_frame(wire, body, rpc_peer_reply(body, xid, results, nb), 0), 0);
	free(wire);
	free(body);
}
