/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "floor.h"
#include "report.h"
#include "run.h"
#include "server.h"

static void
interrupt(int sig)
{
	__atomic_store_n(&load_interrupted, 1, __ATOMIC_RELAXED);
}

static void
catch_signals(void)
{
	struct sigaction action = { .sa_handler = interrupt };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int
run_once(const struct perf_opts *opts, const char *command, struct load_result *result)
{
	const char *rpc = NULL;
	struct server server;
	struct stat st;
	int verdict;

	if (command == NULL)
		return load_run(opts, opts->socket, opts->server_pid, opts->rpc, result);
	if (server_start(&server, command, opts->timeout_s) < 0)
		return PERF_SETUP;
	if (stat(server.rpc, &st) == 0)
		rpc = server.rpc;
	verdict = load_run(opts, server.socket, server.pid, rpc, result);
	if (verdict == PERF_SETUP || verdict == PERF_BROKEN)
		server_show_log(&server);
	server_stop(&server);
	return verdict;
}

static int
run_and_report(const struct perf_opts *opts)
{
	struct load_result *result = calloc(1, sizeof(*result));
	int verdict;

	if (result == NULL)
		return PERF_SETUP;
	verdict = run_once(opts, opts->server, result);
	if (verdict != PERF_SETUP && opts->json)
		report_print(report_json(opts, result));
	else if (verdict != PERF_SETUP)
		report_text(opts, result);
	free(result);
	return verdict;
}

int
main(int argc, char **argv)
{
	struct perf_opts opts;
	int rc = opts_parse(&opts, argc, argv);

	if (rc != 0)
		return rc > 0 ? PERF_OK : PERF_USAGE;
	catch_signals();
	if (opts.serve != NULL)
		return floor_serve(opts.serve);
	if (opts.versus != NULL)
		return run_versus(&opts);
	return run_and_report(&opts);
}
