# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Workers with roles: requests cross from those that poll queues to those that have channels."""

import time

import pytest

import nfstest
import weirtest
from test_nfs import DIFFERENCES
from weirtest import SLOW, Fe, RpcError, fe, holding_fe, wait_until

EXIT_STUCK = 3
SPLIT = ('--frontend-lcores', '1', '--backend-lcores', '2,3')
OVERLAPPING = ('--frontend-lcores', '1-2', '--backend-lcores', '2,3')
WEIGHTED = {'io_core_distribution_policy': 'weighted_rr', 'io_core_weights': '2=3,3=1'}

pytestmark = pytest.mark.usefixtures('three_workers')


@pytest.fixture
def split(weir_factory):
    """An appliance with one frontend worker and two backend workers, and the file system mem0."""
    weir = weir_factory(*SPLIT)
    weir.start_transport()
    weir.rpc('fsdev_mem_create', name='mem0', lock_wait_ms=1)
    return weir


def add_device(weir, name, fsdev, queues=4, **policy):
    weir.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name=name, tag=name,
             fsdev=fsdev, num_request_queues=queues, queue_size=256, **policy)
    weir.rpc('virtio_fs_device_start', dev_name=name)
    return weir.socket_of(name)


def handoffs(weir):
    return {w['lcore']: w['handoff'] for w in weir.rpc('weir_get_workers')}


def at_rest(weir):
    """The counts of all workers when every request that was sent has come back."""
    def look():
        counts = handoffs(weir)
        if len({sum(c[key] for c in counts.values()) for key in
                ('requests_sent', 'requests_received', 'answers_sent', 'answers_received')}) == 1:
            return counts
        return None
    return wait_until(look, 10, 'all that was handed over to come back')


@pytest.mark.parametrize('fsdev', ['mem0', 'aio0'])
@pytest.mark.parametrize('roles, policy', [
    (SPLIT, {}), (SPLIT, {'io_core_distribution_policy': 'rr'}), (SPLIT, WEIGHTED),
    (OVERLAPPING, {'io_core_distribution_policy': 'rr'}),
], ids=['split-none', 'split-rr', 'split-weighted', 'overlapping-rr'])
def test_file_systems_behave(weir_factory, tmpfs_folder, roles, fsdev, policy):
    weir = weir_factory(*roles)
    weir.start_transport()
    if fsdev == 'mem0':
        weir.rpc('fsdev_mem_create', name='mem0')
    else:
        weir.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    path = add_device(weir, 'd0', fsdev, **policy)
    out = fe('check', '-s', path, '--queues', '4', '--depth', '64', '--entries', '500', seconds=120)
    assert ' 0 failed' in out.splitlines()[-1]
    assert sum(c['requests_sent'] for c in at_rest(weir).values()) > 1000


@pytest.mark.parametrize('policy', ['none', 'rr'])
def test_nfs_behaves(split, server, policy):
    nfstest.export(split, server)
    path = add_device(split, 'd0', 'nfs0', io_core_distribution_policy=policy)
    with Fe('check', '-s', path, '--queues', '4', '--entries', '300') as run:
        run.wait(120, code=None)
        lines = run.out.splitlines()
    failed = {line.split()[1].rstrip(':') for line in lines if line.startswith('FAIL')}
    assert failed == DIFFERENCES, '\n'.join(lines)
    at_rest(split)
    split.remove_device('d0')
    split.rpc('fsdev_nfs_delete', name='nfs0')


def test_requests_go_where_the_policy_says(split):
    none = add_device(split, 'd0', 'mem0', queues=1)
    rr = add_device(split, 'd1', 'mem0', queues=1, io_core_distribution_policy='rr')
    weighted = add_device(split, 'd2', 'mem0', queues=1, **WEIGHTED)

    def shares(path):
        before = at_rest(split)
        fe('check', '-s', path, '--only', 'names-large-directory', '--entries', '500')
        after = at_rest(split)
        got = [after[i]['requests_received'] - before[i]['requests_received'] for i in (2, 3)]
        assert sum(got) > 1000
        assert after[1]['requests_received'] == 0 and after[2]['requests_sent'] == 0
        return got[0] / sum(got)

    assert shares(none) in (0, 1)
    assert 0.49 < shares(rr) < 0.51
    assert 0.74 < shares(weighted) < 0.76


def test_roles_and_counts_are_reported(split):
    path = add_device(split, 'd0', 'mem0', **WEIGHTED)
    fe('ls', '-s', path)
    workers = {w['lcore']: w for w in split.rpc('weir_get_workers')}
    assert [(w['frontend'], w['backend']) for _, w in sorted(workers.items())] == \
        [(True, False), (False, True), (False, True)]
    assert workers[1]['handoff']['bursts_sent'] > 0
    telemetry = split.telemetry('/weir/workers')['/weir/workers']
    assert telemetry['0']['handoff']['requests_sent'] > 0
    device = split.device('d0')
    assert device['io_core_distribution_policy'] == 'weighted_rr'
    assert device['io_core_weights'] == '2=3,3=1'


@pytest.mark.parametrize('weights, words', [
    ('2', 'LCORE=WEIGHT'), ('2=', 'weight'), ('2=33', 'weight'), ('1=1', 'no backend worker'),
    ('2=1,', 'LCORE=WEIGHT'), ('2=1;3=1', 'LCORE=WEIGHT'), ('-2=1', 'LCORE=WEIGHT'),
    ('2=0,3=0', 'all weights'), ('99999999999=1', 'LCORE=WEIGHT')])
def test_bad_weights_are_refused(split, weights, words):
    split.rpc_fails(-32602, f'io_core_weights|{words}', 'virtio_fs_device_create',
                    transport_name='DOCA', dev_name='d0', tag='d0', fsdev='mem0',
                    io_core_distribution_policy='weighted_rr', io_core_weights=weights)
    assert split.rpc('virtio_fs_get_devices') == []


def test_policy_can_be_modified(split):
    path = add_device(split, 'd0', 'mem0', io_core_distribution_policy='rr')
    split.rpc('virtio_fs_device_stop', dev_name='d0')
    split.rpc_fails(-32602, 'io_core_weights|weighted_rr', 'virtio_fs_device_modify',
                    dev_name='d0', io_core_weights='2=1')
    split.rpc('virtio_fs_device_modify', dev_name='d0', **WEIGHTED)
    assert split.device('d0')['io_core_weights'] == '2=3,3=1'
    split.rpc('virtio_fs_device_modify', dev_name='d0', io_core_distribution_policy='none')
    assert split.device('d0')['io_core_weights'] == ''
    split.rpc('virtio_fs_device_start', dev_name='d0')
    fe('ls', '-s', path)


@pytest.mark.parametrize('args, words', [
    (('--frontend-lcores', '0'), 'lcore 0 is not a worker'),
    (('--backend-lcores', '1-9'), 'lcore 4 is not a worker'),
    (('--backend-lcores', '1,'), 'must be a list'),
    (('--frontend-lcores', 'x'), 'must be a list'),
    (('--frontend-lcores', '3-1'), 'must be a list'),
    (('--frontend-lcores', '1', '--backend-lcores', '2'), 'lcore 3 is neither'),
])
def test_bad_roles_are_refused(weir_factory, args, words):
    weir = weir_factory(*args, wait=False)
    assert weir.proc.wait(weirtest.START_S) == 1
    assert words in weir.log


@pytest.mark.parametrize('policy', ['none', 'rr'])
@pytest.mark.parametrize('fsdev', ['mem0', 'aio0'])
def test_guest_that_dies_under_load_leaves_nothing(split, folder, fsdev, policy):
    split.rpc('fsdev_aio_create', name='aio0', root_path=folder)
    path = add_device(split, 'd0', fsdev, io_core_distribution_policy=policy)
    for i in range(8):
        with Fe('bench', 'randwrite', '-s', path, '--seconds', '30', '--file-size', '1m',
                '--queues', '4', '--depth', '64') as run:
            sent = handoffs(split)[1]['requests_sent']
            wait_until(lambda: handoffs(split)[1]['requests_sent'] > sent + 1000, 20, 'load')
            if i % 2:
                time.sleep(0.002 * i)
            run.kill()
        wait_until(lambda: not split.device('d0')['connected'], 10, 'the disconnect')
    wait_until(lambda: not split.device('d0')['mounted'], 10, 'the session to end')
    at_rest(split)
    out = fe('check', '-s', path, '--only', 'data-sizes,queues-parallel')
    assert ' 0 failed' in out
    split.remove_device('d0')
    split.rpc(f'fsdev_{fsdev[:3]}_delete', name=fsdev)


def test_file_system_in_use_is_not_deleted(split):
    path = add_device(split, 'd0', 'mem0', io_core_distribution_policy='rr')
    with Fe('bench', 'randread', '-s', path, '--seconds', '30', '--file-size', '1m') as run:
        wait_until(lambda: handoffs(split)[1]['requests_sent'] > 1000, 20, 'load')
        split.rpc_fails(-16, 'mem0|d0', 'fsdev_mem_delete', name='mem0')
        split.rpc('virtio_fs_device_stop', dev_name='d0')
        split.rpc('virtio_fs_device_destroy', dev_name='d0')
        wait_until(lambda: split.rpc('virtio_fs_get_devices') == [], 10, 'the end of the device')
        split.rpc('fsdev_mem_delete', name='mem0')
        run.wait(code=None)


def test_term_under_load_is_clean(split, tmpfs_folder):
    split.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    path = add_device(split, 'd0', 'aio0', io_core_distribution_policy='rr')
    other = holding_fe(add_device(split, 'd1', 'mem0'))
    with other, Fe('bench', 'randwrite', '-s', path, '--seconds', '30', '--file-size',
                   '1m') as run:
        wait_until(lambda: handoffs(split)[1]['requests_sent'] > 1000, 20, 'load')
        split.stop(code=0)
        run.wait(code=None)


def test_hostile_guest_is_withstood(split):
    path = add_device(split, 'd0', 'mem0', queues=8, io_core_distribution_policy='rr')
    control = add_device(split, 'd1', 'mem0')
    fe('hostile', '-s', path, '--control', control, '--count', 8000, '--seed', 5, '--timeout',
       10 * SLOW, seconds=100)
    wait_until(lambda: not split.device('d0')['mounted'], 10, 'the session to end')
    at_rest(split)
    fe('ls', '-s', path)


def test_guest_of_a_hanging_folder_may_leave(weir_factory, hanging):
    weir = weir_factory(*SPLIT, '--shutdown-timeout', '2')
    weir.start_transport()
    weir.rpc('fsdev_aio_create', name='aio0', root_path=hanging.path)
    path = add_device(weir, 'd0', 'aio0', io_core_distribution_policy='rr')
    fe('ls', '-s', path)
    hanging.hang()
    with Fe('stat', '-s', path, 'hello', '--timeout', '60'):
        wait_until(hanging.is_asked, 10, 'a request that hangs')
    wait_until(lambda: not weir.device('d0')['connected'], 5, 'the disconnect')
    with pytest.raises(RpcError, match='busy'):
        weir.rpc('fsdev_aio_delete', name='aio0')
    weir.rpc_client.sock.close()
    weir.proc.terminate()
    wait_until(weir.is_over, 10, 'the end')
    assert 'd0' in weir.log and 'aio0' in weir.log
    hanging.release()
    assert weir.proc.wait(10) == EXIT_STUCK
