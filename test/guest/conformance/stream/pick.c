/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What an operation is done to. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "stream.h"

#define NB_NAMES 40

/* splitmix64 */
uint64_t
stream_random(struct stream *s)
{
	uint64_t z = s->rng += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint32_t
stream_below(struct stream *s, uint32_t bound)
{
	return (uint32_t)(stream_random(s) >> 32) % bound;
}

bool
stream_once_in(struct stream *s, uint32_t n)
{
	return stream_below(s, n) == 0;
}

/* Short ones, one as long as can be, one that is not text. */
static void
any_name(struct stream *s, char *name)
{
	const uint32_t n = stream_below(s, NB_NAMES);

	if (n == 0) {
		memset(name, 'L', 255);
		name[255] = '\0';
	} else if (n == 1) {
		strncpy(name, "\xff\xfe \n*", 256);
	} else {
		snprintf(name, 256, "n%u", n);
	}
}

/* Appends a component unless the path gets too long. */
static void
append(char *path, const char *name)
{
	const size_t len = strlen(path);

	if (len == 0)
		snprintf(path, MODEL_PATH_MAX, "%s", name);
	else if (len + strlen(name) + 2 < MODEL_PATH_MAX)
		snprintf(path + len, MODEL_PATH_MAX - len, "/%s", name);
}

static const struct model_name *
nth_name(const struct model_inode *dir, uint32_t n)
{
	const struct model_name *at = dir->names;

	while (n-- > 0)
		at = at->next;
	return at;
}

/* Descends at random; path is empty for the root. */
static struct model_inode *
descend(struct stream *s, char *path)
{
	struct model_inode *dir = s->model.root;
	const struct model_name *n;
	uint32_t nb;

	path[0] = '\0';
	while ((nb = model_nb_names(dir)) > 0 && strlen(path) < 2000 && !stream_once_in(s, 3)) {
		n = nth_name(dir, stream_below(s, nb));
		if (!model_is_dir(n->inode))
			continue;
		append(path, n->name);
		dir = n->inode;
	}
	return dir;
}

void
pick_dir(struct stream *s, char *path, struct model_inode **dir)
{
	*dir = descend(s, path);
	if (path[0] == '\0')
		append(path, ".");
}

void
pick_new(struct stream *s, char *path)
{
	char name[256];

	descend(s, path);
	any_name(s, name);
	append(path, name);
}

void
pick_path(struct stream *s, char *path)
{
	const struct model_inode *dir = descend(s, path);
	const uint32_t nb = model_nb_names(dir);
	char name[256];

	if (nb > 0 && !stream_once_in(s, 10)) {
		append(path, nth_name(dir, stream_below(s, nb))->name);
	} else {
		any_name(s, name);
		append(path, name);
	}
	/* Through a link, a file, or nothing. */
	if (stream_once_in(s, 20)) {
		any_name(s, name);
		append(path, name);
	}
}

static struct stream_slot *
slot_from(struct stream *s, bool (*suits)(const struct stream_slot *))
{
	const uint32_t start = stream_below(s, STREAM_SLOTS);
	struct stream_slot *slot;
	uint32_t i;

	for (i = 0; i < STREAM_SLOTS; i++) {
		slot = &s->slots[(start + i) % STREAM_SLOTS];
		if (suits(slot))
			return slot;
	}
	return NULL;
}

static bool
is_used(const struct stream_slot *slot)
{
	return slot->inode != NULL;
}

static bool
is_file(const struct stream_slot *slot)
{
	return slot->inode != NULL && S_ISREG(slot->inode->mode);
}

static bool
is_free(const struct stream_slot *slot)
{
	return slot->inode == NULL;
}

struct stream_slot *
pick_slot(struct stream *s)
{
	return slot_from(s, is_used);
}

struct stream_slot *
pick_alive(struct stream *s)
{
	struct stream_slot *slot = pick_slot(s);

	if (slot != NULL && !stream_has(s, FEATURE_GONE) && model_is_dir(slot->inode) &&
			slot->inode->nlink == 0)
		return NULL;
	return slot;
}

struct stream_slot *
pick_file(struct stream *s)
{
	return slot_from(s, is_file);
}

struct stream_slot *
pick_free(struct stream *s)
{
	struct stream_slot *slot = slot_from(s, is_free);

	if (slot == NULL) {
		slot = pick_slot(s);
		stream_close(s, slot);
	}
	return slot;
}

uint32_t
pick_off(struct stream *s)
{
	const uint32_t bound = 1u << (4 + stream_below(s, 15));
	uint32_t off = stream_below(s, bound < STREAM_OFF_MAX ? bound : STREAM_OFF_MAX);

	/* Where pages begin is where things go wrong. */
	if (stream_once_in(s, 4))
		off &= ~(STREAM_PAGE - 1);
	return off;
}

uint32_t
pick_len(struct stream *s)
{
	switch (stream_below(s, 6)) {
	case 0:
		return stream_below(s, STREAM_LEN_MAX);
	case 1:
		return STREAM_PAGE * stream_below(s, 9);
	case 2:
		return stream_below(s, 3 * STREAM_PAGE);
	default:
		return stream_below(s, 300);
	}
}

uint32_t
pick_dir_mode(struct stream *s)
{
	const uint32_t mode = 0700 | stream_below(s, 010000);

	return (mode & S_ISVTX) != 0 ? mode & ~(uint32_t)S_IWOTH : mode;
}

void
pick_bytes(struct stream *s, uint32_t len)
{
	uint64_t word;
	uint32_t i;

	for (i = 0; i < len; i += sizeof(word)) {
		word = stream_random(s);
		memcpy(s->bytes + i, &word, sizeof(word));
	}
}
