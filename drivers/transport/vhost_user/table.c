/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <linux/magic.h>
#include <stddef.h>
#include <string.h>
#include <sys/vfs.h>

#include <rte_common.h>

#include "table.h"

/*
 * A page of such a file comes from a process or a server, which may never answer: the worker that
 * touches it would wait for ever, with all of its devices.
 */
static bool
table_fd_may_hang(int fd)
{
	static const unsigned int magics[] = { FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, V9FS_MAGIC,
		CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC, CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC };
	struct statfs fs;
	unsigned int i;

	if (fstatfs(fd, &fs) < 0)
		return true;
	for (i = 0; i < RTE_DIM(magics); i++)
		if ((unsigned int)fs.f_type == magics[i])
			return true;
	return false;
}

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

	for (i = 0; i < table->nb; i++) {
		if (table_fd_may_hang(fds[i]))
			return -EPERM;
		src[i] = (struct weir_memmap_src){
			.gpa = table->regions[i].gpa,
			.size = table->regions[i].size,
			.fd = fds[i],
			.fd_off = table->regions[i].fd_off,
		};
	}
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
