/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Landlock: whatever a thread opens, makes, moves or removes must be below a directory that a rule
 * allows. What it has open already is not affected, nor are O_PATH descriptors, nor calls that only
 * tell attributes.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_log.h"

#include "sandbox.h"

WEIR_LOG_USE(sandbox);

/* Without the second, no file can be moved between directories. */
#define ABI_LEAST 2

/* Newer than the headers of Linux 6.1. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#endif

#define FS(right) LANDLOCK_ACCESS_FS_##right

#define READ (FS(READ_FILE) | FS(READ_DIR))
/* Sockets, their locks, EAL's files. */
#define OWN (READ | FS(WRITE_FILE) | FS(TRUNCATE) | FS(REMOVE_FILE) | FS(MAKE_REG) | FS(MAKE_SOCK))
/* What guests do in a folder. weir executes nothing, and uses no device. */
#define SERVE                                                                                      \
	(OWN | FS(REMOVE_DIR) | FS(MAKE_CHAR) | FS(MAKE_DIR) | FS(MAKE_FIFO) | FS(MAKE_BLOCK) |    \
			FS(MAKE_SYM) | FS(REFER))
#define ALL (SERVE | FS(EXECUTE) | FS(IOCTL_DEV))
/* The only ones that a rule for something else than a directory may have. */
#define OF_FILE (FS(READ_FILE) | FS(WRITE_FILE) | FS(TRUNCATE))

/* What the C library reads to find servers, DPDK to find memory and CPUs, and weir to find mounts. */
static const struct {
	const char *path;
	uint64_t rights;
} landlock_host[] = {
	{ "/dev/null", FS(READ_FILE) | FS(WRITE_FILE) },
	{ "/dev/urandom", FS(READ_FILE) },
	{ "/dev/zero", FS(READ_FILE) | FS(WRITE_FILE) },
	{ "/etc", READ },
	{ "/lib", READ },
	{ "/lib64", READ },
	{ "/proc", READ },
	{ "/run/nscd", READ },
	{ "/run/resolvconf", READ },
	{ "/run/systemd/resolve", READ },
	{ "/sys", READ },
	{ "/usr/lib", READ },
	{ "/usr/share/zoneinfo", READ },
};

static uint64_t
landlock_known(int abi)
{
	uint64_t rights = ALL;

	if (abi < 5)
		rights &= ~FS(IOCTL_DEV);
	if (abi < 3)
		rights &= ~FS(TRUNCATE);
	return rights;
}

int
sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 0)
		return -errno;
	return abi < ABI_LEAST ? -EOPNOTSUPP : (int)abi;
}

static int
rule_add(int rules, int abi, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule;
	struct stat st;
	int rc;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return -errno;
	rule.allowed_access = rights & landlock_known(abi);
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= OF_FILE;
	rc = (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	rc = rc < 0 ? -errno : 0;
	close(rule.parent_fd);
	return rc;
}

static int
rules_add(int rules, int abi, const char *const *paths, uint64_t rights)
{
	int rc = 0;

	for (; rc == 0 && paths != NULL && *paths != NULL; paths++) {
		rc = rule_add(rules, abi, *paths, rights);
		if (rc < 0)
			weir_log(sandbox, ERR, "landlock: %s: %s", *paths, strerror(-rc));
	}
	return rc;
}

/* EAL takes and gives back hugepages at run time. */
static void
rules_add_hugepages(int rules, int abi)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *mount;

	if (mounts == NULL)
		return;
	while ((mount = getmntent(mounts)) != NULL)
		if (strcmp(mount->mnt_type, "hugetlbfs") == 0)
			(void)rule_add(rules, abi, mount->mnt_dir, OWN);
	endmntent(mounts);
}

int
sandbox_landlock_rules(const struct weir_sandbox_cfg *cfg, int abi)
{
	const struct landlock_ruleset_attr attr = { .handled_access_fs = landlock_known(abi) };
	int rules, rc;

	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rules < 0) {
		rc = -errno;
		weir_log(sandbox, ERR, "landlock: no set of rules: %s", strerror(-rc));
		return rc;
	}
	/* Not every host has all of these. */
	for (unsigned int i = 0; i < RTE_DIM(landlock_host); i++)
		(void)rule_add(rules, abi, landlock_host[i].path, landlock_host[i].rights);
	rules_add_hugepages(rules, abi);
	rc = rules_add(rules, abi, cfg->own_files, FS(READ_FILE));
	if (rc == 0)
		rc = rules_add(rules, abi, cfg->own_dirs, OWN);
	if (rc == 0)
		rc = rules_add(rules, abi, (const char *const *)sandbox.folders, SERVE);
	if (rc == 0)
		return rules;
	close(rules);
	return rc;
}

int
sandbox_landlock_self(int rules)
{
	return syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;
}
