# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# What the guest of weir-demo does, on each of $tags. A line that begins with @ goes to the screen of
# the host.

set -e
step()
{
	echo "@ # $1"
}

tell()
{
	sed 's/^/@ /'
}

sums()
{
	(cd "$1" && find . -type f | sort | xargs sha256sum | sha256sum | cut -c 1-32)
}

# fio_line JOB OPTIONS...: one job, one line: rate and mean latency as the guest saw them.
fio_line()
{
	job=$1
	shift
	fio --name="$job" --directory="$mnt" --output-format=terse --terse-version=3 --unlink=1 "$@" |
		awk -F ';' -v job="$job" '/^3;/ {
			if ($5 != 0) { print job ": error " $5; exit 1 }
			if ($6 > 0) printf "%-28s read  %7d IOPS %9.1f MB/s\n", job, $8, $7 / 1024
			if ($47 > 0) printf "%-28s write %7d IOPS %9.1f MB/s\n", job, $49, $48 / 1024
		}' | tell
}

# copy TAG: a source tree into a mount, and out of a new one.
copy()
{
	step "$1: a source tree, copied in, read back after a new mount, packed"
	cp -a /tmp/tree "$mnt/tree"
	umount "$mnt"
	mount -t virtiofs "$1" "$mnt"
	after=$(sums "$mnt/tree")
	echo "$(find "$mnt/tree" -type f | wc -l) files, $(du -sk "$mnt/tree" | cut -f 1) KiB" | tell
	echo "checksum before $before" | tell
	echo "checksum after  $after" | tell
	[ "$before" = "$after" ]
	tar -cf "$mnt/tree.tar" -C "$mnt" tree
}

# semantics TAG
semantics()
{
	step "$1: what a program expects of a file system"
	echo secret >"$mnt/file"
	exec 7<"$mnt/file"
	rm "$mnt/file"
	echo "an open, removed file still reads: $(cat <&7)" | tell
	exec 7<&-
	[ -z "$(find "$mnt" -name '.nfs*')" ]
	ln -s tree "$mnt/link"
	truncate -s 5G "$mnt/sparse"
	echo "a sparse file: $(stat -c '%s bytes, %b blocks' "$mnt/sparse")" | tell
	rm "$mnt/sparse" "$mnt/link"
}

# load TAG
load()
{
	step "$1: fio, verified, then timed (under emulation: the guest's CPU is the limit)"
	fio --name=verify --directory="$mnt" --ioengine=libaio --iodepth=8 --direct=1 --rw=randwrite \
		--bs=4k --size=4m --verify=crc32c --verify_fatal=1 --verify_state_save=0 --unlink=1 \
		--output=/out/verify.log
	echo "fio --verify=crc32c, direct, libaio: every block right" | tell
	fio_line 'sequential write 1M direct' --ioengine=psync --direct=1 --rw=write --bs=1M --size=64M
	fio_line 'sequential read 1M direct' --ioengine=psync --direct=1 --rw=read --bs=1M --size=64M
	fio_line 'random read 4k direct' --ioengine=psync --direct=1 --rw=randread --bs=4k --size=16M \
		--runtime=2 --time_based
	fio_line 'random read 4k, depth 16' --ioengine=libaio --iodepth=16 --direct=1 --rw=randread \
		--bs=4k --size=16M --runtime=2 --time_based
}

echo "$(uname -sr), $(nproc) CPU, Debian's own kernel" | tell
for tag in ${tags:?}; do
	mnt=/mnt/$tag
	step "mount -t virtiofs $tag $mnt"
	mkdir -p "$mnt"
	mount -t virtiofs "$tag" "$mnt"
	grep "$mnt" /proc/mounts | tell
	df -h "$mnt" | tell
done
mkdir /tmp/tree
tar -xf /out/tree.tar -C /tmp/tree
before=$(sums /tmp/tree)
echo "$before" >/out/checksum
for tag in ${tags:?}; do
	mnt=/mnt/$tag
	copy "$tag"
	semantics "$tag"
	load "$tag"
done
for tag in ${tags:?}; do
	step "umount /mnt/$tag"
	umount "/mnt/$tag"
done
