/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse.h"

/* Names in directories. The dispatcher has looked up the directory and checked the names. */

#define NSEC_PER_SEC 1000000000u
/* Linux takes set-group-id bits off what is made since 6.0; 6.1 is the first to be known by this. */
#define FUSE_MINOR_STRIPS_SETGID 37

void WEIR_ON_WORKER
fuse_fill_entry(struct weir_fuse_session *sess, struct fuse_entry_out *out,
		const struct weir_entry *entry)
{
	uint64_t valid_ns = entry->entry_valid_ns;

	/* A guest that asks for the name of a file learns the attributes that are true as it opens. */
	if (sess->close_to_open && entry->node != NULL && S_ISREG(entry->node->type))
		valid_ns = 0;
	*out = (struct fuse_entry_out){
		.entry_valid = valid_ns / NSEC_PER_SEC,
		.entry_valid_nsec = valid_ns % NSEC_PER_SEC,
	};
	if (entry->node == NULL)
		return;
	out->attr_valid = entry->attr_valid_ns / NSEC_PER_SEC;
	out->attr_valid_nsec = entry->attr_valid_ns % NSEC_PER_SEC;
	fuse_fill_attr(sess, &out->attr, &entry->attr);
	out->nodeid = fuse_node_learn(sess, entry->node);
}

int WEIR_ON_WORKER
fuse_lookup_reply(struct weir_fuse_req *req, int res)
{
	const struct weir_entry *entry = &req->io.out.entry;
	struct fuse_entry_out out;

	(void)res;
	/* Only a name that may be remembered as absent is worth an entry. */
	if (entry->node == NULL && entry->entry_valid_ns == 0)
		return -ENOENT;
	fuse_fill_entry(req->sess, &out, entry);
	return fuse_body(req, &out, sizeof(out));
}

int WEIR_ON_WORKER
fuse_entry_reply(struct weir_fuse_req *req, int res)
{
	if (req->io.out.entry.node == NULL)
		return fuse_fail(req, FUSE_FAULT_BACKEND, -EIO);
	return fuse_lookup_reply(req, res);
}

void WEIR_ON_WORKER
fuse_entry_undo(struct weir_fuse_req *req)
{
	if (req->io.out.entry.node != NULL)
		weir_node_put(req->sess->dev, req->io.out.entry.node);
}

int WEIR_ON_WORKER
fuse_lookup(struct weir_fuse_req *req, const void *arg)
{
	(void)arg;
	/* Nothing is above the root, whatever the folder behind it lies in. */
	if (req->io.node == req->sess->root && strcmp(req->io.name, "..") == 0)
		req->io.name = ".";
	return fuse_start_io(req, WEIR_FSOP_LOOKUP);
}

int WEIR_ON_WORKER
fuse_symlink(struct weir_fuse_req *req, const void *arg)
{
	(void)arg;
	return fuse_start_io(req, WEIR_FSOP_SYMLINK);
}

/* Who is made somebody else by a map is in groups of the guest's, not of the host's. */
uint32_t WEIR_ON_WORKER
fuse_setgid_flag(const struct weir_fuse_req *req, uint32_t mode)
{
	if (likely((mode & S_ISGID) == 0) || req->io.cred.mapped)
		return 0;
	return atomic_load_explicit(&req->sess->shared->minor, memory_order_relaxed) >=
					FUSE_MINOR_STRIPS_SETGID ?
			WEIR_FSREQ_SETGID :
			0;
}

int WEIR_ON_WORKER
fuse_mknod(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_mknod_in *in = arg;
	uint32_t type = in->mode & S_IFMT;

	if (type == 0)
		type = S_IFREG;
	if (!S_ISREG(type) && !S_ISCHR(type) && !S_ISBLK(type) && !S_ISFIFO(type) &&
			!S_ISSOCK(type))
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	req->io.in.create.mode = type | (in->mode & 07777);
	req->io.in.create.umask = in->umask & 0777;
	req->io.in.create.rdev = in->rdev;
	req->io.flags |= fuse_setgid_flag(req, in->mode);
	return fuse_start_io(req, WEIR_FSOP_MKNOD);
}

int WEIR_ON_WORKER
fuse_mkdir(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_mkdir_in *in = arg;

	req->io.in.create.mode = S_IFDIR | (in->mode & 07777);
	req->io.in.create.umask = in->umask & 0777;
	return fuse_start_io(req, WEIR_FSOP_MKDIR);
}

int WEIR_ON_WORKER
fuse_unlink(struct weir_fuse_req *req, const void *arg)
{
	(void)arg;
	return fuse_start_io(req, WEIR_FSOP_UNLINK);
}

int WEIR_ON_WORKER
fuse_rmdir(struct weir_fuse_req *req, const void *arg)
{
	(void)arg;
	return fuse_start_io(req, WEIR_FSOP_RMDIR);
}

static int WEIR_ON_WORKER
fuse_rename_to(struct weir_fuse_req *req, uint64_t newdir, uint32_t flags)
{
	if ((flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) != 0)
		return fuse_fail(req, FUSE_FAULT_ARGS, -EINVAL);
	req->io.newnode = fuse_node_get(req->sess, newdir);
	if (req->io.newnode == NULL)
		return -ESTALE;
	if (!S_ISDIR(req->io.newnode->type))
		return -ENOTDIR;
	req->io.in.rename.flags = flags;
	return fuse_start_io(req, WEIR_FSOP_RENAME);
}

int WEIR_ON_WORKER
fuse_rename(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_rename_in *in = arg;

	return fuse_rename_to(req, in->newdir, 0);
}

int WEIR_ON_WORKER
fuse_rename2(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_rename2_in *in = arg;

	return fuse_rename_to(req, in->newdir, in->flags);
}

int WEIR_ON_WORKER
fuse_link(struct weir_fuse_req *req, const void *arg)
{
	const struct fuse_link_in *in = arg;

	req->io.newnode = fuse_node_get(req->sess, in->oldnodeid);
	if (req->io.newnode == NULL)
		return -ESTALE;
	if (S_ISDIR(req->io.newnode->type))
		return -EPERM;
	return fuse_start_io(req, WEIR_FSOP_LINK);
}
