/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_errno.h>
#include <rte_vhost.h>

#include "vhost_user.h"

/*
 * What a front end may say. A message that is not in the table below, is too short, or has the wrong
 * descriptors with it never gets to the library, whose handlers trust more than they should, map
 * files that may be cut short under them, and offer things that we do not. librte_vhost closes the
 * connection at an error, or answers it where the front end asked for that.
 *
 * Its own handlers run for the feature handshake only; it locks its rings around all of this, which
 * nobody minds, since no worker ever takes those locks.
 */

#define OK      RTE_VHOST_MSG_RESULT_OK
#define ERR     RTE_VHOST_MSG_RESULT_ERR
#define REPLY   RTE_VHOST_MSG_RESULT_REPLY
#define FORWARD RTE_VHOST_MSG_RESULT_NOT_HANDLED

struct message_rule {
	const char *name;
	uint32_t min_size; /* of the payload */
	uint32_t max_fds;
	enum rte_vhost_msg_result (*handle)(struct weir_tdev *tdev, struct wire_msg *msg);
};

/* What nobody took stays open otherwise. */
static void
message_close_fds(struct wire_msg *msg)
{
	int i;

	for (i = 0; i < msg->nb_fds && i < WIRE_MAX_FDS; i++)
		if (msg->fds[i] >= 0)
			close(msg->fds[i]);
	msg->nb_fds = 0;
}

static enum rte_vhost_msg_result
message_reply(struct wire_msg *msg, uint32_t size)
{
	msg->size = size;
	return REPLY;
}

static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_forward(struct weir_tdev *tdev, struct wire_msg *msg)
{
	return FORWARD;
}

/* Rings that run keep what they started with; the library checks the bits once more. */
static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_set_features(struct weir_tdev *tdev, struct wire_msg *msg)
{
	if (msg->payload.u64 & ~vu_features(tdev))
		return ERR;
	atomic_store(&tdev->features, msg->payload.u64);
	return FORWARD;
}

/* Obsolete. What is left of its meaning is that rings do not run any more. */
static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_reset_owner(struct weir_tdev *tdev, struct wire_msg *msg)
{
	uint32_t i;

	for (i = 0; i < WIRE_MAX_QUEUES; i++) {
		tdev->rings[i].kicked = false;
		vu_ring_update(tdev, i);
	}
	return OK;
}

static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_set_mem_table(struct weir_tdev *tdev, struct wire_msg *msg)
{
	struct weir_memmap *map = NULL, *old = tdev->map;
	int fds[WIRE_MAX_FDS];
	struct vu_table table;
	uint32_t i;
	int rc;

	rc = vu_table_read(msg, &table);
	if (rc == 0) {
		for (i = 0; i < table.nb; i++)
			fds[i] = msg->fds[i];
		rc = vu_table_map(&table, fds, &map);
	}
	if (rc < 0) {
		vu_log(tdev, WARNING, "the memory table is not usable: %s", rte_strerror(-rc));
		return ERR;
	}

	tdev->map = map;
	tdev->table = table;
	atomic_store(&tdev->nb_regions, table.nb);
	if (atomic_load(&tdev->nb_running) > 0)
		tdev->cfg.events->mem_changed(tdev->cfg.dev, map);
	weir_memmap_put(old);
	/* A ring that was not to be found in the old table may be in this one. */
	for (i = 0; i < tdev->cfg.nb_queues; i++)
		vu_ring_update(tdev, i);
	return OK;
}

/* The ring at index, stopped and about to change; NULL: no such ring. */
static struct vu_ring *WEIR_ON_TRANSPORT
message_ring(struct weir_tdev *tdev, uint32_t index)
{
	if (index >= WIRE_MAX_QUEUES)
		return NULL;
	vu_ring_stop(tdev, index);
	return &tdev->rings[index];
}

static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_set_vring_num(struct weir_tdev *tdev, struct wire_msg *msg)
{
	struct wire_state state = msg->payload.state;
	struct vu_ring *ring = message_ring(tdev, state.index);

	if (ring == NULL)
		return ERR;
	ring->size = state.num;
	if (state.num < 2 || state.num > WEIR_VQ_MAX_SIZE || !rte_is_power_of_2(state.num)) {
		vu_log(tdev, WARNING, "queue %u has %u entries: that queue is not served",
				state.index, state.num);
		ring->size = 0;
	}
	vu_ring_update(tdev, state.index);
	return OK;
}

static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_set_vring_addr(struct weir_tdev *tdev, struct wire_msg *msg)
{
	struct wire_addr addr = msg->payload.addr;
	struct vu_ring *ring = message_ring(tdev, addr.index);

	if (ring == NULL)
		return ERR;
	ring->desc = addr.desc;
	ring->avail = addr.avail;
	ring->used = addr.used;
	ring->addressed = true;
	vu_ring_update(tdev, addr.index);
	return OK;
}

static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_set_vring_base(struct weir_tdev *tdev, struct wire_msg *msg)
{
	struct wire_state state = msg->payload.state;
	struct vu_ring *ring = message_ring(tdev, state.index);
	bool packed = atomic_load(&tdev->features) & WEIR_VIRTIO_F_RING_PACKED;

	if (ring == NULL || (state.num > UINT16_MAX && !packed))
		return ERR;
	ring->base = state.num;
	vu_ring_update(tdev, state.index);
	return OK;
}

/* The ring ends here, whatever its requests in the back end are up to; the next kick starts it. */
static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_get_vring_base(struct weir_tdev *tdev, struct wire_msg *msg)
{
	struct wire_state state = msg->payload.state;
	struct vu_ring *ring = message_ring(tdev, state.index);

	if (ring == NULL)
		return ERR;
	if (ring->kickfd >= 0)
		close(ring->kickfd);
	ring->kickfd = -1;
	ring->kicked = false;
	state.num = ring->base;
	msg->payload.state = state;
	return message_reply(msg, sizeof(state));
}

/* Takes the descriptor out of a message about one. @return 0, or -EINVAL: there should be one. */
static int
message_take_fd(struct wire_msg *msg, int *fd)
{
	if (msg->payload.u64 & WIRE_VRING_NOFD) {
		*fd = -1;
		return 0;
	}
	if (msg->nb_fds != 1 || msg->fds[0] < 0)
		return -EINVAL;
	*fd = msg->fds[0];
	msg->nb_fds = 0;
	return 0;
}

static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_set_vring_kick(struct weir_tdev *tdev, struct wire_msg *msg)
{
	uint32_t index = msg->payload.u64 & WIRE_VRING_INDEX;
	int fd;

	if (message_take_fd(msg, &fd) < 0 || vu_ring_set_kick(tdev, index, fd) < 0)
		return ERR;
	vu_ring_update(tdev, index);
	return OK;
}

static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_set_vring_call(struct weir_tdev *tdev, struct wire_msg *msg)
{
	uint32_t index = msg->payload.u64 & WIRE_VRING_INDEX;
	int fd;

	if (message_take_fd(msg, &fd) < 0 || vu_ring_set_call(tdev, index, fd) < 0)
		return ERR;
	return OK;
}

/* What is wrong with a ring is in our log and statistics. */
static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_set_vring_err(struct weir_tdev *tdev, struct wire_msg *msg)
{
	return OK;
}

/* Our limit, not the library's count of queue pairs. */
static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_get_queue_num(struct weir_tdev *tdev, struct wire_msg *msg)
{
	msg->payload.u64 = tdev->cfg.nb_queues;
	return message_reply(msg, sizeof(msg->payload.u64));
}

static enum rte_vhost_msg_result WEIR_ON_TRANSPORT
message_set_vring_enable(struct weir_tdev *tdev, struct wire_msg *msg)
{
	struct wire_state state = msg->payload.state;

	if (state.index >= WIRE_MAX_QUEUES || state.num > 1)
		return ERR;
	tdev->rings[state.index].enabled = state.num;
	vu_ring_update(tdev, state.index);
	return OK;
}

#define U64   sizeof(uint64_t)
#define STATE sizeof(struct wire_state)

static const struct message_rule rules[WIRE_NB_REQUESTS] = {
	[WIRE_GET_FEATURES] = { "GET_FEATURES", 0, 0, message_forward },
	[WIRE_SET_FEATURES] = { "SET_FEATURES", U64, 0, message_set_features },
	[WIRE_SET_OWNER] = { "SET_OWNER", 0, 0, message_forward },
	[WIRE_RESET_OWNER] = { "RESET_OWNER", 0, 0, message_reset_owner },
	[WIRE_SET_MEM_TABLE] = { "SET_MEM_TABLE", U64, WIRE_MAX_FDS, message_set_mem_table },
	[WIRE_SET_VRING_NUM] = { "SET_VRING_NUM", STATE, 0, message_set_vring_num },
	[WIRE_SET_VRING_ADDR] = { "SET_VRING_ADDR", sizeof(struct wire_addr), 0,
			message_set_vring_addr },
	[WIRE_SET_VRING_BASE] = { "SET_VRING_BASE", STATE, 0, message_set_vring_base },
	[WIRE_GET_VRING_BASE] = { "GET_VRING_BASE", STATE, 0, message_get_vring_base },
	[WIRE_SET_VRING_KICK] = { "SET_VRING_KICK", U64, 1, message_set_vring_kick },
	[WIRE_SET_VRING_CALL] = { "SET_VRING_CALL", U64, 1, message_set_vring_call },
	[WIRE_SET_VRING_ERR] = { "SET_VRING_ERR", U64, 1, message_set_vring_err },
	[WIRE_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", 0, 0, message_forward },
	[WIRE_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64, 0, message_forward },
	[WIRE_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", 0, 0, message_get_queue_num },
	[WIRE_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", STATE, 0, message_set_vring_enable },
};

static const struct message_rule *
message_rule(const struct wire_msg *msg)
{
	const struct message_rule *rule;

	if (msg->request >= RTE_DIM(rules))
		return NULL;
	rule = &rules[msg->request];
	if (rule->handle == NULL || msg->size < rule->min_size || msg->nb_fds < 0 ||
			(uint32_t)msg->nb_fds > rule->max_fds)
		return NULL;
	return rule;
}

/* The library has read msg->size bytes, at most as many as the payload has room for. */
static enum rte_vhost_msg_result
message_handle(int vid, void *arg)
{
	const struct message_rule *rule;
	enum rte_vhost_msg_result result;
	struct weir_tdev *tdev;
	struct wire_msg *msg = arg;

	weir_role_assume_transport();
	tdev = vu_conn_find(vid);
	rule = message_rule(msg);
	if (tdev == NULL || rule == NULL) {
		if (tdev != NULL)
			vu_log(tdev, WARNING,
					"request %u of %u bytes with %d descriptors is refused",
					msg->request, msg->size, msg->nb_fds);
		message_close_fds(msg);
		return ERR;
	}

	result = rule->handle(tdev, msg);
	if (result == ERR)
		vu_log(tdev, WARNING, "%s is refused", rule->name);
	message_close_fds(msg);
	return result;
}

const struct rte_vhost_user_extern_ops vu_extern_ops = {
	.pre_msg_handle = message_handle,
};
