/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Extended attributes. All of a file are one run of bytes, a record behind the other, in a chain of
 * pages. A change reads the run into a buffer of the file system's, edits it there and writes it
 * back, for which space is found before: a change happens as a whole or not at all.
 */

#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "inode.h"
#include "xattr.h"

#define PAYLOAD (MEMFS_PAGE_SIZE - sizeof(uint32_t))

/* Followed by the name, without NUL, and the value. */
struct record {
	uint32_t value_len;
	uint32_t name_len;
};

/* A page of the chain. */
struct link {
	uint32_t next;
	uint8_t bytes[PAYLOAD];
};

/* Where a record is in the run, and what it is. */
struct found {
	uint32_t at, len;
	const char *name;
	const uint8_t *value;
	struct record head;
};

static uint32_t
links_for(uint32_t len)
{
	return (uint32_t)((len + PAYLOAD - 1) / PAYLOAD);
}

static void
run_load(const struct memfs *fs, const struct memfs_inode *inode)
{
	uint32_t page = inode->xattrs;
	const struct link *link;
	uint32_t n;

	for (uint32_t at = 0; at < inode->xattrs_len; at += n, page = link->next) {
		link = mem_pool_at(&fs->pages, page);
		n = RTE_MIN(inode->xattrs_len - at, (uint32_t)PAYLOAD);
		memcpy(fs->scratch->run + at, link->bytes, n);
	}
}

/* Makes the chain nb pages long; there is space for that. */
static void
run_resize(struct memfs *fs, struct memfs_inode *inode, uint32_t nb)
{
	uint32_t *slot = &inode->xattrs;
	struct link *link;
	uint32_t next;

	for (; nb > 0; nb--, slot = &link->next) {
		if (*slot == 0) {
			*slot = mem_pool_alloc(&fs->pages);
			link = mem_pool_at(&fs->pages, *slot);
			link->next = 0;
		}
		link = mem_pool_at(&fs->pages, *slot);
	}
	next = *slot;
	*slot = 0;
	for (; next != 0;) {
		uint32_t page = next;

		link = mem_pool_at(&fs->pages, page);
		next = link->next;
		mem_pool_free(&fs->pages, page);
	}
}

/* Writes len bytes of the run back. 0 or -ENOSPC. */
static int
run_store(struct memfs *fs, struct memfs_inode *inode, uint32_t len)
{
	uint32_t need = links_for(len), have = links_for(inode->xattrs_len), page, n;
	struct link *link;

	if (need > have && need - have > fs->pages.nb_recs - fs->pages.nb_used)
		return -ENOSPC;
	run_resize(fs, inode, need);
	inode->xattrs_len = len;
	page = inode->xattrs;
	for (uint32_t at = 0; at < len; at += n, page = link->next) {
		link = mem_pool_at(&fs->pages, page);
		n = RTE_MIN(len - at, (uint32_t)PAYLOAD);
		memcpy(link->bytes, fs->scratch->run + at, n);
	}
	return 0;
}

/* The record behind f in a run of len bytes; f of zeroes: the first one. False at the end. */
static bool
run_next(const struct memfs *fs, uint32_t len, struct found *f)
{
	const uint8_t *p;

	f->at += f->len;
	if (f->at >= len)
		return false;
	p = fs->scratch->run + f->at;
	memcpy(&f->head, p, sizeof(f->head));
	f->name = (const char *)p + sizeof(f->head);
	f->value = (const uint8_t *)f->name + f->head.name_len;
	f->len = (uint32_t)sizeof(f->head) + f->head.name_len + f->head.value_len;
	return true;
}

/* Loads the run and looks for a name. */
static bool
run_find(const struct memfs *fs, const struct memfs_inode *inode, const char *name, struct found *f)
{
	size_t len = strlen(name);

	*f = (struct found){ 0 };
	if (inode->xattrs_len == 0)
		return false;
	run_load(fs, inode);
	while (run_next(fs, inode->xattrs_len, f))
		if (f->head.name_len == len && memcmp(f->name, name, len) == 0)
			return true;
	return false;
}

int
memfs_xattr_find(const struct memfs *fs, uint32_t ino, const char *name, const uint8_t **value)
{
	struct found f;

	if (!run_find(fs, memfs_inode(fs, ino), name, &f))
		return -ENODATA;
	*value = f.value;
	return (int)f.head.value_len;
}

/* Bytes of the names, each with a NUL. */
static uint32_t
run_names(const struct memfs *fs, uint32_t len)
{
	struct found f = { 0 };
	uint32_t n = 0;

	while (run_next(fs, len, &f))
		n += f.head.name_len + 1;
	return n;
}

/* Takes a record out of a run. Returns what is left. */
static uint32_t
run_remove(struct memfs *fs, uint32_t len, const struct found *f)
{
	uint8_t *run = fs->scratch->run;

	memmove(run + f->at, run + f->at + f->len, len - f->at - f->len);
	return len - f->len;
}

static uint32_t
run_append(struct memfs *fs, uint32_t len, const char *name, const void *value, uint32_t value_len)
{
	const struct record head = { .value_len = value_len, .name_len = (uint32_t)strlen(name) };
	uint8_t *p = fs->scratch->run + len;

	memcpy(p, &head, sizeof(head));
	memcpy(p + sizeof(head), name, head.name_len);
	memcpy(p + sizeof(head) + head.name_len, value, value_len);
	return len + (uint32_t)sizeof(head) + head.name_len + value_len;
}

int
memfs_xattr_put(struct memfs *fs, uint32_t ino, const char *name, const void *value, uint32_t len,
		uint32_t flags)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);
	uint32_t left = inode->xattrs_len;
	struct found f;
	bool found = run_find(fs, inode, name, &f);
	int rc;

	if (found && (flags & XATTR_CREATE) != 0)
		return -EEXIST;
	if (!found && (flags & XATTR_REPLACE) != 0)
		return -ENODATA;
	if (found)
		left = run_remove(fs, left, &f);
	if (left + sizeof(struct record) + strlen(name) + len > MEMFS_XATTRS_MAX)
		return -ENOSPC;
	left = run_append(fs, left, name, value, len);
	if (run_names(fs, left) > XATTR_LIST_MAX)
		return -ENOSPC;
	rc = run_store(fs, inode, left);
	if (rc == 0)
		inode->ctime = memfs_now();
	return rc;
}

int
memfs_xattr_remove(struct memfs *fs, uint32_t ino, const char *name)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);
	struct found f;

	if (!run_find(fs, inode, name, &f))
		return -ENODATA;
	inode->ctime = memfs_now();
	/* It gets shorter. */
	return run_store(fs, inode, run_remove(fs, inode->xattrs_len, &f));
}

void
memfs_xattr_release(struct memfs *fs, struct memfs_inode *inode)
{
	run_resize(fs, inode, 0);
	inode->xattrs_len = 0;
}

int
memfs_listxattr(struct memfs *fs, uint32_t ino, bool trusted, struct weir_iov *iov, uint32_t len)
{
	const struct memfs_inode *inode = memfs_inode(fs, ino);
	struct found f = { 0 };
	uint32_t n = 0;

	run_load(fs, inode);
	while (run_next(fs, inode->xattrs_len, &f)) {
		if (!trusted && f.head.name_len > 8 && memcmp(f.name, "trusted.", 8) == 0)
			continue;
		n += f.head.name_len + 1;
		if (iov == NULL)
			continue;
		if (n > len)
			return -ERANGE;
		weir_iov_write(iov, f.name, f.head.name_len);
		weir_iov_write(iov, "", 1);
	}
	return (int)n;
}

/* 0, or why Linux knows no such name. */
static int
name_check(const char *name)
{
	static const char *const spaces[] = { "user.", "trusted.", "security." };
	size_t n;

	for (unsigned int i = 0; i < RTE_DIM(spaces); i++) {
		n = strlen(spaces[i]);
		if (strncmp(name, spaces[i], n) == 0)
			return name[n] != '\0' ? 0 : -EINVAL;
	}
	return memfs_acl_is(name) ? 0 : -EOPNOTSUPP;
}

int
memfs_getxattr(struct memfs *fs, uint32_t ino, const char *name, struct weir_iov *iov, uint32_t len)
{
	int rc = name_check(name);
	const uint8_t *value;

	if (rc < 0)
		return rc;
	rc = memfs_xattr_find(fs, ino, name, &value);
	if (rc < 0 || iov == NULL)
		return rc;
	return (uint32_t)rc > len ? -ERANGE : (int)weir_iov_write(iov, value, (size_t)rc);
}

int
memfs_setxattr(struct memfs *fs, uint32_t ino, const char *name, struct weir_iov *iov, uint32_t len,
		uint32_t flags)
{
	uint8_t *value = fs->scratch->value;
	int rc = name_check(name);

	if (rc < 0)
		return rc;
	if (len > sizeof(fs->scratch->value))
		return -E2BIG;
	/* A guest that takes the memory away meanwhile has set nothing. */
	if (weir_iov_read(iov, value, len) < len)
		return -EIO;
	if (memfs_acl_is(name))
		return memfs_acl_set(fs, ino, name, len, flags);
	return memfs_xattr_put(fs, ino, name, value, len, flags);
}

int
memfs_removexattr(struct memfs *fs, uint32_t ino, const char *name)
{
	int rc = name_check(name);

	return rc < 0 ? rc : memfs_xattr_remove(fs, ino, name);
}
