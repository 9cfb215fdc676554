/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * One directory in which every name is an endless file: reads give zeroes, writes are swallowed.
 * It measures everything but the file system, and shows what a driver is made of.
 */

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <rte_common.h>

#include "weir_fsdev_driver.h"

#define NULL_ROOT_INO   1
#define NULL_BLOCK_SIZE 4096

struct null_params {
	uint64_t size;
	uint32_t max_write;
	bool skip_rw;
};

static const char *const null_max_write_aliases[] = { "max_xfer_size", NULL };
static const char *const null_skip_rw_aliases[] = { "enable_skip_rw", NULL };

/* Decoded and range-checked into struct null_params before null_create() runs. */
static const struct weir_param null_params[] = {
	WEIR_PARAM(null_params, size, WEIR_U64, .def = UINT64_C(1) << 40, .max = INT64_MAX,
			.help = "apparent size of every file, in bytes"),
	WEIR_PARAM(null_params, max_write, WEIR_U32, .def = 1 << 20, .min = 4096, .max = 1 << 20,
			.aliases = null_max_write_aliases, .help = "bytes of one write at most"),
	WEIR_PARAM(null_params, skip_rw, WEIR_BOOL, .aliases = null_skip_rw_aliases,
			.help = "leave the buffer of a read as it is"),
};

struct null_fs {
	int64_t born; /* seconds; the time of all files */
};

static void WEIR_ON_CONTROL
null_create(struct weir_fsdev *dev, const void *params)
{
	const uint64_t root_key[2] = { NULL_ROOT_INO };
	const struct null_params *p = params;
	const struct weir_fsdev_limits limits = {
		.max_write = p->max_write,
		.max_readahead = p->max_write,
		.parallel_dirops = true,
		.atomic_o_trunc = true,
	};
	struct null_fs *fs = weir_fsdev_priv(dev);

	fs->born = time(NULL);
	weir_fsdev_limits_set(dev, &limits);
	if (weir_fsdev_root_create(dev, root_key, S_IFDIR) == NULL)
		weir_fsdev_created(dev, -ENOMEM, NULL);
	else
		weir_fsdev_created(dev, 0, NULL);
}

static void WEIR_ON_CONTROL
null_destroy(struct weir_fsdev *dev)
{
	/* There is nothing beside the private bytes. */
}

/* A name's number, the same in every run (FNV-1a); two names that share one are one file. */
static uint64_t
null_ino(const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return RTE_MAX(h, NULL_ROOT_INO + UINT64_C(1));
}

/* A node's key is its number, so it needs no private bytes. */
static void
null_attr(const struct weir_channel *chan, const struct weir_node *node, struct weir_attr *attr)
{
	const struct weir_fsdev *dev = weir_channel_fsdev(chan);
	const struct null_params *p = weir_fsdev_params(dev);
	const struct null_fs *fs = weir_fsdev_priv(dev);
	bool is_dir = S_ISDIR(node->type);

	*attr = (struct weir_attr){
		.ino = node->key[0],
		.size = is_dir ? 0 : p->size,
		.atime = fs->born,
		.mtime = fs->born,
		.ctime = fs->born,
		.mode = is_dir ? S_IFDIR | 0777 : S_IFREG | 0666,
		.nlink = is_dir ? 2 : 1,
		.blksize = NULL_BLOCK_SIZE,
	};
}

/* LOOKUP, and all that makes a file: it is there already. */
static int WEIR_ON_WORKER
null_lookup(struct weir_channel *chan, struct weir_fsreq *req)
{
	bool is_root = strcmp(req->name, ".") == 0 || strcmp(req->name, "..") == 0;
	const uint64_t key[2] = { is_root ? NULL_ROOT_INO : null_ino(req->name) };
	struct weir_entry *entry = &req->out.entry;
	bool made;
	int rc;

	if (!S_ISDIR(req->node->type))
		return -ENOTDIR;
	rc = weir_node_make(weir_channel_fsdev(chan), key, is_root ? S_IFDIR : S_IFREG, NULL, NULL,
			&entry->node, &made);
	if (rc == -EAGAIN) {
		/* Control is extending the node table: run this function again then. */
		weir_fsreq_retry(req, NULL);
		return -EINPROGRESS;
	}
	if (rc < 0)
		return rc;
	null_attr(chan, entry->node, &entry->attr);
	entry->entry_valid_ns = weir_fsdev_entry_valid_ns(weir_channel_fsdev(chan));
	entry->attr_valid_ns = weir_fsdev_attr_valid_ns(weir_channel_fsdev(chan));
	return 0;
}

static int WEIR_ON_WORKER
null_mknod(struct weir_channel *chan, struct weir_fsreq *req)
{
	/* Every name is a regular file; anything else cannot be made. */
	if (!S_ISREG(req->in.create.mode))
		return -EPERM;
	return null_lookup(chan, req);
}

/* GETATTR and SETATTR: what is set does not stay. */
static int WEIR_ON_WORKER
null_getattr(struct weir_channel *chan, struct weir_fsreq *req)
{
	null_attr(chan, req->node, &req->out.attr.attr);
	req->out.attr.valid_ns = weir_fsdev_attr_valid_ns(weir_channel_fsdev(chan));
	return 0;
}

/* Whatever needs doing has been done. */
static int WEIR_ON_WORKER
null_succeed(struct weir_channel *chan, struct weir_fsreq *req)
{
	return 0;
}

static int WEIR_ON_WORKER
null_read(struct weir_channel *chan, struct weir_fsreq *req)
{
	const struct null_params *p = weir_fsdev_params(weir_channel_fsdev(chan));
	uint64_t left = p->size - RTE_MIN(req->in.io.off, p->size);
	uint32_t len = (uint32_t)RTE_MIN(left, req->in.io.len);

	if (p->skip_rw)
		return (int)len;
	return (int)weir_iov_zero(&req->iov, len);
}

static int WEIR_ON_WORKER
null_write(struct weir_channel *chan, struct weir_fsreq *req)
{
	return (int)req->in.io.len;
}

static int WEIR_ON_WORKER
null_statfs(struct weir_channel *chan, struct weir_fsreq *req)
{
	req->out.statfs = (struct weir_statfs){
		.bsize = NULL_BLOCK_SIZE,
		.frsize = NULL_BLOCK_SIZE,
		.namelen = NAME_MAX,
	};
	return 0;
}

/* The directory has all names there are, so it lists none. A cookie is a position. */
static int WEIR_ON_WORKER
null_readdir(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct weir_dirent dirent = {
		.name = "..",
		.type = DT_DIR,
		.ino = NULL_ROOT_INO,
	};
	uint64_t off;

	for (off = req->in.io.off; off < 2; off++) {
		dirent.name_len = (uint32_t)off + 1;
		dirent.next_off = off + 1;
		if (req->emit(req, &dirent) < 0)
			break;
	}
	return 0;
}

/* An absent verb answers -ENOSYS: there are neither directories nor links to make. */
static const struct weir_fsdev_ops null_ops = {
	.create = null_create,
	.destroy = null_destroy,
	.op = {
		[WEIR_FSOP_LOOKUP] = null_lookup,
		[WEIR_FSOP_GETATTR] = null_getattr,
		[WEIR_FSOP_SETATTR] = null_getattr,
		[WEIR_FSOP_MKNOD] = null_mknod,
		[WEIR_FSOP_UNLINK] = null_succeed,
		[WEIR_FSOP_RENAME] = null_succeed,
		[WEIR_FSOP_OPEN] = null_succeed,
		[WEIR_FSOP_CREATE] = null_lookup,
		[WEIR_FSOP_READ] = null_read,
		[WEIR_FSOP_WRITE] = null_write,
		[WEIR_FSOP_STATFS] = null_statfs,
		[WEIR_FSOP_RELEASE] = null_succeed,
		[WEIR_FSOP_FLUSH] = null_succeed,
		[WEIR_FSOP_FSYNC] = null_succeed,
		[WEIR_FSOP_OPENDIR] = null_succeed,
		[WEIR_FSOP_READDIR] = null_readdir,
		[WEIR_FSOP_RELEASEDIR] = null_succeed,
		[WEIR_FSOP_FSYNCDIR] = null_succeed,
		[WEIR_FSOP_ACCESS] = null_succeed,
	},
};

static struct weir_fsdev_driver null_driver = {
	.name = "null",
	.help = "a directory of endless files, to measure everything but the file system",
	.ops = &null_ops,
	.params = null_params,
	.nb_params = RTE_DIM(null_params),
	.params_size = sizeof(struct null_params),
	/* What a name means here never changes, so the guest may believe it for long. */
	.defaults = { .valid_ms = 60000 },
	.priv_size = sizeof(struct null_fs),
};

WEIR_FSDEV_REGISTER(null_driver)
