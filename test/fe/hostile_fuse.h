/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef HOSTILE_FUSE_H
#define HOSTILE_FUSE_H

/**
 * @file
 * Between the malformed FUSE messages and what sends them.
 */

#include "hostile.h"

#define MSG_IN_MAX  32768u /**< bytes that a message can have */
#define MSG_OUT_MAX 32768u /**< bytes of room for the answer */

/** What a session has that messages can name, rightly or not. */
struct msg_world {
	uint64_t dir, dir_fh;
	uint64_t file, file_fh;
	uint64_t fifo;
	uint64_t stale, stale_fh; /**< forgotten, released */
};

/** A message in the making. bytes is in guest memory; nobody reads it before it is sent. */
struct msg {
	struct rng *rng;
	const struct msg_world *world;
	uint8_t *bytes;
	uint32_t len; /**< bytes that are sent */
	uint32_t room; /**< bytes for the answer */
	bool hiprio; /**< goes to the high priority queue */
	bool len_set; /**< the header's len is what it is on purpose */
};

struct msg_kind {
	const char *name;
	void (*make)(struct msg *msg);
};

/** An entry without a name ends. */
extern const struct msg_kind msg_kinds[];

/* hostile_verbs.c */
void msg_xattr_junk(struct msg *msg);
void msg_range_junk(struct msg *msg);
void msg_copy_junk(struct msg *msg);
void msg_ioctl_junk(struct msg *msg);
void msg_lock_junk(struct msg *msg);
void msg_tmpfile_junk(struct msg *msg);

static inline struct fuse_in_header *
msg_head(const struct msg *msg)
{
	return (struct fuse_in_header *)msg->bytes;
}

#endif /* HOSTILE_FUSE_H */
