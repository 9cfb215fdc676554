/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef CLI_H
#define CLI_H

/**
 * @file
 * weir-fe, a command line tool on the front end library: one option table for all sub-commands,
 * one function each.
 */

#include "fe_verbs.h"

struct cli {
	struct fe_opts fe;
	bool json;
	const char *counts; /**< file for what was sent, per opcode */
	const char *skip; /**< names of checks to leave out, comma-separated */
	const char *only; /**< names of checks to run, comma-separated */
	const char *control; /**< hostile: socket of the well-behaved connection */
	uint32_t uid, gid, umask;
	uint64_t seed;
	uint64_t count;
	uint64_t file_size;
	uint32_t block;
	uint32_t seconds;
	uint32_t entries;
	int server_pid;
	char **args; /**< operands of the sub-command */
	int nb_args;
};

/** A sub-command: @return exit code. */
typedef int (*cli_fn)(struct cli *cli);

int cmd_ls(struct cli *cli);
int cmd_stat(struct cli *cli);
int cmd_cat(struct cli *cli);
int cmd_put(struct cli *cli);
int cmd_mkdir(struct cli *cli);
int cmd_rm(struct cli *cli);
int cmd_mv(struct cli *cli);
int cmd_statfs(struct cli *cli);
int cmd_info(struct cli *cli);
int cmd_hold(struct cli *cli);
int cmd_check(struct cli *cli);
int cmd_hostile(struct cli *cli);
int cmd_load(struct cli *cli);
int cmd_many(struct cli *cli);
int cmd_shell(struct cli *cli);
int cmd_bench(struct cli *cli);
int cmd_storm(struct cli *cli);

/** Mounts by the options; prints what went wrong. @return 0 or an errno. */
int cli_mount(struct cli *cli, struct fe_fs *fs);

/** Writes the counts that were asked for, unmounts. @return exit code, 1 after a fault. */
int cli_unmount(struct cli *cli, struct fe_fs *fs, int exit_code);

/** True when name is one of the comma-separated words of list, which may be NULL. */
bool cli_listed(const char *list, const char *name);

/**
 * The folder and the last name of a path, which stays the caller's. The folder's node is walked to.
 * @return 0 or as fe_walk().
 */
int tree_split(struct fe_queue *q, const char *path, uint64_t *parent, const char **name);

/** Removes a name and all below it. @return 0 or the first error. */
int tree_remove(struct fe_queue *q, uint64_t parent, const char *name);

#endif /* CLI_H */
