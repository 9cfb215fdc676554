/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_FSDEV_H
#define WEIR_FSDEV_H

/**
 * @file
 * The file-system contract, as its users (lib/fuse, lib/device) see it. Verbs are file verbs; no
 * FUSE wire structure appears here. Work goes to a channel, the file system's private state on one
 * worker, as a request that is answered exactly once, on the worker that submitted it.
 *
 * Drivers implement weir_fsdev_driver.h.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "weir_handoff.h"
#include "weir_iov.h"
#include "weir_role.h"
#include "weir_worker.h"

struct weir_fsdev;
struct weir_channel;
struct weir_fsreq;

#define WEIR_FSDEV_NAME_MAX 256

enum weir_fsop {
	WEIR_FSOP_LOOKUP,
	WEIR_FSOP_GETATTR,
	WEIR_FSOP_SETATTR,
	WEIR_FSOP_READLINK,
	WEIR_FSOP_SYMLINK,
	WEIR_FSOP_MKNOD,
	WEIR_FSOP_MKDIR,
	WEIR_FSOP_UNLINK,
	WEIR_FSOP_RMDIR,
	WEIR_FSOP_RENAME,
	WEIR_FSOP_LINK,
	WEIR_FSOP_OPEN,
	WEIR_FSOP_CREATE,
	WEIR_FSOP_READ,
	WEIR_FSOP_WRITE,
	WEIR_FSOP_STATFS,
	WEIR_FSOP_RELEASE,
	WEIR_FSOP_FLUSH,
	WEIR_FSOP_FSYNC,
	WEIR_FSOP_OPENDIR,
	WEIR_FSOP_READDIR,
	WEIR_FSOP_RELEASEDIR,
	WEIR_FSOP_FSYNCDIR,
	WEIR_FSOP_ACCESS,
	WEIR_FSOP_TMPFILE,
	WEIR_FSOP_STATX,
	WEIR_FSOP_GETXATTR,
	WEIR_FSOP_SETXATTR,
	WEIR_FSOP_LISTXATTR,
	WEIR_FSOP_REMOVEXATTR,
	WEIR_FSOP_FALLOCATE,
	WEIR_FSOP_LSEEK,
	WEIR_FSOP_COPY_FILE_RANGE,
	WEIR_FSOP_SYNCFS,
	WEIR_FSOP_IOCTL,
	WEIR_FSOP_GETLK,
	WEIR_FSOP_SETLK,
	WEIR_FSOP_ENDWAIT,
	WEIR_NB_FSOPS,
};

/** Name of a verb for statistics: "lookup". */
const char *weir_fsop_name(enum weir_fsop op);

/** What a file is. */
struct weir_attr {
	uint64_t ino; /**< as the guest will see it; unique within the file system */
	uint64_t size;
	uint64_t blocks; /**< of 512 bytes */
	int64_t atime, mtime, ctime; /**< seconds */
	uint32_t atime_ns, mtime_ns, ctime_ns;
	uint32_t mode; /**< type and permission bits */
	uint32_t nlink;
	uint32_t uid, gid;
	uint32_t rdev; /**< Linux huge encoding, as in struct fuse_attr: new_encode_dev() */
	uint32_t blksize;
	bool submount; /**< a directory that is the root of another file system, or another mount */
};

/** What statx(2) tells beside. */
struct weir_statx {
	struct weir_attr attr;
	int64_t btime; /**< seconds */
	uint32_t btime_ns;
	bool has_btime; /**< false: not known */
	uint64_t attributes, attributes_mask; /**< STATX_ATTR_ */
};

struct weir_statfs {
	uint64_t blocks, bfree, bavail, files, ffree;
	uint32_t bsize, namelen, frsize;
};

/** Which members of weir_fsreq.setattr are to be set. */
#define WEIR_SET_MODE      (1u << 0)
#define WEIR_SET_UID       (1u << 1)
#define WEIR_SET_GID       (1u << 2)
#define WEIR_SET_SIZE      (1u << 3)
#define WEIR_SET_ATIME     (1u << 4)
#define WEIR_SET_MTIME     (1u << 5)
#define WEIR_SET_CTIME     (1u << 6)
#define WEIR_SET_ATIME_NOW (1u << 7)
#define WEIR_SET_MTIME_NOW (1u << 8)

/**
 * A node: what a FUSE nodeid names. Lives in the file system's node table; its handle
 * (weir_node_id) is the nodeid that the guest gets, except for the root. Driver-private bytes follow.
 */
struct weir_node {
	uint64_t key[2]; /**< identity within the file system: the driver's (device and inode, ...) */
	uint32_t next; /**< chain of the key index; the library's */
	uint32_t type; /**< S_IFMT part of the mode; never changes */
	uint32_t dead; /**< list of those without a reference; the library's */
	uint32_t locked; /**< locks are held on it; the lock service's (weir_lock.h) */
};

/** An open file or directory, in the session's file table. Driver-private bytes follow. */
struct weir_file {
	uint64_t node; /**< handle of its node, on which it holds a reference */
	uint32_t flags; /**< open flags as the guest gave them (Linux numbers of this architecture) */
	uint32_t reserved;
};

/** Who asks. Names are host ids after any mapping. */
struct weir_cred {
	uint32_t uid, gid, pid;
	uint32_t group; /**< has_group: one more that the caller is in, that of the directory */
	bool has_group; /**< only what makes a name has one */
	bool mapped; /**< by the device: the group of a file need not be one of the guest's */
};

/**
 * A lock on a file. Locks of one owner never stand in each other's way; POSIX locks and flock(2)'s
 * are apart.
 */
struct weir_lock {
	uint64_t guest; /**< whose owner: unique while the guest is there */
	uint64_t owner; /**< any number that the guest chose */
	uint64_t start, end; /**< bytes, both inclusive; INT64_MAX: as far as there are any */
	uint32_t type; /**< F_RDLCK, F_WRLCK, F_UNLCK */
	uint32_t pid; /**< in the guest; 0: of another guest, or a program of the host */
	uint32_t flags; /**< WEIR_LOCK_ */
	uint64_t unique; /**< SETLK that waits, ENDWAIT: which of the guest's */
};

#define WEIR_LOCK_FLOCK (1u << 0) /**< flock(2): the whole file, apart from POSIX locks */
#define WEIR_LOCK_WAIT  (1u << 1) /**< answered when it is granted */

/** The inode flags of ioctl_iflags(2), and struct fsxattr of FS_IOC_FSGETXATTR. */
struct weir_fsxattr {
	uint32_t xflags;
	uint32_t extsize; /**< bytes */
	uint32_t nextents;
	uint32_t projid;
	uint32_t cowextsize; /**< bytes */
};

/** weir_fsreq.in.ioctl.cmd */
enum weir_ioctl {
	WEIR_IOCTL_GETFLAGS,
	WEIR_IOCTL_SETFLAGS,
	WEIR_IOCTL_GETFSXATTR,
	WEIR_IOCTL_SETFSXATTR,
};

/** What a verb that finds or makes a node answers with. */
struct weir_entry {
	struct weir_node *node; /**< with one reference for the receiver; NULL: negative entry */
	struct weir_attr attr;
	uint64_t entry_valid_ns, attr_valid_ns; /**< how long the guest may believe it */
};

/** One directory entry on its way to the guest. */
struct weir_dirent {
	const char *name; /**< name_len bytes, no NUL needed; no '/', not empty */
	uint32_t name_len;
	uint32_t type; /**< DT_* */
	uint64_t ino;
	uint64_t next_off; /**< cookie from which a later READDIR goes on behind this entry */
	struct weir_entry *entry; /**< readdirplus: its lookup; NULL or node NULL: none known */
};

/** weir_fsreq.flags */
#define WEIR_FSREQ_PLUS     (1u << 0) /**< READDIR: with entries */
#define WEIR_FSREQ_DATASYNC (1u << 1) /**< FSYNC, FSYNCDIR: data only */
#define WEIR_FSREQ_DETACHED (1u << 2) /**< the guest is gone; set on the channel's worker */
#define WEIR_FSREQ_SIZE     (1u << 3) /**< GETXATTR, LISTXATTR: the size is asked for, iov is empty */
/**
 * WRITE, FALLOCATE, COPY_FILE_RANGE, SETATTR with a size, OPEN and CREATE with O_TRUNC: set-id bits and
 * file capabilities fall, as when one without CAP_FSETID does it. SETATTR with an owner: as when
 * anybody does it.
 */
#define WEIR_FSREQ_KILLPRIV (1u << 4)
/**
 * FSYNC: for all files that a guest has open. An error that a file's owner is told of once is not
 * used up by it.
 */
#define WEIR_FSREQ_SYNCFS (1u << 5)
/**
 * CREATE, TMPFILE, MKNOD: the guest's kernel has taken the set-group-id bit off in.create.mode where
 * the caller may not have it. It is there, so the caller is in the group that the file gets from its
 * directory, or may do without.
 */
#define WEIR_FSREQ_SETGID (1u << 6)

/** SETXATTR, in.io.flags, beside XATTR_CREATE and XATTR_REPLACE: the set-group-id bit falls. */
#define WEIR_XATTR_KILL_SGID (1u << 31)

/** Bytes in each request for the driver that carries it out. */
#define WEIR_FSREQ_CTX_SIZE 384

/**
 * One request. The submitter fills the first part; the driver borrows everything it points to until
 * the request is done. node, parent and file carry references of the submitter's.
 */
struct weir_fsreq {
	/* Filled by the submitter. */
	enum weir_fsop op;
	uint32_t flags;
	struct weir_channel *chan;
	struct weir_node *node; /**< object, or the directory in which name is */
	struct weir_node *newnode; /**< RENAME: the new directory. LINK: node is the directory,
				      newnode the existing file */
	struct weir_file *file; /**< READ to ACCESS where one is open; else NULL. OPEN, CREATE,
				   TMPFILE, OPENDIR: the new record, node and flags set, private
				   bytes zero. FALLOCATE, LSEEK, COPY_FILE_RANGE, IOCTL, GETLK,
				   SETLK: always */
	struct weir_file *newfile; /**< COPY_FILE_RANGE: where to, of newnode */
	struct weir_cred cred;
	_Atomic bool interrupted; /**< weir_fsdev_interrupt()'s; false at submit */
	const char *name; /**< NUL-terminated, 1 to 255 bytes, no '/', neither "." nor ".." but in
				LOOKUP. GETXATTR, SETXATTR, REMOVEXATTR: the attribute's, any bytes */
	const char *newname; /**< RENAME: as name. SYMLINK: the target, 1 to 4095 bytes */
	union {
		struct {
			uint32_t valid; /**< WEIR_SET_ */
			struct weir_attr attr;
		} setattr;
		struct {
			uint32_t mode; /**< type and bits before the umask */
			uint32_t umask;
			uint32_t rdev;
			/** What label_name is to say of the new file; NULL: nothing. Good while the
			 * request is. */
			const char *label_name; /**< "security.", then 1 to 246 bytes */
			const void *label;
			uint32_t label_len; /**< bytes, 1 to 4096 */
		} create; /**< CREATE, TMPFILE, MKNOD, MKDIR; SYMLINK: label alone */
		struct {
			uint32_t flags; /**< RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT */
		} rename;
		struct {
			uint32_t mask; /**< R_OK, W_OK, X_OK */
		} access;
		struct {
			uint64_t off; /**< READ, WRITE: byte. READDIR: cookie, 0 for the start.
					 COPY_FILE_RANGE: byte in file */
			uint32_t len; /**< bytes wanted, never more than iov holds; where a size is
					 asked for, the most that may be answered */
			uint32_t flags; /**< READ, WRITE: O_ flags of the open file now. SETXATTR:
					   XATTR_ and WEIR_XATTR_ */
			uint64_t newoff; /**< COPY_FILE_RANGE: byte in newfile */
		} io;
		struct {
			uint64_t off, len; /**< bytes; their sum is no more than INT64_MAX */
			uint32_t mode; /**< FALLOC_FL_ */
		} fallocate;
		struct {
			uint64_t off; /**< byte */
			uint32_t whence; /**< SEEK_DATA, SEEK_HOLE */
		} lseek;
		struct {
			uint32_t flags, mask; /**< of statx(2): AT_STATX_, STATX_ */
		} statx;
		struct {
			enum weir_ioctl cmd;
			uint32_t iflags; /**< SETFLAGS: FS_..._FL */
			struct weir_fsxattr fsxattr; /**< SETFSXATTR */
		} ioctl;
		/**
		 * GETLK: the lock that would be set. SETLK: to be set, or F_UNLCK; what waits may
		 * end with -EAGAIN at a limit. FLUSH: the owner whose POSIX locks on the file end.
		 * What locks were set through a file end with its RELEASE, at which none is waited
		 * for. ENDWAIT: the guest whose waiting SETLKs end with -EINTR: the one called
		 * unique, or where that is 0 those through file, or where that is NULL all;
		 * -EAGAIN: there was none.
		 */
		struct weir_lock lock;
	} in;
	struct weir_iov iov; /**< READ, READLINK, GETXATTR, LISTXATTR: where to. WRITE, SETXATTR: where
				from */

	/**
	 * READDIR: takes one entry. Called by the driver on the channel's worker, which need not be
	 * the one that submitted: it touches what is the request's, and what is safe anywhere.
	 * @return 0, or -ENOSPC: it did not fit, stop here; the entry's node reference, if any, is
	 *   then still the driver's.
	 */
	int (*emit)(struct weir_fsreq *req, const struct weir_dirent *dirent);

	/**
	 * Called exactly once, on the worker that submitted, possibly before the submit returns.
	 * res: bytes for READ, WRITE, READLINK, GETXATTR, LISTXATTR and COPY_FILE_RANGE, else 0;
	 * or -errno, -511 to -1.
	 */
	void (*done)(struct weir_fsreq *req, int res);

	/* Filled by the driver before it is done. */
	union {
		struct weir_entry
				entry; /**< LOOKUP, SYMLINK, MKNOD, MKDIR, LINK, CREATE, TMPFILE */
		struct {
			struct weir_attr attr;
			uint64_t valid_ns;
		} attr; /**< GETATTR, SETATTR */
		struct weir_statfs statfs;
		struct {
			struct weir_statx stat;
			uint64_t valid_ns;
		} statx;
		uint64_t off; /**< LSEEK: byte */
		struct {
			uint32_t iflags; /**< GETFLAGS */
			struct weir_fsxattr fsxattr; /**< GETFSXATTR */
		} ioctl;
		struct weir_lock lock; /**< GETLK: one that is in the way, or type F_UNLCK */
	} out;

	/* The library's: whoever has the request at the time. */
	struct weir_fsreq *link;
	void (*again)(struct weir_fsreq *req);
	struct weir_handoff handoff;

	uint8_t ctx[WEIR_FSREQ_CTX_SIZE] __rte_aligned(16); /**< the driver's */
};

/** What a file system offers and limits: read once at session start. */
struct weir_fsdev_limits {
	uint32_t max_write; /**< bytes of a WRITE at most; pages follow from it */
	uint32_t max_readahead; /**< bytes */
	bool parallel_dirops;
	bool atomic_o_trunc; /**< OPEN with O_TRUNC truncates itself */
	/**
	 * LOOKUP of "." works on any node, and of ".." on any directory that is not known to have
	 * none (-ESTALE). A guest may so come back to nodes that it has forgotten, of which the last
	 * ones are kept: a node must not hold on to anything dear, such as space of a removed file.
	 */
	bool export_support;
	bool handle_killpriv; /**< set-id bits fall by themselves with what a caller writes or cuts */
	bool handle_killpriv_v2; /**< they fall where WEIR_FSREQ_KILLPRIV says so, and only there */
	bool posix_acl; /**< ACLs are kept, and new files inherit them; umask is the driver's */
	bool posix_locks; /**< GETLK and SETLK without WEIR_LOCK_FLOCK */
	bool flock_locks; /**< SETLK with WEIR_LOCK_FLOCK */
	bool submounts; /**< weir_attr.submount is set where an entry is one */
	bool security_ctx; /**< what makes a file gives it a label with it */
};

/** What a guest may keep: the option "cache". */
enum weir_cache {
	WEIR_CACHE_NEVER, /**< nothing; data is moved past its page cache */
	WEIR_CACHE_AUTO, /**< names and attributes for a while, data while a file is open */
	WEIR_CACHE_ALWAYS, /**< everything, for a day */
	WEIR_CACHE_METADATA, /**< names and attributes for a day; data as with never */
};

/** The option "direct_io". */
enum weir_direct_io {
	WEIR_DIRECT_IO_AUTO, /**< a guest's O_DIRECT is the file system's */
	WEIR_DIRECT_IO_STRIP, /**< the file system is not told of O_DIRECT */
	WEIR_DIRECT_IO_FORCE, /**< as auto, and every file goes past the guest's page cache */
};

/**
 * Options that every file system has, as they are in force: what the creator left open is filled in
 * from the others and from what the driver prefers. Times are in milliseconds.
 */
struct weir_fsdev_common {
	uint32_t cache; /**< enum weir_cache */
	uint32_t attr_valid_ms; /**< how long the guest may believe attributes */
	uint32_t entry_valid_ms; /**< and names; how drivers fill in struct weir_entry */
	uint32_t negative_valid_ms; /**< and that a name is absent; 0: it asks each time */
	uint32_t direct_io; /**< enum weir_direct_io */
	bool close_to_open; /**< names of regular files are asked for each time, so by each open */
	bool keep_cache; /**< data that is cached outlives an open, until its file is seen to change */
	bool readdirplus;
	bool enable_writeback_cache;
	bool allow_mmap; /**< shared mappings of files that go past the page cache */
	bool readonly; /**< what would change anything is refused with EROFS */
	bool has_attr_valid_ms, has_entry_valid_ms, has_close_to_open, has_keep_cache,
			has_readdirplus; /**< true */
};

/** Whether no file's data is in the guest's page cache. */
static inline bool
weir_fsdev_is_direct(const struct weir_fsdev_common *common)
{
	return common->cache == WEIR_CACHE_NEVER || common->cache == WEIR_CACHE_METADATA ||
			common->direct_io == WEIR_DIRECT_IO_FORCE;
}

/** @name Management, on control
 * @{ */

/** A file system by name; NULL when there is none. No reference is taken. */
struct weir_fsdev *WEIR_ON_CONTROL weir_fsdev_find(const char *name);

/** No NUMA node is better than another. */
#define WEIR_FSDEV_NO_NODE (-1)

/** The NUMA node that the channels are best on, or WEIR_FSDEV_NO_NODE. */
int WEIR_ON_CONTROL weir_fsdev_node(const struct weir_fsdev *dev);

/** The name, for ever valid while the fsdev exists. */
const char *weir_fsdev_name(const struct weir_fsdev *dev);

/**
 * Uses a file system for a device: deletion is refused until weir_fsdev_put(), and after that until
 * every request was answered, detached ones included.
 */
void WEIR_ON_CONTROL weir_fsdev_get(struct weir_fsdev *dev, const char *user);
void WEIR_ON_CONTROL weir_fsdev_put(struct weir_fsdev *dev, const char *user);

/** True where the driver implements the verb. */
bool weir_fsdev_has(const struct weir_fsdev *dev, enum weir_fsop op);

/** What it offers. */
const struct weir_fsdev_limits *weir_fsdev_limits(const struct weir_fsdev *dev);

/** The options that every file system has. Any thread; they never change. */
const struct weir_fsdev_common *weir_fsdev_common(const struct weir_fsdev *dev);

/** Bytes that a struct weir_file of this file system takes, private bytes included. */
uint32_t weir_fsdev_file_size(const struct weir_fsdev *dev);

/**
 * Node table upkeep of all file systems. Control calls it several times a second.
 *
 * @return whether so many nodes were given up that it should be called again in a millisecond.
 */
bool WEIR_ON_CONTROL weir_fsdevs_maintain(void);

/**
 * Deletes all file systems at the end of the process. done comes on control when all are gone or
 * timeout_ms has passed, with the number of those that were not.
 */
void WEIR_ON_CONTROL weir_fsdevs_shutdown(
		uint32_t timeout_ms, void (*done)(void *arg, unsigned int left), void *arg);

/** @}
 * @name Requests, on workers
 * @{ */

/**
 * The channel that serves the calling worker: its own where it is a backend worker, otherwise that
 * of a backend worker, always the same. Channels exist on every backend worker from create to delete.
 */
struct weir_channel *WEIR_ON_WORKER weir_fsdev_channel(struct weir_fsdev *dev);

/** The channel that a route leads to next; route NULL: as weir_fsdev_channel(). */
struct weir_channel *WEIR_ON_WORKER weir_fsdev_channel_by(
		struct weir_fsdev *dev, struct weir_route *route);

/**
 * Hands a request to its channel, on whichever worker that is. Answers through req->done, exactly
 * once, on the calling worker.
 */
void WEIR_ON_WORKER weir_fsdev_submit(struct weir_fsreq *req);

/**
 * Detaches a request that was submitted and is not done, wherever it is: its guest is gone. From
 * the moment that fenced is called, on the same worker and possibly before return, the driver
 * touches req->iov, and with it guest memory, no more. The request itself stays the driver's until
 * done(), which still comes once and, where another worker has the channel, never before fenced.
 * What fenced waits for is bounded by local work, never by a server's answer.
 */
void WEIR_ON_WORKER weir_fsdev_detach(
		struct weir_fsreq *req, void (*fenced)(struct weir_fsreq *req));

/**
 * Asks that a SETLK that waits, submitted by the calling worker and not done, be done soon: -EAGAIN,
 * unless it is granted just now. Other requests end soon anyway.
 */
void WEIR_ON_WORKER weir_fsdev_interrupt(struct weir_fsreq *req);

/** @}
 * @name Nodes, on workers
 * @{ */

/** The root directory, without a reference taken; it lives as long as the file system. */
struct weir_node *weir_fsdev_root(struct weir_fsdev *dev);

/** The handle of a node that the caller has a reference to. */
uint64_t weir_node_id(const struct weir_fsdev *dev, const struct weir_node *node);

/** The node of a handle, with a reference; NULL when it names none. Any thread, lock-free. */
struct weir_node *weir_node_get(struct weir_fsdev *dev, uint64_t id);

/**
 * The node of a handle, without taking a reference: somebody is known to have one for as long as the
 * caller uses the node, as an open file has to its node. Any thread.
 */
struct weir_node *weir_node_at(const struct weir_fsdev *dev, uint64_t id);

/** One more reference. */
void weir_node_ref(struct weir_fsdev *dev, struct weir_node *node);

/**
 * Drops a reference. The last one makes the node unfindable; control unlinks it, waits for the
 * workers, tells the driver and reuses the record. Workers and control, lock-free.
 */
void weir_node_put(struct weir_fsdev *dev, struct weir_node *node);

/** Nodes in the table that are referenced; and an upper bound of their indexes ever. */
uint32_t weir_fsdev_nodes(const struct weir_fsdev *dev);
uint32_t weir_fsdev_max_nodes(const struct weir_fsdev *dev);

/** @} */

#endif /* WEIR_FSDEV_H */
