/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_virtio.h"

#include "guest_packed.h"
#include "ring_check.h"
#include "ring_random.h"

#define NB_RINGS 50000
#define MAX_SEGS 20

#define AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1U << VRING_PACKED_DESC_F_USED)

/* Chains as a driver makes them, one behind the other for a whole turn, and some of it wrong. */
static void
any_slots(struct guest_packed *ring, struct vring_packed_desc *desc, uint32_t nb)
{
	uint16_t place = ring->avail;
	uint32_t i, left = 0;
	bool writable = false;

	for (i = 0; i < nb; i++) {
		uint16_t flags = place & 0x8000U ? AVAIL : USED;
		struct vring_packed_desc *d = &desc[place & 0x7fffU];

		if (left == 0) {
			left = 1 + (one_in(2) ? rnd(4) : 0);
			writable = false;
		}
		writable = writable || one_in(2);
		*d = (struct vring_packed_desc){ any_gpa(), any_len(), i, flags };
		d->flags |= (writable ? VRING_DESC_F_WRITE : 0) |
				(--left > 0 || one_in(100) ? VRING_DESC_F_NEXT : 0);
		if (one_in(20))
			d->id = one_in(2) ? rnd(ring->mem.cfg.size) : rnd(65536);
		if (one_in(200))
			d->flags = rnd(65536);
		if (one_in(10)) {
			d->flags = flags | VRING_DESC_F_INDIRECT;
			d->addr = GUEST_TABLE_GPA + rnd(2000) * 16;
			d->len = one_in(4) ? any_len() : rnd(one_in(8) ? 2000 : 30) * 16;
			left = 0;
		}
		place = guest_packed_forth(ring, place, 1);
	}
}

static void
any_table(struct guest_ring *mem)
{
	struct vring_packed_desc *desc = guest_ring_at(mem, GUEST_TABLE_GPA);
	uint32_t i, readable = 1 + rnd(8);

	for (i = 0; i < 4096; i++)
		desc[i] = (struct vring_packed_desc){ any_gpa(), any_len(), rnd(65536),
			(i / 32 % 2 == 0 && i % 32 < readable ? 0 : VRING_DESC_F_WRITE) |
					(rnd(65536) & ~VRING_DESC_F_WRITE) };
}

/* Some chains at a time are with the back end; they are answered in any order. */
struct held {
	uint16_t id[1024];
	uint32_t nb;
};

static void WEIR_ON_WORKER
answer_any(struct weir_vq *vq, struct held *held)
{
	uint32_t i = rnd(held->nb);
	uint16_t id = held->id[i];

	held->id[i] = held->id[--held->nb];
	weir_vq_push(vq, id, rnd(3));
}

/* Pops until the ring is empty or broken, or a turn of it was taken; answers on the way. */
static uint32_t WEIR_ON_WORKER
serve(struct guest_packed *ring, struct weir_vq *vq, uint64_t *full)
{
	static struct weir_seg segs[MAX_SEGS];
	struct held held = { .nb = 0 };
	struct weir_chain chain;
	bool holds = one_in(4);
	uint32_t taken = 0, i;
	int rc;

	while (taken <= ring->mem.cfg.size) {
		/* Nothing of the ring is the driver's, which offers all the same. */
		ring->avail = vq->last_avail;
		if (vq->nb_taken == ring->mem.cfg.size)
			any_slots(ring, ring->desc, 1);
		if (one_in(4))
			assert_in_range(weir_vq_look(vq, 8), 0, 8);
		rc = weir_vq_pop(vq, &chain, segs, MAX_SEGS);
		if (rc == 0 || rc == -EPROTO)
			break;
		assert_true(rc == 1 || rc == -ENOBUFS);
		assert_true(chain.head < ring->mem.cfg.size);
		if (one_in(8)) {
			weir_vq_unpop(vq, chain.head);
			ring->avail = vq->last_avail;
			any_slots(ring, ring->desc, 1);
			if (one_in(8))
				break;
			continue;
		}
		for (i = 0; i < held.nb; i++)
			assert_int_not_equal(held.id[i], chain.head);
		held.id[held.nb++] = chain.head;
		taken++;
		if (rc == 1)
			ring_check_segments(ring->mem.map, &chain, segs, MAX_SEGS);
		else
			(*full)++;
		while (held.nb > 0 && !holds && one_in(2))
			answer_any(vq, &held);
		if (one_in(4))
			weir_vq_publish(vq);
		if (one_in(4))
			weir_vq_flush(vq);
	}
	while (held.nb > 0)
		answer_any(vq, &held);
	assert_int_equal(vq->nb_taken, 0);
	weir_vq_flush(vq);
	weir_vq_arm(vq);
	weir_vq_disarm(vq);
	return taken;
}

static void WEIR_ON_WORKER
any_ring(struct guest_packed *ring, struct weir_vq *vq)
{
	uint32_t size = 2 + rnd(one_in(10) ? 1023 : 40);
	uint64_t features = (one_in(2) ? WEIR_VIRTIO_F_EVENT_IDX : 0) |
			(one_in(8) ? 0 : WEIR_VIRTIO_F_INDIRECT_DESC);

	guest_packed_reset(ring, size, features, rnd(size) | (one_in(2) ? 0x8000U : 0));
	any_slots(ring, ring->desc, 1 + rnd(one_in(4) ? 2 * size : size));
	ring->driver->flags = rnd(one_in(2) ? 4 : 65536);
	ring->driver->off_wrap = rnd(65536);
	assert_int_equal(weir_vq_start(vq, ring->mem.map, &ring->mem.cfg), 0);
	if (one_in(200))
		atomic_store(&ring->mem.map->broken, true);
}

/*
 * Guest memory lies between guard pages: any step outside is a crash. Each category has to be met,
 * else this test has gone blind.
 */
static void WEIR_ON_WORKER
packed_hostile_rings_stay_in_memory_and_end(void **state)
{
	struct weir_vq vq = { 0 };
	struct weir_vring_base base;
	struct guest_packed ring;
	uint64_t good = 0, full = 0;
	uint32_t i;

	guest_ring_create(&ring.mem);
	for (i = 0; i < NB_RINGS; i++) {
		if (i % 1000 == 0)
			any_table(&ring.mem);
		any_ring(&ring, &vq);
		good += serve(&ring, &vq, &full);
		weir_vq_stop(&vq, &base);
		assert_true((base.avail & 0x7fffU) < ring.mem.cfg.size);
		assert_true((base.used & 0x7fffU) < ring.mem.cfg.size);
	}
	for (i = WEIR_VQ_OK + 1; i < WEIR_VQ_NB_ERRORS; i++) {
		print_message("%-14s %8" PRIu64 "\n", weir_vq_error_name(i), vq.stats.errors[i]);
		/* These two are mistakes that a packed ring leaves no room for. */
		if (i != WEIR_VQ_BAD_HEAD && i != WEIR_VQ_BAD_NEXT)
			assert_true(vq.stats.errors[i] > 50);
	}
	print_message("%-14s %8" PRIu64 " of them too long %" PRIu64 "\n", "taken", good, full);
	assert_true(full > 100 && good - full > NB_RINGS / 4);
	assert_int_equal(vq.stats.chains, good);
	assert_int_equal(vq.stats.used, good);
	guest_ring_destroy(&ring.mem);
}

/* Where a ring starts is the front end's word: any place is refused or works, nothing else. */
static void WEIR_ON_WORKER
packed_hostile_places_start_or_are_refused(void **state)
{
	struct weir_vq vq = { 0 };
	struct weir_vring_base base;
	struct guest_packed ring;
	uint32_t i, started = 0;
	uint64_t full = 0;

	guest_ring_create(&ring.mem);
	for (i = 0; i < NB_RINGS; i++) {
		struct weir_vring_cfg *cfg = &ring.mem.cfg;

		guest_packed_reset(&ring, 16, 0, 0);
		cfg->size = one_in(4) ? rnd(65536) : 2 + rnd(1023);
		cfg->desc_gpa = any_gpa() & ~(one_in(8) ? 0ULL : 15ULL);
		cfg->avail_gpa = any_gpa() & ~(one_in(8) ? 0ULL : 3ULL);
		cfg->used_gpa = any_gpa() & ~(one_in(8) ? 0ULL : 3ULL);
		cfg->features = rnd(UINT64_MAX) | WEIR_VIRTIO_F_RING_PACKED;
		cfg->avail_base = one_in(4) ? rnd(65536) : rnd(256) | rnd(2) << 15;
		cfg->used_base = one_in(4) ? rnd(65536) : cfg->avail_base;
		if (weir_vq_start(&vq, ring.mem.map, cfg) < 0)
			continue;
		started++;
		ring.desc = guest_ring_at(&ring.mem, cfg->desc_gpa);
		ring.avail = cfg->avail_base;
		any_slots(&ring, ring.desc, cfg->size);
		/* What was taken before the start is never given back; the rest is. */
		vq.nb_taken = 0;
		serve(&ring, &vq, &full);
		weir_vq_stop(&vq, &base);
	}
	assert_in_range(started, NB_RINGS / 10, NB_RINGS - NB_RINGS / 10);
	guest_ring_destroy(&ring.mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_hostile_rings_stay_in_memory_and_end),
		cmocka_unit_test(packed_hostile_places_start_or_are_refused),
	};

	ring_random_seed(0xd1b54a32d192ed03);
	/* A walk without end is a failure, not a hanging test. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
