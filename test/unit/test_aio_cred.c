/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Whose file comes out of a creation, and with which mode; needs root. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

#define UID   1234
#define GID   2345
#define OTHER 3456 /* a group that the caller's fsgid is not */

static void
act_as(uint32_t uid, uint32_t gid, uint32_t mask)
{
	fsc.cred = (struct weir_cred){ .uid = uid, .gid = gid, .pid = 1 };
	fsc.umask = mask;
}

static void
host_dir(const char *name, uint32_t gid, mode_t mode)
{
	assert_int_equal(mkdir(host(name), 0700), 0);
	assert_int_equal(chown(host(name), 0, gid), 0);
	assert_int_equal(chmod(host(name), mode), 0);
}

static void
make(enum weir_fsop op, struct weir_node *dir, const char *name, uint32_t mode)
{
	struct weir_entry entry;

	assert_int_equal(fsc_make(&fsc, op, dir, name, mode, 0, &entry), 0);
	fsc_put(&fsc, entry.node);
}

static void
create(struct weir_node *dir, const char *name, uint32_t mode)
{
	struct weir_entry entry;
	struct weir_file *file;

	assert_int_equal(fsc_create(&fsc, dir, name, O_RDWR, mode, &entry, &file), 0);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
check(const char *name, uint32_t uid, uint32_t gid, mode_t mode)
{
	struct stat st = host_stat(name);

	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
	assert_int_equal(st.st_mode, mode);
}

static void
cred_new_objects_belong_to_the_caller(void **state)
{
	struct weir_node *dir;
	struct weir_entry entry;

	host_dir("own", 0, 0777);
	dir = look_node("own");
	act_as(UID, GID, 027);
	create(dir, "file", 0666);
	make(WEIR_FSOP_MKDIR, dir, "dir", 0777);
	make(WEIR_FSOP_MKNOD, dir, "fifo", S_IFIFO | 0666);
	make(WEIR_FSOP_MKNOD, dir, "sock", S_IFSOCK | 0666);
	make(WEIR_FSOP_MKNOD, dir, "reg", S_IFREG | 0666);
	assert_int_equal(fsc_symlink(&fsc, dir, "link", "x", &entry), 0);
	fsc_put(&fsc, entry.node);
	check("own/file", UID, GID, S_IFREG | 0640);
	check("own/dir", UID, GID, S_IFDIR | 0750);
	check("own/fifo", UID, GID, S_IFIFO | 0640);
	check("own/sock", UID, GID, S_IFSOCK | 0640);
	check("own/reg", UID, GID, S_IFREG | 0640);
	check("own/link", UID, GID, S_IFLNK | 0777);
	fsc_put(&fsc, dir);
}

static void
cred_umask_of_one_request_does_not_reach_the_next(void **state)
{
	act_as(UID, GID, 0777);
	make(WEIR_FSOP_MKDIR, root, "mask777", 0777);
	act_as(0, 0, 0);
	make(WEIR_FSOP_MKDIR, root, "mask0", 0777);
	check("mask777", UID, GID, S_IFDIR);
	check("mask0", 0, 0, S_IFDIR | 0777);
}

static void
cred_device_numbers_pass_both_ways(void **state)
{
	/* As struct fuse_attr has it: minor 0xabcde, major 0x123. */
	const uint32_t rdev = 0xde | 0x123 << 8 | 0xabc00u << 12;
	struct weir_entry entry;

	act_as(UID, GID, 0);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKNOD, root, "dev", S_IFCHR | 0600, rdev, &entry),
			0);
	assert_int_equal(entry.attr.rdev, rdev);
	fsc_put(&fsc, entry.node);
	check("dev", UID, GID, S_IFCHR | 0600);
	assert_int_equal(host_stat("dev").st_rdev, makedev(0x123, 0xabcde));
}

static void
cred_setgid_directory_gives_its_group(void **state)
{
	struct weir_node *dir;

	host_dir("setgid", OTHER, 02777);
	dir = look_node("setgid");
	act_as(UID, GID, 022);
	create(dir, "file", 0666);
	make(WEIR_FSOP_MKDIR, dir, "dir", 0777);
	/* The caller is not in the group: the kernel takes the bit away, as it would locally. */
	create(dir, "exec", 02755);
	check("setgid/file", UID, OTHER, S_IFREG | 0644);
	check("setgid/dir", UID, OTHER, S_IFDIR | S_ISGID | 0755);
	check("setgid/exec", UID, OTHER, S_IFREG | 0755);
	fsc_put(&fsc, dir);
}

static void
cred_member_of_a_setgid_directorys_group_makes_programs_for_it(void **state)
{
	struct weir_node *dir;

	host_dir("member", OTHER, 02777);
	dir = look_node("member");
	act_as(UID, GID, 022);
	fsc.cred.group = OTHER;
	fsc.cred.has_group = true;
	create(dir, "exec", 02755);
	check("member/exec", UID, OTHER, S_IFREG | 02755);
	/* The next one is in no group of his. */
	act_as(UID, GID, 022);
	create(dir, "other", 02755);
	check("member/other", UID, OTHER, S_IFREG | 0755);
	fsc_put(&fsc, dir);
}

static void
cred_guest_that_has_judged_makes_programs_for_a_setgid_directorys_group(void **state)
{
	struct weir_node *dir;

	host_dir("judged", OTHER, 02777);
	dir = look_node("judged");
	act_as(UID, GID, 022);
	fsc.flags = WEIR_FSREQ_SETGID;
	create(dir, "exec", 02775);
	make(WEIR_FSOP_MKNOD, dir, "node", S_IFREG | 02775);
	fsc.flags = 0;
	check("judged/exec", UID, OTHER, S_IFREG | 02755);
	check("judged/node", UID, OTHER, S_IFREG | 02755);
	/* It is not for the next one. */
	create(dir, "other", 02755);
	check("judged/other", UID, OTHER, S_IFREG | 0755);
	fsc_put(&fsc, dir);
}

static void
cred_default_acl_beats_the_umask(void **state)
{
	/* Version 2; u::rwx, g::rwx, o::r-x. */
	static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 7, 0, 255,
		255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255 };
	struct weir_node *dir;

	host_dir("acl", 0, 0777);
	if (setxattr(host("acl"), "system.posix_acl_default", acl, sizeof(acl), 0) < 0)
		skip();
	dir = look_node("acl");
	act_as(UID, GID, 077);
	create(dir, "file", 0666);
	check("acl/file", UID, GID, S_IFREG | 0664);
	fsc_put(&fsc, dir);
}

static void
cred_folder_of_a_supplementary_group_is_writable(void **state)
{
	struct weir_node *dir;

	host_dir("group", OTHER, 0770);
	dir = look_node("group");
	act_as(UID, GID, 0);
	create(dir, "file", 0644);
	make(WEIR_FSOP_MKDIR, dir, "dir", 0755);
	check("group/file", UID, GID, S_IFREG | 0644);
	check("group/dir", UID, GID, S_IFDIR | 0755);
	fsc_put(&fsc, dir);
}

static void
cred_file_that_came_first_is_opened_with_the_callers_rights(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;
	int fd;

	fd = open(host("first"), O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "secret", 6), 6);
	close(fd);
	act_as(UID, GID, 0);
	assert_int_equal(fsc_create(&fsc, root, "first", O_RDWR | O_EXCL, 0644, &entry, &file),
			-EEXIST);
	assert_int_equal(fsc_create(&fsc, root, "first", O_RDWR | O_TRUNC, 0644, &entry, &file),
			-EACCES);
	assert_int_equal(host_stat("first").st_size, 6);
	assert_int_equal(chown(host("first"), UID, 0), 0);
	assert_int_equal(fsc_create(&fsc, root, "first", O_RDWR, 0644, &entry, &file), 0);
	assert_int_equal(entry.attr.size, 6);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 10, 0, 10), 6);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
host_program(const char *name)
{
	/* VFS_CAP_REVISION_2, cap_net_raw=ep. */
	static const uint8_t caps[20] = { 1, 0, 0, 2, 0, 32 };
	int fd = open(host(name), O_WRONLY | O_CREAT | O_TRUNC, 0755);

	assert_int_equal(write(fd, "program", 7), 7);
	close(fd);
	assert_int_equal(chmod(host(name), 06777), 0);
	if (setxattr(host(name), "security.capability", caps, sizeof(caps), 0) < 0)
		assert_true(errno == EOPNOTSUPP || errno == EPERM);
}

static bool
has_caps(const char *name)
{
	return getxattr(host(name), "security.capability", NULL, 0) > 0;
}

static void
open_and_close(struct weir_node *node, uint32_t flags)
{
	struct weir_file *file;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, node, flags, &file), 0);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, node, file);
}

static void
cred_truncation_takes_setid_bits_where_they_are_to_fall(void **state)
{
	struct weir_node *node;

	host_program("suid");
	node = look_node("suid");
	act_as(UID, GID, 0);
	fsc.flags = 0;
	open_and_close(node, O_WRONLY | O_TRUNC);
	check("suid", 0, 0, S_IFREG | 06777);
	host_program("suid");
	fsc.flags = WEIR_FSREQ_KILLPRIV;
	open_and_close(node, O_WRONLY | O_TRUNC);
	fsc.flags = 0;
	check("suid", 0, 0, S_IFREG | 0777);
	assert_false(has_caps("suid"));
	assert_int_equal(host_stat("suid").st_size, 0);
	fsc_put(&fsc, node);
}

static void
cred_size_takes_setid_bits_and_a_mode_beside_it_stands(void **state)
{
	const struct weir_attr set = { .size = 3, .mode = 06755 };
	struct weir_node *node;
	struct weir_attr attr;

	host_program("cut");
	/* A group that weir is not in, or it could set the bit without CAP_FSETID. */
	assert_int_equal(chown(host("cut"), 0, OTHER), 0);
	assert_int_equal(chmod(host("cut"), 06777), 0);
	node = look_node("cut");
	assert_int_equal(fsc_setattr(&fsc, node, WEIR_SET_SIZE, &set, &attr), 0);
	check("cut", 0, OTHER, S_IFREG | 06777);
	fsc.flags = WEIR_FSREQ_KILLPRIV;
	assert_int_equal(fsc_setattr(&fsc, node, WEIR_SET_SIZE, &set, &attr), 0);
	check("cut", 0, OTHER, S_IFREG | 0777);
	assert_int_equal(fsc_setattr(&fsc, node, WEIR_SET_SIZE | WEIR_SET_MODE, &set, &attr), 0);
	check("cut", 0, OTHER, S_IFREG | 06755);
	fsc.flags = 0;
	fsc_put(&fsc, node);
}

/* By turns, so that neither is taken for the other: inline, on the ring or by a helper. */
static void
cred_write_takes_setid_bits_where_they_are_to_fall(void **state)
{
	static const uint32_t flags[] = { O_WRONLY, O_WRONLY | O_DIRECT };
	struct weir_node *node;
	struct weir_file *file;

	host_program("write");
	node = look_node("write");
	act_as(UID, GID, 0);
	for (unsigned int i = 0; i < 2 * RTE_DIM(flags); i++) {
		assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, node, flags[i / 2], &file), 0);
		host_program("write");
		assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, node, file, 0, 4096, 0, 4096), 4096);
		check("write", 0, 0, S_IFREG | 06777);
		fsc.flags = WEIR_FSREQ_KILLPRIV;
		assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, node, file, 0, 4096, 0, 4096), 4096);
		fsc.flags = 0;
		check("write", 0, 0, S_IFREG | 0777);
		assert_false(has_caps("write"));
		fsc_release(&fsc, WEIR_FSOP_RELEASE, node, file);
	}
	/* What makes a file has the right again that a write gave up. */
	act_as(0, 0, 0);
	create(root, "program", 06755);
	check("program", 0, 0, S_IFREG | 06755);
	fsc_put(&fsc, node);
}

/* A write in memory, by the worker itself, of which set-id bits are to fall. */
static void
write_elsewhere(void)
{
	struct fs_client here = fsc;
	char message[512], name[64];
	struct weir_entry entry;
	struct weir_file *file;

	weir_role_assume_control();
	assert_int_equal(fsc_rpc("fsdev_aio_create",
					 "{\"name\": \"aio1\", \"root_path\": \"/dev/shm\"}",
					 message),
			0);
	fsc_open_session(&fsc, weir_fsdev_find("aio1"));
	snprintf(name, sizeof(name), "test_aio_cred.%d", (int)getpid());
	assert_int_equal(fsc_create(&fsc, weir_fsdev_root(fsc.dev), name, O_RDWR, 0644, &entry,
					 &file),
			0);
	fsc.flags = WEIR_FSREQ_KILLPRIV;
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10, 0, 10), 10);
	fsc.flags = 0;
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, weir_fsdev_root(fsc.dev), name), 0);
	fsc_close_session(&fsc);
	assert_int_equal(fsc_rpc("fsdev_aio_delete", "{\"name\": \"aio1\"}", message), 0);
	fsc = here;
}

/* One worker serves several folders, and has given the capability up for another one. */
static void
cred_write_leaves_setid_bits_whatever_was_written_before(void **state)
{
	struct weir_node *node;
	struct weir_file *file;

	host_program("stay");
	node = look_node("stay");
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, node, O_WRONLY, &file), 0);
	write_elsewhere();
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, node, file, 0, 4096, 0, 4096), 4096);
	check("stay", 0, 0, S_IFREG | 06777);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, node, file);
	fsc_put(&fsc, node);
}

/* Whether it falls with an ACL is the guest's to say. */
static void
cred_acl_leaves_the_setgid_bit_whatever_was_written_before(void **state)
{
	/* Version 2; u::rwx, g::rwx, o::r-x. */
	static const uint8_t acl[] = { 2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 7, 0, 255,
		255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255 };
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_SETXATTR, .name = "system.posix_acl_access" },
	};
	struct weir_file *file;

	if (fsc_info("aio0", "posix_acl") == 0)
		skip();
	create(root, "acled", 0644);
	assert_int_equal(chown(host("acled"), 0, OTHER), 0);
	assert_int_equal(chmod(host("acled"), 02755), 0);
	create(root, "other", 0644);
	call.req.node = look_node("other");
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, call.req.node, O_WRONLY, &file), 0);
	fsc.flags = WEIR_FSREQ_KILLPRIV;
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, call.req.node, file, 0, 10, 0, 10), 10);
	fsc.flags = 0;
	fsc_release(&fsc, WEIR_FSOP_RELEASE, call.req.node, file);
	fsc_put(&fsc, call.req.node);

	call.req.node = look_node("acled");
	memcpy(fsc.mem, acl, sizeof(acl));
	call.req.in.io.len = sizeof(acl);
	fsc_iov(&fsc, &call.req.iov, 0, sizeof(acl), sizeof(acl), sizeof(acl));
	assert_int_equal(fsc_run(&fsc, &call), 0);
	check("acled", 0, OTHER, S_IFREG | 02775);
	fsc_put(&fsc, call.req.node);
}

/* As chown(2) has it of anybody: without the group's x the bit is no set-group-id. */
static void
cred_owner_that_is_new_leaves_the_group_bit_where_nothing_is_run(void **state)
{
	static const uint32_t before[] = { 06755, 02604, 04600 }, after[] = { 0755, 02604, 0600 };
	const struct weir_attr set = { .gid = GID };
	struct weir_node *node;
	struct weir_attr attr;

	for (unsigned int i = 0; i < RTE_DIM(before); i++) {
		create(root, "owned", before[i]);
		/* Of a group that weir is not in: its own would keep the bit whatever weir does. */
		assert_int_equal(chown(host("owned"), 0, OTHER), 0);
		assert_int_equal(chmod(host("owned"), before[i]), 0);
		check("owned", 0, OTHER, S_IFREG | before[i]);
		node = look_node("owned");
		fsc.flags = WEIR_FSREQ_KILLPRIV;
		assert_int_equal(fsc_setattr(&fsc, node, WEIR_SET_GID, &set, &attr), 0);
		fsc.flags = 0;
		check("owned", 0, GID, S_IFREG | after[i]);
		fsc_put(&fsc, node);
		assert_int_equal(unlink(host("owned")), 0);
	}
}

static void
cred_owner_and_mode_set_together_both_hold(void **state)
{
	const struct weir_attr set = { .uid = UID, .gid = GID, .mode = 06755 };
	struct weir_node *node;
	struct weir_attr attr;
	int fd;

	fd = open(host("both"), O_WRONLY | O_CREAT, 0644);
	close(fd);
	node = look_node("both");
	assert_int_equal(fsc_setattr(&fsc, node, WEIR_SET_UID | WEIR_SET_GID | WEIR_SET_MODE, &set,
					 &attr),
			0);
	check("both", UID, GID, S_IFREG | 06755);
	fsc_put(&fsc, node);
}

static void
cred_access_is_checked_with_the_callers_ids(void **state)
{
	struct weir_node *node;
	int fd;

	fd = open(host("access"), O_WRONLY | O_CREAT, 0644);
	close(fd);
	assert_int_equal(chmod(host("access"), 0640), 0);
	assert_int_equal(chown(host("access"), 0, GID), 0);
	node = look_node("access");
	act_as(UID, GID, 0);
	assert_int_equal(fsc_access(&fsc, node, R_OK), 0);
	assert_int_equal(fsc_access(&fsc, node, W_OK), -EACCES);
	act_as(UID, OTHER, 0);
	assert_int_equal(fsc_access(&fsc, node, R_OK), -EACCES);
	assert_int_equal(fsc_access(&fsc, node, 0), 0);
	assert_int_equal(fsc_access(&fsc, node, 8), -EINVAL);
	act_as(0, 0, 0);
	assert_int_equal(fsc_access(&fsc, node, R_OK | W_OK), 0);
	assert_int_equal(fsc_access(&fsc, node, X_OK), -EACCES);
	fsc_put(&fsc, node);
}

static void
cred_helper_is_itself_again_afterwards(void **state)
{
	const struct weir_attr set = { .uid = 0, .gid = 0 };
	struct weir_node *node;
	struct weir_attr attr;

	/* Only one helper serves this folder: the one that acted for the user has to do this too. */
	act_as(UID, GID, 0);
	make(WEIR_FSOP_MKDIR, root, "mine", 0755);
	node = look_node("mine");
	assert_int_equal(fsc_setattr(&fsc, node, WEIR_SET_UID | WEIR_SET_GID, &set, &attr), 0);
	check("mine", 0, 0, S_IFDIR | 0755);
	act_as(0, 0, 0);
	make(WEIR_FSOP_MKDIR, node, "roots", 0755);
	check("mine/roots", 0, 0, S_IFDIR | 0755);
	fsc_put(&fsc, node);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(cred_new_objects_belong_to_the_caller),
	cmocka_unit_test(cred_umask_of_one_request_does_not_reach_the_next),
	cmocka_unit_test(cred_device_numbers_pass_both_ways),
	cmocka_unit_test(cred_setgid_directory_gives_its_group),
	cmocka_unit_test(cred_member_of_a_setgid_directorys_group_makes_programs_for_it),
	cmocka_unit_test(cred_guest_that_has_judged_makes_programs_for_a_setgid_directorys_group),
	cmocka_unit_test(cred_default_acl_beats_the_umask),
	cmocka_unit_test(cred_folder_of_a_supplementary_group_is_writable),
	cmocka_unit_test(cred_file_that_came_first_is_opened_with_the_callers_rights),
	cmocka_unit_test(cred_truncation_takes_setid_bits_where_they_are_to_fall),
	cmocka_unit_test(cred_size_takes_setid_bits_and_a_mode_beside_it_stands),
	cmocka_unit_test(cred_write_takes_setid_bits_where_they_are_to_fall),
	cmocka_unit_test(cred_write_leaves_setid_bits_whatever_was_written_before),
	cmocka_unit_test(cred_acl_leaves_the_setgid_bit_whatever_was_written_before),
	cmocka_unit_test(cred_owner_that_is_new_leaves_the_group_bit_where_nothing_is_run),
	cmocka_unit_test(cred_owner_and_mode_set_together_both_hold),
	cmocka_unit_test(cred_access_is_checked_with_the_callers_ids),
	cmocka_unit_test(cred_helper_is_itself_again_afterwards),
};

static const struct aio_variant variants[] = {
	{ "aio credentials on the build folder", ".", ", \"nb_helpers\": 1" },
	{ "aio credentials on tmpfs", "/dev/shm", ", \"nb_helpers\": 1, \"uring\": \"off\"" },
};

int
main(void)
{
	unsigned int i;
	int failed = 0;

	if (geteuid() != 0 || fsc_start("0,1@0") < 0)
		return 77;
	for (i = 0; i < RTE_DIM(variants); i++) {
		aio_variant = &variants[i];
		failed += cmocka_run_group_tests_name(
				aio_variant->name, tests, aio_folder_setup, aio_folder_teardown);
	}
	fsc_stop();
	return failed > 0 || aio_folder_failures > 0;
}
