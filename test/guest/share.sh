# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of a folder that is mounted twice, by clients that do not know of each other: $MNT, where
# files change, and $OTHER, which has the older state in all its caches.

# same_size NAME BYTES: what is open has this size.
same_size() { same "size of $1" "$2" "$(stat -L -c %s /proc/self/fd/7 7<"$OTHER/$1")"; }

check_closed_is_seen()
{
	echo "round 0" >"$MNT/seen"
	for round in 1 2 3 4 5 6; do
		same before "$(cat "$MNT/seen")" "$(cat "$OTHER/seen")"
		# Of the same size first: only the times tell.
		echo "round $round" >"$MNT/seen"
		same content "round $round" "$(cat "$OTHER/seen")"
		head -c $((round * 30011)) /dev/urandom >"$MNT/seen"
		same_size seen $((round * 30011))
		same sum "$(sha256sum <"$MNT/seen")" "$(sha256sum <"$OTHER/seen")"
		# Some bytes in the midst.
		echo "round $round" | dd of="$MNT/seen" bs=1 seek=9000 conv=notrunc 2>/dev/null
		same middle "round $round" "$(dd if="$OTHER/seen" bs=1 skip=9000 count=7 2>/dev/null)"
		echo "round $round" >"$MNT/seen"
		same_size seen 8
	done
	: >"$MNT/seen"
	same empty '' "$(cat "$OTHER/seen")"
	rm "$MNT/seen"
}

check_replaced_is_seen()
{
	echo old >"$MNT/name"
	exec 8<"$OTHER/name"
	for round in 1 2 3; do
		echo "new $round" >"$MNT/replacing"
		mv "$MNT/replacing" "$MNT/name"
		same new "new $round" "$(cat "$OTHER/name")"
	done
	exec 8<&-
	rm "$MNT/name"
	refused cat "$OTHER/name"
}

# A name that was not there, and has been asked for.
check_new_is_seen()
{
	for round in 1 2 3; do
		refused cat "$OTHER/new$round"
		echo "round $round" >"$MNT/new$round"
		same new "round $round" "$(cat "$OTHER/new$round")"
		same names "$round" "$(cd "$OTHER" && find . -name 'new*' | wc -l)"
	done
	rm "$MNT"/new*
	refused ls "$OTHER"/new*
}

# Two guests take turns on one file: what one closed is what the other opens. $OURS is 0 or 1, and the
# host carries what /out/turn-N says from guest to guest.
check_take_turns()
{
	for turn in 1 2 3 4 5 6 7 8; do
		if [ $((turn % 2)) = "$OURS" ]; then
			head -c $((turn * 50021)) /dev/urandom >/tmp/ball
			cat /tmp/ball >"$MNT/ball"
			sha256sum </tmp/ball >"$OUT/said"
			mv "$OUT/said" "$OUT/turn-$turn"
		else
			while [ ! -e "$OUT/turn-$turn" ]; do sleep 0.2; done
			same size $((turn * 50021)) "$(stat -L -c %s /proc/self/fd/7 7<"$MNT/ball")"
			same sum "$(cat "$OUT/turn-$turn")" "$(sha256sum <"$MNT/ball")"
		fi
	done
}
