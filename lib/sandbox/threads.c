/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Capabilities and Landlock's rules belong to a thread, and only the thread itself can give them up.
 * EAL's threads were there before us, and not all of them run what we ask: so each gets a signal.
 * A thread that appears meanwhile was made by one that is done, or is found by the next look.
 */

#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_common.h>

#include "sandbox.h"

#define THREADS_MAX    1024
#define THREADS_WAIT_S 10

static struct {
	int (*fn)(void);
	sem_t done;
	_Atomic int rc;
	pid_t seen[THREADS_MAX];
	unsigned int nb_seen;
} threads;

static void
threads_fn_run(void)
{
	int rc = threads.fn();

	if (rc < 0)
		atomic_store(&threads.rc, rc);
}

static void
threads_on_signal(int sig)
{
	int saved = errno;

	threads_fn_run();
	sem_post(&threads.done);
	errno = saved;
}

static bool
threads_has_seen(pid_t tid)
{
	for (unsigned int i = 0; i < threads.nb_seen; i++)
		if (threads.seen[i] == tid)
			return true;
	return false;
}

/* A thread may end instead of answering; then there is nothing to do on it. */
static int
threads_ask(pid_t tid)
{
	struct timespec until;

	if (tid == gettid()) {
		threads_fn_run();
		return 0;
	}
	if (tgkill(getpid(), tid, SIGRTMAX) < 0)
		return errno == ESRCH ? 0 : -errno;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += THREADS_WAIT_S;
	while (sem_clockwait(&threads.done, CLOCK_MONOTONIC, &until) < 0) {
		if (errno == ETIMEDOUT)
			return tgkill(getpid(), tid, 0) < 0 && errno == ESRCH ? 0 : -ETIMEDOUT;
	}
	return 0;
}

/* @return how many threads were new, or -errno. */
static int
threads_look(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int fresh = 0, rc = 0;
	pid_t tid;

	if (dir == NULL)
		return -errno;
	while (rc == 0 && (entry = readdir(dir)) != NULL) {
		tid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (tid == 0 || threads_has_seen(tid))
			continue;
		if (threads.nb_seen == THREADS_MAX) {
			rc = -E2BIG;
			break;
		}
		threads.seen[threads.nb_seen++] = tid;
		fresh++;
		rc = threads_ask(tid);
	}
	closedir(dir);
	return rc < 0 ? rc : fresh;
}

int
sandbox_threads_run(int (*fn)(void))
{
	struct sigaction ask = { .sa_handler = threads_on_signal, .sa_flags = SA_RESTART };
	struct sigaction old;
	int rc;

	threads.fn = fn;
	threads.nb_seen = 0;
	atomic_store(&threads.rc, 0);
	if (sem_init(&threads.done, 0, 0) < 0 || sigaction(SIGRTMAX, &ask, &old) < 0)
		return -errno;
	do
		rc = threads_look();
	while (rc > 0);
	/* Of a thread that did not answer the signal may still come: it stays handled. */
	if (rc < 0)
		return rc;
	sigaction(SIGRTMAX, &old, NULL);
	sem_destroy(&threads.done);
	return atomic_load(&threads.rc);
}
