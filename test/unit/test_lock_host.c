/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The lock service and a host that refuses until it is told otherwise; in which order who is answered. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_lock.h"

#include "fs_client.h"

#define GUESTS 8

/* So often the host was asked when it is asked every 100 ms from then on. */
#define ASKED_LONG 8

struct locker_params {
	uint32_t max_locks;
	uint32_t lock_wait_ms;
	bool locks;
};

static const struct weir_param locker_params[] = {
	WEIR_LOCK_PARAMS(locker_params),
};

static struct {
	_Atomic bool busy; /* a program of the host has all locks */
	_Atomic unsigned int asked[GUESTS];
	_Atomic unsigned int ends;
} host;

static int
host_set(void *arg, struct weir_lock_host *lh, struct weir_node *node, const struct weir_file *file,
		const struct weir_lock *lock)
{
	if (lock->type == F_UNLCK)
		return 0;
	atomic_fetch_add(&host.asked[lock->guest], 1);
	return atomic_load(&host.busy) ? -EAGAIN : 0;
}

static int
host_get(void *arg, struct weir_lock_host *lh, struct weir_node *node, const struct weir_file *file,
		const struct weir_lock *lock, struct weir_lock *out)
{
	return 0;
}

static void
host_end(void *arg, struct weir_lock_host *lh)
{
	atomic_fetch_add(&host.ends, 1);
}

static const struct weir_locks_host locks_host = { host_set, host_get, host_end };

/* Whose waits ended, in order; the worker's until control has heard of them. */
static uint64_t answered[GUESTS];
static unsigned int nb_answered;

static void
locker_answer(struct weir_fsreq *req, int res)
{
	if ((req->in.lock.flags & WEIR_LOCK_WAIT) != 0 && nb_answered < GUESTS)
		answered[nb_answered++] = req->in.lock.guest;
	weir_role_assume_worker();
	weir_fsreq_complete(req, res);
}

static struct weir_locks **
locker_of(const struct weir_fsdev *dev)
{
	return weir_fsdev_priv(dev);
}

static int WEIR_ON_WORKER
locker_verb(struct weir_channel *chan, struct weir_fsreq *req)
{
	return weir_locks_do(*locker_of(weir_channel_fsdev(chan)), req, locker_answer);
}

static void WEIR_ON_WORKER
locker_detach(struct weir_channel *chan, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req))
{
	weir_locks_detach(*locker_of(weir_channel_fsdev(chan)), req, fenced);
}

static void WEIR_ON_CONTROL
locker_create(struct weir_fsdev *dev, const void *params)
{
	const struct locker_params *p = params;
	const struct weir_locks_cfg cfg = {
		.name = "locker",
		.max_locks = p->max_locks,
		.wait_ms = p->lock_wait_ms,
		.host = &locks_host,
	};
	const uint64_t key[2] = { 1 };
	int rc = weir_locks_create(&cfg, locker_of(dev));

	if (rc == 0)
		assert_non_null(weir_fsdev_root_create(dev, key, S_IFDIR));
	weir_fsdev_created(dev, rc, NULL);
}

static void WEIR_ON_CONTROL
locker_destroy(struct weir_fsdev *dev)
{
	weir_locks_destroy(*locker_of(dev));
}

static json_t *
locker_info(const struct weir_fsdev *dev)
{
	uint32_t held, waiting;

	weir_locks_load(*locker_of(dev), &held, &waiting);
	return json_pack("{s:i, s:i}", "locks_held", (int)held, "lock_waiters", (int)waiting);
}

static const struct weir_fsdev_ops locker_ops = {
	.create = locker_create,
	.destroy = locker_destroy,
	.info = locker_info,
	.detach = locker_detach,
	.op = {
		[WEIR_FSOP_SETLK] = locker_verb,
		[WEIR_FSOP_FLUSH] = locker_verb,
		[WEIR_FSOP_RELEASE] = locker_verb,
	},
};

static struct weir_fsdev_driver locker_driver = {
	.name = "locker",
	.help = "locks and nothing else",
	.ops = &locker_ops,
	.params = locker_params,
	.nb_params = RTE_DIM(locker_params),
	.params_size = sizeof(struct locker_params),
	.priv_size = sizeof(struct weir_locks *),
};
WEIR_FSDEV_REGISTER(locker_driver)

static struct fs_client fsc;
static struct weir_file file;
static char message[512];

static int
setup_with(const char *params)
{
	memset(&host, 0, sizeof(host));
	nb_answered = 0;
	if (fsc_rpc("fsdev_locker_create", params, message) != 0)
		return -1;
	weir_role_assume_control();
	fsc_open_session(&fsc, weir_fsdev_find("l"));
	return 0;
}

static int
setup(void **state)
{
	return setup_with("{\"name\": \"l\"}");
}

static int
setup_hasty(void **state)
{
	return setup_with("{\"name\": \"l\", \"lock_wait_ms\": 20}");
}

static int
setup_patient(void **state)
{
	return setup_with("{\"name\": \"l\", \"lock_wait_ms\": 300}");
}

static void
call_init(struct fsc_call *call, enum weir_fsop op, uint64_t guest, uint32_t type)
{
	memset(call, 0, sizeof(*call));
	call->req.op = op;
	call->req.node = weir_fsdev_root(fsc.dev);
	call->req.file = &file;
	call->req.in.lock = (struct weir_lock){ .guest = guest, .end = INT64_MAX, .type = type };
}

static int
run(enum weir_fsop op, uint64_t guest, uint32_t type)
{
	struct fsc_call call;

	call_init(&call, op, guest, type);
	return fsc_run(&fsc, &call);
}

static int
teardown(void **state)
{
	int rc = run(WEIR_FSOP_RELEASE, 0, F_UNLCK);

	rc |= (int)fsc_info("l", "locks_held") | (int)fsc_info("l", "lock_waiters");
	fsc_close_session(&fsc);
	return rc | fsc_rpc("fsdev_locker_delete", "{\"name\": \"l\"}", message);
}

/* Returns when the host was asked for the guest so often. */
static void
begin(struct fsc_call *call, uint64_t guest, uint32_t type, unsigned int asked)
{
	call_init(call, WEIR_FSOP_SETLK, guest, type);
	call->req.in.lock.flags = WEIR_LOCK_WAIT;
	fsc_submit(&fsc, call);
	while (atomic_load(&host.asked[guest]) < asked)
		fsc_poll();
}

/* Who has waited for long is asked for seldom, and yet before who has just come. */
static void
host_is_asked_for_who_came_first(void **state)
{
	struct fsc_call wait[3];

	atomic_store(&host.busy, true);
	begin(&wait[0], 1, F_WRLCK, ASKED_LONG);
	begin(&wait[1], 2, F_RDLCK, 1);
	begin(&wait[2], 3, F_WRLCK, 1);
	atomic_store(&host.busy, false);
	assert_int_equal(fsc_wait(&wait[0]), 0);
	assert_int_equal(run(WEIR_FSOP_FLUSH, 1, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait[1]), 0);
	assert_int_equal(run(WEIR_FSOP_FLUSH, 2, F_UNLCK), 0);
	assert_int_equal(fsc_wait(&wait[2]), 0);
}

static void
nobody_overtakes_who_waits_for_the_host(void **state)
{
	struct fsc_call wait;

	atomic_store(&host.busy, true);
	begin(&wait, 1, F_WRLCK, ASKED_LONG);
	atomic_store(&host.busy, false);
	assert_int_equal(run(WEIR_FSOP_SETLK, 2, F_RDLCK), -EAGAIN);
	assert_int_equal(fsc_wait(&wait), 0);
}

/* What was refused is held neither here nor there, and what was held before still is. */
static void
refusal_changes_nothing(void **state)
{
	assert_int_equal(run(WEIR_FSOP_SETLK, 1, F_RDLCK), 0);
	atomic_store(&host.busy, true);
	assert_int_equal(run(WEIR_FSOP_SETLK, 1, F_WRLCK), -EAGAIN);
	assert_int_equal(run(WEIR_FSOP_SETLK, 2, F_RDLCK), -EAGAIN);
	assert_int_equal(fsc_info("l", "locks_held"), 1);
	assert_int_equal(atomic_load(&host.ends), 1);
	atomic_store(&host.busy, false);
	assert_int_equal(run(WEIR_FSOP_SETLK, 2, F_WRLCK), -EAGAIN);
	assert_int_equal(run(WEIR_FSOP_SETLK, 2, F_RDLCK), 0);
	assert_int_equal(run(WEIR_FSOP_FLUSH, 1, F_UNLCK), 0);
	assert_int_equal(atomic_load(&host.ends), 2);
}

/* At 1, 3, 7 ms and so on: ten times until the limit where nothing delays it. */
static void
host_is_asked_ever_more_seldom(void **state)
{
	struct fsc_call wait;

	atomic_store(&host.busy, true);
	begin(&wait, 1, F_WRLCK, 2);
	assert_int_equal(fsc_wait(&wait), -EAGAIN);
	assert_in_range(atomic_load(&host.asked[1]), 2, 12);
}

/* Some wait for a guest and some for the host. */
static void
waits_end_at_their_limits_in_order(void **state)
{
	struct fsc_call wait[GUESTS - 1];

	call_init(&wait[0], WEIR_FSOP_SETLK, 0, F_WRLCK);
	wait[0].req.in.lock.end = 9;
	assert_int_equal(fsc_run(&fsc, &wait[0]), 0);
	atomic_store(&host.busy, true);
	for (unsigned int i = 0; i < RTE_DIM(wait); i++) {
		call_init(&wait[i], WEIR_FSOP_SETLK, 1 + i, F_WRLCK);
		wait[i].req.in.lock.flags = WEIR_LOCK_WAIT;
		wait[i].req.in.lock.start = i % 2 * 10;
		fsc_submit(&fsc, &wait[i]);
	}
	for (unsigned int i = 0; i < RTE_DIM(wait); i++)
		assert_int_equal(fsc_wait(&wait[i]), -EAGAIN);
	assert_int_equal(nb_answered, RTE_DIM(wait));
	for (unsigned int i = 0; i < nb_answered; i++)
		assert_int_equal(answered[i], 1 + i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(host_is_asked_for_who_came_first, setup, teardown),
		cmocka_unit_test_setup_teardown(
				nobody_overtakes_who_waits_for_the_host, setup, teardown),
		cmocka_unit_test_setup_teardown(
				host_is_asked_ever_more_seldom, setup_patient, teardown),
		cmocka_unit_test_setup_teardown(refusal_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
				waits_end_at_their_limits_in_order, setup_hasty, teardown),
	};
	int rc;

	if (fsc_start("0@0,1@1") < 0)
		return 77;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fsc_stop();
	return rc;
}
