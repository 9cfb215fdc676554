/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
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

const struct aio_variant *aio_variant;
struct fs_client fsc;
struct weir_node *root;
char folder[PATH_MAX];

unsigned int aio_folder_failures;

static char top[PATH_MAX / 2]; /* the folder, or what the overlay is made of */

const char *
host(const char *name)
{
	static char paths[4][PATH_MAX + NAME_MAX + 2];
	static unsigned int next;
	char *path = paths[next++ % RTE_DIM(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

struct stat
host_stat(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(host(name), &st), 0);
	return st;
}

void
host_write(const char *name, const void *data, size_t n)
{
	int fd = open(host(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	close(fd);
}

size_t
host_read(const char *name, void *data, size_t n)
{
	int fd = open(host(name), O_RDONLY);
	ssize_t got;

	assert_true(fd >= 0);
	got = read(fd, data, n);
	close(fd);
	assert_true(got >= 0);
	return (size_t)got;
}

struct weir_entry
look_entry(const char *name)
{
	struct weir_entry entry;

	assert_int_equal(fsc_lookup(&fsc, root, name, &entry), 0);
	return entry;
}

struct weir_node *
look_node(const char *name)
{
	return look_entry(name).node;
}

bool
aio_folder_may_mount(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int
make_overlay(void)
{
	char options[4 * PATH_MAX];

	snprintf(folder, sizeof(folder), "%s/lower", top);
	mkdir(folder, 0755);
	snprintf(folder, sizeof(folder), "%s/upper", top);
	mkdir(folder, 0755);
	snprintf(folder, sizeof(folder), "%s/work", top);
	mkdir(folder, 0755);
	snprintf(folder, sizeof(folder), "%s/merged", top);
	mkdir(folder, 0755);
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
			top, top, top);
	return mount("overlay", folder, "overlay", 0, options);
}

static int
folder_up(void)
{
	const char *base = aio_variant->base != NULL ? aio_variant->base : "/dev/shm";
	char params[2 * PATH_MAX], message[512];
	char real[PATH_MAX];

	weir_role_assume_control();
	if (realpath(base, real) == NULL || strlen(real) > sizeof(top) - 32)
		return -1;
	snprintf(top, sizeof(top), "%.*s/test_aio.XXXXXX", (int)sizeof(top) - 32, real);
	if (mkdtemp(top) == NULL || chmod(top, 0755) < 0)
		return -1;
	if (aio_variant->base == NULL) {
		if (make_overlay() < 0)
			return -1;
	} else {
		snprintf(folder, sizeof(folder), "%s", top);
	}
	snprintf(params, sizeof(params), "{\"name\": \"aio0\", \"root_path\": \"%s\"%s}", folder,
			aio_variant->options);
	if (fsc_rpc("fsdev_aio_create", params, message) != 0) {
		fprintf(stderr, "%s\n", message);
		return -1;
	}
	fsc_open_session(&fsc, weir_fsdev_find("aio0"));
	root = weir_fsdev_root(fsc.dev);
	return 0;
}

bool
aio_folder_is_at_rest(const char *fsdev)
{
	unsigned int i;

	/* Nodes go after the workers' grace period, descriptors when a helper has closed them. */
	for (i = 0; i < 1000 && fsc_info(fsdev, "open_fds") > 1; i++)
		fsc_poll();
	if (fsc_info(fsdev, "open_fds") == 1)
		return true;
	fprintf(stderr, "%s: descriptors are left over\n", fsdev);
	return false;
}

static int
folder_down(void)
{
	const bool at_rest = aio_folder_is_at_rest("aio0");
	char message[512];
	int rc;

	fsc_close_session(&fsc);
	rc = fsc_rpc("fsdev_aio_delete", "{\"name\": \"aio0\"}", message);
	/* The descriptors are closed a little later, by a helper. */
	while (aio_variant->base == NULL && umount(folder) < 0 && errno == EBUSY)
		fsc_poll();
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return at_rest ? rc : -1;
}

int
aio_folder_setup(void **state)
{
	int rc = folder_up();

	aio_folder_failures += rc != 0;
	return rc;
}

int
aio_folder_teardown(void **state)
{
	int rc = folder_down();

	aio_folder_failures += rc != 0;
	return rc;
}

#define NO_URING   ", \"uring\": \"off\""
#define NO_HANDLES ", \"inode_file_handles\": \"never\""

static const struct aio_variant variants[] = {
	{ "aio on the build folder", ".", "", 10000 },
	{ "aio on the build folder, helpers alone", ".", NO_URING, 1000 },
	{ "aio on the build folder, descriptors", ".", NO_HANDLES ", \"attr_valid_ms\": 1000",
			1000 },
	{ "aio on tmpfs", "/dev/shm", "", 10000 },
	{ "aio on tmpfs, helpers alone, descriptors", "/dev/shm", NO_URING NO_HANDLES, 1000 },
	{ "aio on an overlay", NULL, "", 1000 },
	{ "aio on an overlay, helpers alone", NULL, NO_URING, 1000 },
};

int
aio_folder_run(const struct CMUnitTest *tests, size_t nb)
{
	const bool may_mount = aio_folder_may_mount();
	unsigned int i;
	int failed = 0;

	if (fsc_start("0,1@0") < 0)
		return 77;
	for (i = 0; i < RTE_DIM(variants); i++) {
		aio_variant = &variants[i];
		if (aio_variant->base != NULL || may_mount)
			failed += _cmocka_run_group_tests(aio_variant->name, tests, nb,
					aio_folder_setup, aio_folder_teardown);
	}
	fsc_stop();
	return failed > 0 || aio_folder_failures > 0;
}
