/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <string.h>

#include "fuse.h"

/*
 * Forgetting a guest, on live rings:
 *
 *   control:      phase becomes RESETTING of the next epoch; a message visits every worker. Who it
 *                 has visited has seen the new phase and opens no file and counts no lookup for
 *                 the old epoch: results of requests under way are undone as they come.
 *   home worker:  ends the waits for locks, which would keep files open, and
 *                 closes the files of the guest, a few at a time.
 *   control:      drops the lookups, slice by slice; phase becomes IDLE; what waited goes on.
 *
 * A request under way keeps the node and the file that it uses, and closes the file as it ends.
 */

#define CLOSE_SLICE 64

static void WEIR_ON_CONTROL
reset_finish(struct weir_fuse_session *sess)
{
	void (*done)(void *arg) = sess->done;
	struct weir_fuse_req *req, *next;

	sess->resetting = false;
	sess->done = NULL;
	atomic_fetch_and_explicit(&sess->phase, ~FUSE_STATE_MASK, memory_order_release);
	static_assert(FUSE_IDLE == 0, "what the mask leaves");

	/* Acquire pairs with the release in fuse_reset_wait(). */
	req = atomic_exchange_explicit(&sess->waiting, NULL, memory_order_acquire);
	for (; req != NULL; req = next) {
		next = req->next;
		weir_worker_send(req->worker, &req->msg);
	}
	weir_log(fuse, INFO, "%s: guest forgotten", sess->name);
	if (done != NULL)
		done(sess->done_arg);
}

static void
reset_walk(struct weir_post *post)
{
	struct weir_fuse_session *sess = container_of(post, struct weir_fuse_session, walk_post);

	weir_role_assume_control();
	if (fuse_ledger_drop_slice(sess)) {
		weir_loop_post(&sess->walk_post);
		return;
	}
	fuse_idle_drop(sess);
	reset_finish(sess);
}

/*
 * By a message: who hears that the reset has ended may delete the file system, which counts a request
 * for as long as its done() runs.
 */
static void WEIR_ON_WORKER
reset_go_on(struct weir_fuse_session *sess)
{
	weir_worker_send(sess->home, &sess->close_msg);
}

static void WEIR_ON_WORKER
reset_close_done(struct weir_fsreq *io, int res)
{
	struct fuse_closer *closer = container_of(io, struct fuse_closer, io);
	struct weir_fuse_session *sess = closer->sess;

	(void)res; /* there is nobody to tell */
	fuse_file_free(sess, closer->file);
	closer->file = NULL;
	sess->nb_closing--;
	if (sess->close_paused) {
		sess->close_paused = false;
		reset_go_on(sess);
	}
}

static struct fuse_closer *WEIR_ON_WORKER
reset_closer(struct weir_fuse_session *sess)
{
	for (unsigned int i = 0; i < RTE_DIM(sess->closer); i++)
		if (sess->closer[i].file == NULL)
			return &sess->closer[i];
	return NULL;
}

/* The caller has made sure of an idle closer. */
static void WEIR_ON_WORKER
reset_close_file(struct weir_fuse_session *sess, uint32_t index)
{
	struct fuse_file *file = weir_table_get_index(sess->files, index);
	struct fuse_closer *closer = reset_closer(sess);

	if (file == NULL)
		return;
	fuse_file_close(sess, file);
	if (!fuse_file_put(sess, file))
		return;
	closer->file = file;
	sess->nb_closing++;
	fuse_file_release(sess, file, &closer->io, weir_fsdev_channel(sess->dev), reset_close_done);
}

/* Pauses while all closers are busy, and at the end until none is. */
static void WEIR_ON_WORKER
reset_close_files(struct weir_fuse_session *sess)
{
	uint32_t end = weir_table_end(sess->files);

	for (unsigned int i = 0; i < CLOSE_SLICE && sess->close_pos < end; i++) {
		if (sess->nb_closing == RTE_DIM(sess->closer)) {
			sess->close_paused = true;
			return;
		}
		reset_close_file(sess, sess->close_pos++);
	}
	if (sess->close_pos < end)
		reset_go_on(sess);
	else if (sess->nb_closing > 0)
		sess->close_paused = true;
	else
		weir_loop_post(&sess->walk_post);
}

static void
reset_close(struct weir_msg *msg)
{
	weir_role_assume_worker();
	reset_close_files(container_of(msg, struct weir_fuse_session, close_msg));
}

static void WEIR_ON_WORKER
reset_waits_ended(struct weir_fsreq *io, int res)
{
	struct weir_fuse_session *sess = container_of(io, struct weir_fuse_session, end_waits);

	(void)res; /* whether anybody has waited */
	reset_go_on(sess);
}

static void
reset_end_waits(struct weir_msg *msg)
{
	struct weir_fuse_session *sess = container_of(msg, struct weir_fuse_session, visit_msg);
	struct weir_fsreq *io = &sess->end_waits;

	weir_role_assume_worker();
	if (!weir_fsdev_has(sess->dev, WEIR_FSOP_ENDWAIT)) {
		reset_close_files(sess);
		return;
	}
	memset(io, 0, offsetof(struct weir_fsreq, ctx));
	io->op = WEIR_FSOP_ENDWAIT;
	io->chan = weir_fsdev_channel(sess->dev);
	io->in.lock.guest = (uintptr_t)sess;
	io->done = reset_waits_ended;
	weir_fsdev_submit(io);
}

/* Between two rounds of one worker after the other; the last one passes on to the home worker. */
static void
reset_visit(struct weir_msg *msg)
{
	struct weir_fuse_session *sess = container_of(msg, struct weir_fuse_session, visit_msg);

	weir_role_assume_worker();
	if (++sess->nb_visited < weir_workers_count()) {
		weir_worker_send(weir_worker_at(sess->nb_visited), &sess->visit_msg);
		return;
	}
	msg->fn = reset_end_waits;
	weir_worker_send(sess->home, msg);
}

static void WEIR_ON_CONTROL
reset_begin(struct weir_fuse_session *sess)
{
	uint32_t phase = atomic_load_explicit(&sess->phase, memory_order_relaxed);
	uint32_t next;

	if (sess->resetting)
		return;
	sess->resetting = true;
	do {
		next = ((phase & ~FUSE_STATE_MASK) + FUSE_EPOCH_ONE) | FUSE_RESETTING;
	} while (!atomic_compare_exchange_weak_explicit(
			&sess->phase, &phase, next, memory_order_acq_rel, memory_order_relaxed));
	sess->ledger_pos = 0;
	sess->close_pos = 0;
	sess->nb_visited = 0;
	sess->visit_msg.fn = reset_visit;
	weir_worker_send(weir_worker_at(0), &sess->visit_msg);
}

static void
reset_wanted(struct weir_post *post)
{
	struct weir_fuse_session *sess = container_of(post, struct weir_fuse_session, reset_post);

	weir_role_assume_control();
	atomic_store_explicit(&sess->reset_posted, false, memory_order_release);
	reset_begin(sess);
}

static void
reset_over(struct weir_msg *msg)
{
	weir_role_assume_worker();
	fuse_restart(container_of(msg, struct weir_fuse_req, msg));
}

void WEIR_ON_WORKER
fuse_reset_wait(struct weir_fuse_req *req)
{
	struct weir_fuse_session *sess = req->sess;

	fuse_req_step(req, FUSE_REQ_NEW, FUSE_REQ_WAITING);
	req->msg.fn = reset_over;
	req->next = atomic_load_explicit(&sess->waiting, memory_order_relaxed);
	/* Release pairs with the acquire in reset_finish(). */
	while (!atomic_compare_exchange_weak_explicit(&sess->waiting, &req->next, req,
			memory_order_release, memory_order_relaxed))
		;
	/*
	 * Only after it is listed: a reset that this wakes, or that is under way and ends after the
	 * message was taken, finds it.
	 */
	if (!atomic_exchange_explicit(&sess->reset_posted, true, memory_order_acq_rel))
		weir_loop_post(&sess->reset_post);
}

void
weir_fuse_session_reset(struct weir_fuse_session *sess, void (*done)(void *arg), void *arg)
{
	RTE_ASSERT(sess->done == NULL);
	sess->done = done;
	sess->done_arg = arg;
	reset_begin(sess);
}

void WEIR_ON_CONTROL
fuse_reset_init(struct weir_fuse_session *sess)
{
	sess->walk_post.fn = reset_walk;
	sess->reset_post.fn = reset_wanted;
	sess->close_msg.fn = reset_close;
	for (unsigned int i = 0; i < RTE_DIM(sess->closer); i++)
		sess->closer[i].sess = sess;
}
