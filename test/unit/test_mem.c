/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The mem driver as guests meet it, from the worker that owns the files and from another one. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "fs_client.h"

#define NB_NAMES 300
#define MIB      (1u << 20)

static struct fs_client fsc;
static struct weir_node *root;
static char message[512];

static int
setup(unsigned int worker)
{
	if (fsc_rpc("fsdev_mem_create", "{\"name\": \"m\", \"size\": 4194304}", message) != 0)
		return -1;
	weir_role_assume_control();
	fsc_open_session(&fsc, weir_fsdev_find("m"));
	fsc.worker = worker;
	fsc.cred = (struct weir_cred){ 11, 12, 1 };
	root = weir_fsdev_root(fsc.dev);
	return 0;
}

static int
setup_at_home(void **state)
{
	return setup(0);
}

static int
setup_away(void **state)
{
	return setup(1);
}

/* Deletion reports nodes that are still held, as a guest's would be that died. */
static int
teardown(void **state)
{
	fsc_close_session(&fsc);
	return fsc_rpc("fsdev_mem_delete", "{\"name\": \"m\"}", message);
}

static struct weir_node *
make(enum weir_fsop op, struct weir_node *dir, const char *name, uint32_t mode)
{
	struct weir_entry entry;

	assert_int_equal(fsc_make(&fsc, op, dir, name, mode, 0, &entry), 0);
	return entry.node;
}

static uint64_t
pages_free(void)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_STATFS } };

	assert_int_equal(fsc_run(&fsc, &call), 0);
	assert_int_equal(call.req.out.statfs.bsize, 4096);
	assert_int_equal(call.req.out.statfs.blocks, 1024);
	return call.req.out.statfs.bfree;
}

static void
file_is_created_written_read_and_removed(void **state)
{
	struct weir_file *file;
	struct weir_entry entry, again;
	struct weir_attr attr;
	uint64_t before = pages_free();
	unsigned int i;

	fsc.umask = 027;
	assert_int_equal(fsc_create(&fsc, root, "f", O_RDWR, S_IFREG | 0666, &entry, &file), 0);
	assert_int_equal(entry.attr.mode, S_IFREG | 0640);
	assert_int_equal(entry.attr.uid, 11);
	assert_int_equal(entry.attr.gid, 12);
	assert_int_equal(entry.attr_valid_ns, 1000000000);
	fsc.umask = 0;

	for (i = 0; i < MIB; i++)
		fsc.mem[i] = (uint8_t)(i % 251);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 100, MIB, 0, 4096), MIB);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 100, 2 * MIB, MIB, 5000),
			MIB);
	assert_memory_equal(fsc.mem, fsc.mem + MIB, MIB);
	assert_int_equal(fsc_getattr(&fsc, entry.node, file, &attr), 0);
	assert_int_equal(attr.size, 100 + MIB);

	/* With O_APPEND the offset is only what the guest believes. */
	file->flags |= O_APPEND;
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10, 0, 10), 10);
	assert_int_equal(fsc_getattr(&fsc, entry.node, file, &attr), 0);
	assert_int_equal(attr.size, 110 + MIB);

	assert_int_equal(fsc_lookup(&fsc, root, "f", &again), 0);
	assert_ptr_equal(again.node, entry.node);
	fsc_put(&fsc, again.node);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "f"), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "f", &again), -ENOENT);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 100, 10, MIB, 10), 10);
	assert_memory_equal(fsc.mem, fsc.mem + MIB, 10);
	assert_int_equal(fsc_fsync(&fsc, entry.node, file, 0), 0);
	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file), 0);

	/* Its content goes with the last who know it, as soon as control has seen to that. */
	assert_true(pages_free() < before);
	fsc_put(&fsc, entry.node);
	while (pages_free() < before)
		fsc_poll();
}

static void
file_opened_with_truncation_is_empty_and_has_no_set_id_bits(void **state)
{
	struct weir_file *file;
	struct weir_entry entry;
	struct weir_attr attr;

	assert_int_equal(fsc_create(&fsc, root, "f", O_RDWR, S_IFREG | 0644, &entry, &file), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10, 0, 10), 10);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);

	/* Another guest was faster to create it. */
	assert_int_equal(
			fsc_create(&fsc, root, "f", O_RDWR | O_EXCL, 0644, &entry, &file), -EEXIST);
	assert_int_equal(fsc_create(&fsc, root, "f", O_RDWR, 0644, &entry, &file), 0);
	assert_int_equal(entry.attr.size, 10);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	attr.mode = 06755;
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_MODE, &attr, &attr), 0);
	assert_int_equal(attr.mode & 07777, 06755);
	fsc.flags = WEIR_FSREQ_KILLPRIV;
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_WRONLY | O_TRUNC, &file), 0);
	fsc.flags = 0;
	assert_int_equal(fsc_getattr(&fsc, entry.node, file, &attr), 0);
	assert_int_equal(attr.size, 0);
	assert_int_equal(attr.mode & 07777, 0755);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);

	make(WEIR_FSOP_MKDIR, root, "d", 0755);
	assert_int_equal(fsc_create(&fsc, root, "d", O_RDWR, 0644, &entry, &file), -EISDIR);
}

/* The guest's kernel has taken it for new, and asked nobody whether its caller may. */
static void
file_that_came_first_is_opened_as_its_mode_lets(void **state)
{
	struct weir_attr attr = { .mode = 0644 };
	struct weir_file *file, *other;
	struct weir_entry entry;

	assert_int_equal(fsc_create(&fsc, root, "f", O_RDWR, 0640, &entry, &file), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10, 0, 10), 10);
	fsc.cred = (struct weir_cred){ .uid = 21, .gid = 22 };
	assert_int_equal(fsc_create(&fsc, root, "f", O_RDONLY, 0644, &entry, &other), -EACCES);
	assert_int_equal(fsc_create(&fsc, root, "f", O_RDWR, 0644, &entry, &other), -EACCES);
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_MODE, &attr, &attr), 0);
	assert_int_equal(fsc_create(&fsc, root, "f", O_WRONLY, 0644, &entry, &other), -EACCES);
	assert_int_equal(fsc_create(&fsc, root, "f", O_RDONLY | O_TRUNC, 0644, &entry, &other),
			-EACCES);
	assert_int_equal(fsc_create(&fsc, root, "f", O_RDONLY, 0644, &entry, &other), 0);
	assert_int_equal(entry.attr.size, 10);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, other);
	fsc_put(&fsc, entry.node);
	fsc.cred = (struct weir_cred){ 11, 12, 1 };
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
set_id_bits_fall_with_a_write_or_a_size_where_they_are_to_fall(void **state)
{
	struct weir_attr attr = { .mode = 06775, .size = 3 };
	struct weir_file *file;
	struct weir_entry entry;

	assert_int_equal(fsc_create(&fsc, root, "f", O_RDWR, 0644, &entry, &file), 0);
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_MODE, &attr, &attr), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10, 0, 10), 10);
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_SIZE, &attr, &attr), 0);
	assert_int_equal(attr.mode & 07777, 06775);
	fsc.flags = WEIR_FSREQ_KILLPRIV;
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10, 0, 10), 10);
	fsc.flags = 0;
	assert_int_equal(fsc_getattr(&fsc, entry.node, file, &attr), 0);
	assert_int_equal(attr.mode & 07777, 0775);
	/* Without the right to execute, the group's bit is another thing. */
	attr.mode = 06745;
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_MODE, &attr, &attr), 0);
	fsc.flags = WEIR_FSREQ_KILLPRIV;
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_SIZE, &attr, &attr), 0);
	fsc.flags = 0;
	assert_int_equal(attr.mode & 07777, 02745);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
names_of_all_kinds_are_made_moved_and_removed(void **state)
{
	struct weir_node *dir = make(WEIR_FSOP_MKDIR, root, "d", S_IFDIR | 0755);
	struct weir_node *file = make(WEIR_FSOP_MKNOD, root, "f", S_IFREG | 0600);
	struct weir_entry entry;
	char target[PATH_MAX];
	struct weir_attr attr;

	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKNOD, root, "c", S_IFCHR | 0600, 0x103, &entry),
			0);
	assert_int_equal(entry.attr.rdev, 0x103);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKNOD, root, "x", S_IFDIR | 0600, 0, &entry),
			-EPERM);
	assert_int_equal(fsc_symlink(&fsc, root, "l", "some/where", &entry), 0);
	assert_int_equal(fsc_readlink(&fsc, entry.node, target), 10);
	assert_string_equal(target, "some/where");
	assert_int_equal(fsc_readlink(&fsc, file, target), -EINVAL);

	assert_int_equal(fsc_link(&fsc, file, dir, "g"), 0);
	assert_int_equal(fsc_getattr(&fsc, file, NULL, &attr), 0);
	assert_int_equal(attr.nlink, 2);
	assert_int_equal(fsc_rename(&fsc, root, "f", dir, "h", 0), 0);
	assert_int_equal(fsc_lookup(&fsc, dir, "h", &entry), 0);
	assert_ptr_equal(entry.node, file);
	assert_int_equal(fsc_rename(&fsc, root, "d", dir, "x", 0), -EINVAL);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, root, "d"), -ENOTEMPTY);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, dir, "g"), 0);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, dir, "h"), 0);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, root, "d"), 0);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "l"), 0);
}

static void
attributes_are_set_and_access_obeys_them(void **state)
{
	struct weir_node *file = make(WEIR_FSOP_MKNOD, root, "f", S_IFREG | 0600);
	const struct weir_attr set = { .mode = 0040, .gid = 77, .mtime = 5 };
	struct weir_attr attr;

	assert_int_equal(fsc_access(&fsc, file, R_OK | W_OK), 0);
	assert_int_equal(fsc_setattr(&fsc, file, WEIR_SET_MODE | WEIR_SET_GID | WEIR_SET_MTIME,
					 &set, &attr),
			0);
	assert_int_equal(attr.mode, S_IFREG | 0040);
	assert_int_equal(attr.gid, 77);
	assert_int_equal(attr.mtime, 5);
	assert_int_equal(fsc_access(&fsc, file, R_OK), -EACCES);
}

static void
verbs_on_the_wrong_kind_of_node_are_refused(void **state)
{
	struct weir_node *fifo = make(WEIR_FSOP_MKNOD, root, "p", S_IFIFO | 0600);
	struct weir_file *file, none = { .flags = O_RDWR };
	struct weir_entry entry;

	assert_int_equal(fsc_lookup(&fsc, fifo, "x", &entry), -ENOTDIR);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, fifo, "x", 0, 0, &entry), -ENOTDIR);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, fifo, "x"), -ENOTDIR);
	assert_int_equal(fsc_rename(&fsc, root, "p", fifo, "x", 0), -ENOTDIR);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, fifo, 0, &file), -ENOTDIR);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, root, 0, &file), -EISDIR);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, root, &none, 0, 10, 0, 10), -EISDIR);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, fifo, &none, 0, 10, 0, 10), -EINVAL);
}

struct listing {
	unsigned int nb, nb_nodes, nb_wrong;
	uint64_t cookie;
	unsigned int seen[NB_NAMES];
};

static void
list_one(void *arg, const struct weir_dirent *dirent)
{
	struct listing *l = arg;
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), "%.*s", (int)dirent->name_len, dirent->name);
	l->nb++;
	l->cookie = dirent->next_off;
	if (name[0] == '.')
		return;
	l->seen[strtoul(name, NULL, 10)]++;
	if (dirent->entry != NULL && dirent->entry->node != NULL) {
		l->nb_nodes++;
		l->nb_wrong += dirent->entry->attr.ino != dirent->ino || dirent->type != DT_REG ||
				!S_ISREG(dirent->entry->attr.mode);
	}
}

/* max entries a call: fewer than a batch, or more. */
static void
list_all(uint32_t flags, unsigned int max)
{
	struct listing l = { 0 };
	struct weir_file *dir;
	unsigned int before, i;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, root, 0, &dir), 0);
	do {
		before = l.nb;
		assert_int_equal(fsc_readdir(&fsc, root, dir, l.cookie, max, flags, list_one, &l),
				0);
		assert_true(l.nb - before <= max);
	} while (l.nb > before);
	assert_int_equal(l.nb, NB_NAMES + 2);
	assert_int_equal(l.nb_wrong, 0);
	assert_int_equal(l.nb_nodes, flags & WEIR_FSREQ_PLUS ? NB_NAMES : 0);
	for (i = 0; i < NB_NAMES; i++)
		assert_int_equal(l.seen[i], 1);
	fsc_release(&fsc, WEIR_FSOP_RELEASEDIR, root, dir);
}

static void
directory_is_listed_whole_whatever_fits(void **state)
{
	char name[16];
	unsigned int i;

	for (i = 0; i < NB_NAMES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		fsc_put(&fsc, make(WEIR_FSOP_MKNOD, root, name, S_IFREG | 0600));
	}
	list_all(0, 1000);
	list_all(0, 7);
	list_all(WEIR_FSREQ_PLUS, 1000);
	list_all(WEIR_FSREQ_PLUS, 50);
	/* Whoever was handed a node has put it, and the driver those that did not fit. */
	assert_int_equal(weir_fsdev_nodes(fsc.dev), 1);
}

#define NB_AT_ONCE 16

struct listing_call {
	struct fsc_call call;
	unsigned int nb;
};

static int
count_emit(struct weir_fsreq *req, const struct weir_dirent *dirent)
{
	container_of(req, struct listing_call, call.req)->nb++;
	return 0;
}

static void
directory_is_listed_by_many_requests_at_once(void **state)
{
	static struct listing_call calls[NB_AT_ONCE];
	struct weir_file *dir;
	char name[16];
	unsigned int i;

	for (i = 0; i < NB_NAMES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		fsc_put(&fsc, make(WEIR_FSOP_MKNOD, root, name, S_IFREG | 0600));
	}
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, root, 0, &dir), 0);
	for (i = 0; i < NB_AT_ONCE; i++) {
		calls[i] = (struct listing_call){
			.call.req = { .op = WEIR_FSOP_READDIR,
					.node = root,
					.file = dir,
					.emit = count_emit },
		};
		fsc_submit(&fsc, &calls[i].call);
	}
	for (i = 0; i < NB_AT_ONCE; i++) {
		assert_int_equal(fsc_wait(&calls[i].call), 0);
		assert_int_equal(calls[i].nb, NB_NAMES + 2);
	}
	fsc_release(&fsc, WEIR_FSOP_RELEASEDIR, root, dir);
}

/* Runs a verb on a file with what has been filled in. */
static int
run_on(struct fsc_call *call, enum weir_fsop op, struct weir_node *node, struct weir_file *file)
{
	call->req.op = op;
	call->req.node = node;
	call->req.file = file;
	return fsc_run(&fsc, call);
}

/* More pages than one turn takes or copies. */
static void
ranges_are_taken_copied_and_sought(void **state)
{
	struct weir_file *file, *newfile;
	struct weir_entry entry, newentry;
	struct fsc_call call = { 0 };

	assert_int_equal(fsc_create(&fsc, root, "a", O_RDWR, S_IFREG | 0644, &entry, &file), 0);
	assert_int_equal(fsc_create(&fsc, root, "b", O_RDWR, S_IFREG | 0644, &newentry, &newfile),
			0);
	call.req.in.fallocate.len = 400 * 4096;
	assert_int_equal(run_on(&call, WEIR_FSOP_FALLOCATE, entry.node, file), 0);
	assert_int_equal(pages_free(), 1024 - 401);

	call = (struct fsc_call){ .req = { .newnode = newentry.node, .newfile = newfile } };
	call.req.in.io.len = 1u << 30;
	call.req.in.io.newoff = 4096;
	assert_int_equal(run_on(&call, WEIR_FSOP_COPY_FILE_RANGE, entry.node, file), 400 * 4096);
	assert_int_equal(pages_free(), 1024 - 802);

	call = (struct fsc_call){ 0 };
	call.req.in.lseek.whence = SEEK_DATA;
	assert_int_equal(run_on(&call, WEIR_FSOP_LSEEK, newentry.node, newfile), 0);
	assert_int_equal(call.req.out.off, 4096);
	assert_int_equal(run_on(&call, WEIR_FSOP_LSEEK, root, file), -EISDIR);
	assert_int_equal(run_on(&call, WEIR_FSOP_SYNCFS, root, NULL), 0);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, newentry.node, newfile);
	fsc_put(&fsc, entry.node);
	fsc_put(&fsc, newentry.node);
}

/* An extended attribute whose value is, or comes to be, the first len bytes of guest memory. */
static int
run_xattr(enum weir_fsop op, struct weir_node *node, const char *name, uint32_t len, uint32_t flags)
{
	struct fsc_call call = { .req = { .name = name, .flags = flags } };

	call.req.in.io.len = len;
	fsc_iov(&fsc, &call.req.iov, 0, len, 3, 5);
	return run_on(&call, op, node, NULL);
}

static void
capabilities_of_a_file_fall_with_set_id_bits(void **state)
{
	static const char name[] = "security.capability";
	struct weir_entry entry;
	struct weir_file *file;
	struct weir_attr attr;

	assert_int_equal(fsc_create(&fsc, root, "f", O_RDWR, 0755, &entry, &file), 0);
	assert_int_equal(run_xattr(WEIR_FSOP_SETXATTR, entry.node, name, 20, 0), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10, 0, 10), 10);
	assert_int_equal(run_xattr(WEIR_FSOP_GETXATTR, entry.node, name, 100, 0), 20);
	fsc.flags = WEIR_FSREQ_KILLPRIV;
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10, 0, 10), 10);
	fsc.flags = 0;
	assert_int_equal(run_xattr(WEIR_FSOP_GETXATTR, entry.node, name, 100, 0), -ENODATA);
	assert_int_equal(fsc_getattr(&fsc, entry.node, file, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0755);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
attributes_beside_are_kept(void **state)
{
	struct weir_node *dir = make(WEIR_FSOP_MKDIR, root, "dir", 0755);
	struct fsc_call call = { 0 };

	memcpy(fsc.mem, "value", 5);
	assert_int_equal(run_xattr(WEIR_FSOP_SETXATTR, dir, "user.a", 5, 0), 0);
	memset(fsc.mem, 0, 10);
	assert_int_equal(run_xattr(WEIR_FSOP_GETXATTR, dir, "user.a", 100, 0), 5);
	assert_memory_equal(fsc.mem, "value\0", 6);
	assert_int_equal(run_xattr(WEIR_FSOP_GETXATTR, dir, "user.a", 0, WEIR_FSREQ_SIZE), 5);
	assert_int_equal(run_xattr(WEIR_FSOP_LISTXATTR, dir, NULL, 100, 0), 7);
	assert_int_equal(run_xattr(WEIR_FSOP_LISTXATTR, dir, NULL, 0, WEIR_FSREQ_SIZE), 7);
	assert_int_equal(run_xattr(WEIR_FSOP_REMOVEXATTR, dir, "user.a", 0, 0), 0);
	/* trusted.* is for the superuser to see. */
	assert_int_equal(run_xattr(WEIR_FSOP_SETXATTR, dir, "trusted.a", 5, 0), 0);
	assert_int_equal(run_xattr(WEIR_FSOP_LISTXATTR, dir, NULL, 100, 0), 0);
	fsc.cred.uid = 0;
	assert_int_equal(run_xattr(WEIR_FSOP_LISTXATTR, dir, NULL, 100, 0), 10);

	call.req.in.ioctl.cmd = WEIR_IOCTL_SETFLAGS;
	call.req.in.ioctl.iflags = FS_NODUMP_FL;
	assert_int_equal(run_on(&call, WEIR_FSOP_IOCTL, dir, NULL), 0);
	call.req.in.ioctl.cmd = WEIR_IOCTL_GETFSXATTR;
	assert_int_equal(run_on(&call, WEIR_FSOP_IOCTL, dir, NULL), 0);
	assert_int_equal(call.req.out.ioctl.fsxattr.xflags, FS_XFLAG_NODUMP);
	call.req.in.ioctl.cmd = WEIR_IOCTL_SETFSXATTR;
	call.req.in.ioctl.fsxattr = (struct weir_fsxattr){ .xflags = FS_XFLAG_NOATIME };
	assert_int_equal(run_on(&call, WEIR_FSOP_IOCTL, dir, NULL), 0);
	call.req.in.ioctl.fsxattr = (struct weir_fsxattr){ .projid = 1 };
	assert_int_equal(run_on(&call, WEIR_FSOP_IOCTL, dir, NULL), -EOPNOTSUPP);
	call.req.in.ioctl.cmd = WEIR_IOCTL_GETFLAGS;
	assert_int_equal(run_on(&call, WEIR_FSOP_IOCTL, dir, NULL), 0);
	assert_int_equal(call.req.out.ioctl.iflags, FS_NOATIME_FL);
	assert_int_equal(run_on(&call, WEIR_FSOP_STATX, dir, NULL), 0);
	assert_true(call.req.out.statx.stat.has_btime);
	assert_int_equal(call.req.out.statx.stat.attr.mode, S_IFDIR | 0755);
	fsc_put(&fsc, dir);
}

static void
file_without_a_name_lives_as_long_as_it_is_known(void **state)
{
	uint64_t before = pages_free();
	struct weir_file *file = calloc(1, weir_fsdev_file_size(fsc.dev));
	struct fsc_call call = { 0 };
	struct weir_node *node;

	file->flags = O_RDWR | O_CREAT;
	call.req.in.create.mode = S_IFREG | 0666;
	call.req.in.create.umask = 022;
	assert_int_equal(run_on(&call, WEIR_FSOP_TMPFILE, root, file), 0);
	node = call.req.out.entry.node;
	file->node = weir_node_id(fsc.dev, node);
	assert_int_equal(call.req.out.entry.attr.mode, S_IFREG | 0644);
	assert_int_equal(call.req.out.entry.attr.nlink, 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, node, file, 0, 10, 0, 10), 10);
	assert_int_equal(fsc_link(&fsc, node, root, "named"), 0);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "named"), 0);
	assert_int_equal(fsc_link(&fsc, node, root, "again"), -ENOENT);
	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, node, file), 0);
	fsc_put(&fsc, node);
	while (pages_free() < before)
		fsc_poll();
}

static void
labels_come_with_new_files(void **state)
{
	static const enum weir_fsop ops[] = { WEIR_FSOP_CREATE, WEIR_FSOP_TMPFILE, WEIR_FSOP_MKNOD,
		WEIR_FSOP_MKDIR, WEIR_FSOP_SYMLINK };

	assert_true(weir_fsdev_limits(fsc.dev)->security_ctx);
	for (unsigned int i = 0; i < RTE_DIM(ops); i++) {
		const char *name = i == 1 ? "unnamed" : "new";
		struct fsc_call call = {
			.req = { .op = ops[i], .node = root, .name = name, .newname = "to" },
		};

		call.req.in.create.mode = 0644;
		call.req.in.create.label_name = "security.selinux";
		call.req.in.create.label = "label";
		call.req.in.create.label_len = 5;
		if (i < 2)
			call.req.file = calloc(1, weir_fsdev_file_size(fsc.dev));
		assert_int_equal(fsc_run(&fsc, &call), 0);
		memset(fsc.mem, 0, 10);
		assert_int_equal(run_xattr(WEIR_FSOP_GETXATTR, call.req.out.entry.node,
						 "security.selinux", 100, 0),
				5);
		assert_memory_equal(fsc.mem, "label\0", 6);
		if (i < 2)
			assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE,
							 call.req.out.entry.node, call.req.file),
					0);
		fsc_put(&fsc, call.req.out.entry.node);
		if (i != 1)
			assert_int_equal(fsc_remove(&fsc,
							 ops[i] == WEIR_FSOP_MKDIR ?
									 WEIR_FSOP_RMDIR :
									 WEIR_FSOP_UNLINK,
							 root, "new"),
					0);
	}
}

static void
without_extended_attributes_there_are_none(void **state)
{
	struct fs_client first = fsc;

	assert_int_equal(fsc_rpc("fsdev_mem_create", "{\"name\": \"x\", \"enable_xattr\": false}",
					 message),
			0);
	weir_role_assume_control();
	fsc_open_session(&fsc, weir_fsdev_find("x"));
	assert_false(weir_fsdev_limits(fsc.dev)->posix_acl);
	assert_false(weir_fsdev_limits(fsc.dev)->security_ctx);
	assert_int_equal(run_xattr(WEIR_FSOP_GETXATTR, weir_fsdev_root(fsc.dev), "user.a", 0,
					 WEIR_FSREQ_SIZE),
			-ENOSYS);
	fsc_close_session(&fsc);
	assert_int_equal(fsc_rpc("fsdev_mem_delete", "{\"name\": \"x\"}", message), 0);
	fsc = first;
}

static void
requests_detached_under_way_are_fenced_and_end(void **state)
{
	static const enum weir_fsop ops[] = { WEIR_FSOP_GETATTR, WEIR_FSOP_WRITE,
		WEIR_FSOP_SETXATTR, WEIR_FSOP_GETXATTR, WEIR_FSOP_LISTXATTR };
	static struct fsc_call calls[NB_AT_ONCE];
	struct weir_file *file;
	struct weir_entry entry;
	unsigned int i;

	assert_int_equal(fsc_create(&fsc, root, "f", O_RDWR, S_IFREG | 0644, &entry, &file), 0);
	for (i = 0; i < NB_AT_ONCE; i++) {
		calls[i] = (struct fsc_call){
			.req = { .op = ops[i % RTE_DIM(ops)],
					.node = entry.node,
					.file = file,
					.name = "user.a" },
		};
		calls[i].req.in.io.len = ops[i % RTE_DIM(ops)] == WEIR_FSOP_WRITE ? MIB : 1000;
		fsc_iov(&fsc, &calls[i].req.iov, 0, MIB, 4096, 4096);
		fsc_submit(&fsc, &calls[i]);
	}
	for (i = 0; i < NB_AT_ONCE; i++)
		fsc_detach(&calls[i]);
	for (i = 0; i < NB_AT_ONCE; i++) {
		fsc_wait(&calls[i]);
		assert_true(atomic_load(&calls[i].fenced));
	}
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
}

/* Requests of our own, which wait for nothing: the table is used up before control can act. */
struct burst {
	struct weir_fsdev *dev;
	struct burst_req {
		struct weir_fsreq req;
		char name[8];
		_Atomic bool done;
		int res;
	} reqs[64];
	unsigned int nb_done, nb_waiting; /* the worker's */
};

static void
burst_done(struct weir_fsreq *req, int res)
{
	struct burst_req *r = container_of(req, struct burst_req, req);

	r->res = res;
	atomic_store(&r->done, true);
}

/* A request that is answered at once is used again, until all of them wait for control. */
static void
burst_run(void *arg)
{
	struct burst *b = arg;
	struct burst_req *r;

	weir_role_assume_worker();
	while (b->nb_waiting < RTE_DIM(b->reqs)) {
		r = &b->reqs[b->nb_waiting];
		snprintf(r->name, sizeof(r->name), "%u", b->nb_done + b->nb_waiting);
		r->req = (struct weir_fsreq){
			.op = WEIR_FSOP_MKNOD,
			.chan = weir_fsdev_channel(b->dev),
			.node = weir_fsdev_root(b->dev),
			.name = r->name,
			.done = burst_done,
		};
		weir_fsdev_submit(&r->req);
		if (!atomic_load(&r->done) || r->res != 0) {
			b->nb_waiting++;
			continue;
		}
		atomic_store(&r->done, false);
		b->nb_done++;
	}
}

static void
nodes_faster_than_control_wait_for_the_table_to_grow(void **state)
{
	static struct burst b;
	unsigned int i;

	assert_int_equal(fsc_rpc("fsdev_mem_create", "{\"name\": \"b\"}", message), 0);
	weir_role_assume_control();
	b.dev = weir_fsdev_find("b");
	weir_worker_sync(weir_worker_at(0), burst_run, &b);
	assert_true(b.nb_done > 1000);
	for (i = 0; i < RTE_DIM(b.reqs); i++) {
		while (!atomic_load(&b.reqs[i].done))
			fsc_poll();
		assert_int_equal(b.reqs[i].res, 0);
	}
	assert_int_equal(weir_fsdev_nodes(b.dev), b.nb_done + RTE_DIM(b.reqs) + 1);
	assert_int_equal(fsc_rpc("fsdev_mem_delete", "{\"name\": \"b\"}", message), 0);
}

static void
create_with_bad_parameters_is_refused_by_name(void **state)
{
	assert_true(fsc_rpc("fsdev_mem_create", "{\"name\": \"m\", \"size\": 1}", message) < 0);
	assert_non_null(strstr(message, "size"));
	assert_true(fsc_rpc("fsdev_mem_create", "{\"name\": \"m\", \"max_xfer_size\": 4095}",
				    message) < 0);
	assert_non_null(strstr(message, "max_"));
}

#define AT_HOME(name)                                                                              \
	{                                                                                          \
#name " (home worker)", name, setup_at_home, teardown, NULL                        \
	}
#define AWAY(name)                                                                                 \
	{                                                                                          \
#name " (another worker)", name, setup_away, teardown, NULL                        \
	}
#define BOTH(name) AT_HOME(name), AWAY(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(file_is_created_written_read_and_removed),
		BOTH(file_opened_with_truncation_is_empty_and_has_no_set_id_bits),
		BOTH(file_that_came_first_is_opened_as_its_mode_lets),
		BOTH(set_id_bits_fall_with_a_write_or_a_size_where_they_are_to_fall),
		BOTH(names_of_all_kinds_are_made_moved_and_removed),
		BOTH(attributes_are_set_and_access_obeys_them),
		BOTH(verbs_on_the_wrong_kind_of_node_are_refused),
		BOTH(directory_is_listed_whole_whatever_fits),
		BOTH(directory_is_listed_by_many_requests_at_once),
		BOTH(ranges_are_taken_copied_and_sought),
		BOTH(capabilities_of_a_file_fall_with_set_id_bits),
		BOTH(attributes_beside_are_kept),
		BOTH(file_without_a_name_lives_as_long_as_it_is_known),
		BOTH(labels_come_with_new_files),
		AT_HOME(without_extended_attributes_there_are_none),
		BOTH(requests_detached_under_way_are_fenced_and_end),
		cmocka_unit_test(nodes_faster_than_control_wait_for_the_table_to_grow),
		cmocka_unit_test(create_with_bad_parameters_is_refused_by_name),
	};
	int rc;

	if (fsc_start("(0-2)@0") < 0)
		return 77;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fsc_stop();
	return rc;
}
