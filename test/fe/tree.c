/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

int
tree_split(struct fe_queue *q, const char *path, uint64_t *parent, const char **name)
{
	const char *slash = strrchr(path, '/');
	struct fuse_entry_out entry;
	char *folder;
	int rc;

	*name = slash == NULL ? path : slash + 1;
	if (slash == NULL || slash == path) {
		*parent = FE_ROOT;
		return 0;
	}
	folder = strndup(path, slash - path);
	if (folder == NULL)
		return -ENOMEM;
	rc = fe_walk(q, folder, &entry);
	free(folder);
	if (rc == 0)
		*parent = entry.nodeid;
	return rc;
}

/* Names that one pass over a directory collected. */
struct tree_names {
	char (*name)[NAME_MAX + 1];
	unsigned int nb;
	unsigned int room;
};

static int
tree_collect(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	struct tree_names *names = arg;

	if ((dirent->namelen == 1 && dirent->name[0] == '.') ||
			(dirent->namelen == 2 && memcmp(dirent->name, "..", 2) == 0))
		return 0;
	if (names->nb == names->room) {
		unsigned int room = names->room * 2 + 64;
		void *grown = realloc(names->name, room * sizeof(*names->name));

		if (grown == NULL)
			return -ENOMEM;
		names->name = grown;
		names->room = room;
	}
	memcpy(names->name[names->nb], dirent->name, dirent->namelen);
	names->name[names->nb][dirent->namelen] = '\0';
	names->nb++;
	return 0;
}

static int
tree_empty(struct fe_queue *q, uint64_t nodeid)
{
	struct tree_names names = { 0 };
	uint64_t fh;
	unsigned int i;
	int rc;

	rc = fe_opendir(q, nodeid, &fh);
	if (rc < 0)
		return rc;
	rc = fe_readdir(q, nodeid, fh, FE_READDIR, 65536, tree_collect, &names);
	fe_releasedir(q, nodeid, fh);
	for (i = 0; i < names.nb && rc >= 0; i++)
		rc = tree_remove(q, nodeid, names.name[i]);
	free(names.name);
	return rc < 0 ? rc : 0;
}

int
tree_remove(struct fe_queue *q, uint64_t parent, const char *name)
{
	struct fuse_entry_out entry;
	int rc = fe_lookup(q, parent, name, &entry);

	if (rc < 0)
		return rc;
	if (S_ISDIR(entry.attr.mode)) {
		rc = tree_empty(q, entry.nodeid);
		if (rc == 0)
			rc = fe_rmdir(q, parent, name);
	} else {
		rc = fe_unlink(q, parent, name);
	}
	fe_forget(q->fs, entry.nodeid, 1);
	return rc;
}
