/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_VIRTIO_H
#define WEIR_VIRTIO_H

/**
 * @file
 * The device side of a virtqueue, split or packed (virtio 1.2, sections 2.7 and 2.8), with indirect
 * descriptors and event index. The ring lies in guest memory and is hostile: descriptors are copied
 * once, then checked; chains are bounded; every address is translated through the memory map
 * snapshot. A ring that breaks the rules becomes broken and stays so until it is started again;
 * nothing else suffers.
 *
 * A queue belongs to one worker from weir_vq_start() to weir_vq_stop().
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_power_intrinsics.h>

#include "weir_memmap.h"
#include "weir_role.h"

/** Feature bits (virtio 1.2, section 6) that this library understands. */
#define WEIR_VIRTIO_F_INDIRECT_DESC (1ULL << 28)
#define WEIR_VIRTIO_F_EVENT_IDX     (1ULL << 29)
#define WEIR_VIRTIO_F_VERSION_1     (1ULL << 32)
#define WEIR_VIRTIO_F_RING_PACKED   (1ULL << 34)

#define WEIR_VQ_MAX_SIZE 1024
/** Descriptors in one chain at most, indirect ones counted; Linux sends up to max_pages + 4. */
#define WEIR_VQ_MAX_CHAIN 1280

/**
 * What a transport knows of a ring when it starts. Where it stands is two free-running indices on a
 * split ring. On a packed one it is two places: the slot, and in bit 15 the wrap counter, which is 1
 * on the first turn.
 */
struct weir_vring_cfg {
	uint64_t desc_gpa;
	uint64_t avail_gpa; /**< packed: the driver's event suppression structure */
	uint64_t used_gpa; /**< packed: the device's */
	uint32_t size; /**< 2 to WEIR_VQ_MAX_SIZE; of a split ring a power of two */
	uint16_t avail_base; /**< the next avail entry to take */
	uint16_t used_base; /**< the next used entry to write */
	uint64_t features; /**< negotiated; WEIR_VIRTIO_F_RING_PACKED decides on the layout */
};

/** Where a ring stands when it stops, as in struct weir_vring_cfg. */
struct weir_vring_base {
	uint16_t avail;
	uint16_t used;
};

enum weir_vq_error {
	WEIR_VQ_OK,
	WEIR_VQ_BAD_AVAIL, /**< more entries than the ring has, those not given back counted */
	WEIR_VQ_BAD_HEAD, /**< head index outside the ring */
	WEIR_VQ_BAD_ID, /**< packed: buffer id not below the ring's size, or in use */
	WEIR_VQ_BAD_NEXT, /**< next index outside the table */
	WEIR_VQ_LOOP, /**< chain longer than its table or than WEIR_VQ_MAX_CHAIN */
	WEIR_VQ_BAD_ADDRESS, /**< a descriptor, or a table, outside guest memory */
	WEIR_VQ_BAD_LENGTH, /**< zero-length descriptor, or an indirect table's odd length */
	WEIR_VQ_BAD_INDIRECT, /**< indirect not negotiated, nested, or with NEXT where it must not */
	WEIR_VQ_BAD_ORDER, /**< readable after writable */
	WEIR_VQ_BROKEN_MEMORY, /**< the front end took the memory away */
	WEIR_VQ_NB_ERRORS,
};

/** Name of an error for logs and statistics. */
const char *weir_vq_error_name(enum weir_vq_error error);

/** One descriptor chain: segments of the readable part, then of the writable part. */
struct weir_chain {
	uint16_t head; /**< to be given back to weir_vq_push(); packed: the buffer id */
	uint32_t nb_in; /**< readable segments: segs[0] to segs[nb_in - 1] */
	uint32_t nb_out; /**< writable segments behind them */
	uint32_t in_bytes, out_bytes;
};

struct weir_vq_stats {
	uint64_t chains; /**< taken */
	uint64_t used; /**< given back */
	uint64_t interrupts; /**< weir_vq_flush() said true */
	uint64_t suppressed; /**< flushes with entries that needed no interrupt */
	uint64_t errors[WEIR_VQ_NB_ERRORS];
};

struct weir_vq {
	/* Set at start, constant while running. */
	const struct weir_memmap *map;
	const void *desc;
	void *avail;
	void *used;
	uint32_t size;
	bool packed;
	bool event_idx;
	bool indirect;
	/* The worker's. */
	uint16_t region; /**< of the map: where the last chain began */
	uint16_t last_avail; /**< next avail entry to take */
	uint16_t used_idx; /**< next used entry to write */
	uint16_t used_seen; /**< used index that was published last */
	uint16_t avail_seen; /**< avail index read last; split only */
	bool armed;
	uint32_t nb_untold; /**< used entries since the last flush; packed: their slots */
	enum weir_vq_error error; /**< not OK: broken, pops nothing until the next start */
	struct weir_vq_stats stats;
	/* The worker's, on a packed ring. */
	uint16_t first_flags; /**< of the first staged entry, which publish all staged ones */
	uint32_t nb_taken; /**< slots of chains that were not given back */
	uint16_t slots[WEIR_VQ_MAX_SIZE]; /**< of a chain, by id; 0: the id is free */
};

/**
 * Starts on a ring. The map is borrowed until weir_vq_stop(). Kicks are suppressed from here on.
 *
 * @return 0; -EINVAL (size, alignment); -EFAULT: a part of the ring is not wholly in one region.
 */
int WEIR_ON_WORKER weir_vq_start(struct weir_vq *vq, const struct weir_memmap *map,
		const struct weir_vring_cfg *cfg);

/**
 * Goes on with a running ring where it stands, but through another map, which is borrowed in place
 * of the first. Chains that were popped stay so. Kicks are suppressed, and a broken ring is whole
 * again. cfg is that of the start; its bases mean nothing.
 *
 * @return as weir_vq_start(); after an error the ring goes on in the old map.
 */
int WEIR_ON_WORKER weir_vq_remap(struct weir_vq *vq, const struct weir_memmap *map,
		const struct weir_vring_cfg *cfg);

/** Ends use of the ring and says where it stood: entries popped but not pushed count as taken. */
void WEIR_ON_WORKER weir_vq_stop(struct weir_vq *vq, struct weir_vring_base *base);

/**
 * Looks whether there are chains, and begins to fetch the descriptors of the next max: what the
 * driver has just written is in another CPU's cache. Takes nothing.
 *
 * @return 0: the ring is empty, or broken. Else at most as many as this, and at most max, can be
 *   popped now; a pop may yet say that there is none, or that the ring is broken.
 */
unsigned int WEIR_ON_WORKER weir_vq_look(struct weir_vq *vq, unsigned int max);

/**
 * Takes the next chain.
 *
 * @param segs  receives its segments; at least max_segs entries.
 * @return 1: *chain is filled; 0: the ring is empty, or broken; -EPROTO: this call found the ring
 *   broken (vq->error says how); -ENOBUFS: more than max_segs segments (region splits counted): the
 *   chain counts as taken, *chain holds its head, it must be pushed with length 0.
 */
int WEIR_ON_WORKER weir_vq_pop(struct weir_vq *vq, struct weir_chain *chain, struct weir_seg *segs,
		uint32_t max_segs);

/**
 * Undoes a pop: the chain will be popped again, read anew. Of the chains that are popped, only the
 * one popped last can be given back so, then the one before it, and so on; none may have been pushed
 * since it was popped.
 */
void WEIR_ON_WORKER weir_vq_unpop(struct weir_vq *vq, uint16_t head);

/** Stages one used entry: bytes is what was written into the chain. Nobody sees it yet. */
void WEIR_ON_WORKER weir_vq_push(struct weir_vq *vq, uint16_t head, uint32_t bytes);

/**
 * Lets a driver see the staged entries that looks by itself: it can work on the first answers of a
 * batch while we work on the others. weir_vq_flush() must follow before the caller rests.
 */
void WEIR_ON_WORKER weir_vq_publish(struct weir_vq *vq);

/**
 * Publishes staged entries. @return true when the driver wants an interrupt for those since the last
 * flush (virtio 1.2, sections 2.7.7, 2.7.10 and 2.8.10): the caller signals it.
 */
bool WEIR_ON_WORKER weir_vq_flush(struct weir_vq *vq);

/**
 * Asks for a kick at the next avail entry and looks once more. @return true when there are entries
 * already. A broken ring is armed to nothing and returns false.
 */
bool WEIR_ON_WORKER weir_vq_arm(struct weir_vq *vq);

/** Suppresses kicks again. */
void WEIR_ON_WORKER weir_vq_disarm(struct weir_vq *vq);

/** Describes the memory that a driver writes when it makes an entry available. */
void WEIR_ON_WORKER weir_vq_monitor(const struct weir_vq *vq, struct rte_power_monitor_cond *cond);

#endif /* WEIR_VIRTIO_H */
