/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Reading and writing: sizes, places, appending, vectors, O_DIRECT, large files. */

#define TOPIC "data"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "conform.h"

#define KIB 1024
#define MIB (1024 * KIB)

static char buf[2 * MIB];
static char back[2 * MIB];
/* For O_DIRECT. */
static char aligned[65536] __rte_aligned(4096);

static const struct {
	off_t off;
	size_t len;
} places[] = {
	{ 0, 1 },
	{ 0, 4096 },
	{ 1, 4095 },
	{ 4095, 2 },
	{ 4097, 10000 },
	{ 65535, 65538 },
	{ 12345, 262144 },
	{ 1048575, 1048578 },
	{ INT64_C(4294967295), 3 },
	{ INT64_C(1099511627776), 5000 },
};

static void
place_label(unsigned int n, char *text, size_t len)
{
	snprintf(text, len, "%zu_at_%lld", places[n].len, (long long)places[n].off);
}

CHECKS(write_and_read_back, place_label, RTE_DIM(places))
{
	off_t off = places[n].off;
	size_t len = places[n].len;
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	fill(buf, len, off);
	EQ(len, pwrite(fd, buf, len, off));
	EQ(off + len, fstat_of(fd).st_size);
	EQ(len, pread(fd, back, sizeof(back), off));
	FILLED(back, len, off);
	OK(fsync(fd));
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	OK(close(fd));
	fd = OK(open("f", O_RDONLY));
	EQ(len, pread(fd, back, sizeof(back), off));
	FILLED(back, len, off);
	EQ(0, pread(fd, back, sizeof(back), off + len));
	if (off > 100) {
		memset(back, 1, 100);
		EQ(100, pread(fd, back, 100, off - 100));
		for (unsigned int i = 0; i < 100; i++)
			EQ(0, back[i]);
	}
}

CHECK(offset_moves)
{
	int fd;

	put("f", "0123456789", 0644);
	fd = OK(open("f", O_RDWR));
	EQ(3, read(fd, buf, 3));
	EQ(3, lseek(fd, 0, SEEK_CUR));
	EQ(2, write(fd, "ab", 2));
	EQ(5, lseek(fd, 0, SEEK_CUR));
	EQ(4, pread(fd, buf, 4, 0));
	EQ(5, lseek(fd, 0, SEEK_CUR));
	EQ(12, lseek(fd, 2, SEEK_END));
	EQ(1, write(fd, "z", 1));
	EQ(13, fstat_of(fd).st_size);
	EQ(8, lseek(fd, -5, SEEK_END));
	ERR(EINVAL, lseek(fd, -1, SEEK_SET));
	ERR(EINVAL, lseek(fd, 0, 99));
	EQ(13, pread(fd, buf, 100, 0));
	EQ(0, memcmp(buf, "012ab56789\0\0z", 13));
}

CHECK(offset_is_shared_by_dup_and_fork)
{
	int fd, other;

	put("f", "0123456789", 0644);
	fd = OK(open("f", O_RDWR));
	other = OK(dup(fd));
	EQ(2, read(fd, buf, 2));
	EQ(2, lseek(other, 0, SEEK_CUR));
	if (elsewhere()) {
		EQ(3, read(fd, buf, 3));
		done();
	}
	EQ(5, lseek(fd, 0, SEEK_CUR));
	other = OK(open("f", O_RDWR));
	EQ(0, lseek(other, 0, SEEK_CUR));
}

CHECK(append_ignores_the_offset)
{
	int fd;

	put("f", "one", 0644);
	fd = OK(open("f", O_RDWR | O_APPEND));
	EQ(3, write(fd, "two", 3));
	EQ(6, lseek(fd, 0, SEEK_CUR));
	OK(lseek(fd, 0, SEEK_SET));
	EQ(5, write(fd, "three", 5));
	CONTAINS("f", "onetwothree");
	EQ(11, lseek(fd, 0, SEEK_CUR));
	/* Linux appends here too, against POSIX (see its manual). */
	EQ(1, pwrite(fd, "x", 1, 0));
	CONTAINS("f", "onetwothreex");
}

CHECK(append_by_fcntl)
{
	int fd;

	put("f", "one", 0644);
	fd = OK(open("f", O_RDWR));
	OK(fcntl(fd, F_SETFL, O_APPEND));
	EQ(3, write(fd, "two", 3));
	OK(fcntl(fd, F_SETFL, 0));
	OK(lseek(fd, 0, SEEK_SET));
	EQ(1, write(fd, "O", 1));
	CONTAINS("f", "Onetwo");
}

CHECK(append_after_another_descriptor)
{
	int a, b;

	a = OK(open("f", O_CREAT | O_WRONLY | O_APPEND, 0644));
	b = OK(open("f", O_WRONLY | O_APPEND));
	for (unsigned int i = 0; i < 10; i++) {
		EQ(1, write(a, "a", 1));
		EQ(1, write(b, "b", 1));
	}
	CONTAINS("f", "abababababababababab");
}

/* Each writes records of its own; none is lost, and none is torn. */
static void
append_from_processes(int flags, unsigned int nb)
{
	const unsigned int size = 100;
	unsigned int seen[3] = { 0 };
	pid_t pids[3];
	int fd;

	put("f", "", 0644);
	for (unsigned int i = 0; i < RTE_DIM(pids); i++) {
		pids[i] = spawn();
		if (pids[i] != 0)
			continue;
		fd = OK(open("f", O_WRONLY | O_APPEND | flags));
		memset(buf, 'a' + i, size);
		for (unsigned int k = 0; k < nb; k++)
			EQ(size, write(fd, buf, size));
		done();
	}
	for (unsigned int i = 0; i < RTE_DIM(pids); i++)
		join(pids[i]);
	fd = OK(open("f", O_RDONLY));
	EQ(RTE_DIM(pids) * nb * size, fstat_of(fd).st_size);
	EQ(RTE_DIM(pids) * nb * size, read(fd, buf, sizeof(buf)));
	for (unsigned int k = 0; k < RTE_DIM(pids) * nb; k++) {
		unsigned int who = buf[k * size] - 'a';

		TRUE(who < RTE_DIM(pids));
		seen[who]++;
		for (unsigned int i = 1; i < size; i++)
			EQ(buf[k * size], buf[k * size + i]);
	}
	for (unsigned int i = 0; i < RTE_DIM(pids); i++)
		EQ(nb, seen[i]);
}

CHECK(append_from_three_processes)
{
	append_from_processes(0, 200);
}

CHECK(append_from_three_processes_dsync)
{
	append_from_processes(O_DSYNC, 20);
}

CHECK(write_is_seen_by_others_at_once)
{
	int a, b;

	a = OK(open("f", O_CREAT | O_RDWR, 0644));
	b = OK(open("f", O_RDONLY));
	for (unsigned int i = 0; i < 20; i++) {
		fill(buf, 1000, i * 1000);
		EQ(1000, pwrite(a, buf, 1000, i * 1000));
		EQ(1000, pread(b, back, 2000, i * 1000));
		FILLED(back, 1000, i * 1000);
		if (elsewhere()) {
			b = OK(open("f", O_RDONLY));
			EQ(1000, pread(b, back, 2000, i * 1000));
			FILLED(back, 1000, i * 1000);
			done();
		}
	}
}

CHECK(readv_and_writev)
{
	static struct iovec many[1025];
	struct iovec iov[7];
	size_t total = 0;
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	for (unsigned int i = 0; i < RTE_DIM(iov); i++) {
		iov[i].iov_base = buf + total;
		iov[i].iov_len = i * 1777;
		total += iov[i].iov_len;
	}
	fill(buf, total, 0);
	EQ(total, writev(fd, iov, RTE_DIM(iov)));
	EQ(total, lseek(fd, 0, SEEK_CUR));
	for (unsigned int i = 0; i < RTE_DIM(iov); i++)
		iov[i].iov_base = back + ((char *)iov[i].iov_base - buf);
	EQ(total, preadv(fd, iov, RTE_DIM(iov), 0));
	FILLED(back, total, 0);
	EQ(total - 10, preadv(fd, iov, RTE_DIM(iov), 10));
	FILLED(back, total - 10, 10);
	EQ(0, writev(fd, iov, 0));
	ERR(EINVAL, writev(fd, many, RTE_DIM(many)));
}

CHECK(preadv2_and_pwritev2)
{
	struct iovec iov = { buf, 4 };
	int fd;

	put("f", "0123456789", 0644);
	fd = OK(open("f", O_RDWR));
	fill(buf, 4, 0);
	EQ(4, pwritev2(fd, &iov, 1, -1, 0));
	EQ(4, lseek(fd, 0, SEEK_CUR));
	EQ(4, pwritev2(fd, &iov, 1, 0, RWF_APPEND));
	EQ(14, fstat_of(fd).st_size);
	EQ(4, pwritev2(fd, &iov, 1, 20, RWF_DSYNC));
	EQ(24, fstat_of(fd).st_size);
	iov.iov_base = back;
	EQ(4, preadv2(fd, &iov, 1, 10, 0));
	FILLED(back, 4, 0);
	ERR2(EOPNOTSUPP, EINVAL, preadv2(fd, &iov, 1, 0, 0x10000));
}

CHECK(direct_io)
{
	int fd;

	fd = open("f", O_CREAT | O_RDWR | O_DIRECT, 0644);
	if (fd < 0 && errno == EINVAL)
		skip("O_DIRECT: EINVAL");
	TRUE(fd >= 0);
	fill(aligned, 65536, 0);
	EQ(65536, pwrite(fd, aligned, 65536, 0));
	EQ(65536, fstat_of(fd).st_size);
	memset(aligned, 0, 65536);
	EQ(8192, pread(fd, aligned, 8192, 4096));
	FILLED(aligned, 8192, 4096);
	EQ(4096, pread(fd, aligned, 8192, 61440));
	EQ(0, pread(fd, aligned, 4096, 65536));
}

CHECK(direct_and_buffered_agree)
{
	int direct, plain;

	plain = OK(open("f", O_CREAT | O_RDWR, 0644));
	direct = open("f", O_RDWR | O_DIRECT);
	if (direct < 0 && errno == EINVAL)
		skip("O_DIRECT: EINVAL");
	fill(buf, 8192, 0);
	EQ(8192, pwrite(plain, buf, 8192, 0));
	EQ(8192, pread(direct, aligned, 8192, 0));
	FILLED(aligned, 8192, 0);
	fill(aligned, 4096, 77);
	EQ(4096, pwrite(direct, aligned, 4096, 4096));
	EQ(4096, pread(plain, back, 4096, 4096));
	FILLED(back, 4096, 77);
}

CHECK(direct_append)
{
	int fd;

	fd = open("f", O_CREAT | O_WRONLY | O_APPEND | O_DIRECT, 0644);
	if (fd < 0 && errno == EINVAL)
		skip("O_DIRECT with O_APPEND: EINVAL");
	for (unsigned int i = 0; i < 4; i++) {
		fill(aligned, 4096, i * 4096);
		EQ(4096, write(fd, aligned, 4096));
	}
	fd = OK(open("f", O_RDONLY));
	EQ(16384, read(fd, back, sizeof(back)));
	FILLED(back, 16384, 0);
}

CHECK(one_mebibyte_at_a_time)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	fill(buf, 2 * MIB, 0);
	EQ(2 * MIB, write(fd, buf, 2 * MIB));
	OK(fdatasync(fd));
	EQ(2 * MIB, pread(fd, back, 2 * MIB, 0));
	FILLED(back, 2 * MIB, 0);
}

CHECK(largest_offset)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	ERR(EINVAL, pwrite(fd, "x", 1, -1));
	ERR(EINVAL, pread(fd, buf, 1, -1));
	ERR2(EFBIG, EINVAL, pwrite(fd, "x", 1, INT64_MAX));
	ERR2(EINVAL, EFBIG, lseek(fd, INT64_MAX, SEEK_SET) < 0 ? -1 : write(fd, "xy", 2));
	ERR2(EFBIG, EINVAL, ftruncate(fd, -1));
	EQ(0, fstat_of(fd).st_size);
}

CHECK(file_size_limit)
{
	struct rlimit limit = { 8192, RLIM_INFINITY };
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	if (elsewhere()) {
		signal(SIGXFSZ, SIG_IGN);
		OK(setrlimit(RLIMIT_FSIZE, &limit));
		EQ(8192, pwrite(fd, buf, 8192, 0));
		EQ(92, pwrite(fd, buf, 200, 8100));
		ERR(EFBIG, pwrite(fd, buf, 1, 8192));
		ERR(EFBIG, ftruncate(fd, 8193));
		OK(ftruncate(fd, 8192));
		done();
	}
	EQ(8192, fstat_of(fd).st_size);
}

CHECK(read_and_write_of_nothing)
{
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDWR));
	EQ(0, read(fd, buf, 0));
	EQ(0, write(fd, buf, 0));
	EQ(0, pwrite(fd, buf, 0, 1000));
	EQ(4, fstat_of(fd).st_size);
}

CHECK(bad_address_is_efault)
{
	void *nowhere;
	int fd;

	put("f", "text", 0644);
	fd = OK(open("f", O_RDWR));
	nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TRUE(nowhere != MAP_FAILED);
	ERR(EFAULT, read(fd, nowhere, 4));
	ERR(EFAULT, write(fd, nowhere, 4));
	CONTAINS("f", "text");
}

CHECK(fsync_of_all_kinds)
{
	int fd;

	put("f", "text", 0644);
	put_dir("d", 0755);
	fd = OK(open("f", O_RDONLY));
	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(syncfs(fd));
	fd = OK(open("d", O_RDONLY));
	OK(fsync(fd));
	OK(syncfs(fd));
	fd = OK(open("f", O_RDWR));
	EQ(1, write(fd, "T", 1));
	OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	OK(fsync(fd));
}

CHECK(blocks_tell_what_is_stored)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	EQ(0, fstat_of(fd).st_blocks);
	fill(buf, 131072, 0);
	EQ(131072, write(fd, buf, 131072));
	OK(fsync(fd));
	TRUE(fstat_of(fd).st_blocks >= 131072 / 512);
	TRUE(fstat_of(fd).st_blocks <= 2 * 131072 / 512);
	TRUE(fstat_of(fd).st_blksize >= 512);
}
