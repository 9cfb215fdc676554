/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef REPORT_H
#define REPORT_H

/**
 * @file
 * What a run came to, for people and as JSON.
 */

#include <jansson.h>

#include "load.h"

/** The line that shows what happens meanwhile: ops in the last ns. */
void report_live(const struct load *load, uint64_t ops, uint64_t ns);

/** Clears that line. */
void report_live_end(const struct load *load);

void report_text(const struct perf_opts *opts, const struct load_result *result);

/** A new reference. */
json_t *report_json(const struct perf_opts *opts, const struct load_result *result);

/** Prints a JSON object and gives it up. */
void report_print(json_t *object);

#endif /* REPORT_H */
