/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>

#include "sandbox.h"

#define CAP(name) (UINT64_C(1) << (name))

/*
 * To act as the guest's user and to give files what it asks for; to open by handle; memory that is
 * locked for io_uring; the reserved ports that NFS servers want. CAP_SYS_RESOURCE is not among them:
 * with it no disk quota would hold what weir writes for guests.
 */
#define CAPS_NEEDED                                                                                \
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) |     \
			CAP(CAP_FSETID) | CAP(CAP_IPC_LOCK) | CAP(CAP_MKNOD) |                     \
			CAP(CAP_NET_BIND_SERVICE) | CAP(CAP_SETFCAP) | CAP(CAP_SETGID) |           \
			CAP(CAP_SETUID))

uint64_t
sandbox_caps_needed(void)
{
	return CAPS_NEEDED;
}

int
weir_sandbox_cap_number(const char *name)
{
	int number = capng_name_to_capability(strncasecmp(name, "cap_", 4) == 0 ? name + 4 : name);

	return number < 0 ? -EINVAL : number;
}

static int
caps_read(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &head, caps) < 0 ? -errno : 0;
}

int
sandbox_caps_get(uint64_t *effective)
{
	struct __user_cap_data_struct caps[2];
	int rc = caps_read(caps);

	if (rc == 0)
		*effective = caps[0].effective | (uint64_t)caps[1].effective << 32;
	return rc;
}

/* What nothing that is executed could get back. Who may not lower the bound keeps it. */
static void
caps_bound(uint64_t kept)
{
	int cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if ((kept & CAP(cap)) == 0)
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

int
sandbox_caps_drop(uint64_t kept)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	int rc = caps_read(caps);

	if (rc < 0)
		return rc;
	caps_bound(kept);
	for (unsigned int i = 0; i < RTE_DIM(caps); i++) {
		caps[i].permitted &= (uint32_t)(kept >> (32 * i));
		caps[i].effective &= caps[i].permitted;
		caps[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, caps) < 0 ? -errno : 0;
}
