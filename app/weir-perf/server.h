/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef SERVER_H
#define SERVER_H

/**
 * @file
 * A server that we start for one run: a command of the shell in a process group of its own, with a
 * folder that goes away with it. What it prints is kept there and shown if it does not serve.
 */

#include <limits.h>
#include <sys/types.h>

#define SERVER_PATH_BYTES 108 /**< of a UNIX socket's path */

struct server {
	pid_t pid;
	char dir[SERVER_PATH_BYTES - 16];
	char socket[SERVER_PATH_BYTES];
	char rpc[SERVER_PATH_BYTES];
	char log[SERVER_PATH_BYTES];
};

/**
 * Starts command with {socket}, {dir} and {rpc} replaced and waits up to wait_s for its socket.
 * @return 0, or -errno, which has been said.
 */
int server_start(struct server *server, const char *command, unsigned int wait_s);

/** Ends the process group, first kindly, and removes the folder. */
void server_stop(struct server *server);

/** Shows the end of what the server printed, on standard error. */
void server_show_log(const struct server *server);

#endif /* SERVER_H */
