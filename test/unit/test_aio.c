/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The aio driver on real file systems, with io_uring and without: names and attributes. */

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
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

static void
aio_lookup_of_nothing_is_enoent(void **state)
{
	struct weir_entry entry;

	assert_int_equal(fsc_lookup(&fsc, root, "nothing", &entry), -ENOENT);
	/* Once more, when the kernel has it cached. */
	assert_int_equal(fsc_lookup(&fsc, root, "nothing", &entry), -ENOENT);
}

static void
aio_lookup_twice_gives_one_node_with_host_attributes(void **state)
{
	struct weir_entry a, b;
	struct stat st;

	host_write("twice", "abc", 3);
	st = host_stat("twice");
	a = look_entry("twice");
	b = look_entry("twice");
	assert_ptr_equal(a.node, b.node);
	assert_int_equal(a.node->type, S_IFREG);
	assert_int_equal(b.attr.ino, st.st_ino);
	assert_int_equal(b.attr.size, 3);
	assert_int_equal(b.attr.mode, st.st_mode);
	assert_int_equal(b.attr.nlink, 1);
	assert_int_equal(b.attr.mtime, st.st_mtim.tv_sec);
	assert_int_equal(b.attr.mtime_ns, st.st_mtim.tv_nsec);
	fsc_put(&fsc, a.node);
	fsc_put(&fsc, b.node);
	unlink(host("twice"));
}

static void
aio_inode_number_used_again_is_another_node(void **state)
{
	struct weir_entry first, next = { 0 };
	struct weir_attr attr;
	unsigned int i;

	host_write("again", "1", 1);
	first = look_entry("again");
	/* Whether the number comes back or not, and when: the old node never names a new file. */
	for (i = 0; i < 8; i++) {
		unlink(host("again"));
		host_write("again", "22", 2);
		next = look_entry("again");
		assert_ptr_not_equal(next.node, first.node);
		if (fsc_getattr(&fsc, first.node, NULL, &attr) == 0)
			assert_int_equal(attr.nlink, 0);
		fsc_put(&fsc, next.node);
	}
	fsc_put(&fsc, first.node);
	unlink(host("again"));
}

static void
aio_name_that_is_no_component_is_refused(void **state)
{
	static const char *const names[] = { "..", ".", "a/b", "/etc", "../x", "" };
	struct weir_entry entry;
	struct weir_file *file;
	unsigned int i;

	for (i = 0; i < RTE_DIM(names); i++) {
		assert_int_equal(fsc_lookup(&fsc, root, names[i], &entry), -EINVAL);
		assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, names[i], 0755, 0, &entry),
				-EINVAL);
		assert_int_equal(fsc_create(&fsc, root, names[i], O_RDWR, 0644, &entry, &file),
				-EINVAL);
		assert_int_equal(fsc_symlink(&fsc, root, names[i], "x", &entry), -EINVAL);
		assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, names[i]), -EINVAL);
		assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, root, names[i]), -EINVAL);
		assert_int_equal(fsc_rename(&fsc, root, names[i], root, "x", 0), -EINVAL);
		assert_int_equal(fsc_rename(&fsc, root, "x", root, names[i], 0), -EINVAL);
		assert_int_equal(fsc_link(&fsc, root, root, names[i]), -EINVAL);
	}
}

static void
aio_name_of_255_bytes_is_kept(void **state)
{
	struct weir_entry entry;
	char name[256];

	memset(name, 'n', 255);
	name[255] = '\0';
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, name, 0755, 0, &entry), 0);
	fsc_put(&fsc, entry.node);
	assert_true(S_ISDIR(host_stat(name).st_mode));
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, root, name), 0);
	assert_int_equal(access(host(name), F_OK), -1);
}

static void
aio_symlink_is_read_and_never_followed(void **state)
{
	struct weir_entry link, entry;
	char target[PATH_MAX];
	struct weir_file *file;
	struct weir_attr attr;

	assert_int_equal(fsc_symlink(&fsc, root, "etc", "/etc", &link), 0);
	assert_int_equal(link.node->type, S_IFLNK);
	assert_int_equal(link.attr.size, 4);
	assert_int_equal(fsc_readlink(&fsc, link.node, target), 4);
	assert_string_equal(target, "/etc");
	/* As a directory, as a file, as a target of changes: it is a link and nothing else. */
	assert_int_equal(fsc_lookup(&fsc, link.node, "passwd", &entry), -ENOTDIR);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, link.node, O_RDONLY, &file), -ELOOP);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, link.node, O_RDONLY, &file), -ENOTDIR);
	assert_int_equal(
			fsc_make(&fsc, WEIR_FSOP_MKDIR, link.node, "x", 0755, 0, &entry), -ENOTDIR);
	assert_int_equal(fsc_create(&fsc, link.node, "x", O_RDWR, 0644, &entry, &file), -ENOTDIR);
	assert_int_equal(fsc_create(&fsc, root, "etc", O_RDWR, 0644, &entry, &file), -ELOOP);
	attr = (struct weir_attr){ .mode = 0777 };
	assert_int_equal(fsc_setattr(&fsc, link.node, WEIR_SET_MODE, &attr, &attr), -EOPNOTSUPP);
	attr = (struct weir_attr){ .size = 0 };
	assert_int_equal(fsc_setattr(&fsc, link.node, WEIR_SET_SIZE, &attr, &attr), -EINVAL);
	attr = (struct weir_attr){ .mtime = 1000, .atime = 2000 };
	assert_int_equal(
			fsc_setattr(&fsc, link.node, WEIR_SET_MTIME | WEIR_SET_ATIME, &attr, &attr),
			0);
	assert_int_equal(host_stat("etc").st_mtim.tv_sec, 1000);
	fsc_put(&fsc, link.node);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "etc"), 0);
}

static void
aio_directory_moved_meanwhile_keeps_its_node_inside(void **state)
{
	struct weir_entry a, b, entry;

	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, "a", 0755, 0, &a), 0);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, a.node, "b", 0755, 0, &b), 0);
	/* The host turns the old place into a way out. */
	assert_int_equal(rename(host("a"), host("moved")), 0);
	assert_int_equal(symlink("/etc", host("a")), 0);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, b.node, "c", 0755, 0, &entry), 0);
	fsc_put(&fsc, entry.node);
	assert_true(S_ISDIR(host_stat("moved/b/c").st_mode));
	assert_int_equal(fsc_lookup(&fsc, a.node, "passwd", &entry), -ENOENT);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, b.node, "c"), 0);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, a.node, "b"), 0);
	fsc_put(&fsc, a.node);
	fsc_put(&fsc, b.node);
	unlink(host("a"));
	rmdir(host("moved"));
}

static void
aio_special_file_is_not_opened(void **state)
{
	struct weir_entry entry, again;
	struct weir_file *file;

	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKNOD, root, "fifo", S_IFIFO | 0644, 0, &entry),
			0);
	assert_int_equal(entry.node->type, S_IFIFO);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &file), -ENXIO);
	assert_int_equal(fsc_create(&fsc, root, "fifo", O_RDWR, 0644, &again, &file), -ENXIO);
	fsc_put(&fsc, entry.node);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "fifo"), 0);
}

static void
aio_rename_obeys_its_flags(void **state)
{
	char data[4];

	host_write("one", "1", 1);
	host_write("two", "2", 1);
	assert_int_equal(fsc_rename(&fsc, root, "one", root, "two", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(fsc_rename(&fsc, root, "one", root, "two", 1u << 10), -EINVAL);
	assert_int_equal(fsc_rename(&fsc, root, "one", root, "two", RENAME_EXCHANGE), 0);
	assert_int_equal(host_read("one", data, 4), 1);
	assert_int_equal(data[0], '2');
	assert_int_equal(fsc_rename(&fsc, root, "one", root, "two", 0), 0);
	assert_int_equal(host_read("two", data, 4), 1);
	assert_int_equal(data[0], '2');
	assert_int_equal(access(host("one"), F_OK), -1);
	unlink(host("two"));
}

static void
aio_hard_link_is_the_same_node(void **state)
{
	struct weir_entry a, b;

	host_write("name1", "x", 1);
	a = look_entry("name1");
	assert_int_equal(fsc_link(&fsc, a.node, root, "name2"), 0);
	assert_int_equal(fsc_link(&fsc, a.node, root, "name2"), -EEXIST);
	b = look_entry("name2");
	assert_ptr_equal(a.node, b.node);
	assert_int_equal(b.attr.nlink, 2);
	fsc_put(&fsc, a.node);
	fsc_put(&fsc, b.node);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "name1"), 0);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "name2"), 0);
}

static void
aio_setattr_changes_what_it_names_and_nothing_else(void **state)
{
	struct weir_attr set = { .mode = 06751, .size = 5000, .mtime = -5, .mtime_ns = 7 };
	struct weir_entry entry;
	struct weir_attr attr;
	struct stat before;

	host_write("file", "data", 4);
	before = host_stat("file");
	entry = look_entry("file");
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_MODE, &set, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 06751);
	assert_int_equal(attr.size, 4);
	assert_int_equal(attr.mtime, before.st_mtim.tv_sec);
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_SIZE, &set, &attr), 0);
	assert_int_equal(attr.size, 5000);
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_MTIME, &set, &attr), 0);
	assert_int_equal(attr.mtime, -5);
	assert_int_equal(attr.mtime_ns, 7);
	assert_int_equal(attr.atime, before.st_atim.tv_sec);
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_MTIME | WEIR_SET_MTIME_NOW, &set,
					 &attr),
			0);
	assert_true(attr.mtime >= before.st_mtim.tv_sec);
	set.mtime_ns = 1000000000;
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_MTIME, &set, &attr), -EINVAL);
	fsc_put(&fsc, entry.node);
	unlink(host("file"));
}

static void
aio_statfs_is_the_hosts(void **state)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_STATFS, .node = root } };

	assert_int_equal(fsc_run(&fsc, &call), 0);
	assert_int_equal(call.req.out.statfs.namelen, 255);
	assert_true(call.req.out.statfs.blocks > 0);
}

struct listing {
	unsigned int nb, dots, with_node;
	uint64_t last_off;
	uint8_t seen[10000];
	struct weir_dirent first;
	char first_name[256];
};

static void
listing_see(void *arg, const struct weir_dirent *dirent)
{
	struct listing *list = arg;
	char name[256];
	unsigned int i;

	snprintf(name, sizeof(name), "%.*s", (int)dirent->name_len, dirent->name);
	if (list->nb == 0)
		snprintf(list->first_name, sizeof(list->first_name), "%s", name);
	list->nb++;
	list->last_off = dirent->next_off;
	assert_true(dirent->ino != 0);
	if (dirent->entry != NULL) {
		assert_int_equal(dirent->entry->attr.ino, dirent->ino);
		list->with_node++;
	}
	if (name[0] == '.') {
		assert_null(dirent->entry);
		list->dots++;
	} else if (sscanf(name, "e%u", &i) == 1) {
		assert_true(i < RTE_DIM(list->seen));
		list->seen[i]++;
	}
}

/* Lists a directory, at most max entries a request. */
static void
list_all(struct weir_node *dir, uint32_t flags, unsigned int max, struct listing *list)
{
	struct weir_file *file;
	unsigned int before;

	memset(list, 0, sizeof(*list));
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, dir, O_RDONLY, &file), 0);
	do {
		before = list->nb;
		assert_int_equal(fsc_readdir(&fsc, dir, file, list->last_off, max, flags,
						 listing_see, list),
				0);
	} while (list->nb > before);
	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASEDIR, dir, file), 0);
}

static void
aio_large_directory_lists_completely(void **state)
{
	const unsigned int nb = aio_variant->large;
	static struct listing list;
	struct weir_entry dir;
	struct weir_file *file;
	char name[32];
	unsigned int i;
	int fd;

	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, "large", 0755, 0, &dir), 0);
	for (i = 0; i < nb; i++) {
		snprintf(name, sizeof(name), "large/e%u", i);
		fd = open(host(name), O_WRONLY | O_CREAT, 0644);
		assert_true(fd >= 0);
		close(fd);
	}
	list_all(dir.node, 0, 100, &list);
	assert_int_equal(list.nb, nb + 2);
	assert_int_equal(list.dots, 2);
	for (i = 0; i < nb; i++)
		assert_int_equal(list.seen[i], 1);
	list_all(dir.node, WEIR_FSREQ_PLUS, 50, &list);
	assert_int_equal(list.nb, nb + 2);
	assert_int_equal(list.with_node, nb);
	for (i = 0; i < nb; i++)
		assert_int_equal(list.seen[i], 1);

	/* rewinddir: back to the start in the same open directory. */
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, dir.node, O_RDONLY, &file), 0);
	memset(&list, 0, sizeof(list));
	assert_int_equal(fsc_readdir(&fsc, dir.node, file, 0, 10, 0, listing_see, &list), 0);
	snprintf(name, sizeof(name), "%.31s", list.first_name);
	list.nb = 0;
	assert_int_equal(fsc_readdir(&fsc, dir.node, file, 0, 10, 0, listing_see, &list), 0);
	assert_int_equal(list.nb, 10);
	assert_string_equal(name, list.first_name);
	assert_int_equal(fsc_readdir(&fsc, dir.node, file, 0, 0, 0, listing_see, &list), -EINVAL);
	fsc_release(&fsc, WEIR_FSOP_RELEASEDIR, dir.node, file);

	for (i = 0; i < nb; i++) {
		snprintf(name, sizeof(name), "e%u", i);
		if (i < 100)
			assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, dir.node, name), 0);
		snprintf(name, sizeof(name), "large/e%u", i);
		unlink(host(name));
	}
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, root, "large"), 0);
	fsc_put(&fsc, dir.node);
}

static void
dots_see(void *arg, const struct weir_dirent *dirent)
{
	if (dirent->name_len <= 2 && dirent->name[0] == '.')
		((uint64_t *)arg)[dirent->name_len - 1] = dirent->ino;
}

static void
aio_dotdot_of_the_root_is_the_root(void **state)
{
	uint64_t ino[2] = { 0 };
	struct weir_attr attr;
	struct weir_file *file;

	assert_int_equal(fsc_getattr(&fsc, root, NULL, &attr), 0);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, root, O_RDONLY, &file), 0);
	assert_int_equal(fsc_readdir(&fsc, root, file, 0, 1000, 0, dots_see, ino), 0);
	fsc_release(&fsc, WEIR_FSOP_RELEASEDIR, root, file);
	assert_int_equal(ino[0], attr.ino);
	assert_int_equal(ino[1], attr.ino);
}

static void
aio_more_links_than_buffers_are_all_read(void **state)
{
	enum {
		NB = 100
	};
	static struct fsc_call calls[NB];
	static struct weir_seg segs[NB];
	struct weir_entry link;
	unsigned int i;

	assert_int_equal(fsc_symlink(&fsc, root, "link", "target", &link), 0);
	for (i = 0; i < NB; i++) {
		segs[i] = (struct weir_seg){ .off = i * 64, .len = 64 };
		calls[i] = (struct fsc_call){
			.req = { .op = WEIR_FSOP_READLINK, .node = link.node },
		};
		weir_iov_init(&calls[i].req.iov, fsc.map, &segs[i], 1);
		fsc_submit(&fsc, &calls[i]);
	}
	for (i = 0; i < NB; i += 7)
		fsc_detach(&calls[i]);
	for (i = 0; i < NB; i++) {
		fsc_wait(&calls[i]);
		if (i % 7 == 0) {
			assert_true(atomic_load(&calls[i].fenced));
		} else {
			assert_int_equal(calls[i].res, 6);
			assert_memory_equal(fsc.mem + i * 64, "target", 6);
		}
	}
	fsc_put(&fsc, link.node);
	unlink(host("link"));
}

static const struct CMUnitTest folder_tests[] = {
	cmocka_unit_test(aio_lookup_of_nothing_is_enoent),
	cmocka_unit_test(aio_lookup_twice_gives_one_node_with_host_attributes),
	cmocka_unit_test(aio_inode_number_used_again_is_another_node),
	cmocka_unit_test(aio_name_that_is_no_component_is_refused),
	cmocka_unit_test(aio_name_of_255_bytes_is_kept),
	cmocka_unit_test(aio_symlink_is_read_and_never_followed),
	cmocka_unit_test(aio_directory_moved_meanwhile_keeps_its_node_inside),
	cmocka_unit_test(aio_special_file_is_not_opened),
	cmocka_unit_test(aio_rename_obeys_its_flags),
	cmocka_unit_test(aio_hard_link_is_the_same_node),
	cmocka_unit_test(aio_setattr_changes_what_it_names_and_nothing_else),
	cmocka_unit_test(aio_statfs_is_the_hosts),
	cmocka_unit_test(aio_large_directory_lists_completely),
	cmocka_unit_test(aio_dotdot_of_the_root_is_the_root),
	cmocka_unit_test(aio_more_links_than_buffers_are_all_read),
};

int
main(void)
{
	return aio_folder_run(folder_tests, RTE_DIM(folder_tests));
}
