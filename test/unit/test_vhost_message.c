/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What a vhost-user front end may say, and how it comes and goes. */

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "vhost_peer.h"

/* STATUS keeps QEMU from ever starting, CONFIG crashes it, the others need what we have not. */
static void
vhost_protocol_features_are_what_is_answered(void **state)
{
	assert_int_equal(VU_PROTOCOL_FEATURES, 1 << 0 | 1 << 3);
	assert_int_equal(VU_FEATURES, 1ULL << 32 | 1 << 30 | 1 << 29 | 1 << 28);
	assert_int_equal(VU_FEATURES_PACKED, 1ULL << 34 | VU_FEATURES);
}

static void
vhost_queue_number_is_the_devices(void **state)
{
	struct wire_msg msg = { .request = WIRE_GET_QUEUE_NUM };

	assert_int_equal(peer_send_msg(&msg, NULL, 0), REPLY);
	assert_int_equal(msg.size, 8);
	assert_int_equal(msg.payload.u64, NB_QUEUES);
}

static void
vhost_unoffered_request_is_refused_without_leak(void **state)
{
	int fds[WIRE_MAX_FDS] = { peer_memfd, peer_memfd, peer_memfd, peer_memfd, peer_memfd,
		peer_memfd, peer_memfd, peer_memfd };
	unsigned int nb = peer_open_fds();
	uint32_t request;

	for (request = 0; request < 64; request++) {
		struct wire_msg msg = { .request = request, .size = 632 };

		if (request >= WIRE_SET_VRING_NUM && request <= WIRE_SET_VRING_ENABLE)
			continue;
		if (request >= WIRE_GET_FEATURES && request <= WIRE_SET_MEM_TABLE)
			continue;
		assert_int_equal(peer_send_msg(&msg, fds, request % 9), ERR);
	}
	assert_int_equal(peer_open_fds(), nb);
}

static void
vhost_short_request_is_refused(void **state)
{
	uint32_t request;

	for (request = WIRE_SET_VRING_NUM; request <= WIRE_SET_VRING_ENABLE; request++) {
		struct wire_msg msg = { .request = request, .size = 7 };

		if (request == WIRE_GET_PROTOCOL_FEATURES || request == WIRE_GET_QUEUE_NUM)
			continue;
		assert_int_equal(peer_send_msg(&msg, &peer_memfd,
						 request >= WIRE_SET_VRING_KICK &&
								 request <= WIRE_SET_VRING_ERR),
				ERR);
	}
}

static void
vhost_descriptors_that_do_not_belong_are_refused_without_leak(void **state)
{
	int fds[2] = { peer_memfd, peer_memfd };
	unsigned int nb = peer_open_fds();
	uint32_t request;

	for (request = WIRE_GET_FEATURES; request <= WIRE_SET_VRING_ENABLE; request++) {
		struct wire_msg msg = { .request = request, .size = 40 };

		assert_int_equal(peer_send_msg(&msg, fds, 2), ERR);
	}
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_KICK, 0, -1), ERR);
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_CALL, 0, -1), ERR);
	assert_int_equal(peer_open_fds(), nb);
}

static void
vhost_index_outside_is_refused(void **state)
{
	static const uint32_t indexes[] = { 256, 65536, UINT32_MAX };
	unsigned int i;

	for (i = 0; i < RTE_DIM(indexes); i++) {
		assert_int_equal(peer_send_state(WIRE_SET_VRING_NUM, indexes[i], 64), ERR);
		assert_int_equal(peer_send_state(WIRE_SET_VRING_BASE, indexes[i], 0), ERR);
		assert_int_equal(peer_send_state(WIRE_GET_VRING_BASE, indexes[i], 0), ERR);
		assert_int_equal(peer_send_state(WIRE_SET_VRING_ENABLE, indexes[i], 1), ERR);
		assert_int_equal(peer_send_addr(indexes[i], MEM_USER), ERR);
	}
	assert_int_equal(peer_send_state(WIRE_SET_VRING_BASE, 0, 65536), ERR);
	assert_int_equal(peer_send_u64(WIRE_SET_FEATURES, VU_FEATURES_PACKED, -1), ERR);
}

/* xorshift64: the same messages in every run. */
static uint32_t
rnd(uint32_t below)
{
	static uint64_t state = 0x2545f4914f6cdd1d;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 16) % below;
}

static void
any_msg(struct wire_msg *msg)
{
	uint32_t i;

	*msg = (struct wire_msg){ .request = rnd(22), .size = rnd(8) == 0 ? rnd(60) : 300 };
	msg->payload.state.index = rnd(8) == 0 ? rnd(UINT32_MAX) : rnd(NB_QUEUES + 1);
	msg->payload.state.num = rnd(2) == 0 ? 64 : rnd(3);
	if (msg->request == WIRE_SET_VRING_KICK || msg->request == WIRE_SET_VRING_CALL)
		msg->payload.state.num = 0;
	if (msg->request == WIRE_SET_FEATURES)
		msg->payload.u64 = rnd(2) == 0 ? VU_FEATURES : WEIR_VIRTIO_F_VERSION_1;
	if (msg->request == WIRE_SET_VRING_ADDR) {
		msg->payload.addr.desc = MEM_USER + rnd(20) * 0x1000;
		msg->payload.addr.avail = MEM_USER + rnd(20) * 0x1000;
		msg->payload.addr.used = rnd(8) == 0 ? UINT64_MAX : MEM_USER + rnd(16) * 0x1000;
	}
	if (msg->request == WIRE_SET_MEM_TABLE) {
		msg->payload.memory.nb = rnd(4) == 0 ? rnd(10) : 1;
		for (i = 0; i < WIRE_MAX_REGIONS; i++)
			msg->payload.memory.regions[i] = (struct wire_region){ MEM_GPA * (i + 1),
				0x1000 * rnd(17), MEM_USER, 0x1000 * rnd(3) };
	}
}

static int
any_nb_fds(const struct wire_msg *msg)
{
	if (rnd(8) == 0)
		return rnd(9);
	if (msg->request == WIRE_SET_MEM_TABLE)
		return msg->payload.memory.nb;
	return msg->request >= WIRE_SET_VRING_KICK && msg->request <= WIRE_SET_VRING_ERR;
}

/* Any order of anything: rings start and stop in turns, and all that was sent is closed again. */
static void
vhost_any_messages_leave_no_trace(void **state)
{
	int eventfds[WIRE_MAX_FDS], memfds[WIRE_MAX_FDS], results[4] = { 0 };
	uint32_t i, starts = 0;
	struct wire_msg msg;
	unsigned int nb;
	int rc;

	for (i = 0; i < WIRE_MAX_FDS; i++) {
		eventfds[i] = peer_new_eventfd();
		memfds[i] = peer_memfd;
	}
	peer_close_as(0);
	nb = peer_open_fds();
	assert_int_equal(peer_connect_as(0), 0);
	for (i = 0; i < 50000; i++) {
		any_msg(&msg);
		peer_heard[0] = '\0';
		rc = peer_send_msg(&msg,
				(msg.request == WIRE_SET_MEM_TABLE) == (rnd(16) != 0) ? memfds :
											eventfds,
				any_nb_fds(&msg));
		results[1 + rc]++;
		starts += strstr(peer_heard, "start") != NULL;
	}
	assert_true(starts > 100 && results[1 + OK] > 10000 && results[1 + ERR] > 10000);
	peer_close_as(0);
	assert_int_equal(peer_open_fds(), nb);
	for (i = 0; i < WIRE_MAX_FDS; i++)
		close(eventfds[i]);
}

static void
vhost_disconnect_stops_rings_and_closes_everything(void **state)
{
	int callfd = peer_new_eventfd();
	unsigned int nb;

	peer_close_as(0);
	peer_heard[0] = '\0';
	nb = peer_open_fds();
	assert_int_equal(peer_connect_as(0), 0);
	assert_int_equal(peer_send_u64(WIRE_SET_FEATURES, VU_FEATURES, -1), FORWARD);
	assert_int_equal(peer_send_table(MEM_GPA, MEM_SIZE), OK);
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_CALL, 2, callfd), OK);
	peer_run_ring(0);
	peer_run_ring(2);
	peer_assert_heard("connected start0 start2 ");
	peer_close_as(0);
	peer_assert_heard("stop0 stop2 disconnected ");
	assert_int_equal(peer_open_fds(), nb);
	assert_int_equal(peer_tdev.nb_running, 0);
	assert_int_equal(peer_tdev.nb_regions, 0);
	assert_int_equal(peer_tdev.features, 0);
	assert_false(peer_tdev.connected);
	close(callfd);
}

static void
vhost_next_front_end_starts_afresh(void **state)
{
	peer_run_ring(0);
	peer_close_as(0);
	peer_heard[0] = '\0';
	assert_int_equal(peer_connect_as(0), 0);
	assert_int_equal(peer_send_table(MEM_GPA, MEM_SIZE), OK);
	assert_int_equal(peer_send_state(WIRE_SET_VRING_ENABLE, 0, 1), OK);
	peer_assert_heard("connected ");
	assert_int_equal(peer_tdev.rings[0].base, 0);
}

static void
vhost_second_front_end_is_refused(void **state)
{
	peer_run_ring(0);
	peer_heard[0] = '\0';
	assert_int_equal(peer_connect_as(1), -1);
	close(peer_clients[1]);
	close(peer_accepted[1]);
	peer_assert_heard("");
	assert_int_equal(peer_tdev.vid, 0);
	assert_int_equal(peer_send_state(WIRE_SET_VRING_ENABLE, 0, 0), OK);
	peer_assert_heard("stop0 ");
}

/* The event thread may see a killed VMM's successor before it sees its end. */
static void
vhost_front_end_after_a_dead_one_is_served(void **state)
{
	peer_run_ring(0);
	peer_heard[0] = '\0';
	close(peer_clients[0]);
	assert_int_equal(peer_connect_as(1), 0);
	peer_assert_heard("stop0 disconnected connected ");
	assert_int_equal(peer_tdev.vid, 1);
	/* The library's belated news, and what the dead one may still have sent. */
	assert_int_equal(peer_send_u64(WIRE_SET_FEATURES, 0, -1), ERR);
	close(peer_accepted[0]);
	vu_device_ops.destroy_connection(0);
	peer_assert_heard("");
	assert_true(peer_tdev.connected);
}

/* One thread reads all front ends: half a message, or answers not fetched, end at some time. */
static void
vhost_connection_cannot_hold_the_event_thread(void **state)
{
	struct timeval recv = { 0 }, send = { 0 };
	socklen_t len = sizeof(recv);

	assert_int_equal(peer_tdev.connfd, peer_accepted[0]);
	assert_int_equal(getsockopt(peer_accepted[0], SOL_SOCKET, SO_RCVTIMEO, &recv, &len), 0);
	assert_int_equal(getsockopt(peer_accepted[0], SOL_SOCKET, SO_SNDTIMEO, &send, &len), 0);
	assert_in_range(recv.tv_sec * 1000000 + recv.tv_usec, 1, 2000000);
	assert_in_range(send.tv_sec * 1000000 + send.tv_usec, 1, 2000000);
}

#define VHOST_TEST(f) cmocka_unit_test_setup_teardown(f, peer_setup, peer_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vhost_protocol_features_are_what_is_answered),
		VHOST_TEST(vhost_queue_number_is_the_devices),
		VHOST_TEST(vhost_unoffered_request_is_refused_without_leak),
		VHOST_TEST(vhost_short_request_is_refused),
		VHOST_TEST(vhost_descriptors_that_do_not_belong_are_refused_without_leak),
		VHOST_TEST(vhost_index_outside_is_refused),
		VHOST_TEST(vhost_any_messages_leave_no_trace),
		VHOST_TEST(vhost_disconnect_stops_rings_and_closes_everything),
		VHOST_TEST(vhost_next_front_end_starts_afresh),
		VHOST_TEST(vhost_second_front_end_is_refused),
		VHOST_TEST(vhost_front_end_after_a_dead_one_is_served),
		VHOST_TEST(vhost_connection_cannot_hold_the_event_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
