/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "load.h"
#include "prepare.h"
#include "trace.h"

/*
 * Replaying a trace. Streams belong to threads by their number. A file that streams of several
 * threads name is only read and looked up by them, or the trace makes no sense: what one stream
 * makes or removes, another cannot count on.
 */

static struct trace_file *
task_file(const struct load_task *task, const struct trace_line **line)
{
	const struct trace *trace = task->thread->load->trace;

	*line = &trace->lines[task->line];
	return &trace->files[(*line)->file];
}

/* The stream's handle of a file, or the shared one. */
static struct load_handle *
handle_find(struct load_task *task, uint32_t file)
{
	unsigned int i = task->nb_handles;

	while (i-- > 0)
		if (task->handles[i].file == file)
			return &task->handles[i];
	return NULL;
}

static uint64_t
handle_of(struct load_task *task, const struct trace_line *line)
{
	const struct load_handle *handle = handle_find(task, line->file);

	return handle != NULL ? handle->fh : task->thread->load->trace->files[line->file].fh;
}

static int
handle_add(struct load_task *task, uint32_t file, uint64_t fh)
{
	if (task->nb_handles == LOAD_MAX_HANDLES)
		return -EMFILE;
	task->handles[task->nb_handles++] = (struct load_handle){ .file = file, .fh = fh };
	return 0;
}

static void
file_forget(struct load *load, struct trace_file *file)
{
	if (file->lookups > 0)
		fe_forget(&load->fs, file->nodeid, file->lookups);
	file->lookups = 0;
	file->nodeid = 0;
}

/* The next line of the task's stream, or the first of the thread's next stream. */
bool
replay_begin(struct load_task *task)
{
	struct load_thread *t = task->thread;
	const struct trace *trace = t->load->trace;

	task->line++;
	if (task->line >= task->line_end) {
		if (t->next_stream >= trace->nb_streams)
			return false;
		task->line = trace->streams[t->next_stream].first;
		task->line_end = trace->streams[t->next_stream].end;
		task->nb_handles = 0;
		t->next_stream += t->load->opts->queues;
	}
	task->kind = trace->lines[task->line].op;
	task->step = 0;
	return true;
}

static int
replay_prepare(struct load_task *task)
{
	const struct trace *trace = task->thread->load->trace;
	const struct trace_line *line;
	const struct trace_file *file = task_file(task, &line);
	uint64_t parent = trace->files[file->parent].nodeid;

	switch (line->op) {
	case TRACE_LOOKUP:
		return prepare_lookup(task->req, parent, file->name);
	case TRACE_GETATTR:
		return prepare_getattr(task->req, file->nodeid);
	case TRACE_OPEN:
		return prepare_open(task->req, FUSE_OPEN, file->nodeid, O_RDWR);
	case TRACE_CLOSE:
		return prepare_release(
				task->req, FUSE_RELEASE, file->nodeid, handle_of(task, line));
	case TRACE_CREATE:
		return prepare_create(task->req, parent, file->name);
	case TRACE_READ:
		fe_read_prepare(task->req, file->nodeid, handle_of(task, line), line->len,
				line->off);
		return TASK_SEND;
	case TRACE_WRITE:
		fe_write_prepare(task->req, file->nodeid, handle_of(task, line), line->len,
				line->off);
		return TASK_SEND;
	case TRACE_TRUNCATE:
		return prepare_truncate(task->req, file->nodeid, line->len);
	case TRACE_FSYNC:
		fe_fsync_prepare(task->req, file->nodeid, handle_of(task, line), 0);
		return TASK_SEND;
	case TRACE_UNLINK:
		return prepare_named(task->req, FUSE_UNLINK, parent, file->name);
	case TRACE_MKDIR:
		return prepare_mkdir(task->req, parent, file->name);
	default:
		return prepare_named(task->req, FUSE_RMDIR, parent, file->name);
	}
}

/* A file has come into being, or has been looked up once more. */
static int
replay_entry(struct load_task *task, struct trace_file *file)
{
	const struct fuse_entry_out *entry = fe_req_res(task->req);

	if (entry->nodeid == 0)
		return -ENOENT;
	if (file->nodeid != 0 && file->nodeid != entry->nodeid)
		file_forget(task->thread->load, file);
	file->nodeid = entry->nodeid;
	/* Streams of several threads may look one file up. */
	__atomic_fetch_add(&file->lookups, 1, __ATOMIC_RELAXED);
	file->is_unlinked = false;
	/* What the trace leaves behind is removed at the end. */
	if (task->kind != TRACE_LOOKUP)
		file->is_ours = true;
	return TASK_DONE;
}

static int
replay_close(struct load_task *task, struct trace_file *file, uint32_t index)
{
	struct load_handle *handle = handle_find(task, index);

	if (handle != NULL)
		*handle = task->handles[--task->nb_handles];
	if (file->is_unlinked && handle_find(task, index) == NULL)
		file_forget(task->thread->load, file);
	return TASK_DONE;
}

static int
replay_data(struct load_task *task, const struct trace_line *line)
{
	const struct fuse_write_out *out = fe_req_res(task->req);
	uint32_t done = line->op == TRACE_READ ? task->req->payload : out->size;

	/* A read may end where the file does. */
	if (line->op == TRACE_WRITE && done != line->len)
		return -EIO;
	task->bytes = done;
	return TASK_DONE;
}

int
step_replay(struct load_task *task)
{
	const struct trace_line *line;
	struct trace_file *file = task_file(task, &line);
	const struct fuse_entry_out *entry = fe_req_res(task->req);
	int rc;

	if (line->op == TRACE_READDIRPLUS)
		return step_readdirplus(task, file->nodeid);
	if (task->step == 0)
		return replay_prepare(task);
	if (task->req->error != 0)
		return task->req->error;

	switch (line->op) {
	case TRACE_OPEN:
		return handle_add(task, line->file,
				((const struct fuse_open_out *)fe_req_res(task->req))->fh);
	case TRACE_CLOSE:
		return replay_close(task, file, line->file);
	case TRACE_CREATE:
		rc = replay_entry(task, file);
		return rc < 0 ? rc : handle_add(task, line->file, entry_open(entry)->fh);
	case TRACE_LOOKUP:
	case TRACE_MKDIR:
		return replay_entry(task, file);
	case TRACE_READ:
	case TRACE_WRITE:
		return replay_data(task, line);
	case TRACE_UNLINK:
	case TRACE_RMDIR:
		file->is_unlinked = true;
		if (handle_find(task, line->file) == NULL)
			file_forget(task->thread->load, file);
		return TASK_DONE;
	default:
		return TASK_DONE;
	}
}

static int
file_fill(struct load *load, const struct trace_file *file, uint64_t fh)
{
	struct fe_queue *q = &load->fs.queue[1];
	uint32_t step = fe_fs_max_io(&load->fs);
	uint8_t *buf = calloc(1, step);
	uint64_t off = 0;
	int rc = 0;

	while (off < file->size && rc >= 0 && buf != NULL) {
		uint64_t left = file->size - off;

		rc = fe_write(q, file->nodeid, fh, buf, left < step ? left : step, off);
		off += rc > 0 ? rc : 0;
		if (rc == 0)
			rc = -EIO;
	}
	free(buf);
	return buf == NULL ? -ENOMEM : rc < 0 ? rc : 0;
}

/* Makes a file that the trace expects to be there. */
static int
file_make(struct load *load, struct trace_file *file, uint64_t parent)
{
	struct fe_queue *q = &load->fs.queue[1];
	struct fuse_entry_out entry;
	uint64_t fh;
	int rc;

	if (file->is_dir) {
		rc = fe_mkdir(q, parent, file->name, 0755, &entry);
	} else {
		rc = fe_create(q, parent, file->name, O_RDWR | O_CREAT | O_EXCL, S_IFREG | 0644,
				&entry, &fh);
	}
	if (rc < 0)
		return rc;
	file->nodeid = entry.nodeid;
	file->lookups = 1;
	file->is_ours = true;
	if (file->is_dir)
		return 0;
	rc = file_fill(load, file, fh);
	fe_release(q, file->nodeid, fh);
	return rc;
}

static int
file_setup(struct load *load, struct trace_file *file, uint64_t parent)
{
	struct fe_queue *q = &load->fs.queue[1];
	struct fuse_entry_out entry;
	int rc;

	rc = fe_lookup(q, parent, file->name, &entry);
	if (rc == 0) {
		file->nodeid = entry.nodeid;
		file->lookups = 1;
	} else if (rc == -ENOENT) {
		rc = file_make(load, file, parent);
	}
	if (rc == 0 && file->is_shared) {
		rc = fe_open(q, file->nodeid, O_RDWR, &file->fh);
		file->has_fh = rc == 0;
	}
	return rc;
}

int
replay_setup(struct load *load)
{
	struct trace *trace = load->trace;
	uint32_t i;

	if (trace->max_io > fe_fs_max_io(&load->fs)) {
		fprintf(stderr, "weir-perf: this device and ring take at most %u bytes\n",
				fe_fs_max_io(&load->fs));
		return -EMSGSIZE;
	}
	trace->files[0].nodeid = load->work.dir;
	for (i = 1; i < trace->nb_files; i++) {
		struct trace_file *file = &trace->files[i];
		const struct trace_file *parent = &trace->files[file->parent];
		int rc;

		/* What is in a directory that the trace makes, it has to make too. */
		if (file->is_made || parent->nodeid == 0)
			continue;
		rc = file_setup(load, file, parent->nodeid);
		if (rc < 0) {
			fprintf(stderr, "weir-perf: cannot make %s: %s\n", file->path,
					strerror(-rc));
			return rc;
		}
	}
	return 0;
}

void
replay_clean(struct load *load)
{
	struct fe_queue *q = &load->fs.queue[1];
	struct trace *trace = load->trace;
	uint32_t i;

	/* What is in a directory goes before it. */
	for (i = trace->nb_files; i-- > 1;) {
		struct trace_file *file = &trace->files[i];
		uint64_t parent = trace->files[file->parent].nodeid;

		if (file->has_fh)
			fe_release(q, file->nodeid, file->fh);
		if (file->nodeid != 0 && file->is_ours && !file->is_unlinked) {
			if (file->is_dir)
				fe_rmdir(q, parent, file->name);
			else
				fe_unlink(q, parent, file->name);
		}
		file_forget(load, file);
	}
}
