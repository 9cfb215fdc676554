/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_debug.h>

#include "rpc.h"

WEIR_LOG_TYPE(rpc);

/* From the start of a method to its reply or failure; then it is freed with its arguments. */
struct weir_rpc_call {
	const struct weir_rpc_method *method;
	void (*done)(void *arg, int code, json_t *result, const char *message);
	void *arg;
	_Alignas(max_align_t) unsigned char args[];
};

const struct weir_rpc_method *
weir_rpc_call_method(const struct weir_rpc_call *call)
{
	return call->method;
}

void
rpc_line_clean(char *line)
{
	json_t *valid;
	char *p;

	for (p = line; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	valid = json_string(line);
	if (valid != NULL) {
		json_decref(valid);
		return;
	}
	/* Cut in the middle of a character, or a file name in another encoding. */
	for (p = line; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
}

void
weir_rpc_reply(struct weir_rpc_call *call, json_t *result)
{
	if (result == NULL) {
		weir_rpc_fail(call, WEIR_RPC_INTERNAL_ERROR, "%s: no memory for the result",
				call->method->name);
		return;
	}
	call->done(call->arg, 0, result, NULL);
	json_decref(result);
	free(call);
}

void
weir_rpc_reply_true(struct weir_rpc_call *call)
{
	weir_rpc_reply(call, json_true());
}

void
weir_rpc_fail(struct weir_rpc_call *call, int code, const char *fmt, ...)
{
	char message[RPC_TEXT_MAX];
	va_list ap;

	RTE_ASSERT(code != 0);
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	rpc_line_clean(message);
	call->done(call->arg, code, NULL, message);
	free(call);
}

void
weir_rpc_invoke(const char *name, const json_t *params,
		void (*done)(void *arg, int code, json_t *result, const char *message), void *arg)
{
	static const char prefix[] = "Invalid parameters: ";
	const struct weir_rpc_method *method = weir_rpc_method_find(name);
	struct weir_rpc_call *call;
	char message[RPC_TEXT_MAX];

	if (method == NULL) {
		snprintf(message, sizeof(message), "Method not found: %.64s", name);
		rpc_line_clean(message);
		done(arg, WEIR_RPC_METHOD_NOT_FOUND, NULL, message);
		return;
	}

	call = calloc(1, sizeof(*call) + method->args_size);
	if (call == NULL) {
		done(arg, WEIR_RPC_INTERNAL_ERROR, NULL, "no memory for the call");
		return;
	}
	call->method = method;
	call->done = done;
	call->arg = arg;

	memcpy(message, prefix, sizeof(prefix));
	if (weir_param_decode(method->params, method->nb_params, params, call->args,
			    message + sizeof(prefix) - 1, sizeof(message) - sizeof(prefix) + 1) < 0)
		weir_rpc_fail(call, WEIR_RPC_INVALID_PARAMS, "%s", message);
	else
		method->call(call, call->args);
}
