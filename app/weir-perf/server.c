/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fe_hist.h"
#include "load.h"
#include "server.h"

#define STOP_MS  5000
#define LOG_TAIL 2000

static void
nap(void)
{
	const struct timespec ts = { .tv_nsec = 5000000 };

	nanosleep(&ts, NULL);
}

/* command with the placeholders replaced, to be freed; NULL: no memory. */
static char *
server_command(const struct server *server, const char *command)
{
	const struct {
		const char *name;
		const char *value;
	} words[] = {
		{ "{socket}", server->socket },
		{ "{dir}", server->dir },
		{ "{rpc}", server->rpc },
	};
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);
	unsigned int i;

	if (out == NULL)
		return NULL;
	while (*command != '\0') {
		for (i = 0; i < 3; i++)
			if (strncmp(command, words[i].name, strlen(words[i].name)) == 0)
				break;
		if (i < 3) {
			fputs(words[i].value, out);
			command += strlen(words[i].name);
		} else {
			fputc(*command++, out);
		}
	}
	return fclose(out) == 0 ? text : NULL;
}

static void
server_exec(const struct server *server, const char *command)
{
	int log = open(server->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int null = open("/dev/null", O_RDONLY);

	setpgid(0, 0);
	if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(127);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static int
entry_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

/* A socket that nobody listens at is not one yet; no connection is made that a server would see. */
static int
server_await(struct server *server, unsigned int wait_s)
{
	uint64_t end = fe_now_ns() + wait_s * UINT64_C(1000000000);
	struct stat st;

	while (fe_now_ns() < end && !__atomic_load_n(&load_interrupted, __ATOMIC_RELAXED)) {
		if (stat(server->socket, &st) == 0 && S_ISSOCK(st.st_mode))
			return 0;
		if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
			/* What it may have started in the background ends with its group. */
			kill(-server->pid, SIGKILL);
			server->pid = 0;
			fprintf(stderr, "weir-perf: the server ended without a socket at %s\n",
					server->socket);
			return -ECHILD;
		}
		nap();
	}
	fprintf(stderr, "weir-perf: the server made no socket at %s within %u s\n", server->socket,
			wait_s);
	return -ETIMEDOUT;
}

int
server_start(struct server *server, const char *command, unsigned int wait_s)
{
	const char *tmp = getenv("TMPDIR");
	char *text;
	int len, rc;

	memset(server, 0, sizeof(*server));
	len = snprintf(server->dir, sizeof(server->dir), "%s/weir-perf-XXXXXX",
			tmp != NULL ? tmp : "/tmp");
	if (len >= (int)sizeof(server->dir) || mkdtemp(server->dir) == NULL) {
		fprintf(stderr, "weir-perf: cannot make a folder for the server: %s\n",
				len >= (int)sizeof(server->dir) ? "TMPDIR is too long" :
								  strerror(errno));
		return -EINVAL;
	}
	snprintf(server->socket, sizeof(server->socket), "%s/perf.sock", server->dir);
	snprintf(server->rpc, sizeof(server->rpc), "%s/rpc.sock", server->dir);
	snprintf(server->log, sizeof(server->log), "%s/log", server->dir);

	text = server_command(server, command);
	if (text == NULL) {
		server_stop(server);
		return -ENOMEM;
	}
	server->pid = fork();
	if (server->pid == 0)
		server_exec(server, text);
	free(text);
	if (server->pid < 0) {
		server->pid = 0;
		server_stop(server);
		return -ENOMEM;
	}
	setpgid(server->pid, server->pid);
	rc = server_await(server, wait_s);
	if (rc < 0) {
		server_show_log(server);
		server_stop(server);
	}
	return rc;
}

void
server_stop(struct server *server)
{
	uint64_t end = fe_now_ns() + STOP_MS * UINT64_C(1000000);

	if (server->pid > 0) {
		kill(-server->pid, SIGTERM);
		while (waitpid(server->pid, NULL, WNOHANG) == 0) {
			if (fe_now_ns() > end)
				kill(-server->pid, SIGKILL);
			nap();
		}
		kill(-server->pid, SIGKILL);
		server->pid = 0;
	}
	if (server->dir[0] != '\0')
		nftw(server->dir, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
	server->dir[0] = '\0';
}

void
server_show_log(const struct server *server)
{
	char buf[LOG_TAIL];
	FILE *file = fopen(server->log, "r");
	size_t got;

	if (file == NULL)
		return;
	if (fseek(file, -(long)sizeof(buf), SEEK_END) < 0)
		rewind(file);
	while ((got = fread(buf, 1, sizeof(buf), file)) > 0)
		fwrite(buf, 1, got, stderr);
	fclose(file);
}
