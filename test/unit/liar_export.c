/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "liar_export.h"

static uint16_t port;

int
liar_main(const char *lcores, int (*run)(void))
{
	int rc;

	port = nfs_liar_start();
	if (port == 0)
		return 1;
	if (fsc_start(lcores) < 0)
		return 77;
	rc = run();
	fsc_stop();
	nfs_liar_stop();
	return rc;
}

int
liar_create(const char *more, char message[512])
{
	char params[512];

	snprintf(params, sizeof(params),
			"{\"name\": \"liar\", \"server\": \"127.0.0.1\", \"exportname\": \"/x\", "
			"\"port\": %u, \"mount_port\": %u%s}",
			port, port, more);
	return fsc_rpc("fsdev_nfs_create", params, message);
}

void
liar_delete(void)
{
	char message[512];

	if (fsc_rpc("fsdev_nfs_delete", "{\"name\": \"liar\"}", message) != 0)
		fail_msg("%s", message);
}

struct weir_node *
liar_up(struct fs_client *fsc, const char *more)
{
	char message[512];

	if (liar_create(more, message) != 0)
		fail_msg("%s", message);
	weir_role_assume_control();
	fsc_open_session(fsc, weir_fsdev_find("liar"));
	return weir_fsdev_root(fsc->dev);
}

void
liar_down(struct fs_client *fsc)
{
	fsc_close_session(fsc);
	liar_delete();
}
