/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_FUSE_H
#define WEIR_FUSE_H

/**
 * @file
 * FUSE over any transport: a session is one guest's connection; a request is handed in as two
 * cursors (what the guest wrote, where it wants the answer) and comes back through complete(),
 * exactly once, or is detached. One dispatch table checks length, opcode and state of everything
 * before an operation runs; one reply path checks everything before it reaches the guest.
 *
 * The wire header is our own (lib/fuse/fuse_wire.h), FUSE 7.27 to 7.39 and newer guests by
 * negotiation down.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir_fsdev.h"
#include "weir_iov.h"
#include "weir_role.h"
#include "weir_worker.h"

struct fuse_file;
struct fuse_op;
struct weir_fuse_session;

/** Bytes of a request's arguments that it holds itself; longer ones (SYMLINK) take a pool buffer. */
#define WEIR_FUSE_ARG_INLINE 640

struct weir_fuse_req {
	/* Filled by the caller before weir_fuse_submit(). */
	struct weir_iov in; /**< from struct fuse_in_header on */
	struct weir_iov out; /**< room for the answer */
	/** TSC when it was taken from its queue, perhaps with others: latencies count from here. */
	uint64_t start_tsc;
	struct weir_route *route; /**< where its verbs go; NULL: where its worker's all go */
	/**
	 * The answer, bytes long, is in out (0 bytes for requests that have none: FORGET). On the
	 * submitting worker, possibly before weir_fuse_submit() returns. The request is the caller's
	 * again. Not called for a detached request: there released() is.
	 */
	void (*complete)(struct weir_fuse_req *req, uint32_t bytes);
	/** A detached request has come to its end: its memory is the caller's again. */
	void (*released)(struct weir_fuse_req *req);

	/* The session's, until then. */
	struct weir_fuse_session *sess;
	struct weir_worker *worker;
	const struct fuse_op *op; /**< row of the dispatch table */
	struct fuse_file *file; /**< the open file it uses, with a reference */
	struct fuse_file *newfile; /**< COPY_FILE_RANGE: the other one */
	struct weir_fuse_req *next; /**< INIT and DESTROY: others that wait for a reset */
	struct weir_msg msg; /**< INIT and DESTROY: the end of the wait */
	void (*fenced)(struct weir_fuse_req *req);
	struct weir_fsreq io;
	uint64_t unique;
	uint64_t nodeid;
	uint64_t fh;
	uint32_t opcode;
	uint32_t phase; /**< of the session when it was taken */
	uint32_t out_len; /**< bytes the guest gave room for */
	uint32_t out_done;
	uint32_t payload; /**< bytes of data moved, for statistics */
	int32_t error;
	uint16_t state;
	uint16_t flags;
	bool full; /**< READDIR: an entry did not fit */
	void *arg; /**< arg_inline or a pool buffer */
	uint8_t arg_inline[WEIR_FUSE_ARG_INLINE] __rte_aligned(16);
};

/**
 * Creates the pool of long arguments that all sessions share, once at start.
 * @return 0 or -ENOMEM.
 */
int WEIR_ON_CONTROL weir_fuse_init(uint32_t nb_big_args);
void WEIR_ON_CONTROL weir_fuse_fini(void);

/** How many requests of all sessions may wait for locks at a time. Control, before any session. */
void WEIR_ON_CONTROL weir_fuse_waiters_set(uint32_t max);

struct weir_fuse_cfg {
	const char *name; /**< of the device, for logs; copied */
	uint32_t ring_size; /**< descriptors of the device's queues: limits max_pages */
	uint32_t max_open_files; /**< 0: a good default */
	const char *uid_map, *gid_map; /**< as weir_fuse_idmap_refused() takes them; NULL: none */
};

/**
 * Checks a map of ids between guest and host: rules with commas in between, in the forms that
 * virtiofsd's --translate-uid takes, at most 64 for each direction.
 *
 *   map:GUEST:HOST:COUNT           both ways, one by one
 *   guest:GUEST:HOST:COUNT         from the guest only
 *   host:HOST:GUEST:COUNT          to the guest only
 *   squash-guest:GUEST:HOST:COUNT  COUNT ids of the guest become the one id HOST
 *   squash-host:HOST:GUEST:COUNT   COUNT ids of the host are shown as the one id GUEST
 *   forbid-guest:GUEST:COUNT       who has one of them makes nothing and owns nothing: -EPERM
 *
 * What no rule names stays as it is.
 * @return NULL, or what is wrong with it, in a few words. Any thread.
 */
const char *weir_fuse_idmap_refused(const char *text);

/**
 * Creates a session for one device on a file system. The session uses dev until it is destroyed.
 * @return 0, -ENOMEM, -EINVAL: a map is refused, -EOPNOTSUPP: there is one, and the file system keeps
 *   ACLs, in which ids are not mapped.
 */
int WEIR_ON_CONTROL weir_fuse_session_create(const struct weir_fuse_cfg *cfg,
		struct weir_fsdev *dev, struct weir_fuse_session **out);

/** Frees a session that was reset and has no request left. NULL is allowed. */
void WEIR_ON_CONTROL weir_fuse_session_destroy(struct weir_fuse_session *sess);

/**
 * Forgets the guest: closes its open files, drops its nodes, back to the state before INIT. No
 * request of it may be submitted until done was called, on control, when all is released. Requests
 * that were detached may still be in the backend; what they hold is released when they end. One at
 * a time. A file system that does not answer RELEASE holds it up.
 */
void WEIR_ON_CONTROL weir_fuse_session_reset(
		struct weir_fuse_session *sess, void (*done)(void *arg), void *arg);

/** How many requests of a session may wait for locks at a time; more get ENOLCK. Any thread. */
void weir_fuse_session_waiters_set(struct weir_fuse_session *sess, uint32_t max);

/** True between INIT and DESTROY. Any thread. */
bool weir_fuse_session_is_mounted(const struct weir_fuse_session *sess);

/** Table upkeep; control calls it every few milliseconds, and when a worker asks for it. */
void WEIR_ON_CONTROL weir_fuse_session_maintain(struct weir_fuse_session *sess);

/**
 * Takes a request.
 *
 * @return 0: taken, it will complete once (or has already). -EAGAIN: a pool is empty, nothing
 *   happened: leave the chain in the ring and come again.
 */
int WEIR_ON_WORKER weir_fuse_submit(struct weir_fuse_session *sess, struct weir_fuse_req *req);

/**
 * Detaches a request whose guest is gone. fenced is called when its cursors are touched no more, at
 * once or within the time of local work; released, see above, when the backend is done with the
 * request, which for a server that does not answer may be never.
 */
void WEIR_ON_WORKER weir_fuse_detach(
		struct weir_fuse_req *req, void (*fenced)(struct weir_fuse_req *req));

/**
 * Asks that a request be answered soon that may wait for a lock: EAGAIN, unless it is granted. For one
 * that the calling worker has submitted, and that has not completed.
 */
void WEIR_ON_WORKER weir_fuse_interrupt(struct weir_fuse_req *req);

/**
 * Statistics of a session: {"mounted", "minor", "nodes", "files", "bytes_read", "bytes_written",
 * "ops": {opcode name: {"count", "errors", "bytes", "latency_us": {...}}},
 * "faults": {what a guest or a file system did wrong: how often}}; only opcodes and faults seen.
 * Any thread. New reference.
 */
json_t *weir_fuse_session_stats(const struct weir_fuse_session *sess);

/** Sets the counters of all opcodes to zero as far as later reports go. Control. */
void WEIR_ON_CONTROL weir_fuse_session_stats_reset(struct weir_fuse_session *sess);

/** What was negotiated: {"major","minor","flags":[...],"max_write",...}; null before INIT. */
json_t *weir_fuse_session_negotiated(const struct weir_fuse_session *sess);

#endif /* WEIR_FUSE_H */
