/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The file system in memory by itself, and side by side with one of the kernel's. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "memfs_user.h"

#define ROOT MEMFS_ROOT

static int
do_write(uint32_t ino, uint64_t off, const void *from, uint32_t len)
{
	struct weir_iov iov;

	memcpy(guest, from, len);
	guest_iov(&iov, len);
	return memfs_write(fs, ino, off, len, &iov);
}

static int
make(uint32_t dir, const char *name, uint32_t mode, uint32_t *ino)
{
	const struct memfs_new what = { .mode = mode, .uid = 1, .gid = 2, .target = "target" };

	return memfs_make(fs, dir, name, &what, ino);
}

static uint32_t
made(uint32_t dir, const char *name, uint32_t mode)
{
	uint32_t ino;

	assert_int_equal(make(dir, name, mode, &ino), 0);
	return ino;
}

static void
file_written_reads_back_with_holes_as_zeroes(void **state)
{
	uint32_t ino = made(ROOT, "f", S_IFREG | 0644);
	uint64_t far = (UINT64_C(5) << 30) + 100;

	assert_int_equal(do_write(ino, 10, "hello", 5), 5);
	assert_int_equal(do_write(ino, far, "world", 5), 5);
	assert_int_equal(attr_of(ino).size, far + 5);
	assert_int_equal(attr_of(ino).blocks, 2 * PAGE / 512);

	assert_int_equal(do_read(ino, 0, 20), 20);
	assert_memory_equal(guest, "\0\0\0\0\0\0\0\0\0\0hello\0\0\0\0\0", 20);
	assert_int_equal(do_read(ino, far - 3, 100), 8);
	assert_memory_equal(guest, "\0\0\0world", 8);
	assert_int_equal(do_read(ino, UINT64_C(1) << 30, 7), 7);
	assert_memory_equal(guest, "\0\0\0\0\0\0\0", 7);
	assert_int_equal(do_read(ino, far + 5, 1), 0);
	assert_int_equal(do_read(ino, UINT64_MAX, 1), 0);
}

static void
file_across_pages_keeps_every_byte(void **state)
{
	uint32_t ino = made(ROOT, "f", S_IFREG | 0644);
	static uint8_t data[5 * PAGE + 77];
	size_t i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + i / 251);
	assert_int_equal(do_write(ino, 3 * PAGE - 5, data, sizeof(data)), sizeof(data));
	assert_int_equal(do_read(ino, 3 * PAGE - 5, sizeof(data)), sizeof(data));
	assert_memory_equal(guest, data, sizeof(data));
}

static void
file_cut_and_extended_shows_zeroes_and_gives_pages_back(void **state)
{
	uint32_t ino = made(ROOT, "f", S_IFREG | 0644);
	static uint8_t ones[4 * PAGE];
	uint64_t before = pages_free();

	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(do_write(ino, 0, ones, sizeof(ones)), sizeof(ones));
	assert_int_equal(do_write(ino, UINT64_C(1) << 33, ones, 1), 1);
	assert_int_equal(do_truncate(ino, PAGE + 10), 0);
	assert_int_equal(attr_of(ino).blocks, 2 * PAGE / 512);
	assert_int_equal(do_truncate(ino, 4 * PAGE), 0);
	assert_int_equal(do_read(ino, PAGE + 9, 2), 2);
	assert_memory_equal(guest, "\xff\0", 2);
	assert_int_equal(do_read(ino, 2 * PAGE, 1), 1);
	assert_int_equal(guest[0], 0);
	assert_int_equal(do_truncate(ino, 0), 0);
	assert_int_equal(pages_free(), before);
}

static void
file_too_large_is_refused(void **state)
{
	uint32_t ino = made(ROOT, "f", S_IFREG | 0644);

	assert_int_equal(do_truncate(ino, MEMFS_MAX_FILE_SIZE + 1), -EFBIG);
	assert_int_equal(do_write(ino, MEMFS_MAX_FILE_SIZE, "x", 1), -EFBIG);
	assert_int_equal(do_write(ino, UINT64_MAX, "x", 1), -EFBIG);
	assert_int_equal(do_write(ino, MEMFS_MAX_FILE_SIZE - 1, "xy", 2), 1);
	assert_int_equal(attr_of(ino).size, MEMFS_MAX_FILE_SIZE);
}

static void
space_used_up_writes_short_then_fails_and_comes_back(void **state)
{
	uint32_t ino = made(ROOT, "f", S_IFREG | 0644);
	static uint8_t data[1 << 20];
	uint64_t before = pages_free(), off = 0;
	int n;

	while ((n = do_write(ino, off, data, sizeof(data))) > 0)
		off += (uint64_t)n;
	assert_int_equal(n, -ENOSPC);
	assert_int_equal(attr_of(ino).size, off);
	assert_int_equal(off % PAGE, 0);
	assert_int_equal(pages_free(), 0);
	assert_int_equal(make(ROOT, "l", S_IFLNK | 0777, &ino), -ENOSPC);
	assert_int_equal(memfs_lookup(fs, ROOT, "l", &ino), -ENOENT);
	assert_int_equal(memfs_unlink(fs, ROOT, "f"), 0);
	assert_int_equal(pages_free(), before);
}

static void
inodes_used_up_are_enospc_and_come_back(void **state)
{
	struct weir_statfs st;
	char name[16];
	uint32_t ino;
	uint64_t i;

	memfs_statfs(fs, &st);
	for (i = 0; i < st.ffree; i++) {
		snprintf(name, sizeof(name), "%u", (unsigned int)i);
		made(ROOT, name, S_IFREG);
	}
	assert_int_equal(make(ROOT, "more", S_IFREG, &ino), -ENOSPC);
	assert_int_equal(memfs_unlink(fs, ROOT, "7"), 0);
	made(ROOT, "more", S_IFREG);
}

static void
file_unlinked_lives_while_referenced(void **state)
{
	uint32_t ino = made(ROOT, "f", S_IFREG | 0644);
	uint64_t before = pages_free();

	memfs_get(fs, ino);
	memfs_get(fs, ino);
	assert_int_equal(do_write(ino, 0, "data", 4), 4);
	assert_int_equal(memfs_unlink(fs, ROOT, "f"), 0);
	assert_int_equal(attr_of(ino).nlink, 0);
	assert_int_equal(memfs_link(fs, ino, ROOT, "again"), -ENOENT);
	assert_int_equal(do_read(ino, 0, 4), 4);
	assert_memory_equal(guest, "data", 4);

	memfs_put_later(fs, ino);
	memfs_put_later(fs, ino);
	assert_int_equal(pages_free(), before - 1);
	memfs_settle(fs);
	assert_int_equal(pages_free(), before);
	assert_int_equal(made(ROOT, "new", S_IFREG), ino);
}

static void
attributes_set_are_kept_and_now_means_now(void **state)
{
	const struct weir_attr set = {
		.mode = S_IFDIR | 06751,
		.uid = 11,
		.gid = 12,
		.atime = -5,
		.atime_ns = 999999999,
		.mtime = 7,
		.mtime_ns = 1,
	};
	uint32_t ino = made(ROOT, "f", S_IFREG | 0644);
	struct weir_attr attr;

	assert_int_equal(memfs_setattr(fs, ino,
					 WEIR_SET_MODE | WEIR_SET_UID | WEIR_SET_GID |
							 WEIR_SET_ATIME | WEIR_SET_MTIME,
					 &set),
			0);
	attr = attr_of(ino);
	assert_int_equal(attr.mode, S_IFREG | 06751);
	assert_int_equal(attr.uid, 11);
	assert_int_equal(attr.gid, 12);
	assert_true(attr.atime == -5 && attr.atime_ns == 999999999);
	assert_true(attr.mtime == 7 && attr.mtime_ns == 1);
	assert_true(attr.ctime > 1000000000);

	assert_int_equal(memfs_setattr(fs, ino, WEIR_SET_MTIME_NOW, &set), 0);
	attr = attr_of(ino);
	assert_true(attr.mtime > 1000000000);
	assert_int_equal(attr.atime, -5);
	assert_int_equal(do_truncate(ROOT, 0), -EISDIR);
	assert_int_equal(do_truncate(made(ROOT, "p", S_IFIFO), 0), -EINVAL);
}

static void
access_follows_the_class_of_the_caller(void **state)
{
	const struct weir_cred root = { 0, 0, 1 }, owner = { 1, 9, 1 }, group = { 9, 2, 1 },
			       other = { 9, 9, 1 };
	uint32_t ino = made(ROOT, "f", S_IFREG | 0640);

	assert_int_equal(memfs_access(fs, ino, &root, R_OK | W_OK), 0);
	assert_int_equal(memfs_access(fs, ino, &root, X_OK), -EACCES);
	assert_int_equal(memfs_access(fs, ino, &owner, R_OK | W_OK), 0);
	assert_int_equal(memfs_access(fs, ino, &group, R_OK), 0);
	assert_int_equal(memfs_access(fs, ino, &group, W_OK), -EACCES);
	assert_int_equal(memfs_access(fs, ino, &other, R_OK), -EACCES);
	assert_int_equal(memfs_access(fs, ino, &other, F_OK), 0);
}

static void
setgid_directory_hands_its_group_down(void **state)
{
	const struct weir_attr gid = { .gid = 77, .mode = 02775 };
	uint32_t dir = made(ROOT, "d", S_IFDIR | 0755);
	uint32_t file, sub;

	assert_int_equal(memfs_setattr(fs, dir, WEIR_SET_GID | WEIR_SET_MODE, &gid), 0);
	file = made(dir, "f", S_IFREG | 0644);
	sub = made(dir, "s", S_IFDIR | 0755);
	assert_int_equal(attr_of(file).gid, 77);
	assert_int_equal(attr_of(file).mode, S_IFREG | 0644);
	assert_int_equal(attr_of(sub).gid, 77);
	assert_int_equal(attr_of(sub).mode, S_IFDIR | 02755);
}

static void
only_members_of_its_group_make_programs_in_a_setgid_directory(void **state)
{
	const struct weir_attr gid = { .gid = 77, .mode = 02777 };
	uint32_t dir = made(ROOT, "d", S_IFDIR | 0755);
	struct memfs_new what = { .mode = S_IFREG | 02755, .uid = 5, .gid = 5 };
	uint32_t stranger, member, nogroup, judged;

	assert_int_equal(memfs_setattr(fs, dir, WEIR_SET_GID | WEIR_SET_MODE, &gid), 0);
	assert_int_equal(memfs_make(fs, dir, "stranger", &what, &stranger), 0);
	what.group = 77;
	assert_int_equal(memfs_make(fs, dir, "nogroup", &what, &nogroup), 0);
	what.has_group = true;
	assert_int_equal(memfs_make(fs, dir, "member", &what, &member), 0);
	what.has_group = false;
	what.setgid = true;
	assert_int_equal(memfs_make(fs, dir, "judged", &what, &judged), 0);
	assert_int_equal(attr_of(judged).mode, S_IFREG | 02755);
	assert_int_equal(attr_of(stranger).mode, S_IFREG | 0755);
	assert_int_equal(attr_of(nogroup).mode, S_IFREG | 0755);
	assert_int_equal(attr_of(member).mode, S_IFREG | 02755);
}

static void
directory_links_count_subdirectories(void **state)
{
	uint32_t a = made(ROOT, "a", S_IFDIR), b = made(ROOT, "b", S_IFDIR);

	made(a, "s", S_IFDIR);
	made(a, "f", S_IFREG);
	assert_int_equal(attr_of(ROOT).nlink, 4);
	assert_int_equal(attr_of(a).nlink, 3);
	assert_int_equal(memfs_rename(fs, a, "s", b, "s", 0), 0);
	assert_int_equal(attr_of(a).nlink, 2);
	assert_int_equal(attr_of(b).nlink, 3);
	assert_int_equal(memfs_rename(fs, a, "f", b, "s", RENAME_EXCHANGE), 0);
	assert_int_equal(attr_of(a).nlink, 3);
	assert_int_equal(attr_of(b).nlink, 2);
	assert_int_equal(memfs_rmdir(fs, a, "f"), 0);
	assert_int_equal(attr_of(a).nlink, 2);
}

static void
directory_removed_but_open_takes_no_names(void **state)
{
	uint32_t dir = made(ROOT, "d", S_IFDIR), ino, hint = 0;
	struct weir_dirent dirent;

	memfs_get(fs, dir);
	made(ROOT, "f", S_IFREG);
	assert_int_equal(memfs_rmdir(fs, ROOT, "d"), 0);
	assert_int_equal(make(dir, "x", S_IFREG, &ino), -ENOENT);
	assert_int_equal(memfs_rename(fs, ROOT, "f", dir, "f", 0), -ENOENT);
	assert_int_equal(memfs_lookup(fs, dir, "..", &ino), -ENOENT);
	assert_int_equal(memfs_readdir(fs, dir, 0, &hint, &dirent), 0);
	assert_int_equal(attr_of(dir).nlink, 0);
	memfs_put(fs, dir, 1);
}

static void
names_too_long_and_long_enough_are_told_apart(void **state)
{
	char name[NAME_MAX + 2], target[PAGE + 1];
	struct memfs_new what = { .mode = S_IFLNK, .target = target };
	uint32_t ino;

	memset(name, 'n', sizeof(name));
	memset(target, 't', sizeof(target));
	name[NAME_MAX + 1] = '\0';
	target[PAGE] = '\0';
	assert_int_equal(make(ROOT, name, S_IFREG, &ino), -ENAMETOOLONG);
	assert_int_equal(memfs_lookup(fs, ROOT, name, &ino), -ENAMETOOLONG);
	assert_int_equal(memfs_make(fs, ROOT, "l", &what, &ino), -ENAMETOOLONG);
	name[NAME_MAX] = '\0';
	target[PAGE - 1] = '\0';
	made(ROOT, name, S_IFREG);
	assert_int_equal(memfs_make(fs, ROOT, "l", &what, &ino), 0);
	assert_int_equal(attr_of(ino).size, PAGE - 1);
}

/* Marks what a reader finds; every name is a number. */
static void
read_some(uint32_t dir, uint64_t *cookie, uint32_t *hint, unsigned int nb, unsigned int *seen)
{
	struct weir_dirent dirent;
	char name[NAME_MAX + 1];

	while (nb-- > 0 && memfs_readdir(fs, dir, *cookie, hint, &dirent) == 1) {
		snprintf(name, sizeof(name), "%.*s", (int)dirent.name_len, dirent.name);
		if (name[0] != '.')
			seen[strtoul(name, NULL, 10)]++;
		*cookie = dirent.next_off;
	}
}

static void
directory_read_under_change_lists_what_stays_once(void **state)
{
	unsigned int seen[400] = { 0 }, i;
	uint32_t dir = made(ROOT, "d", S_IFDIR), ino, hint = 0;
	uint64_t cookie = 0;
	char name[16];

	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "%u", i);
		made(dir, name, S_IFREG);
	}
	/* Of 0 to 199 the even ones stay; others go, come, and are renamed over while we read. */
	for (i = 0; i < 100; i++) {
		read_some(dir, &cookie, &hint, 3, seen);
		snprintf(name, sizeof(name), "%u", (i * 37 + 11) % 200 | 1);
		(void)memfs_unlink(fs, dir, name);
		snprintf(name, sizeof(name), "%u", 200 + i);
		assert_int_equal(make(dir, name, S_IFREG, &ino), 0);
		if (i % 2 == 0)
			assert_int_equal(memfs_rename(fs, dir, name, dir, "100", 0), 0);
		/* A reader's hint is worth nothing, and must not matter. */
		if (i % 5 == 0)
			hint = i;
	}
	read_some(dir, &cookie, &hint, 1000, seen);
	for (i = 0; i < 200; i += 2)
		assert_int_equal(seen[i], 1);
	for (i = 0; i < RTE_DIM(seen); i++)
		assert_true(seen[i] <= 1);
}

static void
directory_read_from_an_old_cookie_goes_on_behind_it(void **state)
{
	struct weir_dirent dirent;
	uint32_t hint = 0;
	uint64_t cookie;

	made(ROOT, "1", S_IFREG);
	made(ROOT, "2", S_IFREG);
	made(ROOT, "3", S_IFREG);
	assert_int_equal(memfs_readdir(fs, ROOT, 2, &hint, &dirent), 1);
	assert_memory_equal(dirent.name, "1", 1);
	cookie = dirent.next_off;
	assert_int_equal(memfs_readdir(fs, ROOT, cookie, &hint, &dirent), 1);
	assert_int_equal(memfs_unlink(fs, ROOT, "1"), 0);
	assert_int_equal(memfs_unlink(fs, ROOT, "2"), 0);
	assert_int_equal(memfs_readdir(fs, ROOT, cookie, &hint, &dirent), 1);
	assert_memory_equal(dirent.name, "3", 1);
	/* Back to the start, with a hint from the end. */
	assert_int_equal(memfs_readdir(fs, ROOT, 2, &hint, &dirent), 1);
	assert_memory_equal(dirent.name, "3", 1);
	assert_int_equal(memfs_readdir(fs, ROOT, UINT64_MAX, &hint, &dirent), 0);
}

/*
 * Side by side: random calls on this file system and on the kernel's must have the same results.
 */

#define NB_STEPS 20000

static uint32_t random_state;
static int top_fd;
static bool kernel_exchanges;

static uint32_t
rnd(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

/* A directory of both, found by the same random names; false where one of them is none. */
struct place {
	uint32_t dir;
	int fd;
};

static const char *
rnd_name(void)
{
	static const char *const names[] = { "a", "b", "c", "d" };

	return names[rnd(RTE_DIM(names))];
}

static bool
rnd_place(struct place *place)
{
	unsigned int depth = rnd(4);
	int fd, rc;
	const char *name;

	place->dir = ROOT;
	place->fd = dup(top_fd);
	assert_true(place->fd >= 0);
	while (depth-- > 0) {
		name = rnd_name();
		fd = openat(place->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		rc = memfs_lookup(fs, place->dir, name, &place->dir);
		if (rc == 0 && !S_ISDIR(attr_of(place->dir).mode))
			rc = -ENOTDIR;
		assert_int_equal(rc, fd < 0 ? (errno == ELOOP ? -ENOTDIR : -errno) : 0);
		close(place->fd);
		place->fd = fd;
		if (fd < 0)
			return false;
	}
	return true;
}

static int
res(int rc)
{
	return rc < 0 ? -errno : rc;
}

static void
both_rename(const struct place *from, const char *name)
{
	static const unsigned int flags[] = { 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE,
		RENAME_NOREPLACE | RENAME_EXCHANGE };
	unsigned int f = flags[rnd(kernel_exchanges ? 5 : 3)];
	const char *newname = rnd_name();
	struct place to;

	if (!rnd_place(&to))
		return;
	assert_int_equal(memfs_rename(fs, from->dir, name, to.dir, newname, f),
			res(renameat2(from->fd, name, to.fd, newname, f)));
	close(to.fd);
}

static void
both_link(const struct place *from, const char *name)
{
	const char *newname = rnd_name();
	struct place to;
	uint32_t ino;

	if (memfs_lookup(fs, from->dir, name, &ino) < 0 || !rnd_place(&to))
		return;
	assert_int_equal(memfs_link(fs, ino, to.dir, newname),
			res(linkat(from->fd, name, to.fd, newname, 0)));
	close(to.fd);
}

static void
both_compare(const struct place *place, const char *name)
{
	struct weir_attr attr;
	struct stat st;
	uint32_t ino;
	int rc = res(fstatat(place->fd, name, &st, AT_SYMLINK_NOFOLLOW));

	assert_int_equal(memfs_lookup(fs, place->dir, name, &ino), rc);
	if (rc < 0)
		return;
	attr = attr_of(ino);
	assert_int_equal(attr.mode & S_IFMT, st.st_mode & S_IFMT);
	/* Not every file system of the kernel counts a directory's links, nor has one its size. */
	if (S_ISDIR(attr.mode))
		return;
	assert_int_equal(attr.nlink, st.st_nlink);
	assert_int_equal(attr.size, st.st_size);
}

static void
both_write(const struct place *place, const char *name)
{
	uint64_t off = rnd(40 * PAGE);
	uint32_t len = rnd(3 * PAGE), ino;
	static uint8_t data[3 * PAGE];
	int fd = openat(place->fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC), rc;

	memset(data, (int)rnd(256), sizeof(data));
	if (fd < 0)
		return;
	assert_int_equal(memfs_lookup(fs, place->dir, name, &ino), 0);
	if (rnd(3) == 0) {
		assert_int_equal(do_truncate(ino, off), res(ftruncate(fd, (off_t)off)));
	} else {
		assert_int_equal(do_write(ino, off, data, len),
				(int)pwrite(fd, data, len, (off_t)off));
	}
	off = rnd(40 * PAGE);
	rc = do_read(ino, off, sizeof(data));
	assert_int_equal(rc, (int)pread(fd, data, sizeof(data), (off_t)off));
	assert_memory_equal(guest, data, rc);
	close(fd);
}

/* Each entry of the one is in the other, and there are as many. */
static void
both_list(const struct place *place)
{
	int fd = openat(place->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), nb = 0;
	DIR *dir = fdopendir(fd);
	struct weir_dirent dirent;
	uint64_t cookie = 0;
	uint32_t hint = 0, ino;
	struct dirent *d;

	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		assert_int_equal(memfs_lookup(fs, place->dir, d->d_name, &ino), 0);
		nb++;
	}
	closedir(dir);
	while (memfs_readdir(fs, place->dir, cookie, &hint, &dirent) == 1) {
		cookie = dirent.next_off;
		nb--;
	}
	assert_int_equal(nb, 0);
}

static void
both_step(const struct place *at)
{
	const char *name = rnd_name();
	char target[64];
	struct weir_seg seg = { .len = sizeof(target) };
	struct weir_iov iov;
	uint32_t ino;

	switch (rnd(10)) {
	case 0:
		assert_int_equal(make(at->dir, name, S_IFDIR | 0755, &ino),
				res(mkdirat(at->fd, name, 0755)));
		break;
	case 1:
		assert_int_equal(make(at->dir, name, S_IFREG | 0644, &ino),
				res(mknodat(at->fd, name, S_IFREG | 0644, 0)));
		break;
	case 2:
		assert_int_equal(make(at->dir, name, S_IFLNK | 0777, &ino),
				res(symlinkat("target", at->fd, name)));
		break;
	case 3:
		assert_int_equal(memfs_unlink(fs, at->dir, name), res(unlinkat(at->fd, name, 0)));
		break;
	case 4:
		assert_int_equal(memfs_rmdir(fs, at->dir, name),
				res(unlinkat(at->fd, name, AT_REMOVEDIR)));
		break;
	case 5:
	case 6:
		both_rename(at, name);
		break;
	case 7:
		both_link(at, name);
		break;
	case 8:
		both_write(at, name);
		break;
	default:
		if (memfs_lookup(fs, at->dir, name, &ino) < 0)
			break;
		weir_iov_init(&iov, map, &seg, 1);
		assert_int_equal(memfs_readlink(fs, ino, &iov),
				res((int)readlinkat(at->fd, name, target, sizeof(target))));
	}
	both_compare(at, name);
	if (rnd(8) == 0)
		both_list(at);
}

static void
remove_all(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *d;
	int sub;

	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, d->d_name, 0) == 0)
			continue;
		sub = openat(fd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			remove_all(sub);
		unlinkat(fd, d->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

static char top[] = "/tmp/weir-test-memfs-XXXXXX";

static int
both_setup(void **state)
{
	if (mkdtemp(top) == NULL)
		return -1;
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top_fd < 0)
		return -1;
	kernel_exchanges =
			renameat2(top_fd, "x", top_fd, "y", RENAME_EXCHANGE) < 0 && errno == ENOENT;
	return setup(state);
}

static int
both_teardown(void **state)
{
	remove_all(top_fd);
	if (rmdir(top) < 0)
		return -1;
	return teardown(state);
}

static void
calls_at_random_end_as_the_kernel_ends_them(void **state)
{
	struct place at;
	unsigned int i;

	random_state = 1;
	for (i = 0; i < NB_STEPS; i++) {
		if (!rnd_place(&at))
			continue;
		both_step(&at);
		close(at.fd);
	}
}

#define MEMFS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MEMFS_TEST(file_written_reads_back_with_holes_as_zeroes),
		MEMFS_TEST(file_across_pages_keeps_every_byte),
		MEMFS_TEST(file_cut_and_extended_shows_zeroes_and_gives_pages_back),
		MEMFS_TEST(file_too_large_is_refused),
		MEMFS_TEST(space_used_up_writes_short_then_fails_and_comes_back),
		MEMFS_TEST(inodes_used_up_are_enospc_and_come_back),
		MEMFS_TEST(file_unlinked_lives_while_referenced),
		MEMFS_TEST(attributes_set_are_kept_and_now_means_now),
		MEMFS_TEST(access_follows_the_class_of_the_caller),
		MEMFS_TEST(setgid_directory_hands_its_group_down),
		MEMFS_TEST(only_members_of_its_group_make_programs_in_a_setgid_directory),
		MEMFS_TEST(directory_links_count_subdirectories),
		MEMFS_TEST(directory_removed_but_open_takes_no_names),
		MEMFS_TEST(names_too_long_and_long_enough_are_told_apart),
		MEMFS_TEST(directory_read_under_change_lists_what_stays_once),
		MEMFS_TEST(directory_read_from_an_old_cookie_goes_on_behind_it),
		cmocka_unit_test_setup_teardown(calls_at_random_end_as_the_kernel_ends_them,
				both_setup, both_teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
