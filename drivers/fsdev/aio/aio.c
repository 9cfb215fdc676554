/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Life of a local folder. The folder is opened by a helper, since it may be on a server that does
 * not answer:
 *
 *   create --job--> root_run --> root_done --> created
 *             '-- no answer in time: created(-ETIMEDOUT); root_done frees, whenever it comes
 *   destroy --job--> close_run --> close_done --> freed
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_errno.h>

#include "aio.h"

#define AIO_CREATE_MS 10000
/* How soon to look again whether the last helper has left. */
#define AIO_CLOSE_MS  1
#define AIO_CACHE_MAX 16384
#define PROC_FD_PATH  "/proc/self/fd"

static const char *const aio_write_aliases[] = { "max_xfer_size", NULL };
static const char *const aio_skip_aliases[] = { "enable_skip_rw", NULL };
static const char *const aio_uring_choices[] = { "auto", "off", NULL };
static const char *const aio_handle_choices[] = { "auto", "never", NULL };
static const char *const aio_acl_choices[] = { "auto", "off", "on", NULL };

static const struct weir_param aio_params[] = {
	WEIR_PARAM(aio_params, root_path, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 2,
			.help = "the folder to serve"),
	WEIR_PARAM(aio_params, max_write, WEIR_U32, .aliases = aio_write_aliases, .def = 1 << 20,
			.min = 4096, .max = 1 << 20, .help = "bytes of one write at most"),
	WEIR_PARAM(aio_params, max_readahead, WEIR_U32, .def = 131072,
			.help = "bytes that the guest may read ahead"),
	WEIR_PARAM(aio_params, skip_rw, WEIR_BOOL, .aliases = aio_skip_aliases,
			.help = "answer reads and writes without doing them, to measure the rest"),
	WEIR_PARAM(aio_params, uring, WEIR_ENUM, .choices = aio_uring_choices,
			.help = "io_uring for payload, or helper threads alone"),
	WEIR_PARAM(aio_params, nb_helpers, WEIR_U32, .def = 8, .min = 1, .max = AIO_MAX_HELPERS,
			.help = "threads for calls that block"),
	WEIR_PARAM(aio_params, inode_file_handles, WEIR_ENUM, .choices = aio_handle_choices,
			.help = "remember inodes by file handle where possible, or by descriptor"),
	WEIR_PARAM(aio_params, max_fds, WEIR_U32, .min = 0, .max = 1 << 20,
			.help = "descriptors to use at most; 0: a share of the process's limit"),
	WEIR_LOCK_PARAMS(aio_params),
	WEIR_PARAM(aio_params, enable_xattr, WEIR_BOOL, .def = true,
			.help = "let the guest have extended attributes"),
	WEIR_PARAM(aio_params, security_label, WEIR_BOOL,
			.help = "set the label that a guest's security module sends with a new file"),
	WEIR_PARAM(aio_params, xattrmap, WEIR_STR,
			.help = "rules for names of extended attributes, in the language of "
				"virtiofsd's --xattrmap"),
	WEIR_PARAM(aio_params, posix_acl, WEIR_ENUM, .choices = aio_acl_choices,
			.help = "let the guest have POSIX ACLs: where the folder has them, or not, or "
				"fail without"),
	WEIR_PARAM(aio_params, announce_submounts, WEIR_BOOL, .def = true,
			.help = "let the guest mount what is mounted in the folder, as file systems "
				"of their own"),
	WEIR_PARAM(aio_params, enable_notifications, WEIR_BOOL, .flags = WEIR_PARAM_UNSUPPORTED,
			.help = "tell the guest about changes"),
};

static void WEIR_ON_HELPER
root_run(struct weir_job *job)
{
	struct aio_fs *fs = container_of(job, struct aio_fs, job);

	fs->rc = aio_root_open(fs);
}

/* From outside in; what was not made is 0, or -1 for descriptors. */
static void WEIR_ON_CONTROL
fs_free(struct aio_fs *fs)
{
	unsigned int i;

	aio_locks_stop(fs);
	if (fs->helpers != NULL)
		weir_helpers_destroy(fs->helpers, NULL, NULL);
	if (fs->mount_fd >= 0)
		close(fs->mount_fd);
	if (fs->root_fd >= 0)
		close(fs->root_fd);
	if (fs->memory != NULL)
		munmap(fs->memory, fs->memory_bytes);
	if (fs->fds.slots != NULL)
		aio_fdtable_fini(&fs->fds);
	aio_fd_unclaim(fs->fds.max);
	for (i = 0; i < AIO_DIR_LOCKS; i++)
		pthread_mutex_destroy(&fs->dir_lock[i]);
	free(fs->cache);
	free(fs->xattrmap);
	free(fs->root_path);
	free(fs);
}

static size_t
chan_memory_bytes(const struct aio_fs *fs)
{
	return fs->nb_bufs * fs->buf_bytes + AIO_NB_VECS * AIO_VEC_SEGS * sizeof(struct iovec);
}

/* What workers will need: they allocate nothing. Pages come as they are used. */
static int WEIR_ON_CONTROL
fs_alloc(struct aio_fs *fs, uint32_t max_fds)
{
	void *memory;
	uint32_t max;
	int rc;

	max = aio_fd_claim(max_fds);
	if (max == 0)
		return -EMFILE;
	rc = aio_fdtable_init(&fs->fds, max);
	if (rc < 0) {
		aio_fd_unclaim(max);
		return rc;
	}
	fs->cache_mask = rte_align32prevpow2(RTE_MIN(max / 4, (uint32_t)AIO_CACHE_MAX)) - 1;
	fs->cache = calloc(fs->cache_mask + 1, sizeof(*fs->cache));
	if (fs->cache == NULL)
		return -ENOMEM;
	fs->memory_bytes = weir_workers_count() * chan_memory_bytes(fs);
	memory = mmap(NULL, fs->memory_bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	fs->memory = memory;
	return 0;
}

static int WEIR_ON_CONTROL
root_node(struct aio_fs *fs)
{
	struct weir_fsdev *dev = fs->dev;
	/* No key that a name is found by: the root stays itself wherever the host moves it. */
	const uint64_t key[2] = { ~fs->root_dev, fs->root_ino };
	struct aio_node *node;
	struct weir_node *root;
	uint64_t slot;
	int rc;

	rc = aio_fd_take(&fs->fds, &slot);
	if (rc < 0)
		return rc;
	root = weir_fsdev_root_create(dev, key, S_IFDIR);
	if (root == NULL)
		return -ENOMEM;
	aio_fd_set(&fs->fds, slot, fs->root_fd);
	fs->root_fd = -1;
	node = weir_node_priv(root);
	node->dev = fs->root_dev;
	node->local = fs->local;
	atomic_store(&node->slot, slot);
	return 0;
}

static void WEIR_ON_CONTROL
root_done(struct weir_job *job)
{
	struct aio_fs *fs = container_of(job, struct aio_fs, job);
	struct weir_fsdev *dev = fs->dev;
	struct weir_fsdev_limits limits;

	weir_timer_cancel(&fs->timer);
	/* The caller has been told long ago that there was no answer. */
	if (dev == NULL) {
		fs_free(fs);
		return;
	}
	if (fs->rc == 0)
		fs->rc = root_node(fs);
	if (fs->rc == 0) {
		limits = *weir_fsdev_limits(dev);
		limits.posix_acl = fs->posix_acl;
		weir_fsdev_limits_set(dev, &limits);
		if (fs->in_memory)
			aio_mounts_start(fs);
		weir_fsdev_created(dev, 0, NULL);
		return;
	}
	weir_fsdev_created(dev, fs->rc, "%s: %s%s", rte_strerror(-fs->rc), fs->root_path,
			fs->refused != NULL ? fs->refused : "");
	fs_free(fs);
}

static void WEIR_ON_CONTROL
root_expired(struct weir_timer *timer)
{
	struct aio_fs *fs = container_of(timer, struct aio_fs, timer);
	struct weir_fsdev *dev = fs->dev;

	fs->dev = NULL;
	weir_fsdev_created(dev, -ETIMEDOUT, "%s: %s", rte_strerror(ETIMEDOUT), fs->root_path);
}

/* Every thread of this process uses it, for ever. */
static int WEIR_ON_CONTROL
proc_open(void)
{
	if (aio_proc_fd < 0)
		aio_proc_fd = open(PROC_FD_PATH, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return aio_proc_fd < 0 ? -errno : 0;
}

/* Why no folder can be served with these parameters; NULL: some can. */
static const char *
params_contradiction(const struct aio_params *params)
{
	if (params->enable_xattr)
		return NULL;
	if (params->posix_acl == AIO_ACL_ON)
		return "posix_acl is nothing without enable_xattr";
	if (params->security_label)
		return "security_label is nothing without enable_xattr";
	return params->xattrmap[0] != '\0' ? "xattrmap is nothing without enable_xattr" : NULL;
}

/* Where a map renames file capabilities, the host knows nothing of them: the guest takes them away. */
static int WEIR_ON_CONTROL
fs_map_xattrs(struct aio_fs *fs, const struct aio_params *params, bool *killpriv)
{
	char error[256], name[XATTR_NAME_MAX + 1];
	int rc;

	if (params->xattrmap[0] == '\0')
		return 0;
	rc = aio_xattrmap_parse(params->xattrmap, error, sizeof(error), &fs->xattrmap);
	if (rc == 0 && params->posix_acl == AIO_ACL_ON && !aio_acl_names_are_kept(fs)) {
		snprintf(error, sizeof(error),
				"posix_acl=on wants an xattrmap that leaves the names of ACLs alone");
		rc = -EINVAL;
	}
	if (rc == 0 && params->security_label &&
			aio_xattrmap_in(fs->xattrmap, AIO_LABEL_NAME, name) < 0) {
		snprintf(error, sizeof(error),
				"security_label wants an xattrmap that lets the guest have " AIO_LABEL_NAME);
		rc = -EINVAL;
	}
	if (rc < 0) {
		weir_fsdev_created(fs->dev, rc, "%s", error);
		return rc;
	}
	*killpriv = !aio_xattrmap_moves(fs->xattrmap, "security.capability");
	return 0;
}

static void WEIR_ON_CONTROL
aio_fs_create(struct weir_fsdev *dev, const void *args)
{
	const struct aio_params *params = args;
	const char *contradiction = params_contradiction(params);
	struct weir_fsdev_limits limits = {
		.max_write = params->max_write,
		.max_readahead = params->max_readahead,
		.parallel_dirops = true,
		.atomic_o_trunc = true,
		.handle_killpriv_v2 = true,
		.posix_locks = params->locks,
		.flock_locks = params->locks,
		.submounts = params->announce_submounts,
		.security_ctx = params->security_label,
	};
	struct aio_fs *fs;
	char name[16];
	unsigned int i;
	int rc;

	if (contradiction != NULL) {
		weir_fsdev_created(dev, -EINVAL, "%s", contradiction);
		return;
	}
	fs = calloc(1, sizeof(*fs));
	if (fs == NULL) {
		weir_fsdev_created(dev, -ENOMEM, NULL);
		return;
	}
	rc = proc_open();
	if (rc < 0) {
		weir_fsdev_created(dev, rc, "%s: " PROC_FD_PATH, rte_strerror(-rc));
		free(fs);
		return;
	}
	fs->dev = dev;
	if (fs_map_xattrs(fs, params, &limits.handle_killpriv_v2) < 0) {
		free(fs->xattrmap);
		free(fs);
		return;
	}
	fs->root_fd = fs->mount_fd = fs->mounts.watch.fd = -1;
	fs->skip_rw = params->skip_rw;
	fs->submounts = params->announce_submounts;
	fs->uring = params->uring == AIO_URING_AUTO;
	fs->handles = params->inode_file_handles;
	fs->xattr = params->enable_xattr;
	/* Where nothing is made, nothing is tried either. */
	fs->labels = params->security_label && !weir_fsdev_common(dev)->readonly;
	fs->acl = params->posix_acl;
	fs->attr_valid_ns = weir_fsdev_attr_valid_ns(dev);
	fs->entry_valid_ns = weir_fsdev_entry_valid_ns(dev);
	fs->nb_bufs = params->nb_helpers;
	fs->buf_bytes = RTE_MAX(RTE_ALIGN_CEIL(params->max_write, 4096u), (uint32_t)AIO_BUF_MIN);
	for (i = 0; i < AIO_DIR_LOCKS; i++)
		pthread_mutex_init(&fs->dir_lock[i], NULL);
	fs->root_path = strdup(params->root_path);
	rc = fs->root_path == NULL ? -ENOMEM : fs_alloc(fs, params->max_fds);
	snprintf(name, sizeof(name), "aio-%s", weir_fsdev_name(dev));
	if (rc == 0)
		rc = weir_helpers_create(name, params->nb_helpers, &fs->helpers);
	if (rc == 0)
		rc = aio_locks_start(fs, params);
	if (rc < 0) {
		fs_free(fs);
		weir_fsdev_created(dev, rc, NULL);
		return;
	}
	fs->fds.helpers = fs->helpers;
	*(struct aio_fs **)weir_fsdev_priv(dev) = fs;
	weir_fsdev_limits_set(dev, &limits);
	fs->timer.expired = root_expired;
	weir_timer_arm(&fs->timer, AIO_CREATE_MS);
	fs->job.run = root_run;
	fs->job.done = root_done;
	weir_helper_submit(fs->helpers, &fs->job);
}

static void WEIR_ON_HELPER
close_run(struct weir_job *job)
{
	struct aio_fs *fs = container_of(job, struct aio_fs, job);

	aio_fdtable_close_all(&fs->fds);
}

/* A worker may still be about to hear that the reaper has ended, or control of the mounts. */
static void WEIR_ON_CONTROL
close_tick(struct weir_timer *timer)
{
	struct aio_fs *fs = container_of(timer, struct aio_fs, timer);

	if (atomic_load(&fs->fds.busy) > 0)
		weir_timer_arm(timer, AIO_CLOSE_MS);
	else
		fs_free(fs);
}

static void WEIR_ON_CONTROL
close_done(struct weir_job *job)
{
	struct aio_fs *fs = container_of(job, struct aio_fs, job);

	close_tick(&fs->timer);
}

/* Closing may block, so a helper does it; where all of them hang, their memory stays with them. */
static void WEIR_ON_CONTROL
aio_fs_destroy(struct weir_fsdev *dev)
{
	struct aio_fs *fs = *(struct aio_fs **)weir_fsdev_priv(dev);

	aio_mounts_stop(fs);
	aio_locks_stop(fs);
	fs->timer.expired = close_tick;
	fs->job.run = close_run;
	fs->job.done = close_done;
	weir_helper_submit(fs->helpers, &fs->job);
}

static json_t *WEIR_ON_CONTROL
aio_fs_info(const struct weir_fsdev *dev)
{
	const struct aio_fs *fs = *(struct aio_fs *const *)weir_fsdev_priv(dev);
	const bool rings = atomic_load(&fs->nb_rings) == weir_backends_count();
	const struct aio_params *params = weir_fsdev_params(dev);
	unsigned int queued, running;
	uint32_t held, waiting;

	weir_helpers_load(fs->helpers, &queued, &running);
	weir_locks_load(fs->locks, &held, &waiting);
	return json_pack("{s:s, s:b, s:b, s:b, s:b, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "io",
			fs->in_memory                      ? "inline" :
					fs->local && rings ? "io_uring" :
							     "helpers",
			"local", fs->local, "file_handles", fs->mount_fd >= 0, "lookup_by_number",
			atomic_load(&fs->mounts.free_way), "xattr", fs->xattr, "posix_acl",
			fs->posix_acl, "max_fds", (int)fs->fds.max, "open_fds",
			(int)atomic_load(&fs->fds.used), "helpers_queued", (int)queued,
			"helpers_running", (int)running, "locks_held", (int)held, "lock_waiters",
			(int)waiting, "max_xfer_size", (int)params->max_write);
}

static int WEIR_ON_WORKER
aio_chan_start(struct weir_channel *chan)
{
	struct aio_chan *achan = weir_channel_priv(chan);
	struct aio_fs *fs = aio_fs_of(chan);
	uint8_t *memory = fs->memory;
	uint32_t i;

	achan->fs = fs;
	memory += weir_worker_index(weir_worker_self()) * chan_memory_bytes(fs);
	TAILQ_INIT(&achan->bufs.waiters);
	TAILQ_INIT(&achan->vecs.waiters);
	achan->bufs.free = achan->buf_free;
	achan->vecs.free = achan->vec_free;
	for (i = 0; i < fs->nb_bufs; i++, memory += fs->buf_bytes)
		achan->bufs.free[achan->bufs.nb_free++] = memory;
	for (i = 0; i < AIO_NB_VECS; i++, memory += AIO_VEC_SEGS * sizeof(struct iovec))
		achan->vecs.free[achan->vecs.nb_free++] = memory;
	/* A channel that gets no ring works with helpers, and info says so. */
	if (fs->uring && aio_ring_start(achan) == 0)
		atomic_fetch_add(&fs->nb_rings, 1);
	return 0;
}

static void WEIR_ON_WORKER
aio_chan_stop(struct weir_channel *chan)
{
	aio_ring_stop(weir_channel_priv(chan));
}

static const struct weir_fsdev_ops aio_ops = {
	.create = aio_fs_create,
	.destroy = aio_fs_destroy,
	.info = aio_fs_info,
	.chan_start = aio_chan_start,
	.chan_stop = aio_chan_stop,
	.node_fini = aio_node_fini,
	.detach = aio_detach,
	.interrupt = aio_interrupt,
	.op = {
		[WEIR_FSOP_LOOKUP] = aio_lookup,
		[WEIR_FSOP_GETATTR] = aio_getattr,
		[WEIR_FSOP_SETATTR] = aio_setattr,
		[WEIR_FSOP_READLINK] = aio_readlink,
		[WEIR_FSOP_SYMLINK] = aio_symlink,
		[WEIR_FSOP_MKNOD] = aio_mknod,
		[WEIR_FSOP_MKDIR] = aio_mkdir,
		[WEIR_FSOP_UNLINK] = aio_unlink,
		[WEIR_FSOP_RMDIR] = aio_rmdir,
		[WEIR_FSOP_RENAME] = aio_rename,
		[WEIR_FSOP_LINK] = aio_link,
		[WEIR_FSOP_OPEN] = aio_open,
		[WEIR_FSOP_CREATE] = aio_create,
		[WEIR_FSOP_READ] = aio_rw,
		[WEIR_FSOP_WRITE] = aio_rw,
		[WEIR_FSOP_STATFS] = aio_statfs,
		[WEIR_FSOP_RELEASE] = aio_unlock_release,
		[WEIR_FSOP_FLUSH] = aio_unlock_flush,
		[WEIR_FSOP_FSYNC] = aio_fsync,
		[WEIR_FSOP_OPENDIR] = aio_opendir,
		[WEIR_FSOP_READDIR] = aio_readdir,
		[WEIR_FSOP_RELEASEDIR] = aio_release,
		[WEIR_FSOP_FSYNCDIR] = aio_fsync,
		[WEIR_FSOP_ACCESS] = aio_access,
		[WEIR_FSOP_TMPFILE] = aio_tmpfile,
		[WEIR_FSOP_STATX] = aio_statx,
		[WEIR_FSOP_GETXATTR] = aio_xattr,
		[WEIR_FSOP_SETXATTR] = aio_xattr,
		[WEIR_FSOP_LISTXATTR] = aio_xattr,
		[WEIR_FSOP_REMOVEXATTR] = aio_xattr,
		[WEIR_FSOP_FALLOCATE] = aio_fallocate,
		[WEIR_FSOP_LSEEK] = aio_lseek,
		[WEIR_FSOP_COPY_FILE_RANGE] = aio_copy_file_range,
		[WEIR_FSOP_SYNCFS] = aio_syncfs,
		[WEIR_FSOP_IOCTL] = aio_ioctl,
		[WEIR_FSOP_GETLK] = aio_lock,
		[WEIR_FSOP_SETLK] = aio_lock,
		[WEIR_FSOP_ENDWAIT] = aio_lock,
	},
};

static struct weir_fsdev_driver aio_driver = {
	.name = "aio",
	.help = "a local folder",
	.ops = &aio_ops,
	.params = aio_params,
	.nb_params = RTE_DIM(aio_params),
	.params_size = sizeof(struct aio_params),
	/* A guest hears of nothing that changes in the folder, so it is to ask each time. */
	.defaults = { .close_to_open = true, .readdirplus = true },
	.priv_size = sizeof(struct aio_fs *),
	.chan_priv_size = sizeof(struct aio_chan),
	.node_priv_size = sizeof(struct aio_node),
	.file_priv_size = sizeof(struct aio_file),
};
WEIR_FSDEV_REGISTER(aio_driver)
