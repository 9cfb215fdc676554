/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Payload over TCP: where in guest memory it comes from and goes to, and servers that lie. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir_memmap.h"

#include "sunrpc_fixture.h"

static struct user_call calls[64];

static void
write_payload_leaves_guest_pages_whole_and_padded(void **state)
{
	static const size_t lengths[] = { 1, 4096, (1u << 20) + 3 };
	static const uint8_t zeroes[3];
	int fd = connect_now(NULL);

	for (unsigned int i = 0; i < RTE_DIM(lengths); i++) {
		size_t len = lengths[i];
		struct rpc_peer_call seen;

		user_call_init(&calls[0], &user, 2);
		calls[0].nb_args = 1;
		calls[0].tx_off = 100;
		calls[0].tx_len = len;
		calls[0].seg_bytes = 1000;
		user_fill(&user, 100, len, 1000);
		user_submit(calls, 1);
		rpc_peer_recv(fd, &seen);
		assert_int_equal(seen.args_len, 8 + (len + 3) / 4 * 4);
		for (size_t at = 0; at < len; at++)
			if (seen.args[8 + at] != user_byte(at))
				fail_msg("byte %zu differs", at);
		assert_memory_equal(seen.args + 8 + len, zeroes, (size_t)-len % 4);
		answer(fd, &seen, &calls[0]);
	}
	close(fd);
}

/* One READ whose reply comes in fragments and segments of these sizes. */
static void
read_once(int fd, size_t len, size_t seg_bytes, size_t frag, size_t step)
{
	struct rpc_peer_call seen;
	size_t nb, nb_wire;
	uint8_t *results = user_payload(len, &nb);
	uint8_t *body = malloc(nb + 64), *wire = malloc(5 * (nb + 64));

	memset(user.mem, USER_GUARD, USER_CHECKED);
	user_call_init(&calls[0], &user, USER_SPLIT);
	calls[0].rx_off = 333;
	calls[0].rx_len = len + 50;
	calls[0].seg_bytes = seg_bytes;
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	nb_wire = rpc_peer_frame(wire, body, rpc_peer_reply(body, seen.xid, results, nb), frag);
	rpc_peer_send(fd, wire, nb_wire, step);
	assert_int_equal(user_wait(&calls[0]), 0);
	assert_int_equal(calls[0].placed, len);
	/* The results are what is before the payload. */
	assert_int_equal(calls[0].nb_results, 8);
	assert_memory_equal(calls[0].results, results, 8);
	user_check_memory(&user, 333, len, seg_bytes);
	free(seen.raw);
	free(results);
	free(body);
	free(wire);
}

static void
read_payload_lands_in_guest_pages_however_it_comes(void **state)
{
	static const size_t lengths[] = { 0, 1, 3001, 40002 }, sizes[] = { 0, 1, 5, 1000, 4096 };
	int fd = connect_now(NULL);

	for (unsigned int l = 0; l < RTE_DIM(lengths); l++)
		for (unsigned int f = 0; f < RTE_DIM(sizes); f++)
			for (unsigned int s = 0; s < RTE_DIM(sizes); s++)
				read_once(fd, lengths[l], s % 2 == 0 ? 0 : 777, sizes[f], sizes[s]);
	read_once(fd, 1u << 20, 0, 0, 0);
	read_once(fd, 1u << 20, 4096, 0, 0);
	read_once(fd, (1u << 20) - 1, 4096, 60000, 0);
	close(fd);
}

static void
read_replies_that_come_together_are_told_apart(void **state)
{
	struct rpc_peer_call seen[8];
	size_t len = 40000, nb, at = 0;
	uint8_t *results = user_payload(len, &nb);
	uint8_t *body = malloc(nb + 64), *wire = malloc(8 * (nb + 64));
	int fd = connect_now(NULL);

	/* Large and small replies alternate, so that what is read ahead is of the next one. */
	for (unsigned int i = 0; i < 8; i++) {
		user_call_init(&calls[i], &user, i % 2 == 0 ? USER_SPLIT : 0);
		calls[i].rx_off = i * 100000;
		calls[i].rx_len = i % 2 == 0 ? len : 0;
	}
	user_submit(calls, 8);
	for (unsigned int i = 0; i < 8; i++) {
		rpc_peer_recv(fd, &seen[i]);
		nb = rpc_peer_reply(body, seen[i].xid, results, i % 2 == 0 ? 8 + len : 100);
		at += rpc_peer_frame(wire + at, body, nb, 0);
	}
	rpc_peer_send(fd, wire, at, 0);
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(user_wait(&calls[i]), 0);
		assert_int_equal(calls[i].nb_results, i % 2 == 0 ? 8 : 100);
		assert_int_equal(calls[i].placed, i % 2 == 0 ? len : 0);
		if (i % 2 == 0)
			assert_memory_equal(user.mem + i * 100000, results + 8, len);
		assert_int_equal(user.mem[i * 100000 + len], USER_GUARD);
		free(seen[i].raw);
	}
	free(results);
	free(body);
	free(wire);
	close(fd);
}

/* A reply of USER_SPLIT to a call for rx_len bytes. @return how the call ended. */
static int
lie(int fd, size_t rx_len, const void *results, size_t nb, size_t frag)
{
	uint8_t *body = malloc(nb + 64), *wire = malloc(5 * (nb + 64));
	struct rpc_peer_call seen;

	user_call_init(&calls[0], &user, USER_SPLIT);
	calls[0].rx_len = rx_len;
	user_submit(calls, 1);
	rpc_peer_recv(fd, &seen);
	nb = rpc_peer_reply(body, seen.xid, results, nb);
	rpc_peer_send(fd, wire, rpc_peer_frame(wire, body, nb, frag), 0);
	free(seen.raw);
	free(body);
	free(wire);
	return user_wait(&calls[0]);
}

static void
server_that_lies_about_payload_is_found_out(void **state)
{
	int fd = connect_now(NULL);
	size_t nb;
	uint8_t *results = user_payload(2000, &nb);
	static const size_t frags[] = { 0, 100 };

	for (unsigned int i = 0; i < RTE_DIM(frags); i++) {
		/* More than was asked for. */
		assert_int_equal(lie(fd, 1999, results, nb, frags[i]), -EBADMSG);
		assert_int_equal(user.mem[0], USER_GUARD);
		/* Less than it says. */
		assert_int_equal(lie(fd, 3000, results, nb - 1, frags[i]), -EBADMSG);
		assert_int_equal(lie(fd, 3000, results, 1000, frags[i]), -EBADMSG);
		assert_int_equal(user.mem[2000], USER_GUARD);
		/* Less than it takes to say anything. */
		assert_int_equal(lie(fd, 3000, results, 7, frags[i]), -EBADMSG);
		assert_int_equal(lie(fd, 3000, results, 0, frags[i]), -EBADMSG);
		/* Lengths that overflow. */
		memset(results + 4, 0xff, 4);
		assert_int_equal(lie(fd, 3000, results, nb, frags[i]), -EBADMSG);
		free(results);
		results = user_payload(2000, &nb);
		memset(user.mem, USER_GUARD, 4000);
	}
	free(results);
	/* It was worth no more than those calls: the connection is the same. */
	user_roundtrip(&user, fd);
	user_check_memory(&user, 0, 0, 0);
	assert_int_equal(weir_sunrpc_reconnects(user.client), 0);
	close(fd);
}

/* A guest that truncates the file behind its memory, as the kernel sees it: -EFAULT. */
static void
guest_without_memory_spoils_only_its_own_calls(void **state)
{
	struct weir_memmap *good = user.map, *bad;
	struct weir_memmap_src src = { .size = 1u << 20, .fd = memfd_create("guest", 0) };
	struct rpc_peer_call seen[4];
	int fd = connect_now(NULL);
	size_t nb;
	uint8_t *results = user_payload(40000, &nb);

	assert_int_equal(weir_memmap_guard_install(), 0);
	assert_return_code(ftruncate(src.fd, (off_t)src.size), errno);
	assert_int_equal(weir_memmap_create(&src, 1, &bad), 0);
	assert_return_code(ftruncate(src.fd, 4096), errno);
	close(src.fd);
	for (unsigned int i = 0; i < 4; i++)
		user_call_init(&calls[i], &user, i % 2 == 0 ? 2 : USER_SPLIT);
	/* A write and a read of the guest's, each beside one of somebody else's. */
	calls[0].tx_len = 40000;
	calls[1].rx_len = 40000;
	calls[2].tx_len = 40000;
	calls[3].rx_len = 40000;
	calls[3].rx_off = 60000;
	user_fill(&user, 0, 40000, 0);
	user.map = bad;
	user_submit(calls, 2);
	user.map = good;
	user_submit(calls + 2, 2);
	for (unsigned int i = 0; i < 4; i++)
		rpc_peer_recv(fd, &seen[i]);
	assert_memory_equal(seen[2].args + 4, user.mem, 40000);
	for (unsigned int i = 0; i < 4; i++)
		rpc_peer_answer(fd, seen[i].xid, results, i % 2 == 0 ? 0 : nb);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(user_wait(&calls[i]), 0);
		free(seen[i].raw);
	}
	assert_memory_equal(user.mem + 60000, results + 8, 40000);
	assert_int_equal(weir_sunrpc_reconnects(user.client), 0);
	weir_memmap_put(bad);
	free(results);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sunrpc_setup, sunrpc_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(write_payload_leaves_guest_pages_whole_and_padded),
		TEST(read_payload_lands_in_guest_pages_however_it_comes),
		TEST(read_replies_that_come_together_are_told_apart),
		TEST(server_that_lies_about_payload_is_found_out),
		TEST(guest_without_memory_spoils_only_its_own_calls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return sunrpc_main(run);
}
