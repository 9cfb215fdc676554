/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Labels that come with new files in a folder of the host: on helpers, and in memory on the worker. */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
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
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

/* No security module of the host's knows it: what is set is what is read. */
#define LABEL_NAME "security.weir"
#define LABEL      "staff_u:object_r:test_t:s0"
/* Of no namespace, so that no file system takes it: the file is made, and then cannot be labelled. */
#define BAD_NAME "nowhere.weir"
#define ON       ", \"security_label\": true"

static const enum weir_fsop makers[] = { WEIR_FSOP_CREATE, WEIR_FSOP_MKNOD, WEIR_FSOP_MKDIR,
	WEIR_FSOP_SYMLINK, WEIR_FSOP_TMPFILE };

/* What takes the place of what is made next, at once; NULL: nothing does. */
static const char *_Atomic thief;

static int
steal(int rc)
{
	const char *name = atomic_exchange(&thief, NULL);

	if (rc == 0 && name != NULL)
		(void)syscall(SYS_renameat2, AT_FDCWD, host(name), AT_FDCWD, host("new"),
				RENAME_EXCHANGE);
	return rc;
}

/* In place of the C library's. */
int
mkdirat(int fd, const char *name, mode_t mode)
{
	return steal((int)syscall(SYS_mkdirat, fd, name, mode));
}

int
mknodat(int fd, const char *name, mode_t mode, dev_t dev)
{
	return steal((int)syscall(SYS_mknodat, fd, name, mode, (unsigned int)dev));
}

static int
make(enum weir_fsop op, const char *label_name, const char *label, struct weir_entry *entry,
		struct weir_file **file)
{
	struct fsc_call call = {
		.req = { .op = op, .node = root, .name = "new", .newname = "target" },
	};
	int rc;

	call.req.in.create.mode = op == WEIR_FSOP_MKNOD ? S_IFIFO | 0644 : 0644;
	call.req.in.create.label_name = label_name;
	call.req.in.create.label = label;
	call.req.in.create.label_len = (uint32_t)strlen(label);
	if (file != NULL) {
		call.req.file = calloc(1, weir_fsdev_file_size(fsc.dev));
		assert_non_null(call.req.file);
		call.req.file->flags = O_RDWR;
	}
	rc = fsc_run(&fsc, &call);
	if (rc == 0)
		*entry = call.req.out.entry;
	if (rc == 0 && file != NULL)
		*file = call.req.file;
	else
		free(call.req.file);
	return rc;
}

static bool
opens(enum weir_fsop op)
{
	return op == WEIR_FSOP_CREATE || op == WEIR_FSOP_TMPFILE;
}

static int
guest_label(struct weir_node *node)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_GETXATTR, .node = node, .name = LABEL_NAME },
	};

	call.req.in.io.len = 100;
	memset(fsc.mem, 0xee, 100);
	fsc_iov(&fsc, &call.req.iov, 0, 100, 3, 1000);
	return fsc_run(&fsc, &call);
}

static void
file_of_each_kind_has_the_label_that_came_with_it(void **state)
{
	char value[100];

	assert_true(weir_fsdev_limits(fsc.dev)->security_ctx);
	for (unsigned int i = 0; i < RTE_DIM(makers); i++) {
		struct weir_file *file = NULL;
		struct weir_entry entry;
		int rc = make(makers[i], LABEL_NAME, LABEL, &entry,
				opens(makers[i]) ? &file : NULL);

		/* An overlay has no such files before Linux 6.1. */
		if (makers[i] == WEIR_FSOP_TMPFILE && rc == -EOPNOTSUPP)
			continue;
		assert_int_equal(rc, 0);
		assert_int_equal(guest_label(entry.node), strlen(LABEL));
		assert_memory_equal(fsc.mem, LABEL, strlen(LABEL));
		if (makers[i] != WEIR_FSOP_TMPFILE) {
			assert_int_equal(lgetxattr(host("new"), LABEL_NAME, value, sizeof(value)),
					strlen(LABEL));
			assert_int_equal(remove(host("new")), 0);
		}
		if (file != NULL)
			assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file), 0);
		fsc_put(&fsc, entry.node);
	}
}

static void
file_that_cannot_have_its_label_is_not_made(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(makers); i++) {
		struct weir_file *file = NULL;
		struct weir_entry entry;
		struct stat st;

		assert_int_equal(make(makers[i], BAD_NAME, LABEL, &entry,
						 opens(makers[i]) ? &file : NULL),
				-EOPNOTSUPP);
		assert_int_equal(lstat(host("new"), &st), -1);
		assert_int_equal(errno, ENOENT);
	}
}

static void
file_that_is_there_keeps_its_label(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;
	char value[100];
	int fd;

	fd = open(host("new"), O_WRONLY | O_CREAT | O_EXCL, 0666);
	assert_true(fd >= 0);
	assert_int_equal(fsetxattr(fd, LABEL_NAME, "old", 3, 0), 0);
	close(fd);
	assert_int_equal(make(WEIR_FSOP_CREATE, LABEL_NAME, LABEL, &entry, &file), 0);
	assert_int_equal(lgetxattr(host("new"), LABEL_NAME, value, sizeof(value)), 3);
	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file), 0);
	fsc_put(&fsc, entry.node);
	/* Nor does it go when a label cannot be set. */
	assert_int_equal(make(WEIR_FSOP_CREATE, BAD_NAME, LABEL, &entry, &file), 0);
	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file), 0);
	fsc_put(&fsc, entry.node);
	for (unsigned int i = 1; i < 4; i++)
		assert_int_equal(make(makers[i], BAD_NAME, LABEL, &entry, NULL), -EEXIST);
	assert_int_equal(unlink(host("new")), 0);
}

/* The clock that files are stamped with has gone on since then. */
static bool
is_past(const struct statx_timestamp *then)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec > then->tv_sec ||
			(now.tv_sec == then->tv_sec && now.tv_nsec > then->tv_nsec);
}

static void
file_that_was_there_does_not_get_the_label_of_a_new_one(void **state)
{
	static const enum weir_fsop ops[] = { WEIR_FSOP_MKDIR, WEIR_FSOP_MKNOD };
	struct weir_entry entry;
	struct statx sx;

	for (unsigned int i = 0; i < RTE_DIM(ops); i++) {
		assert_int_equal(ops[i] == WEIR_FSOP_MKDIR ? mkdir(host("old"), 0755) :
							     mkfifo(host("old"), 0644),
				0);
		assert_int_equal(statx(AT_FDCWD, host("old"), 0, STATX_BTIME, &sx), 0);
		if ((sx.stx_mask & STATX_BTIME) != 0) {
			while (!is_past(&sx.stx_btime))
				fsc_poll();
			atomic_store(&thief, "old");
			assert_int_equal(make(ops[i], LABEL_NAME, LABEL, &entry, NULL), -ENOENT);
			assert_int_equal(lgetxattr(host("new"), LABEL_NAME, NULL, 0), -1);
			assert_int_equal(remove(host("new")), 0);
		}
		assert_int_equal(remove(host("old")), 0);
	}
}

/* Takes a capability away from the calling thread, whose helpers are born without it; or gives it. */
static int
set_sys_admin(bool on)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &head, caps) < 0)
		return -1;
	caps[0].effective &= ~(1u << CAP_SYS_ADMIN);
	if (on)
		caps[0].effective |= 1u << CAP_SYS_ADMIN;
	return (int)syscall(SYS_capset, &head, caps);
}

static int
create(const char *base, const char *options, char message[512])
{
	char params[PATH_MAX], real[PATH_MAX];

	assert_non_null(realpath(base, real));
	snprintf(params, sizeof(params), "{\"name\": \"aio1\", \"root_path\": \"%.*s\"%s}",
			PATH_MAX / 2, real, options);
	return fsc_rpc("fsdev_aio_create", params, message);
}

/* Whether this host lets a process without CAP_SYS_ADMIN label a file: some security modules do. */
static bool
host_lets_anybody(const char *base)
{
	int fd = open(base, O_TMPFILE | O_RDWR, 0600);
	bool lets;

	assert_true(fd >= 0);
	lets = fsetxattr(fd, "security.selinux", "weir", sizeof("weir"), 0) == 0;
	close(fd);
	return lets;
}

static void
label_that_weir_may_not_set_is_refused_at_create(void **state)
{
	static const char *const bases[] = { ".", "/dev/shm" };

	for (unsigned int i = 0; i < RTE_DIM(bases); i++) {
		char message[512] = "";
		bool lets;
		int rc;

		assert_int_equal(set_sys_admin(false), 0);
		lets = host_lets_anybody(bases[i]);
		rc = create(bases[i], ON, message);
		assert_int_equal(set_sys_admin(true), 0);
		assert_int_equal(rc == 0, lets);
		if (!lets)
			assert_non_null(strstr(message, "--keep-cap sys_admin"));
		if (!lets)
			assert_int_equal(create(bases[i], ON, message), 0);
		assert_int_equal(fsc_rpc("fsdev_aio_delete", "{\"name\": \"aio1\"}", message), 0);
	}
}

static void
label_that_the_folder_cannot_have_is_refused_at_create(void **state)
{
	char base[] = "/dev/shm/test_aio_label.XXXXXX";
	char message[512];

	assert_true(create("/dev/shm", ON ", \"enable_xattr\": false", message) != 0);
	assert_non_null(strstr(message, "enable_xattr"));
	assert_non_null(mkdtemp(base));
	assert_int_equal(mount("ramfs", base, "ramfs", 0, NULL), 0);
	assert_true(create(base, ON, message) != 0);
	assert_non_null(strstr(message, "security_label"));
	/* It is the label alone that was wrong, and only where something is made. */
	assert_int_equal(create(base, "", message), 0);
	assert_int_equal(fsc_rpc("fsdev_aio_delete", "{\"name\": \"aio1\"}", message), 0);
	assert_int_equal(create(base, ON ", \"readonly\": true", message), 0);
	assert_int_equal(fsc_rpc("fsdev_aio_delete", "{\"name\": \"aio1\"}", message), 0);
	assert_int_equal(umount2(base, MNT_DETACH), 0);
	assert_int_equal(rmdir(base), 0);
}

static void
label_is_not_asked_for_by_default(void **state)
{
	char message[512];

	assert_int_equal(create("/dev/shm", "", message), 0);
	weir_role_assume_control();
	assert_false(weir_fsdev_limits(weir_fsdev_find("aio1"))->security_ctx);
	assert_int_equal(fsc_rpc("fsdev_aio_delete", "{\"name\": \"aio1\"}", message), 0);
}

int
main(void)
{
	static const struct aio_variant variants[] = {
		{ "labels on the build folder", ".", ON, 0 },
		{ "labels on tmpfs", "/dev/shm", ON, 0 },
		{ "labels on tmpfs, descriptors", "/dev/shm",
				ON ", \"inode_file_handles\": \"never\"", 0 },
		{ "labels on an overlay", NULL, ON, 0 },
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_of_each_kind_has_the_label_that_came_with_it),
		cmocka_unit_test(file_that_cannot_have_its_label_is_not_made),
		cmocka_unit_test(file_that_is_there_keeps_its_label),
		cmocka_unit_test(file_that_was_there_does_not_get_the_label_of_a_new_one),
	};
	const struct CMUnitTest create_tests[] = {
		cmocka_unit_test(label_that_weir_may_not_set_is_refused_at_create),
		cmocka_unit_test(label_that_the_folder_cannot_have_is_refused_at_create),
		cmocka_unit_test(label_is_not_asked_for_by_default),
	};
	int failed = 0;

	/* Other names than security.capability take CAP_SYS_ADMIN where no module knows them. */
	if (!aio_folder_may_mount() || set_sys_admin(true) < 0 || fsc_start("0,1@0") < 0)
		return 77;
	for (unsigned int i = 0; i < RTE_DIM(variants); i++) {
		aio_variant = &variants[i];
		failed += _cmocka_run_group_tests(aio_variant->name, tests, RTE_DIM(tests),
				aio_folder_setup, aio_folder_teardown);
	}
	failed += cmocka_run_group_tests(create_tests, NULL, NULL);
	fsc_stop();
	return failed > 0 || aio_folder_failures > 0;
}
