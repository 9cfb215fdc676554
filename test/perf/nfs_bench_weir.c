/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * weir: the nfs driver on a worker, as a device has it, but without a virtqueue. The memory of each
 * request is single pages, no two of them neighbours, as a guest's are.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_loop.h"

#include "../unit/eal.h"
#include "../unit/fs_client.h"
#include "nfs_bench.h"

#define PAGE 4096

struct op {
	struct weir_fsreq req;
	struct load *load;
	struct weir_seg *segs;
};

struct load {
	const struct nfs_bench_args *args;
	struct nfs_bench_run *run;
	struct fs_client client;
	struct weir_node *node;
	struct weir_file *file;
	struct weir_memmap *map;
	struct weir_seg *segs;
	unsigned int nb_segs; /* of an op */
	struct op ops[NFS_BENCH_DEPTH_MAX];

	/* The worker's from here on. */
	struct weir_channel *chan;
	uint64_t next_off;
	_Atomic unsigned int nb_flying;
	bool stopping;
	struct weir_poller poller;
	uint64_t rounds_busy;
};

static void
load_mount(struct load *load)
{
	const struct nfs_bench_args *args = load->args;
	char params[1024], message[512];
	struct weir_node *root;
	struct weir_entry entry;

	snprintf(params, sizeof(params),
			"{\"name\": \"nfs0\", \"server\": \"127.0.0.1\", \"exportname\": \"%s\", "
			"\"port\": %u, \"mount_port\": %u}",
			args->exportname, args->port, args->mount_port);
	weir_role_assume_control();
	if (fsc_rpc("fsdev_nfs_create", params, message) != 0)
		nfs_bench_die("weir cannot mount: %s", message);
	fsc_open_session(&load->client, weir_fsdev_find("nfs0"));
	root = weir_fsdev_root(load->client.dev);
	if (fsc_lookup(&load->client, root, NFS_BENCH_FILE, &entry) != 0 ||
			fsc_open(&load->client, WEIR_FSOP_OPEN, entry.node, O_RDWR, &load->file) !=
					0)
		nfs_bench_die("weir cannot open the file");
	load->node = entry.node;
}

/* Pages of all ops, dealt out by a stride that goes through all of them. */
static void
load_memory(struct load *load)
{
	const struct nfs_bench_args *args = load->args;
	unsigned int nb, i, page = 0;
	struct weir_memmap_src src;

	load->nb_segs = args->bytes / PAGE;
	nb = rte_align32pow2(load->nb_segs * args->depth * 2);
	src = (struct weir_memmap_src){ .size = (uint64_t)nb * PAGE };
	src.fd = memfd_create("guest", MFD_CLOEXEC);
	if (src.fd < 0 || ftruncate(src.fd, (off_t)src.size) < 0 ||
			weir_memmap_create(&src, 1, &load->map) < 0)
		nfs_bench_die("no memory");
	close(src.fd);
	memset(load->map->regions[0].addr, 'x', src.size);
	load->segs = calloc((size_t)load->nb_segs * args->depth, sizeof(*load->segs));
	for (i = 0; i < load->nb_segs * args->depth; i++) {
		load->segs[i] = (struct weir_seg){ .off = (uint64_t)page * PAGE, .len = PAGE };
		page = (page + 37) % nb;
	}
	for (i = 0; i < args->depth; i++) {
		load->ops[i].load = load;
		load->ops[i].segs = load->segs + (size_t)i * load->nb_segs;
	}
}

static void WEIR_ON_WORKER op_done(struct weir_fsreq *req, int res);

static void WEIR_ON_WORKER
op_submit(struct op *op)
{
	struct load *load = op->load;
	struct weir_fsreq *req = &op->req;

	/* What a device fills in for each request, and no more: the rest is as it was before. */
	req->op = load->args->write ? WEIR_FSOP_WRITE : WEIR_FSOP_READ;
	req->flags = 0;
	req->chan = load->chan;
	req->node = load->node;
	req->file = load->file;
	req->in.io.off = load->next_off;
	req->in.io.len = load->args->bytes;
	req->in.io.flags = O_RDWR;
	req->done = op_done;
	weir_iov_init(&req->iov, load->map, op->segs, load->nb_segs);
	load->next_off = (load->next_off + load->args->bytes) % load->args->file_bytes;
	weir_fsdev_submit(req);
}

static void WEIR_ON_WORKER
op_done(struct weir_fsreq *req, int res)
{
	struct op *op = container_of(req, struct op, req);
	struct load *load = op->load;

	load->run->calls++;
	load->run->errors += res != (int)load->args->bytes;
	if (load->stopping)
		load->nb_flying--;
	else
		op_submit(op);
}

/* The first poller of the worker: what was since it ran last is one round. */
static int
load_poll(struct weir_poller *poller)
{
	struct load *load = container_of(poller, struct load, poller);
	struct weir_worker_stats stats;

	weir_worker_stats_get(weir_worker_self(), &stats);
	nfs_bench_round(load->run, stats.rounds_busy != load->rounds_busy);
	load->rounds_busy = stats.rounds_busy;
	return 0;
}

static void
load_watch(void *arg)
{
	struct load *load = arg;

	weir_role_assume_worker();
	load->poller = (struct weir_poller){ .name = "bench", .poll = load_poll };
	weir_poller_add(&load->poller);
}

static void
load_unwatch(void *arg)
{
	struct load *load = arg;

	weir_role_assume_worker();
	weir_poller_del(&load->poller);
}

static void
load_start(void *arg)
{
	struct load *load = arg;
	unsigned int i;

	weir_role_assume_worker();
	load->chan = weir_fsdev_channel(load->client.dev);
	load->nb_flying = load->args->depth;
	for (i = 0; i < load->args->depth; i++)
		op_submit(&load->ops[i]);
}

static void
load_begin(void *arg)
{
	struct load *load = arg;

	nfs_bench_begin(load->args, load->run);
}

static void
load_end(void *arg)
{
	struct load *load = arg;
	nfs_bench_end(load->args, load->run);
	load->stopping = true;
}

static void
load_wait(unsigned int ms)
{
	const uint64_t end = nfs_bench_now_ns() + ms * UINT64_C(1000000);

	while (nfs_bench_now_ns() < end)
		fsc_poll();
}

static void
bench_start(const struct nfs_bench_args *args)
{
	const struct weir_workers_cfg cfg = { .idle = WEIR_IDLE_POLL };
	char lcores[64];

	snprintf(lcores, sizeof(lcores), "0@%u,1@%u", args->control_cpu, args->cpu);
	weir_role_assume_control();
	if (test_eal_init(lcores) < 0 || weir_loop_init() < 0 || weir_workers_start(&cfg) < 0)
		nfs_bench_die("EAL does not start");
}

void
nfs_bench_weir(const struct nfs_bench_args *args, struct nfs_bench_run *run)
{
	struct load *load = calloc(1, sizeof(*load));
	char message[512];

	load->args = args;
	load->run = run;
	bench_start(args);
	weir_worker_sync(weir_worker_at(0), load_watch, load);
	load_mount(load);
	load_memory(load);
	weir_worker_sync(weir_worker_at(0), load_start, load);
	load_wait(args->warmup_ms);
	weir_worker_sync(weir_worker_at(0), load_begin, load);
	load_wait(args->ms);
	weir_worker_sync(weir_worker_at(0), load_end, load);
	while (load->nb_flying > 0)
		fsc_poll();
	fsc_release(&load->client, WEIR_FSOP_RELEASE, load->node, load->file);
	fsc_put(&load->client, load->node);
	fsc_close_session(&load->client);
	if (fsc_rpc("fsdev_nfs_delete", "{\"name\": \"nfs0\"}", message) != 0)
		nfs_bench_die("weir cannot unmount: %s", message);
	weir_worker_sync(weir_worker_at(0), load_unwatch, load);
	weir_memmap_put(load->map);
	free(load->segs);
	free(load);
	fsc_stop();
}
