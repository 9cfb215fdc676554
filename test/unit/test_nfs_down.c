/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The nfs driver and a server that is killed, started anew, or does not move. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_loop.h"

#include "nfs_server.h"

#define MIB (1u << 20)

static int
flush(const struct weir_entry *entry, struct weir_file *file)
{
	struct fsc_call call = {
		.req = { .op = WEIR_FSOP_FLUSH, .node = entry->node, .file = file },
	};

	return fsc_run(&nfsc, &call);
}

static void
write_some(const struct weir_entry *entry, struct weir_file *file, uint64_t off, uint32_t len)
{
	nfs_fill(off, len);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_WRITE, entry->node, file, off, len, 0, 4096), len);
}

static void
restart(void)
{
	nfs_server_do("kill");
	nfs_server_do("start");
}

static void
start_io(struct fsc_call *call, enum weir_fsop op, const struct weir_entry *entry,
		struct weir_file *file, uint32_t len)
{
	*call = (struct fsc_call){ .req = { .op = op, .node = entry->node, .file = file } };
	call->req.in.io.len = len;
	fsc_iov(&nfsc, &call->req.iov, 0, len, 4096, 4096);
	fsc_submit(&nfsc, call);
}

static void
lost_writes_fail_fsync_of_each_file_once(void **state)
{
	struct weir_file *a, *b, *reader, *later;
	struct weir_entry entry = nfs_make("lost", &a);

	assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &b), 0);
	assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &reader), 0);
	write_some(&entry, a, 0, 8192);
	restart();
	/* syncfs(2) says so as often as it is asked, and leaves it to the file's owner as well. */
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(fsc_fsync(&nfsc, entry.node, a, WEIR_FSREQ_SYNCFS), -EIO);
	assert_int_equal(fsc_fsync(&nfsc, entry.node, a, 0), -EIO);
	assert_int_equal(fsc_fsync(&nfsc, entry.node, a, 0), 0);
	assert_int_equal(fsc_fsync(&nfsc, entry.node, a, WEIR_FSREQ_SYNCFS), 0);
	assert_int_equal(flush(&entry, a), 0);
	/* Closing a file that could not be written says nothing; closing the other one does. */
	assert_int_equal(flush(&entry, reader), 0);
	assert_int_equal(flush(&entry, b), -EIO);
	assert_int_equal(flush(&entry, b), 0);
	/* Whoever opens it now never wrote anything. */
	assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &later), 0);
	assert_int_equal(fsc_fsync(&nfsc, entry.node, later, 0), 0);
	assert_int_equal(fsc_info("nfs0", "lost_writes"), 1);
	fsc_release(&nfsc, WEIR_FSOP_RELEASE, entry.node, a);
	fsc_release(&nfsc, WEIR_FSOP_RELEASE, entry.node, b);
	fsc_release(&nfsc, WEIR_FSOP_RELEASE, entry.node, reader);
	nfs_close(&entry, later);
	unlink(nfs_host("lost"));
}

static void
lost_writes_are_noticed_by_the_next_write(void **state)
{
	struct weir_file *file;
	struct weir_entry entry = nfs_make("lost", &file);

	write_some(&entry, file, 0, 4096);
	restart();
	write_some(&entry, file, 4096, 4096);
	restart();
	write_some(&entry, file, 8192, 4096);
	assert_int_equal(fsc_fsync(&nfsc, entry.node, file, 0), -EIO);
	assert_int_equal(fsc_fsync(&nfsc, entry.node, file, 0), 0);
	write_some(&entry, file, 0, 4096);
	assert_int_equal(fsc_fsync(&nfsc, entry.node, file, 0), 0);
	nfs_close(&entry, file);
	unlink(nfs_host("lost"));
}

static void
committed_writes_are_not_lost(void **state)
{
	struct weir_file *file;
	struct weir_entry entry = nfs_make("kept", &file);

	write_some(&entry, file, 0, MIB);
	assert_int_equal(fsc_fsync(&nfsc, entry.node, file, 0), 0);
	restart();
	assert_int_equal(fsc_fsync(&nfsc, entry.node, file, 0), 0);
	assert_int_equal(flush(&entry, file), 0);
	nfs_close(&entry, file);
	assert_int_equal(fsc_info("nfs0", "lost_writes"), 0);
	unlink(nfs_host("kept"));
}

static void
stable_writes_are_not_lost(void **state)
{
	static const char *const modes[] = { "file_sync", "data_sync" };
	struct weir_file *file;
	struct weir_entry entry;
	char more[64];

	for (unsigned int i = 0; i < RTE_DIM(modes); i++) {
		nfs_export_down();
		snprintf(more, sizeof(more), ", \"write_mode\": \"%s\"", modes[i]);
		nfs_export_up("nfs0", more);
		entry = nfs_make("kept", &file);
		write_some(&entry, file, 0, 65536);
		restart();
		write_some(&entry, file, 65536, 4096);
		assert_int_equal(fsc_fsync(&nfsc, entry.node, file, 0), 0);
		nfs_close(&entry, file);
		unlink(nfs_host("kept"));
	}
}

static void
reads_and_writes_under_way_survive_a_kill(void **state)
{
	struct weir_file *file;
	struct weir_entry entry = nfs_make("big", &file);
	struct fsc_call call;

	write_some(&entry, file, 0, MIB);
	assert_int_equal(fsc_fsync(&nfsc, entry.node, file, 0), 0);
	for (unsigned int i = 0; i < 3; i++) {
		memset(nfsc.mem, 0, MIB);
		nfs_server_do("freeze");
		start_io(&call, WEIR_FSOP_READ, &entry, file, MIB);
		nfs_server_do("kill");
		nfs_server_do("start");
		assert_int_equal(fsc_wait(&call), MIB);
		nfs_check(0, MIB);

		nfs_server_do("freeze");
		start_io(&call, WEIR_FSOP_WRITE, &entry, file, MIB);
		nfs_server_do("kill");
		nfs_server_do("start");
		assert_int_equal(fsc_wait(&call), MIB);
		assert_int_equal(fsc_fsync(&nfsc, entry.node, file, 0), 0);
	}
	nfs_close(&entry, file);
	unlink(nfs_host("big"));
}

static void
silly_name_outlives_the_server(void **state)
{
	struct weir_file *file;
	struct weir_entry entry = nfs_make("open", &file);

	write_some(&entry, file, 0, 1000);
	assert_int_equal(fsc_fsync(&nfsc, entry.node, file, 0), 0);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "open"), 0);
	restart();
	memset(nfsc.mem, 0, 1000);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, 0, 1000, 0, 1000), 1000);
	nfs_check(0, 1000);
	/* The last close does not wait for a server that is away. */
	nfs_server_do("kill");
	nfs_close(&entry, file);
	nfs_server_do("start");
	nfs_host_wait(".nfs", 0);
}

static void
detached_requests_end_while_the_server_does_not_move(void **state)
{
	static struct fsc_call calls[3];
	struct weir_file *file;
	struct weir_entry entry = nfs_make("file", &file);

	write_some(&entry, file, 0, MIB);
	nfs_server_do("freeze");
	start_io(&calls[0], WEIR_FSOP_READ, &entry, file, MIB);
	/* More than the sockets hold. */
	start_io(&calls[1], WEIR_FSOP_WRITE, &entry, file, MIB);
	calls[2] = (struct fsc_call){
		.req = { .op = WEIR_FSOP_LOOKUP, .node = nfs_root, .name = "file" },
	};
	fsc_submit(&nfsc, &calls[2]);
	for (unsigned int i = 0; i < RTE_DIM(calls); i++) {
		fsc_detach(&calls[i]);
		assert_true(atomic_load(&calls[i].fenced));
		assert_int_equal(fsc_wait(&calls[i]), -ECANCELED);
	}
	memset(nfsc.mem, 0x5a, MIB);
	nfs_server_do("thaw");
	/* What comes back now goes nowhere. */
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, 0, 4096, MIB, 4096), 4096);
	for (unsigned int i = 0; i < MIB; i++)
		assert_int_equal(nfsc.mem[i], 0x5a);
	nfs_close(&entry, file);
	unlink(nfs_host("file"));
}

static void
export_is_deleted_while_the_server_does_not_move(void **state)
{
	struct weir_file *file;
	struct weir_entry entry = nfs_make("file", &file);
	uint64_t begin;

	write_some(&entry, file, 0, 4096);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "file"), 0);
	nfs_server_do("freeze");
	nfs_close(&entry, file);
	begin = weir_now_ns();
	nfs_export_down();
	assert_true(weir_now_ns() - begin < UINT64_C(1000000000));
	nfs_server_do("thaw");
	nfs_export_up("nfs0", "");
	/* Its name was nobody's to remove any more. */
	if (nfs_host_count(".nfs") == 1) {
		char name[NAME_MAX + 1];

		nfs_host_first(name);
		assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, name), 0);
	}
}

static void
soft_export_fails_in_time_and_recovers(void **state)
{
	struct weir_file *file;
	struct weir_entry entry;
	struct weir_attr attr;
	uint64_t begin;

	nfs_export_down();
	nfs_export_up("nfs0", ", \"hard\": false, \"timeo_ms\": 200, \"retrans\": 1");
	entry = nfs_make("file", &file);
	nfs_server_do("freeze");
	begin = weir_now_ns();
	assert_int_equal(fsc_getattr(&nfsc, entry.node, NULL, &attr), -EIO);
	assert_in_range(weir_now_ns() - begin, 300 * 1000000, 3000 * UINT64_C(1000000));
	nfs_server_do("kill");
	assert_int_equal(fsc_getattr(&nfsc, entry.node, NULL, &attr), -EIO);
	nfs_server_do("start");
	for (unsigned int i = 0; i < 100 && fsc_getattr(&nfsc, entry.node, NULL, &attr) != 0; i++)
		;
	assert_int_equal(fsc_getattr(&nfsc, entry.node, NULL, &attr), 0);
	nfs_close(&entry, file);
	unlink(nfs_host("file"));
}

static void
export_of_a_server_that_is_down_is_mounted_when_it_comes(void **state)
{
	struct fsc_call call = { .req = { .op = WEIR_FSOP_LOOKUP, .name = "late" } };
	char message[512];
	uint64_t begin;

	nfs_export_down();
	nfs_server_do("kill");
	begin = weir_now_ns();
	assert_int_not_equal(
			fsc_rpc("fsdev_nfs_create", nfs_server_params("nfs0", ""), message), 0);
	assert_true(weir_now_ns() - begin < UINT64_C(10000000000));
	assert_non_null(strstr(message, "does not answer"));
	nfs_export_up("nfs0", ", \"on_down\": \"retry\"");
	nfs_host_write("late", "1", 1);
	call.req.node = nfs_root;
	fsc_submit(&nfsc, &call);
	nfs_server_do("start");
	assert_int_equal(fsc_wait(&call), 0);
	assert_int_equal(call.req.out.entry.attr.size, 1);
	fsc_put(&nfsc, call.req.out.entry.node);
	unlink(nfs_host("late"));
}

static void
export_that_was_never_mounted_can_be_deleted(void **state)
{
	static struct fsc_call call;

	nfs_export_down();
	nfs_server_do("kill");
	nfs_export_up("nfs0", ", \"on_down\": \"retry\"");
	call = (struct fsc_call){
		.req = { .op = WEIR_FSOP_LOOKUP, .node = nfs_root, .name = "x" },
	};
	fsc_submit(&nfsc, &call);
	fsc_detach(&call);
	assert_int_equal(fsc_wait(&call), -ECANCELED);
	nfs_export_down();
	nfs_export_up("nfs0", ", \"on_down\": \"retry\", \"hard\": false");
	assert_int_equal(fsc_run(&nfsc, &call), -EIO);
	nfs_server_do("start");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, nfs_setup, nfs_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lost_writes_fail_fsync_of_each_file_once),
		TEST(lost_writes_are_noticed_by_the_next_write),
		TEST(committed_writes_are_not_lost),
		TEST(stable_writes_are_not_lost),
		TEST(reads_and_writes_under_way_survive_a_kill),
		TEST(silly_name_outlives_the_server),
		TEST(detached_requests_end_while_the_server_does_not_move),
		TEST(export_is_deleted_while_the_server_does_not_move),
		TEST(soft_export_fails_in_time_and_recovers),
		TEST(export_of_a_server_that_is_down_is_mounted_when_it_comes),
		TEST(export_that_was_never_mounted_can_be_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(int argc, char *argv[])
{
	return nfs_server_main(argv + 1, run);
}
