/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef SUNRPC_FIXTURE_H
#define SUNRPC_FIXTURE_H

/* One user of one client, made anew for each test. */

#include "sunrpc_user.h"

extern struct user user;

/* The worker, then what run() says, or 77 where there can be none. */
int sunrpc_main(int (*run)(void));

int sunrpc_setup(void **state);
int sunrpc_teardown(void **state);

/* Starts the client. @return the server's end of its connection, and the client's *port (may be NULL). */
int connect_now(uint16_t *port);

/* The next connection comes from the same port. */
int connect_again(uint16_t port);

/* The same call, byte by byte, has come once more. */
void recv_again(int fd, const struct rpc_peer_call *before);

/* Answers without results, and the call ends well. Frees seen. */
void answer(int fd, struct rpc_peer_call *seen, struct user_call *call);

#endif /* SUNRPC_FIXTURE_H */
