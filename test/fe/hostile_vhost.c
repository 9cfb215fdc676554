/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fe_hist.h"
#include "hostile.h"

/*
 * Malformed vhost-user messages. Each gets a connection of its own: the beginning of a good
 * handshake, then the message, then an end without a word.
 */

#define VHOST_RING     64
#define VHOST_BUSY_NS  10000000000ULL
#define VHOST_REPLY_MS 50

/* A front end in the making. */
struct vhost {
	struct hostile *h;
	struct rng *rng;
	struct fe_conn conn;
	struct fe_mem mem;
	struct fe_ring ring;
};

/* A message on its way out, with its payload and descriptors. */
struct vhost_msg {
	struct fe_msg_header head;
	union {
		struct fe_msg_mem mem;
		struct fe_msg_state state;
		struct fe_msg_addr addr;
		uint64_t u64;
		uint8_t bytes[4096];
	} payload;
	uint32_t nb_bytes; /* that are sent of the payload */
	int fds[FE_MAX_FDS];
	unsigned int nb_fds;
};

static void
msg_init(struct vhost_msg *msg, uint32_t request, uint32_t size)
{
	memset(msg, 0, sizeof(*msg));
	msg->head.request = request;
	msg->head.flags = FE_MSG_VERSION;
	msg->head.size = size;
	msg->nb_bytes = size;
}

static void
msg_add_fd(struct vhost_msg *msg, int fd)
{
	if (msg->nb_fds < FE_MAX_FDS)
		msg->fds[msg->nb_fds++] = fd;
}

static void
good_mem(struct vhost *v, struct vhost_msg *msg)
{
	unsigned int i;

	msg_init(msg, FE_SET_MEM_TABLE, 8 + v->mem.nb * sizeof(struct fe_msg_region));
	msg->payload.mem.nb_regions = v->mem.nb;
	for (i = 0; i < v->mem.nb; i++) {
		const struct fe_region *region = &v->mem.region[i];

		msg->payload.mem.region[i].gpa = region->gpa;
		msg->payload.mem.region[i].size = region->size;
		msg->payload.mem.region[i].user_addr = (uintptr_t)region->va;
		msg->payload.mem.region[i].fd_off = region->fd_off;
		msg_add_fd(msg, region->fd);
	}
}

static void
good_state(struct vhost *v, struct vhost_msg *msg, uint32_t request)
{
	msg_init(msg, request, sizeof(struct fe_msg_state));
	msg->payload.state.index = rng_below(v->rng, 3);
	if (request == FE_SET_VRING_NUM)
		msg->payload.state.num = VHOST_RING;
	else if (request == FE_SET_VRING_ENABLE)
		msg->payload.state.num = 1;
}

static void
good_addr(struct vhost *v, struct vhost_msg *msg)
{
	msg_init(msg, FE_SET_VRING_ADDR, sizeof(struct fe_msg_addr));
	msg->payload.addr.index = rng_below(v->rng, 3);
	msg->payload.addr.desc = (uintptr_t)v->ring.desc;
	msg->payload.addr.avail = (uintptr_t)v->ring.avail;
	msg->payload.addr.used = (uintptr_t)v->ring.used;
}

static void
good_vring_fd(struct vhost *v, struct vhost_msg *msg, uint32_t request)
{
	msg_init(msg, request, sizeof(uint64_t));
	msg->payload.u64 = rng_below(v->rng, 3);
	msg_add_fd(msg, request == FE_SET_VRING_KICK ? v->ring.kickfd : v->ring.callfd);
}

static void
good_u64(struct vhost *v, struct vhost_msg *msg, uint32_t request)
{
	msg_init(msg, request, sizeof(uint64_t));
	msg->payload.u64 = request == FE_SET_FEATURES ? v->conn.features : v->conn.protocol;
}

/* Any message that a front end may send after the handshake. */
static void
any_good(struct vhost *v, struct vhost_msg *msg)
{
	static const uint32_t requests[] = { FE_GET_FEATURES, FE_SET_FEATURES, FE_SET_OWNER,
		FE_SET_MEM_TABLE, FE_SET_VRING_NUM, FE_SET_VRING_ADDR, FE_SET_VRING_BASE,
		FE_GET_VRING_BASE, FE_SET_VRING_KICK, FE_SET_VRING_CALL, FE_SET_VRING_ERR,
		FE_GET_PROTOCOL_FEATURES, FE_SET_PROTOCOL_FEATURES, FE_GET_QUEUE_NUM,
		FE_SET_VRING_ENABLE };
	uint32_t request = requests[rng_below(v->rng, sizeof(requests) / sizeof(requests[0]))];

	switch (request) {
	case FE_SET_MEM_TABLE:
		good_mem(v, msg);
		break;
	case FE_SET_VRING_NUM:
	case FE_SET_VRING_BASE:
	case FE_GET_VRING_BASE:
	case FE_SET_VRING_ENABLE:
		good_state(v, msg, request);
		break;
	case FE_SET_VRING_ADDR:
		good_addr(v, msg);
		break;
	case FE_SET_VRING_KICK:
	case FE_SET_VRING_CALL:
	case FE_SET_VRING_ERR:
		good_vring_fd(v, msg, request);
		break;
	case FE_SET_FEATURES:
	case FE_SET_PROTOCOL_FEATURES:
		good_u64(v, msg, request);
		break;
	default:
		msg_init(msg, request, 0);
		break;
	}
}

static void
truncated(struct vhost *v, struct vhost_msg *msg)
{
	any_good(v, msg);
	if (msg->nb_bytes > 0)
		msg->nb_bytes = rng_below(v->rng, msg->nb_bytes);
	else
		msg->head.size = 1 + rng_below(v->rng, 64);
}

static void
size_lies(struct vhost *v, struct vhost_msg *msg)
{
	any_good(v, msg);
	msg->head.size = rng_below(v->rng, 2) == 0 ? rng_junk(v->rng) : rng_below(v->rng, 400);
	msg->nb_bytes = msg->head.size < sizeof(msg->payload) ? msg->head.size : 400;
}

static void
version_wrong(struct vhost *v, struct vhost_msg *msg)
{
	any_good(v, msg);
	msg->head.flags = rng_next(v->rng);
}

static void
request_unknown(struct vhost *v, struct vhost_msg *msg)
{
	any_good(v, msg);
	msg->head.request =
			rng_below(v->rng, 2) == 0 ? 19 + rng_below(v->rng, 40) : rng_junk(v->rng);
}

static void
payload_garbage(struct vhost *v, struct vhost_msg *msg)
{
	uint32_t i;

	any_good(v, msg);
	for (i = 0; i + 8 <= msg->nb_bytes; i += 8) {
		uint64_t word = rng_junk(v->rng);

		memcpy(msg->payload.bytes + i, &word, sizeof(word));
	}
}

static void
regions_too_many(struct vhost *v, struct vhost_msg *msg)
{
	struct fe_msg_mem *mem = &msg->payload.mem;
	unsigned int nb = 9 + rng_below(v->rng, FE_MAX_REGIONS - 8);
	unsigned int i;

	good_mem(v, msg);
	for (i = v->mem.nb; i < nb; i++) {
		mem->region[i] = mem->region[0];
		mem->region[i].gpa += (uint64_t)i << 40;
		mem->region[i].user_addr += (uint64_t)i << 40;
		msg_add_fd(msg, v->mem.region[0].fd);
	}
	mem->nb_regions = rng_below(v->rng, 4) == 0 ? rng_junk(v->rng) : nb;
	msg->head.size = msg->nb_bytes = 8 + nb * sizeof(mem->region[0]);
}

static void
region_junk(struct vhost *v, struct vhost_msg *msg)
{
	struct fe_msg_region *region = msg->payload.mem.region;

	good_mem(v, msg);
	switch (rng_below(v->rng, 7)) {
	case 0:
		msg->payload.mem.nb_regions = 0;
		break;
	case 1:
		region->size = rng_junk(v->rng);
		break;
	case 2:
		region->fd_off = rng_junk(v->rng);
		break;
	case 3:
		region->gpa = UINT64_MAX - rng_below(v->rng, 8192);
		break;
	case 4:
		region[1] = region[0];
		break;
	case 5:
		region->user_addr = rng_junk(v->rng);
		break;
	default:
		region->size += 1 + rng_below(v->rng, 1 << 20);
		break;
	}
}

static void
region_file_short(struct vhost *v, struct vhost_msg *msg)
{
	good_mem(v, msg);
	/* Nothing of the memory is touched by us from here on. */
	if (ftruncate(v->mem.region[0].fd, rng_below(v->rng, 8192)) < 0)
		msg->nb_fds = 0;
}

static void
fds_missing(struct vhost *v, struct vhost_msg *msg)
{
	static const uint32_t requests[] = { FE_SET_VRING_KICK, FE_SET_VRING_CALL,
		FE_SET_VRING_ERR };

	if (rng_below(v->rng, 2) == 0)
		good_mem(v, msg);
	else
		good_vring_fd(v, msg, requests[rng_below(v->rng, 3)]);
	msg->nb_fds -= 1;
}

static void
fds_extra(struct vhost *v, struct vhost_msg *msg)
{
	unsigned int nb = 1 + rng_below(v->rng, FE_MAX_FDS);

	any_good(v, msg);
	while (nb-- > 0)
		msg_add_fd(msg, v->ring.callfd);
}

/* Descriptors of something else: the socket itself, standard input. */
static void
fds_of_another_kind(struct vhost *v, struct vhost_msg *msg)
{
	unsigned int i;

	do
		any_good(v, msg);
	while (msg->nb_fds == 0);
	for (i = 0; i < msg->nb_fds; i++)
		msg->fds[i] = rng_below(v->rng, 2) == 0 ? v->conn.fd : STDIN_FILENO;
}

static void
ring_address_outside(struct vhost *v, struct vhost_msg *msg)
{
	uint64_t *addr = &msg->payload.addr.desc;
	const struct fe_region *region = &v->mem.region[0];

	good_addr(v, msg);
	addr += rng_below(v->rng, 4);
	switch (rng_below(v->rng, 3)) {
	case 0:
		*addr = rng_junk(v->rng);
		break;
	case 1:
		*addr = (uintptr_t)region->va + region->size - rng_below(v->rng, 64);
		break;
	default:
		*addr += 1 + rng_below(v->rng, 15);
		break;
	}
}

static void
ring_size_junk(struct vhost *v, struct vhost_msg *msg)
{
	static const uint32_t sizes[] = { 0, 1, 3, 5, 7, 100, 1023, 2048, 32767, 32768, 65535,
		65536, 65537 };

	good_state(v, msg, FE_SET_VRING_NUM);
	msg->payload.state.num =
			rng_below(v->rng, 4) == 0 ? rng_junk(v->rng) : sizes[rng_below(v->rng, 13)];
}

static void
ring_index_junk(struct vhost *v, struct vhost_msg *msg)
{
	static const uint32_t requests[] = { FE_SET_VRING_NUM, FE_SET_VRING_BASE, FE_GET_VRING_BASE,
		FE_SET_VRING_ENABLE };

	if (rng_below(v->rng, 3) == 0) {
		good_vring_fd(v, msg, FE_SET_VRING_KICK + rng_below(v->rng, 3));
		msg->payload.u64 = rng_junk(v->rng);
	} else {
		good_state(v, msg, requests[rng_below(v->rng, 4)]);
		msg->payload.state.index = rng_junk(v->rng);
	}
}

static void
features_junk(struct vhost *v, struct vhost_msg *msg)
{
	good_u64(v, msg, rng_below(v->rng, 2) == 0 ? FE_SET_FEATURES : FE_SET_PROTOCOL_FEATURES);
	msg->payload.u64 ^= rng_next(v->rng);
}

static const struct {
	const char *name;
	void (*make)(struct vhost *v, struct vhost_msg *msg);
} kinds[] = {
	{ "truncated", truncated },
	{ "size-lies", size_lies },
	{ "version-wrong", version_wrong },
	{ "request-unknown", request_unknown },
	{ "payload-garbage", payload_garbage },
	{ "regions-too-many", regions_too_many },
	{ "region-junk", region_junk },
	{ "region-file-short", region_file_short },
	{ "fds-missing", fds_missing },
	{ "fds-extra", fds_extra },
	{ "fds-of-another-kind", fds_of_another_kind },
	{ "ring-address-outside", ring_address_outside },
	{ "ring-size-junk", ring_size_junk },
	{ "ring-index-junk", ring_index_junk },
	{ "features-junk", features_junk },
	{ "any-order", any_good },
};

#define NB_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Connects; while the device still cleans up behind the last one it may refuse. */
static int
vhost_connect(struct vhost *v)
{
	const struct timespec nap = { .tv_nsec = 200000 };
	uint64_t end = fe_now_ns() + VHOST_BUSY_NS;
	int rc;

	do {
		rc = fe_conn_open(&v->conn, v->h->cli->fe.socket, 1000);
		if (rc == 0) {
			rc = fe_conn_handshake(&v->conn, FE_F_INDIRECT | FE_F_EVENT_IDX);
			if (rc == 0)
				return 0;
			fe_conn_close(&v->conn);
		}
		nanosleep(&nap, NULL);
	} while (fe_now_ns() < end);
	hostile_fault(v->h, "vhost: the device cannot be reached any more: %s", strerror(-rc));
	return rc;
}

/* Memory and perhaps a running ring: where the message meets the device. */
static void
vhost_prefix(struct vhost *v)
{
	unsigned int steps = rng_below(v->rng, 3);

	if (steps > 0)
		fe_conn_set_mem(&v->conn, &v->mem);
	if (steps > 1) {
		fe_conn_ring_start(&v->conn, rng_below(v->rng, 2), &v->ring);
		fe_ring_kick(&v->ring);
	}
}

/* Accepted, refused with an answer, or answered by the end of the connection. */
static enum hostile_outcome
vhost_send(struct vhost *v, struct vhost_msg *msg)
{
	bool whole = msg->head.size == msg->nb_bytes;
	struct pollfd pfd = { .fd = v->conn.fd, .events = POLLIN };
	struct {
		struct fe_msg_header head;
		uint32_t word[2]; /* not aligned for one of 64 bits */
	} answer = { 0 };
	ssize_t got;

	msg->head.flags |= FE_MSG_NEED_REPLY;
	if (fe_conn_send_raw(&v->conn, &msg->head, &msg->payload, msg->nb_bytes, msg->fds,
			    msg->nb_fds) < 0)
		return HOSTILE_SILENT;
	/* To a part of a message there is no answer: it ends with the connection. */
	if (poll(&pfd, 1, whole ? VHOST_REPLY_MS : 0) <= 0)
		return whole ? HOSTILE_PAST : HOSTILE_SILENT;
	got = recv(v->conn.fd, &answer, sizeof(answer), MSG_DONTWAIT);
	if (got <= 0)
		return HOSTILE_SILENT;
	if (answer.head.request != msg->head.request && whole)
		hostile_fault(v->h, "vhost: request %u is answered as %u", msg->head.request,
				answer.head.request);
	return answer.head.size == sizeof(uint64_t) && (answer.word[0] | answer.word[1]) != 0 &&
					msg->nb_bytes > 0 ?
			HOSTILE_REFUSED :
			HOSTILE_PAST;
}

/* What the message left behind is used: a ring is started and kicked. */
static void
vhost_suffix(struct vhost *v)
{
	v->conn.timeout_ms = VHOST_REPLY_MS;
	if (fe_conn_ring_start(&v->conn, rng_below(v->rng, 2), &v->ring) == 0)
		fe_ring_kick(&v->ring);
}

static int
vhost_one(struct vhost *v, unsigned int kind, unsigned int cat)
{
	enum hostile_outcome outcome;
	struct vhost_msg msg;
	int rc;

	rc = fe_mem_create(&v->mem, FE_MEM_GAPS, 2, 65536);
	if (rc == 0)
		rc = fe_ring_create(&v->ring, &v->mem, VHOST_RING, 0);
	if (rc == 0)
		rc = vhost_connect(v);
	if (rc == 0) {
		vhost_prefix(v);
		kinds[kind].make(v, &msg);
		outcome = vhost_send(v, &msg);
		hostile_count(v->h, cat, outcome);
		if (outcome != HOSTILE_SILENT && rng_below(v->rng, 2) == 0)
			vhost_suffix(v);
		fe_conn_close(&v->conn);
	}
	if (v->ring.token != NULL)
		fe_ring_destroy(&v->ring);
	fe_mem_destroy(&v->mem);
	return rc;
}

/* Goes away at any point of a handshake, without a look at what the device says. */
static int
vhost_hang_up(struct vhost *v, unsigned int cat)
{
	static const uint32_t requests[] = { FE_GET_FEATURES, FE_GET_PROTOCOL_FEATURES,
		FE_GET_QUEUE_NUM, FE_SET_OWNER };
	unsigned int steps = rng_below(v->rng, 5);
	int rc = fe_conn_open(&v->conn, v->h->cli->fe.socket, 1000);
	unsigned int i;

	if (rc < 0) {
		hostile_fault(v->h, "vhost: cannot connect: %s", strerror(-rc));
		return rc;
	}
	for (i = 0; i < steps; i++)
		fe_conn_send(&v->conn, requests[i % 4], FE_MSG_VERSION, NULL, 0, NULL, 0);
	hostile_count(v->h, cat, HOSTILE_SILENT);
	fe_conn_close(&v->conn);
	return 0;
}

/*
 * A mounted guest with requests in flight whose memory files are cut to nothing. Behind that
 * neither side can touch the memory without a signal: we do not.
 */
static int
vhost_memory_taken(struct hostile *h, unsigned int cat)
{
	const struct timespec nap = { .tv_nsec = 2000000 };
	struct fe_req *req;
	unsigned int i;
	int rc = hostile_connect(h, HOSTILE_MOUNT);

	if (rc < 0)
		return rc;
	for (i = 1; i <= h->opts.nb_queues; i++) {
		while ((req = fe_req_get(&h->fs.queue[i])) != NULL) {
			fe_read_prepare(req, FE_ROOT, i, FE_PAGE, 0);
			if (fe_req_submit(req) < 0)
				break;
		}
	}
	for (i = 1; i <= h->opts.nb_queues; i++)
		fe_queue_kick(&h->fs.queue[i]);
	for (i = 0; i < h->fs.mem.nb; i++) {
		if (ftruncate(h->fs.mem.region[i].fd, 0) < 0)
			hostile_fault(h, "vhost: memory cannot be cut");
	}
	nanosleep(&nap, NULL);
	hostile_count(h, cat, fe_conn_is_closed(&h->fs.conn) ? HOSTILE_REFUSED : HOSTILE_SILENT);
	hostile_disconnect(h);
	return 0;
}

int
hostile_vhost(struct hostile *h, uint64_t nb)
{
	struct vhost v = { .h = h, .rng = &h->rng };
	unsigned int first_cat = h->nb_cats;
	unsigned int taken_cat, hang_up_cat, i;
	uint64_t sent;
	int rc = 0;

	for (i = 0; i < NB_KINDS; i++)
		hostile_cat_add(h, "vhost", kinds[i].name);
	hang_up_cat = hostile_cat_add(h, "vhost", "hang-up");
	taken_cat = hostile_cat_add(h, "vhost", "memory-taken-away");

	hostile_disconnect(h);
	for (sent = 0; sent < nb && rc == 0; sent++) {
		unsigned int kind = sent % (NB_KINDS + 2);

		/* Mounting takes longer: that is done for a few of its turns only. */
		if (kind < NB_KINDS)
			rc = vhost_one(&v, kind, first_cat + kind);
		else if (kind == NB_KINDS)
			rc = vhost_hang_up(&v, hang_up_cat);
		else if (sent / (NB_KINDS + 2) % 4 == 0)
			rc = vhost_memory_taken(h, taken_cat);
	}
	return rc;
}
