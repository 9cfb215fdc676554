/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "weir_memmap.h"

/** Regions of all live maps together. */
#define GUARD_MAX 4096

/* What was mapped for a region: whole pages around it. */
struct mapping {
	uint8_t *base;
	size_t len;
	size_t page;
	struct guard *guard;
};

/*
 * What the SIGBUS handler knows of one mapping. It lives in static memory, so that the handler may
 * look at the entry of a map that another thread is just freeing. Writers hold guard_lock; seq is
 * odd while an entry changes, and end is 0 while it is free.
 */
struct guard {
	_Atomic uint32_t seq;
	_Atomic uintptr_t start;
	_Atomic uintptr_t end;
	_Atomic size_t page;
	_Atomic(struct weir_memmap *) map;
};

static struct guard guards[GUARD_MAX];
static _Atomic unsigned int guards_end; /* entries from here on were never used */
static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction guard_prev;

static void
guard_set(struct guard *guard, const struct mapping *mapping, struct weir_memmap *map)
{
	uintptr_t start = (uintptr_t)mapping->base;

	/* Sequentially consistent throughout: pairs with guard_covers(), and is rare. */
	atomic_fetch_add(&guard->seq, 1);
	atomic_store(&guard->start, start);
	atomic_store(&guard->end, map != NULL ? start + mapping->len : 0);
	atomic_store(&guard->page, mapping->page);
	atomic_store(&guard->map, map);
	atomic_fetch_add(&guard->seq, 1);
}

static struct guard *
guard_add(const struct mapping *mapping, struct weir_memmap *map)
{
	struct guard *guard = NULL;
	unsigned int i, end;

	pthread_mutex_lock(&guard_lock);
	end = atomic_load(&guards_end);
	for (i = 0; i < end && atomic_load(&guards[i].end) != 0; i++)
		;
	if (i < GUARD_MAX) {
		guard = &guards[i];
		guard_set(guard, mapping, map);
		if (i == end)
			atomic_store(&guards_end, end + 1);
	}
	pthread_mutex_unlock(&guard_lock);
	return guard;
}

static void
guard_del(const struct mapping *mapping)
{
	pthread_mutex_lock(&guard_lock);
	guard_set(mapping->guard, mapping, NULL);
	pthread_mutex_unlock(&guard_lock);
}

/*
 * Whoever faults in a map has a reference to it, so its own entry cannot change meanwhile: an entry
 * that does change is another's and is passed over.
 */
static bool
guard_covers(struct guard *guard, uintptr_t addr)
{
	uint32_t seq = atomic_load(&guard->seq);
	bool inside;

	inside = addr >= atomic_load(&guard->start) && addr < atomic_load(&guard->end);
	return inside && (seq & 1) == 0 && atomic_load(&guard->seq) == seq;
}

/* Async-signal-safe. True when addr was guest memory and now reads as zeroes. */
static bool
guard_repair(uintptr_t addr)
{
	unsigned int i, end = atomic_load(&guards_end);
	struct weir_memmap *map;
	size_t page;
	void *zeroes;

	for (i = 0; i < end && !guard_covers(&guards[i], addr); i++)
		;
	if (i == end)
		return false;

	map = atomic_load(&guards[i].map);
	page = atomic_load(&guards[i].page);
	zeroes = mmap((void *)(addr & ~(page - 1)), page, PROT_READ | PROT_WRITE,
			MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (zeroes == MAP_FAILED)
		return false;
	atomic_store(&map->broken, true);
	return true;
}

static void
guard_chain(int sig, siginfo_t *info, void *context)
{
	bool sent = info->si_code <= 0;

	if (guard_prev.sa_handler == SIG_IGN && sent)
		return;
	if (guard_prev.sa_handler == SIG_DFL || guard_prev.sa_handler == SIG_IGN) {
		/* A fault comes again when we return; a signal that somebody sent does not. */
		signal(sig, SIG_DFL);
		if (sent)
			raise(sig);
	} else if ((guard_prev.sa_flags & SA_SIGINFO) != 0) {
		guard_prev.sa_sigaction(sig, info, context);
	} else {
		guard_prev.sa_handler(sig);
	}
}

static void
guard_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	bool fault = info->si_code == BUS_ADRERR || info->si_code == BUS_MCEERR_AR;

	if (!fault || !guard_repair((uintptr_t)info->si_addr))
		guard_chain(sig, info, context);
	errno = saved;
}

int
weir_memmap_guard_install(void)
{
	struct sigaction action = {
		.sa_sigaction = guard_sigbus,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	struct sigaction prev;

	if (sigaction(SIGBUS, NULL, &prev) < 0)
		return -errno;
	if ((prev.sa_flags & SA_SIGINFO) != 0 && prev.sa_sigaction == guard_sigbus)
		return 0;
	guard_prev = prev;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

/* The mappings follow the regions in the same allocation. */
static struct mapping *
memmap_mappings(struct weir_memmap *map)
{
	return (struct mapping *)&map->regions[map->nb_regions];
}

static int
memmap_cmp(const void *a, const void *b)
{
	const struct weir_memmap_src *const *x = a, *const *y = b;

	return (*x)->gpa < (*y)->gpa ? -1 : (*x)->gpa > (*y)->gpa;
}

/* Fills order[] by gpa. */
static int
memmap_sort(const struct weir_memmap_src *src, unsigned int nb,
		const struct weir_memmap_src **order)
{
	unsigned int i;

	for (i = 0; i < nb; i++) {
		if (src[i].size == 0 || src[i].gpa + src[i].size < src[i].gpa)
			return -EINVAL;
		if (src[i].fd_off > INT64_MAX || src[i].size > INT64_MAX - src[i].fd_off)
			return -EINVAL;
		order[i] = &src[i];
	}
	qsort(order, nb, sizeof(order[0]), memmap_cmp);
	for (i = 1; i < nb; i++) {
		if (order[i - 1]->gpa + order[i - 1]->size > order[i]->gpa)
			return -EINVAL;
	}
	return 0;
}

static int
mapping_create(struct mapping *mapping, struct weir_mem_region *region,
		const struct weir_memmap_src *src, struct weir_memmap *map)
{
	struct statfs fs;
	struct stat st;
	uint64_t slack;

	if (fstat(src->fd, &st) < 0 || fstatfs(src->fd, &fs) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < src->fd_off + src->size)
		return -EINVAL;

	/* Offset and length of a hugetlb mapping count in huge pages. */
	mapping->page = fs.f_type == HUGETLBFS_MAGIC ? (size_t)fs.f_bsize :
						       (size_t)sysconf(_SC_PAGESIZE);
	slack = src->fd_off & (mapping->page - 1);
	mapping->len = (slack + src->size + mapping->page - 1) & ~(mapping->page - 1);
	mapping->base = mmap(NULL, mapping->len, PROT_READ | PROT_WRITE, MAP_SHARED, src->fd,
			(off_t)(src->fd_off - slack));
	if (mapping->base == MAP_FAILED)
		return -errno;
	mapping->guard = guard_add(mapping, map);
	if (mapping->guard == NULL) {
		munmap(mapping->base, mapping->len);
		return -ENOMEM;
	}
	/* Best effort: a core dump of ours is no place for a guest's memory. */
	madvise(mapping->base, mapping->len, MADV_DONTDUMP);

	region->gpa = src->gpa;
	region->size = src->size;
	region->addr = mapping->base + slack;
	return 0;
}

static void
mappings_destroy(struct mapping *mappings, unsigned int nb)
{
	unsigned int i;

	for (i = 0; i < nb; i++) {
		guard_del(&mappings[i]);
		munmap(mappings[i].base, mappings[i].len);
	}
}

int
weir_memmap_create(const struct weir_memmap_src *src, unsigned int nb, struct weir_memmap **out)
{
	const struct weir_memmap_src *order[WEIR_MEMMAP_MAX_REGIONS];
	static _Atomic uint32_t generation;
	struct weir_memmap *map;
	struct mapping *mappings;
	unsigned int i;
	int rc;

	if (nb == 0 || nb > WEIR_MEMMAP_MAX_REGIONS)
		return -EINVAL;
	rc = memmap_sort(src, nb, order);
	if (rc < 0)
		return rc;
	map = calloc(1, sizeof(*map) + nb * (sizeof(map->regions[0]) + sizeof(struct mapping)));
	if (map == NULL)
		return -ENOMEM;

	map->nb_regions = (uint16_t)nb;
	mappings = memmap_mappings(map);
	for (i = 0; i < nb; i++) {
		rc = mapping_create(&mappings[i], &map->regions[i], order[i], map);
		if (rc < 0)
			goto unmap;
	}
	atomic_init(&map->refs, 1);
	map->generation = atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed) + 1;
	*out = map;
	return 0;

unmap:
	mappings_destroy(mappings, i);
	free(map);
	return rc;
}

struct weir_memmap *
weir_memmap_get(struct weir_memmap *map)
{
	atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
	return map;
}

void
weir_memmap_put(struct weir_memmap *map)
{
	if (map == NULL)
		return;
	/* Release what this holder did with the map, acquire what all others did. */
	if (atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) != 1)
		return;
	mappings_destroy(memmap_mappings(map), map->nb_regions);
	free(map);
}

int
weir_memmap_translate(
		const struct weir_memmap *map, uint64_t gpa, uint64_t len, struct weir_seg *seg)
{
	const struct weir_mem_region *region;
	uint64_t run;
	uint16_t i;

	if (len == 0 || gpa + len < gpa)
		return -EFAULT;
	for (i = 0; i < map->nb_regions; i++) {
		region = &map->regions[i];
		if (gpa < region->gpa)
			break;
		if (gpa - region->gpa >= region->size)
			continue;
		run = region->size - (gpa - region->gpa);
		run = len < run ? len : run;
		*seg = (struct weir_seg){
			.off = gpa - region->gpa,
			.len = run < UINT32_MAX ? (uint32_t)run : UINT32_MAX,
			.region = i,
		};
		return 0;
	}
	return -EFAULT;
}
