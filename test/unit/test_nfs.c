/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The nfs driver against nfs-ganesha: names, attributes, directories. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "nfs_server.h"

#define MIB (1u << 20)

static void
lookup_twice_gives_one_node_with_host_attributes(void **state)
{
	struct weir_entry a, b;
	struct stat st;

	nfs_host_write("twice", "abc", 3);
	st = nfs_host_stat("twice");
	a = nfs_look("twice");
	b = nfs_look("twice");
	assert_ptr_equal(a.node, b.node);
	assert_int_equal(a.node->type, S_IFREG);
	assert_int_equal(b.attr.ino, st.st_ino);
	assert_int_equal(b.attr.size, 3);
	assert_int_equal(b.attr.mode, st.st_mode);
	assert_int_equal(b.attr.nlink, 1);
	assert_int_equal(b.attr.mtime, st.st_mtim.tv_sec);
	assert_int_equal(b.attr.mtime_ns, st.st_mtim.tv_nsec);
	fsc_put(&nfsc, a.node);
	fsc_put(&nfsc, b.node);
	unlink(nfs_host("twice"));
	assert_int_equal(fsc_lookup(&nfsc, nfs_root, "twice", &a), -ENOENT);
}

static void
file_that_is_gone_on_the_server_is_stale(void **state)
{
	struct weir_entry entry, again;
	struct weir_attr attr;

	nfs_host_write("gone", "1", 1);
	entry = nfs_look("gone");
	unlink(nfs_host("gone"));
	assert_int_equal(fsc_getattr(&nfsc, entry.node, NULL, &attr), -ESTALE);
	nfs_host_write("gone", "22", 2);
	again = nfs_look("gone");
	assert_ptr_not_equal(again.node, entry.node);
	assert_int_equal(again.attr.size, 2);
	fsc_put(&nfsc, again.node);
	fsc_put(&nfsc, entry.node);
	unlink(nfs_host("gone"));
}

/* As a guest asks for what it has a number of, and nothing else any more. */
static void
node_is_looked_up_by_itself_and_leads_nowhere_else(void **state)
{
	struct weir_entry entry, again;

	nfs_host_write("itself", "1", 1);
	entry = nfs_look("itself");
	nfs_host_write("itself", "22", 2);
	assert_int_equal(fsc_lookup(&nfsc, entry.node, ".", &again), 0);
	assert_ptr_equal(again.node, entry.node);
	assert_int_equal(again.attr.size, 2);
	fsc_put(&nfsc, again.node);
	unlink(nfs_host("itself"));
	assert_int_equal(fsc_lookup(&nfsc, entry.node, ".", &again), -ESTALE);
	fsc_put(&nfsc, entry.node);
	assert_int_equal(fsc_lookup(&nfsc, nfs_root, ".", &again), 0);
	assert_ptr_equal(again.node, nfs_root);
	fsc_put(&nfsc, again.node);
	assert_int_equal(fsc_lookup(&nfsc, nfs_root, "..", &again), -ESTALE);
}

static void
name_that_leads_out_or_is_too_long_is_refused(void **state)
{
	static const char *const names[] = { "..", ".", "a/b", "/etc", "" };
	struct weir_entry entry;
	char name[NAME_MAX + 2];

	for (unsigned int i = 0; i < RTE_DIM(names); i++) {
		if (names[i][0] != '.')
			assert_int_equal(fsc_lookup(&nfsc, nfs_root, names[i], &entry), -EINVAL);
		assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, names[i]), -EINVAL);
		assert_int_equal(fsc_rename(&nfsc, nfs_root, "x", nfs_root, names[i], 0), -EINVAL);
	}
	memset(name, 'n', sizeof(name));
	name[NAME_MAX + 1] = '\0';
	assert_int_equal(fsc_lookup(&nfsc, nfs_root, name, &entry), -ENAMETOOLONG);
	name[NAME_MAX] = '\0';
	assert_int_equal(fsc_make(&nfsc, WEIR_FSOP_MKDIR, nfs_root, name, 0755, 0, &entry), 0);
	fsc_put(&nfsc, entry.node);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_RMDIR, nfs_root, name), 0);
}

static void
exclusive_create_has_its_mode_and_sane_times(void **state)
{
	struct weir_file *file, *other;
	struct weir_entry entry, none;
	struct stat st;

	nfsc.umask = 027;
	assert_int_equal(fsc_create(&nfsc, nfs_root, "new", O_RDWR | O_CREAT | O_EXCL, 0666, &entry,
					 &file),
			0);
	st = nfs_host_stat("new");
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	/* Not the verifier of the call, which a server keeps there. */
	assert_in_range(st.st_mtim.tv_sec, time(NULL) - 60, time(NULL));
	assert_in_range(st.st_atim.tv_sec, time(NULL) - 60, time(NULL));
	assert_int_equal(entry.attr.mode, st.st_mode);
	assert_int_equal(entry.attr.mtime, st.st_mtim.tv_sec);
	assert_int_equal(fsc_create(&nfsc, nfs_root, "new", O_RDWR | O_CREAT | O_EXCL, 0666, &none,
					 &other),
			-EEXIST);
	nfs_close(&entry, file);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "new"), 0);
}

static void
create_of_what_is_there_opens_it(void **state)
{
	struct weir_entry first, second;
	struct weir_file *file, *other;

	nfs_host_write("there", "12345", 5);
	assert_int_equal(
			fsc_create(&nfsc, nfs_root, "there", O_RDWR | O_CREAT, 0600, &first, &file),
			0);
	assert_int_equal(first.attr.size, 5);
	assert_int_equal(first.attr.mode, S_IFREG | 0644);
	assert_int_equal(fsc_create(&nfsc, nfs_root, "there", O_RDWR | O_CREAT | O_TRUNC, 0600,
					 &second, &other),
			0);
	assert_ptr_equal(second.node, first.node);
	assert_int_equal(second.attr.size, 0);
	assert_int_equal(nfs_host_stat("there").st_size, 0);
	nfs_close(&first, file);
	nfs_close(&second, other);
	unlink(nfs_host("there"));
}

static void
create_over_what_is_no_file_is_refused(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;

	mkdir(nfs_host("dir"), 0755);
	assert_int_equal(symlink("dir", nfs_host("link")), 0);
	assert_int_equal(fsc_create(&nfsc, nfs_root, "dir", O_RDWR | O_CREAT, 0600, &entry, &file),
			-EISDIR);
	assert_int_equal(fsc_create(&nfsc, nfs_root, "link", O_RDWR | O_CREAT, 0600, &entry, &file),
			-ELOOP);
	rmdir(nfs_host("dir"));
	unlink(nfs_host("link"));
}

static void
objects_of_all_kinds_are_made(void **state)
{
	static const struct {
		const char *name;
		uint32_t mode, rdev;
	} kinds[] = {
		{ "file", S_IFREG | 0600, 0 },
		{ "fifo", S_IFIFO | 0644, 0 },
		{ "sock", S_IFSOCK | 0755, 0 },
		/* 259, 0x12345 as Linux has it in fuse_attr. */
		{ "chr", S_IFCHR | 0600, 0x45 | 259 << 8 | 0x12300 << 12 },
		{ "blk", S_IFBLK | 0660, 7 | 8 << 8 },
	};
	char target[PATH_MAX];
	struct weir_entry entry;
	struct stat st;

	for (unsigned int i = 0; i < RTE_DIM(kinds); i++) {
		assert_int_equal(fsc_make(&nfsc, WEIR_FSOP_MKNOD, nfs_root, kinds[i].name,
						 kinds[i].mode, kinds[i].rdev, &entry),
				0);
		assert_int_equal(entry.attr.mode, kinds[i].mode);
		assert_int_equal(entry.attr.rdev, kinds[i].rdev);
		assert_int_equal(entry.node->type, kinds[i].mode & S_IFMT);
		fsc_put(&nfsc, entry.node);
		assert_int_equal(fsc_make(&nfsc, WEIR_FSOP_MKNOD, nfs_root, kinds[i].name,
						 kinds[i].mode, kinds[i].rdev, &entry),
				-EEXIST);
	}
	st = nfs_host_stat("chr");
	assert_int_equal(major(st.st_rdev), 259);
	assert_int_equal(minor(st.st_rdev), 0x12345);
	assert_int_equal(fsc_symlink(&nfsc, nfs_root, "link", "some/where", &entry), 0);
	assert_int_equal(fsc_readlink(&nfsc, entry.node, target), 10);
	assert_string_equal(target, "some/where");
	fsc_put(&nfsc, entry.node);
	for (unsigned int i = 0; i < RTE_DIM(kinds); i++)
		assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, kinds[i].name), 0);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "link"), 0);
}

static void
symlink_of_4095_bytes_is_kept(void **state)
{
	char target[PATH_MAX], back[PATH_MAX];
	struct weir_entry entry;

	memset(target, 't', sizeof(target));
	target[PATH_MAX - 1] = '\0';
	assert_int_equal(fsc_symlink(&nfsc, nfs_root, "long", target, &entry), 0);
	assert_int_equal(fsc_readlink(&nfsc, entry.node, back), PATH_MAX - 1);
	assert_string_equal(back, target);
	fsc_put(&nfsc, entry.node);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "long"), 0);
}

static void
names_are_linked_renamed_and_removed(void **state)
{
	struct weir_entry dir, file, same;

	assert_int_equal(fsc_make(&nfsc, WEIR_FSOP_MKDIR, nfs_root, "dir", 0750, 0, &dir), 0);
	assert_int_equal(nfs_host_stat("dir").st_mode, S_IFDIR | 0750);
	nfs_host_write("one", "1", 1);
	file = nfs_look("one");
	assert_int_equal(fsc_link(&nfsc, file.node, dir.node, "two"), 0);
	assert_int_equal(fsc_lookup(&nfsc, dir.node, "two", &same), 0);
	assert_ptr_equal(same.node, file.node);
	assert_int_equal(same.attr.nlink, 2);
	fsc_put(&nfsc, same.node);
	assert_int_equal(fsc_link(&nfsc, file.node, dir.node, "two"), -EEXIST);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_RMDIR, nfs_root, "dir"), -ENOTEMPTY);
	assert_int_equal(fsc_rename(&nfsc, dir.node, "two", nfs_root, "three", 0), 0);
	assert_int_equal(fsc_rename(&nfsc, dir.node, "two", nfs_root, "three", 0), -ENOENT);
	assert_int_equal(fsc_rename(&nfsc, nfs_root, "three", nfs_root, "four", 1), -EINVAL);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "dir"), -EISDIR);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_RMDIR, nfs_root, "one"), -ENOTDIR);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_RMDIR, nfs_root, "dir"), 0);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "one"), 0);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "three"), 0);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "three"), -ENOENT);
	fsc_put(&nfsc, file.node);
	fsc_put(&nfsc, dir.node);
}

static void
setattr_changes_what_it_names_and_nothing_else(void **state)
{
	const struct weir_attr set = {
		.mode = 04751,
		.uid = 1001,
		.gid = 1002,
		.size = 7,
		.atime = 1000000001,
		.atime_ns = 1,
		.mtime = 1000000002,
		.mtime_ns = 999999999,
	};
	struct weir_attr attr;
	struct weir_entry entry;
	struct stat st;

	nfs_host_write("file", "123", 3);
	entry = nfs_look("file");
	assert_int_equal(fsc_setattr(&nfsc, entry.node, WEIR_SET_MTIME, &set, &attr), 0);
	st = nfs_host_stat("file");
	assert_int_equal(st.st_mtim.tv_sec, 1000000002);
	assert_int_equal(st.st_mtim.tv_nsec, 999999999);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(fsc_setattr(&nfsc, entry.node,
					 WEIR_SET_SIZE | WEIR_SET_UID | WEIR_SET_GID |
							 WEIR_SET_ATIME,
					 &set, &attr),
			0);
	assert_int_equal(attr.size, 7);
	assert_int_equal(attr.uid, 1001);
	assert_int_equal(attr.gid, 1002);
	assert_int_equal(attr.atime, 1000000001);
	assert_int_equal(fsc_setattr(&nfsc, entry.node, WEIR_SET_MODE | WEIR_SET_MTIME_NOW, &set,
					 &attr),
			0);
	assert_int_equal(attr.mode, S_IFREG | 04751);
	assert_true(attr.mtime > 1700000000);
	/* Nothing that a server can be told. */
	assert_int_equal(fsc_setattr(&nfsc, entry.node, WEIR_SET_CTIME, &set, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 04751);
	fsc_put(&nfsc, entry.node);
	unlink(nfs_host("file"));
}

static void
times_beyond_the_wire_are_clamped(void **state)
{
	struct weir_attr set = { .mtime = -1, .mtime_ns = 5 }, attr;
	struct weir_entry entry;

	nfs_host_write("file", "", 0);
	entry = nfs_look("file");
	assert_int_equal(fsc_setattr(&nfsc, entry.node, WEIR_SET_MTIME, &set, &attr), 0);
	assert_int_equal(attr.mtime, 0);
	set.mtime = INT64_C(1) << 33;
	assert_int_equal(fsc_setattr(&nfsc, entry.node, WEIR_SET_MTIME, &set, &attr), 0);
	assert_int_equal(attr.mtime, UINT32_MAX);
	fsc_put(&nfsc, entry.node);
	unlink(nfs_host("file"));
}

static void
statfs_is_the_hosts(void **state)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_STATFS, .node = nfs_root } };
	struct statvfs st;

	assert_int_equal(statvfs(nfs_host(""), &st), 0);
	assert_int_equal(fsc_run(&nfsc, &call), 0);
	assert_int_equal(call.req.out.statfs.blocks * call.req.out.statfs.frsize,
			st.f_blocks * st.f_frsize);
	assert_int_equal(call.req.out.statfs.files, st.f_files);
	assert_int_equal(call.req.out.statfs.namelen, NAME_MAX);
}

struct listing {
	unsigned int nb, nb_entries, nb_dots;
	uint64_t last;
	uint8_t seen[4000];
};

static void
see(void *arg, const struct weir_dirent *dirent)
{
	struct listing *list = arg;
	unsigned int number;
	char name[256];

	snprintf(name, sizeof(name), "%.*s", (int)dirent->name_len, dirent->name);
	list->last = dirent->next_off;
	list->nb++;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		list->nb_dots++;
		assert_null(dirent->entry);
		return;
	}
	assert_int_equal(sscanf(name, "entry%u", &number), 1);
	assert_in_range(number, 0, sizeof(list->seen) - 1);
	list->seen[number]++;
	if (dirent->entry != NULL && dirent->entry->node != NULL) {
		list->nb_entries++;
		assert_int_equal(dirent->entry->attr.ino, dirent->ino);
	}
}

static void
list_all(uint32_t flags, unsigned int at_once, unsigned int nb)
{
	static struct listing list;
	struct weir_entry dir = nfs_look("dir");
	struct weir_file *file;
	unsigned int before;

	list = (struct listing){ 0 };
	assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPENDIR, dir.node, O_DIRECTORY, &file), 0);
	do {
		before = list.nb;
		assert_int_equal(fsc_readdir(&nfsc, dir.node, file, list.last, at_once, flags, see,
						 &list),
				0);
	} while (list.nb > before);
	for (unsigned int i = 0; i < nb; i++)
		assert_int_equal(list.seen[i], 1);
	assert_int_equal(list.nb, nb + 2);
	assert_int_equal(list.nb_dots, 2);
	assert_int_equal(list.nb_entries, (flags & WEIR_FSREQ_PLUS) != 0 ? nb : 0);
	fsc_release(&nfsc, WEIR_FSOP_RELEASEDIR, dir.node, file);
	fsc_put(&nfsc, dir.node);
}

static void
large_directory_lists_completely(void **state)
{
	char name[64];

	mkdir(nfs_host("dir"), 0755);
	for (unsigned int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "dir/entry%u", i);
		nfs_host_write(name, "", 0);
	}
	list_all(0, UINT_MAX, 3000);
	list_all(WEIR_FSREQ_PLUS, UINT_MAX, 3000);
	/* A guest whose buffer is always full before the reply is used up. */
	list_all(WEIR_FSREQ_PLUS, 7, 3000);
	for (unsigned int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "dir/entry%u", i);
		unlink(nfs_host(name));
	}
	list_all(0, UINT_MAX, 0);
	rmdir(nfs_host("dir"));
}

static void
export_that_cannot_be_mounted_is_refused_by_name(void **state)
{
	char message[512];

	assert_int_not_equal(fsc_rpc("fsdev_nfs_create",
					     "{\"name\": \"n\", \"server\": \"127.0.0.1\", "
					     "\"exportname\": \"/export\", \"mount_port\": 9, "
					     "\"port\": 9}",
					     message),
			0);
	assert_non_null(strstr(message, "MOUNT of 127.0.0.1 does not answer"));
	assert_int_not_equal(fsc_rpc("fsdev_nfs_create",
					     nfs_server_params("n", ", \"transport\": \"rdma\""),
					     message),
			0);
	assert_non_null(strstr(message, "transport"));
	assert_int_not_equal(
			fsc_rpc("fsdev_nfs_create",
					nfs_server_params("n", ", \"version\": \"4.1\""), message),
			0);
	assert_non_null(strstr(message, "version"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, nfs_setup, nfs_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lookup_twice_gives_one_node_with_host_attributes),
		TEST(file_that_is_gone_on_the_server_is_stale),
		TEST(node_is_looked_up_by_itself_and_leads_nowhere_else),
		TEST(name_that_leads_out_or_is_too_long_is_refused),
		TEST(exclusive_create_has_its_mode_and_sane_times),
		TEST(create_of_what_is_there_opens_it),
		TEST(create_over_what_is_no_file_is_refused),
		TEST(objects_of_all_kinds_are_made),
		TEST(symlink_of_4095_bytes_is_kept),
		TEST(names_are_linked_renamed_and_removed),
		TEST(setattr_changes_what_it_names_and_nothing_else),
		TEST(times_beyond_the_wire_are_clamped),
		TEST(statfs_is_the_hosts),
		TEST(large_directory_lists_completely),
		TEST(export_that_cannot_be_mounted_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(int argc, char *argv[])
{
	return nfs_server_main(argv + 1, run);
}
