# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""The end of the appliance: clean, bounded, and honest about what was lost."""

import contextlib
import os
import signal
import time

import pytest

from weirtest import SLOW, Fe, fe, holding_fe, wait_until

EXIT_STUCK = 3


@pytest.mark.parametrize('sig', [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_an_idle_appliance(weir_factory, sig):
    weir = weir_factory()
    assert weir.terminate(sig, 5 * SLOW) == 0
    assert not os.path.exists(weir.rpc_path)


def test_term_with_mounted_guests_is_clean(served, tmpfs_folder):
    served.rpc('fsdev_aio_create', name='aio0', root_path=tmpfs_folder)
    with contextlib.ExitStack() as stack:
        for i, fsdev in enumerate(('mem0', 'aio0')):
            stack.enter_context(holding_fe(served.add_device(f'd{i}', fsdev)))
        load = served.add_device('d2', 'aio0')
        run = stack.enter_context(Fe('bench', 'randwrite', '-s', load, '--seconds', '30',
                                     '--file-size', '1m'))
        wait_until(lambda: 'WRITE' in served.rpc('virtio_fs_device_get_stat', dev_name='d2')[0]
                   ['fuse']['ops'], 10, 'load')
        served.stop(code=0)
        run.wait(code=None)


@pytest.fixture
def stuck(weir_factory, hanging):
    """An appliance on a folder that stops to answer, with requests in it."""
    weir = weir_factory('--shutdown-timeout', '2')
    weir.start_transport()
    weir.rpc('fsdev_mem_create', name='mem0')
    weir.rpc('fsdev_aio_create', name='aio0', root_path=hanging.path)
    path = weir.add_device('d0', 'aio0')
    fe('ls', '-s', path)
    hanging.hang()
    runs = [Fe('stat', '-s', path, 'hello', '--timeout', '60')]
    wait_until(hanging.is_asked, 10, 'a request that hangs')
    yield weir, path, runs
    for run in runs:
        run.kill()
    hanging.release()


def test_hanging_folder_stops_no_other_device(stuck):
    weir, _, _ = stuck
    other = weir.add_device('d1', 'mem0')
    out = fe('check', '-s', other, '--entries', '100', '--skip', 'queues-memory-change')
    assert ' 0 failed' in out
    weir.rpc('virtio_fs_device_get_stat')


def test_guest_of_a_hanging_folder_may_leave(stuck, hanging):
    weir, path, runs = stuck
    start = time.monotonic()
    runs[0].kill()
    wait_until(lambda: not weir.device('d0')['connected'], 5, 'the disconnect')
    assert time.monotonic() - start < 3 * SLOW
    hanging.release()
    wait_until(lambda: not weir.device('d0')['mounted'], 10, 'the session to end')
    fe('info', '-s', path)


def test_stop_of_a_device_with_a_hanging_folder_is_bounded(stuck):
    weir, _, _ = stuck
    start = time.monotonic()
    weir.rpc('virtio_fs_device_stop', dev_name='d0')
    assert time.monotonic() - start < 5 * SLOW
    assert weir.device('d0')['state'] == 'stopped'


def test_term_with_a_hanging_folder_is_bounded_and_said(stuck, hanging):
    weir, _, _ = stuck
    start = time.monotonic()
    weir.rpc_client.sock.close()
    weir.proc.terminate()
    # The kernel keeps a process whose thread waits for a FUSE server: the rest of it is gone.
    wait_until(weir.is_over, 10, 'the end')
    assert time.monotonic() - start < 8 * SLOW
    assert 'd0' in weir.log and 'aio0' in weir.log
    assert not os.path.exists(weir.rpc_path) and os.listdir(weir.sockets) == []
    hanging.release()
    assert weir.proc.wait(10) == EXIT_STUCK
