/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * A directory that the host moves out of the folder while a guest has it: the sandbox keeps the
 * guest from what is in it, until it is back. The process cannot leave the sandbox, so the host is
 * another one.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "fs_client.h"
#include "sandbox.h"

#define HOST_CLEAN 0xff

enum move {
	MOVE_OUT,
	MOVE_BACK
};

/* On a disk and on tmpfs: a folder to serve and one beside it. */
static struct place {
	char base[64];
	char in[80], out[80]; /* the folders */
	char in_dir[96], out_dir[96]; /* where the directory is */
} places[] = { { .base = "/tmp/test_aio_sandbox.XXXXXX" },
	{ .base = "/dev/shm/test_aio_sandbox.XXXXXX" } };

static const struct place *place;
static int host; /* a byte goes there, and one comes back when it is done */
static struct fs_client fsc;
static struct weir_node *root;

static int
place_make(struct place *p)
{
	if (mkdtemp(p->base) == NULL)
		return -1;
	snprintf(p->in, sizeof(p->in), "%s/in", p->base);
	snprintf(p->out, sizeof(p->out), "%s/out", p->base);
	snprintf(p->in_dir, sizeof(p->in_dir), "%s/dir", p->in);
	snprintf(p->out_dir, sizeof(p->out_dir), "%s/dir", p->out);
	return mkdir(p->in, 0755) | mkdir(p->out, 0755);
}

static int
place_remove(const struct place *p)
{
	return rmdir(p->in) | rmdir(p->out) | rmdir(p->base);
}

static void
host_move(uint8_t what)
{
	const struct place *p = &places[what / 2];
	int rc;

	if (what % 2 == MOVE_OUT)
		rc = rename(p->in_dir, p->out_dir);
	else
		rc = rename(p->out_dir, p->in_dir);
	if (rc < 0)
		_exit(1);
}

/* Ends when nobody can ask it any more, and takes the folders away. */
static void
host_main(int sock)
{
	uint8_t what;
	int rc = 0;

	while (read(sock, &what, 1) == 1) {
		host_move(what);
		if (write(sock, &what, 1) != 1)
			break;
	}
	for (size_t i = 0; i < RTE_DIM(places); i++)
		rc |= place_remove(&places[i]);
	what = HOST_CLEAN;
	if (rc == 0 && write(sock, &what, 1) != 1)
		_exit(1);
	_exit(0);
}

/* @return 0 when it has ended and left nothing. */
static int
host_end(void)
{
	uint8_t what = 0;

	shutdown(host, SHUT_WR);
	return read(host, &what, 1) == 1 && what == HOST_CLEAN ? 0 : 1;
}

static void
move(enum move what)
{
	uint8_t byte = (uint8_t)((place - places) * 2 + what);

	assert_int_equal(write(host, &byte, 1), 1);
	assert_int_equal(read(host, &byte, 1), 1);
}

static int
open_once(struct weir_node *node, enum weir_fsop open_op, enum weir_fsop release_op, uint32_t flags)
{
	struct weir_file *file;
	int rc = fsc_open(&fsc, open_op, node, flags, &file);

	if (rc == 0)
		fsc_release(&fsc, release_op, node, file);
	return rc;
}

/* What a guest may do in a directory that it knows. */
static void
try_all(struct weir_node *dir, struct weir_node *node, int expected)
{
	struct weir_entry entry;
	struct weir_file *file;
	int rc;

	assert_int_equal(open_once(node, WEIR_FSOP_OPEN, WEIR_FSOP_RELEASE, O_RDONLY), expected);
	assert_int_equal(open_once(node, WEIR_FSOP_OPEN, WEIR_FSOP_RELEASE, O_RDWR), expected);
	assert_int_equal(open_once(dir, WEIR_FSOP_OPENDIR, WEIR_FSOP_RELEASEDIR, O_RDONLY),
			expected);
	rc = fsc_make(&fsc, WEIR_FSOP_MKDIR, dir, "made", 0755, 0, &entry);
	assert_int_equal(rc, expected);
	if (rc == 0)
		fsc_put(&fsc, entry.node);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, dir, "made"),
			expected == 0 ? 0 : -ENOENT);
	rc = fsc_create(&fsc, dir, "created", O_RDWR, 0644, &entry, &file);
	assert_int_equal(rc, expected);
	if (rc == 0) {
		fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
		fsc_put(&fsc, entry.node);
		assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, dir, "created"), 0);
	}
}

static void
what_leaves_the_folder_is_out_of_reach(void **state)
{
	struct weir_entry dir, entry;
	struct weir_file *file;

	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, "dir", 0755, 0, &dir), 0);
	assert_int_equal(fsc_create(&fsc, dir.node, "f", O_RDWR, 0644, &entry, &file), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 100, 0, 4096), 100);

	try_all(dir.node, entry.node, 0);
	move(MOVE_OUT);
	try_all(dir.node, entry.node, -EACCES);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, dir.node, "f"), -EACCES);
	assert_int_equal(fsc_rename(&fsc, dir.node, "f", root, "stolen", 0), -EACCES);
	/* What is open stays open. */
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 100, 0, 4096), 100);
	move(MOVE_BACK);
	try_all(dir.node, entry.node, 0);

	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, dir.node, "f"), 0);
	fsc_put(&fsc, dir.node);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, root, "dir"), 0);
}

static void
other_folders_are_refused(void **state)
{
	char params[256], message[512];

	snprintf(params, sizeof(params), "{\"name\": \"aio1\", \"root_path\": \"%s\"}", place->out);
	assert_int_equal(fsc_rpc("fsdev_aio_create", params, message), -EACCES);
	assert_non_null(strstr(message, "--allow-folder"));
}

static int
place_setup(void **state)
{
	char params[256], message[512];

	weir_role_assume_control();
	snprintf(params, sizeof(params), "{\"name\": \"aio0\", \"root_path\": \"%s\"}", place->in);
	if (fsc_rpc("fsdev_aio_create", params, message) != 0)
		return -1;
	fsc_open_session(&fsc, weir_fsdev_find("aio0"));
	root = weir_fsdev_root(fsc.dev);
	return 0;
}

static int
place_teardown(void **state)
{
	char message[512];

	weir_role_assume_control();
	fsc_close_session(&fsc);
	return fsc_rpc("fsdev_aio_delete", "{\"name\": \"aio0\"}", message);
}

static int
start(void)
{
	const char *const folders[] = { places[0].in, places[1].in, NULL };
	const struct weir_sandbox_cfg cfg = {
		.drop_caps = true, .folders = folders, .seccomp = WEIR_SECCOMP_KILL
	};

	weir_role_assume_control();
	if (fsc_start("0,1@0") < 0)
		return 77;
	return weir_sandbox_enter(&cfg) < 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_leaves_the_folder_is_out_of_reach),
		cmocka_unit_test(other_folders_are_refused),
	};
	int socks[2], failed;
	pid_t pid;

	if (sandbox_landlock_abi() < 0)
		return 77;
	if (place_make(&places[0]) != 0 || place_make(&places[1]) != 0 ||
			socketpair(AF_UNIX, SOCK_STREAM, 0, socks) < 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		close(socks[1]);
		host_main(socks[0]);
	}
	close(socks[0]);
	host = socks[1];
	failed = pid < 0 ? 1 : start();
	for (size_t i = 0; failed == 0 && i < RTE_DIM(places); i++) {
		place = &places[i];
		failed = _cmocka_run_group_tests(
				place->base, tests, RTE_DIM(tests), place_setup, place_teardown);
	}
	if (failed == 0)
		fsc_stop();
	return host_end() != 0 || failed;
}
