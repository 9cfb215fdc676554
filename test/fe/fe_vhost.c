/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fe.h"
#include "fe_ring.h"

#define CONN_TIMEOUT_MS 20000

static int
conn_try(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

int
fe_conn_open(struct fe_conn *conn, const char *path, unsigned int wait_ms)
{
	const struct timespec nap = { .tv_nsec = 2000000 };
	unsigned int waited = 0;
	int fd = conn_try(path);

	while (fd < 0 && waited < wait_ms && fd != -ENAMETOOLONG) {
		nanosleep(&nap, NULL);
		waited += 2;
		fd = conn_try(path);
	}
	if (fd < 0)
		return fd;

	memset(conn, 0, sizeof(*conn));
	conn->fd = fd;
	conn->timeout_ms = CONN_TIMEOUT_MS;
	return 0;
}

void
fe_conn_close(struct fe_conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
}

int
fe_conn_send_raw(struct fe_conn *conn, const struct fe_msg_header *head, const void *payload,
		uint32_t nb_bytes, const int *fds, unsigned int nb_fds)
{
	struct iovec iov[2] = {
		{ .iov_base = (void *)(uintptr_t)head, .iov_len = sizeof(*head) },
		{ .iov_base = (void *)(uintptr_t)payload, .iov_len = nb_bytes },
	};
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FE_MAX_FDS)];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = nb_bytes > 0 ? 2 : 1 };
	ssize_t sent;

	if (nb_fds > FE_MAX_FDS)
		return -EINVAL;

	if (nb_fds > 0) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nb_fds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nb_fds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nb_fds);
	}

	sent = sendmsg(conn->fd, &msg, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EPIPE ? -ECONNRESET : -errno;
	return (size_t)sent == sizeof(*head) + nb_bytes ? 0 : -EMSGSIZE;
}

int
fe_conn_send(struct fe_conn *conn, uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, const int *fds, unsigned int nb_fds)
{
	const struct fe_msg_header head = { .request = request, .flags = flags, .size = size };

	return fe_conn_send_raw(conn, &head, payload, size, fds, nb_fds);
}

/* Reads exactly size bytes, each piece within the connection's time. */
static int
conn_read(struct fe_conn *conn, void *buf, uint32_t size)
{
	struct pollfd pfd = { .fd = conn->fd, .events = POLLIN };
	uint8_t *at = buf;

	while (size > 0) {
		ssize_t got;
		int rc = poll(&pfd, 1, conn->timeout_ms);

		if (rc == 0)
			return -ETIMEDOUT;
		if (rc < 0 && errno != EINTR)
			return -errno;
		if (rc < 0)
			continue;

		got = recv(conn->fd, at, size, 0);
		if (got == 0)
			return -ECONNRESET;
		if (got < 0)
			return -errno;
		at += got;
		size -= got;
	}
	return 0;
}

int
fe_conn_recv(struct fe_conn *conn, uint32_t request, void *payload, uint32_t size)
{
	struct fe_msg_header head;
	int rc;

	rc = conn_read(conn, &head, sizeof(head));
	if (rc < 0)
		return rc;
	if (head.request != request || head.size != size || (head.flags & FE_MSG_REPLY) == 0)
		return -EPROTO;
	return conn_read(conn, payload, size);
}

int
fe_conn_set(struct fe_conn *conn, uint32_t request, const void *payload, uint32_t size,
		const int *fds, unsigned int nb_fds)
{
	uint32_t flags = FE_MSG_VERSION;
	uint64_t refused;
	int rc;

	if (conn->protocol & FE_P_REPLY_ACK)
		flags |= FE_MSG_NEED_REPLY;

	rc = fe_conn_send(conn, request, flags, payload, size, fds, nb_fds);
	if (rc < 0 || (flags & FE_MSG_NEED_REPLY) == 0)
		return rc;

	rc = fe_conn_recv(conn, request, &refused, sizeof(refused));
	if (rc < 0)
		return rc;
	return refused == 0 ? 0 : -EREMOTEIO;
}

int
fe_conn_get_u64(struct fe_conn *conn, uint32_t request, uint64_t *value)
{
	int rc = fe_conn_send(conn, request, FE_MSG_VERSION, NULL, 0, NULL, 0);

	return rc < 0 ? rc : fe_conn_recv(conn, request, value, sizeof(*value));
}

static int
conn_protocol(struct fe_conn *conn)
{
	uint64_t wanted;
	int rc;

	rc = fe_conn_get_u64(conn, FE_GET_PROTOCOL_FEATURES, &conn->protocol_offered);
	if (rc < 0)
		return rc;

	wanted = conn->protocol_offered & (FE_P_MQ | FE_P_REPLY_ACK);
	rc = fe_conn_set(conn, FE_SET_PROTOCOL_FEATURES, &wanted, sizeof(wanted), NULL, 0);
	if (rc < 0)
		return rc;

	conn->protocol = wanted;
	if (wanted & FE_P_MQ)
		return fe_conn_get_u64(conn, FE_GET_QUEUE_NUM, &conn->nb_queues);
	return 0;
}

int
fe_conn_handshake(struct fe_conn *conn, uint64_t wanted)
{
	int rc;

	rc = fe_conn_get_u64(conn, FE_GET_FEATURES, &conn->offered);
	if (rc < 0)
		return rc;

	if (conn->offered & FE_F_VHOST_USER) {
		rc = conn_protocol(conn);
		if (rc < 0)
			return rc;
	}

	rc = fe_conn_set(conn, FE_SET_OWNER, NULL, 0, NULL, 0);
	if (rc < 0)
		return rc;

	conn->features = conn->offered & (wanted | FE_F_VHOST_USER | FE_F_VERSION_1);
	return fe_conn_set(conn, FE_SET_FEATURES, &conn->features, sizeof(conn->features), NULL, 0);
}

int
fe_conn_set_mem(struct fe_conn *conn, const struct fe_mem *mem)
{
	struct fe_msg_mem msg = { .nb_regions = mem->nb };
	int fds[FE_MAX_REGIONS];
	unsigned int i;

	for (i = 0; i < mem->nb; i++) {
		const struct fe_region *region = &mem->region[i];

		msg.region[i].gpa = region->gpa;
		msg.region[i].size = region->size;
		msg.region[i].user_addr = (uintptr_t)region->va;
		msg.region[i].fd_off = region->fd_off;
		fds[i] = region->fd;
	}
	return fe_conn_set(conn, FE_SET_MEM_TABLE, &msg, 8 + mem->nb * sizeof(struct fe_msg_region),
			fds, mem->nb);
}

int
fe_conn_ring_call(struct fe_conn *conn, unsigned int index, const struct fe_ring *ring)
{
	uint64_t fd_msg = index;

	return fe_conn_set(conn, FE_SET_VRING_CALL, &fd_msg, sizeof(fd_msg), &ring->callfd, 1);
}

int
fe_conn_ring_start(struct fe_conn *conn, unsigned int index, const struct fe_ring *ring)
{
	struct fe_msg_state num = { .index = index, .num = ring->size };
	struct fe_msg_state base = { .index = index, .num = ring->base };
	struct fe_msg_state enable = { .index = index, .num = 1 };
	struct fe_msg_addr addr = {
		.index = index,
		.desc = (uintptr_t)ring->desc,
		.avail = (uintptr_t)ring->avail,
		.used = (uintptr_t)ring->used,
	};
	uint64_t fd_msg = index;
	int rc;

	/* Nothing is under way: the device writes where it reads. */
	if (ring->flags & FE_RING_PACKED)
		base.num |= (uint32_t)ring->base << 16;
	rc = fe_conn_set(conn, FE_SET_VRING_NUM, &num, sizeof(num), NULL, 0);
	if (rc == 0)
		rc = fe_conn_set(conn, FE_SET_VRING_BASE, &base, sizeof(base), NULL, 0);
	if (rc == 0)
		rc = fe_conn_set(conn, FE_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
	if (rc == 0)
		rc = fe_conn_set(
				conn, FE_SET_VRING_CALL, &fd_msg, sizeof(fd_msg), &ring->callfd, 1);
	if (rc == 0)
		rc = fe_conn_set(
				conn, FE_SET_VRING_KICK, &fd_msg, sizeof(fd_msg), &ring->kickfd, 1);
	if (rc == 0 && (conn->features & FE_F_VHOST_USER))
		rc = fe_conn_set(conn, FE_SET_VRING_ENABLE, &enable, sizeof(enable), NULL, 0);
	return rc;
}

int
fe_conn_ring_stop(struct fe_conn *conn, unsigned int index, uint16_t *base)
{
	struct fe_msg_state state = { .index = index };
	int rc;

	rc = fe_conn_send(conn, FE_GET_VRING_BASE, FE_MSG_VERSION, &state, sizeof(state), NULL, 0);
	if (rc == 0)
		rc = fe_conn_recv(conn, FE_GET_VRING_BASE, &state, sizeof(state));
	if (rc == 0)
		*base = state.num;
	return rc;
}

bool
fe_conn_is_closed(const struct fe_conn *conn)
{
	struct pollfd pfd = { .fd = conn->fd, .events = POLLRDHUP };

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}
