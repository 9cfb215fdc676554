# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of what options do to owners, set-id bits and direct I/O, as the guest sees it in $MNT, and
# the host in its folder (host is in cache.sh). $PAIR is weir-pair.

# mode_is WHAT MODE: of $MNT/bits/f.
mode_is()
{
	same "$1" "$2" "$(stat -c %a "$MNT/bits/f")"
	same "$1, on the host" "$2" "$(host 'stat -c %a bits/f')"
}

# bits_after MODE COMMAND...: it works on f, which anybody may write and which has set-id bits.
bits_after()
{
	_mode=$1
	shift
	cd "$MNT/bits" || return
	chown 1001:2001 f
	chmod 6777 f
	same before 6777 "$(stat -c %a f)"
	"$@"
	cd /
	mode_is "$*" "$_mode"
}

# Set-id bits fall when somebody changes the file who might not set them; capabilities of it always.
check_set_id_bits_fall()
{
	mkdir -m 777 "$MNT/bits"
	/usr/bin/dd if=/dev/zero of="$MNT/bits/f" bs=4096 count=1 2>/dev/null
	for change in 'echo y >>f' 'truncate -s 100 f' ': >f' '/usr/bin/fallocate -l 8192 f' \
		'/usr/bin/dd if=/dev/zero of=f bs=4096 count=1 oflag=direct conv=notrunc 2>/dev/null'; do
		bits_after 777 as 1002 2002 none sh -c "$change"
		bits_after 6777 sh -c "$change"
	done
	bits_after 777 /usr/bin/setpriv --bounding-set=-fsetid --inh-caps=-fsetid sh -c 'echo y >>f'
	bits_after 777 /usr/bin/setpriv --bounding-set=-fsetid --inh-caps=-fsetid sh -c ': >f'
	bits_after 777 chown 1002 f
	bits_after 777 as 1001 2001 2003 chown :2003 f
	for change in 'echo y >>f' 'truncate -s 100 f' 'chown 1002 f'; do
		/usr/sbin/setcap cap_net_raw+ep "$MNT/bits/f"
		same capability 1 "$(host '/usr/sbin/getcap bits/f' | grep -c cap_net_raw)"
		(cd "$MNT/bits" && sh -c "$change")
		same "$change" '' "$(host '/usr/sbin/getcap bits/f')"
	done
	rm -r "$MNT/bits"
}

# cached FILE: pages of it in the host's page cache.
cached()
{
	host "fincore -nb -o PAGES $1" | xargs
}

# direct_io: writes and reads four pages with O_DIRECT; says how many of them the host then has.
direct_io()
{
	/usr/bin/dd if=/dev/urandom of=/tmp/four bs=4096 count=4 2>/dev/null
	/usr/bin/dd if=/tmp/four of="$MNT/direct" bs=4096 oflag=direct 2>/dev/null
	pages=$(cached direct)
	/usr/bin/dd if="$MNT/direct" of=/tmp/got bs=4096 iflag=direct 2>/dev/null
	pages="$pages $(cached direct)"
	same read "$(sha256sum </tmp/four)" "$(sha256sum </tmp/got)"
	same written "$(sha256sum </tmp/four)" "$(host 'sha256sum <direct')"
	rm "$MNT/direct"
}

# Unless the host's file system takes all for cached.
check_direct_io_goes_past_the_host()
{
	host 'dd if=/dev/zero of=probe bs=4096 count=4 oflag=direct 2>/dev/null'
	probe=$(cached probe)
	host 'rm probe'
	direct_io
	[ "$probe" != 0 ] || same pages '0 0' "$pages"
}

check_direct_io_is_stripped()
{
	direct_io
	same pages '4 4' "$pages"
}

# An open file's data are the host's, whatever the guest believes of its attributes.
check_data_are_not_kept()
{
	host 'printf one >kept'
	exec 7<"$MNT/kept"
	same one one "$(cat <&7)"
	host 'printf ONE | dd of=kept conv=notrunc 2>/dev/null'
	same again ONE "$(perl -e 'sysseek(STDIN, 0, 0); sysread(STDIN, $b, 9); print $b' <&7)"
	exec 7<&-
	host 'rm kept'
}

# What has no pages in the guest cannot be shared by them. Programs run all the same.
check_no_shared_mappings()
{
	head -c 8192 /dev/zero >"$MNT/mapped"
	refused "$PAIR" map "$MNT/mapped" 4096 >/tmp/said
	grep -q 'No such device' /tmp/said || { cat /tmp/said; return 1; }
	cp /run/bin/busybox "$MNT/true"
	"$MNT/true"
	rm "$MNT/true" "$MNT/mapped"
}

# allow_mmap: from Linux 6.6 on.
check_shared_mappings()
{
	head -c 8192 /dev/zero >"$MNT/mapped"
	"$PAIR" map "$MNT/mapped" 4096
	wanted=$({ head -c 4096 /dev/zero; yes | head -c 4096; } | sha256sum)
	same host "$wanted" "$(host 'sha256sum <mapped')"
	same guest "$wanted" "$(sha256sum <"$MNT/mapped")"
	host 'rm mapped'
}

# Directories, and names that were not there, are believed for $VALID_S seconds.
check_names_in_time()
{
	host 'mkdir -p nd/old'
	same mode 755 "$(stat -c %a "$MNT/nd/old")"
	refused test -e "$MNT/nd/later"
	host 'mv nd/old nd/new; chmod 700 nd/new; mkdir nd/later nd/old; mkdir -m 711 nd/old/in'
	sleep "$VALID_S.1"
	same found 711 "$(stat -c %a "$MNT/nd/old/in")"
	same mode 700 "$(stat -c %a "$MNT/nd/new")"
	test -d "$MNT/nd/later"
	host 'rm -r nd'
}

# owned FILE GUEST HOST: UID:GID of it.
owned()
{
	same "$1" "$2" "$(/usr/bin/stat --cached=never -c %u:%g "$MNT/ids/$1")"
	same "$1, on the host" "$3" "$(host "stat -c %u:%g ids/$1")"
}

# Users of the guest are others of the host (MAPS of checks.py): 0 is 4000, 1000 to 1009
# are 5000 to 5009; groups 0 is 4100, 100 to 109 are 600 to 609. 2000 to 2999 are 5999, as groups
# 6999. The host's 0 is shown as 65534. User 66 is forbidden.
ids_begin()
{
	host 'mkdir ids; chown 4000:4100 ids; chmod 1777 ids'
	umount_and_mount
	same root 0:0 "$(stat -c %u:%g "$MNT/ids")"
}

ids_end()
{
	cd /
	host 'rm -r ids'
}

# Told by each of the answers that have owners in them: of what makes, lists, looks up and asks.
check_ids_are_mapped()
{
	ids_begin
	for who in '0 0' '1003 105' '77 88' '2005 2006'; do
		# shellcheck disable=SC2086,SC2016
		as $who none sh -c 'cd "$0" && mkdir "d$1" && mkfifo "p$1" && ln -s x "l$1" && echo x >"f$1"' \
			"$MNT/ids" "${who% *}"
		ln "$MNT/ids/f${who% *}" "$MNT/ids/h${who% *}"
	done
	names='' wanted='' on_host=''
	for row in '0 0:0 4000:4100' '1003 1003:105 5003:605' '77 77:88 77:88' \
		'2005 5999:6999 5999:6999'; do
		# shellcheck disable=SC2086
		set -- $row
		for kind in d f h l p; do
			names="$names $kind$1" wanted="$wanted $kind$1=$2" on_host="$on_host $kind$1=$3"
		done
	done
	cd "$MNT/ids" || return
	# shellcheck disable=SC2086
	same made "$wanted" " $(stat -c %n=%u:%g $names | xargs)"
	same 'on the host' "$on_host" " $(host "cd ids; stat -c %n=%u:%g $names" | xargs)"
	# shellcheck disable=SC2086
	same asked "$wanted" " $(/usr/bin/stat --cached=never -c %n=%u:%g $names | xargs)"
	cd /
	host ': >ids/r; : >ids/o; chown 5004:606 ids/o'
	umount_and_mount
	# shellcheck disable=SC2086
	same 'looked up' "$wanted o=1004:106 r=65534:65534" \
		" $(cd "$MNT/ids" && stat -c %n=%u:%g $names o r | xargs)"
	umount_and_mount
	# shellcheck disable=SC2086,SC2012
	same listed "$(printf '%s\n' $wanted o=1004:106 r=65534:65534 | sort)" \
		"$(ls -n "$MNT/ids" | awk 'NR > 1 { print $9 "=" $3 ":" $4 }' | sort)"
	ids_end
}

# Linux 6.3 and later tell the group of the folder, if it is one of the caller's, make files without
# a name, and ask by STATX where one wants the time of birth.
check_newer_guests_ids_are_mapped()
{
	ids_begin
	host 'mkdir ids/team; chown 0:605 ids/team; chmod 2770 ids/team'
	umount_and_mount
	as 1004 100 105 touch "$MNT/ids/team/f"
	refused as 1004 100 106 touch "$MNT/ids/team/g"
	owned team/f 1004:105 5004:605
	same statx 1004:105 \
		"$(/usr/bin/stat --cached=never -c '%u:%g %W' "$MNT/ids/team/f" | cut -d ' ' -f 1)"
	as 1003 105 none /usr/bin/python3 - "$MNT/ids" <<-'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR, 0o644)
		owner = os.fstat(fd)
		assert (owner.st_uid, owner.st_gid) == (1003, 105), owner
		# With a folder to begin at, for Python does not follow the link without.
		os.link(f'/proc/self/fd/{fd}', f'{sys.argv[1]}/named', src_dir_fd=fd)
	END
	owned named 1003:105 5003:605
	ids_end
}

check_ids_are_given_mapped()
{
	ids_begin
	cd "$MNT/ids" || return
	: >f
	chown 1005:107 f
	owned f 1005:107 5005:607
	as 1005 107 108 chown :108 f
	owned f 1005:108 5005:608
	refused as 1005 108 none chown :109 f
	chown 2999:2000 f
	owned f 5999:6999 5999:6999
	chown 10:11 f
	owned f 10:11 10:11
	ids_end
}

# The guest's kernel goes by its own ids, the host's by the others.
check_mapped_ids_have_rights()
{
	ids_begin
	host 'echo secret >ids/f; chown 5003:605 ids/f; chmod 640 ids/f
		mkdir ids/d; chown 5003:605 ids/d; chmod 2770 ids/d'
	as 1003 100 none grep -q secret "$MNT/ids/f"
	as 1004 105 none grep -q secret "$MNT/ids/f"
	refused as 5003 605 none cat "$MNT/ids/f"
	as 1004 105 none touch "$MNT/ids/d/made"
	owned d/made 1004:105 5004:605
	refused as 5003 605 none touch "$MNT/ids/d/other"
	ids_end
}

# Nobody else, root neither, can give it anything.
check_forbidden_id_makes_nothing()
{
	ids_begin
	cd "$MNT/ids" || return
	: >f
	for change in 'echo x >new' 'mkdir new' 'ln -s x new' 'mkfifo new'; do
		refused as 66 100 none sh -c "$change" 2>/tmp/said
		grep -q 'not permitted' /tmp/said || { echo "$change: $(cat /tmp/said)"; return 1; }
	done
	refused chown 66 f
	owned f 0:0 4000:4100
	same names f "$(host 'ls ids')"
	ids_end
}

# Their ids would not be mapped, so there are none: neither set nor shown.
check_no_acls_with_maps()
{
	ids_begin
	host ': >ids/f; chown 4000:4100 ids/f
		python3 -c "
import os, struct
acl = struct.pack(\"<I\", 2)
for tag, perm, id in ((1, 6, -1), (2, 4, 5003), (4, 4, -1), (16, 4, -1), (32, 4, -1)):
    acl += struct.pack(\"<HHi\", tag, perm, id)
os.setxattr(\"ids/f\", \"system.posix_acl_access\", acl)
os.setxattr(\"ids/f\", \"user.x\", b\"y\")"'
	/usr/bin/python3 - "$MNT/ids/f" <<-'END'
		import errno, os, struct, sys
		path, name = sys.argv[1], 'system.posix_acl_access'
		assert os.listxattr(path) == ['user.x'], os.listxattr(path)
		entries = (1, 6, -1), (2, 4, 1003), (4, 4, -1), (16, 4, -1), (32, 4, -1)
		acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHi', *e) for e in entries)
		for call in (os.getxattr, os.removexattr, lambda p, n: os.setxattr(p, n, acl)):
		    try:
		        call(path, name)
		    except OSError as e:
		        assert e.errno == errno.EOPNOTSUPP, e
		    else:
		        sys.exit('an ACL was set or seen')
	END
	ids_end
}
