/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FAKE_FS_H
#define FAKE_FS_H

/*
 * A file-system driver for tests, "fake": answers at once or when it is told to, with what it is
 * told to, and remembers what it was asked. The first letter of a name says what it is: 'd' a
 * directory, 'l' a link, 'p' a pipe, 'x' absent, 'n' absent and worth remembering, else a file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir_fsdev_driver.h"

#define FAKE_MAX_WRITE     (128u * 1024)
#define FAKE_MAX_READAHEAD (64u * 1024)
#define FAKE_MAX_HELD      16
#define FAKE_TARGET        "../where/it/leads"
#define FAKE_VALUE         "seven bytes and more" /* of every extended attribute */
#define FAKE_LIST          "user.a\0user.b" /* of attributes, the last NUL included */

/* What the last verb was asked. */
struct fake_call {
	enum weir_fsop op;
	uint32_t flags;
	uint64_t node_key, newnode_key;
	bool has_file;
	uint32_t file_flags;
	char name[256], newname[4096];
	struct weir_cred cred;
	size_t iov_left;
	uint64_t setattr_valid;
	struct weir_attr setattr;
	uint32_t mode, umask, rdev;
	uint32_t rename_flags, mask;
	uint64_t off;
	uint32_t len, io_flags;
	bool has_newfile;
	uint32_t newfile_flags;
	typeof(((struct weir_fsreq *)NULL)->in) in; /* as it came */
};

/* What the last verb that makes a file was asked: a copy, since the request's is gone by then. */
struct fake_made {
	uint32_t flags;
	char name[256];
	struct weir_cred cred;
	char label_name[256];
	uint8_t label[4096];
	uint32_t label_len;
};

/* Touched on workers, and by a test while they have nothing to do. */
struct fake {
	bool hold; /* verbs but RELEASE, RELEASEDIR and ENDWAIT wait for fake_go_on() */
	bool hold_release; /* RELEASE and RELEASEDIR wait as well */
	bool hold_fence; /* detach waits for fake_fence() */
	bool quiet; /* nothing is noted: several workers at once are allowed */
	bool no_node; /* entries come without a node */
	bool set_res; /* verbs end with res, without effect */
	int res;
	bool fail_list; /* READDIR ends with -EIO behind its entries */
	unsigned int nb_entries; /* of every directory, "." and ".." included */
	const char *bad_name; /* emitted in front of the other entries */

	unsigned int calls[WEIR_NB_FSOPS];
	unsigned int open; /* files that are open and not released */
	unsigned int emitted_late; /* entries that were taken after the detach */
	unsigned int bad_private; /* a file came with private bytes that are not its own */
	struct fake_call last;
	struct fake_made made;
	uint8_t data[FAKE_MAX_WRITE];

	struct weir_fsreq *held[FAKE_MAX_HELD];
	unsigned int nb_held;
	struct weir_fsreq *fencing;
	void (*fenced)(struct weir_fsreq *req);
};

extern struct fake fake;

/* Carries out what is held. Call it on the worker that it was submitted on. */
void fake_go_on(void);
void fake_fence(void);

/* The driver is one that does not have the verb, until fake_clear(). */
void fake_without(enum weir_fsop op);

/* Forgets calls and settings; not what is open or held. */
void fake_clear(void);

#endif /* FAKE_FS_H */
