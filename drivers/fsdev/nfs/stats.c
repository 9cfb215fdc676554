/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What RPC and telemetry say of an export. Readers never disturb a worker. */

#include <pthread.h>
#include <string.h>

#include <rte_common.h>

#include "nfs.h"

static const char *const proc_names[NFSPROC3_NB] = {
	[NFSPROC3_NULL] = "NULL",
	[NFSPROC3_GETATTR] = "GETATTR",
	[NFSPROC3_SETATTR] = "SETATTR",
	[NFSPROC3_LOOKUP] = "LOOKUP",
	[NFSPROC3_ACCESS] = "ACCESS",
	[NFSPROC3_READLINK] = "READLINK",
	[NFSPROC3_READ] = "READ",
	[NFSPROC3_WRITE] = "WRITE",
	[NFSPROC3_CREATE] = "CREATE",
	[NFSPROC3_MKDIR] = "MKDIR",
	[NFSPROC3_SYMLINK] = "SYMLINK",
	[NFSPROC3_MKNOD] = "MKNOD",
	[NFSPROC3_REMOVE] = "REMOVE",
	[NFSPROC3_RMDIR] = "RMDIR",
	[NFSPROC3_RENAME] = "RENAME",
	[NFSPROC3_LINK] = "LINK",
	[NFSPROC3_READDIR] = "READDIR",
	[NFSPROC3_READDIRPLUS] = "READDIRPLUS",
	[NFSPROC3_FSSTAT] = "FSSTAT",
	[NFSPROC3_FSINFO] = "FSINFO",
	[NFSPROC3_PATHCONF] = "PATHCONF",
	[NFSPROC3_COMMIT] = "COMMIT",
};

/* Exports that telemetry may see. Control changes the list, and telemetry's threads walk it. */
static pthread_mutex_t stats_lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, nfs_fs) stats_list = TAILQ_HEAD_INITIALIZER(stats_list);

struct proc_sum {
	uint64_t calls, errors, retransmissions, bytes_sent, bytes_received;
	struct weir_hist_sum rtt;
};

static void
proc_collect(const struct nfs_fs *fs, uint32_t proc, struct proc_sum *sum)
{
	const struct weir_sunrpc_proc_stats *stats;
	unsigned int i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < weir_workers_count(); i++) {
		if (fs->clients[i] == NULL)
			continue;
		stats = weir_sunrpc_stats(fs->clients[i], proc);
		sum->calls += weir_counter_get(&stats->calls);
		sum->errors += weir_counter_get(&stats->errors);
		sum->retransmissions += weir_counter_get(&stats->retransmissions);
		sum->bytes_sent += weir_counter_get(&stats->bytes_sent);
		sum->bytes_received += weir_counter_get(&stats->bytes_received);
		weir_hist_collect(&stats->rtt, &sum->rtt);
	}
}

/* Procedures that were called, and the sum of their resendings. */
static json_t *
procs_json(const struct nfs_fs *fs, uint64_t *retransmissions)
{
	json_t *list = json_array();
	struct proc_sum sum;
	uint32_t proc;

	for (proc = 0; proc < NFSPROC3_NB; proc++) {
		proc_collect(fs, proc, &sum);
		if (sum.calls == 0)
			continue;
		*retransmissions += sum.retransmissions;
		json_array_append_new(list,
				json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "name",
						proc_names[proc], "calls", (json_int_t)sum.calls,
						"errors", (json_int_t)sum.errors, "retransmissions",
						(json_int_t)sum.retransmissions, "bytes_sent",
						(json_int_t)sum.bytes_sent, "bytes_received",
						(json_int_t)sum.bytes_received, "rtt_us",
						weir_hist_json(&sum.rtt)));
	}
	return list;
}

static const struct nfs_chan *
chan_at(const struct nfs_fs *fs, unsigned int worker)
{
	return weir_channel_priv(weir_fsdev_channel_at(fs->dev, worker));
}

/* Statuses that came, by name. */
static json_t *
errors_json(const struct nfs_fs *fs)
{
	json_t *errors = json_object();
	unsigned int i, worker;
	uint64_t nb;

	for (i = 0; i < NFS_NB_ERRORS; i++) {
		nb = 0;
		for (worker = 0; worker < weir_workers_count(); worker++)
			nb += weir_counter_get(&chan_at(fs, worker)->errors[i]);
		if (nb > 0)
			json_object_set_new(
					errors, nfs_error_name(i), json_integer((json_int_t)nb));
	}
	return errors;
}

/* As bad as the worst of the workers. */
static const char *
state_text(const struct nfs_fs *fs)
{
	enum weir_sunrpc_state state;
	bool connecting = false;
	unsigned int i;

	for (i = 0; i < weir_workers_count(); i++) {
		if (fs->clients[i] == NULL)
			continue;
		state = weir_sunrpc_client_state(fs->clients[i]);
		if (state == WEIR_SUNRPC_RECONNECTING)
			return "reconnecting";
		connecting |= state == WEIR_SUNRPC_CONNECTING;
	}
	return connecting ? "connecting" : "connected";
}

static json_t *
fs_json(const struct nfs_fs *fs)
{
	uint64_t retransmissions = 0, reconnects = 0, changes = 0, lost = 0;
	json_t *procs;
	unsigned int i;

	/* Acquire pairs with the release in fs_mounted(). */
	if (!atomic_load_explicit(&fs->mounted, memory_order_acquire))
		return json_pack("{s:s, s:s}", "root_path", fs->params->exportname, "state",
				"connecting");
	for (i = 0; i < weir_workers_count(); i++) {
		if (fs->clients[i] == NULL)
			continue;
		reconnects += weir_sunrpc_reconnects(fs->clients[i]);
		changes += weir_sunrpc_port_changes(fs->clients[i]);
		lost += weir_counter_get(&chan_at(fs, i)->lost);
	}
	procs = procs_json(fs, &retransmissions);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:o, s:o}",
			"root_path", fs->params->exportname, "state", state_text(fs), "rsize",
			(json_int_t)fs->rsize, "wsize", (json_int_t)fs->wsize, "reconnects",
			(json_int_t)reconnects, "port_changes", (json_int_t)changes,
			"retransmissions", (json_int_t)retransmissions, "objects",
			(int)weir_fsdev_nodes(fs->dev), "open_files",
			(int)atomic_load(&fs->nb_open), "lost_writes", (int)lost, "errors",
			errors_json(fs), "procedures", procs);
}

json_t *WEIR_ON_CONTROL
nfs_info(const struct weir_fsdev *dev)
{
	return fs_json(nfs_fs_of(dev));
}

/* Under the lock. */
static json_t *
stats_one(const struct nfs_fs *fs)
{
	json_t *json = fs_json(fs);

	json_object_set_new(json, "name", json_string(weir_fsdev_name(fs->dev)));
	return json;
}

static json_t *
stats_fill(const char *param)
{
	json_t *json = param == NULL ? json_array() : NULL;
	const struct nfs_fs *fs;

	pthread_mutex_lock(&stats_lock);
	TAILQ_FOREACH(fs, &stats_list, next) {
		if (param == NULL)
			json_array_append_new(json, stats_one(fs));
		else if (strcmp(weir_fsdev_name(fs->dev), param) == 0)
			json = stats_one(fs);
	}
	pthread_mutex_unlock(&stats_lock);
	return json;
}

static const struct weir_stats_provider stats_provider = {
	.command = "/weir/nfs",
	.help = "NFS exports: state, calls, round-trip times, errors. Parameter: name of one",
	.fill = stats_fill,
};

void WEIR_ON_CONTROL
nfs_stats_add(struct nfs_fs *fs)
{
	static bool registered;

	/* Without telemetry the RPCs still say it all. */
	if (!registered)
		registered = weir_stats_register(&stats_provider) == 0;
	pthread_mutex_lock(&stats_lock);
	TAILQ_INSERT_TAIL(&stats_list, fs, next);
	pthread_mutex_unlock(&stats_lock);
}

void WEIR_ON_CONTROL
nfs_stats_del(struct nfs_fs *fs)
{
	pthread_mutex_lock(&stats_lock);
	TAILQ_REMOVE(&stats_list, fs, next);
	pthread_mutex_unlock(&stats_lock);
}
