/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Names in directories. Every call is relative to the inode that a node holds and takes one
 * component, so renames under way, inside the guest or beside it, cannot lead out of the folder.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

static int WEIR_ON_WORKER entry_finish(struct weir_channel *chan, struct weir_fsreq *req);

static void WEIR_ON_WORKER
entry_again(struct weir_fsreq *req)
{
	aio_end(req, entry_finish(req->chan, req));
}

/* Turns what was found into the guest's node. */
int WEIR_ON_WORKER
aio_entry_answer(const struct aio_fs *fs, struct weir_fsreq *req, struct weir_node *node)
{
	req->out.entry.node = node;
	req->out.entry.entry_valid_ns = fs->entry_valid_ns;
	req->out.entry.attr_valid_ns = fs->attr_valid_ns;
	return 0;
}

static int WEIR_ON_WORKER
entry_finish(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_ctx *ctx = aio_ctx_of(req);
	struct aio_fs *fs = aio_fs_of(chan);
	struct weir_node *node;
	int rc = ctx->res;

	if (rc == 0)
		rc = aio_node_adopt(fs, weir_channel_fsdev(chan), &ctx->found, &node);
	if (rc == -EAGAIN && ctx->res == 0) {
		weir_fsreq_retry(req, entry_again);
		return -EINPROGRESS;
	}
	if (rc < 0) {
		if (req->op == WEIR_FSOP_CREATE || req->op == WEIR_FSOP_TMPFILE)
			aio_file_drop(fs, req->file);
		return rc;
	}
	return aio_entry_answer(fs, req, node);
}

static int WEIR_ON_HELPER
lookup_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ctx *ctx = aio_ctx_of(req);
	struct aio_ref dir;
	int rc;

	rc = aio_found_take(fs, &ctx->found);
	if (rc < 0)
		return rc;
	rc = aio_node_open(fs, req->node, &dir);
	if (rc < 0) {
		aio_found_drop(fs, &ctx->found);
		return rc;
	}
	rc = aio_find(fs, dir.fd, req->name, &ctx->found, &req->out.entry.attr);
	aio_ref_put_now(fs, &dir);
	return rc;
}

/* A directory whose descriptor is held; one in memory can be opened as well. */
static int WEIR_ON_WORKER
lookup_dir(struct aio_fs *fs, struct weir_node *node, struct aio_ref *dir)
{
	int rc;

	if (!fs->in_memory)
		return aio_node_peek(fs, node, dir);
	weir_role_assume_helper();
	rc = aio_node_open(fs, node, dir);
	if (rc < 0 || dir->slot != 0)
		return rc;
	aio_ref_put_now(fs, dir);
	return -EAGAIN;
}

int WEIR_ON_WORKER
aio_lookup(struct weir_channel *chan, struct weir_fsreq *req)
{
	const struct aio_node *dir_node = weir_node_priv(req->node);
	struct aio_ctx *ctx = aio_begin(req);
	struct weir_attr *attr = &req->out.entry.attr;
	struct aio_fs *fs = aio_fs_of(chan);
	struct weir_node *node;
	struct aio_ref dir;
	int rc;

	rc = aio_name_check(req->name);
	if (rc < 0)
		return rc;
	if (!dir_node->local || lookup_dir(fs, req->node, &dir) < 0)
		return aio_defer(chan, req, lookup_run, entry_finish);
	rc = aio_find_known(fs, weir_channel_fsdev(chan), dir.fd, req->name, &node, attr);
	if (rc == -EAGAIN)
		ctx->res = aio_find_cached(fs, dir.fd, req->name, &ctx->found, attr);
	aio_fd_put(&fs->fds, dir.slot);
	if (rc == 0)
		return aio_entry_answer(fs, req, node);
	if (rc != -EAGAIN)
		return rc;
	if (ctx->res == -EAGAIN)
		return aio_defer(chan, req, lookup_run, entry_finish);
	return entry_finish(chan, req);
}

static dev_t
dev_decode(uint32_t rdev)
{
	return makedev((rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0xfff00));
}

/* The one call that makes the name, as the caller. A default ACL of the directory beats the umask. */
static int WEIR_ON_HELPER
make_name(const struct weir_fsreq *req, int dirfd)
{
	const uint32_t mode = req->in.create.mode;
	int rc;

	rc = aio_cred_take_able(req);
	if (rc < 0)
		return rc;
	switch (req->op) {
	case WEIR_FSOP_MKDIR:
		aio_cred_umask(req->in.create.umask);
		rc = mkdirat(dirfd, req->name, mode & 07777);
		break;
	case WEIR_FSOP_MKNOD:
		aio_cred_umask(req->in.create.umask);
		rc = mknodat(dirfd, req->name, mode & (S_IFMT | 07777),
				dev_decode(req->in.create.rdev));
		break;
	default:
		rc = symlinkat(req->newname, dirfd, req->name);
		break;
	}
	rc = rc < 0 ? -errno : 0;
	aio_cred_drop();
	return rc;
}

static int WEIR_ON_HELPER
make_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ctx *ctx = aio_ctx_of(req);
	struct timespec since;
	struct aio_ref dir;
	int rc;

	rc = aio_found_take(fs, &ctx->found);
	if (rc < 0)
		return rc;
	rc = aio_node_open(fs, req->node, &dir);
	if (rc < 0)
		goto drop_found;
	aio_label_clock(&since);
	rc = make_name(req, dir.fd);
	if (rc == 0)
		rc = aio_label_name(fs, req, dir.fd, &since);
	if (rc == 0)
		rc = aio_find(fs, dir.fd, req->name, &ctx->found, &req->out.entry.attr);
	aio_ref_put_now(fs, &dir);
drop_found:
	if (rc < 0)
		aio_found_drop(fs, &ctx->found);
	return rc;
}

static int WEIR_ON_WORKER
make(struct weir_channel *chan, struct weir_fsreq *req)
{
	return aio_with_name(chan, req, aio_defer, make_run, entry_finish);
}

int WEIR_ON_WORKER
aio_mkdir(struct weir_channel *chan, struct weir_fsreq *req)
{
	return make(chan, req);
}

int WEIR_ON_WORKER
aio_mknod(struct weir_channel *chan, struct weir_fsreq *req)
{
	switch (req->in.create.mode & S_IFMT) {
	case 0:
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return make(chan, req);
	default:
		return -EINVAL;
	}
}

int WEIR_ON_WORKER
aio_symlink(struct weir_channel *chan, struct weir_fsreq *req)
{
	return make(chan, req);
}

/*
 * Somebody else made the file since the guest looked. Its kernel will check nothing any more, so
 * the file is opened with no more rights than the caller has.
 */
static int WEIR_ON_HELPER
create_existing(struct aio_fs *fs, struct weir_fsreq *req, int dirfd, int flags)
{
	char name[16];
	int path, fd;
	struct stat st;

	path = aio_openat(dirfd, req->name, O_PATH, 0, 0);
	if (path < 0)
		return path;
	fd = fstat(path, &st) < 0 ? -errno : 0;
	if (fd == 0 && !S_ISREG(st.st_mode))
		fd = S_ISLNK(st.st_mode) ? -ELOOP : S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO;
	if (fd == 0)
		fd = aio_cred_take(&req->cred);
	if (fd == 0) {
		aio_fd_name(path, name);
		fd = openat(aio_proc_fd, name, flags | (req->file->flags & O_TRUNC));
		fd = fd < 0 ? -errno : fd;
		aio_cred_drop();
	}
	close(path);
	return fd;
}

/* What is new is in the directory itself: where nothing is mounted, openat2() has nothing to add. */
static int WEIR_ON_HELPER
create_excl(struct aio_fs *fs, struct weir_fsreq *req, int dirfd, int flags)
{
	const mode_t mode = req->in.create.mode & 07777;
	int fd;

	if (!aio_way_is_free(fs))
		return aio_openat(dirfd, req->name, (uint64_t)flags, mode, RESOLVE_NO_XDEV);
	fd = openat(dirfd, req->name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
	return fd < 0 ? -errno : fd;
}

/* What was made has its label before anything else is done with it; fd is closed where it has not. */
static int WEIR_ON_HELPER
create_label(const struct aio_fs *fs, const struct weir_fsreq *req, int dirfd, int fd)
{
	int rc = aio_label_made(fs, req, dirfd, fd);

	if (rc < 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

static int WEIR_ON_HELPER
create_open(struct aio_fs *fs, struct weir_fsreq *req, int dirfd)
{
	const int flags = aio_open_flags(req->file->flags);
	int fd;

	fd = aio_cred_take_able(req);
	if (fd < 0)
		return fd;
	aio_cred_umask(req->in.create.umask);
	fd = create_excl(fs, req, dirfd, flags | O_CREAT | O_EXCL);
	aio_cred_drop();
	if (fd >= 0)
		return create_label(fs, req, dirfd, fd);
	/* What another file system is mounted on exists. */
	if (fd == -EXDEV)
		fd = -EEXIST;
	if (fd != -EEXIST || (req->file->flags & O_EXCL) != 0)
		return fd;
	return aio_may_wait() ? create_existing(fs, req, dirfd, flags) : -EAGAIN;
}

/* A file without a name. With O_EXCL it never gets one. */
static int WEIR_ON_HELPER
tmpfile_open(const struct aio_fs *fs, struct weir_fsreq *req, int dirfd)
{
	const int flags = aio_open_flags(req->file->flags) | ((int)req->file->flags & O_EXCL);
	int fd;

	fd = aio_cred_take_able(req);
	if (fd < 0)
		return fd;
	aio_cred_umask(req->in.create.umask);
	fd = aio_openat(dirfd, ".", (uint64_t)(flags | O_TMPFILE), req->in.create.mode & 07777, 0);
	aio_cred_drop();
	return fd < 0 ? fd : create_label(fs, req, dirfd, fd);
}

/*
 * What was made, and a path descriptor for the node beside the file's own. In memory one is opened
 * when it is needed, if ever: that is not dear there.
 */
static int WEIR_ON_HELPER
create_identify(struct aio_fs *fs, struct weir_fsreq *req, int fd)
{
	struct aio_found *found = &aio_ctx_of(req)->found;
	char name[16];
	int path, rc;

	rc = aio_may_wait() ? aio_identify(fs, fd, 0, found, &req->out.entry.attr) :
			      aio_identify_made(fs, fd, found, &req->out.entry.attr);
	if (rc < 0)
		return rc;
	if (found->slot == 0 && found->node.handle_bytes > 0)
		return 0;
	/* In memory, but another file system is mounted on it. */
	if (found->slot == 0 && aio_fd_take(&fs->fds, &found->slot) < 0)
		return -ENFILE;
	aio_fd_name(fd, name);
	path = openat(aio_proc_fd, name, O_PATH | O_CLOEXEC);
	if (path < 0)
		return -errno;
	aio_found_set(fs, found, 0, path);
	return 0;
}

static int WEIR_ON_HELPER
create_file(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ref dir;
	int fd, rc;

	rc = aio_node_open(fs, req->node, &dir);
	if (rc < 0)
		return rc;
	if (req->op == WEIR_FSOP_TMPFILE)
		fd = tmpfile_open(fs, req, dir.fd);
	else
		fd = create_open(fs, req, dir.fd);
	aio_ref_put_now(fs, &dir);
	if (fd < 0)
		return fd;
	rc = create_identify(fs, req, fd);
	if (rc < 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

static int WEIR_ON_HELPER
create_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_found *found = &aio_ctx_of(req)->found;
	int rc;

	rc = aio_file_take(fs, req->file);
	if (rc < 0)
		return rc;
	found->slot = 0;
	if (fs->mount_fd < 0 || !aio_node_in_memory(fs, req->node))
		rc = aio_found_take(fs, found);
	if (rc == 0) {
		rc = create_file(fs, req);
		if (rc < 0)
			aio_found_drop(fs, found);
	}
	return aio_file_set(fs, &found->node, req->file, rc);
}

int WEIR_ON_WORKER
aio_create(struct weir_channel *chan, struct weir_fsreq *req)
{
	return aio_with_name(chan, req, aio_run, create_run, entry_finish);
}

int WEIR_ON_WORKER
aio_tmpfile(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	return aio_defer(chan, req, create_run, entry_finish);
}
