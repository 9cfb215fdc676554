/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Servers that are silent, forgetful or away, and calls that wait for them or do not. */

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sunrpc_fixture.h"

static struct user_call calls[64];

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
	answer(fd, &seen, &calls[0]);
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
	answer(fd, &seen, &calls[0]);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sunrpc_setup, sunrpc_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(soft_calls_fail_when_nobody_answers),
		TEST(soft_calls_fail_when_nobody_is_there),
		TEST(soft_call_that_was_answered_late_is_over),
		TEST(hard_calls_outlive_a_silent_server),
		TEST(call_that_the_server_forgot_is_sent_again),
		TEST(idle_connection_outlives_any_silence),
		TEST(server_that_comes_back_gets_what_it_owes),
		TEST(server_that_only_closes_is_not_stormed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return sunrpc_main(run);
}
