/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_TRACE_H
#define WEIR_TRACE_H

/**
 * @file
 * Trace points: static probes of provider "weir" (SDT, as SystemTap defines them), which perf,
 * bpftrace and gdb find in the binary by name. Until one of them is attached, a point is a single
 * nop and a note in the file; once it is, each hit enters the kernel, about a microsecond.
 *
 * doc/performance.md lists the points and their arguments; a test holds the list to the binary.
 */

#define SDT_USE_VARIADIC
#include <sys/sdt.h>

/**
 * Marks the point "name" with up to 12 integers or pointers. Arguments should be at hand anyway:
 * they are computed whether or not somebody listens. Any thread. Not for bit-fields.
 */
#define weir_trace(name, ...) STAP_PROBEV(weir, name, ##__VA_ARGS__)

#endif /* WEIR_TRACE_H */
