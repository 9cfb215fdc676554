/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include "sandbox.h"

const int sandbox_more_calls[] = { -1 };
const size_t sandbox_nb_more_calls = 0;
