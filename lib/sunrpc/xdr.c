/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include "weir_xdr.h"

#define XDR_UNIT 4

/* Zeroes behind len bytes, up to the next unit. */
static uint32_t
xdr_pad(uint32_t len)
{
	return -len % XDR_UNIT;
}

void
weir_xdr_put_fixed(struct weir_xdr_enc *xdr, const void *data, uint32_t len)
{
	uint32_t pad = xdr_pad(len);

	if (xdr->failed || len > UINT32_MAX - pad || xdr->size - xdr->len < len + pad) {
		xdr->failed = true;
		return;
	}
	if (len > 0)
		memcpy(xdr->buf + xdr->len, data, len);
	memset(xdr->buf + xdr->len + len, 0, pad);
	xdr->len += len + pad;
}

void
weir_xdr_put_opaque(struct weir_xdr_enc *xdr, const void *data, uint32_t len)
{
	weir_xdr_put_u32(xdr, len);
	weir_xdr_put_fixed(xdr, data, len);
}

bool
weir_xdr_get_bool(struct weir_xdr_dec *xdr)
{
	uint32_t value = weir_xdr_get_u32(xdr);

	if (value > 1)
		xdr->failed = true;
	return value == 1;
}

const uint8_t *
weir_xdr_get_fixed(struct weir_xdr_dec *xdr, uint32_t len)
{
	const uint8_t *data = xdr->buf + xdr->off;
	uint32_t pad = xdr_pad(len);

	if (xdr->failed || len > UINT32_MAX - pad || xdr->len - xdr->off < len + pad) {
		xdr->failed = true;
		return NULL;
	}
	xdr->off += len + pad;
	return data;
}

const uint8_t *
weir_xdr_get_opaque(struct weir_xdr_dec *xdr, uint32_t max, uint32_t *len)
{
	uint32_t n = weir_xdr_get_u32(xdr);
	const uint8_t *data;

	if (n > max)
		xdr->failed = true;
	data = weir_xdr_get_fixed(xdr, n);
	if (data != NULL)
		*len = n;
	return data;
}
