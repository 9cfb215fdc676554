/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Start and end of the library, and its upkeep in between. */

#include <errno.h>

#include "device.h"

/* Tables grow ahead of the workers, who poke control when they run low; this is the slow hand. */
#define UPKEEP_MS 100
/* While guests forget more nodes than one step of upkeep deals with. */
#define UPKEEP_SOON_MS 1
/* How often a shutdown looks whether it may end. */
#define SHUTDOWN_TICK_MS 10

static struct {
	struct weir_timer upkeep;
	struct weir_timer tick;
	uint64_t deadline_ns;
	void (*done)(void *arg, unsigned int stuck);
	void *arg;
} all;

static void WEIR_ON_CONTROL
devices_upkeep(struct weir_timer *timer)
{
	bool more = weir_fsdevs_maintain();
	struct device *dev;

	TAILQ_FOREACH(dev, &devices, next) {
		if (dev->sess != NULL)
			weir_fuse_session_maintain(dev->sess);
	}
	device_places_sample();
	weir_timer_arm(timer, more ? UPKEEP_SOON_MS : UPKEEP_MS);
}

int
weir_devices_init(const struct weir_devices_cfg *cfg)
{
	int rc;

	rc = devreq_pools_create(cfg->nb_requests, cfg->nb_big_requests);
	if (rc < 0)
		return rc;
	rc = functions_init(cfg->manager, cfg->static_vuids);
	if (rc < 0)
		goto no_functions;
	rc = device_stats_register();
	if (rc < 0)
		goto no_stats;
	tports_init(cfg->socket_dir, cfg->transport);
	all.upkeep.expired = devices_upkeep;
	weir_timer_arm(&all.upkeep, UPKEEP_MS);
	return 0;

no_stats:
	functions_fini();
no_functions:
	devreq_pools_destroy();
	return rc;
}

static void
devices_shutdown_one(void *arg, int rc, const char *message)
{
}

/* A device in the middle of another operation is tried again at the next tick. */
static void WEIR_ON_CONTROL
devices_destroy_all(void)
{
	struct device *dev, *tmp;

	for (dev = TAILQ_FIRST(&devices); dev != NULL; dev = tmp) {
		tmp = TAILQ_NEXT(dev, next);
		if (!dev->destroying)
			device_destroy(dev, devices_shutdown_one, NULL);
	}
}

static void WEIR_ON_CONTROL
devices_shutdown_tick(struct weir_timer *timer)
{
	unsigned int nb_devices, nb_stuck;
	struct device *dev;

	devices_destroy_all();
	devices_left(&nb_devices, &nb_stuck);
	if (nb_devices > 0 && weir_now_ns() < all.deadline_ns) {
		weir_timer_arm(timer, SHUTDOWN_TICK_MS);
		return;
	}
	TAILQ_FOREACH(dev, &devices, next)
		weir_log(device, ERR, "%s: still has requests in fsdev %s; they are lost with it",
				dev->name, dev->conf.fsdev);
	all.done(all.arg, nb_devices > 0 && nb_stuck == 0 ? nb_devices : nb_stuck);
}

void
weir_devices_shutdown(uint32_t timeout_ms, void (*done)(void *arg, unsigned int stuck), void *arg)
{
	all.done = done;
	all.arg = arg;
	all.deadline_ns = weir_now_ns() + timeout_ms * 1000000ULL;
	all.tick.expired = devices_shutdown_tick;
	weir_timer_arm(&all.tick, 0);
}

void
weir_devices_fini(void)
{
	weir_timer_cancel(&all.upkeep);
	tports_fini();
	functions_fini();
	devreq_pools_destroy();
}
