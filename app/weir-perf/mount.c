/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include "mount.h"

/* What Linux 6.1 offers in INIT, and what we can keep to; no DAX, no submounts. */
#define LINUX_INIT_FLAGS                                                                           \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT |          \
			FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE |  \
			FUSE_SPLICE_READ | FUSE_FLOCK_LOCKS | FUSE_HAS_IOCTL_DIR |                 \
			FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |       \
			FUSE_ASYNC_DIO | FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT |             \
			FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV | FUSE_POSIX_ACL |             \
			FUSE_ABORT_ERROR | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS |                  \
			FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA |                       \
			FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT)

int
mount_as_linux(struct fe_fs *fs, const struct fe_opts *opts)
{
	int rc = fe_fs_connect(fs, opts);

	if (rc < 0)
		return rc;
	fs->init_flags = LINUX_INIT_FLAGS;
	rc = fe_fs_init(fs);
	if (rc < 0)
		fe_fs_close(fs);
	return rc;
}
