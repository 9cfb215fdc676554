/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_loop.h"
#include "weir_rpc.h"

#include "eal.h"
#include "fs_client.h"

int
fsc_start(const char *lcores)
{
	const struct weir_workers_cfg cfg = { .idle = WEIR_IDLE_ADAPTIVE, .spin_us = 20 };

	weir_role_assume_control();
	if (test_eal_init(lcores) < 0)
		return -1;
	return weir_loop_init() < 0 || weir_workers_start(&cfg) < 0 ? -1 : 0;
}

void
fsc_stop(void)
{
	weir_role_assume_control();
	weir_workers_stop();
	weir_loop_fini();
	test_eal_fini();
}

void
fsc_poll(void)
{
	weir_role_assume_control();
	weir_loop_poll(10);
	weir_fsdevs_maintain();
}

struct rpc_answer {
	bool done;
	int code;
	char *message;
	json_t *result;
};

static void
rpc_done(void *arg, int code, json_t *result, const char *message)
{
	struct rpc_answer *answer = arg;

	answer->done = true;
	answer->code = code;
	answer->result = json_incref(result);
	if (code != 0)
		snprintf(answer->message, 512, "%s", message);
}

static struct rpc_answer
rpc_call(const char *method, const char *params, char *message)
{
	struct rpc_answer answer = { .message = message };
	json_t *json = json_loads(params, 0, NULL);

	weir_role_assume_control();
	assert(json != NULL);
	weir_role_assume_control();
	message[0] = '\0';
	weir_rpc_invoke(method, json, rpc_done, &answer);
	while (!answer.done)
		fsc_poll();
	json_decref(json);
	return answer;
}

int
fsc_rpc(const char *method, const char *params, char message[512])
{
	struct rpc_answer answer = rpc_call(method, params, message);

	json_decref(answer.result);
	return answer.code;
}

int64_t
fsc_info(const char *fsdev, const char *key)
{
	char params[512], message[512];
	struct rpc_answer answer;
	json_t *value;
	int64_t number = -1;

	snprintf(params, sizeof(params), "{\"name\": \"%s\"}", fsdev);
	answer = rpc_call("fsdev_get_fsdevs", params, message);
	value = json_object_get(json_object_get(answer.result, "module_specific"), key);
	if (json_is_integer(value))
		number = json_integer_value(value);
	else if (json_is_boolean(value))
		number = json_boolean_value(value);
	json_decref(answer.result);
	return number;
}

void
fsc_open_session(struct fs_client *c, struct weir_fsdev *dev)
{
	struct weir_memmap_src src = { .gpa = 0, .size = FSC_MEM_BYTES };
	int rc;

	*c = (struct fs_client){ .dev = dev };
	src.fd = memfd_create("guest", MFD_CLOEXEC);
	rc = ftruncate(src.fd, FSC_MEM_BYTES);
	assert(rc == 0);
	rc = weir_memmap_create(&src, 1, &c->map);
	assert(rc == 0);
	close(src.fd);
	c->mem = c->map->regions[0].addr;
}

void
fsc_close_session(struct fs_client *c)
{
	weir_memmap_put(c->map);
}

void
fsc_iov(struct fs_client *c, struct weir_iov *iov, size_t off, size_t n, size_t first_bytes,
		size_t seg_bytes)
{
	size_t len = RTE_MIN(first_bytes, n);
	uint32_t nb = 0;

	for (; n > 0; off += len, n -= len, len = RTE_MIN(seg_bytes, n)) {
		assert(nb < FSC_MAX_SEGS && off + len <= FSC_MEM_BYTES);
		c->segs[nb++] = (struct weir_seg){ .off = off, .len = (uint32_t)len };
	}
	weir_iov_init(iov, c->map, c->segs, nb);
}

static void
call_heard(struct weir_post *post)
{
	struct fsc_call *call = container_of(post, struct fsc_call, post);

	call->heard = true;
}

/* The post wakes control, which waits for it in fsc_wait(). */
static void
call_done(struct weir_fsreq *req, int res)
{
	struct fsc_call *call = container_of(req, struct fsc_call, req);

	call->res = res;
	atomic_store(&call->done, true);
	call->post.fn = call_heard;
	weir_loop_post(&call->post);
}

static void WEIR_ON_WORKER
call_submit(struct weir_msg *msg)
{
	struct fsc_call *call = container_of(msg, struct fsc_call, msg);

	weir_role_assume_worker();
	call->req.chan = weir_fsdev_channel(call->dev);
	weir_fsdev_submit(&call->req);
}

void
fsc_submit(struct fs_client *c, struct fsc_call *call)
{
	call->dev = c->dev;
	call->worker = weir_worker_at(c->worker);
	call->req.cred = c->cred;
	call->req.flags |= c->flags;
	call->req.done = call_done;
	call->msg.fn = call_submit;
	/* What a driver finds in its context is nobody's promise. */
	memset(call->req.ctx, 0xa5, sizeof(call->req.ctx));
	call->heard = false;
	atomic_store(&call->done, false);
	atomic_store(&call->fenced, false);
	weir_worker_send(call->worker, &call->msg);
}

static void
call_fenced(struct weir_fsreq *req)
{
	struct fsc_call *call = container_of(req, struct fsc_call, req);

	atomic_store(&call->fenced, true);
}

static void
call_detach(void *arg)
{
	struct fsc_call *call = arg;

	weir_role_assume_worker();
	if (atomic_load(&call->done))
		atomic_store(&call->fenced, true);
	else
		weir_fsdev_detach(&call->req, call_fenced);
}

void
fsc_detach(struct fsc_call *call)
{
	weir_worker_sync(call->worker, call_detach, call);
}

static void
flush_worker(void *arg)
{
}

int
fsc_wait(struct fsc_call *call)
{
	while (!call->heard)
		fsc_poll();
	/* done() has been entered; when this is through it has returned. */
	weir_worker_sync(call->worker, flush_worker, NULL);
	return call->res;
}

int
fsc_run(struct fs_client *c, struct fsc_call *call)
{
	fsc_submit(c, call);
	return fsc_wait(call);
}

void
fsc_put(struct fs_client *c, struct weir_node *node)
{
	weir_node_put(c->dev, node);
}

static int
run_entry(struct fs_client *c, struct fsc_call *call, struct weir_entry *entry)
{
	int res = fsc_run(c, call);

	if (res == 0)
		*entry = call->req.out.entry;
	return res;
}

int
fsc_lookup(struct fs_client *c, struct weir_node *dir, const char *name, struct weir_entry *entry)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_LOOKUP, .node = dir, .name = name } };

	return run_entry(c, &call, entry);
}

int
fsc_make(struct fs_client *c, enum weir_fsop op, struct weir_node *dir, const char *name,
		uint32_t mode, uint32_t rdev, struct weir_entry *entry)
{
	struct fsc_call call = { .req = { .op = op, .node = dir, .name = name } };

	call.req.in.create.mode = mode;
	call.req.in.create.umask = c->umask;
	call.req.in.create.rdev = rdev;
	return run_entry(c, &call, entry);
}

int
fsc_symlink(struct fs_client *c, struct weir_node *dir, const char *name, const char *target,
		struct weir_entry *entry)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_SYMLINK, .node = dir, .name = name, .newname = target },
	};

	return run_entry(c, &call, entry);
}

int
fsc_remove(struct fs_client *c, enum weir_fsop op, struct weir_node *dir, const char *name)
{
	struct fsc_call call = { .req = { .op = op, .node = dir, .name = name } };

	return fsc_run(c, &call);
}

int
fsc_rename(struct fs_client *c, struct weir_node *dir, const char *name, struct weir_node *newdir,
		const char *newname, uint32_t flags)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_RENAME,
				.node = dir,
				.newnode = newdir,
				.name = name,
				.newname = newname },
	};

	call.req.in.rename.flags = flags;
	return fsc_run(c, &call);
}

int
fsc_link(struct fs_client *c, struct weir_node *node, struct weir_node *dir, const char *name)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_LINK, .node = dir, .newnode = node, .name = name },
	};
	struct weir_entry entry;
	int res = run_entry(c, &call, &entry);

	if (res == 0)
		fsc_put(c, entry.node);
	return res;
}

static int
run_attr(struct fs_client *c, struct fsc_call *call, struct weir_attr *attr)
{
	int res = fsc_run(c, call);

	if (res == 0)
		*attr = call->req.out.attr.attr;
	return res;
}

int
fsc_getattr(struct fs_client *c, struct weir_node *node, struct weir_file *file,
		struct weir_attr *attr)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_GETATTR, .node = node, .file = file } };

	return run_attr(c, &call, attr);
}

int
fsc_setattr(struct fs_client *c, struct weir_node *node, uint32_t valid,
		const struct weir_attr *set, struct weir_attr *attr)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_SETATTR, .node = node } };

	call.req.in.setattr.valid = valid;
	call.req.in.setattr.attr = *set;
	return run_attr(c, &call, attr);
}

int
fsc_readlink(struct fs_client *c, struct weir_node *node, char target[PATH_MAX])
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_READLINK, .node = node } };
	int res;

	fsc_iov(c, &call.req.iov, 0, PATH_MAX - 1, 1000, 1000);
	res = fsc_run(c, &call);
	if (res >= 0) {
		memcpy(target, c->mem, (size_t)res);
		target[res] = '\0';
	}
	return res;
}

int
fsc_access(struct fs_client *c, struct weir_node *node, uint32_t mask)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_ACCESS, .node = node } };

	call.req.in.access.mask = mask;
	return fsc_run(c, &call);
}

static struct weir_file *
file_new(struct fs_client *c, uint32_t flags)
{
	struct weir_file *file = calloc(1, weir_fsdev_file_size(c->dev));

	assert(file != NULL);
	file->flags = flags;
	return file;
}

int
fsc_open(struct fs_client *c, enum weir_fsop op, struct weir_node *node, uint32_t flags,
		struct weir_file **file)
{
	struct fsc_call call = {
		.req = { .op = op, .node = node, .file = file_new(c, flags) },
	};
	int res = fsc_run(c, &call);

	if (res == 0)
		*file = call.req.file;
	else
		free(call.req.file);
	return res;
}

int
fsc_create(struct fs_client *c, struct weir_node *dir, const char *name, uint32_t flags,
		uint32_t mode, struct weir_entry *entry, struct weir_file **file)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_CREATE,
				.node = dir,
				.name = name,
				.file = file_new(c, flags) },
	};
	int res;

	call.req.in.create.mode = mode;
	call.req.in.create.umask = c->umask;
	res = run_entry(c, &call, entry);
	if (res == 0)
		*file = call.req.file;
	else
		free(call.req.file);
	return res;
}

int
fsc_release(struct fs_client *c, enum weir_fsop op, struct weir_node *node, struct weir_file *file)
{
	struct fsc_call call = { .req = { .op = op, .node = node, .file = file } };
	int res = fsc_run(c, &call);

	free(file);
	return res;
}

int
fsc_fsync(struct fs_client *c, struct weir_node *node, struct weir_file *file, uint32_t flags)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_FSYNC, .node = node, .file = file, .flags = flags },
	};

	return fsc_run(c, &call);
}

int
fsc_io(struct fs_client *c, enum weir_fsop op, struct weir_node *node, struct weir_file *file,
		uint64_t off, uint32_t len, size_t mem_off, size_t seg_bytes)
{
	struct fsc_call call = { .req = { .op = op, .node = node, .file = file } };

	call.req.in.io.off = off;
	call.req.in.io.len = len;
	call.req.in.io.flags = file->flags;
	fsc_iov(c, &call.req.iov, mem_off, len, seg_bytes, seg_bytes);
	return fsc_run(c, &call);
}

struct readdir_call {
	struct fsc_call call;
	struct fs_client *c;
	unsigned int left;
	void (*see)(void *arg, const struct weir_dirent *dirent);
	void *arg;
};

static int
readdir_emit(struct weir_fsreq *req, const struct weir_dirent *dirent)
{
	struct readdir_call *r = container_of(req, struct readdir_call, call.req);

	if (r->left == 0)
		return -ENOSPC;
	r->left--;
	r->see(r->arg, dirent);
	if (dirent->entry != NULL && dirent->entry->node != NULL)
		fsc_put(r->c, dirent->entry->node);
	return 0;
}

int
fsc_readdir(struct fs_client *c, struct weir_node *dir, struct weir_file *file, uint64_t off,
		unsigned int max, uint32_t flags,
		void (*see)(void *arg, const struct weir_dirent *dirent), void *arg)
{
	struct readdir_call r = {
		.call.req = { .op = WEIR_FSOP_READDIR,
				.node = dir,
				.file = file,
				.flags = flags,
				.emit = readdir_emit },
		.c = c,
		.left = max,
		.see = see,
		.arg = arg,
	};

	r.call.req.in.io.off = off;
	r.call.req.in.io.len = 32768;
	fsc_iov(c, &r.call.req.iov, 0, 32768, 4096, 4096);
	return fsc_run(c, &r.call);
}
