/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <rte_common.h>
#include <rte_pause.h>

#include "weir_rpc.h"

#include "handoff_user.h"

struct weir_fsdev *slow_dev;

static void
call_done(struct weir_fsreq *req, int res)
{
	struct call *call = container_of(req, struct call, req);

	assert_ptr_equal(weir_worker_self(), call->home);
	assert_int_equal(++call->nb_done, 1);
	if (call->fenced)
		assert_int_equal(call->touched, call->guest.touched);
	call->res = res;
	atomic_store(&call->done, true);
}

void
call_fenced(struct weir_fsreq *req)
{
	struct call *call = container_of(req, struct call, req);

	assert_ptr_equal(weir_worker_self(), call->home);
	assert_false(call->fenced);
	assert_int_equal(call->nb_done, 0);
	call->fenced = true;
	call->touched = call->guest.touched;
	atomic_store(&call->is_fenced, true);
}

void
call_init(struct call *call, enum weir_fsop op, uint64_t off, unsigned int home,
		unsigned int backend)
{
	*call = (struct call){
		.home = weir_worker_at(home),
		.chan = weir_fsdev_channel_at(slow_dev, backend),
	};
	call->req.op = op;
	call->req.done = call_done;
	call->req.name = (void *)&call->guest;
	call->req.in.io.off = off;
	call->req.in.io.len = 5;
}

static void
call_submit_there(struct weir_msg *msg)
{
	struct call *call = container_of(msg, struct call, msg);

	weir_role_assume_worker();
	call->req.chan = call->chan;
	weir_fsdev_submit(&call->req);
}

void
call_submit(struct call *call)
{
	call->msg.fn = call_submit_there;
	weir_worker_send(call->home, &call->msg);
}

static void
call_detach_there(void *arg)
{
	struct call *call = arg;

	weir_role_assume_worker();
	if (call->nb_done == 0)
		weir_fsdev_detach(&call->req, call_fenced);
}

void
call_detach(struct call *call)
{
	weir_worker_sync(call->home, call_detach_there, call);
}

int
call_wait(struct call *call)
{
	while (!atomic_load(&call->done))
		sched_yield();
	return call->res;
}

void
wait_for(const _Atomic unsigned int *what, unsigned int nb)
{
	while (atomic_load(what) < nb)
		fsc_poll();
}

static void
hold_there(struct weir_msg *msg)
{
	struct hold *hold = container_of(msg, struct hold, msg);

	atomic_store(&hold->held, true);
	while (!atomic_load(&hold->let_go))
		rte_pause();
}

void
hold_begin(struct hold *hold, unsigned int worker)
{
	*hold = (struct hold){ .msg.fn = hold_there };
	weir_worker_send(weir_worker_at(worker), &hold->msg);
	while (!atomic_load(&hold->held))
		fsc_poll();
}

static void
nothing(void *arg)
{
}

void
wait_round(unsigned int worker)
{
	weir_worker_sync(weir_worker_at(worker), nothing, NULL);
}

void
hold_end(struct hold *hold, unsigned int worker)
{
	atomic_store(&hold->let_go, true);
	wait_round(worker);
}

struct weir_handoff_stats
stats_of(unsigned int worker)
{
	struct weir_handoff_stats stats;

	weir_handoff_stats_get(weir_worker_at(worker), &stats);
	return stats;
}

int
delete_slow(char message[512])
{
	return fsc_rpc("fsdev_slow_delete", "{\"name\": \"s0\"}", message);
}

int
handoff_setup(void **state)
{
	char message[512];

	memset(&slow, 0, sizeof(slow));
	assert_int_equal(fsc_rpc("fsdev_slow_create", "{\"name\": \"s0\"}", message), 0);
	weir_role_assume_control();
	slow_dev = weir_fsdev_find("s0");
	return 0;
}

int
handoff_teardown(void **state)
{
	char message[512];

	assert_int_equal(delete_slow(message), 0);
	return 0;
}

int
handoff_main(int (*run)(void))
{
	const struct weir_handoff_cfg roles = {
		.frontend = { [HOME] = true, [3] = true },
		.backend = { [1] = true, [2] = true, [3] = true },
	};
	int rc;

	/* Four workers on the CPUs there are, which may be one. */
	if (fsc_start("0@0,1@0-1,2@0-1,3@0-1,4@0-1") < 0)
		return 77;
	weir_role_assume_control();
	if (weir_handoff_start(&roles) < 0)
		return 1;
	rc = run();
	weir_role_assume_control();
	weir_handoff_stop();
	fsc_stop();
	return rc;
}
