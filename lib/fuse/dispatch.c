/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse.h"

/* The longest arguments: SYMLINK's name, target and extensions. */
#define FUSE_ARG_MAX (FUSE_NAME_MAX + 1 + FUSE_TARGET_MAX + 1 + FUSE_EXT_MAX)

#define FUSE_NOBODY 65534u

struct rte_mempool *fuse_arg_pool;

#define ARGS(tag)      .arg_min = sizeof(struct tag), .arg_max = sizeof(struct tag)
#define REPLY_MIN(tag) .reply_min = sizeof(struct tag)

/*
 * What opcodes have in common, as data. Row 0 stands for the opcodes that have no row. An opcode
 * is offered whether or not the file system has the verb: the answer of an absent one is -ENOSYS.
 */
const struct fuse_op fuse_ops[FUSE_NB_OPCODES] = {
	[0] = { .name = "UNKNOWN" },
	[FUSE_LOOKUP] = { .name = "LOOKUP",
			.start = fuse_lookup,
			.reply = fuse_lookup_reply,
			.undo = fuse_entry_undo,
			.nb_names = 1,
			REPLY_MIN(fuse_entry_out),
			.flags = FUSE_OP_DIR | FUSE_OP_DOTS },
	[FUSE_FORGET] = { .name = "FORGET",
			.start = fuse_forget,
			ARGS(fuse_forget_in),
			.flags = FUSE_OP_NO_REPLY | FUSE_OP_NO_NODE },
	[FUSE_GETATTR] = { .name = "GETATTR",
			.start = fuse_getattr,
			.reply = fuse_attr_reply,
			ARGS(fuse_getattr_in),
			REPLY_MIN(fuse_attr_out),
			.flags = FUSE_OP_NO_NODE },
	[FUSE_SETATTR] = { .name = "SETATTR",
			.start = fuse_setattr,
			.reply = fuse_attr_reply,
			ARGS(fuse_setattr_in),
			REPLY_MIN(fuse_attr_out),
			.flags = FUSE_OP_NO_NODE | FUSE_OP_CHANGES },
	[FUSE_READLINK] = { .name = "READLINK",
			.start = fuse_readlink,
			.reply = fuse_count_reply,
			.reply_min = 1,
			.flags = FUSE_OP_COUNT },
	[FUSE_SYMLINK] = { .name = "SYMLINK",
			.start = fuse_symlink,
			.reply = fuse_entry_reply,
			.undo = fuse_entry_undo,
			.nb_names = 2,
			REPLY_MIN(fuse_entry_out),
			.flags = FUSE_OP_MAKES | FUSE_OP_DIR | FUSE_OP_TARGET | FUSE_OP_CHANGES },
	[FUSE_MKNOD] = { .name = "MKNOD",
			.start = fuse_mknod,
			.reply = fuse_entry_reply,
			.undo = fuse_entry_undo,
			ARGS(fuse_mknod_in),
			.nb_names = 1,
			REPLY_MIN(fuse_entry_out),
			.flags = FUSE_OP_MAKES | FUSE_OP_DIR | FUSE_OP_CHANGES },
	[FUSE_MKDIR] = { .name = "MKDIR",
			.start = fuse_mkdir,
			.reply = fuse_entry_reply,
			.undo = fuse_entry_undo,
			ARGS(fuse_mkdir_in),
			.nb_names = 1,
			REPLY_MIN(fuse_entry_out),
			.flags = FUSE_OP_MAKES | FUSE_OP_DIR | FUSE_OP_CHANGES },
	[FUSE_UNLINK] = { .name = "UNLINK",
			.start = fuse_unlink,
			.nb_names = 1,
			.flags = FUSE_OP_DIR | FUSE_OP_CHANGES },
	[FUSE_RMDIR] = { .name = "RMDIR",
			.start = fuse_rmdir,
			.nb_names = 1,
			.flags = FUSE_OP_DIR | FUSE_OP_CHANGES },
	[FUSE_RENAME] = { .name = "RENAME",
			.start = fuse_rename,
			ARGS(fuse_rename_in),
			.nb_names = 2,
			.flags = FUSE_OP_DIR | FUSE_OP_CHANGES },
	[FUSE_LINK] = { .name = "LINK",
			.start = fuse_link,
			.reply = fuse_entry_reply,
			.undo = fuse_entry_undo,
			ARGS(fuse_link_in),
			.nb_names = 1,
			REPLY_MIN(fuse_entry_out),
			.flags = FUSE_OP_DIR | FUSE_OP_CHANGES },
	[FUSE_OPEN] = { .name = "OPEN",
			.start = fuse_open,
			.reply = fuse_open_reply,
			.undo = fuse_open_undo,
			ARGS(fuse_open_in),
			REPLY_MIN(fuse_open_out) },
	[FUSE_READ] = { .name = "READ",
			.start = fuse_read,
			.reply = fuse_count_reply,
			ARGS(fuse_read_in),
			.flags = FUSE_OP_FILE | FUSE_OP_COUNT },
	[FUSE_WRITE] = { .name = "WRITE",
			.start = fuse_write,
			.reply = fuse_write_reply,
			ARGS(fuse_write_in),
			REPLY_MIN(fuse_write_out),
			.flags = FUSE_OP_FILE | FUSE_OP_COUNT | FUSE_OP_PAYLOAD | FUSE_OP_CHANGES },
	[FUSE_STATFS] = { .name = "STATFS",
			.start = fuse_statfs,
			.reply = fuse_statfs_reply,
			REPLY_MIN(fuse_statfs_out) },
	[FUSE_RELEASE] = { .name = "RELEASE",
			.start = fuse_release,
			ARGS(fuse_release_in),
			.flags = FUSE_OP_FILE },
	[FUSE_FSYNC] = { .name = "FSYNC",
			.start = fuse_fsync,
			ARGS(fuse_fsync_in),
			.flags = FUSE_OP_FILE },
	[FUSE_SETXATTR] = { .name = "SETXATTR",
			.start = fuse_setxattr,
			.arg_min = FUSE_SETXATTR_IN_MIN,
			.arg_max = sizeof(struct fuse_setxattr_in),
			.nb_names = 1,
			.flags = FUSE_OP_PAYLOAD | FUSE_OP_ANY_NAME | FUSE_OP_CHANGES },
	[FUSE_GETXATTR] = { .name = "GETXATTR",
			.start = fuse_getxattr,
			.reply = fuse_getxattr_reply,
			ARGS(fuse_getxattr_in),
			.nb_names = 1,
			.flags = FUSE_OP_COUNT | FUSE_OP_ANY_NAME },
	[FUSE_LISTXATTR] = { .name = "LISTXATTR",
			.start = fuse_listxattr,
			.reply = fuse_getxattr_reply,
			ARGS(fuse_getxattr_in),
			.flags = FUSE_OP_COUNT },
	[FUSE_REMOVEXATTR] = { .name = "REMOVEXATTR",
			.start = fuse_removexattr,
			.nb_names = 1,
			.flags = FUSE_OP_ANY_NAME | FUSE_OP_CHANGES },
	[FUSE_FLUSH] = { .name = "FLUSH",
			.start = fuse_flush,
			ARGS(fuse_flush_in),
			.flags = FUSE_OP_FILE },
	/* Longer than we know is allowed: what is behind it was made for newer devices. */
	[FUSE_INIT] = { .name = "INIT",
			.start = fuse_init,
			.arg_min = FUSE_INIT_IN_MIN,
			.arg_max = sizeof(struct fuse_init_in),
			REPLY_MIN(fuse_init_out),
			.flags = FUSE_OP_EARLY | FUSE_OP_NO_NODE | FUSE_OP_PAYLOAD },
	[FUSE_OPENDIR] = { .name = "OPENDIR",
			.start = fuse_opendir,
			.reply = fuse_open_reply,
			.undo = fuse_open_undo,
			ARGS(fuse_open_in),
			REPLY_MIN(fuse_open_out),
			.flags = FUSE_OP_DIR },
	[FUSE_READDIR] = { .name = "READDIR",
			.start = fuse_readdir,
			.reply = fuse_readdir_reply,
			ARGS(fuse_read_in),
			.flags = FUSE_OP_FILE | FUSE_OP_DIR },
	[FUSE_RELEASEDIR] = { .name = "RELEASEDIR",
			.start = fuse_release,
			ARGS(fuse_release_in),
			.flags = FUSE_OP_FILE | FUSE_OP_DIR },
	[FUSE_FSYNCDIR] = { .name = "FSYNCDIR",
			.start = fuse_fsyncdir,
			ARGS(fuse_fsync_in),
			.flags = FUSE_OP_FILE | FUSE_OP_DIR },
	[FUSE_GETLK] = { .name = "GETLK",
			.start = fuse_getlk,
			.reply = fuse_getlk_reply,
			ARGS(fuse_lk_in),
			REPLY_MIN(fuse_lk_out),
			.flags = FUSE_OP_FILE },
	[FUSE_SETLK] = { .name = "SETLK",
			.start = fuse_setlk,
			ARGS(fuse_lk_in),
			.flags = FUSE_OP_FILE },
	[FUSE_SETLKW] = { .name = "SETLKW",
			.start = fuse_setlkw,
			ARGS(fuse_lk_in),
			.flags = FUSE_OP_FILE },
	[FUSE_ACCESS] = { .name = "ACCESS", .start = fuse_access, ARGS(fuse_access_in) },
	[FUSE_CREATE] = { .name = "CREATE",
			.start = fuse_create,
			.reply = fuse_create_reply,
			.undo = fuse_create_undo,
			ARGS(fuse_create_in),
			.nb_names = 1,
			.reply_min = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out),
			.flags = FUSE_OP_MAKES | FUSE_OP_DIR | FUSE_OP_CHANGES },
	[FUSE_INTERRUPT] = { .name = "INTERRUPT",
			.start = fuse_interrupt,
			ARGS(fuse_interrupt_in),
			.flags = FUSE_OP_NO_NODE },
	[FUSE_DESTROY] = { .name = "DESTROY",
			.start = fuse_destroy,
			.flags = FUSE_OP_EARLY | FUSE_OP_NO_NODE },
	[FUSE_IOCTL] = { .name = "IOCTL",
			.start = fuse_ioctl,
			.reply = fuse_ioctl_reply,
			ARGS(fuse_ioctl_in),
			REPLY_MIN(fuse_ioctl_out),
			.flags = FUSE_OP_NO_NODE | FUSE_OP_PAYLOAD },
	[FUSE_POLL] = { .name = "POLL",
			.start = fuse_poll,
			ARGS(fuse_poll_in),
			.flags = FUSE_OP_NO_NODE },
	[FUSE_BATCH_FORGET] = { .name = "BATCH_FORGET",
			.start = fuse_batch_forget,
			ARGS(fuse_batch_forget_in),
			.flags = FUSE_OP_NO_REPLY | FUSE_OP_NO_NODE | FUSE_OP_PAYLOAD },
	[FUSE_FALLOCATE] = { .name = "FALLOCATE",
			.start = fuse_fallocate,
			ARGS(fuse_fallocate_in),
			.flags = FUSE_OP_FILE | FUSE_OP_CHANGES },
	[FUSE_READDIRPLUS] = { .name = "READDIRPLUS",
			.start = fuse_readdirplus,
			.reply = fuse_readdir_reply,
			ARGS(fuse_read_in),
			.flags = FUSE_OP_FILE | FUSE_OP_DIR },
	[FUSE_RENAME2] = { .name = "RENAME2",
			.start = fuse_rename2,
			ARGS(fuse_rename2_in),
			.nb_names = 2,
			.flags = FUSE_OP_DIR | FUSE_OP_CHANGES },
	[FUSE_LSEEK] = { .name = "LSEEK",
			.start = fuse_lseek,
			.reply = fuse_lseek_reply,
			ARGS(fuse_lseek_in),
			REPLY_MIN(fuse_lseek_out),
			.flags = FUSE_OP_FILE },
	[FUSE_COPY_FILE_RANGE] = { .name = "COPY_FILE_RANGE",
			.start = fuse_copy_file_range,
			.reply = fuse_write_reply,
			ARGS(fuse_copy_file_range_in),
			REPLY_MIN(fuse_write_out),
			.flags = FUSE_OP_FILE | FUSE_OP_COUNT | FUSE_OP_CHANGES },
	[FUSE_SYNCFS] = { .name = "SYNCFS", .start = fuse_syncfs, ARGS(fuse_syncfs_in) },
	/* Guests send a name all the same; it means nothing. */
	[FUSE_TMPFILE] = { .name = "TMPFILE",
			.start = fuse_tmpfile,
			.reply = fuse_create_reply,
			.undo = fuse_create_undo,
			ARGS(fuse_create_in),
			.nb_names = 1,
			.reply_min = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out),
			.flags = FUSE_OP_MAKES | FUSE_OP_DIR | FUSE_OP_ANY_NAME | FUSE_OP_CHANGES },
	[FUSE_STATX] = { .name = "STATX",
			.start = fuse_statx,
			.reply = fuse_statx_reply,
			ARGS(fuse_statx_in),
			REPLY_MIN(fuse_statx_out),
			.flags = FUSE_OP_NO_NODE },
	[FUSE_COPY_FILE_RANGE_64] = { .name = "COPY_FILE_RANGE_64",
			.start = fuse_copy_file_range,
			.reply = fuse_copy_file_range_64_reply,
			ARGS(fuse_copy_file_range_in),
			REPLY_MIN(fuse_copy_file_range_out),
			.flags = FUSE_OP_FILE | FUSE_OP_COUNT | FUSE_OP_CHANGES },
};

int
weir_fuse_init(uint32_t nb_big_args)
{
	/* No per-lcore cache: one lcore could keep the buffers that another one waits for. */
	fuse_arg_pool = rte_mempool_create("weir_fuse_args", RTE_MAX(nb_big_args, 1u), FUSE_ARG_MAX,
			0, 0, NULL, NULL, NULL, NULL, SOCKET_ID_ANY, 0);
	return fuse_arg_pool != NULL ? 0 : -ENOMEM;
}

void
weir_fuse_fini(void)
{
	rte_mempool_free(fuse_arg_pool);
	fuse_arg_pool = NULL;
}

/* -1 means "leave as it is" to the system calls that a file system makes with it. */
static uint32_t
fuse_cred_id(uint32_t id)
{
	return id != UINT32_MAX ? id : FUSE_NOBODY;
}

static void WEIR_ON_WORKER
fuse_req_begin(struct weir_fuse_session *sess, struct weir_fuse_req *req)
{
	req->sess = sess;
	req->worker = weir_worker_self();
	req->op = &fuse_ops[0];
	req->file = NULL;
	req->unique = 0;
	req->nodeid = 0;
	req->opcode = 0;
	req->phase = atomic_load_explicit(&sess->phase, memory_order_acquire);
	req->out_len = RTE_MIN(req->out.left, (size_t)UINT32_MAX);
	req->payload = 0;
	req->state = FUSE_REQ_NEW;
	req->flags = 0;
	req->full = false;
	req->arg = req->arg_inline;
	memset(&req->io, 0, offsetof(struct weir_fsreq, in));
}

/* Where ids matter but for what is made, who is forbidden is nobody. */
static void WEIR_ON_WORKER
fuse_map_cred(struct weir_fuse_req *req)
{
	struct weir_cred *cred = &req->io.cred;

	cred->mapped = true;
	if (fuse_idmap_uid_in(req->sess->maps, &cred->uid) &&
			fuse_idmap_gid_in(req->sess->maps, &cred->gid))
		return;
	cred->uid = FUSE_NOBODY;
	cred->gid = FUSE_NOBODY;
	req->flags |= FUSE_REQ_NOBODY;
}

static void WEIR_ON_WORKER
fuse_take_header(struct weir_fuse_req *req, const struct fuse_in_header *head)
{
	if (head->opcode < RTE_DIM(fuse_ops) && fuse_ops[head->opcode].start != NULL)
		req->op = &fuse_ops[head->opcode];
	req->opcode = req->op - fuse_ops;
	req->unique = head->unique;
	req->nodeid = head->nodeid;
	req->io.cred.uid = fuse_cred_id(head->uid);
	req->io.cred.gid = fuse_cred_id(head->gid);
	req->io.cred.pid = head->pid;
	if (unlikely(req->sess->maps != NULL))
		fuse_map_cred(req);
	/* What moves data fills in what its drivers read, and gives back no more than a number. */
	if ((req->op->flags & FUSE_OP_COUNT) == 0)
		memset(&req->io.in, 0,
				offsetof(struct weir_fsreq, ctx) - offsetof(struct weir_fsreq, in));
}

int WEIR_ON_WORKER
fuse_fail(struct weir_fuse_req *req, enum fuse_fault fault, int error)
{
	fuse_stats_fault(req->sess, fault);
	return error;
}

/* left: bytes behind the header, which ext says how many at the end are extensions of. */
static int WEIR_ON_WORKER
fuse_check_header(struct weir_fuse_req *req, const struct fuse_in_header *head, size_t left)
{
	const struct fuse_op *op = req->op;

	if (op->start == NULL)
		return fuse_fail(req, FUSE_FAULT_OPCODE, -ENOSYS);
	if (head->len != sizeof(*head) + left || head->total_extlen * 8u > left)
		return fuse_fail(req, FUSE_FAULT_SHORT, -EINVAL);
	if ((op->flags & FUSE_OP_EARLY) == 0 && (req->phase & FUSE_STATE_MASK) != FUSE_MOUNTED)
		return fuse_fail(req, FUSE_FAULT_UNMOUNTED, -ENOTCONN);
	if ((op->flags & req->sess->refused) != 0)
		return -EROFS;
	if ((op->flags & FUSE_OP_NO_REPLY) == 0 &&
			req->out_len < sizeof(struct fuse_out_header) + op->reply_min)
		return fuse_fail(req, FUSE_FAULT_ROOM, -EINVAL);
	return 0;
}

static inline int
fuse_check_name(const struct weir_fuse_req *req, const char *name, size_t len)
{
	bool dots = (req->op->flags & FUSE_OP_DOTS) != 0 && req->sess->dots;

	if (len > FUSE_NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0)
		return -EINVAL;
	if ((req->op->flags & FUSE_OP_ANY_NAME) != 0)
		return 0;
	if (memchr(name, '/', len) != NULL)
		return -EINVAL;
	if (!dots && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
		return -EINVAL;
	return 0;
}

static int
fuse_check_target(size_t len)
{
	if (len == 0)
		return -ENOENT;
	return len > FUSE_TARGET_MAX ? -ENAMETOOLONG : 0;
}

/* The names, at p, where left bytes are. Returns how many are theirs, or -errno. */
static inline int WEIR_ON_WORKER
fuse_take_names(struct weir_fuse_req *req, const char *p, size_t left)
{
	const char *names[2] = { NULL, NULL };
	const char *const first = p;
	size_t len;
	int rc;

	for (unsigned int i = 0; i < req->op->nb_names; i++) {
		len = strnlen(p, left);
		if (len == left)
			return fuse_fail(req, FUSE_FAULT_NAME, -EINVAL);
		if (i == 1 && (req->op->flags & FUSE_OP_TARGET) != 0)
			rc = fuse_check_target(len);
		else
			rc = fuse_check_name(req, p, len);
		if (rc < 0)
			return fuse_fail(req, FUSE_FAULT_NAME, rc);
		names[i] = p;
		p += len + 1;
		left -= len + 1;
	}
	req->io.name = names[0];
	req->io.newname = names[1];
	return (int)(p - first);
}

/* Bytes of names that can be right; longer ones are too long, whatever they are. */
static size_t
fuse_names_max(const struct fuse_op *op)
{
	size_t n = op->nb_names * (FUSE_NAME_MAX + 1u);

	return (op->flags & FUSE_OP_TARGET) != 0 ? n + FUSE_TARGET_MAX - FUSE_NAME_MAX : n;
}

/* SETXATTR: arguments, as long as was negotiated, and a name; the value behind it stays where it is. */
static int WEIR_ON_WORKER
fuse_take_setxattr(struct weir_fuse_req *req, struct weir_iov *in, size_t left)
{
	const struct fuse_op *op = req->op;
	bool ext = fuse_has(req->sess, FUSE_SETXATTR_EXT);
	size_t len, n = ext ? op->arg_max : op->arg_min;
	char *name = (char *)req->arg + op->arg_max;
	struct weir_iov value;
	int rc;

	if (left <= n)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	weir_iov_read(in, req->arg, n);
	memset((uint8_t *)req->arg + n, 0, op->arg_max - n);
	value = *in;
	n = weir_iov_read(in, name, RTE_MIN(left - n, (size_t)FUSE_NAME_MAX + 1));
	len = strnlen(name, n);
	rc = len < n                      ? fuse_check_name(req, name, len) :
			n > FUSE_NAME_MAX ? -ENAMETOOLONG :
					    -EINVAL;
	if (rc < 0)
		return fuse_fail(req, FUSE_FAULT_NAME, rc);
	req->io.name = name;
	*in = value;
	weir_iov_skip(in, len + 1);
	return 0;
}

/* Copies n bytes into the request: nothing is read twice. -EAGAIN: there is no room now. */
static inline int WEIR_ON_WORKER
fuse_copy_args(struct weir_fuse_req *req, struct weir_iov *in, size_t n)
{
	if (n > sizeof(req->arg_inline) && rte_mempool_get(fuse_arg_pool, &req->arg) < 0) {
		req->arg = req->arg_inline;
		return -EAGAIN;
	}
	/* The guest may take memory away, but only its own copy gets shorter by that. */
	weir_iov_read(in, req->arg, n);
	return 0;
}

/*
 * Takes the arguments of what makes a file: left bytes, the last ext of them extensions. Guests that
 * do not count extensions have at most a security context: what is behind the names is one.
 */
static int WEIR_ON_WORKER
fuse_take_making(struct weir_fuse_req *req, struct weir_iov *in, size_t left, size_t ext)
{
	const bool labels = (atomic_load_explicit(&req->sess->shared->flags, memory_order_relaxed) &
					    FUSE_SECURITY_CTX) != 0;
	const struct fuse_op *op = req->op;
	const uint8_t *arg;
	size_t n = left - ext;
	int rc;

	if ((req->flags & FUSE_REQ_NOBODY) != 0)
		return -EPERM;
	if (n < op->arg_min)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	if (n > op->arg_max + fuse_names_max(op) + (labels && ext == 0 ? FUSE_EXT_MAX : 0))
		return fuse_fail(req, FUSE_FAULT_NAME, -ENAMETOOLONG);
	if (ext > FUSE_EXT_MAX)
		return fuse_fail(req, FUSE_FAULT_EXT, -EINVAL);
	rc = fuse_copy_args(req, in, left);
	if (rc < 0)
		return rc;
	arg = req->arg;
	rc = fuse_take_names(req, (const char *)arg + op->arg_max, n - op->arg_max);
	if (rc < 0)
		return rc;
	n -= op->arg_max + (size_t)rc;
	if (n > 0 && (!labels || ext > 0))
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	return ext + n == 0 ? 0 : fuse_take_ext(req, arg + left - ext - n, ext + n);
}

/* Takes the arguments, left bytes from in on, the last ext of which are extensions. */
static int WEIR_ON_WORKER
fuse_take_args(struct weir_fuse_req *req, struct weir_iov *in, size_t left, size_t ext)
{
	const struct fuse_op *op = req->op;
	size_t n;
	int rc;

	if ((op->flags & FUSE_OP_MAKES) != 0)
		return fuse_take_making(req, in, left, ext);
	left -= ext;
	if (left < op->arg_min)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	n = left;
	if ((op->flags & FUSE_OP_PAYLOAD) != 0) {
		if (op->nb_names > 0)
			return fuse_take_setxattr(req, in, left);
		n = RTE_MIN(left, (size_t)op->arg_max);
	} else if (left > op->arg_max + fuse_names_max(op))
		return op->nb_names > 0 ? fuse_fail(req, FUSE_FAULT_NAME, -ENAMETOOLONG) :
					  fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);

	rc = fuse_copy_args(req, in, n);
	if (rc < 0)
		return rc;
	if (n < op->arg_max)
		memset((uint8_t *)req->arg + n, 0, op->arg_max - n);
	if (op->nb_names == 0)
		return 0;
	rc = fuse_take_names(req, (const char *)req->arg + op->arg_max, n - op->arg_max);
	if (rc >= 0 && (size_t)rc < n - op->arg_max)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	return RTE_MIN(rc, 0);
}

/* LOOKUP of ".": the guest knows the node by its number, perhaps from a time before it forgot it. */
static int WEIR_ON_WORKER
fuse_use_itself(struct weir_fuse_req *req)
{
	req->io.node = fuse_node_get_idle(req->sess, req->nodeid);
	return req->io.node != NULL ? 0 : -ESTALE;
}

int WEIR_ON_WORKER
fuse_use_node(struct weir_fuse_req *req)
{
	if ((req->op->flags & FUSE_OP_DOTS) != 0 && strcmp(req->io.name, ".") == 0)
		return fuse_use_itself(req);
	req->io.node = fuse_node_get(req->sess, req->nodeid);
	if (req->io.node == NULL)
		return -ESTALE;
	if ((req->op->flags & FUSE_OP_DIR) != 0 && !S_ISDIR(req->io.node->type))
		return -ENOTDIR;
	return 0;
}

int WEIR_ON_WORKER
fuse_use_file(struct weir_fuse_req *req, uint64_t fh, bool dir)
{
	int rc = fuse_file_get(req, fh);

	if (rc < 0)
		return rc;
	req->io.node = fuse_file_node(req->sess, req->file);
	req->flags |= FUSE_REQ_BORROWS;
	/* The private bytes of files and of directories are different things to the driver. */
	if (S_ISDIR(req->io.node->type) != dir)
		return fuse_fail(req, FUSE_FAULT_FILE, -EBADF);
	req->io.file = &req->file->base;
	return 0;
}

static int WEIR_ON_WORKER
fuse_resolve(struct weir_fuse_req *req)
{
	const struct fuse_file_in *arg = req->arg;

	if ((req->op->flags & FUSE_OP_FILE) != 0)
		return fuse_use_file(req, arg->fh, (req->op->flags & FUSE_OP_DIR) != 0);
	if ((req->op->flags & FUSE_OP_NO_NODE) != 0)
		return 0;
	return fuse_use_node(req);
}

int WEIR_ON_WORKER
weir_fuse_submit(struct weir_fuse_session *sess, struct weir_fuse_req *req)
{
	const struct weir_iov whole = req->in;
	struct fuse_in_header head;
	struct weir_iov in = whole;
	size_t left;
	int rc;

	fuse_req_begin(sess, req);
	if (weir_iov_get(&in, &head, sizeof(head)) < sizeof(head)) {
		fuse_stats_fault(sess, FUSE_FAULT_SHORT);
		fuse_finish_silent(req);
		return 0;
	}
	fuse_take_header(req, &head);
	weir_trace(fuse_begin, head.unique, head.opcode, head.nodeid);
	left = in.left;
	rc = fuse_check_header(req, &head, left);
	if (rc == 0)
		rc = fuse_take_args(req, &in, left, head.total_extlen * 8u);
	if (rc == 0)
		rc = fuse_resolve(req);
	if (rc == 0) {
		req->in = in;
		rc = req->op->start(req, req->arg);
	}
	if (rc == 0)
		return 0;
	if (rc == -EAGAIN) {
		fuse_stats_fault(sess, FUSE_FAULT_BACKOFF);
		fuse_req_drop(req);
		req->in = whole;
		return -EAGAIN;
	}
	fuse_finish(req, rc);
	return 0;
}

/* A DESTROY waited for nothing else; a new session that began meanwhile is none of its business. */
void WEIR_ON_WORKER
fuse_restart(struct weir_fuse_req *req)
{
	int rc = -ENOTCONN;

	fuse_req_step(req, FUSE_REQ_WAITING, FUSE_REQ_NEW);
	if (req->opcode == FUSE_DESTROY)
		rc = 0;
	else if ((req->flags & FUSE_REQ_DETACHED) == 0) {
		rc = req->op->start(req, req->arg);
		if (rc == 0)
			return;
	}
	fuse_finish(req, rc);
}

static void WEIR_ON_WORKER
fuse_fenced(struct weir_fsreq *io)
{
	struct weir_fuse_req *req = container_of(io, struct weir_fuse_req, io);
	bool ended = req->state == FUSE_REQ_ENDED;

	req->flags |= FUSE_REQ_FENCED;
	req->fenced(req);
	if (ended)
		req->released(req);
}

void WEIR_ON_WORKER
weir_fuse_detach(struct weir_fuse_req *req, void (*fenced)(struct weir_fuse_req *req))
{
	RTE_ASSERT((req->flags & FUSE_REQ_DETACHED) == 0);
	req->flags |= FUSE_REQ_DETACHED;
	req->fenced = fenced;
	if (req->state == FUSE_REQ_IN_BACKEND)
		weir_fsdev_detach(&req->io, fuse_fenced);
	else
		fuse_fenced(&req->io);
}
