/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost_peer.h"

WEIR_LOG_TYPE(vhost_user);

struct weir_tdev peer_tdev;
static char dir[] = "/tmp/test_vhost_user.XXXXXX";
int peer_listenfd, peer_memfd;
int peer_clients[4], peer_accepted[4]; /* by the library's number of the connection */

/* librte_vhost, the endpoint and the workers. */

int
rte_vhost_get_ifname(int vid, char *buf, size_t len)
{
	snprintf(buf, len, "%s", peer_tdev.path);
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
	return strcmp(path, peer_tdev.path) == 0 ? &peer_tdev : NULL;
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

/* The core: writes down what it hears. */

char peer_heard[256];
struct weir_vq_start peer_last_start;
struct weir_memmap *peer_last_map;
uint16_t peer_stop_base;
static bool runs[WIRE_MAX_QUEUES];

static void __rte_format_printf(1, 2) hear(const char *fmt, ...)
{
	size_t len = strlen(peer_heard);
	va_list args;

	va_start(args, fmt);
	vsnprintf(peer_heard + len, sizeof(peer_heard) - len, fmt, args);
	va_end(args);
}

void
peer_assert_heard(const char *what)
{
	assert_string_equal(peer_heard, what);
	peer_heard[0] = '\0';
}

static void
core_connected(void *dev)
{
	assert_ptr_equal(dev, &peer_tdev);
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
	assert_ptr_equal(start->tdev, &peer_tdev);
	assert_in_range(start->index, 0, NB_QUEUES - 1);
	assert_false(runs[start->index]);
	runs[start->index] = true;
	hear("start%u ", start->index);
	peer_last_start = *start;
	return 0;
}

static void
core_vq_stop(void *dev, uint16_t index, struct weir_vring_base *base)
{
	assert_true(runs[index]);
	runs[index] = false;
	hear("stop%u ", index);
	*base = (struct weir_vring_base){ .avail = peer_stop_base, .used = 7 };
}

static int
core_mem_changed(void *dev, struct weir_memmap *map)
{
	hear("memory ");
	peer_last_map = map;
	return 0;
}

static const struct weir_transport_events core = {
	.connected = core_connected,
	.disconnected = core_disconnected,
	.vq_start = core_vq_start,
	.vq_stop = core_vq_stop,
	.mem_changed = core_mem_changed,
};

/* The front end. */

unsigned int
peer_open_fds(void)
{
	DIR *self = opendir("/proc/self/fd");
	unsigned int nb = 0;

	while (readdir(self) != NULL)
		nb++;
	closedir(self);
	return nb;
}

int
peer_connect_as(int vid)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	memcpy(un.sun_path, peer_tdev.path, sizeof(un.sun_path));
	peer_clients[vid] = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(peer_clients[vid], (struct sockaddr *)&un, sizeof(un)), 0);
	peer_accepted[vid] = accept(peer_listenfd, NULL, NULL);
	assert_true(peer_accepted[vid] >= 0);
	return vu_device_ops.new_connection(vid);
}

void
peer_close_as(int vid)
{
	close(peer_clients[vid]);
	close(peer_accepted[vid]);
	vu_device_ops.destroy_connection(vid);
}

/* Sends a copy of the first nb descriptors: the handler owns those. */
int
peer_send_msg(struct wire_msg *msg, const int *fds, int nb)
{
	int i;

	msg->flags = 1;
	msg->nb_fds = nb;
	for (i = 0; i < nb && i < WIRE_MAX_FDS; i++)
		msg->fds[i] = fds[i] < 0 ? fds[i] : dup(fds[i]);
	return vu_extern_ops.pre_msg_handle(0, msg);
}

int
peer_send_u64(uint32_t request, uint64_t value, int fd)
{
	struct wire_msg msg = { .request = request, .size = 8, .payload.u64 = value };

	return peer_send_msg(&msg, &fd, fd >= 0);
}

int
peer_send_state(uint32_t request, uint32_t index, uint32_t num)
{
	return peer_send_u64(request, (uint64_t)num << 32 | index, -1);
}

int
peer_send_addr(uint32_t index, uint64_t base)
{
	struct wire_msg msg = {
		.request = WIRE_SET_VRING_ADDR,
		.size = sizeof(struct wire_addr),
		.payload.addr = { .index = index,
				.desc = base,
				.avail = base + 0x1000,
				.used = base + 0x2000 },
	};

	return peer_send_msg(&msg, NULL, 0);
}

int
peer_send_table(uint64_t gpa, uint64_t size)
{
	struct wire_msg msg = {
		.request = WIRE_SET_MEM_TABLE,
		.size = 8 + sizeof(struct wire_region),
		.payload.memory = { .nb = 1, .regions = { { gpa, size, MEM_USER, 0 } } },
	};

	return peer_send_msg(&msg, &peer_memfd, 1);
}

int
peer_new_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void
peer_set_up_ring(uint32_t index)
{
	int kickfd = peer_new_eventfd();

	assert_int_equal(peer_send_state(WIRE_SET_VRING_NUM, index, 64), OK);
	assert_int_equal(peer_send_state(WIRE_SET_VRING_BASE, index, 3), OK);
	assert_int_equal(peer_send_addr(index, MEM_USER + index * 0x4000), OK);
	assert_int_equal(peer_send_u64(WIRE_SET_VRING_KICK, index, kickfd), OK);
	close(kickfd);
}

void
peer_run_ring(uint32_t index)
{
	peer_set_up_ring(index);
	assert_int_equal(peer_send_state(WIRE_SET_VRING_ENABLE, index, 1), OK);
}

int
peer_setup(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	uint32_t i;

	assert_non_null(mkdtemp(dir));
	peer_tdev = (struct weir_tdev){
		.cfg = { .name = "d0", .nb_queues = NB_QUEUES, .events = &core, .dev = &peer_tdev },
		.vid = -1,
		.connfd = -1,
	};
	for (i = 0; i < WIRE_MAX_QUEUES; i++) {
		peer_tdev.rings[i].kickfd = -1;
		peer_tdev.callfds[i] = -1;
	}
	snprintf(peer_tdev.path, sizeof(peer_tdev.path), "%s/d0.sock", dir);
	memcpy(un.sun_path, peer_tdev.path, sizeof(un.sun_path));
	peer_listenfd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	peer_memfd = memfd_create("guest", MFD_CLOEXEC);
	if (bind(peer_listenfd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
			listen(peer_listenfd, 8) < 0 || ftruncate(peer_memfd, MEM_SIZE) < 0)
		return -1;
	peer_heard[0] = '\0';
	peer_stop_base = 0;
	assert_int_equal(peer_connect_as(0), 0);
	peer_assert_heard("connected ");
	assert_int_equal(peer_send_u64(WIRE_SET_FEATURES, VU_FEATURES, -1), FORWARD);
	assert_int_equal(peer_send_table(MEM_GPA, MEM_SIZE), OK);
	return 0;
}

int
peer_teardown(void **state)
{
	if (peer_tdev.vid >= 0)
		peer_close_as(peer_tdev.vid);
	close(peer_listenfd);
	close(peer_memfd);
	unlink(peer_tdev.path);
	rmdir(dir);
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	return 0;
}
