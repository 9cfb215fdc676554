/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef TEST_EAL_H
#define TEST_EAL_H

/* EAL for a unit test: no hugepages, no devices, nothing left behind. */

#include <stdio.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>

static char test_eal_prefix[64];

/* lcores: EAL's --lcores; the first one is control. @return 0, or -1 where EAL cannot run. */
static inline int
test_eal_init(const char *lcores)
{
	char *argv[] = { (char *)(uintptr_t) "test", (char *)(uintptr_t) "--no-huge",
		(char *)(uintptr_t) "--no-pci", (char *)(uintptr_t) "--no-shconf",
		(char *)(uintptr_t) "-m", (char *)(uintptr_t) "128",
		(char *)(uintptr_t) "--iova-mode=va", (char *)(uintptr_t) "--no-telemetry",
		(char *)(uintptr_t) "--log-level=4", (char *)(uintptr_t) "--lcores",
		(char *)(uintptr_t)lcores, test_eal_prefix };

	snprintf(test_eal_prefix, sizeof(test_eal_prefix), "--file-prefix=weir-test-%d",
			(int)getpid());
	return rte_eal_init(RTE_DIM(argv), argv) < 0 ? -1 : 0;
}

static inline void
test_eal_fini(void)
{
	const char *dir = rte_eal_get_runtime_dir();

	rte_eal_cleanup();
	rmdir(dir);
}

#endif /* TEST_EAL_H */
