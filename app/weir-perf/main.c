/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "report.h"
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

/* One run against a server of its own. */
static int
run_with_server(const struct perf_opts *opts, const char *command, struct load_result *result)
{
	const char *rpc = opts->rpc;
	struct server server;
	struct stat st;
	int verdict;

	if (server_start(&server, command, opts->timeout_s) < 0)
		return PERF_SETUP;
	if (rpc == NULL && stat(server.rpc, &st) == 0)
		rpc = server.rpc;
	verdict = load_run(opts, server.socket, server.pid, rpc, result);
	if (verdict == PERF_SETUP || verdict == PERF_BROKEN)
		server_show_log(&server);
	server_stop(&server);
	return verdict;
}

static int
run_once(const struct perf_opts *opts)
{
	struct load_result *result = calloc(1, sizeof(*result));
	json_t *json;
	int verdict;

	if (result == NULL)
		return PERF_SETUP;
	if (opts->server != NULL)
		verdict = run_with_server(opts, opts->server, result);
	else
		verdict = load_run(opts, opts->socket, opts->server_pid, opts->rpc, result);
	if (verdict != PERF_SETUP && opts->json) {
		json = report_json(opts, result);
		json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
		putchar('\n');
		json_decref(json);
	} else if (verdict != PERF_SETUP) {
		report_text(opts, result);
	}
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
	return run_once(&opts);
}
