/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_loop.h"

#define NB_SENDERS 4u
#define NB_POSTS   5000u

static int
loop_setup(void **state)
{
	return weir_loop_init();
}

static int
loop_teardown(void **state)
{
	weir_loop_fini();
	return 0;
}

/* A watched eventfd that is readable from the start and counts what it was told. */
struct watch {
	struct weir_fd wfd;
	unsigned int calls;
	uint32_t events;
	struct watch **victim; /* removed and freed when called; NULL for none */
};

static void
watch_free(struct watch **slot)
{
	struct watch *watch = *slot;

	*slot = NULL;
	weir_fd_del(&watch->wfd);
	close(watch->wfd.fd);
	free(watch);
}

static void
watch_ready(struct weir_fd *wfd, uint32_t events)
{
	struct watch *watch = container_of(wfd, struct watch, wfd);

	watch->calls++;
	watch->events = events;
	if (watch->victim != NULL)
		watch_free(watch->victim);
}

static struct watch *
watch_make(uint32_t events)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	assert_non_null(watch);
	watch->wfd = (struct weir_fd){
		.fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), .events = events, .ready = watch_ready
	};
	assert_true(watch->wfd.fd >= 0);
	assert_int_equal(weir_fd_add(&watch->wfd), 0);
	return watch;
}

static void
fd_ready_is_told_until_removed(void **state)
{
	struct watch *watch = watch_make(EPOLLIN);

	assert_int_equal(weir_loop_poll(0), 0);
	assert_int_equal(weir_loop_poll(-1), 0);
	assert_int_equal(watch->calls, 2);
	assert_int_equal(watch->events, EPOLLIN);

	assert_int_equal(weir_fd_mod(&watch->wfd, EPOLLOUT), 0);
	assert_int_equal(watch->wfd.events, EPOLLOUT);
	assert_int_equal(weir_loop_poll(0), 0);
	assert_int_equal(watch->events, EPOLLOUT);

	weir_fd_del(&watch->wfd);
	assert_int_equal(weir_loop_poll(0), 0);
	assert_int_equal(watch->calls, 3);
	assert_int_equal(weir_fd_mod(&watch->wfd, EPOLLIN), -ENOENT);
	assert_int_equal(watch->wfd.events, EPOLLOUT);
	watch_free(&watch);
}

static void
fd_add_what_epoll_refuses_is_reported(void **state)
{
	struct watch *watch = watch_make(EPOLLIN);
	struct weir_fd file = { .fd = memfd_create("test_loop", MFD_CLOEXEC), .events = EPOLLIN };
	struct weir_fd none = { .fd = -1, .events = EPOLLIN };

	assert_int_equal(weir_fd_add(&watch->wfd), -EEXIST);
	assert_int_equal(weir_fd_add(&none), -EBADF);
	assert_int_equal(weir_fd_add(&file), -EPERM);
	close(file.fd);
	watch_free(&watch);
}

/* Both are ready in one round: whichever comes first frees the other. */
static void
fd_freed_by_a_handler_of_the_same_round_is_not_called(void **state)
{
	struct watch *a = watch_make(EPOLLIN), *b = watch_make(EPOLLIN);
	struct watch **left;

	a->victim = &b;
	b->victim = &a;
	assert_int_equal(weir_loop_poll(-1), 0);
	assert_true((a == NULL) != (b == NULL));
	left = a != NULL ? &a : &b;
	assert_int_equal((*left)->calls, 1);
	watch_free(left);
}

static void
fd_freed_by_its_own_handler_is_gone(void **state)
{
	struct watch *watch = watch_make(EPOLLIN);

	watch->victim = &watch;
	assert_int_equal(weir_loop_poll(-1), 0);
	assert_null(watch);
	assert_int_equal(weir_loop_poll(0), 0);
}

static unsigned int nb_expired;

struct tick {
	struct weir_timer timer;
	unsigned int order; /* 1: the first to expire; 0: not yet */
	uint64_t at_ns;
	bool again;
	struct tick *cancels;
};

static void
tick_expired(struct weir_timer *timer)
{
	struct tick *tick = container_of(timer, struct tick, timer);

	tick->order = ++nb_expired;
	tick->at_ns = weir_now_ns();
	assert_int_equal(timer->due_ns, 0);
	if (tick->again)
		weir_timer_arm(timer, 0);
	if (tick->cancels != NULL)
		weir_timer_cancel(&tick->cancels->timer);
}

static void
timer_expiry_is_in_order_and_never_early(void **state)
{
	const uint64_t delays[] = { 5, 1, 3, 1, 0 };
	const unsigned int order[] = { 5, 2, 4, 3, 1 };
	struct tick ticks[RTE_DIM(delays)] = { 0 };
	uint64_t start = weir_now_ns();
	unsigned int i, rounds;

	nb_expired = 0;
	for (i = 0; i < RTE_DIM(ticks); i++) {
		ticks[i].timer.expired = tick_expired;
		weir_timer_arm(&ticks[i].timer, delays[i] * 4);
	}
	for (rounds = 0; nb_expired < RTE_DIM(ticks); rounds++)
		assert_int_equal(weir_loop_poll(-1), 0);
	/* It slept until then and did not spin. */
	assert_in_range(rounds, 1, 2 * RTE_DIM(ticks));
	for (i = 0; i < RTE_DIM(ticks); i++) {
		assert_int_equal(ticks[i].order, order[i]);
		assert_true(ticks[i].at_ns - start >= delays[i] * 4000000);
	}
}

static void
timer_cancelled_or_far_off_does_not_expire(void **state)
{
	struct tick soon = { .timer.expired = tick_expired }, far = soon, never = soon;

	nb_expired = 0;
	weir_timer_cancel(&soon.timer);
	soon.cancels = &far;
	weir_timer_arm(&never.timer, UINT64_MAX);
	weir_timer_arm(&far.timer, 0);
	weir_timer_arm(&soon.timer, 1000000);
	/* Armed again, it comes at the new time; both are due in the same round then. */
	weir_timer_arm(&soon.timer, 0);
	weir_timer_arm(&far.timer, 0);
	assert_int_equal(weir_loop_poll(-1), 0);
	assert_int_equal(soon.order, 1);
	assert_int_equal(far.order, 0);
	assert_int_equal(weir_loop_poll(0), 0);
	assert_int_equal(nb_expired, 1);
	weir_timer_cancel(&never.timer);
}

static void
timer_rearmed_by_its_handler_leaves_room_for_others(void **state)
{
	struct tick tick = { .timer.expired = tick_expired, .again = true };
	unsigned int i;

	nb_expired = 0;
	weir_timer_arm(&tick.timer, 0);
	for (i = 0; i < 10; i++)
		assert_int_equal(weir_loop_poll(-1), 0);
	assert_in_range(nb_expired, 10, 1000);
	weir_timer_cancel(&tick.timer);
}

static void
poll_without_work_ends_with_its_timeout(void **state)
{
	struct tick tick = { .timer.expired = tick_expired };
	uint64_t start = weir_now_ns();

	nb_expired = 0;
	weir_timer_arm(&tick.timer, 100000);
	assert_int_equal(weir_loop_poll(2), 0);
	assert_true(weir_now_ns() - start >= 2000000);
	assert_int_equal(nb_expired, 0);
	weir_timer_cancel(&tick.timer);
}

struct letter {
	struct weir_post post;
	unsigned int sender, number;
	bool again;
};

static unsigned int nb_letters, next_letter[NB_SENDERS];
static struct letter letters[NB_SENDERS][NB_POSTS];

static void
letter_arrived(struct weir_post *post)
{
	struct letter *letter = container_of(post, struct letter, post);

	assert_int_equal(letter->number, next_letter[letter->sender]++);
	nb_letters++;
	if (letter->again)
		weir_loop_post(post);
}

static void *
sender_main(void *arg)
{
	struct letter *row = arg;
	unsigned int i;

	for (i = 0; i < NB_POSTS; i++)
		weir_loop_post(&row[i].post);
	return NULL;
}

/* The loop sleeps without a timeout: a lost wake-up would hang the test. */
static void
post_from_many_threads_arrives_once_and_in_order(void **state)
{
	pthread_t threads[NB_SENDERS];
	unsigned int i, j;

	nb_letters = 0;
	for (i = 0; i < NB_SENDERS; i++) {
		next_letter[i] = 0;
		for (j = 0; j < NB_POSTS; j++) {
			letters[i][j] = (struct letter){
				.post.fn = letter_arrived, .sender = i, .number = j
			};
		}
	}
	for (i = 0; i < NB_SENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sender_main, letters[i]), 0);
	while (nb_letters < NB_SENDERS * NB_POSTS)
		assert_int_equal(weir_loop_poll(-1), 0);
	for (i = 0; i < NB_SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(weir_loop_poll(0), 0);
	assert_int_equal(nb_letters, NB_SENDERS * NB_POSTS);
}

static void
post_from_a_handler_waits_for_the_next_round(void **state)
{
	struct letter letter = { .post.fn = letter_arrived, .again = true };

	nb_letters = 0;
	next_letter[0] = 0;
	weir_loop_post(&letter.post);
	assert_int_equal(weir_loop_poll(-1), 0);
	assert_int_equal(nb_letters, 1);
	letter.number = 1;
	letter.again = false;
	assert_int_equal(weir_loop_poll(-1), 0);
	assert_int_equal(nb_letters, 2);
}

static void
fini_drops_posts_and_init_starts_afresh(void **state)
{
	struct letter letter = { .post.fn = letter_arrived };

	nb_letters = 0;
	weir_loop_post(&letter.post);
	weir_loop_stop();
	weir_loop_fini();
	assert_int_equal(weir_loop_init(), 0);
	assert_int_equal(weir_loop_poll(0), 0);
	assert_int_equal(nb_letters, 0);
}

static void
stop_signal(int sig)
{
	weir_loop_stop();
}

static void
stop_raise(struct weir_timer *timer)
{
	raise(SIGUSR1);
}

static void
stop_from_a_signal_handler_ends_run(void **state)
{
	const struct sigaction action = { .sa_handler = stop_signal };
	struct weir_timer timer = { .expired = stop_raise };
	struct sigaction old;

	assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
	weir_timer_arm(&timer, 1);
	assert_int_equal(weir_loop_run(), 0);
	assert_int_equal(timer.due_ns, 0);

	/* Once stopped it can run again. */
	weir_timer_arm(&timer, 0);
	assert_int_equal(weir_loop_run(), 0);
	sigaction(SIGUSR1, &old, NULL);
}

static void *
stopper_main(void *arg)
{
	weir_loop_stop();
	return NULL;
}

static void
stop_from_another_thread_ends_run(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stopper_main, NULL), 0);
	assert_int_equal(weir_loop_run(), 0);
	pthread_join(thread, NULL);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(fd_ready_is_told_until_removed),
		LOOP_TEST(fd_add_what_epoll_refuses_is_reported),
		LOOP_TEST(fd_freed_by_a_handler_of_the_same_round_is_not_called),
		LOOP_TEST(fd_freed_by_its_own_handler_is_gone),
		LOOP_TEST(timer_expiry_is_in_order_and_never_early),
		LOOP_TEST(timer_cancelled_or_far_off_does_not_expire),
		LOOP_TEST(timer_rearmed_by_its_handler_leaves_room_for_others),
		LOOP_TEST(poll_without_work_ends_with_its_timeout),
		LOOP_TEST(post_from_many_threads_arrives_once_and_in_order),
		LOOP_TEST(post_from_a_handler_waits_for_the_next_round),
		LOOP_TEST(fini_drops_posts_and_init_starts_afresh),
		LOOP_TEST(stop_from_a_signal_handler_ends_run),
		LOOP_TEST(stop_from_another_thread_ends_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
