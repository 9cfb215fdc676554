/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Makes the mount what the model has become without it: a stream can begin anywhere. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "stream.h"

/* A name that no operation uses, for what has none. */
#define NAMELESS "nameless"

static void
must(struct stream *s, const char *what, int64_t rc)
{
	if (rc < 0)
		stream_differ(s, "cannot lay out: %s: %s", what, strerror(errno));
}

static void
proc_path(char *buf, size_t room, int fd)
{
	snprintf(buf, room, "/proc/self/fd/%d", fd);
}

static void
fill(struct stream *s, int dir, const char *name, const struct model_inode *inode)
{
	uint64_t done = 0;
	int fd = openat(dir, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	int64_t n;

	must(s, name, fd);
	while (done < inode->size) {
		n = write(fd, inode->data + done, inode->size - done);
		must(s, "write", n);
		done += (uint64_t)n;
	}
	close(fd);
}

/* Owner, bits, attributes, times: what is there has this path. */
static void
dress(struct stream *s, const char *path, struct model_inode *inode)
{
	struct timespec times[2];
	uint32_t i;

	if (stream_has(s, FEATURE_CHOWN))
		must(s, "chown",
				fchownat(AT_FDCWD, path, inode->uid, inode->gid,
						AT_SYMLINK_NOFOLLOW));
	if (!S_ISLNK(inode->mode))
		must(s, "chmod", chmod(path, inode->mode & 07777));
	for (i = 0; i < MODEL_NB_XATTRS; i++)
		if (inode->xattrs[i].is_set)
			must(s, "lsetxattr",
					lsetxattr(path, stream_xattr_name(i),
							inode->xattrs[i].value,
							inode->xattrs[i].len, 0));
	for (i = 0; i < 2; i++) {
		times[i] = inode->times[i];
		if (!inode->is_known[i])
			times[i].tv_nsec = UTIME_OMIT;
	}
	if (stream_has(s, FEATURE_SYMLINK_TIMES))
		must(s, "utimensat", utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
	model_forget_time(inode, MODEL_CTIME);
	inode->is_mapped = false;
}

static void
make_one(struct stream *s, int dir, const char *name, const struct model_inode *inode)
{
	if (S_ISREG(inode->mode))
		fill(s, dir, name, inode);
	else if (S_ISLNK(inode->mode))
		must(s, "symlink", symlinkat(inode->target, dir, name));
	else if (S_ISFIFO(inode->mode))
		must(s, "mkfifo", mkfifoat(dir, name, 0600));
	else
		must(s, "mkdir", mkdirat(dir, name, 0700));
}

static void lay_dir(struct stream *s, int fd, const struct model_inode *dir);

/* An inode's first name makes it, and leaves a descriptor by which its others are made. */
static void
lay_name(struct stream *s, int dir, const struct model_name *n)
{
	struct model_inode *inode = n->inode;
	char path[320], proc[32];

	if (inode->fd >= 0) {
		proc_path(proc, sizeof(proc), inode->fd);
		must(s, "link", linkat(AT_FDCWD, proc, dir, n->name, AT_SYMLINK_FOLLOW));
		return;
	}
	make_one(s, dir, n->name, inode);
	inode->fd = openat(dir, n->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	must(s, "open", inode->fd);
	if (model_is_dir(inode))
		lay_dir(s, inode->fd, inode);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, n->name);
	dress(s, path, inode);
}

static void
lay_dir(struct stream *s, int fd, const struct model_inode *dir)
{
	const struct model_name *n;

	for (n = dir->names; n != NULL; n = n->next)
		lay_name(s, fd, n);
}

/* What slots have open and nothing names. */
static void
lay_nameless(struct stream *s, struct stream_slot *slot)
{
	struct model_inode *inode = slot->inode;
	char path[64];

	make_one(s, s->root, NAMELESS, inode);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", s->root, NAMELESS);
	dress(s, path, inode);
	inode->fd = openat(s->root, NAMELESS, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	must(s, "open", inode->fd);
}

static void
lay_slot(struct stream *s, struct stream_slot *slot)
{
	const uint32_t flags = slot->flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW);
	struct model_inode *inode = slot->inode;
	bool is_nameless = inode->fd < 0;
	char proc[32];

	if (is_nameless)
		lay_nameless(s, slot);
	proc_path(proc, sizeof(proc), inode->fd);
	slot->fd = open(proc, (int)flags | O_CLOEXEC);
	must(s, "open of a slot", slot->fd);
	if (S_ISREG(inode->mode))
		must(s, "lseek", lseek(slot->fd, (off_t)slot->pos, SEEK_SET));
}

void
layout(struct stream *s)
{
	struct model_inode *inode;
	uint32_t i;

	for (inode = s->model.all; inode != NULL; inode = inode->next)
		inode->fd = -1;
	lay_dir(s, s->root, s->model.root);
	for (i = 0; i < STREAM_SLOTS; i++) {
		inode = s->slots[i].inode;
		if (inode == NULL)
			continue;
		lay_slot(s, &s->slots[i]);
		if (inode->nlink == 0)
			(void)unlinkat(s->root, NAMELESS, model_is_dir(inode) ? AT_REMOVEDIR : 0);
	}
	for (inode = s->model.all; inode != NULL; inode = inode->next) {
		if (inode->fd >= 0)
			close(inode->fd);
		model_forget_time(inode, MODEL_CTIME);
	}
	model_changed(s->model.root);
}
