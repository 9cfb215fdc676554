/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdlib.h>

#include "job.h"

struct job *
job_create(struct dev *dev, unsigned int depth)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->dev = dev;
	job->max_slots = depth;
	job->slots = calloc(depth, sizeof(*job->slots));
	job->fresh = calloc(depth, sizeof(*job->fresh));
	job->landed = calloc(depth, sizeof(*job->landed));
	job->events = calloc(depth, sizeof(*job->events));
	if (job->slots == NULL || job->fresh == NULL || job->landed == NULL ||
			job->events == NULL) {
		free(job->slots);
		free(job->fresh);
		free(job->landed);
		free(job->events);
		free(job);
		return NULL;
	}
	return job;
}

int
job_destroy(struct job *job)
{
	struct lane *lane = dev_rc(job->dev) == 0 ? job->lane : NULL;
	unsigned int i;
	int rc;

	while (job->files != NULL) {
		struct file *file = job->files;

		job->files = file->next;
		file_destroy(lane, file);
	}
	for (i = 0; i < job->nb_slots; i++)
		if (!job->slots[i].is_flying)
			fe_req_put(job->slots[i].req);
	/* A lane with requests out there is nobody's any more. */
	if (job->lane != NULL && job->nb_flying == 0)
		dev_give(job->lane);
	rc = dev_put(job->dev);
	free(job->slots);
	free(job->fresh);
	free(job->landed);
	free(job->events);
	free(job);
	return rc;
}

int
job_start(struct job *job)
{
	int rc = dev_rc(job->dev);

	if (rc == 0 && job->lane == NULL) {
		job->lane = dev_take(job->dev);
		rc = job->lane == NULL ? -EBUSY : 0;
	}
	return rc;
}

struct slot *
job_slot(struct job *job, struct io_u *unit)
{
	struct slot *slot = &job->slots[job->nb_slots];
	struct fe_req *req;

	req = job->nb_slots < job->max_slots ? fe_req_get(job->lane->q) : NULL;
	if (req == NULL)
		return NULL;
	job->nb_slots++;
	slot->unit = unit;
	slot->req = req;
	req->priv = (uintptr_t)slot;
	return slot;
}

int
job_lend(struct job *job, struct slot *slot, const void *data, uint64_t len)
{
	const struct fe_buf *all = &job->lane->buffers;
	uint64_t at = (uintptr_t)data - (uintptr_t)all->va;
	struct fe_buf part;

	if ((uintptr_t)data < (uintptr_t)all->va || at > all->len || len > all->len - at)
		return -EFAULT;
	part.va = (uint8_t *)all->va + at;
	part.gpa = all->gpa + at;
	part.len = len;
	fe_req_lend(slot->req, &part);
	return 0;
}

int
job_submit(struct job *job, struct slot *slot)
{
	int rc = dev_rc(job->dev);

	if (rc == 0)
		rc = fe_req_submit(slot->req);
	if (rc == -ENOSPC && job->nb_flying > 0)
		return -EAGAIN;
	if (rc < 0)
		return rc;
	slot->is_flying = true;
	job->nb_flying++;
	job->fresh[job->nb_fresh++] = slot->unit;
	return 0;
}

static void
slot_land(struct job *job, struct slot *slot)
{
	slot->is_flying = false;
	job->nb_flying--;
	job->landed[job->nb_landed++] = slot;
}

/* The answers will not come: fio gets all units back, with the reason. */
static void
job_break(struct job *job, int rc)
{
	unsigned int i;

	dev_fail(job->dev, rc);
	for (i = 0; i < job->nb_slots; i++) {
		struct slot *slot = &job->slots[i];

		if (!slot->is_flying)
			continue;
		slot->req->error = dev_rc(job->dev);
		slot_land(job, slot);
	}
}

/* Takes one answer out of the ring, if there is one. */
static void
job_land(struct job *job)
{
	struct fe_req *req;
	int rc = fe_queue_reap(job->lane->q, &req);

	if (rc < 0)
		job_break(job, rc);
	else if (rc > 0)
		slot_land(job, (struct slot *)(uintptr_t)req->priv);
}

struct slot *
job_reap(struct job *job)
{
	if (job->nb_landed == 0 && job->nb_flying > 0)
		job_land(job);
	return job->nb_landed > 0 ? job->landed[--job->nb_landed] : NULL;
}

void
job_wait(struct job *job)
{
	int rc = fe_queue_wait(job->lane->q);

	if (rc < 0)
		job_break(job, rc);
	else
		job_land(job);
}

void
job_called(struct job *job, struct lane *lane, int rc)
{
	unsigned int i;

	for (i = 0; lane == job->lane && i < job->nb_slots; i++) {
		struct slot *slot = &job->slots[i];

		if (slot->is_flying && slot->req->done)
			slot_land(job, slot);
	}
	/* The ring counts what is out: more than the job knows of is what was waited for. */
	if (rc < 0 && lane->q->in_flight > (lane == job->lane ? job->nb_flying : 0))
		job_break(job, rc);
}
