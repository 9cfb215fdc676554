/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* utimensat(): each form on each kind of file, and who may. */

#define TOPIC "utime"

#include <time.h>

#include "conform.h"

#define OMIT                                                                                       \
	{                                                                                          \
		.tv_nsec = UTIME_OMIT                                                              \
	}
#define NOW                                                                                        \
	{                                                                                          \
		.tv_nsec = UTIME_NOW                                                               \
	}

static const struct {
	const char *name;
	struct timespec times[2];
} forms[] = {
	{ "both", { { 1000000001, 111111111 }, { 1000000002, 222222222 } } },
	{ "nanoseconds", { { 1000000001, 1 }, { 1000000002, 999999999 } } },
	{ "atime_only", { { 1000000001, 5 }, OMIT } },
	{ "mtime_only", { OMIT, { 1000000001, 5 } } },
	{ "neither", { OMIT, OMIT } },
	{ "now", { NOW, NOW } },
	{ "atime_now", { NOW, { 1000000002, 7 } } },
	{ "mtime_now", { { 1000000001, 7 }, NOW } },
	{ "atime_now_only", { NOW, OMIT } },
	{ "epoch", { { 0, 0 }, { 0, 1 } } },
	{ "before_1970", { { -1, 500000000 }, { -1000000, 1 } } },
	{ "after_2038", { { 3000000000, 1 }, { 4000000000, 2 } } },
	{ "after_2106", { { 5000000000, 1 }, { 8000000000, 2 } } },
};

static const struct {
	const char *name;
	mode_t type;
} kinds[] = {
	{ "file", S_IFREG },
	{ "dir", S_IFDIR },
	{ "symlink", S_IFLNK },
	{ "fifo", S_IFIFO },
};

static void
matrix_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%s_%s", forms[n / RTE_DIM(kinds)].name, kinds[n % RTE_DIM(kinds)].name);
}

static void
make(mode_t type)
{
	if (type == S_IFREG)
		put("it", "text", 0644);
	else if (type == S_IFDIR)
		put_dir("it", 0755);
	else if (type == S_IFLNK)
		OK(symlink("none", "it"));
	else
		OK(mkfifo("it", 0644));
}

static void
must_be(struct timespec want, struct timespec was, struct timespec got, const char *what)
{
	if (want.tv_nsec == UTIME_NOW) {
		if (time_compare(got, was) <= 0)
			FAIL("%s: expected now, got %lld.%09ld, it was %lld.%09ld", what,
					(long long)got.tv_sec, got.tv_nsec, (long long)was.tv_sec,
					was.tv_nsec);
		return;
	}
	if (want.tv_nsec == UTIME_OMIT)
		want = was;
	if (time_compare(want, got) != 0)
		FAIL("%s: expected %lld.%09ld, got %lld.%09ld", what, (long long)want.tv_sec,
				want.tv_nsec, (long long)got.tv_sec, got.tv_nsec);
}

CHECKS(matrix, matrix_label, RTE_DIM(forms) * RTE_DIM(kinds))
{
	const struct timespec *times = forms[n / RTE_DIM(kinds)].times;
	struct stat before, after;

	make(kinds[n % RTE_DIM(kinds)].type);
	before = lstat_of("it");
	tick();
	OK(utimensat(AT_FDCWD, "it", times, AT_SYMLINK_NOFOLLOW));
	after = lstat_of("it");
	must_be(times[0], before.st_atim, after.st_atim, "atime");
	must_be(times[1], before.st_mtim, after.st_mtim, "mtime");
	if (times[0].tv_nsec != UTIME_OMIT || times[1].tv_nsec != UTIME_OMIT)
		TRUE(time_compare(after.st_ctim, before.st_ctim) > 0);
	else
		EQ(0, time_compare(after.st_ctim, before.st_ctim));
}

CHECK(null_is_now)
{
	struct stat before;

	put("f", "text", 0644);
	OK(utimensat(AT_FDCWD, "f", (struct timespec[2]){ { 1, 1 }, { 2, 2 } }, 0));
	before = stat_of("f");
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	TRUE(stat_of("f").st_mtim.tv_sec > before.st_mtim.tv_sec);
	TRUE(stat_of("f").st_atim.tv_sec > before.st_atim.tv_sec);
}

CHECK(now_is_both_the_same)
{
	struct stat st;

	put("f", "text", 0644);
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	st = stat_of("f");
	EQ(0, time_compare(st.st_atim, st.st_mtim));
}

CHECK(by_descriptor)
{
	const struct timespec times[2] = { { 1000000001, 123456789 }, { 1000000002, 987654321 } };
	struct stat st;
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDONLY));
	OK(futimens(fd, times));
	st = stat_of("f");
	EQ(0, time_compare(times[0], st.st_atim));
	EQ(0, time_compare(times[1], st.st_mtim));
	EQ(123456789, fstat_of(fd).st_atim.tv_nsec);
}

CHECK(of_an_open_file_without_a_name)
{
	const struct timespec times[2] = { { 1000000001, 5 }, { 1000000002, 6 } };
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDWR));
	OK(unlink("f"));
	OK(futimens(fd, times));
	EQ(1000000002, fstat_of(fd).st_mtim.tv_sec);
}

CHECK(follows_links)
{
	const struct timespec times[2] = { { 1000000001, 5 }, { 1000000002, 6 } };
	struct stat before;

	put("f", "text", 0644);
	OK(symlink("f", "l"));
	before = lstat_of("l");
	OK(utimensat(AT_FDCWD, "l", times, 0));
	EQ(1000000002, stat_of("f").st_mtim.tv_sec);
	EQ(before.st_mtim.tv_sec, lstat_of("l").st_mtim.tv_sec);
}

CHECK(bad_nanoseconds_are_einval)
{
	put("f", "text", 0644);
	ERR(EINVAL,
			utimensat(AT_FDCWD, "f",
					(struct timespec[2]){ { 1, 1000000000 }, { 1, 1 } }, 0));
	ERR(EINVAL, utimensat(AT_FDCWD, "f", (struct timespec[2]){ { 1, 1 }, { 1, -1 } }, 0));
	ERR(EINVAL, utimensat(AT_FDCWD, "f", NULL, 0x4000));
	ERR(ENOENT, utimensat(AT_FDCWD, "none", NULL, 0));
}

/* What other users may: owner or not, with write permission or not. */
static const struct {
	const char *name;
	struct timespec times[2];
	int stranger;
	int writer;
} rules[] = {
	{ "explicit", { { 1, 1 }, { 2, 2 } }, EPERM, EPERM },
	{ "now", { NOW, NOW }, EACCES, 0 },
	{ "neither", { OMIT, OMIT }, 0, 0 },
	{ "atime_now_only", { NOW, OMIT }, EPERM, EPERM },
	{ "mtime_now_only", { OMIT, NOW }, EPERM, EPERM },
	{ "atime_only", { { 1, 1 }, OMIT }, EPERM, EPERM },
	{ "mtime_explicit_atime_now", { NOW, { 1, 1 } }, EPERM, EPERM },
};

static void
rule_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%s", rules[n].name);
}

CHECKS(who_may, rule_label, RTE_DIM(rules))
{
	put("f", "text", 0620);
	OK(chown("f", U1, G1));
	OK(chmod("f", 0020));
	if (as(U1, G2)) {
		OK(utimensat(AT_FDCWD, "f", rules[n].times, 0));
		done();
	}
	if (as(U2, G1)) {
		if (rules[n].writer != 0)
			ERR(rules[n].writer, utimensat(AT_FDCWD, "f", rules[n].times, 0));
		else
			OK(utimensat(AT_FDCWD, "f", rules[n].times, 0));
		done();
	}
	if (as(U2, G2)) {
		if (rules[n].stranger != 0)
			ERR(rules[n].stranger, utimensat(AT_FDCWD, "f", rules[n].times, 0));
		else
			OK(utimensat(AT_FDCWD, "f", rules[n].times, 0));
		done();
	}
}
