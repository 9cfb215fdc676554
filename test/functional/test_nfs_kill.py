# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""An NFS server that is killed, or silent, while guests work: what is lost, and who notices."""

import array
import contextlib
import json
import os
import sys
import time

import pytest

import nfstest
from nfstest import EIO, MIB, Shell, end_load, export, info, load, procedure, wait_connected
from weirtest import SANITIZED, SLOW, RpcClient, Weir, fe, wait_until

O_RDONLY, O_RDWR = os.O_RDONLY, os.O_RDWR

FILE_BYTES = 16 * MIB
# What each kind of load calls most.
CALLS = {'read': 'READ', 'write': 'WRITE', 'storm': 'RENAME'}


def wait_for_more(weir, proc, count, name='nfs0'):
    """Until that many more of these calls were answered."""
    def answered():
        return procedure(weir, proc, name).get('rtt_us', {'count': 0})['count']
    goal = answered() + count
    wait_until(lambda: answered() >= goal, 60, f'{count} {proc}s')


def check_file(path, passes):
    """Each word of it was written by the last pass."""
    with open(path, 'rb') as file:
        data = file.read()
    assert len(data) == FILE_BYTES
    words = len(data) // 8
    first = passes << 48
    assert data == array.array('Q', range(first, first + words)).tobytes(), \
        'other data than was written'


def check_names(folder, threads):
    """What the storm left is there, and nothing else."""
    want = {f'old-{t}-{i}' for t, done in enumerate(threads) for i in range(done['passes'])
            if i % 3 != 0}
    got = {name for name in os.listdir(folder) if name.startswith(('new-', 'old-'))}
    assert got == want, f'{len(got - want)} too many, {len(want - got)} lost'
    return len(want)


def check_load(kind, threads, folder):
    for index, done in enumerate(threads):
        assert done['rc'] == done['errors'] == done['bad_blocks'] == 0, threads
        assert done['passes'] > 0, threads
        if kind != 'storm':
            check_file(f'{folder}/{kind}-{index}', done['passes'] if kind == 'write' else 1)
    if kind == 'storm':
        assert check_names(folder, threads) > 0


def start_load(weir, kind, device, fsdev='nfs0'):
    path = weir.add_device(device, fsdev, queues=2)
    return load(path, kind, file_size=FILE_BYTES)


class Outage:
    """A server that was killed in the middle of all three loads at once."""

    def __init__(self, server):
        self.server = server
        self.weir = Weir()
        self.weir.start_transport()
        export(self.weir, server, write_mode='file_sync')
        self.runs = {kind: start_load(self.weir, kind, f'd-{kind}') for kind in CALLS}
        for kind, proc in CALLS.items():
            wait_for_more(self.weir, proc, 8)
        server.kill()
        self.began = time.monotonic()

    def cleanup(self):
        for run in self.runs.values():
            run.kill()
        self.weir.cleanup()


@pytest.fixture(scope='module', autouse=True)
def outage():
    """Goes on behind all tests of this file, until the last one."""
    if SANITIZED or not nfstest.can_serve():
        yield None
        return
    with nfstest.Ganesha() as server:
        outage = Outage(server)
        yield outage
        outage.cleanup()


@pytest.mark.parametrize('kind', CALLS)
def test_load_survives_a_kill(weir, server, kind):
    weir.start_transport()
    export(weir, server, write_mode='file_sync')
    with start_load(weir, kind, 'd0') as run:
        wait_for_more(weir, CALLS[kind], 20)
        server.kill()
        time.sleep(1)
        assert info(weir)['state'] == 'reconnecting'
        server.start()
        wait_for_more(weir, CALLS[kind], 20)
        threads = end_load(run)
    check_load(kind, threads, server.folder)
    if kind != 'storm':
        assert max(done['longest_ms'] for done in threads) >= 1000, 'nothing was under way'
    assert info(weir)['lost_writes'] == 0
    assert info(weir)['reconnects'] > 0 and info(weir)['retransmissions'] > 0
    print(f'{kind}: {threads}, {info(weir)["retransmissions"]} retransmissions')


def restart(server):
    server.kill()
    server.start()


def test_lost_writes_are_told_once_for_each_file(weir, server):
    weir.start_transport()
    with contextlib.ExitStack() as stack:
        guests = {}
        for mode in ('unstable', 'data_sync', 'file_sync'):
            export(weir, server, mode, write_mode=mode)
            guest = stack.enter_context(Shell(weir.add_device(mode, mode)))
            guests[mode] = guest
            for i, name in enumerate(('dirty', 'closed', 'synced', 'idle', 'later')):
                assert guest.must('create', f'{mode}-{name}', O_RDWR)[0] == i
                if name not in ('idle', 'later'):
                    assert guest.must('write', i, 0, 3 * 4096, 'x')[0] == 3 * 4096
            assert guest.do('fsync', 2) == 0
            assert guest.must('open', f'{mode}-dirty', O_RDONLY)[0] == 5
        restart(server)
        for mode, guest in guests.items():
            once = -EIO if mode == 'unstable' else 0
            # Written before and after: the first fsync or close tells, whichever comes first.
            assert guest.must('write', 4, 0, 4096, 'y')[0] == 4096
            assert guest.do('flush', 5) == 0, 'it was open for reading'
            assert [guest.do('fsync', 0) for _ in range(3)] == [once, 0, 0], mode
            assert [guest.do('flush', 0), guest.do('release', 0)] == [0, 0]
            assert [guest.do('flush', 1) for _ in range(3)] == [once, 0, 0], mode
            assert [guest.do('fsync', 1), guest.do('release', 1)] == [0, 0]
            for file in (2, 3, 4):
                assert [guest.do('fsync', file), guest.do('flush', file)] == [0, 0], (mode, file)
            # What is written from now on is kept, and nobody is told again.
            assert guest.must('write', 2, 0, 4096, 'z')[0] == 4096
            assert [guest.do('fsync', 2), guest.do('flush', 2)] == [0, 0]
            assert info(weir, mode)['lost_writes'] == (2 if mode == 'unstable' else 0)


def test_soft_mount_fails_in_time(weir, server):
    weir.start_transport()
    export(weir, server, hard=False, timeo_ms=100, retrans=2)
    promised = 0.1 * 3
    with Shell(weir.add_device('d0', 'nfs0')) as guest:
        guest.must('create', 'file', O_RDWR)
        guest.must('write', 0, 0, MIB, 'a')
        guest.must('fsync', 0)
        for end in (server.freeze, server.kill):
            end()
            for words in (('fstat', 0), ('read', 0, 0, MIB), ('write', 0, 0, MIB, 'b'),
                          ('create', 'other', O_RDWR), ('list', '/'), ('rename', 'file', 'new')):
                begin = time.monotonic()
                assert guest.do(*words) == -EIO, words
                took = time.monotonic() - begin
                assert 0.9 * promised < took < promised + 1 * SLOW, (words, took)
        server.start()
        wait_until(lambda: guest.do('fstat', 0) == 0, 20, 'the server to be back')
        wait_connected(weir)
        assert guest.must('read', 0, 0, 4096)[0] == 4096
        procs = {entry['name']: entry for entry in info(weir)['procedures']}
        assert procs['READ']['errors'] == 2 and procs['WRITE']['errors'] == 2
        assert procs['READ']['calls'] == procs['READ']['rtt_us']['count'] + 2


def bench(path):
    """Latency of reads on both workers."""
    out = fe('bench', 'randread', '-s', path, '--queues', '2', '--depth', '2', '--seconds', '1',
             '--file-size', '1m', '--json')
    result = json.loads(out)
    assert result['errors'] == 0
    return result


@contextlib.contextmanager
def within(seconds, what):
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    assert took < seconds * SLOW, f'{what} took {took:.1f} s'


@pytest.fixture
def two_servers(weir, server):
    """One that will fail, behind d0, and one that lives on, behind d1."""
    weir.start_transport()
    with nfstest.Ganesha() as other:
        export(weir, server)
        export(weir, other, 'alive')
        yield weir.add_device('d0', 'nfs0', queues=2), weir.add_device('d1', 'alive', queues=2)


@pytest.mark.parametrize('dead', ['killed', 'frozen'])
def test_dead_server_holds_up_nobody_else(two_servers, weir, server, dead):
    path, alive = two_servers
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(load(path, 'write', file_size=FILE_BYTES))
        wait_for_more(weir, 'WRITE', 8)
        stuck = stack.enter_context(Shell(weir.add_device('d2', 'nfs0')))
        stuck.must('create', 'stuck', O_RDWR)
        run.proc.stdin.close()
        run.wait()
        before = bench(alive)
        run = stack.enter_context(load(path, 'write', file_size=FILE_BYTES))
        wait_for_more(weir, 'WRITE', 8)
        if dead == 'killed':
            server.kill()
        else:
            server.freeze()
        stuck.ask('write', 0, 0, MIB, 'x')
        during = bench(alive)
        print(f'{dead}: p50 {before["p50_us"]} -> {during["p50_us"]} us, '
              f'p99 {before["p99_us"]} -> {during["p99_us"]} us, ratios '
              f'{during["p50_us"] / before["p50_us"]:.2f} '
              f'{during["p99_us"] / before["p99_us"]:.2f}', file=sys.stderr)
        assert during['p50_us'] < 3 * before['p50_us']
        assert during['max_us'] < 1e6 * SLOW
        assert len(stuck.answers()) == 1 and run.proc.poll() is None

        with within(3, 'stopping a device'):
            weir.rpc('virtio_fs_device_stop', dev_name='d2')
        with within(3, 'starting a device'):
            weir.rpc('virtio_fs_device_start', dev_name='d2')
        with within(3, 'losing a guest'):
            run.kill()
            wait_until(lambda: not weir.device('d0')['mounted'], 3, 'the end of the session')
        with within(3, 'destroying two devices'):
            weir.remove_device('d0')
            weir.remove_device('d2')
        with within(3, 'deleting the export'):
            weir.rpc('fsdev_nfs_delete', name='nfs0')


def test_stopped_device_goes_on_when_its_server_does(weir, server):
    weir.start_transport()
    export(weir, server)
    with Shell(weir.add_device('d0', 'nfs0')) as guest:
        guest.must('create', 'file', O_RDWR)
        server.freeze()
        guest.ask('write', 0, 0, MIB, 'x')
        wait_until(lambda: procedure(weir, 'WRITE')['calls'] == 1, 10, 'the call')
        weir.rpc('virtio_fs_device_stop', dev_name='d0')
        server.thaw()
        weir.rpc('virtio_fs_device_start', dev_name='d0')
        assert guest.answer()[0] == MIB
        assert guest.must('fstat', 0)[1].split()[2] == str(MIB)


@pytest.mark.parametrize('dead', ['killed', 'frozen'])
def test_term_while_the_server_is_dead_is_bounded(weir, server, dead):
    weir.start_transport()
    export(weir, server)
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(start_load(weir, 'storm', 'd0'))
        wait_for_more(weir, 'RENAME', 8)
        if dead == 'killed':
            server.kill()
        else:
            server.freeze()
        # One more that is being mounted.
        pending = stack.enter_context(RpcClient(weir.rpc_path))
        params = {'name': 'nfs1', **server.params(), 'on_down': 'retry'}
        pending.send((json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'fsdev_nfs_create',
                                  'params': params}) + '\n').encode())
        with Shell(weir.add_device('d1', 'nfs0')) as guest:
            guest.ask('stat', '/')
            wait_until(lambda: weir.device('d1')['mounted'], 10, 'the guest')
            with within(5, 'the end'):
                weir.stop()
        run.kill()


@pytest.mark.skipif(SANITIZED, reason='plain build only: it takes 40 s')
def test_all_loads_survive_an_outage_of_40_s(outage):
    if outage is None:
        pytest.skip('no nfs-ganesha can run here')
    weir = outage.weir
    assert weir.is_alive() and info(weir)['state'] == 'reconnecting'
    time.sleep(max(0, 40 - (time.monotonic() - outage.began)))
    outage.server.start()
    for kind, proc in CALLS.items():
        wait_for_more(weir, proc, 20)
    done = {kind: end_load(run) for kind, run in outage.runs.items()}
    for kind, threads in done.items():
        check_load(kind, threads, outage.server.folder)
    assert info(weir)['lost_writes'] == 0
    weir.stop()
