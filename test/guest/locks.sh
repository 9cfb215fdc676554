# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of locks between two devices on one folder, which have nothing to do with each other for
# the guest: $MNT and the one that is tagged $TWIN. A wait ends after three seconds.

twin()
{
	OTHER=/mnt/$TWIN
	mkdir -p "$OTHER"
	mountpoint -q "$OTHER" || mount -t virtiofs "$TWIN" "$OTHER"
}

check_flock_excludes()
{
	twin
	exec 8>"$MNT/lock"
	flock 8
	refused flock -n "$OTHER/lock" true
	refused flock -sn "$OTHER/lock" true
	# Who waits is let in when the file is closed.
	flock "$OTHER/lock" touch "$MNT/granted" 8>&- &
	waiter=$!
	refused test -e "$MNT/granted"
	exec 8>&-
	wait $waiter
	test -e "$MNT/granted"

	exec 8>"$MNT/lock"
	flock -s 8
	flock -sn "$OTHER/lock" true
	refused flock -n "$OTHER/lock" true
	exec 8>&-
	flock -n "$OTHER/lock" true
}

# count FOLDER: twenty times one more.
count()
{
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		# shellcheck disable=SC2016
		flock "$1/lock" sh -c 'echo $(($(cat "$0") + 1)) >"$0"' "$1/counter"
	done
}

check_flock_counts()
{
	twin
	echo 0 >"$MNT/counter"
	count "$MNT" &
	count "$OTHER" &
	wait
	same counter 40 "$(cat "$MNT/counter")"
}

check_flock_wait_has_a_limit()
{
	twin
	exec 8>"$MNT/lock"
	flock 8
	refused flock "$OTHER/lock" true 8>&-
	# One that was killed is gone by then, and has not got the lock later.
	flock "$OTHER/lock" true 8>&- &
	waiter=$!
	kill -9 $waiter
	refused wait $waiter
	exec 8>&-
	flock -n "$OTHER/lock" true
	umount "$OTHER"
}
