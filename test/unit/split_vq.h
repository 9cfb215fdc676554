/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef SPLIT_VQ_H
#define SPLIT_VQ_H

/* A split ring, its device side and what the last pop gave, for the tests of weir_vq. */

#include "weir_virtio.h"

#include "guest_ring.h"

#define W VRING_DESC_F_WRITE
#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT

#define EVENT    WEIR_VIRTIO_F_EVENT_IDX
#define INDIRECT WEIR_VIRTIO_F_INDIRECT_DESC

#define MAX_SEGS 16

extern struct guest_ring ring;
extern struct weir_vq vq;
extern struct weir_chain chain;
extern struct weir_seg segs[MAX_SEGS];

/* Of the group: guest memory. */
int split_setup(void **state);
int split_teardown(void **state);

/* An empty ring whose next entries are base. */
void WEIR_ON_WORKER split_start(uint32_t size, uint64_t features, uint16_t base);

/* A chain of one writable buffer on every descriptor. */
void split_fill(void);

/* Into chain and segs. @return what weir_vq_pop() says. */
int WEIR_ON_WORKER split_pop(void);

/* The next pop finds the ring broken by this; it is started again. */
void WEIR_ON_WORKER split_pop_fails(enum weir_vq_error error);

#endif /* SPLIT_VQ_H */
