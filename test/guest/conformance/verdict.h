/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

#ifndef CONFORM_VERDICT_H
#define CONFORM_VERDICT_H

/** @file How the processes of a check tell what they found. */

#include <stdint.h>

#include <rte_common.h>

enum verdict_state {
	VERDICT_PASSED,
	VERDICT_SKIPPED,
	VERDICT_FAILED,
};

/** In memory that is shared between processes. */
struct verdict {
	/** Written once, by the first process that fails or skips. */
	uint32_t state;
	char text[1024];
	/** Cells of shared_set(). */
	int64_t cells[64];
};

extern struct verdict *verdict;

/** The first verdict stays. */
void __rte_format_printf(2, 3) verdict_set(enum verdict_state state, const char *format, ...);

#endif /* CONFORM_VERDICT_H */
