/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WIRE_H
#define WIRE_H

/*
 * vhost-user as QEMU's docs/interop/vhost-user.rst has it, as much of it as we speak, and in the
 * shape in which librte_vhost hands a message to its external handlers.
 */

#include <assert.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_version.h>

#define WIRE_MAX_FDS     8
#define WIRE_MAX_REGIONS 8
#define WIRE_MAX_QUEUES  256

enum wire_request {
	WIRE_GET_FEATURES = 1,
	WIRE_SET_FEATURES = 2,
	WIRE_SET_OWNER = 3,
	WIRE_RESET_OWNER = 4,
	WIRE_SET_MEM_TABLE = 5,
	WIRE_SET_VRING_NUM = 8,
	WIRE_SET_VRING_ADDR = 9,
	WIRE_SET_VRING_BASE = 10,
	WIRE_GET_VRING_BASE = 11,
	WIRE_SET_VRING_KICK = 12,
	WIRE_SET_VRING_CALL = 13,
	WIRE_SET_VRING_ERR = 14,
	WIRE_GET_PROTOCOL_FEATURES = 15,
	WIRE_SET_PROTOCOL_FEATURES = 16,
	WIRE_GET_QUEUE_NUM = 17,
	WIRE_SET_VRING_ENABLE = 18,
	WIRE_NB_REQUESTS,
};

#define WIRE_F_PROTOCOL_FEATURES  (1ULL << 30)
#define WIRE_PROTOCOL_F_MQ        (1ULL << 0)
#define WIRE_PROTOCOL_F_REPLY_ACK (1ULL << 3)

/* Of the 64-bit payload that goes with a descriptor. */
#define WIRE_VRING_INDEX 0xffU
#define WIRE_VRING_NOFD  0x100U

struct wire_state {
	uint32_t index;
	uint32_t num;
};

struct wire_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc, used, avail, log;
};

struct wire_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user; /* the front end's own address, in which it gives ring addresses */
	uint64_t fd_off;
};

struct wire_memory {
	uint32_t nb;
	uint32_t padding;
	struct wire_region regions[WIRE_MAX_REGIONS];
};

/*
 * What librte_vhost calls struct vhu_msg_context. Its header is private, but says that the structure
 * is not changed carelessly because external handlers rely on it. The largest member of the payload
 * is one of the crypto device's and grew in later releases: look it up there before this is relaxed.
 */
#define WIRE_PAYLOAD_BYTES 632

struct __rte_packed wire_msg {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
	union {
		uint64_t u64;
		struct wire_state state;
		struct wire_addr addr;
		struct wire_memory memory;
		uint8_t raw[WIRE_PAYLOAD_BYTES];
	} payload;
	int fds[WIRE_MAX_FDS];
	int nb_fds;
};

static_assert(RTE_VER_YEAR == 22 && RTE_VER_MONTH == 11, "check struct wire_msg");
static_assert(sizeof(struct wire_msg) == 680, "sizeof(struct vhu_msg_context)");
static_assert(sizeof(struct wire_addr) == 40, "struct vhost_vring_addr");
static_assert(sizeof(struct wire_region) == 32, "a memory region description");

#endif /* WIRE_H */
