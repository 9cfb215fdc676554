# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Which worker polls a queue: chosen when its ring comes up, changed while its guest uses it."""

import json
import os
import random
import subprocess
import threading
import time

import pytest

import nfstest
from weirtest import SANITIZED, Fe, RpcClient, RpcError, fe, holding_fe, wait_until

EBUSY, EINVAL, ENODEV = -16, -22, -19
INVALID_PARAMS = -32602
MOVES = 200
PATIENCE_S = 5
WORKERS = [1, 2, 3]

pytestmark = pytest.mark.usefixtures('three_workers')


@pytest.fixture
def served(weir):
    weir.start_transport()
    weir.rpc('fsdev_mem_create', name='mem0')
    return weir


def where(weir, name):
    """Worker of each queue of a device that is up."""
    return {q['queue']: w['lcore'] for w in weir.rpc('weir_get_workers') for q in w['queues']
            if q['dev_name'] == name}


def queues(weir, name):
    return weir.rpc('virtio_fs_device_get_stat', dev_name=name)[0]['queues']


def move(weir, queue, lcore, name='d0'):
    weir.rpc('weir_move_queue', dev_name=name, queue=queue, lcore=lcore)


def at_rest(weir, name):
    """The queues of a device when all that was taken has been given back."""
    def look():
        found = queues(weir, name)
        return found if all(q['chains'] == q['used'] for q in found) else None
    return wait_until(look, 10, 'all requests to be answered')


def storm(path, nb_queues, seed):
    return Fe('storm', '-s', path, '--queues', nb_queues, '--seed', seed, stdin=subprocess.PIPE)


def test_queues_go_to_the_least_loaded(served):
    """High-priority queues are spread as well, and do not draw the others after them."""
    runs = [holding_fe(served.add_device(f'd{i}', 'mem0', queues=2), '--queues', '2')
            for i in range(3)]
    workers = {w['lcore']: w for w in served.rpc('weir_get_workers')}
    for run in runs:
        run.kill()
    requests = {lcore: sum(q['queue'] > 0 for q in w['queues']) for lcore, w in workers.items()}
    assert requests == {1: 2, 2: 2, 3: 2}
    for lcore, worker in workers.items():
        assert worker['nb_queues'] == len(worker['queues']) >= 2, lcore
        assert 0 <= worker['busy_recent_percent'] <= 100


def test_queues_that_went_down_count_no_more(served):
    paths = [served.add_device(f'd{i}', 'mem0', queues=2) for i in range(2)]
    fe('ls', '-s', paths[0], '--queues', '2')
    wait_until(lambda: where(served, 'd0') == {}, 5, 'the rings to go down')
    assert [w['nb_queues'] for w in served.rpc('weir_get_workers')] == [0, 0, 0]
    with holding_fe(paths[1], '--queues', '2'):
        assert len(set(where(served, 'd1').values())) == 3
    telemetry = served.telemetry('/weir/workers')['/weir/workers']
    assert 'nb_queues' in telemetry['0']


def test_only_frontend_workers_get_queues(weir_factory):
    weir = weir_factory('--frontend-lcores', '2', '--backend-lcores', '1,3')
    weir.start_transport()
    weir.rpc('fsdev_mem_create', name='mem0')
    with holding_fe(weir.add_device('d0', 'mem0')):
        assert set(where(weir, 'd0').values()) == {2}
        weir.rpc_fails(EINVAL, 'lcore 3|backend', 'weir_move_queue', dev_name='d0', queue=1,
                       lcore=3)
        move(weir, 1, 2)


def test_memory_node_is_reported(served):
    path = served.add_device('d0', 'mem0')
    fe('ls', '-s', path)
    nodes = {int(name[4:]) for name in os.listdir('/sys/devices/system/node')
             if name.startswith('node')}
    for queue in queues(served, 'd0'):
        assert queue['memory_node'] in nodes and not queue['up']


@pytest.mark.parametrize('idle', ['adaptive', 'poll'])
@pytest.mark.parametrize('fsdev', ['mem0', 'aio0'])
def test_moves_under_load_lose_nothing(served, tmpfs_folder, fsdev, idle):
    """A storm that sees what was lost, done twice or late; and transfers, checked as they come."""
    seed = 4
    rng = random.Random(seed)
    served.rpc('weir_set_worker_idle', policy=idle)
    if fsdev == 'aio0':
        served.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    with storm(served.add_device('d0', fsdev), 2, seed) as run, \
            nfstest.load(served.add_device('d1', fsdev), 'read', block=65536,
                         file_size=1 << 20) as reads:
        wait_until(lambda: sum(q['chains'] for q in queues(served, 'd0')) > 100, 20, 'the storm')
        before = {name: {q['id']: q['used'] for q in queues(served, name)} for name in ('d0', 'd1')}
        for _ in range(MOVES // 4 if SANITIZED else MOVES):
            name, queue, lcore = rng.choice(['d0', 'd1']), rng.randrange(3), rng.choice(WORKERS)
            move(served, queue, lcore, name)
            assert where(served, name)[queue] == lcore
        for name, counts in before.items():
            wait_until(lambda name=name, counts=counts:
                       all(q['used'] > counts[q['id']] for q in queues(served, name)
                           if q['id'] > 0 and q['id'] in counts), 10, 'work after the moves')
        run.proc.stdin.close()
        run.wait(60)
        nfstest.end_load(reads)
        for name in ('d0', 'd1'):
            assert not any(q['error'] or q['in_backend'] for q in at_rest(served, name))


def test_whole_check_passes_on_queues_that_move(served):
    path = served.add_device('d0', 'mem0')
    rng = random.Random(7)
    with Fe('check', '-s', path, '--queues', '4', '--depth', '32', '--entries', '200') as run:
        while run.proc.poll() is None:
            move(served, rng.randrange(5), rng.choice(WORKERS))
        out = run.wait()
    assert ' 0 failed' in out.splitlines()[-1]
    at_rest(served, 'd0')


def test_requests_follow_their_queue_to_another_backend(weir_factory, tmpfs_folder):
    """A worker that is both runs to completion what its queue brings, after a move as before."""
    weir = weir_factory('--frontend-lcores', '1,2', '--backend-lcores', '2,3')
    weir.start_transport()
    weir.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    with storm(weir.add_device('d0', 'aio0', queues=1), 1, 3) as run:
        def sent():
            return sum(w['handoff']['requests_sent'] for w in weir.rpc('weir_get_workers'))
        wait_until(lambda: len(queues(weir, 'd0')) == 2, 20, 'the storm')
        move(weir, 1, 1)
        start = sent()
        wait_until(lambda: sent() > start + 20, 10, 'requests that are handed over')
        move(weir, 1, 2)
        move(weir, 0, 2)
        after, used = sent(), queues(weir, 'd0')[1]['used']
        wait_until(lambda: queues(weir, 'd0')[1]['used'] > used + 100, 10, 'requests')
        assert sent() == after
        run.proc.stdin.close()
        run.wait()


def test_moved_queue_stays_for_the_next_guest(served):
    path = served.add_device('d0', 'mem0', queues=2)
    move(served, 2, 3)
    for _ in range(2):
        with holding_fe(path, '--queues', '2'):
            move(served, 1, 3)
            assert where(served, 'd0')[1] == where(served, 'd0')[2] == 3
        wait_until(lambda: where(served, 'd0') == {}, 5, 'the rings to go down')


@pytest.mark.parametrize('words, code, params', [
    ('d9', ENODEV, {'dev_name': 'd9'}),
    ('lcore 9', ENODEV, {'lcore': 9}),
    ('lcore 0', ENODEV, {'lcore': 0}),
    ('d0|queues 0 to 4', EINVAL, {'queue': 5}),
    ('d1|start', EINVAL, {'dev_name': 'd1'}),
    ('queue', INVALID_PARAMS, {'queue': -1}),
])
def test_what_cannot_be_moved_is_said(served, words, code, params):
    path = served.add_device('d0', 'mem0')
    served.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name='d1', tag='d1',
               fsdev='mem0')
    with holding_fe(path):
        before = where(served, 'd0')
        served.rpc_fails(code, words, 'weir_move_queue',
                         **{'dev_name': 'd0', 'queue': 1, 'lcore': 2, **params})
        assert where(served, 'd0') == before


def test_queue_of_a_hanging_backend_stays(served, hanging):
    served.rpc('fsdev_aio_create', name='aio0', root_path=hanging.path)
    path = served.add_device('d0', 'aio0', queues=1)
    fe('ls', '-s', path)
    hanging.hang()
    with Fe('stat', '-s', path, 'hello', '--timeout', '60') as run:
        wait_until(hanging.is_asked, 10, 'a request that hangs')
        at = where(served, 'd0')
        other = next(lcore for lcore in WORKERS if lcore != at[1])
        start = time.monotonic()
        served.rpc_fails(EBUSY, 'd0|queue 1|aio0|1 ', 'weir_move_queue', dev_name='d0',
                         queue=1, lcore=other)
        assert PATIENCE_S * 0.9 < time.monotonic() - start
        assert where(served, 'd0') == at
        # A guest that leaves ends the wait of a move, which then has no chance any more.
        with RpcClient(served.rpc_path) as client:
            client.send(b'{"jsonrpc":"2.0","id":1,"method":"weir_move_queue","params":'
                        b'{"dev_name":"d0","queue":1,"lcore":%d}}' % other)
            wait_until(lambda: 'moved already' in error_of(
                served, 'weir_move_queue', dev_name='d0', queue=1, lcore=at[1]), 5, 'the move')
            run.kill()
            assert json.loads(client.line())['error']['code'] == EBUSY
    wait_until(lambda: not served.device('d0')['connected'], 5, 'the disconnect')
    start = time.monotonic()
    served.rpc_fails(EBUSY, 'd0|queue 1|1 ', 'weir_move_queue', dev_name='d0', queue=1, lcore=other)
    assert time.monotonic() - start < PATIENCE_S
    # What waits for nothing may go, and what has come back as well.
    move(served, 0, other)
    hanging.release()
    wait_until(lambda: all(q['in_backend'] == 0 for q in queues(served, 'd0')), 10,
               'the request to come back')
    move(served, 1, other)


def error_of(weir, method, **params):
    try:
        weir.rpc(method, **params)
    except RpcError as error:
        return error.message
    return ''


class Mover(threading.Thread):
    """Moves queues by a connection of its own until it is told to stop."""

    def __init__(self, weir, seed):
        super().__init__()
        self.rng = random.Random(seed)
        self.client = RpcClient(weir.rpc_path)
        self.over = threading.Event()
        self.moved, self.other = 0, []

    def run(self):
        while not self.over.is_set():
            try:
                self.client.call('weir_move_queue', dev_name='d0', queue=self.rng.randrange(5),
                                 lcore=self.rng.choice(WORKERS))
                self.moved += 1
            except RpcError as error:
                # The device may be gone, not started, busy with another operation.
                if error.code not in (EBUSY, ENODEV, EINVAL):
                    self.other.append(error)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join()
        self.client.sock.close()


@pytest.mark.parametrize('seed', [1, 2])
@pytest.mark.parametrize('fsdev', ['mem0', 'aio0'])
def test_moves_race_with_all_that_happens_to_a_device(served, tmpfs_folder, fsdev, seed):
    rng = random.Random(seed)
    if fsdev == 'aio0':
        served.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    path = served.add_device('d0', fsdev)
    with Mover(served, seed) as mover:
        for _ in range(4 if SANITIZED else 12):
            with Fe('bench', 'randwrite', '-s', path, '--queues', '4', '--seconds', '60',
                    '--file-size', '1m') as run:
                wait_until(lambda: run.proc.poll() is not None or
                           sum(q['chains'] for q in queues(served, 'd0')) > 200, 20, 'load')
                what = rng.choice(['disconnect', 'stop', 'destroy', 'memory'])
                if what == 'stop':
                    served.rpc('virtio_fs_device_stop', dev_name='d0')
                    served.rpc('virtio_fs_device_start', dev_name='d0')
                elif what == 'destroy':
                    served.remove_device('d0')
                    served.add_device('d0', fsdev)
            if what == 'memory':
                fe('check', '-s', path, '--queues', '3', '--only', 'queues-memory-change')
            else:
                fe('check', '-s', path, '--queues', '4', '--only', 'queues-parallel,data-sync')
    assert mover.moved > 20 and mover.other == []
    at_rest(served, 'd0')
    served.remove_device('d0')
    served.rpc(f'fsdev_{fsdev[:3]}_delete', name=fsdev)
