/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef NFS_H
#define NFS_H

/**
 * @file
 * What the files of the nfs driver share. A verb is a chain of steps, each of them one remote call;
 * what a step does next stands in its result function. Reading and writing run several calls of one
 * step at a time. Calls are objects of a channel's pool, not of the request, so that a request whose
 * guest is gone can end at once while the answers to its calls are still awaited.
 */

#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "weir_fsdev_driver.h"
#include "weir_helper.h"
#include "weir_stats.h"
#include "weir_sunrpc.h"

#include "nfs3_xdr.h"

#define NFS_MAX_CALLS      1024 /**< of a channel, in progress or delayed */
#define NFS_NB_TASKS       16 /**< background tasks of a channel at a time */
#define NFS_NB_ERRORS      29 /**< statuses that are counted, and one for all others */
#define NFS_MAX_IO         (1u << 20) /**< bytes of a READ or WRITE call at most */
#define NFS_EXPORT_MAX     1024 /**< bytes of an export's path, MNTPATHLEN */
#define NFS_MESSAGE_MAX    256
#define NFS_SILLY_NAME_MAX 32
#define NFS_NO_GROUP       UINT32_MAX

enum nfs_squash {
	NFS_SQUASH_NONE,
	NFS_SQUASH_ROOT,
	NFS_SQUASH_ALL,
};

enum nfs_on_down {
	NFS_DOWN_FAIL,
	NFS_DOWN_RETRY,
};

struct nfs_params {
	char server[256];
	char exportname[NFS_EXPORT_MAX];
	uint32_t transport, version;
	uint32_t port, mount_port;
	uint32_t nconnect;
	uint32_t rsize, wsize;
	uint32_t max_write, max_readahead;
	uint32_t write_mode; /**< enum nfs3_stable */
	uint32_t timeo_ms, retrans;
	uint32_t squash, anonuid, anongid;
	uint32_t on_down;
	bool hard;
	bool reserved_port;
	bool enable_xattr;
	bool enable_notifications;
};

/** Mounting an export, or giving it up: a job that blocks, and what comes out of it. */
struct nfs_mount {
	char server[256];
	char exportname[NFS_EXPORT_MAX];
	uint16_t port, mount_port; /**< 0: ask the portmapper */

	int rc; /**< 0 or -errno, with message */
	bool down; /**< nobody answered, so that another try may help */
	char message[NFS_MESSAGE_MAX];

	int nic_node; /**< of the last address that was tried, or WEIR_FSDEV_NO_NODE */

	/* rc 0. */
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct nfs3_fh root;
	uint64_t root_fsid, root_fileid;
	uint32_t rtmax, wtmax, dtpref, name_max;
	uint64_t maxfilesize;
};

struct nfs_fs {
	/* Set by create, read by all. */
	const struct nfs_params *params;
	uint64_t attr_valid_ns, entry_valid_ns;
	uint64_t key[2]; /**< of the hash that makes node keys */
	void *memory; /**< of all channels */
	size_t memory_bytes;

	/* Set before mounted, then read by all. */
	_Atomic bool mounted;
	uint32_t rsize, wsize, dir_bytes, name_max;
	uint64_t maxfilesize;
	uint64_t root_fsid;
	struct weir_sunrpc_client *clients[WEIR_MAX_WORKERS]; /**< of backend workers */

	/* Every worker's. */
	_Atomic uint32_t nb_open __rte_cache_aligned; /**< open files */
	_Atomic uint32_t next_silly;
	_Atomic bool no_readdirplus; /**< the server does not have it */
	_Atomic uint64_t next_verifier;

	/* Control's; mount is the helper's while a job is under way. */
	struct weir_fsdev *dev __rte_cache_aligned; /**< NULL: its owner is not there any more */
	struct nfs_mount *mount;
	struct weir_helpers *helpers;
	struct weir_job job;
	struct weir_timer timer;
	uint32_t retry_ms;
	bool busy; /**< the job will come back */
	bool created; /**< its creator has an answer */
	TAILQ_ENTRY(nfs_fs) next; /**< of those that telemetry may see, under their lock */
};

/** nfs_node.silly: has the last name of an open file been taken away? */
enum nfs_silly {
	NFS_SILLY_NONE,
	NFS_SILLY_PENDING, /**< somebody is about to; the other members are his */
	NFS_SILLY_DONE, /**< it has a name of ours, to be removed when nobody has it open */
};

/** nfs_node.todo */
#define NFS_TODO_COMMIT (1u << 0)
#define NFS_TODO_REMOVE (1u << 1)
#define NFS_TODO_QUEUED (1u << 2) /**< in the list of a channel, through todo_next */
#define NFS_TODO_ONE    (1u << 8) /**< from here on a count of tasks at work on it */

/** Private bytes of a node. No pointers, as behoves the record of a table. */
struct nfs_node {
	struct nfs3_fh fh; /**< what it is; never changes */
	_Atomic uint8_t silly; /**< enum nfs_silly */
	_Atomic bool setgid; /**< its set-group-id bit, and */
	_Atomic uint32_t gid; /**< group, as guests were told last; NFS_NO_GROUP: not yet */
	uint64_t fileid;
	uint64_t fsid;
	_Atomic uint32_t nb_open; /**< files of all guests */

	/* Written when todo or silly allow. */
	_Atomic uint32_t todo;
	uint64_t todo_next; /**< handle of a node */
	uint64_t silly_dir; /**< handle of the directory, with a reference */
	uint32_t silly_seq;
	uint32_t silly_uid, silly_gid; /**< who took the name away */

	/* What the server may still lose, see write.c. */
	_Atomic uint32_t lost;
	_Atomic uint64_t unstable;
	_Atomic uint64_t writer; /**< uid << 32 | gid for a COMMIT that nobody waits for */
};

/** Private bytes of an open file or directory. */
struct nfs_file {
	uint32_t uid, gid; /**< who opened it, squashed */
	_Atomic uint32_t lost; /**< nfs_node.lost as its owner knows it */
	_Atomic bool grouped; /**< whoever opened it may because of a group: see cred.c */
	_Atomic uint64_t cookie_verifier;
};

struct nfs_call;
struct nfs_chan;

/** What one remote call asks and what is done with its answer. */
struct nfs_step {
	enum nfs3_proc proc;
	void (*args)(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc);
	/**
	 * rc: 0, or -errno of the status or of the call. dec: the results behind the status, for rc 0
	 * alone. Returns as a verb does; -EBADMSG becomes -EIO.
	 */
	int (*result)(struct weir_fsreq *req, struct nfs_call *call, int rc,
			struct weir_xdr_dec *dec);
	bool found; /**< about an object that a name led to, of which the guest did not know */
};

/** A remote call, of the channel's pool. */
struct nfs_call {
	struct weir_sunrpc_call rpc;
	struct nfs_chan *chan;
	const struct nfs_step *step;
	struct weir_fsreq *req; /**< NULL: nobody waits for it any more */
	struct weir_fsreq *fencing; /**< that waits for its fence */
	TAILQ_ENTRY(nfs_call) link; /**< in the request's calls */
	TAILQ_ENTRY(nfs_call) list; /**< free, or delayed */
	uint64_t off; /**< READ, WRITE */
	uint32_t len;
	uint32_t status; /**< that it ended with */
	uint32_t delay_ms, delayed_ms;
	uint64_t due_tsc;
	bool delayed; /**< in the channel's list */
	bool kept; /**< sent anew by its result function */
	bool resent; /**< sent more than once, so the server may have carried it out before */
	bool grouped; /**< sent with the groups that may help, so that asking again is of no use */
};
TAILQ_HEAD(nfs_calls, nfs_call);

/** What was found out about a name: an object, and what is still to be done with it. */
struct nfs_found {
	struct nfs3_obj obj;
	uint64_t verifier; /**< of an EXCLUSIVE create */
	bool exclusive; /**< the object is ours and wants its attributes */
	bool made; /**< ours, from a call that was sent twice, if it is as it was asked for */
	bool truncate; /**< somebody else's, and to be emptied */
	bool check; /**< somebody else's: may the caller open it? */
};

TAILQ_HEAD(nfs_ctxs, nfs_ctx);

/** A request's context. */
struct nfs_ctx {
	struct nfs_calls calls;
	struct nfs_ctxs *list; /**< of the channel, in which it waits; NULL: none */
	TAILQ_ENTRY(nfs_ctx) wait;
	const struct nfs_step *step; /**< for nfs_call() to begin when it can */
	weir_fsop_fn resume; /**< what to do when it can go on */
	void (*fenced)(struct weir_fsreq *req);
	uint32_t nb_fences;
	bool task; /**< nobody's request: a background task */
	bool opening; /**< its node counts as open until it fails */
	bool grouped; /**< the server denies it to those who are not in the group, see cred.c */
	struct weir_node *target; /**< open file whose name is taken away, with a reference */
	union {
		struct nfs_found found;
		struct {
			uint64_t next; /**< from here on no call was made yet */
			uint64_t stop; /**< here it ends: what was asked for, end of file, error */
			int error; /**< that ended it */
		} io;
		struct {
			uint64_t cookie; /**< to go on from */
			uint64_t wanted; /**< seek: entries up to this cookie are known */
			uint32_t scale; /**< times the usual reply size */
			uint32_t rounds;
			bool seek, reverified, emitted;
		} dir;
		uint64_t unstable; /**< COMMIT: nfs_node.unstable when it was sent */
		uint64_t deadline_tsc; /**< RELEASE: until when it waits for its node's tasks */
	};
};
static_assert(sizeof(struct nfs_ctx) <= WEIR_FSREQ_CTX_SIZE, "a request's context is too large");

/** A task that no guest waits for. */
struct nfs_task {
	struct weir_fsreq req;
	uint32_t todo;
	SLIST_ENTRY(nfs_task) next;
};

/** Private bytes of a channel; its worker's but for the counters. */
struct nfs_chan {
	struct nfs_fs *fs;
	struct weir_channel *chan;
	struct weir_sunrpc_client *client; /**< NULL: not mounted yet, or stopped */
	struct weir_poller poller;
	uint64_t tsc_per_ms;
	struct nfs_calls free, delayed;
	struct nfs_ctxs waiting; /**< for a call, or for the export to be mounted */
	SLIST_HEAD(, nfs_task) tasks; /**< idle ones */
	uint64_t todo_head, todo_tail; /**< nodes with something to do, by handle */
	struct nfs_ctxs closing; /**< RELEASEs that wait for tasks, by deadline */
	bool silent; /**< since the last one waited for nothing the server has not answered */
	bool stopped;

	/* Read by anybody. */
	weir_counter errors[NFS_NB_ERRORS];
	weir_counter lost; /**< files whose uncommitted writes a server lost */
};

static inline struct nfs_chan *
nfs_chan_of(const struct weir_fsreq *req)
{
	return weir_channel_priv(req->chan);
}

static inline struct nfs_fs *
nfs_fs_of(const struct weir_fsdev *dev)
{
	return *(struct nfs_fs **)weir_fsdev_priv(dev);
}

static inline struct nfs_ctx *
nfs_ctx_of(struct weir_fsreq *req)
{
	return weir_fsreq_ctx(req);
}

static inline void
nfs_list_add(struct nfs_ctx *ctx, struct nfs_ctxs *list)
{
	ctx->list = list;
	TAILQ_INSERT_TAIL(list, ctx, wait);
}

static inline void
nfs_list_del(struct nfs_ctx *ctx)
{
	if (ctx->list != NULL)
		TAILQ_REMOVE(ctx->list, ctx, wait);
	ctx->list = NULL;
}

static inline struct nfs_node *
nfs_node_of(const struct weir_node *node)
{
	return weir_node_priv(node);
}

static inline struct nfs_file *
nfs_file_of(const struct weir_file *file)
{
	return weir_file_priv(file);
}

/* call.c: steps, and requests that wait, are delayed or are detached */

/** Prepares the context at the start of a verb. */
struct nfs_ctx *WEIR_ON_WORKER nfs_begin(struct weir_fsreq *req);
/** Does a step, now or when there is a call for it. @return -EINPROGRESS, or -errno. */
int WEIR_ON_WORKER nfs_call(struct weir_fsreq *req, const struct nfs_step *step);
/** A call for a step of req, to be sent; NULL: none is free. */
struct nfs_call *WEIR_ON_WORKER nfs_call_get(struct weir_fsreq *req, const struct nfs_step *step);
void WEIR_ON_WORKER nfs_call_send(struct nfs_call *call);
/** From a result function: sends the same call with other arguments. */
void WEIR_ON_WORKER nfs_call_again(struct nfs_call *call);
/** Waits for a call to be free, and calls resume then. @return -EINPROGRESS, or -errno. */
int WEIR_ON_WORKER nfs_wait(struct weir_fsreq *req, weir_fsop_fn resume);
/** Ends the request unless res is -EINPROGRESS. */
void WEIR_ON_WORKER nfs_end(struct weir_fsreq *req, int res);
void WEIR_ON_WORKER nfs_detach(struct weir_channel *chan, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req));
/** Does what has become due. @return things done. */
int WEIR_ON_WORKER nfs_chan_poll(struct nfs_chan *chan);
/** Before the worker sleeps: sets when to wake. @return whether there is something to do. */
bool WEIR_ON_WORKER nfs_chan_arm(struct nfs_chan *chan);
/** Ends what is delayed or waits: the channel stops. */
void WEIR_ON_WORKER nfs_chan_cancel(struct nfs_chan *chan);
/**
 * From a result function: sends a call that was denied once more, as nfs_cred_again() has it.
 * @return false: that is of no use.
 */
bool WEIR_ON_WORKER nfs_call_grouped(struct nfs_call *call);

/* cred.c */
/** Who the server shall think it is. */
void nfs_cred_squash(const struct nfs_params *params, const struct weir_cred *cred, uint32_t *uid,
		uint32_t *gid);
/** The credential of a call that is about to be sent. */
void WEIR_ON_WORKER nfs_cred(struct nfs_call *call, struct weir_sunrpc_cred *cred);
/**
 * A call was denied: from now on it, and what follows in its request or with its file, has the
 * groups of what it is about. @return false: it had, or may not have them.
 */
bool WEIR_ON_WORKER nfs_cred_again(struct nfs_call *call);
/** After nfs_begin(), of what makes a file: the calls have the directory's group if the mode takes it. */
void WEIR_ON_WORKER nfs_cred_make(struct weir_fsreq *req);

/* error.c */
int nfs_errno(uint32_t status);
unsigned int nfs_error_index(uint32_t status);
const char *nfs_error_name(unsigned int index);

/* node.c */
/**
 * The node of a handle, with a reference, also where it is the root. -EAGAIN: as weir_node_make();
 * -ESTALE: the server says that it is another kind of file than before.
 */
int WEIR_ON_WORKER nfs_node_get(struct nfs_chan *chan, const struct nfs3_fh *fh,
		const struct nfs3_attr *attr, struct weir_node **out);
/** Drops a reference that nfs_node_get() gave. */
void WEIR_ON_WORKER nfs_node_put(struct nfs_chan *chan, struct weir_node *node);
void WEIR_ON_CONTROL nfs_node_fini(struct weir_fsdev *dev, struct weir_node *node);
uint32_t nfs_mode_type(const struct nfs3_attr *attr);
/** Inode number as guests see it. */
uint64_t nfs_ino(const struct nfs_fs *fs, uint64_t fsid, uint64_t fileid);
/** Attributes as guests see them; node may be NULL. */
void nfs_attr(const struct nfs_fs *fs, const struct weir_node *node, const struct nfs3_attr *in,
		struct weir_attr *out);
/** Puts a node that was found into the request's entry. */
void nfs_entry(struct nfs_fs *fs, struct weir_node *node, const struct nfs3_attr *attr,
		struct weir_entry *entry);

/* attr.c */
int WEIR_ON_WORKER nfs_op_getattr(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_setattr(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_readlink(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_statfs(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_access(struct weir_channel *chan, struct weir_fsreq *req);
/** ACCESS bits that R_OK, W_OK and X_OK of a kind of file want. */
uint32_t nfs_access_bits(uint32_t type, uint32_t mask);
void nfs_sattr_server_times(struct nfs3_sattr *sattr);

/* name.c */
int nfs_name_check(const struct weir_channel *chan, const char *name);
int WEIR_ON_WORKER nfs_op_lookup(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_rmdir(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_link(struct weir_channel *chan, struct weir_fsreq *req);
/** The plain calls, when it is clear that no open file is in the way. */
int WEIR_ON_WORKER nfs_unlink_plain(struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_rename_plain(struct weir_fsreq *req);
/** Goes on from what was found, to the request's entry. */
int WEIR_ON_WORKER nfs_found_go(struct weir_fsreq *req);

/* make.c */
/** Goes on if what was found can be what was to be made; -EEXIST if not. */
int WEIR_ON_WORKER nfs_made_check(struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_mkdir(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_mknod(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_symlink(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_create(struct weir_channel *chan, struct weir_fsreq *req);

/* silly.c */
int WEIR_ON_WORKER nfs_op_unlink(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_rename(struct weir_channel *chan, struct weir_fsreq *req);
/** Says that the request's target has, or has not, got a name of ours, and lets go of it. */
void WEIR_ON_WORKER nfs_silly_settle(struct weir_fsreq *req, enum nfs_silly silly);
/** Removes the name; for a task. */
int WEIR_ON_WORKER nfs_silly_remove(struct weir_fsreq *req);

/* file.c */
int WEIR_ON_WORKER nfs_op_open(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_release(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_opendir(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_releasedir(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_fsyncdir(struct weir_channel *chan, struct weir_fsreq *req);
/** Fills in req->file for a node that is now open. */
void WEIR_ON_WORKER nfs_file_opened(struct weir_fsreq *req, struct weir_node *node);
/** An OPEN has failed: its node counts as open no longer. */
void WEIR_ON_WORKER nfs_open_failed(struct weir_fsreq *req);

/* task.c */
/** Has a task do what is in todo (NFS_TODO_) to the node, as soon as it can. */
void WEIR_ON_WORKER nfs_todo(struct nfs_chan *chan, struct weir_node *node, uint32_t todo);
/** Has a RELEASE wait, but not long, until nothing is to be done to its node. @return as a verb. */
int WEIR_ON_WORKER nfs_todo_wait(struct weir_fsreq *req);
/** Ends those that have waited long enough. @return how many. */
int WEIR_ON_WORKER nfs_todo_poll(struct nfs_chan *chan);
/** Starts tasks while there are nodes and idle tasks. @return how many. */
int WEIR_ON_WORKER nfs_tasks_start(struct nfs_chan *chan);
void WEIR_ON_WORKER nfs_task_end(struct weir_fsreq *req, int res);
/** Forgets what is to be done: the channel stops. */
void WEIR_ON_WORKER nfs_todo_drop(struct nfs_chan *chan);

/* io.c */
int WEIR_ON_WORKER nfs_op_read(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_write(struct weir_channel *chan, struct weir_fsreq *req);

/* write.c: what a server may lose */
void WEIR_ON_WORKER nfs_written(struct nfs_chan *chan, struct nfs_node *node, uint64_t verifier);
bool nfs_is_unstable(const struct nfs_node *node);
int WEIR_ON_WORKER nfs_op_fsync(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER nfs_op_flush(struct weir_channel *chan, struct weir_fsreq *req);
/** Asks for a COMMIT of req->node. */
int WEIR_ON_WORKER nfs_commit(struct weir_fsreq *req);

/* dir.c */
int WEIR_ON_WORKER nfs_op_readdir(struct weir_channel *chan, struct weir_fsreq *req);

/* mount.c */
void WEIR_ON_HELPER nfs_mount_run(struct nfs_mount *mount);
void WEIR_ON_HELPER nfs_umount_run(struct nfs_mount *mount);

/* nic.c */
/** Node of the interface that leads to a server, or WEIR_FSDEV_NO_NODE. */
int WEIR_ON_HELPER nfs_nic_node(const struct sockaddr *server, socklen_t len);

/* fs.c: life */
void WEIR_ON_CONTROL nfs_fs_create(struct weir_fsdev *dev, const void *params);
void WEIR_ON_CONTROL nfs_fs_cancel(struct weir_fsdev *dev);
void WEIR_ON_CONTROL nfs_fs_destroy(struct weir_fsdev *dev);
int WEIR_ON_WORKER nfs_chan_start(struct weir_channel *chan);
void WEIR_ON_WORKER nfs_chan_stop(struct weir_channel *chan);

/* stats.c */
json_t *WEIR_ON_CONTROL nfs_info(const struct weir_fsdev *dev);
void WEIR_ON_CONTROL nfs_stats_add(struct nfs_fs *fs);
void WEIR_ON_CONTROL nfs_stats_del(struct nfs_fs *fs);

#endif /* NFS_H */
