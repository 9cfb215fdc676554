# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# What guest scripts share. They run as root under busybox; /out ($OUT) is shared with the host.

# check NAME [LABEL]: runs check_NAME, which ends at its first failing command, and writes one line
# "ok LABEL SECONDS" or "not ok LABEL SECONDS" to /out/results. What it printed is in /out/log/LABEL.
check()
{
	_name=$1 _label=${2:-$1} _from=$(uptime_cs)

	mkdir -p "$OUT/log"
	(
		set -e
		"check_$_name"
	) >"$OUT/log/$_label" 2>&1
	_rc=$? _took=$(($(uptime_cs) - _from)) _word=ok
	[ $_rc = 0 ] || _word='not ok'
	echo "$_word $_label $((_took / 100)).$((_took % 100 / 10))" >>"$OUT/results"
	return $_rc
}

# Hundredths of a second since boot.
uptime_cs()
{
	sed 's/\([0-9]*\)\.\([0-9]*\) .*/\1\2/' /proc/uptime
}

# meet NAME: tells the host that the guest is here, and waits until the host says go.
meet()
{
	echo 1 >"$OUT/at-$1"
	while [ ! -e "$OUT/go-$1" ]; do sleep 0.1; done
}

# same WHAT EXPECTED GOT
same()
{
	[ "$2" = "$3" ] || {
		echo "$1: expected '$2', got '$3'"
		return 1
	}
}

# refused COMMAND...: it fails.
refused()
{
	if "$@"; then
		echo "not refused: $*"
		return 1
	fi
}

# as UID GID GROUPS COMMAND...: as that user; GROUPS is a comma list or none.
as()
{
	_uid=$1 _gid=$2 _groups=$3
	shift 3
	if [ "$_groups" = none ]; then _groups=--clear-groups; else _groups=--groups=$_groups; fi
	/usr/bin/setpriv --reuid="$_uid" --regid="$_gid" "$_groups" "$@"
}

# enter NAME [WORDS]: what is checked from now on: $MNT, mounted unless it is. WORDS tell mount of
# another file system than the tag NAME.
enter()
{
	MNT=/mnt/$1 WORDS=${2:--t virtiofs $1}
	mountpoint -q "$MNT" || attach "$MNT"
}

# attach FOLDER: mounts there what is checked.
attach()
{
	mkdir -p "$1"
	# shellcheck disable=SC2086
	mount $WORDS "$1"
}

# Nothing may hide in the guest's caches: what is read next comes from the server.
umount_and_mount()
{
	umount "$MNT"
	attach "$MNT"
}

# leave: a check that failed has left files behind; the next one finds none.
leave()
{
	cd /
	rm -rf "${MNT:?}"/*
}

# forward_up: brings up the interface behind the ports that the host forwards (Guest.forward).
forward_up()
{
	/usr/sbin/modprobe virtio_net
	ip link set lo up
	ip addr add 10.0.2.15/24 dev eth0
	ip link set eth0 up
}

# fio with a summary line instead of pages; the job ends at the first wrong block.
fio_run()
{
	_log=$1
	shift
	fio --minimal --output="$_log.fio" --verify_fatal=1 --exitall_on_error=1 "$@" 2>"$_log.err" || {
		cat "$_log.fio" "$_log.err"
		return 1
	}
	# A fault found while verifying is not always in the exit status.
	refused grep -i -e verify: -e 'bad magic' -e 'error=' "$_log.fio" "$_log.err"
}
