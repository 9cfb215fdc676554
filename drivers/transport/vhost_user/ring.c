/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_rcu_qsbr.h>

#include "vhost_user.h"

/* The wrap counter of a place in a packed ring. */
#define RING_FIRST_TURN 0x8000U

/*
 * Only what the kernel answers at once may be polled by a worker or written to: eventfds, and the
 * pipes that user-mode Linux sends. Anything else (a file on a hung mount) could hold a worker.
 */
static bool
ring_fd_is_notifier(int fd)
{
	static const char eventfd[] = "anon_inode:[eventfd]";
	char link[32], target[64];
	struct stat st;
	ssize_t len;

	if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
		return true;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, target, sizeof(target));
	return len == sizeof(eventfd) - 1 && memcmp(target, eventfd, len) == 0;
}

static void
ring_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

static bool
ring_is_complete(const struct weir_tdev *tdev, const struct vu_ring *ring)
{
	/* Without the bit there is no SET_VRING_ENABLE, and a ring runs from its kick on. */
	bool enabled = ring->enabled || !(atomic_load(&tdev->features) & WIRE_F_PROTOCOL_FEATURES);

	return enabled && ring->kicked && ring->addressed && ring->size > 0 && tdev->map != NULL;
}

/*
 * The front end tells where taking goes on. Where writing goes on the guest knows best: the index
 * that it reads. Read through our own map, so that a truncated file is no more than a zero.
 */
static int
ring_used_index(const struct weir_memmap *map, uint64_t used_gpa, uint16_t *index)
{
	struct weir_seg seg;

	if (weir_memmap_translate(map, used_gpa + offsetof(struct vring_used, idx), sizeof(*index),
			    &seg) < 0 ||
			seg.len != sizeof(*index))
		return -EFAULT;
	memcpy(index, weir_memmap_addr(map, &seg), sizeof(*index));
	return 0;
}

/*
 * Of a packed ring the guest has no such index, and the front end knows both places: that of the next
 * entry to take in the lower half of the base, that of the next one to write in the upper half. Some
 * (DPDK's virtio-user) send the lower half only, and mean the same place. Nobody else does: the upper
 * half would say that the whole ring and more is with us.
 */
static int
ring_bases(const struct weir_tdev *tdev, const struct vu_ring *ring, struct weir_vring_cfg *cfg)
{
	cfg->avail_base = ring->base;
	if (!(cfg->features & WEIR_VIRTIO_F_RING_PACKED))
		return ring_used_index(tdev->map, cfg->used_gpa, &cfg->used_base);
	cfg->used_base = ring->base >> 16;
	if (cfg->used_base == 0 && cfg->avail_base & RING_FIRST_TURN)
		cfg->used_base = cfg->avail_base;
	return 0;
}

static int WEIR_ON_TRANSPORT
ring_start(struct weir_tdev *tdev, uint32_t index)
{
	struct vu_ring *ring = &tdev->rings[index];
	struct weir_vq_start start = {
		.tdev = tdev,
		.index = index,
		.kickfd = ring->kickfd,
		.ring = {
			.size = ring->size,
			.features = atomic_load(&tdev->features),
		},
		.map = tdev->map,
	};

	if (vu_table_gpa(&tdev->table, ring->desc, &start.ring.desc_gpa) < 0 ||
			vu_table_gpa(&tdev->table, ring->avail, &start.ring.avail_gpa) < 0 ||
			vu_table_gpa(&tdev->table, ring->used, &start.ring.used_gpa) < 0 ||
			ring_bases(tdev, ring, &start.ring) < 0)
		return -EFAULT;
	ring->packed = start.ring.features & WEIR_VIRTIO_F_RING_PACKED;
	return tdev->cfg.events->vq_start(tdev->cfg.dev, &start);
}

void WEIR_ON_TRANSPORT
vu_ring_stop(struct weir_tdev *tdev, uint32_t index)
{
	struct vu_ring *ring = &tdev->rings[index];
	struct weir_vring_base base = { .avail = ring->base, .used = ring->base >> 16 };

	if (!ring->running)
		return;
	tdev->cfg.events->vq_stop(tdev->cfg.dev, index, &base);
	ring->running = false;
	ring->base = ring->packed ? (uint32_t)base.used << 16 | base.avail : base.avail;
	atomic_fetch_sub(&tdev->nb_running, 1);
}

void WEIR_ON_TRANSPORT
vu_ring_update(struct weir_tdev *tdev, uint32_t index)
{
	struct vu_ring *ring = &tdev->rings[index];
	int rc;

	if (!ring_is_complete(tdev, ring)) {
		vu_ring_stop(tdev, index);
		return;
	}
	if (ring->running)
		return;
	if (index >= tdev->cfg.nb_queues) {
		vu_log(tdev, WARNING, "the front end uses queue %u of %u: that queue is not served",
				index, tdev->cfg.nb_queues);
		return;
	}
	rc = ring_start(tdev, index);
	if (rc < 0) {
		vu_log(tdev, WARNING, "queue %u does not start: %s", index, rte_strerror(-rc));
		return;
	}
	ring->running = true;
	atomic_fetch_add(&tdev->nb_running, 1);
}

int WEIR_ON_TRANSPORT
vu_ring_set_kick(struct weir_tdev *tdev, uint32_t index, int fd)
{
	struct vu_ring *ring = &tdev->rings[index];

	if (fd >= 0 && !ring_fd_is_notifier(fd)) {
		close(fd);
		return -EINVAL;
	}
	vu_ring_stop(tdev, index);
	ring_close(ring->kickfd);
	ring->kickfd = fd;
	ring->kicked = true;
	return 0;
}

int WEIR_ON_TRANSPORT
vu_ring_set_call(struct weir_tdev *tdev, uint32_t index, int fd)
{
	uint64_t one = 1;
	int old;

	if (fd >= 0 && (!ring_fd_is_notifier(fd) || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)) {
		close(fd);
		return -EINVAL;
	}

	/* Release: pairs with the acquire in vu_ring_call(), for what made the descriptor usable. */
	old = atomic_exchange_explicit(&tdev->callfds[index], fd, memory_order_acq_rel);
	if (!tdev->rings[index].running) {
		ring_close(old);
		return 0;
	}
	/* A worker may have read the old number: it is done with it at its next quiescent state. */
	if (old >= 0) {
		rte_rcu_qsbr_synchronize(weir_workers_qsbr(), RTE_QSBR_THRID_INVALID);
		close(old);
	}
	/* What was signalled while nobody listened to the new one is not lost. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		vu_log(tdev, WARNING, "queue %u: no interrupt: %s", index, rte_strerror(errno));
	return 0;
}

void WEIR_ON_TRANSPORT
vu_ring_reset(struct weir_tdev *tdev, uint32_t index)
{
	struct vu_ring *ring = &tdev->rings[index];

	vu_ring_stop(tdev, index);
	ring_close(ring->kickfd);
	*ring = (struct vu_ring){ .kickfd = -1 };
	/* The ring does not run: no worker looks at its number. */
	ring_close(atomic_exchange(&tdev->callfds[index], -1));
}

/*
 * A full counter is as good as one more in it, and a descriptor that fails otherwise is the front
 * end's to regret: there is nothing to do about any error here.
 */
void WEIR_ON_WORKER
vu_ring_call(struct weir_tdev *tdev, uint16_t index)
{
	int fd = atomic_load_explicit(&tdev->callfds[index], memory_order_acquire);
	uint64_t one = 1;

	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		return;
}
