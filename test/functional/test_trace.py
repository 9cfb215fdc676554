# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Trace points: the manual's list is the binary's, and perf counts at them what weir counts."""

import os
import re
import shutil
import subprocess

import pytest

import weirtest

MANUAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'doc',
                      'performance.md')
TRACEFS = '/sys/kernel/tracing'
OPERATIONS = 500


def notes():
    """The points that the binary has: {name: number of arguments}."""
    text = subprocess.run(['readelf', '--notes', weirtest.WEIR], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    points = {}
    for provider, name, arguments in re.findall(
            r'Provider: (\S+)\s+Name: (\S+)\s+Location: .*\s+Arguments:(.*)', text):
        # An operand has no blank in it, so that each is a word.
        assert provider == 'weir'
        assert points.setdefault(name, len(arguments.split())) == len(arguments.split())
    return points


def test_the_manual_lists_what_the_binary_has():
    with open(MANUAL, encoding='utf-8') as file:
        section = file.read().split('## Trace points\n', maxsplit=1)[1].split('\n## ')[0]
    listed = {name: len(arguments.split(',')) for name, arguments in re.findall(
        r'^\| `(\w+)` \| ([^|]*) \|', section, re.MULTILINE)}
    assert listed == notes()


class Perf:
    """perf in a mount namespace with a tracefs and a cache of its own."""

    def __init__(self, home):
        self.env = {**os.environ, 'HOME': str(home), 'LC_ALL': 'C'}

    def run(self, *args):
        command = ['unshare', '--mount', 'sh', '-c',
                   f'mountpoint -q {TRACEFS} || mount -t tracefs tracefs {TRACEFS}; exec "$@"',
                   'sh', 'perf', *args]
        return subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=True).stdout


@pytest.fixture
def perf(tmp_path, monkeypatch):
    """Attached to a binary of this test's own: to the original others may attach at the time."""
    if not os.path.exists('/sys/bus/event_source/devices/uprobe'):
        pytest.skip('this kernel has no uprobes')
    binary = tmp_path / 'weir'
    shutil.copy2(weirtest.WEIR, binary)
    monkeypatch.setattr(weirtest, 'WEIR', str(binary))
    tool = Perf(tmp_path)
    tool.run('buildid-cache', '--add', str(binary))
    tool.run('probe', '--add', 'sdt_weir:*')
    yield tool
    tool.run('probe', '--del', 'sdt_weir:*')


def counts(text):
    """perf stat -x, by point; one that the compiler has put in several places is summed."""
    found = {}
    for value, name in re.findall(r'^(\d+),,sdt_weir:([a-z_]+?)(?:_\d+)?,', text, re.MULTILINE):
        found[name] = found.get(name, 0) + int(value)
    return found


def test_perf_counts_what_weir_counts(perf, weir):
    weir.start_transport()
    weir.rpc('fsdev_null_create', name='null0')
    path = weir.add_device('d0', 'null0')
    text = perf.run('stat', '-x,', '-e', 'sdt_weir:*', '-p', str(weir.pid), '--', weirtest.PERF,
                    '-s', path, '--event', '--depth', '4', '--ops', str(OPERATIONS), 'getattr')
    found = counts(text)
    queues = weir.rpc('virtio_fs_device_get_stat', dev_name='d0')[0]['queues']
    chains = sum(q['chains'] for q in queues)
    assert chains >= OPERATIONS
    assert found['fuse_begin'] == found['fuse_end'] == chains, text
    assert found['queue_interrupt'] == sum(q['interrupts'] for q in queues) > 0
    assert found['rpc_call'] == found['queue_broken'] == 0
