/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef VERIFY_H
#define VERIFY_H

/**
 * @file
 * Bytes that tell where in the file they belong and which version of that place they are. One
 * thread writes and reads a part of the file and knows the version of each of its blocks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct verify_block {
	uint32_t version;
	uint16_t readers;
	uint16_t writers; /**< 0 or 1 */
};

struct verify {
	uint64_t seed;
	uint64_t first; /**< block of the file that is block 0 here */
	uint32_t block_bytes;
	struct verify_block *blocks; /**< NULL: nothing is verified */
};

/** @return 0 or -ENOMEM. */
int verify_init(struct verify *v, uint64_t seed, uint64_t first, uint64_t nb_blocks,
		uint32_t block_bytes);
void verify_fini(struct verify *v);

/** len bytes for offset off; both divide by 8. */
void verify_fill(uint64_t seed, void *buf, uint32_t len, uint64_t off, uint32_t version);

/** False while another operation makes what block holds, or will hold, uncertain. */
bool verify_may_read(const struct verify *v, uint64_t block);
bool verify_may_write(const struct verify *v, uint64_t block);

void verify_read_begin(struct verify *v, uint64_t block);
/** Fills buf with the next version of block. */
void verify_write_begin(struct verify *v, uint64_t block, void *buf);
/** Ends a write. What a failed one left is unknown, so that block is not used again. */
void verify_write_end(struct verify *v, uint64_t block, bool written);

/**
 * Ends a read. @return true, or false with what is wrong in text; a failed read (buf is NULL)
 * holds nothing that could be wrong.
 */
bool verify_read_end(struct verify *v, uint64_t block, const void *buf, char *text, size_t size);

#endif /* VERIFY_H */
