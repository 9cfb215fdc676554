/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hist.h"

static struct weir_hist hist;
static struct weir_hist_sum sum;

static int
setup(void **state)
{
	memset(&hist, 0, sizeof(hist));
	memset(&sum, 0, sizeof(sum));
	weir_role_assume_worker();
	return 0;
}

static void
add(uint64_t ns, unsigned int times)
{
	weir_role_assume_worker();
	while (times-- > 0)
		weir_hist_add(&hist, ns);
}

static void
bucket_borders_are_exact(void **state)
{
	static const struct {
		uint64_t ns;
		unsigned int bucket;
	} borders[] = {
		{ 0, 0 },
		{ 63, 0 },
		{ 64, 0 },
		{ 79, 0 },
		{ 80, 1 },
		{ 95, 1 },
		{ 96, 2 },
		{ 111, 2 },
		{ 112, 3 },
		{ 127, 3 },
		{ 128, 4 },
		{ 159, 4 },
		{ 160, 5 },
		{ 1023, 15 },
		{ 1024, 16 },
		{ (UINT64_C(1) << 36) - 1, 119 },
		{ UINT64_C(1) << 36, 120 },
		{ UINT64_C(7) << 34, 123 },
		{ (UINT64_C(1) << 37) - 1, 123 },
		{ UINT64_C(1) << 37, 123 },
		{ UINT64_MAX, 123 },
	};

	for (size_t i = 0; i < sizeof(borders) / sizeof(borders[0]); i++)
		assert_int_equal(hist_bucket(borders[i].ns), borders[i].bucket);
}

static void
bucket_max_is_its_last_value(void **state)
{
	for (unsigned int i = 0; i < WEIR_HIST_BUCKETS - 1; i++) {
		assert_int_equal(hist_bucket(hist_bucket_max(i)), i);
		assert_int_equal(hist_bucket(hist_bucket_max(i) + 1), i + 1);
	}
}

static void
bucket_is_never_wider_than_a_quarter(void **state)
{
	for (unsigned int i = 1; i < WEIR_HIST_BUCKETS; i++) {
		uint64_t first = hist_bucket_max(i - 1) + 1;

		assert_true(hist_bucket_max(i) - first < first / 4);
	}
}

static void
percentile_of_nothing_is_zero(void **state)
{
	weir_hist_collect(&hist, &sum);
	assert_int_equal(sum.count, 0);
	assert_int_equal(weir_hist_percentile_ns(&sum, 500), 0);
}

static void
percentile_of_one_value_is_that_value(void **state)
{
	add(1000, 1);
	weir_hist_collect(&hist, &sum);
	assert_int_equal(weir_hist_percentile_ns(&sum, 0), 1000);
	assert_int_equal(weir_hist_percentile_ns(&sum, 500), 1000);
	assert_int_equal(weir_hist_percentile_ns(&sum, 1000), 1000);
}

static void
percentile_is_the_end_of_the_bucket_of_its_rank(void **state)
{
	add(100, 500);
	add(1000, 490);
	add(100000, 9);
	add(UINT64_C(200) << 30, 1);
	weir_hist_collect(&hist, &sum);
	assert_int_equal(weir_hist_percentile_ns(&sum, 500), 111);
	assert_int_equal(weir_hist_percentile_ns(&sum, 501), 1023);
	assert_int_equal(weir_hist_percentile_ns(&sum, 990), 1023);
	assert_int_equal(weir_hist_percentile_ns(&sum, 991), 114687);
	assert_int_equal(weir_hist_percentile_ns(&sum, 999), 114687);
	/* Beyond the last bucket's border the greatest value is all there is to say. */
	assert_int_equal(weir_hist_percentile_ns(&sum, 1000), UINT64_C(200) << 30);
}

static void
percentile_of_a_few_values_rounds_up(void **state)
{
	add(100, 9);
	add(1000, 1);
	weir_hist_collect(&hist, &sum);
	assert_int_equal(weir_hist_percentile_ns(&sum, 900), 111);
	assert_int_equal(weir_hist_percentile_ns(&sum, 990), 1000);
}

static void
collect_adds_histograms_up(void **state)
{
	add(100, 3);
	add(5000, 1);
	weir_hist_collect(&hist, &sum);
	weir_hist_collect(&hist, &sum);
	assert_int_equal(sum.count, 8);
	assert_int_equal(sum.sum_ns, 2 * 5300);
	assert_int_equal(sum.max_ns, 5000);
	assert_int_equal(sum.bucket[hist_bucket(100)], 6);
	assert_int_equal(sum.bucket[hist_bucket(5000)], 2);
}

static void
json_is_in_microseconds(void **state)
{
	json_t *json;

	add(1500, 4);
	weir_hist_collect(&hist, &sum);
	json = weir_hist_json(&sum);
	assert_int_equal(json_object_size(json), 7);
	assert_int_equal(json_integer_value(json_object_get(json, "count")), 4);
	assert_true(json_real_value(json_object_get(json, "avg")) == 1.5);
	assert_true(json_real_value(json_object_get(json, "p50")) == 1.5);
	assert_true(json_real_value(json_object_get(json, "p999")) == 1.5);
	assert_true(json_real_value(json_object_get(json, "max")) == 1.5);
	json_decref(json);
}

static void
json_of_nothing_is_zeroes(void **state)
{
	json_t *json = weir_hist_json(&sum);

	assert_int_equal(json_integer_value(json_object_get(json, "count")), 0);
	assert_true(json_real_value(json_object_get(json, "avg")) == 0.0);
	assert_true(json_real_value(json_object_get(json, "max")) == 0.0);
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bucket_borders_are_exact, setup),
		cmocka_unit_test_setup(bucket_max_is_its_last_value, setup),
		cmocka_unit_test_setup(bucket_is_never_wider_than_a_quarter, setup),
		cmocka_unit_test_setup(percentile_of_nothing_is_zero, setup),
		cmocka_unit_test_setup(percentile_of_one_value_is_that_value, setup),
		cmocka_unit_test_setup(percentile_is_the_end_of_the_bucket_of_its_rank, setup),
		cmocka_unit_test_setup(percentile_of_a_few_values_rounds_up, setup),
		cmocka_unit_test_setup(collect_adds_histograms_up, setup),
		cmocka_unit_test_setup(json_is_in_microseconds, setup),
		cmocka_unit_test_setup(json_of_nothing_is_zeroes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
