/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The aio driver on a folder in memory: what is quick there is done on the worker; and on a disk,
 * what is quick of that. Its one helper sleeps when it has nothing to do, and each job costs it at
 * least one more change of context.
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

#include "../../drivers/fsdev/aio/aio.h"
#include "aio_folder.h"

#define MAX_FDS     64
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

static struct aio_fs *
fs_under_test(void)
{
	return *(struct aio_fs **)weir_fsdev_priv(fsc.dev);
}

/* Whether calls by name are used, which they are not where something is mounted in the mount. */
static bool
is_by_name(void)
{
	unsigned int i;

	for (i = 0; i < 1000 && fsc_info("aio0", "lookup_by_number") != 1; i++)
		fsc_poll();
	return fsc_info("aio0", "lookup_by_number") == 1;
}

static void
host_touch(const char *name)
{
	int fd = open(host(name), O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	close(fd);
}

/* With no descriptor left, a worker can only unlink what it can without. */
static void
memory_of_small_files_is_freed_without_a_descriptor(void **state)
{
	static struct weir_file *files[MAX_FDS];
	struct weir_entry entry;
	unsigned int nb;
	long before;

	if (!is_by_name())
		skip();
	host_touch("open");
	host_touch("small");
	host_touch("moving");
	assert_int_equal(fsc_lookup(&fsc, root, "open", &entry), 0);
	for (nb = 0; fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &files[nb]) == 0; nb++)
		;
	before = helper_switches();
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "small"), 0);
	assert_int_equal(helper_switches(), before);
	/* While names move, what was small may be large the next moment. */
	atomic_fetch_add(&fs_under_test()->moving, 1);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "moving"), 0);
	assert_true(helper_switches() > before);
	atomic_fetch_sub(&fs_under_test()->moving, 1);
	while (nb-- > 0)
		fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, files[nb]);
	fsc_put(&fsc, entry.node);
	unlink(host("open"));
}

/* And names do not move while a worker is between its look and its unlink. */
static void
memory_of_small_files_stays_small_until_it_is_freed(void **state)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_RENAME } };
	unsigned int i;

	host_touch("from");
	call.req.node = call.req.newnode = root;
	call.req.name = "from";
	call.req.newname = "to";
	atomic_fetch_add(&fs_under_test()->unlinking, 1);
	fsc_submit(&fsc, &call);
	while (fsc_info("aio0", "helpers_running") == 0 && !atomic_load(&call.done))
		fsc_poll();
	for (i = 0; i < 20; i++) {
		fsc_poll();
		assert_int_equal(access(host("from"), F_OK), 0);
	}
	atomic_fetch_sub(&fs_under_test()->unlinking, 1);
	assert_int_equal(fsc_wait(&call), 0);
	assert_int_equal(access(host("to"), F_OK), 0);
	unlink(host("to"));
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

/* What is in the cache is looked up there, and the descriptor that it takes is closed, too. */
static void
disk_looks_known_names_up_without_helpers(void **state)
{
	struct weir_entry first, again;
	unsigned int i;
	long before;

	if (fsc_info("aio0", "local") != 1)
		skip();
	host_touch("known");
	assert_int_equal(link(host("known"), host("link")), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "known", &first), 0);
	before = helper_switches();
	for (i = 0; i < 8; i++) {
		assert_int_equal(fsc_lookup(&fsc, root, i % 2 == 0 ? "known" : "link", &again), 0);
		assert_ptr_equal(again.node, first.node);
		fsc_put(&fsc, again.node);
	}
	assert_int_equal(helper_switches(), before);
	fsc_put(&fsc, first.node);
	unlink(host("known"));
	unlink(host("link"));
}

static const struct CMUnitTest disk_tests[] = {
	cmocka_unit_test(disk_looks_known_names_up_without_helpers),
};

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(memory_is_served_without_helpers),
	cmocka_unit_test(memory_of_large_files_is_freed_by_helpers),
	cmocka_unit_test(memory_of_small_files_stays_small_until_it_is_freed),
	cmocka_unit_test(memory_keeps_what_callers_make_theirs),
};

static const struct CMUnitTest few_tests[] = {
	cmocka_unit_test(memory_of_small_files_is_freed_without_a_descriptor),
};

/* Its ring, which would be tried out, would wake it once more when it goes. */
#define ONE_HELPER ", \"nb_helpers\": 1, \"uring\": \"off\""

int
main(void)
{
	static const struct aio_variant one_helper = { "aio in memory", "/dev/shm", ONE_HELPER };
	static const struct aio_variant descriptors = { "aio in memory, by descriptor", "/dev/shm",
		ONE_HELPER ", \"inode_file_handles\": \"never\"" };
	static const struct aio_variant disk = { "aio on the build folder", ".", ONE_HELPER };
	static const struct aio_variant few = { "aio in memory, few descriptors", "/dev/shm",
		ONE_HELPER ", \"max_fds\": 64" };
	int failed;

	/* Where it may, out of sight of other people's mounts, at which a helper would look. */
	(void)aio_folder_may_mount();
	if (fsc_start("0,1@0,2@0") < 0)
		return 77;
	aio_variant = &one_helper;
	failed = cmocka_run_group_tests_name(
			one_helper.name, tests, aio_folder_setup, aio_folder_teardown);
	aio_variant = &descriptors;
	failed += cmocka_run_group_tests_name(
			descriptors.name, tests, aio_folder_setup, aio_folder_teardown);
	aio_variant = &disk;
	failed += cmocka_run_group_tests_name(
			disk.name, disk_tests, aio_folder_setup, aio_folder_teardown);
	aio_variant = &few;
	failed += cmocka_run_group_tests_name(
			few.name, few_tests, aio_folder_setup, aio_folder_teardown);
	fsc_stop();
	return failed > 0 || aio_folder_failures > 0;
}
