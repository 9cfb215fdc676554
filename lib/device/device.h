/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef DEVICE_H
#define DEVICE_H

/**
 * @file
 * Private to lib/device. A device's queues are arbitrated by their workers: the transport says that
 * a ring is up or down, control says that the device runs or pauses, both by message, and the worker
 * polls a ring that is up and not paused. So neither needs a lock against the other.
 */

#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_mempool.h>

#include "weir_device.h"
#include "weir_fuse.h"
#include "weir_handoff.h"
#include "weir_log.h"
#include "weir_loop.h"
#include "weir_rpc.h"
#include "weir_stats.h"
#include "weir_trace.h"
#include "weir_transport.h"
#include "weir_virtio.h"
#include "weir_worker.h"

WEIR_LOG_USE(device);

#define DEVICE_NAME_MAX 256
#define DEVICE_TAG_MAX  36 /* virtio 1.2, section 5.11.4 */
#define DEVICE_VUID_MAX 64
/* Text: an lcore and a weight for each of WEIR_MAX_WORKERS. */
#define DEVICE_WEIGHTS_MAX 1024
#define DEVICE_IDMAP_MAX   4096

/* Segments that a request holds itself: a 64 KiB transfer in 4 KiB pages fits. */
#define DEVREQ_SEGS        24
#define DEVICE_NO_FUNCTION UINT32_MAX

struct device;
struct device_queue;
struct queue_move;

/* ---- pool.c ---- */

/* A memory snapshot as one queue uses it; the last request through it lets it go. */
struct mapref {
	struct weir_memmap *map;
	uint32_t nb_requests; /* the worker's */
	bool retired; /* the worker's: the queue goes through another one now */
	struct weir_post post;
};

/* One request on its way through a device. */
struct devreq {
	struct weir_fuse_req fuse;
	struct device_queue *queue;
	struct mapref *mapref;
	struct weir_seg *big; /* from the pool of big tables, or NULL */
	uint16_t head;
	bool detached;
	TAILQ_ENTRY(devreq) next;
	struct weir_seg segs[DEVREQ_SEGS];
};

int WEIR_ON_CONTROL devreq_pools_create(uint32_t nb_requests, uint32_t nb_big);
void WEIR_ON_CONTROL devreq_pools_destroy(void);
/* How many requests one queue may have in progress, so that none takes the whole pool. */
uint32_t devreq_queue_limit(void);
/* How many of nb requests may wait for locks. */
uint32_t devreq_waiters(uint32_t nb);
/* A request with room for DEVREQ_SEGS segments, from the pool of a node; NULL: none is free. */
struct devreq *WEIR_ON_WORKER devreq_get(int socket);
/* Gives it room for WEIR_VQ_MAX_CHAIN segments. False: none is free. */
bool WEIR_ON_WORKER devreq_grow(struct devreq *req, int socket);
void WEIR_ON_WORKER devreq_put(struct devreq *req);
/* Where its segments go. */
static inline struct weir_seg *
devreq_segs(struct devreq *req)
{
	return req->big != NULL ? req->big : req->segs;
}

/* On transport and control threads: may allocate. Takes its own reference to map. NULL: no memory. */
struct mapref *mapref_new(struct weir_memmap *map);
/* On the worker: the queue has turned away from it. */
void WEIR_ON_WORKER mapref_retire(struct mapref *ref);
/* On the worker: nothing uses it any more; control frees it. */
void WEIR_ON_WORKER mapref_drop(struct mapref *ref);
static inline void WEIR_ON_WORKER
mapref_release(struct mapref *ref)
{
	if (--ref->nb_requests == 0 && ref->retired)
		mapref_drop(ref);
}

/* ---- queue.c ---- */

/* Why a ring that is up is not polled. */
#define QUEUE_PAUSED_STOP  (1u << 0) /* the device is not started */
#define QUEUE_PAUSED_RESET (1u << 1) /* the session is being reset */
#define QUEUE_PAUSED_MOVE  (1u << 2) /* it is about to go to another worker */

/* The transport thread waits here until a ring has come to rest. */
struct queue_waiter {
	sem_t rest;
	struct weir_vring_base base;
};

struct queue_counters {
	weir_counter chains; /* taken from the ring */
	weir_counter used; /* given back */
	weir_counter detached; /* taken, and the guest went away */
	weir_counter released; /* detached ones that the backend has let go of */
	weir_counter interrupts; /* sent */
	weir_counter no_request; /* times a chain was left in the ring because a pool was empty */
	weir_counter overlong; /* chains of more segments than any driver sends */
	weir_counter broken; /* times the ring broke the rules */
};

struct device_queue {
	/* Set when the device is first started. */
	struct device *dev;
	uint16_t index;
	uint32_t turn; /* where along the device's plan its route begins */
	uint32_t limit; /* requests in progress at most */

	/* See move.c. */
	_Atomic(struct weir_worker *) worker; /* where messages for the queue go */
	_Atomic(struct weir_worker *) holder; /* who has it; NULL: it is on the way to worker */
	_Atomic int node; /* of the ring's memory; the transport's, for reports */
	bool moving; /* control's: a move is under way */

	/* The worker's. */
	struct weir_poller poller __rte_cache_aligned;
	struct weir_route route;
	struct weir_vq vq;
	_Atomic bool up; /* the guest has set the ring up; anybody reads */
	bool pinned; /* an operator has moved it: it comes up where it is */
	bool polled; /* the poller is registered */
	bool starved; /* the last poll left a chain in the ring because a pool was empty */
	uint32_t paused;
	int kickfd;
	struct weir_tdev *tdev; /* while up */
	uint32_t nb_inflight, nb_fencing, nb_detached;
	struct mapref *mapref;
	struct weir_vring_cfg ring;
	struct queue_waiter *waiter;
	struct weir_worker_call *quiet; /* control waits for nb_detached to become 0 */
	struct queue_move *move; /* it is to leave when nothing of it is in a backend */
	TAILQ_HEAD(, devreq) inflight;
	TAILQ_HEAD(, devreq) gone; /* detached, still in a backend */

	/* Written by the worker, read by anybody. */
	struct queue_counters counters __rte_cache_aligned;
	_Atomic uint32_t error; /* enum weir_vq_error, for reports */
	struct weir_post broken_post;
	_Atomic bool broken_posted;
};

/* turn: counts queues of all devices, so that what is spread evenly begins at different places. */
void device_queue_init(struct device_queue *q, struct device *dev, uint16_t index, uint32_t turn);
/* Events of the transport thread; each returns when the worker has done it. */
int WEIR_ON_TRANSPORT device_queue_up(struct device_queue *q, const struct weir_vq_start *start);
/* Requests that have not ended by themselves at grace_until_ns (CLOCK_MONOTONIC) are detached. */
void WEIR_ON_TRANSPORT device_queue_down(
		struct device_queue *q, uint64_t grace_until_ns, struct weir_vring_base *base);
int WEIR_ON_TRANSPORT device_queue_remap(struct device_queue *q, struct weir_memmap *map);
/* On the worker: sets and clears reasons to pause. */
void WEIR_ON_WORKER device_queue_pause(struct device_queue *q, uint32_t set, uint32_t clear);
/* On the worker: what waits for a lock is to be answered soon, granted or not. */
void WEIR_ON_WORKER device_queue_hurry(struct device_queue *q);
/* On the worker: ends call (weir_worker_call's done, on control) when nothing of q is in a backend. */
void WEIR_ON_WORKER device_queue_quiet(struct device_queue *q, struct weir_worker_call *call);

/* On the worker: its requests go the way that the device's plan has for them from here. */
void WEIR_ON_WORKER device_queue_route(struct device_queue *q);

/* ---- move.c: queues that change their worker ---- */

/* Where the queue is on another worker by now, sends msg there and returns true. */
bool WEIR_ON_WORKER device_queue_passed_on(struct device_queue *q, struct weir_msg *msg);
/* On the worker that holds the queue: it is another one's from now on, or when a message comes. */
void WEIR_ON_WORKER device_queue_give(
		struct device_queue *q, struct weir_worker *to, struct weir_msg *msg);
/* weir_worker_sync() with the worker that has the queue. */
void WEIR_ON_TRANSPORT device_queue_sync(struct device_queue *q, void (*fn)(void *arg), void *arg);
/* A queue that is to move and has come to rest goes; one that cannot is polled again. */
void WEIR_ON_WORKER device_queue_leave(struct device_queue *q);

/* ---- place.c: which worker a queue goes to ---- */

#define DEVICE_NO_NODE (-1)

/* What there is to choose from. */
struct device_place {
	int node;
	uint32_t weight; /* of the queues that are up there */
	uint32_t busy; /* recently, in thousandths */
};

/* NUMA node of guest memory, or DEVICE_NO_NODE. May touch the page. */
int device_memory_node(const struct weir_memmap *map, uint64_t gpa);
/* The best of nb > 0 places: on node where there is one, then with the least load. */
unsigned int device_place_best(const struct device_place *of, unsigned int nb, int node);
/* A queue that is about to come up goes to the best worker, unless something keeps it. */
void WEIR_ON_TRANSPORT device_queue_place(
		struct device_queue *q, const struct weir_vq_start *start);
/* On the worker: a queue that is up there counts from now on, or no more. */
void WEIR_ON_WORKER device_place_add(const struct device_queue *q);
void WEIR_ON_WORKER device_place_remove(const struct device_queue *q);
/* Queues that are up on a worker, and its share of busy time in the last second. Any thread. */
unsigned int device_place_queues(const struct weir_worker *worker);
double device_place_busy_percent(const struct weir_worker *worker);
/* Looks what workers spend their time on; more often than once a second does no harm. */
void WEIR_ON_CONTROL device_places_sample(void);

/* ---- spread.c: which backend workers a device's requests go to ---- */

struct device_plan;

/* What is wrong with weights for a spread, as words; NULL: nothing. */
const char *device_weights_refused(uint32_t spread, const char *weights);
/*
 * The order in which backend workers get requests; node: that of the file system, which is chosen
 * where each queue keeps to one worker. 0, -EINVAL for weights, -ENOMEM.
 */
int WEIR_ON_CONTROL device_plan_new(
		uint32_t spread, const char *weights, int node, struct device_plan **out);
void device_plan_free(struct device_plan *plan);
/* The route of a queue on a worker; queues begin at different places. Borrows the plan. */
void device_plan_route(const struct device_plan *plan, uint32_t start,
		const struct weir_worker *worker, struct weir_route *route);

/* ---- function.c: what a device can be put on ---- */

struct function {
	char vuid[DEVICE_VUID_MAX];
	char pci_address[32]; /* as the operator knows it; empty where nobody said */
	struct device *dev; /* bound to it, or NULL */
};

struct manager {
	char name[64];
	bool present; /* created */
	bool by_transport; /* by a transport's start, so that an explicit create may follow */
};

/* vuids: "VUID" or "VUID=PCI_ADDRESS", NULL-terminated; NULL: two functions of our own naming. */
int functions_init(const char *manager, const char *const *vuids);
void functions_fini(void);
/* The emulation manager; in software there is one. */
struct manager *manager_get(void);
struct function *function_find(const char *vuid);
/* [{"hot pluggable", "pci_address", "vuid", "function_type"}] of the manager. New reference. */
json_t *functions_json(void);

/* ---- tport.c: transports as users create and start them ---- */

struct tport {
	char name[32]; /* as the user named it: DOCA or the driver's own name */
	struct weir_transport *driver;
	bool started;
	uint32_t nb_devices;
	TAILQ_ENTRY(tport) next;
};

void tports_init(const char *socket_dir, const char *doca_stands_for);
/* Stops and frees all; no device is left. */
void tports_fini(void);
struct tport *tport_find(const char *name);
bool tports_any_started(void);

/* ---- device.c: the object, and steps over all its queues ---- */

enum device_state {
	DEVICE_IDLE,
	DEVICE_RUNNING,
	DEVICE_STOPPED,
	DEVICE_NB_STATES
};

/* How requests are spread over backend workers: the choices of io_core_distribution_policy. */
enum device_spread {
	DEVICE_SPREAD_NONE, /* those of one queue all to the same one */
	DEVICE_SPREAD_RR, /* to one after the other */
	DEVICE_SPREAD_WEIGHTED_RR, /* to some more often than to others */
};

/* What modify may change. */
struct device_conf {
	char tag[DEVICE_TAG_MAX + 1];
	char fsdev[DEVICE_NAME_MAX];
	uint32_t num_request_queues;
	uint32_t queue_size;
	uint32_t driver_platform;
	uint32_t spread; /* enum device_spread */
	char weights[DEVICE_WEIGHTS_MAX]; /* "LCORE=WEIGHT,..." */
	char uid_map[DEVICE_IDMAP_MAX]; /* as weir_fuse_idmap_refused() has it; empty: none */
	char gid_map[DEVICE_IDMAP_MAX];
	bool packed_vq;
};

/* The end of a control operation: rc and, for an error, one line. Exactly once. */
typedef void (*device_op_done)(void *arg, int rc, const char *message);

/* A message to every queue's worker and back. */
struct device_queue_call {
	struct weir_worker_call call;
	struct device_queue *queue;
	struct device_sweep *sweep;
};

struct device_sweep {
	struct device_queue_call *calls; /* one a queue */
	uint32_t left;
	void (*done)(struct device *dev);
};

struct device {
	/* Control's. */
	char name[DEVICE_NAME_MAX];
	struct device_conf conf;
	struct tport *tport;
	struct function *function;
	char manager[64];
	enum device_state state;
	const char *op_what; /* the operation under way; NULL: none */
	device_op_done op_done;
	void *op_arg;
	struct weir_fsdev *fsdev; /* in use by sess */
	struct weir_tdev *tdev; /* from the first start on */
	struct device_sweep op_sweep, reset_sweep;
	uint64_t broken_quiet_until_ns; /* no word about broken rings before then */
	bool resume_again;
	bool destroying;
	void (*after_reset)(struct device *dev);
	unsigned int nb_moves; /* of queues, under way */
	void (*after_moves)(struct device *dev);
	struct weir_timer patience; /* how long a destroy may keep its caller waiting */
	TAILQ_ENTRY(device) next;

	/* Set by control before the tdev exists, constant while it does. */
	struct weir_fuse_session *sess;
	struct device_queue *queues;
	uint32_t nb_queues;
	struct device_plan *plan;

	/* The transport's. */
	uint64_t grace_until_ns; /* of the rings that go down together */
	_Atomic bool connected;
	_Atomic uint32_t resets; /* guests that left and whose session control has not reset yet */
	_Atomic uint32_t resets_due; /* of them, those whose queues are paused */
	struct weir_post reset_post;
};

TAILQ_HEAD(device_list, device);
/* Control changes the list, and what telemetry reads of a device, under the write lock. */
extern struct device_list devices;
extern pthread_rwlock_t devices_lock;

const char *device_state_name(enum device_state state);
struct device *device_find(const char *name);
int device_new(const char *name, struct tport *tport, const struct device_conf *conf,
		struct device **out);
void device_free(struct device *dev);
/* Runs fn on every queue's worker, then done on control. */
void WEIR_ON_CONTROL device_sweep(struct device *dev, struct device_sweep *sweep,
		void (*fn)(struct weir_worker_call *call), void (*done)(struct device *dev));
/* The queue that a sweep's call is for. */
struct device_queue *device_call_queue(struct weir_worker_call *call);

/* ---- life.c: what takes time ---- */

/* All end through done, now or later; -EBUSY while another one is under way. */
void WEIR_ON_CONTROL device_start(struct device *dev, device_op_done done, void *arg);
void WEIR_ON_CONTROL device_stop(struct device *dev, device_op_done done, void *arg);
void WEIR_ON_CONTROL device_modify(
		struct device *dev, const struct device_conf *conf, device_op_done done, void *arg);
void WEIR_ON_CONTROL device_destroy(struct device *dev, device_op_done done, void *arg);
/* Devices that still exist, dying ones included, and requests that backends hold for them. */
void WEIR_ON_CONTROL devices_left(unsigned int *nb_devices, unsigned int *nb_stuck);

/* ---- events.c ---- */

extern const struct weir_transport_events device_events;
bool device_is_resetting(const struct device *dev);

/* ---- stats.c ---- */

int device_stats_register(void);
json_t *device_stats(const char *name);

#endif /* DEVICE_H */
