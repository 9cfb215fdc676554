/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* One run of one client; nfs-client.py makes a comparison of many. */

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "nfs_bench.h"

static const char usage[] =
		"usage: weir-nfs-bench fill|weir|libnfs [OPTION...]\n"
		"  fill                  make the file\n"
		"  weir, libnfs          put a load on it and print what that took, as JSON\n"
		"  --port N --mount-port N --export PATH   server on 127.0.0.1\n"
		"  --server-pid N        whose CPU time to print too\n"
		"  --file-bytes N        size of the file (2 MiB)\n"
		"  --write               WRITE instead of READ\n"
		"  --bytes N             bytes of a call, a multiple of 4096 (4096)\n"
		"  --depth N             calls in flight, up to 256 (32)\n"
		"  --ms N --warmup-ms N  length of the run and of what comes before (2000, 200)\n"
		"  --cpu N               CPU of the client (1)\n"
		"  --control-cpu N       CPU of weir's control thread (0)\n"
		"  --copy                libnfs: copy what was read, as a guest's request would want\n";

uint64_t nfs_bench_tsc_hz;

void
nfs_bench_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

uint64_t
nfs_bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t
thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t
calibrate_hz(void)
{
	const struct timespec span = { .tv_nsec = 20000000 };
	const uint64_t ns = nfs_bench_now_ns(), tsc = rte_rdtsc();

	nanosleep(&span, NULL);
	return (uint64_t)((double)(rte_rdtsc() - tsc) * NS_PER_S /
			(double)(nfs_bench_now_ns() - ns));
}

/* CPU time of a process, all threads. */
static uint64_t
process_ns(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64], line[1024], *p;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	p = file != NULL ? fgets(line, sizeof(line), file) : NULL;
	if (p != NULL)
		p = strrchr(line, ')');
	if (p != NULL)
		sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	if (file != NULL)
		fclose(file);
	return (user + system) * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

void
nfs_bench_round(struct nfs_bench_run *run, bool busy)
{
	struct nfs_bench_meter *m = &nfs_bench_meter;

	m->user += nfs_bench_mark();
	if (run->on && busy) {
		run->rounds_busy++;
		run->busy += m->tsc - m->start;
		run->user += m->user;
		run->system += m->system;
		run->syscalls += m->syscalls;
		run->interrupted += m->interrupted;
	}
	*m = (struct nfs_bench_meter){ .start = m->tsc, .tsc = m->tsc };
}

void
nfs_bench_begin(const struct nfs_bench_args *args, struct nfs_bench_run *run)
{
	*run = (struct nfs_bench_run){
		.on = true,
		.wall = rte_rdtsc(),
		.thread_ns = thread_ns(),
		.server_ns = process_ns(args->server_pid),
	};
}

void
nfs_bench_end(const struct nfs_bench_args *args, struct nfs_bench_run *run)
{
	run->on = false;
	run->wall = rte_rdtsc() - run->wall;
	run->thread_ns = thread_ns() - run->thread_ns;
	run->server_ns = process_ns(args->server_pid) - run->server_ns;
}

static void
print_run(const char *client, const struct nfs_bench_run *run)
{
	const double hz = (double)nfs_bench_tsc_hz, wall = (double)run->wall;
	const double calls = (double)RTE_MAX(run->calls, UINT64_C(1));
	/* A poller wants the CPU all the time; what it did not get it did not get in any round. */
	const double share = (double)run->thread_ns * hz / wall / (double)NS_PER_S;

	printf("{\"client\": \"%s\", \"calls_per_s\": %.1f, \"errors\": %llu, "
	       "\"user_us\": %.4f, \"system_us\": %.4f, \"busy_us\": %.4f, "
	       "\"syscalls\": %.3f, \"rounds\": %.3f, \"interrupted\": %.5f, "
	       "\"idle\": %.4f, \"server_cpus\": %.4f}\n",
			client, calls / wall * hz, (unsigned long long)run->errors,
			(double)run->user / hz * 1e6 / calls,
			(double)run->system / hz * 1e6 / calls,
			(double)run->busy * share / hz * 1e6 / calls, (double)run->syscalls / calls,
			(double)run->rounds_busy / calls, (double)run->interrupted / calls,
			1 - (double)run->busy / wall,
			(double)run->server_ns / (wall / hz * (double)NS_PER_S));
}

enum {
	OPT_PORT = 256,
	OPT_MOUNT_PORT,
	OPT_EXPORT,
	OPT_SERVER_PID,
	OPT_FILE_BYTES,
	OPT_WRITE,
	OPT_BYTES,
	OPT_DEPTH,
	OPT_MS,
	OPT_WARMUP,
	OPT_CPU,
	OPT_CONTROL_CPU,
	OPT_COPY,
	OPT_HELP,
};

static const struct option options[] = {
	{ "port", required_argument, NULL, OPT_PORT },
	{ "mount-port", required_argument, NULL, OPT_MOUNT_PORT },
	{ "export", required_argument, NULL, OPT_EXPORT },
	{ "server-pid", required_argument, NULL, OPT_SERVER_PID },
	{ "file-bytes", required_argument, NULL, OPT_FILE_BYTES },
	{ "write", no_argument, NULL, OPT_WRITE },
	{ "bytes", required_argument, NULL, OPT_BYTES },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "ms", required_argument, NULL, OPT_MS },
	{ "warmup-ms", required_argument, NULL, OPT_WARMUP },
	{ "cpu", required_argument, NULL, OPT_CPU },
	{ "control-cpu", required_argument, NULL, OPT_CONTROL_CPU },
	{ "copy", no_argument, NULL, OPT_COPY },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static unsigned int
number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value > UINT32_MAX)
		nfs_bench_die("not a number: %s", text);
	return (unsigned int)value;
}

static void
parse_option(struct nfs_bench_args *args, int opt)
{
	const unsigned int value = optarg != NULL && opt != OPT_EXPORT ? number(optarg) : 0;

	switch (opt) {
	case OPT_PORT:
		args->port = value;
		break;
	case OPT_MOUNT_PORT:
		args->mount_port = value;
		break;
	case OPT_EXPORT:
		args->exportname = optarg;
		break;
	case OPT_SERVER_PID:
		args->server_pid = (pid_t)value;
		break;
	case OPT_FILE_BYTES:
		args->file_bytes = value;
		break;
	case OPT_WRITE:
		args->write = true;
		break;
	case OPT_BYTES:
		args->bytes = value;
		break;
	case OPT_DEPTH:
		args->depth = value;
		break;
	case OPT_MS:
		args->ms = value;
		break;
	case OPT_WARMUP:
		args->warmup_ms = value;
		break;
	case OPT_CPU:
		args->cpu = value;
		break;
	case OPT_CONTROL_CPU:
		args->control_cpu = value;
		break;
	case OPT_COPY:
		args->copy = true;
		break;
	case OPT_HELP:
		fputs(usage, stdout);
		exit(0);
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

static void
check_args(const struct nfs_bench_args *args)
{
	if (args->depth == 0 || args->depth > NFS_BENCH_DEPTH_MAX)
		nfs_bench_die("--depth is from 1 to %d", NFS_BENCH_DEPTH_MAX);
	if (args->bytes == 0 || args->bytes % 4096 != 0 || args->bytes > 1u << 20)
		nfs_bench_die("--bytes is a multiple of 4096, up to 1 MiB");
	if (args->file_bytes == 0 || args->file_bytes % args->bytes != 0)
		nfs_bench_die("--file-bytes is a multiple of --bytes");
}

int
main(int argc, char *argv[])
{
	struct nfs_bench_args args = {
		.exportname = "/mem",
		.depth = 32,
		.bytes = 4096,
		.ms = 2000,
		.warmup_ms = 200,
		.cpu = 1,
		.file_bytes = 2u << 20,
	};
	struct nfs_bench_run run = { 0 };
	const char *command;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		parse_option(&args, opt);
	check_args(&args);
	nfs_bench_tsc_hz = calibrate_hz();
	command = optind + 1 == argc ? argv[optind] : "";
	if (strcmp(command, "fill") == 0) {
		nfs_bench_fill(&args);
	} else if (strcmp(command, "weir") == 0) {
		nfs_bench_weir(&args, &run);
		print_run(command, &run);
	} else if (strcmp(command, "libnfs") == 0) {
		nfs_bench_libnfs(&args, &run);
		print_run(command, &run);
	} else {
		fputs(usage, stderr);
		return 2;
	}
	return 0;
}
