/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

/* What becomes of bytes: reads, writes, sizes. */

#define SMALL 65536u

static int
data_roundtrip(struct check *c, uint32_t len, uint64_t off)
{
	uint8_t *buf = malloc(len);
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint64_t fh;
	int rc = -1;

	if (buf == NULL || check_create(c, "file", &entry, &fh) < 0)
		goto out;
	check_fill(buf, len, 7, off);
	if (fe_write(c->q, entry.nodeid, fh, buf, len, off) != (int)len)
		goto out;
	memset(buf, 0, len);
	if (fe_read(c->q, entry.nodeid, fh, buf, len, off) != (int)len)
		goto out;
	if (!check_is_filled(buf, len, 7, off))
		goto out;
	if (fe_getattr(c->q, entry.nodeid, &attr) == 0 && attr.size == off + len)
		rc = fe_unlink(c->q, c->dir, "file");
	if (rc == 0)
		rc = check_close(c, &entry, fh);
out:
	free(buf);
	return rc;
}

static int
data_sizes(struct check *c)
{
	static const uint32_t lens[] = { 1, 7, 511, 4095, 4096, 4097, SMALL, 131072, 131073 };
	size_t i;

	for (i = 0; i < sizeof(lens) / sizeof(lens[0]) && lens[i] <= fe_fs_max_io(c->fs); i++) {
		EXPECT_RC(c, 0, data_roundtrip(c, lens[i], 0));
		EXPECT_RC(c, 0, data_roundtrip(c, lens[i], 4096 * 3 + 1));
	}
	return 0;
}

static int
data_largest(struct check *c)
{
	EXPECT(c, fe_fs_max_io(c->fs) >= 4096);
	EXPECT_RC(c, 0, data_roundtrip(c, fe_fs_max_io(c->fs), 0));
	return 0;
}

static int
data_end_of_file(struct check *c)
{
	struct fuse_entry_out entry;
	uint8_t buf[1000];
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 0, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), 0));
	check_fill(buf, sizeof(buf), 1, 0);
	EXPECT_RC(c, 1000, fe_write(c->q, entry.nodeid, fh, buf, sizeof(buf), 0));
	EXPECT_RC(c, 100, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), 900));
	EXPECT(c, check_is_filled(buf, 100, 1, 900));
	EXPECT_RC(c, 0, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), 1000));
	EXPECT_RC(c, 0, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), 1ULL << 40));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
data_sparse_over_4g(struct check *c)
{
	const uint64_t far = (5ULL << 30) + 123;
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint8_t buf[4096];
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "sparse", &entry, &fh));
	check_fill(buf, sizeof(buf), 2, far);
	EXPECT_RC(c, 4096, fe_write(c->q, entry.nodeid, fh, buf, sizeof(buf), far));
	EXPECT_RC(c, 0, fe_getattr(c->q, entry.nodeid, &attr));
	EXPECT(c, attr.size == far + sizeof(buf));
	EXPECT(c, attr.blocks < 16384);

	memset(buf, 0xff, sizeof(buf));
	EXPECT_RC(c, 4096, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), 4ULL << 30));
	EXPECT(c, buf[0] == 0 && memcmp(buf, buf + 1, sizeof(buf) - 1) == 0);
	EXPECT_RC(c, 4096, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), far));
	EXPECT(c, check_is_filled(buf, sizeof(buf), 2, far));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
data_truncate(struct check *c)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_FH };
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint8_t buf[8192];
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	check_fill(buf, sizeof(buf), 3, 0);
	EXPECT_RC(c, 8192, fe_write(c->q, entry.nodeid, fh, buf, sizeof(buf), 0));
	EXPECT_RC(c, 0, fe_truncate(c->q, entry.nodeid, 5000));
	EXPECT_RC(c, 5000, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), 0));
	EXPECT(c, check_is_filled(buf, 5000, 3, 0));

	/* What was cut off must not come back. */
	in.fh = fh;
	in.size = 8192;
	EXPECT_RC(c, 0, fe_setattr(c->q, entry.nodeid, &in, &attr));
	EXPECT(c, attr.size == 8192);
	EXPECT_RC(c, 3192, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), 5000));
	EXPECT(c, buf[0] == 0 && memcmp(buf, buf + 1, 3191) == 0);
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
data_open_truncates(struct check *c)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint64_t fh, again;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 3, fe_write(c->q, entry.nodeid, fh, "abc", 3, 0));
	/* Without ATOMIC_O_TRUNC the kernel sends SETATTR instead. */
	if (c->fs->init.flags & FUSE_ATOMIC_O_TRUNC) {
		EXPECT_RC(c, 0, fe_open(c->q, entry.nodeid, O_RDWR | O_TRUNC, &again));
		EXPECT_RC(c, 0, fe_getattr(c->q, entry.nodeid, &attr));
		EXPECT(c, attr.size == 0);
		EXPECT_RC(c, 0, fe_release(c->q, entry.nodeid, again));
	}
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
data_open_modes(struct check *c)
{
	struct fuse_entry_out entry;
	uint64_t fh, rd, wr;
	char buf[4];

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 3, fe_write(c->q, entry.nodeid, fh, "abc", 3, 0));
	EXPECT_RC(c, 0, fe_open(c->q, entry.nodeid, O_RDONLY, &rd));
	EXPECT_RC(c, 0, fe_open(c->q, entry.nodeid, O_WRONLY, &wr));
	EXPECT_RC(c, 3, fe_read(c->q, entry.nodeid, rd, buf, sizeof(buf), 0));
	EXPECT_RC(c, -EBADF, fe_write(c->q, entry.nodeid, rd, "x", 1, 0));
	EXPECT_RC(c, 1, fe_write(c->q, entry.nodeid, wr, "x", 1, 0));
	EXPECT_RC(c, -EBADF, fe_read(c->q, entry.nodeid, wr, buf, sizeof(buf), 0));
	EXPECT_RC(c, 0, fe_release(c->q, entry.nodeid, rd));
	EXPECT_RC(c, 0, fe_release(c->q, entry.nodeid, wr));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

/* A guest's O_DIRECT buffers are page-aligned, its offsets and lengths those of its file system. */
static int
data_direct(struct check *c)
{
	struct fuse_entry_out entry;
	uint8_t buf[SMALL];
	uint64_t fh, direct;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 0, fe_open(c->q, entry.nodeid, O_RDWR | O_DIRECT, &direct));
	check_fill(buf, sizeof(buf), 4, 0);
	EXPECT_RC(c, SMALL, fe_write(c->q, entry.nodeid, direct, buf, SMALL, 0));
	check_fill(buf, 512, 5, 512);
	EXPECT_RC(c, 512, fe_write(c->q, entry.nodeid, direct, buf, 512, 512));
	EXPECT_RC(c, 512, fe_read(c->q, entry.nodeid, direct, buf, 512, 512));
	EXPECT(c, check_is_filled(buf, 512, 5, 512));
	EXPECT_RC(c, (int)SMALL - 1024, fe_read(c->q, entry.nodeid, direct, buf, SMALL, 1024));
	EXPECT(c, check_is_filled(buf, SMALL - 1024, 4, 1024));
	EXPECT_RC(c, 0, fe_release(c->q, entry.nodeid, direct));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

/* A guest is entitled to these too: they end where the file ends, or lie as its buffer did. */
static int
data_direct_misaligned(struct check *c)
{
	struct fuse_entry_out entry;
	uint8_t buf[SMALL];
	uint64_t fh, direct;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 0, fe_open(c->q, entry.nodeid, O_RDWR | O_DIRECT, &direct));
	check_fill(buf, sizeof(buf), 6, 0);
	EXPECT_RC(c, 10001, fe_write(c->q, entry.nodeid, direct, buf, 10001, 0));
	check_fill(buf, 100, 6, 10001);
	EXPECT_RC(c, 100, fe_write(c->q, entry.nodeid, direct, buf, 100, 10001));
	EXPECT_RC(c, 10101, fe_read(c->q, entry.nodeid, direct, buf, SMALL, 0));
	EXPECT(c, check_is_filled(buf, 10101, 6, 0));
	EXPECT_RC(c, 33, fe_read(c->q, entry.nodeid, direct, buf, 33, 77));
	EXPECT(c, check_is_filled(buf, 33, 6, 77));
	EXPECT_RC(c, 0, fe_release(c->q, entry.nodeid, direct));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
data_unlinked_file(struct check *c)
{
	struct fuse_entry_out entry, gone;
	struct fuse_attr attr;
	char buf[16];
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 5, fe_write(c->q, entry.nodeid, fh, "hello", 5, 0));
	EXPECT_RC(c, 0, fe_unlink(c->q, c->dir, "file"));
	EXPECT_RC(c, -ENOENT, fe_lookup(c->q, c->dir, "file", &gone));
	EXPECT_RC(c, 5, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), 0));
	EXPECT(c, memcmp(buf, "hello", 5) == 0);
	EXPECT_RC(c, 5, fe_write(c->q, entry.nodeid, fh, "world", 5, 5));
	EXPECT_RC(c, 0, fe_getattr(c->q, entry.nodeid, &attr));
	EXPECT(c, attr.size == 10 && attr.nlink == 0);
	EXPECT_RC(c, 0, fe_truncate(c->q, entry.nodeid, 7));
	EXPECT_RC(c, 7, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), 0));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
data_sync(struct check *c)
{
	struct fuse_entry_out entry;
	uint64_t fh, dh;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 3, fe_write(c->q, entry.nodeid, fh, "abc", 3, 0));
	EXPECT_RC(c, 0, fe_fsync(c->q, entry.nodeid, fh, 0));
	EXPECT_RC(c, 0, fe_fsync(c->q, entry.nodeid, fh, FUSE_FSYNC_FDATASYNC));
	EXPECT_RC(c, 0, fe_flush(c->q, entry.nodeid, fh));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	EXPECT_RC(c, 0, fe_opendir(c->q, c->dir, &dh));
	EXPECT_RC(c, 0, fe_fsyncdir(c->q, c->dir, dh));
	EXPECT_RC(c, 0, fe_releasedir(c->q, c->dir, dh));
	return 0;
}

const struct check_case check_data_cases[] = {
	{ "data-sizes", data_sizes },
	{ "data-largest", data_largest },
	{ "data-end-of-file", data_end_of_file },
	{ "data-sparse-over-4g", data_sparse_over_4g },
	{ "data-truncate", data_truncate },
	{ "data-open-truncates", data_open_truncates },
	{ "data-open-modes", data_open_modes },
	{ "data-direct", data_direct },
	{ "data-direct-misaligned", data_direct_misaligned },
	{ "data-unlinked-file", data_unlinked_file },
	{ "data-sync", data_sync },
	{ NULL, NULL },
};
