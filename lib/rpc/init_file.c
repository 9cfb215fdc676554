/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rpc.h"

#define FILE_MAX_BYTES (1u << 20)

/*
 * A file under way.
 *
 *	READY ---> IN_CALL ---> WAITING: the method will end the call later
 *	  ^-----------'------------'
 */
struct init_run {
	void (*done)(void *arg, int code, const char *message);
	void *arg;
	enum {
		READY,
		IN_CALL,
		WAITING
	} state;
	int code; /* of the last call */
	char message[RPC_TEXT_MAX];
	char *text, *next; /* the file; its first line that did not run yet */
	unsigned int line_no, next_line_no;
	char path[];
};

/* The backslash that continues the line beyond end; not one that another one escapes. */
static char *
continuation(char *line, char *end)
{
	char *first = end;

	while (first > line && first[-1] == '\\')
		first--;
	return (end - first) % 2 == 1 ? end - 1 : NULL;
}

/* Takes the next line, with those that continue it; NULL at the end of the file. */
static char *
next_line(struct init_run *run)
{
	char *line = run->next, *end = line, *newline, *backslash;

	if (*line == '\0')
		return NULL;
	run->line_no = run->next_line_no;
	for (;;) {
		run->next_line_no++;
		newline = strchr(end, '\n');
		if (newline == NULL) {
			run->next = end + strlen(end);
			return line;
		}
		backslash = continuation(line, newline);
		if (backslash == NULL)
			break;
		/* Backslash and newline vanish, and the rest of the file moves up. */
		memmove(backslash, newline + 1, strlen(newline + 1) + 1);
		end = backslash;
	}
	*newline = '\0';
	run->next = newline + 1;
	return line;
}

static void
run_finish(struct init_run *run, int code)
{
	char message[RPC_TEXT_MAX];

	snprintf(message, sizeof(message), "%s:%u: %.300s", run->path, run->line_no, run->message);
	run->done(run->arg, code, code == 0 ? NULL : message);
	free(run->text);
	free(run);
}

static void WEIR_ON_CONTROL run_lines(struct init_run *run);

static void WEIR_ON_CONTROL
line_done(void *arg, int code, json_t *result, const char *message)
{
	struct init_run *run = arg;
	bool waiting = run->state == WAITING;

	run->state = READY;
	run->code = code;
	if (code != 0)
		snprintf(run->message, sizeof(run->message), "%s", message);
	if (waiting)
		run_lines(run);
}

/* Starts the call of one line. Returns 0, or the code of what is wrong with the line. */
static int WEIR_ON_CONTROL
run_line(struct init_run *run, const char *line)
{
	const struct weir_rpc_method *method;
	json_t *params;
	int code;

	code = rpc_cmdline_parse(line, &method, &params, run->message, sizeof(run->message));
	if (code != 0)
		return code;
	if (method != NULL) {
		weir_log(rpc, INFO, "%s:%u: %s", run->path, run->line_no, method->name);
		run->state = IN_CALL;
		weir_rpc_invoke(method->name, params, line_done, run);
	}
	json_decref(params);
	return 0;
}

static void WEIR_ON_CONTROL
run_lines(struct init_run *run)
{
	const char *line;
	int code;

	while (run->code == 0) {
		line = next_line(run);
		if (line == NULL)
			break;
		code = run_line(run, line);
		if (code != 0)
			run->code = code;
		if (run->state == IN_CALL) {
			run->state = WAITING;
			return;
		}
	}
	run_finish(run, run->code);
}

static int
read_file(const char *path, char **text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	size_t len = 0;
	ssize_t n;
	char *buf;

	if (fd < 0)
		return -errno;
	buf = malloc(FILE_MAX_BYTES + 1);
	if (buf == NULL) {
		close(fd);
		return -ENOMEM;
	}
	do {
		n = read(fd, buf + len, FILE_MAX_BYTES + 1 - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && len <= FILE_MAX_BYTES);
	if (n < 0)
		rc = -errno;
	else if (len > FILE_MAX_BYTES)
		rc = -EFBIG;
	else if (memchr(buf, '\0', len) != NULL)
		rc = -EINVAL;
	close(fd);
	if (rc < 0) {
		free(buf);
		return rc;
	}
	buf[len] = '\0';
	*text = buf;
	return 0;
}

int
weir_rpc_init_file(
		const char *path, void (*done)(void *arg, int code, const char *message), void *arg)
{
	struct init_run *run;
	int rc;

	run = calloc(1, sizeof(*run) + strlen(path) + 1);
	if (run == NULL)
		return -ENOMEM;
	rc = read_file(path, &run->text);
	if (rc < 0) {
		free(run);
		return rc;
	}
	run->done = done;
	run->arg = arg;
	run->next = run->text;
	run->next_line_no = 1;
	memcpy(run->path, path, strlen(path) + 1);
	run_lines(run);
	return 0;
}
