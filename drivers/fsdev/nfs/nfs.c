/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The driver: what can be said about an export, and who does what. */

#include <rte_common.h>

#include "nfs.h"

static const char *const nfs_write_aliases[] = { "max_xfer_size", NULL };
static const char *const nfs_transports[] = { "tcp", NULL };
static const char *const nfs_versions[] = { "3", NULL };
static const char *const nfs_write_modes[] = { "unstable", "data_sync", "file_sync", NULL };
static const char *const nfs_squashes[] = { "none", "root", "all", NULL };
static const char *const nfs_on_downs[] = { "fail", "retry", NULL };

static const struct weir_param nfs_params[] = {
	WEIR_PARAM(nfs_params, server, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 2,
			.help = "name or address of the NFS server"),
	WEIR_PARAM(nfs_params, exportname, WEIR_STR, .flags = WEIR_PARAM_REQUIRED, .position = 3,
			.help = "path of the export"),
	WEIR_PARAM(nfs_params, transport, WEIR_ENUM, .choices = nfs_transports,
			.help = "how the server is reached"),
	WEIR_PARAM(nfs_params, version, WEIR_ENUM, .choices = nfs_versions,
			.help = "version of NFS"),
	WEIR_PARAM(nfs_params, port, WEIR_U32, .def = 2049, .min = 0, .max = UINT16_MAX,
			.help = "port of NFS; 0: ask the portmapper"),
	WEIR_PARAM(nfs_params, mount_port, WEIR_U32, .min = 0, .max = UINT16_MAX,
			.help = "port of MOUNT; 0: ask the portmapper"),
	WEIR_PARAM(nfs_params, on_down, WEIR_ENUM, .choices = nfs_on_downs,
			.help = "when the server does not answer: fail, or retry in the background"),
	WEIR_PARAM(nfs_params, nconnect, WEIR_U32, .def = 1, .min = 1,
			.max = WEIR_SUNRPC_MAX_CONNECTS, .help = "connections of each worker"),
	WEIR_PARAM(nfs_params, reserved_port, WEIR_BOOL,
			.help = "connect from ports below 1024, as some servers demand"),
	WEIR_PARAM(nfs_params, hard, WEIR_BOOL, .def = true,
			.help = "wait for the server for ever; false: fail with EIO in time"),
	WEIR_PARAM(nfs_params, timeo_ms, WEIR_U32, .def = 60000, .min = 100, .max = 3600000,
			.help = "silence after which a connection is made anew"),
	WEIR_PARAM(nfs_params, retrans, WEIR_U32, .def = 2, .min = 0, .max = 1000,
			.help = "not hard: a call fails after this many timeo_ms and one more"),
	WEIR_PARAM(nfs_params, rsize, WEIR_U32, .def = NFS_MAX_IO, .min = 4096, .max = NFS_MAX_IO,
			.help = "bytes of one READ at most; the server may want less"),
	WEIR_PARAM(nfs_params, wsize, WEIR_U32, .def = NFS_MAX_IO, .min = 4096, .max = NFS_MAX_IO,
			.help = "bytes of one WRITE at most; the server may want less"),
	WEIR_PARAM(nfs_params, max_write, WEIR_U32, .aliases = nfs_write_aliases, .def = 1 << 20,
			.min = 4096, .max = 1 << 20, .help = "bytes of a guest's write at most"),
	WEIR_PARAM(nfs_params, max_readahead, WEIR_U32, .def = 1 << 20,
			.help = "bytes that the guest may read ahead"),
	WEIR_PARAM(nfs_params, write_mode, WEIR_ENUM, .choices = nfs_write_modes,
			.help = "how stable data are when a write is answered"),
	WEIR_PARAM(nfs_params, squash, WEIR_ENUM, .choices = nfs_squashes,
			.help = "whose ids are replaced by anonuid and anongid"),
	WEIR_PARAM(nfs_params, anonuid, WEIR_U32, .def = 65534, .help = "user for squashed ones"),
	WEIR_PARAM(nfs_params, anongid, WEIR_U32, .def = 65534, .help = "group for squashed ones"),
	WEIR_PARAM(nfs_params, enable_xattr, WEIR_BOOL, .flags = WEIR_PARAM_UNSUPPORTED,
			.help = "extended attributes"),
	WEIR_PARAM(nfs_params, enable_notifications, WEIR_BOOL, .flags = WEIR_PARAM_UNSUPPORTED,
			.help = "tell the guest about changes"),
};

static const struct weir_fsdev_ops nfs_ops = {
	.create = nfs_fs_create,
	.cancel = nfs_fs_cancel,
	.destroy = nfs_fs_destroy,
	.info = nfs_info,
	.chan_start = nfs_chan_start,
	.chan_stop = nfs_chan_stop,
	.node_fini = nfs_node_fini,
	.detach = nfs_detach,
	.op = {
		[WEIR_FSOP_LOOKUP] = nfs_op_lookup,
		[WEIR_FSOP_GETATTR] = nfs_op_getattr,
		[WEIR_FSOP_SETATTR] = nfs_op_setattr,
		[WEIR_FSOP_READLINK] = nfs_op_readlink,
		[WEIR_FSOP_SYMLINK] = nfs_op_symlink,
		[WEIR_FSOP_MKNOD] = nfs_op_mknod,
		[WEIR_FSOP_MKDIR] = nfs_op_mkdir,
		[WEIR_FSOP_UNLINK] = nfs_op_unlink,
		[WEIR_FSOP_RMDIR] = nfs_op_rmdir,
		[WEIR_FSOP_RENAME] = nfs_op_rename,
		[WEIR_FSOP_LINK] = nfs_op_link,
		[WEIR_FSOP_OPEN] = nfs_op_open,
		[WEIR_FSOP_CREATE] = nfs_op_create,
		[WEIR_FSOP_READ] = nfs_op_read,
		[WEIR_FSOP_WRITE] = nfs_op_write,
		[WEIR_FSOP_STATFS] = nfs_op_statfs,
		[WEIR_FSOP_RELEASE] = nfs_op_release,
		[WEIR_FSOP_FLUSH] = nfs_op_flush,
		[WEIR_FSOP_FSYNC] = nfs_op_fsync,
		[WEIR_FSOP_OPENDIR] = nfs_op_opendir,
		[WEIR_FSOP_READDIR] = nfs_op_readdir,
		[WEIR_FSOP_RELEASEDIR] = nfs_op_releasedir,
		[WEIR_FSOP_FSYNCDIR] = nfs_op_fsyncdir,
		[WEIR_FSOP_ACCESS] = nfs_op_access,
	},
};

static struct weir_fsdev_driver nfs_driver = {
	.name = "nfs",
	.help = "an export of an NFS server",
	.ops = &nfs_ops,
	.params = nfs_params,
	.nb_params = RTE_DIM(nfs_params),
	.params_size = sizeof(struct nfs_params),
	.defaults = { .valid_ms = 1000, .close_to_open = true, .readdirplus = true },
	.priv_size = sizeof(struct nfs_fs *),
	.chan_priv_size = sizeof(struct nfs_chan),
	.node_priv_size = sizeof(struct nfs_node),
	.file_priv_size = sizeof(struct nfs_file),
};
WEIR_FSDEV_REGISTER(nfs_driver)
