# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""More files than there can be descriptors, through one device on a folder in memory: what they
take while a guest knows them, and that it comes back.
"""

import errno
import os
import shutil
import tempfile

import pytest

from manyfiles import ManyFiles
from weirtest import SANITIZED, fe

pytestmark = pytest.mark.skipif(os.geteuid() != 0,
                                reason='files are opened by handle as root only')

FILES = 50000 if SANITIZED else 200000
MAX_FDS = 1000
# The index over nodes does not depend on how many there are; nor does what the allocator keeps.
FIXED_KIB = 44 * 1024
# Of a node with the session's count of its lookups; and what it may leave behind.
NODE_BYTES = 160
LEFT_BYTES = 40


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix='weir-many-', dir='/dev/shm')
    yield path
    shutil.rmtree(path)


@pytest.fixture
def sock(weir, folder):
    weir.start_transport()
    weir.rpc('fsdev_aio_create', name='aio0', root_path=folder, max_fds=MAX_FDS)
    return weir.add_device('d0', 'aio0')


def test_files_take_memory_while_they_are_known(weir, sock):
    """All steps with all files, with few descriptors; in the second round nothing is added."""
    with ManyFiles(weir, sock, FILES) as many:
        assert many.step('make')['errors'] == 0
        for _ in range(2):
            got = many.step('look')
            print('looked up:', got)
            assert (got['done'], got['errors']) == (FILES, 0)
            assert got['fds'] <= MAX_FDS
            if not SANITIZED:
                assert got['kib'] <= FIXED_KIB + FILES * NODE_BYTES / 1024
            got = many.step('list')
            assert (got['done'], got['errors']) == (FILES, 0)
            assert got['fds'] <= MAX_FDS
            assert many.step('forget')['done'] == FILES
            left = many.settle()
            print('forgotten:', left)
            if not SANITIZED:
                assert left['kib'] <= FIXED_KIB + FILES * LEFT_BYTES / 1024
            assert left['fds'] <= MAX_FDS
        assert many.step('remove')['errors'] == 0
        many.end()


def test_open_files_come_to_an_end_and_others_go_on(weir, sock):
    """At the limit of descriptors the guest is told so; all else goes on, here and elsewhere."""
    count = 3 * MAX_FDS
    weir.rpc('fsdev_mem_create', name='mem0')
    other = weir.add_device('d1', 'mem0')
    with ManyFiles(weir, sock, count, 100) as many:
        many.step('make')
        many.step('look')
        for _ in range(2):
            got = many.step('open')
            assert got['done'] + got['errors'] == count
            assert MAX_FDS // 2 < got['done'] <= MAX_FDS
            assert got['first_error'] == -errno.ENFILE
            assert got['fds'] <= MAX_FDS
            # Attributes are to be had all the same: by handle, for a moment.
            assert many.step('stat')['done'] == count
            fe('check', '-s', other)
            assert many.step('close')['errors'] == 0
            assert many.settle()['fds'] <= MAX_FDS
        many.step('forget')
        assert many.step('remove')['errors'] == 0
        many.end()
