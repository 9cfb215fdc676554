# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Whose files they are: maps of ids between guest and host, and weir as an ordinary user."""

import os
import shutil
import tempfile

import pytest

import weirtest
from weirtest import fe

# A user without an account.
USER = 47110
# For a rootless appliance: all become its user, whose files the guest's root sees as its own.
SQUASH = f'squash-guest:0:{USER}:4294967295,host:{USER}:0:1'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='gives files to other users')


class Unprivileged(weirtest.Weir):
    """weir as USER, without a capability."""

    @staticmethod
    def command_line(rpc_path, sockets, prefix, memory=weirtest.ORDINARY_PAGES):
        os.chown(os.path.dirname(rpc_path), USER, USER)
        return ['setpriv', f'--reuid={USER}', f'--regid={USER}', '--clear-groups', '--no-new-privs',
                '--bounding-set=-all',
                *weirtest.Weir.command_line(rpc_path, sockets, prefix, memory)]


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix='weir-ids-', dir=weirtest.BUILD) as path:
        os.chmod(path, 0o777)
        yield path


@pytest.fixture
def user():
    """weir as an ordinary user, and a folder of its own."""
    # What it runs must be reachable for anybody: a build may lie in a private folder.
    bin_dir = tempfile.mkdtemp(prefix='weir-ids-')
    os.chmod(bin_dir, 0o755)
    program = shutil.copy(weirtest.WEIR, bin_dir)
    runtime = os.path.join(bin_dir, 'run')
    share = os.path.join(bin_dir, 'share')
    for path in (runtime, share):
        os.mkdir(path)
        os.chown(path, USER, USER)
    own, weirtest.WEIR = weirtest.WEIR, program
    weir = None
    try:
        weir = Unprivileged(env={'XDG_RUNTIME_DIR': runtime}, strict=False)
        weir.start_transport()
        weir.rpc('fsdev_aio_create', name='own', root_path=share, posix_acl='off')
        yield weir, share
        weir.stop()
    finally:
        weirtest.WEIR = own
        if weir is not None:
            weir.cleanup()
        shutil.rmtree(bin_dir)


def device(weir, name, fsdev, **params):
    weir.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name=name, tag=name, fsdev=fsdev,
             num_request_queues=2, queue_size=64, **params)
    weir.rpc('virtio_fs_device_start', dev_name=name)
    return weir.socket_of(name)


def owner(*path):
    st = os.lstat(os.path.join(*path))
    return st.st_uid, st.st_gid


def test_ids_are_mapped_both_ways(weir, folder):
    weir.start_transport()
    weir.rpc('fsdev_aio_create', name='f', root_path=folder, posix_acl='off')
    path = device(weir, 'd', 'f', uid_map='map:1000:5000:10,forbid-guest:66:1',
                  gid_map='map:100:600:10')
    shown = weir.device('d')
    assert shown['uid_map'] == 'map:1000:5000:10,forbid-guest:66:1'
    assert shown['gid_map'] == 'map:100:600:10'
    fe('mkdir', '-s', path, '--uid', '1003', '--gid', '105', 'mapped')
    assert owner(folder, 'mapped') == (5003, 605)
    assert 'uid 1003 gid 105' in fe('stat', '-s', path, 'mapped')
    fe('mkdir', '-s', path, '--uid', '2000', '--gid', '2000', 'same')
    assert owner(folder, 'same') == (2000, 2000)
    fe('mkdir', '-s', path, '--uid', '66', '--gid', '100', 'forbidden', code=1)
    assert not os.path.exists(os.path.join(folder, 'forbidden'))


def test_maps_that_are_none_are_refused(weir):
    weir.start_transport()
    weir.rpc('fsdev_mem_create', name='m')
    create = {'transport_name': 'DOCA', 'dev_name': 'd', 'tag': 'd', 'fsdev': 'm'}
    weir.rpc_fails(-32602, 'uid_map|forbid-guest', 'virtio_fs_device_create', **create,
                   uid_map='map:1')
    weir.rpc_fails(-32602, 'gid_map|overlap', 'virtio_fs_device_create', **create,
                   gid_map='map:0:0:10,map:9:100:1')
    weir.rpc('virtio_fs_device_create', **create)
    weir.rpc_fails(-32602, 'uid_map', 'virtio_fs_device_modify', dev_name='d', uid_map='x')
    weir.rpc('virtio_fs_device_modify', dev_name='d', uid_map='map:0:1000:1')
    assert weir.device('d')['uid_map'] == 'map:0:1000:1'
    weir.rpc('virtio_fs_device_destroy', dev_name='d')


def test_map_and_acls_do_not_go_together(weir):
    weir.start_transport()
    weir.rpc('fsdev_mem_create', name='m', enable_xattr=True)
    weir.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name='d', tag='d', fsdev='m',
             uid_map='map:0:1000:1')
    weir.rpc_fails(-95, 'uid_map|ACLs|m', 'virtio_fs_device_start', dev_name='d')
    weir.rpc('virtio_fs_device_modify', dev_name='d', uid_map='')
    weir.rpc('virtio_fs_device_start', dev_name='d')
    weir.remove_device('d')


def test_ordinary_user_owns_what_the_guests_root_makes(user):
    weir, share = user
    path = device(weir, 'd', 'own')
    fe('mkdir', '-s', path, 'dir')
    assert owner(share, 'dir') == (USER, USER)
    fe('mv', '-s', path, 'dir', 'moved')
    assert os.listdir(share) == ['moved']
    # Anybody else would have to get a file of his, which only root can give.
    fe('mkdir', '-s', path, '--uid', '1000', '--gid', '1000', 'theirs', code=1)
    assert os.listdir(share) == ['moved']
    fe('rm', '-s', path, 'moved')
    assert os.listdir(share) == []


def test_ordinary_user_with_a_map_serves_all_users_of_the_guest(user):
    weir, share = user
    path = device(weir, 'd', 'own', uid_map=SQUASH, gid_map=SQUASH)
    for uid in (0, 1000, 4294967294):
        fe('mkdir', '-s', path, '--uid', str(uid), '--gid', str(uid), f'of-{uid}')
        assert owner(share, f'of-{uid}') == (USER, USER)
        assert 'uid 0 gid 0' in fe('stat', '-s', path, f'of-{uid}')
