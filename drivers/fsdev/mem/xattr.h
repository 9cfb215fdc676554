/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef MEM_XATTR_H
#define MEM_XATTR_H

/* What the files on extended attributes and ACLs share. */

#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "inode.h"

/* Bytes of all attributes of a file: names, values, and eight more for each. */
#define MEMFS_XATTRS_MAX (128u << 10)

/* Used by one call at a time. */
struct memfs_scratch {
	uint8_t run[MEMFS_XATTRS_MAX];
	uint8_t value[XATTR_SIZE_MAX];
};

/*
 * By any name, which the caller has checked. The value is good until the next call. The number of
 * its bytes or -ENODATA.
 */
int memfs_xattr_find(const struct memfs *fs, uint32_t ino, const char *name, const uint8_t **value);
/* flags: XATTR_CREATE, XATTR_REPLACE. value may not lie in scratch->run. */
int memfs_xattr_put(struct memfs *fs, uint32_t ino, const char *name, const void *value,
		uint32_t len, uint32_t flags);
int memfs_xattr_remove(struct memfs *fs, uint32_t ino, const char *name);

/* Whether the attribute of that name is an ACL. */
bool memfs_acl_is(const char *name);
/* Sets the ACL of that name to the len bytes of scratch->value. flags as of memfs_setxattr(). */
int memfs_acl_set(struct memfs *fs, uint32_t ino, const char *name, uint32_t len, uint32_t flags);

#endif /* MEM_XATTR_H */
