/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Life of an export, on control. What blocks is a helper's job, one at a time:
 *
 *   create --job--> nfs_mount_run --> mounted: clients made, created
 *              |        ^      '----> refused: created(-errno)
 *              |        |'-retry_ms-> nobody there, on_down=retry: created at the first time
 *              |'- no answer in time: as if nobody was there; the job ends when it does
 *              '-- cancel: refused; likewise
 *   destroy --job--> nfs_umount_run --> freed
 *
 * Channels of an export that is not mounted yet make their requests wait, and see by themselves
 * when it is.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_errno.h>

#include "weir_log.h"

#include "nfs.h"

WEIR_LOG_TYPE(nfs);

#define CREATE_MS    15000
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000
/* How soon a sleeping worker looks again whether the export is mounted. */
#define ATTACH_MS 50

#define IO_MIN    1024
#define DIR_MIN   4096
#define DIR_USUAL 32768

/* From outside in; what was not made is 0. */
static void WEIR_ON_CONTROL
fs_free(struct nfs_fs *fs)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(fs->clients); i++)
		weir_sunrpc_client_destroy(fs->clients[i]);
	if (fs->helpers != NULL)
		weir_helpers_destroy(fs->helpers, NULL, NULL);
	if (fs->memory != NULL)
		munmap(fs->memory, fs->memory_bytes);
	free(fs->mount);
	free(fs);
}

static size_t
chan_memory_bytes(void)
{
	return NFS_MAX_CALLS * sizeof(struct nfs_call) + NFS_NB_TASKS * sizeof(struct nfs_task);
}

/* What workers will need: they allocate nothing. Pages come as they are used. */
static int WEIR_ON_CONTROL
fs_alloc(struct nfs_fs *fs, const char *name)
{
	const struct nfs_params *params = fs->params;
	char thread[16];
	void *memory;

	fs->mount = calloc(1, sizeof(*fs->mount));
	if (fs->mount == NULL)
		return -ENOMEM;
	memcpy(fs->mount->server, params->server, sizeof(params->server));
	memcpy(fs->mount->exportname, params->exportname, sizeof(params->exportname));
	fs->memory_bytes = weir_workers_count() * chan_memory_bytes();
	memory = mmap(NULL, fs->memory_bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	fs->memory = memory;
	snprintf(thread, sizeof(thread), "nfs-%s", name);
	return weir_helpers_create(thread, 1, &fs->helpers);
}

static struct nfs_fs *WEIR_ON_CONTROL
fs_new(struct weir_fsdev *dev, const struct nfs_params *params)
{
	struct nfs_fs *fs = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*fs));
	uint64_t random[4];

	if (fs == NULL)
		return NULL;
	memset(fs, 0, sizeof(*fs));
	if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
		free(fs);
		return NULL;
	}
	fs->dev = dev;
	fs->params = params;
	fs->attr_valid_ns = weir_fsdev_attr_valid_ns(dev);
	fs->entry_valid_ns = weir_fsdev_entry_valid_ns(dev);
	fs->key[0] = random[0];
	fs->key[1] = random[1];
	/* Those of another process, or of this one before, must not be met. */
	atomic_init(&fs->next_verifier, random[2]);
	atomic_init(&fs->next_silly, (uint32_t)random[3]);
	fs->retry_ms = RETRY_MIN_MS;
	return fs;
}

/* Servers may say anything; 0 is for what they leave open. */
static uint32_t
limit(uint32_t wanted, uint32_t said, uint32_t min)
{
	if (said != 0)
		wanted = RTE_MIN(wanted, said);
	return RTE_MAX(wanted, min);
}

static void WEIR_ON_CONTROL
fs_set_limits(struct nfs_fs *fs)
{
	const struct nfs_params *params = fs->params;
	const struct nfs_mount *mount = fs->mount;

	fs->rsize = limit(params->rsize, mount->rtmax, IO_MIN);
	fs->wsize = limit(params->wsize, mount->wtmax, IO_MIN);
	fs->dir_bytes = limit(WEIR_SUNRPC_REPLY_MAX / 2,
			mount->dtpref != 0 ? mount->dtpref : DIR_USUAL, DIR_MIN);
	fs->name_max = limit(NFS3_NAME_MAX, mount->name_max, 1);
	fs->maxfilesize = INT64_MAX;
	if (mount->maxfilesize != 0)
		fs->maxfilesize = RTE_MIN(mount->maxfilesize, (uint64_t)INT64_MAX);
	fs->root_fsid = mount->root_fsid;
}

static int WEIR_ON_CONTROL
fs_make_clients(struct nfs_fs *fs)
{
	const struct nfs_params *params = fs->params;
	const struct weir_sunrpc_cfg cfg = {
		.name = weir_fsdev_name(fs->dev),
		.xprt = "tcp",
		.addr = fs->mount->addr,
		.addr_len = fs->mount->addr_len,
		.program = NFS3_PROGRAM,
		.version = NFS3_VERSION,
		.nb_procs = NFSPROC3_NB,
		.nconnect = params->nconnect,
		.max_calls = NFS_MAX_CALLS,
		.max_payload = RTE_MAX(fs->rsize, fs->wsize),
		.timeo_ms = params->timeo_ms,
		.retrans = params->retrans,
		.hard = params->hard,
		.reserved_port = params->reserved_port,
	};
	unsigned int i;
	int rc;

	for (i = 0; i < weir_workers_count(); i++) {
		if (fs->clients[i] != NULL || !weir_worker_is_backend(weir_worker_at(i)))
			continue;
		rc = weir_sunrpc_client_create(&cfg, &fs->clients[i]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The helper has found the server and the root. From here on workers may use all of it. */
static int WEIR_ON_CONTROL
fs_mounted(struct nfs_fs *fs)
{
	struct nfs_node *root = nfs_node_of(weir_fsdev_root(fs->dev));
	int rc;

	fs_set_limits(fs);
	rc = fs_make_clients(fs);
	if (rc < 0) {
		snprintf(fs->mount->message, sizeof(fs->mount->message),
				"no connection can be made: %s", rte_strerror(-rc));
		return rc;
	}
	root->fh = fs->mount->root;
	root->fsid = fs->mount->root_fsid;
	root->fileid = fs->mount->root_fileid;
	atomic_store_explicit(&root->gid, NFS_NO_GROUP, memory_order_relaxed);
	atomic_store_explicit(&root->setgid, false, memory_order_relaxed);
	/* Release pairs with the acquire in chan_attach(). */
	atomic_store_explicit(&fs->mounted, true, memory_order_release);
	weir_log(nfs, NOTICE, "%s: %s:%s is mounted", weir_fsdev_name(fs->dev), fs->params->server,
			fs->params->exportname);
	return 0;
}

static void
mount_run(struct weir_job *job)
{
	weir_role_assume_helper();
	nfs_mount_run(container_of(job, struct nfs_fs, job)->mount);
}

static void mount_done(struct weir_job *job);

static void WEIR_ON_CONTROL
fs_try_mount(struct nfs_fs *fs)
{
	fs->mount->port = (uint16_t)fs->params->port;
	fs->mount->mount_port = (uint16_t)fs->params->mount_port;
	fs->busy = true;
	fs->job.run = mount_run;
	fs->job.done = mount_done;
	weir_helper_submit(fs->helpers, &fs->job);
}

static void
retry_expired(struct weir_timer *timer)
{
	weir_role_assume_control();
	fs_try_mount(container_of(timer, struct nfs_fs, timer));
}

static void WEIR_ON_CONTROL
fs_retry_later(struct nfs_fs *fs)
{
	fs->timer.expired = retry_expired;
	weir_timer_arm(&fs->timer, fs->retry_ms);
	fs->retry_ms = RTE_MIN(fs->retry_ms * 2, (uint32_t)RETRY_MAX_MS);
}

static void WEIR_ON_CONTROL
fs_created(struct nfs_fs *fs)
{
	fs->created = true;
	nfs_stats_add(fs);
	weir_fsdev_created(fs->dev, 0, NULL);
}

static void
mount_done(struct weir_job *job)
{
	struct nfs_fs *fs = container_of(job, struct nfs_fs, job);
	int rc = fs->mount->rc;

	weir_role_assume_control();
	weir_timer_cancel(&fs->timer);
	fs->busy = false;
	/* Deleted, or its creator was told long ago that there was no answer. */
	if (fs->dev == NULL) {
		fs_free(fs);
		return;
	}
	weir_fsdev_node_set(fs->dev, fs->mount->nic_node);
	if (rc == 0)
		rc = fs_mounted(fs);
	if (rc < 0 && !fs->created && !(fs->mount->down && fs->params->on_down == NFS_DOWN_RETRY)) {
		weir_fsdev_created(fs->dev, rc, "%s: %s", rte_strerror(-rc), fs->mount->message);
		fs_free(fs);
		return;
	}
	if (rc < 0) {
		weir_log(nfs, WARNING, "%s: %s", weir_fsdev_name(fs->dev), fs->mount->message);
		fs_retry_later(fs);
	}
	if (!fs->created)
		fs_created(fs);
}

/* Only a name service can keep a helper for so long. */
static void
create_expired(struct weir_timer *timer)
{
	struct nfs_fs *fs = container_of(timer, struct nfs_fs, timer);
	struct weir_fsdev *dev = fs->dev;

	weir_role_assume_control();
	if (fs->params->on_down == NFS_DOWN_RETRY) {
		fs_created(fs);
		return;
	}
	fs->dev = NULL;
	weir_fsdev_created(dev, -ETIMEDOUT, "%s: server %s", rte_strerror(ETIMEDOUT),
			fs->params->server);
}

void WEIR_ON_CONTROL
nfs_fs_create(struct weir_fsdev *dev, const void *args)
{
	static const uint64_t root_key[2];
	const struct nfs_params *params = args;
	const struct weir_fsdev_limits limits = {
		.max_write = params->max_write,
		.max_readahead = params->max_readahead,
		.parallel_dirops = true,
		.export_support = true,
		.atomic_o_trunc = true,
		/*
		 * The server drops set-id bits when it sees who writes. The guest would do so by a
		 * SETATTR in the writer's name, which is the owner's to do. A user 0 who stands for
		 * all may do it, and is the one for whom the server does not.
		 */
		.handle_killpriv = params->squash != NFS_SQUASH_ALL || params->anonuid != 0,
	};
	struct nfs_fs *fs = fs_new(dev, params);
	int rc = -ENOMEM;

	if (fs == NULL) {
		weir_fsdev_created(dev, rc, NULL);
		return;
	}
	/* The root is known before its handle is, which no other node's key leads to. */
	if (weir_fsdev_root_create(dev, root_key, S_IFDIR) != NULL)
		rc = fs_alloc(fs, weir_fsdev_name(dev));
	if (rc < 0) {
		fs_free(fs);
		weir_fsdev_created(dev, rc, NULL);
		return;
	}
	*(struct nfs_fs **)weir_fsdev_priv(dev) = fs;
	weir_fsdev_limits_set(dev, &limits);
	fs->timer.expired = create_expired;
	weir_timer_arm(&fs->timer, CREATE_MS);
	fs_try_mount(fs);
}

/* The helper is at work, and frees what it uses when it comes back. */
void WEIR_ON_CONTROL
nfs_fs_cancel(struct weir_fsdev *dev)
{
	struct nfs_fs *fs = nfs_fs_of(dev);

	weir_timer_cancel(&fs->timer);
	fs->dev = NULL;
	weir_fsdev_created(dev, -ECANCELED, NULL);
}

static void
umount_run(struct weir_job *job)
{
	weir_role_assume_helper();
	nfs_umount_run(container_of(job, struct nfs_fs, job)->mount);
}

static void
umount_done(struct weir_job *job)
{
	weir_role_assume_control();
	fs_free(container_of(job, struct nfs_fs, job));
}

/* Nobody waits for the helper, which frees what it uses when it comes back. */
void WEIR_ON_CONTROL
nfs_fs_destroy(struct weir_fsdev *dev)
{
	struct nfs_fs *fs = nfs_fs_of(dev);

	nfs_stats_del(fs);
	weir_timer_cancel(&fs->timer);
	fs->dev = NULL;
	if (fs->busy)
		return;
	if (!atomic_load(&fs->mounted)) {
		fs_free(fs);
		return;
	}
	fs->job.run = umount_run;
	fs->job.done = umount_done;
	weir_helper_submit(fs->helpers, &fs->job);
}

static void WEIR_ON_WORKER
chan_attach(struct nfs_chan *chan)
{
	/* Acquire pairs with the release in fs_mounted(). */
	if (!atomic_load_explicit(&chan->fs->mounted, memory_order_acquire))
		return;
	chan->client = chan->fs->clients[weir_worker_index(weir_worker_self())];
	weir_sunrpc_client_start(chan->client);
}

static int
chan_poll(struct weir_poller *poller)
{
	struct nfs_chan *chan = container_of(poller, struct nfs_chan, poller);

	weir_role_assume_worker();
	if (chan->client == NULL)
		chan_attach(chan);
	return chan->client != NULL ? nfs_chan_poll(chan) : 0;
}

static bool
chan_arm(struct weir_poller *poller)
{
	struct nfs_chan *chan = container_of(poller, struct nfs_chan, poller);

	weir_role_assume_worker();
	if (chan->client != NULL)
		return nfs_chan_arm(chan);
	poller->wake_tsc = rte_rdtsc() + ATTACH_MS * chan->tsc_per_ms;
	return false;
}

int WEIR_ON_WORKER
nfs_chan_start(struct weir_channel *chan)
{
	struct nfs_chan *nchan = weir_channel_priv(chan);
	struct nfs_fs *fs = nfs_fs_of(weir_channel_fsdev(chan));
	struct nfs_call *calls;
	struct nfs_task *tasks;
	uint8_t *memory = fs->memory;
	unsigned int i;

	memory += weir_worker_index(weir_worker_self()) * chan_memory_bytes();
	tasks = (void *)memory;
	calls = (void *)(memory + NFS_NB_TASKS * sizeof(*tasks));
	nchan->fs = fs;
	nchan->chan = chan;
	nchan->tsc_per_ms = rte_get_tsc_hz() / 1000;
	TAILQ_INIT(&nchan->free);
	TAILQ_INIT(&nchan->delayed);
	TAILQ_INIT(&nchan->waiting);
	TAILQ_INIT(&nchan->closing);
	for (i = 0; i < NFS_MAX_CALLS; i++) {
		calls[i].chan = nchan;
		TAILQ_INSERT_TAIL(&nchan->free, &calls[i], list);
	}
	for (i = 0; i < NFS_NB_TASKS; i++) {
		tasks[i].req.chan = chan;
		SLIST_INSERT_HEAD(&nchan->tasks, &tasks[i], next);
	}
	nchan->poller = (struct weir_poller){
		.name = weir_fsdev_name(weir_channel_fsdev(chan)),
		.poll = chan_poll,
		.arm = chan_arm,
		.parks = true,
	};
	weir_poller_add(&nchan->poller);
	return 0;
}

/* Only tasks can be under way, and calls that nobody waits for: the client ends them. */
void WEIR_ON_WORKER
nfs_chan_stop(struct weir_channel *chan)
{
	struct nfs_chan *nchan = weir_channel_priv(chan);

	nchan->stopped = true;
	weir_poller_del(&nchan->poller);
	if (nchan->client != NULL)
		weir_sunrpc_client_stop(nchan->client);
	nfs_chan_cancel(nchan);
	nfs_todo_drop(nchan);
}
