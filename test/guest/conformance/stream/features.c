/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What a file system has. Only what says that there is no such thing is left out of a stream; any other
 * error is for the stream to find.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "stream.h"

#define PROBE "probe"

static const char *const names[NB_FEATURES] = {
	[FEATURE_TMPFILE] = "tmpfile",
	[FEATURE_FALLOCATE] = "fallocate",
	[FEATURE_KEEP_SIZE] = "keep_size",
	[FEATURE_PUNCH_HOLE] = "punch_hole",
	[FEATURE_ZERO_RANGE] = "zero_range",
	[FEATURE_XATTR] = "xattr",
	[FEATURE_TRUSTED] = "trusted_xattr",
	[FEATURE_EXCHANGE] = "exchange",
	[FEATURE_NOREPLACE] = "noreplace",
	[FEATURE_DIRECT] = "direct",
	[FEATURE_COPY_RANGE] = "copy_range",
	[FEATURE_FIFO] = "fifo",
	[FEATURE_CHOWN] = "chown",
	[FEATURE_SYMLINK_TIMES] = "symlink_times",
	[FEATURE_SHARED_MMAP] = "shared_mmap",
	[FEATURE_DIR_LINKS] = "dir_links",
	[FEATURE_GONE] = "unlinked_gone",
	[FEATURE_UNLINKED] = "unlinked_links",
	[FEATURE_LIST_CHANGING] = "list_changing",
	[FEATURE_DROP_CACHES] = "drop_caches",
};

const char *
feature_name(enum stream_feature feature)
{
	return names[feature];
}

/* Not there at all: other errors are faults. */
static bool
is_there(int64_t rc)
{
	return rc >= 0 ||
			(errno != ENOSYS && errno != EOPNOTSUPP && errno != EINVAL &&
					errno != EISDIR && errno != EPERM && errno != ENODEV);
}

static uint32_t
bit(enum stream_feature feature, bool is)
{
	return is ? 1u << feature : 0;
}

static uint32_t
probe_fallocate(int fd)
{
	const int zero = FALLOC_FL_ZERO_RANGE, keep = FALLOC_FL_KEEP_SIZE;

	return bit(FEATURE_FALLOCATE, is_there(fallocate(fd, 0, 0, 1))) |
			bit(FEATURE_KEEP_SIZE, is_there(fallocate(fd, keep, 0, 1))) |
			bit(FEATURE_PUNCH_HOLE,
					is_there(fallocate(
							fd, FALLOC_FL_PUNCH_HOLE | keep, 0, 1))) |
			bit(FEATURE_ZERO_RANGE,
					is_there(fallocate(fd, zero, 0, 1)) &&
							is_there(fallocate(fd, zero | keep, 0, 1)));
}

static bool
can_map(int fd)
{
	void *map;

	if (ftruncate(fd, STREAM_PAGE) < 0)
		return true;
	map = mmap(NULL, STREAM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return is_there(-1);
	munmap(map, STREAM_PAGE);
	return true;
}

/* An NFS client has renamed it. */
static bool
is_kept(int dir)
{
	const int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fdopendir(fd);
	const struct dirent *e;
	bool is = false;

	while (stream != NULL && (e = readdir(stream)) != NULL)
		is = is || strncmp(e->d_name, ".nfs", 4) == 0;
	if (stream != NULL)
		closedir(stream);
	return is;
}

/* On one open file, which has no name in the end. */
static uint32_t
probe_file(int dir)
{
	const int fd = openat(dir, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	uint32_t found = probe_fallocate(fd);
	off_t out = STREAM_PAGE;
	struct stat st;
	int direct;

	found |= bit(FEATURE_XATTR, is_there(fsetxattr(fd, "user.probe", "x", 1, 0))) |
			bit(FEATURE_TRUSTED, is_there(fsetxattr(fd, "trusted.probe", "x", 1, 0))) |
			bit(FEATURE_COPY_RANGE,
					is_there(copy_file_range(fd, NULL, fd, &out, 1, 0))) |
			bit(FEATURE_CHOWN, is_there(fchown(fd, 1000, 1000))) |
			bit(FEATURE_SHARED_MMAP, can_map(fd));
	direct = openat(dir, "file", O_RDONLY | O_DIRECT | O_CLOEXEC);
	found |= bit(FEATURE_DIRECT, is_there(direct));
	if (direct >= 0)
		close(direct);
	unlinkat(dir, "file", 0);
	found |= bit(FEATURE_GONE, !is_kept(dir));
	found |= bit(FEATURE_UNLINKED, fstat(fd, &st) < 0 || st.st_nlink == 0);
	close(fd);
	return found;
}

/* Of the link "a". Some servers say yes and do nothing. */
static bool
has_symlink_times(int dir)
{
	const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct stat st;

	if (!is_there(utimensat(dir, "a", times, AT_SYMLINK_NOFOLLOW)))
		return false;
	return fstatat(dir, "a", &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mtime == 1;
}

static uint32_t
probe_names(int dir)
{
	uint32_t found = 0;
	struct stat st;
	int fd;

	fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	found |= bit(FEATURE_TMPFILE, is_there(fd));
	if (fd >= 0)
		close(fd);
	found |= bit(FEATURE_FIFO, is_there(mkfifoat(dir, "fifo", 0600)));
	unlinkat(dir, "fifo", 0);
	symlinkat("a", dir, "a");
	symlinkat("b", dir, "b");
	found |= bit(FEATURE_EXCHANGE, is_there(renameat2(dir, "a", dir, "b", RENAME_EXCHANGE))) |
			bit(FEATURE_SYMLINK_TIMES, has_symlink_times(dir));
	unlinkat(dir, "b", 0);
	found |= bit(FEATURE_NOREPLACE, is_there(renameat2(dir, "a", dir, "b", RENAME_NOREPLACE)));
	unlinkat(dir, "a", 0);
	unlinkat(dir, "b", 0);
	mkdirat(dir, "sub", 0700);
	found |= bit(FEATURE_DIR_LINKS, fstat(dir, &st) == 0 && st.st_nlink == 3);
	unlinkat(dir, "sub", AT_REMOVEDIR);
	return found;
}

uint32_t
features_probe(int dir)
{
	uint32_t found = bit(FEATURE_LIST_CHANGING, true);
	int fd;

	mkdirat(dir, PROBE, 0700);
	fd = openat(dir, PROBE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		found |= probe_file(fd) | probe_names(fd);
		close(fd);
	}
	unlinkat(dir, PROBE, AT_REMOVEDIR);
	return found;
}
