/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The bytes of RFC 5531, sections 8 and 9, and of AUTH_SYS (appendix A). */

#include <errno.h>

#include "sunrpc.h"

#define RPC_VERSION  2
#define AUTH_NONE    0
#define AUTH_SYS     1
#define AUTH_MAX_LEN 400 /* of a verifier's body */

enum msg_type {
	CALL,
	REPLY,
};

enum reply_stat {
	MSG_ACCEPTED,
	MSG_DENIED,
};

enum accept_stat {
	SUCCESS,
	PROG_UNAVAIL,
	PROG_MISMATCH,
	PROC_UNAVAIL,
	GARBAGE_ARGS,
	SYSTEM_ERR,
};

enum reject_stat {
	RPC_MISMATCH,
	AUTH_ERROR,
};

void
sunrpc_header_put(struct weir_xdr_enc *enc, uint32_t xid, uint32_t program, uint32_t version,
		uint32_t proc)
{
	weir_xdr_put_u32(enc, xid);
	weir_xdr_put_u32(enc, CALL);
	weir_xdr_put_u32(enc, RPC_VERSION);
	weir_xdr_put_u32(enc, program);
	weir_xdr_put_u32(enc, version);
	weir_xdr_put_u32(enc, proc);
}

void
sunrpc_cred_put(struct weir_xdr_enc *enc, const struct weir_sunrpc_cred *cred, const char *machine,
		uint32_t machine_len)
{
	uint32_t len_at, nb_groups, i;

	if (cred == NULL) {
		weir_xdr_put_u32(enc, AUTH_NONE);
		weir_xdr_put_u32(enc, 0);
	} else {
		nb_groups = RTE_MIN(cred->nb_groups, (uint32_t)WEIR_SUNRPC_MAX_GROUPS);
		weir_xdr_put_u32(enc, AUTH_SYS);
		len_at = RTE_ALIGN_CEIL(machine_len, 4);
		weir_xdr_put_u32(enc, 4 + 4 + len_at + 4 + 4 + 4 + 4 * nb_groups);
		/* The stamp is arbitrary; the duplicate request cache wants it to be the same. */
		weir_xdr_put_u32(enc, 0);
		weir_xdr_put_opaque(enc, machine, machine_len);
		weir_xdr_put_u32(enc, cred->uid);
		weir_xdr_put_u32(enc, cred->gid);
		weir_xdr_put_u32(enc, nb_groups);
		for (i = 0; i < nb_groups; i++)
			weir_xdr_put_u32(enc, cred->groups[i]);
	}
	weir_xdr_put_u32(enc, AUTH_NONE);
	weir_xdr_put_u32(enc, 0);
}

static int
accept_errno(uint32_t stat)
{
	switch (stat) {
	case SUCCESS:
		return 0;
	case PROG_UNAVAIL:
	case PROG_MISMATCH:
	case PROC_UNAVAIL:
		return -EPROTONOSUPPORT;
	case SYSTEM_ERR:
		return -EIO;
	default: /* GARBAGE_ARGS too: one of the two did not understand the other */
		return -EBADMSG;
	}
}

static int
reject_errno(uint32_t stat)
{
	switch (stat) {
	case RPC_MISMATCH:
		return -EPROTONOSUPPORT;
	case AUTH_ERROR:
		return -EACCES;
	default:
		return -EBADMSG;
	}
}

int
sunrpc_header_get(const uint8_t *buf, uint32_t nb, uint32_t *off)
{
	struct weir_xdr_dec dec = { .buf = buf, .len = nb };
	uint32_t stat, len;
	int rc;

	(void)weir_xdr_get_u32(&dec); /* xid */
	if (weir_xdr_get_u32(&dec) != REPLY)
		return dec.failed ? -EAGAIN : -EBADMSG;
	stat = weir_xdr_get_u32(&dec);
	if (stat > MSG_DENIED)
		return -EBADMSG;
	if (stat == MSG_ACCEPTED) {
		(void)weir_xdr_get_u32(&dec); /* verifier: flavor */
		len = weir_xdr_get_u32(&dec);
		if (len > AUTH_MAX_LEN)
			return -EBADMSG;
		(void)weir_xdr_get_fixed(&dec, len);
	}
	rc = weir_xdr_get_u32(&dec);
	if (dec.failed)
		return -EAGAIN;
	rc = stat == MSG_ACCEPTED ? accept_errno((uint32_t)rc) : reject_errno((uint32_t)rc);
	if (rc == 0)
		*off = dec.off;
	return rc;
}
