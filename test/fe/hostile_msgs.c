/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "hostile_fuse.h"

/*
 * Malformed FUSE messages. Each kind starts from a good message of some opcode and breaks one
 * thing, so that what comes behind the first check is reached too.
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

/* Puts an argument behind what is there already. */
static void *
put(struct msg *msg, const void *arg, uint32_t len)
{
	void *at = msg->bytes + msg->len;

	memcpy(at, arg, len);
	msg->len += len;
	return at;
}

static void
put_name(struct msg *msg, const char *name)
{
	put(msg, name, strlen(name) + 1);
}

/* One of a few names, so that they exist at times. */
static const char *
some_name(struct msg *msg)
{
	static const char *const names[] = { "n0", "n1", "n2", "n3", "n4", "n5", "n6", "file",
		"fifo" };

	return names[below(msg, sizeof(names) / sizeof(names[0]))];
}

static uint64_t
some_node(struct msg *msg)
{
	const struct msg_world *world = msg->world;
	const uint64_t nodes[] = { world->file, world->dir, world->fifo, FE_ROOT };

	return nodes[below(msg, 4)];
}

static void
good_setattr(struct msg *msg)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0644 };

	put(msg, &in, sizeof(in));
}

static void
good_names(struct msg *msg, uint32_t opcode)
{
	struct fuse_mknod_in node = { .mode = S_IFREG | 0644 };
	struct fuse_mkdir_in dir = { .mode = 0755 };
	struct fuse_create_in create = { .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644 };
	struct fuse_rename_in rename = { .newdir = msg->world->dir };
	struct fuse_rename2_in rename2 = { .newdir = msg->world->dir };
	struct fuse_link_in link = { .oldnodeid = msg->world->file };

	if (opcode == FUSE_MKNOD)
		put(msg, &node, sizeof(node));
	else if (opcode == FUSE_MKDIR)
		put(msg, &dir, sizeof(dir));
	else if (opcode == FUSE_CREATE)
		put(msg, &create, sizeof(create));
	else if (opcode == FUSE_RENAME)
		put(msg, &rename, sizeof(rename));
	else if (opcode == FUSE_RENAME2)
		put(msg, &rename2, sizeof(rename2));
	else if (opcode == FUSE_LINK)
		put(msg, &link, sizeof(link));
	put_name(msg, some_name(msg));
	if (opcode == FUSE_RENAME || opcode == FUSE_RENAME2 || opcode == FUSE_SYMLINK)
		put_name(msg, some_name(msg));
}

static void
good_io(struct msg *msg, uint32_t opcode)
{
	bool dir = opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS;
	struct fuse_read_in read = {
		.fh = dir ? msg->world->dir_fh : msg->world->file_fh,
		.offset = dir ? 0 : below(msg, 65536),
		.size = 1 + below(msg, ROOM_USUAL - 16),
	};
	struct fuse_write_in write = {
		.fh = msg->world->file_fh,
		.offset = below(msg, 65536),
		.size = 1 + below(msg, 4096),
	};

	if (opcode == FUSE_WRITE) {
		put(msg, &write, sizeof(write));
		memset(msg->bytes + msg->len, 'w', write.size);
		msg->len += write.size;
	} else {
		put(msg, &read, sizeof(read));
	}
}

static void
good_handles(struct msg *msg, uint32_t opcode)
{
	struct fuse_open_in open = { .flags = O_RDWR };
	struct fuse_flush_in flush = { .fh = msg->world->file_fh };
	struct fuse_fsync_in fsync = { .fh = msg->world->file_fh };
	struct fuse_release_in release = { .fh = junk(msg) };
	struct fuse_access_in access = { .mask = 4 };
	struct fuse_getattr_in getattr = { .fh = 0 };

	if (opcode == FUSE_OPEN)
		put(msg, &open, sizeof(open));
	else if (opcode == FUSE_OPENDIR)
		put(msg, memset(&open, 0, sizeof(open)), sizeof(open));
	else if (opcode == FUSE_FLUSH)
		put(msg, &flush, sizeof(flush));
	else if (opcode == FUSE_FSYNC || opcode == FUSE_FSYNCDIR)
		put(msg, &fsync, sizeof(fsync));
	else if (opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR)
		put(msg, &release, sizeof(release));
	else if (opcode == FUSE_ACCESS)
		put(msg, &access, sizeof(access));
	else if (opcode == FUSE_GETATTR)
		put(msg, &getattr, sizeof(getattr));
}

/* A good message of this opcode; unknown ones have no arguments. */
static void
good(struct msg *msg, uint32_t opcode)
{
	struct fuse_in_header *head = msg_head(msg);

	memset(head, 0, sizeof(*head));
	msg->len = sizeof(*head);
	msg->room = ROOM_USUAL;
	head->opcode = opcode;
	head->nodeid = msg->world->dir;

	switch (opcode) {
	case FUSE_SETATTR:
		head->nodeid = msg->world->file;
		good_setattr(msg);
		break;
	case FUSE_LOOKUP:
	case FUSE_SYMLINK:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_LINK:
	case FUSE_CREATE:
		good_names(msg, opcode);
		break;
	case FUSE_READ:
	case FUSE_WRITE:
		head->nodeid = msg->world->file;
		good_io(msg, opcode);
		break;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		good_io(msg, opcode);
		break;
	case FUSE_OPEN:
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_RELEASE:
		head->nodeid = msg->world->file;
		good_handles(msg, opcode);
		break;
	default:
		good_handles(msg, opcode);
		break;
	}
}

static const uint32_t opcodes[] = { FUSE_LOOKUP, FUSE_GETATTR, FUSE_SETATTR, FUSE_READLINK,
	FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR, FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME, FUSE_RENAME2,
	FUSE_LINK, FUSE_OPEN, FUSE_READ, FUSE_WRITE, FUSE_STATFS, FUSE_RELEASE, FUSE_FSYNC,
	FUSE_FLUSH, FUSE_OPENDIR, FUSE_READDIR, FUSE_READDIRPLUS, FUSE_RELEASEDIR, FUSE_FSYNCDIR,
	FUSE_ACCESS, FUSE_CREATE };
#define NB_OPCODES (sizeof(opcodes) / sizeof(opcodes[0]))

static const uint32_t name_opcodes[] = { FUSE_LOOKUP, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR,
	FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME, FUSE_RENAME2, FUSE_LINK, FUSE_CREATE };
#define NB_NAME_OPCODES (sizeof(name_opcodes) / sizeof(name_opcodes[0]))

static void
any_good(struct msg *msg)
{
	good(msg, opcodes[below(msg, NB_OPCODES)]);
}

static void
header_short(struct msg *msg)
{
	any_good(msg);
	msg->len = below(msg, sizeof(struct fuse_in_header));
}

static void
length_lies(struct msg *msg)
{
	any_good(msg);
	msg->len_set = true;
	switch (below(msg, 4)) {
	case 0:
		msg_head(msg)->len = below(msg, 41);
		break;
	case 1:
		msg_head(msg)->len = msg->len + 1 + below(msg, 100);
		break;
	case 2:
		msg_head(msg)->len = msg->len - 1 - below(msg, 30);
		break;
	default:
		msg_head(msg)->len = junk(msg);
		break;
	}
}

static void
opcode_unknown(struct msg *msg)
{
	static const uint32_t unknown[] = { 0, 7, 19, 21, 22, 23, 24, 31, 32, 33, 37, 39, 40, 43,
		46, 47, 48, 49, 50, 51, 52, 53, 63, 64, 4096, 1048576 };

	any_good(msg);
	msg_head(msg)->opcode = below(msg, 3) == 0 ?
			(uint32_t)rng_next(msg->rng) | 128 :
			unknown[below(msg, sizeof(unknown) / sizeof(unknown[0]))];
}

static void
args_short(struct msg *msg)
{
	any_good(msg);
	if (msg->len > sizeof(struct fuse_in_header))
		msg->len -= 1 + below(msg, msg->len - sizeof(struct fuse_in_header));
}

static void
args_long(struct msg *msg)
{
	uint32_t more = 1 + below(msg, 8000);

	any_good(msg);
	memset(msg->bytes + msg->len, (int)rng_next(msg->rng), more);
	msg->len += more;
}

static void
args_garbage(struct msg *msg)
{
	uint32_t i;

	any_good(msg);
	for (i = sizeof(struct fuse_in_header); i + 8 <= msg->len; i += 8) {
		uint64_t word = junk(msg);

		memcpy(msg->bytes + i, &word, sizeof(word));
	}
}

/* Names that no kernel sends. */
static void
name_junk(struct msg *msg)
{
	static const char *const names[] = { "", ".", "..", "/", "a/b", "../x", "../../etc/passwd",
		"/etc/passwd", "n0/", "./n0" };
	uint32_t opcode = name_opcodes[below(msg, NB_NAME_OPCODES)];
	uint32_t len;

	good(msg, opcode);
	/* The good name is cut off, the last argument of all name verbs. */
	msg->len -= strlen((char *)msg->bytes + msg->len - 3) + 1;
	switch (below(msg, 5)) {
	case 0:
		put_name(msg, names[below(msg, sizeof(names) / sizeof(names[0]))]);
		break;
	case 1: /* too long, ended or not */
		len = 256 + below(msg, 8000);
		memset(msg->bytes + msg->len, 'l', len);
		msg->len += len;
		msg->bytes[msg->len - 1] = below(msg, 2) == 0 ? '\0' : 'l';
		break;
	case 2: /* not ended */
		put(msg, "unterminated", 12);
		break;
	case 3: /* a NUL in between */
		put(msg, "a\0b\0\0c", 6 + below(msg, 2));
		break;
	default:
		len = 1 + below(msg, 300);
		while (len-- > 0)
			msg->bytes[msg->len++] = rng_next(msg->rng) >> 56;
		break;
	}
}

static void
nodeid_junk(struct msg *msg)
{
	const struct msg_world *world = msg->world;

	any_good(msg);
	switch (below(msg, 4)) {
	case 0:
		msg_head(msg)->nodeid = world->stale;
		break;
	case 1:
		msg_head(msg)->nodeid = some_node(msg) + below(msg, 5) - 2;
		break;
	case 2:
		msg_head(msg)->nodeid = some_node(msg) ^ 1ULL << below(msg, 64);
		break;
	default:
		msg_head(msg)->nodeid = junk(msg);
		break;
	}
}

/* Right opcode and node, wrong kind: directory verbs on files and so on. */
static void
node_of_another_kind(struct msg *msg)
{
	any_good(msg);
	msg_head(msg)->nodeid = some_node(msg);
}

static void
handle_junk(struct msg *msg)
{
	static const uint32_t handle_opcodes[] = { FUSE_READ, FUSE_WRITE, FUSE_FLUSH, FUSE_FSYNC,
		FUSE_READDIR, FUSE_READDIRPLUS, FUSE_FSYNCDIR, FUSE_RELEASE, FUSE_RELEASEDIR };
	const struct msg_world *world = msg->world;
	const uint64_t handles[] = { world->stale_fh, world->dir_fh, world->file_fh, junk(msg),
		world->file_fh + 1, world->dir_fh ^ 1ULL << below(msg, 64) };
	uint32_t opcode = handle_opcodes[below(msg, 9)];
	uint64_t fh = handles[below(msg, 6)];

	good(msg, opcode);
	memcpy(msg->bytes + sizeof(struct fuse_in_header), &fh, sizeof(fh));
}

static void
read_room_lies(struct msg *msg)
{
	static const uint32_t read_opcodes[] = { FUSE_READ, FUSE_READDIR, FUSE_READDIRPLUS };
	struct fuse_read_in *in = (void *)(msg->bytes + sizeof(struct fuse_in_header));

	good(msg, read_opcodes[below(msg, 3)]);
	in->size = junk(msg);
	if (below(msg, 2) == 0)
		in->size = 1 << 20;
	msg->room = below(msg, 2) == 0 ? 16 + below(msg, 200) : ROOM_USUAL;
}

static void
readdir_tiny(struct msg *msg)
{
	struct fuse_read_in *in = (void *)(msg->bytes + sizeof(struct fuse_in_header));

	good(msg, below(msg, 2) == 0 ? FUSE_READDIR : FUSE_READDIRPLUS);
	in->size = below(msg, 200);
	in->offset = below(msg, 2) == 0 ? 0 : junk(msg);
	msg->room = 16 + in->size;
}

static void
write_size_lies(struct msg *msg)
{
	struct fuse_write_in *in = (void *)(msg->bytes + sizeof(struct fuse_in_header));

	good(msg, FUSE_WRITE);
	in->size = below(msg, 2) == 0 ? junk(msg) : in->size + below(msg, 9) - 4;
}

static void
offset_junk(struct msg *msg)
{
	static const uint32_t io_opcodes[] = { FUSE_READ, FUSE_WRITE, FUSE_READDIR,
		FUSE_READDIRPLUS };
	struct fuse_read_in *in = (void *)(msg->bytes + sizeof(struct fuse_in_header));

	good(msg, io_opcodes[below(msg, 4)]);
	in->offset = below(msg, 2) == 0 ? junk(msg) : (uint64_t)INT64_MAX - below(msg, 8192);
}

static void
setattr_junk(struct msg *msg)
{
	struct fuse_setattr_in *in = (void *)(msg->bytes + sizeof(struct fuse_in_header));

	good(msg, FUSE_SETATTR);
	msg_head(msg)->nodeid = below(msg, 2) == 0 ? msg->world->file : some_node(msg);
	in->valid = rng_next(msg->rng) & (below(msg, 4) == 0 ? UINT32_MAX : 0x3ff);
	in->fh = below(msg, 2) == 0 ? msg->world->file_fh : junk(msg);
	in->size = junk(msg);
	in->atime = junk(msg);
	in->mtime = junk(msg);
	in->atimensec = junk(msg);
	in->mtimensec = junk(msg);
	in->mode = junk(msg);
	in->uid = junk(msg);
	in->gid = junk(msg);
}

static void
mode_junk(struct msg *msg)
{
	static const uint32_t mode_opcodes[] = { FUSE_MKNOD, FUSE_MKDIR, FUSE_CREATE };
	uint32_t opcode = mode_opcodes[below(msg, 3)];
	uint32_t args = opcode == FUSE_MKDIR ? 8 : 16;
	uint32_t i;

	good(msg, opcode);
	for (i = 0; i < args; i += 4) {
		uint32_t word = junk(msg);

		memcpy(msg->bytes + sizeof(struct fuse_in_header) + i, &word, sizeof(word));
	}
}

static void
flags_junk(struct msg *msg)
{
	static const uint32_t flag_opcodes[] = { FUSE_OPEN, FUSE_OPENDIR, FUSE_RENAME2, FUSE_FSYNC,
		FUSE_RELEASE, FUSE_ACCESS, FUSE_GETATTR };
	uint32_t opcode = flag_opcodes[below(msg, 7)];
	uint32_t at = sizeof(struct fuse_in_header);
	uint32_t flags = junk(msg);

	good(msg, opcode);
	if (opcode == FUSE_RENAME2 || opcode == FUSE_FSYNC || opcode == FUSE_RELEASE)
		at += 8;
	memcpy(msg->bytes + at, &flags, sizeof(flags));
}

/* A FIFO blocks whoever opens it; a device node is worse. */
static void
open_special(struct msg *msg)
{
	good(msg, FUSE_OPEN);
	msg_head(msg)->nodeid = msg->world->fifo;
	*(uint32_t *)(msg->bytes + sizeof(struct fuse_in_header)) = below(msg, 3);
}

static void
forget_junk(struct msg *msg)
{
	struct fuse_forget_in in = { .nlookup = junk(msg) };
	const uint64_t nodes[] = { msg->world->stale, FE_ROOT, 0, junk(msg), msg->world->fifo };

	good(msg, FUSE_FORGET);
	msg_head(msg)->nodeid = nodes[below(msg, 5)];
	put(msg, &in, sizeof(in));
	msg->len -= below(msg, 4) == 0 ? 1 + below(msg, 8) : 0;
	msg->room = below(msg, 2) == 0 ? 0 : ROOM_USUAL;
	msg->hiprio = below(msg, 2) == 0;
}

static void
batch_forget_junk(struct msg *msg)
{
	struct fuse_batch_forget_in in = { .count = junk(msg) };
	uint32_t nb = below(msg, 20);
	uint32_t i;

	good(msg, FUSE_BATCH_FORGET);
	if (below(msg, 2) == 0)
		in.count = nb + below(msg, 3);
	put(msg, &in, sizeof(in));
	for (i = 0; i < nb; i++) {
		struct fuse_forget_one one = { .nodeid = junk(msg), .nlookup = junk(msg) };

		put(msg, &one, sizeof(one));
	}
	msg->room = below(msg, 2) == 0 ? 0 : ROOM_USUAL;
	msg->hiprio = below(msg, 2) == 0;
}

static void
interrupt(struct msg *msg)
{
	struct fuse_interrupt_in in = { .unique = junk(msg) };

	good(msg, FUSE_INTERRUPT);
	put(msg, &in, below(msg, 9));
	msg->room = below(msg, 2) == 0 ? 0 : ROOM_USUAL;
	msg->hiprio = below(msg, 2) == 0;
}

/* Owners and ranges that meet, or nothing that makes sense. What waits ends at the device's limit. */
static void
lock(struct msg *msg)
{
	static const uint32_t lock_opcodes[] = { FUSE_GETLK, FUSE_SETLK, FUSE_SETLK, FUSE_SETLKW };
	struct fuse_lk_in in = {
		.fh = below(msg, 8) == 0 ? junk(msg) : msg->world->file_fh,
		.owner = below(msg, 4) == 0 ? junk(msg) : below(msg, 4),
		.lk.start = below(msg, 4) == 0 ? junk(msg) : below(msg, 64),
		.lk.end = below(msg, 4) == 0 ? junk(msg) : below(msg, 128),
		.lk.type = below(msg, 8) == 0 ? junk(msg) : below(msg, 3),
		.lk_flags = below(msg, 8) == 0 ? junk(msg) : below(msg, 2),
	};

	good(msg, FUSE_INTERRUPT);
	msg_head(msg)->opcode = lock_opcodes[below(msg, 4)];
	msg_head(msg)->nodeid = msg->world->file;
	put(msg, &in, sizeof(in) - (below(msg, 16) == 0));
	msg->room = below(msg, 8) == 0 ? 16 + below(msg, 30) : ROOM_USUAL;
}

/* Everything but FORGET belongs on a request queue; firmware is said to mix them. */
static void
wrong_queue(struct msg *msg)
{
	any_good(msg);
	msg->hiprio = true;
}

static void
room_small(struct msg *msg)
{
	any_good(msg);
	msg->room = below(msg, 2) == 0 ? below(msg, 24) : 16 + below(msg, 160);
}

static void
links_across(struct msg *msg)
{
	static const uint32_t link_opcodes[] = { FUSE_LINK, FUSE_RENAME, FUSE_RENAME2 };
	uint64_t other;

	good(msg, link_opcodes[below(msg, 3)]);
	other = below(msg, 2) == 0 ? some_node(msg) : junk(msg);
	memcpy(msg->bytes + sizeof(struct fuse_in_header), &other, sizeof(other));
	msg_head(msg)->nodeid = some_node(msg);
}

/* Extensions and security contexts that were never negotiated. */
static void
extensions(struct msg *msg)
{
	any_good(msg);
	msg_head(msg)->total_extlen = junk(msg);
	msg_head(msg)->padding = junk(msg);
}

static void
init_again(struct msg *msg)
{
	struct fuse_init_in in = {
		.major = below(msg, 3) == 0 ? junk(msg) : 6 + below(msg, 3),
		.minor = below(msg, 2) == 0 ? below(msg, 60) : junk(msg),
		.max_readahead = junk(msg),
		.flags = junk(msg),
		.flags2 = junk(msg),
	};

	good(msg, FUSE_INIT);
	put(msg, &in, sizeof(in) - (below(msg, 3) == 0 ? below(msg, sizeof(in)) : 0));
	msg_head(msg)->nodeid = 0;
	msg->room = below(msg, 4) == 0 ? below(msg, 100) : ROOM_USUAL;
}

static void
random_bytes(struct msg *msg)
{
	uint32_t i;

	msg->len_set = true;
	msg->len = 1 + below(msg, 400);
	for (i = 0; i < msg->len; i++)
		msg->bytes[i] = rng_next(msg->rng) >> 56;
	if (msg->len >= sizeof(struct fuse_in_header) && below(msg, 2) == 0) {
		msg_head(msg)->len = msg->len;
		msg_head(msg)->opcode = below(msg, 60);
		msg_head(msg)->nodeid = some_node(msg);
		msg_head(msg)->total_extlen = 0;
		/* The end of the session is another kind's. */
		if (msg_head(msg)->opcode == FUSE_DESTROY)
			msg_head(msg)->opcode = FUSE_READ;
	}
	msg->room = below(msg, 3) == 0 ? below(msg, 64) : ROOM_USUAL;
}

const struct msg_kind msg_kinds[] = {
	{ "header-short", header_short },
	{ "length-lies", length_lies },
	{ "opcode-unknown", opcode_unknown },
	{ "args-short", args_short },
	{ "args-long", args_long },
	{ "args-garbage", args_garbage },
	{ "name-junk", name_junk },
	{ "nodeid-junk", nodeid_junk },
	{ "node-of-another-kind", node_of_another_kind },
	{ "handle-junk", handle_junk },
	{ "read-room-lies", read_room_lies },
	{ "readdir-tiny", readdir_tiny },
	{ "write-size-lies", write_size_lies },
	{ "offset-junk", offset_junk },
	{ "setattr-junk", setattr_junk },
	{ "mode-junk", mode_junk },
	{ "flags-junk", flags_junk },
	{ "open-special", open_special },
	{ "forget-junk", forget_junk },
	{ "batch-forget-junk", batch_forget_junk },
	{ "interrupt", interrupt },
	{ "lock", lock },
	{ "wrong-queue", wrong_queue },
	{ "room-small", room_small },
	{ "links-across", links_across },
	{ "extensions", extensions },
	{ "init-again", init_again },
	{ "xattr-junk", msg_xattr_junk },
	{ "range-junk", msg_range_junk },
	{ "copy-junk", msg_copy_junk },
	{ "ioctl-junk", msg_ioctl_junk },
	{ "lock-junk", msg_lock_junk },
	{ "tmpfile-junk", msg_tmpfile_junk },
	{ "random", random_bytes },
	{ NULL, NULL },
};
