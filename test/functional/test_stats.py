# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Statistics: what was counted is what was sent."""

import json
import time

from weirtest import Fe, fe, holding_fe, wait_until


def test_counts_are_what_the_guest_sent(served, tmp_path):
    path = served.add_device('d0', 'mem0', queues=3)
    counts = tmp_path / 'counts'
    fe('check', '-s', path, '--queues', '3', '--entries', '200', '--counts', counts)
    sent = json.loads(counts.read_text())
    # The tool's file was written before it unmounted.
    sent['DESTROY'] = {'count': sent['DESTROY']['count'] + 1, 'errors': 0, 'bytes': 0}

    wait_until(lambda: not served.device('d0')['mounted'], 10, 'the unmount')
    ops = served.rpc('virtio_fs_device_get_stat', dev_name='d0')[0]['fuse']['ops']
    sent.pop('INTERRUPT')
    ops.pop('INTERRUPT', None)
    assert {op: c['count'] for op, c in ops.items()} == {op: c['count'] for op, c in sent.items()}
    assert {op: c['errors'] for op, c in ops.items()} == \
        {op: c['errors'] for op, c in sent.items()}
    for op in ('READ', 'WRITE'):
        assert ops[op]['bytes'] == sent[op]['bytes'] > 0
    for op, count in ops.items():
        latency = count['latency_us']
        assert latency['count'] == count['count'], op
        assert 0 <= latency['p50'] <= latency['p99'] <= latency['max'] * 1.25 + 1, op


def test_reset_starts_anew(served):
    path = served.add_device('d0', 'mem0')
    with holding_fe(path):
        served.rpc('virtio_fs_device_get_stat', dev_name='d0', reset=True)
        assert served.rpc('virtio_fs_device_get_stat', dev_name='d0')[0]['fuse']['ops'] == {}


def test_telemetry_tells_the_same(served):
    path = served.add_device('d0', 'mem0')
    assert served.telemetry('/weir/devices')['/weir/devices'] == ['d0']
    with holding_fe(path):
        stat = served.rpc('virtio_fs_device_get_stat', dev_name='d0')[0]
        told = served.telemetry('/weir/devices,d0')['/weir/devices']
    assert told['name'] == 'd0'
    assert told['fuse']['ops']['INIT']['count'] == stat['fuse']['ops']['INIT']['count'] == 1
    assert '/weir/devices' in served.telemetry('/')['/']


def test_workers_report_their_busy_share(served):
    path = served.add_device('d0', 'mem0')
    idle = served.rpc('weir_get_workers')
    assert len(idle) == 2
    fe('bench', 'getattr', '-s', path, '--seconds', '1', '--file-size', '4k')
    after = served.rpc('weir_get_workers')
    assert any(a['cycles_busy'] > i['cycles_busy'] for a, i in zip(after, idle))
    assert all(0 <= w['busy_percent'] <= 100 for w in after)
    told = served.telemetry('/weir/workers')['/weir/workers']
    assert len(told) == 2


def test_reports_do_not_wait_for_traffic(served):
    path = served.add_device('d0', 'mem0', queues=2)
    with Fe('bench', 'randread', '-s', path, '--queues', '2', '--seconds', '2', '--file-size',
            '1m') as run:
        wait_until(lambda: served.rpc('virtio_fs_device_get_stat')[0]['fuse']['ops'].get('READ'),
                   10, 'load')
        for _ in range(20):
            start = time.monotonic()
            served.rpc('virtio_fs_device_get_stat', dev_name='d0')
            served.telemetry('/weir/devices,d0')
            assert time.monotonic() - start < 1
        run.wait()
