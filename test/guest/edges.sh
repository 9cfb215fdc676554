# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of a mounted file system, $MNT: what network file systems are known to do otherwise.

# An open file without a name has no link.
check_unlinked_links()
{
	echo x >"$MNT/f"
	exec 7<"$MNT/f"
	rm "$MNT/f"
	same links 0 "$(stat -L -c %h /proc/self/fd/7)"
}

# And nothing of it stays in its folder.
check_unlinked_in_folder()
{
	mkdir "$MNT/folder"
	echo x >"$MNT/folder/f"
	exec 7<"$MNT/folder/f"
	rm "$MNT/folder/f"
	same 'names left' '' "$(ls -A "$MNT/folder")"
	rmdir "$MNT/folder"
}

check_direct_append()
{
	for _ in 1 2; do
		head -c 4096 /dev/zero | /usr/bin/dd of="$MNT/log" bs=4096 count=1 oflag=append,direct \
			conv=notrunc iflag=fullblock
	done
	same size 8192 "$(stat -c %s "$MNT/log")"
	rm "$MNT/log"
}

check_far_times()
{
	echo x >"$MNT/times"
	for year in 1965 2150; do
		touch -d "$year-02-03 04:05:06" "$MNT/times"
		umount_and_mount
		same $year "$(date -d "$year-02-03 04:05:06" +%s)" "$(stat -c %Y "$MNT/times")"
	done
	rm "$MNT/times"
}

check_symlink_times()
{
	ln -s target "$MNT/link"
	touch -h -d '2001-02-03 04:05:06' "$MNT/link"
	umount_and_mount
	same mtime "$(date -d '2001-02-03 04:05:06' +%s)" "$(stat -c %Y "$MNT/link")"
	rm "$MNT/link"
}

# renameat2(2) with RENAME_NOREPLACE: busybox has no program for it.
rename_noreplace()
{
	perl -e 'exit(syscall(316, -100, $ARGV[0], -100, $ARGV[1], 1) != 0)' "$1" "$2"
}

check_rename_noreplace()
{
	echo one >"$MNT/one"
	echo two >"$MNT/two"
	refused rename_noreplace "$MNT/one" "$MNT/two"
	same kept two "$(cat "$MNT/two")"
	rename_noreplace "$MNT/one" "$MNT/three"
	same moved one "$(cat "$MNT/three")"
	rm "$MNT/two" "$MNT/three"
}

# Locks of both kinds between the processes of one guest.
check_locks()
{
	: >"$MNT/lock"
	exec 7>"$MNT/lock"
	flock -n 7
	refused flock -n "$MNT/lock" true
	exec 7>&-
	flock -n "$MNT/lock" true
	perl -e '
		use Fcntl;
		sub lock { return fcntl(F, F_SETLK, pack("s2x4q2i", F_WRLCK, SEEK_SET, 0, 0, 0)); }
		open(F, "+<", $ARGV[0]) && lock() or die "no lock: $!";
		fork() or exit(lock() ? 1 : 0);
		wait();
		exit($? >> 8);' "$MNT/lock"
	rm "$MNT/lock"
}
