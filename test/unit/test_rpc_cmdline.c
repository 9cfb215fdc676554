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
#include <unistd.h>

#include <cmocka.h>

#include "rpc.h"

/* Every kind of parameter under the names of the documented commands. */
struct device_args {
	char transport_name[16];
	char dev_name[32];
	char manager[32];
	uint32_t num_request_queues;
	uint32_t driver_platform;
	bool packed_vq;
	bool wait_for_done;
};

static const char *const platforms[] = { "native", "x86_64", NULL };
static const char *const queue_aliases[] = { "nb_queues", NULL };

static const struct weir_param device_params[] = {
	WEIR_PARAM(device_args, transport_name, WEIR_STR, .short_opt = 't'),
	WEIR_PARAM(device_args, dev_name, WEIR_STR),
	WEIR_PARAM(device_args, manager, WEIR_STR, .short_opt = 'm'),
	WEIR_PARAM(device_args, num_request_queues, WEIR_U32, .max = 254, .aliases = queue_aliases),
	WEIR_PARAM(device_args, driver_platform, WEIR_ENUM, .choices = platforms),
	WEIR_PARAM(device_args, packed_vq, WEIR_BOOL, .short_opt = 'p'),
	WEIR_PARAM(device_args, wait_for_done, WEIR_BOOL),
};

/* What the calls of an init file left behind: their names, one letter each. */
static char calls[64];
static struct weir_rpc_call *held;

static void
note(char c)
{
	size_t len = strlen(calls);

	assert_true(len + 1 < sizeof(calls));
	calls[len] = c;
	calls[len + 1] = '\0';
}

static void WEIR_ON_CONTROL
device_call(struct weir_rpc_call *call, const void *args)
{
	note('d');
	weir_rpc_reply_true(call);
}

WEIR_RPC_METHOD(device, "virtio_fs_device_create", "", struct device_args, device_params)

struct aio_args {
	char name[32];
	char root_path[64];
};

static const struct weir_param aio_params[] = {
	WEIR_PARAM(aio_args, name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 1,
			.short_opt = 'n'),
	WEIR_PARAM(aio_args, root_path, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 2),
};

static void WEIR_ON_CONTROL
aio_call(struct weir_rpc_call *call, const void *args)
{
	const struct aio_args *a = args;

	note(a->name[0]);
	weir_rpc_reply(call, json_string(a->name));
}

WEIR_RPC_METHOD(aio, "fsdev_aio_create", "", struct aio_args, aio_params)

static void WEIR_ON_CONTROL
hold_call(struct weir_rpc_call *call, const void *args)
{
	note('h');
	held = call;
}

WEIR_RPC_METHOD0(hold, "hold", "")

static char err[RPC_TEXT_MAX];

static void
assert_parsed(const char *line, const char *name, const char *expected)
{
	json_t *params = NULL, *want = json_loads(expected, 0, NULL);
	const struct weir_rpc_method *method = NULL;

	assert_non_null(want);
	if (rpc_cmdline_parse(line, &method, &params, err, sizeof(err)) != 0)
		fail_msg("%s: %s", line, err);
	assert_non_null(method);
	assert_string_equal(method->name, name);
	if (!json_equal(params, want)) {
		json_dumpf(params, stderr, 0);
		fail_msg(" is not %s", expected);
	}
	json_decref(params);
	json_decref(want);
}

static void
assert_device(const char *options, const char *expected)
{
	char line[512];

	snprintf(line, sizeof(line), "virtio_fs_device_create %s", options);
	assert_parsed(line, "virtio_fs_device_create", expected);
}

static void
assert_refused(const char *line, int code, const char *why)
{
	const struct weir_rpc_method *method;
	json_t *params;

	assert_int_equal(rpc_cmdline_parse(line, &method, &params, err, sizeof(err)), code);
	assert_string_equal(err, why);
}

static void
assert_blank(const char *line)
{
	const struct weir_rpc_method *method = (void *)err;
	json_t *params = NULL;

	assert_int_equal(rpc_cmdline_parse(line, &method, &params, err, sizeof(err)), 0);
	assert_null(method);
	json_decref(params);
}

static void
line_as_documented_is_parsed(void **state)
{
	assert_parsed("fsdev_aio_create aio0 /etc/virtiofs", "fsdev_aio_create",
			"{\"name\":\"aio0\",\"root_path\":\"/etc/virtiofs\"}");
	assert_parsed("rpc.py --plugin rpc_virtio_fs_tgt -v virtio_fs_device_create -t DOCA",
			"virtio_fs_device_create", "{\"transport_name\":\"DOCA\"}");
	assert_parsed("--plugin rpc_virtio_fs_tgt -v virtio_fs_device_create --transport-name DOCA "
		      "--dev-name vfsdev0 --num-request-queues 62 --driver-platform x86_64",
			"virtio_fs_device_create",
			"{\"transport_name\":\"DOCA\",\"dev_name\":\"vfsdev0\","
			"\"num_request_queues\":62,\"driver_platform\":\"x86_64\"}");
	assert_parsed("/usr/bin/spdk_rpc.py -t 120 virtio_fs_device_create -m mlx5_0",
			"virtio_fs_device_create", "{\"manager\":\"mlx5_0\"}");
	assert_device("--dev-name x --wait-for-done",
			"{\"dev_name\":\"x\",\"wait_for_done\":true}");
}

static void
line_with_client_options_ignores_them(void **state)
{
	assert_parsed("weir-rpc.py --plugin=x --timeout=5 --timeout 5 --verbose hold", "hold",
			"{}");
}

static void
line_blank_or_comment_is_nothing(void **state)
{
	assert_blank("");
	assert_blank(" \t\r");
	assert_blank("# fsdev_aio_create aio0");
	assert_blank("  #");
}

static void
option_forms_are_alike(void **state)
{
	static const char want[] = "{\"transport_name\":\"DOCA\",\"num_request_queues\":8}";

	assert_device("--transport-name DOCA --num-request-queues 8", want);
	assert_device("--transport_name=DOCA --num_request-queues=8", want);
	assert_device("-t DOCA --nb-queues 8", want);
	assert_device("-tDOCA --nb_queues=0x8", want);
	assert_device("-t DOCA -t DOCA --nb_queues=8 --num_request_queues 8", want);
}

static void
option_value_may_look_like_an_option(void **state)
{
	assert_device("--dev-name --tag", "{\"dev_name\":\"--tag\"}");
	assert_device("--dev-name=--tag=x", "{\"dev_name\":\"--tag=x\"}");
	assert_device("--num-request-queues -1", "{\"num_request_queues\":-1}");
}

static void
flag_takes_no_word(void **state)
{
	assert_device("--packed-vq --wait-for-done=false",
			"{\"packed_vq\":true,\"wait_for_done\":false}");
	assert_device("-p", "{\"packed_vq\":true}");
	assert_refused("virtio_fs_device_create --packed-vq true", -32602,
			"Invalid parameters: true: unexpected word");
	assert_refused("virtio_fs_device_create -px", -32602,
			"Invalid parameters: -px: unknown option");
	assert_refused("virtio_fs_device_create --packed-vq=1", -32602,
			"Invalid parameters: packed_vq: must be true or false");
}

static void
quotes_and_escapes_make_one_word(void **state)
{
	assert_device("--dev-name \"a b\"", "{\"dev_name\":\"a b\"}");
	assert_device("--dev-name 'a \"\\ b'", "{\"dev_name\":\"a \\\"\\\\ b\"}");
	assert_device("--dev-name \"a \\\" \\\\ \\n\"", "{\"dev_name\":\"a \\\" \\\\ \\\\n\"}");
	assert_device("--dev-name a\\ b", "{\"dev_name\":\"a b\"}");
	assert_device("--dev-name a'b 'c\"d\"", "{\"dev_name\":\"ab cd\"}");
	assert_device("--dev-name ''", "{\"dev_name\":\"\"}");
	assert_device("--dev-name=\"a b\"", "{\"dev_name\":\"a b\"}");
}

static void
comment_begins_only_at_a_word(void **state)
{
	assert_device("--dev-name a#b # c 'd", "{\"dev_name\":\"a#b\"}");
	assert_device("--dev-name '#a'", "{\"dev_name\":\"#a\"}");
	assert_device("--dev-name \\#a", "{\"dev_name\":\"#a\"}");
}

static void
line_malformed_is_refused(void **state)
{
	char line[512];

	assert_refused("hold 'a", -32602, "no closing '");
	assert_refused("hold \"a", -32602, "no closing \"");
	assert_refused("hold a\\", -32602, "nothing follows the backslash");
	assert_refused("-v", -32602, "the line has no method");
	assert_refused("--plugin", -32602, "--plugin: needs a value");
	assert_refused("-s /run/x hold", -32602, "-s: no such option before the method");
	assert_refused("nothing", -32601, "Method not found: nothing");
	assert_refused("fsdev_aio_create a b c", -32602, "Invalid parameters: c: unexpected word");
	assert_refused("virtio_fs_device_create --tag x", -32602,
			"Invalid parameters: tag: unknown parameter");
	assert_refused("virtio_fs_device_create -x x", -32602,
			"Invalid parameters: -x: unknown option");
	assert_refused("virtio_fs_device_create --dev-name", -32602,
			"Invalid parameters: dev_name: needs a value");
	assert_refused("virtio_fs_device_create -t", -32602,
			"Invalid parameters: transport_name: needs a value");
	assert_refused("virtio_fs_device_create -t a --transport-name b", -32602,
			"Invalid parameters: transport_name: given twice");
	assert_refused("fsdev_aio_create a b -n c", -32602,
			"Invalid parameters: name: given twice");
	assert_refused("fsdev_aio_create \xff", -32602, "Invalid parameters: name: must be UTF-8");

	memset(line, ' ', sizeof(line));
	for (int i = 0; i <= 128; i++)
		line[2 * i] = 'a';
	line[2 * 129] = '\0';
	assert_refused(line, -32602, "more than 128 words");
}

static void
number_malformed_is_refused(void **state)
{
	static const char *const bad[] = { "x", "1x", "''", "' 1'", "1.0", "0x",
		"99999999999999999999" };
	char line[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "virtio_fs_device_create --nb-queues %s", bad[i]);
		assert_refused(line, -32602,
				"Invalid parameters: num_request_queues: must be an integer");
	}
	assert_device("--nb-queues 010", "{\"num_request_queues\":10}");
}

static char path[64];
static int ended, end_code;
static char end_message[RPC_TEXT_MAX];

static void
file_done(void *arg, int code, const char *message)
{
	ended++;
	end_code = code;
	snprintf(end_message, sizeof(end_message), "%s", message == NULL ? "" : message);
}

static int WEIR_ON_CONTROL
run_file_sized(const char *text, size_t len)
{
	int fd, rc;

	snprintf(path, sizeof(path), "/tmp/weir-test-init-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	calls[0] = '\0';
	ended = 0;
	rc = weir_rpc_init_file(path, file_done, NULL);
	assert_int_equal(unlink(path), 0);
	return rc;
}

static void WEIR_ON_CONTROL
run_file(const char *text)
{
	assert_int_equal(run_file_sized(text, strlen(text)), 0);
}

static void
assert_ended(int code, unsigned int line, const char *why)
{
	char message[RPC_TEXT_MAX] = "";

	if (code != 0)
		snprintf(message, sizeof(message), "%s:%u: %s", path, line, why);
	assert_int_equal(ended, 1);
	assert_int_equal(end_code, code);
	assert_string_equal(end_message, message);
}

static void
file_runs_its_lines_in_order(void **state)
{
	weir_role_assume_control();
	run_file("# bring-up\n\nfsdev_aio_create a /x\r\n"
		 "--plugin rpc_virtio_fs_tgt -v virtio_fs_device_create -t DOCA\n"
		 "fsdev_aio_create b /x");
	assert_ended(0, 0, NULL);
	assert_string_equal(calls, "adb");
}

static void
file_empty_succeeds(void **state)
{
	weir_role_assume_control();
	run_file("");
	assert_ended(0, 0, NULL);
}

static void
file_backslash_continues_a_line(void **state)
{
	weir_role_assume_control();
	run_file("fsdev_aio_create \\\n a \\\n /x\nfsdev_aio_create b\\\nb /x\n# c \\\nx\n\\\n");
	assert_ended(0, 0, NULL);
	assert_string_equal(calls, "ab");
	run_file("fsdev_aio_create \\\n a \\\n /x\n\nnothing\n");
	assert_ended(-32601, 5, "Method not found: nothing");
	run_file("fsdev_aio_create a /x\\\\\nnothing\n");
	assert_ended(-32601, 2, "Method not found: nothing");
}

static void
file_stops_at_the_first_failure(void **state)
{
	weir_role_assume_control();
	run_file("fsdev_aio_create a /x\nfsdev_aio_create b\nfsdev_aio_create c /x\n");
	assert_ended(-32602, 2, "Invalid parameters: root_path: required");
	assert_string_equal(calls, "a");
	run_file("fsdev_aio_create a /x\n\nfsdev_aio_create 'b\n");
	assert_ended(-32602, 3, "no closing '");
}

static void
file_waits_for_each_call(void **state)
{
	weir_role_assume_control();
	run_file("hold\nfsdev_aio_create a /x\nhold\nfsdev_aio_create b /x\n");
	assert_int_equal(ended, 0);
	assert_string_equal(calls, "h");
	weir_rpc_reply_true(held);
	assert_int_equal(ended, 0);
	assert_string_equal(calls, "hah");
	weir_rpc_fail(held, -ETIMEDOUT, "too late");
	assert_ended(-ETIMEDOUT, 3, "too late");
	assert_string_equal(calls, "hah");
}

static void
file_unreadable_is_refused(void **state)
{
	static char big[(1 << 20) + 1];

	weir_role_assume_control();
	assert_int_equal(weir_rpc_init_file("/nonexistent/init", file_done, NULL), -ENOENT);
	assert_int_equal(weir_rpc_init_file("/", file_done, NULL), -EISDIR);
	assert_int_equal(run_file_sized("hold\0", 5), -EINVAL);
	memset(big, '\n', sizeof(big));
	assert_int_equal(run_file_sized(big, sizeof(big)), -EFBIG);
	assert_int_equal(ended, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_as_documented_is_parsed),
		cmocka_unit_test(line_with_client_options_ignores_them),
		cmocka_unit_test(line_blank_or_comment_is_nothing),
		cmocka_unit_test(option_forms_are_alike),
		cmocka_unit_test(option_value_may_look_like_an_option),
		cmocka_unit_test(flag_takes_no_word),
		cmocka_unit_test(quotes_and_escapes_make_one_word),
		cmocka_unit_test(comment_begins_only_at_a_word),
		cmocka_unit_test(line_malformed_is_refused),
		cmocka_unit_test(number_malformed_is_refused),
		cmocka_unit_test(file_runs_its_lines_in_order),
		cmocka_unit_test(file_empty_succeeds),
		cmocka_unit_test(file_backslash_continues_a_line),
		cmocka_unit_test(file_stops_at_the_first_failure),
		cmocka_unit_test(file_waits_for_each_call),
		cmocka_unit_test(file_unreadable_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
