/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef RPC_H
#define RPC_H

/* What the files of this library share. Everything here runs on control. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "weir_log.h"
#include "weir_rpc.h"

WEIR_LOG_USE(rpc);

#define RPC_FRAME_MAX (1u << 20) /* bytes of one request or batch */
#define RPC_DEPTH_MAX 64 /* nesting of one request */
#define RPC_ID_MAX    128 /* bytes of an id as it was written */
#define RPC_BATCH_MAX 1024 /* calls of one batch */
#define RPC_TEXT_MAX  512 /* bytes of an error text */

TAILQ_HEAD(rpc_method_list, weir_rpc_method);
extern struct rpc_method_list rpc_methods;

/*
 * Framing: finds where one JSON object or array of a byte stream ends. It tells strings from
 * structure and counts brackets; whether the text between is JSON is the parser's business.
 */
struct rpc_frame {
	size_t pos; /* bytes looked at */
	size_t start; /* of the frame, once depth is not 0 */
	unsigned int depth;
	bool in_string, escaped;
};

enum rpc_frame_state {
	RPC_FRAME_MORE, /* incomplete; pos bytes were looked at */
	RPC_FRAME_DONE, /* the frame is [start, pos) */
	RPC_FRAME_GARBAGE, /* no JSON object or array, or nested too deep */
};

/* Continues at frame->pos. text is the whole stream since the last reset of *frame. */
enum rpc_frame_state rpc_frame_scan(struct rpc_frame *frame, const char *text, size_t len);

/* A piece of JSON text, borrowed. */
struct rpc_span {
	const char *p;
	size_t len;
};

/* Skips white space. */
const char *rpc_span_blank(const char *p, const char *end);
/* The end of the value that starts at p (as far as brackets and quotes tell). */
const char *rpc_span_value(const char *p, const char *end);
/* The text of an object's member, with len 0 when it has none; key needs no escapes. */
struct rpc_span rpc_span_member(struct rpc_span object, const char *key);
/* The last key before offset pos, and how deep its object is nested (1: the outermost). */
struct rpc_span rpc_span_last_key(struct rpc_span text, size_t pos, unsigned int *depth);
/* Whether a span is one number by the grammar of JSON, however big. */
bool rpc_span_is_number(struct rpc_span span);

/* A growing text. Appending to one that failed does nothing; failed is looked at in the end. */
struct rpc_text {
	char *data;
	size_t len, size;
	bool failed;
};

void rpc_text_append(struct rpc_text *text, const char *data, size_t len);
void rpc_text_puts(struct rpc_text *text, const char *string);
void rpc_text_json(struct rpc_text *text, const json_t *value); /* compact, one line */
void rpc_text_free(struct rpc_text *text);

/* Makes one line of valid UTF-8 of an error text. */
void rpc_line_clean(char *line);

/*
 * An exchange: one frame in, at most one line out, when its last call has ended. Calls of a batch
 * run in order, but end in any.
 */
struct rpc_exchange {
	void *owner; /* NULL: nobody listens any more */
	/* Runs once, possibly before rpc_exchange_start() returned. line is borrowed and empty when
	 * there is nothing to say; fatal: the frame was not JSON, so the stream is lost. */
	void (*answer)(struct rpc_exchange *ex, struct rpc_span line, bool fatal);
	LIST_ENTRY(rpc_exchange) next; /* for the owner */
	struct rpc_text text;
	unsigned int nb_open; /* calls not ended, and one while the frame is being read */
	bool is_batch, fatal;
};

/* Runs the calls of one frame, whose text it may scribble on. Frees ex after answer(). */
void WEIR_ON_CONTROL rpc_exchange_start(struct rpc_exchange *ex, char *text, size_t len);

/*
 * A command line as method and params. On error returns a WEIR_RPC_ code and one line in err.
 * *params is a new reference; *method is NULL for a line without a command.
 */
int rpc_cmdline_parse(const char *line, const struct weir_rpc_method **method, json_t **params,
		char *err, size_t err_size);

/* Whether a and b are the same key, '-' and '_' being alike. */
bool rpc_key_equal(const char *a, const char *b);
/* The row that has key as name or alias; NULL when there is none. */
const struct weir_param *
rpc_param_find(const struct weir_param *params, unsigned int nb, const char *key);

#endif /* RPC_H */
