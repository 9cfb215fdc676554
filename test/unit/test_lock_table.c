/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The table of locks against a model that knows each byte, and what it tells the host. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_common.h>

#include "lock_table.h"

#define OWNERS 4
#define FILES  6
#define BYTES  24
#define ROUNDS 60000

static struct lock_table table;
static struct weir_node node, elsewhere;
static struct weir_file files[FILES];

static int
setup(void **state)
{
	memset(&table, 0, sizeof(table));
	lock_table_init(&table);
	table.max_ranges = 1000;
	return 0;
}

static int
teardown(void **state)
{
	lock_table_fini(&table);
	return table.nb_ranges == 0 ? 0 : -1;
}

static struct weir_lock
posix(uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	return (struct weir_lock){ .guest = owner / 2,
		.owner = owner % 2,
		.start = start,
		.end = end,
		.type = type,
		.pid = 7 };
}

static int
set(uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	const struct weir_lock lock = posix(owner, type, start, end);
	bool freed = false;

	return lock_table_set(&table, &node, &files[owner], &lock, &freed);
}

static int
flock_set(uint64_t owner, uint32_t type, bool *freed)
{
	struct weir_lock lock = posix(owner, type, 0, INT64_MAX);

	lock.flags = WEIR_LOCK_FLOCK;
	*freed = lock_table_leave(&table, &node, &lock);
	return lock_table_set(&table, &node, &files[owner], &lock, freed);
}

/* What each owner has on each byte, and through which file. */
struct model {
	uint32_t type[OWNERS][BYTES];
};

static bool
model_conflicts(const struct model *m, unsigned int owner, uint32_t type, unsigned int start,
		unsigned int end)
{
	for (unsigned int o = 0; o < OWNERS; o++)
		for (unsigned int b = start; b <= end && o != owner; b++)
			if (m->type[o][b] == F_WRLCK ||
					(m->type[o][b] == F_RDLCK && type == F_WRLCK))
				return true;
	return false;
}

static bool
model_lets_go(const struct model *m, unsigned int owner, uint32_t type, unsigned int start,
		unsigned int end)
{
	for (unsigned int b = start; b <= end; b++)
		if ((type == F_UNLCK && m->type[owner][b] != F_UNLCK) ||
				(type == F_RDLCK && m->type[owner][b] == F_WRLCK))
			return true;
	return false;
}

static unsigned int
model_ranges(const struct model *m)
{
	unsigned int nb = 0;

	for (unsigned int o = 0; o < OWNERS; o++)
		for (unsigned int b = 0; b < BYTES; b++)
			nb += m->type[o][b] != F_UNLCK &&
					(b == 0 || m->type[o][b] != m->type[o][b - 1]);
	return nb;
}

static void
compare(const struct model *m)
{
	struct weir_lock lock, out;

	assert_int_equal(table.nb_ranges, model_ranges(m));
	assert_int_equal(node.locked, table.nb_ranges > 0);
	for (unsigned int o = 0; o < OWNERS; o++) {
		for (unsigned int b = 0; b < BYTES; b++) {
			lock = posix(o, F_RDLCK, b, b);
			assert_int_equal(lock_table_get(&table, &node, NULL, &lock, &out), 0);
			assert_int_equal(out.type != F_UNLCK, model_conflicts(m, o, F_RDLCK, b, b));
			lock.type = F_WRLCK;
			assert_int_equal(lock_table_get(&table, &node, NULL, &lock, &out), 0);
			assert_int_equal(out.type != F_UNLCK, model_conflicts(m, o, F_WRLCK, b, b));
			if (out.type != F_UNLCK)
				assert_true(out.start <= b && out.end >= b);
		}
	}
}

static void
posix_locks_are_as_a_model_of_each_byte_has_them(void **state)
{
	static const uint32_t types[] = { F_RDLCK, F_WRLCK, F_UNLCK };
	struct model m;
	struct weir_lock lock;
	bool freed, conflict;
	int rc;

	srandom(4711);
	for (unsigned int o = 0; o < OWNERS; o++)
		for (unsigned int b = 0; b < BYTES; b++)
			m.type[o][b] = F_UNLCK;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int o = (unsigned int)random() % OWNERS;
		unsigned int start = (unsigned int)random() % BYTES;
		unsigned int end = start + (unsigned int)random() % (BYTES - start);
		uint32_t type = types[random() % 3];

		if (random() % 50 == 0) {
			freed = lock_table_end_owner(&table, &node, o / 2, o % 2);
			assert_int_equal(freed, model_lets_go(&m, o, F_UNLCK, 0, BYTES - 1));
			for (unsigned int b = 0; b < BYTES; b++)
				m.type[o][b] = F_UNLCK;
			continue;
		}
		lock = posix(o, type, start, end);
		freed = false;
		conflict = type != F_UNLCK && model_conflicts(&m, o, type, start, end);
		rc = lock_table_set(&table, &node, &files[o], &lock, &freed);
		assert_int_equal(rc, conflict ? -EAGAIN : 0);
		assert_int_equal(freed, !conflict && model_lets_go(&m, o, type, start, end));
		for (unsigned int b = start; b <= end && !conflict; b++)
			m.type[o][b] = type;
		if (i % 16 == 0)
			compare(&m);
	}
	compare(&m);
}

static void
lock_to_the_end_meets_no_overflow(void **state)
{
	struct weir_lock lock, out;

	assert_int_equal(set(0, F_WRLCK, 10, INT64_MAX), 0);
	assert_int_equal(set(1, F_WRLCK, INT64_MAX, INT64_MAX), -EAGAIN);
	assert_int_equal(set(0, F_UNLCK, INT64_MAX, INT64_MAX), 0);
	assert_int_equal(set(1, F_WRLCK, INT64_MAX, INT64_MAX), 0);
	assert_int_equal(set(1, F_WRLCK, 0, 9), 0);
	lock = posix(1, F_RDLCK, 0, INT64_MAX);
	assert_int_equal(lock_table_get(&table, &node, NULL, &lock, &out), 0);
	assert_int_equal(out.start, 10);
	assert_int_equal(out.end, INT64_MAX - 1);
	assert_int_equal(out.type, F_WRLCK);
	assert_int_equal(out.pid, 7);
	/* A pid of another guest says nothing. */
	lock = posix(2, F_RDLCK, 0, INT64_MAX);
	assert_int_equal(lock_table_get(&table, &node, NULL, &lock, &out), 0);
	assert_int_equal(out.pid, 0);
}

static void
nodes_and_kinds_of_locks_are_apart(void **state)
{
	const struct weir_lock lock = posix(1, F_WRLCK, 0, 5);
	bool freed = false;

	assert_int_equal(set(0, F_WRLCK, 0, 5), 0);
	assert_int_equal(lock_table_set(&table, &elsewhere, &files[1], &lock, &freed), 0);
	assert_int_equal(flock_set(1, F_WRLCK, &freed), 0);
	assert_int_equal(flock_set(0, F_RDLCK, &freed), -EAGAIN);
	assert_true(lock_table_end_owner(&table, &node, 0, 0));
	assert_int_equal(flock_set(0, F_RDLCK, &freed), -EAGAIN);
	assert_false(lock_table_end_owner(&table, &node, 0, 1));
}

static void
flock_that_is_converted_is_let_go_first(void **state)
{
	bool freed;

	assert_int_equal(flock_set(0, F_RDLCK, &freed), 0);
	assert_int_equal(flock_set(1, F_RDLCK, &freed), 0);
	assert_int_equal(flock_set(1, F_RDLCK, &freed), 0);
	assert_false(freed);
	assert_int_equal(flock_set(1, F_WRLCK, &freed), -EAGAIN);
	assert_true(freed);
	/* So the other one gets what both wanted. */
	assert_int_equal(flock_set(0, F_WRLCK, &freed), 0);
	assert_int_equal(table.nb_ranges, 1);
	assert_int_equal(flock_set(0, F_UNLCK, &freed), 0);
	assert_true(freed);
	assert_int_equal(table.nb_ranges, 0);
}

static void
file_that_ends_takes_what_was_set_through_it(void **state)
{
	const struct weir_lock lock = posix(0, F_RDLCK, 100, 109);
	bool freed = false;

	assert_int_equal(set(0, F_RDLCK, 0, 9), 0);
	assert_int_equal(lock_table_set(&table, &node, &files[5], &lock, &freed), 0);
	assert_int_equal(table.nb_ranges, 2);
	assert_true(lock_table_end_file(&table, &node, &files[5]));
	assert_int_equal(table.nb_ranges, 1);
	assert_int_equal(set(1, F_WRLCK, 100, 109), 0);
	assert_int_equal(set(1, F_WRLCK, 0, 0), -EAGAIN);
	assert_false(lock_table_end_file(&table, &node, &files[5]));
	assert_true(lock_table_end_file(&table, &node, &files[0]));
	assert_true(lock_table_end_file(&table, &node, &files[1]));
	assert_int_equal(node.locked, 0);
}

static void
locks_are_counted_and_end_at_a_limit(void **state)
{
	unsigned int i;

	table.max_ranges = 16;
	for (i = 0; set(0, F_RDLCK, 10 * i, 10 * i + 5) == 0; i++)
		;
	assert_int_equal(i, 8);
	/* The guest's other owner is the same guest. */
	assert_int_equal(set(1, F_RDLCK, 10000, 10001), -ENOLCK);
	/* Others get half of what is left, and so on. */
	for (i = 0; set(2, F_RDLCK, 10 * i, 10 * i + 5) == 0; i++)
		;
	assert_int_equal(i, 4);
	assert_int_equal(set(0, F_RDLCK, 10000, 10001), -ENOLCK);
	/* To let go there is room as long as there is any. */
	for (i = 0; set(0, F_UNLCK, 10 * i + 2, 10 * i + 3) == 0; i++)
		;
	assert_int_equal(i, 4);
	assert_int_equal(table.nb_ranges, 16);
	assert_int_equal(set(2, F_UNLCK, 10, 15), 0);
	assert_int_equal(set(0, F_UNLCK, 0, INT64_MAX), 0);
	assert_int_equal(set(2, F_UNLCK, 0, INT64_MAX), 0);
	assert_int_equal(table.nb_ranges, 0);
	assert_int_equal(set(1, F_RDLCK, 0, 5), 0);
}

/* Ten million of one guest, and the next guest still gets one. */
static void
greedy_guest_leaves_room_for_others(void **state)
{
	table.max_ranges = 1000;
	for (unsigned int i = 0; i < 10000000; i++)
		assert_int_equal(set(0, F_WRLCK, 2 * i, 2 * i), i < 500 ? 0 : -ENOLCK);
	assert_int_equal(set(2, F_WRLCK, INT64_MAX, INT64_MAX), 0);
	assert_int_equal(table.nb_ranges, 501);
}

/* A host that says what it is told to, and counts. */
static struct {
	int answer;
	unsigned int sets, ends;
	struct weir_lock last;
} fake;

static int
fake_set(void *arg, struct weir_lock_host *host, struct weir_node *n, const struct weir_file *file,
		const struct weir_lock *lock)
{
	fake.sets++;
	fake.last = *lock;
	if (fake.answer == 0)
		host->priv[0] = 1;
	return fake.answer;
}

static int
fake_get(void *arg, struct weir_lock_host *host, struct weir_node *n, const struct weir_file *file,
		const struct weir_lock *lock, struct weir_lock *out)
{
	if (fake.answer == -EAGAIN)
		out->type = F_WRLCK;
	return 0;
}

static void
fake_end(void *arg, struct weir_lock_host *host)
{
	fake.ends++;
}

static const struct weir_locks_host fake_host = { fake_set, fake_get, fake_end };

static void
host_is_asked_before_anything_changes(void **state)
{
	struct weir_lock lock = posix(1, F_RDLCK, 0, 5), out;

	memset(&fake, 0, sizeof(fake));
	table.host = &fake_host;
	fake.answer = -EAGAIN;
	assert_int_equal(set(0, F_WRLCK, 0, 5), -EBUSY);
	assert_int_equal(table.nb_ranges, 0);
	assert_int_equal(node.locked, 0);
	assert_int_equal(fake.ends, 1);
	assert_int_equal(lock_table_get(&table, &node, NULL, &lock, &out), 0);
	assert_int_equal(out.type, F_WRLCK);

	fake.answer = 0;
	assert_int_equal(set(0, F_WRLCK, 0, 5), 0);
	/* Who is refused here is not asked for there. */
	fake.sets = 0;
	assert_int_equal(set(1, F_RDLCK, 0, 5), -EAGAIN);
	assert_int_equal(fake.sets, 0);
	fake.answer = -EIO;
	assert_int_equal(set(0, F_UNLCK, 0, 2), -EIO);
	assert_int_equal(fake.last.type, F_UNLCK);
	assert_int_equal(set(0, F_RDLCK, 0, 2), -EIO);
	lock = posix(1, F_RDLCK, 0, 0);
	assert_int_equal(lock_table_get(&table, &node, NULL, &lock, &out), 0);
	assert_int_equal(out.type, F_WRLCK);
	fake.ends = 0;
	assert_true(lock_table_end_owner(&table, &node, 0, 0));
	assert_int_equal(fake.ends, 1);
}

/* A host that has locks by byte for each description, as F_OFD_SETLK; and fails at times. */
static struct descr {
	bool used, writes;
	uint32_t type[BYTES];
} descr[2 * OWNERS];

static bool
descr_is_free(const struct descr *d, const struct weir_lock *lock)
{
	for (unsigned int i = 0; i < RTE_DIM(descr); i++)
		for (unsigned int b = lock->start;
				b <= lock->end && descr[i].used && &descr[i] != d; b++)
			if (descr[i].type[b] == F_WRLCK ||
					(descr[i].type[b] == F_RDLCK && lock->type == F_WRLCK))
				return false;
	return true;
}

static struct descr *
descr_open(bool writes)
{
	struct descr *d = descr;

	while (d->used)
		d++;
	assert_true(d < descr + RTE_DIM(descr));
	*d = (struct descr){ .used = true, .writes = writes };
	for (unsigned int b = 0; b < BYTES; b++)
		d->type[b] = F_UNLCK;
	return d;
}

static int
moody_set(void *arg, struct weir_lock_host *host, struct weir_node *n, const struct weir_file *file,
		const struct weir_lock *lock)
{
	static const int moods[] = { -EAGAIN, -EIO, -ENOLCK, -EMFILE };
	struct descr *d;

	if (host->priv[0] == 0 && lock->type == F_UNLCK)
		return 0;
	if (random() % 6 == 0)
		return moods[random() % (int)RTE_DIM(moods)];
	if (host->priv[0] == 0)
		host->priv[0] = (uint64_t)(descr_open(file->flags != O_RDONLY) - descr) + 1;
	d = &descr[host->priv[0] - 1];
	if (lock->type == F_WRLCK && !d->writes)
		return -EBADF;
	/* Nobody but its owner has anything there. */
	if (lock->type != F_UNLCK)
		assert_true(descr_is_free(d, lock));
	for (unsigned int b = lock->start; b <= lock->end; b++)
		d->type[b] = lock->type;
	return 0;
}

static void
moody_end(void *arg, struct weir_lock_host *host)
{
	if (host->priv[0] != 0)
		descr[host->priv[0] - 1] = (struct descr){ 0 };
	host->priv[0] = 0;
}

static const struct weir_locks_host moody_host = { moody_set, fake_get, moody_end };

/* What the table has of each owner, and that the host has the same of its description. */
static void
compare_host(uint32_t map[OWNERS][BYTES])
{
	const struct lock_node *ln = NULL;
	const struct lock_owner *owner;
	const struct lock_range *r;
	unsigned int i, nb = 0, used = 0;

	for (i = 0; i < LOCK_BUCKETS && ln == NULL; i++)
		ln = LIST_FIRST(&table.buckets[i]);
	for (i = 0; i < OWNERS * BYTES; i++)
		map[i / BYTES][i % BYTES] = F_UNLCK;
	for (owner = ln != NULL ? TAILQ_FIRST(&ln->owners) : NULL; owner != NULL;
			owner = TAILQ_NEXT(owner, next), nb++) {
		uint32_t *bytes = map[2 * owner->guest + owner->owner];

		TAILQ_FOREACH(r, &owner->ranges, next)
			for (unsigned int b = r->start; b <= r->end; b++)
				bytes[b] = r->type;
		assert_memory_equal(
				bytes, descr[owner->host.priv[0] - 1].type, sizeof(descr[0].type));
	}
	for (i = 0; i < RTE_DIM(descr); i++)
		used += descr[i].used;
	assert_int_equal(used, nb);
}

/* Each owner has a file that writes and one that does not. */
static int
moody_step(unsigned int o, uint32_t type, unsigned int start, unsigned int end)
{
	const struct weir_lock lock = posix(o, type, start, end);
	const struct weir_file *file = &files[random() % 2 == 0 || type == F_WRLCK ? o : OWNERS];
	bool freed = false;

	switch (random() % 40) {
	case 0:
		lock_table_end_owner(&table, &node, o / 2, o % 2);
		return 0;
	case 1:
		lock_table_end_file(&table, &node, file);
		return 0;
	default:
		return lock_table_set(&table, &node, file, &lock, &freed);
	}
}

/* Whatever it refuses, the table and the host agree, and what was refused has changed nothing. */
static void
host_and_table_agree_whatever_fails(void **state)
{
	static const uint32_t types[] = { F_RDLCK, F_WRLCK, F_UNLCK };
	uint32_t before[OWNERS][BYTES], after[OWNERS][BYTES];
	unsigned int refused = 0;

	srandom(1848);
	memset(descr, 0, sizeof(descr));
	for (unsigned int o = 0; o < OWNERS; o++)
		files[o].flags = O_RDWR;
	table.host = &moody_host;
	compare_host(before);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int start = (unsigned int)random() % BYTES;
		unsigned int end = start + (unsigned int)random() % (BYTES - start);
		int rc = moody_step(
				(unsigned int)random() % OWNERS, types[random() % 3], start, end);

		compare_host(after);
		if (rc < 0)
			assert_memory_equal(before, after, sizeof(before));
		refused += rc < 0 && rc != -EAGAIN;
		memcpy(before, after, sizeof(before));
	}
	assert_true(refused > ROUNDS / 20);
	for (unsigned int o = 0; o < OWNERS; o++)
		lock_table_end_owner(&table, &node, o / 2, o % 2);
	compare_host(after);
	assert_int_equal(table.nb_ranges, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
				posix_locks_are_as_a_model_of_each_byte_has_them, setup, teardown),
		cmocka_unit_test_setup_teardown(lock_to_the_end_meets_no_overflow, setup, teardown),
		cmocka_unit_test_setup_teardown(
				nodes_and_kinds_of_locks_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(
				flock_that_is_converted_is_let_go_first, setup, teardown),
		cmocka_unit_test_setup_teardown(
				file_that_ends_takes_what_was_set_through_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
				locks_are_counted_and_end_at_a_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(
				greedy_guest_leaves_room_for_others, setup, teardown),
		cmocka_unit_test_setup_teardown(
				host_is_asked_before_anything_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(
				host_and_table_agree_whatever_fails, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
