/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <linux/fs.h>
#include <string.h>

#include "hostile_fuse.h"

/*
 * Malformed FUSE messages of the opcodes that guests send seldom. What would harm the host's folder
 * if it were good, such as flags that keep files from being removed, is never good here; space is
 * asked for in small pieces or in impossible ones.
 */

#define ROOM_USUAL 4096u

static uint32_t
below(struct msg *msg, uint32_t n)
{
	return rng_below(msg->rng, n);
}

static uint64_t
junk(struct msg *msg)
{
	return rng_junk(msg->rng);
}

/* A small number, or anything. */
static uint64_t
number(struct msg *msg, uint32_t n)
{
	return below(msg, 3) > 0 ? below(msg, n) : junk(msg);
}

static void
put(struct msg *msg, const void *arg, uint32_t len)
{
	memcpy(msg->bytes + msg->len, arg, len);
	msg->len += len;
}

static void
begin(struct msg *msg, uint32_t opcode)
{
	struct fuse_in_header *head = msg_head(msg);

	memset(head, 0, sizeof(*head));
	msg->len = sizeof(*head);
	msg->room = below(msg, 3) == 0 ? 16 + below(msg, 100) : ROOM_USUAL;
	head->opcode = opcode;
	head->nodeid = below(msg, 4) > 0 ? msg->world->file : msg->world->dir;
}

/* An open file or directory, rightly or not. */
static uint64_t
some_fh(struct msg *msg)
{
	const uint64_t handles[] = { msg->world->file_fh, msg->world->file_fh, msg->world->dir_fh,
		msg->world->stale_fh, junk(msg) };

	return handles[below(msg, 5)];
}

void
msg_xattr_junk(struct msg *msg)
{
	static const char *const names[] = { "user.a", "user.b", "user.", "", "trusted.x",
		"nothing", "system.posix_acl_access", "system.posix_acl_default" };
	static const uint32_t opcodes[] = { FUSE_SETXATTR, FUSE_GETXATTR, FUSE_LISTXATTR,
		FUSE_REMOVEXATTR };
	uint32_t opcode = opcodes[below(msg, 4)], n = below(msg, 300);
	const char *name = names[below(msg, 8)];
	struct fuse_setxattr_in set = {
		.size = number(msg, 300),
		.flags = number(msg, 4),
		.setxattr_flags = number(msg, 2),
	};
	struct fuse_getxattr_in get = { .size = number(msg, 2000) };

	begin(msg, opcode);
	if (opcode == FUSE_SETXATTR)
		put(msg, &set, below(msg, 2) == 0 ? sizeof(set) : FUSE_COMPAT_SETXATTR_IN_SIZE);
	else if (opcode != FUSE_REMOVEXATTR)
		put(msg, &get, sizeof(get));
	if (below(msg, 10) == 0) {
		memset(msg->bytes + msg->len, 'n', n);
		msg->len += n;
	} else if (opcode != FUSE_LISTXATTR) {
		put(msg, name, strlen(name) + 1);
	}
	if (opcode == FUSE_SETXATTR) {
		memset(msg->bytes + msg->len, below(msg, 8), n);
		msg->len += n;
	}
}

void
msg_range_junk(struct msg *msg)
{
	struct fuse_fallocate_in space = {
		.fh = some_fh(msg),
		.offset = below(msg, 65536),
		.length = below(msg, 65536),
		.mode = number(msg, 64),
	};
	struct fuse_lseek_in seek = {
		.fh = some_fh(msg),
		.offset = number(msg, 65536),
		.whence = number(msg, 6),
	};

	if (below(msg, 3) == 0)
		space.offset = (uint64_t)INT64_MAX - below(msg, 65536);
	if (below(msg, 3) == 0)
		space.length = UINT64_MAX - below(msg, 65536);
	if (below(msg, 2) == 0) {
		begin(msg, FUSE_FALLOCATE);
		put(msg, &space, sizeof(space));
	} else {
		begin(msg, FUSE_LSEEK);
		put(msg, &seek, sizeof(seek));
	}
}

void
msg_copy_junk(struct msg *msg)
{
	struct fuse_copy_file_range_in in = {
		.fh_in = some_fh(msg),
		.off_in = number(msg, 65536),
		.nodeid_out = below(msg, 4) > 0 ? msg->world->file : junk(msg),
		.fh_out = some_fh(msg),
		.off_out = below(msg, 65536),
		.len = number(msg, 65536),
		.flags = below(msg, 8) == 0 ? junk(msg) : 0,
	};

	if (below(msg, 4) == 0)
		in.off_out = UINT64_MAX - below(msg, 65536);
	begin(msg, FUSE_COPY_FILE_RANGE);
	put(msg, &in, sizeof(in));
}

/* Commands that set something come with less than they need. */
void
msg_ioctl_junk(struct msg *msg)
{
	static const uint32_t cmds[] = { FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_SETFLAGS,
		FS_IOC_FSSETXATTR, FIGETBSZ, FIBMAP, FICLONE };
	struct fuse_ioctl_in in = {
		.fh = some_fh(msg),
		.flags = below(msg, 2) == 0 ? FUSE_IOCTL_DIR : number(msg, 32),
		.cmd = cmds[below(msg, 7)],
		.arg = junk(msg),
		.in_size = number(msg, 4),
		.out_size = number(msg, 64),
	};

	begin(msg, FUSE_IOCTL);
	put(msg, &in, sizeof(in));
	memset(msg->bytes + msg->len, 0xff, 3);
	msg->len += below(msg, 4);
}

/* Waiting is for locks to test: whoever waits here would be waited for. */
void
msg_lock_junk(struct msg *msg)
{
	struct fuse_lk_in in = {
		.fh = some_fh(msg),
		.owner = below(msg, 3),
		.lk = { .start = number(msg, 100),
				.end = number(msg, 200),
				.type = number(msg, 4),
				.pid = junk(msg) },
		.lk_flags = number(msg, 2),
	};

	begin(msg, below(msg, 2) == 0 ? FUSE_GETLK : FUSE_SETLK);
	put(msg, &in, sizeof(in));
}

void
msg_tmpfile_junk(struct msg *msg)
{
	struct fuse_create_in in = {
		.flags = number(msg, 4),
		.mode = number(msg, 010000),
		.umask = junk(msg),
	};

	begin(msg, FUSE_TMPFILE);
	if (below(msg, 2) == 0)
		msg_head(msg)->nodeid = msg->world->dir;
	put(msg, &in, sizeof(in));
	put(msg, "/", 1 + below(msg, 2));
}
