/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* flock(). */

#define TOPIC "flock"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "conform.h"

static int
make(void)
{
	put("f", "text", 0666);
	return OK(open("f", O_RDWR));
}

static const struct {
	const char *name;
	int held;
	int asked;
	bool may;
} pairs[] = {
	{ "shared_shared", LOCK_SH, LOCK_SH, true },
	{ "shared_exclusive", LOCK_SH, LOCK_EX, false },
	{ "exclusive_shared", LOCK_EX, LOCK_SH, false },
	{ "exclusive_exclusive", LOCK_EX, LOCK_EX, false },
};

static void
pair_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%s", pairs[n].name);
}

CHECKS(pair, pair_label, RTE_DIM(pairs))
{
	int a = make(), b = OK(open("f", O_RDONLY));

	OK(flock(a, pairs[n].held));
	if (pairs[n].may) {
		OK(flock(b, pairs[n].asked | LOCK_NB));
	} else {
		ERR(EWOULDBLOCK, flock(b, pairs[n].asked | LOCK_NB));
		OK(flock(a, LOCK_UN));
		OK(flock(b, pairs[n].asked | LOCK_NB));
	}
}

CHECK(conversion)
{
	int a = make(), b = OK(open("f", O_RDWR));

	OK(flock(a, LOCK_EX));
	OK(flock(a, LOCK_SH));
	OK(flock(b, LOCK_SH | LOCK_NB));
	ERR(EWOULDBLOCK, flock(a, LOCK_EX | LOCK_NB));
	OK(flock(b, LOCK_UN));
	OK(flock(a, LOCK_EX | LOCK_NB));
	ERR(EWOULDBLOCK, flock(b, LOCK_SH | LOCK_NB));
}

CHECK(dup_is_the_same_lock)
{
	int a = make(), b = OK(open("f", O_RDWR)), c = OK(dup(a));

	OK(flock(a, LOCK_EX));
	OK(flock(c, LOCK_EX | LOCK_NB));
	OK(close(a));
	ERR(EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
	OK(close(c));
	OK(flock(b, LOCK_EX | LOCK_NB));
}

CHECK(unlock_by_dup)
{
	int a = make(), b = OK(open("f", O_RDWR));

	OK(flock(a, LOCK_EX));
	OK(flock(OK(dup(a)), LOCK_UN));
	OK(flock(b, LOCK_EX | LOCK_NB));
}

CHECK(fork_inherits)
{
	int a = make(), b = OK(open("f", O_RDWR));

	OK(flock(a, LOCK_EX));
	if (elsewhere()) {
		OK(flock(a, LOCK_EX | LOCK_NB));
		ERR(EWOULDBLOCK, flock(OK(open("f", O_RDWR)), LOCK_SH | LOCK_NB));
		done();
	}
	ERR(EWOULDBLOCK, flock(b, LOCK_SH | LOCK_NB));
	if (elsewhere()) {
		OK(flock(a, LOCK_UN));
		done();
	}
	OK(flock(b, LOCK_SH | LOCK_NB));
}

CHECK(close_of_another_descriptor_keeps_it)
{
	int a = make(), b = OK(open("f", O_RDWR));

	OK(flock(a, LOCK_EX));
	OK(close(OK(open("f", O_RDWR))));
	ERR(EWOULDBLOCK, flock(b, LOCK_SH | LOCK_NB));
}

/* Another process waits for the lock, and says that it asks (1) and has it (2). It asks by now. */
static pid_t
waiter(int operation)
{
	pid_t pid = spawn();
	int fd;

	if (pid == 0) {
		fd = OK(open("f", O_RDWR));
		shared_set(0, 1);
		OK(flock(fd, operation));
		shared_set(0, 2);
		done();
	}
	shared_await(0, 1);
	linger();
	EQ(1, shared_get(0));
	return pid;
}

CHECK(wait_until_unlock)
{
	int fd = make();
	pid_t pid;

	OK(flock(fd, LOCK_EX));
	pid = waiter(LOCK_EX);
	OK(flock(fd, LOCK_UN));
	join(pid);
	EQ(2, shared_get(0));
}

CHECK(wait_until_the_holder_is_killed)
{
	pid_t holder, pid;

	OK(close(make()));
	holder = spawn();
	if (holder == 0) {
		OK(flock(OK(open("f", O_RDWR)), LOCK_EX));
		shared_set(1, 1);
		pause();
	}
	shared_await(1, 1);
	pid = waiter(LOCK_SH);
	OK(kill(holder, SIGKILL));
	EQ(holder, waitpid(holder, NULL, 0));
	join(pid);
}

CHECK(many_waiters_exclude_each_other)
{
	int fd = make();
	pid_t pids[4];

	OK(flock(fd, LOCK_EX));
	for (unsigned int i = 0; i < RTE_DIM(pids); i++) {
		pids[i] = spawn();
		if (pids[i] != 0)
			continue;
		fd = OK(open("f", O_RDWR));
		OK(flock(fd, LOCK_EX));
		shared_set(0, shared_get(0) + 1);
		EQ(1, shared_get(0));
		usleep(3000);
		shared_set(0, shared_get(0) - 1);
		done();
	}
	linger();
	EQ(0, shared_get(0));
	OK(flock(fd, LOCK_UN));
	for (unsigned int i = 0; i < RTE_DIM(pids); i++)
		join(pids[i]);
}

CHECK(of_a_directory)
{
	int a, b;

	put_dir("d", 0755);
	a = OK(open("d", O_RDONLY));
	b = OK(open("d", O_RDONLY));
	OK(flock(a, LOCK_EX));
	ERR(EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
	OK(flock(a, LOCK_UN));
	OK(flock(b, LOCK_EX | LOCK_NB));
}

CHECK(errors)
{
	int fd = make();

	ERR(EINVAL, flock(fd, 0));
	ERR(EINVAL, flock(fd, LOCK_SH | LOCK_EX));
	ERR(EBADF, flock(OK(open("f", O_PATH)), LOCK_SH));
	OK(flock(fd, LOCK_UN));
}

CHECK(independent_of_fcntl_locks)
{
	struct flock l = { .l_type = F_WRLCK };
	int fd = make();

	OK(fcntl(fd, F_SETLK, &l));
	if (elsewhere()) {
		OK(flock(OK(open("f", O_RDWR)), LOCK_EX | LOCK_NB));
		done();
	}
}
