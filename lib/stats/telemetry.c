/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "weir_stats.h"

#define PROVIDERS_MAX 64

/*
 * As JSON, with room for what becomes longer on the way (indices, quotes) in telemetry's 16 KiB,
 * which also hold the name of the command.
 */
#define ANSWER_MAX_BYTES (12u << 10)

/*
 * Telemetry hands no pointer to a callback, so the command's name leads back to the provider.
 * Control appends; telemetry threads read what nb_providers says is there.
 */
static const struct weir_stats_provider *providers[PROVIDERS_MAX];
static _Atomic(unsigned int) nb_providers;

static const struct weir_stats_provider *
provider_find(const char *command)
{
	/* Pairs with the release in weir_stats_register(). */
	unsigned int nb = atomic_load_explicit(&nb_providers, memory_order_acquire), i;

	for (i = 0; i < nb; i++)
		if (strcmp(providers[i]->command, command) == 0)
			return providers[i];
	return NULL;
}

static int
say(struct rte_tel_data *data, const char *key, const char *text)
{
	rte_tel_data_start_dict(data);
	return rte_tel_data_add_dict_string(data, key, text);
}

static int
telemetry_call(const char *command, const char *param, struct rte_tel_data *data)
{
	const struct weir_stats_provider *provider = provider_find(command);
	json_t *value;
	int rc;

	if (provider == NULL)
		return -ENOENT;
	value = provider->fill(param);
	if (value == NULL)
		return say(data, "error", "there is no object of this name");
	rc = weir_stats_to_telemetry(value, data);
	json_decref(value);
	return rc;
}

int
weir_stats_register(const struct weir_stats_provider *provider)
{
	unsigned int nb = atomic_load_explicit(&nb_providers, memory_order_relaxed);
	int rc;

	if (provider_find(provider->command) != NULL)
		return -EEXIST;
	if (nb == PROVIDERS_MAX)
		return -ENOSPC;
	providers[nb] = provider;
	/* Pairs with the acquire in provider_find(). Then the first call may come. */
	atomic_store_explicit(&nb_providers, nb + 1, memory_order_release);
	rc = rte_telemetry_register_cmd(provider->command, telemetry_call, provider->help);
	if (rc < 0)
		atomic_store_explicit(&nb_providers, nb, memory_order_release);
	return rc;
}

/* The names that telemetry allows have fewer characters than ours. */
static void
make_name(char *name, size_t size, const char *text)
{
	char *p;

	snprintf(name, size, "%s", text);
	for (p = name; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && *p != '_' && *p != '/')
			*p = '_';
}

/* A scalar as text, where there is no type for it. */
static const char *
scalar_text(const json_t *value, char *buf, size_t size)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return json_string_value(value);
	case JSON_INTEGER:
		snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return buf;
	case JSON_REAL:
		snprintf(buf, size, "%.15g", json_real_value(value));
		return buf;
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	default:
		return "";
	}
}

static bool
is_list_of_scalars(const json_t *value)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return false;
	json_array_foreach(value, i,
			item) if (json_is_object(item) || json_is_array(item)) return false;
	return true;
}

static bool
is_list_of_counts(const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) if (!json_is_integer(item) ||
			json_integer_value(item) < 0) return false;
	return json_array_size(list) > 0;
}

static void
put_list(struct rte_tel_data *data, const json_t *list)
{
	bool counts = is_list_of_counts(list);
	const json_t *item;
	char buf[32];
	size_t i;

	rte_tel_data_start_array(data, counts ? RTE_TEL_U64_VAL : RTE_TEL_STRING_VAL);
	json_array_foreach(list, i, item)
	{
		if (counts)
			rte_tel_data_add_array_u64(data, (uint64_t)json_integer_value(item));
		else
			rte_tel_data_add_array_string(data, scalar_text(item, buf, sizeof(buf)));
	}
}

static void put_dict(struct rte_tel_data *data, const json_t *value);

static void
put_member(struct rte_tel_data *data, const char *key, const json_t *value)
{
	char name[RTE_TEL_MAX_STRING_LEN], buf[32];
	struct rte_tel_data *child;

	make_name(name, sizeof(name), key);
	if (json_is_boolean(value)) {
		rte_tel_data_add_dict_u64(data, name, json_is_true(value));
	} else if (json_is_integer(value) && json_integer_value(value) >= 0) {
		rte_tel_data_add_dict_u64(data, name, (uint64_t)json_integer_value(value));
	} else if (!json_is_object(value) && !json_is_array(value)) {
		rte_tel_data_add_dict_string(data, name, scalar_text(value, buf, sizeof(buf)));
	} else {
		child = rte_tel_data_alloc();
		if (child == NULL)
			return;
		if (is_list_of_scalars(value))
			put_list(child, value);
		else
			put_dict(child, value);
		/* Telemetry frees the child when it has printed it. */
		if (rte_tel_data_add_dict_container(data, name, child, 0) < 0)
			rte_tel_data_free(child);
	}
}

/* An object, or an array of objects or arrays, for which telemetry has no type. */
static void
put_dict(struct rte_tel_data *data, const json_t *value)
{
	const char *key, *name;
	char index[24];
	json_t *item;
	size_t i;

	rte_tel_data_start_dict(data);
	json_object_foreach((json_t *)(uintptr_t)value, key, item) put_member(data, key, item);
	json_array_foreach(value, i, item)
	{
		snprintf(index, sizeof(index), "%zu", i);
		name = json_string_value(json_object_get(item, "name"));
		put_member(data, name == NULL ? index : name, item);
	}
}

/* Whether no container of value has more entries than telemetry's have room for. */
static bool
entries_fit(const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_object_size(value) > RTE_TEL_MAX_DICT_ENTRIES)
		return false;
	if (json_array_size(value) > (is_list_of_scalars(value) ? RTE_TEL_MAX_ARRAY_ENTRIES :
								  RTE_TEL_MAX_DICT_ENTRIES))
		return false;
	json_object_foreach(
			(json_t *)(uintptr_t)value, key, item) if (!entries_fit(item)) return false;
	json_array_foreach(value, i, item) if (!entries_fit(item)) return false;
	return true;
}

int
weir_stats_to_telemetry(const json_t *value, struct rte_tel_data *data)
{
	size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
	char buf[32];

	if (size > ANSWER_MAX_BYTES || !entries_fit(value))
		return say(data, "error",
				"too long for telemetry; name one object, or use weir-rpc.py");
	if (is_list_of_scalars(value))
		put_list(data, value);
	else if (json_is_object(value) || json_is_array(value))
		put_dict(data, value);
	else
		rte_tel_data_string(data, scalar_text(value, buf, sizeof(buf)));
	return 0;
}
