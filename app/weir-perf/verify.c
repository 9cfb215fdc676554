/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify.h"

/* A word is the number of its place in the file, with the version above it, under a mask. */
#define PLACE_BITS 40
#define PLACE_MASK ((UINT64_C(1) << PLACE_BITS) - 1)

int
verify_init(struct verify *v, uint64_t seed, uint64_t first, uint64_t nb_blocks,
		uint32_t block_bytes)
{
	v->seed = seed;
	v->first = first;
	v->block_bytes = block_bytes;
	v->blocks = calloc(nb_blocks, sizeof(*v->blocks));
	return v->blocks != NULL ? 0 : -ENOMEM;
}

void
verify_fini(struct verify *v)
{
	free(v->blocks);
	v->blocks = NULL;
}

static uint64_t
word_mask(uint64_t seed)
{
	return (seed + 1) * 0x9e3779b97f4a7c15ULL;
}

static uint64_t
word_at(uint64_t mask, uint64_t place, uint32_t version)
{
	return ((uint64_t)version << PLACE_BITS | (place & PLACE_MASK)) ^ mask;
}

void
verify_fill(uint64_t seed, void *buf, uint32_t len, uint64_t off, uint32_t version)
{
	uint64_t mask = word_mask(seed);
	uint64_t *word = buf;
	uint32_t i;

	for (i = 0; i < len / 8; i++)
		word[i] = word_at(mask, off / 8 + i, version);
}

bool
verify_may_read(const struct verify *v, uint64_t block)
{
	return v->blocks[block].writers == 0;
}

bool
verify_may_write(const struct verify *v, uint64_t block)
{
	return v->blocks[block].writers == 0 && v->blocks[block].readers == 0;
}

void
verify_read_begin(struct verify *v, uint64_t block)
{
	v->blocks[block].readers++;
}

static uint64_t
block_off(const struct verify *v, uint64_t block)
{
	return (v->first + block) * v->block_bytes;
}

/* Versions wrap with the bits that a word has for them. */
static uint32_t
version_after(uint32_t version)
{
	return (version + 1) & ((1u << (64 - PLACE_BITS)) - 1);
}

void
verify_write_begin(struct verify *v, uint64_t block, void *buf)
{
	v->blocks[block].writers++;
	verify_fill(v->seed, buf, v->block_bytes, block_off(v, block),
			version_after(v->blocks[block].version));
}

void
verify_write_end(struct verify *v, uint64_t block, bool written)
{
	if (!written)
		return;
	v->blocks[block].writers--;
	v->blocks[block].version = version_after(v->blocks[block].version);
}

/* Says what a wrong word is, as far as it can be told. */
static void
word_explain(const struct verify *v, uint64_t place, uint32_t version, uint64_t word, char *text,
		size_t size)
{
	uint64_t plain = word ^ word_mask(v->seed);
	int len = snprintf(
			text, size, "offset %" PRIu64 ": not version %u but ", place * 8, version);

	if (len < 0 || (size_t)len >= size)
		return;
	if ((plain & PLACE_MASK) == (place & PLACE_MASK))
		snprintf(text + len, size - len, "version %u", (unsigned int)(plain >> PLACE_BITS));
	else
		snprintf(text + len, size - len, "%#018" PRIx64, word);
}

bool
verify_read_end(struct verify *v, uint64_t block, const void *buf, char *text, size_t size)
{
	uint32_t version = v->blocks[block].version;
	uint64_t mask = word_mask(v->seed);
	uint64_t place = block_off(v, block) / 8;
	const uint64_t *word = buf;
	uint32_t i;

	v->blocks[block].readers--;
	for (i = 0; buf != NULL && i < v->block_bytes / 8; i++) {
		if (word[i] == word_at(mask, place + i, version))
			continue;
		word_explain(v, place + i, version, word[i], text, size);
		return false;
	}
	return true;
}
