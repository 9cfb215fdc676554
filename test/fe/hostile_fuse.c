/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostile_fuse.h"

/*
 * Sends malformed FUSE messages on good rings, many at a time. The ring must go on: every chain
 * comes back once, and what is in it is an answer by the rules or nothing.
 */

#define ROUND_INPUTS   HOSTILE_DEPTH /* between two looks at the world */
#define SESSION_INPUTS 4096 /* in one connection */
#define GUARD_BYTES    64u
#define GUARD          0xa5
#define HOSTILE_DIR    "hostile"

/* What is remembered of a message in flight, by its request. */
struct sent {
	unsigned int kind;
	uint32_t len;
	uint32_t room;
	uint32_t opcode;
	uint64_t unique;
};

struct fuse_layer {
	struct hostile *h;
	struct msg_world world;
	unsigned int first_cat;
	unsigned int nb_kinds;
	unsigned int ended_cat; /* messages before INIT or after DESTROY */
	uint64_t round;
};

/* The message is in the first half of the request's data, the answer in the second. */
static uint8_t *
sent_room(const struct fe_req *req)
{
	return (uint8_t *)req->data.va + MSG_IN_MAX;
}

/* Cuts the range into a few segments at random places. */
static unsigned int
cut(struct rng *rng, struct fe_sg *sg, unsigned int n, uint64_t gpa, uint32_t len)
{
	unsigned int parts = 0;

	while (len > 0) {
		uint32_t part = parts < 4 && rng_below(rng, 2) == 0 ? 1 + rng_below(rng, len) : len;

		sg[n].gpa = gpa;
		sg[n].len = part;
		gpa += part;
		len -= part;
		parts++;
		n++;
	}
	return n;
}

static int
layer_send(struct fuse_layer *l, struct fe_req *req, struct sent *sent, const struct msg *msg)
{
	struct fe_queue *q = req->queue;
	unsigned int nb_read, nb;

	memset(sent_room(req), 0xee, msg->room);
	memset(sent_room(req) + msg->room, GUARD, GUARD_BYTES);
	sent->len = msg->len;
	sent->room = msg->room;
	sent->opcode = msg_head(msg)->opcode;
	sent->unique = msg_head(msg)->unique;
	nb_read = cut(&l->h->rng, q->sg, 0, req->data.gpa, msg->len);
	nb = cut(&l->h->rng, q->sg, nb_read, req->data.gpa + MSG_IN_MAX, msg->room);
	return nb == 0 ? -EINVAL :
			 fe_ring_add(&q->ring, q->sg, nb_read, nb - nb_read, &req->table, req);
}

static bool
guard_is_intact(const uint8_t *guard)
{
	return guard[0] == GUARD && memcmp(guard, guard + 1, GUARD_BYTES - 1) == 0;
}

/* Holds one answer to the rules. @return the rule that it breaks, or NULL. */
static const char *
answer_rule(const struct fe_req *req, const struct sent *sent, uint32_t used_len)
{
	const struct fuse_out_header *out = (const void *)sent_room(req);

	if (!guard_is_intact(sent_room(req) + sent->room))
		return "bytes behind the room were written";
	if (used_len == 0)
		return NULL;
	if (used_len < sizeof(*out) || used_len > sent->room)
		return "the used length is impossible";
	if (out->len != used_len)
		return "out_header.len and the used length differ";
	if (out->error > 0 || out->error <= -512)
		return "the error is out of range";
	if (out->error != 0 && out->len != sizeof(*out))
		return "an error came with a payload";
	if (sent->len >= sizeof(struct fuse_in_header) && out->unique != sent->unique)
		return "unique is not the request's";
	return NULL;
}

/* Errors that tell nothing of the file system: the message itself was refused. */
static bool
is_generic_error(int error)
{
	return error == -EINVAL || error == -EIO || error == -ENOSYS || error == -EPROTO ||
			error == -EOPNOTSUPP || error == -E2BIG || error == -ENOBUFS;
}

static void
layer_judge(struct fuse_layer *l, const struct fe_req *req, const struct sent *sent,
		uint32_t used_len)
{
	const struct fuse_out_header *out = (const void *)sent_room(req);
	const char *rule = answer_rule(req, sent, used_len);
	enum hostile_outcome outcome = HOSTILE_PAST;

	if (rule != NULL)
		hostile_fault(l->h, "fuse %s: opcode %u: %s (used %u, len %u, error %d, room %u)",
				l->h->cat[sent->kind].name, sent->opcode, rule, used_len, out->len,
				out->error, sent->room);
	if (used_len == 0 || is_generic_error(out->error))
		outcome = HOSTILE_REFUSED;
	hostile_count(l->h, sent->kind, outcome);
}

/* Takes everything back that is in flight on a queue. @return 0, or why it cannot. */
static int
layer_drain(struct fuse_layer *l, struct fe_queue *q, struct sent *sents, unsigned int nb)
{
	struct fe_req *req;
	void *token;
	uint32_t len;
	int rc;

	fe_ring_publish(&q->ring);
	while (nb > 0) {
		rc = fe_queue_wait(q);
		if (rc < 0) {
			hostile_fault(l->h, "fuse: queue %u: %u messages are not answered: %s",
					q->index, nb, strerror(-rc));
			return rc;
		}
		while ((rc = fe_ring_pop(&q->ring, &token, &len)) == 1) {
			req = token;
			layer_judge(l, req, &sents[req - q->reqs], len);
			fe_req_put(req);
			nb--;
		}
		if (rc < 0) {
			hostile_fault(l->h, "fuse: queue %u: a used entry nobody waits for",
					q->index);
			return rc;
		}
	}
	return 0;
}

/* One round of messages, all in flight together, spread over one request queue and queue 0. */
static int
layer_round(struct fuse_layer *l, unsigned int nb)
{
	static struct sent sents[2][ROUND_INPUTS];
	struct fe_queue *queue[2] = { &l->h->fs.queue[0],
		&l->h->fs.queue[1 + l->round % l->h->opts.nb_queues] };
	unsigned int in_flight[2] = { 0, 0 };
	unsigned int i, side;
	int rc = 0;

	for (i = 0; i < nb && rc == 0; i++) {
		unsigned int kind = rng_below(&l->h->rng, l->nb_kinds);
		struct fe_req *req = fe_req_get(queue[1]);
		struct msg msg = { .rng = &l->h->rng, .world = &l->world };
		struct sent *sent;

		if (req == NULL)
			break;
		msg.bytes = req->data.va;
		msg_kinds[kind].make(&msg);
		if (msg.len >= sizeof(struct fuse_in_header)) {
			struct fuse_in_header *head = msg_head(&msg);

			head->unique = rng_next(&l->h->rng);
			if (!msg.len_set)
				head->len = msg.len;
		}
		side = 1;
		if (msg.hiprio && queue[0]->free != NULL) {
			struct fe_req *other = fe_req_get(queue[0]);

			memcpy(other->data.va, req->data.va, msg.len);
			msg.bytes = other->data.va;
			fe_req_put(req);
			req = other;
			side = 0;
		}
		sent = &sents[side][req - queue[side]->reqs];
		sent->kind = l->first_cat + kind;
		if (layer_send(l, req, sent, &msg) < 0)
			fe_req_put(req);
		else
			in_flight[side]++;
	}
	for (side = 0; side < 2 && rc == 0; side++)
		rc = layer_drain(l, queue[side], sents[side], in_flight[side]);
	l->round++;
	return rc;
}

/*
 * Names what messages can name. What was there may be gone, renamed or forgotten by now; what
 * cannot be had is left as it is, a stale name of its own.
 */
static void
world_refresh(struct fuse_layer *l)
{
	struct fe_queue *q = &l->h->fs.queue[1];
	struct msg_world *world = &l->world;
	struct fuse_entry_out entry;

	fe_release(q, world->file, world->file_fh);
	fe_releasedir(q, world->dir, world->dir_fh);
	world->stale_fh = world->file_fh;

	if (fe_lookup(q, FE_ROOT, HOSTILE_DIR, &entry) == 0 ||
			fe_mkdir(q, FE_ROOT, HOSTILE_DIR, 0777, &entry) == 0)
		world->dir = entry.nodeid;
	if (fe_opendir(q, world->dir, &world->dir_fh) < 0)
		tree_remove(q, FE_ROOT, HOSTILE_DIR);
	if (fe_create(q, world->dir, "file", O_RDWR | O_CREAT, S_IFREG | 0644, &entry,
			    &world->file_fh) == 0)
		world->file = entry.nodeid;
	else
		tree_remove(q, world->dir, "file");
	if (fe_lookup(q, world->dir, "fifo", &entry) == 0 ||
			fe_mknod(q, world->dir, "fifo", S_IFIFO | 0644, 0, &entry) == 0)
		world->fifo = entry.nodeid;
	if (fe_mknod(q, world->dir, "gone", S_IFREG | 0644, 0, &entry) == 0) {
		world->stale = entry.nodeid;
		fe_unlink(q, world->dir, "gone");
		fe_forget(&l->h->fs, entry.nodeid, 1);
	}
}

/* Good FORGETs on queue 0 are still on their way back; they must not be taken for messages. */
static int
layer_settle(struct fuse_layer *l)
{
	struct fe_queue *q = &l->h->fs.queue[0];
	struct fe_req *req;
	int rc = 0;

	while (q->in_flight > 0 && rc >= 0) {
		rc = fe_queue_wait(q);
		while (rc > 0 && fe_queue_reap(q, &req) == 1)
			fe_req_put(req);
	}
	return rc < 0 ? rc : 0;
}

/* Where there is no session, before INIT and after DESTROY, nothing but INIT may succeed. */
static int
layer_without_session(struct fuse_layer *l)
{
	static const uint32_t opcodes[] = { FUSE_LOOKUP, FUSE_GETATTR, FUSE_OPEN, FUSE_STATFS,
		FUSE_READDIR, FUSE_WRITE, FUSE_DESTROY };
	struct fe_queue *q = &l->h->fs.queue[1];
	unsigned int i;

	for (i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
		struct fe_req *req = fe_req_get(q);
		int error;

		memcpy(fe_req_init(req, opcodes[i], FE_ROOT, 40), "n0", 3);
		req->res_room = 200;
		error = fe_req_call(req);
		if (!req->done)
			return error;
		if (error == 0 && opcodes[i] != FUSE_DESTROY)
			hostile_fault(l->h, "fuse: opcode %u succeeds without a session",
					opcodes[i]);
		hostile_count(l->h, l->ended_cat,
				is_generic_error(error) ? HOSTILE_REFUSED : HOSTILE_PAST);
		fe_req_put(req);
	}
	return fe_fs_init(&l->h->fs);
}

/* Whatever it took INIT for meanwhile, these two make it a guest's session again. */
static int
layer_renew(struct fuse_layer *l)
{
	int rc = fe_fs_destroy(&l->h->fs);

	if (rc == -ECONNRESET || rc == -ETIMEDOUT || rc == -EPROTO)
		return rc;
	return l->round % 8 == 0 ? layer_without_session(l) : fe_fs_init(&l->h->fs);
}

static int
layer_session(struct fuse_layer *l, uint64_t nb)
{
	uint64_t sent;
	int rc = 0;

	hostile_disconnect(l->h);
	rc = hostile_connect(l->h, HOSTILE_CONNECT);
	if (rc == 0)
		rc = layer_without_session(l);
	for (sent = 0; sent < nb && rc == 0; sent += ROUND_INPUTS) {
		world_refresh(l);
		rc = layer_settle(l);
		if (rc == 0)
			rc = layer_round(l, ROUND_INPUTS);
		if (rc == 0)
			rc = layer_renew(l);
		if (l->h->fs.fault[0] != '\0')
			hostile_fault(l->h, "fuse: %s", l->h->fs.fault);
		l->h->fs.fault[0] = '\0';
	}
	if (rc < 0)
		hostile_fault(l->h, "fuse: the session ends: %s", strerror(-rc));
	return rc == -ECONNRESET || rc == -ETIMEDOUT ? 0 : rc;
}

int
hostile_fuse(struct hostile *h, uint64_t nb)
{
	struct fuse_layer l = { .h = h, .first_cat = h->nb_cats };
	uint64_t sent;
	int rc = 0;

	while (msg_kinds[l.nb_kinds].name != NULL)
		hostile_cat_add(h, "fuse", msg_kinds[l.nb_kinds++].name);
	l.ended_cat = hostile_cat_add(h, "fuse", "without-session");

	for (sent = 0; sent < nb && rc == 0; sent += SESSION_INPUTS)
		rc = layer_session(&l, nb - sent < SESSION_INPUTS ? nb - sent : SESSION_INPUTS);
	return rc;
}
