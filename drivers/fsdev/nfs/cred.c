/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * As whom a call is made. FUSE tells a caller's user and first group only. But the guest's kernel
 * knows all groups, and has judged by them, and by the owner, group and mode that it was told,
 * before weir hears of a request. So where the server denies what the guest has allowed, the caller
 * may be in the group of the file, or of the directory of the name, and the call is made once more
 * with that group. A server that looks groups up does not heed it.
 *
 * Not for user 0, nor for who is made to be somebody else, by squashing or by a device's map: they
 * may pass the guest's judgement without any group, and shall be no more than they are made.
 */

#include "nfs.h"

void
nfs_cred_squash(const struct nfs_params *params, const struct weir_cred *cred, uint32_t *uid,
		uint32_t *gid)
{
	const bool all = params->squash == NFS_SQUASH_ALL;
	const bool root = params->squash == NFS_SQUASH_ROOT;

	*uid = all || (root && cred->uid == 0) ? params->anonuid : cred->uid;
	*gid = all || (root && cred->gid == 0) ? params->anongid : cred->gid;
}

/* Is it about data of an open file? ftruncate() is. */
static bool
cred_is_opens(const struct weir_fsreq *req)
{
	switch (req->op) {
	case WEIR_FSOP_READ:
	case WEIR_FSOP_WRITE:
	case WEIR_FSOP_FLUSH:
	case WEIR_FSOP_FSYNC:
		return req->file != NULL;
	case WEIR_FSOP_SETATTR:
		return req->file != NULL && (req->in.setattr.valid & WEIR_SET_SIZE) != 0;
	default:
		return false;
	}
}

/* One who is made to be nobody is in nobody's groups. */
static void
cred_add(const struct nfs_params *params, uint32_t group, struct weir_sunrpc_cred *cred)
{
	uint32_t i;

	if (params->squash == NFS_SQUASH_ALL || (params->squash == NFS_SQUASH_ROOT && group == 0))
		return;
	for (i = 0; i < cred->nb_groups; i++)
		if (cred->groups[i] == group)
			return;
	if (group != NFS_NO_GROUP && group != cred->gid)
		cred->groups[cred->nb_groups++] = group;
}

/* Data of an open file moves as whoever opened it, as the guest's own kernel would have it. */
static void
cred_told(const struct nfs_call *call, struct weir_sunrpc_cred *cred)
{
	const struct nfs_params *params = call->chan->fs->params;
	const struct weir_fsreq *req = call->req;
	const struct nfs_file *file;

	cred->nb_groups = 0;
	if (!cred_is_opens(req)) {
		nfs_cred_squash(params, &req->cred, &cred->uid, &cred->gid);
		if (req->cred.has_group)
			cred_add(params, req->cred.group, cred);
		return;
	}
	file = nfs_file_of(req->file);
	cred->uid = file->uid;
	cred->gid = file->gid;
}

static uint32_t
node_group(const struct weir_node *node)
{
	return atomic_load_explicit(&nfs_node_of(node)->gid, memory_order_relaxed);
}

/* Of the directory in which a name of ours is. */
static uint32_t WEIR_ON_WORKER
silly_group(const struct weir_fsreq *req)
{
	struct weir_fsdev *dev = weir_channel_fsdev(req->chan);
	struct weir_node *dir = weir_node_get(dev, nfs_node_of(req->node)->silly_dir);
	uint32_t gid = node_group(dir);

	weir_node_put(dev, dir);
	return gid;
}

/* The groups by which the guest may have judged, in numbers that are the same to both. */
static void WEIR_ON_WORKER
cred_add_judged(const struct nfs_call *call, struct weir_sunrpc_cred *cred)
{
	const struct nfs_params *params = call->chan->fs->params;
	struct weir_fsreq *req = call->req;

	if (cred->uid == 0 || req->cred.mapped ||
			(params->squash != NFS_SQUASH_NONE && cred->uid == params->anonuid))
		return;
	if (nfs_ctx_of(req)->task && call->step->proc == NFSPROC3_REMOVE)
		cred_add(params, silly_group(req), cred);
	else
		cred_add(params, node_group(req->node), cred);
	if (req->op == WEIR_FSOP_RENAME)
		cred_add(params, node_group(req->newnode), cred);
	if (req->op == WEIR_FSOP_SETATTR && (req->in.setattr.valid & WEIR_SET_GID) != 0)
		cred_add(params, req->in.setattr.attr.gid, cred);
}

/*
 * From a new file in a setgid directory a server takes the bit unless its maker is in the directory's
 * group, and does not say so. The guest has left it on, so its caller is; where it knew that the
 * directory is one.
 */
void WEIR_ON_WORKER
nfs_cred_make(struct weir_fsreq *req)
{
	if ((req->flags & WEIR_FSREQ_SETGID) != 0)
		nfs_ctx_of(req)->grouped = atomic_load_explicit(
				&nfs_node_of(req->node)->setgid, memory_order_relaxed);
}

/* The file whose later calls are denied as this one is. */
static struct nfs_file *
cred_file(const struct weir_fsreq *req)
{
	const bool its = cred_is_opens(req) || req->op == WEIR_FSOP_OPEN ||
			req->op == WEIR_FSOP_READDIR;

	return its && req->file != NULL ? nfs_file_of(req->file) : NULL;
}

void WEIR_ON_WORKER
nfs_cred(struct nfs_call *call, struct weir_sunrpc_cred *cred)
{
	const struct nfs_file *file = cred_file(call->req);

	cred_told(call, cred);
	call->grouped = nfs_ctx_of(call->req)->grouped ||
			(file != NULL &&
					atomic_load_explicit(&file->grouped, memory_order_relaxed));
	if (call->grouped)
		cred_add_judged(call, cred);
}

bool WEIR_ON_WORKER
nfs_cred_again(struct nfs_call *call)
{
	struct nfs_file *file = cred_file(call->req);
	struct weir_sunrpc_cred cred;
	uint32_t nb;

	if (call->grouped || call->step->found)
		return false;
	cred_told(call, &cred);
	nb = cred.nb_groups;
	cred_add_judged(call, &cred);
	if (cred.nb_groups == nb)
		return false;
	nfs_ctx_of(call->req)->grouped = true;
	if (file != NULL)
		atomic_store_explicit(&file->grouped, true, memory_order_relaxed);
	return true;
}
