/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef INSN_RECORDING_H
#define INSN_RECORDING_H

/**
 * @file
 * Calls and their replies, as a file; see insn_replay.h for its format. Only what the client asks
 * counts, and neither who asks nor the xid. Files are trusted: what is wrong ends the process.
 */

#include <stdbool.h>
#include <stdint.h>

struct recorded_bytes {
	uint8_t *bytes;
	uint32_t nb;
};

struct recorded {
	uint32_t program, version, procedure;
	struct recorded_bytes args;
	struct recorded_bytes reply; /**< behind the xid */
};

struct recording {
	struct recorded *calls;
	uint32_t nb;
};

/** An absent file is an empty recording where it may be. */
void recording_load(struct recording *rec, const char *path, bool may_be_absent);
void recording_save(const struct recording *rec, const char *path);
void recording_free(struct recording *rec);

/** Takes a call apart, from the xid on, and borrows its arguments. @return false: it is none. */
bool recorded_from_call(struct recorded *call, const uint8_t *buf, uint32_t nb);

/** The call that asks the same, or NULL. */
const struct recorded *recording_find(const struct recording *rec, const struct recorded *call);

/** Adds a copy of a call with its reply. */
const struct recorded *recording_add(struct recording *rec, const struct recorded *call,
		const uint8_t *reply, uint32_t nb);

#endif /* INSN_RECORDING_H */
