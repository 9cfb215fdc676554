/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "rpc.h"

static const char parse_error[] = "Parse error";

/* One call of an exchange. The id is what the client wrote, empty when it wants no reply. */
struct request {
	struct rpc_exchange *ex;
	char id[RPC_ID_MAX + 1];
};

static void
exchange_put(struct rpc_exchange *ex)
{
	struct rpc_span line = { 0 };

	if (--ex->nb_open > 0)
		return;
	if (ex->text.len > 0) {
		rpc_text_puts(&ex->text, ex->is_batch ? "]\n" : "\n");
		line = (struct rpc_span){ ex->text.data, ex->text.len };
	}
	/* An answer that did not fit into memory is lost, and the client must not wait for it. */
	if (ex->text.failed)
		line = (struct rpc_span){ 0 };
	ex->answer(ex, line, ex->fatal || ex->text.failed);
	rpc_text_free(&ex->text);
	free(ex);
}

static void
answer_begin(struct rpc_exchange *ex, const char *id)
{
	if (ex->is_batch)
		rpc_text_puts(&ex->text, ex->text.len == 0 ? "[" : ",");
	rpc_text_puts(&ex->text, "{\"jsonrpc\":\"2.0\",\"id\":");
	rpc_text_puts(&ex->text, id[0] == '\0' ? "null" : id);
}

static void
answer_error(struct rpc_exchange *ex, const char *id, int code, const char *message)
{
	json_t *error = json_pack("{s:i, s:s}", "code", code, "message", message);

	answer_begin(ex, id);
	rpc_text_puts(&ex->text, ",\"error\":");
	rpc_text_json(&ex->text, error);
	rpc_text_puts(&ex->text, "}");
	json_decref(error);
}

static void
answer_result(struct rpc_exchange *ex, const char *id, const json_t *result)
{
	if (id[0] == '\0')
		return;
	answer_begin(ex, id);
	rpc_text_puts(&ex->text, ",\"result\":");
	rpc_text_json(&ex->text, result);
	rpc_text_puts(&ex->text, "}");
}

static void
request_done(void *arg, int code, json_t *result, const char *message)
{
	struct request *req = arg;
	struct rpc_exchange *ex = req->ex;

	if (ex->owner != NULL) {
		if (code == 0)
			answer_result(ex, req->id, result);
		else
			answer_error(ex, req->id, code, message);
	}
	free(req);
	exchange_put(ex);
}

/*
 * Takes the id out of a request as it was written: a number may be too big or too precise for any
 * type of ours. In the text a 0 takes its place. Returns 0, or the code of the error.
 */
static int
request_take_id(char *id, struct rpc_span text, const char **why)
{
	struct rpc_span span = rpc_span_member(text, "id");
	json_t *value;
	bool ok;

	id[0] = '\0';
	if (span.len == 0 || (span.len == 4 && memcmp(span.p, "null", 4) == 0))
		return 0;
	ok = rpc_span_is_number(span);
	if (!ok) {
		value = json_loadb(span.p, span.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		ok = json_is_string(value);
		*why = value == NULL ? parse_error :
				       "Invalid request: id must be a string, a number or null";
		json_decref(value);
	}
	if (!ok)
		return *why == parse_error ? WEIR_RPC_PARSE_ERROR : WEIR_RPC_INVALID_REQUEST;
	if (span.len > RPC_ID_MAX) {
		*why = "Invalid request: id is longer than 128 bytes";
		return WEIR_RPC_INVALID_REQUEST;
	}
	memcpy(id, span.p, span.len);
	id[span.len] = '\0';
	memset((char *)(uintptr_t)span.p, ' ', span.len);
	*(char *)(uintptr_t)span.p = '0';
	return 0;
}

/* Turns what jansson says of a text that is no request into code and message. */
static int
load_error(struct rpc_span text, const json_error_t *error, char *message, size_t size)
{
	enum json_error_code code = json_error_code(error);
	struct rpc_span key;
	unsigned int depth;
	const char *why;

	if (code == json_error_duplicate_key)
		why = "given twice";
	else if (code == json_error_numeric_overflow)
		why = "number is too big";
	else if (code == json_error_null_byte_in_key)
		why = "a key must not contain a NUL";
	else {
		snprintf(message, size, "%s: %s", parse_error, error->text);
		return WEIR_RPC_PARSE_ERROR;
	}
	key = rpc_span_last_key(text, (size_t)error->position, &depth);
	snprintf(message, size, "%s: %.*s: %s",
			depth > 1 ? "Invalid parameters" : "Invalid request",
			(int)RTE_MIN(key.len, 64u), key.p == NULL ? "" : key.p, why);
	return depth > 1 ? WEIR_RPC_INVALID_PARAMS : WEIR_RPC_INVALID_REQUEST;
}

static const char *
request_check(const json_t *root, const char *id)
{
	const json_t *params = json_object_get(root, "params");
	const json_t *any_id = json_object_get(root, "id");
	const json_t *version = json_object_get(root, "jsonrpc");
	const char *method = json_string_value(json_object_get(root, "method"));

	if (!json_is_object(root))
		return "Invalid request: not an object";
	if (version != NULL &&
			(!json_is_string(version) ||
					strcmp(json_string_value(version), "2.0") != 0))
		return "Invalid request: jsonrpc must be \"2.0\"";
	if (id[0] == '\0' && any_id != NULL && !json_is_null(any_id))
		return "Invalid request: the key id must be written without escapes";
	if (method == NULL)
		return "Invalid request: method must be a string";
	if (params != NULL && !json_is_null(params) && !json_is_object(params) &&
			!json_is_array(params))
		return "Invalid request: params must be an object";
	return NULL;
}

static void WEIR_ON_CONTROL
request_run(struct rpc_exchange *ex, const char *id, const json_t *root)
{
	const json_t *params = json_object_get(root, "params");
	struct request *req = malloc(sizeof(*req));

	if (req == NULL) {
		answer_error(ex, id, WEIR_RPC_INTERNAL_ERROR, "no memory for the call");
		return;
	}
	req->ex = ex;
	memcpy(req->id, id, sizeof(req->id));
	ex->nb_open++;
	weir_rpc_invoke(json_string_value(json_object_get(root, "method")),
			json_is_null(params) ? NULL : params, request_done, req);
}

/* One request, an object or whatever stands in a batch. */
static void WEIR_ON_CONTROL
request_start(struct rpc_exchange *ex, struct rpc_span text)
{
	char id[RPC_ID_MAX + 1], message[RPC_TEXT_MAX];
	const char *why = NULL;
	json_error_t error;
	json_t *root;
	int code;

	code = request_take_id(id, text, &why);
	if (code != 0) {
		answer_error(ex, "", code, why);
		ex->fatal |= code == WEIR_RPC_PARSE_ERROR;
		return;
	}
	root = json_loadb(text.p, text.len,
			JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
	if (root == NULL) {
		code = load_error(text, &error, message, sizeof(message));
		rpc_line_clean(message);
		ex->fatal |= code == WEIR_RPC_PARSE_ERROR;
		answer_error(ex, code == WEIR_RPC_PARSE_ERROR ? "" : id, code, message);
		return;
	}
	why = request_check(root, id);
	if (why != NULL)
		answer_error(ex, id, WEIR_RPC_INVALID_REQUEST, why);
	else
		request_run(ex, id, root);
	json_decref(root);
}

/* Nothing of a broken batch runs. What an oversized number hides, its own request will show. */
static bool
batch_is_json(struct rpc_span text)
{
	json_error_t error;
	json_t *root = json_loadb(text.p, text.len, JSON_ALLOW_NUL, &error);

	if (root == NULL)
		return json_error_code(&error) == json_error_numeric_overflow;
	json_decref(root);
	return true;
}

static void WEIR_ON_CONTROL
batch_start(struct rpc_exchange *ex, struct rpc_span text)
{
	const char *p = text.p + 1, *end = text.p + text.len, *value;
	unsigned int nb = 0;

	if (!batch_is_json(text)) {
		ex->fatal = true;
		answer_error(ex, "", WEIR_RPC_PARSE_ERROR, parse_error);
		return;
	}
	p = rpc_span_blank(p, end);
	if (*p == ']') {
		answer_error(ex, "", WEIR_RPC_INVALID_REQUEST, "Invalid request: empty batch");
		return;
	}
	ex->is_batch = true;
	for (;; p++) {
		p = rpc_span_blank(p, end);
		value = p;
		p = rpc_span_value(p, end);
		if (++nb > RPC_BATCH_MAX) {
			answer_error(ex, "", WEIR_RPC_INVALID_REQUEST,
					"Invalid request: more than 1024 calls in a batch");
			return;
		}
		request_start(ex, (struct rpc_span){ value, (size_t)(p - value) });
		p = rpc_span_blank(p, end);
		if (ex->fatal || p == end || *p == ']')
			return;
		if (*p != ',') {
			ex->fatal = true;
			answer_error(ex, "", WEIR_RPC_PARSE_ERROR, parse_error);
			return;
		}
	}
}

void
rpc_exchange_start(struct rpc_exchange *ex, char *text, size_t len)
{
	struct rpc_span span = { text, len };

	ex->nb_open = 1;
	if (*text == '[')
		batch_start(ex, span);
	else
		request_start(ex, span);
	exchange_put(ex);
}
