/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Extended attributes and ACLs of the aio driver, as the host sees them and as the guest does. */

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

static int
xattr_read(enum weir_fsop op, struct weir_node *node, const char *name, uint32_t len)
{
	struct fsc_call call = { .req = { .op = op, .node = node, .name = name } };

	if (len == 0)
		call.req.flags = WEIR_FSREQ_SIZE;
	call.req.in.io.len = len > 0 ? len : XATTR_SIZE_MAX;
	memset(fsc.mem, 0xee, XATTR_SIZE_MAX);
	fsc_iov(&fsc, &call.req.iov, 0, len, 3, 1000);
	return fsc_run(&fsc, &call);
}

static int
xattr_get(struct weir_node *node, const char *name, uint32_t len)
{
	return xattr_read(WEIR_FSOP_GETXATTR, node, name, len);
}

static int
xattr_list(struct weir_node *node, uint32_t len)
{
	return xattr_read(WEIR_FSOP_LISTXATTR, node, NULL, len);
}

static int
xattr_set(struct weir_node *node, const char *name, const void *value, uint32_t len, uint32_t flags)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_SETXATTR, .node = node, .name = name },
	};

	memcpy(fsc.mem, value, len);
	call.req.in.io.len = len;
	call.req.in.io.flags = flags;
	fsc_iov(&fsc, &call.req.iov, 0, len, 3, 1000);
	return fsc_run(&fsc, &call);
}

static int
xattr_remove(struct weir_node *node, const char *name)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_REMOVEXATTR, .node = node, .name = name },
	};

	return fsc_run(&fsc, &call);
}

static struct weir_node *
file_made(const char *name)
{
	int fd = open(host(name), O_WRONLY | O_CREAT | O_EXCL, 0644);

	assert_true(fd >= 0);
	close(fd);
	return look_node(name);
}

/* No room for a value is not the question how large it is. */
static int
xattr_get_nothing(struct weir_node *node, const char *name)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_GETXATTR, .node = node, .name = name },
	};

	fsc_iov(&fsc, &call.req.iov, 0, 0, 1, 1);
	return fsc_run(&fsc, &call);
}

static void
xattr_of_a_file_is_set_read_listed_and_removed(void **state)
{
	struct weir_node *node = file_made("f");
	char value[16];

	assert_int_equal(xattr_get(node, "user.a", 16), -ENODATA);
	assert_int_equal(xattr_set(node, "user.a", "wert", 4, XATTR_REPLACE), -ENODATA);
	assert_int_equal(xattr_set(node, "user.a", "wert", 4, XATTR_CREATE), 0);
	assert_int_equal(xattr_set(node, "user.a", "wert", 4, XATTR_CREATE), -EEXIST);
	assert_int_equal(getxattr(host("f"), "user.a", value, sizeof(value)), 4);
	assert_memory_equal(value, "wert", 4);

	assert_int_equal(xattr_get(node, "user.a", 16), 4);
	assert_memory_equal(fsc.mem, "wert\xee", 5);
	assert_int_equal(xattr_get(node, "user.a", 0), 4);
	assert_memory_equal(fsc.mem, "\xee", 1);
	assert_int_equal(xattr_get(node, "user.a", 3), -ERANGE);
	assert_int_equal(xattr_get_nothing(node, "user.a"), -ERANGE);

	assert_int_equal(xattr_set(node, "user.none", "", 0, 0), 0);
	assert_int_equal(xattr_get(node, "user.none", 16), 0);
	assert_int_equal(xattr_list(node, 0), 17);
	assert_int_equal(xattr_list(node, 16), -ERANGE);
	assert_int_equal(xattr_list(node, 17), 17);
	assert_non_null(memmem(fsc.mem, 17, "user.a", 7));
	assert_non_null(memmem(fsc.mem, 17, "user.none", 10));

	assert_int_equal(xattr_remove(node, "user.a"), 0);
	assert_int_equal(xattr_remove(node, "user.a"), -ENODATA);
	assert_int_equal(xattr_remove(node, "user.none"), 0);
	assert_int_equal(xattr_list(node, 0), 0);
	fsc_put(&fsc, node);
	unlink(host("f"));
}

static void
xattr_that_nobody_knows_is_refused(void **state)
{
	assert_int_equal(xattr_get(root, "user.", 16), -EINVAL);
	assert_int_equal(xattr_get(root, "strange.name", 16), -EOPNOTSUPP);
	assert_int_equal(xattr_set(root, "/", "v", 1, 0), -EOPNOTSUPP);
}

static void
xattr_of_a_directory_and_the_root(void **state)
{
	struct weir_node *node;

	assert_int_equal(mkdir(host("d"), 0755), 0);
	node = look_node("d");
	assert_int_equal(xattr_set(node, "user.d", "sub", 3, 0), 0);
	assert_int_equal(xattr_set(root, "user.d", "top", 3, 0), 0);
	assert_int_equal(xattr_get(node, "user.d", 8), 3);
	assert_memory_equal(fsc.mem, "sub", 3);
	assert_int_equal(xattr_get(root, "user.d", 8), 3);
	assert_memory_equal(fsc.mem, "top", 3);
	assert_int_equal(xattr_remove(root, "user.d"), 0);
	fsc_put(&fsc, node);
	rmdir(host("d"));
}

/* The value as large as there are: ext4 takes less where it has no inodes for values. */
static void
xattr_of_64_kib_is_one_value(void **state)
{
	static uint8_t value[XATTR_SIZE_MAX];
	struct weir_node *node = file_made("f");
	unsigned int i;
	int rc;

	for (i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t)(i * 7 + i / 256);
	rc = xattr_set(node, "user.large", value, sizeof(value), 0);
	if (rc == 0) {
		assert_int_equal(xattr_get(node, "user.large", 0), sizeof(value));
		assert_int_equal(xattr_get(node, "user.large", sizeof(value)), sizeof(value));
		assert_memory_equal(fsc.mem, value, sizeof(value));
	} else {
		assert_int_equal(rc, -ENOSPC);
	}
	assert_int_equal(xattr_set(node, "user.some", value, 2000, 0), 0);
	assert_int_equal(xattr_get(node, "user.some", 2000), 2000);
	assert_memory_equal(fsc.mem, value, 2000);
	fsc_put(&fsc, node);
	unlink(host("f"));
}

/* The link's own, though it leads to a file outside of the folder. A fifo would block its opener. */
static void
xattr_of_links_and_special_files_is_their_own(void **state)
{
	char target[PATH_MAX + 16];
	struct weir_node *link, *fifo;
	char value[8];

	if (geteuid() != 0)
		skip();
	snprintf(target, sizeof(target), "%s.outside", folder);
	close(open(target, O_WRONLY | O_CREAT, 0644));
	assert_int_equal(setxattr(target, "trusted.w", "out", 3, 0), 0);
	assert_int_equal(symlink(target, host("l")), 0);
	assert_int_equal(mkfifo(host("p"), 0644), 0);
	link = look_node("l");
	fifo = look_node("p");
	assert_int_equal(xattr_get(link, "trusted.w", 8), -ENODATA);
	assert_int_equal(xattr_set(link, "trusted.w", "link", 4, 0), 0);
	assert_int_equal(xattr_get(link, "trusted.w", 8), 4);
	assert_memory_equal(fsc.mem, "link", 4);
	assert_int_equal(lgetxattr(host("l"), "trusted.w", value, sizeof(value)), 4);
	assert_int_equal(getxattr(target, "trusted.w", value, sizeof(value)), 3);
	assert_int_equal(xattr_remove(link, "trusted.w"), 0);
	assert_int_equal(getxattr(target, "trusted.w", value, sizeof(value)), 3);
	assert_int_equal(xattr_set(link, "user.w", "link", 4, 0), -EPERM);

	assert_int_equal(xattr_set(fifo, "trusted.w", "fifo", 4, 0), 0);
	assert_int_equal(xattr_get(fifo, "trusted.w", 8), 4);
	fsc_put(&fsc, link);
	fsc_put(&fsc, fifo);
	unlink(host("l"));
	unlink(host("p"));
	unlink(target);
}

/* As Linux does for who has not CAP_SYS_ADMIN. */
static void
xattr_that_is_trusted_is_listed_to_root_alone(void **state)
{
	const struct weir_cred was = fsc.cred;
	struct weir_node *node;

	if (geteuid() != 0)
		skip();
	node = file_made("f");
	assert_int_equal(setxattr(host("f"), "trusted.w", "v", 1, 0), 0);
	assert_int_equal(setxattr(host("f"), "user.a", "v", 1, 0), 0);
	fsc.cred.uid = 0;
	assert_int_equal(xattr_list(node, 100), 17);
	fsc.cred.uid = 1000;
	assert_int_equal(xattr_list(node, 7), xattr_list(node, 0));
	xattr_list(node, 100);
	assert_non_null(memmem(fsc.mem, 100, "user.a", 7));
	assert_null(memmem(fsc.mem, 100, "trusted", 7));
	fsc.cred = was;
	fsc_put(&fsc, node);
	unlink(host("f"));
}

/* struct posix_acl_xattr_header and entries, little-endian: rwx for the user with id 1234. */
struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};
static const struct {
	uint32_t version;
	struct acl_entry entries[5];
} acl = {
	2,
	{
			{ 0x01, 7, UINT32_MAX },
			{ 0x02, 7, 1234 },
			{ 0x04, 5, UINT32_MAX },
			{ 0x10, 7, UINT32_MAX },
			{ 0x20, 0, UINT32_MAX },
	},
};

static void
acl_is_kept_and_shows_in_the_mode(void **state)
{
	struct weir_node *node;
	struct weir_attr attr;

	if (fsc_info("aio0", "posix_acl") == 0)
		skip();
	node = file_made("f");
	assert_int_equal(xattr_get(node, ACL_ACCESS, 100), -ENODATA);
	assert_int_equal(xattr_set(node, ACL_ACCESS, &acl, sizeof(acl), 0), 0);
	assert_int_equal(xattr_get(node, ACL_ACCESS, 100), sizeof(acl));
	assert_memory_equal(fsc.mem, &acl, sizeof(acl));
	assert_int_equal(fsc_getattr(&fsc, node, NULL, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0770);
	assert_int_equal(xattr_set(node, ACL_ACCESS, "?", 1, 0), -EINVAL);
	fsc_put(&fsc, node);
	unlink(host("f"));
}

/* A default ACL takes the place of the umask, and is handed down. */
static void
acl_of_a_directory_is_inherited(void **state)
{
	struct weir_entry made;
	struct weir_file *file;
	struct weir_node *dir;

	if (fsc_info("aio0", "posix_acl") == 0)
		skip();
	assert_int_equal(mkdir(host("d"), 0755), 0);
	dir = look_node("d");
	assert_int_equal(xattr_set(dir, ACL_DEFAULT, &acl, sizeof(acl), 0), 0);
	fsc.umask = 077;
	assert_int_equal(fsc_create(&fsc, dir, "f", O_RDWR, 0666, &made, &file), 0);
	assert_int_equal(made.attr.mode, S_IFREG | 0660);
	assert_int_equal(xattr_get(made.node, ACL_ACCESS, 100), sizeof(acl));
	fsc_release(&fsc, WEIR_FSOP_RELEASE, made.node, file);
	fsc_put(&fsc, made.node);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, dir, "d", 0777, 0, &made), 0);
	assert_int_equal(made.attr.mode, S_IFDIR | 0770);
	assert_int_equal(xattr_get(made.node, ACL_DEFAULT, 100), sizeof(acl));
	fsc_put(&fsc, made.node);
	/* Elsewhere the umask counts. */
	assert_int_equal(fsc_create(&fsc, root, "f", O_RDWR, 0666, &made, &file), 0);
	assert_int_equal(made.attr.mode, S_IFREG | 0600);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, made.node, file);
	fsc_put(&fsc, made.node);
	fsc.umask = 0;
	fsc_put(&fsc, dir);
	unlink(host("d/f"));
	rmdir(host("d/d"));
	rmdir(host("d"));
	unlink(host("f"));
}

static void
acl_by_who_is_not_of_the_group_takes_the_setgid_bit(void **state)
{
	struct weir_node *node;
	struct stat st;

	if (fsc_info("aio0", "posix_acl") == 0)
		skip();
	node = file_made("f");
	assert_int_equal(chmod(host("f"), 02755), 0);
	assert_int_equal(xattr_set(node, ACL_ACCESS, &acl, sizeof(acl), 0), 0);
	assert_int_equal(stat(host("f"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 02770);
	assert_int_equal(xattr_set(node, ACL_ACCESS, &acl, sizeof(acl), WEIR_XATTR_KILL_SGID), 0);
	assert_int_equal(stat(host("f"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0770);
	fsc_put(&fsc, node);
	unlink(host("f"));
}

static const struct CMUnitTest xattr_tests[] = {
	cmocka_unit_test(xattr_of_a_file_is_set_read_listed_and_removed),
	cmocka_unit_test(xattr_that_nobody_knows_is_refused),
	cmocka_unit_test(xattr_of_a_directory_and_the_root),
	cmocka_unit_test(xattr_of_64_kib_is_one_value),
	cmocka_unit_test(xattr_of_links_and_special_files_is_their_own),
	cmocka_unit_test(xattr_that_is_trusted_is_listed_to_root_alone),
	cmocka_unit_test(acl_is_kept_and_shows_in_the_mode),
	cmocka_unit_test(acl_of_a_directory_is_inherited),
	cmocka_unit_test(acl_by_who_is_not_of_the_group_takes_the_setgid_bit),
};

static void
xattr_switched_off_is_not_there(void **state)
{
	assert_int_equal(xattr_get(root, "user.a", 16), -ENOSYS);
	assert_int_equal(xattr_set(root, "user.a", "v", 1, 0), -ENOSYS);
	assert_int_equal(xattr_list(root, 16), -ENOSYS);
	assert_int_equal(xattr_remove(root, "user.a"), -ENOSYS);
	assert_false(weir_fsdev_limits(fsc.dev)->posix_acl);
}

static const struct CMUnitTest off_tests[] = {
	cmocka_unit_test(xattr_switched_off_is_not_there),
};

static void
acl_switched_off_is_hidden(void **state)
{
	struct weir_node *node = file_made("f");

	assert_false(weir_fsdev_limits(fsc.dev)->posix_acl);
	assert_int_equal(setxattr(host("f"), ACL_ACCESS, &acl, sizeof(acl), 0), 0);
	assert_int_equal(xattr_set(node, "user.a", "v", 1, 0), 0);
	assert_int_equal(xattr_get(node, ACL_ACCESS, 100), -EOPNOTSUPP);
	assert_int_equal(xattr_set(node, ACL_ACCESS, &acl, sizeof(acl), 0), -EOPNOTSUPP);
	assert_int_equal(xattr_remove(node, ACL_ACCESS), -EOPNOTSUPP);
	assert_int_equal(xattr_list(node, 0), 7);
	assert_int_equal(xattr_list(node, 100), 7);
	assert_memory_equal(fsc.mem, "user.a\0\xee", 8);
	fsc_put(&fsc, node);
	unlink(host("f"));
}

static const struct CMUnitTest no_acl_tests[] = {
	cmocka_unit_test(acl_switched_off_is_hidden),
};

static void
acl_asked_for_where_there_is_none_is_refused(void **state)
{
	char message[512];

	weir_role_assume_control();
	assert_int_equal(fsc_rpc("fsdev_aio_create",
					 "{\"name\": \"x\", \"root_path\": \"/proc\", "
					 "\"posix_acl\": \"on\"}",
					 message),
			-EOPNOTSUPP);
	assert_string_equal(message,
			"Operation not supported: /proc has no ACLs, which posix_acl wants");
	assert_int_equal(fsc_rpc("fsdev_aio_create",
					 "{\"name\": \"x\", \"root_path\": \"/dev/shm\", "
					 "\"posix_acl\": \"on\", \"enable_xattr\": false}",
					 message),
			-EINVAL);
	assert_non_null(strstr(message, "posix_acl"));
	assert_null(weir_fsdev_find("x"));
}

static const struct CMUnitTest refused_tests[] = {
	cmocka_unit_test(acl_asked_for_where_there_is_none_is_refused),
};

static int
run_one(const struct aio_variant *variant, const struct CMUnitTest *tests, size_t nb)
{
	aio_variant = variant;
	return _cmocka_run_group_tests(
			variant->name, tests, nb, aio_folder_setup, aio_folder_teardown);
}

int
main(void)
{
	static const struct aio_variant variants[] = {
		{ "aio on the build folder", ".", "", 0 },
		{ "aio on tmpfs", "/dev/shm", "", 0 },
		{ "aio on tmpfs, descriptors", "/dev/shm",
				", \"uring\": \"off\", \"inode_file_handles\": \"never\"", 0 },
	};
	static const struct aio_variant off = { "aio without attributes", "/dev/shm",
		", \"enable_xattr\": false", 0 };
	static const struct aio_variant no_acl = { "aio without ACLs", "/dev/shm",
		", \"posix_acl\": \"off\"", 0 };
	unsigned int i;
	int failed = 0;

	if (fsc_start("0,1@0") < 0)
		return 77;
	for (i = 0; i < RTE_DIM(variants); i++)
		failed += run_one(&variants[i], xattr_tests, RTE_DIM(xattr_tests));
	failed += run_one(&off, off_tests, RTE_DIM(off_tests));
	failed += run_one(&no_acl, no_acl_tests, RTE_DIM(no_acl_tests));
	failed += cmocka_run_group_tests(refused_tests, NULL, NULL);
	fsc_stop();
	return failed > 0 || aio_folder_failures > 0;
}
