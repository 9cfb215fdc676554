/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_debug.h>

#include "fsdev.h"
#include "handoff.h"

static const char *const fsop_names[] = {
	[WEIR_FSOP_LOOKUP] = "lookup",
	[WEIR_FSOP_GETATTR] = "getattr",
	[WEIR_FSOP_SETATTR] = "setattr",
	[WEIR_FSOP_READLINK] = "readlink",
	[WEIR_FSOP_SYMLINK] = "symlink",
	[WEIR_FSOP_MKNOD] = "mknod",
	[WEIR_FSOP_MKDIR] = "mkdir",
	[WEIR_FSOP_UNLINK] = "unlink",
	[WEIR_FSOP_RMDIR] = "rmdir",
	[WEIR_FSOP_RENAME] = "rename",
	[WEIR_FSOP_LINK] = "link",
	[WEIR_FSOP_OPEN] = "open",
	[WEIR_FSOP_CREATE] = "create",
	[WEIR_FSOP_READ] = "read",
	[WEIR_FSOP_WRITE] = "write",
	[WEIR_FSOP_STATFS] = "statfs",
	[WEIR_FSOP_RELEASE] = "release",
	[WEIR_FSOP_FLUSH] = "flush",
	[WEIR_FSOP_FSYNC] = "fsync",
	[WEIR_FSOP_OPENDIR] = "opendir",
	[WEIR_FSOP_READDIR] = "readdir",
	[WEIR_FSOP_RELEASEDIR] = "releasedir",
	[WEIR_FSOP_FSYNCDIR] = "fsyncdir",
	[WEIR_FSOP_ACCESS] = "access",
	[WEIR_FSOP_TMPFILE] = "tmpfile",
	[WEIR_FSOP_STATX] = "statx",
	[WEIR_FSOP_GETXATTR] = "getxattr",
	[WEIR_FSOP_SETXATTR] = "setxattr",
	[WEIR_FSOP_LISTXATTR] = "listxattr",
	[WEIR_FSOP_REMOVEXATTR] = "removexattr",
	[WEIR_FSOP_FALLOCATE] = "fallocate",
	[WEIR_FSOP_LSEEK] = "lseek",
	[WEIR_FSOP_COPY_FILE_RANGE] = "copy_file_range",
	[WEIR_FSOP_SYNCFS] = "syncfs",
	[WEIR_FSOP_IOCTL] = "ioctl",
	[WEIR_FSOP_GETLK] = "getlk",
	[WEIR_FSOP_SETLK] = "setlk",
	[WEIR_FSOP_ENDWAIT] = "endwait",
};
static_assert(RTE_DIM(fsop_names) == WEIR_NB_FSOPS, "each verb has a name");

const char *
weir_fsop_name(enum weir_fsop op)
{
	return (unsigned int)op < RTE_DIM(fsop_names) ? fsop_names[op] : "unknown";
}

/* Release pairs with the acquire in fsdev_requests(): control deletes when it sees 0. */
static void
channel_count(struct weir_channel *chan, int64_t n)
{
	__atomic_store_n(&chan->nb_requests, chan->nb_requests + (uint64_t)n, __ATOMIC_RELEASE);
}

void WEIR_ON_WORKER
fsreq_run(struct weir_fsreq *req)
{
	struct weir_channel *chan = req->chan;
	weir_fsop_fn fn = chan->dev->driver->ops->op[req->op];
	int res = -ENOSYS;

	if (weir_fsreq_detached(req))
		res = -ECANCELED;
	else if (fn != NULL)
		res = fn(chan, req);
	if (res != -EINPROGRESS)
		weir_fsreq_complete(req, res);
}

/* The submitter counts, on its own worker's channel, so that requests between workers count too. */
void WEIR_ON_WORKER
weir_fsdev_submit(struct weir_fsreq *req)
{
	struct weir_fsdev *dev = req->chan->dev;
	unsigned int self = weir_worker_index(weir_worker_self());

	RTE_ASSERT((unsigned int)req->op < WEIR_NB_FSOPS);

	req->flags &= ~WEIR_FSREQ_DETACHED;
	req->again = NULL;
	channel_count(dev->chans[self], 1);
	if (likely(req->chan->worker == self)) {
		req->handoff.home = 0;
		fsreq_run(req);
	} else {
		handoff_submit(req);
	}
}

void WEIR_ON_WORKER
fsreq_finish(struct weir_fsreq *req, int res)
{
	struct weir_channel *own = req->chan->dev->chans[weir_worker_index(weir_worker_self())];

	req->done(req, res);
	/* Only now: until here the submitter may still need the file system. */
	channel_count(own, -1);
}

void WEIR_ON_WORKER
weir_fsreq_complete(struct weir_fsreq *req, int res)
{
	/* Guests take an error outside of this range for something else. */
	if (res < -511)
		res = -EIO;
	if (req->handoff.home == 0)
		fsreq_finish(req, res);
	else
		handoff_answer(req, res);
}

void WEIR_ON_WORKER
fsreq_detach(struct weir_fsreq *req, void (*fenced)(struct weir_fsreq *req))
{
	const struct weir_fsdev_ops *ops = req->chan->dev->driver->ops;

	req->flags |= WEIR_FSREQ_DETACHED;
	/* Who waits for another try touches no guest memory, and will see the flag before it does. */
	if (req->again != NULL || ops->detach == NULL)
		fenced(req);
	else
		ops->detach(req->chan, req, fenced);
}

void WEIR_ON_WORKER
weir_fsdev_detach(struct weir_fsreq *req, void (*fenced)(struct weir_fsreq *req))
{
	if (req->handoff.home == 0)
		fsreq_detach(req, fenced);
	else
		handoff_detach(req, fenced);
}

void WEIR_ON_WORKER
weir_fsdev_interrupt(struct weir_fsreq *req)
{
	struct weir_fsdev *dev = req->chan->dev;

	if (dev->driver->ops->interrupt == NULL)
		return;
	atomic_store(&req->interrupted, true);
	dev->driver->ops->interrupt(dev);
}

void WEIR_ON_WORKER
weir_fsreq_retry(struct weir_fsreq *req, void (*fn)(struct weir_fsreq *req))
{
	struct weir_channel *chan = req->chan;

	req->again = fn != NULL ? fn : fsreq_run;
	req->link = NULL;
	if (!chan->retry_polled) {
		chan->retry_polled = true;
		weir_poller_add(&chan->retry_poller);
	}
	*chan->retry_tail = req;
	chan->retry_tail = &req->link;
}

/* Those that come back to the list while it is run wait for the next round. */
static int
channel_retry_poll(struct weir_poller *poller)
{
	struct weir_channel *chan = container_of(poller, struct weir_channel, retry_poller);
	struct weir_fsreq *req = chan->retry_head;
	void (*again)(struct weir_fsreq * req);
	struct weir_fsreq *next;
	int nb;

	weir_role_assume_worker();
	chan->retry_head = NULL;
	chan->retry_tail = &chan->retry_head;
	for (nb = 0; req != NULL; req = next, nb++) {
		next = req->link;
		again = req->again;
		req->again = NULL;
		again(req);
	}
	if (chan->retry_head == NULL) {
		chan->retry_polled = false;
		weir_poller_del(poller);
	}
	return nb;
}

void
fsdev_channel_init(struct weir_channel *chan, struct weir_fsdev *dev, unsigned int worker)
{
	chan->dev = dev;
	chan->worker = worker;
	chan->retry_tail = &chan->retry_head;
	chan->retry_poller = (struct weir_poller){
		.name = "fsdev retry",
		.poll = channel_retry_poll,
	};
}
