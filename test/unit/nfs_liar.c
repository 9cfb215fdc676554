/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_common.h>

#include "../../drivers/fsdev/nfs/nfs3_xdr.h"
#include "nfs_liar.h"

#define MOUNT_PROGRAM 100005
#define MAX_CONNS     16
#define MAX_RECORD    (2u << 20)
#define HEADER        28 /* record mark and the header of a reply that was accepted */
#define MAX_REFUSALS  8
#define NOENT         2
#define ACCES         13

struct conn {
	int fd;
	uint8_t *in;
	size_t nb;
};

/* A reply on its way out, and one that was kept back. */
struct reply {
	uint8_t *bytes;
	uint32_t len;
};

struct refusal {
	uint32_t proc, status;
	unsigned int nb; /* 0: none */
};

static struct {
	int listen_fd, stop_fd;
	pthread_t thread;
	struct conn conns[MAX_CONNS];
	struct reply out, kept;
	_Atomic uint32_t seed;
	_Atomic unsigned int per_mille, lies;
	_Atomic unsigned int resent, calls[NFSPROC3_NB];
	_Atomic bool terse;
	_Atomic uint32_t most; /* bytes of READ and WRITE */
	_Atomic uint32_t flavor, mult;
	_Atomic uint32_t group;
	uint8_t *dropped; /* the last call that was */
	uint32_t dropped_len;

	pthread_mutex_t lock; /* of the rest */
	struct refusal refusals[MAX_REFUSALS];
} liar = { .lock = PTHREAD_MUTEX_INITIALIZER, .most = 1 << 20, .flavor = 1, .mult = 4096 };

static uint32_t
rnd(void)
{
	uint32_t x = atomic_load(&liar.seed);

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	atomic_store(&liar.seed, x);
	return x;
}

void
nfs_liar_lie(uint32_t seed, unsigned int per_mille)
{
	atomic_store(&liar.seed, seed * 2654435761u | 1);
	atomic_store(&liar.per_mille, per_mille);
}

unsigned int
nfs_liar_lies(void)
{
	return atomic_load(&liar.lies);
}

void
nfs_liar_refuse_then(uint32_t proc, uint32_t status, unsigned int nb)
{
	unsigned int i;

	pthread_mutex_lock(&liar.lock);
	for (i = 0; i < MAX_REFUSALS && liar.refusals[i].nb > 0; i++)
		;
	if (i == MAX_REFUSALS)
		abort();
	liar.refusals[i] = (struct refusal){ .proc = proc, .status = status, .nb = nb };
	pthread_mutex_unlock(&liar.lock);
}

void
nfs_liar_refuse(uint32_t proc, uint32_t status, unsigned int nb)
{
	pthread_mutex_lock(&liar.lock);
	memset(liar.refusals, 0, sizeof(liar.refusals));
	pthread_mutex_unlock(&liar.lock);
	nfs_liar_refuse_then(proc, status, nb);
}

unsigned int
nfs_liar_resent(void)
{
	return atomic_load(&liar.resent);
}

unsigned int
nfs_liar_calls(uint32_t proc)
{
	return atomic_load(&liar.calls[proc]);
}

void
nfs_liar_be_short(uint32_t bytes)
{
	atomic_store(&liar.most, bytes);
}

void
nfs_liar_offer(uint32_t flavor, uint32_t mult)
{
	atomic_store(&liar.flavor, flavor);
	atomic_store(&liar.mult, mult);
}

void
nfs_liar_be_terse(bool terse)
{
	atomic_store(&liar.terse, terse);
}

void
nfs_liar_demand(uint32_t group)
{
	atomic_store(&liar.group, group);
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
	weir_xdr_put_u32(enc, atomic_load(&liar.group));
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

	left = RTE_MIN(left, atomic_load(&liar.most));
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
		weir_xdr_put_u32(enc, i % 3 == 2 ? atomic_load(&liar.mult) : 65536);
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
	count = RTE_MIN(weir_xdr_get_u32(dec), atomic_load(&liar.most));
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
		if (atomic_load(&liar.terse))
			weir_xdr_put_u32(enc, false);
		else
			put_post_attr(enc, kind, number);
	}
	weir_xdr_put_u32(enc, false);
}

static void
answer_nfs(uint32_t proc, struct weir_xdr_dec *dec, struct weir_xdr_enc *enc)
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

static void
answer_mount(uint32_t proc, struct weir_xdr_enc *enc)
{
	if (proc != 1)
		return;
	weir_xdr_put_u32(enc, 0);
	put_handle(enc, 'd', 1);
	weir_xdr_put_u32(enc, 1);
	weir_xdr_put_u32(enc, atomic_load(&liar.flavor));
}

/* What a call is to be answered with instead of what is true: false, nothing. */
static bool
is_refused(uint32_t proc, uint32_t *status)
{
	struct refusal *refusal = NULL;
	unsigned int i;

	pthread_mutex_lock(&liar.lock);
	for (i = 0; i < MAX_REFUSALS && refusal == NULL; i++)
		if (liar.refusals[i].nb > 0 && liar.refusals[i].proc == proc)
			refusal = &liar.refusals[i];
	if (refusal != NULL) {
		*status = refusal->status;
		refusal->nb--;
	}
	pthread_mutex_unlock(&liar.lock);
	return refusal != NULL;
}

/* Is the group that is demanded among the others of an AUTH_SYS credential? */
static bool
is_member(const uint8_t *cred, uint32_t len)
{
	struct weir_xdr_dec dec = { .buf = cred, .len = len };
	const uint32_t group = atomic_load(&liar.group);
	bool member = group == 0;
	uint32_t nb;

	weir_xdr_get_u32(&dec);
	weir_xdr_get_opaque(&dec, 255, &nb); /* the machine's name */
	weir_xdr_get_u64(&dec); /* user and first group */
	for (nb = weir_xdr_get_u32(&dec); nb > 0 && !dec.failed; nb--)
		member |= weir_xdr_get_u32(&dec) == group;
	return member;
}

static void
answer_denied(uint32_t proc, struct weir_xdr_enc *enc)
{
	/* ACCESS says so by a mask. */
	weir_xdr_put_u32(enc, proc == NFSPROC3_ACCESS ? NFS3STAT_OK : ACCES);
	for (unsigned int i = 0; i < 4; i++)
		weir_xdr_put_u32(enc, false);
}

static void
remember_dropped(const uint8_t *call, uint32_t len)
{
	memcpy(liar.dropped, call, len);
	liar.dropped_len = len;
}

/* Is it the call that was dropped before? */
static void
count_resent(const uint8_t *call, uint32_t len)
{
	if (len == liar.dropped_len && memcmp(call, liar.dropped, len) == 0)
		atomic_fetch_add(&liar.resent, 1);
	liar.dropped_len = 0;
}

/* The good reply to a call, in liar.out. @return false: there is none. */
static bool
answer(const uint8_t *call, uint32_t len)
{
	struct weir_xdr_dec dec = { .buf = call, .len = len };
	struct weir_xdr_enc enc = { .buf = liar.out.bytes, .size = MAX_RECORD };
	uint32_t xid = weir_xdr_get_u32(&dec), program, proc, len_cred = 0, skip, status;
	const uint8_t *cred;

	weir_xdr_get_u64(&dec); /* a call, of RPC version 2 */
	program = weir_xdr_get_u32(&dec);
	weir_xdr_get_u32(&dec);
	proc = weir_xdr_get_u32(&dec);
	weir_xdr_get_u32(&dec);
	cred = weir_xdr_get_opaque(&dec, 400, &len_cred);
	weir_xdr_get_u32(&dec);
	weir_xdr_get_opaque(&dec, 400, &skip);
	weir_xdr_put_u32(&enc, 0);
	weir_xdr_put_u32(&enc, xid);
	weir_xdr_put_u32(&enc, 1);
	for (unsigned int i = 0; i < 4; i++)
		weir_xdr_put_u32(&enc, 0);
	if (program == MOUNT_PROGRAM) {
		answer_mount(proc, &enc);
	} else if (proc != NFSPROC3_NULL && proc < NFSPROC3_NB) {
		atomic_fetch_add(&liar.calls[proc], 1);
		count_resent(call, len);
		if (!is_refused(proc, &status)) {
			if (proc == NFSPROC3_GETATTR || is_member(cred, len_cred))
				answer_nfs(proc, &dec, &enc);
			else
				answer_denied(proc, &enc);
		} else if (status != NFS_LIAR_DROP) {
			/* No attributes follow; four words are what RENAME has. */
			weir_xdr_put_u32(&enc, status);
			for (unsigned int i = 0; i < 4; i++)
				weir_xdr_put_u32(&enc, false);
		} else {
			remember_dropped(call, len);
			return false;
		}
	}
	liar.out.len = enc.len;
	return true;
}

static void
set_word(uint32_t off, uint32_t value)
{
	value = rte_cpu_to_be_32(value);
	memcpy(liar.out.bytes + off, &value, sizeof(value));
}

/* A word somewhere behind the header; 0: there is none. */
static uint32_t
any_word(void)
{
	uint32_t nb = (liar.out.len - HEADER) / 4;

	/* Lengths and booleans are near the beginning. */
	nb = RTE_MIN(nb, rnd() % 2 == 0 ? 64u : 100000u);
	return nb == 0 ? 0 : HEADER + rnd() % nb * 4;
}

static void
lie_about_a_word(void)
{
	static const uint32_t values[] = { 0, 1, 2, 3, 64, 65, 255, 256, 4096, 65536, 1 << 20,
		0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff };
	uint32_t off = any_word();

	if (off > 0)
		set_word(off, values[rnd() % RTE_DIM(values)]);
}

static void
send_all(int fd, const uint8_t *bytes, uint32_t len)
{
	ssize_t n;

	for (; len > 0; bytes += n, len -= (uint32_t)n) {
		n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
	}
}

static void
send_out(int fd)
{
	set_word(0, 0x80000000 | (liar.out.len - 4));
	send_all(fd, liar.out.bytes, liar.out.len);
}

/* In three fragments, one of them empty. */
static void
send_fragments(int fd)
{
	uint32_t len = liar.out.len - 4, first = rnd() % len;
	uint8_t *body = malloc(len);

	memcpy(body, liar.out.bytes + 4, len);
	set_word(0, first);
	send_all(fd, liar.out.bytes, 4);
	send_all(fd, body, first);
	set_word(0, 0);
	send_all(fd, liar.out.bytes, 4);
	set_word(0, 0x80000000 | (len - first));
	send_all(fd, liar.out.bytes, 4);
	send_all(fd, body + first, len - first);
	free(body);
}

/* This one later, one that was kept back now. */
static void
send_swapped(int fd)
{
	struct reply now = liar.kept;

	liar.kept = liar.out;
	liar.out = now;
	if (liar.out.len > 0)
		send_out(fd);
	liar.out.len = 0;
}

/* @return false: the connection is to be closed. */
static bool
send_lie(int fd)
{
	atomic_fetch_add(&liar.lies, 1);
	switch (rnd() % 12) {
	case 0:
		liar.out.len = HEADER + rnd() % (liar.out.len - HEADER + 1);
		break;
	case 1:
		liar.out.len += rnd() % 5000 & ~3u;
		break;
	case 2:
		send_out(fd);
		break;
	case 3:
		set_word(4, rnd());
		break;
	case 4:
		set_word(HEADER, rnd() % 2 == 0 ? rnd() % 100 : 10000 + rnd() % 10);
		break;
	case 5:
		set_word(8 + rnd() % 5 * 4, rnd() % 6);
		break;
	case 6:
		send_swapped(fd);
		return true;
	case 7:
		send_all(fd, liar.out.bytes, rnd() % liar.out.len);
		return false;
	case 8:
		send_fragments(fd);
		return true;
	default:
		for (unsigned int i = 0; i <= rnd() % 3; i++)
			lie_about_a_word();
		break;
	}
	send_out(fd);
	return true;
}

static void
conn_close(struct conn *conn)
{
	close(conn->fd);
	conn->fd = -1;
	conn->nb = 0;
	liar.kept.len = 0;
}

/* @return false: the connection is to be closed. */
static bool
conn_answer(struct conn *conn, uint32_t len)
{
	bool ok = true;

	if (!answer(conn->in + 4, len))
		return false;
	if (rnd() % 1000 < atomic_load(&liar.per_mille))
		ok = send_lie(conn->fd);
	else
		send_out(conn->fd);
	return ok;
}

static void
conn_read(struct conn *conn)
{
	ssize_t n = recv(conn->fd, conn->in + conn->nb, MAX_RECORD - conn->nb, 0);
	uint32_t mark;

	if (n <= 0) {
		conn_close(conn);
		return;
	}
	conn->nb += (size_t)n;
	while (conn->nb >= 4) {
		memcpy(&mark, conn->in, 4);
		mark = rte_be_to_cpu_32(mark) & 0x7fffffff;
		if (mark > MAX_RECORD - 4 || conn->nb < 4 + mark)
			return;
		if (!conn_answer(conn, mark)) {
			conn_close(conn);
			return;
		}
		conn->nb -= 4 + mark;
		memmove(conn->in, conn->in + 4 + mark, conn->nb);
	}
}

static void
conn_accept(void)
{
	int fd = accept4(liar.listen_fd, NULL, NULL, SOCK_CLOEXEC);

	for (unsigned int i = 0; i < MAX_CONNS; i++) {
		if (liar.conns[i].fd < 0) {
			liar.conns[i].fd = fd;
			return;
		}
	}
	close(fd);
}

static void *
liar_main(void *arg)
{
	struct pollfd fds[MAX_CONNS + 2];

	while (true) {
		fds[0] = (struct pollfd){ .fd = liar.stop_fd, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = liar.listen_fd, .events = POLLIN };
		for (unsigned int i = 0; i < MAX_CONNS; i++)
			fds[i + 2] = (struct pollfd){ .fd = liar.conns[i].fd, .events = POLLIN };
		poll(fds, RTE_DIM(fds), -1);
		if (fds[0].revents != 0)
			return NULL;
		for (unsigned int i = 0; i < MAX_CONNS; i++)
			if (fds[i + 2].revents != 0)
				conn_read(&liar.conns[i]);
		if (fds[1].revents != 0)
			conn_accept();
	}
}

uint16_t
nfs_liar_start(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	liar.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	liar.stop_fd = eventfd(0, EFD_CLOEXEC);
	/* Room for a reply that is stretched. */
	liar.out.bytes = calloc(1, MAX_RECORD + 8192);
	liar.kept.bytes = calloc(1, MAX_RECORD + 8192);
	liar.dropped = malloc(MAX_RECORD);
	for (unsigned int i = 0; i < MAX_CONNS; i++)
		liar.conns[i] = (struct conn){ .fd = -1, .in = malloc(MAX_RECORD) };
	if (liar.listen_fd < 0 || liar.stop_fd < 0 ||
			bind(liar.listen_fd, (struct sockaddr *)&addr, len) < 0 ||
			listen(liar.listen_fd, 16) < 0 ||
			getsockname(liar.listen_fd, (struct sockaddr *)&addr, &len) < 0 ||
			pthread_create(&liar.thread, NULL, liar_main, NULL) != 0)
		return 0;
	return ntohs(addr.sin_port);
}

void
nfs_liar_stop(void)
{
	eventfd_write(liar.stop_fd, 1);
	pthread_join(liar.thread, NULL);
	for (unsigned int i = 0; i < MAX_CONNS; i++) {
		if (liar.conns[i].fd >= 0)
			close(liar.conns[i].fd);
		free(liar.conns[i].in);
	}
	free(liar.out.bytes);
	free(liar.kept.bytes);
	free(liar.dropped);
	close(liar.listen_fd);
	close(liar.stop_fd);
}
