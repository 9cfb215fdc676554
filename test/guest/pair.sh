# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of one folder that two guests have. $ME is 1 in one of them and 2 in the other; both run
# them at a time. $PAIR is weir-pair. Where $WRITERS is 3 the host takes part: test_pair.py knows
# when.

export _label

KINDS='fcntl ofd flock'

# both STEP: waits until the other guest is here, too, and the host has done what it began before.
both()
{
	meet "$_label.$1"
}

# holding PREFIX COMMAND: runs it while this guest has a lock of each kind.
holding()
{
	"$PAIR" with "$1.fcntl" fcntl "$PAIR" with "$1.ofd" ofd "$PAIR" with "$1.flock" flock \
		sh -c ". /out/lib.sh; . /out/pair.sh; $2"
}

# all_taken PREFIX: somebody else has a lock of each kind.
all_taken()
{
	for kind in $KINDS; do same "$kind" taken "$("$PAIR" try "$1.$kind" "$kind")"; done
}

# wait_all PIDS
wait_all()
{
	for pid in $1; do wait "$pid"; done
}

# What a guest's kernel cuts where a page ends that it does not know may come in pieces.
check_appends_of_both_are_there()
{
	both append
	"$PAIR" append "$MNT/log" "$ME" 300
	both appended
	"$PAIR" appended "$MNT/log" "$WRITERS" 300
	umount_and_mount
	"$PAIR" appended "$MNT/log" "$WRITERS" 300
}

# These it sends whole.
check_direct_appends_are_whole()
{
	both append
	"$PAIR" append-direct "$MNT/direct" "$ME" 100
	both appended
	"$PAIR" appended-whole "$MNT/direct" 2 100
}

# Each goes on from where the file is: what it read before is not what is there.
check_appends_in_turn()
{
	both begin
	"$PAIR" turns "$MNT/turns" "$ME" 30
}

# What is written by a mapping has its place, in a file that is open for appending, too.
check_mapped_pages_are_not_appended()
{
	if [ "$ME" = 1 ]; then
		head -c 8192 /dev/zero >"$MNT/mapped"
		"$PAIR" map "$MNT/mapped" 4096
	fi
	both map
	if [ "$ME" = 2 ]; then "$PAIR" append "$MNT/mapped" 1 2; fi
	both append
	same sum "$({ head -c 4096 /dev/zero; yes | head -c 4096; } | sha256sum)" \
		"$(head -c 8192 "$MNT/mapped" | sha256sum)"
	same grown 1 "$(($(stat -c %s "$MNT/mapped") > 8192))"
}

check_replaced_name_is_always_there()
{
	if [ "$ME" = 1 ]; then "$PAIR" replace "$MNT/name" 9 1; fi
	both resolve
	"$PAIR" replace "$MNT/name" "$ME" 150 &
	"$PAIR" resolve "$MNT/name" 150
	wait $!
	both resolved
}

check_one_of_both_makes_a_name()
{
	both begin
	"$PAIR" contend "$MNT/one" "$ME" 100
}

# The other takes away and replaces what this one has open.
check_open_file_outlives_its_name()
{
	if [ "$ME" = 1 ]; then
		echo first >"$MNT/open"
		exec 7<>"$MNT/open"
	fi
	both open
	if [ "$ME" = 2 ]; then
		same found first "$(cat "$MNT/open")"
		echo second >"$MNT/next"
		mv "$MNT/next" "$MNT/open"
	fi
	both replaced
	same name second "$(cat "$MNT/open")"
	[ "$ME" = 1 ] || return 0
	same open first "$(head -n 1 <&7)"
	echo third >&7
	same content 'first third' "$(xargs </proc/self/fd/7)"
	same links 0 "$(stat -L -c %h /proc/self/fd/7)"
	exec 7>&-
}

excludes()
{
	both exclude
	"$PAIR" exclude "$MNT/$1" "$1" 100
	both excluded
	same counter "$(printf %08d $((WRITERS * 100)))" "$(cat "$MNT/$1.counter")"
}

check_fcntl_locks_exclude() { excludes fcntl; }
check_ofd_locks_exclude() { excludes ofd; }
check_flocks_exclude() { excludes flock; }

# The host sees all three wait before guest 2 unlocks.
check_waiter_is_let_in_by_unlock()
{
	if [ "$ME" = 2 ]; then
		# shellcheck disable=SC2016
		holding "$MNT/held" 'both held; both awaited; : >"$MNT/let-go"'
	else
		both held
		all_taken "$MNT/held"
		pids=
		for kind in $KINDS; do
			"$PAIR" with "$MNT/held.$kind" "$kind" test -e "$MNT/let-go" &
			pids="$pids $!"
		done
		both awaited
		wait_all "$pids"
	fi
}

# The host has locked three files, sees six wait, and unlocks.
check_host_excludes_both()
{
	both lock
	both locked
	all_taken "$MNT/host"
	pids=
	for kind in $KINDS; do
		"$PAIR" with "$MNT/host.$kind" "$kind" test -e "$MNT/host.let-go" &
		pids="$pids $!"
	done
	both awaited
	wait_all "$pids"
}

# On all $TAGS: guest 2 is killed while it has the locks, and while it replaces names.
check_killed_guest_lets_go()
{
	for tag in $TAGS; do
		if [ "$ME" = 2 ]; then
			"$PAIR" replace "/mnt/$tag/last" 2 1
			"$PAIR" replace "/mnt/$tag/last" 2 1000000 &
			holding "/mnt/$tag/killed" ": >/tmp/$tag; sleep 1000" &
			while [ ! -e "/tmp/$tag" ]; do sleep 0.1; done
		fi
	done
	both held
	[ "$ME" = 1 ] || sleep 1000
	pids=
	for tag in $TAGS; do
		all_taken "/mnt/$tag/killed"
		for kind in $KINDS; do
			"$PAIR" with "/mnt/$tag/killed.$kind" "$kind" true &
			pids="$pids $!"
		done
	done
	wait_all "$pids"
	for tag in $TAGS; do "$PAIR" resolve "/mnt/$tag/last" 20; done
}
