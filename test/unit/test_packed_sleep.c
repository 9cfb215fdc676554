/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_virtio.h"

#include "guest_packed.h"

/*
 * A driver and a device that both go to sleep whenever there is nothing to do, and count on the other
 * to wake them where they asked for it. A wake-up that gets lost is a sleep without end.
 */
#define NB_CHAINS 20000
#define LOST_S    20
#define RING_SIZE 5

static struct guest_packed ring;
static sem_t kick, interrupt;
static bool driver_lost;

static bool
sleep_on(sem_t *sem)
{
	struct timespec until;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOST_S;
	while ((rc = sem_clockwait(sem, CLOCK_MONOTONIC, &until)) < 0 && errno == EINTR)
		;
	return rc == 0;
}

/* Chains of one and two slots in turn; at most two are under way, which fits. */
static void *
driver_run(void *arg)
{
	static const struct guest_buf buf[] = { { GUEST_DATA_GPA, 8, VRING_DESC_F_NEXT },
		{ GUEST_DATA_GPA, 8, VRING_DESC_F_WRITE } };
	const struct vring_packed_desc *used;
	uint32_t sent = 0, done = 0;

	while (done < NB_CHAINS) {
		while (sent < NB_CHAINS && sent - done < 2) {
			uint32_t nb = 1 + sent % 2;

			guest_packed_offer(&ring, buf + 2 - nb, nb, sent % 2);
			if (guest_packed_kicks(&ring, nb))
				sem_post(&kick);
			sent++;
		}
		used = guest_packed_used(&ring);
		if (used == NULL) {
			guest_packed_want(&ring);
			if (guest_packed_used(&ring) == NULL && !sleep_on(&interrupt)) {
				driver_lost = true;
				break;
			}
			continue;
		}
		ring.used = guest_packed_forth(&ring, ring.used, 1 + used->id % 2);
		done++;
	}
	return NULL;
}

static void WEIR_ON_WORKER
device_run(uint64_t features)
{
	struct weir_vq vq = { 0 };
	struct weir_chain chain;
	struct weir_seg segs[4];
	uint32_t done = 0;
	pthread_t driver;
	int rc;

	guest_packed_reset(&ring, RING_SIZE, features, GUEST_FIRST_TURN);
	assert_int_equal(weir_vq_start(&vq, ring.mem.map, &ring.mem.cfg), 0);
	sem_init(&kick, 0, 0);
	sem_init(&interrupt, 0, 0);
	driver_lost = false;
	assert_int_equal(pthread_create(&driver, NULL, driver_run, NULL), 0);
	while (done < NB_CHAINS) {
		rc = weir_vq_pop(&vq, &chain, segs, RTE_DIM(segs));
		if (rc == 1) {
			weir_vq_push(&vq, chain.head, 8);
			done++;
			if (weir_vq_flush(&vq))
				sem_post(&interrupt);
			continue;
		}
		assert_int_equal(rc, 0);
		if (!weir_vq_arm(&vq) && !sleep_on(&kick))
			break;
		weir_vq_disarm(&vq);
	}
	pthread_join(driver, NULL);
	assert_false(driver_lost);
	assert_int_equal(done, NB_CHAINS);
	assert_int_equal(vq.stats.used, NB_CHAINS);
	sem_destroy(&kick);
	sem_destroy(&interrupt);
}

static void WEIR_ON_WORKER
packed_sleepers_with_flags_are_woken(void **state)
{
	device_run(0);
}

static void WEIR_ON_WORKER
packed_sleepers_with_event_index_are_woken(void **state)
{
	device_run(WEIR_VIRTIO_F_EVENT_IDX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_sleepers_with_flags_are_woken),
		cmocka_unit_test(packed_sleepers_with_event_index_are_woken),
	};
	int rc;

	guest_ring_create(&ring.mem);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	guest_ring_destroy(&ring.mem);
	return rc;
}
