# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of a mounted file system, $MNT: what programs do with files, folders and names.

# A source tree comes in, is packed there, compared with what was packed outside, and goes.
check_tree()
{
	mkdir "$MNT/tree" /tmp/tree
	tar -xf "$OUT/tree.tar" -C /tmp/tree
	cp -a /tmp/tree/. "$MNT/tree/"
	umount_and_mount
	(cd /tmp/tree && find . -type f | sort | xargs sha256sum) >/tmp/tree.sums
	(cd "$MNT/tree" && sha256sum -c /tmp/tree.sums) >/tmp/tree.checked
	refused grep -v ': OK$' /tmp/tree.checked
	same files "$(wc -l </tmp/tree.sums)" "$(wc -l </tmp/tree.checked)"
	tar -cf "$MNT/packed.tar" -C "$MNT/tree" .
	mkdir /tmp/again
	tar -xf "$MNT/packed.tar" -C /tmp/again
	diff -r /tmp/tree /tmp/again
	rm -rf "$MNT/tree" "$MNT/packed.tar" /tmp/tree /tmp/again
	refused test -e "$MNT/tree"
	echo "$(wc -l </tmp/tree.sums) files"
}

check_large_dir()
{
	nb=${ENTRIES:-10000}
	mkdir "$MNT/many"
	(cd "$MNT/many" && seq -w 1 "$nb" | sed s/^/entry-/ | xargs -n 2500 touch)
	umount_and_mount
	same entries "$nb" "$(ls "$MNT/many" | wc -l)"
	same names "$nb" "$(ls "$MNT/many" | sort -u | wc -l)"
	same last "entry-$nb" "$(ls "$MNT/many" | sort | tail -n 1)"
	# Removal while listing must not skip entries.
	rm -r "$MNT/many"
	refused test -e "$MNT/many"
}

# Two processes create, rename and remove in one directory.
check_two_processes()
{
	mkdir "$MNT/both"
	for who in a b; do
		(
			set -e
			i=0
			while [ $i -lt 150 ]; do
				echo $who$i >"$MNT/both/$who.$i"
				mv "$MNT/both/$who.$i" "$MNT/both/$who-$i"
				[ $((i % 3)) != 0 ] || rm "$MNT/both/$who-$i"
				i=$((i + 1))
			done
		) &
		eval "pid_$who=$!"
	done
	# Set by the eval above.
	# shellcheck disable=SC2154
	{
		wait "$pid_a"
		wait "$pid_b"
	}
	umount_and_mount
	same entries 200 "$(ls "$MNT/both" | wc -l)"
	for who in a b; do
		same content ${who}149 "$(cat "$MNT/both/$who-149")"
		same content ${who}100 "$(cat "$MNT/both/$who-100")"
	done
	rm -r "$MNT/both"
}

check_mmap()
{
	fio_run "$OUT/log/mmap" --name=mmap --directory="$MNT" --ioengine=mmap --rw=randwrite --bs=4k \
		--size=4m --verify=crc32c --verify_state_save=0
	umount_and_mount
	# Written through the mapping, read through the file: one content.
	fio_run "$OUT/log/mmap2" --name=mmap --directory="$MNT" --ioengine=psync --rw=randwrite --bs=4k \
		--size=4m --verify=crc32c --verify_only --verify_state_save=0
	# A program runs from its mapping.
	cp /run/bin/busybox "$MNT/busybox"
	same run hello "$("$MNT/busybox" echo hello)"
	rm "$MNT"/mmap.* "$MNT/busybox"
}

check_sparse_over_4g()
{
	f=$MNT/sparse
	truncate -s 5G "$f"
	same size 5368709120 "$(stat -c %s "$f")"
	printf marker | dd of="$f" bs=1 seek=4831838208 conv=notrunc 2>/dev/null
	umount_and_mount
	same marker marker "$(dd if="$f" bs=6 count=1 skip=805306368 2>/dev/null)"
	same size 5368709120 "$(stat -c %s "$f")"
	blocks=$(stat -c %b "$f")
	[ "$blocks" -lt 2048 ] || { echo "not sparse: $blocks blocks" && return 1; }
	truncate -s 4294967297 "$f"
	same size 4294967297 "$(stat -c %s "$f")"
	same zero 0 "$(dd if="$f" bs=1 count=1 skip=4294967296 2>/dev/null | od -An -tu1 | tr -d ' ')"
	rm "$f"
}

check_names()
{
	name=$(printf '%0255d' 7)
	echo long >"$MNT/$name"
	mkdir "$MNT/d-names"
	mv "$MNT/$name" "$MNT/d-names/$name"
	same content long "$(cat "$MNT/d-names/$name")"
	same listed "$name" "$(ls "$MNT/d-names")"
	refused touch "$MNT/${name}8"
	# Bytes that are no letters: blank, newline, backslash, UTF-8, one that is no UTF-8 at all.
	for odd in ' ' 'a
b' 'a\b' 'äö' "$(printf 'x\377y')" '...' '-r'; do
		echo odd >"$MNT/d-names/$odd"
		same odd odd "$(cat "$MNT/d-names/$odd")"
	done
	umount_and_mount
	same count 8 "$(ls -A "$MNT/d-names" | tr '\n' '|' | sed 's/a|b/ab/' | tr -cd '|' | wc -c)"
	rm -r "$MNT/d-names"
}

check_open_unlinked()
{
	seq 1 20000 >"$MNT/gone"
	sum=$(sha256sum <"$MNT/gone")
	exec 7<"$MNT/gone"
	exec 8>>"$MNT/gone"
	rm "$MNT/gone"
	refused test -e "$MNT/gone"
	echo more >&8
	echo 3 >/proc/sys/vm/drop_caches
	same 'unlinked content' "$sum" "$(head -c 108894 <&7 | sha256sum)"
	same 'unlinked append' more "$(cat <&7)"
	# Replaced by a rename while open: the old content stays readable.
	echo old >"$MNT/replaced"
	exec 9<"$MNT/replaced"
	echo new >"$MNT/replacing"
	mv "$MNT/replacing" "$MNT/replaced"
	echo 3 >/proc/sys/vm/drop_caches
	same old old "$(cat <&9)"
	same new new "$(cat "$MNT/replaced")"
	exec 7<&- 8>&- 9<&-
	rm "$MNT/replaced"
}

check_links()
{
	echo x >"$MNT/one"
	ln "$MNT/one" "$MNT/two"
	same links 2 "$(stat -c %h "$MNT/one")"
	rm "$MNT/one"
	same content x "$(cat "$MNT/two")"
	ln -s two "$MNT/three"
	same target two "$(readlink "$MNT/three")"
	same through x "$(cat "$MNT/three")"
	ln -s "$(printf '%04000d' 1)" "$MNT/far"
	same 'long target' 4000 "$(readlink "$MNT/far" | tr -d '\n' | wc -c)"
	# A link out of the export is followed by the guest in its own tree, never by the server.
	ln -s /out/results "$MNT/outside"
	[ "$(readlink "$MNT/outside")" = /out/results ]
	mkdir "$MNT/x" "$MNT/y"
	touch "$MNT/x/f"
	refused mv "$MNT/y" "$MNT/x/f"
	refused rmdir "$MNT/x"
	mv "$MNT/x" "$MNT/y/x"
	same moved f "$(ls "$MNT/y/x")"
	rm -r "$MNT/two" "$MNT/three" "$MNT/far" "$MNT/outside" "$MNT/y"
}

check_attributes()
{
	echo data >"$MNT/attr"
	chmod 4751 "$MNT/attr"
	chown 1234:5678 "$MNT/attr"
	chmod 0640 "$MNT/attr"
	touch -d '2001-02-03 04:05:06' "$MNT/attr"
	umount_and_mount
	same mode,owner 640:1234:5678 "$(stat -c %a:%u:%g "$MNT/attr")"
	same mtime "$(date -d '2001-02-03 04:05:06' +%s)" "$(stat -c %Y "$MNT/attr")"
	df -k "$MNT" | tail -n 1 | awk '{exit !($2 > 0)}'
	sync "$MNT/attr"
	rm "$MNT/attr"
}

# The opposite of unmount: the same live rings serve a second session.
check_remount()
{
	echo kept >"$MNT/kept"
	for _ in 1 2 3; do umount_and_mount; done
	same kept kept "$(cat "$MNT/kept")"
	# A second mount shares the session; both see each other's files.
	attach /mnt/second
	echo two >/mnt/second/kept
	same shared two "$(cat "$MNT/kept")"
	umount /mnt/second
	rm "$MNT/kept"
}
