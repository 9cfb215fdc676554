/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * A library to preload into weir: counts the heap calls of its worker threads and the copies they
 * make of pages, or of the better part of one. What it counts is in the file that WEIR_PATHCOUNT
 * names, mapped, so that a test can switch counting on for the time of a load and read it while
 * weir runs.
 */

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Bytes of a copy from which on it counts: a page of payload may be copied in two parts. */
#define COPY_MIN 2048

struct pathcount {
	_Atomic uint64_t on;
	_Atomic uint64_t worker_heap; /* heap calls of workers */
	_Atomic uint64_t other_heap; /* of all other threads: shows that counting works */
	_Atomic uint64_t worker_copies; /* of COPY_MIN or more */
};

static struct pathcount *counts;
static __thread int role; /* 0: not looked at yet, 1: worker, 2: another thread */

/* glibc's own names for what is replaced here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t nb, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void __libc_free(void *p);

static void __attribute__((constructor)) pathcount_map(void)
{
	const char *path = getenv("WEIR_PATHCOUNT");
	int fd = path != NULL ? open(path, O_RDWR) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		counts = map;
}

static bool
pathcount_is_worker(void)
{
	char name[16] = "";

	if (role == 0) {
		prctl(PR_GET_NAME, name);
		role = name[0] == 'r' && name[1] == 't' && name[2] == 'e' && name[3] == '-' &&
						name[4] == 'w' ?
				1 :
				2;
	}
	return role == 1;
}

static void
pathcount_heap(void)
{
	if (counts == NULL || !atomic_load(&counts->on))
		return;
	atomic_fetch_add(pathcount_is_worker() ? &counts->worker_heap : &counts->other_heap, 1);
}

void *
malloc(size_t size)
{
	pathcount_heap();
	return __libc_malloc(size);
}

void *
calloc(size_t nb, size_t size)
{
	pathcount_heap();
	return __libc_calloc(nb, size);
}

void *
realloc(void *p, size_t size)
{
	pathcount_heap();
	return __libc_realloc(p, size);
}

void
free(void *p)
{
	if (p != NULL)
		pathcount_heap();
	__libc_free(p);
}

static void
pathcount_copy(size_t n)
{
	if (n >= COPY_MIN && counts != NULL && atomic_load(&counts->on) && pathcount_is_worker())
		atomic_fetch_add(&counts->worker_copies, 1);
}

void *
memcpy(void *restrict to, const void *restrict from, size_t n)
{
	void *start = to;

	pathcount_copy(n);
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	return start;
}

void *
memmove(void *to, const void *from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if (t <= f || t >= f + n)
		return memcpy(to, from, n);
	pathcount_copy(n);
	while (n-- > 0)
		t[n] = f[n];
	return to;
}
