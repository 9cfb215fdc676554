/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * A guest goes away while its call is somewhere. From the moment that the client has let go, the
 * test writes to the guest's memory, as its next owner would: the server must not see that, and the
 * memory must not change any more.
 */

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sunrpc_fixture.h"

static struct user_call calls[8];

/* Memory is somebody else's from now on. */
static void
hand_over_memory(void)
{
	memset(user.mem, USER_GUARD, USER_MEM);
}

static void
check_memory_untouched(void)
{
	user_check_memory(&user, 0, 0, 0);
}

static void
detach_without_a_connection_cancels(void **state)
{
	rpc_peer_stop(&user.peer);
	assert_int_equal(user_start(&user), 0);
	user_call_init(&calls[0], &user, 2);
	calls[0].tx_len = 1000;
	user_submit(calls, 1);
	user_detach(&calls[0]);
	assert_int_equal(user_wait(&calls[0]), -ECANCELED);
}

static void
detach_before_it_is_sent_cancels(void **state)
{
	struct rpc_peer_call seen;
	int fd = connect_now(NULL);

	/* The first one fills the socket; of the two behind it one is detached, then the last. */
	for (unsigned int i = 0; i < 4; i++)
		user_call_init(&calls[i], &user, 2);
	calls[0].tx_len = USER_HUGE;
	calls[1].tx_len = 5000;
	calls[2].nb_args = 2;
	calls[3].tx_len = 5000;
	user_submit(calls, 4);
	user_detach(&calls[1]);
	user_detach(&calls[3]);
	assert_int_equal(user_wait(&calls[1]), -ECANCELED);
	assert_int_equal(user_wait(&calls[3]), -ECANCELED);
	rpc_peer_recv(fd, &seen);
	answer(fd, &seen, &calls[0]);
	rpc_peer_recv(fd, &seen);
	assert_int_equal(seen.args_len, 8);
	answer(fd, &seen, &calls[2]);
	user_roundtrip(&user, fd);
	close(fd);
}

static void
detach_half_sent_goes_on_from_a_copy(void **state)
{
	static const size_t seg_bytes[] = { 0, 8192 };

	for (unsigned int s = 0; s < RTE_DIM(seg_bytes); s++) {
		size_t len = seg_bytes[s] == 0 ? USER_HUGE - 1 : USER_MEM / 2;
		int fd = s == 0 ? connect_now(NULL) : rpc_peer_accept(&user.peer, NULL);
		struct rpc_peer_call seen;

		user_call_init(&calls[0], &user, 2);
		calls[0].tx_len = len;
		calls[0].seg_bytes = seg_bytes[s];
		user_call_init(&calls[1], &user, 0);
		user_fill(&user, 0, len, seg_bytes[s]);
		user_submit(calls, 2);
		user_detach(&calls[0]);
		hand_over_memory();
		rpc_peer_recv(fd, &seen);
		for (size_t i = 0; i < len; i++)
			if (seen.args[4 + i] != user_byte(i))
				fail_msg("byte %zu differs", i);
		rpc_peer_answer(fd, seen.xid, "four", 4);
		/* The results still come: what the server did has happened. */
		assert_int_equal(user_wait(&calls[0]), 0);
		assert_memory_equal(calls[0].results, "four", 4);
		free(seen.raw);
		rpc_peer_recv(fd, &seen);
		answer(fd, &seen, &calls[1]);
		rpc_peer_reset(fd);
	}
}

static void
detach_twice_half_sent_uses_the_copy_twice(void **state)
{
	struct rpc_peer_call seen;
	int fd = connect_now(NULL);

	for (unsigned int i = 0; i < 2; i++) {
		user_call_init(&calls[i], &user, 2);
		calls[i].tx_len = USER_HUGE;
	}
	for (unsigned int i = 0; i < 2; i++) {
		user_fill(&user, 0, USER_HUGE, 0);
		user_submit(&calls[i], 1);
		user_detach(&calls[i]);
		hand_over_memory();
		rpc_peer_recv(fd, &seen);
		for (size_t b = 0; b < USER_HUGE; b++)
			if (seen.args[4 + b] != user_byte(b))
				fail_msg("byte %zu differs", b);
		answer(fd, &seen, &calls[i]);
	}
	close(fd);
}

static void
detach_before_the_reply_throws_its_payload_away(void **state)
{
	static const size_t lengths[] = { 3000, 1000000 };
	int fd = connect_now(NULL);

	for (unsigned int i = 0; i < RTE_DIM(lengths); i++) {
		struct rpc_peer_call seen;
		size_t nb;
		uint8_t *results = user_payload(lengths[i], &nb);

		user_call_init(&calls[0], &user, USER_SPLIT);
		calls[0].rx_len = lengths[i];
		user_submit(calls, 1);
		rpc_peer_recv(fd, &seen);
		user_detach(&calls[0]);
		rpc_peer_answer(fd, seen.xid, results, nb);
		assert_int_equal(user_wait(&calls[0]), 0);
		assert_int_equal(calls[0].placed, 0);
		assert_int_equal(calls[0].nb_results, 8);
		check_memory_untouched();
		user_roundtrip(&user, fd);
		free(seen.raw);
		free(results);
	}
	close(fd);
}

/* Until the worker has put a byte of payload where the test looks. */
static void
await_byte(size_t at, uint8_t want)
{
	_Atomic uint8_t *byte = (_Atomic uint8_t *)(user.mem + at);

	while (atomic_load(byte) != want)
		sched_yield();
}

static void
detach_in_the_middle_of_the_reply_throws_the_rest_away(void **state)
{
	static const size_t lengths[] = { 6000, 1000000 };
	int fd = connect_now(NULL);

	for (unsigned int i = 0; i < RTE_DIM(lengths); i++) {
		size_t len = lengths[i], nb, half = 28 + 8 + len / 2;
		uint8_t *results = user_payload(len, &nb);
		uint8_t *body = malloc(nb + 64), *wire = malloc(nb + 64);
		struct rpc_peer_call seen;

		user_call_init(&calls[0], &user, USER_SPLIT);
		calls[0].rx_len = len;
		calls[0].rx_off = 10;
		user_submit(calls, 1);
		rpc_peer_recv(fd, &seen);
		nb = rpc_peer_frame(wire, body, rpc_peer_reply(body, seen.xid, results, nb), 0);
		/* A byte that is not the guard's is the last of the first part. */
		while (user_byte(half - 37) == USER_GUARD)
			half++;
		rpc_peer_send(fd, wire, half, 0);
		await_byte(10 + half - 37, user_byte(half - 37));
		user_detach(&calls[0]);
		hand_over_memory();
		rpc_peer_send(fd, wire + half, nb - half, 0);
		assert_int_equal(user_wait(&calls[0]), 0);
		assert_int_equal(calls[0].placed, 0);
		check_memory_untouched();
		user_roundtrip(&user, fd);
		free(seen.raw);
		free(results);
		free(body);
		free(wire);
	}
	close(fd);
}

static void
detach_in_the_middle_of_another_reply_spares_that(void **state)
{
	size_t len = 6000, nb, half = 28 + 8 + 3000;
	uint8_t *results = user_payload(len, &nb);
	uint8_t *body = malloc(nb + 64), *wire = malloc(nb + 64);
	struct rpc_peer_call seen[2];
	int fd = connect_now(NULL);

	for (unsigned int i = 0; i < 2; i++) {
		user_call_init(&calls[i], &user, USER_SPLIT);
		calls[i].rx_len = len;
		calls[i].rx_off = i * 10000;
	}
	user_submit(calls, 2);
	rpc_peer_recv(fd, &seen[0]);
	rpc_peer_recv(fd, &seen[1]);
	nb = rpc_peer_frame(wire, body, rpc_peer_reply(body, seen[0].xid, results, nb), 0);
	while (user_byte(half - 37) == USER_GUARD)
		half++;
	rpc_peer_send(fd, wire, half, 0);
	await_byte(half - 37, user_byte(half - 37));
	user_detach(&calls[1]);
	rpc_peer_send(fd, wire + half, nb - half, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	rpc_peer_answer(fd, seen[1].xid, results, 8 + len);
	assert_int_equal(user_wait(&calls[1]), 0);
	user_check_memory(&user, 0, len, 0);
	for (unsigned int i = 0; i < 2; i++)
		free(seen[i].raw);
	free(results);
	free(body);
	free(wire);
	close(fd);
}

static void
detached_call_is_not_sent_again(void **state)
{
	struct rpc_peer_call seen[3];
	int fd = connect_now(NULL);

	for (unsigned int i = 0; i < 3; i++)
		user_call_init(&calls[i], &user, 0);
	user_submit(calls, 2);
	rpc_peer_recv(fd, &seen[0]);
	rpc_peer_recv(fd, &seen[1]);
	user_detach(&calls[0]);
	rpc_peer_reset(fd);
	assert_int_equal(user_wait(&calls[0]), -ECANCELED);
	fd = rpc_peer_accept(&user.peer, NULL);
	rpc_peer_recv(fd, &seen[2]);
	assert_int_equal(seen[2].xid, seen[1].xid);
	rpc_peer_answer(fd, seen[2].xid, NULL, 0);
	assert_int_equal(user_wait(&calls[1]), 0);
	for (unsigned int i = 0; i < 3; i++)
		free(seen[i].raw);
	close(fd);
}

static void
detach_while_the_server_is_away_cancels(void **state)
{
	struct rpc_peer_call seen;
	int fd = connect_now(NULL);

	user_call_init(&calls[0], &user, 2);
	calls[0].tx_len = 1000;
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_stop(&user.peer);
	rpc_peer_reset(fd);
	while (weir_sunrpc_client_error(user.client) != -ECONNREFUSED)
		sched_yield();
	user_detach(&calls[0]);
	assert_int_equal(user_wait(&calls[0]), -ECANCELED);
	free(seen.raw);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sunrpc_setup, sunrpc_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(detach_without_a_connection_cancels),
		TEST(detach_before_it_is_sent_cancels),
		TEST(detach_half_sent_goes_on_from_a_copy),
		TEST(detach_twice_half_sent_uses_the_copy_twice),
		TEST(detach_before_the_reply_throws_its_payload_away),
		TEST(detach_in_the_middle_of_the_reply_throws_the_rest_away),
		TEST(detach_in_the_middle_of_another_reply_spares_that),
		TEST(detached_call_is_not_sent_again),
		TEST(detach_while_the_server_is_away_cancels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return sunrpc_main(run);
}
