/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "device.h"

static const char *const platforms[] = { "native", "x86", "x86_64", "aarch32", "aarch64", NULL };

static const char *const spreads[] = {
	[DEVICE_SPREAD_NONE] = "none",
	[DEVICE_SPREAD_RR] = "rr",
	[DEVICE_SPREAD_WEIGHTED_RR] = "weighted_rr",
	NULL,
};

struct device_args {
	char transport_name[32];
	char dev_name[DEVICE_NAME_MAX];
	struct device_conf conf;
	bool notification_vq;
	bool has_tag, has_fsdev, has_queues, has_size, has_platform, has_spread, has_weights,
			has_packed, has_uid_map, has_gid_map;
};

/* What create and modify have in common. */
#define DEVICE_CONF_PARAMS                                                                                    \
	{ .name = "tag",                                                                                      \
		.type = WEIR_STR,                                                                             \
		.off = offsetof(struct device_args, conf.tag),                                                \
		.size = DEVICE_TAG_MAX + 1,                                                                   \
		WEIR_PARAM_GIVEN(device_args, has_tag),                                                       \
		.help = "what the guest mounts, 1 to 36 bytes; needed before start" },                        \
			{ .name = "fsdev",                                                                    \
				.type = WEIR_STR,                                                             \
				.off = offsetof(struct device_args, conf.fsdev),                              \
				.size = DEVICE_NAME_MAX,                                                      \
				WEIR_PARAM_GIVEN(device_args, has_fsdev),                                     \
				.help = "file system to serve, by name; needed before start" },               \
			{ .name = "num_request_queues",                                                       \
				.type = WEIR_U32,                                                             \
				.off = offsetof(struct device_args, conf.num_request_queues),                 \
				.size = sizeof(uint32_t),                                                     \
				WEIR_PARAM_GIVEN(device_args, has_queues),                                    \
				.def = 31,                                                                    \
				.min = 1,                                                                     \
				.max = 254,                                                                   \
				.help = "request queues at most, beside the high-priority one" },             \
			{ .name = "queue_size",                                                               \
				.type = WEIR_U32,                                                             \
				.flags = WEIR_PARAM_POW2,                                                     \
				.off = offsetof(struct device_args, conf.queue_size),                         \
				.size = sizeof(uint32_t),                                                     \
				WEIR_PARAM_GIVEN(device_args, has_size),                                      \
				.def = 64,                                                                    \
				.min = 8,                                                                     \
				.max = WEIR_VQ_MAX_SIZE,                                                      \
				.help = "entries of a ring as reported; the front end decides" },             \
			{ .name = "driver_platform",                                                          \
				.type = WEIR_ENUM,                                                            \
				.choices = platforms,                                                         \
				.off = offsetof(struct device_args, conf.driver_platform),                    \
				.size = sizeof(uint32_t),                                                     \
				WEIR_PARAM_GIVEN(device_args, has_platform),                                  \
				.help = "architecture of the driver; checked and reported, without effect" }, \
			{ .name = "io_core_distribution_policy",                                              \
				.type = WEIR_ENUM,                                                            \
				.choices = spreads,                                                           \
				.off = offsetof(struct device_args, conf.spread),                             \
				.size = sizeof(uint32_t),                                                     \
				WEIR_PARAM_GIVEN(device_args, has_spread),                                    \
				.help = "backend workers of a queue's requests: one, or all in turn" },       \
			{ .name = "io_core_weights",                                                          \
				.type = WEIR_STR,                                                             \
				.off = offsetof(struct device_args, conf.weights),                            \
				.size = DEVICE_WEIGHTS_MAX,                                                   \
				WEIR_PARAM_GIVEN(device_args, has_weights),                                   \
				.help = "weighted_rr: LCORE=0..32,..., 1 for those not named" },              \
			{ .name = "packed_vq",                                                                \
				.type = WEIR_BOOL,                                                            \
				.off = offsetof(struct device_args, conf.packed_vq),                          \
				.size = sizeof(bool),                                                         \
				WEIR_PARAM_GIVEN(device_args, has_packed),                                    \
				.help = "offer packed rings; the guest chooses" },                            \
			{ .name = "uid_map",                                                                  \
				.type = WEIR_STR,                                                             \
				.off = offsetof(struct device_args, conf.uid_map),                            \
				.size = DEVICE_IDMAP_MAX,                                                     \
				WEIR_PARAM_GIVEN(device_args, has_uid_map),                                   \
				.help = "users of guest and host: map:GUEST:HOST:COUNT,..., see the guide" }, \
			{ .name = "gid_map",                                                                  \
				.type = WEIR_STR,                                                             \
				.off = offsetof(struct device_args, conf.gid_map),                            \
				.size = DEVICE_IDMAP_MAX,                                                     \
				WEIR_PARAM_GIVEN(device_args, has_gid_map),                                   \
				.help = "groups of guest and host, as uid_map" },                             \
			WEIR_PARAM(device_args, notification_vq, WEIR_BOOL,                                   \
					.flags = WEIR_PARAM_UNSUPPORTED,                                      \
					.help = "offer a notification queue")

static const struct weir_param device_create_params[] = {
	WEIR_PARAM(device_args, transport_name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED,
			.short_opt = 't', .help = "transport to create it on"),
	WEIR_PARAM(device_args, dev_name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED,
			.help = "unique name; also the name of its socket"),
	DEVICE_CONF_PARAMS,
};

static const struct weir_param device_modify_params[] = {
	WEIR_PARAM(device_args, dev_name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED,
			.help = "name of the device"),
	DEVICE_CONF_PARAMS,
};

/* A name becomes part of a file name. */
static bool
device_name_is_good(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

/* Warns, as the documented service lets it pass: the file system may come later. */
static void WEIR_ON_CONTROL
device_warn_missing(const char *dev_name, const struct device_conf *conf)
{
	if (conf->fsdev[0] != '\0' && weir_fsdev_find(conf->fsdev) == NULL)
		weir_log(device, WARNING, "%s: fsdev %s does not exist yet", dev_name, conf->fsdev);
}

/* Linux refuses a tag with a line break, and cannot find one that is empty. */
static bool WEIR_ON_CONTROL
device_tag_is_refused(struct weir_rpc_call *call, const struct device_args *a)
{
	if (!a->has_tag || (a->conf.tag[0] != '\0' && strchr(a->conf.tag, '\n') == NULL))
		return false;
	weir_rpc_fail(call, WEIR_RPC_INVALID_PARAMS,
			"Invalid parameters: tag: must be 1 to 36 bytes without a line break");
	return true;
}

static bool WEIR_ON_CONTROL
device_spread_is_refused(struct weir_rpc_call *call, const struct device_conf *conf)
{
	const char *why = device_weights_refused(conf->spread, conf->weights);

	if (why == NULL)
		return false;
	weir_rpc_fail(call, WEIR_RPC_INVALID_PARAMS, "Invalid parameters: io_core_weights: %s",
			why);
	return true;
}

static bool WEIR_ON_CONTROL
device_maps_are_refused(struct weir_rpc_call *call, const struct device_args *a)
{
	const char *uid = weir_fuse_idmap_refused(a->conf.uid_map);
	const char *gid = weir_fuse_idmap_refused(a->conf.gid_map);

	if (uid == NULL && gid == NULL)
		return false;
	weir_rpc_fail(call, WEIR_RPC_INVALID_PARAMS, "Invalid parameters: %s: %s",
			uid != NULL ? "uid_map" : "gid_map", uid != NULL ? uid : gid);
	return true;
}

static void WEIR_ON_CONTROL
device_create_call(struct weir_rpc_call *call, const void *args)
{
	const struct device_args *a = args;
	struct tport *t = tport_find(a->transport_name);
	struct device *dev;
	int rc;

	if (t == NULL) {
		weir_rpc_fail(call, -ENODEV, "No such device: %s", a->transport_name);
		return;
	}
	if (!t->started) {
		weir_rpc_fail(call, -EPERM, "Operation not permitted: transport %s is stopped",
				t->name);
		return;
	}
	if (!device_name_is_good(a->dev_name)) {
		weir_rpc_fail(call, WEIR_RPC_INVALID_PARAMS,
				"Invalid parameters: dev_name: empty, begins with a dot or has a slash");
		return;
	}
	if (device_tag_is_refused(call, a) || device_spread_is_refused(call, &a->conf) ||
			device_maps_are_refused(call, a))
		return;
	if (device_find(a->dev_name) != NULL) {
		weir_rpc_fail(call, -EEXIST, "File exists: %s", a->dev_name);
		return;
	}
	if (a->conf.num_request_queues >= t->driver->max_queues) {
		weir_rpc_fail(call, WEIR_RPC_INVALID_PARAMS,
				"Invalid parameters: num_request_queues: %s takes at most %u",
				t->name, t->driver->max_queues - 1);
		return;
	}
	rc = device_new(a->dev_name, t, &a->conf, &dev);
	if (rc < 0) {
		weir_rpc_fail(call, rc, "Cannot allocate memory: %s", a->dev_name);
		return;
	}
	device_warn_missing(dev->name, &dev->conf);
	weir_rpc_reply_true(call);
}
WEIR_RPC_METHOD(device_create, "virtio_fs_device_create", "Create a virtio-fs device",
		struct device_args, device_create_params)

static void
device_reply(void *arg, int rc, const char *message)
{
	struct weir_rpc_call *call = arg;

	weir_role_assume_control();
	if (rc < 0)
		weir_rpc_fail(call, rc, "%s", message);
	else
		weir_rpc_reply_true(call);
}

/* The device that a call names, or NULL after the call was refused. */
static struct device *WEIR_ON_CONTROL
device_of(struct weir_rpc_call *call, const char *name)
{
	struct device *dev = device_find(name);

	if (dev == NULL)
		weir_rpc_fail(call, -ENODEV, "No such device: %s", name);
	return dev;
}

static void WEIR_ON_CONTROL
device_modify_call(struct weir_rpc_call *call, const void *args)
{
	const struct device_args *a = args;
	struct device *dev = device_of(call, a->dev_name);
	struct device_conf conf;

	if (dev == NULL || device_tag_is_refused(call, a) || device_maps_are_refused(call, a))
		return;
	if (dev->state == DEVICE_RUNNING) {
		weir_rpc_fail(call, -EBUSY, "Device or resource busy: %s is running; stop it first",
				dev->name);
		return;
	}
	if (atomic_load(&dev->connected)) {
		weir_rpc_fail(call, -EBUSY, "Device or resource busy: %s is used by a front end",
				dev->name);
		return;
	}
	conf = dev->conf;
	if (a->has_tag)
		memcpy(conf.tag, a->conf.tag, sizeof(conf.tag));
	if (a->has_fsdev)
		memcpy(conf.fsdev, a->conf.fsdev, sizeof(conf.fsdev));
	if (a->has_queues)
		conf.num_request_queues = a->conf.num_request_queues;
	if (a->has_size)
		conf.queue_size = a->conf.queue_size;
	if (a->has_platform)
		conf.driver_platform = a->conf.driver_platform;
	if (a->has_spread)
		conf.spread = a->conf.spread;
	/* Weights go with their policy. */
	if (a->has_weights || conf.spread != DEVICE_SPREAD_WEIGHTED_RR)
		memcpy(conf.weights, a->conf.weights, sizeof(conf.weights));
	if (a->has_packed)
		conf.packed_vq = a->conf.packed_vq;
	if (a->has_uid_map)
		memcpy(conf.uid_map, a->conf.uid_map, sizeof(conf.uid_map));
	if (a->has_gid_map)
		memcpy(conf.gid_map, a->conf.gid_map, sizeof(conf.gid_map));
	if (device_spread_is_refused(call, &conf))
		return;
	device_warn_missing(dev->name, &conf);
	device_modify(dev, &conf, device_reply, call);
}
WEIR_RPC_METHOD(device_modify, "virtio_fs_device_modify",
		"Change a device that is idle or stopped and that no front end is connected to",
		struct device_args, device_modify_params)

struct device_name_args {
	char dev_name[DEVICE_NAME_MAX];
};

static const struct weir_param device_name_params[] = {
	WEIR_PARAM(device_name_args, dev_name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED,
			.position = 1, .help = "name of the device"),
};

static void WEIR_ON_CONTROL
device_start_call(struct weir_rpc_call *call, const void *args)
{
	struct device *dev = device_of(call, ((const struct device_name_args *)args)->dev_name);

	if (dev != NULL)
		device_start(dev, device_reply, call);
}
WEIR_RPC_METHOD(device_start, "virtio_fs_device_start", "Start a virtio-fs device",
		struct device_name_args, device_name_params)

static void WEIR_ON_CONTROL
device_stop_call(struct weir_rpc_call *call, const void *args)
{
	struct device *dev = device_of(call, ((const struct device_name_args *)args)->dev_name);

	if (dev != NULL)
		device_stop(dev, device_reply, call);
}
WEIR_RPC_METHOD(device_stop, "virtio_fs_device_stop",
		"Pause a virtio-fs device; connection, session and open files stay",
		struct device_name_args, device_name_params)

static void WEIR_ON_CONTROL
device_destroy_call(struct weir_rpc_call *call, const void *args)
{
	struct device *dev = device_of(call, ((const struct device_name_args *)args)->dev_name);

	if (dev == NULL)
		return;
	if (dev->state == DEVICE_RUNNING) {
		weir_rpc_fail(call, -EBUSY, "Device or resource busy: %s is running; stop it first",
				dev->name);
		return;
	}
	device_destroy(dev, device_reply, call);
}
WEIR_RPC_METHOD(device_destroy, "virtio_fs_device_destroy",
		"Destroy a virtio-fs device; it must not be running", struct device_name_args,
		device_name_params)

static json_t *WEIR_ON_CONTROL
device_json(const struct device *dev)
{
	const char *fsdev_state = dev->conf.fsdev[0] == '\0'     ? "unset" :
			weir_fsdev_find(dev->conf.fsdev) == NULL ? "missing" :
								   "present";
	json_t *obj = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:b, s:b, s:s}",
			"name", dev->name, "transport_name", dev->tport->name, "state",
			device_state_name(dev->state), "fsdev", dev->conf.fsdev, "fsdev_state",
			fsdev_state, "tag", dev->conf.tag, "queue_size", (int)dev->conf.queue_size,
			"num_request_queues", (int)dev->conf.num_request_queues, "packed_ring",
			(int)dev->conf.packed_vq, "packed_vq", (int)dev->conf.packed_vq,
			"notification_vq", 0, "driver_platform",
			platforms[dev->conf.driver_platform]);

	json_object_set_new(
			obj, "io_core_distribution_policy", json_string(spreads[dev->conf.spread]));
	json_object_set_new(obj, "io_core_weights", json_string(dev->conf.weights));
	json_object_set_new(obj, "uid_map", json_string(dev->conf.uid_map));
	json_object_set_new(obj, "gid_map", json_string(dev->conf.gid_map));
	json_object_set_new(obj, "manager", json_string(dev->manager));
	json_object_set_new(
			obj, "vuid", json_string(dev->function != NULL ? dev->function->vuid : ""));
	json_object_set_new(obj, "pci_address",
			json_string(dev->function != NULL ? dev->function->pci_address : ""));
	json_object_set_new(obj, "connected", json_boolean(atomic_load(&dev->connected)));
	json_object_set_new(obj, "mounted",
			json_boolean(dev->sess != NULL && weir_fuse_session_is_mounted(dev->sess)));
	if (dev->destroying)
		json_object_set_new(obj, "destroying", json_true());
	if (dev->sess != NULL)
		json_object_set_new(obj, "fuse", weir_fuse_session_negotiated(dev->sess));
	if (dev->tdev != NULL)
		json_object_update_missing_new(obj, dev->tport->driver->ops->dev_info(dev->tdev));
	return obj;
}

struct device_list_args {
	char transport_name[32];
	char dev_name[DEVICE_NAME_MAX];
};

static const struct weir_param device_list_params[] = {
	WEIR_PARAM(device_list_args, transport_name, WEIR_STR, .short_opt = 't',
			.help = "only devices of this transport"),
	WEIR_PARAM(device_list_args, dev_name, WEIR_STR, .help = "only this device"),
};

static void WEIR_ON_CONTROL
device_list_call(struct weir_rpc_call *call, const void *args)
{
	const struct device_list_args *a = args;
	bool by_tport = a->transport_name[0] != '\0', by_name = a->dev_name[0] != '\0';
	struct device *dev;
	json_t *list;

	if (by_tport && by_name) {
		weir_rpc_fail(call, WEIR_RPC_INVALID_PARAMS,
				"Invalid parameters: transport_name and dev_name exclude each other");
		return;
	}
	if (by_name && device_of(call, a->dev_name) == NULL)
		return;
	if (by_tport && tport_find(a->transport_name) == NULL) {
		weir_rpc_fail(call, -ENODEV, "No such device: %s", a->transport_name);
		return;
	}
	list = json_array();
	TAILQ_FOREACH(dev, &devices, next) {
		if (by_name && strcmp(dev->name, a->dev_name) != 0)
			continue;
		if (by_tport && strcasecmp(dev->tport->name, a->transport_name) != 0)
			continue;
		json_array_append_new(list, device_json(dev));
	}
	weir_rpc_reply(call, list);
}
WEIR_RPC_METHOD(device_list, "virtio_fs_get_devices", "List virtio-fs devices",
		struct device_list_args, device_list_params)
