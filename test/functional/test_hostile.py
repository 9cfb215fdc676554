# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""The hostile front end: nothing it does may end, hang or confuse the appliance."""

import json

import pytest

from weirtest import SANITIZED, SLOW, Fe, fe, wait_until

# What one request of the other device may take while two cores do everything at once.
ANSWER_MS = 1000 * SLOW


def assault(weir, fsdev, count, seed, *args):
    """Runs it against d0 while d1 serves another guest; returns what it reports."""
    path = weir.add_device('d0', fsdev, queues=8, packed='--packed' in args)
    control = weir.add_device('d1', 'mem0')
    with Fe('hostile', '-s', path, '--control', control, '--count', count, '--seed', seed,
            '--json', '--timeout', 10 * SLOW, *args) as run:
        out = run.wait(seconds=100, code=None)
        assert weir.is_alive(), weir.log[-4000:]
        assert run.proc.returncode == 0, run.err + out
    report = json.loads(out)
    assert report['faults'] == 0
    assert report['control']['error'] == 0 and report['control']['ops'] > 100
    assert report['control']['max_ms'] < ANSWER_MS
    # The front end and its session are gone, with all they held.
    wait_until(lambda: not weir.device('d0')['mounted'], 10, 'the session to end')
    fe('ls', '-s', path)
    return report


@pytest.mark.parametrize('fsdev, count, seed', [('mem0', 105000, 1), ('aio0', 20000, 2),
                                                ('null0', 10000, 3)])
def test_appliance_withstands(served, folder, fsdev, count, seed):
    served.rpc('fsdev_aio_create', name='aio0', root_path=folder, lock_wait_ms=1)
    served.rpc('fsdev_null_create', name='null0')
    report = assault(served, fsdev, count, seed)
    assert report['sent'] >= count * 0.99
    for cat in report['categories']:
        assert cat['sent'] > 0, cat
    # Most inputs break one thing of a good request: what lies behind the first check is reached.
    past = sum(c['past'] for c in report['categories'] if c['layer'] == 'fuse')
    sent = sum(c['sent'] for c in report['categories'] if c['layer'] == 'fuse')
    assert past > sent / 4


def test_appliance_withstands_packed_rings(served):
    report = assault(served, 'mem0', 12000, 4, '--packed')
    rings = {c['name']: c for c in report['categories'] if c['layer'] == 'packed'}
    assert all(c['sent'] > 100 for c in rings.values())
    # What breaks a ring is not answered; what a driver asks of events breaks nothing.
    for name in ('id-outside', 'endless', 'length', 'order', 'indirect-in-chain'):
        assert rings[name]['past'] == 0, rings[name]
        assert rings[name]['silent'] == rings[name]['sent'], rings[name]
    assert rings['events']['past'] > rings['events']['sent'] / 2


def test_nothing_is_left_of_many_assaults(served):
    path = served.add_device('d0', 'mem0', queues=8)

    def run(seed):
        fe('hostile', '-s', path, '--count', 3000, '--seed', seed, '--timeout', 10 * SLOW)

    run(1)
    fds, rss = served.nb_fds(), served.rss_kib()
    for seed in range(2, 5):
        run(seed)
    assert served.nb_fds() <= fds + 1
    assert SANITIZED or served.rss_kib() <= rss + 8192


def test_files_outside_the_folder_stay_out_of_reach(served, tmp_path):
    secret = tmp_path / 'secret'
    secret.write_text('secret')
    before = sorted((p.name, p.stat().st_mtime_ns) for p in tmp_path.iterdir())
    (tmp_path / 'root').mkdir()
    served.rpc('fsdev_aio_create', name='aio0', root_path=str(tmp_path / 'root'),
               lock_wait_ms=1)
    path = served.add_device('d0', 'aio0', queues=8)
    fe('hostile', '-s', path, '--only', 'fuse', '--count', 20000, '--seed', 9)
    after = sorted((p.name, p.stat().st_mtime_ns) for p in tmp_path.iterdir() if p.name != 'root')
    assert after == before and secret.read_text() == 'secret'
