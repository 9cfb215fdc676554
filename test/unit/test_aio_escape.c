/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Ways out of the folder that the aio driver serves, and other file systems inside of it. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

static char outside[] = "/dev/shm/test_aio_outside.XXXXXX";

static void
touch(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *
out(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", outside, name);
	return path;
}

static int
outside_setup(void **state)
{
	if (mkdtemp(outside) == NULL)
		return -1;
	touch(out("secret"), "secret");
	return aio_folder_setup(state);
}

static int
outside_teardown(void **state)
{
	unlink(out("secret"));
	rmdir(outside);
	return aio_folder_teardown(state);
}

/* Swaps a directory of the folder and a link to the outside until it is told to stop. */
static void *
swap(void *arg)
{
	_Atomic bool *stop = arg;
	char a[PATH_MAX + 8], b[PATH_MAX + 8];

	snprintf(a, sizeof(a), "%s/race", folder);
	snprintf(b, sizeof(b), "%s/link", folder);
	while (!atomic_load(stop))
		renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	return NULL;
}

static void
escape_by_a_rename_under_way_fails(void **state)
{
	_Atomic bool stop = false;
	struct weir_entry dir, entry;
	pthread_t thread;
	unsigned int i;

	assert_int_equal(mkdir(host("race"), 0755), 0);
	assert_int_equal(symlink(outside, host("link")), 0);
	assert_int_equal(pthread_create(&thread, NULL, swap, &stop), 0);
	for (i = 0; i < 500; i++) {
		assert_int_equal(fsc_lookup(&fsc, root, "race", &dir), 0);
		if (dir.node->type == S_IFDIR)
			assert_int_equal(fsc_lookup(&fsc, dir.node, "secret", &entry), -ENOENT);
		else
			assert_int_equal(fsc_lookup(&fsc, dir.node, "secret", &entry), -ENOTDIR);
		if (fsc_make(&fsc, WEIR_FSOP_MKDIR, dir.node, "made", 0755, 0, &entry) == 0) {
			fsc_put(&fsc, entry.node);
			fsc_remove(&fsc, WEIR_FSOP_RMDIR, dir.node, "made");
		}
		fsc_put(&fsc, dir.node);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(access(out("made"), F_OK), -1);
	remove(host("race"));
	remove(host("link"));
}

static void
escape_by_moving_a_directory_out_gives_no_parent(void **state)
{
	struct weir_entry dir, entry;
	char moved[PATH_MAX];

	snprintf(moved, sizeof(moved), "%s", out("moved"));
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, "dir", 0755, 0, &dir), 0);
	assert_int_equal(rename(host("dir"), moved), 0);
	/* The host gave the directory away, not what is around it. */
	assert_int_equal(fsc_lookup(&fsc, dir.node, "..", &entry), -EINVAL);
	assert_int_equal(fsc_lookup(&fsc, dir.node, "../secret", &entry), -EINVAL);
	assert_int_equal(fsc_lookup(&fsc, dir.node, "secret", &entry), -ENOENT);
	fsc_put(&fsc, dir.node);
	rmdir(moved);
}

static void
escape_through_a_magic_link_fails(void **state)
{
	struct weir_entry self, entry;

	/* /proc inside the folder: its links lead anywhere. */
	assert_int_equal(mkdir(host("proc"), 0755), 0);
	if (mount("proc", host("proc"), "proc", 0, NULL) < 0)
		skip();
	assert_int_equal(fsc_lookup(&fsc, root, "proc", &entry), 0);
	assert_int_equal(fsc_lookup(&fsc, entry.node, "self", &self), 0);
	assert_int_equal(self.node->type, S_IFLNK);
	fsc_put(&fsc, self.node);
	assert_int_equal(fsc_lookup(&fsc, entry.node, "1", &self), 0);
	fsc_put(&fsc, entry.node);
	assert_int_equal(fsc_lookup(&fsc, self.node, "root", &entry), 0);
	assert_int_equal(entry.node->type, S_IFLNK);
	fsc_put(&fsc, self.node);
	assert_int_equal(fsc_lookup(&fsc, entry.node, "etc", &self), -ENOTDIR);
	fsc_put(&fsc, entry.node);
	/* Forgotten nodes still hold the mount for a moment. */
	assert_int_equal(umount2(host("proc"), MNT_DETACH), 0);
	rmdir(host("proc"));
}

static void
mount_inside_is_served_with_numbers_of_its_own(void **state)
{
	struct weir_entry sub, a, b;
	struct weir_file *file;

	assert_int_equal(mkdir(host("sub"), 0755), 0);
	assert_int_equal(mount("tmpfs", host("sub"), "tmpfs", 0, NULL), 0);
	touch(host("sub/file"), "inner");
	touch(host("file"), "outer!");
	assert_int_equal(fsc_lookup(&fsc, root, "sub", &sub), 0);
	assert_true(sub.attr.submount);
	assert_int_equal(fsc_lookup(&fsc, sub.node, "file", &a), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "file", &b), 0);
	assert_int_equal(a.attr.size, 5);
	assert_int_equal(b.attr.size, 6);
	assert_false(a.attr.submount);
	assert_ptr_not_equal(a.node, b.node);
	assert_true(a.attr.ino >> 32 != 0);
	assert_true(b.attr.ino >> 32 == 0);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, a.node, O_RDWR, &file), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, a.node, file, 0, 100, 0, 3), 5);
	assert_memory_equal(fsc.mem, "inner", 5);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, a.node, file, 5, 5, 0, 2), 5);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, a.node, file);
	assert_int_equal(fsc_rename(&fsc, sub.node, "file", root, "moved", 0), -EXDEV);
	fsc_put(&fsc, a.node);
	fsc_put(&fsc, b.node);
	fsc_put(&fsc, sub.node);
	assert_int_equal(umount2(host("sub"), MNT_DETACH), 0);
	rmdir(host("sub"));
	unlink(host("file"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(escape_by_a_rename_under_way_fails),
	cmocka_unit_test(escape_by_moving_a_directory_out_gives_no_parent),
	cmocka_unit_test(escape_through_a_magic_link_fails),
	cmocka_unit_test(mount_inside_is_served_with_numbers_of_its_own),
};

int
main(void)
{
	static const struct aio_variant variant = { "aio and what is outside", "/dev/shm", "" };
	int failed;

	if (!aio_folder_may_mount() || fsc_start("0,1@0") < 0)
		return 77;
	aio_variant = &variant;
	failed = cmocka_run_group_tests_name(variant.name, tests, outside_setup, outside_teardown);
	fsc_stop();
	return failed > 0 || aio_folder_failures > 0;
}
