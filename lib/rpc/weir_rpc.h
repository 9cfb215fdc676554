/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef WEIR_RPC_H
#define WEIR_RPC_H

/**
 * @file
 * Remote procedure calls: one registry of methods behind the JSON-RPC 2.0 socket, the telemetry
 * commands and the init file. A method declares its parameters as a table; the decoder has filled,
 * defaulted and range-checked the argument struct before the method runs, on control. A call ends
 * exactly once, at once or later, with weir_rpc_reply() or weir_rpc_fail().
 *
 * Wire rules (SPDK's conventions, which existing clients rely on): see doc/rpc.md.
 */

#include <jansson.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_common.h>

#include "weir_param.h"
#include "weir_role.h"

/* JSON-RPC 2.0 section 5.1 error codes. Others are a negative errno. */
#define WEIR_RPC_PARSE_ERROR      -32700
#define WEIR_RPC_INVALID_REQUEST  -32600
#define WEIR_RPC_METHOD_NOT_FOUND -32601
#define WEIR_RPC_INVALID_PARAMS   -32602
#define WEIR_RPC_INTERNAL_ERROR   -32603

struct weir_rpc_call;

struct weir_rpc_method {
	const char *name;
	const char *help; /**< one line */
	const char *const *aliases; /**< other names, NULL-terminated; NULL for none */
	const struct weir_param *params;
	uint32_t nb_params;
	uint32_t args_size; /**< of the struct that the table describes */
	/** Runs on control. args lives until the call ended. priv is the method's own. */
	void (*call)(struct weir_rpc_call *call, const void *args);
	void *priv;
	TAILQ_ENTRY(weir_rpc_method) next;
};

/** Adds a method; it is borrowed for ever. Panics on a duplicate name. Before the server starts. */
void weir_rpc_method_register(struct weir_rpc_method *method);

/* clang-format off */
/**
 * Registers a method from its own file: WEIR_RPC_METHOD(device_stop, "virtio_fs_device_stop",
 * "Stop a virtio-fs device", struct device_name_args, device_name_params) with the handler named
 * device_stop_call. WEIR_RPC_METHOD0 is for a method without parameters.
 */
#define WEIR_RPC_METHOD(id, wire, text, argtype, table, ...)                                       \
	static struct weir_rpc_method id##_method = {                                              \
		.name = (wire),                                                                    \
		.help = (text),                                                                    \
		.params = (table),                                                                 \
		.nb_params = RTE_DIM(table),                                                       \
		.args_size = sizeof(argtype),                                                      \
		.call = id##_call,                                                                 \
		__VA_ARGS__                                                                        \
	};                                                                                         \
	RTE_INIT(id##_method_init)                                                                 \
	{                                                                                          \
		weir_rpc_method_register(&id##_method);                                            \
	}
#define WEIR_RPC_METHOD0(id, wire, text, ...)                                                      \
	static struct weir_rpc_method id##_method = {                                              \
		.name = (wire), .help = (text), .call = id##_call, __VA_ARGS__                     \
	};                                                                                         \
	RTE_INIT(id##_method_init)                                                                 \
	{                                                                                          \
		weir_rpc_method_register(&id##_method);                                            \
	}
/* clang-format on */

/** A method by name or alias; NULL when there is none. */
struct weir_rpc_method *weir_rpc_method_find(const char *name);

/** The method that a call is for (its priv, its name). */
const struct weir_rpc_method *weir_rpc_call_method(const struct weir_rpc_call *call);

/** Ends the call with a result; takes the reference. NULL (no memory) becomes an internal error. */
void WEIR_ON_CONTROL weir_rpc_reply(struct weir_rpc_call *call, json_t *result);

/** Ends the call with the result true. */
void WEIR_ON_CONTROL weir_rpc_reply_true(struct weir_rpc_call *call);

/**
 * Ends the call with an error. code is a negative errno or a WEIR_RPC_ code, never 0. The text is
 * one line that names what was wrong; a negative errno's own text is not added.
 */
void WEIR_ON_CONTROL weir_rpc_fail(struct weir_rpc_call *call, int code, const char *fmt, ...)
		__rte_format_printf(3, 4);

/**
 * Runs a method from inside the process, as if it had come over the wire.
 *
 * @param params  JSON object or NULL; borrowed.
 * @param done    called exactly once, possibly before return: code 0 and the result (borrowed), or
 *   the error code and its text.
 */
void WEIR_ON_CONTROL weir_rpc_invoke(const char *method, const json_t *params,
		void (*done)(void *arg, int code, json_t *result, const char *message), void *arg);

/**
 * Opens the socket at path, mode 0600, and serves it from the control loop. A stale socket file is
 * replaced; a live one (its lock file PATH.lock is held) is not.
 *
 * The parent folder is created if it is missing.
 *
 * @return 0; -EADDRINUSE when another process serves it; -EBUSY when this one serves already;
 *   -EEXIST when the path is no socket; -EINVAL for an empty path; -ENAMETOOLONG; or -errno.
 */
int WEIR_ON_CONTROL weir_rpc_server_start(const char *path);

/**
 * Closes connections and socket and removes both files. Open calls end unheard. Not from inside a
 * method: that stops the loop, and who ran the loop stops the server.
 */
void WEIR_ON_CONTROL weir_rpc_server_stop(void);

/**
 * Runs the command lines of a file in order, each when the one before has ended; # starts a comment.
 * Each line has the form that weir-rpc.py takes: method, positional arguments, options. A line that
 * ends in a backslash continues on the next one.
 *
 * @param done  called once on control: 0, or the error code of the first line that failed, with a
 *   text that names file and line. The file is read whole before the first line runs.
 * @return 0; -EFBIG for more than 1 MiB; -EINVAL when it contains a NUL; or -errno of opening and
 *   reading (done is not called then).
 */
int WEIR_ON_CONTROL weir_rpc_init_file(const char *path,
		void (*done)(void *arg, int code, const char *message), void *arg);

/**
 * Decodes a JSON object by a table into args (zeroed, defaulted first).
 *
 * @param obj  NULL is like an object without keys.
 * @param err  receives one line naming the key and what was wrong with it.
 * @return 0, or -EINVAL: not an object, unknown key, an alias beside its name with another value,
 *   wrong type, out of range, a required key missing, an unsupported one set.
 */
int weir_param_decode(const struct weir_param *params, unsigned int nb, const json_t *obj,
		void *args, char *err, size_t err_size);

/**
 * The JSON object that describes a table, as weir_get_rpc_schema reports it: by name, in the order
 * of the rows. New reference.
 */
json_t *weir_param_schema(const struct weir_param *params, unsigned int nb);

/**
 * The JSON object with the values of args, every parameter under its name but those whose
 * WEIR_PARAM_GIVEN() bool says that they were not given. New reference. Decoding it gives args again.
 */
json_t *weir_param_encode(const struct weir_param *params, unsigned int nb, const void *args);

#endif /* WEIR_RPC_H */
