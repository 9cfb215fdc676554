/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Asks DPDK's own telemetry socket, which EAL opens in a private folder without hugepages. */

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_eal.h>

#include "weir_stats.h"

static char dir[32];
static int sock = -1;

/* The answer to everything: the JSON text that a test wants to see there. */
static const char *answer;
static char seen_param[64];

static json_t *
test_fill(const char *param)
{
	snprintf(seen_param, sizeof(seen_param), "%s", param == NULL ? "(null)" : param);
	return answer == NULL ? NULL : json_loads(answer, JSON_DECODE_ANY, NULL);
}

static const struct weir_stats_provider provider = {
	.command = "/weir/test",
	.help = "for the test",
	.fill = test_fill,
};

static json_t *
ask(const char *command)
{
	static char reply[32 << 10];
	json_t *root, *value;
	ssize_t n;

	assert_int_equal(send(sock, command, strlen(command), 0), strlen(command));
	n = recv(sock, reply, sizeof(reply), 0);
	assert_true(n > 0);
	root = json_loadb(reply, (size_t)n, 0, NULL);
	assert_non_null(root);
	value = json_incref(json_object_get(root, "/weir/test"));
	json_decref(root);
	return value;
}

static void
assert_reply(const char *said, const char *expected)
{
	json_t *want = json_loads(expected, JSON_DECODE_ANY, NULL), *got;

	assert_non_null(want);
	answer = said;
	got = ask("/weir/test");
	if (!json_equal(got, want)) {
		json_dumpf(got, stderr, JSON_ENCODE_ANY);
		fail_msg(" is not %s", expected);
	}
	json_decref(got);
	json_decref(want);
}

static void
telemetry_passes_the_parameter(void **state)
{
	answer = "{}";
	json_decref(ask("/weir/test,vfsdev0"));
	assert_string_equal(seen_param, "vfsdev0");
	json_decref(ask("/weir/test"));
	assert_string_equal(seen_param, "(null)");
}

static void
telemetry_says_that_an_object_is_unknown(void **state)
{
	assert_reply(NULL, "{\"error\":\"there is no object of this name\"}");
}

static void
telemetry_shows_nested_objects(void **state)
{
	assert_reply("{\"a\":1,\"b\":{\"c\":\"x\",\"d\":{\"e\":[1,2],\"f\":[]}}}",
			"{\"a\":1,\"b\":{\"c\":\"x\",\"d\":{\"e\":[1,2],\"f\":[]}}}");
}

static void
telemetry_shows_big_numbers_whole(void **state)
{
	assert_reply("{\"n\":9223372036854775807,\"list\":[9223372036854775807]}",
			"{\"n\":9223372036854775807,\"list\":[9223372036854775807]}");
}

static void
telemetry_spells_out_what_it_has_no_type_for(void **state)
{
	assert_reply("{\"r\":1.5,\"t\":true,\"f\":false,\"n\":null,\"m\":-3,\"x\":[1,\"a\",true,-1]}",
			"{\"r\":\"1.5\",\"t\":1,\"f\":0,\"n\":\"\",\"m\":\"-3\","
			"\"x\":[\"1\",\"a\",\"true\",\"-1\"]}");
}

static void
telemetry_makes_dictionaries_of_lists_of_objects(void **state)
{
	assert_reply("[{\"name\":\"dev-0\",\"n\":1},{\"name\":\"dev1\",\"n\":2}]",
			"{\"dev_0\":{\"name\":\"dev-0\",\"n\":1},"
			"\"dev1\":{\"name\":\"dev1\",\"n\":2}}");
	assert_reply("{\"queues\":[{\"id\":0},{\"id\":1}],\"grid\":[[1],[2]]}",
			"{\"queues\":{\"0\":{\"id\":0},\"1\":{\"id\":1}},"
			"\"grid\":{\"0\":[1],\"1\":[2]}}");
}

static void
telemetry_shows_plain_values(void **state)
{
	assert_reply("[\"a\",\"b\"]", "[\"a\",\"b\"]");
	assert_reply("[]", "[]");
	assert_reply("\"text\"", "\"text\"");
	assert_reply("12", "\"12\"");
}

static void
assert_too_long(json_t *value)
{
	char *text = json_dumps(value, 0);

	assert_reply(text,
			"{\"error\":\"too long for telemetry; name one object, or use weir-rpc.py\"}");
	free(text);
	json_decref(value);
}

static void
telemetry_says_that_an_answer_is_too_long(void **state)
{
	json_t *text = json_array(), *list = json_array(), *inner = json_object();
	char long_text[101];
	int i;

	memset(long_text, 'x', 100);
	long_text[100] = '\0';
	for (i = 0; i < 200; i++)
		json_array_append_new(text, json_string(long_text));
	assert_too_long(text);

	for (i = 0; i < 513; i++)
		json_array_append_new(list, json_integer(i));
	json_object_set_new(inner, "list", list);
	assert_too_long(inner);
}

static void
register_twice_is_refused(void **state)
{
	assert_int_equal(weir_stats_register(&provider), -EEXIST);
}

static void
register_bad_command_is_refused(void **state)
{
	static const struct weir_stats_provider bad = {
		.command = "weir test", .help = "", .fill = test_fill
	};

	assert_int_equal(weir_stats_register(&bad), -EINVAL);
	assert_int_equal(weir_stats_register(&bad), -EINVAL);
}

static int
connect_telemetry(void)
{
	const struct timeval limit = { .tv_sec = 10 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char hello[1024];

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dpdk_telemetry.v2",
			rte_eal_get_runtime_dir());
	sock = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -1;
	return recv(sock, hello, sizeof(hello), 0) > 0 ? 0 : -1;
}

static int
setup(void **state)
{
	char cpu[12];
	char *argv[] = { (char[]){ "test" }, (char[]){ "--no-huge" }, (char[]){ "-m" },
		(char[]){ "16" }, (char[]){ "--no-pci" }, (char[]){ "-l" }, cpu,
		(char[]){ "--log-level=error" }, (char[]){ "--file-prefix=test" }, NULL };

	snprintf(cpu, sizeof(cpu), "%d", sched_getcpu());
	snprintf(dir, sizeof(dir), "/tmp/weir-test-tel-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	setenv("RUNTIME_DIRECTORY", dir, 1);
	if (rte_eal_init(9, argv) < 0 || weir_stats_register(&provider) < 0)
		return -1;
	return connect_telemetry();
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int
teardown(void **state)
{
	close(sock);
	rte_eal_cleanup();
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(telemetry_passes_the_parameter),
		cmocka_unit_test(telemetry_says_that_an_object_is_unknown),
		cmocka_unit_test(telemetry_shows_nested_objects),
		cmocka_unit_test(telemetry_shows_big_numbers_whole),
		cmocka_unit_test(telemetry_spells_out_what_it_has_no_type_for),
		cmocka_unit_test(telemetry_makes_dictionaries_of_lists_of_objects),
		cmocka_unit_test(telemetry_shows_plain_values),
		cmocka_unit_test(telemetry_says_that_an_answer_is_too_long),
		cmocka_unit_test(register_twice_is_refused),
		cmocka_unit_test(register_bad_command_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
