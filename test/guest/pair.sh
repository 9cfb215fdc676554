# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of one folder under two mounts, $MNT and $OTHER, which are devices of their own: to weir, two
# guests. $PAIR is weir-pair. Where $WRITERS is 3 the host takes part.

# by_both WORDS...: does it on both mounts at a time: WORDS with a folder for %.
by_both()
{
	_here=$(echo "$*" | sed "s,%,$MNT,") _there=$(echo "$*" | sed "s,%,$OTHER,")
	# shellcheck disable=SC2086
	"$PAIR" $_here &
	# shellcheck disable=SC2086
	"$PAIR" $_there || return 1
	wait $!
}

# host_begins NAME, host_has_ended NAME: the host works in the folder meanwhile.
host_begins()
{
	[ "$WRITERS" = 2 ] || meet "$1-$LABEL"
}

host_has_ended()
{
	[ "$WRITERS" = 2 ] || meet "$1-$LABEL-end"
}

check_appends_of_both_are_there()
{
	host_begins append
	"$PAIR" append "$MNT/log" 1 300 &
	"$PAIR" append "$OTHER/log" 2 300
	wait $!
	host_has_ended append
	by_both appended %/log "$WRITERS" 300
	umount_and_mount
	"$PAIR" appended "$MNT/log" "$WRITERS" 300
}

# A guest's kernel cuts other writes where a page ends that it does not know; these it sends whole.
check_direct_appends_are_whole()
{
	"$PAIR" append-direct "$MNT/direct" 1 100 &
	"$PAIR" append-direct "$OTHER/direct" 2 100
	wait $!
	by_both appended-whole %/direct 2 100
}

# Each goes on by its own mount from where the file is: what it read before is not what is there.
check_appends_in_turn()
{
	for _ in 1 2 3 4 5 6 7 8; do
		echo one >>"$MNT/turns"
		echo two >>"$OTHER/turns"
	done
	same sum "$(yes "one
two" | head -n 16 | sha256sum)" "$(sha256sum <"$MNT/turns")"
	same sum "$(sha256sum <"$MNT/turns")" "$(sha256sum <"$OTHER/turns")"
}

# What is written by a mapping has its place, in a file that is open for appending, too.
check_mapped_pages_are_not_appended()
{
	head -c 8192 /dev/zero >"$MNT/mapped"
	"$PAIR" map "$MNT/mapped" 4096
	"$PAIR" append "$OTHER/mapped" 1 2
	same sum "$({ head -c 4096 /dev/zero; yes | head -c 4096; } | sha256sum)" \
		"$(head -c 8192 "$OTHER/mapped" | sha256sum)"
}

check_replaced_name_is_always_there()
{
	"$PAIR" replace "$MNT/name" 9 1
	"$PAIR" replace "$MNT/name" 1 150 &
	"$PAIR" replace "$OTHER/name" 2 150 &
	by_both resolve %/name 150
	wait
}

check_fcntl_locks_exclude() { by_both exclude %/fcntl fcntl 100; }
check_ofd_locks_exclude() { by_both exclude %/ofd ofd 100; }
check_flocks_exclude() { by_both exclude %/flock flock 100; }
