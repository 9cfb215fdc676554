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
#include <unistd.h>

#include "cli.h"

/* Sub-commands that do one thing to one path, for scripts. */

#define DIR_BYTES 65536u

/* Mounts, runs fn on the operand, unmounts, and says what failed. */
static int
with_mount(struct cli *cli, int nb_args, int (*fn)(struct fe_queue *q, char **args))
{
	struct fe_fs fs;
	int rc;

	if (cli->nb_args < nb_args) {
		fprintf(stderr, "weir-fe: too few arguments\n");
		return 2;
	}
	if (cli_mount(cli, &fs) < 0)
		return 1;
	rc = fn(&fs.queue[1], cli->args);
	if (rc < 0)
		fprintf(stderr, "weir-fe: %s: %s\n", nb_args > 0 ? cli->args[0] : "/",
				strerror(-rc));
	return cli_unmount(cli, &fs, rc < 0);
}

static int
ls_print(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	printf("%.*s\n", (int)dirent->namelen, dirent->name);
	return 0;
}

static int
ls(struct fe_queue *q, char **args)
{
	struct fuse_entry_out entry;
	uint64_t fh;
	int rc;

	rc = fe_walk(q, args[0] != NULL ? args[0] : "", &entry);
	if (rc == 0)
		rc = fe_opendir(q, entry.nodeid, &fh);
	if (rc < 0)
		return rc;
	rc = fe_readdir(q, entry.nodeid, fh, FE_READDIR, DIR_BYTES, ls_print, NULL);
	fe_releasedir(q, entry.nodeid, fh);
	return rc;
}

int
cmd_ls(struct cli *cli)
{
	return with_mount(cli, 0, ls);
}

static int
stat_path(struct fe_queue *q, char **args)
{
	struct fuse_entry_out entry;
	int rc = fe_walk(q, args[0], &entry);

	if (rc == 0)
		printf("mode %o nlink %u uid %u gid %u size %" PRIu64 " ino %" PRIu64 "\n",
				entry.attr.mode, entry.attr.nlink, entry.attr.uid, entry.attr.gid,
				entry.attr.size, entry.attr.ino);
	return rc;
}

int
cmd_stat(struct cli *cli)
{
	return with_mount(cli, 1, stat_path);
}

static int
cat(struct fe_queue *q, char **args)
{
	struct fuse_entry_out entry;
	uint64_t off = 0, fh;
	char *buf;
	int rc;

	rc = fe_walk(q, args[0], &entry);
	if (rc == 0)
		rc = fe_open(q, entry.nodeid, O_RDONLY, &fh);
	if (rc < 0)
		return rc;

	buf = malloc(DIR_BYTES);
	do {
		rc = buf == NULL ? -ENOMEM : fe_read(q, entry.nodeid, fh, buf, DIR_BYTES, off);
		if (rc > 0)
			fwrite(buf, 1, rc, stdout);
		off += rc > 0 ? rc : 0;
	} while (rc > 0);
	free(buf);
	fe_release(q, entry.nodeid, fh);
	return rc;
}

int
cmd_cat(struct cli *cli)
{
	return with_mount(cli, 1, cat);
}

static int
put_bytes(struct fe_queue *q, uint64_t nodeid, uint64_t fh)
{
	char buf[DIR_BYTES];
	uint64_t off = 0;
	size_t got;
	int rc = 0;

	while (rc >= 0 && (got = fread(buf, 1, sizeof(buf), stdin)) > 0) {
		rc = fe_write(q, nodeid, fh, buf, got, off);
		if (rc >= 0 && (size_t)rc != got)
			rc = -EIO;
		off += got;
	}
	return rc;
}

static int
put(struct fe_queue *q, char **args)
{
	struct fuse_entry_out entry;
	uint64_t parent, fh;
	const char *name;
	int rc;

	rc = tree_split(q, args[0], &parent, &name);
	if (rc == 0)
		rc = fe_create(q, parent, name, O_WRONLY | O_TRUNC, S_IFREG | 0644, &entry, &fh);
	if (rc < 0)
		return rc;
	rc = put_bytes(q, entry.nodeid, fh);
	if (rc >= 0)
		rc = fe_flush(q, entry.nodeid, fh);
	fe_release(q, entry.nodeid, fh);
	return rc;
}

int
cmd_put(struct cli *cli)
{
	return with_mount(cli, 1, put);
}

static int
make_dir(struct fe_queue *q, char **args)
{
	struct fuse_entry_out entry;
	uint64_t parent;
	const char *name;
	int rc = tree_split(q, args[0], &parent, &name);

	return rc < 0 ? rc : fe_mkdir(q, parent, name, 0755, &entry);
}

int
cmd_mkdir(struct cli *cli)
{
	return with_mount(cli, 1, make_dir);
}

static int
remove_path(struct fe_queue *q, char **args)
{
	uint64_t parent;
	const char *name;
	int rc = tree_split(q, args[0], &parent, &name);

	return rc < 0 ? rc : tree_remove(q, parent, name);
}

int
cmd_rm(struct cli *cli)
{
	return with_mount(cli, 1, remove_path);
}

static int
move(struct fe_queue *q, char **args)
{
	uint64_t from, to;
	const char *old, *new;
	int rc = tree_split(q, args[0], &from, &old);

	if (rc == 0)
		rc = tree_split(q, args[1], &to, &new);
	return rc < 0 ? rc : fe_rename(q, from, old, to, new);
}

int
cmd_mv(struct cli *cli)
{
	return with_mount(cli, 2, move);
}

static int
print_statfs(struct fe_queue *q, char **args)
{
	struct fuse_kstatfs st;
	int rc = fe_statfs(q, FE_ROOT, &st);

	if (rc == 0)
		printf("bsize %u frsize %u blocks %" PRIu64 " bfree %" PRIu64 " bavail %" PRIu64
		       " files %" PRIu64 " ffree %" PRIu64 " namelen %u\n",
				st.bsize, st.frsize, st.blocks, st.bfree, st.bavail, st.files,
				st.ffree, st.namelen);
	return rc;
}

int
cmd_statfs(struct cli *cli)
{
	return with_mount(cli, 0, print_statfs);
}

static int
print_info(struct fe_queue *q, char **args)
{
	const struct fe_fs *fs = q->fs;

	printf("{\"features\": %" PRIu64 ", \"protocol_features\": %" PRIu64
	       ", \"queues\": %" PRIu64 ", \"major\": %u, \"minor\": %u, \"flags\": %u"
	       ", \"flags2\": %u, \"max_write\": %u, \"max_pages\": %u, \"max_readahead\": %u"
	       ", \"max_background\": %u, \"congestion_threshold\": %u, \"time_gran\": %u}\n",
			fs->conn.offered, fs->conn.protocol_offered, fs->conn.nb_queues,
			fs->init.major, fs->init.minor, fs->init.flags, fs->init.flags2,
			fs->init.max_write, fs->init.max_pages, fs->init.max_readahead,
			fs->init.max_background, fs->init.congestion_threshold, fs->init.time_gran);
	return 0;
}

int
cmd_info(struct cli *cli)
{
	return with_mount(cli, 0, print_info);
}

/* A guest that does nothing: mounted, with files open, until it is told or killed. */
static int
hold(struct fe_queue *q, char **args)
{
	struct fuse_entry_out entry;
	uint64_t fh;
	char byte;
	int rc;

	for (; *args != NULL; args++) {
		rc = fe_walk(q, *args, &entry);
		if (rc == 0)
			rc = fe_open(q, entry.nodeid, O_RDWR, &fh);
		if (rc < 0)
			return rc;
	}
	printf("holding\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	return 0;
}

int
cmd_hold(struct cli *cli)
{
	return with_mount(cli, 0, hold);
}
