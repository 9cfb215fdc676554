#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
#
# check-all.sh [BUILD_DIR]: every lint, cheapest first, one line each. BUILD_DIR (default: build) is
# where check-headers.py finds the compiler's arguments.
set -u

cd "$(git rev-parse --show-toplevel)" || exit 1
build=${1:-build}
passed=0
failed=0

lint()
{
	local name=$1 out

	shift
	if out=$("$@" 2>&1); then
		passed=$((passed + 1))
		echo "ok      $name"
		grep '^warning:' <<<"$out" | sed 's/^/        /'
	else
		failed=$((failed + 1))
		echo "FAILED  $name"
		printf '        %s\n' "${out//$'\n'/$'\n'        }"
	fi
}

# Files by their first line or their name, so that a script without a suffix is not missed.
mapfile -t shell < <(git ls-files '*.sh'; git grep -lE '^#!.*\b(ba)?sh$' -- ':!*.sh')
mapfile -t text < <(git ls-files -- ':!test/fuzz/corpus')
mapfile -t python < <(git ls-files '*.py'; git grep -lE '^#!.*python3$' -- ':!*.py')

lint spdx devtools/check-spdx.sh
lint maintainers devtools/check-maintainers.py
lint tokens devtools/check-tokens.py
lint worker devtools/check-worker.py
lint length devtools/check-length.py
lint commits devtools/check-commits.sh
lint format devtools/check-format.sh
lint codespell codespell --quiet-level=2 --ignore-words-list weir,acces,inflight,ans,fo,te,nd,nmae "${text[@]}"
# Not wanted: "use find instead of ls" and "no expansion in single quotes".
[ ${#shell[@]} -eq 0 ] || lint shellcheck shellcheck -x -e SC2012,SC2016 "${shell[@]}"
[ ${#python[@]} -eq 0 ] || lint flake8 flake8 --max-line-length 100 "${python[@]}"
lint headers devtools/check-headers.py "$build"

echo "lints: $passed passed, $failed failed"
[ "$failed" = 0 ]
