#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Warns of functions over 80 lines and files over 800. Never fails: length is a hint."""

import sys

import csource


def main():
    paths = csource.tracked('*.c', '*.h')
    for path in paths:
        with open(path, encoding='utf-8') as f:
            lines = sum(1 for _ in f)
        if lines > 800:
            print(f'warning: {path}: {lines} lines; one noun a file?')
    for path, name, first, last in csource.functions(paths):
        if last - first + 1 > 80:
            print(f'warning: {path}:{first}: {name}() has {last - first + 1} lines')
    return 0


if __name__ == '__main__':
    sys.exit(main())
