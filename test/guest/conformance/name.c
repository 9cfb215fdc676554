/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Names: how long, of what bytes; hard links and symbolic links; directories made and removed. */

#define TOPIC "name"

#include <limits.h>

#include "conform.h"

static const size_t lengths[] = { 1, 8, 64, 143, 254, 255, 256, 4000 };

static void
length_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%zu", lengths[n]);
}

CHECKS(length, length_label, RTE_DIM(lengths))
{
	const char *name = repeat('n', lengths[n]);
	char old[4] = "old";

	put(old, "text", 0644);
	if (lengths[n] > 255) {
		ERR(ENAMETOOLONG, open(name, O_CREAT | O_RDWR, 0644));
		ERR(ENAMETOOLONG, mkdir(name, 0755));
		ERR(ENAMETOOLONG, symlink("x", name));
		ERR(ENAMETOOLONG, link(old, name));
		ERR(ENAMETOOLONG, mknod(name, S_IFIFO | 0644, 0));
		ERR(ENAMETOOLONG, unlink(name));
		ERR(ENAMETOOLONG, rmdir(name));
		ERR(ENAMETOOLONG, access(name, F_OK));
		return;
	}
	put(name, "text", 0644);
	CONTAINS(name, "text");
	OK(unlink(name));
	OK(mkdir(name, 0755));
	OK(rmdir(name));
	OK(symlink("x", name));
	OK(unlink(name));
	OK(link(old, name));
	EQ(2, stat_of(old).st_nlink);
	EQ(2, count_names("."));
}

static const struct {
	const char *label;
	const char *name;
} odd[] = {
	{ "newline", "a\nb" },
	{ "tab_and_bell", "\t\a" },
	{ "latin1", "caf\xe9" },
	{ "invalid_utf8", "\xff\xfe\xc0\x80" },
	{ "utf8", "\xe2\x82\xac\xf0\x9f\x90\x9f" },
	{ "decomposed", "e\xcc\x81" },
	{ "space", " " },
	{ "three_dots", "..." },
	{ "hidden", ".x" },
	{ "dash", "-rf" },
	{ "backslash", "a\\b" },
	{ "colon_star", "a:*?<>|\"" },
	{ "trailing_dot_space", "x. " },
	{ "control", "\x01\x1f\x7f" },
};

static void
odd_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%s", odd[n].label);
}

CHECKS(bytes, odd_label, RTE_DIM(odd))
{
	char target[64] = "";

	put(odd[n].name, "text", 0644);
	CONTAINS(odd[n].name, "text");
	EQ(1, count_names("."));
	OK(unlink(odd[n].name));
	OK(symlink(odd[n].name, odd[n].name));
	OK(readlink(odd[n].name, target, sizeof(target) - 1));
	STR_EQ(odd[n].name, target);
}

CHECK(case_matters)
{
	put("Name", "one", 0644);
	put("name", "two", 0644);
	CONTAINS("Name", "one");
	CONTAINS("name", "two");
	EQ(2, count_names("."));
}

CHECK(unicode_forms_are_different_names)
{
	put("\xc3\xa9", "one", 0644);
	put("e\xcc\x81", "two", 0644);
	CONTAINS("\xc3\xa9", "one");
	EQ(2, count_names("."));
}

CHECK(path_max)
{
	char path[PATH_MAX + 8];
	size_t len = 0;

	/* "./././f": PATH_MAX counts the byte that ends it. */
	put("f", "text", 0644);
	while (len < PATH_MAX - 3)
		len += snprintf(path + len, 3, "./");
	snprintf(path + len, 8, "f");
	if (len + 1 == PATH_MAX - 1)
		OK(access(path, F_OK));
	while (len < PATH_MAX)
		len += snprintf(path + len, 3, "./");
	snprintf(path + len, 2, "f");
	ERR(ENAMETOOLONG, access(path, F_OK));
	ERR(ENAMETOOLONG, open(path, O_RDONLY));
}

CHECK(deeper_than_path_max)
{
	const unsigned int depth = 30;
	const char *name = repeat('d', 200);

	for (unsigned int i = 0; i < depth; i++) {
		OK(mkdir(name, 0755));
		OK(chdir(name));
	}
	put("f", "text", 0644);
	CONTAINS("f", "text");
	OK(unlink("f"));
	for (unsigned int i = 0; i < depth; i++) {
		OK(chdir(".."));
		OK(rmdir(name));
	}
}

CHECK(pathconf_says_255)
{
	EQ(255, pathconf(".", _PC_NAME_MAX));
}

CHECK(dot_and_dot_dot)
{
	put_dir("a", 0755);
	put_dir("a/b", 0755);
	EQ(stat_of("a").st_ino, stat_of("a/.").st_ino);
	EQ(stat_of("a").st_ino, stat_of("a/b/..").st_ino);
	EQ(stat_of("a/b").st_ino, stat_of("a/b/../b/./").st_ino);
	EQ(stat_of(".").st_ino, stat_of("a/b/../..").st_ino);
}

CHECK(mkdir_errors)
{
	put("f", "", 0644);
	put_dir("d", 0755);
	OK(symlink("none", "l"));
	ERR(EEXIST, mkdir("f", 0755));
	ERR(EEXIST, mkdir("d", 0755));
	ERR(EEXIST, mkdir("l", 0755));
	ERR(EEXIST, mkdir("d/.", 0755));
	ERR(EEXIST, mkdir("d/..", 0755));
	ERR(ENOENT, mkdir("none/d", 0755));
	ERR(ENOTDIR, mkdir("f/d", 0755));
	OK(mkdir("e/", 0755));
}

CHECK(rmdir_errors)
{
	put("f", "", 0644);
	put_dir("d", 0755);
	put_dir("d/e", 0755);
	OK(symlink("d/e", "l"));
	ERR2(ENOTEMPTY, EEXIST, rmdir("d"));
	ERR(ENOTDIR, rmdir("f"));
	ERR(ENOTDIR, rmdir("l"));
	ERR(ENOENT, rmdir("none"));
	ERR(EINVAL, rmdir("d/e/."));
	ERR2(ENOTEMPTY, EEXIST, rmdir("d/e/.."));
	ERR(ENOTDIR, rmdir("f/g"));
	OK(rmdir("d/e/"));
}

CHECK(unlink_errors)
{
	put("f", "", 0644);
	put_dir("d", 0755);
	ERR2(EISDIR, EPERM, unlink("d"));
	ERR(ENOENT, unlink("none"));
	ERR(ENOTDIR, unlink("f/g"));
	ERR(ENOTDIR, unlink("f/"));
	ERR(ENOENT, unlink(""));
	OK(unlink("f"));
	ERR(ENOENT, unlink("f"));
}

CHECK(directory_link_count)
{
	long links;

	put_dir("d", 0755);
	links = stat_of("d").st_nlink;
	if (links == 1)
		skip("directories have no link count");
	EQ(2, links);
	put_dir("d/a", 0755);
	put_dir("d/b", 0755);
	put("d/f", "", 0644);
	EQ(4, stat_of("d").st_nlink);
	OK(rmdir("d/a"));
	EQ(3, stat_of("d").st_nlink);
}

CHECK(link_counts)
{
	put("f", "text", 0644);
	EQ(1, stat_of("f").st_nlink);
	for (int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "l%d", i);
		OK(link("f", name));
		EQ(i + 2, stat_of("f").st_nlink);
		EQ(stat_of("f").st_ino, stat_of(name).st_ino);
	}
	OK(unlink("f"));
	EQ(20, stat_of("l0").st_nlink);
	CONTAINS("l19", "text");
}

CHECK(link_errors)
{
	put("f", "", 0644);
	put("g", "", 0644);
	put_dir("d", 0755);
	ERR(EEXIST, link("f", "g"));
	ERR(EEXIST, link("f", "f"));
	ERR(EEXIST, link("f", "d"));
	ERR(EPERM, link("d", "e"));
	ERR(ENOENT, link("none", "h"));
	ERR(ENOENT, link("f", "none/h"));
	ERR(ENOTDIR, link("f", "g/h"));
	ERR(ENOTDIR, link("f/", "h"));
	ERR(EINVAL, linkat(AT_FDCWD, "f", AT_FDCWD, "h", 0x4000));
}

CHECK(link_to_another_file_system_is_exdev)
{
	put("f", "", 0644);
	ERR(EXDEV, link("f", "/dev/f"));
	ERR(EXDEV, rename("f", "/dev/f"));
	ERR(EXDEV, link("/dev/null", "v"));
}

CHECK(link_of_a_symlink)
{
	put("f", "text", 0644);
	OK(symlink("f", "l"));
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "copy", 0));
	TRUE(S_ISLNK(lstat_of("copy").st_mode));
	EQ(2, lstat_of("l").st_nlink);
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "real", AT_SYMLINK_FOLLOW));
	EQ(stat_of("f").st_ino, lstat_of("real").st_ino);
}

static const size_t targets[] = { 1, 59, 60, 255, 1000, 4000, 4095 };

static void
target_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%zu", targets[n]);
}

CHECKS(symlink_target, target_label, RTE_DIM(targets))
{
	char buf[PATH_MAX + 1] = "";

	if (symlink(repeat('t', targets[n]), "l") < 0 && errno == ENAMETOOLONG && targets[n] > 4000)
		skip("symlink to %zu bytes: ENAMETOOLONG", targets[n]);
	EQ(targets[n], readlink("l", buf, sizeof(buf)));
	STR_EQ(repeat('t', targets[n]), buf);
	EQ(targets[n], lstat_of("l").st_size);
	EQ(1, readlink("l", buf, 1));
}

CHECK(symlink_errors)
{
	char buf[16];

	put("f", "", 0644);
	ERR(EEXIST, symlink("x", "f"));
	ERR(ENOENT, symlink("", "l"));
	ERR(ENOENT, symlink("x", "none/l"));
	ERR(ENAMETOOLONG, symlink(repeat('t', PATH_MAX), "l"));
	ERR(EINVAL, readlink("f", buf, sizeof(buf)));
	ERR(EINVAL, readlink(".", buf, sizeof(buf)));
	ERR(ENOENT, readlink("none", buf, sizeof(buf)));
	EQ(1, count_names("."));
}

CHECK(symlink_mode_is_0777)
{
	OK(symlink("x", "l"));
	EQ(0777, MODE("l"));
}

CHECK(symlink_loop)
{
	OK(symlink("b", "a"));
	OK(symlink("a", "b"));
	OK(symlink("self", "self"));
	ERR(ELOOP, open("a", O_RDONLY));
	ERR(ELOOP, open("self/x", O_RDONLY));
	ERR(ELOOP, chmod("self", 0600));
	ERR(ELOOP, chdir("a"));
	OK(unlink("a"));
}

CHECK(symlink_chain_of_40)
{
	char from[16], to[16] = "l0";

	put("l0", "text", 0644);
	for (int i = 1; i <= 41; i++) {
		snprintf(from, sizeof(from), "l%d", i);
		OK(symlink(to, from));
		snprintf(to, sizeof(to), "l%d", i);
	}
	CONTAINS("l40", "text");
	ERR(ELOOP, open("l41", O_RDONLY));
}

CHECK(symlink_in_the_middle)
{
	put_dir("d", 0755);
	put("d/f", "text", 0644);
	OK(symlink("d", "l"));
	OK(symlink("../d/f", "d/up"));
	CONTAINS("l/f", "text");
	CONTAINS("l/up", "text");
	EQ(stat_of("d").st_ino, stat_of("l/").st_ino);
	TRUE(S_ISDIR(lstat_of("l/").st_mode));
	ERR(ENOTDIR, unlink("l/"));
}

CHECK(removed_name_can_be_made_again)
{
	for (int i = 0; i < 30; i++) {
		put("f", "text", 0644);
		OK(unlink("f"));
		ERR(ENOENT, open("f", O_RDONLY));
		OK(mkdir("f", 0755));
		ERR(ENOENT, open("f/x", O_RDONLY));
		OK(rmdir("f"));
		OK(symlink("x", "f"));
		OK(unlink("f"));
	}
}

CHECK(working_directory_removed)
{
	char buf[64];

	put_dir("d", 0755);
	OK(chdir("d"));
	OK(rmdir("../d"));
	ERR(ENOENT, open("f", O_CREAT | O_RDWR, 0644));
	ERR(ENOENT, mkdir("e", 0755));
	ERR(ENOENT, open("../x", O_RDONLY));
	TRUE(getcwd(buf, sizeof(buf)) == NULL && errno == ENOENT);
	EQ(0, count_names("."));
}
