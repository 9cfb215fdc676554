/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_ROLE_H
#define WEIR_ROLE_H

/**
 * @file
 * Thread roles as capabilities: clang's thread-safety analysis refuses a call or a field access
 * from the wrong role, gcc sees nothing of it. A function that a role calls through a pointer
 * (a poller, a message, an ops table) is annotated itself, since calls through pointers are not
 * followed; the loops that make such calls state the role with weir_role_assume_*().
 *
 * worker:    a polling lcore. Never allocates from the heap, blocks, logs or takes a lock.
 * control:   the main lcore. May allocate, fail and log; does not block.
 * transport: the event thread of a transport library. May wait for workers, for nothing else.
 * helper:    a thread of a bounded pool that exists to block.
 */

#ifdef __clang__
#define WEIR_TSA(x) __attribute__((x))
#else
#define WEIR_TSA(x)
#endif

struct WEIR_TSA(capability("role")) weir_role {
	char name[16];
};

extern struct weir_role weir_worker_role;
extern struct weir_role weir_control_role;
extern struct weir_role weir_transport_role;
extern struct weir_role weir_helper_role;

#define WEIR_ON_WORKER    WEIR_TSA(requires_capability(weir_worker_role))
#define WEIR_ON_CONTROL   WEIR_TSA(requires_capability(weir_control_role))
#define WEIR_ON_TRANSPORT WEIR_TSA(requires_capability(weir_transport_role))
#define WEIR_ON_HELPER    WEIR_TSA(requires_capability(weir_helper_role))

/** A field that only one role touches: `int x WEIR_OWNED_BY(worker);` */
#define WEIR_OWNED_BY(role) WEIR_TSA(guarded_by(weir_##role##_role))

/** Tells the analysis that the calling thread has the role, where it cannot see it itself. */
static inline void
WEIR_TSA(assert_capability(weir_worker_role)) weir_role_assume_worker(void)
{
}

static inline void
WEIR_TSA(assert_capability(weir_control_role)) weir_role_assume_control(void)
{
}

static inline void
WEIR_TSA(assert_capability(weir_transport_role)) weir_role_assume_transport(void)
{
}

static inline void
WEIR_TSA(assert_capability(weir_helper_role)) weir_role_assume_helper(void)
{
}

#endif /* WEIR_ROLE_H */
