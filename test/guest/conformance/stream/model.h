/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef STREAM_MODEL_H
#define STREAM_MODEL_H

/**
 * @file
 * A file system in memory, as root without a umask sees it: what Linux promises of names, links,
 * attributes and contents. One thread. Functions answer 0 or -errno, as system calls would.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define MODEL_FILE_MAX  (512u << 10) /**< bytes of a file at most; the caller's to keep */
#define MODEL_PATH_MAX  4096
#define MODEL_NB_XATTRS 4
#define MODEL_XATTR_MAX 256
#define MODEL_LINKS_MAX 40 /**< symbolic links followed by one path */

enum model_time {
	MODEL_ATIME,
	MODEL_MTIME,
	MODEL_CTIME,
	MODEL_NB_TIMES,
};

struct model_inode;

/** A name in a directory. */
struct model_name {
	struct model_name *next;
	struct model_inode *inode;
	char name[256];
};

struct model_xattr {
	bool is_set;
	uint32_t len;
	uint8_t value[MODEL_XATTR_MAX];
};

struct model_inode {
	struct model_inode *next; /**< of all there are */
	uint32_t mode; /**< type and bits */
	uint32_t uid, gid;
	uint32_t nlink; /**< names; of directories names and sub-directories, as ext4 counts */
	uint32_t nb_open; /**< slots that have it open */
	uint64_t size;
	uint8_t *data; /**< regular files: MODEL_FILE_MAX bytes, zero behind size */
	char *target; /**< symbolic links */
	struct model_name *names; /**< directories */
	struct model_inode *parent; /**< directories; NULL: removed */
	struct model_xattr xattrs[MODEL_NB_XATTRS];
	/** Times that were set, or were seen and must not have changed since. */
	struct timespec times[MODEL_NB_TIMES];
	bool is_known[MODEL_NB_TIMES];
	bool is_mapped; /**< written through a mapping: written back, and its times set, at any time */
	/* A file that has lost a name, and the directory of that: see FEATURE_GONE. */
	bool has_lost;
	uint64_t ino; /**< as seen first; 0: not yet */
	int fd; /**< layout.c's */
};

struct model {
	struct model_inode *all;
	struct model_inode *root;
	uint32_t nb_inodes;
};

/** Where a path leads: the directory of its last name, and what has that name, or NULL. */
struct model_place {
	struct model_inode *dir;
	char name[256];
	struct model_inode *inode;
};

void model_init(struct model *m);
void model_fini(struct model *m);

/** Whether a symbolic link at the end of a path is followed. */
enum model_follow {
	MODEL_NOFOLLOW,
	MODEL_FOLLOW,
};

/** Resolves a path relative to the root. A missing last name is no error: inode is NULL then. */
int
model_walk(struct model *m, const char *path, enum model_follow follow, struct model_place *place);

/** As model_walk(), but what is not there is -ENOENT. */
int
model_find(struct model *m, const char *path, enum model_follow follow, struct model_place *place);

/** A new inode without a name; modes and groups as in that directory. */
struct model_inode *model_make(struct model *m, const struct model_inode *dir, uint32_t mode);

/** Frees an inode that has neither a name nor a slot. */
void model_put(struct model *m, struct model_inode *inode);

/** Gives an inode a (further) name; nothing has it yet. */
void model_enter(struct model_place *place, struct model_inode *inode);

/** Takes the name away, and the inode if that was its last use. */
void model_remove(struct model *m, const struct model_place *place);

/** renameat2(); flags as there. */
int model_rename(struct model *m, const char *from, const char *to, unsigned int flags);

bool model_is_dir(const struct model_inode *inode);
bool model_is_empty(const struct model_inode *dir);
uint32_t model_nb_names(const struct model_inode *dir);

/** Contents. Bytes between the old end and off become zero. */
void model_write(struct model_inode *inode, uint64_t off, const void *bytes, uint64_t len);
void model_truncate(struct model_inode *inode, uint64_t size);
/** Zeroes what of the range lies in the file. */
void model_zero(struct model_inode *inode, uint64_t off, uint64_t len);

/** Times that the next look may find changed. */
void model_forget_time(struct model_inode *inode, enum model_time which);
/** What was changed: its mtime and ctime are forgotten. */
void model_changed(struct model_inode *inode);

#endif /* STREAM_MODEL_H */
