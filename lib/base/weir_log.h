/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

/**
 * @file
 * Logging. Each library has one log type, named "weir.<lib>", declared in exactly one of its .c
 * files with WEIR_LOG_TYPE(name) and used by the others with WEIR_LOG_USE(name). The level is set
 * at run time with EAL's --log-level=weir.*:debug.
 *
 * ERR means that an operator must act. The object's name comes first in the text. Workers do not
 * log; what they have to say they count or send to control.
 */

#include <rte_log.h>

/** Defines and registers the log type of this library; the default level is NOTICE. */
#define WEIR_LOG_TYPE(lib)                                                                         \
	int weir_log_##lib;                                                                        \
	RTE_INIT(weir_log_init_##lib)                                                              \
	{                                                                                          \
		weir_log_##lib = rte_log_register_type_and_pick_level(                             \
				"weir." #lib, RTE_LOG_NOTICE);                                     \
	}                                                                                          \
	WEIR_LOG_USE(lib)

/** Makes the log type of this library visible in another of its files. */
#define WEIR_LOG_USE(lib) extern int weir_log_##lib

/** One line: weir_log(device, NOTICE, "%s: started", name). No newline in the format. */
#define weir_log(lib, level, fmt, ...)                                                             \
	rte_log(RTE_LOG_##level, (uint32_t)weir_log_##lib, "weir: " #lib ": " fmt "\n",            \
			##__VA_ARGS__)

#endif /* WEIR_LOG_H */
