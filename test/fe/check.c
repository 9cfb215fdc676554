/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

int
check_fail(struct check *check, const char *file, int line, const char *what, long got)
{
	const char *base = strrchr(file, '/');

	snprintf(check->text, sizeof(check->text), "%s:%d: %s, got %ld%s%s%s",
			base != NULL ? base + 1 : file, line, what, got, got < 0 ? " (" : "",
			got < 0 ? strerror(-got) : "", got < 0 ? ")" : "");
	return -1;
}

void
check_fill(uint8_t *buf, uint32_t len, uint64_t seed, uint64_t off)
{
	uint32_t i;

	for (i = 0; i < len; i++) {
		uint64_t word = (off + i) / 8 * 0x9e3779b97f4a7c15ULL + seed;

		buf[i] = word >> (8 * ((off + i) % 8));
	}
}

bool
check_is_filled(const uint8_t *buf, uint32_t len, uint64_t seed, uint64_t off)
{
	uint32_t i;

	for (i = 0; i < len; i++) {
		uint8_t want;

		check_fill(&want, 1, seed, off + i);
		if (buf[i] != want)
			return false;
	}
	return true;
}

int
check_create(struct check *check, const char *name, struct fuse_entry_out *entry, uint64_t *fh)
{
	return fe_create(check->q, check->dir, name, O_RDWR | O_CREAT, S_IFREG | 0644, entry, fh);
}

int
check_close(struct check *check, const struct fuse_entry_out *entry, uint64_t fh)
{
	int rc = fe_release(check->q, entry->nodeid, fh);

	fe_forget(check->fs, entry->nodeid, 1);
	return rc;
}

/* Runs one case in its own directory and removes that; a leftover is a failure too. */
static int
check_run(struct check *check, const struct check_case *item)
{
	struct fuse_entry_out dir;
	char name[64];
	int rc, removed;

	check->text[0] = '\0';
	snprintf(name, sizeof(name), "check-%d-%.40s", getpid(), item->name);
	rc = fe_mkdir(check->q, FE_ROOT, name, 0777, &dir);
	if (rc < 0)
		return check_fail(check, __FILE__, __LINE__, "mkdir of the check's directory", rc);

	check->dir = dir.nodeid;
	rc = item->run(check);
	check->q->uid = check->cli->uid;
	check->q->gid = check->cli->gid;
	check->fs->umask = check->cli->umask;

	fe_forget(check->fs, check->dir, 1);
	removed = tree_remove(check->q, FE_ROOT, name);
	if (rc == 0 && removed < 0)
		rc = check_fail(check, __FILE__, __LINE__, "removal of the directory", removed);
	if (rc == 0 && check->fs->fault[0] != '\0') {
		snprintf(check->text, sizeof(check->text), "%s", check->fs->fault);
		rc = -1;
	}
	check->fs->fault[0] = '\0';
	return rc;
}

int
cmd_check(struct cli *cli)
{
	static const struct check_case *const groups[] = {
		check_data_cases,
		check_name_cases,
		check_attr_cases,
		check_queue_cases,
		check_label_cases,
	};
	struct check check = { .cli = cli };
	unsigned int passed = 0, failed = 0;
	struct fe_fs fs;
	size_t i;

	cli->fe.labels = true;
	if (cli_mount(cli, &fs) < 0)
		return 1;
	check.fs = &fs;
	check.q = &fs.queue[1];

	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		const struct check_case *item;

		for (item = groups[i]; item->name != NULL; item++) {
			if (cli_listed(cli->skip, item->name) ||
					(cli->only != NULL && !cli_listed(cli->only, item->name)))
				continue;
			if (fe_conn_is_closed(&fs.conn)) {
				printf("FAIL %s: the device closed the connection\n", item->name);
				failed++;
			} else if (check_run(&check, item) == 0) {
				printf("ok   %s\n", item->name);
				passed++;
			} else {
				printf("FAIL %s: %s\n", item->name, check.text);
				failed++;
			}
			fflush(stdout);
		}
	}
	printf("%u passed, %u failed\n", passed, failed);
	return cli_unmount(cli, &fs, failed > 0 || passed == 0);
}
