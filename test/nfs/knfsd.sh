# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Linux's own NFS server in a guest (test/guest): version 3 over TCP, ports that are known, no names
# looked up, callers' groups believed. Starting it takes some seconds under emulation.

KNFSD_PORT=2049
KNFSD_MOUNT_PORT=20048

# knfsd_up FOLDER [OPTIONS]: exports it, with further options of exports(5), on a network that is up.
# FOLDER must be of a file system that can be exported: tmpfs is, overlay is not.
knfsd_up()
{
	/usr/sbin/modprobe nfsd || return 1
	mount -t nfsd nfsd /proc/fs/nfsd || return 1
	echo 1 >/proc/sys/fs/nfs/nlm_grace_period
	# Debian's own has manage-gids, which would replace the groups that callers send.
	printf '[mountd]\nmanage-gids=n\n' >/etc/nfs.conf
	echo 'hosts: files' >/etc/nsswitch.conf
	mkdir -p /etc/exports.d /var/lib/nfs /run/rpcbind
	: >/var/lib/nfs/etab
	: >/var/lib/nfs/rmtab
	echo "$1 *(rw,insecure,no_root_squash,no_subtree_check,fsid=0${2:+,$2})" >/etc/exports
	ip link set lo up
	# lockd and mountd want to tell it where they are.
	/usr/sbin/rpcbind -w || return 1
	exportfs -ra || return 1
	rpc.mountd --no-udp --no-nfs-version 4 --port $KNFSD_MOUNT_PORT || return 1
	# Without that it would take less in one call, the less memory there is.
	echo 1048576 >/proc/fs/nfsd/max_block_size
	knfsd_start
}

# knfsd_start: after knfsd_stop, too.
knfsd_start()
{
	rpc.nfsd --no-nfs-version 4 --nfs-version 3 --no-udp --tcp --port $KNFSD_PORT 4
}

# knfsd_stop: ends its threads, and with them all connections; what they know of calls is forgotten.
knfsd_stop()
{
	rpc.nfsd 0
}

# knfsd_drc NAME: a counter of the duplicate request cache: hits, misses or nocache.
knfsd_drc()
{
	awk -v name="$1" '$1 == "rc" { n["hits"] = $2; n["misses"] = $3; n["nocache"] = $4 }
		END { print n[name] + 0 }' /proc/net/rpc/nfsd
}
