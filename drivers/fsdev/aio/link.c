/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Names that files get, lose and exchange: LINK, UNLINK, RMDIR, RENAME. */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "aio.h"

/* A name may get another file between these, and workers count on it where they unlink. */
static void WEIR_ON_HELPER
move_begin(struct aio_fs *fs)
{
	atomic_fetch_add(&fs->moving, 1);
	while (atomic_load(&fs->unlinking) > 0)
		sched_yield();
}

static void WEIR_ON_HELPER
move_end(struct aio_fs *fs)
{
	atomic_fetch_sub(&fs->moving, 1);
}

static int WEIR_ON_HELPER
link_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ref dir, old;
	char name[16];
	int rc;

	rc = aio_node_open(fs, req->node, &dir);
	if (rc < 0)
		return rc;
	rc = aio_node_open(fs, req->newnode, &old);
	if (rc < 0)
		goto put_dir;
	/* Follows the name in /proc to the descriptor's inode, be it a symbolic link itself. */
	aio_fd_name(old.fd, name);
	move_begin(fs);
	rc = linkat(aio_proc_fd, name, dir.fd, req->name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
	move_end(fs);
	if (rc == 0)
		rc = aio_fd_attr(fs, old.fd, 0, &req->out.entry.attr);
	aio_ref_put_now(fs, &old);
put_dir:
	aio_ref_put_now(fs, &dir);
	return rc;
}

static int WEIR_ON_WORKER
link_finish(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct aio_fs *fs = aio_fs_of(chan);

	if (aio_ctx_of(req)->res < 0)
		return aio_ctx_of(req)->res;
	weir_node_ref(weir_channel_fsdev(chan), req->newnode);
	return aio_entry_answer(fs, req, req->newnode);
}

int WEIR_ON_WORKER
aio_link(struct weir_channel *chan, struct weir_fsreq *req)
{
	return aio_with_name(chan, req, aio_defer, link_run, link_finish);
}

/*
 * In memory, a file whose name goes may be freed at once, which takes long where it is large. So one
 * looks first. That no large file takes the name meanwhile is up to those who move names, which only
 * helpers do: they wait until no worker is here. What the host moves at this very moment can cost a
 * worker the time that it takes to free it, no more.
 */
static int WEIR_ON_HELPER
unlink_small(struct aio_fs *fs, struct weir_fsreq *req, int dirfd)
{
	int rc;

	atomic_fetch_add(&fs->unlinking, 1);
	rc = atomic_load(&fs->moving) > 0 ? -EAGAIN : aio_name_is_small(fs, dirfd, req->name);
	if (rc == 0)
		rc = unlinkat(dirfd, req->name, 0) < 0 ? -errno : 0;
	atomic_fetch_sub(&fs->unlinking, 1);
	return rc;
}

/* A descriptor keeps the file until its size is known. */
static int WEIR_ON_HELPER
unlink_held(struct aio_fs *fs, struct weir_fsreq *req, int dirfd)
{
	uint64_t slot;
	int fd, rc;

	if (aio_fd_take(&fs->fds, &slot) < 0)
		return -EAGAIN;
	fd = aio_openat(dirfd, req->name, O_PATH, 0, RESOLVE_NO_XDEV);
	if (fd < 0) {
		aio_fd_put(&fs->fds, slot);
		return fd == -EXDEV ? -EBUSY : fd;
	}
	aio_fd_set_in_memory(&fs->fds, slot, fd);
	rc = unlinkat(dirfd, req->name, 0) < 0 ? -errno : 0;
	aio_fd_put(&fs->fds, slot);
	return rc;
}

static int WEIR_ON_HELPER
unlink_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const int flags = req->op == WEIR_FSOP_RMDIR ? AT_REMOVEDIR : 0;
	struct aio_ref dir;
	int rc;

	rc = aio_node_open(fs, req->node, &dir);
	if (rc < 0)
		return rc;
	if (aio_may_wait())
		rc = unlinkat(dir.fd, req->name, flags) < 0 ? -errno : 0;
	else
		rc = unlink_small(fs, req, dir.fd);
	if (rc == -EAGAIN)
		rc = unlink_held(fs, req, dir.fd);
	aio_ref_put_now(fs, &dir);
	return rc;
}

int WEIR_ON_WORKER
aio_unlink(struct weir_channel *chan, struct weir_fsreq *req)
{
	return aio_with_name(chan, req, aio_run, unlink_run, NULL);
}

int WEIR_ON_WORKER
aio_rmdir(struct weir_channel *chan, struct weir_fsreq *req)
{
	return aio_with_name(chan, req, aio_defer, unlink_run, NULL);
}

static int WEIR_ON_HELPER
rename_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	struct aio_ref from, to;
	int rc;

	rc = aio_node_open(fs, req->node, &from);
	if (rc < 0)
		return rc;
	rc = aio_node_open(fs, req->newnode, &to);
	if (rc < 0)
		goto put_from;
	move_begin(fs);
	rc = renameat2(from.fd, req->name, to.fd, req->newname, req->in.rename.flags) < 0 ? -errno :
											    0;
	move_end(fs);
	aio_ref_put_now(fs, &to);
put_from:
	aio_ref_put_now(fs, &from);
	return rc;
}

int WEIR_ON_WORKER
aio_rename(struct weir_channel *chan, struct weir_fsreq *req)
{
	int rc = aio_name_check(req->name);

	aio_begin(req);
	if (rc == 0)
		rc = aio_name_check(req->newname);
	if (rc == 0 &&
			(req->in.rename.flags &
					~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) !=
					0)
		rc = -EINVAL;
	return rc < 0 ? rc : aio_defer(chan, req, rename_run, NULL);
}
