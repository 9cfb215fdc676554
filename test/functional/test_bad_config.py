# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Each wrong RPC has its own clear error, and changes nothing."""

import errno
import os

import pytest

INVALID = -32602


@pytest.fixture
def configured(served, folder):
    """mem0, an idle, a running and a stopped device."""
    served.rpc('fsdev_aio_create', name='aio0', root_path=folder)
    for name in ('idle0', 'run0', 'stop0'):
        served.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name=name, tag=name,
                   fsdev='mem0', num_request_queues=1)
    for name in ('run0', 'stop0'):
        served.rpc('virtio_fs_device_start', dev_name=name)
    served.rpc('virtio_fs_device_stop', dev_name='stop0')
    return served


def device(**params):
    return {'transport_name': 'DOCA', 'dev_name': 'new0', **params}


# (error code, words of the text, method, parameters)
CASES = {
    'missing-folder': (-errno.ENOENT, '/no/such/folder', 'fsdev_aio_create',
                       {'name': 'a', 'root_path': '/no/such/folder'}),
    'folder-is-a-file': (-errno.ENOTDIR, '/etc/passwd', 'fsdev_aio_create',
                         {'name': 'a', 'root_path': '/etc/passwd'}),
    'duplicate-fsdev': (-errno.EEXIST, 'file exists|mem0', 'fsdev_mem_create', {'name': 'mem0'}),
    'duplicate-fsdev-of-another-kind': (-errno.EEXIST, 'file exists|mem0', 'fsdev_null_create',
                                        {'name': 'mem0'}),
    'empty-fsdev-name': (INVALID, 'name', 'fsdev_mem_create', {'name': ''}),
    'no-root-path': (INVALID, 'root_path', 'fsdev_aio_create', {'name': 'a'}),
    'fsdev-option-not-built': (INVALID, 'enable_notifications', 'fsdev_aio_create',
                               {'name': 'a', 'root_path': '/tmp', 'enable_notifications': True}),
    'writeback-without-a-cache': (INVALID, 'enable_writeback_cache|cache=never',
                                  'fsdev_aio_create',
                                  {'name': 'a', 'root_path': '/tmp', 'cache': 'never',
                                   'enable_writeback_cache': True}),
    'unknown-fsdev-key': (INVALID, 'root_pth', 'fsdev_aio_create',
                          {'name': 'a', 'root_pth': '/tmp'}),
    'delete-unknown-fsdev': (-errno.ENODEV, 'no such device|nope', 'fsdev_mem_delete',
                             {'name': 'nope'}),
    'delete-fsdev-of-another-kind': (-errno.ENODEV, 'no such device|mem0', 'fsdev_aio_delete',
                                     {'name': 'mem0'}),
    'delete-fsdev-in-use': (-errno.EBUSY, 'busy|mem0', 'fsdev_mem_delete', {'name': 'mem0'}),
    'get-unknown-fsdev': (-errno.ENODEV, 'no such device|nope', 'fsdev_get_fsdevs',
                          {'name': 'nope'}),
    'duplicate-transport': (-errno.EEXIST, 'file exists|DOCA', 'virtio_fs_transport_create',
                            {'transport_name': 'DOCA'}),
    'unknown-transport': (-errno.ENODEV, 'no such device|SERIAL', 'virtio_fs_transport_create',
                          {'transport_name': 'SERIAL'}),
    'stop-transport-with-devices': (-errno.EBUSY, 'busy|DOCA', 'virtio_fs_transport_stop',
                                    {'transport_name': 'DOCA'}),
    'destroy-started-transport': (-errno.EBUSY, 'DOCA', 'virtio_fs_transport_destroy',
                                  {'transport_name': 'DOCA'}),
    'duplicate-device': (-errno.EEXIST, 'file exists|idle0', 'virtio_fs_device_create',
                         device(dev_name='idle0')),
    'device-on-unknown-transport': (-errno.ENODEV, 'no such device|X', 'virtio_fs_device_create',
                                    device(transport_name='X')),
    'device-name-with-slash': (INVALID, 'dev_name', 'virtio_fs_device_create',
                               device(dev_name='../up')),
    'device-name-empty': (INVALID, 'dev_name', 'virtio_fs_device_create', device(dev_name='')),
    'device-without-name': (INVALID, 'dev_name', 'virtio_fs_device_create',
                            {'transport_name': 'DOCA'}),
    'tag-of-37-bytes': (INVALID, 'tag', 'virtio_fs_device_create', device(tag='t' * 37)),
    'tag-of-37-bytes-in-19-letters': (INVALID, 'tag', 'virtio_fs_device_create',
                                      device(tag='t' + 'ö' * 18)),
    'tag-with-newline': (INVALID, 'tag', 'virtio_fs_device_create', device(tag='a\nb')),
    'tag-empty': (INVALID, 'tag', 'virtio_fs_device_create', device(tag='')),
    'queue-size-7': (INVALID, 'queue_size', 'virtio_fs_device_create', device(queue_size=7)),
    'queue-size-4': (INVALID, 'queue_size', 'virtio_fs_device_create', device(queue_size=4)),
    'queue-size-100': (INVALID, 'queue_size', 'virtio_fs_device_create', device(queue_size=100)),
    'queue-size-2048': (INVALID, 'queue_size', 'virtio_fs_device_create', device(queue_size=2048)),
    'queue-size-negative': (INVALID, 'queue_size', 'virtio_fs_device_create',
                            device(queue_size=-64)),
    'queue-size-string': (INVALID, 'queue_size', 'virtio_fs_device_create',
                          device(queue_size='64')),
    'queue-size-fraction': (INVALID, 'queue_size', 'virtio_fs_device_create',
                            device(queue_size=64.5)),
    'no-queues': (INVALID, 'num_request_queues', 'virtio_fs_device_create',
                  device(num_request_queues=0)),
    '255-queues': (INVALID, 'num_request_queues', 'virtio_fs_device_create',
                   device(num_request_queues=255)),
    'notification-not-built': (INVALID, 'notification_vq', 'virtio_fs_device_create',
                               device(notification_vq=True)),
    'unknown-platform': (INVALID, 'driver_platform', 'virtio_fs_device_create',
                         device(driver_platform='vax')),
    'unknown-device-key': (INVALID, 'queues', 'virtio_fs_device_create', device(queues=1)),
    'tag-is-a-number': (INVALID, 'tag', 'virtio_fs_device_create', device(tag=5)),
    'start-unknown': (-errno.ENODEV, 'no such device|nope', 'virtio_fs_device_start',
                      {'dev_name': 'nope'}),
    'stop-unknown': (-errno.ENODEV, 'no such device|nope', 'virtio_fs_device_stop',
                     {'dev_name': 'nope'}),
    'destroy-unknown': (-errno.ENODEV, 'no such device|nope', 'virtio_fs_device_destroy',
                        {'dev_name': 'nope'}),
    'destroy-running': (-errno.EBUSY, 'busy|run0', 'virtio_fs_device_destroy',
                        {'dev_name': 'run0'}),
    'modify-running': (-errno.EBUSY, 'busy|run0', 'virtio_fs_device_modify',
                       {'dev_name': 'run0', 'tag': 'other'}),
    'modify-unknown': (-errno.ENODEV, 'no such device|nope', 'virtio_fs_device_modify',
                       {'dev_name': 'nope', 'tag': 'other'}),
    'modify-tag-of-37-bytes': (INVALID, 'tag', 'virtio_fs_device_modify',
                               {'dev_name': 'idle0', 'tag': 't' * 37}),
    'modify-queue-size-7': (INVALID, 'queue_size', 'virtio_fs_device_modify',
                            {'dev_name': 'idle0', 'queue_size': 7}),
    'list-by-both-names': (INVALID, 'transport_name|dev_name', 'virtio_fs_get_devices',
                           {'dev_name': 'idle0', 'transport_name': 'DOCA'}),
    'list-unknown-device': (-errno.ENODEV, 'no such device|nope', 'virtio_fs_get_devices',
                            {'dev_name': 'nope'}),
    'list-unknown-transport': (-errno.ENODEV, 'no such device|nope', 'virtio_fs_get_transports',
                               {'transport_name': 'nope'}),
    'unknown-manager': (-errno.ENODEV, 'no such device|mlx5_9', 'virtio_fs_doca_manager_create',
                        {'manager': 'mlx5_9'}),
    'destroy-manager-in-use': (-errno.EBUSY, 'busy|mlx5_0', 'virtio_fs_doca_manager_destroy',
                               {'manager': 'mlx5_0'}),
    'unknown-vuid': (-errno.ENODEV, 'no such device|MTNOSUCH', 'virtio_fs_doca_device_modify',
                     {'dev_name': 'idle0', 'manager': 'mlx5_0', 'vuid': 'MTNOSUCH'}),
    'doca-modify-unknown-device': (-errno.ENODEV, 'no such device|nope',
                                   'virtio_fs_doca_device_modify',
                                   {'dev_name': 'nope', 'manager': 'mlx5_0'}),
}


def test_wrong_calls_are_refused_and_change_nothing(configured):
    before = configured.state()
    for name, (code, words, method, params) in CASES.items():
        configured.rpc_fails(code, words, method, **params)
        assert configured.state() == before, name
    assert sorted(os.listdir(configured.sockets)) == ['run0.sock', 'stop0.sock']


def test_start_without_fsdev_is_refused(served):
    served.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name='d0', tag='t')
    served.rpc_fails(-errno.EINVAL, 'd0|fsdev', 'virtio_fs_device_start', dev_name='d0')
    assert served.device('d0')['state'] == 'idle'
    served.rpc('virtio_fs_device_modify', dev_name='d0', fsdev='mem0')
    served.rpc('virtio_fs_device_start', dev_name='d0')


def test_start_without_tag_is_refused(served):
    served.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name='d0', fsdev='mem0')
    served.rpc_fails(-errno.EINVAL, 'd0|tag', 'virtio_fs_device_start', dev_name='d0')
    assert served.device('d0')['state'] == 'idle'


def test_missing_fsdev_passes_create_and_fails_start(served):
    served.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name='d0', tag='t',
               fsdev='later')
    assert 'later' in served.log
    assert served.device('d0')['fsdev_state'] == 'missing'
    served.rpc_fails(-errno.ENODEV, 'no such device|later', 'virtio_fs_device_start',
                     dev_name='d0')
    assert served.device('d0')['state'] == 'idle'
    served.rpc('fsdev_mem_create', name='later')
    served.rpc('virtio_fs_device_start', dev_name='d0')
    assert served.device('d0')['state'] == 'running'


def test_device_on_stopped_transport_is_refused(weir):
    weir.rpc('virtio_fs_transport_create', transport_name='DOCA')
    weir.rpc_fails(-errno.EPERM, 'DOCA', 'virtio_fs_device_create', transport_name='DOCA',
                   dev_name='d0')
    assert weir.rpc('virtio_fs_get_devices') == []


def test_socket_path_that_is_too_long_is_refused(served):
    name = 'n' * 200
    served.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name=name, tag='t',
               fsdev='mem0')
    served.rpc_fails(-errno.ENAMETOOLONG, name[:20], 'virtio_fs_device_start', dev_name=name)
    assert served.device(name)['state'] == 'idle'
    served.rpc('virtio_fs_device_destroy', dev_name=name)


@pytest.mark.parametrize('args', [('--no-such-option',), ('--idle', 'never'), ('word',)])
def test_wrong_command_line_is_refused(weir_factory, args):
    weir = weir_factory(*args, wait=False)
    assert weir.proc.wait(30) == 2
    assert not os.path.exists(weir.rpc_path)
