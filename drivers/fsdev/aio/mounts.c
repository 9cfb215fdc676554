/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What is mounted in the mount of a folder in memory. Anything counts, inside of the folder or
 * beside it: a rename of a directory above can bring it in, and tells nobody.
 *
 * A change closes the free way at once; it opens again when a helper has read the table of mounts
 * and nothing has changed meanwhile:
 *
 *   change --> closed --job--> mounts_run --> mounts_done --nothing there--> open
 *                         ^------- changed again ---'
 *
 * Between a mount and our hearing of it a worker may walk into it. It sees by the mount id that it
 * did, and takes nothing from there; and what has just been mounted has its root at hand.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <rte_common.h>

#include "aio.h"

#define MOUNTS_PATH "/proc/self/mountinfo"

/* Lines begin with the ids of a mount and of the one that it is in. */
static bool WEIR_ON_HELPER
mounts_find(uint64_t root_mount)
{
	FILE *file = fopen(MOUNTS_PATH, "re");
	uint64_t parent;
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	if (file == NULL)
		return true;
	while (!found && getline(&line, &size, file) > 0)
		found = sscanf(line, "%*u %" SCNu64, &parent) != 1 || parent == root_mount;
	found = found || ferror(file) != 0;
	free(line);
	fclose(file);
	return found;
}

static void WEIR_ON_HELPER
mounts_run(struct weir_job *job)
{
	struct aio_mounts *mounts = container_of(job, struct aio_mounts, job);

	mounts->found = mounts_find(mounts->root_mount);
}

static void WEIR_ON_CONTROL
mounts_scan(struct aio_mounts *mounts)
{
	atomic_store(&mounts->free_way, false);
	mounts->again = mounts->scanning;
	if (mounts->scanning)
		return;
	mounts->scanning = true;
	atomic_fetch_add(mounts->busy, 1);
	weir_helper_submit(mounts->helpers, &mounts->job);
}

static void WEIR_ON_CONTROL
mounts_done(struct weir_job *job)
{
	struct aio_mounts *mounts = container_of(job, struct aio_mounts, job);

	mounts->scanning = false;
	if (mounts->watch.fd >= 0 && mounts->again)
		mounts_scan(mounts);
	else if (mounts->watch.fd >= 0)
		atomic_store(&mounts->free_way, !mounts->found);
	/* The last touch: the file system may be freed now. */
	atomic_fetch_sub(mounts->busy, 1);
}

/* Looking at the descriptor has taken the event. */
static void WEIR_ON_CONTROL
mounts_changed(struct weir_fd *watch, uint32_t events)
{
	mounts_scan(container_of(watch, struct aio_mounts, watch));
}

void WEIR_ON_CONTROL
aio_mounts_start(struct aio_fs *fs)
{
	struct aio_mounts *mounts = &fs->mounts;

	mounts->root_mount = fs->root_mount;
	mounts->busy = &fs->fds.busy;
	mounts->helpers = fs->helpers;
	mounts->job.run = mounts_run;
	mounts->job.done = mounts_done;
	mounts->watch.events = EPOLLPRI;
	mounts->watch.ready = mounts_changed;
	mounts->watch.fd = open(MOUNTS_PATH, O_RDONLY | O_CLOEXEC);
	if (mounts->watch.fd < 0)
		return;
	if (weir_fd_add(&mounts->watch) < 0) {
		close(mounts->watch.fd);
		mounts->watch.fd = -1;
		return;
	}
	mounts_scan(mounts);
}

void WEIR_ON_CONTROL
aio_mounts_stop(struct aio_fs *fs)
{
	struct aio_mounts *mounts = &fs->mounts;

	if (mounts->watch.fd < 0)
		return;
	weir_fd_del(&mounts->watch);
	close(mounts->watch.fd);
	mounts->watch.fd = -1;
}
