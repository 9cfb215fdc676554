# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Random operations on a mounted directory, $MNT, beside a model: $STREAM is weir-stream, $WORDS_OF_STREAM
# what it is told.

check_stream()
{
	# shellcheck disable=SC2086
	"$STREAM" --drop-caches $WORDS_OF_STREAM "$MNT"
}
