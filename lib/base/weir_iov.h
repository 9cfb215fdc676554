/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_IOV_H
#define WEIR_IOV_H

/**
 * @file
 * A bounded cursor over guest memory: the only way in which weir reads or writes it. Every
 * operation is limited by what is left and says how much it did, so that no length that a guest
 * chose can lead outside its segments. A cursor is a small value: copy it to read ahead.
 *
 * Any thread may use a cursor, one at a time. The segments and the map are borrowed.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include <rte_branch_prediction.h>

#include "weir_memmap.h"

struct weir_iov {
	const struct weir_memmap *map;
	const struct weir_seg *seg; /**< the current segment */
	uint32_t nb_segs; /**< segments left, the current one included, or more */
	uint32_t seg_off; /**< bytes of the current segment already behind us */
	size_t left; /**< bytes left in all */
};

/** Starts a cursor over nb segments; left becomes the sum of their lengths. */
void weir_iov_init(struct weir_iov *iov, const struct weir_memmap *map, const struct weir_seg *segs,
		uint32_t nb);

/** As weir_iov_init(), for who knows the sum of the lengths already: it is bytes. */
static inline void
weir_iov_set(struct weir_iov *iov, const struct weir_memmap *map, const struct weir_seg *segs,
		uint32_t nb, size_t bytes)
{
	*iov = (struct weir_iov){ .map = map, .seg = segs, .nb_segs = nb, .left = bytes };
}

/** Copies up to n bytes out of the guest and advances. Returns the bytes copied. */
size_t weir_iov_read(struct weir_iov *iov, void *dst, size_t n);

/** Copies up to n bytes into the guest and advances. Returns the bytes copied. */
size_t weir_iov_write(struct weir_iov *iov, const void *src, size_t n);

/** Goes n bytes on, which are all of the current segment at most. */
static inline void
weir_iov_advance(struct weir_iov *iov, size_t n)
{
	iov->left -= n;
	iov->seg_off += (uint32_t)n;
	if (iov->seg_off == iov->seg->len) {
		iov->seg++;
		iov->nb_segs--;
		iov->seg_off = 0;
	}
}

/**
 * Where the next n > 0 bytes are, and advances; NULL, and nothing happened, where they do not lie
 * together in one segment. As with all guest memory, what is there changes under the reader.
 */
static inline void *
weir_iov_take(struct weir_iov *iov, size_t n)
{
	uint8_t *addr;

	if (unlikely(n > iov->left || n > iov->seg->len - iov->seg_off))
		return NULL;
	addr = (uint8_t *)weir_memmap_addr(iov->map, iov->seg) + iov->seg_off;
	weir_iov_advance(iov, n);
	return addr;
}

/** As weir_iov_read(), for a structure, which as a rule lies in one segment: n > 0 is constant. */
static inline size_t
weir_iov_get(struct weir_iov *iov, void *dst, size_t n)
{
	const void *src = weir_iov_take(iov, n);

	if (unlikely(src == NULL))
		return weir_iov_read(iov, dst, n);
	memcpy(dst, src, n);
	/* Holds the compiler to this one copy: what is checked is what is used. */
	atomic_signal_fence(memory_order_seq_cst);
	return n;
}

/** Puts up to n zero bytes into the guest and advances. Returns the bytes written. */
size_t weir_iov_zero(struct weir_iov *iov, size_t n);

/** Advances by up to n bytes without touching memory. Returns the bytes skipped. */
size_t weir_iov_skip(struct weir_iov *iov, size_t n);

/** Shortens the cursor to at most n bytes; segments behind that still count, but are not reached. */
void weir_iov_limit(struct weir_iov *iov, size_t n);

/**
 * Describes the bytes under the cursor for a system call, without advancing.
 *
 * Fills at most max entries for at most n bytes; neighbours that touch are joined.
 * @param bytes  receives the bytes described; may be NULL.
 * @return the entries used.
 */
unsigned int weir_iov_export(const struct weir_iov *iov, struct iovec *vec, unsigned int max,
		size_t n, size_t *bytes);

#endif /* WEIR_IOV_H */
