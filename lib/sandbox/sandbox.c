/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_log.h"

#include "sandbox.h"

WEIR_LOG_TYPE(sandbox);

const char *const weir_seccomp_mode_names[] = { "off", "log", "deny", "kill", NULL };
const char *const weir_landlock_mode_names[] = { "auto", "on", "off", NULL };

struct sandbox sandbox = { .landlock_abi = -EOPNOTSUPP };

/* What each thread does on entering, set before the first does it. */
static struct {
	uint64_t kept;
	int rules;
} enter;

static int
enter_thread(void)
{
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	rc = enter.rules < 0 ? 0 : sandbox_landlock_self(enter.rules);
	if (rc == 0 && sandbox.drop_caps)
		rc = sandbox_caps_drop(enter.kept);
	return rc;
}

static int
enter_landlock(const struct weir_sandbox_cfg *cfg)
{
	const bool wanted = cfg->landlock == WEIR_LANDLOCK_ON ||
			(cfg->landlock == WEIR_LANDLOCK_AUTO && cfg->folders != NULL);

	enter.rules = -1;
	sandbox.landlock_abi = sandbox_landlock_abi();
	if (!wanted || sandbox.landlock_abi < 0)
		return 0;
	enter.rules = sandbox_landlock_rules(cfg, sandbox.landlock_abi);
	if (enter.rules < 0)
		return enter.rules;
	sandbox.landlock_active = true;
	return 0;
}

static void
enter_log_landlock(void)
{
	const char *limits = !sandbox.has_list ? "any local folder may be served" :
						 "local folders only below those allowed";

	if (sandbox.landlock_active)
		weir_log(sandbox, NOTICE, "folders: %s; Landlock (ABI %d) holds weir to it", limits,
				sandbox.landlock_abi);
	else if (sandbox.landlock_abi < 0 && sandbox.has_list)
		weir_log(sandbox, WARNING, "folders: %s; this kernel lacks Landlock: %s", limits,
				strerror(-sandbox.landlock_abi));
	else
		weir_log(sandbox, NOTICE, "folders: %s; Landlock is off", limits);
}

static void
enter_log(void)
{
	uint64_t held = 0;

	sandbox_caps_get(&held);
	if (held == 0)
		weir_log(sandbox, NOTICE, "capabilities: weir has none");
	else
		weir_log(sandbox, NOTICE, "capabilities: %s; %d are held",
				sandbox.drop_caps ? "what weir does not need was given up" :
						    "none was given up",
				__builtin_popcountll(held));
	enter_log_landlock();
	if (sandbox.seccomp_rc < 0)
		weir_log(sandbox, WARNING, "system calls: not filtered, this kernel cannot");
	else
		weir_log(sandbox, NOTICE, "system calls: filter %s",
				weir_seccomp_mode_names[sandbox.seccomp]);
}

/* An errno alone would not say what there was of it. Returns rc. */
static int
enter_failed(const char *what, int rc)
{
	if (rc < 0)
		weir_log(sandbox, ERR, "%s: %s", what, strerror(-rc));
	return rc;
}

int WEIR_ON_CONTROL
weir_sandbox_enter(const struct weir_sandbox_cfg *cfg)
{
	int rc;

	if (sandbox.entered)
		return -EALREADY;
	sandbox.entered = true;
	sandbox.drop_caps = cfg->drop_caps;
	sandbox.landlock = cfg->landlock;
	sandbox.seccomp = cfg->seccomp;
	sandbox.has_list = cfg->folders != NULL || cfg->landlock == WEIR_LANDLOCK_ON;
	enter.kept = sandbox_caps_needed() | cfg->keep_caps;
	rc = cfg->folders == NULL ? 0 : sandbox_folders_set(cfg->folders);
	if (rc == 0)
		rc = enter_landlock(cfg);
	if (rc == 0)
		rc = enter_failed("cannot take all threads in", sandbox_threads_run(enter_thread));
	if (enter.rules >= 0)
		close(enter.rules);
	if (rc < 0)
		return rc;
	if (cfg->seccomp != WEIR_SECCOMP_OFF)
		rc = sandbox_seccomp_load(cfg->seccomp);
	if (rc == -ENOSYS) {
		sandbox.seccomp_rc = rc;
		rc = 0;
	}
	if (rc == 0)
		enter_log();
	return enter_failed("cannot filter system calls", rc);
}

bool
weir_sandbox_has_landlock(void)
{
	return sandbox.landlock_active;
}
