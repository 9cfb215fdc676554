/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include "weir_device.h"
#include "weir_fsdev.h"
#include "weir_fuse.h"
#include "weir_handoff.h"
#include "weir_log.h"
#include "weir_loop.h"
#include "weir_memmap.h"
#include "weir_rpc.h"
#include "weir_sandbox.h"
#include "weir_worker.h"

#include "args.h"

WEIR_LOG_TYPE(app);

enum exit_status {
	EXIT_CLEAN,
	EXIT_NO_START,
	EXIT_USAGE,
	EXIT_STUCK
};

/* Buffers for arguments too long for a request itself: a few at a time, only SYMLINK needs them. */
#define NB_BIG_ARGS 256

/* Linux's own limit for a process, unless it was told another one. */
#define APP_DESCRIPTORS (1u << 20)

static struct {
	enum exit_status status;
	bool ended;
} app;

static void
app_on_signal(int sig)
{
	weir_loop_stop();
}

/* Before EAL, so that a signal during start-up is not lost; scripts' children ignore SIGINT. */
static void
app_signals_install(void)
{
	struct sigaction stop = { .sa_handler = app_on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	/* A guest's write past our file size limit is its error, EFBIG, and not our end. */
	sigaction(SIGXFSZ, &ignore, NULL);
}

/*
 * Every ring has two descriptors, every open file one, and on some folders every name that a guest
 * knows. Who may raise the limit that it was given does so now: in the sandbox it may no more.
 */
static void
app_descriptors_raise(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return;
	lim.rlim_cur = lim.rlim_max = RTE_MAX(lim.rlim_max, (rlim_t)APP_DESCRIPTORS);
	if (setrlimit(RLIMIT_NOFILE, &lim) == 0 || getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

static int
app_socket_dir_make(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0755) == 0)
		return 0;
	if (errno == EEXIST && stat(dir, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		errno = ENOTDIR;
	}
	weir_log(app, ERR, "socket directory %s: %s", dir, strerror(errno));
	return -errno;
}

static void
app_init_conf_done(void *arg, int code, const char *message)
{
	if (code == 0) {
		weir_log(app, NOTICE, "ran all of %s", (const char *)arg);
		return;
	}
	weir_log(app, ERR, "%s", message);
	app.status = EXIT_NO_START;
	weir_loop_stop();
}

/* When all that is made at start is there, and before anybody has been listened to. */
static int WEIR_ON_CONTROL
app_sandbox_enter(const struct args *args)
{
	char *rpc_socket = strdup(args->rpc_socket);
	const char *const dirs[] = { args->socket_dir, dirname(rpc_socket),
		rte_eal_get_runtime_dir(), NULL };
	const char *const files[] = { args->init_conf, NULL };
	const struct weir_sandbox_cfg cfg = {
		.drop_caps = args->drop_caps,
		.keep_caps = args->keep_caps,
		.seccomp = args->seccomp,
		.landlock = args->landlock,
		.folders = args->nb_folders > 0 ? args->folders : NULL,
		.own_dirs = dirs,
		.own_files = files,
	};
	int rc;

	rc = rpc_socket == NULL ? -ENOMEM : weir_sandbox_enter(&cfg);
	free(rpc_socket);
	if (rc < 0)
		weir_log(app, ERR, "cannot enter the sandbox: %s", rte_strerror(-rc));
	return rc;
}

static int WEIR_ON_CONTROL
app_start(const struct args *args)
{
	const struct weir_workers_cfg workers = { .idle = args->idle, .spin_us = args->spin_us };
	const struct weir_devices_cfg devices = {
		.socket_dir = args->socket_dir,
		.transport = "VHOST_USER",
		.nb_requests = args->nb_requests,
		.nb_big_requests = args->nb_big_requests,
		.static_vuids = args->nb_functions > 0 ? args->functions : NULL,
		.manager = args->manager,
	};
	struct weir_handoff_cfg roles;
	int rc;

	rc = app_socket_dir_make(args->socket_dir);
	if (rc < 0)
		return rc;
	rc = weir_memmap_guard_install();
	if (rc < 0)
		return rc;
	rc = weir_workers_start(&workers);
	if (rc < 0) {
		weir_log(app, ERR, "cannot start workers: %s", rte_strerror(-rc));
		return rc;
	}
	rc = args_roles(args, &roles);
	if (rc == 0)
		rc = weir_handoff_start(&roles);
	if (rc < 0)
		goto no_handoff;
	rc = weir_fuse_init(NB_BIG_ARGS);
	if (rc < 0)
		goto no_fuse;
	rc = weir_devices_init(&devices);
	if (rc < 0)
		goto no_devices;
	rc = weir_rpc_server_start(args->rpc_socket);
	if (rc < 0) {
		weir_log(app, ERR, "RPC socket %s: %s", args->rpc_socket, rte_strerror(-rc));
		goto no_server;
	}
	rc = app_sandbox_enter(args);
	if (rc < 0)
		goto no_sandbox;
	weir_log(app, NOTICE, "ready with %u workers, RPC socket %s", weir_workers_count(),
			args->rpc_socket);
	return 0;

no_sandbox:
	weir_rpc_server_stop();
no_server:
	weir_devices_fini();
no_devices:
	weir_fuse_fini();
no_fuse:
	weir_handoff_stop();
no_handoff:
	weir_log(app, ERR, "cannot start: %s", rte_strerror(-rc));
	weir_workers_stop();
	return rc;
}

static void
app_fsdevs_ended(void *arg, unsigned int left)
{
	if (left > 0) {
		weir_log(app, ERR, "%u file systems did not end in time", left);
		app.status = EXIT_STUCK;
	}
	app.ended = true;
}

static void
app_devices_ended(void *arg, unsigned int stuck)
{
	const struct args *args = arg;

	weir_role_assume_control();
	if (stuck > 0) {
		weir_log(app, ERR, "%u requests never came back from their file system", stuck);
		app.status = EXIT_STUCK;
	}
	weir_fsdevs_shutdown(args->shutdown_s * 1000, app_fsdevs_ended, NULL);
}

static void WEIR_ON_CONTROL
app_stop(struct args *args)
{
	weir_log(app, NOTICE, "stopping");
	weir_rpc_server_stop();
	weir_devices_shutdown(args->shutdown_s * 1000, app_devices_ended, args);
	while (!app.ended && weir_loop_poll(-1) == 0)
		;
	if (app.status == EXIT_STUCK) {
		/* Threads and requests still hold what would be freed here. */
		weir_log(app, ERR, "ended with requests lost");
		_exit(EXIT_STUCK);
	}
	weir_handoff_stop();
	weir_workers_stop();
	weir_devices_fini();
	weir_fuse_fini();
}

int
main(int argc, char **argv)
{
	struct args args;
	int nb_eal, rc;

	if (args_early(argc, argv))
		return EXIT_CLEAN;
	weir_role_assume_control();
	rc = weir_loop_init();
	if (rc < 0) {
		fprintf(stderr, "weir: %s\n", strerror(-rc));
		return EXIT_NO_START;
	}
	app_signals_install();
	app_descriptors_raise();
	nb_eal = rte_eal_init(argc, argv);
	if (nb_eal < 0) {
		fprintf(stderr, "weir: EAL does not start: %s\n", rte_strerror(rte_errno));
		return EXIT_NO_START;
	}
	rc = args_parse(argc - nb_eal, argv + nb_eal, &args);
	if (rc != 0) {
		rte_eal_cleanup();
		return rc < 0 ? EXIT_USAGE : EXIT_CLEAN;
	}
	if (app_start(&args) < 0) {
		rte_eal_cleanup();
		return EXIT_NO_START;
	}
	if (args.init_conf != NULL) {
		rc = weir_rpc_init_file(args.init_conf, app_init_conf_done,
				(void *)(uintptr_t)args.init_conf);
		if (rc < 0) {
			weir_log(app, ERR, "%s: %s", args.init_conf, rte_strerror(-rc));
			app.status = EXIT_NO_START;
			weir_loop_stop();
		}
	}
	weir_loop_run();
	app_stop(&args);
	rte_eal_cleanup();
	weir_loop_fini();
	return (int)app.status;
}
