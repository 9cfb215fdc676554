/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stddef.h>

#include "weir_sandbox.h"

/* Written once, by weir_sandbox_enter(), before anybody else reads it. */
extern struct sandbox {
	bool entered;
	bool drop_caps;
	bool has_list; /* of folders */
	char **folders; /* as the kernel names them, NULL-terminated; NULL: none */
	enum weir_landlock_mode landlock;
	int landlock_abi; /* -errno: the kernel has none, or an old one */
	bool landlock_active;
	enum weir_seccomp_mode seccomp;
	int seccomp_rc; /* -errno: the kernel has none */
} sandbox;

/*
 * Runs fn on each thread of the process, in a signal handler on all but the calling one.
 * @return 0, the last error that fn returned, -ETIMEDOUT, -E2BIG, or -errno.
 */
int sandbox_threads_run(int (*fn)(void));

/* The calling thread's, as bits. @return 0 or -errno. */
int sandbox_caps_get(uint64_t *effective);

/* What weir has use for. */
uint64_t sandbox_caps_needed(void);

/* Gives up all but kept, on the calling thread. Async-signal-safe. @return 0 or -errno. */
int sandbox_caps_drop(uint64_t kept);

/* Fills sandbox.folders. @return 0 or -errno after a line in the log. */
int sandbox_folders_set(const char *const *folders);

/*
 * Makes the rules of what the process may reach: the allowed folders, its own files, and what the C
 * library, DPDK and weir read of the host. abi: what this kernel has.
 * @return a descriptor for sandbox_landlock_self(), or -errno.
 */
int sandbox_landlock_rules(const struct weir_sandbox_cfg *cfg, int abi);

/* What this kernel has, 2 or more; -EOPNOTSUPP, -ENOSYS: none, or not enough. */
int sandbox_landlock_abi(void);

/* The calling thread, for good. Needs no_new_privs. Async-signal-safe. @return 0 or -errno. */
int sandbox_landlock_self(int rules);

/* All threads, which need no_new_privs. @return 0 or -errno; -ENOSYS: the kernel has no filters. */
int sandbox_seccomp_load(enum weir_seccomp_mode mode);

/* Calls that are allowed beside those of seccomp.c. */
extern const int sandbox_more_calls[];
extern const size_t sandbox_nb_more_calls;

#endif /* SANDBOX_H */
