#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
#
# fio-source.sh DIR: puts the configured source of the installed fio into DIR, for the meson option
# fio_source. It comes from where this machine's apt gets its packages. Does nothing when it is there.
set -u

say() { printf '%s\n' "fio-source: $*"; }
die() { printf '%s\n' "fio-source: $*" >&2 && exit 1; }

dir=${1--}
[[ $# = 1 && $dir != -* ]] || die "usage: fio-source.sh DIR"
version=$(dpkg-query -W -f '${source:Version}' fio 2>/dev/null) || die "no Debian package fio is installed"
if [ "$(cat "$dir/.configured" 2>/dev/null)" = "$version" ]; then
	say "$dir has fio $version"
	exit 0
fi
[[ ! -e $dir || -f $dir/.configured ]] || rmdir "$dir" 2>/dev/null || die "$dir is there, and none of mine"
command -v dpkg-source >/dev/null || die "dpkg-source is missing, of the package dpkg-dev"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
log=$work/log
mkdir -p "$work/sources" "$work/lists/partial" "$work/archives/partial" "$work/unpacked" || exit 1

# step WHAT COMMAND...: shows the end of what a command printed only when it fails.
step()
{
	local what=$1

	shift
	say "$what"
	"$@" >"$log" 2>&1 || { tail -n 15 "$log" >&2 && die "cannot: $what"; }
}

# The machine's own sources, with the sources of their packages instead of the packages.
find /etc/apt/sources.list /etc/apt/sources.list.d -type f \( -name '*.list' -o -name '*.sources' \) \
	2>/dev/null | while read -r file; do
	sed -e 's/^Types:.*/Types: deb-src/' -e 's/^deb[[:space:]]/deb-src /' "$file" \
		>"$work/sources/${file##*/}"
done
apt=(-q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources"
	-o Dir::State::lists="$work/lists" -o Dir::Cache::archives="$work/archives"
	-o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= -o APT::Sandbox::User=
	-o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)

# An index that one of the sources lacks does not matter if another has fio.
say "fetching the index of source packages"
timeout 120 apt-get "${apt[@]}" update >"$work/update.log" 2>&1
unpack() ( cd "$work/unpacked" && timeout 120 apt-get "${apt[@]}" source "fio=$version" )
if ! unpack >"$log" 2>&1; then
	grep -h '^[EW]:' "$work/update.log" "$log" | sort -u | tail -n 8 >&2
	die "cannot fetch the source of fio $version: offline, or no source of apt has it"
fi
say "fetched and unpacked fio $version"

source=$(find "$work/unpacked" -mindepth 1 -maxdepth 1 -type d)
[ -f "$source/configure" ] || die "the source package of fio $version has no configure script"
configure() ( cd "$source" && ./configure --disable-native --prefix=/usr )
step "configuring it" configure
echo "$version" >"$source/.configured"
# Moved in two steps: the first may be a copy, and be cut short.
place() { rm -rf "$dir" "$dir.part" && mv "$source" "$dir.part" && mv "$dir.part" "$dir"; }
mkdir -p "$(dirname "$dir")"
step "putting it into $dir" place
say "$dir has fio $version"
