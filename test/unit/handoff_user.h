/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef HANDOFF_USER_H
#define HANDOFF_USER_H

/*
 * Requests between workers to the driver of slow_fs.h: worker 0 submits, workers 1 and 2 have the
 * channels; worker 3 is both.
 */

#include "weir_handoff.h"

#include "fs_client.h"
#include "slow_fs.h"

#define HOME    0 /* frontend worker of most tests */
#define BACKEND 1

extern struct weir_fsdev *slow_dev;

/* One request, checked to be fenced and done once, on its home worker. */
struct call {
	struct weir_fsreq req;
	struct weir_msg msg;
	struct guest guest;
	struct weir_worker *home;
	struct weir_channel *chan;

	/* The home worker's, until done. */
	bool fenced;
	unsigned int touched; /* when it was fenced */
	int res;
	unsigned int nb_done;
	_Atomic bool done;
	_Atomic bool is_fenced;
};

/* EAL, workers and their roles; then what run() says, or 77 where there can be none. */
int handoff_main(int (*run)(void));

/* The file system; each test has its own. */
int handoff_setup(void **state);
int handoff_teardown(void **state);
int delete_slow(char message[512]);

void call_init(struct call *call, enum weir_fsop op, uint64_t off, unsigned int home,
		unsigned int backend);
void call_submit(struct call *call);
void call_detach(struct call *call);

/* Of a detach: notes that the guest's memory is left alone from now on. */
void call_fenced(struct weir_fsreq *req);

/* @return the request's result, when it is done. */
int call_wait(struct call *call);

/* Until there have been so many. */
void wait_for(const _Atomic unsigned int *what, unsigned int nb);

/* Returns when the worker has dealt with what it was sent before. */
void wait_round(unsigned int worker);

/* Keeps a worker from its rounds until it is let go. */
struct hold {
	struct weir_msg msg;
	_Atomic bool held, let_go;
};

void hold_begin(struct hold *hold, unsigned int worker);
void hold_end(struct hold *hold, unsigned int worker);

struct weir_handoff_stats stats_of(unsigned int worker);

#endif /* HANDOFF_USER_H */
