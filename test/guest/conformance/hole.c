/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Truncation, holes and what lseek() and fallocate() make of them. */

#define TOPIC "hole"

#include <linux/falloc.h>

#include "conform.h"

#define BLOCK 65536

static char buf[4 * BLOCK];

static const off_t sizes[] = { 0, 1, 4095, 4096, 4097, 131072, INT64_C(5000000000) };

static void
size_label(unsigned int n, char *text, size_t len)
{
	snprintf(text, len, "%lld", (long long)sizes[n]);
}

static void
must_be_zero(int fd, off_t off, size_t len)
{
	memset(buf, 1, len);
	EQ(len, pread(fd, buf, len, off));
	for (size_t i = 0; i < len; i++) {
		if (buf[i] != 0)
			FAIL("at %lld: expected 0, got 0x%02x", (long long)(off + i),
					(uint8_t)buf[i]);
	}
}

/* What a file is cut to and then has again is zeroes. */
CHECKS(truncate_to, size_label, RTE_DIM(sizes))
{
	off_t size = sizes[n], kept = RTE_MIN(size, 10000);
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	fill(buf, 10000, 0);
	EQ(10000, write(fd, buf, 10000));
	OK(ftruncate(fd, size));
	EQ(size, fstat_of(fd).st_size);
	EQ(kept, pread(fd, buf, 10000, 0) < kept ? -1 : kept);
	FILLED(buf, kept, 0);
	OK(truncate("f", size + 5000));
	EQ(size + 5000, fstat_of(fd).st_size);
	if (size >= 10000)
		must_be_zero(fd, size - 100, 5100);
	else
		must_be_zero(fd, size, 5000);
	OK(truncate("f", 0));
	EQ(0, pread(fd, buf, 1, 0));
}

CHECK(truncate_errors)
{
	int fd;

	put("f", "text", 0644);
	put_dir("d", 0755);
	ERR(EISDIR, truncate("d", 0));
	ERR(ENOENT, truncate("none", 0));
	ERR(EINVAL, truncate("f", -1));
	ERR(ENOTDIR, truncate("f/g", 0));
	fd = OK(open("d", O_RDONLY));
	ERR2(EINVAL, EBADF, ftruncate(fd, 0));
	CONTAINS("f", "text");
}

CHECK(truncate_with_pending_writes)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	for (unsigned int i = 0; i < 20; i++) {
		fill(buf, BLOCK, 0);
		EQ(BLOCK, pwrite(fd, buf, BLOCK, 0));
		OK(ftruncate(fd, 1000 + i));
		EQ(1000 + i, pread(fd, buf, BLOCK, 0));
		FILLED(buf, 1000 + i, 0);
		OK(ftruncate(fd, BLOCK));
		must_be_zero(fd, 1000 + i, BLOCK - 1000 - i);
	}
}

CHECK(write_beyond_the_end_leaves_zeroes)
{
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDWR));
	EQ(4, pwrite(fd, "more", 4, 100000));
	EQ(100004, fstat_of(fd).st_size);
	must_be_zero(fd, 4, 99996);
}

CHECK(sparse_file_takes_no_room)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	OK(ftruncate(fd, INT64_C(1) << 40));
	EQ(1, pwrite(fd, "x", 1, INT64_C(1) << 39));
	OK(fsync(fd));
	EQ(INT64_C(1) << 40, fstat_of(fd).st_size);
	TRUE(fstat_of(fd).st_blocks < 2048);
	must_be_zero(fd, INT64_C(1) << 38, 4096);
}

/* Data at 1 and 3 of 5 blocks. */
static int
make_holes(void)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	fill(buf, BLOCK, 0);
	EQ(BLOCK, pwrite(fd, buf, BLOCK, BLOCK));
	EQ(BLOCK, pwrite(fd, buf, BLOCK, 3 * BLOCK));
	OK(ftruncate(fd, 5 * BLOCK));
	OK(fsync(fd));
	return fd;
}

CHECK(seek_finds_holes)
{
	int fd = make_holes();

	/* The manual allows to call everything data. */
	if (lseek(fd, 0, SEEK_HOLE) == 5 * BLOCK)
		skip("the file has no holes, says SEEK_HOLE");
	EQ(0, lseek(fd, 0, SEEK_HOLE));
	EQ(BLOCK, lseek(fd, 0, SEEK_DATA));
	EQ(2 * BLOCK, lseek(fd, BLOCK, SEEK_HOLE));
	EQ(3 * BLOCK, lseek(fd, 2 * BLOCK, SEEK_DATA));
	EQ(3 * BLOCK + 7, lseek(fd, 3 * BLOCK + 7, SEEK_DATA));
	EQ(4 * BLOCK, lseek(fd, 3 * BLOCK + 7, SEEK_HOLE));
	EQ(4 * BLOCK + 1, lseek(fd, 4 * BLOCK + 1, SEEK_HOLE));
	ERR(ENXIO, lseek(fd, 4 * BLOCK, SEEK_DATA));
}

CHECK(seek_beyond_the_end_is_enxio)
{
	int fd = make_holes();

	ERR(ENXIO, lseek(fd, 5 * BLOCK, SEEK_DATA));
	ERR(ENXIO, lseek(fd, 5 * BLOCK, SEEK_HOLE));
	ERR(ENXIO, lseek(fd, INT64_C(1) << 50, SEEK_DATA));
	OK(ftruncate(fd, 0));
	ERR(ENXIO, lseek(fd, 0, SEEK_DATA));
	ERR(ENXIO, lseek(fd, 0, SEEK_HOLE));
}

CHECK(seek_end_of_data_is_a_hole)
{
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDONLY));
	EQ(0, lseek(fd, 0, SEEK_DATA));
	EQ(2, lseek(fd, 2, SEEK_DATA));
	EQ(4, lseek(fd, 0, SEEK_HOLE));
	EQ(4, lseek(fd, 3, SEEK_HOLE));
	EQ(4, lseek(fd, 0, SEEK_CUR));
}

/* Modes of fallocate() on 5 blocks of data, and what is at each of 6 blocks then: d: its own, 0: zero,
 * a number: that of another, -: beyond the end.
 */
static const struct {
	const char *name;
	int mode;
	off_t off;
	off_t len;
	const char *blocks;
	/* May take no room of its own. */
	bool frees;
} modes[] = {
	{ "allocate_inside", 0, BLOCK, BLOCK, "01234-", false },
	{ "allocate_longer", 0, 4 * BLOCK, 2 * BLOCK, "01234z", false },
	{ "allocate_beyond", 0, 5 * BLOCK, BLOCK, "01234z", false },
	{ "keep_size", FALLOC_FL_KEEP_SIZE, 4 * BLOCK, 2 * BLOCK, "01234-", false },
	{ "punch_hole", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK, 2 * BLOCK, "0zz34-",
			true },
	{ "punch_hole_at_the_end", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * BLOCK, 2 * BLOCK,
			"0123z-", true },
	{ "zero_range", FALLOC_FL_ZERO_RANGE, BLOCK, 2 * BLOCK, "0zz34-", false },
	{ "zero_range_longer", FALLOC_FL_ZERO_RANGE, 4 * BLOCK, 2 * BLOCK, "0123zz", false },
	{ "zero_range_keep_size", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 4 * BLOCK, 2 * BLOCK,
			"0123z-", false },
	{ "collapse_range", FALLOC_FL_COLLAPSE_RANGE, BLOCK, 2 * BLOCK, "034---", true },
	{ "insert_range", FALLOC_FL_INSERT_RANGE, 4 * BLOCK, BLOCK, "0123z4", false },
};

static void
mode_label(unsigned int n, char *text, size_t len)
{
	snprintf(text, len, "%s", modes[n].name);
}

CHECKS(fallocate_mode, mode_label, RTE_DIM(modes))
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	const char *blocks = modes[n].blocks;
	off_t end = 0;
	blkcnt_t before;

	for (unsigned int i = 0; i < 5; i++) {
		fill(buf, BLOCK, i * 1000);
		EQ(BLOCK, pwrite(fd, buf, BLOCK, i * BLOCK));
	}
	OK(fsync(fd));
	before = fstat_of(fd).st_blocks;
	NEED(fallocate(fd, modes[n].mode, modes[n].off, modes[n].len));
	for (unsigned int i = 0; blocks[i] != '\0' && blocks[i] != '-'; i++, end += BLOCK) {
		if (blocks[i] == 'z') {
			must_be_zero(fd, end, BLOCK);
			continue;
		}
		EQ(BLOCK, pread(fd, buf, BLOCK, end));
		FILLED(buf, BLOCK, (blocks[i] - '0') * 1000);
	}
	EQ(end, fstat_of(fd).st_size);
	EQ(0, pread(fd, buf, 1, end));
	if (modes[n].frees)
		TRUE(fstat_of(fd).st_blocks < before);
}

CHECK(punch_hole_of_odd_bytes)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	fill(buf, 2 * BLOCK, 0);
	EQ(2 * BLOCK, write(fd, buf, 2 * BLOCK));
	NEED(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1001, 70007));
	EQ(1001, pread(fd, buf, 1001, 0));
	FILLED(buf, 1001, 0);
	must_be_zero(fd, 1001, 70007);
	EQ(2 * BLOCK - 71008, pread(fd, buf, sizeof(buf), 71008));
	FILLED(buf, 2 * BLOCK - 71008, 71008);
}

CHECK(punched_hole_is_found)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	fill(buf, 3 * BLOCK, 0);
	EQ(3 * BLOCK, write(fd, buf, 3 * BLOCK));
	OK(fsync(fd));
	NEED(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK, BLOCK));
	if (lseek(fd, 0, SEEK_HOLE) == 3 * BLOCK)
		skip("the file has no holes, says SEEK_HOLE");
	EQ(BLOCK, lseek(fd, 0, SEEK_HOLE));
	EQ(2 * BLOCK, lseek(fd, BLOCK, SEEK_DATA));
}

CHECK(fallocate_errors)
{
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDWR));
	NEED(fallocate(fd, 0, 0, 1));
	ERR(EINVAL, fallocate(fd, 0, -1, 1));
	ERR(EINVAL, fallocate(fd, 0, 0, 0));
	ERR(EINVAL, fallocate(fd, 0, 0, -1));
	ERR(EFBIG, fallocate(fd, 0, INT64_MAX - 10, 100));
	ERR(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1));
	ERR(EOPNOTSUPP, fallocate(fd, 0x800, 0, 1));
	fd = OK(open("f", O_RDONLY));
	ERR(EBADF, fallocate(fd, 0, 0, 1));
	fd = OK(open(".", O_RDONLY));
	ERR2(EBADF, EISDIR, fallocate(fd, 0, 0, 1));
	CONTAINS("f", "text");
}

CHECK(posix_fallocate_reserves)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	EQ(0, posix_fallocate(fd, 0, 200000));
	EQ(200000, fstat_of(fd).st_size);
	TRUE(fstat_of(fd).st_blocks >= 200000 / 512);
	must_be_zero(fd, 0, 200000);
}
