/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <string.h>

#include <rte_debug.h>

#include "sunrpc.h"

static TAILQ_HEAD(, weir_xprt_driver) drivers = TAILQ_HEAD_INITIALIZER(drivers);

void
weir_xprt_driver_register(struct weir_xprt_driver *driver)
{
	if (sunrpc_xprt_find(driver->name) != NULL)
		rte_panic("transport %s registered twice\n", driver->name);
	TAILQ_INSERT_TAIL(&drivers, driver, next);
}

const struct weir_xprt_driver *
sunrpc_xprt_find(const char *name)
{
	const struct weir_xprt_driver *driver;

	TAILQ_FOREACH(driver, &drivers, next)
		if (strcmp(driver->name, name) == 0)
			return driver;
	return NULL;
}
