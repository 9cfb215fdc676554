/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_random.h>

#include "sunrpc.h"

#define MAX_CALLS    65536
#define MAX_PAYLOAD  (16u << 20)
#define TIMEO_MIN_MS 10
/* How often timers, and connections on which nothing is expected, are looked at. */
#define TICK_MS 1
/* After that a lost SYN has been sent again once: a new attempt beats the kernel's own patience. */
#define CONNECT_MS 3000
/* How long a full socket is left alone. It holds megabytes: that much does not run dry so soon. */
#define FULL_US 20

#define BIG_BYTES (WEIR_XPRT_HEADROOM + SUNRPC_HEADER_MAX + WEIR_SUNRPC_ARGS_MAX)

static int
cfg_check(const struct weir_sunrpc_cfg *cfg)
{
	if (cfg->nconnect == 0 || cfg->nconnect > WEIR_SUNRPC_MAX_CONNECTS)
		return -EINVAL;
	if (cfg->max_calls == 0 || cfg->max_calls > MAX_CALLS || cfg->nb_procs == 0)
		return -EINVAL;
	if (cfg->max_payload > MAX_PAYLOAD || cfg->timeo_ms < TIMEO_MIN_MS ||
			cfg->addr_len > sizeof(cfg->addr))
		return -EINVAL;
	return 0;
}

static int WEIR_ON_CONTROL
client_alloc(struct weir_sunrpc_client *client)
{
	const struct weir_sunrpc_cfg *cfg = &client->cfg;
	uint32_t nb_xids = rte_align32pow2(2 * cfg->max_calls);

	client->xid_mask = nb_xids - 1;
	client->nb_big = RTE_MIN(cfg->max_calls / 16 + 4, 64u);
	client->pool = calloc(cfg->max_calls, sizeof(*client->pool));
	client->bigs = calloc(client->nb_big, BIG_BYTES);
	client->big_free = calloc(client->nb_big, sizeof(*client->big_free));
	client->by_xid = calloc(nb_xids, sizeof(*client->by_xid));
	client->stats = calloc(cfg->nb_procs, sizeof(*client->stats));
	if (client->pool == NULL || client->bigs == NULL || client->big_free == NULL ||
			client->by_xid == NULL || client->stats == NULL)
		return -ENOMEM;
	return 0;
}

static int WEIR_ON_CONTROL
client_connections(struct weir_sunrpc_client *client, const struct weir_xprt_driver *driver)
{
	struct weir_xprt_cfg cfg = {
		.addr = client->cfg.addr,
		.addr_len = client->cfg.addr_len,
		.reserved_port = client->cfg.reserved_port,
		.max_payload = client->cfg.max_payload,
		.reply_max = WEIR_SUNRPC_REPLY_MAX,
		.timeo_ms = client->cfg.timeo_ms,
		.events = &sunrpc_conn_events,
		.poller = &client->poller,
	};
	uint32_t i;
	int rc;

	for (i = 0; i < client->cfg.nconnect; i++) {
		struct sunrpc_conn *conn = &client->conns[i];

		conn->client = client;
		TAILQ_INIT(&conn->msgs);
		cfg.arg = conn;
		rc = driver->ops->create(&cfg, &conn->xprt);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int
weir_sunrpc_client_create(const struct weir_sunrpc_cfg *cfg, struct weir_sunrpc_client **out)
{
	const struct weir_xprt_driver *driver = sunrpc_xprt_find(cfg->xprt);
	struct weir_sunrpc_client *client;
	char host[256] = "";
	int rc;

	rc = cfg_check(cfg);
	if (rc < 0)
		return rc;
	if (driver == NULL)
		return -ENOENT;
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return -ENOMEM;
	client->cfg = *cfg;
	gethostname(host, sizeof(host) - 1);
	client->machine_len = (uint32_t)strnlen(host, sizeof(client->machine));
	memcpy(client->machine, host, client->machine_len);
	client->tsc_per_ms = rte_get_tsc_hz() / MS_PER_S;
	client->ns_per_ktick = UINT64_C(1024) * NS_PER_S / rte_get_tsc_hz();
	client->next_xid = (uint32_t)rte_rand();
	rc = client_alloc(client);
	if (rc == 0)
		rc = client_connections(client, driver);
	if (rc < 0) {
		weir_sunrpc_client_destroy(client);
		return rc;
	}
	*out = client;
	return 0;
}

void
weir_sunrpc_client_destroy(struct weir_sunrpc_client *client)
{
	uint32_t i;

	if (client == NULL)
		return;
	for (i = 0; i < client->cfg.nconnect; i++)
		if (client->conns[i].xprt != NULL)
			client->conns[i].xprt->ops->destroy(client->conns[i].xprt);
	free(client->stats);
	free(client->by_xid);
	free(client->big_free);
	free(client->bigs);
	free(client->pool);
	free(client);
}

/* The connection with the least to do, in turn where several are alike; NULL: none has room. */
static struct sunrpc_conn *WEIR_ON_WORKER
client_pick(struct weir_sunrpc_client *client)
{
	struct sunrpc_conn *best = NULL;
	uint32_t i, nb = client->cfg.nconnect;

	for (i = 0; i < nb; i++) {
		struct sunrpc_conn *conn = &client->conns[(client->turn + i) % nb];

		if (conn->state != SUNRPC_UP || conn->nb_calls >= conn->xprt->credits)
			continue;
		if (best == NULL || conn->load < best->load)
			best = conn;
	}
	if (best != NULL && nb > 1)
		client->turn = (uint32_t)(best - client->conns) + 1;
	return best;
}

static int WEIR_ON_WORKER
client_dispatch(struct weir_sunrpc_client *client)
{
	struct sunrpc_conn *conn;
	struct sunrpc_msg *msg;
	int nb = 0;

	while ((msg = TAILQ_FIRST(&client->waiting)) != NULL &&
			(conn = client_pick(client)) != NULL) {
		TAILQ_REMOVE(&client->waiting, msg, next);
		sunrpc_conn_send(conn, msg);
		nb++;
	}
	return nb;
}

static void WEIR_ON_WORKER
client_flush(struct weir_sunrpc_client *client)
{
	uint32_t i;

	for (i = 0; i < client->cfg.nconnect; i++) {
		struct sunrpc_conn *conn = &client->conns[i];
		int rc;

		if (!conn->more || client->now < conn->retry_tsc)
			continue;
		rc = conn->xprt->ops->flush(conn->xprt);
		conn->more = rc != 0;
		if (rc == -EAGAIN)
			conn->retry_tsc = client->now + client->tsc_per_ms * FULL_US / 1000;
	}
}

static int WEIR_ON_WORKER
client_ended(struct weir_sunrpc_client *client)
{
	struct sunrpc_msg *msg;
	int nb = 0;

	while ((msg = TAILQ_FIRST(&client->ended)) != NULL) {
		TAILQ_REMOVE(&client->ended, msg, next);
		sunrpc_msg_done(msg, msg->rc, NULL);
		nb++;
	}
	return nb;
}

/* When a connection's next timer goes off; UINT64_MAX: none runs. */
static uint64_t
conn_due(const struct sunrpc_conn *conn)
{
	const struct weir_sunrpc_client *client = conn->client;
	uint64_t timeo = client->cfg.timeo_ms * client->tsc_per_ms;

	switch (conn->state) {
	case SUNRPC_DOWN:
		return conn->retry_tsc;
	case SUNRPC_OPENING:
		return conn->heard_tsc + CONNECT_MS * client->tsc_per_ms;
	case SUNRPC_UP:
		if (conn->overtaken_tsc != 0)
			return RTE_MIN(conn->heard_tsc, conn->overtaken_tsc) + timeo;
		if (conn->nb_calls > 0)
			return conn->heard_tsc + timeo;
	}
	return UINT64_MAX;
}

/* The life of a call on a soft client. */
static uint64_t
client_patience(const struct weir_sunrpc_client *client)
{
	return ((uint64_t)client->cfg.retrans + 1) * client->cfg.timeo_ms * client->tsc_per_ms;
}

static void WEIR_ON_WORKER
client_expire(struct weir_sunrpc_client *client)
{
	uint64_t before = client->now - client_patience(client);
	struct sunrpc_msg *msg;
	uint32_t i;

	while ((msg = TAILQ_FIRST(&client->waiting)) != NULL && msg->submit_tsc < before) {
		TAILQ_REMOVE(&client->waiting, msg, next);
		sunrpc_msg_end(msg, -ETIMEDOUT);
	}
	for (i = 0; i < client->cfg.nconnect; i++)
		sunrpc_conn_expire(&client->conns[i], before);
}

static void WEIR_ON_WORKER
client_tick(struct weir_sunrpc_client *client)
{
	uint32_t i;

	client->tick_tsc = client->now + TICK_MS * client->tsc_per_ms;
	/* First: what is over need not cost a connection. */
	if (!client->cfg.hard)
		client_expire(client);
	for (i = 0; i < client->cfg.nconnect; i++) {
		struct sunrpc_conn *conn = &client->conns[i];

		if (client->now < conn_due(conn))
			continue;
		if (conn->state == SUNRPC_DOWN)
			sunrpc_conn_open(conn);
		else
			sunrpc_conn_break(conn, -ETIMEDOUT);
	}
}

int
sunrpc_client_poll(struct weir_sunrpc_client *client)
{
	int work = 0, nb;
	bool tick;
	uint32_t i;

	client->now = rte_rdtsc();
	tick = client->now >= client->tick_tsc;
	for (i = 0; i < client->cfg.nconnect; i++) {
		struct sunrpc_conn *conn = &client->conns[i];

		if (conn->state == SUNRPC_DOWN || (conn->nb_calls == 0 && !tick))
			continue;
		if (conn->state == SUNRPC_OPENING && !tick)
			continue;
		nb = conn->xprt->ops->poll(conn->xprt);
		if (nb > 0 && conn->state == SUNRPC_UP)
			conn->heard_tsc = client->now;
		work += nb;
	}
	if (tick)
		client_tick(client);
	work += client_ended(client);
	work += client_dispatch(client);
	client_flush(client);
	return work;
}

static int
client_poll(struct weir_poller *poller)
{
	weir_role_assume_worker();
	return sunrpc_client_poll(container_of(poller, struct weir_sunrpc_client, poller));
}

/*
 * The sockets have been found empty by the last round, so that what comes wakes the worker. For
 * those that are full, that has to be found anew: the last look may be too long ago.
 */
static bool
client_arm(struct weir_poller *poller)
{
	struct weir_sunrpc_client *client = container_of(poller, struct weir_sunrpc_client, poller);
	uint64_t due = UINT64_MAX;
	struct sunrpc_msg *msg;
	uint32_t i;

	weir_role_assume_worker();
	if (client->tick_tsc == 0 || !TAILQ_EMPTY(&client->ended))
		return true;
	msg = TAILQ_FIRST(&client->waiting);
	if (msg != NULL && client_pick(client) != NULL)
		return true;
	for (i = 0; i < client->cfg.nconnect; i++) {
		struct sunrpc_conn *conn = &client->conns[i];

		if (conn->more && conn->xprt->ops->flush(conn->xprt) != -EAGAIN)
			return true;
		due = RTE_MIN(due, conn_due(conn));
		if (msg == NULL ||
				(!TAILQ_EMPTY(&conn->msgs) &&
						TAILQ_FIRST(&conn->msgs)->submit_tsc <
								msg->submit_tsc))
			msg = TAILQ_FIRST(&conn->msgs);
	}
	if (msg != NULL && !client->cfg.hard)
		due = RTE_MIN(due, msg->submit_tsc + client_patience(client));
	poller->wake_tsc = due == UINT64_MAX ? 0 : due;
	return false;
}

static void
client_disarm(struct weir_poller *poller)
{
	struct weir_sunrpc_client *client = container_of(poller, struct weir_sunrpc_client, poller);

	weir_role_assume_worker();
	client->tick_tsc = 0; /* something may have woken us: look at everything */
}

void
sunrpc_client_init(struct weir_sunrpc_client *client)
{
	uint32_t i;

	/* Here and not in create: memory is then on the NUMA node of the one who touches it first. */
	TAILQ_INIT(&client->free);
	TAILQ_INIT(&client->waiting);
	TAILQ_INIT(&client->ended);
	for (i = 0; i < client->cfg.max_calls; i++) {
		client->pool[i].client = client;
		TAILQ_INSERT_TAIL(&client->free, &client->pool[i], next);
	}
	for (i = 0; i < client->nb_big; i++)
		client->big_free[client->nb_big_free++] = client->bigs + (size_t)i * BIG_BYTES;
}

void
weir_sunrpc_client_start(struct weir_sunrpc_client *client)
{
	sunrpc_client_init(client);
	client->poller = (struct weir_poller){
		.name = client->cfg.name,
		.poll = client_poll,
		.arm = client_arm,
		.disarm = client_disarm,
		.parks = true,
	};
	weir_poller_add(&client->poller);
}

void
weir_sunrpc_client_stop(struct weir_sunrpc_client *client)
{
	struct sunrpc_msg *msg;
	uint32_t i;

	weir_poller_del(&client->poller);
	client->stopped = true;
	for (i = 0; i < client->cfg.nconnect; i++)
		sunrpc_conn_stop(&client->conns[i]);
	while ((msg = TAILQ_FIRST(&client->waiting)) != NULL) {
		TAILQ_REMOVE(&client->waiting, msg, next);
		sunrpc_msg_end(msg, -ECANCELED);
	}
	client_ended(client);
}

void
sunrpc_client_note(struct weir_sunrpc_client *client, int error)
{
	enum weir_sunrpc_state state = WEIR_SUNRPC_CONNECTING;
	uint32_t i;

	for (i = 0; i < client->cfg.nconnect; i++) {
		if (client->conns[i].state == SUNRPC_UP) {
			state = WEIR_SUNRPC_CONNECTED;
			break;
		}
		if (client->conns[i].was_up)
			state = WEIR_SUNRPC_RECONNECTING;
	}
	if (error < 0)
		atomic_store_explicit(&client->error, error, memory_order_relaxed);
	atomic_store_explicit(&client->state, state, memory_order_relaxed);
}

enum weir_sunrpc_state
weir_sunrpc_client_state(const struct weir_sunrpc_client *client)
{
	return atomic_load_explicit(&client->state, memory_order_relaxed);
}

int
weir_sunrpc_client_error(const struct weir_sunrpc_client *client)
{
	return atomic_load_explicit(&client->error, memory_order_relaxed);
}

uint64_t
weir_sunrpc_reconnects(const struct weir_sunrpc_client *client)
{
	return weir_counter_get(&client->reconnects);
}

uint64_t
weir_sunrpc_port_changes(const struct weir_sunrpc_client *client)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < client->cfg.nconnect; i++)
		sum += weir_counter_get(&client->conns[i].xprt->port_changes);
	return sum;
}

const struct weir_sunrpc_proc_stats *
weir_sunrpc_stats(const struct weir_sunrpc_client *client, uint32_t proc)
{
	return &client->stats[proc];
}
