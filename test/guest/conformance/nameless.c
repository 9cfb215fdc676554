/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Open files without a name: unlinked ones, and O_TMPFILE. */

#define TOPIC "nameless"

#include <sys/mman.h>

#include "conform.h"

static char buf[100000];

/* A file of 4 bytes that has lost its name. */
static int
unlinked(void)
{
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDWR));
	OK(unlink("f"));
	return fd;
}

CHECK(read_and_write)
{
	int fd = unlinked();

	EQ(4, pread(fd, buf, sizeof(buf), 0));
	EQ(0, memcmp(buf, "text", 4));
	fill(buf, sizeof(buf), 0);
	EQ(sizeof(buf), pwrite(fd, buf, sizeof(buf), 0));
	EQ(sizeof(buf), fstat_of(fd).st_size);
	memset(buf, 0, sizeof(buf));
	EQ(sizeof(buf), pread(fd, buf, sizeof(buf), 0));
	FILLED(buf, sizeof(buf), 0);
	OK(fsync(fd));
}

CHECK(has_no_links)
{
	EQ(0, fstat_of(unlinked()).st_nlink);
}

CHECK(has_one_link_less)
{
	int fd;

	put("f", "text", 0644);
	OK(link("f", "g"));
	fd = OK(open("f", O_RDWR));
	OK(unlink("f"));
	EQ(1, fstat_of(fd).st_nlink);
	EQ(1, stat_of("g").st_nlink);
	OK(unlink("g"));
	EQ(0, fstat_of(fd).st_nlink);
}

CHECK(attributes)
{
	int fd = unlinked();

	OK(ftruncate(fd, 2));
	EQ(2, fstat_of(fd).st_size);
	OK(fchmod(fd, 0600));
	EQ(0600, fstat_of(fd).st_mode & 07777);
	OK(fchown(fd, U1, G1));
	EQ(U1, fstat_of(fd).st_uid);
}

CHECK(name_is_free)
{
	int fd = unlinked();

	EQ(0, count_names("."));
	put("f", "other", 0644);
	EQ(4, pread(fd, buf, sizeof(buf), 0));
	CONTAINS("f", "other");
	TRUE(stat_of("f").st_ino != fstat_of(fd).st_ino);
}

CHECK(folder_can_be_removed)
{
	int fd;

	put_dir("d", 0755);
	put("d/f", "text", 0644);
	fd = OK(open("d/f", O_RDWR));
	OK(unlink("d/f"));
	OK(rmdir("d"));
	EQ(4, pread(fd, buf, sizeof(buf), 0));
	EQ(1, pwrite(fd, "T", 1, 0));
}

CHECK(reopen_by_proc)
{
	char path[64];
	int fd = unlinked(), again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = OK(open(path, O_RDWR));
	EQ(4, pread(again, buf, sizeof(buf), 0));
	OK(close(fd));
	EQ(1, pwrite(again, "T", 1, 0));
	EQ(4, pread(again, buf, sizeof(buf), 0));
	EQ(0, memcmp(buf, "Text", 4));
}

CHECK(cannot_be_linked_again)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", unlinked());
	ERR(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
}

CHECK(stays_for_a_child)
{
	int fd = unlinked();

	if (elsewhere()) {
		EQ(4, pread(fd, buf, sizeof(buf), 0));
		EQ(4, pwrite(fd, "TEXT", 4, 0));
		done();
	}
	EQ(4, pread(fd, buf, sizeof(buf), 0));
	EQ(0, memcmp(buf, "TEXT", 4));
}

CHECK(stays_as_a_mapping)
{
	int fd = unlinked();
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	TRUE(map != MAP_FAILED);
	OK(close(fd));
	map[0] = 'T';
	EQ(0, memcmp(map, "Text", 4));
	OK(msync(map, 4096, MS_SYNC));
}

CHECK(directory_stays_open)
{
	int fd;

	put_dir("d", 0755);
	fd = OK(open("d", O_RDONLY));
	OK(rmdir("d"));
	TRUE(S_ISDIR(fstat_of(fd).st_mode));
	ERR(ENOENT, openat(fd, "f", O_CREAT | O_RDWR, 0644));
	OK(fchmod(fd, 0700));
}

CHECK(room_comes_back)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	fill(buf, sizeof(buf), 0);
	EQ(sizeof(buf), write(fd, buf, sizeof(buf)));
	OK(fsync(fd));
	OK(unlink("f"));
	TRUE(fstat_of(fd).st_blocks > 0);
	OK(close(fd));
	EQ(0, count_names("."));
}

static int
tmpfile_here(int flags, mode_t mode)
{
	int fd = open(".", O_TMPFILE | O_RDWR | flags, mode);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		skip("O_TMPFILE: %s", strerrorname_np(errno));
	return OK(fd);
}

CHECK(tmpfile_is_nowhere)
{
	int fd = tmpfile_here(0, 0640);

	EQ(0, count_names("."));
	EQ(0, fstat_of(fd).st_nlink);
	EQ(0640, fstat_of(fd).st_mode & 07777);
	EQ(4, pwrite(fd, "text", 4, 0));
	EQ(4, pread(fd, buf, sizeof(buf), 0));
	EQ(4, fstat_of(fd).st_size);
}

CHECK(tmpfile_gets_a_name)
{
	char path[64];
	int fd = tmpfile_here(0, 0640);

	EQ(4, write(fd, "text", 4));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	CONTAINS("f", "text");
	EQ(1, fstat_of(fd).st_nlink);
	EQ(fstat_of(fd).st_ino, stat_of("f").st_ino);
	ERR(EEXIST, linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
	EQ(2, stat_of("f").st_nlink);
}

CHECK(tmpfile_by_empty_path)
{
	int fd = tmpfile_here(0, 0640);

	EQ(4, write(fd, "text", 4));
	OK(linkat(fd, "", AT_FDCWD, "f", AT_EMPTY_PATH));
	CONTAINS("f", "text");
}

CHECK(tmpfile_excl_stays_nameless)
{
	char path[64];
	int fd = tmpfile_here(O_EXCL, 0640);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ERR(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
}

CHECK(tmpfile_is_the_callers)
{
	put_dir("d", 0777);
	OK(close(tmpfile_here(0, 0600)));
	umask(027);
	if (as(U1, G1)) {
		int fd = OK(open("d", O_TMPFILE | O_RDWR, 0666));

		EQ(U1, fstat_of(fd).st_uid);
		EQ(G1, fstat_of(fd).st_gid);
		EQ(0640, fstat_of(fd).st_mode & 07777);
		ERR(EACCES, open(".", O_TMPFILE | O_RDWR, 0666));
		done();
	}
}

CHECK(tmpfile_errors)
{
	put("f", "", 0644);
	OK(close(tmpfile_here(0, 0600)));
	ERR(EINVAL, open(".", O_TMPFILE | O_RDONLY, 0600));
	ERR(ENOTDIR, open("f", O_TMPFILE | O_RDWR, 0600));
	ERR(ENOENT, open("none", O_TMPFILE | O_RDWR, 0600));
}
