/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "rpc.h"

static bool
text_reserve(struct rpc_text *text, size_t more)
{
	size_t size = RTE_MAX(text->size, 256u);
	char *data;

	if (text->failed)
		return false;
	while (size - text->len < more)
		size *= 2;
	if (size == text->size)
		return true;
	data = realloc(text->data, size);
	if (data == NULL) {
		text->failed = true;
		return false;
	}
	text->data = data;
	text->size = size;
	return true;
}

void
rpc_text_append(struct rpc_text *text, const char *data, size_t len)
{
	if (len == 0 || !text_reserve(text, len))
		return;
	memcpy(text->data + text->len, data, len);
	text->len += len;
}

void
rpc_text_puts(struct rpc_text *text, const char *string)
{
	rpc_text_append(text, string, strlen(string));
}

static int
append_json(const char *data, size_t len, void *text)
{
	rpc_text_append(text, data, len);
	return 0;
}

void
rpc_text_json(struct rpc_text *text, const json_t *value)
{
	/* 15 digits are what a double holds for sure; with more, 0.1 is not printed as 0.1. */
	if (json_dump_callback(value, append_json, text,
			    JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) < 0)
		text->failed = true;
}

void
rpc_text_free(struct rpc_text *text)
{
	free(text->data);
	*text = (struct rpc_text){ 0 };
}
