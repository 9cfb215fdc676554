/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "load.h"
#include "prepare.h"

#define PREPARE_UMASK 022

/* A struct and perhaps a name; the answer has res_room bytes. */
static int
prepare(struct fe_req *req, uint32_t opcode, uint64_t nodeid, const void *arg, uint32_t arg_len,
		const char *name, uint32_t res_room)
{
	uint32_t len = name != NULL ? strlen(name) + 1 : 0;
	uint8_t *at = fe_req_init(req, opcode, nodeid, arg_len + len);

	if (arg_len > 0)
		memcpy(at, arg, arg_len);
	if (len > 0)
		memcpy(at + arg_len, name, len);
	req->res_room = res_room;
	return TASK_SEND;
}

int
prepare_lookup(struct fe_req *req, uint64_t parent, const char *name)
{
	return prepare(req, FUSE_LOOKUP, parent, NULL, 0, name, sizeof(struct fuse_entry_out));
}

int
prepare_getattr(struct fe_req *req, uint64_t nodeid)
{
	const struct fuse_getattr_in in = { 0 };

	return prepare(req, FUSE_GETATTR, nodeid, &in, sizeof(in), NULL,
			sizeof(struct fuse_attr_out));
}

int
prepare_truncate(struct fe_req *req, uint64_t nodeid, uint64_t size)
{
	const struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = size };

	return prepare(req, FUSE_SETATTR, nodeid, &in, sizeof(in), NULL,
			sizeof(struct fuse_attr_out));
}

int
prepare_open(struct fe_req *req, uint32_t opcode, uint64_t nodeid, uint32_t flags)
{
	const struct fuse_open_in in = { .flags = flags };

	return prepare(req, opcode, nodeid, &in, sizeof(in), NULL, sizeof(struct fuse_open_out));
}

int
prepare_release(struct fe_req *req, uint32_t opcode, uint64_t nodeid, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return prepare(req, opcode, nodeid, &in, sizeof(in), NULL, 0);
}

int
prepare_create(struct fe_req *req, uint64_t parent, const char *name)
{
	const struct fuse_create_in in = {
		.flags = O_RDWR | O_CREAT | O_EXCL,
		.mode = S_IFREG | 0644,
		.umask = PREPARE_UMASK,
	};

	return prepare(req, FUSE_CREATE, parent, &in, sizeof(in), name,
			sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out));
}

int
prepare_mkdir(struct fe_req *req, uint64_t parent, const char *name)
{
	const struct fuse_mkdir_in in = { .mode = 0755, .umask = PREPARE_UMASK };

	return prepare(req, FUSE_MKDIR, parent, &in, sizeof(in), name,
			sizeof(struct fuse_entry_out));
}

int
prepare_named(struct fe_req *req, uint32_t opcode, uint64_t parent, const char *name)
{
	return prepare(req, opcode, parent, NULL, 0, name, 0);
}

int
prepare_readdirplus(struct fe_req *req, uint64_t nodeid, uint64_t fh, uint64_t off)
{
	const struct fuse_read_in in = { .fh = fh, .offset = off, .size = FE_PAGE };

	prepare(req, FUSE_READDIRPLUS, nodeid, &in, sizeof(in), NULL, 0);
	req->data_out = FE_PAGE;
	return TASK_SEND;
}
