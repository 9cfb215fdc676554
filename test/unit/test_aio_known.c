/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The aio driver in memory, where names of known nodes are found by inode number: while the host
 * changes what the names are, and mounts things.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

#include "../../drivers/fsdev/aio/aio.h"
#include "aio_folder.h"

#define NB_FILES  200 /* many times the places for descriptors */
#define MAX_FDS   64
#define NB_MOUNTS 16

static char base[] = "/dev/shm/test_aio_known.XXXXXX"; /* a mount that nobody else mounts in */

/* Waits until control has heard of the mounts. */
static void
by_number_becomes(int64_t wanted)
{
	while (fsc_info("aio0", "lookup_by_number") != wanted)
		fsc_poll();
}

static int
setup(void **state)
{
	if (aio_folder_setup(state) < 0)
		return -1;
	by_number_becomes(1);
	return 0;
}

static void
host_say(const char *name, const char *text)
{
	host_write(name, text, strlen(text));
}

/* A name's node, whose reference is the caller's. */
static struct weir_node *
look(const char *name, uint64_t size)
{
	struct weir_entry entry;
	struct stat st;

	assert_int_equal(fsc_lookup(&fsc, root, name, &entry), 0);
	assert_int_equal(lstat(host(name), &st), 0);
	assert_int_equal(entry.attr.ino, st.st_ino);
	assert_int_equal(entry.attr.mode, st.st_mode);
	assert_int_equal(entry.attr.nlink, st.st_nlink);
	assert_int_equal(entry.attr.mtime, st.st_mtim.tv_sec);
	assert_int_equal(entry.attr.mtime_ns, st.st_mtim.tv_nsec);
	assert_int_equal(entry.node->type, st.st_mode & S_IFMT);
	if (!S_ISDIR(st.st_mode))
		assert_int_equal(entry.attr.size, size);
	return entry.node;
}

static void
known_name_follows_what_the_host_does(void **state)
{
	struct weir_node *a, *b, *now;
	struct weir_entry entry;

	host_say("a", "1");
	host_say("b", "22");
	a = look("a", 1);
	b = look("b", 2);
	assert_ptr_not_equal(a, b);
	host_say("a", "1111");
	assert_int_equal(link(host("a"), host("c")), 0);
	now = look("c", 4);
	assert_ptr_equal(now, a);
	fsc_put(&fsc, now);

	assert_int_equal(renameat2(AT_FDCWD, host("a"), AT_FDCWD, host("b"), RENAME_EXCHANGE), 0);
	now = look("a", 2);
	assert_ptr_equal(now, b);
	fsc_put(&fsc, now);
	now = look("b", 4);
	assert_ptr_equal(now, a);
	fsc_put(&fsc, now);

	assert_int_equal(rename(host("a"), host("b")), 0);
	now = look("b", 2);
	assert_ptr_equal(now, b);
	fsc_put(&fsc, now);
	assert_int_equal(fsc_lookup(&fsc, root, "a", &entry), -ENOENT);

	assert_int_equal(unlink(host("b")), 0);
	assert_int_equal(symlink("c", host("b")), 0);
	now = look("b", 1);
	assert_ptr_not_equal(now, b);
	assert_int_equal(now->type, S_IFLNK);
	fsc_put(&fsc, now);
	assert_int_equal(unlink(host("b")), 0);
	assert_int_equal(mkdir(host("b"), 0755), 0);
	fsc_put(&fsc, look("b", 0));
	rmdir(host("b"));
	unlink(host("c"));
	fsc_put(&fsc, a);
	fsc_put(&fsc, b);
}

static void
known_name_takes_no_descriptor(void **state)
{
	static struct weir_file *files[MAX_FDS];
	struct weir_entry entry;
	struct weir_node *node;
	unsigned int nb;

	host_say("f", "1");
	host_say("new", "22");
	node = look("f", 1);
	for (nb = 0; fsc_open(&fsc, WEIR_FSOP_OPEN, node, O_RDONLY, &files[nb]) == 0; nb++)
		;
	assert_int_equal(fsc_lookup(&fsc, root, "new", &entry), -ENFILE);
	assert_ptr_equal(look("f", 1), node);
	fsc_put(&fsc, node);
	while (nb-- > 0)
		fsc_release(&fsc, WEIR_FSOP_RELEASE, node, files[nb]);
	fsc_put(&fsc, node);
	unlink(host("f"));
	unlink(host("new"));
}

/* More nodes than places for descriptors. */
static void
look_at_many(struct weir_node *nodes[NB_FILES], uint64_t size)
{
	char name[16];
	unsigned int i;

	for (i = 0; i < NB_FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		nodes[i] = look(name, size);
	}
}

static void
known_names_without_descriptors_keep_their_nodes(void **state)
{
	static struct weir_node *nodes[NB_FILES], *again[NB_FILES];
	char name[16], next[16];
	unsigned int i;

	for (i = 0; i < NB_FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		host_say(name, "1");
	}
	look_at_many(nodes, 1);
	look_at_many(again, 1);
	assert_memory_equal(nodes, again, sizeof(nodes));
	for (i = 0; i < NB_FILES; i++) {
		fsc_put(&fsc, again[i]);
		snprintf(name, sizeof(name), "f%u", i);
		snprintf(next, sizeof(next), "n%u", i);
		host_say(next, "333");
		assert_int_equal(rename(host(next), host(name)), 0);
	}
	look_at_many(again, 3);
	for (i = 0; i < NB_FILES; i++) {
		assert_ptr_not_equal(nodes[i], again[i]);
		fsc_put(&fsc, nodes[i]);
		fsc_put(&fsc, again[i]);
		snprintf(name, sizeof(name), "f%u", i);
		unlink(host(name));
	}
}

static struct aio_fs *
fs_under_test(void)
{
	return *(struct aio_fs **)weir_fsdev_priv(fsc.dev);
}

/*
 * A node as it would be left of a deleted file whose number name's has now, which takes 2^32 files
 * to come about: it has the number and some other handle.
 */
static struct weir_node *
node_of_the_past(const char *name)
{
	struct aio_found found;
	struct weir_node *node;
	struct weir_attr attr;
	int fd;

	weir_role_assume_worker();
	fd = open(host(name), O_PATH);
	assert_true(fd >= 0);
	memset(&found, 0, sizeof(found));
	assert_int_equal(aio_identify(fs_under_test(), fd, 0, &found, &attr), 0);
	close(fd);
	assert_true(found.node.handle_bytes > 0);
	found.node.handle[0] ^= 1;
	assert_int_equal(aio_node_adopt(fs_under_test(), fsc.dev, &found, &node), 0);
	return node;
}

static void
known_number_that_returned_is_another_node(void **state)
{
	static struct weir_node *nodes[NB_FILES];
	struct weir_node *past, *now, *again;
	struct weir_attr attr;
	char name[16];
	unsigned int i;

	host_say("returned", "1");
	past = node_of_the_past("returned");
	/* With a place for its descriptor, and when others have taken them all. */
	now = look("returned", 1);
	assert_ptr_not_equal(now, past);
	assert_int_equal(fsc_getattr(&fsc, past, NULL, &attr), -ESTALE);
	for (i = 0; i < NB_FILES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		host_say(name, "1");
		nodes[i] = look(name, 1);
	}
	again = look("returned", 1);
	assert_ptr_equal(again, now);
	fsc_put(&fsc, again);
	/* One that nobody had met before the first returned. */
	host_say("next", "22");
	fsc_put(&fsc, now);
	now = look("next", 2);
	again = look("next", 2);
	assert_ptr_equal(again, now);
	fsc_put(&fsc, again);
	fsc_put(&fsc, now);
	for (i = 0; i < NB_FILES; i++) {
		fsc_put(&fsc, nodes[i]);
		snprintf(name, sizeof(name), "f%u", i);
		again = look(name, 1);
		fsc_put(&fsc, again);
		unlink(host(name));
	}
	fsc_put(&fsc, past);
	unlink(host("returned"));
	unlink(host("next"));
}

static void
known_name_becomes_a_mount_and_is_another_node(void **state)
{
	struct weir_node *sub, *file, *now;
	struct weir_entry entry;

	assert_int_equal(mkdir(host("sub"), 0755), 0);
	host_say("file", "1");
	sub = look("sub", 0);
	file = look("file", 1);

	/* Once before control has heard of it, as far as this thread can tell, and once after. */
	assert_int_equal(mount("tmpfs", host("sub"), "tmpfs", 0, NULL), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "sub", &entry), 0);
	assert_ptr_not_equal(entry.node, sub);
	by_number_becomes(0);
	assert_int_equal(fsc_lookup(&fsc, root, "sub", &entry), 0);
	assert_ptr_not_equal(entry.node, sub);
	fsc_put(&fsc, entry.node);
	fsc_put(&fsc, entry.node);
	now = look("file", 1);
	assert_ptr_equal(now, file);
	fsc_put(&fsc, now);

	assert_int_equal(umount2(host("sub"), MNT_DETACH), 0);
	by_number_becomes(1);
	now = look("sub", 0);
	assert_ptr_equal(now, sub);
	fsc_put(&fsc, now);
	fsc_put(&fsc, sub);
	fsc_put(&fsc, file);
	rmdir(host("sub"));
	unlink(host("file"));
}

/* Devices and mounts have numbers in a row, and what is mounted has the same inode number. */
static void
known_mounts_are_all_different_nodes(void **state)
{
	struct weir_entry entries[NB_MOUNTS];
	struct stat first, st;
	unsigned int i, j, nb_same = 0;
	char name[16];

	for (i = 0; i < NB_MOUNTS; i++) {
		snprintf(name, sizeof(name), "sub%u", i);
		assert_int_equal(mkdir(host(name), 0755), 0);
		assert_int_equal(mount("tmpfs", host(name), "tmpfs", 0, NULL), 0);
		assert_int_equal(stat(host(name), &st), 0);
		if (i == 0)
			first = st;
		assert_int_equal(st.st_ino, first.st_ino);
		assert_int_equal(fsc_lookup(&fsc, root, name, &entries[i]), 0);
		for (j = 0; j < i; j++)
			nb_same += entries[i].node == entries[j].node;
	}
	for (i = 0; i < NB_MOUNTS; i++) {
		fsc_put(&fsc, entries[i].node);
		snprintf(name, sizeof(name), "sub%u", i);
		assert_int_equal(umount2(host(name), MNT_DETACH), 0);
		assert_int_equal(rmdir(host(name)), 0);
	}
	by_number_becomes(1);
	assert_int_equal(nb_same, 0);
}

static void
known_file_is_another_node_by_way_of_a_mount(void **state)
{
	struct weir_entry inner, made;
	struct weir_node *dir, *file;

	assert_int_equal(mkdir(host("dir"), 0755), 0);
	assert_int_equal(mkdir(host("way"), 0755), 0);
	host_say("dir/file", "1");
	host_say("file", "1");
	dir = look("dir", 0);
	assert_int_equal(fsc_lookup(&fsc, dir, "file", &inner), 0);
	file = inner.node;

	/* The same inodes, but read-only. */
	assert_int_equal(mount(host("dir"), host("way"), NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, host("way"), NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "way", &inner), 0);
	assert_ptr_not_equal(inner.node, dir);
	assert_int_equal(
			fsc_make(&fsc, WEIR_FSOP_MKDIR, inner.node, "new", 0755, 0, &made), -EROFS);
	assert_int_equal(fsc_lookup(&fsc, inner.node, "file", &made), 0);
	assert_ptr_not_equal(made.node, file);
	fsc_put(&fsc, made.node);
	fsc_put(&fsc, inner.node);
	assert_int_equal(umount2(host("way"), MNT_DETACH), 0);
	by_number_becomes(1);
	fsc_put(&fsc, file);
	fsc_put(&fsc, dir);
	unlink(host("dir/file"));
	unlink(host("file"));
	rmdir(host("dir"));
	rmdir(host("way"));
}

/* A rename above it could bring it into the folder, and tells nobody. */
static void
known_way_closes_for_a_mount_beside_the_folder(void **state)
{
	char beside[sizeof(base) + 8];

	snprintf(beside, sizeof(beside), "%s/beside", base);
	assert_int_equal(mkdir(beside, 0755), 0);
	assert_int_equal(mount("tmpfs", beside, "tmpfs", 0, NULL), 0);
	by_number_becomes(0);
	assert_int_equal(umount2(beside, MNT_DETACH), 0);
	by_number_becomes(1);
	rmdir(beside);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(known_name_follows_what_the_host_does),
	cmocka_unit_test(known_name_becomes_a_mount_and_is_another_node),
	cmocka_unit_test(known_mounts_are_all_different_nodes),
	cmocka_unit_test(known_file_is_another_node_by_way_of_a_mount),
	cmocka_unit_test(known_way_closes_for_a_mount_beside_the_folder),
};

static const struct CMUnitTest descriptor_tests[] = {
	cmocka_unit_test(known_name_takes_no_descriptor),
};

static const struct CMUnitTest handle_tests[] = {
	cmocka_unit_test(known_names_without_descriptors_keep_their_nodes),
	cmocka_unit_test(known_number_that_returned_is_another_node),
};

#define RUN(variant, tests)                                                                        \
	(aio_variant = &(variant),                                                                 \
			cmocka_run_group_tests_name(                                               \
					aio_variant->name, tests, setup, aio_folder_teardown))

int
main(void)
{
	static const struct aio_variant plain = { "aio and known names", base, "" };
	static const struct aio_variant descriptors = { "aio and known names, by descriptor", base,
		", \"max_fds\": 64, \"inode_file_handles\": \"never\"" };
	static const struct aio_variant handles = { "aio and known names, few descriptors", base,
		", \"max_fds\": 64" };
	int failed;

	if (!aio_folder_may_mount() || mkdtemp(base) == NULL)
		return 77;
	if (mount("tmpfs", base, "tmpfs", 0, NULL) < 0 || fsc_start("0,1@0") < 0) {
		umount2(base, MNT_DETACH);
		rmdir(base);
		return 77;
	}
	failed = RUN(plain, tests);
	failed += RUN(descriptors, tests);
	failed += RUN(descriptors, descriptor_tests);
	failed += RUN(handles, handle_tests);
	fsc_stop();
	umount2(base, MNT_DETACH);
	rmdir(base);
	return failed > 0 || aio_folder_failures > 0;
}
