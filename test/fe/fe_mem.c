/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fe.h"

#define MEM_PAGE 4096u
/* Guest addresses are nothing that could be mistaken for one of ours or for an offset. */
#define MEM_FIRST_GPA  0x40000000ULL
#define MEM_REGION_GAP 0x100000000ULL
/* Files start earlier than their regions do, as those of a VMM may. */
#define MEM_FD_OFF 0x10000ULL

static int
region_create(struct fe_region *region, uint64_t gpa, uint64_t size, uint64_t fd_off, uint8_t *at)
{
	int flags = MAP_SHARED | (at == NULL ? 0 : MAP_FIXED);
	void *va;
	int rc;

	region->fd = memfd_create("guest", MFD_CLOEXEC);
	if (region->fd < 0)
		return -errno;

	if (ftruncate(region->fd, fd_off + size) < 0) {
		rc = -errno;
		close(region->fd);
		return rc;
	}

	va = mmap(at, size, PROT_READ | PROT_WRITE, flags, region->fd, fd_off);
	if (va == MAP_FAILED) {
		rc = -errno;
		close(region->fd);
		return rc;
	}

	region->gpa = gpa;
	region->size = size;
	region->fd_off = fd_off;
	region->used = 0;
	region->va = va;
	return 0;
}

static void
region_destroy(struct fe_region *region)
{
	munmap(region->va, region->size);
	close(region->fd);
	memset(region, 0, sizeof(*region));
}

int
fe_mem_create(struct fe_mem *mem, enum fe_mem_layout layout, unsigned int nb, uint64_t region_bytes)
{
	uint64_t size = (region_bytes + MEM_PAGE - 1) & ~(uint64_t)(MEM_PAGE - 1);
	uint64_t stride = layout == FE_MEM_GAPS ? MEM_REGION_GAP : size;
	uint8_t *at = NULL;
	unsigned int i;
	int rc;

	memset(mem, 0, sizeof(*mem));
	if (nb == 0 || nb > FE_MAX_REGIONS || size == 0 || size > MEM_REGION_GAP / 2)
		return -EINVAL;

	mem->layout = layout;
	if (layout == FE_MEM_ADJACENT) {
		mem->base_size = nb * size;
		mem->base = mmap(NULL, mem->base_size, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (mem->base == MAP_FAILED) {
			mem->base = NULL;
			return -errno;
		}
	}

	for (i = 0; i < nb; i++) {
		if (mem->base != NULL)
			at = mem->base + i * size;
		rc = region_create(&mem->region[i], MEM_FIRST_GPA + i * stride, size,
				i * MEM_FD_OFF, at);
		if (rc < 0) {
			fe_mem_destroy(mem);
			return rc;
		}
		mem->nb++;
	}
	return 0;
}

void
fe_mem_destroy(struct fe_mem *mem)
{
	while (mem->nb > 0)
		region_destroy(&mem->region[--mem->nb]);
	if (mem->base != NULL)
		munmap(mem->base, mem->base_size);
	mem->base = NULL;
}

int
fe_mem_plug(struct fe_mem *mem, uint64_t bytes)
{
	int rc;

	if (mem->nb == FE_MAX_REGIONS)
		return -ENOSPC;

	rc = region_create(&mem->region[mem->nb],
			MEM_FIRST_GPA + (FE_MAX_REGIONS + mem->nb) * MEM_REGION_GAP, bytes, 0,
			NULL);
	if (rc < 0)
		return rc;

	/* Nothing is allocated from it: it will go away again. */
	mem->region[mem->nb].used = bytes;
	mem->nb++;
	return 0;
}

void
fe_mem_unplug(struct fe_mem *mem)
{
	region_destroy(&mem->region[--mem->nb]);
}

/* All regions are one range: a buffer may begin in one and end in the next. */
static int
mem_alloc_adjacent(struct fe_mem *mem, uint32_t bytes, uint32_t align, struct fe_buf *out)
{
	struct fe_region *first = &mem->region[0];
	uint64_t at = (first->used + align - 1) & ~(uint64_t)(align - 1);

	if (at + bytes > mem->base_size)
		return -ENOMEM;

	out->va = first->va + at;
	out->gpa = first->gpa + at;
	out->len = bytes;
	first->used = at + bytes;
	return 0;
}

int
fe_mem_alloc(struct fe_mem *mem, uint32_t bytes, uint32_t align, struct fe_buf *out)
{
	unsigned int i;

	if (mem->layout == FE_MEM_ADJACENT)
		return mem_alloc_adjacent(mem, bytes, align, out);

	for (i = 0; i < mem->nb; i++) {
		struct fe_region *region = &mem->region[(mem->next + i) % mem->nb];
		uint64_t at = (region->used + align - 1) & ~(uint64_t)(align - 1);

		if (at + bytes > region->size)
			continue;

		out->va = region->va + at;
		out->gpa = region->gpa + at;
		out->len = bytes;
		region->used = at + bytes;
		mem->next = (mem->next + i + 1) % mem->nb;
		return 0;
	}
	return -ENOMEM;
}
