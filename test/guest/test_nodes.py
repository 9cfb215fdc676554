#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""weir on a machine with two NUMA nodes, which is a guest: nodes.py runs there. One boot, of which
each test looks at one outcome.
"""

import json
import os
import shutil
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TEST = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TEST, 'functional')]

import vm  # noqa: E402
import weirtest  # noqa: E402

FILES = [f'{HERE}/lib.sh', f'{HERE}/nodes.py', f'{TEST}/functional/weirtest.py']
NODES = ['0-1', '2']
ON_NODE = {0: 1, 1: 2}

SCRIPT = '''
. /out/lib.sh
forward_up
cp -r /out/build /run/build
WEIR_BUILD=/run/build /usr/bin/python3 /out/nodes.py /out/seen
'''


class Interface:
    """One whose slot is on node 1; restricted: it leads nowhere."""

    def args(self, n):
        return ['-device', 'pxb-pcie,id=pxb,bus_nr=128,numa_node=1,bus=pcie.0',
                '-device', 'pcie-root-port,id=nicport,bus=pxb,chassis=1',
                '-netdev', 'user,id=net,restrict=on',
                '-device', 'virtio-net-pci,netdev=net,bus=nicport,romfile=']


@pytest.fixture(scope='module')
def seen():
    """What nodes.py has seen in the guest."""
    out = tempfile.mkdtemp(prefix='weir-out-')
    try:
        # Not from where they are: a guest has a /tmp of its own, where the build may lie.
        for path in (weirtest.WEIR, weirtest.FE):
            copy = os.path.join(out, 'build', os.path.relpath(path, weirtest.BUILD))
            os.makedirs(os.path.dirname(copy))
            shutil.copy(path, copy)
        with vm.Guest(out, [Interface()], cpus=3, mem_mb=1280, nodes=NODES) as guest:
            guest.start(SCRIPT, FILES)
            status = guest.wait(300)
            print(guest.read('console'))
            assert status == 0
            yield json.loads(guest.read('seen'))
    finally:
        shutil.rmtree(out, ignore_errors=True)


def test_workers_are_on_both_nodes(seen):
    assert seen['workers'] == {'1': 0, '2': 1, '3': 0, '4': 1}


def test_each_node_has_its_pools(seen):
    assert seen['pools'] == {'weir_req_0': 0, 'weir_seg_0': 0, 'weir_req_1': 1, 'weir_seg_1': 1}


@pytest.mark.parametrize('node', [0, 1])
def test_queues_go_to_the_node_of_their_memory(seen, node):
    """All of them, though the other worker has none."""
    queues = seen['queues'][str(node)]
    assert [lcore for lcore, _ in queues] == [ON_NODE[node]] * 3
    assert {memory for _, memory in queues} - {None} == {node}
    assert ' 0 failed' in seen['second'][str(node)]


def test_queue_may_be_moved_to_another_node(seen):
    assert sorted(lcore for lcore, _ in seen['moved']) == [1, 2, 2]


def test_requests_go_to_the_node_of_the_interface(seen):
    """Node 0 has a backend worker, too."""
    assert seen['servers'] == {'far': 1, 'self': -1}
    assert seen['received']['4'] > 0 and seen['received']['3'] == 0
