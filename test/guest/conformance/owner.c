/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Owners: chown(), set-id bits and file capabilities and what makes them fall, setgid directories. */

#define TOPIC "owner"

#include <sys/xattr.h>

#include "conform.h"

/* CAP_NET_BIND_SERVICE, permitted: a vfs_cap_data of version 2, little endian. */
static const uint8_t capability[20] = { 1, 0, 0, 2, 0, 4 };

/* Modes before, and what a write or a chown by another user makes of them. */
static const struct {
	mode_t before;
	mode_t after;
} modes[] = {
	{ 04777, 0777 },
	{ 02777, 0777 },
	{ 06777, 0777 },
	{ 04767, 0767 },
	{ 01777, 01777 },
};

static void
mode_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%04o", (unsigned int)modes[n].before);
}

static void
make(unsigned int n)
{
	put("f", "text", 0600);
	OK(chown("f", U1, G1));
	OK(chmod("f", modes[n].before));
	EQ(modes[n].before, MODE("f"));
}

CHECKS(write_clears, mode_label, RTE_DIM(modes))
{
	make(n);
	if (as(U2, G2)) {
		int fd = OK(open("f", O_RDWR));

		EQ(1, write(fd, "x", 1));
		EQ(modes[n].after, fstat_of(fd).st_mode & 07777);
		done();
	}
	EQ(modes[n].after, MODE("f"));
}

CHECKS(ftruncate_clears, mode_label, RTE_DIM(modes))
{
	make(n);
	if (as(U2, G2)) {
		OK(ftruncate(OK(open("f", O_RDWR)), 2));
		done();
	}
	EQ(modes[n].after, MODE("f"));
}

CHECKS(truncate_clears, mode_label, RTE_DIM(modes))
{
	make(n);
	if (as(U2, G2)) {
		OK(truncate("f", 2));
		done();
	}
	EQ(modes[n].after, MODE("f"));
}

CHECKS(open_trunc_clears, mode_label, RTE_DIM(modes))
{
	make(n);
	if (as(U2, G2)) {
		OK(open("f", O_WRONLY | O_TRUNC));
		done();
	}
	EQ(modes[n].after, MODE("f"));
}

CHECKS(chown_clears, mode_label, RTE_DIM(modes))
{
	make(n);
	OK(chown("f", U2, G2));
	EQ(modes[n].after, MODE("f"));
}

CHECK(fallocate_clears)
{
	make(0);
	if (as(U2, G2)) {
		NEED(fallocate(OK(open("f", O_RDWR)), 0, 0, 10000));
		done();
	}
	EQ(0777, MODE("f"));
}

CHECK(copy_file_range_clears)
{
	put("from", "other", 0644);
	make(2);
	if (as(U2, G2)) {
		int from = OK(open("from", O_RDONLY)), to = OK(open("f", O_RDWR));

		EQ(5, OK(copy_file_range(from, NULL, to, NULL, 5, 0)));
		done();
	}
	EQ(0777, MODE("f"));
}

CHECK(direct_write_clears)
{
	static char block[4096] __rte_aligned(4096);

	make(2);
	if (as(U2, G2)) {
		int fd = open("f", O_RDWR | O_DIRECT);

		if (fd < 0 && errno == EINVAL)
			skip("O_DIRECT: EINVAL");
		EQ(4096, pwrite(OK(fd), block, 4096, 0));
		done();
	}
	EQ(0777, MODE("f"));
}

CHECK(roots_write_keeps)
{
	int fd;

	make(2);
	fd = OK(open("f", O_RDWR));
	EQ(1, write(fd, "x", 1));
	OK(ftruncate(fd, 2));
	EQ(06777, MODE("f"));
}

CHECK(write_of_nothing_and_reading_keep)
{
	char c;

	make(2);
	if (as(U2, G2)) {
		int fd = OK(open("f", O_RDWR));

		EQ(1, read(fd, &c, 1));
		EQ(0, write(fd, "", 0));
		done();
	}
	EQ(06777, MODE("f"));
}

CHECK(second_write_after_chmod_clears_again)
{
	pid_t pid;
	int fd;

	make(0);
	fd = OK(open("f", O_RDWR));
	pid = spawn();
	if (pid == 0) {
		OK(setresuid(U2, U2, U2));
		EQ(1, write(fd, "x", 1));
		shared_set(0, 1);
		shared_await(0, 2);
		EQ(1, write(fd, "x", 1));
		done();
	}
	shared_await(0, 1);
	EQ(0777, MODE("f"));
	OK(chmod("f", 04777));
	shared_set(0, 2);
	join(pid);
	EQ(0777, MODE("f"));
}

static void
make_capable(void)
{
	put("f", "text", 0777);
	NEED(setxattr("f", "security.capability", capability, sizeof(capability), 0));
	EQ(20, getxattr("f", "security.capability", NULL, 0));
}

CHECK(capability_falls_at_write)
{
	int fd;

	make_capable();
	fd = OK(open("f", O_RDWR));
	EQ(1, write(fd, "x", 1));
	ERR(ENODATA, getxattr("f", "security.capability", NULL, 0));
}

CHECK(capability_falls_at_truncate)
{
	make_capable();
	OK(truncate("f", 1));
	ERR(ENODATA, getxattr("f", "security.capability", NULL, 0));
}

CHECK(capability_falls_at_chown)
{
	make_capable();
	OK(chown("f", U1, G1));
	ERR(ENODATA, getxattr("f", "security.capability", NULL, 0));
}

CHECK(capability_stays_at_chmod_and_read)
{
	char c;

	make_capable();
	OK(chmod("f", 0755));
	EQ(1, read(OK(open("f", O_RDONLY)), &c, 1));
	OK(rename("f", "g"));
	EQ(20, getxattr("g", "security.capability", NULL, 0));
}

CHECK(capability_is_not_for_users)
{
	make_capable();
	OK(chown("f", U1, G1));
	if (as(U1, G1)) {
		ERR(EPERM, setxattr("f", "security.capability", capability, sizeof(capability), 0));
		done();
	}
}

CHECK(chown_by_root)
{
	struct stat st;

	put("f", "", 0644);
	OK(chown("f", U1, -1));
	st = stat_of("f");
	EQ(U1, st.st_uid);
	EQ(0, st.st_gid);
	OK(chown("f", -1, G1));
	EQ(U1, stat_of("f").st_uid);
	EQ(G1, stat_of("f").st_gid);
	OK(chown("f", U2, G2));
	EQ(U2, stat_of("f").st_uid);
	OK(chown("f", 4000000000, 4000000001));
	EQ(4000000000, stat_of("f").st_uid);
	EQ(4000000001, stat_of("f").st_gid);
}

CHECK(chown_of_nothing_changes_nothing)
{
	make(2);
	if (as(U1, G1)) {
		OK(chown("f", -1, -1));
		done();
	}
	EQ(U1, stat_of("f").st_uid);
}

CHECK(chown_by_users)
{
	put("f", "", 0666);
	put("g", "", 0666);
	OK(chown("f", U1, G1));
	if (as_member(U1, G1, G3)) {
		ERR(EPERM, chown("f", U2, -1));
		ERR(EPERM, chown("f", 0, -1));
		ERR(EPERM, chown("f", -1, G2));
		OK(chown("f", U1, -1));
		OK(chown("f", -1, G1));
		ERR(EPERM, chown("g", -1, G1));
		ERR(EPERM, chown("g", U1, -1));
		done();
	}
}

CHECK(chgrp_to_a_supplementary_group)
{
	put("f", "", 0666);
	OK(chown("f", U1, G1));
	OK(chmod("f", 06755));
	if (as_member(U1, G1, G3)) {
		OK(chown("f", -1, G3));
		done();
	}
	EQ(G3, stat_of("f").st_gid);
	EQ(0755, MODE("f"));
}

CHECK(chown_of_links)
{
	put("f", "", 0644);
	OK(symlink("f", "l"));
	OK(lchown("l", U1, G1));
	EQ(U1, lstat_of("l").st_uid);
	EQ(0, stat_of("f").st_uid);
	OK(chown("l", U2, G2));
	EQ(U2, stat_of("f").st_uid);
	EQ(U1, lstat_of("l").st_uid);
	OK(fchownat(AT_FDCWD, "l", U3, -1, AT_SYMLINK_NOFOLLOW));
	EQ(U3, lstat_of("l").st_uid);
}

CHECK(chown_of_directories_keeps_bits)
{
	put_dir("d", 07755);
	OK(chown("d", U1, G1));
	EQ(07755, MODE("d"));
}

CHECK(chown_by_descriptor)
{
	int fd;

	put("f", "", 0644);
	fd = OK(open("f", O_RDONLY));
	OK(fchown(fd, U1, G1));
	EQ(U1, fstat_of(fd).st_uid);
	OK(fchownat(fd, "", U2, G2, AT_EMPTY_PATH));
	EQ(U2, fstat_of(fd).st_uid);
	EQ(G2, fstat_of(fd).st_gid);
}

static void
make_setgid(mode_t mode)
{
	put_dir("d", 0700);
	OK(chown("d", 0, G3));
	OK(chmod("d", mode));
}

CHECK(setgid_directory_gives_its_group)
{
	make_setgid(02777);
	if (as(U1, G1)) {
		OK(open("d/f", O_CREAT | O_RDWR, 0644));
		OK(mkdir("d/e", 0755));
		OK(symlink("x", "d/l"));
		OK(mkfifo("d/p", 0644));
		done();
	}
	EQ(G3, lstat_of("d/f").st_gid);
	EQ(G3, lstat_of("d/e").st_gid);
	EQ(G3, lstat_of("d/l").st_gid);
	EQ(G3, lstat_of("d/p").st_gid);
	EQ(U1, lstat_of("d/f").st_uid);
	EQ(0644, MODE("d/f"));
	EQ(02755, MODE("d/e"));
}

CHECK(setgid_goes_down)
{
	make_setgid(02777);
	if (as(U1, G1)) {
		OK(mkdir("d/a", 0755));
		OK(mkdir("d/a/b", 0755));
		OK(mkdir("d/a/b/c", 0755));
		OK(open("d/a/b/c/f", O_CREAT | O_RDWR, 0644));
		done();
	}
	EQ(G3, stat_of("d/a/b/c/f").st_gid);
	EQ(02755, MODE("d/a/b/c"));
}

CHECK(setgid_file_of_a_group_one_is_not_in)
{
	/* CVE-2018-13405: a user must not get a set-group-id program of a group that is not theirs. */
	make_setgid(02777);
	umask(0);
	if (as(U1, G1)) {
		OK(open("d/f", O_CREAT | O_RDWR, 02775));
		OK(open("d/g", O_CREAT | O_RDWR, 02765));
		OK(mknod("d/h", S_IFREG | 02775, 0));
		done();
	}
	EQ(0775, MODE("d/f"));
	EQ(0775, MODE("d/h"));
	EQ(G3, stat_of("d/f").st_gid);
}

CHECK(setgid_file_of_ones_own_group)
{
	make_setgid(02777);
	umask(0);
	if (as_member(U1, G1, G3)) {
		OK(open("d/f", O_CREAT | O_RDWR, 02775));
		done();
	}
	EQ(02775, MODE("d/f"));
	EQ(G3, stat_of("d/f").st_gid);
}

CHECK(link_and_rename_keep_the_group)
{
	make_setgid(02777);
	put("f", "", 0644);
	put("g", "", 0644);
	OK(link("f", "d/f"));
	OK(rename("g", "d/g"));
	EQ(0, stat_of("d/f").st_gid);
	EQ(0, stat_of("d/g").st_gid);
}
