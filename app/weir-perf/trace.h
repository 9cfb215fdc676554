/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef TRACE_H
#define TRACE_H

/**
 * @file
 * Traces of operations, as text. The first line is "weir-trace 1"; "#" begins a comment; a line is
 *
 *     STREAM OPERATION PATH [NUMBER...]
 *
 * STREAM is any number below 65536; operations of one stream are replayed one after the other,
 * those of different streams at once. PATH is relative to --dir and has no blanks; "." is --dir itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_op {
	TRACE_LOOKUP,
	TRACE_GETATTR,
	TRACE_OPEN,
	TRACE_CLOSE,
	TRACE_CREATE, /**< and open */
	TRACE_READ, /**< OFFSET LENGTH */
	TRACE_WRITE, /**< OFFSET LENGTH */
	TRACE_TRUNCATE, /**< LENGTH */
	TRACE_FSYNC,
	TRACE_UNLINK,
	TRACE_MKDIR,
	TRACE_RMDIR,
	TRACE_READDIRPLUS, /**< the whole directory */
	TRACE_NB_OPS,
};

extern const char *const trace_op_names[TRACE_NB_OPS];

#define TRACE_MAX_STREAMS 65536u
#define TRACE_MAGIC       "weir-trace 1"

struct trace_file {
	char *path;
	const char *name; /**< the last part of path */
	uint32_t parent; /**< index of its directory */
	bool is_dir;
	bool is_made; /**< its first operation makes it */
	bool is_used; /**< an operation has named it */
	bool is_shared; /**< read or written by a stream that has not opened it */
	uint64_t size; /**< end of what is read or written */

	/* Of the replay. */
	uint64_t nodeid; /**< 0: not looked up */
	uint64_t lookups;
	uint64_t fh; /**< of a shared one */
	bool has_fh;
	bool is_ours; /**< we made it, and remove it */
	bool is_unlinked;
};

struct trace_line {
	uint16_t stream;
	uint8_t op; /**< enum trace_op */
	uint32_t file;
	uint64_t off;
	uint64_t len;
};

/** A stream's lines are next to each other. */
struct trace_stream {
	uint64_t first, end;
};

struct trace {
	uint64_t nb_lines;
	struct trace_line *lines;
	uint32_t nb_files;
	struct trace_file *files; /**< 0 is --dir; a directory comes before what is in it */
	uint32_t nb_streams;
	struct trace_stream *streams;
	uint64_t max_io; /**< of one read or write */
	void *by_path;
};

/** Reads a file; says what is wrong with it. @return NULL: it did. */
struct trace *trace_load(const char *path);

void trace_free(struct trace *trace);

#endif /* TRACE_H */
