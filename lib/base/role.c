/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include "weir_role.h"

struct weir_role weir_worker_role = { "worker" };
struct weir_role weir_control_role = { "control" };
struct weir_role weir_transport_role = { "transport" };
struct weir_role weir_helper_role = { "helper" };
