/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <string.h>

#include "rpc.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Steps over one character inside a string. */
static void
frame_string_step(struct rpc_frame *frame, char c)
{
	if (frame->escaped)
		frame->escaped = false;
	else if (c == '\\')
		frame->escaped = true;
	else if (c == '"')
		frame->in_string = false;
}

enum rpc_frame_state
rpc_frame_scan(struct rpc_frame *frame, const char *text, size_t len)
{
	for (; frame->pos < len; frame->pos++) {
		char c = text[frame->pos];

		if (frame->in_string) {
			frame_string_step(frame, c);
		} else if (c == '{' || c == '[') {
			if (frame->depth == 0)
				frame->start = frame->pos;
			if (++frame->depth > RPC_DEPTH_MAX)
				return RPC_FRAME_GARBAGE;
		} else if (frame->depth == 0) {
			if (!is_blank(c))
				return RPC_FRAME_GARBAGE;
		} else if (c == '"') {
			frame->in_string = true;
		} else if (c == '}' || c == ']') {
			if (--frame->depth == 0) {
				frame->pos++;
				return RPC_FRAME_DONE;
			}
		}
	}
	return RPC_FRAME_MORE;
}

const char *
rpc_span_blank(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static const char *
span_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? p + 1 : end;
}

const char *
rpc_span_value(const char *p, const char *end)
{
	unsigned int depth = 0;

	if (p < end && *p != '"' && *p != '{' && *p != '[') {
		while (p < end && !is_blank(*p) && strchr(",]}", *p) == NULL)
			p++;
		return p;
	}
	while (p < end) {
		if (*p == '"') {
			p = span_string(p, end);
		} else {
			if (*p == '{' || *p == '[')
				depth++;
			else if (*p == '}' || *p == ']')
				depth--;
			p++;
		}
		if (depth == 0)
			break;
	}
	return p;
}

/* Steps over c, when the next thing is that. */
static bool
span_skip(const char **p, const char *end, char c)
{
	*p = rpc_span_blank(*p, end);
	if (*p == end || **p != c)
		return false;
	(*p)++;
	*p = rpc_span_blank(*p, end);
	return true;
}

struct rpc_span
rpc_span_member(struct rpc_span object, const char *key)
{
	const char *p = object.p, *end = object.p + object.len, *name, *value;
	size_t name_len, key_len = strlen(key);

	if (!span_skip(&p, end, '{'))
		return (struct rpc_span){ 0 };
	do {
		name = p;
		p = rpc_span_value(p, end);
		name_len = (size_t)(p - name);
		if (!span_skip(&p, end, ':'))
			break;
		value = p;
		p = rpc_span_value(p, end);
		if (name_len == key_len + 2 && memcmp(name + 1, key, key_len) == 0)
			return (struct rpc_span){ value, (size_t)(p - value) };
	} while (span_skip(&p, end, ','));
	return (struct rpc_span){ 0 };
}

struct rpc_span
rpc_span_last_key(struct rpc_span text, size_t pos, unsigned int *depth)
{
	const char *p = text.p, *end = text.p + text.len, *string, *after;
	struct rpc_span key = { 0 };
	unsigned int level = 0;

	*depth = 0;
	while (p < end && p < text.p + pos) {
		if (*p != '"') {
			if (*p == '{' || *p == '[')
				level++;
			else if (*p == '}' || *p == ']')
				level--;
			p++;
			continue;
		}
		string = p;
		p = span_string(p, end);
		after = rpc_span_blank(p, end);
		if (after < end && *after == ':') {
			key = (struct rpc_span){ string + 1, (size_t)(p - string) - 2 };
			*depth = level;
		}
	}
	return key;
}

static const char *
digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

bool
rpc_span_is_number(struct rpc_span span)
{
	const char *p = span.p, *end = span.p + span.len, *start;

	if (p < end && *p == '-')
		p++;
	start = p;
	p = digits(p, end);
	if (p == start || (*start == '0' && p - start > 1))
		return false;
	if (p < end && *p == '.') {
		start = ++p;
		p = digits(p, end);
		if (p == start)
			return false;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		start = p;
		p = digits(p, end);
		if (p == start)
			return false;
	}
	return p == end;
}
