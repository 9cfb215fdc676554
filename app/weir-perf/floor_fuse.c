/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "floor.h"

#define FLOOR_SIZE      (UINT64_C(1) << 40) /* of every file */
#define FLOOR_MAX_WRITE (1u << 20)
#define FLOOR_VALID_S   60
#define FLOOR_INIT_FLAGS                                                                           \
	(FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_DO_READDIRPLUS |                \
			FUSE_PARALLEL_DIROPS | FUSE_ATOMIC_O_TRUNC)
/* Fixed arguments and a name, as much of it as tells it from others. */
#define ARG_BYTES 320u

struct message {
	struct fuse_in_header in;
	union {
		struct fuse_init_in init;
		struct fuse_read_in read;
		struct fuse_write_in write;
		uint8_t bytes[ARG_BYTES];
	} arg;
	uint64_t end; /* ends a name that fills it all */
};

/* Copies from the front of segments. @return how many bytes there were, at most len. */
static uint32_t
gather(const struct iovec *iov, unsigned int nb, void *buf, uint32_t len)
{
	uint32_t done = 0;
	unsigned int i;

	for (i = 0; i < nb && done < len; i++) {
		uint32_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy((uint8_t *)buf + done, iov[i].iov_base, part);
		done += part;
	}
	return done;
}

/* Copies to segments from offset off on; zeroes if buf is NULL. @return bytes that had room. */
static uint32_t
scatter(const struct iovec *iov, unsigned int nb, uint32_t off, const void *buf, uint32_t len)
{
	uint32_t done = 0;
	unsigned int i;

	for (i = 0; i < nb && done < len; i++) {
		uint32_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - off < len - done ? iov[i].iov_len - off : len - done;
		if (buf != NULL)
			memcpy((uint8_t *)iov[i].iov_base + off, (const uint8_t *)buf + done, part);
		else
			memset((uint8_t *)iov[i].iov_base + off, 0, part);
		done += part;
		off = 0;
	}
	return done;
}

static uint32_t
answer(struct floor *floor, const struct fuse_in_header *in, int error, const void *buf,
		uint32_t len)
{
	struct fuse_out_header out = { .error = error, .unique = in->unique };

	if (error != 0)
		len = 0;
	len = scatter(floor->out, floor->nb_out, sizeof(out), buf, len);
	out.len = sizeof(out) + len;
	return scatter(floor->out, floor->nb_out, 0, &out, sizeof(out)) == sizeof(out) ? out.len :
											 0;
}

static void
attr_fill(struct fuse_attr *attr, uint64_t nodeid)
{
	bool is_dir = nodeid == FUSE_ROOT_ID;

	attr->ino = nodeid;
	attr->size = is_dir ? 0 : FLOOR_SIZE;
	attr->mode = is_dir ? S_IFDIR | 0777 : S_IFREG | 0666;
	attr->nlink = is_dir ? 2 : 1;
	attr->blksize = 4096;
}

/* A name's number (FNV-1a). */
static uint64_t
name_node(const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return h | 2;
}

/* LOOKUP, and all that makes a file, whose name is behind skip bytes of arguments. */
static uint32_t
answer_entry(struct floor *floor, const struct fuse_in_header *in, const uint8_t *arg,
		uint32_t skip, bool opened)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = { 0 };

	out.entry.nodeid = name_node((const char *)arg + skip);
	out.entry.entry_valid = FLOOR_VALID_S;
	out.entry.attr_valid = FLOOR_VALID_S;
	attr_fill(&out.entry.attr, out.entry.nodeid);
	return answer(floor, in, 0, &out, opened ? sizeof(out) : sizeof(out.entry));
}

static uint32_t
answer_init(struct floor *floor, const struct fuse_in_header *in, const struct fuse_init_in *init)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = init->max_readahead,
		.flags = init->flags & FLOOR_INIT_FLAGS,
		.max_background = 64,
		.congestion_threshold = 48,
		.max_write = FLOOR_MAX_WRITE,
		.time_gran = 1,
		.max_pages = FLOOR_MAX_WRITE / 4096,
	};

	return answer(floor, in, 0, &out, sizeof(out));
}

static uint32_t
answer_attr(struct floor *floor, const struct fuse_in_header *in)
{
	struct fuse_attr_out out = { .attr_valid = FLOOR_VALID_S };

	attr_fill(&out.attr, in->nodeid);
	return answer(floor, in, 0, &out, sizeof(out));
}

static uint32_t
answer_write(struct floor *floor, const struct fuse_in_header *in, const struct fuse_write_in *arg)
{
	struct fuse_write_out out = { .size = arg->size };

	return answer(floor, in, arg->size > FLOOR_MAX_WRITE ? -EINVAL : 0, &out, sizeof(out));
}

static bool
is_named(uint32_t opcode)
{
	return opcode == FUSE_LOOKUP || opcode == FUSE_MKNOD || opcode == FUSE_CREATE;
}

uint32_t
floor_answer(struct floor *floor)
{
	static const struct fuse_open_out open_out;
	static const struct fuse_statfs_out statfs_out = {
		.st = { .bsize = 4096, .frsize = 4096, .namelen = 255 },
	};
	struct message msg;
	const struct fuse_in_header *in = &msg.in;
	uint32_t len = gather(
			floor->in, floor->nb_in, &msg, sizeof(msg.in) + sizeof(msg.arg.write));

	if (len < sizeof(msg.in))
		return 0;
	if (in->opcode != FUSE_READ && in->opcode != FUSE_WRITE)
		len = gather(floor->in, floor->nb_in, &msg, offsetof(struct message, end));
	/* What was not sent is zero, and a name ends. */
	if (len < sizeof(msg.in) + sizeof(msg.arg.write) || is_named(in->opcode))
		memset((uint8_t *)&msg + len, 0, sizeof(msg) - len);
	switch (in->opcode) {
	case FUSE_INIT:
		return answer_init(floor, in, &msg.arg.init);
	case FUSE_LOOKUP:
		return answer_entry(floor, in, msg.arg.bytes, 0, false);
	case FUSE_MKNOD:
		return answer_entry(floor, in, msg.arg.bytes, sizeof(struct fuse_mknod_in), false);
	case FUSE_CREATE:
		return answer_entry(floor, in, msg.arg.bytes, sizeof(struct fuse_create_in), true);
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		return answer_attr(floor, in);
	case FUSE_READ:
		return answer(floor, in, 0, NULL, msg.arg.read.size);
	case FUSE_WRITE:
		return answer_write(floor, in, &msg.arg.write);
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return answer(floor, in, 0, &open_out, sizeof(open_out));
	case FUSE_STATFS:
		return answer(floor, in, 0, &statfs_out, sizeof(statfs_out));
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		return 0;
	case FUSE_UNLINK:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_ACCESS:
	case FUSE_DESTROY:
		return answer(floor, in, 0, NULL, 0);
	default:
		return answer(floor, in, -ENOSYS, NULL, 0);
	}
}
