/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The null driver: every name is an endless file. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <rte_common.h>

#include "fs_client.h"

static struct fs_client fsc;
static struct weir_node *root;
static char message[512];

static int
setup_with(const char *params)
{
	if (fsc_rpc("fsdev_null_create", params, message) != 0)
		return -1;
	weir_role_assume_control();
	fsc_open_session(&fsc, weir_fsdev_find("n"));
	root = weir_fsdev_root(fsc.dev);
	return 0;
}

static int
setup(void **state)
{
	return setup_with("{\"name\": \"n\", \"size\": 10000, \"max_xfer_size\": 65536}");
}

static int
setup_skip(void **state)
{
	return setup_with("{\"name\": \"n\", \"enable_skip_rw\": true}");
}

static int
teardown(void **state)
{
	fsc_close_session(&fsc);
	return fsc_rpc("fsdev_null_delete", "{\"name\": \"n\"}", message);
}

static void
name_of_any_kind_is_one_endless_file(void **state)
{
	struct weir_entry first, again, other, top;
	struct weir_attr attr;

	assert_int_equal(weir_fsdev_limits(fsc.dev)->max_write, 65536);
	assert_int_equal(fsc_lookup(&fsc, root, "x", &first), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "x", &again), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "y", &other), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "..", &top), 0);
	assert_ptr_equal(first.node, again.node);
	assert_ptr_not_equal(first.node, other.node);
	assert_int_not_equal(first.attr.ino, other.attr.ino);
	assert_ptr_equal(top.node, root);
	assert_int_equal(first.attr.mode, S_IFREG | 0666);
	assert_int_equal(first.attr.size, 10000);
	assert_int_equal(fsc_lookup(&fsc, first.node, "z", &again), -ENOTDIR);
	assert_int_equal(fsc_getattr(&fsc, root, NULL, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 0777);

	/* Removing and truncating leave it as it is. */
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "x"), 0);
	assert_int_equal(fsc_setattr(&fsc, first.node, WEIR_SET_SIZE, &(struct weir_attr){ 0 },
					 &attr),
			0);
	assert_int_equal(attr.size, 10000);
	fsc_put(&fsc, first.node);
	fsc_put(&fsc, first.node);
	fsc_put(&fsc, other.node);
	fsc_put(&fsc, top.node);
	assert_int_equal(weir_fsdev_nodes(fsc.dev), 1);
}

static void
file_reads_zeroes_up_to_its_size_and_swallows_writes(void **state)
{
	struct weir_file *file;
	struct weir_entry entry;

	memset(fsc.mem, 0xee, 8192);
	assert_int_equal(fsc_create(&fsc, root, "x", O_RDWR, S_IFREG | 0600, &entry, &file), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 9990, 4096, 10, 100), 10);
	assert_memory_equal(fsc.mem + 9, "\xee\0\0\0\0\0\0\0\0\0\0\xee", 12);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, UINT64_MAX, 9, 0, 9), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 8192, 0, 4096), 8192);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 8192, 0, 4096), 8192);
	assert_int_equal(fsc.mem[0] | fsc.mem[8191], 0);
	assert_int_equal(fsc_fsync(&fsc, entry.node, file, 0), 0);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
file_with_skip_rw_leaves_the_buffer(void **state)
{
	struct weir_file *file;
	struct weir_entry entry;

	memset(fsc.mem, 0xee, 4096);
	assert_int_equal(fsc_create(&fsc, root, "x", O_RDWR, S_IFREG | 0600, &entry, &file), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 4096, 0, 4096), 4096);
	assert_int_equal(fsc.mem[0] & fsc.mem[4095], 0xee);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
count_dots(void *arg, const struct weir_dirent *dirent)
{
	unsigned int *nb = arg;

	*nb += dirent->name_len == *nb + 1 && dirent->name[0] == '.';
}

static void
root_lists_only_the_dots_and_makes_only_files(void **state)
{
	struct weir_entry entry;
	struct weir_file *dir;
	unsigned int nb = 0;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, root, 0, &dir), 0);
	assert_int_equal(fsc_readdir(&fsc, root, dir, 0, 1, 0, count_dots, &nb), 0);
	assert_int_equal(nb, 1);
	assert_int_equal(fsc_readdir(&fsc, root, dir, 1, 9, 0, count_dots, &nb), 0);
	assert_int_equal(nb, 2);
	assert_int_equal(fsc_readdir(&fsc, root, dir, 2, 9, 0, count_dots, &nb), 0);
	assert_int_equal(nb, 2);
	fsc_release(&fsc, WEIR_FSOP_RELEASEDIR, root, dir);

	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKNOD, root, "p", S_IFIFO, 0, &entry), -EPERM);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, "d", S_IFDIR, 0, &entry), -ENOSYS);
}

#define NULL_TEST(name, before) cmocka_unit_test_setup_teardown(name, before, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		NULL_TEST(name_of_any_kind_is_one_endless_file, setup),
		NULL_TEST(file_reads_zeroes_up_to_its_size_and_swallows_writes, setup),
		NULL_TEST(file_with_skip_rw_leaves_the_buffer, setup_skip),
		NULL_TEST(root_lists_only_the_dots_and_makes_only_files, setup),
	};
	int rc;

	if (fsc_start("(0-1)@0") < 0)
		return 77;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fsc_stop();
	return rc;
}
