/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_SANDBOX_H
#define WEIR_SANDBOX_H

/**
 * @file
 * What a process that has been taken over through a guest, a server or a socket could still do: the
 * sandbox makes it less, in three parts that are independent of each other.
 *
 * - capabilities(7): all that a file server never uses are given up, for good;
 * - folders: only those that the operator allowed can be served. weir looks at paths itself, and
 *   landlock(7) holds it to them, where the kernel has it;
 * - seccomp(2): system calls that weir never makes are refused.
 *
 * The process enters once, after EAL and before it listens to anybody, and every thread with it; no
 * thread gets out again, and new ones inherit. What a kernel lacks is left out and reported.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir_role.h"

/** What happens to system calls that the filter does not allow. */
enum weir_seccomp_mode {
	WEIR_SECCOMP_OFF, /**< there is no filter */
	WEIR_SECCOMP_LOG, /**< they are carried out; the kernel writes them to its audit log */
	WEIR_SECCOMP_DENY, /**< they fail with ENOSYS, and go to the audit log */
	WEIR_SECCOMP_KILL /**< they end the process with SIGSYS */
};

/** Whether the kernel is to hold weir to the folders that are allowed. */
enum weir_landlock_mode {
	WEIR_LANDLOCK_AUTO, /**< if there is a list of folders */
	WEIR_LANDLOCK_ON, /**< also with an empty list: no local folder can be served */
	WEIR_LANDLOCK_OFF /**< never: the list is weir's own rule alone */
};

/** Names of the modes as on the command line, in the order of the enums, NULL-terminated. */
extern const char *const weir_seccomp_mode_names[];
extern const char *const weir_landlock_mode_names[];

/** Borrowed for the call. Lists end with NULL; a list may be NULL. */
struct weir_sandbox_cfg {
	bool drop_caps;
	uint64_t keep_caps; /**< what is kept beside what weir needs: bits 1 << CAP_... */
	enum weir_seccomp_mode seccomp;
	enum weir_landlock_mode landlock;
	const char *const *folders; /**< that may be served; NULL: any */
	const char *const
			*own_dirs; /**< where weir makes and removes sockets and files of its own */
	const char *const *own_files; /**< that weir will read, in whatever place */
};

/** The number of a capability by its name, with or without cap_ in front; -EINVAL: there is none. */
int weir_sandbox_cap_number(const char *name);

/**
 * Takes the calling process in, with all of its threads, and logs what is in force. Those threads
 * get a signal for it (the highest real-time one), so none of them may block that; what they wait for
 * is restarted, or ends with EINTR. Once in a process, on control, before untrusted input is read.
 *
 * @return 0, also where the kernel lacks something; -ENOENT, -ENOTDIR, -EACCES or another errno of
 *   looking at an allowed folder (a line in the log names it); -ETIMEDOUT when a thread did not
 *   answer; -EALREADY for the second call; -ENOMEM; or -errno of the kernel. The process may be
 *   partly in then, and should end.
 */
int WEIR_ON_CONTROL weir_sandbox_enter(const struct weir_sandbox_cfg *cfg);

/**
 * Whether the folder that a descriptor stands for (O_PATH is enough) may be served.
 *
 * Looks at the path that it has now and, where the kernel holds weir to folders, whether that lets
 * it in. May block as the folder's file system does. Any thread that may.
 *
 * @return 0; -EACCES: it is not in an allowed folder; -EMFILE or -ENFILE.
 */
int weir_sandbox_folder_check(int fd);

/**
 * Whether Landlock is in force. Then a file that is opened by handle is refused (EACCES) on file
 * systems that may forget under which directory it is.
 */
bool weir_sandbox_has_landlock(void);

/**
 * What is in force, as weir_get_sandbox reports it (doc/sandbox.md). Capabilities, the filter's mode
 * and no_new_privs are what the kernel says of the calling thread. New reference. Any thread.
 */
json_t *weir_sandbox_json(void);

#endif /* WEIR_SANDBOX_H */
