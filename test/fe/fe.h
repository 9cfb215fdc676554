/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FE_H
#define FE_H

/**
 * @file
 * The guest's side of a vhost-user device: guest memory and the connection to the device. It plays
 * what a VMM does, over a real socket, and shares no code with the device it tests: what one side
 * got wrong, the other side must not get wrong in the same way.
 *
 * Nothing here is tied to a test: the library can move to a tool as it is. Functions return 0 or
 * a count, or a negative errno. A connection and its memory belong to one thread unless a function
 * says otherwise.
 */

#include <stdbool.h>
#include <stdint.h>

/* Feature bits of virtio 1.2 and vhost-user that the front end knows. */
#define FE_F_INDIRECT   (1ULL << 28)
#define FE_F_EVENT_IDX  (1ULL << 29)
#define FE_F_VHOST_USER (1ULL << 30) /* VHOST_USER_F_PROTOCOL_FEATURES */
#define FE_F_VERSION_1  (1ULL << 32)
#define FE_F_PACKED     (1ULL << 34)

#define FE_P_MQ        (1ULL << 0)
#define FE_P_REPLY_ACK (1ULL << 3)
#define FE_P_STATUS    (1ULL << 16)

/** Requests of the vhost-user protocol. */
enum fe_request {
	FE_GET_FEATURES = 1,
	FE_SET_FEATURES = 2,
	FE_SET_OWNER = 3,
	FE_RESET_OWNER = 4,
	FE_SET_MEM_TABLE = 5,
	FE_SET_LOG_BASE = 6,
	FE_SET_LOG_FD = 7,
	FE_SET_VRING_NUM = 8,
	FE_SET_VRING_ADDR = 9,
	FE_SET_VRING_BASE = 10,
	FE_GET_VRING_BASE = 11,
	FE_SET_VRING_KICK = 12,
	FE_SET_VRING_CALL = 13,
	FE_SET_VRING_ERR = 14,
	FE_GET_PROTOCOL_FEATURES = 15,
	FE_SET_PROTOCOL_FEATURES = 16,
	FE_GET_QUEUE_NUM = 17,
	FE_SET_VRING_ENABLE = 18,
};

#define FE_MSG_VERSION    1u
#define FE_MSG_REPLY      (1u << 2)
#define FE_MSG_NEED_REPLY (1u << 3)
/** Bit of SET_VRING_KICK, CALL and ERR: no descriptor comes with it. */
#define FE_VRING_NO_FD (1u << 8)

#define FE_MAX_REGIONS 16
#define FE_MAX_FDS     16

struct fe_msg_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};

struct fe_msg_state {
	uint32_t index;
	uint32_t num;
};

struct fe_msg_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct fe_msg_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user_addr;
	uint64_t fd_off;
};

struct fe_msg_mem {
	uint32_t nb_regions;
	uint32_t padding;
	struct fe_msg_region region[FE_MAX_REGIONS];
};

/** How the regions of guest memory lie. */
enum fe_mem_layout {
	FE_MEM_GAPS, /**< far apart; an allocation lies in one region */
	FE_MEM_ADJACENT, /**< one behind the other; an allocation may lie across a border */
};

struct fe_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t fd_off; /**< where it starts in its file */
	uint64_t used; /**< bytes handed out from its start */
	uint8_t *va;
	int fd;
};

struct fe_mem {
	enum fe_mem_layout layout;
	unsigned int nb;
	unsigned int next; /**< region that the next allocation tries first */
	uint8_t *base; /**< the reserved range that holds all regions of FE_MEM_ADJACENT */
	uint64_t base_size;
	struct fe_region region[FE_MAX_REGIONS];
};

/** A piece of guest memory: the same bytes by our address and by the guest's. */
struct fe_buf {
	void *va;
	uint64_t gpa;
	uint32_t len;
};

/**
 * Creates guest memory of nb regions with region_bytes each, every one a memory file of its own.
 * @return 0, -EINVAL, or the errno of memfd_create, ftruncate or mmap.
 */
int fe_mem_create(struct fe_mem *mem, enum fe_mem_layout layout, unsigned int nb,
		uint64_t region_bytes);

/** Unmaps and closes everything. A zeroed or failed mem is allowed. */
void fe_mem_destroy(struct fe_mem *mem);

/**
 * Adds a region as memory hot-plug does, far above the others; fe_conn_set_mem() tells the device.
 * @return 0, -ENOSPC, or as fe_mem_create().
 */
int fe_mem_plug(struct fe_mem *mem, uint64_t bytes);

/** Takes the last region away again. Tell the device first. */
void fe_mem_unplug(struct fe_mem *mem);

/** Hands out bytes, aligned and zeroed, for as long as mem lives. @return 0 or -ENOMEM. */
int fe_mem_alloc(struct fe_mem *mem, uint32_t bytes, uint32_t align, struct fe_buf *out);

/** A connection to a device's socket. */
struct fe_conn {
	int fd;
	uint64_t offered; /**< features the device offers */
	uint64_t features; /**< features in use */
	uint64_t protocol; /**< protocol features in use */
	uint64_t protocol_offered;
	uint64_t nb_queues; /**< what GET_QUEUE_NUM said, 0 without FE_P_MQ */
	unsigned int timeout_ms; /**< for an answer */
};

struct fe_ring;

/**
 * Connects to a socket, waiting up to wait_ms for it to appear and accept.
 * @return 0, or the errno of the last attempt.
 */
int fe_conn_open(struct fe_conn *conn, const char *path, unsigned int wait_ms);

void fe_conn_close(struct fe_conn *conn);

/** Sends one message with up to FE_MAX_FDS descriptors, which stay the caller's. */
int fe_conn_send(struct fe_conn *conn, uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, const int *fds, unsigned int nb_fds);

/** Sends this very header and nb_bytes behind it, whether they fit together or not. */
int fe_conn_send_raw(struct fe_conn *conn, const struct fe_msg_header *head, const void *payload,
		uint32_t nb_bytes, const int *fds, unsigned int nb_fds);

/**
 * Receives the answer to request, exactly size bytes.
 * @return 0; -ETIMEDOUT; -ECONNRESET: the device closed the connection; -EPROTO: another answer.
 */
int fe_conn_recv(struct fe_conn *conn, uint32_t request, void *payload, uint32_t size);

/**
 * Sends a message that changes something and, where the device acknowledges, waits for that.
 * @return as fe_conn_send() and fe_conn_recv(), or -EREMOTEIO: the device refused.
 */
int fe_conn_set(struct fe_conn *conn, uint32_t request, const void *payload, uint32_t size,
		const int *fds, unsigned int nb_fds);

int fe_conn_get_u64(struct fe_conn *conn, uint32_t request, uint64_t *value);

/** Negotiates like QEMU does: features masked by wanted, MQ and REPLY_ACK, owner. */
int fe_conn_handshake(struct fe_conn *conn, uint64_t wanted);

int fe_conn_set_mem(struct fe_conn *conn, const struct fe_mem *mem);

/** Announces one ring and enables it; the device may start on it. */
int fe_conn_ring_start(struct fe_conn *conn, unsigned int index, const struct fe_ring *ring);

/** Tells the device the ring's call eventfd again, as VMMs do whenever a guest masks it. */
int fe_conn_ring_call(struct fe_conn *conn, unsigned int index, const struct fe_ring *ring);

/** Stops one ring. *base receives where the device stood in the avail ring. */
int fe_conn_ring_stop(struct fe_conn *conn, unsigned int index, uint16_t *base);

/** True when the device has closed the connection. Any thread. */
bool fe_conn_is_closed(const struct fe_conn *conn);

#endif /* FE_H */
