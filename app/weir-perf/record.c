/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "load.h"
#include "trace.h"

/*
 * The trace of what was sent. Each thread writes a file of its own, and they are put one behind the
 * other at the end: the order within a stream, which is a task, is all that counts.
 */

/* What a trace calls the file of the set that a task is at. */
static void
record_file(const struct load_task *task, enum trace_op op)
{
	const struct load_thread *t = task->thread;

	fprintf(t->record, "%" PRIu64 " %s %sf%" PRIu64 "\n", task->stream, trace_op_names[op],
			t->load->work.has_set_dir ? "set/" : "", task->file);
}

static void
record_new(const struct load_task *task, enum trace_op op)
{
	/* Behind the prefix and its dot. */
	fprintf(task->thread->record, "%" PRIu64 " %s %s\n", task->stream, trace_op_names[op],
			task->name + strlen(task->thread->load->work.prefix) + 1);
}

static void
record_data(const struct load_task *task, enum trace_op op)
{
	const struct fuse_read_in *in = task->req->arg.va;

	/* A WRITE has these where a READ has them. */
	fprintf(task->thread->record, "%" PRIu64 " %s data%u %" PRIu64 " %u\n", task->stream,
			trace_op_names[op], task->thread->index % task->thread->load->work.nb_data,
			(uint64_t)in->offset, in->size);
}

void
record_request(const struct load_task *task)
{
	switch (fe_req_in(task->req)->opcode) {
	case FUSE_READ:
		record_data(task, TRACE_READ);
		break;
	case FUSE_WRITE:
		record_data(task, TRACE_WRITE);
		break;
	case FUSE_GETATTR:
		record_file(task, TRACE_GETATTR);
		break;
	case FUSE_LOOKUP:
		record_file(task, TRACE_LOOKUP);
		break;
	case FUSE_OPEN:
		record_file(task, TRACE_OPEN);
		break;
	case FUSE_OPENDIR:
		fprintf(task->thread->record, "%" PRIu64 " readdirplus %s\n", task->stream,
				task->thread->load->work.has_set_dir ? "set" : ".");
		break;
	case FUSE_CREATE:
		record_new(task, TRACE_CREATE);
		break;
	case FUSE_RELEASE:
		if (task->kind == WORK_CREATE_UNLINK)
			record_new(task, TRACE_CLOSE);
		else
			record_file(task, TRACE_CLOSE);
		break;
	case FUSE_UNLINK:
		record_new(task, TRACE_UNLINK);
		break;
	default:
		/* READDIRPLUS and RELEASEDIR belong to their OPENDIR. */
		break;
	}
}

static int
append(FILE *out, FILE *part)
{
	char buf[65536];
	size_t got;

	rewind(part);
	while ((got = fread(buf, 1, sizeof(buf), part)) > 0)
		if (fwrite(buf, 1, got, out) != got)
			return -errno;
	return ferror(part) ? -EIO : 0;
}

int
record_end(struct load *load)
{
	FILE *out = fopen(load->opts->record, "w");
	unsigned int i;
	int rc = out == NULL ? -errno : 0;

	if (rc == 0)
		fprintf(out, TRACE_MAGIC "\n");
	for (i = 0; i < load->nb_threads && rc == 0; i++)
		rc = append(out, load->threads[i].record);
	if (out != NULL && fclose(out) != 0 && rc == 0)
		rc = -errno;
	if (rc < 0)
		fprintf(stderr, "weir-perf: %s: %s\n", load->opts->record, strerror(-rc));
	return rc;
}
