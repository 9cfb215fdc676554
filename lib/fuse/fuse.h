/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FUSE_H
#define FUSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_mempool.h>

#include "weir_fsdev.h"
#include "weir_fuse.h"
#include "weir_log.h"
#include "weir_loop.h"
#include "weir_stats.h"
#include "weir_table.h"
#include "weir_trace.h"
#include "weir_worker.h"

#include "fuse_wire.h"

WEIR_LOG_USE(fuse);

/* Low bits of the phase; the bits above count the resets, so no phase of MOUNTED comes twice. */
enum fuse_state {
	FUSE_IDLE,
	FUSE_STARTING, /* one worker answers INIT */
	FUSE_MOUNTED,
	FUSE_RESETTING,
};
#define FUSE_STATE_MASK 3u
#define FUSE_EPOCH_ONE  (FUSE_STATE_MASK + 1)

/* What guests and file systems do wrong, and how often we had to ask a guest to wait. */
enum fuse_fault {
	FUSE_FAULT_SHORT, /* no whole header, or a length that is not the chain's */
	FUSE_FAULT_OPCODE, /* unknown */
	FUSE_FAULT_UNMOUNTED, /* before INIT, after DESTROY */
	FUSE_FAULT_ARGS, /* length or values of arguments */
	FUSE_FAULT_NAME, /* not terminated, empty, with '/', "." or ".." */
	FUSE_FAULT_EXT, /* extensions that are none */
	FUSE_FAULT_ROOM, /* no room for the answer */
	FUSE_FAULT_NODE, /* stale or forged nodeid */
	FUSE_FAULT_FILE, /* stale or forged fh */
	FUSE_FAULT_FORGET, /* more than was looked up */
	FUSE_FAULT_BACKEND, /* the file system answered what it must not */
	FUSE_FAULT_WAITERS, /* as many wait for locks as may: a lock could not be waited for */
	FUSE_FAULT_BACKOFF, /* a pool or table was empty: chain left in the ring */
	FUSE_NB_FAULTS,
};

struct fuse_op_stats {
	weir_counter count;
	weir_counter errors;
	weir_counter bytes; /* payload of READ, WRITE, READDIR, READLINK */
	struct weir_hist latency;
};

/* One writer, its worker, but the baseline, which control writes. */
struct fuse_stats {
	struct fuse_op_stats op[FUSE_NB_OPCODES];
	weir_counter fault[FUSE_NB_FAULTS];
} __rte_cache_aligned;

/* In the session's memory file, in front of the ledger: what another process would have to know. */
struct fuse_shared {
	_Atomic uint64_t flags;
	_Atomic uint32_t minor;
	_Atomic uint32_t max_readahead;
	_Atomic uint32_t max_pages;
};

/* Of one node index. While count is above 0 the ledger has a reference to the node called id. */
struct fuse_lookups {
	_Atomic uint64_t count;
	_Atomic uint64_t id;
};

enum fuse_file_state {
	FUSE_FILE_OPENING, /* the guest does not know it yet, the file system perhaps neither */
	FUSE_FILE_OPEN, /* the guest has a reference */
	FUSE_FILE_CLOSED, /* it had; the file system is told when the last user is done */
};

/* A record of the file table. */
struct fuse_file {
	_Atomic uint32_t state;
	_Atomic uint32_t waited; /* a request has waited for a lock, or may do so yet */
	uint32_t reserved[2];
	struct weir_file base; /* driver-private bytes follow */
};

/* Tells the file system of a file that a reset closes. */
struct fuse_closer {
	struct weir_fsreq io;
	struct weir_fuse_session *sess;
	struct fuse_file *file; /* NULL: idle */
};

#define FUSE_NB_CLOSERS 16
/* Nodes that a guest has forgotten and may come back to: ids, with a reference each; 0: none. */
#define FUSE_IDLE_BUCKETS 128
#define FUSE_IDLE_WAYS    7

struct fuse_idle {
	_Atomic uint64_t id[FUSE_IDLE_WAYS];
	_Atomic uint64_t next; /* which of them was there longest, modulo their number */
} __rte_cache_aligned;

struct weir_fuse_session {
	/* Set at create, read by all. */
	char name[WEIR_FSDEV_NAME_MAX];
	struct weir_fsdev *dev;
	struct weir_node *root;
	uint64_t root_id;
	uint32_t ring_size;
	uint32_t max_write;
	uint32_t max_io; /* bytes of a READ or READDIR */
	uint32_t max_nodes; /* entries of the ledger */
	bool dots; /* LOOKUP of "." and ".." works, also on what was forgotten */
	bool close_to_open; /* the guest asks for names of files each time */
	uint16_t refused; /* FUSE_OP_ flags: such operations are answered -EROFS */
	uint32_t open_mask; /* open flags that the file system is told of */
	uint32_t open_add; /* and those that it is told of beside */
	uint32_t file_cache, dir_cache; /* FUSE_FOPEN_ */
	uint64_t negative_ns; /* how long a guest may believe that a name is absent */
	struct weir_worker *home; /* where a reset closes files */
	struct fuse_idmaps *maps; /* NULL: ids are the same on both sides */
	struct weir_table *files;
	struct fuse_shared *shared;
	struct fuse_lookups *ledger;
	size_t map_size;
	int map_fd;
	uint64_t ns_per_cycle; /* of the TSC, times 2^32 */
	unsigned int nb_stats;
	struct fuse_stats *stats; /* one for each worker */
	struct fuse_stats *baseline; /* what reports leave out */

	/* Read by all workers, written at INIT and by control. */
	_Atomic uint32_t phase __rte_cache_aligned;

	/* Written by all workers. */
	_Atomic uint64_t nb_nodes __rte_cache_aligned;
	struct fuse_idle idle[FUSE_IDLE_BUCKETS];
	_Atomic uint32_t nb_waiters; /* requests that may wait for a lock */
	_Atomic uint32_t max_waiters;
	_Atomic(struct weir_fuse_req *) waiting; /* for the end of a reset */
	_Atomic bool reset_posted;
	_Atomic bool low_posted;
	struct weir_post reset_post;
	struct weir_post low_post;

	/* Control's. */
	bool resetting __rte_cache_aligned;
	off_t ledger_pos; /* bytes of the ledger that a reset has walked */
	struct weir_post walk_post;
	void (*done)(void *arg);
	void *done_arg;

	/* During a reset the worker's that is visited, then the home worker's. */
	struct weir_msg visit_msg __rte_cache_aligned;
	unsigned int nb_visited;
	struct weir_msg close_msg;
	uint32_t close_pos;
	uint32_t nb_closing;
	bool close_paused;
	struct weir_fsreq end_waits;
	struct fuse_closer closer[FUSE_NB_CLOSERS];
};

/*
 *          fuse_start_io              fuse_io_done              fuse_close_done
 *   NEW ------------------> IN_BACKEND ----------> ANSWERED ----> CLOSING ----> ENDED
 *    | '------ answered at once -----------------------^ '---- not the last user ----^
 *    '--> WAITING (INIT, DESTROY: for the end of a reset) ----> NEW
 *
 * The answer is in the guest's memory from ANSWERED on and given to it at ENDED. The last user of a
 * file that the guest has closed carries the file system's RELEASE, in CLOSING.
 */
enum fuse_req_state {
	FUSE_REQ_NEW,
	FUSE_REQ_WAITING,
	FUSE_REQ_IN_BACKEND,
	FUSE_REQ_ANSWERED,
	FUSE_REQ_CLOSING,
	FUSE_REQ_ENDED,
};

/* weir_fuse_req.flags */
#define FUSE_REQ_DETACHED (1u << 0) /* the guest is gone: in and out are not to be used */
#define FUSE_REQ_FENCED   (1u << 1) /* and it was told so */
#define FUSE_REQ_BORROWS  (1u << 2) /* io.node is kept by the file, not by a reference of its own */
#define FUSE_REQ_NEWFILE  (1u << 3) /* newfile has a reference of the request's */
#define FUSE_REQ_NOBODY   (1u << 15) /* its caller's ids are forbidden here */

/* The open flags that mean something for a file that is there; O_TMPFILE or O_PATH would do harm. */
#define FUSE_OPEN_FLAGS (O_ACCMODE | O_APPEND | O_DIRECT | O_NOATIME | O_SYNC | O_TRUNC)

/* fuse_op.flags */
#define FUSE_OP_NO_REPLY (1u << 0)
#define FUSE_OP_EARLY    (1u << 1) /* allowed while not mounted */
#define FUSE_OP_NO_NODE  (1u << 2) /* nodeid has no meaning, or the operation looks itself */
#define FUSE_OP_FILE     (1u << 3) /* the arguments begin with fh, which belongs to nodeid */
#define FUSE_OP_DIR      (1u << 4) /* nodeid, or what fh opened, is a directory */
#define FUSE_OP_PAYLOAD  (1u << 5) /* data behind the arguments stays in the chain */
#define FUSE_OP_COUNT    (1u << 6) /* the verb's result is a number of bytes */
#define FUSE_OP_DOTS     (1u << 7) /* the name may be "." or ".." */
#define FUSE_OP_TARGET   (1u << 8) /* the second name is a path */
#define FUSE_OP_ANY_NAME (1u << 9) /* the name is of no directory's entry: it may be any bytes */
#define FUSE_OP_MAKES    (1u << 10) /* a file: extensions may follow the names */
#define FUSE_OP_CHANGES  (1u << 11) /* what a file system that is read-only does not do */

/* One operation: what is checked before start() runs, and what follows the backend. */
struct fuse_op {
	const char *name;
	/*
	 * Begins. arg are the checked arguments; io.node, io.file and names are filled in.
	 * Returns 0: it is under way or done; -EAGAIN: a table is empty, nothing happened; another
	 * -errno: the answer.
	 */
	int (*start)(struct weir_fuse_req *req, const void *arg);
	/* The verb has succeeded: writes what follows the header, returns its bytes or -errno. */
	int (*reply)(struct weir_fuse_req *req, int res);
	/* The verb has succeeded, but the session it was for has ended: gives back what it made. */
	void (*undo)(struct weir_fuse_req *req);
	uint16_t arg_min, arg_max; /* bytes of the arguments without names */
	uint16_t nb_names;
	uint16_t reply_min; /* bytes that the guest must have room for behind the header */
	uint16_t flags;
};

/* dispatch.c */
extern const struct fuse_op fuse_ops[FUSE_NB_OPCODES];
extern struct rte_mempool *fuse_arg_pool;

static inline void
fuse_req_step(struct weir_fuse_req *req, enum fuse_req_state from, enum fuse_req_state to)
{
	RTE_ASSERT(req->state == from);
	req->state = to;
}

/* False when the session that the request belongs to has ended. On any worker. */
static inline bool
fuse_phase_is(const struct weir_fuse_req *req)
{
	return atomic_load_explicit(&req->sess->phase, memory_order_acquire) == req->phase;
}

/* False when it has, or when the guest is gone. */
static inline bool
fuse_req_is_live(const struct weir_fuse_req *req)
{
	return (req->flags & FUSE_REQ_DETACHED) == 0 && fuse_phase_is(req);
}

/* Whether the guest and we have agreed on an INIT flag. */
static inline bool
fuse_has(const struct weir_fuse_session *sess, uint64_t flag)
{
	return (atomic_load_explicit(&sess->shared->flags, memory_order_relaxed) & flag) != 0;
}

static inline bool
fuse_is_readonly(const struct weir_fuse_session *sess)
{
	return sess->refused != 0;
}

/* Counts a fault and returns error. */
int WEIR_ON_WORKER fuse_fail(struct weir_fuse_req *req, enum fuse_fault fault, int error);
/* Give req the node of nodeid, and the file or directory fh on it. -ESTALE, -ENOTDIR, -EBADF. */
int WEIR_ON_WORKER fuse_use_node(struct weir_fuse_req *req);
int WEIR_ON_WORKER fuse_use_file(struct weir_fuse_req *req, uint64_t fh, bool dir);
/* Goes on with a request that waited for a reset. */
void WEIR_ON_WORKER fuse_restart(struct weir_fuse_req *req);

/* idmap.c: no maps are needed where sess->maps is NULL */
/* *out is NULL where neither text has a rule. 0, -ENOMEM, -EINVAL. */
int WEIR_ON_CONTROL fuse_idmaps_create(const char *uid, const char *gid, struct fuse_idmaps **out);
void WEIR_ON_CONTROL fuse_idmaps_destroy(struct fuse_idmaps *maps);
/* A guest's id becomes the host's. False: it is forbidden, and stays. */
bool fuse_idmap_uid_in(const struct fuse_idmaps *maps, uint32_t *uid);
bool fuse_idmap_gid_in(const struct fuse_idmaps *maps, uint32_t *gid);
/* The host's become the guest's. */
void fuse_idmap_out(const struct fuse_idmaps *maps, uint32_t *uid, uint32_t *gid);

/* ext.c */
/* Bytes of extensions at most: a security context and a group. */
#define FUSE_EXT_MAX 4608u
/* Takes len bytes of extensions into req, which borrows them. 0; -EINVAL, counted. */
int WEIR_ON_WORKER fuse_take_ext(struct weir_fuse_req *req, const uint8_t *ext, size_t len);

/* op_name.c */
/* WEIR_FSREQ_SETGID, if what the guest says of a new file's mode is to be believed; else 0. */
uint32_t WEIR_ON_WORKER fuse_setgid_flag(const struct weir_fuse_req *req, uint32_t mode);

/* reply.c */
/* Submits req->io as a verb. Always returns 0. */
int WEIR_ON_WORKER fuse_start_io(struct weir_fuse_req *req, enum weir_fsop verb);
/* The same where something is to be done before fuse_io_done(), which done then calls. */
int WEIR_ON_WORKER fuse_start_io_for(struct weir_fuse_req *req, enum weir_fsop verb,
		void (*done)(struct weir_fsreq *io, int res));
void WEIR_ON_WORKER fuse_io_done(struct weir_fsreq *io, int res);
/* Ends a request: res is the bytes behind the header that are in place, or -errno. */
void WEIR_ON_WORKER fuse_finish(struct weir_fuse_req *req, int res);
/* Ends a request without any answer: 0 bytes used. */
void WEIR_ON_WORKER fuse_finish_silent(struct weir_fuse_req *req);
/* Writes what follows the header; returns n. */
int WEIR_ON_WORKER fuse_body(struct weir_fuse_req *req, const void *body, size_t n);
/* The cursor behind the header, limited to n bytes. Returns how many it holds. */
uint32_t WEIR_ON_WORKER fuse_body_room(
		const struct weir_fuse_req *req, uint32_t n, struct weir_iov *out);
/* Gives back the node references and the buffer of a request, which has no file. */
void WEIR_ON_WORKER fuse_req_drop(struct weir_fuse_req *req);

/* nodes.c */
int WEIR_ON_CONTROL fuse_ledger_create(struct weir_fuse_session *sess);
void WEIR_ON_CONTROL fuse_ledger_destroy(struct weir_fuse_session *sess);
/* The node of a nodeid that the guest knows, with a reference; NULL: none, counted. */
struct weir_node *WEIR_ON_WORKER fuse_node_get(struct weir_fuse_session *sess, uint64_t nodeid);
/* The same of one that it knows or has forgotten not long ago. */
struct weir_node *WEIR_ON_WORKER fuse_node_get_idle(
		struct weir_fuse_session *sess, uint64_t nodeid);
void fuse_node_put(struct weir_fuse_session *sess, struct weir_node *node);
/* The guest gets to know node: takes over one reference and returns the nodeid. */
uint64_t WEIR_ON_WORKER fuse_node_learn(struct weir_fuse_session *sess, struct weir_node *node);
void WEIR_ON_WORKER fuse_node_forget(
		struct weir_fuse_session *sess, uint64_t nodeid, uint64_t nlookup);
/* Drops a slice of the ledger from ledger_pos on. Returns false at its end. */
bool WEIR_ON_CONTROL fuse_ledger_drop_slice(struct weir_fuse_session *sess);
/* Drops what was forgotten. */
void WEIR_ON_CONTROL fuse_idle_drop(struct weir_fuse_session *sess);

/* files.c */
/* Gives req a new record, for io.node called id (0: not known yet). -EAGAIN, -ENFILE. */
int WEIR_ON_WORKER fuse_file_new(struct weir_fuse_req *req, uint64_t id, uint32_t flags);
/* Gives req the open file fh on its nodeid; -EBADF, counted. */
int WEIR_ON_WORKER fuse_file_get(struct weir_fuse_req *req, uint64_t fh);
/* Gives req the open regular file fh on nodeid as newfile, and its node as newnode; -EBADF, counted. */
int WEIR_ON_WORKER fuse_newfile_get(struct weir_fuse_req *req, uint64_t nodeid, uint64_t fh);
/* The file of req is open: the guest may use it from here on. */
void fuse_file_opened(struct weir_fuse_req *req);
/* The file is open, but nobody wants it: its last user tells the file system. */
void fuse_file_unwanted(struct fuse_file *file);
/* The node of a file that the caller has a reference to, good for as long as that one. */
struct weir_node *
fuse_file_node(const struct weir_fuse_session *sess, const struct fuse_file *file);
/* The guest's reference ends, the caller has one. False: the guest had none. */
bool fuse_file_close(struct weir_fuse_session *sess, struct fuse_file *file);
/* Drops a reference. True: it was the last of an open file: fuse_file_release(), then free. */
bool fuse_file_put(struct weir_fuse_session *sess, struct fuse_file *file);
/* Tells the file system with io, by way of chan, which ends in done. */
void WEIR_ON_WORKER fuse_file_release(struct weir_fuse_session *sess, struct fuse_file *file,
		struct weir_fsreq *io, struct weir_channel *chan,
		void (*done)(struct weir_fsreq *io, int res));
void fuse_file_free(struct weir_fuse_session *sess, struct fuse_file *file);

/* reset.c */
void WEIR_ON_CONTROL fuse_reset_init(struct weir_fuse_session *sess);
/* Makes an INIT or DESTROY wait until a reset has ended; it is started anew then. */
void WEIR_ON_WORKER fuse_reset_wait(struct weir_fuse_req *req);

/* op_*.c */
void fuse_fill_attr(const struct weir_fuse_session *sess, struct fuse_attr *out,
		const struct weir_attr *attr);
/* Fills in an entry, by which the guest gets to know its node. */
void WEIR_ON_WORKER fuse_fill_entry(struct weir_fuse_session *sess, struct fuse_entry_out *out,
		const struct weir_entry *entry);

int WEIR_ON_WORKER fuse_init(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_destroy(struct weir_fuse_req *req, const void *arg);

int WEIR_ON_WORKER fuse_lookup(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_symlink(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_mknod(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_mkdir(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_unlink(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_rmdir(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_rename(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_rename2(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_link(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_lookup_reply(struct weir_fuse_req *req, int res);
int WEIR_ON_WORKER fuse_entry_reply(struct weir_fuse_req *req, int res);
void WEIR_ON_WORKER fuse_entry_undo(struct weir_fuse_req *req);

int WEIR_ON_WORKER fuse_getattr(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_setattr(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_attr_reply(struct weir_fuse_req *req, int res);
int WEIR_ON_WORKER fuse_statx(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_statx_reply(struct weir_fuse_req *req, int res);
int WEIR_ON_WORKER fuse_readlink(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_access(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_statfs(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_statfs_reply(struct weir_fuse_req *req, int res);

int WEIR_ON_WORKER fuse_open(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_opendir(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_open_reply(struct weir_fuse_req *req, int res);
void WEIR_ON_WORKER fuse_open_undo(struct weir_fuse_req *req);
int WEIR_ON_WORKER fuse_create(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_tmpfile(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_create_reply(struct weir_fuse_req *req, int res);
void WEIR_ON_WORKER fuse_create_undo(struct weir_fuse_req *req);
int WEIR_ON_WORKER fuse_release(struct weir_fuse_req *req, const void *arg);

int WEIR_ON_WORKER fuse_read(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_write(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_write_reply(struct weir_fuse_req *req, int res);
int WEIR_ON_WORKER fuse_count_reply(struct weir_fuse_req *req, int res);
int WEIR_ON_WORKER fuse_flush(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_fsync(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_fsyncdir(struct weir_fuse_req *req, const void *arg);

int WEIR_ON_WORKER fuse_syncfs(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_poll(struct weir_fuse_req *req, const void *arg);

int WEIR_ON_WORKER fuse_fallocate(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_lseek(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_lseek_reply(struct weir_fuse_req *req, int res);
int WEIR_ON_WORKER fuse_copy_file_range(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_copy_file_range_64_reply(struct weir_fuse_req *req, int res);

int WEIR_ON_WORKER fuse_getxattr(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_listxattr(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_getxattr_reply(struct weir_fuse_req *req, int res);
int WEIR_ON_WORKER fuse_setxattr(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_removexattr(struct weir_fuse_req *req, const void *arg);

int WEIR_ON_WORKER fuse_ioctl(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_ioctl_reply(struct weir_fuse_req *req, int res);

int WEIR_ON_WORKER fuse_getlk(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_getlk_reply(struct weir_fuse_req *req, int res);
int WEIR_ON_WORKER fuse_setlk(struct weir_fuse_req *req, const void *arg);
/*
 * Ends waits for locks: that of a request, or where unique is 0 those through io.file. done() is told
 * -EAGAIN where there was none. Returns 0.
 */
int WEIR_ON_WORKER fuse_end_waits(struct weir_fuse_req *req, uint64_t unique,
		void (*done)(struct weir_fsreq *io, int res));
int WEIR_ON_WORKER fuse_setlkw(struct weir_fuse_req *req, const void *arg);

int WEIR_ON_WORKER fuse_readdir(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_readdirplus(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_readdir_reply(struct weir_fuse_req *req, int res);

int WEIR_ON_WORKER fuse_forget(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_batch_forget(struct weir_fuse_req *req, const void *arg);
int WEIR_ON_WORKER fuse_interrupt(struct weir_fuse_req *req, const void *arg);

/* stats.c */
int WEIR_ON_CONTROL fuse_stats_create(struct weir_fuse_session *sess);
void WEIR_ON_CONTROL fuse_stats_destroy(struct weir_fuse_session *sess);
void WEIR_ON_WORKER fuse_stats_fault(struct weir_fuse_session *sess, enum fuse_fault fault);
void WEIR_ON_WORKER fuse_stats_end(const struct weir_fuse_req *req);

#endif /* FUSE_H */
