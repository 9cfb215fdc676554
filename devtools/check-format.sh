#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
#
# check-format.sh [BASE]: C code is laid out as .clang-format says. On a branch, the lines changed
# since BASE (default: where the branch left main); on main, every file.
set -eu

cd "$(git rev-parse --show-toplevel)"
base=${1:-$(git merge-base HEAD main 2>/dev/null || git rev-parse HEAD)}

if [ "$base" = "$(git rev-parse HEAD)" ]; then
	mapfile -t files < <(git ls-files '*.c' '*.h')
	[ ${#files[@]} -eq 0 ] && exit
	clang-format --dry-run -Werror --ferror-limit=1 "${files[@]}" 2>&1 | grep ' error: ' >&2 || exit 0
	exit 1
fi

diff=$(git clang-format --quiet --diff --extensions c,h "$base")
[ -z "$diff" ] && exit
printf '%s\n' "$diff" "check-format: run git clang-format $base" >&2
exit 1
