/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef AIO_FOLDER_H
#define AIO_FOLDER_H

/* A fresh folder on some file system, served by the aio driver, with a session on it. */

#include <sys/stat.h>

#include "fs_client.h"

struct aio_variant {
	const char *name; /**< of the group of tests */
	const char *base; /**< where the folder is made; NULL: an overlay */
	const char *options; /**< more JSON members of fsdev_aio_create: ", \"uring\": \"off\"" */
	unsigned int large; /**< entries of a large directory */
};

extern const struct aio_variant *aio_variant; /**< the one under test */

extern struct fs_client fsc;
extern struct weir_node *root;
extern char folder[PATH_MAX]; /**< its path on the host */

/** Host path of a name in the folder; valid until the next call but three. */
const char *host(const char *name);

/** What is on the host under a name, links not followed. */
struct stat host_stat(const char *name);
/** The n bytes become the file, which is made with mode 0644 where it is absent. */
void host_write(const char *name, const void *data, size_t n);
/** @return how many bytes there were, n at most. */
size_t host_read(const char *name, void *data, size_t n);

/** What a lookup in the root gives, with its reference; the test fails where there is nothing. */
struct weir_entry look_entry(const char *name);
struct weir_node *look_node(const char *name);

/** True where this process may mount: it then has mounts of its own. Call before any thread. */
bool aio_folder_may_mount(void);

/** True when a file system holds no descriptor but its root's any more; waits for that. */
bool aio_folder_is_at_rest(const char *fsdev);

/**
 * cmocka group fixtures. The teardown fails where descriptors are left over. cmocka does not count
 * their failures, so they do.
 */
int aio_folder_setup(void **state);
int aio_folder_teardown(void **state);
extern unsigned int aio_folder_failures;

struct CMUnitTest;

/** Runs tests on every kind of folder that there is here. @return main()'s exit status. */
int aio_folder_run(const struct CMUnitTest *tests, size_t nb);

#endif /* AIO_FOLDER_H */
