/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* POSIX ACLs, as the bytes of their extended attributes. */

#define TOPIC "acl"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

#include "conform.h"

#define ACCESS  "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

#define R 4
#define W 2
#define X 1

struct acl {
	unsigned int nb;
	struct {
		uint16_t tag;
		uint16_t perm;
		uint32_t id;
	} entries[8];
};

#define U(perm)                                                                                    \
	{                                                                                          \
		ACL_USER_OBJ, perm, ACL_UNDEFINED_ID                                               \
	}
#define G(perm)                                                                                    \
	{                                                                                          \
		ACL_GROUP_OBJ, perm, ACL_UNDEFINED_ID                                              \
	}
#define O(perm)                                                                                    \
	{                                                                                          \
		ACL_OTHER, perm, ACL_UNDEFINED_ID                                                  \
	}
#define MASK(perm)                                                                                 \
	{                                                                                          \
		ACL_MASK, perm, ACL_UNDEFINED_ID                                                   \
	}
#define USER(id, perm)                                                                             \
	{                                                                                          \
		ACL_USER, perm, id                                                                 \
	}
#define GRP(id, perm)                                                                              \
	{                                                                                          \
		ACL_GROUP, perm, id                                                                \
	}

/* Owner, U1, group, mask, others. */
static const struct acl user_rw = { 5, { U(R | W), USER(U1, R | W), G(R), MASK(R | W), O(0) } };
static const struct acl group_rw = { 5, { U(R | W), G(0), GRP(G1, R | W), MASK(R | W), O(0) } };
static const struct acl all_rwx = { 5,
	{ U(R | W | X), USER(U1, R | W | X), G(R | X), MASK(R | W | X), O(0) } };

static size_t
encode(const struct acl *acl, uint8_t *blob)
{
	struct posix_acl_xattr_header head = { .a_version = POSIX_ACL_XATTR_VERSION };
	size_t len = sizeof(head);

	memcpy(blob, &head, sizeof(head));
	for (unsigned int i = 0; i < acl->nb; i++) {
		struct posix_acl_xattr_entry entry = {
			.e_tag = acl->entries[i].tag,
			.e_perm = acl->entries[i].perm,
			.e_id = acl->entries[i].id,
		};

		memcpy(blob + len, &entry, sizeof(entry));
		len += sizeof(entry);
	}
	return len;
}

static int
set(const char *path, const char *name, const struct acl *acl)
{
	uint8_t blob[256];

	return setxattr(path, name, blob, encode(acl, blob), 0);
}

static void
must_be(const char *path, const char *name, const struct acl *acl)
{
	uint8_t want[256], got[256];
	size_t len = encode(acl, want);

	EQ(len, getxattr(path, name, got, sizeof(got)));
	for (size_t i = 0; i < len; i++) {
		if (want[i] != got[i])
			FAIL("%s of %s: expected 0x%02x in entry %zu, got 0x%02x", name, path,
					want[i], (i - 4) / 8, got[i]);
	}
}

CHECK(is_kept)
{
	put("f", "", 0600);
	NEED(set("f", ACCESS, &user_rw));
	must_be("f", ACCESS, &user_rw);
	EQ(0660, MODE("f"));
	OK(removexattr("f", ACCESS));
	ERR(ENODATA, getxattr("f", ACCESS, NULL, 0));
}

CHECK(grants_a_user)
{
	put("f", "text", 0600);
	NEED(set("f", ACCESS, &user_rw));
	if (as(U1, G1)) {
		OK(open("f", O_RDWR));
		OK(access("f", R_OK | W_OK));
		ERR(EACCES, access("f", X_OK));
		done();
	}
	if (as(U2, G2)) {
		ERR(EACCES, open("f", O_RDONLY));
		done();
	}
}

CHECK(grants_a_group)
{
	put("f", "text", 0600);
	NEED(set("f", ACCESS, &group_rw));
	if (as(U2, G1)) {
		OK(open("f", O_RDWR));
		done();
	}
	if (as_member(U2, G2, G1)) {
		OK(open("f", O_RDWR));
		done();
	}
	if (as(U1, G2)) {
		ERR(EACCES, open("f", O_RDONLY));
		done();
	}
}

CHECK(denies_a_user_what_others_may)
{
	const struct acl acl = { 5, { U(R | W), USER(U1, 0), G(R), MASK(R), O(R) } };

	put("f", "text", 0644);
	NEED(set("f", ACCESS, &acl));
	if (as(U1, G1)) {
		ERR(EACCES, open("f", O_RDONLY));
		done();
	}
	if (as(U2, G2)) {
		OK(open("f", O_RDONLY));
		done();
	}
}

CHECK(mask_limits)
{
	const struct acl acl = { 5, { U(R | W), USER(U1, R | W), G(R | W), MASK(R), O(0) } };

	put("f", "text", 0600);
	NEED(set("f", ACCESS, &acl));
	EQ(0640, MODE("f"));
	if (as(U1, G1)) {
		OK(open("f", O_RDONLY));
		ERR(EACCES, open("f", O_WRONLY));
		done();
	}
	if (as(U2, 0)) {
		OK(open("f", O_RDONLY));
		ERR(EACCES, open("f", O_WRONLY));
		done();
	}
}

CHECK(chmod_changes_the_mask)
{
	const struct acl after = { 5, { U(R | W), USER(U1, R | W), G(R), MASK(R), O(R) } };

	put("f", "text", 0600);
	NEED(set("f", ACCESS, &user_rw));
	OK(chmod("f", 0644));
	EQ(0644, MODE("f"));
	must_be("f", ACCESS, &after);
	if (as(U1, G1)) {
		ERR(EACCES, open("f", O_WRONLY));
		done();
	}
	OK(chmod("f", 0664));
	if (as(U1, G1)) {
		OK(open("f", O_WRONLY));
		done();
	}
}

CHECK(without_names_is_the_mode)
{
	const struct acl acl = { 3, { U(R | W | X), G(R | X), O(X) } };

	put("f", "", 0600);
	NEED(set("f", ACCESS, &acl));
	EQ(0751, MODE("f"));
	ERR(ENODATA, getxattr("f", ACCESS, NULL, 0));
}

CHECK(keeps_setid_and_sticky_bits)
{
	put_dir("d", 03755);
	NEED(set("d", ACCESS, &all_rwx));
	EQ(03770, MODE("d"));
}

CHECK(clears_setgid_of_another_group)
{
	const struct acl acl = { 3, { U(R | W | X), G(R | X), O(X) } };

	put("f", "", 02755);
	OK(chown("f", U1, G2));
	OK(chmod("f", 02755));
	if (as(U1, G1)) {
		NEED(set("f", ACCESS, &acl));
		done();
	}
	EQ(0751, MODE("f"));
}

CHECK(is_the_owners)
{
	put("f", "", 0666);
	NEED(set("f", ACCESS, &user_rw));
	OK(chmod("f", 0666));
	if (as(U2, G2)) {
		ERR(EPERM, set("f", ACCESS, &group_rw));
		ERR(EPERM, removexattr("f", ACCESS));
		EQ(44, getxattr("f", ACCESS, NULL, 0));
		done();
	}
}

/* What is no ACL. */
static const struct {
	const char *name;
	struct acl acl;
} bad[] = {
	{ "without_owner", { 2, { G(R), O(R) } } },
	{ "without_mask", { 4, { U(R), USER(U1, R), G(R), O(R) } } },
	{ "unsorted", { 3, { O(R), G(R), U(R) } } },
	{ "twice_the_owner", { 4, { U(R), U(R), G(R), O(R) } } },
	{ "unknown_permission", { 3, { U(0x10), G(R), O(R) } } },
	{ "unknown_tag", { 4, { U(R), G(R), O(R), { 0x77, 4, 0 } } } },
};

static void
bad_label(unsigned int n, char *text, size_t len)
{
	snprintf(text, len, "%s", bad[n].name);
}

CHECKS(refuses, bad_label, RTE_DIM(bad))
{
	put("f", "", 0600);
	NEED(set("f", ACCESS, &user_rw));
	ERR(EINVAL, set("f", ACCESS, &bad[n].acl));
	must_be("f", ACCESS, &user_rw);
}

CHECK(refuses_other_versions)
{
	uint8_t blob[256];
	size_t len = encode(&user_rw, blob);

	put("f", "", 0600);
	NEED(set("f", ACCESS, &user_rw));
	blob[0] = 7;
	ERR2(EOPNOTSUPP, EINVAL, setxattr("f", ACCESS, blob, len, 0));
	blob[0] = POSIX_ACL_XATTR_VERSION;
	ERR(EINVAL, setxattr("f", ACCESS, blob, len - 3, 0));
}

CHECK(symlinks_have_none)
{
	uint8_t blob[256];
	size_t len = encode(&user_rw, blob);

	put("f", "", 0600);
	NEED(set("f", ACCESS, &user_rw));
	OK(symlink("f", "l"));
	ERR(EOPNOTSUPP, lsetxattr("l", ACCESS, blob, len, 0));
}

CHECK(default_is_for_directories)
{
	put("f", "", 0600);
	put_dir("d", 0755);
	NEED(set("d", DEFAULT, &user_rw));
	ERR2(EACCES, EPERM, set("f", DEFAULT, &user_rw));
	must_be("d", DEFAULT, &user_rw);
	/* It says nothing about the directory itself. */
	EQ(0755, MODE("d"));
	ERR(ENODATA, getxattr("d", ACCESS, NULL, 0));
	OK(removexattr("d", DEFAULT));
	ERR(ENODATA, getxattr("d", DEFAULT, NULL, 0));
}

CHECK(default_is_inherited_by_files)
{
	/* What the mode of creation has of the mask and of the others. */
	const struct acl inherited = { 5,
		{ U(R | W), USER(U1, R | W | X), G(R | X), MASK(R), O(0) } };

	put_dir("d", 0755);
	NEED(set("d", DEFAULT, &all_rwx));
	OK(open("d/f", O_CREAT | O_RDWR, 0644));
	must_be("d/f", ACCESS, &inherited);
	EQ(0640, MODE("d/f"));
	ERR2(ENODATA, EOPNOTSUPP, getxattr("d/f", DEFAULT, NULL, 0));
}

CHECK(default_is_inherited_by_directories)
{
	put_dir("d", 0755);
	NEED(set("d", DEFAULT, &all_rwx));
	OK(mkdir("d/e", 0777));
	must_be("d/e", ACCESS, &all_rwx);
	must_be("d/e", DEFAULT, &all_rwx);
	EQ(0770, MODE("d/e"));
	OK(mkdir("d/e/e", 0777));
	must_be("d/e/e", DEFAULT, &all_rwx);
}

CHECK(default_is_inherited_by_nodes)
{
	put_dir("d", 0755);
	NEED(set("d", DEFAULT, &all_rwx));
	OK(mkfifo("d/p", 0666));
	EQ(0660, MODE("d/p"));
	OK(mknod("d/f", S_IFREG | 0666, 0));
	EQ(0660, MODE("d/f"));
	OK(symlink("x", "d/l"));
	EQ(0777, MODE("d/l"));
}

CHECK(default_takes_the_place_of_umask)
{
	put_dir("d", 0755);
	NEED(set("d", DEFAULT, &all_rwx));
	umask(077);
	OK(open("d/f", O_CREAT | O_RDWR, 0666));
	EQ(0660, MODE("d/f"));
	OK(mkdir("d/e", 0777));
	EQ(0770, MODE("d/e"));
}

CHECK(umask_counts_without_default)
{
	put_dir("d", 0755);
	NEED(set("d", ACCESS, &all_rwx));
	umask(027);
	OK(open("d/f", O_CREAT | O_RDWR, 0666));
	EQ(0640, MODE("d/f"));
	OK(mkdir("d/e", 0777));
	EQ(0750, MODE("d/e"));
}

CHECK(default_without_names)
{
	const struct acl acl = { 3, { U(R | W | X), G(R | W | X), O(0) } };

	put_dir("d", 0755);
	NEED(set("d", DEFAULT, &acl));
	umask(077);
	OK(open("d/f", O_CREAT | O_RDWR, 0666));
	EQ(0660, MODE("d/f"));
	ERR(ENODATA, getxattr("d/f", ACCESS, NULL, 0));
	OK(mkdir("d/e", 0777));
	must_be("d/e", DEFAULT, &acl);
}

CHECK(inherited_by_a_user_works)
{
	put_dir("d", 0777);
	NEED(set("d", DEFAULT, &all_rwx));
	if (as(U2, G2)) {
		put("d/f", "text", 0660);
		done();
	}
	EQ(U2, stat_of("d/f").st_uid);
	if (as(U1, G1)) {
		CONTAINS("d/f", "text");
		OK(open("d/f", O_WRONLY));
		done();
	}
	if (as(U3, G3)) {
		ERR(EACCES, open("d/f", O_RDONLY));
		done();
	}
}

CHECK(directory_access)
{
	put_dir("d", 0700);
	NEED(set("d", ACCESS, &all_rwx));
	if (as(U1, G1)) {
		OK(open("d/f", O_CREAT | O_RDWR, 0644));
		EQ(1, count_names("d"));
		OK(unlink("d/f"));
		done();
	}
	if (as(U2, G2)) {
		ERR(EACCES, open("d", O_RDONLY));
		ERR(EACCES, open("d/g", O_CREAT | O_RDWR, 0644));
		done();
	}
}

CHECK(is_in_the_list)
{
	char list[256];
	ssize_t len;

	put("f", "", 0600);
	NEED(set("f", ACCESS, &user_rw));
	len = OK(listxattr("f", list, sizeof(list)));
	EQ((long)sizeof(ACCESS), len);
	STR_EQ(ACCESS, list);
}

CHECK(stays_over_rename_and_link)
{
	put("f", "", 0600);
	NEED(set("f", ACCESS, &user_rw));
	OK(link("f", "g"));
	OK(rename("f", "h"));
	must_be("g", ACCESS, &user_rw);
	must_be("h", ACCESS, &user_rw);
}

CHECK(chown_keeps_it)
{
	put("f", "", 0600);
	NEED(set("f", ACCESS, &user_rw));
	OK(chown("f", U3, G3));
	must_be("f", ACCESS, &user_rw);
	if (as(U3, G1)) {
		OK(open("f", O_RDWR));
		done();
	}
}
