/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* fcntl() locks: of processes (POSIX) and of open file descriptions. */

#define TOPIC "lock"

#include <signal.h>
#include <sys/wait.h>

#include "conform.h"

static struct flock
range(short type, off_t start, off_t len)
{
	return (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = len,
	};
}

static int
lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = range(type, start, len);

	return fcntl(fd, cmd, &l);
}

static int
make(void)
{
	put("f", "text", 0666);
	return OK(open("f", O_RDWR | O_CLOEXEC));
}

/* Cells: how far the one who waits is, that the holder holds, who has it; of many from CROWD on. */
enum {
	WAITER,
	HOLDER,
	INSIDE,
	CROWD,
};

/* Another process locks all of it, and keeps it until it is killed. */
static pid_t
holder(void)
{
	pid_t pid = spawn();

	if (pid == 0) {
		OK(lock(OK(open("f", O_RDWR)), F_SETLK, F_WRLCK, 0, 0));
		shared_set(HOLDER, 1);
		pause();
	}
	shared_await(HOLDER, 1);
	return pid;
}

static void
kill_holder(pid_t pid)
{
	OK(kill(pid, SIGKILL));
	EQ(pid, waitpid(pid, NULL, 0));
}

/* Another process waits for the lock, and says that it asks (1) and has it (2). It asks by now. */
static pid_t
waiter(int cmd, short type, off_t start, off_t len)
{
	pid_t pid = spawn();
	int fd;

	if (pid == 0) {
		fd = OK(open("f", O_RDWR));
		shared_set(WAITER, 1);
		OK(lock(fd, cmd, type, start, len));
		shared_set(WAITER, 2);
		done();
	}
	shared_await(WAITER, 1);
	linger();
	EQ(1, shared_get(WAITER));
	return pid;
}

/* Others wait for all of what fd has locked, and do this when they have it. All end. */
static void
crowd(int fd, short type, unsigned int nb, void (*inside)(unsigned int i))
{
	pid_t pids[8];

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	for (unsigned int i = 0; i < nb; i++) {
		pids[i] = spawn();
		if (pids[i] != 0)
			continue;
		fd = OK(open("f", O_RDWR));
		shared_set(CROWD + i, 1);
		OK(lock(fd, F_SETLKW, type, 0, 0));
		inside(i);
		done();
	}
	for (unsigned int i = 0; i < nb; i++)
		shared_await(CROWD + i, 1);
	linger();
	EQ(0, shared_get(INSIDE));
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	for (unsigned int i = 0; i < nb; i++)
		join(pids[i]);
}

/* As another process, by a descriptor of its own. */
#define THEY_MAY(type, start, len)                                                                 \
	do {                                                                                       \
		if (elsewhere()) {                                                                 \
			OK(lock(OK(open("f", O_RDWR)), F_SETLK, type, start, len));                \
			done();                                                                    \
		}                                                                                  \
	} while (0)
#define THEY_MAY_NOT(type, start, len)                                                             \
	do {                                                                                       \
		if (elsewhere()) {                                                                 \
			ERR2(EAGAIN, EACCES,                                                       \
					lock(OK(open("f", O_RDWR)), F_SETLK, type, start, len));   \
			done();                                                                    \
		}                                                                                  \
	} while (0)

/* Held, asked for, and whether both can be. */
static const struct {
	const char *name;
	short held;
	short asked;
	off_t start;
	off_t len;
	bool may;
} pairs[] = {
	{ "read_read", F_RDLCK, F_RDLCK, 100, 100, true },
	{ "read_write", F_RDLCK, F_WRLCK, 100, 100, false },
	{ "write_read", F_WRLCK, F_RDLCK, 100, 100, false },
	{ "write_write", F_WRLCK, F_WRLCK, 100, 100, false },
	{ "before", F_WRLCK, F_WRLCK, 0, 100, true },
	{ "after", F_WRLCK, F_WRLCK, 200, 1, true },
	{ "first_byte", F_WRLCK, F_WRLCK, 0, 101, false },
	{ "last_byte", F_WRLCK, F_WRLCK, 199, 1, false },
	{ "around", F_WRLCK, F_RDLCK, 0, 1000, false },
	{ "to_the_end", F_WRLCK, F_WRLCK, 150, 0, false },
	{ "to_the_end_after", F_WRLCK, F_WRLCK, 200, 0, true },
	{ "inside", F_WRLCK, F_WRLCK, 120, 10, false },
};

static void
pair_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%s", pairs[n].name);
}

CHECKS(posix, pair_label, RTE_DIM(pairs))
{
	OK(lock(make(), F_SETLK, pairs[n].held, 100, 100));
	if (pairs[n].may)
		THEY_MAY(pairs[n].asked, pairs[n].start, pairs[n].len);
	else
		THEY_MAY_NOT(pairs[n].asked, pairs[n].start, pairs[n].len);
}

CHECKS(ofd, pair_label, RTE_DIM(pairs))
{
	int a = make(), b = OK(open("f", O_RDWR));

	OK(lock(a, F_OFD_SETLK, pairs[n].held, 100, 100));
	if (pairs[n].may)
		OK(lock(b, F_OFD_SETLK, pairs[n].asked, pairs[n].start, pairs[n].len));
	else
		ERR(EAGAIN, lock(b, F_OFD_SETLK, pairs[n].asked, pairs[n].start, pairs[n].len));
}

CHECK(own_locks_never_conflict)
{
	int a = make(), b = OK(open("f", O_RDWR));

	OK(lock(a, F_SETLK, F_WRLCK, 0, 0));
	OK(lock(b, F_SETLK, F_WRLCK, 10, 10));
	OK(lock(b, F_SETLKW, F_RDLCK, 0, 100));
}

CHECK(upgrade_and_downgrade)
{
	int fd = make();

	OK(lock(fd, F_SETLK, F_RDLCK, 0, 100));
	THEY_MAY(F_RDLCK, 0, 100);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	THEY_MAY_NOT(F_RDLCK, 0, 100);
	OK(lock(fd, F_SETLK, F_RDLCK, 0, 100));
	THEY_MAY(F_RDLCK, 0, 100);
	THEY_MAY_NOT(F_WRLCK, 0, 1);
}

CHECK(unlock_splits)
{
	int fd = make();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	OK(lock(fd, F_SETLK, F_UNLCK, 40, 20));
	THEY_MAY(F_WRLCK, 40, 20);
	THEY_MAY_NOT(F_WRLCK, 39, 1);
	THEY_MAY_NOT(F_WRLCK, 60, 1);
	THEY_MAY_NOT(F_WRLCK, 0, 1);
	THEY_MAY_NOT(F_WRLCK, 99, 1);
	THEY_MAY(F_WRLCK, 100, 1);
}

CHECK(change_splits)
{
	int fd = make();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	OK(lock(fd, F_SETLK, F_RDLCK, 40, 20));
	THEY_MAY(F_RDLCK, 40, 20);
	THEY_MAY_NOT(F_WRLCK, 40, 20);
	THEY_MAY_NOT(F_RDLCK, 39, 2);
	THEY_MAY_NOT(F_RDLCK, 59, 2);
}

CHECK(neighbours_join)
{
	int fd = make();
	struct flock l;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 50));
	OK(lock(fd, F_SETLK, F_WRLCK, 50, 50));
	if (elsewhere()) {
		l = range(F_WRLCK, 10, 1);
		OK(fcntl(OK(open("f", O_RDWR)), F_GETLK, &l));
		EQ(F_WRLCK, l.l_type);
		EQ(0, l.l_start);
		EQ(100, l.l_len);
		done();
	}
}

CHECK(getlk_says_who)
{
	int fd = make();
	pid_t me = getpid();
	struct flock l;

	OK(lock(fd, F_SETLK, F_WRLCK, 100, 50));
	if (elsewhere()) {
		fd = OK(open("f", O_RDWR));
		l = range(F_RDLCK, 120, 0);
		OK(fcntl(fd, F_GETLK, &l));
		EQ(F_WRLCK, l.l_type);
		EQ(SEEK_SET, l.l_whence);
		EQ(100, l.l_start);
		EQ(50, l.l_len);
		EQ(me, l.l_pid);
		l = range(F_WRLCK, 150, 10);
		OK(fcntl(fd, F_GETLK, &l));
		EQ(F_UNLCK, l.l_type);
		EQ(150, l.l_start);
		done();
	}
	l = range(F_WRLCK, 0, 0);
	OK(fcntl(fd, F_GETLK, &l));
	EQ(F_UNLCK, l.l_type);
}

CHECK(getlk_of_a_lock_to_the_end)
{
	int fd = make();
	struct flock l = range(F_RDLCK, 30, 0);

	OK(lock(fd, F_SETLK, F_RDLCK, 20, 0));
	OK(fcntl(fd, F_GETLK, &l));
	EQ(F_UNLCK, l.l_type);
	if (elsewhere()) {
		l = range(F_WRLCK, 0, 0);
		OK(fcntl(OK(open("f", O_RDWR)), F_GETLK, &l));
		EQ(F_RDLCK, l.l_type);
		EQ(20, l.l_start);
		EQ(0, l.l_len);
		done();
	}
}

CHECK(whence)
{
	int fd;
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -2, .l_len = 2 };

	fd = make();
	OK(fcntl(fd, F_SETLK, &l));
	THEY_MAY(F_WRLCK, 0, 2);
	THEY_MAY_NOT(F_WRLCK, 2, 1);
	THEY_MAY(F_WRLCK, 4, 1);
	OK(lseek(fd, 10, SEEK_SET));
	l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 5, .l_len = -3 };
	OK(fcntl(fd, F_SETLK, &l));
	THEY_MAY_NOT(F_WRLCK, 12, 1);
	THEY_MAY(F_WRLCK, 15, 1);
	THEY_MAY(F_WRLCK, 11, 1);
}

CHECK(errors)
{
	int fd = make();

	ERR(EINVAL, lock(fd, F_SETLK, F_WRLCK, -1, 1));
	ERR(EINVAL, lock(fd, F_SETLK, F_WRLCK, 5, -10));
	ERR(EINVAL, lock(fd, F_SETLK, 77, 0, 1));
	ERR(EBADF, lock(OK(open("f", O_RDONLY)), F_SETLK, F_WRLCK, 0, 1));
	ERR(EBADF, lock(OK(open("f", O_WRONLY)), F_SETLK, F_RDLCK, 0, 1));
	OK(lock(fd, F_SETLK, F_WRLCK, INT64_MAX - 1, 1));
	THEY_MAY_NOT(F_RDLCK, 100, 0);
	THEY_MAY(F_WRLCK, 0, 100);
}

CHECK(any_close_releases)
{
	int fd = make();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	OK(close(OK(open("f", O_RDONLY))));
	THEY_MAY(F_WRLCK, 0, 0);
}

CHECK(close_of_a_dup_releases)
{
	int fd = make();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	OK(close(OK(dup(fd))));
	THEY_MAY(F_WRLCK, 0, 0);
}

CHECK(end_of_process_releases)
{
	int fd = make();
	pid_t pid = spawn();

	if (pid == 0) {
		OK(lock(OK(open("f", O_RDWR)), F_SETLK, F_WRLCK, 0, 0));
		shared_set(0, 1);
		shared_await(1, 1);
		done();
	}
	shared_await(0, 1);
	ERR2(EAGAIN, EACCES, lock(fd, F_SETLK, F_RDLCK, 0, 1));
	shared_set(1, 1);
	join(pid);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

CHECK(killed_process_releases)
{
	int fd = make();
	pid_t pid = holder();

	ERR2(EAGAIN, EACCES, lock(fd, F_SETLK, F_RDLCK, 0, 1));
	kill_holder(pid);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

CHECK(child_does_not_inherit)
{
	int fd = make();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	if (elsewhere()) {
		ERR2(EAGAIN, EACCES, lock(fd, F_SETLK, F_RDLCK, 0, 1));
		/* What it closes it has not locked. */
		OK(close(fd));
		done();
	}
	THEY_MAY_NOT(F_RDLCK, 0, 1);
}

CHECK(wait_until_unlock)
{
	int fd = make();
	pid_t pid;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	pid = waiter(F_SETLKW, F_WRLCK, 50, 1);
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 100));
	join(pid);
	EQ(2, shared_get(WAITER));
}

CHECK(wait_until_close)
{
	int fd = make();
	pid_t pid;

	OK(lock(fd, F_SETLK, F_RDLCK, 0, 0));
	pid = waiter(F_SETLKW, F_WRLCK, 0, 0);
	OK(close(fd));
	join(pid);
}

CHECK(wait_until_downgrade)
{
	int fd = make();
	pid_t pid;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	pid = waiter(F_SETLKW, F_RDLCK, 0, 10);
	OK(lock(fd, F_SETLK, F_RDLCK, 0, 0));
	join(pid);
}

CHECK(wait_until_the_holder_is_killed)
{
	pid_t first, pid;

	OK(close(make()));
	first = holder();
	pid = waiter(F_SETLKW, F_WRLCK, 0, 0);
	kill_holder(first);
	join(pid);
}

CHECK(ofd_wait_until_unlock)
{
	int fd = make();
	pid_t pid;

	OK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 0));
	pid = waiter(F_OFD_SETLKW, F_WRLCK, 50, 1);
	OK(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0));
	join(pid);
}

/* Is alone as long as it has it. */
static void
write_alone(unsigned int i)
{
	shared_set(INSIDE, shared_get(INSIDE) + 1);
	EQ(1, shared_get(INSIDE));
	usleep(3000);
	shared_set(INSIDE, shared_get(INSIDE) - 1);
}

CHECK(waiters_for_writing_come_one_by_one)
{
	crowd(make(), F_WRLCK, 4, write_alone);
}

/* None goes on before all are here. */
static void
read_together(unsigned int i)
{
	shared_set(CROWD + i, 2);
	for (unsigned int k = 0; k < 3; k++)
		shared_await(CROWD + k, 2);
}

CHECK(waiters_for_reading_come_together)
{
	crowd(make(), F_RDLCK, 3, read_together);
}

static void
on_alarm(int sig)
{
}

CHECK(signal_ends_the_wait)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int fd = make();
	pid_t pid;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	pid = spawn();
	if (pid == 0) {
		OK(sigaction(SIGALRM, &action, NULL));
		fd = OK(open("f", O_RDWR));
		alarm(1);
		ERR(EINTR, lock(fd, F_SETLKW, F_WRLCK, 0, 0));
		shared_set(0, 1);
		done();
	}
	for (unsigned int i = 0; i < 50 && shared_get(0) == 0; i++)
		linger();
	/* If it still waits it will have the lock now. */
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	join(pid);
}

CHECK(deadlock_is_edeadlk)
{
	int fd = make();
	pid_t pid = spawn();

	if (pid == 0) {
		fd = OK(open("f", O_RDWR));
		OK(lock(fd, F_SETLK, F_WRLCK, 1, 1));
		shared_set(0, 1);
		shared_await(1, 1);
		/* Returns when the other is told of the deadlock, and ends. */
		OK(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
		done();
	}
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	shared_await(0, 1);
	shared_set(1, 1);
	linger();
	ERR(EDEADLK, lock(fd, F_SETLKW, F_WRLCK, 1, 1));
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	join(pid);
}

CHECK(ofd_belongs_to_the_description)
{
	int a = make(), b = OK(open("f", O_RDWR)), dup_of_a = OK(dup(a));

	OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 0));
	OK(lock(dup_of_a, F_OFD_SETLK, F_WRLCK, 0, 0));
	ERR(EAGAIN, lock(b, F_OFD_SETLK, F_RDLCK, 0, 1));
	OK(close(OK(open("f", O_RDWR))));
	ERR(EAGAIN, lock(b, F_OFD_SETLK, F_RDLCK, 0, 1));
	OK(close(a));
	ERR(EAGAIN, lock(b, F_OFD_SETLK, F_RDLCK, 0, 1));
	OK(close(dup_of_a));
	OK(lock(b, F_OFD_SETLK, F_RDLCK, 0, 1));
}

CHECK(ofd_is_inherited_by_fork)
{
	int a = make(), b = OK(open("f", O_RDWR));

	OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 0));
	if (elsewhere()) {
		OK(lock(a, F_OFD_SETLK, F_UNLCK, 0, 0));
		done();
	}
	OK(lock(b, F_OFD_SETLK, F_WRLCK, 0, 0));
}

CHECK(ofd_and_posix_conflict)
{
	int fd = make();

	OK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
	ERR2(EAGAIN, EACCES, lock(fd, F_SETLK, F_WRLCK, 0, 10));
	OK(lock(fd, F_SETLK, F_WRLCK, 10, 10));
	ERR(EAGAIN, lock(fd, F_OFD_SETLK, F_RDLCK, 10, 1));
}

CHECK(ofd_getlk)
{
	int a = make(), b = OK(open("f", O_RDWR));
	struct flock l = range(F_RDLCK, 0, 0);

	OK(lock(a, F_OFD_SETLK, F_WRLCK, 5, 6));
	OK(fcntl(b, F_OFD_GETLK, &l));
	EQ(F_WRLCK, l.l_type);
	EQ(5, l.l_start);
	EQ(6, l.l_len);
	EQ(-1, l.l_pid);
}

CHECK(lock_is_advisory)
{
	OK(lock(make(), F_SETLK, F_WRLCK, 0, 0));
	if (elsewhere()) {
		EQ(4, write(OK(open("f", O_RDWR)), "TEXT", 4));
		OK(unlink("f"));
		done();
	}
}

CHECK(lock_of_an_unlinked_file)
{
	int fd = make(), other = OK(open("f", O_RDWR));

	OK(unlink("f"));
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	if (elsewhere()) {
		ERR2(EAGAIN, EACCES, lock(other, F_SETLK, F_RDLCK, 0, 0));
		done();
	}
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
}

CHECK(hard_links_are_one_file)
{
	OK(lock(make(), F_SETLK, F_WRLCK, 0, 0));
	OK(link("f", "g"));
	if (elsewhere()) {
		ERR2(EAGAIN, EACCES, lock(OK(open("g", O_RDWR)), F_SETLK, F_RDLCK, 0, 0));
		done();
	}
}

CHECK(many_ranges)
{
	int fd = make();

	for (unsigned int i = 0; i < 300; i++)
		OK(lock(fd, F_SETLK, i % 2 != 0 ? F_WRLCK : F_RDLCK, 10 * i, 5));
	THEY_MAY_NOT(F_WRLCK, 10 * 150, 1);
	THEY_MAY_NOT(F_RDLCK, 10 * 299 + 4, 1);
	THEY_MAY(F_WRLCK, 10 * 299 + 5, 5);
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	THEY_MAY(F_WRLCK, 0, 0);
}
