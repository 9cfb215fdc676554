/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Connections from their port to their credits: families, reserved ports, several of them. */

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "sunrpc_fixture.h"

static struct user_call calls[64];

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
	answer(fd, &seen, &calls[0]);
	/* The new one is as good as the old one was, and is kept. */
	rpc_peer_reset(fd);
	fd = connect_again(now);
	user_roundtrip(&user, fd);
	assert_int_equal(weir_sunrpc_port_changes(user.client), 1);
	close(thief);
	close(fd);
}

/* A call on fd outlives a reset: it comes again from the same port. */
static void
check_comes_again(int fd, uint16_t port)
{
	struct rpc_peer_call seen;

	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_reset(fd);
	fd = connect_again(port);
	recv_again(fd, &seen);
	answer(fd, &seen, &calls[0]);
	close(fd);
}

static void
reserved_port_is_one_and_is_kept(void **state)
{
	uint16_t port;
	int fd;

	if (geteuid() != 0)
		skip();
	user.cfg.reserved_port = true;
	fd = connect_now(&port);
	assert_in_range(port, 512, 1023);
	check_comes_again(fd, port);
}

static void
ipv6_does_what_ipv4_does(void **state)
{
	uint16_t port;
	int fd;

	rpc_peer_stop(&user.peer);
	if (!rpc_peer_start(&user.peer, AF_INET6)) {
		user.peer.listen_fd = -1;
		skip();
	}
	fd = connect_now(&port);
	check_comes_again(fd, port);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, sunrpc_setup, sunrpc_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(port_that_somebody_took_is_given_up_for_another),
		TEST(reserved_port_is_one_and_is_kept),
		TEST(ipv6_does_what_ipv4_does),
		TEST(other_families_are_refused),
		TEST(connections_share_the_load),
		TEST(more_calls_than_credits_wait_their_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return sunrpc_main(run);
}
