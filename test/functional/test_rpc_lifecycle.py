# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""Objects, their states and defaults, and the documented command lines run whole."""

import errno
import json
import os
import stat

import pytest

from weirtest import fe, rpc_tool, wait_until


def test_transport_goes_through_its_states(weir):
    assert weir.rpc('virtio_fs_get_transports') == []
    assert weir.rpc('virtio_fs_transport_create', transport_name='DOCA') is True
    assert weir.rpc('virtio_fs_get_transports')[0]['state'] == 'stopped'
    weir.rpc('virtio_fs_transport_start', transport_name='DOCA')
    weir.rpc('virtio_fs_transport_start', transport_name='DOCA')
    transport = weir.rpc('virtio_fs_get_transports', transport_name='DOCA')[0]
    assert transport['name'] == 'DOCA' and transport['state'] == 'started'
    assert transport['managers'] == [{'name': 'mlx5_0'}]
    weir.rpc('virtio_fs_transport_stop', transport_name='DOCA')
    weir.rpc('virtio_fs_transport_stop', transport_name='DOCA')
    weir.rpc('virtio_fs_transport_destroy', transport_name='DOCA')
    assert weir.rpc('virtio_fs_get_transports') == []


def test_managers_follow_the_transport(weir):
    assert weir.rpc('virtio_fs_doca_get_possible_managers') == [{'name': 'mlx5_0'}]
    assert weir.rpc('virtio_fs_doca_get_managers') == []
    weir.rpc('virtio_fs_transport_create', transport_name='DOCA')
    weir.rpc('virtio_fs_doca_manager_create', manager='mlx5_0')
    assert weir.rpc('virtio_fs_doca_get_managers') == [{'name': 'mlx5_0'}]
    weir.rpc('virtio_fs_transport_start', transport_name='DOCA')
    weir.rpc('virtio_fs_transport_stop', transport_name='DOCA')
    weir.rpc('virtio_fs_doca_manager_destroy', manager='mlx5_0')
    assert weir.rpc('virtio_fs_doca_get_managers') == []


def test_start_of_the_transport_makes_the_manager(served):
    assert served.rpc('virtio_fs_doca_get_managers') == [{'name': 'mlx5_0'}]
    # Orchestrators create it then, too.
    served.rpc('virtio_fs_doca_manager_create', manager='mlx5_0')


def test_functions_have_the_documented_form(weir):
    lists = weir.rpc('virtio_fs_doca_get_functions')
    assert lists == weir.rpc('virtio_fs_doca_get_functions', manager='mlx5_0')
    assert lists[0]['manager'] == 'mlx5_0'
    functions = lists[0]['Function List']
    assert functions
    for function in functions:
        assert function['hot pluggable'] == 'false'
        assert function['vuid'].startswith('MT') and function['function_type'] == 'PF'
        assert isinstance(function['pci_address'], str)
    assert len({f['vuid'] for f in functions}) == len(functions)


def test_device_goes_through_its_states(served):
    path = served.socket_of('d0')
    served.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name='d0', tag='t',
               fsdev='mem0')
    assert served.device('d0')['state'] == 'idle'
    assert not os.path.exists(path)
    served.rpc('virtio_fs_device_stop', dev_name='d0')
    served.rpc('virtio_fs_device_start', dev_name='d0')
    served.rpc('virtio_fs_device_start', dev_name='d0')
    assert served.device('d0')['state'] == 'running'
    assert served.device('d0')['socket'] == path
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    served.rpc('virtio_fs_device_stop', dev_name='d0')
    served.rpc('virtio_fs_device_stop', dev_name='d0')
    assert served.device('d0')['state'] == 'stopped'
    assert os.path.exists(path), 'the socket stays until destroy'
    served.rpc('virtio_fs_device_start', dev_name='d0')
    served.rpc('virtio_fs_device_stop', dev_name='d0')
    served.rpc('virtio_fs_device_destroy', dev_name='d0')
    assert not os.path.exists(path)
    assert served.rpc('virtio_fs_get_devices') == []


def test_device_has_the_documented_defaults(served):
    served.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name='d0')
    device = served.device('d0')
    assert device['num_request_queues'] == 31 and device['queue_size'] == 64
    assert device['tag'] == '' and device['fsdev'] == '' and device['packed_ring'] is False
    assert device['transport_name'] == 'DOCA' and device['state'] == 'idle'
    assert served.rpc('virtio_fs_get_devices') == [device]
    assert served.rpc('virtio_fs_get_devices', transport_name='DOCA') == [device]


@pytest.mark.parametrize('params', [
    {'num_request_queues': 1}, {'num_request_queues': 254}, {'queue_size': 8},
    {'queue_size': 256}, {'queue_size': 1024}, {'tag': 't' * 36}, {'tag': 'ö' * 18},
    {'driver_platform': 'native'}, {'driver_platform': 'x86'}, {'driver_platform': 'x86_64'},
    {'driver_platform': 'aarch32'}, {'driver_platform': 'aarch64'}, {'dev_name': 'n' * 200},
    {'packed_vq': False}, {'packed_vq': True},
    {'notification_vq': False}], ids=str)
def test_limits_are_inclusive(served, params):
    params = {'dev_name': 'd0', 'tag': 't', 'fsdev': 'mem0', **params}
    served.rpc('virtio_fs_device_create', transport_name='DOCA', **params)
    device = served.device(params['dev_name'])
    for key, value in params.items():
        assert device[{'dev_name': 'name', 'packed_vq': 'packed_ring'}.get(key, key)] == value


def test_most_queues_start(served):
    path = served.add_device('d0', 'mem0', queues=254, queue_size=1024)
    assert 'negotiated' not in fe('info', '-s', path, '--queues', 200, '--depth', 1, '--max-io',
                                  65536, '--ring-size', 64)


def test_modify_changes_what_it_names(served):
    served.rpc('virtio_fs_device_create', transport_name='DOCA', dev_name='d0', tag='t',
               fsdev='mem0', num_request_queues=3, queue_size=128)
    served.rpc('virtio_fs_device_modify', dev_name='d0', tag='other')
    device = served.device('d0')
    assert device['tag'] == 'other' and device['num_request_queues'] == 3
    served.rpc('virtio_fs_device_start', dev_name='d0')
    served.rpc('virtio_fs_device_stop', dev_name='d0')
    served.rpc('fsdev_mem_create', name='mem1')
    served.rpc('virtio_fs_device_modify', dev_name='d0', fsdev='mem1', num_request_queues=5,
               queue_size=256)
    served.rpc('virtio_fs_device_start', dev_name='d0')
    device = served.device('d0')
    assert (device['fsdev'], device['num_request_queues'], device['queue_size']) == ('mem1', 5, 256)
    served.rpc('fsdev_mem_delete', name='mem0')
    served.rpc_fails(-errno.EBUSY, 'mem1', 'fsdev_mem_delete', name='mem1')
    fe('check', '-s', served.socket_of('d0'), '--queues', 5, '--only', 'data-sync,queues-parallel')


def test_fsdevs_are_listed_as_clients_expect(weir, folder):
    assert weir.rpc('fsdev_get_fsdevs') == []
    assert weir.rpc('fsdev_aio_create', name='aio0', root_path=folder) == 'aio0'
    assert weir.rpc('fsdev_mem_create', name='mem0') == 'mem0'
    assert weir.rpc('fsdev_null_create', name='null0', skip_rw=True) == 'null0'
    names = {f['name']: f['module_name'] for f in weir.rpc('fsdev_get_fsdevs')}
    assert names == {'aio0': 'aio', 'mem0': 'mem', 'null0': 'null'}
    one = weir.rpc('fsdev_get_fsdevs', name='aio0')
    assert one['module_specific']['root_path'] == folder
    assert one['module_specific']['max_xfer_size'] == 1 << 20
    for kind in ('aio', 'mem', 'null'):
        assert weir.rpc(f'fsdev_{kind}_delete', name=f'{kind}0') is True
    assert weir.rpc('fsdev_get_fsdevs') == []


def test_documented_spellings_are_aliases(weir, folder):
    weir.rpc('fsdev_aio_create', name='a', root_path=folder, max_write=131072)
    weir.rpc('fsdev_aio_create', name='b', root_path=folder, max_xfer_size=131072)
    sizes = [f['module_specific']['max_xfer_size'] for f in weir.rpc('fsdev_get_fsdevs')]
    assert sizes == [131072, 131072]


def test_schema_describes_every_method(weir):
    schema = weir.rpc('weir_get_rpc_schema')
    methods = {m['name']: m for m in schema} if isinstance(schema, list) else schema
    assert set(weir.rpc('rpc_get_methods')) <= set(methods)
    for name in methods:
        assert methods[name]['help'], name


BRING_UP = """
fsdev_aio_create aio0 {folder}
--plugin rpc_virtio_fs_tgt -v virtio_fs_doca_get_possible_managers
--plugin rpc_virtio_fs_tgt -v virtio_fs_transport_create -t DOCA
--plugin rpc_virtio_fs_tgt -v virtio_fs_doca_manager_create -m mlx5_0
--plugin rpc_virtio_fs_tgt -v virtio_fs_transport_start -t DOCA
--plugin rpc_virtio_fs_tgt -v virtio_fs_get_transports
--plugin rpc_virtio_fs_tgt -v virtio_fs_doca_get_managers
--plugin rpc_virtio_fs_tgt -v virtio_fs_doca_get_functions
--plugin rpc_virtio_fs_tgt -v virtio_fs_device_create --transport-name DOCA --dev-name vfsdev0 \
--tag doca_test --fsdev aio0 --num-request-queues 8 --queue-size 256 --driver-platform x86_64
--plugin rpc_virtio_fs_tgt -v virtio_fs_doca_device_modify --dev-name vfsdev0 --manager mlx5_0 \
--vuid MT2333XZ0VJQVFSS0D0F2
--plugin rpc_virtio_fs_tgt -v virtio_fs_device_start --dev-name vfsdev0
--plugin rpc_virtio_fs_tgt -v virtio_fs_get_devices
"""

TEARDOWN = """
--plugin rpc_virtio_fs_tgt -v virtio_fs_get_devices
--plugin rpc_virtio_fs_tgt -v virtio_fs_device_stop --dev-name vfsdev0
--plugin rpc_virtio_fs_tgt -v virtio_fs_device_destroy --dev-name vfsdev0
--plugin rpc_virtio_fs_tgt -v virtio_fs_transport_stop -t DOCA
--plugin rpc_virtio_fs_tgt -v virtio_fs_doca_manager_destroy -m mlx5_0
--plugin rpc_virtio_fs_tgt -v virtio_fs_transport_destroy -t DOCA
"""

INIT_CONF = """# a comment
fsdev_aio_create aio0 {folder}
virtio_fs_transport_create -t DOCA
virtio_fs_transport_start -t DOCA
virtio_fs_device_create --transport-name DOCA --dev-name vfsdev0 --tag docatag --fsdev aio0 \
--num-request-queues 1 --queue-size 32 --driver-platform x86_64

virtio_fs_doca_device_modify --dev-name vfsdev0 --manager mlx5_0 --vuid "MT2251XZ02WZVFSS0D0F3"
virtio_fs_device_start --dev-name vfsdev0
"""


def test_guides_bring_up_and_teardown_run_whole(weir_factory, folder):
    weir = weir_factory('--static-function', 'MT2333XZ0VJQVFSS0D0F2=0000:29:00.2')
    for line in BRING_UP.format(folder=folder).strip().splitlines():
        rpc_tool(weir, *line.split())
    device = weir.device('vfsdev0')
    assert device['state'] == 'running' and device['tag'] == 'doca_test'
    assert device['vuid'] == 'MT2333XZ0VJQVFSS0D0F2'
    fe('put', '-s', device['socket'], 'hello', '--queues', 8)
    assert os.path.exists(os.path.join(folder, 'hello'))
    for line in TEARDOWN.strip().splitlines():
        rpc_tool(weir, *line.split())
    assert weir.rpc('virtio_fs_get_devices') == []
    assert weir.rpc('virtio_fs_get_transports') == []


def test_guides_init_file_runs_whole(weir_factory, tmp_path, folder):
    conf = tmp_path / 'init.conf'
    conf.write_text(INIT_CONF.format(folder=folder))
    weir = weir_factory('--static-function', 'MT2251XZ02WZVFSS0D0F3', '--init-conf', str(conf))
    wait_until(lambda: 'ran all of' in weir.log, 10, 'the init file')
    device = weir.device('vfsdev0')
    assert device['state'] == 'running' and device['queue_size'] == 32
    assert fe('ls', '-s', device['socket']).split() == ['.', '..']


def test_failing_init_file_names_its_line(weir_factory, tmp_path):
    conf = tmp_path / 'init.conf'
    conf.write_text('fsdev_mem_create mem0\n\nfsdev_mem_create mem0\n')
    weir = weir_factory('--init-conf', str(conf), wait=False)
    assert weir.proc.wait(30) == 1
    assert 'init.conf:3' in weir.log and 'File exists' in weir.log


def test_tool_prints_what_the_server_answers(served):
    assert json.loads(rpc_tool(served, 'virtio_fs_get_devices')) == []
    assert json.loads(rpc_tool(served, 'fsdev_get_fsdevs', '-n', 'mem0'))['name'] == 'mem0'
    # Dashes and underscores are alike.
    rpc_tool(served, 'virtio_fs_device_create', '--transport_name', 'DOCA', '--dev_name', 'd0')
    text = rpc_tool(served, 'virtio_fs_device_start', '--dev-name', 'nope', code=1)
    assert 'No such device' in text
    assert 'queue' in rpc_tool(served, 'virtio_fs_device_create', '--help')
    assert 'virtio_fs_device_create' in rpc_tool(served, '--help')
