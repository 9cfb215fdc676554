#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What very many files of one device take: bytes of memory for each, descriptors, time.

A folder of its own is made in --folder, which should be on tmpfs with room for the files: one KiB
each, and inodes, of which tmpfs gives about 130000 for each GiB of the machine unless it is mounted
with nr_inodes=0. They are made, looked up and held, listed with attributes, forgotten and removed,
all by way of a device. Memory is that of the whole process beyond what it had when the guest had
mounted, so the index over nodes (32 MiB once) and the session's counts are in it.
"""

import os
import shutil
import sys
import tempfile

import measurement

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'functional'))

import weirtest  # noqa: E402  (its folder is on the path from here on)
from manyfiles import ManyFiles  # noqa: E402


def row(name, got):
    rate = got['done'] / got['seconds'] if got.get('seconds') else 0
    print(f'{name:<10} {got.get("done", ""):>9} {got.get("errors", ""):>7} '
          f'{got.get("seconds", 0):>8.1f} {rate / 1000:>8.1f} {got["kib"] / 1024:>9.1f} '
          f'{got["bytes"]:>7.1f} {got["fds"]:>7}', flush=True)


def measure(weir, folder, args):
    weir.start_transport()
    more = {'max_fds': args.max_fds} if args.max_fds else {}
    weir.rpc('fsdev_aio_create', name='aio0', root_path=folder, **more)
    sock = weir.add_device('d0', 'aio0')
    print(f'{"step":<10} {"files":>9} {"errors":>7} {"s":>8} {"k/s":>8} {"MiB":>9} '
          f'{"B/file":>7} {"fds":>7}')
    with ManyFiles(weir, sock, args.files, args.entries) as many:
        for step in ('make', 'look', 'list', 'forget'):
            row(step, many.step(step))
        row('(settled)', many.settle())
        row('remove', many.step('remove'))
        row('(settled)', many.settle())
        many.end()


def main():
    parser = measurement.parser(__doc__)
    parser.add_argument('--files', type=int, default=1000000, help='how many (1000000)')
    parser.add_argument('--entries', type=int, default=10000, help='files of a directory (10000)')
    parser.add_argument('--folder', default='/dev/shm', help='on tmpfs, for the files (/dev/shm)')
    parser.add_argument('--max-fds', type=int, default=0, help='of the file system; 0: its default')
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix='weir-nodes-', dir=args.folder)
    try:
        with weirtest.Weir() as weir:
            measure(weir, folder, args)
            weir.stop()
    finally:
        shutil.rmtree(folder)


if __name__ == '__main__':
    main()
