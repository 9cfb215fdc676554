# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What instructions.py makes of callgrind's files and of the bars."""

import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import instructions  # noqa: E402  (its folder is on the path from here on)

# As callgrind 3.19 writes it with the options of instructions.py.
PROFILE = '''# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 42
cmd:  ./weir-insn-engine /tmp
part: 3

desc: Timerange: Basic block 1 - 2
desc: Trigger: Client Request: null: READ 4 KiB

positions: line
events: Ir
summary: 999

ob=/build/weir-insn-engine
fl=queue.c
fn=queue_poll
0 100
cfi=vq.c
cfn=weir_vq_pop.part.0
calls=10 0
0 500
0 20
fn=weir_vq_pop.part.0
0 400
fi=vq.h
0 50
ob=/lib/libc.so.6
fl=???
fn=0x00000000000abcde
0 7
fn=memcpy@GLIBC_2.2.5
0 8

totals: 585
'''


def bar(number, **functions):
    return {'instructions': number, 'functions': functions}


def case(number, **functions):
    return instructions.Case(number, functions)


def test_profile_counts_what_a_function_executes_itself(tmp_path):
    path = tmp_path / 'callgrind.1'
    path.write_text(PROFILE)
    assert instructions.read_profile(path) == ('null: READ 4 KiB', {
        'queue_poll': 120, 'weir_vq_pop': 450, 'libc.so.6': 7, 'memcpy': 8})


@pytest.mark.parametrize('number, verdict', [
    (970, 'lower the bar'), (971, 'ok'), (1000, 'ok'), (1030, 'ok'), (1031, 'TOO MANY')])
def test_three_percent_are_allowed(number, verdict):
    row, = instructions.judge({'op': case(number)}, {'op': bar(1000)})
    assert row['verdict'] == verdict
    assert instructions.failed(row) == (verdict == 'TOO MANY')


def test_operations_and_bars_belong_together():
    rows = instructions.judge({'new': case(10)}, {'old': bar(10)})
    assert [(r['operation'], r['verdict']) for r in rows] == [
        ('old', 'not measured'), ('new', 'has no bar')]
    assert all(map(instructions.failed, rows))


def test_functions_that_grew_are_named_in_order():
    now = case(1300, same=500, more=460, fresh=240, small=9)
    row, = instructions.judge({'op': now}, {'op': bar(1000, same=500, more=400)})
    assert row['grown'] == [('fresh', 0, 240), ('more', 400, 460)]


def test_update_lowers_and_raises_only_when_told():
    cases = {'up': case(1010), 'down': case(900, f=800, g=8), 'new': case(5.04)}
    bars = {'up': bar(1000), 'down': bar(1000), 'gone': bar(1)}
    assert instructions.update(cases, bars, may_raise=False) == {
        'down': bar(900, f=800), 'new': bar(5.0), 'up': bar(1000)}
    assert instructions.update(cases, bars, may_raise=True)['up'] == bar(1010)


def test_bars_are_as_the_script_writes_them(tmp_path, monkeypatch):
    with open(instructions.BARS, encoding='utf-8') as file:
        text = file.read()
    known = instructions.json.loads(text)
    monkeypatch.setattr(instructions, 'BARS', tmp_path / 'bars.json')
    instructions.write_bars(known['compiler'], known['operations'])
    assert (tmp_path / 'bars.json').read_text() == text


def test_raise_needs_update():
    done = subprocess.run([sys.executable, instructions.__file__, '--raise'], text=True,
                          stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2 and '--update' in done.stderr
