/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir_loop.h"
#include "weir_rpc.h"

#include "rpc_client.h"

#define ROUNDS_MAX 20000 /* of the loop, after which an answer will not come */

char rpc_dir[32], rpc_path[64];
static char rpc_sub_path[48];

struct echo_args {
	char text[64];
	uint32_t number;
};

static const struct weir_param echo_params[] = {
	WEIR_PARAM(echo_args, text, WEIR_STR),
	WEIR_PARAM(echo_args, number, WEIR_U32, .max = 100),
};

static void WEIR_ON_CONTROL
echo_call(struct weir_rpc_call *call, const void *args)
{
	const struct echo_args *a = args;

	weir_rpc_reply(call, json_pack("{s:s, s:i}", "text", a->text, "number", (int)a->number));
}

static const char *const echo_aliases[] = { "repeat", NULL };
WEIR_RPC_METHOD(echo, "echo", "Give back", struct echo_args, echo_params, .aliases = echo_aliases)

unsigned int rpc_nb_true_calls;

static void WEIR_ON_CONTROL
yes_call(struct weir_rpc_call *call, const void *args)
{
	rpc_nb_true_calls++;
	weir_rpc_reply_true(call);
}

WEIR_RPC_METHOD0(yes, "yes", "Say true")

static void WEIR_ON_CONTROL
no_call(struct weir_rpc_call *call, const void *args)
{
	weir_rpc_fail(call, -ENODEV, "No such device: %s", "a\nb");
}

WEIR_RPC_METHOD0(no, "no", "Fail")

static void WEIR_ON_CONTROL
big_call(struct weir_rpc_call *call, const void *args)
{
	static char text[256 << 10];

	memset(text, 'x', sizeof(text));
	weir_rpc_reply(call, json_stringn(text, sizeof(text)));
}

WEIR_RPC_METHOD0(big, "big", "Say a lot")

struct weir_rpc_call *rpc_held;

static void WEIR_ON_CONTROL
hold_call(struct weir_rpc_call *call, const void *args)
{
	assert_null(rpc_held);
	rpc_held = call;
}

WEIR_RPC_METHOD0(hold, "hold", "Answer later")

int
rpc_client_open(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, rpc_path, strlen(rpc_path) + 1);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

void
rpc_turn(void)
{
	assert_int_equal(weir_loop_poll(0), 0);
}

void
rpc_turns(void)
{
	for (int i = 0; i < 20; i++)
		rpc_turn();
}

int
rpc_try_send(int fd, const char *data, size_t len)
{
	size_t sent = 0;
	ssize_t n;
	int i;

	for (i = 0; i < ROUNDS_MAX && sent < len; i++) {
		n = send(fd, data + sent, len - sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n > 0)
			sent += (size_t)n;
		rpc_turn();
	}
	assert_int_equal(sent, len);
	return 0;
}

void
rpc_say(int fd, const char *text)
{
	assert_int_equal(rpc_try_send(fd, text, strlen(text)), 0);
}

char *
rpc_read_line(int fd)
{
	size_t len = 0, size = 1 << 20;
	char *line = malloc(size), *newline;
	ssize_t n;
	int i;

	for (i = 0; i < ROUNDS_MAX; i++) {
		/* Looks first, so as to take nothing of the next line. */
		n = recv(fd, line + len, size - len, MSG_PEEK);
		if (n > 0) {
			newline = memchr(line + len, '\n', (size_t)n);
			if (newline != NULL)
				n = newline + 1 - (line + len);
			assert_int_equal(recv(fd, line + len, (size_t)n, 0), n);
			len += (size_t)n;
			if (newline != NULL) {
				*newline = '\0';
				return line;
			}
			continue;
		}
		if (n == 0 || errno == ECONNRESET) {
			assert_int_equal(len, 0);
			free(line);
			return NULL;
		}
		assert_int_equal(errno, EAGAIN);
		rpc_turn();
	}
	fail_msg("no answer");
	return NULL;
}

void
assert_rpc_line(int fd, const char *expected)
{
	char *line = rpc_read_line(fd);

	assert_non_null(line);
	assert_string_equal(line, expected);
	free(line);
}

void
assert_rpc_closed(int fd)
{
	assert_null(rpc_read_line(fd));
	close(fd);
}

void
assert_rpc_silent(int fd)
{
	char c;

	rpc_turns();
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

void
assert_rpc_answer(const char *request, const char *expected)
{
	int fd = rpc_client_open();

	rpc_say(fd, request);
	assert_rpc_line(fd, expected);
	close(fd);
}

void
assert_rpc_fatal(const char *request, size_t len, const char *start)
{
	int fd = rpc_client_open(), rc = rpc_try_send(fd, request, len);
	char *line;

	assert_true(rc == 0 || rc == -EPIPE || rc == -ECONNRESET);
	line = rpc_read_line(fd);
	assert_non_null(line);
	assert_int_equal(strncmp(line, start, strlen(start)), 0);
	free(line);
	assert_rpc_closed(fd);
}

int
rpc_client_setup(void **state)
{
	weir_role_assume_control();
	snprintf(rpc_dir, sizeof(rpc_dir), "/tmp/weir-test-rpc-XXXXXX");
	if (mkdtemp(rpc_dir) == NULL)
		return -1;
	snprintf(rpc_sub_path, sizeof(rpc_sub_path), "%s/run", rpc_dir);
	snprintf(rpc_path, sizeof(rpc_path), "%s/rpc.sock", rpc_sub_path);
	return weir_loop_init() | weir_rpc_server_start(rpc_path);
}

int
rpc_client_teardown(void **state)
{
	weir_role_assume_control();
	weir_rpc_server_stop();
	weir_loop_fini();
	/* Both fail if a file was left behind. */
	return rmdir(rpc_sub_path) | rmdir(rpc_dir);
}
