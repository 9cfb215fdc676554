/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What telemetry and RPC report of devices and workers. Readers never disturb a worker. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "device.h"

static uint64_t
queue_inflight(const struct queue_counters *c)
{
	uint64_t used = weir_counter_get(&c->used), detached = weir_counter_get(&c->detached);
	uint64_t chains = weir_counter_get(&c->chains);

	/* The three are read one after the other while the worker goes on. */
	return chains > used + detached ? chains - used - detached : 0;
}

static json_t *
queue_stats(const struct device_queue *q)
{
	const struct queue_counters *c = &q->counters;
	uint32_t error = atomic_load(&q->error);

	return json_pack("{s:i, s:s, s:b, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "id",
			q->index, "type", q->index == 0 ? "hiprio" : "request", "up",
			atomic_load(&q->up), "lcore",
			(int)weir_worker_lcore(atomic_load(&q->worker)), "memory_node",
			atomic_load(&q->node), "chains", (json_int_t)weir_counter_get(&c->chains),
			"used", (json_int_t)weir_counter_get(&c->used), "inflight",
			(json_int_t)queue_inflight(c), "interrupts",
			(json_int_t)weir_counter_get(&c->interrupts), "no_request",
			(json_int_t)weir_counter_get(&c->no_request), "overlong",
			(json_int_t)weir_counter_get(&c->overlong), "in_backend",
			(json_int_t)(weir_counter_get(&c->detached) -
					weir_counter_get(&c->released)),
			"error", error == WEIR_VQ_OK ? "" : weir_vq_error_name(error));
}

static bool
queue_is_used(const struct device_queue *q)
{
	return weir_counter_get(&q->counters.chains) > 0 ||
			weir_counter_get(&q->counters.no_request) > 0 ||
			atomic_load(&q->error) != WEIR_VQ_OK;
}

/* Under devices_lock. Queues that no guest ever used are left out. */
static json_t *
device_stats_one(const struct device *dev)
{
	json_t *obj = json_pack("{s:s, s:s, s:b}", "name", dev->name, "state",
			device_state_name(dev->state), "connected", atomic_load(&dev->connected));
	json_t *queues = json_array();

	for (uint32_t i = 0; i < dev->nb_queues; i++) {
		if (queue_is_used(&dev->queues[i]))
			json_array_append_new(queues, queue_stats(&dev->queues[i]));
	}
	json_object_set_new(obj, "queues", queues);
	if (dev->sess != NULL)
		json_object_set_new(obj, "fuse", weir_fuse_session_stats(dev->sess));
	return obj;
}

json_t *
device_stats(const char *name)
{
	json_t *list = json_array();
	struct device *dev;

	pthread_rwlock_rdlock(&devices_lock);
	TAILQ_FOREACH(dev, &devices, next) {
		if (name == NULL || strcmp(dev->name, name) == 0)
			json_array_append_new(list, device_stats_one(dev));
	}
	pthread_rwlock_unlock(&devices_lock);
	if (name != NULL && json_array_size(list) == 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *
devices_fill(const char *param)
{
	json_t *list, *one;
	struct device *dev;

	if (param != NULL && param[0] != '\0') {
		list = device_stats(param);
		one = list != NULL ? json_incref(json_array_get(list, 0)) : NULL;
		json_decref(list);
		return one;
	}
	list = json_array();
	pthread_rwlock_rdlock(&devices_lock);
	TAILQ_FOREACH(dev, &devices, next)
		json_array_append_new(list, json_string(dev->name));
	pthread_rwlock_unlock(&devices_lock);
	return list;
}

static json_t *
worker_handoff(const struct weir_worker *worker)
{
	struct weir_handoff_stats h;

	weir_handoff_stats_get(worker, &h);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "requests_sent",
			(json_int_t)h.requests_sent, "requests_received",
			(json_int_t)h.requests_received, "answers_sent", (json_int_t)h.answers_sent,
			"answers_received", (json_int_t)h.answers_received, "bursts_sent",
			(json_int_t)h.bursts_sent, "bursts_received", (json_int_t)h.bursts_received,
			"full", (json_int_t)h.full);
}

static json_t *
worker_stats_one(const struct weir_worker *worker)
{
	struct weir_workers_cfg cfg;
	struct weir_worker_stats s;
	json_t *obj;
	double all;

	weir_worker_idle_get(worker, &cfg);
	weir_worker_stats_get(worker, &s);
	all = (double)(s.cycles_busy + s.cycles_idle + s.cycles_asleep);
	obj = json_pack("{s:i, s:i, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			"lcore", (int)weir_worker_lcore(worker), "socket",
			weir_worker_socket(worker), "idle", weir_idle_policy_names[cfg.idle],
			"spin_us", (json_int_t)cfg.spin_us, "pollers_active",
			(json_int_t)s.nb_active, "pollers_parked", (json_int_t)s.nb_parked, "parks",
			(json_int_t)s.parks, "busy_percent",
			all > 0 ? 100.0 * (double)s.cycles_busy / all : 0.0, "asleep_percent",
			all > 0 ? 100.0 * (double)s.cycles_asleep / all : 0.0, "cycles_busy",
			(json_int_t)s.cycles_busy, "cycles_idle", (json_int_t)s.cycles_idle,
			"cycles_asleep", (json_int_t)s.cycles_asleep, "tsc_hz",
			(json_int_t)rte_get_tsc_hz(), "rounds", (json_int_t)s.rounds, "rounds_busy",
			(json_int_t)s.rounds_busy, "sleeps", (json_int_t)s.sleeps, "messages",
			(json_int_t)s.messages);
	json_object_set_new(obj, "frontend", json_boolean(weir_worker_is_frontend(worker)));
	json_object_set_new(obj, "backend", json_boolean(weir_worker_is_backend(worker)));
	json_object_set_new(obj, "handoff", worker_handoff(worker));
	json_object_set_new(
			obj, "busy_recent_percent", json_real(device_place_busy_percent(worker)));
	json_object_set_new(obj, "nb_queues", json_integer(device_place_queues(worker)));
	return obj;
}

/* The queues that are up on a worker, as [{"dev_name", "queue"}]. */
static json_t *
worker_queues(const struct weir_worker *worker)
{
	json_t *list = json_array();
	struct device *dev;

	pthread_rwlock_rdlock(&devices_lock);
	TAILQ_FOREACH(dev, &devices, next) {
		for (uint32_t i = 0; i < dev->nb_queues; i++) {
			const struct device_queue *q = &dev->queues[i];

			if (atomic_load(&q->up) && atomic_load(&q->worker) == worker)
				json_array_append_new(list,
						json_pack("{s:s, s:i}", "dev_name", dev->name,
								"queue", q->index));
		}
	}
	pthread_rwlock_unlock(&devices_lock);
	return list;
}

static json_t *
workers_fill(const char *param)
{
	bool one = param != NULL && param[0] != '\0';
	unsigned long lcore = one ? strtoul(param, NULL, 10) : 0;
	json_t *list = one ? NULL : json_array();

	for (unsigned int i = 0; i < weir_workers_count(); i++) {
		const struct weir_worker *worker = weir_worker_at(i);

		if (!one)
			json_array_append_new(list, worker_stats_one(worker));
		else if (weir_worker_lcore(worker) == lcore)
			return worker_stats_one(worker);
	}
	return list;
}

static const struct weir_stats_provider devices_provider = {
	.command = "/weir/devices",
	.help = "Names of the devices; with a name: queues, FUSE operations, latencies of that device",
	.fill = devices_fill,
};

static const struct weir_stats_provider workers_provider = {
	.command = "/weir/workers",
	.help = "What each worker lcore spends its time on; with a number: that lcore",
	.fill = workers_fill,
};

int
device_stats_register(void)
{
	int rc = weir_stats_register(&devices_provider);

	return rc < 0 ? rc : weir_stats_register(&workers_provider);
}

struct stat_args {
	char dev_name[DEVICE_NAME_MAX];
	bool reset;
};

static const struct weir_param stat_params[] = {
	WEIR_PARAM(stat_args, dev_name, WEIR_STR, .position = 1, .help = "only this device"),
	WEIR_PARAM(stat_args, reset, WEIR_BOOL,
			.help = "start the counts of FUSE operations anew after this report"),
};

static void WEIR_ON_CONTROL
stat_call(struct weir_rpc_call *call, const void *args)
{
	const struct stat_args *a = args;
	json_t *list = device_stats(a->dev_name[0] != '\0' ? a->dev_name : NULL);
	struct device *dev;

	if (list == NULL) {
		weir_rpc_fail(call, -ENODEV, "No such device: %s", a->dev_name);
		return;
	}
	TAILQ_FOREACH(dev, &devices, next) {
		if (a->reset && dev->sess != NULL &&
				(a->dev_name[0] == '\0' || strcmp(dev->name, a->dev_name) == 0))
			weir_fuse_session_stats_reset(dev->sess);
	}
	weir_rpc_reply(call, list);
}
WEIR_RPC_METHOD(stat, "virtio_fs_device_get_stat",
		"Report queues, FUSE operations and latencies of devices", struct stat_args,
		stat_params)

static void WEIR_ON_CONTROL
workers_call(struct weir_rpc_call *call, const void *args)
{
	json_t *list = workers_fill(NULL);

	for (unsigned int i = 0; i < weir_workers_count(); i++)
		json_object_set_new(json_array_get(list, i), "queues",
				worker_queues(weir_worker_at(i)));
	weir_rpc_reply(call, list);
}
WEIR_RPC_METHOD0(workers, "weir_get_workers",
		"Report what each worker lcore spends its time on, and the queues it polls")
