/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <config-host.h>
#include <fio.h>

#include "engine.h"

/* Files as fio names them. Those of a replayed log are named late, so each is made when used. */
static struct file *
file_of(struct job *job, struct fio_file *f)
{
	struct file *file = f->engine_data;

	if (file != NULL)
		return file;
	file = file_create(f->file_name);
	if (file == NULL)
		return NULL;
	file->next = job->files;
	job->files = file;
	f->engine_data = file;
	/* Whatever has that name on this machine does not matter. */
	f->filetype = FIO_TYPE_FILE;
	return file;
}

/* The job's lane or, before it has one, any: then fio's main thread sets jobs up. */
static int
lane_begin(struct job *job, struct lane **lane)
{
	int rc = dev_rc(job->dev);

	if (rc < 0)
		return rc;
	*lane = job->lane != NULL ? job->lane : dev_take(job->dev);
	return *lane == NULL ? -EBUSY : 0;
}

/* @return rc, what the calls on the lane came to. */
static int
lane_end(struct job *job, struct lane *lane, int rc)
{
	job_called(job, lane, rc);
	if (lane != job->lane)
		dev_give(lane);
	engine_tell(job->dev);
	return rc;
}

static int
file_call(struct thread_data *td, struct fio_file *f, int (*fn)(struct lane *, struct file *))
{
	struct job *job = td->io_ops_data;
	struct file *file = file_of(job, f);
	struct lane *lane;
	int rc;

	if (file == NULL)
		return -ENOMEM;
	rc = lane_begin(job, &lane);
	return rc < 0 ? rc : lane_end(job, lane, fn(lane, file));
}

/* @return 1, what fio wants to hear. */
static int
file_failed(struct thread_data *td, const struct fio_file *f, int rc, const char *what)
{
	log_err("weir-fio: cannot %s %s: %s\n", what, f->file_name, strerror(-rc));
	td_verror(td, -rc, what);
	return 1;
}

int
engine_file_size(struct thread_data *td, struct fio_file *f)
{
	const struct file *file;
	int rc = file_call(td, f, file_find);

	if (rc < 0 && rc != -ENOENT)
		return file_failed(td, f, rc, "find");
	file = f->engine_data;
	f->real_file_size = rc == 0 ? file->size : 0;
	fio_file_set_size_known(f);
	return 0;
}

/* Fills the file with what fio's options say of its contents. */
static int
file_fill(struct thread_data *td, struct lane *lane, struct file *file, uint64_t bytes)
{
	uint64_t bs = td->o.max_bs[DDIR_WRITE];
	uint64_t off;
	int rc;

	file->flags = O_RDWR;
	rc = file_open(lane, file);
	if (rc < 0)
		return rc;
	for (off = 0; off < bytes && rc == 0 && !td->terminate; off += bs) {
		bs = min(bs, bytes - off);
		fill_io_buffer(td, lane->spare.va, bs, bs);
		rc = file_write(lane, file, bs, off);
	}
	if (rc == 0 && td->o.create_fsync && !td->terminate)
		rc = fe_fsync(lane->q, file->nodeid, file->fh, 0);
	file_close(lane, file);
	if (td->terminate)
		file_unlink(lane, file);
	return rc;
}

/*
 * As fio does with files of its own: what is to be read, or overwritten, is written first, and what
 * is only written begins anew.
 */
static int
file_lay_out(struct thread_data *td, struct lane *lane, struct file *file, uint64_t bytes)
{
	bool appends = td->o.file_append;
	bool is_full = td_read(td) || (td_write(td) && td->o.overwrite && !appends);
	int rc = 0;

	/* Not without need: some servers answer EIO when there is no such name. */
	if (file->nodeid != 0 && (is_full || (td_write(td) && !appends)))
		rc = file_unlink(lane, file);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (file->nodeid == 0)
		rc = td->o.allow_create ? file_make(lane, file) : -ENOENT;
	if (rc == 0 && is_full)
		rc = file_fill(td, lane, file, bytes);
	else if (rc == 0 && td->o.fallocate_mode == FIO_FALLOCATE_TRUNCATE)
		rc = fe_truncate(lane->q, file->nodeid, bytes);
	return rc;
}

int
engine_file_prepare(struct thread_data *td, struct fio_file *f)
{
	uint64_t bytes = f->file_offset + f->io_size;
	struct job *job = td->io_ops_data;
	struct lane *lane;
	int rc;

	if (bytes <= f->real_file_size)
		return 0;
	if (!td->o.create_on_open && !read_only) {
		rc = lane_begin(job, &lane);
		if (rc == 0)
			rc = lane_end(job, lane, file_lay_out(td, lane, f->engine_data, bytes));
		if (rc < 0)
			return file_failed(td, f, rc, "lay out");
	}
	f->real_file_size = bytes;
	return 0;
}

int
engine_file_open(struct thread_data *td, struct fio_file *f)
{
	bool may_make = td->o.allow_create && (td_write(td) || td->o.create_on_open);
	struct file *file;
	int rc;

	file = file_of(td->io_ops_data, f);
	if (file == NULL)
		return file_failed(td, f, -ENOMEM, "open");
	file->flags = td_write(td) && !read_only ? O_RDWR : O_RDONLY;
	file->flags |= td->o.sync_io;
	if (td->o.odirect)
		file->flags |= O_DIRECT;
	/* Another job may have made it anew since. */
	rc = file_call(td, f, file_find);
	if (rc == -ENOENT && may_make && !read_only)
		rc = file_call(td, f, file_make);
	if (rc == 0)
		rc = file_call(td, f, file_open);
	return rc < 0 ? file_failed(td, f, rc, "open") : 0;
}

int
engine_file_close(struct thread_data *td, struct fio_file *f)
{
	return -file_call(td, f, file_close);
}

int
engine_file_unlink(struct thread_data *td, struct fio_file *f)
{
	return -file_call(td, f, file_unlink);
}
