/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_byteorder.h>

#include "weir_loop.h"

#include "eal.h"
#include "sunrpc_user.h"

#define NEVER_S 10

/*
 * A network of our own, where nobody takes a port while it is given up and taken again. Without the
 * privilege for it the host's has to do.
 */
static void
own_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		abort();
	close(fd);
}

int
user_group_start(void)
{
	const struct weir_workers_cfg cfg = { .idle = WEIR_IDLE_ADAPTIVE, .spin_us = 50 };

	own_network();
	weir_role_assume_control();
	if (weir_loop_init() < 0 || test_eal_init("(0,1)@(0,1)") < 0)
		return 77;
	return weir_workers_start(&cfg) < 0 ? 77 : 0;
}

void
user_group_stop(void)
{
	weir_role_assume_control();
	weir_workers_stop();
	weir_loop_fini();
	test_eal_fini();
}

void
user_init(struct user *user)
{
	memset(user, 0, sizeof(*user));
	user->map = calloc(1, sizeof(*user->map) + sizeof(user->map->regions[0]));
	user->mem = malloc(USER_MEM);
	assert_non_null(user->map);
	assert_non_null(user->mem);
	memset(user->mem, USER_GUARD, USER_MEM);
	user->map->nb_regions = 1;
	user->map->regions[0] = (struct weir_mem_region){ .size = USER_MEM, .addr = user->mem };
	user->cfg = (struct weir_sunrpc_cfg){
		.name = "test",
		.xprt = "tcp",
		.program = USER_PROGRAM,
		.version = USER_VERSION,
		.nb_procs = USER_PROCS,
		.nconnect = 1,
		.max_calls = 64,
		.max_payload = USER_HUGE,
		.timeo_ms = 60000,
		.hard = true,
	};
	assert_true(rpc_peer_start(&user->peer, AF_INET));
}

static void
user_address(struct user *user)
{
	if (user->peer.family == AF_INET6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&user->cfg.addr;

		*in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
			.sin6_port = htons(user->peer.port),
			.sin6_addr = in6addr_loopback };
		user->cfg.addr_len = sizeof(*in6);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&user->cfg.addr;

		*in = (struct sockaddr_in){ .sin_family = AF_INET,
			.sin_port = htons(user->peer.port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		user->cfg.addr_len = sizeof(*in);
	}
}

static void
start_on_worker(void *arg)
{
	struct user *user = arg;

	weir_role_assume_worker();
	weir_sunrpc_client_start(user->client);
}

int
user_start(struct user *user)
{
	int rc;

	weir_role_assume_control();
	user_address(user);
	rc = weir_sunrpc_client_create(&user->cfg, &user->client);
	if (rc == 0)
		weir_worker_sync(weir_worker_at(0), start_on_worker, user);
	return rc;
}

static void
stop_on_worker(void *arg)
{
	struct user *user = arg;

	weir_role_assume_worker();
	weir_sunrpc_client_stop(user->client);
}

void
user_stop_client(struct user *user)
{
	weir_role_assume_control();
	weir_worker_sync(weir_worker_at(0), stop_on_worker, user);
	weir_sunrpc_client_destroy(user->client);
	user->client = NULL;
}

void
user_stop(struct user *user)
{
	if (user->client != NULL)
		user_stop_client(user);
	rpc_peer_stop(&user->peer);
	free(user->map);
	free(user->mem);
}

void
user_call_init(struct user_call *call, struct user *user, uint32_t proc)
{
	memset(call, 0, sizeof(*call));
	call->user = user;
	call->proc = proc;
	sem_init(&call->ended, 0, 0);
	sem_init(&call->let_go, 0, 0);
}

static uint32_t
get_word(const uint8_t *p)
{
	rte_be32_t be;

	memcpy(&be, p, sizeof(be));
	return rte_be_to_cpu_32(be);
}

static int
user_split(struct weir_sunrpc_call *call, const uint8_t *results, uint32_t nb, uint32_t *off,
		uint32_t *len)
{
	if (nb < 4)
		return -EAGAIN;
	*len = 0;
	if (get_word(results) != 0)
		return 0;
	if (nb < 8)
		return -EAGAIN;
	*off = 8;
	*len = get_word(results + 4);
	return 0;
}

static void
user_done(struct weir_sunrpc_call *base, int rc, struct weir_xdr_dec *results)
{
	struct user_call *call = container_of(base, struct user_call, call);

	call->rc = rc;
	call->placed = base->placed;
	if (rc == 0) {
		call->nb_results = results->len;
		memcpy(call->results, results->buf, RTE_MIN(results->len, sizeof(call->results)));
	}
	call->nb_done++;
	sem_post(&call->ended);
}

/* Segments of a payload. @return how many. */
static uint32_t
user_segs(struct weir_seg *segs, size_t off, size_t len, size_t seg_bytes)
{
	uint32_t nb = 0;

	if (seg_bytes == 0)
		seg_bytes = len;
	for (; len > 0; off += 2 * seg_bytes) {
		assert_true(nb < USER_SEGS);
		segs[nb] = (struct weir_seg){ .off = off,
			.len = (uint32_t)RTE_MIN(len, seg_bytes) };
		len -= segs[nb++].len;
	}
	return nb;
}

struct submission {
	struct user_call *calls;
	unsigned int nb;
};

static void
submit_one(struct user_call *call)
{
	struct weir_xdr_enc *enc;
	struct weir_iov iov;

	weir_role_assume_worker();
	enc = weir_sunrpc_prepare(call->user->client, &call->call, call->proc, call->cred,
			(call->nb_args + 1) * 4);
	call->no_room = enc == NULL;
	if (enc == NULL)
		return;
	for (uint32_t i = 1; i <= call->nb_args; i++)
		weir_xdr_put_u32(enc, i);
	weir_iov_init(&iov, call->user->map, call->segs,
			user_segs(call->segs, call->tx_len > 0 ? call->tx_off : call->rx_off,
					RTE_MAX(call->tx_len, call->rx_len), call->seg_bytes));
	if (call->tx_len > 0) {
		weir_xdr_put_u32(enc, (uint32_t)call->tx_len);
		call->call.tx = iov;
	} else if (call->rx_len > 0) {
		call->call.rx = iov;
	}
	call->call.split = call->proc == USER_SPLIT ? user_split : NULL;
	call->call.done = user_done;
	weir_sunrpc_submit(&call->call);
}

static void
submit_on_worker(void *arg)
{
	struct submission *s = arg;

	for (unsigned int i = 0; i < s->nb; i++)
		submit_one(&s->calls[i]);
}

void
user_submit(struct user_call *calls, unsigned int nb)
{
	struct submission s = { .calls = calls, .nb = nb };

	weir_worker_sync(weir_worker_at(0), submit_on_worker, &s);
}

static void
user_fenced(struct weir_sunrpc_call *base)
{
	container_of(base, struct user_call, call)->nb_fenced++;
}

static void
detach_on_worker(void *arg)
{
	struct user_call *call = arg;

	weir_role_assume_worker();
	weir_sunrpc_detach(&call->call, user_fenced);
}

void
user_detach(struct user_call *call)
{
	weir_worker_sync(weir_worker_at(0), detach_on_worker, call);
	/* TCP lets go at once. */
	assert_int_equal(call->nb_fenced, 1);
}

int
user_wait(struct user_call *call)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += NEVER_S;
	assert_int_equal(sem_clockwait(&call->ended, CLOCK_MONOTONIC, &until), 0);
	assert_int_equal(call->nb_done, 1);
	return call->rc;
}

void
user_roundtrip(struct user *user, int fd)
{
	static const uint8_t results[] = { 1, 2, 3, 4 };
	struct user_call *call = calloc(1, sizeof(*call));
	struct rpc_peer_call seen;

	assert_non_null(call);
	user_call_init(call, user, 0);
	user_submit(call, 1);
	rpc_peer_recv(fd, &seen);
	rpc_peer_answer(fd, seen.xid, results, sizeof(results));
	assert_int_equal(user_wait(call), 0);
	assert_int_equal(call->nb_results, sizeof(results));
	assert_memory_equal(call->results, results, sizeof(results));
	free(seen.raw);
	free(call);
}

/* Which byte of payload is at off + i; false: none, but the guard. */
static bool
user_payload_at(size_t i, size_t len, size_t seg_bytes, size_t *byte)
{
	*byte = i;
	if (seg_bytes == 0)
		return i < len;
	*byte = i / (2 * seg_bytes) * seg_bytes + i % seg_bytes;
	return i / seg_bytes % 2 == 0 && *byte < len;
}

void
user_fill(struct user *user, size_t off, size_t len, size_t seg_bytes)
{
	size_t byte;

	for (size_t i = 0; off + i < USER_MEM; i++)
		if (user_payload_at(i, len, seg_bytes, &byte))
			user->mem[off + i] = user_byte(byte);
}

void
user_check_memory(const struct user *user, size_t off, size_t len, size_t seg_bytes)
{
	size_t byte;

	for (size_t i = 0; i < USER_CHECKED; i++) {
		uint8_t want = USER_GUARD;

		if (i >= off && user_payload_at(i - off, len, seg_bytes, &byte))
			want = user_byte(byte);
		if (user->mem[i] != want)
			fail_msg("byte %zu is 0x%02x, not 0x%02x", i, user->mem[i], want);
	}
}

uint8_t *
user_payload(size_t len, size_t *nb)
{
	uint8_t *results = calloc(1, 8 + len + 3);
	rte_be32_t be = rte_cpu_to_be_32((uint32_t)len);

	assert_non_null(results);
	memcpy(results + 4, &be, sizeof(be));
	for (size_t i = 0; i < len; i++)
		results[8 + i] = user_byte(i);
	*nb = 8 + (len + 3) / 4 * 4;
	return results;
}
