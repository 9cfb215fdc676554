/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "../../drivers/fsdev/nfs/nfs3_xdr.h"
#include "nfs_liar.h"
#include "nfs_liar_files.h"

#define NOENT 2

static struct {
	_Atomic bool terse;
	_Atomic uint32_t most; /* bytes of READ and WRITE */
	_Atomic uint32_t flavor, mult;
	_Atomic uint32_t group;
} files = { .most = 1 << 20, .flavor = 1, .mult = 4096 };

void
nfs_liar_be_short(uint32_t bytes)
{
	atomic_store(&files.most, bytes);
}

void
nfs_liar_offer(uint32_t flavor, uint32_t mult)
{
	atomic_store(&files.flavor, flavor);
	atomic_store(&files.mult, mult);
}

void
nfs_liar_be_terse(bool terse)
{
	atomic_store(&files.terse, terse);
}

void
nfs_liar_demand(uint32_t group)
{
	atomic_store(&files.group, group);
}

static enum nfs3_type
kind_type(char kind)
{
	switch (kind) {
	case 'd':
		return NFS3_DIR;
	case 'l':
		return NFS3_LNK;
	case 'p':
		return NFS3_FIFO;
	case 'c':
		return NFS3_CHR;
	default:
		return NFS3_REG;
	}
}

/* A handle is the kind of file and a number. */
static void
put_attr(struct weir_xdr_enc *enc, char kind, uint32_t number)
{
	weir_xdr_put_u32(enc, kind_type(kind));
	weir_xdr_put_u32(enc, 0644);
	weir_xdr_put_u32(enc, 1);
	weir_xdr_put_u32(enc, 0);
	weir_xdr_put_u32(enc, atomic_load(&files.group));
	weir_xdr_put_u64(enc, kind == 'f' ? NFS_LIAR_BYTES : 100);
	weir_xdr_put_u64(enc, 4096);
	weir_xdr_put_u32(enc, kind == 'c' ? 1 : 0);
	weir_xdr_put_u32(enc, kind == 'c' ? 3 : 0);
	weir_xdr_put_u64(enc, 7);
	weir_xdr_put_u64(enc, number);
	for (unsigned int i = 0; i < 6; i++)
		weir_xdr_put_u32(enc, 1700000000);
}

static void
put_post_attr(struct weir_xdr_enc *enc, char kind, uint32_t number)
{
	weir_xdr_put_u32(enc, true);
	put_attr(enc, kind, number);
}

static void
put_handle(struct weir_xdr_enc *enc, char kind, uint32_t number)
{
	uint8_t fh[32] = { (uint8_t)kind };

	memcpy(fh + 1, &number, sizeof(number));
	weir_xdr_put_opaque(enc, fh, sizeof(fh));
}

static void
put_wcc(struct weir_xdr_enc *enc, char kind, uint32_t number)
{
	weir_xdr_put_u32(enc, false);
	put_post_attr(enc, kind, number);
}

static char
get_handle(struct weir_xdr_dec *dec, uint32_t *number)
{
	uint32_t len = 0;
	const uint8_t *fh = weir_xdr_get_opaque(dec, NFS3_FH_MAX, &len);

	*number = 0;
	if (fh == NULL || len < 5)
		return 'f';
	memcpy(number, fh + 1, sizeof(*number));
	return (char)fh[0];
}

/* A name that is a number is a file of that number: each has a handle of its own. */
static bool
get_number(const uint8_t *name, uint32_t len, uint32_t *number)
{
	uint32_t i;

	*number = 0;
	for (i = 0; i < len && name[i] >= '0' && name[i] <= '9'; i++)
		*number = *number * 10 + (name[i] - '0');
	return len > 0 && i == len;
}

/* What a name is, and its number. */
static char
get_name(struct weir_xdr_dec *dec, uint32_t *number)
{
	uint32_t len = 0;
	const uint8_t *name = weir_xdr_get_opaque(dec, NFS3_NAME_MAX, &len);

	if (name != NULL && get_number(name, len, number))
		return 'f';
	*number = 5381;
	for (uint32_t i = 0; name != NULL && i < len; i++)
		*number = *number * 33 + name[i];
	return name != NULL && len > 0 && strchr("dlpcn", name[0]) != NULL ? (char)name[0] : 'f';
}

static void
answer_read(struct weir_xdr_dec *dec, struct weir_xdr_enc *enc, char kind, uint32_t number)
{
	static uint8_t data[1 << 20]; /* the most that is ever asked for */
	uint64_t off = weir_xdr_get_u64(dec);
	uint32_t count = weir_xdr_get_u32(dec);
	uint64_t left = off < NFS_LIAR_BYTES ? NFS_LIAR_BYTES - off : 0;

	left = RTE_MIN(left, atomic_load(&files.most));
	count = (uint32_t)RTE_MIN(count, left);
	for (uint32_t i = 0; i < count; i++)
		data[i] = nfs_liar_byte(off + i);
	put_post_attr(enc, kind, number);
	weir_xdr_put_u32(enc, count);
	weir_xdr_put_u32(enc, off + count >= NFS_LIAR_BYTES);
	weir_xdr_put_opaque(enc, data, count);
}

static void
answer_readdir(struct weir_xdr_dec *dec, struct weir_xdr_enc *enc, uint32_t number, bool plus)
{
	uint64_t cookie = weir_xdr_get_u64(dec);
	uint32_t file;
	char name[16];

	put_post_attr(enc, 'd', number);
	weir_xdr_put_u64(enc, 99);
	for (uint64_t i = cookie; i < RTE_MIN(cookie + 15, (uint64_t)NFS_LIAR_NAMES); i++) {
		weir_xdr_put_u32(enc, true);
		weir_xdr_put_u64(enc, i);
		weir_xdr_put_opaque(enc, name,
				(uint32_t)snprintf(name, sizeof(name), "f%u", (unsigned int)i));
		weir_xdr_put_u64(enc, i + 1);
		if (!plus)
			continue;
		file = (uint32_t)(number * NFS_LIAR_NAMES + i) | 1u << 31;
		put_post_attr(enc, 'f', file);
		weir_xdr_put_u32(enc, true);
		put_handle(enc, 'f', file);
	}
	weir_xdr_put_u32(enc, false);
	weir_xdr_put_u32(enc, cookie + 15 >= NFS_LIAR_NAMES);
}

static void
answer_fsinfo(struct weir_xdr_enc *enc, uint32_t number)
{
	put_post_attr(enc, 'd', number);
	for (unsigned int i = 0; i < 7; i++)
		weir_xdr_put_u32(enc, i % 3 == 2 ? atomic_load(&files.mult) : 65536);
	weir_xdr_put_u64(enc, INT64_MAX);
	weir_xdr_put_u64(enc, 1);
	weir_xdr_put_u32(enc, 0x1b);
}

static void
answer_pathconf(struct weir_xdr_enc *enc, uint32_t number)
{
	put_post_attr(enc, 'd', number);
	weir_xdr_put_u32(enc, 1000);
	weir_xdr_put_u32(enc, 255);
	for (unsigned int i = 0; i < 4; i++)
		weir_xdr_put_u32(enc, true);
}

static void
answer_write(struct weir_xdr_dec *dec, struct weir_xdr_enc *enc, char kind, uint32_t number)
{
	uint32_t count;

	weir_xdr_get_u64(dec);
	count = RTE_MIN(weir_xdr_get_u32(dec), atomic_load(&files.most));
	put_wcc(enc, kind, number);
	weir_xdr_put_u32(enc, count);
	weir_xdr_put_u32(enc, count % 3 == 0 ? NFS3_FILE_SYNC : NFS3_UNSTABLE);
	weir_xdr_put_u64(enc, 4711);
}

static void
answer_made(struct weir_xdr_enc *enc, char kind, uint32_t number)
{
	weir_xdr_put_u32(enc, true);
	put_handle(enc, kind, number);
	put_post_attr(enc, kind, number);
	put_wcc(enc, 'd', 1);
}

static void
answer_fsstat(struct weir_xdr_enc *enc, uint32_t number)
{
	put_post_attr(enc, 'd', number);
	for (unsigned int i = 0; i < 6; i++)
		weir_xdr_put_u64(enc, 1 << 20);
	weir_xdr_put_u32(enc, 0);
}

static void
answer_lookup(struct weir_xdr_dec *dec, struct weir_xdr_enc *enc)
{
	uint32_t number;
	char kind = get_name(dec, &number);

	weir_xdr_put_u32(enc, kind == 'n' ? NOENT : NFS3STAT_OK);
	if (kind != 'n') {
		put_handle(enc, kind, number);
		if (atomic_load(&files.terse))
			weir_xdr_put_u32(enc, false);
		else
			put_post_attr(enc, kind, number);
	}
	weir_xdr_put_u32(enc, false);
}

void
nfs_liar_answer_nfs(uint32_t proc, struct weir_xdr_dec *dec, struct weir_xdr_enc *enc)
{
	uint32_t number, made;
	char kind = get_handle(dec, &number);

	if (proc == NFSPROC3_LOOKUP) {
		answer_lookup(dec, enc);
		return;
	}
	weir_xdr_put_u32(enc, NFS3STAT_OK);
	switch (proc) {
	case NFSPROC3_GETATTR:
		put_attr(enc, kind, number);
		break;
	case NFSPROC3_ACCESS:
		put_post_attr(enc, kind, number);
		weir_xdr_put_u32(enc, weir_xdr_get_u32(dec));
		break;
	case NFSPROC3_READLINK:
		put_post_attr(enc, kind, number);
		weir_xdr_put_opaque(enc, "target", 6);
		break;
	case NFSPROC3_READ:
		answer_read(dec, enc, kind, number);
		break;
	case NFSPROC3_WRITE:
		answer_write(dec, enc, kind, number);
		break;
	case NFSPROC3_CREATE:
	case NFSPROC3_MKDIR:
	case NFSPROC3_SYMLINK:
	case NFSPROC3_MKNOD:
		get_name(dec, &made);
		answer_made(enc,
				proc == NFSPROC3_MKDIR                   ? 'd' :
						proc == NFSPROC3_SYMLINK ? 'l' :
									   'f',
				made);
		break;
	case NFSPROC3_LINK:
		put_post_attr(enc, kind, number);
		put_wcc(enc, 'd', 1);
		break;
	case NFSPROC3_RENAME:
		put_wcc(enc, 'd', 1);
		put_wcc(enc, 'd', 1);
		break;
	case NFSPROC3_READDIR:
	case NFSPROC3_READDIRPLUS:
		answer_readdir(dec, enc, number, proc == NFSPROC3_READDIRPLUS);
		break;
	case NFSPROC3_FSSTAT:
		answer_fsstat(enc, number);
		break;
	case NFSPROC3_FSINFO:
		answer_fsinfo(enc, number);
		break;
	case NFSPROC3_PATHCONF:
		answer_pathconf(enc, number);
		break;
	case NFSPROC3_COMMIT:
		put_wcc(enc, kind, number);
		weir_xdr_put_u64(enc, 4711);
		break;
	default: /* SETATTR, REMOVE, RMDIR */
		put_wcc(enc, kind, number);
		break;
	}
}

void
nfs_liar_answer_mount(uint32_t proc, struct weir_xdr_enc *enc)
{
	if (proc != 1)
		return;
	weir_xdr_put_u32(enc, 0);
	put_handle(enc, 'd', 1);
	weir_xdr_put_u32(enc, 1);
	weir_xdr_put_u32(enc, atomic_load(&files.flavor));
}

bool
nfs_liar_admits(const uint8_t *cred, uint32_t len)
{
	struct weir_xdr_dec dec = { .buf = cred, .len = len };
	const uint32_t group = atomic_load(&files.group);
	bool member = group == 0;
	uint32_t nb;

	weir_xdr_get_u32(&dec);
	weir_xdr_get_opaque(&dec, 255, &nb); /* the machine's name */
	weir_xdr_get_u64(&dec); /* user and first group */
	for (nb = weir_xdr_get_u32(&dec); nb > 0 && !dec.failed; nb--)
		member |= weir_xdr_get_u32(&dec) == group;
	return member;
}
