/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The system calls of both clients, in place of the C library's own functions: measured, else the
 * same.
 */

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "nfs_bench.h"

/* Longer than either client needs, shorter than most time slices of another process. */
#define LONG_US 500

__thread struct nfs_bench_meter nfs_bench_meter;

uint64_t
nfs_bench_mark(void)
{
	struct nfs_bench_meter *m = &nfs_bench_meter;
	const uint64_t now = rte_rdtsc(), span = now - m->tsc;

	m->tsc = now;
	if (span <= LONG_US * (nfs_bench_tsc_hz / US_PER_S))
		return span;
	m->interrupted++;
	return 0;
}

static long
measured(long nr, long a, long b, long c, long d)
{
	long rc;

	nfs_bench_meter.user += nfs_bench_mark();
	rc = syscall(nr, a, b, c, d, 0, 0);
	nfs_bench_meter.system += nfs_bench_mark();
	nfs_bench_meter.syscalls++;
	return rc;
}

ssize_t
recv(int fd, void *buf, size_t n, int flags)
{
	return measured(SYS_recvfrom, fd, (long)buf, (long)n, flags);
}

ssize_t
send(int fd, const void *buf, size_t n, int flags)
{
	return measured(SYS_sendto, fd, (long)buf, (long)n, flags);
}

ssize_t
readv(int fd, const struct iovec *vec, int nb)
{
	return measured(SYS_readv, fd, (long)vec, nb, 0);
}

ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return measured(SYS_sendmsg, fd, (long)msg, flags, 0);
}

int
poll(struct pollfd *fds, nfds_t nb, int timeout)
{
	return (int)measured(SYS_poll, (long)fds, (long)nb, timeout, 0);
}
