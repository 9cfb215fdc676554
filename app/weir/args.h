/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef ARGS_H
#define ARGS_H

#include <stdint.h>

#include "weir_handoff.h"
#include "weir_sandbox.h"
#include "weir_worker.h"

#define ARGS_MAX_FUNCTIONS 64
#define ARGS_MAX_FOLDERS   256

/* The command line behind EAL's "--". Strings point into argv. */
struct args {
	const char *rpc_socket;
	const char *socket_dir;
	const char *init_conf;
	const char *manager;
	enum weir_idle_policy idle;
	uint32_t spin_us;
	uint32_t nb_requests;
	uint32_t nb_big_requests;
	uint32_t shutdown_s;
	const char *frontend_lcores, *backend_lcores; /* NULL: all workers */
	const char *functions[ARGS_MAX_FUNCTIONS + 1]; /* NULL-terminated */
	unsigned int nb_functions;
	bool drop_caps;
	uint64_t keep_caps; /* bits 1 << CAP_... */
	enum weir_seccomp_mode seccomp;
	enum weir_landlock_mode landlock;
	const char *folders[ARGS_MAX_FOLDERS + 1]; /* NULL-terminated */
	unsigned int nb_folders;
};

/* Fills args with defaults, then from argv (argv[0] is skipped).
 * Returns 0; 1 when help or version was printed; -EINVAL after saying on stderr what was wrong. */
int args_parse(int argc, char **argv, struct args *args);

/* Makes roles of the lists of lcores, when workers run. Returns 0, or -EINVAL after saying why. */
int args_roles(const struct args *args, struct weir_handoff_cfg *cfg);

/* Whether argv asks for help or the version before EAL would see it; prints it then. */
int args_early(int argc, char **argv);

#endif /* ARGS_H */
