/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Connections that break, at any byte of what is sent and received. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "sunrpc_fixture.h"

static struct user_call calls[64];

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
	answer(fd, &seen, &calls[0]);
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
	answer(fd, &seen, &calls[0]);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, sunrpc_setup, sunrpc_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_at_any_byte_of_a_reply_is_survived),
		TEST(reply_that_came_before_the_reset_counts),
		TEST(unanswered_calls_are_sent_again_in_order),
		TEST(write_that_was_half_sent_is_sent_whole),
		TEST(length_that_nothing_has_closes_the_connection),
		TEST(resets_at_random_points_leave_each_call_done_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return sunrpc_main(run);
}
