/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fe_fuse.h"

/* What Linux 6.1 offers in INIT and a server may rely on; no DAX, no submounts. */
#define MOUNT_FLAGS                                                                                \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT |          \
			FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_FLOCK_LOCKS | FUSE_HAS_IOCTL_DIR | \
			FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |       \
			FUSE_ASYNC_DIO | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS |             \
			FUSE_HANDLE_KILLPRIV | FUSE_ABORT_ERROR | FUSE_MAX_PAGES |                 \
			FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | FUSE_INIT_EXT)

void
fe_opts_init(struct fe_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	opts->nb_queues = 1;
	opts->ring_size = 256;
	opts->depth = 32;
	opts->max_io = 1 << 20;
	opts->nb_regions = 2;
	opts->ring_flags = FE_RING_INDIRECT | FE_RING_EVENT_IDX;
	opts->wait_ms = 5000;
	opts->timeout_ms = 30000;
}

/* Segments that one request can have, with those for headers and arguments. */
static unsigned int
mount_max_sg(const struct fe_opts *opts)
{
	uint32_t piece = opts->piece != 0 && opts->piece < FE_PAGE ? opts->piece : FE_PAGE;

	return (opts->max_io + FE_ARG_BYTES) / piece + FE_RES_BYTES / piece + 16;
}

static unsigned int
mount_depth(const struct fe_opts *opts, unsigned int index)
{
	return index == 0 && opts->forget_depth != 0 ? opts->forget_depth : opts->depth;
}

static uint64_t
mount_queue_bytes(const struct fe_opts *opts, unsigned int index)
{
	uint64_t req = 128 + FE_ARG_BYTES + FE_RES_BYTES + (opts->lend_data ? 0 : opts->max_io) +
			mount_max_sg(opts) * sizeof(struct vring_desc) + 4 * FE_PAGE;

	return mount_depth(opts, index) * req + opts->ring_size * 32 + 4 * FE_PAGE;
}

static int
req_create(struct fe_queue *queue, struct fe_req *req)
{
	struct fe_mem *mem = &queue->fs->mem;
	uint32_t table = queue->max_sg * sizeof(struct vring_desc);
	int rc;

	req->queue = queue;
	rc = fe_mem_alloc(mem, 128, 64, &req->head);
	if (rc == 0)
		rc = fe_mem_alloc(mem, FE_ARG_BYTES + FE_RES_BYTES, 64, &req->arg);
	if (rc == 0 && !queue->fs->opts.lend_data)
		rc = fe_mem_alloc(mem, queue->fs->opts.max_io, FE_PAGE, &req->data);
	if (rc == 0)
		rc = fe_mem_alloc(mem, table, 16, &req->table);
	return rc;
}

static int
queue_create(struct fe_fs *fs, unsigned int index)
{
	struct fe_queue *queue = &fs->queue[index];
	unsigned int depth = mount_depth(&fs->opts, index);
	unsigned int i;
	int rc = 0;

	queue->fs = fs;
	queue->index = index;
	queue->pid = getpid();
	queue->max_sg = mount_max_sg(&fs->opts);
	queue->sg = calloc(queue->max_sg, sizeof(*queue->sg));
	queue->reqs = calloc(depth, sizeof(*queue->reqs));
	if (queue->sg == NULL || queue->reqs == NULL)
		return -ENOMEM;

	for (i = 0; i < depth && rc == 0; i++) {
		rc = req_create(queue, &queue->reqs[i]);
		if (rc == 0)
			fe_req_put(&queue->reqs[i]);
	}
	return rc;
}

static int
mount_create(struct fe_fs *fs)
{
	const struct fe_opts *opts = &fs->opts;
	unsigned int nb = opts->nb_queues + 1;
	uint64_t bytes = mount_queue_bytes(opts, 0) + opts->nb_queues * mount_queue_bytes(opts, 1);
	unsigned int i;
	int rc;

	fs->queue = calloc(nb, sizeof(*fs->queue));
	if (fs->queue == NULL)
		return -ENOMEM;

	rc = fe_mem_create(&fs->mem, opts->layout, opts->nb_regions,
			bytes / opts->nb_regions + 2 * (opts->max_io + FE_PAGE) +
					opts->spare_bytes);
	/* Rings come first, so that adjacent regions hold each of them whole. */
	for (i = 0; i < nb && rc == 0; i++)
		rc = fe_ring_create(
				&fs->queue[i].ring, &fs->mem, opts->ring_size, opts->ring_flags);
	for (i = 0; i < nb && rc == 0; i++)
		rc = queue_create(fs, i);
	return rc;
}

/* Rings and buffers follow what the device offered. */
static void
mount_apply_features(struct fe_fs *fs)
{
	unsigned int drop = 0;
	unsigned int i;

	if ((fs->conn.features & FE_F_INDIRECT) == 0)
		drop |= FE_RING_INDIRECT;
	if ((fs->conn.features & FE_F_EVENT_IDX) == 0)
		drop |= FE_RING_EVENT_IDX;
	for (i = 0; i <= fs->opts.nb_queues; i++)
		fs->queue[i].ring.flags &= ~drop;
}

/* GET_QUEUE_NUM counts the high-priority queue; devices that do not tell have one other. */
static void
mount_fit_queues(struct fe_fs *fs)
{
	struct fe_opts *opts = &fs->opts;
	uint64_t nb = fs->conn.nb_queues > 2 ? fs->conn.nb_queues - 1 : 1;

	if (opts->nb_queues - opts->skip_queues > nb)
		opts->skip_queues = opts->nb_queues - nb;
}

static int
mount_connect(struct fe_fs *fs)
{
	const struct fe_opts *opts = &fs->opts;
	uint64_t wanted = 0;
	unsigned int i;
	int rc;

	if (opts->ring_flags & FE_RING_INDIRECT)
		wanted |= FE_F_INDIRECT;
	if (opts->ring_flags & FE_RING_EVENT_IDX)
		wanted |= FE_F_EVENT_IDX;
	if (opts->ring_flags & FE_RING_PACKED)
		wanted |= FE_F_PACKED;

	rc = fe_conn_open(&fs->conn, opts->socket, opts->wait_ms);
	if (rc == 0)
		rc = fe_conn_handshake(&fs->conn, wanted);
	if (rc < 0)
		return rc;
	/* The rings are laid out already. */
	if (wanted & ~fs->conn.features & FE_F_PACKED)
		return -EOPNOTSUPP;

	if (opts->fit_queues)
		mount_fit_queues(fs);
	mount_apply_features(fs);
	rc = fe_conn_set_mem(&fs->conn, &fs->mem);
	for (i = 0; i <= fe_fs_nb_queues(fs) && rc == 0; i++)
		rc = fe_conn_ring_start(&fs->conn, i, &fs->queue[i].ring);
	return rc;
}

int
fe_fs_connect(struct fe_fs *fs, const struct fe_opts *opts)
{
	int rc;

	memset(fs, 0, sizeof(*fs));
	fs->opts = *opts;
	fs->conn.fd = -1;
	fs->init_flags = MOUNT_FLAGS;
	pthread_mutex_init(&fs->forget_lock, NULL);
	pthread_mutex_init(&fs->fault_lock, NULL);
	if (opts->nb_queues == 0 || opts->nb_queues >= FE_MAX_QUEUES || opts->depth == 0 ||
			opts->skip_queues >= opts->nb_queues)
		return -EINVAL;

	rc = mount_create(fs);
	if (rc == 0)
		rc = mount_connect(fs);
	if (rc < 0)
		fe_fs_close(fs);
	return rc;
}

int
fe_fs_mount(struct fe_fs *fs, const struct fe_opts *opts)
{
	int rc = fe_fs_connect(fs, opts);

	if (rc < 0)
		return rc;
	rc = fe_fs_init(fs);
	if (rc < 0)
		fe_fs_close(fs);
	return rc;
}

int
fe_fs_init(struct fe_fs *fs)
{
	struct fe_req *req = fe_req_get(&fs->queue[1]);
	struct fuse_init_in *in;
	int rc;

	if (req == NULL)
		return -EAGAIN;
	in = fe_req_init(req, FUSE_INIT, 0, sizeof(*in));
	in->major = FUSE_KERNEL_VERSION;
	in->minor = FUSE_KERNEL_MINOR_VERSION;
	in->max_readahead = 128 << 10;
	in->flags = fs->init_flags;
	in->flags2 = fs->opts.labels ? FUSE_SECURITY_CTX >> 32 : 0;
	req->res_room = sizeof(fs->init);
	rc = fe_req_call(req);
	if (rc == 0) {
		memcpy(&fs->init, fe_req_res(req), sizeof(fs->init));
		if (fs->init.flags & ~fs->init_flags)
			fe_fault(fs, "INIT: flags %#x were not offered",
					fs->init.flags & ~fs->init_flags);
		if (fs->init.flags2 & FUSE_SECURITY_CTX >> 32 && !fs->opts.labels)
			fe_fault(fs, "INIT: FUSE_SECURITY_CTX was not offered");
	}
	if (req->done)
		fe_req_put(req);
	return rc;
}

uint32_t
fe_fs_max_io(const struct fe_fs *fs)
{
	const struct fe_opts *opts = &fs->opts;
	uint32_t piece = opts->piece != 0 ? opts->piece : FE_PAGE;
	uint32_t headers = 4 + 128 / piece;
	uint32_t pages = fs->init.flags & FUSE_MAX_PAGES ? fs->init.max_pages : 32;
	uint32_t max = fs->init.max_write;

	if (max > pages * FE_PAGE)
		max = pages * FE_PAGE;
	if (max > opts->max_io)
		max = opts->max_io;
	if (max > (opts->ring_size - headers) * piece)
		max = (opts->ring_size - headers) * piece;
	return max;
}

/* What was forgotten is forgotten: a DESTROY on another queue could overtake it. */
static void
forgets_drain(struct fe_fs *fs)
{
	struct fe_queue *q = &fs->queue[0];
	struct fe_req *done;

	pthread_mutex_lock(&fs->forget_lock);
	do {
		while (fe_queue_reap(q, &done) == 1)
			fe_req_put(done);
	} while (q->in_flight > 0 && fe_queue_wait(q) > 0);
	pthread_mutex_unlock(&fs->forget_lock);
}

int
fe_fs_destroy(struct fe_fs *fs)
{
	struct fe_req *req = fe_req_get(&fs->queue[1]);
	int rc;

	if (req == NULL)
		return -EAGAIN;

	forgets_drain(fs);
	fe_req_init(req, FUSE_DESTROY, 0, 0);
	rc = fe_req_call(req);
	if (req->done)
		fe_req_put(req);
	return rc;
}

void
fe_fs_close(struct fe_fs *fs)
{
	unsigned int i;

	fe_conn_close(&fs->conn);
	for (i = 0; fs->queue != NULL && i <= fs->opts.nb_queues; i++) {
		if (fs->queue[i].ring.token != NULL)
			fe_ring_destroy(&fs->queue[i].ring);
		free(fs->queue[i].sg);
		free(fs->queue[i].reqs);
	}
	free(fs->queue);
	fs->queue = NULL;
	fe_mem_destroy(&fs->mem);
	pthread_mutex_destroy(&fs->forget_lock);
	pthread_mutex_destroy(&fs->fault_lock);
}

int
fe_fs_unmount(struct fe_fs *fs)
{
	unsigned int i;
	uint16_t base;
	int rc;

	rc = fe_fs_destroy(fs);
	for (i = 0; i <= fe_fs_nb_queues(fs) && rc == 0; i++)
		rc = fe_conn_ring_stop(&fs->conn, i, &base);
	fe_fs_close(fs);
	return rc;
}
