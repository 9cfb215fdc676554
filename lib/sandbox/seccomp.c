/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The system calls that weir makes, DPDK, the C library and libnfs included; beside them those that
 * a next version of these could make for the same ends. What reaches beyond files, sockets, threads
 * and memory is not there: no process can be started or traced, nothing mounted, no namespace
 * entered, no program loaded into the kernel.
 *
 * io_uring is allowed, and what it does is not seen by a filter.
 */

#include <asm/termbits.h>
#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_common.h>

#include "sandbox.h"

/* Newer than the headers of Linux 6.1; such numbers are the same on all architectures. */
enum {
	CALL_FCHMODAT2 = 452,
	CALL_FUTEX_WAKE = 454,
	CALL_FUTEX_WAIT,
	CALL_FUTEX_REQUEUE,
	CALL_MSEAL = 462,
};

static const int calls[] = {
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(get_mempolicy),
	SCMP_SYS(madvise),
	SCMP_SYS(mbind),
	SCMP_SYS(memfd_create),
	SCMP_SYS(mincore),
	SCMP_SYS(mlock),
	SCMP_SYS(mlock2),
	SCMP_SYS(mlockall),
	SCMP_SYS(mmap),
	SCMP_SYS(move_pages),
	CALL_MSEAL,
	SCMP_SYS(mprotect),
	SCMP_SYS(mremap),
	SCMP_SYS(msync),
	SCMP_SYS(munlock),
	SCMP_SYS(munlockall),
	SCMP_SYS(munmap),
	SCMP_SYS(set_mempolicy),
	/* threads, time, signals */
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clone3), /* see clone3_hide() */
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(futex),
	CALL_FUTEX_REQUEUE,
	CALL_FUTEX_WAIT,
	SCMP_SYS(futex_waitv),
	CALL_FUTEX_WAKE,
	SCMP_SYS(get_robust_list),
	SCMP_SYS(getcpu),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(getrandom),
	SCMP_SYS(getrlimit),
	SCMP_SYS(getrusage),
	SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(membarrier),
	SCMP_SYS(nanosleep),
	SCMP_SYS(pause),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rseq),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigpending),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigsuspend),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sched_get_priority_max),
	SCMP_SYS(sched_get_priority_min),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_getparam),
	SCMP_SYS(sched_getscheduler),
	SCMP_SYS(sched_setaffinity),
	SCMP_SYS(sched_setscheduler),
	SCMP_SYS(sched_yield),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(setrlimit),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(sysinfo),
	SCMP_SYS(time),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(times),
	SCMP_SYS(uname),
	/* who a thread acts as */
	SCMP_SYS(capget),
	SCMP_SYS(capset),
	SCMP_SYS(getegid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getgroups),
	SCMP_SYS(getresgid),
	SCMP_SYS(getresuid),
	SCMP_SYS(getuid),
	SCMP_SYS(setfsgid),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setgroups),
	SCMP_SYS(setregid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setuid),
	SCMP_SYS(umask),
	/* files: payload */
	SCMP_SYS(copy_file_range),
	SCMP_SYS(fadvise64),
	SCMP_SYS(fallocate),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fsync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(lseek),
	SCMP_SYS(pread64),
	SCMP_SYS(preadv),
	SCMP_SYS(preadv2),
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(pwritev2),
	SCMP_SYS(read),
	SCMP_SYS(readahead),
	SCMP_SYS(readv),
	SCMP_SYS(sendfile),
	SCMP_SYS(splice),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(syncfs),
	SCMP_SYS(tee),
	SCMP_SYS(truncate),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	/* files: names and attributes */
	SCMP_SYS(access),
	SCMP_SYS(chmod),
	SCMP_SYS(chown),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(fchdir),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	CALL_FCHMODAT2,
	SCMP_SYS(fchown),
	SCMP_SYS(fchownat),
	SCMP_SYS(fgetxattr),
	SCMP_SYS(flistxattr),
	SCMP_SYS(fremovexattr),
	SCMP_SYS(fsetxattr),
	SCMP_SYS(fstat),
	SCMP_SYS(fstatfs),
	SCMP_SYS(futimesat),
	SCMP_SYS(getcwd),
	SCMP_SYS(getdents),
	SCMP_SYS(getdents64),
	SCMP_SYS(getxattr),
	SCMP_SYS(lchown),
	SCMP_SYS(lgetxattr),
	SCMP_SYS(link),
	SCMP_SYS(linkat),
	SCMP_SYS(listxattr),
	SCMP_SYS(llistxattr),
	SCMP_SYS(lremovexattr),
	SCMP_SYS(lsetxattr),
	SCMP_SYS(lstat),
	SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(newfstatat),
	SCMP_SYS(open),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(removexattr),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(rmdir),
	SCMP_SYS(setxattr),
	SCMP_SYS(stat),
	SCMP_SYS(statfs),
	SCMP_SYS(statx),
	SCMP_SYS(symlink),
	SCMP_SYS(symlinkat),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(utime),
	SCMP_SYS(utimensat),
	SCMP_SYS(utimes),
	/* descriptors and waiting */
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(epoll_create),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(eventfd),
	SCMP_SYS(eventfd2),
	SCMP_SYS(fcntl),
	SCMP_SYS(flock),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(pipe),
	SCMP_SYS(pipe2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(pselect6),
	SCMP_SYS(select),
	/* sockets */
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(bind),
	SCMP_SYS(connect),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(listen),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(socketpair),
};

/* Calls that are allowed with one value of one argument, under a mask where it has flags. */
struct call_arg {
	int call;
	unsigned int arg;
	uint64_t mask, value;
};

#define WHOLE  UINT64_MAX
#define LOW_32 UINT32_MAX
#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
			CLONE_NEWPID | CLONE_NEWNET)
#define IOCTL(req)                                                                                 \
	{                                                                                          \
		SCMP_SYS(ioctl), 1, LOW_32, (req)                                                  \
	}
#define PRCTL(opt)                                                                                 \
	{                                                                                          \
		SCMP_SYS(prctl), 0, LOW_32, (opt)                                                  \
	}
#define SOCKET(af)                                                                                 \
	{                                                                                          \
		SCMP_SYS(socket), 0, LOW_32, (af)                                                  \
	}

static const struct call_arg calls_with[] = {
	/* Threads, and no processes; none in a namespace of its own. */
	{ SCMP_SYS(clone), 0, CLONE_THREAD | NAMESPACES, CLONE_THREAD },
	/* A umask of a thread's own. */
	{ SCMP_SYS(unshare), 0, WHOLE, CLONE_FS },
	/* Limits of this process. */
	{ SCMP_SYS(prlimit64), 0, LOW_32, 0 },
	IOCTL(FIBMAP),
	IOCTL(FICLONE),
	IOCTL(FICLONERANGE),
	IOCTL(FIDEDUPERANGE),
	IOCTL(FIGETBSZ),
	IOCTL(FIONBIO),
	IOCTL(FIONREAD),
	IOCTL(FS_IOC_FIEMAP),
	IOCTL(FS_IOC_FSGETXATTR),
	IOCTL(FS_IOC_FSSETXATTR),
	IOCTL(FS_IOC_GETFLAGS),
	IOCTL(FS_IOC_GETFSLABEL),
	IOCTL(FS_IOC_GETVERSION),
	IOCTL(FS_IOC_SETFLAGS),
	IOCTL(FS_IOC_SETVERSION),
	IOCTL(SIOCGIFINDEX),
	IOCTL(SIOCGIFNAME),
	IOCTL(TCGETS),
	IOCTL(TCGETS2),
	PRCTL(PR_CAPBSET_READ),
	PRCTL(PR_GET_NAME),
	PRCTL(PR_GET_NO_NEW_PRIVS),
	PRCTL(PR_GET_SECCOMP),
	PRCTL(PR_SET_NAME),
	PRCTL(PR_SET_VMA),
	SOCKET(AF_UNIX),
	SOCKET(AF_INET),
	SOCKET(AF_INET6),
	SOCKET(AF_NETLINK),
};

static uint32_t
filter_action(enum weir_seccomp_mode mode)
{
	switch (mode) {
	case WEIR_SECCOMP_KILL:
		return SCMP_ACT_KILL_PROCESS;
	case WEIR_SECCOMP_LOG:
		return SCMP_ACT_LOG;
	default:
		/* What libraries take for an older kernel's answer, and do without. */
		return SCMP_ACT_ERRNO(ENOSYS);
	}
}

static int
filter_fill(scmp_filter_ctx filter)
{
	int rc = 0;

	for (size_t i = 0; i < RTE_DIM(calls) && rc == 0; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	for (size_t i = 0; i < RTE_DIM(calls_with) && rc == 0; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls_with[i].call, 1,
				SCMP_CMP(calls_with[i].arg, SCMP_CMP_MASKED_EQ, calls_with[i].mask,
						calls_with[i].value));
	for (size_t i = 0; i < sandbox_nb_more_calls && rc == 0; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, sandbox_more_calls[i], 0);
	/* Signals to threads of this process. */
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	return rc;
}

/* Puts a filter on all threads, and frees it. */
static int
filter_load(scmp_filter_ctx filter)
{
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	/* The search costs least as a tree; an errno says more than what is made of it. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	/* Kernels without filters say that they do not know the mode. */
	return rc == -EINVAL || rc == -EOPNOTSUPP ? -ENOSYS : rc;
}

/*
 * Its flags are in memory, where no filter sees them. The C library tries it first for each thread,
 * and then takes clone: a filter of its own keeps that out of the audit log.
 */
static int
clone3_hide(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int rc;

	if (filter == NULL)
		return -ENOMEM;
	rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (rc == 0)
		return filter_load(filter);
	seccomp_release(filter);
	return rc;
}

int
sandbox_seccomp_load(enum weir_seccomp_mode mode)
{
	scmp_filter_ctx filter;
	int rc = clone3_hide();

	if (rc < 0)
		return rc;
	filter = seccomp_init(filter_action(mode));
	if (filter == NULL)
		return -ENOMEM;
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	rc = filter_fill(filter);
	if (rc == 0)
		return filter_load(filter);
	seccomp_release(filter);
	return rc;
}
