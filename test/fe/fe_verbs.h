/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FE_VERBS_H
#define FE_VERBS_H

/**
 * @file
 * File verbs, one request each, on one queue, by node id. They return 0 or a count, or the errno
 * of the answer, negative. Names are relative to a node; fe_walk() takes a path.
 */

#include "fe_fuse.h"

#define FE_ROOT 1 /**< node id of the root */

int fe_lookup(struct fe_queue *q, uint64_t parent, const char *name, struct fuse_entry_out *out);
/** Gives nb lookups of a node back; on the high priority queue, without an answer. Any thread. */
void fe_forget(struct fe_fs *fs, uint64_t nodeid, uint64_t nb);
/** Looks a path up from the root, forgetting what lies between. "" and "/" are the root. */
int fe_walk(struct fe_queue *q, const char *path, struct fuse_entry_out *out);

int fe_getattr(struct fe_queue *q, uint64_t nodeid, struct fuse_attr *out);
int fe_setattr(struct fe_queue *q, uint64_t nodeid, const struct fuse_setattr_in *in,
		struct fuse_attr *out);
/** SETATTR of the size alone. */
int fe_truncate(struct fe_queue *q, uint64_t nodeid, uint64_t size);
int fe_access(struct fe_queue *q, uint64_t nodeid, uint32_t mask);
int fe_statfs(struct fe_queue *q, uint64_t nodeid, struct fuse_kstatfs *out);

int fe_mkdir(struct fe_queue *q, uint64_t parent, const char *name, uint32_t mode,
		struct fuse_entry_out *out);
int fe_mknod(struct fe_queue *q, uint64_t parent, const char *name, uint32_t mode, uint32_t rdev,
		struct fuse_entry_out *out);
int fe_symlink(struct fe_queue *q, uint64_t parent, const char *name, const char *target,
		struct fuse_entry_out *out);
/** @return length of the target, which is put into buf, terminated. */
int fe_readlink(struct fe_queue *q, uint64_t nodeid, char *buf, uint32_t size);
int fe_link(struct fe_queue *q, uint64_t nodeid, uint64_t parent, const char *name,
		struct fuse_entry_out *out);
int fe_unlink(struct fe_queue *q, uint64_t parent, const char *name);
int fe_rmdir(struct fe_queue *q, uint64_t parent, const char *name);
int fe_rename(struct fe_queue *q, uint64_t parent, const char *name, uint64_t new_parent,
		const char *new_name);
/** flags: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2. */
int fe_rename2(struct fe_queue *q, uint64_t parent, const char *name, uint64_t new_parent,
		const char *new_name, uint32_t flags);

int fe_create(struct fe_queue *q, uint64_t parent, const char *name, uint32_t flags, uint32_t mode,
		struct fuse_entry_out *out, uint64_t *fh);
int fe_open(struct fe_queue *q, uint64_t nodeid, uint32_t flags, uint64_t *fh);
int fe_release(struct fe_queue *q, uint64_t nodeid, uint64_t fh);
int fe_flush(struct fe_queue *q, uint64_t nodeid, uint64_t fh);
int fe_syncfs(struct fe_queue *q);
int fe_fsync(struct fe_queue *q, uint64_t nodeid, uint64_t fh, uint32_t flags);
int
fe_read(struct fe_queue *q, uint64_t nodeid, uint64_t fh, void *buf, uint32_t len, uint64_t off);
int fe_write(struct fe_queue *q, uint64_t nodeid, uint64_t fh, const void *buf, uint32_t len,
		uint64_t off);

/** READ and WRITE of size bytes for fe_req_submit(); the payload is in data. */
void fe_read_prepare(struct fe_req *req, uint64_t nodeid, uint64_t fh, uint32_t len, uint64_t off);
void fe_write_prepare(struct fe_req *req, uint64_t nodeid, uint64_t fh, uint32_t len, uint64_t off);
/** FSYNC, FDATASYNC with flags 1. */
void fe_fsync_prepare(struct fe_req *req, uint64_t nodeid, uint64_t fh, uint32_t flags);

int fe_opendir(struct fe_queue *q, uint64_t nodeid, uint64_t *fh);
int fe_releasedir(struct fe_queue *q, uint64_t nodeid, uint64_t fh);
int fe_fsyncdir(struct fe_queue *q, uint64_t nodeid, uint64_t fh);

/** One entry: entry is NULL from READDIR. A return other than 0 ends the walk. */
typedef int (*fe_dirent_fn)(
		void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry);

/** How fe_readdir() reads. */
enum fe_readdir_kind {
	FE_READDIR,
	FE_READDIRPLUS, /**< the caller's function must forget what it was given */
};

/**
 * Hands the entries of one answer to fn. A record that does not fit, or a name that no directory
 * can have, is -EPROTO. *off receives where the next request goes on.
 * @return number of entries, or what fn returned.
 */
int fe_dirents_walk(struct fe_req *req, enum fe_readdir_kind kind, uint64_t *off, fe_dirent_fn fn,
		void *arg);

/**
 * Reads a whole directory with requests of size bytes, or what fe_fs_max_io() allows.
 * @return number of entries; a fault (-EPROTO) for malformed ones.
 */
int fe_readdir(struct fe_queue *q, uint64_t nodeid, uint64_t fh, enum fe_readdir_kind kind,
		uint32_t size, fe_dirent_fn fn, void *arg);

#endif /* FE_VERBS_H */
