/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../app/weir-perf/prepare.h"
#include "insn_meter.h"
#include "insn_ops.h"

#define FILE_NAME "instructions"
#define MIB       (1u << 20)

static struct {
	uint64_t nodeid, fh;
} file;

/* Times are compared by READ: to the second, so that it takes the same each time. */
static void
second_over(void)
{
	const time_t begun = time(NULL);

	while (time(NULL) == begun)
		usleep(1000);
}

void
ops_prepare(struct fe_fs *fs)
{
	struct fe_queue *q = &fs->queue[1];
	struct fuse_entry_out entry;
	uint8_t *bytes = calloc(1, MIB);

	if (fe_create(q, FE_ROOT, FILE_NAME, O_RDWR, S_IFREG | 0644, &entry, &file.fh) < 0 ||
			fe_write(q, entry.nodeid, file.fh, bytes, MIB, 0) != (int)MIB)
		meter_die("the guest cannot make its file");
	file.nodeid = entry.nodeid;
	free(bytes);
	second_over();
}

static void
getattr_prepare(struct op_task *task, uint32_t bytes)
{
	prepare_getattr(task->req, file.nodeid);
}

static bool
getattr_take(struct op_task *task, uint32_t bytes)
{
	const struct fuse_attr_out *out = fe_req_res(task->req);

	return task->req->payload == sizeof(*out) && S_ISREG(out->attr.mode);
}

static void
lookup_prepare(struct op_task *task, uint32_t bytes)
{
	prepare_lookup(task->req, FE_ROOT, FILE_NAME);
}

static bool
lookup_take(struct op_task *task, uint32_t bytes)
{
	const struct fuse_entry_out *out = fe_req_res(task->req);

	return task->req->payload == sizeof(*out) && out->nodeid == file.nodeid;
}

static void
read_prepare(struct op_task *task, uint32_t bytes)
{
	fe_read_prepare(task->req, file.nodeid, file.fh, bytes,
			(uint64_t)task->index * bytes % MIB);
}

static bool
read_take(struct op_task *task, uint32_t bytes)
{
	return task->req->payload == bytes;
}

static void
write_prepare(struct op_task *task, uint32_t bytes)
{
	fe_write_prepare(task->req, file.nodeid, file.fh, bytes,
			(uint64_t)task->index * bytes % MIB);
}

static bool
write_take(struct op_task *task, uint32_t bytes)
{
	const struct fuse_write_out *out = fe_req_res(task->req);

	return task->req->payload == sizeof(*out) && out->size == bytes;
}

static void
open_prepare(struct op_task *task, uint32_t bytes)
{
	task->nodeid = file.nodeid;
	prepare_open(task->req, FUSE_OPEN, file.nodeid, O_RDWR);
}

static bool
open_take(struct op_task *task, uint32_t bytes)
{
	const struct fuse_open_out *out = fe_req_res(task->req);

	task->fh = out->fh;
	return task->req->payload == sizeof(*out);
}

static void
release_prepare(struct op_task *task, uint32_t bytes)
{
	prepare_release(task->req, FUSE_RELEASE, task->nodeid, task->fh);
}

/* The same names in each round. */
static const char *
task_name(const struct op_task *task)
{
	static char name[16];

	snprintf(name, sizeof(name), "new%04u", task->index);
	return name;
}

static void
create_prepare(struct op_task *task, uint32_t bytes)
{
	prepare_create(task->req, FE_ROOT, task_name(task));
}

static bool
create_take(struct op_task *task, uint32_t bytes)
{
	const struct fuse_entry_out *out = fe_req_res(task->req);

	task->nodeid = out->nodeid;
	task->fh = entry_open(out)->fh;
	return task->req->payload == sizeof(*out) + sizeof(struct fuse_open_out);
}

static void
unlink_prepare(struct op_task *task, uint32_t bytes)
{
	prepare_named(task->req, FUSE_UNLINK, FE_ROOT, task_name(task));
}

static void
forget_prepare(struct op_task *task, uint32_t bytes)
{
	struct fuse_forget_in *in = fe_req_init(task->req, FUSE_FORGET, task->nodeid, sizeof(*in));

	in->nlookup = 1;
}

#define STEP(verb, size)                                                                           \
	{                                                                                          \
		.queue = 1, .bytes = (size), .prepare = verb##_prepare, .take = verb##_take        \
	}
#define ONE_STEP(kind_name, verb, size)                                                            \
	{                                                                                          \
		.name = (kind_name), .nb_steps = 1, .steps = { STEP(verb, size) }                  \
	}

const struct op_kind op_kinds[OPS_NB] = {
	[OP_GETATTR] = ONE_STEP("GETATTR", getattr, 0),
	[OP_LOOKUP] = ONE_STEP("LOOKUP", lookup, 0),
	[OP_READ_4K] = ONE_STEP("READ 4 KiB", read, 4096),
	[OP_WRITE_4K] = ONE_STEP("WRITE 4 KiB", write, 4096),
	[OP_READ_1M] = ONE_STEP("READ 1 MiB", read, MIB),
	[OP_WRITE_1M] = ONE_STEP("WRITE 1 MiB", write, MIB),
	[OP_OPEN] = {
		.name = "OPEN, RELEASE",
		.nb_steps = 2,
		.steps = { STEP(open, 0), { .queue = 1, .prepare = release_prepare } },
	},
	[OP_CREATE] = {
		.name = "CREATE, RELEASE, UNLINK, FORGET",
		.nb_steps = 4,
		.steps = {
			STEP(create, 0),
			{ .queue = 1, .prepare = release_prepare },
			{ .queue = 1, .prepare = unlink_prepare },
			{ .queue = 0, .prepare = forget_prepare },
		},
	},
};
