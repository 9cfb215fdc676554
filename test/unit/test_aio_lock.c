/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Locks of guests on a local folder, and those of a program of the host. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "aio_folder.h"

/* What the program of the host is told; it answers with an errno, or the type that it found. */
struct order {
	enum {
		HOST_POSIX,
		HOST_FLOCK,
		HOST_GET, /* F_GETLK of a write lock */
		HOST_CLOSE, /* which ends its locks */
	} what;
	short type;
	off_t start, len;
	char path[PATH_MAX];
};

static int host_socket;

static int
host_obey(const struct order *order, int *fd)
{
	struct flock lock = {
		.l_type = order->type,
		.l_whence = SEEK_SET,
		.l_start = order->start,
		.l_len = order->len,
	};

	if (*fd < 0)
		*fd = open(order->path, O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		return errno;
	switch (order->what) {
	case HOST_POSIX:
		return fcntl(*fd, F_SETLK, &lock) < 0 ? errno : 0;
	case HOST_FLOCK:
		return flock(*fd, (order->type == F_RDLCK ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0 ?
				errno :
				0;
	case HOST_GET:
		return fcntl(*fd, F_GETLK, &lock) < 0 ? errno : lock.l_type;
	default:
		close(*fd);
		*fd = -1;
		return 0;
	}
}

/* Ends with the test. */
static void
host_program(int sock)
{
	struct order order;
	int answer, fd = -1;

	while (read(sock, &order, sizeof(order)) == sizeof(order)) {
		answer = host_obey(&order, &fd);
		if (write(sock, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

static int
host_do(int what, const char *name, short type, off_t start, off_t len)
{
	struct order order = { .what = what, .type = type, .start = start, .len = len };
	int answer = -1;

	/* An overlay is mounted for this process alone. */
	snprintf(order.path, sizeof(order.path), "/proc/%d/root%s", (int)getpid(), host(name));
	assert_int_equal(write(host_socket, &order, sizeof(order)), sizeof(order));
	assert_int_equal(read(host_socket, &answer, sizeof(answer)), sizeof(answer));
	return answer;
}

struct opened {
	struct weir_node *node;
	struct weir_file *file;
};

static struct opened
make(const char *name)
{
	struct weir_entry entry;
	struct opened o;

	assert_int_equal(fsc_create(&fsc, root, name, O_RDWR, S_IFREG | 0600, &entry, &o.file), 0);
	o.node = entry.node;
	return o;
}

static struct opened
open_again(const struct opened *o, uint32_t flags)
{
	struct opened again = { .node = o->node };

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, o->node, flags, &again.file), 0);
	return again;
}

static void
drop(struct opened *o)
{
	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, o->node, o->file), 0);
}

static void
call_init(struct fsc_call *call, enum weir_fsop op, const struct opened *o, uint64_t guest,
		uint32_t type, uint32_t flags)
{
	memset(call, 0, sizeof(*call));
	call->req.op = op;
	call->req.node = o->node;
	call->req.file = o->file;
	call->req.in.lock = (struct weir_lock){
		.guest = guest, .owner = 1, .end = INT64_MAX, .type = type, .flags = flags
	};
}

static int
lock_range(const struct opened *o, uint64_t guest, uint32_t type, uint64_t start, uint64_t end)
{
	struct fsc_call call;

	call_init(&call, WEIR_FSOP_SETLK, o, guest, type, 0);
	call.req.in.lock.start = start;
	call.req.in.lock.end = end;
	return fsc_run(&fsc, &call);
}

static int
run(enum weir_fsop op, const struct opened *o, uint64_t guest, uint32_t type, uint32_t flags)
{
	struct fsc_call call;

	call_init(&call, op, o, guest, type, flags);
	return fsc_run(&fsc, &call);
}

static void
begin(struct fsc_call *call, const struct opened *o, uint64_t guest, uint32_t type, uint32_t flags)
{
	int64_t before = fsc_info("aio0", "lock_waiters");

	call_init(call, WEIR_FSOP_SETLK, o, guest, type, flags | WEIR_LOCK_WAIT);
	fsc_submit(&fsc, call);
	while (fsc_info("aio0", "lock_waiters") == before)
		fsc_poll();
}

static void
host_sees_the_ranges_of_guests(void **state)
{
	struct opened o = make("f");

	assert_int_equal(lock_range(&o, 1, F_WRLCK, 0, 9), 0);
	assert_int_equal(lock_range(&o, 1, F_RDLCK, 4, 5), 0);
	assert_int_equal(lock_range(&o, 2, F_RDLCK, 20, 29), 0);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 0, 1), F_WRLCK);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 4, 2), F_RDLCK);
	assert_int_equal(host_do(HOST_POSIX, "f", F_RDLCK, 4, 2), 0);
	assert_int_equal(host_do(HOST_POSIX, "f", F_RDLCK, 4, 3), EAGAIN);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 10, 10), F_UNLCK);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 10, 11), F_RDLCK);
	assert_int_equal(run(WEIR_FSOP_FLUSH, &o, 1, F_UNLCK, 0), 0);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 0, 10), F_UNLCK);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 29, 0), F_RDLCK);
	drop(&o);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 0, 0), F_UNLCK);
	assert_int_equal(host_do(HOST_CLOSE, "f", 0, 0, 0), 0);
	fsc_put(&fsc, o.node);
}

static void
guests_see_the_ranges_of_the_host(void **state)
{
	struct opened o = make("f");
	struct fsc_call get;

	assert_int_equal(host_do(HOST_POSIX, "f", F_WRLCK, 10, 10), 0);
	assert_int_equal(lock_range(&o, 1, F_RDLCK, 15, 30), -EAGAIN);
	assert_int_equal(lock_range(&o, 1, F_RDLCK, 20, 30), 0);
	call_init(&get, WEIR_FSOP_GETLK, &o, 1, F_RDLCK, 0);
	assert_int_equal(fsc_run(&fsc, &get), 0);
	assert_int_equal(get.req.out.lock.type, F_WRLCK);
	assert_int_equal(get.req.out.lock.start, 10);
	assert_int_equal(get.req.out.lock.end, 19);
	assert_int_equal(get.req.out.lock.pid, 0);
	assert_int_equal(host_do(HOST_CLOSE, "f", 0, 0, 0), 0);
	assert_int_equal(lock_range(&o, 1, F_RDLCK, 15, 30), 0);
	/* Who has no lock asks, and leaves nothing behind. */
	get.req.in.lock.guest = 2;
	get.req.in.lock.end = 14;
	assert_int_equal(fsc_run(&fsc, &get), 0);
	assert_int_equal(get.req.out.lock.type, F_UNLCK);
	drop(&o);
	fsc_put(&fsc, o.node);
}

static void
flocks_exclude_guests_and_the_host(void **state)
{
	struct opened o = make("f");

	assert_int_equal(host_do(HOST_FLOCK, "f", F_RDLCK, 0, 0), 0);
	assert_int_equal(run(WEIR_FSOP_SETLK, &o, 1, F_RDLCK, WEIR_LOCK_FLOCK), 0);
	assert_int_equal(run(WEIR_FSOP_SETLK, &o, 2, F_WRLCK, WEIR_LOCK_FLOCK), -EAGAIN);
	/* The conversion fails, and what it had is gone: as on Linux. */
	assert_int_equal(run(WEIR_FSOP_SETLK, &o, 1, F_WRLCK, WEIR_LOCK_FLOCK), -EAGAIN);
	assert_int_equal(host_do(HOST_FLOCK, "f", F_WRLCK, 0, 0), 0);
	assert_int_equal(run(WEIR_FSOP_SETLK, &o, 1, F_RDLCK, WEIR_LOCK_FLOCK), -EAGAIN);
	assert_int_equal(host_do(HOST_CLOSE, "f", 0, 0, 0), 0);
	assert_int_equal(run(WEIR_FSOP_SETLK, &o, 1, F_WRLCK, WEIR_LOCK_FLOCK), 0);
	assert_int_equal(host_do(HOST_FLOCK, "f", F_RDLCK, 0, 0), EAGAIN);
	/* POSIX locks are another matter. */
	assert_int_equal(host_do(HOST_POSIX, "f", F_WRLCK, 0, 0), 0);
	drop(&o);
	assert_int_equal(host_do(HOST_FLOCK, "f", F_WRLCK, 0, 0), 0);
	assert_int_equal(host_do(HOST_CLOSE, "f", 0, 0, 0), 0);
	fsc_put(&fsc, o.node);
}

static void
what_the_host_has_is_waited_for(void **state)
{
	static const uint32_t kinds[] = { 0, WEIR_LOCK_FLOCK };
	struct opened o = make("f");
	struct fsc_call wait;

	for (unsigned int i = 0; i < RTE_DIM(kinds); i++) {
		assert_int_equal(host_do(i == 0 ? HOST_POSIX : HOST_FLOCK, "f", F_WRLCK, 0, 0), 0);
		begin(&wait, &o, 1, F_WRLCK, kinds[i]);
		fsc_poll();
		assert_false(atomic_load(&wait.done));
		assert_int_equal(host_do(HOST_CLOSE, "f", 0, 0, 0), 0);
		assert_int_equal(fsc_wait(&wait), 0);
		assert_int_equal(host_do(i == 0 ? HOST_POSIX : HOST_FLOCK, "f", F_RDLCK, 0, 0),
				EAGAIN);
		assert_int_equal(host_do(HOST_CLOSE, "f", 0, 0, 0), 0);
	}
	drop(&o);
	fsc_put(&fsc, o.node);
}

static void
wait_for_the_host_ends_when_it_is_detached(void **state)
{
	struct opened o = make("f");
	struct fsc_call wait[2];

	assert_int_equal(host_do(HOST_POSIX, "f", F_WRLCK, 0, 0), 0);
	begin(&wait[0], &o, 1, F_WRLCK, 0);
	begin(&wait[1], &o, 2, F_WRLCK, 0);
	fsc_detach(&wait[0]);
	assert_true(atomic_load(&wait[0].fenced));
	assert_int_equal(fsc_wait(&wait[0]), -EAGAIN);
	fsc_detach(&wait[1]);
	assert_int_equal(fsc_wait(&wait[1]), -EAGAIN);
	assert_int_equal(host_do(HOST_CLOSE, "f", 0, 0, 0), 0);
	drop(&o);
	fsc_put(&fsc, o.node);
}

/* An owner that read through a file that cannot write gets to write through one that can. */
static void
read_locks_go_with_their_owner_to_a_writer(void **state)
{
	struct opened o = make("f");
	struct opened reader = open_again(&o, O_RDONLY);

	assert_int_equal(lock_range(&reader, 1, F_RDLCK, 0, 9), 0);
	assert_int_equal(lock_range(&reader, 1, F_RDLCK, 20, 29), 0);
	assert_int_equal(lock_range(&o, 1, F_WRLCK, 5, 5), 0);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 0, 5), F_RDLCK);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 5, 1), F_WRLCK);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 6, 0), F_RDLCK);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 29, 0), F_RDLCK);
	/* What was set through the reader goes with it. */
	drop(&reader);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 0, 5), F_UNLCK);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 6, 0), F_UNLCK);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 5, 1), F_WRLCK);
	drop(&o);
	assert_int_equal(host_do(HOST_GET, "f", F_WRLCK, 0, 0), F_UNLCK);
	assert_int_equal(host_do(HOST_CLOSE, "f", 0, 0, 0), 0);
	fsc_put(&fsc, o.node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_sees_the_ranges_of_guests),
		cmocka_unit_test(guests_see_the_ranges_of_the_host),
		cmocka_unit_test(flocks_exclude_guests_and_the_host),
		cmocka_unit_test(what_the_host_has_is_waited_for),
		cmocka_unit_test(wait_for_the_host_ends_when_it_is_detached),
		cmocka_unit_test(read_locks_go_with_their_owner_to_a_writer),
	};
	int rc, sockets[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return 1;
	host_socket = sockets[0];
	pid = fork();
	if (pid == 0) {
		close(sockets[0]);
		host_program(sockets[1]);
	}
	close(sockets[1]);
	rc = aio_folder_run(tests, RTE_DIM(tests));
	close(host_socket);
	waitpid(pid, NULL, 0);
	return rc;
}
