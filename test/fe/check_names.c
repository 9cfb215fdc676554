/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

/* What becomes of names: directories, links, renames. */

/* Entries seen in one listing of names "f00000" to "fNNNNN". */
struct listing {
	struct check *check;
	uint8_t *seen;
	unsigned int nb;
	unsigned int dots;
	unsigned int bad; /**< names that nobody made, or twice */
};

static int
listing_add(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	struct listing *listing = arg;
	char name[16] = "";
	unsigned int i;

	if (entry != NULL && entry->nodeid != 0)
		fe_forget(listing->check->fs, entry->nodeid, 1);
	if (dirent->name[0] == '.') {
		listing->dots++;
		return 0;
	}
	if (dirent->namelen < sizeof(name))
		memcpy(name, dirent->name, dirent->namelen);
	if (sscanf(name, "f%5u", &i) != 1 || i >= listing->nb || listing->seen[i]++ > 0)
		listing->bad++;
	/* A node id of 0 says that there are no attributes: the guest will look the name up. */
	if (entry != NULL && entry->nodeid != 0 && !S_ISREG(entry->attr.mode))
		listing->bad++;
	return 0;
}

static int
listing_run(struct check *c, struct listing *listing, enum fe_readdir_kind kind, uint32_t size)
{
	unsigned int i;
	uint64_t fh;
	int rc;

	memset(listing->seen, 0, listing->nb);
	listing->dots = 0;
	listing->bad = 0;
	EXPECT_RC(c, 0, fe_opendir(c->q, c->dir, &fh));
	rc = fe_readdir(c->q, c->dir, fh, kind, size, listing_add, listing);
	EXPECT_RC(c, 0, fe_releasedir(c->q, c->dir, fh));
	EXPECT(c, rc >= 0);
	EXPECT_RC(c, 0, listing->bad);
	EXPECT(c, listing->dots == 2);
	for (i = 0; i < listing->nb; i++)
		EXPECT(c, listing->seen[i] == 1);
	return 0;
}

static int
names_large_directory(struct check *c)
{
	struct listing listing = { .check = c, .nb = c->cli->entries };
	struct fuse_entry_out entry;
	uint64_t fh;
	char name[16];
	unsigned int i;
	int rc;

	for (i = 0; i < listing.nb; i++) {
		snprintf(name, sizeof(name), "f%05u", i);
		EXPECT_RC(c, 0, check_create(c, name, &entry, &fh));
		EXPECT_RC(c, 0, check_close(c, &entry, fh));
	}

	listing.seen = malloc(listing.nb);
	EXPECT(c, listing.seen != NULL);
	rc = listing_run(c, &listing, FE_READDIR, 32768);
	if (rc == 0)
		rc = listing_run(c, &listing, FE_READDIR, 4096);
	if (rc == 0 && (c->fs->init.flags & FUSE_DO_READDIRPLUS))
		rc = listing_run(c, &listing, FE_READDIRPLUS, 32768);
	free(listing.seen);
	return rc;
}

struct offsets {
	unsigned int nb;
	uint64_t ino[8];
	char first[16];
};

static int
offsets_add(void *arg, const struct fuse_dirent *dirent, const struct fuse_entry_out *entry)
{
	struct offsets *offsets = arg;

	if (dirent->name[0] != '.')
		offsets->nb++;
	return 0;
}

/* An open directory handle is read again from its start, as rewinddir does. */
static int
names_rewind(struct check *c)
{
	struct offsets offsets = { 0 };
	struct fuse_entry_out entry;
	uint64_t fh, dh;

	EXPECT_RC(c, 0, check_create(c, "one", &entry, &fh));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	EXPECT_RC(c, 0, fe_opendir(c->q, c->dir, &dh));
	EXPECT_RC(c, 3, fe_readdir(c->q, c->dir, dh, FE_READDIR, 4096, offsets_add, &offsets));
	EXPECT_RC(c, 0, check_create(c, "two", &entry, &fh));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	offsets.nb = 0;
	EXPECT_RC(c, 4, fe_readdir(c->q, c->dir, dh, FE_READDIR, 4096, offsets_add, &offsets));
	EXPECT(c, offsets.nb == 2);
	EXPECT_RC(c, 0, fe_releasedir(c->q, c->dir, dh));
	return 0;
}

static int
names_lookup(struct check *c)
{
	struct fuse_entry_out entry, again;
	uint64_t fh;

	EXPECT_RC(c, -ENOENT, fe_lookup(c->q, c->dir, "none", &entry));
	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 0, fe_lookup(c->q, c->dir, "file", &again));
	EXPECT(c, again.nodeid == entry.nodeid && again.generation == entry.generation);
	EXPECT(c, again.attr.ino == entry.attr.ino);
	EXPECT_RC(c, -ENOTDIR, fe_lookup(c->q, entry.nodeid, "below", &again));
	fe_forget(c->fs, entry.nodeid, 1);
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
names_exclusive(struct check *c)
{
	struct fuse_entry_out entry, other;
	uint64_t fh, second;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, -EEXIST,
			fe_create(c->q, c->dir, "file", O_RDWR | O_CREAT | O_EXCL, S_IFREG | 0644,
					&other, &second));
	EXPECT_RC(c, -EEXIST, fe_mkdir(c->q, c->dir, "file", 0755, &other));
	EXPECT_RC(c, -EEXIST, fe_symlink(c->q, c->dir, "file", "x", &other));
	EXPECT_RC(c, -EEXIST, fe_mknod(c->q, c->dir, "file", S_IFREG | 0644, 0, &other));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

/* A name that another guest removed in between. */
static int
names_missing(struct check *c)
{
	EXPECT_RC(c, -ENOENT, fe_unlink(c->q, c->dir, "none"));
	EXPECT_RC(c, -ENOENT, fe_rmdir(c->q, c->dir, "none"));
	EXPECT_RC(c, -ENOENT, fe_rename(c->q, c->dir, "none", c->dir, "name"));
	return 0;
}

/* Two guests may create the same name at the same time: the later one opens it. */
static int
names_create_existing(struct check *c)
{
	struct fuse_entry_out entry, other;
	uint64_t fh, second;

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 3, fe_write(c->q, entry.nodeid, fh, "abc", 3, 0));
	EXPECT_RC(c, 0, check_create(c, "file", &other, &second));
	EXPECT(c, other.nodeid == entry.nodeid && other.attr.size == 3);
	EXPECT_RC(c, 0, check_close(c, &other, second));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
names_255_bytes(struct check *c)
{
	struct fuse_entry_out entry;
	char name[257];
	uint64_t fh;

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	EXPECT_RC(c, 0, check_create(c, name, &entry, &fh));
	EXPECT_RC(c, 0, fe_rename(c->q, c->dir, name, c->dir, "short"));
	EXPECT_RC(c, 0, fe_rename(c->q, c->dir, "short", c->dir, name));
	EXPECT_RC(c, 0, fe_unlink(c->q, c->dir, name));
	EXPECT_RC(c, 0, check_close(c, &entry, fh));

	name[255] = 'n';
	name[256] = '\0';
	EXPECT_RC(c, -ENAMETOOLONG, fe_lookup(c->q, c->dir, name, &entry));
	EXPECT_RC(c, -ENAMETOOLONG, fe_mkdir(c->q, c->dir, name, 0755, &entry));
	return 0;
}

/* Names are bytes: anything but '/' and NUL. */
static int
names_any_byte(struct check *c)
{
	struct fuse_entry_out entry;
	char name[] = "?";
	unsigned int i;

	for (i = 1; i < 256; i++) {
		if (i == '/' || i == '.')
			continue;
		name[0] = (char)i;
		EXPECT_RC(c, 0, fe_mkdir(c->q, c->dir, name, 0755, &entry));
		EXPECT_RC(c, 0, fe_rmdir(c->q, c->dir, name));
		fe_forget(c->fs, entry.nodeid, 1);
	}
	return 0;
}

static int
names_directories(struct check *c)
{
	struct fuse_entry_out dir, sub, entry;
	struct fuse_attr attr;

	EXPECT_RC(c, 0, fe_mkdir(c->q, c->dir, "dir", 0755, &dir));
	EXPECT(c, S_ISDIR(dir.attr.mode));
	EXPECT_RC(c, 0, fe_mkdir(c->q, dir.nodeid, "sub", 0700, &sub));
	EXPECT_RC(c, 0, fe_getattr(c->q, dir.nodeid, &attr));
	EXPECT(c, S_ISDIR(attr.mode) && (attr.nlink == 3 || attr.nlink == 1));
	EXPECT_RC(c, -ENOTEMPTY, fe_rmdir(c->q, c->dir, "dir"));
	EXPECT_RC(c, -EISDIR, fe_unlink(c->q, c->dir, "dir"));
	EXPECT_RC(c, 0, fe_mknod(c->q, dir.nodeid, "file", S_IFREG | 0600, 0, &entry));
	EXPECT_RC(c, -ENOTDIR, fe_rmdir(c->q, dir.nodeid, "file"));
	EXPECT_RC(c, 0, fe_unlink(c->q, dir.nodeid, "file"));
	EXPECT_RC(c, 0, fe_rmdir(c->q, dir.nodeid, "sub"));
	EXPECT_RC(c, 0, fe_rmdir(c->q, c->dir, "dir"));
	EXPECT_RC(c, -ENOENT, fe_lookup(c->q, c->dir, "dir", &entry));
	return 0;
}

static int
names_symlinks(struct check *c)
{
	struct fuse_entry_out link, entry;
	char target[4096], buf[4097];
	uint64_t fh;

	EXPECT_RC(c, 0, fe_symlink(c->q, c->dir, "link", "/etc/passwd", &link));
	EXPECT(c, S_ISLNK(link.attr.mode) && link.attr.size == 11);
	EXPECT_RC(c, 11, fe_readlink(c->q, link.nodeid, buf, sizeof(buf)));
	EXPECT(c, strcmp(buf, "/etc/passwd") == 0);
	EXPECT_RC(c, 0, fe_lookup(c->q, c->dir, "link", &entry));
	EXPECT(c, entry.nodeid == link.nodeid && S_ISLNK(entry.attr.mode));
	/* A link is followed by the guest, never by the server: that would leave the folder. */
	EXPECT(c, fe_open(c->q, link.nodeid, O_RDONLY, &fh) < 0);
	EXPECT_RC(c, -ENOTDIR, fe_lookup(c->q, link.nodeid, "x", &entry));

	memset(target, 't', sizeof(target));
	target[4095] = '\0';
	EXPECT_RC(c, 0, fe_symlink(c->q, c->dir, "long", target, &link));
	EXPECT_RC(c, 4095, fe_readlink(c->q, link.nodeid, buf, sizeof(buf)));
	EXPECT(c, strcmp(buf, target) == 0);
	return 0;
}

static int
names_hard_links(struct check *c)
{
	struct fuse_entry_out entry, link;
	struct fuse_attr attr;
	uint64_t fh;
	char buf[4];

	EXPECT_RC(c, 0, check_create(c, "file", &entry, &fh));
	EXPECT_RC(c, 3, fe_write(c->q, entry.nodeid, fh, "abc", 3, 0));
	EXPECT_RC(c, 0, fe_link(c->q, entry.nodeid, c->dir, "link", &link));
	EXPECT(c, link.nodeid == entry.nodeid && link.attr.nlink == 2);
	EXPECT_RC(c, -EEXIST, fe_link(c->q, entry.nodeid, c->dir, "link", &link));
	EXPECT_RC(c, 0, fe_unlink(c->q, c->dir, "file"));
	EXPECT_RC(c, 0, fe_getattr(c->q, entry.nodeid, &attr));
	EXPECT(c, attr.nlink == 1);
	EXPECT_RC(c, 3, fe_read(c->q, entry.nodeid, fh, buf, sizeof(buf), 0));
	EXPECT_RC(c, 0, fe_lookup(c->q, c->dir, "link", &link));
	EXPECT(c, link.nodeid == entry.nodeid);
	fe_forget(c->fs, entry.nodeid, 2);
	EXPECT_RC(c, 0, check_close(c, &entry, fh));
	return 0;
}

static int
names_rename(struct check *c)
{
	struct fuse_entry_out file, other, dir, entry;
	struct fuse_attr attr;
	uint64_t fh, other_fh;

	EXPECT_RC(c, 0, check_create(c, "file", &file, &fh));
	EXPECT_RC(c, 0, check_create(c, "other", &other, &other_fh));
	EXPECT_RC(c, 0, fe_mkdir(c->q, c->dir, "dir", 0755, &dir));

	EXPECT_RC(c, 0, fe_rename(c->q, c->dir, "file", dir.nodeid, "moved"));
	EXPECT_RC(c, -ENOENT, fe_lookup(c->q, c->dir, "file", &entry));
	EXPECT_RC(c, 0, fe_lookup(c->q, dir.nodeid, "moved", &entry));
	EXPECT(c, entry.nodeid == file.nodeid);
	/* The node is the file, wherever its name went. */
	EXPECT_RC(c, 1, fe_write(c->q, file.nodeid, fh, "x", 1, 0));

	EXPECT_RC(c, 0, fe_rename(c->q, dir.nodeid, "moved", c->dir, "other"));
	EXPECT_RC(c, 0, fe_lookup(c->q, c->dir, "other", &entry));
	EXPECT(c, entry.nodeid == file.nodeid);
	EXPECT_RC(c, 0, fe_getattr(c->q, other.nodeid, &attr));
	EXPECT(c, attr.nlink == 0);

	EXPECT_RC(c, -EISDIR, fe_rename(c->q, c->dir, "other", c->dir, "dir"));
	EXPECT_RC(c, -ENOTDIR, fe_rename(c->q, c->dir, "dir", c->dir, "other"));
	EXPECT_RC(c, -EINVAL, fe_rename(c->q, c->dir, "dir", dir.nodeid, "inside"));
	fe_forget(c->fs, file.nodeid, 2);
	EXPECT_RC(c, 0, check_close(c, &other, other_fh));
	EXPECT_RC(c, 0, check_close(c, &file, fh));
	return 0;
}

static int
names_rename2(struct check *c)
{
	struct fuse_entry_out a, b, entry;
	uint64_t fh;

	EXPECT_RC(c, 0, check_create(c, "a", &a, &fh));
	EXPECT_RC(c, 0, fe_release(c->q, a.nodeid, fh));
	EXPECT_RC(c, 0, fe_mkdir(c->q, c->dir, "b", 0755, &b));
	EXPECT_RC(c, -EEXIST, fe_rename2(c->q, c->dir, "a", c->dir, "b", 1));
	EXPECT_RC(c, 0, fe_rename2(c->q, c->dir, "a", c->dir, "c", 1));
	EXPECT_RC(c, 0, fe_rename2(c->q, c->dir, "c", c->dir, "b", 2));
	EXPECT_RC(c, 0, fe_lookup(c->q, c->dir, "b", &entry));
	EXPECT(c, entry.nodeid == a.nodeid);
	EXPECT_RC(c, 0, fe_lookup(c->q, c->dir, "c", &entry));
	EXPECT(c, entry.nodeid == b.nodeid);
	fe_forget(c->fs, a.nodeid, 2);
	fe_forget(c->fs, b.nodeid, 2);
	return 0;
}

/* Linux never sends these names; whoever does must not get out of the folder. */
static int
names_no_escape(struct check *c)
{
	static const char *const names[] = { "../x", "a/b", "/etc", "..", ".", "" };
	struct fuse_entry_out entry;
	struct fuse_attr root;
	size_t i;
	int rc;

	EXPECT_RC(c, 0, fe_getattr(c->q, FE_ROOT, &root));
	rc = fe_lookup(c->q, FE_ROOT, "..", &entry);
	EXPECT(c, rc < 0 || entry.attr.ino == root.ino);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		EXPECT(c, fe_mkdir(c->q, c->dir, names[i], 0755, &entry) < 0);
		EXPECT(c, fe_rmdir(c->q, c->dir, names[i]) < 0);
		EXPECT(c, fe_unlink(c->q, c->dir, names[i]) < 0);
		EXPECT(c, fe_symlink(c->q, c->dir, names[i], "t", &entry) < 0);
	}
	for (i = 0; i < 3; i++)
		EXPECT(c, fe_lookup(c->q, c->dir, names[i], &entry) < 0);
	return 0;
}

const struct check_case check_name_cases[] = {
	{ "names-lookup", names_lookup },
	{ "names-exclusive", names_exclusive },
	{ "names-missing", names_missing },
	{ "names-create-existing", names_create_existing },
	{ "names-255-bytes", names_255_bytes },
	{ "names-any-byte", names_any_byte },
	{ "names-directories", names_directories },
	{ "names-symlinks", names_symlinks },
	{ "names-hard-links", names_hard_links },
	{ "names-rename", names_rename },
	{ "names-rename2", names_rename2 },
	{ "names-no-escape", names_no_escape },
	{ "names-rewind", names_rewind },
	{ "names-large-directory", names_large_directory },
	{ NULL, NULL },
};
