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

/*
 * A guest that a script leads: each line of standard input is a request, each is answered by a line
 * that begins with its result, a count or a negative errno. Files are named by the number that
 * open and create answered.
 */

#define SHELL_FILES 64
#define SHELL_WORDS 8
#define SHELL_WAITS 1024
#define SHELL_LINE  8192

struct shell_file {
	uint64_t nodeid, fh;
	bool used;
};

struct shell {
	struct fe_queue *q;
	uint8_t *data;
	uint32_t room; /* of data */
	uint32_t nb_data; /* bytes of data that belong to the answer */
	char text[128]; /* what the answer says beside its result */
	struct shell_file file[SHELL_FILES];
	struct fe_req *wait[SHELL_WAITS]; /* for locks */
	unsigned int nb_waits;
};

static struct shell_file *
shell_file(struct shell *sh, const char *word)
{
	unsigned long i = strtoul(word, NULL, 10);

	return i < SHELL_FILES && sh->file[i].used ? &sh->file[i] : NULL;
}

static int
shell_keep(struct shell *sh, uint64_t nodeid, uint64_t fh)
{
	int i;

	for (i = 0; i < SHELL_FILES; i++) {
		if (sh->file[i].used)
			continue;
		sh->file[i] = (struct shell_file){ nodeid, fh, true };
		return i;
	}
	return -ENFILE;
}

/* A verb on the folder and the last name of a path. */
static int
shell_named(struct shell *sh, const char *path,
		int (*fn)(struct shell *sh, uint64_t parent, const char *name, char **args),
		char **args)
{
	const char *name;
	uint64_t parent;
	int rc = tree_split(sh->q, path, &parent, &name);

	if (rc < 0)
		return rc;
	rc = fn(sh, parent, name, args);
	if (parent != FE_ROOT)
		fe_forget(sh->q->fs, parent, 1);
	return rc;
}

static int
shell_open(struct shell *sh, char **args)
{
	struct fuse_entry_out entry;
	uint64_t fh;
	int rc = fe_walk(sh->q, args[0], &entry);

	if (rc < 0)
		return rc;
	rc = fe_open(sh->q, entry.nodeid, strtoul(args[1], NULL, 0), &fh);
	if (rc == 0)
		return shell_keep(sh, entry.nodeid, fh);
	fe_forget(sh->q->fs, entry.nodeid, 1);
	return rc;
}

static int
named_create(struct shell *sh, uint64_t parent, const char *name, char **args)
{
	struct fuse_entry_out entry;
	uint64_t fh;
	int rc;

	rc = fe_create(sh->q, parent, name, strtoul(args[1], NULL, 0), S_IFREG | 0644, &entry, &fh);
	return rc < 0 ? rc : shell_keep(sh, entry.nodeid, fh);
}

static int
shell_create(struct shell *sh, char **args)
{
	return shell_named(sh, args[0], named_create, args);
}

/* Bytes of one letter. */
static int
shell_write(struct shell *sh, char **args)
{
	const struct shell_file *file = shell_file(sh, args[0]);
	unsigned long len = strtoul(args[2], NULL, 0);

	if (file == NULL || len > sh->room)
		return -EBADF;
	memset(sh->data, args[3][0], len);
	return fe_write(sh->q, file->nodeid, file->fh, sh->data, len, strtoull(args[1], NULL, 0));
}

static int
shell_read(struct shell *sh, char **args)
{
	const struct shell_file *file = shell_file(sh, args[0]);
	unsigned long len = strtoul(args[2], NULL, 0);
	int rc;

	if (file == NULL || len > sh->room)
		return -EBADF;
	rc = fe_read(sh->q, file->nodeid, file->fh, sh->data, len, strtoull(args[1], NULL, 0));
	sh->nb_data = rc > 0 ? rc : 0;
	return rc;
}

static int
shell_fsync(struct shell *sh, char **args)
{
	const struct shell_file *file = shell_file(sh, args[0]);

	return file == NULL ? -EBADF : fe_fsync(sh->q, file->nodeid, file->fh, 0);
}

static int
shell_syncfs(struct shell *sh, char **args)
{
	(void)args;
	return fe_syncfs(sh->q);
}

/* One that closes the file, perhaps with an owner of locks. */
static int
shell_flush(struct shell *sh, char **args)
{
	const struct shell_file *file = shell_file(sh, args[0]);
	struct fuse_flush_in *in;
	struct fe_req *req;
	int rc;

	if (file == NULL)
		return -EBADF;
	req = fe_req_get(sh->q);
	if (req == NULL)
		return -EAGAIN;
	in = fe_req_init(req, FUSE_FLUSH, file->nodeid, sizeof(*in));
	in->fh = file->fh;
	in->lock_owner = args[1] != NULL ? strtoull(args[1], NULL, 0) : 0;
	rc = fe_req_call(req);
	fe_req_put(req);
	return rc;
}

/* FILE TYPE START END OWNER, where TYPE is r, w or u, in capitals for flock(2). */
static struct fe_req *
lock_prepare(struct shell *sh, uint32_t opcode, char **args)
{
	const struct shell_file *file = shell_file(sh, args[0]);
	struct fe_req *req = file != NULL ? fe_req_get(sh->q) : NULL;
	struct fuse_lk_in *in;

	if (req == NULL)
		return NULL;
	in = fe_req_init(req, opcode, file->nodeid, sizeof(*in));
	*in = (struct fuse_lk_in){
		.fh = file->fh,
		.owner = strtoull(args[4], NULL, 0),
		.lk.start = strtoull(args[2], NULL, 0),
		.lk.end = strtoull(args[3], NULL, 0),
		.lk.type = strchr("rR", args[1][0]) != NULL ? F_RDLCK :
				strchr("wW", args[1][0])    ? F_WRLCK :
							      F_UNLCK,
		.lk.pid = 77,
		.lk_flags = strchr("RWU", args[1][0]) != NULL ? FUSE_LK_FLOCK : 0,
	};
	return req;
}

static int
shell_lock(struct shell *sh, char **args)
{
	struct fe_req *req = lock_prepare(sh, FUSE_SETLK, args);
	int rc;

	if (req == NULL)
		return -EBADF;
	rc = fe_req_call(req);
	fe_req_put(req);
	return rc;
}

/* Type, start, end and pid of what is in the way. */
static int
shell_getlk(struct shell *sh, char **args)
{
	struct fe_req *req = lock_prepare(sh, FUSE_GETLK, args);
	const struct fuse_lk_out *out;
	int rc;

	if (req == NULL)
		return -EBADF;
	req->res_room = sizeof(*out);
	rc = fe_req_call(req);
	out = fe_req_res(req);
	if (rc == 0)
		snprintf(sh->text, sizeof(sh->text), "%u %" PRIu64 " %" PRIu64 " %u", out->lk.type,
				out->lk.start, out->lk.end, out->lk.pid);
	fe_req_put(req);
	return rc;
}

/* Answers at once, with a number for reap and interrupt. */
static int
shell_wait(struct shell *sh, char **args)
{
	struct fe_req *req = NULL;
	int rc;

	if (sh->nb_waits < SHELL_WAITS)
		req = lock_prepare(sh, FUSE_SETLKW, args);
	if (req == NULL)
		return -EBADF;
	rc = fe_req_submit(req);
	if (rc < 0)
		return rc;
	fe_queue_kick(sh->q);
	sh->wait[sh->nb_waits] = req;
	return (int)sh->nb_waits++;
}

static struct fe_req *
shell_waiting(struct shell *sh, const char *word)
{
	unsigned long i = strtoul(word, NULL, 10);

	return i < sh->nb_waits ? sh->wait[i] : NULL;
}

static int
shell_reap(struct shell *sh, char **args)
{
	struct fe_req *req = shell_waiting(sh, args[0]), *other;
	int rc = 0;

	if (req == NULL)
		return -EBADF;
	while (!req->done && rc >= 0) {
		rc = fe_queue_wait(sh->q);
		if (rc > 0)
			rc = fe_queue_reap(sh->q, &other);
	}
	return rc < 0 && !req->done ? rc : req->error;
}

static int
shell_interrupt(struct shell *sh, char **args)
{
	const struct fe_req *waiting = shell_waiting(sh, args[0]);
	struct fe_req *req = waiting != NULL ? fe_req_get(sh->q) : NULL;
	struct fuse_interrupt_in *in;
	int rc;

	if (req == NULL)
		return -EBADF;
	in = fe_req_init(req, FUSE_INTERRUPT, 0, sizeof(*in));
	in->unique = fe_req_in(waiting)->unique;
	rc = fe_req_call(req);
	fe_req_put(req);
	return rc;
}

static int
shell_release(struct shell *sh, char **args)
{
	struct shell_file *file = shell_file(sh, args[0]);
	int rc;

	if (file == NULL)
		return -EBADF;
	rc = fe_release(sh->q, file->nodeid, file->fh);
	fe_forget(sh->q->fs, file->nodeid, 1);
	file->used = false;
	return rc;
}

/* As a VMM that stops the VM and lets it go on. Answers with how many requests are still out then. */
static int
shell_pause(struct shell *sh, char **args)
{
	struct fe_queue *q = sh->q;
	struct fe_req *req;
	int rc = fe_conn_ring_stop(&q->fs->conn, q->index, &q->ring.base);

	while (rc >= 0 && q->in_flight > 0) {
		rc = fe_queue_reap(q, &req);
		if (rc == 0)
			break;
	}
	if (rc >= 0)
		rc = fe_conn_ring_start(&q->fs->conn, q->index, &q->ring);
	return rc < 0 ? rc : (int)q->in_flight;
}

/* Mode, links, size, number, and for how many seconds the guest may believe the name. */
static int
shell_stat(struct shell *sh, char **args)
{
	struct fuse_entry_out entry;
	int rc = fe_walk(sh->q, args[0], &entry);

	if (rc < 0)
		return rc;
	snprintf(sh->text, sizeof(sh->text), "%o %u %" PRIu64 " %" PRIu64 " %" PRIu64,
			entry.attr.mode, entry.attr.nlink, entry.attr.size, entry.attr.ino,
			(uint64_t)entry.entry_valid);
	fe_forget(sh->q->fs, entry.nodeid, 1);
	return 0;
}

/* Of an open file, without looking its name up. */
static int
shell_fstat(struct shell *sh, char **args)
{
	const struct shell_file *file = shell_file(sh, args[0]);
	struct fuse_attr attr;
	int rc;

	if (file == NULL)
		return -EBADF;
	rc = fe_getattr(sh->q, file->nodeid, &attr);
	if (rc == 0)
		snprintf(sh->text, sizeof(sh->text), "%o %u %" PRIu64 " %" PRIu64, attr.mode,
				attr.nlink, attr.size, attr.ino);
	return rc;
}

static int
shell_truncate(struct shell *sh, char **args)
{
	const struct shell_file *file = shell_file(sh, args[0]);

	return file == NULL ? -EBADF : fe_truncate(sh->q, file->nodeid, strtoull(args[1], NULL, 0));
}

static int
named_mkdir(struct shell *sh, uint64_t parent, const char *name, char **args)
{
	struct fuse_entry_out entry;
	int rc = fe_mkdir(sh->q, parent, name, 0755, &entry);

	if (rc == 0)
		fe_forget(sh->q->fs, entry.nodeid, 1);
	return rc;
}

static int
shell_mkdir(struct shell *sh, char **args)
{
	return shell_named(sh, args[0], named_mkdir, args);
}

static int
named_symlink(struct shell *sh, uint64_t parent, const char *name, char **args)
{
	struct fuse_entry_out entry;
	int rc = fe_symlink(sh->q, parent, name, args[1], &entry);

	if (rc == 0)
		fe_forget(sh->q->fs, entry.nodeid, 1);
	return rc;
}

static int
shell_symlink(struct shell *sh, char **args)
{
	return shell_named(sh, args[0], named_symlink, args);
}

static int
named_unlink(struct shell *sh, uint64_t parent, const char *name, char **args)
{
	return fe_unlink(sh->q, parent, name);
}

static int
shell_unlink(struct shell *sh, char **args)
{
	return shell_named(sh, args[0], named_unlink, args);
}

static int
named_rmdir(struct shell *sh, uint64_t parent, const char *name, char **args)
{
	return fe_rmdir(sh->q, parent, name);
}

static int
shell_rmdir(struct shell *sh, char **args)
{
	return shell_named(sh, args[0], named_rmdir, args);
}

/* Within a folder. */
static int
named_rename(struct shell *sh, uint64_t parent, const char *name, char **args)
{
	return fe_rename(sh->q, parent, name, parent, args[1]);
}

static int
shell_rename(struct shell *sh, char **args)
{
	return shell_named(sh, args[0], named_rename, args);
}

static int
shell_count(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	struct shell *sh = arg;

	if (entry != NULL && entry->nodeid != 0)
		fe_forget(sh->q->fs, entry->nodeid, 1);
	return 0;
}

/* How many names a folder has; with anything behind it, listed with attributes. */
static int
shell_list(struct shell *sh, char **args)
{
	enum fe_readdir_kind kind = args[1] != NULL ? FE_READDIRPLUS : FE_READDIR;
	struct fuse_entry_out entry;
	uint64_t fh;
	int rc = fe_walk(sh->q, args[0], &entry);

	if (rc < 0)
		return rc;
	rc = fe_opendir(sh->q, entry.nodeid, &fh);
	if (rc == 0) {
		rc = fe_readdir(sh->q, entry.nodeid, fh, kind, 65536, shell_count, sh);
		fe_releasedir(sh->q, entry.nodeid, fh);
	}
	if (entry.nodeid != FE_ROOT)
		fe_forget(sh->q->fs, entry.nodeid, 1);
	return rc;
}

static int
shell_readlink(struct shell *sh, char **args)
{
	struct fuse_entry_out entry;
	int rc = fe_walk(sh->q, args[0], &entry);

	if (rc < 0)
		return rc;
	rc = fe_readlink(sh->q, entry.nodeid, sh->text, sizeof(sh->text));
	/* An answer is a line, whatever a lying server puts into a link. */
	for (int i = 0; i < rc; i++) {
		if (sh->text[i] == '\n')
			sh->text[i] = '?';
	}
	fe_forget(sh->q->fs, entry.nodeid, 1);
	return rc;
}

static const struct {
	const char *name;
	unsigned int nb_args;
	int (*run)(struct shell *sh, char **args);
} verbs[] = {
	{ "open", 2, shell_open }, /* PATH FLAGS */
	{ "create", 2, shell_create }, /* PATH FLAGS */
	{ "write", 4, shell_write }, /* FILE OFFSET BYTES LETTER */
	{ "read", 3, shell_read }, /* FILE OFFSET BYTES */
	{ "fsync", 1, shell_fsync },
	{ "syncfs", 0, shell_syncfs },
	{ "flush", 1, shell_flush }, /* FILE [OWNER] */
	{ "lock", 5, shell_lock }, /* FILE TYPE START END OWNER */
	{ "getlk", 5, shell_getlk },
	{ "wait", 5, shell_wait },
	{ "reap", 1, shell_reap },
	{ "interrupt", 1, shell_interrupt },
	{ "pause", 0, shell_pause },
	{ "release", 1, shell_release },
	{ "stat", 1, shell_stat },
	{ "fstat", 1, shell_fstat },
	{ "truncate", 2, shell_truncate }, /* FILE BYTES */
	{ "mkdir", 1, shell_mkdir },
	{ "symlink", 2, shell_symlink }, /* PATH TARGET */
	{ "unlink", 1, shell_unlink },
	{ "rmdir", 1, shell_rmdir },
	{ "rename", 2, shell_rename }, /* PATH NAME */
	{ "list", 1, shell_list }, /* PATH [plus] */
	{ "readlink", 1, shell_readlink },
};

static int
shell_run(struct shell *sh, char **words, unsigned int nb)
{
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(words[0], verbs[i].name) == 0 && nb > verbs[i].nb_args)
			return verbs[i].run(sh, words + 1);
	return -ENOTSUP;
}

/* Runs of a byte are told as its code and how often it comes. */
static void
shell_answer(const struct shell *sh, int rc)
{
	uint32_t i, first;

	printf("%d %s", rc, sh->text);
	for (i = 0; i < sh->nb_data; i++) {
		for (first = i; i + 1 < sh->nb_data && sh->data[i + 1] == sh->data[first]; i++)
			;
		printf("%u*%u ", sh->data[first], i + 1 - first);
	}
	printf("\n");
	fflush(stdout);
}

int
cmd_shell(struct cli *cli)
{
	char line[SHELL_LINE], *words[SHELL_WORDS], *rest;
	struct shell sh = { 0 };
	struct fe_fs fs;
	unsigned int nb;
	int rc;

	if (cli_mount(cli, &fs) < 0)
		return 1;
	sh.q = &fs.queue[1];
	sh.room = cli->fe.max_io;
	sh.data = calloc(1, sh.room);
	while (sh.data != NULL && fgets(line, sizeof(line), stdin) != NULL) {
		memset(words, 0, sizeof(words));
		nb = 0;
		for (rest = line; rest != NULL && nb < SHELL_WORDS - 1;)
			if (*(words[nb] = strsep(&rest, " \n")) != '\0')
				nb++;
		words[nb] = NULL;
		sh.text[0] = '\0';
		sh.nb_data = 0;
		rc = nb > 0 ? shell_run(&sh, words, nb) : -EINVAL;
		shell_answer(&sh, rc);
	}
	free(sh.data);
	return cli_unmount(cli, &fs, 0);
}
