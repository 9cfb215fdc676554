/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* What is refused before an operation runs, for every row of the dispatch table. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuse_guest.h"

static uint8_t arg[16 * 1024];

/* A request that only the checks can refuse: the root, an open directory, names of one letter. */
static size_t
good_args(uint32_t opcode, uint64_t fh)
{
	const struct fuse_op *op = &fuse_ops[opcode];
	size_t len = op->arg_max;

	memset(arg, 0, sizeof(arg));
	if ((op->flags & FUSE_OP_FILE) != 0)
		memcpy(arg, &fh, sizeof(fh));
	if (opcode == FUSE_INIT)
		arg[0] = 7;
	if (opcode == FUSE_RENAME || opcode == FUSE_RENAME2)
		arg[0] = FUSE_NODEID_ROOT;
	for (unsigned int i = 0; i < op->nb_names; i++) {
		arg[len] = 'a' + i;
		len += 2;
	}
	return len;
}

static bool
has_row(uint32_t opcode)
{
	return fuse_ops[opcode].start != NULL;
}

static bool
has_reply(uint32_t opcode)
{
	return has_row(opcode) && (fuse_ops[opcode].flags & FUSE_OP_NO_REPLY) == 0;
}

static unsigned int
verbs_run(void)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < WEIR_NB_FSOPS; i++)
		sum += fake.calls[i];
	return sum;
}

/* Sends len bytes of arg; returns the error, or 0; a request without answer returns 1. */
static int
send_args(uint32_t opcode, size_t len, uint32_t room)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	int rc = 1;

	guest_prepare(r, 1, opcode, FUSE_NODEID_ROOT, arg, len, room);
	assert_int_equal(guest_submit(r), 0);
	guest_wait(r);
	if (r->bytes > 0)
		rc = RTE_MIN(guest_answer(r, NULL), 0);
	free(r);
	return rc;
}

static void
table_names_every_row(void **state)
{
	unsigned int rows = 0;

	for (uint32_t op = 1; op < FUSE_NB_OPCODES; op++) {
		if (!has_row(op))
			continue;
		rows++;
		assert_non_null(fuse_ops[op].name);
		assert_true(fuse_ops[op].arg_min <= fuse_ops[op].arg_max);
		assert_true(fuse_ops[op].arg_max <= WEIR_FUSE_ARG_INLINE);
		if ((fuse_ops[op].flags & FUSE_OP_FILE) != 0)
			assert_true(fuse_ops[op].arg_min >= sizeof(struct fuse_file_in));
		if (fuse_ops[op].undo != NULL)
			assert_non_null(fuse_ops[op].reply);
	}
	assert_int_equal(rows, 47);
}

/* Behind the names of what makes a file, an argument too many looks like a label. */
static uint64_t
faults_of_arguments(void)
{
	return guest_faults(FUSE_FAULT_ARGS) + guest_faults(FUSE_FAULT_NAME) +
			guest_faults(FUSE_FAULT_EXT);
}

static void
every_opcode_with_wrong_argument_length_is_refused(void **state)
{
	uint64_t fh = guest_opendir(FUSE_NODEID_ROOT);
	uint64_t before = faults_of_arguments();
	unsigned int run, sent = 0;

	fake_clear();
	for (uint32_t op = 1; op < FUSE_NB_OPCODES; op++) {
		const struct fuse_op *row = &fuse_ops[op];
		size_t len;
		int expected = has_reply(op) ? -EINVAL : 1;

		if (!has_row(op))
			continue;
		len = good_args(op, fh);
		/* All shorter ones: too short for the arguments, or a name that does not end. */
		for (size_t n = 0; n < (row->nb_names > 0 ? len : row->arg_min); n++, sent++) {
			good_args(op, fh);
			assert_int_equal(send_args(op, n, GUEST_ROOM), expected);
		}
		/* Longer ones, where nothing may follow. */
		if ((row->flags & FUSE_OP_PAYLOAD) != 0)
			continue;
		for (size_t n = len + 1; n < len + 10; n++, sent++)
			assert_int_equal(send_args(op, n, GUEST_ROOM), expected);
	}
	run = verbs_run();
	assert_int_equal(run, 0);
	assert_true(sent > 500);
	assert_int_equal(faults_of_arguments() - before, sent);
}

static void
every_opcode_with_a_length_that_is_not_the_chains_is_refused(void **state)
{
	static const int off[] = { -41, -8, -1, 1, 8, 4096, INT32_MAX };
	struct guest_req *r = calloc(1, sizeof(*r));
	uint64_t before = guest_faults(FUSE_FAULT_SHORT);
	unsigned int sent = 0;
	size_t len;

	for (uint32_t op = 1; op < FUSE_NB_OPCODES; op++) {
		for (unsigned int i = 0; has_row(op) && i < RTE_DIM(off); i++, sent++) {
			len = good_args(op, 0);
			guest_prepare(r, 0, op, FUSE_NODEID_ROOT, arg, len, GUEST_ROOM);
			guest_head(r)->len += (uint32_t)off[i];
			assert_int_equal(guest_submit(r), 0);
			assert_int_equal(r->completed, 1);
			if (has_reply(op))
				assert_int_equal(guest_answer(r, NULL), -EINVAL);
			else
				assert_int_equal(r->bytes, 0);
		}
	}
	assert_int_equal(guest_faults(FUSE_FAULT_SHORT) - before, sent);
	assert_true(weir_fuse_session_is_mounted(guest_sess));
	free(r);
}

static void
header_that_is_not_whole_gets_no_answer(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));

	for (size_t n = 0; n < sizeof(struct fuse_in_header); n++) {
		guest_prepare(r, 0, FUSE_STATFS, FUSE_NODEID_ROOT, NULL, 0, GUEST_ROOM);
		guest_cut(r, n);
		assert_int_equal(guest_submit(r), 0);
		assert_int_equal(r->completed, 1);
		assert_int_equal(r->bytes, 0);
	}
	free(r);
}

static void
extensions_are_left_out(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));
	const char name[16] = "file";

	guest_prepare(r, 0, FUSE_LOOKUP, FUSE_NODEID_ROOT, name, 5 + 8, GUEST_ROOM);
	guest_head(r)->total_extlen = 1;
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(guest_answer(r, NULL), sizeof(struct fuse_entry_out));

	guest_prepare(r, 0, FUSE_LOOKUP, FUSE_NODEID_ROOT, name, 5 + 8, GUEST_ROOM);
	guest_head(r)->total_extlen = 2;
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(guest_answer(r, NULL), -EINVAL);
	free(r);
}

static void
opcodes_without_a_row_are_not_implemented(void **state)
{
	static const uint32_t others[] = { FUSE_NB_OPCODES, 4096, 0x10000, 436207616, UINT32_MAX };

	for (uint32_t op = 0; op < FUSE_NB_OPCODES; op++)
		if (!has_row(op))
			assert_int_equal(send_args(op, 64, GUEST_ROOM), -ENOSYS);
	for (unsigned int i = 0; i < RTE_DIM(others); i++)
		assert_int_equal(send_args(others[i], 0, GUEST_ROOM), -ENOSYS);
}

static void
every_opcode_without_room_for_its_answer_is_refused(void **state)
{
	uint64_t fh = guest_opendir(FUSE_NODEID_ROOT);
	uint32_t room;
	size_t len;

	fake_clear();
	for (uint32_t op = 1; op < FUSE_NB_OPCODES; op++) {
		if (!has_reply(op))
			continue;
		room = sizeof(struct fuse_out_header) + fuse_ops[op].reply_min;
		for (uint32_t n = 0; n < room; n++) {
			len = good_args(op, fh);
			assert_int_equal(send_args(op, len, n),
					n < sizeof(struct fuse_out_header) ? 1 : -EINVAL);
		}
	}
	assert_int_equal(verbs_run(), 0);
}

static void
every_opcode_on_a_forged_node_is_stale(void **state)
{
	static const uint64_t forged[] = { 0, 2, 0x100000000, 0x100000001, UINT64_MAX,
		0xffffffff00000000, 0x7fffffff7fffffff };
	struct guest_req *r = calloc(1, sizeof(*r));
	size_t len;

	for (uint32_t op = 1; op < FUSE_NB_OPCODES; op++) {
		uint16_t flags = fuse_ops[op].flags;

		if (!has_reply(op) || (flags & (FUSE_OP_NO_NODE | FUSE_OP_FILE)) != 0)
			continue;
		for (unsigned int i = 0; i < RTE_DIM(forged); i++) {
			len = good_args(op, 0);
			guest_prepare(r, 0, op, forged[i], arg, len, GUEST_ROOM);
			assert_int_equal(guest_submit(r), 0);
			assert_int_equal(guest_answer(r, NULL), -ESTALE);
		}
	}
	assert_int_equal(verbs_run(), 0);
	free(r);
}

static void
every_opcode_on_a_forged_file_is_refused(void **state)
{
	static const uint64_t forged[] = { 0, 1, 0x100000005, 0x7700000000, UINT64_MAX,
		0xffffffff00000000, 0x7fffffff7fffffff };
	uint64_t node = guest_lookup(FUSE_NODEID_ROOT, "file");
	uint64_t file = guest_open(node, 2);
	uint64_t dir = guest_opendir(FUSE_NODEID_ROOT);

	fake_clear();
	for (uint32_t op = 1; op < FUSE_NB_OPCODES; op++) {
		bool wants_dir = (fuse_ops[op].flags & FUSE_OP_DIR) != 0;

		if ((fuse_ops[op].flags & FUSE_OP_FILE) == 0)
			continue;
		for (unsigned int i = 0; i < RTE_DIM(forged); i++) {
			size_t len = good_args(op, forged[i]);

			assert_int_equal(send_args(op, len, GUEST_ROOM), -EBADF);
		}
		/* The file of another node, and the wrong kind on the right node. */
		assert_int_equal(send_args(op, good_args(op, file), GUEST_ROOM), -EBADF);
		if (!wants_dir)
			assert_int_equal(send_args(op, good_args(op, dir), GUEST_ROOM), -EBADF);
		else
			assert_int_equal(guest_call(op, node, arg, good_args(op, file), NULL, 0),
					-EBADF);
	}
	assert_int_equal(verbs_run(), 0);
	assert_int_equal(fake.open, 2);
}

static void
names_that_break_the_rules_are_refused(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		int error;
	} names[] = {
		{ "", 1, -EINVAL },
		{ "a", 1, -EINVAL },
		{ "a/b", 4, -EINVAL },
		{ "/", 2, -EINVAL },
		{ ".", 2, -EINVAL },
		{ "..", 3, -EINVAL },
		{ "a\0b", 4, -EINVAL },
		{ "a\0", 3, -EINVAL },
	};
	char big[1200];

	for (unsigned int i = 0; i < RTE_DIM(names); i++) {
		memcpy(arg, names[i].name, names[i].len);
		assert_int_equal(send_args(FUSE_UNLINK, names[i].len, GUEST_ROOM), names[i].error);
		memset(arg, 0, 16);
		memcpy(arg + 8, names[i].name, names[i].len);
		assert_int_equal(send_args(FUSE_MKDIR, 8 + names[i].len, GUEST_ROOM),
				names[i].error);
	}
	assert_int_equal(verbs_run(), 0);

	memset(big, 'a', sizeof(big));
	for (size_t len = 250; len < 1024; len++) {
		memcpy(arg, big, len);
		arg[len] = '\0';
		assert_int_equal(send_args(FUSE_UNLINK, len + 1, GUEST_ROOM),
				len <= 255 ? 0 : -ENAMETOOLONG);
	}
	assert_int_equal(fake.calls[WEIR_FSOP_UNLINK], 6);
	assert_int_equal(strlen(fake.last.name), 255);
	/* Not terminated, but too long whatever it is. */
	memcpy(arg, big, sizeof(big));
	assert_int_equal(send_args(FUSE_UNLINK, sizeof(big), GUEST_ROOM), -ENAMETOOLONG);
	assert_int_equal(send_args(FUSE_UNLINK, 256, GUEST_ROOM), -EINVAL);
}

static void
two_names_are_checked_each(void **state)
{
	const struct fuse_rename_in in = { .newdir = FUSE_NODEID_ROOT };
	char big[300];

	memset(big, 'b', sizeof(big));
	big[256] = '\0';
	assert_int_equal(guest_call_names(FUSE_RENAME, 1, &in, sizeof(in), "a", "..", NULL, 0),
			-EINVAL);
	assert_int_equal(guest_call_names(FUSE_RENAME, 1, &in, sizeof(in), "", "b", NULL, 0),
			-EINVAL);
	assert_int_equal(guest_call_names(FUSE_RENAME, 1, &in, sizeof(in), "a", big, NULL, 0),
			-ENAMETOOLONG);
	assert_int_equal(guest_call_names(FUSE_RENAME, 1, &in, sizeof(in), big, big, NULL, 0),
			-ENAMETOOLONG);
	assert_int_equal(verbs_run(), 0);
	big[255] = '\0';
	assert_int_equal(guest_call_names(FUSE_RENAME, 1, &in, sizeof(in), big, big, NULL, 0), 0);
	assert_string_equal(fake.last.name, big);
	assert_string_equal(fake.last.newname, big);
}

static void
symlink_target_may_be_any_path(void **state)
{
	struct fuse_entry_out out;
	char target[4200];

	memset(target, '/', sizeof(target));
	target[4096] = '\0';
	assert_int_equal(guest_call_names(FUSE_SYMLINK, 1, NULL, 0, "l", target, &out, sizeof(out)),
			-ENAMETOOLONG);
	target[4095] = '\0';
	assert_int_equal(guest_call_names(FUSE_SYMLINK, 1, NULL, 0, "l", target, &out, sizeof(out)),
			sizeof(out));
	assert_string_equal(fake.last.newname, target);
	assert_int_equal(guest_call_names(FUSE_SYMLINK, 1, NULL, 0, "l", "", &out, sizeof(out)),
			-ENOENT);
	assert_int_equal(guest_call_names(FUSE_SYMLINK, 1, NULL, 0, ".", "x", &out, sizeof(out)),
			-EINVAL);
}

static void
long_arguments_wait_for_a_buffer(void **state)
{
	struct guest_req *r = calloc(3, sizeof(*r));
	char names[2000];

	memset(names, 't', sizeof(names));
	names[1] = '\0';
	names[sizeof(names) - 1] = '\0';
	fake.hold = true;
	for (unsigned int i = 0; i < 3; i++)
		guest_prepare(&r[i], i, FUSE_SYMLINK, 1, names, sizeof(names), GUEST_ROOM);
	assert_int_equal(guest_submit(&r[0]), 0);
	assert_int_equal(guest_submit(&r[1]), 0);
	/* The pool has two; nothing happens to the third, however often it is tried. */
	assert_int_equal(guest_submit(&r[2]), -EAGAIN);
	assert_int_equal(guest_submit(&r[2]), -EAGAIN);
	assert_int_equal(r[2].completed, 0);
	assert_int_equal(r[2].fuse.in.left, sizeof(struct fuse_in_header) + sizeof(names));
	assert_int_equal(fake.calls[WEIR_FSOP_SYMLINK], 2);
	assert_int_equal(guest_faults(FUSE_FAULT_BACKOFF), 2);
	guest_on_worker(0, fake_go_on);
	guest_wait(&r[0]);
	guest_wait(&r[1]);
	assert_int_equal(guest_submit(&r[2]), 0);
	guest_wait(&r[2]);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(guest_answer(&r[i], NULL), sizeof(struct fuse_entry_out));
	assert_int_equal(rte_mempool_avail_count(fuse_arg_pool), 2);
	free(r);
}

static void
directories_are_wanted_where_names_are(void **state)
{
	uint64_t file = guest_lookup(FUSE_NODEID_ROOT, "file");

	fake_clear();
	for (uint32_t op = 1; op < FUSE_NB_OPCODES; op++) {
		if (!has_row(op) ||
				(fuse_ops[op].flags & (FUSE_OP_DIR | FUSE_OP_FILE)) != FUSE_OP_DIR)
			continue;
		assert_int_equal(guest_call(op, file, arg, good_args(op, 0), NULL, 0), -ENOTDIR);
	}
	assert_int_equal(verbs_run(), 0);
}

static void
ids_of_minus_one_are_nobody(void **state)
{
	struct guest_req *r = calloc(1, sizeof(*r));

	guest_prepare(r, 0, FUSE_STATFS, FUSE_NODEID_ROOT, NULL, 0, GUEST_ROOM);
	guest_head(r)->uid = UINT32_MAX;
	guest_head(r)->gid = UINT32_MAX;
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(fake.last.cred.uid, 65534);
	assert_int_equal(fake.last.cred.gid, 65534);

	guest_prepare(r, 0, FUSE_STATFS, FUSE_NODEID_ROOT, NULL, 0, GUEST_ROOM);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(fake.last.cred.uid, 1000);
	assert_int_equal(fake.last.cred.gid, 100);
	assert_int_equal(fake.last.cred.pid, 4321);
	free(r);
}

static void
backend_errors_outside_the_range_become_eio(void **state)
{
	static const struct {
		int res, answer;
	} results[] = {
		{ -1, -1 },
		{ -511, -511 },
		{ -512, -EIO },
		{ -4095, -EIO },
		{ INT32_MIN, -EIO },
		{ -ENOSYS, -ENOSYS },
		{ 1, 0 },
	};

	fake.set_res = true;
	for (unsigned int i = 0; i < RTE_DIM(results); i++) {
		fake.res = results[i].res;
		memcpy(arg, "a", 2);
		assert_int_equal(send_args(FUSE_UNLINK, 2, GUEST_ROOM), results[i].answer);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(table_names_every_row),
		TEST(every_opcode_with_wrong_argument_length_is_refused),
		TEST(every_opcode_with_a_length_that_is_not_the_chains_is_refused),
		TEST(header_that_is_not_whole_gets_no_answer),
		TEST(extensions_are_left_out),
		TEST(opcodes_without_a_row_are_not_implemented),
		TEST(every_opcode_without_room_for_its_answer_is_refused),
		TEST(every_opcode_on_a_forged_node_is_stale),
		TEST(every_opcode_on_a_forged_file_is_refused),
		TEST(names_that_break_the_rules_are_refused),
		TEST(two_names_are_checked_each),
		TEST(symlink_target_may_be_any_path),
		TEST(long_arguments_wait_for_a_buffer),
		TEST(directories_are_wanted_where_names_are),
		TEST(ids_of_minus_one_are_nobody),
		TEST(backend_errors_outside_the_range_become_eio),
	};

	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
