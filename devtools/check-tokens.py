#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Tokens that do not appear in the code, and the folders that are allowed some of them."""

import re
import sys

import csource

# Besides main.c, the constructors that register a driver or a method may panic: nothing runs yet.
PANIC = 'rte_panic|rte_exit'

# Token, why not, folders and files where it may stand.
RULES = [
    (r'strcpy', 'use rte_strscpy', ()),
    (r'v?sprintf', 'use snprintf', ()),
    (r'strtok', 'use strtok_r or a cursor', ()),
    (r'atoi|atol|atoll', 'use strtol and check it', ()),
    (r'alloca', 'stack use must be bounded', ()),
    (r'__sync_\w+', 'use the C11 or __atomic forms with an order', ()),
    (r'(?<!asm__ )volatile', 'use an atomic with an order', ()),
    (r'__attribute__', 'use a macro of rte_common.h or lib/base',
     ('lib/base/', 'test/functional/pathcount.c')),
    (PANIC, 'one panic takes every guest down', ('app/weir/main.c', 'lib/fsdev/rpc.c')),
    (r'TODO|FIXME|XXX|HACK', 'open an issue', ()),
]

PATTERNS = [(re.compile(r'\b(' + token + r')\b'), why, where) for token, why, where in RULES]
COMMENTED = re.compile(r'\b(TODO|FIXME|XXX|HACK)\b')


def main():
    faults = 0
    paths = csource.tracked('*.c', '*.h')
    registering = {(path, n) for path, name, first, last in csource.functions(paths)
                   if name.endswith('_register') for n in range(first, last + 1)}
    for path in paths:
        with open(path, encoding='utf-8') as f:
            raw = f.read()
        pairs = zip(csource.code_only(raw).split('\n'), raw.split('\n'))
        for n, (line, text) in enumerate(pairs, 1):
            hits = [(m, why) for pattern, why, where in PATTERNS
                    if not path.startswith(where or '\0') for m in pattern.findall(line)]
            hits += [(m, 'open an issue') for m in COMMENTED.findall(text) if m not in line]
            if (path, n) in registering:
                hits = [hit for hit in hits if not re.fullmatch(PANIC, hit[0])]
            for token, why in hits:
                print(f'{path}:{n}: {token}: {why}', file=sys.stderr)
                faults += 1
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
