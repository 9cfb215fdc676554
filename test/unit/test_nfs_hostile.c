/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The nfs driver and a server that lies, or that answers what no test server would. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <rte_common.h>

#include "weir_loop.h"

#include "../../drivers/fsdev/nfs/nfs3_xdr.h"
#include "liar_export.h"

#define MIB 1048576u
/* Guest memory that requests may use, and all that is around it. */
#define IO_OFF (1u << 20)
#define IO_LEN (1u << 18)

static struct fs_client fsc;
static struct weir_node *root;

static void
export_up(const char *more)
{
	root = liar_up(&fsc, more);
}

static int
teardown(void **state)
{
	nfs_liar_lie(1, 0);
	liar_down(&fsc);
	return 0;
}

static int
setup(void **state)
{
	export_up("");
	return 0;
}

/* A mount that gives up soon: an answer that never comes is one of the lies. */
static int
setup_soft(void **state)
{
	export_up(", \"hard\": false, \"timeo_ms\": 100, \"retrans\": 0, \"nconnect\": 2, "
		  "\"rsize\": 32768, \"wsize\": 32768");
	return 0;
}

static struct weir_entry
look(const char *name)
{
	struct weir_entry entry;

	assert_int_equal(fsc_lookup(&fsc, root, name, &entry), 0);
	return entry;
}

static uint32_t dice_state;

static uint32_t
dice(uint32_t sides)
{
	dice_state = dice_state * 1664525 + 1013904223;
	return (dice_state >> 8) % sides;
}

static unsigned int nb_seen;

static void
see(void *arg, const struct weir_dirent *dirent)
{
	nb_seen++;
	assert_in_range(dirent->name_len, 1, 255);
	assert_int_not_equal(dirent->next_off, 0);
}

struct state {
	struct weir_node *dir, *link, *file;
	struct weir_file *dir_file, *open;
};

static int
any_io(struct state *s)
{
	uint32_t len = 1 + dice(IO_LEN);
	enum weir_fsop op = dice(2) == 0 ? WEIR_FSOP_READ : WEIR_FSOP_WRITE;
	int res;

	res = fsc_io(&fsc, op, s->file, s->open, dice(NFS_LIAR_BYTES), len, IO_OFF, 1000);
	assert_true(res <= (int)len);
	return res;
}

static int
any_name(struct state *s)
{
	static const char *const names[] = { "f1", "d1", "l1", "f2", "another name" };
	const char *name = names[dice(RTE_DIM(names))];
	struct weir_entry entry;
	int res;

	switch (dice(6)) {
	case 0:
		res = fsc_lookup(&fsc, s->dir, name, &entry);
		break;
	case 1:
		res = fsc_make(&fsc, WEIR_FSOP_MKDIR, s->dir, name, 0755, 0, &entry);
		break;
	case 2:
		res = fsc_make(&fsc, WEIR_FSOP_MKNOD, s->dir, name, S_IFREG | 0644, 0, &entry);
		break;
	case 3:
		res = fsc_symlink(&fsc, s->dir, name, "target", &entry);
		break;
	case 4:
		return fsc_remove(&fsc, dice(2) == 0 ? WEIR_FSOP_UNLINK : WEIR_FSOP_RMDIR, s->dir,
				name);
	default:
		return fsc_rename(&fsc, s->dir, name, root, "f2", 0);
	}
	if (res == 0)
		fsc_put(&fsc, entry.node);
	return res;
}

static int
any_file(struct state *s)
{
	struct weir_entry entry;
	struct weir_file *file;
	int res;

	res = fsc_create(&fsc, s->dir, "f3", O_RDWR | O_CREAT | (dice(2) == 0 ? O_EXCL : 0), 0644,
			&entry, &file);
	if (res < 0)
		return res;
	assert_int_equal(entry.node->type, S_IFREG);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
	return res;
}

static int
any_request(struct state *s)
{
	char target[PATH_MAX];
	struct weir_attr attr = { .size = 1 };

	switch (dice(8)) {
	case 0:
	case 1:
		return any_io(s);
	case 2:
		return fsc_getattr(&fsc, s->file, NULL, &attr);
	case 3:
		return fsc_setattr(&fsc, s->file, WEIR_SET_SIZE, &attr, &attr);
	case 4:
		return fsc_readlink(&fsc, s->link, target);
	case 5:
		nb_seen = 0;
		return fsc_readdir(&fsc, s->dir, s->dir_file, dice(3) * 15, 100,
				dice(2) == 0 ? WEIR_FSREQ_PLUS : 0, see, NULL);
	case 6:
		return any_file(s);
	default:
		return any_name(s);
	}
}

/* What is around the memory of requests is as it was. */
static void
check_guards(void)
{
	for (size_t i = 0; i < FSC_MEM_BYTES; i++)
		if ((i < IO_OFF || i >= IO_OFF + IO_LEN) && i >= PATH_MAX + 32768 &&
				fsc.mem[i] != 0x5a)
			fail_msg("byte %zu was written", i);
}

/* WEIR_TEST_SECONDS: for whoever has time. */
static uint64_t
lying_ns(void)
{
	const char *seconds = getenv("WEIR_TEST_SECONDS");

	return (seconds != NULL ? strtoul(seconds, NULL, 10) : 4) * UINT64_C(1000000000);
}

static void
lies_become_errors_and_nothing_else(void **state)
{
	struct state s = { .dir = look("d").node, .link = look("l").node, .file = look("f").node };
	unsigned int nb = 0, nb_errors = 0;
	uint64_t begin;
	int res;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, s.dir, O_DIRECTORY, &s.dir_file), 0);
	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, s.file, O_RDWR, &s.open), 0);
	memset(fsc.mem, 0x5a, FSC_MEM_BYTES);
	/* Most of the time goes into waiting for answers that are not given. */
	begin = weir_now_ns();
	for (uint32_t seed = 1; weir_now_ns() - begin < lying_ns(); seed++) {
		nfs_liar_lie(seed, 300);
		dice_state = seed;
		for (unsigned int i = 0; i < 8; i++, nb++) {
			res = any_request(&s);
			assert_in_range(res + 511, 0, 511 + MIB);
			nb_errors += res < 0;
		}
	}
	check_guards();
	print_message("%u requests, %u lies, %u errors\n", nb, nfs_liar_lies(), nb_errors);
	assert_true(nfs_liar_lies() > 20 && nb_errors > 0);

	/* The truth is understood again. */
	nfs_liar_lie(1, 0);
	for (unsigned int i = 0;
			i < 100 && fsc_getattr(&fsc, s.file, NULL, &(struct weir_attr){ 0 }) != 0;
			i++)
		;
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, s.file, s.open, 0, NFS_LIAR_BYTES, IO_OFF,
					 1000),
			NFS_LIAR_BYTES);
	for (uint32_t i = 0; i < NFS_LIAR_BYTES; i++)
		assert_int_equal(fsc.mem[IO_OFF + i], nfs_liar_byte(i));
	fsc_release(&fsc, WEIR_FSOP_RELEASEDIR, s.dir, s.dir_file);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, s.file, s.open);
	fsc_put(&fsc, s.dir);
	fsc_put(&fsc, s.link);
	fsc_put(&fsc, s.file);
}

static void
busy_server_is_waited_for(void **state)
{
	struct weir_entry entry;
	uint64_t begin = weir_now_ns();

	nfs_liar_refuse(NFSPROC3_LOOKUP, NFS3STAT_JUKEBOX, 3);
	entry = look("f");
	assert_true(weir_now_ns() - begin > UINT64_C(600000000));
	fsc_put(&fsc, entry.node);
}

static void
busy_server_is_not_waited_for_by_a_detached_request(void **state)
{
	static struct fsc_call call;

	nfs_liar_refuse(NFSPROC3_LOOKUP, NFS3STAT_JUKEBOX, 1000);
	call = (struct fsc_call){
		.req = { .op = WEIR_FSOP_LOOKUP, .node = root, .name = "f" },
	};
	fsc_submit(&fsc, &call);
	for (unsigned int i = 0; i < 5; i++)
		fsc_poll();
	fsc_detach(&call);
	assert_int_equal(fsc_wait(&call), -ECANCELED);
	nfs_liar_refuse(0, 0, 0);
}

static unsigned int
list(struct weir_entry *dir, struct weir_file *file, uint64_t off)
{
	nb_seen = 0;
	assert_int_equal(fsc_readdir(&fsc, dir->node, file, off, 100, 0, see, NULL), 0);
	return nb_seen;
}

static void
directory_goes_on_when_its_cookie_is_no_longer_known(void **state)
{
	struct weir_entry dir = look("d");
	struct weir_file *file;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, dir.node, O_DIRECTORY, &file), 0);
	assert_int_equal(list(&dir, file, 0), 15);
	/* Good without the verifier. */
	nfs_liar_refuse(NFSPROC3_READDIR, NFS3STAT_BAD_COOKIE, 1);
	assert_int_equal(list(&dir, file, 15), 15);
	/* From the start, up to where the guest was. */
	nfs_liar_refuse(NFSPROC3_READDIR, NFS3STAT_BAD_COOKIE, 2);
	assert_int_equal(list(&dir, file, 20), 10);
	assert_int_equal(list(&dir, file, 30), 10);
	/* Never. */
	nfs_liar_refuse(NFSPROC3_READDIR, NFS3STAT_BAD_COOKIE, 1000);
	assert_int_equal(fsc_readdir(&fsc, dir.node, file, 15, 100, 0, see, NULL), -EIO);
	nfs_liar_refuse(0, 0, 0);
	fsc_release(&fsc, WEIR_FSOP_RELEASEDIR, dir.node, file);
	fsc_put(&fsc, dir.node);
}

static void
statuses_become_errno(void **state)
{
	static const struct {
		uint32_t status;
		int rc;
	} rows[] = {
		{ 1, -EPERM },
		{ 2, -ENOENT },
		{ 5, -EIO },
		{ 6, -ENXIO },
		{ 13, -EACCES },
		{ 17, -EEXIST },
		{ 18, -EXDEV },
		{ 19, -ENODEV },
		{ 20, -ENOTDIR },
		{ 21, -EISDIR },
		{ 22, -EINVAL },
		{ 27, -EFBIG },
		{ 28, -ENOSPC },
		{ 30, -EROFS },
		{ 31, -EMLINK },
		{ 63, -ENAMETOOLONG },
		{ 66, -ENOTEMPTY },
		{ 69, -EDQUOT },
		{ 70, -ESTALE },
		{ 71, -EREMOTE },
		{ 10001, -ESTALE },
		{ 10004, -EOPNOTSUPP },
		{ 10005, -EINVAL },
		{ 10006, -EIO },
		{ 10007, -EINVAL },
		{ 4, -EIO },
		{ 99999, -EIO },
		{ 0xffffffff, -EIO },
	};
	struct weir_attr attr;

	for (unsigned int i = 0; i < RTE_DIM(rows); i++) {
		nfs_liar_refuse(NFSPROC3_GETATTR, rows[i].status, 1);
		assert_int_equal(fsc_getattr(&fsc, root, NULL, &attr), rows[i].rc);
	}
	assert_int_equal(fsc_getattr(&fsc, root, NULL, &attr), 0);
}

static void
exclusive_create_goes_without_where_it_is_not_to_be_had(void **state)
{
	struct weir_entry entry;
	struct weir_file *file;

	nfs_liar_refuse(NFSPROC3_CREATE, 10004, 1);
	assert_int_equal(fsc_create(&fsc, root, "f9", O_RDWR | O_CREAT | O_EXCL, 0644, &entry,
					 &file),
			0);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
open_file_is_kept_where_lookup_tells_no_attributes(void **state)
{
	unsigned int removed = nfs_liar_calls(NFSPROC3_REMOVE);
	struct weir_entry entry = look("f1");
	struct weir_file *file;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &file), 0);
	nfs_liar_be_terse(true);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "f1"), 0);
	nfs_liar_be_terse(false);
	assert_int_equal(nfs_liar_calls(NFSPROC3_REMOVE), removed);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	assert_int_equal(nfs_liar_calls(NFSPROC3_REMOVE), removed + 1);
	fsc_put(&fsc, entry.node);
}

static void
short_answers_are_continued(void **state)
{
	struct weir_entry entry = look("f1");
	struct weir_file *file;
	unsigned int calls;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPEN, entry.node, O_RDWR, &file), 0);
	nfs_liar_be_short(1000);
	calls = nfs_liar_calls(NFSPROC3_READ);
	memset(fsc.mem, 0, MIB);
	/* Two calls at once, of 65536 bytes and of what is left; the file ends before the request. */
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 120000, 0, 4096),
			NFS_LIAR_BYTES);
	for (uint32_t i = 0; i < NFS_LIAR_BYTES; i++)
		assert_int_equal(fsc.mem[i], nfs_liar_byte(i));
	assert_int_equal(nfs_liar_calls(NFSPROC3_READ) - calls, 66 + 35);
	calls = nfs_liar_calls(NFSPROC3_WRITE);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 120000, 0, 4096),
			120000);
	assert_int_equal(nfs_liar_calls(NFSPROC3_WRITE) - calls, 66 + 55);
	/* Nothing at all, time and again, would never end. */
	nfs_liar_be_short(0);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_READ, entry.node, file, 0, 1, 0, 4096), -EIO);
	assert_int_equal(fsc_io(&fsc, WEIR_FSOP_WRITE, entry.node, file, 0, 1, 0, 4096), -EIO);
	nfs_liar_be_short(MIB);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, file);
	fsc_put(&fsc, entry.node);
}

static void
directory_is_listed_where_there_is_no_readdirplus(void **state)
{
	unsigned int calls = nfs_liar_calls(NFSPROC3_READDIRPLUS);
	struct weir_entry dir = look("d");
	struct weir_file *file;

	assert_int_equal(fsc_open(&fsc, WEIR_FSOP_OPENDIR, dir.node, O_DIRECTORY, &file), 0);
	nfs_liar_refuse(NFSPROC3_READDIRPLUS, 10004, 1);
	nb_seen = 0;
	for (uint64_t off = 0; off < NFS_LIAR_NAMES; off = nb_seen)
		assert_int_equal(fsc_readdir(&fsc, dir.node, file, off, 100, WEIR_FSREQ_PLUS, see,
						 NULL),
				0);
	assert_int_equal(nb_seen, NFS_LIAR_NAMES);
	/* Once is enough to know. */
	assert_int_equal(nfs_liar_calls(NFSPROC3_READDIRPLUS), calls + 1);
	fsc_release(&fsc, WEIR_FSOP_RELEASEDIR, dir.node, file);
	fsc_put(&fsc, dir.node);
}

/* An OPEN of an entry that waits for a busy server. */
static void
start_open(struct fsc_call *call, const struct weir_entry *entry)
{
	const unsigned int calls = nfs_liar_calls(NFSPROC3_ACCESS);
	struct weir_file *file = calloc(1, weir_fsdev_file_size(fsc.dev));

	assert_non_null(file);
	file->flags = O_RDONLY;
	*call = (struct fsc_call){
		.req = { .op = WEIR_FSOP_OPEN, .node = entry->node, .file = file },
	};
	nfs_liar_refuse(NFSPROC3_ACCESS, NFS3STAT_JUKEBOX, 1000);
	fsc_submit(&fsc, call);
	while (nfs_liar_calls(NFSPROC3_ACCESS) == calls)
		fsc_poll();
}

static void
file_removed_while_it_is_opened_is_kept(void **state)
{
	unsigned int removed = nfs_liar_calls(NFSPROC3_REMOVE);
	struct weir_entry entry = look("f1");
	static struct fsc_call call;

	start_open(&call, &entry);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "f1"), 0);
	assert_int_equal(nfs_liar_calls(NFSPROC3_REMOVE), removed);
	nfs_liar_refuse(0, 0, 0);
	assert_int_equal(fsc_wait(&call), 0);
	assert_int_equal(fsc_info("liar", "open_files"), 1);
	fsc_release(&fsc, WEIR_FSOP_RELEASE, entry.node, call.req.file);
	assert_int_equal(nfs_liar_calls(NFSPROC3_REMOVE), ++removed);

	/* Where it fails, nobody has it open, and the name goes. */
	start_open(&call, &entry);
	assert_int_equal(fsc_remove(&fsc, WEIR_FSOP_UNLINK, root, "f1"), 0);
	assert_int_equal(nfs_liar_calls(NFSPROC3_REMOVE), removed);
	nfs_liar_refuse(NFSPROC3_ACCESS, 13, 1);
	assert_int_equal(fsc_wait(&call), -EACCES);
	while (nfs_liar_calls(NFSPROC3_REMOVE) == removed)
		fsc_poll();
	free(call.req.file);

	/* So it is when the guest is gone. */
	start_open(&call, &entry);
	fsc_detach(&call);
	assert_int_equal(fsc_wait(&call), -ECANCELED);
	assert_int_equal(fsc_info("liar", "open_files"), 0);
	nfs_liar_refuse(0, 0, 0);
	free(call.req.file);
	fsc_put(&fsc, entry.node);
}

#define TEST(name, up) cmocka_unit_test_setup_teardown(name, up, teardown)

static int
run(void)
{
	const struct CMUnitTest tests[] = {
		TEST(statuses_become_errno, setup),
		TEST(busy_server_is_waited_for, setup),
		TEST(busy_server_is_not_waited_for_by_a_detached_request, setup),
		TEST(directory_goes_on_when_its_cookie_is_no_longer_known, setup),
		TEST(exclusive_create_goes_without_where_it_is_not_to_be_had, setup),
		TEST(open_file_is_kept_where_lookup_tells_no_attributes, setup),
		TEST(short_answers_are_continued, setup),
		TEST(directory_is_listed_where_there_is_no_readdirplus, setup),
		TEST(file_removed_while_it_is_opened_is_kept, setup),
		TEST(lies_become_errors_and_nothing_else, setup_soft),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
	return liar_main("0@0,1@0-1,2@0-1", run);
}
