/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Takes the input for what a guest does: a list of requests, in which nodes and open files that the
 * guest was told of can be named by a small number, mixed with orders to the file system behind
 * (hold requests, go on, fail, have no SYNCFS) and to the device (detach, reset). Holds: an answer is
 * well formed and written where there is room; a request ends once; a session that ends leaves
 * nothing behind.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "fuse_guest.h"
#include "fuzz.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

/* First bytes of an order; below them it is a request, and the byte its opcode. */
enum {
	ORDER_HOLD = 0xf0,
	ORDER_GO_ON,
	ORDER_FAIL,
	ORDER_DETACH,
	ORDER_RESET,
	ORDER_NO_SYNCFS,
};

#define NB_SLOTS 8
#define NB_KNOWN 8
#define ARG_MAX  4600

struct input {
	const uint8_t *p, *end;
};

static struct guest_req reqs[NB_SLOTS];
static bool busy[NB_SLOTS], detached[NB_SLOTS];
static uint64_t nodes[NB_KNOWN], files[NB_KNOWN];
static unsigned int nb_learned;

static void
stop(void)
{
	guest_teardown(NULL);
	guest_group_teardown(NULL);
}

static void
start(void)
{
	static bool started;

	if (started)
		return;
	started = true;
	/* An assertion of the guest's is a finding, not the end of a test. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	CHECK(guest_group_setup(NULL) == 0 && guest_setup(NULL) == 0);
	atexit(stop);
}

static uint8_t
take(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

/* What an answer tells, for later requests to use. */
static void
learn(uint32_t opcode, const void *body, int len)
{
	const struct fuse_entry_out *entry = body;
	const struct fuse_open_out *open = body;
	unsigned int i = nb_learned++ % NB_KNOWN;

	if (fuse_ops[opcode].reply == fuse_open_reply && len == sizeof(*open))
		files[i] = open->fh;
	else if (fuse_ops[opcode].undo != NULL && len >= (int)sizeof(*entry))
		nodes[i] = entry->nodeid;
	if (fuse_ops[opcode].reply == fuse_create_reply && len > (int)sizeof(*entry))
		files[i] = ((const struct fuse_open_out *)(entry + 1))->fh;
}

static void
collect(void)
{
	const void *body = NULL;
	int len;

	for (unsigned int i = 0; i < NB_SLOTS; i++) {
		if (!busy[i] || (reqs[i].completed == 0 && reqs[i].released == 0))
			continue;
		busy[i] = false;
		CHECK(reqs[i].completed + reqs[i].released == 1);
		CHECK(reqs[i].fenced == detached[i]);
		if (reqs[i].bytes == 0 || detached[i])
			continue;
		len = guest_answer(&reqs[i], &body);
		if (len > 0)
			learn(reqs[i].fuse.opcode, body, len);
	}
}

static void
nothing(void)
{
}

/* Until each request has ended or is with the file system: a SYNCFS waits between its files. */
static void
settle(void)
{
	for (unsigned int i = 0; i < NB_SLOTS; i++)
		while (busy[i] && reqs[i].fuse.state == FUSE_REQ_WAITING)
			guest_on_worker(0, nothing);
	collect();
}

static uint32_t
take_room(struct input *in)
{
	static const uint32_t rooms[] = { 0, 15, 16, 17, 24, 143, 144, 160, 200, 4112, 8192 };
	uint8_t n = take(in);

	return n < RTE_DIM(rooms) ? rooms[n] : n < 64 ? n * 13u : 4112;
}

/* Where a request has a handle, the input may put a known one. */
static void
take_handles(struct input *in, uint32_t opcode, uint8_t *arg)
{
	bool is_second = opcode == FUSE_GETATTR || opcode == FUSE_SETATTR || opcode == FUSE_STATX;
	bool is_copy = opcode == FUSE_COPY_FILE_RANGE || opcode == FUSE_COPY_FILE_RANGE_64;
	struct fuse_copy_file_range_in *copy = (void *)arg;
	uint8_t n = take(in);

	if (n < 2 * NB_KNOWN)
		memcpy(is_second ? arg + 8 : arg, n < NB_KNOWN ? &files[n] : &nodes[n - NB_KNOWN],
				8);
	n = is_copy ? take(in) : UINT8_MAX;
	if (n < NB_KNOWN * NB_KNOWN) {
		copy->nodeid_out = nodes[n % NB_KNOWN];
		copy->fh_out = files[n / NB_KNOWN];
	}
}

static void
go_on(void)
{
	guest_on_worker(0, fake_go_on);
	fake.set_res = false;
	settle();
}

static void
request(struct input *in, uint8_t opcode)
{
	uint8_t arg[ARG_MAX] __rte_aligned(8) = { 0 };
	uint8_t node = take(in), length = take(in), wrong = take(in);
	uint64_t nodeid = node < NB_KNOWN ? nodes[node] : node < 200 ? FUSE_NODEID_ROOT : node;
	uint32_t room = take_room(in), row = opcode < FUSE_NB_OPCODES ? opcode : 0;
	size_t left, len = fuse_ops[row].arg_max + length;
	struct guest_req *r;
	unsigned int slot;

	for (slot = 0; slot < NB_SLOTS && busy[slot]; slot++)
		;
	if (slot == NB_SLOTS)
		return;
	if (length >= 250)
		len = ARG_MAX - (255 - length) * 7u;
	left = RTE_MIN(len, (size_t)(in->end - in->p));
	memcpy(arg, in->p, left);
	in->p += left;
	take_handles(in, opcode, arg);

	r = &reqs[slot];
	guest_prepare(r, slot, opcode, nodeid, arg, len, room);
	if (wrong >= 250)
		guest_head(r)->len += wrong - 252u;
	if (wrong == 249)
		guest_head(r)->total_extlen = length;
	if (wrong == 248)
		guest_cut(r, length % 41u);
	if (fake.hold_release && (opcode == FUSE_INIT || opcode == FUSE_DESTROY)) {
		/* They may reset, and a reset ends with the files that it closes. */
		fake.hold_release = false;
		go_on();
	}
	detached[slot] = false;
	busy[slot] = guest_submit(r) == 0;
	/* INIT and DESTROY may wait for control. */
	if (opcode == FUSE_INIT || opcode == FUSE_DESTROY)
		guest_wait(r);
	settle();
}

static void
order(struct input *in, uint8_t what)
{
	uint8_t n = take(in);

	switch (what) {
	case ORDER_HOLD:
		fake.hold = n % 2 != 0;
		fake.hold_release = n % 4 > 1;
		fake.nb_entries = n;
		break;
	case ORDER_GO_ON:
		go_on();
		break;
	case ORDER_FAIL:
		/*
		 * Not 0: a file system that writes and then says that it did not is no test of ours.
		 * And not what promises an answer that never comes.
		 */
		fake.set_res = n > 0 && n != EINPROGRESS;
		fake.res = n < 250 ? -(int)n : (int)n * 1000;
		break;
	case ORDER_DETACH:
		n %= NB_SLOTS;
		if (busy[n] && !detached[n]) {
			detached[n] = true;
			guest_detach(&reqs[n]);
			settle();
		}
		break;
	case ORDER_RESET:
		if (fake.nb_held == 0 && !fake.hold_release)
			guest_reset();
		break;
	case ORDER_NO_SYNCFS:
		fake_without(WEIR_FSOP_SYNCFS);
		break;
	}
}

/* All that is held ends, the guest goes, and nothing may be left; then the next one comes. */
static void
finish(void)
{
	struct fuse_init_out out;

	fake.hold_release = false;
	go_on();
	for (unsigned int i = 0; i < NB_SLOTS; i++)
		CHECK(!busy[i]);
	CHECK(fake.bad_private == 0 && fake.emitted_late == 0);
	fake_clear();
	memset(nodes, 0, sizeof(nodes));
	memset(files, 0, sizeof(files));
	nb_learned = 0;
	/* A reset takes its time: not for a guest that did nothing. */
	if (weir_fuse_session_is_mounted(guest_sess) && atomic_load(&guest_sess->nb_nodes) == 0 &&
			weir_table_used(guest_sess->files) == 0 && guest_nodes() == 1)
		return;
	guest_reset();
	CHECK(fake.open == 0);
	CHECK(atomic_load(&guest_sess->nb_nodes) == 0);
	CHECK(weir_table_used(guest_sess->files) == 0);
	CHECK(rte_mempool_avail_count(fuse_arg_pool) == 2);
	CHECK(guest_init(39, UINT64_MAX, &out) == sizeof(out));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .p = data, .end = data + size };
	uint8_t what;

	start();
	while (in.p < in.end) {
		what = take(&in);
		if (what >= ORDER_HOLD)
			order(&in, what);
		else
			request(&in, what);
	}
	finish();
	return 0;
}
