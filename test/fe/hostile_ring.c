/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fe_hist.h"
#include "hostile.h"

/*
 * Malformed rings. Every request queue gets one at a time; then all are stopped and started anew,
 * as a broken ring must be. What lies in them is a good GETATTR, so that a ring that is taken for
 * good is answered with success.
 */

#define RING_GRACE_NS 3000000ULL
#define RING_CANARY   65536u
#define RING_TABLE    2000u /* descriptors in the table of many segments */
#define MAX_HEADS     64

/* One ring with one input. Descriptors 0 to 3: header, arguments, out header, answer. */
struct ring_input {
	struct hostile *h;
	struct fe_ring *ring;
	struct fe_req *req;
	struct vring_desc *table; /* entries of the request's own table */
	struct fe_buf big_table; /* RING_TABLE entries */
	unsigned int cat;
	uint16_t heads[MAX_HEADS];
	unsigned int nb_heads;
	bool any_head; /* more was made available than heads says */
	bool scribble; /* goes on changing after the kick */
};

static void
input_post(struct ring_input *in, uint16_t head)
{
	struct fe_ring *ring = in->ring;

	ring->avail->ring[ring->avail_idx++ % ring->size] = head;
	if (in->nb_heads < MAX_HEADS)
		in->heads[in->nb_heads++] = head;
	else
		in->any_head = true;
}

static uint16_t
input_next(struct ring_input *in)
{
	return rng_below(&in->h->rng, 4);
}

static uint64_t
junk_gpa(struct ring_input *in)
{
	const struct fe_mem *mem = &in->h->fs.mem;
	const struct fe_region *region = &mem->region[rng_below(&in->h->rng, mem->nb)];

	switch (rng_below(&in->h->rng, 4)) {
	case 0:
		return region->gpa - 1 - rng_below(&in->h->rng, 64);
	case 1:
		return region->gpa + region->size + rng_below(&in->h->rng, 64);
	case 2:
		/* Begins inside and ends outside. */
		return region->gpa + region->size - 1 - rng_below(&in->h->rng, 14);
	default:
		return rng_junk(&in->h->rng);
	}
}

static void
bad_head(struct ring_input *in)
{
	in->nb_heads = 0;
	in->ring->avail_idx = in->ring->base;
	input_post(in, in->ring->size + rng_below(&in->h->rng, 65536 - in->ring->size));
}

static void
bad_next(struct ring_input *in)
{
	struct vring_desc *desc = &in->ring->desc[input_next(in)];

	desc->flags |= VRING_DESC_F_NEXT;
	desc->next = in->ring->size + rng_below(&in->h->rng, 65536 - in->ring->size);
}

static void
loop(struct ring_input *in)
{
	struct vring_desc *desc = &in->ring->desc[3];

	desc->flags |= VRING_DESC_F_NEXT;
	desc->next = 2 + rng_below(&in->h->rng, 2);
}

static void
loop_of_readable(struct ring_input *in)
{
	in->ring->desc[1].next = rng_below(&in->h->rng, 2);
}

static void
address_outside(struct ring_input *in)
{
	in->ring->desc[input_next(in)].addr = junk_gpa(in);
}

static void
address_wraps(struct ring_input *in)
{
	struct vring_desc *desc = &in->ring->desc[input_next(in)];

	desc->addr = UINT64_MAX - rng_below(&in->h->rng, 4096);
	desc->len = 4096 + rng_below(&in->h->rng, 65536);
}

static void
length_huge(struct ring_input *in)
{
	in->ring->desc[input_next(in)].len = UINT32_MAX - rng_below(&in->h->rng, 4096);
}

static void
length_zero(struct ring_input *in)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		if (rng_below(&in->h->rng, 2) == 0)
			in->ring->desc[i].len = 0;
	in->ring->desc[input_next(in)].len = 0;
}

static void
flags_unknown(struct ring_input *in)
{
	in->ring->desc[input_next(in)].flags |= 8u << rng_below(&in->h->rng, 13);
}

static void
readable_after_writable(struct ring_input *in)
{
	in->ring->desc[input_next(in) & 1].flags |= VRING_DESC_F_WRITE;
	in->ring->desc[3].flags &= ~VRING_DESC_F_WRITE;
}

static void
readable_only(struct ring_input *in)
{
	in->ring->desc[1].flags &= ~VRING_DESC_F_NEXT;
}

static void
writable_only(struct ring_input *in)
{
	in->nb_heads = 0;
	in->ring->avail_idx = in->ring->base;
	input_post(in, 2);
}

static void
avail_jump(struct ring_input *in)
{
	in->ring->avail_idx += in->ring->size + rng_below(&in->h->rng, 65535 - in->ring->size);
	in->any_head = true;
}

static void
avail_back(struct ring_input *in)
{
	in->ring->avail_idx -= 1 + rng_below(&in->h->rng, 65535);
	in->any_head = true;
}

static void
head_twice(struct ring_input *in)
{
	unsigned int nb = 1 + rng_below(&in->h->rng, 32);

	while (nb-- > 0)
		input_post(in, rng_below(&in->h->rng, 4) == 0 ? 2 : 0);
}

/* Moves the chain into the request's own table. */
static void
make_indirect(struct ring_input *in)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		in->table[i] = in->ring->desc[i];
	in->ring->desc[0].addr = in->req->table.gpa;
	in->ring->desc[0].len = 4 * sizeof(struct vring_desc);
	in->ring->desc[0].flags = VRING_DESC_F_INDIRECT;
}

static void
indirect_nested(struct ring_input *in)
{
	make_indirect(in);
	in->table[input_next(in)].flags |= VRING_DESC_F_INDIRECT;
}

static void
indirect_beside_next(struct ring_input *in)
{
	make_indirect(in);
	in->ring->desc[0].flags |= VRING_DESC_F_NEXT;
	in->ring->desc[0].next = rng_below(&in->h->rng, in->ring->size + 2);
}

static void
indirect_writable(struct ring_input *in)
{
	make_indirect(in);
	in->ring->desc[0].flags |= VRING_DESC_F_WRITE;
}

static void
indirect_odd_length(struct ring_input *in)
{
	make_indirect(in);
	in->ring->desc[0].len = rng_below(&in->h->rng, 80);
}

static void
indirect_outside(struct ring_input *in)
{
	make_indirect(in);
	in->ring->desc[0].addr = junk_gpa(in);
}

static void
indirect_huge(struct ring_input *in)
{
	make_indirect(in);
	in->ring->desc[0].len = (uint32_t)rng_junk(&in->h->rng) & ~15u;
}

static void
indirect_bad_next(struct ring_input *in)
{
	make_indirect(in);
	in->table[3].flags |= VRING_DESC_F_NEXT;
	in->table[3].next = rng_below(&in->h->rng, 2) == 0 ? 2 + rng_below(&in->h->rng, 2) :
							     rng_next(&in->h->rng);
}

static void
indirect_misaligned(struct ring_input *in)
{
	make_indirect(in);
	memmove((uint8_t *)in->table + 3, in->table, 64);
	in->ring->desc[0].addr += 3;
}

/* Up to thousands of one-byte segments: more than a ring has, or any driver sends. */
static void
many_segments(struct ring_input *in)
{
	struct vring_desc *entry = in->big_table.va;
	unsigned int nb = 200 + rng_below(&in->h->rng, RING_TABLE - 200);
	unsigned int i;

	for (i = 0; i < 3; i++)
		entry[i] = in->ring->desc[i];
	for (i = 3; i < nb; i++) {
		entry[i].addr = in->req->data.gpa + i;
		entry[i].len = 1;
		entry[i].flags = VRING_DESC_F_WRITE | (i + 1 < nb ? VRING_DESC_F_NEXT : 0);
		entry[i].next = i + 1;
	}
	in->ring->desc[0].addr = in->big_table.gpa;
	in->ring->desc[0].len = nb * sizeof(*entry);
	in->ring->desc[0].flags = VRING_DESC_F_INDIRECT;
}

/* The answer lands on what the device still reads: headers, descriptors, its own rings. */
static void
overlapping(struct ring_input *in)
{
	struct fe_ring *ring = in->ring;
	const uint64_t where[] = { in->req->head.gpa, ring->desc_gpa, ring->avail_gpa,
		ring->used_gpa, in->req->table.gpa };
	struct vring_desc *desc = &ring->desc[2 + rng_below(&in->h->rng, 2)];

	desc->addr = where[rng_below(&in->h->rng, 5)];
	in->any_head = true;
}

static void
changing(struct ring_input *in)
{
	if (rng_below(&in->h->rng, 2) == 0)
		make_indirect(in);
	in->scribble = true;
	in->any_head = true;
}

static void
random_descriptors(struct ring_input *in)
{
	uint64_t *word = (uint64_t *)in->ring->desc;
	unsigned int i;

	for (i = 0; i < in->ring->size * 2u; i++)
		word[i] = rng_junk(&in->h->rng);
	for (i = 0; i < in->ring->size; i++)
		in->ring->avail->ring[i] = rng_below(&in->h->rng, in->ring->size + 1);
	in->ring->avail_idx = in->ring->base + rng_below(&in->h->rng, in->ring->size + 1);
	in->any_head = true;
}

static const struct {
	const char *name;
	void (*make)(struct ring_input *in);
} kinds[] = {
	{ "bad-head", bad_head },
	{ "bad-next", bad_next },
	{ "loop", loop },
	{ "loop-of-readable", loop_of_readable },
	{ "address-outside", address_outside },
	{ "address-wraps", address_wraps },
	{ "length-huge", length_huge },
	{ "length-zero", length_zero },
	{ "flags-unknown", flags_unknown },
	{ "readable-after-writable", readable_after_writable },
	{ "readable-only", readable_only },
	{ "writable-only", writable_only },
	{ "avail-jump", avail_jump },
	{ "avail-back", avail_back },
	{ "head-twice", head_twice },
	{ "indirect-nested", indirect_nested },
	{ "indirect-beside-next", indirect_beside_next },
	{ "indirect-writable", indirect_writable },
	{ "indirect-odd-length", indirect_odd_length },
	{ "indirect-outside", indirect_outside },
	{ "indirect-huge", indirect_huge },
	{ "indirect-bad-next", indirect_bad_next },
	{ "indirect-misaligned", indirect_misaligned },
	{ "many-segments", many_segments },
	{ "overlapping", overlapping },
	{ "changed-after-kick", changing },
	{ "random", random_descriptors },
};

#define NB_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* A good GETATTR of the root in descriptors 0 to 3, head 0 made available. */
static void
input_prepare(struct ring_input *in, struct hostile *h, struct fe_queue *q)
{
	struct fe_req *req = &q->reqs[0];
	const struct {
		uint64_t gpa;
		uint32_t len;
		uint16_t flags;
	} part[4] = {
		{ req->head.gpa, sizeof(struct fuse_in_header), VRING_DESC_F_NEXT },
		{ req->arg.gpa, sizeof(struct fuse_getattr_in), VRING_DESC_F_NEXT },
		{ req->head.gpa + 64, sizeof(struct fuse_out_header),
				VRING_DESC_F_NEXT | VRING_DESC_F_WRITE },
		{ req->arg.gpa + FE_ARG_BYTES, sizeof(struct fuse_attr_out), VRING_DESC_F_WRITE },
	};
	unsigned int i;

	in->nb_heads = 0;
	in->any_head = false;
	in->scribble = false;
	in->h = h;
	in->ring = &q->ring;
	in->req = req;
	in->table = req->table.va;
	fe_ring_reset(in->ring, 0);
	fe_req_init(req, FUSE_GETATTR, FE_ROOT, sizeof(struct fuse_getattr_in));
	fe_req_in(req)->len = sizeof(struct fuse_in_header) + sizeof(struct fuse_getattr_in);
	for (i = 0; i < 4; i++) {
		in->ring->desc[i].addr = part[i].gpa;
		in->ring->desc[i].len = part[i].len;
		in->ring->desc[i].flags = part[i].flags;
		in->ring->desc[i].next = i + 1;
	}
	input_post(in, 0);
}

static void
input_kick(struct ring_input *in)
{
	/* Not INIT or DESTROY: the session has to stay for the next inputs. */
	static const uint32_t opcodes[] = { FUSE_LOOKUP, FUSE_GETATTR, FUSE_OPEN, FUSE_READ,
		FUSE_WRITE, FUSE_STATFS, FUSE_READDIR, FUSE_FORGET };
	unsigned int i;

	__atomic_store_n(&in->ring->avail->idx, in->ring->avail_idx, __ATOMIC_RELEASE);
	fe_ring_kick(in->ring);
	if (!in->scribble)
		return;
	for (i = 0; i < 200; i++) {
		struct vring_desc *desc = rng_below(&in->h->rng, 2) == 0 ?
				&in->ring->desc[input_next(in)] :
				&in->table[input_next(in)];

		switch (rng_below(&in->h->rng, 5)) {
		case 0:
			desc->addr = junk_gpa(in);
			break;
		case 1:
			desc->len = rng_junk(&in->h->rng);
			break;
		case 2:
			desc->flags = rng_next(&in->h->rng) & 7;
			break;
		case 3:
			desc->next = rng_next(&in->h->rng);
			break;
		default:
			fe_req_in(in->req)->len = rng_junk(&in->h->rng);
			fe_req_in(in->req)->opcode = opcodes[rng_below(&in->h->rng, 8)];
			break;
		}
	}
}

static bool
input_has_head(const struct ring_input *in, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < in->nb_heads; i++)
		if (in->heads[i] == id)
			return true;
	return in->any_head && id < in->ring->size;
}

/* Judges what the device made of the input, while the ring is stopped. */
static enum hostile_outcome
input_outcome(const struct ring_input *in)
{
	const struct fe_ring *ring = in->ring;
	const struct fuse_out_header *out = fe_req_out(in->req);
	uint16_t nb = ring->used->idx - ring->base;
	const char *name = kinds[in->cat].name;
	uint16_t i;

	/* An answer that was aimed at the used ring itself says nothing any more. */
	if (in->any_head && nb > ring->size)
		return HOSTILE_PAST;
	if (nb == 0)
		return HOSTILE_SILENT;
	if (nb > in->nb_heads && !in->any_head) {
		hostile_fault(in->h, "ring %s: %u used entries for %u chains", name, nb,
				in->nb_heads);
		return HOSTILE_PAST;
	}
	for (i = 0; i < nb && i < ring->size; i++) {
		const struct vring_used_elem *elem =
				&ring->used->ring[(ring->base + i) % ring->size];

		if (!input_has_head(in, elem->id) && !in->any_head)
			hostile_fault(in->h, "ring %s: used id %u was never available", name,
					elem->id);
		if (elem->len != 0 && elem->len < sizeof(*out) && !in->any_head)
			hostile_fault(in->h, "ring %s: used length %u", name, elem->len);
	}
	if (ring->used->ring[ring->base % ring->size].len == 0)
		return HOSTILE_REFUSED;
	return out->error == 0 || in->any_head ? HOSTILE_PAST : HOSTILE_REFUSED;
}

static void
inputs_wait(const struct ring_input *in, unsigned int nb)
{
	const struct timespec nap = { .tv_nsec = 50000 };
	uint64_t end = fe_now_ns() + RING_GRACE_NS;
	unsigned int i;

	do {
		for (i = 0; i < nb &&
				__atomic_load_n(&in[i].ring->used->idx, __ATOMIC_ACQUIRE) !=
						in[i].ring->base;
				i++)
			continue;
		if (i == nb)
			return;
		nanosleep(&nap, NULL);
	} while (fe_now_ns() < end);
}

/* Stops every ring, judges, and starts them empty. @return 0 or the connection's error. */
static int
inputs_finish(struct hostile *h, struct ring_input *in, unsigned int nb, unsigned int first_cat)
{
	unsigned int i;
	uint16_t base;
	int rc = 0;

	for (i = 0; i < nb; i++) {
		if (rc == 0)
			rc = fe_conn_ring_stop(&h->fs.conn, in[i].req->queue->index, &base);
		hostile_count(h, first_cat + in[i].cat, input_outcome(&in[i]));
	}
	for (i = 0; i < nb && rc == 0; i++) {
		fe_ring_reset(in[i].ring, 0);
		rc = fe_conn_ring_start(&h->fs.conn, in[i].req->queue->index, in[i].ring);
	}
	return rc;
}

static bool
canary_is_intact(const struct fe_buf *canary)
{
	const uint8_t *byte = canary->va;

	return byte[0] == 0x5a && memcmp(byte, byte + 1, canary->len - 1) == 0;
}

static int
rings_connect(struct hostile *h, struct ring_input *in, struct fe_buf *canary)
{
	unsigned int i;
	int rc;

	hostile_disconnect(h);
	rc = hostile_connect(h, HOSTILE_MOUNT);
	if (rc == 0)
		rc = fe_mem_alloc(&h->fs.mem, RING_CANARY, 64, canary);
	if (rc == 0)
		memset(canary->va, 0x5a, RING_CANARY);
	for (i = 0; i < h->opts.nb_queues && rc == 0; i++)
		rc = fe_mem_alloc(&h->fs.mem, RING_TABLE * sizeof(struct vring_desc), 16,
				&in[i].big_table);
	return rc;
}

int
hostile_ring(struct hostile *h, uint64_t nb)
{
	unsigned int nb_rings = h->opts.nb_queues;
	struct ring_input *in = calloc(nb_rings, sizeof(*in));
	unsigned int first_cat = h->nb_cats;
	struct fe_buf canary;
	uint64_t sent;
	unsigned int i;
	int rc;

	for (i = 0; i < NB_KINDS; i++)
		hostile_cat_add(h, "ring", kinds[i].name);

	rc = in == NULL ? -ENOMEM : rings_connect(h, in, &canary);
	for (sent = 0; sent < nb && rc == 0; sent += nb_rings) {
		for (i = 0; i < nb_rings; i++) {
			input_prepare(&in[i], h, &h->fs.queue[1 + i]);
			in[i].cat = (sent + i) % NB_KINDS;
			kinds[in[i].cat].make(&in[i]);
		}
		for (i = 0; i < nb_rings; i++)
			input_kick(&in[i]);
		inputs_wait(in, nb_rings);
		rc = inputs_finish(h, in, nb_rings, first_cat);
		if (!canary_is_intact(&canary)) {
			hostile_fault(h, "ring: the device wrote where it was not asked to");
			memset(canary.va, 0x5a, RING_CANARY);
		}
		/* Closing the connection is a device's right; not coming back is not. */
		if (rc < 0)
			rc = rings_connect(h, in, &canary);
	}
	free(in);
	return rc;
}
