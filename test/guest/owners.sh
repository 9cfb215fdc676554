# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of a mounted file system, $MNT: whose files they are. Users are numbers, not accounts.

check_owner_and_umask()
{
	mkdir -m 1777 "$MNT/pub"
	as 1001 2001 none sh -c '
		umask 027
		cd "$1" && echo x >file && mkdir dir && ln -s file link && mkfifo fifo' - "$MNT/pub"
	same file 640:1001:2001 "$(stat -c %a:%u:%g "$MNT/pub/file")"
	same dir 750:1001:2001 "$(stat -c %a:%u:%g "$MNT/pub/dir")"
	same link 1001:2001 "$(stat -c %u:%g "$MNT/pub/link")"
	same fifo 640:1001:2001 "$(stat -c %a:%u:%g "$MNT/pub/fifo")"
	as 1001 2001 none sh -c 'umask 0; : >"$1/open"; mkdir "$1/opendir"' - "$MNT/pub"
	same 'umask 0' 666 "$(stat -c %a "$MNT/pub/open")"
	same 'umask 0' 777 "$(stat -c %a "$MNT/pub/opendir")"
	# Sticky: another user removes nothing of theirs.
	refused as 1002 2001 none rm -f "$MNT/pub/open"
	as 1001 2001 none rm -f "$MNT/pub/open"
	refused as 1002 2002 none cat "$MNT/pub/file"
	refused as 1002 2002 none ls "$MNT/pub/dir"
	as 1002 2001 none cat "$MNT/pub/file"
	rm -r "$MNT/pub"
}

# A new entry in a setgid folder has the folder's group; a new folder inherits the bit.
check_setgid_folder()
{
	mkdir "$MNT/shared"
	chown 0:3000 "$MNT/shared"
	chmod 2777 "$MNT/shared"
	as 1001 2001 none sh -c 'umask 022; cd "$1" && : >f && mkdir d && mkfifo p && : >d/g' - "$MNT/shared"
	same file 644:1001:3000 "$(stat -c %a:%u:%g "$MNT/shared/f")"
	same dir 2755:1001:3000 "$(stat -c %a:%u:%g "$MNT/shared/d")"
	same fifo 644:1001:3000 "$(stat -c %a:%u:%g "$MNT/shared/p")"
	same nested 644:1001:3000 "$(stat -c %a:%u:%g "$MNT/shared/d/g")"
	rm -r "$MNT/shared"
}

# Nodes of each kind, by root with devices, by a user without.
check_mknod()
{
	mkdir -m 777 "$MNT/nodes"
	mknod -m 604 "$MNT/nodes/fifo" p
	mknod -m 600 "$MNT/nodes/chr" c 1 3
	mknod -m 600 "$MNT/nodes/blk" b 7 200
	same fifo 604:fifo "$(stat -c %a:%F "$MNT/nodes/fifo")"
	same chr '600:character special file:1:3' "$(stat -c %a:%F:%t:%T "$MNT/nodes/chr")"
	same blk '600:block special file:7:c8' "$(stat -c %a:%F:%t:%T "$MNT/nodes/blk")"
	refused as 1001 2001 none mknod "$MNT/nodes/theirs" c 1 3
	as 1001 2001 none mkfifo "$MNT/nodes/mine"
	same mine 1001:2001 "$(stat -c %u:%g "$MNT/nodes/mine")"
	(echo through >"$MNT/nodes/fifo") &
	same through through "$(cat "$MNT/nodes/fifo")"
	rm -r "$MNT/nodes"
}

# Writing to a file of another's by group permission; set-user-id falls when it is written.
check_group_write_and_suid()
{
	echo x >"$MNT/g"
	chown 1001:3000 "$MNT/g"
	chmod 664 "$MNT/g"
	refused as 1002 2002 none sh -c 'echo y >>"$1"' - "$MNT/g"
	as 1002 3000 none sh -c 'echo y >>"$1"' - "$MNT/g"
	same lines 2 "$(wc -l <"$MNT/g")"
	chmod 4775 "$MNT/g"
	as 1002 3000 none sh -c 'echo w >>"$1"' - "$MNT/g"
	same suid 775 "$(stat -c %a "$MNT/g")"
	refused as 1002 3000 none chmod 777 "$MNT/g"
	refused as 1002 3000 none chown 1002 "$MNT/g"
	rm "$MNT/g"
}

# The group that may write is one of many that the caller is in.
check_supplementary_group()
{
	echo x >"$MNT/s"
	chown 1001:3001 "$MNT/s"
	chmod 664 "$MNT/s"
	refused as 1002 2002 3000,3002 sh -c 'echo y >>"$1"' - "$MNT/s"
	as 1002 2002 3000,3001 sh -c 'echo y >>"$1"' - "$MNT/s"
	same lines 2 "$(wc -l <"$MNT/s")"
	rm "$MNT/s"
}

# So is that of a folder in which one makes something. With the folder's group, by its setgid bit,
# comes the right to make programs for it; others make them without.
check_group_of_folder()
{
	mkdir "$MNT/team"
	chown 0:3001 "$MNT/team"
	chmod 2775 "$MNT/team"
	as 1002 2002 3000,3001 sh -c 'cd "$1" && umask 002 && : >f && mkdir d && ln -s f l && mkfifo p' - \
		"$MNT/team"
	same file 664:1002:3001 "$(stat -c %a:%u:%g "$MNT/team/f")"
	same dir 2775:1002:3001 "$(stat -c %a:%u:%g "$MNT/team/d")"
	same link 1002:3001 "$(stat -c %u:%g "$MNT/team/l")"
	same fifo 664:1002:3001 "$(stat -c %a:%u:%g "$MNT/team/p")"
	refused as 1002 2002 3000,3002 touch "$MNT/team/no"
	rm -r "$MNT/team"
}

# Cutting a file off by O_TRUNC is writing: set-user-id and set-group-id fall.
check_truncate_and_suid()
{
	echo x >"$MNT/t"
	chown 1001:3000 "$MNT/t"
	chmod 6777 "$MNT/t"
	as 1002 2002 none sh -c ': >"$1"' - "$MNT/t"
	same suid 777 "$(stat -c %a "$MNT/t")"
	rm "$MNT/t"
}

# What counts is what was allowed at open.
check_open_keeps_rights()
{
	mkdir -m 777 "$MNT/keep"
	echo secret >"$MNT/keep/f"
	chmod 600 "$MNT/keep/f"
	exec 7<"$MNT/keep/f"
	exec 8>>"$MNT/keep/f"
	same read secret "$(as 1001 2001 none head -c 6 <&7)"
	as 1001 2001 none echo more >&8
	exec 7<&- 8>&-
	same lines 2 "$(wc -l <"$MNT/keep/f")"
	# A file that is made read-only, by its mode or right after, is written by who has it open.
	as 1001 2001 none sh -c 'umask 277; echo x >"$1/g"; exec 7>"$1/h"; chmod 0 "$1/h"; echo y >&7' - \
		"$MNT/keep"
	same read-only 400:x "$(stat -c %a "$MNT/keep/g"):$(cat "$MNT/keep/g")"
	same 'no mode' 0:y "$(stat -c %a "$MNT/keep/h"):$(cat "$MNT/keep/h")"
	rm -r "$MNT/keep"
}
