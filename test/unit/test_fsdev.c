/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The life of file systems and of requests, with a driver that does as it is told. */

#include <errno.h>
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

#include "weir_fsdev_driver.h"
#include "weir_rpc.h"

#include "fs_client.h"

#define NB_WORKERS 2

/* How the fake driver's create ends. */
enum {
	FAKE_GOOD,
	FAKE_FAILS, /* at once, with a text */
	FAKE_FAILS_LATER, /* without one */
	FAKE_CHANNEL_FAILS /* on the second worker */
};
static const char *const fake_outcomes[] = { "good", "fails", "fails_later", "channel_fails",
	NULL };

struct fake_params {
	uint32_t outcome;
	bool flag;
	bool flag_given;
	uint32_t number;
};

static const struct weir_param fake_params[] = {
	WEIR_PARAM(fake_params, outcome, WEIR_ENUM, .choices = fake_outcomes, .position = 2),
	WEIR_PARAM(fake_params, flag, WEIR_BOOL, WEIR_PARAM_GIVEN(fake_params, flag_given)),
	WEIR_PARAM(fake_params, number, WEIR_U32, .def = 7, .min = 1, .max = 9),
};

struct fake_fs {
	struct weir_timer timer;
	struct weir_fsdev *dev;
};

/* What the driver has been asked to do. */
static struct {
	_Atomic unsigned int chan_starts, chan_stops;
	unsigned int creates, destroys, finis;
	bool flag_given;
	struct weir_fsreq *held; /* GETATTR keeps it until told */
	_Atomic unsigned int nb_held;
	_Atomic unsigned int lookups; /* tries of them */
	_Atomic unsigned int detaches;
} fake;

static void
fake_fail_later(struct weir_timer *timer)
{
	weir_role_assume_control();
	weir_fsdev_created(container_of(timer, struct fake_fs, timer)->dev, -EHOSTDOWN, NULL);
}

/* A file system named "o" is the other driver's, which has no parameters. */
static const struct fake_params *
fake_params_of(const struct weir_fsdev *dev)
{
	static const struct fake_params none;

	return strcmp(weir_fsdev_name(dev), "o") == 0 ? &none : weir_fsdev_params(dev);
}

static void WEIR_ON_CONTROL
fake_create(struct weir_fsdev *dev, const void *params)
{
	const struct fake_params *p = fake_params_of(dev);
	const uint64_t key[2] = { 1 };
	struct fake_fs *fs = weir_fsdev_priv(dev);

	fake.creates++;
	fake.flag_given = p->flag_given;
	assert_null(weir_fsdev_find(weir_fsdev_name(dev)));
	assert_ptr_equal(weir_fsdev_params(dev), params);
	switch (p->outcome) {
	case FAKE_FAILS:
		weir_fsdev_created(dev, -ENOTDIR, "%s is no folder", "/x");
		return;
	case FAKE_FAILS_LATER:
		fs->dev = dev;
		fs->timer.expired = fake_fail_later;
		weir_timer_arm(&fs->timer, 1);
		return;
	}
	assert_non_null(weir_fsdev_root_create(dev, key, S_IFDIR));
	weir_fsdev_created(dev, 0, NULL);
}

static void WEIR_ON_CONTROL
fake_destroy(struct weir_fsdev *dev)
{
	fake.destroys++;
}

static json_t *
fake_info(const struct weir_fsdev *dev)
{
	return json_pack("{s:s}", "mood", "fine");
}

static int WEIR_ON_WORKER
fake_chan_start(struct weir_channel *chan)
{
	const struct fake_params *p = fake_params_of(weir_channel_fsdev(chan));

	if (p->outcome == FAKE_CHANNEL_FAILS && weir_channel_worker(chan) == weir_worker_at(1))
		return -EMFILE;
	assert_ptr_equal(weir_channel_worker(chan), weir_worker_self());
	*(uint32_t *)weir_channel_priv(chan) += 1;
	atomic_fetch_add(&fake.chan_starts, 1);
	return 0;
}

static void WEIR_ON_WORKER
fake_chan_stop(struct weir_channel *chan)
{
	assert_int_equal(*(uint32_t *)weir_channel_priv(chan), 1);
	atomic_fetch_add(&fake.chan_stops, 1);
}

static void WEIR_ON_CONTROL
fake_node_fini(struct weir_fsdev *dev, struct weir_node *node)
{
	fake.finis++;
}

static void WEIR_ON_WORKER
fake_detach(struct weir_channel *chan, struct weir_fsreq *req,
		void (*fenced)(struct weir_fsreq *req))
{
	atomic_fetch_add(&fake.detaches, 1);
	fenced(req);
}

static int WEIR_ON_WORKER
fake_getattr(struct weir_channel *chan, struct weir_fsreq *req)
{
	fake.held = req;
	atomic_fetch_add(&fake.nb_held, 1);
	return -EINPROGRESS;
}

/* Its name says how many tries it takes. */
static int WEIR_ON_WORKER
fake_lookup(struct weir_channel *chan, struct weir_fsreq *req)
{
	const uint64_t key[2] = { 2 };
	bool made;

	if (atomic_fetch_add(&fake.lookups, 1) + 1 < strtoul(req->name, NULL, 10)) {
		weir_fsreq_retry(req, NULL);
		return -EINPROGRESS;
	}
	return weir_node_make(weir_channel_fsdev(chan), key, S_IFREG, NULL, NULL,
			&req->out.entry.node, &made);
}

static int WEIR_ON_WORKER
fake_access(struct weir_channel *chan, struct weir_fsreq *req)
{
	return -(int)req->in.access.mask;
}

static const struct weir_fsdev_ops fake_ops = {
	.create = fake_create,
	.destroy = fake_destroy,
	.info = fake_info,
	.chan_start = fake_chan_start,
	.chan_stop = fake_chan_stop,
	.node_fini = fake_node_fini,
	.detach = fake_detach,
	.op = {
		[WEIR_FSOP_LOOKUP] = fake_lookup,
		[WEIR_FSOP_GETATTR] = fake_getattr,
		[WEIR_FSOP_ACCESS] = fake_access,
	},
};

static struct weir_fsdev_driver fake_driver = {
	.name = "fake",
	.help = "does as it is told",
	.ops = &fake_ops,
	.params = fake_params,
	.nb_params = RTE_DIM(fake_params),
	.params_size = sizeof(struct fake_params),
	.priv_size = sizeof(struct fake_fs),
	.chan_priv_size = sizeof(uint32_t),
	.file_priv_size = 24,
};
WEIR_FSDEV_REGISTER(fake_driver)

static struct weir_fsdev_driver other_driver = {
	.name = "other",
	.help = "takes no parameters",
	.ops = &fake_ops,
	.priv_size = sizeof(struct fake_fs),
	.chan_priv_size = sizeof(uint32_t),
};
WEIR_FSDEV_REGISTER(other_driver)

/* An RPC and its answer, which may come while others are made. */
struct rpc {
	bool done;
	int code;
	json_t *result;
	char message[512];
};

static void
rpc_done(void *arg, int code, json_t *result, const char *message)
{
	struct rpc *rpc = arg;

	rpc->done = true;
	rpc->code = code;
	rpc->result = json_incref(result);
	snprintf(rpc->message, sizeof(rpc->message), "%s", code != 0 ? message : "");
}

static void
rpc_send(struct rpc *rpc, const char *method, const char *params)
{
	json_t *json = json_loads(params, 0, NULL);

	assert_non_null(json);
	*rpc = (struct rpc){ 0 };
	weir_role_assume_control();
	weir_rpc_invoke(method, json, rpc_done, rpc);
	json_decref(json);
}

static void
rpc_wait(struct rpc *rpc)
{
	while (!rpc->done)
		fsc_poll();
}

/* The answer must be this code, and a text with these words or this JSON. */
static void
rpc_is(const char *method, const char *params, int code, const char *answer)
{
	json_t *wanted;
	struct rpc rpc;

	rpc_send(&rpc, method, params);
	rpc_wait(&rpc);
	if (rpc.code != code)
		print_error("%s: %d %s\n", method, rpc.code, rpc.message);
	assert_int_equal(rpc.code, code);
	if (code != 0) {
		if (strstr(rpc.message, answer) == NULL)
			print_error("%s\n", rpc.message);
		assert_non_null(strstr(rpc.message, answer));
		return;
	}
	wanted = json_loads(answer, JSON_DECODE_ANY, NULL);
	assert_non_null(wanted);
	if (!json_equal(rpc.result, wanted))
		print_error("%s\n", json_dumps(rpc.result, JSON_ENCODE_ANY));
	assert_true(json_equal(rpc.result, wanted));
	json_decref(wanted);
	json_decref(rpc.result);
}

static struct fs_client fsc;

static int
setup(void **state)
{
	memset(&fake, 0, sizeof(fake));
	return 0;
}

static int
setup_created(void **state)
{
	setup(state);
	rpc_is("fsdev_fake_create", "{\"name\": \"f0\"}", 0, "\"f0\"");
	weir_role_assume_control();
	fsc_open_session(&fsc, weir_fsdev_find("f0"));
	return 0;
}

static int
teardown_created(void **state)
{
	fsc_close_session(&fsc);
	rpc_is("fsdev_fake_delete", "{\"name\": \"f0\"}", 0, "true");
	rpc_is("fsdev_get_fsdevs", "{}", 0, "[]");
	return 0;
}

/* Of every file system, where the driver prefers nothing. */
#define COMMON                                                                                     \
	"\"cache\": \"auto\", \"attr_valid_ms\": 0, \"entry_valid_ms\": 0, "                       \
	"\"negative_valid_ms\": 0, \"close_to_open\": false, \"keep_cache\": false, "              \
	"\"enable_writeback_cache\": false, \"direct_io\": \"auto\", \"allow_mmap\": false, "      \
	"\"readdirplus\": false, \"readonly\": false"

static void
create_starts_all_channels_and_is_listed(void **state)
{
	rpc_is("fsdev_fake_create", "{\"name\": \"f0\", \"number\": 9}", 0, "\"f0\"");
	assert_int_equal(atomic_load(&fake.chan_starts), NB_WORKERS);
	assert_false(fake.flag_given);
	rpc_is("fsdev_fake_create", "{\"name\": \"f1\", \"flag\": false}", 0, "\"f1\"");
	assert_true(fake.flag_given);

	rpc_is("fsdev_get_fsdevs", "{\"name\": \"f0\"}", 0,
			"{\"name\": \"f0\", \"module_name\": \"fake\", "
			"\"numa_node\": -1, \"module_specific\": "
			"{\"outcome\": \"good\", \"number\": 9, \"mood\": \"fine\", " COMMON "}}");
	rpc_is("fsdev_fake_delete", "{\"name\": \"f0\"}", 0, "true");
	rpc_is("fsdev_get_fsdevs", "{}", 0,
			"[{\"name\": \"f1\", \"module_name\": \"fake\", "
			"\"numa_node\": -1, \"module_specific\": "
			"{\"outcome\": \"good\", \"flag\": false, \"number\": 7, \"mood\": \"fine\", " COMMON
			"}}]");
	rpc_is("fsdev_fake_delete", "{\"name\": \"f1\"}", 0, "true");
	assert_int_equal(atomic_load(&fake.chan_stops), 2 * NB_WORKERS);
	assert_int_equal(fake.destroys, 2);
}

static void
create_of_a_driver_without_parameters_works(void **state)
{
	rpc_is("fsdev_other_create", "{\"name\": \"o\", \"number\": 1}", WEIR_RPC_INVALID_PARAMS,
			"number");
	rpc_is("fsdev_other_create", "{\"name\": \"o\"}", 0, "\"o\"");
	rpc_is("fsdev_get_fsdevs", "{\"name\": \"o\"}", 0,
			"{\"name\": \"o\", \"module_name\": \"other\", "
			"\"numa_node\": -1, \"module_specific\": "
			"{\"mood\": \"fine\", " COMMON "}}");
	rpc_is("fsdev_fake_delete", "{\"name\": \"o\"}", -ENODEV, "No such device: o");
	rpc_is("fsdev_other_delete", "{\"name\": \"o\"}", 0, "true");
}

static void
create_with_a_bad_name_is_refused(void **state)
{
	char name[WEIR_FSDEV_NAME_MAX + 1], params[512], result[512];

	rpc_is("fsdev_fake_create", "{}", WEIR_RPC_INVALID_PARAMS, "name");
	rpc_is("fsdev_fake_create", "{\"name\": \"\"}", WEIR_RPC_INVALID_PARAMS, "name");
	memset(name, 'n', sizeof(name));
	name[WEIR_FSDEV_NAME_MAX] = '\0';
	snprintf(params, sizeof(params), "{\"name\": \"%s\"}", name);
	rpc_is("fsdev_fake_create", params, WEIR_RPC_INVALID_PARAMS, "name");
	assert_int_equal(fake.creates, 0);

	name[WEIR_FSDEV_NAME_MAX - 1] = '\0';
	snprintf(params, sizeof(params), "{\"name\": \"%s\"}", name);
	snprintf(result, sizeof(result), "\"%s\"", name);
	rpc_is("fsdev_fake_create", params, 0, result);
	rpc_is("fsdev_fake_delete", params, 0, "true");
}

static void
create_with_a_taken_name_is_refused(void **state)
{
	struct rpc first;

	rpc_is("fsdev_fake_create", "{\"name\": \"f0\"}", 0, "\"f0\"");
	rpc_is("fsdev_fake_create", "{\"name\": \"f0\"}", -EEXIST, "File exists: f0");
	rpc_is("fsdev_other_create", "{\"name\": \"f0\"}", -EEXIST, "File exists: f0");
	rpc_is("fsdev_fake_delete", "{\"name\": \"f0\"}", 0, "true");

	/* Also while the first one is still in the making, and not to be seen. */
	rpc_send(&first, "fsdev_fake_create", "{\"name\": \"f0\"}");
	assert_false(first.done);
	rpc_is("fsdev_fake_create", "{\"name\": \"f0\"}", -EEXIST, "File exists: f0");
	rpc_wait(&first);
	assert_int_equal(first.code, 0);
	json_decref(first.result);
	assert_int_equal(fake.creates, 2);
	rpc_is("fsdev_fake_delete", "{\"name\": \"f0\"}", 0, "true");
}

static void
create_that_fails_says_why_and_leaves_nothing(void **state)
{
	rpc_is("fsdev_fake_create", "{\"name\": \"f0\", \"outcome\": \"fails\"}", -ENOTDIR,
			"/x is no folder");
	rpc_is("fsdev_fake_create", "{\"name\": \"f0\", \"outcome\": \"fails_later\"}", -EHOSTDOWN,
			"f0: Host is down");
	rpc_is("fsdev_fake_create", "{\"name\": \"f0\", \"outcome\": \"channel_fails\"}", -EMFILE,
			"Too many open files");
	/* That one had been created, and one of its channels had started. */
	assert_int_equal(fake.destroys, 1);
	assert_int_equal(atomic_load(&fake.chan_starts), 1);
	assert_int_equal(atomic_load(&fake.chan_stops), 1);
	rpc_is("fsdev_get_fsdevs", "{}", 0, "[]");
	rpc_is("fsdev_get_fsdevs", "{\"name\": \"f0\"}", -ENODEV, "No such device: f0");
}

static void
delete_of_a_used_one_is_refused_by_user(void **state)
{
	weir_role_assume_control();
	weir_fsdev_get(fsc.dev, "dev7");
	weir_fsdev_get(fsc.dev, "dev8");
	rpc_is("fsdev_fake_delete", "{\"name\": \"f0\"}", -EBUSY,
			"Device or resource busy: f0 is used by dev7");
	weir_fsdev_put(fsc.dev, "dev7");
	rpc_is("fsdev_fake_delete", "{\"name\": \"f0\"}", -EBUSY, "f0 is used by dev8");
	assert_ptr_equal(weir_fsdev_find("f0"), fsc.dev);
	weir_fsdev_put(fsc.dev, "dev8");
	assert_int_equal(atomic_load(&fake.chan_stops), 0);
}

static void
delete_reports_nodes_but_not_the_root(void **state)
{
	struct weir_entry entry;

	rpc_is("fsdev_fake_create", "{\"name\": \"f0\"}", 0, "\"f0\"");
	weir_role_assume_control();
	fsc_open_session(&fsc, weir_fsdev_find("f0"));
	assert_int_equal(weir_fsdev_nodes(fsc.dev), 1);
	assert_int_equal(fsc_lookup(&fsc, weir_fsdev_root(fsc.dev), "0", &entry), 0);
	assert_int_equal(weir_fsdev_nodes(fsc.dev), 2);
	assert_ptr_equal(weir_node_get(fsc.dev, weir_node_id(fsc.dev, entry.node)), entry.node);
	fsc_put(&fsc, entry.node);
	fsc_put(&fsc, entry.node);
	fsc_close_session(&fsc);
	rpc_is("fsdev_fake_delete", "{\"name\": \"f0\"}", 0, "true");
	assert_int_equal(fake.finis, 1);
	assert_int_equal(fake.destroys, 1);
}

static void
held_complete(void *arg)
{
	weir_role_assume_worker();
	weir_fsreq_complete(fake.held, *(int *)arg);
}

static void
wait_until_held(unsigned int nb)
{
	while (atomic_load(&fake.nb_held) < nb)
		fsc_poll();
}

static void
request_under_way_holds_deletion_off(void **state)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_GETATTR } };
	int res = 0;

	fsc_submit(&fsc, &call);
	wait_until_held(1);
	rpc_is("fsdev_fake_delete", "{\"name\": \"f0\"}", -EBUSY, "has not answered 1 requests");
	weir_worker_sync(weir_worker_at(0), held_complete, &res);
	assert_int_equal(fsc_wait(&call), 0);
}

static void
request_results_reach_done_as_guests_may_see_them(void **state)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_READ } };
	int res = -5000;

	assert_int_equal(fsc_run(&fsc, &call), -ENOSYS);
	assert_int_equal(fsc_access(&fsc, NULL, EROFS), -EROFS);
	assert_int_equal(fsc_access(&fsc, NULL, 512), -EIO);
	call.req.op = WEIR_FSOP_GETATTR;
	fsc_submit(&fsc, &call);
	wait_until_held(1);
	weir_worker_sync(weir_worker_at(0), held_complete, &res);
	assert_int_equal(fsc_wait(&call), -EIO);
	assert_true(weir_fsdev_has(fsc.dev, WEIR_FSOP_GETATTR));
	assert_false(weir_fsdev_has(fsc.dev, WEIR_FSOP_READ));
	assert_int_equal(weir_fsdev_file_size(fsc.dev), sizeof(struct weir_file) + 24);
}

static void
request_retried_runs_its_verb_until_it_ends(void **state)
{
	struct weir_entry entry;

	fsc.worker = 1;
	assert_int_equal(fsc_lookup(&fsc, weir_fsdev_root(fsc.dev), "5", &entry), 0);
	assert_int_equal(atomic_load(&fake.lookups), 5);
	fsc_put(&fsc, entry.node);
}

static void
request_detached_while_it_waits_for_a_retry_ends_without_the_driver(void **state)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_LOOKUP, .name = "1000000000" } };
	unsigned int tries;

	fsc_submit(&fsc, &call);
	while (atomic_load(&fake.lookups) < 2)
		fsc_poll();
	fsc_detach(&call);
	assert_true(atomic_load(&call.fenced));
	assert_int_equal(fsc_wait(&call), -ECANCELED);
	tries = atomic_load(&fake.lookups);
	assert_int_equal(fsc_access(&fsc, NULL, 0), 0);
	assert_int_equal(atomic_load(&fake.lookups), tries);
	assert_int_equal(atomic_load(&fake.detaches), 0);
}

static void
request_detached_with_the_driver_is_fenced_by_it(void **state)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_GETATTR } };
	int res = -EINTR;

	fsc_submit(&fsc, &call);
	wait_until_held(1);
	assert_false(weir_fsreq_detached(fake.held));
	fsc_detach(&call);
	assert_true(atomic_load(&call.fenced));
	assert_true(weir_fsreq_detached(fake.held));
	assert_int_equal(atomic_load(&fake.detaches), 1);
	assert_false(call.heard);
	weir_worker_sync(weir_worker_at(0), held_complete, &res);
	assert_int_equal(fsc_wait(&call), -EINTR);
}

static void
count_left(void *arg, unsigned int left)
{
	*(int *)arg = (int)left;
}

static void
shutdown_takes_what_is_free_and_counts_the_rest(void **state)
{
	int left = -1;

	setup(state);
	rpc_is("fsdev_fake_create", "{\"name\": \"f0\"}", 0, "\"f0\"");
	rpc_is("fsdev_fake_create", "{\"name\": \"f1\"}", 0, "\"f1\"");
	weir_role_assume_control();
	weir_fsdev_get(weir_fsdev_find("f1"), "dev");
	weir_fsdevs_shutdown(3000, count_left, &left);
	while (left < 0)
		fsc_poll();
	assert_int_equal(left, 1);
	assert_null(weir_fsdev_find("f0"));
	weir_fsdev_put(weir_fsdev_find("f1"), "dev");
	left = -1;
	weir_fsdevs_shutdown(60000, count_left, &left);
	while (left < 0)
		fsc_poll();
	assert_int_equal(left, 0);
	assert_int_equal(fake.destroys, 2);
}

static void
verbs_all_have_names(void **state)
{
	unsigned int op;

	for (op = 0; op < WEIR_NB_FSOPS; op++)
		assert_non_null(weir_fsop_name(op));
	assert_string_equal(weir_fsop_name(WEIR_FSOP_READDIR), "readdir");
	assert_string_equal(weir_fsop_name(WEIR_NB_FSOPS), "unknown");
}

#define TEST(name)    cmocka_unit_test_setup(name, setup)
#define TEST_ON(name) cmocka_unit_test_setup_teardown(name, setup_created, teardown_created)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(create_starts_all_channels_and_is_listed),
		TEST(create_of_a_driver_without_parameters_works),
		TEST(create_with_a_bad_name_is_refused),
		TEST(create_with_a_taken_name_is_refused),
		TEST(create_that_fails_says_why_and_leaves_nothing),
		TEST_ON(delete_of_a_used_one_is_refused_by_user),
		TEST(delete_reports_nodes_but_not_the_root),
		TEST_ON(request_under_way_holds_deletion_off),
		TEST_ON(request_results_reach_done_as_guests_may_see_them),
		TEST_ON(request_retried_runs_its_verb_until_it_ends),
		TEST_ON(request_detached_while_it_waits_for_a_retry_ends_without_the_driver),
		TEST_ON(request_detached_with_the_driver_is_fenced_by_it),
		TEST(shutdown_takes_what_is_free_and_counts_the_rest),
		TEST(verbs_all_have_names),
	};
	int rc;

	if (fsc_start("(0-2)@0") < 0)
		return 77;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	fsc_stop();
	return rc;
}
