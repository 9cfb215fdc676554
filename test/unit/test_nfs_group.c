/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Calls of those who are in the group of a file, of which FUSE does not tell, at a server that
 * denies everything to all others.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../drivers/fsdev/nfs/nfs3_xdr.h"
#include "liar_export.h"

#define GROUP 3001
#define ACCES 13
#define EXIST 17

static struct fs_client fsc;
static struct weir_node *root;

static void
up(const char *more)
{
	struct weir_attr attr;

	root = liar_up(&fsc, more);
	nfs_liar_demand(GROUP);
	/* A guest knows what it has judged by. */
	assert_int_equal(fsc_getattr(&fsc, root, NULL, &attr), 0);
	assert_int_equal(attr.gid, GROUP);
	fsc.cred.uid = fsc.cred.gid = 1000;
}

static void
down(void)
{
	nfs_liar_refuse(0, 0, 0);
	nfs_liar_demand(0);
	liar_down(&fsc);
}

static int
setup(void **state)
{
	up("");
	return 0;
}

static int
teardown(void **state)
{
	down();
	return 0;
}

static unsigned int nb_before[NFSPROC3_NB];

static void
count_begin(void)
{
	for (uint32_t proc = 0; proc < NFSPROC3_NB; proc++)
		nb_before[proc] = nfs_liar_calls(proc);
}

/* How many calls of a procedure it took since. */
static unsigned int
count_end(uint32_t proc)
{
	return nfs_liar_calls(proc) - nb_before[proc];
}

static void
names_in_a_directory_of_the_group(void **state)
{
	struct weir_entry entry, made;

	count_begin();
	assert_int_equal(fsc_lookup(&fsc, root, "f1", &entry), 0);
	assert_int_equal(count_end(NFSPROC3_LOOKUP), 2);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, "d1", 0700, 0, &made), 0);
	assert_int_equal(count_end(NFSPROC3_MKDIR), 2);
	assert_int_equal(fsc_rename(&fsc, root, "f1", made.node, "f2", 0), 0);
	assert_int_equal(count_end(NFSPROC3_RENAME), 2);
	assert_int_equal(fsc_link(&fsc, entry.node, made.node, "f3"), 0);
	assert_int_equal(count_end(NFSPROC3_LINK), 2);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "f1"), 0);
	assert_int_equal(count_end(NFSPROC3_REMOVE), 2);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, root, "d1"), 0);
	assert_int_equal(count_end(NFSPROC3_RMDIR), 2);
	/* Nobody has to ask for what the guest was told. */
	assert_int_equal(count_end(NFSPROC3_GETATTR), 0);
	fsc_put(&fsc, made.node);
	fsc_put(&fsc, entry.node);
}

static void
open_file_asks_for_the_group_once(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;

	assert_int_equal(fsc_lookup(&fsc, root, "f1", &entry), 0);
	count_begin();
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &file), 0);
	assert_int_equal(count_end(NFSPROC3_ACCESS), 2);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 1000, 0, 1000),
				1000);
		/* Not stored at once, as the liar has it. */
		assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 1000, 0, 1000),
				1000);
		assert_int_equal(fsc_fsync(&fsc, entry.node, file, 0), 0);
	}
	assert_int_equal(count_end(NFSPROC3_READ), 3);
	assert_int_equal(count_end(NFSPROC3_WRITE), 3);
	assert_int_equal(count_end(NFSPROC3_COMMIT), 3);
	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file), 0);
	fsc_put(&fsc, entry.node);
}

static void
data_are_denied_after_open(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;

	/* What is of the group by now was not when it was opened; and in many calls at a time. */
	nfs_liar_demand(0);
	assert_int_equal(fsc_lookup(&fsc, root, "f1", &entry), 0);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &file), 0);
	fsc_put(&fsc, entry.node);
	nfs_liar_demand(GROUP);
	assert_int_equal(fsc_lookup(&fsc, root, "f1", &entry), 0);
	count_begin();
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 90000, 0, 90000), 90000);
	assert_int_equal(count_end(NFSPROC3_READ), 4);
	assert_int_equal(
			fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 90000, 0, 90000), 90000);
	assert_int_equal(count_end(NFSPROC3_WRITE), 2);
	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file), 0);
	fsc_put(&fsc, entry.node);
}

static void
attributes_and_what_is_about_to_be_the_group(void **state)
{
	const struct weir_attr set = { .mode = 0600, .gid = 3002 };
	struct weir_entry entry;
	struct weir_attr attr;

	assert_int_equal(fsc_lookup(&fsc, root, "f1", &entry), 0);
	assert_int_equal(fsc_access(&fsc, entry.node, R_OK | W_OK), 0);
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_MODE, &set, &attr), 0);
	nfs_liar_demand(3002);
	count_begin();
	assert_int_equal(fsc_setattr(&fsc, entry.node, WEIR_SET_GID, &set, &attr), 0);
	assert_int_equal(count_end(NFSPROC3_SETATTR), 2);
	assert_int_equal(attr.gid, 3002);
	fsc_put(&fsc, entry.node);
}

static void
what_one_was_not_told_of_is_not_tried(void **state)
{
	struct weir_entry entry;
	struct weir_attr attr;

	/* By a server that gives all to another group, of which no guest has heard. */
	nfs_liar_demand(3003);
	count_begin();
	assert_int_equal(fsc_lookup(&fsc, root, "f1", &entry), -EACCES);
	assert_int_equal(count_end(NFSPROC3_LOOKUP), 2);
	assert_int_equal(fsc_getattr(&fsc, root, NULL, &attr), 0);
	assert_int_equal(fsc_lookup(&fsc, root, "f1", &entry), 0);
	fsc_put(&fsc, entry.node);
}

static void
denied_once_more_is_denied(void **state)
{
	struct weir_entry entry;

	count_begin();
	nfs_liar_refuse(NFSPROC3_MKDIR, ACCES, 3);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, "d1", 0700, 0, &entry), -EACCES);
	assert_int_equal(count_end(NFSPROC3_MKDIR), 2);
}

static void
server_that_fails_in_between_makes_it_once(void **state)
{
	struct weir_entry entry;

	/* Denied; then made, and not answered; then it is there. */
	nfs_liar_refuse(NFSPROC3_MKDIR, ACCES, 1);
	nfs_liar_refuse_then(NFSPROC3_MKDIR, NFS_LIAR_DROP, 1);
	nfs_liar_refuse_then(NFSPROC3_MKDIR, EXIST, 1);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, "d1", 0700, 0, &entry), 0);
	fsc_put(&fsc, entry.node);
	/* That it was denied does not make it ours. */
	nfs_liar_refuse(NFSPROC3_MKDIR, ACCES, 1);
	nfs_liar_refuse_then(NFSPROC3_MKDIR, EXIST, 1);
	assert_int_equal(fsc_make(&fsc, WEIR_FSOP_MKDIR, root, "d1", 0700, 0, &entry), -EEXIST);
}

static void
file_that_the_guest_did_not_know_is_not_tried(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;

	/* The directory lets everybody in; the file that is there by now does not. */
	nfs_liar_demand(0);
	nfs_liar_refuse(NFSPROC3_CREATE, EXIST, 1);
	nfs_liar_refuse_then(NFSPROC3_ACCESS, ACCES, 1);
	count_begin();
	assert_int_equal(fsc_create(&fsc, root, "f1", O_RDWR | O_CREAT, 0600, &entry, &file),
			-EACCES);
	assert_int_equal(count_end(NFSPROC3_ACCESS), 1);
}

static void
lookup_is_denied(unsigned int nb_calls)
{
	struct weir_entry entry;

	count_begin();
	assert_int_equal(fsc_lookup(&fsc, root, "f1", &entry), -EACCES);
	assert_int_equal(count_end(NFSPROC3_LOOKUP), nb_calls);
}

static void
root_and_nobody_get_no_group(void **state)
{
	fsc.cred.uid = fsc.cred.gid = 0;
	lookup_is_denied(1);
	fsc.cred = (struct weir_cred){ .uid = 1000, .gid = 1000, .mapped = true };
	lookup_is_denied(1);
	/* Nor whoever is in it anyway. */
	fsc.cred.mapped = false;
	fsc.cred.uid = fsc.cred.gid = GROUP;
	lookup_is_denied(1);
	down();
	up(", \"squash\": \"root\", \"anonuid\": 1234, \"anongid\": 1234");
	fsc.cred.uid = fsc.cred.gid = 0;
	lookup_is_denied(1);
	down();
	up(", \"squash\": \"all\", \"anonuid\": 1234, \"anongid\": 1234");
	lookup_is_denied(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_in_a_directory_of_the_group),
		TEST(open_file_asks_for_the_group_once),
		TEST(data_are_denied_after_open),
		TEST(attributes_and_what_is_about_to_be_the_group),
		TEST(what_one_was_not_told_of_is_not_tried),
		TEST(denied_once_more_is_denied),
		TEST(server_that_fails_in_between_makes_it_once),
		TEST(file_that_the_guest_did_not_know_is_not_tried),
		TEST(root_and_nobody_get_no_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return liar_main("0@0,1@0-1", run);
}
