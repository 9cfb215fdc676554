/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef PREPARE_H
#define PREPARE_H

/**
 * @file
 * FUSE requests as Linux makes them, ready to be sent, with room for their answers. All return
 * TASK_SEND.
 */

#include "fe_verbs.h"

/** What CREATE answers: an entry and, behind it, this. */
static inline const struct fuse_open_out *
entry_open(const struct fuse_entry_out *entry)
{
	return (const struct fuse_open_out *)(entry + 1);
}

int prepare_lookup(struct fe_req *req, uint64_t parent, const char *name);
int prepare_getattr(struct fe_req *req, uint64_t nodeid);
/** SETATTR of the size. */
int prepare_truncate(struct fe_req *req, uint64_t nodeid, uint64_t size);
/** OPEN or OPENDIR. */
int prepare_open(struct fe_req *req, uint32_t opcode, uint64_t nodeid, uint32_t flags);
/** RELEASE or RELEASEDIR. */
int prepare_release(struct fe_req *req, uint32_t opcode, uint64_t nodeid, uint64_t fh);
int prepare_create(struct fe_req *req, uint64_t parent, const char *name);
int prepare_mkdir(struct fe_req *req, uint64_t parent, const char *name);
/** UNLINK or RMDIR. */
int prepare_named(struct fe_req *req, uint32_t opcode, uint64_t parent, const char *name);
/** A page of READDIRPLUS, which is what Linux asks for. */
int prepare_readdirplus(struct fe_req *req, uint64_t nodeid, uint64_t fh, uint64_t off);

#endif /* PREPARE_H */
