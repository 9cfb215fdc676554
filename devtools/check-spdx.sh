#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
#
# Every tracked file names the licence in its first lines; code names the copyright holder too.
# Exempt: prose, the licence itself, fuzzer inputs, and files whose format has no comments.
set -eu

cd "$(git rev-parse --show-toplevel)"
rc=0
while IFS= read -r file; do
	case $file in
	LICENSE | *.md | *.json | test/fuzz/corpus/*) continue ;;
	esac
	[ -f "$file" ] || continue
	head=$(head -n 5 "$file")
	if ! grep -q 'SPDX-License-Identifier: BSD-3-Clause' <<<"$head"; then
		echo "$file: no SPDX-License-Identifier: BSD-3-Clause in the first 5 lines" >&2
		rc=1
	fi
	case $file in
	*.[ch] | *.py | *.sh | usertools/*)
		if ! grep -q 'Copyright (c) 20[0-9][0-9] the weir authors' <<<"$head"; then
			echo "$file: no copyright line in the first 5 lines" >&2
			rc=1
		fi
		;;
	esac
done < <(git ls-files)
exit $rc
