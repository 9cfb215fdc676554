/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef NFS3_XDR_H
#define NFS3_XDR_H

/**
 * @file
 * NFS version 3 on the wire (RFC 1813): arguments are put, results are got. Nothing here knows of
 * requests or workers. An encoder or decoder that fails stays failed, so a sequence of calls is
 * checked once at its end; what the functions named after results return says whether it is.
 *
 * FSINFO and PATHCONF are asked for once, when an export is mounted, and not by this code.
 */

#include <stdbool.h>
#include <stdint.h>

#include "weir_xdr.h"

#define NFS3_PROGRAM 100003
#define NFS3_VERSION 3

#define NFS3_FH_MAX   64
#define NFS3_NAME_MAX 255
#define NFS3_PATH_MAX 4095

enum nfs3_proc {
	NFSPROC3_NULL,
	NFSPROC3_GETATTR,
	NFSPROC3_SETATTR,
	NFSPROC3_LOOKUP,
	NFSPROC3_ACCESS,
	NFSPROC3_READLINK,
	NFSPROC3_READ,
	NFSPROC3_WRITE,
	NFSPROC3_CREATE,
	NFSPROC3_MKDIR,
	NFSPROC3_SYMLINK,
	NFSPROC3_MKNOD,
	NFSPROC3_REMOVE,
	NFSPROC3_RMDIR,
	NFSPROC3_RENAME,
	NFSPROC3_LINK,
	NFSPROC3_READDIR,
	NFSPROC3_READDIRPLUS,
	NFSPROC3_FSSTAT,
	NFSPROC3_FSINFO,
	NFSPROC3_PATHCONF,
	NFSPROC3_COMMIT,
	NFSPROC3_NB,
};

/** nfsstat3, as far as one is treated in a way of its own; nfs_errno() knows them all. */
enum nfs3_stat {
	NFS3STAT_OK = 0,
	NFS3STAT_PERM = 1,
	NFS3STAT_ACCES = 13,
	NFS3STAT_BAD_COOKIE = 10003,
	NFS3STAT_TOOSMALL = 10005,
	NFS3STAT_JUKEBOX = 10008,
};

enum nfs3_type {
	NFS3_REG = 1,
	NFS3_DIR,
	NFS3_BLK,
	NFS3_CHR,
	NFS3_LNK,
	NFS3_SOCK,
	NFS3_FIFO,
};

enum nfs3_stable {
	NFS3_UNSTABLE,
	NFS3_DATA_SYNC,
	NFS3_FILE_SYNC,
};

enum nfs3_create_how {
	NFS3_UNCHECKED,
	NFS3_GUARDED,
	NFS3_EXCLUSIVE,
};

enum nfs3_time_how {
	NFS3_TIME_KEEP,
	NFS3_TIME_SERVER,
	NFS3_TIME_CLIENT,
};

#define NFS3_ACCESS_READ    0x01
#define NFS3_ACCESS_LOOKUP  0x02
#define NFS3_ACCESS_MODIFY  0x04
#define NFS3_ACCESS_EXTEND  0x08
#define NFS3_ACCESS_DELETE  0x10
#define NFS3_ACCESS_EXECUTE 0x20

/** A file handle: opaque, and what a file is known by. */
struct nfs3_fh {
	uint8_t len;
	uint8_t data[NFS3_FH_MAX];
};

struct nfs3_time {
	uint32_t sec, nsec;
};

struct nfs3_attr {
	uint32_t type; /**< enum nfs3_type */
	uint32_t mode, nlink, uid, gid;
	uint64_t size, used;
	uint32_t major, minor;
	uint64_t fsid, fileid;
	struct nfs3_time atime, mtime, ctime;
};

/** Attributes that a server gives if it likes. */
struct nfs3_post_attr {
	bool there;
	struct nfs3_attr attr;
};

struct nfs3_sattr {
	bool set_mode, set_uid, set_gid, set_size;
	uint32_t mode, uid, gid;
	uint64_t size;
	enum nfs3_time_how atime_how, mtime_how;
	struct nfs3_time atime, mtime;
};

/** @name Arguments
 * Those of GETATTR, READLINK and FSSTAT are a handle; of LOOKUP, REMOVE and RMDIR a directory's
 * handle and a name (NUL-terminated).
 * @{ */
void nfs3_put_fh(struct weir_xdr_enc *enc, const struct nfs3_fh *fh);
void nfs3_put_name(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name);
void nfs3_put_setattr(
		struct weir_xdr_enc *enc, const struct nfs3_fh *fh, const struct nfs3_sattr *sattr);
void nfs3_put_access(struct weir_xdr_enc *enc, const struct nfs3_fh *fh, uint32_t mask);
void
nfs3_put_read(struct weir_xdr_enc *enc, const struct nfs3_fh *fh, uint64_t off, uint32_t count);
/** All but the data. */
void nfs3_put_write(struct weir_xdr_enc *enc, const struct nfs3_fh *fh, uint64_t off,
		uint32_t count, enum nfs3_stable stable);
/** UNCHECKED or GUARDED. */
void nfs3_put_create(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		enum nfs3_create_how how, const struct nfs3_sattr *sattr);
void nfs3_put_create_exclusive(struct weir_xdr_enc *enc, const struct nfs3_fh *dir,
		const char *name, uint64_t verifier);
void nfs3_put_mkdir(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		const struct nfs3_sattr *sattr);
void nfs3_put_symlink(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		const struct nfs3_sattr *sattr, const char *target);
/** type: BLK, CHR, SOCK or FIFO; major and minor count for the first two. */
void nfs3_put_mknod(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		enum nfs3_type type, const struct nfs3_sattr *sattr, uint32_t major,
		uint32_t minor);
void nfs3_put_rename(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, const char *name,
		const struct nfs3_fh *newdir, const char *newname);
void nfs3_put_link(struct weir_xdr_enc *enc, const struct nfs3_fh *fh, const struct nfs3_fh *dir,
		const char *name);
void nfs3_put_readdir(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, uint64_t cookie,
		uint64_t verifier, uint32_t count);
void nfs3_put_readdirplus(struct weir_xdr_enc *enc, const struct nfs3_fh *dir, uint64_t cookie,
		uint64_t verifier, uint32_t dircount, uint32_t maxcount);
/** The whole file. */
void nfs3_put_commit(struct weir_xdr_enc *enc, const struct nfs3_fh *fh);

/** @}
 * @name Results, behind an nfsstat3 of NFS3_OK
 * All return 0 or -EBADMSG. Members are undefined on failure.
 * @{ */
struct nfs3_obj {
	bool has_fh;
	struct nfs3_fh fh;
	struct nfs3_post_attr attr;
};

struct nfs3_access_res {
	struct nfs3_post_attr attr;
	uint32_t access;
};

struct nfs3_readlink_res {
	struct nfs3_post_attr attr;
	const char *target; /**< in the reply */
	uint32_t len;
};

struct nfs3_read_res {
	uint32_t count;
	bool eof;
	uint32_t len; /**< of the data, which follows */
};

struct nfs3_write_res {
	struct nfs3_post_attr attr;
	uint32_t count;
	uint32_t committed; /**< enum nfs3_stable */
	uint64_t verifier;
};

struct nfs3_readdir_res {
	struct nfs3_post_attr attr;
	uint64_t verifier;
};

/** An entry of a directory; name is in the reply and not terminated. */
struct nfs3_entry {
	uint64_t fileid;
	const char *name;
	uint32_t name_len;
	uint64_t cookie;
	struct nfs3_obj obj; /**< READDIRPLUS; else empty */
};

struct nfs3_fsstat_res {
	struct nfs3_post_attr attr;
	uint64_t tbytes, fbytes, abytes, tfiles, ffiles, afiles;
};

struct nfs3_commit_res {
	struct nfs3_post_attr attr;
	uint64_t verifier;
};

int nfs3_get_getattr(struct weir_xdr_dec *dec, struct nfs3_attr *attr);
int nfs3_get_lookup(struct weir_xdr_dec *dec, struct nfs3_obj *obj);
int nfs3_get_access(struct weir_xdr_dec *dec, struct nfs3_access_res *res);
int nfs3_get_readlink(struct weir_xdr_dec *dec, struct nfs3_readlink_res *res);
int nfs3_get_read(struct weir_xdr_dec *dec, struct nfs3_read_res *res);
int nfs3_get_write(struct weir_xdr_dec *dec, struct nfs3_write_res *res);
/** CREATE, MKDIR, SYMLINK, MKNOD. */
int nfs3_get_create(struct weir_xdr_dec *dec, struct nfs3_obj *obj);
/** SETATTR: the file's attributes; REMOVE, RMDIR: the directory's. */
int nfs3_get_wcc(struct weir_xdr_dec *dec, struct nfs3_post_attr *attr);
int nfs3_get_link(struct weir_xdr_dec *dec, struct nfs3_post_attr *attr);
/** READDIR and READDIRPLUS, up to the entries. */
int nfs3_get_readdir(struct weir_xdr_dec *dec, struct nfs3_readdir_res *res);
/** @return 1 and an entry; 0 and whether the directory ends here; -EBADMSG. */
int nfs3_get_entry(struct weir_xdr_dec *dec, bool plus, struct nfs3_entry *entry, bool *eof);
int nfs3_get_fsstat(struct weir_xdr_dec *dec, struct nfs3_fsstat_res *res);
int nfs3_get_commit(struct weir_xdr_dec *dec, struct nfs3_commit_res *res);

/**
 * Finds the data of a READ in the results of which nb bytes are there, the status first.
 * @return 0 with its place and length, *len 0 where an error has none; -EAGAIN; -EBADMSG.
 */
int nfs3_find_read_data(const uint8_t *results, uint32_t nb, uint32_t *off, uint32_t *len);
/** @} */

#endif /* NFS3_XDR_H */
