/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

static int
thread_read(struct cpu_thread *thread, int pid, int tid)
{
	char path[64];
	FILE *file;
	int got;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	file = fopen(path, "r");
	if (file == NULL)
		return -errno;
	got = fscanf(file, "%" SCNu64, &thread->ns);
	fclose(file);
	if (got != 1)
		return -EIO;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, tid);
	file = fopen(path, "r");
	if (file == NULL)
		return -errno;
	got = fscanf(file, "%15[^\n]", thread->name);
	fclose(file);
	thread->tid = tid;
	return got == 1 ? 0 : -EIO;
}

static void sample_add(struct cpu_sample *sample, int pid);

/* Children of one thread. Kernels without this file have no children for us. */
static void
sample_add_children(struct cpu_sample *sample, int pid, int tid)
{
	char path[64];
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, tid);
	file = fopen(path, "r");
	if (file == NULL)
		return;
	while (fscanf(file, "%d", &child) == 1)
		sample_add(sample, child);
	fclose(file);
}

static void
sample_add(struct cpu_sample *sample, int pid)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL && sample->nb < CPU_MAX_THREADS) {
		int tid = strtol(entry->d_name, NULL, 10);

		/* A thread that ends meanwhile is left out. */
		if (tid > 0 && thread_read(&sample->thread[sample->nb], pid, tid) == 0) {
			sample->nb++;
			sample_add_children(sample, pid, tid);
		}
	}
	closedir(dir);
}

int
cpu_sample_take(struct cpu_sample *sample, int pid)
{
	memset(sample, 0, sizeof(*sample));
	sample_add(sample, pid);
	return sample->nb > 0 ? 0 : -ESRCH;
}

void
cpu_sample_since(struct cpu_sample *after, const struct cpu_sample *before)
{
	unsigned int i, j;

	for (i = 0; i < after->nb; i++)
		for (j = 0; j < before->nb; j++)
			if (after->thread[i].tid == before->thread[j].tid)
				after->thread[i].ns -= before->thread[j].ns;
}

uint64_t
cpu_sample_total(const struct cpu_sample *sample)
{
	uint64_t total = 0;
	unsigned int i;

	for (i = 0; i < sample->nb; i++)
		total += sample->thread[i].ns;
	return total;
}
