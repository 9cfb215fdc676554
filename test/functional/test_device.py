# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Devices and their front ends: many, coming and going, under load."""

import json
import os
import socket
import stat
import time

import pytest

from weirtest import SANITIZED, Fe, fe, holding_fe, wait_until

KILLS = 50


def load(path, seconds, *args):
    return Fe('bench', 'randwrite', '-s', path, '--seconds', seconds, '--depth', '8',
              '--file-size', '4m', '--event', '--json', *args)


def served_ops(weir, name):
    ops = weir.rpc('virtio_fs_device_get_stat', dev_name=name)[0]['fuse']['ops']
    return ops.get('WRITE', {}).get('count', 0)


def test_devices_have_their_own_trees(served):
    served.rpc('fsdev_mem_create', name='mem1')
    paths = [served.add_device(f'd{i}', f'mem{i % 2}') for i in range(4)]
    fe('mkdir', '-s', paths[0], 'here')
    assert 'here' in fe('ls', '-s', paths[2])
    assert 'here' not in fe('ls', '-s', paths[1])
    assert 'here' not in fe('ls', '-s', paths[3])


def test_stop_and_start_under_load_lose_nothing(served):
    path = served.add_device('d0', 'mem0')
    with load(path, 2, '--queues', '2') as run:
        wait_until(lambda: served_ops(served, 'd0') > 100, 10, 'load')
        for _ in range(5):
            served.rpc('virtio_fs_device_stop', dev_name='d0')
            before = served_ops(served, 'd0')
            time.sleep(0.05)
            assert served_ops(served, 'd0') - before <= 16, 'a stopped device serves nothing'
            served.rpc('virtio_fs_device_start', dev_name='d0')
            wait_until(lambda: served_ops(served, 'd0') > before + 100, 10, 'load to go on')
        run.wait()


def test_open_files_survive_stop(served):
    path = served.add_device('d0', 'mem0')
    with holding_fe(path) as run:
        served.rpc('virtio_fs_device_stop', dev_name='d0')
        device = served.device('d0')
        assert device['connected'] and device['mounted']
        served.rpc_fails(-16, 'busy|d0', 'virtio_fs_device_modify', dev_name='d0', tag='other')
        served.rpc('virtio_fs_device_start', dev_name='d0')
        run.proc.stdin.close()
        run.wait()


def test_neighbours_are_not_disturbed(served):
    path = served.add_device('d0', 'mem0')
    with load(path, 5) as run:
        for _ in range(4):
            served.rpc('fsdev_mem_create', name='other')
            other = served.add_device('other', 'other')
            fe('ls', '-s', other)
            served.rpc('virtio_fs_device_stop', dev_name='other')
            served.rpc('virtio_fs_device_start', dev_name='other')
            served.rpc('virtio_fs_device_stop', dev_name='other')
            served.rpc('virtio_fs_device_destroy', dev_name='other')
            served.rpc('fsdev_mem_delete', name='other')
        run.wait()


@pytest.mark.parametrize('fsdev', ['mem0', 'aio0'])
def test_memory_table_changes_under_load(served, tmpfs_folder, fsdev):
    served.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    path = served.add_device('d0', fsdev)
    for _ in range(3):
        fe('check', '-s', path, '--queues', '3', '--only', 'queues-memory-change')


def test_trailing_queues_may_stay_unused(served):
    path = served.add_device('d0', 'mem0', queues=8)
    fe('check', '-s', path, '--queues', '8', '--skip-queues', '6', '--entries', '100')
    fe('check', '-s', path, '--queues', '2', '--only', 'queues-parallel,data-sync')


def test_every_queue_works(served):
    path = served.add_device('d0', 'mem0', queues=16)
    fe('check', '-s', path, '--queues', '16', '--depth', '8', '--only', 'queues-parallel')
    queues = served.rpc('virtio_fs_device_get_stat', dev_name='d0')[0]['queues']
    used = {q['id'] for q in queues if q['chains'] > 0}
    assert used == set(range(17))
    assert len({q['lcore'] for q in queues}) == 2, 'queues are spread over the workers'


def test_front_end_with_more_queues_than_the_device_has(served):
    path = served.add_device('d0', 'mem0', queues=2)
    # The VMM owns the number. What is beyond the device's is not served, whatever is tried.
    fe('check', '-s', path, '--queues', '4', '--skip-queues', '2', '--entries', '10')
    with Fe('ls', '-s', path, '--queues', '4') as run:
        run.wait(code=None)
    assert served.is_alive()
    fe('ls', '-s', path, '--queues', '2')


def test_second_front_end_is_refused(served):
    path = served.add_device('d0', 'mem0')
    with holding_fe(path) as run:
        with Fe('ls', '-s', path, '--wait', '1', '--timeout', '2') as second:
            second.wait(code=1)
        assert served.device('d0')['connected']
        run.proc.stdin.close()
        run.wait()
    fe('ls', '-s', path)


def test_front_end_killed_under_load_leaves_nothing(served, folder):
    served.rpc('fsdev_aio_create', name='aio0', root_path=folder)
    path = served.add_device('d0', 'aio0', queues=2)

    def cycle():
        before = served_ops(served, 'd0')
        with load(path, 60, '--queues', '2') as run:
            wait_until(lambda: served_ops(served, 'd0') not in (0, before) or
                       run.proc.poll() is not None, 10, 'load')
            assert run.proc.poll() is None, run.err
            run.kill()
        wait_until(lambda: not served.device('d0')['mounted'], 10, 'the session to end')

    fds = served.nb_fds()
    # The first cycles touch pools and indices that are there already.
    for _ in range(15):
        cycle()
    rss = served.rss_kib()
    for _ in range(KILLS - 15):
        cycle()
    # Nodes give their descriptors back some control ticks after their session's end.
    wait_until(lambda: served.nb_fds() <= fds + 1, 10, 'descriptors to be closed')
    assert SANITIZED or served.rss_kib() <= rss + 3072
    fe('ls', '-s', path)


def test_disconnect_closes_open_files(served, folder):
    with open(f'{folder}/file', 'w') as file:
        file.write('x')
    served.rpc('fsdev_aio_create', name='aio0', root_path=folder)
    path = served.add_device('d0', 'aio0')
    fe('ls', '-s', path)
    before = served.nb_fds()
    run = holding_fe(path, *['file'] * 20)
    assert served.nb_fds() >= before + 20
    run.kill()
    run.__exit__()
    wait_until(lambda: served.nb_fds() <= before + 1, 10, 'files to be closed')


def test_destroy_disconnects_the_front_end(served):
    path = served.add_device('d0', 'mem0')
    with holding_fe(path):
        served.rpc('virtio_fs_device_stop', dev_name='d0')
        served.rpc('virtio_fs_device_destroy', dev_name='d0')
        assert not os.path.exists(path)
    path = served.add_device('d0', 'mem0')
    fe('ls', '-s', path)


def test_stale_socket_is_replaced(served):
    os.makedirs(served.sockets, exist_ok=True)
    path = served.socket_of('d0')
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(path)
    served.add_device('d0', 'mem0')
    fe('ls', '-s', path)


def test_socket_of_a_killed_appliance_is_replaced(weir_factory):
    first = weir_factory()
    first.start_transport()
    first.rpc('fsdev_mem_create', name='mem0')
    path = first.add_device('d0', 'mem0')
    first.proc.kill()
    first.proc.wait()
    second = weir_factory('--socket-dir', first.sockets)
    second.sockets = first.sockets
    second.start_transport()
    second.rpc('fsdev_mem_create', name='mem0')
    assert second.add_device('d0', 'mem0') == path
    fe('ls', '-s', path)


def test_file_in_the_sockets_place_is_kept(served):
    path = served.socket_of('d0')
    with open(path, 'w') as file:
        file.write('precious')
    served.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name='d0', tag='t',
               fsdev='mem0')
    served.rpc_fails(-17, 'd0', 'virtio_fs_device_start', dev_name='d0')
    assert served.device('d0')['state'] == 'idle'
    with open(path) as file:
        assert file.read() == 'precious'
    os.unlink(path)


def test_sockets_are_private(served):
    path = served.add_device('d0', 'mem0')
    assert stat.S_IMODE(os.stat(path).st_mode) & 0o007 == 0
    assert stat.S_IMODE(os.stat(served.sockets).st_mode) & 0o022 == 0


def test_init_offers_what_guests_need(served, tmpfs_folder):
    served.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    info = json.loads(fe('info', '-s', served.add_device('d0', 'aio0'), '--ring-size', '512'))
    assert info['major'] == 7 and info['minor'] >= 31
    assert info['max_write'] == 1 << 20
    assert info['max_pages'] == 256, '1 MiB needs 256 pages where the ring has room for them'
    assert info['max_background'] >= 1024 and info['time_gran'] == 1
    flags = info['flags']
    for bit in (1, 10, 18, 22):  # POSIX_LOCKS, FLOCK_LOCKS, PARALLEL_DIROPS, MAX_PAGES
        assert flags & 1 << bit
    assert not flags & 1 << 16, 'WRITEBACK_CACHE is offered only to who asked for it'
    assert info['features'] & 1 << 32 and info['features'] & 1 << 28 and info['features'] & 1 << 29
    # MQ, LOG_SHMFD, REPLY_ACK, BACKEND_REQ, BACKEND_SEND_FD, INFLIGHT_SHMFD at most: STATUS keeps
    # QEMU from ever starting, CONFIG ends some of its versions.
    assert info['protocol_features'] & ~0x142b == 0
    assert info['protocol_features'] & 1 and info['protocol_features'] & 8
    assert info['queues'] >= 5, 'front ends compare it with the request queues and one more'
