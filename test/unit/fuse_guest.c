/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_cycles.h>

#include "weir_loop.h"
#include "weir_rpc.h"

#include "eal.h"
#include "fuse_guest.h"

#define SECOND_NS UINT64_C(1000000000)
/* Bytes behind the room for an answer that must not change. */
#define GUEST_MARGIN 4096u

struct weir_fuse_session *guest_sess;

static struct weir_fsdev *guest_dev;
static struct weir_memmap *guest_map;
static int guest_fd = -1;
static _Atomic uint64_t guest_unique;

/* Outside of an assertion's reach: on a failed set-up there is no test to fail. */
static void
invoke_done(void *arg, int code, json_t *result, const char *message)
{
	*(int *)arg = code == 0 ? 1 : -1;
}

static int
invoke(const char *method, const char *options)
{
	json_t *params = json_loads(options, 0, NULL);
	int done = 0;

	json_object_set_new(params, "name", json_string("fake0"));
	weir_role_assume_control();
	weir_rpc_invoke(method, params, invoke_done, &done);
	while (done == 0)
		weir_loop_poll(100);
	json_decref(params);
	return done > 0 ? 0 : -1;
}

int
guest_group_setup(void **state)
{
	const struct weir_workers_cfg workers = { .idle = WEIR_IDLE_ADAPTIVE, .spin_us = 20 };
	const struct weir_memmap_src src = { .size = GUEST_SLOTS * GUEST_SLOT };
	struct weir_memmap_src mem = src;

	weir_role_assume_control();
	if (test_eal_init("0,1@0,2@0") < 0 || weir_loop_init() < 0 ||
			weir_workers_start(&workers) < 0 || weir_fuse_init(2) < 0)
		return -1;
	guest_fd = memfd_create("guest", MFD_CLOEXEC);
	if (guest_fd < 0 || ftruncate(guest_fd, (off_t)src.size) < 0)
		return -1;
	mem.fd = guest_fd;
	if (weir_memmap_create(&mem, 1, &guest_map) < 0 || invoke("fsdev_fake_create", "{}") < 0)
		return -1;
	guest_dev = weir_fsdev_find("fake0");
	return guest_dev != NULL ? 0 : -1;
}

int
guest_group_teardown(void **state)
{
	weir_role_assume_control();
	if (invoke("fsdev_fake_delete", "{}") < 0)
		return -1;
	weir_memmap_put(guest_map);
	close(guest_fd);
	weir_workers_stop();
	weir_fuse_fini();
	weir_loop_fini();
	test_eal_fini();
	return 0;
}

int
guest_setup_unmounted(void **state)
{
	const struct weir_fuse_cfg cfg = {
		.name = "guest", .ring_size = 256, .max_open_files = 64
	};

	weir_role_assume_control();
	fake_clear();
	memset(guest_map->regions[0].addr, 0, guest_map->regions[0].size);
	return weir_fuse_session_create(&cfg, guest_dev, &guest_sess);
}

int
guest_setup(void **state)
{
	struct fuse_init_out out;

	if (guest_setup_unmounted(state) < 0)
		return -1;
	return guest_init(39, ~UINT64_C(0), &out) == sizeof(out) ? 0 : -1;
}

static void
guest_tick(void)
{
	weir_role_assume_control();
	weir_loop_poll(1);
	weir_fsdevs_maintain();
	if (guest_sess != NULL)
		weir_fuse_session_maintain(guest_sess);
}

void
guest_until(bool (*cond)(void *arg), void *arg)
{
	uint64_t deadline = weir_now_ns() + 10 * SECOND_NS;

	while (!cond(arg)) {
		if (weir_now_ns() > deadline)
			fail_msg("it did not come to that within 10 s");
		guest_tick();
	}
}

static void
reset_done(void *arg)
{
	*(bool *)arg = true;
}

static bool
is_true(void *arg)
{
	return *(bool *)arg;
}

void
guest_reset(void)
{
	bool done = false;

	weir_role_assume_control();
	weir_fuse_session_reset(guest_sess, reset_done, &done);
	guest_until(is_true, &done);
}

static bool
only_root_is_left(void *arg)
{
	return weir_fsdev_nodes(guest_dev) == 1;
}

int
guest_teardown(void **state)
{
	weir_role_assume_control();
	guest_reset();
	assert_int_equal(atomic_load(&guest_sess->nb_nodes), 0);
	assert_int_equal(weir_table_used(guest_sess->files), 0);
	weir_fuse_session_destroy(guest_sess);
	guest_sess = NULL;
	guest_until(only_root_is_left, NULL);
	assert_int_equal(fake.open, 0);
	assert_int_equal(fake.bad_private, 0);
	return 0;
}

void
guest_remake(const char *options, struct fuse_init_out *out)
{
	weir_role_assume_control();
	guest_teardown(NULL);
	assert_int_equal(invoke("fsdev_fake_delete", "{}"), 0);
	assert_int_equal(invoke("fsdev_fake_create", options), 0);
	guest_dev = weir_fsdev_find("fake0");
	assert_non_null(guest_dev);
	assert_int_equal(guest_setup_unmounted(NULL), 0);
	assert_int_equal(guest_init(39, ~UINT64_C(0), out), sizeof(*out));
}

static uint8_t *
slot_in(const struct guest_req *r)
{
	return guest_map->regions[0].addr + (size_t)r->slot * GUEST_SLOT;
}

static uint8_t *
slot_out(const struct guest_req *r)
{
	return slot_in(r) + GUEST_SLOT / 2;
}

/* Pieces of odd lengths, so that nothing may rely on where a segment ends. */
static unsigned int
cut(struct weir_seg *segs, const uint8_t *at, size_t len, uint32_t first, uint32_t piece)
{
	uint64_t off = (uint64_t)(at - guest_map->regions[0].addr);
	unsigned int nb;
	uint32_t n;

	for (nb = 0; len > 0; nb++, len -= n, off += n) {
		n = RTE_MIN(len, (size_t)(nb == 0 ? first : piece));
		segs[nb] = (struct weir_seg){ .off = off, .len = n };
	}
	return nb;
}

void
guest_cut(struct guest_req *r, size_t n)
{
	unsigned int nb_in = cut(r->segs, slot_in(r), n, 33, 517);
	unsigned int nb_out = cut(r->segs + nb_in, slot_out(r), r->room, 15, 1031);

	assert_true(nb_in + nb_out <= RTE_DIM(r->segs));
	weir_iov_init(&r->fuse.in, guest_map, r->segs, nb_in);
	weir_iov_init(&r->fuse.out, guest_map, r->segs + nb_in, nb_out);
}

static void
guest_complete(struct weir_fuse_req *fuse, uint32_t bytes)
{
	struct guest_req *r = container_of(fuse, struct guest_req, fuse);

	r->bytes = bytes;
	atomic_fetch_add(&r->completed, 1);
}

static void
guest_released(struct weir_fuse_req *fuse)
{
	atomic_fetch_add(&container_of(fuse, struct guest_req, fuse)->released, 1);
}

static void
guest_fenced(struct weir_fuse_req *fuse)
{
	atomic_fetch_add(&container_of(fuse, struct guest_req, fuse)->fenced, 1);
}

struct fuse_in_header *
guest_head(struct guest_req *r)
{
	return (void *)slot_in(r);
}

void
guest_prepare(struct guest_req *r, unsigned int slot, uint32_t opcode, uint64_t nodeid,
		const void *arg, size_t len, uint32_t room)
{
	const struct fuse_in_header head = {
		.len = sizeof(head) + len,
		.opcode = opcode,
		.unique = ++guest_unique,
		.nodeid = nodeid,
		.uid = 1000,
		.gid = 100,
		.pid = 4321,
	};

	assert_true(slot < GUEST_SLOTS && sizeof(head) + len < GUEST_SLOT / 2);
	assert_true(room + GUEST_MARGIN <= GUEST_SLOT / 2);
	memset(&r->fuse, 0xa5, sizeof(r->fuse));
	r->fuse.start_tsc = rte_rdtsc();
	r->fuse.route = NULL;
	r->fuse.complete = guest_complete;
	r->fuse.released = guest_released;
	r->slot = slot;
	r->room = room;
	r->worker = 0;
	r->bytes = 0;
	r->completed = r->released = r->fenced = 0;
	memcpy(slot_in(r), &head, sizeof(head));
	if (len > 0)
		memcpy(slot_in(r) + sizeof(head), arg, len);
	memset(slot_out(r), 0xee, room + GUEST_MARGIN);
	guest_cut(r, sizeof(head) + len);
}

struct on_worker {
	struct guest_req *r;
	void (*fn)(void);
	int rc;
};

static void
submit_on_worker(void *arg)
{
	struct on_worker *w = arg;

	weir_role_assume_worker();
	w->rc = weir_fuse_submit(guest_sess, &w->r->fuse);
}

int
guest_submit(struct guest_req *r)
{
	struct on_worker w = { .r = r };

	weir_worker_sync(weir_worker_at(r->worker), submit_on_worker, &w);
	return w.rc;
}

static void
detach_on_worker(void *arg)
{
	struct guest_req *r = arg;

	weir_role_assume_worker();
	weir_fuse_detach(&r->fuse, guest_fenced);
}

void
guest_detach(struct guest_req *r)
{
	weir_worker_sync(weir_worker_at(r->worker), detach_on_worker, r);
}

static void
run_on_worker(void *arg)
{
	((struct on_worker *)arg)->fn();
}

void
guest_on_worker(unsigned int worker, void (*fn)(void))
{
	struct on_worker w = { .fn = fn };

	weir_worker_sync(weir_worker_at(worker), run_on_worker, &w);
}

static bool
is_completed(void *arg)
{
	return atomic_load(&((struct guest_req *)arg)->completed) > 0;
}

void
guest_wait(struct guest_req *r)
{
	guest_until(is_completed, r);
}

static void
assert_untouched_from(const struct guest_req *r, size_t from)
{
	const uint8_t *out = slot_out(r);

	for (size_t i = from; i < r->room + GUEST_MARGIN; i++)
		if (out[i] != 0xee)
			fail_msg("byte %zu behind an answer of %zu was written", i, from);
}

int
guest_answer(struct guest_req *r, const void **body)
{
	struct fuse_out_header head;

	assert_int_equal(atomic_load(&r->completed), 1);
	assert_int_equal(atomic_load(&r->released), 0);
	assert_true(r->bytes >= sizeof(head));
	assert_true(r->bytes <= r->room);
	memcpy(&head, slot_out(r), sizeof(head));
	assert_int_equal(head.len, r->bytes);
	assert_int_equal(head.unique, guest_head(r)->unique);
	assert_in_range(-head.error, 0, FUSE_ERRNO_MAX);
	/* An error may come after data was put in place; a guest does not look at it. */
	assert_untouched_from(r, head.error < 0 ? r->room : head.len);
	if (head.error < 0) {
		assert_int_equal(head.len, sizeof(head));
		return head.error;
	}
	if (body != NULL)
		*body = slot_out(r) + sizeof(head);
	return (int)(head.len - sizeof(head));
}

int
guest_call(uint32_t opcode, uint64_t nodeid, const void *arg, size_t len, void *body, size_t size)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	const void *answer = NULL;
	int n;

	guest_prepare(r, 0, opcode, nodeid, arg, len, RTE_MAX(GUEST_ROOM, size + 16));
	while (guest_submit(r) != 0)
		guest_tick();
	guest_wait(r);
	n = guest_answer(r, &answer);
	if (n > 0 && body != NULL)
		memcpy(body, answer, RTE_MIN((size_t)n, size));
	free(r);
	return n;
}

int
guest_call_names(uint32_t opcode, uint64_t nodeid, const void *fixed, size_t len, const char *name,
		const char *newname, void *body, size_t size)
{
	char arg[16 * 1024];

	if (len > 0)
		memcpy(arg, fixed, len);
	len += (size_t)snprintf(arg + len, sizeof(arg) - len, "%s", name) + 1;
	if (newname != NULL)
		len += (size_t)snprintf(arg + len, sizeof(arg) - len, "%s", newname) + 1;
	return guest_call(opcode, nodeid, arg, len, body, size);
}

int
guest_init(uint32_t minor, uint64_t flags, struct fuse_init_out *out)
{
	const struct fuse_init_in in = {
		.major = 7,
		.minor = minor,
		.max_readahead = 128 * 1024,
		.flags = (uint32_t)flags,
		.flags2 = flags >> 32,
	};

	return guest_call(FUSE_INIT, 0, &in, minor < 36 ? FUSE_INIT_IN_MIN : sizeof(in), out,
			sizeof(*out));
}

uint64_t
guest_lookup(uint64_t parent, const char *name)
{
	struct fuse_entry_out out;

	assert_int_equal(guest_call_names(FUSE_LOOKUP, parent, NULL, 0, name, NULL, &out,
					 sizeof(out)),
			sizeof(out));
	return out.nodeid;
}

void
guest_forget(uint64_t nodeid, uint64_t nlookup)
{
	const struct fuse_forget_in in = { .nlookup = nlookup };
	struct guest_req *r = calloc(1, sizeof(*r));

	guest_prepare(r, 0, FUSE_FORGET, nodeid, &in, sizeof(in), 0);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(atomic_load(&r->completed), 1);
	assert_int_equal(r->bytes, 0);
	free(r);
}

static uint64_t
guest_open_as(uint32_t opcode, uint64_t nodeid, uint32_t flags)
{
	const struct fuse_open_in in = { .flags = flags };
	struct fuse_open_out out;

	assert_int_equal(guest_call(opcode, nodeid, &in, sizeof(in), &out, sizeof(out)),
			sizeof(out));
	assert_int_equal(out.open_flags, 0);
	return out.fh;
}

uint64_t
guest_open(uint64_t nodeid, uint32_t flags)
{
	return guest_open_as(FUSE_OPEN, nodeid, flags);
}

uint64_t
guest_opendir(uint64_t nodeid)
{
	return guest_open_as(FUSE_OPENDIR, nodeid, 0);
}

int
guest_release(uint32_t opcode, uint64_t nodeid, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return guest_call(opcode, nodeid, &in, sizeof(in), NULL, 0);
}

uint64_t
guest_faults(enum fuse_fault fault)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < guest_sess->nb_stats; i++)
		sum += weir_counter_get(&guest_sess->stats[i].fault[fault]);
	return sum;
}

uint32_t
guest_nodes(void)
{
	return weir_fsdev_nodes(guest_dev);
}
