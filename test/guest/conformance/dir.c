/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Reading directories: large ones, while they change, from places that were remembered. */

#define TOPIC "dir"

#include <dirent.h>
#include <sys/syscall.h>

#include "conform.h"

static void
make(unsigned int from, unsigned int to)
{
	char name[32];

	for (unsigned int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "d/name%u", i);
		OK(close(OK(open(name, O_CREAT | O_EXCL | O_WRONLY, 0644))));
	}
}

static void
unmake(unsigned int from, unsigned int to)
{
	char name[32];

	for (unsigned int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "d/name%u", i);
		OK(unlink(name));
	}
}

/* How often each was seen; those beside . and .. have numbers. */
#define MAX_NAMES 6000
static uint8_t seen[MAX_NAMES];

static void
see(const struct dirent *entry)
{
	unsigned int i;

	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return;
	if (sscanf(entry->d_name, "name%u", &i) != 1 || i >= MAX_NAMES)
		FAIL("a name that nobody made: %.40s", entry->d_name);
	seen[i]++;
}

/* Reads on, nb names or to the end. */
static unsigned int
read_on(DIR *dir, unsigned int nb)
{
	const struct dirent *entry;
	unsigned int n = 0;

	while (n < nb) {
		errno = 0;
		entry = readdir(dir);
		if (entry == NULL) {
			EQ(0, errno);
			break;
		}
		see(entry);
		n++;
	}
	return n;
}

static void
must_be_seen_once(unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++) {
		if (seen[i] != 1)
			FAIL("name%u: expected once, it was seen %u times", i, seen[i]);
	}
}

static DIR *
open_dir(void)
{
	DIR *dir = opendir("d");

	if (dir == NULL)
		FAIL("opendir: %m");
	return dir;
}

static const unsigned int counts[] = { 0, 1, 2, 50, 300, 2000 };

static void
count_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%u", counts[n]);
}

CHECKS(all_names_once, count_label, RTE_DIM(counts))
{
	put_dir("d", 0755);
	make(0, counts[n]);
	EQ(counts[n] + 2, read_on(open_dir(), MAX_NAMES));
	must_be_seen_once(0, counts[n]);
	unmake(0, counts[n]);
	EQ(0, count_names("d"));
	OK(rmdir("d"));
}

CHECK(dots_are_there_once)
{
	const struct dirent *entry;
	unsigned int nb = 0;
	DIR *dir;

	put_dir("d", 0755);
	make(0, 3);
	dir = open_dir();
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0) {
			nb += 1;
			EQ(stat_of("d").st_ino, entry->d_ino);
		} else if (strcmp(entry->d_name, "..") == 0) {
			nb += 10;
			EQ(stat_of(".").st_ino, entry->d_ino);
		}
	}
	EQ(11, nb);
}

CHECK(inode_numbers_and_types)
{
	const struct dirent *entry;
	struct stat st;
	DIR *dir;

	put("f", "", 0644);
	put_dir("d", 0755);
	OK(symlink("f", "l"));
	OK(mkfifo("p", 0644));
	OK(mknod("c", S_IFCHR | 0644, 0x103));
	dir = opendir(".");
	TRUE(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		st = lstat_of(entry->d_name);
		EQ(st.st_ino, entry->d_ino);
		if (entry->d_type != DT_UNKNOWN)
			EQ(IFTODT(st.st_mode), entry->d_type);
	}
}

CHECK(rewind_sees_what_is_new)
{
	DIR *dir;

	put_dir("d", 0755);
	make(0, 10);
	dir = open_dir();
	EQ(12, read_on(dir, MAX_NAMES));
	make(10, 15);
	unmake(0, 5);
	rewinddir(dir);
	memset(seen, 0, sizeof(seen));
	EQ(12, read_on(dir, MAX_NAMES));
	must_be_seen_once(5, 15);
	EQ(0, seen[0]);
}

/* As rm -r does: what was read, so many names, is removed before more is read; of nb in all. */
static void
remove_as_read(DIR *dir, int names, unsigned int nb)
{
	while (read_on(dir, names) > 0) {
		for (unsigned int i = 0; i < nb; i++) {
			if (seen[i] == 1) {
				unmake(i, i + 1);
				seen[i] = 2;
			}
		}
	}
}

CHECK(unlink_while_reading_hides_none)
{
	put_dir("d", 0755);
	make(0, 1000);
	remove_as_read(open_dir(), 1, 1000);
	EQ(0, count_names("d"));
}

CHECK(remove_in_batches_empties)
{
	put_dir("d", 0755);
	make(0, 1500);
	remove_as_read(open_dir(), 100, 1500);
	EQ(0, count_names("d"));
}

CHECK(create_while_reading_repeats_none)
{
	DIR *dir;

	put_dir("d", 0755);
	make(0, 500);
	dir = open_dir();
	for (unsigned int i = 500; i < 800; i += 30) {
		read_on(dir, 37);
		make(i, i + 30);
	}
	read_on(dir, MAX_NAMES);
	must_be_seen_once(0, 500);
	for (unsigned int i = 500; i < 800; i++)
		TRUE(seen[i] <= 1);
}

CHECK(stable_names_once_while_others_change)
{
	DIR *dir;

	put_dir("d", 0755);
	make(0, 1000);
	dir = open_dir();
	for (unsigned int i = 0; i < 500; i += 50) {
		read_on(dir, 70);
		/* Of the first half some go and new ones come; the second stays. */
		unmake(i, i + 50);
		make(1000 + i, 1050 + i);
	}
	read_on(dir, MAX_NAMES);
	must_be_seen_once(500, 1000);
	for (unsigned int i = 0; i < 1500; i++)
		TRUE(seen[i] <= 1);
}

CHECK(rename_while_reading_keeps_others)
{
	char from[32], to[32];
	DIR *dir;

	put_dir("d", 0755);
	make(0, 600);
	dir = open_dir();
	for (unsigned int i = 0; i < 100; i++) {
		read_on(dir, 4);
		snprintf(from, sizeof(from), "d/name%u", i);
		snprintf(to, sizeof(to), "d/name%u", 1000 + i);
		OK(rename(from, to));
	}
	read_on(dir, MAX_NAMES);
	must_be_seen_once(100, 600);
}

CHECK(telldir_and_seekdir)
{
	static char names[400][32];
	static long places[400];
	const struct dirent *entry;
	unsigned int nb = 0;
	DIR *dir;

	put_dir("d", 0755);
	make(0, 398);
	dir = open_dir();
	while (nb < 400) {
		places[nb] = telldir(dir);
		entry = readdir(dir);
		if (entry == NULL)
			break;
		snprintf(names[nb++], sizeof(names[0]), "%.31s", entry->d_name);
	}
	EQ(400, nb);
	for (unsigned int i = 0; i < nb; i += 7) {
		unsigned int at = (i * 131) % nb;

		seekdir(dir, places[at]);
		entry = readdir(dir);
		TRUE(entry != NULL);
		STR_EQ(names[at], entry->d_name);
	}
}

CHECK(seekdir_after_names_have_gone)
{
	static char name[32];
	const struct dirent *entry;
	long place;
	DIR *dir;

	/* A place stays, though what was before it has gone. */
	put_dir("d", 0755);
	make(0, 600);
	dir = open_dir();
	read_on(dir, 300);
	place = telldir(dir);
	entry = readdir(dir);
	TRUE(entry != NULL);
	snprintf(name, sizeof(name), "%.31s", entry->d_name);
	for (unsigned int i = 0; i < 600; i++) {
		if (seen[i] == 1)
			unmake(i, i + 1);
	}
	seekdir(dir, place);
	entry = readdir(dir);
	TRUE(entry != NULL);
	STR_EQ(name, entry->d_name);
}

CHECK(two_streams_are_independent)
{
	DIR *a, *b;

	put_dir("d", 0755);
	make(0, 300);
	a = open_dir();
	b = open_dir();
	for (unsigned int i = 0; i < 10; i++) {
		EQ(20, read_on(a, 20));
		EQ(13, read_on(b, 13));
	}
	read_on(a, MAX_NAMES);
	read_on(b, MAX_NAMES);
	for (unsigned int i = 0; i < 300; i++)
		EQ(2, seen[i]);
}

CHECK(descriptor_offset_goes_on)
{
	char buf[512];
	long total = 0, len;
	int fd;

	/* A small buffer, so that the kernel is asked often. */
	put_dir("d", 0755);
	make(0, 200);
	fd = OK(open("d", O_RDONLY));
	while ((len = OK(syscall(SYS_getdents64, fd, buf, sizeof(buf)))) > 0) {
		for (long at = 0; at < len;) {
			const struct dirent *entry = (const struct dirent *)(buf + at);

			see(entry);
			at += entry->d_reclen;
			total++;
		}
	}
	EQ(202, total);
	must_be_seen_once(0, 200);
	OK(lseek(fd, 0, SEEK_SET));
	TRUE(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0);
	ERR(EINVAL, syscall(SYS_getdents64, fd, buf, 1));
}

CHECK(removed_directory_is_empty)
{
	DIR *dir;

	put_dir("d", 0755);
	dir = open_dir();
	OK(rmdir("d"));
	/* Nothing, or that it is not there. */
	errno = 0;
	while (readdir(dir) != NULL)
		;
	TRUE(errno == 0 || errno == ENOENT);
}

CHECK(getdents_of_a_file_is_enotdir)
{
	char buf[64];

	put("f", "", 0644);
	ERR(ENOTDIR, syscall(SYS_getdents64, OK(open("f", O_RDONLY)), buf, sizeof(buf)));
	TRUE(opendir("f") == NULL);
	EQ(ENOTDIR, errno);
}

CHECK(names_of_255_bytes)
{
	char name[300];

	put_dir("d", 0755);
	for (unsigned int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "d/%s%02u", repeat('n', 253), i);
		OK(close(OK(open(name, O_CREAT | O_EXCL | O_WRONLY, 0644))));
	}
	EQ(60, count_names("d"));
}
