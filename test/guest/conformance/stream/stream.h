/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef STREAM_H
#define STREAM_H

/**
 * @file
 * One stream of operations: each is drawn from a seed, done in the model, done on the mount, and
 * compared. What is drawn depends on the seed, the features and the model alone, never on what the
 * mount says: a seed replays.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"

#define STREAM_SLOTS   8
#define STREAM_OFF_MAX (256u << 10) /**< operations start below */
#define STREAM_LEN_MAX (100u << 10) /**< and are no longer */
#define STREAM_RECENT  24 /**< operations shown with a difference */
#define STREAM_TEXT    1200
#define STREAM_PAGE    4096u

/** What not every file system has; probed once, see features.c. */
enum stream_feature {
	FEATURE_TMPFILE,
	FEATURE_FALLOCATE,
	FEATURE_KEEP_SIZE,
	FEATURE_PUNCH_HOLE,
	FEATURE_ZERO_RANGE,
	FEATURE_XATTR,
	FEATURE_TRUSTED, /**< trusted.* attributes */
	FEATURE_EXCHANGE,
	FEATURE_NOREPLACE,
	FEATURE_DIRECT,
	FEATURE_COPY_RANGE,
	FEATURE_FIFO,
	FEATURE_CHOWN,
	FEATURE_SYMLINK_TIMES,
	FEATURE_SHARED_MMAP,
	FEATURE_DIR_LINKS, /**< directories count their sub-directories */
	FEATURE_GONE, /**< a removed name is gone; NFS clients keep open files by a name ".nfs..." */
	FEATURE_UNLINKED, /**< an open file without a name has no link */
	FEATURE_LIST_CHANGING, /**< taken to be there: left out by request only */
	FEATURE_DROP_CACHES, /**< asked for on the command line */
	NB_FEATURES,
};

struct stream_slot {
	int fd; /**< -1 while only the model runs */
	struct model_inode *inode; /**< NULL: free */
	uint32_t flags; /**< as opened */
	uint64_t pos;
	bool is_tmpfile; /**< may yet get a name */
};

struct stream {
	struct model model;
	struct stream_slot slots[STREAM_SLOTS];
	uint64_t rng;
	uint64_t seed;
	int root; /**< where all paths start */
	bool is_live; /**< operations reach the mount; otherwise only the model */
	bool is_traced;
	uint32_t features; /**< bits, by enum stream_feature */
	uint64_t nb, op; /**< operations to do, the current one's number */
	char recent[STREAM_RECENT][STREAM_TEXT];
	char *text; /**< the current one's */
	uint8_t *bytes; /**< STREAM_LEN_MAX, page-aligned: what is written, what was read */
};

/** Random numbers. */
uint64_t stream_random(struct stream *s);
uint32_t stream_below(struct stream *s, uint32_t bound);
/** True once in n times. */
bool stream_once_in(struct stream *s, uint32_t n);

bool stream_has(const struct stream *s, enum stream_feature feature);

/** Says what the current operation is. */
void stream_say(struct stream *s, const char *format, ...);

/** The mount has answered otherwise than the model: says so, and what was before; does not return. */
_Noreturn void stream_differ(struct stream *s, const char *format, ...);

/** Compares the result of a system call, -errno if it failed. */
void stream_expect(struct stream *s, int64_t got, int64_t want);

/** Result of a system call: its value, or -errno. */
int64_t stream_result(int64_t value);

/** The call's result where operations reach the mount, else what the model says. */
#define STREAM_CALL(s, want, call) ((s)->is_live ? stream_result(call) : (want))

/** @name Picking (pick.c)
 * Paths are written into a buffer of MODEL_PATH_MAX bytes.
 * @{ */

/** Something that is likely there. */
void pick_path(struct stream *s, char *path);
/** A name in a directory that is there; it may be taken. */
void pick_new(struct stream *s, char *path);
/** A directory, relative to the root; "." for the root. */
void pick_dir(struct stream *s, char *path, struct model_inode **dir);
/** A slot in use; NULL: there is none. */
struct stream_slot *pick_slot(struct stream *s);
/** Likewise, of what still is there: an NFS server forgets a removed directory. */
struct stream_slot *pick_alive(struct stream *s);
/** A slot of a regular file; NULL: there is none. */
struct stream_slot *pick_file(struct stream *s);
/** A free slot, made free if need be. */
struct stream_slot *pick_free(struct stream *s);
uint32_t pick_off(struct stream *s);
uint32_t pick_len(struct stream *s);
/**
 * A mode without what sysctl fs.protected_* make special, even for root: directories that are sticky
 * and writable for all.
 */
uint32_t pick_dir_mode(struct stream *s);
/** Fills s->bytes anew. */
void pick_bytes(struct stream *s, uint32_t len);

/** @}
 * @name Checks (check.c); without effect while only the model runs
 * @{ */

/** What the descriptor tells is as in the model. */
void check_slot(struct stream *s, const struct stream_slot *slot);
/** So is what has this name, which is not followed. */
void check_path(struct stream *s, const char *path);
/** The bytes at off are those of the file. */
void check_bytes(struct stream *s, const struct model_inode *inode, uint64_t off,
		const uint8_t *bytes, uint64_t len);
/** Everything: each name, attribute, content. */
void check_tree(struct stream *s);

/** @}
 * @name Features (features.c)
 * @{ */

const char *feature_name(enum stream_feature feature);
/** Which the file system behind a directory has; leaves it as it was. */
uint32_t features_probe(int dir);

/** @}
 * @name Operations
 * @{ */

typedef void (*stream_op)(struct stream *s);

/* names.c */
void op_mkdir(struct stream *s);
void op_rmdir(struct stream *s);
void op_unlink(struct stream *s);
void op_symlink(struct stream *s);
void op_link(struct stream *s);
void op_rename(struct stream *s);
void op_fifo(struct stream *s);
void op_list(struct stream *s);
void op_list_changing(struct stream *s);

/* open.c */
void op_open(struct stream *s);
void op_close(struct stream *s);
void op_tmpfile(struct stream *s);
void op_name_tmpfile(struct stream *s);
void op_sync(struct stream *s);
void op_drop_caches(struct stream *s);

/* data.c */
void op_read(struct stream *s);
void op_pread(struct stream *s);
void op_write(struct stream *s);
void op_pwrite(struct stream *s);
void op_seek(struct stream *s);
void op_seek_data(struct stream *s);
void op_truncate(struct stream *s);
void op_ftruncate(struct stream *s);
void op_fallocate(struct stream *s);
void op_copy_range(struct stream *s);
void op_map(struct stream *s);

/* attrs.c */
void op_stat(struct stream *s);
void op_readlink(struct stream *s);
void op_chmod(struct stream *s);
void op_chown(struct stream *s);
void op_utimens(struct stream *s);
void op_set_xattr(struct stream *s);
void op_get_xattr(struct stream *s);
void op_remove_xattr(struct stream *s);

/** @} */

/** The name of an extended attribute. */
const char *stream_xattr_name(uint32_t n);

/** Closes a slot, in the model and on the mount. */
void stream_close(struct stream *s, struct stream_slot *slot);

/** Makes the mount what the model is: names, contents, attributes, slots (layout.c). */
void layout(struct stream *s);

#endif /* STREAM_H */
