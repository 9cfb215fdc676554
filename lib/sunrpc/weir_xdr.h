/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_XDR_H
#define WEIR_XDR_H

/**
 * @file
 * XDR (RFC 4506): an encoder and a decoder over a bounded buffer. Both remember that they failed,
 * so that a sequence of calls is checked once at its end; after a failure numbers are 0 and pointers
 * NULL. Any thread, one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>

struct weir_xdr_enc {
	uint8_t *buf;
	uint32_t len; /**< bytes written */
	uint32_t size; /**< bytes there are */
	bool failed; /**< something did not fit; nothing was written from there on */
};

struct weir_xdr_dec {
	const uint8_t *buf;
	uint32_t off;
	uint32_t len;
	bool failed; /**< the buffer ended early, or a length was out of bounds */
};

static inline void
weir_xdr_put_u32(struct weir_xdr_enc *xdr, uint32_t value)
{
	rte_be32_t be = rte_cpu_to_be_32(value);

	if (xdr->failed || xdr->size - xdr->len < sizeof(be)) {
		xdr->failed = true;
		return;
	}
	memcpy(xdr->buf + xdr->len, &be, sizeof(be));
	xdr->len += sizeof(be);
}

static inline void
weir_xdr_put_u64(struct weir_xdr_enc *xdr, uint64_t value)
{
	weir_xdr_put_u32(xdr, (uint32_t)(value >> 32));
	weir_xdr_put_u32(xdr, (uint32_t)value);
}

/** Fixed-length opaque data: the bytes and up to three zeroes. */
void weir_xdr_put_fixed(struct weir_xdr_enc *xdr, const void *data, uint32_t len);

/** Variable-length opaque data or a string: length, bytes, padding. */
void weir_xdr_put_opaque(struct weir_xdr_enc *xdr, const void *data, uint32_t len);

static inline uint32_t
weir_xdr_get_u32(struct weir_xdr_dec *xdr)
{
	rte_be32_t be;

	if (xdr->failed || xdr->len - xdr->off < sizeof(be)) {
		xdr->failed = true;
		return 0;
	}
	memcpy(&be, xdr->buf + xdr->off, sizeof(be));
	xdr->off += sizeof(be);
	return rte_be_to_cpu_32(be);
}

static inline uint64_t
weir_xdr_get_u64(struct weir_xdr_dec *xdr)
{
	uint64_t high = weir_xdr_get_u32(xdr);

	return high << 32 | weir_xdr_get_u32(xdr);
}

/** A boolean: 0 or 1, anything else fails (RFC 4506, section 4.4). */
bool weir_xdr_get_bool(struct weir_xdr_dec *xdr);

/** Fixed-length opaque data, in place; skips its padding, whatever it holds. NULL on failure. */
const uint8_t *weir_xdr_get_fixed(struct weir_xdr_dec *xdr, uint32_t len);

/** Variable-length opaque data of at most max bytes, in place; its length in *len. NULL on failure. */
const uint8_t *weir_xdr_get_opaque(struct weir_xdr_dec *xdr, uint32_t max, uint32_t *len);

#endif /* WEIR_XDR_H */
