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

#include "load.h"

/* Linux reads directories a page at a time. */
#define READDIR_BYTES FE_PAGE

/* Operations on names, attributes and handles. */

/* The error of an answer, or -EPROTO for one that has not the size it must have. */
static int
answer_error(const struct load_task *task, uint32_t size)
{
	if (task->req->error != 0)
		return task->req->error;
	return task->req->payload == size ? 0 : -EPROTO;
}

static uint64_t
file_choose(struct load_task *task)
{
	struct load_thread *t = task->thread;

	task->file = load_below(&t->rng, t->load->work.nb_files);
	return t->load->work.files[task->file];
}

/* A request of a struct and perhaps a name. */
static void
prepare(struct fe_req *req, uint32_t opcode, uint64_t nodeid, const void *arg, uint32_t arg_len,
		const char *name)
{
	uint32_t len = name != NULL ? strlen(name) + 1 : 0;
	uint8_t *at = fe_req_init(req, opcode, nodeid, arg_len + len);

	if (arg_len > 0)
		memcpy(at, arg, arg_len);
	if (len > 0)
		memcpy(at + arg_len, name, len);
}

static void
prepare_open(struct fe_req *req, uint32_t opcode, uint64_t nodeid, uint32_t flags)
{
	const struct fuse_open_in in = { .flags = flags };

	prepare(req, opcode, nodeid, &in, sizeof(in), NULL);
	req->res_room = sizeof(struct fuse_open_out);
}

static void
prepare_release(struct fe_req *req, uint32_t opcode, uint64_t nodeid, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	prepare(req, opcode, nodeid, &in, sizeof(in), NULL);
}

int
step_getattr(struct load_task *task)
{
	const struct fuse_getattr_in in = { 0 };

	if (task->step > 0)
		return answer_error(task, sizeof(struct fuse_attr_out));
	prepare(task->req, FUSE_GETATTR, file_choose(task), &in, sizeof(in), NULL);
	task->req->res_room = sizeof(struct fuse_attr_out);
	return TASK_SEND;
}

/* Counts what a file of the set was looked up, for a FORGET at the end. */
static int
lookup_count(struct load_thread *t, uint64_t file, uint64_t nodeid)
{
	const struct work *work = &t->load->work;

	if (file < work->nb_files && work->files[file] == nodeid) {
		t->lookups[file]++;
		return 0;
	}
	fe_forget(&t->load->fs, nodeid, 1);
	return -ESTALE;
}

int
step_lookup(struct load_task *task)
{
	const struct work *work = &task->thread->load->work;
	const struct fuse_entry_out *entry = fe_req_res(task->req);
	int rc;

	if (task->step == 0) {
		file_choose(task);
		prepare(task->req, FUSE_LOOKUP, work->set_dir, NULL, 0, work->names[task->file]);
		task->req->res_room = sizeof(*entry);
		return TASK_SEND;
	}
	rc = answer_error(task, sizeof(*entry));
	if (rc < 0)
		return rc;
	if (entry->nodeid == 0)
		return -ENOENT;
	return lookup_count(task->thread, task->file, entry->nodeid);
}

static int
dirent_seen(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	struct load_task *task = arg;
	uint64_t file = UINT64_MAX;
	char name[24];

	/* "." and ".." come without a node. */
	if (entry->nodeid == 0)
		return 0;
	if (dirent->namelen < sizeof(name) && dirent->name[0] == 'f') {
		memcpy(name, dirent->name, dirent->namelen);
		name[dirent->namelen] = '\0';
		file = strtoull(name + 1, NULL, 10);
	}
	lookup_count(task->thread, file, entry->nodeid);
	return 0;
}

static int
prepare_readdirplus(struct load_task *task)
{
	const struct fuse_read_in in = {
		.fh = task->fh,
		.offset = task->off,
		.size = READDIR_BYTES,
	};

	prepare(task->req, FUSE_READDIRPLUS, task->nodeid, &in, sizeof(in), NULL);
	task->req->data_out = READDIR_BYTES;
	return TASK_SEND;
}

int
step_readdirplus(struct load_task *task)
{
	const struct fuse_open_out *open = fe_req_res(task->req);
	int rc;

	if (task->step == 0) {
		task->nodeid = task->thread->load->work.set_dir;
		task->off = 0;
		prepare_open(task->req, FUSE_OPENDIR, task->nodeid, O_RDONLY | O_DIRECTORY);
		return TASK_SEND;
	}
	if (task->req->error != 0)
		return task->req->error;

	switch (fe_req_in(task->req)->opcode) {
	case FUSE_OPENDIR:
		rc = answer_error(task, sizeof(*open));
		if (rc < 0)
			return rc;
		task->fh = open->fh;
		return prepare_readdirplus(task);
	case FUSE_READDIRPLUS:
		rc = fe_dirents_walk(task->req, FE_READDIRPLUS, &task->off, dirent_seen, task);
		if (rc < 0)
			return rc;
		if (rc > 0)
			return prepare_readdirplus(task);
		prepare_release(task->req, FUSE_RELEASEDIR, task->nodeid, task->fh);
		return TASK_SEND;
	default:
		return TASK_DONE;
	}
}

static int
prepare_create(struct load_task *task)
{
	struct load_thread *t = task->thread;
	const struct work *work = &t->load->work;
	const struct fuse_create_in in = {
		.flags = O_RDWR | O_CREAT | O_EXCL,
		.mode = S_IFREG | 0644,
		.umask = 022,
	};

	snprintf(task->name, sizeof(task->name), "%s.c%u-%" PRIu64, work->prefix, t->index,
			t->next_name++);
	prepare(task->req, FUSE_CREATE, work->dir, &in, sizeof(in), task->name);
	task->req->res_room = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out);
	return TASK_SEND;
}

int
step_create_unlink(struct load_task *task)
{
	struct load_thread *t = task->thread;
	const struct fuse_entry_out *entry = fe_req_res(task->req);
	const struct fuse_open_out *open = (const void *)(entry + 1);
	int rc;

	switch (task->step) {
	case 0:
		return prepare_create(task);
	case 1:
		rc = answer_error(task, sizeof(*entry) + sizeof(*open));
		if (rc < 0)
			return rc;
		task->nodeid = entry->nodeid;
		prepare_release(task->req, FUSE_RELEASE, task->nodeid, open->fh);
		return TASK_SEND;
	case 2:
		if (task->req->error != 0)
			return task->req->error;
		prepare(task->req, FUSE_UNLINK, t->load->work.dir, NULL, 0, task->name);
		return TASK_SEND;
	default:
		fe_forget(&t->load->fs, task->nodeid, 1);
		return task->req->error;
	}
}

int
step_open_close(struct load_task *task)
{
	const struct fuse_open_out *open = fe_req_res(task->req);
	int rc;

	switch (task->step) {
	case 0:
		task->nodeid = file_choose(task);
		prepare_open(task->req, FUSE_OPEN, task->nodeid, O_RDWR);
		return TASK_SEND;
	case 1:
		rc = answer_error(task, sizeof(*open));
		if (rc < 0)
			return rc;
		prepare_release(task->req, FUSE_RELEASE, task->nodeid, open->fh);
		return TASK_SEND;
	default:
		return task->req->error;
	}
}
