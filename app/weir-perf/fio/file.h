/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FILE_H
#define FILE_H

/**
 * @file
 * A job's view of a file in the tag: found by path, made, opened, filled. Functions return 0 or
 * -errno, the server's or that of fe_req_call(), and belong to the thread whose lane it is.
 */

#include "dev.h"

struct file {
	struct file *next;
	char *path; /**< from the tag's root; slashes in front count for nothing */
	uint64_t nodeid; /**< 0: not found yet, or removed */
	uint64_t nb_lookups; /**< to be forgotten */
	uint64_t size; /**< bytes, when it was last found */
	uint32_t flags; /**< for file_open(), as for open() */
	uint64_t fh;
	bool is_open;
	bool is_gone; /**< removed while it was open */
	bool has_fh; /**< the server has OPEN, so it wants RELEASE */
};

/** @return NULL: no memory. */
struct file *file_create(const char *path);

/** Looks it up: nodeid and size. @return -EINVAL: it is no regular file. */
int file_find(struct lane *lane, struct file *file);

/** Makes it, and the directories above, unless it is there. */
int file_make(struct lane *lane, struct file *file);

/** Opens a file that was found or made, with its flags. */
int file_open(struct lane *lane, struct file *file);

/** FLUSH and RELEASE, as a guest's last close(). */
int file_close(struct lane *lane, struct file *file);

/** Removes the name. An open file stays until it is closed. */
int file_unlink(struct lane *lane, struct file *file);

/** Writes len bytes of lane->spare to an open file. */
int file_write(struct lane *lane, struct file *file, uint32_t len, uint64_t off);

/** Forgets a closed file and frees it. lane may be NULL: nobody is told. */
void file_destroy(struct lane *lane, struct file *file);

#endif /* FILE_H */
