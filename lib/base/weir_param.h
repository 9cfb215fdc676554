/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_PARAM_H
#define WEIR_PARAM_H

/**
 * @file
 * Declared parameters: a row says where a value goes, what it may be and how it is named in JSON,
 * on a command line and in a help text. The parser, the command line, the reference page and the
 * report of a configuration are all made from the row, so nothing is described twice.
 */

#include <stddef.h>
#include <stdint.h>

enum weir_param_type {
	WEIR_BOOL, /**< bool */
	WEIR_U32, /**< uint32_t */
	WEIR_U64, /**< uint64_t */
	WEIR_STR, /**< char[size], NUL terminated; longer input is refused */
	WEIR_ENUM, /**< uint32_t: index into .choices */
};

/** Row flags. */
#define WEIR_PARAM_REQUIRED (1u << 0) /**< the call is refused without it */
#define WEIR_PARAM_UNSUPPORTED                                                                     \
	(1u << 1) /**< may only have its default; refused by name otherwise */
#define WEIR_PARAM_POW2 (1u << 2) /**< a number must be a power of two */

struct weir_param {
	const char *name; /**< JSON key; the CLI option is --name, _ or - alike */
	const char *const *aliases; /**< other JSON keys, NULL-terminated; NULL for none */
	const char *const *choices; /**< WEIR_ENUM: NULL-terminated names */
	const char *help;
	enum weir_param_type type;
	uint32_t flags;
	uint32_t off; /**< of the field in the argument struct */
	uint32_t size; /**< of the field */
	uint32_t given; /**< WEIR_PARAM_GIVEN(): 1 + offset of a bool; 0 for none */
	uint64_t def; /**< default of bool, number, enum; a string's default is "" */
	uint64_t min, max; /**< numbers: inclusive; max 0: the type's own (on the wire 2^63-1) */
	char short_opt; /**< CLI: -t; 0 for none */
	uint8_t position; /**< CLI: 1 for the first positional argument; 0 for none */
};

/** WEIR_PARAM(struct tag, field, type, designated initialisers...) */
#define WEIR_PARAM(tag, field, ptype, ...)                                                         \
	{                                                                                          \
		.name = #field, .type = (ptype), .off = offsetof(struct tag, field),               \
		.size = sizeof(((struct tag *)0)->field), __VA_ARGS__                              \
	}

/**
 * Names the bool that tells whether the caller gave the parameter:
 * WEIR_PARAM(args, tag, WEIR_STR, WEIR_PARAM_GIVEN(args, has_tag), ...)
 */
#define WEIR_PARAM_GIVEN(tag, field) .given = 1 + offsetof(struct tag, field)

#endif /* WEIR_PARAM_H */
