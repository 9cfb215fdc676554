/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef STREAM_LIST_H
#define STREAM_LIST_H

/**
 * @file
 * Directories as getdents64() gives them.
 */

#include "stream.h"

#define LIST_MAX 128

/** What was listed, without "." and "..". */
struct list {
	uint32_t nb;
	struct {
		char name[256];
		int64_t next; /**< where to go on behind it */
		uint8_t type;
	} at[LIST_MAX];
};

/** Reads on from where the descriptor is, to the end, or one buffer of so many bytes. */
void list_read(struct stream *s, int fd, uint32_t bytes, struct list *list);
bool list_read_one(struct stream *s, int fd, uint32_t bytes, struct list *list);

/** How often a name is in the list. */
uint32_t list_count(const struct list *list, const char *name);

/** The directory holds what the model says, and nothing twice. */
void list_check(struct stream *s, int fd, const struct model_inode *dir);

#endif /* STREAM_LIST_H */
