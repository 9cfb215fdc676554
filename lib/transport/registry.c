/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <strings.h>

#include <rte_debug.h>

#include "weir_transport.h"

static TAILQ_HEAD(, weir_transport) transports = TAILQ_HEAD_INITIALIZER(transports);

/* Every op is called without a look at NULL: a transport has all of them. */
static int
transport_is_whole(const struct weir_transport *transport)
{
	const struct weir_transport_ops *ops = transport->ops;

	return transport->name != NULL && transport->help != NULL && transport->max_queues >= 2 &&
			ops != NULL && ops->start != NULL && ops->stop != NULL &&
			ops->dev_create != NULL && ops->dev_destroy != NULL &&
			ops->dev_info != NULL && ops->vq_call != NULL;
}

void
weir_transport_register(struct weir_transport *transport)
{
	if (!transport_is_whole(transport))
		rte_panic("transport %s lacks an operation\n",
				transport->name != NULL ? transport->name : "without name");
	if (weir_transport_find(transport->name) != NULL)
		rte_panic("transport %s is registered twice\n", transport->name);
	TAILQ_INSERT_TAIL(&transports, transport, next);
}

struct weir_transport *
weir_transport_find(const char *name)
{
	struct weir_transport *transport;

	TAILQ_FOREACH(transport, &transports, next)
		if (strcasecmp(transport->name, name) == 0)
			return transport;
	return NULL;
}

struct weir_transport *
weir_transport_next(struct weir_transport *prev)
{
	return prev == NULL ? TAILQ_FIRST(&transports) : TAILQ_NEXT(prev, next);
}
