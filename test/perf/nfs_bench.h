/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef NFS_BENCH_H
#define NFS_BENCH_H

/*
 * What the files of weir-nfs-bench share. Two clients put the same load on the same server: a number
 * of READ or WRITE calls in flight, each followed by the next one as soon as its answer is there,
 * round and round one file. Both poll; rounds in which they found nothing to do do not count.
 *
 * The time of a round is divided by the TSC: what passed in system calls is system time, the rest is
 * user time. The kernel's own accounting will not do: it looks once a tick where a thread is, and
 * takes the end of each system call for user space. Where another process had the CPU for a while,
 * the time between the two ends of a system call, or of two, is left out: neither client needs so
 * long there.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <rte_common.h>

#define NFS_BENCH_DEPTH_MAX 256
#define NFS_BENCH_FILE      "weir-nfs-bench"

struct nfs_bench_args {
	const char *exportname;
	bool write;
	bool copy; /* libnfs: copy what was read to where a guest would want it */
	unsigned int port, mount_port;
	unsigned int depth, bytes, ms, warmup_ms;
	unsigned int cpu; /* that the client's thread runs on */
	unsigned int control_cpu; /* for the rest of the process */
	uint64_t file_bytes;
	pid_t server_pid;
};

/* What one run measures; its client's thread's. */
struct nfs_bench_run {
	bool on;
	uint64_t calls, errors; /* answered, whether on or not */

	/* While on; TSC cycles. Only rounds that did something. */
	uint64_t rounds_busy;
	uint64_t user, system, syscalls, interrupted;
	uint64_t busy; /* all of them, by the clock */
	uint64_t wall;
	uint64_t thread_ns; /* CPU time of the thread */
	uint64_t server_ns; /* CPU time of the server */
};

/* Both fill run, or end the process with a message. */
void nfs_bench_weir(const struct nfs_bench_args *args, struct nfs_bench_run *run);
void nfs_bench_libnfs(const struct nfs_bench_args *args, struct nfs_bench_run *run);

/* Makes the file, with libnfs. */
void nfs_bench_fill(const struct nfs_bench_args *args);

/* Around what is measured; on the client's thread, as are the rounds. */
void nfs_bench_begin(const struct nfs_bench_args *args, struct nfs_bench_run *run);
void nfs_bench_end(const struct nfs_bench_args *args, struct nfs_bench_run *run);
/* A round is over. */
void nfs_bench_round(struct nfs_bench_run *run, bool busy);

/* A thread's round so far, in TSC cycles. */
struct nfs_bench_meter {
	uint64_t start, tsc; /* from when, up to when */
	uint64_t user, system;
	uint64_t interrupted; /* how often something else had the CPU for so long that it shows */
	uint64_t syscalls;
};
extern __thread struct nfs_bench_meter nfs_bench_meter;

/* @return cycles since the last mark; 0 if that is where something else had the CPU. */
uint64_t nfs_bench_mark(void);

/* DPDK knows it only where EAL runs. */
extern uint64_t nfs_bench_tsc_hz;
uint64_t nfs_bench_now_ns(void);
void nfs_bench_die(const char *fmt, ...) __rte_noreturn __rte_format_printf(1, 2);

#endif /* NFS_BENCH_H */
