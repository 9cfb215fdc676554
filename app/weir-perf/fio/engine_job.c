/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <config-host.h>
#include <fio.h>

#include "engine.h"

/* What is refused, and what the jobs of a device need together. */

#define MAX_BLOCK (1u << 30)

void
engine_tell(struct dev *dev)
{
	const char *text = dev_tell(dev);

	if (text != NULL)
		log_err("weir-fio: %s\n", text);
}

/* What fio would do behind the engine's back, or what FUSE has no request for. */
static const char *
job_refusal(const struct thread_data *td)
{
	const struct thread_options *o = &td->o;

	if (td_trim(td))
		return "it reads, writes and syncs, and does not trim";
	if (o->sync_file_range)
		return "there is no sync_file_range, use fsync or fdatasync";
	if (o->fsync_on_close)
		return "there is no fsync_on_close, use end_fsync or fsync";
	if (o->fallocate_mode != FIO_FALLOCATE_NATIVE && o->fallocate_mode != FIO_FALLOCATE_NONE &&
			o->fallocate_mode != FIO_FALLOCATE_TRUNCATE)
		return "fallocate is native, none or truncate";
	if (o->fill_device)
		return "there is no fill_device";
	if (o->pre_read)
		return "there is no pre_read";
	if (o->zone_mode == ZONE_MODE_ZBD)
		return "there is no zonemode=zbd";
	return NULL;
}

static const char *
job_bad_options(const struct thread_data *td)
{
	const struct engine_opts *opts = td->eo;

	if (opts->socket == NULL || opts->socket[0] == '\0')
		return "socket= is missing, the path of the vhost-user-fs device";
	/* A device has one front end, so its jobs are in one process: setup() is in fio's. */
	if (!td->o.use_thread && td->pid != 0)
		return "create_serialize=0 needs thread=1";
	return job_refusal(td);
}

static bool
is_on_socket(const struct thread_data *td, const char *socket)
{
	const struct engine_opts *opts = td->eo;

	return td->io_ops == &ioengine && opts != NULL && opts->socket != NULL &&
			strcmp(opts->socket, socket) == 0;
}

static void
need_of_jobs(struct dev_need *need)
{
	unsigned int at_a_time = 0;
	unsigned int i;

	for (i = 0; i < thread_number; i++) {
		struct thread_data *td = tnumber_to_td(i);
		uint64_t block = td_max_bs(td);
		uint64_t bytes;

		if (td->o.stonewall)
			at_a_time = 0;
		if (!is_on_socket(td, need->socket))
			continue;
		/* fio aligns, and allows for that twice. */
		bytes = block * td->o.iodepth + 2 * (td->o.mem_align + 2 * FE_PAGE);
		at_a_time++;
		need->nb_jobs = max(need->nb_jobs, at_a_time);
		need->depth = max(need->depth, td->o.iodepth + 1);
		need->block = max(need->block, (uint32_t)min(block, (uint64_t)MAX_BLOCK));
		need->buffer_bytes = max(need->buffer_bytes, bytes);
	}
}

static struct dev *
job_device(struct thread_data *td)
{
	const struct engine_opts *opts = td->eo;
	struct dev_need need = {
		.socket = opts->socket,
		.queues = opts->queues,
		.ring_size = opts->ring_size,
		.timeout_s = opts->answer_timeout,
	};

	if (!opts->no_indirect)
		need.ring_flags |= FE_RING_INDIRECT;
	if (!opts->no_event_idx)
		need.ring_flags |= FE_RING_EVENT_IDX;
	if (opts->packed)
		need.ring_flags |= FE_RING_PACKED;
	if (!opts->event)
		need.ring_flags |= FE_RING_POLL;
	need_of_jobs(&need);
	return dev_get(&need);
}

struct job *
engine_job(struct thread_data *td)
{
	const char *why;
	struct job *job;
	struct dev *dev;
	int rc;

	if (td->io_ops != &ioengine) {
		log_err("weir-fio: built with the headers of another fio than this one\n");
		return NULL;
	}
	if (td->io_ops_data != NULL)
		return td->io_ops_data;
	why = job_bad_options(td);
	if (why != NULL) {
		log_err("weir-fio: %s: %s\n", td->o.name, why);
		td_verror(td, EINVAL, "weir-fio");
		return NULL;
	}
	td->o.use_thread = 1;
	dev = job_device(td);
	rc = dev == NULL ? -ENOMEM : dev_rc(dev);
	job = rc == 0 ? job_create(dev, td->o.iodepth) : NULL;
	if (job == NULL) {
		if (dev != NULL) {
			engine_tell(dev);
			dev_put(dev);
		}
		td_verror(td, rc < 0 ? -rc : ENOMEM, "weir-fio");
		return NULL;
	}
	td->io_ops_data = job;
	return job;
}
