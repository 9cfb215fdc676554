/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Copies within the kernel: copy_file_range(), sendfile(), splice(). */

#define TOPIC "copy"

#include <sys/sendfile.h>

#include "conform.h"

#define SIZE 300000

static char buf[SIZE];

static int
source(size_t len)
{
	int fd = OK(open("from", O_CREAT | O_RDWR | O_TRUNC, 0644));

	fill(buf, len, 0);
	EQ(len, write(fd, buf, len));
	OK(lseek(fd, 0, SEEK_SET));
	return fd;
}

static int
target(void)
{
	return OK(open("to", O_CREAT | O_RDWR | O_TRUNC, 0644));
}

/* As often as it takes: less than was asked for may be copied. */
static size_t
copy(int from, off_t *off_in, int to, off_t *off_out, size_t len)
{
	size_t total = 0;
	ssize_t n;

	while (total < len) {
		n = OK(copy_file_range(from, off_in, to, off_out, len - total, 0));
		if (n == 0)
			break;
		total += n;
	}
	return total;
}

static void
must_hold_bytes(int fd, off_t at, size_t len, off_t first)
{
	EQ(len, pread(fd, buf, len, at));
	FILLED(buf, len, first);
}

CHECK(whole_file)
{
	int from = source(SIZE), to = target();

	EQ(SIZE, copy(from, NULL, to, NULL, SIZE + 1000));
	EQ(SIZE, lseek(from, 0, SEEK_CUR));
	EQ(SIZE, lseek(to, 0, SEEK_CUR));
	EQ(SIZE, fstat_of(to).st_size);
	must_hold_bytes(to, 0, SIZE, 0);
}

static const struct {
	off_t in;
	off_t out;
	size_t len;
} ranges[] = {
	{ 0, 0, 1 },
	{ 1000, 0, 5000 },
	{ 0, 1000, 5000 },
	{ 4096, 8192, 4096 },
	{ 12345, 54321, 100000 },
	{ 0, INT64_C(5000000000), 70000 },
};

static void
range_label(unsigned int n, char *text, size_t len)
{
	snprintf(text, len, "%zu_from_%lld_to_%lld", ranges[n].len, (long long)ranges[n].in,
			(long long)ranges[n].out);
}

CHECKS(range, range_label, RTE_DIM(ranges))
{
	off_t in = ranges[n].in, out = ranges[n].out;
	int from = source(SIZE), to = target();

	EQ(ranges[n].len, copy(from, &in, to, &out, ranges[n].len));
	EQ(ranges[n].in + (off_t)ranges[n].len, in);
	EQ(ranges[n].out + (off_t)ranges[n].len, out);
	EQ(0, lseek(from, 0, SEEK_CUR));
	EQ(0, lseek(to, 0, SEEK_CUR));
	EQ(out, fstat_of(to).st_size);
	must_hold_bytes(to, ranges[n].out, ranges[n].len, ranges[n].in);
}

CHECK(within_a_file)
{
	off_t in = 0, out = 100000;
	int fd = source(SIZE);

	EQ(50000, copy(fd, &in, fd, &out, 50000));
	must_hold_bytes(fd, 100000, 50000, 0);
	must_hold_bytes(fd, 0, 100000, 0);
	must_hold_bytes(fd, 150000, SIZE - 150000, 150000);
}

CHECK(overlap_is_einval)
{
	off_t in = 0, out = 100;
	int fd = source(SIZE);

	ERR(EINVAL, copy_file_range(fd, &in, fd, &out, 200, 0));
	in = 100;
	out = 0;
	ERR(EINVAL, copy_file_range(fd, &in, fd, &out, 200, 0));
	must_hold_bytes(fd, 0, SIZE, 0);
}

CHECK(at_and_beyond_the_end)
{
	off_t in = 1000, out = 0;
	int from = source(1000), to = target();

	EQ(0, copy_file_range(from, &in, to, &out, 10, 0));
	in = 5000;
	EQ(0, copy_file_range(from, &in, to, &out, 10, 0));
	in = 990;
	EQ(10, copy(from, &in, to, &out, 500));
	EQ(10, fstat_of(to).st_size);
	EQ(0, copy_file_range(from, &in, to, &out, 0, 0));
}

CHECK(errors)
{
	off_t in = 0, out = 0;
	int from = source(1000), to = target(), dir;

	ERR(EINVAL, copy_file_range(from, &in, to, &out, 10, 1));
	ERR(EBADF, copy_file_range(from, &in, OK(open("to", O_RDONLY)), &out, 10, 0));
	ERR(EBADF, copy_file_range(OK(open("from", O_WRONLY)), &in, to, &out, 10, 0));
	ERR(EBADF, copy_file_range(from, &in, OK(open("to", O_WRONLY | O_APPEND)), &out, 10, 0));
	dir = OK(open(".", O_RDONLY));
	ERR(EISDIR, copy_file_range(dir, &in, to, &out, 10, 0));
	in = -1;
	ERR2(EINVAL, EOVERFLOW, copy_file_range(from, &in, to, &out, 10, 0));
}

CHECK(sees_unsynced_writes)
{
	off_t in = 0, out = 0;
	int from = source(100), to = target();

	for (unsigned int i = 0; i < 20; i++) {
		char c = 'a' + i;

		in = out = 0;
		EQ(1, pwrite(from, &c, 1, 50));
		EQ(100, copy(from, &in, to, &out, 100));
		EQ(1, pread(to, buf, 1, 50));
		EQ(c, buf[0]);
	}
}

CHECK(replaces_what_was_read_before)
{
	off_t in = 0, out = 0;
	int from, to = target();

	memset(buf, 'x', SIZE);
	EQ(SIZE, write(to, buf, SIZE));
	EQ(SIZE, pread(to, buf, SIZE, 0));
	from = source(SIZE);
	EQ(100000, copy(from, &in, to, &out, 100000));
	must_hold_bytes(to, 0, 100000, 0);
	EQ(1, pread(to, buf, 1, 100000));
	EQ('x', buf[0]);
	EQ(SIZE, fstat_of(to).st_size);
}

CHECK(between_folders)
{
	int from = source(SIZE), to;

	put_dir("d", 0755);
	to = OK(open("d/to", O_CREAT | O_RDWR, 0600));
	EQ(SIZE, copy(from, NULL, to, NULL, SIZE));
	must_hold_bytes(to, 0, SIZE, 0);
}

CHECK(of_an_unlinked_file)
{
	int from = source(SIZE), to = target();

	OK(unlink("from"));
	OK(unlink("to"));
	EQ(SIZE, copy(from, NULL, to, NULL, SIZE));
	must_hold_bytes(to, 0, SIZE, 0);
}

CHECK(sendfile_to_a_file)
{
	off_t off = 1000;
	int from = source(SIZE), to = target();
	size_t total = 0;

	while (total < SIZE - 1000)
		total += OK(sendfile(to, from, &off, SIZE - 1000 - total));
	EQ(SIZE, off);
	EQ(0, sendfile(to, from, &off, 10));
	must_hold_bytes(to, 0, SIZE - 1000, 1000);
}

CHECK(splice_through_a_pipe)
{
	int from = source(SIZE), to = target(), fds[2];
	size_t total = 0;
	ssize_t got, left;

	OK(pipe(fds));
	while ((got = OK(splice(from, NULL, fds[1], NULL, 65536, 0))) > 0) {
		for (left = got; left > 0;)
			left -= OK(splice(fds[0], NULL, to, NULL, left, 0));
		total += got;
	}
	EQ(SIZE, total);
	must_hold_bytes(to, 0, SIZE, 0);
}
