/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_memmap.h"

#define PAGE 4096u

static int
file_make(size_t size)
{
	int fd = memfd_create("test_memmap", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static struct weir_memmap *
map_make(int fd, size_t size)
{
	struct weir_memmap_src src = { .gpa = 0, .size = size, .fd = fd };
	struct weir_memmap *map = NULL;

	assert_int_equal(weir_memmap_create(&src, 1, &map), 0);
	return map;
}

static void
create_unsorted_regions_are_sorted(void **state)
{
	int fd = file_make(8 * PAGE);
	const struct weir_memmap_src src[] = {
		{ .gpa = 0x100000, .size = 2 * PAGE, .fd = fd, .fd_off = 4 * PAGE },
		{ .gpa = 0, .size = 4 * PAGE, .fd = fd, .fd_off = 0 },
		{ .gpa = 4 * PAGE, .size = PAGE, .fd = fd, .fd_off = 7 * PAGE },
	};
	struct weir_memmap *map, *next;
	char byte = 'x';

	assert_int_equal(weir_memmap_create(src, RTE_DIM(src), &map), 0);
	assert_int_equal(map->nb_regions, 3);
	assert_int_equal(map->regions[0].gpa, 0);
	assert_int_equal(map->regions[1].gpa, 4 * PAGE);
	assert_int_equal(map->regions[2].gpa, 0x100000);
	assert_false(atomic_load(&map->broken));

	/* The mapping is the file's memory, at the file's offset, and outlives the descriptor. */
	assert_int_equal(pwrite(fd, &byte, 1, 7 * PAGE + 5), 1);
	close(fd);
	assert_int_equal(map->regions[1].addr[5], 'x');

	fd = file_make(PAGE);
	next = map_make(fd, PAGE);
	assert_true(next->generation > map->generation);
	close(fd);
	weir_memmap_put(next);
	weir_memmap_put(map);
}

static void
create_unaligned_offset_maps_the_right_bytes(void **state)
{
	int fd = file_make(3 * PAGE);
	const struct weir_memmap_src src = {
		.gpa = 0x1000, .size = PAGE + 100, .fd = fd, .fd_off = PAGE + 17
	};
	struct weir_memmap *map;
	char first = 'a', last = 'z';

	assert_int_equal(pwrite(fd, &first, 1, PAGE + 17), 1);
	assert_int_equal(pwrite(fd, &last, 1, 2 * PAGE + 17 + 99), 1);
	assert_int_equal(weir_memmap_create(&src, 1, &map), 0);
	assert_int_equal(map->regions[0].addr[0], 'a');
	assert_int_equal(map->regions[0].addr[PAGE + 99], 'z');
	weir_memmap_put(map);
	close(fd);
}

static void
create_bad_table_is_refused(void **state)
{
	int fd = file_make(4 * PAGE);
	struct weir_memmap_src src[WEIR_MEMMAP_MAX_REGIONS + 1];
	struct weir_memmap *map = NULL;
	unsigned int i;

	for (i = 0; i < RTE_DIM(src); i++)
		src[i] = (struct weir_memmap_src){ .gpa = i * PAGE, .size = PAGE, .fd = fd };
	assert_int_equal(weir_memmap_create(src, 0, &map), -EINVAL);
	assert_int_equal(weir_memmap_create(src, RTE_DIM(src), &map), -EINVAL);

	src[1].gpa = PAGE - 1;
	assert_int_equal(weir_memmap_create(src, 2, &map), -EINVAL);
	src[1].gpa = UINT64_MAX - PAGE + 2;
	assert_int_equal(weir_memmap_create(src, 2, &map), -EINVAL);
	src[1].gpa = PAGE;
	src[1].size = 0;
	assert_int_equal(weir_memmap_create(src, 2, &map), -EINVAL);
	src[1].size = UINT64_MAX;
	assert_int_equal(weir_memmap_create(src, 2, &map), -EINVAL);
	src[1].size = PAGE;
	src[1].fd_off = UINT64_MAX - 10;
	assert_int_equal(weir_memmap_create(src, 2, &map), -EINVAL);
	assert_null(map);

	src[1].fd_off = 0;
	assert_int_equal(weir_memmap_create(src, WEIR_MEMMAP_MAX_REGIONS, &map), 0);
	weir_memmap_put(map);
	close(fd);
}

static void
create_short_file_or_bad_descriptor_is_refused(void **state)
{
	int fd = file_make(2 * PAGE);
	struct weir_memmap_src src = { .gpa = 0, .size = 2 * PAGE, .fd = fd, .fd_off = 1 };
	struct weir_memmap *map = NULL;
	int ends[2];

	assert_int_equal(weir_memmap_create(&src, 1, &map), -EINVAL);
	src.fd_off = 0;
	src.fd = -1;
	assert_int_equal(weir_memmap_create(&src, 1, &map), -EBADF);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	src.fd = ends[0];
	assert_int_equal(weir_memmap_create(&src, 1, &map), -ENODEV);
	assert_null(map);
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

/* More maps than there is room for at once: entries of freed maps must be used again. */
static void
create_many_times_reuses_what_was_freed(void **state)
{
	int fd = file_make(PAGE);
	unsigned int i;

	for (i = 0; i < 5000; i++)
		weir_memmap_put(map_make(fd, PAGE));
	close(fd);
}

static void
put_last_reference_unmaps(void **state)
{
	int fd = file_make(PAGE);
	struct weir_memmap *map = map_make(fd, PAGE);
	uint8_t *addr = map->regions[0].addr;
	unsigned char resident;

	assert_ptr_equal(weir_memmap_get(map), map);
	weir_memmap_put(map);
	addr[0] = 1;
	weir_memmap_put(map);
	assert_int_equal(mincore(addr, PAGE, &resident), -1);
	assert_int_equal(errno, ENOMEM);
	weir_memmap_put(NULL);
	close(fd);
}

static void
translate_stays_inside_regions(void **state)
{
	int fd = file_make(8 * PAGE);
	const struct weir_memmap_src src[] = {
		{ .gpa = 0x10000, .size = 2 * PAGE, .fd = fd },
		{ .gpa = 0x10000 + 2 * PAGE, .size = PAGE, .fd = fd, .fd_off = 2 * PAGE },
		{ .gpa = 0x40000, .size = PAGE, .fd = fd, .fd_off = 3 * PAGE },
	};
	struct weir_memmap *map;
	struct weir_seg seg = { .len = 77 };

	assert_int_equal(weir_memmap_create(src, RTE_DIM(src), &map), 0);
	assert_int_equal(weir_memmap_translate(map, 0x10010, 16, &seg), 0);
	assert_int_equal(seg.region, 0);
	assert_int_equal(seg.off, 0x10);
	assert_int_equal(seg.len, 16);
	assert_ptr_equal(weir_memmap_addr(map, &seg), map->regions[0].addr + 0x10);

	/* A run ends with its region, even where the next one follows at once. */
	assert_int_equal(weir_memmap_translate(map, 0x10000 + PAGE, 2 * PAGE, &seg), 0);
	assert_int_equal(seg.len, PAGE);
	assert_int_equal(weir_memmap_translate(map, 0x10000 + 3 * PAGE - 1, PAGE, &seg), 0);
	assert_int_equal(seg.region, 1);
	assert_int_equal(seg.off, PAGE - 1);
	assert_int_equal(seg.len, 1);
	assert_int_equal(weir_memmap_translate(map, 0x40000, PAGE, &seg), 0);
	assert_int_equal(seg.region, 2);

	seg.len = 77;
	assert_int_equal(weir_memmap_translate(map, 0x0ffff, 2, &seg), -EFAULT);
	assert_int_equal(weir_memmap_translate(map, 0x10000 + 3 * PAGE, 1, &seg), -EFAULT);
	assert_int_equal(weir_memmap_translate(map, 0x40000 + PAGE, 1, &seg), -EFAULT);
	assert_int_equal(weir_memmap_translate(map, 0x10000, 0, &seg), -EFAULT);
	assert_int_equal(weir_memmap_translate(map, 0x10000, UINT64_MAX, &seg), -EFAULT);
	assert_int_equal(weir_memmap_translate(map, UINT64_MAX, 1, &seg), -EFAULT);
	assert_int_equal(seg.len, 77);
	weir_memmap_put(map);
	close(fd);
}

static void
translate_huge_region_gives_at_most_32_bits(void **state)
{
	const uint64_t size = 6ull << 30;
	int fd = file_make(size);
	struct weir_memmap *map = map_make(fd, size);
	struct weir_seg seg;

	assert_int_equal(weir_memmap_translate(map, PAGE, 5ull << 30, &seg), 0);
	assert_int_equal(seg.off, PAGE);
	assert_int_equal(seg.len, UINT32_MAX);
	weir_memmap_put(map);
	close(fd);
}

static void
guard_truncated_file_reads_zeroes_and_marks_its_map(void **state)
{
	int fd = file_make(4 * PAGE), other_fd = file_make(4 * PAGE);
	struct weir_memmap *map = map_make(fd, 4 * PAGE), *other = map_make(other_fd, 4 * PAGE);
	uint8_t *addr = map->regions[0].addr;
	unsigned int i;

	/* In the test, not before it: cmocka puts a handler of its own around each test. */
	assert_int_equal(weir_memmap_guard_install(), 0);
	memset(addr, 0xaa, 4 * PAGE);
	memset(other->regions[0].addr, 0xbb, 4 * PAGE);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(pread(other_fd, addr + PAGE, 1, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_false(atomic_load(&map->broken));

	for (i = 0; i < PAGE; i++)
		assert_int_equal(addr[2 * PAGE + i], 0);
	assert_true(atomic_load(&map->broken));
	assert_int_equal(addr[PAGE - 1], 0xaa);
	addr[3 * PAGE + 9] = 7;
	assert_int_equal(addr[3 * PAGE + 9], 7);

	assert_false(atomic_load(&other->broken));
	for (i = 0; i < 4 * PAGE; i++)
		assert_int_equal(other->regions[0].addr[i], 0xbb);
	weir_memmap_put(map);
	weir_memmap_put(other);
	close(fd);
	close(other_fd);
}

/* Skipped where the machine has no free huge page. */
static void
guard_truncated_hugetlb_file_reads_zeroes(void **state)
{
	int fd = memfd_create("test_memmap", MFD_CLOEXEC | MFD_HUGETLB);
	const struct weir_memmap_src src = { .gpa = 0, .size = PAGE, .fd = fd, .fd_off = PAGE };
	struct weir_memmap *map = NULL;
	unsigned char resident;
	struct stat st;
	uint8_t *addr;

	if (fd >= 0 && fstat(fd, &st) == 0 && ftruncate(fd, st.st_blksize) == 0)
		weir_memmap_create(&src, 1, &map);
	if (map == NULL) {
		close(fd);
		skip();
	}
	assert_int_equal(weir_memmap_guard_install(), 0);
	addr = map->regions[0].addr;
	assert_int_equal((uintptr_t)addr % (uintptr_t)st.st_blksize, PAGE);
	addr[0] = 1;
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(addr[0], 0);
	assert_true(atomic_load(&map->broken));
	weir_memmap_put(map);
	assert_int_equal(mincore(addr - PAGE, PAGE, &resident), -1);
	close(fd);
}

static void
child_handler(int sig)
{
	_exit(42);
}

static void
child_info_handler(int sig, siginfo_t *info, void *context)
{
	_exit(info->si_code == BUS_ADRERR ? 43 : 44);
}

/* How a child ends that has a guard over the given disposition and touches a file beyond its end. */
static int
child_fault(const struct sigaction *prev)
{
	struct rlimit no_core = { 0, 0 };
	int status, fd = file_make(PAGE);
	uint8_t *stray;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		sigaction(SIGBUS, prev, NULL);
		if (weir_memmap_guard_install() < 0)
			_exit(1);
		stray = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
		_exit(stray[PAGE] == 0 ? 2 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fd);
	return status;
}

static void
guard_fault_outside_guest_memory_goes_to_previous_handler(void **state)
{
	const struct sigaction plain = { .sa_handler = child_handler };
	const struct sigaction info = { .sa_sigaction = child_info_handler,
		.sa_flags = SA_SIGINFO };
	const struct sigaction dfl = { .sa_handler = SIG_DFL };
	const struct sigaction ign = { .sa_handler = SIG_IGN };
	int status;

	status = child_fault(&plain);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	status = child_fault(&info);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 43);
	status = child_fault(&dfl);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	status = child_fault(&ign);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void
child_unmoved(int sig, siginfo_t *info, void *context)
{
	_exit(info->si_code == SI_QUEUE ? 45 : 46);
}

/* What a sender writes into a siginfo is no fault, even where it looks like a guest's address. */
static void
guard_sent_signal_is_not_taken_for_a_fault(void **state)
{
	const struct sigaction prev = { .sa_sigaction = child_unmoved, .sa_flags = SA_SIGINFO };
	int status, fd = file_make(PAGE);
	struct weir_memmap *map = map_make(fd, PAGE);
	siginfo_t info = { .si_signo = SIGBUS, .si_code = SI_QUEUE };
	pid_t pid;

	info.si_addr = map->regions[0].addr;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		sigaction(SIGBUS, &prev, NULL);
		if (weir_memmap_guard_install() < 0)
			_exit(1);
		syscall(SYS_rt_sigqueueinfo, getpid(), SIGBUS, &info);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 45);
	weir_memmap_put(map);
	close(fd);
}

static void
guard_sent_signal_has_its_default_effect(void **state)
{
	struct rlimit no_core = { 0, 0 };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGBUS, SIG_DFL);
		if (weir_memmap_guard_install() < 0)
			_exit(1);
		kill(getpid(), SIGBUS);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guard_fault_outside_guest_memory_goes_to_previous_handler),
		cmocka_unit_test(guard_sent_signal_is_not_taken_for_a_fault),
		cmocka_unit_test(guard_sent_signal_has_its_default_effect),
		cmocka_unit_test(create_unsorted_regions_are_sorted),
		cmocka_unit_test(create_unaligned_offset_maps_the_right_bytes),
		cmocka_unit_test(create_bad_table_is_refused),
		cmocka_unit_test(create_short_file_or_bad_descriptor_is_refused),
		cmocka_unit_test(create_many_times_reuses_what_was_freed),
		cmocka_unit_test(put_last_reference_unmaps),
		cmocka_unit_test(translate_stays_inside_regions),
		cmocka_unit_test(translate_huge_region_gives_at_most_32_bits),
		cmocka_unit_test(guard_truncated_file_reads_zeroes_and_marks_its_map),
		cmocka_unit_test(guard_truncated_hugetlb_file_reads_zeroes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
