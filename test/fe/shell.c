/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
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
shell_flush(struct shell *sh, char **args)
{
	const struct shell_file *file = shell_file(sh, args[0]);

	return file == NULL ? -EBADF : fe_flush(sh->q, file->nodeid, file->fh);
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
	{ "flush", 1, shell_flush },
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
