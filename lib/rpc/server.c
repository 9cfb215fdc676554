/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_loop.h"

#include "rpc.h"
#include "server.h"

#define BACKLOG         512
#define ACCEPT_BURST    16
#define ACCEPT_RETRY_MS 100 /* when there is no descriptor or memory for another client */

static struct server {
	struct sockaddr_un addr;
	struct weir_fd wfd; /* listens; fd is -1 while there is no server */
	struct weir_timer retry; /* ends a pause that no client's leaving ends */
	int lock_fd;
} server = { .wfd.fd = -1, .lock_fd = -1 };

static void
lock_path(char *path, size_t size)
{
	snprintf(path, size, "%s.lock", server.addr.sun_path);
}

static void
make_parent_dir(const char *path)
{
	char dir[sizeof(server.addr.sun_path)];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash != NULL && slash != dir) {
		*slash = '\0';
		/* If it fails for another reason than being there, so will the next step. */
		mkdir(dir, 0755);
	}
}

/*
 * Takes the lock that says whose the socket is. A server that ends removes its lock file, so what
 * was locked may be a file that nobody will ever see again: then once more.
 */
static int
take_lock(void)
{
	char path[sizeof(server.addr.sun_path) + sizeof(".lock")];
	struct stat mine, current;
	int fd, rc;

	lock_path(path, sizeof(path));
	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			rc = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
			close(fd);
			return rc;
		}
		if (fstat(fd, &mine) == 0 && stat(path, &current) == 0 &&
				mine.st_ino == current.st_ino && mine.st_dev == current.st_dev)
			break;
		close(fd);
	}
	server.lock_fd = fd;
	return 0;
}

static void
drop_lock(void)
{
	char path[sizeof(server.addr.sun_path) + sizeof(".lock")];

	lock_path(path, sizeof(path));
	unlink(path);
	close(server.lock_fd);
	server.lock_fd = -1;
}

/* The lock is ours, so a socket that is there was left behind. Anything else is not ours. */
static int
remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlink(path) < 0 ? -errno : 0;
}

static int
open_socket(void)
{
	int fd, rc;

	rc = remove_stale(server.addr.sun_path);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Linux gives the file the mode of the socket: it is never open to others. */
	if (fchmod(fd, 0600) < 0 ||
			bind(fd, (struct sockaddr *)&server.addr, sizeof(server.addr)) < 0 ||
			listen(fd, BACKLOG) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static void
server_pause(void)
{
	weir_fd_mod(&server.wfd, 0);
	weir_timer_arm(&server.retry, ACCEPT_RETRY_MS);
}

void
rpc_server_resume(void)
{
	if (server.wfd.fd >= 0 && server.wfd.events == 0) {
		weir_timer_cancel(&server.retry);
		weir_fd_mod(&server.wfd, EPOLLIN);
	}
}

static void WEIR_ON_CONTROL
server_retry(struct weir_timer *timer)
{
	rpc_server_resume();
}

static void WEIR_ON_CONTROL
server_ready(struct weir_fd *wfd, uint32_t events)
{
	unsigned int i;
	int fd;

	for (i = 0; i < ACCEPT_BURST; i++) {
		if (rpc_conn_count() >= RPC_CONNS_MAX) {
			server_pause();
			return;
		}
		fd = accept4(wfd->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				server_pause();
			return;
		}
		if (rpc_conn_create(fd) < 0) {
			server_pause();
			return;
		}
	}
}

int
weir_rpc_server_start(const char *path)
{
	size_t len = strlen(path);
	int rc;

	if (server.wfd.fd >= 0)
		return -EBUSY;
	if (len == 0)
		return -EINVAL;
	if (len >= sizeof(server.addr.sun_path))
		return -ENAMETOOLONG;
	server.addr.sun_family = AF_UNIX;
	memcpy(server.addr.sun_path, path, len + 1);

	make_parent_dir(path);
	rc = take_lock();
	if (rc < 0)
		return rc;
	rc = open_socket();
	if (rc < 0)
		goto unlock;
	server.wfd = (struct weir_fd){ .fd = rc, .events = EPOLLIN, .ready = server_ready };
	server.retry.expired = server_retry;
	rc = weir_fd_add(&server.wfd);
	if (rc < 0)
		goto close_socket;
	weir_log(rpc, NOTICE, "%s: serving", path);
	return 0;

close_socket:
	close(server.wfd.fd);
	server.wfd.fd = -1;
	unlink(path);
unlock:
	drop_lock();
	return rc;
}

void
weir_rpc_server_stop(void)
{
	if (server.wfd.fd < 0)
		return;
	weir_timer_cancel(&server.retry);
	weir_fd_del(&server.wfd);
	close(server.wfd.fd);
	server.wfd.fd = -1;
	rpc_conn_destroy_all();
	unlink(server.addr.sun_path);
	drop_lock();
}
