# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Exports of an nfs-ganesha on loopback: made, refused, used by two guests, and told of."""

import contextlib
import ctypes
import json
import os
import threading
import time

import pytest

import nfstest
from nfstest import MIB, Shell, export, info, procedure, wait_connected
from weirtest import SLOW, Fe, RpcClient, RpcError, fe, wait_until

O_RDWR, O_CREAT, O_EXCL, O_TRUNC = os.O_RDWR, os.O_CREAT, os.O_EXCL, os.O_TRUNC

EIO, EACCES, EBUSY, EEXIST, ENODEV, EHOSTUNREACH = 5, 13, 16, 17, 19, 113
INVALID_PARAMS = -32602


@pytest.fixture
def exported(weir, server):
    """An appliance with the export nfs0, and a device on it."""
    weir.start_transport()
    export(weir, server)
    weir.add_device('d0', 'nfs0')
    return weir


def test_what_existing_clients_send_is_enough(weir):
    # Without ports it is the portmapper's to answer, and then the server's at its usual port.
    error = weir.rpc_fails(-EHOSTUNREACH, 'portmapper|127.0.0.2|does not answer',
                           'fsdev_nfs_create', name='nfs0', server='127.0.0.2',
                           exportname='/export')
    assert 'no route' in error.message.lower()
    weir.rpc('fsdev_nfs_create', name='nfs0', server='127.0.0.2', exportname='/export',
             on_down='retry')
    entry = weir.rpc('fsdev_get_fsdevs', name='nfs0')
    assert entry['module_name'] == 'nfs'
    assert entry['module_specific']['state'] == 'connecting'
    assert entry['module_specific']['port'] == 2049
    assert weir.rpc('fsdev_nfs_delete', name='nfs0') is True


REFUSED = [
    (-EACCES, 'export /none|not exported', {'exportname': '/none'}),
    (-EHOSTUNREACH, 'mount of 127.0.0.1|does not answer', {'mount_port': 1}),
    (-EHOSTUNREACH, 'nfs of 127.0.0.1|does not answer', {'port': 1}),
    (-EHOSTUNREACH, 'server no-such-host.invalid', {'server': 'no-such-host.invalid'}),
    (INVALID_PARAMS, 'exportname|empty', {'exportname': ''}),
    (INVALID_PARAMS, 'server|required', {'server': None}),
    (INVALID_PARAMS, 'version|one of 3', {'version': '4.1'}),
    (INVALID_PARAMS, 'transport|one of tcp', {'transport': 'rdma'}),
    (INVALID_PARAMS, 'port|65536|0..65535', {'port': 65536}),
    (INVALID_PARAMS, 'mount_port|0..65535', {'mount_port': -1}),
    (INVALID_PARAMS, 'nconnect|1..16', {'nconnect': 0}),
    (INVALID_PARAMS, 'rsize|4096..1048576', {'rsize': 4095}),
    (INVALID_PARAMS, 'wsize|4096..1048576', {'wsize': 1048577}),
    (INVALID_PARAMS, 'timeo_ms|100..3600000', {'timeo_ms': 99}),
    (INVALID_PARAMS, 'retrans|0..1000', {'retrans': 1001}),
    (INVALID_PARAMS, 'write_mode|file_sync', {'write_mode': 'sync'}),
    (INVALID_PARAMS, 'on_down|retry', {'on_down': 'wait'}),
    (INVALID_PARAMS, 'squash|root', {'squash': 'some'}),
    (INVALID_PARAMS, 'hard', {'hard': 'maybe'}),
    (INVALID_PARAMS, 'enable_xattr|not supported', {'enable_xattr': True}),
    (INVALID_PARAMS, 'nosuch|unknown', {'nosuch': 1}),
]


def test_refusals_say_why_and_leave_nothing(weir, server):
    before, fds = weir.state(), weir.nb_fds()
    for code, words, params in REFUSED:
        given = {k: v for k, v in {**server.params(), **params}.items() if v is not None}
        weir.rpc_fails(code, words, 'fsdev_nfs_create', name='nfs0', **given)
        assert weir.state() == before, params
    wait_until(lambda: weir.nb_fds() <= fds, 5, 'sockets to be closed')
    export(weir, server)
    weir.rpc_fails(-EEXIST, 'nfs0', 'fsdev_nfs_create', name='nfs0', **server.params())


def test_export_in_use_is_not_deleted(exported):
    with Shell(exported.socket_of('d0')) as guest:
        guest.must('create', 'file', O_RDWR)
        exported.rpc_fails(-EBUSY, 'nfs0|d0', 'fsdev_nfs_delete', name='nfs0')
        assert guest.must('write', 0, 0, 5, 'a')[0] == 5
        assert guest.must('flush', 0)[0] == 0
    exported.remove_device('d0')
    exported.rpc('fsdev_nfs_delete', name='nfs0')
    exported.rpc_fails(-ENODEV, 'nfs0', 'fsdev_nfs_delete', name='nfs0')
    assert exported.rpc('fsdev_get_fsdevs') == []


@contextlib.contextmanager
def in_background(weir, method, **params):
    """A call on a connection of its own; yields a list that receives the answer and its time."""
    got = []

    def call():
        begin = time.monotonic()
        with RpcClient(weir.rpc_path) as client:
            try:
                result = client.call(method, **params)
            except RpcError as error:
                result = error
        got.append((result, time.monotonic() - begin))

    thread = threading.Thread(target=call)
    thread.start()
    yield got
    thread.join(30 * SLOW)
    assert not thread.is_alive(), f'{method} {params} is not answered'


def test_server_that_is_silent_delays_nobody_else(served, server):
    """Its ports accept and never answer: worse than a server that is down."""
    export(served, server, 'alive')
    other = served.add_device('d0', 'mem0')
    with nfstest.Ganesha() as silent:
        silent.freeze()
        with in_background(served, 'fsdev_nfs_create', name='fails', **silent.params()) as fails, \
             in_background(served, 'fsdev_nfs_create', name='waits', **silent.params(),
                           on_down='retry') as waits:
            time.sleep(0.2)
            begin = time.monotonic()
            bench = json.loads(fe('bench', 'getattr', '-s', other, '--seconds', '1', '--json'))
            assert bench['errors'] == 0 and bench['max_us'] < 1e6, bench
            served.add_device('d1', 'alive')
            fe('ls', '-s', served.socket_of('d1'))
            # What is not made yet cannot be used or deleted, and its name is taken.
            with pytest.raises(RpcError):
                served.rpc('fsdev_nfs_delete', name='fails')
            with pytest.raises(RpcError):
                served.rpc('fsdev_mem_create', name='fails')
            assert time.monotonic() - begin < 6 * SLOW
            assert not fails and not waits
        assert isinstance(fails[0][0], RpcError) and 'does not answer' in fails[0][0].message
        assert fails[0][1] < 10 * SLOW
        assert waits[0][0] == 'waits'
        path = served.add_device('d2', 'waits')
        run = Fe('ls', '-s', path)
        wait_until(lambda: served.device('d2')['connected'], 10, 'the guest')
        silent.thaw()
        assert '..' in run.wait(60)
        wait_connected(served, 'waits')
        run.kill()


def test_export_comes_when_its_server_does(weir, server):
    server.kill()
    weir.start_transport()
    weir.rpc_fails(-EHOSTUNREACH, 'does not answer', 'fsdev_nfs_create', name='nfs0',
                   **server.params())
    weir.rpc('fsdev_nfs_create', name='nfs0', **server.params(), on_down='retry')
    path = weir.add_device('d0', 'nfs0')
    with open(f'{server.folder}/late', 'w') as file:
        file.write('but here\n')
    with Fe('cat', '-s', path, 'late', '--timeout', '60') as run:
        wait_until(lambda: weir.device('d0')['connected'], 10, 'the guest')
        assert info(weir)['state'] == 'connecting'
        server.start()
        assert run.wait() == 'but here\n'
    wait_connected(weir)


# Of NFS version 3: it renames without flags. Of nfs-ganesha: see below.
DIFFERENCES = {'names-rename2', 'attrs-times-of-symlink'}


@pytest.mark.parametrize('params', [
    {},
    {'write_mode': 'file_sync', 'nconnect': 2, 'rsize': 65536, 'wsize': 32768,
     'close_to_open': False, 'readdirplus': False, 'attr_valid_ms': 0},
], ids=['defaults', 'options'])
def test_file_system_semantics(weir, server, params):
    weir.start_transport()
    export(weir, server, **params)
    path = weir.add_device('d0', 'nfs0')
    with Fe('check', '-s', path, '--queues', '4', '--entries', '2000') as run:
        run.wait(120, code=None)
        lines = run.out.splitlines()
    failed = {line.split()[1].rstrip(':') for line in lines if line.startswith('FAIL')}
    assert failed == DIFFERENCES, '\n'.join(lines)
    assert len(lines) > 40
    # The two that failed left a directory each.
    assert [name for name in os.listdir(server.folder) if not name.startswith('check-')] == []


def test_times_of_symbolic_links_do_not_change_for_libnfs_either(server):
    """nfs-ganesha answers OK and leaves them as they are, whoever the client is."""
    nfs = ctypes.CDLL('libnfs.so.13')
    nfs.nfs_init_context.restype = nfs.nfs_parse_url_dir.restype = ctypes.c_void_p
    context = ctypes.c_void_p(nfs.nfs_init_context())
    assert nfs.nfs_parse_url_dir(context, server.url().encode()) is not None
    assert nfs.nfs_mount(context, b'127.0.0.1', b'/export') == 0
    times = (ctypes.c_long * 4)(1000000001, 0, 1000000002, 0)
    with open(f'{server.folder}/file', 'w'):
        pass
    assert nfs.nfs_symlink(context, b'nowhere', b'/link') == 0
    assert nfs.nfs_lutimes(context, b'/link', times) == 0
    assert nfs.nfs_utimes(context, b'/file', times) == 0
    nfs.nfs_destroy_context(context)
    assert os.lstat(f'{server.folder}/file').st_mtime == 1000000002
    assert os.lstat(f'{server.folder}/link').st_mtime > 1000000002


def test_what_is_reported_is_what_was_done(exported, server):
    before = info(exported)
    assert before['state'] == 'connected' and before['procedures'] == []
    assert before['errors'] == {} and before['retransmissions'] == before['reconnects'] == 0
    with Shell(exported.socket_of('d0')) as guest:
        guest.must('create', 'file', O_RDWR)
        for i in range(8):
            assert guest.must('write', 0, i * MIB, MIB, 'x')[0] == MIB
        assert guest.must('read', 0, 0, MIB)[1] == f'{ord("x")}*{MIB}'
        assert [guest.do('unlink', 'none') for _ in range(3)] == [-2] * 3
        assert guest.do('mkdir', 'file') == -EEXIST
        middle = info(exported)
        assert middle['open_files'] == 1 and middle['objects'] == 2
        guest.must('flush', 0)
        guest.must('release', 0)
        assert info(exported)['open_files'] == 0
    # A guest may come back to the file that it has forgotten, until it goes.
    wait_until(lambda: info(exported)['objects'] == 1, 5, 'the file to be forgotten')
    after = info(exported)
    write, read = procedure(exported, 'WRITE'), procedure(exported, 'READ')
    assert write['calls'] == 8 and 8 * MIB < write['bytes_sent'] < 8 * MIB + 8192
    assert read['calls'] == 1 and MIB < read['bytes_received'] < MIB + 1024
    assert procedure(exported, 'COMMIT')['calls'] == 1
    assert after['errors'] == {'NOENT': 3, 'EXIST': 1}
    for entry in after['procedures']:
        rtt = entry['rtt_us']
        assert rtt['count'] == entry['calls'] and entry['errors'] == 0
        assert 0 < rtt['p50'] <= rtt['p90'] <= rtt['p99'] <= rtt['max']
    told = exported.telemetry('/weir/nfs,nfs0')['/weir/nfs']
    assert told.pop('name') == 'nfs0'
    want = {k: info(exported)[k] for k in told}
    # There fractions are text, and a list of named things is a dictionary.
    for entry in told['procedures'].values():
        entry['rtt_us'] = pytest.approx({k: float(v) for k, v in entry['rtt_us'].items()})
    want['procedures'] = {entry['name']: entry for entry in want['procedures']}
    assert told == want
    listed = exported.telemetry('/weir/nfs')['/weir/nfs']
    assert list(listed) == ['nfs0'] and listed['nfs0']['state'] == 'connected'


def test_report_tells_of_a_server_that_went_away(exported, server):
    with Shell(exported.socket_of('d0')) as guest:
        guest.must('create', 'file', O_RDWR)
        server.freeze()
        guest.ask('write', 0, 0, MIB, 'x')
        wait_until(lambda: procedure(exported, 'WRITE')['bytes_sent'] > MIB, 10, 'a WRITE')
        server.kill()
        wait_until(lambda: info(exported)['state'] == 'reconnecting', 10, 'the loss')
        write = procedure(exported, 'WRITE')
        assert write['calls'] == 1 and write['rtt_us']['count'] == 0
        server.start()
        assert guest.answer()[0] == MIB
    told = exported.telemetry('/weir/nfs,nfs0')['/weir/nfs']
    wait_connected(exported)
    assert told['reconnects'] >= 1
    # It may have been accepted before the server was ready, and dropped again.
    assert told['retransmissions'] == procedure(exported, 'WRITE')['retransmissions'] >= 1


def test_syncfs_stores_what_is_open_and_keeps_errors_for_its_owner(exported, server):
    def nb_commits():
        return procedure(exported, 'COMMIT')['calls']

    with Shell(exported.socket_of('d0')) as guest:
        assert guest.do('syncfs') == 0
        for file in range(3):
            guest.must('create', f'file{file}', O_RDWR)
        for file in range(2):
            guest.must('write', file, 0, 1000, 'a')
        assert guest.do('syncfs') == 0
        assert nb_commits() == 2
        # Nothing is left to be stored.
        assert guest.do('syncfs') == 0
        for file in range(3):
            close(guest, file)
        assert nb_commits() == 2
        guest.must('open', 'file0', O_RDWR)
        guest.must('write', 0, 0, 1000, 'b')
        server.kill()
        # It tells its lives apart by the second in which they began.
        time.sleep(1)
        server.start()
        assert guest.do('syncfs') == -EIO
        assert guest.do('fsync', 0) == -EIO
        assert guest.do('syncfs') == guest.do('fsync', 0) == 0
        close(guest, 0)


def test_members_of_a_group_use_what_is_the_groups(exported, server):
    """FUSE does not tell that they are. The guest's kernel knows; here it always says yes."""
    for name, group, mode in ('team', 3001, 0o2770), ('private', 0, 0o700):
        os.mkdir(f'{server.folder}/{name}')
        os.chown(f'{server.folder}/{name}', 0, group)
        os.chmod(f'{server.folder}/{name}', mode)
    with open(f'{server.folder}/file', 'w') as file:
        file.write('a' * 10)
    os.chown(f'{server.folder}/file', 0, 3001)
    os.chmod(f'{server.folder}/file', 0o660)
    with Shell(exported.socket_of('d0'), '--uid', '1002', '--gid', '2002') as member:
        assert member.do('stat', 'private/file') == -EACCES
        assert member.do('mkdir', 'private/dir') == -EACCES
        member.must('open', 'file', O_RDWR)
        before = procedure(exported, 'READ')['calls']
        for _ in range(3):
            assert member.must('read', 0, 0, 100)[1] == f'{ord("a")}*10'
        # The open file keeps in mind what it takes.
        assert procedure(exported, 'READ')['calls'] == before + 3
        assert member.must('write', 0, 10, 10, 'a')[0] == 10
        close(member, 0)
        member.must('create', 'team/file', O_RDWR)
        status = os.stat(f'{server.folder}/team/file')
        assert (status.st_uid, status.st_gid) == (1002, 3001)
        member.must('mkdir', 'team/dir')
        member.must('rename', 'team/dir', 'other')
        member.must('list', 'team', 'plus')
        # Its name goes when nobody has it open any more, and nobody waits for that.
        member.must('unlink', 'team/file')
        assert len(os.listdir(f'{server.folder}/team')) == 2
        close(member, 0)
        member.must('rmdir', 'team/other')
        wait_until(lambda: os.listdir(f'{server.folder}/team') == [], 10, 'the name to go')
    assert os.path.getsize(f'{server.folder}/file') == 20


@pytest.fixture
def guests(weir, server):
    """Two guests of one export, one by a device of its own each."""
    weir.start_transport()
    export(weir, server, attr_valid_ms=60000, entry_valid_ms=60000)
    with Shell(weir.add_device('d0', 'nfs0')) as one, Shell(weir.add_device('d1', 'nfs0')) as two:
        yield one, two


def close(guest, file):
    assert guest.do('flush', file) == 0
    assert guest.do('release', file) == 0


def test_what_one_guest_closed_the_other_sees_on_open(guests, server):
    one, two = guests
    one.must('create', 'file', O_RDWR)
    one.must('write', 0, 0, 100000, 'a')
    close(one, 0)
    # A guest's kernel asks for the name at each open, and gets the attributes then.
    assert two.must('stat', 'file')[1].split()[4] == '0'
    two.must('mkdir', 'dir')
    assert one.must('stat', 'dir')[1].split()[4] == '60'
    for turn, (writer, reader) in enumerate([(one, two), (two, one)] * 3):
        size = 1000 * (7 - turn)
        letter = 'bcdefg'[turn]
        assert writer.must('open', 'file', O_RDWR | O_TRUNC)[0] == 0
        assert writer.must('write', 0, 0, size, letter)[0] == size
        close(writer, 0)
        assert reader.must('open', 'file', O_RDWR)[0] == 0
        assert reader.size('file') == size
        assert reader.must('read', 0, 0, MIB) == (size, f'{ord(letter)}*{size}')
        close(reader, 0)
        with open(f'{server.folder}/file') as file:
            assert file.read() == letter * size


def test_guests_share_nodes_names_and_what_is_open(guests, server, weir):
    one, two = guests
    one.must('mkdir', 'dir')
    one.must('create', 'dir/file', O_RDWR)
    one.must('write', 0, 0, 10, 'a')
    close(one, 0)
    one.must('open', 'dir/file', O_RDWR)
    two.must('open', 'dir/file', O_RDWR)
    # One node for both, and the root and the folder.
    assert info(weir)['objects'] <= 3 and info(weir)['open_files'] == 2
    assert one.must('stat', 'dir/file')[1] == two.must('stat', 'dir/file')[1]
    # A file that is open elsewhere keeps its data when its name goes.
    two.must('rename', 'dir/file', 'other')
    assert one.do('stat', 'dir/file') == -2
    one.must('unlink', 'dir/other')
    assert one.do('stat', 'dir/other') == two.do('stat', 'dir/other') == -2
    assert two.must('read', 0, 0, 100) == (10, f'{ord("a")}*10')
    two.must('truncate', 0, 4)
    assert one.must('fstat', 0)[1].split()[2] == '4'
    close(one, 0)
    assert two.must('read', 0, 0, 100)[0] == 4
    close(two, 0)
    wait_until(lambda: os.listdir(f'{server.folder}/dir') == [], 10, 'the name to go')
    two.must('rmdir', 'dir')
    assert one.do('stat', 'dir') == -2
    assert one.do('create', 'dir/again', O_RDWR) == -2


def test_exclusive_create_has_one_winner(guests):
    one, two = guests
    for i in range(20):
        for guest in guests:
            guest.ask('create', f'lock-{i}', O_RDWR | O_CREAT | O_EXCL)
        results = sorted(guest.answer()[0] for guest in guests)
        assert results[0] == -EEXIST and results[1] >= 0
