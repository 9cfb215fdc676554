/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * POSIX ACLs as Linux has them: attributes in the form of linux/posix_acl_xattr.h, of which the
 * file's mode is a part, and a folder's default ACL, which replaces the umask of who makes a file in
 * it. Guests check permissions by them; here they are kept, and kept true to the mode.
 */

#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_byteorder.h>

#include "xattr.h"

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* The entries of an ACL that is one. */
struct acl {
	struct posix_acl_xattr_entry *entry;
	unsigned int nb;
};

bool
memfs_acl_is(const char *name)
{
	return strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0;
}

static unsigned int
acl_tag(const struct posix_acl_xattr_entry *e)
{
	return rte_le_to_cpu_16(e->e_tag);
}

/* One entry in its place: those of each tag together, in the order of the tags. */
static bool
acl_entry_is_good(const struct posix_acl_xattr_entry *e, unsigned int before)
{
	unsigned int tag = acl_tag(e);

	if ((rte_le_to_cpu_16(e->e_perm) & ~07) != 0)
		return false;
	switch (tag) {
	case ACL_USER_OBJ:
	case ACL_GROUP_OBJ:
	case ACL_MASK:
	case ACL_OTHER:
		return tag > before;
	case ACL_USER:
	case ACL_GROUP:
		return tag >= before && e->e_id != UINT32_MAX;
	default:
		return false;
	}
}

/* 0, or -EINVAL for what is no ACL. One without entries is one: that there is none. */
static int
acl_take(uint8_t *bytes, uint32_t len, struct acl *acl)
{
	const struct posix_acl_xattr_header *head = (const void *)bytes;
	unsigned int before = 0, seen = 0;

	if (len < sizeof(*head) || (len - sizeof(*head)) % sizeof(acl->entry[0]) != 0 ||
			rte_le_to_cpu_32(head->a_version) != POSIX_ACL_XATTR_VERSION)
		return -EINVAL;
	acl->entry = (void *)(bytes + sizeof(*head));
	acl->nb = (unsigned int)((len - sizeof(*head)) / sizeof(acl->entry[0]));
	if (acl->nb == 0)
		return 0;
	for (unsigned int i = 0; i < acl->nb; i++) {
		if (!acl_entry_is_good(&acl->entry[i], before))
			return -EINVAL;
		before = acl_tag(&acl->entry[i]);
		seen |= before;
	}
	if ((seen & ACL_USER_OBJ) == 0 || (seen & ACL_GROUP_OBJ) == 0 || (seen & ACL_OTHER) == 0)
		return -EINVAL;
	return (seen & (ACL_USER | ACL_GROUP)) != 0 && (seen & ACL_MASK) == 0 ? -EINVAL : 0;
}

/* The entry that stands for the mode's bits of the group: the mask, or else the group's own. */
static struct posix_acl_xattr_entry *
acl_group_class(const struct acl *acl)
{
	struct posix_acl_xattr_entry *group = NULL;

	for (unsigned int i = 0; i < acl->nb; i++) {
		if (acl_tag(&acl->entry[i]) == ACL_MASK)
			return &acl->entry[i];
		if (acl_tag(&acl->entry[i]) == ACL_GROUP_OBJ)
			group = &acl->entry[i];
	}
	return group;
}

/* Visits the three entries that are part of the mode, the owner's first. */
static void
acl_classes(const struct acl *acl, struct posix_acl_xattr_entry *class[3])
{
	class[0] = &acl->entry[0];
	class[1] = acl_group_class(acl);
	class[2] = &acl->entry[acl->nb - 1];
}

/* The mode's permission bits that an ACL says. */
static uint32_t
acl_mode(const struct acl *acl)
{
	struct posix_acl_xattr_entry *class[3];
	uint32_t mode = 0;

	acl_classes(acl, class);
	for (unsigned int i = 0; i < 3; i++)
		mode = mode << 3 | rte_le_to_cpu_16(class[i] -> e_perm);
	return mode;
}

static void
acl_set_mode(const struct acl *acl, uint32_t mode)
{
	struct posix_acl_xattr_entry *class[3];

	acl_classes(acl, class);
	for (unsigned int i = 0; i < 3; i++)
		class[i]->e_perm = rte_cpu_to_le_16((uint16_t)(mode >> (6 - 3 * i) & 07));
}

/* Keeps an ACL, unless the mode says all that it does: three entries. */
static int
acl_store(struct memfs *fs, uint32_t ino, const struct acl *acl, uint32_t len)
{
	if (acl->nb > 3)
		return memfs_xattr_put(fs, ino, ACL_ACCESS, fs->scratch->value, len, 0);
	memfs_xattr_remove(fs, ino, ACL_ACCESS);
	return 0;
}

/* Whether there was one before is not asked, whatever the flags say: Linux does not either. */
int
memfs_acl_set(struct memfs *fs, uint32_t ino, const char *name, uint32_t len, uint32_t flags)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);
	struct acl acl;
	int rc;

	if (S_ISLNK(inode->mode))
		return -EOPNOTSUPP;
	rc = acl_take(fs->scratch->value, len, &acl);
	if (rc < 0)
		return rc;
	if (strcmp(name, ACL_DEFAULT) == 0) {
		if (acl.nb > 0 && !S_ISDIR(inode->mode))
			return -EACCES;
		if (acl.nb > 0)
			return memfs_xattr_put(fs, ino, name, fs->scratch->value, len, 0);
		memfs_xattr_remove(fs, ino, name);
		return 0;
	}
	rc = acl_store(fs, ino, &acl, len);
	if (rc < 0)
		return rc;
	if (acl.nb > 0)
		inode->mode = (inode->mode & ~0777u) | acl_mode(&acl);
	if ((flags & WEIR_XATTR_KILL_SGID) != 0)
		inode->mode &= ~(uint32_t)S_ISGID;
	inode->ctime = memfs_now();
	return 0;
}

/* An ACL that is stored, copied to where it may be changed. False: there is none. */
static bool
acl_load(struct memfs *fs, uint32_t ino, const char *name, struct acl *acl, uint32_t *len)
{
	const uint8_t *value;
	int rc = memfs_xattr_find(fs, ino, name, &value);

	if (rc < 0)
		return false;
	*len = (uint32_t)rc;
	memcpy(fs->scratch->value, value, *len);
	return acl_take(fs->scratch->value, *len, acl) == 0 && acl->nb > 0;
}

int
memfs_acl_access(struct memfs *fs, uint32_t ino, const struct weir_cred *cred, uint32_t mask)
{
	const struct memfs_inode *inode = memfs_inode(fs, ino);
	const struct posix_acl_xattr_entry *e;
	uint32_t len, granted, most;
	bool member = false;
	struct acl acl;

	if (inode->xattrs == 0 || !acl_load(fs, ino, ACL_ACCESS, &acl, &len))
		return -ENODATA;
	/* Without a mask the group's own entry is the only one that this bounds. */
	most = rte_le_to_cpu_16(acl_group_class(&acl)->e_perm);
	/* The last one is that of all others. */
	for (e = acl.entry; acl_tag(e) != ACL_OTHER; e++) {
		granted = rte_le_to_cpu_16(e->e_perm);
		switch (acl_tag(e)) {
		case ACL_USER_OBJ:
			if (cred->uid == inode->uid)
				return (mask & ~granted) != 0 ? -EACCES : 0;
			break;
		case ACL_USER:
			if (cred->uid == rte_le_to_cpu_32(e->e_id))
				return (mask & ~(granted & most)) != 0 ? -EACCES : 0;
			break;
		case ACL_GROUP_OBJ:
		case ACL_GROUP:
			if (!memfs_cred_is_in(cred,
					    acl_tag(e) == ACL_GROUP ? rte_le_to_cpu_32(e->e_id) :
								      inode->gid))
				break;
			if ((mask & ~(granted & most)) == 0)
				return 0;
			member = true;
			break;
		}
	}
	return member || (mask & ~rte_le_to_cpu_16(e->e_perm)) != 0 ? -EACCES : 0;
}

void
memfs_acl_chmod(struct memfs *fs, uint32_t ino)
{
	struct acl acl;
	uint32_t len;

	if (!acl_load(fs, ino, ACL_ACCESS, &acl, &len))
		return;
	acl_set_mode(&acl, memfs_inode(fs, ino)->mode);
	/* It stays as long as it was, so there is space for it. */
	memfs_xattr_put(fs, ino, ACL_ACCESS, fs->scratch->value, len, 0);
}

int
memfs_acl_inherit(struct memfs *fs, uint32_t dir, uint32_t ino, uint32_t umask)
{
	struct memfs_inode *inode = memfs_inode(fs, ino);
	struct acl acl;
	uint32_t len, mode;
	int rc = 0;

	if (memfs_inode(fs, dir)->xattrs_len == 0 || !acl_load(fs, dir, ACL_DEFAULT, &acl, &len)) {
		inode->mode &= ~umask;
		return 0;
	}
	if (S_ISDIR(inode->mode))
		rc = memfs_xattr_put(fs, ino, ACL_DEFAULT, fs->scratch->value, len, 0);
	/* What both the ACL and the caller allow. */
	mode = inode->mode & acl_mode(&acl);
	acl_set_mode(&acl, mode);
	inode->mode = (inode->mode & ~0777u) | mode;
	return rc < 0 ? rc : acl_store(fs, ino, &acl, len);
}
