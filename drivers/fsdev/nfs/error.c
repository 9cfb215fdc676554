/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What servers answer (RFC 1813, section 2.6), in the guest's words, and counted. */

#include <errno.h>
#include <stddef.h>

#include <rte_common.h>

#include "nfs.h"

static const struct {
	uint32_t status;
	int error;
	const char *name;
} nfs_errors[] = {
	{ NFS3STAT_PERM, EPERM, "PERM" },
	{ 2, ENOENT, "NOENT" },
	{ 5, EIO, "IO" },
	{ 6, ENXIO, "NXIO" },
	{ NFS3STAT_ACCES, EACCES, "ACCES" },
	{ 17, EEXIST, "EXIST" },
	{ 18, EXDEV, "XDEV" },
	{ 19, ENODEV, "NODEV" },
	{ 20, ENOTDIR, "NOTDIR" },
	{ 21, EISDIR, "ISDIR" },
	{ 22, EINVAL, "INVAL" },
	{ 27, EFBIG, "FBIG" },
	{ 28, ENOSPC, "NOSPC" },
	{ 30, EROFS, "ROFS" },
	{ 31, EMLINK, "MLINK" },
	{ 63, ENAMETOOLONG, "NAMETOOLONG" },
	{ 66, ENOTEMPTY, "NOTEMPTY" },
	{ 69, EDQUOT, "DQUOT" },
	{ 70, ESTALE, "STALE" },
	{ 71, EREMOTE, "REMOTE" },
	{ 10001, ESTALE, "BADHANDLE" },
	{ 10002, EIO, "NOT_SYNC" },
	{ NFS3STAT_BAD_COOKIE, EINVAL, "BAD_COOKIE" },
	{ 10004, EOPNOTSUPP, "NOTSUPP" },
	{ NFS3STAT_TOOSMALL, EINVAL, "TOOSMALL" },
	{ 10006, EIO, "SERVERFAULT" },
	{ 10007, EINVAL, "BADTYPE" },
	{ NFS3STAT_JUKEBOX, EAGAIN, "JUKEBOX" },
};
/* One more counter is for those that are in no table. */
static_assert(RTE_DIM(nfs_errors) == NFS_NB_ERRORS - 1, "each status has a counter");

unsigned int
nfs_error_index(uint32_t status)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(nfs_errors); i++) {
		if (nfs_errors[i].status == status)
			break;
	}
	return i;
}

int
nfs_errno(uint32_t status)
{
	unsigned int i;

	/* Each reply comes by here, and few of them are errors. */
	if (status == NFS3STAT_OK)
		return 0;
	i = nfs_error_index(status);
	return i < RTE_DIM(nfs_errors) ? -nfs_errors[i].error : -EIO;
}

const char *
nfs_error_name(unsigned int index)
{
	return index < RTE_DIM(nfs_errors) ? nfs_errors[index].name : "other";
}
