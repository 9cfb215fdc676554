#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""weir-conform on all kinds of mounts, compared with the table of doc/conformance.md."""

import fnmatch

import pytest

import conform
import ganesha

pytestmark = pytest.mark.skipif(not ganesha.is_installed(), reason='needs root and nfs-ganesha')


@pytest.fixture(scope='module')
def results():
    """Column to what came."""
    return conform.run_columns()


@pytest.fixture(scope='module')
def table():
    return conform.Table.of_document()


@pytest.mark.parametrize('column', conform.COLUMNS)
def test_column_is_as_documented(results, table, column):
    assert column in results and results[column].is_complete, 'the run did not end'
    wrong = []
    for check in conform.all_checks():
        expected, came = table.row_of(check)[0][column], results[column].word(check)
        if expected != conform.VARIES and came != expected:
            text = results[column].lines.get(check, ('', ''))[1]
            wrong.append(f'{check}: expected {expected}, came {came} {text}')
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('column', conform.PEERS)
def test_weir_passes_what_its_peer_passes(results, column):
    assert not [check for ours, check in conform.broken_rule(results) if ours == column]


def test_table_says_why_and_counts_right(results, table):
    checks = conform.all_checks()
    assert len(checks) == len(set(checks))
    for pattern, (cells, why) in table.rows.items():
        for part in conform.expand(pattern):
            assert fnmatch.filter(checks, part), f'{part}: there is no such check'
        assert set(cells) == set(conform.COLUMNS)
        assert set(cells.values()) > {'-'} or '-' not in cells.values(), f'{pattern} passes'
        assert len(why) > 10, f'{pattern}: why?'
    for check in checks:
        rows = [row for row in table.rows
                if any(fnmatch.fnmatchcase(check, p) for p in conform.expand(row))]
        assert len(rows) < 2, f'{check} is in {rows}'
    assert table.counts == conform.count_rows(results, table)
