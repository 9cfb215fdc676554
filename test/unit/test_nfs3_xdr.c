/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* NFSv3 on the wire: what libnfs encodes is decoded, and what it would encode is encoded. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_common.h>

#include "../../drivers/fsdev/nfs/nfs3_xdr.h"

/* The headers of libnfs rely on those before them. */
/* clang-format off */
#include <nfsc/libnfs.h>
#include <nfsc/libnfs-zdr.h>
#include <nfsc/libnfs-raw.h>
#include <nfsc/libnfs-raw-nfs.h>
/* clang-format on */

#define BUF_SIZE 8192

static uint8_t ours[BUF_SIZE];
static char theirs[BUF_SIZE];
static struct weir_xdr_enc enc;

static const struct nfs3_fh fh = { .len = 7, .data = "handle1" };
static const struct nfs3_fh fh2 = { .len = 64, .data = "a handle as long as they can be" };

static nfs_fh3
zfh(const struct nfs3_fh *from)
{
	return (nfs_fh3){ { from->len, (char *)(uintptr_t)from->data } };
}

static diropargs3
zdirop(const char *name)
{
	return (diropargs3){ zfh(&fh), (char *)(uintptr_t)name };
}

static struct weir_xdr_enc *
fresh(void)
{
	enc = (struct weir_xdr_enc){ .buf = ours, .size = sizeof(ours) };
	return &enc;
}

/* Encodes with libnfs. @return the bytes. */
static uint32_t
zencode(zdrproc_t proc, void *what)
{
	uint32_t len;
	ZDR zdr;

	libnfs_zdrmem_create(&zdr, theirs, sizeof(theirs), ZDR_ENCODE);
	assert_true(proc(&zdr, what));
	len = libnfs_zdr_getpos(&zdr);
	libnfs_zdr_destroy(&zdr);
	return len;
}

static void
check_same(zdrproc_t proc, void *what)
{
	uint32_t len = zencode(proc, what);

	assert_false(enc.failed);
	assert_int_equal(enc.len, len);
	assert_memory_equal(ours, theirs, len);
}

static const struct nfs3_sattr all_set = {
	.set_mode = true,
	.set_uid = true,
	.set_gid = true,
	.set_size = true,
	.mode = 0640,
	.uid = 1000,
	.gid = 100,
	.size = UINT64_C(0x123456789abc),
	.atime_how = NFS3_TIME_CLIENT,
	.mtime_how = NFS3_TIME_SERVER,
	.atime = { 1700000000, 999999999 },
};
static const struct nfs3_sattr none_set;

static sattr3
zall_set(void)
{
	return (sattr3){
		.mode = { 1, { 0640 } },
		.uid = { 1, { 1000 } },
		.gid = { 1, { 100 } },
		.size = { 1, { UINT64_C(0x123456789abc) } },
		.atime = { SET_TO_CLIENT_TIME, { { 1700000000, 999999999 } } },
		.mtime = { SET_TO_SERVER_TIME, { { 0, 0 } } },
	};
}

static void
arguments_are_encoded_as_libnfs_encodes_them(void **state)
{
	GETATTR3args getattr = { zfh(&fh) };
	LOOKUP3args lookup = { zdirop("name") };
	ACCESS3args access = { zfh(&fh2), 0x3f };
	READ3args read = { zfh(&fh2), UINT64_C(0x1122334455667788), 65537 };
	LINK3args link = { zfh(&fh2), zdirop("a new name") };
	RENAME3args rename = { zdirop("from"), { zfh(&fh2), (char *)(uintptr_t) "to" } };
	READDIR3args readdir = { zfh(&fh), 77, "\1\2\3\4\5\6\7", 4096 };
	READDIRPLUS3args plus = { zfh(&fh), 77, "\1\2\3\4\5\6\7", 4096, 32768 };
	COMMIT3args commit = { zfh(&fh), 0, 0 };

	nfs3_put_fh(fresh(), &fh);
	check_same((zdrproc_t)zdr_GETATTR3args, &getattr);
	nfs3_put_name(fresh(), &fh, "name");
	check_same((zdrproc_t)zdr_LOOKUP3args, &lookup);
	nfs3_put_access(fresh(), &fh2, 0x3f);
	check_same((zdrproc_t)zdr_ACCESS3args, &access);
	nfs3_put_read(fresh(), &fh2, UINT64_C(0x1122334455667788), 65537);
	check_same((zdrproc_t)zdr_READ3args, &read);
	nfs3_put_link(fresh(), &fh2, &fh, "a new name");
	check_same((zdrproc_t)zdr_LINK3args, &link);
	nfs3_put_rename(fresh(), &fh, "from", &fh2, "to");
	check_same((zdrproc_t)zdr_RENAME3args, &rename);
	nfs3_put_readdir(fresh(), &fh, 77, UINT64_C(0x0102030405060700), 4096);
	check_same((zdrproc_t)zdr_READDIR3args, &readdir);
	nfs3_put_readdirplus(fresh(), &fh, 77, UINT64_C(0x0102030405060700), 4096, 32768);
	check_same((zdrproc_t)zdr_READDIRPLUS3args, &plus);
	nfs3_put_commit(fresh(), &fh);
	check_same((zdrproc_t)zdr_COMMIT3args, &commit);
}

static void
attributes_to_set_are_encoded_as_libnfs_encodes_them(void **state)
{
	SETATTR3args setattr = { zfh(&fh), zall_set(), { 0 } };
	MKDIR3args mkdir = { zdirop("dir"), { { 0 } } };
	SYMLINK3args symlink = { zdirop("link"),
		{ zall_set(), (char *)(uintptr_t) "some/where/else" } };
	CREATE3args create = { zdirop("file"), { GUARDED, { zall_set() } } };
	CREATE3args exclusive = { zdirop("file"), { EXCLUSIVE, { .verf = "\1\2\3\4\5\6\7" } } };
	MKNOD3args device = { zdirop("dev"),
		{ NF3CHR, { .chr_device = { zall_set(), { 259, 70000 } } } } };
	MKNOD3args fifo = { zdirop("fifo"), { NF3FIFO, { .pipe_attributes = zall_set() } } };

	nfs3_put_setattr(fresh(), &fh, &all_set);
	check_same((zdrproc_t)zdr_SETATTR3args, &setattr);
	nfs3_put_mkdir(fresh(), &fh, "dir", &none_set);
	check_same((zdrproc_t)zdr_MKDIR3args, &mkdir);
	nfs3_put_symlink(fresh(), &fh, "link", &all_set, "some/where/else");
	check_same((zdrproc_t)zdr_SYMLINK3args, &symlink);
	nfs3_put_create(fresh(), &fh, "file", NFS3_GUARDED, &all_set);
	check_same((zdrproc_t)zdr_CREATE3args, &create);
	nfs3_put_create_exclusive(fresh(), &fh, "file", UINT64_C(0x0102030405060700));
	check_same((zdrproc_t)zdr_CREATE3args, &exclusive);
	nfs3_put_mknod(fresh(), &fh, "dev", NFS3_CHR, &all_set, 259, 70000);
	check_same((zdrproc_t)zdr_MKNOD3args, &device);
	nfs3_put_mknod(fresh(), &fh, "fifo", NFS3_FIFO, &all_set, 1, 2);
	check_same((zdrproc_t)zdr_MKNOD3args, &fifo);
}

static void
write_is_encoded_up_to_its_data(void **state)
{
	WRITE3args write = { zfh(&fh), 1 << 20, 5, DATA_SYNC, { 5, (char *)(uintptr_t) "12345" } };
	uint32_t len = zencode((zdrproc_t)zdr_WRITE3args, &write);

	nfs3_put_write(fresh(), &fh, 1 << 20, 5, NFS3_DATA_SYNC);
	assert_false(enc.failed);
	assert_int_equal(enc.len + 8, len);
	assert_memory_equal(ours, theirs, enc.len);
}

static void
longest_arguments_fit_what_is_reserved_for_them(void **state)
{
	static const struct nfs3_fh longest = { .len = NFS3_FH_MAX };
	char name[NFS3_NAME_MAX + 1], target[NFS3_PATH_MAX + 1];

	memset(name, 'n', sizeof(name));
	name[NFS3_NAME_MAX] = '\0';
	memset(target, 't', sizeof(target));
	target[NFS3_PATH_MAX] = '\0';
	nfs3_put_rename(fresh(), &longest, name, &longest, name);
	assert_true(!enc.failed && enc.len <= 256 + 2 * NFS3_NAME_MAX);
	nfs3_put_mknod(fresh(), &longest, name, NFS3_CHR, &all_set, 1, 2);
	assert_true(!enc.failed && enc.len <= 256 + NFS3_NAME_MAX);
	nfs3_put_symlink(fresh(), &longest, name, &all_set, target);
	assert_true(!enc.failed && enc.len <= 256 + NFS3_NAME_MAX + NFS3_PATH_MAX);
}

static void
arguments_that_do_not_fit_are_noticed(void **state)
{
	uint32_t len, size;

	nfs3_put_mknod(fresh(), &fh, "dev", NFS3_CHR, &all_set, 1, 2);
	len = enc.len;
	for (size = 0; size < len; size++) {
		enc = (struct weir_xdr_enc){ .buf = malloc(size + 1), .size = size };
		nfs3_put_mknod(&enc, &fh, "dev", NFS3_CHR, &all_set, 1, 2);
		assert_true(enc.failed);
		free(enc.buf);
	}
}

static const fattr3 zattr = {
	.type = NF3BLK,
	.mode = 0100640,
	.nlink = 3,
	.uid = 1000,
	.gid = 100,
	.size = UINT64_C(0x8000000000000001),
	.used = 4096,
	.rdev = { 259, 7 },
	.fsid = UINT64_C(0xfffffffffffffffe),
	.fileid = 42,
	.atime = { 1, 2 },
	.mtime = { 0xffffffff, 4 },
	.ctime = { 5, 999999999 },
};

static void
check_attr(const struct nfs3_attr *attr)
{
	assert_int_equal(attr->type, NFS3_BLK);
	assert_int_equal(attr->mode, 0100640);
	assert_int_equal(attr->nlink, 3);
	assert_int_equal(attr->uid, 1000);
	assert_int_equal(attr->gid, 100);
	assert_true(attr->size == zattr.size);
	assert_int_equal(attr->used, 4096);
	assert_int_equal(attr->major, 259);
	assert_int_equal(attr->minor, 7);
	assert_true(attr->fsid == zattr.fsid);
	assert_int_equal(attr->fileid, 42);
	assert_int_equal(attr->atime.sec, 1);
	assert_int_equal(attr->atime.nsec, 2);
	assert_int_equal(attr->mtime.sec, 0xffffffff);
	assert_int_equal(attr->ctime.nsec, 999999999);
}

static post_op_attr
zpost(bool there)
{
	post_op_attr post = { there, { { 0 } } };

	if (there)
		post.post_op_attr_u.attributes = zattr;
	return post;
}

static wcc_data
zwcc(bool there)
{
	wcc_data wcc = { { there, { { 0 } } }, zpost(there) };

	if (there)
		wcc.before.pre_op_attr_u.attributes = (wcc_attr){ 1, { 2, 3 }, { 4, 5 } };
	return wcc;
}

static union {
	struct nfs3_attr attr;
	struct nfs3_obj obj;
	struct nfs3_access_res access;
	struct nfs3_readlink_res readlink;
	struct nfs3_write_res write;
	struct nfs3_post_attr post;
	struct nfs3_readdir_res readdir;
	struct nfs3_fsstat_res fsstat;
	struct nfs3_commit_res commit;
	struct nfs3_read_res read;
} got;

typedef int (*get_fn)(struct weir_xdr_dec *dec, void *res);

static int
get(get_fn fn, const void *bytes, uint32_t len)
{
	struct weir_xdr_dec dec = { .buf = bytes, .len = len };
	int rc = fn(&dec, &got);

	if (rc == 0)
		assert_int_equal(dec.off, len);
	return rc;
}

/* Decodes what libnfs encodes; and each beginning of it, in memory that ends there, not. */
static void
check_result(zdrproc_t proc, void *what, get_fn fn)
{
	uint32_t len = zencode(proc, what), n;
	char *cut;

	for (n = 4; n < len; n++) {
		cut = malloc(n - 4 + 1);
		memcpy(cut, theirs + 4, n - 4);
		assert_int_equal(get(fn, cut, n - 4), -EBADMSG);
		free(cut);
	}
	memset(&got, 0xa5, sizeof(got));
	assert_int_equal(get(fn, theirs + 4, len - 4), 0);
}

static void
results_of_libnfs_are_decoded(void **state)
{
	GETATTR3res getattr = { .GETATTR3res_u.resok = { zattr } };
	SETATTR3res setattr = { .SETATTR3res_u.resok = { zwcc(true) } };
	LOOKUP3res lookup = { .LOOKUP3res_u.resok = { zfh(&fh2), zpost(true), zpost(false) } };
	ACCESS3res access = { .ACCESS3res_u.resok = { zpost(true), 0x1f } };
	READLINK3res readlink = { .READLINK3res_u.resok = {
						  zpost(true), (char *)(uintptr_t) "a/target" } };
	WRITE3res write = { .WRITE3res_u.resok = { zwcc(true), 512, FILE_SYNC, "\1\2\3\4\5\6\7" } };
	LINK3res link = { .LINK3res_u.resok = { zpost(true), zwcc(true) } };
	FSSTAT3res fsstat = { .FSSTAT3res_u.resok = { zpost(true), 1, 2, 3, 4, 5, 6, 7 } };
	COMMIT3res commit = { .COMMIT3res_u.resok = { zwcc(true), "\7\6\5\4\3\2\1" } };

	check_result((zdrproc_t)zdr_GETATTR3res, &getattr, (get_fn)nfs3_get_getattr);
	check_attr(&got.attr);
	check_result((zdrproc_t)zdr_SETATTR3res, &setattr, (get_fn)nfs3_get_wcc);
	assert_true(got.post.there);
	check_attr(&got.post.attr);
	check_result((zdrproc_t)zdr_LOOKUP3res, &lookup, (get_fn)nfs3_get_lookup);
	assert_true(got.obj.has_fh && got.obj.attr.there);
	assert_int_equal(got.obj.fh.len, 64);
	assert_memory_equal(got.obj.fh.data, fh2.data, 64);
	check_attr(&got.obj.attr.attr);
	check_result((zdrproc_t)zdr_ACCESS3res, &access, (get_fn)nfs3_get_access);
	assert_int_equal(got.access.access, 0x1f);
	check_result((zdrproc_t)zdr_READLINK3res, &readlink, (get_fn)nfs3_get_readlink);
	assert_int_equal(got.readlink.len, 8);
	assert_memory_equal(got.readlink.target, "a/target", 8);
	check_result((zdrproc_t)zdr_WRITE3res, &write, (get_fn)nfs3_get_write);
	assert_int_equal(got.write.count, 512);
	assert_int_equal(got.write.committed, NFS3_FILE_SYNC);
	assert_true(got.write.verifier == UINT64_C(0x0102030405060700));
	check_result((zdrproc_t)zdr_LINK3res, &link, (get_fn)nfs3_get_link);
	check_attr(&got.post.attr);
	check_result((zdrproc_t)zdr_FSSTAT3res, &fsstat, (get_fn)nfs3_get_fsstat);
	assert_int_equal(got.fsstat.tbytes, 1);
	assert_int_equal(got.fsstat.afiles, 6);
	check_result((zdrproc_t)zdr_COMMIT3res, &commit, (get_fn)nfs3_get_commit);
	assert_true(got.commit.verifier == UINT64_C(0x0706050403020100));
}

static void
results_without_what_may_be_missing_are_decoded(void **state)
{
	SETATTR3res setattr = { .SETATTR3res_u.resok = { zwcc(false) } };
	CREATE3res bare = { .CREATE3res_u.resok = { { 0 }, zpost(false), zwcc(false) } };
	CREATE3res full = { .CREATE3res_u.resok = {
					    { 1, { zfh(&fh) } }, zpost(true), zwcc(true) } };

	check_result((zdrproc_t)zdr_SETATTR3res, &setattr, (get_fn)nfs3_get_wcc);
	assert_false(got.post.there);
	check_result((zdrproc_t)zdr_CREATE3res, &bare, (get_fn)nfs3_get_create);
	assert_false(got.obj.has_fh);
	assert_false(got.obj.attr.there);
	check_result((zdrproc_t)zdr_CREATE3res, &full, (get_fn)nfs3_get_create);
	assert_true(got.obj.has_fh);
	assert_int_equal(got.obj.fh.len, 7);
	check_attr(&got.obj.attr.attr);
}

static void
values_out_of_bounds_are_refused(void **state)
{
	GETATTR3res getattr = { .GETATTR3res_u.resok = { zattr } };
	WRITE3res write = { .WRITE3res_u.resok = { zwcc(false), 1, FILE_SYNC, "" } };
	LOOKUP3res lookup = { .LOOKUP3res_u.resok = { zfh(&fh2), zpost(false), zpost(false) } };
	uint32_t len;

	getattr.GETATTR3res_u.resok.obj_attributes.type = 8;
	len = zencode((zdrproc_t)zdr_GETATTR3res, &getattr);
	assert_int_equal(get((get_fn)nfs3_get_getattr, theirs + 4, len - 4), -EBADMSG);
	write.WRITE3res_u.resok.committed = 3;
	len = zencode((zdrproc_t)zdr_WRITE3res, &write);
	assert_int_equal(get((get_fn)nfs3_get_write, theirs + 4, len - 4), -EBADMSG);
	/* A handle of 65 bytes, as its length word has it. */
	len = zencode((zdrproc_t)zdr_LOOKUP3res, &lookup);
	theirs[7] = 65;
	assert_int_equal(get((get_fn)nfs3_get_lookup, theirs + 4, len - 4), -EBADMSG);
}

static void
directory_entries_are_walked_to_their_end(void **state)
{
	entryplus3 third = { 3, (char *)(uintptr_t) "three", 30, zpost(false), { 0 }, NULL };
	entryplus3 second = { 2, (char *)(uintptr_t) "two", 20, zpost(true), { 1, { zfh(&fh) } },
		&third };
	entryplus3 first = { 1, (char *)(uintptr_t) "o", 10, zpost(true), { 0 }, &second };
	READDIRPLUS3res res = { .READDIRPLUS3res_u.resok = { zpost(true), "\1", { &first, 1 } } };
	uint32_t len = zencode((zdrproc_t)zdr_READDIRPLUS3res, &res), n;
	struct weir_xdr_dec dec = { .buf = (uint8_t *)theirs, .off = 4, .len = len };
	struct nfs3_entry entry;
	bool eof = false;

	assert_int_equal(nfs3_get_readdir(&dec, &got.readdir), 0);
	assert_true(got.readdir.verifier == UINT64_C(0x0100000000000000));
	assert_int_equal(nfs3_get_entry(&dec, true, &entry, &eof), 1);
	assert_int_equal(entry.name_len, 1);
	assert_true(entry.obj.attr.there && !entry.obj.has_fh);
	assert_int_equal(nfs3_get_entry(&dec, true, &entry, &eof), 1);
	assert_memory_equal(entry.name, "two", 3);
	assert_int_equal(entry.cookie, 20);
	assert_true(entry.obj.has_fh);
	assert_int_equal(nfs3_get_entry(&dec, true, &entry, &eof), 1);
	assert_false(entry.obj.attr.there);
	assert_int_equal(nfs3_get_entry(&dec, true, &entry, &eof), 0);
	assert_true(eof);
	assert_int_equal(dec.off, len);

	/* However a list breaks off, the walk ends. */
	for (n = 4; n < len; n++) {
		uint8_t *cut = malloc(n);
		int rc;

		memcpy(cut, theirs, n);
		dec = (struct weir_xdr_dec){ .buf = cut, .off = 4, .len = n };
		rc = nfs3_get_readdir(&dec, &got.readdir);
		while (rc >= 0 && (rc = nfs3_get_entry(&dec, true, &entry, &eof)) == 1)
			;
		assert_int_equal(rc, -EBADMSG);
		free(cut);
	}
}

static void
plain_directory_entries_have_no_object(void **state)
{
	entry3 only = { 9, (char *)(uintptr_t) "only", 90, NULL };
	READDIR3res res = { .READDIR3res_u.resok = { zpost(false), "", { &only, 0 } } };
	uint32_t len = zencode((zdrproc_t)zdr_READDIR3res, &res);
	struct weir_xdr_dec dec = { .buf = (uint8_t *)theirs, .off = 4, .len = len };
	struct nfs3_entry entry;
	bool eof = true;

	assert_int_equal(nfs3_get_readdir(&dec, &got.readdir), 0);
	assert_int_equal(nfs3_get_entry(&dec, false, &entry, &eof), 1);
	assert_int_equal(entry.fileid, 9);
	assert_false(entry.obj.has_fh || entry.obj.attr.there);
	assert_int_equal(nfs3_get_entry(&dec, false, &entry, &eof), 0);
	assert_false(eof);
}

static void
data_of_a_read_are_found_as_soon_as_they_can_be(void **state)
{
	READ3res res = { .READ3res_u.resok = {
					 zpost(true), 5, 1, { 5, (char *)(uintptr_t) "12345" } } };
	uint32_t len = zencode((zdrproc_t)zdr_READ3res, &res), off = 0, data = 0, n;

	for (n = 0; n < len - 8; n++)
		assert_int_equal(nfs3_find_read_data((uint8_t *)theirs, n, &off, &data), -EAGAIN);
	assert_int_equal(nfs3_find_read_data((uint8_t *)theirs, n, &off, &data), 0);
	assert_int_equal(off, len - 8);
	assert_int_equal(data, 5);
	assert_memory_equal(theirs + off, "12345", 5);

	res = (READ3res){ .status = NFS3ERR_STALE };
	len = zencode((zdrproc_t)zdr_READ3res, &res);
	assert_int_equal(nfs3_find_read_data((uint8_t *)theirs, len, &off, &data), 0);
	assert_int_equal(data, 0);
}

static void
data_of_a_read_that_make_no_sense_are_refused(void **state)
{
	uint8_t junk[200] = { 0 };
	uint32_t off, data;

	/* A boolean of 2: no more bytes will make it better. */
	junk[7] = 2;
	assert_int_equal(nfs3_find_read_data(junk, sizeof(junk), &off, &data), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_encoded_as_libnfs_encodes_them),
		cmocka_unit_test(attributes_to_set_are_encoded_as_libnfs_encodes_them),
		cmocka_unit_test(write_is_encoded_up_to_its_data),
		cmocka_unit_test(longest_arguments_fit_what_is_reserved_for_them),
		cmocka_unit_test(arguments_that_do_not_fit_are_noticed),
		cmocka_unit_test(results_of_libnfs_are_decoded),
		cmocka_unit_test(results_without_what_may_be_missing_are_decoded),
		cmocka_unit_test(values_out_of_bounds_are_refused),
		cmocka_unit_test(directory_entries_are_walked_to_their_end),
		cmocka_unit_test(plain_directory_entries_have_no_object),
		cmocka_unit_test(data_of_a_read_are_found_as_soon_as_they_can_be),
		cmocka_unit_test(data_of_a_read_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
