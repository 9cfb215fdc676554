/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_MEMMAP_H
#define WEIR_MEMMAP_H

/**
 * @file
 * Guest memory. A map is an immutable, reference-counted snapshot of the guest's memory table that
 * weir mapped itself, so that it may outlive the table of the transport it came from. All access
 * goes through segments (region, offset, length); no address of the guest is ever used as one of
 * ours.
 *
 * A front end can truncate the file behind a region: the next access is a SIGBUS. A handler that
 * weir_memmap_guard_install() sets up puts zero pages there and marks the map broken, so that the
 * fault stays the matter of one device. A system call on such memory raises no signal: it fails
 * with -EFAULT and leaves the map as it is.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weir_role.h"

/** Upper bound of the regions in one map; vhost-user through librte_vhost has at most 8. */
#define WEIR_MEMMAP_MAX_REGIONS 64

/** A run of bytes in one region of a map. Offsets and lengths were checked when it was made. */
struct weir_seg {
	uint64_t off; /**< bytes from the start of the region */
	uint32_t len; /**< bytes, never 0 */
	uint16_t region; /**< index into weir_memmap.regions */
	uint16_t reserved;
};

struct weir_mem_region {
	uint64_t gpa; /**< guest physical address of the first byte */
	uint64_t size; /**< bytes */
	uint8_t *addr; /**< our own mapping of it */
};

struct weir_memmap {
	_Atomic uint32_t refs;
	_Atomic bool broken; /**< written by the SIGBUS handler, read by workers */
	uint32_t generation; /**< counts the maps of this process, for logs and caches */
	uint16_t nb_regions;
	struct weir_mem_region regions[]; /**< sorted by gpa, not overlapping */
};

/** One region as a transport knows it. */
struct weir_memmap_src {
	uint64_t gpa;
	uint64_t size;
	int fd; /**< shared memory file; borrowed, the map keeps none open */
	uint64_t fd_off; /**< byte in fd where the region starts; need not be page aligned */
};

/**
 * Maps nb regions read-write and shared, and returns the snapshot with one reference.
 * Regions may come in any order; the file must be at least fd_off + size long.
 *
 * @return 0, or -EINVAL (no region, too many, size 0, wrap-around, overlap, file too short),
 *   -ENOMEM (also when 4096 regions are mapped already), or the errno of fstat or mmap. *out is
 *   untouched on error.
 */
int
weir_memmap_create(const struct weir_memmap_src *src, unsigned int nb, struct weir_memmap **out);

/** Takes a reference. Any thread. Returns map. */
struct weir_memmap *weir_memmap_get(struct weir_memmap *map);

/** Drops a reference; the last one unmaps and frees, so not on a worker. NULL is allowed. */
void weir_memmap_put(struct weir_memmap *map);

/**
 * Translates the first part of [gpa, gpa + len).
 *
 * On success *seg is the longest run from gpa that lies in one region, at most len and at most
 * UINT32_MAX bytes; the caller goes on behind it. Never looks at memory. Any thread, lock-free.
 *
 * @return 0; -EFAULT when gpa is outside all regions, len is 0, or gpa + len wraps around;
 *   -EAGAIN is reserved for transports whose maps are filled on demand.
 */
int weir_memmap_translate(
		const struct weir_memmap *map, uint64_t gpa, uint64_t len, struct weir_seg *seg);

/**
 * As weir_memmap_translate() where all of [gpa, gpa + len), len > 0, lies in region i, one that the
 * map has. @return false, with *seg untouched, where it does not.
 */
static inline bool
weir_memmap_in_region(const struct weir_memmap *map, uint16_t i, uint64_t gpa, uint32_t len,
		struct weir_seg *seg)
{
	const struct weir_mem_region *region = &map->regions[i];
	uint64_t off = gpa - region->gpa;

	/* No region wraps around, so neither does what lies in one. */
	if (off >= region->size || len > region->size - off)
		return false;
	*seg = (struct weir_seg){ .off = off, .len = len, .region = i };
	return true;
}

/** Our address of a segment's first byte. */
static inline void *
weir_memmap_addr(const struct weir_memmap *map, const struct weir_seg *seg)
{
	return map->regions[seg->region].addr + seg->off;
}

/**
 * Installs the SIGBUS handler, once per process, before any worker runs. Faults outside guest
 * memory go to the previous disposition.
 *
 * @return 0 or -errno of sigaction.
 */
int weir_memmap_guard_install(void);

#endif /* WEIR_MEMMAP_H */
