/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Mounting an export, on a helper: name resolution, portmapper, MOUNT, and what is asked of the NFS
 * server once (FSINFO, PATHCONF, the root's attributes). All of it is libnfs's, driven by a loop of
 * our own, so that it ends at a deadline.
 */

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include "weir_loop.h"

#include "nfs.h"

/* The headers of libnfs rely on those before them. */
/* clang-format off */
#include <nfsc/libnfs.h>
#include <nfsc/libnfs-zdr.h>
#include <nfsc/libnfs-raw.h>
#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-raw-portmap.h>
/* clang-format on */

#define MOUNT_MS       8000
#define UMOUNT_MS      2000
#define MOUNT_SLICE_MS 100
#define JUKEBOX_MS     200
#define PORTMAP_PORT   111
#define NFS_PORT       2049

/* One conversation with one program; a call at a time. */
struct talk {
	struct nfs_mount *mount;
	const char *what; /**< whom we talk to */
	const char *host; /**< numeric */
	uint64_t deadline_ns;
	struct rpc_context *rpc;
	bool answered;
	bool refused; /**< a call ended without an answer */
	bool later; /**< the server is not ready (JUKEBOX) */
	void (*take)(struct talk *talk, const void *res);
	uint32_t port; /**< that the portmapper knows */
};

static int __rte_format_printf(3, 4)
		mount_fail(struct nfs_mount *mount, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(mount->message, sizeof(mount->message), fmt, ap);
	va_end(ap);
	mount->rc = rc;
	return rc;
}

static void
talk_cb(struct rpc_context *rpc, int status, void *data, void *private_data)
{
	struct talk *talk = private_data;

	talk->answered = true;
	if (status != RPC_STATUS_SUCCESS)
		talk->refused = true;
	else if (talk->take != NULL)
		talk->take(talk, data);
}

static int
talk_down(struct talk *talk, const char *why)
{
	talk->mount->down = true;
	return mount_fail(talk->mount, -EHOSTUNREACH, "%s of %s does not answer: %s", talk->what,
			talk->mount->server, why);
}

/* Waits for the answer to what was just asked; queued is what libnfs said to that. */
static int
talk_wait(struct talk *talk, int queued, void (*take)(struct talk *talk, const void *res))
{
	struct pollfd pfd;

	talk->answered = talk->refused = false;
	talk->take = take;
	if (queued != 0)
		return talk_down(talk, rpc_get_error(talk->rpc));
	while (!talk->answered) {
		if (weir_now_ns() > talk->deadline_ns)
			return talk_down(talk, "no answer in time");
		pfd.fd = rpc_get_fd(talk->rpc);
		pfd.events = (short)rpc_which_events(talk->rpc);
		pfd.revents = 0;
		if (poll(&pfd, 1, MOUNT_SLICE_MS) < 0 && errno != EINTR)
			return talk_down(talk, strerror(errno));
		if (rpc_service(talk->rpc, pfd.revents) < 0 && !talk->answered)
			return talk_down(talk, rpc_get_error(talk->rpc));
	}
	return talk->refused ? talk_down(talk, rpc_get_error(talk->rpc)) : talk->mount->rc;
}

static int
talk_open(struct talk *talk, const char *what, uint32_t port, int program, int version)
{
	talk->what = what;
	talk->rpc = rpc_init_context();
	if (talk->rpc == NULL)
		return mount_fail(talk->mount, -ENOMEM, "no memory");
	return talk_wait(talk,
			rpc_connect_port_async(talk->rpc, talk->host, (int)port, program, version,
					talk_cb, talk),
			NULL);
}

static void
talk_close(struct talk *talk)
{
	if (talk->rpc != NULL)
		rpc_destroy_context(talk->rpc);
	talk->rpc = NULL;
}

static void
take_port(struct talk *talk, const void *res)
{
	talk->port = *(const uint32_t *)res;
}

static int
talk_getport(struct talk *talk, int program, int version)
{
	int rc = talk_open(talk, "portmapper", PORTMAP_PORT, PMAP_PROGRAM, PMAP_V2);

	if (rc == 0)
		rc = talk_wait(talk,
				rpc_pmap2_getport_async(talk->rpc, program, version, IPPROTO_TCP,
						talk_cb, talk),
				take_port);
	talk_close(talk);
	return rc;
}

static const struct {
	mountstat3 status;
	int error;
	const char *text;
} mount_errors[] = {
	{ MNT3ERR_PERM, EPERM, "is not permitted" },
	{ MNT3ERR_NOENT, ENOENT, "does not exist" },
	{ MNT3ERR_IO, EIO, "cannot be read" },
	{ MNT3ERR_ACCES, EACCES, "is not exported to us" },
	{ MNT3ERR_NOTDIR, ENOTDIR, "is not a directory" },
	{ MNT3ERR_INVAL, EINVAL, "is not a valid export" },
	{ MNT3ERR_NAMETOOLONG, ENAMETOOLONG, "is too long a name" },
	{ MNT3ERR_NOTSUPP, EOPNOTSUPP, "cannot be mounted with version 3" },
	{ MNT3ERR_SERVERFAULT, EIO, "made the server fail" },
};

/* What the server names it insists on (RFC 1813, section 5.2.1); some name nothing. */
static bool
takes_auth_sys(const mountres3_ok *ok)
{
	unsigned int i, nb = ok->auth_flavors.auth_flavors_len;

	for (i = 0; i < nb; i++) {
		if (ok->auth_flavors.auth_flavors_val[i] == AUTH_UNIX)
			return true;
	}
	return nb == 0;
}

static void
take_mount(struct talk *talk, const void *data)
{
	struct nfs_mount *mount = talk->mount;
	const mountres3 *res = data;
	const fhandle3 *fh = &res->mountres3_u.mountinfo.fhandle;
	unsigned int i;

	if (res->fhs_status == MNT3_OK && fh->fhandle3_len <= NFS3_FH_MAX) {
		mount->root.len = (uint8_t)fh->fhandle3_len;
		memcpy(mount->root.data, fh->fhandle3_val, fh->fhandle3_len);
		if (!takes_auth_sys(&res->mountres3_u.mountinfo))
			mount_fail(mount, -EACCES,
					"export %s of %s wants another security flavor than sys",
					mount->exportname, mount->server);
		return;
	}
	for (i = 0; i < RTE_DIM(mount_errors); i++) {
		if (mount_errors[i].status == res->fhs_status)
			break;
	}
	if (i < RTE_DIM(mount_errors))
		mount_fail(mount, -mount_errors[i].error, "export %s of %s %s", mount->exportname,
				mount->server, mount_errors[i].text);
	else
		mount_fail(mount, -EIO, "export %s of %s: MOUNT says %d", mount->exportname,
				mount->server, (int)res->fhs_status);
}

static int
mount_mnt(struct talk *talk)
{
	struct nfs_mount *mount = talk->mount;
	int rc = 0;

	talk->port = mount->mount_port;
	if (talk->port == 0)
		rc = talk_getport(talk, MOUNT_PROGRAM, MOUNT_V3);
	if (rc < 0)
		return rc;
	if (talk->port == 0 || talk->port > UINT16_MAX)
		return mount_fail(mount, -EPROTONOSUPPORT,
				"%s has no MOUNT version 3 over TCP registered", mount->server);
	mount->mount_port = (uint16_t)talk->port;
	rc = talk_open(talk, "MOUNT", talk->port, MOUNT_PROGRAM, MOUNT_V3);
	if (rc == 0)
		rc = talk_wait(talk,
				rpc_mount3_mnt_async(talk->rpc, talk_cb, mount->exportname, talk),
				take_mount);
	talk_close(talk);
	return rc;
}

static void
take_root(struct nfs_mount *mount, const fattr3 *attr)
{
	mount->root_fsid = attr->fsid;
	mount->root_fileid = attr->fileid;
}

static void
root_fail(struct talk *talk, const char *proc, nfsstat3 status)
{
	talk->later = status == NFS3ERR_JUKEBOX;
	mount_fail(talk->mount, nfs_errno(status), "the root of %s: %s says %s",
			talk->mount->exportname, proc, nfs_error_name(nfs_error_index(status)));
}

static void
take_getattr(struct talk *talk, const void *data)
{
	const GETATTR3res *res = data;

	if (res->status != NFS3_OK)
		root_fail(talk, "GETATTR", res->status);
	else if (res->GETATTR3res_u.resok.obj_attributes.type != NF3DIR)
		mount_fail(talk->mount, -ENOTDIR, "export %s is not a directory",
				talk->mount->exportname);
	else
		take_root(talk->mount, &res->GETATTR3res_u.resok.obj_attributes);
}

/* Transfers should be a multiple of what the server suggests. */
static uint32_t
whole(uint32_t max, uint32_t mult)
{
	return mult > 0 && mult < max ? max - max % mult : max;
}

static void
take_fsinfo(struct talk *talk, const void *data)
{
	const FSINFO3res *res = data;
	const FSINFO3resok *ok = &res->FSINFO3res_u.resok;

	if (res->status != NFS3_OK) {
		root_fail(talk, "FSINFO", res->status);
		return;
	}
	talk->mount->rtmax = whole(ok->rtmax, ok->rtmult);
	talk->mount->wtmax = whole(ok->wtmax, ok->wtmult);
	talk->mount->dtpref = ok->dtpref;
	talk->mount->maxfilesize = ok->maxfilesize;
}

/* A server that does not say gets the usual limit. */
static void
take_pathconf(struct talk *talk, const void *data)
{
	const PATHCONF3res *res = data;

	if (res->status == NFS3_OK)
		talk->mount->name_max = res->PATHCONF3res_u.resok.name_max;
}

/* A server that has just come up, or fetches what it exports from afar, may ask for patience. */
static bool
talk_again(struct talk *talk)
{
	if (!talk->later)
		return false;
	talk->mount->down = weir_now_ns() > talk->deadline_ns;
	if (talk->mount->down)
		return false;
	usleep(JUKEBOX_MS * 1000);
	talk->mount->rc = 0;
	talk->later = false;
	return true;
}

static int
mount_ask(struct talk *talk)
{
	struct nfs_mount *mount = talk->mount;
	nfs_fh3 fh = { { mount->root.len, (char *)mount->root.data } };
	GETATTR3args getattr = { fh };
	FSINFO3args fsinfo = { fh };
	PATHCONF3args pathconf = { fh };
	int rc;

	rc = talk_open(talk, "NFS", mount->port, NFS_PROGRAM, NFS_V3);
	if (rc == 0)
		rc = talk_wait(talk, rpc_nfs3_getattr_async(talk->rpc, talk_cb, &getattr, talk),
				take_getattr);
	if (rc == 0)
		rc = talk_wait(talk, rpc_nfs3_fsinfo_async(talk->rpc, talk_cb, &fsinfo, talk),
				take_fsinfo);
	if (rc == 0)
		rc = talk_wait(talk, rpc_nfs3_pathconf_async(talk->rpc, talk_cb, &pathconf, talk),
				take_pathconf);
	talk_close(talk);
	return rc;
}

static int
mount_nfs(struct talk *talk)
{
	struct nfs_mount *mount = talk->mount;
	int rc;

	if (mount->port == 0) {
		rc = talk_getport(talk, NFS_PROGRAM, NFS_V3);
		if (rc < 0)
			return rc;
		mount->port = talk->port != 0 && talk->port <= UINT16_MAX ? talk->port : NFS_PORT;
	}
	do
		rc = mount_ask(talk);
	while (rc < 0 && talk_again(talk));
	return rc;
}

static void
addr_set(struct nfs_mount *mount, const struct addrinfo *ai)
{
	memset(&mount->addr, 0, sizeof(mount->addr));
	memcpy(&mount->addr, ai->ai_addr, ai->ai_addrlen);
	mount->addr_len = ai->ai_addrlen;
	if (ai->ai_family == AF_INET6)
		((struct sockaddr_in6 *)&mount->addr)->sin6_port = htons(mount->port);
	else
		((struct sockaddr_in *)&mount->addr)->sin_port = htons(mount->port);
}

static int WEIR_ON_HELPER
mount_address(struct nfs_mount *mount, const struct addrinfo *ai, uint64_t deadline_ns)
{
	struct talk talk = { .mount = mount, .deadline_ns = deadline_ns };
	char host[NI_MAXHOST];
	int rc;

	mount->rc = 0;
	mount->down = false;
	/* A route does not ask whether anybody is there: it is known of a server that is down, too. */
	mount->nic_node = nfs_nic_node(ai->ai_addr, ai->ai_addrlen);
	if (getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) !=
			0)
		return mount_fail(mount, -EINVAL, "%s has an address of no kind", mount->server);
	talk.host = host;
	rc = mount_mnt(&talk);
	if (rc == 0)
		rc = mount_nfs(&talk);
	if (rc == 0)
		addr_set(mount, ai);
	return rc;
}

static struct addrinfo *
mount_resolve(struct nfs_mount *mount)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int rc = getaddrinfo(mount->server, NULL, &hints, &list);

	if (rc == 0)
		return list;
	mount->down = rc == EAI_AGAIN;
	mount_fail(mount, -EHOSTUNREACH, "server %s: %s", mount->server, gai_strerror(rc));
	return NULL;
}

void WEIR_ON_HELPER
nfs_mount_run(struct nfs_mount *mount)
{
	const struct addrinfo *ai;
	struct addrinfo *list;
	uint64_t deadline_ns;

	mount->name_max = NFS3_NAME_MAX;
	mount->nic_node = WEIR_FSDEV_NO_NODE;
	list = mount_resolve(mount);
	deadline_ns = weir_now_ns() + MOUNT_MS * UINT64_C(1000000);
	/* The first address that answers at all decides. */
	for (ai = list; ai != NULL; ai = ai->ai_next) {
		mount_address(mount, ai, deadline_ns);
		if (!mount->down)
			break;
	}
	if (list != NULL)
		freeaddrinfo(list);
}

/* A courtesy: the server's list of who mounts what is of no consequence. */
void WEIR_ON_HELPER
nfs_umount_run(struct nfs_mount *mount)
{
	struct talk talk = { .mount = mount };
	char host[NI_MAXHOST];

	mount->rc = 0;
	talk.deadline_ns = weir_now_ns() + UMOUNT_MS * UINT64_C(1000000);
	talk.host = host;
	if (getnameinfo((struct sockaddr *)&mount->addr, mount->addr_len, host, sizeof(host), NULL,
			    0, NI_NUMERICHOST) == 0 &&
			talk_open(&talk, "MOUNT", mount->mount_port, MOUNT_PROGRAM, MOUNT_V3) == 0)
		talk_wait(&talk, rpc_mount3_umnt_async(talk.rpc, talk_cb, mount->exportname, &talk),
				NULL);
	talk_close(&talk);
}
