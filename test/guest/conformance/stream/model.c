/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

static void *
model_alloc(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (p == NULL)
		abort();
	return p;
}

bool
model_is_dir(const struct model_inode *inode)
{
	return S_ISDIR(inode->mode);
}

bool
model_is_empty(const struct model_inode *dir)
{
	return dir->names == NULL;
}

uint32_t
model_nb_names(const struct model_inode *dir)
{
	const struct model_name *n;
	uint32_t nb = 0;

	for (n = dir->names; n != NULL; n = n->next)
		nb++;
	return nb;
}

void
model_forget_time(struct model_inode *inode, enum model_time which)
{
	inode->is_known[which] = false;
}

void
model_changed(struct model_inode *inode)
{
	model_forget_time(inode, MODEL_MTIME);
	model_forget_time(inode, MODEL_CTIME);
}

struct model_inode *
model_make(struct model *m, const struct model_inode *dir, uint32_t mode)
{
	struct model_inode *inode = model_alloc(sizeof(*inode));

	inode->mode = mode;
	if (dir != NULL && (dir->mode & S_ISGID) != 0) {
		inode->gid = dir->gid;
		if (S_ISDIR(mode))
			inode->mode |= S_ISGID;
	}
	if (S_ISREG(mode))
		inode->data = model_alloc(MODEL_FILE_MAX);
	inode->next = m->all;
	m->all = inode;
	m->nb_inodes++;
	return inode;
}

void
model_put(struct model *m, struct model_inode *inode)
{
	struct model_inode **at = &m->all;

	if (inode->nb_open > 0 || inode->nlink > 0)
		return;
	while (*at != inode)
		at = &(*at)->next;
	*at = inode->next;
	m->nb_inodes--;
	free(inode->data);
	free(inode->target);
	free(inode);
}

void
model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	m->root = model_make(m, NULL, S_IFDIR | 0755);
	m->root->nlink = 2;
	m->root->parent = m->root;
}

void
model_fini(struct model *m)
{
	struct model_inode *inode;
	struct model_name *n;

	for (inode = m->all; inode != NULL; inode = inode->next) {
		while ((n = inode->names) != NULL) {
			inode->names = n->next;
			free(n);
		}
	}
	while ((inode = m->all) != NULL) {
		inode->nlink = 0;
		inode->nb_open = 0;
		model_put(m, inode);
	}
}

static struct model_name *
name_of(const struct model_inode *dir, const char *name)
{
	struct model_name *n;

	for (n = dir->names; n != NULL; n = n->next)
		if (strcmp(n->name, name) == 0)
			return n;
	return NULL;
}

/* Takes the first component off a path; returns the rest, NULL if there is none. */
static char *
split(char *path, char *name)
{
	char *slash = strchr(path, '/');
	const size_t len = slash == NULL ? strlen(path) : (size_t)(slash - path);

	memcpy(name, path, len);
	name[len] = '\0';
	return slash == NULL ? NULL : slash + 1;
}

int
model_walk(struct model *m, const char *path, enum model_follow follow, struct model_place *place)
{
	char now[MODEL_PATH_MAX], next[2 * MODEL_PATH_MAX];
	struct model_inode *dir = m->root, *inode;
	struct model_name *n;
	unsigned int links = 0;
	char *rest;

	snprintf(now, sizeof(now), "%s", path);
	for (;;) {
		rest = split(now, place->name);
		n = name_of(dir, place->name);
		inode = n == NULL ? NULL : n->inode;
		if (inode != NULL && S_ISLNK(inode->mode) &&
				(rest != NULL || follow == MODEL_FOLLOW)) {
			if (++links > MODEL_LINKS_MAX)
				return -ELOOP;
			model_forget_time(inode, MODEL_ATIME);
			snprintf(next, sizeof(next), "%s%s%s", inode->target,
					rest == NULL ? "" : "/", rest == NULL ? "" : rest);
			if (strlen(next) >= sizeof(now))
				return -ENAMETOOLONG;
			memcpy(now, next, strlen(next) + 1);
			continue;
		}
		if (rest == NULL)
			break;
		if (inode == NULL)
			return -ENOENT;
		if (!model_is_dir(inode))
			return -ENOTDIR;
		dir = inode;
		memmove(now, rest, strlen(rest) + 1);
	}
	place->dir = dir;
	place->inode = inode;
	return 0;
}

int
model_find(struct model *m, const char *path, enum model_follow follow, struct model_place *place)
{
	const int rc = model_walk(m, path, follow, place);

	return rc == 0 && place->inode == NULL ? -ENOENT : rc;
}

void
model_enter(struct model_place *place, struct model_inode *inode)
{
	struct model_name *n = model_alloc(sizeof(*n));

	snprintf(n->name, sizeof(n->name), "%s", place->name);
	n->inode = inode;
	n->next = place->dir->names;
	place->dir->names = n;
	place->inode = inode;
	inode->nlink++;
	if (model_is_dir(inode)) {
		inode->nlink = inode->nlink < 2 ? 2 : inode->nlink - 1;
		inode->parent = place->dir;
		place->dir->nlink++;
	}
	model_changed(place->dir);
	model_forget_time(inode, MODEL_CTIME);
}

/* Takes the name alone. */
static void
name_drop(const struct model_place *place)
{
	struct model_name **at = &place->dir->names, *n;

	while (strcmp((*at)->name, place->name) != 0)
		at = &(*at)->next;
	n = *at;
	*at = n->next;
	free(n);
	if (model_is_dir(place->inode))
		place->dir->nlink--;
	model_changed(place->dir);
	model_forget_time(place->inode, MODEL_CTIME);
}

void
model_remove(struct model *m, const struct model_place *place)
{
	struct model_inode *inode = place->inode;

	name_drop(place);
	if (model_is_dir(inode)) {
		inode->parent = NULL;
		inode->nlink = 0;
		model_changed(inode);
	} else {
		inode->nlink--;
		inode->has_lost = true;
		place->dir->has_lost = true;
	}
	model_put(m, inode);
}

static bool
is_below(const struct model_inode *inode, const struct model_inode *ancestor)
{
	for (; inode != ancestor; inode = inode->parent)
		if (inode->parent == inode)
			return false;
	return true;
}

static void
exchange(struct model_place *a, struct model_place *b)
{
	struct model_inode *x = a->inode, *y = b->inode;

	name_of(a->dir, a->name)->inode = y;
	name_of(b->dir, b->name)->inode = x;
	if (model_is_dir(x)) {
		x->parent = b->dir;
		a->dir->nlink--;
		b->dir->nlink++;
	}
	if (model_is_dir(y)) {
		y->parent = a->dir;
		b->dir->nlink--;
		a->dir->nlink++;
	}
	model_changed(a->dir);
	model_changed(b->dir);
	model_forget_time(x, MODEL_CTIME);
	model_forget_time(y, MODEL_CTIME);
}

static void
move(struct model *m, struct model_place *a, struct model_place *b)
{
	struct model_inode *inode = a->inode;

	if (b->inode != NULL)
		model_remove(m, b);
	name_drop(a);
	/* A directory's own link and the one from its parent are what model_enter() would add. */
	if (!model_is_dir(inode))
		inode->nlink--;
	model_enter(b, inode);
	/* Its ".." has changed. */
	if (model_is_dir(inode))
		model_changed(inode);
}

/* In the order in which Linux refuses. */
static int
rename_check(const struct model_place *a, const struct model_place *b, unsigned int flags)
{
	if ((flags & RENAME_NOREPLACE) != 0 && b->inode != NULL)
		return -EEXIST;
	if ((flags & RENAME_EXCHANGE) != 0 && b->inode == NULL)
		return -ENOENT;
	if (model_is_dir(a->inode) && is_below(b->dir, a->inode))
		return -EINVAL;
	if (b->inode != NULL && model_is_dir(b->inode) && is_below(a->dir, b->inode))
		return (flags & RENAME_EXCHANGE) != 0 ? -EINVAL : -ENOTEMPTY;
	if (b->inode == NULL || b->inode == a->inode || (flags & RENAME_EXCHANGE) != 0)
		return 0;
	if (model_is_dir(a->inode) && !model_is_dir(b->inode))
		return -ENOTDIR;
	if (!model_is_dir(a->inode) && model_is_dir(b->inode))
		return -EISDIR;
	return model_is_dir(b->inode) && !model_is_empty(b->inode) ? -ENOTEMPTY : 0;
}

int
model_rename(struct model *m, const char *from, const char *to, unsigned int flags)
{
	struct model_place a, b;
	int rc;

	rc = model_walk(m, from, MODEL_NOFOLLOW, &a);
	if (rc == 0)
		rc = model_walk(m, to, MODEL_NOFOLLOW, &b);
	if (rc == 0 && a.inode == NULL)
		rc = -ENOENT;
	if (rc == 0)
		rc = rename_check(&a, &b, flags);
	if (rc < 0 || a.inode == b.inode)
		return rc;
	if ((flags & RENAME_EXCHANGE) != 0)
		exchange(&a, &b);
	else
		move(m, &a, &b);
	return 0;
}

void
model_write(struct model_inode *inode, uint64_t off, const void *bytes, uint64_t len)
{
	memcpy(inode->data + off, bytes, len);
	if (off + len > inode->size)
		inode->size = off + len;
	model_changed(inode);
}

void
model_truncate(struct model_inode *inode, uint64_t size)
{
	if (size < inode->size)
		memset(inode->data + size, 0, inode->size - size);
	inode->size = size;
	model_changed(inode);
}

void
model_zero(struct model_inode *inode, uint64_t off, uint64_t len)
{
	const uint64_t end = off + len < inode->size ? off + len : inode->size;

	if (off < end)
		memset(inode->data + off, 0, end - off);
	model_changed(inode);
}
