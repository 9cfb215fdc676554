/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "fe_hist.h"

/*
 * Very many files, in directories of --entries, one step for each line of standard input: make, look,
 * list, stat, open, close, forget, remove. A line of JSON tells when a step is done, so that whoever asks
 * can look at the server meanwhile. A queue's depth of requests is under way at a time.
 */

struct many {
	struct fe_fs fs;
	struct fe_queue *q;
	uint64_t count, per_dir, nb_dirs;
	uint64_t *dirs; /* nodes */
	uint64_t *nodes; /* of files; 0: not looked up */
	uint64_t *fhs; /* handle + 1; 0: not open */

	/* Of the step. */
	uint64_t done, errors;
	int first_error;
};

/* A step's request for a file; false: none is due. */
typedef bool (*many_ask_fn)(struct many *m, struct fe_req *req, uint64_t i);
/* Its answer, which was no error. */
typedef void (*many_answer_fn)(struct many *m, const struct fe_req *req, uint64_t i);

static void
many_note(struct many *m, int rc)
{
	if (rc >= 0) {
		m->done++;
		return;
	}
	m->errors++;
	if (m->first_error == 0)
		m->first_error = rc;
}

/* A request about a name: arguments, and the name behind them. */
static void *
many_named(struct many *m, struct fe_req *req, uint32_t opcode, uint64_t i, uint32_t arg_len)
{
	char name[24];
	uint8_t *arg;
	uint32_t n;

	n = (uint32_t)snprintf(name, sizeof(name), "f%" PRIu64, i) + 1;
	arg = fe_req_init(req, opcode, m->dirs[i / m->per_dir], arg_len + n);
	memcpy(arg + arg_len, name, n);
	return arg;
}

static bool
ask_make(struct many *m, struct fe_req *req, uint64_t i)
{
	struct fuse_mknod_in *in;

	in = many_named(m, req, FUSE_MKNOD, i, sizeof(*in));
	in->mode = S_IFREG | 0644;
	req->res_room = sizeof(struct fuse_entry_out);
	return true;
}

static void
answer_make(struct many *m, const struct fe_req *req, uint64_t i)
{
	const struct fuse_entry_out *entry = fe_req_res(req);

	fe_forget(&m->fs, entry->nodeid, 1);
}

static bool
ask_look(struct many *m, struct fe_req *req, uint64_t i)
{
	many_named(m, req, FUSE_LOOKUP, i, 0);
	req->res_room = sizeof(struct fuse_entry_out);
	return m->nodes[i] == 0;
}

static void
answer_look(struct many *m, const struct fe_req *req, uint64_t i)
{
	const struct fuse_entry_out *entry = fe_req_res(req);

	m->nodes[i] = entry->nodeid;
}

static bool
ask_stat(struct many *m, struct fe_req *req, uint64_t i)
{
	fe_req_init(req, FUSE_GETATTR, m->nodes[i], sizeof(struct fuse_getattr_in));
	req->res_room = sizeof(struct fuse_attr_out);
	return m->nodes[i] != 0;
}

static bool
ask_open(struct many *m, struct fe_req *req, uint64_t i)
{
	struct fuse_open_in *in;

	if (m->nodes[i] == 0 || m->fhs[i] != 0)
		return false;
	in = fe_req_init(req, FUSE_OPEN, m->nodes[i], sizeof(*in));
	in->flags = O_RDONLY;
	req->res_room = sizeof(struct fuse_open_out);
	return true;
}

static void
answer_open(struct many *m, const struct fe_req *req, uint64_t i)
{
	const struct fuse_open_out *out = fe_req_res(req);

	m->fhs[i] = out->fh + 1;
}

static bool
ask_close(struct many *m, struct fe_req *req, uint64_t i)
{
	struct fuse_release_in *in;

	if (m->fhs[i] == 0)
		return false;
	in = fe_req_init(req, FUSE_RELEASE, m->nodes[i], sizeof(*in));
	in->fh = m->fhs[i] - 1;
	return true;
}

static void
answer_close(struct many *m, const struct fe_req *req, uint64_t i)
{
	m->fhs[i] = 0;
}

static bool
ask_remove(struct many *m, struct fe_req *req, uint64_t i)
{
	many_named(m, req, FUSE_UNLINK, i, 0);
	return true;
}

static int
many_reap(struct many *m, many_answer_fn answer)
{
	struct fe_req *req;
	int rc;

	while ((rc = fe_queue_reap(m->q, &req)) == 1) {
		many_note(m, req->error);
		if (req->error == 0 && answer != NULL)
			answer(m, req, req->priv);
		fe_req_put(req);
	}
	return rc;
}

/* All files once. @return 0 or an error of the device. */
static int
many_each(struct many *m, many_ask_fn ask, many_answer_fn answer)
{
	struct fe_req *req;
	uint64_t i = 0;
	int rc = 0;

	while (rc == 0 && (i < m->count || m->q->in_flight > 0)) {
		while (i < m->count && (req = fe_req_get(m->q)) != NULL) {
			while (i < m->count && !ask(m, req, i))
				i++;
			if (i == m->count) {
				fe_req_put(req);
				break;
			}
			req->priv = i++;
			rc = fe_req_submit(req);
			if (rc < 0)
				return rc;
		}
		fe_queue_kick(m->q);
		rc = m->q->in_flight > 0 ? fe_queue_wait(m->q) : 1;
		if (rc == 1)
			rc = many_reap(m, answer);
	}
	return rc;
}

static int
step_make(struct many *m)
{
	struct fuse_entry_out entry;
	char name[24];
	int rc;

	for (uint64_t d = 0; d < m->nb_dirs; d++) {
		snprintf(name, sizeof(name), "d%" PRIu64, d);
		rc = fe_mkdir(m->q, FE_ROOT, name, 0755, &entry);
		if (rc < 0)
			return rc;
		m->dirs[d] = entry.nodeid;
	}
	return many_each(m, ask_make, answer_make);
}

static int
step_look(struct many *m)
{
	return many_each(m, ask_look, answer_look);
}

static int
many_listed(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	struct many *m = arg;

	if (dirent->name[0] == '.')
		return 0;
	many_note(m, entry != NULL && entry->nodeid != 0 ? 0 : -ENFILE);
	if (entry != NULL && entry->nodeid != 0)
		fe_forget(&m->fs, entry->nodeid, 1);
	return 0;
}

static int
step_list(struct many *m)
{
	uint64_t fh;
	int rc = 0;

	for (uint64_t d = 0; d < m->nb_dirs && rc >= 0; d++) {
		rc = fe_opendir(m->q, m->dirs[d], &fh);
		if (rc < 0)
			return rc;
		rc = fe_readdir(m->q, m->dirs[d], fh, FE_READDIRPLUS, 65536, many_listed, m);
		fe_releasedir(m->q, m->dirs[d], fh);
	}
	return rc < 0 ? rc : 0;
}

static int
step_stat(struct many *m)
{
	return many_each(m, ask_stat, NULL);
}

static int
step_open(struct many *m)
{
	return many_each(m, ask_open, answer_open);
}

static int
step_close(struct many *m)
{
	return many_each(m, ask_close, answer_close);
}

static int
step_forget(struct many *m)
{
	for (uint64_t i = 0; i < m->count; i++) {
		if (m->nodes[i] == 0)
			continue;
		fe_forget(&m->fs, m->nodes[i], 1);
		m->nodes[i] = 0;
		m->done++;
	}
	return 0;
}

static int
step_remove(struct many *m)
{
	char name[24];
	int rc;

	rc = many_each(m, ask_remove, NULL);
	for (uint64_t d = 0; d < m->nb_dirs && rc == 0; d++) {
		snprintf(name, sizeof(name), "d%" PRIu64, d);
		rc = fe_rmdir(m->q, FE_ROOT, name);
		fe_forget(&m->fs, m->dirs[d], 1);
	}
	return rc;
}

static const struct {
	const char *name;
	int (*step)(struct many *m);
} steps[] = {
	{ "make", step_make },
	{ "look", step_look },
	{ "list", step_list },
	{ "stat", step_stat },
	{ "open", step_open },
	{ "close", step_close },
	{ "forget", step_forget },
	{ "remove", step_remove },
};
#define NB_STEPS (sizeof(steps) / sizeof(steps[0]))

static int
many_step(struct many *m, const char *name)
{
	const uint64_t begin = fe_now_ns();
	unsigned int i;
	int rc;

	for (i = 0; i < NB_STEPS && strcmp(steps[i].name, name) != 0; i++)
		continue;
	if (i == NB_STEPS) {
		fprintf(stderr, "weir-fe: no step %s\n", name);
		return -EINVAL;
	}
	m->done = m->errors = 0;
	m->first_error = 0;
	rc = steps[i].step(m);
	printf("{\"rc\": %d, \"done\": %" PRIu64 ", \"errors\": %" PRIu64
	       ", \"first_error\": %d, \"seconds\": %.3f}\n",
			rc, m->done, m->errors, m->first_error,
			(double)(fe_now_ns() - begin) / 1e9);
	fflush(stdout);
	return rc;
}

static int
many_run(struct many *m)
{
	char line[32];
	int rc = 0;

	printf("mounted\n");
	fflush(stdout);
	while (rc >= 0 && fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		rc = many_step(m, line);
	}
	return rc < 0;
}

int
cmd_many(struct cli *cli)
{
	struct many m = { .count = cli->count, .per_dir = cli->entries };
	int rc = 1;

	if (m.count == 0 || m.per_dir == 0) {
		fprintf(stderr, "weir-fe: many --count FILES --entries FILES-OF-A-DIRECTORY\n");
		return 2;
	}
	m.nb_dirs = (m.count + m.per_dir - 1) / m.per_dir;
	m.dirs = calloc(m.nb_dirs, sizeof(*m.dirs));
	m.nodes = calloc(m.count, sizeof(*m.nodes));
	m.fhs = calloc(m.count, sizeof(*m.fhs));
	if (m.dirs != NULL && m.nodes != NULL && m.fhs != NULL && cli_mount(cli, &m.fs) == 0) {
		m.q = &m.fs.queue[1];
		rc = cli_unmount(cli, &m.fs, many_run(&m));
	}
	free(m.fhs);
	free(m.nodes);
	free(m.dirs);
	return rc;
}
