/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Which local folders may be served. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_log.h"

#include "sandbox.h"

WEIR_LOG_USE(sandbox);

static char *
folder_resolve(const char *path)
{
	char *real = realpath(path, NULL);
	struct stat st;

	if (real == NULL)
		return NULL;
	if (stat(real, &st) == 0 && S_ISDIR(st.st_mode))
		return real;
	free(real);
	errno = ENOTDIR;
	return NULL;
}

int
sandbox_folders_set(const char *const *folders)
{
	unsigned int i, nb = 0;
	char **list;
	int rc;

	while (folders[nb] != NULL)
		nb++;
	list = calloc(nb + 1, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	for (i = 0; i < nb; i++) {
		list[i] = folder_resolve(folders[i]);
		if (list[i] == NULL)
			goto bad;
	}
	sandbox.folders = list;
	return 0;

bad:
	rc = -errno;
	weir_log(sandbox, ERR, "allowed folder %s: %s", folders[i], strerror(-rc));
	for (i = 0; i < nb; i++)
		free(list[i]);
	free(list);
	return rc;
}

static bool
is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	/* Only "/" ends in a slash. */
	if (len == 1)
		return true;
	return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool
is_allowed(const char *path)
{
	for (char **folder = sandbox.folders; folder != NULL && *folder != NULL; folder++)
		if (is_below(path, *folder))
			return true;
	return false;
}

int
weir_sandbox_folder_check(int fd)
{
	char link[32], path[PATH_MAX];
	ssize_t len;
	int dir;

	if (!sandbox.has_list)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return -EACCES;
	path[len] = '\0';
	if (!is_allowed(path))
		return -EACCES;
	if (!sandbox.landlock_active)
		return 0;
	/* The path may lead through what was mounted over the folder later: the kernel decides. */
	dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == EMFILE || errno == ENFILE ? -errno : -EACCES;
	close(dir);
	return 0;
}
