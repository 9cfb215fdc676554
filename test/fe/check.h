/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef CHECK_H
#define CHECK_H

/**
 * @file
 * The self-check: what a guest may expect of any virtio-fs file system, one function each. A check
 * gets a directory of its own, which is removed with all in it afterwards.
 */

#include "cli.h"

#define CHECK_TEXT 240

struct check {
	struct cli *cli;
	struct fe_fs *fs;
	struct fe_queue *q; /**< the first request queue */
	uint64_t dir;
	char text[CHECK_TEXT]; /**< what failed */
};

struct check_case {
	const char *name;
	int (*run)(struct check *check);
};

/** The cases of one file; an entry without a name ends. */
extern const struct check_case check_data_cases[];
extern const struct check_case check_name_cases[];
extern const struct check_case check_attr_cases[];
extern const struct check_case check_queue_cases[];
extern const struct check_case check_label_cases[];

/** Records a failure. @return -1. */
int check_fail(struct check *check, const char *file, int line, const char *what, long got);

/** Fails the check unless condition holds. */
#define EXPECT(check, condition)                                                                   \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return check_fail((check), __FILE__, __LINE__, #condition, 0);             \
	} while (0)

/** Fails the check unless call returns want, a count or a negative errno. */
#define EXPECT_RC(check, want, call)                                                               \
	do {                                                                                       \
		long expect_rc_ = (call);                                                          \
		if (expect_rc_ != (want))                                                          \
			return check_fail((check), __FILE__, __LINE__, #want " == " #call,         \
					expect_rc_);                                               \
	} while (0)

/** Bytes that say where they belong: a function of seed and offset. */
void check_fill(uint8_t *buf, uint32_t len, uint64_t seed, uint64_t off);
/** True when buf is what check_fill() would make. */
bool check_is_filled(const uint8_t *buf, uint32_t len, uint64_t seed, uint64_t off);

/** CREATE of a file with mode 0644, open for reading and writing. */
int check_create(struct check *check, const char *name, struct fuse_entry_out *entry, uint64_t *fh);

/** RELEASE and FORGET of what check_create() made. */
int check_close(struct check *check, const struct fuse_entry_out *entry, uint64_t fh);

#endif /* CHECK_H */
