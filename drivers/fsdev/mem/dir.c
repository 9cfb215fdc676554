/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * READDIR. Entries are emitted on the channel's worker but known to the home worker, so they travel
 * in batches: home fills the channel's batch, the channel's worker emits it, and asks for the next
 * one while the guest has room.
 */

#include <errno.h>
#include <string.h>

#include "mem.h"

/* With its node, unless that cannot be had: then the guest looks the name up itself. */
static int WEIR_ON_WORKER
batch_entry(struct weir_fsreq *req, struct mem_batch_entry *e)
{
	bool is_dots = e->dirent.name_len <= 2 && memcmp(e->name, "..", e->dirent.name_len) == 0;
	const struct mem_ctx *ctx = weir_fsreq_ctx(req);

	e->entry.node = NULL;
	e->dirent.entry = NULL;
	if (!ctx->plus || is_dots)
		return 0;
	e->dirent.entry = &e->entry;
	return mem_entry(req, (uint32_t)e->dirent.ino, &e->entry) == -EAGAIN ? -EAGAIN : 0;
}

int WEIR_ON_WORKER
mem_readdir_fill(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	struct mem_channel *mc = weir_channel_priv(req->chan);
	struct mem_ctx *ctx = weir_fsreq_ctx(req);
	uint32_t no_hint = 0;
	uint32_t *hint = req->file != NULL ? weir_file_priv(req->file) : &no_hint;
	struct mem_batch_entry *e;
	int rc;

	mc->nb_entries = 0;
	mc->end = false;
	while (mc->nb_entries < MEM_BATCH) {
		e = &mc->entries[mc->nb_entries];
		rc = memfs_readdir(mem->fs, (uint32_t)req->node->key[0], ctx->cookie, hint,
				&e->dirent);
		mc->end = rc == 0;
		if (rc <= 0)
			return rc;
		/* By then the name may be gone. */
		memcpy(e->name, e->dirent.name, e->dirent.name_len);
		e->dirent.name = e->name;
		rc = batch_entry(req, e);
		if (rc < 0)
			return mc->nb_entries > 0 ? 0 : rc;
		ctx->cookie = e->dirent.next_off;
		mc->nb_entries++;
	}
	return 0;
}

/* Hands a batch to the guest. Returns whether it wants more. */
static bool WEIR_ON_WORKER
batch_emit(struct weir_fsreq *req)
{
	struct mem_channel *mc = weir_channel_priv(req->chan);
	struct mem_ctx *ctx = weir_fsreq_ctx(req);
	struct mem_batch_entry *e;
	bool more = !mc->end;
	unsigned int i = 0;

	for (; i < mc->nb_entries && !weir_fsreq_detached(req); i++) {
		if (req->emit(req, &mc->entries[i].dirent) < 0)
			break;
		ctx->emitted = true;
	}
	if (i < mc->nb_entries || weir_fsreq_detached(req))
		more = false;
	for (; i < mc->nb_entries; i++) {
		e = &mc->entries[i];
		if (e->entry.node != NULL)
			weir_node_put(weir_channel_fsdev(req->chan), e->entry.node);
	}
	return more;
}

int WEIR_ON_WORKER
mem_readdir_next(struct weir_fsreq *req, int res)
{
	struct mem_channel *mc = weir_channel_priv(req->chan);
	struct mem_ctx *ctx = weir_fsreq_ctx(req);

	while (res == 0 && batch_emit(req))
		res = mem_send(req);
	if (res == -EINPROGRESS)
		return res;
	mc->busy = false;
	return ctx->emitted ? 0 : res;
}

int WEIR_ON_WORKER
mem_readdir(struct weir_fsreq *req)
{
	struct mem_channel *mc = weir_channel_priv(req->chan);
	struct mem_ctx *ctx = weir_fsreq_ctx(req);

	if (mc->busy)
		return -EAGAIN;
	mc->busy = true;
	ctx->plus = (req->flags & WEIR_FSREQ_PLUS) != 0;
	ctx->emitted = false;
	ctx->cookie = req->in.io.off;
	return mem_readdir_next(req, mem_send(req));
}
