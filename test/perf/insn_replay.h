/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef INSN_REPLAY_H
#define INSN_REPLAY_H

/**
 * @file
 * An NFS server, MOUNT included, that knows only what a real one has answered before: it looks a call
 * up in a recording, by program, procedure and arguments, and sends the reply with the call's xid. It
 * listens on a port of loopback, serves when it is told to, and whoever tells it may change from one
 * thread to another. When it records, it asks the real server what it does not know.
 *
 * A recording is text, two lines a call: "call PROGRAM VERSION PROCEDURE ARGUMENTS" and "reply BYTES",
 * the latter without the xid. Bytes are in hexadecimal, "61*4096" stands for 4096 times one.
 */

#include <stdint.h>

/** Loads a recording; when server_port is not 0 it may be absent, and is added to. Ends the process
 * when that cannot be. */
void replay_open(const char *path, uint16_t server_port, uint16_t server_mount_port);

/** The port that it listens on, for MOUNT and NFS. */
uint16_t replay_port(void);

/** Takes what calls have come and sends what replies there are, as far as the sockets let it. */
void replay_serve(void);

/**
 * The same in lockstep with a client in this process that has one connection: waits until nb_calls
 * have come since the last replay_serve(), and sends nothing before the client has read all that
 * was sent; then some, and waits until it could be read.
 */
void replay_step(uint64_t nb_calls);

/** Writes down what was recorded, if anything was. */
void replay_close(const char *path);

#endif /* INSN_REPLAY_H */
