# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of a mounted file system, $MNT, whose NFS server the host kills and starts anew, several times.

# Until the host says that it is done. A call that is done twice, or not at all, fails or is seen after.
storm()
{
	i=0
	while [ ! -e "$OUT/done-server_killed" ]; do
		d=$MNT/storm/$i
		mkdir "$d"
		echo $i >"$d/new"
		mv "$d/new" "$d/file"
		ln "$d/file" "$d/link"
		ln -s link "$d/symlink"
		rm "$d/file"
		[ $((i % 2)) = 0 ] || rm -r "$d"
		i=$((i + 1))
	done
	echo $i >/tmp/storm
}

check_server_killed()
{
	mkdir "$MNT/storm"
	(
		set -e
		storm
	) &
	pid=$!
	during server_killed --bs=64k,1m --size=8m --rw=randwrite
	wait $pid
	umount_and_mount
	i=0
	while [ $i -lt "$(cat /tmp/storm)" ]; do
		same "in $i" 'link symlink' "$(ls "$MNT/storm/$i" | tr '\n' ' ' | sed 's/ $//')"
		same "links of $i" 1 "$(stat -c %h "$MNT/storm/$i/link")"
		same "content of $i" $i "$(cat "$MNT/storm/$i/symlink")"
		i=$((i + 2))
	done
	same folders $(((i + 1) / 2)) "$(ls "$MNT/storm" | wc -l)"
	rm -r "$MNT/storm"
	echo "$i folders"
}
