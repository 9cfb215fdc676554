/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The RPC methods of file systems. Those of a driver are made out of its parameter table: the
 * argument struct of fsdev_X_create is the name and what all have, followed by the driver's own.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_debug.h>

#include "weir_rpc.h"

#include "fsdev.h"

/* The driver's struct begins behind it, and so suitably aligned. */
struct fsdev_args {
	char name[WEIR_FSDEV_NAME_MAX] __rte_aligned(16);
	struct weir_fsdev_common common;
};

static const struct weir_param fsdev_name_param =
		WEIR_PARAM(fsdev_args, name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 1,
				.help = "unique name of the file system");

static void WEIR_ON_CONTROL
created(void *arg, struct weir_fsdev *dev, int rc, const char *message)
{
	struct weir_rpc_call *call = arg;

	if (rc < 0)
		weir_rpc_fail(call, rc, "%s", message);
	else
		weir_rpc_reply(call, json_string(weir_fsdev_name(dev)));
}

static void WEIR_ON_CONTROL
create_call(struct weir_rpc_call *call, const void *args)
{
	const struct weir_fsdev_driver *driver = weir_rpc_call_method(call)->priv;
	const struct fsdev_args *a = args;
	struct weir_fsdev_common common = a->common;
	const char *key = "name", *why = "is empty";

	if (a->name[0] == '\0' || fsdev_common_resolve(&common, &driver->defaults, &key, &why) < 0)
		weir_rpc_fail(call, WEIR_RPC_INVALID_PARAMS, "Invalid parameters: %s: %s", key,
				why);
	else
		fsdev_create(driver, a->name, &common, a + 1, created, call);
}

static void WEIR_ON_CONTROL
deleted(void *arg, struct weir_fsdev *dev, int rc, const char *message)
{
	struct weir_rpc_call *call = arg;

	if (rc < 0)
		weir_rpc_fail(call, rc, "%s", message);
	else
		weir_rpc_reply_true(call);
}

static void WEIR_ON_CONTROL
delete_call(struct weir_rpc_call *call, const void *args)
{
	const struct weir_fsdev_driver *driver = weir_rpc_call_method(call)->priv;
	const struct fsdev_args *a = args;
	struct weir_fsdev *dev = weir_fsdev_find(a->name);

	if (dev == NULL || dev->driver != driver)
		weir_rpc_fail(call, -ENODEV, "No such device: %s", a->name);
	else
		fsdev_delete(dev, deleted, call);
}

static char *
method_text(const char *fmt, const char *name)
{
	char *text;

	if (asprintf(&text, fmt, name) < 0)
		rte_panic("no memory for the methods of file system driver %s\n", name);
	return text;
}

static void
method_register(const struct weir_fsdev_driver *driver, const char *name_fmt, const char *help_fmt,
		const struct weir_param *params, uint32_t nb_params, uint32_t args_size,
		void (*call)(struct weir_rpc_call *call, const void *args))
{
	struct weir_rpc_method *method = calloc(1, sizeof(*method));

	if (method == NULL)
		rte_panic("no memory for the methods of file system driver %s\n", driver->name);
	method->name = method_text(name_fmt, driver->name);
	method->help = method_text(help_fmt, driver->name);
	method->params = params;
	method->nb_params = nb_params;
	method->args_size = args_size;
	method->call = call;
	method->priv = (void *)(uintptr_t)driver;
	weir_rpc_method_register(method);
}

/* Copies rows whose struct begins shift bytes into that of the method. Returns how many. */
static uint32_t
rows_add(struct weir_param *to, const struct weir_param *from, uint32_t nb, uint32_t shift)
{
	for (uint32_t i = 0; i < nb; i++) {
		to[i] = from[i];
		to[i].off += shift;
		if (to[i].given != 0)
			to[i].given += shift;
	}
	return nb;
}

void
fsdev_rpc_register(const struct weir_fsdev_driver *driver)
{
	uint32_t size = sizeof(struct fsdev_args);
	struct weir_param *rows;
	uint32_t nb = 0;

	rows = calloc(1 + fsdev_common_nb_params + driver->nb_params, sizeof(*rows));
	if (rows == NULL)
		rte_panic("no memory for the methods of file system driver %s\n", driver->name);
	rows[nb++] = fsdev_name_param;
	nb += rows_add(&rows[nb], driver->params, driver->nb_params, size);
	nb += rows_add(&rows[nb], fsdev_common_params, fsdev_common_nb_params,
			offsetof(struct fsdev_args, common));
	method_register(driver, "fsdev_%s_create", "Create a file system of type %s", rows, nb,
			size + driver->params_size, create_call);
	method_register(driver, "fsdev_%s_delete", "Delete a file system of type %s",
			&fsdev_name_param, 1, size, delete_call);
}

/* New reference, or NULL without memory. */
static json_t *WEIR_ON_CONTROL
fsdev_json(const struct weir_fsdev *dev)
{
	const struct weir_fsdev_driver *driver = dev->driver;
	json_t *specific, *common, *info;

	specific = weir_param_encode(driver->params, driver->nb_params, dev->params);
	common = weir_param_encode(fsdev_common_params, fsdev_common_nb_params, &dev->common);
	json_object_update(specific, common);
	json_decref(common);
	info = driver->ops->info != NULL ? driver->ops->info(dev) : NULL;
	if (info != NULL)
		json_object_update(specific, info);
	json_decref(info);
	return json_pack("{s:s, s:s, s:i, s:o}", "name", dev->name, "module_name", driver->name,
			"numa_node", dev->numa_node, "module_specific", specific);
}

struct get_fsdevs_args {
	char name[WEIR_FSDEV_NAME_MAX];
	bool has_name;
};

static const struct weir_param get_fsdevs_params[] = {
	WEIR_PARAM(get_fsdevs_args, name, WEIR_STR, WEIR_PARAM_GIVEN(get_fsdevs_args, has_name),
			.short_opt = 'n', .help = "this one only; the answer is then one object"),
};

static void WEIR_ON_CONTROL
get_fsdevs_call(struct weir_rpc_call *call, const void *args)
{
	const struct get_fsdevs_args *a = args;
	struct weir_fsdev *dev;
	json_t *list;

	if (a->has_name) {
		dev = weir_fsdev_find(a->name);
		if (dev == NULL)
			weir_rpc_fail(call, -ENODEV, "No such device: %s", a->name);
		else
			weir_rpc_reply(call, fsdev_json(dev));
		return;
	}
	list = json_array();
	for (dev = fsdev_next(NULL); dev != NULL; dev = fsdev_next(dev))
		json_array_append_new(list, fsdev_json(dev));
	weir_rpc_reply(call, list);
}

WEIR_RPC_METHOD(get_fsdevs, "fsdev_get_fsdevs", "List file systems, or show one",
		struct get_fsdevs_args, get_fsdevs_params)
