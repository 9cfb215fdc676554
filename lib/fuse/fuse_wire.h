/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#ifndef FUSE_WIRE_H
#define FUSE_WIRE_H

/*
 * FUSE as it is on the wire between a Linux guest and a virtio-fs device, protocol 7.27 to 7.39:
 * little-endian hosts, natural alignment, no implicit padding. Only what weir reads or writes.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define FUSE_MAJOR     7
#define FUSE_MINOR     39
#define FUSE_MINOR_MIN 27

#define FUSE_NODEID_ROOT 1
#define FUSE_NAME_MAX    255
#define FUSE_TARGET_MAX  4095
#define FUSE_ERRNO_MAX   511

enum fuse_opcode {
	FUSE_LOOKUP = 1,
	FUSE_FORGET = 2,
	FUSE_GETATTR = 3,
	FUSE_SETATTR = 4,
	FUSE_READLINK = 5,
	FUSE_SYMLINK = 6,
	FUSE_MKNOD = 8,
	FUSE_MKDIR = 9,
	FUSE_UNLINK = 10,
	FUSE_RMDIR = 11,
	FUSE_RENAME = 12,
	FUSE_LINK = 13,
	FUSE_OPEN = 14,
	FUSE_READ = 15,
	FUSE_WRITE = 16,
	FUSE_STATFS = 17,
	FUSE_RELEASE = 18,
	FUSE_FSYNC = 20,
	FUSE_SETXATTR = 21,
	FUSE_GETXATTR = 22,
	FUSE_LISTXATTR = 23,
	FUSE_REMOVEXATTR = 24,
	FUSE_FLUSH = 25,
	FUSE_INIT = 26,
	FUSE_OPENDIR = 27,
	FUSE_READDIR = 28,
	FUSE_RELEASEDIR = 29,
	FUSE_FSYNCDIR = 30,
	FUSE_GETLK = 31,
	FUSE_SETLK = 32,
	FUSE_SETLKW = 33,
	FUSE_ACCESS = 34,
	FUSE_CREATE = 35,
	FUSE_INTERRUPT = 36,
	FUSE_DESTROY = 38,
	FUSE_IOCTL = 39,
	FUSE_POLL = 40,
	FUSE_BATCH_FORGET = 42,
	FUSE_FALLOCATE = 43,
	FUSE_READDIRPLUS = 44,
	FUSE_RENAME2 = 45,
	FUSE_LSEEK = 46,
	FUSE_COPY_FILE_RANGE = 47,
	FUSE_SYNCFS = 50,
	FUSE_TMPFILE = 51,
	FUSE_STATX = 52,
	FUSE_COPY_FILE_RANGE_64 = 53,
	FUSE_NB_OPCODES, /* rows of the dispatch table; 0 stands for all that have none */
};

/* INIT flags; those of bit 32 and above travel in flags2. */
#define FUSE_ASYNC_READ         (1ULL << 0)
#define FUSE_POSIX_LOCKS        (1ULL << 1)
#define FUSE_ATOMIC_O_TRUNC     (1ULL << 3)
#define FUSE_EXPORT_SUPPORT     (1ULL << 4)
#define FUSE_BIG_WRITES         (1ULL << 5)
#define FUSE_DONT_MASK          (1ULL << 6)
#define FUSE_FLOCK_LOCKS        (1ULL << 10)
#define FUSE_HAS_IOCTL_DIR      (1ULL << 11)
#define FUSE_AUTO_INVAL_DATA    (1ULL << 12)
#define FUSE_DO_READDIRPLUS     (1ULL << 13)
#define FUSE_READDIRPLUS_AUTO   (1ULL << 14)
#define FUSE_ASYNC_DIO          (1ULL << 15)
#define FUSE_WRITEBACK_CACHE    (1ULL << 16)
#define FUSE_PARALLEL_DIROPS    (1ULL << 18)
#define FUSE_HANDLE_KILLPRIV    (1ULL << 19)
#define FUSE_POSIX_ACL          (1ULL << 20)
#define FUSE_MAX_PAGES          (1ULL << 22)
#define FUSE_SUBMOUNTS          (1ULL << 27)
#define FUSE_HANDLE_KILLPRIV_V2 (1ULL << 28)
#define FUSE_SETXATTR_EXT       (1ULL << 29)
#define FUSE_INIT_EXT           (1ULL << 30)
#define FUSE_SECURITY_CTX       (1ULL << 32)
#define FUSE_CREATE_SUPP_GROUP  (1ULL << 34)

#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)

/* fuse_open_out.open_flags */
#define FUSE_FOPEN_DIRECT_IO  (1u << 0)
#define FUSE_FOPEN_KEEP_CACHE (1u << 1)
#define FUSE_FOPEN_CACHE_DIR  (1u << 3)

/* fuse_attr.flags */
#define FUSE_ATTR_SUBMOUNT (1u << 0)

/* fuse_setattr_in.valid */
#define FUSE_FATTR_MODE       (1u << 0)
#define FUSE_FATTR_UID        (1u << 1)
#define FUSE_FATTR_GID        (1u << 2)
#define FUSE_FATTR_SIZE       (1u << 3)
#define FUSE_FATTR_ATIME      (1u << 4)
#define FUSE_FATTR_MTIME      (1u << 5)
#define FUSE_FATTR_FH         (1u << 6)
#define FUSE_FATTR_ATIME_NOW  (1u << 7)
#define FUSE_FATTR_MTIME_NOW  (1u << 8)
#define FUSE_FATTR_LOCKOWNER  (1u << 9)
#define FUSE_FATTR_CTIME      (1u << 10)
#define FUSE_FATTR_KILL_SUGID (1u << 11)
#define FUSE_FATTR_ALL        ((1u << 12) - 1)

#define FUSE_GETATTR_FH             (1u << 0)
#define FUSE_FSYNC_FDATASYNC        (1u << 0)
#define FUSE_OPEN_KILL_SUIDGID      (1u << 0)
#define FUSE_WRITE_CACHE            (1u << 0)
#define FUSE_WRITE_KILL_SUIDGID     (1u << 2)
#define FUSE_RELEASE_FLOCK_UNLOCK   (1u << 1)
#define FUSE_LK_FLOCK               (1u << 0)
#define FUSE_SETXATTR_ACL_KILL_SGID (1u << 0)

/* fuse_ioctl_in.flags */
#define FUSE_IOCTL_COMPAT       (1u << 0)
#define FUSE_IOCTL_UNRESTRICTED (1u << 1)
#define FUSE_IOCTL_32BIT        (1u << 3)
#define FUSE_IOCTL_DIR          (1u << 4)

struct fuse_in_header {
	uint32_t len; /* of the whole request */
	uint32_t opcode;
	uint64_t unique;
	uint64_t nodeid;
	uint32_t uid;
	uint32_t gid;
	uint32_t pid;
	uint16_t total_extlen; /* of extensions behind the arguments, in units of 8 bytes */
	uint16_t padding;
};
static_assert(sizeof(struct fuse_in_header) == 40, "wire size");
static_assert(offsetof(struct fuse_in_header, total_extlen) == 36, "wire offset");

struct fuse_out_header {
	uint32_t len; /* of the whole answer */
	int32_t error; /* 0 or -errno */
	uint64_t unique;
};
static_assert(sizeof(struct fuse_out_header) == 16, "wire size");

struct fuse_init_in {
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint32_t flags2; /* from here on since 7.36 */
	uint32_t unused[11];
};
static_assert(sizeof(struct fuse_init_in) == 64, "wire size");
#define FUSE_INIT_IN_MIN offsetof(struct fuse_init_in, flags2)
static_assert(FUSE_INIT_IN_MIN == 16, "wire size before 7.36");

struct fuse_init_out {
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint16_t max_background;
	uint16_t congestion_threshold;
	uint32_t max_write;
	uint32_t time_gran;
	uint16_t max_pages;
	uint16_t map_alignment;
	uint32_t flags2;
	uint32_t unused[7];
};
static_assert(sizeof(struct fuse_init_out) == 64, "wire size");
static_assert(offsetof(struct fuse_init_out, max_pages) == 28, "wire offset");
static_assert(offsetof(struct fuse_init_out, flags2) == 32, "wire offset");

struct fuse_attr {
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t atime;
	uint64_t mtime;
	uint64_t ctime;
	uint32_t atimensec;
	uint32_t mtimensec;
	uint32_t ctimensec;
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev;
	uint32_t blksize;
	uint32_t flags;
};
static_assert(sizeof(struct fuse_attr) == 88, "wire size");
static_assert(offsetof(struct fuse_attr, mode) == 60, "wire offset");

struct fuse_entry_out {
	uint64_t nodeid; /* 0: there is no such name */
	uint64_t generation;
	uint64_t entry_valid;
	uint64_t attr_valid;
	uint32_t entry_valid_nsec;
	uint32_t attr_valid_nsec;
	struct fuse_attr attr;
};
static_assert(sizeof(struct fuse_entry_out) == 128, "wire size");

struct fuse_attr_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t padding;
	struct fuse_attr attr;
};
static_assert(sizeof(struct fuse_attr_out) == 104, "wire size");

struct fuse_forget_in {
	uint64_t nlookup;
};
static_assert(sizeof(struct fuse_forget_in) == 8, "wire size");

struct fuse_batch_forget_in {
	uint32_t count;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_batch_forget_in) == 8, "wire size");

struct fuse_forget_one {
	uint64_t nodeid;
	uint64_t nlookup;
};
static_assert(sizeof(struct fuse_forget_one) == 16, "wire size");

struct fuse_getattr_in {
	uint32_t getattr_flags;
	uint32_t padding;
	uint64_t fh;
};
static_assert(sizeof(struct fuse_getattr_in) == 16, "wire size");

struct fuse_setattr_in {
	uint32_t valid;
	uint32_t padding;
	uint64_t fh;
	uint64_t size;
	uint64_t lock_owner;
	uint64_t atime;
	uint64_t mtime;
	uint64_t ctime;
	uint32_t atimensec;
	uint32_t mtimensec;
	uint32_t ctimensec;
	uint32_t mode;
	uint32_t unused4;
	uint32_t uid;
	uint32_t gid;
	uint32_t unused5;
};
static_assert(sizeof(struct fuse_setattr_in) == 88, "wire size");
static_assert(offsetof(struct fuse_setattr_in, mode) == 68, "wire offset");

struct fuse_mknod_in {
	uint32_t mode;
	uint32_t rdev;
	uint32_t umask;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_mknod_in) == 16, "wire size");

struct fuse_mkdir_in {
	uint32_t mode;
	uint32_t umask;
};
static_assert(sizeof(struct fuse_mkdir_in) == 8, "wire size");

struct fuse_rename_in {
	uint64_t newdir;
};
static_assert(sizeof(struct fuse_rename_in) == 8, "wire size");

struct fuse_rename2_in {
	uint64_t newdir;
	uint32_t flags;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_rename2_in) == 16, "wire size");

struct fuse_link_in {
	uint64_t oldnodeid;
};
static_assert(sizeof(struct fuse_link_in) == 8, "wire size");

struct fuse_open_in {
	uint32_t flags;
	uint32_t open_flags;
};
static_assert(sizeof(struct fuse_open_in) == 8, "wire size");

struct fuse_create_in {
	uint32_t flags;
	uint32_t mode;
	uint32_t umask;
	uint32_t open_flags;
};
static_assert(sizeof(struct fuse_create_in) == 16, "wire size");

struct fuse_open_out {
	uint64_t fh;
	uint32_t open_flags;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_open_out) == 16, "wire size");

/* All arguments that name an open file begin with it. */
struct fuse_file_in {
	uint64_t fh;
};
static_assert(sizeof(struct fuse_file_in) == 8, "wire size");

struct fuse_release_in {
	uint64_t fh;
	uint32_t flags;
	uint32_t release_flags;
	uint64_t lock_owner;
};
static_assert(sizeof(struct fuse_release_in) == 24, "wire size");

struct fuse_flush_in {
	uint64_t fh;
	uint32_t unused;
	uint32_t padding;
	uint64_t lock_owner;
};
static_assert(sizeof(struct fuse_flush_in) == 24, "wire size");

/* READ, READDIR, READDIRPLUS */
struct fuse_read_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t size;
	uint32_t read_flags;
	uint64_t lock_owner;
	uint32_t flags;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_read_in) == 40, "wire size");

struct fuse_write_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t size;
	uint32_t write_flags;
	uint64_t lock_owner;
	uint32_t flags;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_write_in) == 40, "wire size");

struct fuse_write_out {
	uint32_t size;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_write_out) == 8, "wire size");

struct fuse_statfs_out {
	uint64_t blocks;
	uint64_t bfree;
	uint64_t bavail;
	uint64_t files;
	uint64_t ffree;
	uint32_t bsize;
	uint32_t namelen;
	uint32_t frsize;
	uint32_t padding;
	uint32_t spare[6];
};
static_assert(sizeof(struct fuse_statfs_out) == 80, "wire size");

struct fuse_fsync_in {
	uint64_t fh;
	uint32_t fsync_flags;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_fsync_in) == 16, "wire size");

struct fuse_access_in {
	uint32_t mask;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_access_in) == 8, "wire size");

struct fuse_interrupt_in {
	uint64_t unique;
};
static_assert(sizeof(struct fuse_interrupt_in) == 8, "wire size");

struct fuse_setxattr_in {
	uint32_t size;
	uint32_t flags;
	uint32_t setxattr_flags; /* from here on with SETXATTR_EXT */
	uint32_t padding;
};
static_assert(sizeof(struct fuse_setxattr_in) == 16, "wire size");
#define FUSE_SETXATTR_IN_MIN offsetof(struct fuse_setxattr_in, setxattr_flags)
static_assert(FUSE_SETXATTR_IN_MIN == 8, "wire size without SETXATTR_EXT");

/* GETXATTR, LISTXATTR */
struct fuse_getxattr_in {
	uint32_t size; /* 0: it is asked for */
	uint32_t padding;
};
static_assert(sizeof(struct fuse_getxattr_in) == 8, "wire size");

struct fuse_getxattr_out {
	uint32_t size;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_getxattr_out) == 8, "wire size");

struct fuse_file_lock {
	uint64_t start;
	uint64_t end; /* inclusive; INT64_MAX: no end */
	uint32_t type;
	uint32_t pid;
};
static_assert(sizeof(struct fuse_file_lock) == 24, "wire size");

struct fuse_lk_in {
	uint64_t fh;
	uint64_t owner;
	struct fuse_file_lock lk;
	uint32_t lk_flags;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_lk_in) == 48, "wire size");

struct fuse_lk_out {
	struct fuse_file_lock lk;
};
static_assert(sizeof(struct fuse_lk_out) == 24, "wire size");

/* Followed by in_size bytes of data. */
struct fuse_ioctl_in {
	uint64_t fh;
	uint32_t flags;
	uint32_t cmd;
	uint64_t arg;
	uint32_t in_size;
	uint32_t out_size;
};
static_assert(sizeof(struct fuse_ioctl_in) == 32, "wire size");

struct fuse_ioctl_out {
	int32_t result;
	uint32_t flags;
	uint32_t in_iovs;
	uint32_t out_iovs;
};
static_assert(sizeof(struct fuse_ioctl_out) == 16, "wire size");

struct fuse_poll_in {
	uint64_t fh;
	uint64_t kh;
	uint32_t flags;
	uint32_t events;
};
static_assert(sizeof(struct fuse_poll_in) == 24, "wire size");

struct fuse_fallocate_in {
	uint64_t fh;
	uint64_t offset;
	uint64_t length;
	uint32_t mode;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_fallocate_in) == 32, "wire size");

struct fuse_lseek_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t whence;
	uint32_t padding;
};
static_assert(sizeof(struct fuse_lseek_in) == 24, "wire size");

struct fuse_lseek_out {
	uint64_t offset;
};
static_assert(sizeof(struct fuse_lseek_out) == 8, "wire size");

struct fuse_copy_file_range_in {
	uint64_t fh_in;
	uint64_t off_in;
	uint64_t nodeid_out;
	uint64_t fh_out;
	uint64_t off_out;
	uint64_t len;
	uint64_t flags;
};
static_assert(sizeof(struct fuse_copy_file_range_in) == 56, "wire size");

struct fuse_copy_file_range_out {
	uint64_t bytes_copied;
};
static_assert(sizeof(struct fuse_copy_file_range_out) == 8, "wire size");

struct fuse_syncfs_in {
	uint64_t padding;
};
static_assert(sizeof(struct fuse_syncfs_in) == 8, "wire size");

struct fuse_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};
static_assert(sizeof(struct fuse_statx_in) == 24, "wire size");

struct fuse_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};
static_assert(sizeof(struct fuse_sx_time) == 16, "wire size");

struct fuse_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t spare0;
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct fuse_sx_time atime;
	struct fuse_sx_time btime;
	struct fuse_sx_time ctime;
	struct fuse_sx_time mtime;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t spare2[14];
};
static_assert(sizeof(struct fuse_statx) == 256, "wire size");
static_assert(offsetof(struct fuse_statx, atime) == 64, "wire offset");

struct fuse_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct fuse_statx stat;
};
static_assert(sizeof(struct fuse_statx_out) == 288, "wire size");

/*
 * Extensions, each a multiple of 8 bytes long, header included, are at the end of requests that make
 * something. The type of a security context is how many there are, 0 or more, each a struct
 * fuse_secctx, a name with its NUL and the context. Guests before Linux 6.3 send one as well, but
 * have no total_extlen.
 */
struct fuse_ext_header {
	uint32_t size; /* with this header */
	uint32_t type;
};
static_assert(sizeof(struct fuse_ext_header) == 8, "wire size");
#define FUSE_EXT_SECCTX_MAX 31u
#define FUSE_EXT_GROUPS     32u

/* Followed by the groups. */
struct fuse_supp_groups {
	uint32_t nr_groups;
};
static_assert(sizeof(struct fuse_supp_groups) == 4, "wire size");

struct fuse_secctx {
	uint32_t size; /* of the context */
	uint32_t padding;
};
static_assert(sizeof(struct fuse_secctx) == 8, "wire size");

/* Followed by the name; READDIRPLUS has a struct fuse_entry_out in front. Padded to 8 bytes. */
struct fuse_dirent {
	uint64_t ino;
	uint64_t off;
	uint32_t namelen;
	uint32_t type;
};
static_assert(sizeof(struct fuse_dirent) == 24, "wire size");

#endif /* FUSE_WIRE_H */
