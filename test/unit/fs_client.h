/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FS_CLIENT_H
#define FS_CLIENT_H

/*
 * Plays a guest's session on a file system: one request at a time on one worker, from the test's
 * main thread, which is control. Results are those of weir_fsreq.done.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "weir_fsdev.h"

#define FSC_MEM_BYTES (4u << 20)
#define FSC_MAX_SEGS  1024

struct fs_client {
	struct weir_fsdev *dev;
	unsigned int worker; /* that requests are submitted on; 0 at first */
	struct weir_memmap *map;
	uint8_t *mem; /* guest memory as the test sees it */
	struct weir_seg segs[FSC_MAX_SEGS];
	struct weir_cred cred; /* of all requests */
	uint32_t umask;
	uint32_t flags; /* of all requests, beside their own */
};

/* Where a request is on its way; for tests that detach. */
struct fsc_call {
	struct weir_fsreq req;
	struct weir_msg msg;
	struct weir_post post;
	struct weir_fsdev *dev;
	struct weir_worker *worker;
	bool heard; /* control's */
	_Atomic bool done;
	_Atomic bool fenced;
	int res;
};

/* EAL, loop and workers; once. @return 0, or -1 where EAL cannot run. */
int fsc_start(const char *lcores);
void fsc_stop(void);

/* A round of control. */
void fsc_poll(void);

/* Invokes an RPC method with JSON text; message receives the error's. @return its code. */
int fsc_rpc(const char *method, const char *params, char message[512]);

/* A number, or truth, that fsdev_get_fsdevs tells of a file system; -1 where there is none of that name. */
int64_t fsc_info(const char *fsdev, const char *key);

void fsc_open_session(struct fs_client *c, struct weir_fsdev *dev);
void fsc_close_session(struct fs_client *c);

/* A run of n guest bytes at off, in segments of seg_bytes, the first one of first_bytes. */
void fsc_iov(struct fs_client *c, struct weir_iov *iov, size_t off, size_t n, size_t first_bytes,
		size_t seg_bytes);

void fsc_submit(struct fs_client *c, struct fsc_call *call);
void fsc_detach(struct fsc_call *call);
int fsc_wait(struct fsc_call *call);

/* Submits and waits. */
int fsc_run(struct fs_client *c, struct fsc_call *call);

/* Verbs. entry->node comes with a reference; fsc_put() gives it up. */
void fsc_put(struct fs_client *c, struct weir_node *node);
int
fsc_lookup(struct fs_client *c, struct weir_node *dir, const char *name, struct weir_entry *entry);
int fsc_make(struct fs_client *c, enum weir_fsop op, struct weir_node *dir, const char *name,
		uint32_t mode, uint32_t rdev, struct weir_entry *entry);
int fsc_symlink(struct fs_client *c, struct weir_node *dir, const char *name, const char *target,
		struct weir_entry *entry);
int fsc_remove(struct fs_client *c, enum weir_fsop op, struct weir_node *dir, const char *name);
int fsc_rename(struct fs_client *c, struct weir_node *dir, const char *name,
		struct weir_node *newdir, const char *newname, uint32_t flags);
int fsc_link(struct fs_client *c, struct weir_node *node, struct weir_node *dir, const char *name);
int fsc_getattr(struct fs_client *c, struct weir_node *node, struct weir_file *file,
		struct weir_attr *attr);
int fsc_setattr(struct fs_client *c, struct weir_node *node, uint32_t valid,
		const struct weir_attr *set, struct weir_attr *attr);
int fsc_readlink(struct fs_client *c, struct weir_node *node, char target[PATH_MAX]);
int fsc_access(struct fs_client *c, struct weir_node *node, uint32_t mask);

/* Open files are allocated here and freed by fsc_release(). */
int fsc_open(struct fs_client *c, enum weir_fsop op, struct weir_node *node, uint32_t flags,
		struct weir_file **file);
int fsc_create(struct fs_client *c, struct weir_node *dir, const char *name, uint32_t flags,
		uint32_t mode, struct weir_entry *entry, struct weir_file **file);
int
fsc_release(struct fs_client *c, enum weir_fsop op, struct weir_node *node, struct weir_file *file);
int fsc_fsync(struct fs_client *c, struct weir_node *node, struct weir_file *file, uint32_t flags);

/* READ and WRITE between the file and guest memory at mem_off. */
int fsc_io(struct fs_client *c, enum weir_fsop op, struct weir_node *node, struct weir_file *file,
		uint64_t off, uint32_t len, size_t mem_off, size_t seg_bytes);

/* READDIR of at most max entries from off on; each is handed to see. @return as done says. */
int fsc_readdir(struct fs_client *c, struct weir_node *dir, struct weir_file *file, uint64_t off,
		unsigned int max, uint32_t flags,
		void (*see)(void *arg, const struct weir_dirent *dirent), void *arg);

#endif /* FS_CLIENT_H */
