/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef SUNRPC_USER_H
#define SUNRPC_USER_H

/*
 * A client on worker 0, its calls and a guest's memory for their payload, for the test's own thread,
 * in which the server is (rpc_peer.h). A reply of procedure 1 is a status, a length and, where the
 * status is 0, so many bytes of payload.
 */

#include <semaphore.h>
#include <stdatomic.h>

#include "weir_sunrpc.h"

#include "rpc_peer.h"

#define USER_PROGRAM 0x20001234u
#define USER_VERSION 7
#define USER_PROCS   4
#define USER_SPLIT   1 /* the procedure with payload in its reply */
#define USER_MEM     (16u << 20)
#define USER_CHECKED (4u << 20) /* of them user_check_memory() looks at so many */
#define USER_HUGE    (12u << 20) /* more than sockets hold, while nobody reads */
#define USER_SEGS    2048
#define USER_GUARD   0x5a

struct user {
	struct rpc_peer peer;
	struct weir_sunrpc_cfg cfg;
	struct weir_sunrpc_client *client;
	struct weir_memmap *map;
	uint8_t *mem; /* filled with USER_GUARD */
};

struct user_call {
	struct weir_sunrpc_call call;
	struct user *user;
	uint32_t proc;
	const struct weir_sunrpc_cred *cred;
	uint32_t nb_args; /* words, numbered from 1, before the payload's length word */
	/* Payload: bytes at off in segments of seg_bytes with as much room between them (0: one). */
	size_t tx_off, tx_len, rx_off, rx_len, seg_bytes;
	struct weir_seg segs[USER_SEGS];

	sem_t ended, let_go;
	_Atomic unsigned int nb_done, nb_fenced;
	int rc;
	bool no_room; /* prepare gave nothing */
	uint8_t results[256]; /* as far as they fit */
	uint32_t nb_results, placed;
};

/* The worker, once. @return 0, or 77 where it cannot be. */
int user_group_start(void);
void user_group_stop(void);

/* Defaults: hard, one connection, a time-out that no test reaches. */
void user_init(struct user *user);
/* The client of user->cfg; connects to user->peer. @return what create said. */
int user_start(struct user *user);
void user_stop(struct user *user);
/* Stops the client alone, for what it does to calls in progress. */
void user_stop_client(struct user *user);

void user_call_init(struct user_call *call, struct user *user, uint32_t proc);
/* Submits nb calls in one round. */
void user_submit(struct user_call *calls, unsigned int nb);
void user_detach(struct user_call *call);
/* Waits for the end. @return rc. */
int user_wait(struct user_call *call);
/* A call and its answer by a server that is there. */
void user_roundtrip(struct user *user, int fd);

/* The byte at i of the payload that tests send. */
static inline uint8_t
user_byte(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

/* Fills a call's tx segments; compares a buffer with what such segments hold. */
void user_fill(struct user *user, size_t off, size_t len, size_t seg_bytes);
/* Memory holds len bytes of payload at off, in segments, and the guard everywhere else. */
void user_check_memory(const struct user *user, size_t off, size_t len, size_t seg_bytes);

/* Results of USER_SPLIT with len bytes of payload; free() it. @return their length in *nb. */
uint8_t *user_payload(size_t len, size_t *nb);

#endif /* SUNRPC_USER_H */
