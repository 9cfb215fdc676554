/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Who may do what: each class of users with each set of bits, sticky directories, access(), chmod(). */

#define TOPIC "perm"

#include "conform.h"

/* How a caller is related to the file, which is of U1 and G1. */
enum class {
	OWNER,
	GROUP,
	MEMBER, /* by a supplementary group */
	OTHER,
	NB_CLASSES,
};

static const char *const classes[] = { "owner", "group", "member", "other" };

static void
class_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%s_%u", classes[n / 8], n % 8);
}

/* These bits for the class, and for all other classes the opposite. */
static mode_t
mode_for(enum class class, unsigned int bits)
{
	unsigned int shift = class == OWNER ? 6 : class == OTHER ? 0 : 3;

	return ((07 ^ bits) * 0111 & ~(07 << shift)) | bits << shift;
}

static bool as_class(enum class class)
{
	switch (class) {
	case OWNER:
		return as(U1, G2);
	case GROUP:
		return as(U2, G1);
	case MEMBER:
		return as_member(U2, G2, G1);
	default:
		return as(U2, G2);
	}
}

/* The call works if it may, and else it is refused with EACCES. */
#define ALLOWED(may, call)                                                                         \
	do {                                                                                       \
		if (may)                                                                           \
			OK(call);                                                                  \
		else                                                                               \
			ERR(EACCES, call);                                                         \
	} while (0)

CHECKS(file, class_label, NB_CLASSES * 8)
{
	bool r = (n & 4) != 0, w = (n & 2) != 0, x = (n & 1) != 0;

	put("f", "text", 0600);
	OK(chown("f", U1, G1));
	OK(chmod("f", mode_for(n / 8, n % 8)));
	if (as_class(n / 8)) {
		ALLOWED(r, open("f", O_RDONLY));
		ALLOWED(w, open("f", O_WRONLY));
		ALLOWED(r && w, open("f", O_RDWR));
		ALLOWED(w, truncate("f", 4));
		ALLOWED(r, access("f", R_OK));
		ALLOWED(w, access("f", W_OK));
		ALLOWED(x, access("f", X_OK));
		ALLOWED(r && x, faccessat(AT_FDCWD, "f", R_OK | X_OK, AT_EACCESS));
		OK(access("f", F_OK));
		done();
	}
}

CHECKS(dir, class_label, NB_CLASSES * 8)
{
	bool r = (n & 4) != 0, w = (n & 2) != 0, x = (n & 1) != 0;

	put_dir("d", 0700);
	put("d/f", "text", 0666);
	put("d/g", "text", 0666);
	OK(chown("d", U1, G1));
	OK(chmod("d", mode_for(n / 8, n % 8)));
	if (as_class(n / 8)) {
		struct stat st;

		ALLOWED(r, open("d", O_RDONLY | O_DIRECTORY));
		ALLOWED(x, stat("d/f", &st));
		ALLOWED(x, open("d/f", O_RDWR));
		ALLOWED(x, chdir("d"));
		if (x)
			OK(chdir(".."));
		ALLOWED(w && x, open("d/new", O_CREAT | O_EXCL | O_RDWR, 0644));
		ALLOWED(w && x, mkdir("d/newdir", 0755));
		ALLOWED(w && x, symlink("x", "d/newlink"));
		ALLOWED(w && x, mkfifo("d/newfifo", 0644));
		ALLOWED(w && x, link("d/f", "d/hard"));
		ALLOWED(w && x, rename("d/f", "d/renamed"));
		ALLOWED(w && x, unlink("d/g"));
		if (w && x)
			OK(rmdir("d/newdir"));
		done();
	}
}

CHECK(root_reads_and_writes_all)
{
	put("f", "text", 0);
	put_dir("d", 0);
	OK(chown("f", U1, G1));
	OK(chown("d", U1, G1));
	OK(open("f", O_RDWR));
	put("d/f", "", 0);
	OK(unlink("d/f"));
	ERR(EACCES, access("f", X_OK));
	OK(access("d", X_OK));
}

CHECK(search_along_the_whole_path)
{
	put_dir("a", 0755);
	put_dir("a/b", 0700);
	put_dir("a/b/c", 0777);
	put("a/b/c/f", "", 0666);
	if (as(U1, G1)) {
		struct stat st;

		ERR(EACCES, stat("a/b/c/f", &st));
		ERR(EACCES, stat("a/b/c/none", &st));
		ERR(EACCES, open("a/b/c/g", O_CREAT | O_RDWR, 0644));
		ERR(EACCES, rename("a/b/c/f", "a/f"));
		OK(stat("a/b", &st));
		done();
	}
}

CHECK(sticky_removal)
{
	put_dir("s", 01777);
	put("s/root", "", 0666);
	put("s/one", "", 0666);
	put_dir("s/dir", 0777);
	OK(chown("s/one", U1, G1));
	OK(chown("s/dir", U1, G1));
	if (as(U2, G2)) {
		ERR(EPERM, unlink("s/root"));
		ERR(EPERM, unlink("s/one"));
		ERR(EPERM, rmdir("s/dir"));
		done();
	}
	if (as(U1, G1)) {
		ERR(EPERM, unlink("s/root"));
		OK(unlink("s/one"));
		OK(rmdir("s/dir"));
		done();
	}
}

CHECK(sticky_directorys_owner_removes)
{
	put_dir("s", 01777);
	OK(chown("s", U1, G1));
	put("s/f", "", 0600);
	if (as(U1, G2)) {
		OK(unlink("s/f"));
		done();
	}
}

CHECK(without_sticky_anybody_removes)
{
	put_dir("d", 0777);
	put("d/f", "", 0);
	if (as(U1, G1)) {
		OK(unlink("d/f"));
		done();
	}
}

CHECK(access_asks_for_the_real_user)
{
	put("f", "", 0600);
	if (elsewhere()) {
		OK(setresgid(G1, 0, 0));
		OK(setresuid(U1, 0, 0));
		ERR(EACCES, access("f", R_OK));
		OK(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
		OK(open("f", O_RDWR));
		done();
	}
}

CHECK(access_of_what_is_not_there)
{
	OK(symlink("none", "l"));
	ERR(ENOENT, access("none", F_OK));
	ERR(ENOENT, access("l", F_OK));
	OK(faccessat(AT_FDCWD, "l", F_OK, AT_SYMLINK_NOFOLLOW));
	ERR(EINVAL, access("l", 0100));
}

CHECK(fsuid_is_who_asks)
{
	put("f", "", 0600);
	OK(chown("f", U1, G1));
	if (as(U1, G1)) {
		OK(open("f", O_RDWR));
		done();
	}
	if (as(U2, G2)) {
		ERR(EACCES, open("f", O_RDONLY));
		done();
	}
}

CHECK(chmod_is_the_owners)
{
	put("f", "", 0644);
	OK(chown("f", U1, G1));
	if (as(U2, G1)) {
		ERR(EPERM, chmod("f", 0666));
		done();
	}
	if (as(U1, G2)) {
		OK(chmod("f", 0600));
		done();
	}
	EQ(0600, MODE("f"));
	OK(chmod("f", 0640));
	EQ(0640, MODE("f"));
}

CHECK(chmod_setgid_needs_the_group)
{
	put("f", "", 0755);
	put("g", "", 0755);
	OK(chown("f", U1, G2));
	OK(chown("g", U1, G1));
	if (as(U1, G1)) {
		OK(chmod("f", 02755));
		OK(chmod("g", 02755));
		OK(chmod("f", 04755));
		done();
	}
	EQ(04755, MODE("f"));
	EQ(02755, MODE("g"));
}

CHECK(chmod_setgid_as_member)
{
	put("f", "", 0755);
	OK(chown("f", U1, G3));
	if (as_member(U1, G1, G3)) {
		OK(chmod("f", 02755));
		done();
	}
	EQ(02755, MODE("f"));
}

static const mode_t modes[] = { 0, 0111, 0644, 0777, 01777, 02755, 04711, 07777 };

static void
mode_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%04o", (unsigned int)modes[n]);
}

CHECKS(chmod_all_kinds, mode_label, RTE_DIM(modes))
{
	int fd;

	put("f", "", 0600);
	put_dir("d", 0700);
	OK(mkfifo("p", 0600));
	OK(chmod("f", modes[n]));
	OK(chmod("d", modes[n]));
	OK(chmod("p", modes[n]));
	EQ(modes[n], MODE("f"));
	EQ(modes[n], MODE("d"));
	EQ(modes[n], MODE("p"));
	fd = OK(open("f", O_RDONLY));
	OK(fchmod(fd, 0600));
	OK(fchmod(fd, modes[n]));
	EQ(modes[n], fstat_of(fd).st_mode & 07777);
}

CHECK(chmod_follows_links)
{
	put("f", "", 0600);
	OK(symlink("f", "l"));
	OK(chmod("l", 0640));
	EQ(0640, MODE("f"));
	TRUE(S_ISLNK(lstat_of("l").st_mode));
	OK(symlink("none", "m"));
	ERR(ENOENT, chmod("m", 0600));
}

CHECK(group_of_a_member_makes_files_in_folder)
{
	/* The folder may be written by a supplementary group only. */
	put_dir("d", 0770);
	OK(chown("d", U2, G3));
	if (as_member(U1, G1, G3)) {
		put("d/f", "text", 0640);
		OK(mkdir("d/e", 0755));
		OK(rename("d/f", "d/g"));
		EQ(U1, stat_of("d/g").st_uid);
		EQ(G1, stat_of("d/g").st_gid);
		OK(unlink("d/g"));
		done();
	}
}

CHECK(protected_from_all_but_the_owner)
{
	put_dir("d", 0700);
	OK(chown("d", U1, G1));
	if (as(U1, G1)) {
		put("d/f", "secret", 0600);
		done();
	}
	if (as_member(U2, G1, G2)) {
		ERR(EACCES, open("d/f", O_RDONLY));
		ERR(EACCES, open("d", O_RDONLY));
		done();
	}
	CONTAINS("d/f", "secret");
}
