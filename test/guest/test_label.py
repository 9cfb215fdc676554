#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""A guest whose kernel has SELinux on, without a policy: it sends a label with each new file. One
boot, of which each test looks at one tag.
"""

import os
import shutil
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), 'functional')]

import vm  # noqa: E402
import weirtest  # noqa: E402

NAMES = ['dir', 'fifo', 'file', 'link']
SCRIPT = '''
set -e
for tag in mem aio off; do
    mkdir -p /run/m
    mount -t virtiofs $tag /run/m
    cd /run/m
    mkdir dir
    mkfifo fifo
    echo > file
    ln -s file link
    /usr/bin/python3 -c '
import os
for name in sorted(os.listdir()):
    print(name, *os.listxattr(name, follow_symlinks=False))' > $OUT/seen.$tag
    cd /
    umount /run/m
done
'''


@pytest.fixture(scope='module')
def folders():
    """Two folders on tmpfs."""
    paths = [tempfile.mkdtemp(prefix='weir-label-', dir='/dev/shm') for _ in range(2)]
    yield paths
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope='module')
def seen(folders):
    """What the guest saw of each tag."""
    out = tempfile.mkdtemp(prefix='weir-out-')
    try:
        with weirtest.Weir('--keep-cap', 'sys_admin') as weir:
            weir.start_transport()
            weir.rpc('fsdev_mem_create', name='mem')
            weir.rpc('fsdev_aio_create', name='aio', root_path=folders[0], security_label=True)
            weir.rpc('fsdev_aio_create', name='off', root_path=folders[1])
            devices = [vm.Device(tag, weir.add_device(tag, tag)) for tag in ('mem', 'aio', 'off')]
            with vm.Guest(out, devices, append='selinux=1 security=selinux') as guest:
                guest.start(SCRIPT)
                status = guest.wait(240)
                print(guest.read('console'))
                assert status == 0
                yield {tag: guest.read(f'seen.{tag}') for tag in ('mem', 'aio', 'off')}
    finally:
        shutil.rmtree(out, ignore_errors=True)


@pytest.mark.parametrize('tag', ['mem', 'aio'])
def test_new_files_have_the_label_of_the_guests_selinux(seen, tag):
    assert seen[tag].splitlines() == [f'{name} security.selinux' for name in NAMES]


def test_the_label_is_on_the_hosts_file(seen, folders):
    for name in NAMES:
        path = os.path.join(folders[0], name)
        assert 'security.selinux' in os.listxattr(path, follow_symlinks=False)


def test_where_labels_are_not_offered_there_are_none(seen):
    assert seen['off'].splitlines() == NAMES
