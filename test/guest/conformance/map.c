/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* mmap(): between processes, beside read() and write(), at the end of a file. */

#define TOPIC "map"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "conform.h"

#define PAGE 4096

static char buf[16 * PAGE];

static char *
map_file(int fd, size_t len, int prot, int flags)
{
	void *map = mmap(NULL, len, prot, flags, fd, 0);

	if (map == MAP_FAILED && errno == ENODEV)
		skip("mmap: ENODEV");
	if (map == MAP_FAILED)
		FAIL("mmap: expected success, got %s", strerrorname_np(errno));
	return map;
}

static char *
map_shared(int fd, size_t len)
{
	return map_file(fd, len, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static int
make(size_t len)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));

	fill(buf, len, 0);
	EQ(len, pwrite(fd, buf, len, 0));
	return fd;
}

CHECK(reads_what_was_written)
{
	int fd = make(10 * PAGE);
	const char *map = map_file(fd, 10 * PAGE, PROT_READ, MAP_SHARED);

	FILLED(map, 10 * PAGE, 0);
	EQ(5, pwrite(fd, "hello", 5, 3 * PAGE - 2));
	EQ(0, memcmp(map + 3 * PAGE - 2, "hello", 5));
}

CHECK(read_sees_stores)
{
	int fd = make(4 * PAGE);
	char *map = map_shared(fd, 4 * PAGE);

	memcpy(map + PAGE - 2, "hello", 5);
	EQ(5, pread(fd, buf, 5, PAGE - 2));
	EQ(0, memcmp(buf, "hello", 5));
	OK(msync(map, 4 * PAGE, MS_SYNC));
	EQ(5, pread(fd, buf, 5, PAGE - 2));
	EQ(0, memcmp(buf, "hello", 5));
}

CHECK(stores_last_after_unmap)
{
	int fd = make(4 * PAGE);
	char *map = map_shared(fd, 4 * PAGE);

	fill(map, 4 * PAGE, 99);
	OK(munmap(map, 4 * PAGE));
	OK(close(fd));
	fd = OK(open("f", O_RDONLY));
	EQ(4 * PAGE, read(fd, buf, sizeof(buf)));
	FILLED(buf, 4 * PAGE, 99);
}

CHECK(stores_last_after_close_and_fsync)
{
	int fd = make(PAGE);
	char *map = map_shared(fd, PAGE);

	OK(close(fd));
	map[7] = 'x';
	OK(msync(map, PAGE, MS_SYNC));
	fd = OK(open("f", O_RDWR));
	OK(fsync(fd));
	EQ(1, pread(fd, buf, 1, 7));
	EQ('x', buf[0]);
}

CHECK(processes_see_each_other)
{
	int fd = make(PAGE);
	char *map = map_shared(fd, PAGE);
	pid_t pid;

	map[0] = 0;
	pid = spawn();
	if (pid == 0) {
		char *mine = map_shared(OK(open("f", O_RDWR)), PAGE);

		for (char i = 0; i < 20; i += 2) {
			while (__atomic_load_n(mine, __ATOMIC_SEQ_CST) != i)
				;
			__atomic_store_n(mine, i + 1, __ATOMIC_SEQ_CST);
		}
		done();
	}
	for (char i = 1; i < 20; i += 2) {
		while (__atomic_load_n(map, __ATOMIC_SEQ_CST) != i)
			;
		__atomic_store_n(map, i + 1, __ATOMIC_SEQ_CST);
	}
	join(pid);
}

CHECK(private_stays_private)
{
	int fd = make(PAGE);
	char *map = map_file(fd, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	map[0] = 'x';
	OK(munmap(map, PAGE));
	EQ(1, pread(fd, buf, 1, 0));
	FILLED(buf, 1, 0);
}

CHECK(private_of_a_read_only_descriptor)
{
	char *map;

	OK(close(make(PAGE)));
	map = map_file(OK(open("f", O_RDONLY)), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	map[0] = 'x';
	EQ('x', map[0]);
}

CHECK(rights)
{
	int r, w;

	OK(close(make(PAGE)));
	r = OK(open("f", O_RDONLY));
	w = OK(open("f", O_WRONLY));
	TRUE(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0) == MAP_FAILED);
	EQ(EACCES, errno);
	TRUE(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, w, 0) == MAP_FAILED);
	EQ(EACCES, errno);
	TRUE(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, r, 7) == MAP_FAILED);
	EQ(EINVAL, errno);
	TRUE(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, OK(open(".", O_RDONLY)), 0) == MAP_FAILED);
	EQ(ENODEV, errno);
}

static sigjmp_buf after_signal;

static void
on_signal(int sig)
{
	siglongjmp(after_signal, sig);
}

/* The signal that reading the byte gives, or 0. */
static int
signal_of(const char *p)
{
	int sig;

	signal(SIGBUS, on_signal);
	signal(SIGSEGV, on_signal);
	sig = sigsetjmp(after_signal, 1);
	if (sig == 0)
		shared_set(63, __atomic_load_n(p, __ATOMIC_SEQ_CST));
	return sig;
}

CHECK(rest_of_the_last_page_is_zero)
{
	const char *map = map_shared(make(100), PAGE);

	for (unsigned int i = 100; i < PAGE; i++)
		EQ(0, map[i]);
}

CHECK(beyond_the_end_is_sigbus)
{
	const char *map = map_shared(make(100), 3 * PAGE);

	EQ(0, signal_of(map + PAGE - 1));
	EQ(SIGBUS, signal_of(map + PAGE));
	EQ(SIGBUS, signal_of(map + 2 * PAGE));
}

CHECK(truncated_is_sigbus)
{
	int fd = make(4 * PAGE);
	const char *map = map_shared(fd, 4 * PAGE);

	EQ(0, signal_of(map + 2 * PAGE));
	OK(ftruncate(fd, PAGE + 10));
	EQ(SIGBUS, signal_of(map + 2 * PAGE));
	EQ(0, signal_of(map + PAGE));
	EQ(0, map[PAGE + 10]);
	OK(ftruncate(fd, 4 * PAGE));
	EQ(0, signal_of(map + 2 * PAGE));
	EQ(0, map[2 * PAGE]);
}

CHECK(grows_with_the_file)
{
	int fd = make(10);
	const char *map = map_shared(fd, 4 * PAGE);

	EQ(SIGBUS, signal_of(map + 2 * PAGE));
	fill(buf, 10, 0);
	EQ(10, pwrite(fd, buf, 10, 2 * PAGE));
	EQ(0, signal_of(map + 2 * PAGE));
	FILLED(map + 2 * PAGE, 10, 0);
}

CHECK(stores_beyond_the_end_are_not_in_the_file)
{
	int fd = make(100);
	char *map = map_shared(fd, PAGE);

	memset(map + 100, 'x', 100);
	OK(msync(map, PAGE, MS_SYNC));
	EQ(100, fstat_of(fd).st_size);
	OK(munmap(map, PAGE));
	OK(ftruncate(fd, 300));
	EQ(300, pread(fd, buf, 300, 0));
	for (unsigned int i = 100; i < 300; i++)
		EQ(0, buf[i]);
}

CHECK(hole_reads_zero_and_takes_stores)
{
	int fd = OK(open("f", O_CREAT | O_RDWR, 0644));
	char *map;

	OK(ftruncate(fd, 64 * PAGE));
	map = map_shared(fd, 64 * PAGE);
	EQ(0, map[50 * PAGE]);
	map[50 * PAGE] = 'x';
	OK(msync(map, 64 * PAGE, MS_SYNC));
	EQ(1, pread(fd, buf, 1, 50 * PAGE));
	EQ('x', buf[0]);
	EQ(64 * PAGE, fstat_of(fd).st_size);
}

CHECK(store_moves_mtime)
{
	struct stat before;
	int fd = make(PAGE);
	char *map = map_shared(fd, PAGE);

	OK(fsync(fd));
	before = fstat_of(fd);
	tick();
	map[0] = 'x';
	OK(msync(map, PAGE, MS_SYNC));
	TRUE(time_compare(fstat_of(fd).st_mtim, before.st_mtim) > 0);
}

CHECK(write_from_a_mapping_of_the_same_file)
{
	int fd = make(2 * PAGE);
	char *map = map_shared(fd, 2 * PAGE);

	EQ(PAGE, pwrite(fd, map, PAGE, PAGE));
	FILLED(map + PAGE, PAGE, 0);
	EQ(PAGE, pread(fd, map, PAGE, PAGE));
	FILLED(map, PAGE, 0);
}

CHECK(punched_hole_is_seen)
{
	int fd = make(4 * PAGE);
	const char *map = map_shared(fd, 4 * PAGE);

	FILLED(map, 4 * PAGE, 0);
	NEED(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE));
	FILLED(map, PAGE, 0);
	for (unsigned int i = PAGE; i < 2 * PAGE; i++)
		EQ(0, map[i]);
	FILLED(map + 2 * PAGE, PAGE, 2 * PAGE);
}

CHECK(two_mappings_are_one)
{
	int fd = make(PAGE);
	char *a = map_shared(fd, PAGE), *b = map_shared(OK(open("f", O_RDWR)), PAGE);

	a[5] = 'x';
	EQ('x', b[5]);
	b[6] = 'y';
	EQ('y', a[6]);
}
