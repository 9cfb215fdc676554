/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "fe_verbs.h"

/* One request of the usual shape: a struct, up to two names, a fixed answer. */
struct verb {
	uint32_t opcode;
	uint64_t nodeid;
	const void *arg;
	uint32_t arg_len;
	const char *name[2];
	void *res;
	uint32_t res_len;
};

static int
verb_call(struct fe_queue *q, const struct verb *verb)
{
	uint32_t len[2] = { 0, 0 };
	struct fe_req *req;
	uint8_t *at;
	unsigned int i;
	int rc;

	for (i = 0; i < 2; i++)
		len[i] = verb->name[i] != NULL ? strlen(verb->name[i]) + 1 : 0;
	if (verb->arg_len + len[0] + len[1] > FE_ARG_BYTES)
		return -ENAMETOOLONG;

	req = fe_req_get(q);
	if (req == NULL)
		return -EAGAIN;
	at = fe_req_init(req, verb->opcode, verb->nodeid, verb->arg_len + len[0] + len[1]);
	if (verb->arg_len > 0)
		memcpy(at, verb->arg, verb->arg_len);
	at += verb->arg_len;
	for (i = 0; i < 2; i++) {
		if (len[i] > 0)
			memcpy(at, verb->name[i], len[i]);
		at += len[i];
	}
	req->res_room = verb->res_len;

	rc = fe_req_call(req);
	if (!req->done)
		return rc;
	if (rc == 0 && req->payload != verb->res_len) {
		fe_fault(q->fs, "%s: answer of %u bytes, not %u", fe_opcode_name(verb->opcode),
				req->payload, verb->res_len);
		rc = -EPROTO;
	}
	if (rc == 0 && verb->res_len > 0)
		memcpy(verb->res, fe_req_res(req), verb->res_len);
	fe_req_put(req);
	return rc;
}

int
fe_lookup(struct fe_queue *q, uint64_t parent, const char *name, struct fuse_entry_out *out)
{
	int rc = verb_call(q,
			&(struct verb){
					.opcode = FUSE_LOOKUP,
					.nodeid = parent,
					.name = { name },
					.res = out,
					.res_len = sizeof(*out),
			});

	/* A node id of 0 is a negative entry that may be cached. */
	return rc == 0 && out->nodeid == 0 ? -ENOENT : rc;
}

void
fe_forget(struct fe_fs *fs, uint64_t nodeid, uint64_t nb)
{
	struct fe_queue *q = &fs->queue[0];
	struct fe_req *req, *done;
	struct fuse_forget_in *in;
	bool broken = false;

	pthread_mutex_lock(&fs->forget_lock);
	do {
		while (fe_queue_reap(q, &done) == 1)
			fe_req_put(done);
		req = fe_req_get(q);
		broken = req == NULL && fe_queue_wait(q) < 0;
	} while (req == NULL && !broken);

	if (req != NULL) {
		in = fe_req_init(req, FUSE_FORGET, nodeid, sizeof(*in));
		in->nlookup = nb;
		if (fe_req_submit(req) < 0)
			fe_req_put(req);
		fe_queue_kick(q);
	}
	pthread_mutex_unlock(&fs->forget_lock);
}

int
fe_walk(struct fe_queue *q, const char *path, struct fuse_entry_out *out)
{
	uint64_t at = FE_ROOT;
	char name[NAME_MAX + 1];
	int rc = 0;

	memset(out, 0, sizeof(*out));
	out->nodeid = FE_ROOT;
	path += strspn(path, "/");
	if (*path == '\0')
		return fe_getattr(q, FE_ROOT, &out->attr);

	while (*path != '\0' && rc == 0) {
		size_t len = strcspn(path, "/");

		if (len > NAME_MAX)
			rc = -ENAMETOOLONG;
		if (rc == 0) {
			memcpy(name, path, len);
			name[len] = '\0';
			rc = fe_lookup(q, at, name, out);
		}
		if (at != FE_ROOT)
			fe_forget(q->fs, at, 1);
		at = out->nodeid;
		path += len;
		path += strspn(path, "/");
	}
	return rc;
}

int
fe_getattr(struct fe_queue *q, uint64_t nodeid, struct fuse_attr *out)
{
	struct fuse_getattr_in in = { 0 };
	struct fuse_attr_out res;
	int rc = verb_call(q,
			&(struct verb){
					.opcode = FUSE_GETATTR,
					.nodeid = nodeid,
					.arg = &in,
					.arg_len = sizeof(in),
					.res = &res,
					.res_len = sizeof(res),
			});

	if (rc == 0)
		*out = res.attr;
	return rc;
}

int
fe_setattr(struct fe_queue *q, uint64_t nodeid, const struct fuse_setattr_in *in,
		struct fuse_attr *out)
{
	struct fuse_attr_out res;
	int rc = verb_call(q,
			&(struct verb){
					.opcode = FUSE_SETATTR,
					.nodeid = nodeid,
					.arg = in,
					.arg_len = sizeof(*in),
					.res = &res,
					.res_len = sizeof(res),
			});

	if (rc == 0)
		*out = res.attr;
	return rc;
}

int
fe_truncate(struct fe_queue *q, uint64_t nodeid, uint64_t size)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = size };
	struct fuse_attr attr;

	return fe_setattr(q, nodeid, &in, &attr);
}

int
fe_access(struct fe_queue *q, uint64_t nodeid, uint32_t mask)
{
	struct fuse_access_in in = { .mask = mask };

	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_ACCESS,
					.nodeid = nodeid,
					.arg = &in,
					.arg_len = sizeof(in),
			});
}

int
fe_statfs(struct fe_queue *q, uint64_t nodeid, struct fuse_kstatfs *out)
{
	struct fuse_statfs_out res;
	int rc = verb_call(q,
			&(struct verb){
					.opcode = FUSE_STATFS,
					.nodeid = nodeid,
					.res = &res,
					.res_len = sizeof(res),
			});

	if (rc == 0)
		*out = res.st;
	return rc;
}

/* The kernel masks the mode itself unless the server said that it does. */
static uint32_t
verb_mode(const struct fe_fs *fs, uint32_t mode)
{
	return fs->init.flags & FUSE_DONT_MASK ? mode : mode & ~fs->umask;
}

int
fe_mkdir(struct fe_queue *q, uint64_t parent, const char *name, uint32_t mode,
		struct fuse_entry_out *out)
{
	struct fuse_mkdir_in in = { .mode = verb_mode(q->fs, mode), .umask = q->fs->umask };

	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_MKDIR,
					.nodeid = parent,
					.arg = &in,
					.arg_len = sizeof(in),
					.name = { name },
					.res = out,
					.res_len = sizeof(*out),
			});
}

int
fe_mknod(struct fe_queue *q, uint64_t parent, const char *name, uint32_t mode, uint32_t rdev,
		struct fuse_entry_out *out)
{
	struct fuse_mknod_in in = {
		.mode = verb_mode(q->fs, mode),
		.rdev = rdev,
		.umask = q->fs->umask,
	};

	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_MKNOD,
					.nodeid = parent,
					.arg = &in,
					.arg_len = sizeof(in),
					.name = { name },
					.res = out,
					.res_len = sizeof(*out),
			});
}

int
fe_symlink(struct fe_queue *q, uint64_t parent, const char *name, const char *target,
		struct fuse_entry_out *out)
{
	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_SYMLINK,
					.nodeid = parent,
					.name = { name, target },
					.res = out,
					.res_len = sizeof(*out),
			});
}

int
fe_link(struct fe_queue *q, uint64_t nodeid, uint64_t parent, const char *name,
		struct fuse_entry_out *out)
{
	struct fuse_link_in in = { .oldnodeid = nodeid };

	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_LINK,
					.nodeid = parent,
					.arg = &in,
					.arg_len = sizeof(in),
					.name = { name },
					.res = out,
					.res_len = sizeof(*out),
			});
}

int
fe_unlink(struct fe_queue *q, uint64_t parent, const char *name)
{
	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_UNLINK,
					.nodeid = parent,
					.name = { name },
			});
}

int
fe_rmdir(struct fe_queue *q, uint64_t parent, const char *name)
{
	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_RMDIR,
					.nodeid = parent,
					.name = { name },
			});
}

int
fe_rename(struct fe_queue *q, uint64_t parent, const char *name, uint64_t new_parent,
		const char *new_name)
{
	struct fuse_rename_in in = { .newdir = new_parent };

	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_RENAME,
					.nodeid = parent,
					.arg = &in,
					.arg_len = sizeof(in),
					.name = { name, new_name },
			});
}

int
fe_rename2(struct fe_queue *q, uint64_t parent, const char *name, uint64_t new_parent,
		const char *new_name, uint32_t flags)
{
	struct fuse_rename2_in in = { .newdir = new_parent, .flags = flags };

	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_RENAME2,
					.nodeid = parent,
					.arg = &in,
					.arg_len = sizeof(in),
					.name = { name, new_name },
			});
}

int
fe_create(struct fe_queue *q, uint64_t parent, const char *name, uint32_t flags, uint32_t mode,
		struct fuse_entry_out *out, uint64_t *fh)
{
	struct fuse_create_in in = {
		.flags = flags,
		.mode = verb_mode(q->fs, mode),
		.umask = q->fs->umask,
	};
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} res;
	int rc = verb_call(q,
			&(struct verb){
					.opcode = FUSE_CREATE,
					.nodeid = parent,
					.arg = &in,
					.arg_len = sizeof(in),
					.name = { name },
					.res = &res,
					.res_len = sizeof(res),
			});

	if (rc == 0) {
		*out = res.entry;
		*fh = res.open.fh;
	}
	return rc;
}

static int
verb_open(struct fe_queue *q, uint32_t opcode, uint64_t nodeid, uint32_t flags, uint64_t *fh)
{
	struct fuse_open_in in = { .flags = flags };
	struct fuse_open_out res;
	int rc = verb_call(q,
			&(struct verb){
					.opcode = opcode,
					.nodeid = nodeid,
					.arg = &in,
					.arg_len = sizeof(in),
					.res = &res,
					.res_len = sizeof(res),
			});

	if (rc == 0)
		*fh = res.fh;
	return rc;
}

static int
verb_release(struct fe_queue *q, uint32_t opcode, uint64_t nodeid, uint64_t fh)
{
	struct fuse_release_in in = { .fh = fh };

	return verb_call(q,
			&(struct verb){
					.opcode = opcode,
					.nodeid = nodeid,
					.arg = &in,
					.arg_len = sizeof(in),
			});
}

static int
verb_fsync(struct fe_queue *q, uint32_t opcode, uint64_t nodeid, uint64_t fh, uint32_t flags)
{
	struct fuse_fsync_in in = { .fh = fh, .fsync_flags = flags };

	return verb_call(q,
			&(struct verb){
					.opcode = opcode,
					.nodeid = nodeid,
					.arg = &in,
					.arg_len = sizeof(in),
			});
}

int
fe_open(struct fe_queue *q, uint64_t nodeid, uint32_t flags, uint64_t *fh)
{
	return verb_open(q, FUSE_OPEN, nodeid, flags, fh);
}

int
fe_release(struct fe_queue *q, uint64_t nodeid, uint64_t fh)
{
	return verb_release(q, FUSE_RELEASE, nodeid, fh);
}

int
fe_flush(struct fe_queue *q, uint64_t nodeid, uint64_t fh)
{
	struct fuse_flush_in in = { .fh = fh };

	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_FLUSH,
					.nodeid = nodeid,
					.arg = &in,
					.arg_len = sizeof(in),
			});
}

int
fe_syncfs(struct fe_queue *q)
{
	struct fuse_syncfs_in in = { 0 };

	return verb_call(q,
			&(struct verb){
					.opcode = FUSE_SYNCFS,
					.nodeid = FE_ROOT,
					.arg = &in,
					.arg_len = sizeof(in),
			});
}

int
fe_fsync(struct fe_queue *q, uint64_t nodeid, uint64_t fh, uint32_t flags)
{
	return verb_fsync(q, FUSE_FSYNC, nodeid, fh, flags);
}

int
fe_opendir(struct fe_queue *q, uint64_t nodeid, uint64_t *fh)
{
	return verb_open(q, FUSE_OPENDIR, nodeid, 0, fh);
}

int
fe_releasedir(struct fe_queue *q, uint64_t nodeid, uint64_t fh)
{
	return verb_release(q, FUSE_RELEASEDIR, nodeid, fh);
}

int
fe_fsyncdir(struct fe_queue *q, uint64_t nodeid, uint64_t fh)
{
	return verb_fsync(q, FUSE_FSYNCDIR, nodeid, fh, 0);
}
