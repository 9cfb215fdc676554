/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The aio driver on a folder in memory: what is quick there is done on the worker. Its one helper
 * sleeps when it has nothing to do, and each job costs it at least one more change of context.
 */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

#define HELPER      "aio-aio0"
#define LARGE_BYTES (8 << 20)

/* Changes of context of a thread that sleeps; -1: it does not, or is none of ours. */
static long
switches_of(const char *tid)
{
	char path[64], line[128], state = '?';
	bool ours = false;
	long nb = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", tid);
	file = fopen(path, "r");
	if (file == NULL)
		return -1;
	while (fgets(line, sizeof(line), file) != NULL) {
		ours = ours || strcmp(line, "Name:\t" HELPER "\n") == 0;
		sscanf(line, "State: %c", &state);
		sscanf(line, "voluntary_ctxt_switches: %ld", &nb);
	}
	fclose(file);
	return ours && state == 'S' ? nb : -1;
}

/* Of the helper, as soon as it is at rest. */
static long
helper_switches(void)
{
	struct dirent *entry;
	long nb = -1;
	DIR *dir;

	while (nb < 0) {
		fsc_poll();
		dir = opendir("/proc/self/task");
		assert_non_null(dir);
		while (nb < 0 && (entry = readdir(dir)) != NULL) {
			if (isdigit((unsigned char)entry->d_name[0]))
				nb = switches_of(entry->d_name);
		}
		closedir(dir);
	}
	return nb;
}

/* Something that a helper does, so that its number is known to count. */
static void
use_helper(const char *name)
{
	struct weir_entry entry;

	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, name, 0755, 0, &entry), 0);
	fsc_put(&fsc, entry.node);
}

static void
memory_is_served_without_helpers(void **state)
{
	struct weir_entry entry, found;
	struct weir_file *file;
	struct weir_attr attr;
	long before;

	before = helper_switches();
	use_helper("first");
	assert_true(helper_switches() > before);
	before = helper_switches();

	assert_int_equal(fsc_lookup(&fsc, root, "f", &found), -ENOENT);
	assert_int_equal(fsc_create(&fsc, root, "f", O_RDWR, 0640, &entry, &file), 0);
	assert_int_equal(fsc_getattr(&fsc, entry.node, NULL, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10000, 0, 4096), 10000);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 1, 4096, 0, 4096), 4096);
	assert_int_equal(fsc_fsync(&fsc, entry.node, file, 0), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "f", &found), 0);
	assert_ptr_equal(found.node, entry.node);
	fsc_put(&fsc, found.node);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &file), 0);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "f"), 0);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "f"), -ENOENT);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	assert_true(aio_folder_is_at_rest("aio0"));
	assert_int_equal(helper_switches(), before);
}

static void
memory_of_large_files_is_freed_by_helpers(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;
	long before;
	int fd;

	fd = open(host("large"), O_WRONLY | O_CREAT, 0644);
	assert_true(fd >= 0 && posix_fallocate(fd, 0, LARGE_BYTES) == 0);
	close(fd);
	before = helper_switches();
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "large"), 0);
	assert_true(aio_folder_is_at_rest("aio0"));
	assert_true(helper_switches() > before);

	/* By the last one who has it open. */
	assert_int_equal(fsc_create(&fsc, root, "large", O_RDWR, 0644, &entry, &file), 0);
	assert_int_equal(truncate(host("large"), LARGE_BYTES), 0);
	fd = open(host("large"), O_WRONLY);
	assert_true(fd >= 0 && posix_fallocate(fd, 0, LARGE_BYTES) == 0);
	close(fd);
	assert_int_equal(unlink(host("large")), 0);
	before = helper_switches();
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	assert_true(aio_folder_is_at_rest("aio0"));
	assert_true(helper_switches() > before);
}

static void
memory_keeps_what_callers_make_theirs(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;
	struct stat st;

	if (geteuid() != 0)
		skip();
	fsc.cred = (struct weir_cred){ .uid = 1234, .gid = 2345 };
	fsc.umask = 027;
	assert_int_equal(fsc_create(&fsc, root, "theirs", O_RDWR, 0666, &entry, &file), 0);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	fsc.cred = (struct weir_cred){ .uid = 0 };
	fsc.umask = 0;
	assert_int_equal(stat(host("theirs"), &st), 0);
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 2345);
	assert_int_equal(st.st_mode, S_IFREG | 0640);

	/* The worker is itself again. */
	assert_int_equal(fsc_create(&fsc, root, "ours", O_RDWR, 0666, &entry, &file), 0);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	assert_int_equal(stat(host("ours"), &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_gid, 0);
	assert_int_equal(st.st_mode, S_IFREG | 0666);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(memory_is_served_without_helpers),
	cmocka_unit_test(memory_of_large_files_is_freed_by_helpers),
	cmocka_unit_test(memory_keeps_what_callers_make_theirs),
};

int
main(void)
{
	static const struct aio_variant one_helper = { "aio in memory", "/dev/shm",
		", \"nb_helpers\": 1" };
	static const struct aio_variant descriptors = { "aio in memory, by descriptor", "/dev/shm",
		", \"nb_helpers\": 1, \"inode_file_handles\": \"never\"" };
	int failed;

	if (fsc_start("0,1@0,2@0") < 0)
		return 77;
	aio_variant = &one_helper;
	failed = cmocka_run_group_tests_name(
			one_helper.name, tests, aio_folder_setup, aio_folder_teardown);
	aio_variant = &descriptors;
	failed += cmocka_run_group_tests_name(
			descriptors.name, tests, aio_folder_setup, aio_folder_teardown);
	fsc_stop();
	return failed > 0 || aio_folder_failures > 0;
}
