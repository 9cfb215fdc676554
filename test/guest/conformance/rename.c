/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* renameat2(): each kind of source on each kind of target, with each flag, and what else it says. */

#define TOPIC "rename"

#include "conform.h"

#define NB_SOURCES 5
#define NB_TARGETS 6

/* Kinds of names, in this order; the first NB_SOURCES can be the source. */
enum kind {
	ABSENT,
	REGULAR,
	SYMLINK,
	EMPTY_DIR,
	FULL_DIR,
	SAME, /* another name of the source */
};

static const char *const kinds[] = { "nothing", "file", "symlink", "dir", "fulldir", "link" };

static const struct {
	const char *name;
	unsigned int flags;
} ways[] = {
	{ "plain", 0 },
	{ "noreplace", RENAME_NOREPLACE },
	{ "exchange", RENAME_EXCHANGE },
};

static void
make(const char *path, enum kind kind)
{
	switch (kind) {
	case ABSENT:
		break;
	case REGULAR:
		put(path, path, 0644);
		break;
	case SYMLINK:
		OK(symlink("nowhere", path));
		break;
	case FULL_DIR:
	case EMPTY_DIR:
		put_dir(path, 0755);
		if (kind == FULL_DIR)
			OK(close(openat(OK(open(path, O_RDONLY)), "in", O_CREAT | O_RDWR, 0644)));
		break;
	case SAME:
		OK(linkat(AT_FDCWD, "from", AT_FDCWD, path, 0));
		break;
	}
}

static bool
is_dir(enum kind kind)
{
	return kind == EMPTY_DIR || kind == FULL_DIR;
}

static int
replaces(enum kind from, enum kind to)
{
	if (to == ABSENT || to == SAME)
		return 0;
	if (is_dir(from) && !is_dir(to))
		return ENOTDIR;
	if (!is_dir(from) && is_dir(to))
		return EISDIR;
	return to == FULL_DIR ? ENOTEMPTY : 0;
}

/* What Linux answers. */
static int
expected(enum kind from, enum kind to, unsigned int flags)
{
	if (from == ABSENT)
		return ENOENT;
	if (flags == RENAME_NOREPLACE)
		return to == ABSENT ? 0 : EEXIST;
	if (flags == RENAME_EXCHANGE)
		return to == ABSENT ? ENOENT : 0;
	return replaces(from, to);
}

/* Ends the check where there are no such flags, as the manual allows. */
static void
need_flags(unsigned int flags)
{
	if (flags == 0)
		return;
	put("one", "", 0644);
	put("two", "", 0644);
	if (renameat2(AT_FDCWD, "one", AT_FDCWD, flags == RENAME_EXCHANGE ? "two" : "three",
			    flags) < 0 &&
			errno == EINVAL)
		skip("renameat2 with flags: EINVAL");
}

static void
matrix_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%s.%s_to_%s", ways[n / (NB_SOURCES * NB_TARGETS)].name,
			kinds[n / NB_TARGETS % NB_SOURCES], kinds[n % NB_TARGETS]);
}

/* What is there: 0, or the inode. */
static ino_t
inode(const char *path)
{
	return exists(path) ? lstat_of(path).st_ino : 0;
}

CHECKS(matrix, matrix_label, NB_SOURCES *NB_TARGETS *RTE_DIM(ways))
{
	unsigned int flags = ways[n / (NB_SOURCES * NB_TARGETS)].flags;
	enum kind from = n / NB_TARGETS % NB_SOURCES, to = n % NB_TARGETS;
	int code = expected(from, to, flags);
	ino_t a, b;

	need_flags(flags);
	/* Nothing and directories have no other names. */
	if (to == SAME && (from == ABSENT || is_dir(from))) {
		make("from", from);
		ERR(from == ABSENT ? ENOENT : EPERM, link("from", "to"));
		return;
	}
	make("from", from);
	make("to", to);
	a = inode("from");
	b = inode("to");
	if (code != 0)
		ERR(code, renameat2(AT_FDCWD, "from", AT_FDCWD, "to", flags));
	else
		OK(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", flags));
	if (code != 0 || to == SAME) {
		EQ(a, inode("from"));
		EQ(b, inode("to"));
		return;
	}
	EQ(a, inode("to"));
	EQ(flags == RENAME_EXCHANGE ? b : 0, inode("from"));
}

CHECK(across_folders_moves_and_counts)
{
	put_dir("a", 0755);
	put_dir("b", 0755);
	put_dir("a/x", 0755);
	put("a/x/f", "text", 0644);
	OK(rename("a/x", "b/y"));
	CONTAINS("b/y/f", "text");
	TRUE(!exists("a/x"));
	EQ(0, count_names("a"));
	EQ(1, count_names("b"));
	EQ(stat_of("b").st_ino, stat_of("b/y/..").st_ino);
}

CHECK(directory_moves_nlink)
{
	long links;

	put_dir("a", 0755);
	put_dir("b", 0755);
	links = stat_of("a").st_nlink;
	if (links == 1)
		skip("directories have no link count");
	put_dir("a/x", 0755);
	EQ(links + 1, stat_of("a").st_nlink);
	OK(rename("a/x", "b/x"));
	EQ(links, stat_of("a").st_nlink);
	EQ(links + 1, stat_of("b").st_nlink);
}

CHECK(exchange_across_folders)
{
	need_flags(RENAME_EXCHANGE);
	put_dir("a", 0755);
	put_dir("b", 0755);
	put_dir("a/x", 0755);
	put("b/y", "text", 0644);
	OK(renameat2(AT_FDCWD, "a/x", AT_FDCWD, "b/y", RENAME_EXCHANGE));
	CONTAINS("a/x", "text");
	TRUE(S_ISDIR(stat_of("b/y").st_mode));
	EQ(stat_of("b").st_ino, stat_of("b/y/..").st_ino);
}

CHECK(onto_itself_does_nothing)
{
	put("f", "text", 0644);
	OK(rename("f", "f"));
	CONTAINS("f", "text");
	put_dir("d", 0755);
	OK(rename("d", "d"));
	TRUE(exists("d"));
}

CHECK(into_itself_is_einval)
{
	put_dir("d", 0755);
	put_dir("d/e", 0755);
	ERR(EINVAL, rename("d", "d/x"));
	ERR(EINVAL, rename("d", "d/e/x"));
	ERR(EINVAL, rename("d", "d/e"));
}

CHECK(onto_ancestor_is_enotempty)
{
	put_dir("d", 0755);
	put_dir("d/e", 0755);
	ERR2(ENOTEMPTY, EEXIST, rename("d/e", "d"));
	ERR(EINVAL, renameat2(AT_FDCWD, "d/e", AT_FDCWD, "d", RENAME_EXCHANGE));
}

CHECK(dots_are_ebusy_or_einval)
{
	put_dir("d", 0755);
	put_dir("d/e", 0755);
	ERR2(EBUSY, EINVAL, rename("d/e/.", "d/x"));
	ERR2(EBUSY, EINVAL, rename("d/e/..", "d/x"));
	ERR2(EBUSY, EINVAL, rename("d/e", "d/."));
	ERR2(EBUSY, ENOTEMPTY, rename("d/e", "d/.."));
}

CHECK(unknown_flags_are_einval)
{
	put("f", "", 0644);
	ERR(EINVAL, renameat2(AT_FDCWD, "f", AT_FDCWD, "g", 0x80));
	ERR(EINVAL, renameat2(AT_FDCWD, "f", AT_FDCWD, "g", RENAME_NOREPLACE | RENAME_EXCHANGE));
	TRUE(exists("f") && !exists("g"));
}

CHECK(missing_parent_is_enoent)
{
	put("f", "", 0644);
	ERR(ENOENT, rename("f", "none/f"));
	ERR(ENOENT, rename("none/f", "g"));
	ERR(ENOENT, rename("", "g"));
	ERR(ENOENT, rename("f", ""));
}

CHECK(file_as_parent_is_enotdir)
{
	put("f", "", 0644);
	put("g", "", 0644);
	ERR(ENOTDIR, rename("f", "g/h"));
	ERR(ENOTDIR, rename("g/h", "i"));
}

CHECK(trailing_slash_wants_a_directory)
{
	put("f", "", 0644);
	put_dir("d", 0755);
	ERR(ENOTDIR, rename("f", "g/"));
	ERR(ENOTDIR, rename("f/", "g"));
	OK(rename("d/", "e/"));
	TRUE(S_ISDIR(stat_of("e").st_mode));
}

CHECK(replaced_file_stays_open)
{
	char buf[4] = "";
	int fd;

	put("f", "new", 0644);
	put("g", "old", 0644);
	fd = OK(open("g", O_RDWR));
	OK(rename("f", "g"));
	EQ(3, pread(fd, buf, 3, 0));
	STR_EQ("old", buf);
	EQ(0, fstat_of(fd).st_nlink);
	EQ(3, pwrite(fd, "OLD", 3, 0));
	CONTAINS("g", "new");
}

CHECK(replaced_link_loses_one)
{
	put("f", "", 0644);
	put("g", "", 0644);
	OK(link("g", "h"));
	OK(rename("f", "g"));
	EQ(1, stat_of("h").st_nlink);
}

CHECK(long_names)
{
	char to[300];

	put("f", "", 0644);
	snprintf(to, sizeof(to), "%s", repeat('n', 255));
	OK(rename("f", to));
	OK(rename(to, "f"));
	ERR(ENAMETOOLONG, rename("f", repeat('n', 256)));
	ERR(ENAMETOOLONG, rename(repeat('n', 256), "g"));
}

CHECK(needs_write_in_both_folders)
{
	put_dir("mine", 0777);
	put_dir("theirs", 0755);
	put("mine/f", "", 0666);
	put("theirs/f", "", 0666);
	if (as(U1, G1)) {
		ERR(EACCES, rename("mine/f", "theirs/g"));
		ERR(EACCES, rename("theirs/f", "mine/g"));
		OK(rename("mine/f", "mine/g"));
		done();
	}
}

CHECK(directory_of_another_needs_write)
{
	/* Its .. changes, so that it must be writable itself. */
	put_dir("a", 0777);
	put_dir("b", 0777);
	put_dir("a/x", 0755);
	if (as(U1, G1)) {
		ERR(EACCES, rename("a/x", "b/x"));
		OK(rename("a/x", "a/y"));
		done();
	}
}

CHECK(sticky_source_and_target)
{
	put_dir("s", 01777);
	put("s/f", "", 0666);
	put("s/g", "", 0666);
	OK(chown("s/f", U1, G1));
	if (as(U2, G2)) {
		put("s/own", "", 0644);
		ERR(EPERM, rename("s/f", "s/x"));
		ERR(EPERM, rename("s/own", "s/f"));
		OK(rename("s/own", "s/own2"));
		done();
	}
	if (as(U1, G1)) {
		OK(rename("s/f", "s/x"));
		ERR(EPERM, rename("s/x", "s/g"));
		done();
	}
}

CHECK(working_directory_follows)
{
	char buf[4096];
	size_t len;

	put_dir("a", 0755);
	OK(chdir("a"));
	OK(rename("../a", "../b"));
	TRUE(getcwd(buf, sizeof(buf)) != NULL);
	len = strlen(buf);
	STR_EQ("/b", buf + len - 2);
	put("f", "x", 0644);
	CONTAINS("../b/f", "x");
}

CHECK(symlink_itself_not_its_target)
{
	put("f", "text", 0644);
	OK(symlink("f", "l"));
	OK(rename("l", "m"));
	TRUE(S_ISLNK(lstat_of("m").st_mode));
	put("g", "other", 0644);
	OK(rename("g", "m"));
	TRUE(S_ISREG(lstat_of("m").st_mode));
	CONTAINS("f", "text");
}
