/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Takes the input for what a client sends and for a line of an init file. Holds: a stream is cut
 * into the same frames however it arrives; an answer is one line; what was decoded can be encoded
 * and decoded again.
 */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "fuzz.h"
#include "rpc.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

struct all_args {
	char name[16];
	char tag[37];
	uint32_t size;
	uint64_t bytes;
	uint32_t platform;
	uint32_t timeout;
	bool has_timeout;
	bool flag;
	bool packed;
};

static const char *const size_aliases[] = { "max_size", NULL };
static const char *const platforms[] = { "native", "x86_64", NULL };

static const struct weir_param all_params[] = {
	WEIR_PARAM(all_args, name, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 1),
	WEIR_PARAM(all_args, tag, WEIR_STR, .short_opt = 't'),
	WEIR_PARAM(all_args, size, WEIR_U32, .aliases = size_aliases, .def = 64, .min = 8,
			.max = 1024, .flags = WEIR_PARAM_POW2),
	WEIR_PARAM(all_args, bytes, WEIR_U64, .position = 2),
	WEIR_PARAM(all_args, platform, WEIR_ENUM, .choices = platforms),
	WEIR_PARAM(all_args, timeout, WEIR_U32, WEIR_PARAM_GIVEN(all_args, has_timeout)),
	WEIR_PARAM(all_args, flag, WEIR_BOOL, .short_opt = 'f'),
	WEIR_PARAM(all_args, packed, WEIR_BOOL, .flags = WEIR_PARAM_UNSUPPORTED),
};

static void WEIR_ON_CONTROL
all_call(struct weir_rpc_call *call, const void *args)
{
	json_t *first = weir_param_encode(all_params, RTE_DIM(all_params), args), *second;
	struct all_args again;
	char err[RPC_TEXT_MAX];

	memset(&again, 0, sizeof(again));
	CHECK(weir_param_decode(all_params, RTE_DIM(all_params), first, &again, err, sizeof(err)) ==
			0);
	second = weir_param_encode(all_params, RTE_DIM(all_params), &again);
	CHECK(json_equal(first, second));
	json_decref(second);
	weir_rpc_reply(call, first);
}

WEIR_RPC_METHOD(all, "all", "", struct all_args, all_params)

static bool was_fatal;

static void
check_answer(struct rpc_exchange *ex, struct rpc_span line, bool fatal)
{
	was_fatal = fatal;
	if (line.len > 0)
		CHECK(memchr(line.p, '\n', line.len) == line.p + line.len - 1);
	CHECK(line.len > 0 || !fatal);
}

static void WEIR_ON_CONTROL
run_exchange(const char *frame, size_t len)
{
	struct rpc_exchange *ex = calloc(1, sizeof(*ex));
	char *copy = malloc(len);

	CHECK(ex != NULL && copy != NULL);
	memcpy(copy, frame, len);
	ex->owner = copy;
	ex->answer = check_answer;
	was_fatal = false;
	rpc_exchange_start(ex, copy, len);
	free(copy);
}

/*
 * Serves the stream when it comes step bytes at a time. Returns how far it got, and in *nb the
 * number of frames.
 */
static size_t WEIR_ON_CONTROL
serve(const char *text, size_t len, size_t step, unsigned int *nb)
{
	struct rpc_frame frame = { 0 };
	enum rpc_frame_state state;
	size_t used = 0, seen = 0;

	*nb = 0;
	for (;;) {
		state = rpc_frame_scan(&frame, text + used, seen - used);
		if (state == RPC_FRAME_GARBAGE)
			return used;
		if (state == RPC_FRAME_DONE) {
			(*nb)++;
			if (step == len)
				run_exchange(text + used + frame.start, frame.pos - frame.start);
			if (step == len && was_fatal)
				return used;
			used += frame.pos;
			frame = (struct rpc_frame){ 0 };
		} else if (seen == len) {
			return used;
		} else {
			seen = RTE_MIN(len, seen + step);
		}
	}
}

static void
parse_line(const char *text, size_t len)
{
	const struct weir_rpc_method *method = NULL;
	json_t *params = NULL;
	char err[RPC_TEXT_MAX] = "", *line = malloc(len + 1);

	CHECK(line != NULL);
	memcpy(line, text, len);
	line[len] = '\0';
	if (rpc_cmdline_parse(line, &method, &params, err, sizeof(err)) == 0)
		json_decref(params);
	else
		CHECK(err[0] != '\0' && strchr(err, '\n') == NULL);
	free(line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	unsigned int nb_whole, nb_bytes;
	size_t end_whole, end_bytes;

	weir_role_assume_control();
	if (size == 0)
		return 0;
	end_whole = serve(text, size, size, &nb_whole);
	end_bytes = serve(text, size, 1, &nb_bytes);
	/* What is no JSON ends the connection, which only the one that parses finds out. */
	CHECK(was_fatal || size == 1 || (end_whole == end_bytes && nb_whole == nb_bytes));
	parse_line(text, size);
	return 0;
}
