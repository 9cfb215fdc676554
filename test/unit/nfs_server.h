/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef NFS_SERVER_H
#define NFS_SERVER_H

/*
 * An nfs-ganesha on loopback, kept by test/nfs/keeper.py, and a session on its export. The server
 * is gone when the test is, however that ends.
 */

#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs_client.h"

extern struct fs_client nfsc;
extern struct weir_node *nfs_root;

/*
 * The server, EAL, loop and workers; then what run() says, 77 where they cannot run, or 1. argv:
 * keeper.py.
 */
int nfs_server_main(char *argv[], int (*run)(void));
/* kill, start, freeze or thaw; returns when it is done. */
void nfs_server_do(const char *command);

/* Parameters of the export for fsdev_nfs_create, with more (", \"x\": 1") behind. */
const char *nfs_server_params(const char *name, const char *more);
/* fsdev_nfs_create and a session on it, in nfsc and nfs_root; and both away again. */
void nfs_export_up(const char *name, const char *more);
void nfs_export_down(void);

/* Path of a name in the exported folder, on the host. */
const char *nfs_host(const char *name);
/* How many names in the exported folder begin with prefix; and one of them. */
unsigned int nfs_host_count(const char *prefix);
void nfs_host_first(char name[NAME_MAX + 1]);

struct stat nfs_host_stat(const char *name);
void nfs_host_write(const char *name, const void *data, size_t n);
/* What nobody waits for is done by and by. */
void nfs_host_wait(const char *prefix, unsigned int nb);

/* In the root: an entry with its reference; a new file that is open for reading and writing. */
struct weir_entry nfs_look(const char *name);
struct weir_entry nfs_make(const char *name, struct weir_file **file);
/* Gives up both. */
void nfs_close(const struct weir_entry *entry, struct weir_file *file);

/* An export with everything as it is by default; at the end its folder must be empty. */
int nfs_setup(void **state);
int nfs_teardown(void **state);

/* The byte at i of the data that tests write. */
static inline uint8_t
nfs_byte(uint64_t i)
{
	return (uint8_t)((i * UINT64_C(2654435761)) >> 11);
}

/* Puts those of a file at off into guest memory; compares. */
void nfs_fill(uint64_t off, size_t n);
void nfs_check(uint64_t off, size_t n);

#endif /* NFS_SERVER_H */
