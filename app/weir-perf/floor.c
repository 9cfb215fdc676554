/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "floor.h"
#include "load.h"

/* Rounds over all rings between two looks at the connection. */
#define ROUNDS    4096
#define ACCEPT_MS 100
/* Rounds without work after which others may need this very CPU. */
#define IDLE_ROUNDS 1024

static int
floor_listen(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

/* A ring runs from its kick descriptor to GET_VRING_BASE, while it is enabled. */
static bool
ring_runs(const struct floor *floor, const struct floor_ring *ring)
{
	return ring->desc != NULL && ring->kickfd >= 0 && !ring->broken &&
			(ring->enabled || (floor->features & FE_F_VHOST_USER) == 0);
}

static bool
any_runs(const struct floor *floor)
{
	unsigned int i;

	for (i = 0; i < floor->nb_rings; i++)
		if (ring_runs(floor, &floor->ring[i]))
			return true;
	return false;
}

static unsigned int
rings_poll(struct floor *floor)
{
	bool packed = floor->features & FE_F_PACKED;
	unsigned int nb = 0;
	unsigned int i;

	for (i = 0; i < floor->nb_rings; i++) {
		struct floor_ring *ring = &floor->ring[i];

		if (!ring_runs(floor, ring))
			continue;
		nb += packed ? floor_poll_packed(floor, ring) : floor_poll_split(floor, ring);
		if (ring->broken)
			fprintf(stderr, "weir-perf: queue %u: the driver broke a rule\n", i);
	}
	return nb;
}

/* Serves one connection to its end. */
static void
connection_serve(struct floor *floor)
{
	struct pollfd pfd = { .fd = floor->fd, .events = POLLIN };
	unsigned int idle = 0;
	unsigned int i;
	int rc = 1;

	while (rc == 1 && !__atomic_load_n(&load_interrupted, __ATOMIC_RELAXED)) {
		bool runs = any_runs(floor);

		for (i = 0; i < ROUNDS && runs; i++) {
			idle = rings_poll(floor) == 0 ? idle + 1 : 0;
			if (idle % IDLE_ROUNDS != 0)
				__builtin_ia32_pause();
			else if (idle > 0)
				sched_yield();
		}
		/* Without a ring, there is nothing to poll but the connection. */
		if (poll(&pfd, 1, runs ? 0 : -1) > 0)
			rc = floor_message(floor);
	}
	if (rc < 0)
		fprintf(stderr, "weir-perf: a message of the front end: %s\n", strerror(-rc));
}

int
floor_serve(const char *path)
{
	struct floor *floor = calloc(1, sizeof(*floor));
	int fd = floor_listen(path);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (fd < 0 || floor == NULL) {
		fprintf(stderr, "weir-perf: cannot listen at %s: %s\n", path, strerror(-fd));
		free(floor);
		return PERF_SETUP;
	}
	while (!__atomic_load_n(&load_interrupted, __ATOMIC_RELAXED)) {
		/* Not for ever: a signal may come just before. */
		if (poll(&pfd, 1, ACCEPT_MS) <= 0)
			continue;
		floor->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (floor->fd < 0)
			continue;
		floor->features = 0;
		floor->protocol = 0;
		connection_serve(floor);
		floor_reset(floor);
	}
	unlink(path);
	close(fd);
	free(floor);
	return PERF_OK;
}
