/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <rte_errno.h>
#include <rte_vhost.h>

#include "vhost_user.h"

/* Lines about one device's front end in a minute. */
#define LOG_LINES     20
#define LOG_WINDOW_NS 60000000000ULL

/* How long a front end may leave the thread that serves all of them inside a read or a write. */
#define CONN_TIMEOUT_MS 1000

/* By the library's number of a connection. The transport thread's; a helper clears its own. */
static struct weir_tdev *_Atomic conns[RTE_MAX_VHOST_DEVICE];

bool
vu_log_admit(struct weir_tdev *tdev)
{
	uint64_t now = weir_now_ns();

	if (now - tdev->log_window_ns > LOG_WINDOW_NS) {
		tdev->log_window_ns = now;
		tdev->log_lines = 0;
	}
	if (tdev->log_lines == LOG_LINES)
		weir_log(vhost_user, WARNING, "%s: more lines than %u a minute are left out",
				tdev->cfg.name, LOG_LINES);
	return tdev->log_lines++ < LOG_LINES;
}

struct weir_tdev *WEIR_ON_TRANSPORT
vu_conn_find(int vid)
{
	return vid >= 0 && vid < RTE_MAX_VHOST_DEVICE ? atomic_load(&conns[vid]) : NULL;
}

/* Is fd the accepted end of a connection to path? */
static bool
conn_fd_is(int fd, const char *path)
{
	struct sockaddr_un un = { 0 };
	socklen_t len = sizeof(un) - 1;
	int listens = 1;

	if (getsockname(fd, (struct sockaddr *)&un, &len) < 0 || un.sun_family != AF_UNIX ||
			strncmp(un.sun_path, path, sizeof(un.sun_path)) != 0)
		return false;
	len = sizeof(listens);
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && !listens;
}

/*
 * The library keeps the descriptor of a connection to itself. Nobody but the library accepts on this
 * path and there is at most the old connection beside the new one, so it can be recognized.
 */
static int
conn_find_fd(const char *path, int old)
{
	struct dirent *entry;
	int fd, found = -1;
	DIR *dir;

	dir = opendir("/proc/self/fd");
	if (dir == NULL)
		return -1;
	while (found < 0 && (entry = readdir(dir)) != NULL) {
		fd = (int)strtol(entry->d_name, NULL, 10);
		if (entry->d_name[0] != '.' && fd != old && conn_fd_is(fd, path))
			found = fd;
	}
	closedir(dir);
	return found;
}

/*
 * One thread reads and writes all connections, blocking in the middle of a message. Half a message,
 * or answers that nobody fetches, must not hold it: the connection fails instead.
 */
static void
conn_set_timeout(int fd)
{
	struct timeval limit = {
		.tv_sec = CONN_TIMEOUT_MS / 1000,
		.tv_usec = CONN_TIMEOUT_MS % 1000 * 1000,
	};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* The library may hear of an end later than of the connection that follows it. */
static bool
conn_has_ended(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

void WEIR_ON_TRANSPORT
vu_disconnect(struct weir_tdev *tdev)
{
	struct weir_tdev *self = tdev;
	uint32_t i;

	if (tdev->vid < 0)
		return;
	for (i = 0; i < WIRE_MAX_QUEUES; i++)
		vu_ring_reset(tdev, i);
	tdev->cfg.events->disconnected(tdev->cfg.dev);
	vu_log(tdev, NOTICE, "front end gone");

	weir_memmap_put(tdev->map);
	tdev->map = NULL;
	tdev->table = (struct vu_table){ 0 };
	/* After unregistration the number may be another device's connection already. */
	atomic_compare_exchange_strong(&conns[tdev->vid], &self, NULL);
	tdev->vid = -1;
	tdev->connfd = -1;
	atomic_store(&tdev->features, 0);
	atomic_store(&tdev->nb_regions, 0);
	atomic_store(&tdev->connected, false);
}

/* An error makes the library close the connection without another word. */
static int WEIR_ON_TRANSPORT
conn_accept(int vid)
{
	char path[VU_PATH_MAX];
	struct weir_tdev *tdev;
	int connfd;

	if (vid >= RTE_MAX_VHOST_DEVICE || rte_vhost_get_ifname(vid, path, sizeof(path)) < 0)
		return -1;
	tdev = vu_endpoint_find(path);
	if (tdev == NULL)
		return -1;
	if (tdev->vid >= 0 && !conn_has_ended(tdev->connfd)) {
		vu_log(tdev, WARNING, "a second front end is refused");
		return -1;
	}

	connfd = conn_find_fd(path, tdev->connfd);
	vu_disconnect(tdev);
	if (connfd < 0 || rte_vhost_extern_callback_register(vid, &vu_extern_ops, NULL) < 0)
		return -1;
	conn_set_timeout(connfd);
	tdev->connfd = connfd;
	tdev->vid = vid;
	atomic_store(&conns[vid], tdev);
	atomic_store(&tdev->connected, true);
	vu_log(tdev, NOTICE, "front end connected");
	tdev->cfg.events->connected(tdev->cfg.dev);
	return 0;
}

static int
conn_new(int vid)
{
	weir_role_assume_transport();
	return conn_accept(vid);
}

static void
conn_destroy(int vid)
{
	struct weir_tdev *tdev;

	weir_role_assume_transport();
	tdev = vu_conn_find(vid);
	if (tdev != NULL)
		vu_disconnect(tdev);
}

/* new_device and destroy_device are about rings that the library knows, and it knows none. */
const struct rte_vhost_device_ops vu_device_ops = {
	.new_connection = conn_new,
	.destroy_connection = conn_destroy,
};
