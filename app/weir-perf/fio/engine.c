/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <config-host.h>
#include <fio.h>
#include <optgroup.h>

#include "engine.h"

/* What fio asks for, as FUSE requests. Functions for fio return what fio wants: see ioengines.h. */

#define ROW(field, kind, ...)                                                                      \
	{                                                                                          \
		.name = #field, .lname = #field, .type = kind,                                     \
		.off1 = offsetof(struct engine_opts, field), .category = FIO_OPT_C_ENGINE,         \
		.group = FIO_OPT_G_INVALID, __VA_ARGS__                                            \
	}

static struct fio_option options[] = {
	ROW(socket, FIO_OPT_STR_STORE, .help = "Socket of the vhost-user-fs device"),
	ROW(queues, FIO_OPT_INT, .def = "0", .maxval = FE_MAX_QUEUES - 1,
			.help = "Request queues to set up (0: one for each job that runs at a time)"),
	ROW(ring_size, FIO_OPT_INT, .def = "1024", .minval = 2, .maxval = 32768, .pow2 = 1,
			.help = "Entries of a ring, a power of two"),
	ROW(packed, FIO_OPT_BOOL, .def = "0", .help = "Packed rings, which the device must offer"),
	ROW(event, FIO_OPT_BOOL, .def = "0",
			.help = "Sleep until the device interrupts (0: poll the used ring)"),
	ROW(no_indirect, FIO_OPT_BOOL, .def = "0", .help = "No indirect descriptors"),
	ROW(no_event_idx, FIO_OPT_BOOL, .def = "0", .help = "No event index"),
	ROW(answer_timeout, FIO_OPT_INT, .def = "30", .minval = 1, .maxval = 3600,
			.help = "Seconds to wait for an answer before the device counts as hung"),
	{ .name = NULL },
};

/* The time is taken before the device can see a request: a polling one may be done at once. */
static int
engine_commit(struct thread_data *td)
{
	struct job *job = td->io_ops_data;
	struct timespec now;
	unsigned int i;

	if (job->nb_fresh == 0)
		return 0;
	if (fio_fill_issue_time(td)) {
		fio_gettime(&now, NULL);
		for (i = 0; i < job->nb_fresh; i++)
			job->fresh[i]->issue_time = now;
		/* For the log of a replay. */
		if (td->o.read_iolog_file)
			td->last_issue = now;
	}
	fe_queue_kick(job->lane->q);
	for (i = 0; i < job->nb_fresh; i++)
		io_u_queued(td, job->fresh[i]);
	io_u_mark_submit(td, job->nb_fresh);
	job->nb_fresh = 0;
	return 0;
}

/* Waits for room in the ring itself: a unit that fio queues again gets contents anew. */
static int
unit_submit(struct thread_data *td, struct slot *slot)
{
	struct job *job = td->io_ops_data;
	int rc = job_submit(job, slot);

	while (rc == -EAGAIN) {
		engine_commit(td);
		job_wait(job);
		rc = job_submit(job, slot);
	}
	return rc;
}

static enum fio_q_status
engine_queue(struct thread_data *td, struct io_u *io_u)
{
	const struct file *file = io_u->file->engine_data;
	struct slot *slot = io_u->engine_data;
	struct job *job = td->io_ops_data;
	int rc = 0;

	fio_ro_check(td, io_u);
	if (ddir_rw(io_u->ddir))
		rc = job_lend(job, slot, io_u->xfer_buf, io_u->xfer_buflen);
	if (io_u->ddir == DDIR_READ)
		fe_read_prepare(slot->req, file->nodeid, file->fh, io_u->xfer_buflen, io_u->offset);
	else if (io_u->ddir == DDIR_WRITE)
		fe_write_prepare(
				slot->req, file->nodeid, file->fh, io_u->xfer_buflen, io_u->offset);
	else if (io_u->ddir == DDIR_SYNC)
		fe_fsync_prepare(slot->req, file->nodeid, file->fh, 0);
	else if (io_u->ddir == DDIR_DATASYNC)
		fe_fsync_prepare(slot->req, file->nodeid, file->fh, FUSE_FSYNC_FDATASYNC);
	else
		rc = -EOPNOTSUPP;
	if (rc == 0)
		rc = unit_submit(td, slot);
	if (rc == 0)
		return FIO_Q_QUEUED;
	io_u->error = -rc;
	return FIO_Q_COMPLETED;
}

/* What the answer says of a unit. */
static void
unit_end(struct io_u *io_u, const struct fe_req *req)
{
	const struct fuse_write_out *out = fe_req_res(req);
	uint64_t bytes = 0;

	if (req->error != 0)
		io_u->error = -req->error;
	else if (io_u->ddir == DDIR_READ)
		bytes = req->payload;
	else if (io_u->ddir == DDIR_WRITE && req->payload == sizeof(*out))
		bytes = out->size;
	if (req->error != 0 || !ddir_rw(io_u->ddir))
		return;
	if (bytes > io_u->xfer_buflen)
		io_u->error = EPROTO;
	else
		io_u->resid = io_u->xfer_buflen - bytes;
}

static int
engine_getevents(struct thread_data *td, unsigned int min, unsigned int max,
		const struct timespec *t)
{
	struct job *job = td->io_ops_data;
	unsigned int nb = 0;
	struct slot *slot;

	for (;;) {
		while (nb < max && (slot = job_reap(job)) != NULL) {
			unit_end(slot->unit, slot->req);
			job->events[nb++] = slot->unit;
		}
		engine_tell(job->dev);
		if (nb >= min || job->nb_flying == 0)
			return nb;
		job_wait(job);
	}
}

static struct io_u *
engine_event(struct thread_data *td, int event)
{
	const struct job *job = td->io_ops_data;

	return job->events[event];
}

static int
engine_setup(struct thread_data *td)
{
	struct fio_file *f;
	unsigned int i;

	if (engine_job(td) == NULL)
		return 1;
	for_each_file(td, f, i) if (engine_file_size(td, f) != 0) return 1;
	return 0;
}

static int
engine_init(struct thread_data *td)
{
	struct job *job = engine_job(td);
	int rc;

	if (job == NULL)
		return 1;
	rc = job_start(job);
	engine_tell(job->dev);
	if (rc == -EBUSY)
		log_err("weir-fio: %s: all %u request queues are taken by other jobs\n",
				job->dev->need.socket, job->dev->nb_lanes);
	if (rc < 0)
		td_verror(td, -rc, "weir-fio");
	return rc < 0;
}

static int
engine_iomem_alloc(struct thread_data *td, size_t bytes)
{
	struct job *job = td->io_ops_data;

	if (bytes > job->lane->buffers.len)
		return ENOMEM;
	td->orig_buffer = job->lane->buffers.va;
	return 0;
}

static int
engine_io_u_init(struct thread_data *td, struct io_u *io_u)
{
	io_u->engine_data = job_slot(td->io_ops_data, io_u);
	return io_u->engine_data == NULL ? ENOMEM : 0;
}

static void
engine_cleanup(struct thread_data *td)
{
	struct job *job = td->io_ops_data;
	struct dev *dev;
	int rc;

	if (job == NULL)
		return;
	dev = job->dev;
	rc = job_destroy(job);
	if (rc == 0)
		return;
	engine_tell(dev);
	td_verror(td, -rc, "weir-fio");
}

struct ioengine_ops ioengine = {
	.name = "weir",
	.version = FIO_IOOPS_VERSION,
	.flags = FIO_DISKLESSIO | FIO_NODISKUTIL | FIO_NO_OFFLOAD | FIO_ASYNCIO_SETS_ISSUE_TIME,
	.setup = engine_setup,
	.init = engine_init,
	.queue = engine_queue,
	.commit = engine_commit,
	.getevents = engine_getevents,
	.event = engine_event,
	.cleanup = engine_cleanup,
	.open_file = engine_file_open,
	.close_file = engine_file_close,
	.unlink_file = engine_file_unlink,
	.get_file_size = engine_file_size,
	.prepopulate_file = engine_file_prepare,
	.iomem_alloc = engine_iomem_alloc,
	.io_u_init = engine_io_u_init,
	.option_struct_size = sizeof(struct engine_opts),
	.options = options,
};
