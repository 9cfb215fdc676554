/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Operations that list directories. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "list.h"

/* The longest name fits. */
#define BUFFER_MIN 300
#define BUFFER_MAX 32768

/* As the kernel lays it out. */
struct entry {
	uint64_t ino;
	int64_t next;
	uint16_t len;
	uint8_t type;
	char name[];
};

static void
take(struct stream *s, struct list *list, const struct entry *e)
{
	if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
		return;
	if (!stream_has(s, FEATURE_GONE) && strncmp(e->name, ".nfs", 4) == 0)
		return;
	if (list->nb == LIST_MAX)
		stream_differ(s, "more than %d names", LIST_MAX);
	snprintf(list->at[list->nb].name, sizeof(list->at[0].name), "%s", e->name);
	list->at[list->nb].next = e->next;
	list->at[list->nb].type = e->type;
	list->nb++;
}

bool
list_read_one(struct stream *s, int fd, uint32_t bytes, struct list *list)
{
	_Alignas(struct entry) char buf[BUFFER_MAX];
	const struct entry *e;
	long n, at;

	n = syscall(SYS_getdents64, fd, buf, bytes);
	if (n < 0)
		stream_differ(s, "getdents64: %s", strerror(errno));
	for (at = 0; at < n; at += e->len) {
		e = (const struct entry *)(buf + at);
		take(s, list, e);
	}
	return n > 0;
}

void
list_read(struct stream *s, int fd, uint32_t bytes, struct list *list)
{
	while (list_read_one(s, fd, bytes, list))
		;
}

uint32_t
list_count(const struct list *list, const char *name)
{
	uint32_t i, nb = 0;

	for (i = 0; i < list->nb; i++)
		nb += strcmp(list->at[i].name, name) == 0;
	return nb;
}

static bool
is_in(const struct model_inode *dir, const char *name)
{
	const struct model_name *n;

	for (n = dir->names; n != NULL; n = n->next)
		if (strcmp(n->name, name) == 0)
			return true;
	return false;
}

static void
check_list(struct stream *s, const struct list *list, const struct model_inode *dir)
{
	const struct model_name *n;
	uint32_t i, nb;

	for (n = dir->names; n != NULL; n = n->next) {
		nb = list_count(list, n->name);
		if (nb != 1)
			stream_differ(s, "%s is listed %u times", n->name, nb);
	}
	for (i = 0; i < list->nb; i++)
		if (!is_in(dir, list->at[i].name))
			stream_differ(s, "%s is listed, and should not be there", list->at[i].name);
	for (n = dir->names; n != NULL; n = n->next)
		for (i = 0; i < list->nb; i++)
			if (strcmp(list->at[i].name, n->name) == 0 &&
					list->at[i].type != DT_UNKNOWN &&
					list->at[i].type != IFTODT(n->inode->mode))
				stream_differ(s, "%s is listed as of type %u", n->name,
						list->at[i].type);
}

void
list_check(struct stream *s, int fd, const struct model_inode *dir)
{
	struct list list = { 0 };

	list_read(s, fd, BUFFER_MAX, &list);
	check_list(s, &list, dir);
}

static uint32_t
pick_buffer(struct stream *s)
{
	return stream_once_in(s, 2) ? BUFFER_MAX : BUFFER_MIN + stream_below(s, 700);
}

static int
open_dir(struct stream *s, const char *path)
{
	const int fd = openat(s->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		stream_differ(s, "open: %s", strerror(errno));
	return fd;
}

/* From any name on, the rest comes as before. */
static void
check_seek(struct stream *s, int fd, const struct list *list, uint32_t from, uint32_t bytes)
{
	struct list rest = { 0 };
	uint32_t i;

	if (lseek(fd, list->at[from].next, SEEK_SET) < 0)
		stream_differ(s, "lseek: %s", strerror(errno));
	list_read(s, fd, bytes, &rest);
	if (rest.nb != list->nb - from - 1)
		stream_differ(s, "%u names behind name %u of %u", rest.nb, from, list->nb);
	for (i = 0; i < rest.nb; i++)
		if (strcmp(rest.at[i].name, list->at[from + 1 + i].name) != 0)
			stream_differ(s, "name %u is %s, and after a seek %s", from + 1 + i,
					list->at[from + 1 + i].name, rest.at[i].name);
}

void
op_list(struct stream *s)
{
	const uint32_t bytes = pick_buffer(s), seek = (uint32_t)stream_random(s);
	struct list list = { 0 };
	struct model_inode *dir;
	char path[MODEL_PATH_MAX];
	int fd;

	pick_dir(s, path, &dir);
	stream_say(s, "list(\"%s\") by %u bytes, again behind %u", path, bytes, seek);
	model_forget_time(dir, MODEL_ATIME);
	if (!s->is_live)
		return;
	fd = open_dir(s, path);
	list_read(s, fd, bytes, &list);
	check_list(s, &list, dir);
	if (list.nb > 0)
		check_seek(s, fd, &list, seek % list.nb, bytes);
	close(fd);
}

/* Removes one name and adds one; returns the one added, which is too long to be anybody's. */
static const char *
change(struct stream *s, int fd, struct model_inode *dir)
{
	static const char *const added = "added while listing";
	struct model_place place = { .dir = dir };
	const struct model_name *n;

	for (n = dir->names; n != NULL; n = n->next)
		if (!model_is_dir(n->inode))
			break;
	if (n != NULL) {
		snprintf(place.name, sizeof(place.name), "%s", n->name);
		place.inode = n->inode;
		if (s->is_live && unlinkat(fd, place.name, 0) < 0)
			stream_differ(s, "unlink of %s: %s", place.name, strerror(errno));
		model_remove(&s->model, &place);
	}
	if (s->is_live &&
			(mkdirat(fd, added, 0700) < 0 || unlinkat(fd, added, AT_REMOVEDIR) < 0 ||
					symlinkat("x", fd, added) < 0))
		stream_differ(s, "cannot make %s: %s", added, strerror(errno));
	return added;
}

/* What is there all the time is listed once, all else at most once. */
static void
check_changed(struct stream *s, const struct list *list, const struct model_inode *dir)
{
	const struct model_name *n;
	uint32_t i;

	for (n = dir->names; n != NULL; n = n->next)
		if (list_count(list, n->name) != 1)
			stream_differ(s, "%s is listed %u times", n->name,
					list_count(list, n->name));
	for (i = 0; i < list->nb; i++)
		if (list_count(list, list->at[i].name) != 1)
			stream_differ(s, "%s is listed twice", list->at[i].name);
}

void
op_list_changing(struct stream *s)
{
	const uint32_t bytes = BUFFER_MIN + stream_below(s, 700);
	struct list list = { 0 };
	struct model_inode *dir;
	char path[MODEL_PATH_MAX];
	const char *added;
	int fd = -1;

	pick_dir(s, path, &dir);
	stream_say(s, "list(\"%s\") by %u bytes, changing it", path, bytes);
	if (s->is_live) {
		fd = open_dir(s, path);
		list_read_one(s, fd, bytes, &list);
	}
	added = change(s, fd, dir);
	model_changed(dir);
	model_forget_time(dir, MODEL_ATIME);
	if (!s->is_live)
		return;
	list_read(s, fd, bytes, &list);
	check_changed(s, &list, dir);
	if (unlinkat(fd, added, 0) < 0)
		stream_differ(s, "unlink of %s: %s", added, strerror(errno));
	close(fd);
}
