/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef RPC_CLIENT_H
#define RPC_CLIENT_H

/*
 * A client of the RPC server that lives in the same thread: while it waits, it turns the control
 * loop. The server serves at rpc_path in a private folder, with these methods: echo (alias repeat)
 * gives its parameters text and number back, yes replies true, no fails, big replies 256 KiB, hold
 * leaves its call in rpc_held.
 */

#include <stddef.h>

#include "weir_rpc.h"

#define PARSE_ERROR "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":"
#define TRUE_1      "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}"
#define TRUE_2      "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":true}"
#define INVALID_PARAMS(text)                                                                       \
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":"                    \
	"\"Invalid parameters: " text "\"}}"

extern char rpc_dir[32], rpc_path[64];
extern unsigned int rpc_nb_true_calls;
extern struct weir_rpc_call *rpc_held;

int rpc_client_setup(void **state);
int rpc_client_teardown(void **state);

int rpc_client_open(void);
void rpc_turn(void);
void rpc_turns(void);
/* Sends everything, letting the server read while it does. Returns -EPIPE if it closed. */
int rpc_try_send(int fd, const char *data, size_t len);
void rpc_say(int fd, const char *text);
/* Reads one line, without the newline; NULL at the end of the stream. To be freed. */
char *rpc_read_line(int fd);

void assert_rpc_line(int fd, const char *expected);
void assert_rpc_closed(int fd); /* and closes it */
void assert_rpc_silent(int fd);
/* One request on a connection of its own. */
void assert_rpc_answer(const char *request, const char *expected);
/* One text that is answered with a line that starts so, and then with the end of the connection. */
void assert_rpc_fatal(const char *request, size_t len, const char *start);

#endif /* RPC_CLIENT_H */
