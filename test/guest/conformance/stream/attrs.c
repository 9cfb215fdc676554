/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Operations on attributes, extended ones too. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "stream.h"

/* Calls that know no *at form take the path through the root's descriptor. */
static const char *
full(const struct stream *s, const char *path, char *buf)
{
	snprintf(buf, 2 * MODEL_PATH_MAX, "/proc/self/fd/%d/%s", s->root, path);
	return buf;
}

void
op_stat(struct stream *s)
{
	char path[MODEL_PATH_MAX];

	pick_path(s, path);
	stream_say(s, "lstat(\"%s\")", path);
	check_path(s, path);
}

void
op_readlink(struct stream *s)
{
	char path[MODEL_PATH_MAX], got[MODEL_PATH_MAX];
	const uint32_t room = stream_once_in(s, 4) ? 3 : sizeof(got);
	struct model_place place;
	int64_t want;

	pick_path(s, path);
	stream_say(s, "readlink(\"%s\", %u)", path, room);
	want = model_find(&s->model, path, MODEL_NOFOLLOW, &place);
	if (want == 0 && !S_ISLNK(place.inode->mode))
		want = -EINVAL;
	else if (want == 0)
		want = (int64_t)strnlen(place.inode->target, room);
	stream_expect(s, STREAM_CALL(s, want, readlinkat(s->root, path, got, room)), want);
	if (want < 0)
		return;
	model_forget_time(place.inode, MODEL_ATIME);
	if (s->is_live && memcmp(got, place.inode->target, (size_t)want) != 0)
		stream_differ(s, "another target: %.*s", (int)want, got);
}

/* By slot or by path; then it is what the path leads to, or what is there without following. */
struct target {
	struct stream_slot *slot;
	char path[MODEL_PATH_MAX];
	struct model_inode *inode;
	int want;
};

static void
pick_target(struct stream *s, struct target *t, enum model_follow follow)
{
	struct model_place place;

	*t = (struct target){ .slot = stream_once_in(s, 3) ? pick_alive(s) : NULL };
	if (t->slot != NULL) {
		t->inode = t->slot->inode;
		snprintf(t->path, sizeof(t->path), "slot %d", (int)(t->slot - s->slots));
		return;
	}
	pick_path(s, t->path);
	t->want = model_find(&s->model, t->path, follow, &place);
	t->inode = t->want == 0 ? place.inode : NULL;
}

static void
check_target(struct stream *s, const struct target *t)
{
	if (t->slot != NULL)
		check_slot(s, t->slot);
	else
		check_path(s, t->path);
}

void
op_chmod(struct stream *s)
{
	const uint32_t mode = pick_dir_mode(s);
	struct target t;

	pick_target(s, &t, MODEL_FOLLOW);
	stream_say(s, "chmod(%s, 0%o)", t.path, mode);
	if (t.want == 0) {
		t.inode->mode = (t.inode->mode & S_IFMT) | mode;
		model_forget_time(t.inode, MODEL_CTIME);
	}
	stream_expect(s,
			STREAM_CALL(s, t.want,
					t.slot != NULL ? fchmod(t.slot->fd, mode) :
							 fchmodat(s->root, t.path, mode, 0)),
			t.want);
	check_target(s, &t);
}

/* Set-id bits fall whoever does it, but for the set-group-id bit that means locking. */
static void
chown_model(struct model_inode *inode, uint32_t uid, uint32_t gid)
{
	if (uid != UINT32_MAX)
		inode->uid = uid;
	if (gid != UINT32_MAX)
		inode->gid = gid;
	if (!model_is_dir(inode)) {
		inode->mode &= ~(uint32_t)S_ISUID;
		if ((inode->mode & S_IXGRP) != 0)
			inode->mode &= ~(uint32_t)S_ISGID;
	}
	model_forget_time(inode, MODEL_CTIME);
}

void
op_chown(struct stream *s)
{
	const uint32_t uid = stream_once_in(s, 3) ? UINT32_MAX : stream_below(s, 5) * 1000;
	const uint32_t gid = uid != UINT32_MAX && stream_once_in(s, 3) ? UINT32_MAX :
									 stream_below(s, 5) * 1000;
	const bool is_l = stream_once_in(s, 2);
	struct target t;

	pick_target(s, &t, is_l ? MODEL_NOFOLLOW : MODEL_FOLLOW);
	stream_say(s, "%schown(%s, %d, %d)", is_l ? "l" : "", t.path, (int)uid, (int)gid);
	if (t.want == 0)
		chown_model(t.inode, uid, gid);
	stream_expect(s,
			STREAM_CALL(s, t.want,
					t.slot != NULL ?
							fchown(t.slot->fd, uid, gid) :
							fchownat(s->root, t.path, uid, gid,
									is_l ? AT_SYMLINK_NOFOLLOW :
									       0)),
			t.want);
	check_target(s, &t);
}

static void
pick_time(struct stream *s, struct timespec *t)
{
	*t = (struct timespec){ .tv_sec = (time_t)(stream_random(s) >> 33),
		.tv_nsec = stream_below(s, 1000000000) };
	if (stream_once_in(s, 4))
		t->tv_nsec = UTIME_OMIT;
	else if (stream_once_in(s, 6))
		t->tv_nsec = UTIME_NOW;
}

static void
utimens_model(struct model_inode *inode, const struct timespec times[2])
{
	int i;

	for (i = MODEL_ATIME; i <= MODEL_MTIME; i++) {
		if (times[i].tv_nsec == UTIME_OMIT)
			continue;
		inode->is_known[i] = times[i].tv_nsec != UTIME_NOW && !inode->is_mapped;
		inode->times[i] = times[i];
	}
	model_forget_time(inode, MODEL_CTIME);
}

void
op_utimens(struct stream *s)
{
	const int flags = stream_has(s, FEATURE_SYMLINK_TIMES) && stream_once_in(s, 2) ?
			AT_SYMLINK_NOFOLLOW :
			0;
	struct timespec times[2];
	struct target t;

	pick_time(s, &times[0]);
	pick_time(s, &times[1]);
	/* Neither: Linux looks at nothing then. */
	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		times[0].tv_nsec = 1;
	pick_target(s, &t, flags != 0 ? MODEL_NOFOLLOW : MODEL_FOLLOW);
	stream_say(s, "utimensat(%s, %lld.%09lld, %lld.%09lld%s)", t.path,
			(long long)times[0].tv_sec, (long long)times[0].tv_nsec,
			(long long)times[1].tv_sec, (long long)times[1].tv_nsec,
			flags != 0 ? ", NOFOLLOW" : "");
	if (t.want == 0)
		utimens_model(t.inode, times);
	stream_expect(s,
			STREAM_CALL(s, t.want,
					t.slot != NULL ? futimens(t.slot->fd, times) :
							 utimensat(s->root, t.path, times, flags)),
			t.want);
	check_target(s, &t);
}

const char *
stream_xattr_name(uint32_t n)
{
	static const char *const names[MODEL_NB_XATTRS] = { "user.a", "user.weir", "user.long name",
		"trusted.t" };

	return names[n];
}

static uint32_t
pick_xattr(struct stream *s)
{
	return stream_below(
			s, stream_has(s, FEATURE_TRUSTED) ? MODEL_NB_XATTRS : MODEL_NB_XATTRS - 1);
}

/* User attributes are for files and directories. */
static bool
is_refused(const struct model_inode *inode, uint32_t n)
{
	return !S_ISREG(inode->mode) && !model_is_dir(inode) &&
			strncmp(stream_xattr_name(n), "user.", 5) == 0;
}

static int
set_xattr_model(struct stream *s, struct target *t, uint32_t n, uint32_t len, int flags)
{
	struct model_xattr *x;

	if (t->want < 0)
		return t->want;
	x = &t->inode->xattrs[n];
	if (is_refused(t->inode, n))
		return -EPERM;
	if (flags == XATTR_CREATE && x->is_set)
		return -EEXIST;
	if (flags == XATTR_REPLACE && !x->is_set)
		return -ENODATA;
	x->is_set = true;
	x->len = len;
	memcpy(x->value, s->bytes, len);
	model_forget_time(t->inode, MODEL_CTIME);
	return 0;
}

void
op_set_xattr(struct stream *s)
{
	const uint32_t n = pick_xattr(s), len = stream_below(s, MODEL_XATTR_MAX);
	const int flags = (int)stream_below(s, 3);
	char buf[2 * MODEL_PATH_MAX];
	struct target t;
	int want;

	pick_target(s, &t, MODEL_NOFOLLOW);
	pick_bytes(s, len);
	stream_say(s, "lsetxattr(%s, %s, %u bytes, %d)", t.path, stream_xattr_name(n), len, flags);
	want = set_xattr_model(s, &t, n, len, flags);
	stream_expect(s,
			STREAM_CALL(s, want,
					t.slot != NULL ? fsetxattr(t.slot->fd, stream_xattr_name(n),
									 s->bytes, len, flags) :
							 lsetxattr(full(s, t.path, buf),
									 stream_xattr_name(n),
									 s->bytes, len, flags)),
			want);
	check_target(s, &t);
}

void
op_get_xattr(struct stream *s)
{
	const uint32_t n = pick_xattr(s);
	const uint32_t room = stream_once_in(s, 3) ? stream_below(s, MODEL_XATTR_MAX) :
						     2 * MODEL_XATTR_MAX;
	const struct model_xattr *x = NULL;
	char buf[2 * MODEL_PATH_MAX];
	struct target t;
	int64_t want;

	pick_target(s, &t, MODEL_NOFOLLOW);
	stream_say(s, "lgetxattr(%s, %s, %u)", t.path, stream_xattr_name(n), room);
	want = t.want;
	if (want == 0) {
		x = &t.inode->xattrs[n];
		want = !x->is_set                          ? -ENODATA :
				room != 0 && x->len > room ? -ERANGE :
							     (int64_t)x->len;
	}
	stream_expect(s,
			STREAM_CALL(s, want,
					t.slot != NULL ? fgetxattr(t.slot->fd, stream_xattr_name(n),
									 s->bytes, room) :
							 lgetxattr(full(s, t.path, buf),
									 stream_xattr_name(n),
									 s->bytes, room)),
			want);
	if (s->is_live && want > 0 && room != 0 && memcmp(x->value, s->bytes, x->len) != 0)
		stream_differ(s, "another value");
}

void
op_remove_xattr(struct stream *s)
{
	const uint32_t n = pick_xattr(s);
	char buf[2 * MODEL_PATH_MAX];
	struct target t;
	int want;

	pick_target(s, &t, MODEL_NOFOLLOW);
	stream_say(s, "lremovexattr(%s, %s)", t.path, stream_xattr_name(n));
	want = t.want;
	if (want == 0 && is_refused(t.inode, n))
		want = -EPERM;
	else if (want == 0 && !t.inode->xattrs[n].is_set)
		want = -ENODATA;
	if (want == 0) {
		t.inode->xattrs[n].is_set = false;
		model_forget_time(t.inode, MODEL_CTIME);
	}
	stream_expect(s,
			STREAM_CALL(s, want,
					t.slot != NULL ? fremovexattr(t.slot->fd,
									 stream_xattr_name(n)) :
							 lremovexattr(full(s, t.path, buf),
									 stream_xattr_name(n))),
			want);
	check_target(s, &t);
}
