/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The file system in memory: space, holes and copies, compared with what a plain array would hold. */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "memfs_user.h"

#define FILE_MAX (64u * PAGE)

static int
do_write(uint32_t ino, uint64_t off, uint32_t len, uint8_t byte)
{
	struct weir_iov iov;

	memset(guest, byte, len);
	guest_iov(&iov, len);
	return memfs_write(fs, ino, off, len, &iov);
}

static int
do_fallocate(uint32_t ino, uint32_t mode, uint64_t off, uint64_t len)
{
	uint64_t pos = 0;
	int rc;

	do {
		rc = memfs_fallocate(fs, ino, mode, off, len, &pos);
	} while (rc == -EAGAIN);
	return rc;
}

static int
do_copy(uint32_t ino, uint64_t off, uint32_t newino, uint64_t newoff, uint64_t len)
{
	const struct memfs_copy copy = { ino, newino, off, newoff, len };
	uint64_t pos = 0;
	int rc;

	do {
		rc = memfs_copy(fs, &copy, &pos);
	} while (rc == -EAGAIN);
	return rc;
}

static int64_t
do_seek(uint32_t ino, uint64_t off, uint32_t whence)
{
	uint64_t out;
	int rc = memfs_seek(fs, ino, off, whence, &out);

	return rc < 0 ? rc : (int64_t)out;
}

static uint32_t
make(const char *name)
{
	const struct memfs_new what = { .mode = S_IFREG | 0644 };
	uint32_t ino;

	assert_int_equal(memfs_make(fs, MEMFS_ROOT, name, &what, &ino), 0);
	return ino;
}

static void
fallocate_takes_space_and_moves_the_end(void **state)
{
	uint32_t ino = make("a");

	assert_int_equal(do_fallocate(ino, 0, 100, 3 * PAGE), 0);
	assert_int_equal(attr_of(ino).size, 100 + 3 * PAGE);
	assert_int_equal(attr_of(ino).blocks, 4 * PAGE / 512);
	assert_int_equal(do_fallocate(ino, FALLOC_FL_KEEP_SIZE, 10 * PAGE, PAGE), 0);
	assert_int_equal(attr_of(ino).size, 100 + 3 * PAGE);
	assert_int_equal(attr_of(ino).blocks, 5 * PAGE / 512);
	assert_int_equal(do_read(ino, 0, 5 * PAGE), 100 + 3 * PAGE);
	for (unsigned int i = 0; i < 100 + 3 * PAGE; i++)
		assert_int_equal(guest[i], 0);
}

static void
space_beyond_the_end_comes_back(void **state)
{
	uint64_t before = pages_free();
	const struct weir_attr empty = { 0 };
	uint32_t ino = make("a");

	assert_int_equal(do_fallocate(ino, FALLOC_FL_KEEP_SIZE, 0, 3 * PAGE), 0);
	assert_int_equal(attr_of(ino).size, 0);
	assert_true(pages_free() < before);
	assert_int_equal(memfs_setattr(fs, ino, WEIR_SET_SIZE, &empty), 0);
	assert_int_equal(pages_free(), before);
	assert_int_equal(do_fallocate(ino, FALLOC_FL_KEEP_SIZE, 5 * PAGE, 3 * PAGE), 0);
	assert_int_equal(memfs_unlink(fs, MEMFS_ROOT, "a"), 0);
	assert_int_equal(pages_free(), before);
}

static void
fallocate_of_more_than_there_is_fails(void **state)
{
	uint64_t before = pages_free();
	uint32_t ino = make("a");

	assert_int_equal(do_fallocate(ino, 0, 0, FS_SIZE + PAGE), -ENOSPC);
	assert_int_equal(pages_free(), before);
	assert_int_equal(attr_of(ino).size, 0);
	assert_int_equal(do_fallocate(ino, 0, MEMFS_MAX_FILE_SIZE, 1), -EFBIG);
	assert_int_equal(do_fallocate(ino, 0, 0, INT64_MAX), -EFBIG);
	/* The page tables find no room any more. */
	assert_int_equal(do_fallocate(ino, 0, 0, before * PAGE), -ENOSPC);
	assert_int_equal(attr_of(ino).size, 0);
}

static void
fallocate_in_modes_that_are_none_is_refused(void **state)
{
	static const uint32_t modes[] = { FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 1u << 31 };
	uint32_t ino = make("a");

	for (unsigned int i = 0; i < RTE_DIM(modes); i++)
		assert_int_equal(do_fallocate(ino, modes[i], 0, PAGE), -EOPNOTSUPP);
}

/* Or a guest could have as many as there is space, and each search would go through all of them. */
static void
table_without_pages_is_given_back(void **state)
{
	const uint64_t apart = UINT64_C(1024) * PAGE, before = pages_free();
	uint32_t ino = make("a"), full;
	uint64_t left, out;

	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(do_write(ino, i * apart, 1, 'a'), 1);
	assert_true(before - pages_free() > 200);
	for (unsigned int i = 1; i < 100; i++)
		assert_int_equal(do_fallocate(ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
						 i * apart, PAGE),
				0);
	/* The first page, and the tables on the way to it. */
	assert_in_range(before - pages_free(), 2, 3);
	assert_int_equal(memfs_seek(fs, ino, PAGE, SEEK_DATA, &out), -ENXIO);
	assert_int_equal(do_read(ino, 0, 2), 2);
	assert_int_equal(guest[0], 'a');
	assert_int_equal(do_truncate(ino, 0), 0);
	assert_int_equal(pages_free(), before);

	/* Nor does one stay behind for which there was no page any more. */
	full = make("full");
	for (uint64_t off = 0; pages_free() > 2; off += PAGE)
		assert_int_equal(do_write(full, off, 1, 'b'), 1);
	left = pages_free();
	assert_in_range(left, 1, 2);
	assert_int_equal(do_write(ino, 5 * apart, 1, 'a'), -ENOSPC);
	assert_int_equal(pages_free(), left);
}

static void
holes_and_data_are_told_apart(void **state)
{
	uint32_t ino = make("a");

	assert_int_equal(do_seek(ino, 0, SEEK_DATA), -ENXIO);
	assert_int_equal(do_seek(ino, 0, SEEK_HOLE), -ENXIO);
	do_write(ino, 2 * PAGE + 5, 10, 'x');
	do_write(ino, 3000 * (uint64_t)PAGE, 10, 'y');
	assert_int_equal(do_seek(ino, 0, SEEK_DATA), 2 * PAGE);
	assert_int_equal(do_seek(ino, 0, SEEK_HOLE), 0);
	assert_int_equal(do_seek(ino, 2 * PAGE + 7, SEEK_DATA), 2 * PAGE + 7);
	assert_int_equal(do_seek(ino, 2 * PAGE + 7, SEEK_HOLE), 3 * PAGE);
	assert_int_equal(do_seek(ino, 3 * PAGE, SEEK_DATA), 3000 * PAGE);
	assert_int_equal(do_seek(ino, 3000 * PAGE + 1, SEEK_HOLE), 3000 * PAGE + 10);
	assert_int_equal(do_seek(ino, 3000 * PAGE + 10, SEEK_HOLE), -ENXIO);
	assert_int_equal(do_seek(ino, INT64_MAX, SEEK_DATA), -ENXIO);
	assert_int_equal(do_fallocate(ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3000 * PAGE,
					 PAGE),
			0);
	assert_int_equal(do_seek(ino, 3 * PAGE, SEEK_DATA), -ENXIO);
	assert_int_equal(do_seek(ino, 3 * PAGE, SEEK_HOLE), 3 * PAGE);
}

static void
copy_keeps_holes_and_obeys_ends(void **state)
{
	uint32_t a = make("a"), b = make("b");

	do_write(a, 0, 10, 'x');
	do_write(a, 8 * PAGE, 10, 'y');
	assert_int_equal(do_copy(a, 0, b, 0, UINT32_MAX), 8 * PAGE + 10);
	assert_int_equal(attr_of(b).size, 8 * PAGE + 10);
	assert_int_equal(attr_of(b).blocks, 2 * PAGE / 512);
	assert_int_equal(do_copy(a, 8 * PAGE + 10, b, 0, 10), 0);
	assert_int_equal(do_copy(a, INT64_MAX, b, 0, 0), 0);
	assert_int_equal(do_copy(a, 0, b, MEMFS_MAX_FILE_SIZE, 10), -EFBIG);
	/* A hole overwrites what is there. */
	assert_int_equal(do_copy(a, PAGE + 3, b, 4, 5), 5);
	assert_int_equal(do_read(b, 0, 10), 10);
	assert_memory_equal(guest, "xxxx\0\0\0\0\0x", 10);
	/* Within one file, side by side but not one over the other. */
	assert_int_equal(do_copy(a, 0, a, 5, 5), 5);
	assert_int_equal(do_copy(a, 0, a, 5, 6), -EINVAL);
	assert_int_equal(do_copy(a, 5, a, 0, 6), -EINVAL);
	assert_int_equal(do_copy(a, 0, a, 0, 1), -EINVAL);
}

static void
copy_without_space_is_short_then_fails(void **state)
{
	uint32_t a = make("a"), b = make("b"), c = make("c");
	uint64_t size = 16 * PAGE;
	int n;

	for (uint64_t off = 0; off < size; off += PAGE)
		do_write(a, off, PAGE, 'x');
	assert_int_equal(do_fallocate(b, 0, 0, (pages_free() - 10) * PAGE), 0);
	n = do_copy(a, 0, c, 0, size);
	assert_true(n > 0 && n < (int)size);
	assert_int_equal(attr_of(c).size, n);
	assert_int_equal(do_copy(a, 0, c, n, size), -ENOSPC);
}

/* Random calls on two files and on two arrays. */
static uint8_t model[2][FILE_MAX];
static uint64_t model_size[2];

static uint32_t
below(uint64_t *seed, uint32_t n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % n;
}

static void
model_zero(unsigned int i, uint64_t off, uint64_t end)
{
	if (end > off)
		memset(model[i] + off, 0, end - off);
}

static void
model_step(uint64_t *seed, const uint32_t ino[2])
{
	unsigned int i = below(seed, 2);
	uint32_t off = below(seed, FILE_MAX - 1), len = 1 + below(seed, FILE_MAX - off), n;

	/* Half of them at the border of a page. */
	if (below(seed, 2) == 0)
		off &= ~(PAGE - 1u);
	switch (below(seed, 6)) {
	case 0:
		len = RTE_MIN(len, 3u * PAGE);
		assert_int_equal(do_write(ino[i], off, len, (uint8_t)(off + 1)), len);
		memset(model[i] + off, (uint8_t)(off + 1), len);
		model_size[i] = RTE_MAX(model_size[i], (uint64_t)off + len);
		break;
	case 1:
		assert_int_equal(memfs_setattr(fs, ino[i], WEIR_SET_SIZE,
						 &(struct weir_attr){ .size = off }),
				0);
		model_zero(i, off, model_size[i]);
		model_size[i] = off;
		break;
	case 2:
		assert_int_equal(do_fallocate(ino[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
						 off, len),
				0);
		model_zero(i, off, RTE_MIN((uint64_t)off + len, model_size[i]));
		break;
	case 3:
		assert_int_equal(do_fallocate(ino[i], FALLOC_FL_ZERO_RANGE, off, len), 0);
		model_zero(i, off, (uint64_t)off + len);
		model_size[i] = RTE_MAX(model_size[i], (uint64_t)off + len);
		break;
	case 4:
		assert_int_equal(do_fallocate(ino[i], FALLOC_FL_KEEP_SIZE, off, len), 0);
		break;
	default:
		n = model_size[i] > off ? RTE_MIN((uint64_t)len, model_size[i] - off) : 0;
		assert_int_equal(do_copy(ino[i], off, ino[1 - i], FILE_MAX - off - len, len), n);
		memcpy(model[1 - i] + FILE_MAX - off - len, model[i] + off, n);
		if (n > 0)
			model_size[1 - i] = RTE_MAX(
					model_size[1 - i], (uint64_t)FILE_MAX - off - len + n);
		break;
	}
}

static void
assert_as_model(uint32_t ino, unsigned int i)
{
	int64_t data, hole;

	assert_int_equal(attr_of(ino).size, model_size[i]);
	assert_int_equal(do_read(ino, 0, FILE_MAX), model_size[i]);
	assert_memory_equal(guest, model[i], model_size[i]);
	/* All that is not zero lies where data is said to be. */
	for (hole = 0; hole < (int64_t)model_size[i]; hole = do_seek(ino, data, SEEK_HOLE)) {
		data = do_seek(ino, hole, SEEK_DATA);
		if (data == -ENXIO)
			data = (int64_t)model_size[i];
		assert_true(data >= hole);
		for (; hole < data; hole++)
			assert_int_equal(model[i][hole], 0);
		if (data == (int64_t)model_size[i])
			break;
	}
}

static void
calls_at_random_leave_what_an_array_would_hold(void **state)
{
	uint64_t before = pages_free(), seed = 1;
	const uint32_t ino[2] = { make("a"), make("b") };

	for (unsigned int step = 0; step < 3000; step++) {
		model_step(&seed, ino);
		if (step % 16 == 0)
			for (unsigned int i = 0; i < 2; i++)
				assert_as_model(ino[i], i);
	}
	assert_int_equal(memfs_unlink(fs, MEMFS_ROOT, "a"), 0);
	assert_int_equal(memfs_unlink(fs, MEMFS_ROOT, "b"), 0);
	assert_int_equal(pages_free(), before);
}

static void
file_without_a_name_may_get_one(void **state)
{
	const struct memfs_new what = { .mode = S_IFREG | 0600 };
	uint64_t before = pages_free();
	uint32_t ino, found;

	assert_int_equal(memfs_make_unnamed(fs, MEMFS_ROOT, &what, true, &ino), 0);
	memfs_get(fs, ino);
	assert_int_equal(attr_of(ino).nlink, 0);
	do_write(ino, 0, 10, 'x');
	assert_int_equal(memfs_link(fs, ino, MEMFS_ROOT, "named"), 0);
	assert_int_equal(attr_of(ino).nlink, 1);
	assert_int_equal(memfs_lookup(fs, MEMFS_ROOT, "named", &found), 0);
	assert_int_equal(found, ino);
	/* It had its chance. */
	assert_int_equal(memfs_unlink(fs, MEMFS_ROOT, "named"), 0);
	assert_int_equal(memfs_link(fs, ino, MEMFS_ROOT, "named"), -ENOENT);
	memfs_put(fs, ino, 1);
	assert_int_equal(pages_free(), before);

	assert_int_equal(memfs_make_unnamed(fs, MEMFS_ROOT, &what, false, &ino), 0);
	assert_int_equal(memfs_link(fs, ino, MEMFS_ROOT, "named"), -ENOENT);
	memfs_put(fs, ino, 0);
	ino = make("file");
	assert_int_equal(memfs_make_unnamed(fs, ino, &what, true, &found), -ENOTDIR);
}

static void
birth_and_flags_are_kept(void **state)
{
	uint32_t ino = make("a");
	struct weir_statx st;
	struct weir_attr old = attr_of(ino);

	assert_int_equal(memfs_set_iflags(fs, ino, FS_NODUMP_FL | FS_NOATIME_FL), 0);
	assert_int_equal(memfs_iflags(fs, ino), FS_NODUMP_FL | FS_NOATIME_FL);
	assert_int_equal(memfs_set_iflags(fs, ino, FS_IMMUTABLE_FL), -EOPNOTSUPP);
	do_write(ino, 0, 10, 'x');
	do_read(ino, 0, 10);
	memfs_statx(fs, ino, &st);
	assert_true(st.has_btime);
	assert_int_equal(st.btime, old.ctime);
	assert_int_equal(st.btime_ns, old.ctime_ns);
	assert_int_equal(st.attr.atime_ns, old.atime_ns);
	assert_int_equal(st.attr.size, 10);
	assert_int_equal(st.attributes, STATX_ATTR_NODUMP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fallocate_takes_space_and_moves_the_end),
		TEST(space_beyond_the_end_comes_back),
		TEST(fallocate_of_more_than_there_is_fails),
		TEST(fallocate_in_modes_that_are_none_is_refused),
		TEST(table_without_pages_is_given_back),
		TEST(holes_and_data_are_told_apart),
		TEST(copy_keeps_holes_and_obeys_ends),
		TEST(copy_without_space_is_short_then_fails),
		TEST(calls_at_random_leave_what_an_array_would_hold),
		TEST(file_without_a_name_may_get_one),
		TEST(birth_and_flags_are_kept),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
