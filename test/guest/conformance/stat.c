/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* What is said of files and of the file system: stat(), statx(), statfs(), handles, flags. */

#define TOPIC "stat"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>

#include "conform.h"

static char buf[1 << 20];

CHECK(statfs_is_plausible)
{
	struct statfs fs;

	OK(statfs(".", &fs));
	EQ(255, fs.f_namelen);
	TRUE(fs.f_bsize >= 512 && fs.f_bsize <= 1 << 22);
	TRUE(fs.f_blocks > 0);
	TRUE(fs.f_bfree <= fs.f_blocks);
	TRUE(fs.f_bavail <= fs.f_bfree);
	TRUE(fs.f_ffree <= fs.f_files);
}

CHECK(statfs_by_descriptor_is_the_same)
{
	struct statvfs a, b;

	put("f", "", 0644);
	OK(statvfs("f", &a));
	OK(fstatvfs(OK(open("f", O_RDONLY)), &b));
	EQ(a.f_blocks, b.f_blocks);
	EQ(a.f_bsize, b.f_bsize);
	EQ(a.f_fsid, b.f_fsid);
	ERR(ENOENT, statvfs("none", &a));
}

CHECK(statfs_counts_what_is_written)
{
	struct statfs before, after;
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	OK(statfs(".", &before));
	for (unsigned int i = 0; i < 8; i++) {
		fill(buf, sizeof(buf), i);
		EQ(sizeof(buf), write(fd, buf, sizeof(buf)));
	}
	OK(fsync(fd));
	OK(statfs(".", &after));
	/* Others may write to the same file system. */
	TRUE((uint64_t)before.f_bfree * before.f_bsize >=
			(uint64_t)after.f_bfree * after.f_bsize + 4 * sizeof(buf));
}

CHECK(inode_numbers_differ_and_stay)
{
	ino_t f, g;

	put("f", "", 0644);
	put("g", "", 0644);
	f = stat_of("f").st_ino;
	g = stat_of("g").st_ino;
	TRUE(f != g && f != 0 && f != stat_of(".").st_ino);
	OK(rename("f", "h"));
	OK(chmod("h", 0600));
	EQ(f, stat_of("h").st_ino);
	EQ(f, fstat_of(OK(open("h", O_RDONLY))).st_ino);
	EQ(stat_of(".").st_dev, stat_of("h").st_dev);
}

CHECK(size_of_each_kind)
{
	put("f", "0123456789", 0644);
	put_dir("d", 0755);
	OK(symlink("0123456", "l"));
	OK(mkfifo("p", 0644));
	EQ(10, stat_of("f").st_size);
	EQ(7, lstat_of("l").st_size);
	EQ(0, stat_of("p").st_size);
	TRUE(S_ISREG(stat_of("f").st_mode));
	TRUE(S_ISDIR(stat_of("d").st_mode));
	TRUE(S_ISLNK(lstat_of("l").st_mode));
	TRUE(S_ISFIFO(stat_of("p").st_mode));
}

CHECK(statx_agrees_with_stat)
{
	struct statx x;
	struct stat st;

	put("f", "text", 0640);
	OK(chown("f", U1, G1));
	st = stat_of("f");
	OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x));
	EQ(STATX_BASIC_STATS, x.stx_mask & STATX_BASIC_STATS);
	EQ(st.st_mode, x.stx_mode);
	EQ(st.st_uid, x.stx_uid);
	EQ(st.st_gid, x.stx_gid);
	EQ(st.st_size, x.stx_size);
	EQ(st.st_ino, x.stx_ino);
	EQ(st.st_nlink, x.stx_nlink);
	EQ(st.st_blocks, x.stx_blocks);
	EQ(st.st_mtim.tv_sec, x.stx_mtime.tv_sec);
	EQ(st.st_mtim.tv_nsec, x.stx_mtime.tv_nsec);
	EQ(minor(st.st_dev), x.stx_dev_minor);
}

CHECK(statx_of_an_open_file_and_with_flags)
{
	struct statx x;
	int fd;

	put("f", "text", 0640);
	fd = OK(open("f", O_RDWR));
	OK(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
	EQ(4, x.stx_size);
	EQ(4, write(fd, "more", 4));
	OK(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &x));
	EQ(4, x.stx_size);
	OK(statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &x));
	ERR(EINVAL, statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, 0, &x));
	ERR(ENOENT, statx(AT_FDCWD, "", 0, 0, &x));
}

CHECK(statx_birth_time)
{
	struct statx x, y;

	put("f", "text", 0640);
	OK(statx(AT_FDCWD, "f", 0, STATX_BTIME, &x));
	if ((x.stx_mask & STATX_BTIME) == 0)
		skip("statx has no birth time");
	tick();
	put("f", "more", 0600);
	OK(statx(AT_FDCWD, "f", 0, STATX_BTIME, &y));
	EQ(x.stx_btime.tv_sec, y.stx_btime.tv_sec);
	EQ(x.stx_btime.tv_nsec, y.stx_btime.tv_nsec);
	TRUE(llabs(x.stx_btime.tv_sec - time(NULL)) < 3600);
}

CHECK(missing_files)
{
	struct stat st;

	put("f", "", 0644);
	ERR(ENOENT, stat("none", &st));
	ERR(ENOENT, lstat("none/f", &st));
	ERR(ENOTDIR, stat("f/g", &st));
	ERR(ENOTDIR, lstat("f/", &st));
	ERR(ENOENT, stat("", &st));
	ERR(EBADF, fstat(999, &st));
}

CHECK(absent_name_appears_at_once)
{
	for (unsigned int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		TRUE(!exists(name));
		if (elsewhere()) {
			put(name, "text", 0644);
			done();
		}
		TRUE(exists(name));
		if (elsewhere()) {
			OK(unlink(name));
			done();
		}
		TRUE(!exists(name));
	}
}

/* Room for a handle of any file system. */
union handle {
	struct file_handle head;
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

CHECK(handle_opens_the_file)
{
	union handle handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount_id, dir = OK(open(".", O_RDONLY)), fd;

	put("f", "text", 0644);
	NEED(name_to_handle_at(AT_FDCWD, "f", &handle.head, &mount_id, 0));
	fd = NEED(open_by_handle_at(dir, &handle.head, O_RDWR));
	EQ(stat_of("f").st_ino, fstat_of(fd).st_ino);
	EQ(4, write(fd, "TEXT", 4));
	CONTAINS("f", "TEXT");
	OK(rename("f", "g"));
	fd = OK(open_by_handle_at(dir, &handle.head, O_RDONLY));
	EQ(4, fstat_of(fd).st_size);
}

CHECK(handle_of_an_open_file)
{
	union handle handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount_id, dir = OK(open(".", O_RDONLY)), fd, again;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDWR));
	NEED(name_to_handle_at(AT_FDCWD, "f", &handle.head, &mount_id, 0));
	OK(rename("f", "g"));
	again = NEED(open_by_handle_at(dir, &handle.head, O_RDWR));
	EQ(fstat_of(fd).st_ino, fstat_of(again).st_ino);
	EQ(4, write(again, "TEXT", 4));
	CONTAINS("g", "TEXT");
}

CHECK(handle_is_stale_after_unlink)
{
	union handle handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount_id, dir = OK(open(".", O_RDONLY));

	put("f", "text", 0644);
	NEED(name_to_handle_at(AT_FDCWD, "f", &handle.head, &mount_id, 0));
	OK(unlink("f"));
	ERR(ESTALE, open_by_handle_at(dir, &handle.head, O_RDONLY));
}

CHECK(handle_needs_room_and_rights)
{
	union handle handle = { .head.handle_bytes = 0 };
	int mount_id, dir = OK(open(".", O_RDONLY)), rc;

	put("f", "text", 0644);
	rc = name_to_handle_at(AT_FDCWD, "f", &handle.head, &mount_id, 0);
	if (rc < 0 && errno == EOPNOTSUPP)
		skip("name_to_handle_at: EOPNOTSUPP");
	TRUE(rc < 0 && errno == EOVERFLOW);
	TRUE(handle.head.handle_bytes > 0);
	OK(name_to_handle_at(AT_FDCWD, "f", &handle.head, &mount_id, 0));
	if (as(U1, G1)) {
		ERR(EPERM, open_by_handle_at(dir, &handle.head, O_RDONLY));
		done();
	}
}

/* The flags of chattr, or the end of the check where there are none. */
static int
flags_of(int fd)
{
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) {
		if (errno != ENOTTY && errno != EOPNOTSUPP && errno != ENOSYS)
			FAIL("FS_IOC_GETFLAGS: expected success, ENOTTY or EOPNOTSUPP, got %s",
					strerrorname_np(errno));
		skip("FS_IOC_GETFLAGS: %s", strerrorname_np(errno));
	}
	return flags;
}

static void
set_flags(int fd, int flags)
{
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
		if (errno == EOPNOTSUPP || errno == ENOTTY || errno == EPERM)
			skip("FS_IOC_SETFLAGS: %s", strerrorname_np(errno));
		FAIL("FS_IOC_SETFLAGS: expected success, got %s", strerrorname_np(errno));
	}
}

CHECK(flags_are_kept)
{
	int fd, flags;

	put("f", "", 0644);
	fd = OK(open("f", O_RDONLY));
	flags = flags_of(fd);
	set_flags(fd, flags | FS_NODUMP_FL);
	EQ(flags | FS_NODUMP_FL, flags_of(fd));
	set_flags(fd, flags);
	EQ(flags, flags_of(fd));
}

CHECK(flags_of_a_directory)
{
	int fd, flags;

	put_dir("d", 0755);
	fd = OK(open("d", O_RDONLY));
	flags = flags_of(fd);
	set_flags(fd, flags | FS_NODUMP_FL);
	EQ(flags | FS_NODUMP_FL, flags_of(fd));
}

CHECK(immutable_file)
{
	int fd, flags, rc;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDONLY));
	flags = flags_of(fd);
	set_flags(fd, flags | FS_IMMUTABLE_FL);
	rc = open("f", O_WRONLY) < 0 && errno == EPERM ? 0 : 1;
	rc |= unlink("f") < 0 && errno == EPERM ? 0 : 2;
	rc |= rename("f", "g") < 0 && errno == EPERM ? 0 : 4;
	rc |= chmod("f", 0600) < 0 && errno == EPERM ? 0 : 8;
	rc |= link("f", "h") < 0 && errno == EPERM ? 0 : 16;
	/* Or nobody could remove it. */
	set_flags(fd, flags);
	EQ(0, rc);
	OK(unlink("f"));
}

CHECK(append_only_file)
{
	int fd, flags, rc;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDONLY));
	flags = flags_of(fd);
	set_flags(fd, flags | FS_APPEND_FL);
	rc = open("f", O_WRONLY) < 0 && errno == EPERM ? 0 : 1;
	rc |= truncate("f", 0) < 0 && errno == EPERM ? 0 : 2;
	rc |= unlink("f") < 0 && errno == EPERM ? 0 : 4;
	rc |= open("f", O_WRONLY | O_APPEND) >= 0 ? 0 : 8;
	set_flags(fd, flags);
	EQ(0, rc);
}

CHECK(fsxattr)
{
	struct fsxattr x = { 0 };

	put("f", "", 0644);
	if (ioctl(OK(open("f", O_RDONLY)), FS_IOC_FSGETXATTR, &x) < 0) {
		if (errno != ENOTTY && errno != EOPNOTSUPP && errno != ENOSYS)
			FAIL("expected success, ENOTTY or EOPNOTSUPP, got %s",
					strerrorname_np(errno));
		skip("FS_IOC_FSGETXATTR: %s", strerrorname_np(errno));
	}
}

CHECK(unknown_ioctl_is_enotty)
{
	int arg = 0;

	put("f", "", 0644);
	ERR2(ENOTTY, EINVAL, ioctl(OK(open("f", O_RDONLY)), _IOR('~', 99, int), &arg));
	ERR2(ENOTTY, EINVAL, ioctl(OK(open(".", O_RDONLY)), _IOR('~', 99, int), &arg));
}

CHECK(fionread_tells_the_rest)
{
	int fd, nb = -1;

	put("f", "0123456789", 0644);
	fd = OK(open("f", O_RDONLY));
	OK(lseek(fd, 3, SEEK_SET));
	OK(ioctl(fd, FIONREAD, &nb));
	EQ(7, nb);
}
