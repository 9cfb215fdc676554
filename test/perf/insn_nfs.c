/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What weir's NFS client executes for an operation: the nfs driver, lib/sunrpc and the TCP transport,
 * called as a device calls a file system, without a virtqueue. The server is a recording of what a
 * real one answered, at the other end of a socket of loopback. Run by instructions.py.
 *
 * weir-insn-nfs RECORDING
 * weir-insn-nfs RECORDING PORT MOUNT_PORT    makes it, from /export of the server there
 */

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir_loop.h"

#include "../unit/fs_client.h"
#include "insn_meter.h"
#include "insn_replay.h"

#define FILE_NAME "instructions"
#define PAGE      4096
#define MIB       (1u << 20)
#define DEPTH_MAX 32
#define OFFSETS   4 /* in the file: each is a reply of its own to be recorded */
#define ROUNDS    32
#define WARM      8
#define PUMP_MS   1
/* Longer than the client's tick, so that there is one in each round, and not in some. */
#define ROUND_US 1200
/* Each call has the machine's name in its credential: ours has the same length everywhere. */
#define HOST_NAME "instructions"

static const struct nfs_case {
	const char *name;
	enum weir_fsop op;
	unsigned int depth;
	uint32_t bytes;
} cases[] = {
	{ "GETATTR", WEIR_FSOP_GETATTR, 32, 0 },
	{ "LOOKUP", WEIR_FSOP_LOOKUP, 32, 0 },
	{ "READ 4 KiB", WEIR_FSOP_READ, 32, PAGE },
	{ "READ 4 KiB", WEIR_FSOP_READ, 1, PAGE },
	{ "WRITE 4 KiB", WEIR_FSOP_WRITE, 32, PAGE },
	{ "READ 1 MiB", WEIR_FSOP_READ, 1, MIB },
};

struct nfs_load;

struct nfs_task {
	struct weir_fsreq req;
	struct nfs_load *load;
	int res;
};

struct nfs_load {
	struct meter_load load;
	const struct nfs_case *of;
	struct fs_client client;
	struct weir_node *root, *node;
	struct weir_file *file;
	struct weir_timer pump;
	struct weir_seg segs[MIB / PAGE];

	/* The worker's while a load runs. */
	struct weir_channel *chan;
	unsigned int left; /* rounds of requests */
	unsigned int nb_flying;
	uint64_t nb_calls; /* so far: each request is one */
	bool fresh; /* requests are ready to be submitted */
	struct nfs_task tasks[DEPTH_MAX];
};

static struct nfs_load *
load_of(struct meter_load *load)
{
	return container_of(load, struct nfs_load, load);
}

static void
task_done(struct weir_fsreq *req, int res)
{
	struct nfs_task *task = container_of(req, struct nfs_task, req);

	task->res = res;
	task->load->nb_flying--;
}

/* Pages as a guest's are: no two of them neighbours. */
static void
task_fill(struct nfs_task *task, unsigned int index)
{
	struct nfs_load *n = task->load;
	uint32_t nb = n->of->bytes / PAGE;
	struct weir_seg *segs = n->segs + index * nb;

	memset(&task->req, 0, offsetof(struct weir_fsreq, ctx));
	for (uint32_t i = 0; i < nb; i++)
		segs[i] = (struct weir_seg){
			.off = (index * nb + i) * 37 % (FSC_MEM_BYTES / PAGE) * PAGE, .len = PAGE
		};
	task->req.op = n->of->op;
	task->req.chan = n->chan;
	task->req.node = n->node;
	task->req.done = task_done;
	if (n->of->op == WEIR_FSOP_LOOKUP) {
		task->req.node = n->root;
		task->req.name = FILE_NAME;
	} else if (nb > 0) {
		task->req.file = n->file;
		task->req.in.io.off = index % OFFSETS * n->of->bytes;
		task->req.in.io.len = n->of->bytes;
		task->req.in.io.flags = O_RDWR;
		weir_iov_init(&task->req.iov, n->client.map, segs, nb);
	}
}

static void
task_check(struct nfs_task *task)
{
	const struct weir_fsreq *req = &task->req;
	struct nfs_load *n = task->load;
	bool ok = task->res == (int)n->of->bytes;

	if (n->of->op == WEIR_FSOP_GETATTR)
		ok = ok && req->out.attr.attr.size == MIB;
	if (n->of->op == WEIR_FSOP_LOOKUP && ok) {
		ok = req->out.entry.node == n->node;
		weir_node_put(n->client.dev, req->out.entry.node);
	}
	if (!ok)
		meter_die("%s: %d", n->of->name, task->res);
}

static enum meter_next
nfs_next(struct meter_load *load)
{
	struct nfs_load *n = load_of(load);

	usleep(ROUND_US);
	if (n->nb_flying > 0) {
		replay_step(n->nb_calls);
		return METER_ROUND;
	}
	for (unsigned int i = 0; i < n->of->depth && n->nb_calls > 0; i++)
		task_check(&n->tasks[i]);
	if (n->left-- == 0)
		return METER_END;
	for (unsigned int i = 0; i < n->of->depth; i++)
		task_fill(&n->tasks[i], i);
	n->nb_flying = n->of->depth;
	n->nb_calls += n->of->depth;
	n->fresh = true;
	return METER_ROUND;
}

static void
nfs_go(struct meter_load *load)
{
	struct nfs_load *n = load_of(load);

	weir_role_assume_worker();
	if (!n->fresh)
		return;
	n->fresh = false;
	for (unsigned int i = 0; i < n->of->depth; i++)
		weir_fsdev_submit(&n->tasks[i].req);
}

static void
nfs_rewind(struct nfs_load *n, unsigned int rounds)
{
	replay_serve();
	n->left = rounds;
	n->nb_calls = 0;
}

static void
nfs_case(struct nfs_load *n, const struct nfs_case *of)
{
	char name[128];

	n->of = of;
	for (unsigned int i = 0; i < of->depth; i++)
		n->tasks[i].load = n;
	/* What READ must bring, and WRITE takes there. */
	memset(n->client.mem, of->op == WEIR_FSOP_READ ? 0 : 'w', FSC_MEM_BYTES);
	snprintf(name, sizeof(name), "nfs, depth %u: %s", of->depth, of->name);
	nfs_rewind(n, WARM);
	meter_warm(&n->load);
	if (of->op == WEIR_FSOP_READ && n->client.mem[0] != 'w')
		meter_die("%s: other data", of->name);
	nfs_rewind(n, ROUNDS);
	meter_run(&n->load, name, (unsigned long)ROUNDS * of->depth);
}

static void
nfs_pump(struct weir_timer *timer)
{
	replay_serve();
	weir_timer_arm(timer, PUMP_MS);
}

static void
find_channel(void *arg)
{
	struct nfs_load *n = arg;

	weir_role_assume_worker();
	n->chan = weir_fsdev_channel(n->client.dev);
}

static void WEIR_ON_CONTROL
nfs_mount(struct nfs_load *n)
{
	struct weir_entry entry;

	n->pump.expired = nfs_pump;
	weir_timer_arm(&n->pump, PUMP_MS);
	meter_rpc("fsdev_nfs_create",
			"{\"name\": \"nfs\", \"server\": \"127.0.0.1\", \"exportname\": \"/export\", "
			"\"port\": %u, \"mount_port\": %u}",
			replay_port(), replay_port());
	fsc_open_session(&n->client, weir_fsdev_find("nfs"));
	n->root = weir_fsdev_root(n->client.dev);
	if (fsc_lookup(&n->client, n->root, FILE_NAME, &entry) != 0 ||
			fsc_open(&n->client, WEIR_FSOP_OPEN, entry.node, O_RDWR, &n->file) != 0)
		meter_die("the file cannot be opened");
	n->node = entry.node;
	n->load = (struct meter_load){ .next = nfs_next, .go = nfs_go };
	weir_worker_sync(weir_worker_at(0), find_channel, n);
}

static void WEIR_ON_CONTROL
nfs_unmount(struct nfs_load *n)
{
	fsc_release(&n->client, WEIR_FSOP_RELEASE, n->node, n->file);
	fsc_put(&n->client, n->node);
	fsc_close_session(&n->client);
	meter_rpc("fsdev_nfs_delete", "{\"name\": \"nfs\"}");
	weir_timer_cancel(&n->pump);
}

static uint16_t
port_of(const char *text)
{
	return (uint16_t)strtoul(text, NULL, 10);
}

int
main(int argc, char **argv)
{
	static struct nfs_load nfs;

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: weir-insn-nfs RECORDING [PORT MOUNT_PORT]\n");
		return 2;
	}
	/* Who may not change it counts a few instructions more or less. */
	if (unshare(CLONE_NEWUTS) == 0)
		sethostname(HOST_NAME, strlen(HOST_NAME));
	replay_open(argv[1], argc == 4 ? port_of(argv[2]) : 0, argc == 4 ? port_of(argv[3]) : 0);
	meter_start();
	weir_role_assume_control();
	nfs_mount(&nfs);
	for (unsigned int i = 0; i < RTE_DIM(cases); i++)
		nfs_case(&nfs, &cases[i]);
	nfs_unmount(&nfs);
	replay_close(argv[1]);
	meter_stop();
	return 0;
}
