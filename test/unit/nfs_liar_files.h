/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef NFS_LIAR_FILES_H
#define NFS_LIAR_FILES_H

/* What nfs_liar.c's export holds: the true answer to each procedure, by any handle and any name. */

#include <stdbool.h>
#include <stdint.h>

#include "weir_xdr.h"

/* Is who asks, by an AUTH_SYS credential, in the group that nfs_liar_demand() wants? */
bool nfs_liar_admits(const uint8_t *cred, uint32_t len);

/* Takes the arguments from dec and puts the results, status first. */
void nfs_liar_answer_nfs(uint32_t proc, struct weir_xdr_dec *dec, struct weir_xdr_enc *enc);
void nfs_liar_answer_mount(uint32_t proc, struct weir_xdr_enc *enc);

#endif /* NFS_LIAR_FILES_H */
