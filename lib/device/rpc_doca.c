/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Emulation managers and static functions, as scripts for NVIDIA's service ask for them. */

#include <errno.h>
#include <string.h>

#include "device.h"

static void WEIR_ON_CONTROL
doca_possible_call(struct weir_rpc_call *call, const void *args)
{
	weir_rpc_reply(call, json_pack("[{s:s}]", "name", manager_get()->name));
}
WEIR_RPC_METHOD0(doca_possible, "virtio_fs_doca_get_possible_managers",
		"List the emulation managers that can be created")

static void WEIR_ON_CONTROL
doca_managers_call(struct weir_rpc_call *call, const void *args)
{
	const struct manager *m = manager_get();

	weir_rpc_reply(call, m->present ? json_pack("[{s:s}]", "name", m->name) : json_array());
}
WEIR_RPC_METHOD0(doca_managers, "virtio_fs_doca_get_managers", "List the emulation managers")

struct doca_manager_args {
	char manager[64];
};

static const struct weir_param doca_manager_params[] = {
	WEIR_PARAM(doca_manager_args, manager, WEIR_STR, .flags = WEIR_PARAM_REQUIRED,
			.short_opt = 'm', .position = 1, .help = "name of the emulation manager"),
};

static const struct weir_param doca_functions_params[] = {
	WEIR_PARAM(doca_manager_args, manager, WEIR_STR, .short_opt = 'm', .position = 1,
			.help = "only functions of this emulation manager"),
};

/* The manager that a call names, or NULL after the call was refused. */
static struct manager *WEIR_ON_CONTROL
doca_manager_of(struct weir_rpc_call *call, const char *name)
{
	struct manager *m = manager_get();

	if (strcmp(m->name, name) == 0)
		return m;
	weir_rpc_fail(call, -ENODEV, "No such device: %s is not an emulation manager", name);
	return NULL;
}

static void WEIR_ON_CONTROL
doca_manager_create_call(struct weir_rpc_call *call, const void *args)
{
	const struct doca_manager_args *a = args;
	struct manager *m = doca_manager_of(call, a->manager);

	if (m == NULL)
		return;
	if (m->present && !m->by_transport) {
		weir_rpc_fail(call, -EEXIST, "File exists: %s", m->name);
		return;
	}
	m->present = true;
	m->by_transport = false;
	weir_rpc_reply_true(call);
}
WEIR_RPC_METHOD(doca_manager_create, "virtio_fs_doca_manager_create", "Create an emulation manager",
		struct doca_manager_args, doca_manager_params)

static void WEIR_ON_CONTROL
doca_manager_destroy_call(struct weir_rpc_call *call, const void *args)
{
	const struct doca_manager_args *a = args;
	struct manager *m = doca_manager_of(call, a->manager);

	if (m == NULL)
		return;
	if (!m->present) {
		weir_rpc_fail(call, -ENODEV, "No such device: %s was not created", m->name);
		return;
	}
	if (tports_any_started()) {
		weir_rpc_fail(call, -EBUSY,
				"Device or resource busy: %s is used by a started transport",
				m->name);
		return;
	}
	m->present = false;
	m->by_transport = false;
	weir_rpc_reply_true(call);
}
WEIR_RPC_METHOD(doca_manager_destroy, "virtio_fs_doca_manager_destroy",
		"Destroy an emulation manager; no transport may be started",
		struct doca_manager_args, doca_manager_params)

static void WEIR_ON_CONTROL
doca_functions_call(struct weir_rpc_call *call, const void *args)
{
	const struct doca_manager_args *a = args;
	struct manager *m = manager_get();

	if (a->manager[0] != '\0' && doca_manager_of(call, a->manager) == NULL)
		return;
	weir_rpc_reply(call,
			json_pack("[{s:s, s:o}]", "manager", m->name, "Function List",
					functions_json()));
}
WEIR_RPC_METHOD(doca_functions, "virtio_fs_doca_get_functions",
		"List the functions that devices can be put on", struct doca_manager_args,
		doca_functions_params)

struct doca_modify_args {
	char dev_name[DEVICE_NAME_MAX];
	char manager[64];
	char vuid[DEVICE_VUID_MAX];
};

static const struct weir_param doca_modify_params[] = {
	WEIR_PARAM(doca_modify_args, dev_name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED,
			.position = 1, .help = "name of the device"),
	WEIR_PARAM(doca_modify_args, manager, WEIR_STR, .short_opt = 'm',
			.help = "emulation manager"),
	WEIR_PARAM(doca_modify_args, vuid, WEIR_STR, .help = "VUID of the function to put it on"),
};

static void WEIR_ON_CONTROL
doca_modify_call(struct weir_rpc_call *call, const void *args)
{
	const struct doca_modify_args *a = args;
	struct device *dev = device_find(a->dev_name);
	struct function *f = NULL;

	if (dev == NULL) {
		weir_rpc_fail(call, -ENODEV, "No such device: %s", a->dev_name);
		return;
	}
	if (dev->state == DEVICE_RUNNING) {
		weir_rpc_fail(call, -EBUSY, "Device or resource busy: %s is running; stop it first",
				dev->name);
		return;
	}
	if (a->manager[0] != '\0' && doca_manager_of(call, a->manager) == NULL)
		return;
	if (a->vuid[0] != '\0') {
		f = function_find(a->vuid);
		if (f == NULL) {
			weir_rpc_fail(call, -ENODEV, "No such device: %s is not a function",
					a->vuid);
			return;
		}
		if (f->dev != NULL && f->dev != dev) {
			weir_rpc_fail(call, -EBUSY, "Device or resource busy: %s is used by %s",
					f->vuid, f->dev->name);
			return;
		}
		if (dev->function != NULL)
			dev->function->dev = NULL;
		dev->function = f;
		f->dev = dev;
	}
	if (a->manager[0] != '\0')
		snprintf(dev->manager, sizeof(dev->manager), "%s", a->manager);
	weir_rpc_reply_true(call);
}
WEIR_RPC_METHOD(doca_modify, "virtio_fs_doca_device_modify",
		"Put a device on a function of an emulation manager", struct doca_modify_args,
		doca_modify_params)
