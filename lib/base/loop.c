/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_loop.h"

#define NS_PER_MS       1000000u
#define NS_PER_SEC      1000000000u
#define DELAY_MAX_MS    ((uint64_t)INT64_MAX / NS_PER_MS)
#define LOOP_MAX_EVENTS 64

static struct {
	/* Control's own. */
	int epoll_fd;
	int nb_events;
	struct epoll_event events[LOOP_MAX_EVENTS]; /* of this round */
	TAILQ_HEAD(weir_timers, weir_timer) timers; /* the next one due first */

	struct weir_fd wake; /* its eventfd is written by any thread */

	/* Pushed and set by any thread, taken by control. The last post comes first. */
	_Atomic(struct weir_post *) posts __rte_cache_aligned;
	_Atomic bool stop;
} loop = { .epoll_fd = -1, .wake.fd = -1 };

uint64_t
weir_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static void
loop_wake(void)
{
	const uint64_t one = 1;

	/* Can only fail when the counter is full, and then control is awake. */
	if (write(loop.wake.fd, &one, sizeof(one)) < 0)
		return;
}

static void
loop_woken(struct weir_fd *wake, uint32_t events)
{
	uint64_t count;

	if (read(wake->fd, &count, sizeof(count)) < 0)
		return;
}

int
weir_loop_init(void)
{
	int rc;

	TAILQ_INIT(&loop.timers);
	loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop.epoll_fd < 0)
		return -errno;
	loop.wake = (struct weir_fd){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = EPOLLIN,
		.ready = loop_woken,
	};
	rc = loop.wake.fd < 0 ? -errno : weir_fd_add(&loop.wake);
	if (rc < 0)
		weir_loop_fini();
	return rc;
}

void
weir_loop_fini(void)
{
	if (loop.wake.fd >= 0)
		close(loop.wake.fd);
	close(loop.epoll_fd);
	loop.wake.fd = -1;
	loop.epoll_fd = -1;
	atomic_store(&loop.posts, NULL);
	atomic_store(&loop.stop, false);
}

int
weir_fd_add(struct weir_fd *wfd)
{
	struct epoll_event event = { .events = wfd->events, .data.ptr = wfd };

	return epoll_ctl(loop.epoll_fd, EPOLL_CTL_ADD, wfd->fd, &event) < 0 ? -errno : 0;
}

int
weir_fd_mod(struct weir_fd *wfd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = wfd };

	if (epoll_ctl(loop.epoll_fd, EPOLL_CTL_MOD, wfd->fd, &event) < 0)
		return -errno;
	wfd->events = events;
	return 0;
}

void
weir_fd_del(struct weir_fd *wfd)
{
	int i;

	epoll_ctl(loop.epoll_fd, EPOLL_CTL_DEL, wfd->fd, NULL);
	/* This round may have an event for it still to deliver. */
	for (i = 0; i < loop.nb_events; i++) {
		if (loop.events[i].data.ptr == wfd)
			loop.events[i].data.ptr = NULL;
	}
}

void
weir_timer_arm(struct weir_timer *timer, uint64_t delay_ms)
{
	struct weir_timer *prev;

	weir_timer_cancel(timer);
	timer->due_ns = weir_now_ns() + RTE_MIN(delay_ms, DELAY_MAX_MS) * NS_PER_MS;
	prev = TAILQ_LAST(&loop.timers, weir_timers);
	while (prev != NULL && prev->due_ns > timer->due_ns)
		prev = TAILQ_PREV(prev, weir_timers, next);
	if (prev != NULL)
		TAILQ_INSERT_AFTER(&loop.timers, prev, timer, next);
	else
		TAILQ_INSERT_HEAD(&loop.timers, timer, next);
}

void
weir_timer_cancel(struct weir_timer *timer)
{
	if (timer->due_ns == 0)
		return;
	TAILQ_REMOVE(&loop.timers, timer, next);
	timer->due_ns = 0;
}

void
weir_loop_post(struct weir_post *post)
{
	struct weir_post *head = atomic_load_explicit(&loop.posts, memory_order_relaxed);

	do
		post->next = head;
	/* Pairs with the exchange in loop_run_posts(). */
	while (!atomic_compare_exchange_weak_explicit(
			&loop.posts, &head, post, memory_order_release, memory_order_relaxed));
	/* Who found the list not empty can rely on him who found it empty. */
	if (head == NULL)
		loop_wake();
}

static void
loop_run_posts(void)
{
	struct weir_post *post, *next, *first = NULL;

	post = atomic_exchange_explicit(&loop.posts, NULL, memory_order_acquire);
	for (; post != NULL; post = next) {
		next = post->next;
		post->next = first;
		first = post;
	}
	for (post = first; post != NULL; post = next) {
		next = post->next;
		post->fn(post);
	}
}

static void
loop_run_timers(void)
{
	uint64_t now = weir_now_ns();
	struct weir_timer *timer;

	while ((timer = TAILQ_FIRST(&loop.timers)) != NULL && timer->due_ns <= now) {
		weir_timer_cancel(timer);
		timer->expired(timer);
	}
}

static void
loop_run_fds(void)
{
	struct weir_fd *wfd;
	int i;

	for (i = 0; i < loop.nb_events; i++) {
		wfd = loop.events[i].data.ptr;
		if (wfd != NULL)
			wfd->ready(wfd, loop.events[i].events);
	}
	loop.nb_events = 0;
}

/* Milliseconds until the first timer is due, rounded up, if that is sooner than timeout_ms. */
static int
loop_timeout(int timeout_ms)
{
	const struct weir_timer *timer = TAILQ_FIRST(&loop.timers);
	uint64_t now, left_ms;

	if (timer == NULL)
		return timeout_ms;
	now = weir_now_ns();
	if (timer->due_ns <= now)
		return 0;
	left_ms = (timer->due_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	if (timeout_ms >= 0 && left_ms > (uint64_t)timeout_ms)
		return timeout_ms;
	return (int)RTE_MIN(left_ms, (uint64_t)INT_MAX);
}

int
weir_loop_poll(int timeout_ms)
{
	int nb = epoll_wait(loop.epoll_fd, loop.events, LOOP_MAX_EVENTS, loop_timeout(timeout_ms));

	if (nb < 0 && errno != EINTR)
		return -errno;
	loop.nb_events = RTE_MAX(nb, 0);
	/* The eventfd is drained among the descriptors, before the list that it announces. */
	loop_run_fds();
	loop_run_posts();
	loop_run_timers();
	return 0;
}

int
weir_loop_run(void)
{
	int rc = 0;

	while (rc == 0 && !atomic_exchange(&loop.stop, false))
		rc = weir_loop_poll(-1);
	return rc;
}

void
weir_loop_stop(void)
{
	int saved = errno;

	atomic_store(&loop.stop, true);
	loop_wake();
	errno = saved;
}
