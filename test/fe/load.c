/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "fe_hist.h"

/*
 * Work whose outcome can be told afterwards, on every request queue, one thread each, in passes
 * until standard input ends. What is written tells its pass and its place in the file, so that
 * whoever looks at the file from elsewhere can tell what is missing.
 */

enum load_kind {
	LOAD_READ,
	LOAD_WRITE,
	LOAD_STORM,
};

static const char *const kind_names[] = { "read", "write", "storm" };

struct load {
	struct cli *cli;
	struct fe_fs fs;
	enum load_kind kind;
	atomic_bool stop;
	atomic_uint working; /* threads that have come to their work */
};

struct load_thread {
	struct load *load;
	struct fe_queue *q;
	pthread_t thread;
	unsigned int index;
	uint64_t passes;
	uint64_t ok, errors, bad_blocks;
	uint64_t longest_ns; /* of a request for data */
	int first_error;
	int rc;
};

struct load_file {
	uint64_t nodeid, fh;
};

static int
load_note(struct load_thread *t, int rc)
{
	if (rc >= 0) {
		t->ok++;
	} else {
		t->errors++;
		if (t->first_error == 0)
			t->first_error = rc;
	}
	return rc;
}

/* A word is the pass above the word's place. */
static void
block_fill(void *data, uint32_t len, uint64_t pass, uint64_t off)
{
	uint64_t *word = data;
	uint32_t i;

	for (i = 0; i < len / sizeof(*word); i++)
		word[i] = pass << 48 | (off / sizeof(*word) + i);
}

static bool
block_is(const void *data, uint32_t len, uint64_t pass, uint64_t off)
{
	const uint64_t *word = data;
	uint32_t i;

	for (i = 0; i < len / sizeof(*word); i++)
		if (word[i] != (pass << 48 | (off / sizeof(*word) + i)))
			return false;
	return true;
}

static int
load_create(struct load_thread *t, const char *name, struct load_file *file)
{
	struct fuse_entry_out entry;
	int rc;

	rc = load_note(t,
			fe_create(t->q, FE_ROOT, name, O_RDWR | O_CREAT, S_IFREG | 0644, &entry,
					&file->fh));
	file->nodeid = entry.nodeid;
	return rc;
}

static void
load_close(struct load_thread *t, const struct load_file *file)
{
	load_note(t, fe_flush(t->q, file->nodeid, file->fh));
	load_note(t, fe_release(t->q, file->nodeid, file->fh));
	fe_forget(&t->load->fs, file->nodeid, 1);
}

/* Takes back what came. @return 0 or an error of the device. */
static int
blocks_reap(struct load_thread *t, enum load_kind kind, uint64_t pass)
{
	const uint32_t block = t->load->cli->block;
	struct fe_req *req;
	uint64_t ns;
	int rc;

	while ((rc = fe_queue_reap(t->q, &req)) == 1) {
		ns = fe_now_ns() - req->start_ns;
		if (ns > t->longest_ns)
			t->longest_ns = ns;
		if (load_note(t, req->error) == 0 && kind == LOAD_READ &&
				(req->payload != block ||
						!block_is(req->data.va, block, pass, req->priv)))
			t->bad_blocks++;
		fe_req_put(req);
	}
	return rc;
}

static int
block_submit(struct load_thread *t, const struct load_file *file, enum load_kind kind,
		struct fe_req *req, uint64_t pass, uint64_t off)
{
	const uint32_t block = t->load->cli->block;

	if (kind == LOAD_READ) {
		fe_read_prepare(req, file->nodeid, file->fh, block, off);
	} else {
		fe_write_prepare(req, file->nodeid, file->fh, block, off);
		block_fill(req->data.va, block, pass, off);
	}
	req->priv = off;
	req->start_ns = fe_now_ns();
	return fe_req_submit(req);
}

/* All blocks of the file once, as many at a time as the queue is deep. */
static int
load_blocks(struct load_thread *t, const struct load_file *file, enum load_kind kind, uint64_t pass)
{
	const uint64_t bytes = t->load->cli->file_size;
	struct fe_req *req;
	uint64_t off = 0;
	int rc = 0;

	do {
		while (off < bytes && (req = fe_req_get(t->q)) != NULL) {
			rc = block_submit(t, file, kind, req, pass, off);
			if (rc < 0)
				return rc;
			off += t->load->cli->block;
		}
		fe_queue_kick(t->q);
		rc = fe_queue_wait(t->q);
		if (rc == 1)
			rc = blocks_reap(t, kind, pass);
	} while (rc == 0 && (t->q->in_flight > 0 || off < bytes));
	return rc;
}

/* The file is written anew in each pass, or once and then read. */
static int
load_data(struct load_thread *t)
{
	enum load_kind kind = LOAD_WRITE;
	struct load_file file;
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "%s-%u", kind_names[t->load->kind], t->index);
	rc = load_create(t, name, &file);
	if (rc < 0)
		return rc;
	if (t->load->kind == LOAD_READ) {
		rc = load_blocks(t, &file, LOAD_WRITE, 1);
		load_note(t, fe_fsync(t->q, file.nodeid, file.fh, 0));
		kind = LOAD_READ;
	}
	atomic_fetch_add(&t->load->working, 1);
	while (rc == 0 && (t->passes == 0 || !atomic_load(&t->load->stop))) {
		t->passes++;
		rc = load_blocks(t, &file, kind, kind == LOAD_READ ? 1 : t->passes);
		if (kind == LOAD_WRITE)
			load_note(t, fe_fsync(t->q, file.nodeid, file.fh, 0));
	}
	load_close(t, &file);
	return rc;
}

/* In each pass a file is made, closed and renamed; each third is removed again. */
static int
load_storm(struct load_thread *t)
{
	char from[32], to[32];
	struct load_file file;

	atomic_fetch_add(&t->load->working, 1);
	for (; !atomic_load(&t->load->stop) && t->errors == 0; t->passes++) {
		snprintf(from, sizeof(from), "new-%u-%" PRIu64, t->index, t->passes);
		snprintf(to, sizeof(to), "old-%u-%" PRIu64, t->index, t->passes);
		if (load_create(t, from, &file) == 0)
			load_close(t, &file);
		load_note(t, fe_rename(t->q, FE_ROOT, from, FE_ROOT, to));
		if (t->passes % 3 == 0)
			load_note(t, fe_unlink(t->q, FE_ROOT, to));
	}
	return 0;
}

static void *
load_thread_run(void *arg)
{
	struct load_thread *t = arg;

	t->rc = t->load->kind == LOAD_STORM ? load_storm(t) : load_data(t);
	/* Who could not begin must not be waited for. */
	if (t->rc < 0)
		atomic_fetch_add(&t->load->working, 1);
	return NULL;
}

static void
load_wait_for_end(struct load *load)
{
	char byte;

	while (atomic_load(&load->working) < load->cli->fe.nb_queues)
		usleep(1000);
	printf("working\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	atomic_store(&load->stop, true);
}

static int
load_print(const struct load_thread *t, unsigned int nb)
{
	const char *comma = "";
	unsigned int i;
	int rc = 0;

	printf("[");
	for (i = 0; i < nb; i++) {
		printf("%s{\"rc\": %d, \"passes\": %" PRIu64 ", \"ok\": %" PRIu64
		       ", \"errors\": %" PRIu64 ", \"first_error\": %d, \"bad_blocks\": %" PRIu64
		       ", \"longest_ms\": %" PRIu64 "}",
				comma, t[i].rc, t[i].passes, t[i].ok, t[i].errors, t[i].first_error,
				t[i].bad_blocks, t[i].longest_ns / 1000000);
		comma = ", ";
		if (t[i].rc < 0 || t[i].errors > 0 || t[i].bad_blocks > 0)
			rc = 1;
	}
	printf("]\n");
	return rc;
}

static int
load_run(struct load *load)
{
	unsigned int i, nb = load->cli->fe.nb_queues;
	struct load_thread *threads = calloc(nb, sizeof(*threads));
	int rc = 1;

	if (threads == NULL)
		return 1;
	for (i = 0; i < nb; i++) {
		threads[i].load = load;
		threads[i].index = i;
		threads[i].q = &load->fs.queue[1 + i];
		if (pthread_create(&threads[i].thread, NULL, load_thread_run, &threads[i]) != 0)
			abort();
	}
	load_wait_for_end(load);
	for (i = 0; i < nb; i++)
		pthread_join(threads[i].thread, NULL);
	rc = load_print(threads, nb);
	free(threads);
	return rc;
}

static int
load_find_kind(const char *name)
{
	int i;

	for (i = 0; i < 3; i++)
		if (strcmp(name, kind_names[i]) == 0)
			return i;
	return -1;
}

int
cmd_load(struct cli *cli)
{
	struct load load = { .cli = cli };
	int kind = cli->nb_args == 1 ? load_find_kind(cli->args[0]) : -1;

	if (kind < 0 || cli->block == 0 || cli->file_size % cli->block != 0) {
		fprintf(stderr, "weir-fe: load read|write|storm, on a file of whole blocks\n");
		return 2;
	}
	load.kind = kind;
	if (cli_mount(cli, &load.fs) < 0)
		return 1;
	return cli_unmount(cli, &load.fs, load_run(&load));
}
