/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* open(): flags, and what is there. */

#define TOPIC "open"

#include "conform.h"

/* What is opened. */
enum kind {
	ABSENT,
	REGULAR,
	DIRECTORY,
	LINK_TO_FILE,
	LINK_TO_DIR,
	LINK_TO_NOTHING,
	NB_KINDS,
};

static const char *const kinds[] = { "nothing", "file", "dir", "link_to_file", "link_to_dir",
	"link_to_nothing" };

/* Flags and, for each kind, what comes: 0 or an errno. */
static const struct {
	const char *name;
	int flags;
	int codes[NB_KINDS];
} ways[] = {
	{ "rdonly", O_RDONLY, { ENOENT, 0, 0, 0, 0, ENOENT } },
	{ "wronly", O_WRONLY, { ENOENT, 0, EISDIR, 0, EISDIR, ENOENT } },
	{ "rdwr", O_RDWR, { ENOENT, 0, EISDIR, 0, EISDIR, ENOENT } },
	{ "creat", O_RDWR | O_CREAT, { 0, 0, EISDIR, 0, EISDIR, 0 } },
	{ "creat_rdonly", O_RDONLY | O_CREAT, { 0, 0, EISDIR, 0, EISDIR, 0 } },
	{ "excl", O_RDWR | O_CREAT | O_EXCL, { 0, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "trunc", O_RDWR | O_TRUNC, { ENOENT, 0, EISDIR, 0, EISDIR, ENOENT } },
	{ "nofollow", O_RDONLY | O_NOFOLLOW, { ENOENT, 0, 0, ELOOP, ELOOP, ELOOP } },
	{ "creat_nofollow", O_RDWR | O_CREAT | O_NOFOLLOW, { 0, 0, EISDIR, ELOOP, ELOOP, ELOOP } },
	{ "directory", O_RDONLY | O_DIRECTORY, { ENOENT, ENOTDIR, 0, ENOTDIR, 0, ENOENT } },
	{ "directory_nofollow", O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
			{ ENOENT, ENOTDIR, 0, ENOTDIR, ENOTDIR, ENOTDIR } },
	{ "path", O_PATH, { ENOENT, 0, 0, 0, 0, ENOENT } },
	{ "path_nofollow", O_PATH | O_NOFOLLOW, { ENOENT, 0, 0, 0, 0, 0 } },
	{ "append", O_WRONLY | O_APPEND, { ENOENT, 0, EISDIR, 0, EISDIR, ENOENT } },
	{ "sync", O_RDWR | O_SYNC, { ENOENT, 0, EISDIR, 0, EISDIR, ENOENT } },
	{ "dsync_nonblock", O_RDWR | O_DSYNC | O_NONBLOCK,
			{ ENOENT, 0, EISDIR, 0, EISDIR, ENOENT } },
};

static void
matrix_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%s_%s", ways[n / NB_KINDS].name, kinds[n % NB_KINDS]);
}

static void
make(enum kind kind)
{
	put("file", "text", 0644);
	put_dir("dir", 0755);
	if (kind == REGULAR)
		OK(link("file", "it"));
	else if (kind == DIRECTORY)
		put_dir("it", 0755);
	else if (kind != ABSENT)
		OK(symlink(kind == LINK_TO_FILE                     ? "file" :
						kind == LINK_TO_DIR ? "dir" :
								      "none",
				"it"));
}

CHECKS(matrix, matrix_label, RTE_DIM(ways) * NB_KINDS)
{
	enum kind kind = n % NB_KINDS;
	int flags = ways[n / NB_KINDS].flags, code = ways[n / NB_KINDS].codes[kind];
	bool was_there = exists("it");

	make(kind);
	was_there = exists("it");
	if (code != 0) {
		ERR(code, open("it", flags, 0640));
		EQ(was_there, exists("it"));
		EQ(4, stat_of("file").st_size);
		return;
	}
	OK(open("it", flags, 0640));
	TRUE(exists("it"));
	if ((flags & O_TRUNC) != 0)
		EQ(0, stat_of("file").st_size);
	else
		EQ(4, stat_of("file").st_size);
	if (kind == ABSENT && (flags & O_CREAT) != 0)
		EQ(0640, MODE("it"));
	if (kind == LINK_TO_NOTHING && (flags & O_CREAT) != 0)
		EQ(0640, MODE("none"));
}

static const mode_t umasks[] = { 0, 022, 027, 077, 0177, 0777 };

static void
umask_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%04o", (unsigned int)umasks[n]);
}

CHECKS(umask_masks, umask_label, RTE_DIM(umasks))
{
	umask(umasks[n]);
	OK(open("file", O_CREAT | O_RDWR, 0777));
	OK(mkdir("dir", 01777));
	OK(mknod("fifo", S_IFIFO | 0777, 0));
	OK(mknod("node", S_IFREG | 0666, 0));
	EQ(0777 & ~umasks[n], MODE("file"));
	EQ(01777 & ~umasks[n], MODE("dir"));
	EQ(0777 & ~umasks[n], MODE("fifo"));
	EQ(0666 & ~umasks[n], MODE("node"));
}

CHECK(suid_and_sticky_modes_are_kept)
{
	OK(open("f", O_CREAT | O_RDWR, 04755));
	EQ(04755, MODE("f"));
	OK(open("g", O_CREAT | O_RDWR, 02755));
	EQ(02755, MODE("g"));
	OK(open("h", O_CREAT | O_RDWR, 01644));
	EQ(01644, MODE("h"));
}

CHECK(created_without_permission_is_usable)
{
	/* The mode counts from the next open on, also for a user who may not open it again. */
	put_dir("d", 0777);
	if (as(U1, G1)) {
		int fd = OK(open("d/f", O_CREAT | O_EXCL | O_RDWR, 0));

		EQ(1, write(fd, "x", 1));
		EQ(0, MODE("d/f"));
		ERR(EACCES, open("d/f", O_RDONLY));
		fd = OK(open("d/g", O_CREAT | O_EXCL | O_WRONLY, 0444));
		EQ(1, write(fd, "x", 1));
		ERR(EACCES, open("d/g", O_WRONLY));
		done();
	}
}

CHECK(owner_is_the_caller)
{
	put_dir("d", 0777);
	if (as(U1, G1)) {
		OK(open("d/f", O_CREAT | O_RDWR, 0644));
		OK(mkdir("d/e", 0755));
		OK(symlink("x", "d/l"));
		OK(mkfifo("d/p", 0644));
		done();
	}
	EQ(U1, lstat_of("d/f").st_uid);
	EQ(G1, lstat_of("d/f").st_gid);
	EQ(U1, lstat_of("d/e").st_uid);
	EQ(G1, lstat_of("d/e").st_gid);
	EQ(U1, lstat_of("d/l").st_uid);
	EQ(G1, lstat_of("d/l").st_gid);
	EQ(U1, lstat_of("d/p").st_uid);
	EQ(G1, lstat_of("d/p").st_gid);
}

CHECK(excl_lets_one_of_many_win)
{
	pid_t pids[4];
	long won = 0;

	for (unsigned int i = 0; i < RTE_DIM(pids); i++) {
		pids[i] = spawn();
		if (pids[i] != 0)
			continue;
		for (unsigned int k = 0; k < 20; k++) {
			char name[16];

			snprintf(name, sizeof(name), "f%u", k);
			if (open(name, O_CREAT | O_EXCL | O_WRONLY, 0644) >= 0)
				shared_set(i, shared_get(i) + 1);
			else
				EQ(EEXIST, errno);
		}
		done();
	}
	for (unsigned int i = 0; i < RTE_DIM(pids); i++) {
		join(pids[i]);
		won += shared_get(i);
	}
	EQ(20, won);
	EQ(20, count_names("."));
}

CHECK(lowest_descriptor_and_cloexec)
{
	int fd, other;

	put("f", "", 0644);
	fd = OK(open("f", O_RDONLY));
	other = OK(open("f", O_RDONLY | O_CLOEXEC));
	TRUE(other > fd);
	EQ(FD_CLOEXEC, fcntl(other, F_GETFD));
	OK(close(fd));
	EQ(fd, open("f", O_RDONLY));
}

CHECK(wrong_mode_is_ebadf)
{
	char c;
	int r, w;

	put("f", "text", 0644);
	r = OK(open("f", O_RDONLY));
	w = OK(open("f", O_WRONLY));
	ERR(EBADF, write(r, "x", 1));
	ERR(EBADF, read(w, &c, 1));
	ERR2(EINVAL, EBADF, ftruncate(r, 0));
	ERR(EBADF, pwrite(r, "x", 1, 0));
	CONTAINS("f", "text");
}

CHECK(path_descriptor_is_only_a_name)
{
	char c;
	int fd;

	put("f", "text", 0600);
	fd = OK(open("f", O_PATH));
	ERR(EBADF, read(fd, &c, 1));
	ERR(EBADF, fchmod(fd, 0644));
	EQ(4, fstat_of(fd).st_size);
	if (as(U1, G1)) {
		OK(open("f", O_PATH));
		ERR(EACCES, open("f", O_RDONLY));
		done();
	}
}

CHECK(trailing_slash)
{
	put("f", "", 0644);
	put_dir("d", 0755);
	ERR(ENOTDIR, open("f/", O_RDONLY));
	ERR(EISDIR, open("new/", O_CREAT | O_RDWR, 0644));
	OK(open("d/", O_RDONLY));
	TRUE(!exists("new"));
}

CHECK(read_of_a_directory_is_eisdir)
{
	char c;
	int fd;

	put_dir("d", 0755);
	fd = OK(open("d", O_RDONLY));
	ERR(EISDIR, read(fd, &c, 1));
	ERR(EBADF, write(fd, "x", 1));
}

CHECK(noatime_is_the_owners)
{
	put("f", "text", 0666);
	OK(open("f", O_RDONLY | O_NOATIME));
	if (as(U1, G1)) {
		ERR(EPERM, open("f", O_RDONLY | O_NOATIME));
		done();
	}
}

CHECK(truncation_needs_write_permission)
{
	put("f", "text", 0644);
	if (as(U1, G1)) {
		ERR(EACCES, open("f", O_RDONLY | O_TRUNC));
		ERR(EACCES, open("f", O_WRONLY | O_TRUNC));
		ERR(EACCES, truncate("f", 0));
		done();
	}
	CONTAINS("f", "text");
}

CHECK(rights_are_those_at_open)
{
	char buf[8] = "";
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDWR));
	OK(fchmod(fd, 0));
	if (as(U1, G1)) {
		EQ(4, pread(fd, buf, 4, 0));
		EQ(4, pwrite(fd, "TEXT", 4, 0));
		OK(ftruncate(fd, 3));
		done();
	}
	EQ(3, fstat_of(fd).st_size);
}

CHECK(many_at_once)
{
	static int fds[600];

	put("f", "text", 0644);
	for (unsigned int i = 0; i < RTE_DIM(fds); i++)
		fds[i] = OK(open("f", i % 2 != 0 ? O_RDONLY : O_RDWR));
	for (unsigned int i = 0; i < RTE_DIM(fds); i++)
		EQ(4, fstat_of(fds[i]).st_size);
}

CHECK(reopen_by_proc)
{
	char path[64];
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDONLY));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EQ(2, write(OK(open(path, O_WRONLY)), "TE", 2));
	CONTAINS("f", "TExt");
	CONTAINS(path, "TExt");
}
