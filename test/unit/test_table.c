/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_table.h"

/* 64 records of 64 bytes are one page: the smallest chunk. */
#define REC_SIZE   64u
#define CHUNK_RECS 64u

struct rec {
	_Atomic uint64_t stamp;
	uint8_t pad[REC_SIZE - 8];
};

static struct weir_table *
table_make(uint32_t max_recs)
{
	const struct weir_table_cfg cfg = { .name = "test_table",
		.rec_size = REC_SIZE,
		.max_recs = max_recs,
		.chunk_recs = CHUNK_RECS };
	struct weir_table *table = NULL;

	assert_int_equal(weir_table_create(&cfg, &table), 0);
	return table;
}

/* One record, with maintenance where it is wanted. */
static uint64_t
table_take_one(struct weir_table *table, void **rec)
{
	uint64_t handle = 0;
	int rc = weir_table_alloc(table, &handle, rec);

	if (rc == -EAGAIN) {
		assert_int_equal(weir_table_maintain(table), 0);
		rc = weir_table_alloc(table, &handle, rec);
	}
	assert_int_equal(rc, 0);
	return handle;
}

static void
table_drop(struct weir_table *table, void *rec)
{
	assert_true(weir_table_put(table, rec));
	weir_table_free(table, rec);
}

static void
table_drop_handle(struct weir_table *table, uint64_t handle)
{
	void *rec = weir_table_get(table, handle);

	assert_non_null(rec);
	assert_false(weir_table_put(table, rec));
	table_drop(table, rec);
}

static uint64_t
table_bytes(const struct weir_table *table)
{
	struct stat st;

	assert_int_equal(fstat(weir_table_fd(table), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void
create_bad_configuration_is_refused(void **state)
{
	const struct weir_table_cfg bad[] = {
		{ .name = "t", .rec_size = 0, .max_recs = 1 },
		{ .name = "t", .rec_size = 8, .max_recs = 0 },
		{ .name = "t", .rec_size = UINT32_MAX, .max_recs = 1 },
		{ .name = "t", .rec_size = 8, .max_recs = UINT32_MAX },
	};
	struct weir_table *table = NULL;
	unsigned int i;

	for (i = 0; i < RTE_DIM(bad); i++)
		assert_int_equal(weir_table_create(&bad[i], &table), -EINVAL);
	assert_null(table);
	weir_table_destroy(NULL);
}

static void
create_any_shape_gives_all_its_records(void **state)
{
	const uint32_t sizes[] = { 1, 8, 24, 4096, 5000, 1u << 20 };
	const uint32_t chunks[] = { 0, 1, 3, 100, UINT32_MAX };
	struct weir_table_cfg cfg = { .name = "test_table", .max_recs = 7 };
	struct weir_table *table;
	unsigned int i, j, n;
	void *rec, *last;
	uint64_t handle;

	for (i = 0; i < RTE_DIM(sizes); i++) {
		for (j = 0; j < RTE_DIM(chunks); j++) {
			cfg.rec_size = sizes[i];
			cfg.chunk_recs = chunks[j];
			assert_int_equal(weir_table_create(&cfg, &table), 0);
			for (n = 0, last = NULL; n < cfg.max_recs; n++, last = rec) {
				handle = table_take_one(table, &rec);
				assert_int_equal((uintptr_t)rec % 8, 0);
				assert_true(weir_table_index(handle) < cfg.max_recs);
				memset(rec, 0xff, sizes[i]);
				if (last != NULL)
					assert_true(labs((uint8_t *)rec - (uint8_t *)last) >=
							(long)sizes[i]);
			}
			assert_int_equal(weir_table_end(table), cfg.max_recs);
			assert_int_equal(weir_table_alloc(table, &handle, &rec), -ENFILE);
			weir_table_destroy(table);
		}
	}
}

static void
alloc_gives_a_zeroed_record_that_its_handle_finds(void **state)
{
	struct weir_table *table = table_make(CHUNK_RECS);
	uint8_t zeroes[REC_SIZE] = { 0 };
	uint64_t handle, again;
	void *rec, *same;

	assert_int_equal(weir_table_alloc(table, &handle, &rec), 0);
	assert_true(handle >> 32 != 0);
	assert_int_equal(weir_table_handle(table, rec), handle);
	assert_ptr_equal(weir_table_at(table, weir_table_index(handle)), rec);
	assert_int_equal(weir_table_used(table), 1);
	memset(rec, 0xff, REC_SIZE);

	assert_ptr_equal(weir_table_get(table, handle), rec);
	assert_ptr_equal(weir_table_get_index(table, weir_table_index(handle)), rec);
	weir_table_ref(table, rec);
	assert_false(weir_table_put(table, rec));
	assert_false(weir_table_put(table, rec));
	assert_false(weir_table_put(table, rec));
	assert_true(weir_table_put(table, rec));

	/* Between the last put and free it cannot be found, and its contents are still there. */
	assert_null(weir_table_get(table, handle));
	assert_null(weir_table_get_index(table, weir_table_index(handle)));
	assert_int_equal(((uint8_t *)rec)[REC_SIZE - 1], 0xff);
	assert_int_equal(weir_table_used(table), 1);
	weir_table_free(table, rec);
	assert_int_equal(weir_table_used(table), 0);

	assert_int_equal(weir_table_alloc(table, &again, &same), 0);
	assert_ptr_equal(same, rec);
	assert_int_not_equal(again, handle);
	assert_memory_equal(same, zeroes, REC_SIZE);
	weir_table_destroy(table);
}

static void
get_stale_or_forged_handle_finds_nothing(void **state)
{
	struct weir_table *table = table_make(4 * CHUNK_RECS);
	uint64_t handle, now;
	unsigned int i;
	void *rec;

	assert_int_equal(weir_table_alloc(table, &handle, &rec), 0);
	table_drop(table, rec);
	assert_null(weir_table_get(table, handle));
	assert_int_equal(weir_table_alloc(table, &now, &rec), 0);
	assert_int_equal(weir_table_index(now), weir_table_index(handle));
	assert_null(weir_table_get(table, handle));

	assert_null(weir_table_get(table, now + (1ull << 32)));
	assert_null(weir_table_get(table, (uint32_t)now));
	assert_null(weir_table_get(table, now + 1));
	assert_null(weir_table_get(table, now + CHUNK_RECS));
	assert_null(weir_table_get(table, now + 4 * CHUNK_RECS));
	assert_null(weir_table_get(table, now | UINT32_MAX));
	for (i = 0; i < 64; i++)
		assert_null(weir_table_get(table, now ^ (1ull << i)));
	assert_null(weir_table_get_index(table, UINT32_MAX));
	assert_ptr_equal(weir_table_get(table, now), rec);
	weir_table_destroy(table);
}

static void
alloc_beyond_what_is_there_waits_for_maintain(void **state)
{
	struct weir_table *table = table_make(3 * CHUNK_RECS - 5);
	uint64_t handle;
	unsigned int i;
	void *rec;

	assert_int_equal(weir_table_end(table), CHUNK_RECS);
	for (i = 0; i < CHUNK_RECS; i++) {
		assert_int_equal(weir_table_is_low(table), i >= CHUNK_RECS / 2);
		assert_int_equal(weir_table_alloc(table, &handle, &rec), 0);
	}
	handle = 99;
	rec = &handle;
	assert_int_equal(weir_table_alloc(table, &handle, &rec), -EAGAIN);
	assert_int_equal(handle, 99);
	assert_ptr_equal(rec, &handle);

	assert_int_equal(weir_table_maintain(table), 0);
	assert_int_equal(weir_table_end(table), 2 * CHUNK_RECS);
	assert_false(weir_table_is_low(table));
	for (; i < 3 * CHUNK_RECS - 5; i++) {
		assert_int_equal(weir_table_alloc(table, &handle, &rec), 0);
		assert_int_equal(weir_table_maintain(table), 0);
	}

	/* Nothing is left to extend, so nobody is to be poked for it. */
	assert_false(weir_table_is_low(table));
	assert_int_equal(weir_table_end(table), 3 * CHUNK_RECS - 5);
	assert_int_equal(weir_table_alloc(table, &handle, &rec), -ENFILE);
	table_drop(table, rec);
	assert_int_equal(weir_table_alloc(table, &handle, &rec), 0);
	assert_int_equal(weir_table_alloc(table, &handle, &rec), -ENFILE);
	weir_table_destroy(table);
}

/* Who counts references of two files in use must not wait for who counts those of the other. */
static void
alloc_gives_neighbours_lines_of_their_own(void **state)
{
	struct weir_table *table = table_make(CHUNK_RECS);
	uint8_t *last = NULL, *rec;

	for (unsigned int i = 0; i < CHUNK_RECS; i++) {
		table_take_one(table, (void **)&rec);
		/* Four headers of 16 bytes are a line. */
		assert_true(last == NULL || labs((long)(rec - last)) / (long)REC_SIZE > 3);
		last = rec;
	}
	weir_table_destroy(table);
}

/* So that the last chunks drain and their memory can go back. */
static void
alloc_prefers_the_first_chunks(void **state)
{
	struct weir_table *table = table_make(10 * CHUNK_RECS);
	uint64_t handles[3 * CHUNK_RECS], handle;
	unsigned int i;
	void *rec;

	for (i = 0; i < RTE_DIM(handles); i++)
		handles[i] = table_take_one(table, &rec);
	assert_int_equal(weir_table_maintain(table), 0);
	table_drop_handle(table, handles[2 * CHUNK_RECS]);
	table_drop_handle(table, handles[5]);
	handle = table_take_one(table, &rec);
	assert_int_equal(weir_table_index(handle), weir_table_index(handles[5]));
	handle = table_take_one(table, &rec);
	assert_int_equal(weir_table_index(handle), weir_table_index(handles[2 * CHUNK_RECS]));
	weir_table_destroy(table);
}

static void
maintain_gives_memory_of_free_chunks_back(void **state)
{
	const uint32_t nb = 200 * CHUNK_RECS;
	struct weir_table *table = table_make(nb);
	uint64_t *handles = calloc(nb, sizeof(*handles));
	uint64_t before = table_bytes(table), full, handle;
	uint32_t i, end;
	void *rec;

	assert_non_null(handles);
	for (i = 0; i < nb; i++)
		handles[i] = table_take_one(table, &rec);
	full = table_bytes(table);
	assert_true(full >= before + 190ull * CHUNK_RECS * REC_SIZE);

	/* One record in the midst keeps its chunk. */
	for (i = 0; i < nb; i++) {
		if (i != nb / 2)
			table_drop_handle(table, handles[i]);
	}
	end = weir_table_end(table);
	for (i = 0; i < 1000; i++)
		assert_int_equal(weir_table_maintain(table), 0);
	assert_true(table_bytes(table) <= full - 190ull * CHUNK_RECS * REC_SIZE);
	assert_int_equal(weir_table_end(table), end);
	assert_int_equal(weir_table_used(table), 1);
	assert_false(weir_table_is_low(table));

	/* No handle of before comes alive again, neither now nor when all is used once more. */
	for (i = 0; i < nb; i++) {
		rec = weir_table_get(table, handles[i]);
		assert_int_equal(rec != NULL, i == nb / 2);
	}
	assert_false(weir_table_put(table, weir_table_get(table, handles[nb / 2])));
	for (i = 1; i < nb; i++) {
		handle = table_take_one(table, &rec);
		assert_int_equal(((struct rec *)rec)->stamp, 0);
		assert_true(handle >> 32 > 1);
	}
	assert_int_equal(weir_table_alloc(table, &handle, &rec), -ENFILE);
	for (i = 0; i < nb; i++)
		assert_int_equal(weir_table_get(table, handles[i]) != NULL, i == nb / 2);
	free(handles);
	weir_table_destroy(table);
}

static void
maintain_keeps_what_a_small_table_needs(void **state)
{
	struct weir_table *table = table_make(200 * CHUNK_RECS);
	uint64_t before = table_bytes(table);
	unsigned int i;
	void *rec;

	/* Back and forth across a chunk's border: no memory moves. */
	for (i = 0; i < CHUNK_RECS; i++)
		table_take_one(table, &rec);
	assert_int_equal(weir_table_maintain(table), 0);
	before = table_bytes(table);
	for (i = 0; i < 100; i++) {
		table_take_one(table, &rec);
		table_drop(table, rec);
		assert_int_equal(weir_table_maintain(table), 0);
		assert_int_equal(table_bytes(table), before);
	}
	weir_table_destroy(table);
}

static void
walk_sees_each_living_record_once(void **state)
{
	struct weir_table *table = table_make(10 * CHUNK_RECS);
	unsigned int i, seen = 0;
	struct rec *rec;
	void *made;

	for (i = 0; i < 5 * CHUNK_RECS; i++) {
		table_take_one(table, &made);
		rec = made;
		rec->stamp = i % 3;
		if (i % 3 == 0)
			table_drop(table, rec);
	}
	for (i = 0; i < weir_table_end(table); i++) {
		rec = weir_table_get_index(table, i);
		if (rec == NULL)
			continue;
		assert_int_not_equal(rec->stamp, 0);
		assert_false(weir_table_put(table, rec));
		seen++;
	}
	assert_int_equal(seen, weir_table_used(table));
	assert_int_equal(seen, 5 * CHUNK_RECS - (5 * CHUNK_RECS + 2) / 3);
	weir_table_destroy(table);
}

static void
table_of_five_million_records_fits(void **state)
{
	const struct weir_table_cfg cfg = {
		.name = "test_table", .rec_size = 32, .max_recs = 5000000
	};
	struct weir_table *table;
	uint64_t handle, sum = 0;
	uint32_t i;
	void *rec;

	assert_int_equal(weir_table_create(&cfg, &table), 0);
	assert_true(table_bytes(table) < 4u << 20);
	for (i = 0; i < cfg.max_recs; i++)
		sum += weir_table_index(table_take_one(table, &rec));
	/* Each index came once. */
	assert_int_equal(sum, (uint64_t)cfg.max_recs * (cfg.max_recs - 1) / 2);
	assert_int_equal(weir_table_alloc(table, &handle, &rec), -ENFILE);
	for (i = 0; i < cfg.max_recs; i++) {
		rec = weir_table_get_index(table, i);
		assert_non_null(rec);
		weir_table_put(table, rec);
		table_drop(table, rec);
	}
	for (i = 0; i < 100; i++)
		assert_int_equal(weir_table_maintain(table), 0);
	assert_int_equal(weir_table_used(table), 0);
	/* Headers stay. */
	assert_true(table_bytes(table) < cfg.max_recs * 16ull + (8u << 20));
	weir_table_destroy(table);
}

#define NB_THREADS 4u
#define NB_SLOTS   1024u
#define NB_STEPS   100000u

/* Handles that all threads take, use and replace. A slot owns one reference to its record. */
static _Atomic uint64_t slots[NB_SLOTS];
static _Atomic unsigned int nb_running, nb_wrong, nb_found;
static struct weir_table *shared_table;

static void
stress_release(struct rec *rec, uint64_t handle)
{
	if (!weir_table_put(shared_table, rec))
		return;
	/* Ours alone until free. */
	if (atomic_exchange(&rec->stamp, 0) != handle)
		nb_wrong++;
	weir_table_free(shared_table, rec);
}

static void
stress_replace(_Atomic uint64_t *slot, uint64_t handle)
{
	uint64_t old = atomic_exchange(slot, handle);

	/* The slot's reference became ours; the record is where the index says. */
	if (old != 0) {
		struct rec *rec = weir_table_get(shared_table, old);

		if (rec == NULL) {
			nb_wrong++;
			return;
		}
		stress_release(rec, old);
		stress_release(rec, old);
	}
}

static void
stress_alloc(_Atomic uint64_t *slot)
{
	uint64_t handle;
	struct rec *rec;
	void *made;

	if (weir_table_alloc(shared_table, &handle, &made) < 0) {
		sched_yield();
		return;
	}
	rec = made;
	if (atomic_exchange(&rec->stamp, handle) != 0)
		nb_wrong++;
	stress_replace(slot, handle);
}

static void
stress_use(_Atomic uint64_t *slot)
{
	uint64_t handle = atomic_load(slot);
	struct rec *rec = handle != 0 ? weir_table_get(shared_table, handle) : NULL;

	if (rec == NULL)
		return;
	nb_found++;
	if (atomic_load(&rec->stamp) != handle || weir_table_handle(shared_table, rec) != handle)
		nb_wrong++;
	weir_table_ref(shared_table, rec);
	stress_release(rec, handle);
	stress_release(rec, handle);
}

static void *
stress_main(void *arg)
{
	uint64_t rng = 0x9e3779b97f4a7c15u * (uintptr_t)arg;
	unsigned int step, slot;

	for (step = 0; step < NB_STEPS; step++) {
		rng ^= rng << 13;
		rng ^= rng >> 7;
		rng ^= rng << 17;
		/* Mostly filling and mostly emptying take turns, so that the table breathes. */
		slot = (uint32_t)(rng >> 32) % NB_SLOTS;
		switch ((rng & 7) + (step / 10000 % 2 != 0 ? 4 : 0)) {
		case 0:
		case 1:
		case 2:
		case 4:
			stress_alloc(&slots[slot]);
			break;
		case 8:
		case 9:
		case 10:
		case 11:
			stress_replace(&slots[slot], 0);
			break;
		default:
			stress_use(&slots[slot]);
		}
	}
	nb_running--;
	return NULL;
}

/* There is room for fewer records than slots, so that exhaustion is part of it. */
static void
table_under_many_threads_keeps_every_record_whole(void **state)
{
	const uint32_t max_recs = 12 * CHUNK_RECS - 7;
	pthread_t threads[NB_THREADS];
	uint64_t handle;
	uintptr_t i;
	void *rec;

	shared_table = table_make(max_recs);
	nb_running = NB_THREADS;
	for (i = 0; i < NB_THREADS; i++)
		assert_int_equal(
				pthread_create(&threads[i], NULL, stress_main, (void *)(i + 1)), 0);
	while (nb_running > 0) {
		assert_int_equal(weir_table_maintain(shared_table), 0);
		sched_yield();
	}
	for (i = 0; i < NB_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(nb_wrong, 0);
	assert_true(nb_found > 0);

	for (i = 0; i < NB_SLOTS; i++)
		stress_replace(&slots[i], 0);
	assert_int_equal(nb_wrong, 0);
	assert_int_equal(weir_table_used(shared_table), 0);
	for (i = 0; i < max_recs; i++)
		table_take_one(shared_table, &rec);
	assert_int_equal(weir_table_alloc(shared_table, &handle, &rec), -ENFILE);
	weir_table_destroy(shared_table);
}

#define NB_FEW 4u

static struct rec *
few_take(uint64_t *handle)
{
	void *rec;

	if (weir_table_alloc(shared_table, handle, &rec) < 0)
		return NULL;
	if (atomic_exchange(&((struct rec *)rec)->stamp, *handle) != 0)
		nb_wrong++;
	nb_found++;
	return rec;
}

static void *
few_main(void *arg)
{
	struct rec *first, *second;
	uint64_t one, two;
	unsigned int step;

	for (step = 0; step < NB_STEPS; step++) {
		first = few_take(&one);
		second = few_take(&two);
		/* The first comes back while the one that followed it is still out. */
		if (first != NULL)
			stress_release(first, one);
		if (second != NULL)
			stress_release(second, two);
	}
	return NULL;
}

/* Few records that come and go fast: one that is given to two at once shows here. */
static void
table_of_few_records_under_many_threads_gives_each_to_one(void **state)
{
	pthread_t threads[NB_THREADS];
	uint64_t handle;
	unsigned int i;
	void *rec;

	shared_table = table_make(NB_FEW);
	nb_found = 0;
	for (i = 0; i < NB_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, few_main, NULL), 0);
	for (i = 0; i < NB_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(nb_wrong, 0);
	assert_true(nb_found > 0);
	assert_int_equal(weir_table_used(shared_table), 0);
	for (i = 0; i < NB_FEW; i++)
		assert_int_equal(weir_table_alloc(shared_table, &handle, &rec), 0);
	assert_int_equal(weir_table_alloc(shared_table, &handle, &rec), -ENFILE);
	weir_table_destroy(shared_table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_bad_configuration_is_refused),
		cmocka_unit_test(create_any_shape_gives_all_its_records),
		cmocka_unit_test(alloc_gives_a_zeroed_record_that_its_handle_finds),
		cmocka_unit_test(get_stale_or_forged_handle_finds_nothing),
		cmocka_unit_test(alloc_beyond_what_is_there_waits_for_maintain),
		cmocka_unit_test(alloc_gives_neighbours_lines_of_their_own),
		cmocka_unit_test(alloc_prefers_the_first_chunks),
		cmocka_unit_test(maintain_gives_memory_of_free_chunks_back),
		cmocka_unit_test(maintain_keeps_what_a_small_table_needs),
		cmocka_unit_test(walk_sees_each_living_record_once),
		cmocka_unit_test(table_of_five_million_records_fits),
		cmocka_unit_test(table_under_many_threads_keeps_every_record_whole),
		cmocka_unit_test(table_of_few_records_under_many_threads_gives_each_to_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
