/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "busy.h"

#define BUSY_TIMEOUT_S 5

static const char request[] =
		"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"weir_get_workers\"}\n";

static int
busy_connect(const char *path)
{
	const struct timeval timeout = { .tv_sec = BUSY_TIMEOUT_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
			send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

int
busy_ns(const char *path, uint64_t *ns)
{
	json_t *answer, *worker;
	double sum = 0;
	size_t i;
	int fd;

	fd = busy_connect(path);
	if (fd < 0)
		return fd;
	/* The parser stops at the end of the object, so the connection may stay open. */
	answer = json_loadfd(fd, JSON_DISABLE_EOF_CHECK, NULL);
	close(fd);
	if (!json_is_array(json_object_get(answer, "result"))) {
		json_decref(answer);
		return -EPROTO;
	}
	json_array_foreach(json_object_get(answer, "result"), i, worker)
	{
		double hz = json_number_value(json_object_get(worker, "tsc_hz"));

		if (hz > 0)
			sum += json_number_value(json_object_get(worker, "cycles_busy")) * 1e9 / hz;
	}
	json_decref(answer);
	*ns = sum;
	return 0;
}
