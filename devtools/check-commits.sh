#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
#
# check-commits.sh [RANGE]: the form of commit messages. The default range is what the branch adds to
# main, or the last commit when it adds nothing.
set -eu

cd "$(git rev-parse --show-toplevel)"
base=$(git merge-base HEAD main 2>/dev/null || git rev-parse HEAD)
if [ $# -gt 0 ]; then
	range=$1
elif [ "$base" != "$(git rev-parse HEAD)" ]; then
	range=$base..HEAD
else
	range=-1
fi

rc=0
fault()
{
	echo "${commit:0:12}: $1: $2" >&2
	rc=1
}

for commit in $(git rev-list --no-merges "$range" HEAD --); do
	subject=$(git show -s --format=%s "$commit")
	body=$(git show -s --format=%b "$commit" | grep -vE '^(Fixes|Signed-off-by|Co-authored-by): ' || :)
	[ ${#subject} -le 60 ] || fault "subject over 60 characters" "$subject"
	[[ $subject =~ ^[a-z0-9/_.-]+(,\ [a-z0-9/_.-]+)*:\ [a-z0-9] ]] || fault "subject is not 'component: imperative'" "$subject"
	[[ $subject != *. ]] || fault "subject ends in a full stop" "$subject"
	[ -n "$body" ] || fault "no body that says why" "$subject"
	while IFS= read -r line; do
		# A line without a blank may be an address or a path that cannot be broken.
		[[ ${#line} -le 72 || $line != *\ * ]] || fault "body line over 72 columns" "$line"
	done <<<"$body"
done
exit $rc
