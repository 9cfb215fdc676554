# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Guests that do not end by themselves: killed under load, reset, rebooted. $TAGS are mounted.

# Until the machine is gone.
load_for_ever()
{
	for tag in $TAGS; do
		fio --name=load --directory="/mnt/$tag" --ioengine=libaio --iodepth=16 --rw=randrw --bs=16k \
			--size=4m --time_based --runtime=600 --numjobs=2 --output=/dev/null &
		while :; do (cd "/mnt/$tag" && mkdir -p a/b && touch a/b/c && rm -r a); done &
	done
	sleep 2
	: >"$OUT/at-load"
	wait
}

# The first boot is reset by the host under load, the second reboots itself, the third ends.
boot_three_times()
{
	boot=$(cat "$OUT/boot" 2>/dev/null || echo 1)
	echo $((boot + 1)) >"$OUT/boot"
	case $boot in
	1)
		for tag in $TAGS; do seq 1 100000 >"/mnt/$tag/numbers"; done
		sync
		load_for_ever
		;;
	2)
		after_boot after_reset
		reboot -f
		sleep 60
		;;
	3) after_boot after_reboot ;;
	esac
}

# after_boot LABEL
after_boot()
{
	for tag in $TAGS; do
		MNT=/mnt/$tag
		check after_boot "$tag-$1"
	done
}

check_after_boot()
{
	same numbers "$(seq 1 100000 | sha256sum)" "$(sha256sum <"$MNT/numbers")"
	check_fio_psync_direct
}
