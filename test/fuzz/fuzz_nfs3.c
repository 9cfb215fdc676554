/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Takes the input for the results of an NFSv3 procedure: the first byte says of which. Holds: whatever
 * is got lies within the input, lists end, and what is too long is refused.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "../../drivers/fsdev/nfs/nfs3_xdr.h"
#include "fuzz.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

static void
check_inside(const struct weir_xdr_dec *dec, const void *data, uint32_t len)
{
	const uint8_t *from = data;

	CHECK(from >= dec->buf && len <= dec->len && from + len <= dec->buf + dec->len);
}

static void
check_obj(const struct nfs3_obj *obj)
{
	CHECK(!obj->has_fh || obj->fh.len <= NFS3_FH_MAX);
	CHECK(!obj->attr.there ||
			(obj->attr.attr.type >= NFS3_REG && obj->attr.attr.type <= NFS3_FIFO));
}

static void
try_directory(struct weir_xdr_dec *dec, bool plus)
{
	struct nfs3_readdir_res res;
	struct nfs3_entry entry;
	uint32_t before;
	bool eof;
	int rc;

	if (nfs3_get_readdir(dec, &res) < 0)
		return;
	do {
		before = dec->off;
		rc = nfs3_get_entry(dec, plus, &entry, &eof);
		CHECK(dec->off > before || rc < 0);
		if (rc != 1)
			continue;
		check_inside(dec, entry.name, entry.name_len);
		check_obj(&entry.obj);
	} while (rc == 1);
	CHECK(rc == 0 || rc == -EBADMSG);
}

/* What is found early is what is found late. */
static void
try_read(const uint8_t *data, uint32_t size)
{
	uint32_t off, len, first_off, first_len, n;
	int rc = -EAGAIN;

	for (n = 0; n <= size && rc == -EAGAIN; n++)
		rc = nfs3_find_read_data(data, n, &first_off, &first_len);
	if (rc < 0)
		return;
	CHECK(nfs3_find_read_data(data, size, &off, &len) == 0);
	CHECK(off == first_off && len == first_len && off <= n);
}

static void
try_results(uint8_t proc, struct weir_xdr_dec *dec)
{
	union {
		struct nfs3_attr attr;
		struct nfs3_obj obj;
		struct nfs3_access_res access;
		struct nfs3_readlink_res readlink;
		struct nfs3_write_res write;
		struct nfs3_post_attr post;
		struct nfs3_fsstat_res fsstat;
		struct nfs3_commit_res commit;
	} res;

	switch (proc) {
	case NFSPROC3_GETATTR:
		nfs3_get_getattr(dec, &res.attr);
		break;
	case NFSPROC3_LOOKUP:
		if (nfs3_get_lookup(dec, &res.obj) == 0)
			check_obj(&res.obj);
		break;
	case NFSPROC3_ACCESS:
		nfs3_get_access(dec, &res.access);
		break;
	case NFSPROC3_READLINK:
		if (nfs3_get_readlink(dec, &res.readlink) == 0)
			check_inside(dec, res.readlink.target, res.readlink.len);
		break;
	case NFSPROC3_WRITE:
		if (nfs3_get_write(dec, &res.write) == 0)
			CHECK(res.write.committed <= NFS3_FILE_SYNC);
		break;
	case NFSPROC3_CREATE:
		if (nfs3_get_create(dec, &res.obj) == 0)
			check_obj(&res.obj);
		break;
	case NFSPROC3_LINK:
		nfs3_get_link(dec, &res.post);
		break;
	case NFSPROC3_READDIR:
	case NFSPROC3_READDIRPLUS:
		try_directory(dec, proc == NFSPROC3_READDIRPLUS);
		break;
	case NFSPROC3_FSSTAT:
		nfs3_get_fsstat(dec, &res.fsstat);
		break;
	case NFSPROC3_COMMIT:
		nfs3_get_commit(dec, &res.commit);
		break;
	default:
		nfs3_get_wcc(dec, &res.post);
		break;
	}
	CHECK(dec->off <= dec->len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_xdr_dec dec = { 0 };
	uint8_t *copy;

	if (size == 0 || size > 65536)
		return 0;
	/* Of its own size, so that a step beyond is noticed. */
	copy = malloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	dec.buf = copy;
	dec.len = (uint32_t)size - 1;
	if (data[0] % NFSPROC3_NB == NFSPROC3_READ)
		try_read(copy, dec.len);
	else
		try_results(data[0] % NFSPROC3_NB, &dec);
	free(copy);
	return 0;
}
