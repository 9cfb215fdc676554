/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * A storm of operations that must not be done twice, on every request queue, one thread and one
 * directory each, until the end of standard input. Each thread knows what its directory must look
 * like and asks only for what must succeed: an operation that was lost, done twice, or done late
 * (after one that came behind it) is seen as an error, wrong attributes, or wrong data.
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

#include "check.h"
#include "rng.h"

#define STORM_NAMES  16
#define STORM_BLOCKS 12
#define STORM_BLOCK  4096u
#define STORM_TEXT   200

struct storm_file {
	uint64_t ino;
	uint32_t nb_names; /* 0: free */
	uint32_t nb_blocks;
	uint32_t version[STORM_BLOCKS]; /* seeds of what was written last */
};

enum storm_kind {
	STORM_NONE,
	STORM_FILE,
	STORM_DIR,
	STORM_SYMLINK,
};

struct storm_name {
	enum storm_kind kind;
	struct storm_file *file; /* STORM_FILE */
	uint32_t target; /* STORM_SYMLINK */
};

struct storm {
	struct fe_queue *q;
	pthread_t thread;
	struct rng rng;
	char dir_name[32];
	uint64_t dir;
	struct storm_name name[STORM_NAMES];
	struct storm_file file[STORM_NAMES];
	uint32_t version;
	uint64_t nb_ops;
	char text[STORM_TEXT]; /* what is wrong; empty: nothing */
	uint8_t got[STORM_BLOCK], want[STORM_BLOCK];
};

static atomic_bool storm_over;

static void
storm_name_of(unsigned int i, char *name)
{
	snprintf(name, 16, "n%02u", i);
}

/* Keeps the first thing that is wrong. @return rc, or -EBADMSG where rc is no error. */
static int
storm_wrong(struct storm *s, const char *what, unsigned int i, int rc)
{
	if (s->text[0] == '\0')
		snprintf(s->text, sizeof(s->text), "%s n%02u: %s, after %" PRIu64 " operations",
				what, i, rc < 0 ? strerror(-rc) : "wrong", s->nb_ops);
	return rc < 0 ? rc : -EBADMSG;
}

/* Looks a name up, which must be what it is known to be. */
static int
storm_lookup(struct storm *s, unsigned int i, struct fuse_entry_out *entry)
{
	static const uint32_t modes[] = {
		[STORM_FILE] = S_IFREG,
		[STORM_DIR] = S_IFDIR,
		[STORM_SYMLINK] = S_IFLNK,
	};
	const struct storm_name *n = &s->name[i];
	char name[16];
	int rc;

	storm_name_of(i, name);
	rc = fe_lookup(s->q, s->dir, name, entry);
	if (rc < 0)
		return storm_wrong(s, "lookup", i, rc);
	if ((entry->attr.mode & S_IFMT) != modes[n->kind])
		return storm_wrong(s, "kind", i, 0);
	if (n->kind != STORM_FILE)
		return 0;
	if (entry->attr.ino != n->file->ino)
		return storm_wrong(s, "inode number", i, 0);
	if (entry->attr.nlink != n->file->nb_names)
		return storm_wrong(s, "links", i, 0);
	if (entry->attr.size != n->file->nb_blocks * STORM_BLOCK)
		return storm_wrong(s, "size", i, 0);
	return 0;
}

static int
storm_write(struct storm *s, unsigned int i, uint64_t nodeid, uint64_t fh, uint32_t block)
{
	uint32_t version = ++s->version;
	int rc;

	check_fill(s->want, STORM_BLOCK, version, block);
	rc = fe_write(s->q, nodeid, fh, s->want, STORM_BLOCK, (uint64_t)block * STORM_BLOCK);
	if (rc != STORM_BLOCK)
		return storm_wrong(s, "write", i, rc);
	s->name[i].file->version[block] = version;
	if (block == s->name[i].file->nb_blocks)
		s->name[i].file->nb_blocks++;
	return 0;
}

static int
storm_read(struct storm *s, unsigned int i, const struct storm_file *file, uint64_t nodeid,
		uint64_t fh)
{
	uint32_t block;
	int rc;

	for (block = 0; block < file->nb_blocks; block++) {
		rc = fe_read(s->q, nodeid, fh, s->got, STORM_BLOCK, (uint64_t)block * STORM_BLOCK);
		if (rc != STORM_BLOCK)
			return storm_wrong(s, "read", i, rc);
		check_fill(s->want, STORM_BLOCK, file->version[block], block);
		if (memcmp(s->got, s->want, STORM_BLOCK) != 0)
			return storm_wrong(s, "data", i, 0);
	}
	return 0;
}

static int
storm_open(struct storm *s, unsigned int i, uint64_t *nodeid, uint64_t *fh)
{
	struct fuse_entry_out entry;
	int rc = storm_lookup(s, i, &entry);

	if (rc < 0)
		return rc;
	*nodeid = entry.nodeid;
	rc = fe_open(s->q, entry.nodeid, O_RDWR, fh);
	return rc < 0 ? storm_wrong(s, "open", i, rc) : 0;
}

static int
storm_close(struct storm *s, unsigned int i, uint64_t nodeid, uint64_t fh)
{
	int rc = fe_flush(s->q, nodeid, fh);

	if (rc == 0)
		rc = fe_release(s->q, nodeid, fh);
	fe_forget(s->q->fs, nodeid, 1);
	return rc < 0 ? storm_wrong(s, "close", i, rc) : 0;
}

/* A name of a file, directory or link goes away. */
static void
storm_drop(struct storm_name *n)
{
	if (n->kind == STORM_FILE)
		n->file->nb_names--;
	*n = (struct storm_name){ 0 };
}

static int
op_create(struct storm *s, unsigned int i, unsigned int j)
{
	struct storm_file *file = s->file;
	struct fuse_entry_out entry;
	char name[16];
	uint64_t fh;
	int rc;

	if (s->name[i].kind != STORM_NONE)
		return -EAGAIN;
	while (file->nb_names != 0)
		file++;
	storm_name_of(i, name);
	rc = fe_create(s->q, s->dir, name, O_RDWR | O_CREAT | O_EXCL, S_IFREG | 0644, &entry, &fh);
	if (rc < 0)
		return storm_wrong(s, "create", i, rc);
	*file = (struct storm_file){ .ino = entry.attr.ino, .nb_names = 1 };
	s->name[i] = (struct storm_name){ .kind = STORM_FILE, .file = file };
	rc = storm_write(s, i, entry.nodeid, fh, 0);
	return rc < 0 ? rc : storm_close(s, i, entry.nodeid, fh);
}

static int
op_mkdir(struct storm *s, unsigned int i, unsigned int j)
{
	struct fuse_entry_out entry;
	char name[16];
	int rc;

	if (s->name[i].kind != STORM_NONE)
		return -EAGAIN;
	storm_name_of(i, name);
	rc = fe_mkdir(s->q, s->dir, name, 0755, &entry);
	if (rc < 0)
		return storm_wrong(s, "mkdir", i, rc);
	s->name[i].kind = STORM_DIR;
	fe_forget(s->q->fs, entry.nodeid, 1);
	return 0;
}

static int
op_symlink(struct storm *s, unsigned int i, unsigned int j)
{
	struct fuse_entry_out entry;
	char name[16], target[16];
	int rc;

	if (s->name[i].kind != STORM_NONE)
		return -EAGAIN;
	storm_name_of(i, name);
	snprintf(target, sizeof(target), "%u", ++s->version);
	rc = fe_symlink(s->q, s->dir, name, target, &entry);
	if (rc < 0)
		return storm_wrong(s, "symlink", i, rc);
	s->name[i] = (struct storm_name){ .kind = STORM_SYMLINK, .target = s->version };
	fe_forget(s->q->fs, entry.nodeid, 1);
	return 0;
}

static int
op_link(struct storm *s, unsigned int i, unsigned int j)
{
	struct fuse_entry_out entry, made;
	char name[16];
	int rc;

	if (s->name[i].kind != STORM_FILE || s->name[j].kind != STORM_NONE)
		return -EAGAIN;
	rc = storm_lookup(s, i, &entry);
	if (rc < 0)
		return rc;
	storm_name_of(j, name);
	rc = fe_link(s->q, entry.nodeid, s->dir, name, &made);
	if (rc < 0)
		return storm_wrong(s, "link", j, rc);
	s->name[j] = s->name[i];
	s->name[i].file->nb_names++;
	fe_forget(s->q->fs, entry.nodeid, 2);
	return made.nodeid == entry.nodeid ? 0 : storm_wrong(s, "link's node", j, 0);
}

static int
op_rename(struct storm *s, unsigned int i, unsigned int j)
{
	struct storm_name *from = &s->name[i], *to = &s->name[j];
	char name[16], new_name[16];
	int rc;

	if (from->kind == STORM_NONE || i == j)
		return -EAGAIN;
	if (to->kind != STORM_NONE && (from->kind == STORM_DIR) != (to->kind == STORM_DIR))
		return -EAGAIN;
	/* Which does nothing, as POSIX has it. */
	if (from->kind == STORM_FILE && from->file == to->file)
		return -EAGAIN;
	storm_name_of(i, name);
	storm_name_of(j, new_name);
	rc = fe_rename(s->q, s->dir, name, s->dir, new_name);
	if (rc < 0)
		return storm_wrong(s, "rename", i, rc);
	storm_drop(to);
	*to = *from;
	*from = (struct storm_name){ 0 };
	return 0;
}

static int
op_remove(struct storm *s, unsigned int i, unsigned int j)
{
	char name[16];
	int rc;

	if (s->name[i].kind == STORM_NONE)
		return -EAGAIN;
	storm_name_of(i, name);
	rc = s->name[i].kind == STORM_DIR ? fe_rmdir(s->q, s->dir, name) :
					    fe_unlink(s->q, s->dir, name);
	if (rc < 0)
		return storm_wrong(s, "remove", i, rc);
	storm_drop(&s->name[i]);
	return 0;
}

/* What is open stays readable without its name. */
static int
op_remove_open(struct storm *s, unsigned int i, unsigned int j)
{
	struct storm_file *file = s->name[i].file;
	uint64_t nodeid, fh;
	int rc;

	if (s->name[i].kind != STORM_FILE)
		return -EAGAIN;
	rc = storm_open(s, i, &nodeid, &fh);
	if (rc == 0)
		rc = op_remove(s, i, j);
	if (rc == 0)
		rc = storm_read(s, i, file, nodeid, fh);
	return rc < 0 ? rc : storm_close(s, i, nodeid, fh);
}

/* At the end, and anywhere. */
static int
op_write(struct storm *s, unsigned int i, unsigned int j)
{
	const struct storm_file *file = s->name[i].file;
	uint64_t nodeid, fh;
	int rc;

	if (s->name[i].kind != STORM_FILE || file->nb_blocks == STORM_BLOCKS)
		return -EAGAIN;
	rc = storm_open(s, i, &nodeid, &fh);
	if (rc == 0)
		rc = storm_write(s, i, nodeid, fh, file->nb_blocks);
	if (rc == 0)
		rc = storm_write(s, i, nodeid, fh, rng_below(&s->rng, file->nb_blocks));
	return rc < 0 ? rc : storm_close(s, i, nodeid, fh);
}

static int
op_truncate(struct storm *s, unsigned int i, unsigned int j)
{
	struct fuse_entry_out entry;
	int rc;

	if (s->name[i].kind != STORM_FILE)
		return -EAGAIN;
	rc = storm_lookup(s, i, &entry);
	if (rc < 0)
		return rc;
	rc = fe_truncate(s->q, entry.nodeid, 0);
	fe_forget(s->q->fs, entry.nodeid, 1);
	if (rc < 0)
		return storm_wrong(s, "truncate", i, rc);
	s->name[i].file->nb_blocks = 0;
	return 0;
}

static int
storm_verify_symlink(struct storm *s, unsigned int i)
{
	struct fuse_entry_out entry;
	char target[64];
	int rc;

	rc = storm_lookup(s, i, &entry);
	if (rc < 0)
		return rc;
	rc = fe_readlink(s->q, entry.nodeid, target, sizeof(target));
	fe_forget(s->q->fs, entry.nodeid, 1);
	if (rc < 0)
		return storm_wrong(s, "readlink", i, rc);
	return strtoul(target, NULL, 10) == s->name[i].target ? 0 : storm_wrong(s, "target", i, 0);
}

/* A name, with all that can be known by it. */
static int
op_verify(struct storm *s, unsigned int i, unsigned int j)
{
	struct fuse_entry_out entry;
	uint64_t nodeid, fh;
	int rc;

	switch (s->name[i].kind) {
	case STORM_NONE:
		return -EAGAIN;
	case STORM_DIR:
		rc = storm_lookup(s, i, &entry);
		if (rc == 0)
			fe_forget(s->q->fs, entry.nodeid, 1);
		return rc;
	case STORM_SYMLINK:
		return storm_verify_symlink(s, i);
	case STORM_FILE:
		break;
	}
	rc = storm_open(s, i, &nodeid, &fh);
	if (rc == 0)
		rc = storm_read(s, i, s->name[i].file, nodeid, fh);
	return rc < 0 ? rc : storm_close(s, i, nodeid, fh);
}

typedef int (*storm_op)(struct storm *s, unsigned int i, unsigned int j);

static const storm_op storm_ops[] = {
	op_create,
	op_mkdir,
	op_symlink,
	op_link,
	op_rename,
	op_rename,
	op_remove,
	op_remove_open,
	op_write,
	op_truncate,
	op_verify,
};

static void *
storm_thread(void *arg)
{
	struct storm *s = arg;
	int rc = 0;

	while (rc >= 0 && !atomic_load(&storm_over)) {
		unsigned int op = rng_below(&s->rng, sizeof(storm_ops) / sizeof(storm_ops[0]));
		unsigned int i = rng_below(&s->rng, STORM_NAMES);
		unsigned int j = rng_below(&s->rng, STORM_NAMES);

		rc = storm_ops[op](s, i, j);
		if (rc == 0)
			s->nb_ops++;
		if (rc == -EAGAIN)
			rc = 0;
	}
	if (rc < 0)
		fprintf(stderr, "weir-fe: %s: %s\n", s->dir_name, s->text);
	return NULL;
}

static int
storm_list(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	struct storm *s = arg;
	unsigned int i;
	char name[16];

	if (dirent->name[0] == '.' && dirent->namelen <= 2)
		return 0;
	for (i = 0; i < STORM_NAMES; i++) {
		storm_name_of(i, name);
		if (s->name[i].kind != STORM_NONE && strlen(name) == dirent->namelen &&
				memcmp(name, dirent->name, dirent->namelen) == 0)
			return 0;
	}
	snprintf(s->text, sizeof(s->text), "%.*s should not be there", (int)dirent->namelen,
			dirent->name);
	return -EEXIST;
}

/* All that is known is there, and nothing else. */
static int
storm_verify(struct storm *s)
{
	uint64_t fh;
	unsigned int i;
	int rc;

	rc = fe_opendir(s->q, s->dir, &fh);
	if (rc == 0) {
		rc = fe_readdir(s->q, s->dir, fh, FE_READDIR, 65536, storm_list, s);
		fe_releasedir(s->q, s->dir, fh);
	}
	for (i = 0; i < STORM_NAMES && rc >= 0; i++)
		rc = s->name[i].kind == STORM_NONE ? 0 : op_verify(s, i, 0);
	if (rc >= 0)
		rc = tree_remove(s->q, FE_ROOT, s->dir_name);
	fe_forget(s->q->fs, s->dir, 1);
	return rc;
}

static int
storm_start(struct storm *s, struct fe_queue *q, uint64_t seed)
{
	struct fuse_entry_out entry;
	int rc;

	s->q = q;
	rng_seed(&s->rng, seed * FE_MAX_QUEUES + q->index);
	snprintf(s->dir_name, sizeof(s->dir_name), "storm-%u", q->index);
	rc = fe_mkdir(q, FE_ROOT, s->dir_name, 0755, &entry);
	if (rc < 0)
		return rc;
	s->dir = entry.nodeid;
	return -pthread_create(&s->thread, NULL, storm_thread, s);
}

static int
storm_run(struct cli *cli, struct fe_fs *fs, struct storm *storms)
{
	unsigned int i, started, bad = 0;
	uint64_t nb_ops = 0;
	char byte;
	int rc = 0;

	for (started = 0; started < cli->fe.nb_queues && rc == 0; started++)
		rc = storm_start(&storms[started], &fs->queue[1 + started], cli->seed);
	if (rc == 0) {
		printf("storming\n");
		fflush(stdout);
		while (read(STDIN_FILENO, &byte, 1) > 0)
			continue;
	} else {
		fprintf(stderr, "weir-fe: storm: %s\n", strerror(-rc));
		started--;
	}
	atomic_store(&storm_over, true);
	for (i = 0; i < started; i++)
		pthread_join(storms[i].thread, NULL);
	for (i = 0; i < started; i++) {
		nb_ops += storms[i].nb_ops;
		if (storms[i].text[0] == '\0' && rc == 0 && storm_verify(&storms[i]) < 0)
			fprintf(stderr, "weir-fe: %s: %s, at the end\n", storms[i].dir_name,
					storms[i].text);
		bad += storms[i].text[0] != '\0';
	}
	printf("%" PRIu64 " operations, %u of %u directories wrong\n", nb_ops, bad, started);
	return rc < 0 || bad > 0;
}

int
cmd_storm(struct cli *cli)
{
	struct storm *storms = calloc(cli->fe.nb_queues, sizeof(*storms));
	struct fe_fs fs;
	int rc;

	if (storms == NULL || cli_mount(cli, &fs) < 0) {
		free(storms);
		return 1;
	}
	rc = cli_unmount(cli, &fs, storm_run(cli, &fs, storms));
	free(storms);
	return rc;
}
