/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What workers are for, and routes, which lead to those that have the channels. */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <rte_common.h>

#include "fsdev.h"
#include "handoff.h"

/* Worker indices; nothing set: each worker is both. */
static struct {
	unsigned int nb_frontends, nb_backends;
	uint8_t frontends[WEIR_MAX_WORKERS], backends[WEIR_MAX_WORKERS];
	bool is_frontend[WEIR_MAX_WORKERS], is_backend[WEIR_MAX_WORKERS];
} roles;
static_assert(WEIR_MAX_WORKERS <= UINT8_MAX, "an index of a worker is a byte");

int WEIR_ON_CONTROL
roles_set(const struct weir_handoff_cfg *cfg)
{
	bool any_frontend = false, any_backend = false;
	unsigned int i, nb = weir_workers_count();

	for (i = 0; i < nb; i++) {
		if (!cfg->frontend[i] && !cfg->backend[i])
			return -EINVAL;
		any_frontend |= cfg->frontend[i];
		any_backend |= cfg->backend[i];
	}
	if (!any_frontend || !any_backend)
		return -EINVAL;
	for (i = 0; i < nb; i++) {
		if (cfg->frontend[i])
			roles.frontends[roles.nb_frontends++] = (uint8_t)i;
		if (cfg->backend[i])
			roles.backends[roles.nb_backends++] = (uint8_t)i;
		roles.is_frontend[i] = cfg->frontend[i];
		roles.is_backend[i] = cfg->backend[i];
	}
	return 0;
}

void WEIR_ON_CONTROL
roles_clear(void)
{
	memset(&roles, 0, sizeof(roles));
}

static bool
roles_are_set(void)
{
	return roles.nb_backends > 0;
}

unsigned int
weir_frontends_count(void)
{
	return roles_are_set() ? roles.nb_frontends : weir_workers_count();
}

struct weir_worker *
weir_frontend_at(unsigned int i)
{
	return weir_worker_at(roles_are_set() ? roles.frontends[i] : i);
}

unsigned int
weir_backends_count(void)
{
	return roles_are_set() ? roles.nb_backends : weir_workers_count();
}

struct weir_worker *
weir_backend_at(unsigned int i)
{
	return weir_worker_at(roles_are_set() ? roles.backends[i] : i);
}

bool
weir_worker_is_frontend(const struct weir_worker *worker)
{
	return !roles_are_set() || roles.is_frontend[weir_worker_index(worker)];
}

bool
weir_worker_is_backend(const struct weir_worker *worker)
{
	return !roles_are_set() || roles.is_backend[weir_worker_index(worker)];
}

struct weir_worker *
weir_worker_backend(const struct weir_worker *worker)
{
	unsigned int i = weir_worker_index(worker);

	return weir_worker_is_backend(worker) ? weir_worker_at(i) :
						weir_backend_at(i % roles.nb_backends);
}

struct weir_channel *WEIR_ON_WORKER
weir_fsdev_channel(struct weir_fsdev *dev)
{
	return dev->chans[weir_worker_index(weir_worker_backend(weir_worker_self()))];
}

struct weir_channel *WEIR_ON_WORKER
weir_fsdev_channel_by(struct weir_fsdev *dev, struct weir_route *route)
{
	uint32_t turn;

	if (route == NULL)
		return weir_fsdev_channel(dev);
	turn = route->next;
	route->next = turn + 1 < route->nb ? turn + 1 : 0;
	return dev->chans[route->workers[turn]];
}
