/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef CPU_H
#define CPU_H

/**
 * @file
 * CPU time of the threads of a process and of its children, whom a sandbox may have put behind it,
 * from /proc/PID/task/TID/schedstat.
 */

#include <stdint.h>

#define CPU_MAX_THREADS 128

struct cpu_thread {
	int tid;
	char name[16];
	uint64_t ns;
};

struct cpu_sample {
	unsigned int nb;
	struct cpu_thread thread[CPU_MAX_THREADS];
};

/**
 * What the threads of pid and of all below it have used so far.
 * @return 0 or -errno (the process is gone).
 */
int cpu_sample_take(struct cpu_sample *sample, int pid);

/** Turns after into what was used since before; a thread that is new there started from 0. */
void cpu_sample_since(struct cpu_sample *after, const struct cpu_sample *before);

/** Sum over the threads, in ns. */
uint64_t cpu_sample_total(const struct cpu_sample *sample);

#endif /* CPU_H */
