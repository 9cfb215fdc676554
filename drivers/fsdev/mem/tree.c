/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Directories. A name is a record in two structures: a hash of all names of the file system, to look
 * it up, and the list of its directory in order of age, to read it. Its age is its cookie, so a
 * reader's position means the same whatever comes and goes around it; an entry that is renamed over,
 * or exchanged, keeps its place.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "inode.h"
#include "xattr.h"

/* Cookies are those of the entry before: after ".", after "..", after the first name. */
#define COOKIE_DOT    1
#define COOKIE_DOTDOT 2
#define COOKIE_FIRST  3

/* The seed keeps a guest from choosing names that collide. */
static uint32_t *
names_bucket(const struct memfs *fs, uint32_t dir, const char *text, size_t len)
{
	uint64_t h = fs->seed ^ dir;
	size_t i;

	for (i = 0; i < len; i++) {
		h = (h ^ (uint8_t)text[i]) * UINT64_C(0x9fb21c651e98df25);
		h ^= h >> 32;
	}
	return &fs->buckets[h & fs->bucket_mask];
}

static struct memfs_name *
names_at(const struct memfs *fs, uint32_t index)
{
	return index != 0 ? mem_pool_at(&fs->names, index) : NULL;
}

static struct memfs_name *
names_find(const struct memfs *fs, uint32_t dir, const char *text)
{
	size_t len = strlen(text);
	struct memfs_name *name;

	for (name = names_at(fs, *names_bucket(fs, dir, text, len)); name != NULL;
			name = names_at(fs, name->hash_next)) {
		if (name->dir == dir && name->len == len && memcmp(name->text, text, len) == 0)
			return name;
	}
	return NULL;
}

static void
dir_changed(struct memfs_inode *dir)
{
	dir->mtime = memfs_now();
	dir->ctime = dir->mtime;
}

/* Counts a directory in, or out of, the one that holds its name. */
static void
dir_adopt(struct memfs *fs, uint32_t dir, uint32_t ino)
{
	if (!S_ISDIR(memfs_inode(fs, ino)->mode))
		return;
	memfs_inode(fs, ino)->dir.parent = dir;
	memfs_inode(fs, dir)->dir.nb_dirs++;
}

static void
dir_abandon(struct memfs *fs, uint32_t dir, uint32_t ino)
{
	if (S_ISDIR(memfs_inode(fs, ino)->mode))
		memfs_inode(fs, dir)->dir.nb_dirs--;
}

/* Adds a name, as the youngest of its directory. The caller counts the link. */
static int
names_add(struct memfs *fs, uint32_t dir, const char *text, uint32_t ino)
{
	uint32_t index = mem_pool_alloc(&fs->names);
	struct memfs_inode *inode = memfs_inode(fs, dir);
	struct memfs_name *name, *last;
	uint32_t *bucket;

	if (index == 0)
		return -ENOSPC;
	name = names_at(fs, index);
	name->dir = dir;
	name->ino = ino;
	name->len = (uint32_t)strlen(text);
	memcpy(name->text, text, name->len);
	name->cookie = COOKIE_FIRST + inode->dir.next_cookie++;

	bucket = names_bucket(fs, dir, text, name->len);
	name->hash_next = *bucket;
	*bucket = index;

	name->next = 0;
	name->prev = inode->dir.last;
	last = names_at(fs, inode->dir.last);
	*(last != NULL ? &last->next : &inode->dir.first) = index;
	inode->dir.last = index;

	dir_adopt(fs, dir, ino);
	dir_changed(inode);
	return 0;
}

/* Removes a name. The caller uncounts the link. */
static void
names_remove(struct memfs *fs, struct memfs_name *name)
{
	struct memfs_inode *inode = memfs_inode(fs, name->dir);
	struct memfs_name *prev = names_at(fs, name->prev), *next = names_at(fs, name->next);
	uint32_t *link = names_bucket(fs, name->dir, name->text, name->len);
	uint32_t index;

	while (names_at(fs, *link) != name)
		link = &names_at(fs, *link)->hash_next;
	index = *link;
	*link = name->hash_next;

	*(prev != NULL ? &prev->next : &inode->dir.first) = name->next;
	*(next != NULL ? &next->prev : &inode->dir.last) = name->prev;

	dir_abandon(fs, name->dir, name->ino);
	dir_changed(inode);
	/* No directory is 0, so a reader's hint to this record is seen to be stale. */
	name->dir = 0;
	mem_pool_free(&fs->names, index);
}

/* Takes one name away from an inode, which may be its end. */
static void
inode_unlinked(struct memfs *fs, uint32_t ino)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);

	inode->nlink--;
	inode->ctime = memfs_now();
	memfs_inode_release(fs, ino);
}

/* Whether a name may be sought in a directory, and made there. */
static int
dir_check(const struct memfs *fs, uint32_t dir, const char *text)
{
	if (!S_ISDIR(memfs_inode(fs, dir)->mode))
		return -ENOTDIR;
	return strlen(text) > NAME_MAX ? -ENAMETOOLONG : 0;
}

static int
dir_check_new(const struct memfs *fs, uint32_t dir, const char *text)
{
	int rc = dir_check(fs, dir, text);

	if (rc < 0)
		return rc;
	/* A removed directory that is still open takes no new names. */
	if (memfs_inode(fs, dir)->nlink == 0)
		return -ENOENT;
	return names_find(fs, dir, text) != NULL ? -EEXIST : 0;
}

int
memfs_lookup(struct memfs *fs, uint32_t dir, const char *text, uint32_t *ino)
{
	const struct memfs_name *name;
	int rc = dir_check(fs, dir, text);

	if (rc < 0)
		return rc;
	if (strcmp(text, ".") == 0) {
		*ino = dir;
		return 0;
	}
	if (strcmp(text, "..") == 0) {
		/* The parent of a removed directory may be gone itself. */
		if (memfs_inode(fs, dir)->nlink == 0)
			return -ENOENT;
		*ino = memfs_inode(fs, dir)->dir.parent;
		return 0;
	}
	name = names_find(fs, dir, text);
	if (name == NULL)
		return -ENOENT;
	*ino = name->ino;
	return 0;
}

static int
symlink_set(struct memfs *fs, struct memfs_inode *inode, const char *target)
{
	inode->size = strlen(target);
	if (inode->size >= MEMFS_PAGE_SIZE)
		return -ENAMETOOLONG;
	inode->target = mem_pool_alloc(&fs->pages);
	if (inode->target == 0)
		return -ENOSPC;
	memcpy(mem_pool_at(&fs->pages, inode->target), target, inode->size);
	return 0;
}

/*
 * A setgid directory hands its group down, and to directories the bit as well. A program for that
 * group only its members make.
 */
static void
inherit_group(struct memfs_inode *inode, uint32_t gid, const struct memfs_new *what)
{
	inode->gid = gid;
	if (S_ISDIR(inode->mode))
		inode->mode |= S_ISGID;
	else if ((inode->mode & S_IXGRP) != 0 && !what->setgid && what->uid != 0 &&
			what->gid != gid && !(what->has_group && what->group == gid))
		inode->mode &= ~S_ISGID;
}

/* A file that is to be in a directory, without a name yet. */
static int
inode_make(struct memfs *fs, uint32_t dir, const struct memfs_new *what, uint32_t *out)
{
	const struct memfs_inode *parent = memfs_inode(fs, dir);
	uint32_t ino = memfs_inode_alloc(fs, what);
	struct memfs_inode *inode;
	int rc;

	if (ino == 0)
		return -ENOSPC;
	inode = memfs_inode(fs, ino);
	if (parent->mode & S_ISGID)
		inherit_group(inode, parent->gid, what);
	if (S_ISLNK(inode->mode))
		rc = symlink_set(fs, inode, what->target);
	else
		rc = memfs_acl_inherit(fs, dir, ino, what->umask);
	if (rc == 0 && what->label_name != NULL)
		rc = memfs_xattr_put(fs, ino, what->label_name, what->label, what->label_len, 0);
	if (rc < 0)
		memfs_inode_release(fs, ino);
	else
		*out = ino;
	return rc;
}

int
memfs_make(struct memfs *fs, uint32_t dir, const char *text, const struct memfs_new *what,
		uint32_t *out)
{
	uint32_t ino;
	int rc;

	rc = dir_check_new(fs, dir, text);
	if (rc == 0)
		rc = inode_make(fs, dir, what, &ino);
	if (rc < 0)
		return rc;
	rc = names_add(fs, dir, text, ino);
	if (rc < 0) {
		memfs_inode_release(fs, ino);
		return rc;
	}
	memfs_inode(fs, ino)->nlink = 1;
	*out = ino;
	return 0;
}

int
memfs_make_unnamed(struct memfs *fs, uint32_t dir, const struct memfs_new *what, bool linkable,
		uint32_t *out)
{
	int rc;

	if (!S_ISDIR(memfs_inode(fs, dir)->mode))
		return -ENOTDIR;
	if (memfs_inode(fs, dir)->nlink == 0)
		return -ENOENT;
	rc = inode_make(fs, dir, what, out);
	if (rc == 0)
		memfs_inode(fs, *out)->linkable = linkable;
	return rc;
}

int
memfs_link(struct memfs *fs, uint32_t ino, uint32_t dir, const char *text)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);
	int rc = dir_check_new(fs, dir, text);

	if (rc < 0)
		return rc;
	if (S_ISDIR(inode->mode))
		return -EPERM;
	if (inode->nlink == 0 && !inode->linkable)
		return -ENOENT;
	rc = names_add(fs, dir, text, ino);
	if (rc < 0)
		return rc;
	inode->linkable = false;
	inode->nlink++;
	inode->ctime = memfs_now();
	return 0;
}

int
memfs_unlink(struct memfs *fs, uint32_t dir, const char *text)
{
	int rc = dir_check(fs, dir, text);
	struct memfs_name *name;
	uint32_t ino;

	if (rc < 0)
		return rc;
	name = names_find(fs, dir, text);
	if (name == NULL)
		return -ENOENT;
	ino = name->ino;
	if (S_ISDIR(memfs_inode(fs, ino)->mode))
		return -EISDIR;
	names_remove(fs, name);
	inode_unlinked(fs, ino);
	return 0;
}

int
memfs_rmdir(struct memfs *fs, uint32_t dir, const char *text)
{
	int rc = dir_check(fs, dir, text);
	struct memfs_name *name;
	uint32_t ino;

	if (rc < 0)
		return rc;
	name = names_find(fs, dir, text);
	if (name == NULL)
		return -ENOENT;
	ino = name->ino;
	if (!S_ISDIR(memfs_inode(fs, ino)->mode))
		return -ENOTDIR;
	if (memfs_inode(fs, ino)->dir.first != 0)
		return -ENOTEMPTY;
	names_remove(fs, name);
	inode_unlinked(fs, ino);
	return 0;
}

/* Whether dir lies in or below the directory top. */
static bool
dir_is_below(const struct memfs *fs, uint32_t dir, uint32_t top)
{
	while (dir != top && dir != MEMFS_ROOT)
		dir = memfs_inode(fs, dir)->dir.parent;
	return dir == top;
}

/* Whether what is named may take the place, and the order of refusals that Linux has. */
static int
rename_check(const struct memfs *fs, const struct memfs_name *from, uint32_t newdir,
		const struct memfs_name *to, uint32_t flags)
{
	bool from_is_dir = S_ISDIR(memfs_inode(fs, from->ino)->mode);
	const struct memfs_inode *victim;

	if (to != NULL && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (to == NULL && (flags & RENAME_EXCHANGE))
		return -ENOENT;
	if (from_is_dir && dir_is_below(fs, newdir, from->ino))
		return -EINVAL;
	if (to == NULL)
		return 0;
	victim = memfs_inode(fs, to->ino);
	if (S_ISDIR(victim->mode) && dir_is_below(fs, from->dir, to->ino))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if ((flags & RENAME_EXCHANGE) || to->ino == from->ino)
		return 0;
	if (from_is_dir && !S_ISDIR(victim->mode))
		return -ENOTDIR;
	if (!from_is_dir && S_ISDIR(victim->mode))
		return -EISDIR;
	return from_is_dir && victim->dir.first != 0 ? -ENOTEMPTY : 0;
}

/* Lets a name, where it is, mean another inode. The caller counts the links. */
static void
names_repoint(struct memfs *fs, struct memfs_name *name, uint32_t ino)
{
	dir_abandon(fs, name->dir, name->ino);
	name->ino = ino;
	dir_adopt(fs, name->dir, ino);
	dir_changed(memfs_inode(fs, name->dir));
}

static void
rename_exchange(struct memfs *fs, struct memfs_name *from, struct memfs_name *to)
{
	uint32_t ino = from->ino, other = to->ino;

	names_repoint(fs, from, other);
	names_repoint(fs, to, ino);
	memfs_inode(fs, other)->ctime = memfs_now();
}

static int
rename_move(struct memfs *fs, struct memfs_name *from, uint32_t newdir, const char *newtext,
		struct memfs_name *to)
{
	uint32_t ino = from->ino, victim;
	int rc;

	if (to != NULL) {
		victim = to->ino;
		names_remove(fs, from);
		names_repoint(fs, to, ino);
		inode_unlinked(fs, victim);
		return 0;
	}
	/* The new name first: it may find no space. */
	rc = names_add(fs, newdir, newtext, ino);
	if (rc == 0)
		names_remove(fs, from);
	return rc;
}

int
memfs_rename(struct memfs *fs, uint32_t dir, const char *text, uint32_t newdir, const char *newtext,
		uint32_t flags)
{
	struct memfs_name *from, *to;
	uint32_t ino;
	int rc;

	if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0 ||
			flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	rc = dir_check(fs, dir, text);
	if (rc < 0)
		return rc;
	rc = dir_check_new(fs, newdir, newtext);
	if (rc < 0 && rc != -EEXIST)
		return rc;
	from = names_find(fs, dir, text);
	if (from == NULL)
		return -ENOENT;
	to = names_find(fs, newdir, newtext);
	rc = rename_check(fs, from, newdir, to, flags);
	if (rc < 0)
		return rc;
	/* Two names of one file: POSIX has both stay. */
	ino = from->ino;
	if (to != NULL && to->ino == ino)
		return 0;
	if (flags & RENAME_EXCHANGE)
		rename_exchange(fs, from, to);
	else
		rc = rename_move(fs, from, newdir, newtext, to);
	if (rc == 0)
		memfs_inode(fs, ino)->ctime = memfs_now();
	return rc;
}

int
memfs_readlink(struct memfs *fs, uint32_t ino, struct weir_iov *iov)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);

	if (!S_ISLNK(inode->mode))
		return -EINVAL;
	memfs_accessed(inode);
	return (int)weir_iov_write(iov, mem_pool_at(&fs->pages, inode->target), inode->size);
}

/* The oldest name that is younger than a cookie, sought from the hint in both directions. */
static struct memfs_name *
dir_seek(const struct memfs *fs, uint32_t dir, uint64_t cookie, uint32_t hint)
{
	struct memfs_name *first = names_at(fs, memfs_inode(fs, dir)->dir.first);
	struct memfs_name *name = names_at(fs, hint);

	if (name == NULL || name->dir != dir)
		name = first;
	while (name != NULL && name->cookie > cookie)
		name = names_at(fs, name->prev);
	if (name == NULL)
		return first;
	while (name != NULL && name->cookie <= cookie)
		name = names_at(fs, name->next);
	return name;
}

int
memfs_readdir(struct memfs *fs, uint32_t dir, uint64_t cookie, uint32_t *hint,
		struct weir_dirent *out)
{
	struct memfs_inode *inode = memfs_inode(fs, dir);
	const struct memfs_name *name;

	if (!S_ISDIR(inode->mode))
		return -ENOTDIR;
	/* A removed directory has no entries left, not even those two. */
	if (inode->nlink == 0)
		return 0;
	if (cookie == 0)
		memfs_accessed(inode);
	if (cookie < COOKIE_DOTDOT) {
		*out = (struct weir_dirent){
			.name = "..",
			.name_len = (uint32_t)cookie + 1,
			.type = DT_DIR,
			.ino = cookie + 1 == COOKIE_DOT ? dir : inode->dir.parent,
			.next_off = cookie + 1,
		};
		return 1;
	}
	name = dir_seek(fs, dir, cookie, *hint);
	if (name == NULL)
		return 0;
	*hint = mem_pool_index(&fs->names, name);
	*out = (struct weir_dirent){
		.name = name->text,
		.name_len = name->len,
		.type = IFTODT(memfs_inode(fs, name->ino)->mode),
		.ino = name->ino,
		.next_off = name->cookie,
	};
	return 1;
}
