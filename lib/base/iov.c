/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <string.h>

#include <rte_common.h>

#include "weir_iov.h"

/* How many of the next n bytes lie together from *addr on; 0 at the end. */
static size_t
iov_run(const struct weir_iov *iov, size_t n, uint8_t **addr)
{
	n = RTE_MIN(n, iov->left);
	if (n == 0)
		return 0;
	*addr = (uint8_t *)weir_memmap_addr(iov->map, iov->seg) + iov->seg_off;
	return RTE_MIN(n, (size_t)(iov->seg->len - iov->seg_off));
}

void
weir_iov_init(struct weir_iov *iov, const struct weir_memmap *map, const struct weir_seg *segs,
		uint32_t nb)
{
	uint32_t i;

	*iov = (struct weir_iov){ .map = map, .seg = segs, .nb_segs = nb };
	for (i = 0; i < nb; i++)
		iov->left += segs[i].len;
}

size_t
weir_iov_read(struct weir_iov *iov, void *dst, size_t n)
{
	size_t done = 0, run;
	uint8_t *addr;

	while ((run = iov_run(iov, n - done, &addr)) > 0) {
		memcpy((uint8_t *)dst + done, addr, run);
		weir_iov_advance(iov, run);
		done += run;
	}
	return done;
}

size_t
weir_iov_write(struct weir_iov *iov, const void *src, size_t n)
{
	size_t done = 0, run;
	uint8_t *addr;

	while ((run = iov_run(iov, n - done, &addr)) > 0) {
		memcpy(addr, (const uint8_t *)src + done, run);
		weir_iov_advance(iov, run);
		done += run;
	}
	return done;
}

size_t
weir_iov_zero(struct weir_iov *iov, size_t n)
{
	size_t done = 0, run;
	uint8_t *addr;

	while ((run = iov_run(iov, n - done, &addr)) > 0) {
		memset(addr, 0, run);
		weir_iov_advance(iov, run);
		done += run;
	}
	return done;
}

size_t
weir_iov_skip(struct weir_iov *iov, size_t n)
{
	size_t rest;

	n = RTE_MIN(n, iov->left);
	iov->left -= n;
	/* From the start of the current segment on. */
	rest = n + iov->seg_off;
	while (rest > 0 && rest >= iov->seg->len) {
		rest -= iov->seg->len;
		iov->seg++;
		iov->nb_segs--;
	}
	iov->seg_off = (uint32_t)rest;
	return n;
}

void
weir_iov_limit(struct weir_iov *iov, size_t n)
{
	iov->left = RTE_MIN(iov->left, n);
}

unsigned int
weir_iov_export(const struct weir_iov *iov, struct iovec *vec, unsigned int max, size_t n,
		size_t *bytes)
{
	const struct weir_seg *seg = iov->seg;
	const size_t want = RTE_MIN(n, iov->left);
	size_t left = want, off = iov->seg_off, run;
	unsigned int nb = 0;
	uint8_t *addr, *end = NULL;

	for (; left > 0; left -= run, off = 0, seg++) {
		addr = (uint8_t *)weir_memmap_addr(iov->map, seg) + off;
		run = RTE_MIN(left, (size_t)seg->len - off);
		if (nb > 0 && addr == end)
			vec[nb - 1].iov_len += run;
		else if (nb < max)
			vec[nb++] = (struct iovec){ .iov_base = addr, .iov_len = run };
		else
			break;
		end = addr + run;
	}
	if (bytes != NULL)
		*bytes = want - left;
	return nb;
}
