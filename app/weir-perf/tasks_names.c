/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "prepare.h"

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

int
step_getattr(struct load_task *task)
{
	if (task->step > 0)
		return answer_error(task, sizeof(struct fuse_attr_out));
	return prepare_getattr(task->req, file_choose(task));
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
		return prepare_lookup(task->req, work->set_dir, work->names[task->file]);
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

int
step_readdirplus(struct load_task *task, uint64_t nodeid)
{
	const struct fuse_open_out *open = fe_req_res(task->req);
	int rc;

	if (task->step == 0) {
		task->nodeid = nodeid;
		task->off = 0;
		return prepare_open(task->req, FUSE_OPENDIR, nodeid, O_RDONLY | O_DIRECTORY);
	}
	if (task->req->error != 0)
		return task->req->error;

	switch (fe_req_in(task->req)->opcode) {
	case FUSE_OPENDIR:
		rc = answer_error(task, sizeof(*open));
		if (rc < 0)
			return rc;
		task->fh = open->fh;
		return prepare_readdirplus(task->req, task->nodeid, task->fh, task->off);
	case FUSE_READDIRPLUS:
		rc = fe_dirents_walk(task->req, FE_READDIRPLUS, &task->off, dirent_seen, task);
		if (rc < 0)
			return rc;
		if (rc > 0)
			return prepare_readdirplus(task->req, task->nodeid, task->fh, task->off);
		return prepare_release(task->req, FUSE_RELEASEDIR, task->nodeid, task->fh);
	default:
		return TASK_DONE;
	}
}

int
step_create_unlink(struct load_task *task)
{
	struct load_thread *t = task->thread;
	const struct fuse_entry_out *entry = fe_req_res(task->req);
	const struct work *work = &t->load->work;
	int rc;

	switch (task->step) {
	case 0:
		snprintf(task->name, sizeof(task->name), "%s.c%u-%" PRIu64, work->prefix, t->index,
				t->next_name++);
		return prepare_create(task->req, work->dir, task->name);
	case 1:
		rc = answer_error(task, sizeof(*entry) + sizeof(struct fuse_open_out));
		if (rc < 0)
			return rc;
		task->nodeid = entry->nodeid;
		return prepare_release(
				task->req, FUSE_RELEASE, task->nodeid, entry_open(entry)->fh);
	case 2:
		if (task->req->error != 0)
			return task->req->error;
		return prepare_named(task->req, FUSE_UNLINK, work->dir, task->name);
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
		return prepare_open(task->req, FUSE_OPEN, task->nodeid, O_RDWR);
	case 1:
		rc = answer_error(task, sizeof(*open));
		if (rc < 0)
			return rc;
		return prepare_release(task->req, FUSE_RELEASE, task->nodeid, open->fh);
	default:
		return task->req->error;
	}
}
