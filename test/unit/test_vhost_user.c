/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The transport's messages, rings and connections, with this file in the places of librte_vhost, of
 * the endpoint and of the core. What has gone wrong with librte_vhost elsewhere has a test here.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_vhost.h>

#include "../../drivers/transport/vhost_user/vhost_user.h"

WEIR_LOG_TYPE(vhost_user);

#define NB_QUEUES 3
#define MEM_SIZE  0x10000ULL
#define MEM_GPA   0x4000000ULL
#define MEM_USER  0x7f0000000000ULL

#define OK      RTE_VHOST_MSG_RESULT_OK
#define ERR     RTE_VHOST_MSG_RESULT_ERR
#define REPLY   RTE_VHOST_MSG_RESULT_REPLY
#define FORWARD RTE_VHOST_MSG_RESULT_NOT_HANDLED

static struct weir_tdev tdev;
static char dir[] = "/tmp/test_vhost_user.XXXXXX";
static int listenfd, memfd;
static int clients[4], accepted[4]; /* by the library's number of the connection */

/* ---- librte_vhost, the endpoint and the workers ---- */

int
rte_vhost_get_ifname(int vid, char *buf, size_t len)
{
	snprintf(buf, len, "%s", tdev.path);
	return 0;
}

int
rte_vhost_extern_callback_register(
		int vid, struct rte_vhost_user_extern_ops const *const ops, void *ctx)
{
	assert_ptr_equal(ops, &vu_extern_ops);
	return 0;
}

struct weir_tdev *
vu_endpoint_find(const char *path)
{
	return strcmp(path, tdev.path) == 0 ? &tdev : NULL;
}

/* No worker is registered: all of them are quiescent. */
struct rte_rcu_qsbr *
weir_workers_qsbr(void)
{
	static struct rte_rcu_qsbr *qsbr;

	if (qsbr == NULL) {
		qsbr = aligned_alloc(64, rte_rcu_qsbr_get_memsize(1));
		rte_rcu_qsbr_init(qsbr, 1);
	}
	return qsbr;
}

/* ---- the core: writes down what it hears ---- */

static char heard[256];
static struct weir_vq_start last_start;
static struct weir_memmap *last_map;
static uint16_t stop_base;
static bool runs[WIRE_MAX_QUEUES];

static void __rte_format_printf(1, 2) hear(const char *fmt, ...)
{
	size_t len = strlen(heard);
	va_list args;

	va_start(args, fmt);
	vsnprintf(heard + len, sizeof(heard) - len, fmt, args);
	va_end(args);
}

static void
assert_heard(const char *what)
{
	assert_string_equal(heard, what);
	heard[0] = '\0';
}

static void
core_connected(void *dev)
{
	assert_ptr_equal(dev, &tdev);
	hear("connected ");
}

static void
core_disconnected(void *dev)
{
	hear("disconnected ");
}

static int
core_vq_start(void *dev, const struct weir_vq_start *start)
{
	assert_ptr_equal(start->tdev, &tdev);
	assert_in_range(start->index, 0, NB_QUEUES - 1);
	assert_false(runs[start->index]);
	runs[start->index] = true;
	hear("start%u ", start->index);
	last_start = *start;
	return 0;
}

static void
core_vq_stop(void *dev, uint16_t index, struct weir_vring_base *base)
{
	assert_true(runs[index]);
	runs[index] = false;
	hear("stop%u ", index);
	*base = (struct weir_vring_base){ .avail = stop_base, .used = 7 };
}

static int
core_mem_changed(void *dev, struct weir_memmap *map)
{
	hear("memory ");
	last_map = map;
	return 0;
}

static const struct weir_transport_events core = {
	.connected = core_connected,
	.disconnected = core_disconnected,
	.vq_start = core_vq_start,
	.vq_stop = core_vq_stop,
	.mem_changed = core_mem_changed,
};

/* ---- the front end ---- */

static unsigned int
open_fds(void)
{
	DIR *self = opendir("/proc/self/fd");
	unsigned int nb = 0;

	while (readdir(self) != NULL)
		nb++;
	closedir(self);
	return nb;
}

static int
connect_as(int vid)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	memcpy(un.sun_path, tdev.path, sizeof(un.sun_path));
	clients[vid] = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(clients[vid], (struct sockaddr *)&un, sizeof(un)), 0);
	accepted[vid] = accept(listenfd, NULL, NULL);
	assert_true(accepted[vid] >= 0);
	return vu_device_ops.new_connection(vid);
}

static void
close_as(int vid)
{
	close(clients[vid]);
	close(accepted[vid]);
	vu_device_ops.destroy_connection(vid);
}

/* Sends a copy of the first nb descriptors: the handler owns those. */
static int
send_msg(struct wire_msg *msg, const int *fds, int nb)
{
	int i;

	msg->flags = 1;
	msg->nb_fds = nb;
	for (i = 0; i < nb && i < WIRE_MAX_FDS; i++)
		msg->fds[i] = fds[i] < 0 ? fds[i] : dup(fds[i]);
	return vu_extern_ops.pre_msg_handle(0, msg);
}

static int
send_u64(uint32_t request, uint64_t value, int fd)
{
	struct wire_msg msg = { .request = request, .size = 8, .payload.u64 = value };

	return send_msg(&msg, &fd, fd >= 0);
}

static int
send_state(uint32_t request, uint32_t index, uint32_t num)
{
	return send_u64(request, (uint64_t)num << 32 | index, -1);
}

static int
send_addr(uint32_t index, uint64_t base)
{
	struct wire_msg msg = {
		.request = WIRE_SET_VRING_ADDR,
		.size = sizeof(struct wire_addr),
		.payload.addr = { .index = index,
				.desc = base,
				.avail = base + 0x1000,
				.used = base + 0x2000 },
	};

	return send_msg(&msg, NULL, 0);
}

static int
send_table(uint64_t gpa, uint64_t size)
{
	struct wire_msg msg = {
		.request = WIRE_SET_MEM_TABLE,
		.size = 8 + sizeof(struct wire_region),
		.payload.memory = { .nb = 1, .regions = { { gpa, size, MEM_USER, 0 } } },
	};

	return send_msg(&msg, &memfd, 1);
}

static int
new_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static uint64_t
read_eventfd(int fd)
{
	uint64_t value = 0;

	return read(fd, &value, sizeof(value)) < 0 ? 0 : value;
}

/* Everything that a ring needs but its last piece, SET_VRING_ENABLE. */
static void
set_up_ring(uint32_t index)
{
	int kickfd = new_eventfd();

	assert_int_equal(send_state(WIRE_SET_VRING_NUM, index, 64), OK);
	assert_int_equal(send_state(WIRE_SET_VRING_BASE, index, 3), OK);
	assert_int_equal(send_addr(index, MEM_USER + index * 0x4000), OK);
	assert_int_equal(send_u64(WIRE_SET_VRING_KICK, index, kickfd), OK);
	close(kickfd);
}

static void
run_ring(uint32_t index)
{
	set_up_ring(index);
	assert_int_equal(send_state(WIRE_SET_VRING_ENABLE, index, 1), OK);
}

static int
setup(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	uint32_t i;

	assert_non_null(mkdtemp(dir));
	tdev = (struct weir_tdev){
		.cfg = { .name = "d0", .nb_queues = NB_QUEUES, .events = &core, .dev = &tdev },
		.vid = -1,
		.connfd = -1,
	};
	for (i = 0; i < WIRE_MAX_QUEUES; i++) {
		tdev.rings[i].kickfd = -1;
		tdev.callfds[i] = -1;
	}
	snprintf(tdev.path, sizeof(tdev.path), "%s/d0.sock", dir);
	memcpy(un.sun_path, tdev.path, sizeof(un.sun_path));
	listenfd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memfd = memfd_create("guest", MFD_CLOEXEC);
	if (bind(listenfd, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(listenfd, 8) < 0 ||
			ftruncate(memfd, MEM_SIZE) < 0)
		return -1;
	heard[0] = '\0';
	stop_base = 0;
	assert_int_equal(connect_as(0), 0);
	assert_heard("connected ");
	assert_int_equal(send_u64(WIRE_SET_FEATURES, VU_FEATURES, -1), FORWARD);
	assert_int_equal(send_table(MEM_GPA, MEM_SIZE), OK);
	return 0;
}

static int
teardown(void **state)
{
	if (tdev.vid >= 0)
		close_as(tdev.vid);
	close(listenfd);
	close(memfd);
	unlink(tdev.path);
	rmdir(dir);
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	return 0;
}

/* ---- rings ---- */

/* QEMU allocates all rings and a guest sets up some: each one starts for itself, in any order. */
static void
vhost_ring_starts_alone_when_complete(void **state)
{
	set_up_ring(2);
	assert_heard("");
	assert_int_equal(send_state(WIRE_SET_VRING_ENABLE, 2, 1), OK);
	assert_heard("start2 ");
	assert_int_equal(last_start.ring.size, 64);
	assert_int_equal(last_start.ring.desc_gpa, MEM_GPA + 0x8000);
	assert_int_equal(last_start.ring.avail_gpa, MEM_GPA + 0x9000);
	assert_int_equal(last_start.ring.used_gpa, MEM_GPA + 0xa000);
	assert_int_equal(last_start.ring.avail_base, 3);
	assert_true(last_start.kickfd >= 0);

	assert_int_equal(send_state(WIRE_SET_VRING_ENABLE, 0, 1), OK);
	set_up_ring(0);
	assert_heard("start0 ");
	assert_int_equal(tdev.nb_running, 2);
}

static void
vhost_ring_without_protocol_features_runs_from_its_kick(void **state)
{
	assert_int_equal(send_u64(WIRE_SET_FEATURES, WEIR_VIRTIO_F_VERSION_1, -1), FORWARD);
	set_up_ring(1);
	assert_heard("start1 ");
}

static void
vhost_ring_goes_on_writing_where_the_guest_reads(void **state)
{
	struct vring_used *used =
			mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);

	assert_true(used != MAP_FAILED);
	((struct vring_used *)((uint8_t *)used + 0x2000))->idx = 0xfff1;
	munmap(used, MEM_SIZE);
	run_ring(0);
	assert_int_equal(last_start.ring.used_base, 0xfff1);
	assert_int_equal(last_start.ring.avail_base, 3);
}

static void
vhost_ring_beyond_the_device_is_not_served(void **state)
{
	run_ring(NB_QUEUES);
	run_ring(255);
	assert_heard("");
	assert_int_equal(tdev.nb_running, 0);
}

static void
vhost_ring_of_bad_size_is_not_served(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 3, 2048, 65536 };
	unsigned int i;

	run_ring(0);
	assert_heard("start0 ");
	for (i = 0; i < RTE_DIM(sizes); i++)
		assert_int_equal(send_state(WIRE_SET_VRING_NUM, 0, sizes[i]), OK);
	assert_heard("stop0 ");
	assert_int_equal(send_state(WIRE_SET_VRING_NUM, 0, 1024), OK);
	assert_heard("start0 ");
}

static void
vhost_ring_outside_memory_waits_for_a_table_that_has_it(void **state)
{
	assert_int_equal(send_table(MEM_GPA, 0x1000), OK);
	run_ring(0);
	assert_heard("");
	assert_int_equal(send_table(MEM_GPA, MEM_SIZE), OK);
	assert_heard("start0 ");
	assert_int_equal(send_addr(0, 0), OK);
	assert_heard("stop0 ");
}

/* The library's own answer would be an index that it never moved. */
static void
vhost_get_vring_base_stops_and_says_where_the_ring_stood(void **state)
{
	struct wire_msg msg = {
		.request = WIRE_GET_VRING_BASE, .size = 8, .payload.state = { 1, 0 }
	};
	int fd;

	run_ring(1);
	run_ring(0);
	fd = tdev.rings[1].kickfd;
	heard[0] = '\0';
	stop_base = 0x1234;
	assert_int_equal(send_msg(&msg, NULL, 0), REPLY);
	assert_heard("stop1 ");
	assert_int_equal(msg.size, 8);
	assert_int_equal(msg.nb_fds, 0);
	assert_int_equal(msg.payload.state.index, 1);
	assert_int_equal(msg.payload.state.num, 0x1234);
	assert_int_equal(fcntl(fd, F_GETFD), -1);

	/* It stands there too for one that asks again, and goes on from there after a kick. */
	msg.payload.state.num = 0;
	assert_int_equal(send_msg(&msg, NULL, 0), REPLY);
	assert_int_equal(msg.payload.state.num, 0x1234);
	assert_heard("");
	fd = new_eventfd();
	assert_int_equal(send_u64(WIRE_SET_VRING_KICK, 1, fd), OK);
	close(fd);
	assert_heard("start1 ");
	assert_int_equal(last_start.ring.avail_base, 0x1234);
}

static void
vhost_disabled_ring_is_stopped_and_keeps_its_place(void **state)
{
	run_ring(0);
	heard[0] = '\0';
	stop_base = 9;
	assert_int_equal(send_state(WIRE_SET_VRING_ENABLE, 0, 0), OK);
	assert_heard("stop0 ");
	assert_int_equal(send_state(WIRE_SET_VRING_ENABLE, 0, 1), OK);
	assert_heard("start0 ");
	assert_int_equal(last_start.ring.avail_base, 9);
}

static void
vhost_kick_that_could_block_is_refused(void **state)
{
	int fds[2];

	set_up_ring(0);
	assert_int_equal(send_u64(WIRE_SET_VRING_KICK, 0, memfd), ERR);
	assert_int_equal(send_u64(WIRE_SET_VRING_KICK, 0, listenfd), ERR);
	assert_int_equal(send_u64(WIRE_SET_VRING_CALL, 0, memfd), ERR);
	/* User-mode Linux is interrupted through pipes. */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(send_u64(WIRE_SET_VRING_CALL, 0, fds[1]), OK);
	assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	close(fds[0]);
	close(fds[1]);
}

static void
vhost_ring_without_kick_descriptor_is_polled(void **state)
{
	run_ring(0);
	assert_int_equal(send_u64(WIRE_SET_VRING_KICK, WIRE_VRING_NOFD, -1), OK);
	assert_heard("start0 stop0 start0 ");
	assert_int_equal(last_start.kickfd, -1);
}

/* QEMU changes the descriptor whenever it masks an interrupt, and numbers are used again. */
static void WEIR_ON_WORKER
vhost_call_reaches_the_newest_descriptor(void **state)
{
	int first = new_eventfd(), second = new_eventfd();
	unsigned int nb;

	assert_int_equal(send_u64(WIRE_SET_VRING_CALL, 0, first), OK);
	run_ring(0);
	vu_ring_call(&tdev, 0);
	assert_int_equal(read_eventfd(first), 1);
	nb = open_fds();
	assert_int_equal(send_u64(WIRE_SET_VRING_CALL, 0, second), OK);
	assert_int_equal(open_fds(), nb);
	assert_int_equal(read_eventfd(second), 1); /* for what may have gone to the old one */
	vu_ring_call(&tdev, 0);
	vu_ring_call(&tdev, 0);
	assert_int_equal(read_eventfd(second), 2);
	assert_int_equal(read_eventfd(first), 0);
	assert_int_equal(send_u64(WIRE_SET_VRING_CALL, WIRE_VRING_NOFD, -1), OK);
	vu_ring_call(&tdev, 0);
	assert_int_equal(read_eventfd(second), 0);
	close(first);
	close(second);
}

/* A counter that its owner filled up and set to blocking must not hold a worker for long. */
static void WEIR_ON_WORKER
vhost_call_of_a_full_counter_returns(void **state)
{
	int fd = new_eventfd();

	assert_int_equal(send_u64(WIRE_SET_VRING_CALL, 0, fd), OK);
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	vu_ring_call(&tdev, 0);
	close(fd);
}

/* ---- memory ---- */

static void
vhost_memory_change_is_told_while_rings_run(void **state)
{
	struct weir_memmap *old = weir_memmap_get(tdev.map);

	run_ring(0);
	heard[0] = '\0';
	assert_int_equal(send_table(MEM_GPA, MEM_SIZE), OK);
	assert_heard("memory ");
	assert_ptr_equal(last_map, tdev.map);
	assert_ptr_not_equal(last_map, old);
	/* The old one is whoever's still has a reference to it, and nobody else's. */
	assert_int_equal(atomic_load(&old->refs), 1);
	weir_memmap_put(old);
}

static void
vhost_memory_table_that_lies_is_refused(void **state)
{
	struct weir_memmap *map = tdev.map;
	struct wire_msg msg = {
		.request = WIRE_SET_MEM_TABLE,
		.size = 8 + 2 * sizeof(struct wire_region),
		.payload.memory = { .nb = 1, .regions = { { MEM_GPA, MEM_SIZE, MEM_USER, 0 } } },
	};
	int fds[WIRE_MAX_FDS] = { memfd, memfd, memfd, memfd, memfd, memfd, memfd, memfd };
	unsigned int nb = open_fds();

	assert_int_equal(send_table(MEM_GPA, MEM_SIZE + 1), ERR); /* longer than its file */
	assert_int_equal(send_table(MEM_GPA, 0), ERR);
	assert_int_equal(send_table(UINT64_MAX - 10, MEM_SIZE), ERR);
	assert_int_equal(send_msg(&msg, fds, 0), ERR);
	assert_int_equal(send_msg(&msg, fds, 2), ERR);
	msg.payload.memory.nb = 0;
	assert_int_equal(send_msg(&msg, fds, 0), ERR);
	msg.payload.memory.nb = 3; /* more than the message is long */
	assert_int_equal(send_msg(&msg, fds, 3), ERR);
	msg.payload.memory.nb = WIRE_MAX_REGIONS + 1;
	msg.size = 8 + 9 * sizeof(struct wire_region);
	assert_int_equal(send_msg(&msg, fds, 8), ERR);
	assert_ptr_equal(tdev.map, map);
	assert_int_equal(open_fds(), nb);
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

/* ---- what may be said ---- */

/* STATUS keeps QEMU from ever starting, CONFIG crashes it, the others need what we have not. */
static void
vhost_protocol_features_are_what_is_answered(void **state)
{
	assert_int_equal(VU_PROTOCOL_FEATURES, 1 << 0 | 1 << 3);
	assert_int_equal(VU_FEATURES, 1ULL << 32 | 1 << 30 | 1 << 29 | 1 << 28);
}

static void
vhost_queue_number_is_the_devices(void **state)
{
	struct wire_msg msg = { .request = WIRE_GET_QUEUE_NUM };

	assert_int_equal(send_msg(&msg, NULL, 0), REPLY);
	assert_int_equal(msg.size, 8);
	assert_int_equal(msg.payload.u64, NB_QUEUES);
}

static void
vhost_unoffered_request_is_refused_without_leak(void **state)
{
	int fds[WIRE_MAX_FDS] = { memfd, memfd, memfd, memfd, memfd, memfd, memfd, memfd };
	unsigned int nb = open_fds();
	uint32_t request;

	for (request = 0; request < 64; request++) {
		struct wire_msg msg = { .request = request, .size = 632 };

		if (request >= WIRE_SET_VRING_NUM && request <= WIRE_SET_VRING_ENABLE)
			continue;
		if (request >= WIRE_GET_FEATURES && request <= WIRE_SET_MEM_TABLE)
			continue;
		assert_int_equal(send_msg(&msg, fds, request % 9), ERR);
	}
	assert_int_equal(open_fds(), nb);
}

static void
vhost_short_request_is_refused(void **state)
{
	uint32_t request;

	for (request = WIRE_SET_VRING_NUM; request <= WIRE_SET_VRING_ENABLE; request++) {
		struct wire_msg msg = { .request = request, .size = 7 };

		if (request == WIRE_GET_PROTOCOL_FEATURES || request == WIRE_GET_QUEUE_NUM)
			continue;
		assert_int_equal(send_msg(&msg, &memfd,
						 request >= WIRE_SET_VRING_KICK &&
								 request <= WIRE_SET_VRING_ERR),
				ERR);
	}
}

static void
vhost_descriptors_that_do_not_belong_are_refused_without_leak(void **state)
{
	int fds[2] = { memfd, memfd };
	unsigned int nb = open_fds();
	uint32_t request;

	for (request = WIRE_GET_FEATURES; request <= WIRE_SET_VRING_ENABLE; request++) {
		struct wire_msg msg = { .request = request, .size = 40 };

		assert_int_equal(send_msg(&msg, fds, 2), ERR);
	}
	assert_int_equal(send_u64(WIRE_SET_VRING_KICK, 0, -1), ERR);
	assert_int_equal(send_u64(WIRE_SET_VRING_CALL, 0, -1), ERR);
	assert_int_equal(open_fds(), nb);
}

static void
vhost_index_outside_is_refused(void **state)
{
	static const uint32_t indexes[] = { 256, 65536, UINT32_MAX };
	unsigned int i;

	for (i = 0; i < RTE_DIM(indexes); i++) {
		assert_int_equal(send_state(WIRE_SET_VRING_NUM, indexes[i], 64), ERR);
		assert_int_equal(send_state(WIRE_SET_VRING_BASE, indexes[i], 0), ERR);
		assert_int_equal(send_state(WIRE_GET_VRING_BASE, indexes[i], 0), ERR);
		assert_int_equal(send_state(WIRE_SET_VRING_ENABLE, indexes[i], 1), ERR);
		assert_int_equal(send_addr(indexes[i], MEM_USER), ERR);
	}
	assert_int_equal(send_state(WIRE_SET_VRING_BASE, 0, 65536), ERR);
	assert_int_equal(send_u64(WIRE_SET_FEATURES, VU_FEATURES | 1ULL << 34, -1), ERR);
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
		eventfds[i] = new_eventfd();
		memfds[i] = memfd;
	}
	close_as(0);
	nb = open_fds();
	assert_int_equal(connect_as(0), 0);
	for (i = 0; i < 50000; i++) {
		any_msg(&msg);
		heard[0] = '\0';
		rc = send_msg(&msg,
				(msg.request == WIRE_SET_MEM_TABLE) == (rnd(16) != 0) ? memfds :
											eventfds,
				any_nb_fds(&msg));
		results[1 + rc]++;
		starts += strstr(heard, "start") != NULL;
	}
	assert_true(starts > 100 && results[1 + OK] > 10000 && results[1 + ERR] > 10000);
	close_as(0);
	assert_int_equal(open_fds(), nb);
	for (i = 0; i < WIRE_MAX_FDS; i++)
		close(eventfds[i]);
}

/* ---- connections ---- */

static void
vhost_disconnect_stops_rings_and_closes_everything(void **state)
{
	int callfd = new_eventfd();
	unsigned int nb;

	close_as(0);
	heard[0] = '\0';
	nb = open_fds();
	assert_int_equal(connect_as(0), 0);
	assert_int_equal(send_u64(WIRE_SET_FEATURES, VU_FEATURES, -1), FORWARD);
	assert_int_equal(send_table(MEM_GPA, MEM_SIZE), OK);
	assert_int_equal(send_u64(WIRE_SET_VRING_CALL, 2, callfd), OK);
	run_ring(0);
	run_ring(2);
	assert_heard("connected start0 start2 ");
	close_as(0);
	assert_heard("stop0 stop2 disconnected ");
	assert_int_equal(open_fds(), nb);
	assert_int_equal(tdev.nb_running, 0);
	assert_int_equal(tdev.nb_regions, 0);
	assert_int_equal(tdev.features, 0);
	assert_false(tdev.connected);
	close(callfd);
}

static void
vhost_next_front_end_starts_afresh(void **state)
{
	run_ring(0);
	close_as(0);
	heard[0] = '\0';
	assert_int_equal(connect_as(0), 0);
	assert_int_equal(send_table(MEM_GPA, MEM_SIZE), OK);
	assert_int_equal(send_state(WIRE_SET_VRING_ENABLE, 0, 1), OK);
	assert_heard("connected ");
	assert_int_equal(tdev.rings[0].base, 0);
}

static void
vhost_second_front_end_is_refused(void **state)
{
	run_ring(0);
	heard[0] = '\0';
	assert_int_equal(connect_as(1), -1);
	close(clients[1]);
	close(accepted[1]);
	assert_heard("");
	assert_int_equal(tdev.vid, 0);
	assert_int_equal(send_state(WIRE_SET_VRING_ENABLE, 0, 0), OK);
	assert_heard("stop0 ");
}

/* The event thread may see a killed VMM's successor before it sees its end. */
static void
vhost_front_end_after_a_dead_one_is_served(void **state)
{
	run_ring(0);
	heard[0] = '\0';
	close(clients[0]);
	assert_int_equal(connect_as(1), 0);
	assert_heard("stop0 disconnected connected ");
	assert_int_equal(tdev.vid, 1);
	/* The library's belated news, and what the dead one may still have sent. */
	assert_int_equal(send_u64(WIRE_SET_FEATURES, 0, -1), ERR);
	close(accepted[0]);
	vu_device_ops.destroy_connection(0);
	assert_heard("");
	assert_true(tdev.connected);
}

/* One thread reads all front ends: half a message, or answers not fetched, end at some time. */
static void
vhost_connection_cannot_hold_the_event_thread(void **state)
{
	struct timeval recv = { 0 }, send = { 0 };
	socklen_t len = sizeof(recv);

	assert_int_equal(tdev.connfd, accepted[0]);
	assert_int_equal(getsockopt(accepted[0], SOL_SOCKET, SO_RCVTIMEO, &recv, &len), 0);
	assert_int_equal(getsockopt(accepted[0], SOL_SOCKET, SO_SNDTIMEO, &send, &len), 0);
	assert_in_range(recv.tv_sec * 1000000 + recv.tv_usec, 1, 2000000);
	assert_in_range(send.tv_sec * 1000000 + send.tv_usec, 1, 2000000);
}

#define VHOST_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
		VHOST_TEST(vhost_disabled_ring_is_stopped_and_keeps_its_place),
		VHOST_TEST(vhost_kick_that_could_block_is_refused),
		VHOST_TEST(vhost_ring_without_kick_descriptor_is_polled),
		VHOST_TEST(vhost_call_reaches_the_newest_descriptor),
		VHOST_TEST(vhost_call_of_a_full_counter_returns),
		VHOST_TEST(vhost_memory_change_is_told_while_rings_run),
		VHOST_TEST(vhost_memory_table_that_lies_is_refused),
		cmocka_unit_test(vhost_table_translates_by_the_front_ends_address),
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
