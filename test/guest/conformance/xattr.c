/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Extended attributes. */

#define TOPIC "xattr"

#include <sys/xattr.h>

#include "conform.h"

static char buf[70000];

static const char *const spaces[] = { "user", "trusted", "security" };

static void
space_label(unsigned int n, char *text, size_t len)
{
	snprintf(text, len, "%s", spaces[n]);
}

/* The names of its list, each followed by a blank, without those that the system adds. */
static const char *
list_of(const char *path)
{
	static char names[4096];
	char list[4096];
	ssize_t len = OK(llistxattr(path, list, sizeof(list)));

	names[0] = '\0';
	for (char *p = list; p < list + len; p += strlen(p) + 1) {
		if (strncmp(p, "security.selinux", 16) == 0)
			continue;
		strncat(names, p, sizeof(names) - strlen(names) - 2);
		strncat(names, " ", 2);
	}
	return names;
}

static void
life_of(const char *path, const char *name)
{
	char listed[80];

	NEED(lsetxattr(path, name, "value", 5, 0));
	EQ(5, lgetxattr(path, name, buf, sizeof(buf)));
	EQ(0, memcmp(buf, "value", 5));
	OK(lsetxattr(path, name, "longer value", 12, 0));
	EQ(12, lgetxattr(path, name, buf, sizeof(buf)));
	snprintf(listed, sizeof(listed), "%s ", name);
	STR_EQ(listed, list_of(path));
	OK(lsetxattr(path, name, "", 0, 0));
	EQ(0, lgetxattr(path, name, buf, sizeof(buf)));
	OK(lremovexattr(path, name));
	ERR(ENODATA, lgetxattr(path, name, buf, sizeof(buf)));
	ERR(ENODATA, lremovexattr(path, name));
	STR_EQ("", list_of(path));
}

CHECKS(life_on_a_file, space_label, RTE_DIM(spaces))
{
	snprintf(buf, 80, "%s.weir_conform", spaces[n]);
	put("f", "", 0644);
	life_of("f", strdup(buf));
}

CHECKS(life_on_a_directory, space_label, RTE_DIM(spaces))
{
	snprintf(buf, 80, "%s.weir_conform", spaces[n]);
	put_dir("d", 0755);
	life_of("d", strdup(buf));
}

CHECK(trusted_on_a_symlink_and_a_fifo)
{
	OK(symlink("none", "l"));
	life_of("l", "trusted.weir");
	OK(mkfifo("p", 0644));
	life_of("p", "trusted.weir");
}

/* Does the mount have any? */
static void
need_user(const char *path)
{
	NEED(setxattr(path, "user.probe", "x", 1, 0));
	OK(removexattr(path, "user.probe"));
}

CHECK(user_on_symlinks_and_special_files_is_eperm)
{
	put("f", "", 0644);
	need_user("f");
	OK(symlink("f", "l"));
	OK(mkfifo("p", 0666));
	ERR(EPERM, lsetxattr("l", "user.a", "x", 1, 0));
	ERR(EPERM, setxattr("p", "user.a", "x", 1, 0));
	ERR(ENODATA, lgetxattr("l", "user.a", buf, 1));
	ERR(ENODATA, getxattr("p", "user.a", buf, 1));
}

CHECK(create_and_replace)
{
	put("f", "", 0644);
	NEED(setxattr("f", "user.a", "1", 1, XATTR_CREATE));
	ERR(EEXIST, setxattr("f", "user.a", "2", 1, XATTR_CREATE));
	ERR(ENODATA, setxattr("f", "user.b", "2", 1, XATTR_REPLACE));
	OK(setxattr("f", "user.a", "3", 1, XATTR_REPLACE));
	EQ(1, getxattr("f", "user.a", buf, 1));
	EQ('3', buf[0]);
	ERR(ENODATA, getxattr("f", "user.b", buf, 1));
	ERR(EINVAL, setxattr("f", "user.a", "x", 1, 0x100));
}

CHECK(size_is_asked_for_by_nothing)
{
	put("f", "", 0644);
	NEED(setxattr("f", "user.a", "0123456789", 10, 0));
	EQ(10, getxattr("f", "user.a", NULL, 0));
	ERR(ERANGE, getxattr("f", "user.a", buf, 9));
	EQ(10, getxattr("f", "user.a", buf, 10));
	EQ(7, listxattr("f", NULL, 0));
	ERR(ERANGE, listxattr("f", buf, 6));
	EQ(7, listxattr("f", buf, 7));
	EQ(0, memcmp(buf, "user.a", 7));
}

static const size_t lengths[] = { 1, 100, 249, 250, 251 };

static void
length_label(unsigned int n, char *text, size_t len)
{
	snprintf(text, len, "%zu", lengths[n] + 5);
}

CHECKS(name_length, length_label, RTE_DIM(lengths))
{
	char name[300];

	put("f", "", 0644);
	need_user("f");
	snprintf(name, sizeof(name), "user.%s", repeat('n', lengths[n]));
	if (lengths[n] + 5 > 255) {
		ERR(ERANGE, setxattr("f", name, "x", 1, 0));
		ERR(ERANGE, getxattr("f", name, buf, 1));
		return;
	}
	OK(setxattr("f", name, "x", 1, 0));
	EQ(1, getxattr("f", name, buf, 1));
	EQ(lengths[n] + 6, listxattr("f", buf, sizeof(buf)));
}

static const size_t values[] = { 1, 255, 256, 1000, 3000, 4000, 65536, 65537 };

static void
value_label(unsigned int n, char *text, size_t len)
{
	snprintf(text, len, "%zu", values[n]);
}

CHECKS(value_length, value_label, RTE_DIM(values))
{
	put("f", "", 0644);
	need_user("f");
	fill(buf, values[n], 0);
	if (values[n] > 65536) {
		ERR(E2BIG, setxattr("f", "user.a", buf, values[n], 0));
		return;
	}
	if (setxattr("f", "user.a", buf, values[n], 0) < 0) {
		/* A file system may have less room than Linux would allow. */
		TRUE((errno == ENOSPC || errno == E2BIG || errno == ERANGE) && values[n] > 3500);
		skip("a value of %zu bytes: %s", values[n], strerrorname_np(errno));
	}
	memset(buf, 0, sizeof(buf));
	EQ(values[n], getxattr("f", "user.a", NULL, 0));
	EQ(values[n], getxattr("f", "user.a", buf, sizeof(buf)));
	FILLED(buf, values[n], 0);
}

CHECK(odd_names_and_values)
{
	put("f", "", 0644);
	NEED(setxattr("f", "user.a b\n\xff.=", "\0\1\0\xff", 4, 0));
	EQ(4, getxattr("f", "user.a b\n\xff.=", buf, sizeof(buf)));
	EQ(0, memcmp(buf, "\0\1\0\xff", 4));
	STR_EQ("user.a b\n\xff.= ", list_of("f"));
}

CHECK(name_errors)
{
	put("f", "", 0644);
	need_user("f");
	ERR2(EOPNOTSUPP, EINVAL, setxattr("f", "nospace", "x", 1, 0));
	ERR2(EOPNOTSUPP, EINVAL, setxattr("f", "nobody.a", "x", 1, 0));
	ERR(ERANGE, setxattr("f", "", "x", 1, 0));
	ERR2(EINVAL, EOPNOTSUPP, setxattr("f", "user.", "x", 1, 0));
	ERR(ENOENT, setxattr("none", "user.a", "x", 1, 0));
	ERR(ENOENT, listxattr("none", buf, 10));
}

CHECK(many)
{
	char name[32];
	size_t len = 0;

	put("f", "", 0644);
	need_user("f");
	for (unsigned int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "user.name%u", i);
		OK(setxattr("f", name, name, strlen(name), 0));
		len += strlen(name) + 1;
	}
	EQ(len, listxattr("f", buf, sizeof(buf)));
	for (unsigned int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "user.name%u", i);
		EQ((long)strlen(name), getxattr("f", name, buf, sizeof(buf)));
		OK(removexattr("f", name));
	}
	EQ(0, listxattr("f", buf, sizeof(buf)));
}

CHECK(by_descriptor)
{
	int fd;

	put("f", "", 0644);
	fd = OK(open("f", O_RDONLY));
	NEED(fsetxattr(fd, "user.a", "x", 1, 0));
	EQ(1, fgetxattr(fd, "user.a", buf, 1));
	EQ(7, flistxattr(fd, buf, 100));
	OK(unlink("f"));
	EQ(1, fgetxattr(fd, "user.a", buf, 1));
	OK(fsetxattr(fd, "user.b", "x", 1, 0));
	OK(fremovexattr(fd, "user.a"));
	ERR(ENODATA, fgetxattr(fd, "user.a", buf, 1));
}

CHECK(user_follows_the_files_mode)
{
	put("f", "", 0644);
	NEED(setxattr("f", "user.a", "x", 1, 0));
	if (as(U1, G1)) {
		EQ(1, getxattr("f", "user.a", buf, 1));
		ERR(EACCES, setxattr("f", "user.a", "y", 1, 0));
		ERR(EACCES, removexattr("f", "user.a"));
		done();
	}
	OK(chmod("f", 0602));
	if (as(U1, G1)) {
		ERR(EACCES, getxattr("f", "user.a", buf, 1));
		OK(setxattr("f", "user.a", "y", 1, 0));
		done();
	}
}

CHECK(user_on_a_sticky_directory_is_its_owners)
{
	put_dir("d", 01777);
	NEED(setxattr("d", "user.a", "x", 1, 0));
	if (as(U1, G1)) {
		ERR(EPERM, setxattr("d", "user.a", "y", 1, 0));
		done();
	}
}

CHECK(trusted_is_roots)
{
	put("f", "", 0666);
	NEED(setxattr("f", "trusted.a", "x", 1, 0));
	NEED(setxattr("f", "user.a", "x", 1, 0));
	if (as(U1, G1)) {
		ERR(ENODATA, getxattr("f", "trusted.a", buf, 1));
		ERR(EPERM, setxattr("f", "trusted.a", "y", 1, 0));
		ERR(EPERM, removexattr("f", "trusted.a"));
		done();
	}
	EQ(1, getxattr("f", "trusted.a", buf, 1));
}

CHECK(trusted_is_not_listed_for_users)
{
	put("f", "", 0666);
	NEED(setxattr("f", "trusted.a", "x", 1, 0));
	NEED(setxattr("f", "user.a", "x", 1, 0));
	if (as(U1, G1)) {
		STR_EQ("user.a ", list_of("f"));
		done();
	}
}

CHECK(security_is_read_by_users)
{
	put("f", "", 0666);
	OK(chown("f", U1, G1));
	NEED(setxattr("f", "security.weir", "x", 1, 0));
	if (as(U1, G1)) {
		EQ(1, getxattr("f", "security.weir", buf, 1));
		done();
	}
}

CHECK(stay_with_the_file)
{
	put("f", "text", 0644);
	NEED(setxattr("f", "user.a", "x", 1, 0));
	OK(link("f", "g"));
	OK(rename("f", "h"));
	OK(chmod("h", 0600));
	OK(truncate("h", 0));
	EQ(1, getxattr("g", "user.a", buf, 1));
	OK(setxattr("g", "user.a", "yy", 2, 0));
	EQ(2, getxattr("h", "user.a", buf, 2));
	OK(unlink("g"));
	OK(unlink("h"));
	put("h", "", 0644);
	ERR(ENODATA, getxattr("h", "user.a", buf, 2));
}

CHECK(follow_and_not_follow)
{
	put("f", "", 0644);
	OK(symlink("f", "l"));
	NEED(setxattr("l", "trusted.a", "file", 4, 0));
	OK(lsetxattr("l", "trusted.a", "link", 4, 0));
	EQ(4, getxattr("f", "trusted.a", buf, 4));
	EQ(0, memcmp(buf, "file", 4));
	EQ(4, lgetxattr("l", "trusted.a", buf, 4));
	EQ(0, memcmp(buf, "link", 4));
}

CHECK(set_moves_ctime_only)
{
	struct stat before, after;

	put("f", "", 0644);
	need_user("f");
	before = stat_of("f");
	tick();
	OK(setxattr("f", "user.a", "x", 1, 0));
	after = stat_of("f");
	TRUE(time_compare(after.st_ctim, before.st_ctim) > 0);
	EQ(0, time_compare(after.st_mtim, before.st_mtim));
	tick();
	OK(removexattr("f", "user.a"));
	TRUE(time_compare(stat_of("f").st_ctim, after.st_ctim) > 0);
}

CHECK(other_process_sees_at_once)
{
	put("f", "", 0644);
	need_user("f");
	for (char i = '0'; i <= '9'; i++) {
		OK(setxattr("f", "user.a", &i, 1, 0));
		if (elsewhere()) {
			EQ(1, getxattr("f", "user.a", buf, 1));
			EQ(i, buf[0]);
			done();
		}
	}
}
