/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_version.h>

#include "args.h"

enum {
	OPT_SOCKET_DIR = 256,
	OPT_INIT_CONF,
	OPT_IDLE,
	OPT_SPIN,
	OPT_REQUESTS,
	OPT_BIG,
	OPT_FUNCTION,
	OPT_MANAGER,
	OPT_FRONTENDS,
	OPT_BACKENDS,
	OPT_SHUTDOWN,
	OPT_DROP_CAPS,
	OPT_KEEP_CAP,
	OPT_FOLDER,
	OPT_LANDLOCK,
	OPT_SECCOMP
};

static const struct option options[] = {
	{ "rpc-socket", required_argument, NULL, 'r' },
	{ "socket-dir", required_argument, NULL, OPT_SOCKET_DIR },
	{ "init-conf", required_argument, NULL, OPT_INIT_CONF },
	{ "idle", required_argument, NULL, OPT_IDLE },
	{ "spin-us", required_argument, NULL, OPT_SPIN },
	{ "requests", required_argument, NULL, OPT_REQUESTS },
	{ "big-requests", required_argument, NULL, OPT_BIG },
	{ "frontend-lcores", required_argument, NULL, OPT_FRONTENDS },
	{ "backend-lcores", required_argument, NULL, OPT_BACKENDS },
	{ "static-function", required_argument, NULL, OPT_FUNCTION },
	{ "manager", required_argument, NULL, OPT_MANAGER },
	{ "shutdown-timeout", required_argument, NULL, OPT_SHUTDOWN },
	{ "drop-caps", required_argument, NULL, OPT_DROP_CAPS },
	{ "keep-cap", required_argument, NULL, OPT_KEEP_CAP },
	{ "allow-folder", required_argument, NULL, OPT_FOLDER },
	{ "landlock", required_argument, NULL, OPT_LANDLOCK },
	{ "seccomp", required_argument, NULL, OPT_SECCOMP },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static void
args_help(void)
{
	puts("usage: weir [EAL options] -- [options]\n"
	     "\n"
	     "Serves virtio-fs devices to guests. Configure it with usertools/weir-rpc.py.\n"
	     "\n"
	     "  -r, --rpc-socket PATH   where to listen for RPCs (/run/weir/rpc.sock)\n"
	     "  --socket-dir DIR        device NAME listens on DIR/NAME.sock (/run/weir)\n"
	     "  --init-conf FILE        RPC command lines to run at start, one a line\n"
	     "  --idle POLICY           poll: workers never sleep; adaptive: they sleep when there\n"
	     "                          is nothing to do; power: the CPU waits for memory then,\n"
	     "                          where it can (adaptive)\n"
	     "  --spin-us N             adaptive, power: microseconds without work before (50)\n"
	     "  --requests N            requests in progress at most, on each NUMA node (8192)\n"
	     "  --big-requests N        of which large transfers (1024)\n"
	     "  --frontend-lcores LIST  workers that poll virtqueues, e.g. 1,3-5 (all)\n"
	     "  --backend-lcores LIST   workers that have the connections and rings of file systems;\n"
	     "                          a worker may be both (all)\n"
	     "  --manager NAME          name of the emulation manager (mlx5_0)\n"
	     "  --static-function VUID[=PCI]\n"
	     "                          a function to put a device on; may be repeated\n"
	     "                          (default: two, with names of this machine's)\n"
	     "  --shutdown-timeout S    seconds that a file system gets to end what is in progress\n"
	     "                          when weir is told to stop (5)\n"
	     "  --drop-caps on|off      give up the capabilities that weir does not need (on)\n"
	     "  --keep-cap NAME         but not this one; may be repeated\n"
	     "  --allow-folder DIR      serve local folders only if they are DIR or in it; may be\n"
	     "                          repeated (default: any)\n"
	     "  --landlock MODE         auto: the kernel holds weir to those folders, if any are\n"
	     "                          given; on: also if none is; off: it does not (auto)\n"
	     "  --seccomp MODE          system calls that weir never makes fail (deny), end it\n"
	     "                          (kill), or are only logged (log); off: no filter (deny)\n"
	     "  -h, --help, -V, --version\n"
	     "\n"
	     "EAL options choose the lcores: the first one is for control, the others are workers,\n"
	     "e.g. weir --lcores 0@0,1@1 --in-memory --no-pci --iova-mode=va -- -r /run/weir/rpc.sock\n"
	     "\n"
	     "exit status: 0 ended clean; 1 could not start; 2 usage; 3 ended with requests lost in a\n"
	     "file system that did not answer");
}

static void
args_version(void)
{
	printf("weir " WEIR_VERSION " (%s)\n", rte_version());
}

int
args_early(int argc, char **argv)
{
	if (argc != 2)
		return 0;
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		args_help();
		return 1;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		args_version();
		return 1;
	}
	return 0;
}

static int
args_number(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min ||
			value > max) {
		fprintf(stderr, "weir: --%s %s: must be a number from %u to %u\n", name, text, min,
				max);
		return -EINVAL;
	}
	*out = (uint32_t)value;
	return 0;
}

/* One of a NULL-terminated list. Returns its index, or -EINVAL. */
static int
args_choice(const char *name, const char *text, const char *const *choices)
{
	unsigned int i;

	for (i = 0; choices[i] != NULL; i++)
		if (strcmp(text, choices[i]) == 0)
			return (int)i;
	fprintf(stderr, "weir: --%s %s: must be one of", name, text);
	for (i = 0; choices[i] != NULL; i++)
		fprintf(stderr, " %s", choices[i]);
	fputc('\n', stderr);
	return -EINVAL;
}

/* Appends to a NULL-terminated list with room for max strings. */
static int
args_append(const char *name, const char *text, const char **list, unsigned int *nb,
		unsigned int max)
{
	if (*nb == max) {
		fprintf(stderr, "weir: --%s: more than %u\n", name, max);
		return -EINVAL;
	}
	list[(*nb)++] = text;
	return 0;
}

static int
args_keep_cap(const char *text, struct args *args)
{
	int number = weir_sandbox_cap_number(text);

	if (number < 0) {
		fprintf(stderr, "weir: --keep-cap %s: not the name of a capability\n", text);
		return number;
	}
	args->keep_caps |= UINT64_C(1) << number;
	return 0;
}

static int
args_sandbox(int opt, struct args *args)
{
	static const char *const switches[] = { "off", "on", NULL };
	int choice;

	switch (opt) {
	case OPT_DROP_CAPS:
		choice = args_choice("drop-caps", optarg, switches);
		args->drop_caps = choice == 1;
		return choice;
	case OPT_KEEP_CAP:
		return args_keep_cap(optarg, args);
	case OPT_FOLDER:
		return args_append("allow-folder", optarg, args->folders, &args->nb_folders,
				ARGS_MAX_FOLDERS);
	case OPT_LANDLOCK:
		choice = args_choice("landlock", optarg, weir_landlock_mode_names);
		args->landlock = (enum weir_landlock_mode)choice;
		return choice;
	case OPT_SECCOMP:
		choice = args_choice("seccomp", optarg, weir_seccomp_mode_names);
		args->seccomp = (enum weir_seccomp_mode)choice;
		return choice;
	default:
		return -EINVAL;
	}
}

static int
args_option(int opt, struct args *args)
{
	int choice;

	switch (opt) {
	case 'r':
		args->rpc_socket = optarg;
		return 0;
	case OPT_SOCKET_DIR:
		args->socket_dir = optarg;
		return 0;
	case OPT_INIT_CONF:
		args->init_conf = optarg;
		return 0;
	case OPT_MANAGER:
		args->manager = optarg;
		return 0;
	case OPT_FRONTENDS:
		args->frontend_lcores = optarg;
		return 0;
	case OPT_BACKENDS:
		args->backend_lcores = optarg;
		return 0;
	case OPT_IDLE:
		choice = args_choice("idle", optarg, weir_idle_policy_names);
		args->idle = (enum weir_idle_policy)choice;
		return choice;
	case OPT_SPIN:
		return args_number("spin-us", optarg, 0, 1000000, &args->spin_us);
	case OPT_REQUESTS:
		return args_number("requests", optarg, 16, 1 << 20, &args->nb_requests);
	case OPT_BIG:
		return args_number("big-requests", optarg, 1, 1 << 20, &args->nb_big_requests);
	case OPT_SHUTDOWN:
		return args_number("shutdown-timeout", optarg, 0, 3600, &args->shutdown_s);
	case OPT_FUNCTION:
		return args_append("static-function", optarg, args->functions, &args->nb_functions,
				ARGS_MAX_FUNCTIONS);
	default:
		return args_sandbox(opt, args);
	}
}

int
args_parse(int argc, char **argv, struct args *args)
{
	int opt, rc;

	*args = (struct args){
		.rpc_socket = "/run/weir/rpc.sock",
		.socket_dir = "/run/weir",
		.manager = "mlx5_0",
		.idle = WEIR_IDLE_ADAPTIVE,
		.spin_us = 50,
		.nb_requests = 8192,
		.nb_big_requests = 1024,
		.shutdown_s = 5,
		.drop_caps = true,
		.seccomp = WEIR_SECCOMP_DENY,
	};
	optind = 1;
	while ((opt = getopt_long(argc, argv, "r:hV", options, NULL)) != -1) {
		if (opt == 'h' || opt == 'V') {
			opt == 'h' ? args_help() : args_version();
			return 1;
		}
		rc = args_option(opt, args);
		if (rc < 0)
			return rc;
	}
	if (optind < argc) {
		fprintf(stderr, "weir: %s: not an option\n", argv[optind]);
		return -EINVAL;
	}
	return 0;
}

/* The worker on an lcore; -1: none. */
static int
roles_worker(unsigned long lcore)
{
	for (unsigned int i = 0; i < weir_workers_count(); i++)
		if (weir_worker_lcore(weir_worker_at(i)) == lcore)
			return (int)i;
	return -1;
}

/* "1,3-5" */
static int
roles_parse(const char *name, const char *list, bool roles[WEIR_MAX_WORKERS])
{
	const char *p = list;
	unsigned long first, last;
	char *end;
	int i;

	do {
		first = last = strtoul(p, &end, 10);
		if (isdigit((unsigned char)*p) && *end == '-' && isdigit((unsigned char)end[1]))
			last = strtoul(end + 1, &end, 10);
		if (!isdigit((unsigned char)*p) || (*end != ',' && *end != '\0') || first > last ||
				last >= RTE_MAX_LCORE) {
			fprintf(stderr, "weir: --%s %s: must be a list of lcores like 1,3-5\n",
					name, list);
			return -EINVAL;
		}
		for (; first <= last; first++) {
			i = roles_worker(first);
			if (i < 0) {
				fprintf(stderr, "weir: --%s %s: lcore %lu is not a worker\n", name,
						list, first);
				return -EINVAL;
			}
			roles[i] = true;
		}
		p = end + 1;
	} while (*end == ',');
	return 0;
}

int
args_roles(const struct args *args, struct weir_handoff_cfg *cfg)
{
	unsigned int i;
	int rc = 0;

	*cfg = (struct weir_handoff_cfg){ 0 };
	for (i = 0; i < weir_workers_count(); i++) {
		cfg->frontend[i] = args->frontend_lcores == NULL;
		cfg->backend[i] = args->backend_lcores == NULL;
	}
	if (args->frontend_lcores != NULL)
		rc = roles_parse("frontend-lcores", args->frontend_lcores, cfg->frontend);
	if (rc == 0 && args->backend_lcores != NULL)
		rc = roles_parse("backend-lcores", args->backend_lcores, cfg->backend);
	for (i = 0; i < weir_workers_count() && rc == 0; i++) {
		if (cfg->frontend[i] || cfg->backend[i])
			continue;
		fprintf(stderr,
				"weir: lcore %u is neither in --frontend-lcores nor in "
				"--backend-lcores\n",
				weir_worker_lcore(weir_worker_at(i)));
		rc = -EINVAL;
	}
	return rc;
}
