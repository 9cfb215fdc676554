/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <stdio.h>
#include <string.h>

#include <rte_debug.h>
#include <rte_version.h>

#include "rpc.h"

struct rpc_method_list rpc_methods = TAILQ_HEAD_INITIALIZER(rpc_methods);

static bool
method_has_name(const struct weir_rpc_method *method, const char *name)
{
	const char *const *alias;

	if (strcmp(method->name, name) == 0)
		return true;
	for (alias = method->aliases; alias != NULL && *alias != NULL; alias++)
		if (strcmp(*alias, name) == 0)
			return true;
	return false;
}

struct weir_rpc_method *
weir_rpc_method_find(const char *name)
{
	struct weir_rpc_method *method;

	TAILQ_FOREACH(method, &rpc_methods, next)
		if (method_has_name(method, name))
			return method;
	return NULL;
}

void
weir_rpc_method_register(struct weir_rpc_method *method)
{
	const char *const *alias;
	struct weir_rpc_method *after;

	if (weir_rpc_method_find(method->name) != NULL)
		rte_panic("RPC method %s is registered twice\n", method->name);
	for (alias = method->aliases; alias != NULL && *alias != NULL; alias++)
		if (weir_rpc_method_find(*alias) != NULL)
			rte_panic("RPC method %s is registered twice\n", *alias);

	/* Constructors run in link order; the lists that users see are sorted. */
	TAILQ_FOREACH(after, &rpc_methods, next)
		if (strcmp(after->name, method->name) > 0)
			break;
	if (after != NULL)
		TAILQ_INSERT_BEFORE(after, method, next);
	else
		TAILQ_INSERT_TAIL(&rpc_methods, method, next);
}

struct get_methods_args {
	bool current;
	bool include_aliases;
};

static const struct weir_param get_methods_params[] = {
	WEIR_PARAM(get_methods_args, current, WEIR_BOOL,
			.help = "only methods that may be called now, which all may"),
	WEIR_PARAM(get_methods_args, include_aliases, WEIR_BOOL, .help = "other names too"),
};

static void WEIR_ON_CONTROL
get_methods_call(struct weir_rpc_call *call, const void *args)
{
	const struct get_methods_args *a = args;
	const struct weir_rpc_method *method;
	const char *const *alias;
	json_t *names = json_array();

	TAILQ_FOREACH(method, &rpc_methods, next) {
		json_array_append_new(names, json_string(method->name));
		if (!a->include_aliases || method->aliases == NULL)
			continue;
		for (alias = method->aliases; *alias != NULL; alias++)
			json_array_append_new(names, json_string(*alias));
	}
	weir_rpc_reply(call, names);
}

WEIR_RPC_METHOD(get_methods, "rpc_get_methods", "List the methods that can be called",
		struct get_methods_args, get_methods_params)

struct get_schema_args {
	char method[64];
};

static const struct weir_param get_schema_params[] = {
	WEIR_PARAM(get_schema_args, method, WEIR_STR, .position = 1,
			.help = "describe this method only"),
};

static json_t *
method_schema(const struct weir_rpc_method *method)
{
	const char *const *alias;
	json_t *aliases = json_array();

	for (alias = method->aliases; alias != NULL && *alias != NULL; alias++)
		json_array_append_new(aliases, json_string(*alias));
	return json_pack("{s:s, s:s, s:o, s:o}", "name", method->name, "help",
			method->help == NULL ? "" : method->help, "aliases", aliases, "params",
			weir_param_schema(method->params, method->nb_params));
}

static void WEIR_ON_CONTROL
get_schema_call(struct weir_rpc_call *call, const void *args)
{
	const struct get_schema_args *a = args;
	const struct weir_rpc_method *method = NULL;
	json_t *list;

	if (a->method[0] != '\0') {
		method = weir_rpc_method_find(a->method);
		if (method == NULL) {
			weir_rpc_fail(call, WEIR_RPC_INVALID_PARAMS,
					"Invalid parameters: method: no method is named %s",
					a->method);
			return;
		}
	}
	list = json_array();
	if (method != NULL) {
		json_array_append_new(list, method_schema(method));
	} else {
		TAILQ_FOREACH(method, &rpc_methods, next)
			json_array_append_new(list, method_schema(method));
	}
	weir_rpc_reply(call, list);
}

WEIR_RPC_METHOD(get_schema, "weir_get_rpc_schema", "Describe methods and their parameters",
		struct get_schema_args, get_schema_params)

static void WEIR_ON_CONTROL
get_version_call(struct weir_rpc_call *call, const void *args)
{
	int major = 0, minor = 0, patch = 0;
	char version[64];

	sscanf(WEIR_VERSION, "%d.%d.%d", &major, &minor, &patch);
	snprintf(version, sizeof(version), "weir %s (%s)", WEIR_VERSION, rte_version());
	weir_rpc_reply(call,
			json_pack("{s:s, s:{s:i, s:i, s:i, s:s}}", "version", version, "fields",
					"major", major, "minor", minor, "patch", patch, "suffix",
					""));
}

WEIR_RPC_METHOD0(get_version, "spdk_get_version", "Tell the version; a sign of readiness")
