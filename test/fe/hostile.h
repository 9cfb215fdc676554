/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef HOSTILE_H
#define HOSTILE_H

/**
 * @file
 * The hostile front end: malformed vhost-user messages, rings and FUSE requests, from a seed. It
 * counts what became of them, and holds every answer to the rules: what a device says to nonsense
 * must be as well-formed as what it says to sense.
 */

#include "cli.h"
#include "rng.h"

#define HOSTILE_MAX_CATS 100
#define HOSTILE_DEPTH    64 /**< requests of a queue */

enum hostile_outcome {
	HOSTILE_PAST, /**< got past the first check: success, or an error about what it names */
	HOSTILE_REFUSED, /**< answered with a generic error, or given back unanswered */
	HOSTILE_SILENT, /**< not answered at all: the ring is broken or the connection closed */
	HOSTILE_NB_OUTCOMES,
};

struct hostile_cat {
	const char *layer;
	const char *name;
	uint64_t count[HOSTILE_NB_OUTCOMES];
};

struct hostile {
	struct cli *cli;
	struct rng rng;
	struct fe_opts opts;
	struct fe_fs fs;
	bool connected;
	unsigned int nb_cats;
	struct hostile_cat cat[HOSTILE_MAX_CATS];
	uint64_t nb_faults;
	uint64_t nb_connects;
};

/** Adds a row to the table. @return its index, for hostile_count(). */
unsigned int hostile_cat_add(struct hostile *h, const char *layer, const char *name);

void hostile_count(struct hostile *h, unsigned int cat, enum hostile_outcome outcome);

/** The device broke a rule: says so and remembers it. */
void hostile_fault(struct hostile *h, const char *fmt, ...);

enum hostile_how {
	HOSTILE_CONNECT, /**< rings run, INIT was not sent */
	HOSTILE_MOUNT,
};

/**
 * Connects and perhaps mounts, waiting for the device to be done with the connection before.
 * @return 0, or a negative errno: the device does not come back.
 */
int hostile_connect(struct hostile *h, enum hostile_how how);
void hostile_disconnect(struct hostile *h);

/** The three layers, rings in two layouts: each sends nb inputs. @return 0, or a negative errno: cannot go on. */
int hostile_fuse(struct hostile *h, uint64_t nb);
int hostile_ring(struct hostile *h, uint64_t nb);
int hostile_packed(struct hostile *h, uint64_t nb);
int hostile_vhost(struct hostile *h, uint64_t nb);

#endif /* HOSTILE_H */
