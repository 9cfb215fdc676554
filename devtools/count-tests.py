#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""count-tests.py REPORT: prints "PASSED FAILED SKIPPED" of meson's testlog.json or a JUnit file.

An executable of cmocka counts as its test cases; one that says no totals counts as one test. One
that failed without saying how (a crash, a leak, a time limit) counts as one failure more. Names
what was skipped on standard error.
"""

import json
import re
import sys
import xml.etree.ElementTree as ET

CMOCKA = re.compile(r'^\[\s+(PASSED|FAILED|SKIPPED)\s+\] (\d+) test', re.MULTILINE)
CMOCKA_SKIPPED = re.compile(r'^\[\s+SKIPPED\s+\] ([a-z]\w+)', re.MULTILINE)


def meson(path):
    passed = failed = skipped = 0
    with open(path, encoding='utf-8') as f:
        for row in map(json.loads, f):
            text = row.get('stdout', '') + row.get('stderr', '')
            said = {'PASSED': 0, 'FAILED': 0, 'SKIPPED': 0}
            for word, number in CMOCKA.findall(text):
                said[word] += int(number)
            for case in sorted(set(CMOCKA_SKIPPED.findall(text))):
                print(f'SKIPPED {case}', file=sys.stderr)
            good = row['result'] in ('OK', 'SKIP', 'EXPECTEDFAIL')
            if row['result'] == 'SKIP':
                said['SKIPPED'] = said['SKIPPED'] or 1
                print(f'SKIPPED all of {row["name"]}', file=sys.stderr)
            elif good and not any(said.values()):
                said['PASSED'] = 1
            passed += said['PASSED']
            failed += said['FAILED'] if good else max(said['FAILED'], 1)
            skipped += said['SKIPPED']
    return passed, failed, skipped


def junit(path):
    root = ET.parse(path).getroot()
    suites = [root] if root.tag == 'testsuite' else root.findall('testsuite')
    total, failed, skipped = (
        sum(int(s.get(key, 0)) for s in suites for key in keys)
        for keys in (('tests',), ('failures', 'errors'), ('skipped',)))
    return total - failed - skipped, failed, skipped


def main():
    path = sys.argv[1]
    try:
        print(*(junit(path) if path.endswith('.xml') else meson(path)))
    except (OSError, ValueError, KeyError, ET.ParseError) as e:
        print(f'{path}: {e}', file=sys.stderr)
        print(0, 1, 0)


if __name__ == '__main__':
    main()
