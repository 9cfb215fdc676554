/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Bytes are compared with what RFC 4506 shows; buffers end where the last byte may be. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_xdr.h"

#define GUARD 0xa5

static void
encoder_numbers_are_big_endian(void **state)
{
	static const uint8_t want[] = { 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
		0x18 };
	uint8_t buf[12];
	struct weir_xdr_enc xdr = { .buf = buf, .size = sizeof(buf) };

	weir_xdr_put_u32(&xdr, 0x01020304);
	weir_xdr_put_u64(&xdr, 0x1112131415161718);
	assert_false(xdr.failed);
	assert_int_equal(xdr.len, sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
}

static void
encoder_opaque_is_counted_and_padded(void **state)
{
	static const uint8_t want[] = { 0, 0, 0, 5, 's', 'i', 'l', 'l', 'y', 0, 0, 0, 0, 0, 0, 0,
		'f', 'o', 'u', 'r' };
	uint8_t buf[20];
	struct weir_xdr_enc xdr = { .buf = buf, .size = sizeof(buf) };

	memset(buf, GUARD, sizeof(buf));
	weir_xdr_put_opaque(&xdr, "silly", 5);
	weir_xdr_put_opaque(&xdr, NULL, 0);
	weir_xdr_put_fixed(&xdr, "four", 4);
	assert_false(xdr.failed);
	assert_int_equal(xdr.len, sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
}

static void
encoder_full_writes_nothing_more(void **state)
{
	uint8_t buf[12];
	struct weir_xdr_enc xdr = { .buf = buf, .size = 7 };

	memset(buf, GUARD, sizeof(buf));
	weir_xdr_put_u32(&xdr, 0);
	weir_xdr_put_u32(&xdr, 0);
	assert_true(xdr.failed);
	/* What would fit by itself comes too late. */
	weir_xdr_put_fixed(&xdr, "x", 0);
	weir_xdr_put_u32(&xdr, 0);
	assert_int_equal(xdr.len, 4);
	for (unsigned int i = 4; i < sizeof(buf); i++)
		assert_int_equal(buf[i], GUARD);
}

static void
encoder_padding_must_fit_too(void **state)
{
	uint8_t buf[8];
	struct weir_xdr_enc xdr = { .buf = buf, .size = 7 };

	memset(buf, GUARD, sizeof(buf));
	weir_xdr_put_fixed(&xdr, "12345", 5);
	assert_true(xdr.failed);
	assert_int_equal(xdr.len, 0);
	assert_int_equal(buf[0], GUARD);
}

static void
encoder_length_near_4_gib_does_not_wrap(void **state)
{
	uint8_t buf[8] = { 0 };
	struct weir_xdr_enc xdr = { .buf = buf, .size = sizeof(buf) };

	weir_xdr_put_fixed(&xdr, buf, UINT32_MAX);
	assert_true(xdr.failed);
	assert_int_equal(xdr.len, 0);
}

/* A decoder over a copy that ends where its bytes do, for the sanitizer to see. */
static struct weir_xdr_dec
decoder(const void *bytes, uint32_t n)
{
	uint8_t *copy = malloc(n);

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	return (struct weir_xdr_dec){ .buf = copy, .len = n };
}

static void
decoder_done(struct weir_xdr_dec *xdr)
{
	free((void *)(uintptr_t)xdr->buf);
}

static void
decoder_reads_what_was_encoded(void **state)
{
	uint8_t buf[64];
	struct weir_xdr_enc enc = { .buf = buf, .size = sizeof(buf) };
	struct weir_xdr_dec dec;
	const uint8_t *data;
	uint32_t len;

	weir_xdr_put_u64(&enc, UINT64_MAX - 1);
	weir_xdr_put_u32(&enc, 1);
	weir_xdr_put_opaque(&enc, "abcde", 5);
	weir_xdr_put_fixed(&enc, "xyz", 3);
	dec = decoder(buf, enc.len);
	assert_int_equal(weir_xdr_get_u64(&dec), UINT64_MAX - 1);
	assert_true(weir_xdr_get_bool(&dec));
	data = weir_xdr_get_opaque(&dec, 5, &len);
	assert_int_equal(len, 5);
	assert_memory_equal(data, "abcde", 5);
	data = weir_xdr_get_fixed(&dec, 3);
	assert_memory_equal(data, "xyz", 3);
	assert_false(dec.failed);
	assert_int_equal(dec.off, dec.len);
	decoder_done(&dec);
}

static void
decoder_cut_anywhere_fails_and_stays_inside(void **state)
{
	static const uint8_t bytes[] = { 0, 0, 0, 1, 0, 0, 0, 5, 'a', 'b', 'c', 'd', 'e', 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 2 };

	for (uint32_t n = 1; n <= sizeof(bytes); n++) {
		struct weir_xdr_dec dec = decoder(bytes, n);
		uint32_t len = 77;
		uint64_t last;

		(void)weir_xdr_get_bool(&dec);
		(void)weir_xdr_get_opaque(&dec, 8, &len);
		last = weir_xdr_get_u64(&dec);
		assert_int_equal(dec.failed, n < sizeof(bytes));
		assert_int_equal(last, n < sizeof(bytes) ? 0 : 2);
		assert_int_equal(len, n < 16 ? 77 : 5);
		decoder_done(&dec);
	}
}

static void
decoder_opaque_over_its_bound_is_refused(void **state)
{
	static const uint8_t bytes[] = { 0, 0, 0, 4, 'a', 'b', 'c', 'd' };
	struct weir_xdr_dec dec = decoder(bytes, sizeof(bytes));
	uint32_t len = 77;

	assert_null(weir_xdr_get_opaque(&dec, 3, &len));
	assert_true(dec.failed);
	assert_int_equal(len, 77);
	decoder_done(&dec);
}

static void
decoder_hostile_lengths_are_refused(void **state)
{
	static const uint32_t lengths[] = { 1, 5, 0x7fffffff, 0x80000000, UINT32_MAX - 3,
		UINT32_MAX };

	for (unsigned int i = 0; i < RTE_DIM(lengths); i++) {
		rte_be32_t be = rte_cpu_to_be_32(lengths[i]);
		struct weir_xdr_dec dec = decoder(&be, sizeof(be));
		uint32_t len = 77;

		assert_null(weir_xdr_get_opaque(&dec, UINT32_MAX, &len));
		assert_true(dec.failed);
		assert_int_equal(len, 77);
		decoder_done(&dec);
	}
}

static void
decoder_boolean_is_0_or_1(void **state)
{
	static const uint8_t bytes[] = { 0, 0, 0, 0, 0, 0, 0, 2 };
	struct weir_xdr_dec dec = decoder(bytes, sizeof(bytes));

	assert_false(weir_xdr_get_bool(&dec));
	assert_false(dec.failed);
	assert_false(weir_xdr_get_bool(&dec));
	assert_true(dec.failed);
	decoder_done(&dec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoder_numbers_are_big_endian),
		cmocka_unit_test(encoder_opaque_is_counted_and_padded),
		cmocka_unit_test(encoder_full_writes_nothing_more),
		cmocka_unit_test(encoder_padding_must_fit_too),
		cmocka_unit_test(encoder_length_near_4_gib_does_not_wrap),
		cmocka_unit_test(decoder_reads_what_was_encoded),
		cmocka_unit_test(decoder_cut_anywhere_fails_and_stays_inside),
		cmocka_unit_test(decoder_opaque_over_its_bound_is_refused),
		cmocka_unit_test(decoder_hostile_lengths_are_refused),
		cmocka_unit_test(decoder_boolean_is_0_or_1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
