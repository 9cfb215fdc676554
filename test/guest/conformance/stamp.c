/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Which of a file's times each operation moves. */

#define TOPIC "stamp"

#include <sys/xattr.h>
#include <time.h>

#include "conform.h"

/* Bits: of the file, and of the folder that it is in. */
#define M  0x01
#define C  0x02
#define DM 0x04
#define DC 0x08
#define D  (DM | DC)

struct operation {
	const char *name;
	void (*run)(int fd);
	/* What must move; what else may move is in "may". */
	unsigned int must;
	unsigned int may;
};

static void
do_write(int fd)
{
	EQ(1, write(fd, "x", 1));
}

static void
do_write_none(int fd)
{
	EQ(0, write(fd, "x", 0));
}

static void
do_truncate(int fd)
{
	OK(ftruncate(fd, 1));
}

static void
do_truncate_path(int fd)
{
	OK(truncate("d/f", 100));
}

static void
do_truncate_same(int fd)
{
	OK(ftruncate(fd, 4));
}

static void
do_open_trunc(int fd)
{
	OK(open("d/f", O_WRONLY | O_TRUNC));
}

static void
do_open(int fd)
{
	OK(close(OK(open("d/f", O_RDWR))));
}

static void
do_chmod(int fd)
{
	OK(fchmod(fd, 0600));
}

static void
do_chown(int fd)
{
	OK(fchown(fd, U1, G1));
}

static void
do_link(int fd)
{
	OK(link("d/f", "other"));
}

static void
do_link_here(int fd)
{
	OK(link("d/f", "d/g"));
}

static void
do_unlink(int fd)
{
	OK(unlink("d/f"));
}

static void
do_unlink_one_of_two(int fd)
{
	OK(unlink("d/second"));
}

static void
do_rename(int fd)
{
	OK(rename("d/f", "d/g"));
}

static void
do_rename_out(int fd)
{
	OK(rename("d/f", "f"));
}

static void
do_create(int fd)
{
	OK(open("d/new", O_CREAT | O_EXCL | O_RDWR, 0644));
}

static void
do_mkdir(int fd)
{
	OK(mkdir("d/new", 0755));
}

static void
do_symlink(int fd)
{
	OK(symlink("x", "d/new"));
}

static void
do_mkfifo(int fd)
{
	OK(mkfifo("d/new", 0644));
}

static void
do_rmdir(int fd)
{
	OK(rmdir("d/sub"));
}

static void
do_stat(int fd)
{
	TRUE(fstat_of(fd).st_size == 4 && exists("d/f"));
	OK(access("d/f", R_OK));
}

static void
do_setxattr(int fd)
{
	NEED(fsetxattr(fd, "user.a", "x", 1, 0));
}

static void
do_fallocate(int fd)
{
	NEED(fallocate(fd, 0, 0, 8192));
}

static void
do_punch(int fd)
{
	NEED(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
}

static void
do_copy(int fd)
{
	loff_t to = 0;
	int from;

	put("from", "other", 0644);
	from = OK(open("from", O_RDONLY));
	EQ(5, OK(copy_file_range(from, NULL, fd, &to, 5, 0)));
}

static void
do_fsync(int fd)
{
	OK(fsync(fd));
}

static const struct operation operations[] = {
	{ "write", do_write, M | C, 0 },
	{ "write_of_nothing", do_write_none, 0, 0 },
	{ "ftruncate", do_truncate, M | C, 0 },
	{ "truncate_longer", do_truncate_path, M | C, 0 },
	{ "ftruncate_same_size", do_truncate_same, M | C, 0 },
	{ "open_trunc", do_open_trunc, M | C, 0 },
	{ "open", do_open, 0, 0 },
	{ "chmod", do_chmod, C, 0 },
	{ "chown", do_chown, C, 0 },
	{ "link", do_link, C, 0 },
	{ "link_in_folder", do_link_here, C | D, 0 },
	{ "unlink", do_unlink, C | D, 0 },
	{ "unlink_one_of_two", do_unlink_one_of_two, C | D, 0 },
	{ "rename", do_rename, D, C },
	{ "rename_out", do_rename_out, D, C },
	{ "create", do_create, D, 0 },
	{ "mkdir", do_mkdir, D, 0 },
	{ "symlink", do_symlink, D, 0 },
	{ "mkfifo", do_mkfifo, D, 0 },
	{ "rmdir", do_rmdir, D, 0 },
	{ "stat", do_stat, 0, 0 },
	{ "setxattr", do_setxattr, C, 0 },
	{ "fallocate_longer", do_fallocate, C, M },
	{ "punch_hole", do_punch, M | C, 0 },
	{ "copy_file_range", do_copy, M | C, 0 },
	{ "fsync", do_fsync, 0, 0 },
};

static void
operation_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%s", operations[n].name);
}

static unsigned int
moved(const struct stat *before, const struct stat *after)
{
	return (time_compare(after->st_mtim, before->st_mtim) != 0 ? M : 0) |
			(time_compare(after->st_ctim, before->st_ctim) != 0 ? C : 0);
}

CHECKS(operation, operation_label, RTE_DIM(operations))
{
	const struct operation *op = &operations[n];
	struct stat file, folder, file2, folder2;
	unsigned int got, wrong;
	int fd;

	put_dir("d", 0755);
	put_dir("d/sub", 0755);
	put("d/f", "text", 0644);
	OK(link("d/f", "d/second"));
	fd = OK(open("d/f", O_RDWR));
	file = fstat_of(fd);
	folder = stat_of("d");
	tick();
	op->run(fd);
	file2 = fstat_of(fd);
	folder2 = stat_of("d");
	got = moved(&file, &file2) | moved(&folder, &folder2) << 2;
	wrong = (op->must & ~got) | (got & ~(op->must | op->may));
	if (wrong != 0)
		FAIL("wrong:%s%s%s%s, expected to move:%s%s%s%s", wrong & M ? " mtime" : "",
				wrong & C ? " ctime" : "", wrong & DM ? " folder's mtime" : "",
				wrong & DC ? " folder's ctime" : "", op->must & M ? " mtime" : "",
				op->must & C ? " ctime" : "",
				op->must & DM ? " folder's mtime" : "",
				op->must & DC ? " folder's ctime" : "");
}

CHECK(times_of_a_new_file_are_now)
{
	struct stat before, after;

	put("before", "", 0644);
	tick();
	OK(open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
	before = stat_of("before");
	after = stat_of("f");
	TRUE(time_compare(after.st_mtim, before.st_mtim) > 0);
	TRUE(time_compare(after.st_atim, before.st_mtim) > 0);
	TRUE(time_compare(after.st_ctim, before.st_mtim) > 0);
}

CHECK(read_may_move_atime_never_mtime)
{
	struct stat before, after;
	char buf[4];
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDONLY));
	before = fstat_of(fd);
	tick();
	EQ(4, read(fd, buf, 4));
	after = fstat_of(fd);
	EQ(0, time_compare(before.st_mtim, after.st_mtim));
	EQ(0, time_compare(before.st_ctim, after.st_ctim));
	TRUE(time_compare(after.st_atim, before.st_atim) >= 0);
}

CHECK(failed_operation_moves_nothing)
{
	struct stat before, after;

	put_dir("d", 0755);
	put("d/f", "", 0644);
	before = stat_of("d");
	tick();
	ERR(EEXIST, mkdir("d/f", 0755));
	ERR(EEXIST, open("d/f", O_CREAT | O_EXCL, 0644));
	ERR(ENOENT, unlink("d/none"));
	ERR(ENOENT, rename("d/none", "d/g"));
	after = stat_of("d");
	EQ(0, time_compare(before.st_mtim, after.st_mtim));
}

CHECK(rename_moves_both_folders)
{
	struct stat a, b;

	put_dir("a", 0755);
	put_dir("b", 0755);
	put("a/f", "", 0644);
	a = stat_of("a");
	b = stat_of("b");
	tick();
	OK(rename("a/f", "b/f"));
	TRUE(time_compare(stat_of("a").st_mtim, a.st_mtim) > 0);
	TRUE(time_compare(stat_of("b").st_mtim, b.st_mtim) > 0);
}

CHECK(second_descriptor_sees_the_first_ones_times)
{
	struct stat one, two;
	int a, b;

	put("f", "", 0644);
	a = OK(open("f", O_RDWR));
	b = OK(open("f", O_RDWR));
	for (int i = 0; i < 5; i++) {
		tick();
		EQ(1, write(a, "x", 1));
		one = fstat_of(a);
		two = fstat_of(b);
		EQ(0, time_compare(one.st_mtim, two.st_mtim));
		EQ(i + 1, two.st_size);
	}
}

CHECK(times_stay_over_close_and_reopen)
{
	struct stat before, after;
	int fd;

	put("f", "", 0644);
	fd = OK(open("f", O_RDWR));
	EQ(4, write(fd, "text", 4));
	before = fstat_of(fd);
	tick();
	OK(close(fd));
	after = stat_of("f");
	EQ(0, time_compare(before.st_mtim, after.st_mtim));
}
