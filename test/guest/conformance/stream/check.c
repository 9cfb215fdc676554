/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What the mount says, beside what the model says. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "list.h"
#include "stream.h"

static void
check_number(struct stream *s, const char *what, const char *of, uint64_t got, uint64_t want)
{
	if (got != want)
		stream_differ(s, "%s of %s: %llu, expected %llu", what, of, (unsigned long long)got,
				(unsigned long long)want);
}

/* An inode keeps its number, and shares it with none. */
static void
check_ino(struct stream *s, const char *of, struct model_inode *inode, uint64_t ino)
{
	const struct model_inode *other;

	if (inode->ino == 0) {
		for (other = s->model.all; other != NULL; other = other->next)
			if (other->ino == ino)
				stream_differ(s, "inode number %llu of %s is another file's",
						(unsigned long long)ino, of);
		inode->ino = ino;
	}
	check_number(s, "inode number", of, ino, inode->ino);
}

static void
check_times(struct stream *s, const char *of, struct model_inode *inode, const struct stat *st)
{
	static const char *const names[] = { "atime", "mtime", "ctime" };
	const struct timespec got[MODEL_NB_TIMES] = { st->st_atim, st->st_mtim, st->st_ctim };
	/* Otherwise something is yet to be written back, or a name to be removed. */
	const bool is_quiet =
			!inode->is_mapped && (!inode->has_lost || stream_has(s, FEATURE_GONE));
	const struct timespec *want;
	int i;

	for (i = 0; i < MODEL_NB_TIMES; i++) {
		want = &inode->times[i];
		if (inode->is_known[i] &&
				(got[i].tv_sec != want->tv_sec || got[i].tv_nsec != want->tv_nsec))
			stream_differ(s, "%s of %s: %lld.%09ld, expected %lld.%09ld", names[i], of,
					(long long)got[i].tv_sec, got[i].tv_nsec,
					(long long)want->tv_sec, want->tv_nsec);
		inode->times[i] = got[i];
		inode->is_known[i] = i != MODEL_ATIME && is_quiet;
	}
}

static bool
has_links_to_check(const struct stream *s, const struct model_inode *inode)
{
	if (model_is_dir(inode))
		return stream_has(s, FEATURE_DIR_LINKS) &&
				(inode->nlink > 0 || stream_has(s, FEATURE_UNLINKED));
	if (inode->has_lost && !stream_has(s, FEATURE_GONE))
		return false;
	return inode->nlink > 0 || stream_has(s, FEATURE_UNLINKED);
}

static void
check_stat(struct stream *s, const char *of, struct model_inode *inode, const struct stat *st)
{
	if (st->st_mode != inode->mode)
		stream_differ(s, "mode of %s: 0%o, expected 0%o", of, st->st_mode, inode->mode);
	if (stream_has(s, FEATURE_CHOWN)) {
		check_number(s, "owner", of, st->st_uid, inode->uid);
		check_number(s, "group", of, st->st_gid, inode->gid);
	}
	if (has_links_to_check(s, inode))
		check_number(s, "links", of, st->st_nlink, inode->nlink);
	if (!model_is_dir(inode))
		check_number(s, "size", of, (uint64_t)st->st_size, inode->size);
	check_ino(s, of, inode, st->st_ino);
	check_times(s, of, inode, st);
}

void
check_slot(struct stream *s, const struct stream_slot *slot)
{
	struct stat st;
	char of[16];

	if (!s->is_live)
		return;
	snprintf(of, sizeof(of), "slot %d", (int)(slot - s->slots));
	if (fstat(slot->fd, &st) < 0)
		stream_differ(s, "fstat of %s: %s", of, strerror(errno));
	check_stat(s, of, slot->inode, &st);
}

void
check_path(struct stream *s, const char *path)
{
	struct model_place place;
	struct stat st;
	int rc, want;

	want = model_find(&s->model, path, MODEL_NOFOLLOW, &place);
	if (!s->is_live)
		return;
	rc = fstatat(s->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	if (rc != want)
		stream_differ(s, "lstat of %s: %s, expected %s", path, strerror(-rc),
				strerror(-want));
	if (rc == 0)
		check_stat(s, path, place.inode, &st);
}

void
check_bytes(struct stream *s, const struct model_inode *inode, uint64_t off, const uint8_t *bytes,
		uint64_t len)
{
	uint64_t i, nb = 0, first = 0;

	if (!s->is_live || memcmp(inode->data + off, bytes, len) == 0)
		return;
	for (i = 0; i < len; i++) {
		if (bytes[i] == inode->data[off + i])
			continue;
		if (nb++ == 0)
			first = i;
	}
	stream_differ(s,
			"%llu of the %llu bytes from %llu differ, first at %llu: 0x%02x, expected 0x%02x "
			"(file of %llu bytes)",
			(unsigned long long)nb, (unsigned long long)len, (unsigned long long)off,
			(unsigned long long)(off + first), bytes[first], inode->data[off + first],
			(unsigned long long)inode->size);
}

static void
check_content(struct stream *s, int dir, const struct model_name *n)
{
	const int fd = openat(dir, n->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t off;
	ssize_t got;

	if (fd < 0)
		stream_differ(s, "cannot open %s: %s", n->name, strerror(errno));
	for (off = 0; (got = read(fd, s->bytes, STREAM_LEN_MAX)) > 0; off += (uint64_t)got) {
		if (off + (uint64_t)got > n->inode->size)
			break;
		check_bytes(s, n->inode, off, s->bytes, (uint64_t)got);
	}
	if (got < 0)
		stream_differ(s, "cannot read %s: %s", n->name, strerror(errno));
	check_number(s, "bytes read", n->name, off + (uint64_t)got, n->inode->size);
	close(fd);
}

static void
check_target(struct stream *s, int dir, const struct model_name *n)
{
	char got[MODEL_PATH_MAX];
	const ssize_t len = readlinkat(dir, n->name, got, sizeof(got));

	if (len < 0 || (uint64_t)len != n->inode->size ||
			memcmp(got, n->inode->target, (size_t)len) != 0)
		stream_differ(s, "target of %s", n->name);
}

/* The attributes that the stream sets: each there or not, by name and in the list. */
static void
check_xattrs(struct stream *s, int dir, const struct model_name *n)
{
	char path[512], list[4096];
	const char *at;
	uint32_t i, nb = 0, listed = 0;
	ssize_t len;

	if (!stream_has(s, FEATURE_XATTR))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, n->name);
	len = llistxattr(path, list, sizeof(list));
	if (len < 0)
		stream_differ(s, "llistxattr of %s: %s", n->name, strerror(errno));
	for (i = 0; i < MODEL_NB_XATTRS; i++) {
		nb += n->inode->xattrs[i].is_set;
		for (at = list; at < list + len; at += strlen(at) + 1)
			listed += strcmp(at, stream_xattr_name(i)) == 0;
	}
	check_number(s, "attributes listed", n->name, listed, nb);
	for (i = 0; i < MODEL_NB_XATTRS; i++) {
		if (!n->inode->xattrs[i].is_set)
			continue;
		len = lgetxattr(path, stream_xattr_name(i), s->bytes, STREAM_LEN_MAX);
		if (len != (ssize_t)n->inode->xattrs[i].len ||
				memcmp(s->bytes, n->inode->xattrs[i].value, (size_t)len) != 0)
			stream_differ(s, "%s of %s", stream_xattr_name(i), n->name);
	}
}

static void check_dir(struct stream *s, int parent, const char *name, struct model_inode *dir);

static void
check_name(struct stream *s, int dir, const struct model_name *n)
{
	struct stat st;

	if (fstatat(dir, n->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		stream_differ(s, "lstat of %s: %s", n->name, strerror(errno));
	check_stat(s, n->name, n->inode, &st);
	check_xattrs(s, dir, n);
	if (S_ISREG(n->inode->mode))
		check_content(s, dir, n);
	else if (S_ISLNK(n->inode->mode))
		check_target(s, dir, n);
	else if (model_is_dir(n->inode))
		check_dir(s, dir, n->name, n->inode);
	model_forget_time(n->inode, MODEL_ATIME);
}

static void
check_dir(struct stream *s, int parent, const char *name, struct model_inode *dir)
{
	const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct model_name *n;

	if (fd < 0)
		stream_differ(s, "cannot open directory %s: %s", name, strerror(errno));
	list_check(s, fd, dir);
	for (n = dir->names; n != NULL; n = n->next)
		check_name(s, fd, n);
	close(fd);
}

void
check_tree(struct stream *s)
{
	if (s->is_live)
		check_dir(s, s->root, ".", s->model.root);
}
