/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FE_FUSE_H
#define FE_FUSE_H

/**
 * @file
 * A virtio-fs guest: mounts a device as Linux does and sends FUSE requests, one at a time (the
 * verbs of fe_verbs.h) or many at once (submit and reap). Each answer is checked as virtio-fs.md
 * wants it: lengths, error range, unique; what breaks a rule is a fault, kept with its text.
 *
 * A queue belongs to one thread at a time; different queues to different threads.
 */

#include <linux/fuse.h>
#include <pthread.h>
#include <sys/types.h>

#include "fe_ring.h"

#define FE_PAGE        4096u
#define FE_NB_OPCODES  64
#define FE_MAX_QUEUES  256
#define FE_ARG_BYTES   8192u /**< arguments of a request: structs, two names, a symlink's target */
#define FE_RES_BYTES   256u /**< fixed part of an answer */
#define FE_FAULT_BYTES 160

struct fe_opts {
	const char *socket;
	unsigned int nb_queues; /**< request queues */
	unsigned int ring_size;
	unsigned int depth; /**< requests in flight on each queue */
	uint32_t max_io; /**< payload of one request, bytes */
	unsigned int nb_regions;
	enum fe_mem_layout layout;
	uint32_t piece; /**< cut segments to at most these many bytes; 0: pages, like Linux */
	unsigned int ring_flags; /**< FE_RING_* */
	unsigned int wait_ms; /**< for the socket to appear */
	unsigned int timeout_ms; /**< for an answer */
	unsigned int skip_queues; /**< trailing request queues that are never set up */
	uint64_t spare_bytes; /**< of each region, for others to allocate */
	unsigned int forget_depth; /**< FORGETs in flight at most; 0: depth */
	bool keep_tables; /**< only fe_req_submit() writes indirect tables: it may reuse them */
	bool lend_data; /**< requests have no data buffer before fe_req_lend() */
	bool fit_queues; /**< leave out queues that the device lacks: skip_queues grows */
	bool labels; /**< offer FUSE_SECURITY_CTX, as a guest with a security module */
};

/** Options as a usual guest has them. */
void fe_opts_init(struct fe_opts *opts);

struct fe_fs;
struct fe_queue;

/** One request in flight, or ready to be. Buffers are in guest memory and belong to it. */
struct fe_req {
	struct fe_queue *queue;
	struct fe_req *next;
	struct fe_buf head; /**< in and out header */
	struct fe_buf arg; /**< FE_ARG_BYTES and FE_RES_BYTES behind them */
	struct fe_buf data; /**< max_io bytes, or what was lent */
	struct fe_buf table; /**< indirect descriptors */

	/* Set before fe_req_submit(). */
	uint32_t arg_len;
	uint32_t data_in; /**< bytes of data that the device reads */
	uint32_t res_room; /**< fixed part of the answer */
	uint32_t data_out; /**< bytes of data that the device may write */

	/* Set when it came back. */
	int error; /**< 0 or the errno of the answer, negative */
	uint32_t payload; /**< bytes behind the out header */
	bool done;
	uint64_t start_ns; /**< the caller's */
	uint64_t priv; /**< the caller's */

	uint64_t laid_shape[2]; /**< what the indirect table describes, see fe_req_submit() */
	uint16_t laid_nb; /**< its entries; 0: it has to be written anew */
};

struct fe_count {
	uint64_t sent;
	uint64_t errors;
	uint64_t bytes; /**< payload of reads and writes */
};

struct fe_queue {
	struct fe_fs *fs;
	unsigned int index; /**< 0: high priority */
	struct fe_ring ring;
	struct fe_req *reqs;
	struct fe_req *free;
	struct fe_sg *sg;
	unsigned int max_sg;
	unsigned int in_flight;
	uint64_t unique;
	uint32_t uid, gid, pid; /**< in the headers of its requests */
	struct fe_count count[FE_NB_OPCODES];
};

struct fe_fs {
	struct fe_opts opts;
	struct fe_mem mem;
	struct fe_conn conn;
	struct fe_queue *queue; /**< [0] high priority, then nb_queues request queues */
	pthread_mutex_t forget_lock; /**< guards queue[0], which all threads share */
	struct fuse_init_out init;
	uint32_t init_flags; /**< offered in INIT */
	uint32_t umask;
	pthread_mutex_t fault_lock;
	char fault[FE_FAULT_BYTES]; /**< first rule that the device broke, empty: none */
};

/**
 * Connects and starts the rings; FUSE is not initialised yet.
 * @return 0, -EINVAL, -ENOMEM, or as fe_conn_open() and fe_conn_handshake().
 */
int fe_fs_connect(struct fe_fs *fs, const struct fe_opts *opts);

/** Connects and mounts: fe_fs_connect() and fe_fs_init(). */
int fe_fs_mount(struct fe_fs *fs, const struct fe_opts *opts);

/** Request queues in use, queue[1] being the first. */
static inline unsigned int
fe_fs_nb_queues(const struct fe_fs *fs)
{
	return fs->opts.nb_queues - fs->opts.skip_queues;
}

/** FUSE_INIT on the first request queue. @return 0, or the answer's error. */
int fe_fs_init(struct fe_fs *fs);

/** Payload of the largest request that INIT, the ring's size and our buffers allow, in bytes. */
uint32_t fe_fs_max_io(const struct fe_fs *fs);

/** FUSE_DESTROY on the first request queue. */
int fe_fs_destroy(struct fe_fs *fs);

/** Disconnects without a word and frees everything. */
void fe_fs_close(struct fe_fs *fs);

/** Destroys, stops the rings one by one and disconnects, as a guest that shuts down. */
int fe_fs_unmount(struct fe_fs *fs);

/** Requests sent on all queues for one opcode. */
struct fe_count fe_fs_count(const struct fe_fs *fs, uint32_t opcode);

/** Name of an opcode, "LOOKUP"; NULL: unknown. */
const char *fe_opcode_name(uint32_t opcode);

/** Keeps the first fault of a device. Any thread. */
void fe_fault(struct fe_fs *fs, const char *fmt, ...);

/** A free request of the queue, or NULL when all are in flight. */
struct fe_req *fe_req_get(struct fe_queue *queue);

void fe_req_put(struct fe_req *req);

/** Fills the header; returns arg_len zeroed bytes for the arguments. No data, no answer part. */
void *fe_req_init(struct fe_req *req, uint32_t opcode, uint64_t nodeid, uint32_t arg_len);

static inline struct fuse_in_header *
fe_req_in(const struct fe_req *req)
{
	return req->head.va;
}

static inline struct fuse_out_header *
fe_req_out(const struct fe_req *req)
{
	return (void *)((uint8_t *)req->head.va + 64);
}

/** The fixed part of the answer. */
static inline void *
fe_req_res(const struct fe_req *req)
{
	return (uint8_t *)req->arg.va + FE_ARG_BYTES;
}

/**
 * With lend_data: the request's payload is in data from here on, a part of what fe_mem_alloc() gave,
 * of at most max_io bytes. Verbs that carry a payload need such a buffer in each free request.
 */
static inline void
fe_req_lend(struct fe_req *req, const struct fe_buf *data)
{
	/* The indirect table that is kept tells of the old one. */
	if (req->data.gpa != data->gpa)
		req->laid_nb = 0;
	req->data = *data;
}

/** Puts the request into the ring; fe_queue_kick() shows it. @return 0 or -ENOSPC. */
int fe_req_submit(struct fe_req *req);

/** Shows the device what was submitted. */
void fe_queue_kick(struct fe_queue *queue);

/** Takes one request back. @return 1, 0: none, -EPROTO: fault. */
int fe_queue_reap(struct fe_queue *queue, struct fe_req **out);

/**
 * Waits for at least one request to come back.
 * @return 1, -ETIMEDOUT, -ECONNRESET.
 */
int fe_queue_wait(struct fe_queue *queue);

/** Submits and waits. @return the answer's error, or as fe_queue_wait() and fe_queue_reap(). */
int fe_req_call(struct fe_req *req);

#endif /* FE_FUSE_H */
