/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Calls and replies over TCP: what is on the wire, which reply is whose, and refusals. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_byteorder.h>

#include "sunrpc_fixture.h"

static struct user_call calls[64];

static void
call_on_the_wire_is_what_rfc_5531_says(void **state)
{
	const struct weir_sunrpc_cred cred = {
		.uid = 1000, .gid = 100, .nb_groups = 3, .groups = { 7, 8, 9 }
	};
	static const uint8_t args[] = { 0, 0, 0, 1, 0, 0, 0, 2 };
	int fd = connect_now(NULL);
	struct rpc_peer_call seen;

	user_call_init(&calls[0], &user, 3);
	calls[0].cred = &cred;
	calls[0].nb_args = 2;
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	assert_int_equal(seen.program, USER_PROGRAM);
	assert_int_equal(seen.version, USER_VERSION);
	assert_int_equal(seen.proc, 3);
	assert_int_equal(seen.flavor, 1);
	assert_int_equal(seen.uid, 1000);
	assert_int_equal(seen.gid, 100);
	assert_int_equal(seen.nb_groups, 3);
	assert_int_equal(seen.groups[2], 9);
	assert_int_equal(seen.args_len, sizeof(args));
	assert_memory_equal(seen.args, args, sizeof(args));
	rpc_peer_answer(fd, seen.xid, "results!", 8);
	assert_int_equal(user_wait(&calls[0]), 0);
	assert_int_equal(calls[0].nb_results, 8);
	assert_memory_equal(calls[0].results, "results!", 8);
	free(seen.raw);

	/* Without credential, and with arguments for which a small buffer is too small. */
	user_call_init(&calls[0], &user, 0);
	calls[0].nb_args = WEIR_SUNRPC_ARGS_MAX / 4;
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	assert_int_equal(seen.flavor, 0);
	assert_int_equal(seen.args_len, WEIR_SUNRPC_ARGS_MAX);
	rpc_peer_answer(fd, seen.xid, NULL, 0);
	assert_int_equal(user_wait(&calls[0]), 0);
	assert_int_equal(calls[0].nb_results, 0);
	free(seen.raw);
	close(fd);
}

static void
each_call_carries_its_own_credential(void **state)
{
	static const struct weir_sunrpc_cred creds[] = {
		{ .uid = 1, .gid = 2 },
		{ .uid = 1, .gid = 3 },
		{ .uid = 4, .gid = 3 },
		{ .uid = 4, .gid = 3, .nb_groups = 2, .groups = { 5, 6 } },
		{ .uid = 4, .gid = 3, .nb_groups = 2, .groups = { 5, 7 } },
		{ .uid = 4, .gid = 3, .nb_groups = 1, .groups = { 5 } },
	};
	static const int order[] = { 0, 0, 1, 1, 2, -1, 2, 3, 3, 4, 5, -1, 5, 0 };
	struct rpc_peer_call seen;
	int fd = connect_now(NULL);

	for (unsigned int i = 0; i < RTE_DIM(order); i++) {
		const struct weir_sunrpc_cred *cred = order[i] < 0 ? NULL : &creds[order[i]];

		user_call_init(&calls[0], &user, i % 2 * 2);
		calls[0].cred = cred;
		calls[0].nb_args = 2;
		user_submit(calls, 1);
		rpc_peer_recv(fd, &seen);
		assert_int_equal(seen.proc, i % 2 * 2);
		assert_int_equal(seen.flavor, cred != NULL);
		if (cred != NULL) {
			assert_int_equal(seen.uid, cred->uid);
			assert_int_equal(seen.gid, cred->gid);
			assert_int_equal(seen.nb_groups, cred->nb_groups);
			assert_memory_equal(seen.groups, cred->groups, 4 * cred->nb_groups);
		}
		assert_int_equal(seen.args_len, 8);
		answer(fd, &seen, &calls[0]);
	}
	close(fd);
}

static void
replies_in_any_order_find_their_calls(void **state)
{
	struct rpc_peer_call seen[32];
	int fd = connect_now(NULL);

	for (unsigned int i = 0; i < 32; i++)
		user_call_init(&calls[i], &user, i % 2 == 0 ? 0 : 2);
	user_submit(calls, 32);
	for (unsigned int i = 0; i < 32; i++) {
		rpc_peer_recv(fd, &seen[i]);
		assert_int_equal(seen[i].proc, calls[i].proc);
	}
	for (unsigned int i = 32; i-- > 0;) {
		rte_be32_t number = rte_cpu_to_be_32(i);

		rpc_peer_answer(fd, seen[i].xid, &number, sizeof(number));
	}
	for (unsigned int i = 0; i < 32; i++) {
		assert_int_equal(user_wait(&calls[i]), 0);
		assert_int_equal(calls[i].results[3], i);
		free(seen[i].raw);
	}
	assert_int_equal(weir_counter_get(&weir_sunrpc_stats(user.client, 0)->calls), 16);
	assert_int_equal(weir_counter_get(&weir_sunrpc_stats(user.client, 2)->replies), 16);
	assert_int_equal(weir_counter_get(&weir_sunrpc_stats(user.client, 2)->errors), 0);
	close(fd);
}

static void
reply_longer_than_any_may_be_ends_its_call_only(void **state)
{
	size_t nb = WEIR_SUNRPC_REPLY_MAX + 1000;
	uint8_t *junk = calloc(1, nb);
	struct rpc_peer_call seen;
	int fd = connect_now(NULL);

	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_answer(fd, seen.xid, junk, nb);
	assert_int_equal(user_wait(&calls[0]), -EBADMSG);
	free(seen.raw);
	/* The longest that may be. */
	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_answer(fd, seen.xid, junk, WEIR_SUNRPC_REPLY_MAX - 24);
	assert_int_equal(user_wait(&calls[0]), 0);
	assert_int_equal(calls[0].nb_results, WEIR_SUNRPC_REPLY_MAX - 24);
	free(seen.raw);
	user_roundtrip(&user, fd);
	free(junk);
	close(fd);
}

static void
replies_that_nobody_waits_for_are_thrown_away(void **state)
{
	static const uint8_t empty[] = { 0x80, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0 };
	static const uint8_t tiny[] = { 0x80, 0, 0, 3, 1, 2, 3 };
	static const uint8_t junk[5000];
	uint8_t call_back[28] = { 0x80, 0, 0, 24 };
	int fd = connect_now(NULL);
	struct rpc_peer_call seen;

	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_answer(fd, seen.xid + 1, junk, sizeof(junk));
	rpc_peer_answer(fd, seen.xid ^ 0x80000000, junk, 100);
	rpc_peer_send(fd, empty, sizeof(empty), 0);
	rpc_peer_send(fd, tiny, sizeof(tiny), 0);
	/* A call instead of a reply, with the right xid. */
	memcpy(call_back + 4, seen.raw, 4);
	rpc_peer_send(fd, call_back, sizeof(call_back), 0);
	rpc_peer_answer(fd, seen.xid, "good", 4);
	rpc_peer_answer(fd, seen.xid, "again", 4);
	assert_int_equal(user_wait(&calls[0]), 0);
	assert_memory_equal(calls[0].results, "good", 4);
	user_roundtrip(&user, fd);
	assert_int_equal(calls[0].nb_done, 1);
	free(seen.raw);
	close(fd);
}

static void
reply_to_a_call_that_was_not_sent_is_thrown_away(void **state)
{
	int fd = connect_now(NULL);
	struct rpc_peer_call seen;

	/* The first one does not fit the sockets, so the second one is still here; xids count up. */
	user_call_init(&calls[0], &user, 2);
	calls[0].tx_len = USER_HUGE;
	user_call_init(&calls[1], &user, 0);
	user_call_init(&calls[2], &user, 0);
	user_submit(&calls[2], 1);
	rpc_peer_recv(fd, &seen);
	user_submit(calls, 2);
	rpc_peer_answer(fd, seen.xid + 1, "hasty", 4);
	rpc_peer_answer(fd, seen.xid + 2, "hasty", 4);
	rpc_peer_answer(fd, seen.xid, "good", 4);
	assert_int_equal(user_wait(&calls[2]), 0);
	assert_int_equal(calls[0].nb_done, 0);
	assert_int_equal(calls[1].nb_done, 0);
	free(seen.raw);
	for (unsigned int i = 0; i < 2; i++) {
		rpc_peer_recv(fd, &seen);
		rpc_peer_answer(fd, seen.xid, "good", 4);
		assert_int_equal(user_wait(&calls[i]), 0);
		assert_memory_equal(calls[i].results, "good", 4);
		free(seen.raw);
	}
	close(fd);
}

static void
refusals_end_calls_with_their_errno(void **state)
{
	static const struct {
		uint32_t words[6]; /* behind the xid */
		uint32_t nb;
		int rc;
	} refusals[] = {
		{ { 1, 0, 0, 0, 1 }, 5, -EPROTONOSUPPORT }, /* no such program */
		{ { 1, 0, 0, 0, 2 }, 5, -EPROTONOSUPPORT }, /* version */
		{ { 1, 0, 0, 0, 3 }, 5, -EPROTONOSUPPORT }, /* procedure */
		{ { 1, 0, 0, 0, 4 }, 5, -EBADMSG }, /* arguments */
		{ { 1, 0, 0, 0, 5 }, 5, -EIO }, /* system error */
		{ { 1, 0, 0, 0, 6 }, 5, -EBADMSG },
		{ { 1, 0, 0, 4, 0, 5 }, 6, -EIO }, /* with a verifier */
		{ { 1, 0, 0, 404, 0, 0 }, 6, -EBADMSG }, /* that is too long */
		{ { 1, 0, 0, 0 }, 4, -EBADMSG }, /* and goes no further */
		{ { 1, 1, 0, 2, 2 }, 5, -EPROTONOSUPPORT }, /* RPC version */
		{ { 1, 1, 1, 5 }, 4, -EACCES }, /* credential */
		{ { 1, 1, 2 }, 3, -EBADMSG },
		{ { 1, 2 }, 2, -EBADMSG },
		{ { 1 }, 1, -EBADMSG },
	};
	int fd = connect_now(NULL);

	for (unsigned int i = 0; i < 2 * RTE_DIM(refusals); i++) {
		const uint32_t *words = refusals[i / 2].words, nb = refusals[i / 2].nb;
		uint8_t body[32], wire[40];
		struct rpc_peer_call seen;

		/* With and without payload expected: two ways through the code. */
		user_call_init(&calls[0], &user, i % 2 == 0 ? 0 : USER_SPLIT);
		user_submit(calls, 1);
		rpc_peer_recv(fd, &seen);
		memcpy(body, seen.raw, 4);
		for (uint32_t w = 0; w < nb; w++) {
			rte_be32_t be = rte_cpu_to_be_32(words[w]);

			memcpy(body + 4 + 4 * w, &be, sizeof(be));
		}
		rpc_peer_send(fd, wire, rpc_peer_frame(wire, body, 4 + 4 * nb, 0), 0);
		assert_int_equal(user_wait(&calls[0]), refusals[i / 2].rc);
		free(seen.raw);
	}
	assert_int_equal(weir_counter_get(&weir_sunrpc_stats(user.client, 0)->errors),
			RTE_DIM(refusals));
	user_roundtrip(&user, fd);
	close(fd);
}

static void
pool_that_is_empty_says_so_and_recovers(void **state)
{
	struct rpc_peer_call seen[4];
	int fd;

	user.cfg.max_calls = 4;
	fd = connect_now(NULL);
	for (unsigned int i = 0; i < 5; i++)
		user_call_init(&calls[i], &user, 0);
	user_submit(calls, 5);
	assert_false(calls[3].no_room);
	assert_true(calls[4].no_room);
	for (unsigned int i = 0; i < 4; i++)
		rpc_peer_recv(fd, &seen[i]);
	rpc_peer_answer(fd, seen[2].xid, NULL, 0);
	assert_int_equal(user_wait(&calls[2]), 0);
	user_roundtrip(&user, fd);
	for (unsigned int i = 0; i < 4; i++) {
		rpc_peer_answer(fd, seen[i].xid, NULL, 0);
		if (i != 2)
			assert_int_equal(user_wait(&calls[i]), 0);
		free(seen[i].raw);
	}
	close(fd);
}

static void
call_that_does_not_fit_is_refused_and_not_sent(void **state)
{
	int fd = connect_now(NULL);

	user_call_init(&calls[0], &user, 0);
	calls[0].nb_args = WEIR_SUNRPC_ARGS_MAX / 4 + 100;
	user_call_init(&calls[1], &user, 2);
	calls[1].tx_len = user.cfg.max_payload + 1;
	user_submit(calls, 2);
	assert_int_equal(user_wait(&calls[0]), -EINVAL);
	assert_int_equal(user_wait(&calls[1]), -EINVAL);
	user_roundtrip(&user, fd);
	close(fd);
}

static void
calls_in_progress_end_when_the_client_stops(void **state)
{
	int fd = connect_now(NULL);
	struct rpc_peer_call seen;

	/* One is answered by nobody, one is half sent, one waits behind it. */
	for (unsigned int i = 0; i < 3; i++)
		user_call_init(&calls[i], &user, 2);
	calls[1].tx_len = USER_HUGE;
	user_submit(calls, 3);
	rpc_peer_recv(fd, &seen);
	user_stop_client(&user);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(user_wait(&calls[i]), -ECANCELED);
	free(seen.raw);
	close(fd);
}

static void
call_that_is_sent_again_says_so(void **state)
{
	int fd = connect_now(NULL);
	struct rpc_peer_call seen, again;

	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_answer(fd, seen.xid, "once", 4);
	assert_int_equal(user_wait(&calls[0]), 0);
	assert_false(calls[0].call.resent);
	free(seen.raw);

	user_call_init(&calls[0], &user, 0);
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_reset(fd);
	fd = rpc_peer_accept(&user.peer, NULL);
	rpc_peer_recv(fd, &again);
	assert_int_equal(again.xid, seen.xid);
	rpc_peer_answer(fd, again.xid, "twice", 5);
	assert_int_equal(user_wait(&calls[0]), 0);
	assert_true(calls[0].call.resent);
	free(seen.raw);
	free(again.raw);
	close(fd);
}

static void
client_out_of_bounds_is_refused(void **state)
{
	const struct weir_sunrpc_cfg good = user.cfg;

	user.cfg.nconnect = 0;
	assert_int_equal(user_start(&user), -EINVAL);
	user.cfg.nconnect = WEIR_SUNRPC_MAX_CONNECTS + 1;
	assert_int_equal(user_start(&user), -EINVAL);
	user.cfg = good;
	user.cfg.max_calls = 0;
	assert_int_equal(user_start(&user), -EINVAL);
	user.cfg = good;
	user.cfg.timeo_ms = 0;
	assert_int_equal(user_start(&user), -EINVAL);
	user.cfg = good;
	user.cfg.xprt = "carrier pigeon";
	assert_int_equal(user_start(&user), -ENOENT);
	assert_null(user.client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sunrpc_setup, sunrpc_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(call_on_the_wire_is_what_rfc_5531_says),
		TEST(each_call_carries_its_own_credential),
		TEST(replies_in_any_order_find_their_calls),
		TEST(reply_longer_than_any_may_be_ends_its_call_only),
		TEST(replies_that_nobody_waits_for_are_thrown_away),
		TEST(reply_to_a_call_that_was_not_sent_is_thrown_away),
		TEST(refusals_end_calls_with_their_errno),
		TEST(pool_that_is_empty_says_so_and_recovers),
		TEST(call_that_does_not_fit_is_refused_and_not_sent),
		TEST(calls_in_progress_end_when_the_client_stops),
		TEST(call_that_is_sent_again_says_so),
		TEST(client_out_of_bounds_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return sunrpc_main(run);
}
