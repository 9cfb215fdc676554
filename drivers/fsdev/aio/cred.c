/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Helpers, and workers in folders in memory, act for the guest's users by file-system ids, which
 * belong to a thread. A thread that leaves fsuid 0 loses the file capabilities, and gets them back
 * when it returns to 0. Where weir is another user with capabilities, they are to be lost for a user
 * of the guest's and had again afterwards just the same.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "aio.h"

/*
 * What a helper keeps while it acts for a user: the guest's kernel has checked permissions with all
 * the groups of the caller, which FUSE does not tell. CAP_FSETID is not among them, so that setgid
 * bits come out as they would for the caller on a local file system, unless that kernel has judged
 * them too.
 */
#define CRED_KEPT                                                                                  \
	(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER | 1u << CAP_MKNOD)

/* What Linux takes from who leaves fsuid 0, and gives back to who returns. */
#define CRED_FILES (CRED_KEPT | 1u << CAP_CHOWN | 1u << CAP_FSETID | 1u << CAP_LINUX_IMMUTABLE)

/* The calling thread as it is when it acts for nobody. */
static __thread struct {
	bool ready;
	bool taken; /* it has the ids of somebody else */
	bool grouped; /* it is in a group */
	bool killing; /* it has given up CAP_FSETID */
	bool able; /* it may take ids */
	uint32_t uid, gid;
	uint32_t effective; /* capabilities */
	uint32_t umask;
} cred_self;

static int WEIR_ON_HELPER
cred_set_effective(uint32_t keep, uint32_t take)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &head, caps) < 0)
		return -errno;
	caps[0].effective = (caps[0].effective & keep) | (caps[0].permitted & take);
	return syscall(SYS_capset, &head, caps) < 0 ? -errno : 0;
}

/* Acting for a caller sees to it itself, and all else is the same with that capability and without. */
int WEIR_ON_HELPER
aio_cred_begin(const struct weir_fsreq *req)
{
	switch (req->op) {
	case WEIR_FSOP_OPEN:
		return (req->file->flags & O_TRUNC) != 0 ? aio_cred_kill(aio_kills(req)) : 0;
	case WEIR_FSOP_SETATTR:
	case WEIR_FSOP_SETXATTR:
	case WEIR_FSOP_WRITE:
		return aio_cred_kill(aio_kills(req));
	default:
		return 0;
	}
}

int WEIR_ON_HELPER
aio_cred_kill(bool kill)
{
	const uint32_t fsetid = 1u << CAP_FSETID;
	int rc;

	if (likely(cred_self.killing == kill))
		return 0;
	rc = cred_set_effective(~fsetid, kill ? 0 : fsetid);
	if (rc == 0)
		cred_self.killing = kill;
	return rc;
}

/* Prepares the calling thread once: a umask of its own, no supplementary groups. */
static int WEIR_ON_HELPER
cred_thread_init(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	int rc;

	if (cred_self.ready)
		return 0;
	if (unshare(CLONE_FS) < 0)
		return -errno;
	rc = aio_cred_kill(false);
	if (rc < 0)
		return rc;
	/* Raw: the C library's would change every thread. A process that may not has its own. */
	(void)syscall(SYS_setgroups, 0, NULL);
	if (syscall(SYS_capget, &head, caps) < 0)
		return -errno;
	cred_self.able = (caps[0].permitted & 1u << CAP_SETUID) != 0;
	cred_self.effective = caps[0].effective;
	cred_self.uid = geteuid();
	cred_self.gid = getegid();
	cred_self.umask = UINT32_MAX;
	cred_self.ready = true;
	return 0;
}

/* Whether the thread has what Linux does not take by itself as it does from root. */
static bool WEIR_ON_HELPER
cred_is_capable_user(void)
{
	return cred_self.uid != 0 && (cred_self.effective & CRED_FILES) != 0;
}

static bool WEIR_ON_HELPER
cred_is_self(const struct weir_cred *cred)
{
	return cred->uid == cred_self.uid && cred->gid == cred_self.gid && !cred_is_capable_user();
}

/* Raw, as above. It decides about no more than the setgid bit: who may make the file is decided. */
static void WEIR_ON_HELPER
cred_set_group(const struct weir_cred *cred)
{
	const gid_t group = cred->group;

	cred_self.grouped = syscall(SYS_setgroups, cred->has_group ? 1 : 0, &group) == 0 &&
			cred->has_group;
}

int WEIR_ON_HELPER
aio_cred_take(const struct weir_cred *cred)
{
	int rc = cred_thread_init();

	/* Who leaves fsuid 0 comes back with CAP_FSETID. */
	if (rc == 0 && (cred->uid == cred_self.uid || cred_self.uid != 0))
		rc = aio_cred_kill(false);
	if (rc < 0 || cred_is_self(cred))
		return rc;
	/* Where nobody else can own anything, what the guest's root makes is ours. */
	if (!cred_self.able && cred->uid == 0)
		return 0;
	cred_self.taken = true;
	if (cred->has_group)
		cred_set_group(cred);
	setfsgid(cred->gid);
	setfsuid(cred->uid);
	/* These calls do not say whether they worked; an invalid id asks what is. */
	if ((uint32_t)setfsuid((uid_t)-1) != cred->uid ||
			(uint32_t)setfsgid((gid_t)-1) != cred->gid ||
			(cred->uid != 0 && cred_is_capable_user() &&
					cred_set_effective(~CRED_FILES, 0) < 0)) {
		aio_cred_drop();
		return -EPERM;
	}
	cred_self.killing = false;
	return 0;
}

/* Whether it tells that the caller is in a group: permission is given already, if weir may pass it. */
static bool WEIR_ON_HELPER
cred_group_tells(const struct weir_fsreq *req)
{
	return (req->in.create.mode & S_ISGID) != 0 ||
			(cred_self.effective & 1u << CAP_DAC_OVERRIDE) == 0;
}

int WEIR_ON_HELPER
aio_cred_take_able(const struct weir_fsreq *req)
{
	const uint32_t setgid = (req->flags & WEIR_FSREQ_SETGID) != 0 ? 1u << CAP_FSETID : 0;
	struct weir_cred cred = req->cred;
	int rc;

	if (cred.has_group)
		cred.has_group = cred_group_tells(req);
	rc = aio_cred_take(&cred);
	if (rc < 0 || req->cred.uid == 0)
		return rc;
	rc = cred_set_effective(UINT32_MAX, CRED_KEPT | setgid);
	if (rc < 0)
		aio_cred_drop();
	return rc;
}

void WEIR_ON_HELPER
aio_cred_drop(void)
{
	if (!cred_self.taken)
		return;
	cred_self.taken = false;
	setfsuid(cred_self.uid);
	setfsgid(cred_self.gid);
	if (cred_is_capable_user())
		(void)cred_set_effective(0, cred_self.effective);
	if (cred_self.grouped)
		cred_set_group(&(struct weir_cred){ .has_group = false });
}

void WEIR_ON_HELPER
aio_cred_umask(uint32_t mask)
{
	mask &= 0777;
	if (mask != cred_self.umask)
		umask(mask);
	cred_self.umask = mask;
}
