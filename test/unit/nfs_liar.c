/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_common.h>

#include "../../drivers/fsdev/nfs/nfs3_xdr.h"
#include "nfs_liar.h"
#include "nfs_liar_files.h"

#define MOUNT_PROGRAM 100005
#define MAX_CONNS     16
#define MAX_RECORD    (2u << 20)
#define HEADER        28 /* record mark and the header of a reply that was accepted */
#define MAX_REFUSALS  8
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
	uint8_t *dropped; /* the last call that was */
	uint32_t dropped_len;

	pthread_mutex_t lock; /* of the rest */
	struct refusal refusals[MAX_REFUSALS];
} liar = { .lock = PTHREAD_MUTEX_INITIALIZER };

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
		nfs_liar_answer_mount(proc, &enc);
	} else if (proc != NFSPROC3_NULL && proc < NFSPROC3_NB) {
		atomic_fetch_add(&liar.calls[proc], 1);
		count_resent(call, len);
		if (!is_refused(proc, &status)) {
			if (proc == NFSPROC3_GETATTR || nfs_liar_admits(cred, len_cred))
				nfs_liar_answer_nfs(proc, &dec, &enc);
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
