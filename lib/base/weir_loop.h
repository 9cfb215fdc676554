/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_LOOP_H
#define WEIR_LOOP_H

/**
 * @file
 * The event loop of the control thread: descriptors, timers, and messages from other threads.
 * One loop per process. Everything but weir_loop_post() and weir_loop_stop() is called on the
 * thread that runs the loop (control); handlers run there and must not block.
 */

#include <stdint.h>
#include <sys/queue.h>

#include "weir_role.h"

/** A watched descriptor, embedded in its owner. */
struct weir_fd {
	int fd;
	uint32_t events; /**< EPOLLIN, EPOLLOUT */
	/** Called with the events that came. May remove or free its own weir_fd. */
	void (*ready)(struct weir_fd *wfd, uint32_t events);
};

/** A one-shot timer, embedded in its owner. */
struct weir_timer {
	void (*expired)(struct weir_timer *timer);
	uint64_t due_ns; /**< CLOCK_MONOTONIC; 0 when not armed */
	TAILQ_ENTRY(weir_timer) next;
};

/** A message to control, embedded in its owner, which must not touch it until fn was called. */
struct weir_post {
	void (*fn)(struct weir_post *post); /**< runs on control */
	struct weir_post *next;
};

/** Prepares the loop. @return 0 or -errno. */
int weir_loop_init(void);

/** Frees what weir_loop_init() made. Posted messages that were not delivered are dropped. */
void weir_loop_fini(void);

/** Runs handlers until weir_loop_stop(). @return 0, or -errno when epoll failed. */
int weir_loop_run(void);

/** One round: waits at most timeout_ms (-1: for ever) and runs what is due. @return 0 or -errno. */
int weir_loop_poll(int timeout_ms);

/** Makes weir_loop_run() return. Any thread, and signal handlers. */
void weir_loop_stop(void);

/** Watches wfd->fd. @return 0 or -errno of epoll_ctl. The loop borrows wfd until weir_fd_del(). */
int weir_fd_add(struct weir_fd *wfd);
/** Changes wfd->events. @return 0 or -errno. */
int weir_fd_mod(struct weir_fd *wfd, uint32_t events);
/** Stops watching; the descriptor stays open. Safe inside any handler of the same round. */
void weir_fd_del(struct weir_fd *wfd);

/** Arms, or re-arms, a timer to run once in delay_ms. */
void weir_timer_arm(struct weir_timer *timer, uint64_t delay_ms);
/** Disarms; harmless when not armed. */
void weir_timer_cancel(struct weir_timer *timer);

/**
 * Sends a message to control. Any thread, lock-free, never blocks: a push on a list and, if control
 * may be asleep, one write to an eventfd. Messages of one sender arrive in order.
 */
void weir_loop_post(struct weir_post *post);

/** CLOCK_MONOTONIC in nanoseconds. Any thread. */
uint64_t weir_now_ns(void);

#endif /* WEIR_LOOP_H */
