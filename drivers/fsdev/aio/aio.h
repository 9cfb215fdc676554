/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef AIO_H
#define AIO_H

/**
 * @file
 * What the files of the aio driver share. A verb runs in up to three places: inline on the worker
 * where cached state answers, on a helper thread (run), and back on the worker (finish).
 */

#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "weir_fsdev_driver.h"
#include "weir_helper.h"
#include "weir_lock.h"

#define AIO_HANDLE_MAX   40 /**< bytes of a file handle that a node keeps */
#define AIO_NB_VECS      64 /**< large iovec tables of a channel */
#define AIO_VEC_SEGS     264 /**< entries of one: 1 MiB in 4 KiB pages, and ragged ends */
#define AIO_SMALL_SEGS   8 /**< entries in the request itself */
#define AIO_DIR_BYTES    (64 * 1024) /**< directory entries as the kernel gives them, in a buffer */
#define AIO_BUF_MIN      (192 * 1024) /**< behind them, what READDIRPLUS found */
#define AIO_RING_ENTRIES 256 /**< io_uring requests under way on a channel */
#define AIO_DIR_LOCKS    64
#define AIO_MAX_HELPERS  64
#define AIO_XATTRMAP_MAX 4096 /**< bytes of the text of an xattrmap */
#define AIO_XATTR_RULES  64
#define AIO_QUICK_BLOCKS 2048 /**< of 512 bytes: what memory frees in no time */

enum aio_uring {
	AIO_URING_AUTO,
	AIO_URING_OFF,
};

enum aio_handles {
	AIO_HANDLES_AUTO,
	AIO_HANDLES_NEVER,
};

enum aio_acl {
	AIO_ACL_AUTO,
	AIO_ACL_OFF,
	AIO_ACL_ON,
};

struct aio_params {
	char root_path[PATH_MAX];
	uint32_t max_write;
	uint32_t max_readahead;
	uint32_t nb_helpers;
	uint32_t max_fds;
	uint32_t uring;
	uint32_t inode_file_handles;
	bool skip_rw;
	uint32_t max_locks;
	uint32_t lock_wait_ms;
	bool locks;
	bool enable_xattr;
	bool security_label;
	char xattrmap[AIO_XATTRMAP_MAX];
	uint32_t posix_acl;
	bool enable_notifications;
	bool announce_submounts;
};

/** A slot of the descriptor table. Named by handle: generation << 32 | index. */
struct aio_fd {
	_Atomic uint64_t state; /**< generation << 32 | references */
	_Atomic int fd;
	_Atomic uint32_t next; /**< index + 1 in the free list or in the list of those to close */
	_Atomic bool in_memory; /**< of a file system that is nothing but memory */
};

/**
 * Descriptors as slots. Any thread. Taking, getting and putting never blocks: what may take long to
 * close is closed by a helper.
 */
struct aio_fdtable {
	struct aio_fd *slots;
	uint32_t max;
	_Atomic uint32_t top; /**< slots from here on were never used */
	_Atomic uint32_t used;
	_Atomic uint64_t free; /**< tag << 32 | index + 1 */
	_Atomic uint32_t closing; /**< index + 1 */
	_Atomic bool reaping; /**< the job is queued or runs */
	_Atomic uint32_t busy; /**< who may still touch the table on behalf of the job */
	struct weir_helpers *helpers;
	struct weir_job reaper;
};

/**
 * Whether something is mounted in the mount that the folder is in: calls by name could walk into
 * it, and wait for it. Control's, but for free_way.
 */
struct aio_mounts {
	_Atomic bool free_way; /**< nothing is; a mount of this moment may not be seen yet */
	struct weir_fd watch; /**< mountinfo, which tells of changes */
	struct weir_job job;
	uint64_t root_mount;
	_Atomic uint32_t *busy; /**< counts who uses this on behalf of the job */
	struct weir_helpers *helpers;
	bool scanning; /**< the job is queued or runs */
	bool again; /**< there was a change since */
	bool found; /**< the job's */
};

struct aio_fs {
	/* Set once by create, read by all. */
	struct weir_helpers *helpers;
	int root_fd; /**< O_PATH */
	int mount_fd; /**< open for open_by_handle_at(); -1: nodes are held by descriptors */
	uint64_t root_dev;
	uint64_t root_ino;
	uint64_t root_mount; /**< mount id */
	bool local; /**< of a type whose cached state answers at once */
	bool in_memory; /**< and has no other state: no device is behind it */
	bool by_number; /**< inode numbers hardly ever return: they are the keys of nodes */
	bool uring; /**< io_uring may be used */
	bool skip_rw;
	bool submounts; /**< the guest is told of them */
	bool xattr;
	struct aio_xattrmap *xattrmap; /**< NULL: names are the same on both sides */
	bool posix_acl; /**< the folder has ACLs, and the guest may know */
	bool labels; /**< new files have the labels that guests send with them */
	uint32_t handles; /**< enum aio_handles */
	uint32_t acl; /**< enum aio_acl */
	uint64_t attr_valid_ns, entry_valid_ns;
	void *memory; /**< bounce buffers and iovec tables of all channels */
	size_t memory_bytes;
	size_t buf_bytes; /**< of one bounce buffer */
	uint32_t nb_bufs; /**< bounce buffers of a channel */
	uint32_t cache_mask;

	struct weir_locks *locks;
	struct aio_fdtable fds;
	struct aio_mounts mounts; /**< in memory only */
	_Atomic bool numbers_return; /**< one did: new nodes have their handle in the key */
	_Atomic uint64_t *cache; /**< handles of path descriptors that nodes may lose */
	_Atomic bool no_nowait_read; /**< the file system refuses it: not asked again */
	_Atomic bool no_nowait_write;
	_Atomic uint32_t nb_rings; /**< channels that have one */
	_Atomic uint32_t unlinking; /**< workers that have looked at a name to unlink it */
	_Atomic uint32_t moving; /**< helpers that give names to files; they wait for those */
	pthread_mutex_t dir_lock[AIO_DIR_LOCKS]; /**< helpers: position of an open directory */

	/* Create and destroy: control's, and the helper's while job is under way. */
	struct weir_fsdev *dev; /**< NULL when its creator was told that there is no answer */
	struct weir_job job;
	struct weir_timer timer;
	char *root_path;
	const char *refused; /**< why the folder is not served, behind its name */
	int rc;
};

/** struct file_handle with room for bytes. */
union aio_handle {
	struct file_handle fh;
	uint8_t bytes[sizeof(struct file_handle) + AIO_HANDLE_MAX];
};

/** Private bytes of a node. */
struct aio_node {
	_Atomic uint64_t slot; /**< path descriptor; for ever where there is no handle */
	uint64_t dev;
	int32_t handle_type;
	uint8_t handle_bytes; /**< 0: none */
	bool local;
	uint8_t handle[AIO_HANDLE_MAX];
};

/** Private bytes of an open file or directory. */
struct aio_file {
	uint64_t slot;
	uint32_t mem_align; /**< of memory for direct I/O */
	uint32_t off_align; /**< of offsets and lengths; 0: the descriptor is buffered */
};

/** What a name was found to be. */
struct aio_found {
	uint64_t key[2]; /**< by number or with the handle, as the file system wants it */
	uint64_t slot; /**< path descriptor, one reference; 0: none (has a handle then) */
	uint32_t type;
	struct aio_node node;
};

/** A descriptor that is borrowed for a call. slot 0: it is the borrower's own. */
struct aio_ref {
	int fd;
	uint64_t slot;
};

/** Fixed-size pieces of memory of one channel, and who waits for one. */
TAILQ_HEAD(aio_waiters, aio_ctx);
struct aio_pool {
	void **free;
	uint32_t nb_free;
	struct aio_waiters waiters;
};

/** Where the guest memory of a request is in use. */
enum aio_state {
	AIO_IDLE, /**< nowhere */
	AIO_WAITING, /**< nowhere: in the waiters of a pool */
	AIO_QUEUED, /**< nowhere yet: a helper will take it */
	AIO_RUNNING, /**< a helper uses it */
	AIO_CANCELLED, /**< nowhere: the helper will leave it alone */
	AIO_KERNEL, /**< io_uring uses it */
};

struct aio_ctx;
typedef int (*aio_run_fn)(struct aio_fs *fs, struct weir_fsreq *req);

/** A request's context. */
struct aio_ctx {
	struct weir_job job;
	aio_run_fn run; /**< on a helper */
	weir_fsop_fn finish; /**< on the worker, with res set; NULL: res is the answer */
	int res;
	_Atomic int state; /**< enum aio_state: worker, and the helper that runs it */
	void (*fenced)(struct weir_fsreq *req);
	weir_fsop_fn resume; /**< with a piece, or when the request was detached */
	struct aio_pool *pool;
	TAILQ_ENTRY(aio_ctx) link;
	void *piece; /**< a bounce buffer or an iovec table */
	bool guest_memory; /**< in use while RUNNING or KERNEL */
	union {
		struct aio_found found;
		struct {
			struct iovec small[AIO_SMALL_SEGS];
			struct iovec *vec;
			uint64_t slot; /**< descriptor in use, one reference */
			int fd;
			uint32_t nb;
			size_t bytes; /**< under vec, or in the bounce buffer */
			uint32_t total; /**< done so far */
			bool buffered; /**< a direct file is to be read or written as others are */
		} io;
	};
};
static_assert(sizeof(struct aio_ctx) <= WEIR_FSREQ_CTX_SIZE, "a request's context is too large");

/** Private bytes of a channel; its worker's. */
struct aio_chan {
	struct aio_fs *fs;
	struct aio_pool bufs;
	struct aio_pool vecs;
	void *vec_free[AIO_NB_VECS];
	void *buf_free[AIO_MAX_HELPERS];
	struct weir_poller poller;
	struct io_uring ring;
	bool has_ring;
	uint32_t inflight;
	int event_fd;
	int personality; /* of io_uring: like ours, without CAP_FSETID; or -errno */
	bool keeps; /* a WRITE that takes no set-id bits is to be submitted */
};

static inline struct aio_fs *
aio_fs_of(const struct weir_channel *chan)
{
	return *(struct aio_fs **)weir_fsdev_priv(weir_channel_fsdev(chan));
}

/** Whether a call by name cannot leave the folder's mount, as far as is known. */
static inline bool
aio_way_is_free(const struct aio_fs *fs)
{
	return atomic_load_explicit(&fs->mounts.free_way, memory_order_relaxed);
}

static inline struct aio_ctx *
aio_ctx_of(struct weir_fsreq *req)
{
	return weir_fsreq_ctx(req);
}

/* root.c */

/**
 * Opens fs->root_path and fills in what of the folder is known by looking. What the options want and it
 * has not got is refused. @return 0 or -errno, with fs->refused as more of a text, where there is one.
 */
int WEIR_ON_HELPER aio_root_open(struct aio_fs *fs);

/* job.c: helpers, pools, detach */

/** Prepares the context at the start of a verb. */
static inline struct aio_ctx *
aio_begin(struct weir_fsreq *req)
{
	struct aio_ctx *ctx = weir_fsreq_ctx(req);

	atomic_init(&ctx->state, AIO_IDLE);
	ctx->fenced = NULL;
	ctx->piece = NULL;
	ctx->guest_memory = false;
	return ctx;
}

/** Queues run for a helper; finish follows on the worker. @return -EINPROGRESS. */
int WEIR_ON_WORKER aio_defer(struct weir_channel *chan, struct weir_fsreq *req, aio_run_fn run,
		weir_fsop_fn finish);
/**
 * Where the request's node is in memory, runs run and finish at once: there are no devices to wait
 * for. Everywhere else, and where run says -EAGAIN (see aio_may_wait), does as aio_defer().
 */
int WEIR_ON_WORKER aio_run(struct weir_channel *chan, struct weir_fsreq *req, aio_run_fn run,
		weir_fsop_fn finish);
/** Whether run is on a helper. Else it must be quick, and not leave the memory file system. */
static inline bool
aio_may_wait(void)
{
	return weir_worker_self() == NULL;
}
/** Completes req unless res is -EINPROGRESS; calls the fence first where one waits. */
void WEIR_ON_WORKER aio_end(struct weir_fsreq *req, int res);
/**
 * A piece for ctx->piece, unless it has one.
 * @return 0; or -EINPROGRESS: req waits. resume then comes with a piece, or when it was detached.
 */
int WEIR_ON_WORKER aio_pool_get(struct aio_pool *pool, struct weir_fsreq *req, weir_fsop_fn resume);
/** Gives ctx->piece back, if there is one, to who waits for it first. */
void WEIR_ON_WORKER aio_pool_put(struct weir_fsreq *req);
void WEIR_ON_WORKER aio_detach(struct weir_channel *chan, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req));

/* cred.c: acting for a caller, on helpers, and on workers inside of aio_run() */

/** Takes the caller's fsuid and fsgid; the thread's umask is its own. @return 0, -EPERM: may not. */
int WEIR_ON_HELPER aio_cred_take(const struct weir_cred *cred);
/** For req's caller, but stays able to pass the checks that the guest's kernel made. */
int WEIR_ON_HELPER aio_cred_take_able(const struct weir_fsreq *req);
void WEIR_ON_HELPER aio_cred_drop(void);
/**
 * Whether what the thread writes and cuts from here on takes set-id bits and file capabilities away,
 * as the kernel does for one without CAP_FSETID. Acting for a caller ends it. @return 0 or -errno.
 */
int WEIR_ON_HELPER aio_cred_kill(bool kill);
/** That as the request says, before it is carried out; where it makes no difference, as it is. */
int WEIR_ON_HELPER aio_cred_begin(const struct weir_fsreq *req);
/** A new owner takes them away from anybody: the set-group-id bit only where the group may execute. */
static inline bool
aio_kills(const struct weir_fsreq *req)
{
	return (req->flags & WEIR_FSREQ_KILLPRIV) != 0 &&
			(req->op != WEIR_FSOP_SETATTR ||
					(req->in.setattr.valid & (WEIR_SET_UID | WEIR_SET_GID)) ==
							0);
}
/** The umask of what the thread makes from here on, while it acts for a caller. */
void WEIR_ON_HELPER aio_cred_umask(uint32_t mask);

/* fdtable.c */
int aio_fdtable_init(struct aio_fdtable *table, uint32_t max);
void aio_fdtable_fini(struct aio_fdtable *table);
/** Closes every descriptor. Nobody uses the table any more. */
void WEIR_ON_HELPER aio_fdtable_close_all(struct aio_fdtable *table);
/** A slot with one reference and no descriptor yet; -ENFILE. */
int aio_fd_take(struct aio_fdtable *table, uint64_t *slot);
void aio_fd_set(struct aio_fdtable *table, uint64_t slot, int fd);
/** The same for one that may be closed at once, unless that frees much memory. */
void aio_fd_set_in_memory(struct aio_fdtable *table, uint64_t slot, int fd);
/** The descriptor of a slot, with a reference; -EBADF where it is gone. */
int aio_fd_get(struct aio_fdtable *table, uint64_t slot);
/** Whether aio_fd_get() would give one just now. */
bool aio_fd_is_open(struct aio_fdtable *table, uint64_t slot);
void aio_fd_ref(struct aio_fdtable *table, uint64_t slot);
/** Drops a reference; a helper closes what may take long. Workers and control. 0 is allowed. */
void aio_fd_put(struct aio_fdtable *table, uint64_t slot);
/**
 * Drops two references to descriptors of one inode. The second keeps it while the first, in memory
 * or a path, is closed, which is quick then.
 */
void aio_fd_put_beside(struct aio_fdtable *table, uint64_t slot, uint64_t beside);
/** aio_fd_put() on a helper, which closes itself; on a worker, inside of aio_run(), just the same. */
void WEIR_ON_HELPER aio_fd_put_now(struct aio_fdtable *table, uint64_t slot);
/** Claims descriptors of this process for one file system, 0: a share. @return how many; 0: none. */
uint32_t WEIR_ON_CONTROL aio_fd_claim(uint32_t wanted);
void WEIR_ON_CONTROL aio_fd_unclaim(uint32_t nb);

/* find.c */

/** Attributes, and identity, of an open descriptor. flags: AT_STATX_. found->slot is untouched. */
int aio_fd_attr(struct aio_fs *fs, int fd, int flags, struct weir_attr *attr);
/** As above, with what else statx(2) tells. */
int aio_fd_statx(const struct aio_fs *fs, int fd, int flags, struct weir_statx *out);
/** The key of what was identified that tells inodes of one number apart. */
void aio_key_by_handle(struct aio_found *found);
int
aio_identify(struct aio_fs *fs, int fd, int flags, struct aio_found *found, struct weir_attr *attr);
/** Inode number as the guest sees it. */
uint64_t aio_ino(const struct aio_fs *fs, uint64_t dev, uint64_t ino);
/** Of a file that was just made in a directory of the folder in memory. */
int aio_identify_made(struct aio_fs *fs, int fd, struct aio_found *found, struct weir_attr *attr);
/**
 * In memory, whether what has a name is quick to free. May be another file the next moment.
 * @return 0: it is; -EAGAIN: it may be large; or another errno.
 */
int aio_name_is_small(const struct aio_fs *fs, int dirfd, const char *name);
/** Takes found->slot, before anything is made that then could not be held. @return 0, -ENFILE. */
int aio_found_take(struct aio_fs *fs, struct aio_found *found);
/** Its descriptor. rc is what aio_identify() said: without it nothing is known of where that leads. */
void aio_found_set(struct aio_fs *fs, struct aio_found *found, int rc, int fd);
void WEIR_ON_HELPER aio_found_drop(struct aio_fs *fs, struct aio_found *found);
/** Finds a name, after aio_found_take(): found and attr. On error the slot is dropped. */
int WEIR_ON_HELPER aio_find(struct aio_fs *fs, int dirfd, const char *name, struct aio_found *found,
		struct weir_attr *attr);
/**
 * In memory, a name whose node is known, by its number: no descriptor is opened.
 * @return 0 with a reference to the node; -EAGAIN: find it by a descriptor.
 */
int WEIR_ON_WORKER aio_find_known(struct aio_fs *fs, struct weir_fsdev *dev, int dirfd,
		const char *name, struct weir_node **out, struct weir_attr *attr);
/** All that aio_find() does without blocking; -EAGAIN: ask a helper. */
int WEIR_ON_WORKER aio_find_cached(struct aio_fs *fs, int dirfd, const char *name,
		struct aio_found *found, struct weir_attr *attr);

/* node.c */

/** Directory /proc/self/fd, to open anew what a path descriptor names. */
extern int aio_proc_fd;
void aio_fd_name(int fd, char name[16]);

int aio_name_check(const char *name);
/** Does as how, aio_run() or aio_defer(), where req->name is a name; refuses it otherwise. */
static inline int WEIR_ON_WORKER
aio_with_name(struct weir_channel *chan, struct weir_fsreq *req,
		int (*how)(struct weir_channel *, struct weir_fsreq *, aio_run_fn, weir_fsop_fn),
		aio_run_fn run, weir_fsop_fn finish)
{
	int rc = aio_name_check(req->name);

	aio_begin(req);
	return rc < 0 ? rc : how(chan, req, run, finish);
}
/**
 * Opens one name in a directory: no symbolic link is followed, nothing outside is reached.
 * @return the descriptor, or -errno; -EAGAIN with RESOLVE_CACHED: it would have to block.
 */
int aio_openat(int dirfd, const char *name, uint64_t flags, uint64_t mode, uint64_t resolve);
/** The node of what was found; takes over found->slot unless -EAGAIN. */
int WEIR_ON_WORKER aio_node_adopt(struct aio_fs *fs, struct weir_fsdev *dev,
		struct aio_found *found, struct weir_node **out);
/** Borrows a node's path descriptor where there is one; else -EAGAIN. */
int aio_node_peek(struct aio_fs *fs, struct weir_node *node, struct aio_ref *ref);
/** Whether both have a file handle, and the same. */
bool aio_node_has_handle(const struct aio_node *node, const struct aio_node *other);
/** Whether the node's path descriptor is open, so that its inode exists. */
bool aio_node_is_held(struct aio_fs *fs, struct weir_node *node);
/** Whether there is room for the path descriptor of a node. */
bool aio_node_has_room(struct aio_fs *fs, const struct weir_node *node);
/** Opens the inode of a node's file handle as a path. @return the descriptor or -errno. */
int WEIR_ON_HELPER aio_handle_open(const struct aio_fs *fs, const struct aio_node *node);
/** Borrows a node's path descriptor, opened if need be. */
int WEIR_ON_HELPER aio_node_open(struct aio_fs *fs, struct weir_node *node, struct aio_ref *ref);
void WEIR_ON_HELPER aio_ref_put_now(struct aio_fs *fs, struct aio_ref *ref);
/** Gives up the path descriptors that nodes with handles can do without. */
void WEIR_ON_HELPER aio_cache_drop(struct aio_fs *fs);
void WEIR_ON_CONTROL aio_node_fini(struct weir_fsdev *dev, struct weir_node *node);
static inline bool
aio_node_in_memory(const struct aio_fs *fs, const struct weir_node *node)
{
	return fs->in_memory && ((const struct aio_node *)weir_node_priv(node))->local;
}

/* name.c, link.c, attr.c, file.c, dir.c, io.c */
int WEIR_ON_WORKER aio_lookup(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_symlink(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_mknod(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_mkdir(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_create(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_tmpfile(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_link(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_unlink(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_rmdir(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_rename(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_getattr(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_statx(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_setattr(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_readlink(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_statfs(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_access(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_open(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_release(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_flush(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_fsync(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_syncfs(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_opendir(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_readdir(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_rw(struct weir_channel *chan, struct weir_fsreq *req);

/** Answers with a node, whose reference is the receiver's, and the attributes already there. */
int WEIR_ON_WORKER aio_entry_answer(
		const struct aio_fs *fs, struct weir_fsreq *req, struct weir_node *node);
/** Flags with which weir opens a file that the guest opens with flags. */
int aio_open_flags(uint32_t flags);
/** Takes a slot for a file record that will be opened, at the cost of the cache. -ENFILE. */
int WEIR_ON_HELPER aio_file_take(struct aio_fs *fs, struct weir_file *file);
/**
 * Ends that: with a fresh descriptor, direct where the guest asked for it, or with an error. node
 * is what the file's node has, or will have, of its own.
 */
int WEIR_ON_HELPER aio_file_set(
		struct aio_fs *fs, const struct aio_node *node, struct weir_file *file, int fd);
/** Gives a file record's descriptor up. */
void WEIR_ON_WORKER aio_file_drop(struct aio_fs *fs, struct weir_file *file);
static inline struct aio_file *
aio_file_of(const struct weir_file *file)
{
	return weir_file_priv(file);
}

/* label.c */

/** What most guests' security module calls its labels; the host's, if it is the same, checks them. */
#define AIO_LABEL_NAME "security.selinux"

/**
 * Gives the file that the request has just made as its name in dirfd the label that it is to have,
 * if it is to have one. The file is open as fd. Where it cannot have it, the name goes again.
 * @return 0 or -errno.
 */
int WEIR_ON_HELPER aio_label_made(
		const struct aio_fs *fs, const struct weir_fsreq *req, int dirfd, int fd);
/** The time, for aio_label_name(), before something is made. */
void WEIR_ON_HELPER aio_label_clock(struct timespec *now);
/** As aio_label_made() for what is not open. -ENOENT: something else has its name, from before since. */
int WEIR_ON_HELPER aio_label_name(const struct aio_fs *fs, const struct weir_fsreq *req, int dirfd,
		const struct timespec *since);
/** Whether files in the folder can be given labels, tried with one without a name. 0 or -errno. */
int WEIR_ON_HELPER aio_label_probe(const struct aio_fs *fs, int dirfd);

/* xattr.c, range.c, ioctl.c */
int WEIR_ON_WORKER aio_xattr(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_fallocate(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_lseek(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_copy_file_range(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_ioctl(struct weir_channel *chan, struct weir_fsreq *req);
/**
 * Gives the calling thread, once, the working directory in which the name of a descriptor, see
 * aio_fd_name(), leads to what it is open on, and no further. @return 0 or -errno.
 */
int WEIR_ON_HELPER aio_xattr_thread_init(void);
/**
 * What the host calls the attribute that a guest calls name.
 * @return 0; -EPERM, -EOPNOTSUPP: the guest cannot have it; -ERANGE: the host's name is too long.
 */
int aio_xattr_name_in(const struct aio_fs *fs, const char *name, char host[XATTR_NAME_MAX + 1]);
/** Whether the file system of a path descriptor has POSIX ACLs. */
bool WEIR_ON_HELPER aio_acl_probe(int fd);
/** Whether a map of names, if there is one, leaves those of ACLs as they are. */
bool aio_acl_names_are_kept(const struct aio_fs *fs);

/* xattrmap.c */

enum aio_xattr_rule_type {
	AIO_XATTR_PREFIX,
	AIO_XATTR_OK,
	AIO_XATTR_BAD,
	AIO_XATTR_UNSUPPORTED,
};

struct aio_xattr_rule {
	enum aio_xattr_rule_type type;
	bool client, server;
	char key[XATTR_NAME_MAX + 1];
	char prepend[XATTR_NAME_MAX + 1];
};

struct aio_xattrmap {
	unsigned int nb;
	struct aio_xattr_rule rules[AIO_XATTR_RULES];
};

/**
 * Reads rules as virtiofsd's --xattrmap has them. The caller frees what is put out.
 * @return 0; -EINVAL, -ENOMEM, with a text in error.
 */
int aio_xattrmap_parse(const char *text, char *error, size_t error_size, struct aio_xattrmap **out);
/** As aio_xattr_name_in(), by the rules alone. Any thread. */
int
aio_xattrmap_in(const struct aio_xattrmap *map, const char *name, char host[XATTR_NAME_MAX + 1]);
/** What the guest calls the attribute that the host calls name: a part of it; NULL: hidden. */
const char *aio_xattrmap_out(const struct aio_xattrmap *map, const char *name);
/** Whether an attribute has the same name on both sides, and both may have it. */
bool aio_xattrmap_leaves(const struct aio_xattrmap *map, const char *name);
/** Whether what the guest calls name is kept under another. */
bool aio_xattrmap_moves(const struct aio_xattrmap *map, const char *name);

/* lock.c */
int WEIR_ON_CONTROL aio_locks_start(struct aio_fs *fs, const struct aio_params *params);
void WEIR_ON_CONTROL aio_locks_stop(struct aio_fs *fs);
/** GETLK, SETLK, ENDWAIT. */
int WEIR_ON_WORKER aio_lock(struct weir_channel *chan, struct weir_fsreq *req);
/** End what the file has of locks, and then aio_flush(), aio_release(). */
int WEIR_ON_WORKER aio_unlock_flush(struct weir_channel *chan, struct weir_fsreq *req);
int WEIR_ON_WORKER aio_unlock_release(struct weir_channel *chan, struct weir_fsreq *req);
/** Fences verbs that the lock service may have. @return whether it was one. */
bool WEIR_ON_WORKER aio_lock_detach(
		struct aio_fs *fs, struct weir_fsreq *req, void (*fenced)(struct weir_fsreq *req));
void aio_interrupt(struct weir_fsdev *dev);

/* mounts.c */

/** Begins to watch; where it cannot, free_way stays false. */
void WEIR_ON_CONTROL aio_mounts_start(struct aio_fs *fs);
/** Ends that, but for the job: see busy. Harmless where it was not begun. */
void WEIR_ON_CONTROL aio_mounts_stop(struct aio_fs *fs);

/* uring.c */
bool WEIR_ON_HELPER aio_ring_probe(void);
/** Starts the ring of the calling worker's channel. @return 0 or -errno. */
int WEIR_ON_WORKER aio_ring_start(struct aio_chan *achan);
void WEIR_ON_WORKER aio_ring_stop(struct aio_chan *achan);
/** A submission entry, to be prepared and then given to aio_ring_send(); NULL: none is free. */
struct io_uring_sqe *WEIR_ON_WORKER aio_ring_sqe(struct aio_chan *achan);
/** Sends it; finish follows with res set. @return -EINPROGRESS. */
int WEIR_ON_WORKER aio_ring_send(struct aio_chan *achan, struct io_uring_sqe *sqe,
		struct weir_fsreq *req, weir_fsop_fn finish);
void WEIR_ON_WORKER aio_ring_cancel(struct aio_chan *achan, struct weir_fsreq *req);

#endif /* AIO_H */
