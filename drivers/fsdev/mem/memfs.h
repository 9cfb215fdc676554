/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef MEMFS_H
#define MEMFS_H

/*
 * A file system in memory: inodes, names and pages out of three pools whose address space is
 * reserved at create and which the kernel populates as they are used. Nothing is allocated after
 * that and nothing blocks. It has one user at a time; mem.c sees to that.
 *
 * Files are named by inode number, an index that the caller got here. An inode lives while it has a
 * name or a reference (memfs_get). The root is MEMFS_ROOT.
 */

#include <stdbool.h>
#include <stdint.h>

#include "weir_fsdev.h"

#define MEMFS_PAGE_SIZE 4096
#define MEMFS_ROOT      1
/* Four levels of 1024 pages each. */
#define MEMFS_MAX_FILE_SIZE (UINT64_C(1) << 52)

struct memfs;

/* Reserves room for size bytes of content and one file for each page of it. 0 or -errno. */
int memfs_create(uint64_t size, struct memfs **out);
void memfs_destroy(struct memfs *fs);

/* One more reference, and n references less. */
void memfs_get(struct memfs *fs, uint32_t ino);
void memfs_put(struct memfs *fs, uint32_t ino, uint32_t n);

/*
 * Hands n references back from another thread than the file system's user: one thread, any time.
 * They are dropped when the user next calls memfs_settle().
 */
void memfs_put_later(struct memfs *fs, uint32_t ino);
void memfs_settle(struct memfs *fs);

/* What a new file is to be. */
struct memfs_new {
	uint32_t mode; /* type and permission bits, before the umask */
	uint32_t umask;
	uint32_t uid, gid;
	uint32_t group; /* has_group: one more that the maker is in */
	bool has_group;
	bool setgid; /* the maker may have S_ISGID of mode, whatever the groups */
	uint32_t rdev;
	const char *target; /* of a symbolic link, at most 4095 bytes */
	const char *label_name; /* of an attribute that it has from the start; NULL: of none */
	const void *label;
	uint32_t label_len;
};

/* All return 0 or -errno, *ino untouched on error. Names are NUL-terminated. */
int memfs_lookup(struct memfs *fs, uint32_t dir, const char *name, uint32_t *ino);
int memfs_make(struct memfs *fs, uint32_t dir, const char *name, const struct memfs_new *what,
		uint32_t *ino);
/* A regular file without a name; linkable: it may get one. */
int memfs_make_unnamed(struct memfs *fs, uint32_t dir, const struct memfs_new *what, bool linkable,
		uint32_t *ino);
int memfs_link(struct memfs *fs, uint32_t ino, uint32_t dir, const char *name);
int memfs_unlink(struct memfs *fs, uint32_t dir, const char *name);
int memfs_rmdir(struct memfs *fs, uint32_t dir, const char *name);
int memfs_rename(struct memfs *fs, uint32_t dir, const char *name, uint32_t newdir,
		const char *newname, uint32_t flags);

void memfs_getattr(struct memfs *fs, uint32_t ino, struct weir_attr *attr);
void memfs_statx(struct memfs *fs, uint32_t ino, struct weir_statx *out);
/* The inode flags of ioctl_iflags(2): those that dump(8) and atime obey. -EOPNOTSUPP for others. */
uint32_t memfs_iflags(const struct memfs *fs, uint32_t ino);
int memfs_set_iflags(struct memfs *fs, uint32_t ino, uint32_t iflags);
/* valid is of WEIR_SET_. */
int memfs_setattr(struct memfs *fs, uint32_t ino, uint32_t valid, const struct weir_attr *attr);
int memfs_access(struct memfs *fs, uint32_t ino, const struct weir_cred *cred, uint32_t mask);
void memfs_statfs(struct memfs *fs, struct weir_statfs *out);

/* Return the bytes, fewer than wanted at the end of the file or of the space, or -errno. */
int memfs_read(struct memfs *fs, uint32_t ino, uint64_t off, uint32_t len, struct weir_iov *iov);
int memfs_write(struct memfs *fs, uint32_t ino, uint64_t off, uint32_t len, struct weir_iov *iov);
/*
 * Long work is done a slice at a time: -EAGAIN asks to be called again with the same arguments and
 * *pos, which is 0 at first.
 */

/* mode is of FALLOC_FL_: space is taken, freed or zeroed. 0 or -errno. */
int memfs_fallocate(struct memfs *fs, uint32_t ino, uint32_t mode, uint64_t off, uint64_t len,
		uint64_t *pos);

struct memfs_copy {
	uint32_t ino, newino;
	uint64_t off, newoff, len;
};

/* Copies from one file to another, holes as holes where it can. The bytes, or -errno. */
int memfs_copy(struct memfs *fs, const struct memfs_copy *copy, uint64_t *pos);
/* SEEK_DATA and SEEK_HOLE. 0 or -errno. */
int memfs_seek(struct memfs *fs, uint32_t ino, uint64_t off, uint32_t whence, uint64_t *out);
int memfs_readlink(struct memfs *fs, uint32_t ino, struct weir_iov *iov);

/*
 * Extended attributes of the namespaces user, trusted, security, and ACLs, up to 128 KiB a file. iov
 * NULL asks for the size; len is the most that may be answered. The bytes, or -errno as getxattr(2).
 */
int memfs_getxattr(struct memfs *fs, uint32_t ino, const char *name, struct weir_iov *iov,
		uint32_t len);
/* trusted: with those of that namespace. */
int
memfs_listxattr(struct memfs *fs, uint32_t ino, bool trusted, struct weir_iov *iov, uint32_t len);
/* flags: XATTR_ and WEIR_XATTR_. 0 or -errno as setxattr(2). */
int memfs_setxattr(struct memfs *fs, uint32_t ino, const char *name, struct weir_iov *iov,
		uint32_t len, uint32_t flags);
int memfs_removexattr(struct memfs *fs, uint32_t ino, const char *name);

/*
 * The entry of a directory behind a cookie, "." and ".." first; cookie 0 is the start. A cookie
 * stays good whatever is created, removed and renamed: an entry that is there all the time is found
 * exactly once.
 *
 * hint is a number that the caller keeps with a position and gives back, 0 at first: it only saves
 * time. The name is valid until the next call.
 * Returns 1, 0 at the end, or -errno.
 */
int memfs_readdir(struct memfs *fs, uint32_t dir, uint64_t cookie, uint32_t *hint,
		struct weir_dirent *out);

#endif /* MEMFS_H */
