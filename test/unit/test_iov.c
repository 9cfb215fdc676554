/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_iov.h"

#define REGION_SIZE 4096u
#define NB_REGIONS  3u
#define MAX_SEGS    12u
#define MAX_BYTES   (MAX_SEGS * 600u)

/* Guest memory, and a model of it: a copy, and for each byte of a chain its place in the copy. */
struct guest {
	struct weir_memmap *map;
	uint8_t copy[NB_REGIONS][REGION_SIZE];
	struct weir_seg segs[MAX_SEGS];
	unsigned int nb_segs;
	uint8_t *flat[MAX_BYTES];
	size_t len;
};

static struct guest guest;
static uint64_t rng_state;

static uint32_t
rng_below(uint32_t n)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 32) % n;
}

static int
guest_setup(void **state)
{
	struct weir_memmap_src src[NB_REGIONS];
	unsigned int i;
	int fd = memfd_create("test_iov", MFD_CLOEXEC);
	int rc;

	if (fd < 0 || ftruncate(fd, NB_REGIONS * REGION_SIZE) < 0)
		return -1;
	for (i = 0; i < NB_REGIONS; i++) {
		src[i] = (struct weir_memmap_src){ .gpa = i * 0x100000,
			.size = REGION_SIZE,
			.fd = fd,
			.fd_off = i * REGION_SIZE };
	}
	rc = weir_memmap_create(src, NB_REGIONS, &guest.map);
	close(fd);
	return rc;
}

static int
guest_teardown(void **state)
{
	weir_memmap_put(guest.map);
	return 0;
}

static void
guest_seg_add(uint16_t region, uint32_t off, uint32_t len)
{
	uint32_t i;

	guest.segs[guest.nb_segs++] = (struct weir_seg){ .region = region, .off = off, .len = len };
	for (i = 0; i < len; i++)
		guest.flat[guest.len++] = &guest.copy[region][off + i];
}

static void
guest_reset(void)
{
	uint32_t i, j;

	guest.nb_segs = 0;
	guest.len = 0;
	for (i = 0; i < NB_REGIONS; i++) {
		for (j = 0; j < REGION_SIZE; j++)
			guest.copy[i][j] = (uint8_t)(j * 7 + i * 13 + (j >> 8));
		memcpy(guest.map->regions[i].addr, guest.copy[i], REGION_SIZE);
	}
}

/* Segments may touch or lie over each other: a guest may do that. */
static void
guest_random_chain(void)
{
	unsigned int i, nb = rng_below(MAX_SEGS + 1);
	const struct weir_seg *last;
	uint32_t len;

	guest_reset();
	for (i = 0; i < nb; i++) {
		len = 1 + rng_below(rng_below(2) == 0 ? 8 : 600);
		last = guest.nb_segs > 0 ? &guest.segs[guest.nb_segs - 1] : NULL;
		if (last != NULL && rng_below(3) == 0 && last->off + last->len + len <= REGION_SIZE)
			guest_seg_add(last->region, (uint32_t)last->off + last->len, len);
		else
			guest_seg_add((uint16_t)rng_below(NB_REGIONS), rng_below(REGION_SIZE - len),
					len);
	}
}

static void
guest_check(void)
{
	unsigned int i;

	for (i = 0; i < NB_REGIONS; i++)
		assert_memory_equal(guest.map->regions[i].addr, guest.copy[i], REGION_SIZE);
}

static void
check_read(struct weir_iov *iov, size_t pos, size_t n, size_t expect)
{
	uint8_t buf[MAX_BYTES + 64];
	size_t i;

	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(weir_iov_read(iov, buf, n), expect);
	for (i = 0; i < expect; i++)
		assert_int_equal(buf[i], *guest.flat[pos + i]);
	for (; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0xee);
}

static void
check_write(struct weir_iov *iov, size_t pos, size_t n, size_t expect)
{
	uint8_t buf[MAX_BYTES + 64];
	size_t i;

	for (i = 0; i < n; i++)
		buf[i] = (uint8_t)rng_below(256);
	assert_int_equal(weir_iov_write(iov, buf, n), expect);
	for (i = 0; i < expect; i++)
		*guest.flat[pos + i] = buf[i];
}

static void
check_zero(struct weir_iov *iov, size_t pos, size_t n, size_t expect)
{
	size_t i;

	assert_int_equal(weir_iov_zero(iov, n), expect);
	for (i = 0; i < expect; i++)
		*guest.flat[pos + i] = 0;
}

static void
check_export(const struct weir_iov *iov, size_t pos, size_t expect)
{
	struct weir_iov before = *iov;
	struct iovec vec[MAX_SEGS];
	unsigned int i, nb, max = rng_below(MAX_SEGS + 1);
	size_t j, bytes = 0, seen = 0;

	nb = weir_iov_export(iov, vec, max, expect, &bytes);
	assert_memory_equal(iov, &before, sizeof(before));
	assert_in_range(nb, 0, max);
	for (i = 0; i < nb; i++) {
		assert_true(vec[i].iov_len > 0);
		for (j = 0; j < vec[i].iov_len; j++)
			assert_int_equal(
					((uint8_t *)vec[i].iov_base)[j], *guest.flat[pos + seen++]);
		if (i > 0)
			assert_ptr_not_equal(vec[i].iov_base,
					(uint8_t *)vec[i - 1].iov_base + vec[i - 1].iov_len);
	}
	assert_int_equal(seen, bytes);
	assert_true(bytes == expect || nb == max);
}

static void
iov_random_operations_agree_with_flat_model(void **state)
{
	unsigned int round, step;
	struct weir_iov iov;
	size_t pos, end, n, expect;

	rng_state = 0x9e3779b97f4a7c15u;
	for (round = 0; round < 2000; round++) {
		guest_random_chain();
		weir_iov_init(&iov, guest.map, guest.segs, guest.nb_segs);
		assert_int_equal(iov.left, guest.len);
		pos = 0;
		end = guest.len;
		for (step = 0; step < 8; step++) {
			n = rng_below(rng_below(2) == 0 ? 20 : MAX_BYTES);
			expect = RTE_MIN(n, end - pos);
			check_export(&iov, pos, expect);
			switch (rng_below(5)) {
			case 0:
				check_read(&iov, pos, n, expect);
				break;
			case 1:
				check_write(&iov, pos, n, expect);
				break;
			case 2:
				check_zero(&iov, pos, n, expect);
				break;
			case 3:
				assert_int_equal(weir_iov_skip(&iov, n), expect);
				break;
			default:
				weir_iov_limit(&iov, n);
				end = pos + expect;
				expect = 0;
			}
			pos += expect;
			assert_int_equal(iov.left, end - pos);
		}
		guest_check();
	}
}

static void
iov_empty_chain_moves_nothing(void **state)
{
	struct weir_iov iov;
	struct iovec vec[1];
	size_t bytes = 9;
	char byte = 'x';

	weir_iov_init(&iov, guest.map, NULL, 0);
	assert_int_equal(iov.left, 0);
	assert_int_equal(weir_iov_read(&iov, &byte, 1), 0);
	assert_int_equal(weir_iov_write(&iov, &byte, 1), 0);
	assert_int_equal(weir_iov_zero(&iov, SIZE_MAX), 0);
	assert_int_equal(weir_iov_skip(&iov, SIZE_MAX), 0);
	assert_int_equal(weir_iov_export(&iov, vec, 1, SIZE_MAX, &bytes), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(byte, 'x');
}

static void
iov_copy_reads_ahead_without_moving_the_original(void **state)
{
	struct weir_iov iov, ahead;
	uint8_t first[8], second[8];

	guest_reset();
	guest_seg_add(0, 10, 5);
	guest_seg_add(1, 20, 5);
	weir_iov_init(&iov, guest.map, guest.segs, guest.nb_segs);
	ahead = iov;
	assert_int_equal(weir_iov_read(&ahead, first, 8), 8);
	assert_int_equal(weir_iov_read(&iov, second, 8), 8);
	assert_memory_equal(first, second, 8);
}

static void
export_touching_neighbours_are_joined(void **state)
{
	struct weir_iov iov;
	struct iovec vec[4];
	size_t bytes;

	guest_reset();
	guest_seg_add(0, 100, 50);
	guest_seg_add(0, 150, 50);
	guest_seg_add(0, 201, 9);
	guest_seg_add(1, 0, 10);
	weir_iov_init(&iov, guest.map, guest.segs, guest.nb_segs);
	weir_iov_skip(&iov, 10);
	assert_int_equal(weir_iov_export(&iov, vec, 4, SIZE_MAX, &bytes), 3);
	assert_int_equal(bytes, 109);
	assert_ptr_equal(vec[0].iov_base, guest.map->regions[0].addr + 110);
	assert_int_equal(vec[0].iov_len, 90);
	assert_int_equal(vec[1].iov_len, 9);
	assert_int_equal(vec[2].iov_len, 10);

	/* What joins the last entry still counts when no further entry is free. */
	assert_int_equal(weir_iov_export(&iov, vec, 1, SIZE_MAX, &bytes), 1);
	assert_int_equal(bytes, 90);
	assert_int_equal(weir_iov_export(&iov, vec, 4, 45, NULL), 1);
	assert_int_equal(vec[0].iov_len, 45);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iov_random_operations_agree_with_flat_model),
		cmocka_unit_test(iov_empty_chain_moves_nothing),
		cmocka_unit_test(iov_copy_reads_ahead_without_moving_the_original),
		cmocka_unit_test(export_touching_neighbours_are_joined),
	};

	return cmocka_run_group_tests(tests, guest_setup, guest_teardown);
}
