/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Extended attributes, inode flags, locks, birth times, temporary files: what guests ask seldom. */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "fuse_guest.h"

/* Sends an opcode with nothing but its arguments, and takes no answer's body. */
static int
send(uint32_t opcode, uint64_t nodeid, const void *arg, size_t len)
{
	return guest_call(opcode, nodeid, arg, len, NULL, 0);
}

static int
get_xattr(uint64_t node, uint32_t size, void *body, size_t room)
{
	const struct fuse_getxattr_in in = { .size = size };

	return guest_call_names(FUSE_GETXATTR, node, &in, sizeof(in), "user.a", NULL, body, room);
}

static int
list_xattr(uint64_t node, uint32_t size, void *body, size_t room)
{
	const struct fuse_getxattr_in in = { .size = size };

	return guest_call(FUSE_LISTXATTR, node, &in, sizeof(in), body, room);
}

static void
getxattr_answers_the_value_in_place(void **state)
{
	uint64_t pipe = guest_lookup(1, "pipe");
	char body[100];

	assert_int_equal(get_xattr(pipe, 100, body, sizeof(body)), strlen(FAKE_VALUE));
	assert_memory_equal(body, FAKE_VALUE, strlen(FAKE_VALUE));
	assert_string_equal(fake.last.name, "user.a");
	assert_int_equal(fake.last.in.io.len, 100);
	assert_int_equal(fake.last.flags, 0);
	assert_int_equal(get_xattr(pipe, 3, body, sizeof(body)), -ERANGE);
	assert_int_equal(list_xattr(1, 100, body, sizeof(body)), sizeof(FAKE_LIST));
	assert_memory_equal(body, FAKE_LIST, sizeof(FAKE_LIST));
	assert_int_equal(list_xattr(1, 13, body, sizeof(body)), -ERANGE);
}

static void
xattr_of_size_nothing_asks_for_the_size(void **state)
{
	struct fuse_getxattr_out out = { .padding = 7 };

	assert_int_equal(get_xattr(1, 0, &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.size, strlen(FAKE_VALUE));
	assert_int_equal(out.padding, 0);
	assert_int_equal(fake.last.flags, WEIR_FSREQ_SIZE);
	assert_int_equal(fake.last.iov_left, 0);
	assert_int_equal(list_xattr(1, 0, &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.size, sizeof(FAKE_LIST));
	assert_int_equal(fake.last.iov_left, 0);

	/* As large as they get, and no larger. */
	fake.set_res = true;
	fake.res = XATTR_SIZE_MAX;
	assert_int_equal(get_xattr(1, 0, &out, sizeof(out)), sizeof(out));
	assert_int_equal(out.size, XATTR_SIZE_MAX);
	fake.res = XATTR_SIZE_MAX + 1;
	assert_int_equal(get_xattr(1, 0, &out, sizeof(out)), -EIO);
	assert_int_equal(list_xattr(1, 0, &out, sizeof(out)), -EIO);
	assert_int_equal(guest_faults(FUSE_FAULT_BACKEND), 2);
}

/* Room for size bytes of body. */
static int
get_xattr_with_room(uint32_t size, uint32_t room)
{
	static const char name[] = "user.a";
	struct guest_req *r = calloc(1, sizeof(*r));
	struct {
		struct fuse_getxattr_in in;
		char name[sizeof(name)];
	} arg = { .in = { .size = size } };
	int n;

	memcpy(arg.name, name, sizeof(name));
	guest_prepare(r, 0, FUSE_GETXATTR, 1, &arg, sizeof(arg.in) + sizeof(name), 16 + room);
	assert_int_equal(guest_submit(r), 0);
	n = guest_answer(r, NULL);
	free(r);
	return n;
}

static void
xattr_never_answers_more_than_the_guest_has_room_for(void **state)
{
	assert_int_equal(get_xattr_with_room(UINT32_MAX, 30), strlen(FAKE_VALUE));
	assert_int_equal(fake.last.in.io.len, 30);
	assert_int_equal(fake.last.iov_left, 30);
	assert_int_equal(get_xattr_with_room(UINT32_MAX, 20), strlen(FAKE_VALUE));
	assert_int_equal(get_xattr_with_room(UINT32_MAX, 19), -ERANGE);
	assert_int_equal(get_xattr_with_room(100, 0), -ERANGE);
	assert_int_equal(get_xattr_with_room(XATTR_SIZE_MAX + 1, 100000), strlen(FAKE_VALUE));
	assert_int_equal(fake.last.in.io.len, XATTR_SIZE_MAX);

	fake.calls[WEIR_FSOP_GETXATTR] = 0;
	assert_int_equal(get_xattr_with_room(0, sizeof(struct fuse_getxattr_out) - 1), -EINVAL);
	assert_int_equal(guest_faults(FUSE_FAULT_ROOM), 1);
	assert_int_equal(fake.calls[WEIR_FSOP_GETXATTR], 0);
	/* A driver that claims more than there was room for. */
	fake.set_res = true;
	fake.res = 31;
	assert_int_equal(get_xattr_with_room(30, 100), -EIO);
}

static uint8_t setxattr_arg[16 + 300 + XATTR_SIZE_MAX + 100];

/* size as the guest says it, of which there bytes are there. */
static int
set_xattr(const struct fuse_setxattr_in *in, size_t fixed, const char *name, uint32_t there)
{
	size_t n = fixed;

	memcpy(setxattr_arg, in, fixed);
	memcpy(setxattr_arg + n, name, strlen(name) + 1);
	n += strlen(name) + 1;
	for (uint32_t i = 0; i < there; i++)
		setxattr_arg[n + i] = (uint8_t)(i * 3 + 1);
	return send(FUSE_SETXATTR, 1, setxattr_arg, n + there);
}

static void
assert_value(uint32_t size)
{
	assert_int_equal(fake.last.in.io.len, size);
	assert_int_equal(fake.last.iov_left, size);
	for (uint32_t i = 0; i < size; i++)
		assert_int_equal(fake.data[i], (uint8_t)(i * 3 + 1));
}

static void
setxattr_takes_the_value_in_place(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 300, XATTR_SIZE_MAX };
	struct fuse_setxattr_in in = { .flags = XATTR_CREATE };

	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		in.size = sizes[i];
		memset(fake.data, 0, sizeof(fake.data));
		assert_int_equal(set_xattr(&in, sizeof(in), "trusted.b", sizes[i]), 0);
		assert_string_equal(fake.last.name, "trusted.b");
		assert_int_equal(fake.last.in.io.flags, XATTR_CREATE);
		assert_value(sizes[i]);
	}
	in.size = 3;
	in.flags = XATTR_REPLACE;
	in.setxattr_flags = FUSE_SETXATTR_ACL_KILL_SGID;
	assert_int_equal(set_xattr(&in, sizeof(in), "a", 3), 0);
	assert_int_equal(fake.last.in.io.flags, XATTR_REPLACE | WEIR_XATTR_KILL_SGID);
	/* What is behind the value is nobody's. */
	assert_int_equal(set_xattr(&in, sizeof(in), "a", 30), 0);
	assert_int_equal(fake.last.iov_left, 3);
}

static void
setxattr_without_ext_has_short_arguments(void **state)
{
	const uint64_t flags = ~(uint64_t)FUSE_SETXATTR_EXT;
	const struct fuse_setxattr_in in = { .size = 5, .setxattr_flags = 0x41414141 };
	struct fuse_init_out out;

	guest_reset();
	assert_int_equal(guest_init(39, flags, &out), sizeof(out));
	assert_int_equal(set_xattr(&in, FUSE_SETXATTR_IN_MIN, "user.short", 5), 0);
	assert_string_equal(fake.last.name, "user.short");
	assert_int_equal(fake.last.in.io.flags, 0);
	assert_value(5);
	/* With them, what would be the flags is the beginning of the name. */
	assert_int_equal(set_xattr(&in, sizeof(in), "user.x", 5), 0);
	assert_string_equal(fake.last.name, "AAAA");

	guest_reset();
	assert_int_equal(guest_init(39, ~UINT64_C(0), &out), sizeof(out));
	assert_int_equal(set_xattr(&in, FUSE_SETXATTR_IN_MIN, "user.sho", 0), -EINVAL);
}

static void
setxattr_is_bounded_by_what_is_there(void **state)
{
	struct fuse_setxattr_in in = { .size = 11 };

	assert_int_equal(set_xattr(&in, sizeof(in), "a", 10), -EINVAL);
	in.size = UINT32_MAX;
	assert_int_equal(set_xattr(&in, sizeof(in), "a", 10), -EINVAL);
	in.size = XATTR_SIZE_MAX + 1;
	assert_int_equal(set_xattr(&in, sizeof(in), "a", XATTR_SIZE_MAX + 1), -E2BIG);
	in = (struct fuse_setxattr_in){ .size = 1, .flags = 4 };
	assert_int_equal(set_xattr(&in, sizeof(in), "a", 1), -EINVAL);
	in.flags = WEIR_XATTR_KILL_SGID;
	assert_int_equal(set_xattr(&in, sizeof(in), "a", 1), -EINVAL);
	assert_int_equal(fake.calls[WEIR_FSOP_SETXATTR], 0);
}

static void
setxattr_names_are_checked(void **state)
{
	const struct fuse_setxattr_in in = { 0 };
	char name[300];

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	assert_int_equal(set_xattr(&in, sizeof(in), name, 0), 0);
	assert_string_equal(fake.last.name, name);
	fake_clear();
	name[255] = 'n';
	name[256] = '\0';
	assert_int_equal(set_xattr(&in, sizeof(in), name, 0), -ENAMETOOLONG);
	assert_int_equal(set_xattr(&in, sizeof(in), "", 10), -EINVAL);
	/* Names that do not end: short ones, and one byte short of where they would be too long. */
	memset(setxattr_arg, 0, sizeof(in));
	memset(setxattr_arg + sizeof(in), 'n', 300);
	assert_int_equal(send(FUSE_SETXATTR, 1, setxattr_arg, sizeof(in) + 1), -EINVAL);
	assert_int_equal(send(FUSE_SETXATTR, 1, setxattr_arg, sizeof(in) + 255), -EINVAL);
	assert_int_equal(send(FUSE_SETXATTR, 1, setxattr_arg, sizeof(in) + 256), -ENAMETOOLONG);
	assert_int_equal(send(FUSE_SETXATTR, 1, setxattr_arg, sizeof(in) + 300), -ENAMETOOLONG);
	assert_int_equal(guest_faults(FUSE_FAULT_NAME), 6);
	assert_int_equal(fake.calls[WEIR_FSOP_SETXATTR], 0);
	/* Slashes and dots mean nothing in these. */
	assert_int_equal(set_xattr(&in, sizeof(in), "user./..", 0), 0);
	assert_int_equal(set_xattr(&in, sizeof(in), "..", 0), 0);
}

static void
removexattr_names_one(void **state)
{
	char name[257];

	memset(name, 'n', 256);
	name[256] = '\0';
	assert_int_equal(guest_call_names(FUSE_REMOVEXATTR, 1, NULL, 0, name, NULL, NULL, 0),
			-ENAMETOOLONG);
	assert_int_equal(
			guest_call_names(FUSE_REMOVEXATTR, 1, NULL, 0, "", NULL, NULL, 0), -EINVAL);
	assert_int_equal(fake.calls[WEIR_FSOP_REMOVEXATTR], 0);
	assert_int_equal(guest_call_names(FUSE_REMOVEXATTR, 1, NULL, 0, "user./a", NULL, NULL, 0),
			0);
	assert_string_equal(fake.last.name, "user./a");
}

struct ioctl_arg {
	struct fuse_ioctl_in in;
	uint8_t data[100];
};

/* Sends len bytes of data, which the arguments say are in_size. */
static int
call_ioctl(struct ioctl_arg *arg, uint32_t len, void *body, size_t size)
{
	return guest_call(FUSE_IOCTL, 1, arg, sizeof(arg->in) + len, body, size);
}

static void
ioctl_asks_for_flags_and_attributes(void **state)
{
	struct ioctl_arg arg = { .in = { .fh = guest_opendir(1), .flags = FUSE_IOCTL_DIR } };
	struct {
		struct fuse_ioctl_out out;
		struct fsxattr fsx;
	} body;
	uint32_t flags;

	arg.in.cmd = FS_IOC_GETFLAGS;
	arg.in.out_size = sizeof(uint64_t); /* as the command has it, wrongly */
	assert_int_equal(
			call_ioctl(&arg, 0, &body, sizeof(body)), sizeof(body.out) + sizeof(flags));
	memcpy(&flags, &body.fsx, sizeof(flags));
	assert_int_equal(flags, 0x12345678);
	assert_int_equal(body.out.result, 0);
	assert_int_equal(fake.last.in.ioctl.cmd, WEIR_IOCTL_GETFLAGS);

	arg.in.cmd = FS_IOC_FSGETXATTR;
	arg.in.out_size = sizeof(body.fsx);
	assert_int_equal(call_ioctl(&arg, 0, &body, sizeof(body)), sizeof(body));
	assert_int_equal(body.fsx.fsx_xflags, 1);
	assert_int_equal(body.fsx.fsx_extsize, 2);
	assert_int_equal(body.fsx.fsx_nextents, 3);
	assert_int_equal(body.fsx.fsx_projid, 4);
	assert_int_equal(body.fsx.fsx_cowextsize, 5);
	for (unsigned int i = 0; i < sizeof(body.fsx.fsx_pad); i++)
		assert_int_equal(body.fsx.fsx_pad[i], 0);
}

static void
ioctl_sets_flags_and_attributes(void **state)
{
	const struct fsxattr fsx = { 9, 8, 7, 6, 5, "padding" };
	struct ioctl_arg arg = { .in = { .fh = guest_opendir(1), .flags = FUSE_IOCTL_DIR } };
	uint32_t flags = 0x87654321;

	arg.in.cmd = FS_IOC_SETFLAGS;
	arg.in.in_size = sizeof(flags);
	memcpy(arg.data, &flags, sizeof(flags));
	assert_int_equal(call_ioctl(&arg, sizeof(flags), NULL, 0), sizeof(struct fuse_ioctl_out));
	assert_int_equal(fake.last.in.ioctl.cmd, WEIR_IOCTL_SETFLAGS);
	assert_int_equal(fake.last.in.ioctl.iflags, flags);

	arg.in.cmd = FS_IOC_FSSETXATTR;
	arg.in.in_size = sizeof(fsx);
	memcpy(arg.data, &fsx, sizeof(fsx));
	assert_int_equal(call_ioctl(&arg, sizeof(fsx), NULL, 0), sizeof(struct fuse_ioctl_out));
	assert_int_equal(fake.last.in.ioctl.cmd, WEIR_IOCTL_SETFSXATTR);
	assert_int_equal(fake.last.in.ioctl.fsxattr.xflags, 9);
	assert_int_equal(fake.last.in.ioctl.fsxattr.extsize, 8);
	assert_int_equal(fake.last.in.ioctl.fsxattr.nextents, 7);
	assert_int_equal(fake.last.in.ioctl.fsxattr.projid, 6);
	assert_int_equal(fake.last.in.ioctl.fsxattr.cowextsize, 5);
}

static void
ioctl_with_less_data_than_its_command_has_is_refused(void **state)
{
	static const struct {
		uint32_t cmd, in, out;
	} cases[] = {
		{ FS_IOC_GETFLAGS, 0, 4 },
		{ FS_IOC_SETFLAGS, 4, 0 },
		{ FS_IOC_FSGETXATTR, 0, 28 },
		{ FS_IOC_FSSETXATTR, 28, 0 },
	};
	struct ioctl_arg arg = { .in = { .fh = guest_opendir(1), .flags = FUSE_IOCTL_DIR } };
	struct guest_req *r = calloc(1, sizeof(*r));

	fake_clear();
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		uint32_t in = cases[i].in, out = cases[i].out;

		arg.in.cmd = cases[i].cmd;
		arg.in.in_size = in > 0 ? in - 1 : 0;
		arg.in.out_size = out > 0 ? out - 1 : 0;
		assert_int_equal(call_ioctl(&arg, in, NULL, 0), -EINVAL);
		arg.in.in_size = in;
		arg.in.out_size = out;
		if (in > 0)
			assert_int_equal(call_ioctl(&arg, in - 1, NULL, 0), -EINVAL);
		if (out == 0)
			continue;
		guest_prepare(r, 0, FUSE_IOCTL, 1, &arg, sizeof(arg.in), 16 + 16 + out - 1);
		assert_int_equal(guest_submit(r), 0);
		assert_int_equal(guest_answer(r, NULL), -EINVAL);
	}
	assert_int_equal(fake.calls[WEIR_FSOP_IOCTL], 0);
	free(r);
}

static void
ioctl_of_any_other_kind_is_none(void **state)
{
	static const uint32_t others[] = { 0, UINT32_MAX, FIBMAP, FICLONE, FITRIM, FIGETBSZ,
		FS_IOC32_GETFLAGS, FS_IOC32_SETFLAGS, FS_IOC_GETVERSION, FIFREEZE };
	struct ioctl_arg arg = { .in = { .fh = guest_opendir(1),
						 .flags = FUSE_IOCTL_DIR,
						 .in_size = 64,
						 .out_size = 64 } };
	static const uint32_t flags[] = { FUSE_IOCTL_COMPAT, FUSE_IOCTL_UNRESTRICTED,
		FUSE_IOCTL_32BIT };

	fake_clear();
	for (unsigned int i = 0; i < RTE_DIM(others); i++) {
		arg.in.cmd = others[i];
		assert_int_equal(call_ioctl(&arg, 64, NULL, 0), -ENOTTY);
	}
	arg.in.cmd = FS_IOC_GETFLAGS;
	for (unsigned int i = 0; i < RTE_DIM(flags); i++) {
		arg.in.flags = FUSE_IOCTL_DIR | flags[i];
		assert_int_equal(call_ioctl(&arg, 64, NULL, 0), -ENOTTY);
	}
	assert_int_equal(fake.calls[WEIR_FSOP_IOCTL], 0);
}

static void
ioctl_on_what_is_not_open_is_refused(void **state)
{
	uint64_t file = guest_lookup(1, "file"), dir = guest_opendir(1);
	struct ioctl_arg arg = { .in = { .cmd = FS_IOC_GETFLAGS, .out_size = 4 } };

	arg.in.fh = guest_open(file, O_RDONLY);
	fake_clear();
	/* A file's, said to be a directory's, and the other way round; on another node; forged. */
	arg.in.flags = FUSE_IOCTL_DIR;
	assert_int_equal(send(FUSE_IOCTL, file, &arg, sizeof(arg.in)), -EBADF);
	assert_int_equal(send(FUSE_IOCTL, 1, &arg, sizeof(arg.in)), -EBADF);
	arg.in.fh = dir;
	arg.in.flags = 0;
	assert_int_equal(send(FUSE_IOCTL, 1, &arg, sizeof(arg.in)), -EBADF);
	arg.in.fh = UINT64_MAX;
	assert_int_equal(send(FUSE_IOCTL, file, &arg, sizeof(arg.in)), -EBADF);
	assert_int_equal(fake.calls[WEIR_FSOP_IOCTL], 0);
	assert_int_equal(guest_faults(FUSE_FAULT_FILE), 4);
}

static void
lock_carries_owner_and_range(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	struct fuse_lk_in in = {
		.fh = guest_open(file, O_RDWR),
		.owner = 0xfedcba9876543210,
		.lk = { .start = 5, .end = INT64_MAX, .type = F_RDLCK, .pid = 99 },
	};
	const struct weir_lock *lock = &fake.last.in.lock;

	assert_int_equal(send(FUSE_SETLK, file, &in, sizeof(in)), 0);
	assert_int_equal(fake.last.op, WEIR_FSOP_SETLK);
	assert_true(fake.last.has_file);
	assert_int_not_equal(lock->guest, 0);
	assert_int_equal(lock->owner, in.owner);
	assert_int_equal(lock->start, 5);
	assert_int_equal(lock->end, INT64_MAX);
	assert_int_equal(lock->type, F_RDLCK);
	assert_int_equal(lock->pid, 99);
	assert_int_equal(lock->flags, 0);
	assert_int_equal(send(FUSE_SETLKW, file, &in, sizeof(in)), 0);
	assert_int_equal(fake.last.op, WEIR_FSOP_SETLK);
	assert_int_equal(lock->flags, WEIR_LOCK_WAIT);
	in.lk_flags = FUSE_LK_FLOCK;
	in.lk.type = F_UNLCK;
	in.lk.end = 7;
	assert_int_equal(send(FUSE_SETLK, file, &in, sizeof(in)), 0);
	assert_int_equal(lock->flags, WEIR_LOCK_FLOCK);
	assert_int_equal(lock->type, F_UNLCK);
	/* Whatever range it comes with. */
	assert_int_equal(lock->start, 0);
	assert_int_equal(lock->end, INT64_MAX);
	assert_int_equal(send(FUSE_SETLKW, file, &in, sizeof(in)), 0);
	assert_int_equal(lock->flags, WEIR_LOCK_FLOCK | WEIR_LOCK_WAIT);
}

static void
getlk_answers_the_lock_in_the_way(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	struct fuse_lk_in in = { .fh = guest_open(file, O_RDWR), .lk = { .type = F_WRLCK } };
	struct fuse_lk_out out;

	assert_int_equal(guest_call(FUSE_GETLK, file, &in, sizeof(in), &out, sizeof(out)),
			sizeof(out));
	assert_int_equal(out.lk.start, 3);
	assert_int_equal(out.lk.end, 4);
	assert_int_equal(out.lk.type, F_WRLCK);
	assert_int_equal(out.lk.pid, 5);
	in.lk.type = F_UNLCK;
	assert_int_equal(send(FUSE_GETLK, file, &in, sizeof(in)), -EINVAL);
	in.lk.type = F_RDLCK;
	in.lk_flags = FUSE_LK_FLOCK;
	assert_int_equal(send(FUSE_GETLK, file, &in, sizeof(in)), -EINVAL);
	assert_int_equal(fake.calls[WEIR_FSOP_GETLK], 1);
}

static void
lock_of_no_range_or_no_kind_is_refused(void **state)
{
	static const struct fuse_file_lock bad[] = {
		{ .start = 1, .end = 0 },
		{ .start = 0, .end = UINT64_C(1) << 63 },
		{ .start = UINT64_MAX, .end = UINT64_MAX },
		{ .type = 3 },
		{ .type = UINT32_MAX },
		{ .type = F_RDLCK | 32 },
	};
	static const uint32_t opcodes[] = { FUSE_GETLK, FUSE_SETLK, FUSE_SETLKW };
	uint64_t file = guest_lookup(1, "file");
	struct fuse_lk_in in = { .fh = guest_open(file, O_RDWR) };
	unsigned int nb = 0;

	fake_clear();
	for (unsigned int i = 0; i < RTE_DIM(bad); i++)
		for (unsigned int j = 0; j < RTE_DIM(opcodes); j++, nb++) {
			in.lk = bad[i];
			assert_int_equal(send(opcodes[j], file, &in, sizeof(in)), -EINVAL);
		}
	assert_int_equal(guest_faults(FUSE_FAULT_ARGS), nb);
	in.lk = (struct fuse_file_lock){ .type = F_WRLCK };
	in.fh = guest_opendir(1);
	fake_clear();
	for (unsigned int j = 0; j < RTE_DIM(opcodes); j++)
		assert_int_equal(send(opcodes[j], 1, &in, sizeof(in)), -EBADF);
	assert_int_equal(fake.calls[WEIR_FSOP_GETLK] + fake.calls[WEIR_FSOP_SETLK], 0);
}

static void
flush_names_the_owner_whose_locks_end(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	const struct fuse_flush_in in = { .fh = guest_open(file, O_RDWR), .lock_owner = 4711 };

	assert_int_equal(send(FUSE_FLUSH, file, &in, sizeof(in)), 0);
	assert_int_not_equal(fake.last.in.lock.guest, 0);
	assert_int_equal(fake.last.in.lock.owner, 4711);
	assert_int_equal(fake.last.in.lock.start, 0);
	assert_int_equal(fake.last.in.lock.end, INT64_MAX);
	assert_int_equal(fake.last.in.lock.type, F_UNLCK);
	assert_int_equal(fake.last.in.lock.flags, 0);
}

static void
assert_statx(const struct fuse_statx_out *out, bool btime)
{
	const struct fuse_statx *st = &out->stat;

	assert_int_equal(out->attr_valid, 3);
	assert_int_equal(out->attr_valid_nsec, 2);
	assert_int_equal(st->mask, STATX_BASIC_STATS | (btime ? STATX_BTIME : 0));
	assert_int_equal(st->size, 12345);
	assert_int_equal(st->nlink, 7);
	assert_int_equal(st->uid, 8);
	assert_int_equal(st->gid, 9);
	assert_int_equal(st->atime.tv_sec, -1);
	assert_int_equal(st->btime.tv_sec, -7);
	assert_int_equal(st->btime.tv_nsec, 999999999);
	assert_int_equal(st->ctime.tv_nsec, 999999999);
	assert_int_equal(st->rdev_major, 0x123);
	assert_int_equal(st->rdev_minor, 0x34567);
	assert_int_equal(st->attributes, STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND);
	assert_int_equal(st->attributes_mask, STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND);
}

static void
statx_answers_all_that_is_known(void **state)
{
	struct fuse_statx_in in = { .sx_flags = UINT32_MAX, .sx_mask = UINT32_MAX };
	uint64_t file = guest_lookup(1, "file");
	struct fuse_statx_out out;

	assert_int_equal(guest_call(FUSE_STATX, file, &in, sizeof(in), &out, sizeof(out)),
			sizeof(out));
	assert_int_equal(out.stat.mode, S_IFREG | 0640);
	assert_int_equal(fake.last.in.statx.flags, AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC);
	assert_int_equal(fake.last.in.statx.mask, STATX_BASIC_STATS | STATX_BTIME);
	assert_false(fake.last.has_file);
	assert_statx(&out, true);
	in.sx_mask = STATX_MODE;
	assert_int_equal(
			guest_call(FUSE_STATX, 1, &in, sizeof(in), &out, sizeof(out)), sizeof(out));
	assert_statx(&out, false);
}

static void
statx_by_file_works_for_a_node_that_was_forgotten(void **state)
{
	uint64_t file = guest_lookup(1, "file");
	struct fuse_statx_in in = { .fh = guest_open(file, O_RDONLY) };

	guest_forget(file, 1);
	assert_int_equal(send(FUSE_STATX, file, &in, sizeof(in)), -ESTALE);
	in.getattr_flags = FUSE_GETATTR_FH;
	assert_int_equal(send(FUSE_STATX, file, &in, sizeof(in)), sizeof(struct fuse_statx_out));
	assert_true(fake.last.has_file);
	assert_int_equal(send(FUSE_STATX, 1, &in, sizeof(in)), -EBADF);
	in.fh = guest_opendir(1);
	assert_int_equal(send(FUSE_STATX, 1, &in, sizeof(in)), -EBADF);
}

struct create_out {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

static int
tmpfile_in(uint64_t dir, uint32_t mode, struct create_out *out)
{
	const struct fuse_create_in in = {
		.flags = O_RDWR | O_DIRECTORY | O_EXCL, .mode = mode, .umask = 0xfff
	};

	return guest_call_names(FUSE_TMPFILE, dir, &in, sizeof(in), "/", NULL, out, sizeof(*out));
}

static void
tmpfile_answers_entry_and_file(void **state)
{
	struct fuse_read_in read = { .size = 10 };
	uint64_t pipe = guest_lookup(1, "pipe");
	struct create_out out;

	assert_int_equal(tmpfile_in(1, S_IFREG | 0666, &out), sizeof(out));
	assert_int_equal(fake.last.op, WEIR_FSOP_TMPFILE);
	assert_int_equal(fake.last.mode, S_IFREG | 0666);
	assert_int_equal(fake.last.umask, 0777);
	assert_int_equal(fake.last.file_flags, O_RDWR | O_CREAT | O_EXCL);
	read.fh = out.open.fh;
	assert_int_equal(send(FUSE_READ, out.entry.nodeid, &read, sizeof(read)), 10);
	assert_int_equal(guest_release(FUSE_RELEASE, out.entry.nodeid, out.open.fh), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 1);

	fake_clear();
	assert_int_equal(tmpfile_in(1, S_IFDIR | 0777, &out), -EINVAL);
	assert_int_equal(tmpfile_in(pipe, S_IFREG | 0666, &out), -ENOTDIR);
	assert_int_equal(fake.calls[WEIR_FSOP_TMPFILE], 0);
}

static void
tmpfile_that_fails_or_comes_too_late_leaves_no_file(void **state)
{
	const struct fuse_create_in in = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	struct guest_req *r = calloc(1, sizeof(*r));
	uint8_t arg[sizeof(in) + 2] = { 0 };
	struct create_out out;

	fake.set_res = true;
	fake.res = -EDQUOT;
	assert_int_equal(tmpfile_in(1, 0600, &out), -EDQUOT);
	fake_clear();
	fake.no_node = true;
	assert_int_equal(tmpfile_in(1, 0600, &out), -EIO);
	assert_int_equal(weir_table_used(guest_sess->files), 0);
	fake.open = 0; /* what has no node cannot be closed */

	fake_clear();
	fake.hold = true;
	memcpy(arg, &in, sizeof(in));
	arg[sizeof(in)] = '/';
	guest_prepare(r, 1, FUSE_TMPFILE, 1, arg, sizeof(arg), GUEST_ROOM);
	assert_int_equal(guest_submit(r), 0);
	guest_detach(r);
	guest_on_worker(0, fake_go_on);
	assert_int_equal(r->released, 1);
	assert_int_equal(fake.open, 0);
	assert_int_equal(fake.calls[WEIR_FSOP_RELEASE], 1);
	assert_int_equal(weir_table_used(guest_sess->files), 0);
	free(r);
}

static void
syncfs_reaches_the_file_system(void **state)
{
	const struct fuse_syncfs_in in = { 0 };

	assert_int_equal(send(FUSE_SYNCFS, 1, &in, sizeof(in)), 0);
	assert_int_equal(fake.calls[WEIR_FSOP_SYNCFS], 1);
	fake.set_res = true;
	fake.res = -ENOSPC;
	assert_int_equal(send(FUSE_SYNCFS, 1, &in, sizeof(in)), -ENOSPC);
	assert_int_equal(send(FUSE_SYNCFS, 4711, &in, sizeof(in)), -ESTALE);
}

static void
poll_tells_guests_to_answer_themselves(void **state)
{
	const struct fuse_poll_in in = { 0 };

	assert_int_equal(send(FUSE_POLL, 1, &in, sizeof(in)), -ENOSYS);
}

/* What comes back tells a guest to do without from now on; nothing may stay behind. */
static void
verbs_that_a_driver_has_not_are_not_implemented(void **state)
{
	const struct fuse_setxattr_in set = { 0 };
	const struct fuse_statx_in statx = { 0 };
	const struct fuse_syncfs_in sync = { 0 };
	struct ioctl_arg ioctl = { .in = { .cmd = FS_IOC_GETFLAGS, .out_size = 4 } };
	uint64_t file = guest_lookup(1, "file");
	struct fuse_lk_in lock = { .fh = guest_open(file, O_RDWR) };
	struct create_out out;
	uint8_t body[100];

	for (unsigned int op = WEIR_FSOP_TMPFILE; op < WEIR_NB_FSOPS; op++)
		fake_without(op);
	fake_without(WEIR_FSOP_FSYNC);
	ioctl.in.fh = lock.fh;
	assert_int_equal(get_xattr(file, 0, body, 8), -ENOSYS);
	assert_int_equal(get_xattr(file, 100, body, 100), -ENOSYS);
	assert_int_equal(list_xattr(file, 0, body, 8), -ENOSYS);
	assert_int_equal(set_xattr(&set, sizeof(set), "a", 0), -ENOSYS);
	assert_int_equal(guest_call_names(FUSE_REMOVEXATTR, file, NULL, 0, "a", NULL, NULL, 0),
			-ENOSYS);
	assert_int_equal(tmpfile_in(1, 0600, &out), -ENOSYS);
	assert_int_equal(weir_table_used(guest_sess->files), 1);
	assert_int_equal(send(FUSE_STATX, 1, &statx, sizeof(statx)), -ENOSYS);
	assert_int_equal(send(FUSE_SYNCFS, 1, &sync, sizeof(sync)), -ENOSYS);
	assert_int_equal(send(FUSE_IOCTL, file, &ioctl, sizeof(ioctl.in)), -ENOSYS);
	assert_int_equal(send(FUSE_GETLK, file, &lock, sizeof(lock)), -ENOSYS);
	assert_int_equal(send(FUSE_SETLK, file, &lock, sizeof(lock)), -ENOSYS);
	assert_int_equal(send(FUSE_SETLKW, file, &lock, sizeof(lock)), -ENOSYS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_setup, guest_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(getxattr_answers_the_value_in_place),
		TEST(xattr_of_size_nothing_asks_for_the_size),
		TEST(xattr_never_answers_more_than_the_guest_has_room_for),
		TEST(setxattr_takes_the_value_in_place),
		TEST(setxattr_without_ext_has_short_arguments),
		TEST(setxattr_is_bounded_by_what_is_there),
		TEST(setxattr_names_are_checked),
		TEST(removexattr_names_one),
		TEST(ioctl_asks_for_flags_and_attributes),
		TEST(ioctl_sets_flags_and_attributes),
		TEST(ioctl_with_less_data_than_its_command_has_is_refused),
		TEST(ioctl_of_any_other_kind_is_none),
		TEST(ioctl_on_what_is_not_open_is_refused),
		TEST(lock_carries_owner_and_range),
		TEST(getlk_answers_the_lock_in_the_way),
		TEST(lock_of_no_range_or_no_kind_is_refused),
		TEST(flush_names_the_owner_whose_locks_end),
		TEST(statx_answers_all_that_is_known),
		TEST(statx_by_file_works_for_a_node_that_was_forgotten),
		TEST(tmpfile_answers_entry_and_file),
		TEST(tmpfile_that_fails_or_comes_too_late_leaves_no_file),
		TEST(syncfs_reaches_the_file_system),
		TEST(poll_tells_guests_to_answer_themselves),
		TEST(verbs_that_a_driver_has_not_are_not_implemented),
	};

	return cmocka_run_group_tests(tests, guest_group_setup, guest_group_teardown);
}
