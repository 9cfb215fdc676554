/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir_virtio.h"

#include "guest_ring.h"
#include "ring_check.h"
#include "ring_random.h"

#define NB_RINGS 100000
#define MAX_SEGS 20

/* A table of descriptors that lead on in a row, with writable ones behind, and some of it wrong. */
static void
any_table(struct guest_ring *ring, struct vring_desc *table, uint32_t nb, uint32_t indirect_in)
{
	uint32_t writable_from = rnd(nb + 1);
	uint32_t i;

	for (i = 0; i < nb; i++) {
		uint16_t flags = i >= writable_from ? VRING_DESC_F_WRITE : 0;
		uint16_t next = i + 1;
		uint64_t gpa = any_gpa();
		uint32_t len = any_len();

		if ((i + 1 < nb && !one_in(one_in(2) ? 4 : 200)) || one_in(100))
			flags |= VRING_DESC_F_NEXT;
		if (one_in(100))
			flags = rnd(65536);
		if (one_in(200))
			next = one_in(2) ? rnd(nb) : rnd(65536);
		if (one_in(indirect_in)) {
			flags = VRING_DESC_F_INDIRECT;
			gpa = one_in(4) ? any_gpa() : GUEST_TABLE_GPA + rnd(2000) * 16;
			len = one_in(4) ? any_len() : (4 + rnd(one_in(8) ? 2000 : 100)) * 16;
		}
		guest_ring_put(&table[i], gpa, len, flags, next);
	}
}

/*
 * Pops and answers all there is. Returns how many chains were taken. A ring whose parts overlap may
 * feed itself with what we answer; everybody else ends here.
 */
static uint32_t WEIR_ON_WORKER
serve(struct guest_ring *ring, struct weir_vq *vq, uint64_t *full)
{
	static struct weir_seg segs[MAX_SEGS];
	struct weir_chain chain;
	uint32_t taken = 0;
	int rc;

	while (taken <= ring->cfg.size) {
		if (one_in(4))
			assert_in_range(weir_vq_look(vq, 8), 0, 8);
		rc = weir_vq_pop(vq, &chain, segs, MAX_SEGS);
		if (rc == 0 || rc == -EPROTO)
			break;
		assert_true(rc == 1 || rc == -ENOBUFS);
		assert_true(chain.head < ring->cfg.size);
		taken++;
		if (rc == 1)
			ring_check_segments(ring->map, &chain, segs, MAX_SEGS);
		else
			(*full)++;
		if (one_in(4)) {
			weir_vq_unpop(vq, chain.head);
			taken--;
			/* Behind our back: what was good a moment ago is not any more. */
			any_table(ring, &ring->desc[chain.head], 1, 4);
			continue;
		}
		weir_vq_push(vq, chain.head, chain.out_bytes);
	}
	weir_vq_flush(vq);
	if (!weir_vq_arm(vq) && vq->error == WEIR_VQ_OK)
		assert_int_equal(ring->avail->idx, vq->last_avail);
	weir_vq_disarm(vq);
	return taken;
}

static void WEIR_ON_WORKER
any_ring(struct guest_ring *ring, struct weir_vq *vq)
{
	uint32_t size = 2U << rnd(7);
	uint64_t features = (one_in(2) ? WEIR_VIRTIO_F_EVENT_IDX : 0) |
			(one_in(8) ? 0 : WEIR_VIRTIO_F_INDIRECT_DESC);
	uint32_t i, nb;

	guest_ring_reset(ring, size, features, rnd(65536));
	any_table(ring, ring->desc, size, features & WEIR_VIRTIO_F_INDIRECT_DESC ? 3 : 100);
	any_table(ring, guest_ring_at(ring, GUEST_TABLE_GPA + rnd(63) * 64 * 16), 64, 200);
	nb = 1 + rnd(size);
	for (i = 0; i < nb; i++)
		guest_ring_offer(ring, one_in(50) ? rnd(65536) : rnd(size));
	if (one_in(30))
		ring->avail->idx = rnd(65536);
	ring->avail->flags = rnd(65536);
	*guest_ring_used_event(ring) = rnd(65536);
	assert_int_equal(weir_vq_start(vq, ring->map, &ring->cfg), 0);
	if (one_in(200))
		atomic_store(&ring->map->broken, true);
}

/*
 * Guest memory lies between guard pages: any step outside is a crash. Each category has to be met,
 * else this test has gone blind.
 */
static void WEIR_ON_WORKER
vq_hostile_rings_stay_in_memory_and_end(void **state)
{
	struct weir_vq vq = { 0 };
	struct weir_vring_base base;
	struct guest_ring ring;
	uint64_t good = 0, full = 0;
	uint32_t i, taken;

	guest_ring_create(&ring);
	any_table(&ring, guest_ring_at(&ring, GUEST_TABLE_GPA), 4096, 1000);
	for (i = 0; i < NB_RINGS; i++) {
		any_ring(&ring, &vq);
		taken = serve(&ring, &vq, &full);
		assert_true(taken <= ring.cfg.size);
		good += taken;
		weir_vq_stop(&vq, &base);
	}
	for (i = WEIR_VQ_OK + 1; i < WEIR_VQ_NB_ERRORS; i++) {
		print_message("%-14s %8" PRIu64 "\n", weir_vq_error_name(i), vq.stats.errors[i]);
		/* A split ring has no ids. */
		assert_true(vq.stats.errors[i] > 50 || i == WEIR_VQ_BAD_ID);
	}
	print_message("%-14s %8" PRIu64 " of them too long %" PRIu64 "\n", "taken", good, full);
	assert_true(full > 100 && good - full > NB_RINGS / 4);
	assert_int_equal(vq.stats.chains, good);
	guest_ring_destroy(&ring);
}

/* Where a ring starts is the front end's word: any place is refused or works, nothing else. */
static void WEIR_ON_WORKER
vq_hostile_places_start_or_are_refused(void **state)
{
	struct weir_vq vq = { 0 };
	struct weir_vring_base base;
	struct guest_ring ring;
	uint32_t i, started = 0;
	uint64_t full = 0;

	guest_ring_create(&ring);
	for (i = 0; i < NB_RINGS; i++) {
		guest_ring_reset(&ring, 16, 0, 0);
		any_table(&ring, guest_ring_at(&ring, GUEST_TABLE_GPA), 64, 20);
		ring.cfg.size = one_in(4) ? rnd(65536) : 2U << rnd(11);
		ring.cfg.desc_gpa = any_gpa() & ~(one_in(8) ? 0ULL : 15ULL);
		ring.cfg.avail_gpa = any_gpa() & ~(one_in(8) ? 0ULL : 1ULL);
		ring.cfg.used_gpa = any_gpa() & ~(one_in(8) ? 0ULL : 3ULL);
		ring.cfg.features = rnd(UINT64_MAX) & ~WEIR_VIRTIO_F_RING_PACKED;
		ring.cfg.avail_base = rnd(65536);
		ring.cfg.used_base = ring.cfg.avail_base - (one_in(8) ? rnd(65536) : rnd(17));
		if (weir_vq_start(&vq, ring.map, &ring.cfg) < 0)
			continue;
		started++;
		ring.avail = vq.avail;
		ring.desc = guest_ring_at(&ring, ring.cfg.desc_gpa);
		serve(&ring, &vq, &full);
		weir_vq_stop(&vq, &base);
	}
	assert_in_range(started, NB_RINGS / 10, NB_RINGS - NB_RINGS / 10);
	guest_ring_destroy(&ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vq_hostile_rings_stay_in_memory_and_end),
		cmocka_unit_test(vq_hostile_places_start_or_are_refused),
	};

	ring_random_seed(0x9e3779b97f4a7c15);
	/* A walk without end is a failure, not a hanging test. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
