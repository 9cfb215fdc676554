/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_loop.h"

#include "rpc.h"
#include "server.h"

#define READ_CHUNK    (64u << 10)
#define OUT_HIGH      (1u << 20) /* no new call starts while this much waits to be read */
#define OUT_MAX       (32u << 20) /* a client that lets more pile up is dropped */
#define EXCHANGES_MAX 64 /* requests of one connection that are under way */

/*
 * One client.
 *
 *	         end of input, garbage            all answered, all sent
 *	SERVING ----------------------> FINISHING ----------------------> destroyed
 *	   '------------- hang-up, error, too much output ------------------^
 */
struct rpc_conn {
	struct weir_fd wfd;
	TAILQ_ENTRY(rpc_conn) next;
	LIST_HEAD(, rpc_exchange) exchanges;
	struct rpc_frame frame;
	struct rpc_text in, out;
	size_t out_sent;
	unsigned int nb_exchanges;
	bool finishing; /* reads no more */
	bool broken; /* nobody is there to talk to */
	bool running; /* conn_run() is on the stack and will see to everything */
};

static TAILQ_HEAD(, rpc_conn) conns = TAILQ_HEAD_INITIALIZER(conns);
static unsigned int nb_conns;

unsigned int
rpc_conn_count(void)
{
	return nb_conns;
}

static void
conn_destroy(struct rpc_conn *conn)
{
	struct rpc_exchange *ex;

	while ((ex = LIST_FIRST(&conn->exchanges)) != NULL) {
		LIST_REMOVE(ex, next);
		ex->owner = NULL;
	}
	TAILQ_REMOVE(&conns, conn, next);
	nb_conns--;
	weir_fd_del(&conn->wfd);
	close(conn->wfd.fd);
	rpc_text_free(&conn->in);
	rpc_text_free(&conn->out);
	free(conn);
}

static void
conn_say(struct rpc_conn *conn, struct rpc_span line)
{
	rpc_text_append(&conn->out, line.p, line.len);
	if (conn->out.failed || conn->out.len - conn->out_sent > OUT_MAX)
		conn->broken = true;
}

static void
conn_say_garbage(struct rpc_conn *conn, const char *error)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":";

	rpc_text_puts(&conn->out, head);
	rpc_text_puts(&conn->out, error);
	conn_say(conn, (struct rpc_span){ "}\n", 2 });
	conn->finishing = true;
}

static void WEIR_ON_CONTROL conn_run(struct rpc_conn *conn);

static void WEIR_ON_CONTROL
conn_answer(struct rpc_exchange *ex, struct rpc_span line, bool fatal)
{
	struct rpc_conn *conn = ex->owner;

	if (conn == NULL)
		return;
	LIST_REMOVE(ex, next);
	conn->nb_exchanges--;
	conn_say(conn, line);
	conn->finishing |= fatal;
	if (!conn->running)
		conn_run(conn);
}

static void WEIR_ON_CONTROL
conn_start_exchange(struct rpc_conn *conn, char *text, size_t len)
{
	struct rpc_exchange *ex = calloc(1, sizeof(*ex));

	if (ex == NULL) {
		conn->broken = true;
		return;
	}
	ex->owner = conn;
	ex->answer = conn_answer;
	LIST_INSERT_HEAD(&conn->exchanges, ex, next);
	conn->nb_exchanges++;
	rpc_exchange_start(ex, text, len);
}

/* Handles the first frame of text. Returns how much of the text is done with; 0: read more. */
static size_t WEIR_ON_CONTROL
conn_step(struct rpc_conn *conn, char *text, size_t len)
{
	struct rpc_frame *frame = &conn->frame;
	enum rpc_frame_state state = rpc_frame_scan(frame, text, len);
	size_t used = frame->pos, frame_len = frame->pos - frame->start;

	if (state == RPC_FRAME_MORE && frame->depth > 0 && frame_len <= RPC_FRAME_MAX)
		return 0;
	if (state == RPC_FRAME_GARBAGE)
		conn_say_garbage(conn, "{\"code\":-32700,\"message\":\"Parse error\"}");
	else if (frame_len > RPC_FRAME_MAX)
		conn_say_garbage(conn,
				"{\"code\":-32600,\"message\":"
				"\"Invalid request: longer than 1 MiB\"}");
	else if (state == RPC_FRAME_DONE)
		conn_start_exchange(conn, text + frame->start, frame_len);
	*frame = (struct rpc_frame){ 0 };
	return used;
}

/* Starts what is complete in the input buffer, as far as the client's share allows. */
static void WEIR_ON_CONTROL
conn_process(struct rpc_conn *conn)
{
	size_t used = 0, step;

	while (used < conn->in.len && !conn->finishing && !conn->broken &&
			conn->nb_exchanges < EXCHANGES_MAX &&
			conn->out.len - conn->out_sent < OUT_HIGH) {
		step = conn_step(conn, conn->in.data + used, conn->in.len - used);
		if (step == 0)
			break;
		used += step;
	}
	/* What has begun moves to the front of the buffer. */
	if (used > 0) {
		conn->in.len -= used;
		memmove(conn->in.data, conn->in.data + used, conn->in.len);
	}
	if (conn->in.len == 0)
		rpc_text_free(&conn->in);
}

static void
conn_read(struct rpc_conn *conn)
{
	char chunk[READ_CHUNK];
	ssize_t n = recv(conn->wfd.fd, chunk, sizeof(chunk), 0);

	if (n > 0)
		rpc_text_append(&conn->in, chunk, (size_t)n);
	else if (n == 0)
		conn->finishing = true;
	else if (errno != EAGAIN && errno != EINTR)
		conn->broken = true;
	conn->broken |= conn->in.failed;
}

static void
conn_write(struct rpc_conn *conn)
{
	ssize_t n;

	while (!conn->broken && conn->out_sent < conn->out.len) {
		n = send(conn->wfd.fd, conn->out.data + conn->out_sent,
				conn->out.len - conn->out_sent, MSG_NOSIGNAL);
		if (n >= 0)
			conn->out_sent += (size_t)n;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			conn->broken = true;
	}
	rpc_text_free(&conn->out);
	conn->out_sent = 0;
}

/* Whether the input buffer may hold a request that only waited for others to be answered. */
static bool
conn_has_work(const struct rpc_conn *conn)
{
	return conn->in.len > conn->frame.pos && !conn->finishing && !conn->broken &&
			conn->nb_exchanges < EXCHANGES_MAX && conn->out.len == 0;
}

/* Carries on as far as it goes, then waits for what is missing. May destroy the connection. */
static void WEIR_ON_CONTROL
conn_run(struct rpc_conn *conn)
{
	uint32_t events = 0;

	conn->running = true;
	do {
		conn_process(conn);
		conn_write(conn);
	} while (conn_has_work(conn));
	conn->running = false;

	if (conn->broken || (conn->finishing && conn->nb_exchanges == 0 && conn->out.len == 0)) {
		conn_destroy(conn);
		rpc_server_resume();
		return;
	}
	if (!conn->finishing && conn->nb_exchanges < EXCHANGES_MAX &&
			conn->out.len - conn->out_sent < OUT_HIGH)
		events |= EPOLLIN;
	if (conn->out.len > 0)
		events |= EPOLLOUT;
	if (events != conn->wfd.events)
		weir_fd_mod(&conn->wfd, events);
}

static void WEIR_ON_CONTROL
conn_ready(struct weir_fd *wfd, uint32_t events)
{
	struct rpc_conn *conn = container_of(wfd, struct rpc_conn, wfd);

	if (events & EPOLLERR)
		conn->broken = true;
	else if (events & EPOLLIN)
		conn_read(conn);
	else if (events & EPOLLHUP)
		conn->broken = true;
	conn_run(conn);
}

int
rpc_conn_create(int fd)
{
	struct rpc_conn *conn = calloc(1, sizeof(*conn));
	int rc;

	if (conn == NULL) {
		close(fd);
		return -ENOMEM;
	}
	LIST_INIT(&conn->exchanges);
	conn->wfd = (struct weir_fd){ .fd = fd, .events = EPOLLIN, .ready = conn_ready };
	rc = weir_fd_add(&conn->wfd);
	if (rc < 0) {
		close(fd);
		free(conn);
		return rc;
	}
	TAILQ_INSERT_TAIL(&conns, conn, next);
	nb_conns++;
	return 0;
}

void
rpc_conn_destroy_all(void)
{
	struct rpc_conn *conn;

	while ((conn = TAILQ_FIRST(&conns)) != NULL)
		conn_destroy(conn);
}
