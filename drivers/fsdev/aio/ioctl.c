/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Inode flags and struct fsxattr. All may be read. A guest may set those that are about its own data;
 * those that are about what the host can do with it, it may hand back as they are:
 *
 *   immutable, append-only   neither weir nor who owns the folder could remove such a file
 *   project id, PROJINHERIT  a folder's quota is often that of its project
 *   all others               the file system's own business
 *
 * Files that are open here are regular ones and directories, so no device hears of this.
 */

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "aio.h"

#define IFLAGS_SETTABLE                                                                            \
	(FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_DIRSYNC_FL | FS_COMPR_FL | FS_NOCOMP_FL |  \
			FS_NOCOW_FL | FS_TOPDIR_FL | FS_NOTAIL_FL)
#define IFLAGS_HOST (FS_IMMUTABLE_FL | FS_APPEND_FL | FS_PROJINHERIT_FL)

#define XFLAGS_SETTABLE                                                                            \
	(FS_XFLAG_SYNC | FS_XFLAG_NOATIME | FS_XFLAG_NODUMP | FS_XFLAG_NODEFRAG |                  \
			FS_XFLAG_EXTSIZE | FS_XFLAG_EXTSZINHERIT | FS_XFLAG_COWEXTSIZE)
#define XFLAGS_HOST (FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND | FS_XFLAG_PROJINHERIT)

/* Whether flags may become what is wanted. */
static int
flags_check(uint32_t now, uint32_t wanted, uint32_t settable, uint32_t host)
{
	const uint32_t changed = (now ^ wanted) & ~settable;

	if ((changed & host) != 0)
		return -EPERM;
	return changed != 0 ? -EOPNOTSUPP : 0;
}

/* A long by its name; most file systems take it for an int, and some write all of it. */
static int WEIR_ON_HELPER
iflags_get(int fd, uint32_t *iflags)
{
	union {
		long all;
		uint32_t half;
	} flags = { 0 };

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -errno;
	*iflags = flags.half;
	return 0;
}

static int WEIR_ON_HELPER
iflags_set(int fd, uint32_t wanted)
{
	union {
		long all;
		uint32_t half;
	} flags = { 0 };
	uint32_t now = 0;
	int rc;

	rc = iflags_get(fd, &now);
	if (rc == 0)
		rc = flags_check(now, wanted, IFLAGS_SETTABLE, IFLAGS_HOST);
	if (rc < 0)
		return rc;
	flags.half = wanted;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -errno : 0;
}

static int WEIR_ON_HELPER
fsxattr_get(int fd, struct weir_fsxattr *out)
{
	struct fsxattr attr = { 0 };

	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) < 0)
		return -errno;
	*out = (struct weir_fsxattr){
		.xflags = attr.fsx_xflags,
		.extsize = attr.fsx_extsize,
		.nextents = attr.fsx_nextents,
		.projid = attr.fsx_projid,
		.cowextsize = attr.fsx_cowextsize,
	};
	return 0;
}

static int WEIR_ON_HELPER
fsxattr_set(int fd, const struct weir_fsxattr *wanted)
{
	struct fsxattr attr = { 0 };
	int rc;

	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) < 0)
		return -errno;
	if (attr.fsx_projid != wanted->projid)
		return -EPERM;
	rc = flags_check(attr.fsx_xflags, wanted->xflags, XFLAGS_SETTABLE, XFLAGS_HOST);
	if (rc < 0)
		return rc;
	attr.fsx_xflags = wanted->xflags;
	attr.fsx_extsize = wanted->extsize;
	attr.fsx_cowextsize = wanted->cowextsize;
	return ioctl(fd, FS_IOC_FSSETXATTR, &attr) < 0 ? -errno : 0;
}

static int WEIR_ON_HELPER
ioctl_call(struct weir_fsreq *req, int fd)
{
	switch (req->in.ioctl.cmd) {
	case WEIR_IOCTL_GETFLAGS:
		return iflags_get(fd, &req->out.ioctl.iflags);
	case WEIR_IOCTL_SETFLAGS:
		return iflags_set(fd, req->in.ioctl.iflags);
	case WEIR_IOCTL_GETFSXATTR:
		return fsxattr_get(fd, &req->out.ioctl.fsxattr);
	case WEIR_IOCTL_SETFSXATTR:
		return fsxattr_set(fd, &req->in.ioctl.fsxattr);
	default:
		return -ENOTTY;
	}
}

static int WEIR_ON_HELPER
ioctl_run(struct aio_fs *fs, struct weir_fsreq *req)
{
	const uint64_t slot = aio_file_of(req->file)->slot;
	const int fd = aio_fd_get(&fs->fds, slot);
	int rc;

	if (fd < 0)
		return fd;
	rc = ioctl_call(req, fd);
	aio_fd_put_now(&fs->fds, slot);
	return rc;
}

int WEIR_ON_WORKER
aio_ioctl(struct weir_channel *chan, struct weir_fsreq *req)
{
	aio_begin(req);
	return aio_defer(chan, req, ioctl_run, NULL);
}
