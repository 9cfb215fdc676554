/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What is in force: the RPC weir_get_sandbox, and the same by telemetry. */

#include <cap-ng.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <rte_common.h>

#include "weir_rpc.h"
#include "weir_stats.h"

#include "sandbox.h"

static json_t *
caps_json(void)
{
	json_t *names = json_array();
	uint64_t held = 0;
	const char *name;

	sandbox_caps_get(&held);
	for (int cap = 0; cap < 64; cap++) {
		name = (held >> cap & 1) != 0 ? capng_capability_to_name(cap) : NULL;
		if (name != NULL)
			json_array_append_new(names, json_sprintf("cap_%s", name));
	}
	return json_pack("{s:b, s:o}", "dropped", sandbox.drop_caps, "held", names);
}

static json_t *
folders_json(void)
{
	json_t *folders = json_array();

	for (char **folder = sandbox.folders; folder != NULL && *folder != NULL; folder++)
		json_array_append_new(folders, json_string(*folder));
	return json_pack("{s:b, s:o}", "limited", sandbox.has_list, "allowed", folders);
}

static json_t *
landlock_json(void)
{
	json_t *json = json_pack("{s:s, s:b, s:i}", "mode",
			weir_landlock_mode_names[sandbox.landlock], "active",
			sandbox.landlock_active, "abi", RTE_MAX(sandbox.landlock_abi, 0));

	if (sandbox.landlock_abi < 0)
		json_object_set_new(json, "lacks", json_string(strerror(-sandbox.landlock_abi)));
	return json;
}

static json_t *
seccomp_json(void)
{
	/* SECCOMP_MODE_FILTER; a mode is told of threads that may ask, and the filter allows it. */
	const bool active = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;

	return json_pack("{s:s, s:b}", "mode", weir_seccomp_mode_names[sandbox.seccomp], "active",
			active && sandbox.seccomp != WEIR_SECCOMP_OFF && sandbox.seccomp_rc == 0);
}

json_t *
weir_sandbox_json(void)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:b}", "capabilities", caps_json(), "folders",
			folders_json(), "landlock", landlock_json(), "seccomp", seccomp_json(),
			"no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

static void WEIR_ON_CONTROL
get_sandbox_call(struct weir_rpc_call *call, const void *args)
{
	weir_rpc_reply(call, weir_sandbox_json());
}
WEIR_RPC_METHOD0(get_sandbox, "weir_get_sandbox",
		"Report what the process has given up: capabilities, folders, system calls")

static json_t *
sandbox_fill(const char *param)
{
	return weir_sandbox_json();
}

static const struct weir_stats_provider sandbox_provider = {
	.command = "/weir/sandbox",
	.help = "What the process has given up. No parameter",
	.fill = sandbox_fill,
};

RTE_INIT(sandbox_provider_init)
{
	(void)weir_stats_register(&sandbox_provider);
}
