# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of a mounted file system, $MNT, while the host side does something to weir, or to another
# device of this guest that is mounted at /mnt/$NEIGHBOUR.

# during NAME [OPTION...]: verified writes in rounds, with further options of fio, from when the host is
# told to begin until it says that it is done.
during()
{
	what=$1
	shift
	: >"$OUT/at-$what"
	rounds=0
	while [ ! -e "$OUT/done-$what" ] || [ $rounds = 0 ]; do
		fio_run "$OUT/log/during-$what" --name=during --directory="$MNT" --ioengine=psync --direct=1 \
			--rw=randwrite --bs=4k --size=1m --verify=crc32c --verify_state_save=0 "$@"
		rm -f "$MNT"/during.*
		rounds=$((rounds + 1))
	done
	echo "$rounds rounds of fio"
}

# The host creates, starts, stops and destroys a device that this guest does not have.
check_neighbour_comes_and_goes() { during neighbour_comes_and_goes; }

# The host stops and starts this very device.
check_stop_start() { during stop_start; }

# The host stops another device of this guest, and starts it again later: its own traffic waits.
check_neighbour_stopped()
{
	during neighbour_stopped
	echo there >"/mnt/$NEIGHBOUR/after"
	same after there "$(cat "/mnt/$NEIGHBOUR/after")"
	rm "/mnt/$NEIGHBOUR/after"
}

# Nothing is asked of any device while the host measures what weir costs.
check_idle()
{
	sync
	meet idle
}

# The host destroys another device that this guest has mounted. What is mounted there is lost.
check_neighbour_destroyed() { during neighbour_destroyed; }
