#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""In a guest with two NUMA nodes, as root: weir with workers of both kinds on each, front ends
whose memory is bound to a node, and a server behind an interface on node 1. Writes where queues and
requests went to the file named, as JSON.

    nodes.py FILE

Beside it lies weirtest.py, WEIR_BUILD names a build.
"""

import contextlib
import ctypes
import json
import sys

import weirtest

PAGES = 64
SYS_SET_MEMPOLICY = 238
MPOL_DEFAULT, MPOL_BIND = 0, 2
LCORES = '0@0,1@1,2@2,3@0,4@2'
ROLES = ('--frontend-lcores', '1,2', '--backend-lcores', '3,4')
SERVERS = {'far': '10.0.2.2', 'self': '127.0.0.1'}


def reserve_hugepages(node):
    with open(f'/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages',
              'r+') as file:
        file.write(str(PAGES))
        file.flush()
        file.seek(0)
        assert int(file.read()) == PAGES, f'node {node} has not enough hugepages'


@contextlib.contextmanager
def memory_on(node):
    """What starts meanwhile has all its memory on that node."""
    libc = ctypes.CDLL(None, use_errno=True)
    mask = ctypes.c_ulong(1 << node)
    assert libc.syscall(SYS_SET_MEMPOLICY, MPOL_BIND, ctypes.byref(mask), 64) == 0
    yield
    assert libc.syscall(SYS_SET_MEMPOLICY, MPOL_DEFAULT, None, 0) == 0


def queues(weir, name):
    """Worker of each queue of a device that is up, and the node of its ring, once it was used."""
    stat = weir.rpc('virtio_fs_device_get_stat', dev_name=name)[0]
    nodes = {q['id']: q['memory_node'] for q in stat['queues']}
    return [(w['lcore'], nodes.get(q['queue'])) for w in weir.rpc('weir_get_workers')
            for q in w['queues'] if q['dev_name'] == name]


def look(weir, pool):
    info = weir.telemetry(f'/mempool/info,{pool}')['/mempool/info']
    return info.get('socket_id')


def nic(weir, seen):
    """Nobody answers there; the way is known all the same."""
    for name, server in SERVERS.items():
        weir.rpc('fsdev_nfs_create', name=name, server=server, exportname='/none', port=9,
                 mount_port=9, on_down='retry')
        seen['servers'][name] = weir.rpc('fsdev_get_fsdevs', name=name)['numa_node']
    path = weir.add_device('d2', 'far', queues=2)
    before = received(weir)
    weirtest.fe('ls', '-s', path, '--queues', '2', '--timeout', '2', code=None)
    after = received(weir)
    seen['received'] = {lcore: after[lcore] - before[lcore] for lcore in after}


def received(weir):
    return {w['lcore']: w['handoff']['requests_received'] for w in weir.rpc('weir_get_workers')}


def place(weir, seen):
    paths = [weir.add_device(f'd{n}', 'mem0', queues=2) for n in range(2)]
    for node in (1, 0):
        with memory_on(node):
            first = weirtest.holding_fe(paths[0], '--queues', '2')
            second = weirtest.Fe('check', '-s', paths[1], '--queues', '2', '--only',
                                 'queues-parallel')
        with first, second:
            seen['queues'][node] = queues(weir, 'd0')
            seen['second'][node] = second.wait(60).splitlines()[-1]
        weirtest.wait_until(lambda: queues(weir, 'd0') == [], 10, 'the rings to go down')
    with memory_on(1):
        with weirtest.holding_fe(paths[0], '--queues', '2'):
            weir.rpc('weir_move_queue', dev_name='d0', queue=1, lcore=1)
            seen['moved'] = queues(weir, 'd0')


def main():
    nodes = (0, 1)
    for node in nodes:
        reserve_hugepages(node)
    weirtest.lcores = lambda: LCORES
    # Programs come slowly from 9p, under emulation.
    weirtest.START_S = 120
    seen = {'queues': {}, 'second': {}, 'servers': {}}
    with weirtest.Weir(*ROLES, memory=('--in-memory', '--socket-mem', f'{PAGES},{PAGES}')) as weir:
        try:
            weir.start_transport()
            weir.rpc('fsdev_mem_create', name='mem0')
            seen['workers'] = {w['lcore']: w['socket'] for w in weir.rpc('weir_get_workers')}
            seen['pools'] = {pool: look(weir, pool) for node in nodes
                             for pool in (f'weir_req_{node}', f'weir_seg_{node}')}
            place(weir, seen)
            nic(weir, seen)
        finally:
            print(weir.log, json.dumps(seen, indent=1))
    with open(sys.argv[1], 'w') as file:
        json.dump(seen, file)


if __name__ == '__main__':
    main()
