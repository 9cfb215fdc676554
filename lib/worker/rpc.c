/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdlib.h>

#include "weir_rpc.h"

#include "worker.h"

struct idle_args {
	uint32_t policy;
	uint32_t lcore;
	uint32_t spin_us;
	bool has_lcore, has_spin;
};

/* One call to each worker concerned; the RPC ends when the last of them has come back. */
struct idle_switch {
	struct weir_rpc_call *rpc;
	unsigned int left;
	struct idle_switch_one {
		struct weir_worker_call call;
		struct weir_workers_cfg cfg;
		struct idle_switch *all;
	} one[];
};

static const struct weir_param idle_params[] = {
	WEIR_PARAM(idle_args, policy, WEIR_ENUM, .flags = WEIR_PARAM_REQUIRED, .position = 1,
			.choices = weir_idle_policy_names,
			.help = "what a worker does that has found no work"),
	WEIR_PARAM(idle_args, lcore, WEIR_U32, WEIR_PARAM_GIVEN(idle_args, has_lcore),
			.help = "the worker with this lcore; all workers when not given"),
	WEIR_PARAM(idle_args, spin_us, WEIR_U32, WEIR_PARAM_GIVEN(idle_args, has_spin),
			.max = 1000000,
			.help = "microseconds without work after which adaptive and power begin; as "
				"it is when not given"),
};

static void
idle_switch_run(struct weir_worker_call *call)
{
	weir_role_assume_worker();
	weir_worker_idle_set(&container_of(call, struct idle_switch_one, call)->cfg);
}

static void
idle_switch_done(struct weir_worker_call *call)
{
	struct idle_switch *all = container_of(call, struct idle_switch_one, call)->all;

	weir_role_assume_control();
	if (--all->left > 0)
		return;
	weir_rpc_reply_true(all->rpc);
	free(all);
}

static void WEIR_ON_CONTROL
idle_switch_start(struct idle_switch *all, const struct idle_args *args)
{
	unsigned int nb = weir_workers_count(), i;

	for (i = 0; i < nb; i++) {
		struct weir_worker *worker = weir_worker_at(i);
		struct idle_switch_one *one = &all->one[i];

		if (args->has_lcore && weir_worker_lcore(worker) != args->lcore)
			continue;
		weir_worker_idle_get(worker, &one->cfg);
		one->cfg.idle = (enum weir_idle_policy)args->policy;
		if (args->has_spin)
			one->cfg.spin_us = args->spin_us;
		one->all = all;
		one->call.fn = idle_switch_run;
		one->call.done = idle_switch_done;
		all->left++;
	}
	/* Answers come through control's loop: none before this has returned. */
	for (i = 0; i < nb; i++)
		if (all->one[i].all != NULL)
			weir_worker_call(weir_worker_at(i), &all->one[i].call);
}

static void WEIR_ON_CONTROL
idle_call(struct weir_rpc_call *call, const void *args)
{
	const struct idle_args *a = args;
	const char *lacks = weir_idle_lacks((enum weir_idle_policy)a->policy);
	unsigned int nb = weir_workers_count();
	struct idle_switch *all;

	if (lacks != NULL) {
		weir_rpc_fail(call, -ENOTSUP, "idle policy %s: this CPU lacks %s",
				weir_idle_policy_names[a->policy], lacks);
		return;
	}
	all = calloc(1, sizeof(*all) + nb * sizeof(all->one[0]));
	if (all == NULL) {
		weir_rpc_fail(call, -ENOMEM, "no memory");
		return;
	}
	all->rpc = call;
	idle_switch_start(all, a);
	if (all->left > 0)
		return;
	free(all);
	weir_rpc_fail(call, -ENODEV, "no worker has lcore %u", a->lcore);
}
WEIR_RPC_METHOD(idle, "weir_set_worker_idle", "Set what workers do that have found no work",
		struct idle_args, idle_params)
