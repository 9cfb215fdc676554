/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Connections that break, servers that are silent or away, ports and several connections. */

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sunrpc_user.h"

static struct user user;
static struct user_call calls[64];

static int
setup(void **state)
{
	user_init(&user);
	return 0;
}

static int
teardown(void **state)
{
	user_stop(&user);
	return 0;
}

static int
connect_now(uint16_t *port)
{
	assert_int_equal(user_start(&user), 0);
	return rpc_peer_accept(&user.peer, port);
}

/* The next connection comes from the same port. */
static int
connect_again(uint16_t port)
{
	uint16_t now;
	int fd = rpc_peer_accept(&user.peer, &now);

	assert_int_equal(now, port);
	return fd;
}

/* The same call, byte by byte, has come once more. */
static void
recv_again(int fd, const struct rpc_peer_call *before)
{
	struct rpc_peer_call now;

	rpc_peer_recv(fd, &now);
	assert_int_equal(now.raw_len, before->raw_len);
	assert_memory_equal(now.raw, before->raw, now.raw_len);
	free(now.raw);
}

static void
reset_at_any_byte_of_a_reply_is_survived(void **state)
{
	size_t len = 40000, nb;
	uint8_t *results = user_payload(len, &nb);
	uint8_t *body = malloc(nb + 64), *wire = malloc(nb + 64);
	static const size_t cuts[] = { 0, 1, 4, 5, 8, 20, 27, 28, 35, 36, 37, 300, 4100, 40000,
		40035 };
	struct rpc_peer_call seen;
	uint16_t port;
	int fd = connect_now(&port);

	for (unsigned int i = 0; i < RTE_DIM(cuts); i++) {
		memset(user.mem, USER_GUARD, USER_CHECKED);
		user_call_init(&calls[0], &user, USER_SPLIT);
		calls[0].nb_args = 3;
		calls[0].rx_off = 77;
		calls[0].rx_len = len;
		user_submit(calls, 1);
		rpc_peer_recv(fd, &seen);
		nb = rpc_peer_frame(
				wire, body, rpc_peer_reply(body, seen.xid, results, 8 + len), 0);
		rpc_peer_send(fd, wire, cuts[i], 0);
		/* Once with a reset, once with an end, which lets arrive what was sent. */
		if (i % 2 == 0)
			rpc_peer_reset(fd);
		else
			shutdown(fd, SHUT_WR);
		if (i % 2 == 1)
			rpc_peer_expect_close(fd);
		fd = connect_again(port);
		recv_again(fd, &seen);
		rpc_peer_send(fd, wire, nb, 0);
		assert_int_equal(user_wait(&calls[0]), 0);
		assert_int_equal(calls[0].placed, len);
		user_check_memory(&user, 77, len, 0);
		assert_int_equal(weir_sunrpc_reconnects(user.client), i + 1);
		free(seen.raw);
	}
	assert_int_equal(weir_counter_get(&weir_sunrpc_stats(user.client, USER_SPLIT)
							   ->retransmissions),
			RTE_DIM(cuts));
	free(results);
	free(body);
	free(wire);
	close(fd);
}

static void
reply_that_came_before_the_reset_counts(void **state)
{
	struct rpc_peer_call seen[2];
	uint16_t port;
	int fd = connect_now(&port);

	for (unsigned int i = 0; i < 2; i++)
		user_call_init(&calls[i], &user, 0);
	user_submit(calls, 2);
	rpc_peer_recv(fd, &seen[0]);
	rpc_peer_recv(fd, &seen[1]);
	rpc_peer_answer(fd, seen[0].xid, "one", 4);
	assert_int_equal(user_wait(&calls[0]), 0);
	rpc_peer_reset(fd);
	fd = connect_again(port);
	recv_again(fd, &seen[1]);
	/* The answer to the first one again, as a server may whose reply was under way. */
	rpc_peer_answer(fd, seen[0].xid, "one", 4);
	rpc_peer_answer(fd, seen[1].xid, "two", 4);
	assert_int_equal(user_wait(&calls[1]), 0);
	assert_memory_equal(calls[1].results, "two", 4);
	assert_int_equal(calls[0].nb_done, 1);
	free(seen[0].raw);
	free(seen[1].raw);
	close(fd);
}

static void
unanswered_calls_are_sent_again_in_order(void **state)
{
	struct rpc_peer_call seen[10];
	uint16_t port;
	int fd = connect_now(&port);

	for (unsigned int i = 0; i < 10; i++) {
		user_call_init(&calls[i], &user, i % USER_PROCS);
		calls[i].nb_args = i;
	}
	user_submit(calls, 10);
	for (unsigned int i = 0; i < 10; i++)
		rpc_peer_recv(fd, &seen[i]);
	for (unsigned int i = 0; i < 10; i += 3) {
		rpc_peer_answer(fd, seen[i].xid, "\0\0\0\1", 4);
		assert_int_equal(user_wait(&calls[i]), 0);
	}
	rpc_peer_reset(fd);
	fd = connect_again(port);
	for (unsigned int i = 0; i < 10; i++) {
		if (i % 3 == 0)
			continue;
		recv_again(fd, &seen[i]);
		rpc_peer_answer(fd, seen[i].xid, "\0\0\0\1", 4);
		assert_int_equal(user_wait(&calls[i]), 0);
	}
	for (unsigned int i = 0; i < 10; i++)
		free(seen[i].raw);
	close(fd);
}

static void
write_that_was_half_sent_is_sent_whole(void **state)
{
	struct rpc_peer_call seen;
	uint8_t some[1000];
	uint16_t port;
	int fd = connect_now(&port);

	user_call_init(&calls[0], &user, 2);
	calls[0].tx_len = USER_HUGE;
	calls[0].tx_off = 5;
	user_fill(&user, 5, USER_HUGE, 0);
	user_submit(calls, 1);
	assert_int_equal(recv(fd, some, sizeof(some), MSG_WAITALL), sizeof(some));
	rpc_peer_reset(fd);
	fd = connect_again(port);
	rpc_peer_recv(fd, &seen);
	assert_int_equal(seen.args_len, 4 + USER_HUGE);
	assert_memory_equal(seen.args + 4, user.mem + 5, USER_HUGE);
	rpc_peer_answer(fd, seen.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	free(seen.raw);
	close(fd);
}

static void
length_that_nothing_has_closes_the_connection(void **state)
{
	static const uint8_t marks[][4] = { { 0x7f, 0xff, 0xff, 0xff }, { 0xff, 0xff, 0xff, 0xff },
		{ 0x01, 0, 0, 0 } };
	struct rpc_peer_call seen;
	uint16_t port;
	int fd = connect_now(&port);

	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	for (unsigned int i = 0; i < RTE_DIM(marks); i++) {
		rpc_peer_send(fd, marks[i], sizeof(marks[i]), 0);
		rpc_peer_expect_close(fd);
		fd = connect_again(port);
		recv_again(fd, &seen);
	}
	assert_int_equal(weir_sunrpc_client_error(user.client), -EBADMSG);
	/* Fragments each of which is possible, but not all of them in one record. */
	for (unsigned int i = 0; i < 2 * USER_HUGE / 0x10000; i++) {
		static const uint8_t fragment[4 + 0x10000] = { 0, 1, 0, 0 };

		if (send(fd, fragment, sizeof(fragment), MSG_NOSIGNAL) < 0)
			break;
	}
	close(fd);
	fd = connect_again(port);
	recv_again(fd, &seen);
	rpc_peer_answer(fd, seen.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	free(seen.raw);
	close(fd);
}

static void
soft_calls_fail_when_nobody_answers(void **state)
{
	struct rpc_peer_call seen;
	uint16_t port;
	int fd;

	user.cfg.hard = false;
	user.cfg.timeo_ms = 60;
	user.cfg.retrans = 1;
	fd = connect_now(&port);
	user_call_init(&calls[0], &user, 0);
	user_call_init(&calls[1], &user, 2);
	calls[1].tx_len = USER_HUGE;
	user_call_init(&calls[2], &user, 0);
	user_submit(calls, 3);
	rpc_peer_recv(fd, &seen);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(user_wait(&calls[i]), -ETIMEDOUT);
	free(seen.raw);
	close(fd);
}

static void
soft_calls_fail_when_nobody_is_there(void **state)
{
	user.cfg.hard = false;
	user.cfg.timeo_ms = 20;
	user.cfg.retrans = 2;
	rpc_peer_stop(&user.peer);
	assert_int_equal(user_start(&user), 0);
	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	assert_int_equal(user_wait(&calls[0]), -ETIMEDOUT);
	assert_int_equal(weir_sunrpc_client_error(user.client), -ECONNREFUSED);
	assert_int_equal(weir_sunrpc_client_state(user.client), WEIR_SUNRPC_CONNECTING);
}

static void
soft_call_that_was_answered_late_is_over(void **state)
{
	struct rpc_peer_call seen;
	size_t nb;
	uint8_t *results = user_payload(4000, &nb);
	int fd;

	user.cfg.hard = false;
	user.cfg.timeo_ms = 500;
	user.cfg.retrans = 0;
	fd = connect_now(NULL);
	user_call_init(&calls[0], &user, USER_SPLIT);
	calls[0].rx_len = 4000;
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	/* Others are answered, so that the connection is as good as ever. */
	while (calls[0].nb_done == 0)
		user_roundtrip(&user, fd);
	assert_int_equal(user_wait(&calls[0]), -ETIMEDOUT);
	rpc_peer_answer(fd, seen.xid, results, nb);
	user_roundtrip(&user, fd);
	user_check_memory(&user, 0, 0, 0);
	assert_int_equal(calls[0].nb_done, 1);
	assert_int_equal(weir_sunrpc_reconnects(user.client), 0);
	free(results);
	free(seen.raw);
	close(fd);
}

static void
hard_calls_outlive_a_silent_server(void **state)
{
	struct rpc_peer_call seen;
	uint16_t port;
	int fd, next;

	user.cfg.timeo_ms = 300;
	fd = connect_now(&port);
	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	/* Nothing is sent again on the connection that lives, it is given up. */
	for (unsigned int i = 0; i < 2; i++) {
		rpc_peer_expect_close(fd);
		next = connect_again(port);
		recv_again(next, &seen);
		fd = next;
	}
	rpc_peer_answer(fd, seen.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	assert_int_equal(weir_sunrpc_client_error(user.client), -ETIMEDOUT);
	free(seen.raw);
	close(fd);
}

/* As Linux's does with one that comes again while it is still being carried out. */
static void
call_that_the_server_forgot_is_sent_again(void **state)
{
	struct rpc_peer_call seen, other;
	uint8_t body[64], wire[128];
	uint16_t port;
	int fd, next;

	user.cfg.timeo_ms = 300;
	fd = connect_now(&port);
	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	/* Others are answered all the time, until the connection is given up nevertheless. */
	for (;;) {
		user_call_init(&calls[1], &user, 0);
		user_submit(&calls[1], 1);
		if (recv(fd, body, 1, MSG_PEEK) != 1)
			break;
		rpc_peer_recv(fd, &other);
		send(fd, wire,
				rpc_peer_frame(wire, body, rpc_peer_reply(body, other.xid, NULL, 0),
						0),
				MSG_NOSIGNAL);
		free(other.raw);
		while (calls[1].nb_done == 0 && weir_sunrpc_reconnects(user.client) == 0)
			sched_yield();
		if (calls[1].nb_done == 0)
			break;
	}
	next = connect_again(port);
	recv_again(next, &seen);
	rpc_peer_answer(next, seen.xid, NULL, 0);
	rpc_peer_recv(next, &other);
	rpc_peer_answer(next, other.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	assert_int_equal(user_wait(&calls[1]), 0);
	assert_int_equal(weir_sunrpc_reconnects(user.client), 1);
	free(other.raw);
	free(seen.raw);
	close(fd);
	close(next);
}

static void
idle_connection_outlives_any_silence(void **state)
{
	const struct timespec longer = { .tv_nsec = 600000000 };
	int fd;

	user.cfg.timeo_ms = 500;
	fd = connect_now(NULL);
	user_roundtrip(&user, fd);
	nanosleep(&longer, NULL);
	user_roundtrip(&user, fd);
	assert_int_equal(weir_sunrpc_reconnects(user.client), 0);
	close(fd);
}

static void
server_that_comes_back_gets_what_it_owes(void **state)
{
	struct rpc_peer_call seen;
	uint16_t port;
	int fd = connect_now(&port);

	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	assert_int_equal(weir_sunrpc_client_state(user.client), WEIR_SUNRPC_CONNECTED);
	rpc_peer_stop(&user.peer);
	rpc_peer_reset(fd);
	/* Submitted while it is away; waits for the connection. */
	user_call_init(&calls[1], &user, 0);
	user_submit(&calls[1], 1);
	while (weir_sunrpc_client_error(user.client) != -ECONNREFUSED)
		sched_yield();
	assert_int_equal(weir_sunrpc_client_state(user.client), WEIR_SUNRPC_RECONNECTING);
	rpc_peer_restart(&user.peer);
	fd = connect_again(port);
	recv_again(fd, &seen);
	rpc_peer_answer(fd, seen.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	free(seen.raw);
	rpc_peer_recv(fd, &seen);
	rpc_peer_answer(fd, seen.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[1]), 0);
	assert_int_equal(weir_sunrpc_client_state(user.client), WEIR_SUNRPC_CONNECTED);
	free(seen.raw);
	close(fd);
}

static void
server_that_only_closes_is_not_stormed(void **state)
{
	struct rpc_peer_call seen;
	uint16_t port;
	int fd = connect_now(&port);
	struct timespec begin, end;

	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned int i = 0; i < 4; i++) {
		rpc_peer_reset(fd);
		fd = connect_again(port);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	/* At once, after 100, 200 and 400 ms. */
	assert_true(end.tv_sec * 1000 + end.tv_nsec / 1000000 - begin.tv_sec * 1000 -
					begin.tv_nsec / 1000000 >=
			690);
	recv_again(fd, &seen);
	rpc_peer_answer(fd, seen.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	free(seen.raw);
	close(fd);
}

static void
port_that_somebody_took_is_given_up_for_another(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd, thief = socket(AF_INET, SOCK_STREAM, 0);
	struct rpc_peer_call seen;
	uint16_t port, now;

	fd = connect_now(&port);
	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_stop(&user.peer);
	rpc_peer_reset(fd);
	while (weir_sunrpc_client_error(user.client) != -ECONNREFUSED)
		sched_yield();
	addr.sin_port = htons(port);
	/* The client may just be trying it. */
	while (bind(thief, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		assert_int_equal(errno, EADDRINUSE);
	assert_return_code(listen(thief, 1), errno);
	rpc_peer_restart(&user.peer);
	fd = rpc_peer_accept(&user.peer, &now);
	assert_int_not_equal(now, port);
	recv_again(fd, &seen);
	assert_int_equal(weir_sunrpc_port_changes(user.client), 1);
	rpc_peer_answer(fd, seen.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	free(seen.raw);
	/* The new one is as good as the old one was, and is kept. */
	rpc_peer_reset(fd);
	fd = connect_again(now);
	user_roundtrip(&user, fd);
	assert_int_equal(weir_sunrpc_port_changes(user.client), 1);
	close(thief);
	close(fd);
}

static void
reserved_port_is_one_and_is_kept(void **state)
{
	struct rpc_peer_call seen;
	uint16_t port;
	int fd;

	if (geteuid() != 0)
		skip();
	user.cfg.reserved_port = true;
	fd = connect_now(&port);
	assert_in_range(port, 512, 1023);
	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_reset(fd);
	fd = connect_again(port);
	recv_again(fd, &seen);
	rpc_peer_answer(fd, seen.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	free(seen.raw);
	close(fd);
}

static void
ipv6_does_what_ipv4_does(void **state)
{
	struct rpc_peer_call seen;
	uint16_t port;
	int fd;

	rpc_peer_stop(&user.peer);
	if (!rpc_peer_start(&user.peer, AF_INET6)) {
		user.peer.listen_fd = -1;
		skip();
	}
	fd = connect_now(&port);
	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_reset(fd);
	fd = connect_again(port);
	recv_again(fd, &seen);
	rpc_peer_answer(fd, seen.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	free(seen.raw);
	close(fd);
}

static void
other_families_are_refused(void **state)
{
	struct weir_sunrpc_client *client = NULL;

	weir_role_assume_control();
	user.cfg.addr.ss_family = AF_UNIX;
	user.cfg.addr_len = sizeof(user.cfg.addr);
	assert_int_equal(weir_sunrpc_client_create(&user.cfg, &client), -EAFNOSUPPORT);
	assert_null(client);
}

static void
connections_share_the_load(void **state)
{
	struct rpc_peer_call seen[2];
	int fd[2];

	user.cfg.nconnect = 2;
	assert_int_equal(user_start(&user), 0);
	fd[0] = rpc_peer_accept(&user.peer, NULL);
	fd[1] = rpc_peer_accept(&user.peer, NULL);
	/* Wait until both are known to be there: each has answered once. */
	for (unsigned int done = 0; done != 3;) {
		struct timeval soon = { .tv_usec = 20000 };
		uint8_t byte;

		user_call_init(&calls[0], &user, 0);
		user_submit(calls, 1);
		for (unsigned int i = 0;; i = !i) {
			setsockopt(fd[i], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
			if (recv(fd[i], &byte, 1, MSG_PEEK) != 1)
				continue;
			rpc_peer_recv(fd[i], &seen[0]);
			rpc_peer_answer(fd[i], seen[0].xid, NULL, 0);
			assert_int_equal(user_wait(&calls[0]), 0);
			free(seen[0].raw);
			done |= 1u << i;
			break;
		}
	}
	/* A large one on one of them; then small ones go to the other one. */
	user_call_init(&calls[0], &user, 2);
	calls[0].tx_len = 100000;
	for (unsigned int i = 1; i < 9; i++)
		user_call_init(&calls[i], &user, 0);
	user_submit(calls, 9);
	for (unsigned int i = 0; i < 2; i++) {
		rpc_peer_recv(fd[i], &seen[i]);
		rpc_peer_answer(fd[i], seen[i].xid, NULL, 0);
	}
	assert_int_not_equal(seen[0].proc, seen[1].proc);
	for (unsigned int i = 0; i < 7; i++) {
		int quick = seen[0].proc == 0 ? fd[0] : fd[1];
		struct rpc_peer_call call;

		rpc_peer_recv(quick, &call);
		rpc_peer_answer(quick, call.xid, NULL, 0);
		free(call.raw);
	}
	for (unsigned int i = 0; i < 9; i++)
		assert_int_equal(user_wait(&calls[i]), 0);
	for (unsigned int i = 0; i < 2; i++) {
		free(seen[i].raw);
		close(fd[i]);
	}
}

static void
more_calls_than_credits_wait_their_turn(void **state)
{
	static struct user_call many[200];
	struct rpc_peer_call seen;
	struct timeval soon = { .tv_usec = 50000 };
	uint8_t byte;
	int fd;

	user.cfg.max_calls = RTE_DIM(many);
	fd = connect_now(NULL);
	for (unsigned int i = 0; i < RTE_DIM(many); i++)
		user_call_init(&many[i], &user, 0);
	user_submit(many, RTE_DIM(many));
	for (unsigned int i = 0; i < RTE_DIM(many); i++) {
		if (i == 128) {
			/* Here only the answers make room, one for one. */
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
			assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), -1);
			soon.tv_sec = 10;
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
			for (unsigned int k = 0; k < 128; k++) {
				rpc_peer_answer(fd, seen.xid - 127 + k, NULL, 0);
				assert_int_equal(user_wait(&many[k]), 0);
			}
		}
		rpc_peer_recv(fd, &seen);
		free(seen.raw);
		if (i >= 128) {
			rpc_peer_answer(fd, seen.xid, NULL, 0);
			assert_int_equal(user_wait(&many[i]), 0);
		}
	}
	close(fd);
}

#define STORM_CALLS  8
#define STORM_RESETS 200
#define STORM_TX     100000
#define STORM_RX     50000

/* A server with a duplicate request cache: it knows what it has carried out by its xid. */
static struct {
	struct rpc_peer_call last[STORM_CALLS];
	unsigned int nb_submitted[STORM_CALLS], nb_carried_out[STORM_CALLS];
	uint32_t random;
} storm;

static uint32_t
storm_draw(uint32_t below)
{
	storm.random = storm.random * 1664525 + 1013904223;
	return (storm.random >> 8) % below;
}

static void
storm_submit(unsigned int i)
{
	user_call_init(&calls[i], &user, i % 2 == 0 ? USER_SPLIT : 2);
	calls[i].nb_args = i + 1;
	calls[i].tx_len = i % 2 == 0 ? 0 : STORM_TX;
	calls[i].rx_len = i % 2 == 0 ? STORM_RX : 0;
	calls[i].tx_off = calls[i].rx_off = i * STORM_TX;
	user_submit(&calls[i], 1);
	storm.nb_submitted[i]++;
}

/* Takes a call, known or new. @return its number. */
static unsigned int
storm_recv(int fd)
{
	struct rpc_peer_call seen;
	unsigned int i;

	rpc_peer_recv(fd, &seen);
	i = (unsigned int)(seen.args_len > STORM_TX ? seen.args_len - STORM_TX - 4 :
						      seen.args_len) /
					4 -
			1;
	assert_true(i < STORM_CALLS);
	if (storm.last[i].raw != NULL && storm.last[i].xid == seen.xid) {
		assert_int_equal(storm.last[i].raw_len, seen.raw_len);
		assert_memory_equal(storm.last[i].raw, seen.raw, seen.raw_len);
	} else {
		storm.nb_carried_out[i]++;
	}
	free(storm.last[i].raw);
	storm.last[i] = seen;
	return i;
}

/* Answers call i, but for the last cut bytes. */
static void
storm_answer(int fd, unsigned int i, size_t cut)
{
	size_t nb;
	uint8_t *results = user_payload(i % 2 == 0 ? STORM_RX : 0, &nb);
	uint8_t *body = malloc(nb + 64), *wire = malloc(nb + 64);

	nb = rpc_peer_frame(wire, body, rpc_peer_reply(body, storm.last[i].xid, results, nb), 0);
	rpc_peer_send(fd, wire, nb - RTE_MIN(cut, nb), 0);
	free(results);
	free(body);
	free(wire);
}

static void
storm_check(unsigned int i)
{
	assert_int_equal(user_wait(&calls[i]), 0);
	if (i % 2 != 0)
		return;
	assert_int_equal(calls[i].placed, STORM_RX);
	for (size_t b = 0; b < STORM_RX; b++)
		if (user.mem[calls[i].rx_off + b] != user_byte(b))
			fail_msg("byte %zu of call %u differs", b, i);
}

static void
resets_at_random_points_leave_each_call_done_once(void **state)
{
	uint16_t port;
	int fd = connect_now(&port);

	memset(&storm, 0, sizeof(storm));
	for (unsigned int i = 0; i < STORM_CALLS; i++)
		storm_submit(i);
	for (unsigned int round = 0; round < STORM_RESETS; round++) {
		unsigned int order[STORM_CALLS], nb = 0, answered;

		for (unsigned int i = 0; i < STORM_CALLS; i++)
			if (calls[i].nb_done == 0)
				nb++;
		for (unsigned int i = 0; i < nb; i++)
			order[i] = storm_recv(fd);
		for (unsigned int i = nb - 1; i > 0; i--)
			RTE_SWAP(order[i], order[storm_draw(i + 1)]);
		/* One whole answer at least, or the client would wait before it comes again. */
		answered = 1 + storm_draw(nb);
		for (unsigned int i = 0; i < answered; i++)
			storm_answer(fd, order[i], 0);
		if (answered < nb)
			storm_answer(fd, order[answered], 1 + storm_draw(STORM_RX));
		storm_check(order[0]);
		rpc_peer_reset(fd);
		fd = connect_again(port);
		/* The client has dealt with all that came before: what is done, is. */
		for (unsigned int i = 0; i < STORM_CALLS; i++) {
			if (calls[i].nb_done == 0)
				continue;
			if (i != order[0])
				storm_check(i);
			memset(user.mem + calls[i].rx_off, USER_GUARD, calls[i].rx_len);
			storm_submit(i);
		}
	}
	for (unsigned int i = 0; i < STORM_CALLS; i++)
		storm_answer(fd, storm_recv(fd), 0);
	for (unsigned int i = 0; i < STORM_CALLS; i++) {
		storm_check(i);
		assert_int_equal(storm.nb_carried_out[i], storm.nb_submitted[i]);
		free(storm.last[i].raw);
	}
	assert_int_equal(weir_sunrpc_reconnects(user.client), STORM_RESETS);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_at_any_byte_of_a_reply_is_survived),
		TEST(reply_that_came_before_the_reset_counts),
		TEST(unanswered_calls_are_sent_again_in_order),
		TEST(write_that_was_half_sent_is_sent_whole),
		TEST(length_that_nothing_has_closes_the_connection),
		TEST(soft_calls_fail_when_nobody_answers),
		TEST(soft_calls_fail_when_nobody_is_there),
		TEST(soft_call_that_was_answered_late_is_over),
		TEST(hard_calls_outlive_a_silent_server),
		TEST(call_that_the_server_forgot_is_sent_again),
		TEST(idle_connection_outlives_any_silence),
		TEST(server_that_comes_back_gets_what_it_owes),
		TEST(server_that_only_closes_is_not_stormed),
		TEST(port_that_somebody_took_is_given_up_for_another),
		TEST(reserved_port_is_one_and_is_kept),
		TEST(ipv6_does_what_ipv4_does),
		TEST(other_families_are_refused),
		TEST(connections_share_the_load),
		TEST(resets_at_random_points_leave_each_call_done_once),
		TEST(more_calls_than_credits_wait_their_turn),
	};
	int rc = user_group_start();

	if (rc != 0)
		return rc;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	user_group_stop();
	return rc;
}
