/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Who asks: what a guest tells of its caller, and how it reaches the file system. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fuse_guest.h"

#define LABEL_NAME "security.selinux"
#define LABEL      "system_u:object_r:tmp_t:s0"

/* A request that makes something, grown piece by piece. */
struct made {
	struct guest_req r;
	size_t len, ext;
	uint8_t bytes[24 * 1024];
};

static void
add(struct made *m, const void *p, size_t n)
{
	memcpy(m->bytes + m->len, p, n);
	m->len += n;
}

/* What is added from here on is counted as extensions. */
static struct made *
begin(uint32_t opcode)
{
	const struct fuse_create_in create = { .flags = O_RDWR, .mode = 0640 };
	const struct fuse_mkdir_in mkdir = { .mode = 0750 };
	const struct fuse_mknod_in mknod = { .mode = S_IFIFO | 0600 };
	struct made *m = calloc(1, sizeof(*m));

	if (opcode == FUSE_CREATE)
		add(m, &create, sizeof(create));
	else if (opcode == FUSE_MKDIR)
		add(m, &mkdir, sizeof(mkdir));
	else if (opcode == FUSE_MKNOD)
		add(m, &mknod, sizeof(mknod));
	add(m, "new", 4);
	if (opcode == FUSE_SYMLINK)
		add(m, "target", 7);
	m->ext = m->len;
	return m;
}

static void
add_group(struct made *m, uint32_t nb, uint32_t group)
{
	const uint32_t ext[] = { 16, FUSE_EXT_GROUPS, nb, group };

	add(m, ext, sizeof(ext));
}

static void
add_label(struct made *m, const char *name, const char *value)
{
	const size_t n = sizeof(struct fuse_ext_header) + sizeof(struct fuse_secctx) +
			strlen(name) + 1 + strlen(value);
	const uint32_t head[] = { RTE_ALIGN_CEIL(n, 8u), 1, strlen(value), 0 };
	const uint8_t pad[8] = { 0 };

	add(m, head, sizeof(head));
	add(m, name, strlen(name) + 1);
	add(m, value, strlen(value));
	add(m, pad, head[0] - n);
}

/* counted: as guests since Linux 6.3 do. Frees m. */
static int
end(struct made *m, uint32_t opcode, bool counted)
{
	int rc;

	guest_prepare(&m->r, 0, opcode, FUSE_NODEID_ROOT, m->bytes, m->len, GUEST_ROOM);
	if (counted)
		guest_head(&m->r)->total_extlen = (m->len - m->ext) / 8;
	fake.made = (struct fake_made){ 0 };
	assert_int_equal(guest_submit(&m->r), 0);
	rc = guest_answer(&m->r, NULL);
	if (rc > 0 && opcode == FUSE_CREATE) {
		const struct fuse_entry_out *entry;
		const struct fuse_open_out *out;

		guest_answer(&m->r, (const void **)&entry);
		out = (const void *)(entry + 1);
		assert_int_equal(guest_release(FUSE_RELEASE, entry->nodeid, out->fh), 0);
	}
	free(m);
	return rc;
}

static const uint32_t makers[] = { FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR, FUSE_CREATE };

static void
group_of_the_directory_reaches_what_makes_a_file(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(makers); i++) {
		struct made *m = begin(makers[i]);

		add_group(m, 1, 0x80000d80); /* ids have 32 bits */
		assert_true(end(m, makers[i], true) > 0);
		assert_true(fake.made.cred.has_group);
		assert_int_equal(fake.made.cred.group, 0x80000d80);
		assert_int_equal(fake.made.cred.uid, 1000);
		assert_int_equal(fake.made.cred.gid, 100);
		assert_string_equal(fake.made.name, "new");
	}
}

static void
group_is_not_asked_for_and_not_taken(void **state)
{
	struct made *m = begin(FUSE_MKDIR);

	assert_true(end(m, FUSE_MKDIR, true) > 0);
	assert_false(fake.made.cred.has_group);

	m = begin(FUSE_MKDIR);
	add_group(m, 0, 0);
	assert_true(end(m, FUSE_MKDIR, true) > 0);
	assert_false(fake.made.cred.has_group);

	atomic_store(&guest_sess->shared->flags, 0);
	m = begin(FUSE_MKDIR);
	add_group(m, 1, 3456);
	assert_true(end(m, FUSE_MKDIR, true) > 0);
	assert_false(fake.made.cred.has_group);
}

static void
label_reaches_what_makes_a_file(void **state)
{
	for (unsigned int i = 0; i < RTE_DIM(makers); i++) {
		for (unsigned int counted = 0; counted < 2; counted++) {
			struct made *m = begin(makers[i]);

			add_label(m, LABEL_NAME, LABEL);
			if (counted > 0)
				add_group(m, 1, 77);
			assert_true(end(m, makers[i], counted > 0) > 0);
			assert_string_equal(fake.made.label_name, LABEL_NAME);
			assert_int_equal(fake.made.label_len, strlen(LABEL));
			assert_memory_equal(fake.made.label, LABEL, strlen(LABEL));
			assert_int_equal(fake.made.cred.has_group, counted > 0);
			assert_string_equal(fake.made.name, "new");
		}
	}
}

/* What an LSM that has no label to give makes the guest send. */
static void
no_label_is_none(void **state)
{
	const uint32_t none[] = { 8, 0 };

	for (unsigned int counted = 0; counted < 2; counted++) {
		struct made *m = begin(FUSE_SYMLINK);

		add(m, none, sizeof(none));
		assert_true(end(m, FUSE_SYMLINK, counted > 0) > 0);
		assert_string_equal(fake.made.label_name, "");
	}
}

static void
label_is_an_argument_too_many_where_it_was_not_offered(void **state)
{
	struct made *m = begin(FUSE_MKDIR);

	atomic_store(&guest_sess->shared->flags, FUSE_CREATE_SUPP_GROUP);
	add_label(m, LABEL_NAME, LABEL);
	assert_int_equal(end(m, FUSE_MKDIR, false), -EINVAL);
	m = begin(FUSE_MKDIR);
	add_label(m, LABEL_NAME, LABEL);
	assert_true(end(m, FUSE_MKDIR, true) > 0);
	assert_string_equal(fake.made.label_name, "");
}

static void
label_as_long_as_may_be_passes_and_no_longer(void **state)
{
	char value[4098];

	memset(value, 'v', sizeof(value));
	for (unsigned int n = 4096; n <= 4097; n++) {
		struct made *m = begin(FUSE_MKDIR);

		value[n] = '\0';
		add_label(m, LABEL_NAME, value);
		assert_int_equal(end(m, FUSE_MKDIR, true),
				n == 4096 ? (int)sizeof(struct fuse_entry_out) : -EINVAL);
		value[n] = 'v';
	}
	assert_string_equal(fake.made.name, "");
}

/* Each is malformed in its own way; none may reach the file system. */
static void
extensions_that_are_none_are_refused(void **state)
{
	static const struct {
		uint32_t words[8];
		uint32_t nb;
	} bad[] = {
		{ { 4, 0 }, 2 }, /* shorter than its header */
		{ { 24, FUSE_EXT_GROUPS, 1, 7 }, 4 }, /* longer than there is */
		{ { UINT32_MAX, 1, 0, 0 }, 4 },
		{ { 8, FUSE_EXT_GROUPS }, 2 }, /* without a number of groups */
		{ { 16, FUSE_EXT_GROUPS, 2, 7 }, 4 },
		{ { 16, FUSE_EXT_GROUPS, UINT32_MAX, 7 }, 4 },
		{ { 16, FUSE_EXT_GROUPS, 1, UINT32_MAX }, 4 },
		{ { 12, FUSE_EXT_GROUPS, 1, 0 }, 4 }, /* ends before the group */
		{ { 8, 1 }, 2 }, /* without a context */
		{ { 16, 1, 0, 0 }, 4 }, /* without a name */
		{ { 24, 1, 8, 0, 0x61616161, 0x61616161 }, 6 }, /* its name has no end */
		{ { 24, 1, 8, 0, 0x00616161, 0x61616161 }, 6 }, /* of no LSM */
		{ { 24, 2, 0, 0, 0, 0 }, 6 }, /* two contexts */
		{ { 16, FUSE_EXT_GROUPS, 1, 7, 16, FUSE_EXT_GROUPS, 1, 8 }, 8 },
	};
	unsigned int nb = guest_faults(FUSE_FAULT_EXT);

	for (unsigned int i = 0; i < RTE_DIM(bad); i++) {
		struct made *m = begin(FUSE_MKDIR);

		add(m, bad[i].words, bad[i].nb * sizeof(bad[i].words[0]));
		assert_int_equal(end(m, FUSE_MKDIR, true), -EINVAL);
		assert_string_equal(fake.made.name, "");
		assert_int_equal(guest_faults(FUSE_FAULT_EXT), ++nb);
	}
}

static void
label_that_would_mean_something_else_is_refused(void **state)
{
	static const char *const names[] = { "security.capability", "security.", "trusted.x",
		"user.security.selinux", "system.posix_acl_access" };

	for (unsigned int i = 0; i < RTE_DIM(names); i++) {
		struct made *m = begin(FUSE_MKDIR);

		add_label(m, names[i], LABEL);
		assert_int_equal(end(m, FUSE_MKDIR, true), -EINVAL);
		assert_string_equal(fake.made.name, "");
	}
}

static void
label_of_a_length_that_is_a_lie_is_refused(void **state)
{
	static const uint32_t lies[] = { 0, sizeof(LABEL) + 8, 4097, UINT32_MAX };

	for (unsigned int i = 0; i < RTE_DIM(lies); i++) {
		struct made *m = begin(FUSE_MKDIR);

		add_label(m, LABEL_NAME, LABEL);
		memcpy(m->bytes + m->ext + 8, &lies[i], sizeof(lies[i]));
		assert_int_equal(end(m, FUSE_MKDIR, true), -EINVAL);
		assert_string_equal(fake.made.name, "");
	}
}

/* A name without its end would be looked for behind the request. */
static void
label_without_the_end_of_its_name_is_refused(void **state)
{
	const struct fuse_ext_header head = { .size = 32, .type = 1 };
	const struct fuse_secctx ctx = { .size = 4 };
	struct made *m = begin(FUSE_MKDIR);

	add(m, &head, sizeof(head));
	add(m, &ctx, sizeof(ctx));
	assert_true(strlen(LABEL_NAME) >= 16);
	add(m, LABEL_NAME, 16);
	add_group(m, 1, 5);
	assert_int_equal(end(m, FUSE_MKDIR, true), -EINVAL);
	assert_string_equal(fake.made.name, "");
}

/* There is room for one; and a second one would not be the guest's to forget. */
static void
more_than_one_label_is_refused(void **state)
{
	const uint32_t two = 2;
	struct made *m = begin(FUSE_MKDIR);

	add_label(m, LABEL_NAME, LABEL);
	add_label(m, LABEL_NAME, LABEL);
	assert_int_equal(end(m, FUSE_MKDIR, true), -EINVAL);
	assert_string_equal(fake.made.name, "");
	m = begin(FUSE_MKDIR);
	add_label(m, LABEL_NAME, LABEL);
	memcpy(m->bytes + m->ext + 4, &two, sizeof(two));
	assert_int_equal(end(m, FUSE_MKDIR, true), -EINVAL);
	assert_string_equal(fake.made.name, "");
}

/* Of a kind that is not looked at, n bytes of them. */
static int
end_with_ext(size_t n)
{
	const struct fuse_ext_header head = { .size = n, .type = 1000 };
	static const uint8_t zeroes[16 * 1024];
	struct made *m = begin(FUSE_SYMLINK);

	add(m, &head, sizeof(head));
	add(m, zeroes, n - sizeof(head));
	return end(m, FUSE_SYMLINK, true);
}

static void
extensions_are_no_longer_than_there_is_room_for(void **state)
{
	assert_true(end_with_ext(FUSE_EXT_MAX) > 0);
	assert_int_equal(guest_faults(FUSE_FAULT_EXT), 0);
	assert_int_equal(end_with_ext(FUSE_EXT_MAX + 8), -EINVAL);
	assert_int_equal(end_with_ext(16 * 1024), -EINVAL);
	assert_int_equal(guest_faults(FUSE_FAULT_EXT), 2);
}

/* Not counted as extensions, and more than could be some. */
static void
names_are_no_longer_than_there_is_room_for(void **state)
{
	static const uint8_t zeroes[16 * 1024];

	for (unsigned int i = 0; i < RTE_DIM(makers); i++) {
		struct made *m = begin(makers[i]);

		add(m, zeroes, sizeof(zeroes));
		assert_int_equal(end(m, makers[i], false), -ENAMETOOLONG);
	}
	assert_int_equal(guest_faults(FUSE_FAULT_NAME), RTE_DIM(makers));
}

static uint32_t
setgid_of(uint32_t opcode, uint32_t mode)
{
	const struct fuse_create_in create = { .flags = O_RDWR, .mode = mode };
	const struct fuse_mknod_in mknod = { .mode = mode };
	struct made *m = calloc(1, sizeof(*m));

	if (opcode == FUSE_CREATE)
		add(m, &create, sizeof(create));
	else
		add(m, &mknod, sizeof(mknod));
	add(m, "new", 4);
	assert_true(end(m, opcode, false) > 0);
	return fake.made.flags & WEIR_FSREQ_SETGID;
}

static void
setgid_of_what_is_made_is_the_judgement_of_guests_that_have_one(void **state)
{
	static const uint32_t opcodes[] = { FUSE_CREATE, FUSE_MKNOD };

	for (unsigned int i = 0; i < RTE_DIM(opcodes); i++) {
		atomic_store(&guest_sess->shared->minor, 37);
		assert_true(setgid_of(opcodes[i], S_IFREG | 02755));
		assert_false(setgid_of(opcodes[i], S_IFREG | 04755));
		atomic_store(&guest_sess->shared->minor, 36);
		assert_false(setgid_of(opcodes[i], S_IFREG | 02755));
	}
}

static uint32_t
killpriv_of(uint32_t opcode, uint64_t nodeid, const void *arg, size_t len)
{
	assert_true(guest_call(opcode, nodeid, arg, len, NULL, 0) >= 0);
	return fake.last.flags & WEIR_FSREQ_KILLPRIV;
}

static uint32_t
killpriv_of_open(uint64_t node, uint32_t flags, uint32_t open_flags)
{
	const struct fuse_open_in in = { .flags = flags, .open_flags = open_flags };
	struct fuse_open_out out;
	uint32_t kill;

	assert_int_equal(guest_call(FUSE_OPEN, node, &in, sizeof(in), &out, sizeof(out)),
			sizeof(out));
	kill = fake.last.flags & WEIR_FSREQ_KILLPRIV;
	guest_release(FUSE_RELEASE, node, out.fh);
	return kill;
}

static void
setid_bits_fall_where_the_guest_says_so(void **state)
{
	uint64_t node = guest_lookup(1, "file");
	uint64_t fh = guest_open(node, O_RDWR);
	struct fuse_setattr_in set = { .valid = FUSE_FATTR_SIZE };
	struct fuse_fallocate_in range = { .fh = fh, .length = 1 };
	struct {
		struct fuse_write_in in;
		char data[8];
	} write = { .in = { .fh = fh, .size = 8 } };

	assert_false(killpriv_of(FUSE_WRITE, node, &write, sizeof(write.in) + 8));
	write.in.write_flags = FUSE_WRITE_KILL_SUIDGID;
	assert_true(killpriv_of(FUSE_WRITE, node, &write, sizeof(write.in) + 8));
	assert_false(killpriv_of(FUSE_SETATTR, node, &set, sizeof(set)));
	set.valid |= FUSE_FATTR_KILL_SUGID;
	assert_true(killpriv_of(FUSE_SETATTR, node, &set, sizeof(set)));
	assert_false(killpriv_of_open(node, O_WRONLY | O_TRUNC, 0));
	assert_false(killpriv_of_open(node, O_WRONLY, FUSE_OPEN_KILL_SUIDGID));
	assert_true(killpriv_of_open(node, O_WRONLY | O_TRUNC, FUSE_OPEN_KILL_SUIDGID));
	/* It does not say here, and is not root. */
	assert_true(killpriv_of(FUSE_FALLOCATE, node, &range, sizeof(range)));
	/* One that looks after the bits itself forgets them when it opens. */
	atomic_store(&guest_sess->shared->flags, 0);
	assert_true(killpriv_of_open(node, O_WRONLY | O_TRUNC, 0));
	assert_false(killpriv_of_open(node, O_WRONLY, 0));
	assert_false(killpriv_of(FUSE_FALLOCATE, node, &range, sizeof(range)));
	guest_release(FUSE_RELEASE, node, fh);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(
			setgid_of_what_is_made_is_the_judgement_of_guests_that_have_one,
			guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(
			setid_bits_fall_where_the_guest_says_so, guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(group_of_the_directory_reaches_what_makes_a_file,
			guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(
			group_is_not_asked_for_and_not_taken, guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(
			label_reaches_what_makes_a_file, guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(no_label_is_none, guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(label_is_an_argument_too_many_where_it_was_not_offered,
			guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(
			label_as_long_as_may_be_passes_and_no_longer, guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(
			extensions_that_are_none_are_refused, guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(
			label_without_the_end_of_its_name_is_refused, guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(
			more_than_one_label_is_refused, guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(extensions_are_no_longer_than_there_is_room_for,
			guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(
			names_are_no_longer_than_there_is_room_for, guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(label_that_would_mean_something_else_is_refused,
			guest_setup, guest_teardown),
	cmocka_unit_test_setup_teardown(
			label_of_a_length_that_is_a_lie_is_refused, guest_setup, guest_teardown),
};

int
main(void)
{
	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
