/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The options that every file system has: what follows from them, and what is refused. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <rte_common.h>

#include "fs_client.h"

#define DAY 86400000

static char message[512];

static int
create(const char *options)
{
	char params[512];

	snprintf(params, sizeof(params), "{\"name\": \"m\"%s}", options);
	return fsc_rpc("fsdev_mem_create", params, message);
}

static void
what_is_left_open_follows_from_the_mode(void **state)
{
	static const struct {
		const char *options;
		int64_t attr, entry, negative, to_open, keep, plus;
	} rows[] = {
		{ "", 1000, 1000, 0, 1, 0, 1 },
		{ ", \"cache\": \"never\"", 0, 0, 0, 1, 0, 0 },
		{ ", \"cache\": \"always\"", DAY, DAY, 0, 0, 1, 1 },
		{ ", \"cache\": \"metadata\"", DAY, DAY, 0, 0, 0, 1 },
		{ ", \"cache\": \"always\", \"direct_io\": \"force\"", DAY, DAY, 0, 0, 0, 1 },
		{ ", \"attr_valid_ms\": 7", 7, 7, 0, 1, 0, 1 },
		{ ", \"entry_valid_ms\": 0", 1000, 0, 0, 1, 0, 1 },
		{ ", \"cache\": \"never\", \"attr_valid_ms\": 5, \"entry_valid_ms\": 6, "
		  "\"negative_valid_ms\": 7, \"readdirplus\": true",
				5, 6, 7, 1, 0, 1 },
		{ ", \"cache\": \"always\", \"close_to_open\": true, \"keep_cache\": false", DAY,
				DAY, 0, 1, 0, 1 },
		{ ", \"enable_writeback_cache\": true", 1000, 1000, 0, 0, 0, 1 },
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(rows); i++) {
		assert_int_equal(create(rows[i].options), 0);
		assert_int_equal(fsc_info("m", "attr_valid_ms"), rows[i].attr);
		assert_int_equal(fsc_info("m", "entry_valid_ms"), rows[i].entry);
		assert_int_equal(fsc_info("m", "negative_valid_ms"), rows[i].negative);
		assert_int_equal(fsc_info("m", "close_to_open"), rows[i].to_open);
		assert_int_equal(fsc_info("m", "keep_cache"), rows[i].keep);
		assert_int_equal(fsc_info("m", "readdirplus"), rows[i].plus);
		assert_int_equal(fsc_info("m", "readonly"), 0);
		assert_int_equal(fsc_rpc("fsdev_mem_delete", "{\"name\": \"m\"}", message), 0);
	}
}

static void
contradictions_are_refused_by_name(void **state)
{
	static const struct {
		const char *options, *text;
	} rows[] = {
		{ ", \"enable_writeback_cache\": true, \"cache\": \"never\"",
				"Invalid parameters: enable_writeback_cache: no data is cached "
				"with cache=never" },
		{ ", \"enable_writeback_cache\": true, \"cache\": \"metadata\"",
				"Invalid parameters: enable_writeback_cache: no data is cached "
				"with cache=metadata" },
		{ ", \"enable_writeback_cache\": true, \"direct_io\": \"force\"",
				"Invalid parameters: enable_writeback_cache: no data is cached "
				"with direct_io=force" },
		{ ", \"enable_writeback_cache\": true, \"readonly\": true",
				"Invalid parameters: enable_writeback_cache: nothing is written "
				"with readonly" },
		{ ", \"enable_writeback_cache\": true, \"close_to_open\": true",
				"Invalid parameters: close_to_open: with enable_writeback_cache "
				"only the guest's own size and times count" },
		{ ", \"keep_cache\": true, \"cache\": \"never\"",
				"Invalid parameters: keep_cache: no data is cached with "
				"cache=never" },
		{ ", \"allow_mmap\": true",
				"Invalid parameters: allow_mmap: files can be mapped anyway where "
				"their data is cached" },
		{ ", \"cache\": \"none\"",
				"Invalid parameters: cache: must be one of never, auto, always, "
				"metadata" },
	};
	unsigned int i;

	weir_role_assume_control();
	for (i = 0; i < RTE_DIM(rows); i++) {
		assert_int_equal(create(rows[i].options), -32602);
		assert_string_equal(message, rows[i].text);
		assert_null(weir_fsdev_find("m"));
	}
	assert_int_equal(create(", \"allow_mmap\": true, \"direct_io\": \"force\""), 0);
	assert_int_equal(fsc_rpc("fsdev_mem_delete", "{\"name\": \"m\"}", message), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_open_follows_from_the_mode),
		cmocka_unit_test(contradictions_are_refused_by_name),
	};
	int rc;

	if (fsc_start("0,1@0") < 0)
		return 77;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fsc_stop();
	return rc;
}
