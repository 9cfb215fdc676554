/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* On which NUMA node the network interface is by which a server is reached. */

#include <ifaddrs.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nfs.h"

/* The address that what is sent to a server comes from; nothing is sent. @return 0 or -1. */
static int
source_of(const struct sockaddr *server, socklen_t len, struct sockaddr_storage *source)
{
	int fd = socket(server->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t room = sizeof(*source);
	int rc;

	if (fd < 0)
		return -1;
	rc = connect(fd, server, len);
	if (rc == 0)
		rc = getsockname(fd, (struct sockaddr *)source, &room);
	close(fd);
	return rc;
}

static bool
address_is(const struct sockaddr *a, const struct sockaddr_storage *b)
{
	if (a == NULL || a->sa_family != b->ss_family)
		return false;
	if (a->sa_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
				((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return a->sa_family == AF_INET6 &&
			memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
					&((const struct sockaddr_in6 *)b)->sin6_addr,
					sizeof(struct in6_addr)) == 0;
}

/* What a device's folder says itself, or one that it is in: virtio's is in that of a PCI device. */
static int
device_node(const char *interface)
{
	char path[PATH_MAX], file[PATH_MAX + 16], *slash;
	int node = WEIR_FSDEV_NO_NODE;
	FILE *f;

	snprintf(file, sizeof(file), "/sys/class/net/%s/device", interface);
	if (realpath(file, path) == NULL)
		return node;
	while ((slash = strrchr(path, '/')) != NULL && slash != path) {
		snprintf(file, sizeof(file), "%s/numa_node", path);
		f = fopen(file, "re");
		if (f != NULL) {
			if (fscanf(f, "%d", &node) != 1 || node < 0)
				node = WEIR_FSDEV_NO_NODE;
			fclose(f);
			return node;
		}
		*slash = '\0';
	}
	return node;
}

int WEIR_ON_HELPER
nfs_nic_node(const struct sockaddr *server, socklen_t len)
{
	struct ifaddrs *list, *ifa;
	struct sockaddr_storage source;
	int node = WEIR_FSDEV_NO_NODE;

	if (source_of(server, len, &source) < 0 || getifaddrs(&list) < 0)
		return node;
	for (ifa = list; ifa != NULL && !address_is(ifa->ifa_addr, &source); ifa = ifa->ifa_next)
		;
	if (ifa != NULL)
		node = device_node(ifa->ifa_name);
	freeifaddrs(list);
	return node;
}
