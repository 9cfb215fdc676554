/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_errno.h>
#include <rte_vhost.h>

#include "vhost_user.h"

WEIR_LOG_TYPE(vhost_user);

/* Registration waits for the library's event thread, which waits for workers: not for long. */
#define NB_HELPERS 2

/* Who may connect is who may write: the owner of weir and the group of its socket folder. */
#define SOCKET_MODE 0660

static char socket_dir[VU_PATH_MAX];
static struct weir_helpers *helpers;
static unsigned int nb_devices; /* control's */

/* Control adds and removes; the transport thread looks a device up when a front end connects. */
static pthread_mutex_t endpoints_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, weir_tdev) endpoints = LIST_HEAD_INITIALIZER(endpoints);

struct weir_tdev *
vu_endpoint_find(const char *path)
{
	struct weir_tdev *tdev;

	pthread_mutex_lock(&endpoints_lock);
	LIST_FOREACH(tdev, &endpoints, next)
		if (strcmp(tdev->path, path) == 0)
			break;
	pthread_mutex_unlock(&endpoints_lock);
	return tdev;
}

/*
 * The library writes lines for each message, which lets a front end fill the log. What is worth
 * telling we tell ourselves; a level that the operator chose stays.
 */
static void
endpoint_quieten_library(void)
{
	int type = rte_log_register("lib.vhost.config");

	if (type >= 0 && rte_log_get_level(type) == RTE_LOG_INFO)
		rte_log_set_level(type, RTE_LOG_CRIT);
}

static int WEIR_ON_CONTROL
endpoint_start(const char *dir)
{
	if (snprintf(socket_dir, sizeof(socket_dir), "%s", dir) >= (int)sizeof(socket_dir))
		return -ENAMETOOLONG;
	endpoint_quieten_library();
	return weir_helpers_create("vhost-user", NB_HELPERS, &helpers);
}

static void WEIR_ON_CONTROL
endpoint_stop(void)
{
	weir_helpers_destroy(helpers, NULL, NULL);
	helpers = NULL;
}

static int __rte_format_printf(3, 4)
		endpoint_fail(struct weir_tdev *tdev, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(tdev->message, sizeof(tdev->message), fmt, args);
	va_end(args);
	return rc;
}

static int
endpoint_socket(const char *path, struct sockaddr_un *un)
{
	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(un->sun_path, sizeof(un->sun_path), "%s", path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Removes what a process that is no more has left there, and nothing else. */
static int
endpoint_clear_path(struct weir_tdev *tdev)
{
	struct sockaddr_un un;
	struct stat st;
	int fd, rc;

	if (lstat(tdev->path, &st) < 0)
		return errno == ENOENT ? 0 :
					 endpoint_fail(tdev, -errno, "%s: %s", tdev->path,
							 rte_strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return endpoint_fail(tdev, -EEXIST, "%s exists and is not a socket", tdev->path);

	fd = endpoint_socket(tdev->path, &un);
	if (fd < 0)
		return endpoint_fail(tdev, -errno, "no socket: %s", rte_strerror(errno));
	rc = connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? errno : 0;
	close(fd);
	if (rc != ECONNREFUSED)
		return endpoint_fail(
				tdev, -EADDRINUSE, "%s is in use by another process", tdev->path);
	if (unlink(tdev->path) < 0 && errno != ENOENT)
		return endpoint_fail(tdev, -errno, "cannot remove the stale %s: %s", tdev->path,
				rte_strerror(errno));
	weir_log(vhost_user, NOTICE, "%s: removed the stale socket %s", tdev->cfg.name, tdev->path);
	return 0;
}

/*
 * Binds once itself. When the library fails to bind it keeps a closed descriptor that it closes once
 * more later, whosever it may be by then; and it does not say why it failed.
 */
static int
endpoint_try_bind(struct weir_tdev *tdev)
{
	struct sockaddr_un un;
	int fd, rc;

	fd = endpoint_socket(tdev->path, &un);
	if (fd < 0)
		return endpoint_fail(tdev, -errno, "no socket: %s", rte_strerror(errno));
	rc = bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? -errno : 0;
	close(fd);
	if (rc < 0)
		return endpoint_fail(tdev, rc, "cannot bind %s: %s", tdev->path, rte_strerror(-rc));
	unlink(tdev->path);
	return 0;
}

/* Features first: they turn the library's own network device off. */
static int
endpoint_register(struct weir_tdev *tdev)
{
	const char *path = tdev->path;

	if (rte_vhost_driver_register(path, 0) < 0)
		return endpoint_fail(tdev, -EIO, "librte_vhost does not register %s", path);
	if (rte_vhost_driver_set_features(path, vu_features(tdev)) < 0 ||
			rte_vhost_driver_set_protocol_features(path, VU_PROTOCOL_FEATURES) < 0 ||
			rte_vhost_driver_callback_register(path, &vu_device_ops) < 0 ||
			rte_vhost_driver_start(path) < 0) {
		rte_vhost_driver_unregister(path);
		return endpoint_fail(tdev, -EIO, "librte_vhost does not listen on %s", path);
	}
	if (chmod(path, SOCKET_MODE) < 0)
		weir_log(vhost_user, WARNING, "%s: cannot set the mode of %s: %s", tdev->cfg.name,
				path, rte_strerror(errno));
	return 0;
}

static void WEIR_ON_HELPER
endpoint_open_run(struct weir_job *job)
{
	struct weir_tdev *tdev = container_of(job, struct weir_tdev, job);

	tdev->rc = endpoint_clear_path(tdev);
	if (tdev->rc == 0)
		tdev->rc = endpoint_try_bind(tdev);
	if (tdev->rc == 0)
		tdev->rc = endpoint_register(tdev);
}

static void WEIR_ON_CONTROL
endpoint_free(struct weir_tdev *tdev)
{
	pthread_mutex_lock(&endpoints_lock);
	LIST_REMOVE(tdev, next);
	pthread_mutex_unlock(&endpoints_lock);
	nb_devices--;
	free(tdev);
}

static void WEIR_ON_CONTROL
endpoint_open_done(struct weir_job *job)
{
	struct weir_tdev *tdev = container_of(job, struct weir_tdev, job);

	if (tdev->rc == 0) {
		tdev->ready(tdev->cfg.dev, tdev, 0, NULL);
		return;
	}
	tdev->ready(tdev->cfg.dev, NULL, tdev->rc, tdev->message);
	endpoint_free(tdev);
}

/* What can be said without asking the system. NULL: nothing is wrong. */
static const char *
endpoint_check(const struct weir_tdev_cfg *cfg, char *path, int *rc)
{
	*rc = -EINVAL;
	if (cfg->nb_queues > WIRE_MAX_QUEUES)
		return "vhost-user has 256 queues at most";
	if (strchr(cfg->name, '/') != NULL)
		return "the name would lead out of the socket folder";
	*rc = -ENAMETOOLONG;
	if (snprintf(path, VU_PATH_MAX, "%s/%s.sock", socket_dir, cfg->name) >= VU_PATH_MAX)
		return "the path of the socket is longer than 107 bytes";
	*rc = -ENOSPC;
	if (nb_devices >= VU_MAX_DEVICES)
		return "librte_vhost serves no more devices";
	*rc = 0;
	return NULL;
}

static void WEIR_ON_CONTROL
endpoint_create(const struct weir_tdev_cfg *cfg,
		void (*ready)(void *dev, struct weir_tdev *tdev, int rc, const char *message))
{
	char path[VU_PATH_MAX];
	struct weir_tdev *tdev;
	const char *message;
	uint32_t i;
	int rc;

	message = endpoint_check(cfg, path, &rc);
	tdev = message == NULL ? calloc(1, sizeof(*tdev)) : NULL;
	if (tdev == NULL) {
		ready(cfg->dev, NULL, rc < 0 ? rc : -ENOMEM,
				message != NULL ? message : "no memory");
		return;
	}

	tdev->cfg = *cfg;
	tdev->ready = ready;
	tdev->vid = -1;
	tdev->connfd = -1;
	memcpy(tdev->path, path, sizeof(path));
	for (i = 0; i < WIRE_MAX_QUEUES; i++) {
		tdev->rings[i].kickfd = -1;
		atomic_init(&tdev->callfds[i], -1);
	}
	pthread_mutex_lock(&endpoints_lock);
	LIST_INSERT_HEAD(&endpoints, tdev, next);
	pthread_mutex_unlock(&endpoints_lock);
	nb_devices++;
	tdev->job.run = endpoint_open_run;
	tdev->job.done = endpoint_open_done;
	weir_helper_submit(helpers, &tdev->job);
}

/*
 * Spins while the library's thread is inside one of our callbacks, and closes a connection without
 * telling. After it nobody but us knows the device: this thread plays the transport's for the rest.
 */
static void WEIR_ON_HELPER
endpoint_close_run(struct weir_job *job)
{
	struct weir_tdev *tdev = container_of(job, struct weir_tdev, job);

	rte_vhost_driver_unregister(tdev->path);
	weir_role_assume_transport();
	vu_disconnect(tdev);
}

static void WEIR_ON_CONTROL
endpoint_close_done(struct weir_job *job)
{
	struct weir_tdev *tdev = container_of(job, struct weir_tdev, job);
	void (*gone)(void *dev) = tdev->gone;
	void *dev = tdev->cfg.dev;

	endpoint_free(tdev);
	gone(dev);
}

static void WEIR_ON_CONTROL
endpoint_destroy(struct weir_tdev *tdev, void (*gone)(void *dev))
{
	tdev->gone = gone;
	tdev->job.run = endpoint_close_run;
	tdev->job.done = endpoint_close_done;
	weir_helper_submit(helpers, &tdev->job);
}

static json_t *WEIR_ON_CONTROL
endpoint_info(const struct weir_tdev *tdev)
{
	char features[24];

	snprintf(features, sizeof(features), "0x%" PRIx64, atomic_load(&tdev->features));
	return json_pack("{s:s, s:b, s:s, s:i, s:i}", "socket", tdev->path, "connected",
			(int)atomic_load(&tdev->connected), "negotiated_features", features,
			"regions", (int)atomic_load(&tdev->nb_regions), "queues_ready",
			(int)atomic_load(&tdev->nb_running));
}

static const struct weir_transport_ops vhost_user_ops = {
	.start = endpoint_start,
	.stop = endpoint_stop,
	.dev_create = endpoint_create,
	.dev_destroy = endpoint_destroy,
	.dev_info = endpoint_info,
	.vq_call = vu_ring_call,
};

static struct weir_transport vhost_user = {
	.name = "VHOST_USER",
	.help = "virtual machines, over a UNIX socket and shared memory",
	.ops = &vhost_user_ops,
	.max_queues = WIRE_MAX_QUEUES,
};

WEIR_TRANSPORT_REGISTER(vhost_user)
