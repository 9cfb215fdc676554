#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Keeps a private nfs-ganesha for a test that is not Python.

Prints one line: the NFS port, the MOUNT port, the exported folder. Then obeys lines on standard
input (kill, start, freeze, thaw), each answered with a line. When its input ends the server does,
and what was made is removed. Exit status 77: no nfs-ganesha can run here.
"""

import sys

import ganesha


def main():
    if not ganesha.is_installed():
        print('no nfs-ganesha can run here', file=sys.stderr)
        return 77
    with ganesha.Ganesha(cache=False) as server:
        print(server.port, server.mount_port, server.folder, flush=True)
        commands = {'kill': server.kill, 'start': server.start,
                    'freeze': server.freeze, 'thaw': server.thaw}
        for line in sys.stdin:
            commands[line.strip()]()
            print('ok', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
