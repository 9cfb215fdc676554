/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef NFS_LIAR_H
#define NFS_LIAR_H

/*
 * An NFS server, MOUNT included, that answers well until it is told to lie: then some of its replies
 * are cut, stretched, repeated, delayed, swapped or altered, as a seed has it. Its tree is endless and
 * never changes: the first letter of a name says what it is (d: a directory, l: a symbolic link to
 * "target", p: a pipe, c: a character device 1:3, n: nothing, all others: a file of NFS_LIAR_BYTES
 * bytes), and the rest which one. Names that are numbers are files, each of them another.
 */

#include <stdbool.h>
#include <stdint.h>

#define NFS_LIAR_BYTES 100000
#define NFS_LIAR_NAMES 40 /* in each directory */

/* Starts the server in a thread of its own. @return its port, or 0. */
uint16_t nfs_liar_start(void);
void nfs_liar_stop(void);

/* From now on per_mille of the replies are lies; which and how follows from seed. */
void nfs_liar_lie(uint32_t seed, unsigned int per_mille);

/* The byte at off of each of its files. */
static inline uint8_t
nfs_liar_byte(uint64_t off)
{
	return (uint8_t)((off * UINT64_C(2654435761)) >> 11);
}

/* How many lies were told. */
unsigned int nfs_liar_lies(void);

/* Instead of a status: the connection is closed when the call has come. */
#define NFS_LIAR_DROP 4242

/*
 * The next nb replies to a procedure of NFS have this status instead; forgets what was to come. What
 * nfs_liar_refuse_then() adds happens after it, as far as the procedure is the same.
 */
void nfs_liar_refuse(uint32_t proc, uint32_t status, unsigned int nb);
void nfs_liar_refuse_then(uint32_t proc, uint32_t status, unsigned int nb);

/* How often the call behind one that was dropped was the same to the last bit, xid included. */
unsigned int nfs_liar_resent(void);

/* Calls of a procedure of NFS. */
unsigned int nfs_liar_calls(uint32_t proc);

/* From now on a READ or WRITE moves so many bytes at most. */
void nfs_liar_be_short(uint32_t bytes);

/*
 * From now on MOUNT names this security flavor only (1: AUTH_SYS), and FSINFO suggests transfers of
 * multiples of so many bytes.
 */
void nfs_liar_offer(uint32_t flavor, uint32_t mult);

/* From now on LOOKUP says nothing about attributes, which it need not. */
void nfs_liar_be_terse(bool terse);

/*
 * From now on all files are of this group, and who does not say that he is in it, as one of the other
 * groups, is denied everything but GETATTR. 0: as before.
 */
void nfs_liar_demand(uint32_t group);

#endif /* NFS_LIAR_H */
