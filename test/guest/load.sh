# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# Checks of a mounted file system, $MNT: fio, with every block verified.

verify()
{
	fio_run "$OUT/log/verify" --name=verify --directory="$MNT" --verify=crc32c --verify_state_save=0 \
		--do_verify=1 "$@"
	rm -f "$MNT"/verify.*
}

check_fio_psync_direct() { verify --ioengine=psync --direct=1 --rw=randwrite --bs=4k --size=2m; }
check_fio_psync_buffered() { verify --ioengine=psync --rw=write --bs=17k --size=8m --end_fsync=1; }
check_fio_libaio_direct() { verify --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bs=4k,64k --size=4m; }
check_fio_libaio_buffered() { verify --ioengine=libaio --iodepth=8 --rw=randwrite --bs=16k --size=4m; }

# Blocks as the guest is free to send them: not aligned to the file system's own.
check_fio_direct_512() { verify --ioengine=psync --direct=1 --rw=randwrite --bs=512 --size=256k; }

# A mailing-list reader's command, which failed there; -size is shortened.
check_fio_direct_1m_write()
{
	(cd "$MNT" && fio -direct=1 -rw=write -bs=1M -ioengine=psync -size=32M -name=seq \
		--output-format=terse --output="$OUT/log/seq.fio")
	same errors 0 "$(cut -d ';' -f 5 "$OUT/log/seq.fio")"
	same size 33554432 "$(stat -c %s "$MNT/seq.0.0")"
	rm "$MNT/seq.0.0"
}
