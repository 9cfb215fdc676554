/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Labels of a guest's security module, which come with what makes a file and become extended
 * attributes of it before the guest hears that it is there. The host, and other guests, can see the
 * file a moment earlier without.
 *
 * Whoever can make and remove names in the folder could put another file in the place of what was
 * just made. A file that was created is labelled by its own descriptor; of the rest the type must be
 * what was made, and where the file system keeps times of birth it must have been born since. So no
 * file that was there before gets a label that was meant for another.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "aio.h"

#define LABEL_MAX 4096

static int WEIR_ON_HELPER
label_set(const struct aio_fs *fs, int fd, const struct weir_fsreq *req)
{
	char path[16], name[XATTR_NAME_MAX + 1];
	int rc;

	rc = aio_xattr_thread_init();
	if (rc == 0)
		rc = aio_xattr_name_in(fs, req->in.create.label_name, name);
	if (rc < 0)
		return rc;
	aio_fd_name(fd, path);
	return setxattr(path, name, req->in.create.label, req->in.create.label_len, 0) < 0 ?
			-errno :
			0;
}

/* Only while the name is that of fd: another file that has it by now stays. */
static void WEIR_ON_HELPER
label_undo(int dirfd, const char *name, int fd)
{
	struct stat made, now;

	if (fstat(fd, &made) < 0 || fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
			made.st_dev != now.st_dev || made.st_ino != now.st_ino)
		return;
	(void)unlinkat(dirfd, name, S_ISDIR(made.st_mode) ? AT_REMOVEDIR : 0);
}

int WEIR_ON_HELPER
aio_label_made(const struct aio_fs *fs, const struct weir_fsreq *req, int dirfd, int fd)
{
	int rc;

	if (req->in.create.label_name == NULL)
		return 0;
	rc = label_set(fs, fd, req);
	if (rc < 0 && req->op != WEIR_FSOP_TMPFILE)
		label_undo(dirfd, req->name, fd);
	return rc;
}

static mode_t
label_type(const struct weir_fsreq *req)
{
	const mode_t type = req->in.create.mode & S_IFMT;

	switch (req->op) {
	case WEIR_FSOP_MKDIR:
		return S_IFDIR;
	case WEIR_FSOP_SYMLINK:
		return S_IFLNK;
	default:
		return type != 0 ? type : S_IFREG;
	}
}

/* Other hosts have other clocks. */
static bool
label_is_older(const struct aio_fs *fs, const struct statx *sx, const struct timespec *since)
{
	if (!fs->local || (sx->stx_mask & STATX_BTIME) == 0)
		return false;
	return sx->stx_btime.tv_sec != since->tv_sec ? sx->stx_btime.tv_sec < since->tv_sec :
						       sx->stx_btime.tv_nsec < since->tv_nsec;
}

void WEIR_ON_HELPER
aio_label_clock(struct timespec *now)
{
	/* The one that file systems take their times from. */
	clock_gettime(CLOCK_REALTIME_COARSE, now);
}

int WEIR_ON_HELPER
aio_label_name(const struct aio_fs *fs, const struct weir_fsreq *req, int dirfd,
		const struct timespec *since)
{
	struct statx sx;
	int fd, rc;

	if (req->in.create.label_name == NULL)
		return 0;
	fd = aio_openat(dirfd, req->name, O_PATH, 0, RESOLVE_NO_XDEV);
	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_BTIME, &sx) < 0)
		rc = -errno;
	else if ((sx.stx_mode & S_IFMT) != label_type(req) || label_is_older(fs, &sx, since))
		rc = -ENOENT;
	else
		rc = aio_label_made(fs, req, dirfd, fd);
	close(fd);
	return rc;
}

int WEIR_ON_HELPER
aio_label_probe(const struct aio_fs *fs, int dirfd)
{
	char label[LABEL_MAX] = "weir", name[XATTR_NAME_MAX + 1];
	ssize_t n;
	int fd, rc;

	rc = aio_xattr_name_in(fs, AIO_LABEL_NAME, name);
	if (rc < 0)
		return rc;
	/* Where no file without a name can be made, or none at all, requests will tell. */
	fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return 0;
	/* A host that knows labels takes none that it does not know: it gets its own back. */
	n = fgetxattr(fd, name, label, sizeof(label));
	rc = fsetxattr(fd, name, label, n > 0 ? (size_t)n : sizeof("weir"), 0);
	rc = rc < 0 ? -errno : 0;
	close(fd);
	return rc;
}
