/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "rpc.h"

/* A place for one error text: "<key>: <why>". */
struct why {
	const char *key;
	char *buf;
	size_t size;
};

static int __rte_format_printf(2, 3) refuse(const struct why *why, const char *fmt, ...)
{
	va_list ap;
	int len;

	len = snprintf(why->buf, why->size, "%.64s: ", why->key);
	if (len >= 0 && (size_t)len < why->size) {
		va_start(ap, fmt);
		vsnprintf(why->buf + len, why->size - len, fmt, ap);
		va_end(ap);
	}
	return -EINVAL;
}

bool
rpc_key_equal(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++)
		if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
			return false;
	return *a == *b;
}

const struct weir_param *
rpc_param_find(const struct weir_param *params, unsigned int nb, const char *key)
{
	const char *const *alias;
	unsigned int i;

	for (i = 0; i < nb; i++) {
		if (rpc_key_equal(params[i].name, key))
			return &params[i];
		for (alias = params[i].aliases; alias != NULL && *alias != NULL; alias++)
			if (rpc_key_equal(*alias, key))
				return &params[i];
	}
	return NULL;
}

static void *
field(const struct weir_param *param, void *args)
{
	return RTE_PTR_ADD(args, param->off);
}

/* JSON has no unsigned numbers beyond this in the parser that we use. */
static uint64_t
param_max(const struct weir_param *param)
{
	uint64_t type_max = param->type == WEIR_U32 ? UINT32_MAX : INT64_MAX;

	return param->max == 0 ? type_max : RTE_MIN(param->max, type_max);
}

static void
store(const struct weir_param *param, void *args, uint64_t value)
{
	switch (param->type) {
	case WEIR_BOOL:
		*(bool *)field(param, args) = value != 0;
		break;
	case WEIR_U32:
	case WEIR_ENUM:
		*(uint32_t *)field(param, args) = (uint32_t)value;
		break;
	case WEIR_U64:
		*(uint64_t *)field(param, args) = value;
		break;
	case WEIR_STR:
		break;
	}
}

static int
decode_bool(const struct weir_param *param, const json_t *value, void *args, const struct why *why)
{
	if (!json_is_boolean(value))
		return refuse(why, "must be true or false");
	if ((param->flags & WEIR_PARAM_UNSUPPORTED) && json_is_true(value) != (param->def != 0))
		return refuse(why, "not supported by this version of weir");
	store(param, args, json_is_true(value));
	return 0;
}

static int
decode_number(const struct weir_param *param, const json_t *value, void *args,
		const struct why *why)
{
	uint64_t max = param_max(param);
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value))
		return refuse(why, "must be an integer");
	if (number < 0 || (uint64_t)number < param->min || (uint64_t)number > max)
		return refuse(why, "%" JSON_INTEGER_FORMAT " is not in %" PRIu64 "..%" PRIu64,
				number, param->min, max);
	if ((param->flags & WEIR_PARAM_POW2) && __builtin_popcountll((uint64_t)number) != 1)
		return refuse(why, "%" JSON_INTEGER_FORMAT " is not a power of two", number);
	if ((param->flags & WEIR_PARAM_UNSUPPORTED) && (uint64_t)number != param->def)
		return refuse(why, "not supported by this version of weir");
	store(param, args, (uint64_t)number);
	return 0;
}

static int
decode_string(const struct weir_param *param, const json_t *value, void *args,
		const struct why *why)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	if (text == NULL)
		return refuse(why, "must be a string");
	if (memchr(text, '\0', len) != NULL)
		return refuse(why, "must not contain a NUL");
	if (len >= param->size)
		return refuse(why, "longer than %u bytes", param->size - 1);
	if (len == 0 && (param->flags & WEIR_PARAM_REQUIRED))
		return refuse(why, "must not be empty");
	if (len != 0 && (param->flags & WEIR_PARAM_UNSUPPORTED))
		return refuse(why, "not supported by this version of weir");
	memcpy(field(param, args), text, len + 1);
	return 0;
}

static int
decode_enum(const struct weir_param *param, const json_t *value, void *args, const struct why *why)
{
	const char *text = json_string_value(value);
	char list[256] = "";
	uint32_t i;

	for (i = 0; param->choices[i] != NULL; i++) {
		size_t len = strlen(list);

		if (text != NULL && json_string_length(value) == strlen(param->choices[i]) &&
				strcmp(text, param->choices[i]) == 0)
			break;
		snprintf(list + len, sizeof(list) - len, "%s%s", i == 0 ? "" : ", ",
				param->choices[i]);
	}
	if (param->choices[i] == NULL)
		return refuse(why, "must be one of %s", list);
	if ((param->flags & WEIR_PARAM_UNSUPPORTED) && i != param->def)
		return refuse(why, "not supported by this version of weir");
	store(param, args, i);
	return 0;
}

static int
decode_value(const struct weir_param *param, const json_t *value, void *args, const struct why *why)
{
	if (param->given != 0)
		*(bool *)RTE_PTR_ADD(args, param->given - 1) = true;

	switch (param->type) {
	case WEIR_BOOL:
		return decode_bool(param, value, args, why);
	case WEIR_U32:
	case WEIR_U64:
		return decode_number(param, value, args, why);
	case WEIR_STR:
		return decode_string(param, value, args, why);
	case WEIR_ENUM:
		return decode_enum(param, value, args, why);
	}
	return refuse(why, "has no type");
}

/* Another key of obj that names the same parameter as key; an alias stands beside its name. */
static const char *
other_spelling(const struct weir_param *params, unsigned int nb, json_t *obj, const char *key)
{
	const struct weir_param *param = rpc_param_find(params, nb, key);
	const char *other;
	json_t *value;

	json_object_foreach(obj, other, value) if (strcmp(other, key) != 0 &&
			rpc_param_find(params, nb, other) == param) return other;
	return NULL;
}

static int
decode_all(const struct weir_param *params, unsigned int nb, json_t *obj, void *args,
		struct why *why)
{
	const struct weir_param *param;
	const char *other;
	json_t *value;
	int rc;

	json_object_foreach(obj, why->key, value)
	{
		param = rpc_param_find(params, nb, why->key);
		if (param == NULL)
			return refuse(why, "unknown parameter");
		other = other_spelling(params, nb, obj, why->key);
		if (other != NULL && !json_equal(value, json_object_get(obj, other)))
			return refuse(why, "differs from %.64s, which means the same", other);
		rc = decode_value(param, value, args, why);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static bool
is_given(const struct weir_param *param, const json_t *obj)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)obj, key,
			value) if (rpc_param_find(param, 1, key) != NULL) return true;
	return false;
}

int
weir_param_decode(const struct weir_param *params, unsigned int nb, const json_t *obj, void *args,
		char *err, size_t err_size)
{
	struct why why = { .key = "params", .buf = err, .size = err_size };
	unsigned int i;
	int rc;

	if (obj != NULL && !json_is_object(obj))
		return refuse(&why, "must be an object");
	for (i = 0; i < nb; i++) {
		memset(field(&params[i], args), 0, params[i].size);
		store(&params[i], args, params[i].def);
		if (params[i].given != 0)
			*(bool *)RTE_PTR_ADD(args, params[i].given - 1) = false;
	}

	/* jansson's iterator takes a pointer to non-const, and changes nothing. */
	rc = decode_all(params, nb, (json_t *)(uintptr_t)obj, args, &why);
	if (rc < 0)
		return rc;

	for (i = 0; i < nb; i++) {
		why.key = params[i].name;
		if ((params[i].flags & WEIR_PARAM_REQUIRED) && !is_given(&params[i], obj))
			return refuse(&why, "required");
	}
	return 0;
}

static json_t *
string_list(const char *const *list)
{
	json_t *array = json_array();

	for (; list != NULL && *list != NULL; list++)
		json_array_append_new(array, json_string(*list));
	return array;
}

static json_t *
encode_value(const struct weir_param *param, const void *args)
{
	const void *value = RTE_PTR_ADD(args, param->off);

	switch (param->type) {
	case WEIR_BOOL:
		return json_boolean(*(const bool *)value);
	case WEIR_U32:
		return json_integer(*(const uint32_t *)value);
	case WEIR_U64:
		return json_integer((json_int_t) * (const uint64_t *)value);
	case WEIR_STR:
		return json_string(value);
	case WEIR_ENUM:
		return json_string(param->choices[*(const uint32_t *)value]);
	}
	return NULL;
}

static json_t *
default_value(const struct weir_param *param)
{
	switch (param->type) {
	case WEIR_BOOL:
		return json_boolean(param->def != 0);
	case WEIR_U32:
	case WEIR_U64:
		return json_integer((json_int_t)param->def);
	case WEIR_STR:
		return json_string("");
	case WEIR_ENUM:
		return json_string(param->choices[param->def]);
	}
	return NULL;
}

static void
schema_range(const struct weir_param *param, json_t *row)
{
	switch (param->type) {
	case WEIR_U32:
	case WEIR_U64:
		json_object_set_new(row, "min", json_integer((json_int_t)param->min));
		json_object_set_new(row, "max", json_integer((json_int_t)param_max(param)));
		if (param->flags & WEIR_PARAM_POW2)
			json_object_set_new(row, "power_of_two", json_true());
		break;
	case WEIR_STR:
		json_object_set_new(row, "max_length", json_integer(param->size - 1));
		break;
	case WEIR_ENUM:
		json_object_set_new(row, "choices", string_list(param->choices));
		break;
	case WEIR_BOOL:
		break;
	}
}

static json_t *
schema_row(const struct weir_param *param)
{
	static const char *const types[] = {
		[WEIR_BOOL] = "bool",
		[WEIR_U32] = "uint32",
		[WEIR_U64] = "uint64",
		[WEIR_STR] = "string",
		[WEIR_ENUM] = "enum",
	};
	json_t *row = json_object();
	bool required = (param->flags & WEIR_PARAM_REQUIRED) != 0;

	json_object_set_new(row, "type", json_string(types[param->type]));
	json_object_set_new(row, "help", json_string(param->help == NULL ? "" : param->help));
	json_object_set_new(row, "required", json_boolean(required));
	json_object_set_new(row, "supported",
			json_boolean((param->flags & WEIR_PARAM_UNSUPPORTED) == 0));
	/* Where a method asks whether a value was given, it has its own way with one that was not. */
	if (!required && (param->given == 0 || param->def != 0))
		json_object_set_new(row, "default", default_value(param));
	schema_range(param, row);
	if (param->aliases != NULL)
		json_object_set_new(row, "aliases", string_list(param->aliases));
	if (param->position != 0)
		json_object_set_new(row, "position", json_integer(param->position));
	if (param->short_opt != 0)
		json_object_set_new(row, "short", json_stringn(&param->short_opt, 1));
	return row;
}

json_t *
weir_param_schema(const struct weir_param *params, unsigned int nb)
{
	json_t *schema = json_object();
	unsigned int i;

	for (i = 0; i < nb; i++)
		json_object_set_new(schema, params[i].name, schema_row(&params[i]));
	return schema;
}

json_t *
weir_param_encode(const struct weir_param *params, unsigned int nb, const void *args)
{
	json_t *obj = json_object();
	unsigned int i;

	for (i = 0; i < nb; i++) {
		const struct weir_param *param = &params[i];

		if (param->given != 0 && !*(const bool *)RTE_PTR_ADD(args, param->given - 1))
			continue;
		json_object_set_new(obj, param->name, encode_value(param, args));
	}
	return obj;
}
