/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Operations on names. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream.h"

/* Makes what a path names, unless it is there; NULL in *made then. */
static int
make(struct stream *s, const char *path, uint32_t mode, struct model_inode **made)
{
	struct model_place place;
	int rc = model_walk(&s->model, path, MODEL_NOFOLLOW, &place);

	*made = NULL;
	if (rc < 0)
		return rc;
	if (place.inode != NULL)
		return -EEXIST;
	*made = model_make(&s->model, place.dir, mode);
	model_enter(&place, *made);
	return 0;
}

void
op_mkdir(struct stream *s)
{
	const uint32_t mode = pick_dir_mode(s) & 01777;
	struct model_inode *made;
	char path[MODEL_PATH_MAX];
	int want;

	pick_new(s, path);
	stream_say(s, "mkdir(\"%s\", %o)", path, mode);
	want = make(s, path, S_IFDIR | mode, &made);
	stream_expect(s, STREAM_CALL(s, want, mkdirat(s->root, path, mode)), want);
	check_path(s, path);
}

void
op_fifo(struct stream *s)
{
	const uint32_t mode = stream_below(s, 01000);
	struct model_inode *made;
	char path[MODEL_PATH_MAX];
	int want;

	pick_new(s, path);
	stream_say(s, "mkfifo(\"%s\", %o)", path, mode);
	want = make(s, path, S_IFIFO | mode, &made);
	stream_expect(s, STREAM_CALL(s, want, mkfifoat(s->root, path, mode)), want);
	check_path(s, path);
}

/* Targets are names beside the link, or below; some lead nowhere, some in circles. */
void
op_symlink(struct stream *s)
{
	char path[MODEL_PATH_MAX], target[MODEL_PATH_MAX];
	struct model_inode *made;
	const char *beside;
	int want;

	pick_new(s, path);
	pick_path(s, target);
	beside = stream_once_in(s, 2) ? strrchr(target, '/') : NULL;
	beside = beside == NULL ? target : beside + 1;
	stream_say(s, "symlink(\"%s\", \"%s\")", beside, path);
	want = make(s, path, S_IFLNK | 0777, &made);
	if (made != NULL) {
		made->target = strdup(beside);
		made->size = strlen(beside);
	}
	stream_expect(s, STREAM_CALL(s, want, symlinkat(beside, s->root, path)), want);
	check_path(s, path);
}

static int
link_model(struct stream *s, const char *from, const char *to)
{
	struct model_place old, new;
	int rc = model_find(&s->model, from, MODEL_NOFOLLOW, &old);

	if (rc == 0)
		rc = model_walk(&s->model, to, MODEL_NOFOLLOW, &new);
	if (rc < 0)
		return rc;
	if (new.inode != NULL)
		return -EEXIST;
	if (model_is_dir(old.inode))
		return -EPERM;
	model_enter(&new, old.inode);
	return 0;
}

void
op_link(struct stream *s)
{
	char from[MODEL_PATH_MAX], to[MODEL_PATH_MAX];
	int want;

	pick_path(s, from);
	pick_new(s, to);
	stream_say(s, "link(\"%s\", \"%s\")", from, to);
	want = link_model(s, from, to);
	stream_expect(s, STREAM_CALL(s, want, linkat(s->root, from, s->root, to, 0)), want);
	check_path(s, from);
	check_path(s, to);
}

void
op_unlink(struct stream *s)
{
	struct model_place place;
	char path[MODEL_PATH_MAX];
	int want;

	pick_path(s, path);
	stream_say(s, "unlink(\"%s\")", path);
	want = model_find(&s->model, path, MODEL_NOFOLLOW, &place);
	if (want == 0 && model_is_dir(place.inode))
		want = -EISDIR;
	if (want == 0)
		model_remove(&s->model, &place);
	stream_expect(s, STREAM_CALL(s, want, unlinkat(s->root, path, 0)), want);
	check_path(s, path);
}

/* A directory that the mount may not take for empty. */
static bool
is_doubtful(struct stream *s, const char *path)
{
	struct model_place place;

	return !stream_has(s, FEATURE_GONE) &&
			model_find(&s->model, path, MODEL_NOFOLLOW, &place) == 0 &&
			model_is_dir(place.inode) && place.inode->has_lost;
}

void
op_rmdir(struct stream *s)
{
	struct model_place place;
	struct model_inode *dir;
	char path[MODEL_PATH_MAX];
	int want;

	if (stream_once_in(s, 4))
		pick_path(s, path);
	else
		pick_dir(s, path, &dir);
	if (strcmp(path, ".") == 0 || is_doubtful(s, path)) {
		stream_say(s, "rmdir(\"%s\"): left out", path);
		return;
	}
	stream_say(s, "rmdir(\"%s\")", path);
	want = model_find(&s->model, path, MODEL_NOFOLLOW, &place);
	if (want == 0 && !model_is_dir(place.inode))
		want = -ENOTDIR;
	if (want == 0 && !model_is_empty(place.inode))
		want = -ENOTEMPTY;
	if (want == 0)
		model_remove(&s->model, &place);
	stream_expect(s, STREAM_CALL(s, want, unlinkat(s->root, path, AT_REMOVEDIR)), want);
	check_path(s, path);
}

void
op_rename(struct stream *s)
{
	char from[MODEL_PATH_MAX], to[MODEL_PATH_MAX];
	unsigned int flags = 0;
	int want;

	pick_path(s, from);
	if (stream_once_in(s, 2))
		pick_path(s, to);
	else
		pick_new(s, to);
	if (stream_has(s, FEATURE_EXCHANGE) && stream_once_in(s, 4))
		flags = RENAME_EXCHANGE;
	else if (stream_has(s, FEATURE_NOREPLACE) && stream_once_in(s, 4))
		flags = RENAME_NOREPLACE;
	stream_say(s, "renameat2(\"%s\", \"%s\", %u)", from, to, flags);
	if (is_doubtful(s, to))
		return;
	want = model_rename(&s->model, from, to, flags);
	stream_expect(s, STREAM_CALL(s, want, renameat2(s->root, from, s->root, to, flags)), want);
	check_path(s, from);
	check_path(s, to);
}
