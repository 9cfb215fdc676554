/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Preloaded into weir-stream by test_stream.py: a C library whose calls lie, as WEIR_LIE says. The
 * stream must notice each lie.
 */

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int
lies(const char *about)
{
	const char *lie = getenv("WEIR_LIE");

	return lie != NULL && strcmp(lie, about) == 0;
}

ssize_t
pwritev(int fd, const struct iovec *vec, int nb, off_t off)
{
	if (lies("lost write") && nb == 3)
		return (ssize_t)(vec[0].iov_len + vec[1].iov_len + vec[2].iov_len);
	return REAL(pwritev)(fd, vec, nb, off);
}

int
renameat2(int a, const char *from, int b, const char *to, unsigned int flags)
{
	if (lies("replaced") && flags == RENAME_NOREPLACE)
		flags = 0;
	if (lies("not exchanged") && flags == RENAME_EXCHANGE)
		return 0;
	return REAL(renameat2)(a, from, b, to, flags);
}

int
unlinkat(int dir, const char *name, int flags)
{
	const int rc = REAL(unlinkat)(dir, name, flags);

	if (lies("wrong error") && rc < 0 && errno == EISDIR)
		errno = EPERM;
	return rc;
}

int
fchmodat(int dir, const char *name, mode_t mode, int flags)
{
	return REAL(fchmodat)(dir, name, lies("lost bits") ? mode & 0777 : mode, flags);
}

int
utimensat(int dir, const char *name, const struct timespec times[2], int flags)
{
	struct timespec cut[2] = { times[0], times[1] };

	if (lies("coarse time") && cut[1].tv_nsec < 1000000000)
		cut[1].tv_nsec -= cut[1].tv_nsec % 100;
	return REAL(utimensat)(dir, name, cut, flags);
}

int
ftruncate(int fd, off_t size)
{
	return REAL(ftruncate)(fd, lies("short file") && size > 0 ? size - 1 : size);
}

int
msync(void *map, size_t bytes, int flags)
{
	if (lies("torn map"))
		((char *)map)[bytes - 1] ^= 1;
	return REAL(msync)(map, bytes, flags);
}
