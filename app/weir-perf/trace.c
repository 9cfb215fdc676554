/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

#define MAX_WORDS 6

const char *const trace_op_names[TRACE_NB_OPS] = {
	[TRACE_LOOKUP] = "lookup",
	[TRACE_GETATTR] = "getattr",
	[TRACE_OPEN] = "open",
	[TRACE_CLOSE] = "close",
	[TRACE_CREATE] = "create",
	[TRACE_READ] = "read",
	[TRACE_WRITE] = "write",
	[TRACE_TRUNCATE] = "truncate",
	[TRACE_FSYNC] = "fsync",
	[TRACE_UNLINK] = "unlink",
	[TRACE_MKDIR] = "mkdir",
	[TRACE_RMDIR] = "rmdir",
	[TRACE_READDIRPLUS] = "readdirplus",
};

/* What finds a file's index by its path. */
struct path_key {
	const char *path;
	uint32_t index;
};

static int
key_compare(const void *a, const void *b)
{
	return strcmp(((const struct path_key *)a)->path, ((const struct path_key *)b)->path);
}

/* An array with room for one more, which grows by doubling; NULL: no memory, it stays. */
static void *
grow(void *array, uint64_t nb, size_t size)
{
	if (nb != 0 && (nb & (nb - 1)) != 0)
		return array;
	return reallocarray(array, nb == 0 ? 1 : 2 * nb, size);
}

static int
file_add(struct trace *trace, const char *path, uint32_t parent, uint32_t *out)
{
	struct trace_file *file = grow(trace->files, trace->nb_files, sizeof(*file));
	struct path_key *key = calloc(1, sizeof(*key));
	const char *slash;

	if (file != NULL)
		trace->files = file;
	if (file == NULL || key == NULL) {
		free(key);
		return -ENOMEM;
	}
	file = &trace->files[trace->nb_files];
	memset(file, 0, sizeof(*file));
	file->path = strdup(path);
	if (file->path == NULL) {
		free(key);
		return -ENOMEM;
	}
	slash = strrchr(file->path, '/');
	file->name = slash != NULL ? slash + 1 : file->path;
	file->parent = parent;
	key->path = file->path;
	key->index = trace->nb_files;
	*out = trace->nb_files++;
	return tsearch(key, &trace->by_path, key_compare) != NULL ? 0 : -ENOMEM;
}

/* The index of a path, whose directories become files too. path is written to and restored. */
static int
file_find(struct trace *trace, char *path, uint32_t *out)
{
	const struct path_key key = { .path = path };
	void *const *found = tfind(&key, &trace->by_path, key_compare);
	uint32_t parent = 0;
	char *slash;
	int rc = 0;

	if (found != NULL) {
		*out = (*(const struct path_key *const *)found)->index;
		return 0;
	}
	slash = strrchr(path, '/');
	if (slash != NULL) {
		*slash = '\0';
		rc = file_find(trace, path, &parent);
		*slash = '/';
	}
	if (rc < 0)
		return rc;
	trace->files[parent].is_dir = true;
	return file_add(trace, path, parent, out);
}

/* A path that names something below --dir and nothing else. */
static bool
path_is_good(const char *path)
{
	const char *at = path;

	if (strcmp(path, ".") == 0)
		return true;
	while (*at != '\0') {
		size_t len = strcspn(at, "/");

		if (len == 0 || len > 255 || (len == 1 && at[0] == '.') ||
				(len == 2 && memcmp(at, "..", 2) == 0))
			return false;
		at += len;
		if (at[0] == '/' && at[1] == '\0')
			return false;
		at += *at == '/';
	}
	return at != path;
}

static unsigned int
op_numbers(unsigned int op)
{
	if (op == TRACE_READ || op == TRACE_WRITE)
		return 2;
	return op == TRACE_TRUNCATE ? 1 : 0;
}

static bool
number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out <= max;
}

/* @return what is wrong with a line, NULL: nothing. */
static const char *
line_parse(struct trace *trace, char **word, unsigned int nb, struct trace_line *line)
{
	uint64_t stream, numbers[2] = { 0, 0 };
	unsigned int op, i;

	if (nb < 3)
		return "wants STREAM OPERATION PATH";
	if (!number(word[0], TRACE_MAX_STREAMS - 1, &stream))
		return "the stream is not a number below 65536";
	for (op = 0; op < TRACE_NB_OPS; op++)
		if (strcmp(word[1], trace_op_names[op]) == 0)
			break;
	if (op == TRACE_NB_OPS)
		return "no such operation";
	if (!path_is_good(word[2]))
		return "the path must be relative, without \".\", \"..\" or empty parts";
	if (nb != 3 + op_numbers(op))
		return "has too many or too few numbers";
	for (i = 0; i < nb - 3; i++)
		if (!number(word[3 + i], INT64_MAX, &numbers[i]))
			return "not a number where one belongs";
	if (op_numbers(op) == 2 &&
			(numbers[1] == 0 || numbers[1] > 1 << 20 ||
					numbers[0] > (UINT64_C(1) << 62)))
		return "reads and writes have 1 byte to 1 MiB";
	if (file_find(trace, word[2], &line->file) < 0)
		return "out of memory";
	line->stream = stream;
	line->op = op;
	line->off = numbers[0];
	line->len = op == TRACE_TRUNCATE ? numbers[0] : numbers[1];
	return NULL;
}

/* What the first operation on a file, and all of them, say of it. */
static void
file_learn(struct trace *trace, const struct trace_line *line)
{
	struct trace_file *file = &trace->files[line->file];

	if (!file->is_used)
		file->is_made = line->op == TRACE_CREATE || line->op == TRACE_MKDIR;
	file->is_used = true;
	if (line->op == TRACE_MKDIR || line->op == TRACE_RMDIR || line->op == TRACE_READDIRPLUS)
		file->is_dir = true;
	if (op_numbers(line->op) != 2)
		return;
	if (line->off + line->len > file->size)
		file->size = line->off + line->len;
	if (line->len > trace->max_io)
		trace->max_io = line->len;
}

/* Files that a stream reads or writes without having opened them need a handle from before. */
static int
stream_learn(struct trace *trace, const struct trace_stream *stream)
{
	uint32_t *open = calloc(trace->nb_files, sizeof(*open));
	uint64_t i;

	if (open == NULL)
		return -ENOMEM;
	for (i = stream->first; i < stream->end; i++) {
		const struct trace_line *line = &trace->lines[i];

		if (line->op == TRACE_OPEN || line->op == TRACE_CREATE)
			open[line->file]++;
		else if (line->op == TRACE_CLOSE && open[line->file] > 0)
			open[line->file]--;
		else if ((op_numbers(line->op) == 2 || line->op == TRACE_FSYNC) &&
				open[line->file] == 0)
			trace->files[line->file].is_shared = true;
	}
	free(open);
	return 0;
}

static const char *
line_add(struct trace *trace, char **word, unsigned int nb)
{
	struct trace_line *lines = grow(trace->lines, trace->nb_lines, sizeof(*lines));
	const char *wrong;

	if (lines == NULL || trace->nb_lines >= UINT32_MAX)
		return "out of memory";
	trace->lines = lines;
	wrong = line_parse(trace, word, nb, &lines[trace->nb_lines]);
	if (wrong == NULL)
		file_learn(trace, &lines[trace->nb_lines++]);
	return wrong;
}

/* Sorts the lines by stream, without changing the order within one. */
static int
streams_make(struct trace *trace)
{
	uint32_t nb[TRACE_MAX_STREAMS] = { 0 };
	struct trace_line *sorted = calloc(trace->nb_lines + 1, sizeof(*sorted));
	uint64_t i, at = 0;
	uint32_t s;
	int rc = 0;

	trace->streams = calloc(TRACE_MAX_STREAMS, sizeof(*trace->streams));
	if (sorted == NULL || trace->streams == NULL) {
		free(sorted);
		return -ENOMEM;
	}
	for (i = 0; i < trace->nb_lines; i++)
		nb[trace->lines[i].stream]++;
	for (s = 0; s < TRACE_MAX_STREAMS; s++) {
		uint32_t count = nb[s];

		nb[s] = at;
		if (count > 0)
			trace->streams[trace->nb_streams++] =
					(struct trace_stream){ .first = at, .end = at + count };
		at += count;
	}
	for (i = 0; i < trace->nb_lines; i++)
		sorted[nb[trace->lines[i].stream]++] = trace->lines[i];
	free(trace->lines);
	trace->lines = sorted;
	for (s = 0; s < trace->nb_streams && rc == 0; s++)
		rc = stream_learn(trace, &trace->streams[s]);
	return rc;
}

/* @return what is wrong, NULL: nothing. *line_number is where. */
static const char *
trace_read(struct trace *trace, FILE *file, unsigned int *line_number)
{
	const char *wrong = NULL;
	char *text = NULL;
	size_t size = 0;

	*line_number = 1;
	if (getline(&text, &size, file) < 0 || strcmp(text, TRACE_MAGIC "\n") != 0)
		wrong = "the first line is not \"" TRACE_MAGIC "\"";
	while (wrong == NULL && getline(&text, &size, file) >= 0) {
		char *word[MAX_WORDS], *rest, *at;
		unsigned int nb = 0;

		++*line_number;
		text[strcspn(text, "#\n")] = '\0';
		for (at = strtok_r(text, " \t", &rest); at != NULL && nb < MAX_WORDS;
				at = strtok_r(NULL, " \t", &rest))
			word[nb++] = at;
		if (nb == 0)
			continue;
		wrong = line_add(trace, word, nb);
	}
	free(text);
	if (wrong == NULL && trace->nb_lines == 0)
		wrong = "has no operation";
	return wrong;
}

struct trace *
trace_load(const char *path)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	FILE *file = fopen(path, "r");
	unsigned int line_number = 0;
	const char *wrong = NULL;
	uint32_t root;

	if (trace == NULL || file == NULL) {
		fprintf(stderr, "weir-perf: %s: %s\n", path, strerror(errno));
		if (file != NULL)
			fclose(file);
		free(trace);
		return NULL;
	}
	if (file_add(trace, ".", 0, &root) < 0)
		wrong = "out of memory";
	else
		wrong = trace_read(trace, file, &line_number);
	fclose(file);
	if (wrong == NULL && streams_make(trace) < 0)
		wrong = "out of memory";
	if (wrong != NULL) {
		fprintf(stderr, "weir-perf: %s:%u: %s\n", path, line_number, wrong);
		trace_free(trace);
		return NULL;
	}
	trace->files[0].is_dir = true;
	return trace;
}

void
trace_free(struct trace *trace)
{
	uint32_t i;

	if (trace == NULL)
		return;
	tdestroy(trace->by_path, free);
	for (i = 0; i < trace->nb_files; i++)
		free(trace->files[i].path);
	free(trace->files);
	free(trace->lines);
	free(trace->streams);
	free(trace);
}
