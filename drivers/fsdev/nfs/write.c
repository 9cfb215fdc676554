/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Written is not stored. What a server has answered UNSTABLE it may lose when it starts anew, until
 * a COMMIT, and says so by another verifier. weir does not keep the data, so it cannot send them
 * again: fsync() or close() of each file that is open then must fail, once.
 *
 * nfs_node.unstable is a tag of the verifier under which there are uncommitted data, 0 for none,
 * above a count of the writes, so that workers see each other's writes in one word:
 *
 *   WRITE  verifier V:  none or V -> V, one more.  another: the old data are lost; V, one more
 *   COMMIT verifier V:  sent at V, no write since -> none.  sent at V, writes since: stays, they may
 *                       have come later.  sent at another: its data are lost -> none
 */

#include <errno.h>
#include <fcntl.h>

#include <rte_common.h>

#include "nfs.h"

/* 0 is for none. A server that starts anew has one chance in 2^32 not to be noticed. */
static uint32_t
verifier_tag(uint64_t verifier)
{
	uint64_t h = verifier * UINT64_C(0x9e3779b97f4a7c15);
	uint32_t tag = (uint32_t)(h ^ h >> 32);

	return tag != 0 ? tag : 1;
}

static uint32_t
state_tag(uint64_t state)
{
	return (uint32_t)(state >> 32);
}

static uint64_t
state_make(uint32_t tag, uint32_t count)
{
	return (uint64_t)tag << 32 | count;
}

bool
nfs_is_unstable(const struct nfs_node *node)
{
	return state_tag(atomic_load(&node->unstable)) != 0;
}

static void WEIR_ON_WORKER
write_lost(struct nfs_chan *chan, struct nfs_node *node)
{
	atomic_fetch_add(&node->lost, 1);
	weir_counter_add(&chan->lost, 1);
}

void WEIR_ON_WORKER
nfs_written(struct nfs_chan *chan, struct nfs_node *node, uint64_t verifier)
{
	const uint32_t tag = verifier_tag(verifier);
	uint64_t state = atomic_load(&node->unstable);

	while (!atomic_compare_exchange_weak(
			&node->unstable, &state, state_make(tag, (uint32_t)state + 1)))
		;
	if (state_tag(state) != 0 && state_tag(state) != tag)
		write_lost(chan, node);
}

static void
commit_args(struct weir_fsreq *req, struct nfs_call *call, struct weir_xdr_enc *enc)
{
	struct nfs_node *node = nfs_node_of(req->node);

	nfs_ctx_of(req)->unstable = atomic_load(&node->unstable);
	nfs3_put_commit(enc, &node->fh);
}

static void WEIR_ON_WORKER
commit_lost(struct nfs_chan *chan, struct nfs_node *node, uint32_t tag)
{
	uint64_t state = atomic_load(&node->unstable);

	do {
		/* Somebody else has noticed it first. */
		if (state_tag(state) != tag)
			return;
	} while (!atomic_compare_exchange_weak(
			&node->unstable, &state, state_make(0, (uint32_t)state)));
	write_lost(chan, node);
}

/* The answer to the guest, once all is committed that can be. */
static int
sync_reply(struct weir_fsreq *req)
{
	uint32_t lost = atomic_load(&nfs_node_of(req->node)->lost);

	if (req->file == NULL)
		return 0;
	if ((req->flags & WEIR_FSREQ_SYNCFS) != 0)
		return atomic_load(&nfs_file_of(req->file)->lost) == lost ? 0 : -EIO;
	return atomic_exchange(&nfs_file_of(req->file)->lost, lost) == lost ? 0 : -EIO;
}

static int WEIR_ON_WORKER
commit_result(struct weir_fsreq *req, struct nfs_call *call, int rc, struct weir_xdr_dec *dec)
{
	uint64_t sent = nfs_ctx_of(req)->unstable;
	struct nfs_node *node = nfs_node_of(req->node);
	const uint32_t tag = state_tag(sent);
	struct nfs3_commit_res res;

	if (rc == 0)
		rc = nfs3_get_commit(dec, &res);
	if (rc < 0)
		return rc;
	/* An answer that was waited for long enough may find nothing left to do. */
	if (tag != 0 && verifier_tag(res.verifier) != tag)
		commit_lost(nfs_chan_of(req), node, tag);
	else
		atomic_compare_exchange_strong(
				&node->unstable, &sent, state_make(0, (uint32_t)sent));
	return sync_reply(req);
}

static const struct nfs_step commit_step = { NFSPROC3_COMMIT, commit_args, commit_result };

int WEIR_ON_WORKER
nfs_commit(struct weir_fsreq *req)
{
	if (!nfs_is_unstable(nfs_node_of(req->node)))
		return sync_reply(req);
	return nfs_call(req, &commit_step);
}

int WEIR_ON_WORKER
nfs_op_fsync(struct weir_channel *chan, struct weir_fsreq *req)
{
	nfs_begin(req);
	return nfs_commit(req);
}

/* Closing a file that was open for reading makes no promise about what others wrote. */
int WEIR_ON_WORKER
nfs_op_flush(struct weir_channel *chan, struct weir_fsreq *req)
{
	nfs_begin(req);
	if (req->file == NULL)
		return -EBADF;
	return (req->file->flags & O_ACCMODE) == O_RDONLY ? 0 : nfs_commit(req);
}
