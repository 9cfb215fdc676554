/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

/* What becomes of attributes: modes, owners, times. */

static int
attrs_chmod(struct check *c)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = S_IFREG | 04711 };
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT(c, entry.attr.mode == (S_IFREG | 0644));
	EXPECT_RC(c, 0, fe_setattr(c->q, entry.nodeid, &in, &attr));
	EXPECT(c, attr.mode == (S_IFREG | 04711));
	EXPECT_RC(c, 0, fe_getattr(c->q, entry.nodeid, &attr));
	EXPECT(c, attr.mode == (S_IFREG | 04711));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
attrs_chown(struct check *c)
{
	struct fuse_setattr_in in = { .valid = FATTR_UID | FATTR_GID, .uid = 1001, .gid = 1002 };
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 0, fe_setattr(c->q, entry.nodeid, &in, &attr));
	EXPECT(c, attr.uid == 1001 && attr.gid == 1002);
	in.valid = FATTR_GID;
	in.gid = 1003;
	EXPECT_RC(c, 0, fe_setattr(c->q, entry.nodeid, &in, &attr));
	EXPECT(c, attr.uid == 1001 && attr.gid == 1003);
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
attrs_times(struct check *c)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_ATIME | FATTR_MTIME,
		.atime = 1000000001,
		.atimensec = 123456789,
		.mtime = 1000000002,
		.mtimensec = 987654321,
	};
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 0, fe_setattr(c->q, entry.nodeid, &in, &attr));
	EXPECT(c, attr.atime == 1000000001 && attr.atimensec == 123456789);
	EXPECT(c, attr.mtime == 1000000002 && attr.mtimensec == 987654321);

	memset(&in, 0, sizeof(in));
	in.valid = FATTR_MTIME | FATTR_MTIME_NOW;
	EXPECT_RC(c, 0, fe_setattr(c->q, entry.nodeid, &in, &attr));
	EXPECT(c, attr.atime == 1000000001 && attr.mtime > 1700000000);

	in.valid = FATTR_MTIME;
	in.mtime = 1000000002;
	EXPECT_RC(c, 0, fe_setattr(c->q, entry.nodeid, &in, &attr));
	EXPECT_RC(c, 1, fe_write(c->q, entry.nodeid, fh, "x", 1, 0));
	EXPECT_RC(c, 0, fe_getattr(c->q, entry.nodeid, &attr));
	EXPECT(c, attr.mtime > 1700000000);
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

/* SETATTR of many things at once, by handle. */
static int
attrs_together(struct check *c)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_MODE | FATTR_SIZE | FATTR_MTIME | FATTR_FH,
		.mode = S_IFREG | 0600,
		.size = 12345,
		.mtime = 1000000003,
	};
	struct fuse_entry_out entry;
	struct fuse_attr attr;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &in.fh));
	EXPECT_RC(c, 0, fe_setattr(c->q, entry.nodeid, &in, &attr));
	EXPECT(c, attr.mode == (S_IFREG | 0600));
	EXPECT(c, attr.size == 12345);
	EXPECT(c, attr.mtime == 1000000003);
	EXPECT_RC(c, 0, check_close(c, &entry, in.fh));
	return 0;
}

static int
attrs_owner_of_symlink(struct check *c)
{
	struct fuse_setattr_in in = { .valid = FATTR_UID | FATTR_GID, .uid = 1001, .gid = 1002 };
	struct fuse_entry_out link, file;
	struct fuse_attr attr;
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &file, &fh));
	EXPECT_RC(c, 0, fe_symlink(c->q, c->dir, "link", "file", &link));
	EXPECT_RC(c, 0, fe_setattr(c->q, link.nodeid, &in, &attr));
	EXPECT(c, S_ISLNK(attr.mode) && attr.uid == 1001 && attr.gid == 1002);
	EXPECT_RC(c, 0, fe_getattr(c->q, file.nodeid, &attr));
	EXPECT(c, attr.uid == c->cli->uid);
	EXPECT_RC(c, 0, check_close(c, &file, fh));
	return 0;
}

static int
attrs_times_of_symlink(struct check *c)
{
	struct fuse_setattr_in in = { .valid = FATTR_MTIME, .mtime = 1000000004 };
	struct fuse_entry_out link, file;
	struct fuse_attr attr;
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "file", &file, &fh));
	EXPECT_RC(c, 0, check_close(c, &file, fh));
	EXPECT_RC(c, 0, fe_symlink(c->q, c->dir, "link", "file", &link));
	EXPECT_RC(c, 0, fe_setattr(c->q, link.nodeid, &in, &attr));
	EXPECT(c, S_ISLNK(attr.mode) && attr.mtime == 1000000004);
	EXPECT_RC(c, 0, fe_lookup(c->q, c->dir, "file", &file));
	EXPECT(c, file.attr.mtime > 1700000000);
	fe_forget(c->fs, file.nodeid, 1);
	return 0;
}

static int
attrs_owner_is_caller(struct check *c)
{
	struct fuse_entry_out file, dir, link, fifo;
	uint64_t fh;

	c->q->uid = 1001;
	c->q->gid = 1002;
	EXPECT_RC(c, 0, check_create(c, "file", &file, &fh));
	EXPECT(c, file.attr.uid == 1001 && file.attr.gid == 1002);
	EXPECT_RC(c, 0, fe_mkdir(c->q, c->dir, "dir", 0755, &dir));
	EXPECT(c, dir.attr.uid == 1001 && dir.attr.gid == 1002);
	EXPECT_RC(c, 0, fe_symlink(c->q, c->dir, "link", "t", &link));
	EXPECT(c, link.attr.uid == 1001 && link.attr.gid == 1002);
	EXPECT_RC(c, 0, fe_mknod(c->q, c->dir, "fifo", S_IFIFO | 0644, 0, &fifo));
	EXPECT(c, fifo.attr.uid == 1001 && fifo.attr.gid == 1002);
	EXPECT_RC(c, 0, check_close(c, &file, fh));
	return 0;
}

static int
attrs_setgid_directory(struct check *c)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_MODE | FATTR_GID,
		.mode = S_IFDIR | 02777,
		.gid = 1234,
	};
	struct fuse_entry_out dir, entry;
	struct fuse_attr attr;
	uint64_t fh;

	EXPECT_RC(c, 0, fe_mkdir(c->q, c->dir, "dir", 0777, &dir));
	EXPECT_RC(c, 0, fe_setattr(c->q, dir.nodeid, &in, &attr));
	EXPECT(c, attr.mode == (S_IFDIR | 02777) && attr.gid == 1234);

	c->q->uid = 1001;
	c->q->gid = 1002;
	EXPECT_RC(c, 0,
			fe_create(c->q, dir.nodeid, "file", O_RDWR | O_CREAT, S_IFREG | 0644,
					&entry, &fh));
	EXPECT(c, entry.attr.uid == 1001 && entry.attr.gid == 1234);
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	EXPECT_RC(c, 0, fe_mkdir(c->q, dir.nodeid, "sub", 0755, &entry));
	EXPECT(c, entry.attr.gid == 1234 && (entry.attr.mode & S_ISGID) != 0);
	EXPECT_RC(c, 0, fe_mknod(c->q, dir.nodeid, "fifo", S_IFIFO | 0644, 0, &entry));
	EXPECT(c, entry.attr.gid == 1234);
	return 0;
}

static int
attrs_umask(struct check *c)
{
	struct fuse_entry_out entry;
	uint64_t fh;

	c->fs->umask = 027;
	EXPECT_RC(c, 0,
			fe_create(c->q, c->dir, "file", O_RDWR | O_CREAT, S_IFREG | 0666, &entry,
					&fh));
	EXPECT(c, entry.attr.mode == (S_IFREG | 0640));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	EXPECT_RC(c, 0, fe_mkdir(c->q, c->dir, "dir", 0777, &entry));
	EXPECT(c, (entry.attr.mode & 0777) == 0750);
	EXPECT_RC(c, 0, fe_mknod(c->q, c->dir, "fifo", S_IFIFO | 0666, 0, &entry));
	EXPECT(c, entry.attr.mode == (S_IFIFO | 0640));

	/* The server's own umask must not join in. */
	c->fs->umask = 0;
	EXPECT_RC(c, 0,
			fe_create(c->q, c->dir, "open", O_RDWR | O_CREAT, S_IFREG | 0666, &entry,
					&fh));
	EXPECT(c, entry.attr.mode == (S_IFREG | 0666));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
attrs_mknod(struct check *c)
{
	struct fuse_entry_out entry;

	EXPECT_RC(c, 0, fe_mknod(c->q, c->dir, "fifo", S_IFIFO | 0600, 0, &entry));
	EXPECT(c, entry.attr.mode == (S_IFIFO | 0600));
	EXPECT_RC(c, 0, fe_mknod(c->q, c->dir, "socket", S_IFSOCK | 0600, 0, &entry));
	EXPECT(c, entry.attr.mode == (S_IFSOCK | 0600));
	EXPECT_RC(c, 0, fe_mknod(c->q, c->dir, "file", S_IFREG | 0600, 0, &entry));
	EXPECT(c, entry.attr.mode == (S_IFREG | 0600) && entry.attr.size == 0);
	return 0;
}

static int
attrs_statfs(struct check *c)
{
	struct fuse_kstatfs st;

	EXPECT_RC(c, 0, fe_statfs(c->q, c->dir, &st));
	EXPECT(c, st.namelen >= 255);
	EXPECT(c, st.bsize >= 512 && st.frsize >= 512);
	EXPECT(c, st.blocks > 0 && st.bfree <= st.blocks && st.bavail <= st.bfree);
	return 0;
}

static int
attrs_access(struct check *c)
{
	struct fuse_entry_out entry;
	uint64_t fh;
	int rc;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	/* Guests check permissions themselves and never send it: ENOSYS is an answer. */
	rc = fe_access(c->q, entry.nodeid, F_OK);
	EXPECT(c, rc == 0 || rc == -ENOSYS);
	if (rc == 0)
		EXPECT_RC(c, 0, fe_access(c->q, entry.nodeid, R_OK | W_OK));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

const struct check_case check_attr_cases[] = {
	{ "attrs-chmod", attrs_chmod },
	{ "attrs-chown", attrs_chown },
	{ "attrs-times", attrs_times },
	{ "attrs-together", attrs_together },
	{ "attrs-owner-of-symlink", attrs_owner_of_symlink },
	{ "attrs-times-of-symlink", attrs_times_of_symlink },
	{ "attrs-owner-is-caller", attrs_owner_is_caller },
	{ "attrs-setgid-directory", attrs_setgid_directory },
	{ "attrs-umask", attrs_umask },
	{ "attrs-mknod", attrs_mknod },
	{ "attrs-statfs", attrs_statfs },
	{ "attrs-access", attrs_access },
	{ NULL, NULL },
};
