/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* libnfs: its raw asynchronous calls, served as its manual says, poll() and rpc_service(). */

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "nfs_bench.h"

/* The headers of libnfs rely on those before them. */
/* clang-format off */
#include <nfsc/libnfs-zdr.h>
#include <nfsc/libnfs.h>
#include <nfsc/libnfs-raw.h>
#include <nfsc/libnfs-raw-nfs.h>
/* clang-format on */

/* nfs_get_fh() returns one, but no installed header says what it is. */
struct nfs_fh {
	int len;
	char *val;
};

struct call {
	struct load *load;
	char *data;
};

struct load {
	const struct nfs_bench_args *args;
	struct nfs_bench_run *run;
	struct nfs_context *nfs;
	struct nfsfh *file;
	struct rpc_context *rpc;
	struct nfs_fh *fh;
	uint64_t next_off;
	unsigned int nb_flying;
	bool stopping;
	struct call calls[NFS_BENCH_DEPTH_MAX];
};

static void
load_open(struct load *load)
{
	const struct nfs_bench_args *args = load->args;
	char text[1024];
	struct nfs_url *url;

	snprintf(text, sizeof(text), "nfs://127.0.0.1%s?nfsport=%u&mountport=%u", args->exportname,
			args->port, args->mount_port);
	load->nfs = nfs_init_context();
	url = load->nfs != NULL ? nfs_parse_url_dir(load->nfs, text) : NULL;
	if (url == NULL || nfs_mount(load->nfs, url->server, url->path) != 0)
		nfs_bench_die("libnfs cannot mount %s: %s", text, nfs_get_error(load->nfs));
	nfs_destroy_url(url);
	if (nfs_open(load->nfs, "/" NFS_BENCH_FILE, O_RDWR | O_CREAT, &load->file) != 0)
		nfs_bench_die("libnfs cannot open the file: %s", nfs_get_error(load->nfs));
	load->rpc = nfs_get_rpc_context(load->nfs);
	load->fh = nfs_get_fh(load->file);
}

static void
load_close(struct load *load)
{
	nfs_close(load->nfs, load->file);
	nfs_destroy_context(load->nfs);
}

static void call_done(struct rpc_context *rpc, int status, void *data, void *private_data);

static void
call_send(struct call *call)
{
	struct load *load = call->load;
	const uint32_t bytes = load->args->bytes;
	const uint64_t off = load->next_off;
	nfs_fh3 fh = { .data = { .data_len = (u_int)load->fh->len, .data_val = load->fh->val } };
	READ3args read_args = { .file = fh, .offset = off, .count = bytes };
	WRITE3args write_args = {
		.file = fh,
		.offset = off,
		.count = bytes,
		.stable = UNSTABLE,
		.data = { .data_len = bytes, .data_val = call->data },
	};
	int rc;

	load->next_off = (off + bytes) % load->args->file_bytes;
	rc = load->args->write ? rpc_nfs3_write_async(load->rpc, call_done, &write_args, call) :
				 rpc_nfs3_read_async(load->rpc, call_done, &read_args, call);
	if (rc != 0)
		nfs_bench_die("libnfs cannot queue a call: %s", rpc_get_error(load->rpc));
	load->nb_flying++;
}

static bool
call_check(const struct call *call, int status, const void *data)
{
	const struct load *load = call->load;
	const WRITE3res *written = data;
	const READ3res *got = data;

	if (status != RPC_STATUS_SUCCESS)
		return false;
	if (load->args->write)
		return written->status == NFS3_OK &&
				written->WRITE3res_u.resok.count == load->args->bytes;
	if (got->status != NFS3_OK || got->READ3res_u.resok.data.data_len != load->args->bytes)
		return false;
	if (load->args->copy)
		memcpy(call->data, got->READ3res_u.resok.data.data_val, load->args->bytes);
	return true;
}

static void
call_done(struct rpc_context *rpc, int status, void *data, void *private_data)
{
	struct call *call = private_data;
	struct load *load = call->load;

	load->nb_flying--;
	load->run->calls++;
	load->run->errors += !call_check(call, status, data);
	if (!load->stopping)
		call_send(call);
}

/* @return whether there was anything to do. */
static bool
load_round(struct load *load)
{
	struct pollfd pfd = {
		.fd = rpc_get_fd(load->rpc),
		.events = (short)rpc_which_events(load->rpc),
	};

	if (poll(&pfd, 1, 0) < 0)
		nfs_bench_die("poll failed");
	if (pfd.revents != 0 && rpc_service(load->rpc, pfd.revents) < 0)
		nfs_bench_die("libnfs lost the server: %s", rpc_get_error(load->rpc));
	return pfd.revents != 0;
}

static void
load_run(struct load *load, unsigned int ms)
{
	const uint64_t end = rte_rdtsc() + ms * (nfs_bench_tsc_hz / MS_PER_S);

	while (rte_rdtsc() < end)
		nfs_bench_round(load->run, load_round(load));
}

void
nfs_bench_libnfs(const struct nfs_bench_args *args, struct nfs_bench_run *run)
{
	struct load *load = calloc(1, sizeof(*load));
	unsigned int i;
	cpu_set_t cpus;

	/*
	 * It allocates each message. By default a large one is mapped and unmapped each time, and
	 * its page faults would be taken for user time here: spare it both.
	 */
	mallopt(M_MMAP_THRESHOLD, INT_MAX);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	CPU_ZERO(&cpus);
	CPU_SET(args->cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	load->args = args;
	load->run = run;
	load_open(load);
	for (i = 0; i < args->depth; i++) {
		load->calls[i].load = load;
		load->calls[i].data = malloc(args->bytes);
		memset(load->calls[i].data, 'x', args->bytes);
		call_send(&load->calls[i]);
	}
	load_run(load, args->warmup_ms);
	nfs_bench_begin(args, run);
	load_run(load, args->ms);
	nfs_bench_end(args, run);
	load->stopping = true;
	while (load->nb_flying > 0)
		load_round(load);
	load_close(load);
	for (i = 0; i < args->depth; i++)
		free(load->calls[i].data);
	free(load);
}

void
nfs_bench_fill(const struct nfs_bench_args *args)
{
	struct load load = { .args = args };
	char block[65536];
	uint64_t off;

	memset(block, 'w', sizeof(block));
	load_open(&load);
	for (off = 0; off < args->file_bytes; off += sizeof(block))
		if (nfs_pwrite(load.nfs, load.file, off, sizeof(block), block) !=
				(int)sizeof(block))
			nfs_bench_die("libnfs cannot write: %s", nfs_get_error(load.nfs));
	load_close(&load);
}
