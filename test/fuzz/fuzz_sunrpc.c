/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Takes the input for what a server sends on one connection: record marks, RPC headers, payload. The
 * first byte says in steps of how many bytes it comes. Holds: the outcome does not depend on the
 * steps; each call ends once; nothing is written but to a call's own payload, and not even there
 * once it was detached.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_common.h>

#include "../../drivers/xprt/tcp/tcp.h"
#include "../unit/eal.h"
#include "fuzz.h"
#include "sunrpc.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

#define FIRST_XID   0x100
#define NB_CALLS    6
#define DETACHED    5
#define AREA        34000 /* of memory, for each call */
#define GUARD       0xa5
#define MAX_PAYLOAD 33000
#define MAX_VECS    8

/* Head only; payload that is small, large, unaligned; and one call whose guest is gone. */
static const uint32_t rx_len[NB_CALLS] = { 0, 0, 4096, 33000, 333, 33000 };

struct outcome {
	uint32_t nb_done, placed, nb_results;
	int rc;
	uint8_t results[64];
};

static struct {
	struct weir_xprt xprt;
	struct weir_xprt_cfg cfg;
	struct tcp_stream in;
	const uint8_t *data;
	size_t left, step;
	bool open, broken;
} wire;

static struct {
	struct weir_sunrpc_call call[NB_CALLS];
	struct weir_seg seg[NB_CALLS][2];
	struct outcome outcome[NB_CALLS];
	struct weir_memmap *map;
	uint8_t *mem;
	uint8_t guard[AREA];
} guest;

static void
wire_open(struct weir_xprt *xprt)
{
	tcp_stream_reset(&wire.in);
}

static void
wire_close(struct weir_xprt *xprt)
{
	wire.open = false;
}

static void
wire_send(struct weir_xprt *xprt, struct weir_xprt_msg *msg)
{
	msg->state = WEIR_XPRT_SENT;
}

static int
wire_flush(struct weir_xprt *xprt)
{
	return 0;
}

static int
wire_poll(struct weir_xprt *xprt)
{
	struct iovec vec[MAX_VECS];
	size_t n = RTE_MIN(wire.step, wire.left), done = 0, k;
	unsigned int nb, i;

	weir_role_assume_worker();
	if (!wire.open) {
		wire.open = true;
		wire.cfg.events->connected(wire.cfg.arg);
		return 1;
	}
	if (n == 0 || wire.broken)
		return 0;
	nb = tcp_stream_room(&wire.in, vec, RTE_DIM(vec), xprt->nb_bulk);
	CHECK(nb > 0 && vec[0].iov_len > 0);
	for (i = 0; i < nb; i++) {
		k = RTE_MIN(n - done, vec[i].iov_len);
		memcpy(vec[i].iov_base, wire.data + done, k);
		done += k;
	}
	wire.data += done;
	wire.left -= done;
	if (tcp_stream_got(&wire.in, done) < 0) {
		wire.broken = true;
		wire.open = false;
		wire.cfg.events->closed(wire.cfg.arg, -EBADMSG);
	}
	return 1;
}

static void
wire_detach(struct weir_xprt *xprt, struct weir_xprt_msg *msg)
{
	weir_role_assume_worker();
	tcp_stream_detach(&wire.in, msg);
}

static void
wire_destroy(struct weir_xprt *xprt)
{
	tcp_stream_fini(&wire.in);
}

static int wire_create(const struct weir_xprt_cfg *cfg, struct weir_xprt **out);

static const struct weir_xprt_ops wire_ops = {
	.create = wire_create,
	.destroy = wire_destroy,
	.open = wire_open,
	.close = wire_close,
	.send = wire_send,
	.flush = wire_flush,
	.poll = wire_poll,
	.detach = wire_detach,
};

static int
wire_create(const struct weir_xprt_cfg *cfg, struct weir_xprt **out)
{
	wire.xprt = (struct weir_xprt){ .ops = &wire_ops, .credits = NB_CALLS };
	wire.cfg = *cfg;
	*out = &wire.xprt;
	return tcp_stream_init(&wire.in, cfg);
}

static struct weir_xprt_driver wire_driver = { .name = "wire", .ops = &wire_ops };
WEIR_XPRT_REGISTER(wire_driver)

static int
guest_split(struct weir_sunrpc_call *call, const uint8_t *results, uint32_t nb, uint32_t *off,
		uint32_t *len)
{
	struct weir_xdr_dec dec = { .buf = results, .len = nb };

	if (weir_xdr_get_u32(&dec) != 0)
		return 0;
	*len = weir_xdr_get_u32(&dec);
	*off = 8;
	return dec.failed ? -EAGAIN : 0;
}

static void
guest_done(struct weir_sunrpc_call *call, int rc, struct weir_xdr_dec *results)
{
	struct outcome *outcome = &guest.outcome[call - guest.call];

	outcome->nb_done++;
	outcome->rc = rc;
	outcome->placed = call->placed;
	if (rc == 0) {
		CHECK(call->placed <= rx_len[call - guest.call]);
		outcome->nb_results = results->len;
		/* Reads it all, for the sanitizer. */
		for (uint32_t i = 0; i < results->len; i++)
			outcome->results[i % sizeof(outcome->results)] ^= results->buf[i];
	}
}

static void
guest_fenced(struct weir_sunrpc_call *call)
{
}

static void WEIR_ON_WORKER
guest_submit(struct weir_sunrpc_client *client)
{
	for (uint32_t i = 0; i < NB_CALLS; i++) {
		struct weir_sunrpc_call *call = &guest.call[i];
		uint32_t first = rx_len[i] / 3;

		CHECK(weir_sunrpc_prepare(client, call, i, NULL, 0) != NULL);
		call->done = guest_done;
		if (rx_len[i] > 0) {
			guest.seg[i][0] = (struct weir_seg){ .off = i * AREA, .len = first };
			guest.seg[i][1] = (struct weir_seg){ .off = i * AREA + first,
				.len = rx_len[i] - first };
			weir_iov_init(&call->rx, guest.map, guest.seg[i], 2);
			call->split = guest_split;
		}
		weir_sunrpc_submit(call);
	}
}

static void
guest_check_memory(void)
{
	for (uint32_t i = 0; i < NB_CALLS; i++) {
		uint32_t from = i == DETACHED ? 0 : rx_len[i];

		CHECK(memcmp(guest.mem + i * AREA + from, guest.guard, AREA - from) == 0);
	}
}

/* All of the input, in these steps. */
static void
run(const uint8_t *data, size_t size, size_t step)
{
	const struct weir_sunrpc_cfg cfg = { .name = "fuzz",
		.xprt = "wire",
		.program = 1,
		.version = 1,
		.nb_procs = NB_CALLS,
		.nconnect = 1,
		.max_calls = NB_CALLS,
		.max_payload = MAX_PAYLOAD,
		.timeo_ms = 100000000,
		.hard = true };
	struct weir_sunrpc_client *client;

	weir_role_assume_control();
	weir_role_assume_worker();
	memset(guest.mem, GUARD, NB_CALLS * AREA);
	memset(guest.outcome, 0, sizeof(guest.outcome));
	memset(&wire, 0, sizeof(wire));
	CHECK(weir_sunrpc_client_create(&cfg, &client) == 0);
	wire.data = data;
	wire.left = size;
	wire.step = step;
	client->next_xid = FIRST_XID;
	sunrpc_client_init(client);
	guest_submit(client);
	while (client->conns[0].nb_calls == 0)
		sunrpc_client_poll(client);
	weir_sunrpc_detach(&guest.call[DETACHED], guest_fenced);
	while (wire.left > 0 && !wire.broken && client->conns[0].nb_calls > 0)
		sunrpc_client_poll(client);
	guest_check_memory();
	sunrpc_conn_stop(&client->conns[0]);
	sunrpc_client_poll(client);
	for (uint32_t i = 0; i < NB_CALLS; i++)
		CHECK(guest.outcome[i].nb_done == 1);
	sunrpc_conn_stop(&client->conns[0]);
	weir_sunrpc_client_destroy(client);
}

static void
begin(void)
{
	CHECK(test_eal_init("0") == 0);
	atexit(test_eal_fini);
	guest.map = calloc(1, sizeof(*guest.map) + sizeof(guest.map->regions[0]));
	guest.mem = malloc(NB_CALLS * AREA);
	CHECK(guest.map != NULL && guest.mem != NULL);
	memset(guest.guard, GUARD, sizeof(guest.guard));
	guest.map->nb_regions = 1;
	guest.map->regions[0] =
			(struct weir_mem_region){ .size = NB_CALLS * AREA, .addr = guest.mem };
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole[NB_CALLS];

	if (guest.mem == NULL)
		begin();
	if (size == 0)
		return 0;
	run(data + 1, size - 1, size);
	memcpy(whole, guest.outcome, sizeof(whole));
	run(data + 1, size - 1, 1 + (size_t)data[0]);
	CHECK(memcmp(whole, guest.outcome, sizeof(whole)) == 0);
	return 0;
}
