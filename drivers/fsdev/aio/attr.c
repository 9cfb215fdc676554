/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Attributes. They are set as the owner of the folder: the guest's kernel has checked that its
 * caller may, and has worked out which set-id bits go.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "aio.h"

/* The descriptor to look at: the open file's, else the node's. */
static int
attr_peek(struct aio_fs *fs, struct weir_fsreq *req, struct aio_ref *ref)
{
	if (req->file == NULL)
		return aio_node_peek(fs, req->node, ref);
	ref->slot = aio_file_of(req->file)->slot;
	ref->fd = aio_fd_get(&fs->fds, ref->slot);
	return ref->fd < 0 ? -EBADF : 0;
}

static int WEIR_ON_HELPER
attr_open(struct aio_fs *fs, struct weir_fsreq *req, struct aio_ref *ref)
{
	return req->file == NULL ? aio_node_open(fs, req->node, ref) : attr_peek(fs, req, ref);
}

/* What GETATTR, or STATX, asks. flags: AT_STATX_. */
static int
attr_tell(struct aio_fs *fs, struct weir_fsreq *req, int fd, int flags)
{
	if (req->op == WEIR_FSOP_STATX)
		return aio_fd_statx(fs, fd, flags, &req->out.statx.stat);
	return aio_fd_attr(fs, fd, flags, &req->out.attr.attr);
}

static int WEIR_ON_HELPER
attr_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const int flags = req->op == WEIR_FSOP_STATX ? (int)req->in.statx.flags : 0;
	struct aio_ref ref;
	int rc;

	rc = attr_open(fs, req, &ref);
	if (rc < 0)
		return rc;
	rc = attr_tell(fs, req, ref.fd, flags);
	aio_ref_put_now(fs, &ref);
	return rc;
}

static int WEIR_ON_WORKER
attr_start(struct weir_channel *chan, struct weir_fsreq *req)
{
	const struct aio_node *node = weir_node_priv(req->node);
	struct aio_fs *fs = aio_fs_of(chan);
	struct aio_ref ref;
	int rc;

	aio_begin(req);
	if (!node->local || attr_peek(fs, req, &ref) < 0)
		return aio_run(chan, req, attr_run, NULL);
	rc = attr_tell(fs, req, ref.fd, AT_STATX_DONT_SYNC);
	aio_fd_put(&fs->fds, ref.slot);
	return rc;
}

int WEIR_ON_WORKER
aio_getattr(struct weir_channel *chan, struct weir_fsreq *req)
{
	req->out.attr.valid_ns = aio_fs_of(chan)->attr_valid_ns;
	return attr_start(chan, req);
}

int WEIR_ON_WORKER
aio_statx(struct weir_channel *chan, struct weir_fsreq *req)
{
	req->out.statx.valid_ns = aio_fs_of(chan)->attr_valid_ns;
	return attr_start(chan, req);
}

static struct timespec
setattr_time(uint32_t valid, uint32_t set, uint32_t now, int64_t sec, uint32_t nsec)
{
	if ((valid & now) != 0)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if ((valid & set) == 0)
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	return (struct timespec){ .tv_sec = sec, .tv_nsec = nsec };
}

static int WEIR_ON_HELPER
setattr_times(const struct weir_fsreq *req, int fd)
{
	const struct weir_attr *attr = &req->in.setattr.attr;
	const uint32_t valid = req->in.setattr.valid;
	struct timespec times[2];

	if (attr->atime_ns > 999999999 || attr->mtime_ns > 999999999)
		return -EINVAL;
	times[0] = setattr_time(
			valid, WEIR_SET_ATIME, WEIR_SET_ATIME_NOW, attr->atime, attr->atime_ns);
	times[1] = setattr_time(
			valid, WEIR_SET_MTIME, WEIR_SET_MTIME_NOW, attr->mtime, attr->mtime_ns);
	return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* Who has opened it for writing may cut it off, whatever its mode is by now. */
static bool
setattr_is_writable(const struct weir_fsreq *req)
{
	return req->file != NULL && (req->file->flags & O_ACCMODE) != O_RDONLY;
}

static int WEIR_ON_HELPER
setattr_size(const struct weir_fsreq *req, int fd)
{
	const int64_t size = (int64_t)req->in.setattr.attr.size;
	char name[16];
	int open_fd, rc;

	if (req->node->type != S_IFREG)
		return req->node->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (size < 0)
		return -EFBIG;
	if (setattr_is_writable(req))
		return ftruncate(fd, size) < 0 ? -errno : 0;
	/* A file open for reading only, and a path descriptor, cannot be truncated themselves. */
	aio_fd_name(fd, name);
	open_fd = openat(aio_proc_fd, name, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	if (open_fd < 0)
		return -errno;
	rc = ftruncate(open_fd, size) < 0 ? -errno : 0;
	close(open_fd);
	return rc;
}

static int WEIR_ON_HELPER
setattr_mode(const struct weir_fsreq *req, int fd)
{
	char name[16];
	int rc;

	if (req->node->type == S_IFLNK)
		return -EOPNOTSUPP;
	/* Whatever falls with a size that is set as well, the mode comes as it is. */
	rc = aio_cred_kill(false);
	if (rc < 0)
		return rc;
	aio_fd_name(fd, name);
	return fchmodat(aio_proc_fd, name, req->in.setattr.attr.mode & 07777, 0) < 0 ? -errno : 0;
}

/* The owner before the mode: changing it takes set-id bits away that the mode may bring back. */
static int WEIR_ON_HELPER
setattr_apply(const struct weir_fsreq *req, int fd)
{
	const uint32_t valid = req->in.setattr.valid;
	const struct weir_attr *attr = &req->in.setattr.attr;
	int rc = 0;

	if ((valid & WEIR_SET_SIZE) != 0)
		rc = setattr_size(req, fd);
	if (rc == 0 && (valid & (WEIR_SET_UID | WEIR_SET_GID)) != 0)
		rc = fchownat(fd, "", (valid & WEIR_SET_UID) != 0 ? attr->uid : (uid_t)-1,
				     (valid & WEIR_SET_GID) != 0 ? attr->gid : (gid_t)-1,
				     AT_EMPTY_PATH) < 0 ?
				-errno :
				0;
	if (rc == 0 && (valid & WEIR_SET_MODE) != 0)
		rc = setattr_mode(req, fd);
	if (rc == 0 &&
			(valid &
					(WEIR_SET_ATIME | WEIR_SET_MTIME | WEIR_SET_ATIME_NOW |
							WEIR_SET_MTIME_NOW)) != 0)
		rc = setattr_times(req, fd);
	return rc;
}

static int WEIR_ON_HELPER
setattr_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ref ref;
	int rc;

	rc = attr_open(fs, req, &ref);
	if (rc < 0)
		return rc;
	rc = setattr_apply(req, ref.fd);
	if (rc == 0)
		rc = aio_fd_attr(fs, ref.fd, 0, &req->out.attr.attr);
	aio_ref_put_now(fs, &ref);
	return rc;
}

int WEIR_ON_WORKER
aio_setattr(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	req->out.attr.valid_ns = aio_fs_of(chan)->attr_valid_ns;
	return aio_defer(chan, req, setattr_run, NULL);
}

static int WEIR_ON_HELPER
readlink_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ref ref;
	ssize_t n;
	int rc;

	rc = aio_node_open(fs, req->node, &ref);
	if (rc < 0)
		return rc;
	n = readlinkat(ref.fd, "", aio_ctx_of(req)->piece, PATH_MAX);
	rc = n < 0 ? -errno : (int)n;
	aio_ref_put_now(fs, &ref);
	return rc;
}

static int WEIR_ON_WORKER
readlink_finish(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_ctx *ctx = aio_ctx_of(req);
	int res = ctx->res;

	if (res > 0 && !weir_fsreq_detached(req))
		res = (int)weir_iov_write(&req->iov, ctx->piece, (size_t)res);
	aio_pool_put(req);
	return res;
}

static int WEIR_ON_WORKER
readlink_resume(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_chan *achan = weir_channel_priv(chan);
	int rc;

	if (weir_fsreq_detached(req)) {
		aio_pool_put(req);
		return -ECANCELED;
	}
	rc = aio_pool_get(&achan->bufs, req, readlink_resume);
	return rc < 0 ? rc : aio_defer(chan, req, readlink_run, readlink_finish);
}

int WEIR_ON_WORKER
aio_readlink(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	return req->node->type == S_IFLNK ? readlink_resume(chan, req) : -EINVAL;
}

static int WEIR_ON_HELPER
statfs_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct weir_statfs *out = &req->out.statfs;
	struct aio_ref ref;
	struct statfs st;
	int rc;

	rc = aio_node_open(fs, req->node, &ref);
	if (rc < 0)
		return rc;
	rc = fstatfs(ref.fd, &st) < 0 ? -errno : 0;
	aio_ref_put_now(fs, &ref);
	if (rc == 0)
		*out = (struct weir_statfs){
			.blocks = st.f_blocks,
			.bfree = st.f_bfree,
			.bavail = st.f_bavail,
			.files = st.f_files,
			.ffree = st.f_ffree,
			.bsize = (uint32_t)st.f_bsize,
			.namelen = (uint32_t)st.f_namelen,
			.frsize = (uint32_t)st.f_frsize,
		};
	return rc;
}

int WEIR_ON_WORKER
aio_statfs(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	return aio_defer(chan, req, statfs_run, NULL);
}

/* The kernel's own check with the caller's ids; AT_EACCESS makes it use the file-system ones. */
static int WEIR_ON_HELPER
access_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ref ref;
	int rc;

	rc = aio_node_open(fs, req->node, &ref);
	if (rc < 0)
		return rc;
	rc = aio_cred_take(&req->cred);
	if (rc == 0) {
		rc = (int)syscall(SYS_faccessat2, ref.fd, "", req->in.access.mask,
				AT_EACCESS | AT_EMPTY_PATH);
		rc = rc < 0 ? -errno : 0;
		aio_cred_drop();
	}
	aio_ref_put_now(fs, &ref);
	return rc;
}

int WEIR_ON_WORKER
aio_access(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	if ((req->in.access.mask & ~(uint32_t)(R_OK | W_OK | X_OK)) != 0)
		return -EINVAL;
	return aio_defer(chan, req, access_run, NULL);
}
