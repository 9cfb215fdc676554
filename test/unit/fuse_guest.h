/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FUSE_GUEST_H
#define FUSE_GUEST_H

/*
 * Plays the guest of a FUSE session over the fake file system: two workers, one session, requests
 * in guest memory that is cut into odd segments. Control is the test's own thread.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fake_fs.h"
#include "fuse.h"

#define GUEST_ROOM  (8u * 1024) /* for an answer, header included */
#define GUEST_SLOTS 16
#define GUEST_SLOT  (512u * 1024) /* guest memory of one request: half for in, half for out */

struct guest_req {
	struct weir_fuse_req fuse;
	unsigned int slot;
	unsigned int worker;
	uint32_t room;
	struct weir_seg segs[1024];
	/* Written on the worker. */
	uint32_t bytes;
	_Atomic unsigned int completed, released, fenced;
};

extern struct weir_fuse_session *guest_sess;

/* For cmocka: EAL, workers, file system; and for each test a session of its own, mounted. */
int guest_group_setup(void **state);
int guest_group_teardown(void **state);
int guest_setup(void **state);
int guest_setup_unmounted(void **state);
/* Makes the file system anew, with more create parameters as JSON text, and a mounted session on it. */
void guest_remake(const char *options, struct fuse_init_out *out);
/* Resets the session, and fails the test if a node or a file was left open in the backend. */
int guest_teardown(void **state);

/* Builds a request in a slot: header, and len bytes behind it. */
void guest_prepare(struct guest_req *r, unsigned int slot, uint32_t opcode, uint64_t nodeid,
		const void *arg, size_t len, uint32_t room);
/* The header of a prepared request, in guest memory, and what is behind it. */
struct fuse_in_header *guest_head(struct guest_req *r);
/* The request's cursor ends after n bytes. */
void guest_cut(struct guest_req *r, size_t n);
int guest_submit(struct guest_req *r);
/* Lets control run until the request completed. */
void guest_wait(struct guest_req *r);
/* The answer of a completed request: its error, or the bytes of the body. */
int guest_answer(struct guest_req *r, const void **body);
void guest_detach(struct guest_req *r);

/* A request and its answer: error, or the bytes of the body, of which up to size are copied. */
int
guest_call(uint32_t opcode, uint64_t nodeid, const void *arg, size_t len, void *body, size_t size);
/* The same with a fixed part and up to two names. */
int guest_call_names(uint32_t opcode, uint64_t nodeid, const void *fixed, size_t len,
		const char *name, const char *newname, void *body, size_t size);

int guest_init(uint32_t minor, uint64_t flags, struct fuse_init_out *out);
uint64_t guest_lookup(uint64_t parent, const char *name);
void guest_forget(uint64_t nodeid, uint64_t nlookup);
uint64_t guest_open(uint64_t nodeid, uint32_t flags);
uint64_t guest_opendir(uint64_t nodeid);
int guest_release(uint32_t opcode, uint64_t nodeid, uint64_t fh);

/* Runs fn on a worker and waits for it. */
void guest_on_worker(unsigned int worker, void (*fn)(void));
/* Lets control and the workers do what they have to do until cond() holds; fails after 10 s. */
void guest_until(bool (*cond)(void *arg), void *arg);
/* A counter of the session's "faults", summed. */
uint64_t guest_faults(enum fuse_fault fault);
/* Nodes that anybody has a reference to, the root included, after control has cleaned up. */
uint32_t guest_nodes(void);
void guest_reset(void);

#endif /* FUSE_GUEST_H */
