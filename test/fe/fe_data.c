/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "fe_verbs.h"

/* Requests whose payload goes through data pages: reads, writes, directories, link targets. */

void
fe_read_prepare(struct fe_req *req, uint64_t nodeid, uint64_t fh, uint32_t len, uint64_t off)
{
	struct fuse_read_in *in = fe_req_init(req, FUSE_READ, nodeid, sizeof(*in));

	in->fh = fh;
	in->offset = off;
	in->size = len;
	req->data_out = len;
}

void
fe_write_prepare(struct fe_req *req, uint64_t nodeid, uint64_t fh, uint32_t len, uint64_t off)
{
	struct fuse_write_in *in = fe_req_init(req, FUSE_WRITE, nodeid, sizeof(*in));

	in->fh = fh;
	in->offset = off;
	in->size = len;
	req->data_in = len;
	req->res_room = sizeof(struct fuse_write_out);
}

void
fe_fsync_prepare(struct fe_req *req, uint64_t nodeid, uint64_t fh, uint32_t flags)
{
	struct fuse_fsync_in *in = fe_req_init(req, FUSE_FSYNC, nodeid, sizeof(*in));

	in->fh = fh;
	in->fsync_flags = flags;
}

/* Ends a request that fe_req_call() came back from; one that is still out there stays. */
static int
data_end(struct fe_req *req, int rc, int count)
{
	if (req->done)
		fe_req_put(req);
	return rc < 0 ? rc : count;
}

int
fe_read(struct fe_queue *q, uint64_t nodeid, uint64_t fh, void *buf, uint32_t len, uint64_t off)
{
	struct fe_req *req;
	int rc;

	if (len > q->fs->opts.max_io)
		return -EINVAL;
	req = fe_req_get(q);
	if (req == NULL)
		return -EAGAIN;

	fe_read_prepare(req, nodeid, fh, len, off);
	rc = fe_req_call(req);
	if (rc == 0)
		memcpy(buf, req->data.va, req->payload);
	return data_end(req, rc, req->payload);
}

int
fe_write(struct fe_queue *q, uint64_t nodeid, uint64_t fh, const void *buf, uint32_t len,
		uint64_t off)
{
	const struct fuse_write_out *out;
	struct fe_req *req;
	int rc;

	if (len > q->fs->opts.max_io)
		return -EINVAL;
	req = fe_req_get(q);
	if (req == NULL)
		return -EAGAIN;

	fe_write_prepare(req, nodeid, fh, len, off);
	memcpy(req->data.va, buf, len);
	rc = fe_req_call(req);
	out = fe_req_res(req);
	if (rc == 0 && (req->payload != sizeof(*out) || out->size > len)) {
		fe_fault(q->fs, "WRITE: %u bytes of answer", req->payload);
		rc = -EPROTO;
	}
	return data_end(req, rc, rc == 0 ? (int)out->size : 0);
}

int
fe_readlink(struct fe_queue *q, uint64_t nodeid, char *buf, uint32_t size)
{
	struct fe_req *req = fe_req_get(q);
	int rc;

	if (req == NULL)
		return -EAGAIN;
	fe_req_init(req, FUSE_READLINK, nodeid, 0);
	req->data_out = FE_PAGE;
	rc = fe_req_call(req);
	if (rc == 0 && req->payload >= size)
		rc = -ENAMETOOLONG;
	if (rc == 0) {
		memcpy(buf, req->data.va, req->payload);
		buf[req->payload] = '\0';
	}
	return data_end(req, rc, req->payload);
}

int
fe_dirents_walk(struct fe_req *req, enum fe_readdir_kind kind, uint64_t *off, fe_dirent_fn fn,
		void *arg)
{
	size_t before = kind == FE_READDIRPLUS ? sizeof(struct fuse_entry_out) : 0;
	const uint8_t *at = req->data.va;
	uint32_t left = req->payload;
	int nb = 0;

	while (left > 0) {
		const struct fuse_entry_out *entry = before != 0 ? (const void *)at : NULL;
		const struct fuse_dirent *dirent = (const void *)(at + before);
		size_t size;
		int rc;

		if (left < before + FUSE_NAME_OFFSET || dirent->namelen == 0 ||
				dirent->namelen > NAME_MAX)
			return -EPROTO;
		size = FUSE_DIRENT_ALIGN(before + FUSE_NAME_OFFSET + dirent->namelen);
		if (size > left || memchr(dirent->name, '/', dirent->namelen) != NULL ||
				memchr(dirent->name, '\0', dirent->namelen) != NULL)
			return -EPROTO;

		rc = fn(arg, dirent, entry);
		if (rc != 0)
			return rc;
		*off = dirent->off;
		at += size;
		left -= size;
		nb++;
	}
	return nb;
}

int
fe_readdir(struct fe_queue *q, uint64_t nodeid, uint64_t fh, enum fe_readdir_kind kind,
		uint32_t size, fe_dirent_fn fn, void *arg)
{
	uint32_t opcode = kind == FE_READDIRPLUS ? FUSE_READDIRPLUS : FUSE_READDIR;
	struct fe_req *req = fe_req_get(q);
	uint32_t max = fe_fs_max_io(q->fs);
	uint64_t off = 0;
	int total = 0;
	int rc;

	if (req == NULL)
		return -EAGAIN;
	if (size > max)
		size = max;
	do {
		struct fuse_read_in *in = fe_req_init(req, opcode, nodeid, sizeof(*in));

		in->fh = fh;
		in->offset = off;
		in->size = size;
		req->data_out = size;
		rc = fe_req_call(req);
		if (rc == 0)
			rc = fe_dirents_walk(req, kind, &off, fn, arg);
		if (rc == -EPROTO)
			fe_fault(q->fs, "%s: malformed entry", fe_opcode_name(opcode));
		total += rc > 0 ? rc : 0;
	} while (rc > 0);
	return data_end(req, rc, total);
}
