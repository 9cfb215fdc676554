/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Open files and directories: what is asked of them, what is told of them; the statistics. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fuse_guest.h"

static void
open_keeps_only_flags_that_mean_something(void **state)
{
	const uint32_t keep = O_RDWR | O_APPEND | O_DIRECT | O_NOATIME | O_SYNC | O_TRUNC;
	uint64_t file = guest_lookup(1, "file");

	guest_open(file, (UINT32_MAX & ~(uint32_t)O_ACCMODE) | O_RDWR);
	assert_int_equal(fake.last.file_flags, keep);
	guest_sess->open_mask &= ~(uint32_t)O_TRUNC;
	guest_open(file, O_WRONLY | O_TRUNC);
	assert_int_equal(fake.last.file_flags, O_WRONLY);
}

static void
open_of_what_is_no_file_is_refused(void **state)
{
	const struct fuse_open_in in = { .flags = O_RDONLY };
	uint64_t pipe = guest_lookup(1, "pipe");
	uint64_t link = guest_lookup(1, "link");

	assert_int_equal(guest_call(FUSE_OPEN, 1, &in, sizeof(in), NULL, 0), -EISDIR);
	assert_int_equal(guest_call(FUSE_OPEN, pipe, &in, sizeof(in), NULL, 0), -EINVAL);
	assert_int_equal(guest_call(FUSE_OPEN, link, &in, sizeof(in), NULL, 0), -EINVAL);
	assert_int_equal(fake.calls[WEIR_FSOP_OPEN], 0);
	assert_int_equal(weir_table_used(guest_sess->files), 0);
}

static void
open_that_fails_leaves_no_file(void **state)
{
	const struct fuse_open_in in = { .flags = O_RDONLY };
	uint64_t file = guest_lookup(1, "file");

	fake.set_res = true;
	fake.res = -EACCES;
	assert_int_equal(guest_call(FUSE_OPEN, file, &in, sizeof(in), NULL, 0), -EACCES);
	assert_int_equal(guest_call(FUSE_OPENDIR, 1, &in, sizeof(in), NULL, 0), -EACCES);
	assert_int_equal(weir_table_used(guest_sess->files), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASEDIR], 0);
}

static void
open_of_too_many_files_is_enfile(void **state)
{
	const struct fuse_open_in in = { .flags = O_RDONLY };
	uint64_t file = guest_lookup(1, "file");
	uint64_t fh = 0;

	for (unsigned int i = 0; i < 64; i++)
		fh = guest_open(file, O_RDONLY);
	assert_int_equal(guest_call(FUSE_OPEN, file, &in, sizeof(in), NULL, 0), -ENFILE);
	assert_int_equal(fake.open, 64);
	assert_int_equal(guest_release(FUSE_RELEASE, file, fh), 0);
	guest_open(file, O_RDONLY);
}

struct create_out {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

static void
create_answers_entry_and_file(void **state)
{
	const struct fuse_create_in in = {
		.flags = O_RDWR | O_CREAT | O_EXCL | O_DIRECTORY,
		.mode = S_IFREG | 0666,
		.umask = 027,
	};
	const struct fuse_read_in read = { .size = 10 };
	struct fuse_read_in again = read;
	struct create_out out;

	assert_int_equal(guest_call_names(FUSE_CREATE, 1, &in, sizeof(in), "new", NULL, &out,
					 sizeof(out)),
			sizeof(out));
	assert_true(out.entry.nodeid > UINT32_MAX);
	assert_int_equal(out.entry.attr.mode, S_IFREG | 0640);
	assert_int_equal(fake.last.mode, S_IFREG | 0666);
	assert_int_equal(fake.last.umask, 027);
	assert_int_equal(fake.last.file_flags, O_RDWR | O_CREAT | O_EXCL);

	again.fh = out.open.fh;
	assert_int_equal(guest_call(FUSE_READ, out.entry.nodeid, &again, sizeof(again), NULL, 0),
			10);
	assert_int_equal(guest_release(FUSE_RELEASE, out.entry.nodeid, out.open.fh), 0);
	assert_int_equal(fake.open, 0);
}

static void
create_of_what_is_no_file_is_refused(void **state)
{
	const struct fuse_create_in in = { .flags = O_RDWR, .mode = S_IFDIR | 0777 };

	assert_int_equal(guest_call_names(FUSE_CREATE, 1, &in, sizeof(in), "new", NULL, NULL, 0),
			-EINVAL);
	assert_int_equal(fake.calls[WEIR_FSOP_CREATE], 0);
}

static void
read_answers_the_bytes_in_place(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	struct fuse_read_in in = { .fh = guest_open(file, O_RDONLY), .offset = 3, .flags = 7 };
	uint8_t data[70000];

	for (uint32_t size = 0; size < sizeof(data); size = size * 3 + 1) {
		in.size = size;
		assert_int_equal(guest_call(FUSE_READ, file, &in, sizeof(in), data, sizeof(data)),
				size);
		for (uint32_t i = 0; i < size; i++)
			assert_int_equal(data[i], (uint8_t)(i + 3));
	}
	assert_int_equal(fake.last.off, 3);
	assert_int_equal(fake.last.io_flags, 7);
}

static void
read_is_bounded_by_the_room_and_by_what_was_agreed(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	struct fuse_read_in in = { .fh = guest_open(file, O_RDONLY), .size = 4096 };
	struct guest_req *r = calloc(1, sizeof(*r));

	guest_prepare(r, 0, FUSE_READ, file, &in, sizeof(in), 16 + 100);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(guest_answer(r, NULL), 100);
	assert_int_equal(fake.last.iov_left, 100);
	guest_prepare(r, 0, FUSE_READ, file, &in, sizeof(in), 16);
	assert_int_equal(guest_submit(r), 0);
	assert_int_equal(guest_answer(r, NULL), 0);

	in.size = guest_sess->max_io + 1;
	assert_int_equal(guest_call(FUSE_READ, file, &in, sizeof(in), NULL, 0), -EINVAL);
	in.size = UINT32_MAX;
	assert_int_equal(guest_call(FUSE_READ, file, &in, sizeof(in), NULL, 0), -EINVAL);
	in.size = 4096;
	in.offset = (uint64_t)INT64_MAX - 4095;
	assert_int_equal(guest_call(FUSE_READ, file, &in, sizeof(in), NULL, 0), -EINVAL);
	in.offset = (uint64_t)INT64_MAX - 4096;
	assert_int_equal(guest_call(FUSE_READ, file, &in, sizeof(in), NULL, 0), 4096);
	in.offset = UINT64_MAX;
	assert_int_equal(guest_call(FUSE_READ, file, &in, sizeof(in), NULL, 0), -EINVAL);
	free(r);
}

static void
read_of_more_than_asked_is_an_error(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_read_in in = { .fh = guest_open(file, O_RDONLY), .size = 100 };

	fake.set_res = true;
	fake.res = 101;
	assert_int_equal(guest_call(FUSE_READ, file, &in, sizeof(in), NULL, 0), -EIO);
	assert_int_equal(guest_faults(FUSE_FAULT_BACKEND), 1);
}

static int
write_bytes(uint64_t file, uint64_t fh, uint64_t off, uint32_t size, uint32_t there, uint32_t *done)
{
	static uint8_t buf[sizeof(struct fuse_write_in) + FAKE_MAX_WRITE + 4096];
	const struct fuse_write_in in = { .fh = fh, .offset = off, .size = size };
	struct fuse_write_out out = { 0 };
	int rc;

	memcpy(buf, &in, sizeof(in));
	for (uint32_t i = 0; i < there; i++)
		buf[sizeof(in) + i] = (uint8_t)(i * 7);
	rc = guest_call(FUSE_WRITE, file, buf, sizeof(in) + there, &out, sizeof(out));
	*done = out.size;
	return rc;
}

static void
write_takes_the_bytes_in_place(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 517, 4096, 100000, FAKE_MAX_WRITE };
	uint64_t file = guest_lookup(1, "file");
	uint64_t fh = guest_open(file, O_WRONLY);
	uint32_t done;

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		memset(fake.data, 0, sizeof(fake.data));
		assert_int_equal(write_bytes(file, fh, 12, sizes[i], sizes[i], &done),
				sizeof(struct fuse_write_out));
		assert_int_equal(done, sizes[i]);
		for (uint32_t j = 0; j < sizes[i]; j++)
			assert_int_equal(fake.data[j], (uint8_t)(j * 7));
	}
	assert_int_equal(fake.last.off, 12);
	assert_int_equal(fake.last.iov_left, FAKE_MAX_WRITE);
}

static void
write_back_of_a_page_appends_nothing(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	struct {
		struct fuse_write_in in;
		uint8_t data[16];
	} arg = { .in = { .size = 16, .flags = O_WRONLY | O_APPEND } };
	struct fuse_write_out out;

	arg.in.fh = guest_open(file, O_WRONLY | O_APPEND);
	guest_call(FUSE_WRITE, file, &arg, sizeof(arg), &out, sizeof(out));
	assert_int_equal(fake.last.io_flags, O_WRONLY | O_APPEND);
	arg.in.write_flags = FUSE_WRITE_CACHE;
	guest_call(FUSE_WRITE, file, &arg, sizeof(arg), &out, sizeof(out));
	assert_int_equal(fake.last.io_flags, O_WRONLY);
}

static void
write_is_bounded_by_what_is_there_and_by_what_was_agreed(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	uint64_t fh = guest_open(file, O_RDWR);
	uint32_t done;

	assert_int_equal(write_bytes(file, fh, 0, 101, 100, &done), -EINVAL);
	assert_int_equal(write_bytes(file, fh, 0, UINT32_MAX, 100, &done), -EINVAL);
	assert_int_equal(write_bytes(file, fh, 0, FAKE_MAX_WRITE + 1, FAKE_MAX_WRITE + 1, &done),
			-EINVAL);
	assert_int_equal(write_bytes(file, fh, (uint64_t)INT64_MAX - 9, 10, 10, &done), -EINVAL);
	assert_int_equal(write_bytes(file, fh, UINT64_MAX, 10, 10, &done), -EINVAL);
	assert_int_equal(fake.calls[WEIR_FSOP_WRITE], 0);
	/* What is behind the data is nobody's. */
	assert_int_equal(write_bytes(file, fh, 0, 50, 100, &done), sizeof(struct fuse_write_out));
	assert_int_equal(done, 50);
	assert_int_equal(fake.last.iov_left, 50);
}

static void
file_open_for_the_other_direction_is_refused(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_read_in in = { .fh = guest_open(file, O_WRONLY), .size = 100 };
	uint32_t done;

	assert_int_equal(guest_call(FUSE_READ, file, &in, sizeof(in), NULL, 0), -EBADF);
	assert_int_equal(write_bytes(file, guest_open(file, O_RDONLY), 0, 10, 10, &done), -EBADF);
}

static void
flush_and_fsync_reach_the_file(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_flush_in flush = { .fh = guest_open(file, O_RDWR) };
	struct fuse_fsync_in fsync = { .fh = flush.fh };

	assert_int_equal(guest_call(FUSE_FLUSH, file, &flush, sizeof(flush), NULL, 0), 0);
	assert_int_equal(fake.last.op, WEIR_FSOP_FLUSH);
	assert_true(fake.last.has_file);
	assert_int_equal(guest_call(FUSE_FSYNC, file, &fsync, sizeof(fsync), NULL, 0), 0);
	assert_int_equal(fake.last.op, WEIR_FSOP_FSYNC);
	assert_int_equal(fake.last.flags & WEIR_FSREQ_DATASYNC, 0);
	fsync.fsync_flags = FUSE_FSYNC_FDATASYNC;
	assert_int_equal(guest_call(FUSE_FSYNC, file, &fsync, sizeof(fsync), NULL, 0), 0);
	assert_int_equal(fake.last.flags & WEIR_FSREQ_DATASYNC, WEIR_FSREQ_DATASYNC);
	fsync.fh = guest_opendir(1);
	assert_int_equal(guest_call(FUSE_FSYNCDIR, 1, &fsync, sizeof(fsync), NULL, 0), 0);
	assert_int_equal(fake.last.op, WEIR_FSOP_FSYNCDIR);
}

static int
list(uint32_t opcode, uint64_t fh, uint64_t off, uint32_t size, void *buf)
{
	const struct fuse_read_in in = { .fh = fh, .offset = off, .size = size };

	return guest_call(opcode, 1, &in, sizeof(in), buf, GUEST_ROOM);
}

/* Checks a list of entries first to first + nb - 1 of the fake directory. */
static void
assert_dirents(const uint8_t *buf, int bytes, unsigned int first, unsigned int nb, bool plus)
{
	const uint8_t *p = buf;
	char name[32];

	for (unsigned int i = first; i < first + nb; i++) {
		const struct fuse_entry_out *entry = (const void *)p;
		const struct fuse_dirent *d;

		if (plus)
			p += sizeof(*entry);
		d = (const void *)p;
		snprintf(name, sizeof(name), i < 2 ? ".." : "entry%03u", i);
		if (i == 0)
			name[1] = '\0';
		assert_int_equal(d->off, i + 1);
		assert_int_equal(d->ino, i + 101);
		assert_int_equal(d->type, DT_REG);
		assert_int_equal(d->namelen, strlen(name));
		assert_memory_equal(d + 1, name, d->namelen);
		if (plus)
			assert_true(i < 2 ? entry->nodeid == 0 : entry->nodeid > UINT32_MAX);
		p += sizeof(*d) + RTE_ALIGN(d->namelen, 8u);
	}
	assert_int_equal(p - buf, bytes);
}

static void
readdir_lists_from_any_cookie(void **state)
{
	uint64_t fh = guest_opendir(1);
	uint8_t buf[GUEST_ROOM];

	fake.nb_entries = 50;
	assert_dirents(buf, list(FUSE_READDIR, fh, 0, 4096, buf), 0, 50, false);
	assert_dirents(buf, list(FUSE_READDIR, fh, 17, 4096, buf), 17, 33, false);
	assert_int_equal(list(FUSE_READDIR, fh, 50, 4096, buf), 0);
	assert_int_equal(list(FUSE_READDIR, fh, UINT64_MAX, 4096, buf), 0);
	assert_int_equal(guest_nodes(), 1);
}

static void
readdirplus_looks_up_all_but_dots(void **state)
{
	uint64_t fh = guest_opendir(1);
	uint8_t buf[GUEST_ROOM];

	fake.nb_entries = 10;
	assert_dirents(buf, list(FUSE_READDIRPLUS, fh, 0, 4096, buf), 0, 10, true);
	assert_int_equal(fake.last.flags & WEIR_FSREQ_PLUS, WEIR_FSREQ_PLUS);
	assert_int_equal(atomic_load(&guest_sess->nb_nodes), 8);
	guest_forget(((struct fuse_entry_out *)(buf + 2 * (128 + 32)))->nodeid, 1);
	assert_int_equal(atomic_load(&guest_sess->nb_nodes), 7);
}

static void
readdir_fills_the_buffer_to_its_border(void **state)
{
	uint64_t fh = guest_opendir(1);
	uint8_t buf[GUEST_ROOM];
	int n;

	/* Each entry takes 32 bytes, with plus 160; of those that do not fit nothing is counted. */
	fake.nb_entries = 50;
	for (uint32_t size = 32; size < 200; size++) {
		n = list(FUSE_READDIR, fh, 2, size, buf);
		assert_dirents(buf, n, 2, size / 32, false);
	}
	for (uint32_t size = 160; size < 500; size += 7) {
		n = list(FUSE_READDIRPLUS, fh, 2, size, buf);
		assert_dirents(buf, n, 2, size / 160, true);
		assert_true(atomic_load(&guest_sess->nb_nodes) <= 3);
	}
}

static void
readdir_without_room_for_one_entry_is_not_the_end(void **state)
{
	uint64_t fh = guest_opendir(1);

	fake.nb_entries = 5;
	assert_int_equal(list(FUSE_READDIR, fh, 2, 31, NULL), -EINVAL);
	assert_int_equal(list(FUSE_READDIR, fh, 2, 0, NULL), -EINVAL);
	assert_int_equal(list(FUSE_READDIRPLUS, fh, 2, 159, NULL), -EINVAL);
	assert_int_equal(atomic_load(&guest_sess->nb_nodes), 0);
}

static void
readdir_that_fails_keeps_the_entries_before(void **state)
{
	uint64_t fh = guest_opendir(1);
	uint8_t buf[GUEST_ROOM];

	fake.nb_entries = 5;
	fake.fail_list = true;
	assert_dirents(buf, list(FUSE_READDIRPLUS, fh, 0, 4096, buf), 0, 5, true);
	assert_int_equal(atomic_load(&guest_sess->nb_nodes), 3);
	assert_int_equal(list(FUSE_READDIRPLUS, fh, 5, 4096, buf), -EIO);
}

static void
readdir_leaves_out_names_that_are_none(void **state)
{
	static char too_long[300];
	const char *names[] = { "a/b", "/", "", too_long };
	uint64_t fh = guest_opendir(1);
	uint8_t buf[GUEST_ROOM];

	memset(too_long, 'a', 256);
	fake.nb_entries = 4;
	for (unsigned int i = 0; i < RTE_DIM(names); i++) {
		fake.bad_name = names[i];
		assert_dirents(buf, list(FUSE_READDIR, fh, 0, 4096, buf), 0, 4, false);
		assert_dirents(buf, list(FUSE_READDIRPLUS, fh, 0, 4096, buf), 0, 4, true);
	}
	assert_int_equal(guest_faults(FUSE_FAULT_BACKEND), 8);
}

static json_int_t
op_count(const json_t *stats, const char *op, const char *what)
{
	return json_integer_value(
			json_object_get(json_object_get(json_object_get(stats, "ops"), op), what));
}

static void
statistics_count_opcodes_bytes_and_faults(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_read_in in = { .fh = guest_open(file, O_RDWR), .size = 100 };
	uint32_t done;
	json_t *stats;

	for (unsigned int i = 0; i < 5; i++)
		guest_call(FUSE_READ, file, &in, sizeof(in), NULL, 0);
	guest_call(FUSE_READ, 1, &in, sizeof(in), NULL, 0);
	write_bytes(file, in.fh, 0, 33, 33, &done);
	stats = weir_fuse_session_stats(guest_sess);
	assert_true(json_is_true(json_object_get(stats, "mounted")));
	assert_int_equal(json_integer_value(json_object_get(stats, "minor")), 39);
	assert_int_equal(json_integer_value(json_object_get(stats, "nodes")), 1);
	assert_int_equal(json_integer_value(json_object_get(stats, "files")), 1);
	assert_int_equal(json_integer_value(json_object_get(stats, "bytes_read")), 500);
	assert_int_equal(json_integer_value(json_object_get(stats, "bytes_written")), 33);
	assert_int_equal(op_count(stats, "READ", "count"), 6);
	assert_int_equal(op_count(stats, "READ", "errors"), 1);
	assert_int_equal(op_count(stats, "READ", "bytes"), 500);
	assert_int_equal(op_count(stats, "LOOKUP", "count"), 1);
	assert_null(json_object_get(json_object_get(stats, "ops"), "MKDIR"));
	assert_int_equal(json_integer_value(json_object_get(
					 json_object_get(stats, "faults"), "bad_file")),
			1);
	json_decref(stats);
}

static void
statistics_start_anew_after_their_reset(void **state)
{
	json_t *stats;

	weir_role_assume_control();
	guest_lookup(1, "file");
	weir_fuse_session_stats_reset(guest_sess);
	stats = weir_fuse_session_stats(guest_sess);
	assert_int_equal(json_object_size(json_object_get(stats, "ops")), 0);
	assert_int_equal(json_object_size(json_object_get(stats, "faults")), 0);
	json_decref(stats);
	guest_lookup(1, "file");
	guest_lookup(1, "file");
	stats = weir_fuse_session_stats(guest_sess);
	assert_int_equal(op_count(stats, "LOOKUP", "count"), 2);
	json_decref(stats);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(open_keeps_only_flags_that_mean_something),
		TEST(open_of_what_is_no_file_is_refused),
		TEST(open_that_fails_leaves_no_file),
		TEST(open_of_too_many_files_is_enfile),
		TEST(create_answers_entry_and_file),
		TEST(create_of_what_is_no_file_is_refused),
		TEST(read_answers_the_bytes_in_place),
		TEST(read_is_bounded_by_the_room_and_by_what_was_agreed),
		TEST(read_of_more_than_asked_is_an_error),
		TEST(write_takes_the_bytes_in_place),
		TEST(write_back_of_a_page_appends_nothing),
		TEST(write_is_bounded_by_what_is_there_and_by_what_was_agreed),
		TEST(file_open_for_the_other_direction_is_refused),
		TEST(flush_and_fsync_reach_the_file),
		TEST(readdir_lists_from_any_cookie),
		TEST(readdirplus_looks_up_all_but_dots),
		TEST(readdir_fills_the_buffer_to_its_border),
		TEST(readdir_without_room_for_one_entry_is_not_the_end),
		TEST(readdir_that_fails_keeps_the_entries_before),
		TEST(readdir_leaves_out_names_that_are_none),
		TEST(statistics_count_opcodes_bytes_and_faults),
		TEST(statistics_start_anew_after_their_reset),
	};

	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
