/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opts.h"
#include "trace.h"

#define NB_OPTIONS (sizeof(rows) / sizeof(rows[0]))
/* Values of getopt_long() for the rows. */
#define OPT_FIRST 256
/* Requests have room for that much, so that files are filled with few of them. */
#define FILL_BYTES (128u << 10)

const char *const work_names[WORK_NB_KINDS] = {
	[WORK_RANDREAD] = "randread",
	[WORK_RANDWRITE] = "randwrite",
	[WORK_SEQREAD] = "seqread",
	[WORK_SEQWRITE] = "seqwrite",
	[WORK_GETATTR] = "getattr",
	[WORK_LOOKUP] = "lookup",
	[WORK_READDIRPLUS] = "readdirplus",
	[WORK_CREATE_UNLINK] = "create-unlink",
	[WORK_OPEN_CLOSE] = "open-close",
};

static const char *const work_help[WORK_NB_KINDS] = {
	[WORK_RANDREAD] = "READ of --bs bytes anywhere in the file",
	[WORK_RANDWRITE] = "WRITE of --bs bytes anywhere in the file",
	[WORK_SEQREAD] = "READ of one block after the other",
	[WORK_SEQWRITE] = "WRITE of one block after the other",
	[WORK_GETATTR] = "GETATTR of one of --files files",
	[WORK_LOOKUP] = "LOOKUP of one of --files names",
	[WORK_READDIRPLUS] = "OPENDIR, READDIRPLUS to the end of --files names, RELEASEDIR",
	[WORK_CREATE_UNLINK] = "CREATE, RELEASE, UNLINK, FORGET of a new name",
	[WORK_OPEN_CLOSE] = "OPEN, RELEASE of one of --files files",
};

enum row_type {
	ROW_FLAG, /* bool, no argument */
	ROW_TEXT,
	ROW_U32, /* with k, m, g */
	ROW_U64,
	ROW_MS, /* seconds with decimals, kept in milliseconds */
	ROW_MIX,
	ROW_CPUS,
	ROW_HELP,
	ROW_VERSION,
};

struct row {
	const char *name;
	const char *arg;
	enum row_type type;
	size_t at;
	uint64_t min, max;
	const char *help;
};

#define AT(field) offsetof(struct perf_opts, field)

static const struct row rows[] = {
	{ "socket", "PATH", ROW_TEXT, AT(socket), 0, 0, "the device's socket; -s is short for it" },
	{ "server", "COMMAND", ROW_TEXT, AT(server), 0, 0,
			"start this server, which listens at {socket}; {dir} is a folder\n"
			"of its own, {rpc} is {dir}/rpc.sock" },
	{ "versus", "COMMAND", ROW_TEXT, AT(versus), 0, 0,
			"compare with this server: rounds of both in turn" },
	{ "rounds", "N", ROW_U32, AT(rounds), 1, 1000, "of --versus (5)" },
	{ "serve", "PATH", ROW_TEXT, AT(serve), 0, 0,
			"load nothing, be the floor that others are measured from: a\n"
			"server of rings and FUSE only, an endless file for each name" },
	{ "rpc", "PATH", ROW_TEXT, AT(rpc), 0, 0,
			"ask the weir at --socket how long its workers were busy; one\n"
			"that --server starts is asked at {rpc}" },
	{ "server-pid", "PID", ROW_U32, AT(server_pid), 1, INT32_MAX,
			"whose CPU time counts, with its children's (who listens)" },
	{ "mix", "NAME=N,...", ROW_MIX, 0, 0, 0,
			"several workloads by weight, instead of WORKLOAD" },
	{ "seconds", "S", ROW_MS, AT(run_ms), 1, 86400000, "how long to measure (5)" },
	{ "ramp", "S", ROW_MS, AT(ramp_ms), 0, 86400000, "load before that, not measured (1)" },
	{ "ops", "N", ROW_U64, AT(ops), 1, 1ULL << 48,
			"measure so many operations instead, without a ramp" },
	{ "bs", "BYTES", ROW_U32, AT(block), 8, 1 << 20, "of one read or write (4k)" },
	{ "file-size", "BYTES", ROW_U64, AT(file_size), 8, 1ULL << 42,
			"of the file for reads and writes (64m)" },
	{ "file-each", NULL, ROW_FLAG, AT(file_each), 0, 0,
			"a file for each queue, instead of a part of one" },
	{ "files", "N", ROW_U32, AT(files), 1, 1000000, "in the set of files (100)" },
	{ "dir", "PATH", ROW_TEXT, AT(dir), 0, 0, "directory to work in, which exists (/)" },
	{ "seed", "N", ROW_U64, AT(seed), 0, UINT64_MAX, "of all that is random (1)" },
	{ "verify", NULL, ROW_FLAG, AT(verify), 0, 0,
			"write bytes that tell place and version, check what is read" },
	{ "record", "FILE", ROW_TEXT, AT(record), 0, 0, "write a trace of the operations" },
	{ "replay", "FILE", ROW_TEXT, AT(replay), 0, 0,
			"do what a trace says instead of a workload, once, without a\n"
			"ramp; its streams in parallel, --depth of them on each queue" },
	{ "queues", "N", ROW_U32, AT(queues), 1, FE_MAX_QUEUES - 1,
			"request queues, one thread each (1)" },
	{ "depth", "N", ROW_U32, AT(depth), 1, 32768, "operations in flight on each queue (32)" },
	{ "cpus", "LIST", ROW_CPUS, 0, 0, 0, "CPUs of the threads in turn, e.g. 0,2-5" },
	{ "ring-size", "N", ROW_U32, AT(ring_size), 2, 32768,
			"entries of a ring, a power of two (1024)" },
	{ "no-indirect", NULL, ROW_FLAG, AT(no_indirect), 0, 0, "no indirect descriptors" },
	{ "no-event-idx", NULL, ROW_FLAG, AT(no_event_idx), 0, 0, "no event index" },
	{ "packed", NULL, ROW_FLAG, AT(packed), 0, 0, "packed rings, which the device must offer" },
	{ "event", NULL, ROW_FLAG, AT(event), 0, 0,
			"sleep until the device interrupts; else poll the used ring" },
	{ "timeout", "S", ROW_U32, AT(timeout_s), 1, 3600,
			"for an answer, and for a server to start (30)" },
	{ "json", NULL, ROW_FLAG, AT(json), 0, 0, "JSON on standard output" },
	{ "progress", NULL, ROW_FLAG, AT(progress), 0, 0,
			"a line each second even if standard error is no terminal" },
	{ "help", NULL, ROW_HELP, 0, 0, 0, "this text" },
	{ "version", NULL, ROW_VERSION, 0, 0, 0, "" },
};

static void
opts_help(void)
{
	unsigned int i;

	puts("usage: weir-perf [OPTION...] WORKLOAD\n"
	     "       weir-perf [OPTION...] --replay TRACE\n"
	     "       weir-perf --serve PATH\n"
	     "\n"
	     "Mounts a vhost-user-fs device as a guest does and loads it.\n"
	     "\n"
	     "workloads, each operation counts when its last request has been answered:");
	for (i = 0; i < WORK_NB_KINDS; i++)
		printf("  %-14s %s\n", work_names[i], work_help[i]);
	puts("\noptions:");
	for (i = 0; i < NB_OPTIONS; i++) {
		const char *text = rows[i].help;
		int len = printf("  --%s%s%s", rows[i].name, rows[i].arg != NULL ? " " : "",
				rows[i].arg != NULL ? rows[i].arg : "");

		for (; *text != '\0'; text += *text == '\n') {
			size_t line = strcspn(text, "\n");

			printf("%*s", 24 - len > 0 ? 24 - len : 1, "");
			fwrite(text, 1, line, stdout);
			putchar('\n');
			text += line;
			len = 0;
		}
		if (len > 0)
			putchar('\n');
	}
	puts("\n"
	     "BYTES may end in k, m or g. The files are made first and removed at the end.\n"
	     "The cost of an operation is the CPU time of all the server's threads; of weir's\n"
	     "workers, which poll, only the rounds that found work, by the clock.\n"
	     "\n"
	     "exit status: 0 done; 1 operations failed; 2 usage; 3 no server, no mount or no files;\n"
	     "4 the server broke a rule, hung or went away; 5 wrong data; 130 interrupted");
}

static int
bad(const struct row *row, const char *arg, const char *why)
{
	fprintf(stderr, "weir-perf: --%s %s: %s\n", row->name, arg, why);
	return -EINVAL;
}

static int
parse_number(const struct row *row, const char *arg, uint64_t *out)
{
	static const char suffix[] = "kmg";
	const char *found;
	uint64_t value;
	char text[64];
	char *end;

	errno = 0;
	value = strtoull(arg, &end, 0);
	if (errno != 0 || end == arg || arg[0] == '-')
		return bad(row, arg, "is not a number");
	found = *end != '\0' ? strchr(suffix, *end) : NULL;
	if (found != NULL) {
		unsigned int shift = 10 * (found - suffix + 1);

		if (value >> (64 - shift) != 0)
			return bad(row, arg, "is too large");
		value <<= shift;
		end++;
	}
	if (*end != '\0')
		return bad(row, arg, "is not a number");
	if (value < row->min || value > row->max) {
		snprintf(text, sizeof(text), "must be from %" PRIu64 " to %" PRIu64, row->min,
				row->max);
		return bad(row, arg, text);
	}
	*out = value;
	return 0;
}

static int
parse_ms(const struct row *row, const char *arg, uint64_t *out)
{
	double value;
	char *end;

	value = strtod(arg, &end);
	if (end == arg || *end != '\0' || !(value * 1000 >= row->min && value * 1000 <= row->max))
		return bad(row, arg, "is not a sensible number of seconds");
	*out = value * 1000;
	return 0;
}

static int
kind_find(const char *name, size_t len)
{
	int i;

	for (i = 0; i < WORK_NB_KINDS; i++)
		if (strlen(work_names[i]) == len && memcmp(work_names[i], name, len) == 0)
			return i;
	return -1;
}

/* NAME=N,... */
static int
parse_mix(struct perf_opts *opts, const struct row *row, const char *arg)
{
	const char *at = arg;

	while (*at != '\0') {
		size_t len = strcspn(at, "=,");
		int kind = kind_find(at, len);
		unsigned long weight;
		char *end;

		if (kind < 0)
			return bad(row, arg, "names an unknown workload");
		if (at[len] != '=' || at[len + 1] < '0' || at[len + 1] > '9')
			return bad(row, arg, "wants NAME=N,...");
		weight = strtoul(at + len + 1, &end, 10);
		if ((*end != ',' && *end != '\0') || weight == 0 || weight > 1000000)
			return bad(row, arg, "has a weight that is not from 1 to 1000000");
		if (opts->weight[kind] != 0)
			return bad(row, arg, "names a workload twice");
		opts->weight[kind] = weight;
		opts->weights += weight;
		at = end + (*end == ',');
	}
	return opts->weights > 0 ? 0 : bad(row, arg, "names no workload");
}

static int
parse_cpus(struct perf_opts *opts, const struct row *row, const char *arg)
{
	const char *at = arg;

	while (*at != '\0') {
		unsigned long first, last;
		char *end;

		first = last = strtoul(at, &end, 10);
		if (*end == '-' && end > at)
			last = strtoul(end + 1, &end, 10);
		if (end == at || at[0] < '0' || at[0] > '9' || (*end != ',' && *end != '\0') ||
				last < first || last >= 4096)
			return bad(row, arg, "is not a list of CPUs");
		for (; first <= last; first++) {
			if (opts->nb_cpus == PERF_MAX_CPUS)
				return bad(row, arg, "has too many CPUs");
			opts->cpu[opts->nb_cpus++] = first;
		}
		at = end + (*end == ',');
	}
	return opts->nb_cpus > 0 ? 0 : bad(row, arg, "is not a list of CPUs");
}

static int
parse_row(struct perf_opts *opts, const struct row *row, const char *arg)
{
	void *at = (uint8_t *)opts + row->at;
	uint64_t value;
	int rc;

	switch (row->type) {
	case ROW_FLAG:
		*(bool *)at = true;
		return 0;
	case ROW_TEXT:
		*(const char **)at = arg;
		return *arg != '\0' ? 0 : bad(row, arg, "is empty");
	case ROW_U32:
		rc = parse_number(row, arg, &value);
		if (rc == 0)
			*(uint32_t *)at = value;
		return rc;
	case ROW_U64:
		return parse_number(row, arg, at);
	case ROW_MS:
		return parse_ms(row, arg, at);
	case ROW_MIX:
		return parse_mix(opts, row, arg);
	case ROW_CPUS:
		return parse_cpus(opts, row, arg);
	case ROW_HELP:
		opts_help();
		return 1;
	case ROW_VERSION:
		puts("weir-perf " WEIR_VERSION);
		return 1;
	}
	return -EINVAL;
}

static int
wrong(const char *text)
{
	fprintf(stderr, "weir-perf: %s\n", text);
	return -EINVAL;
}

/* The operand, and what options mean together. */
static int
opts_finish(struct perf_opts *opts, int nb_args, char **args)
{
	if (opts->serve != NULL && nb_args == 0)
		return 0;
	if (opts->serve != NULL)
		return wrong("--serve takes no workload");
	if (nb_args > 1)
		return wrong("one workload, or --mix for several");
	if (nb_args == 1) {
		int kind = kind_find(args[0], strlen(args[0]));

		if (kind < 0) {
			fprintf(stderr, "weir-perf: %s: no such workload; see --help\n", args[0]);
			return -EINVAL;
		}
		if (opts->weights > 0)
			return wrong("a workload and --mix exclude each other");
		opts->weight[kind] = 1;
		opts->weights = 1;
	}
	if (opts->replay != NULL && (opts->weights > 0 || opts->verify || opts->record != NULL))
		return wrong("--replay excludes workloads, --verify and --record");
	if (opts->weights == 0 && opts->replay == NULL)
		return wrong("a workload is missing; see --help");
	if (opts->record != NULL && (uint64_t)opts->queues * opts->depth > TRACE_MAX_STREAMS)
		return wrong("--record has no more than 65536 streams: --queues times --depth");
	if (opts->server != NULL &&
			(opts->socket != NULL || opts->rpc != NULL || opts->server_pid != 0))
		return wrong("--server excludes --socket, --rpc and --server-pid");
	if (opts->socket == NULL && opts->server == NULL)
		return wrong("--socket or --server is missing; see --help");
	if ((opts->ring_size & (opts->ring_size - 1)) != 0)
		return wrong("--ring-size must be a power of two");
	if (opts->block % 8 != 0)
		return wrong("--bs must be a multiple of 8");
	if (opts_use_data(opts) && opts->file_size / opts->block / opts->queues == 0)
		return wrong("--file-size must be at least --bs for each queue");
	if (opts->verify && !opts_use_data(opts))
		return wrong("--verify needs a workload that reads or writes");
	if (opts->verify && opts->file_size / opts->block / opts->queues < 2 * opts->depth)
		return wrong("--verify needs two blocks of the file for each operation in flight");
	return 0;
}

int
opts_parse(struct perf_opts *opts, int argc, char **argv)
{
	struct option options[NB_OPTIONS + 1] = { 0 };
	unsigned int i;
	int opt, rc;

	*opts = (struct perf_opts){
		.rounds = 5,
		.run_ms = 5000,
		.ramp_ms = 1000,
		.block = 4096,
		.file_size = 64 << 20,
		.files = 100,
		.seed = 1,
		.dir = "/",
		.queues = 1,
		.depth = 32,
		.ring_size = 1024,
		.timeout_s = 30,
	};
	for (i = 0; i < NB_OPTIONS; i++) {
		options[i].name = rows[i].name;
		options[i].has_arg = rows[i].arg != NULL ? required_argument : no_argument;
		options[i].val = OPT_FIRST + i;
	}

	while ((opt = getopt_long(argc, argv, "s:h", options, NULL)) != -1) {
		if (opt == 's') {
			opts->socket = optarg;
			continue;
		}
		if (opt == 'h') {
			opts_help();
			return 1;
		}
		if (opt < OPT_FIRST)
			return wrong("see --help");
		rc = parse_row(opts, &rows[opt - OPT_FIRST], optarg);
		if (rc != 0)
			return rc;
	}
	return opts_finish(opts, argc - optind, argv + optind);
}

void
opts_front_end(const struct perf_opts *opts, const char *socket, struct fe_opts *fe)
{
	fe_opts_init(fe);
	fe->socket = socket;
	fe->nb_queues = opts->queues;
	fe->depth = opts->depth;
	fe->forget_depth = opts->ring_size / 2 < 64 ? opts->ring_size / 2 : 64;
	fe->ring_size = opts->ring_size;
	fe->max_io = opts->block > FILL_BYTES ? (opts->block + FE_PAGE - 1) & ~(FE_PAGE - 1) :
						FILL_BYTES;
	fe->wait_ms = opts->timeout_s * 1000;
	fe->timeout_ms = opts->timeout_s * 1000;
	fe->keep_tables = true;
	if (opts->no_indirect)
		fe->ring_flags &= ~FE_RING_INDIRECT;
	if (opts->no_event_idx)
		fe->ring_flags &= ~FE_RING_EVENT_IDX;
	if (opts->packed)
		fe->ring_flags |= FE_RING_PACKED;
	if (!opts->event)
		fe->ring_flags |= FE_RING_POLL;
}

bool
opts_use_data(const struct perf_opts *opts)
{
	return opts->weight[WORK_RANDREAD] + opts->weight[WORK_RANDWRITE] +
			opts->weight[WORK_SEQREAD] + opts->weight[WORK_SEQWRITE] >
			0;
}

bool
opts_use_set(const struct perf_opts *opts)
{
	return opts->weight[WORK_GETATTR] + opts->weight[WORK_LOOKUP] +
			opts->weight[WORK_READDIRPLUS] + opts->weight[WORK_OPEN_CLOSE] >
			0;
}
