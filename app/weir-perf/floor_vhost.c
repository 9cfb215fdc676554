/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"

#define FLOOR_FEATURES                                                                             \
	(FE_F_INDIRECT | FE_F_EVENT_IDX | FE_F_VHOST_USER | FE_F_VERSION_1 | FE_F_PACKED)
#define FLOOR_PROTOCOL (FE_P_MQ | FE_P_REPLY_ACK)

struct message {
	struct fe_msg_header head;
	union {
		uint64_t u64;
		struct fe_msg_state state;
		struct fe_msg_addr addr;
		struct fe_msg_mem mem;
	} body;
	int fd[FE_MAX_FDS];
	unsigned int nb_fds;
};

static void
fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
regions_unmap(struct floor *floor)
{
	while (floor->nb_regions > 0) {
		floor->nb_regions--;
		munmap(floor->region[floor->nb_regions].va, floor->region[floor->nb_regions].size);
	}
}

void
floor_reset(struct floor *floor)
{
	unsigned int i;

	for (i = 0; i < floor->nb_rings; i++) {
		fd_close(&floor->ring[i].kickfd);
		fd_close(&floor->ring[i].callfd);
	}
	floor->nb_rings = 0;
	regions_unmap(floor);
	fd_close(&floor->fd);
}

static int
message_read(struct floor *floor, struct message *msg)
{
	struct iovec iov = { .iov_base = &msg->head, .iov_len = sizeof(msg->head) };
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FE_MAX_FDS)];
		struct cmsghdr align;
	} control;
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t got = recvmsg(floor->fd, &hdr, MSG_CMSG_CLOEXEC | MSG_WAITALL);

	if (got == 0 || (got < 0 && errno == ECONNRESET))
		return 0;
	for (cmsg = CMSG_FIRSTHDR(&hdr); got > 0 && cmsg != NULL; cmsg = CMSG_NXTHDR(&hdr, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		msg->nb_fds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(msg->fd, CMSG_DATA(cmsg), msg->nb_fds * sizeof(int));
	}
	if (got != sizeof(msg->head) || msg->head.size > sizeof(msg->body))
		return -EPROTO;
	if (msg->head.size > 0 &&
			recv(floor->fd, &msg->body, msg->head.size, MSG_WAITALL) !=
					(ssize_t)msg->head.size)
		return -EPROTO;
	return 1;
}

static int
message_answer(const struct floor *floor, const struct message *msg, const void *body,
		uint32_t size)
{
	const struct fe_msg_header head = {
		.request = msg->head.request,
		.flags = FE_MSG_VERSION | FE_MSG_REPLY,
		.size = size,
	};
	struct iovec iov[2] = {
		{ .iov_base = (void *)(uintptr_t)&head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)(uintptr_t)body, .iov_len = size },
	};
	struct msghdr hdr = { .msg_iov = iov, .msg_iovlen = 2 };

	return sendmsg(floor->fd, &hdr, MSG_NOSIGNAL) == (ssize_t)(sizeof(head) + size) ? 0 :
											  -EPROTO;
}

static int
answer_u64(const struct floor *floor, const struct message *msg, uint64_t value)
{
	return message_answer(floor, msg, &value, sizeof(value));
}

static int
set_mem(struct floor *floor, const struct message *msg)
{
	const struct fe_msg_mem *mem = &msg->body.mem;
	unsigned int i;

	if (mem->nb_regions > FE_MAX_REGIONS || mem->nb_regions != msg->nb_fds)
		return -EPROTO;
	regions_unmap(floor);
	for (i = 0; i < mem->nb_regions; i++) {
		struct floor_region *region = &floor->region[i];
		void *va = mmap(NULL, mem->region[i].size, PROT_READ | PROT_WRITE, MAP_SHARED,
				msg->fd[i], mem->region[i].fd_off);

		if (va == MAP_FAILED)
			return -errno;
		region->gpa = mem->region[i].gpa;
		region->size = mem->region[i].size;
		region->user_addr = mem->region[i].user_addr;
		region->va = va;
		floor->nb_regions++;
	}
	return 0;
}

/* Rings are named by the front end's own addresses. */
static void *
user_at(const struct floor *floor, uint64_t addr, uint64_t len, uint64_t align)
{
	unsigned int i;

	for (i = 0; i < floor->nb_regions; i++) {
		const struct floor_region *region = &floor->region[i];
		uint64_t off = addr - region->user_addr;

		if (off < region->size && len <= region->size - off && addr % align == 0)
			return region->va + off;
	}
	return NULL;
}

static struct floor_ring *
ring_of(struct floor *floor, uint32_t index)
{
	if (index >= FLOOR_MAX_QUEUES)
		return NULL;
	while (floor->nb_rings <= index)
		floor->ring[floor->nb_rings++] = (struct floor_ring){ .kickfd = -1, .callfd = -1 };
	return &floor->ring[index];
}

static int
set_num(struct floor *floor, const struct fe_msg_state *state)
{
	struct floor_ring *ring = ring_of(floor, state->index);
	uint32_t num = state->num;

	if (ring == NULL || num == 0 || num > FLOOR_MAX_SIZE || (num & (num - 1)) != 0)
		return -EPROTO;
	ring->size = num;
	ring->desc = NULL;
	return 0;
}

static int
set_addr(struct floor *floor, const struct fe_msg_addr *addr)
{
	struct floor_ring *ring = ring_of(floor, addr->index);
	bool packed = floor->features & FE_F_PACKED;

	if (ring == NULL || ring->size == 0)
		return -EPROTO;
	ring->avail = user_at(floor, addr->avail, packed ? 4 : 6 + 2 * ring->size, packed ? 4 : 2);
	ring->used = user_at(floor, addr->used, packed ? 4 : 6 + 8 * ring->size, 4);
	ring->desc = user_at(floor, addr->desc, 16 * ring->size, 16);
	if (ring->avail == NULL || ring->used == NULL || ring->desc == NULL)
		return -EFAULT;
	/* This thread polls and needs no kick. */
	if (packed) {
		*(uint32_t *)(void *)ring->used = VRING_PACKED_EVENT_FLAG_DISABLE << 16;
		return 0;
	}
	ring->used_idx = ring->used->idx;
	/* With event index this says nothing, but then the index never moves. */
	ring->used->flags = VRING_USED_F_NO_NOTIFY;
	return 0;
}

static int
set_fd(struct floor *floor, struct message *msg)
{
	struct floor_ring *ring = ring_of(floor, msg->body.u64 & 0xff);
	int fd = msg->nb_fds > 0 ? msg->fd[0] : -1;
	int *slot;

	if (ring == NULL)
		return -EPROTO;
	slot = msg->head.request == FE_SET_VRING_KICK ? &ring->kickfd : &ring->callfd;
	fd_close(slot);
	*slot = fd;
	if (fd >= 0)
		msg->fd[0] = -1;
	return 0;
}

static int
ring_stop(struct floor *floor, const struct message *msg)
{
	struct floor_ring *ring = ring_of(floor, msg->body.state.index);
	struct fe_msg_state state = { .index = msg->body.state.index };

	if (ring == NULL)
		return -EPROTO;
	state.num = ring->last_avail;
	/* What was read has been answered. */
	if (floor->features & FE_F_PACKED)
		state.num |= (uint32_t)ring->last_avail << 16;
	fd_close(&ring->kickfd);
	ring->desc = NULL;
	return message_answer(floor, msg, &state, sizeof(state));
}

/* @return 0: done; 1: and answered; -errno. */
static int
message_do(struct floor *floor, struct message *msg)
{
	const struct fe_msg_state *state = &msg->body.state;
	struct floor_ring *ring;

	switch (msg->head.request) {
	case FE_GET_FEATURES:
		return answer_u64(floor, msg, FLOOR_FEATURES) < 0 ? -EPROTO : 1;
	case FE_GET_PROTOCOL_FEATURES:
		return answer_u64(floor, msg, FLOOR_PROTOCOL) < 0 ? -EPROTO : 1;
	case FE_GET_QUEUE_NUM:
		return answer_u64(floor, msg, FLOOR_MAX_QUEUES) < 0 ? -EPROTO : 1;
	case FE_GET_VRING_BASE:
		return ring_stop(floor, msg) < 0 ? -EPROTO : 1;
	case FE_SET_FEATURES:
		floor->features = msg->body.u64;
		return 0;
	case FE_SET_PROTOCOL_FEATURES:
		floor->protocol = msg->body.u64;
		return 0;
	case FE_SET_OWNER:
	case FE_SET_VRING_ERR:
		return 0;
	case FE_SET_MEM_TABLE:
		return set_mem(floor, msg);
	case FE_SET_VRING_NUM:
		return set_num(floor, state);
	case FE_SET_VRING_ADDR:
		return set_addr(floor, &msg->body.addr);
	case FE_SET_VRING_KICK:
	case FE_SET_VRING_CALL:
		return set_fd(floor, msg);
	case FE_SET_VRING_BASE:
	case FE_SET_VRING_ENABLE:
		ring = ring_of(floor, state->index);
		if (ring == NULL)
			return -EPROTO;
		if (msg->head.request == FE_SET_VRING_BASE)
			ring->last_avail = state->num;
		else
			ring->enabled = state->num != 0;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int
floor_message(struct floor *floor)
{
	struct message msg = { 0 };
	unsigned int i;
	int rc;

	rc = message_read(floor, &msg);
	if (rc == 1) {
		rc = message_do(floor, &msg);
		if (rc == 0 && (floor->protocol & FE_P_REPLY_ACK) &&
				(msg.head.flags & FE_MSG_NEED_REPLY))
			rc = answer_u64(floor, &msg, 0);
		rc = rc < 0 ? rc : 1;
	}
	for (i = 0; i < msg.nb_fds; i++)
		fd_close(&msg.fd[i]);
	return rc;
}
