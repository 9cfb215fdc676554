/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Extended attributes, ACLs among them. The guest's kernel has checked that its caller may; weir acts
 * as itself.
 *
 * Calls by descriptor want one that is open, which special files must never be and links cannot. So
 * they go by the name that a path descriptor has in /proc, which leads to the inode itself, and no
 * further where that is a link. Before Linux 6.13 these calls take no directory: the thread goes to
 * live there.
 */

#include <errno.h>
#include <linux/limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define TRUSTED     "trusted."

static_assert(XATTR_SIZE_MAX <= AIO_BUF_MIN && XATTR_LIST_MAX <= AIO_BUF_MIN,
		"a value, or a list, fits a buffer");

int WEIR_ON_HELPER
aio_xattr_thread_init(void)
{
	static __thread bool ready;

	if (ready)
		return 0;
	if (unshare(CLONE_FS) < 0 || fchdir(aio_proc_fd) < 0)
		return -errno;
	ready = true;
	return 0;
}

bool WEIR_ON_HELPER
aio_acl_probe(int fd)
{
	char path[16];

	aio_fd_name(fd, path);
	return aio_xattr_thread_init() == 0 &&
			(getxattr(path, ACL_ACCESS, NULL, 0) >= 0 || errno == ENODATA);
}

/* The host enforces them and hands them down by the names that they have there. */
bool
aio_acl_names_are_kept(const struct aio_fs *fs)
{
	return fs->xattrmap == NULL ||
			(aio_xattrmap_leaves(fs->xattrmap, ACL_ACCESS) &&
					aio_xattrmap_leaves(fs->xattrmap, ACL_DEFAULT));
}

/* A guest that does not know ACLs would go by the mode alone, so it shall not make any. */
static bool
xattr_is_hidden(const struct aio_fs *fs, const char *name)
{
	return !fs->posix_acl && (strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0);
}

int
aio_xattr_name_in(const struct aio_fs *fs, const char *name, char host[XATTR_NAME_MAX + 1])
{
	int rc = 0;

	if (xattr_is_hidden(fs, name))
		return -EOPNOTSUPP;
	if (fs->xattrmap != NULL)
		rc = aio_xattrmap_in(fs->xattrmap, name, host);
	else if ((size_t)snprintf(host, XATTR_NAME_MAX + 1, "%s", name) > XATTR_NAME_MAX)
		rc = -ERANGE;
	return rc == 0 && xattr_is_hidden(fs, host) ? -EOPNOTSUPP : rc;
}

/* Linux lists these to who has CAP_SYS_ADMIN, which requests do not tell. */
static bool
xattr_is_listed(const char *name, uint32_t uid)
{
	return uid == 0 || strncmp(name, TRUSTED, strlen(TRUSTED)) != 0;
}

/* What the guest calls an attribute of the host's that is listed to a user; NULL: it is not. */
static const char *
xattr_name_out(const struct aio_fs *fs, const char *host, uint32_t uid)
{
	const char *name = host;

	if (xattr_is_hidden(fs, host))
		return NULL;
	if (fs->xattrmap != NULL)
		name = aio_xattrmap_out(fs->xattrmap, host);
	if (name == NULL || xattr_is_hidden(fs, name))
		return NULL;
	return xattr_is_listed(name, uid) ? name : NULL;
}

/* Makes the host's list of names, n bytes, the guest's, which is no longer. @return its bytes. */
static size_t
xattr_names_out(const struct aio_fs *fs, uint32_t uid, char *list, size_t n)
{
	size_t from, to = 0, len;
	const char *name;

	for (from = 0; from < n; from += len) {
		/* Whatever file system the folder is on, each name ends. */
		len = strnlen(list + from, n - from - 1) + 1;
		list[from + len - 1] = '\0';
		name = xattr_name_out(fs, list + from, uid);
		if (name == NULL)
			continue;
		memmove(list + to, name, strlen(name) + 1);
		to += strlen(list + to) + 1;
	}
	return to;
}

/* Bytes that the guest has room for; none are wanted where it asks for the size. */
static size_t
xattr_room(const struct weir_fsreq *req)
{
	return (req->flags & WEIR_FSREQ_SIZE) != 0 ?
			0 :
			RTE_MIN(req->in.io.len, (uint32_t)XATTR_SIZE_MAX);
}

static int WEIR_ON_HELPER
xattr_get(const struct weir_fsreq *req, const char *path, const char *name, void *buf)
{
	const size_t room = xattr_room(req);
	ssize_t n;

	/* To the kernel no room is a question for the size, too. */
	if (room == 0 && (req->flags & WEIR_FSREQ_SIZE) == 0)
		return -ERANGE;
	n = getxattr(path, name, buf, room);
	return n < 0 ? -errno : (int)n;
}

static int WEIR_ON_HELPER
xattr_list(const struct aio_fs *fs, const struct weir_fsreq *req, const char *path, void *buf)
{
	ssize_t n;

	n = listxattr(path, buf, XATTR_LIST_MAX);
	if (n < 0)
		return -errno;
	n = (ssize_t)xattr_names_out(fs, req->cred.uid, buf, (size_t)n);
	if ((req->flags & WEIR_FSREQ_SIZE) == 0 && (size_t)n > xattr_room(req))
		return -ERANGE;
	return (int)n;
}

/* weir's own groups and capabilities would keep the bit, so it goes by hand. */
static int WEIR_ON_HELPER
xattr_kill_sgid(const char *path)
{
	struct stat st;

	if (fstatat(aio_proc_fd, path, &st, 0) < 0)
		return -errno;
	if ((st.st_mode & S_ISGID) == 0)
		return 0;
	return fchmodat(aio_proc_fd, path, st.st_mode & 07777 & ~(mode_t)S_ISGID, 0) < 0 ? -errno :
											   0;
}

static int WEIR_ON_HELPER
xattr_set(const struct weir_fsreq *req, const char *path, const char *name, const void *buf)
{
	const int flags = (int)(req->in.io.flags & (XATTR_CREATE | XATTR_REPLACE));

	if (setxattr(path, name, buf, req->in.io.len, flags) < 0)
		return -errno;
	return (req->in.io.flags & WEIR_XATTR_KILL_SGID) != 0 ? xattr_kill_sgid(path) : 0;
}

static int WEIR_ON_HELPER
xattr_call(const struct aio_fs *fs, struct weir_fsreq *req, const char *path)
{
	void *buf = aio_ctx_of(req)->piece;
	char name[XATTR_NAME_MAX + 1];
	int rc;

	if (req->op == WEIR_FSOP_LISTXATTR)
		return xattr_list(fs, req, path, buf);
	rc = aio_xattr_name_in(fs, req->name, name);
	/* What a map keeps from the guest is not there for its kernel either, which asks on its own. */
	if (rc < 0)
		return rc == -EPERM && req->op == WEIR_FSOP_GETXATTR ? -ENODATA : rc;
	switch (req->op) {
	case WEIR_FSOP_GETXATTR:
		return xattr_get(req, path, name, buf);
	case WEIR_FSOP_SETXATTR:
		return xattr_set(req, path, name, buf);
	default:
		return removexattr(path, name) < 0 ? -errno : 0;
	}
}

static int WEIR_ON_HELPER
xattr_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ref ref;
	char path[16];
	int rc;

	rc = aio_xattr_thread_init();
	if (rc < 0)
		return rc;
	rc = aio_node_open(fs, req->node, &ref);
	if (rc < 0)
		return rc;
	aio_fd_name(ref.fd, path);
	rc = xattr_call(fs, req, path);
	aio_ref_put_now(fs, &ref);
	return rc;
}

static int WEIR_ON_WORKER
xattr_finish(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_ctx *ctx = aio_ctx_of(req);
	const int res = ctx->res;

	/* Only what was read has a length. */
	if (res > 0 && (req->flags & WEIR_FSREQ_SIZE) == 0 && !weir_fsreq_detached(req))
		weir_iov_write(&req->iov, ctx->piece, (size_t)res);
	aio_pool_put(req);
	return res;
}

static int WEIR_ON_WORKER
xattr_resume(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_chan *achan = weir_channel_priv(chan);
	struct aio_ctx *ctx = aio_ctx_of(req);
	int rc;

	if (weir_fsreq_detached(req)) {
		aio_pool_put(req);
		return -ECANCELED;
	}
	rc = aio_pool_get(&achan->bufs, req, xattr_resume);
	if (rc < 0)
		return rc;
	if (req->op == WEIR_FSOP_SETXATTR &&
			weir_iov_read(&req->iov, ctx->piece, req->in.io.len) < req->in.io.len) {
		aio_pool_put(req);
		return -EIO;
	}
	return aio_run(chan, req, xattr_run, xattr_finish);
}

int WEIR_ON_WORKER
aio_xattr(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	if (!aio_fs_of(chan)->xattr)
		return -ENOSYS;
	if (req->op == WEIR_FSOP_SETXATTR && req->in.io.len > XATTR_SIZE_MAX)
		return -E2BIG;
	return xattr_resume(chan, req);
}
