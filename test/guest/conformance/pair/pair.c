/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Two or more of these work on one folder at a time, in guests and on the host that know nothing of each
 * other: what they do shows whether appending, making, renaming and locking are one step for all of
 * them. Where they take turns they meet by files that they make in the folder.
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RECORD_MAX  12000
#define WRITERS_MAX 3
#define LINE        64
#define PATH_LEN    512
#define PATIENCE_S  60

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

/* Returns when both, 1 and 2, have come to step n. */
static void
meet(const char *path, unsigned int me, unsigned int n)
{
	const struct timespec pause = { .tv_nsec = 500000 };
	const time_t end = time(NULL) + PATIENCE_S;
	char mine[PATH_LEN], other[PATH_LEN];
	int fd;

	snprintf(mine, sizeof(mine), "%s.at.%u.%u", path, n, me);
	snprintf(other, sizeof(other), "%s.at.%u.%u", path, n, 3 - me);
	fd = open(mine, O_WRONLY | O_CREAT, 0644);
	if (fd < 0 || close(fd) < 0)
		fail("%s: %s", mine, strerror(errno));
	while (access(other, F_OK) < 0) {
		if (errno != ENOENT || time(NULL) > end)
			fail("%s: %s", other, strerror(errno));
		nanosleep(&pause, NULL);
	}
}

/*
 * Opens anew now and then, as a logger does that is started again. Together: both come to the same
 * record before they go on, and what they know of the size of the file is not true.
 */
static void
append(const char *path, unsigned int writer, unsigned int nb, int flags, bool is_together)
{
	static uint8_t buf[RECORD_MAX];
	unsigned int n, i, len;
	int fd = -1;

	for (n = 0; n < nb; n++) {
		if (is_together && n % 10 == 5)
			meet(path, writer, n);
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

/* Waits for the lock, or does not: then EAGAIN. */
static int
lock(int fd, const char *kind, short type, bool is_wait)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET };

	if (strcmp(kind, "flock") == 0)
		return flock(fd, (type == F_UNLCK ? LOCK_UN : LOCK_EX) | (is_wait ? 0 : LOCK_NB));
	if (strcmp(kind, "ofd") == 0)
		return fcntl(fd, is_wait ? F_OFD_SETLKW : F_OFD_SETLK, &fl);
	return fcntl(fd, is_wait ? F_SETLKW : F_SETLK, &fl);
}

static int
open_lock(const char *path)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return fd;
}

static void
try_lock(const char *path, const char *kind)
{
	const int rc = lock(open_lock(path), kind, F_WRLCK, false);

	if (rc < 0 && errno != EAGAIN && errno != EACCES)
		fail("%s: %s", path, strerror(errno));
	printf(rc < 0 ? "taken\n" : "free\n");
}

/* Has the lock while the command runs. */
static int
with(const char *path, const char *kind, char **command)
{
	const int fd = open_lock(path);
	int status;
	pid_t pid;

	if (lock(fd, kind, F_WRLCK, true) < 0)
		fail("%s: %s", path, strerror(errno));
	pid = fork();
	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		fail("%s: %s", command[0], strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
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

/* One more. Opened anew: what the guest knew of its content may be old. */
static void
count(const char *path)
{
	const int fd = open(path, O_RDWR | O_CREAT, 0644);
	char text[16] = "0";

	if (fd < 0 || read(fd, text, 8) < 0)
		fail("%s: %s", path, strerror(errno));
	snprintf(text, sizeof(text), "%08lu", strtoul(text, NULL, 10) + 1);
	if (pwrite(fd, text, 8, 0) != 8 || close(fd) < 0)
		fail("%s: %s", path, strerror(errno));
}

/* While one holds the lock, nobody else finds the folder there that is its own, or counts. */
static void
exclude(const char *path, const char *kind, unsigned int nb)
{
	const int fd = open_lock(path);
	char held[PATH_LEN], counter[PATH_LEN];
	unsigned int n;

	snprintf(held, sizeof(held), "%s.held", path);
	snprintf(counter, sizeof(counter), "%s.counter", path);
	for (n = 0; n < nb; n++) {
		if (lock(fd, kind, F_WRLCK, true) < 0)
			fail("%s: lock %u: %s", path, n, strerror(errno));
		if (mkdir(held, 0700) < 0)
			fail("%s: lock %u is not alone: %s", path, n, strerror(errno));
		count(counter);
		if (rmdir(held) < 0)
			fail("%s: lock %u: rmdir: %s", path, n, strerror(errno));
		if (lock(fd, kind, F_UNLCK, false) < 0)
			fail("%s: unlock %u: %s", path, n, strerror(errno));
	}
	close(fd);
}

/* Each appends a line when it is its turn, and both see what is there by then. */
static void
turns(const char *path, unsigned int me, unsigned int nb)
{
	unsigned int n, got;
	FILE *file;

	for (n = 0; n < nb; n++) {
		if (n % 2 + 1 == me) {
			file = fopen(path, "a");
			if (file == NULL || fprintf(file, "%u\n", n) < 0 || fclose(file) != 0)
				fail("%s: %s", path, strerror(errno));
		}
		meet(path, me, 2 * n);
		file = fopen(path, "r");
		for (unsigned int i = 0; i <= n; i++)
			if (file == NULL || fscanf(file, "%u", &got) != 1 || got != i)
				fail("%s: not %u at its place after turn %u", path, i, n);
		if (fscanf(file, "%u", &got) == 1)
			fail("%s: %u after turn %u", path, got, n);
		fclose(file);
		meet(path, me, 2 * n + 1);
	}
}

/* Makes the name in one of the ways that must fail if it is there. */
static int
make_new(const char *name, const char *own, unsigned int n)
{
	int fd;

	switch (n % 5) {
	case 0:
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		return fd < 0 ? -1 : close(fd);
	case 1:
		return mkdir(name, 0755);
	case 2:
		return symlink("nowhere", name);
	case 3:
		return link(own, name);
	default:
		fd = open(own, O_WRONLY | O_CREAT, 0644);
		if (fd < 0 || close(fd) < 0)
			fail("%s: %s", own, strerror(errno));
		return renameat2(AT_FDCWD, own, AT_FDCWD, name, RENAME_NOREPLACE);
	}
}

/* Both make the same names at a time: each name is made by one of them. */
static void
contend(const char *path, unsigned int me, unsigned int nb)
{
	char name[PATH_LEN], own[PATH_LEN], won[PATH_LEN];
	unsigned int n, wins = 0;
	FILE *mine, *other;

	snprintf(own, sizeof(own), "%s.own.%u", path, me);
	snprintf(won, sizeof(won), "%s.won.%u", path, me);
	mine = fopen(won, "w+");
	snprintf(won, sizeof(won), "%s.won.%u", path, 3 - me);
	if (mine == NULL)
		fail("%s: %s", path, strerror(errno));
	for (n = 0; n < nb; n++) {
		snprintf(name, sizeof(name), "%s.%u", path, n);
		if (n % 5 == 3 && close(open(own, O_WRONLY | O_CREAT, 0644)) < 0)
			fail("%s: %s", own, strerror(errno));
		meet(path, me, n);
		if (make_new(name, own, n) == 0)
			putc('1', mine);
		else if (errno == EEXIST)
			putc('0', mine);
		else
			fail("%s: %s", name, strerror(errno));
	}
	if (fflush(mine) != 0)
		fail("%s: %s", path, strerror(errno));
	meet(path, me, nb);
	other = fopen(won, "r");
	rewind(mine);
	for (n = 0; n < nb; n++) {
		const int one = getc(mine), two = other == NULL ? EOF : getc(other);

		if (one + two != '0' + '1')
			fail("%s.%u: made by %s", path, n, one == '1' ? "both" : "nobody");
		wins += one == '1';
	}
	printf("%u of %u\n", wins, nb);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";

	if (strcmp(what, "with") == 0 && argc > 4)
		return with(argv[2], argv[3], argv + 4);
	if (strcmp(what, "append") == 0 && argc == 5)
		append(argv[2], number(argv[3]), number(argv[4]), 0, false);
	else if (strcmp(what, "append-direct") == 0 && argc == 5)
		append(argv[2], number(argv[3]), number(argv[4]), O_DIRECT, true);
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
	else if (strcmp(what, "try") == 0 && argc == 4)
		try_lock(argv[2], argv[3]);
	else if (strcmp(what, "turns") == 0 && argc == 5)
		turns(argv[2], number(argv[3]), number(argv[4]));
	else if (strcmp(what, "contend") == 0 && argc == 5)
		contend(argv[2], number(argv[3]), number(argv[4]));
	else
		fail("usage: weir-pair append FILE WRITER N | append-direct FILE 1|2 N |\n"
		     "       appended[-whole] FILE WRITERS N |\n"
		     "       replace FILE WRITER N | resolve FILE N | map FILE OFFSET |\n"
		     "       turns FILE 1|2 N | contend FILE 1|2 N |\n"
		     "       exclude FILE fcntl|ofd|flock N | try FILE fcntl|ofd|flock |\n"
		     "       with FILE fcntl|ofd|flock COMMAND...");
	return 0;
}
