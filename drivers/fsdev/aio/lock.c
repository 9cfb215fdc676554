/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Locks: the lock service's (weir_lock.h), and held on the host's file as well, so that programs of the
 * host and other servers of the folder see them. Each owner has an open file description of its own
 * for each file: POSIX locks are those of open file descriptions (F_OFD_SETLK), which those of a
 * process do not share and do not lose when another one is closed.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "aio.h"

/* What the service keeps for us: the slot of an owner's descriptor. */
#define LOCK_SLOT(host) ((host)->priv[0])

/* As the guest has it: no more than a reader's is opened for who cannot write. */
static int WEIR_ON_HELPER
lock_reopen(int path, const struct weir_file *file)
{
	const int mode = (int)file->flags & O_ACCMODE;
	const int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	char name[16];
	int fd;

	aio_fd_name(path, name);
	fd = openat(aio_proc_fd, name, flags | (mode != O_RDONLY ? O_RDWR : O_RDONLY));
	if (fd < 0 && errno == EACCES)
		fd = openat(aio_proc_fd, name, flags | mode);
	return fd < 0 ? -errno : fd;
}

static int WEIR_ON_HELPER
lock_slot_take(struct aio_fs *fs, uint64_t *slot)
{
	if (aio_fd_take(&fs->fds, slot) == 0)
		return 0;
	aio_cache_drop(fs);
	return aio_fd_take(&fs->fds, slot) == 0 ? 0 : -ENOLCK;
}

static int WEIR_ON_HELPER
lock_open(struct aio_fs *fs, struct weir_lock_host *host, struct weir_node *node,
		const struct weir_file *file)
{
	struct aio_ref ref;
	uint64_t slot;
	int rc;

	rc = lock_slot_take(fs, &slot);
	if (rc < 0)
		return rc;
	rc = aio_node_open(fs, node, &ref);
	if (rc == 0) {
		rc = lock_reopen(ref.fd, file);
		aio_ref_put_now(fs, &ref);
	}
	if (rc < 0) {
		aio_fd_put_now(&fs->fds, slot);
		return rc;
	}
	aio_fd_set(&fs->fds, slot, rc);
	LOCK_SLOT(host) = slot;
	return 0;
}

/* The descriptor of an owner, with a reference. */
static int WEIR_ON_HELPER
lock_fd(struct aio_fs *fs, struct weir_lock_host *host, struct weir_node *node,
		const struct weir_file *file)
{
	int rc = LOCK_SLOT(host) == 0 ? lock_open(fs, host, node, file) : 0;

	return rc < 0 ? rc : aio_fd_get(&fs->fds, LOCK_SLOT(host));
}

static struct flock
lock_range(const struct weir_lock *lock)
{
	return (struct flock){
		.l_type = (short)lock->type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)lock->start,
		.l_len = lock->end < INT64_MAX ? (off_t)(lock->end - lock->start + 1) : 0,
	};
}

static int WEIR_ON_HELPER
lock_call(int fd, const struct weir_lock *lock)
{
	static const int ops[] = {
		[F_RDLCK] = LOCK_SH,
		[F_WRLCK] = LOCK_EX,
		[F_UNLCK] = LOCK_UN,
	};
	struct flock range = lock_range(lock);
	int rc;

	if ((lock->flags & WEIR_LOCK_FLOCK) != 0)
		rc = flock(fd, ops[lock->type] | LOCK_NB);
	else
		rc = fcntl(fd, F_OFD_SETLK, &range);
	return rc < 0 ? -errno : 0;
}

/* The guest takes ENOSYS for a promise that locks are its own from now on. */
static int
lock_error(int rc)
{
	switch (rc) {
	case -EACCES:
		return -EAGAIN;
	case -ENOSYS:
	case -EOPNOTSUPP:
		return -ENOLCK;
	default:
		return rc;
	}
}

static int
lock_host_set(void *arg, struct weir_lock_host *host, struct weir_node *node,
		const struct weir_file *file, const struct weir_lock *lock)
{
	struct aio_fs *fs = arg;
	int fd, rc;

	weir_role_assume_helper();
	if (lock->type == F_UNLCK && LOCK_SLOT(host) == 0)
		return 0;
	fd = lock_fd(fs, host, node, file);
	if (fd < 0)
		return fd;
	rc = lock_call(fd, lock);
	aio_fd_put_now(&fs->fds, LOCK_SLOT(host));
	return lock_error(rc);
}

static int
lock_host_get(void *arg, struct weir_lock_host *host, struct weir_node *node,
		const struct weir_file *file, const struct weir_lock *lock, struct weir_lock *out)
{
	struct flock range = lock_range(lock);
	struct aio_fs *fs = arg;
	int fd, rc;

	weir_role_assume_helper();
	fd = lock_fd(fs, host, node, file);
	if (fd < 0)
		return fd;
	rc = fcntl(fd, F_OFD_GETLK, &range) < 0 ? lock_error(-errno) : 0;
	aio_fd_put_now(&fs->fds, LOCK_SLOT(host));
	if (rc < 0 || range.l_type == F_UNLCK)
		return rc;
	/* Its pid would mean another process to the guest, or none. */
	*out = (struct weir_lock){
		.type = (uint32_t)range.l_type,
		.start = (uint64_t)range.l_start,
		.end = range.l_len == 0 ? INT64_MAX : (uint64_t)(range.l_start + range.l_len - 1),
	};
	return 0;
}

static void
lock_host_end(void *arg, struct weir_lock_host *host)
{
	struct aio_fs *fs = arg;

	weir_role_assume_helper();
	if (LOCK_SLOT(host) != 0)
		aio_fd_put_now(&fs->fds, LOCK_SLOT(host));
	LOCK_SLOT(host) = 0;
}

static const struct weir_locks_host lock_host = {
	.set = lock_host_set,
	.get = lock_host_get,
	.end = lock_host_end,
};

int WEIR_ON_CONTROL
aio_locks_start(struct aio_fs *fs, const struct aio_params *params)
{
	const struct weir_locks_cfg cfg = {
		.name = weir_fsdev_name(fs->dev),
		.max_locks = params->max_locks,
		.wait_ms = params->lock_wait_ms,
		.host = &lock_host,
		.host_arg = fs,
	};

	return weir_locks_create(&cfg, &fs->locks);
}

void WEIR_ON_CONTROL
aio_locks_stop(struct aio_fs *fs)
{
	weir_locks_destroy(fs->locks);
	fs->locks = NULL;
}

void
aio_interrupt(struct weir_fsdev *dev)
{
	struct aio_fs *fs = *(struct aio_fs **)weir_fsdev_priv(dev);

	weir_locks_interrupt(fs->locks);
}

int WEIR_ON_WORKER
aio_lock(struct weir_channel *chan, struct weir_fsreq *req)
{
	return weir_locks_do(aio_fs_of(chan)->locks, req, weir_fsreq_complete);
}

/* The file's locks have ended: now what else the verb is to do. */
static void
lock_ended(struct weir_fsreq *req, int res)
{
	(void)res;
	weir_role_assume_worker();
	if (req->op == WEIR_FSOP_FLUSH)
		res = aio_flush(req->chan, req);
	else
		res = aio_release(req->chan, req);
	if (res != -EINPROGRESS)
		weir_fsreq_complete(req, res);
}

int WEIR_ON_WORKER
aio_unlock_flush(struct weir_channel *chan, struct weir_fsreq *req)
{
	int rc = weir_locks_do(aio_fs_of(chan)->locks, req, lock_ended);

	return rc == 0 ? aio_flush(chan, req) : rc;
}

int WEIR_ON_WORKER
aio_unlock_release(struct weir_channel *chan, struct weir_fsreq *req)
{
	int rc = weir_locks_do(aio_fs_of(chan)->locks, req, lock_ended);

	return rc == 0 ? aio_release(chan, req) : rc;
}

/* These use no guest memory, wherever they are; their context may be the lock service's. */
bool WEIR_ON_WORKER
aio_lock_detach(struct aio_fs *fs, struct weir_fsreq *req, void (*fenced)(struct weir_fsreq *req))
{
	switch (req->op) {
	case WEIR_FSOP_FLUSH:
	case WEIR_FSOP_RELEASE:
	case WEIR_FSOP_GETLK:
	case WEIR_FSOP_SETLK:
	case WEIR_FSOP_ENDWAIT:
		weir_locks_detach(fs->locks, req, fenced);
		return true;
	default:
		return false;
	}
}
