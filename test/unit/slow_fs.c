/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <rte_common.h>

#include "slow_fs.h"

struct slow_ctx {
	TAILQ_ENTRY(slow_ctx) next;
	uint64_t rounds; /* until it is answered; UINT64_MAX: when told */
	void (*fenced)(struct weir_fsreq *req);
};

TAILQ_HEAD(slow_list, slow_ctx);

struct slow_chan {
	struct weir_poller poller;
	struct slow_list list;
};

struct slow_fs slow;

static struct guest *
guest_of(struct weir_fsreq *req)
{
	return (void *)(uintptr_t)req->name;
}

static void WEIR_ON_WORKER
slow_end(struct slow_chan *chan, struct slow_ctx *ctx)
{
	struct weir_fsreq *req = weir_fsreq_of(ctx);

	TAILQ_REMOVE(&chan->list, ctx, next);
	if (ctx->fenced != NULL)
		ctx->fenced(req);
	weir_fsreq_complete(req, 0);
}

static int
slow_poll(struct weir_poller *poller)
{
	struct slow_chan *chan = container_of(poller, struct slow_chan, poller);
	struct slow_ctx *ctx, *next;
	int nb = 0;

	weir_role_assume_worker();
	for (ctx = TAILQ_FIRST(&chan->list); ctx != NULL; ctx = next) {
		struct weir_fsreq *req = weir_fsreq_of(ctx);

		next = TAILQ_NEXT(ctx, next);
		if (!weir_fsreq_detached(req) || ctx->fenced != NULL)
			guest_of(req)->touched++;
		if (ctx->rounds == UINT64_MAX ? !atomic_load(&slow.let_go) : ctx->rounds-- > 0)
			continue;
		slow_end(chan, ctx);
		nb++;
	}
	return nb;
}

static bool
slow_arm(struct weir_poller *poller)
{
	struct slow_chan *chan = container_of(poller, struct slow_chan, poller);

	return !TAILQ_EMPTY(&chan->list);
}

static int WEIR_ON_WORKER
slow_chan_start(struct weir_channel *chan)
{
	struct slow_chan *priv = weir_channel_priv(chan);

	assert_true(weir_worker_is_backend(weir_worker_self()));
	TAILQ_INIT(&priv->list);
	priv->poller = (struct weir_poller){ .name = "slow", .poll = slow_poll, .arm = slow_arm };
	weir_poller_add(&priv->poller);
	return 0;
}

static void WEIR_ON_WORKER
slow_chan_stop(struct weir_channel *chan)
{
	struct slow_chan *priv = weir_channel_priv(chan);

	assert_true(TAILQ_EMPTY(&priv->list));
	weir_poller_del(&priv->poller);
}

static void WEIR_ON_WORKER
slow_begin(struct weir_channel *chan)
{
	assert_ptr_equal(weir_channel_worker(chan), weir_worker_self());
	atomic_fetch_add(&slow.runs[weir_worker_index(weir_worker_self())], 1);
}

static int WEIR_ON_WORKER
slow_read(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct slow_chan *priv = weir_channel_priv(chan);
	struct slow_ctx *ctx = weir_fsreq_ctx(req);

	slow_begin(chan);
	guest_of(req)->touched++;
	if (req->in.io.off == 0)
		return (int)req->in.io.len;
	ctx->rounds = req->in.io.off;
	ctx->fenced = NULL;
	TAILQ_INSERT_TAIL(&priv->list, ctx, next);
	return -EINPROGRESS;
}

static int WEIR_ON_WORKER
slow_write(struct weir_channel *chan, struct weir_fsreq *req)
{
	slow_begin(chan);
	guest_of(req)->touched++;
	if (req->in.io.off-- == 0)
		return (int)req->in.io.len;
	weir_fsreq_retry(req, NULL);
	return -EINPROGRESS;
}

static int WEIR_ON_WORKER
slow_succeed(struct weir_channel *chan, struct weir_fsreq *req)
{
	return 0;
}

static void WEIR_ON_WORKER
slow_detach(struct weir_channel *chan, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req))
{
	struct slow_ctx *ctx = weir_fsreq_ctx(req);

	assert_ptr_equal(weir_channel_worker(chan), weir_worker_self());
	assert_true(weir_fsreq_detached(req));
	atomic_fetch_add(&slow.detaches, 1);
	if (atomic_load(&slow.fence_late))
		ctx->fenced = fenced;
	else
		fenced(req);
}

static void WEIR_ON_CONTROL
slow_create(struct weir_fsdev *dev, const void *params)
{
	const uint64_t key[2] = { 1 };

	assert_non_null(weir_fsdev_root_create(dev, key, S_IFDIR));
	weir_fsdev_created(dev, 0, NULL);
}

static void WEIR_ON_CONTROL
slow_destroy(struct weir_fsdev *dev)
{
}

static const struct weir_fsdev_ops slow_ops = {
	.create = slow_create,
	.destroy = slow_destroy,
	.chan_start = slow_chan_start,
	.chan_stop = slow_chan_stop,
	.detach = slow_detach,
	.op = {
		[WEIR_FSOP_READ] = slow_read,
		[WEIR_FSOP_WRITE] = slow_write,
		[WEIR_FSOP_FLUSH] = slow_succeed,
		[WEIR_FSOP_FSYNC] = slow_succeed,
	},
};

static struct weir_fsdev_driver slow_driver = {
	.name = "slow",
	.help = "answers in its own time",
	.ops = &slow_ops,
	.chan_priv_size = sizeof(struct slow_chan),
};
WEIR_FSDEV_REGISTER(slow_driver)
