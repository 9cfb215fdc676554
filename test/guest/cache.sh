# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of what a guest keeps, by the options of the file system: the host changes what is in the
# folder of $MNT meanwhile.

# host COMMAND: the host runs it in the folder; its output and exit status.
host()
{
	echo "$1" >"$OUT/ask.new"
	mv "$OUT/ask.new" "$OUT/ask"
	while [ ! -e "$OUT/answer" ]; do sleep 0.05; done
	cat "$OUT/answer"
	_rc=$(cat "$OUT/answer-rc")
	rm "$OUT/answer"
	return "$_rc"
}

# Longer, shorter, of the same size, a part of it, another file of the name: by the next open.
check_open_sees_the_host()
{
	host 'printf first >seen'
	same first first "$(cat "$MNT/seen")"
	for round in 1 2 3; do
		for text in "$round-a-longer-text" "$round" "$((round + 5))" "$((round + 6))"; do
			host "printf %s $text >seen"
			same content "$text" "$(cat "$MNT/seen")"
			same size ${#text} "$(stat -c %s "$MNT/seen")"
		done
		host 'seq 1 20000 >seen; printf changed | dd of=seen bs=1 seek=50000 conv=notrunc 2>/dev/null'
		same sum "$(host 'sha256sum <seen')" "$(sha256sum <"$MNT/seen")"
		host 'printf other >new; mv new seen'
		same renamed other "$(cat "$MNT/seen")"
		host 'printf name >added'
		same added name "$(cat "$MNT/added")"
		host 'rm added'
		refused cat "$MNT/added"
	done
	host 'rm seen'
}

# What is open is told of changes when what is known of it is too old: after $VALID_S seconds.
check_open_file_sees_the_host_in_time()
{
	host 'printf one >log'
	exec 7<"$MNT/log"
	same one one "$(cat <&7)"
	host 'printf two >>log'
	sleep "$VALID_S.1"
	same two two "$(cat <&7)"
	# What has been read already, and then becomes another.
	host 'printf ONE | dd of=log conv=notrunc 2>/dev/null'
	sleep "$VALID_S.1"
	same again ONEtwo "$(perl -e 'sysseek(STDIN, 0, 0); sysread(STDIN, $b, 9); print $b' <&7)"
	exec 7<&-
	host 'rm log'
}

# The counterpart: so it is without close_to_open, while attributes are believed.
check_old_size_is_believed()
{
	host 'printf old >believed'
	same old old "$(cat "$MNT/believed")"
	host 'printf longer >believed'
	same data lon "$(cat "$MNT/believed")"
	umount_and_mount
	same anew longer "$(cat "$MNT/believed")"
	host 'rm believed'
}

check_everything_is_believed()
{
	host 'mkdir all; printf old >all/a; printf old >all/b'
	same old old "$(cat "$MNT/all/a")"
	same listed './a ./b' "$(cd "$MNT/all" && echo ./*)"
	refused cat "$MNT/all/c"
	host 'printf new >all/a; printf new >all/c; rm all/b'
	same content old "$(cat "$MNT/all/a")"
	refused cat "$MNT/all/c"
	umount_and_mount
	same content new "$(cat "$MNT/all/a")"
	same listed './a ./c' "$(cd "$MNT/all" && echo ./*)"
	same made new "$(cat "$MNT/all/c")"
	# What the guest itself does is seen, whatever it believes.
	echo mine >"$MNT/all/d"
	rm "$MNT/all/a"
	same listed './c ./d' "$(cd "$MNT/all" && echo ./*)"
	same mine mine "$(cat "$MNT/all/d")"
	host 'rm -r all'
}

check_nothing_is_kept()
{
	host 'printf one >log'
	exec 7<"$MNT/log"
	same one one "$(cat <&7)"
	host 'printf two >>log; printf x >beside'
	same two two "$(cat <&7)"
	same beside 1 "$(stat -c %s "$MNT/beside")"
	host 'printf xyz >beside'
	same beside 3 "$(stat -c %s "$MNT/beside")"
	exec 7<&-
	host 'rm log beside'
}

check_write_back()
{
	exec 8>"$MNT/back"
	dd if=/dev/zero bs=1 count=3000 2>/dev/null | tr '\0' b | dd bs=1 >&8 2>/dev/null
	sync "$MNT/back"
	same stored "$(printf '%03000d' 0 | tr 0 b | sha256sum)" "$(host 'sha256sum <back')"
	printf end >&8
	exec 8>&-
	same closed 3003 "$(host 'stat -c %s back')"
	# Part of a page, of a file that is open for writing only and not in the cache.
	host 'seq 1 5000 >part'
	umount_and_mount
	printf middle | dd of="$MNT/part" bs=1 seek=10001 conv=notrunc 2>/dev/null
	host 'seq 1 5000 >wanted; printf middle | dd of=wanted bs=1 seek=10001 conv=notrunc 2>/dev/null'
	same part "$(host 'sha256sum <wanted')" "$(host 'sha256sum <part')"
	same part "$(host 'sha256sum <wanted')" "$(sha256sum <"$MNT/part")"
	for round in 1 2 3 4; do echo "line $round" >>"$MNT/lines"; done
	same appended "$(seq 1 4 | sed 's/^/line /')" "$(host 'cat lines')"
	truncate -s 10 "$MNT/lines"
	printf x >>"$MNT/lines"
	same cut "11" "$(host 'stat -c %s lines')"
	touch -d '2001-02-03 04:05:06' "$MNT/lines"
	umount_and_mount
	same mtime "$(date -d '2001-02-03 04:05:06' +%s)" "$(stat -c %Y "$MNT/lines")"
	host 'rm back part wanted lines'
}

check_read_only()
{
	host 'mkdir ro ro/d; echo text >ro/f; ln -s f ro/l; touch -a -d 2000-01-01 ro/f ro/d ro'
	cd "$MNT/ro" || return
	same content text "$(cat f)"
	same through text "$(cat l)"
	same names 'd f l' "$(echo *)"
	for change in 'echo x >f' 'echo x >>f' 'echo x >new' 'rm f' 'mv f g' 'mkdir e' 'rmdir d' \
		'ln f g' 'ln -s f g' 'mkfifo p' 'chmod 600 f' 'chown 1 f' 'touch f' 'truncate -s 1 f'; do
		refused sh -c "$change" 2>"/tmp/said"
		grep -q 'Read-only file system' /tmp/said || { echo "$change: $(cat /tmp/said)"; return 1; }
	done
	cd /
	same times '946684800 946684800 946684800' "$(host 'TZ=UTC stat -c %X ro/f ro/d ro' | xargs)"
	same unchanged 'text d f l' "$(host 'cat ro/f; ls ro' | xargs)"
	host 'rm -r ro'
}

# What the host has mounted in the folder is a file system of its own in the guest: inode numbers, and
# the space, are its own.
check_submounts()
{
	host 'mkdir sub sub/one sub/two sub/way; echo below >sub/one/below
		mount -t tmpfs -o size=1m one sub/one; mount -t tmpfs -o size=2m two sub/two
		echo first >sub/one/f; echo second >sub/two/f; mkdir sub/dir; echo bound >sub/dir/f
		mount --bind sub/dir sub/way'
	same numbers 1 "$(host 'stat -c %i sub/one/f sub/two/f' | sort -u | wc -l)"
	# Listed with attributes first, then walked into, and the other way round.
	ls -l "$MNT/sub"
	same content 'first second bound' "$(cat "$MNT"/sub/one/f "$MNT"/sub/two/f "$MNT"/sub/way/f | xargs)"
	umount_and_mount
	same content 'first second bound' "$(cat "$MNT"/sub/one/f "$MNT"/sub/two/f "$MNT"/sub/way/f | xargs)"
	ls -l "$MNT/sub"
	same listed f "$(ls "$MNT/sub/one")"
	same devices 4 "$(cd "$MNT/sub" && stat -c %d . one two way | sort -u | wc -l)"
	same files 3 "$(cd "$MNT/sub" && stat -c %d:%i one/f two/f way/f | sort -u | wc -l)"
	same mounted 3 "$(grep -c " $MNT/sub/" /proc/mounts)"
	same sizes '1024 2048' "$(df -k "$MNT/sub/one" "$MNT/sub/two" | awk 'NR > 1 { print $2 }' | xargs)"
	find "$MNT/sub" -xdev -type f | sort >/tmp/found
	same found "$MNT/sub/dir/f" "$(cat /tmp/found)"
	refused ln "$MNT/sub/one/f" "$MNT/sub/two/g"
	mv "$MNT/sub/one/f" "$MNT/sub/two/g"
	same moved 'first second' "$(host 'cat sub/two/g sub/two/f' | xargs)"
	echo mine >"$MNT/sub/one/mine"
	sync -f "$MNT/sub/one/mine"
	same mine mine "$(host 'cat sub/one/mine')"
	# It goes while the guest is in it.
	exec 7<"$MNT/sub/one/mine"
	host 'umount -l sub/one'
	same open mine "$(cat <&7)"
	exec 7<&-
	same below below "$(cat "$MNT/sub/one/below")"
	same mounted 2 "$(grep -c " $MNT/sub/" /proc/mounts)"
	host 'umount -l sub/two; umount -l sub/way; rm -r sub'
	refused test -e "$MNT/sub"
}

# The counterpart: the guest sees one file system, in which numbers differ all the same.
check_no_submounts()
{
	host 'mkdir sub sub/one sub/two
		mount -t tmpfs one sub/one; mount -t tmpfs two sub/two
		echo first >sub/one/f; echo second >sub/two/f'
	same content 'first second' "$(cat "$MNT"/sub/one/f "$MNT"/sub/two/f | xargs)"
	same devices 1 "$(cd "$MNT/sub" && stat -c %d . one two | sort -u | wc -l)"
	same files 2 "$(cd "$MNT/sub" && stat -c %i one/f two/f | sort -u | wc -l)"
	same mounted 0 "$(grep -c " $MNT/sub/" /proc/mounts || true)"
	host 'umount -l sub/one; umount -l sub/two; rm -r sub'
}
