/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The NFS server that lies, as a process: prints its port, for NFS and MOUNT alike, and obeys lines
 * "SEED PER_MILLE" on standard input, each answered with the number of lies told so far. Ends when
 * its input does.
 */

#include <stdio.h>

#include "../unit/nfs_liar.h"

int
main(void)
{
	unsigned int seed, per_mille;
	uint16_t port = nfs_liar_start();
	char line[64];

	if (port == 0) {
		perror("nfs-liar");
		return 1;
	}
	printf("%u\n", port);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "%u %u", &seed, &per_mille) != 2)
			return 2;
		nfs_liar_lie(seed, per_mille);
		printf("%u\n", nfs_liar_lies());
		fflush(stdout);
	}
	nfs_liar_stop();
	return 0;
}
