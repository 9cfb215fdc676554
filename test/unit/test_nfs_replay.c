/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Calls that change names, carried out by a server that then fails: it has lost its duplicate
 * request cache, so the same call, sent again, is answered by what the first sending made of the
 * tree. See the table in doc/nfs.md. What a name of the server's leads to follows from its letter.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>
#include <rte_common.h>

#include "../../drivers/fsdev/nfs/nfs3_xdr.h"
#include "liar_export.h"

#define NOENT 2
#define ACCES 13
#define EXIST 17

static struct fs_client fsc;
static struct weir_node *root;

static int
setup(void **state)
{
	root = liar_up(&fsc, "");
	return 0;
}

static int
teardown(void **state)
{
	nfs_liar_refuse(0, 0, 0);
	nfs_liar_be_terse(false);
	liar_down(&fsc);
	return 0;
}

/* The next call of proc is carried out and not answered; sent again it is answered by status. */
static void
replay(uint32_t proc, uint32_t status)
{
	nfs_liar_refuse(proc, NFS_LIAR_DROP, 1);
	nfs_liar_refuse_then(proc, status, 1);
}

/* A verb that leads to a node, which is given up again. @return 0, or as the verb says. */
static int
entry_run(enum weir_fsop op, const char *name, uint32_t mode, uint32_t rdev, const char *target)
{
	struct weir_entry entry;
	int res;

	if (op == WEIR_FSOP_SYMLINK)
		res = fsc_symlink(&fsc, root, name, target, &entry);
	else
		res = fsc_make(&fsc, op, root, name, mode, rdev, &entry);
	if (res == 0)
		fsc_put(&fsc, entry.node);
	return res;
}

static const struct make_row {
	enum weir_fsop op;
	uint32_t proc, mode;
	const char *name;
	const char *target;
	unsigned int major, minor;
	int res; /* when EXIST follows a sending that was not answered */
} make_rows[] = {
	{ WEIR_FSOP_MKDIR, NFSPROC3_MKDIR, 0755, "d1", NULL, 0, 0, 0 },
	{ WEIR_FSOP_MKDIR, NFSPROC3_MKDIR, 0755, "f1", NULL, 0, 0, -EEXIST },
	{ WEIR_FSOP_MKDIR, NFSPROC3_MKDIR, 0755, "n1", NULL, 0, 0, -EEXIST },
	{ WEIR_FSOP_SYMLINK, NFSPROC3_SYMLINK, 0, "l1", "target", 0, 0, 0 },
	{ WEIR_FSOP_SYMLINK, NFSPROC3_SYMLINK, 0, "l1", "another", 0, 0, -EEXIST },
	{ WEIR_FSOP_SYMLINK, NFSPROC3_SYMLINK, 0, "l1", "targets", 0, 0, -EEXIST },
	{ WEIR_FSOP_SYMLINK, NFSPROC3_SYMLINK, 0, "f1", "target", 0, 0, -EEXIST },
	{ WEIR_FSOP_SYMLINK, NFSPROC3_SYMLINK, 0, "n1", "target", 0, 0, -EEXIST },
	{ WEIR_FSOP_MKNOD, NFSPROC3_MKNOD, S_IFIFO | 0600, "p1", NULL, 0, 0, 0 },
	{ WEIR_FSOP_MKNOD, NFSPROC3_MKNOD, S_IFIFO | 0600, "f1", NULL, 0, 0, -EEXIST },
	{ WEIR_FSOP_MKNOD, NFSPROC3_MKNOD, S_IFCHR | 0600, "c1", NULL, 1, 3, 0 },
	{ WEIR_FSOP_MKNOD, NFSPROC3_MKNOD, S_IFCHR | 0600, "c1", NULL, 1, 5, -EEXIST },
	{ WEIR_FSOP_MKNOD, NFSPROC3_MKNOD, S_IFSOCK | 0600, "n1", NULL, 0, 0, -EEXIST },
	/* A regular file is CREATEd. */
	{ WEIR_FSOP_MKNOD, NFSPROC3_CREATE, S_IFREG | 0600, "f1", NULL, 0, 0, 0 },
	{ WEIR_FSOP_MKNOD, NFSPROC3_CREATE, S_IFREG | 0600, "d1", NULL, 0, 0, -EEXIST },
};

static int
make_row_run(const struct make_row *row)
{
	/* As in struct fuse_mknod_in, small numbers. */
	return entry_run(row->op, row->name, row->mode, row->major << 8 | row->minor, row->target);
}

static void
made_twice_is_found_out(void **state)
{
	unsigned int resent = nfs_liar_resent();

	for (unsigned int i = 0; i < RTE_DIM(make_rows); i++) {
		replay(make_rows[i].proc, EXIST);
		if (make_row_run(&make_rows[i]) != make_rows[i].res)
			fail_msg("row %u", i);
		assert_int_equal(nfs_liar_resent(), resent + i + 1);
	}
}

static void
made_once_and_there_is_an_error(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(make_rows); i++) {
		nfs_liar_refuse(make_rows[i].proc, EXIST, 1);
		assert_int_equal(make_row_run(&make_rows[i]), -EEXIST);
	}
}

static void
made_twice_is_found_out_without_attributes(void **state)
{
	/* A server need not tell what LOOKUP has found; GETATTR does. */
	nfs_liar_be_terse(true);
	made_twice_is_found_out(state);
}

static void
made_twice_is_found_out_over_a_second_failure(void **state)
{
	unsigned int resent = nfs_liar_resent();

	replay(NFSPROC3_MKDIR, EXIST);
	nfs_liar_refuse_then(NFSPROC3_LOOKUP, NFS_LIAR_DROP, 2);
	assert_int_equal(entry_run(WEIR_FSOP_MKDIR, "d1", 0755, 0, NULL), 0);
	replay(NFSPROC3_SYMLINK, EXIST);
	nfs_liar_refuse_then(NFSPROC3_READLINK, NFS_LIAR_DROP, 1);
	assert_int_equal(entry_run(WEIR_FSOP_SYMLINK, "l1", 0, 0, "target"), 0);
	replay(NFSPROC3_RENAME, NOENT);
	nfs_liar_refuse_then(NFSPROC3_LOOKUP, NFS_LIAR_DROP, 1);
	assert_int_equal(fsc_rename(&fsc, root, "f1", root, "f2", 0), 0);
	assert_int_equal(nfs_liar_resent(), resent + 7);
}

static void
made_twice_is_found_out_behind_a_busy_answer(void **state)
{
	/* What comes after JUKEBOX is another call, of the same doubtful past. */
	replay(NFSPROC3_MKDIR, NFS3STAT_JUKEBOX);
	nfs_liar_refuse_then(NFSPROC3_MKDIR, EXIST, 1);
	assert_int_equal(entry_run(WEIR_FSOP_MKDIR, "d1", 0755, 0, NULL), 0);
	replay(NFSPROC3_REMOVE, NFS3STAT_JUKEBOX);
	nfs_liar_refuse_then(NFSPROC3_REMOVE, NOENT, 1);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "f1"), 0);
	/* Busy from the start means that nothing was done. */
	nfs_liar_refuse(NFSPROC3_MKDIR, NFS3STAT_JUKEBOX, 1);
	nfs_liar_refuse_then(NFSPROC3_MKDIR, EXIST, 1);
	assert_int_equal(entry_run(WEIR_FSOP_MKDIR, "d1", 0755, 0, NULL), -EEXIST);
}

static void
other_errors_stay_what_they_are(void **state)
{
	replay(NFSPROC3_MKDIR, ACCES);
	assert_int_equal(entry_run(WEIR_FSOP_MKDIR, "d1", 0755, 0, NULL), -EACCES);
	replay(NFSPROC3_MKDIR, NOENT);
	assert_int_equal(entry_run(WEIR_FSOP_MKDIR, "d1", 0755, 0, NULL), -ENOENT);
	replay(NFSPROC3_RMDIR, 66);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_RMDIR, root, "d1"), -ENOTEMPTY);
	replay(NFSPROC3_RENAME, EXIST);
	assert_int_equal(fsc_rename(&fsc, root, "f1", root, "f2", 0), -EEXIST);
	/* And what tells is only asked when it can tell something. */
	replay(NFSPROC3_MKDIR, EXIST);
	nfs_liar_refuse_then(NFSPROC3_LOOKUP, ACCES, 1);
	assert_int_equal(entry_run(WEIR_FSOP_MKDIR, "d1", 0755, 0, NULL), -EACCES);
}

static int
create(const char *name, uint32_t flags)
{
	struct weir_entry entry;
	struct weir_file *file;
	int res = fsc_create(&fsc, root, name, O_WRONLY | O_CREAT | flags, 0444, &entry, &file);

	if (res < 0)
		return res;
	assert_int_equal(entry.node->type, S_IFREG);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	return 0;
}

static void
create_opens_what_it_may_have_made(void **state)
{
	unsigned int truncated = nfs_liar_calls(NFSPROC3_SETATTR);

	replay(NFSPROC3_CREATE, EXIST);
	assert_int_equal(create("f1", 0), 0);
	assert_int_equal(nfs_liar_calls(NFSPROC3_SETATTR), truncated);
	replay(NFSPROC3_CREATE, EXIST);
	assert_int_equal(create("f1", O_TRUNC), 0);
	assert_int_equal(nfs_liar_calls(NFSPROC3_SETATTR), truncated + 1);
	replay(NFSPROC3_CREATE, EXIST);
	assert_int_equal(create("d1", 0), -EISDIR);
	replay(NFSPROC3_CREATE, EXIST);
	assert_int_equal(create("l1", 0), -ELOOP);

	/* Who has made a file may write to it, whatever its mode says to those who ask later. */
	replay(NFSPROC3_CREATE, EXIST);
	nfs_liar_refuse_then(NFSPROC3_ACCESS, ACCES, 1);
	assert_int_equal(create("f1", 0), 0);
	nfs_liar_refuse(NFSPROC3_CREATE, EXIST, 1);
	nfs_liar_refuse_then(NFSPROC3_ACCESS, ACCES, 1);
	assert_int_equal(create("f1", 0), -EACCES);
}

static void
exclusive_create_is_the_servers_to_tell(void **state)
{
	unsigned int resent = nfs_liar_resent(), settled = nfs_liar_calls(NFSPROC3_SETATTR);

	/* The same verifier again, for all is the same; so the server says that it was made. */
	nfs_liar_refuse(NFSPROC3_CREATE, NFS_LIAR_DROP, 1);
	assert_int_equal(create("f1", O_EXCL), 0);
	assert_int_equal(nfs_liar_resent(), resent + 1);
	assert_int_equal(nfs_liar_calls(NFSPROC3_SETATTR), settled + 1);
	/* Its SETATTR may be carried out twice. */
	nfs_liar_refuse(NFSPROC3_SETATTR, NFS_LIAR_DROP, 1);
	assert_int_equal(create("f1", O_EXCL), 0);
	/* Somebody else's verifier. */
	replay(NFSPROC3_CREATE, EXIST);
	assert_int_equal(create("f1", O_EXCL), -EEXIST);
	nfs_liar_refuse(NFSPROC3_CREATE, EXIST, 1);
	assert_int_equal(create("f1", O_EXCL), -EEXIST);
}

static void
guarded_instead_of_exclusive_looks(void **state)
{
	static const struct {
		const char *name;
		int res;
	} rows[] = { { "f1", 0 }, { "d1", -EEXIST }, { "n1", -EEXIST } };

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		nfs_liar_refuse(NFSPROC3_CREATE, 10004, 1);
		nfs_liar_refuse_then(NFSPROC3_CREATE, NFS_LIAR_DROP, 1);
		nfs_liar_refuse_then(NFSPROC3_CREATE, EXIST, 1);
		assert_int_equal(create(rows[i].name, O_EXCL), rows[i].res);
	}
	nfs_liar_refuse(NFSPROC3_CREATE, 10004, 1);
	nfs_liar_refuse_then(NFSPROC3_CREATE, EXIST, 1);
	assert_int_equal(create("f1", O_EXCL), -EEXIST);
}

static void
link_made_twice_is_found_out(void **state)
{
	struct weir_entry entry;

	assert_int_equal(fsc_lookup(&fsc, root, "f1", &entry), 0);
	replay(NFSPROC3_LINK, EXIST);
	assert_int_equal(fsc_link(&fsc, entry.node, root, "f1"), 0);
	/* Another file; and none any more. */
	replay(NFSPROC3_LINK, EXIST);
	assert_int_equal(fsc_link(&fsc, entry.node, root, "f2"), -EEXIST);
	replay(NFSPROC3_LINK, EXIST);
	assert_int_equal(fsc_link(&fsc, entry.node, root, "n1"), -EEXIST);
	nfs_liar_refuse(NFSPROC3_LINK, EXIST, 1);
	assert_int_equal(fsc_link(&fsc, entry.node, root, "f1"), -EEXIST);
	fsc_put(&fsc, entry.node);
}

static void
name_removed_twice_is_gone(void **state)
{
	static const struct {
		enum weir_fsop op;
		uint32_t proc;
	} rows[] = { { WEIR_FSOP_UNLINK, NFSPROC3_REMOVE }, { WEIR_FSOP_RMDIR, NFSPROC3_RMDIR } };

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		replay(rows[i].proc, NOENT);
		assert_int_equal(fsc_remove(&fsc, rows[i].op, root, "d1"), 0);
		nfs_liar_refuse(rows[i].proc, NOENT, 1);
		assert_int_equal(fsc_remove(&fsc, rows[i].op, root, "d1"), -ENOENT);
	}
}

static void
name_renamed_twice_is_looked_for(void **state)
{
	replay(NFSPROC3_RENAME, NOENT);
	assert_int_equal(fsc_rename(&fsc, root, "f1", root, "f2", 0), 0);
	replay(NFSPROC3_RENAME, NOENT);
	assert_int_equal(fsc_rename(&fsc, root, "f1", root, "n2", 0), -ENOENT);
	nfs_liar_refuse(NFSPROC3_RENAME, NOENT, 1);
	assert_int_equal(fsc_rename(&fsc, root, "f1", root, "f2", 0), -ENOENT);
}

/* Names of open files: taken away by RENAME, or kept by LINK before something takes their place. */
static void
name_of_an_open_file_is_taken_away_twice(void **state)
{
	struct weir_file *file;
	struct weir_entry entry;

	assert_int_equal(fsc_lookup(&fsc, root, "f1", &entry), 0);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &file), 0);
	nfs_liar_refuse(NFSPROC3_RENAME, NOENT, 1);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "f1"), -ENOENT);
	replay(NFSPROC3_LINK, EXIST);
	nfs_liar_refuse_then(NFSPROC3_RENAME, NFS_LIAR_DROP, 1);
	nfs_liar_refuse_then(NFSPROC3_RENAME, NOENT, 1);
	assert_int_equal(fsc_rename(&fsc, root, "f2", root, "f1", 0), 0);
	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file), 0);

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &file), 0);
	replay(NFSPROC3_RENAME, NOENT);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "f1"), 0);
	/* Our own name, when nobody has it open any more. */
	replay(NFSPROC3_REMOVE, NOENT);
	assert_int_equal(fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file), 0);
	fsc_put(&fsc, entry.node);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(made_twice_is_found_out),
		TEST(made_once_and_there_is_an_error),
		TEST(made_twice_is_found_out_without_attributes),
		TEST(made_twice_is_found_out_over_a_second_failure),
		TEST(made_twice_is_found_out_behind_a_busy_answer),
		TEST(other_errors_stay_what_they_are),
		TEST(create_opens_what_it_may_have_made),
		TEST(exclusive_create_is_the_servers_to_tell),
		TEST(guarded_instead_of_exclusive_looks),
		TEST(link_made_twice_is_found_out),
		TEST(name_removed_twice_is_gone),
		TEST(name_renamed_twice_is_looked_for),
		TEST(name_of_an_open_file_is_taken_away_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return liar_main("0@0,1@0-1", run);
}
