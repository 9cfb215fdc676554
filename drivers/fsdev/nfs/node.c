/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Nodes. A node is a file handle: servers tell files apart by it, and give a new one to what comes
 * under an old inode number. The key is a hash of it with a secret (SipHash-2-4 with 128 bits), so
 * that not even a server can choose handles that meet; the handle itself is compared all the same.
 */

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include <rte_common.h>

#include "nfs.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t
rotl(uint64_t value, unsigned int bits)
{
	return value << bits | value >> (64 - bits);
}

static void
sip_rounds(struct sip *s, unsigned int nb)
{
	while (nb-- > 0) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotl(s->v1, 13) ^ s->v0;
		s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 = rotl(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotl(s->v1, 17) ^ s->v2;
		s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 = rotl(s->v2, 32);
	}
}

static void
sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_rounds(s, 2);
	s->v0 ^= word;
}

static void
node_key(const uint64_t secret[2], const struct nfs3_fh *fh, uint64_t key[2])
{
	struct sip s = {
		.v0 = secret[0] ^ UINT64_C(0x736f6d6570736575),
		.v1 = secret[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
		.v2 = secret[0] ^ UINT64_C(0x6c7967656e657261),
		.v3 = secret[1] ^ UINT64_C(0x7465646279746573),
	};
	uint64_t word;
	uint32_t off;

	for (off = 0; off + 8 <= fh->len; off += 8) {
		memcpy(&word, fh->data + off, 8);
		sip_word(&s, word);
	}
	word = 0;
	memcpy(&word, fh->data + off, fh->len - off);
	sip_word(&s, word | (uint64_t)fh->len << 56);
	s.v2 ^= 0xee;
	sip_rounds(&s, 4);
	key[0] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
	s.v1 ^= 0xdd;
	sip_rounds(&s, 4);
	key[1] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static bool
fh_equal(const struct nfs3_fh *a, const struct nfs3_fh *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

uint32_t
nfs_mode_type(const struct nfs3_attr *attr)
{
	static const uint32_t types[] = {
		[NFS3_REG] = S_IFREG,
		[NFS3_DIR] = S_IFDIR,
		[NFS3_BLK] = S_IFBLK,
		[NFS3_CHR] = S_IFCHR,
		[NFS3_LNK] = S_IFLNK,
		[NFS3_SOCK] = S_IFSOCK,
		[NFS3_FIFO] = S_IFIFO,
	};

	/* The decoder lets no other types in. */
	return types[attr->type];
}

/* They change seldom, and all workers read what lies beside them. */
static void
node_told(const struct weir_node *node, const struct nfs3_attr *attr)
{
	struct nfs_node *priv = nfs_node_of(node);
	const bool setgid = (attr->mode & S_ISGID) != 0;

	if (atomic_load_explicit(&priv->gid, memory_order_relaxed) != attr->gid)
		atomic_store_explicit(&priv->gid, attr->gid, memory_order_relaxed);
	if (atomic_load_explicit(&priv->setgid, memory_order_relaxed) != setgid)
		atomic_store_explicit(&priv->setgid, setgid, memory_order_relaxed);
}

struct node_init {
	const struct nfs3_fh *fh;
	const struct nfs3_attr *attr;
};

static int
node_init(struct weir_node *node, void *arg)
{
	struct nfs_node *priv = nfs_node_of(node);
	const struct node_init *init = arg;

	priv->fh = *init->fh;
	priv->fileid = init->attr->fileid;
	priv->fsid = init->attr->fsid;
	node_told(node, init->attr);
	return 0;
}

int WEIR_ON_WORKER
nfs_node_get(struct nfs_chan *chan, const struct nfs3_fh *fh, const struct nfs3_attr *attr,
		struct weir_node **out)
{
	struct weir_fsdev *dev = weir_channel_fsdev(chan->chan);
	struct node_init init = { .fh = fh, .attr = attr };
	const uint32_t type = nfs_mode_type(attr);
	struct weir_node *node = weir_fsdev_root(dev);
	uint64_t key[2];
	bool made;
	int rc;

	if (fh_equal(&nfs_node_of(node)->fh, fh)) {
		weir_node_ref(dev, node);
	} else {
		node_key(chan->fs->key, fh, key);
		rc = weir_node_make(dev, key, type, node_init, &init, &node, &made);
		if (rc < 0)
			return rc;
	}
	if (node->type != type || !fh_equal(&nfs_node_of(node)->fh, fh)) {
		weir_node_put(dev, node);
		return -ESTALE;
	}
	*out = node;
	return 0;
}

void WEIR_ON_WORKER
nfs_node_put(struct nfs_chan *chan, struct weir_node *node)
{
	weir_node_put(weir_channel_fsdev(chan->chan), node);
}

/* A channel that stopped may have left a name of ours on the server, and its directory to us. */
void WEIR_ON_CONTROL
nfs_node_fini(struct weir_fsdev *dev, struct weir_node *node)
{
	struct nfs_node *priv = nfs_node_of(node);
	struct weir_node *dir;

	if (atomic_load(&priv->silly) == NFS_SILLY_NONE)
		return;
	dir = weir_node_get(dev, priv->silly_dir);
	if (dir == NULL)
		return;
	weir_node_put(dev, dir);
	weir_node_put(dev, dir);
}

/* Where an export goes on in another file system, its numbers must not meet the root's. */
uint64_t
nfs_ino(const struct nfs_fs *fs, uint64_t fsid, uint64_t fileid)
{
	if (fsid != fs->root_fsid)
		fileid ^= rotl(fsid * UINT64_C(0x9e3779b97f4a7c15), 32);
	return fileid;
}

/* As Linux has it in struct fuse_attr: new_encode_dev(). */
static uint32_t
rdev_encode(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12;
}

void
nfs_attr(const struct nfs_fs *fs, const struct weir_node *node, const struct nfs3_attr *in,
		struct weir_attr *out)
{
	*out = (struct weir_attr){
		.ino = nfs_ino(fs, in->fsid, in->fileid),
		.size = in->size,
		.blocks = in->used / 512 + (in->used % 512 > 0),
		.atime = in->atime.sec,
		.mtime = in->mtime.sec,
		.ctime = in->ctime.sec,
		.atime_ns = in->atime.nsec,
		.mtime_ns = in->mtime.nsec,
		.ctime_ns = in->ctime.nsec,
		.mode = nfs_mode_type(in) | (in->mode & 07777),
		.nlink = in->nlink,
		.uid = in->uid,
		.gid = in->gid,
		.blksize = RTE_MIN(fs->rsize, fs->wsize),
	};
	if (in->type == NFS3_CHR || in->type == NFS3_BLK)
		out->rdev = rdev_encode(in->major, in->minor);
	if (node == NULL)
		return;
	node_told(node, in);
	/* The name that keeps it is nobody's. */
	if (out->nlink > 0 && node->type == S_IFREG &&
			atomic_load(&nfs_node_of(node)->silly) == NFS_SILLY_DONE)
		out->nlink--;
}

void
nfs_entry(struct nfs_fs *fs, struct weir_node *node, const struct nfs3_attr *attr,
		struct weir_entry *entry)
{
	entry->node = node;
	entry->entry_valid_ns = fs->entry_valid_ns;
	entry->attr_valid_ns = fs->attr_valid_ns;
	nfs_attr(fs, node, attr, &entry->attr);
}
