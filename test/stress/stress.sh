# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Runs stressors of stress-ng on $MNT, each for $SECONDS_OF_STRESS.

# $STRESSOR checks what it does, and nothing of it keeps the folder from being removed.
check_stress()
{
	mkdir -m 777 "$MNT/stress"
	_status=0
	# One of them would want a gigabyte.
	stress-ng --temp-path "$MNT/stress" "--$STRESSOR" 2 --iomix-bytes 32m \
		--timeout "$SECONDS_OF_STRESS" --verify --no-rand-seed >"/tmp/said" 2>&1 || _status=$?
	cat /tmp/said
	# Some say that there is no such thing as if resources had run out.
	[ $_status = 0 ] || { [ $_status = 3 ] && grep -q skipped /tmp/said; }
	rm -r "$MNT/stress"
}
