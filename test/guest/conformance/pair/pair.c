/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Two or more of these work on one folder at a time, by mounts that do not know of each other: what
 * they do shows whether appending, renaming and locking are one step for all of them.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_MAX  12000
#define WRITERS_MAX 3
#define LINE        64

static _Noreturn void
fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	exit(1);
}

static unsigned int
number(const char *text)
{
	char *rest;
	const unsigned long n = strtoul(text, &rest, 10);

	if (*text == '\0' || *rest != '\0')
		fail("'%s' is no number", text);
	return (unsigned int)n;
}

/* Of most lengths, below a page and above. */
static unsigned int
record_length(unsigned int writer, unsigned int n)
{
	return 1 + (n * 1237 + writer * 311) % (n % 8 == 0 ? RECORD_MAX : 500);
}

/* A byte tells its writer, and something of its place. */
static uint8_t
record_byte(unsigned int writer, unsigned int n, unsigned int i)
{
	return (uint8_t)(writer << 6 | ((n * 29 + i * 7 + i / 64) & 63));
}

/* Opens anew now and then, as a logger does that is started again. */
static void
append(const char *path, unsigned int writer, unsigned int nb, int flags)
{
	static uint8_t buf[RECORD_MAX];
	unsigned int n, i, len;
	int fd = -1;

	for (n = 0; n < nb; n++) {
		if (n % 50 == 0) {
			if (fd >= 0)
				close(fd);
			fd = open(path, O_WRONLY | O_APPEND | O_CREAT | flags, 0644);
		}
		len = record_length(writer, n);
		for (i = 0; i < len; i++)
			buf[i] = record_byte(writer, n, i);
		if (write(fd, buf, len) != (ssize_t)len)
			fail("append to %s: %s", path, strerror(errno));
	}
	if (fsync(fd) < 0 || close(fd) < 0)
		fail("fsync of %s: %s", path, strerror(errno));
}

/* All of each writer, in order. Whole: nobody else in the midst of a record. */
static void
appended(const char *path, unsigned int writers, unsigned int nb, bool is_whole)
{
	struct {
		unsigned int n, at;
	} next[WRITERS_MAX + 1] = { 0 };
	unsigned int writer, last = 0;
	FILE *file = fopen(path, "r");
	long at;
	int c;

	if (file == NULL)
		fail("%s: %s", path, strerror(errno));
	for (at = 0; (c = getc(file)) != EOF; at++, last = writer) {
		writer = (unsigned int)c >> 6;
		if (writer == 0 || c != record_byte(writer, next[writer].n, next[writer].at))
			fail("at %ld not byte %u of record %u of writer %u", at, next[writer].at,
					next[writer].n, writer);
		if (is_whole && last != writer && next[last].at != 0)
			fail("at %ld record %u of writer %u is torn", at, next[last].n, last);
		if (++next[writer].at == record_length(writer, next[writer].n)) {
			next[writer].n++;
			next[writer].at = 0;
		}
	}
	for (writer = 1; writer <= writers; writer++)
		if (next[writer].n != nb)
			fail("%u records of writer %u, expected %u", next[writer].n, writer, nb);
	fclose(file);
}

/* Replaces the name again and again by whole files. */
static void
replace(const char *path, unsigned int writer, unsigned int nb)
{
	char temp[4096], line[LINE + 16];
	unsigned int n, i;
	FILE *file;

	snprintf(temp, sizeof(temp), "%s.%u", path, writer);
	for (n = 0; n < nb; n++) {
		const unsigned int lines = 1 + (n * 37 + writer) % 300;

		snprintf(line, sizeof(line), "%3u %8u %8u %*s\n", writer, n, lines, LINE - 23, "x");
		file = fopen(temp, "w");
		for (i = 0; file != NULL && i < lines; i++)
			fputs(line, file);
		if (file == NULL || fclose(file) != 0 || rename(temp, path) < 0)
			fail("%s to %s: %s", temp, path, strerror(errno));
	}
}

/* The name is always there, and always names a whole file. */
static void
resolve(const char *path, unsigned int nb)
{
	static char got[301 * LINE];
	unsigned int writer, file, lines, n;
	ssize_t len;
	size_t i;
	int fd;

	for (n = 0; n < nb; n++) {
		fd = open(path, O_RDONLY);
		if (fd < 0)
			fail("open %u of %s: %s", n, path, strerror(errno));
		len = read(fd, got, sizeof(got) - 1);
		if (len < LINE || sscanf(got, "%3u %8u %8u", &writer, &file, &lines) != 3)
			fail("open %u of %s: %zd bytes", n, path, len);
		if (len != (ssize_t)lines * LINE)
			fail("open %u of %s: %zd bytes of %u lines", n, path, len, lines);
		for (i = LINE; i < (size_t)len; i += LINE)
			if (memcmp(got, got + i, LINE) != 0)
				fail("open %u of %s: two files in one", n, path);
		close(fd);
	}
}

static int
lock(int fd, const char *kind, bool is_lock)
{
	struct flock fl = { .l_type = is_lock ? F_WRLCK : F_UNLCK, .l_whence = SEEK_SET };

	if (strcmp(kind, "flock") == 0)
		return flock(fd, is_lock ? LOCK_EX : LOCK_UN);
	return fcntl(fd, strcmp(kind, "ofd") == 0 ? F_OFD_SETLKW : F_SETLKW, &fl);
}

/* Writes "y\n" by a mapping of a file that is open for appending. */
static void
map(const char *path, unsigned int off)
{
	const int fd = open(path, O_RDWR | O_APPEND);
	const size_t page = 4096;
	char *at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, off);
	size_t i;

	if (at == MAP_FAILED)
		fail("mmap of %s: %s", path, strerror(errno));
	for (i = 0; i < page; i += 2)
		memcpy(at + i, "y\n", 2);
	if (munmap(at, page) < 0 || fsync(fd) < 0 || close(fd) < 0)
		fail("fsync of %s: %s", path, strerror(errno));
}

/* While one holds the lock, nobody else finds the folder there that is its own. */
static void
exclude(const char *path, const char *kind, unsigned int nb)
{
	const int fd = open(path, O_RDWR | O_CREAT, 0644);
	char held[4096];
	unsigned int n;

	snprintf(held, sizeof(held), "%s.held", path);
	for (n = 0; n < nb; n++) {
		if (lock(fd, kind, true) < 0)
			fail("%s: lock %u: %s", path, n, strerror(errno));
		if (mkdir(held, 0700) < 0)
			fail("%s: lock %u is not alone: %s", path, n, strerror(errno));
		if (rmdir(held) < 0)
			fail("%s: lock %u: rmdir: %s", path, n, strerror(errno));
		if (lock(fd, kind, false) < 0)
			fail("%s: unlock %u: %s", path, n, strerror(errno));
	}
	close(fd);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";

	if (strcmp(what, "append") == 0 && argc == 5)
		append(argv[2], number(argv[3]), number(argv[4]), 0);
	else if (strcmp(what, "append-direct") == 0 && argc == 5)
		append(argv[2], number(argv[3]), number(argv[4]), O_DIRECT);
	else if (strcmp(what, "appended") == 0 && argc == 5)
		appended(argv[2], number(argv[3]), number(argv[4]), false);
	else if (strcmp(what, "appended-whole") == 0 && argc == 5)
		appended(argv[2], number(argv[3]), number(argv[4]), true);
	else if (strcmp(what, "replace") == 0 && argc == 5)
		replace(argv[2], number(argv[3]), number(argv[4]));
	else if (strcmp(what, "resolve") == 0 && argc == 4)
		resolve(argv[2], number(argv[3]));
	else if (strcmp(what, "map") == 0 && argc == 4)
		map(argv[2], number(argv[3]));
	else if (strcmp(what, "exclude") == 0 && argc == 5)
		exclude(argv[2], argv[3], number(argv[4]));
	else
		fail("usage: weir-pair append[-direct] FILE WRITER N |\n"
		     "       appended[-whole] FILE WRITERS N |\n"
		     "       replace FILE WRITER N | resolve FILE N | map FILE OFFSET |\n"
		     "       exclude FILE fcntl|ofd|flock N");
	return 0;
}
