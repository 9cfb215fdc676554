/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sunrpc_fixture.h"

struct user user;

int
sunrpc_main(int (*run)(void))
{
	int rc = user_group_start();

	if (rc != 0)
		return rc;
	rc = run();
	user_group_stop();
	return rc;
}

int
sunrpc_setup(void **state)
{
	user_init(&user);
	return 0;
}

int
sunrpc_teardown(void **state)
{
	user_stop(&user);
	return 0;
}

int
connect_now(uint16_t *port)
{
	assert_int_equal(user_start(&user), 0);
	return rpc_peer_accept(&user.peer, port);
}

int
connect_again(uint16_t port)
{
	uint16_t now;
	int fd = rpc_peer_accept(&user.peer, &now);

	assert_int_equal(now, port);
	return fd;
}

void
recv_again(int fd, const struct rpc_peer_call *before)
{
	struct rpc_peer_call now;

	rpc_peer_recv(fd, &now);
	assert_int_equal(now.raw_len, before->raw_len);
	assert_memory_equal(now.raw, before->raw, now.raw_len);
	free(now.raw);
}

void
answer(int fd, struct rpc_peer_call *seen, struct user_call *call)
{
	rpc_peer_answer(fd, seen->xid, NULL, 0);
	assert_int_equal(user_wait(call), 0);
	free(seen->raw);
}
