/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What weir's engine executes for an operation: devices on null and mem, and the guest's side of
 * their rings in the same process, over a real vhost-user socket. The worker counts from the ring to
 * the ring, with its rounds; the guest does not. Run by instructions.py.
 *
 * weir-insn-engine null|mem split|packed FOLDER
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir_device.h"
#include "weir_fuse.h"
#include "weir_loop.h"

#include "../../lib/device/device.h"
#include "insn_meter.h"
#include "insn_ops.h"

#define DEVICE    "guest"
#define RING_SIZE 1024
#define ROUNDS    64
#define WARM      16

#define NULL_SPLIT  0x1
#define NULL_PACKED 0x2
#define MEM_SPLIT   0x4
#define ALL         (NULL_SPLIT | NULL_PACKED | MEM_SPLIT)

static const struct {
	unsigned int op, depth, guests;
	bool interrupts; /* the driver wants them, as one that sleeps */
} cases[] = {
	{ OP_GETATTR, 32, ALL },
	{ OP_LOOKUP, 32, ALL },
	{ OP_READ_4K, 32, ALL },
	{ OP_READ_4K, 1, NULL_SPLIT | NULL_PACKED },
	{ OP_WRITE_4K, 32, ALL },
	{ OP_READ_1M, 8, NULL_SPLIT | NULL_PACKED },
	{ OP_WRITE_1M, 8, NULL_SPLIT },
	{ OP_OPEN, 32, NULL_SPLIT | MEM_SPLIT },
	{ OP_CREATE, 32, MEM_SPLIT },
	/* Last: what the driver has asked for stays in its ring. */
	{ OP_READ_4K, 1, NULL_SPLIT | NULL_PACKED, .interrupts = true },
};

struct engine {
	struct meter_load load;
	struct fe_fs fs;
	struct fe_opts opts;
	struct weir_fuse_session *sess;
	char socket[128];
	const char *fsdev, *ring;
	unsigned int guest; /* NULL_SPLIT and so on */

	const struct op_kind *kind;
	unsigned int depth;
	bool interrupts;
	unsigned int step; /* whose answers are awaited */
	unsigned int left; /* operations of each task */
	bool rested;
	struct op_task tasks[OPS_DEPTH_MAX];
};

static struct engine *
engine_of(struct meter_load *load)
{
	return container_of(load, struct engine, load);
}

static bool
engine_reap(struct engine *e)
{
	struct fe_req *req;

	for (unsigned int i = 0; i < 2; i++) {
		while (fe_queue_reap(&e->fs.queue[i], &req) > 0)
			;
	}
	if (e->fs.fault[0] != '\0')
		meter_die("%s: %s", e->kind->name, e->fs.fault);
	return e->fs.queue[0].in_flight + e->fs.queue[1].in_flight == 0;
}

static void
engine_take(struct engine *e)
{
	const struct op_step *step = &e->kind->steps[e->step];

	for (unsigned int i = 0; i < e->depth; i++) {
		struct op_task *task = &e->tasks[i];

		if (task->req == NULL)
			continue;
		if (task->req->error != 0 || (step->take != NULL && !step->take(task, step->bytes)))
			meter_die("%s: step %u, error %d, %u bytes", e->kind->name, e->step,
					task->req->error, task->req->payload);
		fe_req_put(task->req);
		task->req = NULL;
	}
}

/* What a driver does before it sleeps. */
static void
engine_want_interrupt(struct fe_ring *ring)
{
	ring->flags &= ~FE_RING_POLL;
	fe_ring_wait(ring, 0);
	ring->flags |= FE_RING_POLL;
}

static void
engine_send(struct engine *e)
{
	const struct op_step *step = &e->kind->steps[e->step];
	struct fe_queue *q = &e->fs.queue[step->queue];

	if (e->interrupts)
		engine_want_interrupt(&q->ring);
	for (unsigned int i = 0; i < e->depth; i++) {
		struct op_task *task = &e->tasks[i];

		*task = (struct op_task){
			.fs = &e->fs,
			.index = i,
			.req = fe_req_get(q),
			.nodeid = task->nodeid,
			.fh = task->fh,
		};
		if (task->req == NULL)
			meter_die("the guest has too few requests");
		step->prepare(task, step->bytes);
		if (fe_req_submit(task->req) < 0)
			meter_die("the guest's ring is full");
	}
	fe_queue_kick(q);
}

/* What is made and forgotten leaves work to control, which has done it before the next round. */
static enum meter_next
engine_next(struct meter_load *load)
{
	struct engine *e = engine_of(load);

	if (!engine_reap(e))
		return METER_ROUND;
	if (!e->rested) {
		engine_take(e);
		e->step = (e->step + 1) % e->kind->nb_steps;
		if (e->step == 0 && --e->left == 0)
			return METER_END;
		e->rested = true;
		return METER_REST;
	}
	e->rested = false;
	engine_send(e);
	return METER_ROUND;
}

static void
engine_rest(struct meter_load *load)
{
	weir_role_assume_control();
	weir_fuse_session_maintain(engine_of(load)->sess);
}

/* The first call of next() finds the end of a round before the first. */
static void
engine_rewind(struct engine *e, unsigned int rounds)
{
	memset(e->tasks, 0, sizeof(e->tasks));
	e->step = e->kind->nb_steps - 1;
	e->left = rounds + 1;
	e->rested = false;
}

static void
engine_case(struct engine *e)
{
	char name[128];

	snprintf(name, sizeof(name), "%s, %s ring, depth %u%s: %s", e->fsdev, e->ring, e->depth,
			e->interrupts ? ", interrupts" : "", e->kind->name);
	engine_rewind(e, WARM);
	meter_warm(&e->load);
	engine_rewind(e, ROUNDS);
	meter_run(&e->load, name, (unsigned long)ROUNDS * e->depth);
}

static void
guest_mount(void *arg)
{
	struct engine *e = arg;

	if (fe_fs_mount(&e->fs, &e->opts) < 0)
		meter_die("the guest cannot mount %s", e->socket);
	ops_prepare(&e->fs);
}

static void
guest_unmount(void *arg)
{
	struct engine *e = arg;

	if (fe_fs_unmount(&e->fs) < 0)
		meter_die("the guest cannot unmount");
}

static void
engine_cases(struct engine *e)
{
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		if (!(cases[i].guests & e->guest))
			continue;
		e->kind = &op_kinds[cases[i].op];
		e->depth = cases[i].depth;
		e->interrupts = cases[i].interrupts;
		engine_case(e);
	}
}

static void
engine_guest(struct engine *e)
{
	meter_rpc("virtio_fs_device_create",
			"{\"transport_name\": \"VHOST_USER\", \"dev_name\": \"%s\", \"tag\": "
			"\"guest\", \"fsdev\": \"%s\", \"num_request_queues\": 1, \"queue_size\": "
			"%u, \"packed_vq\": true}",
			DEVICE, e->fsdev, RING_SIZE);
	meter_rpc("virtio_fs_device_start", "{\"dev_name\": \"%s\"}", DEVICE);
	fe_opts_init(&e->opts);
	e->opts.socket = e->socket;
	e->opts.ring_size = RING_SIZE;
	e->opts.depth = OPS_DEPTH_MAX;
	/* A guest of less than 3 GiB has one region, a larger one two, here used in turn. */
	e->opts.nb_regions = e->guest == MEM_SPLIT ? 2 : 1;
	e->opts.ring_flags |= FE_RING_POLL | (e->guest == NULL_PACKED ? FE_RING_PACKED : 0);
	meter_beside(guest_mount, e);
	e->load = (struct meter_load){ .next = engine_next, .rest = engine_rest };
	e->sess = device_find(DEVICE)->sess;
	engine_cases(e);
	meter_beside(guest_unmount, e);
	meter_rpc("virtio_fs_device_stop", "{\"dev_name\": \"%s\"}", DEVICE);
	meter_rpc("virtio_fs_device_destroy", "{\"dev_name\": \"%s\"}", DEVICE);
}

static void
engine_ended(void *arg, unsigned int stuck)
{
	*(bool *)arg = true;
}

/* One guest a process: what was mapped for another one before does not matter. */
static bool
engine_args(struct engine *e, int argc, char **argv)
{
	static const struct {
		const char *fsdev, *ring;
		unsigned int guest;
	} guests[] = {
		{ "null", "split", NULL_SPLIT },
		{ "null", "packed", NULL_PACKED },
		{ "mem", "split", MEM_SPLIT },
	};

	for (unsigned int i = 0; argc == 4 && i < RTE_DIM(guests); i++) {
		if (strcmp(argv[1], guests[i].fsdev) != 0 || strcmp(argv[2], guests[i].ring) != 0)
			continue;
		e->fsdev = guests[i].fsdev;
		e->ring = guests[i].ring;
		e->guest = guests[i].guest;
		snprintf(e->socket, sizeof(e->socket), "%s/%s.sock", argv[3], DEVICE);
		return true;
	}
	return false;
}

static void WEIR_ON_CONTROL
engine_run(struct engine *e)
{
	bool ended = false;

	meter_rpc("virtio_fs_transport_create", "{\"transport_name\": \"VHOST_USER\"}");
	meter_rpc("virtio_fs_transport_start", "{\"transport_name\": \"VHOST_USER\"}");
	/* Zeroes for a READ would be the C library's work. */
	if (e->guest == MEM_SPLIT)
		meter_rpc("fsdev_mem_create", "{\"name\": \"mem\"}");
	else
		meter_rpc("fsdev_null_create", "{\"name\": \"null\", \"skip_rw\": true}");
	engine_guest(e);
	/* A slow machine has destroy answer before it is done, but not this. */
	weir_devices_shutdown(0, engine_ended, &ended);
	while (!ended)
		weir_loop_poll(1);
	meter_rpc(e->guest == MEM_SPLIT ? "fsdev_mem_delete" : "fsdev_null_delete",
			"{\"name\": \"%s\"}", e->fsdev);
}

int
main(int argc, char **argv)
{
	struct weir_devices_cfg cfg = {
		.transport = "VHOST_USER",
		.nb_requests = 1024,
		.nb_big_requests = 64,
		.manager = "soft",
	};
	static struct engine engine;

	if (!engine_args(&engine, argc, argv)) {
		fprintf(stderr, "usage: weir-insn-engine null|mem split|packed FOLDER\n");
		return 2;
	}
	cfg.socket_dir = argv[3];
	meter_start();
	weir_role_assume_control();
	if (weir_fuse_init(16) < 0 || weir_devices_init(&cfg) < 0)
		meter_die("no devices");
	engine_run(&engine);
	weir_devices_fini();
	weir_fuse_fini();
	meter_stop();
	return 0;
}
