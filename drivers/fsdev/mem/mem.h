/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef MEM_H
#define MEM_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir_fsdev_driver.h"
#include "weir_lock.h"

#include "memfs.h"

/* Entries that one trip of a READDIR to the home worker brings back. */
#define MEM_BATCH 32

struct mem_params {
	uint64_t size;
	uint32_t max_write;
	uint32_t max_locks;
	uint32_t lock_wait_ms;
	bool locks;
	bool enable_xattr;
};

struct mem_fsdev {
	struct memfs *fs; /* the home worker's, but for memfs_put_later() */
	struct weir_worker *home;
	uint64_t attr_valid_ns, entry_valid_ns;
	struct weir_locks *locks;
	bool xattr; /* extended attributes are there */
};

struct mem_batch_entry {
	struct weir_dirent dirent;
	struct weir_entry entry;
	char name[NAME_MAX];
};

/*
 * A channel carries one READDIR at a time. The batch belongs to whoever has the request: the
 * channel's worker, or the home worker while it fills it.
 */
struct mem_channel {
	bool busy;
	bool end; /* the directory has no more than this */
	unsigned int nb_entries;
	struct mem_batch_entry entries[MEM_BATCH];
};

/* What the driver keeps in a request. */
struct mem_ctx {
	struct weir_msg msg; /* to the home worker, and back */
	int res;
	bool plus; /* READDIR: with entries. The flags are the submitter's to change */
	bool emitted; /* READDIR: something */
	uint64_t cookie; /* READDIR: where the next batch starts */
	uint64_t pos; /* FALLOCATE, COPY_FILE_RANGE: bytes that are done */
	void (*fenced)(struct weir_fsreq *req); /* to be told when the request comes back */
};

/*
 * A verb as the home worker does it: a result, or -EAGAIN to have it all tried again, or to go on
 * where ctx.pos says so.
 */
typedef int (*mem_verb_fn)(struct mem_fsdev *mem, struct weir_fsreq *req);

extern const mem_verb_fn mem_verbs[WEIR_NB_FSOPS];

static inline struct mem_fsdev *
mem_of(const struct weir_fsreq *req)
{
	return weir_fsdev_priv(weir_channel_fsdev(req->chan));
}

static inline uint32_t
mem_ino(const struct weir_node *node)
{
	return (uint32_t)node->key[0];
}

/*
 * Has the home worker do the request's verb. Returns its result where that is the calling worker,
 * else -EINPROGRESS: the request comes back to mem_came_back() with it.
 */
int WEIR_ON_WORKER mem_send(struct weir_fsreq *req);

/* Makes the node of an inode, and what a reply says of it. 0, -EAGAIN or -ENFILE. */
int WEIR_ON_WORKER mem_entry(struct weir_fsreq *req, uint32_t ino, struct weir_entry *entry);

/* READDIR: begins, -EAGAIN while the channel has another; goes on when a batch has come with res. */
int WEIR_ON_WORKER mem_readdir(struct weir_fsreq *req);
int WEIR_ON_WORKER mem_readdir_next(struct weir_fsreq *req, int res);
/* Fills a batch, on the home worker. */
int WEIR_ON_WORKER mem_readdir_fill(struct mem_fsdev *mem, struct weir_fsreq *req);

/* attrs.c */
int WEIR_ON_WORKER mem_statx(struct mem_fsdev *mem, struct weir_fsreq *req);
int WEIR_ON_WORKER mem_ioctl(struct mem_fsdev *mem, struct weir_fsreq *req);
/* A regular file's set-id bits fall, and what it may do by security.capability. */
void WEIR_ON_WORKER mem_kill_setid(struct mem_fsdev *mem, uint32_t ino);
int WEIR_ON_WORKER mem_getxattr(struct mem_fsdev *mem, struct weir_fsreq *req);
int WEIR_ON_WORKER mem_setxattr(struct mem_fsdev *mem, struct weir_fsreq *req);
int WEIR_ON_WORKER mem_listxattr(struct mem_fsdev *mem, struct weir_fsreq *req);
int WEIR_ON_WORKER mem_removexattr(struct mem_fsdev *mem, struct weir_fsreq *req);

#endif /* MEM_H */
