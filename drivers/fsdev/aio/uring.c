/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * One ring a channel, used by its worker alone. What a round of the worker prepared is submitted
 * by the poller in one call; answers wake a sleeping worker through an eventfd, which is quiet
 * while the worker is awake.
 */

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "aio.h"

/* Answers that one round deals with. */
#define RING_BURST 64

static int
ring_init(struct io_uring *ring)
{
	int rc;

	/* Where the kernel can, an answer waits for our next look instead of interrupting us. */
	rc = io_uring_queue_init(AIO_RING_ENTRIES, ring,
			IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
	return rc == -EINVAL ? io_uring_queue_init(AIO_RING_ENTRIES, ring, 0) : rc;
}

bool WEIR_ON_HELPER
aio_ring_probe(void)
{
	struct io_uring ring;

	if (ring_init(&ring) < 0)
		return false;
	io_uring_queue_exit(&ring);
	return true;
}

/* What has no personality of its own is done as the thread is now. */
static int
ring_submit(struct aio_chan *achan)
{
	int rc = 0;

	weir_role_assume_helper();
	if (achan->keeps)
		rc = aio_cred_kill(false);
	if (rc == 0)
		rc = io_uring_submit(&achan->ring);
	achan->keeps = io_uring_sq_ready(&achan->ring) > 0;
	return rc;
}

static void WEIR_ON_WORKER
ring_answer(struct aio_ctx *ctx, int res)
{
	struct weir_fsreq *req = weir_fsreq_of(ctx);

	atomic_store(&ctx->state, AIO_IDLE);
	ctx->res = res;
	aio_end(req, ctx->finish(req->chan, req));
}

static int
ring_poll(struct weir_poller *poller)
{
	struct aio_chan *achan = container_of(poller, struct aio_chan, poller);
	struct io_uring_cqe *cqe;
	struct aio_ctx *ctx;
	int nb, res;

	weir_role_assume_worker();
	if (achan->inflight == 0)
		return 0;
	if (io_uring_sq_ready(&achan->ring) > 0)
		(void)ring_submit(achan);
	for (nb = 0; nb < RING_BURST && io_uring_peek_cqe(&achan->ring, &cqe) == 0; nb++) {
		ctx = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&achan->ring, cqe);
		achan->inflight--;
		if (ctx != NULL)
			ring_answer(ctx, res);
	}
	return nb;
}

static bool
ring_arm(struct weir_poller *poller)
{
	struct aio_chan *achan = container_of(poller, struct aio_chan, poller);
	struct io_uring_cqe *cqe;

	if (achan->inflight == 0)
		return false;
	(void)io_uring_cq_eventfd_toggle(&achan->ring, true);
	if (io_uring_sq_ready(&achan->ring) > 0)
		(void)ring_submit(achan);
	return io_uring_sq_ready(&achan->ring) > 0 || io_uring_peek_cqe(&achan->ring, &cqe) == 0;
}

static void
ring_disarm(struct weir_poller *poller)
{
	struct aio_chan *achan = container_of(poller, struct aio_chan, poller);

	(void)io_uring_cq_eventfd_toggle(&achan->ring, false);
}

/* At the channel's start and end system calls are allowed. */
static void
ring_free(struct aio_chan *achan)
{
	io_uring_queue_exit(&achan->ring);
	if (achan->event_fd >= 0)
		close(achan->event_fd);
}

/* Of this thread as it is without CAP_FSETID. */
static int WEIR_ON_WORKER
ring_personality(struct io_uring *ring)
{
	int rc, id;

	weir_role_assume_helper();
	rc = aio_cred_kill(true);
	if (rc < 0)
		return rc;
	id = io_uring_register_personality(ring);
	rc = aio_cred_kill(false);
	return rc < 0 ? rc : id;
}

int WEIR_ON_WORKER
aio_ring_start(struct aio_chan *achan)
{
	int rc;

	rc = ring_init(&achan->ring);
	if (rc < 0)
		return rc;
	achan->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = achan->event_fd < 0 ? -errno : 0;
	if (rc == 0)
		rc = io_uring_register_eventfd(&achan->ring, achan->event_fd);
	if (rc == 0)
		rc = weir_worker_fd_add(achan->event_fd, &achan->poller);
	if (rc < 0) {
		ring_free(achan);
		return rc;
	}
	(void)io_uring_cq_eventfd_toggle(&achan->ring, false);
	achan->personality = ring_personality(&achan->ring);
	achan->poller = (struct weir_poller){
		.name = "aio",
		.poll = ring_poll,
		.arm = ring_arm,
		.disarm = ring_disarm,
		.parks = true,
	};
	weir_poller_add(&achan->poller);
	achan->inflight = 0;
	achan->has_ring = true;
	return 0;
}

void WEIR_ON_WORKER
aio_ring_stop(struct aio_chan *achan)
{
	if (!achan->has_ring)
		return;
	achan->has_ring = false;
	weir_poller_del(&achan->poller);
	weir_worker_fd_del(achan->event_fd);
	ring_free(achan);
}

struct io_uring_sqe *WEIR_ON_WORKER
aio_ring_sqe(struct aio_chan *achan)
{
	struct io_uring_sqe *sqe;

	/* The completion ring is twice as large: cancellations find room too. */
	if (achan->inflight >= AIO_RING_ENTRIES)
		return NULL;
	sqe = io_uring_get_sqe(&achan->ring);
	if (sqe == NULL && ring_submit(achan) > 0)
		sqe = io_uring_get_sqe(&achan->ring);
	return sqe;
}

int WEIR_ON_WORKER
aio_ring_send(struct aio_chan *achan, struct io_uring_sqe *sqe, struct weir_fsreq *req,
		weir_fsop_fn finish)
{
	struct aio_ctx *ctx = aio_ctx_of(req);

	ctx->finish = finish;
	io_uring_sqe_set_data(sqe, ctx);
	atomic_store(&ctx->state, AIO_KERNEL);
	achan->inflight++;
	weir_poller_wake(&achan->poller);
	return -EINPROGRESS;
}

void WEIR_ON_WORKER
aio_ring_cancel(struct aio_chan *achan, struct weir_fsreq *req)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&achan->ring);

	/* Without room the request ends by itself: it is local disk work. */
	if (sqe == NULL)
		return;
	io_uring_prep_cancel(sqe, aio_ctx_of(req), 0);
	io_uring_sqe_set_data(sqe, NULL);
	achan->inflight++;
	weir_poller_wake(&achan->poller);
	(void)ring_submit(achan);
}
