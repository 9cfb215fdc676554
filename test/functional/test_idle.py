# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
"""What an appliance costs that has nothing to do."""

import contextlib
import errno
import itertools
import os
import resource
import subprocess
import time

import pytest

from hangfs import HangFs
from weirtest import SANITIZED, SLOW, Fe, Weir, holding_fe, wait_until

SECONDS = 5


def test_four_idle_devices_cost_under_2_percent(served):
    with contextlib.ExitStack() as stack:
        for i in range(4):
            path = served.add_device(f'd{i}', 'mem0')
            stack.enter_context(holding_fe(path, '--queues', '4'))
        time.sleep(0.5)
        before = served.cpu_seconds()
        time.sleep(SECONDS)
        used = served.cpu_seconds() - before
    assert used < 0.02 * SECONDS * SLOW, f'{100 * used / SECONDS:.2f} % of a core'


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 8192,
                    reason='every queue needs two descriptors')
def test_2080_idle_queues_cost_little(served):
    """32 devices of 64 request queues and one of high priority: CPU and memory of each."""
    devices, queues = 32, 64
    before_kib = served.rss_kib()
    with contextlib.ExitStack() as stack:
        # All of them first: librte_vhost takes up to a second to see new ones.
        paths = [served.add_device(f'd{i}', 'mem0', queues=queues) for i in range(devices)]
        for path in paths:
            stack.enter_context(holding_fe(path, '--queues', str(queues), '--depth', '1',
                                           '--max-io', '4096'))
        kib = (served.rss_kib() - before_kib) / (devices * (queues + 1))
        workers = served.rpc('weir_get_workers')
        before = served.cpu_seconds()
        time.sleep(SECONDS)
        percent = 100 * (served.cpu_seconds() - before) / SECONDS
    print(f'{percent:.2f} % of a core, {kib:.1f} KiB for each queue, guest memory included')
    assert all(w['pollers_active'] <= 8 for w in workers), workers
    assert sum(w['pollers_parked'] for w in workers) >= devices * (queues + 1) - 16
    assert percent < SLOW, f'{percent:.2f} % of a core'
    # A sanitizer's own memory is no matter of ours.
    assert kib < 16 or SANITIZED, f'{kib:.1f} KiB for each queue'


@pytest.mark.parametrize('policy', ['poll', 'adaptive'])
def test_check_passes_beside_idle_queues(weir_factory, folder, policy):
    """Queues and channels are parked and woken all the time."""
    weir = weir_factory('--idle', policy)
    weir.start_transport()
    weir.rpc('fsdev_mem_create', name='mem0')
    weir.rpc('fsdev_aio_create', name='aio0', root_path=folder)
    with contextlib.ExitStack() as stack:
        stack.enter_context(holding_fe(weir.add_device('idle0', 'mem0', queues=64),
                                       '--queues', '64', '--depth', '1', '--max-io', '4096'))
        parks = sum(w['parks'] for w in weir.rpc('weir_get_workers'))
        with Fe('check', '-s', weir.add_device('d0', 'aio0', queues=16), '--queues', '16') as run:
            run.wait()
        assert sum(w['parks'] for w in weir.rpc('weir_get_workers')) > parks + 16


def test_polling_workers_do_not_sleep(weir_factory):
    weir = weir_factory('--idle', 'poll')
    sleeps = [w['sleeps'] for w in weir.rpc('weir_get_workers')]
    time.sleep(0.2)
    assert [w['sleeps'] for w in weir.rpc('weir_get_workers')] == sleeps


def has_waitpkg():
    with open('/proc/cpuinfo', encoding='ascii') as file:
        return 'waitpkg' in file.read().split()


@pytest.mark.parametrize('load', [['check'], ['bench', 'randwrite', '--seconds', '2']])
def test_switching_policies_under_load_loses_nothing(served, load):
    policies = ['poll', 'adaptive'] + (['power'] if has_waitpkg() else [])
    with Fe(*load, '-s', served.add_device('d0', 'mem0', queues=2), '--queues', '2') as run:
        for i, policy in enumerate(itertools.cycle(policies)):
            served.rpc('weir_set_worker_idle', policy=policy, spin_us=i % 3 * 50)
            assert {w['idle'] for w in served.rpc('weir_get_workers')} == {policy}
            time.sleep(0.002)
            if run.proc.poll() is not None:
                break
        run.wait()


def test_one_worker_gets_a_policy_of_its_own(weir):
    first, second = (w['lcore'] for w in weir.rpc('weir_get_workers'))
    weir.rpc('weir_set_worker_idle', policy='poll', lcore=second)
    weir.rpc('weir_set_worker_idle', policy='adaptive', lcore=first, spin_us=7)
    got = [(w['idle'], w['spin_us']) for w in weir.rpc('weir_get_workers')]
    assert got == [('adaptive', 7), ('poll', 50)]
    weir.rpc_fails(-errno.ENODEV, 'lcore 99', 'weir_set_worker_idle', policy='poll', lcore=99)


@pytest.mark.skipif(has_waitpkg(), reason='this CPU has what the power policy needs')
def test_power_is_refused_by_name_where_the_cpu_cannot(weir):
    weir.rpc_fails(-errno.ENOTSUP, 'power|lacks|waitpkg', 'weir_set_worker_idle', policy='power')
    assert {w['idle'] for w in weir.rpc('weir_get_workers')} == {'adaptive'}
    other = Weir('--idle', 'power', wait=False)
    try:
        assert other.proc.wait(20 * SLOW) == 1
        assert 'this CPU lacks' in other.log and 'WAITPKG' in other.log
    except subprocess.TimeoutExpired:
        pytest.fail('weir started with --idle power')
    finally:
        other.cleanup()


@pytest.mark.skipif(not os.access('/dev/fuse', os.R_OK | os.W_OK), reason='no /dev/fuse here')
def test_a_chain_without_request_waits_asleep_and_is_served(weir_factory):
    """A folder that hangs has all requests; another device's chain waits in its ring."""
    weir = weir_factory('--requests', '16')
    weir.start_transport()
    weir.rpc('fsdev_mem_create', name='mem0')
    with HangFs() as hanging, contextlib.ExitStack() as stack:
        weir.rpc('fsdev_aio_create', name='aio0', root_path=hanging.path)
        hanging.hang()
        for i in range(20):
            path = weir.add_device(f'd{i}', 'aio0', queues=1)
            stack.enter_context(Fe('stat', '-s', path, 'hello', '--timeout', '60'))
        wait_until(lambda: weir.rpc('fsdev_get_fsdevs', name='aio0')['module_specific']
                   ['helpers_queued'] == 8, 20, 'requests that hang')
        waiting = stack.enter_context(Fe('ls', '-s', weir.add_device('other', 'mem0'),
                                         '--timeout', '60'))
        time.sleep(0.5)
        before = weir.cpu_seconds()
        time.sleep(2)
        used = weir.cpu_seconds() - before
        hanging.release()
        waiting.wait(10 * SLOW)
    assert used < 0.2 * 2 * SLOW, f'{100 * used / 2:.2f} % of a core'
