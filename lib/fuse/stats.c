/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <sys/mman.h>

#include <rte_cycles.h>

#include "fuse.h"

static const char *const fault_names[FUSE_NB_FAULTS] = {
	[FUSE_FAULT_SHORT] = "bad_length",
	[FUSE_FAULT_OPCODE] = "unknown_opcode",
	[FUSE_FAULT_UNMOUNTED] = "not_mounted",
	[FUSE_FAULT_ARGS] = "bad_arguments",
	[FUSE_FAULT_NAME] = "bad_name",
	[FUSE_FAULT_EXT] = "bad_extension",
	[FUSE_FAULT_ROOM] = "no_room",
	[FUSE_FAULT_NODE] = "stale_node",
	[FUSE_FAULT_FILE] = "bad_file",
	[FUSE_FAULT_FORGET] = "forget_excess",
	[FUSE_FAULT_BACKEND] = "bad_backend_result",
	[FUSE_FAULT_WAITERS] = "too_many_waiters",
	[FUSE_FAULT_BACKOFF] = "backoff",
};

static const struct {
	uint64_t flag;
	const char *name;
} flag_names[] = {
	{ FUSE_ASYNC_READ, "async_read" },
	{ FUSE_POSIX_LOCKS, "posix_locks" },
	{ FUSE_ATOMIC_O_TRUNC, "atomic_o_trunc" },
	{ FUSE_EXPORT_SUPPORT, "export_support" },
	{ FUSE_BIG_WRITES, "big_writes" },
	{ FUSE_DONT_MASK, "dont_mask" },
	{ FUSE_FLOCK_LOCKS, "flock_locks" },
	{ FUSE_HAS_IOCTL_DIR, "has_ioctl_dir" },
	{ FUSE_AUTO_INVAL_DATA, "auto_inval_data" },
	{ FUSE_DO_READDIRPLUS, "do_readdirplus" },
	{ FUSE_READDIRPLUS_AUTO, "readdirplus_auto" },
	{ FUSE_ASYNC_DIO, "async_dio" },
	{ FUSE_WRITEBACK_CACHE, "writeback_cache" },
	{ FUSE_PARALLEL_DIROPS, "parallel_dirops" },
	{ FUSE_HANDLE_KILLPRIV, "handle_killpriv" },
	{ FUSE_SUBMOUNTS, "submounts" },
	{ FUSE_HANDLE_KILLPRIV_V2, "handle_killpriv_v2" },
	{ FUSE_POSIX_ACL, "posix_acl" },
	{ FUSE_MAX_PAGES, "max_pages" },
	{ FUSE_SETXATTR_EXT, "setxattr_ext" },
	{ FUSE_INIT_EXT, "init_ext" },
	{ FUSE_SECURITY_CTX, "security_ctx" },
	{ FUSE_CREATE_SUPP_GROUP, "create_supp_group" },
	{ FUSE_DIRECT_IO_ALLOW_MMAP, "direct_io_allow_mmap" },
};

/* Pages that nobody touches cost nothing: most opcodes are never seen. */
static struct fuse_stats *
stats_alloc(size_t nb)
{
	void *map = mmap(NULL, nb * sizeof(struct fuse_stats), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return map != MAP_FAILED ? map : NULL;
}

static void
stats_free(struct fuse_stats *stats, size_t nb)
{
	if (stats != NULL)
		munmap(stats, nb * sizeof(*stats));
}

int WEIR_ON_CONTROL
fuse_stats_create(struct weir_fuse_session *sess)
{
	sess->ns_per_cycle = (UINT64_C(1000000000) << 32) / rte_get_tsc_hz();
	sess->nb_stats = weir_workers_count();
	sess->stats = stats_alloc(sess->nb_stats);
	sess->baseline = stats_alloc(1);
	if (sess->stats != NULL && sess->baseline != NULL)
		return 0;
	fuse_stats_destroy(sess);
	return -ENOMEM;
}

void WEIR_ON_CONTROL
fuse_stats_destroy(struct weir_fuse_session *sess)
{
	stats_free(sess->stats, sess->nb_stats);
	stats_free(sess->baseline, 1);
}

void WEIR_ON_WORKER
fuse_stats_fault(struct weir_fuse_session *sess, enum fuse_fault fault)
{
	weir_counter_add(&sess->stats[weir_worker_index(weir_worker_self())].fault[fault], 1);
}

void WEIR_ON_WORKER
fuse_stats_end(const struct weir_fuse_req *req)
{
	struct fuse_stats *stats = &req->sess->stats[weir_worker_index(req->worker)];
	struct fuse_op_stats *op = &stats->op[req->opcode];
	unsigned __int128 cycles = rte_rdtsc() - req->start_tsc;

	weir_counter_add(&op->count, 1);
	if (req->error < 0)
		weir_counter_add(&op->errors, 1);
	if (req->payload > 0)
		weir_counter_add(&op->bytes, req->payload);
	weir_hist_add(&op->latency, (uint64_t)(cycles * req->sess->ns_per_cycle >> 32));
}

static void
counter_set(weir_counter *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* What all workers counted of one opcode. */
struct op_sum {
	uint64_t count, errors, bytes;
	struct weir_hist_sum latency;
};

static void
op_sum(const struct weir_fuse_session *sess, unsigned int opcode, struct op_sum *sum)
{
	*sum = (struct op_sum){ 0 };
	for (unsigned int i = 0; i < sess->nb_stats; i++) {
		const struct fuse_op_stats *op = &sess->stats[i].op[opcode];

		sum->count += weir_counter_get(&op->count);
		sum->errors += weir_counter_get(&op->errors);
		sum->bytes += weir_counter_get(&op->bytes);
		weir_hist_collect(&op->latency, &sum->latency);
	}
}

static uint64_t
fault_sum(const struct weir_fuse_session *sess, unsigned int fault)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < sess->nb_stats; i++)
		sum += weir_counter_get(&sess->stats[i].fault[fault]);
	return sum;
}

/* Saturates: a reset may come between the reading of the one and of the other. */
static uint64_t
since(uint64_t now, const weir_counter *base)
{
	uint64_t then = weir_counter_get(base);

	return now > then ? now - then : 0;
}

/* A maximum of before the reset is no maximum of now: the highest bucket in use bounds it. */
static void
op_sum_since(struct op_sum *sum, const struct fuse_op_stats *base)
{
	struct weir_hist_sum *latency = &sum->latency;
	bool was_reset = weir_counter_get(&base->count) > 0;

	sum->count = since(sum->count, &base->count);
	sum->errors = since(sum->errors, &base->errors);
	sum->bytes = since(sum->bytes, &base->bytes);
	latency->count = 0;
	for (unsigned int i = 0; i < RTE_DIM(latency->bucket); i++) {
		latency->bucket[i] = since(latency->bucket[i], &base->latency.bucket[i]);
		latency->count += latency->bucket[i];
	}
	latency->sum_ns = since(latency->sum_ns, &base->latency.sum_ns);
	if (was_reset)
		latency->max_ns = RTE_MIN(latency->max_ns, weir_hist_percentile_ns(latency, 1000));
}

void
weir_fuse_session_stats_reset(struct weir_fuse_session *sess)
{
	struct op_sum sum;

	for (unsigned int i = 0; i < FUSE_NB_OPCODES; i++) {
		struct fuse_op_stats *base = &sess->baseline->op[i];

		op_sum(sess, i, &sum);
		counter_set(&base->count, sum.count);
		counter_set(&base->errors, sum.errors);
		counter_set(&base->bytes, sum.bytes);
		counter_set(&base->latency.sum_ns, sum.latency.sum_ns);
		for (unsigned int j = 0; j < RTE_DIM(sum.latency.bucket); j++)
			counter_set(&base->latency.bucket[j], sum.latency.bucket[j]);
	}
	for (unsigned int i = 0; i < FUSE_NB_FAULTS; i++)
		counter_set(&sess->baseline->fault[i], fault_sum(sess, i));
}

static json_t *
stats_ops(const struct weir_fuse_session *sess, uint64_t *read, uint64_t *written)
{
	json_t *ops = json_object();
	struct op_sum sum;

	for (unsigned int i = 0; i < FUSE_NB_OPCODES; i++) {
		op_sum(sess, i, &sum);
		op_sum_since(&sum, &sess->baseline->op[i]);
		if (i == FUSE_READ)
			*read = sum.bytes;
		if (i == FUSE_WRITE)
			*written = sum.bytes;
		if (sum.count == 0)
			continue;
		json_object_set_new(ops, fuse_ops[i].name,
				json_pack("{s:I, s:I, s:I, s:o}", "count", (json_int_t)sum.count,
						"errors", (json_int_t)sum.errors, "bytes",
						(json_int_t)sum.bytes, "latency_us",
						weir_hist_json(&sum.latency)));
	}
	return ops;
}

static json_t *
stats_faults(const struct weir_fuse_session *sess)
{
	json_t *faults = json_object();
	uint64_t n;

	for (unsigned int i = 0; i < FUSE_NB_FAULTS; i++) {
		n = since(fault_sum(sess, i), &sess->baseline->fault[i]);
		if (n > 0)
			json_object_set_new(faults, fault_names[i], json_integer((json_int_t)n));
	}
	return faults;
}

json_t *
weir_fuse_session_stats(const struct weir_fuse_session *sess)
{
	uint64_t read = 0, written = 0;
	json_t *ops = stats_ops(sess, &read, &written);
	bool mounted = weir_fuse_session_is_mounted(sess);
	uint32_t minor = atomic_load_explicit(&sess->shared->minor, memory_order_relaxed);

	return json_pack("{s:b, s:i, s:I, s:i, s:I, s:I, s:o, s:o}", "mounted", mounted, "minor",
			mounted ? (int)minor : 0, "nodes",
			(json_int_t)atomic_load_explicit(&sess->nb_nodes, memory_order_relaxed),
			"files", (int)weir_table_used(sess->files), "bytes_read", (json_int_t)read,
			"bytes_written", (json_int_t)written, "ops", ops, "faults",
			stats_faults(sess));
}

json_t *
weir_fuse_session_negotiated(const struct weir_fuse_session *sess)
{
	const struct fuse_shared *shared = sess->shared;
	uint64_t flags = atomic_load_explicit(&shared->flags, memory_order_relaxed);
	json_t *names;

	if (!weir_fuse_session_is_mounted(sess))
		return json_null();
	names = json_array();
	for (unsigned int i = 0; i < RTE_DIM(flag_names); i++)
		if ((flags & flag_names[i].flag) != 0)
			json_array_append_new(names, json_string(flag_names[i].name));
	return json_pack("{s:i, s:i, s:o, s:i, s:i, s:i}", "major", FUSE_MAJOR, "minor",
			(int)atomic_load_explicit(&shared->minor, memory_order_relaxed), "flags",
			names, "max_write", (int)sess->max_write, "max_pages",
			(int)atomic_load_explicit(&shared->max_pages, memory_order_relaxed),
			"max_readahead",
			(int)atomic_load_explicit(&shared->max_readahead, memory_order_relaxed));
}
