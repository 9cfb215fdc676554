/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_rpc.h"

#include "rpc_client.h"

static const char two_requests[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\","
				   "\"params\":{\"text\":\"a}\\\"]\"}}"
				   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"yes\"}";
static const char echo_answer[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":"
				  "{\"text\":\"a}\\\"]\",\"number\":0}}";

static void
framing_two_requests_in_one_write_are_answered(void **state)
{
	int fd = rpc_client_open();

	rpc_say(fd, two_requests);
	assert_rpc_line(fd, echo_answer);
	assert_rpc_line(fd, TRUE_2);
	assert_rpc_silent(fd);
	close(fd);
}

static void
framing_byte_by_byte_is_answered_alike(void **state)
{
	int fd = rpc_client_open();

	for (size_t i = 0; i < sizeof(two_requests) - 1; i++)
		assert_int_equal(rpc_try_send(fd, two_requests + i, 1), 0);
	assert_rpc_line(fd, echo_answer);
	assert_rpc_line(fd, TRUE_2);
	close(fd);
}

static void
framing_pretty_printed_is_answered_alike(void **state)
{
	json_t *request = json_loadb(
			two_requests, sizeof(two_requests) - 1, JSON_DISABLE_EOF_CHECK, NULL);
	char *text = json_dumps(request, JSON_INDENT(2));
	int fd = rpc_client_open();

	assert_non_null(strchr(text, '\n'));
	rpc_say(fd, "\r\n\t ");
	rpc_say(fd, text);
	rpc_say(fd, "\n\n");
	assert_rpc_line(fd, echo_answer);
	rpc_say(fd, " \n{\"id\":1,\"method\":\"yes\"}");
	assert_rpc_line(fd, TRUE_1);
	free(text);
	json_decref(request);
	close(fd);
}

static void
id_is_echoed_as_it_was_written(void **state)
{
	static const char *const ids[] = { "1", "-1", "0", "1.50", "1e3", "9223372036854775808",
		"123456789012345678901234567890", "1e999", "\"\"", "\"a\\u00e4\\n\"", "\"null\"" };
	char request[256], answer[256];
	int fd = rpc_client_open();

	for (size_t i = 0; i < RTE_DIM(ids); i++) {
		snprintf(request, sizeof(request), "{\"id\" : %s ,\"method\":\"yes\"}", ids[i]);
		snprintf(answer, sizeof(answer), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":true}",
				ids[i]);
		rpc_say(fd, request);
		assert_rpc_line(fd, answer);
	}
	close(fd);
}

static void
id_absent_or_null_gets_no_reply_but_runs(void **state)
{
	unsigned int before = rpc_nb_true_calls;
	int fd = rpc_client_open();

	rpc_say(fd, "{\"method\":\"yes\"}{\"id\":null,\"method\":\"yes\"}");
	assert_rpc_silent(fd);
	assert_int_equal(rpc_nb_true_calls, before + 2);
	rpc_say(fd, "{\"method\":\"no\"}");
	assert_rpc_line(fd,
			"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":"
			"{\"code\":-19,\"message\":\"No such device: a b\"}}");
	close(fd);
}

static void
id_too_long_or_of_wrong_type_is_refused(void **state)
{
	char request[256];

	snprintf(request, sizeof(request), "{\"id\":\"%0127d\",\"method\":\"yes\"}", 7);
	assert_rpc_answer(request,
			"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,"
			"\"message\":\"Invalid request: id is longer than 128 bytes\"}}");
	assert_rpc_answer("{\"id\":{},\"method\":\"yes\"}",
			"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":"
			"\"Invalid request: id must be a string, a number or null\"}}");
	assert_rpc_answer("{\"i\\u0064\":1,\"method\":\"yes\"}",
			"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":"
			"\"Invalid request: the key id must be written without escapes\"}}");
}

static void
error_has_code_and_one_line(void **state)
{
	assert_rpc_answer("{\"id\":7,\"method\":\"no\"}",
			"{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":"
			"{\"code\":-19,\"message\":\"No such device: a b\"}}");
	assert_rpc_answer("{\"id\":\"x\",\"method\":\"nothing\"}",
			"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":"
			"{\"code\":-32601,\"message\":\"Method not found: nothing\"}}");
}

static void
request_malformed_is_refused_and_connection_lives(void **state)
{
	static const char *const bad[] = {
		"{\"id\":1}",
		"{\"id\":1,\"method\":5}",
		"{\"id\":1,\"method\":\"yes\",\"jsonrpc\":\"1.0\"}",
		"{\"id\":1,\"method\":\"yes\",\"jsonrpc\":2.0}",
		"{\"id\":1,\"method\":\"yes\",\"params\":5}",
		"{\"id\":1,\"method\":\"yes\",\"method\":\"yes\"}",
	};
	static const char start[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32600,"
				    "\"message\":\"Invalid request: ";
	int fd = rpc_client_open();
	char *line;

	for (size_t i = 0; i < RTE_DIM(bad); i++) {
		rpc_say(fd, bad[i]);
		line = rpc_read_line(fd);
		assert_non_null(line);
		assert_memory_equal(line, start, sizeof(start) - 1);
		free(line);
	}
	rpc_say(fd, "{\"id\":1,\"method\":\"yes\"}");
	assert_rpc_line(fd, TRUE_1);
	close(fd);
}

static void
params_wrong_are_refused_by_name(void **state)
{
	assert_rpc_answer("{\"id\":1,\"method\":\"echo\",\"params\":{\"txt\":\"\"}}",
			INVALID_PARAMS("txt: unknown parameter"));
	assert_rpc_answer("{\"id\":1,\"method\":\"echo\",\"params\":{\"number\":101}}",
			INVALID_PARAMS("number: 101 is not in 0..100"));
	assert_rpc_answer(
			"{\"id\":1,\"method\":\"echo\",\"params\":{\"number\":99999999999999999999}}",
			INVALID_PARAMS("number: number is too big"));
	assert_rpc_answer("{\"id\":1,\"method\":\"echo\",\"params\":{\"number\":1,\"number\":1}}",
			INVALID_PARAMS("number: given twice"));
	assert_rpc_answer("{\"id\":1,\"method\":\"echo\",\"params\":[1]}",
			INVALID_PARAMS("params: must be an object"));
	assert_rpc_answer("{\"id\":1,\"method\":\"yes\",\"params\":{\"number\":1}}",
			INVALID_PARAMS("number: unknown parameter"));
}

static void
params_absent_null_and_empty_are_alike(void **state)
{
	assert_rpc_answer("{\"id\":1,\"method\":\"yes\"}", TRUE_1);
	assert_rpc_answer("{\"id\":1,\"method\":\"yes\",\"params\":null}", TRUE_1);
	assert_rpc_answer("{\"id\":1,\"method\":\"yes\",\"params\":{}}", TRUE_1);
	assert_rpc_answer("{\"id\":1,\"method\":\"repeat\",\"params\":null}",
			"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"text\":\"\",\"number\":0}}");
}

static void
garbage_closes_only_its_connection(void **state)
{
	int other = rpc_client_open();

	rpc_say(other, "{\"id\":1,\"method\"");
	assert_rpc_fatal("hello", 5, PARSE_ERROR);
	assert_rpc_fatal("{\"id\":1,}", 9, PARSE_ERROR);
	assert_rpc_fatal("{]", 2, PARSE_ERROR);
	assert_rpc_fatal("[}", 2, PARSE_ERROR);
	assert_rpc_fatal("[1 2]", 5, PARSE_ERROR);
	assert_rpc_fatal("\"x\"", 3, PARSE_ERROR);
	assert_rpc_fatal("{\"id\":01,\"method\":\"yes\"}", 24, PARSE_ERROR);
	assert_rpc_fatal("{\"id\":1x,\"method\":\"yes\"}", 24, PARSE_ERROR);
	assert_rpc_fatal("\0", 1, PARSE_ERROR);
	assert_rpc_fatal("{\"id\":1,\"method\":\"\xff\"}", 21, PARSE_ERROR);
	rpc_say(other, ":\"yes\"}");
	assert_rpc_line(other, TRUE_1);
	close(other);
}

static void
garbage_does_not_lose_the_answers_before_it(void **state)
{
	int fd = rpc_client_open();

	rpc_say(fd, "{\"id\":5,\"method\":\"hold\"}{\"id\":1,\"method\":\"yes\"}garbage");
	assert_rpc_line(fd, TRUE_1);
	free(rpc_read_line(fd));
	weir_role_assume_control();
	weir_rpc_reply_true(rpc_held);
	rpc_held = NULL;
	assert_rpc_line(fd, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":true}");
	assert_rpc_closed(fd);
}

static void
request_over_one_mebibyte_is_refused(void **state)
{
	size_t size = 3 << 20;
	char *text = malloc(size);

	memset(text, 'x', size);
	assert_rpc_fatal(text, size, PARSE_ERROR);
	text[0] = '{';
	text[1] = '"';
	assert_rpc_fatal(
			text, size, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,");
	free(text);
}

static void
request_of_one_mebibyte_is_read(void **state)
{
	static const char head[] = "{\"id\":1,\"method\":\"yes\"";
	size_t size = 1 << 20;
	char *text = malloc(size + 1);

	memset(text, ' ', size);
	memcpy(text, head, sizeof(head) - 1);
	text[size - 1] = '}';
	text[size] = '\0';
	assert_rpc_answer(text, TRUE_1);
	free(text);
}

static void
nesting_too_deep_is_refused(void **state)
{
	char *text = malloc(10000);

	memset(text, '[', 10000);
	assert_rpc_fatal(text, 10000, PARSE_ERROR);
	for (size_t i = 0; i < 10000; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	assert_rpc_fatal(text, 10000, PARSE_ERROR);
	free(text);
}

static void
batch_is_answered_in_one_line(void **state)
{
	assert_rpc_answer("[{\"id\":1,\"method\":\"yes\"}, {\"method\":\"yes\"},"
			  "{\"id\":2,\"method\":\"yes\"}]",
			"[" TRUE_1 "," TRUE_2 "]");
	assert_rpc_answer("[]",
			"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":"
			"{\"code\":-32600,\"message\":\"Invalid request: empty batch\"}}");
	assert_rpc_answer("[1,{\"id\":1,\"method\":\"yes\"}]",
			"[{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,"
			"\"message\":\"Invalid request: not an object\"}}," TRUE_1 "]");
}

static void
batch_of_notifications_gets_no_answer(void **state)
{
	unsigned int before = rpc_nb_true_calls;
	int fd = rpc_client_open();

	rpc_say(fd, "[{\"method\":\"yes\"},{\"method\":\"yes\"}]");
	assert_rpc_silent(fd);
	assert_int_equal(rpc_nb_true_calls, before + 2);
	close(fd);
}

static void
batch_broken_runs_nothing(void **state)
{
	static const char text[] = "[{\"id\":1,\"method\":\"yes\"},{]}]";
	unsigned int before = rpc_nb_true_calls;

	assert_rpc_fatal(text, sizeof(text) - 1, PARSE_ERROR);
	assert_int_equal(rpc_nb_true_calls, before);
}

static void
batch_waits_for_its_last_call(void **state)
{
	int fd = rpc_client_open();

	rpc_say(fd, "[{\"id\":2,\"method\":\"hold\"},{\"id\":1,\"method\":\"yes\"}]");
	assert_rpc_silent(fd);
	weir_role_assume_control();
	weir_rpc_reply_true(rpc_held);
	rpc_held = NULL;
	assert_rpc_line(fd, "[" TRUE_1 "," TRUE_2 "]");
	close(fd);
}

static void
invoke_done(void *arg, int code, json_t *result, const char *message)
{
	char *text = arg;

	if (code == 0)
		snprintf(text, 256, "0 %s", json_is_true(result) ? "true" : "?");
	else
		snprintf(text, 256, "%d %s", code, message);
}

static void
invoke_runs_a_method_from_inside(void **state)
{
	json_t *params = json_pack("{s:i}", "number", 1);
	char text[256];

	weir_role_assume_control();
	weir_rpc_invoke("yes", NULL, invoke_done, text);
	assert_string_equal(text, "0 true");
	weir_rpc_invoke("yes", params, invoke_done, text);
	assert_string_equal(text, "-32602 Invalid parameters: number: unknown parameter");
	weir_rpc_invoke("no", NULL, invoke_done, text);
	assert_string_equal(text, "-19 No such device: a b");
	json_decref(params);
}

static void
get_methods_lists_names(void **state)
{
	char *line;
	int fd = rpc_client_open();

	rpc_say(fd, "{\"id\":1,\"method\":\"rpc_get_methods\"}");
	assert_rpc_line(fd,
			"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[\"big\",\"echo\",\"hold\",\"no\","
			"\"rpc_get_methods\",\"spdk_get_version\",\"weir_get_rpc_schema\","
			"\"yes\"]}");
	rpc_say(fd, "{\"id\":1,\"method\":\"rpc_get_methods\",\"params\":{\"include_aliases\":true}}");
	line = rpc_read_line(fd);
	assert_non_null(strstr(line, "\"echo\",\"repeat\","));
	free(line);
	close(fd);
}

static void
get_schema_describes_one_method(void **state)
{
	assert_rpc_answer(
			"{\"id\":1,\"method\":\"weir_get_rpc_schema\",\"params\":{\"method\":\"yes\"}}",
			"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[{\"name\":\"yes\","
			"\"help\":\"Say true\",\"aliases\":[],\"params\":{}}]}");
	assert_rpc_answer(
			"{\"id\":1,\"method\":\"weir_get_rpc_schema\",\"params\":{\"method\":\"x\"}}",
			INVALID_PARAMS("method: no method is named x"));
}

static void
get_version_tells_version_and_fields(void **state)
{
	int fd = rpc_client_open();
	json_t *answer, *result;
	char *line;

	rpc_say(fd, "{\"id\":1,\"method\":\"spdk_get_version\"}");
	line = rpc_read_line(fd);
	answer = json_loads(line, 0, NULL);
	result = json_object_get(answer, "result");
	assert_memory_equal(json_string_value(json_object_get(result, "version")),
			"weir " WEIR_VERSION " ", sizeof("weir " WEIR_VERSION));
	assert_int_equal(json_object_size(json_object_get(result, "fields")), 4);
	json_decref(answer);
	free(line);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(framing_two_requests_in_one_write_are_answered),
		cmocka_unit_test(framing_byte_by_byte_is_answered_alike),
		cmocka_unit_test(framing_pretty_printed_is_answered_alike),
		cmocka_unit_test(id_is_echoed_as_it_was_written),
		cmocka_unit_test(id_absent_or_null_gets_no_reply_but_runs),
		cmocka_unit_test(id_too_long_or_of_wrong_type_is_refused),
		cmocka_unit_test(error_has_code_and_one_line),
		cmocka_unit_test(request_malformed_is_refused_and_connection_lives),
		cmocka_unit_test(params_wrong_are_refused_by_name),
		cmocka_unit_test(params_absent_null_and_empty_are_alike),
		cmocka_unit_test(garbage_closes_only_its_connection),
		cmocka_unit_test(garbage_does_not_lose_the_answers_before_it),
		cmocka_unit_test(request_over_one_mebibyte_is_refused),
		cmocka_unit_test(request_of_one_mebibyte_is_read),
		cmocka_unit_test(nesting_too_deep_is_refused),
		cmocka_unit_test(batch_is_answered_in_one_line),
		cmocka_unit_test(batch_of_notifications_gets_no_answer),
		cmocka_unit_test(batch_broken_runs_nothing),
		cmocka_unit_test(batch_waits_for_its_last_call),
		cmocka_unit_test(invoke_runs_a_method_from_inside),
		cmocka_unit_test(get_methods_lists_names),
		cmocka_unit_test(get_schema_describes_one_method),
		cmocka_unit_test(get_version_tells_version_and_fields),
	};

	return cmocka_run_group_tests(tests, rpc_client_setup, rpc_client_teardown);
}
