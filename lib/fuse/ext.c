/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <linux/limits.h>
#include <string.h>

#include "fuse.h"

/*
 * What a guest tells beside the arguments of a request that makes a file: a group of the caller's
 * that matters there, and the label that the file is to have. All is in the request's own copy.
 */

#define EXT_LABEL_MAX 4096u
#define EXT_ALIGN     8u

static int
ext_take_groups(struct weir_fuse_req *req, const uint8_t *p, size_t len)
{
	struct fuse_supp_groups head;
	uint32_t group;

	if (len < sizeof(head))
		return -EINVAL;
	memcpy(&head, p, sizeof(head));
	if (head.nr_groups == 0)
		return 0;
	/* Guests tell one, that of the directory. */
	if (head.nr_groups > 1 || len < sizeof(head) + sizeof(group) || req->io.cred.has_group)
		return -EINVAL;
	memcpy(&group, p + sizeof(head), sizeof(group));
	if (group == UINT32_MAX)
		return -EINVAL;
	if (req->sess->maps != NULL && !fuse_idmap_gid_in(req->sess->maps, &group))
		return 0;
	req->io.cred.group = group;
	req->io.cred.has_group = true;
	return 0;
}

/* It becomes an extended attribute, and must not become one that means something else. */
static int
ext_check_label_name(const char *name, size_t len)
{
	static const char prefix[] = "security.";

	if (len > XATTR_NAME_MAX || len <= strlen(prefix) ||
			memcmp(name, prefix, strlen(prefix)) != 0)
		return -EINVAL;
	return strcmp(name, "security.capability") != 0 ? 0 : -EINVAL;
}

static int
ext_take_label(struct weir_fuse_req *req, const uint8_t *p, size_t len)
{
	const char *name = (const char *)p + sizeof(struct fuse_secctx);
	struct fuse_secctx head;
	size_t n;

	if (len < sizeof(head) || req->io.in.create.label_name != NULL)
		return -EINVAL;
	memcpy(&head, p, sizeof(head));
	len -= sizeof(head);
	n = strnlen(name, len);
	if (n == len || ext_check_label_name(name, n) < 0)
		return -EINVAL;
	if (head.size == 0 || head.size > EXT_LABEL_MAX || head.size > len - n - 1)
		return -EINVAL;
	req->io.in.create.label_name = name;
	req->io.in.create.label = name + n + 1;
	req->io.in.create.label_len = head.size;
	return 0;
}

/* What was not offered to the guest is not looked at. */
static int
ext_take_one(struct weir_fuse_req *req, uint32_t type, const uint8_t *p, size_t len)
{
	const uint64_t flags =
			atomic_load_explicit(&req->sess->shared->flags, memory_order_relaxed);

	if (type == FUSE_EXT_GROUPS && (flags & FUSE_CREATE_SUPP_GROUP) != 0)
		return ext_take_groups(req, p, len);
	if (type == 0 || type > FUSE_EXT_SECCTX_MAX || (flags & FUSE_SECURITY_CTX) == 0)
		return 0;
	return type == 1 ? ext_take_label(req, p, len) : -EINVAL;
}

int WEIR_ON_WORKER
fuse_take_ext(struct weir_fuse_req *req, const uint8_t *ext, size_t len)
{
	struct fuse_ext_header head;
	size_t n;

	while (len > 0) {
		if (len < sizeof(head))
			return fuse_fail(req, FUSE_FAULT_EXT, -EINVAL);
		memcpy(&head, ext, sizeof(head));
		if (head.size < sizeof(head) || head.size > len ||
				ext_take_one(req, head.type, ext + sizeof(head),
						head.size - sizeof(head)) < 0)
			return fuse_fail(req, FUSE_FAULT_EXT, -EINVAL);
		n = RTE_MIN(RTE_ALIGN_CEIL((size_t)head.size, EXT_ALIGN), len);
		ext += n;
		len -= n;
	}
	return 0;
}
