/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct {
	const char *name;
	cli_fn run;
	const char *help;
} commands[] = {
	{ "ls", cmd_ls, "[DIR]: names in a directory" },
	{ "stat", cmd_stat, "PATH: attributes" },
	{ "cat", cmd_cat, "PATH: a file's bytes to standard output" },
	{ "put", cmd_put, "PATH: standard input into a file" },
	{ "mkdir", cmd_mkdir, "PATH" },
	{ "rm", cmd_rm, "PATH: a file, or a directory and all in it" },
	{ "mv", cmd_mv, "FROM TO" },
	{ "statfs", cmd_statfs, "" },
	{ "info", cmd_info, "what the device and INIT offer" },
	{ "hold", cmd_hold, "[PATH...]: open files, mount, say so, wait for end of input" },
	{ "check", cmd_check, "file system semantics, one line a check" },
	{ "bench", cmd_bench, "WORKLOAD: load for --seconds, latency and CPU" },
	{ "load", cmd_load, "read|write|storm: verified work until standard input ends" },
	{ "many", cmd_many, "--count files in directories of --entries: steps on standard input" },
	{ "shell", cmd_shell, "requests by line: what is asked on standard input is answered" },
	{ "storm", cmd_storm, "changes of names and files, verified, until end of input" },
	{ "hostile", cmd_hostile, "--count malformed messages, rings and requests" },
};

enum {
	OPT_QUEUES = 256,
	OPT_RING_SIZE,
	OPT_DEPTH,
	OPT_MAX_IO,
	OPT_REGIONS,
	OPT_ADJACENT,
	OPT_PIECE,
	OPT_NO_INDIRECT,
	OPT_NO_EVENT_IDX,
	OPT_PACKED,
	OPT_POLL,
	OPT_EVENT,
	OPT_WAIT,
	OPT_TIMEOUT,
	OPT_SKIP_QUEUES,
	OPT_JSON,
	OPT_COUNTS,
	OPT_SKIP,
	OPT_ONLY,
	OPT_CONTROL,
	OPT_UID,
	OPT_GID,
	OPT_UMASK,
	OPT_SEED,
	OPT_COUNT,
	OPT_FILE_SIZE,
	OPT_BS,
	OPT_SECONDS,
	OPT_ENTRIES,
	OPT_SERVER_PID,
};

static const struct option options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "ring-size", required_argument, NULL, OPT_RING_SIZE },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "max-io", required_argument, NULL, OPT_MAX_IO },
	{ "regions", required_argument, NULL, OPT_REGIONS },
	{ "adjacent", no_argument, NULL, OPT_ADJACENT },
	{ "piece", required_argument, NULL, OPT_PIECE },
	{ "no-indirect", no_argument, NULL, OPT_NO_INDIRECT },
	{ "no-event-idx", no_argument, NULL, OPT_NO_EVENT_IDX },
	{ "packed", no_argument, NULL, OPT_PACKED },
	{ "poll", no_argument, NULL, OPT_POLL },
	{ "event", no_argument, NULL, OPT_EVENT },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "skip-queues", required_argument, NULL, OPT_SKIP_QUEUES },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "counts", required_argument, NULL, OPT_COUNTS },
	{ "skip", required_argument, NULL, OPT_SKIP },
	{ "only", required_argument, NULL, OPT_ONLY },
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "uid", required_argument, NULL, OPT_UID },
	{ "gid", required_argument, NULL, OPT_GID },
	{ "umask", required_argument, NULL, OPT_UMASK },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "file-size", required_argument, NULL, OPT_FILE_SIZE },
	{ "bs", required_argument, NULL, OPT_BS },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "entries", required_argument, NULL, OPT_ENTRIES },
	{ "server-pid", required_argument, NULL, OPT_SERVER_PID },
	{ NULL, 0, NULL, 0 },
};

static void
usage(FILE *out)
{
	const struct option *opt;
	size_t i;

	fprintf(out, "usage: weir-fe COMMAND -s SOCKET [OPTION...] [ARGUMENT...]\n\n");
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
	fprintf(out, "\noptions:");
	for (opt = options; opt->name != NULL; opt++)
		fprintf(out, " --%s%s", opt->name, opt->has_arg ? " N" : "");
	fprintf(out, "\n");
}

/* A number with an optional k, m or g. */
static uint64_t
number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	switch (*end) {
	case 'g':
		value <<= 10;
		/* fall through */
	case 'm':
		value <<= 10;
		/* fall through */
	case 'k':
		value <<= 10;
		end++;
		break;
	}
	if (*end != '\0' || end == text) {
		fprintf(stderr, "weir-fe: not a number: %s\n", text);
		exit(2);
	}
	return value;
}

static int
option_front_end(struct fe_opts *fe, int opt, const char *arg)
{
	switch (opt) {
	case 's':
		fe->socket = arg;
		break;
	case OPT_QUEUES:
		fe->nb_queues = number(arg);
		break;
	case OPT_RING_SIZE:
		fe->ring_size = number(arg);
		break;
	case OPT_DEPTH:
		fe->depth = number(arg);
		break;
	case OPT_MAX_IO:
		fe->max_io = number(arg);
		break;
	case OPT_REGIONS:
		fe->nb_regions = number(arg);
		break;
	case OPT_ADJACENT:
		fe->layout = FE_MEM_ADJACENT;
		break;
	case OPT_PIECE:
		fe->piece = number(arg);
		break;
	case OPT_NO_INDIRECT:
		fe->ring_flags &= ~FE_RING_INDIRECT;
		break;
	case OPT_NO_EVENT_IDX:
		fe->ring_flags &= ~FE_RING_EVENT_IDX;
		break;
	case OPT_PACKED:
		fe->ring_flags |= FE_RING_PACKED;
		break;
	case OPT_POLL:
		fe->ring_flags |= FE_RING_POLL;
		break;
	case OPT_EVENT:
		fe->ring_flags &= ~FE_RING_POLL;
		break;
	case OPT_WAIT:
		fe->wait_ms = number(arg) * 1000;
		break;
	case OPT_TIMEOUT:
		fe->timeout_ms = number(arg) * 1000;
		break;
	case OPT_SKIP_QUEUES:
		fe->skip_queues = number(arg);
		break;
	default:
		return 0;
	}
	return 1;
}

static int
option_command(struct cli *cli, int opt, const char *arg)
{
	switch (opt) {
	case OPT_JSON:
		cli->json = true;
		break;
	case OPT_COUNTS:
		cli->counts = arg;
		break;
	case OPT_SKIP:
		cli->skip = arg;
		break;
	case OPT_ONLY:
		cli->only = arg;
		break;
	case OPT_CONTROL:
		cli->control = arg;
		break;
	case OPT_UID:
		cli->uid = number(arg);
		break;
	case OPT_GID:
		cli->gid = number(arg);
		break;
	case OPT_UMASK:
		cli->umask = number(arg);
		break;
	case OPT_SEED:
		cli->seed = number(arg);
		break;
	case OPT_COUNT:
		cli->count = number(arg);
		break;
	case OPT_FILE_SIZE:
		cli->file_size = number(arg);
		break;
	case OPT_BS:
		cli->block = number(arg);
		break;
	case OPT_SECONDS:
		cli->seconds = number(arg);
		break;
	case OPT_ENTRIES:
		cli->entries = number(arg);
		break;
	case OPT_SERVER_PID:
		cli->server_pid = number(arg);
		break;
	default:
		return 0;
	}
	return 1;
}

int
main(int argc, char **argv)
{
	struct cli cli = {
		.seed = 1,
		.count = 100000,
		.file_size = 64 << 20,
		.block = 4096,
		.seconds = 3,
		.entries = 10000,
	};
	size_t i;
	int opt;

	fe_opts_init(&cli.fe);
	while ((opt = getopt_long(argc, argv, "s:h", options, NULL)) != -1) {
		if (opt == 'h') {
			usage(stdout);
			return 0;
		}
		if (!option_front_end(&cli.fe, opt, optarg) && !option_command(&cli, opt, optarg)) {
			usage(stderr);
			return 2;
		}
	}

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]) && optind < argc; i++) {
		if (strcmp(argv[optind], commands[i].name) != 0)
			continue;
		if (cli.fe.socket == NULL)
			break;
		cli.args = argv + optind + 1;
		cli.nb_args = argc - optind - 1;
		return commands[i].run(&cli);
	}
	usage(stderr);
	return 2;
}

int
cli_mount(struct cli *cli, struct fe_fs *fs)
{
	unsigned int i;
	int rc = fe_fs_mount(fs, &cli->fe);

	if (rc < 0) {
		fprintf(stderr, "weir-fe: cannot mount %s: %s\n", cli->fe.socket, strerror(-rc));
		return rc;
	}
	for (i = 0; i <= cli->fe.nb_queues; i++) {
		fs->queue[i].uid = cli->uid;
		fs->queue[i].gid = cli->gid;
	}
	fs->umask = cli->umask;
	return 0;
}

static int
counts_write(const struct fe_fs *fs, const char *path)
{
	const char *comma = "";
	FILE *out = fopen(path, "w");
	uint32_t op;

	if (out == NULL)
		return -errno;
	fprintf(out, "{");
	for (op = 0; op < FE_NB_OPCODES; op++) {
		struct fe_count count = fe_fs_count(fs, op);

		if (count.sent == 0)
			continue;
		fprintf(out,
				"%s\"%s\": {\"count\": %" PRIu64 ", \"errors\": %" PRIu64
				", \"bytes\": %" PRIu64 "}",
				comma, fe_opcode_name(op), count.sent, count.errors, count.bytes);
		comma = ", ";
	}
	fprintf(out, "}\n");
	return fclose(out) == 0 ? 0 : -errno;
}

int
cli_unmount(struct cli *cli, struct fe_fs *fs, int exit_code)
{
	if (fs->fault[0] != '\0') {
		fprintf(stderr, "weir-fe: the device broke a rule: %s\n", fs->fault);
		exit_code = 1;
	}
	if (cli->counts != NULL && counts_write(fs, cli->counts) < 0) {
		fprintf(stderr, "weir-fe: cannot write %s\n", cli->counts);
		exit_code = 1;
	}
	if (fe_fs_unmount(fs) < 0) {
		fprintf(stderr, "weir-fe: unmount failed\n");
		exit_code = 1;
	}
	return exit_code;
}

bool
cli_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (list != NULL && *list != '\0') {
		size_t word = strcspn(list, ",");

		if (word == len && strncmp(list, name, len) == 0)
			return true;
		list += word;
		list += *list == ',';
	}
	return false;
}
