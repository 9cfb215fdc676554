/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef INSN_OPS_H
#define INSN_OPS_H

/**
 * @file
 * Operations of a guest as weir-insn-engine sends them: requests one after the other, each to many
 * files at a time.
 */

#include "fe_verbs.h"

#define OPS_DEPTH_MAX 32

/** One of the operations that are under way side by side. */
struct op_task {
	struct fe_fs *fs;
	struct fe_req *req;
	unsigned int index;
	uint64_t nodeid, fh; /**< of what the operation has made or opened */
};

/** One request of an operation. */
struct op_step {
	unsigned int queue; /**< that it is sent on */
	uint32_t bytes; /**< of payload */
	void (*prepare)(struct op_task *task, uint32_t bytes);
	/** Looks at the answer, which is no error. @return whether it is as it should be. NULL: it is. */
	bool (*take)(struct op_task *task, uint32_t bytes);
};

#define OPS_STEPS_MAX 4

struct op_kind {
	const char *name;
	struct op_step steps[OPS_STEPS_MAX];
	unsigned int nb_steps;
};

enum {
	OP_GETATTR,
	OP_LOOKUP,
	OP_READ_4K,
	OP_WRITE_4K,
	OP_READ_1M,
	OP_WRITE_1M,
	OP_OPEN,
	OP_CREATE,
	OPS_NB
};

extern const struct op_kind op_kinds[OPS_NB];

/** Makes the file that they work on, of 1 MiB, and opens it. On a thread that may wait. */
void ops_prepare(struct fe_fs *fs);

#endif /* INSN_OPS_H */
