/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The file system in memory: extended attributes, and ACLs with what they do to modes. */

#include <errno.h>
#include <linux/limits.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "memfs_user.h"

#define ACCESS  "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

static int
set(uint32_t ino, const char *name, const void *value, uint32_t len, uint32_t flags)
{
	struct weir_iov iov;

	memcpy(guest, value, len);
	guest_iov(&iov, len);
	return memfs_setxattr(fs, ino, name, &iov, len, flags);
}

static int
get(uint32_t ino, const char *name, uint32_t len)
{
	struct weir_iov iov;

	memset(guest, 0xee, len);
	guest_iov(&iov, len);
	return memfs_getxattr(fs, ino, name, &iov, len);
}

static int
list(uint32_t ino, bool trusted, uint32_t len)
{
	struct weir_iov iov;

	guest_iov(&iov, len);
	return memfs_listxattr(fs, ino, trusted, &iov, len);
}

static uint32_t
mode_of(uint32_t ino)
{
	return attr_of(ino).mode & 07777;
}

static int
write_at(uint32_t ino, uint64_t off)
{
	struct weir_iov iov;

	guest_iov(&iov, 1);
	return memfs_write(fs, ino, off, 1, &iov);
}

static uint32_t
make(uint32_t dir, const char *name, uint32_t mode, uint32_t umask)
{
	const struct memfs_new what = { .mode = mode, .umask = umask, .target = "target" };
	uint32_t ino;

	assert_int_equal(memfs_make(fs, dir, name, &what, &ino), 0);
	return ino;
}

static void
attributes_are_set_read_listed_and_removed(void **state)
{
	uint32_t ino = make(MEMFS_ROOT, "a", S_IFREG | 0644, 0);

	assert_int_equal(get(ino, "user.a", 100), -ENODATA);
	assert_int_equal(list(ino, true, 100), 0);
	assert_int_equal(set(ino, "user.a", "one", 3, 0), 0);
	assert_int_equal(set(ino, "security.b", "", 0, XATTR_CREATE), 0);
	assert_int_equal(set(ino, "trusted.c", "three", 5, 0), 0);
	assert_int_equal(get(ino, "user.a", 100), 3);
	assert_memory_equal(guest, "one\xee", 4);
	assert_int_equal(get(ino, "user.a", 2), -ERANGE);
	assert_int_equal(memfs_getxattr(fs, ino, "user.a", NULL, 0), 3);
	assert_int_equal(get(ino, "security.b", 0), 0);

	assert_int_equal(list(ino, true, 100), 28);
	assert_memory_equal(guest, "user.a\0security.b\0trusted.c", 28);
	assert_int_equal(list(ino, false, 100), 18);
	assert_int_equal(list(ino, true, 27), -ERANGE);
	assert_int_equal(memfs_listxattr(fs, ino, true, NULL, 0), 28);

	assert_int_equal(set(ino, "user.a", "longer", 6, XATTR_REPLACE), 0);
	assert_int_equal(get(ino, "user.a", 100), 6);
	assert_int_equal(get(ino, "trusted.c", 100), 5);
	assert_memory_equal(guest, "three", 5);
	assert_int_equal(memfs_removexattr(fs, ino, "security.b"), 0);
	assert_int_equal(memfs_removexattr(fs, ino, "security.b"), -ENODATA);
	assert_int_equal(list(ino, true, 100), 17);
}

static void
attributes_obey_flags_and_names(void **state)
{
	uint32_t ino = make(MEMFS_ROOT, "a", S_IFREG | 0644, 0);
	static const char *const none[] = { "a", "users.a", "system.a", "system.posix_acl", "os2.a",
		"USER.a" };

	assert_int_equal(set(ino, "user.a", "x", 1, XATTR_REPLACE), -ENODATA);
	assert_int_equal(set(ino, "user.a", "x", 1, XATTR_CREATE), 0);
	assert_int_equal(set(ino, "user.a", "y", 1, XATTR_CREATE), -EEXIST);
	assert_int_equal(get(ino, "user.a", 1), 1);
	assert_int_equal(guest[0], 'x');
	for (unsigned int i = 0; i < RTE_DIM(none); i++) {
		assert_int_equal(set(ino, none[i], "x", 1, 0), -EOPNOTSUPP);
		assert_int_equal(get(ino, none[i], 1), -EOPNOTSUPP);
		assert_int_equal(memfs_removexattr(fs, ino, none[i]), -EOPNOTSUPP);
	}
	assert_int_equal(set(ino, "user.", "x", 1, 0), -EINVAL);
	/* One name is not the beginning of another. */
	assert_int_equal(get(ino, "user.aa", 1), -ENODATA);
	assert_int_equal(set(ino, "user.aa", "z", 1, 0), 0);
	assert_int_equal(get(ino, "user.a", 1), 1);
	assert_int_equal(guest[0], 'x');
}

static const struct memfs_new labelled[] = {
	{ .mode = S_IFREG | 0644, .label_name = "security.l", .label = "label", .label_len = 5 },
	{ .mode = S_IFDIR | 0755, .label_name = "security.l", .label = "label", .label_len = 5 },
	{ .mode = S_IFIFO | 0644, .label_name = "security.l", .label = "label", .label_len = 5 },
	{ .mode = S_IFLNK | 0777,
			.target = "to",
			.label_name = "security.l",
			.label = "label",
			.label_len = 5 },
};

static void
label_is_there_from_the_start(void **state)
{
	const uint64_t before = pages_free();
	uint32_t ino;

	for (unsigned int i = 0; i < RTE_DIM(labelled); i++) {
		assert_int_equal(memfs_make(fs, MEMFS_ROOT, "a", &labelled[i], &ino), 0);
		assert_int_equal(get(ino, "security.l", 100), 5);
		assert_memory_equal(guest, "label\xee", 6);
		assert_int_equal(S_ISDIR(labelled[i].mode) ? memfs_rmdir(fs, MEMFS_ROOT, "a") :
							     memfs_unlink(fs, MEMFS_ROOT, "a"),
				0);
		assert_int_equal(pages_free(), before);
	}
	assert_int_equal(memfs_make_unnamed(fs, MEMFS_ROOT, &labelled[0], true, &ino), 0);
	assert_int_equal(get(ino, "security.l", 100), 5);
	memfs_put(fs, ino, 0);
	assert_int_equal(pages_free(), before);
}

static void
label_without_space_makes_no_file(void **state)
{
	uint32_t ino = make(MEMFS_ROOT, "full", S_IFREG | 0644, 0), other;
	struct weir_statfs before, after;

	/* One page is left, which is enough for a link's text and not for its label. */
	for (uint64_t i = 0; pages_free() > 1; i++)
		assert_int_equal(write_at(ino, i * MEMFS_PAGE_SIZE), 1);
	assert_int_equal(memfs_make(fs, MEMFS_ROOT, "a", &labelled[3], &other), -ENOSPC);
	assert_int_equal(pages_free(), 1);
	assert_int_equal(set(ino, "user.last", "x", 1, 0), 0);
	assert_int_equal(pages_free(), 0);
	memfs_statfs(fs, &before);
	for (unsigned int i = 0; i < RTE_DIM(labelled); i++)
		assert_int_equal(memfs_make(fs, MEMFS_ROOT, "a", &labelled[i], &other), -ENOSPC);
	assert_int_equal(memfs_make_unnamed(fs, MEMFS_ROOT, &labelled[0], true, &other), -ENOSPC);
	assert_int_equal(memfs_lookup(fs, MEMFS_ROOT, "a", &other), -ENOENT);
	memfs_statfs(fs, &after);
	assert_int_equal(after.ffree, before.ffree);
}

static void
attributes_are_bounded_per_file(void **state)
{
	uint32_t ino = make(MEMFS_ROOT, "a", S_IFREG | 0644, 0);
	static uint8_t value[XATTR_SIZE_MAX];
	uint64_t before = pages_free();
	char name[256];
	unsigned int nb;
	int rc = 0;

	memset(value, 7, sizeof(value));
	assert_int_equal(set(ino, "user.a", value, XATTR_SIZE_MAX, 0), 0);
	assert_int_equal(get(ino, "user.a", XATTR_SIZE_MAX), XATTR_SIZE_MAX);
	assert_memory_equal(guest, value, XATTR_SIZE_MAX);
	assert_int_equal(set(ino, "user.b", value, XATTR_SIZE_MAX, 0), -ENOSPC);
	assert_int_equal(set(ino, "user.a", value, 10, 0), 0);
	assert_int_equal(pages_free(), before - 1);
	/* No more names than one list can tell. */
	for (nb = 0; rc == 0; nb++) {
		snprintf(name, sizeof(name), "user.%0250u", nb);
		rc = set(ino, name, "", 0, 0);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_in_range(nb, 250, 257);
	assert_in_range(list(ino, true, XATTR_LIST_MAX), 65000, XATTR_LIST_MAX);
	assert_int_equal(memfs_unlink(fs, MEMFS_ROOT, "a"), 0);
	assert_int_equal(pages_free(), before);
}

static void
attributes_without_space_stay_as_they_were(void **state)
{
	static uint8_t value[XATTR_SIZE_MAX];
	uint32_t ino = make(MEMFS_ROOT, "a", S_IFREG | 0644, 0), big;
	uint64_t pos = 0, len;
	int rc;

	assert_int_equal(set(ino, "user.a", "value", 5, 0), 0);
	big = make(MEMFS_ROOT, "big", S_IFREG | 0644, 0);
	len = (pages_free() - 4) * MEMFS_PAGE_SIZE;
	do {
		rc = memfs_fallocate(fs, big, 0, 0, len, &pos);
	} while (rc == -EAGAIN);
	assert_int_equal(rc, 0);
	assert_int_equal(set(ino, "user.a", value, XATTR_SIZE_MAX, 0), -ENOSPC);
	assert_int_equal(get(ino, "user.a", 100), 5);
	assert_memory_equal(guest, "value", 5);
}

/* Two attributes changed at random, and what they ought to be. */
static void
attributes_changed_at_random_keep_their_values(void **state)
{
	static const char *const names[] = { "user.a", "user.bb", "security.c", "trusted.d" };
	uint32_t ino = make(MEMFS_ROOT, "a", S_IFREG | 0644, 0), len[RTE_DIM(names)] = { 0 };
	static uint8_t value[RTE_DIM(names)][20000];
	bool there[RTE_DIM(names)] = { false };
	uint64_t before = pages_free(), seed = 42;

	for (unsigned int step = 0; step < 2000; step++) {
		unsigned int i = (seed = seed * 6364136223846793005u + 1) >> 62;

		if (seed >> 40 & 1) {
			assert_int_equal(memfs_removexattr(fs, ino, names[i]),
					there[i] ? 0 : -ENODATA);
			there[i] = false;
		} else {
			len[i] = (seed >> 20) % ((seed >> 41 & 3) == 0 ? 20000 : 50);
			memset(value[i], (int)(seed >> 33), len[i]);
			assert_int_equal(set(ino, names[i], value[i], len[i], 0), 0);
			there[i] = true;
		}
		for (i = 0; i < RTE_DIM(names); i++) {
			assert_int_equal(get(ino, names[i], 20000),
					there[i] ? (int)len[i] : -ENODATA);
			if (there[i])
				assert_memory_equal(guest, value[i], len[i]);
		}
	}
	for (unsigned int i = 0; i < RTE_DIM(names); i++)
		memfs_removexattr(fs, ino, names[i]);
	assert_int_equal(pages_free(), before);
}

/* An ACL as getxattr(2) has it. */
struct acl_value {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry e[8];
};

static uint32_t
acl_size(unsigned int nb)
{
	return (uint32_t)(sizeof(struct posix_acl_xattr_header) +
			nb * sizeof(struct posix_acl_xattr_entry));
}

static const struct acl_value plain = { { 2 },
	{ { ACL_USER_OBJ, 7, -1 }, { ACL_GROUP_OBJ, 5, -1 }, { ACL_OTHER, 1, -1 } } };
static const struct acl_value named = { { 2 },
	{ { ACL_USER_OBJ, 7, -1 }, { ACL_USER, 6, 1000 }, { ACL_USER, 4, 1001 },
			{ ACL_GROUP_OBJ, 5, -1 }, { ACL_GROUP, 2, 100 }, { ACL_MASK, 6, -1 },
			{ ACL_OTHER, 0, -1 } } };
#define NAMED_NB 7

/* A file that cannot inherit what it must is not made. */
static void
default_acl_without_space_makes_no_file(void **state)
{
	const struct memfs_new what = { .mode = S_IFREG | 0644 };
	uint32_t dir = make(MEMFS_ROOT, "dir", S_IFDIR | 0755, 0), big, ino;
	uint64_t pos = 0, files;
	struct weir_statfs st;

	assert_int_equal(set(dir, DEFAULT, &named, acl_size(NAMED_NB), 0), 0);
	big = make(MEMFS_ROOT, "big", S_IFREG | 0644, 0);
	while (memfs_fallocate(fs, big, 0, 0, UINT64_C(1) << 30, &pos) == -EAGAIN)
		;
	for (uint64_t off = 0; pages_free() > 0; off += MEMFS_PAGE_SIZE) {
		pos = 0;
		memfs_fallocate(fs, big, 0, off, MEMFS_PAGE_SIZE, &pos);
	}
	memfs_statfs(fs, &st);
	files = st.ffree;
	assert_int_equal(memfs_make(fs, dir, "file", &what, &ino), -ENOSPC);
	memfs_statfs(fs, &st);
	assert_int_equal(st.ffree, files);
	assert_int_equal(memfs_lookup(fs, dir, "file", &ino), -ENOENT);
}

static void
assert_acl_perms(uint32_t ino, const char *name, const uint16_t *perms, unsigned int nb)
{
	struct acl_value *acl = (void *)guest;

	assert_int_equal(get(ino, name, 1000), acl_size(nb));
	for (unsigned int i = 0; i < nb; i++)
		assert_int_equal(acl->e[i].e_perm, perms[i]);
}

static void
access_acl_is_part_of_the_mode(void **state)
{
	uint32_t ino = make(MEMFS_ROOT, "a", S_IFREG | 02644, 0);
	const uint16_t as_set[] = { 7, 6, 4, 5, 2, 6, 0 }, chmodded[] = { 6, 6, 4, 5, 2, 1, 5 };
	const struct weir_attr attr = { .mode = 0615 };

	assert_int_equal(set(ino, ACCESS, &named, acl_size(NAMED_NB), 0), 0);
	assert_int_equal(mode_of(ino), 02760);
	assert_acl_perms(ino, ACCESS, as_set, NAMED_NB);
	assert_int_equal(memfs_setattr(fs, ino, WEIR_SET_MODE, &attr), 0);
	assert_int_equal(mode_of(ino), 0615);
	assert_acl_perms(ino, ACCESS, chmodded, NAMED_NB);
	/* One that says no more than the mode becomes the mode. */
	assert_int_equal(set(ino, ACCESS, &plain, acl_size(3), 0), 0);
	assert_int_equal(mode_of(ino), 0751);
	assert_int_equal(get(ino, ACCESS, 1000), -ENODATA);
	/* None at all leaves the mode alone. */
	assert_int_equal(set(ino, ACCESS, &named, acl_size(NAMED_NB), 0), 0);
	assert_int_equal(set(ino, ACCESS, &named, acl_size(0), 0), 0);
	assert_int_equal(get(ino, ACCESS, 1000), -ENODATA);
	assert_int_equal(mode_of(ino), 0760);
}

static void
access_acl_says_who_may(void **state)
{
	static const struct {
		struct weir_cred cred;
		uint32_t may;
	} who[] = {
		{ { .uid = 0, .gid = 1 }, 7 },
		{ { .uid = 500, .gid = 1 }, 7 },
		{ { .uid = 1000, .gid = 50 }, 6 },
		{ { .uid = 1001, .gid = 100 }, 4 },
		{ { .uid = 2000, .gid = 50 }, 4 },
		{ { .uid = 2000, .gid = 100 }, 2 },
		{ { .uid = 2000, .gid = 1 }, 0 },
		{ { .uid = 2000, .gid = 1, .group = 100, .has_group = true }, 2 },
		{ { .uid = 2000, .gid = 1, .group = 100 }, 0 },
	};
	const struct weir_cred both = { .uid = 2000, .gid = 50, .group = 100, .has_group = true };
	const struct weir_attr attr = { .uid = 500, .gid = 50 };
	uint32_t ino = make(MEMFS_ROOT, "a", S_IFREG | 0644, 0);

	assert_int_equal(set(ino, ACCESS, &named, acl_size(NAMED_NB), 0), 0);
	assert_int_equal(memfs_setattr(fs, ino, WEIR_SET_UID | WEIR_SET_GID, &attr), 0);
	for (unsigned int i = 0; i < RTE_DIM(who); i++)
		for (uint32_t mask = 0; mask <= 7; mask++)
			assert_int_equal(memfs_access(fs, ino, &who[i].cred, mask),
					(mask & ~who[i].may) != 0 ? -EACCES : 0);
	/* One entry must grant all that is asked. */
	assert_int_equal(memfs_access(fs, ino, &both, R_OK), 0);
	assert_int_equal(memfs_access(fs, ino, &both, W_OK), 0);
	assert_int_equal(memfs_access(fs, ino, &both, R_OK | W_OK), -EACCES);
}

static void
acl_kills_the_setgid_bit_when_it_is_told(void **state)
{
	uint32_t ino = make(MEMFS_ROOT, "a", S_IFREG | 06644, 0);

	assert_int_equal(set(ino, ACCESS, &named, acl_size(NAMED_NB), WEIR_XATTR_KILL_SGID), 0);
	assert_int_equal(mode_of(ino), 04760);
}

static void
acl_that_is_none_is_refused(void **state)
{
	uint32_t ino = make(MEMFS_ROOT, "a", S_IFDIR | 0755, 0);
	uint32_t link = make(MEMFS_ROOT, "l", S_IFLNK | 0777, 0);
	uint32_t file = make(MEMFS_ROOT, "f", S_IFREG | 0644, 0);
	struct acl_value bad;

	for (uint32_t len = 0; len < acl_size(NAMED_NB); len++)
		if (len != acl_size(0))
			assert_int_equal(set(ino, ACCESS, &named, len, 0), -EINVAL);
	bad = named;
	bad.head.a_version = 1;
	assert_int_equal(set(ino, ACCESS, &bad, acl_size(NAMED_NB), 0), -EINVAL);
	bad = named;
	bad.e[1].e_perm = 8;
	assert_int_equal(set(ino, ACCESS, &bad, acl_size(NAMED_NB), 0), -EINVAL);
	bad = named;
	bad.e[1].e_id = UINT32_MAX;
	assert_int_equal(set(ino, ACCESS, &bad, acl_size(NAMED_NB), 0), -EINVAL);
	bad = named;
	bad.e[2].e_tag = 3;
	assert_int_equal(set(ino, ACCESS, &bad, acl_size(NAMED_NB), 0), -EINVAL);
	bad = named; /* two masks; and the wrong order */
	bad.e[4].e_tag = ACL_MASK;
	assert_int_equal(set(ino, ACCESS, &bad, acl_size(NAMED_NB), 0), -EINVAL);
	bad.e[4].e_tag = ACL_USER;
	assert_int_equal(set(ino, ACCESS, &bad, acl_size(NAMED_NB), 0), -EINVAL);
	bad = named; /* names without a mask */
	bad.e[5] = bad.e[6];
	assert_int_equal(set(ino, ACCESS, &bad, acl_size(6), 0), -EINVAL);
	assert_int_equal(set(link, ACCESS, &plain, acl_size(3), 0), -EOPNOTSUPP);
	assert_int_equal(set(file, DEFAULT, &plain, acl_size(3), 0), -EACCES);
	assert_int_equal(set(file, DEFAULT, &plain, acl_size(0), 0), 0);
	assert_int_equal(mode_of(ino), 0755);
	assert_int_equal(list(ino, true, 100), 0);
}

static void
default_acl_replaces_the_umask_and_is_handed_down(void **state)
{
	const uint16_t file_perms[] = { 6, 6, 4, 5, 2, 4, 0 }, all[] = { 7, 6, 4, 5, 2, 6, 0 };
	uint32_t dir = make(MEMFS_ROOT, "d", S_IFDIR | 0755, 0), ino;

	assert_int_equal(mode_of(make(MEMFS_ROOT, "u", S_IFREG | 0666, 027)), 0640);
	assert_int_equal(set(dir, DEFAULT, &named, acl_size(NAMED_NB), 0), 0);
	assert_int_equal(mode_of(dir), 0755);

	ino = make(dir, "file", S_IFREG | 04644, 077);
	assert_int_equal(mode_of(ino), 04640);
	assert_acl_perms(ino, ACCESS, file_perms, NAMED_NB);
	assert_int_equal(get(ino, DEFAULT, 1000), -ENODATA);

	ino = make(dir, "dir", S_IFDIR | 0777, 077);
	assert_int_equal(mode_of(ino), 0760);
	assert_acl_perms(ino, ACCESS, all, NAMED_NB);
	assert_acl_perms(ino, DEFAULT, all, NAMED_NB);

	ino = make(dir, "link", S_IFLNK | 0777, 077);
	assert_int_equal(mode_of(ino), 0777);
	assert_int_equal(list(ino, true, 100), 0);

	/* One of three entries hands down a mode only. */
	assert_int_equal(set(dir, DEFAULT, &plain, acl_size(3), 0), 0);
	ino = make(dir, "plain", S_IFREG | 0666, 077);
	assert_int_equal(mode_of(ino), 0640);
	assert_int_equal(list(ino, true, 100), 0);
	assert_int_equal(memfs_removexattr(fs, dir, DEFAULT), 0);
	assert_int_equal(mode_of(make(dir, "again", S_IFREG | 0666, 077)), 0600);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(attributes_are_set_read_listed_and_removed),
		TEST(attributes_obey_flags_and_names),
		TEST(label_is_there_from_the_start),
		TEST(label_without_space_makes_no_file),
		TEST(attributes_are_bounded_per_file),
		TEST(attributes_without_space_stay_as_they_were),
		TEST(attributes_changed_at_random_keep_their_values),
		TEST(access_acl_is_part_of_the_mode),
		TEST(access_acl_says_who_may),
		TEST(acl_kills_the_setgid_bit_when_it_is_told),
		TEST(acl_that_is_none_is_refused),
		TEST(default_acl_without_space_makes_no_file),
		TEST(default_acl_replaces_the_umask_and_is_handed_down),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
