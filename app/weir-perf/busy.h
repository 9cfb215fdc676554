/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef BUSY_H
#define BUSY_H

#include <stdint.h>

/**
 * Asks weir at an RPC socket how long its workers have been busy since they started: the time of
 * the rounds that found work (weir_get_workers).
 * @return 0, or -errno: nobody answers, or nothing of the kind.
 */
int busy_ns(const char *path, uint64_t *ns);

#endif /* BUSY_H */
