/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Operations that open, close and make durable. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream.h"

static uint32_t
pick_flags(struct stream *s)
{
	static const uint32_t modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR };
	uint32_t flags = modes[stream_below(s, 4)];

	if (stream_once_in(s, 2))
		flags |= O_CREAT | (stream_once_in(s, 5) ? O_EXCL : 0);
	else if (stream_once_in(s, 12))
		flags = O_RDONLY | O_DIRECTORY;
	if ((flags & O_ACCMODE) != O_RDONLY && stream_once_in(s, 6))
		flags |= O_TRUNC;
	if (stream_once_in(s, 5))
		flags |= O_APPEND;
	else if (stream_has(s, FEATURE_DIRECT) && stream_once_in(s, 6))
		flags |= O_DIRECT;
	if ((flags & O_DIRECTORY) == 0 && stream_once_in(s, 16))
		flags |= O_NOFOLLOW;
	if (stream_once_in(s, 16))
		flags |= O_SYNC;
	return flags;
}

/* What opening would say of what is there. */
static int
refuse(const struct model_inode *inode, uint32_t flags)
{
	if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0)
		return -EEXIST;
	if (model_is_dir(inode))
		return (flags & O_CREAT) != 0 || (flags & O_ACCMODE) != O_RDONLY ? -EISDIR : 0;
	if ((flags & O_DIRECTORY) != 0)
		return -ENOTDIR;
	return S_ISLNK(inode->mode) ? -ELOOP : 0;
}

static int
open_model(struct stream *s, const char *path, uint32_t flags, uint32_t mode,
		struct model_inode **opened)
{
	const bool is_new = (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0;
	struct model_place place;
	int rc;

	rc = model_walk(&s->model, path,
			is_new || (flags & O_NOFOLLOW) != 0 ? MODEL_NOFOLLOW : MODEL_FOLLOW,
			&place);
	if (rc < 0)
		return rc;
	if (place.inode == NULL) {
		if ((flags & O_CREAT) == 0)
			return -ENOENT;
		model_enter(&place, model_make(&s->model, place.dir, S_IFREG | mode));
	} else {
		rc = refuse(place.inode, flags);
		if (rc < 0)
			return rc;
		if ((flags & O_TRUNC) != 0)
			model_truncate(place.inode, 0);
	}
	*opened = place.inode;
	return 0;
}

static void
slot_set(struct stream_slot *slot, struct model_inode *inode, uint32_t flags, int64_t fd)
{
	*slot = (struct stream_slot){ .fd = (int)fd, .inode = inode, .flags = flags };
	inode->nb_open++;
}

/* Opening these waits for somebody at the other end, or says what only some file systems say. */
static bool
is_left_out(struct stream *s, const char *path, uint32_t flags)
{
	struct model_place place;

	if (model_find(&s->model, path, MODEL_FOLLOW, &place) < 0)
		return false;
	return S_ISFIFO(place.inode->mode) ||
			((flags & O_DIRECT) != 0 && model_is_dir(place.inode));
}

void
op_open(struct stream *s)
{
	struct stream_slot *slot = pick_free(s);
	const uint32_t flags = pick_flags(s), mode = 0600 | stream_below(s, 010000);
	struct model_inode *inode = NULL;
	char path[MODEL_PATH_MAX];
	int64_t got;
	int want;

	if (stream_once_in(s, 2))
		pick_path(s, path);
	else
		pick_new(s, path);
	if (is_left_out(s, path, flags)) {
		stream_say(s, "open(\"%s\", %o): left out", path, flags);
		return;
	}
	want = open_model(s, path, flags, mode, &inode);
	stream_say(s, "slot %d = open(\"%s\", 0%o, 0%o)", (int)(slot - s->slots), path, flags,
			mode);
	got = STREAM_CALL(s, want, openat(s->root, path, (int)flags | O_CLOEXEC, mode));
	stream_expect(s, got < 0 ? got : 0, want);
	if (want == 0) {
		slot_set(slot, inode, flags, s->is_live ? got : -1);
		check_slot(s, slot);
	}
	check_path(s, path);
}

void
stream_close(struct stream *s, struct stream_slot *slot)
{
	struct model_inode *inode = slot->inode;

	if (s->is_live && close(slot->fd) < 0)
		stream_differ(s, "close of slot %d: %s", (int)(slot - s->slots), strerror(errno));
	slot->inode = NULL;
	slot->fd = -1;
	inode->nb_open--;
	model_put(&s->model, inode);
}

void
op_close(struct stream *s)
{
	struct stream_slot *slot = pick_slot(s);

	if (slot == NULL)
		return;
	stream_say(s, "close(slot %d)", (int)(slot - s->slots));
	stream_close(s, slot);
}

void
op_tmpfile(struct stream *s)
{
	const uint32_t mode = 0600 | stream_below(s, 01000);
	struct stream_slot *slot = pick_free(s);
	struct model_inode *dir, *inode;
	char path[MODEL_PATH_MAX];
	int64_t got;

	pick_dir(s, path, &dir);
	stream_say(s, "slot %d = open(\"%s\", O_TMPFILE | O_RDWR, 0%o)", (int)(slot - s->slots),
			path, mode);
	inode = model_make(&s->model, dir, S_IFREG | mode);
	got = STREAM_CALL(s, 0, openat(s->root, path, O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
	stream_expect(s, got < 0 ? got : 0, 0);
	slot_set(slot, inode, O_RDWR, s->is_live ? got : -1);
	slot->is_tmpfile = true;
	check_slot(s, slot);
}

/* A file without a name gets one if it was made without one; a removed one never again. */
void
op_name_tmpfile(struct stream *s)
{
	struct stream_slot *slot = pick_file(s);
	struct model_place place;
	char path[MODEL_PATH_MAX], proc[32];
	int want;

	if (slot == NULL)
		return;
	pick_new(s, path);
	stream_say(s, "linkat(slot %d, \"%s\")", (int)(slot - s->slots), path);
	want = model_walk(&s->model, path, MODEL_NOFOLLOW, &place);
	if (want == 0 && place.inode != NULL)
		want = -EEXIST;
	if (want == 0 && slot->inode->nlink == 0 && !slot->is_tmpfile)
		want = -ENOENT;
	if (want == 0) {
		model_enter(&place, slot->inode);
		slot->is_tmpfile = false;
	}
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", slot->fd);
	stream_expect(s,
			STREAM_CALL(s, want,
					linkat(AT_FDCWD, proc, s->root, path, AT_SYMLINK_FOLLOW)),
			want);
	check_slot(s, slot);
	check_path(s, path);
}

void
op_sync(struct stream *s)
{
	struct stream_slot *slot = pick_alive(s);
	const uint32_t kind = stream_below(s, 8);

	if (slot == NULL)
		return;
	stream_say(s, "%s(slot %d)",
			kind == 0                ? "syncfs" :
					kind < 4 ? "fdatasync" :
						   "fsync",
			(int)(slot - s->slots));
	stream_expect(s,
			STREAM_CALL(s, 0,
					kind == 0                ? syncfs(slot->fd) :
							kind < 4 ? fdatasync(slot->fd) :
								   fsync(slot->fd)),
			0);
	slot->inode->is_mapped = false;
	check_slot(s, slot);
}

/* What is known of names and attributes, or the pages too, is asked for anew. */
void
op_drop_caches(struct stream *s)
{
	const char what = stream_once_in(s, 2) ? '2' : '3';
	int fd;

	stream_say(s, "drop_caches %c", what);
	if (!s->is_live)
		return;
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, &what, 1) != 1)
		stream_differ(s, "drop_caches: %s", strerror(errno));
	close(fd);
}
