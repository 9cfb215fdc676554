/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuse.h"

WEIR_LOG_TYPE(fuse);

#define FUSE_PAGE_SIZE 4096
/* What a guest that never heard of MAX_PAGES reads at once. */
#define FUSE_IO_MIN (32 * FUSE_PAGE_SIZE)
/* Readable and writable descriptors of a request beside its data pages. */
#define FUSE_RING_OVERHEAD 4
#define FUSE_MAX_FILES     (1u << 20)
/* Open files that there is memory for ahead; the default would be a megabyte for each session. */
#define FUSE_FILES_AHEAD 2048u
/* Requests that may wait for locks, until it is known how many there is room for. */
#define FUSE_WAITERS 16
/* Linux defaults to 12 and 9, which throttles readahead and asynchronous I/O. */
#define FUSE_MAX_BACKGROUND 65535
#define FUSE_CONGESTION     (FUSE_MAX_BACKGROUND / 4 * 3)

static void
session_low(struct weir_post *post)
{
	struct weir_fuse_session *sess = container_of(post, struct weir_fuse_session, low_post);

	weir_role_assume_control();
	atomic_store_explicit(&sess->low_posted, false, memory_order_release);
	weir_fuse_session_maintain(sess);
}

/* Time-outs of what exists are the drivers'; all other options are carried out here. */
static void WEIR_ON_CONTROL
session_init_cache(struct weir_fuse_session *sess, const struct weir_fsdev_common *common)
{
	const bool lasting =
			common->cache == WEIR_CACHE_ALWAYS || common->cache == WEIR_CACHE_METADATA;

	sess->open_mask = FUSE_OPEN_FLAGS;
	if (common->direct_io == WEIR_DIRECT_IO_STRIP)
		sess->open_mask &= ~(uint32_t)O_DIRECT;
	if (weir_fsdev_is_direct(common))
		sess->file_cache = FUSE_FOPEN_DIRECT_IO;
	else if (common->keep_cache)
		sess->file_cache = FUSE_FOPEN_KEEP_CACHE;
	if (lasting)
		sess->dir_cache = FUSE_FOPEN_CACHE_DIR | FUSE_FOPEN_KEEP_CACHE;
	sess->negative_ns = common->negative_valid_ms * UINT64_C(1000000);
	sess->close_to_open = common->close_to_open;
	if (common->readonly) {
		sess->refused = FUSE_OP_CHANGES;
		sess->open_add = O_NOATIME;
	}
}

static void WEIR_ON_CONTROL
session_init(struct weir_fuse_session *sess, const struct weir_fuse_cfg *cfg,
		struct weir_fsdev *dev)
{
	static unsigned int next_home;
	const struct weir_fsdev_limits *limits = weir_fsdev_limits(dev);

	snprintf(sess->name, sizeof(sess->name), "%s", cfg->name);
	sess->dev = dev;
	sess->root = weir_fsdev_root(dev);
	sess->root_id = weir_node_id(dev, sess->root);
	sess->ring_size = cfg->ring_size;
	sess->max_write = RTE_MAX(limits->max_write, (uint32_t)FUSE_PAGE_SIZE);
	sess->max_io = RTE_MAX(sess->max_write, (uint32_t)FUSE_IO_MIN);
	atomic_init(&sess->max_waiters, FUSE_WAITERS);
	sess->dots = limits->export_support;
	session_init_cache(sess, weir_fsdev_common(dev));
	if (!limits->atomic_o_trunc)
		sess->open_mask &= ~(uint32_t)O_TRUNC;
	sess->home = weir_backend_at(next_home++ % weir_backends_count());
	sess->low_post.fn = session_low;
	fuse_reset_init(sess);
}

int
weir_fuse_session_create(const struct weir_fuse_cfg *cfg, struct weir_fsdev *dev,
		struct weir_fuse_session **out)
{
	const struct weir_table_cfg files = {
		.name = cfg->name,
		.rec_size = offsetof(struct fuse_file, base) + weir_fsdev_file_size(dev),
		.max_recs = cfg->max_open_files > 0 ? cfg->max_open_files : FUSE_MAX_FILES,
		.chunk_recs = FUSE_FILES_AHEAD,
	};
	struct weir_fuse_session *sess;
	int rc;

	sess = aligned_alloc(alignof(struct weir_fuse_session), sizeof(*sess));
	if (sess == NULL)
		return -ENOMEM;
	*sess = (struct weir_fuse_session){ 0 };
	session_init(sess, cfg, dev);
	rc = fuse_idmaps_create(cfg->uid_map, cfg->gid_map, &sess->maps);
	if (rc < 0)
		goto free_session;
	if (sess->maps != NULL && weir_fsdev_limits(dev)->posix_acl)
		rc = -EOPNOTSUPP;
	else
		rc = fuse_stats_create(sess);
	if (rc < 0)
		goto free_maps;
	rc = fuse_ledger_create(sess);
	if (rc < 0)
		goto free_stats;
	rc = weir_table_create(&files, &sess->files);
	if (rc < 0)
		goto free_ledger;
	*out = sess;
	return 0;

free_ledger:
	fuse_ledger_destroy(sess);
free_stats:
	fuse_stats_destroy(sess);
free_maps:
	fuse_idmaps_destroy(sess->maps);
free_session:
	free(sess);
	return rc;
}

void
weir_fuse_session_destroy(struct weir_fuse_session *sess)
{
	if (sess == NULL)
		return;
	weir_table_destroy(sess->files);
	fuse_ledger_destroy(sess);
	fuse_stats_destroy(sess);
	fuse_idmaps_destroy(sess->maps);
	free(sess);
}

void
weir_fuse_session_waiters_set(struct weir_fuse_session *sess, uint32_t max)
{
	atomic_store_explicit(&sess->max_waiters, max, memory_order_relaxed);
}

bool
weir_fuse_session_is_mounted(const struct weir_fuse_session *sess)
{
	return (atomic_load_explicit(&sess->phase, memory_order_acquire) & FUSE_STATE_MASK) ==
			FUSE_MOUNTED;
}

void
weir_fuse_session_maintain(struct weir_fuse_session *sess)
{
	/* Without memory workers see -EAGAIN and come again, as does control with its next tick. */
	(void)weir_table_maintain(sess->files);
}

/*
 * What this file system offers. Flags that are left out on purpose: EXPLICIT_INVAL_DATA (needs
 * notifications), NO_OPEN_SUPPORT (files have state here). DONT_MASK is asked for because only where the file is made is it known whether a default
 * ACL replaces the umask, so the file system gets both, as weir_fsreq.in.create says.
 */
static uint64_t
session_offer(const struct weir_fuse_session *sess)
{
	const struct weir_fsdev_common *common = weir_fsdev_common(sess->dev);
	const struct weir_fsdev_limits *limits = weir_fsdev_limits(sess->dev);
	uint64_t flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA |
			FUSE_ASYNC_DIO | FUSE_HAS_IOCTL_DIR | FUSE_MAX_PAGES | FUSE_SETXATTR_EXT |
			FUSE_INIT_EXT | FUSE_CREATE_SUPP_GROUP;

	if (common->readdirplus)
		flags |= FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;
	if (common->enable_writeback_cache)
		flags |= FUSE_WRITEBACK_CACHE;
	if (common->allow_mmap)
		flags |= FUSE_DIRECT_IO_ALLOW_MMAP;
	if (limits->parallel_dirops)
		flags |= FUSE_PARALLEL_DIROPS;
	if (limits->atomic_o_trunc)
		flags |= FUSE_ATOMIC_O_TRUNC;
	if (limits->export_support)
		flags |= FUSE_EXPORT_SUPPORT;
	if (limits->handle_killpriv_v2)
		flags |= FUSE_HANDLE_KILLPRIV_V2;
	if (limits->handle_killpriv)
		flags |= FUSE_HANDLE_KILLPRIV;
	if (limits->security_ctx)
		flags |= FUSE_SECURITY_CTX;
	if (limits->posix_acl)
		flags |= FUSE_POSIX_ACL;
	if (limits->posix_locks)
		flags |= FUSE_POSIX_LOCKS;
	if (limits->flock_locks)
		flags |= FUSE_FLOCK_LOCKS;
	if (limits->submounts)
		flags |= FUSE_SUBMOUNTS;
	return flags;
}

static uint16_t
session_max_pages(const struct weir_fuse_session *sess)
{
	uint32_t pages = RTE_MIN(sess->max_write / FUSE_PAGE_SIZE, (uint32_t)UINT16_MAX);

	if (sess->ring_size > FUSE_RING_OVERHEAD)
		pages = RTE_MIN(pages, sess->ring_size - FUSE_RING_OVERHEAD);
	return pages;
}

static void WEIR_ON_WORKER
session_negotiate(struct weir_fuse_session *sess, const struct fuse_init_in *in,
		struct fuse_init_out *out)
{
	struct fuse_shared *shared = sess->shared;
	uint64_t flags = in->flags;

	if ((flags & FUSE_INIT_EXT) != 0)
		flags |= (uint64_t)in->flags2 << 32;
	flags &= session_offer(sess);
	*out = (struct fuse_init_out){
		.major = FUSE_MAJOR,
		.minor = RTE_MIN(in->minor, (uint32_t)FUSE_MINOR),
		.max_readahead = RTE_MIN(
				in->max_readahead, weir_fsdev_limits(sess->dev)->max_readahead),
		.flags = (uint32_t)flags,
		.flags2 = flags >> 32,
		.max_background = FUSE_MAX_BACKGROUND,
		.congestion_threshold = FUSE_CONGESTION,
		.max_write = sess->max_write,
		.time_gran = 1,
		.max_pages = (flags & FUSE_MAX_PAGES) != 0 ? session_max_pages(sess) : 0,
	};
	atomic_store_explicit(&shared->flags, flags, memory_order_relaxed);
	atomic_store_explicit(&shared->minor, out->minor, memory_order_relaxed);
	atomic_store_explicit(&shared->max_readahead, out->max_readahead, memory_order_relaxed);
	atomic_store_explicit(&shared->max_pages, out->max_pages, memory_order_relaxed);
}

int WEIR_ON_WORKER
fuse_init(struct weir_fuse_req *req, const void *arg)
{
	struct weir_fuse_session *sess = req->sess;
	const struct fuse_init_in *in = arg;
	struct fuse_init_out out = { .major = FUSE_MAJOR, .minor = FUSE_MINOR };
	uint32_t phase = atomic_load_explicit(&sess->phase, memory_order_acquire);

	/* A newer guest comes again with our major number. */
	if (in->major > FUSE_MAJOR) {
		fuse_finish(req, fuse_body(req, &out, sizeof(out)));
		return 0;
	}
	if (in->major < FUSE_MAJOR || in->minor < FUSE_MINOR_MIN)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EPROTO);

	/* A guest that was rebooted without a word, or another INIT or a reset under way. */
	if ((phase & FUSE_STATE_MASK) != FUSE_IDLE ||
			!atomic_compare_exchange_strong_explicit(&sess->phase, &phase,
					phase | FUSE_STARTING, memory_order_acq_rel,
					memory_order_relaxed)) {
		fuse_reset_wait(req);
		return 0;
	}
	session_negotiate(sess, in, &out);
	phase |= FUSE_STARTING;
	/* Release: who sees MOUNTED sees what was negotiated. It fails when a reset has begun. */
	if (!atomic_compare_exchange_strong_explicit(&sess->phase, &phase,
			    (phase & ~FUSE_STATE_MASK) | FUSE_MOUNTED, memory_order_acq_rel,
			    memory_order_relaxed)) {
		fuse_reset_wait(req);
		return 0;
	}
	fuse_finish(req, fuse_body(req, &out, sizeof(out)));
	return 0;
}

int WEIR_ON_WORKER
fuse_destroy(struct weir_fuse_req *req, const void *arg)
{
	(void)arg;
	if ((req->phase & FUSE_STATE_MASK) == FUSE_IDLE)
		fuse_finish(req, 0);
	else
		fuse_reset_wait(req);
	return 0;
}
