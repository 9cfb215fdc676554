# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Packed rings: offered where the device says so, and as good as split ones."""

import pytest

from weirtest import Fe, fe, holding_fe

RING_PACKED = 1 << 34

VARIANTS = {
    'queues': ['--queues', '4', '--depth', '64', '--entries', '500'],
    'no-indirect': ['--no-indirect', '--ring-size', '1024', '--depth', '8', '--entries', '300'],
    'no-event-idx': ['--no-event-idx', '--entries', '300'],
    'small-ring': ['--ring-size', '8', '--depth', '2', '--entries', '300'],
    'polling-driver': ['--poll', '--only', 'data-sizes,queues-depth,queues-parallel'],
}


def assert_not_offered(path):
    with Fe('ls', '-s', path, '--packed') as run:
        run.wait(code=1)
        assert 'not supported' in run.err


@pytest.mark.parametrize('variant', VARIANTS)
def test_mem_behaves_on_packed_rings(served, variant):
    path = served.add_device('d0', 'mem0', packed=True)
    out = fe('check', '-s', path, '--packed', *VARIANTS[variant], seconds=120)
    assert ' 0 failed' in out.splitlines()[-1]


def test_packed_rings_are_offered_where_asked_for(served):
    plain = served.add_device('plain', 'mem0')
    packed = served.add_device('packed', 'mem0', packed=True)
    assert not served.device('plain')['packed_ring']
    assert served.device('packed')['packed_ring'] and served.device('packed')['packed_vq']
    assert_not_offered(plain)
    with holding_fe(packed, '--packed'):
        assert int(served.device('packed')['negotiated_features'], 16) & RING_PACKED
    # A driver that knows split rings only is served as ever.
    with holding_fe(packed):
        assert not int(served.device('packed')['negotiated_features'], 16) & RING_PACKED
    assert fe('ls', '-s', packed, '--packed') == fe('ls', '-s', packed)


def test_modify_takes_packed_rings_back(served):
    served.add_device('d0', 'mem0', packed=True)
    served.rpc('virtio_fs_device_stop', dev_name='d0')
    served.rpc('virtio_fs_device_modify', dev_name='d0', tag='other')
    assert served.device('d0')['packed_ring']
    served.rpc('virtio_fs_device_modify', dev_name='d0', packed_vq=False)
    served.rpc('virtio_fs_device_start', dev_name='d0')
    assert not served.device('d0')['packed_ring']
    assert_not_offered(served.socket_of('d0'))
