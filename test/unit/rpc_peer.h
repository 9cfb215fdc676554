/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef RPC_PEER_H
#define RPC_PEER_H

/*
 * An ONC RPC server on loopback that does what the test tells it, byte by byte. It runs in the test's
 * own thread, while the client runs on a worker. Whatever takes ten seconds fails.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_peer {
	int family;
	int listen_fd;
	uint16_t port;
};

/* One call as it came; strings and payload stay in raw. */
struct rpc_peer_call {
	uint8_t *raw; /* of rpc_peer_recv(); free() it */
	size_t raw_len;
	uint32_t xid, program, version, proc;
	uint32_t flavor, uid, gid, nb_groups, groups[16];
	const uint8_t *args;
	size_t args_len;
};

/* Listens on any port of loopback. @return false: this machine has no such family. */
bool rpc_peer_start(struct rpc_peer *peer, int family);
/* Goes away, and comes back on the same port. */
void rpc_peer_stop(struct rpc_peer *peer);
void rpc_peer_restart(struct rpc_peer *peer);

/* @return the next connection; *port: where it came from, may be NULL. */
int rpc_peer_accept(struct rpc_peer *peer, uint16_t *port);
/* Ends a connection by a reset. */
void rpc_peer_reset(int fd);

void rpc_peer_recv(int fd, struct rpc_peer_call *call);
/* Whether the client closes the connection, which it does without another byte. */
void rpc_peer_expect_close(int fd);

/* A reply's body for xid: accepted, successful, with these results. @return its length. */
size_t rpc_peer_reply(uint8_t *body, uint32_t xid, const void *results, size_t nb);
/* Cuts a body into fragments of frag bytes (0: one). @return the bytes for the wire. */
size_t rpc_peer_frame(uint8_t *wire, const uint8_t *body, size_t nb, size_t frag);
/* Sends bytes, step at a time (0: all), each step a segment of its own. */
void rpc_peer_send(int fd, const void *bytes, size_t nb, size_t step);
/* All three in one. */
void rpc_peer_answer(int fd, uint32_t xid, const void *results, size_t nb);

#endif /* RPC_PEER_H */
