/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>

#include "fuse.h"

/* Listing a directory: the driver emits entries, each goes straight into the guest's buffer. */

static bool
fuse_dirent_is_sane(const struct weir_dirent *dirent)
{
	return dirent->name_len > 0 && dirent->name_len <= FUSE_NAME_MAX &&
			memchr(dirent->name, '/', dirent->name_len) == NULL &&
			memchr(dirent->name, '\0', dirent->name_len) == NULL;
}

/* A guest never looks up "." and "..", so it must not be told their nodes. */
static bool
fuse_dirent_is_dots(const struct weir_dirent *dirent)
{
	return dirent->name[0] == '.' &&
			(dirent->name_len == 1 ||
					(dirent->name_len == 2 && dirent->name[1] == '.'));
}

static void WEIR_ON_WORKER
fuse_write_plus(struct weir_fuse_req *req, const struct weir_dirent *dirent)
{
	struct fuse_entry_out out = { 0 };
	struct weir_entry *entry = dirent->entry;

	if (entry != NULL && entry->node != NULL) {
		if (fuse_dirent_is_dots(dirent))
			weir_node_put(req->sess->dev, entry->node);
		else
			fuse_fill_entry(req->sess, &out, entry);
	}
	weir_iov_write(&req->io.iov, &out, sizeof(out));
}

static void WEIR_ON_WORKER
fuse_write_dirent(struct weir_fuse_req *req, const struct weir_dirent *dirent)
{
	const struct fuse_dirent out = {
		.ino = dirent->ino,
		.off = dirent->next_off,
		.namelen = dirent->name_len,
		.type = dirent->type,
	};

	weir_iov_write(&req->io.iov, &out, sizeof(out));
	weir_iov_write(&req->io.iov, dirent->name, dirent->name_len);
	weir_iov_zero(&req->io.iov, RTE_ALIGN(dirent->name_len, 8u) - dirent->name_len);
}

/* io.iov is where the next entry goes; in.io.len is what it held at first. */
static int WEIR_ON_WORKER
fuse_emit(struct weir_fsreq *io, const struct weir_dirent *dirent)
{
	struct weir_fuse_req *req = container_of(io, struct weir_fuse_req, io);
	bool plus = (io->flags & WEIR_FSREQ_PLUS) != 0;
	size_t n;

	/*
	 * This may be another worker than the request's, whose flags are not to be touched here. What
	 * it writes from here on is payload, full and the cursor, which are read when the verb is done.
	 */
	if ((io->flags & WEIR_FSREQ_DETACHED) != 0 || !fuse_phase_is(req))
		return -ENOSPC;
	if (!fuse_dirent_is_sane(dirent)) {
		fuse_stats_fault(req->sess, FUSE_FAULT_BACKEND);
		if (dirent->entry != NULL && dirent->entry->node != NULL)
			weir_node_put(req->sess->dev, dirent->entry->node);
		return 0;
	}
	n = sizeof(struct fuse_dirent) + RTE_ALIGN(dirent->name_len, 8u);
	if (plus)
		n += sizeof(struct fuse_entry_out);
	if (n > io->iov.left) {
		req->full = true;
		return -ENOSPC;
	}
	if (plus)
		fuse_write_plus(req, dirent);
	fuse_write_dirent(req, dirent);
	req->payload += n;
	return 0;
}

static int WEIR_ON_WORKER
fuse_list(struct weir_fuse_req *req, const struct fuse_read_in *in, uint32_t flags)
{
	uint32_t size = RTE_MIN(in->size, req->sess->max_io);

	req->io.flags |= flags;
	req->io.in.io.off = in->offset;
	req->io.in.io.len = fuse_body_room(req, size, &req->io.iov);
	req->io.emit = fuse_emit;
	return fuse_start_io(req, WEIR_FSOP_READDIR);
}

int WEIR_ON_WORKER
fuse_readdir(struct weir_fuse_req *req, const void *arg)
{
	return fuse_list(req, arg, 0);
}

int WEIR_ON_WORKER
fuse_readdirplus(struct weir_fuse_req *req, const void *arg)
{
	return fuse_list(req, arg, WEIR_FSREQ_PLUS);
}

/* An answer of 0 bytes means the end; no room for even one entry must not look like it. */
int WEIR_ON_WORKER
fuse_readdir_reply(struct weir_fuse_req *req, int res)
{
	(void)res;
	if (req->payload == 0 && req->full)
		return fuse_fail(req, FUSE_FAULT_ROOM, -EINVAL);
	return (int)req->payload;
}
