/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir_rpc.h"

#include "rpc_client.h"

static void
answers_may_come_out_of_order(void **state)
{
	int fd = rpc_client_open();

	rpc_say(fd, "{\"id\":2,\"method\":\"hold\"}{\"id\":1,\"method\":\"yes\"}");
	assert_rpc_line(fd, TRUE_1);
	weir_role_assume_control();
	weir_rpc_reply_true(rpc_held);
	rpc_held = NULL;
	assert_rpc_line(fd, TRUE_2);
	close(fd);
}

static void
client_gone_while_call_is_open_ends_unheard(void **state)
{
	int fd = rpc_client_open();

	rpc_say(fd, "{\"id\":2,\"method\":\"hold\"}");
	rpc_turns();
	assert_non_null(rpc_held);
	close(fd);
	rpc_turns();
	weir_role_assume_control();
	weir_rpc_reply_true(rpc_held);
	rpc_held = NULL;
	rpc_turns();
}

static void
client_that_only_stopped_sending_is_answered(void **state)
{
	int fd = rpc_client_open();

	rpc_say(fd, "{\"id\":1,\"method\":\"yes\"}{\"id\":2,\"method\":\"hold\"}");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_rpc_line(fd, TRUE_1);
	rpc_turns();
	weir_role_assume_control();
	weir_rpc_reply_true(rpc_held);
	rpc_held = NULL;
	assert_rpc_line(fd, TRUE_2);
	assert_rpc_closed(fd);
}

static void
client_that_does_not_read_holds_up_only_itself(void **state)
{
	enum {
		NB = 100
	};
	int slow = rpc_client_open(), i;
	char *line;

	for (i = 0; i < NB; i++)
		rpc_say(slow, "{\"id\":1,\"method\":\"big\"}");
	rpc_turns();
	assert_rpc_answer("{\"id\":1,\"method\":\"yes\"}", TRUE_1);
	for (i = 0; i < NB; i++) {
		line = rpc_read_line(slow);
		assert_non_null(line);
		assert_true(strlen(line) > 256 << 10);
		free(line);
	}
	assert_rpc_silent(slow);
	close(slow);
}

static void
many_clients_are_served_at_once(void **state)
{
	enum {
		NB = 200
	};
	int fds[NB], i;

	for (i = 0; i < NB; i++) {
		fds[i] = rpc_client_open();
		rpc_turn();
	}
	for (i = 0; i < NB; i++)
		rpc_say(fds[i], "{\"id\":1,\"method\":\"yes\"}");
	for (i = 0; i < NB; i++) {
		assert_rpc_line(fds[i], TRUE_1);
		close(fds[i]);
	}
	rpc_turns();
}

static void
many_clients_too_many_wait_for_one_to_leave(void **state)
{
	enum {
		MAX = 1024,
		NB = MAX + 8
	};
	struct rlimit old, limit;
	int fds[NB], i;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = 2 * NB + 100;
	if (old.rlim_max < limit.rlim_cur)
		skip();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

	for (i = 0; i < NB; i++) {
		fds[i] = rpc_client_open();
		rpc_turn();
	}
	for (i = 0; i < NB; i++)
		rpc_say(fds[i], "{\"id\":1,\"method\":\"yes\"}");
	for (i = 0; i < MAX; i++)
		assert_rpc_line(fds[i], TRUE_1);
	for (i = MAX; i < NB; i++)
		assert_rpc_silent(fds[i]);
	for (i = 0; i < MAX; i++)
		close(fds[i]);
	for (i = MAX; i < NB; i++) {
		assert_rpc_line(fds[i], TRUE_1);
		close(fds[i]);
	}
	rpc_turns();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void
many_clients_without_descriptors_wait_for_one(void **state)
{
	struct rlimit old, limit;
	int fds[3], i;

	for (i = 0; i < 2; i++)
		fds[i] = rpc_client_open();
	rpc_turns();
	fds[2] = rpc_client_open();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	limit = old;
	limit.rlim_cur = (rlim_t)fds[2];
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	rpc_say(fds[2], "{\"id\":1,\"method\":\"yes\"}");
	assert_rpc_silent(fds[2]);
	rpc_say(fds[0], "{\"id\":1,\"method\":\"yes\"}");
	assert_rpc_line(fds[0], TRUE_1);

	close(fds[0]);
	assert_rpc_line(fds[2], TRUE_1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(fds[1]);
	close(fds[2]);
	rpc_turns();
}

static void
socket_belongs_to_its_owner_only(void **state)
{
	struct stat st;

	assert_int_equal(stat(rpc_path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(rpc_dir, &st), 0);
}

static void
server_start_twice_is_busy(void **state)
{
	weir_role_assume_control();
	assert_int_equal(weir_rpc_server_start(rpc_path), -EBUSY);
}

static void
server_start_on_a_locked_path_is_refused(void **state)
{
	char lock[128];
	int fd;

	weir_role_assume_control();
	weir_rpc_server_stop();
	assert_int_equal(access(rpc_path, F_OK), -1);
	snprintf(lock, sizeof(lock), "%s.lock", rpc_path);
	assert_int_equal(access(lock, F_OK), -1);

	fd = open(lock, O_RDWR | O_CREAT, 0600);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(weir_rpc_server_start(rpc_path), -EADDRINUSE);
	close(fd);
	assert_int_equal(weir_rpc_server_start(rpc_path), 0);
}

static void
server_start_replaces_a_stale_socket(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	weir_role_assume_control();
	weir_rpc_server_stop();
	memcpy(addr.sun_path, rpc_path, strlen(rpc_path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(weir_rpc_server_start(rpc_path), 0);
	assert_rpc_answer("{\"id\":1,\"method\":\"yes\"}", TRUE_1);
}

static void
server_start_spares_what_is_no_socket(void **state)
{
	char file[128];
	int fd;

	weir_role_assume_control();
	weir_rpc_server_stop();
	snprintf(file, sizeof(file), "%s/file", rpc_dir);
	fd = open(file, O_RDWR | O_CREAT, 0600);
	close(fd);
	assert_int_equal(weir_rpc_server_start(file), -EEXIST);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(weir_rpc_server_start(rpc_path), 0);
}

static void
server_start_with_a_bad_path_is_refused(void **state)
{
	char long_path[200];

	weir_role_assume_control();
	weir_rpc_server_stop();
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(weir_rpc_server_start(long_path), -ENAMETOOLONG);
	assert_int_equal(weir_rpc_server_start(""), -EINVAL);
	assert_int_equal(weir_rpc_server_start("/proc/none/rpc.sock"), -ENOENT);
	assert_int_equal(weir_rpc_server_start(rpc_path), 0);
}

static void
server_stop_with_open_calls_is_clean(void **state)
{
	int fd = rpc_client_open();

	rpc_say(fd, "{\"id\":2,\"method\":\"hold\"}");
	rpc_turns();
	weir_role_assume_control();
	weir_rpc_server_stop();
	assert_rpc_closed(fd);
	weir_rpc_reply_true(rpc_held);
	rpc_held = NULL;
	assert_int_equal(weir_rpc_server_start(rpc_path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_may_come_out_of_order),
		cmocka_unit_test(client_gone_while_call_is_open_ends_unheard),
		cmocka_unit_test(client_that_only_stopped_sending_is_answered),
		cmocka_unit_test(client_that_does_not_read_holds_up_only_itself),
		cmocka_unit_test(many_clients_are_served_at_once),
		cmocka_unit_test(many_clients_too_many_wait_for_one_to_leave),
		cmocka_unit_test(many_clients_without_descriptors_wait_for_one),
		cmocka_unit_test(socket_belongs_to_its_owner_only),
		cmocka_unit_test(server_start_twice_is_busy),
		cmocka_unit_test(server_start_on_a_locked_path_is_refused),
		cmocka_unit_test(server_start_replaces_a_stale_socket),
		cmocka_unit_test(server_start_spares_what_is_no_socket),
		cmocka_unit_test(server_start_with_a_bad_path_is_refused),
		cmocka_unit_test(server_stop_with_open_calls_is_clean),
	};

	return cmocka_run_group_tests(tests, rpc_client_setup, rpc_client_teardown);
}
