/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

static int
failed(int rc, const char *what)
{
	fprintf(stderr, "weir-perf: cannot %s: %s\n", what, strerror(-rc));
	return rc;
}

static int
data_fill(struct load *load, const struct work_data *data)
{
	struct fe_queue *q = &load->fs.queue[1];
	uint64_t size = load->opts->file_size;
	uint32_t step = fe_fs_max_io(&load->fs) & ~7u;
	uint8_t *buf = calloc(1, step);
	uint64_t off = 0;
	int rc = 0;

	while (off < size && rc >= 0 && buf != NULL) {
		uint32_t len = size - off < step ? size - off : step;

		verify_fill(load->opts->seed, buf, len, off, 0);
		rc = fe_write(q, data->nodeid, data->fh, buf, len, off);
		off += rc > 0 ? rc : 0;
		if (rc == 0)
			rc = -EIO;
	}
	free(buf);
	return buf == NULL ? -ENOMEM : rc < 0 ? rc : 0;
}

static void
data_name(const struct work *work, unsigned int i, char name[WORK_NAME_BYTES])
{
	snprintf(name, WORK_NAME_BYTES, "%s.data%u", work->prefix, i);
}

static int
data_make_one(struct load *load)
{
	struct work *work = &load->work;
	struct work_data *data = &work->data[work->nb_data];
	struct fuse_entry_out entry;
	char name[WORK_NAME_BYTES];
	int rc;

	data_name(work, work->nb_data, name);
	rc = fe_create(&load->fs.queue[1], work->dir, name, O_RDWR | O_CREAT | O_EXCL,
			S_IFREG | 0644, &entry, &data->fh);
	if (rc < 0)
		return failed(rc, "create the file");
	data->nodeid = entry.nodeid;
	work->nb_data++;
	rc = data_fill(load, data);
	return rc < 0 ? failed(rc, "fill the file") : 0;
}

static int
data_make(struct load *load)
{
	unsigned int nb = load->opts->file_each ? load->opts->queues : 1;
	int rc = 0;

	if (load->opts->block > fe_fs_max_io(&load->fs)) {
		fprintf(stderr, "weir-perf: this device and ring take at most %u bytes (--bs)\n",
				fe_fs_max_io(&load->fs));
		return -EMSGSIZE;
	}
	while (rc == 0 && load->work.nb_data < nb)
		rc = data_make_one(load);
	return rc;
}

/* A directory for the set of files, or --dir itself where the server makes no directories. */
static int
set_make_dir(struct load *load)
{
	struct fe_queue *q = &load->fs.queue[1];
	struct work *work = &load->work;
	struct fuse_entry_out entry;
	char name[WORK_NAME_BYTES];
	int rc;

	snprintf(name, sizeof(name), "%s.set", work->prefix);
	rc = fe_mkdir(q, work->dir, name, 0755, &entry);
	work->set_dir = rc == 0 ? entry.nodeid : work->dir;
	work->has_set_dir = rc == 0;
	return rc == -ENOSYS || rc == -EPERM || rc == -EOPNOTSUPP ? 0 : rc;
}

static int
set_make(struct load *load)
{
	struct fe_queue *q = &load->fs.queue[1];
	struct work *work = &load->work;
	struct fuse_entry_out entry;
	uint64_t fh;
	int rc;

	rc = set_make_dir(load);
	if (rc < 0)
		return failed(rc, "make a directory");

	work->files = calloc(load->opts->files, sizeof(*work->files));
	work->names = calloc(load->opts->files, sizeof(*work->names));
	if (work->files == NULL || work->names == NULL)
		return failed(-ENOMEM, "make the set of files");

	while (work->nb_files < load->opts->files) {
		char *name = work->names[work->nb_files];

		if (work->has_set_dir)
			snprintf(name, sizeof(*work->names), "f%u", work->nb_files);
		else
			snprintf(name, sizeof(*work->names), "%s.f%u", work->prefix,
					work->nb_files);
		rc = fe_create(q, work->set_dir, name, O_RDWR | O_CREAT | O_EXCL, S_IFREG | 0644,
				&entry, &fh);
		if (rc < 0)
			return failed(rc, "make the set of files");
		work->files[work->nb_files++] = entry.nodeid;
		fe_release(q, entry.nodeid, fh);
	}
	return 0;
}

int
setup_files(struct load *load)
{
	struct work *work = &load->work;
	struct fuse_entry_out entry;
	int rc;

	snprintf(work->prefix, sizeof(work->prefix), "weir-perf-%d", getpid());
	rc = fe_walk(&load->fs.queue[1], load->opts->dir, &entry);
	if (rc < 0) {
		fprintf(stderr, "weir-perf: %s: %s\n", load->opts->dir, strerror(-rc));
		return rc;
	}
	work->dir = entry.nodeid;
	if (load->trace != NULL)
		return replay_setup(load);
	if (opts_use_data(load->opts))
		rc = data_make(load);
	if (rc == 0 && opts_use_set(load->opts))
		rc = set_make(load);
	return rc;
}

void
setup_clean(struct load *load)
{
	struct fe_queue *q = &load->fs.queue[1];
	struct work *work = &load->work;
	char name[WORK_NAME_BYTES];
	unsigned int i, j;

	if (load->trace != NULL)
		replay_clean(load);
	for (i = 0; i < work->nb_data; i++) {
		data_name(work, i, name);
		fe_release(q, work->data[i].nodeid, work->data[i].fh);
		fe_unlink(q, work->dir, name);
		fe_forget(&load->fs, work->data[i].nodeid, 1);
	}
	for (i = 0; i < work->nb_files; i++) {
		uint64_t nb = 1;

		for (j = 0; j < load->nb_threads; j++)
			nb += load->threads[j].lookups != NULL ? load->threads[j].lookups[i] : 0;
		fe_unlink(q, work->set_dir, work->names[i]);
		fe_forget(&load->fs, work->files[i], nb);
	}
	if (work->has_set_dir) {
		snprintf(name, sizeof(name), "%s.set", work->prefix);
		fe_rmdir(q, work->dir, name);
		fe_forget(&load->fs, work->set_dir, 1);
	}
	if (work->dir > FE_ROOT)
		fe_forget(&load->fs, work->dir, 1);
}

void
setup_free(struct load *load)
{
	free(load->work.files);
	free(load->work.names);
}
