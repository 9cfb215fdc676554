/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef LIAR_EXPORT_H
#define LIAR_EXPORT_H

/* The export of the server of nfs_liar.h, and a session on it. */

#include "fs_client.h"
#include "nfs_liar.h"

/* Server, EAL on these lcores and workers; then what run() says, 77 where EAL cannot run, or 1. */
int liar_main(const char *lcores, int (*run)(void));

/* fsdev_nfs_create of "liar", with more (", \"x\": 1") behind. @return as fsc_rpc(). */
int liar_create(const char *more, char message[512]);
/* Ends the test where it cannot be deleted. */
void liar_delete(void);

/* Creates it, with a session in *fsc; and both away again. @return its root. */
struct weir_node *liar_up(struct fs_client *fsc, const char *more);
void liar_down(struct fs_client *fsc);

#endif /* LIAR_EXPORT_H */
