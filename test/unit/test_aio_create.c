/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What fsdev_aio_create refuses, and what it says. */

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

static void
create_with_a_wrong_folder_says_which(void **state)
{
	char message[512];

	weir_role_assume_control();
	assert_int_equal(fsc_rpc("fsdev_aio_create",
					 "{\"name\": \"x\", \"root_path\": \"/no/such\"}", message),
			-ENOENT);
	assert_string_equal(message, "No such file or directory: /no/such");
	assert_int_equal(
			fsc_rpc("fsdev_aio_create",
					"{\"name\": \"x\", \"root_path\": \"/dev/null\"}", message),
			-ENOTDIR);
	assert_string_equal(message, "Not a directory: /dev/null");
	assert_null(weir_fsdev_find("x"));
}

static void
create_with_what_is_not_built_is_refused_by_name(void **state)
{
	static const char *const keys[] = { "enable_notifications" };
	char params[256], message[512];
	unsigned int i;

	for (i = 0; i < RTE_DIM(keys); i++) {
		snprintf(params, sizeof(params),
				"{\"name\": \"x\", \"root_path\": \"/tmp\", \"%s\": true}",
				keys[i]);
		assert_int_not_equal(fsc_rpc("fsdev_aio_create", params, message), 0);
		assert_non_null(strstr(message, keys[i]));
	}
}

static void
create_with_a_size_out_of_range_is_refused(void **state)
{
	char message[512];

	assert_int_not_equal(fsc_rpc("fsdev_aio_create",
					     "{\"name\": \"x\", \"root_path\": \"/tmp\", "
					     "\"max_xfer_size\": 4095}",
					     message),
			0);
	assert_non_null(strstr(message, "max_xfer_size"));
}

static const struct CMUnitTest create_tests[] = {
	cmocka_unit_test(create_with_a_wrong_folder_says_which),
	cmocka_unit_test(create_with_what_is_not_built_is_refused_by_name),
	cmocka_unit_test(create_with_a_size_out_of_range_is_refused),
};

int
main(void)
{
	int failed;

	if (fsc_start("0,1@0") < 0)
		return 77;
	failed = cmocka_run_group_tests(create_tests, NULL, NULL);
	fsc_stop();
	return failed > 0;
}
