/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "table.h"

int
vu_table_read(const struct wire_msg *msg, struct vu_table *table)
{
	uint32_t nb = msg->payload.memory.nb;

	if (nb == 0 || nb > WIRE_MAX_REGIONS || msg->nb_fds != (int)nb)
		return -EINVAL;
	if (msg->size < offsetof(struct wire_memory, regions) + nb * sizeof(struct wire_region))
		return -EINVAL;

	table->nb = nb;
	memcpy(table->regions, msg->payload.memory.regions, nb * sizeof(struct wire_region));
	return 0;
}

int
vu_table_map(const struct vu_table *table, const int *fds, struct weir_memmap **map)
{
	struct weir_memmap_src src[WIRE_MAX_REGIONS];
	uint32_t i;

	for (i = 0; i < table->nb; i++)
		src[i] = (struct weir_memmap_src){
			.gpa = table->regions[i].gpa,
			.size = table->regions[i].size,
			.fd = fds[i],
			.fd_off = table->regions[i].fd_off,
		};
	return weir_memmap_create(src, table->nb, map);
}

int
vu_table_gpa(const struct vu_table *table, uint64_t user, uint64_t *gpa)
{
	const struct wire_region *region;
	uint32_t i;

	for (i = 0; i < table->nb; i++) {
		region = &table->regions[i];
		/* The difference, since the sum of two of its numbers is the front end's to wrap. */
		if (user >= region->user && user - region->user < region->size) {
			*gpa = region->gpa + (user - region->user);
			return 0;
		}
	}
	return -EFAULT;
}
