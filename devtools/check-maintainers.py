#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Every tracked file has an owner in MAINTAINERS, and every pattern there still names something.

A pattern F: ends in / for a whole folder, or is a file name that may hold * and ?.
"""

import fnmatch
import subprocess
import sys


def matches(pattern, path):
    if pattern.endswith('/'):
        return path.startswith(pattern)
    return fnmatch.fnmatchcase(path, pattern) and path.count('/') == pattern.count('/')


def main():
    files = subprocess.run(['git', 'ls-files'], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    with open('MAINTAINERS', encoding='utf-8') as f:
        patterns = [line[2:].strip() for line in f if line.startswith('F:')]
    orphans = [p for p in files if not any(matches(q, p) for q in patterns)]
    stale = [q for q in patterns if not any(matches(q, p) for p in files)]
    for path in orphans:
        print(f'{path}: no F: pattern in MAINTAINERS', file=sys.stderr)
    for pattern in stale:
        print(f'MAINTAINERS: {pattern} names no file', file=sys.stderr)
    return 1 if orphans or stale else 0


if __name__ == '__main__':
    sys.exit(main())
