/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "weir_memmap.h"

#include "guest_ring.h"

#define GUEST_GUARD 0x10000ULL

static const struct {
	uint64_t gpa, size;
} layout[] = {
	{ GUEST_GPA0, GUEST_SIZE0 },
	{ GUEST_GPA1, GUEST_SIZE1 },
	{ GUEST_GPA2, GUEST_SIZE2 },
};

#define GUEST_NB_REGIONS (sizeof(layout) / sizeof(layout[0]))

static uint8_t *
guest_ring_map_guarded(uint64_t size)
{
	uint8_t *base = mmap(NULL, size + 2 * GUEST_GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	int fd = memfd_create("guest", MFD_CLOEXEC);

	if (base == MAP_FAILED || fd < 0 || ftruncate(fd, size) < 0 ||
			mmap(base + GUEST_GUARD, size, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		perror("guest memory");
		exit(1);
	}
	close(fd);
	return base + GUEST_GUARD;
}

void
guest_ring_create(struct guest_ring *ring)
{
	struct weir_memmap *map =
			calloc(1, sizeof(*map) + sizeof(map->regions[0]) * GUEST_NB_REGIONS);
	uint16_t i;

	if (map == NULL)
		exit(1);
	for (i = 0; i < GUEST_NB_REGIONS; i++) {
		map->regions[i].gpa = layout[i].gpa;
		map->regions[i].size = layout[i].size;
		map->regions[i].addr = guest_ring_map_guarded(layout[i].size);
	}
	map->nb_regions = GUEST_NB_REGIONS;
	*ring = (struct guest_ring){ .map = map };
}

void
guest_ring_destroy(struct guest_ring *ring)
{
	uint16_t i;

	for (i = 0; i < GUEST_NB_REGIONS; i++)
		munmap(ring->map->regions[i].addr - GUEST_GUARD, layout[i].size + 2 * GUEST_GUARD);
	free(ring->map);
}

void
guest_ring_reset(struct guest_ring *ring, uint32_t size, uint64_t features, uint16_t base)
{
	ring->cfg = (struct weir_vring_cfg){
		.desc_gpa = GUEST_DESC_GPA,
		.avail_gpa = GUEST_AVAIL_GPA,
		.used_gpa = GUEST_USED_GPA,
		.size = size,
		.avail_base = base,
		.used_base = base,
		.features = features | WEIR_VIRTIO_F_VERSION_1,
	};
	ring->desc = guest_ring_at(ring, GUEST_DESC_GPA);
	ring->avail = guest_ring_at(ring, GUEST_AVAIL_GPA);
	ring->used = guest_ring_at(ring, GUEST_USED_GPA);
	memset(ring->desc, 0, GUEST_TABLE_GPA - GUEST_DESC_GPA);
	ring->avail->idx = base;
	ring->used->idx = base;
	atomic_store(&ring->map->broken, false);
}

void *
guest_ring_at(struct guest_ring *ring, uint64_t gpa)
{
	struct weir_seg seg;

	if (weir_memmap_translate(ring->map, gpa, 1, &seg) < 0)
		abort();
	return weir_memmap_addr(ring->map, &seg);
}

void
guest_ring_put(struct vring_desc *desc, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	*desc = (struct vring_desc){ .addr = gpa, .len = len, .flags = flags, .next = next };
}

void
guest_ring_offer(struct guest_ring *ring, uint16_t head)
{
	ring->avail->ring[ring->avail->idx % ring->cfg.size] = head;
	__atomic_store_n(&ring->avail->idx, ring->avail->idx + 1, __ATOMIC_RELEASE);
}

uint16_t *
guest_ring_used_event(struct guest_ring *ring)
{
	return &ring->avail->ring[ring->cfg.size];
}

uint16_t *
guest_ring_avail_event(struct guest_ring *ring)
{
	return (uint16_t *)&ring->used->ring[ring->cfg.size];
}
