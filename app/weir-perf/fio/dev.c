/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev.h"
#include "mount.h"

/* A socket that is there may be that of a device whose last front end has just gone. */
#define CONNECT_MS 1000
/* One region of guest memory holds it all, and is smaller than 2 GiB. */
#define MAX_BUFFER_BYTES (UINT64_C(1536) << 20)

static struct dev *devs;
static pthread_mutex_t dev_lock = PTHREAD_MUTEX_INITIALIZER;

int
dev_rc(const struct dev *dev)
{
	/* Pairs with the release of dev_set_error(): who sees an error sees its text. */
	return __atomic_load_n(&dev->rc, __ATOMIC_ACQUIRE);
}

static void
dev_set_error(struct dev *dev, int rc, const char *fmt, ...)
{
	va_list args;

	pthread_mutex_lock(&dev_lock);
	if (dev->rc == 0) {
		va_start(args, fmt);
		vsnprintf(dev->error, sizeof(dev->error), fmt, args);
		va_end(args);
		__atomic_store_n(&dev->rc, rc, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&dev_lock);
}

void
dev_fail(struct dev *dev, int rc)
{
	const char *socket = dev->need.socket;
	char fault[FE_FAULT_BYTES];

	pthread_mutex_lock(&dev->fs.fault_lock);
	memcpy(fault, dev->fs.fault, sizeof(fault));
	pthread_mutex_unlock(&dev->fs.fault_lock);
	/* One that goes may owe an interrupt for its last answer. */
	if (rc == -ECONNRESET)
		dev_set_error(dev, rc, "%s: the server went away", socket);
	else if (fault[0] != '\0')
		dev_set_error(dev, -EPROTO, "%s: the server broke a rule: %s", socket, fault);
	else if (rc == -ETIMEDOUT)
		dev_set_error(dev, rc, "%s: no answer within %u s", socket, dev->need.timeout_s);
	else
		dev_set_error(dev, rc, "%s: %s", socket, strerror(-rc));
}

const char *
dev_tell(struct dev *dev)
{
	const char *text = NULL;

	pthread_mutex_lock(&dev_lock);
	if (dev->rc != 0 && !dev->was_told) {
		dev->was_told = true;
		text = dev->error;
	}
	pthread_mutex_unlock(&dev_lock);
	return text;
}

static int
dev_make_lanes(struct dev *dev)
{
	struct fe_mem *mem = &dev->fs.mem;
	unsigned int i;
	int rc = 0;

	dev->nb_lanes = fe_fs_nb_queues(&dev->fs);
	dev->lanes = calloc(dev->nb_lanes, sizeof(*dev->lanes));
	if (dev->lanes == NULL)
		return -ENOMEM;
	for (i = dev->nb_lanes; i-- > 0 && rc == 0;) {
		struct lane *lane = &dev->lanes[i];

		lane->dev = dev;
		lane->q = &dev->fs.queue[1 + i];
		rc = fe_mem_alloc(mem, dev->need.buffer_bytes, FE_PAGE, &lane->buffers);
		if (rc == 0)
			rc = fe_mem_alloc(mem, dev->fs.opts.max_io, FE_PAGE, &lane->spare);
		lane->next = dev->free;
		dev->free = lane;
	}
	return rc;
}

/* Whole pages. A block that is not may begin amid a page, and ends in one more. */
static uint32_t
dev_room(uint32_t block)
{
	uint32_t room = (block + FE_PAGE - 1) & ~(FE_PAGE - 1);

	return block % FE_PAGE == 0 ? room : room + FE_PAGE;
}

/* What the device has, and what the jobs need. */
static void
dev_check(struct dev *dev)
{
	const struct dev_need *need = &dev->need;
	uint32_t most = fe_fs_max_io(&dev->fs);

	if (dev->fs.opts.max_io > most)
		dev_set_error(dev, -EMSGSIZE,
				"%s: requests carry at most %u bytes with this device and "
				"ring_size=%u, not bs=%u",
				need->socket, most, need->ring_size, need->block);
	if (need->queues == 0 && dev->nb_lanes < need->nb_jobs)
		dev_set_error(dev, -EBUSY,
				"%s: the device has %u request queues, and %u jobs run at a time",
				need->socket, dev->nb_lanes, need->nb_jobs);
	if (dev->nb_lanes < need->queues)
		dev_set_error(dev, -EINVAL, "%s: the device has %u request queues, not %u",
				need->socket, dev->nb_lanes, need->queues);
}

static void
dev_mount(struct dev *dev)
{
	const struct dev_need *need = &dev->need;
	struct fe_opts opts;
	uint64_t bytes;
	int rc;

	fe_opts_init(&opts);
	opts.socket = need->socket;
	opts.nb_queues = need->queues != 0 ? need->queues : need->nb_jobs;
	opts.fit_queues = true;
	opts.depth = need->depth;
	opts.forget_depth = need->ring_size / 2 < 64 ? need->ring_size / 2 : 64;
	opts.ring_size = need->ring_size;
	opts.ring_flags = need->ring_flags;
	opts.max_io = dev_room(need->block);
	opts.nb_regions = 1;
	opts.wait_ms = CONNECT_MS;
	opts.timeout_ms = need->timeout_s * 1000;
	opts.keep_tables = true;
	opts.lend_data = true;

	bytes = opts.nb_queues * (need->buffer_bytes + opts.max_io + 2 * FE_PAGE);
	if (bytes > MAX_BUFFER_BYTES) {
		dev_set_error(dev, -ENOMEM, "%s: buffers of %" PRIu64 " MiB, the most is %" PRIu64,
				need->socket, bytes >> 20, MAX_BUFFER_BYTES >> 20);
		return;
	}
	opts.spare_bytes = bytes;
	rc = mount_as_linux(&dev->fs, &opts);
	if (rc < 0) {
		dev_set_error(dev, rc, "cannot mount %s: %s", need->socket, strerror(-rc));
		return;
	}
	rc = dev_make_lanes(dev);
	if (rc < 0)
		dev_fail(dev, rc);
	else
		dev_check(dev);
}

static struct dev *
dev_find(const char *socket)
{
	struct dev *dev = devs;

	while (dev != NULL && strcmp(dev->need.socket, socket) != 0)
		dev = dev->next;
	return dev;
}

static struct dev *
dev_create(const struct dev_need *need)
{
	struct dev *dev = calloc(1, sizeof(*dev));
	char *socket = strdup(need->socket);

	if (dev == NULL || socket == NULL) {
		free(dev);
		free(socket);
		return NULL;
	}
	dev->need = *need;
	dev->need.socket = socket;
	dev->next = devs;
	devs = dev;
	return dev;
}

struct dev *
dev_get(const struct dev_need *need)
{
	static pthread_mutex_t mount_lock = PTHREAD_MUTEX_INITIALIZER;
	struct dev *dev;
	bool is_new;

	/* Jobs may be set up in threads of their own: the others wait for the one that mounts. */
	pthread_mutex_lock(&mount_lock);
	pthread_mutex_lock(&dev_lock);
	dev = dev_find(need->socket);
	is_new = dev == NULL;
	if (is_new)
		dev = dev_create(need);
	if (dev != NULL)
		dev->refs++;
	pthread_mutex_unlock(&dev_lock);

	if (is_new && dev != NULL)
		dev_mount(dev);
	else if (dev != NULL &&
			(need->ring_size != dev->need.ring_size ||
					need->ring_flags != dev->need.ring_flags ||
					need->queues != dev->need.queues ||
					need->timeout_s != dev->need.timeout_s))
		dev_set_error(dev, -EINVAL, "%s: jobs that share it differ in their options for it",
				need->socket);
	pthread_mutex_unlock(&mount_lock);
	return dev;
}

int
dev_put(struct dev *dev)
{
	struct dev **at = &devs;
	bool is_last;
	int rc;

	pthread_mutex_lock(&dev_lock);
	/* One that failed stays, so that what comes behind finds it and does not try again. */
	rc = dev->rc;
	is_last = --dev->refs == 0 && rc == 0;
	while (is_last && *at != dev)
		at = &(*at)->next;
	if (is_last)
		*at = dev->next;
	pthread_mutex_unlock(&dev_lock);
	if (!is_last)
		return rc;

	rc = fe_fs_unmount(&dev->fs);
	if (rc < 0) {
		dev_set_error(dev, rc, "cannot unmount %s: %s", dev->need.socket, strerror(-rc));
		return rc;
	}
	free(dev->lanes);
	free((void *)(uintptr_t)dev->need.socket);
	free(dev);
	return 0;
}

struct lane *
dev_take(struct dev *dev)
{
	struct lane *lane = NULL;

	pthread_mutex_lock(&dev_lock);
	if (dev->rc == 0 && dev->free != NULL) {
		lane = dev->free;
		dev->free = lane->next;
	}
	pthread_mutex_unlock(&dev_lock);
	return lane;
}

void
dev_give(struct lane *lane)
{
	struct dev *dev = lane->dev;
	bool is_faulty;

	/* Some broken rules fail no request, a missing interrupt does not. */
	pthread_mutex_lock(&dev->fs.fault_lock);
	is_faulty = dev->fs.fault[0] != '\0';
	pthread_mutex_unlock(&dev->fs.fault_lock);
	if (is_faulty)
		dev_fail(dev, -EPROTO);

	pthread_mutex_lock(&dev_lock);
	lane->next = dev->free;
	dev->free = lane;
	pthread_mutex_unlock(&dev_lock);
}
