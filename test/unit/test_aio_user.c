/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* A folder that is served by a process that is not root: an ordinary user, or one with capabilities. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

#define SELF  65534 /* the process */
#define UID   1234 /* a user of the guest's */
#define GID   2345
#define OTHER 3456 /* a group that he is not in */
#define CAPS                                                                                       \
	(1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER | \
			1u << CAP_FSETID | 1u << CAP_MKNOD | 1u << CAP_SETGID | 1u << CAP_SETUID)

static void
act_as(uint32_t uid, uint32_t gid)
{
	fsc.cred = (struct weir_cred){ .uid = uid, .gid = gid, .pid = 1 };
}

static void
check(const char *name, uint32_t uid, uint32_t gid, mode_t mode)
{
	struct stat st;

	assert_int_equal(lstat(host(name), &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
	assert_int_equal(st.st_mode, mode);
}

static int
create(struct weir_node *dir, const char *name, uint32_t mode)
{
	struct weir_entry entry;
	struct weir_file *file;
	int rc = fsc_create(&fsc, dir, name, O_RDWR, mode, &entry, &file);

	if (rc < 0)
		return rc;
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	return 0;
}

static int
cut(struct weir_node *node, struct weir_file *file, uint64_t size)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_SETATTR, .node = node, .file = file },
	};

	call.req.in.setattr.valid = WEIR_SET_SIZE;
	call.req.in.setattr.attr.size = size;
	return fsc_run(&fsc, &call);
}

/* As with ftruncate(2), of which it is asked once, when it is opened, whether it may be written. */
static void
file_that_is_open_for_writing_is_cut_whatever_its_mode(void **state)
{
	struct weir_entry entry;
	struct weir_file *file, *reader;
	struct stat st;

	act_as(0, 0);
	assert_int_equal(fsc_create(&fsc, root, "open", O_RDWR, 0400, &entry, &file), 0);
	check("open", SELF, SELF, S_IFREG | 0400);
	assert_int_equal(cut(entry.node, file, 5000), 0);
	assert_int_equal(stat(host("open"), &st), 0);
	assert_int_equal(st.st_size, 5000);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &reader), 0);
	assert_int_equal(cut(entry.node, reader, 0), -EACCES);
	assert_int_equal(cut(entry.node, NULL, 0), -EACCES);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, reader);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
ordinary_user_makes_files_for_the_guests_root_alone(void **state)
{
	act_as(0, 0);
	assert_int_equal(create(root, "mine", 0640), 0);
	check("mine", SELF, SELF, S_IFREG | 0640);
	act_as(UID, GID);
	assert_int_equal(create(root, "his", 0640), -EPERM);
}

/* One helper does all of this, and the worker where it is inline. */
static void
capabilities_are_there_again_when_somebody_was_acted_for(void **state)
{
	static const uint32_t uids[] = { 0, UID };
	const struct weir_attr set = { .uid = UID, .gid = OTHER };
	struct weir_entry entry;
	struct weir_attr attr;
	char name[16];

	for (unsigned int i = 0; i < RTE_DIM(uids); i++) {
		snprintf(name, sizeof(name), "dir%u", i);
		act_as(uids[i], uids[i]);
		assert_int_equal(create(root, name, 0640), 0);
		check(name, uids[i], uids[i], S_IFREG | 0640);
		assert_int_equal(unlink(host(name)), 0);
		assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, name, 0700, 0, &entry), 0);
		check(name, uids[i], uids[i], S_IFDIR | 0700);
		assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_UID | WEIR_SET_GID, &set,
						 &attr),
				0);
		check(name, UID, OTHER, S_IFDIR | 0700);
		/* It is nobody's here, but what passes permission checks is kept. */
		assert_int_equal(create(entry.node, "in", 0640), 0);
		fsc_put(&fsc, entry.node);
	}
}

static void
user_of_the_guest_has_none_of_the_capabilities(void **state)
{
	struct weir_entry entry;
	int fd = open(host("secret"), O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	close(fd);
	act_as(UID, GID);
	assert_int_equal(create(root, "secret", 0644), -EACCES);
	assert_int_equal(fsc_lookup(&fsc, root, "secret", &entry), 0);
	assert_int_equal(fsc_access(&fsc, entry.node, R_OK), -EACCES);
	/* Nor has one whose ids happen to be those of the process. */
	assert_int_equal(chmod(host("secret"), 0), 0);
	act_as(SELF, SELF);
	assert_int_equal(fsc_access(&fsc, entry.node, R_OK), -EACCES);
	fsc_put(&fsc, entry.node);

	assert_int_equal(mkdir(host("setgid"), 0777), 0);
	assert_int_equal(chown(host("setgid"), SELF, OTHER), 0);
	assert_int_equal(chmod(host("setgid"), 02777), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "setgid", &entry), 0);
	act_as(UID, GID);
	assert_int_equal(create(entry.node, "exec", 02755), 0);
	check("setgid/exec", UID, OTHER, S_IFREG | 0755);
	fsc_put(&fsc, entry.node);
}

static const struct CMUnitTest ordinary_tests[] = {
	cmocka_unit_test(file_that_is_open_for_writing_is_cut_whatever_its_mode),
	cmocka_unit_test(ordinary_user_makes_files_for_the_guests_root_alone),
};

static const struct CMUnitTest capable_tests[] = {
	cmocka_unit_test(capabilities_are_there_again_when_somebody_was_acted_for),
	cmocka_unit_test(user_of_the_guest_has_none_of_the_capabilities),
};

static const struct aio_variant ordinary = { "aio by an ordinary user", "/dev/shm",
	", \"nb_helpers\": 1" };
static const struct aio_variant capable = { "aio by a user with capabilities", "/dev/shm",
	", \"nb_helpers\": 1" };

/* Becomes the user for good, before there is another thread. */
static int
become(uint32_t caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = caps, .permitted = caps } };

	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0 ||
			setresgid(SELF, SELF, SELF) < 0 || setresuid(SELF, SELF, SELF) < 0)
		return -1;
	return (int)syscall(SYS_capset, &head, data);
}

static int
run(const struct aio_variant *variant, uint32_t caps)
{
	char dir[] = "/dev/shm/test_aio_user.XXXXXX", dpdk[sizeof(dir) + 8];
	int failed;

	if (become(caps) < 0 || mkdtemp(dir) == NULL || setenv("XDG_RUNTIME_DIR", dir, 1) < 0)
		return 1;
	if (fsc_start("0,1@0") < 0)
		return 77;
	umask(0);
	aio_variant = variant;
	if (caps == 0)
		failed = cmocka_run_group_tests_name(variant->name, ordinary_tests,
				aio_folder_setup, aio_folder_teardown);
	else
		failed = cmocka_run_group_tests_name(variant->name, capable_tests, aio_folder_setup,
				aio_folder_teardown);
	fsc_stop();
	snprintf(dpdk, sizeof(dpdk), "%s/dpdk", dir);
	rmdir(dpdk);
	rmdir(dir);
	return failed > 0 || aio_folder_failures > 0;
}

static int
run_apart(const struct aio_variant *variant, uint32_t caps)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		exit(run(variant, caps));
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}

int
main(void)
{
	int ordinary_rc, capable_rc;

	if (geteuid() != 0)
		return 77;
	ordinary_rc = run_apart(&ordinary, 0);
	capable_rc = run_apart(&capable, CAPS);
	return ordinary_rc != 0 ? ordinary_rc : capable_rc;
}
