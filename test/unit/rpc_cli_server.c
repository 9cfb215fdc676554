/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * rpc_cli_server SOCKET: an RPC server for test_rpc_cli.py, with methods that are named like the
 * documented ones and give back the parameters that they got. Says "ready" when it serves; ends
 * when its standard input does.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_loop.h"
#include "weir_rpc.h"

struct args {
	char name[32];
	char root_path[64];
	char transport_name[16];
	char dev_name[32];
	char manager[32];
	uint32_t max_write;
	uint64_t size;
	uint32_t driver_platform;
	bool wait_for_done;
	bool packed_vq;
};

static void WEIR_ON_CONTROL
mirror_call(struct weir_rpc_call *call, const void *args)
{
	const struct weir_rpc_method *method = weir_rpc_call_method(call);

	weir_rpc_reply(call, weir_param_encode(method->params, method->nb_params, args));
}

static const char *const write_aliases[] = { "max_xfer_size", NULL };

static const struct weir_param create_params[] = {
	WEIR_PARAM(args, root_path, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 2,
			.help = "folder to serve"),
	WEIR_PARAM(args, name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 1,
			.help = "unique name"),
	WEIR_PARAM(args, max_write, WEIR_U32, .aliases = write_aliases, .def = 131072, .min = 4096,
			.max = 1 << 20),
	WEIR_PARAM(args, size, WEIR_U64),
};

static const char *const platforms[] = { "native", "x86_64", NULL };

static const struct weir_param device_params[] = {
	WEIR_PARAM(args, transport_name, WEIR_STR, .short_opt = 't'),
	WEIR_PARAM(args, manager, WEIR_STR, .short_opt = 'm'),
	WEIR_PARAM(args, dev_name, WEIR_STR),
	WEIR_PARAM(args, driver_platform, WEIR_ENUM, .choices = platforms),
	WEIR_PARAM(args, packed_vq, WEIR_BOOL, .flags = WEIR_PARAM_UNSUPPORTED),
};

static const struct weir_param hotplug_params[] = {
	WEIR_PARAM(args, dev_name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED),
	WEIR_PARAM(args, wait_for_done, WEIR_BOOL),
};
static const char *const hotplug_aliases[] = { "virtio_fs_device_hotplug", NULL };

static const struct weir_param list_params[] = {
	WEIR_PARAM(args, name, WEIR_STR, .short_opt = 'n'),
};

static void WEIR_ON_CONTROL
name_call(struct weir_rpc_call *call, const void *args)
{
	weir_rpc_reply(call, json_string("MT2333XZ0VJQVFSS0D0F2"));
}

static void WEIR_ON_CONTROL
fail_call(struct weir_rpc_call *call, const void *args)
{
	weir_rpc_fail(call, -ENODEV, "No such device: x");
}

static struct weir_rpc_call *never;

static void WEIR_ON_CONTROL
never_call(struct weir_rpc_call *call, const void *args)
{
	never = call; /* It ends when the process does. */
}

#define MIRROR(table)                                                                              \
	.params = (table), .nb_params = RTE_DIM(table), .args_size = sizeof(struct args),          \
	.call = mirror_call

static struct weir_rpc_method methods[] = {
	{ .name = "fsdev_aio_create", .help = "Serve a local folder", MIRROR(create_params) },
	{ .name = "virtio_fs_device_create", .help = "Create a device", MIRROR(device_params) },
	{ .name = "virtio_fs_doca_device_hotplug",
			.help = "Plug a device in",
			.aliases = hotplug_aliases,
			MIRROR(hotplug_params) },
	{ .name = "fsdev_get_fsdevs", .help = "List file systems", MIRROR(list_params) },
	{ .name = "virtio_fs_doca_function_create", .help = "Say a name", .call = name_call },
	{ .name = "fail", .help = "Fail", .call = fail_call },
	{ .name = "never", .help = "Do not answer", .call = never_call },
};

static void
input_ready(struct weir_fd *wfd, uint32_t events)
{
	char c;

	if (read(wfd->fd, &c, 1) <= 0)
		weir_loop_stop();
}

int
main(int argc, char **argv)
{
	struct weir_fd input = { .fd = STDIN_FILENO, .events = EPOLLIN, .ready = input_ready };
	int rc;

	weir_role_assume_control();
	if (argc != 2)
		return 2;
	for (size_t i = 0; i < RTE_DIM(methods); i++)
		weir_rpc_method_register(&methods[i]);
	rc = weir_loop_init();
	if (rc == 0)
		rc = weir_rpc_server_start(argv[1]);
	if (rc == 0)
		rc = weir_fd_add(&input);
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-rc));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	rc = weir_loop_run();
	if (never != NULL)
		weir_rpc_reply_true(never);
	weir_rpc_server_stop();
	weir_loop_fini();
	return rc < 0;
}
