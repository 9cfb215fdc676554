/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Operations on what files contain. */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stream.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static int
number(const struct stream *s, const struct stream_slot *slot)
{
	return (int)(slot - s->slots);
}

static bool
is_direct(const struct stream_slot *slot)
{
	return (slot->flags & O_DIRECT) != 0;
}

static bool
may_read(const struct stream_slot *slot)
{
	return (slot->flags & O_ACCMODE) != O_WRONLY;
}

static bool
may_write(const struct stream_slot *slot)
{
	return (slot->flags & O_ACCMODE) != O_RDONLY;
}

/* Bytes that a read of len at off would give. */
static int64_t
readable(const struct stream_slot *slot, uint64_t off, uint64_t len)
{
	if (!may_read(slot))
		return -EBADF;
	return off >= slot->inode->size ? 0 : (int64_t)MIN(len, slot->inode->size - off);
}

/* Whole pages where the file is direct. */
static void
pick_range(struct stream *s, const struct stream_slot *slot, uint32_t *off, uint32_t *len)
{
	*off = pick_off(s);
	*len = pick_len(s);
	if (is_direct(slot)) {
		*off &= ~(STREAM_PAGE - 1);
		*len = (*len & ~(STREAM_PAGE - 1)) + STREAM_PAGE;
		*len = MIN(*len, STREAM_LEN_MAX);
	}
}

/* One buffer in up to three pieces. */
static int
pieces(struct stream *s, uint32_t len, bool is_one, struct iovec *vec)
{
	const uint32_t a = stream_below(s, len + 1), b = a + stream_below(s, len - a + 1);

	if (is_one || stream_once_in(s, 2)) {
		vec[0] = (struct iovec){ s->bytes, len };
		return 1;
	}
	vec[0] = (struct iovec){ s->bytes, a };
	vec[1] = (struct iovec){ s->bytes + a, b - a };
	vec[2] = (struct iovec){ s->bytes + b, len - b };
	return 3;
}

static void
did_read(struct stream *s, struct stream_slot *slot, uint64_t off, int64_t want)
{
	if (want < 0)
		return;
	model_forget_time(slot->inode, MODEL_ATIME);
	check_bytes(s, slot->inode, off, s->bytes, (uint64_t)want);
	check_slot(s, slot);
}

void
op_read(struct stream *s)
{
	struct stream_slot *slot = pick_file(s);
	const uint32_t len = pick_len(s);
	int64_t want;

	if (slot == NULL || is_direct(slot))
		return;
	stream_say(s, "read(slot %d, %u) at %llu", number(s, slot), len,
			(unsigned long long)slot->pos);
	want = readable(slot, slot->pos, len);
	stream_expect(s, STREAM_CALL(s, want, read(slot->fd, s->bytes, len)), want);
	did_read(s, slot, slot->pos, want);
	if (want > 0)
		slot->pos += (uint64_t)want;
}

void
op_pread(struct stream *s)
{
	struct stream_slot *slot = pick_file(s);
	struct iovec vec[3];
	uint32_t off, len;
	int64_t want;
	int nb;

	if (slot == NULL)
		return;
	pick_range(s, slot, &off, &len);
	nb = pieces(s, len, is_direct(slot), vec);
	stream_say(s, "preadv(slot %d, %u in %d, %u)", number(s, slot), len, nb, off);
	want = readable(slot, off, len);
	stream_expect(s, STREAM_CALL(s, want, preadv(slot->fd, vec, nb, off)), want);
	did_read(s, slot, off, want);
}

/* What a write would answer, and where it goes; the model has it then. */
static int64_t
write_model(struct stream *s, struct stream_slot *slot, uint64_t *off, uint32_t len)
{
	if (!may_write(slot))
		return -EBADF;
	if ((slot->flags & O_APPEND) != 0)
		*off = slot->inode->size;
	if (len > 0)
		model_write(slot->inode, *off, s->bytes, len);
	return len;
}

static bool
has_room(const struct stream_slot *slot, uint64_t off, uint32_t len)
{
	if ((slot->flags & O_APPEND) != 0)
		off = slot->inode->size;
	return off + len <= MODEL_FILE_MAX;
}

void
op_write(struct stream *s)
{
	struct stream_slot *slot = pick_file(s);
	const uint32_t len = pick_len(s);
	uint64_t off;
	int64_t want;

	if (slot == NULL || is_direct(slot) || !has_room(slot, slot->pos, len))
		return;
	pick_bytes(s, len);
	off = slot->pos;
	want = write_model(s, slot, &off, len);
	stream_say(s, "write(slot %d%s, %u) at %llu", number(s, slot),
			(slot->flags & O_APPEND) != 0 ? " appending" : "", len,
			(unsigned long long)off);
	stream_expect(s, STREAM_CALL(s, want, write(slot->fd, s->bytes, len)), want);
	if (want > 0)
		slot->pos = off + (uint64_t)want;
	check_slot(s, slot);
}

void
op_pwrite(struct stream *s)
{
	struct stream_slot *slot = pick_file(s);
	struct iovec vec[3];
	uint32_t place, len;
	uint64_t off;
	int64_t want;
	int nb;

	if (slot == NULL)
		return;
	pick_range(s, slot, &place, &len);
	if (!has_room(slot, place, len))
		return;
	nb = pieces(s, len, is_direct(slot), vec);
	pick_bytes(s, len);
	off = place;
	want = write_model(s, slot, &off, len);
	stream_say(s, "pwritev(slot %d%s%s, %u in %d, %llu)", number(s, slot),
			(slot->flags & O_APPEND) != 0 ? " appending" : "",
			is_direct(slot) ? " direct" : "", len, nb, (unsigned long long)off);
	stream_expect(s, STREAM_CALL(s, want, pwritev(slot->fd, vec, nb, place)), want);
	check_slot(s, slot);
}

void
op_seek(struct stream *s)
{
	struct stream_slot *slot = pick_file(s);
	const uint32_t off = pick_off(s);

	if (slot == NULL)
		return;
	if (stream_once_in(s, 3)) {
		stream_say(s, "lseek(slot %d, 0, SEEK_END)", number(s, slot));
		slot->pos = slot->inode->size;
		stream_expect(s, STREAM_CALL(s, (int64_t)slot->pos, lseek(slot->fd, 0, SEEK_END)),
				(int64_t)slot->pos);
		if (slot->pos > STREAM_OFF_MAX)
			slot->pos = 0;
	} else {
		slot->pos = off;
	}
	stream_say(s, "lseek(slot %d, %llu, SEEK_SET)", number(s, slot),
			(unsigned long long)slot->pos);
	stream_expect(s,
			STREAM_CALL(s, (int64_t)slot->pos,
					lseek(slot->fd, (off_t)slot->pos, SEEK_SET)),
			(int64_t)slot->pos);
}

static bool
is_zero(const struct model_inode *inode, uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		if (inode->data[from] != 0)
			return false;
	return true;
}

/*
 * Where holes are is the file system's to say. But data is nowhere left out, a hole is zeroes, and
 * the end of the file is one.
 */
static void
check_hole(struct stream *s, const struct model_inode *inode, uint64_t off, int whence, int64_t got)
{
	const uint64_t size = inode->size;
	bool is_right;

	if (off >= size)
		is_right = got == -ENXIO;
	else if (whence == SEEK_DATA && got == -ENXIO)
		is_right = is_zero(inode, off, size);
	else if (whence == SEEK_DATA)
		is_right = got >= (int64_t)off && got < (int64_t)size &&
				is_zero(inode, off, (uint64_t)got);
	else
		is_right = got >= (int64_t)off && got <= (int64_t)size &&
				(got == (int64_t)size || inode->data[got] == 0);
	if (!is_right)
		stream_differ(s, "%lld, the file has %llu bytes", (long long)got,
				(unsigned long long)size);
}

void
op_seek_data(struct stream *s)
{
	struct stream_slot *slot = pick_file(s);
	const int whence = stream_once_in(s, 2) ? SEEK_DATA : SEEK_HOLE;
	const uint32_t off = pick_off(s);

	if (slot == NULL)
		return;
	stream_say(s, "lseek(slot %d, %u, %s)", number(s, slot), off,
			whence == SEEK_DATA ? "SEEK_DATA" : "SEEK_HOLE");
	if (!s->is_live)
		return;
	check_hole(s, slot->inode, off, whence, stream_result(lseek(slot->fd, off, whence)));
	stream_expect(s, stream_result(lseek(slot->fd, (off_t)slot->pos, SEEK_SET)),
			(int64_t)slot->pos);
}

void
op_truncate(struct stream *s)
{
	const uint32_t size = pick_off(s);
	struct model_place place;
	char path[MODEL_PATH_MAX];
	int want;

	pick_path(s, path);
	stream_say(s, "truncate(\"%s\", %u)", path, size);
	want = model_find(&s->model, path, MODEL_FOLLOW, &place);
	if (want == 0 && model_is_dir(place.inode))
		want = -EISDIR;
	else if (want == 0 && !S_ISREG(place.inode->mode))
		want = -EINVAL;
	if (want == 0)
		model_truncate(place.inode, size);
	if (s->is_live) {
		snprintf((char *)s->bytes, STREAM_LEN_MAX, "/proc/self/fd/%d/%s", s->root, path);
		stream_expect(s, stream_result(truncate((const char *)s->bytes, size)), want);
	}
	check_path(s, path);
}

void
op_ftruncate(struct stream *s)
{
	struct stream_slot *slot = pick_file(s);
	const uint32_t size = pick_off(s);
	int want;

	if (slot == NULL)
		return;
	stream_say(s, "ftruncate(slot %d, %u)", number(s, slot), size);
	want = may_write(slot) ? 0 : -EINVAL;
	if (want == 0)
		model_truncate(slot->inode, size);
	stream_expect(s, STREAM_CALL(s, want, ftruncate(slot->fd, size)), want);
	check_slot(s, slot);
}

static int
fallocate_model(struct stream_slot *slot, int mode, uint64_t off, uint64_t len)
{
	struct model_inode *inode = slot->inode;

	if (len == 0)
		return -EINVAL;
	if (!may_write(slot))
		return -EBADF;
	if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0)
		model_zero(inode, off, len);
	if ((mode & FALLOC_FL_KEEP_SIZE) == 0 && off + len > inode->size)
		inode->size = off + len;
	model_changed(inode);
	return 0;
}

void
op_fallocate(struct stream *s)
{
	static const struct {
		int mode;
		enum stream_feature feature;
		const char *name;
	} kinds[] = {
		{ 0, FEATURE_FALLOCATE, "0" },
		{ FALLOC_FL_KEEP_SIZE, FEATURE_KEEP_SIZE, "KEEP_SIZE" },
		{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FEATURE_PUNCH_HOLE, "PUNCH_HOLE" },
		{ FALLOC_FL_ZERO_RANGE, FEATURE_ZERO_RANGE, "ZERO_RANGE" },
		{ FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, FEATURE_ZERO_RANGE,
				"ZERO_RANGE | KEEP_SIZE" },
	};
	const uint32_t k = stream_below(s, 5), off = pick_off(s), len = pick_len(s);
	struct stream_slot *slot = pick_file(s);
	int want;

	if (slot == NULL || !stream_has(s, kinds[k].feature))
		return;
	stream_say(s, "fallocate(slot %d, %s, %u, %u)", number(s, slot), kinds[k].name, off, len);
	want = fallocate_model(slot, kinds[k].mode, off, len);
	stream_expect(s, STREAM_CALL(s, want, fallocate(slot->fd, kinds[k].mode, off, len)), want);
	check_slot(s, slot);
}

/* How much can be copied: fewer bytes may be, but not none. */
static int64_t
copy_model(struct stream_slot *from, uint64_t in, struct stream_slot *to, uint64_t out,
		uint64_t len)
{
	int64_t n = readable(from, in, len);

	if (n < 0 || !may_write(to) || (to->flags & O_APPEND) != 0)
		return -EBADF;
	if (from->inode == to->inode && out + (uint64_t)n > in && out < in + (uint64_t)n)
		return -EINVAL;
	return n;
}

void
op_copy_range(struct stream *s)
{
	struct stream_slot *from = pick_file(s), *to = pick_file(s);
	const uint32_t in = pick_off(s), out = pick_off(s), len = pick_len(s);
	int64_t want, got;
	off_t at_in = in, at_out = out;

	if (from == NULL || is_direct(from) || is_direct(to))
		return;
	stream_say(s, "copy_file_range(slot %d, %u, slot %d, %u, %u)", number(s, from), in,
			number(s, to), out, len);
	want = copy_model(from, in, to, out, len);
	got = STREAM_CALL(s, want, copy_file_range(from->fd, &at_in, to->fd, &at_out, len, 0));
	if (want <= 0 || got <= 0 || got > want)
		stream_expect(s, got, want);
	if (got <= 0)
		return;
	memcpy(s->bytes, from->inode->data + in, (size_t)got);
	model_forget_time(from->inode, MODEL_ATIME);
	model_write(to->inode, out, s->bytes, (uint64_t)got);
	check_slot(s, from);
	check_slot(s, to);
}

static void
map_live(struct stream *s, struct stream_slot *slot, uint64_t off, uint64_t len, int prot,
		bool is_synced)
{
	const uint64_t start = off & ~(uint64_t)(STREAM_PAGE - 1), bytes = off + len - start;
	uint8_t *map;

	map = mmap(NULL, bytes, prot, MAP_SHARED, slot->fd, (off_t)start);
	if (map == MAP_FAILED)
		stream_differ(s, "mmap: %s", strerror(errno));
	if ((prot & PROT_WRITE) != 0) {
		memcpy(map + (off - start), s->bytes, len);
		if (is_synced && msync(map, bytes, MS_SYNC) < 0)
			stream_differ(s, "msync: %s", strerror(errno));
	}
	/* All of it: the model has what was just written. */
	check_bytes(s, slot->inode, start, map, bytes);
	munmap(map, bytes);
}

void
op_map(struct stream *s)
{
	const bool is_write = stream_once_in(s, 2), is_synced = stream_once_in(s, 2);
	struct stream_slot *slot = pick_file(s);
	uint64_t off = pick_off(s), len = pick_len(s);

	if (slot == NULL || !may_read(slot) || slot->inode->size == 0)
		return;
	off %= slot->inode->size;
	len = MIN(len + 1, slot->inode->size - off);
	len = MIN(len, STREAM_LEN_MAX);
	stream_say(s, "mmap(slot %d, %s, %llu, %llu)", number(s, slot),
			!is_write                 ? "read" :
					is_synced ? "write, msync" :
						    "write",
			(unsigned long long)off, (unsigned long long)len);
	if (is_write) {
		if (!may_write(slot) || !stream_has(s, FEATURE_SHARED_MMAP))
			return;
		pick_bytes(s, (uint32_t)len);
		model_write(slot->inode, off, s->bytes, len);
		slot->inode->is_mapped = slot->inode->is_mapped || !is_synced;
	}
	model_forget_time(slot->inode, MODEL_ATIME);
	if (s->is_live)
		map_live(s, slot, off, len, PROT_READ | (is_write ? PROT_WRITE : 0), is_synced);
	check_slot(s, slot);
}
