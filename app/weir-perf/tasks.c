/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdio.h>

#include "load.h"

/* Random places to try before all are looked through. */
#define CHOOSE_TRIES 64

/* Operations on a data file. Each thread has a part of it for itself. */

static const struct work_data *
task_data(const struct load_task *task)
{
	const struct work *work = &task->thread->load->work;

	return &work->data[task->thread->index % work->nb_data];
}

static bool
block_is_free(const struct load_task *task, uint64_t block)
{
	const struct verify *v = &task->thread->verify;

	if (v->blocks == NULL)
		return true;
	if (task->kind == WORK_RANDREAD || task->kind == WORK_SEQREAD)
		return verify_may_read(v, block);
	return verify_may_write(v, block);
}

/* @return 0, or -EBUSY: no block's contents are known. */
static int
block_choose(struct load_task *task)
{
	struct load_thread *t = task->thread;
	uint64_t nb = load_blocks(t);
	uint64_t i;

	if (task->kind == WORK_RANDREAD || task->kind == WORK_RANDWRITE) {
		for (i = 0; i < CHOOSE_TRIES; i++) {
			task->block = load_below(&t->rng, nb);
			if (block_is_free(task, task->block))
				return 0;
		}
	}
	for (i = 0; i < nb; i++) {
		task->block = t->next_block;
		t->next_block = t->next_block + 1 < nb ? t->next_block + 1 : 0;
		if (block_is_free(task, task->block))
			return 0;
	}
	return -EBUSY;
}

static uint64_t
block_offset(const struct load_task *task)
{
	const struct load_thread *t = task->thread;

	return (load_blocks(t) * t->index + task->block) * t->load->opts->block;
}

static int
step_read(struct load_task *task)
{
	struct load_thread *t = task->thread;
	const struct work_data *data = task_data(task);
	uint32_t bytes = t->load->opts->block;
	struct fe_req *req = task->req;
	bool good;
	int rc;

	if (task->step == 0) {
		rc = block_choose(task);
		if (rc < 0)
			return rc;
		if (t->verify.blocks != NULL)
			verify_read_begin(&t->verify, task->block);
		fe_read_prepare(req, data->nodeid, data->fh, bytes, block_offset(task));
		return TASK_SEND;
	}

	good = req->error == 0 && req->payload == bytes;
	if (t->verify.blocks != NULL &&
			!verify_read_end(&t->verify, task->block, good ? req->data.va : NULL,
					t->error, sizeof(t->error))) {
		t->rc = -EBADMSG;
		return -EBADMSG;
	}
	if (!good)
		return req->error != 0 ? req->error : -EIO;
	task->bytes = bytes;
	return TASK_DONE;
}

static int
step_write(struct load_task *task)
{
	struct load_thread *t = task->thread;
	const struct work_data *data = task_data(task);
	uint32_t bytes = t->load->opts->block;
	struct fe_req *req = task->req;
	const struct fuse_write_out *out = fe_req_res(req);
	bool good;
	int rc;

	if (task->step == 0) {
		rc = block_choose(task);
		if (rc < 0)
			return rc;
		if (t->verify.blocks != NULL)
			verify_write_begin(&t->verify, task->block, req->data.va);
		fe_write_prepare(req, data->nodeid, data->fh, bytes, block_offset(task));
		return TASK_SEND;
	}

	good = req->error == 0 && req->payload == sizeof(*out) && out->size == bytes;
	if (t->verify.blocks != NULL)
		verify_write_end(&t->verify, task->block, good);
	if (!good)
		return req->error != 0 ? req->error : -EIO;
	task->bytes = bytes;
	return TASK_DONE;
}

bool
task_begin(struct load_task *task)
{
	struct load_thread *t = task->thread;
	const struct perf_opts *opts = t->load->opts;
	uint64_t at = 0;
	unsigned int kind = 0;

	if (t->load->trace != NULL)
		return replay_begin(task);
	if (opts->weights > 1)
		at = load_below(&t->kind_rng, opts->weights);
	while (at >= opts->weight[kind])
		at -= opts->weight[kind++];
	task->kind = kind;
	task->step = 0;
	return true;
}

int
task_step(struct load_task *task)
{
	if (task->thread->load->trace != NULL)
		return step_replay(task);
	switch (task->kind) {
	case WORK_RANDREAD:
	case WORK_SEQREAD:
		return step_read(task);
	case WORK_RANDWRITE:
	case WORK_SEQWRITE:
		return step_write(task);
	case WORK_GETATTR:
		return step_getattr(task);
	case WORK_LOOKUP:
		return step_lookup(task);
	case WORK_READDIRPLUS:
		return step_readdirplus(task, task->thread->load->work.set_dir);
	case WORK_CREATE_UNLINK:
		return step_create_unlink(task);
	default:
		return step_open_close(task);
	}
}
