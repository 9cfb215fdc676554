/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Rings and memory of a vhost-user front end: what has gone wrong with librte_vhost elsewhere. */

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost_peer.h"

static uint64_t
read_eventfd(int fd)
{
	uint64_t value = 0;

	return read(fd, &value, sizeof(value)) < 0 ? 0 : value;
}

/* QEMU allocates all rings and a guest sets up some: each one starts for itself, in any order. */
static void
vhost_ring_starts_alone_when_complete(void **state)
{
	peer_set_up_ring(2);
	peer_assert_heard("");
	assert_int_equal(peer_send_state(WIRE_SET_VRING_ENABLE, 2, 1), OK);
	peer_assert_heard("start2 ");
	assert_int_equal(peer_last_start.ring.size, 64);
	assert_int_equal(peer_last_start.ring.desc_gpa, MEM_GPA + 0x8000);
	assert_int_equal(peer_last_start.ring.avail_gpa, MEM_GPA + 0x9000);
	assert_int_equal(peer_last_start.ring.used_gpa, MEM_GPA + 0xa000);
	assert_int_equal(peer_last_start.ring.avail_base, 3);
	assert_true(peer_last_start.kickfd >= 0);

	assert_int_equal(peer_send_state(WIRE_SET_VRING_ENABLE, 0, 1), OK);
	peer_set_up_ring(0);
	peer_assert_heard("start0 ");
	assert_int_equal(peer_tdev.nb_running, 2);
}

static void
vhost_ring_without_protocol_features_runs_from_its_kick(void **state)
{
	assert_int_equal(peer_send_u64(WIRE_SET_FEATURES, WEIR_VIRTIO_F_VERSION_1, -1), FORWARD);
	peer_set_up_ring(1);
	peer_assert_heard("start1 ");
}

static void
vhost_ring_goes_on_writing_where_the_guest_reads(void **state)
{
	struct vring_used *used =
			mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, peer_memfd, 0);

	assert_true(used != MAP_FAILED);
	((struct vring_used *)((uint8_t *)used + 0x2000))->idx = 0xfff1;
	munmap(used, MEM_SIZE);
	peer_run_ring(0);
	assert_int_equal(peer_last_start.ring.used_base, 0xfff1);
	assert_int_equal(peer_last_start.ring.avail_base, 3);
}

static void
vhost_ring_beyond_the_device_is_not_served(void **state)
{
	peer_run_ring(NB_QUEUES);
	peer_run_ring(255);
	peer_assert_heard("");
	assert_int_equal(peer_tdev.nb_running, 0);
}

static void
vhost_ring_of_bad_size_is_not_served(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 3, 2048, 65536 };
	unsigned int i;

	peer_run_ring(0);
	peer_assert_heard("start0 ");
	for (i = 0; i < RTE_DIM(sizes); i++)
		assert_int_equal(peer_send_state(WIRE_SET_VRING_NUM, 0, sizes[i]), OK);
	peer_assert_heard("stop0 ");
	assert_int_equal(peer_send_state(WIRE_SET_VRING_NUM, 0, 1024), OK);
	peer_assert_heard("start0 ");
}

static void
vhost_ring_outside_memory_waits_for_a_table_that_has_it(void **state)
{
	assert_int_equal(peer_send_table(MEM_GPA, 0x1000), OK);
	peer_run_ring(0);
	peer_assert_heard("");
	assert_int_equal(peer_send_table(MEM_GPA, MEM_SIZE), OK);
	peer_assert_heard("start0 ");
	assert_int_equal(peer_send_addr(0, 0), OK);
	peer_assert_heard("stop0 ");
}

/* The library's own answer would be an index that it never moved. */
static void
vhost_get_vring_base_stops_and_says_where_the_ring_stood(void **state)
{
	struct wire_msg msg = {
		.request = WIRE_GET_VRING_BASE, .size = 8, .payload.state = { 1, 0 }
	};
	int fd;

	peer_run_ring(1);
	peer_run_ring(0);
	fd = peer_tdev.rings[1].kickfd;
	peer_heard[0] = '\0';
	peer_stop_base = 0x1234;
	assert_int_equal(peer_send_msg(&msg, NULL, 0), REPLY);
	peer_assert_heard("stop1 ");
	assert_int_equal(msg.size, 8);
	assert_int_equal(msg.nb_fds, 0);
	assert_int_equal(msg.payload.state.index, 1);
	assert_int_equal(msg.payload.state.num, 0x1234);
	assert_int_equal(fcntl(fd, F_GETFD), -1);

	/* It stands there too for one that asks again, and goes on from there after a kick. */
	msg.payload.state.num = 0;
	assert_int_equal(peer_send_msg(&msg, NULL, 0), REPLY);
	assert_int_equal(msg.payload.state.num, 0x1234);
	peer_assert_heard("");
	fd = peer_new_eventfd();
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_KICK, 1, fd), OK);
	close(fd);
	peer_assert_heard("start1 ");
	assert_int_equal(peer_last_start.ring.avail_base, 0x1234);
}

/* Both places in one number, wrap counters in bits 15 and 31; DPDK's virtio-user sends one of them. */
static void
vhost_packed_ring_has_two_bases(void **state)
{
	static const struct {
		uint32_t num;
		uint16_t avail, used;
	} cases[] = {
		{ 0x80008000, 0x8000, 0x8000 },
		{ 0x80030005, 0x0005, 0x8003 },
		{ 0x00018001, 0x8001, 0x0001 },
		{ 0x00008000, 0x8000, 0x8000 },
		{ 0x00000000, 0x0000, 0x0000 },
	};
	struct wire_msg msg = { .request = WIRE_GET_VRING_BASE, .size = 8 };
	unsigned int i;

	peer_tdev.cfg.packed_vq = true;
	assert_int_equal(peer_send_u64(WIRE_SET_FEATURES, VU_FEATURES_PACKED, -1), FORWARD);
	peer_run_ring(0);
	for (i = 0; i < RTE_DIM(cases); i++) {
		assert_int_equal(peer_send_state(WIRE_SET_VRING_BASE, 0, cases[i].num), OK);
		assert_int_equal(peer_last_start.ring.avail_base, cases[i].avail);
		assert_int_equal(peer_last_start.ring.used_base, cases[i].used);
		assert_true(peer_last_start.ring.features & WEIR_VIRTIO_F_RING_PACKED);
	}
	peer_stop_base = 0x8009;
	assert_int_equal(peer_send_msg(&msg, NULL, 0), REPLY);
	assert_int_equal(msg.payload.state.num, 0x00078009);
}

static void
vhost_disabled_ring_is_stopped_and_keeps_its_place(void **state)
{
	peer_run_ring(0);
	peer_heard[0] = '\0';
	peer_stop_base = 9;
	assert_int_equal(peer_send_state(WIRE_SET_VRING_ENABLE, 0, 0), OK);
	peer_assert_heard("stop0 ");
	assert_int_equal(peer_send_state(WIRE_SET_VRING_ENABLE, 0, 1), OK);
	peer_assert_heard("start0 ");
	assert_int_equal(peer_last_start.ring.avail_base, 9);
}

static void
vhost_kick_that_could_block_is_refused(void **state)
{
	int fds[2];

	peer_set_up_ring(0);
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_KICK, 0, peer_memfd), ERR);
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_KICK, 0, peer_listenfd), ERR);
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_CALL, 0, peer_memfd), ERR);
	/* User-mode Linux is interrupted through pipes. */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_CALL, 0, fds[1]), OK);
	assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	close(fds[0]);
	close(fds[1]);
}

static void
vhost_ring_without_kick_descriptor_is_polled(void **state)
{
	peer_run_ring(0);
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_KICK, WIRE_VRING_NOFD, -1), OK);
	peer_assert_heard("start0 stop0 start0 ");
	assert_int_equal(peer_last_start.kickfd, -1);
}

/* QEMU changes the descriptor whenever it masks an interrupt, and numbers are used again. */
static void WEIR_ON_WORKER
vhost_call_reaches_the_newest_descriptor(void **state)
{
	int first = peer_new_eventfd(), second = peer_new_eventfd();
	unsigned int nb;

	assert_int_equal(peer_send_u64(WIRE_SET_VRING_CALL, 0, first), OK);
	peer_run_ring(0);
	vu_ring_call(&peer_tdev, 0);
	assert_int_equal(read_eventfd(first), 1);
	nb = peer_open_fds();
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_CALL, 0, second), OK);
	assert_int_equal(peer_open_fds(), nb);
	assert_int_equal(read_eventfd(second), 1); /* for what may have gone to the old one */
	vu_ring_call(&peer_tdev, 0);
	vu_ring_call(&peer_tdev, 0);
	assert_int_equal(read_eventfd(second), 2);
	assert_int_equal(read_eventfd(first), 0);
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_CALL, WIRE_VRING_NOFD, -1), OK);
	vu_ring_call(&peer_tdev, 0);
	assert_int_equal(read_eventfd(second), 0);
	close(first);
	close(second);
}

/* A counter that its owner filled up and set to blocking must not hold a worker for long. */
static void WEIR_ON_WORKER
vhost_call_of_a_full_counter_returns(void **state)
{
	int fd = peer_new_eventfd();

	assert_int_equal(peer_send_u64(WIRE_SET_VRING_CALL, 0, fd), OK);
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	vu_ring_call(&peer_tdev, 0);
	close(fd);
}

static void
vhost_memory_change_is_told_while_rings_run(void **state)
{
	struct weir_memmap *old = weir_memmap_get(peer_tdev.map);

	peer_run_ring(0);
	peer_heard[0] = '\0';
	assert_int_equal(peer_send_table(MEM_GPA, MEM_SIZE), OK);
	peer_assert_heard("memory ");
	assert_ptr_equal(peer_last_map, peer_tdev.map);
	assert_ptr_not_equal(peer_last_map, old);
	/* The old one is whoever's still has a reference to it, and nobody else's. */
	assert_int_equal(atomic_load(&old->refs), 1);
	weir_memmap_put(old);
}

static void
vhost_memory_table_that_lies_is_refused(void **state)
{
	struct weir_memmap *map = peer_tdev.map;
	struct wire_msg msg = {
		.request = WIRE_SET_MEM_TABLE,
		.size = 8 + 2 * sizeof(struct wire_region),
		.payload.memory = { .nb = 1, .regions = { { MEM_GPA, MEM_SIZE, MEM_USER, 0 } } },
	};
	int fds[WIRE_MAX_FDS] = { peer_memfd, peer_memfd, peer_memfd, peer_memfd, peer_memfd,
		peer_memfd, peer_memfd, peer_memfd };
	unsigned int nb = peer_open_fds();

	assert_int_equal(peer_send_table(MEM_GPA, MEM_SIZE + 1), ERR); /* longer than its file */
	assert_int_equal(peer_send_table(MEM_GPA, 0), ERR);
	assert_int_equal(peer_send_table(UINT64_MAX - 10, MEM_SIZE), ERR);
	assert_int_equal(peer_send_msg(&msg, fds, 0), ERR);
	assert_int_equal(peer_send_msg(&msg, fds, 2), ERR);
	msg.payload.memory.nb = 0;
	assert_int_equal(peer_send_msg(&msg, fds, 0), ERR);
	msg.payload.memory.nb = 3; /* more than the message is long */
	assert_int_equal(peer_send_msg(&msg, fds, 3), ERR);
	msg.payload.memory.nb = WIRE_MAX_REGIONS + 1;
	msg.size = 8 + 9 * sizeof(struct wire_region);
	assert_int_equal(peer_send_msg(&msg, fds, 8), ERR);
	assert_ptr_equal(peer_tdev.map, map);
	assert_int_equal(peer_open_fds(), nb);
}

static void
vhost_table_translates_by_the_front_ends_address(void **state)
{
	struct vu_table table = {
		.nb = 2,
		.regions = {
			{ .gpa = 0x1000, .size = 0x1000, .user = UINT64_MAX - 0xfff },
			{ .gpa = UINT64_MAX - 0xfff, .size = 0x1000, .user = 0 },
		},
	};
	uint64_t gpa = 42;

	assert_int_equal(vu_table_gpa(&table, UINT64_MAX, &gpa), 0);
	assert_int_equal(gpa, 0x1fff);
	assert_int_equal(vu_table_gpa(&table, 0xfff, &gpa), 0);
	assert_int_equal(gpa, UINT64_MAX);
	gpa = 42;
	assert_int_equal(vu_table_gpa(&table, 0x1000, &gpa), -EFAULT);
	assert_int_equal(vu_table_gpa(&table, UINT64_MAX - 0x1000, &gpa), -EFAULT);
	assert_int_equal(gpa, 42);
}

#define VHOST_TEST(f) cmocka_unit_test_setup_teardown(f, peer_setup, peer_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		VHOST_TEST(vhost_ring_starts_alone_when_complete),
		VHOST_TEST(vhost_ring_without_protocol_features_runs_from_its_kick),
		VHOST_TEST(vhost_ring_goes_on_writing_where_the_guest_reads),
		VHOST_TEST(vhost_ring_beyond_the_device_is_not_served),
		VHOST_TEST(vhost_ring_of_bad_size_is_not_served),
		VHOST_TEST(vhost_ring_outside_memory_waits_for_a_table_that_has_it),
		VHOST_TEST(vhost_get_vring_base_stops_and_says_where_the_ring_stood),
		VHOST_TEST(vhost_packed_ring_has_two_bases),
		VHOST_TEST(vhost_disabled_ring_is_stopped_and_keeps_its_place),
		VHOST_TEST(vhost_kick_that_could_block_is_refused),
		VHOST_TEST(vhost_ring_without_kick_descriptor_is_polled),
		VHOST_TEST(vhost_call_reaches_the_newest_descriptor),
		VHOST_TEST(vhost_call_of_a_full_counter_returns),
		VHOST_TEST(vhost_memory_change_is_told_while_rings_run),
		VHOST_TEST(vhost_memory_table_that_lies_is_refused),
		cmocka_unit_test(vhost_table_translates_by_the_front_ends_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
