/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef MOUNT_H
#define MOUNT_H

/**
 * @file
 * How weir-perf and its fio engine mount.
 */

#include "fe_fuse.h"

/**
 * Connects, and offers in INIT what Linux does.
 * @return as fe_fs_connect() and fe_fs_init(); fs is closed if it failed.
 */
int mount_as_linux(struct fe_fs *fs, const struct fe_opts *opts);

#endif /* MOUNT_H */
