/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>

#include "nfs3_xdr.h"

/* The most that precedes the data in the results of READ: status, attributes, count, eof, length. */
#define ATTR_BYTES    84
#define READ_HEAD_MAX (4 + 4 + ATTR_BYTES + 4 + 4 + 4)

static int
dec_rc(const struct weir_xdr_dec *dec)
{
	return dec->failed ? -EBADMSG : 0;
}

void
nfs3_put_fh(struct weir_xdr_enc *enc, const struct nfs3_fh *fh)
{
	weir_xdr_put_opaque(enc, fh->data, fh->len);
}

static void
put_string(struct weir_xdr_enc *enc, const char *text)
{
	weir_xdr_put_opaque(enc, text, (uint32_t)strlen(text));
}

void
nfs3_put_name(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name)
{
	nfs3_put_fh(enc, dir);
	put_string(enc, name);
}

static void
put_optional(struct weir_xdr_enc *enc, bool set, uint32_t value)
{
	weir_xdr_put_u32(enc, set);
	if (set)
		weir_xdr_put_u32(enc, value);
}

static void
put_time(struct weir_xdr_enc *enc, enum nfs3_time_how how, const struct nfs3_time *when)
{
	weir_xdr_put_u32(enc, how);
	if (how == NFS3_TIME_CLIENT) {
		weir_xdr_put_u32(enc, when->sec);
		weir_xdr_put_u32(enc, when->nsec);
	}
}

static void
put_sattr(struct weir_xdr_enc *enc, const struct nfs3_sattr *sattr)
{
	put_optional(enc, sattr->set_mode, sattr->mode);
	put_optional(enc, sattr->set_uid, sattr->uid);
	put_optional(enc, sattr->set_gid, sattr->gid);
	weir_xdr_put_u32(enc, sattr->set_size);
	if (sattr->set_size)
		weir_xdr_put_u64(enc, sattr->size);
	put_time(enc, sattr->atime_how, &sattr->atime);
	put_time(enc, sattr->mtime_how, &sattr->mtime);
}

void
nfs3_put_setattr(struct weir_xdr_enc *enc, const struct nfs3_fh *fh, const struct nfs3_sattr *sattr)
{
	nfs3_put_fh(enc, fh);
	put_sattr(enc, sattr);
	/* No guard: whatever its ctime is. */
	weir_xdr_put_u32(enc, false);
}

void
nfs3_put_access(struct weir_xdr_enc *enc, const struct nfs3_fh *fh, uint32_t mask)
{
	nfs3_put_fh(enc, fh);
	weir_xdr_put_u32(enc, mask);
}

void
nfs3_put_read(struct weir_xdr_enc *enc, const struct nfs3_fh *fh, uint64_t off, uint32_t count)
{
	nfs3_put_fh(enc, fh);
	weir_xdr_put_u64(enc, off);
	weir_xdr_put_u32(enc, count);
}

void
nfs3_put_write(struct weir_xdr_enc *enc, const struct nfs3_fh *fh, uint64_t off, uint32_t count,
		enum nfs3_stable stable)
{
	nfs3_put_fh(enc, fh);
	weir_xdr_put_u64(enc, off);
	weir_xdr_put_u32(enc, count);
	weir_xdr_put_u32(enc, stable);
	weir_xdr_put_u32(enc, count);
}

void
nfs3_put_create(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		enum nfs3_create_how how, const struct nfs3_sattr *sattr)
{
	nfs3_put_name(enc, dir, name);
	weir_xdr_put_u32(enc, how);
	put_sattr(enc, sattr);
}

void
nfs3_put_create_exclusive(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		uint64_t verifier)
{
	nfs3_put_name(enc, dir, name);
	weir_xdr_put_u32(enc, NFS3_EXCLUSIVE);
	weir_xdr_put_u64(enc, verifier);
}

void
nfs3_put_mkdir(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		const struct nfs3_sattr *sattr)
{
	nfs3_put_name(enc, dir, name);
	put_sattr(enc, sattr);
}

void
nfs3_put_symlink(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		const struct nfs3_sattr *sattr, const char *target)
{
	nfs3_put_name(enc, dir, name);
	put_sattr(enc, sattr);
	put_string(enc, target);
}

void
nfs3_put_mknod(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		enum nfs3_type type, const struct nfs3_sattr *sattr, uint32_t major, uint32_t minor)
{
	nfs3_put_name(enc, dir, name);
	weir_xdr_put_u32(enc, type);
	put_sattr(enc, sattr);
	if (type == NFS3_CHR || type == NFS3_BLK) {
		weir_xdr_put_u32(enc, major);
		weir_xdr_put_u32(enc, minor);
	}
}

void
nfs3_put_rename(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		const struct nfs3_fh *newdir, const char *newname)
{
	nfs3_put_name(enc, dir, name);
	nfs3_put_name(enc, newdir, newname);
}

void
nfs3_put_link(struct weir_xdr_enc *enc, const struct nfs3_fh *fh, const struct nfs3_fh *dir,
		const char *name)
{
	nfs3_put_fh(enc, fh);
	nfs3_put_name(enc, dir, name);
}

void
nfs3_put_readdir(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, uint64_t cookie,
		uint64_t verifier, uint32_t count)
{
	nfs3_put_fh(enc, dir);
	weir_xdr_put_u64(enc, cookie);
	weir_xdr_put_u64(enc, verifier);
	weir_xdr_put_u32(enc, count);
}

void
nfs3_put_readdirplus(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, uint64_t cookie,
		uint64_t verifier, uint32_t dircount, uint32_t maxcount)
{
	nfs3_put_readdir(enc, dir, cookie, verifier, dircount);
	weir_xdr_put_u32(enc, maxcount);
}

void
nfs3_put_commit(struct weir_xdr_enc *enc, const struct nfs3_fh *fh)
{
	nfs3_put_read(enc, fh, 0, 0);
}

static void
get_fh(struct weir_xdr_dec *dec, struct nfs3_fh *fh)
{
	uint32_t len;
	const uint8_t *data = weir_xdr_get_opaque(dec, NFS3_FH_MAX, &len);

	if (data == NULL)
		return;
	fh->len = (uint8_t)len;
	memcpy(fh->data, data, len);
}

static void
get_time(struct weir_xdr_dec *dec, struct nfs3_time *when)
{
	when->sec = weir_xdr_get_u32(dec);
	when->nsec = weir_xdr_get_u32(dec);
}

int
nfs3_get_getattr(struct weir_xdr_dec *dec, struct nfs3_attr *attr)
{
	attr->type = weir_xdr_get_u32(dec);
	attr->mode = weir_xdr_get_u32(dec);
	attr->nlink = weir_xdr_get_u32(dec);
	attr->uid = weir_xdr_get_u32(dec);
	attr->gid = weir_xdr_get_u32(dec);
	attr->size = weir_xdr_get_u64(dec);
	attr->used = weir_xdr_get_u64(dec);
	attr->major = weir_xdr_get_u32(dec);
	attr->minor = weir_xdr_get_u32(dec);
	attr->fsid = weir_xdr_get_u64(dec);
	attr->fileid = weir_xdr_get_u64(dec);
	get_time(dec, &attr->atime);
	get_time(dec, &attr->mtime);
	get_time(dec, &attr->ctime);
	if (attr->type < NFS3_REG || attr->type > NFS3_FIFO)
		dec->failed = true;
	return dec_rc(dec);
}

static void
get_post_attr(struct weir_xdr_dec *dec, struct nfs3_post_attr *post)
{
	post->there = weir_xdr_get_bool(dec);
	if (post->there)
		nfs3_get_getattr(dec, &post->attr);
}

int
nfs3_get_wcc(struct weir_xdr_dec *dec, struct nfs3_post_attr *attr)
{
	/* What it was before: size, mtime and ctime. */
	if (weir_xdr_get_bool(dec))
		weir_xdr_get_fixed(dec, 24);
	get_post_attr(dec, attr);
	return dec_rc(dec);
}

int
nfs3_get_lookup(struct weir_xdr_dec *dec, struct nfs3_obj *obj)
{
	struct nfs3_post_attr dir;

	obj->has_fh = true;
	get_fh(dec, &obj->fh);
	get_post_attr(dec, &obj->attr);
	get_post_attr(dec, &dir);
	return dec_rc(dec);
}

int
nfs3_get_access(struct weir_xdr_dec *dec, struct nfs3_access_res *res)
{
	get_post_attr(dec, &res->attr);
	res->access = weir_xdr_get_u32(dec);
	return dec_rc(dec);
}

int
nfs3_get_readlink(struct weir_xdr_dec *dec, struct nfs3_readlink_res *res)
{
	get_post_attr(dec, &res->attr);
	res->target = (const char *)weir_xdr_get_opaque(dec, NFS3_PATH_MAX, &res->len);
	return dec_rc(dec);
}

int
nfs3_get_read(struct weir_xdr_dec *dec, struct nfs3_read_res *res)
{
	/* The guest is not told attributes with data. */
	if (weir_xdr_get_bool(dec))
		weir_xdr_get_fixed(dec, ATTR_BYTES);
	res->count = weir_xdr_get_u32(dec);
	res->eof = weir_xdr_get_bool(dec);
	res->len = weir_xdr_get_u32(dec);
	return dec_rc(dec);
}

int
nfs3_get_write(struct weir_xdr_dec *dec, struct nfs3_write_res *res)
{
	nfs3_get_wcc(dec, &res->attr);
	res->count = weir_xdr_get_u32(dec);
	res->committed = weir_xdr_get_u32(dec);
	res->verifier = weir_xdr_get_u64(dec);
	if (res->committed > NFS3_FILE_SYNC)
		dec->failed = true;
	return dec_rc(dec);
}

/* A handle, if the server likes. */
static void
get_post_fh(struct weir_xdr_dec *dec, struct nfs3_obj *obj)
{
	obj->has_fh = weir_xdr_get_bool(dec);
	if (obj->has_fh)
		get_fh(dec, &obj->fh);
}

int
nfs3_get_create(struct weir_xdr_dec *dec, struct nfs3_obj *obj)
{
	struct nfs3_post_attr dir;

	get_post_fh(dec, obj);
	get_post_attr(dec, &obj->attr);
	return nfs3_get_wcc(dec, &dir);
}

int
nfs3_get_link(struct weir_xdr_dec *dec, struct nfs3_post_attr *attr)
{
	struct nfs3_post_attr dir;

	get_post_attr(dec, attr);
	return nfs3_get_wcc(dec, &dir);
}

int
nfs3_get_readdir(struct weir_xdr_dec *dec, struct nfs3_readdir_res *res)
{
	get_post_attr(dec, &res->attr);
	res->verifier = weir_xdr_get_u64(dec);
	return dec_rc(dec);
}

int
nfs3_get_entry(struct weir_xdr_dec *dec, bool plus, struct nfs3_entry *entry, bool *eof)
{
	if (!weir_xdr_get_bool(dec)) {
		*eof = weir_xdr_get_bool(dec);
		return dec_rc(dec);
	}
	entry->fileid = weir_xdr_get_u64(dec);
	/* Longer names are not wrong, but no guest can have them: its owner leaves the entry out. */
	entry->name = (const char *)weir_xdr_get_opaque(dec, NFS3_PATH_MAX, &entry->name_len);
	entry->cookie = weir_xdr_get_u64(dec);
	entry->obj.has_fh = false;
	entry->obj.attr.there = false;
	if (plus) {
		get_post_attr(dec, &entry->obj.attr);
		get_post_fh(dec, &entry->obj);
	}
	return dec->failed ? -EBADMSG : 1;
}

int
nfs3_get_fsstat(struct weir_xdr_dec *dec, struct nfs3_fsstat_res *res)
{
	get_post_attr(dec, &res->attr);
	res->tbytes = weir_xdr_get_u64(dec);
	res->fbytes = weir_xdr_get_u64(dec);
	res->abytes = weir_xdr_get_u64(dec);
	res->tfiles = weir_xdr_get_u64(dec);
	res->ffiles = weir_xdr_get_u64(dec);
	res->afiles = weir_xdr_get_u64(dec);
	/* For how long all that holds. */
	weir_xdr_get_u32(dec);
	return dec_rc(dec);
}

int
nfs3_get_commit(struct weir_xdr_dec *dec, struct nfs3_commit_res *res)
{
	nfs3_get_wcc(dec, &res->attr);
	res->verifier = weir_xdr_get_u64(dec);
	return dec_rc(dec);
}

int
nfs3_find_read_data(const uint8_t *results, uint32_t nb, uint32_t *off, uint32_t *len)
{
	struct weir_xdr_dec dec = { .buf = results, .len = nb };
	struct nfs3_read_res res;
	uint32_t status = weir_xdr_get_u32(&dec);

	if (!dec.failed && status != NFS3STAT_OK) {
		*off = dec.off;
		*len = 0;
		return 0;
	}
	if (nfs3_get_read(&dec, &res) < 0)
		return nb < READ_HEAD_MAX ? -EAGAIN : -EBADMSG;
	*off = dec.off;
	*len = res.len;
	return 0;
}
