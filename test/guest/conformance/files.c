/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Files that checks make, and look at. */

#include <dirent.h>

#include "conform.h"

void
put(const char *path, const char *text, mode_t mode)
{
	int fd = OK(open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));

	if (text[0] != '\0')
		EQ((long)strlen(text), write(fd, text, strlen(text)));
	OK(fchmod(fd, mode));
	OK(close(fd));
}

void
must_contain(const char *path, const char *text, const char *file, int line)
{
	char buf[4096] = "";
	int fd = must_succeed(open(path, O_RDONLY | O_CLOEXEC), path, file, line);
	ssize_t n = must_succeed(read(fd, buf, sizeof(buf) - 1), "read", file, line);

	close(fd);
	buf[n] = '\0';
	must_equal_text(text, buf, path, file, line);
}

void
put_dir(const char *path, mode_t mode)
{
	OK(mkdir(path, 0700));
	OK(chmod(path, mode));
}

struct stat
stat_of(const char *path)
{
	struct stat st = { 0 };

	must_succeed(stat(path, &st), path, HERE);
	return st;
}

struct stat
lstat_of(const char *path)
{
	struct stat st = { 0 };

	must_succeed(lstat(path, &st), path, HERE);
	return st;
}

struct stat
fstat_of(int fd)
{
	struct stat st = { 0 };

	OK(fstat(fd, &st));
	return st;
}

bool
exists(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		return true;
	if (errno != ENOENT)
		FAIL("lstat(%s): expected success or ENOENT, got %s", path, strerrorname_np(errno));
	return false;
}

unsigned int
count_names(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	unsigned int nb = 0;

	if (dir == NULL)
		FAIL("opendir(%s): %m", path);
	while ((entry = readdir(dir)) != NULL)
		nb += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return nb;
}

static char
byte_at(off_t off)
{
	uint64_t word = ((uint64_t)off / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return word >> (8 * (off % 8));
}

void
fill(char *buf, size_t len, off_t off)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(off + i);
}

void
must_be_filled(const char *buf, size_t len, off_t off, const char *file, int line)
{
	for (size_t i = 0; i < len; i++) {
		if (buf[i] != byte_at(off + i))
			fail_at(file, line, "at %lld: expected 0x%02x, got 0x%02x",
					(long long)(off + i), (uint8_t)byte_at(off + i),
					(uint8_t)buf[i]);
	}
}

const char *
repeat(char c, size_t n)
{
	static char text[1 << 17];

	if (n >= sizeof(text))
		FAIL("%zu characters are too many", n);
	memset(text, c, n);
	text[n] = '\0';
	return text;
}
