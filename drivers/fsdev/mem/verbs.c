/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The verbs, as the home worker does them. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_common.h>

#include "mem.h"

static int
mem_node_init(struct weir_node *node, void *arg)
{
	memfs_get(arg, mem_ino(node));
	return 0;
}

int WEIR_ON_WORKER
mem_entry(struct weir_fsreq *req, uint32_t ino, struct weir_entry *entry)
{
	const uint64_t key[2] = { ino };
	struct mem_fsdev *mem = mem_of(req);
	struct weir_node *node;
	bool made;
	int rc;

	memfs_getattr(mem->fs, ino, &entry->attr);
	rc = weir_node_make(weir_channel_fsdev(req->chan), key, entry->attr.mode & S_IFMT,
			mem_node_init, mem->fs, &node, &made);
	if (rc < 0)
		return rc;
	entry->node = node;
	entry->entry_valid_ns = mem->entry_valid_ns;
	entry->attr_valid_ns = mem->attr_valid_ns;
	return 0;
}

/* Answers with a file that has just got the request's name; without a node it did not happen. */
static int WEIR_ON_WORKER
mem_new_entry(struct mem_fsdev *mem, struct weir_fsreq *req, uint32_t ino)
{
	int rc = mem_entry(req, ino, &req->out.entry);

	if (rc == 0)
		return 0;
	if (req->op == WEIR_FSOP_MKDIR)
		memfs_rmdir(mem->fs, mem_ino(req->node), req->name);
	else
		memfs_unlink(mem->fs, mem_ino(req->node), req->name);
	return rc;
}

static int WEIR_ON_WORKER
mem_lookup(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	uint32_t ino;
	int rc = memfs_lookup(mem->fs, mem_ino(req->node), req->name, &ino);

	return rc < 0 ? rc : mem_entry(req, ino, &req->out.entry);
}

static int WEIR_ON_WORKER
mem_getattr(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	memfs_getattr(mem->fs, mem_ino(req->node), &req->out.attr.attr);
	req->out.attr.valid_ns = mem->attr_valid_ns;
	return 0;
}

void WEIR_ON_WORKER
mem_kill_setid(struct mem_fsdev *mem, uint32_t ino)
{
	struct weir_attr attr;
	uint32_t mode;

	memfs_getattr(mem->fs, ino, &attr);
	mode = attr.mode & ((attr.mode & S_IXGRP) != 0 ? ~(S_ISUID | S_ISGID) : ~S_ISUID);
	if (S_ISDIR(mode))
		return;
	if (mem->xattr)
		(void)memfs_removexattr(mem->fs, ino, "security.capability");
	if (mode == attr.mode)
		return;
	attr.mode = mode;
	(void)memfs_setattr(mem->fs, ino, WEIR_SET_MODE, &attr);
}

static int WEIR_ON_WORKER
mem_setattr(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	int rc = memfs_setattr(
			mem->fs, mem_ino(req->node), req->in.setattr.valid, &req->in.setattr.attr);

	return rc < 0 ? rc : mem_getattr(mem, req);
}

static struct memfs_new
mem_new(const struct weir_fsreq *req, uint32_t type)
{
	return (struct memfs_new){
		.mode = type | (req->in.create.mode & 07777),
		.umask = req->in.create.umask,
		.uid = req->cred.uid,
		.gid = req->cred.gid,
		.group = req->cred.group,
		.has_group = req->cred.has_group,
		.setgid = (req->flags & WEIR_FSREQ_SETGID) != 0,
		.rdev = type == S_IFCHR || type == S_IFBLK ? req->in.create.rdev : 0,
		.label_name = req->in.create.label_name,
		.label = req->in.create.label,
		.label_len = req->in.create.label_len,
	};
}

static int WEIR_ON_WORKER
mem_make(struct mem_fsdev *mem, struct weir_fsreq *req, uint32_t type)
{
	const struct memfs_new what = mem_new(req, type);
	uint32_t ino;
	int rc = memfs_make(mem->fs, mem_ino(req->node), req->name, &what, &ino);

	return rc < 0 ? rc : mem_new_entry(mem, req, ino);
}

static int WEIR_ON_WORKER
mem_mknod(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	uint32_t type = req->in.create.mode & S_IFMT;

	switch (type) {
	case 0:
		type = S_IFREG;
		break;
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		break;
	default:
		return type == S_IFDIR ? -EPERM : -EINVAL;
	}
	return mem_make(mem, req, type);
}

static int WEIR_ON_WORKER
mem_mkdir(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	return mem_make(mem, req, S_IFDIR);
}

static int WEIR_ON_WORKER
mem_symlink(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	const struct memfs_new what = {
		.mode = S_IFLNK | 0777,
		.uid = req->cred.uid,
		.gid = req->cred.gid,
		.target = req->newname,
		.label_name = req->in.create.label_name,
		.label = req->in.create.label,
		.label_len = req->in.create.label_len,
	};
	uint32_t ino;
	int rc = memfs_make(mem->fs, mem_ino(req->node), req->name, &what, &ino);

	return rc < 0 ? rc : mem_new_entry(mem, req, ino);
}

static int WEIR_ON_WORKER
mem_link(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	uint32_t ino = mem_ino(req->newnode);
	int rc = memfs_link(mem->fs, ino, mem_ino(req->node), req->name);

	return rc < 0 ? rc : mem_new_entry(mem, req, ino);
}

static int WEIR_ON_WORKER
mem_readlink(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	return memfs_readlink(mem->fs, mem_ino(req->node), &req->iov);
}

static int WEIR_ON_WORKER
mem_unlink(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	return memfs_unlink(mem->fs, mem_ino(req->node), req->name);
}

static int WEIR_ON_WORKER
mem_rmdir(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	return memfs_rmdir(mem->fs, mem_ino(req->node), req->name);
}

static int WEIR_ON_WORKER
mem_rename(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	return memfs_rename(mem->fs, mem_ino(req->node), req->name, mem_ino(req->newnode),
			req->newname, req->in.rename.flags);
}

static int WEIR_ON_WORKER
mem_truncate(struct mem_fsdev *mem, const struct weir_fsreq *req, uint32_t ino)
{
	const struct weir_attr attr = { .size = 0 };

	if ((req->file->flags & O_TRUNC) == 0)
		return 0;
	/* CREATE has found the file only now. */
	if ((req->flags & WEIR_FSREQ_KILLPRIV) != 0)
		mem_kill_setid(mem, ino);
	return memfs_setattr(mem->fs, ino, WEIR_SET_SIZE, &attr);
}

static int WEIR_ON_WORKER
mem_open(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	if (!S_ISREG(req->node->type))
		return S_ISDIR(req->node->type) ? -EISDIR : -EINVAL;
	return mem_truncate(mem, req, mem_ino(req->node));
}

static int WEIR_ON_WORKER
mem_opendir(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	return S_ISDIR(req->node->type) ? 0 : -ENOTDIR;
}

/* What one must be allowed who opens a file so. */
static uint32_t
mem_open_mask(uint32_t flags)
{
	static const uint32_t masks[] = {
		[O_RDONLY] = R_OK,
		[O_WRONLY] = W_OK,
		[O_RDWR] = R_OK | W_OK,
		[O_ACCMODE] = R_OK | W_OK,
	};

	return masks[flags & O_ACCMODE] | ((flags & O_TRUNC) != 0 ? W_OK : 0);
}

/*
 * Another guest may have been faster: then this opens what is there, if its caller may. The guest's
 * kernel takes the file for new and has checked nothing.
 */
static int WEIR_ON_WORKER
mem_open_existing(struct mem_fsdev *mem, struct weir_fsreq *req, uint32_t ino)
{
	int rc;

	if (req->file->flags & O_EXCL)
		return -EEXIST;
	rc = mem_entry(req, ino, &req->out.entry);
	if (rc < 0)
		return rc;
	if (!S_ISREG(req->out.entry.attr.mode))
		rc = S_ISDIR(req->out.entry.attr.mode) ? -EISDIR : -EEXIST;
	else
		rc = memfs_access(mem->fs, ino, &req->cred, mem_open_mask(req->file->flags));
	if (rc == 0)
		rc = mem_truncate(mem, req, ino);
	if (rc < 0) {
		weir_node_put(weir_channel_fsdev(req->chan), req->out.entry.node);
		req->out.entry.node = NULL;
		return rc;
	}
	memfs_getattr(mem->fs, ino, &req->out.entry.attr);
	return 0;
}

static int WEIR_ON_WORKER
mem_create_open(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	uint32_t ino;
	int rc = memfs_lookup(mem->fs, mem_ino(req->node), req->name, &ino);

	if (rc == 0)
		return mem_open_existing(mem, req, ino);
	return rc == -ENOENT ? mem_make(mem, req, S_IFREG) : rc;
}

static int WEIR_ON_WORKER
mem_tmpfile(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	const struct memfs_new what = mem_new(req, S_IFREG);
	uint32_t ino;
	int rc = memfs_make_unnamed(
			mem->fs, mem_ino(req->node), &what, (req->file->flags & O_EXCL) == 0, &ino);

	if (rc < 0)
		return rc;
	rc = mem_entry(req, ino, &req->out.entry);
	if (rc < 0)
		memfs_put(mem->fs, ino, 0);
	return rc;
}

static int
mem_check_file(const struct weir_fsreq *req)
{
	if (S_ISREG(req->node->type))
		return 0;
	return S_ISDIR(req->node->type) ? -EISDIR : -EINVAL;
}

static int WEIR_ON_WORKER
mem_read(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	int rc = mem_check_file(req);

	if (rc < 0)
		return rc;
	return memfs_read(mem->fs, mem_ino(req->node), req->in.io.off, req->in.io.len, &req->iov);
}

static int WEIR_ON_WORKER
mem_write(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	uint64_t off = req->in.io.off;
	struct weir_attr attr;
	int rc = mem_check_file(req);

	if (rc < 0)
		return rc;
	/* The guest's idea of where the end is may be old. */
	if (req->in.io.flags & O_APPEND) {
		memfs_getattr(mem->fs, mem_ino(req->node), &attr);
		off = attr.size;
	}
	return memfs_write(mem->fs, mem_ino(req->node), off, req->in.io.len, &req->iov);
}

static int WEIR_ON_WORKER
mem_statfs(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	memfs_statfs(mem->fs, &req->out.statfs);
	return 0;
}

static int WEIR_ON_WORKER
mem_access(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	return memfs_access(mem->fs, mem_ino(req->node), &req->cred, req->in.access.mask);
}

static int WEIR_ON_WORKER
mem_fallocate(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	struct mem_ctx *ctx = weir_fsreq_ctx(req);
	int rc = mem_check_file(req);

	return rc < 0 ? rc :
			memfs_fallocate(mem->fs, mem_ino(req->node), req->in.fallocate.mode,
					req->in.fallocate.off, req->in.fallocate.len, &ctx->pos);
}

static int WEIR_ON_WORKER
mem_lseek(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	int rc = mem_check_file(req);

	return rc < 0 ? rc :
			memfs_seek(mem->fs, mem_ino(req->node), req->in.lseek.off,
					req->in.lseek.whence, &req->out.off);
}

static int WEIR_ON_WORKER
mem_copy(struct mem_fsdev *mem, struct weir_fsreq *req)
{
	const struct memfs_copy copy = {
		.ino = mem_ino(req->node),
		.newino = mem_ino(req->newnode),
		.off = req->in.io.off,
		.newoff = req->in.io.newoff,
		.len = req->in.io.len,
	};
	struct mem_ctx *ctx = weir_fsreq_ctx(req);

	return memfs_copy(mem->fs, &copy, &ctx->pos);
}

const mem_verb_fn mem_verbs[WEIR_NB_FSOPS] = {
	[WEIR_FSOP_LOOKUP] = mem_lookup,
	[WEIR_FSOP_GETATTR] = mem_getattr,
	[WEIR_FSOP_SETATTR] = mem_setattr,
	[WEIR_FSOP_READLINK] = mem_readlink,
	[WEIR_FSOP_SYMLINK] = mem_symlink,
	[WEIR_FSOP_MKNOD] = mem_mknod,
	[WEIR_FSOP_MKDIR] = mem_mkdir,
	[WEIR_FSOP_UNLINK] = mem_unlink,
	[WEIR_FSOP_RMDIR] = mem_rmdir,
	[WEIR_FSOP_RENAME] = mem_rename,
	[WEIR_FSOP_LINK] = mem_link,
	[WEIR_FSOP_OPEN] = mem_open,
	[WEIR_FSOP_CREATE] = mem_create_open,
	[WEIR_FSOP_READ] = mem_read,
	[WEIR_FSOP_WRITE] = mem_write,
	[WEIR_FSOP_STATFS] = mem_statfs,
	[WEIR_FSOP_OPENDIR] = mem_opendir,
	[WEIR_FSOP_READDIR] = mem_readdir_fill,
	[WEIR_FSOP_ACCESS] = mem_access,
	[WEIR_FSOP_TMPFILE] = mem_tmpfile,
	[WEIR_FSOP_STATX] = mem_statx,
	[WEIR_FSOP_GETXATTR] = mem_getxattr,
	[WEIR_FSOP_SETXATTR] = mem_setxattr,
	[WEIR_FSOP_LISTXATTR] = mem_listxattr,
	[WEIR_FSOP_REMOVEXATTR] = mem_removexattr,
	[WEIR_FSOP_FALLOCATE] = mem_fallocate,
	[WEIR_FSOP_LSEEK] = mem_lseek,
	[WEIR_FSOP_COPY_FILE_RANGE] = mem_copy,
	[WEIR_FSOP_IOCTL] = mem_ioctl,
};
