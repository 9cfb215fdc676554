/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "fe_hist.h"
#include "fe_packed.h"
#include "hostile.h"

/*
 * Malformed packed rings: a good GETATTR in four slots, one thing of which is broken. As with split
 * rings every request queue gets one at a time, and all are stopped and started anew.
 */

#define PACKED_GRACE_NS 3000000ULL
#define PACKED_CANARY   65536u
#define PACKED_SLOTS    4u

#define AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1U << VRING_PACKED_DESC_F_USED)

struct packed_input {
	struct hostile *h;
	struct fe_ring *ring;
	struct fe_req *req;
	struct vring_packed_desc *desc;
	unsigned int kind;
	bool any_id; /* more was made available than the one chain */
};

/* Any of the chain's slots; the flags of the first are published last, and come from elsewhere. */
static struct vring_packed_desc *
any_slot(struct packed_input *in)
{
	return &in->desc[rng_below(&in->h->rng, PACKED_SLOTS)];
}

static void
id_outside(struct packed_input *in)
{
	in->desc[3].id = in->ring->size + rng_below(&in->h->rng, 65536 - in->ring->size);
}

static void
id_twice(struct packed_input *in)
{
	in->desc[4] = in->desc[3];
	in->any_id = true;
}

static void
endless(struct packed_input *in)
{
	uint32_t i;

	for (i = 3; i < in->ring->size; i++) {
		in->desc[i] = in->desc[3];
		in->desc[i].flags |= VRING_DESC_F_NEXT;
	}
}

static void
outside(struct packed_input *in)
{
	const struct fe_region *region = &in->h->fs.mem.region[0];

	any_slot(in)->addr = rng_below(&in->h->rng, 2) == 0 ? rng_junk(&in->h->rng) :
							      region->gpa + region->size - 1;
}

static void
length(struct packed_input *in)
{
	any_slot(in)->len = rng_below(&in->h->rng, 2) == 0 ?
			0 :
			UINT32_MAX - rng_below(&in->h->rng, 99);
}

static void
order(struct packed_input *in)
{
	in->desc[1].flags |= VRING_DESC_F_WRITE;
	in->desc[3].flags &= ~VRING_DESC_F_WRITE;
}

static void
indirect_in_chain(struct packed_input *in)
{
	in->desc[1 + rng_below(&in->h->rng, 3)].flags |= VRING_DESC_F_INDIRECT;
}

static void
indirect_alone(struct packed_input *in)
{
	in->ring->first_flags &= ~VRING_DESC_F_NEXT;
	in->ring->first_flags |= VRING_DESC_F_INDIRECT;
	in->desc[0].addr =
			rng_below(&in->h->rng, 2) == 0 ? in->req->table.gpa : rng_junk(&in->h->rng);
	in->desc[0].len = rng_below(&in->h->rng, 99);
	in->desc[0].id = rng_below(&in->h->rng, in->ring->size);
	in->any_id = true;
}

static void
wrap_bits(struct packed_input *in)
{
	uint32_t i;

	for (i = 1; i < in->ring->size; i++)
		if (rng_below(&in->h->rng, 2) == 0)
			in->desc[i].flags ^= rng_below(&in->h->rng, 2) == 0 ? AVAIL : USED;
	in->any_id = true;
}

static void
events(struct packed_input *in)
{
	*(uint32_t *)(void *)in->ring->avail = rng_next(&in->h->rng);
	*(uint32_t *)(void *)in->ring->used = rng_next(&in->h->rng);
}

/* Not where buffers lie: an answer may go to wherever the guest says, the canary included. */
static void
everything(struct packed_input *in)
{
	uint16_t *word = (uint16_t *)in->desc;
	uint32_t i;

	for (i = 4; i < in->ring->size * 8u; i++)
		if (i % 8 >= 4 && rng_below(&in->h->rng, 4) == 0)
			word[i] = rng_next(&in->h->rng);
	in->any_id = true;
}

static const struct {
	const char *name;
	void (*make)(struct packed_input *in);
} kinds[] = {
	{ "id-outside", id_outside },
	{ "id-twice", id_twice },
	{ "endless", endless },
	{ "outside", outside },
	{ "length", length },
	{ "order", order },
	{ "indirect-in-chain", indirect_in_chain },
	{ "indirect-alone", indirect_alone },
	{ "wrap-bits", wrap_bits },
	{ "events", events },
	{ "everything", everything },
};

#define NB_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void
input_send(struct packed_input *in, struct hostile *h, struct fe_queue *q)
{
	struct fe_req *req = &q->reqs[0];
	const struct fe_sg sg[PACKED_SLOTS] = {
		{ req->head.gpa, sizeof(struct fuse_in_header) },
		{ req->arg.gpa, sizeof(struct fuse_getattr_in) },
		{ req->head.gpa + 64, sizeof(struct fuse_out_header) },
		{ req->arg.gpa + FE_ARG_BYTES, sizeof(struct fuse_attr_out) },
	};

	in->h = h;
	in->ring = &q->ring;
	in->req = req;
	in->desc = (void *)q->ring.desc;
	in->any_id = false;
	fe_ring_reset(in->ring, 0);
	fe_req_init(req, FUSE_GETATTR, FE_ROOT, sizeof(struct fuse_getattr_in));
	fe_req_in(req)->len = sizeof(struct fuse_in_header) + sizeof(struct fuse_getattr_in);
	fe_ring_add(in->ring, sg, 2, 2, NULL, req);
	kinds[in->kind].make(in);
	fe_packed_publish(in->ring);
	fe_ring_kick(in->ring);
}

/* Judges while the ring is stopped. */
static enum hostile_outcome
input_outcome(const struct packed_input *in)
{
	const struct vring_packed_desc *used = &in->desc[0];

	if (!fe_packed_ready(in->ring))
		return HOSTILE_SILENT;
	if (!in->any_id && used->id != 0)
		hostile_fault(in->h, "packed %s: used id %u was never available",
				kinds[in->kind].name, used->id);
	if (!(used->flags & VRING_DESC_F_WRITE))
		return HOSTILE_REFUSED;
	return fe_req_out(in->req)->error == 0 || in->any_id ? HOSTILE_PAST : HOSTILE_REFUSED;
}

static void
inputs_wait(const struct packed_input *in, unsigned int nb)
{
	const struct timespec nap = { .tv_nsec = 50000 };
	uint64_t end = fe_now_ns() + PACKED_GRACE_NS;
	unsigned int i;

	do {
		for (i = 0; i < nb && fe_packed_ready(in[i].ring); i++)
			continue;
		if (i == nb)
			return;
		nanosleep(&nap, NULL);
	} while (fe_now_ns() < end);
}

static int
packed_connect(struct hostile *h, struct fe_buf *canary)
{
	int rc;

	hostile_disconnect(h);
	rc = hostile_connect(h, HOSTILE_MOUNT);
	if (rc == 0)
		rc = fe_mem_alloc(&h->fs.mem, PACKED_CANARY, 64, canary);
	if (rc == 0)
		memset(canary->va, 0x5a, PACKED_CANARY);
	return rc;
}

static bool
canary_is_intact(const struct fe_buf *canary)
{
	const uint8_t *byte = canary->va;

	return byte[0] == 0x5a && memcmp(byte, byte + 1, canary->len - 1) == 0;
}

int
hostile_packed(struct hostile *h, uint64_t nb)
{
	unsigned int nb_rings = h->opts.nb_queues, first_cat = h->nb_cats, i;
	struct packed_input in[FE_MAX_QUEUES];
	struct fe_buf canary;
	uint64_t sent;
	uint16_t base;
	int rc;

	for (i = 0; i < NB_KINDS; i++)
		hostile_cat_add(h, "packed", kinds[i].name);
	rc = packed_connect(h, &canary);
	for (sent = 0; sent < nb && rc == 0; sent += nb_rings) {
		for (i = 0; i < nb_rings; i++) {
			in[i].kind = (sent + i) % NB_KINDS;
			input_send(&in[i], h, &h->fs.queue[1 + i]);
		}
		inputs_wait(in, nb_rings);
		for (i = 0; i < nb_rings; i++) {
			if (rc == 0)
				rc = fe_conn_ring_stop(&h->fs.conn, 1 + i, &base);
			hostile_count(h, first_cat + in[i].kind, input_outcome(&in[i]));
		}
		for (i = 0; i < nb_rings && rc == 0; i++) {
			fe_ring_reset(in[i].ring, 0);
			rc = fe_conn_ring_start(&h->fs.conn, 1 + i, in[i].ring);
		}
		if (!canary_is_intact(&canary)) {
			hostile_fault(h, "packed: the device wrote where it was not asked to");
			memset(canary.va, 0x5a, PACKED_CANARY);
		}
		if (rc < 0)
			rc = packed_connect(h, &canary);
	}
	return rc;
}
