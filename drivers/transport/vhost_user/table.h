/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdint.h>

#include "weir_memmap.h"

#include "wire.h"

/* The memory table as the front end sent it: its own addresses beside the guest's. */
struct vu_table {
	uint32_t nb;
	struct wire_region regions[WIRE_MAX_REGIONS];
};

/*
 * Takes a message's table after checking that it is as long as it says.
 * @return 0, or -EINVAL: no region, too many, too short, not one descriptor each.
 */
int vu_table_read(const struct wire_msg *msg, struct vu_table *table);

/*
 * Maps what the table describes; fds stay the caller's.
 * @return as weir_memmap_create(), or -EPERM for a file on a mount that may hang.
 */
int vu_table_map(const struct vu_table *table, const int *fds, struct weir_memmap **map);

/*
 * The guest's address for one of the front end's, which may lie at any place in a region; how much
 * follows there is for the ring to check. @return 0 or -EFAULT.
 */
int vu_table_gpa(const struct vu_table *table, uint64_t user, uint64_t *gpa);

#endif /* TABLE_H */
