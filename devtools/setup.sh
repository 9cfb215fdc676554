# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=bash
#
# What weir-demo and weir-test share: messages, packages, builds. Sourced from bash.

root=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)

# One progress line, with the seconds since the command started.
say()
{
	printf '[%4ds] %s\n' "$SECONDS" "$*"
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# Prints the rows of the dependency list that are not installed.
packages_missing()
{
	local package

	sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/devtools/packages.txt" | while read -r package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			echo "$package"
	done
}

# Installs what is missing. The package index is fetched only when it turns out to be absent or old.
setup_packages()
{
	local missing log

	missing=$(packages_missing | tr '\n' ' ')
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || die "not root, and missing: apt-get install $missing"
	say "installing ${missing% }"
	log=$(mktemp)
	if ! apt_install "$missing" >"$log" 2>&1; then
		say "fetching the package index"
		if ! { apt-get -qq update && apt_install "$missing"; } >"$log" 2>&1; then
			tail -n 20 "$log" >&2
			rm -f "$log"
			die "cannot install the packages"
		fi
	fi
	rm -f "$log"
}

apt_install()
{
	# Words of the list, each a package name.
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o DPkg::Lock::Timeout=300 \
		install --no-install-recommends $1
}

# setup_build DIR MESON_ARGS...: configures DIR once, then builds what is out of date.
setup_build()
{
	local dir=$1 log

	shift
	log=$dir.log
	if [ ! -f "$dir/build.ninja" ]; then
		rm -rf "$dir"
		if ! meson setup "$dir" "$root" "$@" >"$log" 2>&1; then
			tail -n 30 "$log" >&2
			return 1
		fi
	fi
	if ! ninja -C "$dir" >"$log" 2>&1; then
		grep -E -A 8 'error|warning|FAILED' "$log" | head -n 60 >&2
		return 1
	fi
	rm -f "$log"
}
