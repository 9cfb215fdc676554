# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""The request path: no heap call and no copy of payload on a worker."""

import mmap
import os
import struct
import sys

import pytest

import weirtest

sys.path.insert(0, os.path.join(weirtest.ROOT, 'test', 'nfs'))

import ganesha  # noqa: E402  (its folder is on the path from here on)

PRELOAD = os.path.join(weirtest.BUILD, 'test', 'functional', 'libpathcount.so')
FIELDS = ('on', 'worker_heap', 'other_heap', 'worker_copies')


class Counts:
    """What pathcount.c counts in a running appliance."""

    def __init__(self, path):
        with open(path, 'wb') as file:
            file.write(bytes(4096))
        self.file = open(path, 'r+b')
        self.map = mmap.mmap(self.file.fileno(), 4096)

    def start(self):
        self.map[:32] = struct.pack('<4Q', 1, 0, 0, 0)

    def stop(self):
        self.map[:8] = struct.pack('<Q', 0)
        return dict(zip(FIELDS, struct.unpack('<4Q', self.map[:32])))


@pytest.fixture
def counted(weir_factory, folder):
    """An appliance with counters in it, and the devices aio0 and mem0."""
    if weirtest.SLOW > 1:
        pytest.skip('the sanitizers own the heap')
    counts = Counts(os.path.join(folder, 'counts'))
    os.mkdir(os.path.join(folder, 'share'))
    weir = weir_factory(env={'LD_PRELOAD': PRELOAD,
                             'WEIR_PATHCOUNT': os.path.join(folder, 'counts')})
    weir.start_transport()
    weir.rpc('fsdev_aio_create', name='aio0', root_path=os.path.join(folder, 'share'))
    weir.rpc('fsdev_mem_create', name='mem0')
    return weir, counts


@pytest.mark.parametrize('workload', ['randread', 'randwrite', 'seqread', 'seqwrite', 'getattr',
                                      'lookup'])
def test_aio_needs_no_heap_and_no_copy(counted, workload):
    weir, counts = counted
    sock = weir.add_device('d0', 'aio0')
    bench = ('bench', workload, '-s', sock, '--depth', 16, '--file-size', 16 << 20, '--bs', 65536,
             '--max-io', 65536, '--json')
    weirtest.fe(*bench, '--seconds', 1)
    counts.start()
    weirtest.fe(*bench, '--seconds', 2)
    weir.rpc('virtio_fs_get_devices')
    got = counts.stop()
    assert got['other_heap'] > 0, 'nothing was counted at all'
    assert got['worker_heap'] == 0
    assert got['worker_copies'] == 0


@pytest.fixture(scope='module')
def server():
    if not ganesha.is_installed():
        pytest.skip('no nfs-ganesha')
    with ganesha.Ganesha() as running:
        yield running


@pytest.mark.parametrize('workload', ['seqread', 'seqwrite'])
@pytest.mark.parametrize('size', [4096, 1 << 20])
def test_nfs_needs_no_heap_and_no_copy(counted, server, workload, size):
    weir, counts = counted
    weir.rpc('fsdev_nfs_create', name='nfs0', **server.params())
    sock = weir.add_device('d0', 'nfs0')
    # A page of data in one piece, so that a copy of it counts; and few enough pieces that the table
    # of descriptors, which is copied, is less than a page.
    bench = ('bench', workload, '-s', sock, '--depth', 16, '--file-size', 16 << 20, '--bs', size,
             '--max-io', size, '--piece', 16384, '--seconds', 1, '--json')
    weirtest.fe(*bench)
    counts.start()
    weirtest.fe(*bench)
    weir.rpc('virtio_fs_get_devices')
    got = counts.stop()
    assert got['other_heap'] > 0, 'nothing was counted at all'
    assert got['worker_heap'] == 0
    assert got['worker_copies'] == 0


def test_copies_of_payload_are_counted(counted):
    """The file system in memory does copy: a count of zero elsewhere means something."""
    weir, counts = counted
    sock = weir.add_device('d0', 'mem0')
    counts.start()
    weirtest.fe('bench', 'seqwrite', '-s', sock, '--file-size', 16 << 20, '--bs', 65536,
                '--max-io', 65536, '--seconds', 1)
    assert counts.stop()['worker_copies'] > 0
