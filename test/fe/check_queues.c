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

#include "check.h"

/* What becomes of requests: many at once, on many queues, across INIT and memory changes. */

#define DEPTH_BLOCK  4096u
#define DEPTH_BLOCKS 512u
#define QUEUE_ROUNDS 200u

/* Keeps the queue full with reads or writes of every block of a file, in order of completion. */
static int
depth_pass(struct check *c, uint64_t nodeid, uint64_t fh, uint32_t opcode)
{
	unsigned int next = 0, done = 0;
	struct fe_req *req;

	while (done < DEPTH_BLOCKS) {
		while (next < DEPTH_BLOCKS && (req = fe_req_get(c->q)) != NULL) {
			uint64_t off = (uint64_t)next * DEPTH_BLOCK;

			if (opcode == FUSE_WRITE) {
				fe_write_prepare(req, nodeid, fh, DEPTH_BLOCK, off);
				check_fill(req->data.va, DEPTH_BLOCK, 9, off);
			} else {
				fe_read_prepare(req, nodeid, fh, DEPTH_BLOCK, off);
			}
			req->priv = off;
			if (fe_req_submit(req) < 0) {
				fe_req_put(req);
				break;
			}
			next++;
		}
		fe_queue_kick(c->q);
		EXPECT_RC(c, 1, fe_queue_wait(c->q));
		while (fe_queue_reap(c->q, &req) == 1) {
			EXPECT_RC(c, 0, req->error);
			if (opcode == FUSE_READ) {
				EXPECT(c, req->payload == DEPTH_BLOCK);
				EXPECT(c, check_is_filled(req->data.va, DEPTH_BLOCK, 9, req->priv));
			}
			fe_req_put(req);
			done++;
		}
	}
	return 0;
}

static int
queues_depth(struct check *c)
{
	struct fuse_entry_out entry;
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	if (depth_pass(c, entry.nodeid, fh, FUSE_WRITE) < 0 ||
			depth_pass(c, entry.nodeid, fh, FUSE_READ) < 0)
		return -1;
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

struct queue_job {
	struct check *check;
	struct fe_queue *q;
	pthread_t thread;
	int rc;
};

/* Makes, fills, reads, renames and removes files in the directory that all threads share. */
static int
queue_job_round(struct queue_job *job, unsigned int round)
{
	struct fe_queue *q = job->q;
	struct fuse_entry_out entry;
	uint64_t seed = q->index * 1000 + round;
	uint8_t buf[4096];
	char name[32], moved[32];
	uint64_t fh;
	int rc;

	snprintf(name, sizeof(name), "q%u-%u", q->index, round);
	snprintf(moved, sizeof(moved), "m%u-%u", q->index, round);
	rc = fe_create(q, job->check->dir, name, O_RDWR | O_CREAT, S_IFREG | 0644, &entry, &fh);
	if (rc < 0)
		return rc;
	check_fill(buf, sizeof(buf), seed, 0);
	rc = fe_write(q, entry.nodeid, fh, buf, sizeof(buf), 0);
	if (rc == (int)sizeof(buf))
		rc = fe_rename(q, job->check->dir, name, job->check->dir, moved);
	memset(buf, 0, sizeof(buf));
	if (rc == 0)
		rc = fe_read(q, entry.nodeid, fh, buf, sizeof(buf), 0);
	if (rc == (int)sizeof(buf))
		rc = check_is_filled(buf, sizeof(buf), seed, 0) ? 0 : -EBADMSG;
	if (rc == 0)
		rc = fe_unlink(q, job->check->dir, moved);
	if (rc == 0)
		rc = fe_release(q, entry.nodeid, fh);
	fe_forget(q->fs, entry.nodeid, 1);
	return rc;
}

static void *
queue_job_run(void *arg)
{
	struct queue_job *job = arg;
	unsigned int round;

	for (round = 0; round < QUEUE_ROUNDS && job->rc == 0; round++)
		job->rc = queue_job_round(job, round);
	return NULL;
}

static unsigned int
queues_live(const struct check *c)
{
	return c->fs->opts.nb_queues - c->fs->opts.skip_queues;
}

/* Every queue's thread at once; meanwhile() runs beside them. */
static int
queues_run(struct check *c, int (*meanwhile)(struct check *c))
{
	struct queue_job *jobs = calloc(queues_live(c), sizeof(*jobs));
	unsigned int i, nb = 0;
	int rc = 0;

	EXPECT(c, jobs != NULL);
	for (i = 0; i < queues_live(c); i++) {
		jobs[i].check = c;
		jobs[i].q = &c->fs->queue[1 + i];
		if (pthread_create(&jobs[i].thread, NULL, queue_job_run, &jobs[i]) != 0)
			break;
		nb++;
	}
	if (meanwhile != NULL)
		rc = meanwhile(c);
	for (i = 0; i < nb; i++) {
		pthread_join(jobs[i].thread, NULL);
		if (jobs[i].rc != 0 && rc == 0)
			rc = check_fail(c, __FILE__, __LINE__, "work on a queue", jobs[i].rc);
	}
	free(jobs);
	return rc;
}

static int
queues_parallel(struct check *c)
{
	return queues_run(c, NULL);
}

static int
plug_and_unplug(struct check *c)
{
	unsigned int i;

	for (i = 0; i < 20; i++) {
		EXPECT_RC(c, 0, fe_mem_plug(&c->fs->mem, 1 << 20));
		EXPECT_RC(c, 0, fe_conn_set_mem(&c->fs->conn, &c->fs->mem));
		fe_mem_unplug(&c->fs->mem);
		EXPECT_RC(c, 0, fe_conn_set_mem(&c->fs->conn, &c->fs->mem));
	}
	return 0;
}

/* Memory hot-plug: the table changes while requests are in flight on every queue. */
static int
queues_memory_change(struct check *c)
{
	return queues_run(c, plug_and_unplug);
}

/* Unmount and mount again on live rings, as a guest does without any reset. */
static int
queues_init_again(struct check *c)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	unsigned int i;
	uint64_t fh;
	char name[64];

	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "left-open-%u", i);
		EXPECT_RC(c, 0, check_create(c, name, &entry, &fh));
		EXPECT_RC(c, 0, fe_fs_destroy(c->fs));
		/* After DESTROY there is no session: nothing but an error can be the answer. */
		EXPECT(c, fe_getattr(c->q, FE_ROOT, &attr) < 0);
		EXPECT_RC(c, 0, fe_fs_init(c->fs));
		EXPECT_RC(c, 0, fe_getattr(c->q, FE_ROOT, &attr));
		snprintf(name, sizeof(name), "check-%d-queues-init-again", getpid());
		EXPECT_RC(c, 0, fe_lookup(c->q, FE_ROOT, name, &entry));
		c->dir = entry.nodeid;
	}
	return 0;
}

static int
queues_batch_forget(struct check *c)
{
	struct fuse_batch_forget_in *in;
	struct fuse_forget_one *one;
	struct fuse_entry_out entry;
	struct fe_req *req;
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 0, fe_release(c->q, entry.nodeid, fh));
	req = fe_req_get(c->q);
	in = fe_req_init(req, FUSE_BATCH_FORGET, 0, sizeof(*in) + 2 * sizeof(*one));
	in->count = 2;
	one = (void *)(in + 1);
	one[0].nodeid = entry.nodeid;
	one[0].nlookup = 1;
	EXPECT_RC(c, 0, fe_req_call(req));
	fe_req_put(req);
	EXPECT_RC(c, 0, fe_lookup(c->q, c->dir, "file", &entry));
	fe_forget(c->fs, entry.nodeid, 1);
	return 0;
}

/* Linux's virtio-fs never sends it. It is not answered by FUSE's rules, or with an error. */
static int
queues_interrupt(struct check *c)
{
	struct fe_req *req = fe_req_get(c->q);
	struct fuse_interrupt_in *in = fe_req_init(req, FUSE_INTERRUPT, 0, sizeof(*in));
	struct fe_req *done = NULL;
	struct fuse_attr attr;
	void *token;
	uint32_t len;

	in->unique = 12345;
	EXPECT_RC(c, 0, fe_req_submit(req));
	fe_queue_kick(c->q);
	EXPECT_RC(c, 1, fe_queue_wait(c->q));
	EXPECT_RC(c, 1, fe_ring_pop(&c->q->ring, &token, &len));
	c->q->in_flight--;
	done = token;
	EXPECT(c, done == req && (len == 0 || len == sizeof(struct fuse_out_header)));
	fe_req_put(req);
	EXPECT_RC(c, 0, fe_getattr(c->q, FE_ROOT, &attr));
	return 0;
}

/* VMMs tell the call eventfd anew on every mask and unmask; an old one must not be kept. */
static int
queues_new_call(struct check *c)
{
	struct fuse_attr attr;
	unsigned int i, j;

	for (i = 0; i < 20; i++) {
		for (j = 1; j <= queues_live(c); j++) {
			EXPECT_RC(c, 0, fe_ring_new_call(&c->fs->queue[j].ring));
			EXPECT_RC(c, 0, fe_conn_ring_call(&c->fs->conn, j, &c->fs->queue[j].ring));
		}
		for (j = 1; j <= queues_live(c); j++)
			EXPECT_RC(c, 0, fe_getattr(&c->fs->queue[j], FE_ROOT, &attr));
	}
	return 0;
}

/* A ring that is stopped and started goes on where it stood; the session stays. */
static int
queues_stop_and_start(struct check *c)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	unsigned int i, j;
	uint16_t base;
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	for (i = 0; i < 5; i++) {
		for (j = 1; j <= queues_live(c); j++) {
			struct fe_ring *ring = &c->fs->queue[j].ring;

			EXPECT_RC(c, 0, fe_conn_ring_stop(&c->fs->conn, j, &base));
			EXPECT(c, base == ring->avail_idx);
			ring->base = base;
			EXPECT_RC(c, 0, fe_conn_ring_start(&c->fs->conn, j, ring));
			EXPECT_RC(c, 0, fe_getattr(&c->fs->queue[j], entry.nodeid, &attr));
		}
	}
	EXPECT_RC(c, 1, fe_write(c->q, entry.nodeid, fh, "x", 1, 0));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

const struct check_case check_queue_cases[] = {
	{ "queues-depth", queues_depth },
	{ "queues-parallel", queues_parallel },
	{ "queues-memory-change", queues_memory_change },
	{ "queues-new-call", queues_new_call },
	{ "queues-stop-and-start", queues_stop_and_start },
	{ "queues-batch-forget", queues_batch_forget },
	{ "queues-interrupt", queues_interrupt },
	{ "queues-init-again", queues_init_again },
	{ NULL, NULL },
};
