/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The nfs driver against nfs-ganesha: data, open files, who may what. */

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
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "nfs_server.h"

#define MIB (1u << 20)

static void
data_come_back_whole_however_they_are_cut(void **state)
{
	static const size_t sizes[] = { 1, 4095, 4096, 65536, 65537, 300001, MIB };
	struct weir_file *file;
	struct weir_entry entry = nfs_make("data", &file);

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		const uint64_t off = i * UINT64_C(3000000) + i;

		nfs_fill(off, sizes[i]);
		assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_WRITE, entry.node, file, off,
						 (uint32_t)sizes[i], 0, 4096),
				sizes[i]);
		memset(nfsc.mem, 0x5a, MIB + 1);
		assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, off,
						 (uint32_t)sizes[i], 0, 3000),
				sizes[i]);
		nfs_check(off, sizes[i]);
		assert_int_equal(nfsc.mem[sizes[i]], 0x5a);
	}
	nfs_close(&entry, file);
	unlink(nfs_host("data"));
}

static void
reading_ends_where_the_file_does(void **state)
{
	struct weir_file *file;
	struct weir_entry entry;

	nfs_fill(0, 100000);
	nfs_host_write("short", nfsc.mem, 100000);
	entry = nfs_look("short");
	assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &file), 0);
	memset(nfsc.mem, 0x5a, MIB);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, 0, MIB, 0, 4096), 100000);
	nfs_check(0, 100000);
	assert_int_equal(nfsc.mem[100000], 0x5a);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, 99999, 10, 0, 10), 1);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, 100000, 10, 0, 10), 0);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, 1 << 30, 10, 0, 10), 0);
	nfs_close(&entry, file);
	unlink(nfs_host("short"));
}

static void
many_requests_at_once_are_all_answered(void **state)
{
	enum {
		NB = 500,
		LEN = 8192
	};
	static struct fsc_call calls[NB];
	static struct weir_seg segs[NB];
	struct weir_file *file;
	struct weir_entry entry = nfs_make("many", &file);

	nfs_fill(0, NB * LEN);
	for (unsigned int i = 0; i < NB; i++) {
		segs[i] = (struct weir_seg){ .off = i * LEN, .len = LEN };
		calls[i] = (struct fsc_call){
			.req = { .op = WEIR_FSOP_WRITE, .node = entry.node, .file = file },
		};
		calls[i].req.in.io.off = i * LEN;
		calls[i].req.in.io.len = LEN;
		weir_iov_init(&calls[i].req.iov, nfsc.map, &segs[i], 1);
		fsc_submit(&nfsc, &calls[i]);
	}
	for (unsigned int i = 0; i < NB; i++)
		assert_int_equal(fsc_wait(&calls[i]), LEN);
	memset(nfsc.mem, 0, NB * LEN);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, 0, MIB, 0, 4096), MIB);
	nfs_check(0, MIB);
	nfs_close(&entry, file);
	unlink(nfs_host("many"));
}

static void
unlinked_open_file_lives_until_it_is_closed(void **state)
{
	struct weir_file *file, *second;
	struct weir_entry entry = nfs_make("open", &file);
	struct weir_attr attr;

	nfs_fill(0, 1000);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_WRITE, entry.node, file, 0, 1000, 0, 1000), 1000);
	assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &second), 0);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "open"), 0);
	assert_int_equal(access(nfs_host("open"), F_OK), -1);
	assert_int_equal(nfs_host_count(".nfs"), 1);
	assert_int_equal(fsc_getattr(&nfsc, entry.node, file, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(fsc_release(&nfsc, WEIR_FSOP_RELEASE, entry.node, file), 0);
	memset(nfsc.mem, 0, 1000);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, second, 0, 1000, 0, 1000), 1000);
	nfs_check(0, 1000);
	assert_int_equal(nfs_host_count(".nfs"), 1);
	nfs_close(&entry, second);
	/* Its directory could be removed now. */
	assert_int_equal(nfs_host_count(".nfs"), 0);
}

static void
open_file_that_is_renamed_over_lives_until_it_is_closed(void **state)
{
	struct weir_entry old = { 0 }, now;
	struct weir_file *file;

	nfs_host_write("target", "old", 3);
	nfs_host_write("source", "new", 3);
	old = nfs_look("target");
	assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPEN, old.node, O_RDONLY, &file), 0);
	assert_int_equal(fsc_rename(&nfsc, nfs_root, "source", nfs_root, "target", 0), 0);
	now = nfs_look("target");
	assert_ptr_not_equal(now.node, old.node);
	fsc_put(&nfsc, now.node);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, old.node, file, 0, 10, 0, 10), 3);
	assert_memory_equal(nfsc.mem, "old", 3);
	nfs_close(&old, file);
	assert_int_equal(nfs_host_count(".nfs"), 0);
	assert_int_equal(nfs_host_stat("target").st_nlink, 1);
	unlink(nfs_host("target"));
}

static void
name_that_keeps_an_open_file_cannot_be_removed(void **state)
{
	struct weir_file *file;
	struct weir_entry entry = nfs_make("open", &file);
	struct weir_entry kept;
	char name[NAME_MAX + 1];

	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, "open"), 0);
	/* As rm -r of a guest would meet it. */
	nfs_host_first(name);
	assert_int_equal(fsc_lookup(&nfsc, nfs_root, name, &kept), 0);
	assert_ptr_equal(kept.node, entry.node);
	fsc_put(&nfsc, kept.node);
	assert_int_equal(fsc_remove(&nfsc, WEIR_FSOP_UNLINK, nfs_root, name), -EBUSY);
	nfs_close(&entry, file);
	nfs_host_wait(".nfs", 0);
}

static void
permissions_are_those_of_the_caller(void **state)
{
	struct fsc_call ftruncate_call = {
		.req = { .op = WEIR_FSOP_SETATTR, .in.setattr.valid = WEIR_SET_SIZE },
	};
	struct weir_entry entry;
	struct weir_file *file;

	nfs_host_write("private", "1", 1);
	assert_int_equal(chmod(nfs_host("private"), 0600), 0);
	entry = nfs_look("private");
	assert_int_equal(fsc_access(&nfsc, entry.node, R_OK | W_OK), 0);
	nfsc.cred.uid = nfsc.cred.gid = 1000;
	assert_int_equal(fsc_access(&nfsc, entry.node, R_OK), -EACCES);
	assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPEN, entry.node, O_RDONLY, &file), -EACCES);
	assert_int_equal(chmod(nfs_host("private"), 0666), 0);
	assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &file), 0);
	/* Whoever reads for it, it was opened by one who may. */
	assert_int_equal(chown(nfs_host("private"), 1000, 1000), 0);
	assert_int_equal(chmod(nfs_host("private"), 0600), 0);
	nfsc.cred.uid = nfsc.cred.gid = 2000;
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, 0, 1, 0, 1), 1);
	ftruncate_call.req.node = entry.node;
	assert_int_equal(fsc_run(&nfsc, &ftruncate_call), -EACCES);
	ftruncate_call.req.file = file;
	assert_int_equal(fsc_run(&nfsc, &ftruncate_call), 0);
	assert_int_equal(nfs_host_stat("private").st_size, 0);
	nfsc.cred.uid = nfsc.cred.gid = 0;
	nfs_close(&entry, file);
	unlink(nfs_host("private"));
}

static void
group_of_a_directory_goes_with_the_caller(void **state)
{
	struct weir_entry dir, entry;

	assert_int_equal(mkdir(nfs_host("team"), 0700), 0);
	assert_int_equal(chown(nfs_host("team"), 0, 3001), 0);
	assert_int_equal(chmod(nfs_host("team"), 0770), 0);
	dir = nfs_look("team");
	nfsc.cred.uid = nfsc.cred.gid = 1000;
	nfsc.cred.group = 3001;
	nfsc.cred.has_group = true;
	assert_int_equal(fsc_make(&nfsc, WEIR_FSOP_MKDIR, dir.node, "d", 0700, 0, &entry), 0);
	assert_int_equal(nfs_host_stat("team/d").st_uid, 1000);
	nfsc.cred = (struct weir_cred){ .pid = 1 };
	fsc_put(&nfsc, entry.node);
	fsc_put(&nfsc, dir.node);
	rmdir(nfs_host("team/d"));
	rmdir(nfs_host("team"));
}

static mode_t
mode_of_made(struct weir_node *dir, enum weir_fsop op, uint32_t flags)
{
	struct weir_entry entry;
	struct weir_file *file;
	mode_t mode;

	if (op == WEIR_FSOP_CREATE) {
		assert_int_equal(fsc_create(&nfsc, dir, "x", flags, 02775, &entry, &file), 0);
		nfs_close(&entry, file);
	} else {
		assert_int_equal(fsc_make(&nfsc, op, dir, "x", S_IFREG | 02775, 0, &entry), 0);
		fsc_put(&nfsc, entry.node);
	}
	mode = nfs_host_stat("setgid/x").st_mode;
	assert_int_equal(nfs_host_stat("setgid/x").st_gid, 3001);
	assert_int_equal(entry.attr.mode, mode);
	unlink(nfs_host("setgid/x"));
	return mode & 07777;
}

static void
programs_for_a_setgid_directorys_group_are_as_the_guest_has_judged(void **state)
{
	struct weir_entry dir;

	assert_int_equal(mkdir(nfs_host("setgid"), 0777), 0);
	assert_int_equal(chown(nfs_host("setgid"), 0, 3001), 0);
	assert_int_equal(chmod(nfs_host("setgid"), 02777), 0);
	dir = nfs_look("setgid");
	nfsc.cred.uid = nfsc.cred.gid = 1000;
	assert_int_equal(mode_of_made(dir.node, WEIR_FSOP_CREATE, O_RDWR), 0775);
	nfsc.flags = WEIR_FSREQ_SETGID;
	assert_int_equal(mode_of_made(dir.node, WEIR_FSOP_CREATE, O_RDWR), 02775);
	assert_int_equal(mode_of_made(dir.node, WEIR_FSOP_CREATE, O_RDWR | O_EXCL), 02775);
	assert_int_equal(mode_of_made(dir.node, WEIR_FSOP_MKNOD, 0), 02775);
	nfsc.cred.mapped = true;
	assert_int_equal(mode_of_made(dir.node, WEIR_FSOP_CREATE, O_RDWR), 0775);
	nfsc.cred = (struct weir_cred){ .pid = 1 };
	nfsc.flags = 0;
	fsc_put(&nfsc, dir.node);
	rmdir(nfs_host("setgid"));
}

static void
directory_that_became_setgid_unseen_was_not_judged(void **state)
{
	struct weir_entry dir;

	assert_int_equal(mkdir(nfs_host("setgid"), 0777), 0);
	assert_int_equal(chown(nfs_host("setgid"), 0, 3001), 0);
	assert_int_equal(chmod(nfs_host("setgid"), 0777), 0);
	dir = nfs_look("setgid");
	assert_int_equal(chmod(nfs_host("setgid"), 02777), 0);
	nfsc.cred.uid = nfsc.cred.gid = 1000;
	nfsc.flags = WEIR_FSREQ_SETGID;
	assert_int_equal(mode_of_made(dir.node, WEIR_FSOP_CREATE, O_RDWR), 0775);
	nfsc.cred = (struct weir_cred){ .pid = 1 };
	nfsc.flags = 0;
	fsc_put(&nfsc, dir.node);
	rmdir(nfs_host("setgid"));
}

/* By its owner, who is in the file's group: the guest has asked for it. */
static void
setgid_bit_that_a_server_has_dropped_is_asked_for_again(void **state)
{
	const struct weir_attr set = { .mode = S_IFREG | 02755 };
	struct weir_entry entry;
	struct weir_attr attr;

	nfs_host_write("program", "1", 1);
	assert_int_equal(chown(nfs_host("program"), 1000, 3001), 0);
	entry = nfs_look("program");
	nfsc.cred = (struct weir_cred){ .uid = 1000, .gid = 1000, .pid = 1, .mapped = true };
	assert_int_equal(fsc_setattr(&nfsc, entry.node, WEIR_SET_MODE, &set, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0755);
	nfsc.cred.mapped = false;
	assert_int_equal(fsc_setattr(&nfsc, entry.node, WEIR_SET_MODE, &set, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 02755);
	assert_int_equal(nfs_host_stat("program").st_mode, S_IFREG | 02755);
	nfsc.cred = (struct weir_cred){ .pid = 1 };
	fsc_put(&nfsc, entry.node);
	unlink(nfs_host("program"));
}

static void
squashed_callers_are_somebody_else(void **state)
{
	struct weir_entry entry;
	struct stat st;

	assert_int_equal(chmod(nfs_host(""), 0777), 0);
	nfs_export_down();
	nfs_export_up("nfs0", ", \"squash\": \"root\", \"anonuid\": 1234, \"anongid\": 1235");
	assert_int_equal(fsc_make(&nfsc, WEIR_FSOP_MKNOD, nfs_root, "r", S_IFREG | 0600, 0, &entry),
			0);
	fsc_put(&nfsc, entry.node);
	nfsc.cred.uid = nfsc.cred.gid = 77;
	assert_int_equal(fsc_make(&nfsc, WEIR_FSOP_MKNOD, nfs_root, "u", S_IFREG | 0600, 0, &entry),
			0);
	fsc_put(&nfsc, entry.node);
	st = nfs_host_stat("r");
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 1235);
	assert_int_equal(nfs_host_stat("u").st_uid, 77);
	nfs_export_down();
	nfs_export_up("nfs0", ", \"squash\": \"all\", \"anonuid\": 0, \"anongid\": 0");
	nfsc.cred.uid = nfsc.cred.gid = 77;
	assert_int_equal(fsc_make(&nfsc, WEIR_FSOP_MKNOD, nfs_root, "a", S_IFREG | 0600, 0, &entry),
			0);
	assert_int_equal(entry.attr.uid, 0);
	fsc_put(&nfsc, entry.node);
	unlink(nfs_host("r"));
	unlink(nfs_host("u"));
	unlink(nfs_host("a"));
	assert_int_equal(chmod(nfs_host(""), 0755), 0);
}

/* Or by the guest's kernel, if all act as user 0: no server does it then. */
static void
set_id_bits_fall_at_the_server_when_another_writes(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;

	assert_true(weir_fsdev_limits(nfsc.dev)->handle_killpriv);
	nfs_host_write("suid", "1", 1);
	assert_int_equal(chmod(nfs_host("suid"), 06777), 0);
	entry = nfs_look("suid");
	nfsc.cred.uid = nfsc.cred.gid = 1000;
	assert_int_equal(fsc_open(&nfsc, WEIR_FSOP_OPEN, entry.node, O_WRONLY, &file), 0);
	nfs_fill(0, 10);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_WRITE, entry.node, file, 0, 10, 0, 10), 10);
	assert_int_equal(nfs_host_stat("suid").st_mode, S_IFREG | 0777);
	nfsc.cred.uid = nfsc.cred.gid = 0;
	nfs_close(&entry, file);
	unlink(nfs_host("suid"));
	nfs_export_down();
	nfs_export_up("nfs0", ", \"squash\": \"all\", \"anonuid\": 0, \"anongid\": 0");
	assert_false(weir_fsdev_limits(nfsc.dev)->handle_killpriv);
}

static void
requests_larger_than_rsize_and_wsize_are_split(void **state)
{
	struct weir_file *file;
	struct weir_entry entry;

	nfs_export_down();
	nfs_export_up("nfs0", ", \"rsize\": 16384, \"wsize\": 20480, \"nconnect\": 3");
	assert_int_equal(fsc_info("nfs0", "rsize"), 16384);
	entry = nfs_make("split", &file);
	nfs_fill(12345, MIB);
	assert_int_equal(
			fsc_io(&nfsc, WEIR_FSOP_WRITE, entry.node, file, 12345, MIB, 0, 4096), MIB);
	assert_int_equal(nfs_host_stat("split").st_size, MIB + 12345);
	memset(nfsc.mem, 0, 2 * MIB);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, 12345, 2 * MIB, 0, 4096),
			MIB);
	nfs_check(12345, MIB);
	/* A gap in the middle of a request is no end. */
	assert_int_equal(truncate(nfs_host("split"), 3 * MIB), 0);
	memset(nfsc.mem, 1, 2 * MIB);
	assert_int_equal(fsc_io(&nfsc, WEIR_FSOP_READ, entry.node, file, MIB, 2 * MIB, 0, 4096),
			2 * MIB);
	assert_int_equal(nfsc.mem[12345], 0);
	assert_int_equal(nfsc.mem[2 * MIB - 1], 0);
	nfs_close(&entry, file);
	unlink(nfs_host("split"));
}

static void
what_one_guest_closed_another_sees_on_open(void **state)
{
	struct weir_entry mine, theirs;
	struct weir_file *file;

	nfs_host_write("shared", "1", 1);
	mine = nfs_look("shared");
	assert_int_equal(mine.attr_valid_ns, 1000000000);
	nfs_host_write("shared", "22", 2);
	theirs = nfs_look("shared");
	assert_int_equal(theirs.attr.size, 2);
	assert_int_equal(
			fsc_open(&nfsc, WEIR_FSOP_OPEN, theirs.node, O_RDONLY | O_TRUNC, &file), 0);
	assert_int_equal(nfs_host_stat("shared").st_size, 0);
	nfs_close(&theirs, file);
	fsc_put(&nfsc, mine.node);
	unlink(nfs_host("shared"));

	nfs_export_down();
	nfs_export_up("nfs0", ", \"entry_valid_ms\": 3000");
	nfs_host_write("shared", "1", 1);
	mine = nfs_look("shared");
	assert_int_equal(mine.entry_valid_ns, 3000000000);
	assert_int_equal(mine.attr_valid_ns, 1000000000);
	fsc_put(&nfsc, mine.node);
	unlink(nfs_host("shared"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, nfs_setup, nfs_teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_come_back_whole_however_they_are_cut),
		TEST(reading_ends_where_the_file_does),
		TEST(many_requests_at_once_are_all_answered),
		TEST(unlinked_open_file_lives_until_it_is_closed),
		TEST(open_file_that_is_renamed_over_lives_until_it_is_closed),
		TEST(name_that_keeps_an_open_file_cannot_be_removed),
		TEST(permissions_are_those_of_the_caller),
		TEST(group_of_a_directory_goes_with_the_caller),
		TEST(programs_for_a_setgid_directorys_group_are_as_the_guest_has_judged),
		TEST(directory_that_became_setgid_unseen_was_not_judged),
		TEST(setgid_bit_that_a_server_has_dropped_is_asked_for_again),
		TEST(squashed_callers_are_somebody_else),
		TEST(set_id_bits_fall_at_the_server_when_another_writes),
		TEST(requests_larger_than_rsize_and_wsize_are_split),
		TEST(what_one_guest_closed_another_sees_on_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(int argc, char *argv[])
{
	return nfs_server_main(argv + 1, run);
}
