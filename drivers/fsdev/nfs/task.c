/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What is done after the last close: uncommitted data are committed, names of ours are removed. The
 * nodes themselves are the queue, each in the list of one channel at most, so that any number of
 * them can wait for a server that is away. A task borrows the machinery of requests.
 *
 * A guest that has closed a file may remove its directory next, so RELEASE waits for the task; but
 * not long, for whoever closes what a lost guest had open must come to an end, and not at all once
 * a server has kept one waiting in vain, until it answers something.
 */

#include <rte_cycles.h>

#include "nfs.h"

#define CLOSING_MS 1000

static int WEIR_ON_WORKER
task_step(struct nfs_task *task)
{
	struct weir_fsreq *req = &task->req;

	if ((task->todo & NFS_TODO_COMMIT) != 0) {
		const uint64_t writer = atomic_load(&nfs_node_of(req->node)->writer);

		task->todo &= ~NFS_TODO_COMMIT;
		req->cred.uid = (uint32_t)(writer >> 32);
		req->cred.gid = (uint32_t)writer;
		return nfs_commit(req);
	}
	if ((task->todo & NFS_TODO_REMOVE) != 0) {
		task->todo &= ~NFS_TODO_REMOVE;
		return nfs_silly_remove(req);
	}
	return 0;
}

static void WEIR_ON_WORKER
task_run(struct nfs_task *task)
{
	struct nfs_chan *chan = nfs_chan_of(&task->req);
	int res = 0;

	while (res != -EINPROGRESS && task->todo != 0 && !chan->stopped)
		res = task_step(task);
	if (res == -EINPROGRESS)
		return;
	atomic_fetch_sub(&nfs_node_of(task->req.node)->todo, NFS_TODO_ONE);
	nfs_node_put(chan, task->req.node);
	SLIST_INSERT_HEAD(&chan->tasks, task, next);
	weir_poller_wake(&chan->poller);
}

void WEIR_ON_WORKER
nfs_task_end(struct weir_fsreq *req, int res)
{
	task_run(container_of(req, struct nfs_task, req));
}

void WEIR_ON_WORKER
nfs_todo(struct nfs_chan *chan, struct weir_node *node, uint32_t todo)
{
	struct weir_fsdev *dev = weir_channel_fsdev(chan->chan);
	struct nfs_node *priv = nfs_node_of(node);
	uint64_t id = weir_node_id(dev, node);
	struct weir_node *tail;

	if ((atomic_fetch_or(&priv->todo, todo | NFS_TODO_QUEUED) & NFS_TODO_QUEUED) != 0)
		return;
	weir_node_ref(dev, node);
	priv->todo_next = 0;
	if (chan->todo_head == 0) {
		chan->todo_head = id;
	} else {
		tail = weir_node_get(dev, chan->todo_tail);
		nfs_node_of(tail)->todo_next = id;
		weir_node_put(dev, tail);
	}
	chan->todo_tail = id;
	weir_poller_wake(&chan->poller);
}

/* The first node of the list, with its reference, and what is to be done to it. */
static struct weir_node *WEIR_ON_WORKER
todo_pop(struct nfs_chan *chan, uint32_t *todo)
{
	struct weir_fsdev *dev = weir_channel_fsdev(chan->chan);
	struct weir_node *node = weir_node_get(dev, chan->todo_head);
	struct nfs_node *priv = nfs_node_of(node);

	weir_node_put(dev, node);
	chan->todo_head = priv->todo_next;
	/* Counted before its bits go, so that whoever waits sees one or the other. */
	atomic_fetch_add(&priv->todo, NFS_TODO_ONE);
	*todo = atomic_fetch_and(&priv->todo, ~(NFS_TODO_ONE - 1)) & (NFS_TODO_QUEUED - 1);
	return node;
}

int WEIR_ON_WORKER
nfs_todo_wait(struct weir_fsreq *req)
{
	struct nfs_chan *chan = nfs_chan_of(req);
	struct nfs_ctx *ctx = nfs_begin(req);

	if (chan->silent || chan->client == NULL ||
			weir_sunrpc_client_state(chan->client) != WEIR_SUNRPC_CONNECTED)
		return 0;
	ctx->deadline_tsc = rte_rdtsc() + CLOSING_MS * chan->tsc_per_ms;
	nfs_list_add(ctx, &chan->closing);
	weir_poller_wake(&chan->poller);
	return -EINPROGRESS;
}

int WEIR_ON_WORKER
nfs_todo_poll(struct nfs_chan *chan)
{
	const uint64_t now = rte_rdtsc();
	struct nfs_ctx *ctx, *next;
	struct weir_fsreq *req;
	int nb = 0;

	for (ctx = TAILQ_FIRST(&chan->closing); ctx != NULL; ctx = next) {
		next = TAILQ_NEXT(ctx, wait);
		req = weir_fsreq_of(ctx);
		if (now >= ctx->deadline_tsc)
			chan->silent = true;
		else if (!chan->silent && atomic_load(&nfs_node_of(req->node)->todo) != 0)
			continue;
		nfs_list_del(ctx);
		nfs_end(req, 0);
		nb++;
	}
	return nb;
}

int WEIR_ON_WORKER
nfs_tasks_start(struct nfs_chan *chan)
{
	struct nfs_task *task;
	int nb = 0;

	while (chan->todo_head != 0 && (task = SLIST_FIRST(&chan->tasks)) != NULL) {
		SLIST_REMOVE_HEAD(&chan->tasks, next);
		task->req.node = todo_pop(chan, &task->todo);
		nfs_begin(&task->req)->task = true;
		task_run(task);
		nb++;
	}
	return nb;
}

void WEIR_ON_WORKER
nfs_todo_drop(struct nfs_chan *chan)
{
	struct weir_node *node;
	uint32_t todo;

	while (chan->todo_head != 0) {
		node = todo_pop(chan, &todo);
		atomic_fetch_sub(&nfs_node_of(node)->todo, NFS_TODO_ONE);
		nfs_node_put(chan, node);
	}
}
