/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What the folder is and can: its file system, handles, ACLs, labels, io_uring. */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_sandbox.h"

#include "aio.h"

#define XFS_SUPER_MAGIC 0x58465342 /* not in linux/magic.h */

/*
 * File systems whose cached state answers at once, whether their handles hold for ever, whether they
 * have no state but the cached one, and whether they count inode numbers up, so that one comes back
 * when all others, 2^32 at least, have had their turn.
 */
static const struct {
	int64_t magic;
	bool handles;
	bool in_memory;
	bool by_number;
} aio_local_types[] = {
	{ BTRFS_SUPER_MAGIC, true, false, false },
	{ EXT4_SUPER_MAGIC, true, false, false },
	{ F2FS_SUPER_MAGIC, true, false, false },
	{ OVERLAYFS_SUPER_MAGIC, false, false, false },
	{ RAMFS_MAGIC, false, true, true },
	{ TMPFS_MAGIC, true, true, true },
	{ XFS_SUPER_MAGIC, true, false, false },
};

/* Handles are used where opening one of them works, which takes CAP_DAC_READ_SEARCH. */
static void WEIR_ON_HELPER
root_probe_handles(struct aio_fs *fs)
{
	struct aio_found found;
	struct weir_attr attr;
	int fd = -1;

	fs->mount_fd = openat(fs->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs->mount_fd < 0)
		return;
	if (aio_identify(fs, fs->root_fd, 0, &found, &attr) == 0)
		fd = aio_handle_open(fs, &found.node);
	if (fd >= 0) {
		close(fd);
		return;
	}
	close(fs->mount_fd);
	fs->mount_fd = -1;
}

/* Without its label a file of the guest would not be made at all: better to hear it now. */
static int WEIR_ON_HELPER
root_probe_labels(struct aio_fs *fs)
{
	int rc = aio_label_probe(fs, fs->root_fd);

	if (rc == -EPERM)
		fs->refused = " takes no security.* attributes from weir, which security_label "
			      "wants: see --keep-cap sys_admin";
	else if (rc < 0)
		fs->refused = " has no security.* attributes, which security_label wants";
	return rc;
}

int WEIR_ON_HELPER
aio_root_open(struct aio_fs *fs)
{
	bool handles = false;
	struct statfs st;
	struct statx sx;
	unsigned int i;
	int rc;

	fs->root_fd = open(fs->root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs->root_fd < 0 || fstatfs(fs->root_fd, &st) < 0 ||
			statx(fs->root_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID,
					&sx) < 0)
		return -errno;
	if (weir_sandbox_folder_check(fs->root_fd) == -EACCES) {
		fs->refused = " is in no folder that --allow-folder names";
		return -EACCES;
	}
	fs->root_dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	fs->root_ino = sx.stx_ino;
	fs->root_mount = sx.stx_mnt_id;
	for (i = 0; i < RTE_DIM(aio_local_types); i++) {
		if (st.f_type == aio_local_types[i].magic) {
			fs->local = true;
			fs->in_memory = aio_local_types[i].in_memory;
			fs->by_number = aio_local_types[i].by_number;
			handles = aio_local_types[i].handles;
		}
	}
	/* Landlock must find the way from a file up to the folder: only memory never forgets it. */
	if (handles && fs->handles == AIO_HANDLES_AUTO &&
			(fs->in_memory || !weir_sandbox_has_landlock()))
		root_probe_handles(fs);
	fs->posix_acl = fs->xattr && fs->acl != AIO_ACL_OFF && aio_acl_names_are_kept(fs) &&
			aio_acl_probe(fs->root_fd);
	if (fs->acl == AIO_ACL_ON && !fs->posix_acl) {
		fs->refused = " has no ACLs, which posix_acl wants";
		return -EOPNOTSUPP;
	}
	rc = fs->labels ? root_probe_labels(fs) : 0;
	if (rc < 0)
		return rc;
	fs->uring = fs->local && fs->uring && aio_ring_probe();
	return 0;
}
