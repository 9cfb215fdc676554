/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <rte_errno.h>

#include "device.h"

/* The name that scripts for NVIDIA's service use for their only transport. */
#define DOCA "DOCA"

static TAILQ_HEAD(, tport) tports = TAILQ_HEAD_INITIALIZER(tports);
static char socket_dir[256];
static char doca_driver[32];

void
tports_init(const char *dir, const char *doca_stands_for)
{
	snprintf(socket_dir, sizeof(socket_dir), "%s", dir);
	snprintf(doca_driver, sizeof(doca_driver), "%s", doca_stands_for);
}

void
tports_fini(void)
{
	struct tport *t;

	while ((t = TAILQ_FIRST(&tports)) != NULL) {
		TAILQ_REMOVE(&tports, t, next);
		if (t->started)
			t->driver->ops->stop();
		free(t);
	}
}

struct tport *
tport_find(const char *name)
{
	struct tport *t;

	TAILQ_FOREACH(t, &tports, next) {
		if (strcasecmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

bool
tports_any_started(void)
{
	struct tport *t;

	TAILQ_FOREACH(t, &tports, next) {
		if (t->started)
			return true;
	}
	return false;
}

struct tport_args {
	char transport_name[32];
};

static const struct weir_param tport_params[] = {
	WEIR_PARAM(tport_args, transport_name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED,
			.short_opt = 't', .position = 1,
			.help = "DOCA, or the name of a transport such as VHOST_USER"),
};

static void WEIR_ON_CONTROL
tport_create_call(struct weir_rpc_call *call, const void *args)
{
	const struct tport_args *a = args;
	bool doca = strcasecmp(a->transport_name, DOCA) == 0;
	struct weir_transport *driver;
	struct tport *t;

	driver = weir_transport_find(doca ? doca_driver : a->transport_name);
	if (driver == NULL) {
		weir_rpc_fail(call, -ENODEV, "No such device: %s is not a transport",
				a->transport_name);
		return;
	}
	TAILQ_FOREACH(t, &tports, next) {
		if (t->driver == driver) {
			weir_rpc_fail(call, -EEXIST, "File exists: %s", t->name);
			return;
		}
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL) {
		weir_rpc_fail(call, -ENOMEM, "Cannot allocate memory: transport");
		return;
	}
	snprintf(t->name, sizeof(t->name), "%s", doca ? DOCA : driver->name);
	t->driver = driver;
	TAILQ_INSERT_TAIL(&tports, t, next);
	weir_rpc_reply_true(call);
}
WEIR_RPC_METHOD(tport_create, "virtio_fs_transport_create", "Create a virtio-fs transport",
		struct tport_args, tport_params)

/* The transport that a call names, or NULL after the call was refused. */
static struct tport *WEIR_ON_CONTROL
tport_of(struct weir_rpc_call *call, const void *args)
{
	const struct tport_args *a = args;
	struct tport *t = tport_find(a->transport_name);

	if (t == NULL)
		weir_rpc_fail(call, -ENODEV, "No such device: %s", a->transport_name);
	return t;
}

static void WEIR_ON_CONTROL
tport_destroy_call(struct weir_rpc_call *call, const void *args)
{
	struct tport *t = tport_of(call, args);

	if (t == NULL)
		return;
	if (t->started) {
		weir_rpc_fail(call, -EBUSY, "Device or resource busy: %s is started; stop it first",
				t->name);
		return;
	}
	TAILQ_REMOVE(&tports, t, next);
	free(t);
	weir_rpc_reply_true(call);
}
WEIR_RPC_METHOD(tport_destroy, "virtio_fs_transport_destroy",
		"Destroy a virtio-fs transport; it must be stopped", struct tport_args,
		tport_params)

static void WEIR_ON_CONTROL
tport_start_call(struct weir_rpc_call *call, const void *args)
{
	struct tport *t = tport_of(call, args);
	struct manager *m = manager_get();
	int rc;

	if (t == NULL)
		return;
	if (!t->started) {
		rc = t->driver->ops->start(socket_dir);
		if (rc < 0) {
			weir_rpc_fail(call, rc, "%s: %s", t->name, rte_strerror(-rc));
			return;
		}
		t->started = true;
	}
	/* Documented bring-ups leave the manager out. */
	if (!m->present) {
		m->present = true;
		m->by_transport = true;
	}
	weir_rpc_reply_true(call);
}
WEIR_RPC_METHOD(tport_start, "virtio_fs_transport_start",
		"Start a virtio-fs transport; devices can be created from then on",
		struct tport_args, tport_params)

static void WEIR_ON_CONTROL
tport_stop_call(struct weir_rpc_call *call, const void *args)
{
	struct tport *t = tport_of(call, args);

	if (t == NULL)
		return;
	if (t->nb_devices > 0) {
		weir_rpc_fail(call, -EBUSY, "Device or resource busy: %s is used by %u devices",
				t->name, t->nb_devices);
		return;
	}
	if (t->started)
		t->driver->ops->stop();
	t->started = false;
	weir_rpc_reply_true(call);
}
WEIR_RPC_METHOD(tport_stop, "virtio_fs_transport_stop",
		"Stop a virtio-fs transport; it must have no device", struct tport_args,
		tport_params)

static const struct weir_param tport_list_params[] = {
	WEIR_PARAM(tport_args, transport_name, WEIR_STR, .short_opt = 't', .position = 1,
			.help = "only this transport"),
};

static void WEIR_ON_CONTROL
tport_list_call(struct weir_rpc_call *call, const void *args)
{
	const struct tport_args *a = args;
	struct manager *m = manager_get();
	json_t *list = json_array();
	struct tport *t;

	TAILQ_FOREACH(t, &tports, next) {
		json_t *managers = json_array();

		if (a->transport_name[0] != '\0' && strcasecmp(t->name, a->transport_name) != 0) {
			json_decref(managers);
			continue;
		}
		if (m->present)
			json_array_append_new(managers, json_pack("{s:s}", "name", m->name));
		json_array_append_new(list,
				json_pack("{s:s, s:s, s:o, s:s}", "name", t->name, "state",
						t->started ? "started" : "stopped", "managers",
						managers, "driver", t->driver->name));
	}
	if (a->transport_name[0] != '\0' && json_array_size(list) == 0) {
		json_decref(list);
		weir_rpc_fail(call, -ENODEV, "No such device: %s", a->transport_name);
		return;
	}
	weir_rpc_reply(call, list);
}
WEIR_RPC_METHOD(tport_list, "virtio_fs_get_transports", "List virtio-fs transports",
		struct tport_args, tport_list_params)
