/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The aio driver on real file systems, with io_uring and without: open files and their data. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

#define MIB (1u << 20)

static void
fill(uint8_t *data, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)((i * 2654435761u + seed) >> 11);
}

static void
aio_data_comes_back_in_any_segments(void **state)
{
	static const struct {
		uint32_t len;
		uint64_t off;
		size_t seg;
	} cases[] = {
		{ 1, 0, 4096 },
		{ 4096, 0, 4096 },
		{ 4095, 1, 512 },
		{ 65536, 3, 4096 },
		{ 300000, 77, 1000 },
		{ MIB, 4096, 4096 },
		{ MIB, 1, MIB },
		{ 5000, 5000000, 128 },
	};
	struct weir_entry entry;
	struct weir_file *file;
	unsigned int i;

	assert_int_equal(fsc_create(&fsc, root, "data", O_RDWR, 0644, &entry, &file), 0);
	for (i = 0; i < RTE_DIM(cases); i++) {
		fill(fsc.mem, cases[i].len, i);
		assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, cases[i].off,
						 cases[i].len, 0, cases[i].seg),
				cases[i].len);
		memset(fsc.mem + 2 * MIB, 0, MIB);
		assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, cases[i].off,
						 cases[i].len, 2 * MIB, cases[i].seg),
				cases[i].len);
		assert_memory_equal(fsc.mem, fsc.mem + 2 * MIB, cases[i].len);
	}
	assert_int_equal(fsc_fsync(&fsc, entry.node, file, 0), 0);
	assert_int_equal(fsc_fsync(&fsc, entry.node, file, WEIR_FSREQ_DATASYNC), 0);
	assert_int_equal(host_stat("data").st_size, 5005000);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	unlink(host("data"));
}

static void
aio_read_ends_where_the_file_does(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;

	host_write("short", "0123456789", 10);
	entry = look_entry("short");
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &file), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 4, 4096, 0, 4096), 6);
	assert_memory_equal(fsc.mem, "456789", 6);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 10, 4096, 0, 4096), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, INT64_MAX, 10, 0, 10), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, UINT64_MAX, 10, 0, 10), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10, 0, 10), -EBADF);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	unlink(host("short"));
}

/* A page behind the end of its file, as a front end leaves it that cuts its memory short. */
static void
aio_memory_cut_short_is_an_io_error(void **state)
{
	const size_t page = 4096, off = FSC_MEM_BYTES - page;
	int fd = memfd_create("empty", MFD_CLOEXEC);
	struct weir_entry entry;
	struct weir_file *file;
	void *mem;

	host_write("cut", fsc.mem, 2 * page);
	entry = look_entry("cut");
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &file), 0);
	mem = mmap(fsc.mem + off, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	assert_ptr_equal(mem, fsc.mem + off);
	close(fd);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, page, off, page), -EIO);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, page, off, page), -EIO);
	mem = mmap(mem, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_ANONYMOUS, -1,
			0);
	assert_ptr_equal(mem, fsc.mem + off);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, page, off, page), page);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	assert_int_equal(unlink(host("cut")), 0);
}

/* Somebody else has appended what the guest does not know of; in one piece and in many. */
static void
append_to_the_end(const char *name, int flags)
{
	static uint8_t got[40000], want[40000];
	struct weir_entry entry;
	struct weir_file *file;
	size_t at = 6;

	host_write(name, "abcdef", 6);
	memcpy(want, "abcdef", 6);
	entry = look_entry(name);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, flags, &file), 0);
	for (unsigned int i = 0; i < 4; i++) {
		const uint32_t bytes = i < 2 ? 4096 : 10000;

		fill(fsc.mem, bytes, i);
		memcpy(want + at, fsc.mem, bytes);
		at += bytes;
		assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 2, bytes, 0,
						 i % 2 == 0 ? MIB : 512),
				bytes);
	}
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	assert_int_equal(host_read(name, got, sizeof(got)), at);
	assert_memory_equal(got, want, at);
	fsc_put(&fsc, entry.node);
	unlink(host(name));
}

static void
aio_append_goes_to_the_end_there_is(void **state)
{
	append_to_the_end("append", O_WRONLY | O_APPEND);
	append_to_the_end("direct", O_WRONLY | O_APPEND | O_DIRECT);
}

static void
aio_open_truncates_when_asked(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;

	host_write("trunc", "abcdef", 6);
	entry = look_entry("trunc");
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_WRONLY | O_TRUNC, &file), 0);
	assert_int_equal(host_stat("trunc").st_size, 0);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	unlink(host("trunc"));
}

static void
aio_direct_file_takes_every_alignment(void **state)
{
	/* Aligned, then each of offset, length, memory and segments not. */
	static const struct {
		uint64_t off;
		uint32_t len;
		size_t mem, seg;
	} cases[] = {
		{ 0, MIB, 0, 4096 },
		{ 4096, 8192, 4096, 4096 },
		{ 1, 4096, 0, 4096 },
		{ 4096, 4095, 0, 4096 },
		{ 4096, 4096, 1, 4096 },
		{ 8192, 8192, 0, 1000 },
		{ 1048576, 100, 0, 100 },
		{ 1049000, 5, 3, 2 },
	};
	struct weir_entry entry;
	struct weir_file *file;
	unsigned int i;

	assert_int_equal(fsc_create(&fsc, root, "direct", O_RDWR | O_DIRECT, 0644, &entry, &file),
			0);
	for (i = 0; i < RTE_DIM(cases); i++) {
		fill(fsc.mem + cases[i].mem, cases[i].len, i);
		assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, cases[i].off,
						 cases[i].len, cases[i].mem, cases[i].seg),
				cases[i].len);
		memset(fsc.mem + 2 * MIB, 0, MIB + 4096);
		assert_int_equal(
				fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, cases[i].off,
						cases[i].len, 2 * MIB + cases[i].mem, cases[i].seg),
				cases[i].len);
		assert_memory_equal(fsc.mem + cases[i].mem, fsc.mem + 2 * MIB + cases[i].mem,
				cases[i].len);
	}
	/* An aligned read over the end of the file gives what there is. */
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, MIB, 4096, 0, 4096), 429);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	unlink(host("direct"));
}

static void
aio_unlinked_open_file_stays_readable(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;
	struct weir_attr attr;

	host_write("gone", "still here", 10);
	entry = look_entry("gone");
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &file), 0);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "gone"), 0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 100, 0, 100), 10);
	assert_memory_equal(fsc.mem, "still here", 10);
	assert_int_equal(fsc_getattr(&fsc, entry.node, file, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(fsc_getattr(&fsc, entry.node, NULL, &attr), 0);
	attr.mode = 0600;
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_MODE, &attr, &attr), 0);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
aio_file_over_4_gib_is_sparse(void **state)
{
	const uint64_t off = UINT64_C(5) << 30;
	struct weir_entry entry;
	struct weir_file *file;
	struct weir_attr attr;

	assert_int_equal(fsc_create(&fsc, root, "sparse", O_RDWR, 0644, &entry, &file), 0);
	memcpy(fsc.mem, "end", 3);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, off, 3, 0, 3), 3);
	assert_int_equal(fsc_getattr(&fsc, entry.node, NULL, &attr), 0);
	assert_int_equal(attr.size, off + 3);
	assert_true(attr.blocks * 512 < MIB);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, off - 4, 100, 0, 50), 7);
	assert_memory_equal(fsc.mem, "\0\0\0\0end", 7);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	unlink(host("sparse"));
}

static void
aio_many_requests_at_once_are_all_answered(void **state)
{
	enum {
		NB = 300
	};
	static struct fsc_call calls[NB];
	static struct weir_seg segs[NB];
	struct weir_entry entry;
	struct weir_file *file;
	unsigned int i;

	assert_int_equal(fsc_create(&fsc, root, "many", O_RDWR, 0644, &entry, &file), 0);
	for (i = 0; i < NB; i++) {
		fill(fsc.mem + i * 4096, 4096, i);
		segs[i] = (struct weir_seg){ .off = i * 4096, .len = 4096 };
		calls[i] = (struct fsc_call){
			.req = { .op = WEIR_FSOP_WRITE, .node = entry.node, .file = file },
		};
		calls[i].req.in.io.off = i * 4096;
		calls[i].req.in.io.len = 4096;
		weir_iov_init(&calls[i].req.iov, fsc.map, &segs[i], 1);
		fsc_submit(&fsc, &calls[i]);
	}
	for (i = 0; i < NB; i++)
		assert_int_equal(fsc_wait(&calls[i]), 4096);
	assert_int_equal(
			fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, MIB, 2 * MIB, 4096), MIB);
	assert_memory_equal(fsc.mem, fsc.mem + 2 * MIB, MIB);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	unlink(host("many"));
}

static void
aio_detached_requests_are_fenced_and_end(void **state)
{
	enum {
		NB = 64
	};
	static struct fsc_call calls[NB];
	static struct weir_seg segs[NB];
	struct weir_entry entry;
	struct weir_file *file;
	unsigned int i;

	assert_int_equal(fsc_create(&fsc, root, "detach", O_RDWR | O_SYNC, 0644, &entry, &file), 0);
	for (i = 0; i < NB; i++) {
		segs[i] = (struct weir_seg){ .off = i * 4096, .len = 4096 };
		calls[i] = (struct fsc_call){
			.req = { .op = i % 2 ? WEIR_FSOP_WRITE : WEIR_FSOP_READ,
					.node = entry.node,
					.file = file },
		};
		calls[i].req.in.io.off = i * 4096;
		calls[i].req.in.io.len = 4096;
		weir_iov_init(&calls[i].req.iov, fsc.map, &segs[i], 1);
		fsc_submit(&fsc, &calls[i]);
	}
	for (i = 0; i < NB; i++)
		fsc_detach(&calls[i]);
	for (i = 0; i < NB; i++) {
		fsc_wait(&calls[i]);
		assert_true(atomic_load(&calls[i].fenced));
	}
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	unlink(host("detach"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(aio_data_comes_back_in_any_segments),
	cmocka_unit_test(aio_read_ends_where_the_file_does),
	cmocka_unit_test(aio_memory_cut_short_is_an_io_error),
	cmocka_unit_test(aio_append_goes_to_the_end_there_is),
	cmocka_unit_test(aio_open_truncates_when_asked),
	cmocka_unit_test(aio_direct_file_takes_every_alignment),
	cmocka_unit_test(aio_unlinked_open_file_stays_readable),
	cmocka_unit_test(aio_file_over_4_gib_is_sparse),
	cmocka_unit_test(aio_many_requests_at_once_are_all_answered),
	cmocka_unit_test(aio_detached_requests_are_fenced_and_end),
};

int
main(void)
{
	return aio_folder_run(tests, RTE_DIM(tests));
}
