/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fake_fs.h"

#define FAKE_MAGIC UINT64_C(0x66616b6566696c65)

struct fake fake;

/* Of an open file, to see that it is one and of which kind. */
struct fake_file {
	uint64_t magic;
	uint32_t type;
};

static struct weir_fsdev_ops fake_ops;
static weir_fsop_fn fake_absent[WEIR_NB_FSOPS];

void
fake_without(enum weir_fsop op)
{
	if (fake_ops.op[op] != NULL)
		fake_absent[op] = fake_ops.op[op];
	fake_ops.op[op] = NULL;
}

void
fake_clear(void)
{
	for (unsigned int i = 0; i < WEIR_NB_FSOPS; i++)
		if (fake_absent[i] != NULL)
			fake_ops.op[i] = fake_absent[i];
	memset(fake_absent, 0, sizeof(fake_absent));
	fake.hold = fake.hold_release = fake.hold_fence = false;
	fake.quiet = fake.no_node = fake.set_res = fake.fail_list = false;
	fake.res = 0;
	fake.nb_entries = 0;
	fake.bad_name = NULL;
	fake.emitted_late = fake.bad_private = 0;
	memset(fake.calls, 0, sizeof(fake.calls));
	memset(&fake.last, 0, sizeof(fake.last));
}

static uint32_t
fake_type(const char *name)
{
	switch (name[0]) {
	case '.':
	case 'd':
		return S_IFDIR;
	case 'l':
		return S_IFLNK;
	case 'p':
		return S_IFIFO;
	default:
		return S_IFREG;
	}
}

static void
fake_attr(struct weir_attr *attr, const struct weir_node *node)
{
	*attr = (struct weir_attr){
		.ino = node->key[0],
		.size = 12345,
		.blocks = 32,
		.atime = -1,
		.mtime = 2,
		.ctime = 3,
		.atime_ns = 4,
		.mtime_ns = 5,
		.ctime_ns = UINT32_MAX,
		.mode = node->type | 0640,
		.nlink = 7,
		.uid = 8,
		.gid = 9,
		.rdev = 0x1234,
		.blksize = 512,
	};
}

static int WEIR_ON_WORKER
fake_entry(struct weir_channel *chan, const char *name, uint32_t type, struct weir_entry *entry)
{
	uint64_t key[2] = { 14695981039346656037u, type };
	bool made;
	int rc;

	*entry = (struct weir_entry){ .entry_valid_ns = 1500000000, .attr_valid_ns = 2000000001 };
	if (fake.no_node)
		return 0;
	for (const char *p = name; *p != '\0'; p++)
		key[0] = (key[0] ^ (uint8_t)*p) * 1099511628211u;
	rc = weir_node_make(weir_channel_fsdev(chan), key, type, NULL, NULL, &entry->node, &made);
	if (rc == 0)
		fake_attr(&entry->attr, entry->node);
	return rc;
}

static int WEIR_ON_WORKER
fake_lookup(struct weir_channel *chan, struct weir_fsreq *req)
{
	if (req->name[0] == 'x' || req->name[0] == 'n') {
		req->out.entry = (struct weir_entry){
			.entry_valid_ns = req->name[0] == 'n' ? 1000000000 : 0,
		};
		return 0;
	}
	if (strcmp(req->name, ".") == 0) {
		req->out.entry = (struct weir_entry){ .node = req->node };
		weir_node_ref(weir_channel_fsdev(chan), req->node);
		fake_attr(&req->out.entry.attr, req->node);
		return 0;
	}
	return fake_entry(chan, req->name, fake_type(req->name), &req->out.entry);
}

static int WEIR_ON_WORKER
fake_make(struct weir_channel *chan, struct weir_fsreq *req)
{
	uint32_t type = req->op == WEIR_FSOP_SYMLINK ? S_IFLNK : req->in.create.mode & S_IFMT;

	return fake_entry(chan, req->name, type, &req->out.entry);
}

static int WEIR_ON_WORKER
fake_link(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct weir_entry *entry = &req->out.entry;

	*entry = (struct weir_entry){ .node = req->newnode };
	weir_node_ref(weir_channel_fsdev(chan), req->newnode);
	fake_attr(&entry->attr, req->newnode);
	return 0;
}

static int WEIR_ON_WORKER
fake_open(struct weir_channel *chan, struct weir_fsreq *req)
{
	struct fake_file *file = weir_file_priv(req->file);
	int rc = 0;

	if (req->op == WEIR_FSOP_CREATE || req->op == WEIR_FSOP_TMPFILE)
		rc = fake_make(chan, req);
	if (rc < 0)
		return rc;
	if (file->magic != 0)
		fake.bad_private++;
	file->magic = FAKE_MAGIC;
	file->type = req->op == WEIR_FSOP_OPENDIR ? S_IFDIR : S_IFREG;
	fake.open++;
	return 0;
}

static int
fake_release(struct weir_fsreq *req)
{
	struct fake_file *file = weir_file_priv(req->file);

	if (file->magic != FAKE_MAGIC || file->type != req->node->type ||
			(file->type == S_IFDIR) != (req->op == WEIR_FSOP_RELEASEDIR))
		fake.bad_private++;
	file->magic = 0;
	fake.open--;
	return 0;
}

static int
fake_read(struct weir_fsreq *req)
{
	uint8_t byte;
	uint32_t i;

	for (i = 0; i < req->in.io.len; i++) {
		byte = (uint8_t)(req->in.io.off + i);
		weir_iov_write(&req->iov, &byte, 1);
	}
	return (int)i;
}

static int
fake_write(struct weir_fsreq *req)
{
	return (int)weir_iov_read(&req->iov, fake.data, req->in.io.len);
}

static int
fake_xattr(struct weir_fsreq *req, const char *bytes, uint32_t len)
{
	if ((req->flags & WEIR_FSREQ_SIZE) != 0)
		return (int)len;
	return req->in.io.len < len ? -ERANGE : (int)weir_iov_write(&req->iov, bytes, len);
}

static int
fake_ioctl(struct weir_fsreq *req)
{
	req->out.ioctl.iflags = 0x12345678;
	req->out.ioctl.fsxattr = (struct weir_fsxattr){ 1, 2, 3, 4, 5 };
	return 0;
}

static int
fake_statx(struct weir_fsreq *req)
{
	struct weir_statx *stat = &req->out.statx.stat;

	*stat = (struct weir_statx){
		.btime = -7,
		.btime_ns = UINT32_MAX,
		.has_btime = (req->in.statx.mask & STATX_BTIME) != 0,
		.attributes = 0xff,
		.attributes_mask = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND,
	};
	fake_attr(&stat->attr, req->node);
	stat->attr.rdev = 0x34512367;
	req->out.statx.valid_ns = 3000000002;
	return 0;
}

static int WEIR_ON_WORKER
fake_emit(struct weir_channel *chan, struct weir_fsreq *req, const char *name, uint64_t next)
{
	bool plus = (req->flags & WEIR_FSREQ_PLUS) != 0;
	struct weir_entry entry = { 0 };
	const struct weir_dirent dirent = {
		.name = name,
		.name_len = strlen(name),
		.type = DT_REG,
		.ino = next + 100,
		.next_off = next,
		.entry = plus ? &entry : NULL,
	};
	int rc = plus ? fake_entry(chan, name, fake_type(name), &entry) : 0;

	if (rc == 0)
		rc = req->emit(req, &dirent);
	if (rc < 0 && entry.node != NULL)
		weir_node_put(weir_channel_fsdev(chan), entry.node);
	if (rc == 0 && weir_fsreq_detached(req))
		fake.emitted_late++;
	return rc;
}

static int WEIR_ON_WORKER
fake_readdir(struct weir_channel *chan, struct weir_fsreq *req)
{
	char name[16];

	if (fake.bad_name != NULL)
		fake_emit(chan, req, fake.bad_name, 0);
	for (uint64_t i = req->in.io.off; i < fake.nb_entries; i++) {
		if (i < 2)
			snprintf(name, sizeof(name), "%s", i == 0 ? "." : "..");
		else
			snprintf(name, sizeof(name), "entry%03u", (unsigned int)i);
		if (fake_emit(chan, req, name, i + 1) < 0)
			break;
	}
	return fake.fail_list ? -EIO : 0;
}

static void
fake_note_file(const struct weir_fsreq *req)
{
	const struct fake_file *file;
	bool fresh = req->op == WEIR_FSOP_OPEN || req->op == WEIR_FSOP_OPENDIR ||
			req->op == WEIR_FSOP_CREATE || req->op == WEIR_FSOP_TMPFILE;

	if (req->newfile != NULL) {
		fake.last.has_newfile = true;
		fake.last.newfile_flags = req->newfile->flags;
		file = weir_file_priv(req->newfile);
		if (file->magic != FAKE_MAGIC || file->type != req->newnode->type)
			fake.bad_private++;
	}
	if (req->file == NULL)
		return;
	fake.last.has_file = true;
	fake.last.file_flags = req->file->flags;
	file = weir_file_priv(req->file);
	if (!fresh && (file->magic != FAKE_MAGIC || file->type != req->node->type))
		fake.bad_private++;
}

static void
fake_note_made(const struct weir_fsreq *req)
{
	struct fake_made *made = &fake.made;

	*made = (struct fake_made){ .cred = req->cred, .flags = req->flags };
	if (req->name != NULL)
		snprintf(made->name, sizeof(made->name), "%s", req->name);
	if (req->in.create.label_name == NULL)
		return;
	snprintf(made->label_name, sizeof(made->label_name), "%s", req->in.create.label_name);
	made->label_len = req->in.create.label_len;
	memcpy(made->label, req->in.create.label, made->label_len);
}

static void
fake_note(const struct weir_fsreq *req)
{
	struct fake_call *last = &fake.last;

	*last = (struct fake_call){ .op = req->op, .flags = req->flags, .cred = req->cred };
	fake.calls[req->op]++;
	if (req->node != NULL)
		last->node_key = req->node->key[0];
	if (req->newnode != NULL)
		last->newnode_key = req->newnode->key[0];
	if (req->name != NULL)
		snprintf(last->name, sizeof(last->name), "%s", req->name);
	if (req->newname != NULL)
		snprintf(last->newname, sizeof(last->newname), "%s", req->newname);
	last->iov_left = req->iov.left;
	last->in = req->in;
	if (req->op == WEIR_FSOP_SETATTR) {
		last->setattr_valid = req->in.setattr.valid;
		last->setattr = req->in.setattr.attr;
	} else {
		last->mode = req->in.create.mode;
		last->umask = req->in.create.umask;
		last->rdev = req->in.create.rdev;
		last->rename_flags = req->in.rename.flags;
		last->mask = req->in.access.mask;
		last->off = req->in.io.off;
		last->len = req->in.io.len;
		last->io_flags = req->in.io.flags;
	}
	if (req->op == WEIR_FSOP_SYMLINK || req->op == WEIR_FSOP_MKNOD ||
			req->op == WEIR_FSOP_MKDIR || req->op == WEIR_FSOP_CREATE)
		fake_note_made(req);
	fake_note_file(req);
}

static bool
fake_waits_for(const struct weir_fsreq *req, const struct weir_fsreq *end)
{
	const struct weir_lock *lock = &req->in.lock;

	if (req->op != WEIR_FSOP_SETLK || (lock->flags & WEIR_LOCK_WAIT) == 0 ||
			req->chan != end->chan || lock->guest != end->in.lock.guest)
		return false;
	if (end->in.lock.unique != 0)
		return lock->unique == end->in.lock.unique;
	return end->file == NULL || req->file == end->file;
}

/* Of what is held, what was submitted on this worker. */
static int WEIR_ON_WORKER
fake_end_waits(const struct weir_fsreq *end)
{
	struct weir_fsreq *req;
	int rc = -EAGAIN;

	for (unsigned int i = 0; i < fake.nb_held;) {
		req = fake.held[i];
		if (!fake_waits_for(req, end)) {
			i++;
			continue;
		}
		fake.held[i] = fake.held[--fake.nb_held];
		weir_fsreq_complete(req, -EINTR);
		rc = 0;
	}
	return rc;
}

static int WEIR_ON_WORKER
fake_carry_out(struct weir_channel *chan, struct weir_fsreq *req)
{
	switch (req->op) {
	case WEIR_FSOP_LOOKUP:
		return fake_lookup(chan, req);
	case WEIR_FSOP_GETATTR:
	case WEIR_FSOP_SETATTR:
		fake_attr(&req->out.attr.attr, req->node);
		req->out.attr.valid_ns = 3000000002;
		return 0;
	case WEIR_FSOP_READLINK:
		return (int)weir_iov_write(&req->iov, FAKE_TARGET, strlen(FAKE_TARGET));
	case WEIR_FSOP_SYMLINK:
	case WEIR_FSOP_MKNOD:
	case WEIR_FSOP_MKDIR:
		return fake_make(chan, req);
	case WEIR_FSOP_LINK:
		return fake_link(chan, req);
	case WEIR_FSOP_OPEN:
	case WEIR_FSOP_CREATE:
	case WEIR_FSOP_TMPFILE:
	case WEIR_FSOP_OPENDIR:
		return fake_open(chan, req);
	case WEIR_FSOP_RELEASE:
	case WEIR_FSOP_RELEASEDIR:
		return fake_release(req);
	case WEIR_FSOP_READ:
		return fake_read(req);
	case WEIR_FSOP_WRITE:
		return fake_write(req);
	case WEIR_FSOP_READDIR:
		return fake_readdir(chan, req);
	case WEIR_FSOP_STATFS:
		req->out.statfs = (struct weir_statfs){ 1, 2, 3, 4, 5, 6, 7, 8 };
		return 0;
	case WEIR_FSOP_STATX:
		return fake_statx(req);
	case WEIR_FSOP_GETXATTR:
		return fake_xattr(req, FAKE_VALUE, sizeof(FAKE_VALUE) - 1);
	case WEIR_FSOP_LISTXATTR:
		return fake_xattr(req, FAKE_LIST, sizeof(FAKE_LIST));
	case WEIR_FSOP_SETXATTR:
		weir_iov_read(&req->iov, fake.data, req->in.io.len);
		return 0;
	case WEIR_FSOP_LSEEK:
		req->out.off = req->in.lseek.off + 11;
		return 0;
	case WEIR_FSOP_COPY_FILE_RANGE:
		return (int)req->in.io.len;
	case WEIR_FSOP_IOCTL:
		return fake_ioctl(req);
	case WEIR_FSOP_GETLK:
		req->out.lock = (struct weir_lock){ 1, 2, 3, 4, F_WRLCK, 5, 6 };
		return 0;
	default:
		return 0;
	}
}

/* The table may have to grow first, which is control's work. */
static int WEIR_ON_WORKER
fake_end(struct weir_channel *chan, struct weir_fsreq *req)
{
	int rc = fake_carry_out(chan, req);

	if (rc != -EAGAIN)
		return rc;
	weir_fsreq_retry(req, NULL);
	return -EINPROGRESS;
}

static bool
fake_is_release(const struct weir_fsreq *req)
{
	return req->op == WEIR_FSOP_RELEASE || req->op == WEIR_FSOP_RELEASEDIR;
}

static int WEIR_ON_WORKER
fake_result(struct weir_channel *chan, struct weir_fsreq *req)
{
	int rc;

	/* Its -EAGAIN is an answer. */
	if (req->op == WEIR_FSOP_ENDWAIT)
		return fake_end_waits(req);
	if (!fake.set_res || fake_is_release(req))
		return fake_end(chan, req);
	if (fake.res < 0)
		return fake.res;
	rc = fake_end(chan, req);
	return rc < 0 ? rc : fake.res;
}

static int WEIR_ON_WORKER
fake_verb(struct weir_channel *chan, struct weir_fsreq *req)
{
	bool hold = fake_is_release(req) ? fake.hold_release : fake.hold;

	if (req->op == WEIR_FSOP_ENDWAIT)
		hold = false;
	if (!fake.quiet)
		fake_note(req);
	if (hold && fake.nb_held < FAKE_MAX_HELD) {
		fake.held[fake.nb_held++] = req;
		return -EINPROGRESS;
	}
	return fake_result(chan, req);
}

void
fake_go_on(void)
{
	struct weir_fsreq *held[FAKE_MAX_HELD];
	unsigned int nb = fake.nb_held;
	int rc;

	weir_role_assume_worker();
	memcpy(held, fake.held, sizeof(held));
	fake.hold = false;
	fake.nb_held = 0;
	for (unsigned int i = 0; i < nb; i++) {
		rc = fake_result(held[i]->chan, held[i]);
		if (rc != -EINPROGRESS)
			weir_fsreq_complete(held[i], rc);
	}
}

static void
fake_detach(struct weir_channel *chan, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req))
{
	fake.fencing = req;
	fake.fenced = fenced;
	if (!fake.hold_fence)
		fake_fence();
}

void
fake_fence(void)
{
	fake.fenced(fake.fencing);
}

static void WEIR_ON_CONTROL
fake_create(struct weir_fsdev *dev, const void *params)
{
	const struct weir_fsdev_limits limits = {
		.max_write = FAKE_MAX_WRITE,
		.max_readahead = FAKE_MAX_READAHEAD,
		.parallel_dirops = true,
		.atomic_o_trunc = true,
		.export_support = true,
		.handle_killpriv = true,
		.handle_killpriv_v2 = true,
		.submounts = true,
		.security_ctx = true,
	};
	const uint64_t key[2] = { 1, S_IFDIR };
	bool ok;

	weir_fsdev_limits_set(dev, &limits);
	ok = weir_fsdev_root_create(dev, key, S_IFDIR) != NULL;
	weir_fsdev_created(dev, ok ? 0 : -ENOMEM, NULL);
}

static void WEIR_ON_CONTROL
fake_destroy(struct weir_fsdev *dev)
{
}

static struct weir_fsdev_ops fake_ops = {
	.create = fake_create,
	.destroy = fake_destroy,
	.detach = fake_detach,
	.op = {
		[WEIR_FSOP_LOOKUP] = fake_verb,
		[WEIR_FSOP_GETATTR] = fake_verb,
		[WEIR_FSOP_SETATTR] = fake_verb,
		[WEIR_FSOP_READLINK] = fake_verb,
		[WEIR_FSOP_SYMLINK] = fake_verb,
		[WEIR_FSOP_MKNOD] = fake_verb,
		[WEIR_FSOP_MKDIR] = fake_verb,
		[WEIR_FSOP_UNLINK] = fake_verb,
		[WEIR_FSOP_RMDIR] = fake_verb,
		[WEIR_FSOP_RENAME] = fake_verb,
		[WEIR_FSOP_LINK] = fake_verb,
		[WEIR_FSOP_OPEN] = fake_verb,
		[WEIR_FSOP_CREATE] = fake_verb,
		[WEIR_FSOP_READ] = fake_verb,
		[WEIR_FSOP_WRITE] = fake_verb,
		[WEIR_FSOP_STATFS] = fake_verb,
		[WEIR_FSOP_RELEASE] = fake_verb,
		[WEIR_FSOP_FLUSH] = fake_verb,
		[WEIR_FSOP_FSYNC] = fake_verb,
		[WEIR_FSOP_OPENDIR] = fake_verb,
		[WEIR_FSOP_READDIR] = fake_verb,
		[WEIR_FSOP_RELEASEDIR] = fake_verb,
		[WEIR_FSOP_FSYNCDIR] = fake_verb,
		[WEIR_FSOP_ACCESS] = fake_verb,
		[WEIR_FSOP_TMPFILE] = fake_verb,
		[WEIR_FSOP_STATX] = fake_verb,
		[WEIR_FSOP_GETXATTR] = fake_verb,
		[WEIR_FSOP_SETXATTR] = fake_verb,
		[WEIR_FSOP_LISTXATTR] = fake_verb,
		[WEIR_FSOP_REMOVEXATTR] = fake_verb,
		[WEIR_FSOP_FALLOCATE] = fake_verb,
		[WEIR_FSOP_LSEEK] = fake_verb,
		[WEIR_FSOP_COPY_FILE_RANGE] = fake_verb,
		[WEIR_FSOP_SYNCFS] = fake_verb,
		[WEIR_FSOP_IOCTL] = fake_verb,
		[WEIR_FSOP_GETLK] = fake_verb,
		[WEIR_FSOP_SETLK] = fake_verb,
		[WEIR_FSOP_ENDWAIT] = fake_verb,
	},
};

static struct weir_fsdev_driver fake_driver = {
	.name = "fake",
	.help = "for tests",
	.ops = &fake_ops,
	.defaults = { .readdirplus = true },
	.file_priv_size = sizeof(struct fake_file),
};
WEIR_FSDEV_REGISTER(fake_driver)
