/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * A complete small file system in memory, and an example of a driver whose state has one owner.
 *
 * Any worker may get a request, but the files (memfs.h) are one worker's alone: the home worker,
 * which is the first. So nothing here needs a lock. On the home worker a verb is a call. On any
 * other, its channel sends the request home as a message; there the verb is done, payload included,
 * between the file's pages and guest memory; and the same message brings the result back, because a
 * request is answered on the worker that it came from:
 *
 *	channel's worker            home worker
 *	mem_verb, mem_send  ----->  mem_arrived: mem_verbs[op]
 *	mem_came_back       <-----
 *
 * While it is away the request belongs to the home worker. Only the detached flag may change, which
 * the home worker therefore does not look at: a request whose guest is gone is done like any other,
 * and those that touch guest memory are fenced when they come back. That is soon, as nothing waits
 * there.
 *
 * A node's key is its inode number. The home worker makes all nodes, and each holds a reference on
 * its inode; when a node has ended, control hands that reference back through memfs_put_later().
 * So an inode, with its content, lives as long as it has a name or the guest knows it.
 *
 * Memory: three pools (pool.h), reserved by control at create and populated as they are used. What
 * has been used once is kept for reuse until the file system is deleted.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_common.h>

#include "mem.h"

static const char *const mem_max_write_aliases[] = { "max_xfer_size", NULL };

static const struct weir_param mem_params[] = {
	WEIR_PARAM(mem_params, size, WEIR_U64, .def = UINT64_C(1) << 30, .min = 1 << 20,
			.max = UINT64_C(1) << 42, .position = 2,
			.help = "bytes of content at most; also one file for every 4096 of them"),
	WEIR_PARAM(mem_params, max_write, WEIR_U32, .def = 1 << 20, .min = 4096, .max = 1 << 20,
			.aliases = mem_max_write_aliases, .help = "bytes of one write at most"),
	WEIR_PARAM(mem_params, enable_xattr, WEIR_BOOL, .def = true,
			.help = "let the guest have extended attributes, and with them POSIX ACLs"),
	WEIR_LOCK_PARAMS(mem_params),
};

static void WEIR_ON_CONTROL
mem_create(struct weir_fsdev *dev, const void *params)
{
	const uint64_t root_key[2] = { MEMFS_ROOT };
	const struct mem_params *p = params;
	const struct weir_fsdev_limits limits = {
		.max_write = p->max_write,
		.max_readahead = p->max_write,
		.parallel_dirops = true,
		.atomic_o_trunc = true,
		.handle_killpriv_v2 = true,
		.posix_acl = p->enable_xattr,
		.security_ctx = p->enable_xattr,
		.posix_locks = p->locks,
		.flock_locks = p->locks,
	};
	const struct weir_locks_cfg locks = {
		.name = weir_fsdev_name(dev),
		.max_locks = p->max_locks,
		.wait_ms = p->lock_wait_ms,
	};
	struct mem_fsdev *mem = weir_fsdev_priv(dev);
	int rc;

	mem->home = weir_backend_at(0);
	mem->xattr = p->enable_xattr;
	mem->attr_valid_ns = weir_fsdev_attr_valid_ns(dev);
	mem->entry_valid_ns = weir_fsdev_entry_valid_ns(dev);
	rc = memfs_create(p->size, &mem->fs);
	if (rc < 0) {
		weir_fsdev_created(dev, rc, NULL);
		return;
	}
	rc = weir_locks_create(&locks, &mem->locks);
	if (rc < 0)
		goto destroy_fs;
	weir_fsdev_limits_set(dev, &limits);
	if (weir_fsdev_root_create(dev, root_key, S_IFDIR) == NULL) {
		rc = -ENOMEM;
		goto destroy_locks;
	}
	weir_fsdev_created(dev, 0, NULL);
	return;

destroy_locks:
	weir_locks_destroy(mem->locks);
destroy_fs:
	memfs_destroy(mem->fs);
	weir_fsdev_created(dev, rc, NULL);
}

static void WEIR_ON_CONTROL
mem_destroy(struct weir_fsdev *dev)
{
	struct mem_fsdev *mem = weir_fsdev_priv(dev);

	weir_locks_destroy(mem->locks);
	memfs_destroy(mem->fs);
}

static json_t *WEIR_ON_CONTROL
mem_info(const struct weir_fsdev *dev)
{
	const struct mem_fsdev *mem = weir_fsdev_priv(dev);
	uint32_t held, waiting;

	weir_locks_load(mem->locks, &held, &waiting);
	return json_pack("{s:i, s:i}", "locks_held", (int)held, "lock_waiters", (int)waiting);
}

static void WEIR_ON_CONTROL
mem_node_fini(struct weir_fsdev *dev, struct weir_node *node)
{
	struct mem_fsdev *mem = weir_fsdev_priv(dev);

	memfs_put_later(mem->fs, (uint32_t)node->key[0]);
}

/* The verb itself, on the home worker. */
static int WEIR_ON_WORKER
mem_do(struct weir_fsreq *req)
{
	struct mem_fsdev *mem = mem_of(req);

	memfs_settle(mem->fs);
	if (unlikely((req->flags & WEIR_FSREQ_KILLPRIV) != 0))
		mem_kill_setid(mem,
				mem_ino(req->op == WEIR_FSOP_COPY_FILE_RANGE ? req->newnode :
									       req->node));
	return mem_verbs[req->op](mem, req);
}

static void WEIR_ON_WORKER mem_go_on(struct weir_fsreq *req);

/* What a verb's result means on the channel's worker. */
static int WEIR_ON_WORKER
mem_result(struct weir_fsreq *req, int res)
{
	bool is_sliced;

	if (res != -EAGAIN)
		return res;
	is_sliced = req->op == WEIR_FSOP_FALLOCATE || req->op == WEIR_FSOP_COPY_FILE_RANGE;
	weir_fsreq_retry(req, is_sliced ? mem_go_on : NULL);
	return -EINPROGRESS;
}

/* Does the next slice of long work, so that others have their turn in between. */
static void WEIR_ON_WORKER
mem_go_on(struct weir_fsreq *req)
{
	int res = weir_fsreq_detached(req) ? -ECANCELED : mem_result(req, mem_send(req));

	if (res != -EINPROGRESS)
		weir_fsreq_complete(req, res);
}

static void
mem_came_back(struct weir_msg *msg)
{
	struct mem_ctx *ctx = container_of(msg, struct mem_ctx, msg);
	struct weir_fsreq *req = weir_fsreq_of(ctx);
	int res = ctx->res;

	weir_role_assume_worker();
	if (ctx->fenced != NULL)
		ctx->fenced(req);
	if (req->op == WEIR_FSOP_READDIR)
		res = mem_readdir_next(req, res);
	res = mem_result(req, res);
	if (res != -EINPROGRESS)
		weir_fsreq_complete(req, res);
}

static void
mem_arrived(struct weir_msg *msg)
{
	struct mem_ctx *ctx = container_of(msg, struct mem_ctx, msg);
	struct weir_fsreq *req = weir_fsreq_of(ctx);

	weir_role_assume_worker();
	ctx->res = mem_do(req);
	msg->fn = mem_came_back;
	weir_worker_send(weir_channel_worker(req->chan), msg);
}

int WEIR_ON_WORKER
mem_send(struct weir_fsreq *req)
{
	struct mem_ctx *ctx = weir_fsreq_ctx(req);
	struct mem_fsdev *mem = mem_of(req);

	if (weir_worker_self() == mem->home)
		return mem_do(req);
	ctx->fenced = NULL;
	ctx->msg.fn = mem_arrived;
	weir_worker_send(mem->home, &ctx->msg);
	return -EINPROGRESS;
}

static int WEIR_ON_WORKER
mem_verb(struct weir_channel *chan, struct weir_fsreq *req)
{
	int res = req->op == WEIR_FSOP_READDIR ? mem_readdir(req) : mem_send(req);

	return mem_result(req, res);
}

static int WEIR_ON_WORKER
mem_sliced(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct mem_ctx *ctx = weir_fsreq_ctx(req);

	ctx->pos = 0;
	return mem_verb(chan, req);
}

/* Everything is durable as far as it ever will be, and an open directory has no state. */
static int WEIR_ON_WORKER
mem_succeed(struct weir_channel *chan, struct weir_fsreq *req)
{
	return 0;
}

/* Locks are the lock service's. What a file has of them ends when it is flushed and released. */
static int WEIR_ON_WORKER
mem_lock(struct weir_channel *chan, struct weir_fsreq *req)
{
	const struct mem_fsdev *mem = mem_of(req);

	return weir_locks_do(mem->locks, req, weir_fsreq_complete);
}

static void
mem_interrupt(struct weir_fsdev *dev)
{
	const struct mem_fsdev *mem = weir_fsdev_priv(dev);

	weir_locks_interrupt(mem->locks);
}

/* Called only for a request that is away. */
static void WEIR_ON_WORKER
mem_detach(struct weir_channel *chan, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req))
{
	struct mem_ctx *ctx = weir_fsreq_ctx(req);

	switch (req->op) {
	case WEIR_FSOP_READ:
	case WEIR_FSOP_WRITE:
	case WEIR_FSOP_READLINK:
	case WEIR_FSOP_GETXATTR:
	case WEIR_FSOP_SETXATTR:
	case WEIR_FSOP_LISTXATTR:
		/* The home worker may be copying just now. */
		ctx->fenced = fenced;
		break;
	case WEIR_FSOP_SETLK:
		weir_locks_detach(mem_of(req)->locks, req, fenced);
		break;
	default:
		fenced(req);
	}
}

static const struct weir_fsdev_ops mem_ops = {
	.create = mem_create,
	.destroy = mem_destroy,
	.info = mem_info,
	.node_fini = mem_node_fini,
	.detach = mem_detach,
	.interrupt = mem_interrupt,
	.op = {
		[WEIR_FSOP_LOOKUP] = mem_verb,
		[WEIR_FSOP_GETATTR] = mem_verb,
		[WEIR_FSOP_SETATTR] = mem_verb,
		[WEIR_FSOP_READLINK] = mem_verb,
		[WEIR_FSOP_SYMLINK] = mem_verb,
		[WEIR_FSOP_MKNOD] = mem_verb,
		[WEIR_FSOP_MKDIR] = mem_verb,
		[WEIR_FSOP_UNLINK] = mem_verb,
		[WEIR_FSOP_RMDIR] = mem_verb,
		[WEIR_FSOP_RENAME] = mem_verb,
		[WEIR_FSOP_LINK] = mem_verb,
		[WEIR_FSOP_OPEN] = mem_verb,
		[WEIR_FSOP_CREATE] = mem_verb,
		[WEIR_FSOP_READ] = mem_verb,
		[WEIR_FSOP_WRITE] = mem_verb,
		[WEIR_FSOP_STATFS] = mem_verb,
		[WEIR_FSOP_RELEASE] = mem_lock,
		[WEIR_FSOP_FLUSH] = mem_lock,
		[WEIR_FSOP_FSYNC] = mem_succeed,
		[WEIR_FSOP_OPENDIR] = mem_verb,
		[WEIR_FSOP_READDIR] = mem_verb,
		[WEIR_FSOP_RELEASEDIR] = mem_succeed,
		[WEIR_FSOP_FSYNCDIR] = mem_succeed,
		[WEIR_FSOP_ACCESS] = mem_verb,
		[WEIR_FSOP_TMPFILE] = mem_verb,
		[WEIR_FSOP_STATX] = mem_verb,
		[WEIR_FSOP_GETXATTR] = mem_verb,
		[WEIR_FSOP_SETXATTR] = mem_verb,
		[WEIR_FSOP_LISTXATTR] = mem_verb,
		[WEIR_FSOP_REMOVEXATTR] = mem_verb,
		[WEIR_FSOP_FALLOCATE] = mem_sliced,
		[WEIR_FSOP_LSEEK] = mem_verb,
		[WEIR_FSOP_COPY_FILE_RANGE] = mem_sliced,
		[WEIR_FSOP_SYNCFS] = mem_succeed,
		[WEIR_FSOP_IOCTL] = mem_verb,
		[WEIR_FSOP_GETLK] = mem_lock,
		[WEIR_FSOP_SETLK] = mem_lock,
		[WEIR_FSOP_ENDWAIT] = mem_lock,
	},
};

static struct weir_fsdev_driver mem_driver = {
	.name = "mem",
	.help = "a file system in memory, gone when it is deleted",
	.ops = &mem_ops,
	.params = mem_params,
	.nb_params = RTE_DIM(mem_params),
	.params_size = sizeof(struct mem_params),
	.defaults = { .valid_ms = 1000, .close_to_open = true, .readdirplus = true },
	.priv_size = sizeof(struct mem_fsdev),
	.chan_priv_size = sizeof(struct mem_channel),
	.file_priv_size = sizeof(uint32_t), /* the hint of memfs_readdir() */
};

WEIR_FSDEV_REGISTER(mem_driver)
