/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

/* What a guest with a security module sends along with what makes a file (FUSE_SECURITY_CTX). */

#define LABEL_NAME "security.weir"
#define LABEL      "system_u:object_r:weir_t:s0"
/* The label as it is sent, whole words of eight bytes. */
#define LABEL_BYTES                                                                                \
	((sizeof(struct fuse_secctx_header) + sizeof(struct fuse_secctx) + sizeof(LABEL_NAME) +    \
			 sizeof(LABEL) + 6) /                                                      \
			8 * 8)

/* Guests send a label without the NUL behind it. */
static void
label_put(uint8_t *at)
{
	const struct fuse_secctx_header head = { .size = LABEL_BYTES, .nr_secctx = 1 };
	const struct fuse_secctx ctx = { .size = sizeof(LABEL) - 1 };

	memcpy(at, &head, sizeof(head));
	at += sizeof(head);
	memcpy(at, &ctx, sizeof(ctx));
	at += sizeof(ctx);
	memcpy(at, LABEL_NAME, sizeof(LABEL_NAME));
	memcpy(at + sizeof(LABEL_NAME), LABEL, sizeof(LABEL) - 1);
}

/* One request that makes "new": its fixed part, the names, the label. */
static int
label_make(struct check *c, uint32_t opcode, const void *arg, uint32_t len,
		struct fuse_entry_out *entry, uint64_t *fh)
{
	static const char symlink_names[] = "new\0target";
	const uint32_t names = opcode == FUSE_SYMLINK ? sizeof(symlink_names) : 4;
	struct fe_req *req = fe_req_get(c->q);
	const struct fuse_open_out *opened;
	uint8_t *at;
	int rc;

	if (req == NULL)
		return -1;
	at = fe_req_init(req, opcode, c->dir, len + names + LABEL_BYTES);
	if (len > 0)
		memcpy(at, arg, len);
	memcpy(at + len, symlink_names, names);
	label_put(at + len + names);
	req->res_room = sizeof(*entry) + (opcode == FUSE_CREATE ? sizeof(*opened) : 0);
	rc = fe_req_call(req);
	if (rc == 0) {
		memcpy(entry, fe_req_res(req), sizeof(*entry));
		opened = (const void *)((const uint8_t *)fe_req_res(req) + sizeof(*entry));
		*fh = opened->fh;
	}
	if (req->done)
		fe_req_put(req);
	return rc;
}

/* Whether GETXATTR says the label that was sent; else an errno, or -1. */
static int
label_read(struct check *c, uint64_t nodeid)
{
	const struct fuse_getxattr_in in = { .size = 100 };
	struct fe_req *req = fe_req_get(c->q);
	uint8_t *at;
	int rc;

	if (req == NULL)
		return -1;
	at = fe_req_init(req, FUSE_GETXATTR, nodeid, sizeof(in) + sizeof(LABEL_NAME));
	memcpy(at, &in, sizeof(in));
	memcpy(at + sizeof(in), LABEL_NAME, sizeof(LABEL_NAME));
	req->data_out = in.size;
	rc = fe_req_call(req);
	if (rc == 0 &&
			(req->payload != sizeof(LABEL) - 1 ||
					memcmp(req->data.va, LABEL, req->payload) != 0))
		rc = -1;
	if (req->done)
		fe_req_put(req);
	return rc;
}

static int
label_comes_with_new_files(struct check *c)
{
	const struct fuse_create_in create = { .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644 };
	const struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
	const struct fuse_mknod_in mknod_in = { .mode = S_IFIFO | 0644 };
	struct fuse_entry_out entry;
	uint64_t fh;

	if ((c->fs->init.flags2 & FUSE_SECURITY_CTX >> 32) == 0) {
		/* Not every file system has it; one that is asked for it by name has. */
		EXPECT(c, c->cli->only == NULL);
		return 0;
	}
	EXPECT_RC(c, 0, label_make(c, FUSE_CREATE, &create, sizeof(create), &entry, &fh));
	EXPECT_RC(c, 0, label_read(c, entry.nodeid));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	EXPECT_RC(c, 0, fe_unlink(c->q, c->dir, "new"));

	EXPECT_RC(c, 0, label_make(c, FUSE_MKNOD, &mknod_in, sizeof(mknod_in), &entry, &fh));
	EXPECT_RC(c, 0, label_read(c, entry.nodeid));
	fe_forget(c->fs, entry.nodeid, 1);
	EXPECT_RC(c, 0, fe_unlink(c->q, c->dir, "new"));

	EXPECT_RC(c, 0, label_make(c, FUSE_SYMLINK, NULL, 0, &entry, &fh));
	EXPECT_RC(c, 0, label_read(c, entry.nodeid));
	fe_forget(c->fs, entry.nodeid, 1);
	EXPECT_RC(c, 0, fe_unlink(c->q, c->dir, "new"));

	EXPECT_RC(c, 0, label_make(c, FUSE_MKDIR, &mkdir_in, sizeof(mkdir_in), &entry, &fh));
	EXPECT_RC(c, 0, label_read(c, entry.nodeid));
	fe_forget(c->fs, entry.nodeid, 1);
	EXPECT_RC(c, 0, fe_rmdir(c->q, c->dir, "new"));
	return 0;
}

const struct check_case check_label_cases[] = {
	{ "label-comes-with-new-files", label_comes_with_new_files },
	{ NULL, NULL },
};
