/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <seccomp.h>

#include <rte_common.h>

#include "sandbox.h"

/* At its end the process looks for leaks from another one, and for the names of what leaked. */
const int sandbox_more_calls[] = {
	SCMP_SYS(clone),
	SCMP_SYS(execve),
	SCMP_SYS(fork),
	SCMP_SYS(kill),
	SCMP_SYS(personality),
	SCMP_SYS(prctl),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(ptrace),
	SCMP_SYS(vfork),
	SCMP_SYS(wait4),
	SCMP_SYS(waitid),
};
const size_t sandbox_nb_more_calls = RTE_DIM(sandbox_more_calls);
