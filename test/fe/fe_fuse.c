/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fe_fuse.h"

/* Between two looks at the connection while an answer is awaited. */
#define QUEUE_WAIT_MS 100

static const char *const opcode_names[FE_NB_OPCODES] = {
	[FUSE_LOOKUP] = "LOOKUP",
	[FUSE_FORGET] = "FORGET",
	[FUSE_GETATTR] = "GETATTR",
	[FUSE_SETATTR] = "SETATTR",
	[FUSE_READLINK] = "READLINK",
	[FUSE_SYMLINK] = "SYMLINK",
	[FUSE_MKNOD] = "MKNOD",
	[FUSE_MKDIR] = "MKDIR",
	[FUSE_UNLINK] = "UNLINK",
	[FUSE_RMDIR] = "RMDIR",
	[FUSE_RENAME] = "RENAME",
	[FUSE_LINK] = "LINK",
	[FUSE_OPEN] = "OPEN",
	[FUSE_READ] = "READ",
	[FUSE_WRITE] = "WRITE",
	[FUSE_STATFS] = "STATFS",
	[FUSE_RELEASE] = "RELEASE",
	[FUSE_FSYNC] = "FSYNC",
	[FUSE_SETXATTR] = "SETXATTR",
	[FUSE_GETXATTR] = "GETXATTR",
	[FUSE_LISTXATTR] = "LISTXATTR",
	[FUSE_REMOVEXATTR] = "REMOVEXATTR",
	[FUSE_FLUSH] = "FLUSH",
	[FUSE_INIT] = "INIT",
	[FUSE_OPENDIR] = "OPENDIR",
	[FUSE_READDIR] = "READDIR",
	[FUSE_RELEASEDIR] = "RELEASEDIR",
	[FUSE_FSYNCDIR] = "FSYNCDIR",
	[FUSE_GETLK] = "GETLK",
	[FUSE_SETLK] = "SETLK",
	[FUSE_SETLKW] = "SETLKW",
	[FUSE_ACCESS] = "ACCESS",
	[FUSE_CREATE] = "CREATE",
	[FUSE_INTERRUPT] = "INTERRUPT",
	[FUSE_DESTROY] = "DESTROY",
	[FUSE_IOCTL] = "IOCTL",
	[FUSE_POLL] = "POLL",
	[FUSE_BATCH_FORGET] = "BATCH_FORGET",
	[FUSE_FALLOCATE] = "FALLOCATE",
	[FUSE_READDIRPLUS] = "READDIRPLUS",
	[FUSE_RENAME2] = "RENAME2",
	[FUSE_LSEEK] = "LSEEK",
	[FUSE_COPY_FILE_RANGE] = "COPY_FILE_RANGE",
	[FUSE_SYNCFS] = "SYNCFS",
	[FUSE_TMPFILE] = "TMPFILE",
};

const char *
fe_opcode_name(uint32_t opcode)
{
	return opcode < FE_NB_OPCODES ? opcode_names[opcode] : NULL;
}

void
fe_fault(struct fe_fs *fs, const char *fmt, ...)
{
	char text[FE_FAULT_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);

	pthread_mutex_lock(&fs->fault_lock);
	if (fs->fault[0] == '\0')
		memcpy(fs->fault, text, sizeof(fs->fault));
	pthread_mutex_unlock(&fs->fault_lock);
}

struct fe_req *
fe_req_get(struct fe_queue *queue)
{
	struct fe_req *req = queue->free;

	if (req != NULL)
		queue->free = req->next;
	return req;
}

void
fe_req_put(struct fe_req *req)
{
	req->next = req->queue->free;
	req->queue->free = req;
}

void *
fe_req_init(struct fe_req *req, uint32_t opcode, uint64_t nodeid, uint32_t arg_len)
{
	struct fuse_in_header *in = fe_req_in(req);
	struct fuse_out_header *out = fe_req_out(req);

	memset(in, 0, sizeof(*in));
	in->opcode = opcode;
	in->nodeid = nodeid;
	in->uid = req->queue->uid;
	in->gid = req->queue->gid;
	in->pid = req->queue->pid;
	/* Odd numbers are interrupts' in Linux; the queue's number keeps them apart. */
	in->unique = (++req->queue->unique << 9 | req->queue->index) << 1;
	memset(out, 0xee, sizeof(*out));
	memset(req->arg.va, 0, arg_len);

	req->arg_len = arg_len;
	req->data_in = 0;
	req->res_room = 0;
	req->data_out = 0;
	req->error = 0;
	req->payload = 0;
	req->done = false;
	return req->arg.va;
}

/* Cuts one buffer into segments: at page borders like Linux, or every piece bytes. */
static unsigned int
sg_add(struct fe_queue *queue, unsigned int n, uint64_t gpa, uint32_t len)
{
	uint32_t piece = queue->fs->opts.piece;

	while (len > 0 && n < queue->max_sg) {
		uint32_t part = piece != 0 ? piece : FE_PAGE - (uint32_t)(gpa % FE_PAGE);

		if (part > len)
			part = len;
		queue->sg[n].gpa = gpa;
		queue->sg[n].len = part;
		n++;
		gpa += part;
		len -= part;
	}
	return n;
}

/* Lays a request out in segments and adds it to the ring. */
static int
req_add(struct fe_req *req, bool answered)
{
	struct fe_queue *queue = req->queue;
	unsigned int nb_read, nb;

	nb_read = sg_add(queue, 0, req->head.gpa, sizeof(struct fuse_in_header));
	nb_read = sg_add(queue, nb_read, req->arg.gpa, req->arg_len);
	nb_read = sg_add(queue, nb_read, req->data.gpa, req->data_in);
	nb = nb_read;
	if (answered) {
		nb = sg_add(queue, nb, req->head.gpa + 64, sizeof(struct fuse_out_header));
		nb = sg_add(queue, nb, req->arg.gpa + FE_ARG_BYTES, req->res_room);
		nb = sg_add(queue, nb, req->data.gpa, req->data_out);
	}
	if (nb == queue->max_sg)
		return -ENOSPC;

	if (queue->fs->opts.keep_tables && nb > 1 && (queue->ring.flags & FE_RING_INDIRECT))
		req->laid_nb = nb;
	return fe_ring_add(&queue->ring, queue->sg, nb_read, nb - nb_read, &req->table, req);
}

int
fe_req_submit(struct fe_req *req)
{
	struct fe_queue *queue = req->queue;
	struct fuse_in_header *in = fe_req_in(req);
	/* FORGET has no answer and no room for one. */
	bool answered = in->opcode != FUSE_FORGET && in->opcode != FUSE_BATCH_FORGET;
	const uint64_t shape[2] = {
		(uint64_t)req->arg_len << 32 | req->data_in,
		(uint64_t)req->res_room << 33 | (uint64_t)req->data_out << 1 | answered,
	};
	int rc;

	in->len = sizeof(*in) + req->arg_len + req->data_in;

	/* The buffers are always the same: a table serves until the request has another shape. */
	if (req->laid_nb > 0 && shape[0] == req->laid_shape[0] && shape[1] == req->laid_shape[1]) {
		rc = fe_ring_add_table(&queue->ring, &req->table, req->laid_nb, req);
	} else {
		req->laid_shape[0] = shape[0];
		req->laid_shape[1] = shape[1];
		rc = req_add(req, answered);
	}
	if (rc < 0)
		return rc;

	queue->in_flight++;
	if (in->opcode < FE_NB_OPCODES)
		queue->count[in->opcode].sent++;
	return 0;
}

void
fe_queue_kick(struct fe_queue *queue)
{
	fe_ring_publish(&queue->ring);
}

/* What a guest relies on, and kernels before 6.18 do not check. @return a rule's name or NULL. */
static const char *
answer_broken_rule(const struct fe_req *req, uint32_t used_len)
{
	const struct fuse_in_header *in = fe_req_in(req);
	const struct fuse_out_header *out = fe_req_out(req);

	if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET)
		return used_len == 0 ? NULL : "a FORGET was answered";
	if (used_len < sizeof(*out))
		return "used length is shorter than a header";
	if (out->len != used_len)
		return "out_header.len and the used length differ";
	if (out->len > sizeof(*out) + req->res_room + req->data_out)
		return "answer is longer than its room";
	if (out->unique != in->unique)
		return "unique is not the request's";
	if (out->error > 0 || out->error <= -512)
		return "error is out of range";
	if (out->error != 0 && out->len != sizeof(*out))
		return "an error came with a payload";
	return NULL;
}

static int
req_complete(struct fe_req *req, uint32_t used_len)
{
	struct fe_queue *queue = req->queue;
	const struct fuse_in_header *in = fe_req_in(req);
	const struct fuse_out_header *out = fe_req_out(req);
	const char *rule = answer_broken_rule(req, used_len);
	struct fe_count *count;

	queue->in_flight--;
	req->done = true;
	if (rule != NULL) {
		fe_fault(queue->fs, "opcode %u: %s (used %u, len %u, error %d)", in->opcode, rule,
				used_len, out->len, out->error);
		req->error = -EPROTO;
		return -EPROTO;
	}

	if (used_len >= sizeof(*out)) {
		req->error = out->error;
		req->payload = used_len - sizeof(*out);
	}
	if (in->opcode < FE_NB_OPCODES) {
		count = &queue->count[in->opcode];
		count->errors += req->error != 0;
		if (in->opcode == FUSE_READ)
			count->bytes += req->payload;
		else if (in->opcode == FUSE_WRITE && req->error == 0)
			count->bytes += ((struct fuse_write_out *)fe_req_res(req))->size;
	}
	return 1;
}

int
fe_queue_reap(struct fe_queue *queue, struct fe_req **out)
{
	void *token;
	uint32_t len;
	int rc;

	rc = fe_ring_pop(&queue->ring, &token, &len);
	if (rc == 0)
		return 0;
	if (rc < 0) {
		fe_fault(queue->fs, "queue %u: a used entry that was not in flight", queue->index);
		return rc;
	}
	*out = token;
	return req_complete(token, len);
}

int
fe_queue_wait(struct fe_queue *queue)
{
	unsigned int left = queue->fs->opts.timeout_ms;

	while (fe_ring_wait(&queue->ring, QUEUE_WAIT_MS) == 0) {
		if (fe_conn_is_closed(&queue->fs->conn))
			return -ECONNRESET;
		if (left <= QUEUE_WAIT_MS)
			return -ETIMEDOUT;
		left -= QUEUE_WAIT_MS;
	}
	if (queue->ring.nb_missed > 0)
		fe_fault(queue->fs, "queue %u: %llu interrupts are missing", queue->index,
				(unsigned long long)queue->ring.nb_missed);
	return 1;
}

int
fe_req_call(struct fe_req *req)
{
	struct fe_req *other;
	int rc;

	rc = fe_req_submit(req);
	if (rc < 0)
		return rc;

	fe_queue_kick(req->queue);
	while (!req->done) {
		rc = fe_queue_wait(req->queue);
		if (rc > 0)
			rc = fe_queue_reap(req->queue, &other);
		if (rc < 0)
			return rc;
	}
	return req->error;
}

struct fe_count
fe_fs_count(const struct fe_fs *fs, uint32_t opcode)
{
	struct fe_count sum = { 0 };
	unsigned int i;

	for (i = 0; i <= fs->opts.nb_queues; i++) {
		const struct fe_count *count = &fs->queue[i].count[opcode];

		sum.sent += count->sent;
		sum.errors += count->errors;
		sum.bytes += count->bytes;
	}
	return sum;
}
