/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "fe_packed.h"
#include "fe_ring.h"

/* Spins between two looks at the clock. */
#define RING_SPINS 1024
/* An interrupt comes no later than this behind its entry. */
#define RING_LATE_MS 500

static uint64_t
ring_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/* Virtio 1.2, section 2.7: the two event words lie behind the entries of the rings. */
static uint16_t *
ring_used_event(const struct fe_ring *ring)
{
	return &ring->avail->ring[ring->size];
}

static uint16_t *
ring_avail_event(const struct fe_ring *ring)
{
	return (uint16_t *)&ring->used->ring[ring->size];
}

static int
ring_place(struct fe_ring *ring, struct fe_mem *mem)
{
	struct fe_buf desc, avail, used;
	int rc;

	rc = fe_mem_alloc(mem, ring->size * sizeof(struct vring_desc), 16, &desc);
	if (rc == 0)
		rc = fe_mem_alloc(mem, sizeof(uint16_t) * (3 + ring->size), 2, &avail);
	if (rc == 0)
		rc = fe_mem_alloc(mem, 6 + sizeof(struct vring_used_elem) * ring->size, 4, &used);
	if (rc < 0)
		return rc;

	ring->desc = desc.va;
	ring->avail = avail.va;
	ring->used = used.va;
	ring->desc_gpa = desc.gpa;
	ring->avail_gpa = avail.gpa;
	ring->used_gpa = used.gpa;
	return 0;
}

int
fe_ring_create(struct fe_ring *ring, struct fe_mem *mem, uint16_t size, unsigned int flags)
{
	int rc;

	memset(ring, 0, sizeof(*ring));
	ring->size = size;
	ring->flags = flags;
	ring->kickfd = -1;
	ring->callfd = -1;

	rc = flags & FE_RING_PACKED ? fe_packed_place(ring, mem) : ring_place(ring, mem);
	if (rc < 0)
		return rc;

	ring->token = calloc(size, sizeof(*ring->token));
	ring->id = calloc(size, sizeof(*ring->id));
	ring->kickfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->callfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->token == NULL || ring->id == NULL || ring->kickfd < 0 || ring->callfd < 0) {
		fe_ring_destroy(ring);
		return -ENOMEM;
	}
	fe_ring_reset(ring, 0);
	return 0;
}

void
fe_ring_destroy(struct fe_ring *ring)
{
	if (ring->kickfd >= 0)
		close(ring->kickfd);
	if (ring->callfd >= 0)
		close(ring->callfd);
	free(ring->token);
	free(ring->id);
	ring->token = NULL;
	ring->id = NULL;
	ring->kickfd = -1;
	ring->callfd = -1;
}

void
fe_ring_reset(struct fe_ring *ring, uint16_t base)
{
	uint16_t i;

	if (ring->flags & FE_RING_PACKED) {
		fe_packed_reset(ring);
		return;
	}
	for (i = 0; i < ring->size; i++) {
		ring->desc[i].next = i + 1;
		ring->token[i] = NULL;
	}
	ring->base = base;
	ring->free_head = 0;
	ring->nb_free = ring->size;
	ring->avail_idx = base;
	ring->published = base;
	ring->last_used = base;
	ring->avail->idx = base;
	ring->used->idx = base;
	ring->used->flags = 0;
	*ring_avail_event(ring) = base;
	*ring_used_event(ring) = base - 1;
	ring->avail->flags = ring->flags & FE_RING_POLL ? VRING_AVAIL_F_NO_INTERRUPT : 0;
}

static void
desc_fill(struct vring_desc *desc, const struct fe_sg *sg, unsigned int i, unsigned int nb_read,
		unsigned int nb)
{
	desc->addr = sg[i].gpa;
	desc->len = sg[i].len;
	desc->flags = (i < nb_read ? 0 : VRING_DESC_F_WRITE) | (i + 1 < nb ? VRING_DESC_F_NEXT : 0);
}

static void
ring_fill_indirect(struct fe_ring *ring, const struct fe_buf *table, unsigned int nb)
{
	struct vring_desc *head = &ring->desc[ring->free_head];

	ring->free_head = head->next;
	ring->nb_free--;
	head->addr = table->gpa;
	head->len = nb * sizeof(*head);
	head->flags = VRING_DESC_F_INDIRECT;
}

static void
ring_fill_direct(
		struct fe_ring *ring, const struct fe_sg *sg, unsigned int nb_read, unsigned int nb)
{
	unsigned int i;

	/* The free list links through next, which so is the chain's link already. */
	for (i = 0; i < nb; i++) {
		struct vring_desc *desc = &ring->desc[ring->free_head];

		desc_fill(desc, sg, i, nb_read, nb);
		ring->free_head = desc->next;
	}
	ring->nb_free -= nb;
}

static void
ring_add_head(struct fe_ring *ring, uint16_t head, void *token)
{
	ring->token[head] = token;
	ring->avail->ring[ring->avail_idx % ring->size] = head;
	ring->avail_idx++;
}

int
fe_ring_add_table(struct fe_ring *ring, const struct fe_buf *table, unsigned int nb, void *token)
{
	uint16_t head = ring->free_head;

	if (ring->flags & FE_RING_PACKED)
		return fe_packed_add_table(ring, table, nb, token);
	if (ring->nb_free < 1)
		return -ENOSPC;
	ring_fill_indirect(ring, table, nb);
	ring_add_head(ring, head, token);
	return 0;
}

int
fe_ring_add(struct fe_ring *ring, const struct fe_sg *sg, unsigned int nb_read,
		unsigned int nb_write, const struct fe_buf *table, void *token)
{
	unsigned int nb = nb_read + nb_write;
	uint16_t head = ring->free_head;
	unsigned int i;

	if (ring->flags & FE_RING_PACKED)
		return fe_packed_add(ring, sg, nb_read, nb_write, table, token);
	if (table != NULL && nb > 1 && (ring->flags & FE_RING_INDIRECT)) {
		struct vring_desc *entry = table->va;

		if (nb > table->len / sizeof(*entry))
			return -ENOSPC;
		for (i = 0; i < nb; i++) {
			desc_fill(&entry[i], sg, i, nb_read, nb);
			entry[i].next = i + 1;
		}
		return fe_ring_add_table(ring, table, nb, token);
	}

	if (ring->nb_free < nb)
		return -ENOSPC;
	ring_fill_direct(ring, sg, nb_read, nb);
	ring_add_head(ring, head, token);
	return 0;
}

void
fe_ring_kick(struct fe_ring *ring)
{
	const uint64_t one = 1;

	ring->nb_kicks++;
	if (write(ring->kickfd, &one, sizeof(one)) < 0)
		ring->nb_kicks--;
}

void
fe_ring_publish(struct fe_ring *ring)
{
	uint16_t old = ring->published;
	uint16_t new = ring->avail_idx;
	bool wanted;

	if (ring->flags & FE_RING_PACKED) {
		if (fe_packed_publish(ring))
			fe_ring_kick(ring);
		return;
	}
	/* Pairs with the device's read of avail->idx: it sees the entries before the index. */
	__atomic_store_n(&ring->avail->idx, new, __ATOMIC_RELEASE);
	ring->published = new;

	/* Pairs with the device's fence between asking for kicks and its last look at the index. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ring->flags & FE_RING_EVENT_IDX)
		wanted = vring_need_event(__atomic_load_n(ring_avail_event(ring), __ATOMIC_RELAXED),
				new, old);
	else
		wanted = (__atomic_load_n(&ring->used->flags, __ATOMIC_RELAXED) &
					 VRING_USED_F_NO_NOTIFY) == 0;
	if (wanted && new != old)
		fe_ring_kick(ring);
}

static void
ring_free_chain(struct fe_ring *ring, uint16_t head)
{
	uint16_t last = head;
	uint16_t nb = 1;

	while ((ring->desc[last].flags & VRING_DESC_F_NEXT) && nb < ring->size) {
		last = ring->desc[last].next;
		nb++;
	}
	ring->desc[last].next = ring->free_head;
	ring->free_head = head;
	ring->nb_free += nb;
	ring->token[head] = NULL;
}

bool
fe_ring_ready(const struct fe_ring *ring)
{
	if (ring->flags & FE_RING_PACKED)
		return fe_packed_ready(ring);
	/* Pairs with the device's release of used->idx: answers are whole when it is seen. */
	return __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) != ring->last_used;
}

int
fe_ring_pop(struct fe_ring *ring, void **token, uint32_t *len)
{
	const struct vring_used_elem *elem;
	uint16_t idx;

	if (ring->flags & FE_RING_PACKED)
		return fe_packed_pop(ring, token, len);
	idx = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
	if (idx == ring->last_used)
		return 0;
	if ((uint16_t)(idx - ring->last_used) > ring->size)
		return -EPROTO;

	elem = &ring->used->ring[ring->last_used % ring->size];
	if (elem->id >= ring->size || ring->token[elem->id] == NULL)
		return -EPROTO;

	*token = ring->token[elem->id];
	*len = elem->len;
	ring_free_chain(ring, elem->id);
	ring->last_used++;
	return 1;
}

/* Asks for an interrupt at the next used entry. @return true when there is one already. */
static bool
ring_arm(struct fe_ring *ring)
{
	if (ring->flags & FE_RING_PACKED)
		fe_packed_want(ring);
	else if (ring->flags & FE_RING_EVENT_IDX)
		__atomic_store_n(ring_used_event(ring), ring->last_used, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&ring->avail->flags, 0, __ATOMIC_RELAXED);

	/* Pairs with the device's fence between publishing used->idx and reading what we wrote. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return fe_ring_ready(ring);
}

static int
ring_spin(struct fe_ring *ring, unsigned int timeout_ms)
{
	uint64_t end = 0;
	unsigned int i;

	for (;;) {
		for (i = 0; i < RING_SPINS; i++) {
			if (fe_ring_ready(ring))
				return 1;
			__builtin_ia32_pause();
		}
		/* The device may need this very CPU. */
		sched_yield();
		if (end == 0)
			end = ring_now_ms() + timeout_ms;
		else if (ring_now_ms() >= end)
			return 0;
	}
}

int
fe_ring_new_call(struct fe_ring *ring)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	close(ring->callfd);
	ring->callfd = fd;
	return 0;
}

/* Takes the interrupt that is there or comes within timeout_ms. */
static bool
ring_interrupted(struct fe_ring *ring, int timeout_ms)
{
	struct pollfd pfd = { .fd = ring->callfd, .events = POLLIN };
	uint64_t value;

	if (poll(&pfd, 1, timeout_ms) <= 0 || read(ring->callfd, &value, sizeof(value)) < 0)
		return false;
	ring->nb_calls += value;
	return true;
}

int
fe_ring_wait(struct fe_ring *ring, unsigned int timeout_ms)
{
	uint64_t end;

	if (fe_ring_ready(ring))
		return 1;
	if (ring->flags & FE_RING_POLL)
		return ring_spin(ring, timeout_ms);

	end = ring_now_ms() + timeout_ms;
	while (!ring_arm(ring)) {
		uint64_t now = ring_now_ms();

		if (ring_interrupted(ring, now < end ? end - now : 0))
			continue;
		if (!fe_ring_ready(ring))
			return 0;
		/* It came at the last moment, or the device forgot to tell. */
		if (!ring_interrupted(ring, RING_LATE_MS))
			ring->nb_missed++;
	}
	return 1;
}
