/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The end of all file systems, at the end of the process. */

#include <errno.h>

#include <rte_common.h>

#include "weir_log.h"

#include "fsdev.h"

WEIR_LOG_USE(fsdev);

/* How often to look whether a file system has become free to go. */
#define SHUTDOWN_TICK_MS 10

static struct {
	struct weir_timer timer;
	uint64_t deadline_ns;
	void (*done)(void *arg, unsigned int left);
	void *arg;
} fsdevs_shutdown;

static void
shutdown_deleted(void *arg, struct weir_fsdev *dev, int rc, const char *message)
{
	/* Whoever is busy is asked again, and counted at the end. */
}

static void
shutdown_tick(struct weir_timer *timer)
{
	struct weir_fsdev *dev, *next;
	unsigned int left;

	weir_role_assume_control();
	fsdevs_cancel();
	for (dev = fsdev_next(NULL); dev != NULL; dev = next) {
		next = fsdev_next(dev);
		fsdev_delete(dev, shutdown_deleted, NULL);
	}
	left = fsdev_count();
	if (left > 0 && weir_now_ns() < fsdevs_shutdown.deadline_ns) {
		weir_timer_arm(timer, SHUTDOWN_TICK_MS);
		return;
	}
	if (left > 0)
		weir_log(fsdev, WARNING, "%u file systems are still busy at the end", left);
	fsdevs_shutdown.done(fsdevs_shutdown.arg, left);
}

void WEIR_ON_CONTROL
weir_fsdevs_shutdown(uint32_t timeout_ms, void (*done)(void *arg, unsigned int left), void *arg)
{
	fsdevs_shutdown.timer.expired = shutdown_tick;
	fsdevs_shutdown.deadline_ns = weir_now_ns() + timeout_ms * UINT64_C(1000000);
	fsdevs_shutdown.done = done;
	fsdevs_shutdown.arg = arg;
	shutdown_tick(&fsdevs_shutdown.timer);
}
