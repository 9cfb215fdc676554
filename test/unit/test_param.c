/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_rpc.h"

struct args {
	char name[8];
	char tag[37];
	uint32_t max_write;
	uint32_t queue_size;
	uint64_t bytes;
	uint32_t platform;
	uint32_t timeout;
	bool has_timeout;
	bool wait_for_done;
	bool packed_vq;
	bool sure;
	uint32_t depth;
	char secret[16];
};

static const char *const max_write_aliases[] = { "max_xfer_size", NULL };
static const char *const platforms[] = { "native", "x86", "x86_64", NULL };

static const struct weir_param params[] = {
	WEIR_PARAM(args, name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 1,
			.help = "unique name"),
	WEIR_PARAM(args, tag, WEIR_STR, .short_opt = 't'),
	WEIR_PARAM(args, max_write, WEIR_U32, .aliases = max_write_aliases, .def = 131072,
			.min = 4096, .max = 1 << 20),
	WEIR_PARAM(args, queue_size, WEIR_U32, .def = 64, .min = 8, .max = 1024,
			.flags = WEIR_PARAM_POW2),
	WEIR_PARAM(args, bytes, WEIR_U64, .def = 7),
	WEIR_PARAM(args, platform, WEIR_ENUM, .choices = platforms, .def = 2),
	WEIR_PARAM(args, timeout, WEIR_U32, WEIR_PARAM_GIVEN(args, has_timeout)),
	WEIR_PARAM(args, wait_for_done, WEIR_BOOL),
	WEIR_PARAM(args, packed_vq, WEIR_BOOL, .flags = WEIR_PARAM_UNSUPPORTED),
	WEIR_PARAM(args, sure, WEIR_BOOL, .def = true),
	WEIR_PARAM(args, depth, WEIR_U32, .def = 4, .flags = WEIR_PARAM_UNSUPPORTED),
	WEIR_PARAM(args, secret, WEIR_STR, .flags = WEIR_PARAM_UNSUPPORTED),
};

static char err[256];

static int
decode(const char *text, struct args *args)
{
	json_t *obj = json_loads(text, JSON_ALLOW_NUL, NULL);
	int rc;

	assert_non_null(obj);
	memset(args, 0xa5, sizeof(*args));
	err[0] = '\0';
	rc = weir_param_decode(params, RTE_DIM(params), obj, args, err, sizeof(err));
	json_decref(obj);
	return rc;
}

static void
assert_refused(const char *text, const char *why)
{
	struct args args;

	assert_int_equal(decode(text, &args), -EINVAL);
	assert_string_equal(err, why);
}

static void
decode_nothing_given_fills_defaults(void **state)
{
	struct args args;

	assert_int_equal(decode("{\"name\":\"a\"}", &args), 0);
	assert_string_equal(args.name, "a");
	assert_string_equal(args.tag, "");
	assert_int_equal(args.max_write, 131072);
	assert_int_equal(args.queue_size, 64);
	assert_int_equal(args.bytes, 7);
	assert_int_equal(args.platform, 2);
	assert_false(args.has_timeout);
	assert_false(args.wait_for_done);
	assert_true(args.sure);
	assert_int_equal(args.depth, 4);
}

static void
decode_everything_given_fills_all(void **state)
{
	struct args args;

	assert_int_equal(decode("{\"name\":\"1234567\",\"tag\":\"t\",\"max_write\":4096,"
				"\"queue_size\":8,\"bytes\":9223372036854775807,"
				"\"platform\":\"native\",\"timeout\":0,\"wait_for_done\":true,"
				"\"packed_vq\":false,\"sure\":false,\"depth\":4,\"secret\":\"\"}",
					 &args),
			0);
	assert_string_equal(args.name, "1234567");
	assert_string_equal(args.tag, "t");
	assert_int_equal(args.max_write, 4096);
	assert_int_equal(args.queue_size, 8);
	assert_int_equal(args.bytes, INT64_MAX);
	assert_int_equal(args.platform, 0);
	assert_true(args.has_timeout);
	assert_int_equal(args.timeout, 0);
	assert_true(args.wait_for_done);
	assert_false(args.sure);
}

static void
decode_no_object_means_no_keys(void **state)
{
	struct args args;

	assert_int_equal(weir_param_decode(params + 1, RTE_DIM(params) - 1, NULL, &args, err,
					 sizeof(err)),
			0);
	assert_int_equal(args.queue_size, 64);
	assert_int_equal(weir_param_decode(params, RTE_DIM(params), NULL, &args, err, sizeof(err)),
			-EINVAL);
	assert_string_equal(err, "name: required");
}

static void
decode_unknown_key_is_named(void **state)
{
	assert_refused("{\"name\":\"a\",\"namex\":1}", "namex: unknown parameter");
}

static void
decode_array_is_refused(void **state)
{
	assert_refused("[\"a\"]", "params: must be an object");
}

static void
decode_required_missing_or_empty_is_named(void **state)
{
	assert_refused("{\"tag\":\"t\"}", "name: required");
	assert_refused("{\"name\":\"\"}", "name: must not be empty");
}

static void
decode_wrong_type_is_refused(void **state)
{
	assert_refused("{\"name\":5}", "name: must be a string");
	assert_refused("{\"name\":null}", "name: must be a string");
	assert_refused("{\"name\":\"a\",\"max_write\":\"4096\"}", "max_write: must be an integer");
	assert_refused("{\"name\":\"a\",\"max_write\":4096.0}", "max_write: must be an integer");
	assert_refused("{\"name\":\"a\",\"max_write\":true}", "max_write: must be an integer");
	assert_refused("{\"name\":\"a\",\"sure\":1}", "sure: must be true or false");
	assert_refused("{\"name\":\"a\",\"sure\":\"true\"}", "sure: must be true or false");
	assert_refused("{\"name\":\"a\",\"platform\":0}",
			"platform: must be one of native, x86, x86_64");
}

static void
decode_out_of_range_tells_the_range(void **state)
{
	struct args args;

	assert_refused("{\"name\":\"a\",\"max_write\":4095}",
			"max_write: 4095 is not in 4096..1048576");
	assert_refused("{\"name\":\"a\",\"max_write\":1048577}",
			"max_write: 1048577 is not in 4096..1048576");
	assert_refused("{\"name\":\"a\",\"max_write\":-1}",
			"max_write: -1 is not in 4096..1048576");
	assert_refused("{\"name\":\"a\",\"timeout\":4294967296}",
			"timeout: 4294967296 is not in 0..4294967295");
	assert_refused("{\"name\":\"a\",\"bytes\":-1}",
			"bytes: -1 is not in 0..9223372036854775807");
	assert_int_equal(decode("{\"name\":\"a\",\"max_write\":1048576}", &args), 0);
	assert_int_equal(decode("{\"name\":\"a\",\"timeout\":4294967295}", &args), 0);
	assert_int_equal(args.timeout, UINT32_MAX);
}

static void
decode_not_a_power_of_two_is_refused(void **state)
{
	assert_refused("{\"name\":\"a\",\"queue_size\":7}", "queue_size: 7 is not in 8..1024");
	assert_refused("{\"name\":\"a\",\"queue_size\":100}",
			"queue_size: 100 is not a power of two");
}

static void
decode_enum_outside_lists_choices(void **state)
{
	assert_refused("{\"name\":\"a\",\"platform\":\"x86_6\"}",
			"platform: must be one of native, x86, x86_64");
	assert_refused("{\"name\":\"a\",\"platform\":\"x86\\u0000\"}",
			"platform: must be one of native, x86, x86_64");
}

static void
decode_string_too_long_is_refused(void **state)
{
	assert_refused("{\"name\":\"12345678\"}", "name: longer than 7 bytes");
	/* Bytes count, not characters. */
	assert_refused("{\"name\":\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\"}",
			"name: longer than 7 bytes");
}

static void
decode_embedded_nul_is_refused(void **state)
{
	assert_refused("{\"name\":\"a\\u0000b\"}", "name: must not contain a NUL");
}

static void
decode_unsupported_is_refused_when_set(void **state)
{
	assert_refused("{\"name\":\"a\",\"packed_vq\":true}",
			"packed_vq: not supported by this version of weir");
	assert_refused("{\"name\":\"a\",\"depth\":5}",
			"depth: not supported by this version of weir");
	assert_refused("{\"name\":\"a\",\"secret\":\"x\"}",
			"secret: not supported by this version of weir");
}

static void
decode_alias_stands_for_its_name(void **state)
{
	struct args args;

	assert_int_equal(decode("{\"name\":\"a\",\"max_xfer_size\":8192}", &args), 0);
	assert_int_equal(args.max_write, 8192);
	assert_int_equal(
			decode("{\"name\":\"a\",\"max-xfer_size\":8192,\"max_write\":8192}", &args),
			0);
	assert_int_equal(args.max_write, 8192);
}

static void
decode_alias_and_name_that_differ_are_refused(void **state)
{
	assert_refused("{\"name\":\"a\",\"max_write\":4096,\"max_xfer_size\":8192}",
			"max_write: differs from max_xfer_size, which means the same");
	assert_refused("{\"name\":\"a\",\"wait-for-done\":true,\"wait_for_done\":false}",
			"wait-for-done: differs from wait_for_done, which means the same");
}

static void
decode_dashes_and_underscores_are_alike(void **state)
{
	struct args args;

	assert_int_equal(decode("{\"name\":\"a\",\"wait-for-done\":true}", &args), 0);
	assert_true(args.wait_for_done);
	assert_int_equal(decode("{\"name\":\"a\",\"wait-for_done\":true}", &args), 0);
	assert_true(args.wait_for_done);
}

static void
decode_long_key_leaves_room_for_the_reason(void **state)
{
	char text[2048], key[1024];

	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	snprintf(text, sizeof(text), "{\"%s\":1}", key);
	snprintf(key + 64, sizeof(key) - 64, ": unknown parameter");
	assert_refused(text, key);
}

static void
encode_gives_back_what_was_decoded(void **state)
{
	struct args args, again;
	json_t *obj;

	assert_int_equal(decode("{\"name\":\"a\",\"queue_size\":32,\"platform\":\"x86\","
				"\"bytes\":5,\"sure\":false,\"timeout\":9}",
					 &args),
			0);
	obj = weir_param_encode(params, RTE_DIM(params), &args);
	assert_int_equal(json_integer_value(json_object_get(obj, "queue_size")), 32);
	assert_string_equal(json_string_value(json_object_get(obj, "platform")), "x86");
	assert_true(json_is_false(json_object_get(obj, "sure")));
	assert_int_equal(json_object_size(obj), RTE_DIM(params));

	memset(&again, 0xa5, sizeof(again));
	assert_int_equal(weir_param_decode(params, RTE_DIM(params), obj, &again, err, sizeof(err)),
			0);
	assert_int_equal(again.queue_size, 32);
	assert_int_equal(again.platform, 1);
	assert_int_equal(again.timeout, 9);
	assert_true(again.has_timeout);
	json_decref(obj);
}

static void
encode_leaves_out_what_was_not_given(void **state)
{
	struct args args;
	json_t *obj;

	assert_int_equal(decode("{\"name\":\"a\"}", &args), 0);
	obj = weir_param_encode(params, RTE_DIM(params), &args);
	assert_null(json_object_get(obj, "timeout"));
	assert_int_equal(json_object_size(obj), RTE_DIM(params) - 1);
	json_decref(obj);
}

static void
assert_row(json_t *schema, const char *name, const char *expected)
{
	json_t *want = json_loads(expected, 0, NULL);

	assert_non_null(want);
	if (!json_equal(json_object_get(schema, name), want)) {
		json_dumpf(json_object_get(schema, name), stderr, 0);
		fail_msg(" is not %s", expected);
	}
	json_decref(want);
}

static void
schema_describes_every_row(void **state)
{
	json_t *schema = weir_param_schema(params, RTE_DIM(params));

	assert_int_equal(json_object_size(schema), RTE_DIM(params));
	assert_row(schema, "name",
			"{\"type\":\"string\",\"help\":\"unique name\",\"required\":true,"
			"\"supported\":true,\"max_length\":7,\"position\":1}");
	assert_row(schema, "max_write",
			"{\"type\":\"uint32\",\"help\":\"\",\"required\":false,\"supported\":true,"
			"\"default\":131072,\"min\":4096,\"max\":1048576,"
			"\"aliases\":[\"max_xfer_size\"]}");
	assert_row(schema, "queue_size",
			"{\"type\":\"uint32\",\"help\":\"\",\"required\":false,\"supported\":true,"
			"\"default\":64,\"min\":8,\"max\":1024,\"power_of_two\":true}");
	assert_row(schema, "bytes",
			"{\"type\":\"uint64\",\"help\":\"\",\"required\":false,\"supported\":true,"
			"\"default\":7,\"min\":0,\"max\":9223372036854775807}");
	assert_row(schema, "platform",
			"{\"type\":\"enum\",\"help\":\"\",\"required\":false,\"supported\":true,"
			"\"default\":\"x86_64\",\"choices\":[\"native\",\"x86\",\"x86_64\"]}");
	assert_row(schema, "packed_vq",
			"{\"type\":\"bool\",\"help\":\"\",\"required\":false,\"supported\":false,"
			"\"default\":false}");
	assert_row(schema, "timeout",
			"{\"type\":\"uint32\",\"help\":\"\",\"required\":false,\"supported\":true,"
			"\"min\":0,\"max\":4294967295}");
	assert_row(schema, "tag",
			"{\"type\":\"string\",\"help\":\"\",\"required\":false,\"supported\":true,"
			"\"default\":\"\",\"max_length\":36,\"short\":\"t\"}");
	json_decref(schema);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode_nothing_given_fills_defaults),
		cmocka_unit_test(decode_everything_given_fills_all),
		cmocka_unit_test(decode_no_object_means_no_keys),
		cmocka_unit_test(decode_unknown_key_is_named),
		cmocka_unit_test(decode_array_is_refused),
		cmocka_unit_test(decode_required_missing_or_empty_is_named),
		cmocka_unit_test(decode_wrong_type_is_refused),
		cmocka_unit_test(decode_out_of_range_tells_the_range),
		cmocka_unit_test(decode_not_a_power_of_two_is_refused),
		cmocka_unit_test(decode_enum_outside_lists_choices),
		cmocka_unit_test(decode_string_too_long_is_refused),
		cmocka_unit_test(decode_embedded_nul_is_refused),
		cmocka_unit_test(decode_unsupported_is_refused_when_set),
		cmocka_unit_test(decode_alias_stands_for_its_name),
		cmocka_unit_test(decode_alias_and_name_that_differ_are_refused),
		cmocka_unit_test(decode_dashes_and_underscores_are_alike),
		cmocka_unit_test(decode_long_key_leaves_room_for_the_reason),
		cmocka_unit_test(encode_gives_back_what_was_decoded),
		cmocka_unit_test(encode_leaves_out_what_was_not_given),
		cmocka_unit_test(schema_describes_every_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
