/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fe_verbs.h"
#include "file.h"

/* What to do about directories on the way that are missing. */
enum way {
	WAY_FIND,
	WAY_MAKE,
};

struct file *
file_create(const char *path)
{
	struct file *file = calloc(1, sizeof(*file));

	if (file == NULL)
		return NULL;
	file->path = strdup(path + strspn(path, "/"));
	if (file->path == NULL) {
		free(file);
		return NULL;
	}
	return file;
}

static void
node_forget(struct lane *lane, uint64_t nodeid, uint64_t nb)
{
	if (nodeid > FE_ROOT && nb > 0)
		fe_forget(&lane->dev->fs, nodeid, nb);
}

static int
step_down(struct lane *lane, uint64_t *at, const char *name, enum way way)
{
	struct fuse_entry_out entry;
	int rc = fe_lookup(lane->q, *at, name, &entry);

	if (rc == -ENOENT && way == WAY_MAKE) {
		rc = fe_mkdir(lane->q, *at, name, 0755, &entry);
		if (rc == -EEXIST)
			rc = fe_lookup(lane->q, *at, name, &entry);
	}
	if (rc < 0)
		return rc;
	node_forget(lane, *at, 1);
	*at = entry.nodeid;
	return 0;
}

/*
 * The directory that a file is in, looked up once, to be forgotten, and the file's name in there.
 * *dir is to be forgotten after an error, too.
 */
static int
file_walk(struct lane *lane, const struct file *file, enum way way, uint64_t *dir,
		char name[NAME_MAX + 1])
{
	const char *path = file->path;
	int rc = 0;

	*dir = FE_ROOT;
	for (;;) {
		size_t len = strcspn(path, "/");

		if (len > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		if (*path == '\0')
			return len > 0 ? 0 : -EISDIR;
		path += strspn(path, "/");
		rc = step_down(lane, dir, name, way);
		if (rc < 0)
			return rc;
	}
}

static void
file_forget(struct lane *lane, struct file *file)
{
	node_forget(lane, file->nodeid, file->nb_lookups);
	file->nodeid = 0;
	file->nb_lookups = 0;
	file->is_gone = false;
}

static void
file_found(struct lane *lane, struct file *file, const struct fuse_entry_out *entry)
{
	if (file->nodeid != entry->nodeid)
		file_forget(lane, file);
	file->nodeid = entry->nodeid;
	file->nb_lookups++;
	file->size = entry->attr.size;
}

int
file_find(struct lane *lane, struct file *file)
{
	struct fuse_entry_out entry;
	char name[NAME_MAX + 1];
	uint64_t dir;
	int rc;

	rc = file_walk(lane, file, WAY_FIND, &dir, name);
	if (rc == 0)
		rc = fe_lookup(lane->q, dir, name, &entry);
	if (rc == 0 && !S_ISREG(entry.attr.mode)) {
		node_forget(lane, entry.nodeid, 1);
		rc = -EINVAL;
	}
	if (rc == 0)
		file_found(lane, file, &entry);
	node_forget(lane, dir, 1);
	return rc;
}

int
file_make(struct lane *lane, struct file *file)
{
	struct fuse_entry_out entry;
	char name[NAME_MAX + 1];
	uint64_t dir, fh;
	int rc;

	rc = file_walk(lane, file, WAY_MAKE, &dir, name);
	if (rc == 0)
		rc = fe_create(lane->q, dir, name, O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &fh);
	if (rc == 0) {
		file_found(lane, file, &entry);
		rc = fe_release(lane->q, entry.nodeid, fh);
	}
	node_forget(lane, dir, 1);
	return rc;
}

int
file_open(struct lane *lane, struct file *file)
{
	int rc;

	rc = fe_open(lane->q, file->nodeid, file->flags, &file->fh);
	/* A server without OPEN wants no handle. */
	if (rc < 0 && (rc != -ENOSYS || (lane->dev->fs.init.flags & FUSE_NO_OPEN_SUPPORT) == 0))
		return rc;
	file->has_fh = rc == 0;
	if (rc < 0)
		file->fh = 0;
	file->is_open = true;
	return 0;
}

int
file_close(struct lane *lane, struct file *file)
{
	int rc;

	rc = fe_flush(lane->q, file->nodeid, file->fh);
	if (rc == -ENOSYS)
		rc = 0;
	if (file->has_fh)
		fe_release(lane->q, file->nodeid, file->fh);
	file->is_open = false;
	if (file->is_gone)
		file_forget(lane, file);
	return rc;
}

int
file_unlink(struct lane *lane, struct file *file)
{
	char name[NAME_MAX + 1];
	uint64_t dir;
	int rc;

	rc = file_walk(lane, file, WAY_FIND, &dir, name);
	if (rc == 0)
		rc = fe_unlink(lane->q, dir, name);
	node_forget(lane, dir, 1);
	file->is_gone = rc == 0;
	if (file->is_gone && !file->is_open)
		file_forget(lane, file);
	return rc;
}

int
file_write(struct lane *lane, struct file *file, uint32_t len, uint64_t off)
{
	struct fe_req *req = fe_req_get(lane->q);
	const struct fuse_write_out *out;
	int rc;

	if (req == NULL)
		return -EAGAIN;
	fe_req_lend(req, &lane->spare);
	fe_write_prepare(req, file->nodeid, file->fh, len, off);
	rc = fe_req_call(req);
	out = fe_req_res(req);
	if (rc == 0 && (req->payload != sizeof(*out) || out->size != len))
		rc = -EIO;
	if (req->done)
		fe_req_put(req);
	return rc;
}

void
file_destroy(struct lane *lane, struct file *file)
{
	if (lane != NULL)
		file_forget(lane, file);
	free(file->path);
	free(file);
}
